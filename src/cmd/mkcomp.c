/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the completion of lhyve's command line for a shell, from the tables
 * that the parser uses: mkcomp bash|zsh OUTPUT.
 */
#include <stdio.h>
#include <string.h>

#include "machine/machine.h"

/* The option that takes a file. */
static const char file_option = 'k';

static void
put_words(FILE *out, const struct config_device *d)
{
	for (; d->name != NULL; d++)
		(void)fprintf(
		    out, " %s%s", d->name, d->needs_conf ? "," : "");
}

static void
put_variables(FILE *out, const struct machine_devices *md)
{
	const struct config_device *d;
	const struct config_var *v;

	/* A number stands for all. */
	for (v = config_vars; v->name != NULL; v++)
		if (strchr(v->name, '#') == NULL)
			(void)fprintf(out, " %s=", v->name);
	for (d = md->lists.lpc; d->name != NULL; d++)
		for (v = d->opts; v != NULL && v->name != NULL; v++)
			(void)fprintf(out, " lpc.%s.%s=", d->name, v->name);
}

/* The values of -o VARIABLE=: a case for each that has some. */
static void
put_values(FILE *out)
{
	const struct config_var *v;

	for (v = config_vars; v->name != NULL; v++) {
		if (strchr(v->name, '#') != NULL)
			continue;
		if (v->type == CONFIG_BOOL)
			(void)fprintf(
			    out, "\t%s) words=\"true false\" ;;\n", v->name);
		else if (v->type == CONFIG_WORD)
			(void)fprintf(out, "\t%s) words=\"%s\" ;;\n", v->name,
			    v->words);
	}
}

static void
put_lines(FILE *out, const char *const *lines)
{
	for (; *lines != NULL; lines++)
		(void)fprintf(out, "%s\n", *lines);
}

static void
put_bash(FILE *out, const struct machine_devices *md)
{
	static const char *const head[] = {
	    "# SPDX-License-Identifier: BSD-2-Clause",
	    "# bash completion for lhyve(8), made from its own tables.",
	    "",
	    "_lhyve_values() {",
	    "\tlocal words=",
	    "\tcase $1 in",
	    NULL,
	};
	static const char *const body[] = {
	    "\tesac",
	    "\techo \"$words\"",
	    "}",
	    "",
	    "_lhyve() {",
	    "\tlocal cur option words= prefix line slots options",
	    "\t# The words as the user has them: = and : end none.",
	    "\tline=${COMP_LINE:0:COMP_POINT}",
	    "\tcur=${line##* }",
	    "\tline=${line% *}",
	    "\toption=${line##* }",
	    "\tCOMPREPLY=()",
	    NULL,
	};
	static const char *const cases[] = {
	    "\tcase $option in",
	    "\t-o)",
	    "\t\tif [[ $cur == *=* ]]; then",
	    "\t\t\twords=$(_lhyve_values \"${cur%%=*}\")",
	    "\t\t\tprefix=${cur%%=*}=",
	    "\t\t\tcur=${cur#*=}",
	    "\t\t\tif [[ -n $words ]]; then",
	    "\t\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" \\",
	    "\t\t\t\t    -- \"$cur\")",
	    "\t\t\telse",
	    "\t\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")",
	    "\t\t\tfi",
	    "\t\t\treturn",
	    "\t\tfi",
	    NULL,
	};
	static const char *const files[] = {
	    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")",
	    "\t\treturn ;;",
	    NULL,
	};
	static const char *const tail[] = {
	    "\t-s)",
	    "\t\tif [[ $cur == *,* ]]; then",
	    "\t\t\tprefix=${cur%%,*},",
	    "\t\t\tmapfile -t COMPREPLY < <(compgen -P \"$prefix\" \\",
	    "\t\t\t    -W \"$slots\" -- \"${cur#*,}\")",
	    "\t\telse",
	    "\t\t\tmapfile -t COMPREPLY < <(compgen -W help -- \"$cur\")",
	    "\t\tfi",
	    "\t\treturn ;;",
	    "\tesac",
	    "\tif [[ -n $words ]]; then",
	    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" \\",
	    "\t\t    -- \"$cur\")",
	    "\telif [[ $cur == -* ]]; then",
	    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" \\",
	    "\t\t    -- \"$cur\")",
	    "\tfi",
	    "\t[[ ${COMPREPLY[0]-} == *[=,] ]] && \\",
	    "\t    compopt -o nospace 2>/dev/null",
	    "\treturn 0",
	    "}",
	    "complete -F _lhyve lhyve",
	    NULL,
	};
	const struct option_desc *d;

	put_lines(out, head);
	put_values(out);
	put_lines(out, body);
	(void)fprintf(out, "\tslots=\"");
	put_words(out, md->lists.pci);
	(void)fprintf(out, "\"\n\toptions=\"");
	for (d = option_table; d->letter != '\0'; d++)
		if (d->help != NULL)
			(void)fprintf(out, " -%c", d->letter);
	(void)fprintf(out, "\"\n");
	put_lines(out, cases);
	(void)fprintf(out, "\t\twords=\"");
	put_variables(out, md);
	(void)fprintf(out, "\" ;;\n\t-l) words=\"help");
	put_words(out, md->lists.lpc);
	(void)fprintf(out, "\" ;;\n");
	(void)fprintf(out, "\t-%c)", file_option);
	put_lines(out, files);
	put_lines(out, tail);
}

/* In single quotes, within [...]: what zsh takes for its own is escaped. */
static void
put_zsh_text(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (strchr("[]:\\", *s) != NULL)
			(void)fputc('\\', out);
		if (*s == '\'')
			(void)fputs("'\\''", out);
		else
			(void)fputc(*s, out);
	}
}

static const char *
zsh_action(char letter)
{
	switch (letter) {
	case 'l':
		return ("_lhyve_lpc");
	case 'o':
		return ("_lhyve_var");
	case 's':
		return ("_lhyve_slot");
	default:
		return (letter == file_option ? "_files" : "");
	}
}

static void
put_zsh(FILE *out, const struct machine_devices *md)
{
	static const char *const body[] = {
	    "\tesac",
	    "\techo \"$words\"",
	    "}",
	    "",
	    "_lhyve_var() {",
	    "\tif [[ $PREFIX == *=* ]]; then",
	    "\t\tlocal -a vals",
	    "\t\tvals=(${=$(_lhyve_values \"${PREFIX%%=*}\")})",
	    "\t\tcompset -P '*='",
	    "\t\tif (( $#vals )); then compadd -a vals; else _files; fi",
	    "\telse",
	    "\t\tcompadd -S '' -a _lhyve_vars",
	    "\tfi",
	    "}",
	    "",
	    "_lhyve_lpc() {",
	    "\tcompadd -S '' -a _lhyve_lpcs",
	    "}",
	    "",
	    "_lhyve_slot() {",
	    "\tif compset -P '*,'; then",
	    "\t\tcompadd -a _lhyve_pcis",
	    "\telse",
	    "\t\tcompadd help",
	    "\tfi",
	    "}",
	    "",
	    "_lhyve() {",
	    "\t_arguments -s -S \\",
	    NULL,
	};
	const struct option_desc *d;

	(void)fprintf(out, "#compdef lhyve\n"
			   "# SPDX-License-Identifier: BSD-2-Clause\n"
			   "# zsh completion for lhyve(8), made from its own "
			   "tables.\n\n_lhyve_vars=(");
	put_variables(out, md);
	(void)fprintf(out, ")\n_lhyve_lpcs=(help");
	put_words(out, md->lists.lpc);
	(void)fprintf(out, ")\n_lhyve_pcis=(");
	put_words(out, md->lists.pci);
	(void)fprintf(out, ")\n\n_lhyve_values() {\n\tlocal words=\n"
			   "\tcase $1 in\n");
	put_values(out);
	put_lines(out, body);
	for (d = option_table; d->letter != '\0'; d++) {
		if (d->help == NULL)
			continue;
		(void)fprintf(out, "\t    '*-%c[", d->letter);
		put_zsh_text(out, d->help);
		(void)fputc(']', out);
		if (d->arg != NULL) {
			(void)fputc(':', out);
			put_zsh_text(out, d->arg);
			(void)fprintf(out, ":%s", zsh_action(d->letter));
		}
		(void)fprintf(out, "' \\\n");
	}
	(void)fprintf(out, "\t    '1:name:'\n}\n\n_lhyve \"$@\"\n");
}

int
main(int argc, char *argv[])
{
	struct machine_devices md;
	FILE *out;
	bool zsh;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: mkcomp bash|zsh output\n");
		return (2);
	}
	zsh = strcmp(argv[1], "zsh") == 0;
	machine_devices_init(&md);
	out = fopen(argv[2], "w");
	if (out == NULL) {
		perror(argv[2]);
		return (1);
	}
	if (zsh)
		put_zsh(out, &md);
	else
		put_bash(out, &md);
	return (fclose(out) == 0 ? 0 : 1);
}
