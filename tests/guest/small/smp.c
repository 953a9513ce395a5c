/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two processors: starting the second (SDM volume 3A, 9.4), locked accesses
 * (9.1), cross-modifying code (9.1.3), interrupts between them (11.6).
 */
#include "small.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gmem/gmem.h"

#define AP_START 0xd000ull /* SIPI vector 0x0d */
#define AP_CODE 0x84000ull
#define FUNC 0x86000ull /* a page of its own */
#define ALIAS 0x700000ull
#define FRESH 0x800000ull
#define NFRESH 64

/* ---- code ---- */

#define X2APIC                                                                 \
	"mov ecx, 0x1b\nrdmsr\nor eax, 0xc00\nwrmsr\n"                         \
	"mov ecx, 0x80f\nmov eax, 0x1ff\nxor edx, edx\nwrmsr\n"
#define ICR(lo, dest)                                                          \
	"mov ecx, 0x830\nmov eax, " lo "\nmov edx, " dest "\nwrmsr\n"
#define INIT ICR("0x4500", "1")
#define SIPI(v) ICR("0x4600 + " v, "1")
#define START_AP X2APIC INIT SIPI("0x0d")
/* Waits until a dword has a value. */
#define AWAIT(what, val)                                                       \
	"77: pause\ncmp dword ptr " what ", " val "\njne 77b\n"

struct ap {
	struct vcpu *vcpu;
	pthread_t thread;
	atomic_bool quit;
	struct vm_exit exit;
};

static void *
ap_main(void *arg)
{
	struct ap *ap = arg;
	int error;

	do
		error = vcpu_run(ap->vcpu, &ap->exit);
	while (error == 0 && !atomic_load(&ap->quit) &&
	    ap->exit.exitcode == VM_EXITCODE_BOGUS);
	return (NULL);
}

static void
ap_begin(struct t *t, struct ap *ap)
{
	/* Each waits for the other, which may have no core for a while. */
	t->g->patience = 30;
	memset(ap, 0, sizeof(*ap));
	ap->vcpu = vm_vcpu(t->g->vm, 1);
	IS(pthread_create(&ap->thread, NULL, ap_main, ap), 0);
}

/* It begins with INIT the next time. */
static void
ap_end(struct t *t, struct ap *ap)
{
	kernel(t, CODE(X2APIC INIT STOP));
	GO(GO_STOP);
	atomic_store(&ap->quit, true);
	vcpu_kick(ap->vcpu);
	pthread_join(ap->thread, NULL);
}

/* The first processor's code runs with the other one running, too. */
static void
both(struct t *t, struct code bsp, struct code ap_code)
{
	struct ap ap;

	put(t, AP_CODE, ap_code);
	kernel(t, bsp);
	ap_begin(t, &ap);
	GO(GO_STOP);
	ap_end(t, &ap);
}

/* From real mode into long mode, with the first one's tables. */
static void
put_trampoline(struct t *t)
{
	/* GDTR for LGDT in front: limit, base. */
	set_mem(t, AP_START + 0xf0, 2, 0xfff);
	set_mem(t, AP_START + 0xf2, 4, GVM_GDT);
	set_mem(t, AP_START + 0xe0, 2, 0xfff);
	set_mem(t, AP_START + 0xe2, 8, GVM_IDT);
	put(t, AP_START,
	    CODE(".code16\ncli\n"
		 "lgdt cs:[0xf0]\n"
		 "mov eax, 0x506a8\nmov cr4, eax\n"
		 "mov eax, 0x10000\nmov cr3, eax\n"
		 "mov ecx, 0xc0000080\nmov eax, 0x901\nxor edx, edx\nwrmsr\n"
		 "mov eax, 0x80010033\nmov cr0, eax\n"
		 ".byte 0x66, 0xea\n.long 0xd080\n.word 8\n"
		 ".code64\n"));
	put(t, AP_START + 0x80,
	    CODE("mov eax, 0x10\nmov ss, eax\nmov ds, eax\nmov es, eax\n"
		 "mov esp, 0x8f000\nlidt [0xd0e0]\n"
		 "mov edi, 0xa0000\nmov eax, 0x84000\njmp rax\n"));
}

/* ---- the tests ---- */

static void
starting(struct t *t)
{
	struct ap ap;

	put(t, AP_START,
	    CODE(".code16\nmov [0xd110], cs\nmov [0xd114], edx\n"
		 "mov eax, cr0\nmov [0xd118], eax\npushfd\npop eax\n"
		 "mov [0xd11c], eax\ninc dword ptr [0xd100]\n"
		 "1: hlt\njmp 1b\n.code64\n"));
	put(t, AP_START + 0x1000,
	    CODE(".code16\ninc dword ptr [0xd104]\n1: hlt\njmp 1b\n"
		 ".code64\n"));
	check(t, "SDM 3A 9.4.3: INIT and SIPI start a processor");
	kernel(t, CODE(START_AP AWAIT("[0xd100]", "1") STOP));
	ap_begin(t, &ap);
	GO(GO_STOP);
	check(t, "SDM 3A 9.4.4: a SIPI begins at its vector's page");
	IS(mem(t, 0xd110, 2), 0x0d00);
	check(t, "SDM 3A table 10-1: the state after INIT");
	IS(mem(t, 0xd118, 4), 0x60000010);
	IS(mem(t, 0xd11c, 4), 2);
	check(t, "SDM 3A 9.4.4: a SIPI to a processor at work is lost");
	kernel(t, CODE(SIPI("0x0e") SIPI("0x0e") "mov eax, 100000\n"
		       "1: dec eax\njnz 1b\n" STOP));
	GO(GO_STOP);
	IS(mem(t, 0xd104, 4), 0);
	IS(mem(t, 0xd100, 4), 1);
	check(t, "SDM 3A 11.6.1: INIT, level de-assert, does nothing");
	kernel(t, CODE(ICR("0x8500", "1") SIPI("0x0e") "mov eax, 100000\n"
		       "1: dec eax\njnz 1b\n" STOP));
	GO(GO_STOP);
	IS(mem(t, 0xd104, 4), 0);
	check(t, "SDM 3A 9.4.4: another INIT and SIPI start it again");
	kernel(t, CODE(INIT SIPI("0x0e") AWAIT("[0xd104]", "1") STOP));
	GO(GO_STOP);
	IS(mem(t, 0xd100, 4), 1);
	ap_end(t, &ap);
}

static void
locks(struct t *t)
{
	put_trampoline(t);
	check(t, "SDM 3A 9.1.2: LOCK INC, within a line and over a page");
	set_mem(t, T_DATA + 0xffc, 8, 0);
#define COUNT                                                                  \
	"mov esi, 500\n1: lock inc qword ptr [rdi + 8]\n"                     \
	"lock inc qword ptr [rdi + 0xffc]\n"                                   \
	"lock inc dword ptr [rdi + 0x203e]\n" /* a split line */               \
	"dec esi\njnz 1b\n"
	both(t, CODE(START_AP "mov edi, 0xa0000\n" COUNT
		     AWAIT("[rdi]", "1") STOP),
	    CODE(COUNT "inc dword ptr [rdi]\n1: hlt\njmp 1b\n"));
	IS(mem(t, T_DATA + 8, 8), 1000);
	IS(mem(t, T_DATA + 0xffc, 8), 1000);
	IS(mem(t, T_DATA + 0x203e, 4), 1000);

	check(t, "SDM 3A 9.1.2.2: XCHG is locked: a spin lock over a page");
	set_mem(t, T_DATA, 4, 0);
	set_mem(t, T_DATA + 0xffe, 4, 0);
#define CRITICAL                                                               \
	"mov esi, 500\n1: mov eax, 1\n2: xchg eax, [rdi + 0xffe]\n"           \
	"test eax, eax\njz 3f\npause\njmp 2b\n"                                \
	"3: mov eax, [rdi + 0x40]\ninc eax\nmov [rdi + 0x40], eax\n"           \
	"xor eax, eax\nxchg eax, [rdi + 0xffe]\ndec esi\njnz 1b\n"
	both(t, CODE(START_AP "mov edi, 0xa0000\n" CRITICAL
		     AWAIT("[rdi]", "1") STOP),
	    CODE(CRITICAL "inc dword ptr [rdi]\n1: hlt\njmp 1b\n"));
	IS(mem(t, T_DATA + 0x40, 4), 1000);

	check(t, "SDM 3A 9.1.2.2: CMPXCHG16B of two processors");
	set_mem(t, T_DATA, 4, 0);
#define PAIR                                                                   \
	"mov esi, 3000\n1: mov rax, [rdi + 0x80]\nmov rdx, [rdi + 0x88]\n"     \
	"2: mov rbx, rax\nmov rcx, rdx\ninc rbx\ndec rcx\n"                    \
	"lock cmpxchg16b [rdi + 0x80]\njnz 2b\ndec esi\njnz 1b\n"
	both(t, CODE(START_AP "mov edi, 0xa0000\n" PAIR
		     AWAIT("[rdi]", "1") STOP),
	    CODE(PAIR "inc dword ptr [rdi]\n1: hlt\njmp 1b\n"));
	IS(mem(t, T_DATA + 0x80, 8), 6000);
	IS(mem(t, T_DATA + 0x88, 8), (uint64_t)-6000);
}

/* The first one writes code at r8, the second calls it at FUNC. The store
 * is told by a sequence number in [rdi]; the answer is in [rdi + 8], the
 * number that it is for in [rdi + 4]; [rdi + 16] counts wrong ones. */
#define WRITER                                                                 \
	"mov edi, 0xa0000\nxor esi, esi\n"                                     \
	"1: inc esi\nmov [r8 + 1], esi\nmov [rdi], esi\n"                      \
	AWAIT("[rdi + 4]", "esi")                                              \
	"cmp [rdi + 8], esi\nje 2f\ninc dword ptr [rdi + 16]\n"                \
	"2: cmp esi, 500\njb 1b\n"
#define CALLER                                                                 \
	"xor esi, esi\n1: inc esi\n" AWAIT("[rdi]", "esi")                     \
	"xor eax, eax\ncpuid\nmov r9d, 0x86000\ncall r9\n"                     \
	"mov [rdi + 8], eax\nmov [rdi + 4], esi\njmp 1b\n"

static void
modifying(struct t *t)
{
	struct ap ap;

	put_trampoline(t);
	put(t, FUNC, CODE("mov eax, 0\nret\n"));
	check(t, "SDM 3A 9.1.3: cross-modifying code");
	both(t, CODE(START_AP "mov r8d, 0x86000\n" WRITER STOP), CODE(CALLER));
	IS(mem(t, T_DATA, 4), 500);
	IS(mem(t, T_DATA + 16, 4), 0);

	check(t, "SDM 3A 9.1.3: the same by another linear address");
	gvm_map(t->g, ALIAS, FUNC, PTE_P | PTE_W);
	memset(gvm_ptr(t->g, T_DATA), 0, 24);
	both(t, CODE(START_AP "mov r8d, 0x700000\n" WRITER STOP),
	    CODE(CALLER));
	IS(mem(t, T_DATA, 4), 500);
	IS(mem(t, T_DATA + 16, 4), 0);

	check(t, "SDM 3A 9.1.3: the same over the end of a page");
	memset(gvm_ptr(t->g, T_DATA), 0, 24);
	put(t, FUNC - 2, CODE("mov eax, 0\nret\n"));
	both(t, CODE(START_AP "mov r8d, 0x85ffe\n" WRITER STOP),
	    CODE("xor esi, esi\n1: inc esi\n" AWAIT("[rdi]", "esi")
		 "xor eax, eax\ncpuid\nmov r9d, 0x85ffe\ncall r9\n"
		 "mov [rdi + 8], eax\nmov [rdi + 4], esi\njmp 1b\n"));
	IS(mem(t, T_DATA, 4), 500);
	IS(mem(t, T_DATA + 16, 4), 0);

	check(t, "SDM 3A 9.1.3: a loop sees a new operand at last");
	put(t, AP_CODE, CODE("1: mov eax, 0\nmov [rdi + 8], eax\njmp 1b\n"));
	kernel(t,
	    CODE(START_AP "mov edi, 0xa0000\nmov r8d, 0x84000\n"
		 "xor esi, esi\n1: inc esi\nmov [r8 + 1], esi\n"
		 AWAIT("[rdi + 8]", "esi") "cmp esi, 100\njb 1b\n" STOP));
	ap_begin(t, &ap);
	GO(GO_STOP);
	ap_end(t, &ap);
	IS(mem(t, T_DATA + 8, 4), 100);
}

/* Code comes into being on pages that were data a moment ago, and are
 * written to all the while. */
static void
fresh(struct t *t)
{
	for (unsigned i = 0; i < NFRESH; i++)
		gvm_map(t->g, FRESH + i * 4096ull, gvm_alloc(t->g, 1),
		    PTE_P | PTE_W);
	put_trampoline(t);
	check(t, "SDM 3A 9.1.3: code on a page that was data");
	memset(gvm_ptr(t->g, T_DATA), 0, 24);
	both(t,
	    CODE(START_AP "mov edi, 0xa0000\nxor esi, esi\n"
		 "1: inc esi\nmov ebx, esi\nand ebx, 63\nshl ebx, 12\n"
		 "add ebx, 0x800000\ninc dword ptr [rbx + 0x804]\n"
		 "mov byte ptr [rbx], 0xb8\nmov [rbx + 1], esi\n"
		 "mov byte ptr [rbx + 5], 0xc3\nmov [rdi], esi\n"
		 "2: inc dword ptr [rbx + 0x800]\n" /* beside it */
		 "pause\ncmp [rdi + 4], esi\njne 2b\n"
		 "cmp [rdi + 8], esi\nje 3f\ninc dword ptr [rdi + 16]\n"
		 "3: cmp esi, 1000\njb 1b\n" STOP),
	    CODE("xor esi, esi\n1: inc esi\n" AWAIT("[rdi]", "esi")
		 "xor eax, eax\ncpuid\nmov r9d, esi\nand r9d, 63\n"
		 "shl r9d, 12\nadd r9d, 0x800000\ncall r9\n"
		 "mov [rdi + 8], eax\nmov [rdi + 4], esi\njmp 1b\n"));
	IS(mem(t, T_DATA, 4), 1000);
	IS(mem(t, T_DATA + 16, 4), 0);
}

/* A device's thread writes code while the processor runs it. */
struct dma {
	struct t *t;
	uint32_t late; /* the first number that never arrived */
};

static void *
dma_main(void *arg)
{
	struct dma *d = arg;
	volatile uint32_t *seen = gvm_ptr(d->t->g, T_DATA + 8);
	uint32_t i, one = 1;

	for (i = 1; i <= 500 && d->late == 0; i++) {
		struct timespec ts = { 0, 1000 };

		(void)gmem_write(d->t->g->gm, FUNC + 1, &i, 4);
		for (unsigned n = 0; *seen != i; n++) {
			if (n == 100000) { /* seconds */
				d->late = i;
				break;
			}
			nanosleep(&ts, NULL);
		}
	}
	(void)gmem_write(d->t->g->gm, T_DATA + 12, &one, 4);
	return (NULL);
}

static void
dma(struct t *t)
{
	struct dma d = { t, 0 };
	pthread_t thread;

	put(t, FUNC, CODE("mov eax, 0\nret\n"));
	check(t, "SDM 3A 9.1.3: a device writes code that runs");
	kernel(t, CODE("mov edi, 0xa0000\nmov r9d, 0x86000\n1: call r9\n"
		       "mov [rdi + 8], eax\ncmp dword ptr [rdi + 12], 0\n"
		       "je 1b\n" STOP));
	t->g->patience = 30;
	IS(pthread_create(&thread, NULL, dma_main, &d), 0);
	GO(GO_STOP);
	pthread_join(thread, NULL);
	IS(d.late, 0);
	IS(mem(t, T_DATA + 8, 4), 500);
}

/* Busy and accessed bits are set by locked accesses (SDM 3A 9.1.2.1). */
static void
descriptors(struct t *t)
{
	/* EBP rounds: who is last in each is the other's start. */
#define RACE(bsp)                                                              \
	"mov ebp, 20000\nxor esi, esi\nmov eax, 0x48\nmov edi, 0xa0000\n"      \
	"1: inc esi\n" bsp "4: cmp [rdi + 0x10], esi\njb 4b\n"                \
	"ltr ax\nlock inc dword ptr [rdi + 0x14]\n"                            \
	"lea ecx, [rsi + rsi]\n5: cmp [rdi + 0x14], ecx\njb 5b\n"             \
	"cmp esi, ebp\njb 1b\n"

	put_trampoline(t);
	handler(t, V_GP, CODE("lock inc dword ptr [rdi + 0x18]\n"
			      "add rsp, 8\nadd qword ptr [rsp], 3\niretq\n"));
	set_gdt(t, 0x48, 0x0000890030000067);
	set_gdt(t, 0x50, 0);
	check(t, "SDM 3A 9.1.2.1: one of two LTRs finds the TSS busy");
	both(t, CODE(START_AP "mov edi, 0xa0000\n" AWAIT("[rdi + 8]", "1")
		     "lgdt [0xd0f0]\n"
		     RACE("mov byte ptr [0x104d], 0x89\n"
			  "mov [rdi + 0x10], esi\n") STOP),
	    CODE("inc dword ptr [rdi + 8]\n" RACE("")
		 "2: hlt\njmp 2b\n"));
	IS(mem(t, T_DATA + 0x14, 4), 40000);
	IS(mem(t, T_DATA + 0x18, 4), 20000);
	/* One toggles W and looks whether it stays; the other one's loads set
	 * A again and again. */
	memset(gvm_ptr(t->g, T_DATA), 0, 32);
	set_gdt(t, 0x48, 0x00cf90000000ffff);
	check(t, "SDM 3A 9.1.2.1: setting A leaves the byte's other bits");
	both(t, CODE(START_AP "mov edi, 0xa0000\n" /* or 2 */
		     "77: pause\ncmp dword ptr [rdi + 8], 0\nje 77b\n"
		     "lgdt [0xd0f0]\nmov eax, 0x48\n"
		     "1: lock and byte ptr [0x104d], 0xfe\nmov es, eax\n"
		     "cmp dword ptr [rdi + 8], 2\njb 1b\n" STOP),
	    CODE("inc dword ptr [rdi + 8]\nmov esi, 100000\n"
		 "1: lock or byte ptr [0x104d], 2\n"
		 "mov al, [0x104d]\nnot al\n"
		 "lock and byte ptr [0x104d], 0xfd\n"
		 "or al, [0x104d]\nshr al, 2\nadc dword ptr [rdi + 0x18], 0\n"
		 "dec esi\njnz 1b\ninc dword ptr [rdi + 8]\n"
		 "2: hlt\njmp 2b\n"));
	IS(mem(t, T_DATA + 0x18, 4), 0);
	IS(mem(t, 0x104d, 1) & 0xfe, 0x90);
}

static void
a20(struct t *t)
{
	put_trampoline(t);
	gvm_map(t->g, 0x1a0000, 0x1a0000, PTE_P | PTE_W);
	set_mem(t, 0x1a0010, 4, 2);
	check(t, "vmm.h: the A20 gate is shut for both processors");
	/* The other one reads what it has in its TLB, in a loop. */
	both(t, CODE(START_AP "mov edi, 0xa0000\n" AWAIT("[rdi + 8]", "1")
		     "xor eax, eax\nout 0x92, al\n" AWAIT("[rdi + 8]", "2")
		     "mov al, 2\nout 0x92, al\n" AWAIT("[rdi + 8]", "3") STOP),
	    CODE("mov edi, 0xa0000\nmov dword ptr [rdi + 0x10], 1\n"
		 "inc dword ptr [rdi + 8]\n" AWAIT("[0x1a0010]", "1")
		 "inc dword ptr [rdi + 8]\n" AWAIT("[0x1a0010]", "2")
		 "inc dword ptr [rdi + 8]\n1: hlt\njmp 1b\n"));
	IS(mem(t, T_DATA + 8, 4), 3);
}

static void
interrupts(struct t *t)
{
	put_trampoline(t);
	handler(t, 0x40, CODE("push rax\npush rcx\npush rdx\n"
			      "mov ecx, 0x80b\nxor eax, eax\nxor edx, edx\n"
			      "wrmsr\nlock inc dword ptr [0xa0000]\n"
			      "pop rdx\npop rcx\npop rax\niretq\n"));
	handler(t, 2, CODE("lock inc dword ptr [0xa0004]\niretq\n"));
#define READY X2APIC "inc dword ptr [rdi + 8]\nsti\n1: hlt\njmp 1b\n"
	check(t, "SDM 3A 11.6.1: fixed interrupts to the other processor");
	both(t, CODE(START_AP "mov edi, 0xa0000\n" AWAIT("[rdi + 8]", "1")
		     "xor esi, esi\n1: inc esi\n" ICR("0x4040", "1")
		     AWAIT("[rdi]", "esi") "cmp esi, 300\njb 1b\n" STOP),
	    CODE(READY));
	IS(mem(t, T_DATA, 4), 300);
	check(t, "SDM 3A 11.6.1: NMIs to all but itself");
	memset(gvm_ptr(t->g, T_DATA), 0, 24);
	both(t, CODE(START_AP "mov edi, 0xa0000\n" AWAIT("[rdi + 8]", "1")
		     "xor esi, esi\n1: inc esi\n" ICR("0xc4400", "0")
		     AWAIT("[rdi + 4]", "esi") "cmp esi, 300\njb 1b\n" STOP),
	    CODE(READY));
	IS(mem(t, T_DATA + 4, 4), 300);
	check(t, "SDM 3A 11.6.2.1: a broadcast reaches both");
	memset(gvm_ptr(t->g, T_DATA), 0, 24);
	both(t, CODE(START_AP "mov edi, 0xa0000\n" AWAIT("[rdi + 8]", "1")
		     "sti\n" ICR("0x4040", "0xffffffff")
		     AWAIT("[rdi]", "2") "cli\n" STOP),
	    CODE(READY));
	IS(mem(t, T_DATA, 4), 2);
}

static uint64_t
signals_of(struct t *t, unsigned id)
{
	struct vmm_stat s[VMM_STATS_MAX];
	unsigned n = vcpu_stats(vm_vcpu(t->g->vm, id), s, VMM_STATS_MAX);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(s[i].name, "run_signals") == 0)
			return (s[i].value);
	return (0);
}

/* The PIC's output, for a processor with LINT0 masked, and once it is not. */
static void
pic(struct t *t)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t before, kicks = 32;
	struct ap ap;

	put_trampoline(t);
	handler(t, 0x31, CODE("inc dword ptr [0xa0004]\n"
			      "and dword ptr [rsp + 16], ~0x200\niretq\n"));
	memset(gvm_ptr(t->g, T_DATA), 0, 24);
	put(t, AP_CODE,
	    CODE(X2APIC "mov ecx, 0x835\nmov eax, 0x10700\nxor edx, edx\n"
			"wrmsr\nsti\ninc dword ptr [rdi]\n"
			AWAIT("[rdi + 8]", "1")
			"mov ecx, 0x835\nmov eax, 0x700\nxor edx, edx\n"
			"wrmsr\n" AWAIT("[rdi + 4]", "1")
			"inc dword ptr [rdi + 12]\n1: hlt\njmp 1b\n"));
	check(t, "vmm.h: the PIC is nobody's to wake a processor for that has "
		 "LINT0 masked");
	kernel(t, CODE(START_AP "mov edi, 0xa0000\n" AWAIT("[rdi]", "1") STOP));
	ap_begin(t, &ap);
	GO(GO_STOP);
	/* At first it has to look itself; it may have no core for a while. */
	for (unsigned n = 0; n < 600 && kicks > 2; n++) {
		before = signals_of(t, 1);
		for (unsigned i = 0; i < 32; i++) {
			vm_extint(t->g->vm, false);
			vm_extint(t->g->vm, true);
			(void)nanosleep(&ms, NULL);
		}
		kicks = signals_of(t, 1) - before;
	}
	IS(kicks <= 2, true);
	IS(mem(t, T_DATA + 4, 4), 0);
	check(t, "SDM 3A 10.5.1: the same with LINT0 as ExtINT");
	t->g->ack_vector = 0x31;
	t->g->nack = 0;
	kernel(t, CODE("mov edi, 0xa0000\nmov dword ptr [rdi + 8], 1\n"
		       AWAIT("[rdi + 12]", "1") STOP));
	GO(GO_STOP);
	IS(mem(t, T_DATA + 4, 4), 1);
	vm_extint(t->g->vm, false);
	IS(t->g->nack, 1);
	ap_end(t, &ap);
}

/* Until the machine has ended; its last word before is a byte at a port. ns
 * from there. */
static uint64_t
halt_all(struct t *t)
{
	uint64_t end;
	struct ap ap;

	put_trampoline(t);
	put(t, AP_CODE, CODE("inc dword ptr [rdi]\ncli\n1: hlt\njmp 1b\n"));
	set_mem(t, T_DATA, 8, 0);
	kernel(t, CODE(START_AP "mov edi, 0xa0000\n" AWAIT("[rdi]", "1")
		       "out 0x80, al\ncli\nhlt\n" STOP));
	ap_begin(t, &ap);
	if (!gvm_on_kvm()) {
		GO(GO_EXIT(VM_EXITCODE_HLT));
		vcpu_wait(t->g->cpu);
	}
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
	end = vclock_now(t->g->vc);
	IS(t->exit.u.suspended.how, VM_SUSPEND_HALT);
	pthread_join(ap.thread, NULL);
	IS(ap.exit.exitcode, VM_EXITCODE_SUSPENDED);
	IS(t->g->nio, 1);
	return (end - t->g->io_when);
}

static void
halting(struct t *t)
{
	uint64_t ns;

	check(t, "vmm.h: all processors in HLT with IF 0 end the machine");
	ns = halt_all(t);
	check(t, "vmm.h: that is seen at once, or after a tenth of a second");
	/* A host that is late now and then is not late ten times. */
	for (unsigned i = 0; i < 10 && ns > 400000000; i++) {
		IS(vm_reset(t->g->vm), 0);
		ns = halt_all(t);
	}
	IS(ns > 400000000 ? ns : 0, 0);
}

/* Somebody copies what the dirty log tells of, while both write. */
struct copier {
	struct t *t;
	uint8_t *copy, *now;
	uint64_t gpa, words, *bits;
	int error;
	atomic_bool quit;
};

static void
copy_marked(struct copier *c)
{
	uint64_t page;

	if (vm_dirty_get(c->t->g->vm, c->bits, c->words) != 0)
		c->error++;
	for (unsigned i = 0; i < NFRESH; i++) {
		page = c->gpa / 4096 + i;
		if ((c->bits[page / 64] >> (page % 64)) & 1)
			memcpy(c->copy + i * 4096, c->now + i * 4096, 4096);
	}
}

static void *
copier_main(void *arg)
{
	struct copier *c = arg;

	while (!atomic_load(&c->quit))
		copy_marked(c);
	return (NULL);
}

/* Each has a counter of its own in each page, and one that is of both. */
#define WRITE_ALL                                                              \
	"mov esi, 300\n1: mov ebx, 0x800000\n"                                 \
	"2: lock inc dword ptr [rbx]\ninc dword ptr [rbx + r9]\n"              \
	"add ebx, 0x1000\ncmp ebx, 0x840000\njb 2b\ndec esi\njnz 1b\n"

static void
logging(struct t *t)
{
	uint64_t gpa = gvm_alloc(t->g, NFRESH);
	struct copier c = { .t = t, .gpa = gpa, .now = gvm_ptr(t->g, gpa),
		.words = gmem_dirty_words(t->g->gm) };
	pthread_t thread;

	for (unsigned i = 0; i < NFRESH; i++)
		gvm_map(t->g, FRESH + i * 4096ull, gpa + i * 4096ull,
		    PTE_P | PTE_W);
	c.bits = calloc(c.words, sizeof(*c.bits));
	c.copy = calloc(NFRESH, 4096);
	if (c.bits == NULL || c.copy == NULL)
		abort();
	put_trampoline(t);
	check(t, "vmm.h: a copy by the marks of two that write the same pages");
	set_mem(t, T_DATA, 4, 0);
	IS(vm_dirty_log(t->g->vm, true), 0);
	memcpy(c.copy, c.now, NFRESH * 4096);
	IS(pthread_create(&thread, NULL, copier_main, &c), 0);
	both(t, CODE(START_AP "mov edi, 0xa0000\nmov r9d, 8\n" WRITE_ALL
		     AWAIT("[rdi]", "1") STOP),
	    CODE("mov r9d, 16\n" WRITE_ALL
		 "inc dword ptr [rdi]\n1: hlt\njmp 1b\n"));
	atomic_store(&c.quit, true);
	pthread_join(thread, NULL);
	copy_marked(&c);
	IS(c.error, 0);
	IS(memcmp(c.copy, c.now, NFRESH * 4096), 0);
	for (unsigned i = 0; i < NFRESH; i += NFRESH - 1) {
		IS(mem(t, gpa + i * 4096, 4), 600);
		IS(mem(t, gpa + i * 4096 + 8, 4), 300);
		IS(mem(t, gpa + i * 4096 + 16, 4), 300);
	}
	free(c.copy);
	free(c.bits);
}

unsigned group_ncpus = 2;
const struct group_fn group[] = { { "starting", starting },
	{ "locks", locks }, { "modifying", modifying }, { "fresh", fresh },
	{ "dma", dma }, { "descriptors", descriptors },
	{ "a20", a20 }, { "interrupts", interrupts },
	{ "pic", pic }, { "halting", halting }, { "logging", logging },
	{ NULL, NULL } };
