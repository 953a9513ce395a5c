/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of a BAR whose writes an engine can turn into a signal. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "bus/pci_impl.h"

static void
set(struct pci_dev *dev, const struct pci_doorbell *db, bool on)
{
	const struct pci_bar *bar = &dev->bar[db->bar];
	const struct pci_config *cfg = &dev->bus->cfg;
	int error;

	error = cfg->doorbell(cfg->doorbell_arg, bar->type == PCI_BAR_IO,
	    bar->mapped + db->off, db->size, db->match, db->fd, on);
	trace(TRACE_io, "pci %04x doorbell at %" PRIx64 " %s: %d", dev->bdf,
	    bar->mapped + db->off, on ? "on" : "off", error);
}

int
pci_doorbell_add(struct pci_dev *dev, unsigned bar, uint32_t off,
    unsigned size, int64_t match, int fd)
{
	uint64_t len = pci_bar_size(dev, bar);
	struct pci_doorbell *db;

	if ((size != 2 && size != 4) || off % size != 0 || off > len ||
	    len - off < size || dev->ndoorbells == PCI_DOORBELLS_MAX)
		return (-EINVAL);
	if (dev->bus->cfg.doorbell == NULL)
		return (0);
	db = realloc(
	    dev->doorbells, (dev->ndoorbells + 1) * sizeof(*dev->doorbells));
	if (db == NULL)
		return (-ENOMEM);
	dev->doorbells = db;
	db += dev->ndoorbells++;
	*db = (struct pci_doorbell){
	    .bar = bar, .off = off, .size = size, .match = match, .fd = fd};
	if (dev->bar[bar].mapped != 0)
		set(dev, db, true);
	return (0);
}

void
pci_doorbells_set(struct pci_dev *dev, unsigned bar, bool on)
{
	unsigned i;

	for (i = 0; i < dev->ndoorbells; i++)
		if (dev->doorbells[i].bar == bar)
			set(dev, &dev->doorbells[i], on);
}

void
pci_doorbells_fini(struct pci_dev *dev)
{
	free(dev->doorbells);
	dev->doorbells = NULL;
	dev->ndoorbells = 0;
}
