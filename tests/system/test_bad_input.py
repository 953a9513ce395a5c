# SPDX-License-Identifier: BSD-2-Clause
"""Bad input: one line that names what is wrong, status 4, nothing else."""

import os
import shutil
import subprocess

import pytest

from console import Console, PC, engine, unprivileged


class Bad(Console):
    """Only stdin is the terminal; stdout and stderr are looked at."""

    def __init__(self, argv):
        super().__init__(["sh", "-c", 'exec "$@"', "sh", "true"])
        self.proc.wait()
        self.done = subprocess.run(
            argv, stdin=self.slave, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=120, check=False)


def check(argv, *culprits):
    bad = Bad(argv)
    try:
        err = bad.done.stderr.decode()
        assert bad.done.stdout == b""
        assert bad.done.returncode == 4, err
        assert err.startswith("lhyve: ") and err.endswith("\n"), err
        assert err.count("\n") == 1 and "\r" not in err, err
        for culprit in culprits:
            assert culprit in err
        assert bad.restored()
    finally:
        bad.close()


def command(files, *extra, kernel=None, initrd=None, memory="512M",
            name="vm0"):
    """A command line that would boot, but for what the test changes."""
    argv = [files.lhyve, *PC, "-m", memory, "-l", "com1,stdio", *engine(),
            "-o", f"kernel={kernel or files.kernel}",
            "-o", f"initrd={initrd or files.initrd}",
            "-o", "cmdline=console=ttyS0 panic=-1", *extra]
    return argv + [name] if name else argv


def text_file(tmp_path, content):
    path = tmp_path / "culprit"
    path.write_bytes(content)
    return str(path)


# Kernels

def test_missing_kernel(files):
    check(command(files, kernel="/nonexistent/vmlinuz"),
          "/nonexistent/vmlinuz", "No such file")


def kernel_end(content):
    """Where a bzImage ends by its header; a signature may follow."""
    setup_sects, syssize = content[0x1f1], content[0x1f4:0x1f8]
    return (setup_sects + 1) * 512 + int.from_bytes(syssize, "little") * 16


@pytest.mark.parametrize("size", [0, 1, 511, 512, 640, 4096, 65536, 1 << 20,
                                  -1])
def test_truncated_kernel(files, tmp_path, size):
    with open(files.kernel, "rb") as f:
        content = f.read()
    if size < 0:
        size += kernel_end(content)
    path = text_file(tmp_path, content[:size])
    check(command(files, kernel=path), path)


def test_kernel_is_text(files, tmp_path):
    path = text_file(tmp_path, b"#!/bin/sh\necho no kernel\n" * 1000)
    check(command(files, kernel=path), path)


def test_kernel_is_a_program(files):
    """An ELF file without the note of a PVH kernel."""
    path = shutil.which("busybox") or "/bin/busybox"
    check(command(files, kernel=path), path)


def test_kernel_is_a_broken_elf(files, tmp_path):
    path = text_file(tmp_path, b"\x7fELF\x02\x01\x01" + b"\xff" * 4096)
    check(command(files, kernel=path), path)


def test_kernel_is_a_directory(files):
    check(command(files, kernel="/usr/bin"), "/usr/bin")


def test_kernel_is_a_device(files):
    check(command(files, kernel="/dev/null"), "/dev/null")


def test_unreadable_kernel(files, tmp_path):
    path = text_file(tmp_path, b"x" * 4096)
    os.chmod(path, 0)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and parent.parts[1:2] == \
                ("tmp",) and parent != parent.parent:
            os.chmod(parent, parent.stat().st_mode | 0o011)
    check([*unprivileged(), *command(files, kernel=path)],
          path, "Permission denied")


def test_long_command_line(files):
    check(command(files, "-o", "cmdline=" + "x" * 10000), "cmdline")


# initramfs

def test_missing_initrd(files):
    check(command(files, initrd="/nonexistent/initrd"),
          "/nonexistent/initrd", "No such file")


def test_initrd_does_not_fit(files, tmp_path):
    path = tmp_path / "culprit"
    with open(path, "wb") as f:
        f.truncate(1 << 30)
    check(command(files, initrd=str(path)), str(path))


def test_initrd_is_a_directory(files):
    check(command(files, initrd="/usr/bin"), "/usr/bin")


# Memory

@pytest.mark.parametrize("memory", ["1", "0", "-1", "100T", "512X", "",
                                    "99999999999999999999", "1.5G"])
def test_memory(files, memory):
    check(command(files, memory=memory), "-m", memory)


# The command line

def test_no_name(files):
    check(command(files, name=None), "name")


def test_nothing_at_all(files):
    check([files.lhyve])


@pytest.mark.parametrize("option", ["-z", "-Q", "--frobnicate"])
def test_unknown_option(files, option):
    check(command(files, option), option[:2])


def test_option_without_its_value(files):
    check([files.lhyve, "-A", "-m"], "-m")


@pytest.mark.parametrize("value", ["frobnicate=1", "kernel.frob=1",
                                   "lpc.com9.path=stdio"])
def test_unknown_variable(files, value):
    check(command(files, "-o", value), value.split("=", maxsplit=1)[0])


@pytest.mark.parametrize("value", ["kernel", "=1", "", "engine=frob"])
def test_malformed_variable(files, value):
    check(command(files, "-o", value), "-o", value)


@pytest.mark.parametrize("slot, culprit", [
    ("3,frobnicator", "frobnicator"), ("32,hostbridge", "32"),
    ("0:9,hostbridge", "0:9"), ("256:0:0,hostbridge", "256:0:0"),
    ("x,hostbridge", "x"), ("x", "-s x"), ("3", "-s 3"), ("3,", "-s 3,"),
    ("", "-s")])
def test_bad_slot(files, slot, culprit):
    check(command(files, "-s", slot), culprit)


def test_occupied_slot(files):
    check(command(files, "-s", "0,hostbridge"), "-s", "0,hostbridge")


@pytest.mark.parametrize("lpc, culprit", [
    ("com9,stdio", "com9"), ("frobnicator", "frobnicator"),
    ("com1", "com1"), ("com1,", "com1"),
    ("com2,/nonexistent/tty", "/nonexistent/tty"),
    ("com2,stdio", "com2"), ("", "-l")])
def test_bad_lpc_device(files, lpc, culprit):
    check(command(files, "-l", lpc), culprit)


def rom_command(files, rom, *extra):
    return [files.lhyve, *PC, "-m", "64M", "-l", "com1,stdio", *engine(),
            "-l", f"bootrom,{rom}", *extra, "vm0"]


@pytest.mark.parametrize("size, culprit", [
    (0, "empty"), (1, "4096"), (65535, "4096"), ((16 << 20) + 4096, "16 MiB")])
def test_size_of_boot_rom(files, tmp_path, size, culprit):
    path = text_file(tmp_path, bytes(size))
    check(rom_command(files, path), path, culprit)


def test_missing_boot_rom(files):
    check(rom_command(files, "/nonexistent/rom"), "/nonexistent/rom",
          "lpc.bootrom")
    check(rom_command(files, ""), "bootrom")
    check(rom_command(files, "/"), "regular file")


@pytest.mark.parametrize("size, culprit", [
    (0, "empty"), (4095, "4096"), (16 << 20, "16 MiB")])
def test_size_of_variables(files, tmp_path, size, culprit):
    path = text_file(tmp_path, bytes(size))
    rom = tmp_path / "rom"
    rom.write_bytes(bytes(4096))
    check(rom_command(files, f"{rom},{path}"), path, culprit, "bootvars")


def test_variables_without_rom(files):
    check(command(files, "-o", "lpc.bootvars=/nonexistent"), "lpc.bootvars",
          "bootrom")


def test_boot_rom_and_kernel(files, tmp_path):
    path = text_file(tmp_path, bytes(4096))
    check(rom_command(files, path, "-o", f"kernel={files.kernel}"),
          files.kernel)


@pytest.mark.parametrize("option, culprit", [
    ("opt/a", "opt/a"), ("opt/a,file=/nonexistent/x", "/nonexistent/x"),
    ("opt/a,file=/", "regular file"), ("x" * 56 + ",string=a", "55"),
    ("etc/e820,string=a", "etc/e820")])
def test_bad_firmware_file(files, option, culprit):
    check(command(files, "-l", "fwcfg,qemu", "-f", option), culprit)


def test_firmware_file_without_fwcfg(files):
    check(command(files, "-f", "opt/a,string=b"), "opt/a", "fwcfg,qemu")


@pytest.mark.parametrize("value", ["0x10000", "-1", "qemu"])
def test_bad_hostbridge(files, value):
    check(command(files, "-s", f"3,hostbridge,pcireg.vendor={value}"),
          "pcireg.vendor", value)


@pytest.mark.parametrize("cpus", ["0", "65", "x", "-1",
                                  "sockets=65", "frobs=1"])
def test_processors(files, cpus):
    check(command(files, "-c", cpus), "-c")


@pytest.mark.parametrize("option", [
    ["-G", "w127.0.0.1:1234"], ["-r", "file"],
    ["-M"]])
def test_options_of_later(files, option):
    """bhyve has it, lhyve not yet: it must not be taken and ignored.

    An option goes from this list when it does something.
    """
    check(command(files, *option), " ".join(option), "not there yet")
