# SPDX-License-Identifier: BSD-2-Clause
"""Multiboot images of others: GRUB and Xen."""

import os
import pathlib
import struct
import subprocess

import pytest

from conftest import TOP
from console import Console, PC, engine

SERIAL = """\
serial --unit=0 --speed=115200
terminal_output serial
terminal_input serial
"""

COREBOOT = "/usr/lib/grub/i386-coreboot"


@pytest.fixture
def image(files):
    """Makes machines that start an image; ends those that a test leaves."""
    made = []

    def make(kernel, *options):
        made.append(Console(
            [files.lhyve, *PC, "-m", "256M", "-l", "com1,stdio", *engine(),
             "-o", f"kernel={kernel}", *options, "vm0"]))
        return made[-1]

    yield make
    for m in made:
        m.close()


def grub(tmp_path, commands):
    """GRUB's image for coreboot, a Multiboot one that lies below 640 KiB.

    As such it asks coreboot's table for memory, and nothing else, so one goes
    with it, in a segment of its own at 0x500 (lbio.h: a header, one record of
    two ranges, zeroes behind).
    """
    config = tmp_path / "early.cfg"
    config.write_text(SERIAL + commands)
    core = tmp_path / "core.elf"
    subprocess.run(
        ["grub-mkimage", "-O", "i386-coreboot", "-d", COREBOOT, "-p", "/",
         "-c", config, "-o", core, "serial", "terminal", "echo", "lsmmap",
         "halt", "iorw"], check=True)
    ranges = struct.pack("<QQIQQI", 0, 0x9fc00, 1, 0x100000, 63 << 20, 1)
    record = struct.pack("<II", 1, 8 + len(ranges)) + ranges
    table = struct.pack("<4sIIIII", b"LBIO", 24, 0, len(record), 0, 1) + \
        record + bytes(8)
    elf = bytearray(core.read_bytes())
    elf += bytes(-len(elf) % 16)
    phoff, = struct.unpack_from("<I", elf, 28)
    size, count = struct.unpack_from("<HH", elf, 42)
    # In the place of PT_GNU_STACK, which says nothing here.
    at = [phoff + i * size for i in range(count)
          if struct.unpack_from("<I", elf, phoff + i * size)[0] == 0x6474e551]
    struct.pack_into("<8I", elf, at[0], 1, len(elf), 0x500, 0x500,
                     len(table), len(table), 6, 16)
    path = tmp_path / "grub.elf"
    path.write_bytes(elf + table)
    return path


def test_grub_powers_off(image, tmp_path):
    """It finds the RSDP in memory and \\_S5 in the DSDT."""
    m = image(grub(tmp_path, "echo GRUB runs\nlsmmap\nhalt\n"))
    m.expect("GRUB runs")
    m.expect("base_addr = 0x100000, length = 0x3f00000, available RAM")
    assert m.wait() == 1
    assert m.restored()


def test_grub_resets(image, tmp_path):
    m = image(grub(tmp_path, "echo going\noutb 0xcf9 6\n"))
    m.expect("going")
    assert m.wait() == 0
    assert m.restored()


@pytest.fixture(scope="module")
def xen():
    guest = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))
    assert (guest / "xen").exists(), "run `make check` or scripts/fetch-xen"
    return guest / "xen"


XEN = "com1=115200,8n1 console=com1 loglvl=all"


def starts_xen(m):
    m.expect(r"\(XEN\) Xen version 4\.")
    m.expect(r"\(XEN\) Bootloader: lhyve\r")
    m.expect(rf"\(XEN\) Command line: {XEN}\r")


def test_xen_by_multiboot2(image, xen):
    m = image(xen, "-o", f"cmdline={XEN}")
    starts_xen(m)
    m.expect("dom0 kernel not specified")
    m.expect("Reboot in five seconds")
    assert m.wait() == 0
    assert m.restored()


def test_xen_by_multiboot1(image, xen, tmp_path):
    """Its other header, and a module: it reads the tables, uses them to start
    the processors, and finds that the module is no kernel."""
    data = bytearray(xen.read_bytes())
    at = data.index(struct.pack("<I", 0xE85250D6))
    data[at] ^= 0xFF
    path = tmp_path / "xen"
    path.write_bytes(data)
    module = tmp_path / "dom0"
    module.write_bytes(bytes(8192))
    m = image(path, "-o", f"cmdline={XEN}", "-c", "2", "-o",
              f"module.0.path={module}", "-o", "module.0.cmdline=foo=bar")
    starts_xen(m)
    m.expect("Multiboot-e820 RAM map")
    m.expect("0000000000100000, 000000000fffffff. .usable")
    m.expect("MCFG area at e0000000 reserved in E820")
    m.expect("Brought up 2 CPUs")
    m.expect("ELF: not an ELF binary")
    m.expect("Could not construct domain 0")
    assert m.wait() == 0


def test_linux_takes_no_modules(files, tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    for options, message in (
            (["-o", f"module.3.path={tmp_path}/x"],
             "this kind of kernel takes no modules; leave -o module.3.path "
             "out"),
            (["-o", "module.0.cmdline=x"],
             "-o module.0.cmdline=x: there is no such module; set "
             "module.0.path")):
        done = subprocess.run(
            [files.lhyve, "-m", "256M", "-o", f"kernel={files.kernel}",
             *options, "vm0"], stdin=subprocess.DEVNULL, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            check=False)
        assert done.returncode == 4
        assert message in done.stderr
