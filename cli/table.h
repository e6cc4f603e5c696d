/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aligned text tables for people. Cells are copied; widths count UTF-8
 * characters; control characters are shown as '?'.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_MAX_COLS 20

struct table {
	size_t n_cols, n_rows, cap;
	const char *heads[TABLE_MAX_COLS]; /* borrowed */
	bool right[TABLE_MAX_COLS];	   /* numbers are set to the right */
	char **cells;			   /* n_rows * n_cols, owned */
	size_t filled;			   /* cells of the current row */
};

/* heads: "NAME,SPENT>,LIMIT>" splits at commas; '>' aligns right. */
void table_init(struct table *t, const char *heads);
void table_release(struct table *t);
void table_cell(struct table *t, const char *text); /* NULL prints "-" */
void table_cellf(struct table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Integer with thousands separators. */
void table_int(struct table *t, int64_t v);
/* Dollars from nano-USD, "$12.345678901", at least 2 decimals. */
void table_usd(struct table *t, int64_t nano);
void table_print(const struct table *t, FILE *f);

#endif
