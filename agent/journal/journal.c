/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of the journal: collect records in memory, write them with
 * one write(2) a turn, move on to the next segment. See journal.h, store.h.
 */
#include "agent/journal/journal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/journal/store.h"
#include "agent/metrics.h"

/* Usage without an intent (requests without budgets while the disk is full)
 * may pile up to this much before records are dropped, loudly. */
#define USAGE_KEPT_MAX ((size_t)64 << 20)
#define PENDING_MAX    ((size_t)1 << 30)

bool
journal_writable(const struct journal_shard *s)
{
	return !atomic_load_explicit(&s->j->full, memory_order_relaxed) &&
	       !atomic_load_explicit(&s->stuck, memory_order_relaxed);
}

bool
journal_pending(const struct journal_shard *s)
{
	return s->usage.len > 0 || s->intents.len > 0 || s->report_again ||
	       atomic_load_explicit(&s->cur->poisoned, memory_order_relaxed);
}

bool
journal_is_written(const struct journal_shard *s)
{
	return s->usage.len == 0;
}

/* Memory for the usage of all that is in flight, of one more, and for another
 * record. An intent of this turn, written behind the usage, takes the place of
 * its own usage: that withdraws it. */
static int
shard_keep_room(struct journal_shard *s)
{
	static_assert(RECORD_INTENT_MAX <= RECORD_USAGE_MAX,
	    "an intent fits where its usage does");
	int rc = buf_reserve(
	    &s->usage, (s->open.count + 2) * (size_t)RECORD_USAGE_MAX);

	if (rc != 0)
		s->usage.error = 0; /* what is in it stays good */
	return rc;
}

int
journal_intent(struct journal_shard *s, const struct journal_intent *i)
{
	uint8_t record[RECORD_INTENT_MAX];
	size_t len;
	int rc;

	if (!journal_writable(s))
		return ERR_JOURNAL_FULL;
	/* So that nothing later can fail for want of memory. */
	rc = shard_keep_room(s);
	if (rc != 0)
		return rc;
	len = record_encode_intent(record, i);
	rc = intents_add(&s->open, record, len);
	if (rc != 0)
		return rc;
	rc = buf_add(&s->intents, record, len);
	if (rc != 0) {
		(void)intents_remove(&s->open, record + RECORD_HEADER);
		s->intents.error = 0;
	}
	return rc;
}

/* The request ended in the turn in which it began: a turn's usage is written
 * before its intents, so this one would look open for ever. */
static void
shard_withdraw(struct journal_shard *s, const uint8_t *id)
{
	struct str rest = buf_str(&s->intents);
	struct record rec;
	size_t at = 0;

	while (record_next(&rest, &rec)) {
		if (memcmp(rec.payload.p, id, RECORD_ID) == 0) {
			memmove(s->intents.data + at, rest.p, rest.len);
			s->intents.len = at + rest.len;
			return;
		}
		at = s->intents.len - rest.len;
	}
}

void
journal_usage(struct journal_shard *s, const struct journal_usage *u)
{
	uint8_t record[RECORD_USAGE_MAX];
	uint8_t id[RECORD_ID];
	bool known;
	size_t len;

	memcpy(id, u->head.request_id, 16);
	put_u32(id + 16, u->head.attempt);
	known = intents_remove(&s->open, id);
	if (known && s->open.removed_turn == s->open.turn)
		shard_withdraw(s, id);
	if (!known &&
	    (s->usage.len > USAGE_KEPT_MAX || shard_keep_room(s) != 0)) {
		journal_count(s->j, AM_SPOOL_DROPPED, 1);
		return;
	}
	len = record_encode_usage(record, u, s->next_seq);
	MUST(buf_add(&s->usage, record, len) == 0);
	s->next_seq++;
}

int
journal_lower(
    struct journal_shard *s, const struct journal_intent *i, uint64_t *ticket)
{
	uint8_t record[RECORD_LOWER_MAX];
	uint8_t id[RECORD_ID];
	const struct intent_slot *slot;
	size_t len;
	int rc;

	memcpy(id, i->request_id, 16);
	put_u32(id + 16, i->attempt);
	slot = intents_find(&s->open, id);
	if (slot == NULL || slot->turn == s->open.turn)
		return ERR_NOT_FOUND;
	if (i->reserved < 0 || i->reserved >= intents_reserved(slot))
		return ERR_INVALID;
	if (!journal_writable(s))
		return ERR_JOURNAL_FULL;
	rc = shard_keep_room(s);
	if (rc != 0)
		return rc;
	len = record_encode_lower(record, i);
	MUST(buf_add(&s->usage, record, len) == 0);
	/* Carried over into another segment it is the lower one. */
	(void)intents_lower(&s->open, i);
	*ticket = ++s->n_lowers;
	return 0;
}

uint64_t
journal_lowered(const struct journal_shard *s)
{
	return atomic_load_explicit(&s->lowers_durable, memory_order_acquire);
}

/* The intents of this turn never happened. */
static void
shard_drop_intents(struct journal_shard *s)
{
	struct str rest = buf_str(&s->intents);
	struct record rec;

	while (record_next(&rest, &rec))
		(void)intents_remove(&s->open, (const uint8_t *)rec.payload.p);
	buf_clear(&s->intents);
	s->open.turn++;
}

/* Append bytes to the current segment: all of them or none. */
static int
shard_append(struct journal_shard *s, const void *p, size_t n)
{
	struct segment *seg = s->cur;
	struct io *io = s->j->opt.io;
	uint64_t at = atomic_load_explicit(&seg->flushed, memory_order_relaxed);
	size_t done;
	int rc;

	rc = io_write_all(io, seg->fd, p, n, &done);
	journal_count(s->j, AM_JOURNAL_WRITES, 1);
	if (rc == 0) {
		/* Offset first, then seq: see journal_sync_segment(). */
		atomic_store_explicit(
		    &seg->flushed, at + n, memory_order_release);
		return 0;
	}
	journal_count_error(s->j, "write");
	if (done > 0 && io->ftruncate(io, seg->fd, (off_t)at) != 0)
		atomic_store(&seg->poisoned, true); /* a torn tail stays */
	return rc;
}

/* Read back what a poisoned segment may lose. What cannot be read is lost
 * (counted). */
static void
shard_read_unsynced(
    struct journal_shard *s, const struct segment *bad, struct buf *b)
{
	struct io *io = s->j->opt.io;
	uint64_t from = atomic_load(&bad->synced);
	uint64_t to = atomic_load(&bad->flushed);
	size_t left;

	from = from < SEGMENT_HEADER ? SEGMENT_HEADER : from;
	left = (size_t)(to - from);
	if (buf_reserve(b, left) == 0)
		while (left > 0) {
			ssize_t n = io->pread(io, bad->fd, b->data + b->len,
			    left, (off_t)(to - left));

			if (n == -EINTR)
				continue;
			if (n <= 0)
				break;
			b->len += (size_t)n;
			left -= (size_t)n;
		}
	if (left > 0)
		journal_count_error(s->j, "rescue");
}

/* The same for all poisoned segments of the stream, in order; mark: they are
 * repeated now. */
static void
shard_rescue(struct journal_shard *s, bool mark, struct buf *b)
{
	pthread_mutex_lock(&s->stream.lock);
	for (struct segment *seg = s->stream.first; seg != NULL;
	     seg = seg->next) {
		if (!atomic_load(&seg->poisoned) || seg->rescued)
			continue;
		if (mark)
			seg->rescued = true;
		else
			shard_read_unsynced(s, seg, b);
	}
	pthread_mutex_unlock(&s->stream.lock);
}

/* Number of the first usage record among them, or `none`. */
static uint64_t
shard_first_seq(const struct buf *b, uint64_t none)
{
	struct str rest = buf_str(b);
	struct record rec;

	while (record_next(&rest, &rec))
		if (rec.type == RECORD_USAGE)
			return rec.seq;
	return none;
}

/* Is it an intent of this turn, which may still be refused? */
static bool
shard_is_fresh(const struct journal_shard *s, const struct intent_slot *slot)
{
	return s->intents.len > 0 && memmem(s->intents.data, s->intents.len,
					 slot->record, slot->len) != NULL;
}

/* Open intents go along, so that the old segments can be deleted. Those of this
 * turn are written behind them, or never. */
static int
shard_carry_intents(struct journal_shard *s)
{
	const struct intent_slot *slot;
	uint32_t at = 0;
	struct buf b;
	int rc;

	if (s->open.count == 0)
		return 0;
	buf_init(&b, PENDING_MAX);
	while ((slot = intents_next(&s->open, &at)) != NULL)
		if (!shard_is_fresh(s, slot))
			(void)buf_add(&b, slot->record, slot->len);
	rc = buf_error(&b);
	if (rc == 0 && b.len > 0)
		rc = shard_append(s, b.data, b.len) == 0 ? 0 : ERR_JOURNAL_FULL;
	buf_release(&b);
	return rc;
}

static void
shard_discard(struct journal_shard *s, struct segment *seg)
{
	struct io *io = s->j->opt.io;
	char path[PATH_MAX];

	/* What stays is read behind what the old one gets from now on: nothing
	 * may be left in it. */
	if (segment_path(s->j->dir, &seg->head, path) != 0 ||
	    io->unlink(io, path) != 0)
		(void)!io->ftruncate(io, seg->fd, SEGMENT_HEADER);
	io->close(io, seg->fd);
	free(seg);
}

/* When the old segment was poisoned while the new one was being made, what it
 * lost must come before what follows: the new one is not used either. */
static void
shard_push(
    struct journal_shard *s, const struct segment *old, struct segment *seg)
{
	pthread_mutex_lock(&s->stream.lock);
	if (atomic_load(&old->poisoned) && !old->rescued)
		atomic_store(&seg->poisoned, true);
	stream_push_locked(&s->stream, seg);
	pthread_mutex_unlock(&s->stream.lock);
}

static void
shard_wake_sync(struct journal *j)
{
	const uint64_t one = 1;

	atomic_store_explicit(&j->dirty, true, memory_order_seq_cst);
	if (atomic_load_explicit(&j->sleeping, memory_order_seq_cst) &&
	    atomic_exchange(&j->sleeping, false) &&
	    write(j->wake_fd, &one, sizeof(one)) < 0)
		(void)0; /* full counter: it is awake */
}

/* All of the usage buffer is in the current segment, which is in the list: the
 * sync thread takes lowers_flushed for what it finds there. */
static void
shard_written(struct journal_shard *s)
{
	uint64_t last_seq = s->next_seq - 1;

	atomic_store_explicit(
	    &s->cur->last_seq, last_seq, memory_order_release);
	atomic_store_explicit(
	    &s->stream.last_seq, last_seq, memory_order_release);
	atomic_store_explicit(
	    &s->lowers_flushed, s->n_lowers, memory_order_release);
	s->usage.len = 0;
	shard_wake_sync(s->j);
}

/* What the old segments hold and is still needed, repeated in the current one:
 * what they may lose, open intents, and the usage that waits to be written. Its
 * intents are not open any more, so that nothing but the old segments says that
 * these requests are owed, and they are deleted once this one is durable. */
static int
shard_carry(struct journal_shard *s, const struct buf *again)
{
	int rc = 0;

	if (again->len > 0)
		rc = shard_append(s, again->data, again->len);
	if (rc == 0)
		rc = shard_carry_intents(s);
	if (rc == 0 && s->usage.len > 0)
		rc = shard_append(s, s->usage.data, s->usage.len);
	return rc == 0 ? 0 : ERR_JOURNAL_FULL;
}

/* Start the next segment. When that fails the old one stays in use. */
static int
shard_rotate(struct journal_shard *s)
{
	struct segment *old = s->cur, *seg = NULL;
	bool poisoned = atomic_load(&old->poisoned);
	uint64_t next = atomic_load(&old->last_seq) + 1;
	struct buf again;
	int rc;

	buf_init(&again, PENDING_MAX);
	if (poisoned)
		shard_rescue(s, false, &again);
	rc = segment_create(s->j, &s->stream, s->next_n++,
	    shard_first_seq(&again, next), 0, &seg);
	if (rc != 0)
		goto out;
	s->cur = seg;
	rc = shard_carry(s, &again);
	if (rc != 0) {
		s->cur = old;
		shard_discard(s, seg);
		goto out;
	}
	if (poisoned)
		shard_rescue(s, true, NULL);
	shard_push(s, old, seg);
	atomic_store(&old->sealed, true);
	shard_written(s);
out:
	buf_release(&again);
	return rc;
}

/* Write n bytes of the usage buffer: all usage, and perhaps intents. */
static int
shard_write(struct journal_shard *s, size_t n)
{
	int rc = shard_append(s, s->usage.data, n);

	if (rc != 0)
		return rc;
	shard_written(s);
	return 0;
}

static int
shard_make_room(struct journal_shard *s, size_t n)
{
	const struct segment *seg = s->cur;
	uint64_t at = atomic_load_explicit(&seg->flushed, memory_order_relaxed);

	if (atomic_load_explicit(&seg->poisoned, memory_order_acquire))
		return shard_rotate(s);
	if (at > SEGMENT_HEADER && at + n > (uint64_t)s->j->opt.segment_size)
		/* Without a new file the old one may grow on. */
		if (shard_rotate(s) != 0 && atomic_load(&s->cur->poisoned))
			return ERR_JOURNAL_FULL;
	return 0;
}

/* Everything in one write; if that fails, the usage alone. */
static int
shard_write_turn(struct journal_shard *s)
{
	size_t usage;
	int rc = shard_make_room(s, s->usage.len + s->intents.len);

	if (rc != 0)
		return rc;
	usage = s->usage.len; /* a new segment has it already */
	/* journal_intent kept room for them. */
	if (buf_add(&s->usage, s->intents.data, s->intents.len) != 0)
		return ERR_NOMEM;
	if (s->usage.len > 0)
		rc = shard_write(s, s->usage.len);
	if (rc == 0) {
		buf_clear(&s->intents);
		s->open.turn++;
		return 0;
	}
	s->usage.len = usage;
	atomic_store(&s->j->full, true);
	journal_drop_ballast(s->j);
	if (usage > 0 && !atomic_load(&s->cur->poisoned))
		(void)!shard_write(s, usage);
	return ERR_JOURNAL_FULL;
}

int
journal_flush(struct journal_shard *s)
{
	int rc = 0;

	s->report_again = false;
	if (journal_pending(s))
		rc = shard_write_turn(s);
	if (rc != 0) {
		shard_drop_intents(s);
		s->usage.error = 0;
		s->report_again = true;
		rc = ERR_JOURNAL_FULL;
	}
	atomic_store_explicit(
	    &s->stuck, s->usage.len > 0, memory_order_relaxed);
	return rc;
}
