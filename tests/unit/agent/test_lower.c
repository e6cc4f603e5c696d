/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lower records: after a crash a request is billed at the least amount that
 * its journal proves, and nobody is told that an amount is proven before it
 * is durable.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/journal/crc32c.h"
#include "proto/headgate.pb-c.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/unit.h"

static struct kit k;

static int
lower(unsigned n, int64_t amount, uint64_t *ticket)
{
	struct journal_intent i;

	kit_intent_of(&i, n);
	i.reserved = amount;
	i.worst.n[TC_INPUT] = 7;
	return journal_lower(&k.j->shards[0], &i, ticket);
}

static void
begin(unsigned n)
{
	ck_assert_int_eq(kit_intent(&k, 0, n), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
}

static uint64_t
proven(void)
{
	return journal_lowered(&k.j->shards[0]);
}

/* What request n was billed at after a crash now. */
static int64_t
crash_cost(unsigned n)
{
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.quarantined, 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_ge(kit_row(&k, n), 0);
	return k.sink.rows[kit_row(&k, n)].cost;
}

START_TEST(test_record)
{
	uint8_t b[RECORD_LOWER_MAX];
	struct journal_intent i, got;
	struct record rec;
	size_t n, size;

	kit_intent_of(&i, 9);
	for (int c = 0; c < TC_COUNT; c++)
		i.worst.n[c] = c + 1;
	n = record_encode_lower(b, &i);
	ck_assert_uint_eq(n, RECORD_LOWER_MAX);
	ck_assert_int_eq(record_parse(b, n, &rec, &size), 0);
	ck_assert_uint_eq(rec.type, RECORD_LOWER);
	ck_assert_uint_eq(size, n);
	ck_assert_int_eq(record_decode_lower(rec.payload, &got), 0);
	ck_assert_mem_eq(got.request_id, i.request_id, 16);
	ck_assert_uint_eq(got.attempt, i.attempt);
	ck_assert_int_eq(got.reserved, i.reserved);
	ck_assert_mem_eq(&got.worst, &i.worst, sizeof(i.worst));
	rec.payload.len -= 8; /* fewer tokens than it says */
	ck_assert_int_ne(record_decode_lower(rec.payload, &got), 0);
	for (size_t cut = 0; cut < n; cut++)
		ck_assert_int_ne(record_parse(b, cut, &rec, &size), 0);
	for (size_t at = 0; at < n; at++) {
		b[at] ^= 0x40;
		ck_assert_int_ne(record_parse(b, n, &rec, &size), 0);
		b[at] ^= 0x40;
	}
}
END_TEST

/* Collected, written, durable; only then it may be released. */
START_TEST(test_proven)
{
	uint64_t one = 0, two = 0;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	begin(1);
	begin(2);
	journal_sync_turn(k.j);
	ck_assert_int_eq(lower(1, 400, &one), 0);
	ck_assert_uint_lt(proven(), one);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_uint_lt(proven(), one);
	ck_assert_int_eq(lower(2, 300, &two), 0);
	journal_sync_turn(k.j); /* the second one is not written yet */
	ck_assert_uint_ge(proven(), one);
	ck_assert_uint_lt(proven(), two);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	journal_sync_turn(k.j);
	ck_assert_uint_ge(proven(), two);
	ck_assert_int_eq(crash_cost(1), 400);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 2)].cost, 300);
	ck_assert_uint_eq(k.found.intents_recovered, 2);
	kit_close(&k);
}
END_TEST

START_TEST(test_refused)
{
	uint64_t ticket = 77;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(lower(1, 400, &ticket), ERR_NOT_FOUND);
	ck_assert_int_eq(kit_intent(&k, 0, 1), 0);
	ck_assert_int_eq(lower(1, 400, &ticket), ERR_NOT_FOUND); /* not yet */
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_int_eq(lower(1, 1001, &ticket), ERR_INVALID);
	ck_assert_int_eq(lower(1, -1, &ticket), ERR_INVALID);
	ck_assert_int_eq(lower(1, 400, &ticket), 0);
	ck_assert_int_eq(lower(1, 400, &ticket), ERR_INVALID);
	ck_assert_int_eq(lower(1, 500, &ticket), ERR_INVALID);
	ck_assert_int_eq(lower(1, 390, &ticket), 0);
	ck_assert_int_eq(lower(1, 0, &ticket), 0); /* nothing at all */
	kit_usage(&k, 0, 1, 5);
	ck_assert_int_eq(lower(1, 100, &ticket), ERR_NOT_FOUND);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_int_eq(crash_cost(1), 5);
	ck_assert_uint_eq(k.found.intents_recovered, 0);
	kit_close(&k);
}
END_TEST

/* Carried over into newer segments it stays lowered, whatever is left of the
 * older ones. */
START_TEST(test_rotation)
{
	uint64_t ticket;

	for (int shipped = 0; shipped < 2; shipped++) {
		kit_open(&k);
		k.segment_size = 4096;
		ck_assert_int_eq(kit_boot(&k), 0);
		begin(4000);
		for (unsigned n = 1; n <= 60; n++)
			kit_request(&k, 0, n, n);
		ck_assert_int_eq(lower(4000, 123, &ticket), 0);
		for (unsigned n = 61; n <= 120; n++)
			kit_request(&k, 0, n, n);
		ck_assert_uint_ge(proven(), ticket);
		if (shipped == 1)
			ck_assert_int_eq(kit_ship(&k), -1);
		ck_assert_int_eq(crash_cost(4000), 123);
		ck_assert_uint_eq(k.sink.n_rows, 121);
		kit_close(&k);
	}
}
END_TEST

/* Flip a bit of the first lower record of the file. */
static bool
damage_lower(const char *path)
{
	struct record rec;
	struct buf b;
	size_t at = SEGMENT_HEADER, size;
	bool found = false;

	buf_init(&b, (size_t)1 << 20);
	ck_assert_int_eq(io_read_file(io_system(), path, &b, NULL), 0);
	for (; !found && record_parse((const uint8_t *)b.data + at, b.len - at,
			     &rec, &size) == 0;
	     at += size)
		found = rec.type == RECORD_LOWER;
	if (found) {
		int fd = open(path, O_WRONLY);
		char ch = (char)(b.data[at - 1] ^ 1);

		ck_assert_int_eq(pwrite(fd, &ch, 1, (off_t)at - 1), 1);
		close(fd);
	}
	buf_release(&b);
	return found;
}

/* The record itself rots: the copy in the segment after it proves as much. */
START_TEST(test_rotten)
{
	char path[PATH_MAX];
	unsigned damaged = 0, n;
	uint64_t ticket;

	kit_open(&k);
	k.segment_size = 4096;
	ck_assert_int_eq(kit_boot(&k), 0);
	begin(4000);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(lower(4000, 123, &ticket), 0);
	for (n = 2; n <= 60; n++)
		kit_request(&k, 0, n, n);
	for (n = 1; n <= kit_files(&k, ".seg"); n++) {
		(void)snprintf(path, sizeof(path), "%s/1-0-%u.seg", k.dir, n);
		damaged += damage_lower(path);
	}
	ck_assert_uint_eq(damaged, 1);
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.intents_recovered, 1);
	ck_assert_uint_eq(k.found.filled, 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 61);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 4000)].cost, 123);
	kit_close(&k);
}
END_TEST

/* The disk is full: it is kept, and proven once it could be written. */
START_TEST(test_disk_full)
{
	uint64_t ticket;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	begin(1);
	kit_fault(&k, IO_WRITE, ENOSPC);
	k.io.sticky = 1;
	ck_assert_int_eq(lower(1, 400, &ticket), 0);
	ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
	ck_assert(journal_pending(&k.j->shards[0]));
	journal_sync_turn(k.j);
	ck_assert_uint_lt(proven(), ticket);
	ck_assert_int_eq(lower(1, 300, &ticket), ERR_JOURNAL_FULL);
	k.io.countdown = -1;
	k.io.sticky = 0;
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	clock_fake_advance(&k.clock, NS_PER_S);
	journal_sync_turn(k.j);
	ck_assert_uint_ge(proven(), ticket);
	ck_assert_int_eq(crash_cost(1), 400);
	kit_close(&k);
}
END_TEST

/* What a failed sync may have lost is not proven by its repetition, until that
 * one is durable and the lost segment is gone. */
START_TEST(test_poison)
{
	uint64_t ticket;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	begin(1);
	journal_sync_turn(k.j);
	ck_assert_int_eq(lower(1, 400, &ticket), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	ck_assert_uint_lt(proven(), ticket);
	journal_sync_turn(k.j);
	ck_assert_uint_lt(proven(), ticket);
	ck_assert_int_eq(kit_flush(&k, 0), 0); /* moves on */
	ck_assert_uint_lt(proven(), ticket);
	kit_request(&k, 0, 2, 2);
	ck_assert_int_eq(kit_ship(&k), -1);
	kit_request(&k, 0, 3, 3);
	ck_assert_uint_ge(proven(), ticket);
	ck_assert_int_eq(crash_cost(1), 400);
	kit_close(&k);
}
END_TEST

/* Cut at every byte, the bill is one of what was said, the last one that is
 * whole. */
START_TEST(test_torn_anywhere)
{
	char from[PATH_MAX / 2], seg[PATH_MAX];
	int64_t last = 1001;
	uint64_t ticket;
	struct stat st;
	off_t at;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	begin(1);
	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	ck_assert_int_eq(stat(seg, &st), 0);
	at = st.st_size;
	ck_assert_int_eq(lower(1, 700, &ticket), 0);
	ck_assert_int_eq(lower(1, 300, &ticket), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_crash(&k);
	ck_assert_int_eq(stat(seg, &st), 0);
	(void)snprintf(
	    from, sizeof(from), "%.*s.src", (int)strlen(k.dir), k.dir);
	kit_copy_dir(k.dir, from);
	for (; at <= st.st_size; at++) {
		int64_t cost;

		kit_remove_dir(k.dir);
		kit_copy_dir(from, k.dir);
		ck_assert_int_eq(truncate(seg, at), 0);
		memset(&k.sink, 0, sizeof(k.sink));
		k.epoch = 1;
		ck_assert_int_eq(kit_boot(&k), 0);
		cost = crash_cost(1);
		ck_assert(cost == 1001 || cost == 700 || cost == 300);
		ck_assert_int_le(cost, last);
		last = cost;
		kit_crash(&k);
	}
	ck_assert_int_eq(last, 300);
	kit_remove_dir(from);
	kit_close(&k);
}
END_TEST

static void
set_version(uint32_t v)
{
	char seg[PATH_MAX];
	uint8_t h[SEGMENT_HEADER];
	int fd;

	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	fd = open(seg, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, h, sizeof(h), 0), sizeof(h));
	put_u32(h + 8, v);
	put_u32(h + 60, crc32c(0, h, 60));
	ck_assert_int_eq(pwrite(fd, h, sizeof(h), 0), sizeof(h));
	close(fd);
}

/* The journal of an older agent is read; of a newer one nothing is touched. */
START_TEST(test_versions)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	begin(1);
	kit_request(&k, 0, 2, 2);
	kit_crash(&k);
	set_version(SEGMENT_VERSION + 1);
	ck_assert_int_eq(kit_boot(&k), ERR_VERSION);
	kit_crash(&k);
	ck_assert_uint_eq(kit_files(&k, ".seg"), 1);
	set_version(SEGMENT_VERSION_MIN);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 1)].cost, 1001);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 2)].cost, 2);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lower");

	UNIT_ADD(s, test_record);
	UNIT_ADD(s, test_proven);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_rotation);
	UNIT_ADD(s, test_rotten);
	UNIT_ADD(s, test_disk_full);
	UNIT_ADD(s, test_poison);
	UNIT_ADD(s, test_torn_anywhere);
	UNIT_ADD(s, test_versions);
	return unit_run(s);
}
