/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's own: console, tables, the context of a check. */
#include "kernel.h"

#include <stdarg.h>

#define COM1 0x3f8

extern uint64_t gdt[64], cur;
extern const uint8_t stubs64[], stubs32[], stubs16[];
void go64(struct ctx *);
void go_legacy(struct ctx *);
void kmain(const uint32_t *info);
void klost(unsigned vec, uint64_t err, uint64_t rip, uint64_t cr2);
extern const uint8_t gdtr[], idtr64[];

struct ctx c;
uint64_t idt64[512] __attribute__((aligned(16)));
uint64_t idt32[256] __attribute__((aligned(16)));
uint64_t arena_pt[512] __attribute__((aligned(4096)));
static uint8_t arena[NPAGES][4096] __attribute__((aligned(4096)));
static uint32_t tss64[64] __attribute__((aligned(128)));
static uint32_t tss32[26 + 2048 + 1] __attribute__((aligned(128)));
static uint8_t ist[7][2048] __attribute__((aligned(16)));
static uint8_t rsp0[4096] __attribute__((aligned(16)));

static struct {
	char name[128];
	bool open, failed;
	unsigned nchecks, nfailed;
} now;

/* ---- console ---- */

uint8_t
inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "d"(port));
	return (v);
}

void
outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "d"(port));
}

static void
put_char(char ch)
{
	while ((inb(COM1 + 5) & 0x20) == 0)
		;
	outb(COM1, (uint8_t)ch);
}

static char *
put_number(char *p, char *end, uint64_t v, unsigned base)
{
	char digits[24];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v != 0);
	while (n != 0 && p < end)
		*p++ = digits[--n];
	return (p);
}

/* %s %u %x %lu %lx: nothing else is used here. */
static void
format(char *p, size_t len, const char *fmt, va_list ap)
{
	char *end = p + len - 1;
	const char *s;
	bool wide;

	for (; *fmt != '\0' && p < end; fmt++) {
		if (*fmt != '%') {
			*p++ = *fmt;
			continue;
		}
		wide = *++fmt == 'l';
		if (wide)
			fmt++;
		if (*fmt == 's') {
			for (s = va_arg(ap, const char *);
			     *s != '\0' && p < end;)
				*p++ = *s++;
			continue;
		}
		p = put_number(p, end,
		    wide ? va_arg(ap, uint64_t) : va_arg(ap, unsigned),
		    *fmt == 'x' ? 16 : 10);
	}
	*p = '\0';
}

static void __attribute__((format(printf, 1, 2)))
print(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	format(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (const char *s = line; *s != '\0'; s++)
		put_char(*s);
}

static void
end_machine(void)
{
	outb(0xcf9, 2);
	outb(0xcf9, 6);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void
klost(unsigned vec, uint64_t err, uint64_t rip, uint64_t cr2)
{
	print("LOST vector %u error %lx rip %lx cr2 %lx in: %s\n", vec, err,
	    rip, cr2, now.name);
	end_machine();
}

/* ---- checks ---- */

static void
done(void)
{
	if (!now.open)
		return;
	print("%s %s\n", now.failed ? "FAIL" : "ok", now.name);
	now.nchecks++;
	now.nfailed += now.failed;
	now.open = false;
}

void
check(const char *fmt, ...)
{
	va_list ap;

	done();
	va_start(ap, fmt);
	format(now.name, sizeof(now.name), fmt, ap);
	va_end(ap);
	now.open = true;
	now.failed = false;
}

void
is(const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return;
	now.failed = true;
	print("\t%s is 0x%lx, not 0x%lx\n", what, got, want);
}

int
go(void)
{
	if (c.mode == M_LONG)
		go64(&c);
	else
		go_legacy(&c);
	return ((int)c.vec);
}

void
faults(unsigned vec, uint64_t err, uint64_t off)
{
	uint64_t base = c.rip;

	GO(vec);
	is("error code", c.err, err);
	is("RIP", c.rip - base, off);
}

void
pagefault(uint64_t err, uint64_t cr2)
{
	GO(V_PF);
	is("error code", c.err, err);
	is("CR2", c.cr2, cr2);
}

/* Under a hypervisor that runs on TCG the command line has to say it: "tcg". */
static bool on_tcg;

void
take_cmdline(const uint32_t *info)
{
	/* struct hvm_start_info: cmdline_paddr. */
	const char *s = (const char *)(uintptr_t)info[6];

	on_tcg = info[0] == 0x336ec578 && s != NULL && s[0] == 't' &&
	    s[1] == 'c' && s[2] == 'g';
}

bool
loses_tcg(void)
{
	uint32_t r[4];

	cpuid(0x40000000, 0, r);
	if (r[1] != 0x54474354 && !on_tcg)
		return (false);
	is("run", 0, 1);
	return (true);
}

/* ---- tables ---- */

void
copy(void *to, const void *from, size_t len)
{
	__asm__ volatile("rep movsb"
			 : "+D"(to), "+S"(from), "+c"(len)::"memory");
}

void
zero(void *to, size_t len)
{
	__asm__ volatile("rep stosb"
			 : "+D"(to), "+c"(len)
			 : "a"(0)
			 : "memory");
}

uint64_t *
pte(uint64_t lin)
{
	return (&arena_pt[(lin - A_BASE) >> 12]);
}

uint64_t
page(unsigned n)
{
	return ((uint64_t)arena[n]);
}

void
map(uint64_t lin, unsigned n, uint64_t flags)
{
	*pte(lin) = page(n) | flags;
	__asm__ volatile("invlpg (%0)" ::"r"(lin) : "memory");
}

void *
alias(uint64_t lin)
{
	return ((uint8_t *)(*pte(lin) & 0xffffffff000) + (lin & 0xfff));
}

/* Below A_BASE and in the arena, which may not be mapped for us. */
static uint8_t *
byte_at(uint64_t lin)
{
	return (lin >= A_BASE && lin < A_END ? alias(lin) : (uint8_t *)lin);
}

uint64_t
peek(uint64_t lin, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)*(volatile uint8_t *)byte_at(lin + i) << i * 8;
	return (v);
}

void
poke(uint64_t lin, unsigned size, uint64_t v)
{
	for (unsigned i = 0; i < size; i++)
		*(volatile uint8_t *)byte_at(lin + i) = (uint8_t)(v >> i * 8);
}

uint64_t
stub(unsigned vec)
{
	return ((uint64_t)(stubs64 + vec * 16));
}

void
gate(unsigned vec, uint64_t to, unsigned n, unsigned dpl, unsigned type)
{
	idt64[vec * 2] = (to & 0xffff) | S_CODE64 << 16 | (uint64_t)n << 32 |
	    (uint64_t)(0x80 | dpl << 5 | type) << 40 |
	    (to >> 16 & 0xffff) << 48;
	idt64[vec * 2 + 1] = to >> 32;
}

void
set_gdt(unsigned sel, uint64_t desc)
{
	gdt[sel / 8] = desc;
}

uint64_t
get_gdt(unsigned sel)
{
	return (gdt[sel / 8]);
}

void
set_rsp0(uint64_t rsp)
{
	tss64[1] = (uint32_t)rsp;
	tss64[2] = (uint32_t)(rsp >> 32);
	tss32[1] = (uint32_t)rsp;
	tss32[2] = S_DATA;
}

void
set_ist(unsigned n, uint64_t rsp)
{
	tss64[7 + n * 2] = (uint32_t)rsp;
	tss64[8 + n * 2] = (uint32_t)(rsp >> 32);
}

static void
set_tss(unsigned sel, const void *p, unsigned limit, unsigned type)
{
	uint64_t base = (uint64_t)p;

	gdt[sel / 8] = (limit & 0xffff) | (base & 0xffffff) << 16 |
	    (uint64_t)type << 40 | (base >> 24 & 0xff) << 56;
	gdt[sel / 8 + 1] = 0;
}

static void
init_tables(void)
{
	uint64_t p;

	for (unsigned i = 0; i < 256; i++) {
		gate(i, stub(i), 1, i == 3 || i == 4 || i == 0x80 ? 3 : 0, 14);
		p = (uint64_t)(stubs32 + i * 16);
		idt32[i] = (p & 0xffff) | S_CODE32 << 16 |
		    (uint64_t)(i == 3 || i == 4 || i == 0x80 ? 0xee : 0x8e)
			<< 40 |
		    (p >> 16) << 48;
		p = (uint64_t)(stubs16 + i * 8);
		*(volatile uint32_t *)(4096 * 0 + i * 4ul) = (uint32_t)p;
	}
	zero(&gdt[S_FREE / 8], (64 - S_FREE / 8) * 8);
	zero(tss64, sizeof(tss64));
	zero(tss32, sizeof(tss32));
	for (unsigned i = 0; i < 7; i++)
		set_ist(i + 1, (uint64_t)ist[i] + sizeof(ist[i]));
	set_rsp0((uint64_t)rsp0 + sizeof(rsp0));
	tss64[25] = 104 << 16; /* no I/O bitmap */
	tss32[25] = 104 << 16;
	tss32[26 + 2048] = 0xff;
	set_tss(S_TSS64, tss64, 103, 0x89);
	/* With one: all zero, it permits all ports. */
	set_tss(S_TSS32, tss32, 104 + 8192, 0x89);
}

static void
init_pages(void)
{
	static const struct {
		uint64_t lin, flags;
	} areas[] = { { A_CODE, PTE_P | PTE_W }, { A_UCODE, 7 },
		{ A_DATA, PTE_P | PTE_W }, { A_UDATA, 7 },
		{ A_STACK - 0x4000, PTE_P | PTE_W }, { A_USTACK - 0x4000, 7 } };

	zero(arena_pt, sizeof(arena_pt));
	for (unsigned i = 0; i < 6; i++)
		for (unsigned j = 0; j < 4; j++)
			*pte(areas[i].lin + j * 4096) =
			    page(i * 4 + j) | areas[i].flags;
}

void
fresh(void)
{
	set_cr0(CR0_DEFAULT);
	set_cr4(CR4_DEFAULT);
	wrmsr(EFER, 0xd01);
	init_tables();
	init_pages();
	__asm__ volatile("lgdt (%0); lidt (%1); ltr %w2; lldt %w3"
			 ::"r"(gdtr), "r"(idtr64), "r"(S_TSS64), "r"(0)
			 : "memory");
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::
			     : "rax", "memory");
	__asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul));
	__asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ul));
	zero(&c, sizeof(c));
	c.rflags = 2;
}

/* ---- ways in ---- */

void
put(uint64_t lin, struct code code)
{
	for (size_t i = 0; i < code.len; i++)
		*byte_at(lin + i) = code.p[i];
}

static void
begin(struct code code, uint64_t at, uint64_t cs, uint64_t ss, uint64_t sp)
{
	fresh();
	put(at, code);
	c.rip = at;
	c.cs = cs;
	c.ss = c.ds = c.es = ss;
	c.rsp = sp;
	c.rsi = c.rdi = A_DATA;
}

void
kernel(struct code code)
{
	begin(code, A_CODE, S_CODE64, S_DATA, A_STACK);
}

void
kernel32(struct code code)
{
	begin(code, A_CODE, S_CODE32, S_DATA, A_STACK);
}

void
user(struct code code)
{
	begin(code, A_UCODE, S_UCODE64, S_UDATA, A_USTACK);
	c.rsi = c.rdi = A_UDATA;
}

void
user32(struct code code)
{
	begin(code, A_UCODE, S_UCODE32, S_UDATA, A_USTACK);
	c.rsi = c.rdi = A_UDATA;
}

void
prot(struct code code, unsigned ring)
{
	begin(code, P_CODE, ring ? S_UCODE32 : S_CODE32,
	    ring ? S_UDATA : S_DATA, P_STACK);
	c.rsi = c.rdi = P_DATA;
	c.mode = M_PROT;
	c.cr0 = 0x33;
}

void
real(struct code code)
{
	begin(code, R_CS * 16, R_CS, R_DS, 0xf000);
	c.rip = 0;
	c.fs = c.gs = R_DS;
	c.ss = R_SS;
	c.rsi = c.rdi = 0;
	c.mode = M_REAL;
}

void
v86(struct code code)
{
	real(code);
	c.rflags = FL_VM | FL_IOPL3 | 2;
	c.cr0 = 0x33;
	c.mode = M_PROT;
}

/* ---- registers ---- */

void
cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(sub));
}

bool
has(uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t r[4];

	cpuid(leaf & 0xf0000000, 0, r);
	if (leaf > r[0])
		return (false);
	cpuid(leaf, 0, r);
	return ((r[reg] >> bit) & 1);
}

bool
is_amd(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	return (r[1] == 0x68747541 || r[1] == 0x6f677948);
}

uint64_t
rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return ((uint64_t)hi << 32 | lo);
}

void
wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"a"((uint32_t)v),
			 "d"((uint32_t)(v >> 32)), "c"(msr)
			 : "memory");
}

int
try_rdmsr(uint32_t msr, uint64_t *v)
{
	int vec;

	K("rdmsr\n");
	c.rcx = msr;
	vec = go();
	*v = c.rdx << 32 | c.rax;
	return (vec);
}

int
try_wrmsr(uint32_t msr, uint64_t v)
{
	K("wrmsr\n");
	c.rcx = msr;
	c.rax = v & 0xffffffff;
	c.rdx = v >> 32;
	return (go());
}

uint64_t
get_cr4(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return (v);
}

void
set_cr0(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr0" ::"r"(v) : "memory");
}

void
set_cr4(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}

void
kmain(const uint32_t *info)
{
	take_cmdline(info);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	init_tables();
	fresh();
	print("kernel: begins\n");
	modes();
	segments();
	tasks();
	paging();
	exceptions();
	interrupts();
	system_calls();
	fpu();
	instructions();
	strings();
	selfmod();
	apic();
	idents();
	debug();
	done();
	print("kernel: %u checks, %u failed\n", now.nchecks, now.nfailed);
	end_machine();
}
