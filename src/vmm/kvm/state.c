/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of a vcpu. General registers, RIP and RFLAGS live in the page
 * that is shared with the kernel (KVM_CAP_SYNC_REGS, api.rst 4.157); special
 * registers are fetched when somebody asks, and written before the vcpu runs:
 * who restores a machine may set them in any order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem/gmem.h"
#include "vmm/kvm/kvm.h"

#define CR0_PG (1ull << 31)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define RFLAGS_ALWAYS 2ull
#define APICBASE_EXTD (1ull << 10)
#define XSAVE_MIN 576u

static struct kvm_cpu *
get(void *priv, unsigned id)
{
	return (&((struct kvm_vm *)priv)->cpus[id]);
}

static struct kvm_regs *
regs(struct kvm_cpu *cpu)
{
	return (&cpu->run->s.regs.regs);
}

int
kvm_state_fetch(struct kvm_cpu *cpu)
{
	int error;

	if (cpu->sregs_valid)
		return (0);
	error = kvm_ioctl(cpu->fd, KVM_GET_SREGS, &cpu->sregs);
	cpu->sregs_valid = error >= 0;
	return (error < 0 ? error : 0);
}

int
kvm_state_flush(struct kvm_cpu *cpu)
{
	int error = 0;

	if (cpu->sregs_dirty)
		error = kvm_ioctl(cpu->fd, KVM_SET_SREGS, &cpu->sregs);
	cpu->sregs_dirty = cpu->sregs_valid = false;
	return (error < 0 ? error : 0);
}

int
kvm_state_init(struct kvm_cpu *cpu)
{
	int error;

	cpu->sregs_valid = cpu->sregs_dirty = false;
	cpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	cpu->run->kvm_dirty_regs = 0;
	vmm_msrs_reset(&cpu->msrs);
	error = kvm_ioctl(cpu->fd, KVM_GET_REGS, regs(cpu));
	if (error < 0 || !cpu->kvm->x2apic)
		return (error < 0 ? error : 0);
	error = kvm_state_fetch(cpu);
	if (error != 0)
		return (error);
	cpu->sregs.apic_base |= APICBASE_EXTD;
	cpu->sregs_dirty = true;
	return (kvm_state_flush(cpu));
}

/* ---- general and special registers ---- */

static __u64 *
general(struct kvm_regs *r, enum vm_reg reg)
{
	__u64 *const p[] = { &r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp,
		&r->rbp, &r->rsi, &r->rdi, &r->r8, &r->r9, &r->r10, &r->r11,
		&r->r12, &r->r13, &r->r14, &r->r15, &r->rip, &r->rflags };

	return (reg <= VM_REG_RFLAGS ? p[reg] : NULL);
}

static __u64 *
special(struct kvm_sregs *s, enum vm_reg reg)
{
	switch (reg) {
	case VM_REG_CR0:
		return (&s->cr0);
	case VM_REG_CR2:
		return (&s->cr2);
	case VM_REG_CR3:
		return (&s->cr3);
	case VM_REG_CR4:
		return (&s->cr4);
	case VM_REG_CR8:
		return (&s->cr8);
	case VM_REG_EFER:
		return (&s->efer);
	default:
		return (NULL);
	}
}

/* XCR0, debug registers and the shadow have calls of their own. Reads with
 * set == false, else writes *val. */
static int
xcr0(struct kvm_cpu *cpu, bool set, uint64_t *val)
{
	struct kvm_xcrs x;
	int error;

	memset(&x, 0, sizeof(x));
	if (set) {
		x.nr_xcrs = 1;
		x.xcrs[0].value = *val;
		error = kvm_ioctl(cpu->fd, KVM_SET_XCRS, &x);
		return (error < 0 ? error : 0);
	}
	*val = 1;
	error = kvm_ioctl(cpu->fd, KVM_GET_XCRS, &x);
	for (unsigned i = 0; error >= 0 && i < x.nr_xcrs && i < KVM_MAX_XCRS;
	     i++)
		if (x.xcrs[i].xcr == 0)
			*val = x.xcrs[i].value;
	return (error < 0 ? error : 0);
}

static int
debugreg(struct kvm_cpu *cpu, enum vm_reg reg, bool set, uint64_t *val)
{
	struct kvm_debugregs d;
	__u64 *p;
	int error;

	error = kvm_ioctl(cpu->fd, KVM_GET_DEBUGREGS, &d);
	if (error < 0)
		return (error);
	p = reg == VM_REG_DR6 ? &d.dr6 :
	    reg == VM_REG_DR7 ? &d.dr7 :
				&d.db[reg - VM_REG_DR0];
	if (!set) {
		*val = *p;
		return (0);
	}
	*p = *val;
	d.flags = 0;
	error = kvm_ioctl(cpu->fd, KVM_SET_DEBUGREGS, &d);
	return (error < 0 ? error : 0);
}

static int
shadow(struct kvm_cpu *cpu, bool set, uint64_t *val)
{
	struct kvm_vcpu_events ev;
	int error;

	error = kvm_ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &ev);
	if (error < 0)
		return (error);
	if (!set) {
		*val = ev.interrupt.shadow != 0;
		return (0);
	}
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW;
	ev.interrupt.shadow =
	    *val != 0 ? KVM_X86_SHADOW_INT_STI : 0;
	error = kvm_ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &ev);
	return (error < 0 ? error : 0);
}

int
kvm_get_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t *val)
{
	struct kvm_cpu *cpu = get(priv, id);
	int error;

	if (general(regs(cpu), reg) != NULL) {
		*val = *general(regs(cpu), reg);
		return (0);
	}
	if (special(&cpu->sregs, reg) != NULL) {
		error = kvm_state_fetch(cpu);
		*val = *special(&cpu->sregs, reg);
		return (error);
	}
	if (reg == VM_REG_XCR0)
		return (xcr0(cpu, false, val));
	if (reg >= VM_REG_DR0 && reg <= VM_REG_DR7)
		return (debugreg(cpu, reg, false, val));
	if (reg == VM_REG_INTR_SHADOW)
		return (shadow(cpu, false, val));
	return (-EINVAL);
}

/* A vcpu that gets a new RIP waits no more (KVM_SET_MP_STATE, 4.39). */
static int
wake(struct kvm_cpu *cpu)
{
	struct kvm_mp_state mp;
	int error;

	error = kvm_ioctl(cpu->fd, KVM_GET_MP_STATE, &mp);
	if (error < 0 || mp.mp_state != KVM_MP_STATE_HALTED)
		return (error < 0 ? error : 0);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	error = kvm_ioctl(cpu->fd, KVM_SET_MP_STATE, &mp);
	return (error < 0 ? error : 0);
}

int
kvm_set_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t val)
{
	struct kvm_cpu *cpu = get(priv, id);
	int error;

	if (general(regs(cpu), reg) != NULL) {
		if (reg == VM_REG_RFLAGS)
			val |= RFLAGS_ALWAYS;
		*general(regs(cpu), reg) = val;
		cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
		return (reg == VM_REG_RIP ? wake(cpu) : 0);
	}
	if (special(&cpu->sregs, reg) != NULL) {
		error = kvm_state_fetch(cpu);
		if (error != 0)
			return (error);
		*special(&cpu->sregs, reg) = val;
		/* LMA is what PG and LME make it. */
		if ((cpu->sregs.cr0 & CR0_PG) != 0 &&
		    (cpu->sregs.efer & EFER_LME) != 0)
			cpu->sregs.efer |= EFER_LMA;
		else
			cpu->sregs.efer &= ~EFER_LMA;
		cpu->sregs_dirty = true;
		return (0);
	}
	if (reg == VM_REG_XCR0)
		return (xcr0(cpu, true, &val));
	if (reg >= VM_REG_DR0 && reg <= VM_REG_DR7)
		return (debugreg(cpu, reg, true, &val));
	if (reg == VM_REG_INTR_SHADOW)
		return (shadow(cpu, true, &val));
	return (-EINVAL);
}

/* ---- segments ---- */

static struct kvm_segment *
segment(struct kvm_sregs *s, enum vm_segreg seg)
{
	struct kvm_segment *const p[] = { &s->es, &s->cs, &s->ss, &s->ds,
		&s->fs, &s->gs, &s->ldt, &s->tr };

	return (seg < VM_SEG_GDTR ? p[seg] : NULL);
}

int
kvm_get_seg(void *priv, unsigned id, enum vm_segreg seg, struct vm_seg *val)
{
	struct kvm_cpu *cpu = get(priv, id);
	struct kvm_segment *s;
	struct kvm_dtable *d;
	int error;

	if (seg >= VM_SEG_MAX)
		return (-EINVAL);
	error = kvm_state_fetch(cpu);
	memset(val, 0, sizeof(*val));
	s = segment(&cpu->sregs, seg);
	if (s == NULL) {
		d = seg == VM_SEG_GDTR ? &cpu->sregs.gdt : &cpu->sregs.idt;
		val->base = d->base;
		val->limit = d->limit;
		return (error);
	}
	val->base = s->base;
	val->limit = s->limit;
	val->sel = s->selector;
	val->access = s->type | (uint32_t)s->s << 4 | (uint32_t)s->dpl << 5 |
	    (uint32_t)s->present << 7 | (uint32_t)s->avl << 12 |
	    (uint32_t)s->l << 13 | (uint32_t)s->db << 14 |
	    (uint32_t)s->g << 15 | (s->unusable ? VM_SEG_UNUSABLE : 0);
	return (error);
}

int
kvm_set_seg(
    void *priv, unsigned id, enum vm_segreg seg, const struct vm_seg *val)
{
	struct kvm_cpu *cpu = get(priv, id);
	struct kvm_segment *s;
	struct kvm_dtable *d;
	int error;

	if (seg >= VM_SEG_MAX)
		return (-EINVAL);
	error = kvm_state_fetch(cpu);
	if (error != 0)
		return (error);
	cpu->sregs_dirty = true;
	s = segment(&cpu->sregs, seg);
	if (s == NULL) {
		d = seg == VM_SEG_GDTR ? &cpu->sregs.gdt : &cpu->sregs.idt;
		d->base = val->base;
		d->limit = (uint16_t)val->limit;
		return (0);
	}
	memset(s, 0, sizeof(*s));
	s->base = val->base;
	s->limit = val->limit;
	s->selector = val->sel;
	s->type = val->access & 15;
	s->s = (val->access & VM_SEG_S) != 0;
	s->dpl = VM_SEG_DPL(val->access);
	s->present = (val->access & VM_SEG_P) != 0;
	s->avl = (val->access >> 12) & 1;
	s->l = (val->access & VM_SEG_L) != 0;
	s->db = (val->access & VM_SEG_DB) != 0;
	s->g = (val->access & VM_SEG_G) != 0;
	s->unusable = (val->access & VM_SEG_UNUSABLE) != 0;
	return (0);
}

/* ---- XSAVE ---- */

/* In the kernel's form: at least a page (KVM_GET_XSAVE2, 4.134). */
static size_t
xsave_room(struct kvm_cpu *cpu)
{
	int size = kvm_check(cpu->kvm->fd, KVM_CAP_XSAVE2);

	return (size > (int)sizeof(struct kvm_xsave) ?
		(size_t)size :
		sizeof(struct kvm_xsave));
}

/* Of all that the guest may enable. */
static uint32_t
xsave_size(const struct kvm_cpu *cpu)
{
	struct cpuid_dynamic dyn = { 0 };
	uint32_t r[4];

	cpuid_query(&cpu->kvm->cpuid, &dyn, 0xd, 0, r);
	return (r[2] < XSAVE_MIN ? XSAVE_MIN : r[2]);
}

int
kvm_get_xsave(void *priv, unsigned id, void *buf, uint32_t *len)
{
	struct kvm_cpu *cpu = get(priv, id);
	uint32_t size = xsave_size(cpu);
	size_t room = xsave_room(cpu);
	uint8_t *x;
	int error;

	if (*len < size)
		return (-ENOSPC);
	if (size > room)
		return (-EIO);
	x = calloc(1, room);
	if (x == NULL)
		return (-ENOMEM);
	error = kvm_ioctl(cpu->fd,
	    room > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
	    x);
	if (error >= 0) {
		memcpy(buf, x, size);
		*len = size;
	}
	free(x);
	return (error < 0 ? error : 0);
}

int
kvm_set_xsave(void *priv, unsigned id, const void *buf, uint32_t len)
{
	struct kvm_cpu *cpu = get(priv, id);
	size_t room = xsave_room(cpu);
	uint32_t mxcsr;
	uint64_t bv;
	uint8_t *x;
	int error;

	if (len < XSAVE_MIN || len > room)
		return (-EINVAL);
	memcpy(&bv, (const uint8_t *)buf + 512, 8);
	memcpy(&mxcsr, (const uint8_t *)buf + 24, 4);
	if ((bv & ~cpu->kvm->cpuid.xcr0) != 0 || (mxcsr & ~0xffffu) != 0)
		return (-EINVAL);
	x = calloc(1, room);
	if (x == NULL)
		return (-ENOMEM);
	memcpy(x, buf, len);
	memset(x + 520, 0, 56); /* XCOMP_BV and what is reserved */
	error = kvm_ioctl(cpu->fd, KVM_SET_XSAVE, x);
	free(x);
	return (error < 0 ? error : 0);
}

/* ---- local APIC, exceptions ---- */

/*
 * The kernel takes the registers all at once (KVM_SET_LAPIC, 4.58). Those
 * whose writes do something else than to be stored are not for this call.
 */
int
kvm_set_apic(void *priv, unsigned id, unsigned offset, uint32_t val)
{
	struct kvm_cpu *cpu = get(priv, id);
	struct kvm_lapic_state l;
	int error;

	if ((offset & 0xf) != 0 || offset > 0xff0 || offset == 0xb0 ||
	    offset == 0x300 || offset == 0x3f0)
		return (-EINVAL);
	error = kvm_state_fetch(cpu);
	if (error != 0)
		return (error);
	if ((cpu->sregs.apic_base & 1u << 11) == 0)
		return (-ENODEV);
	/* The kernel looks at the mode that it knows of. */
	if (cpu->sregs_dirty)
		error = kvm_state_flush(cpu);
	if (error == 0)
		error = kvm_ioctl(cpu->fd, KVM_GET_LAPIC, &l);
	if (error < 0)
		return (error);
	memcpy(l.regs + offset, &val, sizeof(val));
	error = kvm_ioctl(cpu->fd, KVM_SET_LAPIC, &l);
	return (error < 0 ? error : 0);
}

int
kvm_inject_exception(void *priv, unsigned id, uint8_t vector, bool has_error,
    uint32_t code)
{
	struct kvm_cpu *cpu = get(priv, id);
	struct kvm_vcpu_events ev;
	int error;

	error = kvm_ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &ev);
	if (error < 0)
		return (error);
	if (ev.exception.injected || vector > 31)
		return (ev.exception.injected ? -EBUSY : -EINVAL);
	ev.flags = 0;
	ev.exception.injected = 1;
	ev.exception.nr = vector;
	ev.exception.has_error_code = has_error;
	ev.exception.error_code = code;
	error = kvm_ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &ev);
	return (error < 0 ? error : 0);
}

void
kvm_dump(void *priv, unsigned id, FILE *out)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx",
		"rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
		"r13", "r14", "r15" };
	static const char *const segs[] = { "es", "cs", "ss", "ds", "fs", "gs",
		"ldtr", "tr", "gdtr", "idtr" };
	struct kvm_cpu *cpu = get(priv, id);
	const struct kvm_regs *r = regs(cpu);
	const struct kvm_sregs *s = &cpu->sregs;
	struct vm_seg v;

	(void)kvm_state_fetch(cpu);
	for (unsigned i = 0; i < 16; i++)
		fprintf(out, "%-4s 0x%016llx%s", names[i],
		    *general(regs(cpu), (enum vm_reg)i),
		    i % 4 == 3 ? "\n" : "  ");
	fprintf(out, "rip  0x%016llx  rflags 0x%llx  cpl %u\n", r->rip,
	    r->rflags, s->ss.dpl);
	fprintf(out,
	    "cr0  0x%llx  cr2 0x%llx  cr3 0x%llx  cr4 0x%llx  efer 0x%llx\n",
	    s->cr0, s->cr2, s->cr3, s->cr4, s->efer);
	for (unsigned i = 0; i < VM_SEG_MAX; i++) {
		(void)kvm_get_seg(priv, id, (enum vm_segreg)i, &v);
		fprintf(out, "%-4s sel 0x%04x base 0x%016lx limit 0x%08x "
			     "access 0x%05x\n",
		    segs[i], v.sel, v.base, v.limit, v.access);
	}
}
