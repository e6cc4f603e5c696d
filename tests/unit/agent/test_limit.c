/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates and concurrency: bursts, refill, all-or-nothing, correction, threads.
 */
#include <pthread.h>
#include <string.h>

#include "agent/policy/limit.h"
#include "common/clock.h"
#include "tests/unit/support/unit.h"

static struct limit_cell cell;
static struct limit_cell *const one[] = {&cell};

static void
setup(int64_t rpm, int64_t tpm, int64_t conc)
{
	struct limit_values v = {.rpm = rpm, .tpm = tpm, .max_conc = conc};

	memset(&cell, 0, sizeof(cell));
	limit_set(&cell, &v);
}

START_TEST(test_requests)
{
	struct limit_verdict v;
	int64_t now = 1000 * NS_PER_S, rl, tl, rr, tr;
	int i;

	setup(60, 0, 0);
	for (i = 0; i < 60; i++)
		ck_assert_int_eq(limit_take(one, 1, 1, now, &v), 0);
	limit_remaining(&cell, now, &rl, &tl, &rr, &tr);
	ck_assert_int_eq(rl, 0);
	ck_assert_int_eq(rr, 60000);
	ck_assert_int_eq(limit_take(one, 1, 1, now, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(v.which, LIMIT_REQUESTS);
	ck_assert_int_eq(v.limit, 60);
	ck_assert_int_eq(v.retry_ms, 1000);
	/* what retry_ms says is when it works */
	ck_assert_int_eq(
	    limit_take(one, 1, 1, now + 999 * NS_PER_MS, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(limit_take(one, 1, 1, now + 1000 * NS_PER_MS, &v), 0);
	ck_assert_int_eq(atomic_load(&cell.conc), 61);
	limit_remaining(&cell, now + 31 * NS_PER_S, &rl, &tl, &rr, &tr);
	ck_assert_int_eq(rl, 30);
}
END_TEST

START_TEST(test_tokens)
{
	struct limit_verdict v;
	int64_t now = 1000 * NS_PER_S, rl, tl, rr, tr;

	setup(0, 600, 0);
	ck_assert_int_eq(limit_take(one, 1, 500, now, &v), 0);
	ck_assert_int_eq(limit_take(one, 1, 200, now, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(v.which, LIMIT_TOKENS);
	ck_assert_int_eq(v.retry_ms, 10000);
	/* the answer was shorter: 400 tokens come back */
	limit_done(one, 1, -400, now);
	ck_assert_int_eq(limit_take(one, 1, 200, now, &v), 0);
	limit_remaining(&cell, now, &rl, &tl, &rr, &tr);
	ck_assert_int_eq(tl, 300);
	/* longer than thought: a debt */
	limit_done(one, 1, 600, now);
	ck_assert_int_eq(limit_take(one, 1, 1, now, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(atomic_load(&cell.conc), 0);
	limit_remaining(&cell, now, &rl, &tl, &rr, &tr);
	ck_assert_int_eq(tl, 0);
}
END_TEST

START_TEST(test_larger_than_bucket)
{
	struct limit_verdict v;
	int64_t now = 1000 * NS_PER_S;

	setup(0, 600, 0);
	ck_assert_int_eq(limit_take(one, 1, 6000, now, &v), 0);
	ck_assert_int_eq(
	    limit_take(one, 1, 1, now + 60 * NS_PER_S, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(limit_take(one, 1, 1, now + 541 * NS_PER_S, &v), 0);
}
END_TEST

/* A burst of its own: below a minute's quota and above it. */
START_TEST(test_burst)
{
	struct limit_values values = {.rpm = 60, .req_burst = 5};
	struct limit_verdict v;
	int64_t now = 1000 * NS_PER_S, rl, tl, rr, tr;
	int i;

	memset(&cell, 0, sizeof(cell));
	limit_set(&cell, &values);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(limit_take(one, 1, 1, now, &v), 0);
	ck_assert_int_eq(limit_take(one, 1, 1, now, &v), ERR_RATE_LIMITED);
	limit_remaining(&cell, now + 2 * NS_PER_S, &rl, &tl, &rr, &tr);
	ck_assert_int_eq(rl, 2);
	ck_assert_int_eq(rr, 3000);
	/* Raised: what is there stays, more flows in up to the new burst. */
	values.req_burst = 200;
	limit_set(&cell, &values);
	ck_assert_int_eq(limit_take(one, 1, 1, now, &v), ERR_RATE_LIMITED);
	now += 1000 * NS_PER_S;
	limit_remaining(&cell, now, &rl, &tl, &rr, &tr);
	ck_assert_int_eq(rl, 60); /* a minute's quota is what is told */
	for (i = 0; i < 200; i++)
		ck_assert_int_eq(limit_take(one, 1, 1, now, &v), 0);
	ck_assert_int_eq(limit_take(one, 1, 1, now, &v), ERR_RATE_LIMITED);
}
END_TEST

/* What an answer took beyond what was asked for is paid off, up to a bound. */
START_TEST(test_debt)
{
	struct limit_verdict v;
	int64_t now = 1000 * NS_PER_S;

	setup(0, 600, 0);
	ck_assert_int_eq(limit_take(one, 1, 10, now, &v), 0);
	limit_done(one, 1, 1190, now); /* 600 too much */
	ck_assert_int_eq(
	    limit_take(one, 1, 1, now + 60 * NS_PER_S, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(limit_take(one, 1, 1, now + 61 * NS_PER_S, &v), 0);
	limit_done(one, 1, 1000000, now + 61 * NS_PER_S);
	ck_assert_int_eq(
	    limit_take(one, 1, 1, now + 655 * NS_PER_S, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(limit_take(one, 1, 1, now + 662 * NS_PER_S, &v), 0);
}
END_TEST

START_TEST(test_all_or_nothing)
{
	static struct limit_cell a, b;
	struct limit_cell *const both[] = {&a, &b};
	struct limit_verdict v;
	const struct limit_values va = {.rpm = 100, .tpm = 1000},
				  vb = {.max_conc = 1};
	int64_t now = 1000 * NS_PER_S, level;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	limit_set(&a, &va);
	limit_set(&b, &vb);
	ck_assert_int_eq(limit_take(both, 2, 10, now, &v), 0);
	level = atomic_load(&a.req.level);
	ck_assert_int_eq(limit_take(both, 2, 10, now, &v), ERR_RATE_LIMITED);
	ck_assert_int_eq(v.which, LIMIT_CONCURRENCY);
	ck_assert_ptr_eq(v.cell, &b);
	ck_assert_int_eq(atomic_load(&a.req.level), level);
	ck_assert_int_eq(atomic_load(&a.conc), 1);
	ck_assert_int_eq(atomic_load(&b.conc), 1);
	limit_done(both, 2, 0, now);
	ck_assert_int_eq(limit_take(both, 2, 10, now, &v), 0);
}
END_TEST

static void *
taker(void *arg)
{
	struct limit_verdict v;
	int i, *got = arg;

	for (i = 0; i < 20000; i++) {
		if (limit_take(one, 1, 1, 1000 * NS_PER_S, &v) == 0) {
			(*got)++;
			limit_done(one, 1, 0, 1000 * NS_PER_S);
		}
	}
	return NULL;
}

START_TEST(test_threads_never_pass_the_rate)
{
	pthread_t t[4];
	int got[4] = {0}, i, sum = 0;

	setup(500, 0, 0);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(
		    pthread_create(&t[i], NULL, taker, &got[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		sum += got[i];
	}
	ck_assert_int_eq(sum, 500);
	ck_assert_int_eq(atomic_load(&cell.conc), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/limit");

	UNIT_ADD(s, test_requests);
	UNIT_ADD(s, test_tokens);
	UNIT_ADD(s, test_larger_than_bucket);
	UNIT_ADD(s, test_burst);
	UNIT_ADD(s, test_debt);
	UNIT_ADD(s, test_all_or_nothing);
	UNIT_ADD(s, test_threads_never_pass_the_rate);
	return unit_run(s);
}
