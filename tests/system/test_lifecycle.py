# SPDX-License-Identifier: BSD-2-Clause
"""A machine's name, its directory, and starting again inside."""

import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from console import (BOOT, PATIENCE, Firmware, engine, unprivileged,
                     wait_for)
from conftest import ends_rom
from kernellog import complaints


def test_one_of_a_name(ending, rundir):
    m = ending("SLEEP")
    m.expect(">")
    assert (rundir / "vm0/pid").read_text() == f"{m.pid}\n"
    out, status = ending("RESET").output()
    assert re.fullmatch(
        rf'lhyve: name "vm0": this machine runs already, as process '
        rf"{m.pid}; give another name, or stop it\r\n", out), out
    assert status == 4
    assert ending("RESET", name="vm1").output() == (">", 0)
    m.send("\x01x")
    assert m.wait() == 1
    # Nobody has the name now.
    assert (rundir / "vm0/pid").read_text() == ""
    assert ending("RESET").output() == (">", 0)


@pytest.mark.parametrize("what, option, stays", [
    ("POWEROFF", "-A", True), ("POWEROFF", "-D", False),
    ("RESET", "-D", True), ("HALT", "-D", True)])
def test_destroy_on_poweroff(ending, rundir, what, option, stays):
    ending(what, option).output()
    assert (rundir / "vm0").exists() == stays


def test_what_others_put_there_stays(ending, rundir):
    m = ending("SLEEP", "-D")
    m.expect(">")
    (rundir / "vm0/notes").write_text("mine")
    m.send("\x01x")
    assert m.wait() == 1
    assert os.listdir(rundir / "vm0") == ["notes"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGQUIT", "SIGTERM",
                                  "SIGKILL", "SIGSEGV", "SIGABRT"])
def test_signals_free_the_name(ending, name):
    m = ending("SLEEP")
    m.expect(">")
    number = getattr(signal, name)
    m.proc.send_signal(number)
    status = m.wait()
    assert status in (1, -number) and \
        (status == 1) == (name[3:] in ("INT", "HUP", "QUIT", "TERM"))
    if name != "SIGKILL":
        assert m.restored()
    assert not os.path.exists(f"/proc/{m.pid}/task")
    assert ending("RESET").output() == (">", 0)


def test_error_leaves_nothing(ending, files, rundir, tmp_path):
    rom = tmp_path / "bad"
    rom.write_bytes(b"x")
    m = Firmware(files, rom)
    try:
        assert m.wait() == 4
    finally:
        m.close()
    assert os.listdir(rundir) == []
    # But what was there before stays.
    ending("RESET").output()
    m = Firmware(files, rom)
    try:
        assert m.wait() == 4
    finally:
        m.close()
    assert os.listdir(rundir) == ["vm0"]


def test_many_of_a_name_at_once(files, rundir, tmp_path):
    """One begins, whoever removes the directory meanwhile."""
    rom = ends_rom(tmp_path, "POWEROFF")
    argv = [files.lhyve, "-D", "-m", "16M", "-s", "31,lpc", *engine(),
            "-l", f"bootrom,{rom}", "vm0"]
    for _ in range(5):
        all_of = [subprocess.Popen(argv, stderr=subprocess.PIPE)
                  for _ in range(8)]
        ends = [(p.communicate(timeout=120 * PATIENCE)[1].decode(), p.returncode)
                for p in all_of]
        assert any(status == 1 for _, status in ends)
        for err, status in ends:
            assert (err == "" and status == 1) or \
                (status == 4 and "runs already" in err), (err, status)
        assert os.listdir(rundir) == []


def test_killed_at_any_moment(files, rundir, tmp_path):
    """Of fifty that are killed while they start, run or stop, none leaves what
    keeps the next from starting, or a process, or a file that nobody had."""
    rom = ends_rom(tmp_path, "SLEEP")
    disk, sock = tmp_path / "disk", tmp_path / "com2"
    disk.write_bytes(bytes(1 << 20))
    tap = "lhyvekill0" if os.getuid() == 0 else None
    argv = [files.lhyve, "-A", "-m", "64M", "-s", "0,hostbridge", "-s",
            "31,lpc", *engine(), "-l", "com1,stdio", "-l", f"com2,unix={sock}",
            "-s", f"3,virtio-blk,{disk}", "-s", "4,virtio-net," +
            (f"tap,ifname={tap}" if tap else "slirp"),
            "-l", f"bootrom,{rom}", "vm0"]

    def start():
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT,
                                start_new_session=True)

    def left():
        """What can be seen of this machine, beside others'."""
        return ([name for name in os.listdir("/dev/shm") if "lhyve" in name],
                tap in os.listdir("/sys/class/net"),
                set(os.listdir(tmp_path)), os.listdir(rundir))

    with start() as whole:
        begun = time.monotonic()
        assert whole.stdout.read(1) == b">"
        took = time.monotonic() - begun
        whole.kill()
    before = left()
    moments = random.Random(1)
    for n in range(50):
        with start() as p:
            # Any moment of the start, and some when it runs; a third of them
            # are told to stop before.
            time.sleep(moments.uniform(0, 1.5 * took))
            if n % 3 == 0:
                p.send_signal(signal.SIGINT)
                time.sleep(moments.uniform(0, took / 10))
            p.kill()
            out = p.stdout.read()
            assert p.wait() in (-signal.SIGKILL, -signal.SIGINT, 1), out
        assert out in (b"", b">"), out
        with pytest.raises(ProcessLookupError):
            os.killpg(p.pid, 0)
    # A tap goes a moment after its last descriptor.
    wait_for(lambda: not left()[1])
    assert left() == before and not before[1]
    with start() as p:
        assert p.stdout.read(1) == b">"
        p.send_signal(signal.SIGINT)
        assert p.wait(timeout=120 * PATIENCE) == 1
    assert (rundir / "vm0/pid").read_text() == "" and not sock.exists()


def places(env):
    return {k: v for k, v in {**os.environ, **env}.items() if v is not None}


def run_unprivileged(files, tmp_path, env, trace=False):
    """A machine that powers off at once; its errors, or where it was."""
    os.chmod(tmp_path, 0o755)
    rom = ends_rom(tmp_path, "POWEROFF")
    argv = [files.lhyve, "-m", "16M", "-s", "31,lpc", "-o", "engine=soft",
            "-l", f"bootrom,{rom}", "vm-nobody"]
    if trace:
        # Both write to stderr, and not in whole lines.
        argv = ["strace", "-f", "--seccomp-bpf", "-e", "trace=mkdir", "-qq",
                *argv]
    return subprocess.run(
        [*unprivileged(place=False), *argv], env=places(env), stderr=subprocess.PIPE,
        timeout=120, check=False)


def test_place_of_a_user(files, tmp_path):
    for parent in tmp_path.parents:
        if parent.parts[1:2] == ("tmp",) and \
                parent.stat().st_uid == os.getuid() and len(parent.parts) > 2:
            os.chmod(parent, parent.stat().st_mode | 0o011)
    own = tmp_path / "own"
    own.mkdir()
    uid = 65534 if os.getuid() == 0 else os.getuid()
    if os.getuid() == 0:
        os.chown(own, uid, uid)
    done = run_unprivileged(files, tmp_path, {
        "LHYVE_RUNDIR": None, "XDG_RUNTIME_DIR": str(own)})
    assert done.returncode == 1, done.stderr
    assert (own / "lhyve/vm-nobody/pid").exists()
    assert (own / "lhyve").stat().st_mode & 0o777 == 0o700
    # Another's directory, or none, is not used.
    for env in ({"XDG_RUNTIME_DIR": "/"}, {"XDG_RUNTIME_DIR": None},
                {"XDG_RUNTIME_DIR": "relative"}):
        done = run_unprivileged(files, tmp_path,
                                {"LHYVE_RUNDIR": None, **env}, trace=True)
        assert done.returncode == 1, done.stderr
        assert f'mkdir("/tmp/lhyve-{uid}/vm-nobody"' in done.stderr.decode()


@pytest.mark.skipif(os.getuid() != 0, reason="needs two users")
def test_place_of_somebody_else(files, tmp_path):
    """What another user made under our name in /tmp is not trusted."""
    nobody = tmp_path / "xdg"
    nobody.mkdir()
    os.chmod(tmp_path, 0o755)
    os.chown(nobody, 65534, 65534)
    (nobody / "lhyve").mkdir(mode=0o777)
    done = run_unprivileged(files, tmp_path, {
        "LHYVE_RUNDIR": None, "XDG_RUNTIME_DIR": str(nobody)})
    assert done.returncode == 4
    assert b"LHYVE_RUNDIR" in done.stderr


def test_place_that_cannot_be(files, tmp_path):
    (tmp_path / "file").write_text("")
    done = run_unprivileged(files, tmp_path, {
        "LHYVE_RUNDIR": str(tmp_path / "file/x")})
    assert done.returncode == 4
    err = done.stderr.decode().splitlines()
    assert len(err) == 1 and "LHYVE_RUNDIR" in err[0] and "file/x" in err[0]


# Starting again.

def test_starts_again(ending):
    """The memory is empty each time, the CMOS is not."""
    m = ending("COUNT", "-o", "reboot=internal", "-c", "2")
    assert m.output() == (">0>1>2>3>4>5", 1)
    assert m.restored()


def test_leaving_while_it_starts_again(ending):
    m = ending("RESET", "-o", "reboot=internal")
    m.expect(">>>>>>>>>>")
    m.send("\x01x")
    assert m.wait() == 1
    assert m.restored()


def test_rom_that_has_gone(files, tmp_path):
    """The kernel is read again; that it is missing is an error then."""
    kernel = tmp_path / "vmlinuz"
    shutil.copyfile(files.kernel, kernel)
    argv = [files.lhyve, "-m", "256M", "-s", "31,lpc", "-H", "-l",
            "com1,stdio", *engine(), "-o", "reboot=internal",
            "-o", f"kernel={kernel}",
            "-o", "cmdline=console=ttyS0 panic=-1", "vm0"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as p:
        try:
            assert p.stdout.read(1)
            os.unlink(kernel)
            _, err = p.communicate(timeout=BOOT * PATIENCE)
            assert p.returncode == 4
            assert str(kernel) in err.decode()
            assert err.count(b"\n") == 1
        finally:
            p.kill()


@pytest.mark.parametrize("cpus", ["1", "2"])
def test_five_reboots(machine, cpus):
    """A chip that is not as after power-on is noticed by every kernel that
    follows; a busy host's delays may be, by one of them."""
    m = machine("-o", "reboot=internal", "-c", cpus)
    noticed = []
    for _ in range(5):
        log = m.boot()
        noticed += {re.sub(r"^\[[ \d.]+\] |\d+", "", line)
                    for line in complaints(log)}
        assert m.run("nproc").strip() == cpus
        m.send("reboot -f\r")
    log = m.boot()
    assert [x for x in noticed if noticed.count(x) > 2] == []
    assert m.run("echo still alive") == "still alive\n"
    assert m.proc.poll() is None
    m.send("poweroff -f\r")
    assert m.wait() == 1
    assert m.restored()
