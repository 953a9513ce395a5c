/* SPDX-License-Identifier: BSD-2-Clause */
/* Resource descriptors: ACPI 6.4, section 6.4. */
#include <errno.h>
#include <string.h>

#include "firmware/aml.h"
#include "firmware/le.h"

/* 6.4.3.5: general flags of the address space descriptors. */
#define RES_PRODUCER  0x00u
#define RES_MIN_FIXED 0x04u
#define RES_MAX_FIXED 0x08u
#define RES_WINDOW    (RES_PRODUCER | RES_MIN_FIXED | RES_MAX_FIXED)

enum { RES_TYPE_MEM = 0, RES_TYPE_IO = 1, RES_TYPE_BUS = 2 };

void
aml_res_io(struct aml *a, uint16_t base, uint8_t len)
{
	uint8_t d[8] = {0x47, 0x01 /* decodes 16 bits */};

	le16_put(d + 2, base);
	le16_put(d + 4, base);
	d[6] = 1;
	d[7] = len;
	aml_bytes(a, d, sizeof(d));
}

void
aml_res_irq(struct aml *a, unsigned irq)
{
	uint8_t d[3] = {0x22};

	if (irq > 15) {
		a->error = a->error != 0 ? a->error : -EINVAL;
		return;
	}
	le16_put(d + 1, (uint16_t)(1u << irq));
	aml_bytes(a, d, sizeof(d));
}

void
aml_res_irqs(struct aml *a, uint16_t irqs)
{
	uint8_t d[4] = {0x23, 0, 0, 0x18 /* level, low, shared */};

	le16_put(d + 1, irqs);
	aml_bytes(a, d, sizeof(d));
}

void
aml_res_mem32(struct aml *a, uint32_t base, uint32_t len, bool writable)
{
	uint8_t d[12] = {0x86, 9, 0, writable};

	le32_put(d + 4, base);
	le32_put(d + 8, len);
	aml_bytes(a, d, sizeof(d));
}

static void
word_space(
    struct aml *a, unsigned type, unsigned flags, uint16_t min, uint16_t max)
{
	uint8_t d[16] = {
	    0x88, 13, 0, (uint8_t)type, RES_WINDOW, (uint8_t)flags};

	/* 0 granularity, 0 translation */
	le16_put(d + 8, min);
	le16_put(d + 10, max);
	le16_put(d + 14, (uint16_t)(max - min + 1));
	aml_bytes(a, d, sizeof(d));
}

void
aml_res_bus_range(struct aml *a, uint16_t min, uint16_t max)
{
	word_space(a, RES_TYPE_BUS, 0, min, max);
}

void
aml_res_io_window(struct aml *a, uint16_t min, uint16_t max)
{
	word_space(a, RES_TYPE_IO, 0x03 /* the entire range */, min, max);
}

void
aml_res_mem32_window(struct aml *a, uint32_t min, uint32_t max)
{
	uint8_t d[26] = {0x87, 23, 0, RES_TYPE_MEM, RES_WINDOW,
	    0x01 /* writable, not cacheable */};

	le32_put(d + 10, min);
	le32_put(d + 14, max);
	le32_put(d + 22, max - min + 1);
	aml_bytes(a, d, sizeof(d));
}

void
aml_res_mem64_window(struct aml *a, uint64_t min, uint64_t max)
{
	uint8_t d[46] = {0x8a, 43, 0, RES_TYPE_MEM, RES_WINDOW,
	    0x07 /* writable, prefetchable */};

	le64_put(d + 14, min);
	le64_put(d + 22, max);
	le64_put(d + 38, max - min + 1);
	aml_bytes(a, d, sizeof(d));
}
