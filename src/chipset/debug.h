/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_DEBUG_H
#define LHYVE_CHIPSET_DEBUG_H

#include <stdint.h>
#include <stdio.h>

#include "bus/irq.h"
#include "bus/space.h"

struct chardev;

/*
 * bhyve's paravirtual character ports: bvmcons at 0x220 and the debug port
 * (dbgport) at 0x224. A word read gives the signature, by which a guest finds
 * out; a dword write sends its low byte, a dword read gives the next byte or
 * all ones. Bytes read as ones: that is what probes of ISA do.
 */
#define BVMCONS_PORT 0x220u
#define BVMCONS_SIG  0x6276u /* "bv" */
#define DBGPORT_PORT 0x224u
#define DBGPORT_SIG  0x4256u /* "BV" */

struct bvm_dev;
/* The chardev is not owned. 0 or -errno. */
int bvm_dev_create(struct bvm_dev **out, const char *name,
    struct bus_space *ports, uint16_t port, uint16_t sig, struct chardev *cd);
void bvm_dev_destroy(struct bvm_dev *d);

/*
 * pc-testdev, what kvm-unit-tests expect of a test machine: 32 bits of scratch
 * at 0xe0; 0x2000 + n, a byte: the level of line n of bus/irq.h, for n below
 * IRQ_LINES; 64 KiB of scratch memory at 0xff000000; and at 0xf4 an exit port.
 */
#define PCTEST_SCRATCH_PORT 0xe0u
#define PCTEST_EXIT_PORT    0xf4u
#define PCTEST_IRQ_PORT     0x2000u
#define PCTEST_MEM          0xff000000u
#define PCTEST_MEM_SIZE     0x10000u

struct pctest_dev;
/* `end` is called with the exit status that a write to the exit port asks
 * for. 0 or -errno. */
int pctest_dev_create(struct pctest_dev **out, struct bus_space *ports,
    struct bus_space *mmio, struct irq_lines *irqs,
    void (*end)(void *arg, int status), void *arg);
void pctest_dev_destroy(struct pctest_dev *d);
void pctest_dev_reset(struct pctest_dev *d);
void pctest_dev_dump(struct pctest_dev *d, FILE *out);

/*
 * The exit port (isa-debug-exit of QEMU): writing v, of any size, ends the
 * machine with status 2v + 1 of 8 bits. Four ports; they read 0.
 */
struct exit_dev;
int exit_dev_create(struct exit_dev **out, struct bus_space *ports,
    uint16_t port, void (*end)(void *arg, int status), void *arg);
void exit_dev_destroy(struct exit_dev *d);

#endif
