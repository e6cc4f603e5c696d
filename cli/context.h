/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts: named (server, token) pairs in one private JSON file,
 * $HEADGATE_CONFIG or $XDG_CONFIG_HOME/headgate/contexts.json (default
 * ~/.config), mode 0600.
 */
#ifndef CLI_CONTEXT_H
#define CLI_CONTEXT_H

#include "cli/cli.h"

/* Fill c->server and c->token where flags left them empty: from
 * HEADGATE_SERVER / HEADGATE_TOKEN, then from the chosen context. */
int context_resolve(struct cli *c) MUST_CHECK;

#endif
