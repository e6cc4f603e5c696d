/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine of the control thread and its thread, see ctl.h. Each
 * state is a function: do at most one exchange, say what comes next.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <sodium.h>

#include "agent/ctl/ctl_priv.h"
#include "common/log.h"

#define ARENA_MAX	((size_t)64 << 20)
#define HEARTBEAT_NS	NS_PER_S
#define URGENT_GAP_NS	(2 * NS_PER_MS)	 /* after a fresh kick */
#define URGENT_EVERY_NS (50 * NS_PER_MS) /* while somebody waits */
#define BACKOFF_MIN_MS	100
#define BACKOFF_MAX_MS	5000
#define FENCED_RETRY_MS 5000
#define SETTLE_NS	(2 * NS_PER_S) /* for the first contact */
#define PULL_FAILURES	3
#define PUSH_GRACE_NS	(100 * NS_PER_MS) /* for a push to come in */

static const char *const ctl_names[CTL_N_STATES] = {
#define X(e, name) [e] = name,
    CTL_STATES(X)
#undef X
};

const char *
ctl_state_name(enum ctl_state s)
{
	return s < CTL_N_STATES ? ctl_names[s] : "?";
}

static int64_t
ctl_now(const struct ctl *c)
{
	return clock_mono(c->opt.agent->clock);
}

/* ---- contact
 * ---------------------------------------------------------------------- */

static bool
ctl_is_fence(int rc)
{
	return rc == ERR_VERSION || rc == ERR_FORBIDDEN ||
	       rc == ERR_UNAUTHENTICATED || rc == ERR_EXISTS;
}

static void
ctl_contact(struct ctl *c)
{
	struct agent *a = c->opt.agent;

	c->backoff_ms = 0;
	c->last_contact = ctl_now(c);
	pthread_mutex_lock(&c->lock);
	c->view.connected = c->view.settled = true;
	c->view.last_contact = c->last_contact;
	c->view.latest_version = c->latest_version;
	c->view.last_error[0] = '\0';
	if (c->view.stale) {
		c->view.stale = false;
		atomic_store(&a->ready, 1);
	}
	pthread_mutex_unlock(&c->lock);
}

static void
ctl_backoff(struct ctl *c, int floor_ms)
{
	int ms = c->backoff_ms * 2;

	if (ms < BACKOFF_MIN_MS)
		ms = BACKOFF_MIN_MS;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	c->backoff_ms = ms;
	if (ms < floor_ms)
		ms = floor_ms;
	ms = ms / 2 + (int)rng_below(c->opt.agent->rng, (uint64_t)ms);
	c->retry_at = ctl_now(c) + (int64_t)ms * NS_PER_MS;
}

/* An exchange failed: where to go on. */
static enum ctl_state
ctl_lost(struct ctl *c, int rc, const struct error *e)
{
	bool fence = ctl_is_fence(rc), news;

	pthread_mutex_lock(&c->lock);
	news = c->view.connected || c->view.last_error[0] == '\0' ||
	       fence != c->view.fenced;
	c->view.connected = false;
	c->view.fenced = fence;
	c->view.settled = c->view.settled || fence;
	snprintf(c->view.last_error, sizeof(c->view.last_error), "%s", e->text);
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->ship_open, false);
	if (news)
		log_event(fence ? LOG_ERROR : LOG_WARN,
		    fence ? "the control plane refuses this agent"
			  : "no contact with the control plane",
		    LF("code", err_name(rc)), LF("error", e->text));
	lease_table_asked(c->opt.leases, ctl_now(c));
	if (fence)
		lease_table_fence(c->opt.leases);
	if (rc == ERR_EXISTS && c->opt.restart != NULL && !c->restarting) {
		c->restarting = true;
		c->opt.restart(c->opt.restart_ctx);
	}
	ctl_backoff(c, fence ? FENCED_RETRY_MS : 0);
	return fence ? CTL_FENCED : CTL_HELLO;
}

/* Too long without contact: what was revoked meanwhile is not known. */
static void
ctl_check_stale(struct ctl *c, int64_t now)
{
	int64_t limit = c->opt.stale_after_ms * NS_PER_MS;

	if (limit <= 0 || now - c->last_contact < limit || c->view.stale)
		return;
	pthread_mutex_lock(&c->lock);
	c->view.stale = true;
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->opt.agent->ready, 0);
	log_error("configuration is stale: requests are refused",
	    LFI("seconds", limit / NS_PER_S));
}

/* ---- states
 * ------------------------------------------------------------------------ */

static enum ctl_state
ctl_do_hello(struct ctl *c)
{
	struct error e;
	int rc;

	if (ctl_now(c) < c->retry_at)
		return c->state;
	rc = ctl_hello(c, &e);
	if (rc != 0)
		return ctl_lost(c, rc, &e);
	ctl_contact(c);
	pthread_mutex_lock(&c->lock);
	c->view.fenced = false;
	pthread_mutex_unlock(&c->lock);
	log_info("in contact with the control plane",
	    LFI("epoch", c->opt.boot_epoch),
	    LFI("latest_version", c->latest_version));
	c->hello_done = true;
	c->next_heartbeat = 0;
	atomic_store(&c->ship_open, true);
	if (atomic_load(&c->shipper) != NULL)
		shipper_kick(atomic_load(&c->shipper));
	if (!c->subscribed && c->opt.subscribe != NULL) {
		rc = c->opt.subscribe(c->opt.subscribe_ctx, &e);
		if (rc != 0)
			log_warn("cannot subscribe to pushed changes",
			    LF("error", e.text));
		c->subscribed = rc == 0;
	}
	return atomic_load(&c->draining) ? CTL_DRAIN : CTL_RUN;
}

static bool
ctl_wants_pull(struct ctl *c)
{
	struct config_view v;

	config_view(c->opt.config, &v);
	if (atomic_exchange(&c->pull_wanted, false))
		return true;
	if ((c->latest_version <= v.version && v.version != 0) ||
	    c->latest_version <= v.rejected) {
		c->behind_at = 0;
		return false;
	}
	/* A heartbeat can tell of it an instant before it is pushed. */
	if (c->behind_at == 0)
		c->behind_at = ctl_now(c);
	return !c->hears_pushes || v.version == 0 ||
	       ctl_now(c) - c->behind_at >= PUSH_GRACE_NS;
}

/* Does somebody wait for rights, or have any to give back? */
static bool
ctl_is_urgent(struct ctl *c)
{
	return lease_table_urgent(c->opt.leases) ||
	       (c->opt.rates != NULL && c->lends_rates &&
		   rate_table_urgent(c->opt.rates));
}

/* Draining: is everything back? */
static bool
ctl_is_empty(struct ctl *c)
{
	return lease_table_done(c->opt.leases) &&
	       (c->opt.rates == NULL || !c->lends_rates ||
		   rate_table_done(c->opt.rates));
}

/* The heartbeat that is due, if one is. 1: sent. */
static int
ctl_beat(struct ctl *c, struct error *e)
{
	int64_t now = ctl_now(c), since = now - c->last_urgent;
	bool acks = atomic_exchange(&c->acks_wanted, false);
	bool full = acks || now >= c->next_heartbeat;
	bool fresh;
	int rc;

	ctl_recall_obey(c, now);
	fresh = atomic_load(&c->kicked) && since >= URGENT_GAP_NS;
	if (fresh || full) /* before looking what the kick was for */
		atomic_store(&c->kicked, false);
	if (!full && !((fresh || since >= URGENT_EVERY_NS) && ctl_is_urgent(c)))
		return 0;
	c->last_urgent = now;
	rc = ctl_heartbeat(c, !full, e);
	if (rc != 0)
		return rc;
	if (full)
		c->next_heartbeat = now + c->heartbeat_ns -
				    (int64_t)rng_below(c->opt.agent->rng,
					(uint64_t)c->heartbeat_ns / 10 + 1);
	ctl_contact(c);
	return 1;
}

static enum ctl_state
ctl_do_run(struct ctl *c)
{
	struct error e;
	int rc = ctl_beat(c, &e);

	if (rc < 0)
		return ctl_lost(c, rc, &e);
	if (atomic_load(&c->draining))
		return CTL_DRAIN;
	return ctl_wants_pull(c) ? CTL_PULL : CTL_RUN;
}

static enum ctl_state
ctl_do_pull(struct ctl *c)
{
	struct error e;
	bool done;
	int rc = ctl_beat(c, &e);

	if (rc < 0)
		return ctl_lost(c, rc, &e);
	rc = ctl_pull_part(c, &done, &e);
	if (rc == ERR_END) {
		c->pull.full = false;
		return CTL_RUN;
	}
	if (done) {
		atomic_store(&c->acks_wanted, true);
		c->hears_pushes = false; /* it was not pushed, or in vain */
	}
	if (rc == 0) {
		c->pull.failures = 0;
		return done && !c->pull.full ? CTL_RUN : CTL_PULL;
	}
	if (done || rc == ERR_CORRUPT) {
		/* The line is fine, the bundle is not. Once more as a
		 * snapshot, then at the pace of the backoff. */
		if (rc != ERR_INVALID)
			log_error("cannot use the configuration",
			    LF("code", err_name(rc)), LF("error", e.text));
		c->pull.full = rc != ERR_INVALID && rc != ERR_CONFLICT &&
			       ++c->pull.failures < PULL_FAILURES;
		if (c->pull.full)
			return CTL_PULL;
		c->pull.failures = 0;
		c->latest_version = 0; /* until the next heartbeat says so */
		return CTL_RUN;
	}
	return ctl_lost(c, rc, &e);
}

static enum ctl_state
ctl_do_drain(struct ctl *c)
{
	struct error e;
	int rc;

	if (ctl_now(c) < c->retry_at)
		return CTL_DRAIN;
	lease_table_drain(c->opt.leases);
	if (ctl_is_empty(c))
		return CTL_DRAIN; /* the shipper goes on until we are stopped */
	rc = ctl_heartbeat(c, false, &e);
	if (rc != 0)
		return ctl_lost(c, rc, &e);
	ctl_contact(c);
	return CTL_DRAIN;
}

static enum ctl_state
ctl_do_nothing(struct ctl *c)
{
	(void)c;
	return CTL_STOPPED;
}

static enum ctl_state (*const ctl_do[CTL_N_STATES])(struct ctl *c) = {
    [CTL_HELLO] = ctl_do_hello,
    [CTL_RUN] = ctl_do_run,
    [CTL_PULL] = ctl_do_pull,
    [CTL_FENCED] = ctl_do_hello,
    [CTL_DRAIN] = ctl_do_drain,
    [CTL_STOPPED] = ctl_do_nothing,
};

static int
ms_until(int64_t at, int64_t now)
{
	int64_t ms;

	if (at <= now)
		return 0;
	ms = (at - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 1000 ? 1000 : (int)ms;
}

/* How long until there is something to do. */
static int
ctl_wait_ms(struct ctl *c)
{
	int64_t now = ctl_now(c), at = c->next_heartbeat;
	int64_t hint = atomic_load(&c->hint_at);

	if (ctl_has_pushes(c))
		return 0;
	switch (c->state) {
	case CTL_PULL:
		return 0;
	case CTL_HELLO:
	case CTL_FENCED:
		/* Fences of leases fall meanwhile, nobody need act. */
		return ms_until(c->retry_at, now);
	case CTL_DRAIN:
		return 20;
	case CTL_STOPPED:
		return 1000;
	case CTL_RUN:
	case CTL_N_STATES:
		break;
	}
	if (atomic_load(&c->acks_wanted) || atomic_load(&c->pull_wanted))
		return 0;
	if (atomic_load(&c->kicked)) {
		if (c->last_urgent + URGENT_GAP_NS < at)
			at = c->last_urgent + URGENT_GAP_NS;
	} else if (c->last_urgent + URGENT_EVERY_NS < at && ctl_is_urgent(c)) {
		at = c->last_urgent + URGENT_EVERY_NS;
	}
	if (hint != 0 && hint < at)
		at = hint;
	if (c->behind_at != 0 && c->behind_at + PUSH_GRACE_NS < at)
		at = c->behind_at + PUSH_GRACE_NS;
	return ms_until(at, now);
}

int
ctl_step(struct ctl *c)
{
	enum ctl_state next;

	ctl_apply_pushes(c);
	next = ctl_do[c->state](c);
	if (atomic_load(&c->stop))
		next = CTL_STOPPED;
	c->state = next;
	ctl_check_stale(c, ctl_now(c));
	pthread_mutex_lock(&c->lock);
	c->view.state = next;
	if (ctl_now(c) - c->started_at > SETTLE_NS)
		c->view.settled = true;
	pthread_mutex_unlock(&c->lock);
	return ctl_wait_ms(c);
}

/* ---- thread
 * ------------------------------------------------------------------------ */

/* Wait for a kick or the time; a line that comes back ends a backoff. */
static void
ctl_wait(struct ctl *c, int ms)
{
	struct pollfd p = {c->wake_fd, POLLIN, 0};
	const struct line_transport *t = &c->opt.line->transport;
	bool lost = c->state == CTL_HELLO;
	uint64_t v;

	while (ms > 0 && !atomic_load(&c->stop)) {
		int part = lost && ms > 20 ? 20 : ms;
		bool before = lost && t->connected(t->ctx);

		if (poll(&p, 1, part) > 0) {
			if (read(c->wake_fd, &v, sizeof(v)) < 0)
				return;
			if (!lost)
				return;
		}
		if (ctl_has_pushes(c))
			return;
		if (lost && !before && t->connected(t->ctx)) {
			c->retry_at = 0;
			return;
		}
		ms -= part;
	}
}

static void *
ctl_thread(void *arg)
{
	struct ctl *c = arg;

	pthread_setname_np(pthread_self(), "hg-ctl");
	while (!atomic_load(&c->stop)) {
		int ms = ctl_step(c);

		if (ms > 0)
			ctl_wait(c, ms);
	}
	return NULL;
}

int
ctl_start(struct ctl *c, struct error *e)
{
	if (pthread_create(&c->thread, NULL, ctl_thread, c) != 0)
		return err_set(e, ERR_NOMEM, "cannot start the control thread");
	c->started = true;
	return 0;
}

static void
ctl_wake(struct ctl *c)
{
	const uint64_t one = 1;

	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

void
ctl_kick(void *ctl)
{
	struct ctl *c = ctl;

	if (!atomic_exchange(&c->kicked, true))
		ctl_wake(c);
}

int
ctl_new(const struct ctl_options *opt, struct ctl **ret, struct error *e)
{
	struct ctl *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->opt = *opt;
	pthread_mutex_init(&c->lock, NULL);
	arena_init(&c->arena, (size_t)64 << 10, ARENA_MAX);
	buf_init(&c->pull.data, BUNDLE_MAX);
	c->heartbeat_ns = HEARTBEAT_NS;
	c->last_contact = c->started_at = ctl_now(c);
	c->view.boot_epoch = opt->boot_epoch;
	c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (c->wake_fd < 0) {
		c->wake_fd = 0;
		ctl_free(c);
		return err_set(e, ERR_NOMEM, "out of descriptors");
	}
	*ret = c;
	return 0;
}

void
ctl_free(struct ctl *c)
{
	if (c == NULL)
		return;
	atomic_store(&c->stop, true);
	if (c->started) {
		ctl_wake(c);
		pthread_join(c->thread, NULL);
	}
	if (c->wake_fd > 0)
		close(c->wake_fd);
	ctl_drop_pushes(c);
	arena_release(&c->arena);
	buf_release(&c->pull.data);
	pthread_mutex_destroy(&c->lock);
	sodium_memzero(c->group_key, sizeof(c->group_key));
	free(c);
}

void
ctl_set_shipper(struct ctl *c, struct shipper *s)
{
	atomic_store(&c->shipper, s);
}

bool
ctl_drain(struct ctl *c, int64_t timeout_ms)
{
	int64_t end = ctl_now(c) + timeout_ms * NS_PER_MS;
	struct shipper *s = atomic_load(&c->shipper);

	atomic_store(&c->draining, true);
	lease_table_drain(c->opt.leases);
	if (c->opt.rates != NULL)
		rate_table_drain(c->opt.rates);
	ctl_kick(c);
	for (;;) {
		bool done = ctl_is_empty(c) && (s == NULL || shipper_done(s));

		if (done || ctl_now(c) >= end)
			return done;
		(void)poll(NULL, 0, 10);
	}
}

void
ctl_view(struct ctl *c, struct ctl_view *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->view;
	pthread_mutex_unlock(&c->lock);
}
