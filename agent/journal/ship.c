/* SPDX-License-Identifier: Apache-2.0 */
/* Shipping of usage records, see ship.h. */
#include "agent/journal/ship.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/metrics.h"
#include "agent/journal/acks.h"
#include "common/arena.h"

#define SHIP_BACKOFF_MIN_MS 100
#define SHIP_BACKOFF_MAX_MS 5000
#define ACKS_EVERY_NS	    NS_PER_S

/* Where reading stands in one stream. */
struct ship_cursor {
	struct ship_cursor *next;
	struct journal_stream *stream;
	struct segment *seg; /* being read; NULL = at the first */
	struct segment_reader in;
	uint64_t sent; /* last seq that was read into a batch */
	bool ended;    /* `last` was acknowledged */
};

struct shipper {
	struct journal *j;
	struct ship_link link;
	struct rng *rng;
	struct ship_cursor *cursors;
	struct acks *acks;
	struct arena arena; /* of the batch being built */
	int backoff_ms;
	int64_t acks_saved; /* mono */
	bool acks_dirty;
	int wake_fd;
	pthread_t thread;
	bool started;
	_Atomic bool stop, retry_now;
	_Atomic uint64_t batches, records, errors;
	_Atomic int64_t oldest_at;
	_Atomic bool connected;
};

static int
ship_add_cursor(struct shipper *s, struct ship_cursor ***tail,
    struct journal_stream *stream)
{
	struct ship_cursor *c = calloc(1, sizeof(*c));
	uint64_t mark;

	if (c == NULL)
		return ERR_NOMEM;
	c->stream = stream;
	mark = acks_get(s->acks, stream->epoch, stream->shard);
	c->sent = atomic_load(&stream->watermark);
	c->sent = mark > c->sent ? mark : c->sent;
	atomic_store(&stream->watermark, c->sent);
	**tail = c;
	*tail = &c->next;
	return 0;
}

static void
ship_wake(struct shipper *s)
{
	const uint64_t one = 1;

	if (write(s->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it will look */
}

static void
ship_synced(void *ctx)
{
	ship_wake(ctx);
}

int
shipper_new(struct journal *j, const struct ship_link *link, struct rng *rng,
    struct shipper **ret, struct error *e)
{
	struct shipper *s = calloc(1, sizeof(*s));
	struct ship_cursor **tail;
	int rc = 0;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->j = j;
	s->link = *link;
	s->rng = rng;
	/* What a batch may hold limits it. */
	arena_init(&s->arena, (size_t)64 << 10, SIZE_MAX / 2);
	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s->acks = acks_load(j->opt.io, j->dir);
	if (s->wake_fd < 0 || s->acks == NULL)
		rc = ERR_NOMEM;
	tail = &s->cursors;
	for (struct journal_stream *t = j->old; rc == 0 && t != NULL;
	     t = t->next)
		rc = ship_add_cursor(s, &tail, t);
	for (unsigned i = 0; rc == 0 && i < j->n_shards; i++)
		rc = ship_add_cursor(s, &tail, &j->shards[i].stream);
	if (rc != 0) {
		shipper_free(s);
		return err_set(e, rc, "cannot start shipping");
	}
	j->on_synced_ctx = s;
	j->on_synced = ship_synced;
	*ret = s;
	return 0;
}

void
shipper_free(struct shipper *s)
{
	if (s == NULL)
		return;
	shipper_stop(s);
	s->j->on_synced = NULL;
	while (s->cursors != NULL) {
		struct ship_cursor *c = s->cursors;

		s->cursors = c->next;
		segment_reader_close(&c->in);
		free(c);
	}
	acks_free(s->acks);
	arena_release(&s->arena);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s);
}

/* ---- building a batch -----------------------------------------------------
 */

/* Without memory the parts of a record are missing and its arena says so: see
 * ship_record(). */

static ProtobufCBinaryData
ship_bytes(struct arena *a, const void *p, size_t n)
{
	ProtobufCBinaryData d = {n, arena_alloc(a, n)};

	if (d.data != NULL)
		memcpy(d.data, p, n);
	return d;
}

static char *
ship_text(struct arena *a, const char *z)
{
	return z[0] == '\0' ? (char *)(uintptr_t)protobuf_c_empty_string
			    : arena_strdup(a, str_of(z));
}

static void
ship_charges(struct arena *a, Hg__UsageRecord *r,
    const struct journal_intent *h, uint64_t epoch)
{
	Hg__Charge *all = arena_alloc(a, h->n_charges * sizeof(*all));

	r->charges = arena_alloc(a, h->n_charges * sizeof(Hg__Charge *));
	if (all == NULL || r->charges == NULL)
		return;
	for (unsigned i = 0; i < h->n_charges; i++) {
		Hg__Charge *c = &all[i];

		hg__charge__init(c);
		c->budget_uid = h->charges[i].budget_uid;
		c->period_start = h->charges[i].period_start;
		c->reserved = h->reserved;
		c->boot_epoch = epoch;
		r->charges[i] = c;
	}
	r->n_charges = h->n_charges;
}

static void
ship_head(Hg__UsageRecord *r, const struct journal_intent *h)
{
	r->attempt = h->attempt;
	r->started_at = h->started_at;
	r->tenant_uid = h->tenant_uid;
	r->team_uid = h->team_uid;
	r->project_uid = h->project_uid;
	r->key_uid = h->key_uid;
	r->route_uid = h->route_uid;
	r->deployment_uid = h->deployment_uid;
	r->provider_uid = h->provider_uid;
	r->model_uid = h->model_uid;
	r->config_version = h->config_version;
	r->price_version = h->price_version;
	r->streamed = h->streamed;
}

static void
ship_tags(struct arena *a, Hg__UsageRecord *r, const struct tags *t)
{
	Hg__Label *l = arena_alloc(a, t->n * sizeof(*l));
	struct str name, value;
	size_t at = 0;

	r->tags = arena_alloc(a, t->n * sizeof(Hg__Label *));
	if (l == NULL || r->tags == NULL)
		return;
	for (; tags_next(t, &at, &name, &value); l++) {
		hg__label__init(l);
		l->key = arena_strdup(a, name);
		l->value = arena_strdup(a, value);
		r->tags[r->n_tags++] = l;
	}
}

/* NULL: no memory. */
static Hg__UsageRecord *
ship_record(struct arena *a, const struct journal_usage *u, uint64_t seq,
    uint64_t epoch)
{
	Hg__UsageRecord *r = arena_alloc(a, sizeof(*r));
	size_t n = TC_COUNT;

	if (r == NULL)
		return NULL;
	hg__usage_record__init(r);
	r->seq = seq;
	r->request_id = ship_bytes(a, u->head.request_id, 16);
	ship_head(r, &u->head);
	r->duration_us = u->duration_us;
	r->first_byte_us = u->first_byte_us;
	while (n > 0 && u->tokens.n[n - 1] == 0)
		n--;
	r->tokens = arena_alloc(a, n * sizeof(int64_t));
	if (r->tokens != NULL)
		memcpy(r->tokens, u->tokens.n, n * sizeof(int64_t));
	r->n_tokens = n;
	r->cost = u->cost;
	r->source = (Hg__UsageSource)u->source;
	r->http_status = u->http_status;
	r->finish_reason = ship_text(a, u->finish_reason);
	r->upstream_request_id = ship_text(a, u->upstream_request_id);
	r->error_code = ship_text(a, u->error_code);
	r->tier = ship_text(a, u->tier);
	ship_tags(a, r, &u->head.tags);
	ship_charges(a, r, &u->head, epoch);
	return a->failed ? NULL : r;
}

static struct segment *
ship_segment_after(struct journal_stream *t, const struct segment *seg)
{
	struct segment *next;

	pthread_mutex_lock(&t->lock);
	next = seg == NULL ? t->first : seg->next;
	pthread_mutex_unlock(&t->lock);
	return next;
}

/* Nothing is read yet: what is not durable must not get into the buffer. */
static int
ship_open(struct shipper *s, struct ship_cursor *c)
{
	char path[PATH_MAX];
	int rc;

	segment_reader_close(&c->in);
	rc = segment_path(s->j->dir, &c->seg->head, path);
	if (rc == 0)
		rc = segment_reader_open(&c->in, s->j->opt.io, path, NULL);
	if (rc == 0)
		segment_reader_seek(&c->in, SEGMENT_HEADER);
	return rc;
}

/* Next durable usage record of the stream beyond c->sent. ERR_END: none. */
static int
ship_next(struct shipper *s, struct ship_cursor *c, struct record *rec)
{
	int rc;

	for (;;) {
		struct segment *seg = c->seg, *next;
		bool sealed;

		if (seg == NULL) {
			c->seg = ship_segment_after(c->stream, NULL);
			if (c->seg == NULL)
				return ERR_END;
			rc = ship_open(s, c);
			if (rc != 0)
				return rc;
			continue;
		}
		/* In this order: a sealed segment's end is final. */
		sealed = atomic_load(&seg->sealed);
		c->in.limit = atomic_load(&seg->synced);
		sealed =
		    sealed && (atomic_load(&seg->poisoned) ||
				  c->in.limit == atomic_load(&seg->flushed));
		rc = segment_reader_next(&c->in, rec);
		if (rc == 0 && rec->type == RECORD_USAGE && rec->seq > c->sent)
			return 0;
		if (rc == 0)
			continue;
		if (rc != ERR_END)
			return rc;
		next = sealed ? ship_segment_after(c->stream, seg) : NULL;
		if (next == NULL)
			return ERR_END;
		c->seg = next;
		rc = ship_open(s, c);
		if (rc != 0)
			return rc;
	}
}

/* Forget what was read beyond the watermark. */
static void
ship_rewind(struct ship_cursor *c)
{
	c->sent = atomic_load(&c->stream->watermark);
	segment_reader_close(&c->in);
	c->seg = NULL;
}

static int
ship_collect(struct shipper *s, struct ship_cursor *c, Hg__UsageBatch *b)
{
	struct journal_usage u;
	struct record rec;
	size_t bytes = 0;
	int rc;

	b->records =
	    arena_alloc(&s->arena, SHIP_MAX_RECORDS * sizeof(*b->records));
	if (b->records == NULL)
		return ERR_NOMEM;
	do {
		Hg__UsageRecord *r;

		rc = ship_next(s, c, &rec);
		if (rc != 0)
			break;
		rc = record_decode_usage(rec.payload, &u);
		if (rc != 0)
			break;
		r = ship_record(&s->arena, &u, rec.seq, c->stream->epoch);
		if (r == NULL)
			return ERR_NOMEM;
		if (b->n_records == 0) {
			b->first_seq = rec.seq;
			atomic_store(&s->oldest_at, u.head.started_at);
		}
		b->records[b->n_records++] = r;
		/* About what it takes; far from what an envelope holds. */
		bytes += rec.payload.len + 32 * r->n_charges;
		c->sent = rec.seq;
	} while (b->n_records < SHIP_MAX_RECORDS && bytes < SHIP_MAX_BYTES);
	b->last = c->stream->old && rc == ERR_END;
	b->may_lack = b->last && c->stream->may_lack;
	return rc == ERR_END ? 0 : rc;
}

/* ---- acknowledgements ------------------------------------------------------
 */

static int
ship_save_acks(struct shipper *s)
{
	int rc;

	if (!s->acks_dirty)
		return 0;
	rc = acks_save(s->acks, s->j->opt.io, s->j->dir);
	s->acks_saved = clock_mono(s->j->opt.clock);
	if (rc == 0)
		s->acks_dirty = false;
	else
		journal_count_error(s->j, "acks");
	return rc;
}

/* Is what a segment carried over (open intents, what its predecessor may lose)
 * durable in a later one? */
static bool
ship_followed(const struct segment *seg)
{
	seg = seg->next;
	while (seg != NULL && atomic_load(&seg->poisoned))
		seg = seg->next;
	return seg != NULL && atomic_load(&seg->synced) > 0;
}

/* May the first segment go? Never the one being written. */
static struct segment *
ship_deletable(struct ship_cursor *c)
{
	struct journal_stream *t = c->stream;
	struct segment *seg;

	pthread_mutex_lock(&t->lock);
	seg = t->first;
	if (seg != NULL &&
	    (seg->busy || (!c->ended && !ship_followed(seg)) ||
		!atomic_load(&seg->sealed) ||
		(!atomic_load(&seg->poisoned) &&
		    atomic_load(&seg->synced) != atomic_load(&seg->flushed)) ||
		(!c->ended &&
		    atomic_load(&seg->last_seq) > atomic_load(&t->watermark))))
		seg = NULL;
	pthread_mutex_unlock(&t->lock);
	return seg;
}

/* Delete from the front, each removal durable before the next: a later
 * segment must never go before an earlier one. */
static void
ship_delete(struct shipper *s, struct ship_cursor *c)
{
	struct io *io = s->j->opt.io;
	struct segment *seg;

	while ((seg = ship_deletable(c)) != NULL) {
		struct journal_stream *t = c->stream;
		char path[PATH_MAX];
		int rc;

		if (ship_save_acks(s) != 0 ||
		    segment_path(s->j->dir, &seg->head, path) != 0)
			return;
		if (c->seg == seg) {
			segment_reader_close(&c->in);
			c->seg = NULL;
		}
		rc = io->unlink(io, path);
		if (rc == 0 || rc == -ENOENT)
			rc = io->fsync_dir(io, s->j->dir);
		if (rc != 0) {
			journal_count_error(s->j, "unlink");
			return;
		}
		pthread_mutex_lock(&t->lock);
		t->first = seg->next;
		if (t->first == NULL)
			t->last = NULL;
		pthread_mutex_unlock(&t->lock);
		if (seg->fd >= 0)
			io->close(io, seg->fd);
		free(seg);
	}
}

static void
ship_acked(struct shipper *s, struct ship_cursor *c, const Hg__UsageBatch *b,
    const Hg__UsageAck *ack)
{
	struct journal_stream *t = c->stream;
	uint64_t before = atomic_load(&t->watermark);

	if (ack->watermark > before) {
		atomic_store(&t->watermark, ack->watermark);
		acks_put(s->acks, t->epoch, t->shard, ack->watermark);
		s->acks_dirty = true;
		atomic_fetch_add(&s->records, ack->watermark - before);
		journal_count(
		    s->j, AM_USAGE_SHIPPED, (int64_t)(ack->watermark - before));
	}
	if (b->last && ack->watermark >= atomic_load(&t->last_seq))
		c->ended = true;
	if (ack->watermark < c->sent)
		ship_rewind(c);
	ship_delete(s, c);
}

/* An old stream that ended leaves the lists. */
static void
ship_forget(struct shipper *s, struct ship_cursor **link)
{
	struct ship_cursor *c = *link;
	struct journal_stream **at = &s->j->old;

	pthread_mutex_lock(&s->j->old_lock);
	while (*at != NULL && *at != c->stream)
		at = &(*at)->next;
	if (*at != NULL)
		*at = c->stream->next;
	pthread_mutex_unlock(&s->j->old_lock);
	acks_drop(s->acks, c->stream->epoch, c->stream->shard);
	s->acks_dirty = true;
	stream_release(c->stream, s->j->opt.io);
	free(c->stream);
	*link = c->next;
	segment_reader_close(&c->in);
	free(c);
}

/* ---- rounds
 * ------------------------------------------------------------------ */

static void
ship_failed(struct shipper *s, int *wait_ms, uint32_t retry_ms)
{
	int least = retry_ms < 60000 ? (int)retry_ms : 0;
	int ms = s->backoff_ms * 2;

	ms = ms < SHIP_BACKOFF_MIN_MS ? SHIP_BACKOFF_MIN_MS : ms;
	ms = ms > SHIP_BACKOFF_MAX_MS ? SHIP_BACKOFF_MAX_MS : ms;
	s->backoff_ms = ms;
	ms = ms / 2 + (int)rng_below(s->rng, (uint64_t)ms);
	*wait_ms = ms < least ? least : ms;
	atomic_fetch_add(&s->errors, 1);
	atomic_store(&s->connected, false);
}

/* One batch of one stream. Returns 1 when more may be there, 0 when not, or
 * ERR_*. */
static int
ship_stream(struct shipper *s, struct ship_cursor *c, uint32_t *retry_ms)
{
	Hg__UsageBatch b = HG__USAGE_BATCH__INIT;
	Hg__UsageAck ack = HG__USAGE_ACK__INIT;
	int rc;

	arena_clear(&s->arena);
	b.boot_epoch = c->stream->epoch;
	b.shard = c->stream->shard;
	rc = ship_collect(s, c, &b);
	if (rc != 0) {
		journal_count_error(s->j, "read");
		ship_rewind(c);
		/* Removed, but its folder was not durable and so it is still
		 * in the list: go on with that. */
		if (rc == ERR_NOT_FOUND)
			ship_delete(s, c);
		return rc;
	}
	if (b.n_records == 0 && !b.last)
		return 0;
	if (b.n_records == 0)
		b.first_seq = atomic_load(&c->stream->watermark) + 1;
	rc = s->link.send(s->link.ctx, &b, &ack);
	if (rc == 0)
		rc = ack.error_code;
	if (rc == 0 && (ack.boot_epoch != b.boot_epoch || ack.shard != b.shard))
		rc = ERR_CORRUPT;
	if (rc != 0) {
		*retry_ms = ack.retry_ms;
		ship_rewind(c);
		return rc;
	}
	atomic_fetch_add(&s->batches, 1);
	atomic_store(&s->connected, true);
	s->backoff_ms = 0;
	rc = ack.watermark >= c->sent ? 1 : ERR_AGAIN;
	ship_acked(s, c, &b, &ack);
	return rc;
}

int
shipper_turn(struct shipper *s)
{
	struct ship_cursor **link = &s->cursors;
	bool more = false, failed = false;
	int wait_ms = -1;

	while (*link != NULL) {
		struct ship_cursor *c = *link;
		uint32_t retry_ms = 0;
		int rc = ship_stream(s, c, &retry_ms);

		if (rc < 0) {
			ship_failed(s, &wait_ms, retry_ms);
			failed = true;
			/* Damage in one stream must not hold up the others;
			 * a dead line does. */
			if (rc != ERR_CORRUPT && rc != ERR_IO &&
			    rc != ERR_NOT_FOUND && rc != ERR_AGAIN)
				break;
		}
		more = more || (rc > 0 && !c->ended);
		if (c->ended)
			ship_forget(s, link);
		else
			link = &c->next;
	}
	if (s->acks_dirty &&
	    clock_mono(s->j->opt.clock) - s->acks_saved >= ACKS_EVERY_NS)
		(void)ship_save_acks(s);
	if (failed)
		return wait_ms;
	if (!more)
		atomic_store(&s->oldest_at, 0);
	return more ? 0 : -1;
}

/* Wait in slices; while backing off, fresh records do not end the wait but a
 * kick does. */
static void
shipper_wait(struct shipper *s, int wait)
{
	struct pollfd p = {wait > 0 ? -1 : s->wake_fd, POLLIN, 0};
	uint64_t v;

	for (int left = wait < 0 ? 1000 : wait; left > 0; left -= 100) {
		if (atomic_load(&s->stop) ||
		    atomic_exchange(&s->retry_now, false) ||
		    poll(&p, 1, left < 100 ? left : 100) > 0)
			break;
	}
	if (read(s->wake_fd, &v, sizeof(v)) < 0)
		return; /* nothing new */
}

static void *
shipper_thread(void *arg)
{
	struct shipper *s = arg;

	pthread_setname_np(pthread_self(), "hg-ship");
	while (!atomic_load(&s->stop)) {
		int wait = shipper_turn(s);

		if (wait != 0)
			shipper_wait(s, wait);
	}
	(void)ship_save_acks(s);
	return NULL;
}

int
shipper_start(struct shipper *s, struct error *e)
{
	if (pthread_create(&s->thread, NULL, shipper_thread, s) != 0)
		return err_set(e, ERR_NOMEM, "cannot start the shipper thread");
	s->started = true;
	return 0;
}

void
shipper_stop(struct shipper *s)
{
	if (s == NULL || !s->started)
		return;
	atomic_store(&s->stop, true);
	shipper_kick(s);
	pthread_join(s->thread, NULL);
	s->started = false;
}

void
shipper_kick(struct shipper *s)
{
	atomic_store(&s->retry_now, true);
	ship_wake(s);
}

bool
shipper_done(struct shipper *s)
{
	struct journal_backlog b;

	journal_backlog(s->j, &b);
	for (unsigned i = 0; i < s->j->n_shards; i++)
		if (atomic_load(&s->j->shards[i].stuck))
			return false;
	return b.records == 0;
}

void
shipper_stats(struct shipper *s, struct ship_stats *ret)
{
	struct journal_backlog b;

	journal_backlog(s->j, &b);
	ret->batches = atomic_load(&s->batches);
	ret->records = atomic_load(&s->records);
	ret->errors = atomic_load(&s->errors);
	ret->unshipped = b.records;
	ret->oldest_at = b.records == 0 ? 0 : atomic_load(&s->oldest_at);
	ret->connected = atomic_load(&s->connected);
}
