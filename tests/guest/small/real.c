/* SPDX-License-Identifier: BSD-2-Clause */
/* Real-address mode: SDM volume 3, chapter 20 (8086 emulation). */
#include "small.h"

#include <string.h>

/*
 * Code at 8000:0, stack 7000:1000, DS a000, ES b000, FS c000, GS d000. The
 * interrupt table sends vector n to 0000:4000 + 16 * n, where gvm.c has its
 * stops; handlers are at 9000:100 * n.
 */
#define CODE16(text) CODE(".code16\n" text "\n.code64\n")
#define R_SS 0x70000ull
#define R_ES 0xb0000ull
#define R_FS 0xc0000ull
#define R_GS 0xd0000ull
#define R_SP 0xdead1000ull /* the high half must stay */
#define HI 0xdead0000ull
#define FL_ARITH 0x8d5ull
#define CF 1
#define AF 0x10
#define ZF 0x40
#define SF 0x80
#define OF 0x800

static void
seg(struct t *t, enum vm_segreg s, uint16_t sel, uint32_t limit,
    uint32_t access)
{
	struct vm_seg v = { .base = (uint64_t)sel << 4, .limit = limit,
		.access = access, .sel = sel };

	(void)vcpu_set_seg(t->g->cpu, s, &v);
}

static void
real(struct t *t, struct code c)
{
	static const enum vm_reg regs[] = { VM_REG_RAX, VM_REG_RBX, VM_REG_RCX,
		VM_REG_RDX, VM_REG_RSI, VM_REG_RDI, VM_REG_RBP };
	struct vm_seg idtr = { .base = 0, .limit = 0x3ff };

	for (unsigned i = 0; i < 256; i++)
		set_mem(t, 4 * i, 4, GVM_STUBS + 16 * i);
	put(t, T_CODE, c);
	gvm_start(t->g, 0);
	set(t, VM_REG_CR0, 0x30);
	set(t, VM_REG_EFER, 0);
	set(t, VM_REG_CR4, 0x600);
	set(t, VM_REG_CR3, 0);
	seg(t, VM_SEG_CS, 0x8000, 0xffff, 0x9b);
	seg(t, VM_SEG_SS, 0x7000, 0xffff, 0x93);
	seg(t, VM_SEG_DS, 0xa000, 0xffff, 0x93);
	seg(t, VM_SEG_ES, 0xb000, 0xffff, 0x93);
	seg(t, VM_SEG_FS, 0xc000, 0xffff, 0x93);
	seg(t, VM_SEG_GS, 0xd000, 0xffff, 0x93);
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_IDTR, &idtr);
	for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		set(t, regs[i], HI);
	set(t, VM_REG_RSP, R_SP);
	set(t, VM_REG_RFLAGS, 2);
}

static void
vector(struct t *t, unsigned v, struct code c)
{
	set_mem(t, 4 * v, 4, 0x90000000u | v << 8);
	put(t, T_HAND + 256 * v, c);
}

static uint16_t
sel(struct t *t, enum vm_segreg s)
{
	struct vm_seg v = { 0 };

	(void)vcpu_get_seg(t->g->cpu, s, &v);
	return (v.sel);
}

static uint64_t
base(struct t *t, enum vm_segreg s)
{
	struct vm_seg v = { 0 };

	(void)vcpu_get_seg(t->g->cpu, s, &v);
	return (v.base);
}

static uint64_t
flags(struct t *t)
{
	return (get(t, VM_REG_RFLAGS) & FL_ARITH);
}

/* Registers in and out; the flags in `mask` afterwards. */
struct regs {
	uint32_t r[4];
};

static void
x(struct t *t, const char *name, struct code c, struct regs in,
    struct regs out, uint64_t mask, uint64_t fl)
{
	check(t, "SDM 2 %s", name);
	real(t, c);
	set(t, VM_REG_RAX, in.r[0]);
	set(t, VM_REG_RBX, in.r[1]);
	set(t, VM_REG_RCX, in.r[2]);
	set(t, VM_REG_RDX, in.r[3]);
	GO(GO_STOP);
	is(t, "EAX", get(t, VM_REG_RAX), out.r[0]);
	is(t, "EBX", get(t, VM_REG_RBX), out.r[1]);
	is(t, "ECX", get(t, VM_REG_RCX), out.r[2]);
	is(t, "EDX", get(t, VM_REG_RDX), out.r[3]);
	is(t, "flags", flags(t) & mask, fl);
	is(t, "ESP", get(t, VM_REG_RSP), R_SP);
}
#define X(insn, ...) x(t, insn, CODE16(insn "\n" STOP), __VA_ARGS__)
#define R(...) ((struct regs){ { __VA_ARGS__ } })
#define CO (CF | OF)

static void
arith(struct t *t)
{
	X("add ax, 0x1234", R(0x5555f000), R(0x55550234), CO, CF);
	X("add eax, 0x12345678", R(0xf0000000), R(0x02345678), CO, CF);
	X("add al, 0xff", R(0x555512ff), R(0x555512fe), CO, CF);
	X("add bx, -1", R(0, 0x12340000), R(0, 0x1234ffff), CO | SF, SF);
	X("add ebx, -1", R(0, 0x12340000), R(0, 0x1233ffff), CO, CF);
	X("add bx, 0x7fff", R(0, 0x12340001), R(0, 0x12348000), CO, OF);
	X("add ax, bx", R(0x11118000, 0x22228000), R(0x11110000, 0x22228000),
	    CO | ZF, CO | ZF);
	X("add eax, ebx", R(0x11118000, 0x22228000), R(0x33340000, 0x22228000),
	    CO | ZF, 0);
	X("add ah, bl", R(0x1111ff00, 1), R(0x11110000, 1), CF | ZF, CF | ZF);
	X("mov cx, 0xabcd", R(0, 0, 0x11112222), R(0, 0, 0x1111abcd), 0, 0);
	X("mov ecx, 0x89abcdef", R(0), R(0, 0, 0x89abcdef), 0, 0);
	X("mov dh, 0x42", R(0, 0, 0, 0x11112222), R(0, 0, 0, 0x11114222), 0,
	    0);
	X("inc ax", R(0x1111ffff), R(0x11110000), ZF, ZF);
	X("inc eax", R(0x1111ffff), R(0x11120000), ZF, 0);
	X("dec dx", R(0, 0, 0, 0x11110000), R(0, 0, 0, 0x1111ffff), SF, SF);
	X("dec edx", R(0, 0, 0, 0x11110000), R(0, 0, 0, 0x1110ffff), SF, 0);
	X("neg ax", R(0x11110001), R(0x1111ffff), CF, CF);
	X("not eax", R(0x11110001), R(0xeeeefffe), 0, 0);
	X("stc\nadc ax, 0", R(0x1111ffff), R(0x11110000), CF, CF);
	X("stc\nsbb eax, 0x10000", R(0x00010000), R(0xffffffff), CF, CF);
	X("cmp ax, 0x8000", R(0x11118000), R(0x11118000), ZF, ZF);
	X("test ax, 0x8000", R(0x8000), R(0x8000), SF | ZF, SF);
	X("test eax, 0x80000000", R(0x8000), R(0x8000), SF | ZF, ZF);
	X("imul ax, bx, 0x1234", R(0x55550000, 0x11110010),
	    R(0x55552340, 0x11110010), CO, CO);
	X("imul eax, ebx, 0x1234567", R(0x55550000, 0x10),
	    R(0x12345670, 0x10), CO, 0);
	X("imul ax, bx, -2", R(0, 3), R(0xfffa, 3), CO, 0);
	X("imul ax, bx", R(0x5555ffff, 2), R(0x5555fffe, 2), CO, 0);
	X("imul eax, ebx", R(0xffff, 2), R(0x1fffe, 2), CO, 0);
	X("xchg ax, bx", R(0x11112222, 0x33334444), R(0x11114444, 0x33332222),
	    0, 0);
	X("xchg eax, ebx", R(0x11112222, 0x33334444),
	    R(0x33334444, 0x11112222), 0, 0);
	X("xadd ax, bx", R(0x11110001, 0x33330002), R(0x11110003, 0x33330001),
	    0, 0);
	X("cmpxchg bx, cx", R(0x11110001, 0x33330001, 7), R(0x11110001,
	    0x33330007, 7), ZF, ZF);
	X("cmpxchg ebx, ecx", R(0x11110001, 0x33330001, 7), R(0x33330001,
	    0x33330001, 7), ZF, 0);
	X("bswap eax", R(0x11223344), R(0x44332211), 0, 0);
	X("cbw", R(0x11112280), R(0x1111ff80), 0, 0);
	X("cwde", R(0x11118000), R(0xffff8000), 0, 0);
	X("cwd", R(0x11118000, 0, 0, 0x22220000), R(0x11118000, 0, 0,
	    0x2222ffff), 0, 0);
	X("cdq", R(0x80000000, 0, 0, 5), R(0x80000000, 0, 0, 0xffffffff), 0,
	    0);
	X("movzx ax, bl", R(0x1111ffff, 0x80), R(0x11110080, 0x80), 0, 0);
	X("movzx eax, bl", R(0x1111ffff, 0x80), R(0x80, 0x80), 0, 0);
	X("movzx eax, bx", R(0x1111ffff, 0x12348001), R(0x8001, 0x12348001),
	    0, 0);
	X("movsx ax, bl", R(0x1111ffff, 0x80), R(0x1111ff80, 0x80), 0, 0);
	X("movsx eax, bl", R(0x1111ffff, 0x80), R(0xffffff80, 0x80), 0, 0);
	X("movsx eax, bx", R(0, 0x8001), R(0xffff8001, 0x8001), 0, 0);
	X("stc\ncmovc ax, bx", R(0x11112222, 0x33334444),
	    R(0x11114444, 0x33334444), 0, 0);
	X("stc\ncmovc eax, ebx", R(0x11112222, 0x33334444),
	    R(0x33334444, 0x33334444), 0, 0);
	X("stc\nsetc bl", R(0, 0x33334444), R(0, 0x33334401), 0, 0);
	X("bt ax, 17", R(2), R(2), CF, CF);
	X("bt eax, 17", R(2), R(2), CF, 0);
	X("bts ax, bx", R(0, 0x12), R(4, 0x12), CF, 0);
	X("bsf ax, bx", R(0x11110000, 0x80010000), R(0x11110000, 0x80010000),
	    ZF, ZF);
	X("bsf eax, ebx", R(0x11110000, 0x80010000), R(16, 0x80010000), ZF, 0);
	X("bsr ax, bx", R(0x11110000, 0x80010004), R(0x11110002, 0x80010004),
	    ZF, 0);
	X("popcnt ax, bx", R(0x11110000, 0xffff0007), R(0x11110003,
	    0xffff0007), ZF, 0);
	X("popcnt eax, ebx", R(0, 0xffff0007), R(19, 0xffff0007), ZF, 0);
	X("lahf\nsahf\nstc\ncmc\nclc", R(0x1100), R(0x0200), CF, 0);
	X("sub ax, [bx]", R(0x11110000, 0x8000), R(0x11110000, 0x8000), 0, 0);
	X("mov ax, cs\nmov dx, ss\nmov cx, fs", R(0x11110000, 0, 0x11110000,
	    0x11110000), R(0x11118000, 0, 0x1111c000, 0x11117000), 0, 0);
	X("mov eax, ds", R(0x11110000), R(0xa000), 0, 0);
	check(t, "SDM 2 MOV: immediates to memory, their sizes");
	real(t, CODE16("mov word ptr [0x10], 0x1234\n"
		       "mov dword ptr [0x14], 0x12345678\n"
		       "mov byte ptr [0x18], 0x9a\nadd word ptr [0x10], -4\n"
		       "add dword ptr [0x14], 0x11111111\n"
		       "mov ax, [0x10]\nmov [0x20], eax\nmov [0x24], ax\n"
		       STOP));
	memset(gvm_ptr(t->g, T_DATA), 0xcc, 64);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x10, 8), 0x23456789cccc1230);
	IS(mem(t, T_DATA + 0x18, 4), 0xcccccc9a);
	IS(mem(t, T_DATA + 0x20, 8), 0xcccc1230dead1230);
}

static void
mul_shift(struct t *t)
{
	X("mul bl", R(0x111100ff, 0xff), R(0x1111fe01, 0xff), CO, CO);
	X("mul bx", R(0x1111ffff, 0xffff, 0, 0x22220000), R(0x11110001, 0xffff,
	    0, 0x2222fffe), CO, CO);
	X("mul ebx", R(0xffffffff, 0x10, 0, 0x22220000), R(0xfffffff0, 0x10, 0,
	    0xf), CO, CO);
	X("imul bx", R(0x1111ffff, 3, 0, 0x22220000), R(0x1111fffd, 3, 0,
	    0x2222ffff), CO, 0);
	X("imul ebx", R(0xffff, 3, 0, 0x22220000), R(0x2fffd, 3, 0, 0), CO, 0);
	X("div bl", R(0x11110105, 0x10), R(0x11110510, 0x10), 0, 0);
	X("div bx", R(0x11110005, 0x10, 0, 0x22220001), R(0x11111000, 0x10, 0,
	    0x22220005), 0, 0);
	X("div ebx", R(5, 0x10, 0, 1), R(0x10000000, 0x10, 0, 5), 0, 0);
	X("idiv bx", R(0x1111fff9, 2, 0, 0x2222ffff), R(0x1111fffd, 2, 0,
	    0x2222ffff), 0, 0);
	X("idiv ebx", R(0xfffffff9, 2, 0, 0xffffffff), R(0xfffffffd, 2, 0,
	    0xffffffff), 0, 0);
	X("idiv bl", R(0x1111fff9, 2), R(0x1111fffd, 2), 0, 0);
	X("shl ax, 4", R(0x1111f123), R(0x11111230), CF, CF);
	X("shl eax, 4", R(0xf111f123), R(0x111f1230), CF, CF);
	X("shr ax, 1", R(0x11118001), R(0x11114000), CF, CF);
	X("shr eax, cl", R(0x80018000, 0, 16), R(0x8001, 0, 16), CF, CF);
	X("sar ax, 8", R(0x11118001), R(0x1111ff80), CF, 0);
	X("rol ax, cl", R(0x11118001, 0, 20), R(0x11110018, 0, 20), 0, 0);
	X("ror eax, 8", R(0x12345678), R(0x78123456), 0, 0);
	X("stc\nrcl ax, 1", R(0x11118000), R(0x11110001), CF, CF);
	X("stc\nrcr eax, 1", R(0x11118000), R(0x8888c000), CF, 0);
	X("shld ax, bx, 4", R(0x11118001, 0xf000), R(0x1111001f, 0xf000), CF,
	    0);
	X("shrd eax, ebx, 8", R(0x11223344, 0x99), R(0x99112233, 0x99), CF, 0);
	X("shld eax, ebx, cl", R(0x11223344, 0x99000000, 8), R(0x22334499,
	    0x99000000, 8), 0, 0);
}

/* ---- addresses ---- */

static void
fill(struct t *t)
{
	uint8_t *p = gvm_ptr(t->g, 0);

	/* Not the code. */
	for (uint32_t a = 0x70000; a < 0xe0000; a++)
		if (a < T_CODE || a >= 0xa0000)
			p[a] = (uint8_t)((a * 2654435761u) >> 13);
}

static uint32_t
ea16(unsigned mod, unsigned rm, uint16_t disp, bool *stack)
{
	static const uint16_t bx = 0xc123, si = 0x8456, di = 0x4789,
	    bp = 0x9abc;
	const uint16_t v[8] = { (uint16_t)(bx + si), (uint16_t)(bx + di),
		(uint16_t)(bp + si), (uint16_t)(bp + di), si, di, bp, bx };

	*stack = rm == 2 || rm == 3 || (rm == 6 && mod != 0);
	if (mod == 0)
		return (rm == 6 ? disp : v[rm]);
	if (mod == 1)
		disp = (uint16_t)(int8_t)disp;
	return ((uint16_t)(v[rm] + disp));
}

/* SDM 2, table 2-1: every 16-bit form, with every segment override. */
static void
addresses(struct t *t)
{
	static const uint8_t over[] = { 0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	static const uint64_t bases[] = { 0, R_ES, T_CODE, R_SS, T_DATA, R_FS,
		R_GS };
	uint8_t b[16];
	uint64_t lin;
	unsigned n;
	bool stack;
	uint32_t ea;

	fill(t);
	for (unsigned i = 0; i < 7 * 24; i++) {
		unsigned o = i / 24, mod = i / 8 % 3, rm = i % 8;

		n = 0;
		if (over[o] != 0)
			b[n++] = over[o];
		b[n++] = 0x8a; /* mov al, */
		b[n++] = (uint8_t)(mod << 6 | rm);
		b[n++] = 0xe6;
		b[n++] = 0x91;
		if (mod == 1 || (mod == 0 && rm != 6))
			n -= mod == 1 ? 1 : 2;
		memcpy(b + n, "\xe6\xf4\xeb\xfe", 4);
		check(t, "SDM 2 table 2-1: override %#x, mod %u, rm %u",
		    over[o], mod, rm);
		real(t, (struct code){ b, n + 4 });
		set(t, VM_REG_RBX, HI | 0xc123);
		set(t, VM_REG_RSI, HI | 0x8456);
		set(t, VM_REG_RDI, HI | 0x4789);
		set(t, VM_REG_RBP, HI | 0x9abc);
		ea = ea16(mod, rm, 0x91e6, &stack);
		lin = (over[o] ? bases[o] : stack ? R_SS : T_DATA) + ea;
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), HI | mem(t, lin, 1));
	}
	check(t, "SDM 2 LEA: 16-bit addresses wrap, 32-bit ones do not");
	real(t, CODE16("lea ax, [bx + si + 3]\nlea ecx, [bx + si + 3]\n"
		       "lea edx, [ebx + esi * 2 + 0x12345678]\n"
		       "lea di, [ebx + esi * 2 + 0x12345678]\n" STOP));
	set(t, VM_REG_RBX, 0x1111fff0);
	set(t, VM_REG_RSI, 0x20);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0xdead0013);
	IS(get(t, VM_REG_RCX), 0x13);
	IS(get(t, VM_REG_RDX), 0x1111fff0 + 0x40 + 0x12345678);
	IS(get(t, VM_REG_RDI), 0xdead56a8);
	check(t, "SDM 2 2.1.1: 67 gives 32-bit addressing");
	real(t, CODE16("mov al, [ebx + ecx * 4 + 0x10]\n"
		       "mov ah, [ebp + esi]\nmov dl, [esp + 4]\n"
		       "mov dh, fs:[ebx * 8 + 1]\n"
		       "mov edi, gs:[ecx + 0x7000]\n" STOP));
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RDX, 0);
	set(t, VM_REG_RBX, 0x1234);
	set(t, VM_REG_RCX, 0x800);
	set(t, VM_REG_RBP, 0x7000);
	set(t, VM_REG_RSI, 0x123);
	set(t, VM_REG_RSP, 0x1000);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), mem(t, T_DATA + 0x3244, 1) |
		mem(t, R_SS + 0x7123, 1) << 8);
	IS(get(t, VM_REG_RDX), mem(t, R_SS + 0x1004, 1) |
		mem(t, R_FS + 0x91a1, 1) << 8);
	IS(get(t, VM_REG_RDI), mem(t, R_GS + 0x7800, 4));
	check(t, "SDM 2 MOV: moffs of 16 bits, and of 32 with 67");
	real(t, CODE16(".byte 0xa0, 0xfe, 0xff, 0x67, 0x66, 0xa1\n"
		       ".long 0x8765\n.byte 0x26, 0xa3, 0x34, 0x12\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), mem(t, T_DATA + 0x8765, 4));
	IS(mem(t, R_ES + 0x1234, 2), mem(t, T_DATA + 0x8765, 2));
	check(t, "SDM 3 20.1.1: no wrap at 1 MiB with A20 on");
	real(t, CODE16("mov ax, 0xffff\nmov ds, ax\nmov al, [0x20]\n"
		       "mov byte ptr [0x21], 0x77\n" STOP));
	set_mem(t, 0x100010, 1, 0x5a);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX) & 0xff, 0x5a);
	IS(mem(t, 0x100011, 1), 0x77);
	IS(base(t, VM_SEG_DS), 0xffff0);
	check(t, "SDM 2 XLAT: BX + AL wraps; EBX with 67; override");
	real(t, CODE16("xlat\nmov ah, al\nmov al, 0x10\nfs xlat\n"
		       "mov dl, al\nmov al, 0x20\nmov ebx, 0x1230\n"
		       ".byte 0x67\nxlat\nmov dh, al\n" STOP));
	set(t, VM_REG_RAX, 0x80);
	set(t, VM_REG_RBX, HI | 0xfff0);
	GO(GO_STOP);
	IS((get(t, VM_REG_RAX) >> 8) & 0xff, mem(t, T_DATA + 0x70, 1));
	IS(get(t, VM_REG_RDX) & 0xff, mem(t, R_FS, 1));
	IS((get(t, VM_REG_RDX) >> 8) & 0xff, mem(t, T_DATA + 0x1250, 1));
	check(t, "SDM 2 LES, LDS, LFS, LGS, LSS");
	real(t, CODE16("les ax, [0x10]\nlfs ebx, [0x20]\nlgs cx, [0x10]\n"
		       "lss sp, [0x30]\nlds edx, [0x20]\n" STOP));
	set_mem(t, T_DATA + 0x10, 4, 0x12345678);
	set_mem(t, T_DATA + 0x20, 6, 0x888877776666ull);
	set_mem(t, T_DATA + 0x30, 4, 0x71110400);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0xdead5678);
	IS(get(t, VM_REG_RCX), 0xdead5678);
	IS(get(t, VM_REG_RBX), 0x77776666);
	IS(get(t, VM_REG_RDX), 0x77776666);
	IS(get(t, VM_REG_RSP), 0xdead0400);
	IS(sel(t, VM_SEG_ES), 0x1234);
	IS(base(t, VM_SEG_ES), 0x12340);
	IS(base(t, VM_SEG_FS), 0x88880);
	IS(base(t, VM_SEG_DS), 0x88880);
	IS(base(t, VM_SEG_GS), 0x12340);
	IS(base(t, VM_SEG_SS), 0x71110);
}

/* ---- stack ---- */

static void
stack(struct t *t)
{
	check(t, "SDM 2 PUSH: sizes");
	real(t, CODE16("push ax\npush ebx\npush -2\npush 0x1234\n"
		       ".byte 0x66, 0x6a, 0x80, 0x66, 0x68\n"
		       ".long 0x12345678\npush cs\npush sp\npushd fs\n" STOP));
	set(t, VM_REG_RBX, 0x99887766);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), R_SP - 26);
	IS(mem(t, R_SS + 0xffe, 2), 0);
	IS(mem(t, R_SS + 0xffa, 4), 0x99887766);
	IS(mem(t, R_SS + 0xff8, 2), 0xfffe);
	IS(mem(t, R_SS + 0xff6, 2), 0x1234);
	IS(mem(t, R_SS + 0xff2, 4), 0xffffff80);
	IS(mem(t, R_SS + 0xfee, 4), 0x12345678);
	IS(mem(t, R_SS + 0xfec, 2), 0x8000);
	IS(mem(t, R_SS + 0xfea, 2), 0xfec);
	IS(mem(t, R_SS + 0xfe6, 2), 0xc000);
	check(t, "SDM 2 POP: sizes, memory, segments, SP");
	real(t, CODE16("pop ax\npop ebx\npop word ptr [0x10]\n"
		       "pop dword ptr [0x14]\npop es\npop fs\npop sp\n" STOP));
	for (unsigned i = 0; i < 32; i++)
		set_mem(t, R_SS + 0x1000 + i, 1, 0x11 + i);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0xdead1211);
	IS(get(t, VM_REG_RBX), 0x16151413);
	IS(mem(t, T_DATA + 0x10, 2), 0x1817);
	IS(mem(t, T_DATA + 0x14, 4), 0x1c1b1a19);
	IS(sel(t, VM_SEG_ES), 0x1e1d);
	IS(base(t, VM_SEG_FS), 0x201f0);
	IS(get(t, VM_REG_RSP), 0xdead2221);
	check(t, "SDM 1 6.2.3: SP wraps, the high half of ESP stays");
	real(t, CODE16("push 0x4321\npush eax\npop ebx\npop cx\n"
		       "mov sp, 0xfffe\npop dx\n" STOP));
	set(t, VM_REG_RSP, HI);
	set(t, VM_REG_RAX, 0x12345678);
	GO(GO_STOP);
	IS(mem(t, R_SS + 0xfffe, 2), 0x4321);
	IS(mem(t, R_SS + 0xfffa, 4), 0x12345678);
	IS(get(t, VM_REG_RBX), 0x12345678);
	IS(get(t, VM_REG_RCX), 0xdead4321);
	IS(get(t, VM_REG_RDX), 0xdead4321);
	IS(get(t, VM_REG_RSP), HI);
	check(t, "SDM 2 PUSHA, POPA");
	real(t, CODE16("pusha\nmov bp, sp\nmov dx, [bp + 6]\n"
			      "mov si, [bp + 14]\nmov di, bp\n" STOP));
	set(t, VM_REG_RAX, 0x11112222);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), R_SP - 16);
	IS(get(t, VM_REG_RDX) & 0xffff, 0x1000); /* SP */
	IS(get(t, VM_REG_RSI) & 0xffff, 0x2222); /* AX */
	check(t, "SDM 2 POPA: 16 and 32 bits, SP is skipped");
	real(t, CODE16("popa\n" STOP));
	for (unsigned i = 0; i < 32; i++)
		set_mem(t, R_SS + 0x1000 + i, 1, 0x11 + i);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDI), 0xdead1211);
	IS(get(t, VM_REG_RBP), 0xdead1615);
	IS(get(t, VM_REG_RSP), R_SP + 16);
	IS(get(t, VM_REG_RBX), 0xdead1a19);
	IS(get(t, VM_REG_RAX), 0xdead201f);
	real(t, CODE16("popad\npushad\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RDI), 0x14131211);
	IS(get(t, VM_REG_RAX), 0x302f2e2d);
	IS(get(t, VM_REG_RSP), R_SP);
	IS(mem(t, R_SS + 0x100c, 4), R_SP + 32);
	check(t, "SDM 2 ENTER, LEAVE: 16 bits");
	real(t, CODE16("enter 0x20, 0\nmov ax, sp\nmov cx, bp\nleave\n" STOP));
	set(t, VM_REG_RBP, 0x11112222);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0xfde);
	IS(get(t, VM_REG_RCX), HI | 0xffe);
	IS(get(t, VM_REG_RBP), 0x11112222);
	IS(get(t, VM_REG_RSP), R_SP);
	IS(mem(t, R_SS + 0xffe, 2), 0x2222);
	check(t, "SDM 2 ENTER: 16 bits, level 3");
	real(t, CODE16("enter 4, 3\n" STOP));
	set(t, VM_REG_RBP, HI | 0x2000);
	set_mem(t, R_SS + 0x1ffc, 4, 0x77778888);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP) & 0xffff, 0xffe);
	IS(get(t, VM_REG_RSP), R_SP - 2 - 6 - 4);
	IS(mem(t, R_SS + 0xff8, 8), 0x2000777788880ffeull);
	check(t, "SDM 2 LEAVE: SP from BP, wraps");
	real(t, CODE16("leave\n" STOP));
	set(t, VM_REG_RBP, 0x1111fffe);
	set_mem(t, R_SS + 0xfffe, 2, 0x5678);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 0x11115678);
	IS(get(t, VM_REG_RSP), HI);
	check(t, "SDM 2 PUSHF, POPF: 16 and 32 bits");
	real(t, CODE16("pushf\npop ax\npushfd\npop ebx\npush 0x7ed7\npopf\n"
		       "pushf\npop cx\npushd 0x00200202\npopfd\npushfd\n"
		       "pop edx\n" STOP));
	set(t, VM_REG_RFLAGS, 0x893);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0xdead0893);
	IS(get(t, VM_REG_RBX), 0x893);
	IS(get(t, VM_REG_RCX), 0xdead7ed7);
	IS(get(t, VM_REG_RDX), 0x200202);
}

/* ---- jumps ---- */

static void
near(struct t *t)
{
	check(t, "SDM 2 CALL, RET: near, 16 bits");
	real(t, CODE16("call 1f\nmov cx, sp\n" STOP
		       "1:mov bp, sp\nmov ax, [bp]\nmov bx, sp\nret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 3);
	IS(get(t, VM_REG_RBX), HI | 0xffe);
	IS(get(t, VM_REG_RCX), HI | 0x1000);
	check(t, "SDM 2 CALL, RET: near, 66 makes them 32 bits wide");
	real(t, CODE16(".byte 0x66, 0xe8\n.long 1f - .- 4\nmov cx, sp\n" STOP
		       "1:mov bp, sp\nmov eax, [bp]\nmov bx, sp\n"
		       ".byte 0x66, 0xc3\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 6);
	IS(get(t, VM_REG_RBX), HI | 0xffc);
	IS(get(t, VM_REG_RCX), HI | 0x1000);
	check(t, "SDM 2 CALL: through a register and memory; RET n");
	real(t, CODE16("push ax\npush ax\ncall bx\nmov cx, sp\ncall [0x10]\n"
		       STOP ".balign 64, 0x90\ninc dx\nret 4\n"
		       ".balign 64, 0x90\ninc si\nret\n"));
	set(t, VM_REG_RBX, HI | 64);
	set_mem(t, T_DATA + 0x10, 4, 0x7777 << 16 | 128);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), R_SP);
	IS(get(t, VM_REG_RDX), HI | 1);
	IS(get(t, VM_REG_RSI), HI | 1);
	check(t, "SDM 2 JMP: register, memory, Jcc rel8 and rel16");
	real(t, CODE16("jmp bx\n.balign 64, 0x90\nstc\njc 1f\n" STOP
		       "1:.byte 0x0f, 0x83, 0, 0\n.byte 0x0f, 0x82\n"
		       ".word 3f - . - 2\n" STOP
		       ".org 77770b + 256, 0x90\n3:mov al, 7\njmp [bx]\n"
		       ".balign 64, 0x90\nmov ah, 8\n" STOP));
	set(t, VM_REG_RBX, 0x12340040);
	set_mem(t, T_DATA + 0x40, 2, 256 + 64);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x807);
	check(t, "SDM 2 JMP: IP wraps at 64K, both ways");
	real(t, CODE16("jmp .-16\nnop\ninc bx\n" STOP));
	put(t, T_CODE + 0xfff0, CODE16("inc ax\njmp .+18\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 1);
	IS(get(t, VM_REG_RBX), HI | 1);
	check(t, "SDM 2 LOOP, LOOPE, LOOPNE, JCXZ: CX, and ECX with 67");
	real(t, CODE16("1:inc ax\nloop 1b\nmov dx, cx\njcxz 2f\nmov dh, 1\n"
		       "2:mov ecx, 0x10000\njcxz 3f\nmov dh, 2\n"
		       "3:.byte 0x67, 0xe3, 2\nmov dl, 3\n"
		       "mov ecx, 3\n4:inc si\n.byte 0x67, 0xe2, 0xfc\n"
		       "mov cx, 9\nxor bx, bx\n5:inc bx\ncmp bx, 4\nloopne 5b\n"
		       STOP));
	set(t, VM_REG_RCX, 0x55550005);
	set(t, VM_REG_RBX, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 5);
	IS(get(t, VM_REG_RDX), 0xdead0003);
	IS(get(t, VM_REG_RSI), HI | 3);
	IS(get(t, VM_REG_RBX), 4);
	IS(get(t, VM_REG_RCX), 5);
}

static void
far(struct t *t)
{
	check(t, "SDM 2 CALL, RET: far, to 9000:40");
	real(t, CODE16("call 0x9000:0x40\nmov dx, cs\nmov bx, sp\n" STOP));
	put(t, T_HAND + 0x40, CODE16("mov cx, cs\nmov bp, sp\nmov eax, [bp]\n"
				     "retf\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x80000005);
	IS(get(t, VM_REG_RCX), HI | 0x9000);
	IS(get(t, VM_REG_RDX), HI | 0x8000);
	IS(get(t, VM_REG_RBX), HI | 0x1000);
	check(t, "SDM 2 CALL, RET: far through memory, RETF n");
	real(t, CODE16("push ax\n.byte 0xff, 0x1e, 0x10, 0\nmov bx, sp\n"
			      STOP));
	put(t, T_HAND + 0x40, CODE16("mov cx, cs\nretf 2\n"));
	set_mem(t, T_DATA + 0x10, 4, 0x90000040);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), HI | 0x9000);
	IS(get(t, VM_REG_RBX), HI | 0x1000);
	check(t, "SDM 2 CALL, RET: far with 66");
	real(t, CODE16(".byte 0x66, 0x9a\n.long 0x40\n.word 0x9000\n"
		       "mov bx, sp\n" STOP));
	put(t, T_HAND + 0x40, CODE16("mov bp, sp\nmov eax, [bp]\n"
		"mov dx, [bp + 4]\nmov cx, sp\n.byte 0x66, 0xcb\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 8);
	IS(get(t, VM_REG_RDX), HI | 0x8000);
	IS(get(t, VM_REG_RCX), HI | 0xff8);
	IS(get(t, VM_REG_RBX), HI | 0x1000);
	check(t, "SDM 2 JMP: far, immediate and through memory");
	real(t, CODE16("jmp 0x9000:0x40\n"));
	put(t, T_HAND + 0x40, CODE16(".byte 0xff, 0x2e, 0x10, 0\n"));
	put(t, T_HAND + 0x60, CODE16("mov ax, cs\n" STOP));
	set_mem(t, T_DATA + 0x10, 4, 0x90020040);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x9002);
	IS(base(t, VM_SEG_CS), 0x90020);
	IS(t->stop, 0x42);
}

/* ---- interrupts ---- */

static void
frame(struct t *t, uint64_t sp, uint64_t ip, uint64_t cs, uint64_t fl)
{
	is(t, "SP", get(t, VM_REG_RSP), HI | sp);
	is(t, "pushed IP", mem(t, R_SS + sp, 2), ip);
	is(t, "pushed CS", mem(t, R_SS + sp + 2, 2), cs);
	is(t, "pushed FLAGS", mem(t, R_SS + sp + 4, 2), fl);
	is(t, "CS", sel(t, VM_SEG_CS), 0);
}

static void
ints(struct t *t)
{
	check(t, "SDM 2 INT n: 6 bytes, IF, TF and AC off");
	real(t, CODE16("int 0x60\n" STOP));
	set(t, VM_REG_RFLAGS, 0x40a93 & ~0x100u);
	GO(0x60);
	frame(t, 0xffa, 2, 0x8000, 0xa93);
	IS(get(t, VM_REG_RFLAGS), 0x893);
	check(t, "SDM 2 INT3, INTO, INT1");
	real(t, CODE16("int3\n"));
	GO(V_BP);
	frame(t, 0xffa, 1, 0x8000, 2);
	real(t, CODE16("into\nmov al, 0x7f\ninc al\ninto\n"));
	GO(V_OF);
	IS(mem(t, R_SS + 0xffa, 2), 6);
	real(t, CODE16(".byte 0xf1\n"));
	GO(V_DB);
	frame(t, 0xffa, 1, 0x8000, 2);
	check(t, "SDM 2 IRET: 16 bits, back behind INT");
	real(t, CODE16("stc\nint 0x60\nmov bx, sp\n" STOP));
	vector(t, 0x60, CODE16("mov cx, cs\nclc\nmov dx, sp\niret\n"));
	set(t, VM_REG_RFLAGS, 0x202);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), HI | 0x9000);
	IS(get(t, VM_REG_RDX), HI | 0xffa);
	IS(get(t, VM_REG_RSP), R_SP);
	IS(get(t, VM_REG_RFLAGS) & 0x201, 0x201);
	IS(sel(t, VM_SEG_CS), 0x8000);
	check(t, "SDM 2 IRET: 32 bits");
	real(t, CODE16("pushfd\nor dword ptr [esp], 0x200001\npush 0\n"
		       "push 0x9000\npushd 0x40\n.byte 0x66, 0xcf\n"));
	put(t, T_HAND + 0x40, CODE16("pushfd\npop eax\n" STOP));
	set(t, VM_REG_RSP, 0x1000);
	GO(GO_STOP);
	IS(sel(t, VM_SEG_CS), 0x9000);
	IS(get(t, VM_REG_RAX), 0x200003);
	IS(get(t, VM_REG_RSP), 0x1000);
	check(t, "SDM 3 20.1.4: IDTR moves and limits the table");
	real(t, CODE16("lidt [0x10]\nint 0x20\n"));
	set_mem(t, T_DATA + 0x10, 6, 0xb0000009full);
	set_mem(t, R_ES + 0x80, 4, GVM_STUBS + 16 * 0x77);
	GO(0x77);
	real(t, CODE16("lidt [0x10]\nint 0x28\n"));
	set_mem(t, R_ES + 4 * V_GP, 4, GVM_STUBS + 16 * V_GP);
	GO(V_GP);
	frame(t, 0xffa, 5, 0x8000, 2);
}

static void
faults(struct t *t)
{
	check(t, "SDM 3 20.1.4 (#DE): no error code, IP of the instruction");
	real(t, CODE16("nop\ndiv cx\n"));
	GO(V_DE);
	frame(t, 0xffa, 1, 0x8000, 2);
	real(t, CODE16("div cl\n"));
	set(t, VM_REG_RAX, 0xffff);
	set(t, VM_REG_RCX, 1);
	GO(V_DE);
	real(t, CODE16("aam 0\n"));
	GO(V_DE);
	frame(t, 0xffa, 0, 0x8000, 2);
	check(t, "SDM 3 20.1.4 (#UD)");
	real(t, CODE16("nop\nnop\nud2\n"));
	GO(V_UD);
	frame(t, 0xffa, 2, 0x8000, 2);
	check(t, "SDM 3 20.1.3 (#UD): ARPL, SLDT, STR, LLDT, LTR, VERR, LAR");
#define UD(bytes)                                                              \
	do {                                                                   \
		real(t, CODE16(".byte " bytes "\n" STOP));                     \
		is(t, bytes, (uint64_t)go(t), V_UD);                           \
	} while (0)
	UD("0x63, 0xc1");
	UD("0x0f, 0x00, 0xc0");
	UD("0x0f, 0x00, 0xc8");
	UD("0x0f, 0x00, 0xd0");
	UD("0x0f, 0x00, 0xd8");
	UD("0x0f, 0x00, 0xe0");
	UD("0x0f, 0x02, 0xc1");
	UD("0x0f, 0x03, 0xc1");
	UD("0xf0, 0x89, 0x07"); /* LOCK MOV */
	UD("0x0f, 0x05");	/* SYSCALL without SCE */
	UD("0xc5, 0xf8, 0x57, 0xc0"); /* VEX: SDM 2 2.4 */
	check(t, "SDM 2 BOUND: 16 and 32 bits, #BR");
	real(t, CODE16("bound ax, [0x10]\nbound ebx, [0x20]\nnop\n"
		       "bound cx, [0x10]\n"));
	set(t, VM_REG_RAX, 0x11118005);
	set(t, VM_REG_RBX, 0xfffffff0);
	set(t, VM_REG_RCX, 0x7000);
	set_mem(t, T_DATA + 0x10, 4, 0x60008000);
	set_mem(t, T_DATA + 0x20, 8, 0xffffff00ull);
	GO(V_BR);
	frame(t, 0xffa, 10, 0x8000, 2);
	check(t, "SDM 3 20.1.4: a fault's handler goes on with IRET");
	real(t, CODE16("div cl\n" STOP));
	set(t, VM_REG_RAX, 8);
	set(t, VM_REG_RCX, 0);
	vector(t, 0, CODE16("mov cl, 2\niret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 4);
	check(t, "SDM 3 17.3.1.4: TF, #DB behind each instruction");
	real(t, CODE16("push 0x102\npopf\nnop\ninc ax\npush 2\npopf\n" STOP));
	vector(t, 1, CODE16("inc bx\niret\n"));
	GO(GO_STOP);
	/* NOP, INC, PUSH and POPF itself. */
	IS(get(t, VM_REG_RBX), HI | 4);
}

#define VEC 0x61
#define APIC 0xfee00000ull

static void
hardware(struct t *t)
{
	check(t, "SDM 3 20.1.4: interrupt through the table, behind STI's "
		 "shadow");
	real(t, CODE16("sti\nnop\nnop\nnop\ncli\n" STOP));
	(void)vcpu_set_apic(t->g->cpu, 0xf0, 0x1ff);
	IS(vm_msi(t->g->vm, APIC, VEC), 0);
	vector(t, VEC, CODE16("mov bp, sp\nmov bx, [bp]\nmov cx, [bp + 2]\n"
			      "mov dx, [bp + 4]\ninc si\npushf\npop di\n"
			      "iret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), HI | 2);
	IS(get(t, VM_REG_RCX), HI | 0x8000);
	IS(get(t, VM_REG_RDX), HI | 0x202);
	IS(get(t, VM_REG_RSI), HI | 1);
	IS(get(t, VM_REG_RDI), HI | 2);
	IS(get(t, VM_REG_RSP), R_SP);
	(void)vcpu_set_apic(t->g->cpu, 0xb0, 0);
	check(t, "SDM 3 10.5.1, 20.1.4: ExtINT");
	real(t, CODE16("mov cx, 0xffff\nsti\n1:test si, si\njnz 2f\nloop 1b\n"
		       "2:cli\n" STOP));
	set(t, VM_REG_RSI, HI);
	vector(t, 0x08, CODE16("inc si\niret\n"));
	(void)vcpu_set_apic(t->g->cpu, 0x350, 0x700);
	t->g->ack_vector = 8;
	t->g->nack = 0;
	vm_extint(t->g->vm, true);
	GO(GO_STOP);
	IS(t->g->nack, 1);
	IS(get(t, VM_REG_RSI), HI | 1);
	t->g->ack_vector = -1;
	vm_extint(t->g->vm, false);
	check(t, "SDM 2 HLT: STI; HLT, the timer wakes it");
	real(t, CODE16("sti\nhlt\ncli\n" STOP));
	vector(t, VEC, CODE16("mov bp, sp\nmov bx, [bp]\ninc si\niret\n"));
	(void)vcpu_set_cap(t->g->cpu, VM_CAP_HALT_EXIT, false);
	(void)vcpu_set_apic(t->g->cpu, 0x3e0, 0xb);
	(void)vcpu_set_apic(t->g->cpu, 0x320, VEC);
	(void)vcpu_set_apic(t->g->cpu, 0x380, 3000000);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX) & 0xffff, 2);
	IS(get(t, VM_REG_RSI), HI | 1);
	(void)vcpu_set_cap(t->g->cpu, VM_CAP_HALT_EXIT, true);
	check(t, "SDM 3 6.7, 20.1.4: NMI");
	real(t, CODE16("nop\nnop\n" STOP));
	vector(t, 2, CODE16("inc si\niret\n"));
	vm_nmi(t->g->vm, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSI), HI | 1);
}

/* ---- strings, ports ---- */

static void
strings(struct t *t)
{
	fill(t);
	check(t, "SDM 2 MOVS: REP, CX only, SI and DI wrap");
	real(t, CODE16("rep movsb\n" STOP));
	set(t, VM_REG_RCX, 0x55550008);
	set(t, VM_REG_RSI, HI | 0xfffc);
	set(t, VM_REG_RDI, HI | 0xfffe);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x55550000);
	IS(get(t, VM_REG_RSI), HI | 4);
	IS(get(t, VM_REG_RDI), HI | 6);
	for (unsigned i = 0; i < 8; i++)
		IS(mem(t, R_ES + ((0xfffe + i) & 0xffff), 1),
		    mem(t, T_DATA + ((0xfffc + i) & 0xffff), 1));
	check(t, "SDM 2 MOVS: DF, words, doublewords");
	real(t, CODE16("std\nmovsw\nrep movsd\n" STOP));
	set(t, VM_REG_RCX, 2);
	set(t, VM_REG_RSI, HI | 0x200);
	set(t, VM_REG_RDI, HI | 0x300);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSI), HI | 0x1f6);
	IS(get(t, VM_REG_RDI), HI | 0x2f6);
	IS(mem(t, R_ES + 0x300, 2), mem(t, T_DATA + 0x200, 2));
	IS(mem(t, R_ES + 0x2fe, 2), mem(t, T_DATA + 0x1fe, 2));
	IS(mem(t, R_ES + 0x2fa, 4), mem(t, T_DATA + 0x1fa, 4));
	check(t, "SDM 2 MOVS: override, 67 counts in ECX");
	real(t, CODE16("fs movsb\n.byte 0x67\nrep movsw\n" STOP));
	set(t, VM_REG_RCX, 3);
	set(t, VM_REG_RSI, 0x400);
	set(t, VM_REG_RDI, 0x500);
	GO(GO_STOP);
	IS(mem(t, R_ES + 0x500, 1), mem(t, R_FS + 0x400, 1));
	IS(mem(t, R_ES + 0x501, 6), mem(t, T_DATA + 0x401, 6));
	IS(get(t, VM_REG_RSI), 0x407);
	IS(get(t, VM_REG_RCX), 0);
	check(t, "SDM 2 STOS, LODS: sizes");
	real(t, CODE16("rep stosd\nstosw\nstosb\nmov si, 0x20\nlodsb\n"
		       "mov bx, ax\nlodsw\nmov dx, ax\nlodsd\n" STOP));
	set(t, VM_REG_RAX, 0x12345678);
	set(t, VM_REG_RCX, 2);
	set(t, VM_REG_RDI, 0x600);
	GO(GO_STOP);
	IS(mem(t, R_ES + 0x600, 8), 0x1234567812345678);
	IS(mem(t, R_ES + 0x608, 3), 0x785678);
	IS(get(t, VM_REG_RDI), 0x60b);
	IS(get(t, VM_REG_RBX), HI | 0x5600 | mem(t, T_DATA + 0x20, 1));
	IS(get(t, VM_REG_RDX), HI | mem(t, T_DATA + 0x21, 2));
	IS(get(t, VM_REG_RAX), mem(t, T_DATA + 0x23, 4));
	check(t, "SDM 2 SCAS, CMPS: REPNE, REPE");
	real(t, CODE16("repne scasb\nmov bx, di\nmov di, 0x600\nmov cx, 16\n"
		       "repe cmpsw\n" STOP));
	set_mem(t, R_ES + 0x600, 8, 0x8877665544332211);
	set_mem(t, T_DATA + 0x700, 8, 0x8877665644332211);
	set(t, VM_REG_RAX, 0x66);
	set(t, VM_REG_RCX, HI | 100);
	set(t, VM_REG_RDI, HI | 0x600);
	set(t, VM_REG_RSI, HI | 0x700);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), HI | 0x606);
	IS(get(t, VM_REG_RCX), HI | 13);
	IS(get(t, VM_REG_RSI), HI | 0x706);
	IS(flags(t) & (CF | ZF), 0);
	check(t, "SDM 2 REP: CX 0 does nothing, whatever ECX is");
	real(t, CODE16("rep stosb\nrepe cmpsb\n" STOP));
	set(t, VM_REG_RDI, 0x600);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDI), 0x600);
	IS(mem(t, R_ES + 0x600, 1), 0x11);
}

static void
port(struct t *t, unsigned n, bool write, unsigned size, uint64_t addr,
    uint64_t val)
{
	const struct gvm_io *i = &t->g->io[n];

	if (n >= t->g->nio) {
		is(t, "number of accesses", t->g->nio, n + 1);
		return;
	}
	is(t, "write", i->write, write);
	is(t, "size", i->size, size);
	is(t, "port", i->addr, addr);
	is(t, "value", i->val, val);
}

static void
ports(struct t *t)
{
	check(t, "SDM 2 IN, OUT: sizes");
	t->g->io_answer = 0x44332211;
	real(t, CODE16("out 0x42, al\nout 0x43, ax\nout dx, eax\n"
		       "in al, 0x50\nin ax, dx\nin eax, dx\n" STOP));
	set(t, VM_REG_RAX, 0x99887766);
	set(t, VM_REG_RDX, HI | 0x300);
	GO(GO_STOP);
	port(t, 0, true, 1, 0x42, 0x66);
	port(t, 1, true, 2, 0x43, 0x7766);
	port(t, 2, true, 4, 0x300, 0x99887766);
	IS(t->g->io[3].size, 1);
	IS(t->g->io[4].size, 2);
	IS(t->g->io[5].size, 4);
	IS(t->g->nio, 6);
	IS(get(t, VM_REG_RAX), 0x44332211);
	check(t, "SDM 2 INS, OUTS");
	real(t, CODE16("rep outsw\nmov cx, 2\nrep insb\nes outsb\n" STOP));
	set(t, VM_REG_RDX, HI | 0x300);
	set(t, VM_REG_RCX, HI | 2);
	set(t, VM_REG_RSI, HI | 0x10);
	set(t, VM_REG_RDI, HI | 0xffff);
	set_mem(t, T_DATA + 0x10, 4, 0xddccbbaa);
	set_mem(t, R_ES + 0x14, 1, 0x99);
	GO(GO_STOP);
	port(t, 0, true, 2, 0x300, 0xbbaa);
	port(t, 1, true, 2, 0x300, 0xddcc);
	IS(mem(t, R_ES + 0xffff, 1), t->g->io[2].val & 0xff);
	IS(mem(t, R_ES, 1), t->g->io[3].val & 0xff);
	port(t, 4, true, 1, 0x300, 0x99);
	IS(get(t, VM_REG_RDI), HI | 1);
	IS(get(t, VM_REG_RSI), HI | 0x15);
}

/* ---- system ---- */

static void
tables(struct t *t)
{
	struct vm_seg v = { 0 };

	check(t, "SDM 2 LGDT, LIDT: 24 bits of base, 32 with 66");
	real(t, CODE16("lgdt [0x10]\nsgdt [0x20]\nlidt [0x10]\nsidt [0x28]\n"
		       STOP));
	set_mem(t, T_DATA + 0x10, 6, 0x123456789abcull);
	memset(gvm_ptr(t->g, T_DATA + 0x20), 0xcc, 32);
	GO(GO_STOP);
	(void)vcpu_get_seg(t->g->cpu, VM_SEG_GDTR, &v);
	IS(v.base, 0x345678);
	IS(v.limit, 0x9abc);
	IS(mem(t, T_DATA + 0x20, 8), 0xcccc003456789abcull);
	IS(mem(t, T_DATA + 0x28, 8), 0xcccc003456789abcull);
	real(t, CODE16(".byte 0x66\nlgdt [0x10]\n.byte 0x66\nlidt [0x10]\n"
		       STOP));
	GO(GO_STOP);
	(void)vcpu_get_seg(t->g->cpu, VM_SEG_GDTR, &v);
	IS(v.base, 0x12345678);
	(void)vcpu_get_seg(t->g->cpu, VM_SEG_IDTR, &v);
	IS(v.base, 0x12345678);
	check(t, "SDM 2 SMSW, LMSW, MOV CR, CLTS: 32 bits of CR");
	real(t, CODE16("smsw ax\nmov ebx, cr0\nlmsw cx\nmov edx, cr0\nclts\n"
		       "mov esi, cr0\nmov edi, cr4\nsmsw [0x10]\n" STOP));
	set(t, VM_REG_RCX, 0x3a);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x30);
	IS(get(t, VM_REG_RBX), 0x30);
	IS(get(t, VM_REG_RDX), 0x3a);
	IS(get(t, VM_REG_RSI), 0x32);
	IS(get(t, VM_REG_RDI), 0x600);
	IS(mem(t, T_DATA + 0x10, 6), 0x123456780032ull);
	check(t, "SDM 2 CPUID, RDMSR, WRMSR, RDTSC");
	kernel(t, CODE("xor eax, eax\ncpuid\n" STOP));
	GO(GO_STOP);
	v.base = get(t, VM_REG_RBX) + get(t, VM_REG_RCX) +
	    get(t, VM_REG_RDX) + get(t, VM_REG_RAX);
	real(t, CODE16("xor eax, eax\ncpuid\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX) + get(t, VM_REG_RCX) + get(t, VM_REG_RDX) +
		get(t, VM_REG_RAX), v.base);
	real(t, CODE16("mov ecx, 0x174\nmov eax, 0x4321\nxor edx, edx\nwrmsr\n"
		       "xor eax, eax\nrdmsr\nmov ebx, eax\nrdtsc\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), 0x4321);
	check(t, "SDM 2 WBINVD, INVLPG, MOV DR in real mode");
	real(t, CODE16("wbinvd\ninvlpg [bx]\nmov eax, 0x1234\nmov dr0, eax\n"
		       "mov ecx, dr0\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x1234);
}

/* Vectors: 66 is part of an opcode here, not an operand size. */
static void
vectors(struct t *t)
{
	fill(t);
	check(t, "SDM 2: SSE2 in 16-bit code, 66, F2 and F3 as opcodes");
	real(t, CODE16("movdqu xmm0, [bx + si]\nmovups xmm1, [0x10]\n"
		       "paddd xmm0, xmm1\nmovupd [0x1010], xmm0\n"
		       "movd xmm2, eax\npshufd xmm3, xmm2, 0\n"
		       "movdqu [0x1020], xmm3\nmovq xmm4, [0x10]\n"
		       "movdqu [0x1030], xmm4\nmovd ecx, xmm2\n"
		       "pextrw edx, xmm2, 1\ncvtsi2sd xmm5, eax\n"
		       "cvtsd2si ebp, xmm5\nmovss xmm6, [0x10]\n"
		       "movdqu [0x1040], xmm6\nmovmskps edi, xmm3\n" STOP));
	set(t, VM_REG_RBX, HI | 0xff00);
	set(t, VM_REG_RSI, HI | 0x120);
	set(t, VM_REG_RAX, 0x812345);
	GO(GO_STOP);
	for (unsigned i = 0; i < 4; i++) {
		IS(mem(t, T_DATA + 0x1010 + 4 * i, 4),
		    (uint32_t)(mem(t, T_DATA + 0x20 + 4 * i, 4) +
			mem(t, T_DATA + 0x10 + 4 * i, 4)));
		IS(mem(t, T_DATA + 0x1020 + 4 * i, 4), 0x812345);
	}
	IS(mem(t, T_DATA + 0x1030, 8), mem(t, T_DATA + 0x10, 8));
	IS(mem(t, T_DATA + 0x1038, 8), 0);
	IS(mem(t, T_DATA + 0x1040, 8), mem(t, T_DATA + 0x10, 4));
	IS(get(t, VM_REG_RCX), 0x812345);
	IS(get(t, VM_REG_RDX), 0x81);
	IS(get(t, VM_REG_RBP), 0x812345);
	IS(get(t, VM_REG_RDI), 0);
	check(t, "SDM 2: MMX, without 66");
	real(t, CODE16("movq mm0, [0x10]\npaddb mm0, [0x18]\n"
		       "movq [0x1010], mm0\nmovd eax, mm0\nemms\n" STOP));
	GO(GO_STOP);
	for (unsigned i = 0; i < 8; i++)
		IS(mem(t, T_DATA + 0x1010 + i, 1),
		    (mem(t, T_DATA + 0x10 + i, 1) +
			mem(t, T_DATA + 0x18 + i, 1)) & 0xff);
	IS(get(t, VM_REG_RAX), mem(t, T_DATA + 0x1010, 4));
	check(t, "SDM 2: x87 in 16-bit code");
	real(t, CODE16("fninit\nfild word ptr [0x10]\nfiadd dword ptr [0x14]\n"
		       "fistp qword ptr [0x1010]\nfnstcw [0x1018]\nfld1\n"
		       "fstp tbyte ptr [bx + 0x1020]\nfnstsw ax\n" STOP));
	set_mem(t, T_DATA + 0x10, 2, 0xfff0);
	set_mem(t, T_DATA + 0x14, 4, 0x10000);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x1010, 8), 0xfff0);
	IS(mem(t, T_DATA + 0x1018, 2), 0x37f);
	IS(mem(t, T_DATA + 0x1020, 8), 1ull << 63);
	IS(mem(t, T_DATA + 0x1028, 2), 0x3fff);
	IS(get(t, VM_REG_RAX), HI);
	check(t, "SDM 1 figures 8-11, 8-12: FNSTENV of 14 bytes, 28 with 66");
	real(t, CODE16("fninit\nfld1\nfnstenv [0x10]\n.byte 0x66\n"
		       "fnstenv [0x30]\nfldenv [0x10]\n" STOP));
	memset(gvm_ptr(t->g, T_DATA), 0xcc, 0x80);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x10, 6), 0x3fff3800037full);
	IS(mem(t, T_DATA + 0x1e, 2), 0xcccc);
	IS(mem(t, T_DATA + 0x30, 2), 0x37f);
	IS(mem(t, T_DATA + 0x34, 2), 0x3800);
	IS(mem(t, T_DATA + 0x38, 2), 0x3fff);
	IS(mem(t, T_DATA + 0x4c, 4), 0xcccccccc);
	check(t, "SDM 2 FNSAVE, FRSTOR: 94 bytes, 108 with 66");
	real(t, CODE16("fninit\nfld1\nfnsave [0x10]\nfrstor [0x10]\n"
		       ".byte 0x66\nfnsave [0x100]\n" STOP));
	memset(gvm_ptr(t->g, T_DATA), 0xcc, 0x200);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x10 + 14, 8), 1ull << 63);
	IS(mem(t, T_DATA + 0x10 + 94, 2), 0xcccc);
	IS(mem(t, T_DATA + 0x100 + 28, 8), 1ull << 63);
	IS(mem(t, T_DATA + 0x100 + 108, 2), 0xcccc);
	check(t, "SDM 2 FXSAVE, FXRSTOR, LDMXCSR");
	real(t, CODE16("fninit\nmov dword ptr [0x500], 0x1f80\n"
		       "ldmxcsr [0x500]\nmovdqu xmm7, [0x10]\n"
		       "fxsave [0x200]\n" STOP));
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x218, 4), 0x1f80);
	IS(mem(t, T_DATA + 0x200 + 160 + 112, 8), mem(t, T_DATA + 0x10, 8));
	check(t, "SDM 3 9.6.1 (#UD): SSE without CR4.OSFXSR");
	real(t, CODE16("paddd xmm0, xmm1\n" STOP));
	set(t, VM_REG_CR4, 0);
	GO(V_UD);
	frame(t, 0xffa, 0, 0x8000, 2);
	check(t, "SDM 2 CRC32, MOVBE: 16-bit forms have no 66");
	real(t, CODE16("crc32 eax, bl\ncrc32 ecx, bx\ncrc32 edx, ebx\n"
		       "movbe si, [0x10]\nmovbe edi, [0x10]\n" STOP));
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RCX, 0);
	set(t, VM_REG_RDX, 0);
	set(t, VM_REG_RBX, 0x44332211);
	set_mem(t, T_DATA + 0x10, 4, 0x44332211);
	GO(GO_STOP);
	for (unsigned n = 1; n <= 4; n *= 2) {
		uint32_t crc = 0, v = 0x44332211;

		for (unsigned i = 0; i < 8 * n; i++) {
			crc ^= (v >> i) & 1;
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
		}
		IS(get(t, n == 1       ? VM_REG_RAX :
			       n == 2 ? VM_REG_RCX :
					VM_REG_RDX), crc);
	}
	IS(get(t, VM_REG_RSI), HI | 0x1122);
	IS(get(t, VM_REG_RDI), 0x11223344);
}

/* ---- modes ---- */

/* A GDT at DS:0 and its pointer at DS:80. */
static void
gdt(struct t *t)
{
	static const uint64_t d[] = { 0, 0x00cf9b000000ffff, /* 8: 32 bits */
		0x00cf93000000ffff, 0x00af9b000000ffff,	  /* 0x18: 64 bits */
		0x00009b080000ffff, 0x0000930a0000ffff }; /* 0x20, 0x28: 16 */

	gvm_write(t->g, T_DATA, d, sizeof(d));
	set_mem(t, T_DATA + 0x80, 8, T_DATA << 16 | 0x7f);
}

/* AMD's and Intel's: #GP, not #UD, where there is no protection. */
static void
sysenters(struct t *t)
{
	uint64_t old = 0;

	(void)vcpu_get_msr(t->g->cpu, 0x174, &old);
	IS(vcpu_set_msr(t->g->cpu, 0x174, 8), 0);
	check(t, "SDM 2 SYSENTER: in real mode is #GP");
	real(t, CODE16("nop\nsysenter\n"));
	GO(V_GP);
	IS(mem(t, R_SS + 0xffa, 2), 1);
	check(t, "SDM 2 SYSEXIT: in real mode is #GP");
	real(t, CODE16("nop\nsysexit\n"));
	GO(V_GP);
	IS(mem(t, R_SS + 0xffa, 2), 1);
	check(t, "SDM 2 SYSCALL: in real mode is #UD");
	real(t, CODE16("nop\nsyscall\n"));
	GO(V_UD);
	IS(vcpu_set_msr(t->g->cpu, 0x174, old), 0);
}

static void
modes(struct t *t)
{
	check(t, "SDM 3 9.9.1: real mode to protected mode");
	real(t, CODE16("lgdt [0x80]\nmov eax, cr0\nor al, 1\nmov cr0, eax\n"
		       ".byte 0x66, 0xea\n.long 0x90000\n.word 8\n"));
	gdt(t);
	put(t, T_HAND, CODE(".code32\nmov eax, 0x10\nmov ds, eax\n"
			    "mov ss, eax\nmov esp, 0xc000\npush eax\n"
			    "mov [0xa1000], esp\nmov ebx, 0x12345678\n" STOP
			    ".code64\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), 0x12345678);
	IS(mem(t, T_DATA + 0x1000, 4), 0xbffc);
	IS(get(t, VM_REG_CR0), 0x31);
	IS(sel(t, VM_SEG_CS), 8);
	check(t, "SDM 3 9.9.1: PE set, before the far jump: 16-bit code, old "
		 "segments");
	real(t, CODE16("lgdt [0x80]\nmov eax, cr0\nor al, 1\nmov cr0, eax\n"
		       "mov bx, 0x1234\nmov [0x1000], bx\npush bx\npop cx\n"
		       "and al, 0xfe\nmov cr0, eax\nmov dx, 0x4321\n" STOP));
	gdt(t);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x1000, 2), 0x1234);
	IS(get(t, VM_REG_RCX), HI | 0x1234);
	IS(get(t, VM_REG_RDX), HI | 0x4321);
	check(t, "SDM 3 9.8.5, 9.9.2: real, protected, long, and all the way "
		 "back");
	real(t, CODE16("lgdt [0x80]\nmov eax, cr0\nor al, 1\nmov cr0, eax\n"
		       ".byte 0x66, 0xea\n.long 0x90000\n.word 8\n"
		       ".balign 64, 0x90\n"
		       /* 0x40: 16-bit protected mode */
		       "mov ax, 0x28\nmov ds, ax\nmov es, ax\nmov ss, ax\n"
		       "mov eax, cr0\nand al, 0xfe\nmov cr0, eax\n"
		       "jmp 0x8000:0x80\n.balign 64, 0x90\n"
		       "mov ax, 0xb000\nmov es, ax\nmov ax, 0x7000\n"
		       "mov ss, ax\nmov sp, 0x1000\npush 0x77\n"
		       "mov word ptr es:[0x1000], 0x5678\nmov ax, cs\n"
		       STOP));
	gdt(t);
	put(t, T_HAND, CODE(
	    ".code32\nmov eax, 0x10\nmov ds, eax\nmov ss, eax\nmov es, eax\n"
	    "mov eax, cr4\nor eax, 0x20\nmov cr4, eax\nmov eax, 0x10000\n"
	    "mov cr3, eax\nmov ecx, 0xc0000080\nrdmsr\nor eax, 0x100\nwrmsr\n"
	    "mov eax, cr0\nor eax, 0x80000000\nmov cr0, eax\n"
	    ".byte 0xea\n.long 0x90100\n.word 0x18\n"
	    ".org 77770b + 0x100, 0x90\n.code64\nmov rbx, 0x123456789abcdef0\n"
	    "mov ecx, 0xc0000080\nrdmsr\nmov ebp, eax\n"
	    "mov dword ptr [0xa1000], 0x90200\n"
	    "mov word ptr [0xa1004], 8\nmov rsi, rbx\nshr rsi, 32\n"
	    "jmp fword ptr [0xa1000]\n"
	    ".org 77770b + 0x200, 0x90\n.code32\nmov eax, cr0\n"
	    "and eax, 0x7fffffff\nmov cr0, eax\nmov ecx, 0xc0000080\nrdmsr\n"
	    "and eax, 0xfffffeff\nwrmsr\nmov edi, eax\n"
	    ".byte 0xea\n.long 0x40\n.word 0x20\n.code64\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RSI), 0x12345678);
	IS(get(t, VM_REG_RBP), 0x500);
	IS(get(t, VM_REG_RDI), 0);
	IS(get(t, VM_REG_RAX) & 0xffff, 0x8000);
	IS(mem(t, R_ES + 0x1000, 2), 0x5678);
	IS(mem(t, R_SS + 0xffe, 2), 0x77);
	IS(get(t, VM_REG_CR0), 0x30);
	IS(base(t, VM_SEG_DS), 0xa0000); /* not reloaded: as it was */
	IS(base(t, VM_SEG_CS), 0x80000);
	check(t, "SDM 3 9.9.2: limits outlive the way back (unreal mode)");
	real(t, CODE16("lgdt [0x80]\nmov eax, cr0\nor al, 1\nmov cr0, eax\n"
		       "mov bx, 0x10\nmov ds, bx\nand al, 0xfe\n"
		       "mov cr0, eax\nmov ebx, 0x150000\n"
		       "mov dword ptr [ebx], 0x99887766\n"
		       "xor ax, ax\nmov ds, ax\nmov ecx, [ebx]\n"
		       "mov ax, 0x1000\nmov ds, ax\nmov edx, [ebx - 0x10000]\n"
		       STOP));
	gdt(t);
	GO(GO_STOP);
	IS(mem(t, 0x150000, 4), 0x99887766);
	IS(get(t, VM_REG_RCX), 0x99887766);
	IS(get(t, VM_REG_RDX), 0x99887766);
}

const struct group_fn group[] = { { "arith", arith },
	{ "mul_shift", mul_shift }, { "addresses", addresses },
	{ "stack", stack }, { "near", near }, { "far", far }, { "ints", ints },
	{ "faults", faults }, { "hardware", hardware },
	{ "strings", strings }, { "ports", ports }, { "tables", tables },
	{ "vectors", vectors }, { "modes", modes }, { "sysenters", sysenters },
	{ NULL, NULL } };
