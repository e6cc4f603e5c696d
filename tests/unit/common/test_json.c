/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/json: what is accepted and refused and why, the cursor, limits,
 * duplicate keys in small and large objects, memory.
 */
#include <stdio.h>

#include "common/json.h"
#include "common/rng.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct error err;

static int
validate(const char *z)
{
	memset(&err, 0, sizeof(err));
	return json_validate(str_of(z), NULL, &err);
}

START_TEST(test_accepts)
{
	static const char *const good[] = {"{}", "[]", "null", "true", "false",
	    "0", "-0", "-1.5e-7", "1E+9", "10", "\"\"", " [ 1 , 2 ] ",
	    "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
	    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"", "[1e999999]",
	    "\"\x7f\"", "\"\xf4\x8f\xbf\xbf\"", "\"\\u0000\"",
	    "[99999999999999999999999999]", "\r\n\t {}", "{\"\":1}"};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(
		    validate(good[i]) == 0, "%s: %s", good[i], err.text);
}
END_TEST

static const struct {
	const char *doc;
	const char *text;
} refused[] = {
    {"", "empty instead of JSON"},
    {" ", "byte 1: unexpected end"},
    {"\xef\xbb\xbf{}", "byte 0: byte order mark"},
    {"{} x", "byte 3: unexpected byte after the value"},
    {"[1,]", "byte 3: expected a value"},
    {"{\"a\":1,}", "byte 7: expected a key"},
    {"{,}", "byte 1: expected a key"},
    {"[,]", "byte 1: expected a value"},
    {"{\"a\" 1}", "byte 5: expected ':'"},
    {"{\"a\":}", "byte 5: expected a value"},
    {"{a:1}", "byte 1: expected a key"},
    {"[1 2]", "byte 3: expected ',' or ']'"},
    {"{\"a\":1]", "byte 6: expected ',' or '}'"},
    {"[1", "byte 2: unexpected end"},
    {"{\"a\"", "byte 4: unexpected end"},
    {"{\"a\":", "byte 5: unexpected end"},
    {"{", "byte 1: unexpected end"},
    {"]", "byte 0: expected a value"},
    {"[01]", "malformed number"},
    {"[-]", "byte 2: malformed number"},
    {"[1.]", "malformed number"},
    {"[1e+]", "malformed number"},
    {"[.5]", "expected a value"},
    {"[+1]", "expected a value"},
    {"[0x1]", "expected ',' or ']'"},
    {"-", "byte 1: unexpected end"},
    {"[NaN]", "expected a value"},
    {"nul", "unknown word"},
    {"[truex]", "expected ',' or ']'"},
    {"\"abc", "byte 4: unexpected end"},
    {"\"a\nb\"", "byte 2: control character in a string"},
    {"\"\\", "byte 2: unexpected end"},
    {"\"\\x\"", "byte 1: unknown escape sequence"},
    {"\"\\u12\"", "hexadecimal"},
    {"\"\\u12g4\"", "hexadecimal"},
    {"\"\\ud800\"", "byte 1: lone surrogate"},
    {"\"\\ud800\\u0041\"", "lone surrogate"},
    {"\"\\ud800\\ud800\"", "lone surrogate"},
    {"\"\\udc00\\ud800\"", "lone surrogate"},
    {"\"\xc0\x80\"", "byte 1: invalid UTF-8"},
    {"\"abcdefghijklmnopq\xed\xa0\x80\"", "byte 18: invalid UTF-8"},
    {"\"\xe6\xbc\"", "invalid UTF-8"},
    {"{\"a\":1,\"a\":2}", "byte 7: duplicate key"},
    {"{\"ab\":1,\"a\\u0062\":2}", "byte 8: duplicate key"},
    {"[/*x*/]", "expected a value"},
    {"['a']", "expected a value"},
};

START_TEST(test_refuses)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		ck_assert_msg(validate(refused[i].doc) == ERR_INVALID, "%s",
		    refused[i].doc);
		ck_assert_msg(strstr(err.text, refused[i].text) != NULL,
		    "%s: \"%s\", not \"%s\"", refused[i].doc, err.text,
		    refused[i].text);
	}
	ck_assert_int_eq(
	    json_validate(STR("\"\\\0\""), NULL, &err), ERR_INVALID);
	ck_assert_int_eq(json_validate(STR("{}\0"), NULL, &err), ERR_INVALID);
	ck_assert_int_eq(json_validate(STR("\0"), NULL, &err), ERR_INVALID);
	ck_assert_int_eq(json_validate(STR_NULL, NULL, NULL), ERR_INVALID);
}
END_TEST

/* No text of the document is in the message: it may be a secret. */
START_TEST(test_message_holds_no_content)
{
	ck_assert_int_ne(validate("{\"canary\":canary}"), 0);
	ck_assert_ptr_null(strstr(err.text, "canary"));
	ck_assert_int_ne(validate("{\"canary\":1,\"canary\":2}"), 0);
	ck_assert_ptr_null(strstr(err.text, "canary"));
}
END_TEST

/* Every cut of a document is refused, whatever byte comes last. */
START_TEST(test_every_prefix)
{
	static const char doc[] =
	    "{\"a\":[1,-2.5e+3,\"x\\u00e9\\ud83d\\ude00\\n\xc3\xa9\",null],"
	    "\"b\":{\"c\":true,\"d\":false},\"e\":\"0123456789abcdefghijk\"}";
	size_t i;

	ck_assert_int_eq(validate(doc), 0);
	for (i = 0; i < sizeof(doc) - 1; i++) {
		/* Exactly that much memory, for the sanitizer. */
		char *copy = malloc(i + 1);

		memcpy(copy, doc, i);
		ck_assert_int_eq(
		    json_validate(str_make(copy, i), NULL, &err), ERR_INVALID);
		free(copy);
	}
}
END_TEST

START_TEST(test_limits)
{
	struct json_limits lim = {
	    .max_bytes = 20, .max_depth = 3, .max_members = 2};

	ck_assert_int_eq(json_validate(STR("[[[]]]"), &lim, &err), 0);
	ck_assert_int_eq(
	    json_validate(STR("[[[[]]]]"), &lim, &err), ERR_TOO_LARGE);
	ck_assert_str_eq(err.text, "invalid JSON at byte 3: nested too deeply");
	ck_assert_int_eq(json_validate(STR("[{\"a\":{}}]"), &lim, &err), 0);
	ck_assert_int_eq(
	    json_validate(STR("{\"a\":1,\"b\":{\"c\":1}}"), &lim, &err), 0);
	ck_assert_int_eq(
	    json_validate(STR("{\"a\":1,\"b\":2,\"c\":1}"), &lim, &err),
	    ERR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(err.text, "too many members"));
	ck_assert_int_eq(
	    json_validate(STR("[1,2,3,4,5,6,7,8,9]"), &lim, &err), 0);
	ck_assert_int_eq(
	    json_validate(STR("\"0123456789012345678\""), &lim, &err),
	    ERR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 20"));
	lim.max_depth = 0;
	ck_assert_int_eq(json_validate(STR("1"), &lim, &err), 0);
	ck_assert_int_eq(json_validate(STR("[]"), &lim, &err), ERR_TOO_LARGE);
	ck_assert_ptr_nonnull(
	    strstr(err.text, "nested")); /* also for the last byte */
}
END_TEST

/* Limits above what the scanner can hold are cut down to it. */
START_TEST(test_depth_cap)
{
	struct json_limits lim = {
	    .max_bytes = 1 << 20, .max_depth = 100000, .max_members = 1u << 31};
	static char doc[100000];

	memset(doc, '[', 128);
	memset(doc + 128, ']', 128);
	ck_assert_int_eq(json_validate(str_make(doc, 256), &lim, &err), 0);
	memset(doc, '[', 129);
	memset(doc + 129, ']', 129);
	ck_assert_int_eq(
	    json_validate(str_make(doc, 258), &lim, &err), ERR_TOO_LARGE);
	memset(doc, '[', sizeof(doc));
	ck_assert_int_eq(json_validate(str_make(doc, sizeof(doc)), &lim, &err),
	    ERR_TOO_LARGE);
}
END_TEST

/* An object of n keys, or with key number dup repeated at the end. */
static void
make_object(struct buf *b, const char *prefix, unsigned n, int dup)
{
	unsigned i;

	buf_clear(b);
	(void)buf_addc(b, '{');
	for (i = 0; i < n; i++)
		(void)buf_addf(
		    b, "%s\"%s%u\":{\"x\":%u}", i ? "," : "", prefix, i, i);
	if (dup >= 0)
		(void)buf_addf(b, ",\"\\u00%02x%s%d\":1", (unsigned)prefix[0],
		    prefix + 1, dup);
	(void)buf_addc(b, '}');
}

START_TEST(test_duplicates_at_every_size)
{
	/* Short keys, and keys that differ only behind the hashed part. */
	static const char *const prefixes[] = {"k",
	    "a-key-whose-beginning-is-longer-than-what-the-hash-of-the-key-"
	    "looks-at-"};
	struct buf b;
	unsigned n;
	size_t p;

	buf_init(&b, 1 << 24);
	for (p = 0; p < 2; p++)
		for (n = 1; n < 300; n = n < 40 ? n + 1 : n * 3 / 2) {
			unsigned dup;

			make_object(&b, prefixes[p], n, -1);
			ck_assert_int_eq(
			    json_validate(buf_str(&b), NULL, &err), 0);
			for (dup = 0; dup < n; dup += 1 + n / 20) {
				make_object(&b, prefixes[p], n, (int)dup);
				ck_assert_int_eq(
				    json_validate(buf_str(&b), NULL, &err),
				    ERR_INVALID);
				ck_assert_ptr_nonnull(
				    strstr(err.text, "duplicate key"));
			}
		}
	buf_release(&b);
}
END_TEST

START_TEST(test_many_keys)
{
	struct json_limits lim = {(size_t)1 << 30, 64, 65536};
	struct buf b;

	buf_init(&b, 1 << 26);
	make_object(&b, "k", 16384, -1);
	ck_assert_int_eq(json_validate(buf_str(&b), NULL, &err), 0);
	make_object(&b, "k", 16385, -1);
	ck_assert_int_eq(json_validate(buf_str(&b), NULL, &err), ERR_TOO_LARGE);
	make_object(&b, "k", 60000, -1);
	ck_assert_int_eq(json_validate(buf_str(&b), &lim, &err), 0);
	make_object(&b, "k", 60000, 31234);
	ck_assert_int_eq(json_validate(buf_str(&b), &lim, &err), ERR_INVALID);
	buf_release(&b);
}
END_TEST

/* Keys of one length with a common beginning share one hash: the worst case
 * must stay far from quadratic. 16,000 keys took 20 ms when this was made. */
START_TEST(test_colliding_keys)
{
	unsigned i;
	struct buf b;

	buf_init(&b, 1 << 26);
	(void)buf_addc(&b, '{');
	for (i = 0; i < 16000; i++)
		(void)buf_addf(&b, "%s\"%064d%06u\":0", i ? "," : "", 0, i);
	(void)buf_addc(&b, '}');
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(json_validate(buf_str(&b), NULL, &err), 0);
	buf_release(&b);
}
END_TEST

static struct json
root(const char *z)
{
	ck_assert_msg(validate(z) == 0, "%s: %s", z, err.text);
	return json_root(str_of(z));
}

static void
assert_span(struct json v, enum json_type type, const char *text)
{
	ck_assert_int_eq((int)v.type, (int)type);
	ck_assert_slice_eq(str_make(v.p, (size_t)(v.end - v.p)), text);
}

START_TEST(test_spans)
{
	struct json r = root(" { \"s\" : \"a\\\"]}\" , \"n\":-1.5e3,\"t\":true "
			     ",\"f\":false,\"z\":null,\"o\":{\"k\":[ ]},\"a\""
			     ":[1,[2,\"]\"],{} ] } ");
	struct json v;

	ck_assert_int_eq((int)r.type, JSON_OBJECT);
	ck_assert_int_eq(r.end[-1], '}');
	ck_assert(json_getz(r, "s", &v));
	assert_span(v, JSON_STRING, "\"a\\\"]}\"");
	ck_assert(json_getz(r, "n", &v));
	assert_span(v, JSON_NUMBER, "-1.5e3");
	ck_assert(json_getz(r, "t", &v));
	assert_span(v, JSON_BOOL, "true");
	ck_assert(json_is_true(v));
	ck_assert(json_getz(r, "f", &v));
	assert_span(v, JSON_BOOL, "false");
	ck_assert(!json_is_true(v));
	ck_assert(json_getz(r, "z", &v));
	assert_span(v, JSON_NULL, "null");
	ck_assert(!json_is_true(v));
	ck_assert(json_getz(r, "o", &v));
	assert_span(v, JSON_OBJECT, "{\"k\":[ ]}");
	ck_assert(json_getz(r, "a", &v));
	assert_span(v, JSON_ARRAY, "[1,[2,\"]\"],{} ]");
	ck_assert(!json_getz(r, "missing", &v));
	ck_assert(!json_getz(v, "s", &v));
	ck_assert(json_path(r, "o.k", &v));
	assert_span(v, JSON_ARRAY, "[ ]");
	ck_assert(json_path(r, "s", &v));
	ck_assert(!json_path(r, "o.k.x", &v));
	ck_assert(!json_path(r, "o.", &v));
	ck_assert(!json_path(r, "", &v));
	assert_span(root(" 12 "), JSON_NUMBER, "12");
	assert_span(root("\t\"x\"\n"), JSON_STRING, "\"x\"");
	assert_span(root("null"), JSON_NULL, "null");
	assert_span(json_root(STR_NULL), JSON_NULL, "");
}
END_TEST

START_TEST(test_iterate)
{
	struct json r = root("{\"a\":1,\"\\u0062\":[1, {\"x\":[]} ,\"s\"]}");
	struct json_iter it = json_iter(r);
	struct json v, item;
	struct str key;

	ck_assert(json_next_member(&it, &key, &v));
	ck_assert_slice_eq(key, "a");
	ck_assert(json_next_member(&it, &key, &v));
	ck_assert_slice_eq(key, "\\u0062");
	ck_assert(json_key_eq(key, STR("b")));
	ck_assert(!json_next_member(&it, &key, &item));
	ck_assert(!json_next_member(&it, &key, &item));
	it = json_iter(v);
	ck_assert(json_next_element(&it, &item));
	assert_span(item, JSON_NUMBER, "1");
	ck_assert(json_next_element(&it, &item));
	assert_span(item, JSON_OBJECT, "{\"x\":[]}");
	ck_assert(json_next_element(&it, &item));
	assert_span(item, JSON_STRING, "\"s\"");
	ck_assert(!json_next_element(&it, &item));
	it = json_iter(root("[ ]"));
	ck_assert(!json_next_element(&it, &item));
	it = json_iter(root("{ }"));
	ck_assert(!json_next_member(&it, &key, &item));
	it = json_iter(root("12"));
	ck_assert(!json_next_element(&it, &item));
	it = json_iter(root("[1]")); /* the wrong kind of iteration */
	ck_assert(!json_next_member(&it, &key, &item));
}
END_TEST

START_TEST(test_keys)
{
	ck_assert(json_key_eq(STR("model"), STR("model")));
	ck_assert(json_key_eq(STR("mo\\u0064el"), STR("model")));
	ck_assert(json_key_eq(STR("\\ud83d\\ude00"), STR("\xf0\x9f\x98\x80")));
	ck_assert(json_key_eq(STR("\\n\\/\\\""), STR("\n/\"")));
	ck_assert(json_key_eq(STR(""), STR("")));
	ck_assert(!json_key_eq(STR("\\n"), STR("\\n"))); /* a newline */
	ck_assert(json_key_eq(STR("\\\\n"), STR("\\n")));
	ck_assert(!json_key_eq(STR("model"), STR("mode")));
	ck_assert(!json_key_eq(STR("mode"), STR("model")));
	ck_assert(!json_key_eq(STR("\\u0064"), STR("de")));
	ck_assert(json_key_eq(STR("a\\u0000"), str_make("a\0", 2)));
}
END_TEST

START_TEST(test_strings)
{
	struct json v = root("\"a\\u00e9\\ud83d\\ude00\\n\\\\\"");
	char small[10], exact[11];
	int64_t i;
	struct buf b;

	buf_init(&b, 100);
	ck_assert_int_eq(json_unescape(v, &b), 0);
	ck_assert_str_eq(buf_cstr(&b), "a\xc3\xa9\xf0\x9f\x98\x80\n\\");
	ck_assert_uint_eq(json_text_bytes(v), b.len);
	ck_assert_int_eq(json_copy_string(v, exact, 10), 0);
	ck_assert_str_eq(exact, buf_cstr(&b));
	ck_assert_int_eq(json_copy_string(v, small, 9), ERR_TOO_LARGE);
	ck_assert_str_eq(small, "");
	ck_assert_int_eq(json_copy_string(v, small, 0), ERR_TOO_LARGE);
	ck_assert_slice_eq(json_raw_string(v), "a\\u00e9\\ud83d\\ude00\\n\\\\");
	ck_assert_int_eq(json_unescape(root("1"), &b), ERR_INVALID);
	ck_assert_int_eq(json_copy_string(root("1"), small, 10), ERR_INVALID);
	ck_assert_slice_eq(json_raw_string(root("1")), "");
	/* "admin\0x" must not be read as "admin". */
	ck_assert_int_eq(
	    json_copy_string(root("\"a\\u0000b\""), small, 10), ERR_INVALID);
	ck_assert_str_eq(small, "");
	buf_release(&b);
	buf_init(&b, 3);
	ck_assert_int_eq(json_unescape(root("\"abcd\""), &b), ERR_TOO_LARGE);
	buf_release(&b);
	ck_assert_int_eq(json_unescape(root("\"\""), &b), 0);
	ck_assert_int_eq(json_to_i64(root("-12"), &i), 0);
	ck_assert_int_eq(i, -12);
	ck_assert_int_eq(json_to_i64(root("-0"), &i), 0);
	ck_assert_int_eq(json_to_i64(root("9223372036854775807"), &i), 0);
	ck_assert_int_eq(
	    json_to_i64(root("9223372036854775808"), &i), ERR_INVALID);
	ck_assert_int_eq(json_to_i64(root("12.0"), &i), ERR_INVALID);
	ck_assert_int_eq(json_to_i64(root("1e3"), &i), ERR_INVALID);
	ck_assert_int_eq(json_to_i64(root("\"1\""), &i), ERR_INVALID);
	ck_assert_int_eq(json_to_i64(root("null"), &i), ERR_INVALID);
	buf_release(&b);
}
END_TEST

START_TEST(test_text_bytes)
{
	ck_assert_uint_eq(
	    json_text_bytes(root("[\"abc\",1,{\"de\":\"\\n\"}]")), 3 + 2 + 1);
	ck_assert_uint_eq(json_text_bytes(root("{}")), 0);
	ck_assert_uint_eq(json_text_bytes(root("12")), 0);
	ck_assert_uint_eq(json_text_bytes(root("\"\\\"\\\\\"")), 2);
	ck_assert_uint_eq(
	    json_text_bytes(root("[\"0123456789abcdef\\u20ac\"]")), 19);
}
END_TEST

/* Ordinary documents need no memory at all. */
START_TEST(test_no_allocation)
{
	struct json_limits lim = {1 << 20, 64, 1000};
	unsigned long before;
	struct json v;
	struct buf b;
	size_t n = 0;
	int rc;

	buf_init(&b, 1 << 20);
	make_object(&b, "k", 200, -1);
	before = oom_allocations();
	rc = json_validate(buf_str(&b), &lim, NULL);
	if (json_path(json_root(buf_str(&b)), "k199.x", &v))
		n = json_text_bytes(json_root(buf_str(&b)));
	before = oom_allocations() - before;
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 600);
	ck_assert_uint_eq(before, 0);
	buf_release(&b);
}
END_TEST

START_TEST(test_oom)
{
	static char doc[200000];
	struct buf b;
	struct str s;

	buf_init(&b, sizeof(doc));
	make_object(&b, "k", 9000, -1);
	s = str_make(memcpy(doc, b.data, b.len), b.len);
	buf_release(&b);
	EACH_OOM
	{
		struct error e = {0};
		int rc = json_validate(s, NULL, &e);

		if (oom_hit()) {
			ck_assert_int_eq(rc, ERR_NOMEM);
			ck_assert_ptr_nonnull(strstr(e.text, "out of memory"));
		} else {
			ck_assert_msg(rc == 0, "%s", e.text);
		}
	}
	ck_assert_uint_ge(oom_failures(), 1);
	EACH_OOM
	{
		struct buf out;
		int rc;

		buf_init(&out, 100);
		rc = json_unescape(json_root(STR("\"a\\n\"")), &out);
		ck_assert_int_eq(rc, oom_hit() ? ERR_NOMEM : 0);
		buf_release(&out);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/json");

	UNIT_ADD(s, test_accepts);
	UNIT_ADD(s, test_refuses);
	UNIT_ADD(s, test_message_holds_no_content);
	UNIT_ADD(s, test_every_prefix);
	UNIT_ADD(s, test_limits);
	UNIT_ADD(s, test_depth_cap);
	UNIT_ADD(s, test_duplicates_at_every_size);
	UNIT_ADD(s, test_many_keys);
	UNIT_ADD(s, test_colliding_keys);
	UNIT_ADD(s, test_spans);
	UNIT_ADD(s, test_iterate);
	UNIT_ADD(s, test_keys);
	UNIT_ADD(s, test_strings);
	UNIT_ADD(s, test_text_bytes);
	UNIT_ADD(s, test_no_allocation);
	UNIT_ADD(s, test_oom);
	return unit_run(s);
}
