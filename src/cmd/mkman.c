/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills the lists of a manual page from the tables that the parser uses:
 * mkman TEMPLATE OUTPUT. A line @NAME@ of the template becomes a list.
 */
#include <stdbool.h>
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
		(void)fprintf(out, ".It Cm %s\n%s%s%s\n", d->name, d->help,
		    d->man != NULL ? ".\n" : "", d->man != NULL ? d->man : "");
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

static bool
has_var(const struct config_device *d, const struct config_var *v)
{
	const struct config_var *o;

	for (o = d->opts; o != NULL && o->name != NULL; o++)
		if (strcmp(o->name, v->name) == 0 &&
		    strcmp(o->help, v->help) == 0)
			return (true);
	return (false);
}

/* "Of", and all devices that have the variable; false: one before `d` has it,
 * so that it was told. */
static bool
put_owners(FILE *out, const struct config_device *list,
    const struct config_device *d, const struct config_var *v)
{
	const struct config_device *o;

	for (o = list; o != d; o++)
		if (has_var(o, v))
			return (false);
	(void)fprintf(out, ".It Cm pci.#.#.#.%s\nOf\n", v->name);
	for (; o->name != NULL; o++)
		if (has_var(o, v))
			(void)fprintf(
			    out, "%s.Cm %s", o != d ? " ,\n" : "", o->name);
	(void)fprintf(out, " :\n");
	return (true);
}

static void
put_pci_vars(FILE *out, const struct machine_devices *md)
{
	const struct config_device *d;
	const struct config_var *v;

	for (d = md->lists.pci; d->name != NULL; d++)
		for (v = d->opts; v != NULL && v->name != NULL; v++)
			if (put_owners(out, md->lists.pci, d, v))
				(void)fprintf(out, "%s.\n", v->help);
}

static void
put_lpc_vars(FILE *out, const struct machine_devices *md)
{
	const struct config_device *d;
	const struct config_var *v;

	for (d = md->lists.lpc; d->name != NULL; d++)
		for (v = d->opts; v != NULL && v->name != NULL; v++)
			(void)fprintf(out, ".It Cm lpc.%s.%s\n%s.\n", d->name,
			    v->name, v->help);
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
			(void)fprintf(
			    out, "=%s", d->value != NULL ? d->value : "true");
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
