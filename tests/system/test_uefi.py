# SPDX-License-Identifier: BSD-2-Clause
"""UEFI firmware: Debian's OVMF, which finds its way by fw_cfg and takes the
machine for QEMU's Q35."""

import re
import shutil

import pytest

from test_rom import NUMA, has_our_tables, kernel  # noqa: F401

OVMF = "/usr/share/ovmf/OVMF.fd"
CODE = "/usr/share/OVMF/OVMF_CODE.fd"
VARS = "/usr/share/OVMF/OVMF_VARS.fd"


@pytest.fixture
def uefi(firmware):
    def make(*options, rom=OVMF, memory="512M"):
        return firmware(
            rom, "-l", "fwcfg,qemu",
            "-o", "pci.0.0.0.pcireg.vendor=0x8086",
            "-o", "pci.0.0.0.pcireg.device=0x29c0", *options, memory=memory)

    return make


class UefiShell:
    """The shell of the firmware, on COM1."""

    def __init__(self, m):
        self.m = m
        m.expect("any other key to continue", 240)
        m.send("x")
        m.expect("Shell> ")

    def type(self, command):
        # A UART without a FIFO in use has room for one key.
        for key in command:
            self.m.send(key)
            self.m.expect(re.escape(key))
        self.m.send("\r")

    def run(self, command):
        """What a command says, without the colours."""
        self.type(command)
        self.m.expect("Shell> ")
        return re.sub(r"\x1b\[[0-9;]*\w", "", self.m.tty.before)


def test_shell_and_power_off(uefi):
    """With memory on both sides of what the firmware keeps for devices."""
    m = uefi("-s", "3,pci-testdev", "-s", "7:0:0,pci-testdev", memory="4G")
    shell = UefiShell(m)
    assert "UEFI v2." in shell.run("ver")
    # The second is on a bus that is a root of its own.
    found = re.findall(r"(\w\w)   (\w\w)   (\w\w)    (\w\w) ==>.*\s+Vendor FB5D",
                       shell.run("pci"))
    assert [f[1:] for f in found] == [("00", "03", "00"), ("07", "00", "00")]
    shell.type("reset -s")
    assert m.wait() == 1
    assert m.restored()


def test_reset(uefi):
    m = uefi()
    UefiShell(m).type("reset")
    assert m.wait() == 0
    assert m.restored()


def test_variables_stay(uefi, tmp_path):
    variables = tmp_path / "vars"
    shutil.copy(VARS, variables)
    m = uefi(rom=f"{CODE},{variables}")
    shell = UefiShell(m)
    shell.run("set board lhyve")
    shell.type("reset -s")
    assert m.wait() == 1
    assert variables.read_bytes() != open(VARS, "rb").read()
    m = uefi(rom=f"{CODE},{variables}")
    shell = UefiShell(m)
    assert re.search(r"board = lhyve", shell.run("set board"))
    shell.type("reset -s")
    assert m.wait() == 1


def test_kernel_with_our_tables(uefi, kernel):  # noqa: F811
    """The kernel's own EFI stub; the firmware places the tables."""
    m = uefi(*kernel, *NUMA)
    log = m.boot()
    assert "efi: EFI v2." in log
    has_our_tables(m, log)
    m.send("poweroff -f\r")
    assert m.wait() == 1
    assert m.restored()
