/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconciliation of money: usage rows, ledger and sums against each other,
 * batches and watermarks, budgets and leases against usage. The checks are SQL
 * (schema/0101_money_audit_checks.sql); each run leaves a row and findings.
 */
#ifndef CONTROLPLANE_STORE_MONEY_AUDIT_H
#define CONTROLPLANE_STORE_MONEY_AUDIT_H

#include "controlplane/store/store.h"

enum money_audit_scope {
	MONEY_AUDIT_CHANGED, /* days that changed since the last run */
	MONEY_AUDIT_FULL,
	MONEY_AUDIT_RANGE /* from and to */
};

struct money_audit_request {
	struct str actor; /* who asked; empty = the periodic job */
	enum money_audit_scope scope;
	int64_t from, to;  /* ns, days of them; 0 = open */
	struct str tenant; /* name; empty = all */
	/* Asked between days; true ends the run with ERR_AGAIN. May be NULL. */
	bool (*stop)(void *ctx);
	void *stop_ctx;
};

/* What a run found. */
struct money_audit {
	int64_t id, at, duration_ms; /* id 0: there was none */
	struct str actor, scope, tenant;
	struct str first_day, last_day; /* YYYY-MM-DD, "" = open */
	int64_t days, usage_rows;
	int64_t usage_cost, ledger_cost, hourly_cost, daily_cost; /* nano-USD */
	int64_t budget_periods, leases, doubtful, held, quarantined;
	int64_t differences, notices;
};
typedef int money_audit_fn(void *ctx, const struct money_audit *m);

/* Numbers and texts that do not apply are 0 and "". */
struct money_finding {
	struct str kind, day, tenant, budget, agent_id, request_id, measure,
	    detail;
	bool notice; /* to know, not wrong */
	int64_t batch_id, boot_epoch, shard, seq, attempt, period_start;
	int64_t expected, found;
};
typedef int money_finding_fn(void *ctx, const struct money_finding *f);

/* Run in a transaction of its own on a connection of its own; *id gets the
 * run's number. ERR_CONFLICT while another one runs, on any replica;
 * ERR_NOT_FOUND for an unknown tenant. */
int money_audit_run(struct store *s, const struct money_audit_request *q,
    int64_t *id, struct error *e) MUST_CHECK;
/* A transaction of the caller may be idle for as long as a run takes. */
int money_audit_patience(struct db *db, struct error *e) MUST_CHECK;
/* The run of that number, 0 = the latest of all tenants; fn is not called
 * when there is none. */
int money_audit_get(struct db *db, int64_t id, money_audit_fn *fn, void *ctx,
    struct error *e) MUST_CHECK;
/* Its findings, differences first. limit bounds their number. */
int money_audit_findings(struct db *db, int64_t id, int limit,
    money_finding_fn *fn, void *ctx, struct error *e) MUST_CHECK;

/* ---- retention ---- */

struct retention {
	int64_t days, leases, periods; /* how many went */
};
/* Drop days of usage that lie more than `days` before wall_now and whose money
 * agrees, and the leases of periods that ended as long ago, and closed periods
 * that nothing refers to. Ledger and sums
 * stay. ERR_AGAIN when an audit runs, or others are in the way for too long:
 * what was done until then is done. */
int store_retention(struct store *s, int64_t days, int64_t wall_now,
    struct retention *ret, struct error *e) MUST_CHECK;
/* Forget what is lent of limits that were deleted: a day after the last
 * decision, when every share has ended. *n: how many limits. ERR_AGAIN as
 * above. */
int store_rate_retention(
    struct store *s, int64_t wall_now, int64_t *n, struct error *e) MUST_CHECK;
/* Delete the entries of the audit log from before `days` ago; an entry says
 * how many went (*n). ERR_AGAIN as above. */
int store_audit_retention(struct store *s, int64_t days, int64_t wall_now,
    int64_t *n, struct error *e) MUST_CHECK;

#endif
