/* SPDX-License-Identifier: Apache-2.0 */
/* The options of headgate-agent: one table for flags, environment, file,
 * --help and docs/CONFIG.md. */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include "agent/agent.h"
#include "common/cfg.h"

extern const struct cfg_table agent_options_table;

/* Parse and check what the table cannot say. ERR_USAGE, ERR_INVALID. */
int agent_options_parse(struct agent_options *o, int argc, char *const *argv,
    char *const *envp, struct error *e) MUST_CHECK;
void agent_options_release(struct agent_options *o);

#endif
