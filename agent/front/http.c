/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of request heads.
 */
#include "agent/front/http.h"

#include <string.h>

int
http_head_scan(const char *p, size_t n, size_t *scanned, size_t *len)
{
	const char *at = p + *scanned, *end = p + n, *lf;

	while (
	    at < end && (lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		if (lf == at || lf[-1] != '\r')
			return ERR_INVALID;
		if (lf == at + 1 && at != p) { /* the empty line */
			*len = (size_t)(lf + 1 - p);
			return 0;
		}
		if (lf == at + 1)
			return ERR_INVALID; /* no request line */
		at = lf + 1;
		*scanned = (size_t)(at - p);
	}
	return ERR_AGAIN;
}

static bool
http_is_method(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] < 'A' || s.p[i] > 'Z')
			return false;
	}
	return s.len > 0 && s.len <= 16;
}

/* The line at *p without its CRLF; *p moves behind it. */
static struct str
http_line_at(const char **p, const char *end)
{
	const char *lf = memchr(*p, '\n', (size_t)(end - *p));
	struct str line;

	if (lf == NULL || lf == *p) {
		line = str_make(*p, (size_t)(end - *p));
		*p = end;
		return line;
	}
	line = str_make(*p, (size_t)(lf - 1 - *p));
	*p = lf + 1;
	return line;
}

int
http_head_parse(struct str raw, struct http_line *line, struct head *h)
{
	const char *p = raw.p, *end = raw.p + raw.len;
	struct str l = http_line_at(&p, end), name, value;

	memset(line, 0, sizeof(*line));
	if (!str_cut(l, ' ', &line->method, &l) ||
	    !str_cut(l, ' ', &line->target, &line->version) ||
	    !http_is_method(line->method) || line->target.len == 0 ||
	    str_find(line->version, ' ') >= 0)
		return ERR_INVALID;
	while (p < end) {
		l = http_line_at(&p, end);
		if (l.len == 0)
			break;
		if (!str_cut(l, ':', &name, &value))
			return ERR_INVALID;
		head_field(h, name, str_trim(value));
	}
	return 0;
}

const char *
http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} table[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"},
	    {400, "Bad Request"}, {401, "Unauthorized"},
	    {402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"},
	    {405, "Method Not Allowed"}, {408, "Request Timeout"},
	    {409, "Conflict"}, {413, "Content Too Large"},
	    {415, "Unsupported Media Type"}, {422, "Unprocessable Content"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"}, {502, "Bad Gateway"},
	    {503, "Service Unavailable"}, {504, "Gateway Timeout"}};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].status == status)
			return table[i].reason;
	}
	return "Status";
}
