# SPDX-License-Identifier: BSD-2-Clause
"""The virtio core and its small devices, with Debian's drivers."""

import pytest

from console import REPLY, wait_for

# Options of a device, and the feature bits that its driver then takes:
# indirect descriptors, event index, version 1, packed ring, ring reset.
INTERFACES = {
    "packed": ("", {28, 29, 32, 34}),
    "split": ("packed=false", {28, 29, 32}),
    "plain": ("packed=false,indirect=false,event_idx=false", {32}),
    "plain-packed": ("indirect=false,event_idx=false", {32, 34}),
    "modern": ("interface=modern", {28, 29, 32, 34}),
    "legacy": ("interface=legacy", {28, 29}),
}
CORE = {28, 29, 32, 34}


def features(m, dev):
    """The bits that the driver has negotiated."""
    bits = m.run(f"cat /sys/bus/virtio/devices/{dev}/features").strip()
    return {n for n, bit in enumerate(bits) if bit == "1"}


def interrupts(m, what):
    """How many there were, of all lines that name it."""
    return sum(int(line.split()[1])
               for line in m.run("cat /proc/interrupts").splitlines()
               if what in line)


@pytest.mark.parametrize("way", INTERFACES)
def test_rnd(machine, modules, way):
    opts, bits = INTERFACES[way]
    m = machine("-s", f"3,virtio-rnd,{opts}".rstrip(","),
                files=modules("virtio_pci", "virtio_rng"))
    m.boot()
    m.run("modprobe -a virtio_pci virtio_rng")
    assert "virtio_rng" in m.run("cat /sys/class/misc/hw_random/rng_current")
    assert features(m, "virtio0") & CORE == bits
    m.run("dd if=/dev/hwrng of=/tmp/a bs=64 count=64")
    m.run("dd if=/dev/hwrng of=/tmp/b bs=64 count=64")
    assert m.run("wc -c < /tmp/a").strip() == "4096"
    m.run("cmp -s /tmp/a /tmp/b", status=1)
    # Noise does not get smaller.
    assert int(m.run("gzip -c /tmp/a | wc -c")) > 4000
    assert interrupts(m, "virtio0") > 0
    # The driver goes and comes again.
    m.run("rmmod virtio_rng; modprobe virtio_rng")
    m.run("dd if=/dev/hwrng of=/tmp/a bs=64 count=1")
    assert m.run("wc -c < /tmp/a").strip() == "64"


def memory_of(m):
    """KiB of the guest's memory that the host has given."""
    with open(f"/proc/{m.pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("RssShmem:"):
                return int(line.split()[1])
    raise AssertionError("no RssShmem")


def guest_memory(m, what):
    return int(m.run(f"grep ^{what}: /proc/meminfo").split()[1])


def test_balloon(machine, modules):
    """What the host wants it gets; what the guest frees goes back."""
    m = machine("-s", "3,virtio-balloon,target=128M,stats=1",
                files=modules("virtio_pci", "virtio_balloon"))
    m.boot()
    free = guest_memory(m, "MemFree")
    m.run("modprobe -a virtio_pci virtio_balloon")
    wait_for(lambda: guest_memory(m, "MemFree") < free - 120 * 1024,
             REPLY)
    # Page reporting: the driver looks every two seconds.
    m.run("dd if=/dev/zero of=/tmp/big bs=1M count=160")
    full = memory_of(m)
    m.run("rm /tmp/big")
    wait_for(lambda: memory_of(m) < full - 120 * 1024, REPLY)
    # It is all good memory still.
    m.run("dd if=/dev/zero of=/tmp/big bs=1M count=160")
    m.run("rm /tmp/big")
    # A guest that is short of memory takes some back, and lives.
    m.run("dd if=/dev/zero of=/tmp/big bs=1M count=420 || true")
    m.run("rm /tmp/big; rmmod virtio_balloon")
    assert guest_memory(m, "MemFree") > free - 32 * 1024
