/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory accesses that translated code does not do itself: TLB misses,
 * accesses across pages, I/O, pages with translated code, and accesses by
 * helpers. A light file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/mirror.h"
#include "vmm/soft/soft.h"

void
soft_copy(void *dst, const void *src, size_t n)
{
	__asm__ volatile("rep movsb"
			 : "+D"(dst), "+S"(src), "+c"(n)
			 :
			 : "memory");
}

/* ---- physical accesses ---- */

uint64_t
soft_phys_read(struct soft_cpu *cpu, uint64_t gpa, unsigned size)
{
	struct soft_vm *vm = cpu->vm;
	uint64_t v = 0;
	unsigned kind;

	if (soft_is_memory(vm, gpa) && soft_is_memory(vm, gpa + size - 1)) {
		soft_copy(&v, vm->ram + gpa, size);
		return (v);
	}
	cpu->stat.io++;
	soft_fpu_leave(cpu);
	if (soft_is_lapic(cpu, gpa))
		return (soft_lapic_mmio_read(cpu, gpa));
	v = ~0ull;
	kind = soft_clock(cpu, TIME_IO);
	if (vm->ops->mem_read == NULL ||
	    vm->ops->mem_read(vm->ops_arg, cpu->vcpu, gpa, size, &v) != 0)
		v = ~0ull;
	(void)soft_clock(cpu, kind);
	return (size == 8 ? v : v & ((1ull << size * 8) - 1));
}

void
soft_phys_write(struct soft_cpu *cpu, uint64_t gpa, unsigned size, uint64_t v)
{
	struct soft_vm *vm = cpu->vm;
	unsigned kind;

	if (soft_is_ram(vm, gpa) && soft_is_ram(vm, gpa + size - 1)) {
		soft_copy(vm->ram + gpa, &v, size);
		soft_dirty(vm, gpa);
		soft_dirty(vm, gpa + size - 1);
		if (soft_page_hit(vm, gpa, size))
			soft_invalidate(vm, gpa, size);
		return;
	}
	cpu->stat.io++;
	soft_fpu_leave(cpu);
	if (soft_is_lapic(cpu, gpa)) {
		soft_lapic_mmio_write(cpu, gpa, (uint32_t)v);
		return;
	}
	kind = soft_clock(cpu, TIME_IO);
	if (vm->ops->mem_write != NULL)
		(void)vm->ops->mem_write(
		    vm->ops_arg, cpu->vcpu, gpa, size, v);
	(void)soft_clock(cpu, kind);
}

/* I/O of any length: in naturally aligned pieces of up to 8 bytes. */
static unsigned
io_piece(uint64_t gpa, unsigned len)
{
	unsigned n = 8;

	while (n > len || (gpa & (n - 1)) != 0)
		n >>= 1;
	return (n);
}

static void
io_read(struct soft_cpu *cpu, uint64_t gpa, uint8_t *buf, unsigned len)
{
	uint64_t v;
	unsigned n;

	for (; len > 0; gpa += n, buf += n, len -= n) {
		n = io_piece(gpa, len);
		v = soft_phys_read(cpu, gpa, n);
		soft_copy(buf, &v, n);
	}
}

static void
io_write(struct soft_cpu *cpu, uint64_t gpa, const uint8_t *buf, unsigned len)
{
	uint64_t v;
	unsigned n;

	for (; len > 0; gpa += n, buf += n, len -= n) {
		n = io_piece(gpa, len);
		v = 0;
		soft_copy(&v, buf, n);
		soft_phys_write(cpu, gpa, n, v);
	}
}

/* ---- accesses by helpers ---- */

static unsigned
in_page(uint64_t va, unsigned len)
{
	unsigned n = 0x1000 - (unsigned)(va & 0xfff);

	return (len < n ? len : n);
}

void
soft_read_va(
    struct soft_cpu *cpu, uint64_t va, void *buf, unsigned len, unsigned m)
{
	uint8_t *out = buf;

	if (cpu->flags & BF_STEP)
		soft_watch(cpu, va, len, false);
	while (len > 0) {
		unsigned n = in_page(va, len);
		uint64_t gpa;
		uint8_t *p = soft_translate_va(cpu, va, ACC_R, m, &gpa);

		if (p != NULL)
			soft_copy(out, p, n);
		else
			io_read(cpu, gpa, out, n);
		va += n;
		out += n;
		len -= n;
	}
}

void
soft_probe_write(struct soft_cpu *cpu, uint64_t va, unsigned len, unsigned m)
{
	while (len > 0) {
		unsigned n = in_page(va, len);

		soft_check_va(cpu, va, ACC_W, m);
		va += n;
		len -= n;
	}
}

void
soft_write_va(struct soft_cpu *cpu, uint64_t va, const void *buf,
    unsigned len, unsigned m)
{
	const uint8_t *in = buf;

	if (cpu->flags & BF_STEP)
		soft_watch(cpu, va, len, true);
	/* All or nothing: a fault on the second page comes first. */
	if (in_page(va, len) < len)
		soft_probe_write(cpu, va, len, m);
	while (len > 0) {
		unsigned n = in_page(va, len);
		uint64_t gpa;
		uint8_t *p = soft_translate_va(cpu, va, ACC_W, m, &gpa);

		if (p != NULL) {
			soft_copy(p, in, n);
			if (soft_page_hit(cpu->vm, gpa, n))
				soft_invalidate(cpu->vm, gpa, n);
		} else
			io_write(cpu, gpa, in, n);
		va += n;
		in += n;
		len -= n;
	}
}

uint64_t
soft_ld(struct soft_cpu *cpu, uint64_t va, unsigned size, unsigned m)
{
	uint64_t v = 0;

	if ((cpu->flags & BF_AC) && m == MMU_USER)
		soft_check_align(cpu, va, size);
	soft_read_va(cpu, va, &v, size, m);
	return (v);
}

void
soft_st(
    struct soft_cpu *cpu, uint64_t va, unsigned size, unsigned m, uint64_t v)
{
	if ((cpu->flags & BF_AC) && m == MMU_USER)
		soft_check_align(cpu, va, size);
	soft_write_va(cpu, va, &v, size, m);
}

uint8_t
soft_rmw8(struct soft_cpu *cpu, uint64_t va, uint8_t set, uint8_t clear)
{
	_Atomic uint8_t *p;
	uint64_t gpa;
	uint8_t old;

	if (cpu->flags & BF_STEP)
		soft_watch(cpu, va, 1, true);
	p = (_Atomic uint8_t *)soft_translate_va(
	    cpu, va, ACC_W, MMU_KERNEL, &gpa);
	if (p == NULL) {
		old = (uint8_t)soft_phys_read(cpu, gpa, 1);
		soft_phys_write(
		    cpu, gpa, 1, (uint8_t)((old | set) & ~clear));
		return (old);
	}
	old = atomic_load(p);
	while (!atomic_compare_exchange_weak(
	    p, &old, (uint8_t)((old | set) & ~clear)))
		;
	if (soft_page_hit(cpu->vm, gpa, 1))
		soft_invalidate(cpu->vm, gpa, 1);
	return (old);
}

/* ---- the slow path of translated accesses ---- */

#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define EACH16(X)                                                              \
	EACH(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

static uint64_t
opmask(unsigned k)
{
	uint64_t v = 0;

	switch (k) {
#define K(n)                                                                   \
	case n:                                                                \
		__asm__ volatile("kmovq %%k" #n ", %0" : "=r"(v));             \
		break;
		EACH(K)
#undef K
	default:
		break;
	}
	return (v);
}

/* Sign bits of the elements of a vector register; lg: log2 of their bytes. */
static uint64_t
signs(unsigned r, unsigned lg)
{
	uint32_t v = 0;

	switch (r << 2 | lg) {
#define V(n)                                                                   \
	case (n) << 2:                                                         \
		__asm__ volatile("vpmovmskb %%xmm" #n ", %0" : "=r"(v));       \
		break;                                                         \
	case (n) << 2 | 2:                                                     \
		__asm__ volatile("vmovmskps %%ymm" #n ", %0" : "=r"(v));       \
		break;                                                         \
	case (n) << 2 | 3:                                                     \
		__asm__ volatile("vmovmskpd %%ymm" #n ", %0" : "=r"(v));       \
		break;
		EACH16(V)
#undef V
	default:
		break;
	}
	return (v);
}

/* The bytes that an instruction with a mask accesses. The FPU state is in:
 * the instruction needs it. */
uint64_t
soft_byte_mask(uint32_t what)
{
	unsigned size = what & ACCESS_SIZE, elem;
	unsigned k = (what >> ACCESS_K_SHIFT) & 15;
	uint64_t all = ~0ull >> (64 - size), kv, mask = 0;

	if (!(what & (ACCESS_MASKED | ACCESS_VMASK)))
		return (all);
	elem = 1u << ((what >> ACCESS_ELEM_SHIFT) & 3);
	kv = what & ACCESS_VMASK ?
	    signs(k, (what >> ACCESS_ELEM_SHIFT) & 3) :
	    opmask(k);
	if (what & ACCESS_BCAST) {
		/* COUNT results take the elements in turn. */
		for (unsigned i = 0; i < what >> ACCESS_COUNT_SHIFT; i++)
			if ((kv >> i) & 1)
				mask |= ((1ull << elem) - 1)
				    << i % (size / elem) * elem;
		return (mask);
	}
	if (what & ACCESS_PACKED) {
		kv &= ~0ull >> (64 - size / elem);
		size = elem * (unsigned)__builtin_popcountll(kv);
		return (size ? ~0ull >> (64 - size) : 0);
	}
	for (unsigned i = 0; i < size / elem; i++)
		if ((kv >> i) & 1)
			mask |= ((1ull << elem) - 1) << i * elem;
	return (mask);
}

/* Alignment (but gathers and VMASKMOV, SDM volume 2) and breakpoints. */
static void
checked_access(struct soft_cpu *cpu, uint64_t va, uint32_t what, uint64_t mask)
{
	unsigned size = what & ACCESS_SIZE, need = size;
	unsigned elem = 1u << ((what >> ACCESS_ELEM_SHIFT) & 3);

	if (what & ACCESS_MASKED)
		need = elem;
	else if (what & ACCESS_VMASK) /* MASKMOVDQU: 8, as AMD's have it */
		need = elem == 1 ? 8 : 1;
	else if (elem > 1)
		need = elem;
	if ((cpu->flags & BF_AC) && mask != 0)
		soft_check_align(cpu, va, need);
	if (!(cpu->flags & BF_STEP))
		return;
	for (unsigned i = 0; i < size; i++)
		if ((mask >> i) & 1)
			soft_watch(
			    cpu, va + i, 1, (what & ACCESS_WRITE) != 0);
}

/* Of the accessed bytes those in the first n, up to a page's end (i is 0), or
 * those behind. */
static uint64_t
part_of(uint64_t mask, unsigned n, unsigned i)
{
	if (n == 64)
		return (i == 0 ? mask : 0);
	return (i == 0 ? mask & ((1ull << n) - 1) : mask >> n);
}

/* The first accessed byte of a part: what CR2 has to be. */
static uint64_t
part_va(
    struct soft_cpu *cpu, uint64_t va, unsigned n, unsigned i, uint64_t part)
{
	uint64_t a = va + (i ? n : 0);

	if (i == 1 && !(cpu->flags & BF_CODE64))
		a = (uint32_t)a; /* around 4 GiB */
	return (a + (unsigned)__builtin_ctzll(part));
}

/*
 * Sets cpu->t0 + cpu->t1 to the host address to use. cpu->t2 is 0 if the
 * access is plain after all; otherwise it is a store that soft_writeback()
 * has to complete.
 */
void
soft_mem_slow(struct soft_cpu *cpu, uint64_t va, uint32_t what)
{
	unsigned size = what & ACCESS_SIZE, m = cpu->flags & BF_MMU, n, i;
	int acc = what & ACCESS_WRITE ? ACC_W : ACC_R;
	struct writeback *wb = &cpu->wb;
	uint64_t mask, gpa;
	uint8_t *p, *b0;

	cpu->t1 = 0;
	cpu->t2 = 0;
	if (acc == ACC_W)
		cpu->stat.slow_stores++;
	else
		cpu->stat.slow_loads++;
	if (cpu->flags & BF_MIRROR)
		soft_mirror_fault(cpu);
	mask = soft_byte_mask(what);
	if ((what & ACCESS_ALIGNED) && (va & (size - 1)) && mask != 0)
		soft_raise_err(cpu, EXC_GP, 0);
	n = in_page(va, size);
	if (!(what & (ACCESS_MASKED | ACCESS_VMASK)))
		soft_check_canonical(
		    cpu, va, size, (what & ACCESS_STACK) != 0);
	if (cpu->flags & (BF_STEP | BF_AC))
		checked_access(cpu, va, what, mask);
	if (n == size && !(what & (ACCESS_MASKED | ACCESS_VMASK))) {
		p = soft_translate_va(cpu, va, acc, m, &gpa);
		if (p != NULL) {
			cpu->t0 = (uint64_t)(uintptr_t)p;
			if (cpu->flags & BF_MIRROR)
				soft_mirror_fill(cpu, va, acc, m);
			if (acc == ACC_R || !soft_page_watched(cpu->vm, gpa))
				return;
			/* Data beside code: no harm if no code is hit. Who is
			 * not alone finds out after the store. */
			if (cpu->vm->ncpus == 1 &&
			    !soft_page_hit(cpu->vm, gpa, size)) {
				if (soft_page_idle(cpu->vm, gpa))
					(void)soft_translate_va(
					    cpu, va, acc, m, NULL);
				return;
			}
			*wb = (struct writeback){ .kind = WB_NOTIFY,
				.size = size, .gpa = { gpa } };
			cpu->t2 = 1;
			return;
		}
	}
	if (what & ACCESS_LOCKED)
		soft_alone(cpu);
	/* As misaligned as the address, so that the host faults where the
	 * processor would (MOVAPS, CMPXCHG16B). */
	b0 = cpu->bounce + (va & 63);
	wb->data = b0;
	wb->kind = WB_BOUNCE;
	wb->size = size;
	wb->mask = mask;
	wb->len[0] = n;
	wb->len[1] = size - n;
	/* Faults first, the lower page's before the higher's. */
	for (i = 0; i < 2 && n < size && acc == ACC_W; i++) {
		uint64_t part = part_of(mask, n, i);

		if (part != 0)
			soft_check_va(
			    cpu, part_va(cpu, va, n, i, part), acc, m);
	}
	for (i = 0; i < 2; i++) {
		uint64_t part = part_of(mask, n, i);

		wb->host[i] = NULL;
		if (part == 0) {
			wb->len[i] = 0;
			continue;
		}
		wb->host[i] = soft_translate_va(
		    cpu, part_va(cpu, va, n, i, part), acc, m, &wb->gpa[i]);
		if (wb->host[i] != NULL)
			wb->host[i] -= __builtin_ctzll(part);
		wb->gpa[i] -= (unsigned)__builtin_ctzll(part);
	}
	if (what & ACCESS_READ)
		for (i = 0; i < 2; i++) {
			uint8_t *b = b0 + (i ? n : 0);

			if (wb->len[i] == 0)
				continue;
			if (wb->host[i] != NULL)
				soft_copy(b, wb->host[i], wb->len[i]);
			else
				io_read(cpu, wb->gpa[i], b, wb->len[i]);
		}
	cpu->t0 = (uint64_t)(uintptr_t)b0;
	cpu->t2 = acc == ACC_W;
}

/* After a store for which soft_mem_slow() set t2. */
void
soft_writeback(struct soft_cpu *cpu, uint64_t va, uint32_t what)
{
	struct writeback *wb = &cpu->wb;
	const struct insn_map *im;
	uint64_t ret = cpu->host_ret;
	struct block *b;

	(void)va;
	if (wb->kind == WB_NOTIFY) {
		if (soft_page_hit(cpu->vm, wb->gpa[0], wb->size))
			soft_invalidate(cpu->vm, wb->gpa[0], wb->size);
		else
			(void)soft_page_idle(cpu->vm, wb->gpa[0]);
	} else
		for (unsigned i = 0, o = 0; i < 2; o += wb->len[i], i++) {
			uint64_t part;

			if (wb->len[i] == 0)
				continue;
			if (i == 1)
				o = wb->size - wb->len[1];
			part = wb->mask >> o;
			if (wb->host[i] == NULL) {
				io_write(cpu, wb->gpa[i], wb->data + o,
				    wb->len[i]);
				continue;
			}
			for (unsigned j = 0; j < wb->len[i]; j++)
				if ((part >> j) & 1)
					wb->host[i][j] = wb->data[o + j];
			if (soft_page_hit(
				cpu->vm, wb->gpa[i], wb->len[i]))
				soft_invalidate(
				    cpu->vm, wb->gpa[i], wb->len[i]);
		}
	/* Did the store change the block that it is in? */
	b = soft_block_at(cpu->vm, ret);
	if (b != NULL && soft_block_gone(b) && !(what & ACCESS_FLOW)) {
		im = soft_insn_at(b, ret);
		cpu->rip = b->pc + im->guest + im->len;
		cpu->host_ret = 0;
		soft_unwind(cpu);
	}
}
