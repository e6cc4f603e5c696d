/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to cfg: the text form of each option type.
 */
#ifndef COMMON_CFG_VALUE_H
#define COMMON_CFG_VALUE_H

#include "common/cfg.h"

/* Store text as o's value into *config; where says where it came from ("flag
 * --x", "environment X", "FILE:12"). On error e names the option; the value
 * of a secret is never part of the text. Takes no ownership. */
int cfg_value_set(const struct cfg_option *o, void *config, struct str text,
    const char *where, struct error *e) MUST_CHECK;
/* The same for a secret, from the file called path. */
int cfg_value_set_file(const struct cfg_option *o, void *config,
    struct str path, const char *where, struct error *e) MUST_CHECK;
/* Free the value if it is text (zeroing a secret) and set it to NULL. */
void cfg_value_release(const struct cfg_option *o, void *config);
/* Is the target a malloc'ed string? */
bool cfg_value_is_text(enum cfg_type type);
/* A number in the unit of the type: "16KiB", "250ms", "12". */
void cfg_value_print(struct buf *out, enum cfg_type type, int64_t v);
/* "string", "duration", ... for the manual. */
const char *cfg_value_kind(enum cfg_type type);

#endif
