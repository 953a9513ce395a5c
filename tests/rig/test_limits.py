# SPDX-License-Identifier: BSD-2-Clause
"""What a machine on KVM may cost."""

import json
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]


@pytest.fixture(scope="module")
def costs(host, build, guest):
    rom = host.shared / "rom-sleep"
    subprocess.run(["nasm", "-f", "bin", "-o", rom, "-DDO_SLEEP",
                    HERE.parent / "system/guest/ends.asm"], check=True)
    result = host.run(["/usr/bin/python3", HERE / "measure.py",
                       build / "lhyve", guest / "vmlinuz", rom], timeout=600)
    assert result.status == 0, result
    return json.loads(result.output.splitlines()[-1])


def test_start(costs):
    """Fewer system calls to the first instruction than QEMU's microvm."""
    assert costs["lhyve_calls"] < costs["microvm_calls"]


def test_start_counted(guest, build, tmp_path):
    """The instructions until then, the host kernel's among them, where a
    rig counts them; the time where there is a real processor."""
    subprocess.run(["/usr/bin/python3", TOP / "bench/start", "--count",
                    "--cases", "elf", "--engines", "kvm", "-n", "5",
                    "--lhyve", build / "lhyve", "--guest", guest, "--kernel",
                    guest / "vmlinuz", "--initrd", guest / "initrd.gz",
                    "--out", tmp_path], check=True, timeout=900)
    rows = json.loads((tmp_path / "start.json").read_text())
    first = {r["machine"]: r for r in rows if r["to"] == "first"}
    assert first["lhyve"]["calls"] < 250 < first["microvm"]["calls"]
    if "ms" in first["lhyve"]:
        assert first["lhyve"]["ms"] <= 10
        return
    # KVM_CREATE_VM alone has ten of these.
    assert first["lhyve"]["instructions"] < 40e6
    assert (first["lhyve"]["instructions"] * 2 <
            first["microvm"]["instructions"])


def test_memory(costs):
    """With a disk and a network, beside the guest's memory."""
    assert costs["resident_kib"] <= 8192


def test_idle(costs):
    assert costs["wakeups_per_second"] < 20
