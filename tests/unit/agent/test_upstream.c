/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/upstream over real sockets, through both engines: bodies from files
 * that still grow, methods, what is told of the answer's head, and that no
 * connection is used for another provider.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/upstream/upstream.h"
#include "tests/unit/agent/http_kit.h"
#include "tests/unit/support/unit.h"

#define BIG ((size_t)3 << 20)

struct bench {
	struct loop loop;
	struct upstream *up;
	struct http_kit kit;
	struct b_provider p;
	struct up_head head;
	struct up_result res;
	char body[256];
	bool done;
};

static const char *
answer(void *ctx, unsigned n, const char *request)
{
	(void)ctx;
	(void)n;
	(void)request;
	return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
	       "content-type: application/vnd.amazon.eventstream\r\n"
	       "x-amzn-requestid: amz-1\r\n"
	       "x-amzn-ErrorType: ThrottlingException:http://x/\r\n\r\nok";
}

static void
on_head(void *ctx, const struct up_head *h)
{
	((struct bench *)ctx)->head = *h;
}

static void
on_data(void *ctx, const char *p, size_t n)
{
	struct bench *b = ctx;
	size_t at = strlen(b->body);

	(void)snprintf(b->body + at, sizeof(b->body) - at, "%.*s", (int)n, p);
}

static void
on_done(void *ctx, const struct up_result *r)
{
	struct bench *b = ctx;

	b->res = *r;
	b->done = true;
}

static const struct up_events events = {on_head, on_data, on_done};

/* i 0: our own engine; 1: libcurl, which host names go to. */
static void
bench_init(struct bench *b, int i)
{
	static const struct up_limits lim = {64, 8, 16384, 60 * NS_PER_S, NULL};
	struct error e = {0};

	memset(b, 0, sizeof(*b));
	http_kit_start(&b->kit, answer, NULL);
	ck_assert_int_eq(loop_init(&b->loop, clock_system(), 400, &e), 0);
	b->up = upstream_new(&b->loop, &lim, &e);
	ck_assert_ptr_nonnull(b->up);
	b->p = (struct b_provider){.name = STR("p"),
	    .scheme = STR("http"),
	    .host = i == 0 ? STR("127.0.0.1") : STR("ip6-localhost"),
	    .port = b->kit.port,
	    .path_prefix = STR("/v1"),
	    .auth_header = STR("Authorization: Bearer t")};
	if (i == 1)
		b->p.host = STR("127.1"); /* numeric for the resolver only */
}

static void
bench_release(struct bench *b)
{
	upstream_free(b->up);
	loop_release(&b->loop);
	http_kit_stop(&b->kit);
	http_kit_release(&b->kit);
}

static void
turn(struct bench *b)
{
	bool more = upstream_turn(b->up);

	loop_end_turn(&b->loop);
	loop_poll(&b->loop, more ? 0 : 20 * NS_PER_MS);
}

static struct up_call *
start(struct bench *b, struct up_request *rq)
{
	struct up_call *c = NULL;

	rq->provider = &b->p;
	if (rq->path.len == 0)
		rq->path = STR("/x");
	rq->connect_timeout_ms = 5000;
	rq->first_byte_timeout_ms = 10000;
	rq->idle_timeout_ms = 5000;
	b->done = false;
	b->body[0] = '\0';
	ck_assert_int_eq(up_start(b->up, rq, &events, b, &c), 0);
	return c;
}

static void
finish(struct bench *b)
{
	int64_t end = clock_mono(clock_system()) + 20 * NS_PER_S;

	while (!b->done && clock_mono(clock_system()) < end)
		turn(b);
	ck_assert_msg(b->done, "no end");
	ck_assert_msg(b->res.error == 0, "%s", b->res.text);
	ck_assert_str_eq(b->body, "ok");
}

START_TEST(test_heads)
{
	struct up_request rq = {.parts = {STR("{"), STR("}")}, .n_parts = 2};
	struct bench b;

	bench_init(&b, _i);
	(void)start(&b, &rq);
	finish(&b);
	ck_assert_int_eq(b.head.status, 200);
	ck_assert(b.head.amz_stream && !b.head.event_stream && !b.head.ndjson);
	ck_assert_str_eq(
	    b.head.content_type, "application/vnd.amazon.eventstream");
	ck_assert_str_eq(b.head.amzn_errortype, "ThrottlingException");
	ck_assert_str_eq(b.head.request_id, "amz-1");
	bench_release(&b);
}
END_TEST

START_TEST(test_methods)
{
	static const char *const methods[] = {"GET", "DELETE", "POST"};
	struct bench b;

	bench_init(&b, _i);
	for (unsigned i = 0; i < 3; i++) {
		struct up_request rq = {
		    .method = methods[i], .path = STR("/responses/r1")};
		char want[64];

		(void)start(&b, &rq);
		finish(&b);
		(void)snprintf(want, sizeof(want),
		    "%s /v1/responses/r1 HTTP/1.1\r\n", methods[i]);
		ck_assert_ptr_eq(
		    strstr(b.kit.requests[i], want), b.kit.requests[i]);
		ck_assert_ptr_nonnull(
		    strstr(b.kit.requests[i], "Authorization: Bearer t\r\n"));
		ck_assert(
		    (strcasestr(b.kit.requests[i],
			 "\r\ncontent-length: 0\r\n") != NULL) == (i == 2));
	}
	ck_assert_uint_eq(atomic_load(&b.kit.n_connections), 1);
	bench_release(&b);
}
END_TEST

/* A body of parts and a file; the file grows while it is sent. */
START_TEST(test_file_body)
{
	struct up_request rq = {.parts = {STR("head:")}, .n_parts = 1};
	char *big = malloc(BIG + 1), *at;
	struct up_call *c;
	size_t have = 0;
	struct bench b;
	int fd;

	bench_init(&b, _i);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)('a' + i * 7 % 26);
	big[BIG] = '\0';
	fd = memfd_create("body", 0);
	ck_assert_int_eq(write(fd, "skipped", 7), 7);
	rq.body_fd = fd;
	rq.body_fd_offset = 7;
	rq.body_fd_len = (int64_t)BIG;
	c = start(&b, &rq);
	while (have < BIG) {
		size_t n = have % 2 ? 100001 : 250000;

		if (n > BIG - have)
			n = BIG - have;
		for (unsigned i = 0; i < 5; i++)
			turn(&b);
		ck_assert(!b.done);
		ck_assert_int_eq(write(fd, big + have, n), (ssize_t)n);
		have += n;
		up_body_ready(c);
	}
	finish(&b);
	ck_assert(b.res.sent_all);
	at = strstr(b.kit.requests[0], "\r\n\r\nhead:");
	ck_assert_ptr_nonnull(at);
	ck_assert_uint_eq(strlen(at + 9), BIG);
	ck_assert_int_eq(memcmp(at + 9, big, BIG), 0);
	close(fd);
	free(big);
	bench_release(&b);
}
END_TEST

START_TEST(test_pools)
{
	struct up_request rq = {.n_parts = 0};
	struct bench b;

	bench_init(&b, _i);
	for (unsigned i = 0; i < 3; i++) {
		(void)start(&b, &rq);
		finish(&b);
	}
	ck_assert_uint_eq(upstream_connects(b.up), 1);
	/* The same place with another credential. */
	b.p.pool_id[3] = 1;
	(void)start(&b, &rq);
	finish(&b);
	ck_assert_uint_eq(upstream_connects(b.up), 2);
	bench_release(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/upstream");
	TCase *tc = tcase_create("upstream");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_heads, 0, 2);
	tcase_add_loop_test(tc, test_methods, 0, 2);
	tcase_add_loop_test(tc, test_file_body, 0, 2);
	tcase_add_loop_test(tc, test_pools, 0, 2);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
