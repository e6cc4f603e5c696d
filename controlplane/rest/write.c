/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What surrounds every write: the audit row and the idempotency record are in
 * the transaction of the change itself, so there is never one without the
 * other. Stored answers are sealed, because some hold a secret shown once.
 */
#include <sodium.h>
#include <stdlib.h>

#include "controlplane/rest/rest_internal.h"
#include "controlplane/rest/strict.h"
#include "controlplane/store/vault.h"

int
rest_read_body(struct rest_call *c)
{
	struct str type = http_header(c->req, "content-type"), media, rest;
	struct str body = c->req->body;
	json_error_t je;

	if (body.len == 0 && (c->route->flags & RR_BODY_OPT)) {
		c->body = json_object();
		return c->body ? 0 : err_set(&c->e, ERR_NOMEM, "out of memory");
	}
	(void)str_cut(type, ';', &media, &rest);
	media = str_trim(media);
	if (media.len > 0 && !str_ieq(media, STR("application/json")) &&
	    !((c->route->flags & RR_MERGE) &&
		str_ieq(media, STR("application/merge-patch+json")))) {
		c->res->status = 415;
		return err_set(&c->e, ERR_UNSUPPORTED,
		    "the body must be application/json");
	}
	if (body.len == 0)
		return err_set(
		    &c->e, ERR_INVALID, "a JSON object is needed as body");
	if (strict_check(body, &c->e) != 0)
		return c->e.code;
	c->body = json_loadb(
	    body.p, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (c->body == NULL)
		return err_set(&c->e, ERR_INVALID,
		    "the body is not usable JSON: %.100s (byte %d)", je.text,
		    je.position);
	if (!json_is_object(c->body))
		return err_set(
		    &c->e, ERR_INVALID, "the body must be a JSON object");
	return 0;
}

/* ---- audit
 * -------------------------------------------------------------------- */

static const char *
write_action(const struct rest_call *c)
{
	if (c->action != NULL)
		return c->action;
	return str_eqz(c->req->method, "DELETE") ? "delete"
	       : str_eqz(c->req->method, "POST") ? "create"
						 : "update";
}

static int
write_audit(struct rest_call *c, const char *action, int status)
{
	char *detail = c->audit ? json_dumps(c->audit, JSON_COMPACT) : NULL;
	struct audit_entry a = {.actor = str_of(c->who.name),
	    .role = str_of(admin_role_name(c->who.role)),
	    .action = str_of(action),
	    .target = str_of(c->target),
	    .request_id = str_of(c->request_id),
	    .remote = str_of(c->req->peer),
	    .version = c->version,
	    .status = status,
	    .detail = str_of(detail)};
	int rc = audit_add(c->db, &a, &c->e);

	free(detail);
	return rc;
}

void
rest_audit_refused(struct rest_call *c)
{
	struct error e = c->e;

	(void)snprintf(c->target, sizeof(c->target), "%.300s", c->route->id);
	if (store_take(c->o->store, &c->db, &c->e) == 0) {
		if (db_begin(c->db, &c->e) == 0 &&
		    write_audit(c, "refused", 403) == 0)
			(void)!db_commit(c->db, &c->e);
		store_give(c->db);
		c->db = NULL;
	}
	c->e = e;
}

/* ---- idempotency
 * ---------------------------------------------------------------- */

static int
idem_key(struct rest_call *c, struct str *key)
{
	struct str k = http_header(c->req, "idempotency-key");
	size_t i;

	*key = STR_NULL;
	if (k.p == NULL || !(c->route->flags & RR_IDEMPOTENT))
		return 0;
	if (k.len >= 2 && k.p[0] == '"' && k.p[k.len - 1] == '"')
		k = str_make(k.p + 1, k.len - 2);
	for (i = 0; i < k.len; i++)
		if (k.p[i] < 0x20 || k.p[i] > 0x7e)
			break;
	if (k.len == 0 || k.len > 255 || i < k.len)
		return err_set_field(&c->e, ERR_INVALID, "idempotency-key",
		    "Idempotency-Key must have 1 to 255 printable characters");
	*key = k;
	return 0;
}

static void
idem_hash(const struct rest_call *c, uint8_t hash[32])
{
	const struct str parts[] = {
	    c->req->method, c->req->path, c->req->query, c->req->body};
	crypto_hash_sha256_state st;
	size_t i;

	(void)crypto_hash_sha256_init(&st);
	for (i = 0; i < 4; i++) {
		uint64_t n = parts[i].len;

		(void)crypto_hash_sha256_update(
		    &st, (const unsigned char *)&n, sizeof(n));
		(void)crypto_hash_sha256_update(
		    &st, (const unsigned char *)parts[i].p, parts[i].len);
	}
	(void)crypto_hash_sha256_final(&st, hash);
}

static struct str
idem_bound(const struct rest_call *c, char dst[40])
{
	int n = snprintf(dst, 40, "token:%lld", (long long)c->who.id);

	return str_make(dst, (size_t)n);
}

static int
idem_replay(struct rest_call *c, struct idem_reply *r)
{
	char bound[40];
	int rc = 0;

	if (r->body_len > 0 && c->o->vault != NULL)
		rc = vault_unseal(c->o->vault, VAULT_IDEMPOTENCY,
		    idem_bound(c, bound), str_make(r->body, r->body_len),
		    &c->res->body, &c->e);
	c->res->status = r->status;
	c->res->content_type = r->body_len ? "application/json" : NULL;
	if (r->location[0] != '\0')
		http_set_header(c->res, "Location", "%s", r->location);
	if (r->etag[0] != '\0')
		http_set_header(c->res, "ETag", "%s", r->etag);
	http_set_header(c->res, "Idempotent-Replayed", "true");
	c->replayed = true;
	return rc;
}

static struct str
idem_header(const struct rest_call *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->res->n_headers; i++)
		if (strcmp(c->res->headers[i].name, name) == 0)
			return str_of(c->res->headers[i].value);
	return STR("");
}

static int
idem_store(struct rest_call *c, struct str key)
{
	char bound[40];
	struct buf sealed;
	int rc = 0;

	buf_init(&sealed, c->res->body.len + 1024);
	if (c->res->body.len > 0 && c->o->vault != NULL)
		rc = vault_seal(c->o->vault, VAULT_IDEMPOTENCY,
		    idem_bound(c, bound), buf_str(&c->res->body), &sealed,
		    &c->e);
	if (rc == 0)
		rc = idem_finish(c->db, c->who.id, key, c->res->status,
		    idem_header(c, "Location"), idem_header(c, "ETag"),
		    buf_str(&sealed), &c->e);
	buf_release(&sealed);
	return rc;
}

/* ---- the transaction
 * ------------------------------------------------------------- */

static void
write_reset(struct rest_call *c)
{
	http_response_reset(c->res);
	problems_release(&c->problems);
	json_decref(c->audit);
	c->audit = NULL;
	c->action = NULL;
	c->target[0] = '\0';
	c->version = 0;
	c->replayed = false;
	c->tokens_changed = false;
	memset(&c->e, 0, sizeof(c->e));
}

static int
write_tx(struct db *db, void *ctx, struct error *e)
{
	struct rest_call *c = ctx;
	struct idem_reply reply = {.status = 0};
	struct str key = STR_NULL;
	uint8_t hash[32];
	bool found = false;
	int rc;

	write_reset(c);
	c->db = db;
	rc = idem_key(c, &key);
	if (rc == 0 && key.p != NULL) {
		idem_hash(c, hash);
		rc =
		    idem_begin(db, c->who.id, key, hash, &found, &reply, &c->e);
	}
	if (rc == 0 && found)
		rc = idem_replay(c, &reply);
	else if (rc == 0)
		rc = c->route->fn(c);
	if (rc == 0 && !found)
		rc = write_audit(c, write_action(c), c->res->status);
	if (rc == 0 && !found && key.p != NULL)
		rc = idem_store(c, key);
	free(reply.body);
	if (rc != 0 && e != &c->e)
		*e = c->e;
	return rc;
}

int
rest_write(struct rest_call *c)
{
	struct error e = {.code = 0};
	int rc = store_tx(c->o->store, 0, write_tx, c, &e);

	c->db = NULL;
	if (rc != 0 && c->e.code == 0)
		c->e = e;
	if (rc == 0 && c->tokens_changed)
		auth_forget(c->rest->auth);
	return rc;
}
