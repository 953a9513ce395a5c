# SPDX-License-Identifier: BSD-2-Clause
"""The files that a test's machine is made of."""

import gzip
import os
import pathlib
import shutil
import subprocess
from typing import NamedTuple


class Files(NamedTuple):
    lhyve: str
    kernel: str
    initrd: str
    probe: str  # guest/probe.c, in the guest as /bin/probe
    release: str  # of the kernel


def make(tmp, lhyve, guest):
    """In the directory `tmp`, which becomes one that all can read."""
    os.chmod(tmp, 0o755)
    copies = []
    for path, mode in ((lhyve, 0o755), (guest / "vmlinuz", 0o644),
                       (guest / "initrd.gz", 0o644)):
        copy = f"{tmp}/{path.name}"
        shutil.copyfile(path, copy)
        os.chmod(copy, mode)
        copies.append(copy)
    for name in "probe", "port", "high", "threads", "acks", "netio", "vsock":
        add_program(tmp, name, copies[-1])
    release = (guest / "vmlinuz").resolve().name.removeprefix("vmlinuz-")
    pathlib.Path(tmp, "release").write_text(release, encoding="utf-8")
    return load(tmp)


def load(tmp):
    """Those that make() put there."""
    return Files(f"{tmp}/lhyve", f"{tmp}/vmlinuz", f"{tmp}/initrd.gz",
                 f"{tmp}/bin/probe",
                 pathlib.Path(tmp, "release").read_text(encoding="utf-8"))


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
