/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What most commands that read do: GET a path and show the answer. The path is
 * encoded already; what is shown goes to c->out. All return 0 or ERR_* with
 * c->err set, and show nothing then.
 */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "cli/cli.h"

/* Columns are those of show_list(). Every item of a listing. */
int fetch_all(struct cli *c, const char *path, const char *columns) MUST_CHECK;
/* Every item with --all, else the first page of --limit items, of `usual`
 * without that flag; path grows by the query. */
int fetch_some(struct cli *c, const struct cli_args *a, struct buf *path,
    const char *usual, const char *columns) MUST_CHECK;
/* One page; as JSON with what stands beside its items, the next page's cursor
 * for one. */
int fetch_page(struct cli *c, const char *path, const char *columns) MUST_CHECK;
/* One thing, field by field. */
int fetch_fields(struct cli *c, const char *path) MUST_CHECK;

#endif
