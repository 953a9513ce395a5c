# SPDX-License-Identifier: BSD-2-Clause
"""The other forms in which a kernel comes than the bzImage of Debian."""

import hashlib
import os
import pathlib
import re
import struct
import subprocess

import pytest

from conftest import TOP
from console import REPLY
from kernellog import complaints, errors


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


def test_32_bit_debian(machine):
    """Debian's kernel for the 686 and programs of 32 bits: PAE paging with
    memory above 4 GiB, SYSENTER or INT 80h, segments for threads, and no long
    mode."""
    guest = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))
    kernel = guest / "vmlinuz-i386"
    assert kernel.exists(), "run `make guest32`"
    m = machine("-o", f"kernel={kernel}",
                "-o", f"initrd={guest / 'initrd-i386.gz'}",
                memory="5G", initrd=False)
    assert complaints(m.boot()) == []
    assert m.run("uname -m") == "i686\n"
    assert m.run("od -An -tx1 -j4 -N1 /bin/busybox") == " 01\n"  # ELFCLASS32
    kib = int(re.search(r"MemTotal:\s+(\d+) kB",
                        m.run("cat /proc/meminfo")).group(1))
    assert 4.5 * (1 << 20) < kib <= 5 << 20
    # Programs: processes, pipes, the FPU, a file larger than a page table.
    text = "".join(f"{i}\n" for i in range(1, 20001)).encode()
    want = hashlib.sha256(text).hexdigest()
    assert m.run("seq 20000 | gzip | gunzip | sha256sum").split()[0] == want
    assert m.run("for i in $(seq 40); do sh -c 'exit 3'; "
                 "[ $? = 3 ] || echo bad; done; echo done") == "done\n"
    assert m.run("awk 'BEGIN { printf \"%.12f %d\\n\", 355 / 113, "
                 "46341 * 46340 }'") == "3.141592920354 2147441940\n"
    zeroes = hashlib.sha256(bytes(8 << 20)).hexdigest()
    assert m.run("dd if=/dev/zero of=/tmp/x bs=1M count=8 2>/dev/null; "
                 "sha256sum </tmp/x", REPLY * 2).split()[0] == zeroes
    assert errors(m.run("dmesg -r")) == []
    m.send("poweroff -f\r")
    assert m.wait() == 1
    assert m.restored()
