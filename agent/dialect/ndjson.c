/* SPDX-License-Identifier: Apache-2.0 */
/* See ndjson.h. */
#include "agent/dialect/ndjson.h"

#include <string.h>

void
ndjson_init(struct ndjson *s, size_t max_line)
{
	s->max_line = max_line;
	/* With a CR that is not counted. */
	buf_init(&s->raw, max_line + 1);
}

void
ndjson_release(struct ndjson *s)
{
	buf_release(&s->raw);
}

/* A line without its LF. */
static int
ndjson_line(struct ndjson *s, struct str line, ndjson_fn *fn, void *ctx)
{
	size_t i;

	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	if (line.len > s->max_line)
		return ERR_TOO_LARGE;
	for (i = 0; i < line.len; i++)
		if (line.p[i] != ' ' && line.p[i] != '\t')
			return fn(ctx, line);
	return 0;
}

int
ndjson_feed(struct ndjson *s, const char *p, size_t n, ndjson_fn *fn, void *ctx)
{
	const char *lf, *end = p + n;
	int rc;

	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (s->raw.len > 0) {
			rc = buf_add(&s->raw, p, (size_t)(lf - p));
			if (rc == 0)
				rc = ndjson_line(s, buf_str(&s->raw), fn, ctx);
			buf_clear(&s->raw);
		} else {
			rc = ndjson_line(
			    s, str_make(p, (size_t)(lf - p)), fn, ctx);
		}
		if (rc != 0)
			return rc;
		p = lf + 1;
	}
	return p < end ? buf_add(&s->raw, p, (size_t)(end - p)) : 0;
}

int
ndjson_finish(struct ndjson *s, ndjson_fn *fn, void *ctx)
{
	int rc = 0;

	if (s->raw.len > 0)
		rc = ndjson_line(s, buf_str(&s->raw), fn, ctx);
	buf_clear(&s->raw);
	return rc;
}
