# SPDX-License-Identifier: BSD-2-Clause
"""Network cards, with Debian's driver, and what is at the cable's other end."""


def card(machine, modules, conf, *options, cmdline="", dhcp=True, more=()):
    """A machine with a network card, which has an address."""
    m = machine("-s", f"3,virtio-net,{conf}".rstrip(","), *options,
                files=modules("virtio_pci", "virtio_net", *more),
                cmdline=cmdline)
    m.boot()
    m.run("modprobe -a virtio_pci virtio_net")
    m.run("ip link set lo up; ip link set eth0 up")
    if dhcp:
        m.run("udhcpc -i eth0 -n -q -t 10 -s /bin/true -f 2>&1 | tail -3")
    return m


def test_slirp(machine, modules):
    m = card(machine, modules, "")
    print(m.run("ip addr"))
    print(m.run("ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; ping -c 2 10.0.2.2"))
    print(m.run("ls /sys/bus/virtio/devices/; cat /sys/bus/virtio/devices/*/features; cat /proc/interrupts; busybox"))
