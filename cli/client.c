/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REST client of the CLI. Redirects are never followed: the token must not
 * travel to another origin.
 */
#include "cli/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX ((size_t)256 << 20)

void
client_start(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

void
client_stop(void)
{
	curl_global_cleanup();
}

static size_t
client_on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct buf *b = ctx;

	return buf_add(b, p, size * n) == 0 ? size * n : 0;
}

void
client_encode(struct buf *b, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s != '\0'; s++) {
		unsigned char ch = (unsigned char)*s;

		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		    (ch >= '0' && ch <= '9') || strchr("-._~:@,", ch)) {
			buf_addc(b, (char)ch);
			continue;
		}
		buf_addc(b, '%');
		buf_addc(b, hex[ch >> 4]);
		buf_addc(b, hex[ch & 15]);
	}
}

void
client_path(
    struct buf *path, const char *prefix, const char *name, const char *tail)
{
	buf_init(path, 4096);
	buf_addz(path, prefix);
	if (name != NULL)
		client_encode(path, name);
	buf_addz(path, tail);
}

void
client_query(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_addc(path, memchr(path->data, '?', path->len) ? '&' : '?');
	buf_addz(path, name);
	buf_addc(path, '=');
	client_encode(path, value);
}

static int
client_transfer(struct cli *c, CURL *h, struct curl_slist *headers,
    const char *method, const char *url, const char *data, struct buf *out)
{
	char text[CURL_ERROR_SIZE] = "";
	CURLcode rc;

	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(h, CURLOPT_TIMEOUT, 300L);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, text);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, client_on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "headgate-cli");
	if (data != NULL) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, data);
		curl_easy_setopt(
		    h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(data));
	}
	rc = curl_easy_perform(h);
	if (rc == CURLE_OK)
		return 0;
	if (out->error != 0)
		return err_set(&c->err, ERR_TOO_LARGE,
		    "the answer of %s is "
		    "too large",
		    c->server);
	return err_set(&c->err,
	    rc == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE,
	    "cannot reach the control plane at %s: %s", c->server,
	    text[0] ? text : curl_easy_strerror(rc));
}

static struct curl_slist *
client_headers(struct cli *c, bool has_body)
{
	struct curl_slist *headers = NULL;
	struct buf line;

	buf_init(&line, 8192);
	if (c->token != NULL) {
		buf_addf(&line, "Authorization: Bearer %s", c->token);
		headers = curl_slist_append(headers, buf_cstr(&line));
	}
	if (has_body)
		headers = curl_slist_append(
		    headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	buf_release(&line);
	return headers;
}

/* One exchange: *status and the raw body. */
static int
client_exchange(struct cli *c, const char *method, const char *path,
    const json_t *body, long *status, struct buf *out)
{
	struct curl_slist *headers = NULL;
	char *data = NULL;
	struct buf url;
	CURL *h = NULL;
	int rc;

	buf_init(&url, 65536);
	if (c->server == NULL) {
		rc = err_set(&c->err, ERR_USAGE,
		    "no control plane: run 'headgate login' or set "
		    "HEADGATE_SERVER");
		goto out;
	}
	buf_addf(&url, "%s%s", c->server, path);
	if (body != NULL)
		data = json_dumps(body, JSON_COMPACT);
	h = curl_easy_init();
	headers = client_headers(c, body != NULL);
	if (h == NULL || headers == NULL || buf_error(&url) != 0 ||
	    (body != NULL && data == NULL)) {
		rc = err_set(&c->err, ERR_NOMEM, "out of memory");
		goto out;
	}
	rc = client_transfer(c, h, headers, method, buf_cstr(&url), data, out);
	if (rc == 0)
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, status);
out:
	curl_slist_free_all(headers);
	if (h != NULL)
		curl_easy_cleanup(h);
	free(data);
	buf_release(&url);
	return rc;
}

static int
client_code_of_status(long status)
{
	switch (status) {
	case 401:
		return ERR_UNAUTHENTICATED;
	case 403:
		return ERR_FORBIDDEN;
	case 404:
		return ERR_NOT_FOUND;
	case 405:
		return ERR_METHOD;
	case 409:
		return ERR_CONFLICT;
	case 412:
		return ERR_PRECONDITION;
	case 413:
		return ERR_TOO_LARGE;
	case 429:
		return ERR_LIMIT;
	default:
		return status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
	}
}

static int
client_problem(
    struct cli *c, long status, const struct buf *raw, json_t **problem)
{
	json_t *p = json_loadb(raw->data ? raw->data : "", raw->len, 0, NULL);
	const char *detail = json_string_value(json_object_get(p, "detail"));
	const char *title = json_string_value(json_object_get(p, "title"));
	const char *name = json_string_value(json_object_get(p, "code"));
	int code = name != NULL ? err_from_name(name) : 0;

	if (code == 0)
		code = client_code_of_status(status);
	if (detail == NULL)
		detail = title;
	if (detail != NULL)
		err_set(&c->err, code, "%s", detail);
	else
		err_set(&c->err, code, "the control plane answered %ld (%s)",
		    status, err_text(code));
	if (problem != NULL)
		*problem = p;
	else
		json_decref(p);
	return code;
}

int
client_call(struct cli *c, const char *method, const char *path,
    const json_t *body, json_t **reply, json_t **problem)
{
	json_error_t je;
	struct buf raw;
	long status = 0;
	int rc;

	buf_init(&raw, REPLY_MAX);
	if (reply != NULL)
		*reply = NULL;
	if (problem != NULL)
		*problem = NULL;
	rc = client_exchange(c, method, path, body, &status, &raw);
	if (rc != 0)
		goto out;
	if (status < 200 || status > 299) {
		rc = client_problem(c, status, &raw, problem);
		goto out;
	}
	if (reply == NULL || raw.len == 0)
		goto out;
	*reply = json_loadb(raw.data, raw.len, JSON_DECODE_ANY, &je);
	if (*reply == NULL)
		rc = err_set(&c->err, ERR_UNAVAILABLE,
		    "%s answered something that is not JSON: is it "
		    "a control plane?",
		    c->server);
out:
	buf_release(&raw);
	return rc;
}

int
client_get_text(struct cli *c, const char *path, struct buf *out)
{
	long status = 0;
	int rc = client_exchange(c, "GET", path, NULL, &status, out);

	if (rc == 0 && (status < 200 || status > 299))
		rc = client_problem(c, status, out, NULL);
	return rc;
}

int
client_get_all(struct cli *c, const char *path, json_t **items)
{
	char *cursor = NULL;
	struct buf url;
	int rc = 0;

	buf_init(&url, 65536);
	*items = json_array();
	do {
		json_t *page = NULL;
		const char *next;

		buf_clear(&url);
		buf_addz(&url, path);
		client_query(&url, "limit", "500");
		client_query(&url, "cursor", cursor);
		rc = client_call(c, "GET", buf_cstr(&url), NULL, &page, NULL);
		if (rc != 0)
			break;
		json_array_extend(*items, json_object_get(page, "items"));
		next = json_string_value(json_object_get(page, "next_cursor"));
		free(cursor);
		cursor = next != NULL && next[0] != '\0' ? strdup(next) : NULL;
		json_decref(page);
	} while (cursor != NULL);
	free(cursor);
	buf_release(&url);
	if (rc != 0) {
		json_decref(*items);
		*items = NULL;
	}
	return rc;
}
