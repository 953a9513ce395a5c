# SPDX-License-Identifier: BSD-2-Clause
"""The system tests of tests/system on the KVM engine: the same bodies, in a
pytest of their own on the host that has KVM. What is not in `excluded` runs;
a new test does so by itself."""

import os
import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
SYSTEM = TOP / "tests/system"
sys.path.insert(0, str(SYSTEM))

import guestfiles  # noqa: E402
import rig  # noqa: E402

# For make check: minutes. All of them are make check-kvm's.
SHORT = [
    "test_debug_ports.py",
    "test_ends.py::test_triple_fault",
    "test_ends.py::test_halt_without_kaslr_and_a_fifth_level",
    "test_processors.py::test_exit_status",
    "test_virtio.py::test_rnd[packed]",
]
# A rig has to be told how: the script has why.
PAE = [
    "test_kernels.py::test_32_bit_debian",
    "test_tables.py::test_mptable",
    "test_tables.py::test_no_mptable",
]
# Its tests talk to one machine.
WHOLE = ["test_shell.py"]


def excluded(is_rig):
    """What `excluded` lists: files, and tests by file::name."""
    listed, applies = [], True
    for line in (HERE / "excluded").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            applies = line == "[kvm]" or is_rig
        elif line and line[0] not in "# " and applies:
            listed.append(line)
    return listed


def items():
    """Each function is a command of its own, so that one is not repeated for
    the sake of another when a rig gets lost."""
    left_out = excluded(not rig.has_virtualization())
    for path in sorted(SYSTEM.glob("test_*.py")):
        if path.name in left_out:
            continue
        if path.name in WHOLE:
            yield path.name
            continue
        names = re.findall(r"^def (test_\w+)\(",
                           path.read_text(encoding="utf-8"), re.M)
        yield from (f"{path.name}::{name}" for name in names
                    if f"{path.name}::{name}" not in left_out)


def test_list():
    """What is excluded is there, and has a reason below it."""
    lines = (HERE / "excluded").read_text(encoding="utf-8").splitlines()
    for n, line in enumerate(lines):
        if not line or line[0] in "#[ ":
            continue
        name, _, test = line.partition("::")
        text = (SYSTEM / name).read_text(encoding="utf-8")
        assert not test or re.search(
            rf"^def {re.escape(test.partition('[')[0])}\(", text, re.M), line
        below = next(x for x in lines[n + 1:] + [""] if x[:1] in (" ", ""))
        assert below.strip(), f"{line}: no reason"


@pytest.fixture(scope="session")
def made(host, build, guest):
    """The files of the tests, made here, where a compiler is quick."""
    where = host.shared / "files"
    where.mkdir()
    guestfiles.make(str(where), build / "lhyve", guest)
    return where


def run(host, made, build, guest, chosen, timeout):
    env = {"LHYVE": build / "lhyve", "LHYVE_GUEST": guest,
           "LHYVE_FILES": made, "LHYVE_ENGINE": "kvm",
           "PYTHONDONTWRITEBYTECODE": "1", "HOME": os.environ["HOME"]}
    prefix = []
    if host.is_rig:
        env.update(rig.guest_env())
        if set(chosen) & set(PAE):
            prefix = [HERE / "without-npt"]
    left_out = [f"--deselect=tests/system/{name}"
                for name in excluded(host.is_rig)
                if name.endswith("]") or name.split("::")[0] in WHOLE]
    result = host.run([*prefix, "/usr/bin/python3", "-m", "pytest", "-m",
                        "long or not long", *left_out,
                       *[f"tests/system/{name}" for name in chosen]],
                      env, cwd=TOP, timeout=timeout)
    assert result.status == 0, result.output[-6000:]


def test_system(host, made, build, guest):
    run(host, made, build, guest, SHORT, 1800)


@pytest.mark.long
@pytest.mark.parametrize("name", items())
def test_system_long(host, made, build, guest, name):
    run(host, made, build, guest, [name], 3600)
