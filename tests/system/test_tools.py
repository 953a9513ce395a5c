# SPDX-License-Identifier: BSD-2-Clause
"""What programs that drive bhyve look for: libvirt's driver reads features
from standard error, vm-bhyve finds machines by their title."""

import os
import re
import subprocess

from console import Console, PC, engine


def stderr_of(files, *args):
    """As libvirt runs it: nobody reads the output."""
    done = subprocess.run(
        [files.lhyve, *args], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120,
        check=False)
    return done.returncode, done.stderr.decode()


def test_help_is_where_libvirt_looks(files):
    status, text = stderr_of(files, "-h")
    assert status == 0
    assert "-u:" in text  # there is a clock in UTC
    assert "-c vcpus" not in text  # -c takes a topology


def test_help_is_where_people_look(files):
    done = subprocess.run([files.lhyve, "-h"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 0
    assert done.stderr == b""
    assert re.match(r"usage: lhyve \[-options\] name\n", done.stdout.decode())


def test_devices_that_are_not_there(files):
    """libvirt asks so for ahci, e1000, fbuf, xhci and others."""
    for option in ("0,nosuch", "0:0,nosuch,password=", "0:0:0,nosuch"):
        for name in ([], ["vm0"]):
            status, text = stderr_of(files, "-s", option, *name)
            assert status == 4
            assert 'pci slot 0:0: unknown device "nosuch"' in text
            assert text.count("\n") == 1


def test_devices_that_are_there(files):
    done = subprocess.run([files.lhyve, "-s", "help"], stdout=subprocess.PIPE,
                          timeout=120, check=True)
    names = [line.split()[0] for line in done.stdout.decode().splitlines()]
    assert {"hostbridge", "amd_hostbridge", "lpc"} <= set(names)
    for name in names:
        _, text = stderr_of(files, "-s", f"0,{name}")
        assert "unknown device" not in text


def test_lpc_devices(files):
    for device in ("bootrom", "com1", "fwcfg"):
        _, text = stderr_of(files, "-l", device)
        assert "invalid lpc device configuration" not in text


def dump(files, *args):
    done = subprocess.run(
        [files.lhyve, *args, "-o", "config.dump=1", "vm0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    return dict(line.split("=", 1)
                for line in done.stdout.decode().splitlines())


def test_where_fwcfg_is_said(files):
    """libvirt says it behind the boot ROM, vm-bhyve behind the bridge."""
    slot = ["-s", "31,lpc"]
    for args, variables in (
            (["-l", "bootrom,/r,fwcfg=qemu", *slot], None),
            (["-l", "bootrom,/r,/v,fwcfg=qemu", *slot], "/v"),
            (["-l", "bootrom,/r,/v", "-s", "31,lpc,fwcfg=qemu"], "/v")):
        got = dump(files, *args)
        assert got["lpc.bootrom"] == "/r"
        assert got.get("lpc.bootvars") == variables
        assert got["lpc.fwcfg"] == "qemu"
    status, text = stderr_of(files, "-l", "bootrom,/r,fwcfg=no", *slot, "vm0")
    assert status == 4
    assert text == "lhyve: -l lpc.fwcfg=no: no such choice; use one of: qemu\n"


def test_old_options_are_taken(files):
    """vm-bhyve and old libvirts give -A and -I, which mean nothing any more."""
    done = subprocess.run(
        [files.lhyve, "-AHPwuYSxa", "-I", "-c", "2", "-m", "214", "-U",
         "01234567-89ab-cdef-0123-456789abcdef", "-s", "0:0,hostbridge",
         "-s", "31,lpc", "-l", "com1,stdio", "-o", "config.dump=1", "vm0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        check=False)
    assert done.returncode == 1
    assert done.stderr == b""
    text = done.stdout.decode()
    assert "memory.size=214\n" in text
    assert "uuid=01234567-89ab-cdef-0123-456789abcdef\n" in text


def cmdline(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read()


def pgrep(pattern):
    done = subprocess.run(["pgrep", "-fx", pattern], stdout=subprocess.PIPE,
                          check=False)
    return done.stdout.decode().split()


def test_title(files, tmp_path):
    """A program that is called bhyve has bhyve's title."""
    link = tmp_path / "bhyve"
    os.symlink(files.lhyve, link)
    name = f"titled-{os.getpid()}"
    common = [*PC, "-m", "512M", "-l", "com1,stdio", *engine(),
              "-o", f"kernel={files.kernel}", "-o", f"initrd={files.initrd}",
              "-o", "cmdline=console=ttyS0", name]
    m = Console([str(link), *common])
    try:
        # It runs, so that it has its title.
        m.expect("Linux version", 240)
        assert cmdline(m.pid).rstrip(b"\0") == f"bhyve: {name}".encode()
        assert pgrep(f"bhyve: {name}") == [str(m.pid)]
        m.expect("/ # ", 240)
        m.send("poweroff -f\r")
        assert m.wait() == 1
    finally:
        m.close()
    assert pgrep(f"bhyve: {name}") == []


def test_no_title(files):
    """Under its own name it shows its arguments."""
    argv = [files.lhyve, *PC, "-m", "512M", "-l", "com1,stdio", *engine(),
            "-o", f"kernel={files.kernel}", "-o", "cmdline=console=ttyS0",
            "vm0"]
    m = Console(argv)
    try:
        m.expect("Linux version", 240)
        assert cmdline(m.pid).split(b"\0")[:-1] == [a.encode() for a in argv]
    finally:
        m.close()
