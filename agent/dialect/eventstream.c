/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prelude is checked as soon as its 12 bytes are there, so that a wrong
 * length is found before anything is collected for it.
 */
#include "agent/dialect/eventstream.h"

#include <pthread.h>
#include <string.h>

#define CRC32_POLY 0xedb88320u /* reflected */
#define PRELUDE	   12

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = (c & 1) ? (c >> 1) ^ CRC32_POLY : c >> 1;
		crc_table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			crc_table[t][i] =
			    (crc_table[t - 1][i] >> 8) ^
			    crc_table[0][crc_table[t - 1][i] & 0xff];
}

uint32_t
eventstream_crc32(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint32_t lo;

	pthread_once(&crc_once, crc_init);
	crc = ~crc;
	while (n >= 8) {
		lo = crc ^ ((uint32_t)b[0] | (uint32_t)b[1] << 8 |
			       (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
		crc = crc_table[7][lo & 0xff] ^ crc_table[6][lo >> 8 & 0xff] ^
		      crc_table[5][lo >> 16 & 0xff] ^ crc_table[4][lo >> 24] ^
		      crc_table[3][b[4]] ^ crc_table[2][b[5]] ^
		      crc_table[1][b[6]] ^ crc_table[0][b[7]];
		b += 8;
		n -= 8;
	}
	while (n-- > 0)
		crc = (crc >> 8) ^ crc_table[0][(crc ^ *b++) & 0xff];
	return ~crc;
}

void
eventstream_init(struct eventstream *s, size_t max_payload)
{
	memset(s, 0, sizeof(*s));
	s->max_payload = max_payload;
	buf_init(&s->raw,
	    max_payload + EVENTSTREAM_MAX_HEADER_BYTES + EVENTSTREAM_OVERHEAD);
}

void
eventstream_release(struct eventstream *s)
{
	buf_release(&s->raw);
}

static uint64_t
eventstream_uint(const char *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | (uint8_t)*p++;
	return v;
}

/* Signed number of n bytes, big-endian. */
static int64_t
eventstream_int(const char *p, size_t n)
{
	uint64_t v = eventstream_uint(p, n);
	unsigned unused = 64 - (unsigned)n * 8;

	return (int64_t)(v << unused) >> unused;
}

/* Bytes of a value at p..end, its length prefix in *prefix; -1 = broken. */
static long
eventstream_value_len(
    unsigned type, const char *p, const char *end, size_t *prefix)
{
	static const uint8_t fixed[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};

	*prefix = 0;
	if (type > EVENTSTREAM_UUID)
		return -1;
	if (type != EVENTSTREAM_BYTES && type != EVENTSTREAM_STRING)
		return fixed[type];
	if (end - p < 2)
		return -1;
	*prefix = 2;
	return (long)eventstream_uint(p, 2);
}

/* One header at *p; *p goes behind it. */
static int
eventstream_header(
    const char **p, const char *end, struct eventstream_header *h)
{
	const char *at = *p;
	size_t name_len = (uint8_t)*at++, prefix;
	unsigned type;
	long len;

	if (name_len == 0 || (size_t)(end - at) < name_len + 1)
		return ERR_CORRUPT;
	h->name = str_make(at, name_len);
	at += name_len;
	type = (uint8_t)*at++;
	len = eventstream_value_len(type, at, end, &prefix);
	if (len < 0 || (size_t)(end - at) < prefix + (size_t)len)
		return ERR_CORRUPT;
	at += prefix;
	h->type = (enum eventstream_type)type;
	h->value = str_make(at, (size_t)len);
	h->number = type == EVENTSTREAM_TRUE;
	if ((type >= EVENTSTREAM_I8 && type <= EVENTSTREAM_I64) ||
	    type == EVENTSTREAM_TIMESTAMP)
		h->number = eventstream_int(at, (size_t)len);
	*p = at + len;
	return 0;
}

static int
eventstream_headers(
    struct eventstream_message *m, const char *p, const char *end)
{
	unsigned i;
	int rc;

	m->n_headers = 0;
	while (p < end) {
		if (m->n_headers == EVENTSTREAM_MAX_HEADERS)
			return ERR_TOO_LARGE;
		rc = eventstream_header(&p, end, &m->headers[m->n_headers]);
		if (rc != 0)
			return rc;
		for (i = 0; i < m->n_headers; i++)
			if (str_eq(m->headers[i].name,
				m->headers[m->n_headers].name))
				return ERR_CORRUPT;
		m->n_headers++;
	}
	return 0;
}

/* Lengths of the message that begins at p, of which PRELUDE bytes are there.
 */
static int
eventstream_prelude(
    const struct eventstream *s, const char *p, size_t *total, size_t *headers)
{
	*total = (size_t)eventstream_uint(p, 4);
	*headers = (size_t)eventstream_uint(p + 4, 4);
	if (eventstream_crc32(0, p, 8) != (uint32_t)eventstream_uint(p + 8, 4))
		return ERR_CORRUPT;
	if (*headers > EVENTSTREAM_MAX_HEADER_BYTES)
		return ERR_TOO_LARGE;
	if (*total < *headers + EVENTSTREAM_OVERHEAD)
		return ERR_CORRUPT;
	if (*total - *headers - EVENTSTREAM_OVERHEAD > s->max_payload)
		return ERR_TOO_LARGE;
	return 0;
}

static int
eventstream_deliver(struct eventstream *s, const char *p, size_t total,
    size_t headers, eventstream_fn *fn, void *ctx)
{
	struct eventstream_message *m = &s->message;
	int rc;

	if (eventstream_crc32(0, p, total - 4) !=
	    (uint32_t)eventstream_uint(p + total - 4, 4))
		return ERR_CORRUPT;
	rc = eventstream_headers(m, p + PRELUDE, p + PRELUDE + headers);
	if (rc != 0)
		return rc;
	m->payload = str_make(
	    p + PRELUDE + headers, total - headers - EVENTSTREAM_OVERHEAD);
	return fn(ctx, m);
}

/* Go on with the message whose beginning is in s->raw; *p, *n move on. */
static int
eventstream_more(struct eventstream *s, const char **p, size_t *n,
    eventstream_fn *fn, void *ctx)
{
	size_t total = PRELUDE, headers = 0, part;
	int rc;

	for (;;) {
		if (s->raw.len >= PRELUDE) {
			rc = eventstream_prelude(
			    s, s->raw.data, &total, &headers);
			if (rc != 0)
				return rc;
		}
		if (s->raw.len == total)
			break;
		if (*n == 0)
			return 0;
		part = total - s->raw.len < *n ? total - s->raw.len : *n;
		rc = buf_add(&s->raw, *p, part);
		if (rc != 0)
			return rc;
		*p += part;
		*n -= part;
	}
	rc = eventstream_deliver(s, s->raw.data, total, headers, fn, ctx);
	buf_clear(&s->raw);
	return rc;
}

int
eventstream_feed(struct eventstream *s, const char *p, size_t n,
    eventstream_fn *fn, void *ctx)
{
	size_t total, headers;
	int rc;

	if (s->raw.len > 0) {
		rc = eventstream_more(s, &p, &n, fn, ctx);
		if (rc != 0)
			return rc;
	}
	while (n >= PRELUDE) {
		rc = eventstream_prelude(s, p, &total, &headers);
		if (rc != 0)
			return rc;
		if (total > n)
			break;
		rc = eventstream_deliver(s, p, total, headers, fn, ctx);
		if (rc != 0)
			return rc;
		p += total;
		n -= total;
	}
	return n > 0 ? buf_add(&s->raw, p, n) : 0;
}

int
eventstream_finish(const struct eventstream *s)
{
	return s->raw.len > 0 ? ERR_CORRUPT : 0;
}

struct str
eventstream_string(const struct eventstream_message *m, struct str name)
{
	unsigned i;

	for (i = 0; i < m->n_headers; i++)
		if (m->headers[i].type == EVENTSTREAM_STRING &&
		    str_eq(m->headers[i].name, name))
			return m->headers[i].value;
	return STR("");
}
