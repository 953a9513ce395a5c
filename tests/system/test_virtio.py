# SPDX-License-Identifier: BSD-2-Clause
"""The virtio core and its small devices, with Debian's drivers."""

import pytest

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
