# SPDX-License-Identifier: BSD-2-Clause
"""The system tests of tests/system on the KVM engine: the same bodies, in a
pytest of their own on the host that has KVM."""

import os
import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/system"))

import guestfiles  # noqa: E402

# What is about options and files alone has no engine. A rig has no 8 GiB, and
# in it an exit takes so long that a kernel finds no clock to calibrate the TSC
# by, and complains: test_without_apics. Of LONG not all has been seen to pass:
# a kernel with two processors sometimes stops halfway through its boot there,
# and whether that is lhyve or the rig's processor is not known yet.
TESTS = [
    ("test_debug_ports.py", ""),
    ("test_ends.py", "triple_fault or halt_without_kaslr"),
]
LONG = [
    ("test_ends.py", "not 8g and not without_apics"),
    ("test_exits.py", ""),
    ("test_lifecycle.py", ""),
    ("test_multiboot.py", ""),
    ("test_pci.py", ""),
    ("test_rom.py", ""),
    ("test_serial.py", ""),
    ("test_shell.py", ""),
    ("test_smp.py", ""),
]


@pytest.fixture(scope="session")
def made(host, build, guest):
    """The files of the tests, made here, where a compiler is quick."""
    where = host.shared / "files"
    where.mkdir()
    guestfiles.make(str(where), build / "lhyve", guest)
    return where


def run(host, made, build, guest, name, chosen, timeout):
    env = {"LHYVE": build / "lhyve", "LHYVE_GUEST": guest,
           "LHYVE_FILES": made, "LHYVE_ENGINE": "kvm",
           "PYTHONDONTWRITEBYTECODE": "1", "HOME": os.environ["HOME"]}
    result = host.run(["/usr/bin/python3", "-m", "pytest",
                       f"tests/system/{name}", "-k", chosen], env, cwd=TOP,
                      timeout=timeout)
    assert result.status == 0, result.output[-6000:]


@pytest.mark.parametrize("name, chosen", TESTS)
def test_system(host, made, build, guest, name, chosen):
    run(host, made, build, guest, name, chosen, 600)


@pytest.mark.long
@pytest.mark.parametrize("name, chosen", LONG)
def test_system_long(host, made, build, guest, name, chosen):
    run(host, made, build, guest, name, chosen, 3600)
