/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admin tokens, audit, idempotency keys; vault and keys.
 */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/io.h"
#include "controlplane/store/money_audit.h"
#include "controlplane/store/pki.h"
#include "controlplane/store/store_admin.h"
#include "controlplane/store/vault.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/support/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)
#define NOW	 INT64_C(1773568800000000000)

START_TEST(test_tokens)
{
	char owner[ADMIN_TOKEN_TEXT], other[ADMIN_TOKEN_TEXT];
	struct store *s = pgtest_open();
	struct admin_token t;
	struct db *db = NULL;
	struct error e;
	int64_t n;

	OK(store_take(s, &db, &e));
	OK(admin_token_create(
	    db, STR("root"), ROLE_OWNER, 0, STR("test"), owner, &t, &e));
	ck_assert_uint_eq(strlen(owner), 47);
	ck_assert_int_eq(strncmp(owner, t.prefix, 10), 0);
	OK(admin_token_check(db, str_of(owner), &t, &e));
	ck_assert_str_eq(t.name, "root");
	ck_assert_int_eq(t.role, ROLE_OWNER);
	owner[20] ^= 1;
	ck_assert_int_eq(
	    admin_token_check(db, str_of(owner), &t, &e), ERR_UNAUTHENTICATED);
	ck_assert_int_eq(
	    admin_token_check(db, STR(""), &t, &e), ERR_UNAUTHENTICATED);
	ck_assert_int_eq(admin_token_create(db, STR("root"), ROLE_VIEWER, 0,
			     STR("test"), other, &t, &e),
	    ERR_EXISTS);
	ck_assert_str_eq(e.field, "/name");
	/* expired */
	OK(admin_token_create(
	    db, STR("old"), ROLE_OWNER, NOW, STR("test"), other, &t, &e));
	ck_assert_int_eq(
	    admin_token_check(db, str_of(other), &t, &e), ERR_UNAUTHENTICATED);
	OK(admin_token_count(db, ROLE_OWNER, &n, &e));
	ck_assert_int_eq(n, 1);
	/* the last owner stays */
	ck_assert_int_eq(
	    admin_token_revoke(db, STR("root"), &t, &e), ERR_CONFLICT);
	OK(admin_token_create(
	    db, STR("two"), ROLE_OWNER, 0, STR("test"), other, &t, &e));
	OK(admin_token_revoke(db, STR("1"), &t, &e));
	ck_assert_str_eq(t.name, "root");
	ck_assert_int_eq(
	    admin_token_revoke(db, STR("root"), &t, &e), ERR_NOT_FOUND);
	owner[20] ^= 1;
	ck_assert_int_eq(
	    admin_token_check(db, str_of(owner), &t, &e), ERR_UNAUTHENTICATED);
	OK(admin_token_create(
	    db, STR("root"), ROLE_VIEWER, 0, STR("test"), other, &t, &e));
	store_give(db);
	pgtest_close(s);
}
END_TEST

static int
on_audit(void *ctx, const struct audit_entry *a)
{
	char *text = ctx;
	size_t n = strlen(text);

	snprintf(text + n, 200 - n, "%.*s/%.*s/%.*s ", STR_ARG(a->actor),
	    STR_ARG(a->target), STR_ARG(a->detail));
	return 0;
}

/* Only what is old enough goes, only through the one function. */
START_TEST(test_audit_retention)
{
	struct store *s = pgtest_open();
	int64_t day = 86400 * NS_PER_S, now = clock_wall(clock_system()), n;
	struct error e;

	pgtest_sql(s,
	    "INSERT INTO audit (at, actor, role, action, target, "
	    "request_id, remote, status) SELECT now() - i * interval "
	    "'1 day', 'a', 'owner', 'x', 'y', '', '', 200 "
	    "FROM generate_series(1, 20) i, generate_series(1, 1200)");
	OK(store_audit_retention(s, 400, now, &n, &e));
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(pgtest_number(s, "SELECT count(*) FROM audit"), 24000);
	OK(store_audit_retention(s, 10, now + day / 2, &n, &e));
	ck_assert_int_eq(n, 11 * 1200);
	ck_assert_int_eq(pgtest_number(s, "SELECT count(*) FROM audit WHERE "
					  "action = 'x'"),
	    9 * 1200);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT sum((detail->>'rows')::bigint) FROM audit "
			     "WHERE action = 'expire'"),
	    n);
	OK(store_audit_retention(s, 10, now + day / 2, &n, &e));
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM audit WHERE action = 'x'"),
	    9 * 1200);
	pgtest_close(s);
}
END_TEST

START_TEST(test_audit)
{
	struct store *s = pgtest_open();
	struct audit_entry a = {.actor = STR("x"),
	    .target = STR("keys/a"),
	    .detail = STR("{\"n\": 1}"),
	    .version = 3};
	struct audit_filter f = {.limit = 10};
	char text[200] = "";
	struct db *db = NULL;
	struct error e;

	OK(store_take(s, &db, &e));
	OK(audit_add(db, &a, &e));
	a = (struct audit_entry){.actor = STR("y"), .target = STR("keys/b")};
	OK(audit_add(db, &a, &e));
	OK(audit_list(db, &f, on_audit, text, &e));
	ck_assert_str_eq(text, "y/keys/b/ x/keys/a/{\"n\": 1} ");
	text[0] = '\0';
	f.target_prefix = STR("keys/a");
	f.before = 2;
	f.from = 1;
	OK(audit_list(db, &f, on_audit, text, &e));
	ck_assert_str_eq(text, "x/keys/a/{\"n\": 1} ");
	ck_assert_int_ne(db_script(db, "DELETE FROM audit", &e), 0);
	store_give(db);
	pgtest_close(s);
}
END_TEST

static const uint8_t hash_a[32] = {1}, hash_b[32] = {2};

static void *
same_key(void *arg)
{
	struct store *s = arg;
	struct idem_reply r;
	struct db *db = NULL;
	struct error e;
	bool found;

	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(idem_begin(db, 1, STR("k"), hash_a, &found, &r, &e));
	ck_assert(found);
	ck_assert_int_eq(r.status, 201);
	ck_assert_str_eq(r.location, "/v1/x");
	ck_assert_mem_eq(r.body, "bo\0dy", 5);
	free(r.body);
	store_give(db);
	return NULL;
}

START_TEST(test_idempotency)
{
	struct store *s = pgtest_open();
	struct idem_reply r;
	struct db *db = NULL;
	struct error e;
	pthread_t t;
	bool found;

	OK(store_take(s, &db, &e));
	/* rolled back: the key stays free */
	OK(db_begin(db, &e));
	OK(idem_begin(db, 1, STR("k"), hash_b, &found, &r, &e));
	ck_assert(!found);
	db_rollback(db);
	/* the second waits for the first */
	OK(db_begin(db, &e));
	OK(idem_begin(db, 1, STR("k"), hash_a, &found, &r, &e));
	ck_assert(!found);
	pthread_create(&t, NULL, same_key, s);
	OK(idem_finish(db, 1, STR("k"), 201, STR("/v1/x"), STR("\"1\""),
	    str_make("bo\0dy", 5), &e));
	OK(db_commit(db, &e));
	pthread_join(t, NULL);
	OK(db_begin(db, &e));
	ck_assert_int_eq(
	    idem_begin(db, 1, STR("k"), hash_b, &found, &r, &e), ERR_CONFLICT);
	OK(idem_begin(db, 2, STR("k"), hash_b, &found, &r, &e));
	ck_assert(!found);
	db_rollback(db);
	OK(db_script(db,
	    "UPDATE idempotency SET created_at = now() - interval '25 hours'",
	    &e));
	OK(idem_expire(db, &e));
	store_give(db);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM idempotency"), 0);
	pgtest_close(s);
}
END_TEST

START_TEST(test_vault)
{
	const uint8_t key[32] = {7}, wrong[32] = {8};
	struct vault *v = vault_new(key), *w = vault_new(wrong);
	struct store *s = pgtest_open();
	struct buf sealed, plain;
	struct error e;

	buf_init(&sealed, 4096);
	buf_init(&plain, 4096);
	OK(vault_seal(v, "a", STR("x:1"), STR("sk-secret"), &sealed, &e));
	ck_assert_uint_eq(sealed.len, 9 + VAULT_OVERHEAD);
	OK(vault_unseal(v, "a", STR("x:1"), buf_str(&sealed), &plain, &e));
	ck_assert_slice_eq(buf_str(&plain), "sk-secret");
	ck_assert_int_eq(
	    vault_unseal(v, "b", STR("x:1"), buf_str(&sealed), &plain, &e),
	    ERR_CORRUPT);
	ck_assert_int_eq(
	    vault_unseal(v, "a", STR("x:2"), buf_str(&sealed), &plain, &e),
	    ERR_CORRUPT);
	ck_assert_int_eq(
	    vault_unseal(w, "a", STR("x:1"), buf_str(&sealed), &plain, &e),
	    ERR_CORRUPT);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 1;
		ck_assert_int_eq(vault_unseal(v, "a", STR("x:1"),
				     buf_str(&sealed), &plain, &e),
		    ERR_CORRUPT);
		sealed.data[i] ^= 1;
	}
	ck_assert_int_eq(
	    vault_unseal(v, "a", STR("x:1"),
		str_make(sealed.data, VAULT_OVERHEAD - 1), &plain, &e),
	    ERR_CORRUPT);
	ck_assert_uint_eq(plain.len, 9);
	OK(vault_check(v, s, &e));
	OK(vault_check(v, s, &e));
	ck_assert_int_eq(vault_check(w, s, &e), ERR_FORBIDDEN);
	buf_release(&sealed);
	buf_release(&plain);
	vault_free(v);
	vault_free(w);
	pgtest_close(s);
}
END_TEST

START_TEST(test_master_key_file)
{
	struct vault *v = NULL, *w = NULL;
	char path[512], link[512];
	struct buf b, out;
	struct error e;

	snprintf(path, sizeof(path), "%s/master.key", pgtest_dir());
	snprintf(link, sizeof(link), "%s/none/master.key", pgtest_dir());
	ck_assert_int_ne(vault_open_file(path, false, &v, &e), 0);
	ck_assert_int_ne(vault_open_file(link, true, &v, &e), 0);
	OK(vault_open_file(path, true, &v, &e));
	OK(vault_open_file(path, true, &w, &e));
	buf_init(&b, 100);
	buf_init(&out, 100);
	OK(vault_seal(v, "a", STR(""), STR("p"), &b, &e));
	OK(vault_unseal(w, "a", STR(""), buf_str(&b), &out, &e));
	vault_free(w);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(vault_open_file(path, true, &w, &e), ERR_FORBIDDEN);
	OK(io_write_file_atomic(io_system(), path, "zz\n", 3, 0600, &e));
	ck_assert_int_eq(vault_open_file(path, true, &w, &e), ERR_INVALID);
	buf_release(&b);
	buf_release(&out);
	vault_free(v);
}
END_TEST

static X509 *
read_cert(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	ck_assert_ptr_nonnull(x);
	return x;
}

static void
check_chain(const struct pki *p)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *trust = X509_STORE_new();
	X509_VERIFY_PARAM *param;
	X509 *ca = read_cert(p->ca_pem), *x = read_cert(p->cert_pem);

	X509_STORE_add_cert(trust, ca);
	ck_assert_int_eq(X509_STORE_CTX_init(ctx, trust, x, NULL), 1);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, NOW / NS_PER_S);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set1_host(param, "cp.example", 0);
	ck_assert_int_eq(X509_verify_cert(ctx), 1);
	ck_assert_int_eq(X509_check_ip_asc(x, "10.1.2.3", 0), 1);
	ck_assert_int_eq(X509_check_host(x, "evil", 0, 0, NULL), 0);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(trust);
	X509_free(ca);
	X509_free(x);
}

START_TEST(test_pki)
{
	const uint8_t key[32] = {7};
	struct vault *v = vault_new(key);
	struct store *s = pgtest_open();
	struct pki *a = NULL, *b = NULL;
	uint8_t g1[32], g2[32], g3[32], sig[64];
	struct error e;

	OK(pki_load(s, v, "cp.example, 10.1.2.3", NOW, &a, &e));
	check_chain(a);
	OK(pki_load(s, v, "cp.example, 10.1.2.3", NOW, &b, &e));
	ck_assert_str_eq(a->ca_pem, b->ca_pem);
	ck_assert_str_eq(a->cert_pem, b->cert_pem);
	ck_assert_str_eq(a->key_pem, b->key_pem);
	ck_assert_mem_eq(a->sign_sk, b->sign_sk, 64);
	crypto_sign_detached(sig, NULL, key, 32, a->sign_sk);
	ck_assert_int_eq(
	    crypto_sign_verify_detached(sig, key, 32, b->sign_pk), 0);
	pki_free(b);
	/* other names, or nearly over: a new certificate of the same CA */
	OK(pki_load(s, v, "10.1.2.3,cp.example", NOW, &b, &e));
	ck_assert_str_eq(a->ca_pem, b->ca_pem);
	ck_assert_str_ne(a->cert_pem, b->cert_pem);
	check_chain(b);
	pki_free(a);
	OK(pki_load(s, v, "10.1.2.3,cp.example",
	    NOW + INT64_C(380) * 86400 * NS_PER_S, &a, &e));
	ck_assert_str_ne(a->cert_pem, b->cert_pem);
	pki_free(a);
	pki_free(b);
	ck_assert_int_eq(pki_load(s, v, "a b", NOW, &a, &e), ERR_INVALID);
	ck_assert_int_eq(pki_load(s, v, ",", NOW, &a, &e), ERR_INVALID);
	OK(pki_group_key(s, v, STR("eu"), g1, &e));
	OK(pki_group_key(s, v, STR("eu"), g2, &e));
	OK(pki_group_key(s, v, STR("us"), g3, &e));
	ck_assert_mem_eq(g1, g2, 32);
	ck_assert_mem_ne(g1, g3, 32);
	/* nothing of it is in the clear */
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM cp_secret WHERE "
			     "position('BEGIN' in encode(sealed, 'escape')) "
			     "> 0"),
	    0);
	vault_free(v);
	pgtest_close(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("store_admin");

	UNIT_ADD(s, test_tokens);
	UNIT_ADD(s, test_audit);
	UNIT_ADD(s, test_audit_retention);
	UNIT_ADD(s, test_idempotency);
	UNIT_ADD(s, test_vault);
	UNIT_ADD(s, test_master_key_file);
	UNIT_ADD(s, test_pki);
	return s;
}

int
main(void)
{
	return pgtest_run(suite());
}
