/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent without a control plane, for tests of the data path: real
 * configuration, leases, journal and workers in one process, with a stand-in
 * that grants budget rights from a purse.
 */
#ifndef TESTS_UNIT_AGENT_RIG_H
#define TESTS_UNIT_AGENT_RIG_H

#include <pthread.h>

#include "agent/agent.h"
#include "agent/config/compile.h"
#include "agent/front/explain.h"
#include "agent/journal/store.h"
#include "agent/loop/worker.h"
#include "agent/metrics.h"

#define RIG_KEY	   "hg-rig-key-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define RIG_OTHER  "hg-rig-key-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define RIG_URGENT "hg-rig-key-ccccccccccccccccccccccccccccccccccccccccc"
#define RIG_BATCH  "hg-rig-key-ddddddddddddddddddddddddddddddddddddddddd"

struct rig_config {
	unsigned n_workers;
	const char *url[2];	  /* of providers; [1] may be NULL */
	int64_t budget;		  /* nano-USD, 0 = no budget */
	bool soft;		  /* that budget only alerts */
	int64_t rpm, tpm, conc;	  /* of the key's project, 0 = none */
	int64_t max_request;	  /* of the models, nano-USD; 0 = none */
	uint32_t max_concurrency; /* of each deployment */
	uint32_t connect_ms, first_byte_ms, idle_ms; /* 0 = defaults */
	bool no_stream_options;
	bool deaf;	       /* it starts so, see struct rig */
	int64_t lease_wait;    /* ms a request may wait for rights; 0 = 1000 */
	int64_t dearer_at;     /* wall ns: from then on prices are tenfold; 0 */
	bool no_output_price;  /* of "m1", so that it has no price */
	const char *tokenizer; /* of the models; NULL = none */
	const char *tokenizer_dir;    /* with tables; NULL = none */
	int64_t places[AGENT_PLACES]; /* of the agent, 0 = no bound */
	unsigned queue_max;	      /* for them; 0 = 100 */
	int64_t queue_wait;	      /* ms */
	bool keyless;  /* the first provider cannot even be called */
	struct io *io; /* of the journal; NULL = the system's */
	/* "m1" has a price for this alone, 10 USD per million; 0 = see below */
	enum token_class unit;
};

/* The system's time; a test may set the wall clock forward. */
struct rig_clock {
	struct clock clock;
	_Atomic int64_t ahead; /* ns of the wall clock */
};

struct rig {
	struct agent agent;
	struct rig_clock clock;
	struct agent_options opt;
	struct lease_table *leases;
	struct limit_registry *limits;
	struct journal *journal;
	struct bundle *bundle; /* for look-ups by tests */
	struct worker *workers[AGENT_MAX_WORKERS];
	pthread_t control;
	_Atomic bool stop;
	_Atomic bool deaf;     /* leases are not asked about */
	_Atomic bool busy;     /* others are said to give rights back */
	_Atomic int64_t purse; /* nano-USD that may still be granted */
	int64_t granted, returned;
	char dir[256];
	int port;
};

/* Model "m1" (chat; 1 USD per Mtok in, 2 USD per Mtok out, cache read 0.5,
 * cap 1000 tokens out) and "e1" (embeddings, 1 USD per Mtok); routes "chat"
 * (both providers, url[0] first) and "embed"; route "secret" that no key may
 * use; keys RIG_KEY (acme.rd.bot.k1), RIG_OTHER (disabled), RIG_URGENT
 * (critical) and RIG_BATCH. */
void rig_start(struct rig *r, const struct rig_config *c);
/* Drain, join, check the books: nothing reserved, no place held. */
void rig_stop(struct rig *r);
/* Usage records of the journal so far, oldest first. */
size_t rig_usage(struct rig *r, struct journal_usage *dst, size_t cap);
/* How many intents of that attempt are in the journal's files. */
size_t rig_intents(struct rig *r, uint32_t attempt);
int64_t rig_metric(struct rig *r, enum agent_metric m, const char *label);

#endif
