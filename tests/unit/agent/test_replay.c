/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the next boot makes of the files of the last one: all that is whole, in
 * order and once; what was open at its worst case; and where something is
 * missing, a number that says so, with the damaged files kept aside.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/journal/acks.h"
#include "agent/journal/crc32c.h"
#include "agent/metrics.h"
#include "tests/unit/agent/ship_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

#define CRASH HG__USAGE_SOURCE__SOURCE_CRASH_ESTIMATED

static void
path_of(char *dst, uint64_t epoch, uint32_t shard, uint64_t n)
{
	struct segment_head h = {.epoch = epoch, .shard = shard, .n = n};

	ck_assert_int_eq(segment_path(sk.dir, &h, dst), 0);
}

static bool
there(uint64_t epoch, uint32_t shard, uint64_t n)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(path, epoch, shard, n);
	return stat(path, &st) == 0;
}

static unsigned
aside(void)
{
	struct kit q = {0};
	struct stat st;

	(void)snprintf(q.dir, sizeof(q.dir), "%.*s/quarantine",
	    (int)sizeof(q.dir) - 16, sk.dir);
	return stat(q.dir, &st) == 0 ? kit_files(&q, ".seg") : 0;
}

static struct segment_head
head_of(uint64_t epoch, uint64_t n)
{
	struct segment_reader r;
	struct segment_head h;
	char path[PATH_MAX];

	path_of(path, epoch, 0, n);
	ck_assert_int_eq(segment_reader_open(&r, io_system(), path, NULL), 0);
	ck_assert_int_eq(segment_reader_head(&r, &h), 0);
	segment_reader_close(&r);
	return h;
}

static void
put(uint64_t n, off_t at, const void *p, size_t size)
{
	char path[PATH_MAX];
	int fd;

	path_of(path, 1, 0, n);
	fd = open(path, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, p, size, at), (ssize_t)size);
	close(fd);
}

static void
put_head(uint64_t n, const struct segment_head *h)
{
	uint8_t b[SEGMENT_HEADER];

	segment_head_encode(b, h);
	put(n, 0, b, sizeof(b));
}

/* Three segments of shard 0: requests 1 2 | 3 4 | 5 6, request 9 open from
 * the first on. Then the process dies. */
static void
three(void)
{
	ship_begin();
	ck_assert_int_eq(kit_boot(&sk), 0);
	ck_assert_int_eq(kit_intent(&sk, 0, 9), 0);
	for (unsigned n = 1; n <= 5; n += 2) {
		ck_assert_int_eq(kit_intent(&sk, 0, n), 0);
		ck_assert_int_eq(kit_flush(&sk, 0), 0);
		sk.j->opt.segment_size = 1 << 20;
		kit_usage(&sk, 0, n, n);
		kit_usage(&sk, 0, n + 1, n + 1);
		ck_assert_int_eq(kit_flush(&sk, 0), 0);
		sk.j->opt.segment_size = 100;
	}
	journal_sync_turn(sk.j);
	kit_crash(&sk);
	ck_assert(there(1, 0, 3) && !there(1, 0, 4));
}

static void
boot(void)
{
	ck_assert_int_eq(kit_boot(&sk), 0);
}

/* All of three() is delivered, those in `not` (a bit each) excepted. */
static void
ck_delivered(unsigned not )
{
	ck_assert_int_eq(kit_ship(&sk), -1);
	for (unsigned n = 1; n <= 9; n++) {
		int row = kit_row(&sk, n);

		if (n == 7 || n == 8 || (not &(1u << n))) {
			ck_assert_int_eq(row, -1);
			continue;
		}
		ck_assert_int_ge(row, 0);
		ck_assert_int_eq(sk.sink.rows[row].cost, n == 9 ? 1009 : n);
		ck_assert_uint_eq(sk.sink.rows[row].source == CRASH, n == 9);
	}
	ck_assert(sk.sink.streams[0].ended);
	ck_assert_ptr_null(sk.j->old);
	for (unsigned n = 1; n < 8; n++)
		ck_assert(!there(1, 0, n));
}

START_TEST(test_all_good)
{
	struct segment *seg;

	three();
	boot();
	ck_assert_uint_eq(sk.found.streams, 1);
	ck_assert_uint_eq(sk.found.records, 6);
	ck_assert_uint_eq(sk.found.intents_recovered, 1);
	ck_assert_uint_eq(sk.found.torn + sk.found.quarantined +
			      sk.found.filled + sk.found.may_lack,
	    0);
	ck_assert(!sk.j->old->may_lack);
	ck_assert(sk.j->old->old);
	ck_assert_uint_eq(atomic_load(&sk.j->old->last_seq), 7);
	ck_assert_uint_eq(atomic_load(&sk.j->old->watermark), 0);
	/* What was recovered has a segment of its own, durable, whole. */
	ck_assert_uint_eq(head_of(1, 4).first_seq, 7);
	ck_assert_uint_eq(head_of(1, 4).epoch, 1);
	ck_assert_uint_eq(head_of(1, 4).shard, 0);
	ck_assert_uint_eq(head_of(1, 4).n, 4);
	ck_assert_uint_eq(head_of(1, 4).flags, 0);
	for (seg = sk.j->old->first; seg != NULL; seg = seg->next) {
		ck_assert(atomic_load(&seg->sealed));
		ck_assert_uint_eq(
		    atomic_load(&seg->synced), atomic_load(&seg->flushed));
		ck_assert_int_eq(seg->fd, -1);
	}
	ck_assert_uint_eq(atomic_load(&sk.j->old->last->last_seq), 7);
	ck_assert_uint_eq(atomic_load(&sk.j->old->first->last_seq), 2);
	/* The same once more: found, not made again. */
	kit_crash(&sk);
	boot();
	ck_assert_uint_eq(sk.found.records, 7);
	ck_assert_uint_eq(sk.found.intents_recovered, 0);
	ck_delivered(0);
	ship_end();
}
END_TEST

/* What is recovered says all that its intent said, and why. */
START_TEST(test_estimate)
{
	const Hg__UsageRecord *r;
	struct journal_intent i;

	ship_begin();
	ship_boot();
	kit_intent_of(&i, 5);
	ck_assert_ptr_null(tags_read(&i.tags, STR("a=b")));
	ck_assert_int_eq(journal_intent(&sk.j->shards[0], &i), 0);
	ck_assert_int_eq(kit_intent(&sk, 0, 6), 0);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	kit_crash(&sk);
	ship_boot();
	ck_assert_uint_eq(sk.found.intents_recovered, 2);
	ck_assert_uint_eq(sk.found.filled, 0);
	(void)shipper_turn(sk.s);
	ck_assert_uint_eq(line.got->boot_epoch, 1);
	ck_assert_uint_eq(line.got->n_records, 2);
	r = line.got->records[0];
	ck_assert_mem_eq(r->request_id.data, i.request_id, 16);
	ck_assert_int_eq(r->cost, 1005);
	ck_assert_int_eq(r->source, CRASH);
	ck_assert_uint_eq(r->http_status, 0);
	ck_assert_str_eq(r->error_code, "agent_crash");
	ck_assert_uint_eq(r->n_tokens, TC_OUTPUT + 1);
	ck_assert_int_eq(r->tokens[TC_INPUT], 100);
	ck_assert_int_eq(r->tokens[TC_OUTPUT], 200);
	ck_assert_uint_eq(r->n_charges, 2);
	ck_assert_int_eq(r->charges[0]->reserved, 1005);
	ck_assert_uint_eq(r->n_tags, 1);
	ck_assert_int_eq(line.got->records[1]->cost, 1006);
	ship_end();
}
END_TEST

static struct io real;

static int
list_fails(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	(void)io;
	(void)path;
	(void)each;
	(void)ctx;
	return -EIO;
}

/* What cannot be read is not taken for empty, and a boot that is not newer
 * than what is there does not begin. */
START_TEST(test_refused)
{
	static const enum io_op ops[] = {IO_OPEN, IO_PREAD, IO_FSYNC};
	struct segment_head h;

	three();
	real = sk.io.io;
	sk.io.io.list = list_fails;
	ck_assert_int_eq(kit_boot(&sk), ERR_IO);
	sk.io.io.list = real.list;
	for (unsigned i = 0; i < 3; i++)
		for (long at = 1; at <= 3; at++) {
			sk.io.op = ops[i];
			/* the first to be opened are the marks */
			sk.io.countdown = at + (ops[i] == IO_OPEN);
			sk.io.errnum = EIO;
			ck_assert_int_eq(kit_boot(&sk), ERR_IO);
		}
	sk.io.countdown = -1;
	for (sk.epoch = 0; sk.epoch < 1;)
		ck_assert_int_eq(kit_boot(&sk), ERR_EXISTS);
	ck_assert(!there(1, 0, 4)); /* nor is anything recovered */
	sk.epoch = 20;
	ck_assert(there(1, 0, 1) && there(1, 0, 3) && aside() == 0);
	/* A newer version's: never touched. */
	h = head_of(1, 2);
	{
		uint8_t b[SEGMENT_HEADER];

		segment_head_encode(b, &h);
		put_u32(b + 8, SEGMENT_VERSION + 1);
		put_u32(b + 60, crc32c(0, b, 60));
		put(2, 0, b, sizeof(b));
		ck_assert_int_eq(kit_boot(&sk), ERR_VERSION);
		ck_assert(there(1, 0, 2) && aside() == 0);
		put_head(2, &h);
	}
	boot();
	ck_delivered(0);
	ship_end();
}
END_TEST

START_TEST(test_no_memory)
{
	unsigned failed = 0;

	three();
	for (unsigned n = 1; n < 60; n++) {
		bool hit;
		int rc;

		oom_arm(n, NULL);
		rc = kit_boot(&sk);
		hit = oom_hit();
		failed += hit;
		if (hit)
			ck_assert_msg(
			    rc == ERR_NOMEM || rc == 0, "%u: %d", n, rc);
		else
			ck_assert_int_eq(rc, 0);
		kit_crash(&sk);
		if (!hit)
			break;
	}
	ck_assert_uint_gt(failed, 10);
	boot();
	ck_assert_uint_eq(sk.found.filled + sk.found.quarantined, 0);
	ck_delivered(0);
	ship_end();
}
END_TEST

/* ---- heads --------------------------------------------------------------- */

/* A file that says it is another one is damaged; what is in it counts. */
START_TEST(test_foreign_head)
{
	for (unsigned which = 0; which < 4; which++)
		for (unsigned n = 1; n <= 3; n++) {
			struct segment_head h;

			three();
			h = head_of(1, n);
			h.epoch += which == 0;
			h.shard += which == 1;
			h.n += which == 2;
			h.agent_id[7] ^= which == 3;
			put_head(n, &h);
			boot();
			ck_assert_uint_eq(sk.found.quarantined, 3);
			ck_assert_uint_eq(aside(), 3);
			ck_assert_uint_eq(sk.found.filled, 0);
			ck_assert_uint_eq(sk.found.records, 6);
			ck_assert(sk.j->old->may_lack);
			ck_assert(!there(1, 0, 1) && !there(1, 0, 3));
			h = head_of(1, 4);
			ck_assert_uint_eq(h.flags, SEGMENT_REWRITTEN);
			ck_assert_uint_eq(h.first_seq, 1);
			ck_delivered(0);
			ck_assert_uint_eq(sk.sink.n_lacking, 1);
			ship_end();
		}
}
END_TEST

/* The last segment may have been cut while it was begun: at any byte of its
 * head nothing is missing. One that is not the last was whole once. */
START_TEST(test_torn_head)
{
	for (off_t size = 0; size <= SEGMENT_HEADER; size += 16)
		for (unsigned last = 0; last < 2; last++) {
			char path[PATH_MAX];

			three();
			path_of(path, 1, 0, 4);
			close(open(path, O_WRONLY | O_CREAT, 0600));
			ck_assert_int_eq(truncate(path, size), 0);
			if (!last) {
				path_of(path, 1, 0, 5);
				close(open(path, O_WRONLY | O_CREAT, 0600));
			}
			boot();
			ck_assert_uint_eq(sk.found.torn, last ? 1 : 2);
			ck_assert_uint_eq(sk.found.quarantined, last ? 0 : 5);
			ck_assert_uint_eq(sk.found.filled, 0);
			ck_assert(sk.j->old->may_lack == !last);
			ck_delivered(0);
			ship_end();
		}
	/* A byte behind a head that is none: it was whole. */
	three();
	put(3, 0, "x", 1);
	boot();
	ck_assert_uint_eq(sk.found.quarantined, 3);
	ck_delivered(0);
	ship_end();
}
END_TEST

/* ---- what is missing ----------------------------------------------------- */

/* A segment in the middle is gone: its numbers are told, the first of them as
 * what was open, and what was behind it arrives. */
START_TEST(test_segment_missing)
{
	char path[PATH_MAX];
	unsigned filled = 0;

	three();
	path_of(path, 1, 0, 2);
	ck_assert_int_eq(unlink(path), 0);
	boot();
	ck_assert_uint_eq(sk.found.quarantined, 2);
	ck_assert_uint_eq(sk.found.records, 4);
	ck_assert_uint_eq(sk.found.intents_recovered, 1);
	ck_assert_uint_eq(sk.found.filled, 1);
	ck_assert_int_eq(metric_sum(sk.metrics, AM_SPOOL_DROPPED), 1);
	ck_assert_uint_eq(atomic_load(&sk.j->old->last_seq), 6);
	ck_delivered(1 << 3 | 1 << 4);
	ck_assert_uint_eq(sk.sink.n_rows, 6);
	ck_assert_uint_eq(sk.sink.rows[2].seq, 3);
	ck_assert_int_eq(sk.sink.rows[2].cost, 1009); /* what was open */
	ck_assert_int_eq(sk.sink.rows[3].cost, 0);
	for (unsigned i = 0; i < sk.sink.n_rows; i++)
		filled += sk.sink.rows[i].source == CRASH;
	ck_assert_uint_eq(filled, 2);
	ship_end();
}
END_TEST

/* The same when nothing but requests that run is behind the hole: the header
 * says which number comes next. */
START_TEST(test_hole_at_the_end)
{
	struct segment_head h;

	three();
	h = head_of(1, 3);
	h.first_seq++;
	put_head(3, &h);
	boot();
	ck_assert_uint_eq(sk.found.quarantined, 3);
	ship_end();
	ship_begin();
	boot();
	sk.j->opt.segment_size = 100;
	for (unsigned n = 1; n <= 2; n++) {
		kit_usage(&sk, 0, n, n);
		ck_assert_int_eq(kit_flush(&sk, 0), 0);
	}
	ck_assert_int_eq(kit_intent(&sk, 0, 3), 0);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	kit_crash(&sk);
	{
		char path[PATH_MAX];

		path_of(path, 1, 0, 2);
		ck_assert_int_eq(unlink(path), 0);
	}
	boot();
	ck_assert_uint_eq(sk.found.quarantined, 2);
	ck_assert(sk.j->old->may_lack);
	ck_assert_int_eq(kit_ship(&sk), -1);
	ck_assert_uint_eq(sk.sink.n_rows, 2);
	ck_assert_int_eq(sk.sink.rows[kit_row(&sk, 3)].cost, 1003);
	ship_end();
}
END_TEST

/* Whole by its checksum, but nothing that this agent writes: the file is kept
 * for those who want to know. */
START_TEST(test_not_understood)
{
	static const uint32_t types[] = {
	    RECORD_INTENT, RECORD_USAGE, RECORD_LOWER};

	for (unsigned i = 0; i < 3; i++) {
		static uint8_t b[RECORD_HEADER + 150];
		char path[PATH_MAX];
		struct stat st;

		three();
		memset(b, 0xff, sizeof(b));
		put_u32(b, 150);
		put_u32(b + 4, types[i]);
		put_u64(b + 8, types[i] == RECORD_USAGE ? 7 : 0);
		put_u32(
		    b + 16, crc32c(crc32c(0, b, 16), b + RECORD_HEADER, 150));
		path_of(path, 1, 0, 3);
		ck_assert_int_eq(stat(path, &st), 0);
		put(3, st.st_size, b, sizeof(b));
		boot();
		ck_assert_uint_eq(sk.found.quarantined, 3);
		ck_assert_uint_eq(sk.found.records, 6);
		ck_assert_uint_eq(sk.found.filled, 0);
		ck_assert(sk.j->old->may_lack);
		ck_delivered(0);
		ship_end();
	}
}
END_TEST

/* The first is gone, as after it was shipped: nothing is missing. */
START_TEST(test_first_missing)
{
	char path[PATH_MAX];

	three();
	path_of(path, 1, 0, 1);
	ck_assert_int_eq(unlink(path), 0);
	boot();
	ck_assert_uint_eq(sk.found.quarantined + sk.found.filled, 0);
	ck_assert_uint_eq(sk.found.records, 4);
	ck_assert_uint_eq(atomic_load(&sk.j->old->watermark), 2);
	ck_assert(!sk.j->old->may_lack);
	ship_connect();
	(void)shipper_turn(sk.s);
	ck_assert_uint_eq(line.got->first_seq, 3);
	ck_assert_uint_eq(line.got->n_records, 5);
	ck_assert(line.got->last);
	ship_end();
}
END_TEST

/* Spoil the first usage record of a segment, and its head. */
static void
spoil(uint64_t n, bool head)
{
	struct segment_reader r;
	struct record rec;
	char path[PATH_MAX];
	uint64_t at;

	path_of(path, 1, 0, n);
	ck_assert_int_eq(segment_reader_open(&r, io_system(), path, NULL), 0);
	segment_reader_seek(&r, SEGMENT_HEADER);
	do {
		at = r.off;
		ck_assert_int_eq(segment_reader_next(&r, &rec), 0);
	} while (rec.type != RECORD_USAGE);
	segment_reader_close(&r);
	put(n, (off_t)at + 40, "\xff\xff", 2);
	if (head)
		put(n, 0, "x", 1);
}

/* A record is damaged: it is billed by its intent, in the number that it had;
 * also when its file does not say any more which number it begins with. */
START_TEST(test_record_missing)
{
	for (unsigned head = 0; head < 2; head++) {
		three();
		spoil(1, head);
		boot();
		ck_assert_uint_eq(sk.found.quarantined, 3);
		ck_assert_uint_eq(sk.found.records, 5);
		ck_assert_uint_eq(sk.found.filled, 0);
		ck_assert_uint_eq(sk.found.intents_recovered, 2);
		ck_assert_uint_eq(head_of(1, 4).first_seq, 1);
		ck_assert_int_eq(kit_ship(&sk), -1);
		for (unsigned n = 2; n <= 6; n++)
			ck_assert_int_eq(sk.sink.rows[kit_row(&sk, n)].cost, n);
		ck_assert_int_eq(sk.sink.rows[kit_row(&sk, 1)].cost, 1001);
		ck_assert_int_eq(sk.sink.rows[kit_row(&sk, 9)].cost, 1009);
		ck_assert_uint_eq(sk.sink.n_rows, 7);
		ship_end();
	}
}
END_TEST

/* What was in front of it was shipped and is gone: what is acknowledged says
 * where it begins. */
START_TEST(test_begins_at_mark)
{
	char path[PATH_MAX];

	for (unsigned lost = 0; lost < 2; lost++) {
		three();
		path_of(path, 1, 0, 1);
		ck_assert_int_eq(unlink(path), 0);
		if (!lost) {
			struct acks *a = acks_load(io_system(), sk.dir);

			acks_put(a, 1, 0, 2);
			ck_assert_int_eq(acks_save(a, io_system(), sk.dir), 0);
			acks_free(a);
		}
		spoil(2, true);
		ship_boot();
		ck_assert_uint_eq(sk.found.records, 3);
		ck_assert_uint_eq(sk.found.filled, 0);
		ck_assert_uint_eq(sk.found.intents_recovered, 2);
		ck_assert_uint_eq(head_of(1, 4).first_seq, lost ? 4 : 3);
		(void)shipper_turn(sk.s);
		ck_assert_uint_eq(line.got->first_seq, lost ? 4 : 3);
		ck_assert_uint_eq(line.got->n_records, 5);
		ck_assert(line.got->last && line.got->may_lack);
		ship_end();
	}
	/* No mark, but all of its records: they say where it begins. */
	three();
	path_of(path, 1, 0, 1);
	ck_assert_int_eq(unlink(path), 0);
	put(2, 0, "x", 1);
	ship_boot();
	ck_assert_uint_eq(sk.found.records, 4);
	ck_assert_uint_eq(head_of(1, 4).first_seq, 3);
	(void)shipper_turn(sk.s);
	ck_assert_uint_eq(line.got->first_seq, 3);
	ck_assert_uint_eq(line.got->n_records, 5);
	ship_end();
}
END_TEST

/* A tail that is no record is cut off, and what is behind it in the stream
 * begins where it ended; if that has a later number, something is missing. */
START_TEST(test_torn_tail)
{
	for (unsigned gap = 0; gap < 2; gap++) {
		char path[PATH_MAX];
		struct stat st;

		three();
		path_of(path, 1, 0, 2);
		ck_assert_int_eq(stat(path, &st), 0);
		if (gap) /* into request 4 */
			ck_assert_int_eq(truncate(path, st.st_size - 3), 0);
		else
			put(2, st.st_size, "half a record", 13);
		boot();
		ck_assert_uint_eq(sk.found.torn, 1);
		ck_assert_uint_eq(sk.found.quarantined, gap ? 3 : 0);
		ck_assert_uint_eq(sk.found.records, gap ? 5 : 6);
		ck_assert_uint_eq(sk.found.filled, 0);
		if (!gap)
			ck_assert_uint_eq(
			    atomic_load(&sk.j->old->first->next->flushed),
			    (uint64_t)st.st_size);
		ck_delivered(gap ? 1 << 4 : 0);
		ship_end();
	}
}
END_TEST

/* ---- crashes of the recovery --------------------------------------------- */

static int
rename_aside_fails(struct io *io, const char *from, const char *to)
{
	if (strstr(to, "quarantine") != NULL)
		return -EIO;
	return real.rename(io, from, to);
}

/* Rewritten, but killed before the damaged files were moved: the rewritten one
 * stands for all of them, and nothing is billed twice. */
START_TEST(test_killed_while_rewriting)
{
	three();
	put(2, 0, "x", 1);
	real = sk.io.io;
	sk.io.io.rename = rename_aside_fails;
	boot();
	ck_assert_uint_eq(sk.found.quarantined, 0);
	ck_assert(there(1, 0, 1) && there(1, 0, 4));
	kit_crash(&sk);
	boot();
	ck_assert_uint_eq(sk.found.quarantined, 3);
	ck_assert_uint_eq(aside(), 3);
	ck_assert_uint_eq(sk.found.intents_recovered, 0);
	ck_assert_uint_eq(sk.found.filled, 0);
	ck_assert(sk.j->old->may_lack);
	ck_assert_ptr_eq(sk.j->old->first, sk.j->old->last);
	kit_crash(&sk);
	boot(); /* and that is all that there is */
	ck_assert_uint_eq(sk.found.quarantined, 0);
	ck_assert_uint_eq(sk.found.records, 7);
	ck_assert(sk.j->old->may_lack);
	ck_delivered(0);
	ship_end();
}
END_TEST

/* The segment holds the numbers 1 to last, each once. */
static void
ck_numbers(uint64_t n, uint64_t last)
{
	struct segment_reader r;
	struct segment_head h;
	struct record rec;
	char path[PATH_MAX];

	path_of(path, 1, 0, n);
	ck_assert_int_eq(segment_reader_open(&r, io_system(), path, NULL), 0);
	ck_assert_int_eq(segment_reader_head(&r, &h), 0);
	for (uint64_t seq = 1; seq <= last; seq++) {
		ck_assert_int_eq(segment_reader_next(&r, &rec), 0);
		ck_assert_uint_eq(rec.seq, seq);
	}
	ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_END);
	segment_reader_close(&r);
}

/* What a failed sync repeated in a later segment counts once. */
START_TEST(test_repeated)
{
	for (unsigned rot = 0; rot < 2; rot++) {
		ship_begin();
		boot();
		kit_request(&sk, 0, 1, 1);
		for (unsigned n = 2; n <= 4; n++) {
			kit_usage(&sk, 0, n, n);
			ck_assert_int_eq(kit_flush(&sk, 0), 0);
		}
		kit_fault(&sk, IO_FSYNC, EIO);
		journal_sync_turn(sk.j);
		kit_usage(&sk, 0, 5, 5);
		ck_assert_int_eq(kit_flush(&sk, 0), 0);
		kit_crash(&sk);
		if (rot)
			put(1, 0, "x", 1);
		boot();
		ck_assert_uint_eq(sk.found.records, 5);
		ck_assert_uint_eq(sk.found.quarantined, rot ? 2 : 0);
		ck_assert_uint_eq(sk.found.filled, 0);
		if (rot)
			ck_numbers(3, 5);
		ck_assert_int_eq(kit_ship(&sk), -1);
		ck_assert_uint_eq(sk.sink.n_rows, 5);
		for (unsigned n = 1; n <= 5; n++)
			ck_assert_int_eq(sk.sink.rows[kit_row(&sk, n)].cost, n);
		ship_end();
	}
}
END_TEST

/* The folder is made durable before anything of it is shipped. */
START_TEST(test_folder_not_durable)
{
	int rc = ERR_IO;
	long at;

	for (at = 1; rc != 0; at++) {
		three();
		sk.io.op = IO_FSYNC;
		sk.io.countdown = at;
		sk.io.errnum = EIO;
		rc = kit_boot(&sk);
		ck_assert(rc == 0 || rc == ERR_IO);
		kit_crash(&sk);
		boot();
		ck_delivered(0);
		ship_end();
	}
	/* Three files, what is recovered and its name, the folder, the new
	 * segment and its name. */
	ck_assert_int_eq(at - 2, 3 + 2 + 1 + 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/replay");

	UNIT_ADD(s, test_all_good);
	UNIT_ADD(s, test_estimate);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_no_memory);
	UNIT_ADD(s, test_foreign_head);
	UNIT_ADD(s, test_torn_head);
	UNIT_ADD(s, test_segment_missing);
	UNIT_ADD(s, test_hole_at_the_end);
	UNIT_ADD(s, test_not_understood);
	UNIT_ADD(s, test_first_missing);
	UNIT_ADD(s, test_record_missing);
	UNIT_ADD(s, test_begins_at_mark);
	UNIT_ADD(s, test_torn_tail);
	UNIT_ADD(s, test_killed_while_rewriting);
	UNIT_ADD(s, test_repeated);
	UNIT_ADD(s, test_folder_not_durable);
	return unit_run(s);
}
