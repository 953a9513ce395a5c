# SPDX-License-Identifier: BSD-2-Clause
"""A machine on a pseudo-terminal, as a user has it on a terminal."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import time

import pexpect
import pexpect.fdpexpect
import pytest

# How long until something counts as hung. Nothing here measures speed.
BOOT = 240
REPLY = 120
# What all of these are multiplied by where everything is slow: tests/rig.
PATIENCE = int(os.environ.get("LHYVE_PATIENCE", "1"))

NOBODY = 65534

# Every machine of the suite, apart from what the tests add or replace.
PC = ["-A", "-H", "-s", "0,hostbridge", "-s", "31,lpc"]


def unprivileged(place=True):
    """What to put in front of a command so that it runs without root, and
    with a place of its own for the machines' names."""
    if os.getuid() != 0:
        return []
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
            "--clear-groups"]
    if not place:
        return drop
    # Machines of root's have made folders of theirs in the other place.
    rundir = os.environ["LHYVE_RUNDIR"] + "-nobody"
    os.makedirs(rundir, exist_ok=True)
    os.chown(rundir, NOBODY, NOBODY)
    return ["env", f"LHYVE_RUNDIR={rundir}", *drop]


def wait_for(what, timeout=120):
    """Until it is true, which takes no more than a moment."""
    deadline = time.monotonic() + timeout * PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def mappings(pid):
    """Of each mapping of a process: its name, its sizes in KiB by what they
    are called in /proc/PID/smaps, its flags."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="ascii") as f:
        for line in f:
            words = line.split(maxsplit=5)
            if re.match(r"[0-9a-f]+-[0-9a-f]+$", words[0]):
                name = words[5].strip() if len(words) > 5 else ""
                found.append((name, {}, []))
            elif words[0] == "VmFlags:":
                found[-1][2].extend(line.split()[1:])
            elif words[-1] == "kB":
                found[-1][1][words[0].rstrip(":")] = int(words[1])
    return found


class Console:
    """A command on a terminal of its own.

    The test holds the terminal open too, so that its attributes can be
    looked at when the command is gone.
    """

    def __init__(self, argv, env=None):
        self.master, self.slave = pty.openpty()
        # A terminal that a user left in an unusual state shows whether it
        # is put back as it was, or into some default.
        attr = termios.tcgetattr(self.slave)
        attr[3] &= ~termios.ECHOCTL
        attr[6][termios.VINTR] = b"\x07"
        termios.tcsetattr(self.slave, termios.TCSANOW, attr)
        self.before = termios.tcgetattr(self.slave)
        self.tty = pexpect.fdpexpect.fdspawn(
            self.master, encoding="utf-8", codec_errors="replace")
        # Without the pause before each write that pexpect has by default:
        # pasted text has none either.
        self.tty.delaybeforesend = None
        self.argv = argv
        self.proc = subprocess.Popen(
            argv, stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env=env, start_new_session=True, preexec_fn=self._own_terminal)

    def _own_terminal(self):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    @property
    def pid(self):
        return self.proc.pid

    def attributes(self):
        return termios.tcgetattr(self.slave)

    def expect(self, pattern, timeout=REPLY):
        """Waits for output; fails at once if the command ends before."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            ended = self.proc.poll() is not None
            if self.tty.expect([pattern, pexpect.TIMEOUT], timeout=0.5) == 0:
                return self.tty.match
            if ended:
                self._fail(f"ended with status {self.proc.returncode} "
                           f"before {pattern!r}")
            if time.monotonic() > deadline:
                self._fail(
                    f"no {pattern!r} within {timeout * PATIENCE} s")

    def _fail(self, what):
        tail = "\n".join((self.tty.buffer or "").splitlines()[-40:])
        pytest.fail(f"{self.argv[0]}: {what}\n--- last output\n{tail}",
                    pytrace=False)

    def send(self, text):
        self.tty.send(text)

    def wait(self, timeout=REPLY):
        """Takes output until the command ends; returns its status."""
        deadline = time.monotonic() + timeout * PATIENCE
        while self.proc.poll() is None:
            self.tty.expect([pexpect.TIMEOUT], timeout=0.1)
            if time.monotonic() > deadline:
                self._fail(f"still runs after {timeout * PATIENCE} s")
        self.tty.expect([pexpect.TIMEOUT], timeout=0.1)
        return self.proc.returncode

    def restored(self):
        return self.attributes() == self.before

    def close(self):
        if self.proc.poll() is None:
            # With what it started: lhyve under strace or make.
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
        self.tty.close()
        os.close(self.slave)


class Shell(Console):
    """A machine whose guest may be the small one: `run` talks to its shell."""

    count = 0

    def boot(self):
        """Waits for the shell; returns everything the console showed."""
        self.expect(r"To leave: [^\r\n]*\r*\n", BOOT)
        log = self.tty.before
        self.expect("/ # ")
        # Lines that a kernel prints late would run into the answers.
        self.run("dmesg -n 1")
        return log

    def run(self, command, timeout=REPLY, status=0):
        """Runs a command in the guest's shell; returns what it printed."""
        self.count += 1
        n = self.count
        # The quotes keep the line that the shell echoes from looking like
        # the answer.
        self.send(f"echo be''gin-{n}; {command}; echo e''nd-{n}-$?\r")
        self.expect(rf"begin-{n}\r*\n", timeout)
        self.expect(rf"end-{n}-([0-9]+)\r*\n", timeout)
        text = re.sub(r"\r*\n", "\n", self.tty.before)
        got = int(self.tty.match.group(1))
        if got != status:
            pytest.fail(f"guest: {command!r}: status {got}\n{text}",
                        pytrace=False)
        return text


def kernel_cmdline(*more):
    """With what a kernel has to be told where it would measure wrongly."""
    return " ".join(["console=ttyS0", *os.environ.get(
        "LHYVE_CMDLINE", "").split(), *more]).rstrip()


class Machine(Shell):
    """lhyve with the small guest."""

    def __init__(self, files, *options, cmdline="", memory="512M",
                 prefix=(), initrd=True):
        self.files = files
        argv = [*prefix, files.lhyve, *PC, "-m", memory,
                "-l", "com1,stdio", *engine(),
                "-o", f"kernel={files.kernel}"]
        if initrd:
            argv += ["-o", f"initrd={files.initrd}"]
        argv += ["-o", f"cmdline={kernel_cmdline(cmdline)}", *options, "vm0"]
        super().__init__(argv)


class Firmware(Shell):
    """lhyve with a boot ROM, and nothing else unless the options say so."""

    def __init__(self, files, rom, *options, memory="64M", name="vm0",
                 com1="stdio", prefix=(), env=None):
        super().__init__([*prefix, files.lhyve, *PC, "-m", memory,
                          "-l", f"com1,{com1}", *engine(),
                          "-l", f"bootrom,{rom}", *options, name],
                         {**os.environ, **(env or {})})

    def output(self, timeout=REPLY):
        """Everything until the end, and the status."""
        status = self.wait(timeout)
        return (self.tty.buffer or ""), status


def engine():
    return ["-o", "engine=" + os.environ.get("LHYVE_ENGINE", "soft")]
