/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See reconcile.h.
 */
#include "controlplane/money/reconcile.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "controlplane/metrics.h"
#include "controlplane/store/money_audit.h"

#define LOOK_MS	  5000 /* how often the latest run is looked at */
#define LOG_FIRST 10   /* findings that are logged */

struct reconcile {
	struct reconcile_options o;
	pthread_t thread;
	pthread_mutex_t lock; /* of stop */
	pthread_cond_t wake;
	bool stop;
	int64_t logged; /* differences when they were logged last */
};

static bool
reconcile_stopping(void *ctx)
{
	struct reconcile *r = ctx;
	bool stop;

	pthread_mutex_lock(&r->lock);
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return stop;
}

/* False when it is time to stop. */
static bool
reconcile_pause(struct reconcile *r, int64_t ms)
{
	struct timespec until;
	bool go;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&r->lock);
	while (
	    !r->stop && pthread_cond_timedwait(&r->wake, &r->lock, &until) == 0)
		;
	go = !r->stop;
	pthread_mutex_unlock(&r->lock);
	return go;
}

struct reconcile_latest {
	struct reconcile *r;
	int64_t id, at, differences;
};

static int
reconcile_on_run(void *ctx, const struct money_audit *m)
{
	struct reconcile_latest *l = ctx;
	struct metric_set *s = l->r->o.metrics;

	l->id = m->id;
	l->at = m->at;
	l->differences = m->differences;
	if (s == NULL)
		return 0;
	metric_set_gauge(s, CM_AUDIT_DIFFERENCES, m->differences);
	metric_set_gauge(s, CM_AUDIT_LAST_RUN, m->at / NS_PER_S);
	metric_set_gauge(s, CM_BUDGET_DOUBTFUL, m->doubtful);
	metric_set_gauge(s, CM_BUDGET_HELD, m->held);
	metric_set_gauge(s, CM_USAGE_QUARANTINED, m->quarantined);
	return 0;
}

static int
reconcile_on_finding(void *ctx, const struct money_finding *f)
{
	(void)ctx;
	if (!f->notice)
		log_error("money differs", LFS("kind", f->kind),
		    LFS("measure", f->measure), LFI("expected", f->expected),
		    LFI("found", f->found), LFS("detail", f->detail));
	return 0;
}

/* Metrics, and a log record of each difference when their number changed. */
static int
reconcile_look(struct reconcile *r, struct reconcile_latest *l, struct error *e)
{
	struct db *db = NULL;
	int rc;

	*l = (struct reconcile_latest){.r = r};
	rc = store_take(r->o.store, &db, e);
	if (rc == 0)
		rc = money_audit_get(db, 0, reconcile_on_run, l, e);
	if (rc == 0 && l->differences != r->logged && l->differences > 0)
		rc = money_audit_findings(
		    db, l->id, LOG_FIRST, reconcile_on_finding, NULL, e);
	store_give(db);
	if (rc == 0 && l->differences == 0 && r->logged > 0)
		log_info("money agrees again", LFI("run", l->id));
	if (rc == 0)
		r->logged = l->differences;
	return rc;
}

/* Days that were found to agree may go. */
static int
reconcile_retention(struct reconcile *r, struct error *e)
{
	int64_t now = clock_wall(clock_system()), n = 0, limits;
	struct retention gone;
	int rc;

	rc = store_rate_retention(r->o.store, now, &limits, e);
	if (rc == 0 && r->o.audit_days > 0)
		rc = store_audit_retention(
		    r->o.store, r->o.audit_days, now, &n, e);
	if (n > 0)
		log_info(
		    "old entries of the audit log deleted", LFI("rows", n));
	if (rc != 0 || r->o.retention_days == 0)
		return rc;
	rc = store_retention(r->o.store, r->o.retention_days, now, &gone, e);
	if (gone.days > 0 || gone.leases > 0 || gone.periods > 0)
		log_info("old usage dropped", LFI("days", gone.days),
		    LFI("leases", gone.leases), LFI("periods", gone.periods));
	return rc;
}

static void
reconcile_once(struct reconcile *r)
{
	struct money_audit_request q = {.actor = STR(""),
	    .scope = MONEY_AUDIT_CHANGED,
	    .stop = reconcile_stopping,
	    .stop_ctx = r};
	struct reconcile_latest latest;
	struct error e = {0};
	int64_t id;
	int rc;

	rc = reconcile_look(r, &latest, &e);
	if (rc == 0 && clock_wall(clock_system()) - latest.at >=
			   r->o.interval_ms * NS_PER_MS) {
		rc = money_audit_run(r->o.store, &q, &id, &e);
		if (rc == 0)
			rc = reconcile_look(r, &latest, &e);
		if (rc == 0)
			rc = reconcile_retention(r, &e);
	}
	/* Another replica, it was stopped, or others were in the way. */
	if (rc == ERR_CONFLICT || rc == ERR_AGAIN || rc == ERR_TIMEOUT)
		return;
	if (rc != 0)
		log_warn("money cannot be audited, will be tried again",
		    LF("error", e.text));
}

static void *
reconcile_main(void *arg)
{
	struct reconcile *r = arg;
	int64_t pause = r->o.interval_ms;

	if (pause > LOOK_MS)
		pause = LOOK_MS;
	while (reconcile_pause(r, pause))
		reconcile_once(r);
	return NULL;
}

int
reconcile_start(
    const struct reconcile_options *o, struct reconcile **ret, struct error *e)
{
	struct reconcile *r;
	pthread_condattr_t attr;

	*ret = NULL;
	if (o->interval_ms == 0)
		return 0;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	r->o = *o;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&r->thread, NULL, reconcile_main, r) != 0) {
		pthread_cond_destroy(&r->wake);
		pthread_mutex_destroy(&r->lock);
		free(r);
		return err_set(e, ERR_LIMIT, "cannot start a thread");
	}
	*ret = r;
	return 0;
}

void
reconcile_stop(struct reconcile *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
