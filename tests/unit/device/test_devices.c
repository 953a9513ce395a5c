/* SPDX-License-Identifier: BSD-2-Clause */
/* What every device of the list says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"
#include "device/virtio/virtio.h"

static void
test_descriptions(void **state)
{
	const struct device_desc *const *d;
	const struct config_var *v, *w;

	(void)state;
	for (d = devices; *d != NULL; d++) {
		assert_non_null((*d)->pci->name);
		assert_non_null((*d)->pci->help);
		assert_ptr_equal(device_find((*d)->pci->name), *d);
		for (v = (*d)->opts; v != NULL && v->name != NULL; v++) {
			assert_non_null(v->help);
			for (w = (*d)->opts; w != v; w++)
				assert_string_not_equal(w->name, v->name);
		}
	}
	assert_null(device_find("nothing"));
	assert_non_null(device_find("Virtio-RND"));
}

/* Everything that is saved is in a table, and every switch is there. */
static void
test_virtio(void **state)
{
	static const char *const switches[] = {
	    "interface", "packed", "indirect", "event_idx"};
	const struct device_desc *const *d;
	const struct config_var *v;
	unsigned i;

	(void)state;
	for (d = devices; *d != NULL; d++) {
		if ((*d)->virtio == NULL)
			continue;
		assert_non_null((*d)->virtio->state);
		assert_non_null((*d)->virtio->init);
		assert_non_null((*d)->virtio->notify);
		assert_int_not_equal((*d)->virtio->queues, 0);
		for (i = 0; i < 4; i++) {
			for (v = (*d)->opts; v->name != NULL; v++)
				if (strcmp(v->name, switches[i]) == 0)
					break;
			if (v->name == NULL)
				fail_msg("%s: no option %s", (*d)->pci->name,
				    switches[i]);
		}
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_descriptions),
	    cmocka_unit_test(test_virtio),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
