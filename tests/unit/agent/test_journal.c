/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/journal: what was flushed is delivered exactly once, whatever dies
 * when: process, disk, control plane.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/journal/crc32c.h"
#include "proto/headgate.pb-c.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/unit.h"

#define CRASH HG__USAGE_SOURCE__SOURCE_CRASH_ESTIMATED

static struct kit k;

START_TEST(test_crc)
{
	uint8_t data[300];

	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283u);
	ck_assert_uint_eq(crc32c_portable(0, "123456789", 9), 0xe3069283u);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (unsigned n = 0; n < sizeof(data); n++) {
		ck_assert_uint_eq(
		    crc32c(0, data, n), crc32c_portable(0, data, n));
		ck_assert_uint_eq(
		    crc32c(crc32c(0, data, n), data + n, sizeof(data) - n),
		    crc32c(0, data, sizeof(data)));
	}
}
END_TEST

START_TEST(test_record)
{
	uint8_t b[RECORD_USAGE_MAX];
	struct journal_intent i, i2;
	struct journal_usage u, u2;
	struct record rec;
	size_t n, size;

	kit_intent_of(&i, 8);
	i.n_charges = BUNDLE_MAX_BUDGETS;
	for (unsigned c = 0; c < TC_COUNT; c++)
		i.worst.n[c] = c + 1;
	n = record_encode_intent(b, &i);
	ck_assert_uint_le(n, RECORD_INTENT_MAX);
	ck_assert_int_eq(record_parse(b, n, &rec, &size), 0);
	ck_assert_uint_eq(size, n);
	ck_assert_int_eq(record_decode_intent(rec.payload, &i2), 0);
	ck_assert_mem_eq(&i, &i2, sizeof(i));

	memset(&u, 0, sizeof(u));
	u.head = i;
	memset(&u.head.worst, 0, sizeof(u.head.worst));
	u.tokens = i.worst;
	u.cost = INT64_MAX;
	u.http_status = 499;
	memset(u.finish_reason, 'x', sizeof(u.finish_reason) - 1);
	memset(u.error_code, 'y', sizeof(u.error_code) - 1);
	memset(u.upstream_request_id, 'z', sizeof(u.upstream_request_id) - 1);
	n = record_encode_usage(b, &u, 77);
	ck_assert_uint_le(n, RECORD_USAGE_MAX);
	ck_assert_int_eq(record_parse(b, n, &rec, &size), 0);
	ck_assert_uint_eq(rec.seq, 77);
	ck_assert_int_eq(record_decode_usage(rec.payload, &u2), 0);
	ck_assert_mem_eq(&u, &u2, sizeof(u));
	/* A tier makes the record longer; without, it is as it always was. */
	memset(u.tier, 't', sizeof(u.tier) - 1);
	ck_assert_uint_eq(record_encode_usage(b, &u, 77), n + sizeof(u.tier));
	n += sizeof(u.tier);
	ck_assert_uint_le(n, RECORD_USAGE_MAX);
	ck_assert_int_eq(record_parse(b, n, &rec, &size), 0);
	ck_assert_int_eq(record_decode_usage(rec.payload, &u2), 0);
	ck_assert_mem_eq(&u, &u2, sizeof(u));
	rec.payload.len--;
	ck_assert_int_eq(record_decode_usage(rec.payload, &u2), ERR_CORRUPT);
	/* So do tags, with a tier and without. */
	ck_assert_ptr_null(tags_read(&u.head.tags, STR("a=b,feature=x")));
	tags_add_user(&u.head.tags, STR("alice"));
	for (unsigned t = 0; t < 2; t++) {
		size_t more = u.head.tags.len + t;

		if (t == 1)
			memset(u.tier, 0, sizeof(u.tier));
		size = record_encode_usage(b, &u, 77);
		ck_assert_uint_eq(
		    size, more + (t == 0 ? n : n - sizeof(u.tier)));
		ck_assert_int_eq(record_parse(b, size, &rec, &size), 0);
		ck_assert_int_eq(record_decode_usage(rec.payload, &u2), 0);
		ck_assert_mem_eq(&u, &u2, sizeof(u));
		rec.payload.len--;
		ck_assert_int_eq(
		    record_decode_usage(rec.payload, &u2), ERR_CORRUPT);
	}
	i.tags = u.head.tags;
	size = record_encode_intent(b, &i);
	ck_assert_uint_le(size, RECORD_INTENT_MAX);
	ck_assert_int_eq(record_parse(b, size, &rec, &size), 0);
	ck_assert_int_eq(record_decode_intent(rec.payload, &i2), 0);
	ck_assert_mem_eq(&i, &i2, sizeof(i));
	n = record_encode_usage(b, &u, 77);
	for (size_t cut = 0; cut < n; cut++)
		ck_assert_int_eq(record_parse(b, cut, &rec, &size), ERR_END);
	for (size_t at = 0; at < n; at++) { /* every flipped bit is seen */
		b[at] ^= 0x10;
		ck_assert_int_ne(record_parse(b, n, &rec, &size), 0);
		b[at] ^= 0x10;
	}
}
END_TEST

/* A header alone says that more will not help. */
START_TEST(test_header)
{
	uint8_t b[RECORD_INTENT_MAX];
	struct journal_intent i;
	struct record rec;
	size_t size;

	kit_intent_of(&i, 8);
	(void)record_encode_intent(b, &i);
	ck_assert_int_eq(record_parse(b, RECORD_HEADER, &rec, &size), ERR_END);
	b[4] ^= 0x10;
	ck_assert_int_eq(
	    record_parse(b, RECORD_HEADER, &rec, &size), ERR_CORRUPT);
	ck_assert_int_eq(
	    record_parse(b, RECORD_HEADER - 1, &rec, &size), ERR_END);
}
END_TEST

START_TEST(test_happy)
{
	kit_open(&k);
	k.n_shards = 2;
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= 50; n++)
		kit_request(&k, n % 2, n, n);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert(shipper_done(k.s));
	for (unsigned n = 1; n <= 50; n++)
		ck_assert_int_eq(k.sink.rows[kit_row(&k, n)].cost, n);
	/* A clean restart finds nothing to estimate and ends the old epoch. */
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.intents_recovered, 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 50);
	ck_assert(k.sink.streams[0].ended && k.sink.streams[1].ended);
	ck_assert_uint_eq(kit_files(&k, ".seg"), 2);
	ck_assert_ptr_null(k.j->old);
	kit_close(&k);
}
END_TEST

START_TEST(test_rotation)
{
	kit_open(&k);
	k.segment_size = 4096;
	ck_assert_int_eq(kit_boot(&k), 0);
	/* One request stays open over many segments. */
	ck_assert_int_eq(kit_intent(&k, 0, 4000), 0);
	for (unsigned n = 1; n <= 200; n++)
		kit_request(&k, 0, n, n);
	ck_assert_uint_gt(kit_files(&k, ".seg"), 10);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(kit_files(&k, ".seg"), 1); /* the rest went */
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.intents_recovered, 1);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 201);
	ck_assert_uint_eq(k.sink.rows[kit_row(&k, 4000)].source, CRASH);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 4000)].cost, 5000);
	kit_close(&k);
}
END_TEST

START_TEST(test_unflushed_is_lost)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_int_eq(kit_intent(&k, 0, 3), 0); /* never flushed */
	kit_usage(&k, 0, 2, 2);			   /* never flushed */
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.intents_recovered, 1);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_eq(kit_row(&k, 3), -1);
	ck_assert_uint_eq(k.sink.rows[kit_row(&k, 2)].source, CRASH);
	kit_close(&k);
}
END_TEST

/* A client that leaves in the turn in which its request was admitted. */
START_TEST(test_ended_in_its_first_turn)
{
	unsigned n;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	for (n = 1; n <= 4; n++)
		ck_assert_int_eq(kit_intent(&k, 0, n), 0);
	kit_usage(&k, 0, 2, 0);
	kit_usage(&k, 0, 4, 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_usage(&k, 0, 1, 7);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	journal_sync_turn(k.j);
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.intents_recovered, 1); /* 3 was open */
	kit_ship(&k);
	ck_assert_uint_eq(k.sink.n_rows, 4);
	for (n = 1; n <= 4; n++)
		ck_assert_int_ge(kit_row(&k, n), 0);
	kit_close(&k);
}
END_TEST

/* Lost acks, crashes before and after: no row twice, none missing. */
START_TEST(test_lost_acks)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= 20; n++)
		kit_request(&k, 0, n, n);
	k.sink.fail_next = 2;
	/* A back-off, not an eager retry. */
	ck_assert_int_ge(shipper_turn(k.s), 50);
	kit_crash(&k);
	for (int again = 0; again < 3; again++) {
		ck_assert_int_eq(kit_boot(&k), 0);
		k.sink.fail_next = 1;
		(void)shipper_turn(k.s);
		kit_crash(&k);
	}
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 20);
	for (unsigned n = 1; n <= 20; n++)
		ck_assert_int_ge(kit_row(&k, n), 0);
	ck_assert_uint_eq(kit_files(&k, ".seg"), 1);
	kit_close(&k);
}
END_TEST

/* Cut the file at every byte: a whole record counts, a torn one is gone. */
START_TEST(test_torn_anywhere)
{
	char from[PATH_MAX / 2], seg[PATH_MAX];
	struct stat st;
	unsigned torn = 0;
	off_t full;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	kit_request(&k, 0, 2, 2);
	ck_assert_int_eq(kit_intent(&k, 0, 3), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_usage(&k, 0, 3, 3);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	(void)snprintf(
	    from, sizeof(from), "%.*s.src", (int)strlen(k.dir), k.dir);
	kit_crash(&k);
	kit_copy_dir(k.dir, from);
	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	ck_assert_int_eq(stat(seg, &st), 0);
	full = st.st_size;
	for (off_t cut = 0; cut <= full; cut++) {
		bool any;

		kit_remove_dir(k.dir);
		kit_copy_dir(from, k.dir);
		ck_assert_int_eq(truncate(seg, cut), 0);
		memset(&k.sink, 0, sizeof(k.sink));
		k.epoch = 1;
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_uint_eq(k.found.quarantined, 0);
		ck_assert_uint_eq(k.found.filled, 0);
		ck_assert_uint_le(k.found.torn, 1);
		torn += (unsigned)k.found.torn;
		/* And a crash right after the replay changes nothing. */
		kit_crash(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_uint_eq(k.found.intents_recovered, 0);
		ck_assert_int_eq(kit_ship(&k), -1);
		for (unsigned n = 1; n <= 3; n++) {
			int row = kit_row(&k, n);

			any = n == 1 || kit_row(&k, n - 1) >= 0;
			ck_assert(row < 0 || any);
			if (row >= 0)
				ck_assert_int_eq(k.sink.rows[row].cost,
				    k.sink.rows[row].source == CRASH ? 1000 + n
								     : n);
		}
		if (cut == full)
			ck_assert_uint_eq(k.sink.rows[kit_row(&k, 3)].source,
			    HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL);
		kit_crash(&k);
	}
	ck_assert_uint_ge(torn, (unsigned)full / 2); /* most cuts tear one */
	kit_remove_dir(from);
	kit_close(&k);
}
END_TEST

/* Die at each step of the recovery itself: every io call fails once. */
START_TEST(test_replay_faults)
{
	static const enum io_op ops[] = {IO_OPEN, IO_WRITE, IO_PREAD, IO_FSYNC};
	unsigned injected = 0;

	for (unsigned o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
		for (long at = 1; at < 60; at++) {
			int rc;

			kit_open(&k);
			ck_assert_int_eq(kit_boot(&k), 0);
			kit_request(&k, 0, 1, 1);
			ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
			ck_assert_int_eq(kit_intent(&k, 0, 3), 0);
			ck_assert_int_eq(kit_flush(&k, 0), 0);
			kit_crash(&k);
			k.io.op = ops[o];
			k.io.countdown = at;
			k.io.errnum = ops[o] == IO_WRITE ? ENOSPC : EIO;
			rc = kit_boot(&k);
			injected += rc != 0;
			kit_crash(&k);
			ck_assert_int_eq(kit_boot(&k), 0);
			ck_assert_int_eq(kit_ship(&k), -1);
			ck_assert_uint_eq(k.sink.n_rows, 3);
			for (unsigned n = 1; n <= 3; n++)
				ck_assert_int_ge(kit_row(&k, n), 0);
			ck_assert_uint_eq(k.found.filled, 0);
			kit_close(&k);
			if (rc == 0 && at > 20)
				break;
		}
	}
	ck_assert_uint_gt(injected, 8);
}
END_TEST

/* Every io call of a running journal fails once, at each position. */
START_TEST(test_running_faults)
{
	static const struct {
		enum io_op op;
		int errnum;
	} faults[] = {{IO_WRITE, ENOSPC}, {IO_WRITE, EIO}, {IO_WRITE, 0},
	    {IO_FSYNC, EIO}, {IO_OPEN, EMFILE}, {IO_TRUNCATE, EIO},
	    {IO_UNLINK, EIO}, {IO_RENAME, EIO}, {IO_PREAD, EIO}};

	for (unsigned f = 0; f < sizeof(faults) / sizeof(faults[0]); f++) {
		for (long at = 1; at <= 40; at++) {
			unsigned admitted = 0;
			bool in[64] = {false};

			kit_open(&k);
			k.segment_size = 2048;
			ck_assert_int_eq(kit_boot(&k), 0);
			k.io.op = faults[f].op;
			k.io.countdown = at;
			k.io.errnum = faults[f].errnum;
			for (unsigned n = 1; n < 30; n++) {
				clock_fake_advance(&k.clock, NS_PER_S);
				if (kit_intent(&k, 0, n) == 0 &&
				    kit_flush(&k, 0) == 0) {
					in[n] = true;
					admitted++;
					kit_usage(&k, 0, n, n);
				}
				(void)!kit_flush(&k, 0);
				(void)!kit_flush(&k, 0);
				journal_sync_turn(k.j);
				if (n % 5 == 0)
					(void)shipper_turn(k.s);
			}
			ck_assert_uint_gt(admitted, 20);
			(void)kit_ship(&k);
			kit_crash(&k);
			ck_assert_int_eq(kit_boot(&k), 0);
			ck_assert_int_eq(kit_ship(&k), -1);
			ck_assert_msg(k.found.filled == 0,
			    "fault %u at %ld: records lost", f, at);
			for (unsigned n = 1; n < 30; n++) {
				int row = kit_row(&k, n);

				ck_assert_msg(in[n] == (row >= 0),
				    "fault %u at %ld: request %u", f, at, n);
				if (in[n])
					ck_assert_int_eq(
					    k.sink.rows[row].cost, n);
			}
			kit_close(&k);
		}
	}
}
END_TEST

START_TEST(test_disk_full)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_intent(&k, 0, 1), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_fault(&k, IO_WRITE, ENOSPC);
	k.io.sticky = 1;
	kit_usage(&k, 0, 1, 1);
	ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
	ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
	ck_assert(!journal_writable(&k.j->shards[0]));
	ck_assert_int_eq(kit_intent(&k, 0, 3), ERR_JOURNAL_FULL);
	ck_assert(journal_pending(&k.j->shards[0])); /* the usage waits */
	ck_assert(!shipper_done(k.s));
	clock_fake_advance(&k.clock, NS_PER_S);
	journal_sync_turn(k.j);
	ck_assert(!journal_writable(&k.j->shards[0]));
	/* Space is back. */
	k.io.countdown = -1;
	k.io.sticky = 0;
	clock_fake_advance(&k.clock, NS_PER_S);
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert(journal_writable(&k.j->shards[0]));
	ck_assert(!journal_pending(&k.j->shards[0]));
	kit_request(&k, 0, 4, 4);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 2);
	ck_assert_int_ge(kit_row(&k, 1), 0);
	ck_assert_int_ge(kit_row(&k, 4), 0);
	kit_close(&k);
}
END_TEST

/* The disk fills up in the turn that begins a segment: a request that was
 * turned away must not come back as an interrupted one. */
START_TEST(test_refused_while_rotating)
{
	for (long at = 1; at <= 4; at++) {
		kit_open(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_int_eq(kit_intent(&k, 0, 1), 0); /* stays open */
		kit_request(&k, 0, 10, 1);
		k.j->opt.segment_size = 300; /* the next turn begins one */
		k.io.op = IO_WRITE;
		k.io.countdown = at;
		k.io.errnum = ENOSPC;
		ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
		if (kit_flush(&k, 0) == 0) {
			kit_close(&k);
			continue;
		}
		kit_crash(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_int_eq(kit_ship(&k), -1);
		ck_assert_int_eq(kit_row(&k, 2), -1);
		ck_assert_int_ge(kit_row(&k, 1), 0);
		kit_close(&k);
	}
}
END_TEST

static int64_t
size_fails(struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return -EIO;
}

/* A segment whose size is not known is not an empty one. */
START_TEST(test_size_unknown)
{
	int64_t (*size)(struct io * io, int fd);

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	kit_crash(&k);
	size = k.io.io.size;
	k.io.io.size = size_fails;
	ck_assert_int_eq(kit_boot(&k), ERR_IO);
	k.io.io.size = size;
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_ge(kit_row(&k, 1), 0);
	kit_close(&k);
}
END_TEST

START_TEST(test_fsync_poison)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_usage(&k, 0, 2, 2);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	ck_assert(journal_pending(&k.j->shards[0])); /* must move on */
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_eq(kit_row(&k, 2), -1); /* not durable: not shipped */
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_ge(kit_row(&k, 2), 0);
	ck_assert_uint_eq(kit_files(&k, ".seg"), 1);
	kit_close(&k);
}
END_TEST

/* A byte in the middle rots: quarantine, everything else is delivered. */
START_TEST(test_rot)
{
	char from[PATH_MAX / 2], seg[PATH_MAX];
	struct stat st;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= 5; n++)
		kit_request(&k, 0, n, n);
	kit_crash(&k);
	(void)snprintf(
	    from, sizeof(from), "%.*s.src", (int)strlen(k.dir), k.dir);
	kit_copy_dir(k.dir, from);
	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	ck_assert_int_eq(stat(seg, &st), 0);
	for (off_t at = 0; at < st.st_size; at += 37) {
		unsigned there = 0;
		int fd;
		char ch;

		kit_remove_dir(k.dir);
		kit_copy_dir(from, k.dir);
		fd = open(seg, O_RDWR);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(pread(fd, &ch, 1, at), 1);
		ch = (char)(ch ^ 0x55);
		ck_assert_int_eq(pwrite(fd, &ch, 1, at), 1);
		close(fd);
		memset(&k.sink, 0, sizeof(k.sink));
		k.epoch = 1;
		ck_assert_int_eq(kit_boot(&k), 0);
		kit_crash(&k);
		ck_assert_int_eq(kit_boot(&k), 0); /* once is enough */
		ck_assert_uint_eq(k.found.quarantined, 0);
		ck_assert_int_eq(kit_ship(&k), -1);
		ck_assert(k.sink.streams[0].ended);
		for (unsigned n = 1; n <= 5; n++)
			there += kit_row(&k, n) >= 0;
		/* One record is hit: an intent is not missed, a usage record
		 * becomes an estimate; the last one's may be torn. */
		ck_assert_uint_ge(there, 5);
		kit_crash(&k);
	}
	kit_remove_dir(from);
	kit_close(&k);
}
END_TEST

START_TEST(test_same_epoch_refused)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	kit_crash(&k);
	k.epoch--;
	ck_assert_int_eq(kit_boot(&k), ERR_EXISTS);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_close(&k);
}
END_TEST

/* What was acknowledged is known after a restart: nothing is sent again. */
START_TEST(test_acks_kept)
{
	unsigned batches;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= 3; n++)
		kit_request(&k, 0, n, n);
	ck_assert_int_eq(kit_ship(&k), -1);
	batches = k.sink.n_records;
	ck_assert_uint_eq(batches, 3);
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_records, batches);
	kit_close(&k);
}
END_TEST

/* A batch holds no more records than it may, and all arrive. */
START_TEST(test_full_batches)
{
	const unsigned n = SHIP_MAX_RECORDS + 300;

	kit_open(&k);
	k.segment_size = (int64_t)8 << 20;
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned i = 1; i <= n; i++) {
		ck_assert_int_eq(kit_intent(&k, 0, i), 0);
		if (i % 100 == 0)
			ck_assert_int_eq(kit_flush(&k, 0), 0);
		kit_usage(&k, 0, i, i);
	}
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, n);
	ck_assert_uint_eq(k.sink.largest, SHIP_MAX_RECORDS);
	kit_close(&k);
}
END_TEST

START_TEST(test_damaged_acks)
{
	char path[PATH_MAX];
	int fd;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_ship(&k), -1);
	kit_crash(&k);
	(void)snprintf(path, sizeof(path), "%s/acks", k.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(write(fd, "1 0 999\ncrc 1\n", 14), 14);
	close(fd);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 2, 2);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 2);
	kit_close(&k);
}
END_TEST

/* The threads: records arrive by themselves, quickly. */
START_TEST(test_threads)
{
	struct error e;

	kit_open(&k);
	k.threads = true;
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(journal_start(k.j, &e), 0);
	ck_assert_int_eq(shipper_start(k.s, &e), 0);
	for (unsigned n = 1; n <= 300; n++) {
		ck_assert_int_eq(kit_intent(&k, 0, n), 0);
		ck_assert_int_eq(kit_flush(&k, 0), 0);
		kit_usage(&k, 0, n, n);
		ck_assert_int_eq(kit_flush(&k, 0), 0);
	}
	for (int i = 0; i < 2000 && !shipper_done(k.s); i++)
		nanosleep(&(struct timespec){0, 2000000}, NULL);
	ck_assert(shipper_done(k.s));
	shipper_stop(k.s);
	journal_stop(k.j);
	ck_assert_uint_eq(k.sink.n_rows, 300);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/journal");

	UNIT_ADD(s, test_crc);
	UNIT_ADD(s, test_record);
	UNIT_ADD(s, test_header);
	UNIT_ADD(s, test_happy);
	UNIT_ADD(s, test_rotation);
	UNIT_ADD(s, test_unflushed_is_lost);
	UNIT_ADD(s, test_ended_in_its_first_turn);
	UNIT_ADD(s, test_lost_acks);
	UNIT_ADD(s, test_torn_anywhere);
	UNIT_ADD(s, test_replay_faults);
	UNIT_ADD(s, test_running_faults);
	UNIT_ADD(s, test_disk_full);
	UNIT_ADD(s, test_refused_while_rotating);
	UNIT_ADD(s, test_size_unknown);
	UNIT_ADD(s, test_fsync_poison);
	UNIT_ADD(s, test_rot);
	UNIT_ADD(s, test_same_epoch_refused);
	UNIT_ADD(s, test_damaged_acks);
	UNIT_ADD(s, test_acks_kept);
	UNIT_ADD(s, test_full_batches);
	UNIT_ADD(s, test_threads);
	return unit_run(s);
}
