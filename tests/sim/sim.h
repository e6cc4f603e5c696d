/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deterministic simulation of the money protocol: one process, one thread,
 * virtual time, one seed. Agents run the real agent/money and agent/journal;
 * the control plane runs the real controlplane/money and the real
 * store_lease.c, usage_ingest.c, usage_record.c, usage_sums.c over a model of
 * the database that interprets their statements (db.c). Network, disks,
 * clocks and the moments of crashes come from the seed. check.c looks at the
 * whole world after every event.
 *
 * Requests of clients are modelled as agent/front does them: reserve, intent,
 * flush, call, usage, flush, settle.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/journal/ship.h"
#include "agent/money/lease_claim.h"
#include "common/clock.h"
#include "common/rng.h"
#include "controlplane/fleet/registry.h"
#include "proto/headgate.pb-c.h"

struct lease_table;

#define SIM_BUDGETS   4
#define SIM_KEYS      3
#define SIM_AGENTS    8
#define SIM_REPLICAS  2
#define SIM_SHARDS    2
#define SIM_IN_FLIGHT 64 /* per agent */
#define SIM_OWED      256
#define SIM_WALL0     INT64_C(1750000000000000000)

/* ---- bugs planted on purpose ------------------------------------------- */

/* X(name, text): the simulation must notice each of them. */
#define SIM_PLANT_TABLE(X)                                                    \
	X(PLANT_LOST_ACK, "a lost acknowledgement is taken for one")          \
	X(PLANT_TIMER_FREES, "a timer frees the rights of a silent agent")    \
	X(PLANT_PARENT_DEBIT, "parent and child are not debited together")    \
	X(PLANT_OVERWRITE, "reports overwrite instead of merging by maximum") \
	X(PLANT_PAST_GAP, "the watermark moves past what was booked")         \
	X(PLANT_NO_WATERMARK, "the watermark is not moved with the batch")    \
	X(PLANT_REPORT_FIRST, "rights are reported as returned and kept")     \
	X(PLANT_NO_FENCE, "the fence of a lease is ignored")                  \
	X(PLANT_SAME_EPOCH, "the boot epoch is not raised at a start")        \
	X(PLANT_SETTLE_TWICE, "a request is settled twice")                   \
	X(PLANT_BLIND_GRANT, "grants look at old numbers without condition")  \
	X(PLANT_ONE_SHARD, "one closed shard completes an epoch")             \
	X(PLANT_NO_HOLD, "nothing is held behind an estimate")                \
	X(PLANT_TRUST_POWER_CUT, "a cut journal frees the rest of a lease")   \
	X(PLANT_NO_INTENT, "calls start before their intent is written")      \
	X(PLANT_LIMIT_RESET, "a changed limit forgets the leases")            \
	X(PLANT_WRONG_PERIOD, "usage is charged to the current period")       \
	X(PLANT_OLD_BOOT, "an older boot epoch still gets grants")            \
	X(PLANT_REPLAY_FREES, "replay drops the intents that it finds")       \
	X(PLANT_PAST_DELTA, "bounded budgets release all doubt by time")      \
	X(PLANT_HALF_COMMIT, "a batch that fails leaves its ledger rows")     \
	X(PLANT_LOWER_FIRST, "rights are let go of before that is durable")   \
	X(PLANT_LAST_WORD, "a late report replaces what was known since")     \
	X(PLANT_CHATTER, "an answered question stays urgent")                 \
	X(PLANT_KEEP_PART, "who waits keeps a part that is too small")        \
	X(PLANT_NO_RECALL, "idle rights are not recalled for who waits")      \
	X(PLANT_ALL_EXHAUSTED, "small requests are refused with a large one") \
	X(PLANT_PATH_ORDER, "agents take budgets in different orders")        \
	X(PLANT_BUCKET_OPEN, "older buckets of a window stay open")           \
	X(PLANT_BUCKET_SPENT, "a window counts what is spent, not granted")   \
	X(PLANT_WINDOW_SHORT, "a bucket leaves its window one too early")     \
	X(PLANT_QUIET_GONE, "who may be silent is taken for gone")            \
	X(PLANT_NO_HINT, "who may be silent is not told of recalls")

enum sim_plant {
	PLANT_NONE,
#define X(e, text) e,
	SIM_PLANT_TABLE(X)
#undef X
	    PLANT_COUNT
};

/* ---- disk (disk.c) --------------------------------------------------------
 */

struct sim_disk;
/* A disk in memory behind struct io. When `ops` calls have been made the
 * process counts as dead: nothing has an effect any more (-1 = never). */
struct sim_disk *sim_disk_new(struct rng *rng);
void sim_disk_free(struct sim_disk *d);
struct io *sim_disk_io(struct sim_disk *d);
void sim_disk_die_after(struct sim_disk *d, long ops);
bool sim_disk_dead(const struct sim_disk *d);
/* The machine is back: after a kill everything written is there; after a power
 * cut unsynced bytes and names may be gone. Open files are closed. */
void sim_disk_restart(struct sim_disk *d, bool power_cut);
/* The next n-th write / fsync fails (-1 = never). */
void sim_disk_fail_write(struct sim_disk *d, long n, int errnum);
void sim_disk_fail_fsync(struct sim_disk *d, long n);
void sim_disk_full(struct sim_disk *d, bool full);

/* ---- database (db.c) ------------------------------------------------------
 */

struct m_budget {
	uint64_t uid, version;
	int64_t limit, period_ns; /* period 0 = once */
	int64_t width;		  /* rolling: of a bucket, 0 = it is not */
	int64_t highest;	  /* rolling: limit ever */
	bool deleted, soft, bounded;
	int64_t delta; /* bounded: doubt that time may release in a period */
};
struct m_period {
	uint64_t uid, version;
	int64_t start, end, limit, free, settled, held;
	int64_t top;	  /* highest limit ever: what safety is measured by */
	int64_t released; /* doubt, by time */
	int64_t recall_told, recall_at;
	bool closing; /* of a rolling window: nothing is granted any more */
};
/* hg_budget_now(): the period of a budget at an instant. past...: of the other
 * buckets of a rolling window. */
struct m_now {
	int64_t start, end, lim, past, past_settled, past_held;
};
struct m_lease {
	unsigned period; /* index */
	uint64_t uid, boot;
	int64_t start;
	unsigned agent;
	int64_t granted, settled, returned, high_water, fence_at;
	int64_t r_settled, r_in_use, report_at, quiet_until;
	bool doubtful, recall;
};
struct m_mark {
	unsigned agent, shard;
	uint64_t boot, seq;
	bool closed, may_lack;
};
struct m_boot {
	unsigned agent, n_shards;
	uint64_t boot;
};
struct m_agent {
	uint64_t boot, instance;
	int64_t last_seen;
};
struct m_usage {
	unsigned req; /* index of the request */
	unsigned agent, shard;
	uint64_t boot, seq;
	int64_t cost;
	unsigned n_charges;
	struct journal_charge charges[SIM_BUDGETS];
};
#define M_PERIODS 1024
#define M_LEASES  4096
#define M_MARKS	  1024
#define M_BOOTS	  512
struct m_db {
	struct m_agent agents[SIM_AGENTS];
	struct m_budget budgets[SIM_BUDGETS];
	unsigned n_budgets;
	int64_t ledger, hourly, daily, ledger_rows, quarantined, booked;
	/* Budgets whose recall is told when the transaction commits, bits. */
	uint64_t told;
	unsigned n_periods, n_leases, n_marks, n_boots, n_usage;
	struct m_period periods[M_PERIODS];
	struct m_lease leases[M_LEASES];
	struct m_mark marks[M_MARKS];
	struct m_boot boots[M_BOOTS];
};

/* ---- the world ------------------------------------------------------------
 */

enum req_state { REQ_FREE, REQ_WAITS, REQ_INTENT, REQ_CALLED, REQ_ENDED };

/* Every request that ever started a call at a provider. */
struct sim_req {
	unsigned agent, key;
	uint64_t boot;
	int64_t at;	     /* when it was admitted */
	int64_t worst, cost; /* cost: what the provider bills */
	unsigned n_charges;
	unsigned n_path; /* budgets that it should be charged to */
	struct journal_charge charges[SIM_BUDGETS];
	unsigned pots[SIM_BUDGETS];
	bool called;
	bool running;	/* its process lives and has not settled it */
	bool estimated; /* its record says less than it cost */
	bool died;	/* its process ended first */
	int64_t held;	/* rights taken for it, in the end */
	bool forgiven;	/* its traces were lost with power or disk */
	unsigned rows;	/* booked usage records */
	int64_t booked;
	uint64_t flush_no;
};

/* The truth about a budget's period: what providers will bill. */
struct sim_pot {
	uint64_t uid;
	int64_t start;
	int64_t spent, running; /* running: worst cases */
};
#define SIM_POTS 1024

/* What an agent holds of a request in flight. */
struct sim_flight {
	enum req_state state;
	unsigned key, shard;
	int64_t amount, since;
	uint64_t reply_gen, id;
	struct budget_cell *short_of;
	uint64_t turn; /* among those who wait; 0 = it does not */
	struct lease_claims claims;
	struct reservation rights;
	struct journal_intent intent;
	struct tokens tokens; /* of the answer */
	unsigned req;	      /* in sim.reqs, once called */
	bool probe;	      /* of the tail: must be admitted */
	uint64_t ticket;      /* of a lower record that is not durable */
	unsigned n_lowers;
	/* duel.c: one of several that want the rest */
	bool duel, short_once; /* it could not be paid for at some instant */
	int64_t least;	       /* what its budgets had at last look */
	int64_t rich_since;    /* it can be paid for since */
};

/* Usage collected, not written yet: rights to be given back then. */
struct sim_owed {
	struct reservation rights;
	int64_t cost;
	unsigned shard;
};

struct sim_clock {
	struct clock clock;
	struct sim *sim;
	int64_t skew, base; /* wall skew; monotonic zero */
	int64_t ppm;
};

struct sim_agent {
	struct sim *sim;
	unsigned index;
	char id[37];
	uint8_t uuid[16];
	struct sim_clock clock;
	struct sim_disk *disk;
	bool up, gone, fenced, hello_done, lost_power;
	uint64_t life; /* counts starts; events of older lives are void */
	uint64_t epoch, instance, seq;
	unsigned machine; /* boot of it: rises with every power cut */
	unsigned n_shards;
	struct journal *journal;
	struct shipper *shipper;
	struct lease_table *leases;
	struct learn *learn; /* of this life; NULL: nothing is learned */
	struct b_key keys[SIM_KEYS];
	struct sim_flight flights[SIM_IN_FLIGHT];
	struct sim_owed owed[SIM_OWED];
	unsigned n_owed;
	/* control line: one exchange at a time */
	uint64_t call; /* id of the call that is out, 0 = none */
	int64_t sent_mono, next_beat, last_urgent;
	int backoff_ms;
	bool kicked, cut;     /* cut: partitioned */
	unsigned quiet_beats; /* sent while nothing happens any more */
	uint64_t beat_no, ship_no, sync_no; /* only the last one counts */
	int64_t ship_at, sync_at;
	uint64_t flush_no, synced_no;
};

enum sim_msg_type { MSG_HELLO, MSG_BEAT, MSG_USAGE };
struct sim_msg {
	enum sim_msg_type type;
	unsigned agent, replica;
	uint64_t boot, instance, seq, life, call;
	bool again; /* a duplicate */
	int rc;	    /* of a reply */
	uint8_t *bytes;
	size_t len;
};

enum sim_event_kind {
	EV_ARRIVE,   /* a request reaches agent a */
	EV_DONE,     /* provider answered: u = flight */
	EV_GIVE_UP,  /* a waiting request's deadline: u = flight */
	EV_BEAT,     /* control thread of a */
	EV_SHIP,     /* shipper of a */
	EV_SYNC,     /* journal thread of a */
	EV_TO_CP,    /* message arrives */
	EV_TO_AGENT, /* reply arrives */
	EV_TIMEOUT,  /* call u of a got no reply */
	EV_START,    /* agent a starts */
	EV_FAULT,    /* something happens to the world */
	EV_CONFIG,   /* agent a learns the configuration */
	EV_HEAL,
	EV_LOWER, /* a worst case falls: u = flight */
	EV_DOUBT, /* the control plane looks after bounded budgets */
	EV_HINT,  /* a published recall reaches agent a: u = budget */
	EV_CALM,  /* a step of calm.c: u */
	EV_N
};
struct sim_event {
	int64_t at;
	uint64_t order, life, u;
	enum sim_event_kind kind;
	unsigned a;
	struct sim_msg *msg;
};

/* The last messages that were handled (algebra.c). */
#define SIM_OLD 5
struct sim_algebra {
	struct sim_msg old[SIM_OLD];
	uint64_t n;
	struct m_db *before, *once;
};

struct sim_net {
	unsigned drop, dup, slow, fail; /* per mille */
	int64_t rtt, slow_ns;
};

struct sim {
	uint64_t seed;
	enum sim_plant plant;
	bool trace, failed;
	char failure[400];
	struct rng_seeded rng, noise; /* decisions; details */
	int64_t now;
	struct sim_event *heap;
	size_t n_heap, cap_heap;
	uint64_t order, n_events;
	struct m_db db;
	struct m_db *undo;
	struct m_usage *usage;
	size_t cap_usage;
	struct sim_req *reqs;
	unsigned n_reqs, cap_reqs;
	struct sim_pot pots[SIM_POTS];
	unsigned n_pots;
	struct sim_agent *agents[SIM_AGENTS];
	unsigned n_agents;
	struct registry *replicas[SIM_REPLICAS];
	int64_t cp_skew[SIM_REPLICAS];
	unsigned home; /* the replica that agents talk to */
	bool cp_down;
	int64_t fence_ms; /* of leases */
	int64_t agents_most;
	struct sim_net net;
	struct sim_algebra algebra;
	bool quiet; /* the tail: no faults, no load */
	bool dueling, duel_small;
	/* calm.c: what each request takes; who asks for more than is free */
	int64_t calm_amount, calm_wants;
	bool calm_ask, calm_served;
	unsigned duel_key; /* SIM_KEYS: any */
	int64_t stir;	   /* a request was admitted, settled or refused */
	int64_t storm_end, end;
	unsigned paths[SIM_KEYS]; /* budgets of each key, bits */
	int64_t think;		  /* mean ns between requests of an agent */
	int64_t worst;		  /* largest worst case of a request */
	unsigned faults;	  /* bits of what may happen */
	unsigned depth;		  /* of nested control plane work */
	/* database faults of the message that is being handled */
	long fail_after;
	bool commit_lies, db_lost;
	struct sim_agent *acting; /* for the kick */
	int64_t free_before;
	int64_t seen_free[SIM_BUDGETS]; /* PLANT_BLIND_GRANT */
	/* for the record */
	uint64_t n_admitted, n_refused, n_busy, n_kills, n_power, n_msgs,
	    n_lost, n_dups, n_probes, n_released, n_overspent, n_lowered,
	    n_hopeless, n_hints;
};

/* world.c */
void sim_init(struct sim *s, uint64_t seed, enum sim_plant plant, bool trace);
/* Runs to the end or to the first failure. True = no violation. */
bool sim_run(struct sim *s);
void sim_release(struct sim *s);
void sim_fail(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sim_trace(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct sim_event *sim_at(struct sim *s, int64_t delay_ns,
    enum sim_event_kind kind, unsigned agent, uint64_t u);
uint64_t sim_below(struct sim *s, uint64_t n);
bool sim_chance(struct sim *s, unsigned per_mille);

/* agent.c, request.c */
struct sim_agent *sim_agent_new(struct sim *s);
void sim_agent_free(struct sim_agent *a);
void sim_agent_start(struct sim_agent *a);
/* The process ends at once. */
void sim_agent_die(struct sim_agent *a);
void sim_agent_config(struct sim_agent *a);
void sim_agent_arrive(struct sim_agent *a, unsigned n, bool probe);
void sim_agent_done(struct sim_agent *a, unsigned flight);
void sim_agent_give_up(struct sim_agent *a, unsigned flight);
void sim_agent_retry(struct sim_agent *a);
void sim_agent_turn(struct sim_agent *a); /* end of a loop turn */
void sim_agent_sync(struct sim_agent *a);
void sim_agent_wake_sync(struct sim_agent *a, int64_t delay_ns);
bool sim_agent_busy(const struct sim_agent *a);

/* request.c */
unsigned sim_pot(struct sim *s, uint64_t uid, int64_t start);
void sim_req_ends(struct sim *s, struct sim_req *r);

/* lower.c */
/* The answer may prove a lower worst case within the next `took` ns. */
void sim_lower_plan(struct sim_agent *a, struct sim_flight *f, int64_t took);
void sim_agent_lower(struct sim_agent *a, unsigned flight);
/* Let go of what became durable. */
void sim_agent_lowered(struct sim_agent *a);

/* line.c: what the agent's control and shipper threads do */
void sim_line_again(struct sim_agent *a, int64_t delay_ns);
void sim_line_wake_ship(struct sim_agent *a, int64_t delay_ns);
void sim_line_beat(struct sim_agent *a);
void sim_line_reply(struct sim_agent *a, struct sim_msg *m);
void sim_line_timeout(struct sim_agent *a, uint64_t call);
void sim_line_ship(struct sim_agent *a);
int sim_line_send_usage(
    void *agent, const Hg__UsageBatch *b, Hg__UsageAck *ack);
void sim_line_kick(void *sim);
void sim_msg_free(struct sim_msg *m);

/* control.c: a control plane handles a message; *reply gets the answer */
void sim_control(struct sim *s, const struct sim_msg *m, struct sim_msg *reply);
/* Another message is handled now, before a transaction begins. */
void sim_control_meanwhile(struct sim *s);
int64_t sim_control_now(const struct sim *s, unsigned replica);

/* algebra.c: a message was handled without error. */
void sim_algebra(struct sim *s, const struct sim_msg *m);
void sim_algebra_release(struct sim *s);

/* db.c */
void sim_db_copy(struct m_db *to, const struct m_db *from);
void sim_db_init(struct sim *s);
struct db *sim_db(struct sim *s);
struct store *sim_store(struct sim *s);
struct m_period *sim_db_period(struct sim *s, uint64_t uid, int64_t start);
struct m_lease *sim_db_lease(
    struct sim *s, uint64_t uid, int64_t start, unsigned agent, uint64_t boot);
struct m_budget *sim_db_budget(struct sim *s, uint64_t uid);
bool sim_db_hello(struct sim *s, unsigned agent, uint64_t boot,
    uint64_t instance, unsigned n_shards, int64_t now, int *code);
void sim_db_timer_frees(struct sim *s);
void sim_db_doubt_timer(struct sim *s, int64_t grace);

/* window.c: budgets of rolling windows, in one seed of eight */
#define SIM_BUCKETS 24 /* in a window */
void sim_window_world(struct sim *s);
void sim_budget_now(
    const struct sim *s, const struct m_budget *b, int64_t at, struct m_now *n);
/* Bucket `now` is the current one: the others before it grant no more. */
void sim_window_turn(struct sim *s, const struct m_budget *b, int64_t at);
void sim_window_granted(struct sim *s, const struct m_period *p);
void sim_window_check(struct sim *s);

/* duel.c: rounds at the end of the tail; steps count from 1 */
#define SIM_DUELS     2
#define SIM_DUEL_STEP 1000
#define SIM_DUEL_WAIT (8 * NS_PER_S)
void sim_duel(struct sim *s, uint64_t step);
void sim_duel_look(struct sim *s);
void sim_duel_refused(
    struct sim *s, struct sim_agent *a, struct sim_flight *f, const char *why);

/* calm.c: the last steps of some seeds; counted from 1 */
/* How long it takes; 0: this seed has none. */
int64_t sim_calm_ns(const struct sim *s);
/* Recalls are not heard while somebody asks; agents report by themselves. */
bool sim_calm_deaf(const struct sim *s);
void sim_calm(struct sim *s, uint64_t step);
/* What live agents and nobody have of the budget. */
int64_t sim_duel_avail(struct sim *s, uint64_t uid);

/* check.c */
void sim_check(struct sim *s, enum sim_event_kind kind);
void sim_check_end(struct sim *s);
/* The rights are back where they belong: from here on agents have little to
 * tell. */
#define SIM_SETTLED_NS (12 * NS_PER_S)
#define SIM_TAIL_NS    (32 * NS_PER_S) /* after the storm */
int64_t sim_free_sum(const struct sim *s);

#endif
