# SPDX-License-Identifier: BSD-2-Clause
"""What busy queues cost in exits, by the machine's own counters."""

import os
import re
import signal

from console import PATIENCE, engine
from test_blk import image
from test_net import net  # noqa: F401

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
