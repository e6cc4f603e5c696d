/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent does with its disk, and what it promises by that: requests
 * with intents and usage on two shards, group commit, shipping, the boot
 * epoch, the configuration cache. The notes are made outside of the crash.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config/cache.h"
#include "agent/ctl/identity.h"
#include "tests/reliability/torture.h"

#define WORK_BOOTS   3
#define WORK_TURNS   12
#define WORK_RESERVE 4096
#define WALL	     (1700000000 * NS_PER_S)

static bool
work_dead(const struct work *w)
{
	return w->dead != NULL && w->dead(w->dead_ctx);
}

static const char *
work_bug(struct work *w, const char *fmt, uint64_t a, uint64_t b)
{
	if (w->bug == NULL) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(w->text, sizeof(w->text), fmt, a, b);
#pragma GCC diagnostic pop
		w->bug = w->text;
	}
	return w->bug;
}

void
work_init(struct work *w, struct io *io, const char *data,
    struct work_facts *facts, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->io = io;
	w->data = data;
	w->facts = facts;
	(void)snprintf(w->journal, sizeof(w->journal), "%s/journal", data);
	(void)snprintf(w->boot_id, sizeof(w->boot_id), "machine-1");
	rng_seeded_init(&w->rng, seed);
	clock_fake_init(&w->clock, NS_PER_S, WALL);
}

/* ---- the control plane -----------------------------------------------------
 */

static struct work_stream *
sink_stream(struct work_sink *s, uint64_t epoch, uint32_t shard)
{
	unsigned i;

	for (i = 0; i < s->n_streams; i++)
		if (s->streams[i].epoch == epoch &&
		    s->streams[i].shard == shard)
			return &s->streams[i];
	MUST(i < WORK_STREAMS);
	s->n_streams++;
	s->streams[i] = (struct work_stream){.epoch = epoch, .shard = shard};
	return &s->streams[i];
}

static void
sink_row(struct work *w, const Hg__UsageRecord *r)
{
	struct work_sink *s = &w->facts->sink;
	unsigned n;

	MUST(r->request_id.len == 16 && s->n_rows < WORK_MAX * 2);
	memcpy(&n, r->request_id.data, sizeof(n));
	if (n == 0) { /* the requests are numbered from 1 */
		s->fillers++;
		return;
	}
	s->rows[s->n_rows++] = (struct work_row){
	    .request = n, .cost = r->cost, .source = (uint32_t)r->source};
}

/* Commits, then answers; now and then the answer is lost. */
static int
sink_send(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	struct work *w = ctx;
	struct work_sink *s = &w->facts->sink;
	struct work_stream *at = sink_stream(s, b->boot_epoch, b->shard);

	for (size_t i = 0; i < b->n_records; i++) {
		if (b->records[i]->seq <= at->watermark)
			continue;
		if (b->records[i]->seq != at->watermark + 1)
			break; /* a gap is never acknowledged past */
		sink_row(w, b->records[i]);
		at->watermark++;
	}
	if (b->last && !at->ended) {
		at->ended = true;
		at->may_lack = b->may_lack;
	}
	if (++s->calls % 4 == 3)
		return ERR_UNAVAILABLE;
	ack->boot_epoch = b->boot_epoch;
	ack->shard = b->shard;
	ack->watermark = at->watermark;
	return 0;
}

/* ---- boot ------------------------------------------------------------------
 */

static void
work_key(struct work *w, const uint8_t key[DISK_KEY_LEN])
{
	struct work_facts *f = w->facts;

	if (f->has_key && memcmp(f->key, key, DISK_KEY_LEN) != 0)
		(void)work_bug(w, "another disk key than before", 0, 0);
	memcpy(f->key, key, DISK_KEY_LEN);
	f->has_key = true;
}

static int
work_boot_cache(struct work *w, bool healthy)
{
	struct work_facts *f = w->facts;
	struct item_state *state = NULL;
	uint8_t key[DISK_KEY_LEN];
	uint64_t got = 0;
	unsigned bad;
	struct error e;
	int rc;

	rc = disk_key_get(w->io, w->data, "", &w->rng.rng, key, &e);
	if (rc != 0 || work_dead(w))
		return rc != 0 ? rc : ERR_IO;
	work_key(w, key);
	rc = cache_load(w->io, w->data, key, UINT64_MAX, &state, &bad);
	if (work_dead(w))
		return ERR_IO;
	if (rc == 0)
		got = state->version;
	items_unref(state);
	if (healthy && got < f->cache_version)
		(void)work_bug(w,
		    "configuration %" PRIu64 " was saved, %" PRIu64
		    " came back",
		    f->cache_version, got);
	if (got > f->cache_tried)
		(void)work_bug(
		    w, "configuration %" PRIu64 " never was", got, 0);
	return 0;
}

/* One boot; healthy: nothing may go wrong. */
static int
work_boot(struct work *w, bool healthy)
{
	struct journal_options opt = {.dir = w->journal,
	    .n_shards = WORK_SHARDS,
	    .segment_size = 2048,
	    .reserve = WORK_RESERVE,
	    .boot_id = w->boot_id,
	    .io = w->io,
	    .clock = &w->clock.clock};
	struct ship_link link = {sink_send, w};
	struct journal_replay found;
	struct error e = {.text = ""};
	int rc;

	memset(opt.agent_id, 0xa9, 16);
	rc = work_boot_cache(w, healthy);
	if (rc == 0)
		rc = epoch_next(w->io, w->data, &opt.epoch, &e);
	if (rc == 0 && work_dead(w))
		rc = ERR_IO;
	if (rc == 0) {
		if (opt.epoch <= w->facts->epoch)
			(void)work_bug(
			    w, "boot epoch %" PRIu64 " again", opt.epoch, 0);
		w->facts->epoch = opt.epoch;
		rc = journal_open(&opt, &w->j, &found, &e);
	}
	if (rc == 0)
		rc = shipper_new(w->j, &link, &w->rng.rng, &w->s, &e);
	if (rc != 0) {
		work_drop(w);
		w->facts->boots_failed++;
		if (healthy && !work_dead(w))
			(void)snprintf(w->text, sizeof(w->text),
			    "no boot: %.200s", e.text);
	}
	return rc;
}

void
work_drop(struct work *w)
{
	shipper_free(w->s);
	journal_close(w->j);
	w->s = NULL;
	w->j = NULL;
}

/* ---- requests --------------------------------------------------------------
 */

static void
work_head(const struct work_request *r, unsigned n, struct journal_intent *i)
{
	memset(i, 0, sizeof(*i));
	memcpy(i->request_id, &n, sizeof(n));
	memset(i->request_id + 8, (int)(n * 31 + 7), 8);
	i->attempt = 1;
	i->started_at = WALL + n;
	i->tenant_uid = 1;
	i->key_uid = 4;
	i->reserved = r->reserved;
	i->worst.n[TC_INPUT] = 100;
	i->worst.n[TC_OUTPUT] = 200;
	i->n_charges = n % 3;
	for (unsigned c = 0; c < i->n_charges; c++)
		i->charges[c] = (struct journal_charge){c + 70, 1234};
}

static struct work_request *
work_begin(struct work *w, unsigned shard)
{
	struct work_facts *f = w->facts;
	unsigned n = f->n + 1; /* from 1 */
	struct work_request *r = &f->requests[n];
	struct journal_intent i;

	if (n >= WORK_MAX)
		return NULL;
	*r = (struct work_request){.stage = WORK_TRIED,
	    .shard = shard,
	    .epoch = f->epoch,
	    .cost = (int64_t)n * 3 + 1,
	    .reserved = 100000 + (int64_t)n};
	r->told = r->held = r->reserved;
	f->n = n;
	work_head(r, n, &i);
	if (journal_intent(&w->j->shards[shard], &i) != 0) {
		r->stage = WORK_REFUSED;
		return NULL;
	}
	return r;
}

static void
work_finish(struct work *w, unsigned n)
{
	struct work_request *r = &w->facts->requests[n];
	struct journal_usage u;

	memset(&u, 0, sizeof(u));
	work_head(r, n, &u.head);
	u.tokens.n[TC_INPUT] = 10;
	u.tokens.n[TC_OUTPUT] = n;
	u.cost = r->cost;
	u.source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
	u.http_status = 200;
	(void)snprintf(u.finish_reason, sizeof(u.finish_reason), "stop");
	r->stage = WORK_USED;
	journal_usage(&w->j->shards[r->shard], &u);
}

/* Its worst case falls; the rights wait until that is durable. */
static void
work_lower(struct work *w, unsigned n)
{
	struct work_request *r = &w->facts->requests[n];
	struct journal_intent i;

	work_head(r, n, &i);
	i.reserved = r->told - r->told / 4;
	if (journal_lower(&w->j->shards[r->shard], &i, &r->ticket) == 0)
		r->told = i.reserved;
}

/* What a flush that worked says of the shard's requests. */
static void
work_flushed(struct work *w, unsigned shard)
{
	struct work_facts *f = w->facts;

	for (unsigned n = 1; n <= f->n; n++) {
		struct work_request *r = &f->requests[n];

		if (r->epoch != f->epoch || r->shard != shard)
			continue;
		if (r->stage == WORK_TRIED)
			r->stage = WORK_OPEN;
		else if (r->stage == WORK_USED)
			r->stage = WORK_WRITTEN;
	}
}

static void
work_refused(struct work *w, unsigned shard)
{
	struct work_facts *f = w->facts;

	for (unsigned n = 1; n <= f->n; n++) {
		struct work_request *r = &f->requests[n];

		if (r->epoch == f->epoch && r->shard == shard &&
		    r->stage == WORK_TRIED)
			r->stage = WORK_REFUSED;
	}
}

static void
work_shard(struct work *w, unsigned shard)
{
	struct journal_shard *s = &w->j->shards[shard];
	unsigned fresh = (unsigned)rng_below(&w->rng.rng, 3);
	int rc;

	for (unsigned n = 1; n <= w->facts->n; n++) {
		const struct work_request *r = &w->facts->requests[n];

		if (r->epoch != w->facts->epoch || r->shard != shard ||
		    r->stage != WORK_OPEN)
			continue;
		if (rng_below(&w->rng.rng, 3) == 0)
			work_finish(w, n);
		else if (rng_below(&w->rng.rng, 2) == 0)
			work_lower(w, n);
	}
	while (fresh-- > 0)
		(void)work_begin(w, shard);
	if (!journal_pending(s))
		return;
	rc = journal_flush(s);
	if (work_dead(w))
		return;
	if (rc == 0)
		work_flushed(w, shard);
	else
		work_refused(w, shard);
}

/* Is all that was flushed durable, or repeated where it is? */
static bool
work_all_synced(struct work *w, unsigned shard)
{
	struct journal_stream *t = &w->j->shards[shard].stream;

	for (struct segment *seg = t->first; seg != NULL; seg = seg->next) {
		if (atomic_load(&seg->poisoned) && seg->rescued)
			continue;
		if (atomic_load(&seg->poisoned) ||
		    atomic_load(&seg->synced) != atomic_load(&seg->flushed))
			return false;
	}
	return true;
}

static void
work_sync(struct work *w)
{
	struct work_facts *f = w->facts;

	journal_sync_turn(w->j);
	if (work_dead(w))
		return;
	for (unsigned n = 1; n <= f->n; n++) {
		struct work_request *r = &f->requests[n];

		if (r->epoch == f->epoch && r->ticket != 0 &&
		    r->ticket <= journal_lowered(&w->j->shards[r->shard])) {
			r->held = r->told;
			r->ticket = 0;
		}
		if (r->epoch != f->epoch || r->stage < WORK_OPEN ||
		    !work_all_synced(w, r->shard))
			continue;
		r->open_synced = true;
		r->usage_synced = r->stage == WORK_WRITTEN;
	}
}

static void
work_save_config(struct work *w)
{
	struct item_state s = {.version = ++w->facts->cache_tried};
	char group[] = "default";
	struct state_hasher h;
	struct error e;
	int rc;

	s.group = group;
	state_hash_init(&h);
	state_hash_final(&h, s.hash);
	rc = cache_save(w->io, w->data, w->facts->key, &w->rng.rng, &s, &e);
	if (rc == 0 && !work_dead(w))
		w->facts->cache_version = s.version;
}

static void
work_turn(struct work *w)
{
	uint64_t t = ++w->turn;

	for (unsigned i = 0; i < WORK_SHARDS && !work_dead(w); i++)
		work_shard(w, i);
	if (t % 2 == 0 && !work_dead(w))
		work_sync(w);
	if (t % 3 == 0 && !work_dead(w))
		(void)shipper_turn(w->s);
	if (t % 5 == 1 && !work_dead(w))
		work_save_config(w);
	clock_fake_advance(&w->clock, NS_PER_S / 2);
}

void
work_run(struct work *w)
{
	for (unsigned b = 0; b < WORK_BOOTS; b++) {
		int rc = ERR_IO;

		/* A supervisor starts it again. */
		for (unsigned i = 0; rc != 0 && i < (w->faulty ? 3u : 1u); i++)
			if (!work_dead(w))
				rc = work_boot(w, !w->faulty);
		if (work_dead(w) || rc != 0) {
			if (rc != 0 && !w->faulty && !work_dead(w))
				w->bug = w->text;
			work_drop(w);
			return;
		}
		for (unsigned t = 0; t < WORK_TURNS && !work_dead(w); t++)
			work_turn(w);
		work_drop(w); /* killed; the disk is kept */
	}
}

const char *
work_recover(struct work *w)
{
	struct journal_backlog left;
	int wait = 0;

	if (work_boot(w, true) != 0)
		return w->bug = w->text[0] != '\0' ? w->text : "no boot";
	/* -1: all is shipped and every stream of an earlier boot ended. */
	for (int i = 0; i < 5000 && wait >= 0; i++) {
		wait = shipper_turn(w->s);
		clock_fake_advance(&w->clock, NS_PER_S);
	}
	journal_backlog(w->j, &left);
	if (w->bug == NULL &&
	    (wait >= 0 || left.records != 0 || w->j->old != NULL))
		(void)work_bug(w,
		    "%" PRIu64 " records do not go out (%" PRIu64 " files)",
		    left.records, left.segments);
	work_drop(w);
	return w->bug;
}

/* ---- promises --------------------------------------------------------------
 */

/* The row of request n; dies on none. NULL. Two: a bug. */
static const struct work_row *
work_row(struct work *w, unsigned n)
{
	const struct work_sink *s = &w->facts->sink;
	const struct work_row *found = NULL;

	for (unsigned i = 0; i < s->n_rows; i++) {
		if (s->rows[i].request != n)
			continue;
		if (found != NULL)
			(void)work_bug(
			    w, "request %" PRIu64 " billed twice", n, 0);
		found = &s->rows[i];
	}
	return found;
}

/* Does the control plane believe that this boot's records are complete? */
static bool
work_proven(const struct work *w, const struct work_request *r)
{
	const struct work_sink *s = &w->facts->sink;

	for (unsigned i = 0; i < s->n_streams; i++)
		if (s->streams[i].epoch == r->epoch &&
		    s->streams[i].shard == r->shard)
			return s->streams[i].ended && !s->streams[i].may_lack;
	return false;
}

static void
work_check_one(struct work *w, unsigned n, bool power)
{
	const struct work_request *r = &w->facts->requests[n];
	const struct work_row *row = work_row(w, n);
	bool real = row != NULL &&
		    row->source == HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;

	if (row != NULL && (real ? row->cost != r->cost
				 : row->cost < r->told || row->cost > r->held))
		(void)work_bug(w, "request %" PRIu64 " costs %" PRIu64, n,
		    (uint64_t)row->cost);
	if (real && r->stage < WORK_USED)
		(void)work_bug(w, "request %" PRIu64 " billed, not used", n, 0);
	if (row != NULL && r->stage == WORK_REFUSED)
		(void)work_bug(
		    w, "request %" PRIu64 " was refused, yet billed", n, 0);
	if (!real && (power ? r->usage_synced : r->stage == WORK_WRITTEN))
		(void)work_bug(w,
		    "usage of request %" PRIu64 " lost (row: %" PRIu64 ")", n,
		    row != NULL);
	if (row == NULL && (power ? r->open_synced : r->stage >= WORK_OPEN))
		(void)work_bug(w, "request %" PRIu64 " lost", n, 0);
	if (power && row == NULL && r->stage >= WORK_OPEN && work_proven(w, r))
		(void)work_bug(w,
		    "request %" PRIu64 " vanished and boot %" PRIu64
		    " says it lacks nothing",
		    n, r->epoch);
}

const char *
work_check(struct work *w, bool power)
{
	for (unsigned n = 1; n <= w->facts->n; n++)
		work_check_one(w, n, power);
	for (unsigned i = 0; i < w->facts->sink.n_rows; i++)
		if (w->facts->sink.rows[i].request > w->facts->n)
			(void)work_bug(w, "a request that never was: %" PRIu64,
			    w->facts->sink.rows[i].request, 0);
	if (!power && w->facts->sink.fillers > 0)
		(void)work_bug(w, "%" PRIu64 " records replaced",
		    w->facts->sink.fillers, 0);
	return w->bug;
}
