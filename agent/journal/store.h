/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole journal of the agent: one folder, one shard a worker, the streams
 * of earlier boots. What workers see of it is journal.h.
 *
 * Running out of disk: a ballast file keeps `reserve` bytes. When a write
 * fails for lack of space the ballast is dropped, so that the usage of what
 * is already in flight still fits, and no new intent is taken until there is
 * room for the ballast again.
 *
 * An fsync error poisons the segment: nobody appends to it or syncs it again;
 * the worker starts a new one and repeats in it what was not durable yet.
 */
#ifndef AGENT_JOURNAL_STORE_H
#define AGENT_JOURNAL_STORE_H

#include "agent/journal/intents.h"
#include "agent/journal/machine.h"
#include "agent/journal/segment.h"
#include "common/buf.h"
#include "common/metric.h"

#define JOURNAL_MAX_SHARDS 64

struct journal_options {
	const char *dir; /* exists; e.g. DATA/journal */
	uint8_t agent_id[16];
	uint64_t epoch; /* higher than any before */
	unsigned n_shards;
	int64_t segment_size, reserve; /* bytes */
	int64_t group_commit_ms;
	/* The kernel's boot id, to tell a power cut from a killed process
	 * (machine.h); NULL: every end is taken for a kill. Copied. */
	const char *boot_id;
	struct io *io;
	struct clock *clock;
	struct metric_set *metrics; /* agent/metrics.h; may be NULL */
};

struct journal_shard {
	struct journal *j;
	struct journal_stream stream;
	struct segment *cur; /* last of the stream; worker only */
	struct intent_set open;
	struct buf usage;   /* and lower: encoded, not written; kept over
			     * failures */
	struct buf intents; /* of this turn */
	uint64_t next_seq, next_n;
	bool report_again;  /* last flush failed: flush once more */
	_Atomic bool stuck; /* usage waits for room on disk */
	/* Lower records: collected (worker), in the file, on the platter. */
	uint64_t n_lowers;
	_Atomic uint64_t lowers_flushed, lowers_durable;
};

struct journal {
	struct journal_options opt;
	char *dir;
	struct machine machine; /* when opt.boot_id is set */
	unsigned n_shards;
	struct journal_shard shards[JOURNAL_MAX_SHARDS];
	struct journal_stream *old; /* by epoch, shard; only the shipper
				       removes from it */
	pthread_mutex_t old_lock;   /* guards the list `old` */
	_Atomic bool full, ballast;
	_Atomic bool dirty;    /* something to sync */
	_Atomic bool sleeping; /* sync thread waits on wake_fd */
	_Atomic bool stop;
	int wake_fd;
	/* Sync thread calls it when records became durable (may be NULL). */
	void (*on_synced)(void *ctx);
	void *on_synced_ctx;
	pthread_t thread;
	bool started;
	int64_t next_space_check; /* mono, sync thread */
};

/* What replay found at start. */
struct journal_replay {
	uint64_t streams, records, intents_recovered, torn, quarantined,
	    filled,   /* filled: seqs whose record was lost to damage */
	    may_lack; /* streams that a power cut or damage may have cut */
};

/* Replay the earlier epochs in the folder, then make the shards of this one.
 * Everything that replay adds is durable when this returns. ERR_IO, ERR_NOMEM,
 * ERR_CORRUPT, ERR_EXISTS (epoch used before). */
int journal_open(const struct journal_options *opt, struct journal **ret,
    struct journal_replay *found, struct error *e) MUST_CHECK;
/* No thread uses it any more. Does not flush. NULL is fine. */
void journal_close(struct journal *j);

/* Make what was flushed durable; check the free space now and then. One round
 * of the sync thread. */
void journal_sync_turn(struct journal *j);
/* The sync thread. journal_stop ends it after a last round. */
int journal_start(struct journal *j, struct error *e) MUST_CHECK;
void journal_stop(struct journal *j);

/* Streams and records not acknowledged yet; bytes on disk. Any thread. */
struct journal_backlog {
	uint64_t records, bytes, segments;
	bool writable;
};
void journal_backlog(struct journal *j, struct journal_backlog *ret);

/* Internal to agent/journal. */
int journal_replay_dir(struct journal *j, struct journal_replay *found,
    struct error *e) MUST_CHECK;
/* Create the next segment of a stream, header written, open for appending;
 * last_seq is 0: the caller's to set. */
int segment_create(struct journal *j, struct journal_stream *s, uint64_t n,
    uint64_t first_seq, uint32_t flags, struct segment **ret) MUST_CHECK;
void journal_count_error(struct journal *j, const char *op);
void journal_count(struct journal *j, size_t metric, int64_t v);
void journal_drop_ballast(struct journal *j);
void journal_check_space(struct journal *j);

#endif
