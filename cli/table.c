/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aligned text tables: cells are collected first, widths computed at the end.
 */
#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/money.h"

/* Heads live in one copy, cut at the commas; kept until release. */
void
table_init(struct table *t, const char *heads)
{
	char *copy = strdup(heads);
	char *p = copy;

	memset(t, 0, sizeof(*t));
	while (p != NULL && t->n_cols < TABLE_MAX_COLS) {
		char *comma = strchr(p, ',');
		size_t len;

		if (comma != NULL)
			*comma = '\0';
		len = strlen(p);
		if (len > 0 && p[len - 1] == '>') {
			p[len - 1] = '\0';
			t->right[t->n_cols] = true;
		}
		t->heads[t->n_cols++] = p;
		p = comma != NULL ? comma + 1 : NULL;
	}
}

void
table_release(struct table *t)
{
	for (size_t i = 0; i < t->filled; i++)
		free(t->cells[i]);
	free(t->cells);
	/* heads[0] is the start of the copy made by table_init */
	free((void *)(uintptr_t)t->heads[0]);
	memset(t, 0, sizeof(*t));
}

void
table_cell(struct table *t, const char *text)
{
	char *copy = strdup(text != NULL && text[0] != '\0' ? text : "-");

	if (t->filled == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		char **cells = realloc(t->cells, cap * sizeof(*cells));

		MUST(cells != NULL);
		t->cells = cells;
		t->cap = cap;
	}
	MUST(copy != NULL);
	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	t->cells[t->filled++] = copy;
}

void
table_cellf(struct table *t, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_cell(t, text);
}

void
table_int(struct table *t, int64_t v)
{
	char digits[32], text[48];
	size_t n, out = 0, first;

	snprintf(digits, sizeof(digits), "%lld", (long long)v);
	n = strlen(digits);
	first = digits[0] == '-' ? 1 : 0;
	for (size_t i = 0; i < n; i++) {
		if (i > first && (n - i) % 3 == 0)
			text[out++] = ',';
		text[out++] = digits[i];
	}
	text[out] = '\0';
	table_cell(t, text);
}

void
table_usd(struct table *t, int64_t nano)
{
	char text[32];

	money_format(nano, text);
	table_cellf(t, "$%s", text);
}

static size_t
table_width(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		if (((unsigned char)*s & 0xc0) != 0x80)
			n++;
	return n;
}

static void
table_put(FILE *f, const char *text, size_t width, bool right, bool last)
{
	size_t pad = width - table_width(text);

	if (right)
		fprintf(f, "%*s%s", (int)pad, "", text);
	else if (last)
		fprintf(f, "%s", text);
	else
		fprintf(f, "%s%*s", text, (int)pad, "");
	fputs(last ? "\n" : "  ", f);
}

void
table_print(const struct table *t, FILE *f)
{
	size_t width[TABLE_MAX_COLS];

	for (size_t c = 0; c < t->n_cols; c++)
		width[c] = table_width(t->heads[c]);
	for (size_t i = 0; i < t->filled; i++) {
		size_t w = table_width(t->cells[i]);

		if (w > width[i % t->n_cols])
			width[i % t->n_cols] = w;
	}
	for (size_t c = 0; c < t->n_cols; c++)
		table_put(
		    f, t->heads[c], width[c], t->right[c], c + 1 == t->n_cols);
	for (size_t i = 0; i < t->filled; i++) {
		size_t c = i % t->n_cols;

		table_put(
		    f, t->cells[i], width[c], t->right[c], c + 1 == t->n_cols);
	}
}
