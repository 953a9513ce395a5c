/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16-bit code in protected mode, virtual-8086 mode (SDM volume 3, chapters 5
 * to 7, 20 and 21) and what only 16-bit and 32-bit code has.
 */
#include "prot.h"

#include <stdio.h>
#include <string.h>

#define CF 1
#define PF 4
#define AF 0x10
#define ZF 0x40
#define SF 0x80

/* ---- 16-bit protected mode ---- */

static void
code16(struct t *t)
{
	check(t, "SDM 3 21.2: 16-bit code, data and stack with bases");
	prot16(t, CODE16("mov ax, 0x1234\nmov [0x10], ax\n"
			 "mov [bx + 0x20], eax\n"
			 "push ax\npush ebx\ncall 1f\nmov dx, sp\n" STOP
			 "1:mov bp, sp\nmov cx, [bp]\nmov si, cs:[0]\nret\n"));
	set(t, VM_REG_RBX, HI);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x10, 2), 0x1234);
	IS(mem(t, T_DATA + 0x20, 4), HI | 0x1234);
	IS(mem(t, P_SS + 0xffe, 2), 0x1234);
	IS(mem(t, P_SS + 0xffa, 4), HI);
	IS(get(t, VM_REG_RDX), HI | 0xffa);
	IS(get(t, VM_REG_RCX), HI | mem(t, P_SS + 0xff8, 2));
	IS(get(t, VM_REG_RSI), HI | 0x34b8); /* mov ax, 0x1234 */
	IS(get(t, VM_REG_RSP), HI | 0xffa);
	check(t, "SDM 1 6.2.3: SP wraps in a 16-bit stack segment");
	prot16(t, CODE16("push 0x4321\npushad\npopad\npop ax\n" STOP));
	set(t, VM_REG_RSP, HI);
	GO(GO_STOP);
	IS(mem(t, P_SS + 0xfffe, 2), 0x4321);
	IS(get(t, VM_REG_RAX), HI | 0x4321);
	IS(get(t, VM_REG_RSP), HI);
	check(t, "SDM 1 6.2.3: 16-bit code with a 32-bit stack uses ESP");
	prot16(t, CODE16("push ax\npush eax\ncall 1f\n" STOP
			 "1:enter 8, 0\nleave\nret\n"));
	load(t, VM_SEG_SS, S_DATA32, 0, 0xffffffff, 0xc093);
	set(t, VM_REG_RSP, 0xb0000);
	set(t, VM_REG_RBP, 0xa0000); /* LEAVE: ESP is EBP */
	set(t, VM_REG_RAX, 0x12345678);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), 0xafffa);
	IS(mem(t, 0xafffe, 2), 0x5678);
	IS(mem(t, 0xafffa, 4), 0x12345678);
	check(t, "SDM 1 6.2.3: 32-bit code with a 16-bit stack uses SP");
	prot(t, CODE32("push eax\ncall 1f\n" STOP
		       "1:mov ebx, esp\nmov ebp, 0x99990000\n"
		       "enter 8, 0\nmov ecx, esp\nleave\n"
		       "ret\n"));
	load(t, VM_SEG_SS, S_STACK16, P_SS, 0xffff, 0x93);
	set(t, VM_REG_RSP, 0x77770004);
	set(t, VM_REG_RAX, 0x12345678);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), 0x77770000);
	IS(get(t, VM_REG_RBX), 0x7777fffc);
	IS(get(t, VM_REG_RCX), 0x7777fff0);
	IS(mem(t, P_SS, 4), 0x12345678);
	check(t, "SDM 3 21.4: far calls between 16-bit and 32-bit code");
	prot16(t, CODE16(".byte 0x66, 0x9a\n.long 0x90000\n.word 0x40\n"
			 "mov dx, sp\nmov si, cs\n" STOP));
	put(t, T_HAND, CODE32("mov bx, sp\nmov eax, [esp]\nmov cx, [esp + 4]\n"
			      "retf\n"));
	/* Flat code reads its stack with ESP: give it a flat one. */
	load(t, VM_SEG_SS, S_DATA32, 0, 0xffffffff, 0xc093);
	set(t, VM_REG_RSP, 0xb0000);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 8);
	IS(get(t, VM_REG_RCX), HI | S_CODE16);
	IS(get(t, VM_REG_RBX), HI | 0xfff8);
	IS(get(t, VM_REG_RDX), HI);
	IS(get(t, VM_REG_RSI), HI | S_CODE16);
	check(t, "SDM 2 CALL, RET: far in 16-bit code, 4 bytes");
	prot16(t, CODE16("call 0x50:0x40\nmov dx, sp\n" STOP
			 ".balign 64, 0x90\nmov bp, sp\nmov eax, [bp]\n"
			 "retf\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), S_CODE16 << 16 | 5);
	IS(get(t, VM_REG_RDX), HI | 0x1000);
	check(t, "SDM 2 MOV, LES: selectors in 16-bit code");
	prot16(t, CODE16("mov ax, 0x48\nmov ds, ax\nmov eax, [0xffe0]\n"
			 "les bx, es:[0x10]\npush 0x48\npop fs\n"
			 "mov ecx, fs:[ebp]\n" STOP));
	set_mem(t, T_DATA + 0x10, 4, S_STACK16 << 16 | 0x1234);
	set_mem(t, 0xffe0, 4, 0x13572468);
	set(t, VM_REG_RBP, 0x150000);
	set_mem(t, 0x150000, 4, 0x24681357);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x13572468);
	IS(get(t, VM_REG_RBX), HI | 0x1234);
	IS(base(t, VM_SEG_ES), P_SS);
	IS(get(t, VM_REG_RCX), 0x24681357);
	check(t, "SDM 2 LAR, LSL, STR, SLDT, VERR in 16-bit code");
	prot16(t, CODE16("mov bx, 0x58\nlar ax, bx\nlsl ecx, ebx\nverr bx\n"
			 "setz dl\nstr si\nstr edi\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x9300);
	IS(get(t, VM_REG_RCX), 0xffff);
	IS(get(t, VM_REG_RDX) & 0xff, 1);
	IS(get(t, VM_REG_RSI), HI | S_TSS);
	IS(get(t, VM_REG_RDI), S_TSS);
	check(t, "SDM 3 4: 16-bit code in compatibility mode");
	kernel(t, CODE("push 0x50\npush 0x40\n.byte 0x48, 0xcb\n"
		       ".balign 64, 0x90\n.code16\nmov ax, 0x1234\n"
		       "mov cx, cs\nadd eax, 0x10000\n" STOP ".code64\n"));
	set_gdt(t, S_CODE16, 0x00009b080000ffff);
	set(t, VM_REG_RAX, HI);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0xdeae1234);
	IS(get(t, VM_REG_RCX) & 0xffff, S_CODE16);
	check(t, "SDM 2 JMP: 67 and 66 in 32-bit code");
	prot(t, CODE32("mov al, [bx + si]\nmov cx, 0x1234\n"
		       "add word ptr [0xa0010], 0x1111\n"
		       "jcxz 1f\nloopw 1f\nnop\n1:" STOP));
	set(t, VM_REG_RBX, HI | 0xfff0);
	set(t, VM_REG_RSI, HI | 0x6010);
	set_mem(t, T_DATA + 0x10, 4, 0x2222ffff);
	set_mem(t, 0x6000, 1, 0x99);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x99);
	IS(get(t, VM_REG_RCX), HI | 0x1233);
	IS(mem(t, T_DATA + 0x10, 4), 0x22221110);
}

/* SDM 1 6.2.3: with a 16-bit SS the high half of ESP means nothing. */
static void
gates(struct t *t)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t hi = i == 0 ? 0 : HI;

		check(t, "SDM 3 6.12.1: interrupt of 16-bit code, 32-bit "
			 "gate, ESP %#x", (unsigned)hi | 0x1000);
		prot16(t, CODE16("nop\nint 0x60\n"));
		set(t, VM_REG_RSP, hi | 0x1000);
		memset(gvm_ptr(t->g, P_SS + 0xf00), 0xcc, 0x100);
		GO(0x60);
		IS(get(t, VM_REG_RSP), hi | 0xff4);
		IS(mem(t, P_SS + 0xff4, 4), 3);
		IS(mem(t, P_SS + 0xff8, 2), S_CODE16);
		IS(mem(t, P_SS + 0xffc, 4), 2);
		check(t, "SDM 3 6.12.1: 16-bit gate, 6 bytes, and IRET, "
			 "ESP %#x", (unsigned)hi | 0x1000);
		prot16(t, CODE16("stc\nint 0x60\nmov dx, sp\n" STOP
				 ".balign 64, 0x90\nmov bp, sp\n"
				 "mov eax, [bp]\nmov cx, [bp + 4]\nclc\n"
				 "iret\n"));
		set(t, VM_REG_RSP, hi | 0x1000);
		set_mem(t, P_IDT + 8 * 0x60, 8,
		    0x40 | S_CODE16 << 16 | 0x86ull << 40);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), S_CODE16 << 16 | 3);
		IS(get(t, VM_REG_RCX), HI | 3);
		IS(get(t, VM_REG_RDX), HI | 0x1000);
		IS(get(t, VM_REG_RFLAGS) & CF, CF);
		check(t, "SDM 2 MOV (#GP): a bad selector, ESP %#x",
		    (unsigned)hi | 0x1000);
		prot16(t, CODE16("mov ax, 0x50\nmov ss, ax\n"));
		set(t, VM_REG_RSP, hi | 0x1000);
		GO(V_GP);
		IS(mem(t, P_SS + 0xff0, 4), S_CODE16);
		IS(mem(t, P_SS + 0xff4, 4), 3);
		check(t, "SDM 2 IRET: 32 bits from a 16-bit stack, ESP %#x",
		    (unsigned)hi | 0x1000);
		prot16(t, CODE16("pushfd\npushd 0x50\npushd 64\n"
				 ".byte 0x66, 0xcf\n.balign 64, 0x90\n"
				 "mov dx, sp\n" STOP));
		set(t, VM_REG_RSP, hi | 0x1000);
		GO(GO_STOP);
		IS(get(t, VM_REG_RDX), HI | 0x1000);
	}
	check(t, "SDM 2 INT n: 16-bit stack, SP wraps");
	prot16(t, CODE16("int 0x60\n"));
	set(t, VM_REG_RSP, 0);
	GO(0x60);
	IS(get(t, VM_REG_RSP), 0xfff4);
	IS(mem(t, P_SS + 0xfff4, 4), 2);
	check(t, "SDM 2 MOVS, STOS: 16-bit protected mode, wrap");
	prot16(t, CODE16("rep movsb\nes lodsb\nxlat\n" STOP));
	set(t, VM_REG_RCX, HI | 4);
	set(t, VM_REG_RSI, HI | 0xfffe);
	set(t, VM_REG_RDI, HI | 0x1ffe);
	set(t, VM_REG_RBX, 0x8000);
	set_mem(t, T_DATA + 0xfffe, 2, 0x2211);
	set_mem(t, T_DATA, 4, 0x40554433);
	set_mem(t, T_DATA + 0x8055, 1, 0x66);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x1ffe, 4), 0x44332211);
	IS(get(t, VM_REG_RSI), HI | 3);
	IS(get(t, VM_REG_RAX), HI | 0x66);
	check(t, "SDM 2 XLAT: 16-bit address in 32-bit code");
	prot(t, CODE32(".byte 0x67\nxlat\n" STOP));
	set(t, VM_REG_RBX, HI | 0xfff8);
	set(t, VM_REG_RAX, 0x18);
	set_mem(t, 0x10, 1, 0x99);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x99);
}

/* ---- far pointers and ARPL in 32-bit code ---- */

static void
pointers(struct t *t)
{
	check(t, "SDM 2 LES, LDS, LFS, LGS, LSS: 32 bits");
	prot(t, CODE32("les eax, [ebx]\nlfs ecx, [ebx + 8]\n"
		       "lgs dx, [ebx + 16]\nlss esp, [ebx + 24]\n"
		       "lds esi, [ebx]\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	set_mem(t, T_DATA, 6, (uint64_t)S_DATA16 << 32 | 0x11223344);
	set_mem(t, T_DATA + 8, 6, (uint64_t)S_STACK16 << 32 | 0x55667788);
	set_mem(t, T_DATA + 16, 4, S_DATA16 << 16 | 0x99aa);
	set_mem(t, T_DATA + 24, 6, (uint64_t)S_STACK16 << 32 | 0x1000);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x11223344);
	IS(get(t, VM_REG_RCX), 0x55667788);
	IS(get(t, VM_REG_RDX), HI | 0x99aa);
	IS(get(t, VM_REG_RSP), 0x1000);
	IS(get(t, VM_REG_RSI), 0x11223344);
	IS(sel(t, VM_SEG_ES), S_DATA16);
	IS(base(t, VM_SEG_FS), P_SS);
	IS(base(t, VM_SEG_GS), T_DATA);
	IS(base(t, VM_SEG_SS), P_SS);
	IS(base(t, VM_SEG_DS), T_DATA);
	check(t, "SDM 2 LES (#GP): nothing changes");
	prot(t, CODE32("les eax, [ebx]\n"));
	set(t, VM_REG_RBX, T_DATA);
	set_mem(t, T_DATA, 6, (uint64_t)0x1230 << 32 | 0x11223344);
	GO(V_GP);
	IS(get(t, VM_REG_RAX), HI);
	IS(sel(t, VM_SEG_ES), S_DATA32);
	IS(mem(t, P_ESP0 - 16, 4), 0x1230);
	IS(mem(t, P_ESP0 - 12, 4), T_CODE);
	check(t, "SDM 2 LES (#UD): register");
	prot(t, CODE32(".byte 0xc4, 0xc0, 0x90\n"));
	GO(V_UD);
	for (unsigned d = 0; d < 4; d++)
		for (unsigned s = 0; s < 4; s++) {
			bool less = d < s;

			check(t, "SDM 2 ARPL: RPL %u and %u", d, s);
			prot(t, CODE32("arpl ax, cx\nsetz dl\n"
				       "arpl [ebx], cx\nsetz dh\n" STOP));
			set(t, VM_REG_RAX, 0x12345670 | d);
			set(t, VM_REG_RCX, 0x8880 | s);
			set(t, VM_REG_RBX, T_DATA);
			set_mem(t, T_DATA, 4, 0x77776660 | d);
			GO(GO_STOP);
			IS(get(t, VM_REG_RAX), 0x12345670 | (less ? s : d));
			IS(mem(t, T_DATA, 4), 0x77776660 | (less ? s : d));
			IS(get(t, VM_REG_RDX), HI | (less ? 0x101 : 0));
		}
}

/* ---- decimal adjustments: the pseudo-code of their pages ---- */

enum { K_AAA, K_AAS, K_DAA, K_DAS, K_AAM, K_AAD, K_SALC, K_COUNT };

static unsigned
szp(uint8_t v)
{
	return ((v & 0x80 ? SF : 0) | (v == 0 ? ZF : 0) |
	    (__builtin_popcount(v) & 1 ? 0 : PF));
}

/* The flags that are defined; AX and *fl as the instruction leaves them. */
static unsigned
model(unsigned kind, unsigned imm, uint16_t *ax, unsigned *fl)
{
	uint8_t al = (uint8_t)*ax, ah = (uint8_t)(*ax >> 8), old_al = al;
	bool cf = (*fl & CF) != 0, af = (*fl & AF) != 0, old_cf = cf;
	unsigned defined = CF | AF | SF | ZF | PF, sum;

	switch (kind) {
	case K_AAA:
	case K_AAS:
		if ((al & 0xf) > 9 || af) {
			*ax = (uint16_t)(kind == K_AAA ? *ax + 0x106 :
							 *ax - 6 - 0x100);
			cf = af = true;
		} else
			cf = af = false;
		*ax &= 0xff0f;
		*fl = (cf ? CF : 0) | (af ? AF : 0);
		return (CF | AF);
	case K_DAA:
		cf = false;
		if ((al & 0xf) > 9 || af) {
			sum = al + 6u;
			al = (uint8_t)sum;
			cf = old_cf || sum > 0xff;
			af = true;
		} else
			af = false;
		if (old_al > 0x99 || old_cf) {
			al = (uint8_t)(al + 0x60);
			cf = true;
		} else
			cf = false;
		break;
	case K_DAS:
		cf = false;
		if ((al & 0xf) > 9 || af) {
			cf = old_cf || al < 6;
			al = (uint8_t)(al - 6);
			af = true;
		} else
			af = false;
		if (old_al > 0x99 || old_cf) {
			al = (uint8_t)(al - 0x60);
			cf = true;
		}
		break;
	case K_AAM:
		ah = (uint8_t)(al / imm);
		al = (uint8_t)(al % imm);
		defined = SF | ZF | PF;
		break;
	case K_AAD:
		al = (uint8_t)(al + ah * imm);
		ah = 0;
		defined = SF | ZF | PF;
		break;
	default:
		*ax = (uint16_t)(ah << 8 | (cf ? 0xff : 0));
		return (CF | AF | SF | ZF | PF);
	}
	*ax = (uint16_t)(ah << 8 | al);
	*fl = (cf ? CF : 0) | (af ? AF : 0) | szp(al);
	return (defined);
}

/* AL, CF and AF are the bits of a counter; results go to 1 MiB on. */
static void
bcd_run(struct t *t, const char *name, unsigned kind, uint8_t op, int imm,
    uint8_t ah)
{
	uint8_t b[96];
	unsigned n = 0, nbad = 0;
	struct code c = CODE32("mov edi, 0x110000\nxor ebx, ebx\n"
			       "1:mov eax, ebx\nshr eax, 8\nand eax, 1\n"
			       "mov ecx, ebx\nshr ecx, 5\nand ecx, 0x10\n"
			       "or eax, ecx\npush eax\nmov ah, dl\nmov al, bl\n"
			       "popfd\n");
	struct code e = CODE32("mov [edi], ax\npushfd\npop ecx\n"
			       "mov [edi + 2], cx\nadd edi, 4\ninc ebx\n"
			       "cmp ebx, 0x400\n");

	memcpy(b, c.p, c.len);
	n = (unsigned)c.len;
	b[n++] = op;
	if (imm >= 0)
		b[n++] = (uint8_t)imm;
	memcpy(b + n, e.p, e.len);
	n += (unsigned)e.len;
	b[n++] = 0x75; /* jnz 1b: behind MOV (5 bytes) and XOR (2) */
	b[n] = (uint8_t)(7 - (n + 1));
	n++;
	memcpy(b + n, GVM_STOP_CODE, GVM_STOP_LEN);
	check(t, "SDM 2 %s, base %d, AH %#x", name, imm, ah);
	prot(t, (struct code){ b, n + GVM_STOP_LEN });
	set(t, VM_REG_RDX, ah);
	GO(GO_STOP);
	for (unsigned i = 0; i < 0x400; i++) {
		uint16_t ax = (uint16_t)(ah << 8 | (i & 0xff));
		unsigned fl = (i & 0x100 ? CF : 0) | (i & 0x200 ? AF : 0);
		unsigned in = fl, mask;
		uint64_t got = mem(t, 0x110000 + 4 * i, 2);
		uint64_t gfl = mem(t, 0x110002 + 4 * i, 2);
		char what[64];

		mask = model(kind, (unsigned)imm & 0xff, &ax, &fl);
		if ((got == ax && (gfl & mask) == (fl & mask)) || nbad++ > 3)
			continue;
		snprintf(what, sizeof(what), "AL %#x, flags %#x: AX", i & 0xff,
		    in);
		is(t, what, got, ax);
		is(t, "its flags", gfl & mask, fl & mask);
	}
	IS(nbad, 0);
}

static void
bcd(struct t *t)
{
	static const uint8_t ahs[] = { 0, 0x35, 0xff };

	for (unsigned i = 0; i < 3; i++) {
		bcd_run(t, "AAA", K_AAA, 0x37, -1, ahs[i]);
		bcd_run(t, "AAS", K_AAS, 0x3f, -1, ahs[i]);
		bcd_run(t, "DAA", K_DAA, 0x27, -1, ahs[i]);
		bcd_run(t, "DAS", K_DAS, 0x2f, -1, ahs[i]);
		bcd_run(t, "AAM", K_AAM, 0xd4, 10, ahs[i]);
		bcd_run(t, "AAM", K_AAM, 0xd4, 1, ahs[i]);
		bcd_run(t, "AAM", K_AAM, 0xd4, 0xff, ahs[i]);
		bcd_run(t, "AAD", K_AAD, 0xd5, 10, ahs[i]);
		bcd_run(t, "AAD", K_AAD, 0xd5, 0, ahs[i]);
		bcd_run(t, "AAD", K_AAD, 0xd5, 0xfe, ahs[i]);
		bcd_run(t, "SALC", K_SALC, 0xd6, -1, ahs[i]);
	}
	check(t, "SDM 2 AAM (#DE): base 0");
	prot(t, CODE32("aam 0\n"));
	GO(V_DE);
	IS(mem(t, P_ESP0 - 12, 4), T_CODE);
}

/* ---- virtual-8086 mode ---- */

#define V_ESP 0x1000u

/* Enters 8000:0 with SS 7000, ES b000, DS a000, FS c000, GS d000. */
static void
v86(struct t *t, struct code c, unsigned iopl)
{
	static const uint16_t sels[] = { 0xb000, 0xa000, 0xc000, 0xd000 };
	const uint32_t f[9] = { 0, 0x8000, FL_VM | iopl << 12 | 0x202, V_ESP,
		0x7000, sels[0], sels[1], sels[2], sels[3] };

	prot(t, CODE32("iretd\n"));
	put(t, T_CODE, c);
	put(t, T_HAND, CODE32("iretd\n"));
	set(t, VM_REG_RIP, T_HAND);
	gvm_write(t->g, 0xb000, f, sizeof(f));
	set(t, VM_REG_RSP, 0xb000);
}

/* The monitor's frame at ESP0: SDM 3 figure 20-4. */
static void
is_v86_frame(struct t *t, bool error, uint32_t eip, uint32_t fl, uint32_t esp)
{
	const uint8_t *p = gvm_ptr(t->g, P_ESP0 - 36);
	static const char *const what[] = { "EIP", "CS", "EFLAGS", "ESP", "SS",
		"ES", "DS", "FS", "GS" };
	const uint32_t want[] = { eip, 0x8000, fl, esp, 0x7000, 0xb000, 0xa000,
		0xc000, 0xd000 };
	uint32_t v;

	for (unsigned i = 0; i < 9; i++) {
		memcpy(&v, p + 4 * i, 4);
		if (i == 1 || i > 3)
			v &= 0xffff;
		if (i == 2)
			v &= ~0x108d5u; /* arithmetic, and RF of a fault */
		is(t, what[i], v, want[i]);
	}
	is(t, "monitor's ESP", get(t, VM_REG_RSP), P_ESP0 - 36 - 4 * error);
	is(t, "CS", sel(t, VM_SEG_CS), S_CODE32);
	is(t, "SS", sel(t, VM_SEG_SS), S_DATA32);
	is(t, "DS", sel(t, VM_SEG_DS), 0);
	is(t, "ES", sel(t, VM_SEG_ES), 0);
	is(t, "FS", sel(t, VM_SEG_FS), 0);
	is(t, "GS", sel(t, VM_SEG_GS), 0);
	is(t, "VM", get(t, VM_REG_RFLAGS) & FL_VM, 0);
	if (error)
		is(t, "error code", mem(t, P_ESP0 - 40, 4), 0);
}

static void
v86_gp(struct t *t, const char *insn, struct code c, unsigned iopl)
{
	check(t, "SDM 3 20.2.7, 20.3.3 (#GP): %s in V86, IOPL %u", insn, iopl);
	v86(t, c, iopl);
	GO(V_GP);
	is_v86_frame(t, true, 1, FL_VM | iopl << 12 | 0x202, V_ESP);
}
#define V86_GP(insn, iopl)                                                     \
	v86_gp(t, insn, CODE16("nop\n" insn "\n"), iopl)

static void
v86_enter(struct t *t)
{
	check(t, "SDM 2 IRET: to virtual-8086 mode, registers");
	v86(t, CODE16("mov ax, cs\nmov bx, ds\nmov cx, es\nmov dx, ss\n"
		      "mov si, fs\nmov di, gs\nmov bp, sp\n"
		      "mov word ptr [0x10], 0x1234\npush 0x77\nint3\n"), 3);
	GO(V_BP);
	IS(get(t, VM_REG_RAX), HI | 0x8000);
	IS(get(t, VM_REG_RBX), HI | 0xa000);
	IS(get(t, VM_REG_RCX), HI | 0xb000);
	IS(get(t, VM_REG_RDX), HI | 0x7000);
	IS(get(t, VM_REG_RSI), HI | 0xc000);
	IS(get(t, VM_REG_RDI), HI | 0xd000);
	IS(get(t, VM_REG_RBP), HI | 0x1000);
	IS(mem(t, T_DATA + 0x10, 2), 0x1234);
	IS(mem(t, P_SS + 0xffe, 2), 0x77);
	is_v86_frame(t, false, (uint32_t)mem(t, P_ESP0 - 36, 4), 0x23202,
	    V_ESP - 2);
	check(t, "SDM 3 20.2.2: segments are 16 * selector, limit ffff, DPL 3");
	v86(t, CODE16("mov ax, 0x1000\nmov ds, ax\nmov al, [0x5678]\n"
		      "mov bx, 0x6000\npush bx\npop es\nmov es:[2], bl\n"
		      "call 0x9000:0x40\njmp .\n" STOP), 3);
	put(t, T_HAND + 0x40, CODE16("mov cx, cs\nmov bp, sp\nmov edx, [bp]\n"
				     STOP));
	set_mem(t, 0x15678, 1, 0x42);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX) & 0xff, 0x42);
	IS(mem(t, 0x60002, 1), 0);
	IS(get(t, VM_REG_RCX), HI | 0x9000);
	IS(get(t, VM_REG_RDX) >> 16, 0x8000);
	IS(base(t, VM_SEG_CS), 0x90000);
	IS(base(t, VM_SEG_ES), 0x60000);
	IS(get(t, VM_REG_RFLAGS), 0x23202);
	check(t, "SDM 2 IRET: back to V86 from the monitor");
	v86(t, CODE16("int3\nmov bx, ds\ninc cx\n" STOP), 3);
	gate(t, V_BP, T_HAND, 0xee); /* IRETD */
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), HI | 0xa000);
	IS(get(t, VM_REG_RCX), HI | 1);
	IS(get(t, VM_REG_RFLAGS) & (FL_VM | 0x3202), 0x23202);
	IS(get(t, VM_REG_RSP), V_ESP);
}

static void
v86_sensitive(struct t *t)
{
	for (unsigned iopl = 0; iopl < 3; iopl++) {
		V86_GP("cli", iopl);
		V86_GP("sti", iopl);
		V86_GP("pushf", iopl);
		V86_GP("popf", iopl);
		V86_GP("pushfd", iopl);
		V86_GP("popfd", iopl);
		V86_GP("int 0x60", iopl);
		V86_GP(".byte 0xcd, 3", iopl); /* not INT3 */
		V86_GP("iret", iopl);
		V86_GP(".byte 0x66, 0xcf", iopl);
	}
	for (unsigned iopl = 0; iopl < 4; iopl += 3) {
		V86_GP("hlt", iopl);
		V86_GP("mov eax, cr0", iopl);
		V86_GP("mov cr0, eax", iopl);
		V86_GP("mov eax, dr7", iopl);
		V86_GP("lgdt [0x10]", iopl);
		V86_GP("lidt [0x10]", iopl);
		V86_GP("lmsw ax", iopl);
		V86_GP("clts", iopl);
		V86_GP("rdmsr", iopl);
		V86_GP("wbinvd", iopl);
		V86_GP("invlpg [0x10]", iopl);
	}
	check(t, "SDM 3 20.2.7: CLI, STI, PUSHF, POPF with IOPL 3");
	v86(t, CODE16("pushf\npop ax\ncli\npushf\npop bx\nsti\npushfd\n"
		      "pop ecx\npush 0x0ad7\npopf\npushf\npop dx\n"
		      "pushd 0x00200ed7\npopfd\npushfd\npop esi\n" STOP),
	    3);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x3202);
	IS(get(t, VM_REG_RBX), HI | 0x3002);
	IS(get(t, VM_REG_RCX), 0x3202);
	IS(get(t, VM_REG_RDX), HI | 0x3ad7);
	IS(get(t, VM_REG_RSI), 0x203ed7);
	check(t, "SDM 2 IRET: in V86 with IOPL 3, 16 and 32 bits, keeps IOPL");
	v86(t, CODE16("push 0x0297\npush 0x9000\npush 0x40\niret\n"), 3);
	put(t, T_HAND + 0x40, CODE16("pushf\npop ax\nmov bx, cs\n"
		"pushd 0x00200203\npushd 0x9000\npushd 0x80\n"
		".byte 0x66, 0xcf\n"));
	put(t, T_HAND + 0x80, CODE16("pushfd\npop ecx\nmov dx, sp\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x3297);
	IS(get(t, VM_REG_RBX), HI | 0x9000);
	IS(get(t, VM_REG_RCX), 0x203203);
	IS(get(t, VM_REG_RDX), HI | 0x1000);
	IS(get(t, VM_REG_RFLAGS) & FL_VM, FL_VM);
	check(t, "SDM 3 20.3.3: INT n with IOPL 3 goes to the IDT");
	v86(t, CODE16("int 0x60\n"), 3);
	GO(0x60);
	is_v86_frame(t, false, 2, 0x23202, V_ESP);
	check(t, "SDM 3 20.3.3 (#GP): gate of DPL 0");
	v86(t, CODE16("int 0x60\n"), 3);
	gate(t, 0x60, (uint32_t)GVM_STUBS + 16 * 0x60, 0x8e);
	GO(V_GP);
	IS(mem(t, P_ESP0 - 40, 4), 0x60 * 8 + 2);
	check(t, "SDM 3 20.3.1: INT3, INTO are not sensitive to IOPL");
	v86(t, CODE16("nop\nint3\n"), 0);
	GO(V_BP);
	is_v86_frame(t, false, 2, 0x20202, V_ESP);
	v86(t, CODE16("mov al, 0x7f\ninc al\ninto\n"), 0);
	GO(V_OF);
	is_v86_frame(t, false, 5, 0x20202, V_ESP);
	check(t, "SDM 3 20.3.1: an interrupt gate clears IF, a trap gate not");
	v86(t, CODE16("int3\n"), 0);
	GO(V_BP);
	IS(get(t, VM_REG_RFLAGS) & FL_IF, 0);
	v86(t, CODE16("int3\n"), 0);
	gate(t, V_BP, (uint32_t)GVM_STUBS + 16 * V_BP, 0xef);
	GO(V_BP);
	IS(get(t, VM_REG_RFLAGS) & FL_IF, FL_IF);
}

static void
v86_faults(struct t *t)
{
	check(t, "SDM 3 20.3.1: #DE and #UD from V86, no error code");
	v86(t, CODE16("nop\ndiv cx\n"), 0);
	set(t, VM_REG_RCX, 0);
	GO(V_DE);
	is_v86_frame(t, false, 1, 0x20202, V_ESP);
	v86(t, CODE16("nop\nud2\n"), 0);
	GO(V_UD);
	is_v86_frame(t, false, 1, 0x20202, V_ESP);
	check(t, "SDM 3 20.2.7 (#UD): ARPL, SLDT, STR, LLDT, LTR, LAR, VERR");
#define UD(bytes)                                                              \
	do {                                                                   \
		v86(t, CODE16(".byte " bytes "\n" STOP), 3);                   \
		is(t, bytes, (uint64_t)go(t), V_UD);                           \
	} while (0)
	UD("0x63, 0xc1");
	UD("0x0f, 0x00, 0xc0");
	UD("0x0f, 0x00, 0xc8");
	UD("0x0f, 0x00, 0xd0");
	UD("0x0f, 0x00, 0xd8");
	UD("0x0f, 0x00, 0xe0");
	UD("0x0f, 0x02, 0xc1");
	UD("0xc5, 0xf8, 0x57, 0xc0"); /* VEX */
	check(t, "SDM 3 20.3.1 (#GP): the handler must be of ring 0");
	v86(t, CODE16("int 0x60\n"), 3);
	set_gdt(t, 0x78, 0x00cffb000000ffff); /* ring 3 */
	set_mem(t, P_IDT + 8 * 0x60, 8,
	    (GVM_STUBS + 16 * 0x60) | 0x78ull << 16 | 0xeeull << 40);
	GO(V_GP);
	IS(mem(t, P_ESP0 - 40, 4), 0x78);
	check(t, "SDM 1 19.5.2: V86 ports by the bitmap, whatever IOPL is");
	for (unsigned iopl = 0; iopl < 4; iopl += 3) {
		v86(t, CODE16("nop\nout 0x42, al\n"), iopl);
		GO(V_GP);
		is_v86_frame(t, true, 1, FL_VM | iopl << 12 | 0x202, V_ESP);
		v86(t, CODE16("mov dx, 0xff\nin ax, dx\n"), iopl);
		GO(V_GP);
		/* Bit 100 is beyond the 33 bytes' zeros: see prot(). */
		v86(t, CODE16("mov dx, 0x100\nout dx, al\n" STOP), iopl);
		GO(GO_STOP);
		IS(t->g->nio, 1);
		IS(t->g->io[0].addr, 0x100);
	}
	check(t, "SDM 3 20.3.1: a hardware interrupt leaves V86");
	v86(t, CODE16("1:jmp 1b\n"), 0);
	(void)vcpu_set_apic(t->g->cpu, 0xf0, 0x1ff);
	IS(vm_msi(t->g->vm, 0xfee00000, 0x61), 0);
	GO(0x61);
	is_v86_frame(t, false, 0, 0x20202, V_ESP);
	(void)vcpu_set_apic(t->g->cpu, 0xb0, 0);
	check(t, "SDM 3 4.6, 20.2.1: V86 is CPL 3 for paging");
	v86(t, CODE16("mov al, [0x10]\nmov bx, 0x1111\nmov fs, bx\n"
		      "mov al, fs:[0]\n"), 3);
	/* Supervisor pages all over but for code, data and stack. */
	set(t, VM_REG_CR4, 0x620);
	{
		uint64_t pd = gvm_alloc(t->g, 3), pt = pd + 4096;
		uint64_t pdpt = pd + 8192;

		for (uint64_t i = 0; i < 512; i++) {
			bool user = (i >= 0x70 && i < 0x72) ||
			    (i >= 0x80 && i < 0x82) || i == 0xa0;

			set_mem(t, pt + 8 * i, 8, i << 12 | PTE_P | PTE_W |
				(user ? PTE_U : 0));
		}
		memset(gvm_ptr(t->g, pd), 0, 4096);
		memset(gvm_ptr(t->g, pdpt), 0, 4096);
		set_mem(t, pd, 8, pt | PTE_P | PTE_W | PTE_U);
		set_mem(t, pdpt, 8, pd | PTE_P);
		set(t, VM_REG_CR3, pdpt);
	}
	/* PG by the guest: CR3's pointers are loaded then. */
	put(t, T_HAND, CODE32("mov eax, cr0\nor eax, 0x80000000\n"
			      "mov cr0, eax\niretd\n"));
	GO(V_PF);
	IS(mem(t, P_ESP0 - 40, 4), 5);
	IS(get(t, VM_REG_CR2), 0x11110);
}

const struct group_fn group[] = { { "code16", code16 }, { "gates", gates },
	{ "pointers", pointers }, { "bcd", bcd }, { "v86_enter", v86_enter },
	{ "v86_sensitive", v86_sensitive }, { "v86_faults", v86_faults },
	{ NULL, NULL } };
