# SPDX-License-Identifier: BSD-2-Clause
"""The host with KVM that the tests of this directory run on: this machine if
its processor has VT-x or SVM, a rig otherwise."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rig  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("LHYVE", TOP / "build/lhyve")).parent
GUEST = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))


class Direct:
    """This machine; the same calls as Rig."""

    is_rig = False

    def __init__(self, shared):
        self.shared = shared

    def run(self, command, env=None, cwd=None, timeout=rig.COMMAND):
        if not isinstance(command, str):
            command = shlex.join(map(str, command))
        done = subprocess.run(
            command, shell=True, env={**os.environ, **(env or {})}, cwd=cwd,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=timeout, check=False)
        return rig.Result(done.returncode,
                          done.stdout.decode(errors="replace"))


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    if rig.has_virtualization():
        yield Direct(tmp_path_factory.mktemp("shared"))
        return
    with rig.Rig(GUEST) as booted:
        booted.is_rig = True
        yield booted


@pytest.fixture(scope="session")
def build(host):
    """A copy of what is run, so that nobody builds it anew meanwhile."""
    copy = host.shared / "build"
    copy.mkdir()
    for path in (BUILD / "src/cmd/lhyve",
                 BUILD / "tests/guest/kernel/kernel.elf",
                 *(BUILD / "tests/guest/small").glob("small-*")):
        if path.is_file():
            shutil.copy(path, copy / path.name)
    if not (copy / "lhyve").exists():
        pytest.exit(f"{BUILD} has no lhyve: run `make all`", 2)
    return copy


@pytest.fixture(scope="session")
def guest():
    return GUEST


@pytest.fixture(scope="session")
def differs():
    """What the rig's processor does otherwise, by group: `differs`."""
    groups, names = {}, set()
    path = pathlib.Path(__file__).parent / "differs"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            names = groups.setdefault(line.strip("[]"), set())
        elif line and not line.startswith("#"):
            names.add(line)
    return groups
