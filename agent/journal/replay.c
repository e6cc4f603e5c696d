/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay at start: read the streams of earlier boots, turn intents without
 * usage into usage records (CRASH_ESTIMATED, at the worst case reserved last)
 * appended durably to their own stream, so that a second crash finds them and
 * does not make them again.
 *
 * Damage: a tail that is no record is torn and cut off, provided that what
 * follows in the stream begins where it ended. Anything else is rot: the
 * stream is rewritten into one new segment from all records that are good,
 * the holes in the numbering are filled with recovered intents or with empty
 * records marked journal_corrupt (the control plane must see every number),
 * and the damaged files go to the folder quarantine/.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/journal/acks.h"
#include "agent/journal/store.h"
#include "agent/metrics.h"
#include "proto/headgate.pb-c.h"

/* One stream being replayed. */
struct replay {
	struct journal *j;
	struct journal_replay *found;
	struct journal_stream *stream;
	const struct acks *acks; /* of the last run */
	struct intent_set open;
	uint64_t last_seq; /* last usage record in order, or first - 1 */
	uint64_t max_n;	   /* highest segment number */
	bool any;	   /* last_seq is set */
	bool rot;	   /* a hole or a bad middle: rewrite */
};

/* ---- finding the segments ------------------------------------------------ */

struct replay_list {
	struct acks *acks;
	struct segment_head *v;
	size_t n, cap;
};

static int
replay_list_add(void *ctx, const char *name)
{
	struct replay_list *l = ctx;
	struct segment_head h;

	if (!segment_name_parse(name, &h))
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
		struct segment_head *v = realloc(l->v, cap * sizeof(*v));

		if (v == NULL)
			return ERR_NOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = h;
	return 0;
}

static int
replay_order(const void *a, const void *b)
{
	const struct segment_head *x = a, *y = b;

	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	if (x->shard != y->shard)
		return x->shard < y->shard ? -1 : 1;
	return x->n < y->n ? -1 : x->n > y->n;
}

/* ---- reading --------------------------------------------------------------
 */

static void
replay_usage(struct replay *r, struct segment *seg, const struct record *rec)
{
	(void)intents_remove(&r->open, (const uint8_t *)rec->payload.p);
	if (!r->any) { /* nobody knows better: begin where the records do */
		r->any = true;
		r->last_seq = rec->seq - 1;
		seg->head.first_seq = rec->seq;
	}
	if (rec->seq <= r->last_seq)
		return; /* repeated after an fsync error */
	if (rec->seq != r->last_seq + 1)
		r->rot = true;
	r->last_seq = rec->seq;
	r->found->records++;
	atomic_store(&seg->last_seq, rec->seq);
}

static int
replay_intent(struct replay *r, const struct record *rec)
{
	uint8_t copy[RECORD_INTENT_MAX];
	struct journal_intent i;
	size_t len;

	if (record_decode_intent(rec->payload, &i) != 0) {
		r->rot = true;
		return 0;
	}
	len = record_encode_intent(copy, &i);
	return intents_add(&r->open, copy, len);
}

/* Of a request that ended already (they may be in one turn) it says nothing. */
static void
replay_lower(struct replay *r, const struct record *rec)
{
	struct journal_intent to;

	if (record_decode_lower(rec->payload, &to) != 0)
		r->rot = true;
	else
		(void)intents_lower(&r->open, &to);
}

static int
replay_records(struct replay *r, struct segment *seg, struct segment_reader *in)
{
	struct journal_usage u;
	struct record rec;
	uint64_t end;
	int rc;

	for (;;) {
		rc = segment_reader_next(in, &rec);
		if (rc == 0 && rec.type == RECORD_INTENT) {
			rc = replay_intent(r, &rec);
			if (rc != 0)
				return rc;
			continue;
		}
		if (rc == 0 && rec.type == RECORD_LOWER) {
			replay_lower(r, &rec);
			continue;
		}
		if (rc == 0) {
			if (record_decode_usage(rec.payload, &u) == 0)
				replay_usage(r, seg, &rec);
			else
				r->rot = true;
			continue;
		}
		if (rc == ERR_CORRUPT) {
			end = in->off;
			rc = segment_reader_salvage(in);
			if (rc == 0) {
				r->rot = true;
				continue;
			}
			if (rc == ERR_END) {
				r->found->torn++;
				in->off = end;
			}
		}
		atomic_store(&seg->flushed, in->off);
		return rc == ERR_END ? 0 : rc;
	}
}

/* The head must be what the name says; a segment that was just being created
 * may have none. */
static int
replay_head(struct replay *r, struct segment *seg, struct segment_reader *in,
    bool is_last)
{
	struct segment_head h;
	int rc = segment_reader_head(in, &h);

	if (rc == 0 && h.epoch == seg->head.epoch &&
	    h.shard == seg->head.shard && h.n == seg->head.n &&
	    memcmp(h.agent_id, r->j->opt.agent_id, 16) == 0) {
		seg->head = h;
		if (!r->any) {
			r->any = true;
			r->last_seq = h.first_seq - 1;
		} else if (h.first_seq > r->last_seq + 1) {
			r->rot = true;
		}
		return 0;
	}
	if (rc == ERR_IO || rc == ERR_VERSION)
		return rc; /* never destroy what we do not understand */
	if (!is_last || in->limit > SEGMENT_HEADER)
		r->rot = true;
	if (!r->any) { /* what was in front of it went when it was shipped */
		r->last_seq =
		    acks_get(r->acks, seg->head.epoch, seg->head.shard);
		r->any = r->last_seq > 0 || seg->head.n == 1;
	}
	seg->head.first_seq = r->any ? r->last_seq + 1 : 0;
	segment_reader_seek(in, SEGMENT_HEADER);
	r->found->torn++;
	return 0;
}

static int
replay_segment(struct replay *r, const struct segment_head *head, bool is_last,
    struct error *e)
{
	struct segment *seg = calloc(1, sizeof(*seg));
	struct segment_reader in = {0};
	char path[PATH_MAX];
	int rc;

	if (seg == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	seg->head = *head;
	seg->fd = -1;
	rc = segment_path(r->j->dir, head, path);
	if (rc == 0)
		rc = segment_reader_open(&in, r->j->opt.io, path, e);
	if (rc == 0)
		rc = replay_head(r, seg, &in, is_last);
	if (rc == 0) {
		atomic_store(&seg->last_seq, r->last_seq);
		rc = replay_records(r, seg, &in);
	}
	/* Written, but perhaps not durable when its process was killed: only
	 * durable records may be shipped. */
	if (rc == 0 && r->j->opt.io->fsync(r->j->opt.io, in.fd) != 0)
		rc = ERR_IO;
	segment_reader_close(&in);
	if (rc != 0) {
		free(seg);
		return err_set(e, rc, "cannot replay %s", path);
	}
	atomic_store(&seg->synced, atomic_load(&seg->flushed));
	atomic_store(&seg->sealed, true);
	stream_push(r->stream, seg);
	return 0;
}

/* ---- writing --------------------------------------------------------------
 */

static void
replay_estimate(const struct intent_slot *slot, struct journal_usage *u)
{
	struct str payload =
	    str_make((const char *)slot->record + RECORD_HEADER,
		(size_t)slot->len - RECORD_HEADER);

	memset(u, 0, sizeof(*u));
	MUST(record_decode_intent(payload, &u->head) == 0);
	u->tokens = u->head.worst;
	u->cost = u->head.reserved;
	u->source = HG__USAGE_SOURCE__SOURCE_CRASH_ESTIMATED;
	snprintf(u->error_code, sizeof(u->error_code), "agent_crash");
}

/* Encode the record for the next number: a recovered intent if there is one,
 * else a filler. */
static int
replay_add(struct replay *r, uint32_t *at, uint64_t seq, struct buf *out)
{
	const struct intent_slot *slot = intents_next(&r->open, at);
	uint8_t record[RECORD_USAGE_MAX];
	struct journal_usage u;

	if (slot != NULL) {
		replay_estimate(slot, &u);
		r->found->intents_recovered++;
	} else {
		memset(&u, 0, sizeof(u));
		u.source = HG__USAGE_SOURCE__SOURCE_CRASH_ESTIMATED;
		snprintf(u.error_code, sizeof(u.error_code), "journal_corrupt");
		r->found->filled++;
	}
	return buf_add(out, record, record_encode_usage(record, &u, seq));
}

/* Room for the header of the segment that `out` will be. */
static int
replay_begin(struct buf *out)
{
	static const uint8_t none[SEGMENT_HEADER];

	buf_init(out, SIZE_MAX / 2);
	return buf_add(out, none, sizeof(none));
}

/* Make `out` the last segment of the stream, durable. It appears whole or not
 * at all: half of a rewritten segment must not replace what it was made of. */
static int
replay_commit(struct replay *r, uint64_t first_seq, uint32_t flags,
    struct buf *out, uint64_t last_seq, struct error *e)
{
	struct segment *seg = calloc(1, sizeof(*seg));
	char path[PATH_MAX];
	int rc;

	if (seg == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	seg->fd = -1;
	seg->head = (struct segment_head){.epoch = r->stream->epoch,
	    .shard = r->stream->shard,
	    .n = ++r->max_n,
	    .first_seq = first_seq,
	    .flags = flags};
	memcpy(seg->head.agent_id, r->j->opt.agent_id, 16);
	segment_head_encode((uint8_t *)out->data, &seg->head);
	rc = segment_path(r->j->dir, &seg->head, path);
	if (rc == 0)
		rc = io_write_file_atomic(
		    r->j->opt.io, path, out->data, out->len, 0600, e);
	if (rc != 0) {
		free(seg);
		return rc;
	}
	atomic_store(&seg->flushed, out->len);
	atomic_store(&seg->synced, out->len);
	atomic_store(&seg->last_seq, last_seq);
	atomic_store(&seg->sealed, true);
	stream_push(r->stream, seg);
	r->last_seq = last_seq;
	return 0;
}

static int
replay_recover(struct replay *r, struct error *e)
{
	uint64_t seq = r->last_seq;
	uint32_t at = 0;
	struct buf out;
	int rc = 0;

	if (r->open.count == 0)
		return 0;
	rc = replay_begin(&out);
	for (uint32_t i = 0; rc == 0 && i < r->open.count; i++)
		rc = replay_add(r, &at, ++seq, &out);
	if (rc == 0)
		rc = replay_commit(r, r->last_seq + 1, 0, &out, seq, e);
	buf_release(&out);
	return rc;
}

/* ---- rot --------------------------------------------------------------------
 */

/* Copy the good usage records of one damaged segment, in order, filling the
 * holes before each. */
static int
replay_salvage(struct replay *r, struct segment *seg, uint64_t *last,
    uint32_t *at, struct buf *out, struct error *e)
{
	struct segment_reader in = {0};
	struct journal_usage u;
	struct record rec;
	char path[PATH_MAX];
	int rc;

	rc = segment_path(r->j->dir, &seg->head, path);
	if (rc == 0)
		rc = segment_reader_open(&in, r->j->opt.io, path, e);
	if (rc != 0)
		return rc;
	segment_reader_seek(&in, SEGMENT_HEADER);
	for (;;) {
		rc = segment_reader_next(&in, &rec);
		if (rc == ERR_CORRUPT)
			rc = segment_reader_salvage(&in);
		else if (rc == 0 && rec.type == RECORD_USAGE &&
			 rec.seq > *last &&
			 record_decode_usage(rec.payload, &u) == 0) {
			uint8_t copy[RECORD_USAGE_MAX];

			while (rc == 0 && *last + 1 < rec.seq)
				rc = replay_add(r, at, ++*last, out);
			if (rc == 0)
				rc = buf_add(out, copy,
				    record_encode_usage(copy, &u, rec.seq));
			*last = rec.seq;
		}
		if (rc != 0)
			break;
	}
	segment_reader_close(&in);
	return rc == ERR_END ? 0 : rc;
}

static void
replay_quarantine(struct replay *r, struct segment *seg)
{
	struct io *io = r->j->opt.io;
	char from[PATH_MAX], to[PATH_MAX], dir[PATH_MAX];
	int n = snprintf(dir, sizeof(dir), "%s/quarantine", r->j->dir);

	if (n < 0 || (size_t)n >= sizeof(dir) ||
	    io_mkdirs(dir, 0700, NULL) != 0 ||
	    segment_path(r->j->dir, &seg->head, from) != 0 ||
	    segment_path(dir, &seg->head, to) != 0)
		return;
	if (io->rename(io, from, to) == 0)
		r->found->quarantined++;
}

/* Drop segments before `keep` from the stream; damaged files are moved aside,
 * superseded ones too. */
static void
replay_set_aside(struct replay *r, const struct segment *keep)
{
	while (r->stream->first != keep) {
		struct segment *seg = r->stream->first;

		replay_quarantine(r, seg);
		r->stream->first = seg->next;
		free(seg);
	}
}

static int
replay_rewrite(struct replay *r, struct error *e)
{
	const struct segment *at_seg = r->stream->first;
	uint64_t first, last;
	uint32_t at = 0;
	struct buf out;
	int rc = 0;

	while (at_seg->next != NULL && at_seg->head.first_seq == 0)
		at_seg = at_seg->next;
	first = at_seg->head.first_seq == 0 ? 1 : at_seg->head.first_seq;
	last = first - 1;
	rc = replay_begin(&out);
	for (struct segment *seg = r->stream->first; rc == 0 && seg != NULL;
	     seg = seg->next)
		rc = replay_salvage(r, seg, &last, &at, &out, e);
	while (rc == 0) {
		uint32_t peek = at;

		if (intents_next(&r->open, &peek) == NULL)
			break;
		rc = replay_add(r, &at, ++last, &out);
	}
	if (rc == 0)
		rc = replay_commit(r, first, SEGMENT_REWRITTEN, &out, last, e);
	buf_release(&out);
	if (rc == 0)
		replay_set_aside(r, r->stream->last);
	return rc;
}

/* ---- streams ----------------------------------------------------------------
 */

static int
replay_stream(
    struct replay *r, const struct segment_head *v, size_t n, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool is_last = i + 1 == n;

		r->max_n = v[i].n;
		rc = replay_segment(r, &v[i], is_last, e);
		if (rc == 0 &&
		    (r->stream->last->head.flags & SEGMENT_REWRITTEN) &&
		    r->stream->first != r->stream->last) {
			/* A crash hit between rewriting and moving aside:
			 * begin again from here. */
			struct segment *seg = r->stream->last;

			intents_release(&r->open);
			r->rot = r->any = false;
			replay_set_aside(r, seg);
			r->stream->first = r->stream->last = NULL;
			free(seg);
			rc = replay_segment(r, &v[i], is_last, e);
		}
	}
	if (rc != 0)
		return rc;
	rc = r->rot ? replay_rewrite(r, e) : replay_recover(r, e);
	if (rc != 0)
		return rc;
	if (r->rot || (r->stream->first->head.flags & SEGMENT_REWRITTEN))
		r->stream->may_lack = true;
	atomic_store(&r->stream->last_seq, r->last_seq);
	atomic_store(
	    &r->stream->watermark, r->stream->first->head.first_seq - 1);
	return 0;
}

static int
replay_group(struct journal *j, const struct replay_list *l, size_t from,
    size_t n, struct journal_stream ***tail, struct journal_replay *found,
    struct error *e)
{
	const struct segment_head *v = l->v + from;
	struct journal_stream *s = calloc(1, sizeof(*s));
	struct replay r = {
	    .j = j, .found = found, .stream = s, .acks = l->acks};
	int rc;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	stream_init(s, v[0].epoch, v[0].shard);
	s->old = true;
	intents_init(&r.open);
	**tail = s; /* journal_close() frees it, whatever happens */
	*tail = &s->next;
	rc = replay_stream(&r, v, n, e);
	intents_release(&r.open);
	found->streams++;
	return rc;
}

int
journal_replay_dir(
    struct journal *j, struct journal_replay *found, struct error *e)
{
	struct replay_list l = {.acks = acks_load(j->opt.io, j->dir)};
	struct journal_stream **tail = &j->old;
	size_t i, k;
	int rc;

	if (l.acks == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = j->opt.io->list(j->opt.io, j->dir, replay_list_add, &l);
	if (rc != 0)
		rc = err_set(
		    e, rc == ERR_NOMEM ? rc : ERR_IO, "cannot list %s", j->dir);
	if (l.n > 0)
		qsort(l.v, l.n, sizeof(*l.v), replay_order);
	for (i = 0; rc == 0 && i < l.n; i = k) {
		for (k = i; k < l.n && l.v[k].epoch == l.v[i].epoch &&
			    l.v[k].shard == l.v[i].shard;
		     k++)
			;
		if (l.v[i].epoch >= j->opt.epoch)
			rc = err_set(e, ERR_EXISTS,
			    "%s holds a journal of boot epoch %" PRIu64
			    ", this is %" PRIu64,
			    j->dir, l.v[i].epoch, j->opt.epoch);
		else
			rc = replay_group(j, &l, i, k - i, &tail, found, e);
	}
	if (rc == 0 && l.n > 0 && j->opt.io->fsync_dir(j->opt.io, j->dir) != 0)
		rc = err_set(e, ERR_IO, "cannot make %s durable", j->dir);
	free(l.v);
	acks_free(l.acks);
	journal_count(j, AM_SPOOL_DROPPED, (int64_t)found->filled);
	return rc;
}
