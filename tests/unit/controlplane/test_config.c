/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits, references, deletions, secrets, history and rollback on a real
 * PostgreSQL.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/config/credential.h"
#include "controlplane/config/history.h"
#include "tests/unit/controlplane/support/commits.h"
#include "tests/unit/support/unit.h"

static int64_t
number(struct fixture *f, const char *sql)
{
	return pgtest_number(f->s, sql);
}

START_TEST(test_commit)
{
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	ck_assert_uint_eq(f.r.version, 1);
	ck_assert_uint_eq(f.r.n, 10);
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_item"), 10);
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_change"), 10);
	/* The same again is no version. */
	commit(&f, "[[\"put\",\"tenant\",\"acme\",{}],"
		   "[\"put\",\"key\",\"acme.a.b.k\",{\"disabled\":false}]]");
	ck_assert_uint_eq(f.r.version, 0);
	ck_assert_uint_eq(f.r.unchanged, 2);
	/* A dry run shows and leaves no trace. */
	ck_assert_int_eq(
	    commit_as(&f,
		"[[\"put\",\"tenant\",\"acme\",{\"disabled\":true}],"
		"[\"put\",\"key\",\"acme.a.b.k2\",{}]]",
		true, 0),
	    0);
	ck_assert_uint_eq(f.r.n, 2);
	ck_assert_uint_eq(f.r.version, 0);
	ck_assert_ptr_null(f.r.v[1].secret);
	ck_assert_int_eq(
	    number(&f, "SELECT max(version) FROM config_version"), 1);
	/* One fault refuses all. */
	refused(&f,
	    "[[\"put\",\"tenant\",\"acme\",{\"disabled\":true}],"
	    "[\"put\",\"team\",\"nope.a\",{}]]",
	    ERR_INVALID, "/name", "tenant nope does not exist");
	ck_assert_int_eq(
	    number(&f, "SELECT max(version) FROM config_version"), 1);
	refused(&f, "[[\"create\",\"tenant\",\"acme\",{}]]", ERR_EXISTS,
	    "/name", "exists already");
	refused(&f, "[[\"replace\",\"tenant\",\"zzz\",{}]]", ERR_NOT_FOUND,
	    "/name", "does not exist");
	refused(&f,
	    "[[\"put\",\"tenant\",\"t\",{}],[\"put\",\"tenant\",\"t\",{}]]",
	    ERR_INVALID, "/name", "is there twice");
	ck_assert_int_eq(
	    commit_as(&f, "[[\"patch\",\"tenant\",\"acme\",{}]]", false, 99),
	    ERR_PRECONDITION);
	ck_assert_int_eq(commit_as(&f,
			     "[[\"patch\",\"tenant\",\"acme\","
			     "{\"display_name\":\"A\"}]]",
			     false, 1),
	    0);
	ck_assert_uint_eq(f.r.version, 2);
	close_fixture(&f);
}
END_TEST

START_TEST(test_references)
{
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	refused(&f,
	    "[[\"create\",\"deployment\",\"d2\",{\"model\":\"zz\","
	    "\"provider\":\"sim\",\"upstream_model\":\"x\"}]]",
	    ERR_INVALID, "/spec/model", "model zz does not exist");
	refused(&f,
	    "[[\"create\",\"route\",\"r2\",{\"targets\":"
	    "[{\"deployment\":\"d\"},{\"deployment\":\"zz\"}]}]]",
	    ERR_INVALID, "/spec/targets/1/deployment", "zz does not exist");
	refused(&f,
	    "[[\"create\",\"budget\",\"acme.x\",{\"scope\":\"acme.zz\","
	    "\"limit_usd\":\"1\",\"period\":\"day\"}]]",
	    ERR_INVALID, "/spec/scope", "team acme.zz does not exist");
	refused(&f,
	    "[[\"create\",\"budget\",\"acme.x\",{\"scope\":\"acme\","
	    "\"limit_usd\":\"1\",\"period\":\"day\","
	    "\"time_zone\":\"Europe/Atlantis\"}]]",
	    ERR_INVALID, "/spec/time_zone", "is not known");
	commit(&f, "[[\"create\",\"budget\",\"acme.x\",{\"scope\":\"acme\","
		   "\"limit_usd\":\"1\",\"period\":\"day\","
		   "\"time_zone\":\"Europe/Berlin\"}]]");
	refused(&f, "[[\"delete\",\"tenant\",\"acme\",null]]", ERR_CONFLICT,
	    "/name", "tenant acme is in use by");
	refused(&f, "[[\"delete\",\"team\",\"acme.a\",null]]", ERR_CONFLICT,
	    "/name", "team acme.a is in use by");
	refused(&f, "[[\"delete\",\"model\",\"m\",null]]", ERR_CONFLICT,
	    "/name", "model m is in use by deployment d");
	refused(&f, "[[\"delete\",\"provider\",\"sim\",null]]", ERR_CONFLICT,
	    "/name", "provider sim is in use by deployment d");
	refused(&f, "[[\"delete\",\"deployment\",\"d\",null]]", ERR_CONFLICT,
	    "/name", "deployment d is in use by route r");
	refused(&f, "[[\"delete\",\"key\",\"acme.a.b.k\",null]]", ERR_CONFLICT,
	    "/name", "key acme.a.b.k is in use by limit acme.l");
	commit(&f, "[[\"patch\",\"team\",\"acme.a\",{\"routes\":[\"r\"]}]]");
	refused(&f, "[[\"delete\",\"route\",\"r\",null]]", ERR_CONFLICT,
	    "/name", "route r is in use by team acme.a");
	/* A set that takes both sides away is fine, in any order. */
	commit(&f, "[[\"delete\",\"route\",\"r\",null],"
		   "[\"patch\",\"team\",\"acme.a\",{\"routes\":null}],"
		   "[\"delete\",\"deployment\",\"d\",null],"
		   "[\"delete\",\"provider\",\"sim\",null],"
		   "[\"delete\",\"model\",\"m\",null]]");
	/* What is added by the set itself counts. */
	refused(&f,
	    "[[\"delete\",\"limit\",\"acme.l\",null],"
	    "[\"delete\",\"key\",\"acme.a.b.k\",null],"
	    "[\"put\",\"limit\",\"acme.l2\",{\"scope\":\"acme.a.b.k\"}]]",
	    ERR_INVALID, "/spec/scope", "acme.a.b.k does not exist");
	close_fixture(&f);
}
END_TEST

/* Agents have room for 8 budgets on the path of a key. */
START_TEST(test_paths)
{
	struct fixture f;
	struct buf b;

	open_fixture(&f);
	buf_init(&b, 4000);
	commit(&f, "[" ACME "]");
	buf_addf(&b, "[");
	for (int i = 1; i < 8; i++)
		buf_addf(&b,
		    "%s[\"create\",\"budget\",\"acme.b%d\",{\"scope\":"
		    "\"%s\",\"limit_usd\":\"1\",\"period\":\"day\"}]",
		    i > 1 ? "," : "", i,
		    i < 3   ? "acme"
		    : i < 5 ? "acme.a"
		    : i < 6 ? "acme.a.b"
			    : "acme.a.b.k");
	buf_addz(&b, "]");
	commit(&f, buf_cstr(&b));
	refused(&f,
	    "[[\"create\",\"budget\",\"acme.b8\",{\"scope\":"
	    "\"acme.a.b.k\",\"limit_usd\":\"1\",\"period\":\"day\"}]]",
	    ERR_INVALID, "/name",
	    "key acme.a.b.k would have 9 budgets on its path, agents have "
	    "room for 8: acme.b6, acme.b7, acme.b8, acme.b5, acme.b3, "
	    "acme.b4, acme.m, acme.b1, acme.b2");
	/* One that moves up, and one that makes room for it. */
	refused(&f,
	    "[[\"create\",\"budget\",\"acme.b8\",{\"scope\":\"acme\","
	    "\"limit_usd\":\"1\",\"period\":\"day\"}]]",
	    ERR_INVALID, "/name", "key acme.a.b.k would have 9 budgets");
	commit(&f, "[[\"create\",\"budget\",\"acme.b8\",{\"scope\":\"acme\","
		   "\"limit_usd\":\"1\",\"period\":\"day\"}],"
		   "[\"delete\",\"budget\",\"acme.b1\",null]]");
	/* The other key has two less. */
	commit(&f, "[[\"create\",\"key\",\"acme.a.b.k2\",{}],"
		   "[\"create\",\"budget\",\"acme.c1\",{\"scope\":"
		   "\"acme.a.b.k2\",\"limit_usd\":\"1\",\"period\":\"day\"}]]");
	/* Nobody has a key below it yet. */
	buf_clear(&b);
	buf_addf(&b, "[[\"create\",\"team\",\"acme.z\",{}]");
	for (int i = 0; i < 9; i++)
		buf_addf(&b,
		    ",[\"create\",\"limit\",\"acme.z%d\",{\"scope\":"
		    "\"acme.z\",\"concurrency\":1}]",
		    i);
	buf_addz(&b, "]");
	refused(&f, buf_cstr(&b), ERR_INVALID, "/name",
	    "every key of team acme.z would have 9 limits");
	buf_release(&b);
	close_fixture(&f);
}
END_TEST

START_TEST(test_route_subset)
{
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	commit(&f, "[[\"create\",\"route\",\"r2\",{\"targets\":"
		   "[{\"deployment\":\"d\"}]}],"
		   "[\"patch\",\"tenant\",\"acme\",{\"routes\":[\"r\"]}]]");
	refused(&f,
	    "[[\"patch\",\"key\",\"acme.a.b.k\",{\"routes\":[\"r\","
	    "\"r2\"]}]]",
	    ERR_INVALID, "/spec/routes/1", "route r2 is not allowed to acme");
	commit(&f, "[[\"patch\",\"key\",\"acme.a.b.k\",{\"routes\":[\"r\"]}]]");
	close_fixture(&f);
}
END_TEST

static void
stored_text(struct fixture *f, const char *name, const char *field, char *dst)
{
	static const struct db_stmt st = {
	    "SELECT spec->>$2::text FROM config_item WHERE name = $1"};
	struct db_rows *rows = NULL;
	struct db *db = NULL;
	struct error e;

	OK(store_take(f->s, &db, &e));
	OK(db_query_one(db, &st, DB_ARGS(DBZ(name), DBZ(field)), &rows, &e));
	(void)snprintf(dst, 256, "%s", db_text(rows, 0, 0));
	db_rows_free(rows);
	store_give(db);
}

START_TEST(test_keys)
{
	char digest[256], want[65], prefix[9], again[256], key[64];
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	ck_assert_str_eq(f.r.v[3].name, "acme.a.b.k");
	ck_assert_ptr_nonnull(f.r.v[3].secret);
	ck_assert_uint_eq(strlen(f.r.v[3].secret), 46);
	(void)snprintf(key, sizeof(key), "%s", f.r.v[3].secret);
	key_digest(str_of(key), want, prefix);
	stored_text(&f, "acme.a.b.k", "digest", digest);
	ck_assert_str_eq(digest, want);
	stored_text(&f, "acme.a.b.k", "prefix", again);
	ck_assert_mem_eq(again, key + 3, 8);
	/* Other changes keep it. */
	commit(
	    &f, "[[\"put\",\"key\",\"acme.a.b.k\",{\"display_name\":\"x\"}]]");
	ck_assert_ptr_null(f.r.v[0].secret);
	stored_text(&f, "acme.a.b.k", "digest", again);
	ck_assert_str_eq(digest, again);
#define VALUE "hg-abcdefghijklmnopqrstuvwxyz0123456789_-ABCDEFG"
	commit(&f,
	    "[[\"patch\",\"key\",\"acme.a.b.k\",{\"value\":\"" VALUE "\"}]]");
	ck_assert_ptr_null(f.r.v[0].secret);
	stored_text(&f, "acme.a.b.k", "prefix", again);
	ck_assert_str_eq(again, "abcdefgh");
	refused(&f,
	    "[[\"create\",\"key\",\"acme.a.b.k2\",{\"value\":\"" VALUE "\"}]]",
	    ERR_CONFLICT, "/spec/value", "another key has this value");
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_change "
				    "WHERE new::text LIKE '%abcdefghijk%'"),
	    0);
	close_fixture(&f);
}
END_TEST

START_TEST(test_credentials)
{
	struct fixture f;
	struct db *db = NULL;
	struct buf clear;
	struct error e;
	uint64_t uid;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	uid = f.r.v[4].uid;
	ck_assert_int_eq(json_integer_value(json_object_get(
			     f.r.v[4].new_spec, "credential_version")),
	    1);
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_change "
				    "WHERE new::text LIKE '%canary%'"),
	    0);
	ck_assert_int_eq(
	    number(&f, "SELECT count(*) FROM secret "
		       "WHERE position('canary'::bytea in sealed) > 0"),
	    0);
	/* The same credential is no change, another one is version 2. */
	commit(&f, "[[\"patch\",\"provider\",\"sim\",{\"credential\":"
		   "\"sk-canary-one\"}]]");
	ck_assert_uint_eq(f.r.version, 0);
	commit(&f, "[[\"patch\",\"provider\",\"sim\",{\"credential\":"
		   "\"sk-canary-two\"}]]");
	ck_assert_uint_eq(f.r.version, 2);
	OK(store_take(f.s, &db, &e));
	buf_init(&clear, 100);
	OK(credential_get(db, f.vault, uid, CREDENTIAL_MAIN, 2, &clear, &e));
	ck_assert_slice_eq(buf_str(&clear), "sk-canary-two");
	buf_clear(&clear);
	OK(credential_get(db, f.vault, uid, CREDENTIAL_MAIN, 1, &clear, &e));
	ck_assert_slice_eq(buf_str(&clear), "sk-canary-one");
	ck_assert_int_ne(credential_get(db, f.vault, uid + 1, CREDENTIAL_MAIN,
			     1, &clear, &e),
	    0);
	buf_release(&clear);
	store_give(db);
	/* A credential does not follow to another host by itself. */
	refused(&f,
	    "[[\"patch\",\"provider\",\"sim\",{\"base_url\":"
	    "\"http://evil.example/v1\"}]]",
	    ERR_INVALID, "/spec/credential", "must be given again");
	refused(&f,
	    "[[\"patch\",\"provider\",\"sim\",{\"base_url\":"
	    "\"http://127.0.0.1:2/v1\"}]]",
	    ERR_INVALID, "/spec/credential", "must be given again");
	commit(&f, "[[\"patch\",\"provider\",\"sim\",{\"base_url\":"
		   "\"http://127.0.0.1:1/v2\"}]]");
	commit(&f, "[[\"patch\",\"provider\",\"sim\",{\"base_url\":"
		   "\"http://127.0.0.1:2/v2\",\"credential\":\"sk-3\"}]]");
	/* Nor to a proxy, nor behind another authority. */
	refused(&f,
	    "[[\"patch\",\"provider\",\"sim\",{\"proxy_url\":"
	    "\"http://evil.example\"}]]",
	    ERR_INVALID, "/spec/credential", "must be given again");
	refused(&f,
	    "[[\"patch\",\"provider\",\"sim\",{\"dialect\":\"mistral\"}]]",
	    ERR_INVALID, "/spec/credential", "must be given again");
	close_fixture(&f);
}
END_TEST

START_TEST(test_client_keys)
{
	struct fixture f;
	struct db *db = NULL;
	struct buf clear;
	struct error e;
	uint64_t uid;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	uid = f.r.v[4].uid;
	refused(&f,
	    "[[\"create\",\"provider\",\"tls\",{\"dialect\":\"openai\","
	    "\"client_cert_pem\":\"" CERT_A "\"}]]",
	    ERR_INVALID, "/spec/client_key", "is required");
	commit(&f, "[[\"patch\",\"provider\",\"sim\",{\"base_url\":"
		   "\"https://127.0.0.1:1\",\"credential\":\"sk-2\","
		   "\"client_cert_pem\":\"" CERT_A "\",\"client_key\":\"" KEY_A
		   "\"}]]");
	ck_assert_int_eq(json_integer_value(json_object_get(
			     f.r.v[0].new_spec, "client_key_version")),
	    3);
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_change "
				    "WHERE new::text LIKE '%PRIVATE%'"),
	    0);
	/* The same again is no change; without the certificate it goes. */
	commit(&f, "[[\"patch\",\"provider\",\"sim\",{\"client_key\":\"" KEY_A
		   "\"}]]");
	ck_assert_uint_eq(f.r.version, 0);
	OK(store_take(f.s, &db, &e));
	buf_init(&clear, 1000);
	OK(credential_get(
	    db, f.vault, uid, CREDENTIAL_CLIENT_KEY, 3, &clear, &e));
	ck_assert_msg(
	    str_starts(buf_str(&clear), STR("-----BEGIN PRIVATE")), "key");
	/* One secret does not open as the other. */
	ck_assert_int_eq(
	    credential_get(db, f.vault, uid, CREDENTIAL_MAIN, 3, &clear, &e),
	    ERR_CORRUPT);
	buf_release(&clear);
	store_give(db);
	commit(&f, "[[\"patch\",\"provider\",\"sim\","
		   "{\"client_cert_pem\":null}]]");
	ck_assert_ptr_null(
	    json_object_get(f.r.v[0].new_spec, "client_key_version"));
	close_fixture(&f);
}
END_TEST

static int
rollback(struct fixture *f, uint64_t to)
{
	struct db *db = NULL;
	struct error e = {.code = 0};
	int rc;

	config_result_release(&f->r);
	OK(store_take(f->s, &db, &e));
	OK(db_begin(db, &e));
	rc = config_rollback(db, to, STR("test"), STR("back"), &f->r, &e);
	if (rc == 0)
		OK(db_commit(db, &e));
	store_give(db);
	return rc;
}

START_TEST(test_rollback)
{
	int64_t uid, key_uid;
	char digest[256], again[256];
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	uid = number(&f, "SELECT uid FROM config_item WHERE name = 'acme.m'");
	key_uid =
	    number(&f, "SELECT uid FROM config_item WHERE name='acme.a.b.k'");
	stored_text(&f, "acme.a.b.k", "digest", digest);
	commit(&f, "[[\"patch\",\"budget\",\"acme.m\",{\"limit_usd\":\"7\"}]]");
	commit(&f, "[[\"delete\",\"budget\",\"acme.m\",null],"
		   "[\"delete\",\"limit\",\"acme.l\",null],"
		   "[\"delete\",\"key\",\"acme.a.b.k\",null]]");
	commit(&f,
	    "[[\"create\",\"key\",\"acme.a.b.k\",{}],"
	    "[\"create\",\"tenant\",\"other\",{}],"
	    "[\"patch\",\"provider\",\"sim\",{\"credential\":\"sk-2\"}]]");
	ck_assert_int_eq(rollback(&f, 1), 0);
	ck_assert_uint_eq(f.r.version, 5);
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_item"), 10);
	ck_assert_int_eq(
	    number(&f, "SELECT uid FROM config_item WHERE name = 'acme.m'"),
	    uid);
	ck_assert_int_eq(
	    number(&f, "SELECT uid FROM config_item WHERE name='acme.a.b.k'"),
	    key_uid);
	stored_text(&f, "acme.a.b.k", "digest", again);
	ck_assert_str_eq(digest, again);
	stored_text(&f, "acme.m", "limit_usd", again);
	ck_assert_str_eq(again, "5.00");
	stored_text(&f, "sim", "credential_version", again);
	ck_assert_str_eq(again, "1");
	ck_assert_int_eq(number(&f, "SELECT rollback_of FROM config_version "
				    "WHERE version = 5"),
	    1);
	/* Nothing left to do, and no such version. */
	ck_assert_int_eq(rollback(&f, 1), 0);
	ck_assert_uint_eq(f.r.version, 0);
	ck_assert_int_eq(rollback(&f, 99), ERR_NOT_FOUND);
	/* And forth again. */
	ck_assert_int_eq(rollback(&f, 4), 0);
	ck_assert_uint_eq(f.r.version, 6);
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_item"), 9);
	close_fixture(&f);
}
END_TEST

START_TEST(test_version_diff)
{
	struct fixture f;
	struct db *db = NULL;
	struct error e;
	json_t *j;
	char *z;

	open_fixture(&f);
	commit(&f, "[[\"create\",\"tenant\",\"a\",{}]]");
	commit(&f, "[[\"patch\",\"tenant\",\"a\",{\"disabled\":true}]]");
	commit(&f, "[[\"patch\",\"tenant\",\"a\",{\"display_name\":\"A\"}],"
		   "[\"create\",\"tenant\",\"b\",{}]]");
	commit(&f, "[[\"delete\",\"tenant\",\"b\",null]]");
	OK(store_take(f.s, &db, &e));
	config_result_release(&f.r);
	OK(config_version_diff(db, 1, 4, &f.r, &e));
	j = config_changes_json(&f.r);
	z = json_dumps(j, JSON_COMPACT);
	ck_assert_str_eq(z,
	    "[{\"op\":\"update\",\"kind\":\"tenant\",\"name\":\"a\","
	    "\"diff\":[{\"path\":\"/display_name\",\"old\":null,"
	    "\"new\":\"A\"},{\"path\":\"/disabled\",\"old\":false,"
	    "\"new\":true}]}]");
	free(z);
	json_decref(j);
	config_result_release(&f.r);
	OK(config_version_diff(db, 3, 0, &f.r, &e));
	ck_assert_uint_eq(f.r.n, 2);
	ck_assert_int_eq(f.r.v[0].op, STORE_OP_DELETE);
	config_result_release(&f.r);
	ck_assert_int_eq(
	    config_version_diff(db, 1, 9, &f.r, &e), ERR_NOT_FOUND);
	store_give(db);
	close_fixture(&f);
}
END_TEST

struct writer {
	struct store *s;
	int n, done;
};

static void *
writer_run(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < 20; i++) {
		char name[32];
		json_t *spec = json_object();
		struct config_change ch = {.op = CONFIG_CREATE,
		    .k = kind_get(KIND_TENANT),
		    .spec = spec,
		    .at = "",
		    .at_name = ""};
		struct config_commit c = {.changes = &ch,
		    .n = 1,
		    .author = STR("w"),
		    .message = STR("m"),
		    .rng = rng_system()};
		struct config_result r;
		struct problems p;
		struct db *db = NULL;
		struct error e;
		int rc;

		(void)snprintf(name, sizeof(name), "t%d-%d", w->n, i);
		ch.name = str_of(name);
		problems_init(&p);
		config_result_init(&r);
		rc = store_take(w->s, &db, &e);
		if (rc == 0)
			rc = db_begin(db, &e);
		if (rc == 0)
			rc = config_commit(db, &c, &r, &p, &e);
		if (rc == 0)
			rc = db_commit(db, &e);
		w->done += rc == 0;
		store_give(db);
		config_result_release(&r);
		problems_release(&p);
		json_decref(spec);
	}
	return NULL;
}

/* Versions are without gaps, one a commit, whoever writes. */
START_TEST(test_writers)
{
	struct fixture f;
	struct writer w[4];
	pthread_t t[4];
	int done = 0;

	open_fixture(&f);
	for (int i = 0; i < 4; i++) {
		w[i] = (struct writer){f.s, i, 0};
		ck_assert_int_eq(
		    pthread_create(&t[i], NULL, writer_run, &w[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		done += w[i].done;
	}
	ck_assert_int_eq(done, 80);
	ck_assert_int_eq(
	    number(&f, "SELECT max(version) FROM config_version"), 80);
	ck_assert_int_eq(number(&f, "SELECT count(*) FROM config_version"), 80);
	close_fixture(&f);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("config");

	if (sodium_init() < 0)
		return 1;
	UNIT_ADD(s, test_commit);
	UNIT_ADD(s, test_references);
	UNIT_ADD(s, test_paths);
	UNIT_ADD(s, test_route_subset);
	UNIT_ADD(s, test_keys);
	UNIT_ADD(s, test_credentials);
	UNIT_ADD(s, test_client_keys);
	UNIT_ADD(s, test_rollback);
	UNIT_ADD(s, test_version_diff);
	UNIT_ADD(s, test_writers);
	return pgtest_run(s);
}
