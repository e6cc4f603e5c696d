/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shipper writes and removes: marks are durable before what they
 * stand for is gone, a file goes when nothing in it is needed any more, and
 * not before those in front of it.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/journal/acks.h"
#include "agent/metrics.h"
#include "tests/unit/agent/ship_kit.h"
#include "tests/unit/support/unit.h"

/* ---- what goes ----------------------------------------------------------- */

static bool
there(uint64_t epoch, uint64_t n)
{
	char path[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%u-0-%u.seg", sk.dir,
	    (unsigned)epoch, (unsigned)n);
	return stat(path, &st) == 0;
}

/* Segments of two requests each, `n` of them. */
static void
segments(unsigned n)
{
	struct segment *first;

	sk.segment_size = 100;
	ship_boot();
	for (unsigned i = 1; i <= n; i++) {
		sk.j->opt.segment_size = 100;
		ck_assert_int_eq(kit_intent(&sk, 0, 2 * i), 0);
		ck_assert_int_eq(kit_flush(&sk, 0), 0);
		sk.j->opt.segment_size = 10000;
		kit_usage(&sk, 0, 2 * i, 1);
		kit_usage(&sk, 0, 2 * i + 1, 1);
		ck_assert_int_eq(kit_flush(&sk, 0), 0);
		journal_sync_turn(sk.j);
	}
	first = sk.j->shards[0].stream.first;
	ck_assert_uint_eq(atomic_load(&first->last_seq), 2);
	for (unsigned i = 1; i <= n; i++)
		ck_assert(there(1, i));
	ck_assert(!there(1, n + 1));
}

/* A segment goes with its last record, not one earlier; the one that is being
 * written stays. */
START_TEST(test_deleted_when_done)
{
	ship_begin();
	segments(4);
	for (uint64_t mark = 1; mark <= 8; mark++) {
		line.mark = mark;
		line.next_seq = mark;
		ck_assert_int_ge(shipper_turn(sk.s), 0);
		for (unsigned i = 1; i <= 4; i++)
			ck_assert(there(1, i) == (i == 4 || 2 * i > mark));
	}
	ck_assert_ptr_eq(sk.j->shards[0].stream.first, sk.j->shards[0].cur);
	ck_assert_ptr_eq(sk.j->shards[0].stream.last, sk.j->shards[0].cur);
	kit_request(&sk, 0, 50, 1);
	line.next_seq = line.mark = 9;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ship_end();
}
END_TEST

/* Its successor holds what was open, and must be durable first. */
START_TEST(test_successor_first)
{
	struct segment *second;

	ship_begin();
	segments(2);
	second = sk.j->shards[0].cur;
	atomic_store(&second->synced, 0);
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->n_records, 2);
	ck_assert(there(1, 1));
	atomic_store(&second->poisoned, true); /* will never be */
	atomic_store(&second->synced, SEGMENT_HEADER);
	ck_assert_int_ge(shipper_turn(sk.s), -1);
	ck_assert(there(1, 1));
	atomic_store(&second->poisoned, false);
	line.next_seq = 3;
	ck_assert_int_ge(shipper_turn(sk.s), -1);
	ship_end();
}
END_TEST

/* Not while the sync thread has it, nor before its end is durable. */
START_TEST(test_not_in_use)
{
	struct segment *first;
	uint64_t flushed;

	for (unsigned why = 0; why < 3; why++) {
		ship_begin();
		segments(2);
		first = sk.j->shards[0].stream.first;
		flushed = atomic_load(&first->flushed);
		line.mark = 2;
		if (why == 0)
			first->busy = true;
		else if (why == 1)
			atomic_store(&first->sealed, false);
		else
			atomic_store(&first->flushed, flushed + 1);
		ck_assert_int_ne(shipper_turn(sk.s), -1);
		ck_assert(there(1, 1));
		first->busy = false;
		atomic_store(&first->sealed, true);
		atomic_store(&first->flushed, flushed);
		line.mark = 3;
		ck_assert_int_ne(shipper_turn(sk.s), -1);
		ck_assert(!there(1, 1));
		ship_end();
	}
}
END_TEST

/* Marks are durable before what they stand for is gone; and a file that could
 * not be removed keeps those behind it. */
START_TEST(test_deleting_fails)
{
	static const enum io_op ops[] = {IO_RENAME, IO_UNLINK};
	struct acks *a;

	for (unsigned i = 0; i < 2; i++) {
		ship_begin();
		segments(3);
		kit_fault(&sk, ops[i], EIO);
		sk.io.sticky = 1;
		(void)shipper_turn(sk.s);
		ck_assert(there(1, 1) && there(1, 2));
		ck_assert_int_gt(metric_sum(sk.metrics, AM_JOURNAL_ERRORS), 0);
		sk.io.countdown = -1;
		sk.io.sticky = 0;
		kit_request(&sk, 0, 50, 1);
		ck_assert_int_eq(shipper_turn(sk.s), 0);
		ck_assert(!there(1, 1) && !there(1, 2) && there(1, 3));
		a = acks_load(&sk.io.io, sk.dir);
		ck_assert_uint_eq(acks_get(a, 1, 0), 7);
		acks_free(a);
		ship_end();
	}
}
END_TEST

static int dir_skip, dir_fails; /* so many do not fail, and then so many do */

static int
fsync_dir_fails(struct io *io, const char *path)
{
	(void)io;
	(void)path;
	if (dir_skip > 0) {
		dir_skip--;
		return 0;
	}
	return dir_fails-- > 0 ? -EIO : 0;
}

/* A removal that is not durable is repeated before the next one; that the file
 * is not there any more is no error then. */
START_TEST(test_removed_but_not_durable)
{
	ship_begin();
	segments(3);
	sk.io.io.fsync_dir = fsync_dir_fails;
	dir_fails = 0;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert(!there(1, 2));
	ship_end();
	ship_begin();
	segments(3);
	line.mark = 1; /* the marks are on disk */
	(void)shipper_turn(sk.s);
	clock_fake_advance(&sk.clock, 2 * NS_PER_S);
	(void)shipper_turn(sk.s);
	line.mark = 6;
	sk.io.io.fsync_dir = fsync_dir_fails;
	dir_fails = 2; /* of the marks, of the first segment */
	(void)shipper_turn(sk.s);
	dir_fails = 1;
	kit_request(&sk, 0, 50, 1);
	line.mark = 7;
	(void)shipper_turn(sk.s);
	dir_fails = 0;
	kit_request(&sk, 0, 51, 1);
	line.mark = 8;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert(!there(1, 1) && !there(1, 2) && there(1, 3));
	ck_assert_ptr_eq(sk.j->shards[0].stream.first, sk.j->shards[0].cur);
	ship_end();
}
END_TEST

/* Removed, but not durably, and the reader has to begin again: what is not
 * there any more holds up nothing. */
START_TEST(test_removed_and_read_again)
{
	const struct segment *first;

	ship_begin();
	segments(3);
	first = sk.j->shards[0].stream.first;
	sk.io.io.fsync_dir = fsync_dir_fails;
	dir_skip = 1; /* that of the marks */
	dir_fails = 1;
	line.mark = 3;
	(void)shipper_turn(sk.s);
	ck_assert(!there(1, 1) && there(1, 2));
	ck_assert_ptr_eq(sk.j->shards[0].stream.first, first);
	line.mark = 0;
	line.next_seq = 4;
	ck_assert_int_gt(shipper_turn(sk.s), 0); /* it is not there */
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(ship_now().unshipped, 0);
	ck_assert(!there(1, 2) && there(1, 3));
	ship_end();
}
END_TEST

/* The file that a full batch ended with goes, and reading goes on behind it. */
START_TEST(test_read_to_its_end)
{
	ship_begin();
	sk.segment_size = 100;
	ship_boot();
	sk.j->opt.segment_size = (int64_t)8 << 20;
	for (unsigned n = 1; n <= SHIP_MAX_RECORDS; n++)
		kit_usage(&sk, 0, n, 1);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	sk.j->opt.segment_size = 100;
	kit_usage(&sk, 0, 5000, 1);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	journal_sync_turn(sk.j);
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->n_records, SHIP_MAX_RECORDS);
	ck_assert(!there(1, 1) && there(1, 2));
	line.next_seq = SHIP_MAX_RECORDS + 1;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(ship_now().unshipped, 0);
	ship_end();
}
END_TEST

static unsigned zero_closed;

static int
count_zero(struct io *io, int fd)
{
	(void)io;
	zero_closed += fd == 0;
	return fd == 0 ? 0 : io_system()->close(io_system(), fd);
}

/* A file that goes is closed if it is open, be it descriptor 0. */
START_TEST(test_closed_when_gone)
{
	ship_begin();
	segments(2);
	ck_assert_int_eq(sk.j->shards[0].stream.first->fd, -1);
	sk.j->shards[0].stream.first->fd = 0;
	sk.io.io.close = count_zero;
	zero_closed = 0;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert(!there(1, 1));
	ck_assert_uint_eq(zero_closed, 1);
	ship_end();
}
END_TEST

/* Marks are written at most once a second, and then all. */
START_TEST(test_marks_now_and_then)
{
	long renames;

	ship_begin();
	ship_boot();
	clock_fake_advance(&sk.clock, NS_PER_S);
	kit_request(&sk, 0, 1, 1);
	renames = sk.io.calls[IO_RENAME];
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_int_eq(sk.io.calls[IO_RENAME], renames + 1);
	kit_request(&sk, 0, 2, 1);
	clock_fake_advance(&sk.clock, NS_PER_S - 1);
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_int_eq(sk.io.calls[IO_RENAME], renames + 1);
	clock_fake_advance(&sk.clock, 1);
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	ck_assert_int_eq(sk.io.calls[IO_RENAME], renames + 2);
	clock_fake_advance(&sk.clock, NS_PER_S);
	ck_assert_int_eq(shipper_turn(sk.s), -1); /* nothing new */
	ck_assert_int_eq(sk.io.calls[IO_RENAME], renames + 2);
	/* One that failed is repeated, after a second. */
	kit_request(&sk, 0, 3, 1);
	kit_fault(&sk, IO_RENAME, EIO);
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_int_eq(sk.io.calls[IO_RENAME], renames + 3);
	ck_assert_int_eq(metric_sum(sk.metrics, AM_JOURNAL_ERRORS), 1);
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	ck_assert_int_eq(sk.io.calls[IO_RENAME], renames + 3);
	clock_fake_advance(&sk.clock, NS_PER_S);
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	ck_assert_int_eq(sk.io.calls[IO_RENAME], renames + 4);
	ship_end();
}
END_TEST

/* Of several old streams each leaves when it ended, whichever is first; its
 * mark goes too, for a number is not used again. */
START_TEST(test_old_streams_leave)
{
	struct acks *a;

	ship_begin();
	sk.n_shards = 3;
	ship_boot();
	for (unsigned n = 0; n < 3; n++)
		kit_request(&sk, n, n + 1, 1);
	kit_crash(&sk);
	sk.n_shards = 1;
	ship_boot();
	line.code = ERR_AGAIN;
	(void)shipper_turn(sk.s); /* none ends */
	ck_assert_uint_eq(ship_now().unshipped, 3);
	ck_assert_uint_eq(line.n, 3);
	line.code = ERR_AGAIN;
	line.fail_shard = 0;
	(void)shipper_turn(sk.s); /* 1 and 2 end */
	ck_assert_ptr_nonnull(sk.j->old);
	ck_assert_uint_eq(sk.j->old->shard, 0);
	ck_assert_ptr_null(sk.j->old->next);
	ck_assert_uint_eq(ship_now().unshipped, 1);
	clock_fake_advance(&sk.clock, 2 * NS_PER_S);
	(void)shipper_turn(sk.s);
	a = acks_load(&sk.io.io, sk.dir);
	ck_assert_uint_eq(acks_get(a, 1, 1), 0);
	ck_assert_uint_eq(acks_get(a, 1, 2), 0);
	acks_free(a);
	line.code = 0;
	ck_assert_int_ge(shipper_turn(sk.s), -1);
	ck_assert_ptr_null(sk.j->old);
	ck_assert_uint_eq(kit_files(&sk, ".seg"), 1);
	ship_end();
}
END_TEST

/* Nobody is told of records once the shipper is gone, and its thread is gone
 * with it; what it heard is kept. */
START_TEST(test_gone)
{
	ship_begin();
	ship_boot();
	ck_assert_ptr_eq(sk.j->on_synced_ctx, sk.s);
	shipper_free(sk.s);
	sk.s = NULL;
	ck_assert_ptr_null(sk.j->on_synced);
	shipper_free(NULL);
	shipper_stop(NULL);
	kit_request(&sk, 0, 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		ship_connect();
		shipper_stop(sk.s); /* not started */
		ck_assert_int_eq(shipper_start(sk.s, NULL), 0);
		while (!shipper_done(sk.s) || kit_threads("hg-ship") == 0)
			continue;
		if (i == 0) {
			shipper_stop(sk.s);
			ck_assert_uint_eq(kit_threads("hg-ship"), 0);
			shipper_stop(sk.s);
			kit_request(&sk, 0, 2, 1);
		}
		shipper_free(sk.s);
		ck_assert_uint_eq(kit_threads("hg-ship"), 0);
		sk.s = NULL;
	}
	kit_crash(&sk);
	ship_boot();
	ck_assert_int_ge(shipper_turn(sk.s), -1);
	ck_assert_uint_eq(line.got->n_records, 0);
	ck_assert_uint_eq(line.got->first_seq, 3);
	ship_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/ship_files");

	UNIT_ADD(s, test_deleted_when_done);
	UNIT_ADD(s, test_successor_first);
	UNIT_ADD(s, test_not_in_use);
	UNIT_ADD(s, test_deleting_fails);
	UNIT_ADD(s, test_removed_but_not_durable);
	UNIT_ADD(s, test_removed_and_read_again);
	UNIT_ADD(s, test_read_to_its_end);
	UNIT_ADD(s, test_closed_when_gone);
	UNIT_ADD(s, test_marks_now_and_then);
	UNIT_ADD(s, test_old_streams_leave);
	UNIT_ADD(s, test_gone);
	return unit_run(s);
}
