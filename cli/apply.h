/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading YAML files and sending items to the control plane's apply, for the
 * commands that do so.
 */
#ifndef CLI_APPLY_H
#define CLI_APPLY_H

#include "cli/cli.h"
#include "cli/yaml.h"

/* Load a file, the .yaml and .yml files of a folder in name order, or "-" =
 * standard input. Errors are in c->err. */
int apply_load(
    struct cli *c, struct yaml_set *set, const char *from) MUST_CHECK;
/* Send items (borrowed) and show what changed. set (may be NULL): where the
 * items came from, so that errors name file and line. */
int apply_send(struct cli *c, json_t *items, const char *message, bool dry_run,
    bool prune, const struct yaml_set *set) MUST_CHECK;

#endif
