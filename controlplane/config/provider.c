/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per dialect says what it needs; the rest follows from the table.
 */
#include "controlplane/config/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <string.h>

#include "common/cloud_key.h"
#include "common/tls_check.h"

#define AUTH_API_KEY 1u
#define AUTH_BEARER  2u
#define AUTH_SIGV4   4u

struct dialect_rule {
	const char *name, *base_url; /* NULL = must be given */
	unsigned auth;		     /* AUTH_* that may be named */
	bool region, project;	     /* needed */
};

static const struct dialect_rule rules[] = {
    {"openai", "https://api.openai.com/v1", AUTH_BEARER, false, false},
    {"azure", NULL, AUTH_API_KEY | AUTH_BEARER, false, false},
    {"anthropic", "https://api.anthropic.com", AUTH_API_KEY | AUTH_BEARER,
	false, false},
    {"gemini", "https://generativelanguage.googleapis.com",
	AUTH_API_KEY | AUTH_BEARER, false, false},
    {"vertex", "", AUTH_BEARER, true, true}, /* made of the region */
    {"bedrock", "", AUTH_SIGV4 | AUTH_BEARER, true, false},
    {"mistral", "https://api.mistral.ai", AUTH_BEARER, false, false},
    {"cohere", "https://api.cohere.com", AUTH_BEARER, false, false},
    {"ollama", NULL, AUTH_BEARER, false, false},
};

struct check {
	const json_t *spec;
	const json_t *secrets;
	const char *at;
	struct problems *p;
	const struct dialect_rule *rule;
	const char *base_url, *auth; /* "" = absent */
};

static struct str
check_str(const json_t *v)
{
	return str_make(json_string_value(v), json_string_length(v));
}

static const char *
check_text(const struct check *c, const char *field)
{
	const char *z = json_string_value(json_object_get(c->spec, field));

	return z != NULL ? z : "";
}

static void
check_bad(const struct check *c, const char *field, const char *text)
{
	char at[320];

	(void)snprintf(at, sizeof(at), "%s/%s", c->at, field);
	(void)problems_add(c->p, ERR_INVALID, at, "%s", text);
}

/* Letters, digits and the characters of extra. */
static bool
check_word(const char *z, const char *extra)
{
	for (; *z != '\0'; z++)
		if (!((*z | 32) >= 'a' && (*z | 32) <= 'z') &&
		    !(*z >= '0' && *z <= '9') && strchr(extra, *z) == NULL)
			return false;
	return true;
}

static const struct dialect_rule *
check_rule(const char *dialect)
{
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(rules[i].name, dialect) == 0)
			return &rules[i];
	return NULL;
}

/* ---- places ---------------------------------------------------------------
 */

static void
check_places(const struct check *c)
{
	static const struct {
		const char *field, *extra, *text;
	} words[] = {
	    {"region", "-", "must be letters, digits and -"},
	    {"project", "-.:", "must be letters, digits and - . :"},
	    {"api_version", "-.", "must be letters, digits and - ."},
	};
	char text[128];
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const char *z = check_text(c, words[i].field);

		if (!check_word(z, words[i].extra) || *z == '.' || *z == '-')
			check_bad(c, words[i].field, words[i].text);
		if (*z != '\0' || !((i == 0 && c->rule->region) ||
				      (i == 1 && c->rule->project)))
			continue;
		(void)snprintf(text, sizeof(text),
		    "is required by the dialect %s", c->rule->name);
		check_bad(c, words[i].field, text);
	}
}

static int
check_base_url(struct check *c, json_t *spec)
{
	const char *region = check_text(c, "region");
	bool global = strcmp(region, "global") == 0;
	char url[256];

	if (c->base_url[0] != '\0')
		return 0;
	if (c->rule->base_url == NULL) {
		check_bad(c, "base_url", "is required by this dialect");
		return 0;
	}
	if (strcmp(c->rule->name, "vertex") == 0)
		(void)snprintf(url, sizeof(url),
		    "https://%s%saiplatform.googleapis.com",
		    global ? "" : region, global ? "" : "-");
	else if (strcmp(c->rule->name, "bedrock") == 0)
		(void)snprintf(url, sizeof(url),
		    "https://bedrock-runtime.%s.amazonaws.com%s", region,
		    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	else
		(void)snprintf(url, sizeof(url), "%s", c->rule->base_url);
	if (json_object_set_new(spec, "base_url", json_string(url)) != 0)
		return ERR_NOMEM;
	c->base_url = check_text(c, "base_url");
	return 0;
}

static void
check_azure(const struct check *c)
{
	const char *version = check_text(c, "api_version");

	if (strcmp(c->rule->name, "azure") == 0 && version[0] >= '0' &&
	    version[0] <= '9' &&
	    str_ends(str_of(c->base_url), STR("/openai/v1")))
		check_bad(c, "api_version",
		    "is a date, which asks for the classic paths, but "
		    "base_url ends in /openai/v1");
}

static void
check_proxy(const struct check *c)
{
	struct str u = str_of(check_text(c, "proxy_url"));

	if (u.len == 0)
		return;
	if (!str_starts(u, STR("http://")))
		check_bad(c, "proxy_url", "must begin with http://");
	else if (str_find(str_make(u.p + 7, u.len - 7), '/') >= 0)
		check_bad(c, "proxy_url", "must not have a path");
}

/* ---- certificates and secrets ---------------------------------------------
 */

static void
check_pems(const struct check *c)
{
	const json_t *key = json_object_get(c->secrets, "client_key");
	const char *ca = check_text(c, "ca_pem");
	const char *cert = check_text(c, "client_cert_pem");

	if (!pem_is_all(str_of(ca), "CERTIFICATE"))
		check_bad(c, "ca_pem", "must hold certificates only");
	if (!pem_is_all(str_of(cert), "CERTIFICATE"))
		check_bad(c, "client_cert_pem", "must hold certificates only");
	if (key != NULL && !pem_is_all(check_str(key), "PRIVATE KEY"))
		check_bad(c, "client_key",
		    "must be one private key without a pass phrase");
	if (key != NULL && cert[0] == '\0')
		check_bad(c, "client_cert_pem", "is required by client_key");
	if (cert[0] != '\0' && strncmp(c->base_url, "http://", 7) == 0)
		check_bad(c, "client_cert_pem", "needs an https base_url");
}

static void
check_auth(const struct check *c)
{
	static const char *const names[] = {"api-key", "bearer", "sigv4"};
	char text[96];
	unsigned i;

	for (i = 0; i < 3; i++)
		if (strcmp(c->auth, names[i]) == 0 &&
		    !(c->rule->auth & (1u << i))) {
			(void)snprintf(text, sizeof(text),
			    "%s is not possible with the dialect %s", names[i],
			    c->rule->name);
			check_bad(c, "auth", text);
		}
}

static bool
check_has(const json_t *o, const char *name, bool needed)
{
	const json_t *v = json_object_get(o, name);

	if (v == NULL || json_is_null(v))
		return !needed;
	return json_string_length(v) > 0 || (!needed && json_is_string(v));
}

static const char *
check_account(const struct check *c, const json_t *o)
{
	const char *uri, *type;

	if (!check_has(o, "client_email", true) ||
	    !check_has(o, "private_key", true) ||
	    !check_has(o, "token_uri", true) ||
	    !check_has(o, "private_key_id", false))
		return "must be the JSON of a service account, with "
		       "client_email, private_key and token_uri";
	type = json_string_value(json_object_get(o, "type"));
	if (type != NULL && strcmp(type, "service_account") != 0)
		return "must be of the type service_account";
	uri = json_string_value(json_object_get(o, "token_uri"));
	if (strncmp(uri, "https://", 8) != 0 &&
	    strncmp(c->base_url, "http://", 7) != 0)
		return "has a token_uri that is not https";
	return NULL;
}

static int
check_credential(const struct check *c)
{
	const json_t *v = json_object_get(c->secrets, "credential");
	bool vertex = strcmp(c->rule->name, "vertex") == 0;
	const char *wrong = NULL;
	json_t *o;

	if (v == NULL || strcmp(c->auth, "bearer") == 0 ||
	    !(vertex || strcmp(c->rule->name, "bedrock") == 0))
		return 0;
	o = json_loadb(json_string_value(v), json_string_length(v), 0, NULL);
	/* What looks like JSON is JSON: it was normalised. */
	if (o == NULL && json_string_value(v)[0] == '{')
		return ERR_NOMEM;
	if (vertex)
		wrong = check_account(c, o);
	else if (!check_has(o, "access_key_id", true) ||
		 !check_has(o, "secret_access_key", true) ||
		 !check_has(o, "session_token", false))
		wrong = "must be JSON with access_key_id, secret_access_key "
			"and perhaps session_token";
	json_decref(o);
	if (wrong != NULL)
		check_bad(c, "credential", wrong);
	return 0;
}

/* ---- as agents see it -----------------------------------------------------
 */

static void
check_wipe(struct str s)
{
	if (s.len > 0)
		sodium_memzero((char *)(uintptr_t)s.p, s.len);
}

static int
check_cloud_key(const struct check *c, struct str text, struct error *e)
{
	bool http = strncmp(c->base_url, "http://", 7) == 0;
	struct service_account sa = {.private_key = STR_NULL};
	struct aws_keys aws = {.secret_access_key = STR_NULL};
	struct arena a;
	int rc;

	arena_init(&a, 4096, (size_t)256 << 10);
	if (strcmp(c->rule->name, "vertex") == 0) {
		rc = service_account_parse(text, http, &a, &sa, e);
		if (rc == 0)
			rc = rsa_key_check(sa.private_key, e);
		check_wipe(sa.private_key);
	} else {
		rc = aws_keys_parse(text, &a, &aws, e);
		check_wipe(aws.secret_access_key);
		check_wipe(aws.session_token);
	}
	arena_release(&a);
	return rc;
}

int
provider_check_change(const json_t *spec, const json_t *secrets, const char *at,
    struct problems *p)
{
	struct check c = {.spec = spec, .at = at, .p = p};
	const json_t *v = json_object_get(secrets, "credential");
	struct error e = {.code = 0};
	int rc;

	c.rule = check_rule(check_text(&c, "dialect"));
	c.base_url = check_text(&c, "base_url");
	rc = tls_check(str_of(check_text(&c, "ca_pem")), STR(""), STR(""), &e);
	if (rc == ERR_INVALID)
		check_bad(&c, "ca_pem", "must hold valid certificates");
	if (rc == ERR_NOMEM || c.rule == NULL || v == NULL ||
	    strcmp(check_text(&c, "auth"), "bearer") == 0 ||
	    (strcmp(c.rule->name, "vertex") != 0 &&
		strcmp(c.rule->name, "bedrock") != 0))
		return rc == ERR_NOMEM ? rc : 0;
	rc = check_cloud_key(&c, check_str(v), &e);
	if (rc == ERR_INVALID)
		check_bad(&c, "credential", e.text);
	return rc == ERR_NOMEM ? rc : 0;
}

int
provider_check(
    json_t *spec, const json_t *secrets, const char *at, struct problems *p)
{
	struct check c = {.spec = spec, .secrets = secrets, .at = at, .p = p};
	int rc;

	c.rule = check_rule(check_text(&c, "dialect"));
	if (c.rule == NULL) /* said by the field's own check */
		return 0;
	c.base_url = check_text(&c, "base_url");
	c.auth = check_text(&c, "auth");
	check_places(&c);
	rc = check_base_url(&c, spec);
	if (rc != 0)
		return rc;
	check_azure(&c);
	check_proxy(&c);
	check_auth(&c);
	check_pems(&c);
	return check_credential(&c);
}
