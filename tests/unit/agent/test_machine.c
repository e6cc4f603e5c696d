/* SPDX-License-Identifier: Apache-2.0 */
/* A killed process is told from a machine that lost power. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/unit.h"

static bool
lacks(struct kit *k, const char *boot_id, uint64_t epoch)
{
	struct machine m;
	bool ret;

	machine_load(&m, &k->io.io, k->dir);
	ret = machine_may_lack(&m, boot_id, epoch);
	machine_release(&m);
	return ret;
}

/* The next boot on machine `id`; one request, then the process dies. */
static void
live_and_die(struct kit *k, const char *id)
{
	k->boot_id = id;
	ck_assert_int_eq(kit_boot(k), 0);
	kit_request(k, 0, (unsigned)k->epoch, 5);
	kit_crash(k);
}

START_TEST(test_kill_proves)
{
	struct kit k;

	kit_open(&k);
	live_and_die(&k, "m1");
	k.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.may_lack, 0);
	kit_ship(&k);
	ck_assert_uint_eq(k.sink.n_lacking, 0);
	kit_close(&k);
}
END_TEST

/* What another machine's file said of an epoch says nothing on this one. */
START_TEST(test_begin_forgets)
{
	struct machine m = {0};

	buf_init(&m.text, MACHINE_FILE_MAX);
	machine_begin(&m, "m1");
	machine_clean(&m, 1);
	ck_assert(!machine_may_lack(&m, "m2", 1));
	machine_begin(&m, "m2");
	ck_assert(machine_may_lack(&m, "m3", 1));
	ck_assert(machine_may_lack(&m, "m1", 2));
	ck_assert(!machine_may_lack(&m, "m2", 2));
	machine_release(&m);
}
END_TEST

START_TEST(test_power_cut_does_not)
{
	struct kit k;

	kit_open(&k);
	live_and_die(&k, "m1");
	live_and_die(&k, "m2");
	/* Killed before it shipped: the mark stays. */
	ck_assert(lacks(&k, "m2", 1));
	ck_assert(!lacks(&k, "m2", 2));
	k.boot_id = "m2";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.may_lack, k.n_shards);
	kit_ship(&k);
	ck_assert_uint_eq(k.sink.n_lacking, k.n_shards);
	kit_close(&k);
}
END_TEST

START_TEST(test_clean_end_survives_power_cut)
{
	struct kit k;

	kit_open(&k);
	k.threads = true;
	k.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(journal_start(k.j, NULL), 0);
	kit_request(&k, 0, 1, 5);
	journal_stop(k.j);
	kit_crash(&k);
	k.boot_id = "m2";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.may_lack, 0);
	kit_close(&k);
}
END_TEST

/* One file whose sync failed, of any shard, and the end is not a clean one. */
START_TEST(test_dirty_end)
{
	struct kit k;

	for (unsigned bad = 0; bad < 3; bad++) {
		kit_open(&k);
		k.n_shards = 3;
		k.boot_id = "m1";
		ck_assert_int_eq(kit_boot(&k), 0);
		for (unsigned i = 0; i < k.n_shards; i++)
			kit_request(&k, i, i + 1, 5);
		ck_assert_int_eq(kit_intent(&k, bad, 9), 0);
		ck_assert_int_eq(kit_flush(&k, bad), 0);
		kit_fault(&k, IO_FSYNC, EIO);
		ck_assert_int_eq(journal_start(k.j, NULL), 0);
		journal_stop(k.j);
		kit_crash(&k);
		k.boot_id = "m2";
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_uint_eq(k.found.may_lack, k.n_shards);
		kit_close(&k);
	}
}
END_TEST

/* Told to stop before it ran: what was written is synced all the same. */
START_TEST(test_stopped_at_once)
{
	struct kit k;

	kit_open(&k);
	k.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_intent(&k, 0, 1), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	atomic_store(&k.j->stop, true);
	ck_assert_int_eq(journal_start(k.j, NULL), 0);
	journal_stop(k.j);
	kit_crash(&k);
	k.boot_id = "m2";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.may_lack, 0);
	kit_close(&k);
}
END_TEST

/* As many shards as there can be; each is counted, and no more. */
START_TEST(test_all_shards)
{
	struct journal_backlog b;
	struct kit k;

	kit_open(&k);
	k.n_shards = JOURNAL_MAX_SHARDS;
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned i = 0; i < k.n_shards; i++)
		kit_request(&k, i, i + 1, 5);
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.records, k.n_shards);
	ck_assert_uint_eq(b.segments, k.n_shards);
	ck_assert(b.writable);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, k.n_shards);
	kit_close(&k);
}
END_TEST

START_TEST(test_damaged_file_counts_as_absent)
{
	struct kit k;
	char path[PATH_MAX];
	FILE *f;

	kit_open(&k);
	live_and_die(&k, "m1");
	(void)snprintf(path, sizeof(path), "%s/machine", k.dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	(void)fputs("boot m1", f); /* torn: no line end */
	ck_assert_int_eq(fclose(f), 0);
	ck_assert(lacks(&k, "m1", 1));
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/machine");

	UNIT_ADD(s, test_kill_proves);
	UNIT_ADD(s, test_begin_forgets);
	UNIT_ADD(s, test_power_cut_does_not);
	UNIT_ADD(s, test_clean_end_survives_power_cut);
	UNIT_ADD(s, test_all_shards);
	UNIT_ADD(s, test_dirty_end);
	UNIT_ADD(s, test_stopped_at_once);
	UNIT_ADD(s, test_damaged_file_counts_as_absent);
	return unit_run(s);
}
