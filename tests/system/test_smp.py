# SPDX-License-Identifier: BSD-2-Clause
"""Several processors."""

import re

import pytest

from kernellog import complaints, errors

KINDS = ["locked", "order", "code", "mappings", "processes"]


@pytest.mark.parametrize("topology, cpus", [
    ("2", 2), ("8,sockets=2,cores=2,threads=2", 8)])
def test_processors(machine, topology, cpus):
    m = machine("-c", topology)
    m.boot()
    assert m.run("nproc").strip() == str(cpus)
    info = m.run("cat /proc/cpuinfo")
    assert len(re.findall(r"^processor\s*:", info, re.M)) == cpus
    # Every one of them runs programs and gets interrupts of its own.
    for cpu in range(cpus):
        assert m.run(f"taskset {1 << cpu:x} sh -c 'echo $((6*7))'") \
            .splitlines()[-1] == "42"
    local = re.search(r"^ *LOC:((?: +\d+)+)", m.run("cat /proc/interrupts"),
                      re.M).group(1).split()
    assert len(local) == cpus and "0" not in local
    assert m.run(f"threads {cpus}", timeout=300).split() == \
        [word for kind in KINDS for word in (kind, "ok")]
    assert complaints(m.run("dmesg")) == []
    assert errors(m.run("dmesg -r")) == []
    assert "inconsistent" not in m.run("dmesg")
    m.send("poweroff -f\r")
    assert m.wait() == 1


def test_a_halt_of_all(machine):
    m = machine("-c", "3")
    m.boot()
    m.send("halt -f\r")
    assert m.wait() == 2


def test_a_reboot_from_another_processor(machine):
    m = machine("-c", "2")
    m.boot()
    m.send("taskset 2 reboot -f\r")
    assert m.wait() == 0


def test_processors_go_off_and_on(machine):
    """INIT and SIPI at run time."""
    m = machine("-c", "2")
    m.boot()
    m.run("mount -t sysfs sys /sys 2>/dev/null || true")
    for _ in range(5):
        m.run("echo 0 > /sys/devices/system/cpu/cpu1/online")
        assert m.run("nproc").strip() == "1"
        m.run("echo 1 > /sys/devices/system/cpu/cpu1/online")
        assert m.run("nproc").strip() == "2"
    assert m.run("threads 2", timeout=300).count("ok") == len(KINDS)
    assert complaints(m.run("dmesg")) == []


def test_topology(machine):
    """Packages of three cores: every fourth id is missing."""
    m = machine("-c", "6,sockets=2,cores=3")
    m.boot()
    info = m.run("cat /proc/cpuinfo")

    def field(name):
        return [int(n) for n in re.findall(rf"^{name}\s*: (\d+)", info, re.M)]

    assert field("apicid") == [0, 1, 2, 4, 5, 6]
    assert field("initial apicid") == field("apicid")
    assert field("physical id") == [0, 0, 0, 1, 1, 1]
    assert field("core id") == [0, 1, 2] * 2
    assert field("siblings") == [3] * 6
    assert field("cpu cores") == [3] * 6
    assert complaints(m.run("dmesg")) == []
    m.send("poweroff -f\r")
    assert m.wait() == 1
