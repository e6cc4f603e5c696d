/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of forms with files (multipart/form-data), taken apart as they come:
 * the model's name and a few other fields are read, files are not looked at.
 * Everything but the field "model" is kept, in memory up to SPOOL_MEMORY, above
 * that in a file without a name; so an upload never lies in memory as a whole.
 * The model goes to the provider as a part of its own in front.
 */
#ifndef AGENT_FRONT_SPOOL_H
#define AGENT_FRONT_SPOOL_H

#include "agent/dialect/scan.h"
#include "common/buf.h"

#define SPOOL_MEMORY (256u * 1024)

struct spool;

/* content_type: of the request. dir: for the file. max: bytes of the body.
 * ERR_UNSUPPORTED: no form with a boundary; ERR_NOMEM. */
int spool_new(struct str content_type, const char *dir, size_t max,
    struct spool **ret) MUST_CHECK;
void spool_free(struct spool *s); /* NULL is fine */
/* More of the body. ERR_INVALID (no such form), ERR_TOO_LARGE, ERR_NOMEM,
 * ERR_IO. */
int spool_add(struct spool *s, const char *p, size_t n) MUST_CHECK;
/* The body is complete: what it asks for. ret->user is as it stands in the form
 * (nothing is escaped there) and valid as long as the spool. */
int spool_scan(struct spool *s, enum op op, struct str path_model,
    struct scan *ret, struct error *e) MUST_CHECK;

/* What goes upstream: the part with the model, appended to out, ... */
void spool_model_part(const struct spool *s, struct str model, struct buf *out);
/* ... then either these bytes, or those of the file (fd >= 0). */
struct str spool_memory(const struct spool *s);
int spool_file(const struct spool *s, int64_t *len);
const char *spool_boundary(const struct spool *s);

#endif
