/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes over the wire in binary or signed: frames of AWS event streams
 * (vectors that other implementations agree on), AWS signatures, signatures
 * of thinking, stored responses, scenarios.
 */
#include "tests/provider/auth.h"
#include "tests/provider/frame.h"
#include "tests/provider/scenario.h"
#include "tests/provider/store.h"
#include "tests/unit/support/unit.h"

START_TEST(test_event_stream)
{
	static const char want[] =
	    "0000009400000057b4ab9aee0b3a6576656e742d74797065070011636f6e7465"
	    "6e74426c6f636b44656c74610d3a636f6e74656e742d74797065070010617070"
	    "6c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576"
	    "656e747b22636f6e74656e74426c6f636b496e646578223a302c2264656c7461"
	    "223a7b2274657874223a224869227d7d1f944657";
	char hex[512];
	struct buf b;

	buf_init(&b, 4096);
	frame_binary(&b, "event", "contentBlockDelta",
	    STR("{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hi\"}}"));
	ck_assert_uint_eq(b.len, 148);
	hex_encode(b.data, b.len, hex);
	ck_assert_str_eq(hex, want);
	buf_clear(&b);
	frame_binary(&b, "exception", "throttlingException",
	    STR("{\"message\":\"Too many requests\"}"));
	ck_assert_uint_eq(b.len, 144);
	hex_encode(b.data + 140, 4, hex);
	ck_assert_str_eq(hex, "e67f8005");
	buf_release(&b);
}
END_TEST

/* Read a request whose lines end in \n. */
static struct http_request
request(struct buf *b, const char *text)
{
	struct http_request r;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buf_addc(b, '\r');
		buf_addc(b, *text);
	}
	ck_assert_int_eq(http_parse(b, &r), 1);
	return r;
}

/* Signed by @smithy/signature-v4 at 2026-01-01T00:00:00Z. */
#define SIGNED_AT 1767225600
#define SIGNED                                                               \
	"POST /model/anthropic.sim-v1%3A0/converse HTTP/1.1\n"               \
	"host: 127.0.0.1:7420\n"                                             \
	"content-type: application/json\n"                                   \
	"x-amz-date: 20260101T000000Z\n"                                     \
	"x-amz-security-token: tok\n"                                        \
	"x-amz-content-sha256: "                                             \
	"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n" \
	"authorization: AWS4-HMAC-SHA256 Credential=AKIASIM/20260101/"       \
	"us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;"   \
	"x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature="   \
	"c8ae9634d1e31f4fffbef84a43baf8706aed4ac6894eaafdd71a6bb0c65a51eb\n" \
	"content-length: 2\n\n{}"

START_TEST(test_sigv4)
{
	struct options o = {.aws_access_key = "AKIASIM",
	    .aws_secret_key = "secret/sim+key",
	    .aws_session_token = "tok"};
	const char *type = NULL;
	struct http_request r;
	struct buf b;

	buf_init(&b, 65536);
	r = request(&b, SIGNED);
	ck_assert_ptr_null(sigv4_check(&o, &r, SIGNED_AT + 60, &type));
	ck_assert_ptr_nonnull(sigv4_check(&o, &r, SIGNED_AT + 400, &type));
	ck_assert_str_eq(type, "InvalidSignatureException");
	o.aws_secret_key[0] = 'S';
	ck_assert_ptr_nonnull(sigv4_check(&o, &r, SIGNED_AT, &type));
	o.aws_secret_key[0] = 's';
	r.body = STR("[]");
	ck_assert_ptr_nonnull(sigv4_check(&o, &r, SIGNED_AT, &type));
	r.body = STR("{}");
	o.aws_session_token[0] = 'x';
	ck_assert_ptr_nonnull(sigv4_check(&o, &r, SIGNED_AT, &type));
	ck_assert_str_eq(type, "UnrecognizedClientException");
	buf_release(&b);
}
END_TEST

START_TEST(test_signatures)
{
	struct buf b;

	buf_init(&b, 4096);
	sign_add(&b, 7, 't', STR(" the thought"));
	ck_assert(sign_check(buf_str(&b), 't', STR(" the thought")));
	ck_assert(!sign_check(buf_str(&b), 't', STR(" the thoughts")));
	ck_assert(!sign_check(buf_str(&b), 'g', STR(" the thought")));
	ck_assert(!sign_check(STR("AAAA"), 't', STR(" the thought")));
	ck_assert(!sign_check(STR(""), 't', STR("")));
	b.data[3] = b.data[3] == 'A' ? 'B' : 'A';
	ck_assert(!sign_check(buf_str(&b), 't', STR(" the thought")));
	buf_release(&b);
}
END_TEST

START_TEST(test_store)
{
	struct store *s = store_new();
	struct buf b;
	char id[32];

	buf_init(&b, 4096);
	for (int i = 0; i < STORE_MAX + 10; i++) {
		(void)snprintf(id, sizeof(id), "resp_%d", i);
		store_put(s, str_of(id), STR("{}"), STR("[]"));
	}
	ck_assert(!store_get(s, STR("resp_9"), false, NULL));
	ck_assert(store_get(s, STR("resp_10"), false, NULL));
	ck_assert(store_get(s, str_of(id), true, &b));
	ck_assert(str_eqz(buf_str(&b), "[]"));
	ck_assert(store_delete(s, str_of(id)));
	ck_assert(!store_delete(s, str_of(id)));
	buf_release(&b);
	store_free(s);
}
END_TEST

START_TEST(test_scenario)
{
	struct scenario *s = scenario_new();
	struct error e = {0};
	struct http_request r = {
	    .path = STR("/v1/messages"), .body = STR("{\"a\":\"zap\"}")};
	struct knobs k;

	ck_assert(!scenario_next(s, &r, STR("m"), &k));
	ck_assert_int_eq(
	    scenario_load(s,
		STR("[{\"match\":{\"path\":\"/v1/m\",\"body\":\"zap\"},"
		    "\"times\":2,\"knobs\":{\"fault\":\"429\"}},"
		    "{\"match\":{\"model\":\"n\"},\"knobs\":{\"tokens\":3}},"
		    "{\"times\":0,\"knobs\":{\"tokens\":4}}]"),
		&e),
	    0);
	for (int i = 0; i < 2; i++) {
		ck_assert(scenario_next(s, &r, STR("m"), &k));
		ck_assert_int_eq(k.fault, FAULT_429);
	}
	ck_assert(scenario_next(s, &r, STR("n"), &k));
	ck_assert_int_eq(k.tokens, 3);
	ck_assert(scenario_next(s, &r, STR("n"), &k));
	ck_assert_int_eq(k.tokens, 4);
	ck_assert_int_ne(
	    scenario_load(s, STR("[{\"knobs\":{\"x\":1}}]"), &e), 0);
	ck_assert(scenario_next(s, &r, STR("n"), &k)); /* the old ones stay */
	scenario_free(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("provider/wire");

	UNIT_ADD(s, test_event_stream);
	UNIT_ADD(s, test_sigv4);
	UNIT_ADD(s, test_signatures);
	UNIT_ADD(s, test_store);
	UNIT_ADD(s, test_scenario);
	return unit_run(s);
}
