# SPDX-License-Identifier: BSD-2-Clause
"""The rig itself."""

import signal

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
        # Not a way to go on for ever.
        r.silence = 0
        r.qemu.kill()
        with pytest.raises(rig.Lost):
            r.run("sleep 60")
