# SPDX-License-Identifier: BSD-2-Clause
"""What busy queues cost in exits, by the machine's own counters."""

import os
import re
import signal

from console import PATIENCE, engine
from test_blk import image
from test_net import net  # noqa: F401
from test_processors import counters

KVM = engine()[-1] == "engine=kvm"
LAST = "kvm_emulated" if KVM else "guest_notify"
BLOCKS = 400
BYTES = 2_000_000


def read(m):
    """The sums of all counters."""
    m.expect("/ # ")  # nothing comes between them
    os.kill(m.pid, signal.SIGUSR1)
    m.expect(r"lhyve: counters ")
    m.expect(rf"lhyve: {LAST} +\d+")
    return {name: int(value) for name, value in
            re.findall(r"lhyve: (\w+) +(\d+)", m.tty.before + m.tty.match[0])}


PAUSES = 30000


def pauses(ending, *options):
    """Exits that a loop of PAUSE makes: ours, and the kernel's but for the
    host's interrupts."""
    out, status = ending(f"PAUSE={PAUSES}", "-o", "stats=1",
                         *options).output()
    assert status == 0
    found = counters(out)
    return (found["vmexit_pause"][0],
            found["kvm_exits"][0] - found["kvm_irq"][0] if KVM else 0)


def notices_pauses():
    """Whether the host's processor leaves a guest on a loop of PAUSE: AMD's
    pause filter, which a rig's has not got, or Intel's PLE."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        words = f.read().split()
    return {"pausefilter", "pfthreshold"} <= set(words) or "ple" in words


def test_pause(ending):
    """-P: on the soft engine each PAUSE makes an exit; on KVM the processor
    makes some, at least one every few thousand, that the kernel keeps."""
    ours, kernels = pauses(ending)
    assert ours == 0
    ours_p, kernels_p = pauses(ending, "-P")
    if not KVM:
        assert ours_p == PAUSES
        return
    assert ours_p == 0
    if notices_pauses():
        assert kernels_p >= kernels + PAUSES // 10000, (kernels, kernels_p)


def test_hlt(ending):
    """-H: HLT makes an exit, but on KVM, where it waits in the kernel with -H
    and without."""
    for options, exits in (("-o", "x86.vmexit_on_hlt=off"), 0), ((), 10):
        out, status = ending("HLTS", "-o", "stats=1", *options).output()
        assert status == 0
        found = counters(out)
        if KVM:
            assert found["vmexit_hlt"] == [0]
            assert found["kvm_halt"][0] >= 5
        else:
            assert found["vmexit_hlt"][0] == exits


def test_busy_queues(net, tmp_path):  # noqa: F811
    """A disk and a network at once: notifications and interrupts go past us on
    KVM, where the soft engine makes an upcall of each notification."""
    image(tmp_path / "disk", 4 << 20)
    n = net("slirp,open", "-s", f"4,virtio-blk,{tmp_path}/disk",
            "-o", "stats=1", more=("virtio_blk",),
            loaded="virtio_pci virtio_net virtio_blk",
            # A clock that is read from a device is not what is counted.
            cmdline="clocksource=jiffies")
    n.address("10.0.2.15/24")
    disk = (f"dd if=/dev/vda of=/dev/null bs=4k count={BLOCKS} iflag=direct "
            "2>/dev/null")
    # Each queue gets its first messages by a system call.
    n.m.run(disk.replace(f"={BLOCKS}", "=64"))
    n.tcp_out("10.0.2.2", 200_000)
    sink = n.start(n.netio, "sink", "7002")
    before = read(n.m)
    out = n.m.run(f"netio source 10.0.2.2 7002 {BYTES} & {disk}; wait")
    after = read(n.m)
    assert f"ok {BYTES} " in out
    assert f"ok {BYTES} " in sink.communicate(timeout=60 * PATIENCE)[0]
    n.m.send("poweroff -f\r")
    assert n.m.wait() == 1
    cost = {name: after[name] - before[name] for name in after}
    print(cost)
    if not KVM:
        assert cost["mem_write"] > BLOCKS
        return
    # What may be left is some driver's, not a queue's.
    assert cost["mem_write"] + cost["mem_read"] < 20, cost
    assert cost["msi_ioctl"] < 20, cost
    assert cost["msi_irqfd"] > BLOCKS, cost
    # What is left is the console's.
    rest = cost["run_exits"] - cost["port_in"] - cost["port_out"]
    assert rest < 40, cost
    assert cost["kvm_exits"] > cost["run_exits"] > 0, cost
    assert cost["kvm_halt"] > 0, cost
