/* SPDX-License-Identifier: BSD-2-Clause */
#include "gvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WATCHDOG_NS 1000000000ull

#define CR0_START 0x80010033ull /* PG WP NE ET MP PE */
/* DE PAE PGE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE */
#define CR4_START 0x506a8ull

static void
log_io(struct gvm *g, bool write, bool port, unsigned size, uint64_t addr,
    uint64_t val)
{
	struct gvm_io *io;

	if (g->nio >= sizeof(g->io) / sizeof(g->io[0]))
		return;
	io = &g->io[g->nio++];
	g->io_when = vclock_now(g->vc);
	io->write = write;
	io->port = port;
	io->size = size;
	io->addr = addr;
	io->val = val;
}

static int
port_read(void *arg, struct vcpu *vcpu, uint16_t port, unsigned size,
    uint32_t *val)
{
	struct gvm *g = arg;

	(void)vcpu;
	*val = (uint32_t)g->io_answer;
	log_io(g, false, true, size, port, *val);
	return (0);
}

static int
port_write(
    void *arg, struct vcpu *vcpu, uint16_t port, unsigned size, uint32_t val)
{
	struct gvm *g = arg;

	if (port == GVM_A20_PORT)
		vm_set_a20(g->vm, (val & 2) != 0);
	if (port == GVM_STOP_PORT) {
		g->stopped = true;
		vcpu_kick(vcpu);
		return (0);
	}
	log_io(g, true, true, size, port, val);
	return (0);
}

static int
mem_read(void *arg, struct vcpu *vcpu, uint64_t gpa, unsigned size,
    uint64_t *val)
{
	struct gvm *g = arg;

	(void)vcpu;
	if (gpa < GVM_MMIO || gpa >= GVM_MMIO + 0x10000)
		return (-ENOENT);
	if (g->mem_hook != NULL)
		g->mem_hook(g);
	/* Each byte tells where it is from. */
	*val = g->io_answer + 0x0101010101010101ull * (gpa & 0xff);
	if (size < 8)
		*val &= (1ull << (8 * size)) - 1;
	log_io(g, false, false, size, gpa, *val);
	return (0);
}

static int
mem_write(void *arg, struct vcpu *vcpu, uint64_t gpa, unsigned size,
    uint64_t val)
{
	(void)vcpu;
	if (gpa < GVM_MMIO || gpa >= GVM_MMIO + 0x10000)
		return (-ENOENT);
	log_io(arg, true, false, size, gpa, val);
	return (0);
}

static void
eoi(void *arg, struct vcpu *vcpu, uint8_t vector, bool level)
{
	struct gvm *g = arg;

	(void)vcpu;
	g->eoi_vector = vector;
	g->eoi_level = level;
	g->neoi++;
}

static int
intr_ack(void *arg)
{
	struct gvm *g = arg;

	g->nack++;
	if (g->ack_vector >= 0)
		vm_extint(g->vm, false);
	return (g->ack_vector);
}

static const struct vmm_io_ops ops = { port_read, port_write, mem_read,
	mem_write, eoi, intr_ack };

static void *
loop_main(void *arg)
{
	(void)mevent_run(arg);
	return (NULL);
}

static void
watchdog(void *arg)
{
	struct gvm *g = arg;

	if (g->run != g->seen)
		g->ticks = 0;
	if (g->running && g->run == g->seen && g->ticks++ >= g->patience) {
		g->hung = true;
		vcpu_kick(g->cpu);
	}
	g->seen = g->run;
	vtimer_arm(&g->watchdog, vclock_now(g->vc) + WATCHDOG_NS);
}

static void
soon(void *arg)
{
	struct gvm *g = arg;

	if (!g->running)
		return;
	if (g->suspend_soon) {
		(void)vm_suspend(g->vm, VM_SUSPEND_POWEROFF);
		return;
	}
	g->hung = true;
	vcpu_kick(g->cpu);
}

void *
gvm_ptr(struct gvm *g, uint64_t gpa)
{
	return (gmem_map(g->gm, gpa, 1));
}

void
gvm_write(struct gvm *g, uint64_t gpa, const void *buf, size_t len)
{
	(void)gmem_write(g->gm, gpa, buf, len);
}

uint64_t
gvm_alloc(struct gvm *g, unsigned pages)
{
	uint64_t gpa = g->next_page;

	g->next_page += pages * 4096ull;
	return (g->next_page <= GVM_RAM ? gpa : 0);
}

uint64_t *
gvm_pte(struct gvm *g, uint64_t lin)
{
	uint64_t *table = gvm_ptr(g, GVM_TABLES), *e;

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		e = &table[(lin >> shift) & 511];
		if ((*e & PTE_P) == 0) {
			g->next_table += 4096;
			*e = g->next_table | PTE_P | PTE_W | PTE_U;
		}
		table = gvm_ptr(g, *e & 0xffffffffff000ull);
	}
	return (&table[(lin >> 12) & 511]);
}

void
gvm_map(struct gvm *g, uint64_t lin, uint64_t gpa, uint64_t flags)
{
	*gvm_pte(g, lin) = gpa | flags;
}

void
gvm_gate(
    struct gvm *g, unsigned vector, uint64_t rip, unsigned ist, unsigned dpl)
{
	uint64_t d[2];

	d[0] = (rip & 0xffff) | (uint64_t)GVM_KCODE << 16 |
	    (uint64_t)ist << 32 | (uint64_t)(0x8e | dpl << 5) << 40 |
	    (rip >> 16 & 0xffff) << 48;
	d[1] = rip >> 32;
	gvm_write(g, GVM_IDT + 16 * vector, d, sizeof(d));
}

static void
build_tables(struct gvm *g)
{
	static const uint64_t gdt[8] = { 0, 0x00af9b000000ffff,
		0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff,
		0x00affb000000ffff, 0x00008b0000000067 | GVM_TSS << 16, 0 };
	uint8_t tss[104] = { 0 };
	uint64_t v;

	gvm_write(g, GVM_GDT, gdt, sizeof(gdt));
	v = GVM_STACK_TOP;
	memcpy(tss + 4, &v, 8); /* RSP0 */
	v = GVM_IST1_TOP;
	memcpy(tss + 36, &v, 8); /* IST1 */
	v = 104;
	memcpy(tss + 102, &v, 2); /* no I/O bitmap */
	gvm_write(g, GVM_TSS, tss, sizeof(tss));
	for (unsigned i = 0; i < 256; i++) {
		gvm_write(g, GVM_STUBS + 16 * i, GVM_STOP_CODE, GVM_STOP_LEN);
		gvm_gate(g, i, GVM_STUBS + 16 * i, 1, 3);
	}
	for (uint64_t a = 0; a < GVM_PAGES; a += 4096)
		gvm_map(g, a, a, PTE_P | PTE_W);
}

bool
gvm_on_kvm(void)
{
	const char *engine = getenv("LHYVE_ENGINE");

	return (engine != NULL && strcmp(engine, "kvm") == 0);
}

bool
gvm_has_rings(void)
{
	int fd = -1, r = 0;

	if (gvm_on_kvm() && getenv("LHYVE_NO_RING") == NULL)
		fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return (false);
	r = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING);
	(void)close(fd);
	return (r > 0);
}

int
gvm_create(struct gvm **out, unsigned ncpus, unsigned options)
{
	return (gvm_create_cpu(out, ncpus, options, NULL));
}

int
gvm_create_cpu(struct gvm **out, unsigned ncpus, unsigned options,
    const struct cpuid_choice *cpu)
{
	struct vm_config cfg = { .engine = gvm_on_kvm() ? VM_ENGINE_KVM :
							  VM_ENGINE_SOFT,
		.ncpus = ncpus,
		.cpu = cpu };
	struct gvm *g = calloc(1, sizeof(*g));
	struct vm_error why = { "" };
	void *rom = NULL;
	int error;

	if (g == NULL)
		return (-ENOMEM);
	error = gmem_create(&g->gm, GVM_RAM);
	if (error == 0)
		error = gmem_add_rom(g->gm, GVM_ROM_SIZE, &rom);
	g->rom = rom;
	if (error == 0)
		error = mevent_loop_create(&g->loop);
	if (error == 0)
		error = vclock_create(&g->vc, g->loop);
	if (error != 0)
		goto fail;
	cfg.err = &why;
	cfg.gmem = g->gm;
	cfg.vclock = g->vc;
	cfg.ops = &ops;
	cfg.ops_arg = g;
	cfg.soft_no_link = (options & GVM_NO_LINK) != 0;
	cfg.soft_no_tlb = (options & GVM_NO_TLB) != 0;
	cfg.soft_one_insn = (options & GVM_ONE_INSN) != 0;
	if (options & GVM_MIRROR)
		cfg.soft_mirror = SOFT_MIRROR_EAGER;
	cfg.soft_off = options >> 16;
	cfg.kvm_no_ring = getenv("LHYVE_NO_RING") != NULL;
	error = vm_create(&g->vm, &cfg);
	if (error != 0)
		goto fail;
	g->cpu = vm_vcpu(g->vm, 0);
	(void)vcpu_set_cap(g->cpu, VM_CAP_HALT_EXIT, true);
	g->next_table = GVM_TABLES;
	g->next_page = GVM_PAGES;
	build_tables(g);
	vtimer_init(&g->watchdog, g->vc, watchdog, g);
	vtimer_arm(&g->watchdog, WATCHDOG_NS);
	vtimer_init(&g->soon, g->vc, soon, g);
	g->ack_vector = -1;
	/* Each exit takes its time where KVM runs in an emulation. */
	g->patience = gvm_on_kvm() ? 20 : 0;
	error = -pthread_create(&g->thread, NULL, loop_main, g->loop);
	if (error != 0)
		goto fail;
	g->thread_on = true;
	*out = g;
	return (0);
fail:
	if (why.msg[0] != '\0')
		fprintf(stderr, "gvm: %s\n", why.msg);
	gvm_destroy(g);
	return (error);
}

void
gvm_destroy(struct gvm *g)
{
	if (g == NULL)
		return;
	if (g->thread_on) {
		vtimer_cancel(&g->watchdog);
		vtimer_cancel(&g->soon);
		mevent_stop(g->loop);
		pthread_join(g->thread, NULL);
	}
	if (g->vm != NULL)
		vm_destroy(g->vm);
	if (g->vc != NULL)
		vclock_destroy(g->vc);
	if (g->loop != NULL)
		mevent_loop_destroy(g->loop);
	gmem_destroy(g->gm);
	free(g->before);
	free(g);
}

uint64_t
gvm_get(struct gvm *g, enum vm_reg reg)
{
	uint64_t v = 0;

	(void)vcpu_get_reg(g->cpu, reg, &v);
	return (v);
}

void
gvm_set(struct gvm *g, enum vm_reg reg, uint64_t val)
{
	(void)vcpu_set_reg(g->cpu, reg, val);
}

void
gvm_set_seg_base(struct gvm *g, enum vm_segreg seg, uint64_t base)
{
	struct vm_seg s = { .base = base, .limit = 0xffffffff,
		.access = 0xc093, .sel = GVM_KDATA };

	(void)vcpu_set_seg(g->cpu, seg, &s);
}

static void
set_segments(struct gvm *g, bool user)
{
	struct vm_seg s = { .limit = 0xffffffff };
	struct vm_seg gdtr = { .base = GVM_GDT, .limit = 63 };
	struct vm_seg idtr = { .base = GVM_IDT, .limit = 4095 };
	struct vm_seg tr = { .base = GVM_TSS, .limit = 0x67, .access = 0x8b,
		.sel = GVM_TR };
	struct vm_seg ldtr = { .access = VM_SEG_UNUSABLE };

	s.access = user ? 0xa0fb : 0xa09b;
	s.sel = user ? GVM_UCODE : GVM_KCODE;
	(void)vcpu_set_seg(g->cpu, VM_SEG_CS, &s);
	s.access = user ? 0xc0f3 : 0xc093;
	s.sel = user ? GVM_UDATA : GVM_KDATA;
	for (unsigned i = 0; i < VM_SEG_LDTR; i++)
		if (i != VM_SEG_CS)
			(void)vcpu_set_seg(g->cpu, (enum vm_segreg)i, &s);
	(void)vcpu_set_seg(g->cpu, VM_SEG_GDTR, &gdtr);
	(void)vcpu_set_seg(g->cpu, VM_SEG_IDTR, &idtr);
	(void)vcpu_set_seg(g->cpu, VM_SEG_TR, &tr);
	(void)vcpu_set_seg(g->cpu, VM_SEG_LDTR, &ldtr);
}

void
gvm_start(struct gvm *g, uint64_t rip)
{
	g->nio = 0;
	gvm_set(g, VM_REG_EFER, 0xd01); /* NXE LMA LME SCE */
	gvm_set(g, VM_REG_CR4, CR4_START);
	gvm_set(g, VM_REG_CR3, GVM_TABLES);
	gvm_set(g, VM_REG_CR0, CR0_START);
	set_segments(g, false);
	gvm_set(g, VM_REG_RFLAGS, 2);
	gvm_set(g, VM_REG_RSP, GVM_STACK_TOP);
	gvm_set(g, VM_REG_RIP, rip);
	gvm_set(g, VM_REG_CR2, 0);
	gvm_set(g, VM_REG_INTR_SHADOW, 0);
}

void
gvm_start_user(struct gvm *g, uint64_t rip, uint64_t rsp)
{
	gvm_start(g, rip);
	set_segments(g, true);
	gvm_set(g, VM_REG_RFLAGS, 0x202);
	gvm_set(g, VM_REG_RSP, rsp);
}

/* ---- LHYVE_DIRTY ---- */


static int
dirty_begin(struct gvm *g)
{
	int error;

	if (getenv("LHYVE_DIRTY") == NULL || vm_ncpus(g->vm) != 1)
		return (0);
	if (g->before == NULL)
		g->before = malloc(GVM_RAM);
	if (g->before == NULL)
		return (-ENOMEM);
	if (!gmem_dirty_logged(g->gm)) {
		error = vm_dirty_log(g->vm, true);
		if (error != 0)
			return (error);
	}
	memcpy(g->before, gvm_ptr(g, 0), g->next_page);
	return (0);
}

static int
dirty_end(struct gvm *g)
{
	uint64_t *bits, n = gmem_dirty_words(g->gm);
	int error;

	if (g->before == NULL)
		return (0);
	bits = calloc(n, sizeof(*bits));
	if (bits == NULL)
		return (-ENOMEM);
	error = vm_dirty_get(g->vm, bits, n);
	for (uint64_t p = 0; p < g->next_page / 4096 && error == 0; p++)
		if (((bits[p / 64] >> (p % 64)) & 1) == 0 &&
		    memcmp(g->before + p * 4096, gvm_ptr(g, p * 4096),
			4096) != 0) {
			printf("FAIL: page 0x%llx has no mark\n",
			    (unsigned long long)p);
			error = -EIO;
		}
	free(bits);
	return (error);
}

int
gvm_run(struct gvm *g, struct vm_exit *e, uint64_t *stop)
{
	int error;

	*stop = 0;
	error = dirty_begin(g);
	if (error != 0)
		return (error);
	g->hung = g->stopped = false;
	g->run++;
	g->running = true;
	if (g->kick_soon || g->suspend_soon)
		vtimer_arm(&g->soon, vclock_now(g->vc) + 20000000);
	do {
		memset(e, 0, sizeof(*e));
		error = vcpu_run(g->cpu, e);
	} while (error == 0 && e->exitcode == VM_EXITCODE_BOGUS &&
	    !g->hung && !g->stopped);
	g->running = g->kick_soon = g->suspend_soon = false;
	if (error == 0)
		error = dirty_end(g);
	if (error == 0 && g->stopped) {
		*stop = gvm_get(g, VM_REG_RIP) - 2;
		return (0);
	}
	if (error == 0 && g->hung)
		error = -ETIMEDOUT;
	return (error);
}

int
gvm_stub(uint64_t stop)
{
	if (stop < GVM_STUBS || stop >= GVM_STUBS + 4096 || stop % 16 != 0)
		return (-1);
	return ((int)(stop - GVM_STUBS) / 16);
}

/* SDM volume 3, table 6-1. */
bool
gvm_has_error(unsigned vector)
{
	return (vector == 8 || (vector >= 10 && vector <= 14) ||
	    vector == 17 || vector == 21);
}

void
gvm_frame(struct gvm *g, unsigned vector, struct gvm_frame *f)
{
	memcpy(f, gvm_ptr(g, GVM_IST1_TOP - 48), sizeof(*f));
	if (!gvm_has_error(vector))
		f->error = 0;
}
