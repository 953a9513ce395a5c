/* SPDX-License-Identifier: BSD-2-Clause */
/* LOCK, undefined opcodes, atomic instructions, odd operands. */
#include "kernel.h"

/* Bytes at CPL 3 that have to be #UD. */
static void
undefined(const char *name, uint64_t bytes, unsigned len)
{
	check("SDM 2 %s: #UD", name);
	U("nop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\n");
	poke(A_UCODE, len, bytes);
	faults(V_UD, 0, 0);
}

static void
locks(void)
{
	static const struct {
		const char *name;
		uint64_t bytes;
		unsigned len;
	} bad[] = { { "LOCK MOV to memory", 0x0689f0, 3 },
		{ "LOCK CMP", 0x0639f0, 3 }, { "LOCK NOP", 0x90f0, 2 },
		{ "LOCK TEST", 0x0685f0, 3 }, { "LOCK PUSH", 0x50f0, 2 },
		{ "LOCK ADD from memory", 0x0603f0, 3 },
		{ "LOCK LEA", 0x068df0, 3 }, { "LOCK MUL", 0x26f7f0, 3 },
		{ "LOCK SHL", 0x26d1f0, 3 }, { "LOCK BT", 0x06a30ff0, 4 },
		{ "LOCK JMP", 0x00ebf0, 3 }, { "LOCK CPUID", 0xa20ff0, 3 },
		{ "LOCK IMUL", 0x06af0ff0, 4 }, { "LOCK MOVSB", 0xa4f0, 2 },
		{ "LOCK XCHG of registers", 0xc087f0, 3 },
		{ "LOCK CMPXCHG of registers", 0xc0b10ff0, 4 },
		{ "LOCK FLD1", 0xe8d9f0, 3 },
		{ "LOCK MOVAPS", 0xc1280ff0, 4 } };
	static const struct {
		const char *name;
		uint64_t bytes;
		unsigned len;
		uint32_t want;
	} good[] = { { "ADD", 0x0601f0, 3, 0x15 }, { "OR", 0x0609f0, 3, 0x15 },
		{ "AND", 0x0621f0, 3, 0 }, { "XOR", 0x0631f0, 3, 0x15 },
		{ "SUB", 0x0629f0, 3, 0xb }, { "INC", 0x06fff0, 3, 0x11 },
		{ "DEC", 0x0efff0, 3, 0xf }, { "NOT", 0x16f7f0, 3, 0xffffffef },
		{ "NEG", 0x1ef7f0, 3, 0xfffffff0 },
		{ "XADD", 0x06c10ff0, 4, 0x15 },
		{ "XCHG", 0x0687f0, 3, 5 }, { "BTS", 0x06ab0ff0, 4, 0x30 },
		{ "BTR", 0x06b30ff0, 4, 0x10 },
		{ "BTC", 0x06bb0ff0, 4, 0x30 } };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		undefined(bad[i].name, bad[i].bytes, bad[i].len);
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		check("SDM 2 LOCK %s: allowed, over two lines", good[i].name);
		U("nop\nnop\nnop\nnop\nnop\n");
		poke(A_UCODE, good[i].len, good[i].bytes);
		c.rsi = A_UDATA + 0x3e;
		c.rax = 5;
		poke(A_UDATA + 0x3e, 4, 0x10);
		GO(V_STOP);
		IS(peek(A_UDATA + 0x3e, 4), good[i].want);
	}
	check("SDM 3A 8.1.2 LOCK XADD over two pages");
	U("lock xadd [rsi], eax\n");
	c.rsi = A_UDATA + 0xffe;
	c.rax = 5;
	poke(c.rsi, 4, 0x0fffffff);
	GO(V_STOP);
	IS(c.rax, 0x0fffffff);
	IS(peek(A_UDATA + 0xffe, 4), 0x10000004);
}

static void
opcodes(void)
{
	undefined("0F 04", 0x040f, 2);
	undefined("0F 0A", 0x0a0f, 2);
	undefined("0F 24", 0x240f, 2);
	undefined("0F 26", 0x260f, 2);
	undefined("0F 36", 0x360f, 2);
	undefined("0F 39", 0x390f, 2);
	undefined("0F A6 C1", 0xc1a60f, 3);
	undefined("0F C7 /0", 0x06c70f, 3);
	undefined("0F C7 /1 of a register", 0xc8c70f, 3);
	undefined("0F BA /0", 0x00c0ba0f, 4);
	undefined("FE /2", 0xd0fe, 2);
	undefined("FF /7", 0xf8ff, 2);
	undefined("FF /3 of a register", 0xd8ff, 2);
	undefined("FF /5 of a register", 0xe8ff, 2);
	undefined("8F /1", 0xc88f, 2);
	undefined("C6 /1", 0x00c8c6, 3);
	undefined("LEA of a register", 0xc08d, 2);
	undefined("LDDQU of a register", 0xc0f00ff2, 4);
	undefined("0F 01 C0", 0xc0010f, 3);
	undefined("MOVNTI of a register", 0xc0c30f, 3);
	undefined("RSM outside SMM", 0xaa0f, 2);
	undefined("GETSEC without SMX", 0x370f, 2);
	undefined("VMXON without VMX", 0x36c70ff3, 4);
	undefined("VMCALL without a monitor", 0xc1010f, 3);
	undefined("REX VEX", 0xc077f8c540, 5);
	undefined("66 VEX", 0x77f8c566, 4);
	if (!has(0x80000001, 3, 31))
		undefined("0F 0F: 3DNow!", 0x9ec00f0f, 4);
	check("SDM 2 NOP: 0F 1F with an operand touches nothing");
	U("nop dword ptr [rdi]\n");
	c.rdi = A_FREE;
	GO(V_STOP);
	check("SDM 2 PREFETCHT0: of a page that is not there");
	U("prefetcht0 [rdi]\nprefetchnta [rdi]\n");
	c.rdi = A_FREE;
	GO(V_STOP);
	check("SDM 2 ENDBR64: a NOP without CET");
	U("endbr64\n");
	GO(V_STOP);
	check("SDM 2 XCHG: 90 with REX.B is no NOP");
	U(".byte 0x49, 0x90\n");
	c.rax = 1;
	c.r8 = 2;
	GO(V_STOP);
	IS(c.rax, 2);
	IS(c.r8, 1);
	check("SDM 2 MOVSXD and MOVZX");
	U("movsxd rax, ebx\nmovzx ecx, bl\nmovsx edx, bl\n");
	c.rbx = 0x80000080;
	GO(V_STOP);
	IS(c.rax, 0xffffffff80000080);
	IS(c.rcx, 0x80);
	IS(c.rdx, 0xffffff80);
}

static void
atomics(void)
{
	check("SDM 2 CMPXCHG8B: equal");
	U("lock cmpxchg8b [rsi]\n");
	c.rax = 0x11111111;
	c.rdx = 0x22222222;
	c.rbx = 0x33333333;
	c.rcx = 0x44444444;
	poke(A_UDATA, 8, 0x2222222211111111);
	GO(V_STOP);
	IS(peek(A_UDATA, 8), 0x4444444433333333);
	IS(c.rflags & FL_ZF, FL_ZF);
	check("SDM 2 CMPXCHG8B: not equal");
	U("cmpxchg8b [rsi]\n");
	c.rax = c.rdx = ~0ull;
	poke(A_UDATA, 8, 0x2222222211111111);
	GO(V_STOP);
	IS(c.rax, 0x11111111);
	IS(c.rdx, 0x22222222);
	IS(c.rflags & FL_ZF, 0);
	check("SDM 2 CMPXCHG16B: equal");
	U("lock cmpxchg16b [rsi]\n");
	c.rax = 1;
	c.rdx = 2;
	c.rbx = 3;
	c.rcx = 4;
	poke(A_UDATA, 8, 1);
	poke(A_UDATA + 8, 8, 2);
	GO(V_STOP);
	IS(peek(A_UDATA, 8), 3);
	IS(peek(A_UDATA + 8, 8), 4);
	check("SDM 2 CMPXCHG16B: misaligned is #GP");
	U("cmpxchg16b [rsi + 8]\n");
	faults(V_GP, 0, 0);
	check("SDM 2 CMPXCHG: the accumulator is loaded on failure");
	U("cmpxchg [rsi], ecx\n");
	c.rax = 1;
	poke(A_UDATA, 4, 7);
	GO(V_STOP);
	IS(c.rax, 7);
	IS(peek(A_UDATA, 4), 7);
	check("SDM 2 BTS: a bit far from the operand");
	U("bts [rsi], rcx\n");
	c.rcx = 8 * 100 + 3;
	poke(A_UDATA + 100, 1, 0);
	GO(V_STOP);
	IS(peek(A_UDATA + 100, 1), 8);
	check("SDM 2 BT: a negative bit offset");
	U("bt [rsi], rcx\n");
	c.rsi = A_UDATA + 64;
	c.rcx = -1ll;
	poke(A_UDATA + 63, 1, 0x80);
	GO(V_STOP);
	IS(c.rflags & FL_CF, FL_CF);
	check("SDM 2 POP: [RSP] uses the new RSP");
	U("push 5\npush 6\npop qword ptr [rsp]\npop rax\n");
	GO(V_STOP);
	IS(c.rax, 6);
}

static void
operands(void)
{
	check("SDM 2 PUSH: RSP pushes the old value");
	U("push rsp\npop rax\n");
	GO(V_STOP);
	IS(c.rax, A_USTACK);
	check("SDM 2 ENTER: with nesting");
	U("mov rbp, rsp\nenter 16, 1\nmov rax, [rbp]\nmov rbx, rsp\nleave\n");
	GO(V_STOP);
	IS(c.rax, A_USTACK);
	IS(c.rbx, A_USTACK - 32);
	IS(c.rsp, A_USTACK);
	check("SDM 2 RET: n bytes");
	U("push 9\npush 8\ncall 1f\njmp 2f\n1: ret 8\n2: pop rax\n");
	GO(V_STOP);
	IS(c.rax, 9);
	check("SDM 2 SHLD: a count of 0 changes no flag");
	U("stc\nshld eax, ebx, 32\n");
	GO(V_STOP);
	IS(c.rflags & FL_CF, FL_CF);
	check("SDM 2 XLAT");
	U("xlatb\n");
	c.rbx = A_UDATA;
	c.rax = 0x105;
	poke(A_UDATA + 5, 1, 0x77);
	GO(V_STOP);
	IS(c.rax, 0x177);
	check("SDM 2 CMPXCHG: 32 bits not equal leaves RAX's half cleared");
	U("cmpxchg ecx, ebx\n");
	c.rax = 0xffffffff00000001;
	c.rcx = 2;
	GO(V_STOP);
	IS(c.rax, 2);
	check("SDM 2 BSF: of 0 sets ZF");
	U("xor ecx, ecx\nbsf eax, ecx\n");
	GO(V_STOP);
	IS(c.rflags & FL_ZF, FL_ZF);
	check("SDM 2 LAHF and SAHF");
	U("mov ah, 0xd7\nsahf\nlahf\n");
	GO(V_STOP);
	IS(c.rax, 0xd700);
	check("SDM 2 RDRAND: CF, or #UD without it");
	U("mov ecx, 1000\n1: rdrand rax\njc 2f\nloop 1b\n2:\n");
	GO(has(1, 2, 30) ? V_STOP : V_UD);
	if (has(1, 2, 30))
		IS(c.rflags & FL_CF, FL_CF);
	check("SDM 2 MOVBE: or #UD without it");
	U("mov eax, 0x11223344\nmovbe [rsi], eax\n");
	GO(has(1, 2, 22) ? V_STOP : V_UD);
	if (has(1, 2, 22))
		IS(peek(A_UDATA, 4), 0x44332211);
	check("SDM 2 CRC32: or #UD without SSE4.2");
	U("xor eax, eax\nmov ecx, 1\ncrc32 eax, ecx\n");
	GO(has(1, 2, 20) ? V_STOP : V_UD);
	if (has(1, 2, 20))
		IS(c.rax, 0xdd45aab8);
	check("SDM 2 MONITOR: as CPUID says");
	K("mov rax, rsi\nxor ecx, ecx\nxor edx, edx\nmonitor\n");
	GO(has(1, 2, 3) ? V_STOP : V_UD);
	check("SDM 2 PAUSE: changes nothing");
	U("pause\n");
	GO(V_STOP);
}

void
instructions(void)
{
	locks();
	opcodes();
	atomics();
	operands();
}
