/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media types: what a part's bytes are, told by its mime, its file name or
 * the first bytes of its base64, and the short names that Bedrock has for
 * them.
 */
#ifndef AGENT_DIALECT_MEDIA_H
#define AGENT_DIALECT_MEDIA_H

#include "agent/dialect/ir.h"

struct media_type {
	const char *mime;   /* "image/png" */
	const char *format; /* Bedrock: "png" */
	const char *ext;    /* of file names: "png" */
	enum ir_part_type part;
};

/* What the part is; NULL when nobody can tell. A mime that is told decides
 * (and may be unknown here: then NULL too). */
const struct media_type *media_of(struct arena *a, const struct ir_part *p);
/* The mime to send: as it was told, else by media_of(), else "". esc. */
struct str media_mime(struct arena *a, const struct ir_part *p);
/* esc text without escapes: itself where it has none, else unescaped into the
 * arena ("" when that fails). */
struct str media_plain(struct arena *a, struct str esc);

#endif
