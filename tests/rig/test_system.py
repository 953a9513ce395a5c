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

# What is about options and files alone has no engine.
TESTS = [
    "test_ends.py",
    "test_smp.py",
    "test_debug_ports.py",
]


@pytest.fixture(scope="session")
def made(host, build, guest):
    """The files of the tests, made here, where a compiler is quick."""
    where = host.shared / "files"
    where.mkdir()
    guestfiles.make(str(where), build / "lhyve", guest)
    return where


@pytest.mark.parametrize("name", TESTS)
def test_system(host, made, build, guest, name):
    env = {"LHYVE": build / "lhyve", "LHYVE_GUEST": guest,
           "LHYVE_FILES": made, "LHYVE_ENGINE": "kvm",
           "PYTHONDONTWRITEBYTECODE": "1", "HOME": os.environ["HOME"]}
    result = host.run(["/usr/bin/python3", "-m", "pytest",
                       f"tests/system/{name}"], env, cwd=TOP, timeout=1200)
    assert result.status == 0, result.output[-6000:]
