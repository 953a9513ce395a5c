# SPDX-License-Identifier: BSD-2-Clause
"""The exit ports and bvmcons, from a guest: guest/debug.c."""

import contextlib
import socket
import subprocess
import time

import pytest

from bare import build, run
from console import PATIENCE, engine


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return build("debug", tmp_path_factory.mktemp("debug") / "debug")


@pytest.mark.parametrize("option, status", [
    ("pc-testdev", 2 * 0x15 + 1),
    ("isa-debug-exit", 2 * 0x16 + 1),
    ("isa-debug-exit,0x600", 255),
])
def test_exit_port(files, kernel, option, status):
    assert run(files, kernel, "-l", option) == (status, "", "")


def test_no_exit_port(files, kernel):
    assert run(files, kernel) == (0, "", "")


def test_bvmcons(files, kernel):
    assert run(files, kernel, "-b", typed=b"hello\n") == \
        (0, "bvmcons: hello\n", "")
    assert run(files, kernel, "-l", "isa-debug-exit", "-o", "bvmcons=yes",
               typed=b"\n") == (2 * 0x16 + 1, "bvmcons: \n", "")


def test_one_stdio(files, kernel):
    status, out, err = run(files, kernel, "-b", "-l", "com1,stdio")
    assert (status, out) == (4, "")
    assert err.count("\n") == 1 and "stdio" in err


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_dbgport(files, kernel):
    port = free_port()
    proc = subprocess.Popen(
        [files.lhyve, "-g", str(port), "-s", "31,lpc", "-l",
         "isa-debug-exit", *engine(), "-o", f"kernel={kernel}",
         "vm0"], stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120 * PATIENCE
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                client = socket.create_connection(("127.0.0.1", port), 120)
                break
            assert time.monotonic() < end
            time.sleep(0.05)
        # This one leaves; the guest goes on with the next.
        client.close()
        with socket.create_connection(("127.0.0.1", port), 120) as client:
            client.settimeout(120 * PATIENCE)
            client.sendall(b"?hello\n")
            got = b""
            while not got.endswith(b"\n"):
                more = client.recv(100)
                assert more != b""
                got += more
            assert got == b"dbgport: hello\n"
        assert proc.wait(120 * PATIENCE) == 2 * 0x16 + 1
    finally:
        proc.kill()
        proc.wait()


def test_dbgport_taken(files, kernel):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        port = s.getsockname()[1]
        status, out, err = run(files, kernel, "-g", str(port))
    assert (status, out) == (4, "")
    assert err.count("\n") == 1 and f"-g {port}" in err
