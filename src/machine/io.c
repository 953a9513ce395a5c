/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's upcalls: port and memory accesses of the processors. */
#include <inttypes.h>

#include "machine/machine_priv.h"

/* bhyve's port for what a guest has to tell its host: writes go nowhere and
 * are never an error. */
#define GUEST_NIO_PORT 0x488

static void
count(struct machine *m, struct vcpu *vcpu, enum machine_io what)
{
	atomic_fetch_add_explicit(
	    &m->cpus[vcpu_id(vcpu)].io[what], 1, memory_order_relaxed);
}

/* -e: the first access to a port that nobody has is the last. */
static void
unclaimed(struct machine *m, struct vcpu *vcpu, const char *dir, uint16_t port,
    unsigned size)
{
	uint64_t rip = 0;

	if (!m->strictio || atomic_load(&m->status) >= 0)
		return;
	(void)vcpu_get_reg(vcpu, VM_REG_RIP, &rip);
	chardev_stdio_restore();
	log_error("vcpu %u: Unhandled %s%c 0x%04x at 0x%" PRIx64,
	    vcpu_id(vcpu), dir, size == 1 ? 'b' : size == 2 ? 'w' : 'l', port,
	    rip);
	machine_end(m, MACHINE_ERROR);
}

static int
io_port_read(
    void *arg, struct vcpu *vcpu, uint16_t port, unsigned size, uint32_t *val)
{
	struct machine *m = arg;
	uint64_t v;
	int error;

	error = bus_read(m->ports, port, size, &v);
	*val = (uint32_t)v;
	count(m, vcpu, error != 0 ? IO_IN_NOBODY : IO_IN);
	trace(TRACE_io, "vcpu %u: in 0x%04x/%u -> 0x%x%s", vcpu_id(vcpu), port,
	    size, *val, error != 0 ? " (nobody)" : "");
	if (error != 0)
		unclaimed(m, vcpu, "in", port, size);
	return (error);
}

static int
io_port_write(
    void *arg, struct vcpu *vcpu, uint16_t port, unsigned size, uint32_t val)
{
	struct machine *m = arg;
	int error;

	error = bus_write(m->ports, port, size, val);
	if (error != 0 && port == GUEST_NIO_PORT) {
		count(m, vcpu, IO_NOTIFY);
		trace(TRACE_io, "vcpu %u: notifies 0x%x", vcpu_id(vcpu), val);
		return (0);
	}
	count(m, vcpu, error != 0 ? IO_OUT_NOBODY : IO_OUT);
	trace(TRACE_io, "vcpu %u: out 0x%04x/%u <- 0x%x%s", vcpu_id(vcpu), port,
	    size, val, error != 0 ? " (nobody)" : "");
	if (error != 0)
		unclaimed(m, vcpu, "out", port, size);
	return (error);
}

static int
io_mem_read(
    void *arg, struct vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t *val)
{
	struct machine *m = arg;
	int error;

	error = bus_read(m->mmio, gpa, size, val);
	count(m, vcpu, error != 0 ? IO_READ_NOBODY : IO_READ);
	trace(TRACE_io, "vcpu %u: read 0x%" PRIx64 "/%u -> 0x%" PRIx64 "%s",
	    vcpu_id(vcpu), gpa, size, *val, error != 0 ? " (nobody)" : "");
	return (error);
}

static int
io_mem_write(
    void *arg, struct vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t val)
{
	struct machine *m = arg;
	int error;

	error = bus_write(m->mmio, gpa, size, val);
	count(m, vcpu, error != 0 ? IO_WRITE_NOBODY : IO_WRITE);
	trace(TRACE_io, "vcpu %u: write 0x%" PRIx64 "/%u <- 0x%" PRIx64 "%s",
	    vcpu_id(vcpu), gpa, size, val, error != 0 ? " (nobody)" : "");
	return (error);
}

static void
io_eoi(void *arg, struct vcpu *vcpu, uint8_t vector, bool level)
{
	struct machine *m = arg;

	count(m, vcpu, IO_EOI);
	chipset_eoi(m->chipset, vector, level);
}

static int
io_intr_ack(void *arg)
{
	struct machine *m = arg;

	return (chipset_intr_ack(m->chipset));
}

const struct vmm_io_ops machine_io_ops = {
    .port_read = io_port_read,
    .port_write = io_port_write,
    .mem_read = io_mem_read,
    .mem_write = io_mem_write,
    .eoi = io_eoi,
    .intr_ack = io_intr_ack,
};
