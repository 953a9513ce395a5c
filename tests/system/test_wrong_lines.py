# SPDX-License-Identifier: BSD-2-Clause
"""Wrong command lines and files, each with all of its message.

None may crash, hang, or leave anything behind. @K is a kernel, @C a file
with the text beside it, @D a directory that exists, @R a boot ROM.
"""

import os
import pathlib
import shlex
import subprocess

import pytest

from conftest import ends_rom

SLOT = ("use [bus:]slot[:function] with bus 0-255, slot 0-31, "
        "function 0-7")
TOPO = "use [[cpus=]n][,sockets=n][,cores=n][,threads=n]"
NULL = ("invalid cpu topology: there is nothing between two commas, before "
        "the first or after the last; " + TOPO)
COUNT = "not a number from 1 to 65535"
LATER = "not there yet; leave it out"
SIZE = "invalid memsize; use a number with suffix K, M, G or T"
BOOL = "not a boolean; use true or false"
CPUSET = "invalid cpuset configuration: "
PLACE = ("not a place for a serial line; use stdio, pty, tcp=IP:PORT, "
         "unix=PATH, null or a terminal's path")
ADDRESS = ("cannot be opened: not an address and a port, as "
           "127.0.0.1:5000; use another place")

# What follows -o kernel=@K -s 31,lpc, and the message.
LINES = [
    # The name
    ("", "the machine has no name; give it as the last argument"),
    ("''", "the machine has no name; give it as the last argument"),
    ("a b", '"b": one name only; options go before the machine\'s name'),
    ("vm0 -H", '"-H": one name only; options go before the machine\'s name'),
    ("../vm0", 'name "../vm0": not usable as a file\'s name; use up to 100 '
     "letters and digits"),
    ("..", 'name "..": not usable as a file\'s name; use up to 100 letters '
     "and digits"),
    (".hidden", 'name ".hidden": not usable as a file\'s name; use up to 100 '
     "letters and digits"),
    ("x" * 101, 'name "' + "x" * 101 + '": not usable as a file\'s name; use '
     "up to 100 letters and digits"),
    ("$'a\\nb'", "the machine's name has a control character; use letters "
     "and digits"),
    # Letters
    ("-z vm0", "-z: unknown option; lhyve -h lists the options"),
    ("-? vm0", "-?: unknown option; lhyve -h lists the options"),
    ("-HAz vm0", "-z: unknown option; lhyve -h lists the options"),
    ("--help", "--: unknown option; lhyve -h lists the options"),
    ("-m", "-m: its argument is missing; use -m size[K|M|G|T]"),
    ("-Hk", "-k: its argument is missing; use -k file"),
    ("-p", "-p: its argument is missing; use -p vcpu:hostcpu"),
    ("-G 1 vm0", f"-G 1: {LATER}"), ("-r f vm0", f"-r f: {LATER}"),
    ("-M vm0", f"-M: {LATER}"),
    # Memory
    ("-m '' vm0", f"-m : {SIZE}"), ("-m x vm0", f"-m x: {SIZE}"),
    ("-m -1 vm0", f"-m -1: {SIZE}"), ("-m 1.5G vm0", f"-m 1.5G: {SIZE}"),
    ("-m ' 1G' vm0", f"-m  1G: {SIZE}"), ("-m 1GB vm0", f"-m 1GB: {SIZE}"),
    ("-m 09 vm0", f"-m 09: {SIZE}"), ("-m 0x vm0", f"-m 0x: {SIZE}"),
    ("-m 16777216T vm0", f"-m 16777216T: {SIZE}"),
    ("-m 8M vm0", "-m 8M: 8192 KiB of memory are too few to boot; give at "
     "least 16M"),
    ("-m 2T vm0", "-m 2T: a machine has at most 1T of memory; give less"),
    ("-m 16777217 vm0", "-m 16777217: not a multiple of 4096 bytes; use the "
     "suffix M"),
    # Topology
    ("-c 0 vm0", f"-c 0: cpus=0: {COUNT}"),
    ("-c ' 1' vm0", f"-c  1: cpus= 1: {COUNT}"),
    ("-c '1 ' vm0", f"-c 1 : cpus=1 : {COUNT}"),
    ("-c +1 vm0", f"-c +1: cpus=+1: {COUNT}"),
    ("-c 1.0 vm0", f"-c 1.0: cpus=1.0: {COUNT}"),
    ("-c 4294967297 vm0", f"-c 4294967297: cpus=4294967297: {COUNT}"),
    ("-c cores=4294967297 vm0",
     f"-c cores=4294967297: cores=4294967297: {COUNT}"),
    ("-c cpus= vm0", f"-c cpus=: cpus=: {COUNT}"),
    ("-c 1,cores= vm0", f"-c 1,cores=: cores=: {COUNT}"),
    ("-c , vm0", f"-c ,: {NULL}"), ("-c 2,, vm0", f"-c 2,,: {NULL}"),
    ("-c ,2 vm0", f"-c ,2: {NULL}"),
    ("-c 2,,cores=2 vm0", f"-c 2,,cores=2: {NULL}"),
    ("-c cpu=2 vm0", '-c cpu=2: invalid cpu topology: unknown word "cpu"; '
     + TOPO),
    ("-c 2,' cores'=2 vm0", "-c 2, cores=2: invalid cpu topology: unknown "
     'word " cores"; ' + TOPO),
    ("-c 65 vm0", "-c: 65 processors are too many; use at most 64"),
    ("-c sockets=256,cores=256,threads=65535 vm0",
     "-c: 4294901760 processors are too many; use at most 64"),
    ("-c 6,cores=4 vm0", "-c: topology (1 sockets, 4 cores, 1 threads) does "
     "not match 6 cpus; make the product equal"),
    # Pinning
    ("-p 0 vm0", f"-p 0: {CPUSET}vcpu is not a number from 0 to 63; use "
     "vcpu:hostcpu"),
    ("-p 0: vm0", f"-p 0:: {CPUSET}hostcpu is not a number from 0 to 1023; "
     "use vcpu:hostcpu"),
    ("-p :0 vm0", f"-p :0: {CPUSET}vcpu is not a number from 0 to 63; use "
     "vcpu:hostcpu"),
    ("-p 0:0x1 vm0", f"-p 0:0x1: {CPUSET}hostcpu is not a number from 0 to "
     "1023; use vcpu:hostcpu"),
    ("-p '0: 1' vm0", f"-p 0: 1: {CPUSET}hostcpu is not a number from 0 to "
     "1023; use vcpu:hostcpu"),
    ("-p 64:0 vm0", f"-p 64:0: {CPUSET}vcpu is not a number from 0 to 63; "
     "use vcpu:hostcpu"),
    ("-p 1:0 vm0", "-p vcpu.1.cpuset=0: there is no vcpu 1; the last one is "
     "0"),
    ("-p 0:1023 vm0", "-p 0:1023: the host has no processor 1023, or lhyve "
     "may not use it; taskset -p $$ lists those it may"),
    ("-o vcpu.0.cpuset=1-0 vm0", "-o vcpu.0.cpuset=1-0: not processors of "
     "the host; use numbers and ranges from 0 to 1023, as in 0-3,5"),
    # Slots
    ("-s 3 vm0", "-s 3: no device is named; use -s slot,device, -s help "
     "lists them"),
    ("-s 3, vm0", "-s 3,: no device is named; use -s slot,device, -s help "
     "lists them"),
    ("-s 3,,x vm0", "-s 3,,x: no device is named; use -s slot,device, -s "
     "help lists them"),
    ("-s ,lpc vm0", f'-s ,lpc: invalid PCI slot ""; {SLOT}'),
    ("-s 32,lpc vm0", f'-s 32,lpc: invalid PCI slot "32"; {SLOT}'),
    ("-s 0:32:0,lpc vm0", f'-s 0:32:0,lpc: invalid PCI slot "0:32:0"; {SLOT}'),
    ("-s 0:0:8,lpc vm0", f'-s 0:0:8,lpc: invalid PCI slot "0:0:8"; {SLOT}'),
    ("-s 256:0:0,lpc vm0",
     f'-s 256:0:0,lpc: invalid PCI slot "256:0:0"; {SLOT}'),
    ("-s 4294967296,lpc vm0",
     f'-s 4294967296,lpc: invalid PCI slot "4294967296"; {SLOT}'),
    ("-s -1,lpc vm0", f'-s -1,lpc: invalid PCI slot "-1"; {SLOT}'),
    ("-s ' 1',lpc vm0", f'-s  1,lpc: invalid PCI slot " 1"; {SLOT}'),
    ("-s 0x1,lpc vm0", f'-s 0x1,lpc: invalid PCI slot "0x1"; {SLOT}'),
    ("-s 1:,lpc vm0", f'-s 1:,lpc: invalid PCI slot "1:"; {SLOT}'),
    ("-s :1,lpc vm0", f'-s :1,lpc: invalid PCI slot ":1"; {SLOT}'),
    ("-s 0:1:0:0,lpc vm0",
     f'-s 0:1:0:0,lpc: invalid PCI slot "0:1:0:0"; {SLOT}'),
    ("-s 3,lcp vm0", 'pci slot 0:3: unknown device "lcp"; lhyve -s help '
     "lists the devices"),
    ("-s 3:2,lcp,x=y vm0", 'pci slot 0:3:2: unknown device "lcp"; lhyve -s '
     "help lists the devices"),
    ("-s 31,hostbridge vm0", "-s 31,hostbridge: pci slot 0:31:0 already "
     "occupied by lpc; choose another slot"),
    ("-s 30,lpc vm0", "pci.0.31.0.device=lpc: only one lpc is allowed; leave "
     "one out"),
    ("-s 3,lpc,x vm0", '-s 3,lpc,x: lpc has no option "x"; lhyve -s help '
     "lists the devices"),
    # LPC devices
    ("-l '' vm0", "invalid lpc device configuration ''; lhyve -l help lists "
     "the devices"),
    ("-l com5,stdio vm0", "invalid lpc device configuration 'com5,stdio'; "
     "lhyve -l help lists the devices"),
    ("-l com1 vm0", "-l com1: com1 needs a path; use -l com1,path"),
    ("-l com1, vm0", "-l com1,: com1 needs a path; use -l com1,path"),
    ("-s 3,virtio-rnd,foo=1 vm0", '-s 3,virtio-rnd,foo=1: virtio-rnd has no '
     'option "foo=1"; lhyve -s help lists the devices'),
    ("-l com1,stdio,x vm0", '-l com1,stdio,x: com1 has no option "x"; lhyve '
     "-l help lists the devices"),
    ("-l com1,console vm0", f"-l com1,console: {PLACE}"),
    ("-l com1,tty0 vm0", f"-l com1,tty0: {PLACE}"),
    ("-l com1,tcp vm0", f"-l com1,tcp: {PLACE}"),
    ("-l com1,STDIO vm0", f"-l com1,STDIO: {PLACE}"),
    ("-l com1,tcp= vm0", f"-l com1,tcp=: {ADDRESS}"),
    ("-l com1,tcp=5000 vm0", f"-l com1,tcp=5000: {ADDRESS}"),
    ("-l com1,tcp=localhost:5000 vm0",
     f"-l com1,tcp=localhost:5000: {ADDRESS}"),
    ("-l com1,tcp=127.0.0.1:65536 vm0",
     f"-l com1,tcp=127.0.0.1:65536: {ADDRESS}"),
    ("-l com1,tcp=::1:5000 vm0", f"-l com1,tcp=::1:5000: {ADDRESS}"),
    ("-l com1,tcp=192.0.2.1:0 vm0", "-l com1,tcp=192.0.2.1:0: cannot be "
     "opened: Cannot assign requested address; use another place"),
    ("-l com1,unix= vm0", "-l com1,unix=: cannot be opened: Invalid "
     "argument; use another place"),
    ("-l com1,unix=@D vm0", "-l com1,unix=@D: cannot be opened: Address "
     "already in use; use another place"),
    ("-l com1,unix=/nonexistent/s vm0", "-l com1,unix=/nonexistent/s: cannot "
     "be opened: No such file or directory; use another place"),
    ("-l com1,/dev/null vm0", "-l com1,/dev/null: cannot be opened: not a "
     "terminal; use another place"),
    ("-l com1,/nonexistent vm0", "-l com1,/nonexistent: cannot be opened: No "
     "such file or directory; use another place"),
    ("-l com1,stdio -l com2,stdio vm0", "-l com2,stdio: cannot be opened: "
     "another port has it; use another place"),
    ("-l fwcfg,bhyve vm0", "-l lpc.fwcfg=bhyve: no such choice; use one of: "
     "qemu"),
    ("-l bootrom vm0", "-l bootrom: bootrom needs a value; use -l "
     "bootrom,value"),
    ("-f x vm0", "-f x: invalid file for the firmware; use -f "
     "[name=]NAME,string=TEXT or -f [name=]NAME,file=FILE"),
    ("-f x,string=y vm0", "-f fwcfg.0.name=x: needs fw_cfg; add -l "
     "fwcfg,qemu"),
    # Variables
    ("-o x vm0", "-o x: invalid configuration option; use -o variable=value"),
    ("-o =x vm0",
     "-o =x: invalid configuration option; use -o variable=value"),
    ("-o x= vm0",
     "-o x=: invalid configuration option; use -o variable=value"),
    ("-o kernal=x vm0", "-o kernal=x: unknown variable; did you mean "
     '"kernel"?'),
    ("-o Kernel=x vm0", "-o Kernel=x: unknown variable; did you mean "
     '"kernel"?'),
    ("-o frobnicate=1 vm0", "-o frobnicate=1: unknown variable; lhyve -h "
     "lists them"),
    ("-o x86.strictoi=1 vm0", "-o x86.strictoi=1: unknown variable; did you "
     'mean "x86.strictio"?'),
    ("-o lpc.com1.paht=x vm0", "-o lpc.com1.paht=x: unknown variable; did "
     'you mean "lpc.com1.path"?'),
    ("-o pci.0.31.0.x=1 vm0", '-o pci.0.31.0.x=1: lpc has no option "x"; '
     "leave it out"),
    ("-o pci.0.5.0.x=1 vm0", "-o pci.0.5.0.x=1: the slot has no device; set "
     "pci.0.5.0.device"),
    ("-o pci.0.32.0.device=lpc vm0", "-o pci.0.32.0.device=lpc: not a PCI "
     "slot; use pci.BUS.SLOT.FUNCTION.device"),
    ("-o cpu.tsc_khz=99999 vm0", "-o cpu.tsc_khz=99999: not a number from "
     "100000 to 10000000"),
    ("-o cpu.tsc_khz=2.4G vm0", "-o cpu.tsc_khz=2.4G: not a number from "
     "100000 to 10000000"),
    ("-o kvm.dirty_ring=maybe vm0", "-o kvm.dirty_ring=maybe: not a boolean; "
     "use true or false"),
    ("-o engine=xen vm0", "-o engine=xen: no such choice; use one of: auto "
     "soft kvm"),
    ("-o cpu=foo vm0", "-o cpu.model=foo: no such choice; use one of: host "
     "x86-64-v2 x86-64-v3 x86-64-v4"),
    ("-o cpu.features=avx vm0", "-o cpu.features: avx: not +NAME or -NAME"),
    ("-o cpu.features=-avx,+xyz vm0", "-o cpu.features: xyz: no such "
     "feature; names are those of /proc/cpuinfo"),
    ("-o memory.hugepages=yes vm0", "-o memory.hugepages=yes: no such "
     "choice; use one of: auto off on 2M 1G"),
    ("-m 17M -o memory.hugepages=2M vm0", "-o memory.hugepages=2M: -m 17M is "
     "no multiple of such pages, or the host has none; give another size"),
    ("-n 0,64M,0,bind:63 vm0", "domains.0.domain_policy: the host cannot "
     "place memory so"),
    ("-o log=all vm0", "-o log=all: no such choice; use one of: error warn "
     "info debug"),
    ("-o reboot=no vm0", "-o reboot=no: no such choice; use one of: exit "
     "internal"),
    ("-o stats=2 vm0", f"-o stats=2: {BOOL}"),
    ("-o memory.wired=maybe vm0", f"-o memory.wired=maybe: {BOOL}"),
    ("-o cmdline=%x vm0", '"%x": % begins a reference; write %(name), or %% '
     "for a percent sign"),
    ("-o 'cmdline=%(' vm0", '"%(": % begins a reference; write %(name), or '
     "%% for a percent sign"),
    ("-o 'cmdline=%(x)' vm0", "%(x): no such variable is set; set it with "
     "-o x=value"),
    ("-o kernel=/nonexistent vm0", "-o kernel=/nonexistent"),
    ("-o kernel=@D vm0", "-o kernel=@D"),
    ("-o initrd=/nonexistent vm0", "-o initrd=/nonexistent"),
    ("-l bootrom,@R vm0", "-o kernel=@K: a machine with a boot ROM starts "
     "what the ROM finds; leave one of them out, or use -l fwcfg,qemu"),
    ("-l bootrom,@R -l fwcfg,qemu -f etc/table-loader,string=x vm0",
     "-f etc/table-loader: this name is taken; give another"),
    ("-l bootrom,@R -l fwcfg,qemu -f etc/smbios/smbios-anchor,string=x vm0",
     "-f etc/smbios/smbios-anchor: this name is taken; give another"),
    ("-l bootrom,@R -l fwcfg,qemu -o kernel=/nonexistent vm0",
     "-o kernel=/nonexistent"),
    ("-l bootrom,@R -l fwcfg,qemu -o kernel=@R vm0", "-o kernel=@R: no Linux "
     "bzImage; a firmware starts no other kernel from fw_cfg"),
    ("-l bootrom,@R -l fwcfg,qemu -o initrd=/nonexistent vm0",
     "-o initrd=/nonexistent"),
    ("-l bootrom,@R -l fwcfg,qemu -o module.0.path=@R vm0",
     "-o module.0.path=@R: a kernel that a boot ROM starts takes no modules; "
     "leave it out"),
    # The small virtio devices
    ("-s 3,virtio-console vm0", "pci slot 0:3:0: virtio-console: it has no "
     "port; give name=path, or terminal="),
    ("-s 3,virtio-console,a= vm0", "-s a=: not a port; use name=path, with a "
     "name of 1 to 63 bytes"),
    ("-s 3,virtio-console,a=/no/x vm0", "pci slot 0:3:0: virtio-console: "
     "a=/no/x: cannot listen there: No such file or directory; use another "
     "path"),
    ("-s 3,virtio-console,stdio -l com1,stdio vm0", "pci slot 0:3:0: "
     "virtio-console: terminal=stdio: cannot be opened: a serial port has "
     "it; use another place"),
    ("-s 3,virtio-vsock vm0", "pci slot 0:3:0: virtio-vsock: it needs a path "
     "for its socket; give path=PATH"),
    ("-s 3,virtio-vsock,path=/no/x vm0", "pci slot 0:3:0: virtio-vsock: "
     "path=/no/x: cannot listen there: No such file or directory; use "
     "another path"),
    ("-s 3,virtio-vsock,path=@D/v,cid=2 vm0", "-s pci.0.3.0.cid=2: not a "
     "number from 3 to 4294967294"),
    ("-s 3,virtio-vsock,path=@D/v,interface=legacy vm0", "pci slot 0:3:0: "
     "virtio-vsock: interface=legacy: the device has only the modern one; "
     "leave it out"),
    ("-s 3,virtio-balloon,target=9G vm0", "pci slot 0:3:0: virtio-balloon: "
     "target=9G: not less than the machine's memory; use a number with "
     "suffix K, M or G"),
    ("-s 3,virtio-balloon -s 4,virtio-balloon vm0",
     "pci.0.4.0.device=virtio-balloon: only one virtio-balloon is allowed; "
     "leave one out"),
    ("-s 3,virtio-rnd,packed=maybe vm0",
     "-s pci.0.3.0.packed=maybe: not a boolean; use true or false"),
    ("-s 3,virtio-rnd,interface=old vm0", "-s pci.0.3.0.interface=old: no "
     "such choice; use one of: both modern legacy"),
]

# Files for -k, and the message.
FILES = [
    ("x\n", '-k @C: line 1: "x": there is no =; write variable=value'),
    ("=x\n", '-k @C: line 1: "=x": there is no name; write variable=value'),
    ("\n\n# x\n y\n", '-k @C: line 4: "y": there is no =; write '
     "variable=value"),
    ("memory.sise=1G\n", "-k @C: line 1: memory.sise=1G: unknown variable; "
     'did you mean "memory.size"?'),
    ("memory.size =1G\n", "-k @C: line 1: memory.size =1G: unknown variable; "
     'did you mean "memory.size"?'),
    ("memory=1G\n", "-k @C: line 1: memory=1G: unknown variable; lhyve -h "
     "lists them"),
    ("memory.size=\n", f"-k memory.size=: {SIZE}"),
    ("memory.size= 1G\n", f"-k memory.size= 1G: {SIZE}"),
    ("cpus=2,cores=2\n", f"-k cpus=2,cores=2: {COUNT}"),
    ("cpus=3\ncores=2\n", "-c: topology (1 sockets, 2 cores, 1 threads) does "
     "not match 3 cpus; make the product equal"),
    ("vcpu.9.cpuset=0\n", "-k vcpu.9.cpuset=0: there is no vcpu 9; the last "
     "one is 0"),
    ("vcpu.0.cpuset=\n", "-k vcpu.0.cpuset=: not processors of the host; "
     "use numbers and ranges from 0 to 1023, as in 0-3,5"),
    ("pci.0.3.0.device=x\n", 'pci slot 0:3: unknown device "x"; lhyve -s '
     "help lists the devices"),
    ("pci.0.3.0.path=x\n", "-k pci.0.3.0.path=x: the slot has no device; set "
     "pci.0.3.0.device"),
    ("pci.0.3.device=lpc\n", "-k @C: line 1: pci.0.3.device=lpc: not a PCI "
     "slot; use pci.BUS.SLOT.FUNCTION.device"),
    ("lpc.com1.path=x\n", f"-l com1,x: {PLACE}"),
    ("lpc.com7.path=stdio\n", "-k @C: line 1: lpc.com7.path=stdio: unknown "
     'variable; did you mean "lpc.com1.path"?'),
    ("x86.strictio=si\n", f"-k x86.strictio=si: {BOOL}"),
    ("a.b.c.d.e=1\n", "-k @C: line 1: a.b.c.d.e=1: unknown variable; lhyve "
     "-h lists them"),
    (".name=x\n", "-k @C: line 1: .name=x: unknown variable; did you mean "
     '"name"?'),
    ("kernel=%(initrd)\ninitrd=%(cmdline)\ncmdline=%(kernel)\n",
     '"%('),
    ("name=a/b\n", 'name "vm/0": not'),
    ("\0", "-k @C: a NUL in it: this is no text"),
    ("name=vm1\n\0\n", "-k @C: a NUL in it: this is no text"),
    ("#" * (1 << 20) + "\n", "-k @C: more than 1 MiB; make it shorter"),
    ("x" * 5000 + "=1\n", "-k @C: line 1: xxxx"),
    ("\x1b[2J=1\n", "-k @C: line 1: ?[2J=1: unknown variable; lhyve -h lists "
     "them"),
]


def snapshot(*dirs):
    return {d: sorted(str(p) for p in pathlib.Path(d).rglob("*"))
            for d in dirs}


@pytest.fixture(name="place")
def make_place(files, rundir, tmp_path):
    place = {"@K": files.kernel, "@R": str(ends_rom(tmp_path, "RESET")),
             "@D": str(tmp_path / "dir"), "@C": str(tmp_path / "conf")}
    os.mkdir(place["@D"])
    place["lhyve"] = files.lhyve
    place["rundir"] = rundir
    place["tmp"] = tmp_path
    return place


def fill(text, place):
    for key in ("@K", "@R", "@D", "@C"):
        text = text.replace(key, place[key])
    return text


def refuse(place, line, message):
    before = snapshot(place["rundir"], place["tmp"])
    command = fill("exec " + shlex.quote(place["lhyve"]) +
                   " -o engine=soft -o kernel=@K -s 31,lpc " + line, place)
    done = subprocess.run(
        ["bash", "-c", command], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        cwd=place["tmp"], check=False)
    err = done.stderr.decode(errors="replace")
    message = fill(message, place)
    wrong = []
    if done.returncode != 4:
        wrong.append(f"status {done.returncode}")
    if done.stdout:
        wrong.append(f"stdout {done.stdout[:100]}")
    if not err.startswith("lhyve: " + message) or err.count("\n") != 1 \
            or not err.endswith("\n"):
        wrong.append(f"says {err!r}, not {message!r}")
    if any(c < " " for c in err[:-1]):
        wrong.append("control characters")
    if snapshot(place["rundir"], place["tmp"]) != before:
        wrong.append("leaves something behind")
    return [f"{line[:200]!r}: {w}" for w in wrong]


def test_there_are_enough():
    assert len(LINES) + len(FILES) >= 100
    assert len({line for line, _ in LINES}) == len(LINES)


def test_wrong_lines(place):
    wrong = []
    for line, message in LINES:
        wrong += refuse(place, line, message)
    assert wrong == [], "\n".join(wrong)


def test_wrong_files(place):
    wrong = []
    for text, message in FILES:
        pathlib.Path(place["@C"]).write_bytes(text.encode())
        name = "vm/0" if "vm/0" in message else "vm0"
        wrong += [f"{text[:60]!r}: {w}" for w in refuse(
            place, f"-k @C {name}", message)]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("path, why", [
    ("/nonexistent", "cannot be opened: No such file or directory"),
    ("/", "not a regular file; give one with variable=value lines"),
    ("/dev/zero", "not a regular file; give one with variable=value lines"),
    ("/dev/null", "not a regular file; give one with variable=value lines"),
    ("''", "cannot be opened: No such file or directory")])
def test_no_file(place, path, why):
    wrong = refuse(place, f"-k {path} vm0", f"-k {path.strip(chr(39))}: {why}")
    assert wrong == [], wrong


def test_pipe_does_not_hang(place):
    os.mkfifo(place["@C"])
    assert refuse(place, "-k @C vm0", "-k @C: not a regular file") == []


def test_locked_memory(place, files):
    """-S beyond what the user may lock."""
    line = ("-S vm0; ")
    command = fill(
        f"ulimit -l 0; exec setpriv --reuid=65534 --clear-groups "
        f"{shlex.quote(files.lhyve)} -o kernel=@K -s 31,lpc {line}", place)
    if os.getuid() != 0:
        command = command.replace("setpriv --reuid=65534 --clear-groups ", "")
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 4
    assert done.stderr.decode().startswith(
        "lhyve: -S: cannot lock the guest's memory: ")
