/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC, by its page and by its MSRs. */
#include "kernel.h"

#define APIC 0xfee00000ull
enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0,
	LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180,
	IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR_HI = 0x310,
	LVT_TIMER = 0x320, LINT0 = 0x350, LINT1 = 0x360, LVT_ERROR = 0x370,
	INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0 };
#define MASKED 0x10000u
#define SELF 0x40000u

static uint32_t
rd(unsigned reg)
{
	return (*(volatile uint32_t *)(APIC + reg));
}

static void
wr(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)(APIC + reg) = v;
}

static uint32_t
bit(unsigned set, unsigned vec)
{
	return (rd(set + vec / 32 * 16) >> vec % 32 & 1);
}

/* Ends all that is in service and takes all that waits. */
static void
drain(void)
{
	wr(SVR, 0x1ff);
	wr(TPR, 0);
	for (unsigned i = 0; i < 300; i++) {
		bool idle = true;

		for (unsigned v = 0; v < 256; v += 32)
			if (rd(ISR + v / 2) != 0 || rd(IRR + v / 2) != 0)
				idle = false;
		if (idle)
			break;
		K("nop\n");
		c.rflags |= FL_IF;
		(void)go();
		wr(EOI, 0);
	}
}

/* Runs with interrupts on; V_STOP if none came. */
static int
open(void)
{
	K("nop\nnop\n");
	c.rflags |= FL_IF;
	return (go());
}

/* As open(), but waits. */
static int
wait(void)
{
	K("mov ecx, 100000000\n1: pause\nloop 1b\n");
	c.rflags |= FL_IF;
	return (go());
}

static void
registers(void)
{
	uint32_t v;

	check("SDM 3A 10.4.4 IA32_APIC_BASE: enabled, BSP, 0xfee00000");
	IS(rdmsr(0x1b) & ~0x400ull, 0xfee00900);
	drain();
	check("SDM 3A 10.4.8 APIC version: 0x10 to 0x15, LVT entries");
	v = rd(VERSION);
	IS((v & 0xf0) == 0x10, 1);
	IS((v >> 16 & 0xff) >= 4, 1);
	check("SDM 3A 10.4.6 APIC ID: that of CPUID");
	{
		uint32_t r[4];

		cpuid(1, 0, r);
		IS(rd(ID) >> 24, r[1] >> 24);
	}
	check("SDM 3A 10.8.3.1 TPR: 8 bits, CR8 is 7:4 of it");
	wr(TPR, 0x5a);
	K("mov rax, cr8\nmov ebx, 9\nmov cr8, rbx\n");
	GO(V_STOP);
	IS(c.rax, 5);
	IS(rd(TPR), 0x90);
	check("SDM 3A 10.8.3.1 PPR: the TPR with nothing in service");
	IS(rd(PPR), 0x90);
	wr(TPR, 0);
	check("SDM 3A 10.6.2.2 LDR: bits 31:24");
	wr(LDR, 0xffffffff);
	IS(rd(LDR), 0xff000000);
	wr(LDR, 0);
	check("SDM 3A 10.6.2.2 DFR: bits 27:0 are ones");
	wr(DFR, 0);
	IS(rd(DFR), 0x0fffffff);
	wr(DFR, 0xffffffff);
	check("SDM 3A 10.5.1 LVT: reserved bits stay 0");
	wr(LVT_TIMER, 0xffffffff & ~0x60000u);
	IS(rd(LVT_TIMER), 0x100ff);
	check("SDM 3A 10.5.1 LVT: the error entry has vector and mask");
	wr(LVT_ERROR, 0xffffffff);
	IS(rd(LVT_ERROR), 0x100ff);
	check("SDM 3A 10.5.1 LVT: LINT0");
	wr(LINT0, 0xfffeafff | MASKED);
	IS(rd(LINT0), 0x1a7ff);
	wr(LINT0, MASKED);
	check("SDM 3A 10.4.7.2 software disable masks every LVT");
	wr(LVT_TIMER, 0x40);
	wr(SVR, 0xff);
	IS(rd(LVT_TIMER), 0x10040);
	check("SDM 3A 10.4.7.2 and keeps them masked");
	wr(LVT_TIMER, 0x40);
	IS(rd(LVT_TIMER), 0x10040);
	check("SDM 3A 10.4.7.2 a disabled APIC takes no IPI");
	wr(ICR, SELF | 0x61);
	IS(bit(IRR, 0x61), 0);
	wr(SVR, 0x1ff);
}

static void
priorities(void)
{
	drain();
	check("SDM 3A 10.6.1 a self-IPI sets IRR");
	wr(ICR, SELF | 0x61);
	IS(bit(IRR, 0x61), 1);
	IS(bit(ISR, 0x61), 0);
	check("SDM 3A 10.8.4 acceptance moves it to ISR");
	IS(open(), 0x61);
	IS(bit(IRR, 0x61), 0);
	IS(bit(ISR, 0x61), 1);
	check("SDM 3A 10.8.3.1 PPR: the class in service");
	IS(rd(PPR), 0x60);
	check("SDM 3A 10.8.3 the same class waits");
	wr(ICR, SELF | 0x6f);
	IS(open(), V_STOP);
	check("SDM 3A 10.8.3 a higher class does not");
	wr(ICR, SELF | 0x71);
	IS(open(), 0x71);
	check("SDM 3A 10.8.5 EOI ends the highest");
	wr(EOI, 0);
	IS(bit(ISR, 0x71), 0);
	IS(bit(ISR, 0x61), 1);
	wr(EOI, 0);
	check("SDM 3A 10.8.5 and what waited comes");
	IS(open(), 0x6f);
	wr(EOI, 0);
	check("SDM 3A 10.8.3.1 TPR holds its class back");
	wr(TPR, 0x70);
	wr(ICR, SELF | 0x7f);
	IS(open(), V_STOP);
	check("SDM 3A 10.8.3.1 TPR lets the next class through");
	wr(ICR, SELF | 0x80);
	wr(TPR, 0x70);
	/* 0x80 is the end of a check's code as well: in service tells. */
	(void)open();
	IS(bit(ISR, 0x80), 1);
	wr(EOI, 0);
	check("SDM 3A 10.8.6 lowering CR8 lets it in");
	K("xor eax, eax\nmov cr8, rax\nnop\n");
	c.rflags |= FL_IF;
	GO(0x7f);
	wr(EOI, 0);
	check("SDM 3A 10.8.3 the highest of several first");
	wr(TPR, 0);
	wr(ICR, SELF | 0x41);
	wr(ICR, SELF | 0xa1);
	wr(ICR, SELF | 0x91);
	IS(open(), 0xa1);
	wr(EOI, 0);
	IS(open(), 0x91);
	wr(EOI, 0);
	IS(open(), 0x41);
	wr(EOI, 0);
	check("SDM 3A 10.8.4 the same vector twice in IRR is one");
	wr(ICR, SELF | 0x41);
	wr(ICR, SELF | 0x41);
	IS(open(), 0x41);
	wr(EOI, 0);
	IS(open(), V_STOP);
	check("SDM 3A 10.8.4 but one in ISR and one in IRR are two");
	wr(ICR, SELF | 0x41);
	IS(open(), 0x41);
	wr(ICR, SELF | 0x41);
	wr(EOI, 0);
	IS(open(), 0x41);
	wr(EOI, 0);
	check("SDM 3A 10.8.4 TMR is clear for an edge");
	wr(ICR, SELF | 0x41);
	IS(bit(TMR, 0x41), 0);
	IS(open(), 0x41);
	wr(EOI, 0);
	check("SDM 3A 10.8.5 EOI with nothing in service does nothing");
	wr(EOI, 0);
	IS(rd(PPR), 0);
}

static void
destinations(void)
{
	uint32_t id = rd(ID);

	drain();
	check("SDM 3A 10.6.1 ICR: physical, by id");
	wr(ICR_HI, id);
	wr(ICR, 0x4000 | 0x45);
	IS(wait(), 0x45);
	wr(EOI, 0);
	check("SDM 3A 10.6.2.1 ICR: physical, 0xff is all");
	wr(ICR_HI, 0xff000000);
	wr(ICR, 0x4000 | 0x46);
	IS(wait(), 0x46);
	wr(EOI, 0);
	check("SDM 3A 10.6.1 ICR: shorthand all including self");
	wr(ICR, 0x84000 | 0x47);
	IS(wait(), 0x47);
	wr(EOI, 0);
	check("SDM 3A 10.6.1 ICR: shorthand all excluding self");
	wr(ICR, 0xc4000 | 0x48);
	IS(open(), V_STOP);
	check("SDM 3A 10.6.1 ICR: to an id that nobody has");
	wr(ICR_HI, 0xee000000);
	wr(ICR, 0x4000 | 0x49);
	IS(open(), V_STOP);
	check("SDM 3A 10.6.2.2 logical, flat: a bit of ours");
	wr(DFR, 0xffffffff);
	wr(LDR, 0x02000000);
	wr(ICR_HI, 0x06000000);
	wr(ICR, 0x4800 | 0x4a);
	IS(wait(), 0x4a);
	wr(EOI, 0);
	check("SDM 3A 10.6.2.2 logical, flat: no bit of ours");
	wr(ICR_HI, 0x05000000);
	wr(ICR, 0x4800 | 0x4b);
	IS(open(), V_STOP);
	check("SDM 3A 10.6.2.2 logical, cluster: ours");
	wr(DFR, 0x0fffffff);
	wr(LDR, 0x34000000);
	wr(ICR_HI, 0x3c000000);
	wr(ICR, 0x4800 | 0x4c);
	IS(wait(), 0x4c);
	wr(EOI, 0);
	check("SDM 3A 10.6.2.2 logical, cluster: another");
	wr(ICR_HI, 0x4c000000);
	wr(ICR, 0x4800 | 0x4d);
	IS(open(), V_STOP);
	wr(DFR, 0xffffffff);
	check("SDM 3A 10.6.1 lowest priority, to us");
	wr(LDR, 0x01000000);
	wr(ICR_HI, 0x01000000);
	wr(ICR, 0x4900 | 0x4e);
	IS(wait(), 0x4e);
	wr(EOI, 0);
	check("SDM 3A 10.6.1 ICR: reads back, delivery status idle");
	IS(rd(ICR), 0x4900 | 0x4e);
	IS(rd(ICR_HI), 0x01000000);
}

static void
errors(void)
{
	drain();
	wr(LVT_ERROR, MASKED | 0x55);
	wr(ESR, 0);
	wr(ESR, 0);
	check("SDM 3A 10.5.3 ESR: an illegal vector is sent");
	wr(ICR, SELF | 5);
	wr(ESR, 0);
	IS(rd(ESR) & 0x20, 0x20);
	check("SDM 3A 10.5.3 ESR: a write clears it");
	wr(ESR, 0);
	IS(rd(ESR), 0);
	check("SDM 3A 10.5.3 ESR: shows nothing before a write");
	wr(ICR, SELF | 5);
	IS(rd(ESR), 0);
	wr(ESR, 0);
	IS(rd(ESR) & 0x20, 0x20);
	check("SDM 3A 10.5.3 ESR: a register that is none");
	wr(ESR, 0);
	(void)rd(0x40);
	wr(ESR, 0);
	IS(rd(ESR), 0x80);
	wr(ESR, 0);
	check("SDM 3A 10.5.3 the error interrupt");
	wr(LVT_ERROR, 0x55);
	wr(ICR, SELF | 5);
	IS(open(), 0x55);
	wr(EOI, 0);
	wr(LVT_ERROR, MASKED);
	wr(ESR, 0);
}

/* What the timer counts while a loop runs. */
static uint32_t
counted(uint32_t divide)
{
	wr(DIVIDE, divide);
	wr(INITIAL, 0xffffffff);
	K("mov ecx, 1000000\n1: loop 1b\n");
	GO(V_STOP);
	return (0xffffffff - rd(CURRENT));
}

static void
timers(void)
{
	uint32_t a, b;

	drain();
	check("SDM 3A 10.5.4 timer: one shot");
	wr(DIVIDE, 0xb);
	wr(LVT_TIMER, 0x56);
	wr(INITIAL, 100000);
	IS(wait(), 0x56);
	IS(rd(CURRENT), 0);
	wr(EOI, 0);
	check("SDM 3A 10.5.4 timer: one shot is one");
	IS(open(), V_STOP);
	check("SDM 3A 10.5.4 timer: counts down");
	wr(INITIAL, 0xffffffff);
	a = rd(CURRENT);
	K("mov ecx, 10000\n1: loop 1b\n");
	GO(V_STOP);
	b = rd(CURRENT);
	IS(b < a && b != 0, 1);
	check("SDM 3A 10.5.4 timer: 0 stops it");
	wr(INITIAL, 0);
	IS(rd(CURRENT), 0);
	check("SDM 3A 10.5.4 timer: periodic comes again");
	wr(LVT_TIMER, 0x20057);
	wr(INITIAL, 1000000);
	IS(wait(), 0x57);
	wr(EOI, 0);
	IS(wait(), 0x57);
	wr(EOI, 0);
	wr(INITIAL, 0);
	drain();
	check("SDM 3A 10.5.4 timer: masked counts without an interrupt");
	wr(LVT_TIMER, MASKED | 0x58);
	wr(INITIAL, 1000);
	K("mov ecx, 1000000\n1: loop 1b\n");
	GO(V_STOP);
	IS(bit(IRR, 0x58), 0);
	IS(rd(CURRENT), 0);
	check("SDM 3A 10.5.4 timer: divided by 128 is slower than by 1");
	/* Again, if we did not have the processor for a while. */
	for (unsigned i = 0; i < 20; i++) {
		a = counted(0xb);
		b = counted(0xa);
		if (b < a / 8)
			break;
	}
	IS(b < a / 8, 1);
	wr(INITIAL, 0);
	check("SDM 3A 10.5.4 timer: divide configuration keeps bits 3, 1, 0");
	wr(DIVIDE, 0xff);
	IS(rd(DIVIDE), 0xb);
	check("SDM 3A 10.5.4.1 timer: TSC deadline");
	if (has(1, 2, 24)) {
		wr(LVT_TIMER, 0x40059);
		K("rdtsc\nadd eax, 100000000\nadc edx, 0\nmov ecx, 0x6e0\n"
		  "wrmsr\nrdmsr\nmov ebx, eax\nor ebx, edx\n");
		GO(V_STOP);
		IS(c.rbx != 0, 1);
		IS(wait(), 0x59);
		wr(EOI, 0);
		check("SDM 3A 10.5.4.1 timer: the deadline is 0 afterwards");
		IS(rdmsr(0x6e0), 0);
		check("SDM 3A 10.5.4.1 timer: a past deadline is at once");
		wrmsr(0x6e0, 1);
		IS(wait(), 0x59);
		wr(EOI, 0);
		check("SDM 3A 10.5.4.1 timer: no initial count in this mode");
		wr(INITIAL, 1000);
		IS(rd(CURRENT), 0);
		check("SDM 3A 10.5.4.1 timer: another mode disarms it");
		wrmsr(0x6e0, rdmsr(0x10) + 0x100000000000);
		wr(LVT_TIMER, MASKED | 0x59);
		IS(rdmsr(0x6e0), 0);
		check("SDM 3A 10.5.4.1 timer: and its MSR is ignored there");
		wrmsr(0x6e0, rdmsr(0x10) + 0x100000000000);
		IS(rdmsr(0x6e0), 0);
	}
	wr(LVT_TIMER, MASKED);
}

/* wait() for the PIT, which is started there: an NMI must not come before. */
static int
pit(void)
{
	K("mov al, 0x30\nout 0x43, al\nxor eax, eax\nout 0x40, al\n"
	  "inc eax\nout 0x40, al\nmov ecx, 100000000\n1: pause\nloop 1b\n");
	c.rflags |= FL_IF;
	return (go());
}

/* The PIC's output at LINT0: IRQ 0 by the PIT's channel 0, once. */
static int
lint0(uint32_t lvt)
{
	int vec;

	drain();
	wr(LINT0, lvt);
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	vec = pit();
	wr(EOI, 0);
	outb(0x21, 0xff);
	outb(0x20, 0x0c); /* poll, which acknowledges */
	(void)inb(0x20);
	outb(0x20, 0x20);
	wr(LINT0, MASKED);
	return (vec);
}

static void
pins(void)
{
	check("SDM 3A 10.5.1 LINT0: ExtINT, the vector is the PIC's");
	IS(lint0(0x700), 0x20);
	check("SDM 3A 10.5.1 LINT0: Fixed, the vector is the LVT's");
	IS(lint0(0x5b), 0x5b);
	check("SDM 3A 10.5.1 LINT0: NMI");
	IS(lint0(0x400), V_NMI);
	check("SDM 3A 10.5.1 LINT0: Fixed by the level, remote IRR till EOI");
	drain();
	wr(LINT0, 0x805c);
	outb(0x21, 0xfe);
	IS(pit(), 0x5c);
	IS(rd(LINT0), 0xc05c);
	outb(0x21, 0xff);
	outb(0x20, 0x0c);
	(void)inb(0x20);
	outb(0x20, 0x20);
	wr(EOI, 0);
	IS(rd(LINT0), 0x805c);
	IS(open(), V_STOP);
	wr(LINT0, MASKED);
}

static void
x2apic(void)
{
	uint64_t base = rdmsr(0x1b), v;

	drain();
	check("SDM 3A 10.12.1 x2APIC: its MSRs are #GP in xAPIC mode");
	IS(try_rdmsr(0x802, &v), V_GP);
	check("SDM 3A 10.12.5 APIC_BASE: EXTD without EN is #GP");
	IS(try_wrmsr(0x1b, (base & ~0x800ull) | 0x400), V_GP);
	check("SDM 3A 10.4.4 APIC_BASE: reserved bits are #GP");
	IS(try_wrmsr(0x1b, base | 1), V_GP);
	check("SDM 3A 10.4.4 APIC_BASE: bits above MAXPHYADDR are #GP");
	IS(try_wrmsr(0x1b, base | 1ull << 51), V_GP);
	check("SDM 3A 10.4.4 APIC_BASE: its page moves");
	wrmsr(0x1b, (base & 0xfff) | 0xfee01000);
	IS(*(volatile uint32_t *)0xfee01030, *(volatile uint32_t *)0xfee01030);
	IS(*(volatile uint32_t *)0xfee01030 >> 4 & 0xf, 1);
	wrmsr(0x1b, base);
	if (!has(1, 2, 21))
		return;
	wr(TPR, 0);
	wrmsr(0x1b, base | 0x400);
	check("SDM 3A 10.12.1.2 x2APIC: the id");
	IS(rdmsr(0x802), 0);
	check("SDM 3A 10.12.1.2 x2APIC: the version");
	IS(rdmsr(0x803) & 0xf0, 0x10);
	check("SDM 3A 10.12.10.2 x2APIC: LDR from the id");
	IS(rdmsr(0x80d), 1);
	check("SDM 3A 10.12.1.2 x2APIC: LDR is read-only");
	IS(try_wrmsr(0x80d, 1), V_GP);
	check("SDM 3A 10.12.1.2 x2APIC: no DFR");
	IS(try_rdmsr(0x80e, &v), V_GP);
	check("SDM 3A 10.12.1.2 x2APIC: EOI is write-only");
	IS(try_rdmsr(0x80b, &v), V_GP);
	check("SDM 3A 10.12.1.2 x2APIC: EOI other than 0 is #GP");
	IS(try_wrmsr(0x80b, 1), V_GP);
	check("SDM 3A 10.12.1.2 x2APIC: no second half of ICR");
	IS(try_rdmsr(0x831, &v), V_GP);
	check("SDM 3A 10.12.1.2 x2APIC: a reserved register");
	IS(try_rdmsr(0x804, &v), V_GP);
	check("SDM 3A 10.12.1.3 x2APIC: reserved bits of TPR are #GP");
	IS(try_wrmsr(0x808, 0x100), V_GP);
	check("SDM 3A 10.12.1.3 x2APIC: ESR other than 0 is #GP");
	IS(try_wrmsr(0x828, 1), V_GP);
	check("SDM 3A 10.12.11 x2APIC: SELF IPI");
	wrmsr(0x83f, 0x62);
	IS(open(), 0x62);
	wrmsr(0x80b, 0);
	check("SDM 3A 10.12.11 x2APIC: SELF IPI is write-only");
	IS(try_rdmsr(0x83f, &v), V_GP);
	check("SDM 3A 10.12.9 x2APIC: ICR, physical");
	wrmsr(0x830, 0x4000 | 0x63);
	IS(wait(), 0x63);
	wrmsr(0x80b, 0);
	check("SDM 3A 10.12.9 x2APIC: ICR, broadcast");
	wrmsr(0x830, 0xffffffff00004000 | 0x64);
	IS(wait(), 0x64);
	wrmsr(0x80b, 0);
	check("SDM 3A 10.12.9 x2APIC: ICR, logical");
	wrmsr(0x830, 0x100004800 | 0x65);
	IS(wait(), 0x65);
	wrmsr(0x80b, 0);
	check("SDM 3A 10.12.9 x2APIC: ICR, logical of another cluster");
	wrmsr(0x830, 0x1000100004800 | 0x66);
	IS(open(), V_STOP);
	check("SDM 3A 10.12.9 x2APIC: reserved bits of ICR are #GP");
	IS(try_wrmsr(0x830, 0x100000), V_GP);
	check("SDM 3A 10.12.5 x2APIC: back to xAPIC mode is #GP");
	IS(try_wrmsr(0x1b, base), V_GP);
	check("SDM 3A 10.12.5 x2APIC: to disabled, then xAPIC");
	IS(try_wrmsr(0x1b, base & ~0x800ull), V_STOP);
	check("SDM 3A 10.4.3 CPUID.APIC is clear while it is disabled");
	IS(has(1, 3, 9), 0);
	check("SDM 3A 10.12.5 disabled to x2APIC is #GP");
	IS(try_wrmsr(0x1b, base | 0x400), V_GP);
	check("SDM 3A 10.12.5 disabled to xAPIC");
	IS(try_wrmsr(0x1b, base), V_STOP);
	IS(has(1, 3, 9), 1);
	IS(rd(SVR), 0xff);
	drain();
}

void
apic(void)
{
	fresh();
	registers();
	priorities();
	destinations();
	errors();
	timers();
	pins();
	x2apic();
}
