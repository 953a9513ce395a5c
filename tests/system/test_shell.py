# SPDX-License-Identifier: BSD-2-Clause
"""One boot as an unprivileged user, and what can be asked of its shell.

The tests run in this order: the last ones look at what all of the others
left in the kernel's log, and power the machine off.
"""

import hashlib
import os
import re
import subprocess
import time

import pytest

from console import PATIENCE, REPLY, Machine, mappings, unprivileged
from kernellog import complaints, errors

MIB = 1 << 20


@pytest.fixture(scope="module")
def shell(files):
    m = Machine(files, prefix=unprivileged())
    try:
        m.console_log = m.boot()
        yield m
    finally:
        m.close()


def test_the_console_shows_the_kernel_log(shell):
    assert "Linux version" in shell.console_log
    assert complaints(shell.console_log) == []


def test_kernel_log(shell):
    log = shell.run("dmesg")
    assert "Linux version" in log
    assert complaints(log) == []


def test_kernel_errors(shell):
    assert errors(shell.run("dmesg -r")) == []


def test_the_shell_answers(shell):
    assert shell.run("echo $((6*7))") == "42\n"
    assert shell.run("uname -r").strip() == shell.files.release
    assert shell.run("uname -m").strip() == "x86_64"


def test_one_processor(shell):
    info = shell.run("cat /proc/cpuinfo")
    assert len(re.findall(r"^processor\s*:", info, re.M)) == 1
    flags = re.search(r"^flags\s*:(.*)$", info, re.M).group(1).split()
    assert {"fpu", "tsc", "msr", "apic", "sse2", "syscall", "nx",
            "lm"} <= set(flags)
    assert shell.run("nproc").strip() == "1"


def test_five_levels_of_page_tables(shell):
    # Linux shows the flag only if it uses what the flag says.
    flags = re.search(r"^flags\s*:(.*)$", shell.run("cat /proc/cpuinfo"),
                      re.M).group(1).split()
    assert "la57" in flags
    assert shell.run("high") == f"{1 << 55:#x} 0\n"


def test_speculation(shell):
    """No remedy that costs a translator much and gives nothing: neither
    retpolines nor loops that clear the branch history."""
    v2 = shell.run("cat /sys/devices/system/cpu/vulnerabilities/spectre_v2")
    assert "IBRS" in v2
    assert not re.search("(?i)retpoline|SW loop|vulnerable", v2)
    other = shell.run("cd /sys/devices/system/cpu/vulnerabilities; "
                      "grep -v 'Not affected' * | grep -v ^spectre_v; cd /")
    assert [line for line in other.splitlines() if "IBRS" not in line] == []


def test_memory_types(shell):
    """As a firmware leaves them: the hole for devices is not cached."""
    assert re.search(r"base=0x0c0000000 \( *3072MB\), size= *1024MB.*"
                     "uncachable", shell.run("cat /proc/mtrr"))
    assert "MTRRs disabled" not in shell.run("dmesg")


def test_memory_size(shell):
    kib = int(re.search(r"MemTotal:\s+(\d+) kB",
                        shell.run("cat /proc/meminfo")).group(1))
    assert 420 * 1024 < kib <= 512 * 1024


def test_kaslr_is_on(shell):
    """Chance puts both addresses where they are without it once in some
    hundred thousand boots."""
    text = shell.run("grep ' _text$' /proc/kallsyms").split()[0]
    code = shell.run("grep 'Kernel code' /proc/iomem").strip().split("-")[0]
    assert (int(text, 16), int(code, 16)) != (0xffffffff81000000, 0x1000000)


def test_terminal(shell):
    assert shell.run("tty").strip() == "/dev/ttyS0"
    # Job control: Ctrl-C reaches what runs in the foreground.
    shell.send("sleep 1000\r")
    shell.expect(r"sleep 1000\r*\n")
    time.sleep(1)
    shell.send("\x03")
    shell.expect("/ # ")
    assert shell.run("echo still here") == "still here\n"


def test_a_pasted_line(shell):
    text = "".join(chr(ord("a") + i % 26) for i in range(700))
    assert shell.run(f"echo {text}") == text + "\n"


def test_much_output(shell):
    out = shell.run("seq 1 5000")
    assert out == "".join(f"{i}\n" for i in range(1, 5001))


def test_date(shell):
    before = time.time()
    guest = int(shell.run("date +%s"))
    assert before - 5 <= guest <= time.time() + 5


def test_sleep(shell):
    """A second of the guest is a second. What the console takes, and a busy
    host, count for the upper bound."""
    shell.send("echo sl''eep; sleep 1; echo wo''ke\r")
    shell.expect(r"sleep\r*\n")
    begin = time.monotonic()
    shell.expect(r"woke\r*\n")
    assert 0.9 <= time.monotonic() - begin <= 30


def test_clock_does_not_drift(shell):
    times = []
    for _ in range(2):
        before = time.monotonic()
        guest = float(shell.run("cut -d' ' -f1 /proc/uptime"))
        times.append((before, guest, time.monotonic()))
        time.sleep(5)
    (a, guest1, b), (c, guest2, d) = times
    # The guest read its clock somewhere between.
    assert c - b - 0.3 < guest2 - guest1 < d - a + 0.3


def test_signal_handler(shell):
    assert shell.run("sh -c 'trap \"echo caught\" USR1; kill -USR1 $$; "
                     "echo after'") == "caught\nafter\n"
    assert "Segmentation fault" in shell.run(
        "sh -c 'kill -SEGV $$'", status=139)


def test_two_hundred_processes(shell):
    assert shell.run("i=0; while [ $i -lt 200 ]; do /bin/true || break; "
                     "i=$((i+1)); done; echo $i", 300) == "200\n"


def test_parallel_processes(shell):
    out = shell.run("for i in 1 2 3 4 5 6 7 8; do (seq 1 3000 | md5sum) & "
                    "done 2>/dev/null; wait", 300)
    want = hashlib.md5("".join(
        f"{i}\n" for i in range(1, 3001)).encode()).hexdigest()
    assert len(re.findall(rf"{want}  -", out)) == 8


def test_checksums(shell):
    zeros = bytes(16 * MIB)
    for tool, name in (("md5sum", "md5"), ("sha1sum", "sha1"),
                       ("sha256sum", "sha256"), ("sha512sum", "sha512")):
        out = shell.run(
            f"dd if=/dev/zero bs=64k count=256 2>/dev/null | {tool}", 300)
        assert out.split()[0] == hashlib.new(name, zeros).hexdigest(), tool


def test_gzip_round_trip(shell):
    shell.run("seq 1 50000 >/tmp/a && gzip -k /tmp/a && "
              "gunzip -c /tmp/a.gz | cmp - /tmp/a && rm /tmp/a /tmp/a.gz",
              300)


def test_large_file(shell):
    """More than the caches of an engine hold, and back."""
    shell.run("dd if=/dev/urandom of=/tmp/r bs=1M count=64 2>/dev/null && "
              "cp /tmp/r /tmp/s && cmp /tmp/r /tmp/s; rm -f /tmp/r /tmp/s",
              300)


def test_floating_point(shell):
    assert shell.run(
        "awk 'BEGIN { printf \"%.17g %.17g %.17g %d\\n\", "
        "355/113, 1/3, 0.1+0.2, 1e9/7 }'") == (
        "3.1415929203539825 0.33333333333333331 "
        "0.30000000000000004 142857142\n")
    assert shell.run("echo '20k 2v p' | dc").strip() == \
        "1.41421356237309504880"


def test_programs_run_as_natively(shell):
    """guest/probe.c: faults, signals, floating point, written code,
    threads. The host's processor says what is right."""
    native = subprocess.run([shell.files.probe], stdout=subprocess.PIPE,
                            check=True,
                            timeout=REPLY * PATIENCE).stdout.decode()
    assert shell.run("/bin/probe; true", 300) == native


def test_no_kvm(shell):
    """And no privilege: what the process has open, and who it is."""
    fds = f"/proc/{shell.pid}/fd"
    opened = [os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)]
    assert not [path for path in opened if "kvm" in path]
    with open(f"/proc/{shell.pid}/status", encoding="ascii") as f:
        status = f.read()
    assert "0" not in re.search(r"^Uid:(.*)$", status, re.M).group(1).split()
    assert int(re.search(r"^CapEff:\s*(\w+)$", status, re.M).group(1),
               16) == 0


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_idle(shell):
    """At the prompt lhyve uses less than 3 % of a core. A busy host leaves it
    with work from before for a while."""
    shell.run("true")
    used = []
    while not used or (used[-1] >= 0.03 and len(used) < 6):
        time.sleep(1)
        begin, cpu = time.monotonic(), cpu_seconds(shell.pid)
        time.sleep(10)
        cpu = cpu_seconds(shell.pid) - cpu
        used.append(cpu / (time.monotonic() - begin))
    assert used[-1] < 0.03, used


def test_host_memory(shell):
    """At most 96 MiB of memory is used beyond the guest's own. Pss: pages of
    code that are mapped twice are there once."""
    guest = other = 0
    for name, sizes, _ in mappings(shell.pid):
        if name.startswith("/memfd:lhyve-ram"):
            guest += sizes["Pss"]
        else:
            other += sizes["Pss"]
    assert guest > 0
    assert other <= 96 * 1024, f"{other} KiB"


def test_kernel_log_at_the_end(shell):
    assert complaints(shell.run("dmesg")) == []


def test_poweroff(shell):
    shell.send("poweroff -f\r")
    assert shell.wait(REPLY) == 1
    assert shell.restored()
