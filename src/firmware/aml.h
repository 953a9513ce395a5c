/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_AML_H
#define LHYVE_FIRMWARE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A writer of ACPI machine language (ACPI 6.4, chapter 20). Terms are
 * written in the order of the language; what has a length is opened by one
 * call and closed by aml_end(). Errors stick: the calls after the first are
 * ignored, and aml_error() tells it at the end.
 */
#define AML_DEPTH 16

struct aml {
	uint8_t *buf;
	size_t len, room;
	int error; /* 0 or -errno of the first failure */
	unsigned depth;
	/* Where the body of each open term begins. A resource template's
	 * length is a term of its own, too. */
	struct {
		size_t start;
		uint8_t kind;
	} open[AML_DEPTH];
};

void aml_init(struct aml *a);
void aml_fini(struct aml *a);
/* 0, -ENOMEM, or -EINVAL for a wrong name, or terms left open. */
int aml_error(const struct aml *a);

void aml_bytes(struct aml *a, const void *p, size_t len);

/* Names: "PCI0", "_SB.PCI0", "\\_SB.PCI0", "^LNKA"; segments of up to four
 * characters are padded with '_'. */
void aml_path(struct aml *a, const char *path);

/* Terms that stay open until aml_end(). */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *path);
void aml_method(
    struct aml *a, const char *path, unsigned nargs, bool serialized);
void aml_package(struct aml *a, unsigned nelements); /* up to 255 */
void aml_if(struct aml *a);   /* the predicate comes next */
void aml_else(struct aml *a); /* right after an If was closed */
/* A resource template: descriptors, then aml_end() adds the end tag. */
void aml_resources(struct aml *a);
void aml_end(struct aml *a);

/* Name (path, object): the object comes next. */
void aml_name(struct aml *a, const char *path);
void aml_name_int(struct aml *a, const char *path, uint64_t val);
void aml_name_string(struct aml *a, const char *path, const char *s);
/* Name (path, EisaId (id)), id like "PNP0A03". */
void aml_name_eisaid(struct aml *a, const char *path, const char *id);

/* Data: in the shortest form. */
void aml_int(struct aml *a, uint64_t val);
void aml_string(struct aml *a, const char *s); /* ASCII 1-127 */
/* In four bytes whatever it is, for somebody to change later. */
void aml_dword(struct aml *a, uint32_t val);

/* Expressions and statements. */
void aml_local(struct aml *a, unsigned n); /* Local0-7 */
void aml_arg(struct aml *a, unsigned n);   /* Arg0-6 */
void aml_return(struct aml *a);            /* the value comes next */
void aml_store(struct aml *a);  /* the value, then the target come next */
void aml_lequal(struct aml *a); /* two operands come next */
/* Two operands and a target come next; so with the shifts. */
void aml_and(struct aml *a);
void aml_shift_left(struct aml *a);
void aml_shift_right(struct aml *a);
void aml_find_set_right(struct aml *a); /* an operand and a target */
void aml_decrement(struct aml *a);      /* what is decremented */
void aml_no_target(struct aml *a);      /* the result is the value only */
/* A buffer, the index of a byte in it, and the name of the field follow. */
void aml_create_word(struct aml *a);

/* OperationRegion (path, space, offset, len). */
enum aml_space { AML_MEMORY = 0, AML_IO = 1, AML_PCI_CONFIG = 2 };
void aml_region(struct aml *a, const char *path, enum aml_space space,
    uint64_t offset, uint64_t len);
/* Field (region, ByteAcc, NoLock, Preserve): units and gaps of so many bits
 * (below 4096) until aml_end(). */
void aml_field(struct aml *a, const char *region);
void aml_field_gap(struct aml *a, unsigned bits);
void aml_field_unit(struct aml *a, const char *name, unsigned bits);
void aml_notify(struct aml *a); /* the device, then the value come next */

/* Resource descriptors (ACPI 6.4, section 6.4). */
void aml_res_io(struct aml *a, uint16_t base, uint8_t len);
/* An ISA interrupt, edge, active high, not shared. */
void aml_res_irq(struct aml *a, unsigned irq);
/* PCI interrupts: level, active low, shared; one of a mask, which may be empty
 * for somebody to fill in later (two bytes from byte 1). */
void aml_res_irqs(struct aml *a, uint16_t irqs);
void aml_res_mem32(struct aml *a, uint32_t base, uint32_t len, bool writable);
/* Windows that a bridge passes on, [min, max]. */
void aml_res_bus_range(struct aml *a, uint16_t min, uint16_t max);
void aml_res_io_window(struct aml *a, uint16_t min, uint16_t max);
void aml_res_mem32_window(struct aml *a, uint32_t min, uint32_t max);
void aml_res_mem64_window(struct aml *a, uint64_t min, uint64_t max);

#endif
