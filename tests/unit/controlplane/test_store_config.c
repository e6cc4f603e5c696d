/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items, versions, history and credentials; migrations.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/store/migrate.h"
#include "controlplane/store/store_config.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/support/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

static uint64_t
commit(struct store *s, struct store_change *c, size_t n)
{
	struct db *db = NULL;
	uint64_t before, v = 0;
	struct error e;

	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(store_config_lock(db, &before, &e));
	for (size_t i = 0; i < n; i++)
		if (c[i].op == STORE_OP_CREATE && c[i].uid == 0)
			OK(store_config_new_uid(db, &c[i].uid, &e));
	OK(store_config_commit(db, c, n, STR("me"), STR("why"), 0, &v, &e));
	OK(db_commit(db, &e));
	store_give(db);
	ck_assert_uint_eq(v, before + 1);
	return v;
}

struct seen {
	char text[512];
	int64_t created, updated;
};

static int
on_item(void *ctx, const struct store_item *it)
{
	struct seen *s = ctx;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "%d:%.*s=%.*s@%d ", it->kind,
	    STR_ARG(it->name), STR_ARG(it->spec), (int)it->version);
	s->created = it->created_at;
	s->updated = it->updated_at;
	return 0;
}

static const char *
at(struct store *s, uint64_t version)
{
	static struct seen seen;
	struct db *db = NULL;
	struct error e;
	uint64_t v;

	seen = (struct seen){.text = ""};
	OK(store_take(s, &db, &e));
	if (version == 0)
		OK(store_config_snapshot(db, 0, &v, on_item, &seen, &e));
	else
		OK(store_config_at(db, version, on_item, &seen, &e));
	store_give(db);
	return seen.text;
}

START_TEST(test_versions)
{
	struct store *s = pgtest_open();
	struct store_change a = {STORE_OP_CREATE, 1, 0, STR("acme"), STR_NULL,
	    STR("{\"b\":1, \"a\":2}")};
	struct store_change b = {
	    STORE_OP_CREATE, 8, 0, STR("gpt"), STR_NULL, STR("{}")};
	struct store_change both[2];
	struct seen seen = {.text = ""};
	struct db *db = NULL;
	struct error e;
	uint64_t uid;

	ck_assert_str_eq(at(s, 0), "");
	both[0] = b;
	both[1] = a;
	ck_assert_uint_eq(commit(s, both, 2), 1);
	a = both[1];
	b = both[0];
	uid = a.uid;
	ck_assert_str_eq(at(s, 0), "1:acme={\"b\":1, \"a\":2}@1 8:gpt={}@1 ");
	a = (struct store_change){STORE_OP_UPDATE, 1, uid, STR("acme"),
	    STR("{\"b\":1, \"a\":2}"), STR("{\"a\":3}")};
	commit(s, &a, 1);
	/* the same name again in one commit gets another uid */
	both[0] = (struct store_change){
	    STORE_OP_CREATE, 8, 0, STR("gpt"), STR_NULL, STR("{\"n\":2}")};
	both[1] = (struct store_change){
	    STORE_OP_DELETE, 8, b.uid, STR("gpt"), STR("{}"), STR_NULL};
	commit(s, both, 2);
	a.op = STORE_OP_DELETE;
	a.old_spec = a.new_spec;
	a.new_spec = STR_NULL;
	commit(s, &a, 1);
	ck_assert_str_eq(at(s, 0), "8:gpt={\"n\":2}@3 ");
	ck_assert_str_eq(at(s, 1), "1:acme={\"b\":1, \"a\":2}@1 8:gpt={}@1 ");
	ck_assert_str_eq(at(s, 2), "1:acme={\"a\":3}@2 8:gpt={}@1 ");
	ck_assert_str_eq(at(s, 4), "8:gpt={\"n\":2}@3 ");
	/* brought back under its old uid; keeps its first creation */
	a.op = STORE_OP_CREATE;
	a.new_spec = STR("{\"a\":3}");
	a.old_spec = STR_NULL;
	ck_assert_uint_eq(commit(s, &a, 1), 5);
	OK(store_take(s, &db, &e));
	OK(store_config_get(db, 1, STR("acme"), on_item, &seen, &e));
	ck_assert_int_lt(seen.created, seen.updated);
	ck_assert_int_eq(store_config_get(db, 1, STR("no"), on_item, &seen, &e),
	    ERR_NOT_FOUND);
	ck_assert_str_eq(e.text, "no does not exist");
	seen.text[0] = '\0';
	OK(store_config_spec_at(db, uid, 2, on_item, &seen, &e));
	ck_assert_str_eq(seen.text, "1:acme={\"a\":3}@2 ");
	ck_assert_int_eq(store_config_spec_at(db, uid, 4, on_item, &seen, &e),
	    ERR_NOT_FOUND);
	store_give(db);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM config_change"), 7);
	pgtest_close(s);
}
END_TEST

START_TEST(test_refused)
{
	struct store *s = pgtest_open();
	struct store_change a = {
	    STORE_OP_CREATE, 1, 0, STR("acme"), STR_NULL, STR("{}")};
	struct db *db = NULL;
	struct error e;
	uint64_t v;

	commit(s, &a, 1);
	OK(store_take(s, &db, &e));
	/* twice the same name */
	OK(db_begin(db, &e));
	OK(store_config_lock(db, &v, &e));
	a.uid = 77;
	ck_assert_int_eq(
	    store_config_commit(db, &a, 1, STR("x"), STR(""), 0, &v, &e),
	    ERR_EXISTS);
	ck_assert_str_eq(e.text, "acme exists already");
	db_rollback(db);
	/* what does not exist */
	OK(db_begin(db, &e));
	a.op = STORE_OP_DELETE;
	a.old_spec = STR("{}");
	ck_assert_int_eq(
	    store_config_commit(db, &a, 1, STR("x"), STR(""), 0, &v, &e),
	    ERR_CONFLICT);
	db_rollback(db);
	OK(store_config_version(db, &v, &e));
	ck_assert_uint_eq(v, 1);
	store_give(db);
	pgtest_close(s);
}
END_TEST

START_TEST(test_list)
{
	static const char *const names[] = {"acme", "acme-2", "acme-2.x",
	    "acme.a", "acme.b", "acme.b.c", "acmeter", "b"};
	struct store *s = pgtest_open();
	struct store_change c[8];
	struct store_item_filter f = {.kind = 9, .limit = 100};
	struct seen seen = {.text = ""};
	struct db *db = NULL;
	struct error e;

	for (int i = 0; i < 8; i++)
		c[i] = (struct store_change){STORE_OP_CREATE, 9, 0,
		    str_of(names[i]), STR_NULL, STR("{}")};
	commit(s, c, 8);
	OK(store_take(s, &db, &e));
	f.tenant = STR("acme");
	OK(store_config_list(db, &f, on_item, &seen, &e));
	ck_assert_str_eq(seen.text,
	    "9:acme={}@1 9:acme.a={}@1 9:acme.b={}@1 9:acme.b.c={}@1 ");
	seen.text[0] = '\0';
	f.after = STR("acme.a");
	f.limit = 1;
	OK(store_config_list(db, &f, on_item, &seen, &e));
	ck_assert_str_eq(seen.text, "9:acme.b={}@1 ");
	seen.text[0] = '\0';
	f = (struct store_item_filter){
	    .kind = 9, .limit = 9, .prefix = STR("acme-")};
	OK(store_config_list(db, &f, on_item, &seen, &e));
	ck_assert_str_eq(seen.text, "9:acme-2={}@1 9:acme-2.x={}@1 ");
	store_give(db);
	pgtest_close(s);
}
END_TEST

static void *
commit_many(void *arg)
{
	for (int i = 0; i < 25; i++) {
		char name[64];
		struct store_change c = {
		    STORE_OP_CREATE, 1, 0, STR_NULL, STR_NULL, STR("{}")};

		snprintf(name, sizeof(name), "t%lx-%d",
		    (unsigned long)pthread_self(), i);
		c.name = str_of(name);
		commit(arg, &c, 1);
	}
	return NULL;
}

START_TEST(test_concurrent)
{
	struct store *s = pgtest_open();
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, commit_many, s);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM config_version v WHERE "
			     "version = 1 OR EXISTS (SELECT 1 FROM "
			     "config_version p WHERE p.version = v.version - "
			     "1 AND p.at <= v.at)"),
	    100);
	pgtest_close(s);
}
END_TEST

START_TEST(test_secrets)
{
	struct store *s = pgtest_open();
	struct db *db = NULL;
	struct error e;
	uint64_t v;
	char got[8];
	size_t n;

	OK(store_take(s, &db, &e));
	OK(store_secret_put(db, 7, "abc", 3, &v, &e));
	ck_assert_uint_eq(v, 1);
	OK(store_secret_put(db, 7, "de", 2, &v, &e));
	ck_assert_uint_eq(v, 2);
	OK(store_secret_put(db, 8, "f", 1, &v, &e));
	ck_assert_uint_eq(v, 1);
	OK(store_secret_get(db, 7, 1, got, sizeof(got), &n, &e));
	ck_assert_mem_eq(got, "abc", 3);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(
	    store_secret_get(db, 7, 3, got, 8, &n, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    store_secret_get(db, 7, 1, got, 2, &n, &e), ERR_TOO_LARGE);
	store_give(db);
	pgtest_close(s);
}
END_TEST

struct migrator {
	const char *conninfo;
	const struct migration *m;
	size_t n;
	int rc, applied;
	struct error e;
};

static void *
migrate_main(void *arg)
{
	struct migrator *m = arg;
	struct store_options o = {.conninfo = m->conninfo};
	struct store *s = NULL;

	m->rc = store_open(&o, &s, &m->e);
	if (m->rc == 0)
		m->rc = migrate_run(s, m->m, m->n, &m->applied, &m->e);
	store_close(s);
	return NULL;
}

START_TEST(test_migrate)
{
	struct migration m[3] = {
	    {1, "one", "CREATE TABLE one (a int)", 24},
	    {2, "two", "CREATE TABLE two (a int); SELECT pg_sleep(0.05)", 47},
	    {3, "bad", "CREATE TABLE three (a int); SELECT no", 37},
	};
	struct store *s = pgtest_open();
	struct migrator two[2];
	pthread_t t[2];
	struct error e;
	int applied, version;

	pgtest_sql(s, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
	OK(migrate_version(s, &version, &e));
	ck_assert_int_eq(version, 0);
	/* two control planes at once */
	for (int i = 0; i < 2; i++) {
		two[i] = (struct migrator){
		    .conninfo = pgtest_conninfo(), .m = m, .n = 2};
		pthread_create(&t[i], NULL, migrate_main, &two[i]);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		ck_assert_msg(two[i].rc == 0, "%s", two[i].e.text);
	}
	ck_assert_int_eq(two[0].applied + two[1].applied, 2);
	/* a bad one leaves nothing behind */
	ck_assert_int_ne(migrate_run(s, m, 3, &applied, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "migration 0003_bad"));
	OK(migrate_version(s, &version, &e));
	ck_assert_int_eq(version, 2);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM pg_class WHERE relname = "
			     "'three'"),
	    0);
	/* changed, and unknown */
	m[1].sql = "CREATE TABLE two (b int); SELECT pg_sleep(0.05)";
	ck_assert_int_eq(migrate_run(s, m, 2, &applied, &e), ERR_VERSION);
	ck_assert_ptr_nonnull(strstr(e.text, "0002_two"));
	ck_assert_int_eq(migrate_run(s, m, 1, &applied, &e), ERR_VERSION);
	ck_assert_ptr_nonnull(strstr(e.text, "newer"));
	pgtest_close(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("store_config");

	UNIT_ADD(s, test_versions);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_list);
	UNIT_ADD(s, test_concurrent);
	UNIT_ADD(s, test_secrets);
	UNIT_ADD(s, test_migrate);
	return s;
}

int
main(void)
{
	return pgtest_run(suite());
}
