# SPDX-License-Identifier: BSD-2-Clause
"""PCI as a bare-metal program sees it: guest/pci.c with pci-testdev."""

import pathlib
import subprocess

import pytest

GUEST = pathlib.Path(__file__).parent / "guest"


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    out = tmp_path_factory.mktemp("pci") / "pci"
    subprocess.run(
        ["gcc", "-m32", "-march=i686", "-O1", "-Wall", "-Wextra", "-Werror",
         "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-mno-sse",
         "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext-segment=0x200000",
         "-Wl,--build-id=none", "-Wl,-melf_i386", "-o", out, GUEST / "pci.c"],
        check=True)
    return out


@pytest.mark.parametrize("slot", ["3", "4:2", "0:30:0"])
def test_pci_testdev(files, kernel, slot):
    """Each slot has its own pins and routes."""
    extra = []
    if slot == "4:2":
        # These have INTA# and INTB#; the guest takes the last.
        extra = ["-s", "4,pci-testdev", "-s", "4:1,pci-testdev"]
    run = subprocess.run(
        [files.lhyve, "-A", "-H", "-m", "64M", "-s", "0,hostbridge",
         "-s", "31,lpc", *extra, "-s", f"{slot},pci-testdev",
         "-l", "com1,stdio", "-o", "engine=soft", "-o", f"kernel={kernel}",
         "vm0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=60, check=False)
    out = run.stdout.decode()
    assert run.stderr == b""
    assert "WRONG" not in out
    assert out.endswith("all is well\r\n")
    assert run.returncode == 1
