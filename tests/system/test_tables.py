# SPDX-License-Identifier: BSD-2-Clause
"""What the guest reads in the tables that lhyve makes."""

import gzip
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import TOP
from kernellog import complaints, errors

UUID = "00112233-4455-6677-8899-aabbccddeeff"


@pytest.fixture(scope="module")
def dmidecode(files, tmp_path_factory):
    """An initramfs with Debian's dmidecode and its libraries."""
    program = shutil.which("dmidecode", path="/usr/sbin:/usr/bin")
    assert program, "run scripts/deps check"
    top = tmp_path_factory.mktemp("dmi")
    listed = subprocess.run(["ldd", program], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    names = [program] + re.findall(r"(/\S+) \(0x", listed)
    made = set()
    for name in names:
        to = "bin/dmidecode" if name == program else name.lstrip("/")
        os.makedirs(top / os.path.dirname(to), exist_ok=True)
        shutil.copyfile(os.path.realpath(name), top / to)
        os.chmod(top / to, 0o755)
        made.add(to)
        for parent in pathlib.PurePath(to).parents:
            made.add(str(parent))
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=top,
        input="\n".join(sorted(made - {"."})).encode(),
        stdout=subprocess.PIPE, check=True)
    initrd = top / "initrd.gz"
    shutil.copyfile(files.initrd, initrd)
    with open(initrd, "ab") as f:
        f.write(gzip.compress(archive.stdout))
    return initrd


def test_smbios(machine, dmidecode):
    m = machine("-o", f"initrd={dmidecode}", "-U", UUID, "-c",
                "sockets=2,cores=2", "-o", "system.serial_number=SN 17",
                "-o", "chassis.asset_tag=shelf 3", "-o",
                "bios.vendor=%(name) maker", memory="4G", initrd=False)
    log = m.boot()
    assert complaints(log) == []
    assert "SMBIOS 3.0.0 present" in log
    out = m.run("dmidecode 2>&1")
    assert not re.search("BAD|OUT OF SPEC|Wrong|Invalid|TRUNCATED|broken|"
                         "differs|WARNING", out), out
    for line in ("Vendor: vm0 maker", "Serial Number: SN 17",
                 f"UUID: {UUID}", "Asset Tag: shelf 3",
                 "Socket Designation: CPU #1", "Core Count: 2",
                 "Manufacturer: FreeBSD", "Product Name: BHYVE",
                 "Maximum Capacity: 4 GB", "Range Size: 3 GB",
                 "Range Size: 1 GB"):
        assert line in out, f"{line}\n{out}"
    for name, value in (("product_uuid", UUID), ("product_serial", "SN 17"),
                        ("sys_vendor", "FreeBSD"),
                        ("chassis_asset_tag", "shelf 3"),
                        ("bios_version", "14.0")):
        assert m.run(f"cat /sys/class/dmi/id/{name}") == value + "\n"
    # The entry of version 2, from memory.
    entry = m.run("dd if=/dev/mem bs=1 skip=$((0xf1020)) count=31 "
                  "2>/dev/null | od -An -v -tu1").split()
    assert len(entry) == 31 and sum(map(int, entry)) % 256 == 0
    assert entry[:4] == [str(c) for c in b"_SM_"]
    m.send("poweroff -f\r")
    assert m.wait() == 1


def mp_guest(machine, *options):
    """A kernel that still reads MP tables: Debian's for the 686. The one for
    the cloud is built without that."""
    guest = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))
    kernel = guest / "vmlinuz-i386"
    assert kernel.exists(), "run `make guest32`"
    return machine("-o", f"kernel={kernel}",
                   "-o", f"initrd={guest / 'initrd-i386.gz'}", *options,
                   memory="256M", cmdline="acpi=off", initrd=False)


def test_mptable(machine):
    m = mp_guest(machine, "-c", "4")
    log = m.boot()
    # Without ACPI it has the PIT alone to measure the TSC by, and gives up
    # where the host is busy.
    assert [line for line in complaints(log) if "could not calculate TSC khz"
            not in line and "Unstable clock detected" not in line] == []
    assert "found SMP MP-table at [mem 0x000f0000-0x000f000f]" in log
    assert "MPTABLE: OEM ID: BHyVe" in log
    assert m.run("nproc") == "4\n"
    interrupts = m.run("cat /proc/interrupts")
    for pattern in (r" 4:.* IO-APIC +4-edge +ttyS0",
                    r" 8:.* IO-APIC +8-edge +rtc0"):
        assert re.search(pattern, interrupts), interrupts
    m.send("reboot -f\r")
    assert m.wait() == 0


def test_no_mptable(machine):
    m = mp_guest(machine, "-c", "2", "-Y")
    log = m.boot()
    assert "MP-table" not in log
    assert m.run("nproc") == "1\n"
    m.send("reboot -f\r")
    assert m.wait() == 0


def test_domains(machine):
    """The sizes of the domains are the memory, whatever -m says."""
    m = machine("-c", "4", "-n", "id=0,size=3G,cpus=0,3",
                "-n", "id=1,size=512M,cpus=1-2", memory="1G")
    log = m.boot()
    assert complaints(log) == []
    assert "SRAT: PXM 1 -> APIC 0x02 -> Node 1" in log
    assert "Unknown NUMA node" not in log
    node = "/sys/devices/system/node"
    assert m.run(f"cat {node}/online") == "0-1\n"
    for n, cpus, low, high, distance in (
            (0, "0,3", 2800, 3072, "10 20"), (1, "1-2", 450, 512, "20 10")):
        assert m.run(f"cat {node}/node{n}/cpulist") == cpus + "\n"
        assert m.run(f"cat {node}/node{n}/distance") == distance + "\n"
        total = re.search(r"MemTotal: +(\d+) kB",
                          m.run(f"cat {node}/node{n}/meminfo"))
        assert low << 10 < int(total.group(1)) <= high << 10
    assert errors(m.run("dmesg -r")) == []
    m.send("poweroff -f\r")
    assert m.wait() == 1


def test_devices_of_the_dsdt(machine):
    """Processors, and the device with the generation's identifier, which is
    another one at each start."""
    guids = set()
    for _ in range(2):
        m = machine("-c", "2")
        assert complaints(m.boot()) == []
        acpi = "/sys/bus/acpi/devices"
        for n in range(2):
            assert m.run(f"cat {acpi}/ACPI0007:0{n}/uid") == f"{n}\n"
        assert m.run(f"cat {acpi}/BHYV0001:00/path") == "\\_SB_.GENC\n"
        assert "VM_GEN_COUNTER:VMGENCTR" in \
            m.run(f"cat {acpi}/BHYV0001:00/modalias")
        guid = m.run("dd if=/dev/mem bs=16 skip=$((0xfe00)) count=1 "
                     "2>/dev/null | od -An -v -tx1").split()
        assert len(guid) == 16 and guid != ["00"] * 16
        guids.add(tuple(guid))
        m.send("poweroff -f\r")
        assert m.wait() == 1
    assert len(guids) == 2


@pytest.mark.parametrize("memory", ["80M", "256M", "3G", "3073M", "8G"])
def test_memory_map(machine, memory):
    """What firmware says there is: all of it, once, and what is reserved."""
    m = machine(memory=memory, initrd=False, cmdline="panic=-1")
    m.expect("BIOS-provided physical RAM map")
    m.expect("NX|DMI|SMBIOS")
    ranges = [(int(a, 16), int(b, 16), kind) for a, b, kind in re.findall(
        r"BIOS-e820: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] (\w+)",
        m.tty.before)]
    size = int(memory[:-1]) << (30 if memory[-1] == "G" else 20)
    low = min(size, 3 << 30)
    want = [(0, 0x9fbff, "usable"), (0x9fc00, 0x9ffff, "reserved"),
            (0xf0000, 0xfffff, "reserved"), (1 << 20, low - 1, "usable"),
            (0xe0000000, 0xefffffff, "reserved")]
    if size > low:
        want.append((4 << 30, (4 << 30) + size - low - 1, "usable"))
    assert ranges == want
