# SPDX-License-Identifier: BSD-2-Clause
"""What is tested: build/lhyve and the guest's files, made by the Makefile.

LHYVE and LHYVE_GUEST name others.
"""

import gzip
import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import NamedTuple

import pytest

from console import Firmware, Machine

TOP = pathlib.Path(__file__).resolve().parents[2]


class Files(NamedTuple):
    lhyve: str
    kernel: str
    initrd: str
    probe: str  # guest/probe.c, in the guest as /bin/probe
    release: str  # of the kernel


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
        add_program(tmp, "probe", copies[-1])
        add_program(tmp, "port", copies[-1])
        add_program(tmp, "high", copies[-1])
        add_program(tmp, "threads", copies[-1])
        yield Files(*copies, f"{tmp}/bin/probe", release)


def add_program(tmp, name, initrd):
    """Builds a program of guest/ and appends it to an initramfs: the kernel
    takes one archive after the other."""
    os.makedirs(f"{tmp}/bin", exist_ok=True)
    source = pathlib.Path(__file__).parent / "guest" / f"{name}.c"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-pthread",
         "-s", "-o", f"{tmp}/bin/{name}", source, "-lm"], check=True)
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tmp,
        input=f"bin/{name}\n".encode(), stdout=subprocess.PIPE, check=True)
    with open(initrd, "ab") as f:
        f.write(gzip.compress(archive.stdout))


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
