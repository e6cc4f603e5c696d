/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hostile clients send to the REST server, what must never leave it,
 * and health while the database hangs.
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

static void
percent(const char *z, char *dst)
{
	for (; *z != '\0'; z++) {
		*dst++ = '%';
		hex_encode(z, 1, dst);
		dst += 2;
	}
	*dst = '\0';
}

/* The payload as every path parameter and every query parameter. */
static void
inject_addresses(struct reply *r, const char *enc)
{
	static const char *const params[] = {"prefix", "tenant", "cursor",
	    "project", "key", "request_id", "actor", "target", "from", "to",
	    "month", "group_by", "format", "agent", "limit", "message"};
	char path[2000];

	for (size_t i = 0; i < n_rest_routes; i++) {
		const struct rest_route *x = &rest_routes[i];
		const char *open = strchr(x->pattern, '{');
		bool get = strcmp(x->method, "GET") == 0;

		if (open != NULL) {
			(void)snprintf(path, sizeof(path), "%.*s%s%s",
			    (int)(open - x->pattern), x->pattern, enc,
			    strchr(open, '}') + 1);
			reply_free(r);
			reply_get(&t, ROLE_OWNER, x->method, path, "",
			    get ? NULL : "{}", r);
			ck_assert_msg(r->status >= 400 && r->status < 500,
			    "%s %s: %d", x->method, path, r->status);
			continue;
		}
		for (size_t k = 0; get && k < 16; k++) {
			if (!router_has_param(x, str_of(params[k])))
				continue;
			(void)snprintf(path, sizeof(path), "%s?%s=%s",
			    x->pattern, params[k], enc);
			reply_free(r);
			reply_get(&t, ROLE_OWNER, "GET", path, "", NULL, r);
			ck_assert_msg(r->status >= 200 && r->status < 500,
			    "%s: %d %s", path, r->status, r->body);
		}
	}
}

/* As name, as reference, as text, as credential. */
static void
inject_bodies(struct reply *r, const char *payload)
{
	json_t *body;
	char *z, token[200];

	body = json_pack(
	    "{s:[{s:s, s:s}]}", "items", "kind", "tenant", "name", payload);
	z = json_dumps(body, 0);
	expect(r, "POST", "/v1/apply", z, 400);
	free(z);
	json_decref(body);
	body = json_pack(
	    "{s:s, s:[s]}", "display_name", payload, "routes", payload);
	z = json_dumps(body, 0);
	expect(r, "PATCH", "/v1/tenants/acme", z, 400);
	free(z);
	(void)json_object_del(body, "routes");
	z = json_dumps(body, 0);
	expect(r, "PATCH", "/v1/tenants/acme", z, 200);
	ck_assert_str_eq(text(r, "display_name"), payload);
	free(z);
	json_decref(body);
	reply_free(r);
	reply_as(&t, payload, "GET", "/v1/whoami", "", NULL, r);
	ck_assert_int_eq(r->status, 401);
	(void)snprintf(token, sizeof(token), "hga-%s%s", payload,
	    "0123456789012345678901234567890123456789");
	reply_free(r);
	reply_as(&t, token, "GET", "/v1/whoami", "", NULL, r);
	ck_assert_int_eq(r->status, 401);
}

/* SQL and wildcards in every place that reaches a statement: no delay, no
 * 5xx, nothing gone. */
START_TEST(test_injection)
{
	static const char *const payloads[] = {
	    "' OR (SELECT pg_sleep(8)) IS NOT NULL --",
	    "'; DROP TABLE config_item; --", "%", "_", "\\", "$1", "a'||'b",
	    "\"; SELECT 1; --", "{}", "\xc3\xa4"};
	int64_t t0 = clock_mono(clock_system());
	struct reply r;
	char enc[500];

	start(&r);
	seed(&r);
	for (size_t p = 0; p < sizeof(payloads) / sizeof(payloads[0]); p++) {
		percent(payloads[p], enc);
		inject_addresses(&r, enc);
		inject_bodies(&r, payloads[p]);
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
	Suite *s = suite_create("rest_hostile");

	if (sodium_init() < 0)
		return 1;
	log_init("test", LOG_ERROR, LOG_TEXT);
	UNIT_ADD(s, test_canaries);
	UNIT_ADD(s, test_bodies);
	UNIT_ADD(s, test_smuggling);
	UNIT_ADD(s, test_injection);
	UNIT_ADD(s, test_health);
	return pgtest_run(s);
}
