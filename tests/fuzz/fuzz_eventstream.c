/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: Amazon's event stream. The first byte says how the input is
 * split, and whether its CRCs are put right first, so that what is behind
 * them is reached. Messages must not depend on the split.
 */
#include <stdint.h>
#include <string.h>

#include "agent/dialect/eventstream.h"
#include "tests/fuzz/splits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
on_message(void *ctx, const struct eventstream_message *m)
{
	struct buf *b = ctx;
	unsigned i;

	MUST(m->n_headers <= EVENTSTREAM_MAX_HEADERS);
	for (i = 0; i < m->n_headers; i++) {
		(void)buf_add_str(b, m->headers[i].name);
		(void)buf_addf(b, "=%d:%lld:", (int)m->headers[i].type,
		    (long long)m->headers[i].number);
		(void)buf_add_str(b, m->headers[i].value);
	}
	(void)buf_add_str(b, eventstream_string(m, STR(":message-type")));
	(void)buf_add_str(b, m->payload);
	return 0;
}

static int
run(const char *p, size_t n, const struct split *split, struct buf *seen)
{
	struct eventstream s;
	size_t at, part;
	int rc = 0;

	buf_init(seen, (size_t)1 << 24);
	eventstream_init(&s, 4096);
	for (at = 0; at < n && rc == 0; at += part) {
		part = split_piece(split, at, n);
		rc = eventstream_feed(&s, p + at, part, on_message, seen);
	}
	if (rc == 0)
		rc = eventstream_finish(&s);
	eventstream_release(&s);
	MUST(buf_error(seen) == 0);
	return rc;
}

static uint32_t
get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static void
put(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* Make the CRCs of all messages right. */
static void
mend(uint8_t *p, size_t n)
{
	uint32_t total;

	while (n >= 12) {
		put(p + 8, eventstream_crc32(0, p, 8));
		total = get(p);
		if (total < EVENTSTREAM_OVERHEAD || total > n)
			return;
		put(p + total - 4, eventstream_crc32(0, p, total - 4));
		p += total;
		n -= total;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t text[65536];
	struct split split = SPLIT_WHOLE;
	struct buf whole, cut;
	struct splits it;
	int rc;

	if (size < 2 || size > sizeof(text))
		return 0;
	memcpy(text, data + 1, --size);
	if ((data[0] & 0x80) == 0)
		mend(text, size);
	rc = run((const char *)text, size, &split, &whole);
	it = splits_begin(size, 1 + (data[0] & 0x7f), &split);
	do {
		MUST(run((const char *)text, size, &split, &cut) == rc);
		MUST(str_eq(buf_str(&whole), buf_str(&cut)));
		buf_release(&cut);
	} while (splits_next(&it, &split));
	buf_release(&whole);
	return 0;
}
