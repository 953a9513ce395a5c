# SPDX-License-Identifier: BSD-2-Clause
"""The engine on KVM: the small guests and the kernel of checks that the soft
engine runs, with the same expectations."""

import re

import pytest

# Groups about what the engine does, each whole or some of its functions. The
# others are about the processor, which is the host's here.
SMALL = {
    "io": None,
    "rom": None,
    "ident": ["unknown_msrs", "known_msrs"],
    # QEMU 7.2 ends on a write of CR8 while a virtual interrupt waits, and
    # sometimes sees the shadow of STI one instruction late.
    "intr": ["timer", "interrupt_flag", "halt", "ipis", "nmi", "extint",
             "level", "messages", "kicks", "sleeper"],
    "life": None,
    "smp": ["starting", "locks", "interrupts", "pic", "halting"],
}
ENV = {"LHYVE_ENGINE": "kvm"}


@pytest.mark.parametrize("group", SMALL)
def test_small(host, build, differs, group):
    program = build / f"small-{group}"
    failed = set()
    for function in SMALL[group] or [None]:
        result = host.run([program] + ([function] if function else []), ENV)
        assert re.search(r"^[1-9]\d* checks, \d+ failed$", result.output,
                         re.M), (function, result)
        failed |= set(re.findall(r"^FAIL \[\w+\] (.*)$", result.output, re.M))
    known = set(differs[f"small-{group}"])
    if host.is_rig:
        known |= differs[f"rig small-{group}"]
    assert sorted(failed - known) == [] and sorted(known - failed) == []


def test_kernel(host, build, differs):
    """More than 300 checks of a processor in a kernel of its own."""
    result = host.run(
        [build / "lhyve", "-A", "-H", "-m", "64M", "-s",
         "0,hostbridge", "-s", "31,lpc", "-l", "com1,stdio", "-o",
         "engine=kvm", "-o", f"kernel={build}/kernel.elf",
         *(["-o", "cmdline=tcg"] if host.is_rig else []), "kernel"],
        {"LHYVE_RUNDIR": "/run/lhyve-kernel"}, timeout=600)
    out = result.output.replace("\r", "")
    end = re.search(r"^kernel: (\d+) checks, (\d+) failed$", out, re.M)
    assert end is not None, out[-2000:]
    assert int(end[1]) > 300
    known = set(differs["kernel"])
    if host.is_rig:
        known |= differs["rig kernel"]
    failed = set(re.findall(r"^FAIL (.*)$", out, re.M))
    assert sorted(failed - known) == [] and sorted(known - failed) == []
    assert result.status == 0
