/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How answers are shown: JSON with a stable layout, names, or an aligned
 * table whose columns are picked by field name.
 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/cli.h"
#include "cli/table.h"

/* "name,spend:spent_nanousd$,lag:lag_versions#": comma-separated columns
 * "HEAD:field" or "field"; suffix '$' = nano-USD, '#' = integer. */
void show_list(struct cli *c, const json_t *items, const char *columns);
void show_json(struct cli *c, const json_t *v);
/* Field by field, nested values indented. */
void show_fields(struct cli *c, const json_t *obj);
/* One value as a line of text; "-" for null. Appends to b. */
void show_value(struct buf *b, const json_t *v);

#endif
