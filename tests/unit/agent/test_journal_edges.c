/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/journal at its edges: how large segments get, what is counted of
 * earlier boots, and a sync that fails while the next segment is being made.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/journal/acks.h"
#include "agent/journal/crc32c.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct kit k;
static unsigned n_reads;
static int half; /* 2: the next write is cut short, 1: and that after fails */

static ssize_t
write_half(struct io *io, int fd, const void *p, size_t n)
{
	if (half == 1) {
		half = 0;
		return -ENOSPC;
	}
	if (half == 2) {
		half = 1;
		n /= 2;
	}
	return io_system()->write(io, fd, p, n);
}

static int64_t
segment_bytes(unsigned n)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "1-0-%u.seg", n);
	return kit_size(&k, name);
}

/* What was asked for is the most that a segment holds, and it is used. */
START_TEST(test_segment_size)
{
	unsigned n_files, n;

	kit_open(&k);
	k.segment_size = 4096;
	ck_assert_int_eq(kit_boot(&k), 0);
	for (n = 1; n <= 100; n++)
		kit_request(&k, 0, n, n);
	n_files = kit_files(&k, ".seg");
	ck_assert_uint_gt(n_files, 5);
	for (n = 1; n <= n_files; n++) {
		ck_assert_int_gt(segment_bytes(n), 0);
		ck_assert_int_le(segment_bytes(n), 4096);
		if (n < n_files)
			ck_assert_int_gt(segment_bytes(n), 3072);
	}
	kit_close(&k);
}
END_TEST

/* Records of earlier boots are a backlog until they are acknowledged. */
START_TEST(test_backlog_of_old)
{
	struct journal_backlog b;

	kit_open(&k);
	k.n_shards = 2;
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= 5; n++)
		kit_request(&k, n % 2, n, n);
	ck_assert_int_eq(kit_intent(&k, 1, 6), 0);
	ck_assert_int_eq(kit_flush(&k, 1), 0);
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.records, 5);
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.records, 6); /* with what was interrupted */
	ck_assert(!shipper_done(k.s));
	ck_assert_int_eq(kit_ship(&k), -1);
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.records, 0);
	ck_assert(shipper_done(k.s));
	kit_close(&k);
}
END_TEST

/* A segment without its head: every record behind it is found. */
START_TEST(test_head_lost)
{
	char seg[PATH_MAX];
	int fd;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= 5; n++)
		kit_request(&k, 0, n, n);
	kit_crash(&k);
	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	fd = open(seg, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "rot", 3, 0), 3);
	close(fd);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.records, 5);
	ck_assert_uint_eq(k.found.filled, 0);
	ck_assert_uint_eq(k.found.intents_recovered, 0);
	ck_assert_uint_eq(k.found.quarantined, 1);
	ck_assert_int_eq(kit_ship(&k), -1);
	for (unsigned n = 1; n <= 5; n++)
		ck_assert_int_eq(k.sink.rows[kit_row(&k, n)].cost, n);
	kit_close(&k);
}
END_TEST

static ssize_t
read_counted(struct io *io, int fd, void *p, size_t n, off_t off)
{
	(void)io;
	n_reads++;
	return io_system()->pread(io, fd, p, n, off);
}

/* A head that was cut, and nothing behind it: nothing is missing. */
START_TEST(test_only_a_head)
{
	char seg[PATH_MAX];
	int fd;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_crash(&k);
	ck_assert_int_eq(segment_bytes(1), SEGMENT_HEADER);
	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	fd = open(seg, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "rot", 3, 0), 3);
	close(fd);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.torn, 1);
	ck_assert_uint_eq(k.found.quarantined, 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 0);
	kit_close(&k);
}
END_TEST

/* More rot than is read at once: the records behind it are found, and the file
 * is not read a byte at a time. */
START_TEST(test_long_rot)
{
	enum { MANY = 1500 };
	static const char rot[4096];
	char seg[PATH_MAX];
	int64_t at, end;
	int fd;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= MANY; n++)
		kit_request(&k, 0, n, n);
	kit_crash(&k);
	end = segment_bytes(1) - 20000;
	ck_assert_int_gt(end, (int64_t)sizeof(rot) + (256 << 10));
	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	fd = open(seg, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	for (at = 1000; at < end; at += (int64_t)sizeof(rot))
		ck_assert_int_eq(pwrite(fd, rot, sizeof(rot), at), sizeof(rot));
	close(fd);
	n_reads = 0;
	k.io.io.pread = read_counted;
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_lt(n_reads, 1000);
	ck_assert_uint_eq(k.found.quarantined, 1);
	ck_assert_uint_gt(k.found.filled, 0);
	(void)kit_ship(&k);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 1)].cost, 1);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, MANY)].cost, MANY);
	kit_close(&k);
}
END_TEST

/* A record that is whole and says nothing: its segment is kept aside, and what
 * it was of is billed by its intent. */
START_TEST(test_nonsense_record)
{
	static uint8_t b[1 << 16];
	char seg[PATH_MAX];
	struct record rec;
	size_t at = SEGMENT_HEADER, size = 0, last = 0;
	uint32_t crc;
	ssize_t n;
	int fd;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned i = 1; i <= 3; i++)
		kit_request(&k, 0, i, i);
	kit_crash(&k);
	(void)snprintf(seg, sizeof(seg), "%s/1-0-1.seg", k.dir);
	fd = open(seg, O_RDWR);
	ck_assert_int_ge(fd, 0);
	n = read(fd, b, sizeof(b));
	while (record_parse(b + at, (size_t)n - at, &rec, &size) == 0) {
		last = at;
		at += size;
	}
	ck_assert_uint_eq(at, (size_t)n);
	ck_assert_uint_eq(rec.type, RECORD_USAGE);
	memset(b + last + RECORD_HEADER + RECORD_HEAD, 0xff,
	    rec.payload.len - RECORD_HEAD);
	crc = crc32c(
	    crc32c(0, b + last, 16), b + last + RECORD_HEADER, rec.payload.len);
	memcpy(b + last + 16, &crc, sizeof(crc)); /* the file's byte order */
	ck_assert_int_eq(record_parse(b + last, size, &rec, &size), 0);
	ck_assert_int_eq(pwrite(fd, b, (size_t)n, 0), n);
	close(fd);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.quarantined, 1);
	(void)kit_ship(&k);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 2)].cost, 2);
	ck_assert_int_ge(kit_row(&k, 3), 0);
	kit_close(&k);
}
END_TEST

/* No more files, and meanwhile the sync of the old one fails. */
static int
open_fails(struct io *io, const char *path, int flags, mode_t mode)
{
	(void)io;
	(void)path;
	(void)flags;
	(void)mode;
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	return -EMFILE;
}

/* Nothing is written to a segment whose sync failed: who is admitted by it is
 * turned away, and comes through in the segment after it. */
START_TEST(test_poisoned_while_rotating)
{
	int (*was)(struct io *, const char *, int, mode_t);
	int64_t size;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	size = segment_bytes(1);
	k.j->opt.segment_size = size; /* the next turn begins a segment */
	was = k.io.io.open;
	k.io.io.open = open_fails;
	kit_usage(&k, 0, 2, 2);
	ck_assert_int_eq(kit_intent(&k, 0, 3), 0);
	ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
	ck_assert_int_eq(segment_bytes(1), size);
	k.io.io.open = was;
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_eq(k.sink.rows[kit_row(&k, 2)].cost, 2);
	ck_assert_int_eq(kit_row(&k, 3), -1);
	kit_close(&k);
}
END_TEST

static int
truncate_fails(struct io *io, int fd, off_t size)
{
	(void)io;
	(void)fd;
	(void)size;
	return -EIO;
}

/* Half a turn was written. When it could be cut off again the segment goes on,
 * and when not nothing follows the half. */
START_TEST(test_half_written)
{
	for (int cut = 1; cut >= 0; cut--) {
		kit_open(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		kit_request(&k, 0, 1, 1);
		ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
		ck_assert_int_eq(kit_flush(&k, 0), 0);
		kit_usage(&k, 0, 2, 2);
		ck_assert_int_eq(kit_intent(&k, 0, 3), 0);
		if (!cut)
			k.io.io.ftruncate = truncate_fails;
		k.io.io.write = write_half;
		half = 2;
		ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
		ck_assert_int_eq(half, 0);
		ck_assert(atomic_load(&k.j->shards[0].cur->poisoned) == !cut);
		clock_fake_advance(&k.clock, NS_PER_S);
		journal_sync_turn(k.j); /* there is room after all */
		ck_assert_int_eq(kit_flush(&k, 0), 0);
		kit_request(&k, 0, 4, 4);
		ck_assert_uint_eq(kit_files(&k, ".seg"), cut ? 1 : 2);
		kit_crash(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_uint_eq(k.found.filled, 0);
		ck_assert_int_eq(kit_ship(&k), -1);
		ck_assert_int_eq(k.sink.rows[kit_row(&k, 2)].cost, 2);
		ck_assert_int_eq(k.sink.rows[kit_row(&k, 4)].cost, 4);
		ck_assert_int_eq(kit_row(&k, 3), -1);
		kit_close(&k);
	}
}
END_TEST

static ssize_t
read_nothing(struct io *io, int fd, void *p, size_t n, off_t off)
{
	(void)io;
	(void)fd;
	(void)p;
	(void)n;
	(void)off;
	ck_assert_uint_lt(++n_reads, 100);
	return 0;
}

/* What a failed sync may have lost cannot be read back: it is lost, and the
 * journal goes on. */
START_TEST(test_nothing_to_read_back)
{
	ssize_t (*was)(struct io *, int, void *, size_t, off_t);

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	was = k.io.io.pread;
	k.io.io.pread = read_nothing;
	n_reads = 0;
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_uint_gt(n_reads, 0);
	k.io.io.pread = was;
	kit_usage(&k, 0, 2, 2);
	kit_request(&k, 0, 3, 3);
	ck_assert_int_eq(kit_ship(&k), -1);
	for (unsigned n = 1; n <= 3; n++)
		ck_assert_int_eq(k.sink.rows[kit_row(&k, n)].cost, n);
	kit_close(&k);
}
END_TEST

static ssize_t
read_few(struct io *io, int fd, void *p, size_t n, off_t off)
{
	(void)io;
	return io_system()->pread(io, fd, p, n < 7 ? n : 7, off);
}

/* A read may bring less than was asked for. */
START_TEST(test_short_reads)
{
	kit_open(&k);
	k.segment_size = 2048;
	k.io.io.pread = read_few;
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned n = 1; n <= 20; n++)
		kit_request(&k, 0, n, n);
	kit_crash(&k);
	k.io.io.pread = read_few;
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.records, 20);
	ck_assert_uint_eq(k.found.torn, 0);
	ck_assert_uint_eq(k.found.quarantined, 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	for (unsigned n = 1; n <= 20; n++)
		ck_assert_int_eq(k.sink.rows[kit_row(&k, n)].cost, n);
	kit_close(&k);
}
END_TEST

static ssize_t
write_nothing(struct io *io, int fd, const void *p, size_t n)
{
	(void)io;
	(void)fd;
	(void)p;
	(void)n;
	return 0;
}

/* A write of nothing is a full disk, not a success. */
START_TEST(test_nothing_written)
{
	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_intent(&k, 0, 2), 0);
	k.io.io.write = write_nothing;
	ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(k.found.intents_recovered, 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 1);
	kit_close(&k);
}
END_TEST

/* Every number that a shard or a watermark can have is kept. */
START_TEST(test_acks_of_all)
{
	struct acks *a;

	kit_open(&k);
	a = acks_load(&k.io.io, k.dir);
	ck_assert_ptr_nonnull(a);
	acks_put(a, 1, 0, 1);
	acks_put(a, UINT64_MAX, UINT32_MAX, UINT64_MAX);
	ck_assert_int_eq(acks_save(a, &k.io.io, k.dir), 0);
	acks_free(a);
	a = acks_load(&k.io.io, k.dir);
	ck_assert_uint_eq(acks_get(a, 1, 0), 1);
	ck_assert_uint_eq(acks_get(a, UINT64_MAX, UINT32_MAX), UINT64_MAX);
	ck_assert_uint_eq(acks_get(a, 1, 1), 0);
	acks_free(a);
	kit_close(&k);
}
END_TEST

static struct {
	uint64_t epoch;
	uint32_t shard;
	unsigned n;
} other; /* what is added to an answer's names, and how often */

static int
send_other(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	(void)ctx;
	other.n++;
	ack->boot_epoch = b->boot_epoch + other.epoch;
	ack->shard = b->shard + other.shard;
	ack->watermark = 1000;
	return 0;
}

/* An answer about another stream acknowledges nothing. */
START_TEST(test_answer_about_another)
{
	const struct ship_link link = {send_other, NULL};
	struct journal_backlog b;
	struct error e;

	for (unsigned which = 0; which < 2; which++) {
		kit_open(&k);
		ck_assert_int_eq(kit_boot(&k), 0);
		kit_request(&k, 0, 1, 1);
		shipper_free(k.s);
		ck_assert_int_eq(
		    shipper_new(k.j, &link, &k.rng.rng, &k.s, &e), 0);
		other.epoch = which == 0;
		other.shard = which == 1;
		other.n = 0;
		ck_assert_int_gt(shipper_turn(k.s), 0);
		ck_assert_uint_eq(other.n, 1);
		journal_backlog(k.j, &b);
		ck_assert_uint_eq(b.records, 1);
		kit_close(&k);
	}
}
END_TEST

static unsigned n_tagged;

static int
send_tagged(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	(void)ctx;
	for (size_t i = 0; i < b->n_records; i++) {
		const Hg__UsageRecord *r = b->records[i];

		if (r->n_tags == 0)
			continue;
		n_tagged++;
		ck_assert_uint_eq(r->n_tokens, TC_OUTPUT + 1);
		for (size_t c = 0; c < r->n_tokens; c++)
			ck_assert_int_eq(r->tokens[c], c == TC_INPUT	? 10
						       : c == TC_OUTPUT ? 7
									: 0);
		ck_assert_uint_eq(r->n_tags, 2);
		ck_assert_str_eq(r->tags[0]->key, "a");
		ck_assert_str_eq(r->tags[0]->value, "b");
		ck_assert_str_eq(r->tags[1]->key, "feature");
		ck_assert_str_eq(r->tags[1]->value, "x");
	}
	ack->boot_epoch = b->boot_epoch;
	ack->shard = b->shard;
	if (b->n_records > 0)
		ack->watermark = b->records[b->n_records - 1]->seq;
	return 0;
}

/* Who asked for it in which name goes along, and what it counted. */
START_TEST(test_tags_are_shipped)
{
	const struct ship_link link = {send_tagged, NULL};
	struct journal_usage u = {
	    .cost = 5, .tokens.n = {[TC_INPUT] = 10, [TC_OUTPUT] = 7}};
	struct error e;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	shipper_free(k.s);
	ck_assert_int_eq(shipper_new(k.j, &link, &k.rng.rng, &k.s, &e), 0);
	kit_request(&k, 0, 1, 1); /* has none */
	kit_intent_of(&u.head, 2);
	ck_assert_ptr_null(tags_read(&u.head.tags, STR("a=b,feature=x")));
	ck_assert_int_eq(journal_intent(&k.j->shards[0], &u.head), 0);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	u.source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
	journal_usage(&k.j->shards[0], &u);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	journal_sync_turn(k.j);
	n_tagged = 0;
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(n_tagged, 1);
	kit_close(&k);
}
END_TEST

static unsigned n_synced;

static void
note_synced(void *ctx)
{
	(void)ctx;
	n_synced++;
}

/* Who ships is told when something became durable, and only then. */
START_TEST(test_synced_is_told)
{
	kit_open(&k);
	k.n_shards = 2;
	ck_assert_int_eq(kit_boot(&k), 0);
	journal_sync_turn(k.j); /* the segments' heads */
	k.j->on_synced = note_synced;
	for (unsigned n = 1; n <= 4; n++) {
		ck_assert_int_eq(kit_intent(&k, n % 2, n), 0);
		ck_assert_int_eq(kit_flush(&k, n % 2), 0);
		n_synced = 0;
		journal_sync_turn(k.j);
		ck_assert_uint_eq(n_synced, 1);
		journal_sync_turn(k.j);
		ck_assert_uint_eq(n_synced, 1);
	}
	kit_close(&k);
}
END_TEST

static int
open_journal(void)
{
	struct journal_options opt = {.dir = k.dir,
	    .epoch = ++k.epoch,
	    .n_shards = 1,
	    .segment_size = k.segment_size,
	    .reserve = 4096,
	    .io = &k.io.io,
	    .clock = &k.clock.clock};
	int rc = journal_open(&opt, &k.j, &k.found, NULL);

	if (rc == 0)
		journal_close(k.j);
	k.j = NULL;
	return rc;
}

/* Usage that nobody reserved room for, and there is none: it is dropped. */
START_TEST(test_no_room_for_unknown)
{
	bool hit;

	kit_open(&k);
	ck_assert_int_eq(kit_boot(&k), 0);
	oom_arm(1, NULL);
	kit_usage(&k, 0, 9, 9);
	hit = oom_hit();
	ck_assert(hit);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 1);
	kit_close(&k);
}
END_TEST

/* Without memory or descriptors it says so. */
START_TEST(test_out_of_memory)
{
	struct rlimit most, few;

	kit_open(&k);
	for (unsigned n = 1; n <= 2; n++) { /* itself, its folder's name */
		int rc;

		oom_arm(n, NULL);
		rc = open_journal();
		ck_assert(oom_hit());
		ck_assert_int_eq(rc, ERR_NOMEM);
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &most), 0);
	few = most;
	few.rlim_cur = (rlim_t)dup(0);
	close((int)few.rlim_cur);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_eq(open_journal(), ERR_NOMEM);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &most), 0);
	ck_assert_int_eq(open_journal(), 0);
	kit_close(&k);
}
END_TEST

static _Atomic int n_asked;
static _Atomic int64_t asked_at[8];
static _Atomic unsigned wait_ms;

static int
send_refused(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	int n = atomic_load(&n_asked);

	(void)ctx;
	ack->boot_epoch = b->boot_epoch;
	ack->shard = b->shard;
	ack->error_code = ERR_UNAVAILABLE;
	ack->retry_ms = atomic_load(&wait_ms);
	if (n < 8)
		atomic_store(&asked_at[n], clock_mono(clock_system()));
	atomic_store(&n_asked, n + 1);
	return 0;
}

static void
await_asked(int n)
{
	while (atomic_load(&n_asked) < n)
		(void)poll(NULL, 0, 1);
}

/* A control plane that says when to come again is left alone until then; a
 * kick (it is back) ends the wait. */
START_TEST(test_told_to_wait)
{
	const struct ship_link link = {send_refused, NULL};
	struct error e;

	kit_open(&k);
	k.threads = true;
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	shipper_free(k.s);
	ck_assert_int_eq(shipper_new(k.j, &link, &k.rng.rng, &k.s, &e), 0);
	atomic_store(&wait_ms, 700);
	ck_assert_int_eq(shipper_start(k.s, &e), 0);
	await_asked(1);
	atomic_store(&wait_ms, 59000);
	await_asked(2);
	ck_assert_int_ge(atomic_load(&asked_at[1]) - atomic_load(&asked_at[0]),
	    700 * NS_PER_MS);
	shipper_kick(k.s);
	await_asked(3);
	ck_assert_int_lt(atomic_load(&asked_at[2]) - atomic_load(&asked_at[1]),
	    50 * NS_PER_S);
	shipper_stop(k.s);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/journal_edges");

	UNIT_ADD(s, test_segment_size);
	UNIT_ADD(s, test_backlog_of_old);
	UNIT_ADD(s, test_head_lost);
	UNIT_ADD(s, test_only_a_head);
	UNIT_ADD(s, test_long_rot);
	UNIT_ADD(s, test_nonsense_record);
	UNIT_ADD(s, test_poisoned_while_rotating);
	UNIT_ADD(s, test_half_written);
	UNIT_ADD(s, test_nothing_to_read_back);
	UNIT_ADD(s, test_short_reads);
	UNIT_ADD(s, test_nothing_written);
	UNIT_ADD(s, test_acks_of_all);
	UNIT_ADD(s, test_answer_about_another);
	UNIT_ADD(s, test_tags_are_shipped);
	UNIT_ADD(s, test_synced_is_told);
	UNIT_ADD(s, test_no_room_for_unknown);
	UNIT_ADD(s, test_out_of_memory);
	UNIT_ADD(s, test_told_to_wait);
	return unit_run(s);
}
