/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learned shares of reservations: quantiles within a bucket of the exact ones,
 * fading, a table that stays small; and the verdict that uses them.
 */
#include "agent/money/learn.h"

#include <sys/mman.h>
#include <unistd.h>

#include "agent/money/lease_table.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

static struct learn l;

START_TEST(test_quantiles)
{
	memset(&l, 0, sizeof(l));
	for (int i = 0; i < LEARN_MIN - 1; i++)
		learn_settled(&l, 1, 2, 10, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 2, 900, 0), -1);
	learn_settled(&l, 1, 2, 10, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 2, 900, 0), 16);
	ck_assert_int_eq(learn_share(&l, 1, 2, 900, 1), 8);
	ck_assert_int_eq(learn_share(&l, 1, 3, 900, 0), -1);
	/* Every share once, in an order that has nothing to do with them. */
	for (int i = 0; i < 1000; i++)
		learn_settled(&l, 7, 7, i * 379 % 1000, 1000);
	for (unsigned part = 100; part < 1000; part += 50) {
		ck_assert_int_ge(learn_share(&l, 7, 7, part, 0), (int)part - 1);
		ck_assert_int_le(learn_share(&l, 7, 7, part, 1), (int)part + 1);
	}
	/* Where nothing was reserved or no model is known nothing is learned.
	 */
	for (int i = 0; i < 2 * LEARN_MIN; i++) {
		learn_settled(&l, 8, 8, 5, 0);
		learn_settled(&l, 0, 8, 5, 10);
	}
	ck_assert_int_eq(learn_share(&l, 8, 8, 500, 0), -1);
	ck_assert_int_eq(learn_share(&l, 0, 8, 500, 0), -1);
	/* Nonsense is no worse than the worst. */
	learn_settled(&l, 7, 7, INT64_MAX, 1);
	learn_settled(&l, 7, 7, -5, INT64_MAX);
	learn_settled(&l, 7, 7, 5, 0);
	ck_assert_int_eq(learn_share(&l, 7, 7, 1000, 0), 1000);
}
END_TEST

START_TEST(test_fades)
{
	memset(&l, 0, sizeof(l));
	for (int i = 0; i < 5000; i++) {
		learn_settled(&l, 1, 1, 900, 1000);
		ck_assert_int_eq(learn_share(&l, 1, 1, 500, 0),
		    i + 1 < LEARN_MIN ? -1 : 1000);
	}
	for (int i = 0; i < 2 * LEARN_MOST; i++)
		learn_settled(&l, 1, 1, 20, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 1, 500, 0), 23);
}
END_TEST

static void
settle(unsigned n, int64_t share)
{
	while (n-- > 0)
		learn_settled(&l, 1, 1, share, 1000);
}

/* A bucket holds its upper end and is never said to be less than it: who waits
 * for what others give back would wait for money that does not come. */
START_TEST(test_ends)
{
	static const int ends[LEARN_BUCKETS] = {
	    8, 16, 23, 31, 47, 62, 94, 125, 188, 250, 375, 500, 750, 1000};

	for (int i = 0; i < LEARN_BUCKETS; i++) {
		memset(&l, 0, sizeof(l));
		settle(LEARN_MIN, ends[i]);
		ck_assert_int_eq(learn_share(&l, 1, 1, 1000, 0), ends[i]);
		ck_assert_int_eq(
		    learn_share(&l, 1, 1, 1000, 1), i == 0 ? 0 : ends[i - 1]);
		ck_assert_int_eq(learn_share(&l, 1, 1, 5000, 0), 1000);
	}
	/* half of them are half of them */
	memset(&l, 0, sizeof(l));
	settle(LEARN_MIN, 0);
	settle(LEARN_MIN, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 1, 500, 0), 8);
	ck_assert_int_eq(learn_share(&l, 1, 1, 501, 0), 1000);
	ck_assert_int_eq(learn_share(&l, 1, 1, 501, 1), 750);
	/* of one too few, one more settles it */
	settle(1, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 1, 500, 0), 1000);
}
END_TEST

/* At LEARN_MOST all counts are halved: from then on half as many outvote them.
 */
START_TEST(test_halves)
{
	memset(&l, 0, sizeof(l));
	settle(LEARN_MOST, 5);
	settle(LEARN_MOST / 2 - 1, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 1, 500, 0), 8);
	memset(&l, 0, sizeof(l));
	settle(LEARN_MOST, 5);
	settle(LEARN_MOST / 4, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 1, 1000 * 2 / 3, 0), 8);
	settle(1, 1000);
	ck_assert_int_eq(learn_share(&l, 1, 1, 1000 * 2 / 3, 0), 1000);
}
END_TEST

/* Pairs that share a model or a key are different ones, and what one of them
 * forgets, the others know. */
START_TEST(test_apart)
{
	static bool there[2][100];
	unsigned n = 0;

	memset(&l, 0, sizeof(l));
	for (uint64_t i = 0; i < 100; i++)
		for (int k = 0; k < LEARN_MIN; k++) {
			learn_settled(&l, 5, 1000 + i, i % 2 ? 5 : 900, 1000);
			learn_settled(&l, 2000 + i, 5, i % 2 ? 900 : 5, 1000);
		}
	for (uint64_t i = 0; i < 100; i++) {
		int a = learn_share(&l, 5, 1000 + i, 900, 0);
		int b = learn_share(&l, 2000 + i, 5, 900, 0);

		there[0][i] = a >= 0;
		there[1][i] = b >= 0;
		n += there[0][i] + there[1][i];
		ck_assert(a < 0 || a == (i % 2 ? 8 : 1000));
		ck_assert(b < 0 || b == (i % 2 ? 1000 : 8));
	}
	ck_assert_uint_ge(n, 180);
	for (uint64_t i = 0; i < 100; i++)
		for (int k = 0; there[0][i] && k < LEARN_MOST; k++)
			learn_settled(&l, 5, 1000 + i, 100, 1000);
	for (uint64_t i = 0; i < 100; i++) {
		if (there[0][i])
			ck_assert_int_eq(
			    learn_share(&l, 5, 1000 + i, 900, 0), 125);
		if (there[1][i])
			ck_assert_int_eq(learn_share(&l, 2000 + i, 5, 900, 0),
			    i % 2 ? 1000 : 8);
	}
}
END_TEST

/* A busy pair keeps its row while thousands of others come and go. */
START_TEST(test_many)
{
	memset(&l, 0, sizeof(l));
	for (uint64_t i = 0; i < 200000; i++) {
		learn_settled(&l, 5, 1000 + i % 20000, 500, 1000);
		learn_settled(&l, 5, 5, 100, 1000);
	}
	ck_assert_int_eq(learn_share(&l, 5, 5, 500, 0), 125);
}
END_TEST

/* Behind the table there is nothing to read. */
START_TEST(test_end_of_table)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t size = (sizeof(struct learn) + page - 1) / page * page;
	uint8_t *p = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct learn *at;

	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(mprotect(p + size, page, PROT_NONE), 0);
	at = (struct learn *)(void *)(p + size - sizeof(*at));
	for (uint64_t i = 1; i < 4000; i++)
		ck_assert_int_eq(learn_share(at, i, i, 500, 0), -1);
	for (uint64_t i = 1; i < 4000; i++)
		learn_settled(at, i, i, 500, 1000);
	ck_assert_int_eq(munmap(p, size + page), 0);
}
END_TEST

/* 100 wanted, 20 here or free, 50 in flight at others and 60 here: not
 * exhausted; worth waiting for unless they usually cost most of it. */
START_TEST(test_verdict)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = lease_table_cell(t, 7, STR("acme.b"));
	struct budget_setting set = {.cell = c, .limit = 1000};
	struct budget_cell *path[1] = {c}, *short_of;
	struct reservation r;
	Hg__LeaseGrant g, *pg = &g;
	uint64_t gen;

	lease_table_publish(t, &set, 1);
	hg__lease_grant__init(&g);
	g.budget_uid = 7;
	g.period_start = 1;
	g.period_end = INT64_MAX;
	g.granted = 70;
	g.fence_ms = g.valid_ms = 100000;
	g.recall_to = -1;
	(void)lease_table_reply(t, 1, 1, &pg, 1);
	ck_assert_int_eq(lease_reserve_path(path, 1, 60, 2, &r, &short_of), 0);
	gen = lease_wait(c, 100);
	ck_assert_int_eq(lease_verdict(c, 100, gen, 0), LEASE_WAIT);
	g.exhausted = true;
	g.avail = 10;
	g.busy = 50;
	(void)lease_table_reply(t, 1, 1, &pg, 1);
	ck_assert_int_eq(lease_verdict(c, 131, gen, 0), LEASE_EXHAUSTED);
	ck_assert_int_eq(lease_verdict(c, 130, gen, 0), LEASE_WAIT);
	ck_assert_int_eq(lease_verdict(c, 100, gen, 250), LEASE_WAIT);
	ck_assert_int_eq(lease_verdict(c, 100, gen, 300), LEASE_BUSY);
	ck_assert_int_eq(lease_verdict(c, 20, gen, 1000), LEASE_WAIT);
	ck_assert_int_eq(lease_verdict(c, 21, gen, 1000), LEASE_BUSY);
	lease_wait_done(c, 100);
	lease_cancel(&r);
	lease_table_free(t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("money/learn");

	UNIT_ADD(s, test_quantiles);
	UNIT_ADD(s, test_fades);
	UNIT_ADD(s, test_ends);
	UNIT_ADD(s, test_halves);
	UNIT_ADD(s, test_apart);
	UNIT_ADD(s, test_many);
	UNIT_ADD(s, test_end_of_table);
	UNIT_ADD(s, test_verdict);
	return unit_run(s);
}
