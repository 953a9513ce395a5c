# SPDX-License-Identifier: BSD-2-Clause
"""Machines that start from a boot ROM: a small one of our own, and SeaBIOS
with what Debian has for real mode."""

import pathlib
import re
import subprocess
import time

import pytest

from console import PATIENCE, kernel_cmdline
from kernellog import complaints

GUEST = pathlib.Path(__file__).parent / "guest"
GRUB = pathlib.Path("/usr/lib/grub/i386-pc")
MEMTEST = {"x64": "/boot/memtest86+x64.bin", "ia32": "/boot/memtest86+ia32.bin"}
FLOPPY = 1440 << 10


@pytest.fixture
def rom(tmp_path):
    path = tmp_path / "rom"
    subprocess.run(["nasm", "-f", "bin", "-o", path, GUEST / "rom.asm"],
                   check=True)
    assert path.stat().st_size == 128 << 10
    return path


def test_reset_vector_to_protected_mode(firmware, rom):
    m = firmware(rom)
    m.expect("real mode, copy is RAM, ROM is ROM\r\n")
    assert m.wait() == 0
    assert m.restored()


def test_variables(firmware, rom, tmp_path):
    variables = tmp_path / "variables"
    variables.write_bytes(b"1" + bytes(4095))
    for n in (1, 2):
        m = firmware(f"{rom},{variables}")
        m.expect(f"ROM is ROM\r\nvariable {n}")
        assert m.wait() == 0
    assert variables.read_bytes() == b"3" + bytes(4095)


@pytest.fixture
def seabios(firmware, tmp_path):
    """Makes machines with SeaBIOS, its screen on COM1, and perhaps a floppy:
    a file, which SeaBIOS takes from fw_cfg. It wants a host bridge of QEMU's
    to look there."""
    port = tmp_path / "port"
    port.write_bytes((0x3f8).to_bytes(2, "little"))

    def make(floppy=None, rom="bios.bin", *more, files=None, **kwargs):
        options = ["-l", "fwcfg,qemu",
                   "-o", "pci.0.0.0.pcireg.subvendor=0x1af4",
                   "-o", "pci.0.0.0.pcireg.subdevice=0x1100",
                   "-f", f"etc/sercon-port,file={port}"]
        if floppy:
            options += ["-f", f"name=floppyimg/test,file={floppy}"]
        for name, path in (files or {}).items():
            options += ["-f", f"{name},file={path}"]
        return firmware(f"/usr/share/seabios/{rom}", *options, *more,
                        **kwargs)

    return make


def drawn(text):
    """The text, as SeaBIOS shows its screen: when it is slow it moves the
    cursor in the middle of a word."""
    return r"(?:\x1b\[[\d;]*[A-Za-z])*".join(map(re.escape, text))


@pytest.mark.parametrize("rom", ["bios.bin", "bios-256k.bin"])
def test_seabios_to_its_boot_attempt(seabios, rom):
    m = seabios(rom=rom)
    m.expect(r"SeaBIOS \(version ")
    m.expect(r"Booting from ")
    m.expect(r"No bootable device\.")


@pytest.fixture
def kernel(files):
    """Options for a firmware that starts the small guest from fw_cfg."""
    return ["-o", f"kernel={files.kernel}", "-o", f"initrd={files.initrd}",
            "-o", f"cmdline={kernel_cmdline()}"]


def has_our_tables(m, log):
    """What the firmware placed is what a kernel started without one has."""
    assert complaints(log) == []
    assert re.search(r"DMI: Somebody BHYVE/BHYVE", log)
    tables = dict(re.findall(r"ACPI: (\w+) 0x(\w+) .*BHYVE", log))
    assert set(tables) == {"RSDP", "XSDT", "APIC", "FACP", "DSDT", "HPET",
                           "MCFG", "SRAT", "SLIT"}
    assert "checksum" not in m.run("dmesg | grep -i acpi").replace(
        "Early table checksum verification disabled", "")
    assert m.run("nproc").split() == ["4"]
    assert m.run("ls /sys/devices/system/node | grep -c '^node'") == "2\n"
    assert m.run("cat /sys/class/dmi/id/product_uuid").strip() == UUID
    assert m.run("ls -d /sys/bus/acpi/devices/BHYV0001:00").strip()
    # Its place in the DSDT is one that the firmware has reserved.
    text = m.run("cat /proc/iomem")
    kept = [range(int(a, 16), int(b, 16) + 1) for a, b in re.findall(
        r"(\w+)-(\w+) : (?:Reserved|ACPI)", text)]
    dsdt = int(tables["DSDT"], 16)
    assert any(dsdt in r for r in kept)


UUID = "01234567-89ab-cdef-0123-456789abcdef"
NUMA = ["-c", "4", "-n", "id=0,size=256M,cpus=0-1",
        "-n", "id=1,size=256M,cpus=2-3", "-U", UUID,
        "-o", "system.manufacturer=Somebody"]


def test_seabios_with_our_tables(seabios, kernel):
    """QEMU's option ROM starts the kernel; SeaBIOS places the tables."""
    m = seabios(None, "bios-256k.bin", *kernel, *NUMA, memory="512M",
                files={"genroms/linuxboot_dma.bin":
                       "/usr/share/qemu/linuxboot_dma.bin"})
    log = m.boot()
    has_our_tables(m, log)
    m.send("poweroff -f\r")
    assert m.wait() == 1


def test_seabios_starts_again(seabios, kernel):
    """-o reboot=internal: what fw_cfg has is there again."""
    m = seabios(None, "bios-256k.bin", *kernel, "-o", "reboot=internal",
                memory="512M",
                files={"genroms/linuxboot_dma.bin":
                       "/usr/share/qemu/linuxboot_dma.bin"})
    m.boot()
    m.send("reboot -f\r")
    log = m.boot()
    assert re.search(r"ACPI: DSDT 0x\w+ .*BHYVE", log)
    m.send("poweroff -f\r")
    assert m.wait() == 1


def grub(tmp_path, script, *files):
    """A floppy with GRUB in its first sectors, which runs the script; the
    files are in its (memdisk)."""
    (tmp_path / "script").write_text(
        "serial --unit=0 --speed=115200\n"
        "terminal_output serial\n" + script)
    subprocess.run(["tar", "-cf", tmp_path / "tar", "--transform", "s,.*/,,",
                    "-P", tmp_path / "script", *files], check=True)
    subprocess.run(
        ["grub-mkimage", "-O", "i386-pc", "-o", tmp_path / "core",
         "-c", tmp_path / "script", "-m", tmp_path / "tar", "-p", "(memdisk)",
         "biosdisk", "boot", "echo", "halt", "linux16", "lsmmap", "memdisk",
         "reboot", "serial", "tar", "terminal"], check=True)
    floppy = tmp_path / "floppy"
    image = (GRUB / "boot.img").read_bytes() + (tmp_path / "core").read_bytes()
    floppy.write_bytes(image.ljust(FLOPPY, b"\0"))
    return floppy


@pytest.mark.parametrize("memory", ["64M", "5G"])
def test_grub_and_the_memory_map(seabios, tmp_path, memory):
    """INT 13h and INT 15h of SeaBIOS, called by GRUB from protected mode."""
    m = seabios(grub(tmp_path, 'echo "map:"\nlsmmap\necho "done."\nhalt\n'),
                memory=memory)
    m.expect("map:")
    m.expect(r"done\.")
    ranges = [(int(base, 16), int(length, 16), kind) for base, length, kind
              in re.findall(r"base_addr = (\w+), length = (\w+), (\w+)",
                            m.tty.before)]
    assert ranges == sorted(ranges)
    below = [base + length for base, length, _ in ranges if base < 0xc0000000]
    above = [r for r in ranges if r[0] >= 1 << 32]
    if memory == "64M":
        assert max(below) == 64 << 20 and not above
    else:
        assert max(below) == 3 << 30
        assert above == [(1 << 32, 2 << 30, "available")]
    # No more than a few MiB are the BIOS's.
    ram = sum(length for _, length, kind in ranges if kind == "available")
    total = (64 << 20) if memory == "64M" else (5 << 30)
    assert total - (4 << 20) < ram < total
    # It finds the DSDT, and in it how to turn off.
    assert m.wait() == 1
    assert m.restored()


class Memtest:
    """Memtest86+'s screen, as it comes over the serial line."""

    def __init__(self, m):
        self.m = m
        m.expect(r"Memtest86\+ v")

    def until(self, test, done=0, timeout=240):
        """Until it says that it is at this test, or behind, and has done so
        many passes, without an error. The screen is sent every 2 s, so that
        short tests do not show."""
        deadline = time.monotonic() + timeout * PATIENCE
        at = passes = -1
        while at < test or passes < done:
            what = self.m.expect(
                r"#(\d+) |Pass: +(\d+) +Errors: +(\d+)",
                deadline - time.monotonic())
            if what.group(1):
                at = int(what.group(1))
            else:
                passes = int(what.group(2))
                assert what.group(3) == "0"

    def leave(self):
        self.m.send("\x1b")
        assert self.m.wait() == 0
        assert self.m.restored()


def syslinux(tmp_path, kernel, append=""):
    floppy = tmp_path / "floppy"
    floppy.write_bytes(bytes(FLOPPY))
    config = tmp_path / "syslinux.cfg"
    config.write_text("SERIAL 0 115200\nSAY hello from the floppy\n"
                      "DEFAULT test\nPROMPT 0\nLABEL test\n"
                      f"LINUX kernel\nAPPEND {append}\n")
    subprocess.run(["mformat", "-i", floppy, "-f", "1440", "::"], check=True)
    subprocess.run(["syslinux", "--install", floppy], check=True)
    subprocess.run(["mcopy", "-i", floppy, config, "::syslinux.cfg"],
                   check=True)
    subprocess.run(["mcopy", "-i", floppy, kernel, "::kernel"], check=True)
    return floppy


def test_syslinux_and_memtest(seabios, tmp_path):
    """Its real-mode code reads a file system and starts a kernel at its
    real-mode entry."""
    m = seabios(syslinux(tmp_path, MEMTEST["x64"], "console=ttyS0,115200"))
    m.expect(r"SYSLINUX \d")
    m.expect(drawn("hello from the floppy"))
    memtest = Memtest(m)
    memtest.until(6)
    memtest.leave()


def type_in(m, text):
    """No faster than it is echoed: a BIOS keeps 15 keys."""
    for key in text:
        m.send(key)
        m.expect(re.escape(key))


def test_ipxe(seabios, tmp_path):
    """It goes to real mode for each call of the BIOS, with interrupts of its
    own in between; the keys come through INT 16h."""
    m = seabios(syslinux(tmp_path, "/boot/ipxe.lkrn"))
    m.expect(r"iPXE initialising devices\.\.\.")
    m.expect("Press Ctrl-B")
    m.send("\x02")
    m.expect("iPXE> ")
    for command, answer in (
            ("cpuid --ext 29 && echo ${sp}64-bit", r"\n64-bit"),
            ("set n:int32 41 && inc n && echo ${n}", r"\n42")):
        type_in(m, command)
        m.send("\r")
        m.expect(answer)
        m.expect("iPXE> ")
    type_in(m, "reboot")
    m.send("\r")
    assert m.wait() == 0
    assert m.restored()


def test_grub_and_memtest(seabios, tmp_path):
    m = seabios(grub(
        tmp_path, "linux16 (memdisk)/memtest86+ia32.bin "
        "console=ttyS0,115200\nboot\n", MEMTEST["ia32"]))
    memtest = Memtest(m)
    memtest.until(6)
    memtest.leave()


@pytest.mark.long
@pytest.mark.parametrize("kernel", MEMTEST)
def test_a_pass_of_memtest(machine, kernel):
    """Every test of its first pass, the bit fade included (100 s)."""
    m = machine("-o", f"kernel={MEMTEST[kernel]}",
                "-o", "cmdline=console=ttyS0,115200", memory="64M",
                initrd=False)
    memtest = Memtest(m)
    memtest.until(9)
    memtest.until(0, 1, 900)
    memtest.leave()
