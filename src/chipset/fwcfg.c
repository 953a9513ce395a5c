/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/fwcfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIR_ENTRY 64u /* size, key, reserved, name */

/* Features in the item FWCFG_ID: the ports, and DMA. */
#define ID_TRADITIONAL 0x1u
#define ID_DMA	       0x2u

static const struct state_field fwcfg_fields[] = {
    STATE_FIELD(struct fwcfg, key, 1),
    STATE_FIELD(struct fwcfg, offset, 1),
    STATE_FIELD(struct fwcfg, dma, 1),
    STATE_END,
};
const struct state_table fwcfg_state = {"fwcfg", 1, fwcfg_fields};

int
fwcfg_create(struct fwcfg **out)
{
	static const uint8_t id[4] = {ID_TRADITIONAL | ID_DMA};
	struct fwcfg *f;
	int error;

	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return (-ENOMEM);
	fwcfg_reset(f);
	error = fwcfg_add(f, FWCFG_SIGNATURE, "QEMU", 4);
	if (error == 0)
		error = fwcfg_add(f, FWCFG_ID, id, sizeof(id));
	if (error != 0) {
		fwcfg_destroy(f);
		return (error);
	}
	*out = f;
	return (0);
}

void
fwcfg_destroy(struct fwcfg *f)
{
	unsigned i;

	if (f == NULL)
		return;
	for (i = 0; i < f->n; i++)
		free(f->items[i].data);
	free(f);
}

static const struct fwcfg_item *
find(const struct fwcfg *f, uint16_t key)
{
	unsigned i;

	for (i = 0; i < f->n; i++)
		if (f->items[i].key == key)
			return (&f->items[i]);
	return (NULL);
}

static int
add(struct fwcfg *f, uint16_t key, const char *name, const void *data,
    size_t len)
{
	struct fwcfg_item *it;

	if (f->n == FWCFG_ITEMS_MAX)
		return (-ENOSPC);
	if (len > FWCFG_DATA_MAX)
		return (-EFBIG);
	it = &f->items[f->n];
	memset(it, 0, sizeof(*it));
	it->data = malloc(len != 0 ? len : 1);
	if (it->data == NULL)
		return (-ENOMEM);
	if (len != 0)
		memcpy(it->data, data, len);
	it->key = key;
	it->len = (uint32_t)len;
	memcpy(it->name, name, strlen(name));
	f->n++;
	return (0);
}

int
fwcfg_add(struct fwcfg *f, uint16_t key, const void *data, size_t len)
{
	if (find(f, key) != NULL)
		return (-EEXIST);
	return (add(f, key, "", data, len));
}

int
fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, size_t len)
{
	unsigned i;

	if (name[0] == '\0' || strlen(name) >= FWCFG_NAME_MAX)
		return (-EINVAL);
	for (i = 0; i < f->n; i++)
		if (strcmp(f->items[i].name, name) == 0)
			return (-EEXIST);
	return (add(f, FWCFG_NONE, name, data, len));
}

/* Files by name, behind what has a fixed key. */
static int
compare(const void *a, const void *b)
{
	const struct fwcfg_item *x = a, *y = b;

	if (x->name[0] == '\0' || y->name[0] == '\0')
		return ((x->name[0] != '\0') - (y->name[0] != '\0'));
	return (strcmp(x->name, y->name));
}

static void
be_put(uint8_t *p, uint64_t v, unsigned size)
{
	while (size-- > 0) {
		p[size] = (uint8_t)v;
		v >>= 8;
	}
}

int
fwcfg_seal(struct fwcfg *f)
{
	uint8_t dir[4 + FWCFG_ITEMS_MAX * DIR_ENTRY] = {0}, *p;
	unsigned i, n = 0;

	qsort(f->items, f->n, sizeof(f->items[0]), compare);
	for (i = 0; i < f->n; i++) {
		struct fwcfg_item *it = &f->items[i];

		if (it->name[0] == '\0')
			continue;
		it->key = (uint16_t)(FWCFG_FILE + n);
		p = dir + 4 + n++ * DIR_ENTRY;
		be_put(p, it->len, 4);
		be_put(p + 4, it->key, 2);
		memcpy(p + 8, it->name, FWCFG_NAME_MAX);
	}
	be_put(dir, n, 4);
	return (fwcfg_add(f, FWCFG_DIR, dir, 4 + n * DIR_ENTRY));
}

void
fwcfg_reset(struct fwcfg *f)
{
	f->key = FWCFG_NONE;
	f->offset = 0;
	f->dma = 0;
}

void
fwcfg_select(struct fwcfg *f, uint16_t key)
{
	/* The bit that asks for writing changes nothing: no item of ours can
	 * be written. Neither has one the bit of the architecture's own. */
	f->key = key & (FWCFG_KEY_MASK | 0x8000u);
	f->offset = 0;
}

uint32_t
fwcfg_left(const struct fwcfg *f)
{
	const struct fwcfg_item *it = find(f, f->key);

	return (it != NULL && f->offset < it->len ? it->len - f->offset : 0);
}

void
fwcfg_skip(struct fwcfg *f, uint32_t len)
{
	uint32_t left = fwcfg_left(f);

	f->offset += len < left ? len : left;
}

void
fwcfg_read(struct fwcfg *f, void *buf, size_t len)
{
	const struct fwcfg_item *it = find(f, f->key);
	uint32_t left = fwcfg_left(f);
	size_t n = len < left ? len : left;

	memset(buf, 0, len);
	if (it != NULL && n != 0)
		memcpy(buf, it->data + f->offset, n);
	f->offset += (uint32_t)n;
}

uint32_t
fwcfg_transfer(
    struct fwcfg *f, uint32_t control, uint32_t len, struct fwcfg_out *out)
{
	const struct fwcfg_item *it;
	uint32_t left;

	*out = (struct fwcfg_out){.data = NULL};
	if (control & FWCFG_DMA_SELECT)
		fwcfg_select(f, (uint16_t)(control >> 16));
	if (control & FWCFG_DMA_READ) {
		it = find(f, f->key);
		left = fwcfg_left(f);
		out->len = len < left ? len : left;
		out->zeroes = len - out->len;
		if (out->len != 0)
			out->data = it->data + f->offset;
		f->offset += out->len;
	} else if (control & FWCFG_DMA_WRITE) {
		return (FWCFG_DMA_ERROR);
	} else if (control & FWCFG_DMA_SKIP) {
		fwcfg_skip(f, len);
	}
	return (0);
}
