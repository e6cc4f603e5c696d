/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compilation of providers: address, credential in the form in which it is
 * presented, TLS settings.
 */
#include <sodium.h>
#include <stdlib.h>

#include "agent/config/bundle_priv.h"
#include "agent/provider/quirk.h"
#include "common/tls_check.h"
#include "agent/upstream/token.h"
#include "proto/headgate.pb-c.h"

#define HEADERS_MAX 32
#define PORT_HTTP   80
#define PORT_HTTPS  443

static bool
url_is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch <= ' ' || ch >= 0x7f || ch == '?' || ch == '#' ||
		    ch == '@' || ch == '\\')
			return false;
	}
	return true;
}

static int
url_port(struct str text, uint16_t *port)
{
	uint64_t v;

	if (str_to_u64(text, &v) != 0 || v == 0 || v > UINT16_MAX)
		return ERR_INVALID;
	*port = (uint16_t)v;
	return 0;
}

int
base_url_parse(struct str url, struct str *scheme, struct str *host,
    uint16_t *port, struct str *prefix)
{
	struct str rest = url, authority;
	long at;

	if (!url_is_clean(url))
		return ERR_INVALID;
	if (str_starts(url, STR("https://")))
		*scheme = str_make(url.p, 5), *port = PORT_HTTPS;
	else if (str_starts(url, STR("http://")))
		*scheme = str_make(url.p, 4), *port = PORT_HTTP;
	else
		return ERR_INVALID;
	rest = str_make(url.p + scheme->len + 3, url.len - scheme->len - 3);
	at = str_find(rest, '/');
	authority = at < 0 ? rest : str_make(rest.p, (size_t)at);
	*prefix = at < 0 ? str_make(rest.p + rest.len, 0)
			 : str_make(rest.p + at, rest.len - (size_t)at);
	while (prefix->len > 0 && prefix->p[prefix->len - 1] == '/')
		prefix->len--;
	*host = authority;
	if (authority.len > 0 && authority.p[0] == '[') {
		at = str_find(authority, ']');
		if (at < 0)
			return ERR_INVALID;
		*host = str_make(authority.p + 1, (size_t)at - 1);
		authority = str_make(
		    authority.p + at + 1, authority.len - (size_t)at - 1);
		if (authority.len > 0 && authority.p[0] != ':')
			return ERR_INVALID;
		if (authority.len > 0 &&
		    url_port(str_make(authority.p + 1, authority.len - 1),
			port) != 0)
			return ERR_INVALID;
	} else if ((at = str_find(authority, ':')) >= 0) {
		*host = str_make(authority.p, (size_t)at);
		if (url_port(str_make(authority.p + at + 1,
				 authority.len - (size_t)at - 1),
			port) != 0)
			return ERR_INVALID;
	}
	return host->len == 0 ? ERR_INVALID : 0;
}

static bool
header_is_clean(const char *z, bool is_name)
{
	if (is_name && *z == '\0')
		return false;
	for (; *z != '\0'; z++) {
		unsigned char ch = (unsigned char)*z;

		if (ch < ' ' || ch == 0x7f || (is_name && ch >= 0x7f))
			return false;
		if (is_name && strchr("()<>@,;:\\\"/[]?={} ", ch) != NULL)
			return false;
	}
	return true;
}

static int
compile_headers(struct compile *c, const Hg__Item *item, struct b_provider *p)
{
	const Hg__Provider *body = item->provider;
	struct str *v;

	if (body->n_headers > HEADERS_MAX)
		return compile_reject(
		    c, item, "more than %d headers", HEADERS_MAX);
	v = arena_zalloc(&c->p->arena, (body->n_headers + 1) * sizeof(*v));
	if (v == NULL)
		return compile_nomem(c);
	for (size_t i = 0; i < body->n_headers; i++) {
		const Hg__Header *h = body->headers[i];
		char *line;

		if (!header_is_clean(h->name, true) ||
		    !header_is_clean(h->value, false))
			return compile_reject(
			    c, item, "header %zu is malformed", i);
		line = arena_printf(&c->p->arena, "%s: %s", h->name, h->value);
		if (line == NULL)
			return compile_nomem(c);
		v[i] = str_of(line);
	}
	p->headers = v;
	p->n_headers = (unsigned)body->n_headers;
	return 0;
}

/* NUL-ended copies of the plain fields. */
static int
provider_texts(
    struct compile *c, const Hg__Provider *body, struct b_provider *p)
{
	const struct {
		const char *from;
		struct str *to;
	} texts[] = {{body->base_url, &p->base_url},
	    {body->credential, &p->credential}, {body->region, &p->region},
	    {body->project, &p->project}, {body->api_version, &p->api_version},
	    {body->ca_pem, &p->ca_pem},
	    {body->client_cert_pem, &p->client_cert_pem},
	    {body->client_key, &p->client_key},
	    {body->proxy_url, &p->proxy_url}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		*texts[i].to = compile_str(c, texts[i].from);
		if (texts[i].to->p == NULL)
			return compile_nomem(c);
	}
	return 0;
}

/* What stands in paths and signatures must not hold anything else. */
static bool
word_is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.p[i];

		if (!((ch | 32) >= 'a' && (ch | 32) <= 'z') &&
		    !(ch >= '0' && ch <= '9') && ch != '-' && ch != '.' &&
		    ch != ':')
			return false;
	}
	return s.len == 0 || s.p[0] != '.';
}

static int
provider_address(struct compile *c, const Hg__Item *item, struct b_provider *p)
{
	struct str scheme, host, rest;
	uint16_t port;

	if (base_url_parse(p->base_url, &p->scheme, &p->host, &p->port,
		&p->path_prefix) != 0)
		return compile_reject(c, item,
		    "base_url is not a plain "
		    "http(s)://host[:port][/path]");
	if (p->proxy_url.len > 0 &&
	    (base_url_parse(p->proxy_url, &scheme, &host, &port, &rest) != 0 ||
		!str_eqz(scheme, "http") || rest.len > 0))
		return compile_reject(
		    c, item, "proxy_url is not a plain http://host[:port]");
	if (!word_is_clean(p->region) || !word_is_clean(p->project) ||
	    !word_is_clean(p->api_version))
		return compile_reject(
		    c, item, "region, project or api_version is malformed");
	/* Slices of the URL become strings of their own, ended by NUL. */
	p->scheme =
	    str_make(arena_strdup(&c->p->arena, p->scheme), p->scheme.len);
	p->host = str_make(arena_strdup(&c->p->arena, p->host), p->host.len);
	p->path_prefix = str_make(
	    arena_strdup(&c->p->arena, p->path_prefix), p->path_prefix.len);
	if (p->scheme.p == NULL || p->host.p == NULL ||
	    p->path_prefix.p == NULL)
		return compile_nomem(c);
	return 0;
}

static int
provider_token(struct compile *c, const Hg__Item *item, struct b_provider *p)
{
	struct service_account sa;
	struct token_source src;
	struct error e = {0};
	int rc;

	rc = service_account_parse(
	    p->credential, str_eqz(p->scheme, "http"), &c->tmp, &sa, &e);
	if (rc == 0) {
		src = (struct token_source){.client_email = sa.client_email,
		    .private_key = sa.private_key,
		    .private_key_id = sa.private_key_id,
		    .token_uri = sa.token_uri,
		    .ca_pem = p->ca_pem,
		    .proxy_url = p->proxy_url};
		rc = token_cell_ref(&src, &p->token, &e);
		sodium_memzero(
		    (char *)(uintptr_t)sa.private_key.p, sa.private_key.len);
	}
	if (rc == ERR_NOMEM)
		return compile_nomem(c);
	return rc == 0 ? 0 : compile_reject(c, item, "%s", e.text);
}

static int
provider_aws(struct compile *c, const Hg__Item *item, struct b_provider *p)
{
	struct error e = {0};
	int rc = aws_keys_parse(p->credential, &c->p->arena, &p->aws, &e);

	if (rc == ERR_NOMEM)
		return compile_nomem(c);
	if (rc == 0 && p->region.len == 0)
		return compile_reject(c, item, "has no region");
	return rc == 0 ? 0 : compile_reject(c, item, "%s", e.text);
}

/* Name of the header that carries the credential as it is; NULL: a bearer
 * token. */
static const char *
provider_key_header(const struct b_provider *p)
{
	if (p->auth_bearer)
		return NULL;
	switch (p->dialect) {
	case PROVIDER_AZURE:
		return "api-key";
	case PROVIDER_ANTHROPIC:
		return "x-api-key";
	case PROVIDER_GEMINI:
		return "x-goog-api-key";
	default:
		return NULL;
	}
}

static int
provider_auth(struct compile *c, const Hg__Item *item, struct b_provider *p)
{
	const char *auth = item->provider->auth;
	const char *name;
	char *line;

	if (auth[0] != '\0' && strcmp(auth, "bearer") != 0 &&
	    strcmp(auth, "api-key") != 0 && strcmp(auth, "sigv4") != 0)
		return compile_reject(
		    c, item, "auth %.40s is not known to this agent", auth);
	p->auth_bearer = strcmp(auth, "bearer") == 0;
	/* The control plane leaves it out where no deployment needs it. */
	if (p->credential.len == 0)
		return 0;
	if (p->dialect == PROVIDER_VERTEX && !p->auth_bearer)
		return provider_token(c, item, p);
	if (p->dialect == PROVIDER_BEDROCK && !p->auth_bearer)
		return provider_aws(c, item, p);
	name = provider_key_header(p);
	line = name != NULL
		   ? arena_printf(&c->p->arena, "%s: %s", name, p->credential.p)
		   : arena_printf(&c->p->arena, "Authorization: Bearer %s",
			 p->credential.p);
	if (line == NULL)
		return compile_nomem(c);
	p->auth_header = str_of(line);
	return 0;
}

static void
provider_pool_id(struct b_provider *p)
{
	const struct str parts[] = {p->base_url, p->credential, p->ca_pem,
	    p->client_cert_pem, p->client_key, p->proxy_url};
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, sizeof(p->pool_id));
	crypto_generichash_update(
	    &st, (const uint8_t *)&p->uid, sizeof(p->uid));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t len = parts[i].len;

		crypto_generichash_update(
		    &st, (const uint8_t *)&len, sizeof(len));
		crypto_generichash_update(
		    &st, (const uint8_t *)parts[i].p, parts[i].len);
	}
	crypto_generichash_final(&st, p->pool_id, sizeof(p->pool_id));
	sodium_memzero(&st, sizeof(st));
}

static int
provider_tls(struct compile *c, const Hg__Item *item, struct b_provider *p)
{
	struct error e = {0};
	/* Without a deployment here the key is left out. */
	bool pair = p->client_key.len > 0;
	int rc = tls_check(
	    p->ca_pem, pair ? p->client_cert_pem : STR(""), p->client_key, &e);

	if (rc == ERR_NOMEM)
		return compile_nomem(c);
	return rc == 0 ? 0 : compile_reject(c, item, "%s", e.text);
}

int
compile_provider(struct compile *c, const Hg__Item *item, struct b_provider *p)
{
	const Hg__Provider *body = item->provider;
	int rc;

	if (body == NULL)
		return compile_reject(c, item, "has no body");
	if (!provider_dialect_parse(str_of(body->dialect), &p->dialect))
		return compile_reject(c, item,
		    "dialect %.40s is not known to this agent", body->dialect);
	if (!header_is_clean(body->credential, false))
		return compile_reject(c, item, "credential is malformed");
	p->uid = item->uid;
	p->max_connections = body->max_connections;
	p->quirks = quirk_defaults(p->dialect);
	/* A word that only a newer control plane knows costs a refusal by the
	 * provider, no more. */
	for (size_t i = 0; i < body->n_rejects; i++)
		p->quirks |= quirk_of(str_of(body->rejects[i]));
	p->name = compile_str(c, item->name);
	if (p->name.p == NULL)
		return compile_nomem(c);
	rc = provider_texts(c, body, p);
	if (rc == 0)
		rc = provider_address(c, item, p);
	if (rc == 0)
		rc = provider_tls(c, item, p);
	if (rc == 0)
		rc = provider_auth(c, item, p);
	if (rc == 0)
		provider_pool_id(p);
	return rc == 0 ? compile_headers(c, item, p) : rc;
}

void
provider_release(struct b_provider *p)
{
	const struct str secrets[] = {p->auth_header, p->credential,
	    p->client_key, p->aws.access_key_id, p->aws.secret_access_key,
	    p->aws.session_token};

	token_cell_unref(p->token);
	p->token = NULL;
	/* "" in place of an absent text is not ours to write to. */
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (secrets[i].len > 0)
			sodium_memzero(
			    (char *)(uintptr_t)secrets[i].p, secrets[i].len);
}
