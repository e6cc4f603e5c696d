/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing of what the HTTP library hands over raw. The path is decoded once,
 * here; authorisation, routing and audit all use the result.
 */
#include <stdio.h>
#include <string.h>

#include "controlplane/rest/http.h"

struct str
http_header(const struct http_request *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_headers; i++)
		if (str_ieq(r->headers[i].name, str_of(name)))
			return r->headers[i].value;
	return STR_NULL;
}

size_t
http_header_count(const struct http_request *r, const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < r->n_headers; i++)
		n += str_ieq(r->headers[i].name, str_of(name));
	return n;
}

struct str
http_param(const struct http_request *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_params; i++)
		if (str_eqz(r->params[i].name, name))
			return r->params[i].value;
	return STR_NULL;
}

static int
http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

/* Decode into the arena; plus: '+' means a space. */
static int
http_decode(struct http_request *r, struct str s, bool plus, struct str *ret,
    struct error *e)
{
	char *dst = arena_alloc(&r->arena, s.len + 1);
	size_t i, n = 0;

	if (dst == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '%') {
			bool whole = i + 2 < s.len;
			int hi = whole ? http_hex(s.p[i + 1]) : -1;
			int lo = whole ? http_hex(s.p[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return err_set(e, ERR_INVALID,
				    "the address holds a bad percent code");
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return err_set(e, ERR_INVALID,
			    "the address holds a control character");
		dst[n++] = c;
	}
	dst[n] = '\0';
	*ret = str_make(dst, n);
	if (!str_is_utf8(*ret))
		return err_set(e, ERR_INVALID, "the address is not UTF-8");
	return 0;
}

static int
http_parse_path(struct http_request *r, struct error *e)
{
	struct str head, tail, seg;
	bool more;
	int rc;

	if (r->path.len == 0 || r->path.p[0] != '/')
		return err_set(
		    e, ERR_INVALID, "the request target must begin with /");
	tail = str_make(r->path.p + 1, r->path.len - 1);
	if (tail.len == 0)
		return 0;
	do {
		more = str_cut(tail, '/', &head, &tail);
		rc = http_decode(r, head, false, &seg, e);
		if (rc != 0)
			return rc;
		if (seg.len == 0 || str_eqz(seg, ".") || str_eqz(seg, "..") ||
		    str_find(seg, '/') >= 0 || str_find(seg, '\\') >= 0 ||
		    str_find(seg, ';') >= 0)
			return err_set(
			    e, ERR_INVALID, "the path is not in plain form");
		if (r->n_segments == HTTP_SEGMENTS)
			return err_set(e, ERR_NOT_FOUND, "no such resource");
		r->segments[r->n_segments++] = seg;
	} while (more);
	return 0;
}

int
http_parse_target(struct http_request *r, struct error *e)
{
	struct str part, tail = r->query, k, v;
	bool more = r->query.len > 0;
	int rc;

	rc = http_parse_path(r, e);
	while (rc == 0 && more) {
		struct http_pair *p = &r->params[r->n_params];

		more = str_cut(tail, '&', &part, &tail);
		if (part.len == 0)
			continue;
		if (r->n_params == HTTP_QUERY_MAX)
			return err_set(
			    e, ERR_INVALID, "too many query parameters");
		(void)str_cut(part, '=', &k, &v);
		rc = http_decode(r, k, true, &p->name, e);
		if (rc == 0)
			rc = http_decode(r, v, true, &p->value, e);
		if (rc == 0 && http_param(r, p->name.p).p != NULL)
			rc = err_set_field(e, ERR_INVALID, p->name.p,
			    "query parameter %s is there twice", p->name.p);
		r->n_params++;
	}
	return rc;
}

static bool
http_host_ok(struct str h)
{
	size_t i;

	for (i = 0; i < h.len; i++)
		if (!(((h.p[i] | 32) >= 'a' && (h.p[i] | 32) <= 'z') ||
			(h.p[i] >= '0' && h.p[i] <= '9') ||
			(h.p[i] != '\0' && strchr(".-_:[]", h.p[i]))))
			return false;
	return h.len <= 300;
}

int
http_check_head(const struct http_request *r, struct error *e)
{
	struct str te = http_header(r, "transfer-encoding");
	struct str cl = http_header(r, "content-length");
	size_t i;

	if (r->n_headers == HTTP_HEADERS_MAX)
		return err_set(e, ERR_INVALID, "too many headers");
	if (http_header_count(r, "transfer-encoding") > 1 ||
	    http_header_count(r, "content-length") > 1 ||
	    (te.p != NULL && cl.p != NULL) ||
	    (te.p != NULL && !str_ieq(te, STR("chunked"))))
		return err_set(
		    e, ERR_INVALID, "the length of the body is ambiguous");
	for (i = 0; i < cl.len; i++)
		if (cl.p[i] < '0' || cl.p[i] > '9')
			return err_set(
			    e, ERR_INVALID, "Content-Length is malformed");
	if (cl.p != NULL && (cl.len == 0 || cl.len > 18))
		return err_set(e, ERR_INVALID, "Content-Length is malformed");
	if (http_header_count(r, "host") > 1 ||
	    !http_host_ok(http_header(r, "host")))
		return err_set(e, ERR_INVALID, "Host is malformed");
	if (http_header_count(r, "authorization") > 1)
		return err_set(e, ERR_INVALID, "two credentials were sent");
	if (http_header_count(r, "content-encoding") > 0 &&
	    !str_ieq(http_header(r, "content-encoding"), STR("identity")))
		return err_set(
		    e, ERR_UNSUPPORTED, "compressed bodies are not accepted");
	return 0;
}

void
http_set_header(struct http_response *r, const char *name, const char *fmt, ...)
{
	struct http_header *h;
	va_list ap;
	char *p;

	if (r->n_headers == sizeof(r->headers) / sizeof(r->headers[0]))
		return;
	h = &r->headers[r->n_headers++];
	h->name = name;
	va_start(ap, fmt);
	(void)vsnprintf(h->value, sizeof(h->value), fmt, ap);
	va_end(ap);
	for (p = h->value; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
}

void
http_response_reset(struct http_response *r)
{
	r->status = 0;
	r->content_type = NULL;
	r->n_headers = 0;
	buf_clear(&r->body);
}
