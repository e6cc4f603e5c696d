/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual pages that come from the option table: --help for a terminal of
 * 80 columns, and the Markdown from which docs/CONFIG.md is made.
 */
#include "common/cfg.h"
#include "common/cfg_value.h"

#define HELP_COLUMN 26
#define HELP_WIDTH  79

static void
cfg_pad(struct buf *out, size_t n)
{
	while (n-- > 0)
		(void)buf_addc(out, ' ');
}

/* Add the words of text, the first at column, broken at HELP_WIDTH. */
static void
cfg_wrap(struct buf *out, struct str text, size_t column)
{
	bool more = true;

	while (more) {
		struct str word;

		more = str_cut(text, ' ', &word, &text);
		if (word.len == 0)
			continue;
		if (column > HELP_COLUMN &&
		    column + 1 + word.len > HELP_WIDTH) {
			(void)buf_addc(out, '\n');
			cfg_pad(out, HELP_COLUMN);
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			(void)buf_addc(out, ' ');
			column++;
		}
		(void)buf_add_str(out, word);
		column += word.len;
	}
	(void)buf_addc(out, '\n');
}

/* Description with default and bounds. */
static void
cfg_describe(struct buf *out, const struct cfg_option *o)
{
	(void)buf_addz(out, o->help);
	if (o->def != NULL && o->def[0] != '\0' && o->type != CFG_SECRET)
		(void)buf_addf(out, " Default: %s.", o->def);
	if (o->min != 0 || o->max != 0) {
		(void)buf_addz(out, " Range: ");
		cfg_value_print(out, o->type, o->min);
		(void)buf_addz(out, " to ");
		cfg_value_print(out, o->type, o->max);
		(void)buf_addc(out, '.');
	}
	if (o->type == CFG_SECRET)
		(void)buf_addf(out, " Better: --%s-file=PATH.", o->name);
}

static int
cfg_help_entry(
    struct buf *out, const char *flag, const char *arg, struct str text)
{
	size_t start = out->len;

	(void)buf_addf(out, "  --%s", flag);
	if (arg != NULL && arg[0] != '\0')
		(void)buf_addf(out, " %s", arg);
	if (out->len - start > HELP_COLUMN - 2) {
		(void)buf_addc(out, '\n');
		start = out->len;
	}
	cfg_pad(out, HELP_COLUMN - (out->len - start));
	cfg_wrap(out, text, HELP_COLUMN);
	return buf_error(out);
}

int
cfg_help(const struct cfg_table *t, struct buf *out)
{
	struct buf text;
	size_t i;
	int rc = 0;

	buf_init(&text, 4096);
	(void)buf_addf(
	    out, "%s\n\nUsage: %s\n\nOptions:\n", t->summary, t->usage);
	for (i = 0; i < t->n_options && rc == 0; i++) {
		buf_clear(&text);
		cfg_describe(&text, &t->options[i]);
		rc = buf_error(&text);
		if (rc == 0)
			rc = cfg_help_entry(out, t->options[i].name,
			    t->options[i].arg, buf_str(&text));
	}
	if (rc == 0)
		rc = cfg_help_entry(out, "config", "FILE",
		    STR("Read options from FILE, lines \"name = value\"."));
	if (rc == 0)
		rc = cfg_help_entry(
		    out, "help", NULL, STR("Show this text and exit."));
	if (rc == 0)
		rc = cfg_help_entry(
		    out, "version", NULL, STR("Show the version and exit."));
	buf_release(&text);
	(void)buf_addz(out,
	    "\nEach option may also be set in the environment, as "
	    "HEADGATE_NAME_OF_OPTION.\nFlags win over the environment, the "
	    "environment over the file.\n");
	return rc != 0 ? rc : buf_error(out);
}

/* Text of a table cell. */
static void
cfg_cell(struct buf *out, struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '|')
			(void)buf_addc(out, '\\');
		(void)buf_addc(out, s.p[i]);
	}
}

static void
cfg_markdown_row(struct buf *out, const struct cfg_option *o)
{
	const char *p;

	(void)buf_addf(out, "| `--%s` | `HEADGATE_", o->name);
	for (p = o->name; *p != '\0'; p++)
		(void)buf_addc(out, *p == '-' ? '_'
				    : *p >= 'a' && *p <= 'z'
					? (char)(*p - 'a' + 'A')
					: *p);
	(void)buf_addf(out, "` | %s | ", cfg_value_kind(o->type));
	if (o->def != NULL && o->def[0] != '\0' && o->type != CFG_SECRET) {
		(void)buf_addc(out, '`');
		cfg_cell(out, str_of(o->def));
		(void)buf_addc(out, '`');
	}
	(void)buf_addz(out, " | ");
	if (o->min != 0 || o->max != 0) {
		cfg_value_print(out, o->type, o->min);
		(void)buf_addz(out, " to ");
		cfg_value_print(out, o->type, o->max);
	}
	(void)buf_addz(out, " | ");
	cfg_cell(out, str_of(o->help));
	if (o->type == CFG_SECRET)
		(void)buf_addf(out, " Also `--%s-file=PATH`.", o->name);
	(void)buf_addz(out, " |\n");
}

int
cfg_markdown(const struct cfg_table *t, struct buf *out)
{
	size_t i;

	(void)buf_addf(
	    out, "## %s\n\n%s\n\n    %s\n\n", t->program, t->summary, t->usage);
	(void)buf_addz(out,
	    "| option | environment | type | default | range | description |\n"
	    "|---|---|---|---|---|---|\n");
	for (i = 0; i < t->n_options; i++)
		cfg_markdown_row(out, &t->options[i]);
	return buf_addz(out, "\n");
}
