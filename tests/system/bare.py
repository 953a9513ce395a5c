# SPDX-License-Identifier: BSD-2-Clause
"""Programs of guest/ that run without an operating system."""

import pathlib
import subprocess

from console import PATIENCE, engine

GUEST = pathlib.Path(__file__).parent / "guest"


def build(name, out):
    """Compiles guest/NAME.c to an ELF file with a PVH entry."""
    subprocess.run(
        ["gcc", "-m32", "-march=i686", "-O1", "-Wall", "-Wextra", "-Werror",
         "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-mno-sse",
         "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext-segment=0x200000",
         "-Wl,--build-id=none", "-Wl,-melf_i386", "-o", out,
         GUEST / f"{name}.c"], check=True)
    return out


def run(files, kernel, *options, typed=b""):
    """Runs it to its end: exit status, output, messages."""
    run = subprocess.run(
        [files.lhyve, "-A", "-H", "-m", "64M", "-s", "0,hostbridge",
         "-s", "31,lpc", *options, *engine(),
         "-o", f"kernel={kernel}", "vm0"], input=typed,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120 * PATIENCE,
        check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode()
