/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST server in this process, over sockets, on a real PostgreSQL:
 * conventions (ETag, cursors, idempotency, problems), roles, tokens, audit.
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

#define CANARY	      RESTTEST_CREDENTIAL
#define KEY	      RESTTEST_KEY
#define text(r, name) reply_text(r, name)
#define seed(r)	      resttest_seed(&t, r)
#define start(r)      resttest_start(&t, r)
#define finish(r)     resttest_finish(&t, r)
#define expect(r, method, path, body, status) \
	reply_expect(&t, r, method, path, body, status)

static struct resttest t;

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
	    {"models", "gpt-4o:mini@x",
		"\"context_tokens\":1000,\"prices\":" RESTTEST_PRICES,
		"{\"context_tokens\":2000}"},
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
		    t.tokens[ROLE_OWNER],
		    i == 0   ? ""
		    : i == 1 ? "_" /* never the last of 32 bytes */
			     : "0");
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

/* A token that was revoked here is refused by another replica at once, though
 * that one remembers it. */
START_TEST(test_revoked_elsewhere)
{
	struct rest_options o = {.listen = "127.0.0.1:0"};
	struct resttest other;
	struct rest *second = NULL;
	struct error e;
	int64_t began;
	struct reply r;

	start(&r);
	o.store = t.store;
	o.vault = t.vault;
	ck_assert_int_eq(rest_start(&o, &second, &e), 0);
	other = t;
	other.port = rest_port(second);
	reply_free(&r);
	reply_get(&other, ROLE_FINANCE, "GET", "/v1/whoami", "", NULL, &r);
	ck_assert_int_eq(r.status, 200);
	char path[80];
	(void)snprintf(
	    path, sizeof(path), "/v1/admin-tokens/%s", text(&r, "id"));
	expect(&r, "DELETE", path, NULL, 204);
	began = clock_mono(clock_system());
	do {
		reply_free(&r);
		reply_get(
		    &other, ROLE_FINANCE, "GET", "/v1/whoami", "", NULL, &r);
	} while (r.status == 200);
	ck_assert_int_eq(r.status, 401);
	ck_assert_int_lt(clock_mono(clock_system()) - began, 1500 * NS_PER_MS);
	rest_stop(second);
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
	UNIT_ADD(s, test_revoked_elsewhere);
	UNIT_ADD(s, test_audit);
	return pgtest_run(s);
}
