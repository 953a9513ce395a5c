# SPDX-License-Identifier: BSD-2-Clause
"""Where a serial port's line ends, and who is at its other end."""

import os
import pty
import re
import signal
import socket
import subprocess
import termios
import time

import pexpect
import pexpect.fdpexpect
import pytest

from console import BOOT, PATIENCE, REPLY, Machine, wait_for


@pytest.fixture
def away(ending):
    """A machine whose COM1 is somewhere else, with the place's name."""
    def make(what, com1):
        m = ending(what, com1=com1)
        if com1 in ("pty", "tcp=127.0.0.1:0"):
            m.expect(r"lhyve: warning: com1: ([^\r\n]+)\r*\n")
            return m, m.tty.match.group(1)
        return m, com1.partition("=")[2]
    return make


def talk(address, text):
    """socat with the line, as a user has it; what came back. Of a terminal
    whose other side is gone it may read an error instead of the end."""
    return subprocess.run(
        ["socat", f"-t{60 * PATIENCE}", "-", address], input=text,
        timeout=REPLY * PATIENCE, stdout=subprocess.PIPE,
        check=False).stdout


def test_tcp(away):
    m, where = away("ECHO", "tcp=127.0.0.1:0")
    assert talk(f"TCP:{where}", b"hello q") .endswith(b"hello ")
    assert m.wait() == 1


def test_tcp6(away):
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            pytest.skip("the host has no IPv6")
        port = s.getsockname()[1]
    m, _ = away("ECHO", f"tcp=[::1]:{port}")
    wait_for(lambda: subprocess.run(
        ["socat", "-u", "OPEN:/dev/null", f"TCP6:[::1]:{port}"],
        stderr=subprocess.DEVNULL, check=False).returncode == 0)
    time.sleep(0.1)
    assert talk(f"TCP6:[::1]:{port}", b"hello q").endswith(b"hello ")
    assert m.wait() == 1


def test_unix(away, rundir, tmp_path):
    path = str(tmp_path / "s")
    m, _ = away("ECHO", f"unix={path}")
    wait_for(lambda: os.path.exists(path))
    # The link is made behind it.
    wait_for(lambda: os.path.lexists(rundir / "vm0/com1"))
    assert os.readlink(rundir / "vm0/com1") == path
    assert talk(f"UNIX:{path}", b"hello q").endswith(b"hello ")
    assert m.wait() == 1
    assert not os.path.exists(path)
    assert not os.path.lexists(rundir / "vm0/com1")


def test_unix_socket_of_a_crash(away, tmp_path):
    path = str(tmp_path / "s")
    for end in (signal.SIGKILL, None):
        m, _ = away("ECHO", f"unix={path}")
        # The first one's file may still be there, with nobody behind.
        wait_for(lambda: subprocess.run(
            ["socat", "-u", "OPEN:/dev/null", f"UNIX:{path}"],
            stderr=subprocess.DEVNULL, check=False).returncode == 0)
        if end:
            m.proc.send_signal(end)
            assert m.wait() == -end
            assert os.path.exists(path)
        else:
            time.sleep(0.1)
            talk(f"UNIX:{path}", b"q")
            assert m.wait() == 1


def test_pty(away, rundir):
    m, where = away("ECHO", "pty")
    link = rundir / "vm0/com1"
    assert os.readlink(link) == where
    # Who comes later still reads how it began.
    assert talk(f"OPEN:{link},raw,echo=0", b"hello q") == b">hello "
    assert m.wait() == 1
    assert not os.path.lexists(link)


def test_terminal_device(away):
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        m, _ = away("ECHO", os.ttyname(slave))
        assert os.read(master, 1) == b">"
        os.write(master, b"\x03\x04x")
        out = b""
        while len(out) < 3:
            out += os.read(master, 3)
        assert out == b"\x03\x04x"
        assert termios.tcgetattr(slave) != before
        os.write(master, b"q")
        assert m.wait() == 1
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGSEGV"])
def test_terminal_device_and_signals(away, name):
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        m, _ = away("ECHO", os.ttyname(slave))
        assert os.read(master, 1) == b">"
        m.proc.send_signal(getattr(signal, name))
        assert m.wait() in (1, -signal.SIGSEGV)
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(slave)
        os.close(master)


def test_four_ports(ending, tmp_path):
    """stdio, and three sockets beside it."""
    options = []
    for n in (2, 3, 4):
        options += ["-l", f"com{n},unix={tmp_path}/s{n}"]
    m = ending("ECHO", *options)
    m.expect(">")
    for n in (2, 3, 4):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{tmp_path}/s{n}")
    m.send("abc")
    m.expect("abc")
    m.send("q")
    assert m.wait() == 1


# KiB: more than what is kept for a peer, which is 256 and the kernel's
FLOOD = max(2048 // PATIENCE, 640)


def test_flood_arrives(away, tmp_path):
    """A peer that reads gets every byte."""
    path = str(tmp_path / "s")
    m, _ = away("ECHO", f"unix={path}")
    wait_for(lambda: os.path.exists(path))
    text = bytes(range(ord("a"), ord("p"))) * (8192 // PATIENCE)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        with subprocess.Popen(["cat"], stdin=s.fileno(),
                              stdout=subprocess.PIPE) as reader:
            s.sendall(text + b"q")
            s.shutdown(socket.SHUT_WR)
            out = reader.stdout.read()
    assert out.lstrip(b">") == text
    assert m.wait() == 1


@pytest.mark.parametrize("com1", ["pty", "tcp=127.0.0.1:0", "unix"])
def test_absent_peer(away, tmp_path, com1):
    if com1 == "unix":
        com1 = f"unix={tmp_path}/s"
    m, _ = away(f"FLOOD={FLOOD}", com1)
    assert m.wait() == 1


def test_deaf_peer(away, tmp_path):
    """Connects, never reads: the guest goes on."""
    path = f"{tmp_path}/s"
    m, _ = away("ECHO", f"unix={path}")
    wait_for(lambda: os.path.exists(path))
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.setblocking(False)
        # Everything comes back, and nobody takes it.
        sent = 0
        deadline = time.monotonic() + 120 * PATIENCE
        while sent < (FLOOD << 10) and time.monotonic() < deadline:
            try:
                sent += s.send(b"x" * 4096)
            except BlockingIOError:
                time.sleep(0.01)
        assert sent >= FLOOD << 10
    m.proc.send_signal(signal.SIGTERM)
    assert m.wait() == 1


def test_rude_peers(away):
    """Many who connect, send something, and leave, at once."""
    m, where = away("ECHO", "tcp=127.0.0.1:0")
    host, port = where.split(":")
    for i in range(100):
        s = socket.create_connection((host, int(port)))
        if i % 3 == 0:
            s.send(b"x" * i)
        if i % 2:
            # A reset instead of an orderly end.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         b"\1\0\0\0\0\0\0\0")
        s.close()
    assert m.proc.poll() is None

    def answered():
        with socket.create_connection((host, int(port))) as s:
            s.settimeout(0.5 * PATIENCE)
            try:
                s.send(b"y")
                return b"y" in s.recv(1000)
            except OSError:
                return False
    wait_for(answered)
    m.proc.send_signal(signal.SIGINT)
    assert m.wait() == 1


def test_linux_on_a_pty(files):
    """The console of a kernel, for who opens the terminal."""
    m = Machine(files, "-l", "com1,pty")
    try:
        m.expect(r"lhyve: warning: com1: ([^\r\n]+)\r*\n")
        fd = os.open(m.tty.match.group(1), os.O_RDWR | os.O_NOCTTY)
        tty = pexpect.fdpexpect.fdspawn(fd, encoding="utf-8",
                                        codec_errors="replace")
        tty.expect("To leave: ", timeout=BOOT * PATIENCE)
        assert re.search("Linux version", tty.before)
        tty.expect("/ # ", timeout=REPLY * PATIENCE)
        tty.send("echo a''b$((6*7)); poweroff -f\r")
        tty.expect("ab42", timeout=REPLY * PATIENCE)
        assert m.wait() == 1
        tty.close()
    finally:
        m.close()
