/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: credentials that are JSON, answers of token endpoints, and
 * paths and signatures made of names from outside. The first bytes choose;
 * the rest is the credential, or the model and an id after a newline. What
 * comes out never leaves its segment and never breaks a header line.
 */
#include <stdint.h>
#include <string.h>

#include "agent/provider/access.h"
#include "agent/provider/quirk.h"
#include "agent/upstream/jwt.h"
#include "common/tls_check.h"
#include "agent/upstream/token_fetch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(struct str s, bool feeds)
{
	MUST(s.p[s.len] == '\0');
	for (size_t i = 0; i < s.len; i++)
		MUST((s.p[i] >= ' ' && s.p[i] <= '~') ||
		     (feeds && s.p[i] == '\n'));
}

static void
check_credentials(struct str text)
{
	struct aws_keys keys = {STR(""), STR(""), STR("")};
	struct service_account sa;
	struct token_answer answer;
	struct arena a;
	struct error e;

	arena_init(&a, 4096, 1 << 20);
	if (aws_keys_parse(text, &a, &keys, &e) == 0) {
		check_text(keys.access_key_id, false);
		check_text(keys.secret_access_key, false);
		check_text(keys.session_token, false);
	}
	if (service_account_parse(text, text.len % 2, &a, &sa, &e) == 0) {
		check_text(sa.client_email, false);
		check_text(sa.private_key, true);
		check_text(sa.private_key_id, false);
		check_text(sa.token_uri, false);
	}
	arena_release(&a);
	if (token_answer_parse(200, text, &answer, &e) == 0)
		MUST(answer.token[0] != '\0' && answer.lifetime_s > 0);
	(void)!token_answer_parse(400, text, &answer, &e);
	MUST(quirk_of(text) == 0 || text.len < 32);
}

/* Certificates and keys: as PEM, or as what OpenSSL makes of them. */
static void
check_pem(struct str text)
{
	struct evp_pkey_st *key = NULL;
	struct error e = {0};
	struct str one, two;

	if (jwt_key_read(text, &key, &e) != 0)
		MUST(key == NULL && e.text[0] != '\0');
	jwt_key_free(key);
	(void)str_cut(text, '|', &one, &two);
	e.text[0] = '\0';
	if (tls_check(one, two, two, &e) != 0)
		MUST(e.text[0] != '\0');
	if (two.len > 0) /* no two blocks are a certificate and its key */
		MUST(tls_check(one, two, STR_NULL, &e) != 0);
}

/* The path holds plain segments only; the model adds none. */
static void
check_path(const struct access *a, const struct access_call *c)
{
	struct str path, query, segment;
	unsigned n = 0;
	bool more = true;

	MUST(a->path_len == strlen(a->path) && a->path[0] == '/');
	(void)str_cut(str_make(a->path, a->path_len), '?', &path, &query);
	while (more) {
		more = str_cut(path, '/', &segment, &path);
		MUST(!str_eqz(segment, ".") && !str_eqz(segment, ".."));
		n++;
	}
	MUST(n <= 12);
	for (size_t i = 0; i < a->path_len; i++)
		MUST(a->path[i] > ' ' && a->path[i] <= '~' &&
		     strchr("#\\\"<>", a->path[i]) == NULL);
	(void)c;
}

static void
check_headers(const struct access *a)
{
	struct str rest = str_make(a->headers, a->headers_len), line;

	MUST(a->headers_len == strlen(a->headers));
	while (rest.len > 0) {
		MUST(str_cut(rest, '\n', &line, &rest));
		MUST(line.len > 3 && line.p[line.len - 1] == '\r');
		MUST(memchr(line.p, '\r', line.len) == line.p + line.len - 1);
		MUST(str_find(line, ':') > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct access a;
	struct b_provider p = {.name = STR("p"),
	    .scheme = STR("https"),
	    .host = STR("h"),
	    .port = 443,
	    .path_prefix = STR("/v1"),
	    .region = STR("eu-west-1"),
	    .project = STR("acme")};
	struct access_call c = {.provider = &p, .wall_ns = INT64_C(1) << 60};
	struct error e;
	struct str text;

	if (size < 3)
		return 0;
	text = str_make((const char *)data + 3, size - 3);
	if (data[0] % 2 == 0) {
		check_credentials(text);
		check_pem(text);
		return 0;
	}
	p.dialect = (enum provider_dialect)(data[1] % PROVIDER_N_DIALECTS);
	c.op = (enum op)(data[2] % OP_N);
	c.stream = data[0] & 2;
	if (data[0] & 4)
		p.api_version = STR("2024-10-21");
	if (data[0] & 8)
		p.path_prefix = STR("");
	p.aws = (struct aws_keys){STR("AK"), STR("SK"), STR("")};
	p.auth_header = STR("Authorization: Bearer t");
	(void)str_cut(text, '\n', &c.model, &c.id);
	c.parts = &c.id;
	c.n_parts = 1;
	if (data[0] & 16)
		c.version = c.id;
	if (access_prepare(&c, &a, &e) == 0) {
		check_path(&a, &c);
		check_headers(&a);
	}
	return 0;
}
