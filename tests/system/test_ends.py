# SPDX-License-Identifier: BSD-2-Clause
"""Every way in which a machine ends, and in which a user leaves it."""

import os
import re
import signal
import subprocess
import time

import pytest

from console import (BOOT, PATIENCE, PC, Console, Machine, engine,
                     unprivileged, wait_for)
from conftest import TOP
from kernellog import complaints


def test_reboot_with_8g(machine):
    m = machine(memory="8G")
    log = m.boot()
    assert complaints(log) == []
    kib = int(re.search(r"MemTotal:\s+(\d+) kB",
                        m.run("cat /proc/meminfo")).group(1))
    assert 7.5 * (1 << 20) < kib <= 8 * (1 << 20)
    m.send("reboot -f\r")
    assert m.wait() == 0
    assert m.restored()


def test_halt_without_kaslr_and_a_fifth_level(machine):
    m = machine(cmdline="nokaslr no5lvl")
    m.boot()
    assert m.run("grep -c la57 /proc/cpuinfo", status=1) == "0\n"
    assert m.run("grep ' _text$' /proc/kallsyms").split()[0] == \
        "ffffffff81000000"
    m.send("halt -f\r")
    assert m.wait() == 2
    assert m.restored()


def test_without_apics(machine):
    """The PIC reaches the processor through LINT0, as a BIOS leaves it."""
    m = machine(cmdline="nolapic noapic")
    assert complaints(m.boot()) == []
    assert re.search(r" 0: .*XT-PIC.*timer", m.run("cat /proc/interrupts"))
    m.send("poweroff -f\r")
    assert m.wait() == 1


def test_panic_resets(machine):
    m = machine(cmdline="panic=-1")
    m.boot()
    m.send("dmesg -n 7; echo c >/proc/sysrq-trigger\r")
    m.expect("Kernel panic")
    assert m.wait() == 0
    assert m.restored()


def test_reset_by_the_bios(machine):
    """Real mode, and a jump to where a BIOS would begin."""
    m = machine(cmdline="reboot=b")
    m.boot()
    m.send("reboot -f\r")
    assert m.wait() == 0
    assert m.restored()


def test_triple_fault(machine):
    m = machine(cmdline="reboot=t")
    m.boot()
    m.send("reboot -f\r")
    assert m.wait() == 3
    assert m.restored()


def test_no_init(machine):
    """A panic that the kernel does not reboot from is not an end."""
    m = machine(cmdline="panic=-1", initrd=False)
    m.expect("Kernel panic - not syncing: VFS", BOOT)
    assert m.wait() == 0


# Without a terminal. The guest runs a command that its command line has.

def unattended(files, redirect):
    command = [*unprivileged(), files.lhyve, *PC, "-m", "512M", "-l",
               "com1,stdio", *engine(),
               "-o", f"kernel={files.kernel}", "-o", f"initrd={files.initrd}",
               "-o", "cmdline=console=ttyS0 "
               "lhyve_run=\"echo alive-$((6*7)); poweroff -f\"", "vm0"]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=BOOT * PATIENCE, check=False)


@pytest.mark.parametrize("redirect", ["<&-", "</dev/null"])
def test_without_stdin(files, redirect):
    done = unattended(files, redirect)
    assert b"alive-42\r\n" in done.stdout
    assert done.returncode == 1
    assert done.stderr == b""


def test_input_from_a_pipe(files):
    """What comes after the prompt is not lost, and its end is not the
    machine's."""
    lhyve = subprocess.Popen(
        [files.lhyve, *PC, "-m", "512M", "-l", "com1,stdio", *engine(),
         "-o", f"kernel={files.kernel}", "-o", f"initrd={files.initrd}",
         "-o", "cmdline=console=ttyS0", "vm0"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        out = b""
        while b"/ # " not in out:
            piece = os.read(lhyve.stdout.fileno(), 65536)
            assert piece, out[-2000:].decode(errors="replace")
            out += piece
        lhyve.stdin.write(b"echo piped-$((6*7))\nsleep 1; poweroff -f\n")
        lhyve.stdin.close()
        rest = lhyve.stdout.read()
        assert b"piped-42" in rest
        assert lhyve.wait(BOOT * PATIENCE) == 1
    finally:
        lhyve.kill()
        lhyve.wait()


# Leaving while the kernel boots.

def test_ctrl_a_x(machine):
    m = machine()
    m.expect("Linux version", BOOT)
    assert not m.restored()
    m.send("\x01x")
    assert m.wait() in (0, 1)
    assert m.restored()


def test_ctrl_c_is_the_guests(machine):
    m = machine()
    m.expect("Linux version", BOOT)
    m.send("\x03\x1c\x1a")
    m.expect("Run /init", BOOT)
    m.send("\x01x")
    assert m.wait() in (0, 1)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT"])
def test_signals(machine, name):
    m = machine()
    m.expect("Run /init", BOOT)
    m.proc.send_signal(getattr(signal, name))
    assert m.wait() == 1
    assert m.restored()


def test_sigterm_without_acpi(machine):
    """Nobody would notice a power button."""
    m = machine(cmdline="acpi=off")
    m.expect("Run /init", BOOT)
    m.proc.send_signal(signal.SIGTERM)
    assert m.wait() == 1
    assert m.restored()


def acpi_interrupts(m):
    return int(re.search(r"^ *9: +(\d+) .*acpi$",
                         m.run("cat /proc/interrupts"), re.M).group(1))


def test_sigterm_presses_the_power_button(machine):
    """The small guest has nobody who would listen: it ends at the second.

    Linux has the button's driver as a module, which the small guest lacks;
    so the test enables the event, and ACPICA takes note and disables it.
    """
    m = machine()
    m.boot()
    before = acpi_interrupts(m)
    m.run("port 0x403 1")
    assert m.run("port 0x403") == "1\n"
    m.proc.send_signal(signal.SIGTERM)
    wait_for(lambda: acpi_interrupts(m) != before)
    assert m.proc.poll() is None and not m.restored()
    assert acpi_interrupts(m) == before + 1
    assert m.run("port 0x403") == "0\n"
    m.proc.send_signal(signal.SIGTERM)
    assert m.wait() == 1
    assert m.restored()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGFPE"])
def test_crash(machine, files, name):
    """A fault of lhyve's own does not leave the terminal raw."""
    with open(files.lhyve, "rb") as f:
        if b"__asan_init" in f.read():
            pytest.skip("the sanitizer takes the signal")
    m = machine()
    m.expect("Run /init", BOOT)
    m.proc.send_signal(getattr(signal, name))
    assert m.wait() == -getattr(signal, name)
    assert m.restored()


@pytest.mark.parametrize("redirect, out", [
    ("<&- >&-", b""), ("<&- 2>&-", b"alive"), ("<&- >&- 2>&-", b"")])
def test_closed_descriptors(files, redirect, out):
    """/dev/null stands in: no file of the machine's gets their numbers."""
    done = unattended(files, redirect)
    assert out in done.stdout
    assert out or done.stdout == b""
    assert done.stderr == b""
    assert done.returncode == 1


def test_reader_is_gone(files):
    """`lhyve | head`: output that nobody reads ends or is dropped, but it
    does not stop the machine for ever."""
    lhyve = subprocess.Popen(
        [files.lhyve, *PC, "-m", "512M", "-l", "com1,stdio", *engine(),
         "-o", f"kernel={files.kernel}",
         "-o", "cmdline=console=ttyS0 panic=-1", "vm0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert os.read(lhyve.stdout.fileno(), 1)
        lhyve.stdout.close()
        assert lhyve.wait(BOOT * PATIENCE) in (0, -signal.SIGPIPE)
    finally:
        lhyve.kill()
        lhyve.wait()


def test_kvm_is_not_opened(files, tmp_path):
    """Not even tried: -o engine=soft does not touch /dev/kvm."""
    trace = tmp_path / "trace"
    m = Machine(files, prefix=[
        "strace", "-f", "--seccomp-bpf", "-e", "trace=open,openat",
        "-o", str(trace)], initrd=False, cmdline="panic=-1")
    try:
        m.expect("Linux version", BOOT)
    finally:
        m.close()
    time.sleep(0.2)
    opened = trace.read_text()
    assert "vmlinuz" in opened
    assert "/dev/kvm" not in opened


def test_make_run():
    """The main job, as README.md has it."""
    if "LHYVE_NO_MAKE_RUN" in os.environ:
        pytest.skip("LHYVE_NO_MAKE_RUN is set")
    c = Console(["make", "-C", str(TOP), "run"])
    try:
        c.expect("To leave: ", BOOT)
        c.expect("/ # ")
        c.send("poweroff -f\r")
        assert c.wait() == 0
        assert c.restored()
        assert "Error" not in (c.tty.buffer or "")
    finally:
        c.close()
