# SPDX-License-Identifier: BSD-2-Clause
"""The rig itself."""

import pathlib
import re
import signal
import time

import pytest
import rig


@pytest.mark.long
def test_lost(guest):
    """One that stands still or ends is booted anew, and the command too."""
    with rig.Rig(guest, memory="1G", silence=20) as r:
        assert r.run("echo one; exit 3") == (3, "one\n")
        r.qemu.send_signal(signal.SIGSTOP)
        assert r.run("echo two") == (0, "two\n")
        assert r.reboots == 1
        with pytest.raises(TimeoutError):
            r.run("sleep 60", timeout=5)
        # What comes after it is not the worse for it.
        assert r.run("pgrep -x sleep || echo none") == (0, "none\n")
        # Not a way to go on for ever.
        r.silence = 0
        r.qemu.kill()
        with pytest.raises(rig.Lost):
            r.run("sleep 60")
        r.silence = 60
        assert r.run("echo three") == (0, "three\n")


@pytest.mark.long
def test_clock(guest):
    """A second there is a second here, however busy this machine is."""
    with rig.Rig(guest, memory="1G") as r:
        times = []
        for _ in range(2):
            before = time.monotonic()
            seen = float(r.run("cut -d' ' -f1 /proc/uptime").output)
            times.append((before, seen, time.monotonic()))
            time.sleep(10)
        (a, seen1, b), (c, seen2, d) = times
        assert 0.98 * (c - b) - 1 < seen2 - seen1 < 1.02 * (d - a) + 1


def test_pae(host, build, guest):
    """No accessed bit in the pointers to its page directories."""
    command = [build / "small-paging32", "pae"]
    if host.is_rig:
        command.insert(0, pathlib.Path(__file__).parent / "without-npt")
    result = host.run(command, {"LHYVE_ENGINE": "kvm", "LHYVE_GUEST": guest})
    assert re.search(r"^29 checks, \d+ failed$", result.output, re.M), result
    # Others do fail: they change page tables behind KVM's back.
    assert "PDPTEs have no A" not in result.output, result.output
    if host.is_rig:
        npt = host.run("cat /sys/module/kvm_amd/parameters/npt")
        assert npt == (0, "Y\n")
