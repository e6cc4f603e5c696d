/* SPDX-License-Identifier: Apache-2.0 */
/* See token_fetch.h. */
#include "agent/upstream/token_fetch.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>

#include "agent/upstream/jwt.h"
#include "common/clock.h"
#include "common/json.h"

#define FETCH_TIMEOUT_MS 15000L
#define FETCH_BODY_MAX	 ((size_t)64 << 10)
#define FETCH_SCOPE	 "https://www.googleapis.com/auth/cloud-platform"
#define FETCH_GRANT                                                        \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" \
	"&assertion="

static const struct json_limits fetch_limits = {
    .max_bytes = FETCH_BODY_MAX, .max_depth = 16, .max_members = 256};

static size_t
fetch_on_data(char *p, size_t size, size_t n, void *ctx)
{
	return buf_add(ctx, p, size * n) == 0 ? size * n : 0;
}

static int
fetch_on_progress(
    void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const atomic_bool *stop = ctx;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return atomic_load(stop) ? 1 : 0;
}

static void
fetch_blob(CURL *k, CURLoption o, const char *text)
{
	struct curl_blob b = {
	    (void *)(uintptr_t)text, strlen(text), CURL_BLOB_COPY};

	curl_easy_setopt(k, o, &b);
}

/* Letters, digits and spaces of an error code, nothing else. */
static void
fetch_word(struct json v, char *dst, size_t cap)
{
	size_t i, n = 0;

	if (json_copy_string(v, dst, cap) != 0)
		dst[0] = '\0';
	for (i = 0; dst[i] != '\0'; i++)
		if (((dst[i] | 32) >= 'a' && (dst[i] | 32) <= 'z') ||
		    (dst[i] >= '0' && dst[i] <= '9') || dst[i] == '_')
			dst[n++] = dst[i];
	dst[n] = '\0';
}

static int
fetch_refused(int status, struct json root, struct error *e)
{
	char word[64] = "";
	struct json v;

	if (root.type == JSON_OBJECT && json_getz(root, "error", &v))
		fetch_word(v, word, sizeof(word));
	return err_set(e, ERR_UPSTREAM, "the token endpoint answered %d%s%s",
	    status, word[0] != '\0' ? ": " : "", word);
}

static bool
fetch_token_ok(const char *z)
{
	size_t n = strlen(z);

	for (; *z != '\0'; z++)
		if (*z <= ' ' || *z > '~')
			return false;
	return n > 0;
}

int
token_answer_parse(
    int status, struct str body, struct token_answer *ret, struct error *e)
{
	struct json root = {.type = JSON_NULL}, v;

	if (json_validate(body, &fetch_limits, NULL) == 0)
		root = json_root(body);
	if (status != 200)
		return fetch_refused(status, root, e);
	ret->token[0] = '\0';
	ret->lifetime_s = 3600;
	if (root.type != JSON_OBJECT || !json_getz(root, "access_token", &v) ||
	    json_copy_string(v, ret->token, sizeof(ret->token)) != 0 ||
	    !fetch_token_ok(ret->token))
		return err_set(e, ERR_UPSTREAM,
		    "the token endpoint's answer holds no usable token");
	if (json_getz(root, "expires_in", &v) &&
	    (json_to_i64(v, &ret->lifetime_s) != 0 || ret->lifetime_s < 1))
		return err_set(e, ERR_UPSTREAM,
		    "the token endpoint's answer has a bad expires_in");
	if (ret->lifetime_s > 86400)
		ret->lifetime_s = 86400;
	return 0;
}

static void
fetch_options(CURL *k, const struct token_fetch *f, const char *ca_file,
    const atomic_bool *stop, struct buf *body)
{
	curl_easy_setopt(k, CURLOPT_URL, f->uri);
	curl_easy_setopt(k, CURLOPT_PROTOCOLS_STR,
	    str_starts(str_of(f->uri), STR("http://")) ? "http" : "https");
	curl_easy_setopt(k, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(k, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	/* "" and not NULL: the environment must not decide. */
	curl_easy_setopt(k, CURLOPT_PROXY, f->proxy);
	curl_easy_setopt(k, CURLOPT_NOPROXY, "");
	curl_easy_setopt(k, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	curl_easy_setopt(k, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(k, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	curl_easy_setopt(k, CURLOPT_TIMEOUT_MS, FETCH_TIMEOUT_MS);
	curl_easy_setopt(k, CURLOPT_WRITEFUNCTION, fetch_on_data);
	curl_easy_setopt(k, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(k, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(k, CURLOPT_XFERINFOFUNCTION, fetch_on_progress);
	curl_easy_setopt(k, CURLOPT_XFERINFODATA, stop);
	if (ca_file[0] != '\0')
		curl_easy_setopt(k, CURLOPT_CAINFO, ca_file);
	/* Beside the system's: the endpoint is another host than the
	 * provider's. */
	if (f->ca_pem[0] != '\0')
		fetch_blob(k, CURLOPT_CAINFO_BLOB, f->ca_pem);
}

int
token_fetch(const struct token_fetch *f, const char *ca_file,
    const atomic_bool *stop, struct token_answer *ret, struct error *e)
{
	struct jwt_claims claims = {.issuer = f->email,
	    .key_id = f->key_id,
	    .scope = FETCH_SCOPE,
	    .audience = f->uri,
	    .now_s = clock_wall(clock_system()) / NS_PER_S};
	struct buf form, body;
	CURL *k = curl_easy_init();
	long status = 0;
	CURLcode code;
	int rc;

	buf_init(&form, FETCH_BODY_MAX);
	buf_init(&body, FETCH_BODY_MAX);
	buf_addz(&form, FETCH_GRANT);
	rc = k != NULL ? jwt_sign(f->key, &claims, &form, e)
		       : err_set(e, ERR_NOMEM, "out of memory");
	if (rc != 0)
		goto out;
	fetch_options(k, f, ca_file, stop, &body);
	curl_easy_setopt(k, CURLOPT_POSTFIELDS, buf_cstr(&form));
	code = curl_easy_perform(k);
	curl_easy_getinfo(k, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK)
		rc = err_set(e, ERR_UPSTREAM,
		    "the token endpoint cannot be asked: %s",
		    curl_easy_strerror(code));
	else
		rc = token_answer_parse((int)status, buf_str(&body), ret, e);
out:
	curl_easy_cleanup(k);
	if (form.data != NULL)
		sodium_memzero(form.data, form.cap);
	if (body.data != NULL)
		sodium_memzero(body.data, body.cap);
	buf_release(&form);
	buf_release(&body);
	return rc;
}
