/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of routes against itself and against docs/openapi.json, and the
 * parsing of request heads.
 */
#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "common/io.h"
#include "controlplane/rest/openapi_embedded.h"
#include "controlplane/rest/rest.h"
#include "controlplane/rest/router.h"
#include "tests/unit/support/unit.h"

START_TEST(test_table)
{
	for (size_t i = 0; i < n_rest_routes; i++) {
		const struct rest_route *r = &rest_routes[i];

		ck_assert_ptr_nonnull(r->fn);
		ck_assert(r->pattern[0] == '/');
		/* A route without a rule for who may use it is a mistake. */
		ck_assert(r->role >= ROLE_VIEWER && r->role <= ROLE_OWNER);
		if (strcmp(r->method, "GET") == 0)
			ck_assert(!(r->flags & RR_WRITE));
		else
			ck_assert(r->flags & RR_WRITE && r->role > ROLE_VIEWER);
		if (strncmp(r->pattern, "/v1/", 4) == 0 &&
		    strcmp(r->id, "getOpenapi") != 0)
			ck_assert(!(r->flags & RR_PUBLIC));
		if (r->flags & (RR_BODY | RR_BODY_OPT))
			ck_assert_ptr_nonnull(r->request);
		for (size_t k = 0; k < i; k++) {
			ck_assert_str_ne(r->id, rest_routes[k].id);
			ck_assert(strcmp(r->method, rest_routes[k].method) ||
				  strcmp(r->pattern, rest_routes[k].pattern));
		}
	}
}
END_TEST

/* What is in the file is what this program would print. */
START_TEST(test_openapi_current)
{
	struct buf b;

	buf_init(&b, (size_t)8 << 20);
	ck_assert_int_eq(openapi_render(&b), 0);
	ck_assert_msg(b.len == openapi_json_len &&
			  memcmp(b.data, openapi_json, b.len) == 0,
	    "docs/openapi.json is not current: headgate-control openapi "
	    ">docs/openapi.json");
	buf_release(&b);
}
END_TEST

/* Every route is in the file, and every operation of the file is a route. */
START_TEST(test_openapi_routes)
{
	json_t *doc = json_loadb(openapi_json, openapi_json_len, 0, NULL);
	json_t *paths = json_object_get(doc, "paths"), *path, *op;
	const char *pattern, *method;
	size_t n = 0, i;
	void *tmp;

	ck_assert_ptr_nonnull(paths);
	for (i = 0; i < n_rest_routes; i++) {
		const struct rest_route *r = &rest_routes[i];
		char low[8] = "";

		for (size_t k = 0; r->method[k] && k < 7; k++)
			low[k] = (char)tolower(r->method[k]);
		op = json_object_get(json_object_get(paths, r->pattern), low);
		ck_assert_msg(op != NULL, "%s %s is not in docs/openapi.json",
		    r->method, r->pattern);
		ck_assert_str_eq(
		    json_string_value(json_object_get(op, "operationId")),
		    r->id);
	}
	json_object_foreach_safe (paths, tmp, pattern, path) {
		json_object_foreach (path, method, op) {
			n++;
			for (i = 0; i < n_rest_routes; i++)
				if (strcmp(rest_routes[i].pattern, pattern) ==
					0 &&
				    strcasecmp(rest_routes[i].method, method) ==
					0)
					break;
			ck_assert_msg(i < n_rest_routes, "%s %s is no route",
			    method, pattern);
		}
	}
	ck_assert_uint_eq(n, n_rest_routes);
	json_decref(doc);
}
END_TEST

/* Result of parsing and matching: operationId, or the name of the error. */
static const char *
match(const char *method, const char *path, const char *query,
    struct str params[2])
{
	static char allow[80];
	const struct rest_route *route = NULL;
	struct http_request r;
	struct error e;
	static struct arena keep;
	int rc;

	memset(&r, 0, sizeof(r));
	arena_release(&keep);
	arena_init(&r.arena, 1024, 65536);
	r.method = str_of(method);
	r.path = str_of(path);
	r.query = str_of(query);
	rc = http_parse_target(&r, &e);
	if (rc == 0)
		rc = router_match(&r, &route, params, allow, 80, &e);
	keep = r.arena;
	return rc == 0 ? route->id : err_name(rc);
}

START_TEST(test_match)
{
	static const struct {
		const char *method, *path, *want;
	} rows[] = {{"GET", "/v1/tenants", "listTenants"},
	    {"HEAD", "/v1/tenants", "listTenants"},
	    {"GET", "/v1/tenants/acme", "getTenant"},
	    {"PATCH", "/v1/budgets/acme.m", "updateBudget"},
	    {"GET", "/v1/budgets/acme.m/status", "getBudgetStatus"},
	    {"GET", "/livez", "livez"},
	    {"GET", "/v1/models/gpt%2D4o", "getModel"},
	    {"POST", "/v1/tenants/acme", "method_not_allowed"},
	    {"BREW", "/v1/tenants", "method_not_allowed"},
	    {"GET", "/v1/Tenants", "not_found"}, {"GET", "/", "not_found"},
	    {"GET", "/v1", "not_found"}, {"GET", "/v1/tenants/", "invalid"},
	    {"GET", "//v1/tenants", "invalid"},
	    {"GET", "/v1//tenants", "invalid"},
	    {"GET", "/v1/./tenants", "invalid"},
	    {"GET", "/v1/../v1/tenants", "invalid"},
	    {"GET", "/v1/%2e%2e/tenants", "invalid"},
	    {"GET", "/v1/tenants%2Facme", "invalid"},
	    {"GET", "/v1/tenants/a%2Fb", "invalid"},
	    {"GET", "/v1/tenants/a%5Cb", "invalid"},
	    {"GET", "/v1/tenants;x=1", "invalid"},
	    {"GET", "/v1/tenants/a%00", "invalid"},
	    {"GET", "/v1/tenants/a%0a", "invalid"},
	    {"GET", "/v1/tenants/%", "invalid"},
	    {"GET", "/v1/tenants/%4", "invalid"},
	    {"GET", "/v1/tenants/%zz", "invalid"},
	    {"GET", "/v1/tenants/%ff", "invalid"},
	    {"GET", "http://x/v1/tenants", "invalid"},
	    {"OPTIONS", "*", "invalid"},
	    {"GET", "/a/b/c/d/e/f/g/h/i/j", "not_found"}};
	struct str p[2];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = match(rows[i].method, rows[i].path, "", p);

		ck_assert_msg(strcmp(got, rows[i].want) == 0, "%s %s: %s",
		    rows[i].method, rows[i].path, got);
	}
	(void)match("GET", "/v1/models/a%3Ab@c", "", p);
	ck_assert_slice_eq(p[0], "a:b@c");
	ck_assert_str_eq(
	    match("GET", "/v1/tenants", "limit=5&prefix=a%25+b", p),
	    "listTenants");
	ck_assert_str_eq(
	    match("GET", "/v1/tenants", "limit=5&limit=6", p), "invalid");
	ck_assert_str_eq(match("GET", "/v1/tenants", "a=%1", p), "invalid");
}
END_TEST

/* headers: "name: value" lines by '\n'. */
static int
head(const char *headers)
{
	struct str tail = str_of(headers), line;
	struct http_request r;
	struct error e;
	bool more;

	memset(&r, 0, sizeof(r));
	do {
		more = str_cut(tail, '\n', &line, &tail);
		if (line.len == 0)
			continue;
		(void)str_cut(line, ':', &r.headers[r.n_headers].name,
		    &r.headers[r.n_headers].value);
		r.headers[r.n_headers].value =
		    str_trim(r.headers[r.n_headers].value);
		r.n_headers++;
	} while (more);
	return http_check_head(&r, &e);
}

START_TEST(test_head)
{
	ck_assert_int_eq(head("Host: a:1\nContent-Length: 5"), 0);
	ck_assert_int_eq(
	    head("Host: [::1]:7400\nTransfer-Encoding: chunked"), 0);
	ck_assert_int_ne(
	    head("Content-Length: 5\nTransfer-Encoding: chunked"), 0);
	ck_assert_int_ne(head("Content-Length: 5\ncontent-length: 5"), 0);
	ck_assert_int_ne(head("Content-Length: +5"), 0);
	ck_assert_int_ne(head("Content-Length: 5, 5"), 0);
	ck_assert_int_ne(head("Content-Length: 0x5"), 0);
	ck_assert_int_ne(head("Content-Length: "), 0);
	ck_assert_int_ne(head("Content-Length: 99999999999999999999"), 0);
	ck_assert_int_ne(head("Transfer-Encoding: gzip"), 0);
	ck_assert_int_ne(head("Transfer-Encoding: chunked, gzip"), 0);
	ck_assert_int_ne(head("Transfer-Encoding: xchunked"), 0);
	ck_assert_int_ne(
	    head("Transfer-Encoding: chunked\nTransfer-Encoding: chunked"), 0);
	ck_assert_int_ne(head("Host: a\nHost: b"), 0);
	ck_assert_int_ne(head("Host: x/?"), 0);
	ck_assert_int_ne(head("Host: x/#"), 0);
	ck_assert_int_ne(head("Host: a b"), 0);
	ck_assert_int_ne(
	    head("Authorization: Bearer a\nAuthorization: Bearer b"), 0);
	ck_assert_int_ne(head("Content-Encoding: gzip"), 0);
}
END_TEST

/* The table of routes in docs/API.md is this program's. */
START_TEST(test_api_md)
{
	struct buf file, want;
	struct error e;

	buf_init(&file, 1 << 20);
	buf_init(&want, 1 << 20);
	ck_assert_int_eq(routes_markdown(&want), 0);
	ck_assert_msg(io_read_file(io_system(), "docs/API.md", &file, &e) == 0,
	    "%s", e.text);
	ck_assert_msg(memmem(file.data, file.len, want.data, want.len) != NULL,
	    "the table of routes in docs/API.md is not current");
	buf_release(&file);
	buf_release(&want);
}
END_TEST

START_TEST(test_outputs)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	ck_assert_int_eq(routes_render(&b), 0);
	ck_assert_ptr_nonnull(
	    strstr(buf_cstr(&b), "GET /v1/tenants/{name} viewer\n"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "GET /livez -\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_cstr(&b), "POST /v1/admin-tokens owner\n"));
	buf_clear(&b);
	ck_assert_int_eq(routes_markdown(&b), 0);
	ck_assert_uint_gt(b.len, 1000);
	buf_release(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router");

	UNIT_ADD(s, test_table);
	UNIT_ADD(s, test_openapi_current);
	UNIT_ADD(s, test_openapi_routes);
	UNIT_ADD(s, test_match);
	UNIT_ADD(s, test_head);
	UNIT_ADD(s, test_api_md);
	UNIT_ADD(s, test_outputs);
	return unit_run(s);
}
