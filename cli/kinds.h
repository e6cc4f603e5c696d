/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of resources as the CLI names them and which columns `get` shows.
 */
#ifndef CLI_KINDS_H
#define CLI_KINDS_H

#include <stddef.h>

struct cli_kind {
	const char *singular, *plural, *columns;
};
extern const struct cli_kind cli_kinds[];
extern const size_t n_cli_kinds;

/* By singular or plural; NULL when there is no such kind. */
const struct cli_kind *kind_find(const char *word);

#endif
