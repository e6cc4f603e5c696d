/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Head checks: smuggling forms, hosts, targets, credentials.
 */
#include <string.h>

#include "agent/front/head.h"
#include "tests/unit/support/unit.h"

static const struct surface no_query;

static struct head_target
target(const char *raw)
{
	struct head_target t;

	memset(&t, 0, sizeof(t));
	head_target_parse(str_of(raw), &t);
	return t;
}

START_TEST(test_targets)
{
	static const char *const missing[] = {"/", "/v1", "/v1/",
	    "/v1/chat/completions/", "//v1/chat/completions",
	    "/v1//chat/completions", "/v1/chat%2fcompletions",
	    "/v1/chat/%63ompletions", "/v1/./chat/completions",
	    "/v1/../v1/chat/completions", "/v1/chat/completions;x",
	    "/V1/chat/completions", "/v1/chat/Completions", "/v1/models/",
	    "/v1/models/a/b", "/v1/models/%61", "/v1/models/a;b",
	    "/v1/models/..%2f", "/v1/models/a'b"};
	static const char *const broken[] = {"", "*", "v1/models",
	    "http://h/v1/models", "/v1/models#x", "/v1/mo dels", "/v1/\x80",
	    "/v1/\x01"};
	size_t i;

	for (i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		ck_assert_msg(target(missing[i]).reason == HEAD_NOT_FOUND, "%s",
		    missing[i]);
	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		ck_assert_msg(target(broken[i]).reason == HEAD_BAD_TARGET, "%s",
		    broken[i]);
	ck_assert_int_eq(target("/v1/chat/completions").s.op, OP_CHAT);
	ck_assert_int_eq(
	    target("/v1/chat/completions?api-version=1").reason, HEAD_OK);
	ck_assert_int_eq(target("/v1/embeddings").s.op, OP_EMBEDDINGS);
	ck_assert_int_eq(target("/v1/models").s.op, OP_MODELS);
	ck_assert_str_eq(
	    target("/v1/models/gpt-4.1:x@y_z").s.model, "gpt-4.1:x@y_z");
}
END_TEST

struct field {
	const char *name, *value;
};

static enum head_reason
check(const char *raw, const char *method, const struct field *f)
{
	struct head_target t = target(raw);
	struct head h;

	memset(&h, 0, sizeof(h));
	for (; f->name != NULL; f++)
		head_field(&h, str_of(f->name), str_of(f->value));
	return head_check(
	    &h, &t, str_of(method), STR("HTTP/1.1"), (size_t)1000);
}

#define CHAT(...)                             \
	check("/v1/chat/completions", "POST", \
	    (const struct field[]){           \
		{"Host", "h:80"}, __VA_ARGS__, {NULL, NULL}})

START_TEST(test_framing)
{
	ck_assert_int_eq(CHAT({"Content-Length", "5"}), HEAD_OK);
	ck_assert_int_eq(CHAT({"Transfer-Encoding", "Chunked"}), HEAD_OK);
	ck_assert_int_eq(
	    CHAT({"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}),
	    HEAD_SMUGGLING);
	ck_assert_int_eq(CHAT({"content-length", "5"}, {"CONTENT-LENGTH", "5"}),
	    HEAD_BAD_LENGTH);
	ck_assert_int_eq(CHAT({"Content-Length", "5, 5"}), HEAD_BAD_LENGTH);
	ck_assert_int_eq(CHAT({"Content-Length", "+5"}), HEAD_BAD_LENGTH);
	ck_assert_int_eq(CHAT({"Content-Length", "-5"}), HEAD_BAD_LENGTH);
	ck_assert_int_eq(CHAT({"Content-Length", "0x5"}), HEAD_BAD_LENGTH);
	ck_assert_int_eq(CHAT({"Content-Length", ""}), HEAD_BAD_LENGTH);
	ck_assert_int_eq(
	    CHAT({"Content-Length", "18446744073709551621"}), HEAD_BAD_LENGTH);
	ck_assert_int_eq(CHAT({"Content-Length", "1001"}), HEAD_TOO_LARGE);
	ck_assert_int_eq(
	    CHAT({"Transfer-Encoding", "gzip, chunked"}), HEAD_BAD_CODING);
	ck_assert_int_eq(
	    CHAT({"Transfer-Encoding", "identity"}), HEAD_BAD_CODING);
	ck_assert_int_eq(
	    CHAT({"Transfer-Encoding", "xchunked"}), HEAD_BAD_CODING);
	ck_assert_int_eq(CHAT({"Transfer-Encoding", "chunked"},
			     {"Transfer-Encoding", "chunked"}),
	    HEAD_BAD_CODING);
	ck_assert_int_eq(CHAT({"Content-Encoding", "gzip"}), HEAD_ENCODED_BODY);
	ck_assert_int_eq(CHAT({"Content-Length ", "5"}), HEAD_BAD_FIELD);
	ck_assert_int_eq(CHAT({"X-Y", "a\rb"}), HEAD_BAD_FIELD);
}
END_TEST

/* Whose client asks at a path that dialects share. */
static enum client_dialect
client_of(const char *raw, const char *name)
{
	struct head_target t = target(raw);
	struct head h = {.content_length = -1};

	head_field(&h, STR("host"), STR("h"));
	head_field(&h, str_of(name), STR("2023-06-01"));
	(void)!head_check(&h, &t, STR("GET"), STR("HTTP/1.1"), 1000);
	return t.s.client;
}

START_TEST(test_clients)
{
	static const char *const paths[] = {
	    "/v1/models", "/v1/models/m", "/v1/nothing"};
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		ck_assert_int_eq(
		    client_of(paths[i], "authorization"), CLIENT_OPENAI);
		ck_assert_int_eq(
		    client_of(paths[i], "anthropic-version"), CLIENT_ANTHROPIC);
		ck_assert_int_eq(
		    client_of(paths[i], "X-Goog-Api-Key"), CLIENT_GEMINI);
	}
	ck_assert_int_eq(
	    client_of("/v1/models?key=k", "accept"), CLIENT_GEMINI);
	ck_assert_int_eq(
	    client_of("/v1/chat/completions", "x-goog-api-key"), CLIENT_OPENAI);
}
END_TEST

START_TEST(test_hosts)
{
	static const struct field two[] = {
	    {"Host", "a"}, {"host", "a"}, {NULL, NULL}};
	static const struct field none[] = {{"Accept", "*/*"}, {NULL, NULL}};
	static const char *const bad[] = {
	    "", "x/?", "x/#", "a b", "a@b", "a,b", "h\xc3\xa9"};
	size_t i;

	ck_assert_int_eq(check("/v1/models", "GET", two), HEAD_BAD_HOST);
	ck_assert_int_eq(check("/v1/models", "GET", none), HEAD_BAD_HOST);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct field f[] = {{"Host", bad[i]}, {NULL, NULL}};

		ck_assert_msg(check("/v1/models", "GET", f) == HEAD_BAD_HOST,
		    "%s", bad[i]);
	}
}
END_TEST

START_TEST(test_methods)
{
	static const struct field f[] = {{"Host", "[::1]:80"}, {NULL, NULL}};
	static const struct field body[] = {
	    {"Host", "h"}, {"Content-Length", "3"}, {NULL, NULL}};

	ck_assert_int_eq(
	    check("/v1/chat/completions", "GET", f), HEAD_BAD_METHOD);
	ck_assert_int_eq(check("/v1/models", "POST", f), HEAD_BAD_METHOD);
	ck_assert_int_eq(check("/v1/models", "get", f), HEAD_BAD_METHOD);
	ck_assert_int_eq(check("/v1/models", "GET", f), HEAD_OK);
	ck_assert_int_eq(check("/v1/models", "GET", body), HEAD_BAD_LENGTH);
	ck_assert_int_eq(check("/v1/nope", "GET", f), HEAD_NOT_FOUND);
	ck_assert_int_eq(CHAT({"x-headgate-hops", "3"}), HEAD_OK);
	ck_assert_int_eq(CHAT({"x-headgate-hops", "4"}), HEAD_LOOP);
	ck_assert_int_eq(CHAT({"x-headgate-hops", "x"}), HEAD_LOOP);
}
END_TEST

static enum head_reason
credential(const struct field *f, struct str *secret)
{
	struct head h;

	memset(&h, 0, sizeof(h));
	for (; f->name != NULL; f++)
		head_field(&h, str_of(f->name), str_of(f->value));
	return head_credential(&h, &no_query, secret);
}

#define CRED(...) \
	credential((const struct field[]){__VA_ARGS__, {NULL, NULL}}, &s)

START_TEST(test_credentials)
{
	struct str s;

	ck_assert_int_eq(CRED({"Authorization", "Bearer hg-1"}), HEAD_OK);
	ck_assert_slice_eq(s, "hg-1");
	ck_assert_int_eq(CRED({"authorization", "bearer  hg-1 "}), HEAD_OK);
	ck_assert_slice_eq(s, "hg-1");
	ck_assert_int_eq(CRED({"x-api-key", "hg-2"}), HEAD_OK);
	ck_assert_slice_eq(s, "hg-2");
	ck_assert_int_eq(CRED({"Api-Key", "hg-3"}), HEAD_OK);
	ck_assert_slice_eq(s, "hg-3");
	ck_assert_int_eq(
	    CRED({"Authorization", "Bearer hg-1"}, {"x-api-key", "hg-1"}),
	    HEAD_OK);
	ck_assert_int_eq(
	    CRED({"Authorization", "Bearer hg-1"}, {"x-api-key", "hg-2"}),
	    HEAD_TWO_CREDENTIALS);
	ck_assert_int_eq(CRED({"Authorization", "Bearer hg-1"},
			     {"Authorization", "Bearer hg-1"}),
	    HEAD_TWO_CREDENTIALS);
	ck_assert_int_eq(
	    CRED({"Authorization", "Basic aGc="}, {"x-api-key", "hg-2"}),
	    HEAD_TWO_CREDENTIALS);
	ck_assert_int_eq(CRED({"x-goog-api-key", "hg-4"}), HEAD_OK);
	ck_assert_slice_eq(s, "hg-4");
	ck_assert_int_eq(CRED({"x-goog-api-key", "a"}, {"api-key", "b"}),
	    HEAD_TWO_CREDENTIALS);
	ck_assert_int_eq(CRED({"Accept", "x"}), HEAD_OK);
	ck_assert_uint_eq(s.len, 0);
}
END_TEST

START_TEST(test_key_in_query)
{
	static const char *const two[] = {"/v1/models?key=a&key=a"};
	struct head_target t = target("/v1beta/models?alt=sse&key=hg-5&x");
	struct head h;
	struct str s;

	memset(&h, 0, sizeof(h));
	ck_assert_int_eq(head_credential(&h, &t.s, &s), HEAD_OK);
	ck_assert_slice_eq(s, "hg-5");
	head_field(&h, STR("x-goog-api-key"), STR("hg-5"));
	ck_assert_int_eq(head_credential(&h, &t.s, &s), HEAD_OK);
	head_field(&h, STR("authorization"), STR("Bearer hg-6"));
	ck_assert_int_eq(head_credential(&h, &t.s, &s), HEAD_TWO_CREDENTIALS);
	t = target(two[0]);
	memset(&h, 0, sizeof(h));
	ck_assert_int_eq(head_credential(&h, &t.s, &s), HEAD_TWO_CREDENTIALS);
}
END_TEST

/* User and tags: each field once, the user once more checked. */
START_TEST(test_tags)
{
	static const struct {
		struct field f[3];
		const char *why;
	} bad[] = {{{{"X-Headgate-User", "a"}, {"x-headgate-user", "a"}},
		       "x-headgate-user was sent more than once"},
	    {{{"x-headgate-tags", "a=b"}, {"x-headgate-tags", "c=d"}},
		"x-headgate-tags was sent more than once"},
	    {{{"x-headgate-user", "\xff"}}, "x-headgate-user must have"},
	    {{{"x-headgate-tags", "user=x"}}, "must not name the user"}};
	struct head h = {.n_host = 0};
	struct tags t;
	struct str v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why;

		memset(&h, 0, sizeof(h));
		for (const struct field *f = bad[i].f; f->name != NULL; f++)
			head_field(&h, str_of(f->name), str_of(f->value));
		why = head_tags(&h, &t);
		ck_assert_msg(why != NULL && strstr(why, bad[i].why) != NULL,
		    "%s: %s", bad[i].why, why != NULL ? why : "taken");
	}
	memset(&h, 0, sizeof(h));
	head_field(&h, STR("X-HEADGATE-USER"), STR("alice, bob"));
	head_field(&h, STR("x-headgate-tags"), STR("a=b"));
	ck_assert_ptr_null(head_tags(&h, &t));
	ck_assert(tags_get(&t, STR(TAGS_USER), &v) && str_eqz(v, "alice, bob"));
	memset(&h, 0, sizeof(h));
	head_field(&h, STR("x-headgate-user"), STR(""));
	ck_assert_ptr_null(head_tags(&h, &t));
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

START_TEST(test_reasons)
{
	int i;

	for (i = 1; i < HEAD_N_REASONS; i++) {
		ck_assert_int_ne(head_reason_code((enum head_reason)i), 0);
		ck_assert(head_reason_text((enum head_reason)i)[0] != '\0');
		ck_assert(head_reason_name((enum head_reason)i)[0] != '\0');
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/head");

	UNIT_ADD(s, test_targets);
	UNIT_ADD(s, test_framing);
	UNIT_ADD(s, test_clients);
	UNIT_ADD(s, test_hosts);
	UNIT_ADD(s, test_methods);
	UNIT_ADD(s, test_credentials);
	UNIT_ADD(s, test_key_in_query);
	UNIT_ADD(s, test_tags);
	UNIT_ADD(s, test_reasons);
	return unit_run(s);
}
