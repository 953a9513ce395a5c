# SPDX-License-Identifier: BSD-2-Clause
"""The virtio core and its small devices, with Debian's drivers."""

import fcntl
import hashlib
import os
import shutil
import socket
import struct
import termios
import threading

import pytest

from console import BOOT, PATIENCE, PC, REPLY, Console, engine, wait_for

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


def dial(path):
    """Connects to a Unix socket that appears in a moment."""
    wait_for(lambda: os.path.exists(path), REPLY)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(REPLY * PATIENCE)
    # Bound a moment before it listens.
    wait_for(lambda: sock.connect_ex(path) == 0)
    return sock


def receive(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, data
        data += more
    return data


def test_console_ports(machine, modules, tmp_path):
    """Named ports, as bhyve's command line has them."""
    m = machine("-s", f"3,virtio-console,org.lhyve.0={tmp_path}/a,"
                f"other={tmp_path}/b",
                files=modules("virtio_pci", "virtio_console"))
    m.boot()
    m.run("modprobe -a virtio_pci virtio_console")
    names = "cat /sys/class/virtio-ports/*/name"
    wait_for(lambda: m.run(names).split() == ["org.lhyve.0", "other"], REPLY)
    peer = dial(f"{tmp_path}/b")
    peer.sendall(b"to the guest\n")
    assert m.run("head -n 1 /dev/vport0p1") == "to the guest\n"
    m.run("echo to the host > /dev/vport0p1")
    assert receive(peer, 12) == b"to the host\n"
    # Much, both ways, through one that takes its time.
    data = bytes(range(256)) * 4096
    m.run("exec 3<>/dev/vport0p1; cat <&3 >/tmp/x 2>/dev/null & true")
    m.run("cat /bin/busybox >&3 & true")
    sender = threading.Thread(target=peer.sendall, args=(data,))
    sender.start()
    size = os.path.getsize(shutil.which("busybox"))
    with open(shutil.which("busybox"), "rb") as f:
        assert receive(peer, size) == f.read()
    sender.join()
    wait_for(lambda: m.run("wc -c < /tmp/x").strip() == str(len(data)), REPLY)
    got = m.run("sha256sum /tmp/x").split()[0]
    assert got == hashlib.sha256(data).hexdigest()
    # The peer goes, and the other port, once the driver has come again.
    peer.close()
    m.run("exec 3>&-; killall cat; wait; true")
    m.run("rmmod virtio_console; modprobe virtio_console")
    peer = dial(f"{tmp_path}/a")
    wait_for(lambda: m.run(names).split() == ["org.lhyve.0", "other"], REPLY)
    m.run("echo once more > /dev/vport0p0")
    assert receive(peer, 10) == b"once more\n"


def test_console_terminal(files, modules):
    """A console on the terminal, which changes its size."""
    made = modules("virtio_pci", "virtio_console")
    run = ("modprobe -a virtio_pci virtio_console; "
           "setsid sh -c 'exec sh -i </dev/hvc0 >/dev/hvc0 2>&1'")
    c = Console([files.lhyve, *PC, "-m", "512M", *engine(),
                 "-o", f"kernel={made.kernel}", "-o", f"initrd={made.initrd}",
                 "-o", f"cmdline=console=ttyS0 quiet lhyve_run=\"{run}\"",
                 "-l", "com1,null", "-s", "3,virtio-console,stdio", "vm0"])
    try:
        c.expect("/ # ", BOOT)
        for rows, cols in ((50, 132), (24, 80), (33, 77)):
            fcntl.ioctl(c.slave, termios.TIOCSWINSZ,
                        struct.pack("HHHH", rows, cols, 0, 0))
            for _ in range(200):
                c.send("stty size; echo do''ne\r")
                c.expect(r"(\d+ \d+)\r*\n.*done\r*\n")
                if c.tty.match.group(1) == f"{rows} {cols}":
                    break
            else:
                pytest.fail(f"{c.tty.match.group(1)}, not {rows} {cols}")
        c.send("poweroff -f\r")
        assert c.wait() == 1
        assert c.restored()
    finally:
        c.close()


def test_vsock(machine, modules, tmp_path):
    """Connections both ways, as with Firecracker."""
    path = f"{tmp_path}/v"
    m = machine("-s", f"3,virtio-vsock,path={path},cid=77",
                files=modules("virtio_pci", "vmw_vsock_virtio_transport"))
    m.boot()
    m.run("modprobe -a virtio_pci vmw_vsock_virtio_transport")
    with open(shutil.which("busybox"), "rb") as f:
        busybox = f.read()
    # Nobody listens there.
    m.run("vsock connect 5 </dev/null", status=1)
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(REPLY * PATIENCE)
    listener.bind(f"{path}_5")
    listener.listen()
    # The guest connects, sends a file and gets its sum back.
    m.send("vsock connect 5 < /bin/busybox\r")
    peer = listener.accept()[0]
    peer.settimeout(REPLY * PATIENCE)
    assert receive(peer, len(busybox)) == busybox
    assert peer.recv(1) == b""
    peer.sendall(hashlib.sha256(busybox).hexdigest().encode())
    peer.close()
    m.expect(hashlib.sha256(busybox).hexdigest())
    # The host connects.
    refused = dial(path)
    refused.sendall(b"CONNECT 99\n")
    assert refused.recv(1) == b""
    m.run("vsock listen 99 < /bin/busybox > /tmp/got & true")

    def connected():
        peer = dial(path)
        peer.sendall(b"CONNECT 99\n")
        line = b""
        while not line.endswith(b"\n"):
            more = peer.recv(1)
            if not more:
                return None
            line += more
        assert line.startswith(b"OK ")
        return peer

    peers = []
    wait_for(lambda: peers.append(connected()) or peers[-1], REPLY)
    peer = peers[-1]
    data = bytes(range(256)) * 4096
    sender = threading.Thread(target=peer.sendall, args=(data,))
    sender.start()
    assert receive(peer, len(busybox)) == busybox
    sender.join()
    peer.shutdown(socket.SHUT_WR)
    assert peer.recv(1) == b""
    m.run("wait")
    assert m.run("sha256sum /tmp/got").split()[0] == \
        hashlib.sha256(data).hexdigest()
    # Many, one after the other.
    m.send("for i in $(seq 50); do echo $i | vsock connect 5; done\r")
    for i in range(1, 51):
        peer = listener.accept()[0]
        peer.settimeout(REPLY * PATIENCE)
        assert peer.recv(10) == f"{i}\n".encode()
        peer.close()
    assert m.run("true") == ""


def test_all_restart(machine, modules, tmp_path):
    """Two processors; a machine that starts again with all its devices."""
    m = machine("-c", "2", "-o", "reboot=internal", "-s", "3,virtio-rnd",
                "-s", f"4,virtio-console,p={tmp_path}/p",
                "-s", "5,virtio-balloon,target=32M",
                "-s", f"6,virtio-vsock,path={tmp_path}/v",
                files=modules("virtio_pci", "virtio_rng", "virtio_console",
                              "virtio_balloon", "vmw_vsock_virtio_transport"))
    peer = dial(f"{tmp_path}/p")
    for turn in range(3):
        m.boot()
        m.run("modprobe -a virtio_pci virtio_rng virtio_console "
              "virtio_balloon vmw_vsock_virtio_transport")
        m.run("dd if=/dev/hwrng of=/tmp/a bs=64 count=16")
        assert m.run("wc -c < /tmp/a").strip() == "1024"
        wait_for(lambda: m.run("cat /sys/class/virtio-ports/*/name; true")
                 == "p\n", REPLY)
        # Who is connected stays so.
        m.run(f"echo turn {turn} > /dev/vport1p0")
        assert receive(peer, 7) == f"turn {turn}\n".encode()
        m.run("vsock connect 5 </dev/null", status=1)
        m.send("reboot -f\r" if turn < 2 else "poweroff -f\r")
    assert m.wait() == 1
    peer.close()
    assert not os.path.exists(f"{tmp_path}/p")
    assert not os.path.exists(f"{tmp_path}/v")


@pytest.mark.parametrize("way", ["both", "legacy"])
def test_no_msix(machine, modules, way):
    """-W: Linux takes the pin then, and reads ISR status."""
    m = machine("-W", "-s", f"3,virtio-rnd,interface={way}",
                files=modules("virtio_pci", "virtio_rng"))
    m.boot()
    m.run("modprobe -a virtio_pci virtio_rng")
    m.run("dd if=/dev/hwrng of=/tmp/a bs=64 count=64")
    lines = [line for line in m.run("cat /proc/interrupts").splitlines()
             if "virtio0" in line]
    assert len(lines) == 1 and "IO-APIC" in lines[0]
    assert int(lines[0].split()[1]) >= 64


def test_broken_ring(machine, modules):
    """A device that is misled wants a reset; nothing else notices."""
    m = machine("-c", "2", "-s", "3,virtio-rnd", "-s", "4,virtio-rnd",
                files=modules("virtio_pci", "virtio_rng"))
    m.boot()
    m.run("modprobe -a virtio_pci virtio_rng")
    m.run("echo 0000:00:03.0 > /sys/bus/pci/drivers/virtio-pci/unbind")
    m.send("vbreak 0000:00:03.0\r")
    m.expect("lhyve: guest: virtio-rnd at 0:3:0: queue 0: its ring is not in "
             "memory; the device needs a reset")
    m.expect("status 4f")
    # The other one goes on, and this one too with a driver again.
    m.run("dd if=/dev/hwrng of=/tmp/a bs=64 count=16")
    m.run("echo 0000:00:04.0 > /sys/bus/pci/drivers/virtio-pci/unbind")
    m.run("echo 0000:00:03.0 > /sys/bus/pci/drivers/virtio-pci/bind")
    m.run("dd if=/dev/hwrng of=/tmp/b bs=64 count=16")
    assert m.run("wc -c < /tmp/b").strip() == "1024"
