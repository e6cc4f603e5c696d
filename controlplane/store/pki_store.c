/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane's keys in table cp_secret, each sealed under its row's
 * name. Whoever comes first makes them, under an advisory lock.
 *
 * Rows: ca (certificate NUL key), server (names NUL certificate NUL key),
 * sign (Ed25519 seed), group:NAME (32 bytes).
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controlplane/store/pki.h"
#include "controlplane/store/pki_x509.h"

#define PKI_MAX	  65536
#define PKI_RENEW (30 * 86400 * NS_PER_S)

/* Read and open a row into out (appended); ERR_NOT_FOUND without an entry. */
static int
pki_get(struct db *db, const struct vault *v, const char *label,
    const char *name, struct buf *out, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT sealed FROM cp_secret WHERE name = $1"};
	struct db_rows *r = NULL;
	char *sealed = NULL;
	size_t cap;
	long n;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBZ(name)), &r, e);
	if (rc != 0)
		return rc;
	cap = db_str(r, 0, 0).len;
	sealed = malloc(cap + 1);
	if (sealed == NULL) {
		rc = err_set(e, ERR_NOMEM, "no memory");
		goto out;
	}
	n = db_bytes(r, 0, 0, sealed, cap);
	MUST(n >= 0);
	rc = vault_unseal(
	    v, label, str_of(name), str_make(sealed, (size_t)n), out, e);
	if (rc != 0)
		err_wrap(e, "key %s", name);
out:
	free(sealed);
	db_rows_free(r);
	return rc;
}

static int
pki_put(struct db *db, const struct vault *v, const char *label,
    const char *name, struct str plain, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO cp_secret (name, sealed) VALUES ($1, $2) "
	    "ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, "
	    "updated_at = now()"};
	struct buf b;
	int rc;

	buf_init(&b, PKI_MAX);
	rc = vault_seal(v, label, str_of(name), plain, &b, e);
	if (rc == 0)
		rc = db_exec(
		    db, &st, DB_ARGS(DBZ(name), DBX(b.data, b.len)), NULL, e);
	buf_release(&b);
	return rc;
}

static void
pki_wipe(struct buf *b)
{
	if (b->data != NULL)
		sodium_memzero(b->data, b->cap);
	buf_release(b);
}

static void
pki_free_text(char **text)
{
	if (*text != NULL)
		sodium_memzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

/* Split n NUL-separated texts into malloc'ed copies. */
static int
pki_split(struct str s, char **parts[], size_t n, struct error *e)
{
	struct str one;

	for (size_t i = 0; i < n; i++) {
		str_cut(s, '\0', &one, &s);
		*parts[i] = str_dup(one);
		if (*parts[i] == NULL)
			return err_set(e, ERR_NOMEM, "no memory");
	}
	return 0;
}

/* Store texts joined by NUL. */
static int
pki_put_texts(struct db *db, const struct vault *v, const char *name,
    const char *const *texts, size_t n, struct error *e)
{
	struct buf b;
	int rc;

	buf_init(&b, PKI_MAX);
	for (size_t i = 0; i < n; i++)
		buf_add(&b, texts[i], strlen(texts[i]) + 1);
	rc = buf_error(&b);
	if (rc != 0)
		err_set(e, rc, "key too large");
	else
		rc = pki_put(db, v, VAULT_PKI, name, buf_str(&b), e);
	pki_wipe(&b);
	return rc;
}

struct pki_load {
	const struct vault *v;
	const char *names;
	int64_t now;
	char *ca_key; /* only while loading */
	char *server_names;
	struct pki *p;
};

static int
pki_load_ca(struct db *db, struct pki_load *l, struct error *e)
{
	char **parts[] = {&l->p->ca_pem, &l->ca_key};
	struct buf b;
	int rc;

	buf_init(&b, PKI_MAX);
	rc = pki_get(db, l->v, VAULT_PKI, "ca", &b, e);
	if (rc == 0)
		rc = pki_split(buf_str(&b), parts, 2, e);
	pki_wipe(&b);
	if (rc != ERR_NOT_FOUND)
		return rc;
	rc = pki_make_ca(l->now, &l->p->ca_pem, &l->ca_key, e);
	if (rc == 0) {
		const char *texts[] = {l->p->ca_pem, l->ca_key};

		rc = pki_put_texts(db, l->v, "ca", texts, 2, e);
	}
	return rc;
}

static int
pki_load_server(struct db *db, struct pki_load *l, struct error *e)
{
	struct pki *p = l->p;
	char **parts[] = {&l->server_names, &p->cert_pem, &p->key_pem};
	int64_t expiry = 0;
	struct buf b;
	int rc;

	buf_init(&b, PKI_MAX);
	rc = pki_get(db, l->v, VAULT_PKI, "server", &b, e);
	if (rc == 0)
		rc = pki_split(buf_str(&b), parts, 3, e);
	pki_wipe(&b);
	if (rc != 0 && rc != ERR_NOT_FOUND)
		return rc;
	if (rc == 0)
		rc = pki_expiry(p->cert_pem, &expiry, e);
	if (rc == 0 && strcmp(l->server_names, l->names) == 0 &&
	    expiry - l->now > PKI_RENEW)
		return 0;
	pki_free_text(&p->cert_pem);
	pki_free_text(&p->key_pem);
	rc = pki_make_server(p->ca_pem, l->ca_key, l->names, l->now,
	    &p->cert_pem, &p->key_pem, e);
	if (rc == 0) {
		const char *texts[] = {l->names, p->cert_pem, p->key_pem};

		rc = pki_put_texts(db, l->v, "server", texts, 3, e);
	}
	return rc;
}

static int
pki_load_sign(struct db *db, struct pki_load *l, struct error *e)
{
	uint8_t seed[crypto_sign_SEEDBYTES];
	struct buf b;
	int rc;

	buf_init(&b, PKI_MAX);
	rc = pki_get(db, l->v, VAULT_PKI, "sign", &b, e);
	if (rc == 0) {
		if (b.len != sizeof(seed))
			rc = err_set(e, ERR_CORRUPT, "bad signing key");
		else
			memcpy(seed, b.data, sizeof(seed));
	} else if (rc == ERR_NOT_FOUND) {
		randombytes_buf(seed, sizeof(seed));
		rc = pki_put(db, l->v, VAULT_PKI, "sign",
		    str_make((char *)seed, sizeof(seed)), e);
	}
	if (rc == 0)
		crypto_sign_seed_keypair(l->p->sign_pk, l->p->sign_sk, seed);
	sodium_memzero(seed, sizeof(seed));
	pki_wipe(&b);
	return rc;
}

static int
pki_load_tx(struct db *db, void *ctx, struct error *e)
{
	struct pki_load *l = ctx;
	int rc;

	/* From the start when a transaction is retried. */
	pki_free_text(&l->p->ca_pem);
	pki_free_text(&l->p->cert_pem);
	pki_free_text(&l->p->key_pem);
	pki_free_text(&l->ca_key);
	pki_free_text(&l->server_names);
	rc = db_lock(db, STORE_LOCK_PKI, e);
	if (rc == 0)
		rc = pki_load_ca(db, l, e);
	if (rc == 0)
		rc = pki_load_server(db, l, e);
	if (rc == 0)
		rc = pki_load_sign(db, l, e);
	return rc;
}

int
pki_load(struct store *s, const struct vault *v, const char *names,
    int64_t wall_now, struct pki **ret, struct error *e)
{
	struct pki_load l = {.v = v, .names = names, .now = wall_now};
	int rc;

	l.p = calloc(1, sizeof(*l.p));
	if (l.p == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	rc = store_tx(s, 0, pki_load_tx, &l, e);
	pki_free_text(&l.ca_key);
	pki_free_text(&l.server_names);
	if (rc != 0) {
		pki_free(l.p);
		return rc;
	}
	*ret = l.p;
	return 0;
}

void
pki_free(struct pki *p)
{
	if (p == NULL)
		return;
	pki_free_text(&p->ca_pem);
	pki_free_text(&p->cert_pem);
	pki_free_text(&p->key_pem);
	sodium_memzero(p->sign_sk, sizeof(p->sign_sk));
	free(p);
}

/* ---- group keys ---- */

struct pki_group {
	const struct vault *v;
	char name[160];
	uint8_t *key;
};

static int
pki_group_read(struct db *db, struct pki_group *g, struct error *e)
{
	struct buf b;
	int rc;

	buf_init(&b, PKI_MAX);
	rc = pki_get(db, g->v, VAULT_GROUP_KEY, g->name, &b, e);
	if (rc == 0 && b.len != 32)
		rc = err_set(e, ERR_CORRUPT, "bad group key");
	if (rc == 0)
		memcpy(g->key, b.data, 32);
	pki_wipe(&b);
	return rc;
}

static int
pki_group_tx(struct db *db, void *ctx, struct error *e)
{
	struct pki_group *g = ctx;
	int rc;

	rc = db_lock(db, STORE_LOCK_PKI, e);
	if (rc == 0)
		rc = pki_group_read(db, g, e);
	if (rc != ERR_NOT_FOUND)
		return rc;
	randombytes_buf(g->key, 32);
	return pki_put(db, g->v, VAULT_GROUP_KEY, g->name,
	    str_make((char *)g->key, 32), e);
}

int
pki_group_key(struct store *s, const struct vault *v, struct str group,
    uint8_t key[32], struct error *e)
{
	struct pki_group g = {.v = v, .key = key};
	struct db *db = NULL;
	int rc;

	if (group.len == 0 || group.len > 128)
		return err_set(e, ERR_INVALID, "bad agent group");
	snprintf(g.name, sizeof(g.name), "group:%.*s", STR_ARG(group));
	rc = store_take(s, &db, e);
	if (rc == 0)
		rc = pki_group_read(db, &g, e);
	store_give(db);
	if (rc == ERR_NOT_FOUND)
		rc = store_tx(s, 0, pki_group_tx, &g, e);
	return rc;
}
