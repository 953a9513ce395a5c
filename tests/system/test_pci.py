# SPDX-License-Identifier: BSD-2-Clause
"""PCI as a bare-metal program sees it: guest/pci.c with pci-testdev."""

import pytest

from bare import build, run
from kernellog import complaints, errors


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return build("pci", tmp_path_factory.mktemp("pci") / "pci")


@pytest.mark.parametrize("slot", ["3", "4:2", "0:30:0"])
def test_pci_testdev(files, kernel, slot):
    """Each slot has its own pins and routes."""
    extra = []
    if slot == "4:2":
        # These have INTA# and INTB#; the guest takes the last.
        extra = ["-s", "4,pci-testdev", "-s", "4:1,pci-testdev"]
    status, out, err = run(files, kernel, *extra, "-s", f"{slot},pci-testdev",
                           "-l", "com1,stdio")
    assert err == ""
    assert "WRONG" not in out
    assert out.endswith("all is well\r\n")
    assert status == 1


DEVICES = ["-s", "3,pci-testdev", "-s", "3:1,pci-testdev",
           "-s", "1:4:0,pci-testdev", "-s", "255:31:0,pci-testdev",
           "-s", "5,amd_hostbridge"]
# Which GSI each one's pin is wired to, and so PIRQA# to PIRQH#.
ROUTES = {"0000:00:03.0": 16, "0000:00:03.1": 17, "0000:01:04.0": 17,
          "0000:ff:1f.0": 20}


def irqs(machine):
    """Enables the devices; their interrupts."""
    found = {}
    for dev in ROUTES:
        path = f"/sys/bus/pci/devices/{dev}"
        machine.run(f"echo 1 > {path}/enable")
        found[dev] = int(machine.run(f"cat {path}/irq"))
    return found


def test_linux_apic(machine):
    """Functions of three buses, as a kernel with an IOAPIC has them."""
    m = machine("-c", "2", *DEVICES)
    m.boot()
    listed = sorted(m.run("ls /sys/bus/pci/devices").split())
    assert listed == ["0000:00:00.0", "0000:00:03.0", "0000:00:03.1",
                      "0000:00:05.0", "0000:00:1f.0", "0000:01:04.0",
                      "0000:ff:1f.0"]
    assert irqs(m) == ROUTES
    # All BARs are where we put them: the kernel had nothing to mend.
    assert "assigned [" not in m.run("dmesg")
    for dev in ROUTES:
        bars = m.run(f"head -3 /sys/bus/pci/devices/{dev}/resource").split()
        assert 0 not in [int(b, 16) for b in bars]
    assert complaints(m.run("dmesg")) == []
    assert errors(m.run("dmesg -r")) == []
    m.send("poweroff -f\r")
    assert m.wait() == 1


def test_linux_pic(machine):
    """The same through the link devices and the PIC."""
    m = machine(*DEVICES, cmdline="noapic")
    m.boot()
    found = irqs(m)
    # What the firmware chose, no two inputs alike; COM2's is free.
    assert found == {"0000:00:03.0": 3, "0000:00:03.1": 5,
                     "0000:01:04.0": 5, "0000:ff:1f.0": 6}
    log = m.run("dmesg")
    assert "ISA_.LNKA: Enabled at IRQ 3" in log
    assert "ISA_.LNKE: Enabled at IRQ 6" in log
    assert complaints(log) == []
    m.send("poweroff -f\r")
    assert m.wait() == 1
