# SPDX-License-Identifier: BSD-2-Clause
"""The options about processors: what a guest sees and how it ends."""

import ctypes
import mmap
import os
import pathlib
import re
import signal
import time

import pytest

from console import mappings, wait_for
from kernellog import complaints


@pytest.mark.parametrize("what, status", [
    ("RESET", 0), ("POWEROFF", 1), ("HALT", 2), ("TRIPLE", 3),
    ("PORT=in al,dx", 4)])
def test_exit_status(ending, what, status):
    """Each of the five, by what a guest does."""
    m = ending(what, "-e")
    out, got = m.output()
    assert out.startswith(">") and got == status
    assert m.restored()


@pytest.mark.parametrize("access, told", [
    ("in al,dx", "inb"), ("in ax,dx", "inw"), ("in eax,dx", "inl"),
    ("out dx,al", "outb"), ("out dx,ax", "outw"), ("out dx,eax", "outl")])
def test_strict_ports(ending, access, told):
    m = ending(f"PORT={access}", "-e")
    out, status = m.output()
    rip = re.fullmatch(
        rf">lhyve: vcpu 0: Unhandled {told} 0x5550 at 0x([0-9a-f]+)\r\n",
        out)
    assert rip and status == 4, out
    # Behind `cli` and so on, at the access.
    assert 0xf000 < int(rip.group(1), 16) < 0xf020
    assert m.restored()
    assert ending(f"PORT={access}").output() == (">", 0)


@pytest.mark.parametrize("options", [
    [], ["-o", "soft.link=off"], ["-o", "soft.tlb=off"],
    ["-o", "soft.oneinsn=on"]])
def test_a20_gate(ending, options):
    """Shut while neither port 92 nor the keyboard controller opens it."""
    assert ending("A20", *options).output() == (">oococo", 0)


def test_notify_port(ending):
    """bhyve's GUEST_NIO_PORT is nobody's, and no fault."""
    assert ending("NOTIFY", "-e").output() == (">", 0)


def test_unknown_msr(ending):
    assert ending("MSR").output() == (">G", 0)
    assert ending("MSR", "-w").output() == (">ZW", 0)
    out, status = ending("MSR", "-o", "x86.verbosemsr=1").output()
    assert re.fullmatch(
        r">lhyve: guest: vcpu 0: rdmsr 0x12345 at 0x[0-9a-f]+: #GP\r\nG", out), out
    assert status == 0


def test_apic_mode(ending):
    assert ending("APIC").output() == (">x", 0)
    assert ending("APIC", "-a").output() == (">x", 0)
    assert ending("APIC", "-x").output() == (">X", 0)
    assert ending("APIC", "-xa").output() == (">x", 0)


def test_linux_in_x2apic_mode(machine):
    m = machine("-x", "-c", "2")
    log = m.boot()
    assert "x2apic: enabled by BIOS" in log
    assert complaints(log) == []
    assert m.run("nproc") == "2\n"


def test_fatal_exit(ending):
    """Code where nothing is: what happened, where, and all registers."""
    m = ending("NOWHERE")
    out, status = m.output()
    assert status == 4
    lines = out.replace("\r", "").splitlines()
    assert re.fullmatch(
        r"lhyve: vcpu 0: code outside memory at 0x1000 \(physical "
        r"0xffff1000\) at 0x1000; please report it", lines[0]), out
    assert lines[1:3] == ["vm exit[0]", "\treason\t\tsoft"]
    assert "\trip\t\t0x0000000000001000" in lines
    for name in ("rax", "r15", "rip", "cr0", "cs", "tr", "gdtr"):
        assert re.search(rf"^{name} |  {name} ", "\n".join(lines), re.M), name
    assert any(re.match(r"cs +sel 0xf000 base 0x00000000ffff0000", line)
               for line in lines)
    assert m.restored()


def test_clock(ending):
    """-u: UTC; otherwise local time, here five hours and a half before."""
    zone = {"TZ": "XXX-05:30"}
    utc, status = ending("CLOCK", "-u", env=zone).output()
    assert status == 0
    local, _ = ending("CLOCK", env=zone).output()
    hours = [int(x[1:]) for x in (utc, local)]
    now = time.gmtime().tm_hour
    assert (now - hours[0]) % 24 in (0, 1)
    assert (hours[1] - hours[0]) % 24 in (5, 6)


def threads(pid):
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as f:
            found[f.read().strip()] = int(tid)
    return found


def test_pinning(ending):
    host = sorted(os.sched_getaffinity(0))
    m = ending("SLEEP", "-c", "3", "-p", f"0:{host[-1]}", "-p",
                 f"1:{host[0]}", "-p", f"1:{host[-1]}")
    m.expect(">")
    wait_for(lambda: "vcpu 2" in threads(m.pid))
    names = threads(m.pid)
    assert os.sched_getaffinity(names["vcpu 0"]) == {host[-1]}
    assert os.sched_getaffinity(names["vcpu 1"]) == {host[0], host[-1]}
    assert os.sched_getaffinity(names["vcpu 2"]) == set(host)
    m.send("\x01x")
    assert m.wait() == 1


def memory(m):
    """Sizes and flags of the mapping of the guest's memory."""
    return next((sizes, flags) for name, sizes, flags in mappings(m.pid)
                if "lhyve-ram" in name)


def test_memory_options(ending):
    m = ending("SLEEP")
    m.expect(">")
    sizes, flags = memory(m)
    assert "dd" in flags and "lo" not in flags
    m = ending("SLEEP", "-CS", "-m", "16M", name="vm1")
    m.expect(">")
    sizes, flags = memory(m)
    assert "dd" not in flags and "lo" in flags
    assert sizes["Locked"] == 16384


def test_domain_policies(ending):
    """domain_policy of -n is the kernel's on that part of the memory."""
    m = ending("SLEEP", "-c", "4",
               "-n", "id=0,size=16M,cpus=0,domain_policy=interleave:0",
               "-n", "id=1,size=16M,cpus=1,domain_policy=prefer:0",
               "-n", "id=2,size=16M,cpus=2,domain_policy=bind:0",
               "-n", "id=3,size=16M,cpus=3,domain_policy=first-touch")
    m.expect(">")
    with open(f"/proc/{m.pid}/numa_maps", encoding="utf-8") as f:
        lines = [line.split() for line in f if "memfd:lhyve-ram" in line]
    start = int(lines[0][0], 16)
    at = {int(words[0], 16) - start: words[1] for words in lines}
    assert at == {0: "interleave:0", 16 << 20: "prefer:0",
                  32 << 20: "bind:0", 48 << 20: "default"}


def large_pages_on_demand():
    """Does the host make a large page of a memfd's small ones?"""
    size = 2 << 20
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    fd = os.memfd_create("probe")
    os.ftruncate(fd, size)
    with mmap.mmap(-1, 2 * size) as m:
        view = ctypes.c_char.from_buffer(m)
        at = -(-ctypes.addressof(view) // size) * size
        del view
        got = libc.mmap(ctypes.c_void_p(at), ctypes.c_size_t(size),
                        mmap.PROT_READ | mmap.PROT_WRITE,
                        mmap.MAP_SHARED | 0x10, fd, ctypes.c_long(0))
        assert got == at  # MAP_FIXED
        os.close(fd)
        ctypes.memset(at, 1, size)
        return libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size),
                            25) == 0  # MADV_COLLAPSE


def test_large_pages_of_translations(ending):
    """Both views of the code cache, as far as it is used."""
    def pages(m):
        return [sizes["ShmemPmdMapped"] for name, sizes, _ in mappings(m.pid)
                if "lhyve-code" in name]

    m = ending("SLEEP")
    m.expect(">")
    assert pages(m) == ([2048] * 2 if large_pages_on_demand() else [0] * 2)
    m = ending("SLEEP", "-o", "soft.huge=off", name="vm1")
    m.expect(">")
    assert pages(m) == [0] * 2


def counters(text):
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "lhyve:" and words[2].isdigit():
            found[words[1]] = [int(w) for w in words[2:]]
    return found


def test_counters_at_the_end(ending):
    out, status = ending("PORT=in al,dx", "-c", "2", "-o",
                           "stats=1").output()
    assert status == 0
    found = counters(out)
    assert found["vmexit_suspended"] == [2, 1, 1]
    assert found["port_in_nobody"] == [1, 1, 0]
    assert found["port_out"] == [2, 2, 0]  # COM1 and 0xcf9
    assert found["vmexit_rdmsr"] == [0, 0, 0]
    assert "lhyve" not in ending("RESET").output()[0]
    out, _ = ending("MSR", "-H", "-o", "stats=1").output()
    assert counters(out)["vmexit_rdmsr"] == [1]


def test_counters_of_the_engine(ending):
    """docs/performance.md has them all; the time is taken with stats only."""
    out, status = ending("PORT=in al,dx", "-c", "2", "-o",
                           "stats=1").output()
    assert status == 0
    found = counters(out)
    soft = [name for name in found if name.startswith("soft_")]
    page = (pathlib.Path(__file__).resolve().parents[2] /
            "docs/performance.md").read_text(encoding="utf-8")
    assert [name for name in soft if f"`{name}`" not in page] == []
    all_, first, second = found["soft_blocks"]
    assert all_ == first + second and first > 0
    assert found["soft_insns"][1] >= first
    assert found["soft_helpers"][1] >= 2  # IN and OUT
    assert found["soft_evictions"] == [0, 0, 0]
    # The second waits for a SIPI all the time.
    times = [found[name] for name in soft if "_time_" in name]
    assert len(times) == 13
    # An instruction has 1 to 15 bytes; the speed is the whole machine's.
    assert found["soft_insns"][0] < found["soft_bytes"][0] < \
        15 * found["soft_insns"][0]
    assert found["soft_translate_kb_s"][0] == \
        found["soft_translate_kb_s"][1] > 0
    wait = found["soft_time_wait"][2]
    assert wait >= sum(t[2] for t in times) - wait
    m = ending("SLEEP")
    m.expect(">")
    m.proc.send_signal(signal.SIGUSR1)
    m.expect(r"lhyve: soft_worlds +0\r\n")
    m.send("\x01x")
    assert "soft_time" not in m.output()[0]


def test_counters_on_demand(ending):
    m = ending("SLEEP")
    m.expect(">")
    m.proc.send_signal(signal.SIGUSR1)
    # On a raw terminal, too, each begins a line.
    m.expect(r"lhyve: counters [^\r]*")
    m.expect(r"\r\nlhyve: port_out +1\r\n")
    m.expect(r"\r\nlhyve: guest_notify +0\r\n")
    assert m.proc.poll() is None
    m.send("\x01x")
    assert m.wait() == 1
