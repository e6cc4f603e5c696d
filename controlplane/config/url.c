/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base URLs of providers. Strict on purpose: what is stored decides where a
 * credential is sent, so nothing may be read in two ways (user info, queries,
 * backslashes, encoded slashes, dot segments).
 */
#include <stdio.h>

#include "controlplane/config/validate.h"

static bool
url_is_alnum(char c)
{
	return ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9');
}

/* DNS name or IPv4 address. */
static bool
url_host_ok(struct str h)
{
	size_t i;

	if (h.len == 0 || h.len > 253 || !url_is_alnum(h.p[0]) ||
	    !url_is_alnum(h.p[h.len - 1]))
		return false;
	for (i = 0; i < h.len; i++) {
		if (!url_is_alnum(h.p[i]) && h.p[i] != '-' && h.p[i] != '.' &&
		    h.p[i] != '_')
			return false;
		if (h.p[i] == '.' && h.p[i + 1] == '.')
			return false;
	}
	return true;
}

/* "[v6]" with hexadecimal digits, colons and dots. */
static bool
url_v6_ok(struct str h)
{
	size_t i;

	if (h.len < 4 || h.len > 47 || h.p[0] != '[' || h.p[h.len - 1] != ']')
		return false;
	for (i = 1; i + 1 < h.len; i++)
		if (!((h.p[i] >= '0' && h.p[i] <= '9') ||
			((h.p[i] | 32) >= 'a' && (h.p[i] | 32) <= 'f') ||
			h.p[i] == ':' || h.p[i] == '.'))
			return false;
	return str_find(h, ':') > 0;
}

static bool
url_path_ok(struct str p)
{
	struct str head, tail = p;
	size_t i;
	bool more;

	for (i = 0; i < p.len; i++)
		if (!url_is_alnum(p.p[i]) &&
		    (p.p[i] == '\0' || !strchr("/-._~:@", p.p[i])))
			return false;
	do {
		more = str_cut(tail, '/', &head, &tail);
		if (str_eqz(head, ".") || str_eqz(head, ".."))
			return false;
	} while (more);
	return true;
}

static int
url_split(struct str rest, struct str *host, struct str *port, struct str *path)
{
	struct str auth;
	long at;
	size_t i;

	for (i = 0; i < rest.len && rest.p[i] != '/'; i++)
		;
	auth = str_make(rest.p, i);
	*path = str_make(rest.p + i, rest.len - i);
	if (auth.len > 0 && auth.p[0] == '[') {
		at = str_find(auth, ']');
		if (at < 0)
			return ERR_INVALID;
		*host = str_make(auth.p, (size_t)at + 1);
		*port = str_make(auth.p + at + 1, auth.len - (size_t)at - 1);
		if (port->len == 0)
			return 0;
		if (port->p[0] != ':')
			return ERR_INVALID;
		*port = str_make(port->p + 1, port->len - 1);
		return port->len > 0 ? 0 : ERR_INVALID;
	}
	if (str_cut(auth, ':', host, port))
		return port->len > 0 ? 0 : ERR_INVALID;
	*port = STR_NULL;
	return 0;
}

int
base_url_parse(struct str s, char *dst, size_t cap, struct error *e)
{
	struct str scheme, rest, host, port, path;
	uint64_t n_port = 0;
	size_t i, n;
	int w;

	if (s.len > 8 && str_ieq(str_make(s.p, 8), STR("https://")))
		scheme = STR("https");
	else if (s.len > 7 && str_ieq(str_make(s.p, 7), STR("http://")))
		scheme = STR("http");
	else
		return err_set(
		    e, ERR_INVALID, "must begin with https:// or http://");
	rest = str_make(s.p + scheme.len + 3, s.len - scheme.len - 3);
	if (str_find(rest, '@') >= 0 || str_find(rest, '?') >= 0 ||
	    str_find(rest, '#') >= 0)
		return err_set(e, ERR_INVALID,
		    "must not hold user name, query or fragment");
	if (url_split(rest, &host, &port, &path) != 0 ||
	    !(url_host_ok(host) || url_v6_ok(host)))
		return err_set(e, ERR_INVALID, "must have a valid host");
	if (port.len > 0 && (port.len > 5 || str_to_u64(port, &n_port) != 0 ||
				n_port < 1 || n_port > 65535))
		return err_set(e, ERR_INVALID, "must have a valid port");
	if (!url_path_ok(path))
		return err_set(e, ERR_INVALID, "must have a plain path");
	while (path.len > 0 && path.p[path.len - 1] == '/')
		path.len--;
	w = snprintf(dst, cap, "%.*s://%.*s%s%.*s%.*s", STR_ARG(scheme),
	    STR_ARG(host), port.len ? ":" : "", STR_ARG(port), STR_ARG(path));
	if (w < 0 || (size_t)w >= cap)
		return err_set(e, ERR_TOO_LARGE, "is too long");
	n = scheme.len + 3 + host.len;
	for (i = 0; i < n; i++)
		if (dst[i] >= 'A' && dst[i] <= 'Z')
			dst[i] = (char)(dst[i] | 32);
	return 0;
}
