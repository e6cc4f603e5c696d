/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's folder: room that is kept for the usage of what runs, and
 * what is found in it, in any order.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/agent/disk_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

/* ---- room ---------------------------------------------------------------- */

static void
look(int64_t room)
{
	disk.room = room;
	journal_check_space(dk.j);
}

static bool
writable(void)
{
	struct journal_backlog b;

	journal_backlog(dk.j, &b);
	ck_assert(b.writable == journal_writable(&dk.j->shards[0]));
	return b.writable;
}

/* The reserve is kept to the byte, whatever the last run left. */
START_TEST(test_reserve_size)
{
	static const int64_t sizes[] = {1, 4096, (1 << 20) - 1, 1 << 20,
	    (1 << 20) + 1, (3 << 20) + 5, 2 << 20, 5000, 5001, 0};

	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_assert_int_eq(kit_size(&dk, "ballast"), 4096);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int64_t had = kit_size(&dk, "ballast");
		unsigned was = disk.closed;

		atomic_store(&dk.j->ballast, false);
		dk.j->opt.reserve = sizes[i];
		disk.written = 0;
		look((int64_t)1 << 40);
		ck_assert_int_eq(kit_size(&dk, "ballast"), sizes[i]);
		ck_assert_uint_eq(disk.written, /* a larger one is cut */
		    had >= sizes[i] ? 0u
				    : (unsigned)((sizes[i] + 1048575) >> 20));
		ck_assert(atomic_load(&dk.j->ballast));
		ck_assert(writable());
		ck_assert_uint_eq(disk.closed, was + 1);
		/* One of the right size is taken as it is. */
		atomic_store(&dk.j->ballast, false);
		disk.written = 0;
		look((int64_t)1 << 40);
		ck_assert_uint_eq(disk.written, 0);
		ck_assert_int_eq(kit_size(&dk, "ballast"), sizes[i]);
		ck_assert_uint_eq(disk.closed, was + 2);
	}
	disk_end();
}
END_TEST

/* When nothing is admitted for want of room, and when again: with the reserve
 * in place at an eighth of it; without, when there is room for a quarter more
 * than the reserve. */
START_TEST(test_room)
{
	const int64_t reserve = 8000;

	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	journal_drop_ballast(dk.j);
	ck_assert_int_eq(kit_size(&dk, "ballast"), -1);
	dk.j->opt.reserve = reserve;
	look(reserve + reserve / 4 - 1);
	ck_assert(!writable());
	ck_assert_int_eq(kit_size(&dk, "ballast"), -1);
	look(-1); /* unknown changes nothing */
	ck_assert(!writable());
	look(reserve + reserve / 4);
	ck_assert(writable());
	ck_assert_int_eq(kit_size(&dk, "ballast"), reserve);
	look(reserve / 8);
	ck_assert(writable());
	look(-1);
	ck_assert(writable());
	look(reserve / 8 - 1);
	ck_assert(!writable());
	ck_assert_int_eq(kit_size(&dk, "ballast"), reserve);
	look(reserve / 8);
	ck_assert(writable());
	look(0);
	ck_assert(!writable());
	disk_end();
}
END_TEST

/* A reserve that cannot be written is none: nothing is admitted, and no part
 * of it stays. */
START_TEST(test_no_reserve)
{
	static const enum io_op ops[] = {IO_OPEN, IO_WRITE};

	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	for (unsigned i = 0; i < 2; i++) {
		journal_drop_ballast(dk.j);
		journal_drop_ballast(dk.j); /* it is gone */
		kit_fault(&dk, ops[i], ENOSPC);
		look((int64_t)1 << 40);
		ck_assert(!writable());
		ck_assert(!atomic_load(&dk.j->ballast));
		ck_assert_int_eq(kit_size(&dk, "ballast"), -1);
		ck_assert_uint_eq(disk.opened, disk.closed + 1); /* segment */
		look((int64_t)1 << 40);
		ck_assert(writable());
		ck_assert(atomic_load(&dk.j->ballast));
	}
	atomic_store(&dk.j->ballast, false);
	oom_arm(1, NULL);
	journal_check_space(dk.j);
	ck_assert(oom_hit());
	ck_assert(!writable());
	disk_end();
}
END_TEST

/* A folder whose files' names are too long by a byte has none. */
START_TEST(test_long_names)
{
	static char dir[PATH_MAX + 1];
	struct machine m = {0};
	char *was;

	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	was = dk.j->dir;
	buf_init(&m.text, MACHINE_FILE_MAX);
	machine_begin(&m, "m1");
	for (size_t n = PATH_MAX - 9; n <= PATH_MAX - 8; n++) {
		long before = dk.io.calls[IO_UNLINK];
		bool fits = n == PATH_MAX - 9;
		int rc;

		memset(dir, 'd', n);
		dk.j->dir = dir;
		atomic_store(&dk.j->ballast, true);
		journal_drop_ballast(dk.j);
		dk.j->dir = was;
		ck_assert_int_eq(dk.io.calls[IO_UNLINK], before + fits);
		rc = machine_save(&m, &dk.io.io, dir);
		ck_assert_int_ne(rc, 0);
		ck_assert((rc == ERR_TOO_LARGE) == !fits);
	}
	machine_release(&m);
	disk_end();
}
END_TEST

/* The disk is asked every 100 ms, and when it is dropped is not asked for. */
START_TEST(test_asked_now_and_then)
{
	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_assert_uint_eq(disk.asked, 1);
	for (unsigned i = 1; i < 4; i++) {
		journal_sync_turn(dk.j);
		clock_fake_advance(&dk.clock, 100 * NS_PER_MS - 1);
		journal_sync_turn(dk.j);
		ck_assert_uint_eq(disk.asked, i);
		clock_fake_advance(&dk.clock, 1);
		journal_sync_turn(dk.j);
		ck_assert_uint_eq(disk.asked, i + 1);
	}
	disk_end();
}
END_TEST

/* ---- many files */

static unsigned turned; /* by so much the list is */

struct names {
	char name[400][40];
	unsigned n;
};

static int
collect(void *ctx, const char *name)
{
	struct names *l = ctx;

	ck_assert_uint_lt(l->n, 400);
	(void)snprintf(l->name[l->n++], sizeof(l->name[0]), "%s", name);
	return 0;
}

static struct io plain; /* beneath list_turned */

static int
list_turned(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	static struct names l;
	int rc = 0;

	l.n = 0;
	ck_assert_int_eq(plain.list(io, path, collect, &l), 0);
	for (unsigned i = 0; i < l.n && rc == 0; i++)
		rc = each(ctx, l.name[(i * turned + 5) % l.n]);
	return rc;
}

/* Names come in any order; files are read by boot, worker and number, also
 * when there are many, and others are left alone. */
START_TEST(test_many_files)
{
	char path[PATH_MAX + 16];
	unsigned n = 0;

	disk_begin();
	dk.n_shards = 2;
	for (unsigned e = 1; e <= 2; e++) {
		ck_assert_int_eq(kit_boot(&dk), 0);
		dk.j->opt.segment_size = 100;
		for (unsigned i = 0; i < 80; i++) {
			n++;
			kit_usage(&dk, i % 2, n, n);
			ck_assert_int_eq(kit_flush(&dk, i % 2), 0);
		}
		kit_crash(&dk);
	}
	(void)snprintf(path, sizeof(path), "%s/x-1-1.seg", dk.dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	for (turned = 1; turned <= 101; turned += 50) {
		plain = dk.io.io;
		dk.io.io.list = list_turned;
		ck_assert_int_eq(kit_boot(&dk), 0);
		ck_assert_uint_eq(dk.found.records, n);
		ck_assert_uint_eq(
		    dk.found.torn + dk.found.quarantined + dk.found.filled, 0);
		for (struct journal_stream *t = dk.j->old; t->next != NULL;
		     t = t->next)
			ck_assert(t->epoch < t->next->epoch ||
				  (t->epoch == t->next->epoch &&
				      t->shard < t->next->shard));
		kit_crash(&dk);
	}
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_assert_int_eq(kit_ship(&dk), -1);
	ck_assert_uint_eq(dk.sink.n_rows, n);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_uint_eq(kit_files(&dk, ".seg"), 3); /* and it */
	disk_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/folder");

	UNIT_ADD(s, test_reserve_size);
	UNIT_ADD(s, test_room);
	UNIT_ADD(s, test_no_reserve);
	UNIT_ADD(s, test_long_names);
	UNIT_ADD(s, test_asked_now_and_then);
	UNIT_ADD(s, test_many_files);
	return unit_run(s);
}
