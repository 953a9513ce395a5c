/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills the lists of a manual page from the tables that the parser uses:
 * mkman TEMPLATE OUTPUT. A line @NAME@ of the template becomes a list.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"

/* A sentence's first letter. */
static char
capital(char c)
{
	return (c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
}

static void
put_options(FILE *out, const struct machine_devices *md)
{
	const struct option_desc *d;

	(void)md;
	for (d = option_table; d->letter != '\0'; d++) {
		if (d->help == NULL)
			continue;
		(void)fprintf(out, ".It Fl %c%s%s\n", d->letter,
		    d->arg != NULL ? " Ar " : "", d->arg != NULL ? d->arg : "");
		(void)fprintf(out, "%c%s.\n", capital(d->help[0]), d->help + 1);
		if (d->man != NULL)
			(void)fprintf(out, "%s\n", d->man);
	}
}

static void
put_synopsis(FILE *out, const struct machine_devices *md)
{
	const struct option_desc *d;

	(void)md;
	(void)fprintf(out, ".Op Fl ");
	for (d = option_table; d->letter != '\0'; d++)
		if (d->help != NULL && d->arg == NULL)
			(void)fputc(d->letter, out);
	(void)fputc('\n', out);
	for (d = option_table; d->letter != '\0'; d++)
		if (d->help != NULL && d->arg != NULL)
			(void)fprintf(
			    out, ".Op Fl %c Ar %s\n", d->letter, d->arg);
}

static void
put_variables(FILE *out, const struct machine_devices *md)
{
	const struct config_var *v;

	(void)md;
	for (v = config_vars; v->name != NULL; v++) {
		(void)fprintf(out, ".It Cm %s\n%c%s", v->name,
		    capital(v->help[0]), v->help + 1);
		if (v->dflt != NULL)
			(void)fprintf(out, ";\n.Cm %s\nif not given", v->dflt);
		(void)fprintf(out, ".\n");
	}
}

static void
put_devices(FILE *out, const struct config_device *d)
{
	for (; d->name != NULL; d++)
		(void)fprintf(out, ".It Cm %s\n%s\n", d->name, d->help);
}

static void
put_pci(FILE *out, const struct machine_devices *md)
{
	put_devices(out, md->lists.pci);
}

static void
put_lpc(FILE *out, const struct machine_devices *md)
{
	put_devices(out, md->lists.lpc);
}

/* The letters that are bhyve's and not ours yet. */
static void
put_missing(FILE *out, const struct machine_devices *md)
{
	const struct option_desc *d;
	const char *comma = "";

	(void)md;
	(void)fprintf(out, ".Fl ");
	for (d = option_table; d->letter != '\0'; d++) {
		if (d->help != NULL)
			continue;
		(void)fprintf(out, "%s%c", comma, d->letter);
		comma = " , ";
	}
	(void)fputc('\n', out);
}

static void
put_device_vars(FILE *out, const struct config_device *d, const char *node,
    bool named)
{
	const struct config_var *v;

	for (; d->name != NULL; d++) {
		for (v = d->opts; v != NULL && v->name != NULL; v++) {
			(void)fprintf(out, ".It Cm %s.%s%s%s\n", node,
			    named ? d->name : "", named ? "." : "", v->name);
			if (!named)
				(void)fprintf(out, "Of\n.Cm %s :\n", d->name);
			(void)fprintf(out, "%s.\n", v->help);
		}
	}
}

static void
put_pci_vars(FILE *out, const struct machine_devices *md)
{
	put_device_vars(out, md->lists.pci, "pci.#.#.#", false);
}

static void
put_lpc_vars(FILE *out, const struct machine_devices *md)
{
	put_device_vars(out, md->lists.lpc, "lpc", true);
}

/* What each option sets: .It Fl x, then the variable. */
static void
put_option_vars(FILE *out, const struct machine_devices *md)
{
	const struct option_desc *d;

	(void)md;
	for (d = option_table; d->letter != '\0'; d++) {
		if (d->var == NULL)
			continue;
		(void)fprintf(out, ".It Fl %c%s%s\n.Cm %s", d->letter,
		    d->arg != NULL ? " Ar " : "", d->arg != NULL ? d->arg : "",
		    d->var);
		if (d->arg == NULL)
			(void)fprintf(out, "=%s",
			    d->value != NULL ? d->value : "true");
		(void)fputc('\n', out);
	}
}

static const struct {
	const char *line;
	void (*put)(FILE *out, const struct machine_devices *md);
} lists[] = {
    {"@SYNOPSIS@\n", put_synopsis},
    {"@OPTIONS@\n", put_options},
    {"@VARIABLES@\n", put_variables},
    {"@MISSING@\n", put_missing},
    {"@OPTION_VARIABLES@\n", put_option_vars},
    {"@PCI_VARIABLES@\n", put_pci_vars},
    {"@LPC_VARIABLES@\n", put_lpc_vars},
    {"@PCI_DEVICES@\n", put_pci},
    {"@LPC_DEVICES@\n", put_lpc},
};

int
main(int argc, char *argv[])
{
	struct machine_devices md;
	char line[1024];
	FILE *in, *out;
	size_t i;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: mkman template output\n");
		return (2);
	}
	machine_devices_init(&md);
	in = fopen(argv[1], "r");
	out = fopen(argv[2], "w");
	if (in == NULL || out == NULL) {
		perror(in == NULL ? argv[1] : argv[2]);
		return (1);
	}
	while (fgets(line, sizeof(line), in) != NULL) {
		for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
			if (strcmp(line, lists[i].line) == 0)
				break;
		if (i < sizeof(lists) / sizeof(lists[0]))
			lists[i].put(out, &md);
		else
			(void)fputs(line, out);
	}
	(void)fclose(in);
	return (fclose(out) == 0 ? 0 : 1);
}
