# SPDX-License-Identifier: BSD-2-Clause
"""make demo-debian: systemd, a login, ssh from the host, apt inside."""

import os
import pathlib
import socket
import subprocess
import urllib.parse
import time

import pytest

from console import BOOT, Console

TOP = pathlib.Path(__file__).resolve().parents[2]
GUEST = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def processor(pid):
    """Seconds of the host's processor that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        user, system = f.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def lhyve_of(pid):
    """The machine that make has started."""
    out = subprocess.run(["pgrep", "-s", str(pid), "-x", "lhyve"],
                         stdout=subprocess.PIPE, check=True).stdout
    return int(out.split()[0])


def reaches_network():
    """The place that this machine has its packages from."""
    uris = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)",
         "Created-By: Packages"], stdout=subprocess.PIPE, check=True)
    url = urllib.parse.urlsplit(uris.stdout.decode().split("\n")[0])
    try:
        with socket.create_connection((url.hostname, url.port or 80),
                                      timeout=10):
            return True
    except OSError:
        return False


@pytest.mark.long
def test_demo_debian():
    overlay = GUEST / "debian-demo"
    overlay.unlink(missing_ok=True)
    port = free_port()
    m = Console(["make", "-C", str(TOP), "--no-print-directory",
                 f"SSH_PORT={port}", f"GUEST={GUEST}", "demo-debian"])
    ssh = ["ssh", "-p", str(port), "-i", str(GUEST / "debian-key"),
           "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
           "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
           "root@127.0.0.1"]
    try:
        m.expect("debian login: ", 4 * BOOT)
        m.send("root\r")
        m.expect(r"root@debian:~# ")

        def run(command, timeout=600):
            return subprocess.run(
                [*ssh, command], stdin=subprocess.DEVNULL, check=True,
                stdout=subprocess.PIPE, timeout=timeout).stdout.decode()

        assert "Debian GNU/Linux 12" in run("cat /etc/os-release")
        assert run("systemctl list-units --failed --no-legend") == ""
        assert "/dev/vda" in run("findmnt -n -o SOURCE /")
        if reaches_network():
            assert "Reading package lists" in run("apt-get update", 1200)
        # Nothing to do: less than 2 % of a processor of the host.
        pid = lhyve_of(m.pid)
        for _ in range(10):
            before, since = processor(pid), time.monotonic()
            time.sleep(30)
            share = (processor(pid) - before) / (time.monotonic() - since)
            if share < 0.02:
                break
        assert share < 0.02
        run("echo kept > /var/kept; sync")
        m.send("poweroff\r")
        assert m.wait(600) == 0
    finally:
        m.close()
        overlay.unlink(missing_ok=True)
