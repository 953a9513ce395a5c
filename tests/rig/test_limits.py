# SPDX-License-Identifier: BSD-2-Clause
"""What a machine on KVM may cost."""

import json
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent


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


def test_memory(costs):
    """With a disk and a network, beside the guest's memory."""
    assert costs["resident_kib"] <= 8192


def test_idle(costs):
    assert costs["wakeups_per_second"] < 20
