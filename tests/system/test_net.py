# SPDX-License-Identifier: BSD-2-Clause
"""Network cards, with Debian's driver, and all kinds of other ends.

Every machine of these tests is in a network namespace of its own: nothing
leaves it.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

from console import PATIENCE, wait_for

SIZE = 8_000_000
# Options of the card, and what the rings then are: see test_virtio.py.
INTERFACES = {
    "split": "packed=false",
    "plain": "packed=false,indirect=false,event_idx=false",
    "legacy": "interface=legacy",
}
NAMESPACES = ["unshare", "-mn"] if os.getuid() == 0 else ["unshare", "-rmn"]

# Answers every question for an address with 192.0.2.7.
DNS = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    q, who = s.recvfrom(2000)
    a = q[:2] + b"\\x81\\x80" + q[4:6]
    if q[-4:-2] == b"\\0\\1":
        a += b"\\0\\1" + bytes(4) + q[12:] + (
            b"\\xc0\\x0c\\0\\1\\0\\1" + bytes(3) + b"\\x3c\\0\\4\\xc0\\0\\2\\7")
    else:
        a += bytes(6) + q[12:]
    s.sendto(a, who)
"""

DHCP = r"""printf '#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
ip route add default via $router
echo nameserver $dns > /etc/resolv.conf
echo lease $ip $router $dns
' > /bin/lease; chmod 755 /bin/lease; udhcpc -n -q -i eth0 -s /bin/lease"""


class Net:
    """A machine with a card, and the host's side of its namespace."""

    def __init__(self, machine, files, conf, *options, setup="", place=None,
                 cmdline="", loaded="virtio_pci virtio_net", mac=None):
        self.files = files
        self.netio = str(pathlib.Path(files.probe).parent / "netio")
        self.started = []
        if place is None:
            inner = f"ip link set lo up; {setup} exec \"$@\""
            prefix = [*NAMESPACES, "sh", "-ec", inner, "sh"]
        else:
            # The name is taken there.
            rundir = f"{os.environ['LHYVE_RUNDIR']}/second"
            os.makedirs(rundir, exist_ok=True)
            prefix = [*place.enter(), "env", f"LHYVE_RUNDIR={rundir}"]
        if mac:
            conf += f",mac={mac}"
        self.m = machine("-s", f"3,virtio-net,{conf}".rstrip(","), *options,
                         prefix=prefix, files=files, cmdline=cmdline)
        self.m.boot()
        self.m.run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
        self.m.run(f"modprobe -a {loaded}; ip link set lo up; "
                   "ip link set eth0 up")

    def enter(self):
        how = ["nsenter", "-t", str(self.m.pid), "-n"]
        if os.getuid() != 0:
            how += ["-U", "--preserve-credentials"]
        return how

    def start(self, *argv):
        """Starts a program of the host, which says that it is ready."""
        p = subprocess.Popen([*self.enter(), *argv], stdout=subprocess.PIPE,
                             text=True)
        self.started.append(p)
        assert p.stdout.readline() == "ready\n"
        return p

    def host(self, *argv):
        return subprocess.run([*self.enter(), *argv], check=True,
                              timeout=240 * PATIENCE,
                              stdout=subprocess.PIPE, text=True).stdout

    def serve(self, *args):
        """Starts netio in the guest; finish() tells what it said."""
        # What the last one said would be taken for this one's.
        self.m.run(f"rm -f /tmp/out; netio {' '.join(args)} > /tmp/out & "
                   "until grep -qs ready /tmp/out; do usleep 100000; done")

    def finish(self):
        return self.m.run("wait; cat /tmp/out")

    def tcp_out(self, addr, size=SIZE, port="7002"):
        """Data from the guest to the host, checked there."""
        sink = self.start(self.netio, "sink", port)
        assert f"ok {size} " in self.m.run(
            f"netio source {addr} {port} {size}", timeout=240)
        assert f"ok {size} " in sink.communicate(timeout=60 * PATIENCE)[0]

    def tcp_in(self, addr, size=SIZE, port="7001"):
        """Data from the host to the guest."""
        self.serve("sink", port)
        assert f"ok {size} " in self.host(
            self.netio, "source", addr, port, str(size))
        assert f"ok {size} " in self.finish()

    def address(self, addr, *routes):
        self.m.run(f"ip addr add {addr} dev eth0")
        for route in routes:
            self.m.run(f"ip route add {route}")

    def close(self):
        for p in self.started:
            if p.poll() is None:
                p.kill()
            p.wait()


@pytest.fixture
def net(machine, modules):
    made = []

    def make(conf, *options, more=(), **kwargs):
        files = modules("virtio_pci", "virtio_net", *more)
        made.append(Net(machine, files, conf, *options, **kwargs))
        return made[-1]

    yield make
    for n in made:
        n.close()


def tap(name, *, extra="", mode=""):
    """The host's end of a tap."""
    return (f"ip tuntap add dev {name} mode tap {mode}; "
            f"ip addr add 192.168.77.1/24 dev {name}; {extra}")


def test_slirp(net, tmp_path):
    """Addresses, names, TCP and UDP, both versions of IP, both ways."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\n")
    pcap = tmp_path / "all.pcap"
    n = net("slirp,open,hostfwd=tcp:127.0.0.1:7001-:7001;"
            "udp:127.0.0.1:7004-10.0.2.15:7004;"
            f"tcp:[::1]:7001-[fec0::15]:7001,pcap={pcap}",
            setup=f"mount --bind {conf} /etc/resolv.conf;")
    assert "lease 10.0.2.15 10.0.2.2 10.0.2.3" in n.m.run(DHCP)
    n.m.run("ping -c 3 10.0.2.2")
    n.tcp_out("10.0.2.2")
    n.tcp_in("127.0.0.1")
    # Connections come and go.
    n.start(n.netio, "echo", "7003", "150")
    assert "ok 150 " in n.m.run("netio many 10.0.2.2 7003 150")
    n.serve("echo", "7001", "150")
    assert "ok 150 " in n.host(n.netio, "many", "127.0.0.1", "7001", "150")
    assert "ok 150 " in n.finish()
    # Datagrams up to 9000 bytes: in fragments, or whole.
    n.start(n.netio, "udp-echo", "7005")
    assert "ok 20 " in n.m.run("netio udp 10.0.2.2 7005 20")
    n.serve("udp-echo", "7004")
    assert "ok 20 " in n.host(n.netio, "udp", "127.0.0.1", "7004", "20")
    n.m.run("kill %1")
    # Names.
    n.start(sys.executable, "-c", DNS)
    assert "192.0.2.7" in n.m.run("nslookup -type=a www.example.org")
    # IPv6.
    n.address("fec0::15/64")
    n.m.run("ping -6 -c 1 -w 60 fec0::2")
    n.tcp_out("fec0::2", port="7006")
    n.tcp_in("::1")
    assert n.m.run("dmesg | grep -i -E 'csum fail|bad csum|virtio_net.*:' || "
                   "true") == ""
    n.m.send("poweroff -f\r")
    assert n.m.wait() == 1
    # Others can read what was written down.
    seen = subprocess.run(["tcpdump", "-n", "-r", pcap, "arp or icmp"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=True).stdout
    assert re.search(r"Request who-has 10\.0\.2\.2 .*tell 10\.0\.2\.15", seen)
    assert seen.count("ICMP echo request") == 3
    assert seen.count("ICMP echo reply") == 3


@pytest.mark.parametrize("way", INTERFACES)
def test_interfaces(net, way):
    """The rings of each kind, and the header of the legacy interface."""
    n = net("slirp,open,hostfwd=tcp:127.0.0.1:7001-:7001," + INTERFACES[way])
    n.m.run(DHCP)
    n.tcp_out("10.0.2.2", 3_000_000)
    n.tcp_in("127.0.0.1", 3_000_000)
    # The driver goes and comes again.
    n.m.run("rmmod virtio_net; modprobe virtio_net; ip link set eth0 up; "
            "ip addr add 10.0.2.15/24 dev eth0")
    n.m.run("ping -c 1 -w 60 10.0.2.2")


def test_default_and_restricted(net):
    """Without a backend it is slirp, open; slirp alone is closed."""
    n = net("", "-s", "4,virtio-net,slirp")
    n.m.run(DHCP)
    n.tcp_out("10.0.2.2", 100_000)
    n.m.run("ip addr flush dev eth0; ip link set eth0 down; "
            "ip link set eth1 up; ip addr add 10.0.2.15/24 dev eth1")
    n.start(n.netio, "sink", "7009")
    n.m.run("netio source 10.0.2.2 7009 1000", status=1)
    # bhyve's addresses, by slot and name.
    assert [n.m.run(f"cat /sys/class/net/eth{i}/address").strip()
            for i in (0, 1)] == [mac("3-0-vm0"), mac("4-0-vm0")]


def mac(seed):
    out = subprocess.run(["md5sum"], input=seed.encode(), check=True,
                         stdout=subprocess.PIPE).stdout.decode()
    return "00:a0:98:" + ":".join(out[i:i + 2] for i in (0, 2, 4))


def test_tap(net):
    n = net("tap0,mtu=1400", setup=tap("tap0"), mac="52:54:00:ab:cd:ef",
            more=("8021q",))
    n.address("192.168.77.2/24")
    n.m.run("ping -c 3 192.168.77.1")
    assert n.m.run("cat /sys/class/net/eth0/mtu").strip() == "1400"
    assert n.m.run("cat /sys/class/net/eth0/address").strip() == \
        "52:54:00:ab:cd:ef"
    n.tcp_out("192.168.77.1")
    n.tcp_in("192.168.77.2")
    n.start(n.netio, "udp-echo", "7005")
    assert "ok 20 " in n.m.run("netio udp 192.168.77.1 7005 20")
    n.serve("udp-echo", "7004")
    assert "ok 20 " in n.host(n.netio, "udp", "192.168.77.2", "7004", "20")
    n.m.run("kill %1")
    # IPv6, whose neighbours are found by multicast.
    n.address("fd00:77::2/64")
    n.host("ip", "addr", "add", "fd00:77::1/64", "dev", "tap0", "nodad")
    n.m.run("ping -6 -c 1 -w 60 fd00:77::1")
    n.tcp_in("fd00:77::2", 1_000_000)
    filters(n)


def rx(n):
    return int(n.m.run("cat /sys/class/net/eth0/statistics/rx_packets"))


SEND = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("tap0", 0x88b5))
dst, _, vlan = sys.argv[1].partition("/")
tag = b"\\x81\\0\\0" + bytes([int(vlan)]) if vlan else b""
for i in range(50):
    s.send(bytes.fromhex(dst.replace(":", "")) + b"\\x52\\0\\0\\0\\0\\1" +
           tag + b"\\x88\\xb5" + bytes(60))
"""


def filters(n):
    """The card drops what is not for it, as the driver has asked."""
    ours, other = "52:54:00:ab:cd:ef", "52:54:00:00:00:99"
    group = "33:33:00:00:99:99"

    def seen(dst):
        # Something that always comes is sent last.
        before = rx(n)
        n.host(sys.executable, "-c", SEND, dst)
        n.m.run("ping -c 1 -w 60 192.168.77.1")
        return (rx(n) - before) >= 50

    assert seen(ours)
    assert not seen(other)
    assert not seen(group)
    n.m.run("ip link set eth0 promisc on")
    assert seen(other)
    n.m.run("ip link set eth0 promisc off")
    assert not seen(other)
    n.m.run("ifconfig eth0 allmulti")
    assert seen(group)
    n.m.run("ifconfig eth0 -allmulti")
    assert not seen(group)
    n.m.run(f"ip link set eth0 address {other}")
    assert seen(other)
    assert not seen(ours)
    # VLAN 5, and not 6.
    assert not seen(other + "/5")
    n.m.run("modprobe 8021q; vconfig add eth0 5; ip link set eth0.5 up")
    assert seen(other + "/5")
    assert not seen(other + "/6")
    n.m.run("vconfig rem eth0.5")
    assert not seen(other + "/5")


def test_queues(net):
    """Two pairs of queues for two processors."""
    n = net("tap0,queues=2", "-c", "2",
            setup=tap("tap0", mode="multi_queue"))
    n.address("192.168.77.2/24")
    queues = n.m.run("ls /sys/class/net/eth0/queues").split()
    assert {"rx-0", "rx-1", "tx-0", "tx-1"} <= set(queues)
    n.m.run("ping -c 1 -w 60 192.168.77.1")
    # Many connections, so that both have some.
    sinks = [n.start(n.netio, "sink", str(7100 + i)) for i in range(8)]
    jobs = "".join(f"netio source 192.168.77.1 {7100 + i} 1000000 > "
                   f"/tmp/{i} & " for i in range(8))
    n.m.run(f"{jobs} wait; cat /tmp/[0-7]", timeout=240)
    for sink in sinks:
        assert "ok 1000000 " in sink.communicate(timeout=60 * PATIENCE)[0]
    n.serve("echo", "7001", "100")
    assert "ok 100 " in n.host(n.netio, "many", "192.168.77.2", "7001", "100")
    n.finish()
    counts = {}
    for line in n.m.run("grep virtio0 /proc/interrupts").splitlines():
        fields = line.split()
        counts[fields[-1]] = sum(int(f) for f in fields[1:3])
    assert counts["virtio0-output.0"] > 0 and counts["virtio0-output.1"] > 0
    assert counts["virtio0-input.0"] > 0 and counts["virtio0-input.1"] > 0


def carrier(n):
    return n.m.run("cat /sys/class/net/eth0/carrier").strip()


def test_two_machines(net, tmp_path):
    """A cable between two machines, one of which is pulled out."""
    path = tmp_path / "cable"
    a = net(f"socket,path={path},listen")
    assert carrier(a) == "0"
    b = net(f"socket,path={path}", place=a, mac="52:54:00:00:00:02")
    wait_for(lambda: carrier(a) == "1" and carrier(b) == "1")
    a.address("192.168.77.1/24")
    b.address("192.168.77.2/24")
    b.m.run("ping -c 2 192.168.77.1")
    for x, y, addr in (a, b, "192.168.77.2"), (b, a, "192.168.77.1"):
        y.serve("sink", "7001")
        x.m.run(f"netio source {addr} 7001 4000000", timeout=240)
        assert "ok 4000000 " in y.finish()
    # It vanishes in the middle of something.
    a.m.run("netio source 192.168.77.2 7001 100 2> /dev/null; true")
    os.kill(b.m.pid, signal.SIGKILL)
    wait_for(lambda: carrier(a) == "0")
    b.m.proc.wait()
    # Another takes its place, and is told where the first one is.
    c = net(f"socket,path={path}", place=a, mac="52:54:00:00:00:03")
    wait_for(lambda: carrier(a) == "1")
    c.address("192.168.77.3/24")
    c.m.run("ping -c 2 -w 60 192.168.77.1")


def test_consumer_that_never_reads(net, tmp_path):
    """Frames are lost; the guest and the machine do not notice more."""
    path = tmp_path / "cable"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen(1)
        n = net(f"socket,path={path}")
        peer = s.accept()[0]
        n.address("192.168.77.1/24")
        n.m.run("arp -s 192.168.77.2 52:54:00:00:00:02")
        sent = "cat /sys/class/net/eth0/statistics/tx_packets"
        before = int(n.m.run(sent))
        # 12 MB, many times what any buffer on the way has.
        n.m.run("netio flood 192.168.77.2 9 9000", timeout=240)
        assert int(n.m.run(sent)) - before > 8000
        assert carrier(n) == "1"
        assert "timed out" not in n.m.run("dmesg")
        # It sends what is no frame.
        peer.send(b"\xff" * 100)
        n.m.expect("sent a frame of 4294967295 bytes")
        wait_for(lambda: carrier(n) == "0")
        n.m.run("true")
        peer.close()
        n.m.send("poweroff -f\r")
        assert n.m.wait() == 1


def test_passt(net, tmp_path):
    """The network of passt, which it shows to the guest; then it is gone."""
    tmp_path.chmod(0o777)
    os.chmod(tmp_path.parent, 0o755)
    path = f"/tmp/lhyve-passt-{os.getpid()}"
    veth = ("ip link add d0 type veth peer name d1; ip link set d1 up; "
            "ip addr add 198.51.100.2/24 dev d0; ip link set d0 up; "
            "ip route add default via 198.51.100.1; "
            f"passt --quiet --socket {path} --pid {path}.pid -t 7001 "
            "> /dev/null 2>&1 < /dev/null; ")
    try:
        n = net(f"passt,path={path}", setup=veth)
        assert "lease 198.51.100.2 198.51.100.1" in n.m.run(DHCP)
        n.tcp_in("127.0.0.1")
        # Its gateway is the host.
        n.tcp_out("198.51.100.1")
        assert carrier(n) == "1"
        os.kill(int(pathlib.Path(f"{path}.pid").read_text()), signal.SIGKILL)
        wait_for(lambda: carrier(n) == "0")
        n.m.send("poweroff -f\r")
        assert n.m.wait() == 1
    finally:
        for file in path, f"{path}.pid", f"{path}.repair":
            pathlib.Path(file).unlink(missing_ok=True)


@pytest.mark.parametrize("conf, line", [
    ("netmap:em0", "netmap:em0: no such network backend; use slirp, tap"),
    ("slirp,hostfwd=tcp:22", "hostfwd=tcp:22: not PROTO:HADDR:HPORT-GADDR"),
    ("slirp,mac=01:00:00:00:00:00", "Invalid MAC 01:00:00:00:00:00"),
    ("slirp,mac=00:00:00:00:00:00", "Invalid MAC 00:00:00:00:00:00"),
    ("slirp,mac=52:54:00", "Invalid MAC 52:54:00"),
    ("slirp,mtu=71", "mtu"),
    ("slirp,mtu=65536", "mtu"),
    ("slirp,queues=9", "queues"),
    ("socket", "socket: no peer; add path="),
    ("passt,path=/nonexistent", "no passt there"),
    ("tap,fd=77", "fd=77: not numbers of open descriptors"),
    ("slirp,pcap=/nonexistent/file", "pcap=/nonexistent/file: cannot be"),
])
def test_wrong_options(files, conf, line):
    done = subprocess.run(
        [files.lhyve, "-s", "0,hostbridge", "-s", "31,lpc", "-s",
         f"3,virtio-net,{conf}", "-o", f"kernel={files.kernel}", "vm0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        check=False, timeout=60)
    assert done.returncode == 4
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
