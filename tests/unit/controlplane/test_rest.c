/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST server in this process, over sockets, on a real PostgreSQL:
 * conventions (ETag, cursors, idempotency, problems), roles, audit, and what
 * hostile clients send.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "controlplane/rest/router.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/controlplane/support/resttest.h"
#include "tests/unit/support/unit.h"

#define CANARY "sk-canary-4f2a9c"
#define KEY    "hg-prefix00-zzqqxxyyvv-012345678901234567890123"

static struct resttest t;

/* Expect a status; the reply stays in r for a look. */
static void
expect(struct reply *r, const char *method, const char *path, const char *body,
    int status)
{
	reply_free(r);
	reply_get(&t, ROLE_OWNER, method, path,
	    body ? "Content-Type: application/json\r\n" : "", body, r);
	ck_assert_msg(r->status == status, "%s %s: %d not %d: %s", method, path,
	    r->status, status, r->body ? r->body : "");
}

static const char *
text(const struct reply *r, const char *name)
{
	const char *z = json_string_value(json_object_get(r->json, name));

	return z ? z : "";
}

static void
seed(struct reply *r)
{
	expect(r, "POST", "/v1/apply",
	    "{\"message\":\"seed\",\"items\":["
	    "{\"kind\":\"tenant\",\"name\":\"acme\"},"
	    "{\"kind\":\"team\",\"name\":\"acme.a\"},"
	    "{\"kind\":\"project\",\"name\":\"acme.a.b\"},"
	    "{\"kind\":\"key\",\"name\":\"acme.a.b.k\",\"spec\":{\"value\":"
	    "\"" KEY "\"}},"
	    "{\"kind\":\"key\",\"name\":\"acme.a.b.k2\"},"
	    "{\"kind\":\"provider\",\"name\":\"sim\",\"spec\":{\"dialect\":"
	    "\"openai\",\"base_url\":\"http://127.0.0.1:9/v1\","
	    "\"credential\":\"" CANARY "\"}},"
	    "{\"kind\":\"model\",\"name\":\"m\",\"spec\":{}},"
	    "{\"kind\":\"deployment\",\"name\":\"d\",\"spec\":{\"model\":"
	    "\"m\",\"provider\":\"sim\",\"upstream_model\":\"m1\"}},"
	    "{\"kind\":\"route\",\"name\":\"r\",\"spec\":{\"targets\":"
	    "[{\"deployment\":\"d\"}]}},"
	    "{\"kind\":\"budget\",\"name\":\"acme.m\",\"spec\":{\"scope\":"
	    "\"acme\",\"limit_usd\":\"5\",\"period\":\"month\"}},"
	    "{\"kind\":\"limit\",\"name\":\"acme.l\",\"spec\":{\"scope\":"
	    "\"acme\"}}]}",
	    200);
}

static void
start(struct reply *r)
{
	memset(r, 0, sizeof(*r));
	resttest_open(&t);
}

static void
finish(struct reply *r)
{
	reply_free(r);
	resttest_close(&t);
}

START_TEST(test_items)
{
	char etag[64], location[300], headers[200];
	struct reply r;

	start(&r);
	expect(&r, "POST", "/v1/tenants",
	    "{\"name\":\"acme\",\"display_name\":\"Acme\"}", 201);
	reply_header(&r, "etag", etag, sizeof(etag));
	reply_header(&r, "location", location, sizeof(location));
	ck_assert_str_eq(etag, "\"1\"");
	ck_assert_str_eq(location, "/v1/tenants/acme");
	ck_assert_str_eq(text(&r, "kind"), "tenant");
	ck_assert_str_eq(text(&r, "display_name"), "Acme");
	expect(&r, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 409);
	ck_assert_str_eq(text(&r, "code"), "already_exists");
	expect(&r, "GET", "/v1/tenants/acme", NULL, 200);
	expect(&r, "HEAD", "/v1/tenants/acme", NULL, 200);
	reply_free(&r);
	reply_get(&t, ROLE_VIEWER, "GET", "/v1/tenants/acme",
	    "If-None-Match: \"1\"\r\n", NULL, &r);
	ck_assert_int_eq(r.status, 304);
	/* What was read can be written. */
	expect(&r, "GET", "/v1/tenants/acme", NULL, 200);
	json_object_set_new(r.json, "disabled", json_true());
	char *body = json_dumps(r.json, 0);
	expect(&r, "PUT", "/v1/tenants/acme?message=switch%20off", body, 200);
	free(body);
	ck_assert(json_is_true(json_object_get(r.json, "disabled")));
	ck_assert_int_eq(
	    json_integer_value(json_object_get(r.json, "version")), 2);
	/* The lost update is refused. */
	(void)snprintf(headers, sizeof(headers), "If-Match: %s\r\n", etag);
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "PATCH", "/v1/tenants/acme", headers,
	    "{\"disabled\":false}", &r);
	ck_assert_int_eq(r.status, 412);
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "PATCH", "/v1/tenants/acme",
	    "If-Match: \"2\"\r\n"
	    "Content-Type: application/merge-patch+json\r\n",
	    "{\"disabled\":false,\"display_name\":null}", &r);
	ck_assert_int_eq(r.status, 200);
	ck_assert_ptr_null(json_object_get(r.json, "display_name"));
	expect(&r, "PUT", "/v1/tenants/acme", "{\"name\":\"other\"}", 400);
	ck_assert_str_eq(text(&r, "field"), "/name");
	expect(&r, "PUT", "/v1/tenants/nope", "{}", 404);
	expect(&r, "GET", "/v1/tenants/nope", NULL, 404);
	expect(&r, "DELETE", "/v1/tenants/acme", NULL, 204);
	expect(&r, "DELETE", "/v1/tenants/acme", NULL, 404);
	expect(&r, "GET", "/v1/versions/2", NULL, 200);
	ck_assert_str_eq(text(&r, "message"), "switch off");
	ck_assert_str_eq(text(&r, "author"), "owner");
	finish(&r);
}
END_TEST

/* Every kind through its own resource, with the examples of the table. */
START_TEST(test_every_kind)
{
	static const struct {
		const char *plural, *name, *create, *patch;
	} rows[] = {{"providers", "sim",
			"\"dialect\":\"openai\",\"base_url\":\"http://h/v1\"",
			"{\"headers\":{\"x-a\":\"b\"}}"},
	    {"models", "gpt-4o:mini@x", "\"context_tokens\":1000",
		"{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\"}]}"},
	    {"deployments", "d",
		"\"model\":\"gpt-4o:mini@x\",\"provider\":\"sim\","
		"\"upstream_model\":\"m\"",
		"{\"region\":\"eu\"}"},
	    {"routes", "gpt-4o", "\"targets\":[{\"deployment\":\"d\"}]",
		"{\"owned_by\":\"me\"}"},
	    {"tenants", "acme", "\"routes\":[\"gpt-4o\"]",
		"{\"disabled\":true}"},
	    {"teams", "acme.a", "\"disabled\":false", "{\"disabled\":true}"},
	    {"projects", "acme.a.b", "\"cost_center\":\"CC\"",
		"{\"cost_center\":\"DD\"}"},
	    {"keys", "acme.a.b.k", "\"expires_at\":\"2030-01-01\"",
		"{\"disabled\":true}"},
	    {"budgets", "acme.m",
		"\"scope\":\"acme.a\",\"limit_usd\":\"1.5\","
		"\"period\":\"week\",\"time_zone\":\"Asia/Tokyo\"",
		"{\"limit_usd\":\"2\"}"},
	    {"limits", "acme.l", "\"scope\":\"acme.a.b.k\"",
		"{\"concurrency\":4}"}};
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	char path[200], body[500];
	struct reply r;

	start(&r);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "/v1/%s", rows[i].plural);
		(void)snprintf(body, sizeof(body), "{\"name\":\"%s\",%s}",
		    rows[i].name, rows[i].create);
		expect(&r, "POST", path, body, 201);
		ck_assert((strcmp(rows[i].plural, "keys") == 0) ==
			  (strncmp(text(&r, "secret"), "hg-", 3) == 0));
		(void)snprintf(path, sizeof(path), "/v1/%s/%s", rows[i].plural,
		    rows[i].name);
		expect(&r, "GET", path, NULL, 200);
		ck_assert_ptr_null(json_object_get(r.json, "secret"));
		expect(&r, "PATCH", path, rows[i].patch, 200);
		char *again = json_dumps(r.json, 0);
		expect(&r, "PUT", path, again, 200);
		free(again);
	}
	expect(&r, "DELETE", "/v1/routes/gpt-4o", NULL, 409);
	ck_assert_str_eq(text(&r, "code"), "conflict");
	for (size_t i = n; i-- > 0;) {
		(void)snprintf(path, sizeof(path), "/v1/%s/%s", rows[i].plural,
		    rows[i].name);
		expect(&r, "DELETE", path, NULL, 204);
	}
	finish(&r);
}
END_TEST

START_TEST(test_pages)
{
	char path[700], cursor[600] = "", last[100] = "";
	struct reply r;
	int n = 0;

	start(&r);
	for (int i = 0; i < 25; i++) {
		(void)snprintf(path, sizeof(path), "{\"name\":\"t%02d\"}", i);
		expect(&r, "POST", "/v1/tenants", path, 201);
	}
	do {
		json_t *item;
		size_t i;

		(void)snprintf(path, sizeof(path), "/v1/tenants?limit=7%s%s",
		    cursor[0] ? "&cursor=" : "", cursor);
		expect(&r, "GET", path, NULL, 200);
		json_array_foreach (json_object_get(r.json, "items"), i, item) {
			const char *name =
			    json_string_value(json_object_get(item, "name"));

			ck_assert_int_lt(strcmp(last, name), 0);
			(void)snprintf(last, sizeof(last), "%s", name);
			n++;
		}
		(void)snprintf(
		    cursor, sizeof(cursor), "%s", text(&r, "next_cursor"));
	} while (cursor[0] != '\0');
	ck_assert_int_eq(n, 25);
	n = 0;
	do {
		(void)snprintf(path, sizeof(path), "/v1/versions?limit=10%s%s",
		    cursor[0] ? "&cursor=" : "", cursor);
		expect(&r, "GET", path, NULL, 200);
		n += (int)json_array_size(json_object_get(r.json, "items"));
		(void)snprintf(
		    cursor, sizeof(cursor), "%s", text(&r, "next_cursor"));
	} while (cursor[0] != '\0');
	ck_assert_int_eq(n, 25);
	expect(&r, "GET", "/v1/tenants?limit=0", NULL, 400);
	expect(&r, "GET", "/v1/tenants?limit=x", NULL, 400);
	expect(&r, "GET", "/v1/tenants?cursor=%21", NULL, 400);
	expect(&r, "GET", "/v1/tenants?cursor=dnh4", NULL, 400);
	expect(&r, "GET", "/v1/tenants?tennant=x", NULL, 400);
	ck_assert_str_eq(text(&r, "field"), "tennant");
	/* Wildcards mean themselves. */
	expect(&r, "GET", "/v1/tenants?prefix=%25", NULL, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(r.json, "items")), 0);
	expect(&r, "GET", "/v1/tenants?prefix=t_", NULL, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(r.json, "items")), 0);
	expect(&r, "GET", "/v1/tenants?prefix=t1", NULL, 200);
	ck_assert_uint_eq(
	    json_array_size(json_object_get(r.json, "items")), 10);
	finish(&r);
}
END_TEST

START_TEST(test_apply)
{
	struct reply r;

	start(&r);
	seed(&r);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(r.json, "version")), 1);
	ck_assert_uint_eq(
	    json_array_size(json_object_get(r.json, "changes")), 11);
	ck_assert_uint_eq(
	    json_array_size(json_object_get(r.json, "created_secrets")), 1);
	seed(&r);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(r.json, "version")), 0);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(r.json, "unchanged")), 11);
	expect(&r, "POST", "/v1/apply",
	    "{\"items\":[{\"kind\":\"tenant\",\"name\":\"x\"},"
	    "{\"kind\":\"budget\",\"name\":\"acme.q\",\"spec\":"
	    "{\"scope\":\"acme\",\"limit_usd\":\"five\",\"period\":"
	    "\"month\"}},{\"kind\":\"route\",\"name\":\"q\",\"spec\":"
	    "{\"targets\":[{\"deployment\":\"zz\"}]}}]}",
	    400);
	json_t *errors = json_object_get(r.json, "errors");
	ck_assert_uint_eq(json_array_size(errors), 2);
	ck_assert_str_eq(json_string_value(json_object_get(
			     json_array_get(errors, 0), "field")),
	    "/items/1/spec/limit_usd");
	ck_assert_str_eq(json_string_value(json_object_get(
			     json_array_get(errors, 1), "field")),
	    "/items/2/spec/targets/0/deployment");
	expect(&r, "POST", "/v1/apply",
	    "{\"items\":[{\"kind\":\"ship\",\"name\":\"x\"},7,"
	    "{\"kind\":\"tenant\"},{\"kind\":\"tenant\",\"name\":\"y\","
	    "\"bogus\":1}]}",
	    400);
	ck_assert_uint_eq(
	    json_array_size(json_object_get(r.json, "errors")), 4);
	expect(&r, "GET", "/v1/tenants/x", NULL, 404);
	/* Dry run with prune: only the tenant and kinds in the set. */
	expect(&r, "POST", "/v1/tenants", "{\"name\":\"other\"}", 201);
	expect(&r, "POST", "/v1/apply",
	    "{\"dry_run\":true,\"prune\":true,\"items\":["
	    "{\"kind\":\"tenant\",\"name\":\"acme\"},"
	    "{\"kind\":\"key\",\"name\":\"acme.a.b.k\"}]}",
	    200);
	json_t *changes = json_object_get(r.json, "changes");
	ck_assert_uint_eq(json_array_size(changes), 1);
	ck_assert_str_eq(json_string_value(json_object_get(
			     json_array_get(changes, 0), "name")),
	    "acme.a.b.k2");
	expect(&r, "GET", "/v1/keys/acme.a.b.k2", NULL, 200);
	expect(&r, "POST", "/v1/apply",
	    "{\"prune\":true,\"items\":["
	    "{\"kind\":\"key\",\"name\":\"acme.a.b.k\"}]}",
	    200);
	expect(&r, "GET", "/v1/keys/acme.a.b.k2", NULL, 404);
	expect(&r, "GET", "/v1/tenants/other", NULL, 200);
	/* Back to the first version, and what it was. */
	expect(&r, "GET", "/v1/versions/3/diff?from=1", NULL, 200);
	ck_assert_uint_eq(
	    json_array_size(json_object_get(r.json, "changes")), 2);
	expect(&r, "POST", "/v1/versions/1/rollback", NULL, 200);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(r.json, "version")), 4);
	expect(&r, "GET", "/v1/keys/acme.a.b.k2", NULL, 200);
	expect(&r, "GET", "/v1/tenants/other", NULL, 404);
	expect(&r, "POST", "/v1/versions/77/rollback", "{}", 404);
	expect(&r, "GET", "/v1/versions/x", NULL, 400);
	finish(&r);
}
END_TEST

START_TEST(test_idempotency)
{
	char first[200], replayed[20];
	const char *body = "{\"name\":\"acme.a.b.new\",\"display_name\":\"x\"}";
	struct reply r;

	start(&r);
	seed(&r);
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/keys",
	    "Idempotency-Key: \"abc-1\"\r\n", body, &r);
	ck_assert_int_eq(r.status, 201);
	(void)snprintf(first, sizeof(first), "%s", text(&r, "secret"));
	ck_assert_int_eq((int)strlen(first), 46);
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/keys",
	    "Idempotency-Key: abc-1\r\n", body, &r);
	ck_assert_int_eq(r.status, 201);
	ck_assert_str_eq(text(&r, "secret"), first);
	reply_header(&r, "idempotent-replayed", replayed, sizeof(replayed));
	ck_assert_str_eq(replayed, "true");
	/* Another request under the same key; another caller's same key. */
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/keys",
	    "Idempotency-Key: abc-1\r\n", "{\"name\":\"acme.a.b.other\"}", &r);
	ck_assert_int_eq(r.status, 409);
	reply_free(&r);
	reply_get(&t, ROLE_OWNER, "POST", "/v1/keys",
	    "Idempotency-Key: abc-1\r\n", body, &r);
	ck_assert_int_eq(r.status, 409);
	ck_assert_str_eq(text(&r, "code"), "already_exists");
	ck_assert_int_eq(
	    pgtest_number(t.store, "SELECT count(*) FROM idempotency WHERE "
				   "position('hg-'::bytea in body) > 0"),
	    0);
	/* A failure is not remembered. */
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/tenants",
	    "Idempotency-Key: f\r\n", "{\"name\":\"BAD\"}", &r);
	ck_assert_int_eq(r.status, 400);
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/tenants",
	    "Idempotency-Key: f\r\n", "{\"name\":\"good\"}", &r);
	ck_assert_int_eq(r.status, 201);
	finish(&r);
}
END_TEST

/* Fill {placeholders} with something harmless. */
static void
concrete(const char *pattern, char *dst, size_t cap)
{
	size_t n = 0;

	for (const char *p = pattern; *p != '\0' && n + 10 < cap; p++) {
		if (*p != '{') {
			dst[n++] = *p;
			continue;
		}
		n += (size_t)snprintf(dst + n, cap - n, "nope");
		p = strchr(p, '}');
	}
	dst[n] = '\0';
}

/* All routes x all roles: 401 without a token, 403 below the least role,
 * anything else above it. */
START_TEST(test_matrix)
{
	struct reply r;
	int64_t before;
	char path[200];

	start(&r);
	seed(&r);
	before =
	    pgtest_number(t.store, "SELECT max(version) FROM config_version");
	for (size_t i = 0; i < n_rest_routes; i++) {
		const struct rest_route *x = &rest_routes[i];
		bool get = strcmp(x->method, "GET") == 0;

		concrete(x->pattern, path, sizeof(path));
		reply_free(&r);
		reply_as(&t, "", x->method, path, "", get ? NULL : "{}", &r);
		ck_assert_msg((r.status == 401) == !(x->flags & RR_PUBLIC),
		    "%s %s: %d", x->method, path, r.status);
		for (int role = ROLE_VIEWER; role <= ROLE_OWNER; role++) {
			bool may =
			    (x->flags & RR_PUBLIC) || role >= (int)x->role;

			reply_free(&r);
			reply_get(&t, (enum admin_role)role, x->method, path,
			    "", get ? NULL : "{}", &r);
			ck_assert_msg((r.status != 403) == may &&
					  r.status >= 200 && r.status < 500,
			    "%s %s as %s: %d %s", x->method, path,
			    admin_role_name((enum admin_role)role), r.status,
			    r.body);
		}
	}
	ck_assert_int_eq(
	    pgtest_number(t.store, "SELECT max(version) FROM config_version"),
	    before);
	ck_assert_int_gt(
	    pgtest_number(t.store, "SELECT count(*) FROM audit WHERE action = "
				   "'refused'"),
	    10);
	finish(&r);
}
END_TEST

START_TEST(test_tokens)
{
	char token[100], id[40], path[100], body[200];
	struct reply r;

	start(&r);
	expect(&r, "POST", "/v1/admin-tokens",
	    "{\"name\":\"ci\",\"role\":\"admin\"}", 201);
	(void)snprintf(token, sizeof(token), "%s", text(&r, "token"));
	(void)snprintf(id, sizeof(id), "%s", text(&r, "id"));
	ck_assert(strncmp(token, "hga-", 4) == 0);
	reply_free(&r);
	reply_as(&t, token, "GET", "/v1/whoami", "", NULL, &r);
	ck_assert_int_eq(r.status, 200);
	ck_assert_str_eq(text(&r, "role"), "admin");
	expect(&r, "GET", "/v1/admin-tokens", NULL, 200);
	ck_assert_ptr_null(strstr(r.body, token));
	/* Nobody lifts himself: an admin cannot reach the tokens at all. */
	reply_free(&r);
	reply_as(&t, token, "POST", "/v1/admin-tokens", "",
	    "{\"name\":\"x\",\"role\":\"owner\"}", &r);
	ck_assert_int_eq(r.status, 403);
	/* Revoked is revoked, at once. */
	(void)snprintf(path, sizeof(path), "/v1/admin-tokens/%s", id);
	expect(&r, "DELETE", path, NULL, 204);
	reply_free(&r);
	reply_as(&t, token, "GET", "/v1/whoami", "", NULL, &r);
	ck_assert_int_eq(r.status, 401);
	/* The last owner stays. */
	expect(&r, "DELETE", "/v1/admin-tokens/owner", NULL, 409);
	expect(&r, "POST", "/v1/admin-tokens",
	    "{\"name\":\"x\",\"role\":\"root\"}", 400);
	expect(&r, "POST", "/v1/admin-tokens",
	    "{\"name\":\"x\",\"role\":\"viewer\",\"expires_at\":"
	    "\"2020-01-01\"}",
	    400);
	expect(&r, "POST", "/v1/admin-tokens",
	    "{\"name\":\"123\",\"role\":\"viewer\"}", 400);
	expect(&r, "POST", "/v1/admin-tokens",
	    "{\"name\":\"x\",\"role\":\"viewer\",\"id\":\"1\"}", 400);
	/* One character off, cut, longer: all the same answer. */
	for (int i = 0; i < 3; i++) {
		(void)snprintf(body, sizeof(body), "%.*s%s",
		    (int)strlen(t.tokens[ROLE_OWNER]) - (i < 2),
		    t.tokens[ROLE_OWNER], i == 0 ? "" : "0");
		reply_free(&r);
		reply_as(&t, body, "GET", "/v1/whoami", "", NULL, &r);
		ck_assert_int_eq(r.status, 401);
	}
	finish(&r);
}
END_TEST

START_TEST(test_audit)
{
	json_t *entry;
	struct reply r;

	start(&r);
	seed(&r);
	expect(&r, "PATCH", "/v1/providers/sim",
	    "{\"credential\":\"" CANARY "2\"}", 200);
	expect(&r, "GET", "/v1/audit?limit=1", NULL, 200);
	entry = json_array_get(json_object_get(r.json, "items"), 0);
	ck_assert_str_eq(
	    json_string_value(json_object_get(entry, "actor")), "owner");
	ck_assert_str_eq(json_string_value(json_object_get(entry, "target")),
	    "providers/sim");
	ck_assert_int_eq(
	    json_integer_value(json_object_get(entry, "version")), 2);
	ck_assert_ptr_nonnull(strstr(r.body, "credential_version"));
	ck_assert_ptr_null(strstr(r.body, "canary"));
	ck_assert_str_ne(text(&r, "next_cursor"), "");
	expect(&r, "GET", "/v1/audit?actor=nobody", NULL, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(r.json, "items")), 0);
	finish(&r);
}
END_TEST

/* Seeded secrets are in no answer but the one that makes them. */
START_TEST(test_canaries)
{
	struct reply r;
	char path[200];

	start(&r);
	seed(&r);
	ck_assert_ptr_null(strstr(r.body, CANARY));
	ck_assert_ptr_null(strstr(r.body, KEY));
	expect(&r, "PATCH", "/v1/providers/sim",
	    "{\"credential\":\"" CANARY "2\",\"dialect\":7}", 400);
	ck_assert_ptr_null(strstr(r.body, "canary"));
	expect(&r, "PATCH", "/v1/keys/acme.a.b.k2", "{\"value\":\"" KEY "\"}",
	    409);
	ck_assert_ptr_null(strstr(r.body, "zzqqxxyyvv"));
	expect(&r, "PATCH", "/v1/keys/acme.a.b.k2",
	    "{\"value\":\"" KEY "\\u0007\"}", 400);
	ck_assert_ptr_null(strstr(r.body, "zzqqxxyyvv"));
	for (size_t i = 0; i < n_rest_routes; i++) {
		const struct rest_route *x = &rest_routes[i];
		static const char *const names[] = {
		    "sim", "acme.a.b.k", "1", "2"};

		if (strcmp(x->method, "GET") != 0)
			continue;
		for (size_t k = 0; k < 4; k++) {
			const char *open = strchr(x->pattern, '{');

			(void)snprintf(path, sizeof(path), "%.*s%s%s",
			    open ? (int)(open - x->pattern)
				 : (int)strlen(x->pattern),
			    x->pattern, open ? names[k] : "",
			    open ? strchr(open, '}') + 1 : "");
			reply_free(&r);
			reply_get(&t, ROLE_OWNER, "GET", path, "", NULL, &r);
			ck_assert_int_ne(r.status, 0);
			ck_assert_msg(
			    strstr(r.body, "sk-canary") == NULL &&
				strstr(r.body, "zzqqxxyyvv") == NULL &&
				strstr(r.body, "digest\"") == NULL,
			    "%s: %.2000s", path, r.body);
		}
	}
	finish(&r);
}
END_TEST

static char *
repeat(const char *a, size_t n, const char *b)
{
	struct buf o;

	buf_init(&o, (size_t)64 << 20);
	for (size_t i = 0; i < n; i++)
		(void)buf_addz(&o, a);
	(void)buf_addz(&o, b);
	return buf_take(&o, &n);
}

START_TEST(test_bodies)
{
	static const char *const bad[] = {"", " ", "{", "[]", "null", "7",
	    "{\"name\":\"a\",\"name\":\"b\"}",
	    "{\"name\":\"a\",\"na\\u006de\":\"b\"}", "{\"name\":\"a\"}x",
	    "{\"name\":\"a\",}", "{'name':'a'}", "{\"name\":\"\\ud800\"}",
	    "{\"name\":\"a\xff\"}", "{\"name\":\"a\\u0000\"}",
	    "{\"name\":\"a\",\"disabled\":1e999}",
	    "{\"name\":\"a\",\"disabled\":99999999999999999999}",
	    "{\"name\":7}", "{\"name\":\"a\nb\"}", "{\"name\":null}",
	    "{\"name\":\"../etc\"}", "{\"name\":\"\"}"};
	char *deep, *big;
	struct reply r;

	start(&r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect(&r, "POST", "/v1/tenants", bad[i], 400);
	deep = repeat("{\"a\":", 1000, "1");
	expect(&r, "POST", "/v1/tenants", deep, 413);
	free(deep);
	deep = repeat("[", 100000, "");
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/tenants", "", deep, &r);
	ck_assert_msg(r.status == 400 || r.status == 413, "%d", r.status);
	free(deep);
	/* 8 MiB is the limit; nothing of more is even read. */
	big = repeat("x", (size_t)9 << 20, "");
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/tenants", "", big, &r);
	ck_assert_msg(r.status == 413 || r.status == 0, "%d", r.status);
	free(big);
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/tenants",
	    "Content-Type: text/plain\r\n", "{\"name\":\"a\"}", &r);
	ck_assert_int_eq(r.status, 415);
	reply_free(&r);
	reply_get(&t, ROLE_ADMIN, "POST", "/v1/tenants",
	    "Content-Encoding: gzip\r\n", "{\"name\":\"a\"}", &r);
	ck_assert_int_eq(r.status, 400);
	expect(&r, "GET", "/v1/tenants", NULL, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(r.json, "items")), 0);
	finish(&r);
}
END_TEST

static void
raw(struct reply *r, const char *fmt, const char *token)
{
	struct buf b;

	reply_free(r);
	buf_init(&b, (size_t)16 << 20);
	for (const char *p = fmt; *p != '\0'; p++) {
		if (*p == '$')
			(void)buf_addz(&b, token);
		else
			(void)buf_addc(&b, *p);
	}
	reply_raw(t.port, b.data, b.len, r);
	buf_release(&b);
}

/* Requests that front ends and servers read differently are refused, and the
 * connection closed, so that nothing can be smuggled behind them. */
START_TEST(test_smuggling)
{
#define AUTH "Authorization: Bearer $\r\n"
#define HOST "Host: x\r\n"
	static const char *const bad[] = {
	    "POST /v1/tenants HTTP/1.1\r\n" HOST AUTH
	    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "0\r\n\r\nDELETE /v1/tenants/acme HTTP/1.1\r\n" HOST AUTH "\r\n",
	    "POST /v1/tenants HTTP/1.1\r\n" HOST AUTH
	    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"
	    "\r\n0\r\n\r\n",
	    "POST /v1/tenants HTTP/1.1\r\n" HOST AUTH
	    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	    "POST /v1/tenants HTTP/1.1\r\n" HOST AUTH
	    "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
	    "POST /v1/tenants HTTP/1.1\r\n" HOST AUTH
	    "Content-Length: +2\r\n\r\n{}",
	    "POST /v1/tenants HTTP/1.1\r\n" HOST AUTH
	    "Content-Length: 2, 2\r\n\r\n{}",
	    "GET /v1/tenants HTTP/1.1\r\n" HOST "Host: y\r\n" AUTH "\r\n",
	    "GET /v1/tenants HTTP/1.1\r\nHost: x/?\r\n" AUTH "\r\n",
	    "GET /v1/tenants HTTP/1.1\r\n" AUTH "\r\n",
	    "GET /v1/tenants HTTP/1.1\r\n" HOST AUTH AUTH "\r\n",
	    "GET http://x/v1/tenants HTTP/1.1\r\n" HOST AUTH "\r\n",
	    "GET /v1/tenants HTTP/3.7\r\n" HOST AUTH "\r\n",
	    "GET /v1/ten ants HTTP/1.1\r\n" HOST AUTH "\r\n",
	    "\r\n\r\nX\r\n\r\n"};
	struct reply r;

	start(&r);
	seed(&r);
	expect(&r, "POST", "/v1/tenants", "{\"name\":\"victim\"}", 201);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		raw(&r, bad[i], t.tokens[ROLE_OWNER]);
		ck_assert_msg(
		    r.status == 0 || (r.status >= 400 && r.status < 600),
		    "%zu: %d", i, r.status);
		ck_assert_msg(r.status != 200, "%zu", i);
	}
	/* A body behind a refusal is not a second request. */
	raw(&r,
	    "POST /v1/nope HTTP/1.1\r\n" HOST AUTH "Content-Length: 80\r\n\r\n"
	    "DELETE /v1/tenants/victim HTTP/1.1\r\n" HOST AUTH "\r\n",
	    t.tokens[ROLE_OWNER]);
	ck_assert_int_eq(r.status, 404);
	expect(&r, "GET", "/v1/tenants/victim", NULL, 200);
	expect(&r, "GET", "/v1/tenants/acme", NULL, 200);
	finish(&r);
}
END_TEST

/* SQL and wildcards in every place that reaches a statement: no delay, no
 * 5xx, nothing gone. */
START_TEST(test_injection)
{
	static const char *const payloads[] = {
	    "' OR (SELECT pg_sleep(8)) IS NOT NULL --",
	    "'; DROP TABLE config_item; --", "%", "_", "\\", "$1", "a'||'b",
	    "\"; SELECT 1; --", "{}", "\xc3\xa4"};
	static const char *const params[] = {"prefix", "tenant", "cursor",
	    "project", "key", "request_id", "actor", "target", "from", "to",
	    "month", "group_by", "format", "agent", "limit", "message"};
	int64_t t0 = clock_mono(clock_system());
	char path[2000], enc[500], hex[4];
	struct reply r;

	start(&r);
	seed(&r);
	for (size_t p = 0; p < sizeof(payloads) / sizeof(payloads[0]); p++) {
		size_t n = 0;
		json_t *body;
		char *z;

		for (const char *c = payloads[p]; *c != '\0'; c++) {
			(void)snprintf(hex, sizeof(hex), "%%%02X",
			    (unsigned)(unsigned char)*c);
			memcpy(enc + n, hex, 3);
			n += 3;
		}
		enc[n] = '\0';
		for (size_t i = 0; i < n_rest_routes; i++) {
			const struct rest_route *x = &rest_routes[i];
			const char *open = strchr(x->pattern, '{');
			bool get = strcmp(x->method, "GET") == 0;

			if (open != NULL) {
				(void)snprintf(path, sizeof(path), "%.*s%s%s",
				    (int)(open - x->pattern), x->pattern, enc,
				    strchr(open, '}') + 1);
				reply_free(&r);
				reply_get(&t, ROLE_OWNER, x->method, path, "",
				    get ? NULL : "{}", &r);
				ck_assert_msg(r.status >= 400 && r.status < 500,
				    "%s %s: %d", x->method, path, r.status);
			}
			for (size_t k = 0; get && open == NULL && k < 16; k++) {
				if (!router_has_param(x, str_of(params[k])))
					continue;
				(void)snprintf(path, sizeof(path), "%s?%s=%s",
				    x->pattern, params[k], enc);
				reply_free(&r);
				reply_get(
				    &t, ROLE_OWNER, "GET", path, "", NULL, &r);
				ck_assert_msg(r.status >= 200 && r.status < 500,
				    "%s: %d %s", path, r.status, r.body);
			}
		}
		/* As name, as text, as reference. */
		body = json_pack("{s:[{s:s, s:s}]}", "items", "kind", "tenant",
		    "name", payloads[p]);
		z = json_dumps(body, 0);
		expect(&r, "POST", "/v1/apply", z, 400);
		free(z);
		json_decref(body);
		body = json_pack("{s:s, s:s}", "display_name", payloads[p],
		    "routes", payloads[p]);
		json_object_set_new(
		    body, "routes", json_pack("[s]", payloads[p]));
		z = json_dumps(body, 0);
		expect(&r, "PATCH", "/v1/tenants/acme", z, 400);
		free(z);
		(void)json_object_del(body, "routes");
		z = json_dumps(body, 0);
		expect(&r, "PATCH", "/v1/tenants/acme", z, 200);
		ck_assert_str_eq(text(&r, "display_name"), payloads[p]);
		free(z);
		json_decref(body);
		reply_free(&r);
		reply_as(&t, payloads[p], "GET", "/v1/whoami", "", NULL, &r);
		ck_assert_int_eq(r.status, 401);
		(void)snprintf(path, sizeof(path), "hga-%s%s", payloads[p],
		    "0123456789012345678901234567890123456789");
		reply_free(&r);
		reply_as(&t, path, "GET", "/v1/whoami", "", NULL, &r);
		ck_assert_int_eq(r.status, 401);
	}
	ck_assert_int_gt(
	    pgtest_number(t.store, "SELECT count(*) FROM config_item"), 5);
	ck_assert_int_lt(clock_mono(clock_system()) - t0, 60 * NS_PER_S);
	finish(&r);
}
END_TEST

struct hanger {
	struct resttest *t;
	int status;
};

static void *
hanger_run(void *arg)
{
	struct hanger *h = arg;
	struct reply r;

	reply_get(h->t, ROLE_VIEWER, "GET", "/v1/tenants", "", NULL, &r);
	h->status = r.status;
	reply_free(&r);
	return NULL;
}

static int64_t
livez_ms(void)
{
	int64_t t0 = clock_mono(clock_system());
	struct reply r;

	reply_as(&t, "", "GET", "/livez", "", NULL, &r);
	ck_assert_int_eq(r.status, 200);
	reply_free(&r);
	return (clock_mono(clock_system()) - t0) / NS_PER_MS;
}

/* Tables locked by somebody else: requests hang, health does not. */
START_TEST(test_health)
{
	static const struct db_stmt lock = {
	    "SELECT 1 FROM (SELECT pg_advisory_xact_lock($1::bigint)) x"};
	struct hanger h[6];
	pthread_t th[6];
	struct db *db = NULL;
	struct error e;
	struct reply r;

	start(&r);
	(void)lock;
	reply_as(&t, "", "GET", "/readyz?verbose", "", NULL, &r);
	ck_assert_int_eq(r.status, 200);
	ck_assert_ptr_nonnull(strstr(r.body, "[+]store ok"));
	expect(&r, "GET", "/v1/whoami", NULL, 200);
	ck_assert_msg(store_take(t.store, &db, &e) == 0, "%s", e.text);
	ck_assert_msg(db_begin(db, &e) == 0, "%s", e.text);
	ck_assert_msg(
	    db_script(db, "LOCK TABLE config_item", &e) == 0, "%s", e.text);
	for (int i = 0; i < 6; i++) {
		h[i] = (struct hanger){&t, 0};
		ck_assert_int_eq(
		    pthread_create(&th[i], NULL, hanger_run, &h[i]), 0);
	}
	for (int i = 0; i < 20; i++)
		ck_assert_int_lt(livez_ms(), 3000);
	db_rollback(db);
	store_give(db);
	for (int i = 0; i < 6; i++) {
		pthread_join(th[i], NULL);
		ck_assert(h[i].status == 200 || h[i].status == 503);
	}
	reply_free(&r);
	reply_as(&t, "", "GET", "/metrics", "", NULL, &r);
	ck_assert_int_eq(r.status, 200);
	ck_assert_ptr_nonnull(
	    strstr(r.body, "headgate_rest_requests_total{operation=\"livez\","
			   "status=\"200\"}"));
	rest_drain(t.rest);
	reply_free(&r);
	reply_as(&t, "", "GET", "/readyz", "", NULL, &r);
	ck_assert_int_eq(r.status, 503);
	reply_free(&r);
	reply_as(&t, "", "GET", "/v1/openapi.json", "", NULL, &r);
	ck_assert_int_eq(r.status, 200);
	ck_assert_ptr_nonnull(r.json);
	finish(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rest");

	if (sodium_init() < 0)
		return 1;
	log_init("test", LOG_ERROR, LOG_TEXT);
	UNIT_ADD(s, test_items);
	UNIT_ADD(s, test_every_kind);
	UNIT_ADD(s, test_pages);
	UNIT_ADD(s, test_apply);
	UNIT_ADD(s, test_idempotency);
	UNIT_ADD(s, test_matrix);
	UNIT_ADD(s, test_tokens);
	UNIT_ADD(s, test_audit);
	UNIT_ADD(s, test_canaries);
	UNIT_ADD(s, test_bodies);
	UNIT_ADD(s, test_smuggling);
	UNIT_ADD(s, test_injection);
	UNIT_ADD(s, test_health);
	return pgtest_run(s);
}
