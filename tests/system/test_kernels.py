# SPDX-License-Identifier: BSD-2-Clause
"""The other forms in which a kernel comes than the bzImage of Debian."""

import struct
import subprocess

import pytest

from kernellog import complaints


@pytest.fixture(scope="module")
def vmlinux(files, tmp_path_factory):
    """The ELF file in a bzImage: payload_offset and payload_length of the
    header (Linux' x86 boot protocol, 2.08)."""
    with open(files.kernel, "rb") as f:
        image = f.read()
    sects = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sects + 1) * 512 + offset
    # The last four bytes are the length of what was packed.
    packed = image[start:start + length - 4]
    assert packed[:4] == b"\x02\x21\x4c\x18", "not packed by lz4"
    path = tmp_path_factory.mktemp("kernel") / "vmlinux"
    with open(path, "wb") as out:
        subprocess.run(["lz4", "-d", "-c"], input=packed, stdout=out,
                       check=True)
    return str(path)


def without_notes(path):
    """The same file with its PT_NOTE segments made PT_NULL."""
    with open(path, "rb") as f:
        elf = bytearray(f.read())
    phoff, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        at = phoff + i * size
        if struct.unpack_from("<I", elf, at)[0] == 4:
            struct.pack_into("<I", elf, at, 0)
    with open(path + "-no-notes", "wb") as f:
        f.write(elf)
    return path + "-no-notes"


def boots(machine, kernel):
    m = machine("-o", f"kernel={kernel}")
    assert complaints(m.boot()) == []
    assert m.run("echo $((6*7))") == "42\n"
    m.send("poweroff -f\r")
    assert m.wait() == 1
    assert m.restored()


def test_vmlinux_by_its_pvh_note(machine, vmlinux):
    boots(machine, vmlinux)


def test_vmlinux_by_its_entry(machine, vmlinux):
    boots(machine, without_notes(vmlinux))
