# SPDX-License-Identifier: BSD-2-Clause
"""What is tested: build/lhyve and the guest's files, made by the Makefile.

LHYVE and LHYVE_GUEST name others.
"""

import os
import pathlib
import shutil
import tempfile
from typing import NamedTuple

import pytest

from console import Machine

TOP = pathlib.Path(__file__).resolve().parents[2]


class Files(NamedTuple):
    lhyve: str
    kernel: str
    initrd: str
    release: str  # of the kernel


@pytest.fixture(scope="session")
def files():
    """The files, copied to where an unprivileged user can read them."""
    lhyve = pathlib.Path(os.environ.get("LHYVE", TOP / "build/lhyve"))
    guest = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))
    for path in (lhyve, guest / "vmlinuz", guest / "initrd.gz"):
        if not path.exists():
            pytest.exit(f"{path} is missing: run `make all guest`", 2)
    release = (guest / "vmlinuz").resolve().name.removeprefix("vmlinuz-")
    with tempfile.TemporaryDirectory(prefix="lhyve-test-") as tmp:
        os.chmod(tmp, 0o755)
        copies = []
        for path, mode in ((lhyve, 0o755), (guest / "vmlinuz", 0o644),
                           (guest / "initrd.gz", 0o644)):
            copy = f"{tmp}/{path.name}"
            shutil.copyfile(path, copy)
            os.chmod(copy, mode)
            copies.append(copy)
        yield Files(*copies, release)


@pytest.fixture
def machine(files):
    """Makes machines; ends those that a test leaves."""
    made = []

    def make(*args, **kwargs):
        made.append(Machine(files, *args, **kwargs))
        return made[-1]

    yield make
    for m in made:
        m.close()
