/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to what is not RAM, as the upcalls of vmm.h see them; volumes 1
 * (chapter 19, ports) and 3A (8.1.1, what is one access).
 */
#include "small.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define M GVM_MMIO
#define HOLE (GVM_MMIO + 0x100000) /* nobody answers */
#define ONES 0x0101010101010101ull

static void
map_io(struct t *t)
{
	for (uint64_t o = 0; o < 0x4000; o += 0x1000)
		gvm_map(t->g, M + o, M + o, PTE_P | PTE_W | PTE_U);
	gvm_map(t->g, HOLE, HOLE, PTE_P | PTE_W);
}

/* Runs it with RBX at M, RAX and RCX known, RSI and RDI in RAM. */
static void
run(struct t *t, const char *name, struct code c)
{
	check(t, "%s", name);
	kernel(t, c);
	set(t, VM_REG_RBX, M);
	set(t, VM_REG_RAX, 0x1122334455667788);
	set(t, VM_REG_RDX, 0x99aabbccddeeff00);
	set(t, VM_REG_RCX, 4);
	set(t, VM_REG_RSI, T_DATA);
	set(t, VM_REG_RDI, T_DATA + 0x100);
	set(t, VM_REG_R8, HOLE);
	GO(GO_STOP);
}

/* The n-th access. */
static void
io(struct t *t, unsigned n, bool write, unsigned size, uint64_t addr,
    uint64_t val)
{
	const struct gvm_io *i = &t->g->io[n];

	if (n >= t->g->nio) {
		is(t, "number of accesses", t->g->nio, n + 1);
		return;
	}
	is(t, "write", i->write, write);
	is(t, "port", i->port, false);
	is(t, "size", i->size, size);
	is(t, "address", i->addr, addr);
	is(t, "value", i->val, val);
}

/* What the harness answers a read of `size` bytes at M + off. */
static uint64_t
answer(struct t *t, uint64_t off, unsigned size)
{
	uint64_t v = t->g->io_answer + ONES * (off & 0xff);

	return (size == 8 ? v : v & ((1ull << 8 * size) - 1));
}

static void
plain(struct t *t)
{
	map_io(t);
	t->g->io_answer = 0x8877665544332211;
	run(t, "vmm.h, mem_read: MOV of 1 byte",
	    CODE("mov al, [rbx + 3]\n" STOP));
	io(t, 0, false, 1, M + 3, answer(t, 3, 1));
	IS(get(t, VM_REG_RAX) & 0xff, answer(t, 3, 1));
	IS(t->g->nio, 1);
	run(t, "vmm.h, mem_read: MOV of 2 bytes",
	    CODE("mov ax, [rbx + 2]\n" STOP));
	io(t, 0, false, 2, M + 2, answer(t, 2, 2));
	IS(get(t, VM_REG_RAX) & 0xffff, answer(t, 2, 2));
	run(t, "vmm.h, mem_read: MOV of 4 bytes",
	    CODE("mov eax, [rbx + 4]\n" STOP));
	io(t, 0, false, 4, M + 4, answer(t, 4, 4));
	IS(get(t, VM_REG_RAX), answer(t, 4, 4));
	run(t, "vmm.h, mem_read: MOV of 8 bytes",
	    CODE("mov rax, [rbx + 8]\n" STOP));
	io(t, 0, false, 8, M + 8, answer(t, 8, 8));
	IS(get(t, VM_REG_RAX), answer(t, 8, 8));
	IS(t->g->nio, 1);
	run(t, "vmm.h, mem_write: 1, 2, 4 and 8 bytes in order",
	    CODE("mov [rbx + 1], al\nmov [rbx + 2], ax\nmov [rbx + 4], eax\n"
		 "mov [rbx + 8], rax\nmov dword ptr [rbx], 5\n" STOP));
	io(t, 0, true, 1, M + 1, 0x88);
	io(t, 1, true, 2, M + 2, 0x7788);
	io(t, 2, true, 4, M + 4, 0x55667788);
	io(t, 3, true, 8, M + 8, 0x1122334455667788);
	io(t, 4, true, 4, M, 5);
	IS(t->g->nio, 5);
	run(t, "SDM 2 MOVZX, MOVSX from I/O",
	    CODE("movzx ecx, byte ptr [rbx]\nmovsx rdx, word ptr [rbx + 0xf0]\n"
		 STOP));
	IS(get(t, VM_REG_RCX), 0x11);
	IS(get(t, VM_REG_RDX), (int64_t)(int16_t)answer(t, 0xf0, 2));
	io(t, 1, false, 2, M + 0xf0, answer(t, 0xf0, 2));
	run(t, "SDM 2 MOV: moffs to I/O",
	    CODE(".byte 0xa3\n.quad 0xd0000010\n.byte 0xa0\n.quad 0xd0000020\n"
		 STOP));
	io(t, 0, true, 4, M + 0x10, 0x55667788);
	io(t, 1, false, 1, M + 0x20, answer(t, 0x20, 1));
	run(t, "vmm.h: a read that nobody claims gives ones",
	    CODE("mov rcx, [r8]\nmovzx edx, byte ptr [r8 + 1]\nmov [r8], rax\n"
		 STOP));
	IS(get(t, VM_REG_RCX), ~0ull);
	IS(get(t, VM_REG_RDX), 0xff);
	IS(t->g->nio, 0);
}

static void
modify(struct t *t)
{
	map_io(t);
	t->g->io_answer = 0x10;
	run(t, "SDM 2 ADD: reads, then writes, once each",
	    CODE("add [rbx], eax\npushfq\npop r9\n" STOP));
	io(t, 0, false, 4, M, 0x10);
	io(t, 1, true, 4, M, 0x55667798);
	IS(t->g->nio, 2);
	run(t, "SDM 2 LOCK INC on I/O", CODE("lock inc byte ptr [rbx]\n" STOP));
	io(t, 0, false, 1, M, 0x10);
	io(t, 1, true, 1, M, 0x11);
	run(t, "SDM 2 XCHG with I/O", CODE("xchg [rbx], ax\n" STOP));
	io(t, 0, false, 2, M, 0x10);
	io(t, 1, true, 2, M, 0x7788);
	IS(get(t, VM_REG_RAX), 0x1122334455660010);
	run(t, "SDM 2 CMPXCHG: equal", CODE("mov eax, 0x10\n"
		"lock cmpxchg [rbx], ecx\nsetz dl\n" STOP));
	io(t, 0, false, 4, M, 0x10);
	io(t, 1, true, 4, M, 4);
	IS(get(t, VM_REG_RDX) & 0xff, 1);
	run(t, "SDM 2 CMPXCHG: not equal, writes back what it read",
	    CODE("lock cmpxchg [rbx], ecx\nsetz dl\n" STOP));
	io(t, 1, true, 4, M, 0x10);
	IS(get(t, VM_REG_RAX), 0x10);
	IS(get(t, VM_REG_RDX) & 0xff, 0);
	run(t, "SDM 2 PUSH from I/O, POP to I/O",
	    CODE("push qword ptr [rbx + 8]\npop qword ptr [rbx + 16]\n" STOP));
	io(t, 0, false, 8, M + 8, answer(t, 8, 8));
	io(t, 1, true, 8, M + 16, answer(t, 8, 8));
	run(t, "SDM 2 PUSH, CALL: a stack that is I/O",
	    CODE("mov r9, rsp\nlea rsp, [rbx + 0x100]\npush rax\ncall 1f\n"
		 "1:mov rsp, r9\n" STOP));
	io(t, 0, true, 8, M + 0xf8, 0x1122334455667788);
	io(t, 1, true, 8, M + 0xf0, T_CODE + 16);
	IS(t->g->nio, 2);
	run(t, "SDM 2 TEST, CMP: only read",
	    CODE("test byte ptr [rbx], 1\nsetz al\ncmp dword ptr [rbx], 0x10\n"
		 "setz ah\n" STOP));
	IS(get(t, VM_REG_RAX) & 0xffff, 0x101);
	IS(t->g->nio, 2);
	run(t, "SDM 2 BTS: with a register's bit offset",
	    CODE("mov ecx, 0x45\nbts [rbx], ecx\n" STOP));
	io(t, 0, false, 4, M + 8, answer(t, 8, 4));
	io(t, 1, true, 4, M + 8, answer(t, 8, 4) | 0x20);
	run(t, "SDM 2 SETcc, MOV from a segment register to I/O",
	    CODE("xor ecx, ecx\nsetz [rbx]\nmov [rbx + 2], ss\n" STOP));
	io(t, 0, true, 1, M, 1);
	io(t, 1, true, 2, M + 2, GVM_KDATA);
}

static void
vectors(struct t *t)
{
	map_io(t);
	t->g->io_answer = 0x0706050403020100;
	run(t, "SDM 2 MOVUPS from I/O: in 8-byte parts, upwards",
	    CODE("movups xmm0, [rbx]\nmovq rax, xmm0\npextrq rdx, xmm0, 1\n"
		 STOP));
	io(t, 0, false, 8, M, answer(t, 0, 8));
	io(t, 1, false, 8, M + 8, answer(t, 8, 8));
	IS(t->g->nio, 2);
	IS(get(t, VM_REG_RAX), answer(t, 0, 8));
	IS(get(t, VM_REG_RDX), answer(t, 8, 8));
	run(t, "SDM 2 MOVAPS to I/O",
	    CODE("movq xmm1, rax\npinsrq xmm1, rdx, 1\n"
		 "movaps [rbx + 0x20], xmm1\n"
		 STOP));
	io(t, 0, true, 8, M + 0x20, 0x1122334455667788);
	io(t, 1, true, 8, M + 0x28, 0x99aabbccddeeff00);
	run(t, "SDM 2 MOVD, MOVQ", CODE("movd xmm1, [rbx + 4]\nmovd ecx, xmm1\n"
		"movq [rbx + 8], xmm1\n" STOP));
	io(t, 0, false, 4, M + 4, answer(t, 4, 4));
	io(t, 1, true, 8, M + 8, answer(t, 4, 4));
	run(t, "SDM 2 VMOVDQU of 32 bytes, both ways",
	    CODE("mov r10, rdx\nxor ecx, ecx\nxor edx, edx\nmov eax, 7\n"
		 "xsetbv\nvmovdqu ymm0, [rbx]\nvmovdqu [rbx + 0x40], ymm0\n"
		 STOP));
	IS(t->g->nio, 8);
	for (unsigned i = 0; i < 4; i++) {
		io(t, i, false, 8, M + 8 * i, answer(t, 8 * i, 8));
		io(t, 4 + i, true, 8, M + 0x40 + 8 * i, answer(t, 8 * i, 8));
	}
	run(t, "SDM 2 FLD, FSTP", CODE("fninit\nfld qword ptr [rbx]\n"
		"fstp qword ptr [rbx + 8]\n" STOP));
	io(t, 0, false, 8, M, answer(t, 0, 8));
	/* docs/quirks.md: the store reads first. */
	io(t, t->g->nio - 1, true, 8, M + 8, answer(t, 0, 8));
	run(t, "SDM 1 10.4: registers live over an upcall",
	    CODE("movq xmm5, rax\nfninit\nfldpi\nmov ecx, [rbx]\n"
		 "movq rdx, xmm5\nfstp qword ptr [rsi]\n" STOP));
	IS(get(t, VM_REG_RDX), 0x1122334455667788);
	IS(mem(t, T_DATA, 8), 0x400921fb54442d18);
}

static void
strings(struct t *t)
{
	map_io(t);
	t->g->io_answer = 0x40;
	run(t, "SDM 2 REP MOVSB from I/O",
	    CODE("mov rsi, rbx\nrep movsb\n" STOP));
	IS(t->g->nio, 4);
	for (unsigned i = 0; i < 4; i++)
		io(t, i, false, 1, M + i, answer(t, i, 1));
	IS(mem(t, T_DATA + 0x100, 4), 0x43424140);
	run(t, "SDM 2 REP MOVSD to I/O",
	    CODE("mov dword ptr [rsi], 1\nmov dword ptr [rsi + 4], 2\n"
		 "mov ecx, 2\nmov rdi, rbx\nrep movsd\n" STOP));
	io(t, 0, true, 4, M, 1);
	io(t, 1, true, 4, M + 4, 2);
	IS(t->g->nio, 2);
	run(t, "SDM 2 REP MOVSW between I/O: each element read and written",
	    CODE("mov ecx, 2\nmov rsi, rbx\nlea rdi, [rbx + 0x80]\nrep movsw\n"
		 STOP));
	io(t, 0, false, 2, M, answer(t, 0, 2));
	io(t, 1, true, 2, M + 0x80, answer(t, 0, 2));
	io(t, 2, false, 2, M + 2, answer(t, 2, 2));
	io(t, 3, true, 2, M + 0x82, answer(t, 2, 2));
	run(t, "SDM 2 REP STOSQ, downwards",
	    CODE("lea rdi, [rbx + 0x18]\nstd\nrep stosq\ncld\n" STOP));
	IS(t->g->nio, 4);
	for (unsigned i = 0; i < 4; i++)
		io(t, i, true, 8, M + 0x18 - 8 * i, 0x1122334455667788);
	run(t, "SDM 2 REPE CMPSB with I/O stops at the difference",
	    CODE("mov dword ptr [rsi], 0x00424140\nmov rdi, rbx\n"
		 "repe cmpsb\n" STOP));
	IS(t->g->nio, 4);
	IS(get(t, VM_REG_RCX), 0);
	run(t, "SDM 2 REPNE SCASB on I/O",
	    CODE("mov al, 0x41\nmov rdi, rbx\nrepne scasb\n" STOP));
	IS(t->g->nio, 2);
	IS(get(t, VM_REG_RCX), 2);
	run(t, "SDM 2 LODSD", CODE("mov rsi, rbx\nlodsd\n" STOP));
	IS(get(t, VM_REG_RAX), 0x40);
	run(t, "SDM 2 REP STOSD at the end of an I/O page",
	    CODE("lea rdi, [rbx + 0x3ff8]\nmov ecx, 2\nrep stosd\n" STOP));
	IS(t->g->nio, 2);
}

/* Ports: SDM volume 1, chapter 19. */
static void
ports(struct t *t)
{
	const struct gvm_io *i = t->g->io;

	map_io(t);
	t->g->io_answer = 0xa4a3a2a1;
	run(t, "SDM 2 IN: AL, AX, EAX",
	    CODE("mov dx, 0x1234\nin al, dx\nmov r9, rax\nin ax, dx\n"
		 "mov r10, rax\nin eax, dx\nmov r11, rax\n" STOP));
	IS(get(t, VM_REG_R9), 0x11223344556677a1);
	IS(get(t, VM_REG_R10), 0x112233445566a2a1);
	IS(get(t, VM_REG_R11), 0xa4a3a2a1);
	IS(i[0].port && i[0].addr == 0x1234 && i[0].size == 1, 1);
	IS(i[1].size == 2 && i[2].size == 4, 1);
	IS(t->g->nio, 3);
	run(t, "SDM 2 OUT: immediate port, three sizes",
	    CODE("out 0x80, al\nout 0x81, ax\nout 0x82, eax\n" STOP));
	IS(i[0].write && i[0].addr == 0x80 && i[0].val == 0x88, 1);
	IS(i[1].size == 2 && i[1].addr == 0x81 && i[1].val == 0x7788, 1);
	IS(i[2].size == 4 && i[2].val == 0x55667788, 1);
	run(t, "SDM 2 REP INSW", CODE("mov dx, 0x1f0\nrep insw\n" STOP));
	IS(t->g->nio, 4);
	IS(i[3].addr == 0x1f0 && i[3].size == 2 && !i[3].write, 1);
	IS(mem(t, T_DATA + 0x100, 8), 0xa2a1a2a1a2a1a2a1);
	IS(get(t, VM_REG_RDI), T_DATA + 0x108);
	IS(get(t, VM_REG_RCX), 0);
	run(t, "SDM 2 REP OUTSB",
	    CODE("mov dword ptr [rsi], 0x04030201\nmov dx, 0x3f8\nrep outsb\n"
		 STOP));
	IS(t->g->nio, 4);
	for (unsigned n = 0; n < 4; n++)
		IS(i[n].write && i[n].size == 1 && i[n].val == n + 1, 1);
	IS(get(t, VM_REG_RSI), T_DATA + 4);
	run(t, "SDM 2 INS: into I/O memory",
	    CODE("mov dx, 0x60\nmov rdi, rbx\ninsd\n" STOP));
	IS(t->g->nio, 2);
	io(t, 1, true, 4, M, 0xa4a3a2a1);
	check(t, "SDM 2 INS: a page fault comes before the port is read");
	kernel(t, CODE("insb\n"));
	set(t, VM_REG_RDI, 0x7ffff000);
	GO(V_PF);
	IS(t->g->nio, 0);
	IS(get(t, VM_REG_CR2), 0x7ffff000);
}

static void
straddle(struct t *t)
{
	uint64_t ram = gvm_alloc(t->g, 1), lin = 0x700000;

	map_io(t);
	gvm_map(t->g, lin, ram, PTE_P | PTE_W);
	gvm_map(t->g, lin + 0x1000, M, PTE_P | PTE_W);
	t->g->io_answer = 0x20;
	set_mem(t, ram + 0xffc, 4, 0x04030201);
	check(t, "SDM 3A 8.1.1: a load over RAM and I/O");
	kernel(t, CODE("mov rax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, lin + 0xffc);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x2004030201);
	io(t, 0, false, 4, M, 0x20);
	IS(t->g->nio, 1);
	check(t, "SDM 3A 8.1.1: a store over RAM and I/O");
	kernel(t, CODE("mov [rbx], rcx\n" STOP));
	set(t, VM_REG_RCX, 0x8877665544332211);
	GO(GO_STOP);
	IS(mem(t, ram + 0xffc, 4), 0x44332211);
	io(t, 0, true, 4, M, 0x88776655);
	check(t, "SDM 3A 8.1.1: a misaligned access in I/O, aligned parts");
	kernel(t, CODE("mov rax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, lin + 0x1001);
	GO(GO_STOP);
	io(t, 0, false, 1, M + 1, answer(t, 1, 1));
	io(t, 1, false, 2, M + 2, answer(t, 2, 2));
	io(t, 2, false, 4, M + 4, answer(t, 4, 4));
	io(t, 3, false, 1, M + 8, answer(t, 8, 1));
	check(t, "SDM 3A 4.6.1: rights hold for I/O too");
	gvm_map(t->g, lin + 0x1000, M, PTE_P);
	kernel(t, CODE("mov [rbx], al\n"));
	set(t, VM_REG_RBX, lin + 0x1000);
	GO(V_PF);
	IS(t->f.error, 3);
	IS(t->g->nio, 0);
	check(t, "SDM 3A 4.8: A and D of a page that is I/O");
	gvm_map(t->g, lin + 0x1000, M, PTE_P | PTE_W);
	kernel(t, CODE("mov [rbx], al\n" STOP));
	set(t, VM_REG_RBX, lin + 0x1000);
	GO(GO_STOP);
	IS(*gvm_pte(t->g, lin + 0x1000) & 0x60, 0x60);
}

/* A write that signals an eventfd: without an upcall on an engine that can,
 * with it otherwise. */
static void
doorbells(struct t *t)
{
	int port = eventfd(0, EFD_NONBLOCK), mmio = eventfd(0, EFD_NONBLOCK);
	uint64_t n = 0;
	int error;

	map_io(t);
	check(t, "vmm.h: a doorbell, port or memory, by an eventfd");
	error = vm_doorbell(t->g->vm, true, 0x510, 2, 7, port, true);
	IS(error, gvm_on_kvm() ? 0 : -EOPNOTSUPP);
	if (error == 0)
		error = vm_doorbell(
		    t->g->vm, false, M + 0x40, 2, -1, mmio, true);
	kernel(t, CODE("mov dx, 0x510\nmov eax, 7\nout dx, ax\n"
		       "mov eax, 8\nout dx, ax\nmov [rbx + 0x40], ax\n"
		       "mov [rbx + 0x40], ax\n" STOP));
	set(t, VM_REG_RBX, M);
	GO(GO_STOP);
	if (error != 0) {
		IS(t->g->nio, 4);
		goto out;
	}
	/* The one with another value. */
	IS(t->g->nio, 1);
	IS(t->g->io[0].val, 8);
	IS(read(port, &n, sizeof(n)), sizeof(n));
	IS(n, 1);
	IS(read(mmio, &n, sizeof(n)), sizeof(n));
	IS(n, 2);
	check(t, "vmm.h: a doorbell stays over a reset, until it is taken off");
	IS(vm_reset(t->g->vm), 0);
	IS(vm_doorbell(t->g->vm, true, 0x510, 2, 7, port, false), 0);
	kernel(t, CODE("mov dx, 0x510\nmov eax, 7\nout dx, ax\n"
		       "mov [rbx + 0x40], ax\n" STOP));
	set(t, VM_REG_RBX, M);
	GO(GO_STOP);
	IS(t->g->nio, 1);
	IS(read(port, &n, sizeof(n)), -1);
	IS(read(mmio, &n, sizeof(n)), sizeof(n));
	IS(n, 1);
	IS(vm_doorbell(t->g->vm, false, M + 0x40, 2, -1, mmio, false), 0);
out:
	close(port);
	close(mmio);
}

const struct group_fn group[] = { { "plain", plain }, { "modify", modify },
	{ "vectors", vectors }, { "strings", strings }, { "ports", ports },
	{ "straddle", straddle }, { "doorbells", doorbells }, { NULL, NULL } };
