/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser works on a view: the fed bytes themselves while no event is open
 * from an earlier feed, otherwise the collected bytes. It looks for line ends
 * only; fields are taken apart when the event is complete.
 */
#include "agent/dialect/sse.h"

#include <string.h>

void
sse_init(struct sse *s, size_t max_event)
{
	memset(s, 0, sizeof(*s));
	/* One read more than the limit may be collected before it is seen. */
	buf_init(&s->raw, max_event + 1);
	buf_init(&s->data, max_event + 1);
	s->max_event = max_event;
}

void
sse_clear(struct sse *s)
{
	buf_clear(&s->raw);
	buf_clear(&s->data);
	s->scanned = s->line = 0;
	s->skip_lf = s->single = s->started = false;
}

void
sse_release(struct sse *s)
{
	buf_release(&s->raw);
	buf_release(&s->data);
}

/* First line end in [p, end), NULL if there is none. */
static const char *
sse_line_end(const char *p, const char *end)
{
	const char *lf, *cr;

	lf = memchr(p, '\n', (size_t)(end - p));
	cr = memchr(p, '\r', (size_t)((lf != NULL ? lf : end) - p));
	return cr != NULL ? cr : lf;
}

static int
sse_field(struct sse *s, struct sse_event *ev, struct str line)
{
	struct str name, value;
	int rc = 0;

	if (!str_cut(line, ':', &name, &value))
		value = STR_NULL;
	if (value.len > 0 && value.p[0] == ' ') {
		value.p++;
		value.len--;
	}
	if (str_eq(name, STR("data"))) {
		if (!ev->has_data) {
			ev->data = value;
		} else {
			if (s->data.len == 0)
				rc = buf_add_str(&s->data, ev->data);
			if (rc == 0)
				rc = buf_addc(&s->data, '\n');
			if (rc == 0)
				rc = buf_add_str(&s->data, value);
			ev->data = buf_str(&s->data);
		}
		ev->has_data = true;
	} else if (str_eq(name, STR("event"))) {
		ev->name = value;
	}
	return rc;
}

/* Take raw apart and call fn. */
static int
sse_deliver(struct sse *s, struct str raw, sse_fn *fn, void *ctx)
{
	struct sse_event ev = {.raw = raw};
	const char *p = raw.p, *end = raw.p + raw.len, *e;
	int rc;

	buf_clear(&s->data);
	if (!s->started && raw.len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	s->started = true;
	while (p < end) {
		e = sse_line_end(p, end);
		if (e == NULL)
			e = end;
		if (e > p && *p != ':') {
			rc = sse_field(s, &ev, str_make(p, (size_t)(e - p)));
			if (rc != 0)
				return rc;
		}
		p = e + 1;
		if (e < end && *e == '\r' && p < end && *p == '\n')
			p++;
	}
	return fn(ctx, &ev);
}

/*
 * Deliver all complete events of the view p[0..n). *line and *scanned are
 * where the search stands; *used is set to the bytes that were delivered.
 */
static int
sse_scan(struct sse *s, const char *p, size_t n, size_t *line, size_t *scanned,
    size_t *used, sse_fn *fn, void *ctx)
{
	const char *e, *end = p + n;
	size_t start = 0, next;
	int rc;

	while ((e = sse_line_end(p + *scanned, end)) != NULL) {
		next = (size_t)(e - p) + 1;
		/* A LF may follow: wait, unless an event would wait with it in
		 * a stream whose lines do not end so. */
		if (*e == '\r' && next == n && (e != p + *line || !s->single))
			break;
		if (*e == '\r' && next < n && p[next] == '\n')
			next++;
		s->single = next == (size_t)(e - p) + 1;
		if (e == p + *line) {
			/* Up to the blank line's first byte: the same limit
			 * however the stream was cut. */
			if ((size_t)(e - p) + 1 - start > s->max_event)
				return ERR_TOO_LARGE;
			s->skip_lf = *e == '\r' && next == n;
			rc = sse_deliver(
			    s, str_make(p + start, next - start), fn, ctx);
			start = next;
			*used = start;
			if (rc != 0)
				return rc;
		}
		*line = *scanned = next;
	}
	if (e == NULL)
		*scanned = n;
	if (n - start > s->max_event)
		return ERR_TOO_LARGE;
	return 0;
}

/* Go on with the event whose beginning is in s->raw. */
static int
sse_feed_more(struct sse *s, const char *p, size_t n, sse_fn *fn, void *ctx)
{
	size_t used = 0;
	int rc;

	rc = buf_add(&s->raw, p, n);
	if (rc != 0)
		return rc;
	rc = sse_scan(
	    s, s->raw.data, s->raw.len, &s->line, &s->scanned, &used, fn, ctx);
	if (used > 0) {
		buf_consume(&s->raw, used);
		s->line -= used;
		s->scanned -= used;
	}
	return rc;
}

int
sse_feed(struct sse *s, const char *p, size_t n, sse_fn *fn, void *ctx)
{
	size_t used = 0, line = 0, scanned = 0, part;
	int rc;

	if (s->skip_lf && n > 0) {
		s->skip_lf = false;
		if (*p == '\n') { /* of the event that was delivered */
			struct sse_event ev = {.raw = str_make(p, 1)};

			p++;
			n--;
			rc = fn(ctx, &ev);
			if (rc != 0)
				return rc;
		}
	}
	/* Bounded pieces, so that a large read of small events passes. */
	while (s->raw.len > 0 && n > 0) {
		part = s->max_event + 1 - s->raw.len;
		if (part > 4096)
			part = 4096;
		if (part > n)
			part = n;
		rc = sse_feed_more(s, p, part, fn, ctx);
		if (rc != 0)
			return rc;
		p += part;
		n -= part;
	}
	if (n == 0)
		return 0;
	rc = sse_scan(s, p, n, &line, &scanned, &used, fn, ctx);
	if (rc != 0)
		return rc;
	if (used < n) {
		s->line = line - used;
		s->scanned = scanned - used;
		rc = buf_add(&s->raw, p + used, n - used);
	}
	return rc;
}

int
sse_finish(struct sse *s, sse_fn *fn, void *ctx)
{
	struct str raw = buf_str(&s->raw);
	int rc = 0;

	if (raw.len > 0)
		rc = sse_deliver(s, raw, fn, ctx);
	buf_clear(&s->raw);
	s->line = s->scanned = 0;
	return rc;
}
