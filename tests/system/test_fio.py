# SPDX-License-Identifier: BSD-2-Clause
"""fio's verification in a Debian guest: what is read is what was written,
on the disk itself, on ext4 and on xfs."""

import os
import pathlib
import subprocess

import pytest

from console import BOOT, PC, Console, Machine, engine, kernel_cmdline

TOP = pathlib.Path(__file__).resolve().parents[2]
GUEST = pathlib.Path(os.environ.get("LHYVE_GUEST", TOP / "build/guest"))

# Sizes at random, queue full, everything read again and compared.
FIO = ("fio --name=v --ioengine=libaio --direct=1 --rw={rw} "
       "--bsrange=512-128k --blockalign=512 --iodepth=32 --verify=crc32c "
       "--verify_fatal=1 --randseed=7 --fdatasync=32 --group_reporting "
       "--minimal {more} >/tmp/fio.log 2>&1 || cat /tmp/fio.log; "
       "! grep -i -e 'verify: bad' -e 'error=' -e 'err=' /tmp/fio.log")


class Debian(Machine):
    """The Debian image, up to a shell; its writes are forgotten."""

    def __init__(self, files, *options):
        image = GUEST / "debian.img"
        if not image.exists():
            pytest.fail(f"{image} is missing: run `make debian`",
                        pytrace=False)
        self.count = 0
        Console.__init__(self, [
            files.lhyve, *PC, "-m", "1G", "-l", "com1,stdio", *engine(),
            "-s", f"3,virtio-blk,{image},snapshot=1",
            "-o", f"kernel={GUEST}/debian-vmlinuz",
            "-o", f"initrd={GUEST}/debian-initrd",
            "-o", "cmdline=" + kernel_cmdline(
                "root=/dev/vda rw init=/bin/sh panic=-1"),
            *options, "vm0"])

    def boot(self):
        self.expect("# ", 2 * BOOT)
        self.run("export PATH=/usr/sbin:/usr/bin:/sbin:/bin; dmesg -n 1; "
                 "mount -t tmpfs none /tmp")


def fio(m, mib, rw="randrw", jobs=1, target="--filename=/dev/vdb"):
    size = mib // jobs
    more = f"{target} --size={size}m --numjobs={jobs}"
    if jobs > 1 and "filename" in target:
        more += f" --offset_increment={size}m"
    if rw == "randtrim":
        rw = "randwrite"
        more += " --trim_percentage=20 --trim_verify_zero=1"
    m.run(FIO.format(rw=rw, more=more), timeout=3600)


def verify(files, tmp_path, mib, conf):
    disk = tmp_path / "disk"
    subprocess.run(["truncate", "-s", f"{max(2 * mib, 384)}M", disk],
                   check=True)
    m = Debian(files, "-c", "2",
               "-s", f"4,virtio-blk,{disk}{conf.format(dir=tmp_path)}")
    try:
        m.boot()
        for jobs in 1, 4:
            fio(m, mib, jobs=jobs)
            fio(m, mib, rw="randwrite", jobs=jobs)
        fio(m, mib, rw="randtrim")
        for mkfs, fsck, opts in (("mkfs.ext4 -q -F", "e2fsck -fn", "discard"),
                                 ("mkfs.xfs -q -f", "xfs_repair -n", "")):
            m.run(f"modprobe xfs; {mkfs} /dev/vdb", timeout=600)
            m.run(f"mount -o '{opts}' /dev/vdb /mnt".replace("-o '' ", ""))
            for jobs in 1, 4:
                fio(m, mib, jobs=jobs, target="--directory=/mnt")
            m.run("rm /mnt/v*; fstrim /mnt")
            fio(m, mib, rw="randwrite", target="--directory=/mnt")
            m.run("umount /mnt")
            m.run(f"{fsck} /dev/vdb", timeout=600)
        assert "error" not in m.run("dmesg | grep vdb; true")
    finally:
        m.close()


def test_fio(files, tmp_path):
    verify(files, tmp_path, 8, "")


@pytest.mark.long
@pytest.mark.parametrize("conf", ["", ",nocache", ",aio=threads",
                                  ",overlay={dir}/top"])
def test_fio_long(files, tmp_path, conf):
    verify(files, tmp_path, 128, conf)
