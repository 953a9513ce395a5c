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
    # QEMU 7.2 sometimes sees the shadow of STI one instruction late.
    "intr": ["timer", "interrupt_flag", "halt", "priorities", "ipis", "nmi",
             "extint", "level", "string", "messages", "kicks", "sleeper"],
    "hold": None,
    "life": None,
    "dirty": None,
    "smp": ["starting", "locks", "interrupts", "pic", "halting", "logging"],
}
# Once more with KVM's dirty log by bitmaps.
BITMAPS = {"dirty": None, "smp": ["logging"]}
# In a rig only these: QEMU's SVM does not leave a guest on INT3, and a guest's
# breakpoints in the debug registers stop the rig (tests/unit/vmm/
# test_kvm_debug.c has them).
RIG = {"hold": ["steps", "trap_flag", "translate"]}
ENV = {"LHYVE_ENGINE": "kvm"}


def run_small(host, build, differs, group, functions, env):
    program = build / f"small-{group}"
    failed = set()
    for function in functions or [None]:
        result = host.run([program] + ([function] if function else []), env)
        assert re.search(r"^[1-9]\d* checks, \d+ failed$", result.output,
                         re.M), (function, result)
        failed |= set(re.findall(r"^FAIL \[\w+\] (.*)$", result.output, re.M))
    known = set(differs[f"small-{group}"])
    if host.is_rig:
        known |= differs[f"rig small-{group}"]
    assert sorted(failed - known) == [] and sorted(known - failed) == []


@pytest.mark.parametrize("group", SMALL)
def test_small(host, build, differs, group):
    functions = RIG.get(group) if host.is_rig else None
    run_small(host, build, differs, group, functions or SMALL[group], ENV)


@pytest.mark.parametrize("group", BITMAPS)
def test_small_bitmaps(host, build, differs, group):
    run_small(host, build, differs, group, BITMAPS[group],
              ENV | {"LHYVE_NO_RING": "1"})


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


# What a guest's CPUID says otherwise on the other engine, and why; leaf and
# register. docs/kvm-engine.md tells of both. Only cpu=host: what KVM passes on
# and what the soft engine does by itself.
FEATURES = {(1, 2): "PCID", (1, 3): "VME", (7, 1): "INVPCID",
            (7, 2): "RDPID, UMIP", (7, 3): "SPEC_CTRL",
            (0x80000001, 3): "VME", (0x80000008, 1): "faults of AMD's",
            (0x80000021, 0): "faults of AMD's",
            (0x80000021, 2): "faults of AMD's"}


def leaves(text):
    """Registers of every leaf, by XCR0, leaf, subleaf and number."""
    found, xcr0 = {}, None
    for line in text.splitlines():
        words = line.split()
        if words[0] == "xcr0":
            # The first is always 1; the second may be.
            xcr0 = len(found), words[1]
            continue
        leaf, sub = (int(n, 16) for n in words[0].split("."))
        for reg, value in enumerate(words[1:]):
            found[*xcr0, leaf, sub, reg] = int(value, 16)
    return found


@pytest.mark.parametrize("model", ["x86-64-v2", "x86-64-v3", "host"])
def test_same_processor(host, build, model):
    """The same policy on either engine: the same answers of CPUID."""
    # The processor of a rig has no VME.
    command = [build / "small-cpuids", model,
               "-vme" if host.is_rig else ""]

    def ask(engine, *khz):
        result = host.run([*command, *khz], {"LHYVE_ENGINE": engine})
        assert result.status == 0, result
        return leaves(result.output)

    # The TSC is the host's unless one is asked for.
    theirs = ask("kvm")
    khz = next(v for k, v in theirs.items() if k[2] == 0x40000010)
    assert ask("kvm", str(khz)) == theirs
    ours = ask("soft", str(khz))
    assert len(ours) > 900 and ours.keys() == theirs.keys()
    known = FEATURES if model == "host" else {}
    wrong = [(hex(key[2]), *key[3:], hex(ours[key]), hex(theirs[key]))
             for key in ours if ours[key] != theirs[key] and
             (key[2], key[4]) not in known]
    assert wrong == []
    # It is told truly: in kHz, and as a ratio of the APIC timer's crystal.
    at = {leaf: [v for k, v in theirs.items() if k[2] == leaf][:4]
          for leaf in (0x15, 0x40000010)}
    assert khz > 100000
    assert at[0x15][2] // 1000 * at[0x15][1] // at[0x15][0] == khz
