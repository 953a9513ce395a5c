#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a machine on KVM costs, beside QEMU's microvm; runs on the host that
has KVM, a rig perhaps. Numbers that do not depend on how quick that is.

usage: measure.py LHYVE KERNEL ROM: prints one JSON object.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PC = ["-H", "-m", "256M", "-s", "0,hostbridge", "-s", "31,lpc", "-o",
      "engine=kvm"]


def system_calls(argv, tmp):
    """From exec to the first KVM_RUN, threads included."""
    log = tempfile.mktemp(dir=tmp)
    with subprocess.Popen(["strace", "-f", "-o", log, *argv],
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL,
                          start_new_session=True) as proc:
        deadline = time.monotonic() + 300
        lines = []
        while time.monotonic() < deadline and proc.poll() is None:
            if os.path.exists(log):
                with open(log, errors="replace") as f:
                    lines = f.readlines()
            if any("KVM_RUN" in line for line in lines):
                break
            time.sleep(0.2)
        try:
            os.killpg(proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for n, line in enumerate(lines):
        if "KVM_RUN" in line:
            break
    else:
        return None
    calls = [line for line in lines[:n + 1] if "resumed>" not in line and
             re.match(r"\d+ +\w+\(", line)]
    return len(calls)


def resident(pid, guest):
    """KiB beside the guest's memory, which is the mapping named so."""
    total, ours = 0, True
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                ours = guest not in line
            elif line.startswith("Rss:") and ours:
                total += int(line.split()[1])
    return total


def switches(pid):
    """How often threads gave the processor away to wait."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                                   f.read(), re.M)[1])
    return total


def main():
    lhyve, kernel, rom = sys.argv[1:4]
    out = {}
    with tempfile.TemporaryDirectory() as tmp:
        os.environ["LHYVE_RUNDIR"] = f"{tmp}/run"
        disk = f"{tmp}/disk"
        with open(disk, "wb") as f:
            f.truncate(16 << 20)
        devices = ["-s", f"3,virtio-blk,{disk}", "-s", "4,virtio-net,slirp"]
        out["lhyve_calls"] = system_calls(
            [lhyve, *PC, "-o", f"kernel={kernel}", "vm0"], tmp)
        out["lhyve_calls_devices"] = system_calls(
            [lhyve, *PC, *devices, "-o", f"kernel={kernel}", "vm0"], tmp)
        if os.path.exists("/usr/bin/qemu-system-x86_64"):
            out["microvm_calls"] = system_calls(
                ["qemu-system-x86_64", "-M",
                 "microvm,accel=kvm,pit=off,pic=off,rtc=off", "-cpu", "host",
                 "-m", "256M", "-nodefaults", "-no-user-config", "-display",
                 "none", "-kernel", kernel], tmp)
        # A guest that waits with interrupts on: what is left is ours.
        with subprocess.Popen(
                [lhyve, *PC, *devices, "-l", f"bootrom,{rom}", "vm1"],
                stdin=subprocess.DEVNULL) as proc:
            time.sleep(5)
            before = switches(proc.pid)
            time.sleep(10)
            out["wakeups_per_second"] = (switches(proc.pid) - before) / 10
            out["resident_kib"] = resident(proc.pid, "lhyve-ram")
            proc.kill()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
