/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's side of the journal, turn by turn: what one write holds and in
 * which order, when a segment is full, what is carried into the next one and
 * what is repeated of one that may lose it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/metrics.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct kit k;
static struct journal_shard *s; /* the first of k */

/* ---- what is in a file --------------------------------------------------- */

static struct {
	struct segment_head head;
	struct {
		uint32_t type;
		unsigned n; /* request */
		int64_t amount;
		uint64_t seq;
	} rec[64];
	unsigned n;
	int64_t bytes;
} file;

static void
read_segment(unsigned n)
{
	struct segment_reader r;
	struct record rec;
	char path[PATH_MAX];

	memset(&file, 0, sizeof(file));
	(void)snprintf(path, sizeof(path), "%s/1-0-%u.seg", k.dir, n);
	ck_assert_int_eq(segment_reader_open(&r, io_system(), path, NULL), 0);
	file.bytes = (int64_t)r.limit;
	ck_assert_int_eq(segment_reader_head(&r, &file.head), 0);
	while (segment_reader_next(&r, &rec) == 0) {
		struct journal_usage u;
		struct journal_intent i;

		ck_assert_uint_lt(file.n, 64);
		if (rec.type == RECORD_USAGE) {
			ck_assert_int_eq(
			    record_decode_usage(rec.payload, &u), 0);
			i = u.head;
			i.reserved = u.cost;
		} else if (rec.type == RECORD_INTENT) {
			ck_assert_int_eq(
			    record_decode_intent(rec.payload, &i), 0);
		} else {
			ck_assert_int_eq(
			    record_decode_lower(rec.payload, &i), 0);
		}
		file.rec[file.n].type = rec.type;
		memcpy(&file.rec[file.n].n, i.request_id, sizeof(unsigned));
		file.rec[file.n].amount = i.reserved;
		file.rec[file.n].seq = rec.seq;
		file.n++;
	}
	ck_assert_uint_eq(r.off, r.limit);
	segment_reader_close(&r);
}

/* The segment holds these, e.g. "u1 i2 l2": type and request. */
static void
ck_segment(unsigned n, const char *want)
{
	static const char type[] = "?iul";
	char got[512] = "";
	size_t at = 0;

	read_segment(n);
	for (unsigned i = 0; i < file.n; i++)
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%c%u",
		    i == 0 ? "" : " ", type[file.rec[i].type], file.rec[i].n);
	ck_assert_str_eq(got, want);
}

static void
intent(unsigned n)
{
	ck_assert_int_eq(kit_intent(&k, 0, n), 0);
}

static void
flush(void)
{
	ck_assert_int_eq(kit_flush(&k, 0), 0);
}

/* The segment is full as it is: the next turn begins another. */
static void
fill(void)
{
	k.j->opt.segment_size = (int64_t)atomic_load(&s->cur->flushed);
}

static void
empty(void)
{
	k.j->opt.segment_size = 1 << 20;
}

/* ---- a turn -------------------------------------------------------------- */

/* One write a turn, usage first: if the write is torn, it is an intent that
 * was not admitted yet that is lost. */
START_TEST(test_one_write)
{
	uint64_t at;

	s = kit_start(&k);
	ck_assert(!journal_pending(s));
	flush();
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_WRITES), 0);
	intent(1);
	intent(2);
	ck_assert(journal_pending(s));
	flush();
	ck_assert(!journal_pending(s));
	intent(3);
	kit_usage(&k, 0, 2, 20);
	intent(4);
	kit_usage(&k, 0, 1, 10);
	ck_assert_uint_eq(atomic_load(&s->cur->last_seq), 0);
	ck_assert(!journal_is_written(s));
	flush();
	ck_assert(journal_is_written(s));
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_WRITES), 2);
	ck_segment(1, "i1 i2 u2 u1 i3 i4");
	ck_assert_uint_eq(file.rec[2].seq, 1);
	ck_assert_int_eq(file.rec[2].amount, 20);
	ck_assert_uint_eq(file.rec[3].seq, 2);
	at = atomic_load(&s->cur->flushed);
	ck_assert_int_eq((int64_t)at, file.bytes);
	ck_assert_uint_eq(atomic_load(&s->cur->last_seq), 2);
	ck_assert_uint_eq(atomic_load(&s->stream.last_seq), 2);
	ck_assert_uint_eq(s->open.count, 2);
	flush();
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_WRITES), 2);
	kit_close(&k);
}
END_TEST

/* Who sleeps is woken, once; who does not is not. */
START_TEST(test_wakes)
{
	struct pollfd p;
	uint64_t v;

	s = kit_start(&k);
	p = (struct pollfd){.fd = k.j->wake_fd, .events = POLLIN};
	journal_sync_turn(k.j);
	ck_assert(!atomic_load(&k.j->dirty));
	intent(1);
	flush();
	ck_assert(atomic_load(&k.j->dirty));
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	atomic_store(&k.j->sleeping, true);
	for (unsigned n = 2; n < 4; n++) {
		intent(n);
		flush();
		ck_assert(!atomic_load(&k.j->sleeping));
	}
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	ck_assert_int_eq(read(p.fd, &v, sizeof(v)), sizeof(v));
	ck_assert_uint_eq(v, 1);
	kit_close(&k);
}
END_TEST

/* A request that ends in its first turn leaves its usage only; those of the
 * turn around it stay. */
START_TEST(test_withdrawn)
{
	for (unsigned gone = 1; gone <= 3; gone++) {
		static const char *const want[] = {
		    "", "u1 i2 i3", "u2 i1 i3", "u3 i1 i2"};

		s = kit_start(&k);
		for (unsigned n = 1; n <= 3; n++)
			intent(n);
		kit_usage(&k, 0, gone, 5);
		flush();
		ck_segment(1, want[gone]);
		ck_assert_uint_eq(s->open.count, 2);
		kit_close(&k);
	}
	/* An earlier one of the same turn number is not looked for. */
	s = kit_start(&k);
	intent(1);
	flush();
	intent(2);
	kit_usage(&k, 0, 1, 5);
	kit_usage(&k, 0, 9, 5); /* nobody's */
	flush();
	ck_segment(1, "i1 u1 u9 i2");
	kit_close(&k);
}
END_TEST

/* ---- the next segment ---------------------------------------------------- */

/* A turn that fills the segment to its last byte stays in it; one more byte
 * begins the next. A turn larger than a segment has one of its own. */
START_TEST(test_full_segment)
{
	for (int64_t more = -1; more <= 1; more++) {
		int64_t at, size;

		s = kit_start(&k);
		intent(1);
		flush();
		at = (int64_t)atomic_load(&s->cur->flushed);
		kit_usage(&k, 0, 1, 5);
		intent(2);
		size = (int64_t)(s->usage.len + s->intents.len);
		k.j->opt.segment_size = at + size + more;
		flush();
		ck_assert_uint_eq(kit_files(&k, ".seg"), more < 0 ? 2 : 1);
		if (more < 0) {
			ck_segment(1, "i1");
			ck_segment(2, "u1 i2");
		} else {
			ck_segment(1, "i1 u1 i2");
		}
		kit_close(&k);
	}
	s = kit_start(&k);
	k.j->opt.segment_size = SEGMENT_HEADER + 1;
	intent(1);
	flush();
	ck_segment(1, "i1");
	kit_usage(&k, 0, 1, 5);
	flush();
	ck_segment(2, "u1");
	ck_assert_uint_eq(kit_files(&k, ".seg"), 2);
	kit_close(&k);
}
END_TEST

/* What is open goes along, lowered if it was; what is of this turn comes behind
 * it, once. The files are numbered in a row and say where they begin. */
START_TEST(test_carried)
{
	struct journal_intent i;
	struct segment *old;
	uint64_t ticket;

	s = kit_start(&k);
	for (unsigned n = 1; n <= 4; n++)
		intent(n);
	flush();
	kit_usage(&k, 0, 2, 5);
	flush();
	kit_intent_of(&i, 3);
	i.reserved = 9;
	ck_assert_int_eq(journal_lower(s, &i, &ticket), 0);
	flush();
	old = s->cur;
	ck_assert(!atomic_load(&old->sealed));
	atomic_store(&k.j->dirty, false);
	fill();
	kit_usage(&k, 0, 4, 6);
	intent(5);
	flush();
	ck_assert_ptr_eq(old->next, s->cur);
	ck_assert(atomic_load(&old->sealed));
	ck_assert(!atomic_load(&s->cur->sealed));
	ck_assert(atomic_load(&k.j->dirty));
	ck_segment(1, "i1 i2 i3 i4 u2 l3");
	ck_segment(2, "i1 i3 u4 i5");
	ck_assert_int_eq(file.rec[1].amount, 9);
	ck_assert_uint_eq(file.head.first_seq, 2);
	ck_assert_uint_eq(file.head.n, 2);
	ck_assert_uint_eq(file.rec[2].seq, 2);
	ck_assert_uint_eq(atomic_load(&s->cur->last_seq), 2);
	ck_assert_uint_eq(atomic_load(&old->last_seq), 1);
	fill();
	intent(6);
	flush();
	ck_segment(3, "i1 i3 i5 i6");
	ck_assert_uint_eq(file.head.first_seq, 3);
	ck_assert_uint_eq(file.head.n, 3);
	ck_assert_uint_eq(atomic_load(&s->cur->last_seq), 2);
	/* Nothing is open: nothing goes along. */
	for (unsigned n = 1; n <= 6; n++)
		if (n != 2 && n != 4)
			kit_usage(&k, 0, n, 5);
	empty();
	flush();
	fill();
	intent(7);
	flush();
	ck_segment(4, "i7");
	fill();
	intent(8); /* no usage since: the same number comes next */
	flush();
	ck_segment(5, "i7 i8");
	ck_assert_uint_eq(file.head.first_seq, 7);
	ck_assert_uint_eq(atomic_load(&s->cur->last_seq), 6);
	kit_close(&k);
}
END_TEST

/* No next segment to be had: the old one grows on. The half of one that was
 * made is not left behind. */
START_TEST(test_no_next)
{
	static const struct {
		enum io_op op;
		long at; /* open; header; what is carried; usage */
	} faults[] = {
	    {IO_OPEN, 1}, {IO_WRITE, 1}, {IO_WRITE, 2}, {IO_WRITE, 3}};

	for (unsigned f = 0; f < 4; f++) {
		struct segment *old;

		s = kit_start(&k);
		intent(1);
		flush();
		old = s->cur;
		fill();
		kit_fault(&k, faults[f].op, EMFILE);
		k.io.countdown = faults[f].at;
		kit_usage(&k, 0, 77, 5);
		intent(2);
		flush();
		ck_assert_ptr_eq(s->cur, old);
		ck_assert_uint_eq(kit_files(&k, ".seg"), 1);
		ck_segment(1, "i1 u77 i2");
		ck_assert_ptr_eq(s->stream.last, old);
		kit_usage(&k, 0, 1, 5); /* and then it can */
		flush();
		ck_assert_ptr_ne(s->cur, old);
		ck_assert_uint_eq(kit_files(&k, ".seg"), 2);
		ck_assert(journal_writable(s));
		kit_close(&k);
	}
	s = kit_start(&k); /* no memory for what is carried */
	intent(1);
	flush();
	fill();
	intent(2);
	for (unsigned n = 1; n < 4; n++) {
		struct segment *old = s->cur;
		bool hit;
		int rc;

		oom_arm(n, NULL);
		rc = kit_flush(&k, 0);
		hit = oom_hit();
		ck_assert_int_eq(rc, 0);
		if (!hit)
			break;
		ck_assert_ptr_eq(s->cur, old);
		ck_assert_uint_eq(kit_files(&k, ".seg"), 1);
		intent(2 + n);
		fill();
	}
	kit_close(&k);
}
END_TEST

/* ---- a disk that fails --------------------------------------------------- */

/* What was collected in a turn that could not be written: usage waits or goes
 * alone, intents are refused. */
START_TEST(test_turn_fails)
{
	for (unsigned both = 0; both < 2; both++) {
		s = kit_start(&k);
		intent(1);
		intent(2);
		flush();
		ck_assert_int_eq(kit_files(&k, "ballast"), 1);
		kit_usage(&k, 0, 1, 5);
		intent(3);
		kit_fault(&k, IO_WRITE, ENOSPC);
		k.io.sticky = (int)both;
		ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
		ck_assert_uint_eq(kit_files(&k, "ballast"), 0);
		ck_assert_uint_eq(s->open.count, 1);
		ck_assert(journal_pending(s)); /* it says so again */
		ck_assert(atomic_load(&s->stuck) == (both == 1));
		ck_assert(journal_is_written(s) == (both == 0));
		ck_assert(atomic_load(&k.j->full));
		ck_assert_int_eq(kit_intent(&k, 0, 4), ERR_JOURNAL_FULL);
		ck_segment(1, both == 1 ? "i1 i2" : "i1 i2 u1");
		k.io.countdown = -1;
		k.io.sticky = 0;
		flush();
		ck_assert(!journal_pending(s));
		ck_assert(!atomic_load(&s->stuck));
		ck_segment(1, "i1 i2 u1");
		ck_assert(!journal_writable(s)); /* until there is room */
		clock_fake_advance(&k.clock, NS_PER_S);
		journal_sync_turn(k.j);
		ck_assert(journal_writable(s));
		/* The refused one's turn is over. */
		intent(3);
		flush();
		kit_usage(&k, 0, 3, 7);
		flush();
		ck_segment(1, "i1 i2 u1 i3 u3");
		kit_close(&k);
	}
}
END_TEST

/* Without usage a failed turn leaves nothing to write, but says so once. */
START_TEST(test_only_intents_fail)
{
	s = kit_start(&k);
	for (unsigned n = 11; n <= 15; n++)
		intent(n);
	flush();
	for (unsigned n = 2; n <= 3; n++)
		intent(n);
	kit_fault(&k, IO_WRITE, EIO);
	ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
	ck_assert_uint_eq(s->open.count, 5); /* those before stay */
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_WRITES), 2);
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_ERRORS), 1);
	ck_assert(journal_pending(s));
	flush();
	ck_assert(!journal_pending(s));
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_WRITES), 2);
	ck_segment(1, "i11 i12 i13 i14 i15");
	kit_close(&k);
}
END_TEST

/* What a failed sync may have lost is repeated in order in the next segment,
 * before anything new, and once; what was durable is not. */
START_TEST(test_rescued)
{
	struct segment *seg;

	s = kit_start(&k);
	kit_request(&k, 0, 1, 10); /* durable */
	intent(2);
	flush();
	kit_usage(&k, 0, 3, 30);
	flush();
	fill(); /* two segments that are not */
	kit_usage(&k, 0, 4, 40);
	intent(5);
	flush();
	empty();
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	/* Half a turn behind it that could not be cut off. */
	ck_assert_int_eq(write(s->cur->fd, "half a turn", 11), 11);
	for (seg = s->stream.first; seg != NULL; seg = seg->next)
		ck_assert(atomic_load(&seg->poisoned) && !seg->rescued);
	ck_assert(journal_pending(s));
	intent(6);
	flush();
	ck_segment(1, "i1 u1 i2 u3");
	ck_segment(3, "i2 u3 i2 u4 i5 i2 i5 i6");
	ck_assert_uint_eq(file.head.first_seq, 2);
	ck_assert_uint_eq(atomic_load(&s->cur->last_seq), 3);
	for (seg = s->stream.first; seg != s->cur; seg = seg->next)
		ck_assert(seg->rescued && atomic_load(&seg->sealed));
	ck_assert(!journal_pending(s));
	journal_sync_turn(k.j);
	fill(); /* not again */
	intent(7);
	flush();
	ck_segment(4, "i2 i5 i6 i7");
	ck_assert_uint_eq(file.head.first_seq, 4);
	empty(); /* and after the next failure that only */
	kit_usage(&k, 0, 7, 70);
	flush();
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	flush();
	ck_segment(5, "i2 i5 i6 i7 u7 i2 i5 i6");
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 4);
	kit_close(&k);
}
END_TEST

/* A poisoned segment that lost nothing has nothing to be repeated; that it
 * cannot be read back is counted. */
START_TEST(test_nothing_to_rescue)
{
	struct str op = STR("rescue");

	s = kit_start(&k);
	kit_request(&k, 0, 1, 10);
	atomic_store(&s->cur->poisoned, true);
	ck_assert(journal_pending(s));
	flush();
	ck_segment(2, "");
	ck_assert_uint_eq(file.head.first_seq, 2);
	intent(2);
	flush();
	kit_usage(&k, 0, 3, 30);
	flush();
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	kit_fault(&k, IO_PREAD, EIO);
	flush();
	ck_segment(3, "i2");
	ck_assert_int_eq(
	    metric_value(metric_series(k.metrics, AM_JOURNAL_ERRORS, &op, 1)),
	    1);
	kit_close(&k);
}
END_TEST

static unsigned n_interrupted;

static ssize_t
pread_interrupted(struct io *io, int fd, void *p, size_t n, off_t off)
{
	(void)io;
	if (n_interrupted++ % 2 == 0)
		return -EINTR;
	return io_system()->pread(io_system(), fd, p, n < 10 ? n : 10, off);
}

/* Reading back goes on after a signal, and after a part. */
START_TEST(test_rescue_in_parts)
{
	s = kit_start(&k);
	intent(1);
	flush();
	kit_usage(&k, 0, 2, 20);
	flush();
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	k.io.io.pread = pread_interrupted;
	flush();
	ck_segment(2, "i1 u2 i1");
	ck_assert_uint_eq(file.head.first_seq, 1);
	ck_assert_uint_eq(atomic_load(&s->cur->last_seq), 1);
	fill();
	intent(3);
	flush();
	ck_segment(3, "i1 i3");
	ck_assert_uint_eq(file.head.first_seq, 2);
	kit_close(&k);
}
END_TEST

/* The next segment cannot be made and the old one must not be used: nothing is
 * admitted, usage waits. */
START_TEST(test_poisoned_and_no_next)
{
	s = kit_start(&k);
	intent(1);
	flush();
	atomic_store(&s->cur->poisoned, true);
	kit_usage(&k, 0, 1, 5);
	intent(2);
	kit_fault(&k, IO_OPEN, EMFILE);
	ck_assert_int_eq(kit_flush(&k, 0), ERR_JOURNAL_FULL);
	ck_assert(atomic_load(&s->stuck));
	ck_assert(!journal_writable(s));
	ck_assert_uint_eq(kit_files(&k, ".seg"), 1);
	flush();
	ck_assert(journal_writable(s));
	ck_segment(1, "i1");
	ck_segment(3, "i1 u1"); /* 2 is not tried again */
	ck_assert_uint_eq(s->open.count, 0);
	kit_close(&k);
}
END_TEST

static int
open_and_poison(struct io *io, const char *path, int flags, mode_t mode)
{
	kit_fault(&k, IO_FSYNC, EIO);
	journal_sync_turn(k.j);
	(void)io;
	return io_system()->open(io_system(), path, flags, mode);
}

/* The sync of the old segment fails while the new one is made: the new one is
 * not durable before what the old one lost is. */
START_TEST(test_poisoned_meanwhile)
{
	int (*was)(struct io *, const char *, int, mode_t);

	s = kit_start(&k);
	intent(1);
	flush();
	kit_usage(&k, 0, 2, 20);
	flush();
	fill();
	was = k.io.io.open;
	k.io.io.open = open_and_poison;
	kit_usage(&k, 0, 3, 30);
	flush();
	k.io.io.open = was;
	empty();
	ck_assert(atomic_load(&s->cur->poisoned));
	ck_assert(!s->stream.first->rescued);
	ck_segment(2, "i1 u3");
	journal_sync_turn(k.j);
	ck_assert_uint_eq(atomic_load(&s->cur->synced), 0);
	flush();
	ck_segment(3, "i1 u2 i1 u3 i1");
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_int_ge(kit_row(&k, 2), 0);
	ck_assert_int_ge(kit_row(&k, 3), 0);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("agent/shard");

	UNIT_ADD(suite, test_one_write);
	UNIT_ADD(suite, test_wakes);
	UNIT_ADD(suite, test_withdrawn);
	UNIT_ADD(suite, test_full_segment);
	UNIT_ADD(suite, test_carried);
	UNIT_ADD(suite, test_no_next);
	UNIT_ADD(suite, test_turn_fails);
	UNIT_ADD(suite, test_only_intents_fail);
	UNIT_ADD(suite, test_rescued);
	UNIT_ADD(suite, test_nothing_to_rescue);
	UNIT_ADD(suite, test_rescue_in_parts);
	UNIT_ADD(suite, test_poisoned_and_no_next);
	UNIT_ADD(suite, test_poisoned_meanwhile);
	return unit_run(suite);
}
