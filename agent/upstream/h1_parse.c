/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of answer heads and of the chunked coding.
 */
#include "agent/upstream/h1_parse.h"

#include <string.h>

#define H1_MAX_EXTRA 16384 /* bytes of chunk extensions and trailers */

size_t
h1_head_len(const char *p, size_t n)
{
	const char *at = p, *end = p + n, *lf;

	while ((lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at = lf + 1;
		if (at < end && *at == '\n')
			return (size_t)(at + 1 - p);
		if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
			return (size_t)(at + 2 - p);
	}
	return 0;
}

static bool
h1_is_token(struct str s)
{
	static const char extra[] = "!#$%&'*+-.^_`|~";
	size_t i;
	char c;

	for (i = 0; i < s.len; i++) {
		c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') ||
			(c != '\0' && strchr(extra, c) != NULL)))
			return false;
	}
	return s.len > 0;
}

static int
h1_status_line(struct str line, struct h1_head *h)
{
	const char *p = line.p;
	int i, status = 0;

	/* "HTTP/1.1 200" and then a space and a reason, or nothing */
	if (line.len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[8] != ' ' ||
	    (p[7] != '0' && p[7] != '1') || (line.len > 12 && p[12] != ' '))
		return ERR_INVALID;
	for (i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return ERR_INVALID;
		status = status * 10 + (p[i] - '0');
	}
	if (status < 100)
		return ERR_INVALID;
	h->up.status = status;
	h->keep_alive = p[7] == '1';
	return 0;
}

static int
h1_length_field(struct h1_head *h, struct str value)
{
	uint64_t n;

	if (value.len > 18 || str_to_u64(value, &n) != 0)
		return ERR_INVALID;
	if (h->up.content_length >= 0 && h->up.content_length != (int64_t)n)
		return ERR_INVALID;
	h->up.content_length = (int64_t)n;
	if (h->framing == H1_CLOSE)
		h->framing = H1_LENGTH;
	return 0;
}

static void
h1_connection_field(struct h1_head *h, struct str value)
{
	struct str item;
	bool more = true;

	while (more) {
		more = str_cut(value, ',', &item, &value);
		item = str_trim(item);
		if (str_ieq(item, STR("close")))
			h->keep_alive = false;
		else if (str_ieq(item, STR("keep-alive")))
			h->keep_alive = true;
	}
}

static int
h1_field(struct str line, struct h1_head *h, bool *chunked)
{
	struct str name, value;
	size_t i;

	if (!str_cut(line, ':', &name, &value) || !h1_is_token(name))
		return ERR_INVALID;
	value = str_trim(value);
	for (i = 0; i < value.len; i++) {
		if (value.p[i] == '\0' || value.p[i] == '\r')
			return ERR_INVALID;
	}
	if (str_ieq(name, STR("content-length")))
		return h1_length_field(h, value);
	if (str_ieq(name, STR("transfer-encoding"))) {
		if (*chunked || !str_ieq(value, STR("chunked")))
			return ERR_INVALID;
		*chunked = true;
	} else if (str_ieq(name, STR("connection"))) {
		h1_connection_field(h, value);
	} else {
		up_head_field(&h->up, name, value);
	}
	return 0;
}

static struct str
h1_line(const char **p, const char *end)
{
	const char *lf = memchr(*p, '\n', (size_t)(end - *p));
	struct str line;

	if (lf == NULL)
		lf = end;
	line = str_make(*p, (size_t)(lf - *p));
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	*p = lf < end ? lf + 1 : end;
	return line;
}

int
h1_head_parse(struct str raw, struct h1_head *h)
{
	const char *p = raw.p, *end = raw.p + raw.len;
	struct str line;
	bool chunked = false;
	int rc;

	memset(h, 0, sizeof(*h));
	h->up.content_length = -1;
	h->framing = H1_CLOSE;
	rc = h1_status_line(h1_line(&p, end), h);
	if (rc != 0)
		return rc;
	while (p < end) {
		line = h1_line(&p, end);
		if (line.len == 0)
			break;
		rc = h1_field(line, h, &chunked);
		if (rc != 0)
			return rc;
	}
	if (chunked) {
		if (h->up.content_length >= 0)
			return ERR_INVALID;
		h->framing = H1_CHUNKED;
	}
	if (h->up.status < 200 || h->up.status == 204 || h->up.status == 304)
		h->framing = H1_NONE;
	if (h->framing == H1_CLOSE)
		h->keep_alive = false;
	if (h->framing == H1_LENGTH && h->up.content_length == 0)
		h->framing = H1_NONE;
	return 0;
}

static int
h1_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int
h1_chunk_size(struct h1_chunked *c, char ch)
{
	int hex = h1_hex(ch);

	if (hex >= 0) {
		if (++c->n_digits > 15)
			return ERR_INVALID;
		c->left = c->left * 16 + (uint64_t)hex;
		return 0;
	}
	if (c->n_digits == 0)
		return ERR_INVALID;
	if (ch == '\r')
		c->state = H1_CHUNK_SIZE_LF;
	else if (ch == ';' || ch == ' ' || ch == '\t')
		c->state = H1_CHUNK_EXT;
	else
		return ERR_INVALID;
	return 0;
}

static int
h1_expect_lf(struct h1_chunked *c, char ch, enum h1_chunk_state next)
{
	if (ch != '\n')
		return ERR_INVALID;
	c->state = next;
	return 0;
}

static int
h1_chunk_skip(
    struct h1_chunked *c, char ch, enum h1_chunk_state at_end, char stop)
{
	if (++c->n_extra > H1_MAX_EXTRA)
		return ERR_INVALID;
	if (ch == stop)
		c->state = at_end;
	else if (ch == '\n' || ch == '\0')
		return ERR_INVALID;
	return 0;
}

/* One byte of framing. */
static int
h1_chunk_byte(struct h1_chunked *c, char ch)
{
	switch (c->state) {
	case H1_CHUNK_SIZE:
		return h1_chunk_size(c, ch);
	case H1_CHUNK_EXT:
		return h1_chunk_skip(c, ch, H1_CHUNK_SIZE_LF, '\r');
	case H1_CHUNK_SIZE_LF:
		return h1_expect_lf(
		    c, ch, c->left > 0 ? H1_CHUNK_DATA : H1_CHUNK_TRAILER);
	case H1_CHUNK_DATA_CR:
		if (ch != '\r')
			return ERR_INVALID;
		c->state = H1_CHUNK_DATA_LF;
		return 0;
	case H1_CHUNK_DATA_LF:
		c->n_digits = 0;
		return h1_expect_lf(c, ch, H1_CHUNK_SIZE);
	case H1_CHUNK_TRAILER:
		if (ch == '\r') {
			c->state = H1_CHUNK_LAST_LF;
			return 0;
		}
		c->state = H1_CHUNK_TRAILER_LINE;
		return 0;
	case H1_CHUNK_TRAILER_LINE:
		/* Up to the line feed: the carriage return is skipped too. */
		if (++c->n_extra > H1_MAX_EXTRA)
			return ERR_INVALID;
		if (ch == '\n')
			c->state = H1_CHUNK_TRAILER;
		return 0;
	case H1_CHUNK_LAST_LF:
		return h1_expect_lf(c, ch, H1_CHUNK_DONE);
	case H1_CHUNK_DATA:
	case H1_CHUNK_DONE:
		break;
	}
	return ERR_INVALID;
}

int
h1_chunked_next(struct h1_chunked *c, const char *p, size_t n, size_t *used,
    const char **data, size_t *len)
{
	size_t i = 0;
	int rc;

	*data = p;
	*len = 0;
	while (i < n && c->state != H1_CHUNK_DONE) {
		if (c->state == H1_CHUNK_DATA) {
			*data = p + i;
			*len = n - i;
			if ((uint64_t)*len > c->left)
				*len = (size_t)c->left;
			c->left -= *len;
			if (c->left == 0)
				c->state = H1_CHUNK_DATA_CR;
			*used = i + *len;
			return 0;
		}
		rc = h1_chunk_byte(c, p[i++]);
		if (rc != 0)
			return rc;
	}
	*used = i;
	return 0;
}
