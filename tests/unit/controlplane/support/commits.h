/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of commits share: a store with a vault, commits written as
 * JSON, a small configuration.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_SUPPORT_COMMITS_H
#define TESTS_UNIT_CONTROLPLANE_SUPPORT_COMMITS_H

#include <string.h>

#include "common/rng.h"
#include "controlplane/config/commit.h"
#include "controlplane/store/vault.h"
#include "tests/unit/controlplane/support/pgtest.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

struct fixture {
	struct store *s;
	struct vault *vault;
	struct config_result r;
	struct problems p;
};

static inline void
open_fixture(struct fixture *f)
{
	static const uint8_t key[32] = {7};

	memset(f, 0, sizeof(*f));
	f->s = pgtest_open();
	f->vault = vault_new(key);
	problems_init(&f->p);
	config_result_init(&f->r);
}

static inline void
close_fixture(struct fixture *f)
{
	config_result_release(&f->r);
	problems_release(&f->p);
	vault_free(f->vault);
	pgtest_close(f->s);
}

/* text: a JSON array of [op, kind, name, spec]. Leaves the result in f->r and
 * f->p. */
static inline int
commit_as(struct fixture *f, const char *text, bool dry_run, uint64_t version)
{
	static const char *const ops[] = {
	    "create", "replace", "put", "patch", "delete"};
	json_t *list = json_loads(text, 0, NULL), *row;
	struct config_change ch[40];
	struct config_commit c = {.changes = ch,
	    .author = STR("test"),
	    .message = STR("message"),
	    .dry_run = dry_run,
	    .vault = f->vault,
	    .rng = rng_system()};
	struct db *db = NULL;
	struct error e = {.code = 0};
	size_t i;
	int rc;

	ck_assert_msg(list != NULL, "bad test: %s", text);
	json_array_foreach (list, i, row) {
		const char *op = json_string_value(json_array_get(row, 0));

		memset(&ch[i], 0, sizeof(ch[i]));
		for (size_t k = 0; k < 5; k++)
			if (strcmp(op, ops[k]) == 0)
				ch[i].op = (enum config_op)k;
		ch[i].k = kind_find(
		    str_of(json_string_value(json_array_get(row, 1))));
		ch[i].name = str_of(json_string_value(json_array_get(row, 2)));
		ch[i].spec = json_array_get(row, 3);
		ch[i].at = "/spec";
		ch[i].at_name = "/name";
		ch[i].if_version = version;
	}
	c.n = i;
	problems_release(&f->p);
	config_result_release(&f->r);
	ck_assert_msg(store_take(f->s, &db, &e) == 0, "%s", e.text);
	OK(db_begin(db, &e));
	rc = config_commit(db, &c, &f->r, &f->p, &e);
	if (rc == 0)
		OK(db_commit(db, &e));
	store_give(db);
	json_decref(list);
	return rc;
}

static inline void
commit(struct fixture *f, const char *text)
{
	int rc = commit_as(f, text, false, 0);

	ck_assert_msg(rc == 0, "%s: %s %s", text, f->p.n ? f->p.v[0].field : "",
	    f->p.n ? f->p.v[0].detail : "");
}

static inline void
refused(struct fixture *f, const char *text, int code, const char *field,
    const char *detail)
{
	int rc = commit_as(f, text, false, 0);

	ck_assert_msg(rc == code, "%s: %d not %d", text, rc, code);
	ck_assert_uint_ge(f->p.n, 1);
	ck_assert_str_eq(f->p.v[0].field, field);
	ck_assert_msg(strstr(f->p.v[0].detail, detail) != NULL, "%s: %s", text,
	    f->p.v[0].detail);
}

/* Certificates with their keys, as they stand in JSON. */
#define CERT_A                                                                \
	"-----BEGIN CERTIFICATE-----\\n"                                      \
	"MIHNMIGAAgEBMAUGAytlcDASMRAwDgYDVQQDDAdnYXRld2F5MCAXDTI2MTEyMjE4\\n" \
	"NTQyOVoYDzIxMjYxMDI5MTg1NDI5WjASMRAwDgYDVQQDDAdnYXRld2F5MCowBQYD\\n" \
	"K2VwAyEA6lZTK7LVuZpjGeUN3Epwba66WHFBZDBeKLyQzjbJwiowBQYDK2VwA0EA\\n" \
	"GDiY9CEsucqFA1eizOyrnhKJ+QBW+EyYt68IW9OgToaRQgupn6Zc9MRdvICch4/L\\n" \
	"8IicltbAxkKOuBvaBJXAAA==\\n"                                         \
	"-----END CERTIFICATE-----\\n"
#define KEY_A                                                                 \
	"-----BEGIN PRIVATE KEY-----\\n"                                      \
	"MC4CAQAwBQYDK2VwBCIEIPQrD2ExJsuzKtkiPjdx02yuc8Wb40/cWaL8+ylJZbJE\\n" \
	"-----END PRIVATE KEY-----\\n"
#define CERT_B                                                                \
	"-----BEGIN CERTIFICATE-----\\n"                                      \
	"MIHNMIGAAgEBMAUGAytlcDASMRAwDgYDVQQDDAdnYXRld2F5MCAXDTI2MTEyMjE4\\n" \
	"NTQyOVoYDzIxMjYxMDI5MTg1NDI5WjASMRAwDgYDVQQDDAdnYXRld2F5MCowBQYD\\n" \
	"K2VwAyEAuZJUre2NsDQoxwn7Nby5nNqq4QFbIIjKkpuqbtx3S/owBQYDK2VwA0EA\\n" \
	"zACCp86NhmW3iqbZ7DNEXZdqqubK7aD+SYWXPnANCcGEgMqPARiZBAZQbWlwoIbC\\n" \
	"RfVx3AIrS4HgA9GrgeHnAA==\\n"                                         \
	"-----END CERTIFICATE-----\\n"
#define KEY_B                                                                 \
	"-----BEGIN PRIVATE KEY-----\\n"                                      \
	"MC4CAQAwBQYDK2VwBCIEIIPT+db43dAdctNxIn3gX7erzQtEipbGbltDsQUNpd+b\\n" \
	"-----END PRIVATE KEY-----\\n"

/* Prices that a chat model needs. */
#define PRICED                                                       \
	"{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\"}," \
	"{\"class\":\"output\",\"usd_per_mtok\":\"2\"}]}"

#define ACME                                                        \
	"[\"create\",\"tenant\",\"acme\",{}],"                      \
	"[\"create\",\"team\",\"acme.a\",{}],"                      \
	"[\"create\",\"project\",\"acme.a.b\",{}],"                 \
	"[\"create\",\"key\",\"acme.a.b.k\",{}],"                   \
	"[\"create\",\"provider\",\"sim\",{\"dialect\":\"openai\"," \
	"\"base_url\":\"http://127.0.0.1:1/v1\","                   \
	"\"credential\":\"sk-canary-one\"}],"                       \
	"[\"create\",\"model\",\"m\"," PRICED "],"                  \
	"[\"create\",\"deployment\",\"d\",{\"model\":\"m\","        \
	"\"provider\":\"sim\",\"upstream_model\":\"m1\"}],"         \
	"[\"create\",\"route\",\"r\",{\"targets\":"                 \
	"[{\"deployment\":\"d\"}]}],"                               \
	"[\"create\",\"budget\",\"acme.m\",{\"scope\":\"acme.a\","  \
	"\"limit_usd\":\"5\",\"period\":\"month\"}],"               \
	"[\"create\",\"limit\",\"acme.l\",{\"scope\":\"acme.a.b.k\"}]"

#endif
