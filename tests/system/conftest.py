# SPDX-License-Identifier: BSD-2-Clause
"""What is tested: build/lhyve and the guest's files, made by the Makefile.

LHYVE and LHYVE_GUEST name others.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import guestfiles
from console import Firmware, Machine

TOP = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def rundir():
    """Names of this suite's machines are its own: others may run vm0."""
    with tempfile.TemporaryDirectory(prefix="lhyve-run-") as tmp:
        os.chmod(tmp, 0o1777)
        os.environ["LHYVE_RUNDIR"] = tmp
        yield pathlib.Path(tmp)
        shutil.rmtree(tmp + "-nobody", ignore_errors=True)


@pytest.fixture(autouse=True)
def empty_rundir(rundir):
    """No directory of a test before, of another user even."""
    for name in os.listdir(rundir):
        shutil.rmtree(rundir / name)


@pytest.fixture(scope="session")
def files():
    """The files, copied to where an unprivileged user can read them."""
    lhyve = pathlib.Path(os.environ.get("LHYVE", TOP / "build/lhyve"))
    guest = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))
    for path in (lhyve, guest / "vmlinuz", guest / "initrd.gz"):
        if not path.exists():
            pytest.exit(f"{path} is missing: run `make all guest`", 2)
    # Made before, where making them takes long: tests/rig.
    if "LHYVE_FILES" in os.environ:
        yield guestfiles.load(os.environ["LHYVE_FILES"])
        return
    with tempfile.TemporaryDirectory(prefix="lhyve-test-") as tmp:
        yield guestfiles.make(tmp, lhyve, guest)


@pytest.fixture(scope="session")
def modules(files):
    """The files with modules of the kernel in the initramfs, which the test
    loads by m.run("modprobe -a NAME..."): modules("virtio_pci", ...)."""
    guest = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))
    made = {}

    def make(*names):
        if names not in made:
            initrd = f"{files.initrd}.{len(made)}"
            more = f"{initrd}.modules"
            subprocess.run([TOP / "scripts/make-modules", more, guest, *names],
                           check=True)
            with open(initrd, "wb") as out:
                for part in files.initrd, more:
                    out.write(pathlib.Path(part).read_bytes())
            os.chmod(initrd, 0o644)
            os.unlink(more)
            made[names] = files._replace(initrd=initrd)
        return made[names]

    return make


@pytest.fixture
def machine(files):
    """Makes machines; ends those that a test leaves."""
    made = []

    def make(*args, files=files, **kwargs):
        made.append(Machine(files, *args, **kwargs))
        return made[-1]

    yield make
    for m in made:
        m.close()


@pytest.fixture
def firmware(files):
    """The same with a boot ROM."""
    made = []

    def make(rom, *options, **kwargs):
        made.append(Firmware(files, rom, *options, **kwargs))
        return made[-1]

    yield make
    for m in made:
        m.close()


@pytest.fixture
def ending(files, tmp_path):
    """Makes machines with guest/ends.asm as their ROM: what it does, then
    options; ends those that a test leaves."""
    made = []

    def make(what, *options, **kwargs):
        made.append(Firmware(files, ends_rom(tmp_path, what), *options,
                             **kwargs))
        return made[-1]

    yield make
    for m in made:
        m.close()


def ends_rom(tmp_path, what):
    source = pathlib.Path(__file__).parent / "guest" / "ends.asm"
    rom = tmp_path / f"rom-{what.partition('=')[0]}"
    subprocess.run(["nasm", "-f", "bin", "-o", rom, f"-DDO_{what}", source],
                   check=True)
    return rom
