/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/options.h"

/* Lists like the machine's, with one more device that takes options. */
static const struct config_var com_opts[] = {{.name = "path"}, {.name = NULL}};
static const struct config_var disk_opts[] = {
    {.name = "path"},
    {.name = "ro", .type = CONFIG_BOOL},
    {.name = "port.#.name"},
    {.name = NULL},
};

/* "NAME=", and no other word: a port. */
static int
disk_item(struct config *cfg, const char *node, char origin, const char *item,
    struct config_error *err)
{
	char path[CONFIG_PATH_MAX];
	const char *eq = strchr(item, '=');

	if (eq == NULL)
		return (-ENOENT);
	if (eq[1] != '\0')
		return (config_fail(err, "-%c %s: no", origin, item));
	(void)snprintf(path, sizeof(path), "%s.port.7.name", node);
	return (config_set(cfg, path, item, origin));
}

static const struct config_device pci[] = {
    {.name = "hostbridge", .help = "host bridge"},
    {.name = "lpc", .help = "LPC bridge", .single = true},
    {.name = "disk", .help = "disk", .opts = disk_opts,
	.item = disk_item},
    {.name = NULL},
};
static const char *const rom_vars[] = {"lpc.bootrom", "kernel", NULL};
static const struct config_device lpc[] = {
    {.name = "rom", .help = "ROM", .vars = rom_vars, .needs_conf = true},
    {.name = "com1", .help = "port", .opts = com_opts, .needs_conf = true},
    {.name = "com2", .help = "port", .opts = com_opts, .needs_conf = true},
    {.name = NULL},
};
static const struct config_devices devs = {pci, lpc};

#define ARGV_MAX 24

/* Splits at blanks ('_' stands for an empty word) and parses. */
static int
parse(
    const char *line, struct config **cfg, char **out, struct config_error *err)
{
	char *copy = strdup(line), *argv[ARGV_MAX + 2] = {NULL}, *p, *save;
	size_t len;
	int argc = 0, ret;
	FILE *f;

	argv[argc++] = "lhyve";
	for (p = strtok_r(copy, " ", &save); p != NULL && argc <= ARGV_MAX;
	     p = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(p, "_") == 0 ? p + 1 : p;
	f = open_memstream(out, &len);
	assert_non_null(f);
	assert_int_equal(config_create(cfg), 0);
	err->msg[0] = '\0';
	ret = options_parse(*cfg, argc, argv, &devs, f, err);
	(void)fclose(f);
	free(copy);
	return (ret);
}

static const struct {
	const char *line, *msg;
} wrong[] = {
    {"", "the machine has no name; give it as the last argument"},
    {"-H", "the machine has no name; give it as the last argument"},
    {"_", "the machine has no name; give it as the last argument"},
    {"vm0 -H", "\"-H\": one name only; options go before the machine's name"},
    {"a/b", "name \"a/b\": not usable as a file's name; use up to 100 letters "
	    "and digits"},
    {"-z vm0", "-z: unknown option; lhyve -h lists the options"},
    {"-Hz vm0", "-z: unknown option; lhyve -h lists the options"},
    {"-: vm0", "-:: unknown option; lhyve -h lists the options"},
    {"-m", "-m: its argument is missing; use -m size[K|M|G|T]"},
    {"-s", "-s: its argument is missing; use -s slot,device[,conf]|help"},
    /* bhyve's, not there yet */
    {"-G 1234 vm0", "-G 1234: not there yet; leave it out"},
    {"-G w:1234 vm0", "-G w:1234: not there yet; leave it out"},
    {"-r file vm0", "-r file: not there yet; leave it out"},
    {"-M vm0", "-M: not there yet; leave it out"},
    {"-AHPwMu vm0", "-M: not there yet; leave it out"},
    {"-U x vm0",
	"-U x: not a UUID; use 8-4-4-4-12 hexadecimal digits with \"-\" "
	"between"},
    {"-o uuid=00010203-0405-0607-0809-0a0b0c0d0e0g vm0",
	"-o uuid=00010203-0405-0607-0809-0a0b0c0d0e0g: not a UUID; use "
	"8-4-4-4-12 hexadecimal digits with \"-\" between"},
    {"-o system.serial_number=a\tb vm0",
	"-o system.serial_number=a?b: not one line of up to 1024 bytes; "
	"shorten it or leave control characters out"},
    {"-o x86.mptable=maybe vm0",
	"-o x86.mptable=maybe: not a boolean; use true or false"},
    /* domains */
    {"-n 0 vm0",
	"-n 0: the domain has no cpus; use id=N,size=SIZE,cpus=LIST, LIST "
	"being like 0-3 or 0,2"},
    {"-n id=8,cpus=0 vm0",
	"-n id=8,cpus=0: the domain's id is missing or not a number from 0 to "
	"7; use id=N,size=SIZE,cpus=LIST, LIST being like 0-3 or 0,2"},
    {"-n cpus=0 vm0",
	"-n cpus=0: the domain's id is missing or not a number from 0 to 7; "
	"use id=N,size=SIZE,cpus=LIST, LIST being like 0-3 or 0,2"},
    {"-n id=0,,cpus=0 vm0",
	"-n id=0,,cpus=0: invalid NUMA domain; use id=N,size=SIZE,cpus=LIST, "
	"LIST being like 0-3 or 0,2"},
    {"-n id=0,foo=1 vm0",
	"-n id=0,foo=1: invalid NUMA domain; use id=N,size=SIZE,cpus=LIST, "
	"LIST being like 0-3 or 0,2"},
    {"-n id=0,cpus=1 vm0",
	"domains.0.cpus=1: the machine has 1 cpus; use 0 to 0"},
    {"-n id=0,cpus=1-0 vm0",
	"domains.0.cpus=1-0: not a list of processors; use one like 0-3 or "
	"0,2"},
    {"-n id=0,cpus=0x vm0",
	"domains.0.cpus=0x: not a list of processors; use one like 0-3 or "
	"0,2"},
    {"-n id=0,cpus=99999999999999999999 vm0",
	"domains.0.cpus=99999999999999999999: the machine has 1 cpus; use 0 "
	"to 0"},
    {"-n id=1,cpus=0 vm0",
	"domains.0: it has no processors; set domains.0.cpus"},
    {"-c 2 -n id=0,cpus=0 vm0",
	"domains: cpu 1 is in none; add it to the cpus of one"},
    {"-c 2 -n id=0,cpus=0-1 -n id=1,cpus=1 vm0",
	"domains.1.cpus=1: cpu 1 is in domain 0 already; take it out of one"},
    {"-n id=0,cpus=0,size=1x vm0",
	"domains.0.size=1x: not a size of memory; use a number with suffix M "
	"or G"},
    {"-n id=0,cpus=0,size=4M vm0",
	"-n: all domains have 4096 KiB of memory; give between 16M and 1T"},
    {"-n 0,1G,0,rr vm0",
	"domains.0.domain_policy=rr: not a policy; use first-touch, "
	"round-robin, interleave:NODES, prefer:NODE or bind:NODES"},
    {"-n 0,1G,0,prefer vm0",
	"domains.0.domain_policy=prefer: not a policy; use first-touch, "
	"round-robin, interleave:NODES, prefer:NODE or bind:NODES"},
    {"-n id=0,size=1G,cpus=0,domain_policy=prefer:0-1 vm0",
	"domains.0.domain_policy=prefer:0-1: not a policy; use first-touch, "
	"round-robin, interleave:NODES, prefer:NODE or bind:NODES"},
    {"-n 0,1G,0,bind:x vm0",
	"domains.0.domain_policy=bind:x: not a policy; use first-touch, "
	"round-robin, interleave:NODES, prefer:NODE or bind:NODES"},
    {"-n 0,1G,0,bind:64 vm0",
	"domains.0.domain_policy=bind:64: not a policy; use first-touch, "
	"round-robin, interleave:NODES, prefer:NODE or bind:NODES"},
    {"-o domains.9.cpus=0 vm0",
	"domains: there are at most 8; use numbers from 0 to 7"},
    /* memory */
    {"-m 1 vm0",
	"-m 1: 1024 KiB of memory are too few to boot; give at least 16M"},
    {"-m 0 vm0",
	"-m 0: 0 KiB of memory are too few to boot; give at least 16M"},
    {"-m 1048576 vm0",
	"-m 1048576: 1024 KiB of memory are too few to boot; give at least "
	"16M"},
    {"-m 100T vm0", "-m 100T: a machine has at most 1T of memory; give less"},
    {"-m 16777217 vm0",
	"-m 16777217: not a multiple of 4096 bytes; use the suffix M"},
    {"-m -5 vm0",
	"-m -5: invalid memsize; use a number with suffix K, M, G or T"},
    {"-m 512X vm0",
	"-m 512X: invalid memsize; use a number with suffix K, M, G or T"},
    {"-m 99999999999999999999 vm0",
	"-m 99999999999999999999: invalid memsize; use a number with suffix "
	"K, M, G or T"},
    {"-m _ vm0", "-m : invalid memsize; use a number with suffix K, M, G or T"},
    {"-o memory.size=x vm0",
	"-o memory.size=x: invalid memsize; use a number with suffix K, M, G "
	"or T"},
    /* topology */
    {"-c 65 vm0", "-c: 65 processors are too many; use at most 64"},
    {"-c cores=8,sockets=16 vm0",
	"-c: 128 processors are too many; use at most 64"},
    {"-c 0 vm0",
	"-c 0: cpus=0: not a number from 1 to 65535"},
    {"-c 65536 vm0",
	"-c 65536: cpus=65536: not a number from 1 to 65535"},
    {"-c 1x vm0",
	"-c 1x: cpus=1x: not a number from 1 to 65535"},
    {"-c -1 vm0",
	"-c -1: cpus=-1: not a number from 1 to 65535"},
    {"-c +1 vm0",
	"-c +1: cpus=+1: not a number from 1 to 65535"},
    {"-c 4294967297 vm0",
	"-c 4294967297: cpus=4294967297: not a number from 1 to 65535"},
    {"-c 18446744073709551617 vm0",
	"-c 18446744073709551617: cpus=18446744073709551617: not a number "
	"from 1 to 65535"},
    {"-c cpus= vm0",
	"-c cpus=: cpus=: not a number from 1 to 65535"},
    {"-c 1,cores=0 vm0",
	"-c 1,cores=0: cores=0: not a number from 1 to 65535"},
    {"-c 1,threads=x vm0",
	"-c 1,threads=x: threads=x: not a number from 1 to 65535"},
    {"-c sockets=1,cores=,threads=2 vm0",
	"-c sockets=1,cores=,threads=2: cores=: not a number from 1 to 65535"},
    {"-c cores=0x10000 vm0",
	"-c cores=0x10000: cores=0x10000: not a number from 1 to 65535"},
    {"-c cores=1=1 vm0",
	"-c cores=1=1: cores=1=1: not a number from 1 to 65535"},
    {"-c cpus=4,cores=3 vm0",
	"-c: topology (1 sockets, 3 cores, 1 threads) does not match 4 cpus; "
	"make the product equal"},
    {"-c sockets=65535,cores=65535,threads=65535 vm0",
	"-c: 281462092005375 processors are too many; use at most 64"},
    {"-c 1,, vm0",
	"-c 1,,: invalid cpu topology: there is nothing between two "
	"commas, before the first or after the last; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c 1, vm0",
	"-c 1,: invalid cpu topology: there is nothing between two "
	"commas, before the first or after the last; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c , vm0",
	"-c ,: invalid cpu topology: there is nothing between two "
	"commas, before the first or after the last; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c ,1 vm0",
	"-c ,1: invalid cpu topology: there is nothing between two "
	"commas, before the first or after the last; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c 1,,cores=1 vm0",
	"-c 1,,cores=1: invalid cpu topology: there is nothing between two "
	"commas, before the first or after the last; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c ,, vm0",
	"-c ,,: invalid cpu topology: there is nothing between two "
	"commas, before the first or after the last; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c 1,foo=2 vm0",
	"-c 1,foo=2: invalid cpu topology: unknown word \"foo\"; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c cpu=1 vm0",
	"-c cpu=1: invalid cpu topology: unknown word \"cpu\"; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c 1,Cores=2 vm0",
	"-c 1,Cores=2: invalid cpu topology: unknown word \"Cores\"; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    {"-c =1 vm0",
	"-c =1: invalid cpu topology: unknown word \"\"; use "
	"[[cpus=]n][,sockets=n][,cores=n][,threads=n]"},
    /* pinning */
    {"-p 0 vm0",
	"-p 0: invalid cpuset configuration: vcpu is not a number from 0 to "
	"63; use vcpu:hostcpu"},
    {"-p 64:0 vm0",
	"-p 64:0: invalid cpuset configuration: vcpu is not a number from 0 "
	"to 63; use vcpu:hostcpu"},
    {"-p -1:0 vm0",
	"-p -1:0: invalid cpuset configuration: vcpu is not a number from 0 "
	"to 63; use vcpu:hostcpu"},
    {"-p 0: vm0",
	"-p 0:: invalid cpuset configuration: hostcpu is not a number from 0 "
	"to 1023; use vcpu:hostcpu"},
    {"-p 0:1024 vm0",
	"-p 0:1024: invalid cpuset configuration: hostcpu is not a number "
	"from 0 to 1023; use vcpu:hostcpu"},
    {"-p 0:1,2 vm0",
	"-p 0:1,2: invalid cpuset configuration: hostcpu is not a number "
	"from 0 to 1023; use vcpu:hostcpu"},
    {"-p 0:4294967296 vm0",
	"-p 0:4294967296: invalid cpuset configuration: hostcpu is not a "
	"number from 0 to 1023; use vcpu:hostcpu"},
    {"-p 2:0 -c 2 vm0",
	"-p vcpu.2.cpuset=0: there is no vcpu 2; the last one is 1"},
    {"-o vcpu.0.cpuset=3-1 vm0",
	"-o vcpu.0.cpuset=3-1: not processors of the host; use numbers and "
	"ranges from 0 to 1023, as in 0-3,5"},
    {"-o vcpu.0.cpuset=0, vm0",
	"-o vcpu.0.cpuset=0,: not processors of the host; use numbers and "
	"ranges from 0 to 1023, as in 0-3,5"},
    {"-o vcpu.x.cpuset=0 vm0",
	"-o vcpu.x.cpuset=0: unknown variable; did you mean "
	"\"vcpu.#.cpuset\"?"},
    /* slots */
    {"-s 3,foo vm0",
	"pci slot 0:3: unknown device \"foo\"; lhyve -s help lists the "
	"devices"},
    {"-s 3:1,foo vm0",
	"pci slot 0:3:1: unknown device \"foo\"; lhyve -s help lists the "
	"devices"},
    {"-s 0,ahci vm0",
	"pci slot 0:0: unknown device \"ahci\"; lhyve -s help lists the "
	"devices"},
    {"-o pci.0.3.0.device=foo vm0",
	"pci slot 0:3: unknown device \"foo\"; lhyve -s help lists the "
	"devices"},
    {"-s 3 vm0",
	"-s 3: no device is named; use -s slot,device, -s help lists them"},
    {"-s 3, vm0",
	"-s 3,: no device is named; use -s slot,device, -s help lists them"},
    {"-s 32,lpc vm0",
	"-s 32,lpc: invalid PCI slot \"32\"; use [bus:]slot[:function] with "
	"bus 0-255, slot 0-31, function 0-7"},
    {"-s 1x,lpc vm0",
	"-s 1x,lpc: invalid PCI slot \"1x\"; use [bus:]slot[:function] with "
	"bus 0-255, slot 0-31, function 0-7"},
    {"-s 0:0:0:0,lpc vm0",
	"-s 0:0:0:0,lpc: invalid PCI slot \"0:0:0:0\"; use "
	"[bus:]slot[:function] with bus 0-255, slot 0-31, function 0-7"},
    {"-s ,lpc vm0",
	"-s ,lpc: invalid PCI slot \"\"; use [bus:]slot[:function] with bus "
	"0-255, slot 0-31, function 0-7"},
    {"-s 1:8,lpc vm0",
	"-s 1:8,lpc: invalid PCI slot \"1:8\"; use [bus:]slot[:function] with "
	"bus 0-255, slot 0-31, function 0-7"},
    {"-s 3,hostbridge -s 0:3:0,lpc vm0",
	"-s 0:3:0,lpc: pci slot 0:3:0 already occupied by hostbridge; choose "
	"another slot"},
    {"-s 30,lpc -s 31,lpc vm0",
	"pci.0.31.0.device=lpc: only one lpc is allowed; leave one out"},
    {"-s 0,hostbridge,x=1 vm0",
	"-s 0,hostbridge,x=1: hostbridge has no option \"x=1\"; lhyve -s help "
	"lists the devices"},
    {"-s 0,disk,a,bogus vm0",
	"-s 0,disk,a,bogus: disk has no option \"bogus\"; lhyve -s help lists "
	"the devices"},
    {"-s 0,disk,a,b=c vm0", "-s b=c: no"},
    {"-s 3,disk -o pci.0.3.0.port.x.name=x vm0",
	"-o pci.0.3.0.port.x.name=x: disk has no option \"port.x.name\"; did "
	"you mean \"port.#.name\"?"},
    {"-s 0,disk,a,ro=maybe vm0",
	"-s pci.0.0.0.ro=maybe: not a boolean; use true or false"},
    {"-o pci.0.3.0.path=x vm0",
	"-o pci.0.3.0.path=x: the slot has no device; set pci.0.3.0.device"},
    {"-s 3,disk -o pci.0.3.0.size=x vm0",
	"-o pci.0.3.0.size=x: disk has no option \"size\"; leave it out"},
    {"-s 3,disk -o pci.0.3.0.pth=x vm0",
	"-o pci.0.3.0.pth=x: disk has no option \"pth\"; did you mean "
	"\"path\"?"},
    {"-o pci.0.03.0.device=lpc vm0",
	"-o pci.0.03.0.device=lpc: not a PCI slot; use "
	"pci.BUS.SLOT.FUNCTION.device"},
    /* the LPC bridge's */
    {"-l com9,stdio vm0",
	"invalid lpc device configuration 'com9,stdio'; lhyve -l help lists "
	"the devices"},
    {"-l bootrom vm0",
	"invalid lpc device configuration 'bootrom'; lhyve -l help lists the "
	"devices"},
    {"-l rom vm0", "-l rom: rom needs a value; use -l rom,value"},
    {"-l rom, vm0", "-l rom,: rom needs a value; use -l rom,value"},
    {"-l rom,a, vm0",
	"-l rom,a,: \"\" is too much or too little for rom; lhyve -l help "
	"lists the devices"},
    {"-l rom,a,b,c=d vm0",
	"-l rom,a,b,c=d: \"c=d\" is too much or too little for rom; "
	"lhyve -l help lists the devices"},
    {"-l com1 vm0", "-l com1: com1 needs a path; use -l com1,path"},
    {"-l com1, vm0", "-l com1,: com1 needs a path; use -l com1,path"},
    {"-l com1,stdio vm0",
	"lpc.com1.path=stdio: needs the LPC bridge; add -s 31,lpc"},
    /* files for the firmware */
    {"-o lpc.fwcfg=qemu -f a,strng=b vm0",
	"-f a,strng=b: invalid file for the firmware; use -f "
	"[name=]NAME,string=TEXT or -f [name=]NAME,file=FILE"},
    {"-f ,string=b vm0",
	"-f ,string=b: invalid file for the firmware; use -f "
	"[name=]NAME,string=TEXT or -f [name=]NAME,file=FILE"},
    {"-f name= vm0",
	"-f name=: invalid file for the firmware; use -f "
	"[name=]NAME,string=TEXT or -f [name=]NAME,file=FILE"},
    {"-f a,string=b vm0",
	"-f fwcfg.0.name=a: needs fw_cfg; add -l fwcfg,qemu"},
    {"-o lpc.fwcfg=none vm0",
	"-o lpc.fwcfg=none: no such choice; use one of: qemu"},
    /* variables */
    {"-o foo vm0",
	"-o foo: invalid configuration option; use -o variable=value"},
    {"-o foo= vm0",
	"-o foo=: invalid configuration option; use -o variable=value"},
    {"-o =foo vm0",
	"-o =foo: invalid configuration option; use -o variable=value"},
    {"-o kernle=x vm0",
	"-o kernle=x: unknown variable; did you mean \"kernel\"?"},
    {"-o memory=1G vm0", "-o memory=1G: unknown variable; lhyve -h lists them"},
    {"-o memory.sise=1G vm0",
	"-o memory.sise=1G: unknown variable; did you mean \"memory.size\"?"},
    {"-o lpc.com1.pth=x vm0",
	"-o lpc.com1.pth=x: unknown variable; did you mean "
	"\"lpc.com1.path\"?"},
    {"-o qwertyuiop=x vm0",
	"-o qwertyuiop=x: unknown variable; lhyve -h lists them"},
    {"-o engine=xen vm0",
	"-o engine=xen: no such choice; use one of: auto soft kvm"},
    {"-o engine=so vm0",
	"-o engine=so: no such choice; use one of: auto soft kvm"},
    {"-o soft.tlb=maybe vm0",
	"-o soft.tlb=maybe: not a boolean; use true or false"},
    {"-o x86.strictmsr=2 vm0",
	"-o x86.strictmsr=2: not a boolean; use true or false"},
    {"-o x86.strictsmr=1 vm0",
	"-o x86.strictsmr=1: unknown variable; did you mean "
	"\"x86.strictmsr\"?"},
    {"-o reboot=maybe vm0",
	"-o reboot=maybe: no such choice; use one of: exit internal"},
    {"-o memory.size.x=1 vm0",
	"-o memory.size.x=1: unknown variable; did you mean "
	"\"memory.size\"?"},
    {"-o kernel=a\033[2Jb\n\177 -z", "-z: unknown option; lhyve -h lists "
				     "the options"},
    {"-m 1\n2\033 vm0",
	"-m 1?2?: invalid memsize; use a number with suffix K, M, G or T"},
    {"-o kernel=%(nope) vm0",
	"%(nope): no such variable is set; set it with -o nope=value"},
};

static void
test_values(void **state)
{
	struct config_error err;
	struct config *cfg;
	char *out;

	(void)state;
	assert_int_equal(parse("-l rom,a=1 vm0", &cfg, &out, &err), 0);
	assert_string_equal(config_get(cfg, "lpc.bootrom"), "a=1");
	assert_null(config_get(cfg, "kernel"));
	config_destroy(cfg);
	free(out);
	assert_int_equal(parse("-o lpc.fwcfg=qemu -f a/b,string=x,y "
			       "-f name=c,file=d vm0", &cfg, &out, &err), 0);
	assert_string_equal(config_get(cfg, "fwcfg.0.name"), "a/b");
	assert_string_equal(config_get(cfg, "fwcfg.0.string"), "x,y");
	assert_string_equal(config_get(cfg, "fwcfg.1.name"), "c");
	assert_string_equal(config_get(cfg, "fwcfg.1.file"), "d");
	config_destroy(cfg);
	free(out);
	assert_int_equal(parse("-l ROM,a,b vm0", &cfg, &out, &err), 0);
	assert_string_equal(config_get(cfg, "lpc.bootrom"), "a");
	assert_string_equal(config_get(cfg, "kernel"), "b");
	config_destroy(cfg);
	free(out);
}

static void
test_wrong(void **state)
{
	struct config_error err;
	struct config *cfg;
	char *out;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ret = parse(wrong[i].line, &cfg, &out, &err);
		if (ret != -EINVAL || strcmp(err.msg, wrong[i].msg) != 0)
			fail_msg("\"%s\": %d \"%s\"\nwant \"%s\"",
			    wrong[i].line, ret, err.msg, wrong[i].msg);
		assert_string_equal(out, "");
		assert_null(strchr(err.msg, '\n'));
		free(out);
		config_destroy(cfg);
	}
}

/* What each option sets. */
static void
test_right(void **state)
{
	static const struct {
		const char *line, *path, *value;
	} t[] = {
	    {"vm0", "name", "vm0"},
	    {"vm0", "memory.size", "256M"},
	    {"vm0", "engine", "auto"},
	    {"-o name=vm1", "name", "vm1"},
	    {"-- vm0", "name", "vm0"},
	    {"-m 512M vm0", "memory.size", "512M"},
	    {"-m512M vm0", "memory.size", "512M"},
	    {"-HPm 1G vm0", "memory.size", "1G"},
	    {"-m 1G -m 2G vm0", "memory.size", "2G"},
	    {"-m 1G -o memory.size=2G vm0", "memory.size", "2G"},
	    {"-HP vm0", "x86.vmexit_on_hlt", "true"},
	    {"-HP vm0", "x86.vmexit_on_pause", "true"},
	    {"-A vm0", "acpi_tables", "true"},
	    {"-o acpi_tables=off vm0", "acpi_tables", "off"},
	    {"-c 1 vm0", "cpus", "1"},
	    {"-c 2 -c cores=2 vm0", "cores", "2"},
	    {"-I vm0", "name", "vm0"},
	    {"-a vm0", "x86.x2apic", "false"},
	    {"-x vm0", "x86.x2apic", "true"},
	    {"-ax vm0", "x86.x2apic", "true"},
	    {"-xa vm0", "x86.x2apic", "false"},
	    {"-C vm0", "memory.guest_in_core", "true"},
	    {"-D vm0", "destroy_on_poweroff", "true"},
	    {"-e vm0", "x86.strictio", "true"},
	    {"-S vm0", "memory.wired", "true"},
	    {"vm0", "rtc.use_localtime", "true"},
	    {"-u vm0", "rtc.use_localtime", "false"},
	    {"vm0", "x86.strictmsr", "true"},
	    {"-w vm0", "x86.strictmsr", "false"},
	    {"-w -o x86.strictmsr=1 vm0", "x86.strictmsr", "1"},
	    {"-p 0:1 vm0", "vcpu.0.cpuset", "1"},
	    {"-c 2 -p 1:08 -p 1:0 vm0", "vcpu.1.cpuset", "8,0"},
	    {"-o vcpu.0.cpuset=0-3,5 -p 0:2 vm0", "vcpu.0.cpuset", "2"},
	    {"-p 0:2 -o vcpu.0.cpuset=0-3,5 vm0", "vcpu.0.cpuset", "0-3,5"},
	    {"-o pci.0.3.0.device=disk -o pci.0.3.0.path=x "
	     "-s 3,hostbridge vm0",
		"pci.0.3.0.device", "hostbridge"},
	    {"-c sockets=1,cores=1,threads=1 vm0", "cores", "1"},
	    {"-s 3,hostbridge vm0", "pci.0.3.0.device", "hostbridge"},
	    {"-s 3:4,hostbridge vm0", "pci.0.3.4.device", "hostbridge"},
	    {"-s 0:3:4,hostbridge vm0", "pci.0.3.4.device", "hostbridge"},
	    {"-s 31,LPC vm0", "pci.0.31.0.device", "lpc"},
	    {"-s 31,lpc -l COM1,stdio vm0", "lpc.com1.path", "stdio"},
	    {"-l com2,a=b,c -s 1,lpc vm0", "lpc.com2.path", "a=b"},
	    {"-s 4,disk,/x,ro=on vm0", "pci.0.4.0.path", "/x"},
	    {"-s 4,disk,/x,ro=on vm0", "pci.0.4.0.ro", "on"},
	    /* A word alone; what the device takes by itself; numbers. */
	    {"-s 4,disk,/x,ro vm0", "pci.0.4.0.ro", "true"},
	    {"-s 4,disk,ro vm0", "pci.0.4.0.ro", "true"},
	    {"-s 4,disk,/x,b= vm0", "pci.0.4.0.port.7.name", "b="},
	    {"-s 4,disk,/x -o pci.0.4.0.port.12.name=c vm0",
		"pci.0.4.0.port.12.name", "c"},
	    {"-o cmdline=a=b vm0", "cmdline", "a=b"},
	    {"-o kernel=/k/%(name) vm0", "kernel", "/k/vm0"},
	};
	struct config_error err;
	struct config *cfg;
	char *out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		/* "com2,a=b,c" is refused for the c; see below. */
		if (strstr(t[i].line, ",c ") != NULL) {
			assert_int_equal(
			    parse(t[i].line, &cfg, &out, &err), -EINVAL);
		} else {
			if (parse(t[i].line, &cfg, &out, &err) != 0)
				fail_msg("\"%s\": %s", t[i].line, err.msg);
			assert_string_equal(
			    config_get(cfg, t[i].path), t[i].value);
		}
		free(out);
		config_destroy(cfg);
	}
}

static void
test_lists(void **state)
{
	struct config_error err;
	struct config *cfg;
	char *out;

	(void)state;
	assert_int_equal(parse("-s help", &cfg, &out, &err), 1);
	assert_string_equal(out, "hostbridge      host bridge\n"
				 "lpc             LPC bridge\n"
				 "disk            disk\n");
	free(out);
	config_destroy(cfg);
	assert_int_equal(parse("-l help vm0", &cfg, &out, &err), 1);
	assert_non_null(strstr(out, "com1"));
	free(out);
	config_destroy(cfg);
	/* Help wins over what comes after it. */
	assert_int_equal(parse("-h -z", &cfg, &out, &err), 1);
	assert_non_null(strstr(out, "usage: lhyve"));
	assert_non_null(strstr(out, "  -m size[K|M|G|T]"));
	assert_non_null(strstr(out, "memory.size"));
	/* libvirt takes this for a bhyve without topologies. */
	assert_null(strstr(out, "-c vcpus"));
	free(out);
	config_destroy(cfg);
}

/* No letter twice, and every one of bhyve's is known. */
static void
test_table(void **state)
{
	static const char bhyve[] = "abehuwxACDHIPSWYpgGcsmlUrkoKfnM";
	const struct option_desc *d;
	const char *p;
	unsigned n;

	(void)state;
	for (p = bhyve; *p != '\0'; p++) {
		n = 0;
		for (d = option_table; d->letter != '\0'; d++)
			n += d->letter == *p;
		assert_int_equal(n, 1);
	}
	for (d = option_table; d->letter != '\0'; d++)
		if (d->var != NULL)
			assert_non_null(config_var_find(d->var));
}

/* A -c says all of the topology, whatever was said before. */
static void
test_topology(void **state)
{
	static const struct {
		const char *line;
		unsigned sockets, cores, threads;
	} t[] = {
	    {"vm0", 1, 1, 1},
	    {"-c _ vm0", 1, 1, 1},
	    {"-c 4 vm0", 4, 1, 1},
	    {"-c 4 -c _ vm0", 1, 1, 1},
	    {"-c cores=2,threads=2 -c 2 vm0", 2, 1, 1},
	    {"-c 4,cores=2 vm0", 2, 2, 1},
	    {"-c sockets=2,cores=3,threads=4 vm0", 2, 3, 4},
	    {"-c 0x10,threads=010 vm0", 2, 1, 8},
	    {"-c 2,threads=2,cpus=4 vm0", 2, 1, 2},
	};
	struct config_topology topo;
	struct config_error err;
	struct config *cfg;
	char *out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (parse(t[i].line, &cfg, &out, &err) != 0)
			fail_msg("\"%s\": %s", t[i].line, err.msg);
		assert_int_equal(config_topology(cfg, &topo, &err), 0);
		assert_int_equal(topo.sockets, t[i].sockets);
		assert_int_equal(topo.cores, t[i].cores);
		assert_int_equal(topo.threads, t[i].threads);
		free(out);
		config_destroy(cfg);
	}
}

static void
test_cpuset(void **state)
{
	uint64_t set[CONFIG_HOST_CPUS / 64];

	(void)state;
	assert_int_equal(config_parse_cpuset("0-3,5,64,1023", set), 0);
	assert_int_equal(set[0], 0x2f);
	assert_int_equal(set[1], 1);
	assert_int_equal(set[15], UINT64_C(1) << 63);
	assert_int_equal(config_parse_cpuset("", set), -EINVAL);
	assert_int_equal(config_parse_cpuset("1 ", set), -EINVAL);
	assert_int_equal(config_parse_cpuset("1024", set), -EINVAL);
	assert_int_equal(config_parse_cpuset("1-", set), -EINVAL);
}

/* -k: what is in the file, what the command line becomes, the message. */
static const struct {
	const char *text, *line, *msg;
} files[] = {
    {"name=vm1\n", "-k %s", NULL},
    {"# nothing\n\n  \t# more\nname=vm1", "-k %s", NULL},
    {"\tname=vm1\r\n", "-k %s", NULL},
    {"name=vm2\n", "-k %s vm1", NULL},
    {"name=vm2\n", "-k %s -o name=vm1", NULL},
    {"name=vm1\nmemory.size=1%(memory.wired)\n", "-m 1G -k %s",
	"-k memory.size=1false: invalid memsize; use a number with suffix K, "
	"M, G or T"},
    {"memory.size=1G\nmemory.size=2G\nname=vm1\n", "-k %s -m 3G", NULL},
    {"name", "-k %s",
	"-k %s: line 1: \"name\": there is no =; write variable=value"},
    {"name=x\n\n=x\n", "-k %s",
	"-k %s: line 3: \"=x\": there is no name; write variable=value"},
    {"nmae=x\n", "-k %s",
	"-k %s: line 1: nmae=x: unknown variable; did you mean \"name\"?"},
    {"kernel =x\n", "-k %s",
	"-k %s: line 1: kernel =x: unknown variable; did you mean "
	"\"kernel\"?"},
    {"#\nlpc.com1.pth=x\n", "-k %s",
	"-k %s: line 2: lpc.com1.pth=x: unknown variable; did you mean "
	"\"lpc.com1.path\"?"},
    {"pci.0.32.0.device=lpc\n", "-k %s",
	"-k %s: line 1: pci.0.32.0.device=lpc: not a PCI slot; use "
	"pci.BUS.SLOT.FUNCTION.device"},
    {"pci.0.3.0.device=lcp\n", "-k %s vm0",
	"pci slot 0:3: unknown device \"lcp\"; lhyve -s help lists the "
	"devices"},
    {"name..x=1\n", "-k %s",
	"-k %s: line 1: name..x=1: unknown variable; lhyve -h lists them"},
    {"engine=\n", "-k %s vm0",
	"-k engine=: no such choice; use one of: auto soft kvm"},
    {"cpus=0\n", "-k %s vm0",
	"-k cpus=0: not a number from 1 to 65535"},
    {"cpus=\n", "-k %s vm0", "-k cpus=: not a number from 1 to 65535"},
    {"kernel=%(a\n", "-k %s vm0",
	"\"%(a\": % begins a reference; write %(name), or %% for a percent "
	"sign"},
    {"kernel=%(initrd)\ninitrd=%(kernel)\n", "-k %s vm0", ""},
    {"name=a\rb\n", "-k %s",
	"the machine's name has a control character; use letters and digits"},
};

/* Replaces %s, once; the result is the caller's. */
static char *
with_name(const char *s, const char *name)
{
	const char *p = strstr(s, "%s");
	char *out;

	if (p == NULL)
		return (strdup(s));
	if (asprintf(&out, "%.*s%s%s", (int)(p - s), s, name, p + 2) < 0)
		return (NULL);
	return (out);
}

static void
test_files(void **state)
{
	char name[] = "/tmp/lhyve-config-XXXXXX", *out, *line, *msg;
	struct config_error err;
	struct config *cfg;
	size_t i, len;
	int fd, ret;

	(void)state;
	fd = mkstemp(name);
	assert_true(fd >= 0);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		len = strlen(files[i].text);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, files[i].text, len, 0), len);
		line = with_name(files[i].line, name);
		ret = parse(line, &cfg, &out, &err);
		if (files[i].msg == NULL) {
			if (ret != 0)
				fail_msg("\"%s\": %s", files[i].text, err.msg);
			assert_string_equal(config_get(cfg, "name"), "vm1");
			if (strstr(line, "3G") != NULL)
				assert_string_equal(
				    config_get(cfg, "memory.size"), "3G");
		} else {
			msg = with_name(files[i].msg, name);
			assert_int_equal(ret, -EINVAL);
			if (msg[0] == '\0' ? strstr(err.msg, "circle") == NULL :
					     strcmp(err.msg, msg) != 0)
				fail_msg("\"%s\": \"%s\"\nwant \"%s\"",
				    files[i].text, err.msg, msg);
			free(msg);
		}
		free(line);
		free(out);
		config_destroy(cfg);
	}
	/* No text at all, and too much of it. */
	assert_int_equal(pwrite(fd, "\0", 1, 0), 1);
	line = with_name("-k %s vm0", name);
	assert_int_equal(parse(line, &cfg, &out, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "no text"));
	free(out);
	config_destroy(cfg);
	assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
	assert_int_equal(parse(line, &cfg, &out, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "more than 1 MiB"));
	free(out);
	config_destroy(cfg);
	free(line);
	(void)close(fd);
	(void)unlink(name);
	/* Neither hangs. */
	assert_int_equal(mkfifo(name, 0600), 0);
	line = with_name("-k %s vm0", name);
	assert_int_equal(parse(line, &cfg, &out, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "not a regular file"));
	free(line);
	free(out);
	config_destroy(cfg);
	(void)unlink(name);
	assert_int_equal(parse("-k /dev/zero vm0", &cfg, &out, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "not a regular file"));
	free(out);
	config_destroy(cfg);
}

/* What config.dump prints is a file for -k with the same meaning. */
static void
test_dump_again(void **state)
{
	char name[] = "/tmp/lhyve-config-XXXXXX", *out, *one, *two, *line;
	struct config_error err;
	struct config *cfg;
	size_t len;
	FILE *f;
	int fd;

	(void)state;
	assert_int_equal(parse("-c 4,cores=2 -p 3:0 -s 31,lpc -s 3,disk,a%%(b "
			       "-l com1,x -uwx -o cmdline=50%% vm7",
			     &cfg, &out, &err), 0);
	free(out);
	assert_string_equal(config_get(cfg, "cmdline"), "50%");
	f = open_memstream(&one, &len);
	config_dump(cfg, f);
	(void)fclose(f);
	config_destroy(cfg);
	fd = mkstemp(name);
	assert_int_equal(write(fd, one, len), len);
	(void)close(fd);
	line = with_name("-k %s", name);
	if (parse(line, &cfg, &out, &err) != 0)
		fail_msg("%s", err.msg);
	free(out);
	free(line);
	f = open_memstream(&two, &len);
	config_dump(cfg, f);
	(void)fclose(f);
	assert_string_equal(one, two);
	config_destroy(cfg);
	free(one);
	free(two);
	(void)unlink(name);
}

/* The name may be missing where nothing is going to run. */
static void
test_dump(void **state)
{
	struct config_error err;
	struct config *cfg;
	char *out;

	(void)state;
	assert_int_equal(parse("-o config.dump=1 -m 1G", &cfg, &out, &err), 0);
	free(out);
	config_destroy(cfg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_right),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_dump),
	    cmocka_unit_test(test_dump_again),
	    cmocka_unit_test(test_topology),
	    cmocka_unit_test(test_cpuset),
	    cmocka_unit_test(test_files),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
