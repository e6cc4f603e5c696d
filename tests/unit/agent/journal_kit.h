/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal's tests share: a journal in a temporary folder, records by
 * number, and a control plane that takes batches. */
#ifndef TESTS_UNIT_AGENT_JOURNAL_KIT_H
#define TESTS_UNIT_AGENT_JOURNAL_KIT_H

#include <limits.h>

#include "agent/journal/ship.h"

#define KIT_MAX 4096

/* The control plane's side: watermarks per (epoch, shard) and what came. */
struct kit_sink {
	struct {
		uint64_t epoch, watermark;
		uint32_t shard;
		bool ended;
	} streams[64];
	unsigned n_streams;
	struct {
		uint8_t request_id[16];
		uint32_t attempt;
		int64_t cost;
		uint32_t source;
		uint64_t epoch, seq;
	} rows[KIT_MAX];
	unsigned n_rows;
	unsigned fail_next; /* answers lost after the commit */
	unsigned batches, n_records, largest; /* records that came, in one */
	unsigned n_lacking; /* streams that ended with may_lack */
};

struct kit {
	char dir[PATH_MAX / 2];
	struct clock_fake clock;
	struct rng_seeded rng;
	struct io_fault io;
	struct kit_sink sink;
	struct journal *j;
	struct shipper *s;
	struct journal_replay found;
	uint64_t epoch;
	int64_t segment_size;
	unsigned n_shards;
	const char *boot_id;	    /* of the kernel, NULL = not told */
	struct metric_set *metrics; /* until kit_close, NULL = none */
	bool threads; /* no fault injection: it counts without locks */
};

void kit_open(struct kit *k); /* folder and settings, no journal yet */
/* The same, and what happens is counted in metrics. */
void kit_open_counted(struct kit *k);
/* That and its first boot; returns the first shard. */
struct journal_shard *kit_start(struct kit *k);
void kit_close(struct kit *k);
/* A new boot: next epoch, replay, shipper. */
int kit_boot(struct kit *k);
/* The process dies: nothing is flushed. */
void kit_crash(struct kit *k);
/* The next operation of this kind fails, once unless io.sticky is set. */
void kit_fault(struct kit *k, enum io_op op, int errnum);
/* Rounds of the shipper until nothing moves; returns its last word. */
int kit_ship(struct kit *k);
void kit_intent_of(struct journal_intent *i, unsigned n);
int kit_intent(struct kit *k, unsigned shard, unsigned n) MUST_CHECK;
void kit_usage(struct kit *k, unsigned shard, unsigned n, int64_t cost);
int kit_flush(struct kit *k, unsigned shard) MUST_CHECK;
/* intent, flush, usage, flush, sync */
void kit_request(struct kit *k, unsigned shard, unsigned n, int64_t cost);
/* Row of request n at the sink, -1 when it never came; dies on duplicates. */
int kit_row(const struct kit *k, unsigned n);
/* Files in the folder that end in suffix. */
unsigned kit_files(const struct kit *k, const char *suffix);
/* Bytes of a file in the folder, -1: there is none. */
int64_t kit_size(const struct kit *k, const char *name);
/* Threads of this process that are called so. */
unsigned kit_threads(const char *name);
void kit_copy_dir(const char *from, const char *to);
void kit_remove_dir(const char *dir);

#endif
