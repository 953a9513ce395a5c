/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel without an operating system: finds pci-testdev (its header is
 * src/chipset/testdev.h) and uses it as a driver would, with the PIC and with
 * the IOAPIC. Says on COM1 what works and turns the machine off; what does
 * not work is said, too, and ends in a reset. 32-bit code, started by PVH.
 */
#include <stdint.h>

#define VENDOR_DEVICE 0x7e57fb5du
#define MAGIC         0x5659484cu
#define IOAPIC        0xfec00000u
#define LAPIC         0xfee00000u
#define ECAM          0xe0000000u
#define VEC_PIC       0x20u
#define VEC_IOAPIC    0x61u
#define VEC_MSI       0x70u /* to 0x73 */
#define VEC_MSIX      0x80u

__asm__(".section .note.pvh,\"a\",@note\n"
	"	.long 4, 4, 18\n" /* XEN_ELFNOTE_PHYS32_ENTRY */
	"	.asciz \"Xen\"\n"
	"	.long _start\n"
	"	.text\n"
	"	.globl _start\n"
	"_start:	cli\n"
	"	mov $stack + 16384, %esp\n"
	"	lgdt gdtr\n"
	"	ljmp $8, $1f\n"
	"1:	mov $16, %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	jmp kmain\n"
	/* A stub of 16 bytes for each vector. */
	"	.balign 16\n"
	"stubs:	.set i, 0\n"
	"	.rept 256\n"
	"	push $i\n"
	"	jmp trap\n"
	"	.balign 16\n"
	"	.set i, i + 1\n"
	"	.endr\n"
	"trap:	pusha\n"
	"	mov 32(%esp), %eax\n"
	"	push %eax\n"
	"	call on_trap\n"
	"	add $4, %esp\n"
	"	popa\n"
	"	add $4, %esp\n"
	"	iret\n"
	"	.data\n"
	"	.balign 8\n"
	"gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
	"gdtr:	.word 23\n"
	"	.long gdt\n"
	"	.bss\n"
	"	.balign 16\n"
	"stack:	.skip 16384\n"
	"	.text\n");

extern const uint8_t stubs[];
static uint64_t idt[256];
static volatile unsigned hits[256];
static uint32_t bdf; /* as in CONFIG_ADDRESS */
static uint32_t io, regs;
static unsigned msi, msix;

static void
outb(uint16_t port, uint8_t val)
{
	__asm__ volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}
static void
outw(uint16_t port, uint16_t val)
{
	__asm__ volatile("outw %0, %1" : : "a"(val), "Nd"(port));
}
static void
outl(uint16_t port, uint32_t val)
{
	__asm__ volatile("outl %0, %1" : : "a"(val), "Nd"(port));
}
static uint8_t
inb(uint16_t port)
{
	uint8_t val;

	__asm__ volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return (val);
}
static uint32_t
inl(uint16_t port)
{
	uint32_t val;

	__asm__ volatile("inl %1, %0" : "=a"(val) : "Nd"(port));
	return (val);
}
static uint32_t
rd(uint32_t addr)
{
	return (*(volatile uint32_t *)addr);
}
static void
wr(uint32_t addr, uint32_t val)
{
	*(volatile uint32_t *)addr = val;
}

static void
say(const char *s)
{
	for (; *s != '\0'; s++) {
		while ((inb(0x3fd) & 0x20) == 0)
			;
		outb(0x3f8, (uint8_t)*s);
	}
}

static void
check(int right, const char *what)
{
	say(what);
	say(right ? ": ok\r\n" : ": WRONG\r\n");
	if (right)
		return;
	outb(0xcf9, 6);
	for (;;)
		__asm__ volatile("hlt");
}

static uint32_t
cfg_rd(unsigned off)
{
	outl(0xcf8, 0x80000000u | bdf | off);
	return (inl(0xcfc));
}
static void
cfg_wr(unsigned off, uint32_t val)
{
	outl(0xcf8, 0x80000000u | bdf | off);
	outl(0xcfc, val);
}

void on_trap(unsigned vec);
void
on_trap(unsigned vec)
{
	hits[vec]++;
	if (vec < 32)
		check(0, "exception");
	/* The interrupt's cause goes before its end is announced. */
	if (vec < VEC_PIC + 16 || vec == VEC_IOAPIC)
		wr(regs + 0x04, 0);
	if (vec < VEC_PIC + 16) {
		outb(0xa0, 0x20);
		outb(0x20, 0x20);
	} else {
		wr(LAPIC + 0xb0, 0);
	}
}

/* Interrupts on, for long enough that whatever is pending comes. */
static void
open(void)
{
	__asm__ volatile("sti; nop; nop; nop; nop; cli");
}

/* Waits for a vector to have come n times; 0: it does not. */
static int
come(unsigned vec, unsigned n)
{
	unsigned i;

	for (i = 0; i < 1000000 && hits[vec] < n; i++)
		open();
	for (i = 0; i < 100; i++)
		open();
	return (hits[vec] == n);
}

static void
set_idt(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint32_t)idt};
	unsigned i;

	for (i = 0; i < 256; i++) {
		uint32_t at = (uint32_t)stubs + 16 * i;

		idt[i] = (uint64_t)(at >> 16) << 48 | 0x8e00ull << 32 |
			 8u << 16 | (at & 0xffff);
	}
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static int
find(void)
{
	uint32_t i, last = 0;

	/* The last of them, if there are several. */
	for (i = 0; i < 256; i++) {
		bdf = i << 8;
		if (cfg_rd(0) == VENDOR_DEVICE)
			last = bdf;
	}
	bdf = last;
	return (last != 0);
}

static unsigned
cap(unsigned id)
{
	unsigned off;

	for (off = cfg_rd(0x34) & 0xff; off != 0; off = cfg_rd(off) >> 8 & 0xff)
		if ((cfg_rd(off) & 0xff) == id)
			return (off);
	return (0);
}

static void
test_config(void)
{
	uint32_t bar2;

	check(find(), "pci-testdev");
	check(rd(ECAM + (bdf << 4)) == VENDOR_DEVICE, "ECAM");
	msi = cap(5);
	msix = cap(0x11);
	check(msi != 0 && msix != 0 && cap(0x10) != 0, "capabilities");
	io = cfg_rd(0x10) & ~3u;
	regs = cfg_rd(0x14) & ~15u;
	check(inl((uint16_t)io) == MAGIC && rd(regs) == MAGIC, "BARs");
	/* Moved, 64 bits included: below 4 GiB we reach it without paging. */
	bar2 = cfg_rd(0x18);
	check(cfg_rd(0x1c) != 0 && (bar2 & 0xf) == 0xc, "64-bit BAR");
	cfg_wr(0x1c, 0);
	cfg_wr(0x18, 0xd0000000);
	check(rd(0xd1000004) == 0x1000004, "64-bit BAR moved");
	cfg_wr(0x10, 0x5000);
	check(
	    inl(0x5000) == MAGIC && inl((uint16_t)io) == ~0u, "I/O BAR moved");
	io = 0x5000;
	cfg_wr(0x04, 5);
	check(rd(regs) == ~0u && inl(0x5000) == MAGIC, "decoding is off");
	cfg_wr(0x04, 7);
	check(rd(regs) == MAGIC, "decoding is on");
}

static void
set_pic(void)
{
	outb(0x20, 0x11);
	outb(0x21, VEC_PIC);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, VEC_PIC + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

/* As the firmware left it, and rerouted: INTLINE, ELCR, PIRQ, PIC. */
static void
test_pic(void)
{
	unsigned irq = cfg_rd(0x3c) & 0xff, pin = cfg_rd(0x3c) >> 8 & 0xff;
	unsigned n = (4 + (bdf >> 11) + pin) % 8;
	uint32_t pirq = 0x8000f800u | (n < 4 ? 0x60 : 0x68);

	check(irq >= 3 && irq < 16, "interrupt line");
	check(inb((uint16_t)(0x4d0 + irq / 8)) >> irq % 8 & 1, "ELCR");
	outl(0xcf8, pirq);
	check(inb((uint16_t)(0xcfc + n % 4)) == irq, "PIRQ register");
	outb(0x21, (uint8_t) ~(1u << irq | 4));
	outb(0xa1, (uint8_t) ~(1u << irq >> 8));
	wr(regs + 0x04, 1);
	check((cfg_rd(0x04) >> 16 & 8) != 0, "Interrupt Status");
	check(come(VEC_PIC + irq, 1), "INTx through the PIC");
	check((cfg_rd(0x04) >> 16 & 8) == 0, "no Interrupt Status");
	irq = irq == 11 ? 10 : 11;
	outl(0xcf8, pirq);
	outb((uint16_t)(0xcfc + n % 4), (uint8_t)irq);
	outb(0x4d1, inb(0x4d1) | 0x0c);
	outb(0x21, 0xfb);
	outb(0xa1, (uint8_t) ~(1u << irq >> 8));
	wr(regs + 0x04, 1);
	check(come(VEC_PIC + irq, 1), "INTx rerouted");
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static void
ioapic(unsigned reg, uint32_t val)
{
	wr(IOAPIC, reg);
	wr(IOAPIC + 0x10, val);
}

static void
test_ioapic(void)
{
	unsigned pin = cfg_rd(0x3c) >> 8 & 0xff;
	unsigned n = 16 + (4 + (bdf >> 11) + pin) % 8;

	wr(LAPIC + 0xf0, 0x1ff);
	/* Level, active low, to the processor with id 0. */
	ioapic(0x11 + 2 * n, 0);
	ioapic(0x10 + 2 * n, 0xa000 | VEC_IOAPIC);
	wr(regs + 0x04, 1);
	check(come(VEC_IOAPIC, 1), "INTx through the IOAPIC");
	cfg_wr(0x04, 7 | 0x400);
	wr(regs + 0x04, 1);
	check(come(VEC_IOAPIC, 1), "Interrupt Disable");
	cfg_wr(0x04, 7);
	check(come(VEC_IOAPIC, 2), "and no more");
}

static void
test_messages(void)
{
	uint32_t table = 0xd0000000u;

	cfg_wr(msi + 4, LAPIC);
	cfg_wr(msi + 8, 0);
	cfg_wr(msi + 0xc, VEC_MSI);
	cfg_wr(msi + 0x10, 0);
	cfg_wr(msi, 0x00210000);
	check(rd(regs + 0x08) == 4, "MSI enabled");
	wr(regs + 0x08, 2);
	check(come(VEC_MSI + 2, 1), "MSI");
	cfg_wr(msi + 0x10, 2);
	wr(regs + 0x08, 1);
	check(come(VEC_MSI + 1, 0) && cfg_rd(msi + 0x14) == 2, "MSI masked");
	cfg_wr(msi + 0x10, 0);
	check(come(VEC_MSI + 1, 1), "MSI unmasked");
	cfg_wr(msi, 0);
	wr(table + 16 * 3, LAPIC);
	wr(table + 16 * 3 + 4, 0);
	wr(table + 16 * 3 + 8, VEC_MSIX);
	cfg_wr(msix, 0x80000000);
	wr(regs + 0x0c, 3);
	check(come(VEC_MSIX, 0) && rd(table + 0x1000) == 8, "MSI-X masked");
	wr(table + 16 * 3 + 12, 0);
	check(come(VEC_MSIX, 1) && rd(table + 0x1000) == 0, "MSI-X");
	cfg_wr(msix, 0);
}

/* A copy over code that has run: the new code runs. */
static void
test_dma(void)
{
	static uint8_t one[16] = {0xb8, 1, 0, 0, 0, 0xc3}; /* mov eax; ret */
	static uint8_t two[16] = {0xb8, 2, 0, 0, 0, 0xc3};
	static uint8_t code[4096] __attribute__((aligned(4096)));
	uint32_t (*call)(void) = (uint32_t(*)(void))(uint32_t)code;
	unsigned i;

	for (i = 0; i < 16; i++)
		code[i] = one[i];
	check(call() == 1, "code");
	wr(regs + 0x10, (uint32_t)two);
	wr(regs + 0x14, 0);
	wr(regs + 0x18, (uint32_t)code);
	wr(regs + 0x1c, 0);
	wr(regs + 0x20, 16);
	cfg_wr(0x04, 3);
	wr(regs + 0x24, 1);
	check(rd(regs + 0x24) == 1 && call() == 1, "DMA of no master");
	cfg_wr(0x04, 7);
	wr(regs + 0x24, 1);
	check(rd(regs + 0x24) == 0 && call() == 2, "DMA");
}

void kmain(void);
void
kmain(void)
{
	set_idt();
	set_pic();
	test_config();
	test_pic();
	test_ioapic();
	test_messages();
	test_dma();
	say("all is well\r\n");
	outb(0xb2, 0xa0);
	outw(0x404, 0x3401);
	for (;;)
		__asm__ volatile("hlt");
}
