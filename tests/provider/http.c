/* SPDX-License-Identifier: Apache-2.0 */
/* Reading requests; the clients are gateways and tests, so this is strict. */
#include "tests/provider/http.h"

bool
http_next_header(struct str *rest, struct str *name, struct str *value)
{
	struct str line;

	while (rest->len > 0) {
		(void)str_cut(*rest, '\n', &line, rest);
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		if (!str_cut(line, ':', name, value))
			continue;
		*value = str_trim(*value);
		return true;
	}
	return false;
}

struct str
http_header(const struct http_request *r, const char *name)
{
	struct str rest = r->headers, one, value;

	while (http_next_header(&rest, &one, &value)) {
		if (str_ieq(one, str_of(name)))
			return value;
	}
	return STR_NULL;
}

static int
http_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str
http_unescape(struct str s, char *dst)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		int hi = -1, lo = -1;

		if (s.p[i] == '%' && i + 2 < s.len) {
			hi = http_digit(s.p[i + 1]);
			lo = http_digit(s.p[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			dst[n++] = (char)(hi * 16 + lo);
			i += 2;
		} else {
			dst[n++] = s.p[i];
		}
	}
	return str_make(dst, n);
}

struct str
http_query(const struct http_request *r, const char *name)
{
	struct str query = r->query, one, key, value;

	while (query.len > 0) {
		(void)str_cut(query, '&', &one, &query);
		(void)str_cut(one, '=', &key, &value);
		if (str_eqz(key, name))
			return value.p == NULL ? STR("") : value;
	}
	return STR_NULL;
}

/* What the headers say about the request itself. */
struct http_framing {
	bool chunked, has_length;
	uint64_t length;
	bool expect;
};

static int
http_read_headers(struct http_request *r, struct http_framing *f)
{
	struct str rest = r->headers, name, value;

	while (http_next_header(&rest, &name, &value)) {
		switch (name.p[0] | 32) {
		case 'a':
			if (str_ieq(name, STR("authorization")))
				r->authorization = value;
			break;
		case 'c':
			if (str_ieq(name, STR("content-length"))) {
				if (f->has_length ||
				    str_to_u64(value, &f->length) != 0)
					return ERR_INVALID;
				f->has_length = true;
			} else if (str_ieq(name, STR("connection"))) {
				r->close = str_ieq(value, STR("close"));
			}
			break;
		case 'e':
			f->expect = f->expect || str_ieq(name, STR("expect"));
			break;
		case 't':
			if (str_ieq(name, STR("transfer-encoding")))
				f->chunked = true;
			break;
		case 'x':
			if (str_ieq(name, STR("x-request-id")))
				r->request_id = value;
			else if (str_ieq(name, STR("x-headgate-attempt")))
				r->attempt = value;
			else if (str_ieq(name, STR("x-sim-forbid")) ||
				 str_ieq(name, STR("x-sim-require")))
				r->has_asserts = true;
			else if (name.len > 6 &&
				 str_ieq(str_make(name.p, 6), STR("x-sim-")))
				r->has_sim = true;
			break;
		default:
			break;
		}
	}
	return f->chunked && f->has_length ? ERR_INVALID : 0;
}

static int
http_hex(const char *p, const char *end, size_t *ret, const char **after)
{
	size_t v = 0;
	const char *start = p;

	for (; p < end; p++) {
		char c = (char)(*p | 32);
		unsigned d;

		if (c >= '0' && c <= '9')
			d = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			d = (unsigned)(c - 'a' + 10);
		else
			break;
		v = v * 16 + d;
		if (v > HTTP_MAX_BODY)
			return ERR_TOO_LARGE;
	}
	*ret = v;
	*after = p;
	return p == start ? ERR_INVALID : 0;
}

/* Decode chunks in place. Looks twice: first whether all of them are here. */
static int
http_chunked(char *p, char *end, struct http_request *r)
{
	char *at = p, *to = p;

	for (int pass = 0; pass < 2; pass++) {
		for (at = p;;) {
			const char *after;
			char *eol = memchr(at, '\n', (size_t)(end - at));
			size_t n;

			if (eol == NULL)
				return end - at > 1024 ? ERR_INVALID : 0;
			if (http_hex(at, eol, &n, &after) != 0)
				return ERR_INVALID;
			at = eol + 1;
			if (n == 0)
				break;
			if ((size_t)(end - at) < n + 2)
				return 0;
			if (pass == 1) {
				memmove(to, at, n);
				to += n;
			}
			at += n + 2;
		}
		/* no trailers from our clients: the blank line */
		if (end - at < 2)
			return 0;
		if (at[0] != '\r' || at[1] != '\n')
			return ERR_INVALID;
		at += 2;
	}
	r->body = str_make(p, (size_t)(to - p));
	r->total += (size_t)(at - p);
	return 1;
}

int
http_parse(struct buf *in, struct http_request *r)
{
	struct http_framing f = {0};
	struct str line, target, version;
	char *end;

	memset(r, 0, sizeof(*r));
	if (in->len == 0)
		return 0;
	end = memmem(in->data, in->len, "\r\n\r\n", 4);
	if (end == NULL)
		return in->len > HTTP_MAX_HEAD ? ERR_TOO_LARGE : 0;
	r->head = str_make(in->data, (size_t)(end - in->data));
	(void)str_cut(r->head, '\n', &line, &r->headers);
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	if (!str_cut(line, ' ', &r->method, &target) ||
	    !str_cut(target, ' ', &target, &version) ||
	    !str_starts(version, STR("HTTP/1.")) || target.len == 0)
		return ERR_INVALID;
	(void)str_cut(target, '?', &r->path, &r->query);
	r->close = str_eqz(version, "HTTP/1.0");
	if (http_read_headers(r, &f) != 0 || f.length > HTTP_MAX_BODY)
		return ERR_INVALID;
	r->total = r->head.len + 4;
	r->want_continue = f.expect && in->len == r->total;
	if (f.chunked)
		return http_chunked(end + 4, in->data + in->len, r);
	if (in->len - r->total < f.length)
		return 0;
	r->body = str_make(end + 4, (size_t)f.length);
	r->total += (size_t)f.length;
	return 1;
}
