/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new segment takes over all that the old ones are still needed for: they are
 * deleted as soon as it is durable.
 */
#include <errno.h>

#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/unit.h"

static struct kit k;

/* The disk fills up in the turn that begins a segment, and what waits to be
 * written is the usage of a request of an older one. When that is shipped and
 * deleted, and then the process dies, the request is billed all the same. */
START_TEST(test_usage_waits)
{
	unsigned full = 0;

	for (long at = 1; at <= 6; at++) {
		kit_open(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_int_eq(kit_intent(&k, 0, 1), 0);
		ck_assert_int_eq(kit_intent(&k, 0, 2), 0); /* stays open */
		kit_request(&k, 0, 10, 1);
		kit_usage(&k, 0, 1, 7);
		k.j->opt.segment_size = 300; /* this turn begins one */
		k.io.op = IO_WRITE;
		k.io.countdown = at;
		k.io.sticky = 1;
		k.io.errnum = ENOSPC;
		if (kit_flush(&k, 0) != 0)
			full++;
		k.io.countdown = -1; /* somebody else made room */
		k.io.sticky = 0;
		journal_sync_turn(k.j);
		ck_assert_int_eq(kit_ship(&k), -1);
		kit_crash(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_int_eq(kit_ship(&k), -1);
		ck_assert_msg(kit_row(&k, 1) >= 0, "lost at write %ld", at);
		ck_assert_int_ge(kit_row(&k, 2), 0);
		ck_assert_int_ge(kit_row(&k, 10), 0);
		kit_close(&k);
	}
	ck_assert_uint_ge(full, 3);
}
END_TEST

/* So that it is seen which write is which. */
START_TEST(test_usage_goes_along)
{
	long before;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_intent(&k, 0, 1), 0);
	kit_request(&k, 0, 10, 1);
	kit_usage(&k, 0, 1, 7);
	k.j->opt.segment_size = 300;
	before = k.io.calls[IO_WRITE];
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_int_eq(k.io.calls[IO_WRITE] - before, 2); /* head, usage */
	ck_assert(!journal_pending(&k.j->shards[0]));
	ck_assert_uint_eq(kit_files(&k, ".seg"), 2);
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(kit_files(&k, ".seg"), 1); /* the new one */
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 1)].cost, 7);
	ck_assert_uint_eq(k.sink.n_rows, 2);
	kit_close(&k);
}
END_TEST

static int
unlink_fails(struct io *io, const char *path)
{
	(void)io;
	(void)path;
	return -EIO;
}

/* A new segment that could not be filled and not be removed either: what it
 * repeats is over by the time that it is read. */
START_TEST(test_left_behind)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_intent(&k, 0, 1), 0);
	kit_request(&k, 0, 10, 1);
	k.j->opt.segment_size = 300;
	k.io.op = IO_WRITE;
	k.io.countdown = 3; /* head, intent, not the usage */
	k.io.errnum = EIO;
	k.io.io.unlink = unlink_fails;
	kit_usage(&k, 0, 11, 2);
	ck_assert_int_eq(kit_flush(&k, 0), 0); /* the old one grows on */
	ck_assert_uint_eq(kit_files(&k, ".seg"), 2);
	k.j->opt.segment_size = 1 << 20;
	kit_usage(&k, 0, 1, 7);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.intents_recovered, 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 1)].cost, 7);
	ck_assert_uint_eq(k.sink.n_rows, 3);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/rotate");

	UNIT_ADD(s, test_usage_waits);
	UNIT_ADD(s, test_usage_goes_along);
	UNIT_ADD(s, test_left_behind);
	return unit_run(s);
}
