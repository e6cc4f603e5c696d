/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage in the control plane: exactly-once ingest with ledger and rollups in
 * one transaction, corrections by evidence, queries, reports, and the check
 * that all three tell the same money.
 *
 * Identity of a record: (agent, boot epoch, shard, seq). The watermark row of
 * (agent, boot epoch, shard) is locked first, so batches of one shard are
 * serial; shards and agents run in parallel.
 */
#ifndef CONTROLPLANE_STORE_STORE_USAGE_H
#define CONTROLPLANE_STORE_STORE_USAGE_H

#include "common/money.h"
#include "controlplane/store/store.h"
#include "proto/headgate.pb-c.h"

/* ---- ingest ---- */

#define USAGE_REJECTS 8

struct usage_result {
	uint64_t watermark; /* every seq <= this is committed */
	uint64_t accepted;  /* new records booked */
	uint64_t repeated;  /* already booked before, skipped */
	uint64_t quarantined;
	struct {
		const char *reason; /* static */
		uint64_t n, first_seq;
	} rejects[USAGE_REJECTS]; /* by reason, NULL behind the last one */
	int64_t cost;		  /* sum of the accepted, nano-USD */
	bool gap; /* the batch starts above watermark + 1: nothing done */
};
/* agent_id: UUID text. boot_epoch, shard come from the batch. Own transaction
 * with retries. 0 also for repeated and gapped batches: ack r->watermark.
 * ERR_AGAIN, ERR_UNAVAILABLE, ERR_TIMEOUT: nothing known, agent retries. */
int store_usage_ingest(struct store *s, struct str agent_id,
    const Hg__UsageBatch *b, int64_t wall_now, struct usage_result *r,
    struct error *e) MUST_CHECK;

/* What the budget engine must book, in the same transaction; implemented in
 * store_lease.c:
 *   int store_lease_charge(struct db *db, struct str agent_id,
 *       const struct lease_charge *c, size_t n, struct error *e);
 * Sorted by (budget_uid, period_start, boot_epoch, booked_at), each key once.
 */
struct lease_charge {
	uint64_t budget_uid;
	int64_t period_start; /* ns */
	uint64_t boot_epoch;  /* of the lease; 0 = no lease (correction): only
				 budget_period.settled and free move */
	int64_t cost;	      /* nano-USD; negative only in corrections */
	int64_t last_at;      /* started_at of the youngest record, ns */
	int64_t held;	      /* behind estimates, see proto/held.h */
	int64_t booked_at;    /* of a correction: when the estimate was booked;
				 ns, else 0 */
};

struct usage_watermark {
	struct str agent_id;
	uint64_t boot_epoch;
	uint32_t shard;
	uint64_t seq;
	bool closed; /* the shard said "last" */
	int64_t updated_at;
};
typedef int usage_watermark_fn(void *ctx, const struct usage_watermark *w);
/* agent_id empty = all agents. */
int store_usage_watermarks(struct db *db, struct str agent_id,
    usage_watermark_fn *fn, void *ctx, struct error *e) MUST_CHECK;

/* ---- rows ---- */

enum usage_kind { USAGE_RECORD = 0, USAGE_CORRECTION = 1 };

struct usage_row {
	int64_t id;
	enum usage_kind kind;
	struct str agent_id;
	uint64_t boot_epoch, seq;
	uint32_t shard, attempt;
	char request_id[37]; /* UUID text */
	int64_t started_at, duration_us, first_byte_us;
	struct str tenant, team, project, key, route, deployment, provider,
	    model; /* names; "#UID" when unknown */
	uint64_t config_version, price_version;
	struct tokens tokens;
	int64_t cost;
	int source; /* Hg__UsageSource */
	int http_status;
	bool streamed;
	struct str finish_reason, upstream_request_id, error_code;
	struct str tags; /* JSON object */
	struct str tier; /* price tier that the answer named, "" = standard */
};
typedef int usage_row_fn(void *ctx, const struct usage_row *u);

struct usage_filter {
	int64_t from, to; /* started_at, ns; to exclusive; 0 = open */
	struct str tenant, project, key, request_id; /* names; empty = any */
	struct str user, tag, tag_value;	     /* empty = any */
	struct str cursor; /* as the last call gave it; empty = start */
	int limit;
};
/* Newest first. next_cursor[64] gets "" at the end. */
int store_usage_list(struct db *db, const struct usage_filter *f,
    usage_row_fn *fn, void *ctx, char *next_cursor, struct error *e) MUST_CHECK;

/* ---- quarantine ---- */

struct usage_rejected {
	struct str agent_id;
	uint64_t boot_epoch, seq;
	uint32_t shard;
	int64_t at; /* when it came, ns */
	struct str reason;
	int64_t charged; /* budgets were charged with this all the same */
	int64_t held;	 /* and this much is held back, see proto/held.h */
	/* What the record says of itself; empty, 0 where it cannot be read. */
	char request_id[37];
	uint32_t attempt;
	int64_t started_at, claimed; /* ns, nano-USD */
};
typedef int usage_rejected_fn(void *ctx, const struct usage_rejected *q);
/* Ordered by agent, epoch, shard, seq. agent_id empty = all agents; cursor as
 * the last call gave it in next, which gets "" at the end. */
int store_usage_quarantine(struct db *db, struct str agent_id,
    struct str cursor, int limit, usage_rejected_fn *fn, void *ctx,
    char next[96], struct error *e) MUST_CHECK;

/* ---- corrections ---- */

struct usage_evidence {
	char request_id[37];
	uint32_t attempt;
	bool absent;   /* the provider never billed it */
	bool has_tier; /* else the record's holds */
	char tier[24]; /* as billed; "" = standard */
	struct tokens tokens;
};
struct correction_result {
	uint64_t corrected; /* a correction row was written */
	uint64_t unchanged; /* evidence agrees, or was applied before */
	uint64_t not_found; /* no such (request_id, attempt) */
	uint64_t refused;   /* the row's source is final */
	int64_t delta_cost; /* nano-USD, sum of the corrections */
};
/* One transaction of the caller (db_begin). */
int store_usage_correct(struct db *db, const struct usage_evidence *ev,
    size_t n, struct str actor, struct correction_result *r,
    struct error *e) MUST_CHECK;

/* ---- report ---- */

enum report_group {
	REPORT_TENANT = 1,
	REPORT_TEAM = 2,
	REPORT_PROJECT = 4,
	REPORT_KEY = 8,
	REPORT_MODEL = 16,
	REPORT_ROUTE = 32,
	REPORT_DEPLOYMENT = 64,
	REPORT_DAY = 128
};
#define REPORT_N_GROUPS 8
/* One bit -> "tenant" ...; and a list "tenant,model" -> bits. */
const char *report_group_name(unsigned bit);
int report_group_parse(
    struct str list, unsigned *bits, struct error *e) MUST_CHECK;

struct report_query {
	int64_t from, to;  /* ns UTC; from inclusive, to exclusive */
	unsigned group_by; /* bits of enum report_group */
	struct str tenant; /* name; empty = all */
};
struct report_row {
	struct str names[REPORT_N_GROUPS]; /* by bit number; empty unless
					      grouped by; day = YYYY-MM-DD */
	int64_t requests;
	struct tokens tokens;
	int64_t cost;
};
typedef int report_row_fn(void *ctx, const struct report_row *r);
/* Whole days come from usage_daily, whole hours at the edges from
 * usage_hourly, the rest from usage. Ordered by the names. */
int store_usage_report(struct db *db, const struct report_query *q,
    report_row_fn *fn, void *ctx, struct error *e) MUST_CHECK;

/* ---- health
 * ---------------------------------------------------------------------------
 */

struct usage_check {
	int64_t usage_rows, ledger_rows, quarantined;
	int64_t usage_cost, ledger_debit, ledger_credit, hourly_cost,
	    daily_cost;
	int64_t tenants_wrong; /* tenants where the four sums differ */
	int64_t duplicates;    /* (request_id, attempt) booked more than once */
};
/* Full scan in one snapshot: audit, tests. 0 also when something is wrong. */
int store_usage_check(
    struct db *db, struct usage_check *c, struct error *e) MUST_CHECK;
/* Make partitions for the days around now (also done by ingest on demand). */
int store_usage_maintain(
    struct store *s, int64_t wall_now, struct error *e) MUST_CHECK;

#endif
