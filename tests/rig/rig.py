# SPDX-License-Identifier: BSD-2-Clause
"""A host with hardware virtualization, for machines that have none.

QEMU emulates a processor with SVM and nested paging (-accel tcg -cpu
max,+svm); in it Debian's kernel with kvm_amd gives a /dev/kvm with the real
interface. What runs there sees this machine's files at their own paths: the
root is this machine's, read-only, under a writable layer in memory.

    with Rig("build/rig") as rig:
        result = rig.run(["build/lhyve", "-h"])
        result.status, result.output

A file that a command there wrote is gone with the rig, unless it is below
rig.shared, which both sides write.

A rig is asked now and then whether it is alive. One that does not answer is
QEMU's to explain, not that of what runs in it: it is booted anew, and the
command repeated, once.
"""

import ctypes
import gzip
import mmap
import os
import pathlib
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

TOP = pathlib.Path(__file__).resolve().parents[2]
# Seconds; until something counts as hung, on a machine with much to do.
BOOT = 300
COMMAND = 600
SILENCE = 120  # of a rig that was asked whether it is alive, every ASK
ASK = 15

# In the order in which they are asked for; what they need comes before.
MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console",
           "kvm-amd", "tun", "vhost_net", "veth"]


class Result(NamedTuple):
    status: int
    output: str  # stdout and stderr


class Lost(Exception):
    """The rig itself stands still or has ended."""


def has_virtualization():
    """Whether this machine's own KVM is the real thing (vmx or svm)."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("flags"):
                flags = line.split()
                return (("vmx" in flags or "svm" in flags) and
                        os.access("/dev/kvm", os.R_OK | os.W_OK))
    return False


def tsc_khz(seconds=0.3):
    """What the TSC counts, here and by TCG in the rig. A kernel that has no
    processor for a while takes it for anything, a fiftieth even, and then its
    clock runs away, and with it what is to end after some time."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE |
                     mmap.PROT_EXEC)
    # rdtsc; shl rdx, 32; or rax, rdx; ret
    code.write(b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3")
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(
        ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def both():
        """The closest of some pairs: nobody came between."""
        best = None
        for _ in range(100):
            before = time.monotonic_ns()
            tsc = read()
            after = time.monotonic_ns()
            if best is None or after - before < best[0]:
                best = after - before, tsc, (before + after) // 2
        return best[1:]

    tsc, ns = both()
    time.sleep(seconds)
    tsc2, ns2 = both()
    return (tsc2 - tsc) * 1000000 // (ns2 - ns)


def guest_env():
    """For tests of tests/system: they wait longer in a rig, and their kernels
    are told what they would find wrongly there. A rig's KVM does not see
    XSETBV, and CPUID does not tell of it: a kernel complains, in QEMU as the
    VMM there too."""
    return {"LHYVE_ENGINE": "kvm", "LHYVE_PATIENCE": "5",
            "LHYVE_CMDLINE": f"noxsave tsc_early_khz={tsc_khz()}"}


def module_info(path):
    """The strings of an ELF file's section .modinfo, as pairs."""
    data = path.read_bytes()
    shoff, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3a)
    heads = [struct.unpack_from("<IIQQQQ", data, shoff + i * size)
             for i in range(count)]
    strings = heads[names][4]
    for name, _, _, _, offset, length in heads:
        end = data.index(b"\0", strings + name)
        if data[strings + name:end] == b".modinfo":
            for line in data[offset:offset + length].split(b"\0"):
                yield line.decode(errors="replace").partition("=")[::2]


def load_order(directory):
    """Files of MODULES and of what they depend on, those first."""
    found = {p.stem.replace("-", "_"): p
             for p in pathlib.Path(directory).rglob("*.ko")}
    order = []

    def add(name):
        path = found.get(name.replace("-", "_"))
        if path is None or path in order:
            return  # built in, or there already
        for key, value in module_info(path):
            if key == "depends":
                for other in filter(None, value.split(",")):
                    add(other)
        order.append(path)

    for name in MODULES:
        add(name)
    return order


def make_initramfs(out, directory):
    """busybox, the script that mounts everything, the modules."""
    with tempfile.TemporaryDirectory(prefix="lhyve-rig-") as tmp:
        tmp = pathlib.Path(tmp)
        (tmp / "bin").mkdir()
        shutil.copy("/bin/busybox", tmp / "bin/busybox")
        shutil.copy(pathlib.Path(__file__).parent / "init", tmp / "init")
        os.chmod(tmp / "init", 0o755)
        (tmp / "modules").mkdir()
        for i, path in enumerate(load_order(directory)):
            shutil.copy(path, tmp / f"modules/{i:02}-{path.name}")
        names = "\n".join(str(p.relative_to(tmp)) for p in tmp.rglob("*"))
        archive = subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tmp,
            input=names.encode(), stdout=subprocess.PIPE, check=True)
        # Another one may be at it.
        with open(f"{out}.{os.getpid()}", "wb") as f:
            f.write(gzip.compress(archive.stdout, 1))
        os.rename(f"{out}.{os.getpid()}", out)


def make_lock(out):
    """lock.c, for QEMU."""
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o",
                    f"{out}.{os.getpid()}",
                    pathlib.Path(__file__).parent / "lock.c", "-ldl"],
                   check=True)
    os.rename(f"{out}.{os.getpid()}", out)


def prepare(directory):
    """Kernel, initramfs and what QEMU is loaded with, fetched and made
    once."""
    directory = pathlib.Path(directory)
    subprocess.run([TOP / "scripts/fetch-kernel", directory, "rig"],
                   check=True)
    out = directory / "initrd-rig.gz"
    lock = directory / "rig-lock.so"

    def is_old(path, *names):
        return not path.exists() or path.stat().st_mtime < max(
            os.stat(pathlib.Path(__file__).parent / name).st_mtime
            for name in names)

    if is_old(out, "init", "rig.py"):
        make_initramfs(out, directory / "modules-rig")
    if is_old(lock, "lock.c"):
        make_lock(lock)
    return directory / "vmlinuz-rig", out, lock


def room():
    """Memory of a rig: some tests have machines of 8 GiB, of which they use
    little. Where this machine has not much more they fail."""
    pages = os.sysconf("SC_PHYS_PAGES")
    return "9G" if pages * os.sysconf("SC_PAGE_SIZE") >= 12 << 30 else "3G"


class Rig:
    """Boots on entry; `cpus` processors, `memory` as QEMU takes it, or room(),
    `silence` in seconds. With `icount` the TSC, and so every clock, counts the
    instructions that the rig executes, one a nanosecond. `khz` is the TSC's.

    With several processors QEMU 7.2 now and then goes on to run what one of
    them has overwritten: when a kernel patches itself, and that is when the
    first machine starts or when its guest boots, an INT3 stays for ever.
    """

    def __init__(self, directory=TOP / "build/guest", cpus=1, memory=None,
                 cpu="max,+svm", silence=SILENCE, icount=False):
        self.directory = directory
        self.icount = icount
        self.khz = 1000000 if icount else tsc_khz()
        self.cpus, self.memory, self.cpu = cpus, memory or room(), cpu
        self.silence = silence
        self.count = 0
        self.reboots = 0
        self.qemu = self.agent = None
        self.pending = b""

    def __enter__(self):
        self.tmp = tempfile.TemporaryDirectory(prefix="lhyve-rig-")
        self.shared = pathlib.Path(self.tmp.name)
        os.chmod(self.shared, 0o755)
        try:
            self._boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *args):
        self._end()
        self.tmp.cleanup()

    def _end(self):
        if self.qemu is not None:
            self.qemu.kill()
            self.qemu.wait()
            self.qemu = None
        if self.agent is not None:
            self.agent.close()
            self.agent = None

    def _boot(self):
        kernel, initrd, lock = prepare(self.directory)
        agent = f"{self.shared}/agent"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(agent)
            os.chmod(agent, 0o600)
            listener.listen(1)
            self.qemu = subprocess.Popen(
                ["qemu-system-x86_64", "-nodefaults", "-no-user-config",
                 "-accel", "tcg,tb-size=512,thread="
                 f"{'single' if self.icount else 'multi'}",
                 *(["-icount", "shift=0"] if self.icount else []),
                 "-cpu", self.cpu,
                 "-smp", str(self.cpus), "-m", self.memory,
                 "-display", "none", "-no-reboot",
                 "-serial", f"file:{self.shared}/console",
                 "-monitor", f"unix:{self.shared}/monitor,server=on,wait=off",
                 "-kernel", kernel, "-initrd", initrd, "-append",
                 "console=ttyS0 loglevel=5 nokaslr panic=-1 mitigations=off "
                 # Any other clock is an exit to QEMU at each look at it.
                 "tsc=reliable clocksource=tsc random.trust_cpu=on "
                 f"tsc_early_khz={self.khz} shared={self.shared}",
                 "-no-hpet",
                 "-fsdev", "local,id=root,path=/,security_model=none,"
                 "readonly=on,multidevs=remap",
                 "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
                 "-fsdev", f"local,id=shared,path={self.shared},"
                 "security_model=none",
                 "-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared",
                 "-device", "virtio-serial-pci",
                 "-chardev", f"socket,id=agent,path={agent}",
                 "-device", "virtserialport,chardev=agent,name=agent"],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LD_PRELOAD": str(lock)})
            listener.settimeout(60)
            self.agent, _ = listener.accept()
        os.unlink(agent)
        self.pending = b""
        self._wait_line("ready", time.monotonic() + BOOT)
        self.heard = time.monotonic()

    def console(self):
        """What its kernel printed."""
        try:
            return (self.shared / "console").read_text(errors="replace")
        except OSError:
            return ""

    def registers(self):
        """Of the rig's processors, for a report of one that stands still."""
        out = b""
        try:
            with socket.socket(socket.AF_UNIX) as monitor:
                monitor.settimeout(5)
                monitor.connect(f"{self.shared}/monitor")
                monitor.sendall(b"info registers -a\n")
                while out.count(b"(qemu)") < 2:
                    data = monitor.recv(65536)
                    if not data:
                        break
                    out += data
        except OSError as e:
            out += f"monitor: {e}".encode()
        return out.decode(errors="replace")

    def _wait_line(self, wanted, deadline, watch=None, ask=False):
        """Takes lines until the wanted one comes. With `ask` the rig must
        show that it is alive meanwhile."""
        self.heard = asked = time.monotonic()
        while True:
            line, found, rest = self.pending.partition(b"\n")
            if found:
                self.pending = rest
                self.heard = time.monotonic()
                if line.decode() == wanted:
                    return
                continue
            if watch is not None:
                watch()
            now = time.monotonic()
            if self.qemu.poll() is not None:
                raise Lost(f"the rig ended\n{self.console()}")
            if now > deadline:
                raise TimeoutError(f"no {wanted!r}\n{self.console()}")
            if ask and now - self.heard > self.silence:
                raise Lost(f"the rig stands still\n{self.console()}\n"
                           f"{self.registers()}")
            if ask and now - asked > min(ASK, self.silence / 4):
                asked = now
                self._send("alive")
            self.agent.settimeout(0.2)
            try:
                self.pending += self.agent.recv(4096)
            except socket.timeout:
                pass
            except OSError as e:
                raise Lost(f"the rig ended: {e}\n{self.console()}") from e

    def _send(self, line):
        try:
            self.agent.sendall(f"{line}\n".encode())
        except socket.timeout:
            pass  # it does not even read: who waits for it will see
        except OSError as e:
            raise Lost(f"the rig ended: {e}\n{self.console()}") from e

    def run(self, command, env=None, cwd=None, timeout=COMMAND, live=None):
        """Runs a command (a list, or a line for the shell) as root.

        `env` is added to a plain environment; `live` is a stream that gets
        the output as it comes. Raises TimeoutError when it takes longer, and
        Lost when the rig did not live through it twice; after either the next
        command has a rig that was booted anew.
        """
        try:
            return self._try(command, env, cwd, timeout, live)
        except Lost as e:
            print(f"rig: booted anew: {e}", file=sys.stderr)
        return self._try(command, env, cwd, timeout, live)

    def _try(self, *args):
        """Ends a rig that was lost, or has something too slow in it."""
        try:
            if self.qemu is None:
                self._boot()
                self.reboots += 1
            return self._run(*args)
        except (Lost, TimeoutError):
            self._end()
            raise

    def _run(self, command, env, cwd, timeout, live):
        self.count += 1
        name = f"job{self.count}"
        if not isinstance(command, str):
            command = shlex.join(map(str, command))
        script = [f"cd {shlex.quote(str(cwd or os.getcwd()))} || exit 125"]
        script += [f"export {key}={shlex.quote(str(value))}"
                   for key, value in (env or {}).items()]
        script += [command]
        (self.shared / f"{name}.sh").write_text("\n".join(script) + "\n")
        self._send(name)
        seen = 0

        def follow():
            nonlocal seen
            try:
                with open(self.shared / f"{name}.out", "rb") as f:
                    f.seek(seen)
                    data = f.read()
            except FileNotFoundError:
                return
            seen += len(data)
            live.write(data.decode(errors="replace"))
            live.flush()

        self._wait_line(f"done {name}", time.monotonic() + timeout,
                        follow if live else None, ask=True)
        if live:
            follow()
        output = (self.shared / f"{name}.out").read_bytes()
        status = int((self.shared / f"{name}.rc").read_text())
        return Result(status, output.decode(errors="replace"))


def main():
    """rig.py COMMAND...: runs it in a rig of its own."""
    with Rig() as rig:
        env = guest_env()
        env.update((key, value) for key, value in os.environ.items()
                   if key.startswith(("LHYVE", "PYTEST")))
        env["PATH"] = os.environ["PATH"]
        return rig.run(sys.argv[1:], env=env, timeout=7200,
                       live=sys.stdout).status


if __name__ == "__main__":
    sys.exit(main())
