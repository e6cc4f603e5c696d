/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libcurl is told of a request: address, header lines, body, whom to
 * trust and the way there. Nothing is taken from the environment.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/upstream/upcurl_priv.h"

static size_t
upcurl_read_file(struct upcurl_call *c, char *dst, size_t cap)
{
	ssize_t n;

	if (c->file_left < (int64_t)cap)
		cap = (size_t)c->file_left;
	do {
		n = pread(c->file, dst, cap, (off_t)c->file_at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return CURL_READFUNC_ABORT;
	if (n == 0)
		return CURL_READFUNC_PAUSE; /* until up_body_ready() */
	c->file_at += n;
	c->file_left -= n;
	return (size_t)n;
}

static size_t
upcurl_on_read(char *dst, size_t size, size_t n, void *ctx)
{
	struct upcurl_call *c = ctx;
	size_t cap = size * n, len, total = 0;
	struct str *s;

	while (total < cap && c->part < c->n_parts) {
		s = &c->parts[c->part];
		len = s->len - c->part_at;
		if (len > cap - total)
			len = cap - total;
		memcpy(dst + total, s->p + c->part_at, len);
		total += len;
		c->part_at += len;
		if (c->part_at == s->len) {
			c->part++;
			c->part_at = 0;
		}
	}
	if (total == 0 && c->file_left > 0) {
		total = upcurl_read_file(c, dst, cap);
		if (total > cap)
			return total; /* to wait, or an error */
	}
	c->sent += total;
	upcurl_deadline(c, c->first_byte_ms);
	return total;
}

/* "Name: value\r\n" lines and one "Name: value" into the list. */
static int
upcurl_add_field(struct upcurl_call *c, struct str line)
{
	char text[UPCURL_LINE_MAX];
	struct curl_slist *l;

	if (line.len == 0)
		return 0;
	if (str_copy(line, text, sizeof(text)) != 0)
		return ERR_TOO_LARGE;
	l = curl_slist_append(c->fields, text);
	if (l == NULL)
		return ERR_NOMEM;
	c->fields = l;
	return 0;
}

static int
upcurl_fields(struct upcurl_call *c, const struct up_request *rq)
{
	const struct b_provider *p = rq->provider;
	struct str rest = rq->headers, line;
	unsigned i;
	int rc;

	rc = upcurl_add_field(c, p->auth_header);
	for (i = 0; rc == 0 && i < p->n_headers; i++)
		rc = upcurl_add_field(c, p->headers[i]);
	while (rc == 0 && rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		rc = upcurl_add_field(c, line);
	}
	if (rc == 0)
		rc = upcurl_add_field(c, STR("Expect:"));
	if (rc == 0)
		rc = upcurl_add_field(c, STR("Accept-Encoding: identity"));
	return rc;
}

static void
upcurl_blob(CURL *k, CURLoption option, struct str s)
{
	struct curl_blob b = {(void *)(uintptr_t)s.p, s.len, CURL_BLOB_COPY};

	if (s.len > 0)
		curl_easy_setopt(k, option, &b);
}

/* Whom to trust, who we are, and the way there. */
static void
upcurl_options_tls(struct upcurl_call *c, const struct b_provider *p)
{
	const char *ca_file = c->engine->lim.ca_file;
	CURL *k = c->easy;

	if (p->ca_pem.len > 0) {
		/* Instead of the system's: its folder would still count. */
		curl_easy_setopt(k, CURLOPT_CAPATH, NULL);
		upcurl_blob(k, CURLOPT_CAINFO_BLOB, p->ca_pem);
	} else if (ca_file != NULL && ca_file[0] != '\0') {
		curl_easy_setopt(k, CURLOPT_CAINFO, ca_file);
	}
	if (p->client_cert_pem.len > 0 && p->client_key.len > 0) {
		curl_easy_setopt(k, CURLOPT_SSLCERTTYPE, "PEM");
		curl_easy_setopt(k, CURLOPT_SSLKEYTYPE, "PEM");
		upcurl_blob(k, CURLOPT_SSLCERT_BLOB, p->client_cert_pem);
		upcurl_blob(k, CURLOPT_SSLKEY_BLOB, p->client_key);
	}
	/* "" and not NULL: the environment must not decide. */
	curl_easy_setopt(
	    k, CURLOPT_PROXY, p->proxy_url.len > 0 ? p->proxy_url.p : "");
	curl_easy_setopt(k, CURLOPT_NOPROXY, "");
	curl_easy_setopt(k, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	curl_easy_setopt(k, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void
upcurl_options_body(struct upcurl_call *c, const char *method)
{
	CURL *k = c->easy;

	if (method != NULL && strcmp(method, "POST") != 0) {
		curl_easy_setopt(k, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(k, CURLOPT_CUSTOMREQUEST, method);
		return;
	}
	curl_easy_setopt(k, CURLOPT_POST, 1L);
	curl_easy_setopt(
	    k, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
	curl_easy_setopt(k, CURLOPT_READFUNCTION, upcurl_on_read);
	curl_easy_setopt(k, CURLOPT_READDATA, c);
}

static void
upcurl_options(
    struct upcurl_call *c, const struct up_request *rq, const char *url)
{
	CURL *k = c->easy;

	curl_easy_setopt(k, CURLOPT_URL, url);
	curl_easy_setopt(k, CURLOPT_PRIVATE, c);
	curl_easy_setopt(k, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(k, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(k, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(k, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(k, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	curl_easy_setopt(k, CURLOPT_PATH_AS_IS, 1L);
	upcurl_options_body(c, rq->method);
	upcurl_options_tls(c, rq->provider);
	curl_easy_setopt(k, CURLOPT_WRITEFUNCTION, upcurl_on_data);
	curl_easy_setopt(k, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(k, CURLOPT_HEADERFUNCTION, upcurl_on_field);
	curl_easy_setopt(k, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(k, CURLOPT_PREREQFUNCTION, upcurl_on_prereq);
	curl_easy_setopt(k, CURLOPT_PREREQDATA, c);
	curl_easy_setopt(k, CURLOPT_CLOSESOCKETFUNCTION, upcurl_on_close);
	curl_easy_setopt(k, CURLOPT_HTTPHEADER, c->fields);
	curl_easy_setopt(k, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(
	    k, CURLOPT_CONNECTTIMEOUT_MS, (long)rq->connect_timeout_ms);
	curl_easy_setopt(k, CURLOPT_BUFFERSIZE, 16384L);
	curl_easy_setopt(k, CURLOPT_MAXAGE_CONN,
	    (long)(c->engine->lim.max_idle_age / NS_PER_S));
	curl_easy_setopt(k, CURLOPT_FRESH_CONNECT, rq->fresh ? 1L : 0L);
	curl_easy_setopt(k, CURLOPT_HTTP_CONTENT_DECODING, 0L);
}

static int
upcurl_url(const struct up_request *rq, char *dst, size_t cap)
{
	const struct b_provider *p = rq->provider;
	bool v6 = str_find(p->host, ':') >= 0;
	int n = snprintf(dst, cap, "%.*s://%s%.*s%s:%u%.*s%.*s",
	    STR_ARG(p->scheme), v6 ? "[" : "", STR_ARG(p->host), v6 ? "]" : "",
	    (unsigned)p->port, STR_ARG(p->path_prefix), STR_ARG(rq->path));

	return n > 0 && (size_t)n < cap ? 0 : ERR_TOO_LARGE;
}

int
upcurl_easy_set(struct upcurl_call *c, const struct up_request *rq)
{
	char url[4096];
	int rc = upcurl_url(rq, url, sizeof(url));

	if (rc == 0)
		rc = upcurl_fields(c, rq);
	if (rc == 0)
		upcurl_options(c, rq, url);
	return rc;
}
