/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a worker's side of the journal: what was admitted is never dropped
 * for want of it, and what is not admitted for want of it was never there.
 */
#include <check.h>
#include <string.h>

#include "agent/metrics.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct kit k;
static struct journal_shard *s; /* the first of k */

static void
flush(void)
{
	ck_assert_int_eq(kit_flush(&k, 0), 0);
}

/* As long as records get. */
static void
longest(struct journal_usage *u, unsigned n)
{
	char text[TAGS_USER_MAX];

	memset(u, 0, sizeof(*u));
	memset(text, 'x', sizeof(text));
	kit_intent_of(&u->head, n);
	u->head.n_charges = BUNDLE_MAX_BUDGETS;
	u->head.worst.n[TC_COUNT - 1] = 1;
	u->tokens.n[TC_COUNT - 1] = 1;
	tags_add_user(&u->head.tags, str_make(text, sizeof(text)));
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(
		    tags_add(&u->head.tags, str_make("abcd" + i, 1),
			str_make(text, 59)),
		    0);
	memset(u->finish_reason, 'f', sizeof(u->finish_reason) - 1);
	memset(u->error_code, 'e', sizeof(u->error_code) - 1);
	memset(u->upstream_request_id, 'u', sizeof(u->upstream_request_id) - 1);
	memset(u->tier, 't', sizeof(u->tier) - 1);
}

/* The usage of all that is in flight, and intents of the same turn, find room
 * that was kept for them: no memory is asked for when requests end. */
START_TEST(test_room_is_kept)
{
	static struct journal_usage u[100];
	unsigned long before, after;
	int rc;

	for (unsigned n = 1; n <= 100; n += n < 40 ? 1 : 7) {
		unsigned late = n / 3; /* in the turn in which all end */

		s = kit_start(&k);
		for (unsigned i = 0; i < n; i++) {
			longest(&u[i], i);
			ck_assert_int_eq(journal_intent(s, &u[i].head), 0);
			if (i + late + 1 == n)
				flush();
		}
		before = oom_allocations();
		for (unsigned i = 0; i + late < n; i++)
			journal_usage(s, &u[i]);
		rc = journal_flush(s);
		after = oom_allocations();
		ck_assert_uint_eq(after, before);
		ck_assert_int_eq(rc, 0);
		ck_assert_uint_eq(s->open.count, late);
		kit_close(&k);
	}
}
END_TEST

/* The same with reservations that fell meanwhile, and usage that nobody
 * announced. */
START_TEST(test_room_for_more)
{
	static struct journal_usage u[40];
	unsigned long before;
	uint64_t ticket;
	bool hit;

	s = kit_start(&k);
	for (unsigned i = 0; i < 40; i++) {
		longest(&u[i], i);
		ck_assert_int_eq(journal_intent(s, &u[i].head), 0);
	}
	flush();
	for (unsigned i = 0; i < 40; i++) {
		struct journal_intent low = u[i].head;

		low.reserved--;
		ck_assert_int_eq(journal_lower(s, &low, &ticket), 0);
		ck_assert_uint_eq(ticket, i + 1);
	}
	before = oom_allocations();
	for (unsigned i = 0; i < 40; i++)
		journal_usage(s, &u[i]);
	ck_assert_uint_eq(oom_allocations(), before);
	/* No room for another: it is not counted as one, and the next is. */
	longest(&u[0], 77);
	do {
		oom_arm(1, NULL);
		journal_usage(s, &u[0]);
		hit = oom_hit();
		u[0].head.request_id[5]++;
	} while (!hit);
	ck_assert_int_eq(metric_sum(k.metrics, AM_SPOOL_DROPPED), 1);
	ck_assert_int_eq(s->usage.error, 0);
	journal_usage(s, &u[0]);
	ck_assert_int_eq(metric_sum(k.metrics, AM_SPOOL_DROPPED), 1);
	flush();
	ck_assert_uint_eq(atomic_load(&s->stream.last_seq), s->next_seq - 1);
	kit_close(&k);
}
END_TEST

/* An intent that finds no memory was never there. */
START_TEST(test_no_memory_for_intent)
{
	struct journal_intent i;
	unsigned failed = 0;
	int rc;

	for (unsigned n = 1; n < 10; n++) {
		bool hit;

		s = kit_start(&k);
		kit_intent_of(&i, 1);
		oom_arm(n, NULL);
		rc = journal_intent(s, &i);
		hit = oom_hit();
		failed += hit;
		ck_assert_int_eq(rc, hit ? ERR_NOMEM : 0);
		ck_assert_uint_eq(s->open.count, hit ? 0 : 1);
		ck_assert(journal_pending(s) == !hit);
		ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
		flush();
		kit_crash(&k); /* which one is billed? */
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_int_eq(kit_ship(&k), -1);
		ck_assert((kit_row(&k, 1) < 0) == hit);
		ck_assert_int_ge(kit_row(&k, 2), 0);
		kit_close(&k);
	}
	ck_assert_uint_ge(failed, 3); /* room, table, collected */
}
END_TEST

/* Usage of requests that nobody announced is kept up to a limit while the disk
 * is full; what is beyond is dropped and counted, has no number, and what was
 * announced is never dropped. */
START_TEST(test_usage_kept)
{
	const size_t most = (size_t)64 << 20;
	char text[TAGS_USER_MAX];
	struct journal_usage u;
	uint64_t seq;

	s = kit_start(&k);
	ck_assert_int_eq(kit_intent(&k, 0, 1), 0);
	flush();
	/* Records of 512 bytes: the limit is met to the byte. */
	for (size_t n = 1; n < 64 && s->usage.len != 512; n++) {
		longest(&u, 2);
		u.head.n_charges = 0;
		memset(&u.head.tags, 0, sizeof(u.head.tags));
		memset(text, 'x', sizeof(text));
		tags_add_user(&u.head.tags, str_make(text, 2 * n));
		memset(u.tier + 1, 0, sizeof(u.tier) - 1);
		memset(u.error_code + n % 2, 0, sizeof(u.error_code) - n % 2);
		s->usage.len = 0;
		s->next_seq = 1;
		journal_usage(s, &u);
	}
	ck_assert_uint_eq(s->usage.len, 512);
	while (s->usage.len <= most) {
		seq = s->next_seq;
		journal_usage(s, &u);
		ck_assert_uint_eq(s->next_seq, seq + 1);
	}
	ck_assert_uint_eq(s->usage.len, most + 512);
	ck_assert_int_eq(metric_sum(k.metrics, AM_SPOOL_DROPPED), 0);
	seq = s->next_seq;
	journal_usage(s, &u);
	ck_assert_int_eq(metric_sum(k.metrics, AM_SPOOL_DROPPED), 1);
	ck_assert_uint_eq(s->next_seq, seq);
	kit_usage(&k, 0, 1, 5);
	ck_assert_uint_eq(s->next_seq, seq + 1);
	ck_assert_int_eq(metric_sum(k.metrics, AM_SPOOL_DROPPED), 1);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("agent/shard_memory");

	UNIT_ADD(suite, test_room_is_kept);
	UNIT_ADD(suite, test_room_for_more);
	UNIT_ADD(suite, test_no_memory_for_intent);
	UNIT_ADD(suite, test_usage_kept);
	return unit_run(suite);
}
