/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What headgate-torture is made of: a disk in memory that fails on command and
 * of which any image after a power cut can be taken (disk.c); a run of the
 * agent's journal, boot epoch and configuration cache over several boots, with
 * notes of what it promised to whom (work.c); and the suites that put the two
 * together (faults.c, crash.c) or do the same with files and processes
 * (kill.c). Everything follows from the seed. One thread.
 */
#ifndef TESTS_RELIABILITY_TORTURE_H
#define TESTS_RELIABILITY_TORTURE_H

#include <limits.h>

#include "agent/journal/ship.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/rng.h"

/* ---- disk.c --------------------------------------------------------------
 */

struct disk;

struct disk_fault {
	long at;     /* fails the at-th call from 1; 0 = none */
	int errnum;  /* positive errno; 0 = a short write or read */
	bool sticky; /* and every one after it */
};

struct disk *disk_new(void);
void disk_free(struct disk *d); /* NULL is fine */
struct io *disk_io(struct disk *d);
/* From now on: calls are counted from 0, the fault is armed. */
void disk_arm(struct disk *d, const struct disk_fault *f);
bool disk_hit(const struct disk *d); /* the fault happened */
/* The machine dies at the at-th call from now, which does not happen; 0 =
 * never. A dead disk answers -EIO and does nothing. */
void disk_die_at(struct disk *d, long at);
bool disk_dead(const struct disk *d);
long disk_calls(const struct disk *d);
/* What is wrong with how the disk was used, NULL = nothing: a write or a sync
 * of a file whose sync failed before. */
const char *disk_misuse(const struct disk *d);
/* The process is gone: its files are closed, faults end. */
void disk_reopen(struct disk *d);
/* What a power cut now would leave: unsynced blocks of 512 bytes arrive or do
 * not, unsynced names are the old or the new, each by itself. */
struct disk *disk_image(const struct disk *d, struct rng *rng);

/* ---- work.c --------------------------------------------------------------
 */

#define WORK_MAX     256
#define WORK_STREAMS 64
#define WORK_SHARDS  2

/* Ordered: each includes those before. */
enum work_stage {
	WORK_NONE,
	WORK_TRIED,   /* an intent was handed over */
	WORK_REFUSED, /* and not taken: the client was turned away */
	WORK_OPEN,    /* it was: the provider may have been asked */
	WORK_USED,    /* its usage was handed over */
	WORK_WRITTEN  /* and written: it survives a kill */
};

struct work_request {
	enum work_stage stage;
	unsigned shard;
	uint64_t epoch;
	int64_t cost, reserved;
	int64_t told;	 /* the lowest worst case handed over */
	int64_t held;	 /* rights that are still held for it */
	uint64_t ticket; /* of the record that said `told`; 0 = none open */
	bool open_synced, usage_synced; /* they survive a power cut */
	uint64_t used_in; /* turn that the usage was handed over in */
};

/* The control plane: what it committed is never forgotten. */
struct work_sink {
	struct work_stream {
		uint64_t epoch, watermark;
		uint32_t shard;
		bool ended, may_lack;
	} streams[WORK_STREAMS];
	unsigned n_streams;
	struct work_row {
		unsigned request;
		int64_t cost;
		uint32_t source;
	} rows[WORK_MAX * 2];
	unsigned n_rows;
	unsigned calls;
	uint64_t fillers; /* records that say "journal_corrupt" */
};

/* What outlives a crash: the world outside. */
struct work_facts {
	struct work_request requests[WORK_MAX];
	unsigned n;
	struct work_sink sink;
	uint64_t epoch;		/* the highest that a boot was given */
	uint64_t cache_version; /* saved for sure */
	uint64_t cache_tried;
	unsigned boots_failed;
	bool has_key;
	uint8_t key[32]; /* of the cache, as it was first used */
};

struct work {
	struct io *io;
	const char *data; /* folder */
	char journal[PATH_MAX / 2];
	struct work_facts *facts;
	struct rng_seeded rng;
	struct clock_fake clock;
	struct journal *j;
	struct shipper *s;
	char boot_id[32];	 /* of the machine */
	bool (*dead)(void *ctx); /* stop now */
	void *dead_ctx;
	bool faulty; /* calls may fail: be patient */
	uint64_t turn;
	const char *bug; /* found on the way, NULL = none */
	char text[256];
};

/* The folder DATA/journal must exist. */
void work_init(struct work *w, struct io *io, const char *data,
    struct work_facts *facts, uint64_t seed);
/* Three boots with requests on two shards, ships some of it. */
void work_run(struct work *w);
/* The process dies: memory is gone, the disk stays. */
void work_drop(struct work *w);
/* A new boot with nothing going wrong, and all is shipped. NULL or what went
 * wrong. */
const char *work_recover(struct work *w);
/* Are all promises kept? power: the machine lost power, else the process was
 * killed. NULL or which one is broken. */
const char *work_check(struct work *w, bool power);

/* ---- suites: 0 or 1; figures to *out --------------------------------------
 */

struct figures {
	long io_faults, crash_points, power_loss_images, failures;
};

/* call > 0: that call and kind of fault only. */
int torture_faults(uint64_t seed, long call, long kind, struct figures *f);
int torture_power(
    uint64_t seed, unsigned images, unsigned stride, struct figures *f);
int torture_kill(
    uint64_t seed, const char *dir, unsigned stride, struct figures *f);
/* Grow the journal in dir (DATA/journal of an agent that was killed) to about
 * `bytes` by copies of one of its usage records under new names. */
int torture_fill(const char *dir, int64_t bytes);
void torture_report(struct figures *f, const char *what, const char *bug);

#endif
