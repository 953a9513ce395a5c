# SPDX-License-Identifier: BSD-2-Clause
"""What a kernel gets from the clocks: ticks, also late ones, and alarms."""

import os
import re
import signal
import time

import pytest

from kernellog import complaints

HZ = 250  # of Debian's kernel


def interrupts(m, line):
    """How many there were, and when."""
    text = m.run("grep . /proc/uptime /proc/interrupts")
    count = re.search(rf"interrupts: *{line}: +(\d+)", text).group(1)
    return int(count), float(re.search(r"uptime:(\S+)", text).group(1))


# With a deadline timer Linux does not start the PIT, even if it is told to
# leave the APIC's timer alone, and then has none.
@pytest.mark.parametrize("cmdline, line, device", [
    ("lapic=notscdeadline nolapic_timer hpet=disable", "0", "pit"),
    ("lapic=notscdeadline nolapic_timer", "0", "hpet"),
    ("nolapic hpet=disable", "0", "pit"),
    ("lapic=notscdeadline", "LOC", "lapic")])
def test_late_ticks(machine, cmdline, line, device):
    """A guest that counts ticks has them all, though the host has stopped it
    for most of the time."""
    m = machine(cmdline=f"nohz=off highres=off {cmdline}")
    log = m.boot()
    # The processor may be taken away while it calibrates; nothing else.
    assert complaints(log) == []
    assert m.run("cat /sys/devices/system/clockevents/clockevent0/"
                 "current_device") == device + "\n"
    ticks, since = interrupts(m, line)
    for _ in range(6):
        os.kill(m.pid, signal.SIGSTOP)
        time.sleep(0.4)
        os.kill(m.pid, signal.SIGCONT)
        time.sleep(0.1)
    more, now = interrupts(m, line)
    # Merged ones would be a fifth of that.
    assert more - ticks > 0.75 * HZ * (now - since), (more - ticks, now - since)
    assert more - ticks < 1.1 * HZ * (now - since) + 50
    assert complaints(m.run("dmesg")) == []
    m.send("poweroff -f\r")
    assert m.wait() == 1


@pytest.mark.parametrize("cmdline", ["", "hpet=disable"])
def test_alarm(machine, cmdline):
    """Of the RTC: by ACPI's event, as the HPET has its interrupt, and by
    that."""
    m = machine(cmdline=cmdline)
    m.boot()
    alarm = "/sys/class/rtc/rtc0/wakealarm"
    m.run("mount -t sysfs sys /sys 2>/dev/null || true")
    for _ in range(2):
        m.run(f"echo +2 > {alarm}")
        # It is empty when the alarm has come.
        m.run(f"while [ -n \"$(cat {alarm})\" ]; do sleep 0.2; done",
              timeout=120)
    # With an HPET a kernel takes ACPI's event instead of IRQ8.
    line = 8 if cmdline else 9
    found = re.search(rf"^ *{line}: +(\d+)", m.run("cat /proc/interrupts"),
                      re.M)
    assert int(found.group(1)) >= 2
    m.send("poweroff -f\r")
    assert m.wait() == 1
