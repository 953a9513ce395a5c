# SPDX-License-Identifier: BSD-2-Clause
"""What a kernel gets from the clocks: ticks, also late ones, and alarms."""

import os
import re
import signal
import time

import pytest

from console import PATIENCE
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
    # Merged ones would be a fifth of that. In a rig what a tick costs bounds
    # how fast the others come: some 170 of 250 a second in a busy one.
    share = 0.75 if PATIENCE == 1 else 0.5
    assert more - ticks > share * HZ * (now - since), (
        more - ticks, now - since)
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


# The deadline timer counts by the TSC; the HPET does not.
@pytest.mark.parametrize("cmdline", ["", "lapic=notscdeadline"])
def test_tsc_rate(machine, cmdline):
    """-o cpu.tsc_khz: what the kernel measures, and how its clock runs."""
    m = machine("-o", "cpu.tsc_khz=1700000", cmdline=cmdline)
    mhz = re.search(r"tsc: Detected ([\d.]+) MHz", m.boot()).group(1)
    assert 1650 < float(mhz) < 1750

    def clocks():
        # Between the two looks at ours the guest's was read.
        before = time.monotonic()
        up = float(m.run("cut -d' ' -f1 /proc/uptime"))
        return before, up, time.monotonic()

    # It measures for some seconds more before it takes it.
    m.run("until grep -qx tsc /sys/devices/system/clocksource/clocksource0/"
          "current_clocksource; do sleep 0.2; done")
    a, up, b = clocks()
    assert m.run("sleep 5") == ""
    c, later, d = clocks()
    # By the frequency that the soft engine has otherwise it would be 1.7
    # times as much, or as little.
    assert 0.95 * (c - b) - 0.2 < later - up < 1.05 * (d - a) + 0.2
    m.send("poweroff -f\r")
    assert m.wait() == 1
