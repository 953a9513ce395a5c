# SPDX-License-Identifier: BSD-2-Clause
"""virtio-blk and what is behind it, with Debian's driver."""

import hashlib
import os
import random
import re
import socket
import subprocess
import time

import pexpect
import pytest

from console import wait_for
from test_bad_input import check, command

MIB = 1 << 20
INTERFACES = {
    "packed": "",
    "split": "packed=false",
    "plain": "packed=false,indirect=false,event_idx=false",
    "legacy": "interface=legacy",
}


def image(path, size, seed=1):
    """A file of noise; returns its bytes."""
    data = random.Random(seed).randbytes(size)
    path.write_bytes(data)
    return data


def digest(data):
    return hashlib.md5(data).hexdigest()


def allocated(path):
    return os.stat(path).st_blocks * 512


@pytest.fixture
def disks(machine, modules):
    """A machine with disks at slots 3, 4, ...: vda, vdb, ..."""
    def make(*confs, options=(), **kwargs):
        args = []
        for n, conf in enumerate(confs):
            args += ["-s", f"{3 + n},virtio-blk,{conf}"]
        m = machine(*args, *options,
                    files=modules("virtio_pci", "virtio_blk"), **kwargs)
        m.boot()
        m.run("modprobe -a virtio_pci virtio_blk")
        return m
    return make


def listens(sock):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(str(sock))
        except OSError:
            return False
        return True


@pytest.fixture
def nbd(tmp_path):
    """Starts servers: returns where one is."""
    servers = []

    def start(*argv):
        sock = tmp_path / f"nbd{len(servers)}"
        servers.append(subprocess.Popen(
            ["nbdkit", "-f", "-U", sock, *argv], stderr=subprocess.DEVNULL))
        wait_for(lambda: listens(sock))
        return f"nbd:unix:{sock}"

    yield start
    for server in servers:
        server.kill()
        server.wait()


@pytest.mark.parametrize("way", INTERFACES)
def test_disk(disks, tmp_path, way):
    path = tmp_path / "disk"
    data = image(path, 32 * MIB)
    m = disks(f"{path},{INTERFACES[way]}".rstrip(","),
              options=["-c", "2"])
    sys = "/sys/block/vda"
    assert m.run(f"cat {sys}/size").strip() == str(32 * MIB // 512)
    serial = hashlib.md5(str(path).encode()).digest()[:6].hex().upper()
    assert m.run(f"cat {sys}/serial") == "BHYVE-" + "-".join(
        re.findall("....", serial))
    assert m.run(f"cat {sys}/queue/write_cache").strip() == "write back"
    queues = m.run(f"ls {sys}/mq").split()
    assert len(queues) == 2
    assert digest(data) in m.run("md5sum /dev/vda")
    assert digest(data) in m.run("dd if=/dev/vda iflag=direct bs=1M 2>/dev/null"
                                 " | md5sum")
    # What the guest writes is in the file, at its place.
    m.run("dd if=/dev/urandom of=/tmp/a bs=4k count=256 2>/dev/null")
    m.run("dd if=/tmp/a of=/dev/vda bs=4k seek=100 conv=fsync 2>/dev/null")
    new = path.read_bytes()
    written = new[100 * 4096:356 * 4096]
    assert digest(written) in m.run("md5sum /tmp/a")
    assert new == data[:100 * 4096] + written + data[356 * 4096:]
    # Both processors at once.
    m.run("for i in 1 2 3 4; do dd if=/dev/vda bs=4k skip=$((i*1000)) "
          "count=1000 iflag=direct of=/tmp/p$i 2>/dev/null & done; wait")
    for i in range(1, 5):
        part = new[i * 1000 * 4096:(i + 1) * 1000 * 4096]
        assert digest(part) in m.run(f"md5sum /tmp/p{i}")


def test_discard(disks, tmp_path):
    """Discards and zeroes make holes; nodelete keeps what there is."""
    path, kept = tmp_path / "disk", tmp_path / "kept"
    image(path, 8 * MIB)
    image(kept, 8 * MIB)
    os.sync()
    full = allocated(path)
    m = disks(str(path), f"{kept},nodelete")
    m.run("blkdiscard -o 1048576 -l 4194304 /dev/vda")
    assert allocated(path) <= full - 4 * MIB
    assert m.run("cat /sys/block/vdb/queue/discard_max_bytes").strip() == "0"
    assert m.run("cat /sys/block/vda/queue/write_zeroes_max_bytes"
                 ).strip() == str(1 << 30)
    data = path.read_bytes()
    assert data[MIB:5 * MIB] == bytes(4 * MIB)
    assert data[:MIB] != bytes(MIB)


def test_backends(disks, nbd, tmp_path):
    """Read-only, overlays, snapshots, servers, threads, O_DIRECT."""
    names = ["ro", "over", "snap", "nbd", "threads", "sync"]
    data = {n: image(tmp_path / n, 4 * MIB, seed=i)
            for i, n in enumerate(names)}
    p = {n: str(tmp_path / n) for n in names}
    top = tmp_path / "top"
    confs = [f"{p['ro']},ro", f"{p['over']},overlay={top}",
             f"{p['snap']},snapshot=1", nbd("file", p["nbd"]),
             f"{p['threads']},aio=threads,nocache,sectorsize=512/4096",
             f"{p['sync']},direct,sectorsize=4096,ser=number-5"]
    m = disks(*confs)
    assert m.run("cat /sys/block/vdf/queue/logical_block_size"
                 ).strip() == "4096"
    assert m.run("cat /sys/block/vde/queue/physical_block_size"
                 ).strip() == "4096"
    assert m.run("cat /sys/block/vdf/serial") == "number-5"
    for n, dev in zip(names, "abcdef"):
        assert digest(data[n]) in m.run(f"md5sum /dev/vd{dev}"), n
    assert m.run("cat /sys/block/vda/ro").strip() == "1"
    m.run("dd if=/dev/urandom of=/tmp/a bs=4k count=16 2>/dev/null")
    m.run("for d in b c d e f; do dd if=/tmp/a of=/dev/vd$d bs=4k seek=5 "
          "conv=fsync 2>/dev/null || echo bad $d; done")
    m.run("dd if=/tmp/a of=/dev/vda bs=512 count=1 conv=fsync 2>/dev/null",
          status=1)
    m.run("echo 3 > /proc/sys/vm/drop_caches")
    for dev in "bcdef":
        m.run(f"dd if=/dev/vd{dev} bs=4k skip=5 count=16 2>/dev/null | "
              "cmp - /tmp/a")
    new = (tmp_path / "threads").read_bytes()
    part = new[5 * 4096:21 * 4096]
    for n in "nbd", "sync":
        assert (tmp_path / n).read_bytes()[5 * 4096:21 * 4096] == part
    for n in "ro", "over", "snap":
        assert (tmp_path / n).read_bytes() == data[n]
    # Another machine finds the overlay's writes.
    m.send("poweroff -f\r")
    assert m.wait() == 1
    assert allocated(top) < MIB
    m = disks(f"{p['over']},overlay={top}")
    m.run("dd if=/dev/vda bs=4k skip=5 count=16 of=/tmp/b 2>/dev/null")
    assert digest(part) in m.run("md5sum /tmp/b")


def test_resize(disks, tmp_path):
    path = tmp_path / "disk"
    image(path, 4 * MIB)
    m = disks(str(path))
    size = "cat /sys/block/vda/size"
    for new in 8 * MIB, 2 * MIB:
        os.truncate(path, new)
        m.run(f"until [ $({size}) = {new // 512} ]; do sleep 0.1; done")
    # Back: what the guest still believes, if it has not heard, is an error.
    m.run("dd if=/dev/vda of=/dev/null bs=1M count=2 iflag=direct 2>/dev/null")
    os.truncate(path, MIB)
    m.run("dd if=/dev/vda of=/dev/null bs=64k skip=16 count=1 iflag=direct "
          f"2>/dev/null; [ $? = 1 ] || [ $({size}) = {MIB // 512} ]")
    m.run("dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct "
          "2>/dev/null")


def test_errors(disks, nbd, tmp_path):
    """A server that fails, and one that dies: the guest sees errors, the user
    one line for each kind, and the machine lives."""
    image(tmp_path / "a", 4 * MIB)
    image(tmp_path / "b", 4 * MIB)
    flag = tmp_path / "fail"
    where = nbd("--filter=error", "file", str(tmp_path / "a"), "error=EIO",
                "error-rate=100%", f"error-file={flag}")
    m = disks(where)
    m.run("dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct 2>/dev/null")
    flag.touch()
    for _ in range(3):
        m.run("dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct "
              "2>/dev/null", status=1)
    m.run("dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct "
          "2>/dev/null", status=1)
    flag.unlink()
    m.run("dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct 2>/dev/null")
    assert "I/O error" in m.run("dmesg | grep vda")
    m.send("poweroff -f\r")
    assert m.wait() == 1


def test_full(disks, tmp_path):
    """No more room on the host; then there is some again."""
    script = ('mount -t tmpfs -o size=8m none "$1" && truncate -s 64m '
              '"$1/disk" && shift && exec "$@"')
    where = tmp_path / "small"
    where.mkdir()
    m = disks(f"{where}/disk",
              prefix=["unshare", "-rm", "sh", "-c", script, "sh", str(where)])
    m.run("dd if=/dev/zero of=/dev/vda bs=1M count=32 oflag=direct "
          "2>/dev/null", status=1)
    assert "I/O error" in m.run("dmesg | grep vda")
    m.run("blkdiscard /dev/vda")
    m.run("dd if=/dev/zero of=/dev/vda bs=1M count=4 oflag=direct 2>/dev/null")


def test_reset(disks, tmp_path):
    """The machine is reset in the middle of writes, and its disk with it."""
    path = tmp_path / "disk"
    data = image(path, 16 * MIB)
    m = disks(str(path), options=["-o", "reboot=internal"])
    for _ in range(2):
        m.run("(while :; do dd if=/dev/vda of=/dev/null bs=64k iflag=direct; "
              "dd if=/dev/zero of=/dev/vda bs=4k seek=2048 count=64 "
              "oflag=direct; done) >/dev/null 2>&1 & sleep 0.3")
        m.send("echo b > /proc/sysrq-trigger\r")
        m.boot()
        m.run("modprobe -a virtio_pci virtio_blk")
    assert digest(data[:8 * MIB]) in m.run("dd if=/dev/vda bs=1M count=8 "
                                           "2>/dev/null | md5sum")
    # And the driver comes and goes.
    m.run("for i in 1 2 3; do rmmod virtio_blk; modprobe virtio_blk; done")
    m.run("dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct 2>/dev/null")


# Power cuts

KINDS = {
    "raw": "{disk}",
    "nocache": "{disk},nocache",
    "threads": "{disk},aio=threads",
    "overlay": "{base},overlay={disk}",
}
SLOTS = 512


class Cuts:
    """Disks of some kinds, each with a writer: the machine is killed, and
    what was acknowledged is there for the next one."""

    def __init__(self, disks, tmp_path, kinds, fs):
        self.disks, self.dir, self.kinds, self.fs = disks, tmp_path, kinds, fs
        self.last = {}
        for kind in kinds:
            first = tmp_path / (kind + "-base" if kind == "overlay" else kind)
            subprocess.run(["truncate", "-s", "32M", first], check=True)
            if fs:
                subprocess.run(["mke2fs", "-q", "-t", "ext4", first],
                               check=True)

    def place(self, n):
        return f"/m{n}/log" if self.fs else f"/dev/vd{'abcd'[n]}"

    def boot(self):
        """A machine with the disks; what should be there is."""
        m = self.disks(*[KINDS[k].format(disk=self.dir / k,
                                         base=self.dir / f"{k}-base")
                         for k in self.kinds])
        for n, kind in enumerate(self.kinds):
            place = self.place(n)
            if self.fs:
                m.run(f"mkdir -p /m{n}; mount -t ext4 /dev/vd{'abcd'[n]} /m{n}")
                assert "EXT4-fs error" not in m.run("dmesg")
            if kind in self.last:
                m.run(f"acks {place} {SLOTS} {self.last[kind]}")
            m.run(f"rm -f {place}" if self.fs else f"blkdiscard {place}")
        return m

    def cut(self, delay):
        """Kills a machine that writes; how many records it had acknowledged
        is the result."""
        m = self.boot()
        m.send("".join(f"acks {self.place(n)} {SLOTS} & "
                       for n in range(len(self.kinds))) + "\r")
        for n in range(len(self.kinds)):
            m.expect(rf"ack {self.place(n)} \d+\r")
        time.sleep(delay)
        os.kill(m.pid, 9)
        m.proc.wait()
        wait_for(lambda: m.tty.expect([pexpect.TIMEOUT], timeout=0.1) == 0)
        # Whatever it showed, since the writers began.
        out = m.tty.buffer
        for n, kind in enumerate(self.kinds):
            acks = re.findall(rf"ack {self.place(n)} (\d+)\r", out)
            # All of it may have been seen already.
            self.last[kind] = max(map(int, acks), default=8)
            if self.fs and kind != "overlay":
                self.check(self.dir / kind)
        return sum(self.last.values())

    def end(self):
        m = self.boot()
        m.send("poweroff -f\r")
        assert m.wait() == 1

    def check(self, disk):
        """The journal is played back; then nothing is wrong."""
        for how, good in ("-p", (0, 1)), ("-fn", (0,)):
            done = subprocess.run(
                ["e2fsck", how, disk], check=False, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            assert done.returncode in good, done.stdout


@pytest.mark.parametrize("fs", [True, False])
def test_power_cut(disks, tmp_path, fs):
    cuts = Cuts(disks, tmp_path, ["raw", "overlay"], fs)
    assert cuts.cut(1.0) > 0
    cuts.end()


@pytest.mark.long
def test_power_cuts(disks, tmp_path):
    """Fifty of them."""
    rnd = random.Random(50)
    cuts = None
    for n in range(50):
        if n % 10 == 0:
            there = tmp_path / str(n)
            there.mkdir()
            if cuts is not None:
                cuts.end()
            cuts = Cuts(disks, there, list(KINDS), n % 20 == 0)
        acked = cuts.cut(rnd.uniform(0, 2))
        print(f"cut {n + 1}: {acked} records", flush=True)
    cuts.end()


# Bad input

def disk(files, conf, *more):
    return command(files, "-s", f"3,virtio-blk,{conf}".rstrip(","), *more,
                   name="vm1")


@pytest.mark.parametrize("conf,culprit", [
    ("/nonexistent/disk", "/nonexistent/disk: cannot be opened: No such file"),
    ("/dev/null", "/dev/null: neither a file nor a block device"),
    ("", "virtio-blk"),
    ("{d},sectorsize=513", "sector sizes 513/513"),
    ("{d},sectorsize=4096/512", "sector sizes 4096/512"),
    ("{d},sectorsize=x", "sectorsize=x"),
    ("{d},sectorsize=512/", "sectorsize=512/"),
    ("{d},ser=" + "x" * 21, "at most 20 characters"),
    ("{d},what", "what"),
    ("{d},queues=0", "queues"),
    ("{d},aio=quick", "aio"),
    ("{d},overlay=/nonexistent/o", "/nonexistent/o"),
    ("{d},overlay={d}", "{d}"),
    ("nbd:unix:/nonexistent/sock", "/nonexistent/sock"),
    ("nbd:x", "not a server's place"),
])
def test_bad_disks(files, tmp_path, conf, culprit):
    path = tmp_path / "disk"
    image(path, MIB)
    check(disk(files, conf.format(d=path)), culprit.format(d=path))


def test_disk_in_use(disks, files, tmp_path):
    """The second machine's user is told who has it."""
    path = tmp_path / "disk"
    image(path, MIB)
    m = disks(str(path))
    check(disk(files, str(path)), f"process {m.pid} (", str(path))
    check(disk(files, f"{path},ro"), f"process {m.pid} (", "for writing")
