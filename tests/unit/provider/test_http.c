/* SPDX-License-Identifier: Apache-2.0 */
/* Reading requests: whole, in pieces, chunked, and what is no HTTP. */
#include "tests/provider/http.h"
#include "tests/unit/support/unit.h"

static int
parsed(const char *text, size_t n, struct http_request *r, struct buf *in)
{
	buf_clear(in);
	ck_assert_int_eq(buf_add(in, text, n), 0);
	return http_parse(in, r);
}

START_TEST(test_every_prefix)
{
	static const char *const whole[] = {
	    "GET /sim/bill?after=3 HTTP/1.1\r\nhost: a\r\n\r\n",
	    "POST /v1/x HTTP/1.1\r\nContent-Length: 5\r\n"
	    "X-Request-Id: id-1\r\n\r\nhello",
	    "POST /v1/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
	    "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"};
	struct http_request r;
	struct buf in;

	buf_init(&in, 65536);
	for (int w = 0; w < 3; w++) {
		size_t len = strlen(whole[w]);

		for (size_t n = 0; n < len; n++)
			ck_assert_int_eq(parsed(whole[w], n, &r, &in), 0);
		ck_assert_int_eq(parsed(whole[w], len, &r, &in), 1);
		ck_assert_uint_eq(r.total, len);
		ck_assert(w == 0 || str_eqz(r.body, "hello"));
		ck_assert(w != 0 || str_eqz(r.query, "after=3"));
		ck_assert(w != 1 || str_eqz(r.request_id, "id-1"));
	}
	buf_release(&in);
}
END_TEST

START_TEST(test_refused)
{
	static const char *const bad[] = {"nonsense\r\n\r\n",
	    "GET / SPDY/1\r\n\r\n",
	    "POST / HTTP/1.1\r\ncontent-length: 1\r\n"
	    "transfer-encoding: chunked\r\n\r\n",
	    "POST / HTTP/1.1\r\ncontent-length: 1\r\n"
	    "content-length: 1\r\n\r\nx",
	    "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
	    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"};
	struct http_request r;
	struct buf in;

	buf_init(&in, 65536);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(
		    parsed(bad[i], strlen(bad[i]), &r, &in) < 0, "%s", bad[i]);
	buf_release(&in);
}
END_TEST

START_TEST(test_continue)
{
	static const char head[] = "POST / HTTP/1.1\r\ncontent-length: 5\r\n"
				   "Expect: 100-continue\r\n\r\n";
	struct http_request r;
	struct buf in;

	buf_init(&in, 65536);
	ck_assert_int_eq(parsed(head, sizeof(head) - 1, &r, &in), 0);
	ck_assert(r.want_continue);
	buf_release(&in);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("provider/http");

	UNIT_ADD(s, test_every_prefix);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_continue);
	return unit_run(s);
}
