/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a commit keeps of secrets. A key's value becomes a digest. A provider's
 * credential and client key become sealed rows, the spec has their numbers, so
 * that a rollback restores the credential that belonged to the old address.
 */
#include <sodium.h>
#include <stdlib.h>

#include "common/tls_check.h"
#include "controlplane/config/commit_internal.h"
#include "controlplane/config/credential.h"
#include "controlplane/store/store_rest.h"

static struct str
secrets_str(const json_t *v)
{
	return str_make(json_string_value(v), json_string_length(v));
}

static int
secrets_bad(struct commit *c, struct work *w, int code, const char *field,
    const char *text)
{
	char at[320];

	(void)snprintf(at, sizeof(at), "%s/%s", w->ch->at, field);
	(void)problems_add(c->p, code, at, "%s", text);
	w->bad = true;
	return 0;
}

static int
secrets_copy(struct work *w, const char *field)
{
	json_t *v = json_object_get(w->old, field);

	if (v == NULL)
		return 0;
	return json_object_set(w->spec, field, v) == 0 ? 0 : ERR_NOMEM;
}

/* Two keys with one value would make it undecided who pays. */
static int
secrets_unique(struct commit *c, struct work *w, const char *hex)
{
	char owner[256] = "";
	int rc;

	if (json_object_get(c->digests, hex) != NULL)
		return secrets_bad(
		    c, w, ERR_CONFLICT, "value", "another key has this value");
	if (json_object_set_new(c->digests, hex, json_null()) != 0)
		return ERR_NOMEM;
	rc = store_key_by_digest(c->db, hex, owner, c->e);
	if (rc == 0 && owner[0] != '\0' && !str_eq(str_of(owner), w->ch->name))
		return secrets_bad(
		    c, w, ERR_CONFLICT, "value", "another key has this value");
	return rc;
}

static int
secrets_key(struct commit *c, struct work *w)
{
	const json_t *given = json_object_get(w->secrets, "value");
	char text[KEY_TEXT_MAX] = "", hex[65], prefix[9];
	int rc = 0;

	if (given == NULL && w->old != NULL) {
		rc = secrets_copy(w, "prefix");
		return rc ? rc : secrets_copy(w, "digest");
	}
	if (given == NULL && c->req->dry_run)
		return 0;
	if (given == NULL) {
		key_generate(c->req->rng, text);
		key_digest(str_of(text), hex, prefix);
		w->secret = str_dup(str_of(text));
		sodium_memzero(text, sizeof(text));
		if (w->secret == NULL)
			return ERR_NOMEM;
	} else {
		key_digest(secrets_str(given), hex, prefix);
		rc = secrets_unique(c, w, hex);
	}
	if (rc == 0 &&
	    (json_object_set_new(w->spec, "prefix", json_string(prefix)) ||
		json_object_set_new(w->spec, "digest", json_string(hex))))
		rc = ERR_NOMEM;
	return rc;
}

/* scheme://host[:port] of a stored base URL. */
static struct str
secrets_origin(const json_t *spec)
{
	struct str u = secrets_str(json_object_get(spec, "base_url"));
	size_t i = 0;
	int slashes = 0;

	while (i < u.len) {
		slashes += u.p[i] == '/';
		if (slashes == 3)
			break;
		i++;
	}
	return str_make(u.p, i);
}

static int
secrets_is_same(struct commit *c, struct work *w, enum credential which,
    uint64_t version, struct str value, bool *same)
{
	struct buf clear;
	int rc;

	*same = false;
	if (version == 0)
		return 0;
	buf_init(&clear, CREDENTIAL_MAX);
	rc = credential_get(
	    c->db, c->req->vault, w->uid, which, version, &clear, c->e);
	if (rc == 0)
		*same = clear.len == value.len &&
			sodium_memcmp(clear.data, value.p, value.len) == 0;
	if (clear.data != NULL)
		sodium_memzero(clear.data, clear.cap);
	buf_release(&clear);
	return rc;
}

/* Does anything change that decides who gets to see the credential? */
static bool
secrets_moved(const struct work *w)
{
	static const char *const fields[] = {"dialect", "auth"};
	/* Taking these away leaves the system's authorities, no proxy. */
	static const char *const trust[] = {"ca_pem", "proxy_url"};
	const json_t *v;
	size_t i;

	for (i = 0; i < 2; i++) {
		if (!str_eq(secrets_str(json_object_get(w->old, fields[i])),
			secrets_str(json_object_get(w->spec, fields[i]))))
			return true;
		v = json_object_get(w->spec, trust[i]);
		if (v != NULL &&
		    !json_equal(v, json_object_get(w->old, trust[i])))
			return true;
	}
	return !str_eq(secrets_origin(w->old), secrets_origin(w->spec));
}

/* Keep the secret `field` if it was given; *version becomes that in use. */
static int
secrets_keep(struct commit *c, struct work *w, enum credential which,
    const char *field, uint64_t *version)
{
	const json_t *given = json_object_get(w->secrets, field);
	bool same = false;
	int rc;

	if (given == NULL)
		return 0;
	if (c->req->vault == NULL)
		return secrets_bad(c, w, ERR_UNSUPPORTED, field,
		    "cannot be kept: there is no master key");
	rc = secrets_is_same(c, w, which, *version, secrets_str(given), &same);
	if (rc != 0 || same)
		return rc;
	++*version;
	if (c->req->dry_run)
		return 0;
	return credential_put(c->db, c->req->vault, w->uid, which,
	    secrets_str(given), version, c->e);
}

static uint64_t
secrets_version(const struct work *w, const char *field)
{
	return (uint64_t)json_integer_value(json_object_get(w->old, field));
}

/* Would agents take certificate and key? version: of the stored key. */
static int
secrets_pair(struct commit *c, struct work *w, uint64_t version)
{
	const json_t *cert = json_object_get(w->spec, "client_cert_pem");
	const json_t *key = json_object_get(w->secrets, "client_key");
	struct error e = {.code = 0};
	struct buf clear;
	int rc = 0;

	if (cert == NULL ||
	    (key == NULL && (c->req->vault == NULL ||
				json_equal(cert, json_object_get(w->old,
						     "client_cert_pem")))))
		return 0;
	buf_init(&clear, CREDENTIAL_MAX);
	if (key == NULL)
		rc = credential_get(c->db, c->req->vault, w->uid,
		    CREDENTIAL_CLIENT_KEY, version, &clear, c->e);
	if (rc == 0)
		rc = tls_check(STR(""), secrets_str(cert),
		    key != NULL ? secrets_str(key) : buf_str(&clear), &e);
	if (clear.data != NULL)
		sodium_memzero(clear.data, clear.cap);
	buf_release(&clear);
	if (e.code != ERR_INVALID)
		return rc;
	return secrets_bad(c, w, ERR_INVALID,
	    str_starts(str_of(e.text), STR("client_cert_pem"))
		? "client_cert_pem"
		: "client_key",
	    e.text);
}

static int
secrets_provider(struct commit *c, struct work *w)
{
	uint64_t main = secrets_version(w, "credential_version");
	uint64_t key = secrets_version(w, "client_key_version");
	bool cert = json_object_get(w->spec, "client_cert_pem") != NULL;
	int rc;

	if (main != 0 && secrets_moved(w) &&
	    json_object_get(w->secrets, "credential") == NULL)
		return secrets_bad(c, w, ERR_INVALID, "credential",
		    "must be given again when scheme, host, port, dialect, "
		    "auth, ca_pem or proxy_url change");
	if (cert && key == 0 &&
	    json_object_get(w->secrets, "client_key") == NULL)
		return secrets_bad(c, w, ERR_INVALID, "client_key",
		    "is required by client_cert_pem");
	rc = secrets_pair(c, w, key);
	if (rc != 0 || w->bad)
		return rc;
	rc = secrets_keep(c, w, CREDENTIAL_MAIN, "credential", &main);
	if (rc == 0)
		rc = secrets_keep(
		    c, w, CREDENTIAL_CLIENT_KEY, "client_key", &key);
	if (rc != 0)
		return rc;
	if (json_object_set_new(w->spec, "credential_version",
		json_integer((json_int_t)main)) != 0)
		return ERR_NOMEM;
	if (cert && json_object_set_new(w->spec, "client_key_version",
			json_integer((json_int_t)key)) != 0)
		return ERR_NOMEM;
	return 0;
}

int
commit_secrets(struct commit *c, struct work *w)
{
	int rc = 0;

	if (w->ch->k->kind == KIND_KEY)
		rc = secrets_key(c, w);
	else if (w->ch->k->kind == KIND_PROVIDER)
		rc = secrets_provider(c, w);
	if (rc == ERR_NOMEM)
		(void)err_set(c->e, rc, "out of memory");
	return rc;
}
