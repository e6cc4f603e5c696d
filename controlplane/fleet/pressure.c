/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much usage is booked at once, what an agent is told when that is too
 * much, and the alarm about records that cannot be right.
 *
 * The queue is bounded: some of the channel's workers may book usage, the
 * others stay free for heartbeats and leases. Who finds no place waits in its
 * journal, the longer the longer nobody got through.
 */
#include <sodium.h>

#include "common/log.h"
#include "controlplane/fleet/fleet_internal.h"
#include "controlplane/metrics.h"
#include "controlplane/store/store_usage.h"

#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 5000

uint32_t
ingest_retry_ms(struct fleet *f)
{
	int64_t since = atomic_load(&f->ingests_full_since);
	int64_t wait = atomic_load(&f->ingest_took);
	int64_t now = clock_mono(f->clock);

	if (since != 0 && now - since > wait)
		wait = now - since;
	wait /= NS_PER_MS;
	if (wait < RETRY_MIN_MS)
		wait = RETRY_MIN_MS;
	return (uint32_t)(wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
}

bool
ingest_enter(struct fleet *f, uint32_t *retry_ms)
{
	long long none = 0;

	if (atomic_fetch_add(&f->n_ingests, 1) < f->max_ingests)
		return true;
	atomic_fetch_sub(&f->n_ingests, 1);
	atomic_fetch_add(&f->usage_slowed, 1);
	(void)atomic_compare_exchange_strong(
	    &f->ingests_full_since, &none, clock_mono(f->clock));
	*retry_ms = ingest_retry_ms(f);
	return false;
}

void
ingest_leave(struct fleet *f, int64_t began)
{
	atomic_store(&f->ingest_took, clock_mono(f->clock) - began);
	atomic_store(&f->ingests_full_since, 0);
	atomic_fetch_sub(&f->n_ingests, 1);
}

/* True the first time. Two that share a place are told again. */
static bool
alert_once(struct fleet *f, struct str agent, const char *reason)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES] = {1};
	unsigned long long h[2];
	struct str r = str_of(reason);

	(void)crypto_shorthash((unsigned char *)&h[0],
	    (const unsigned char *)agent.p, agent.len, key);
	(void)crypto_shorthash(
	    (unsigned char *)&h[1], (const unsigned char *)r.p, r.len, key);
	h[0] ^= h[1] * 31;
	return atomic_exchange(&f->alerts[h[0] % FLEET_ALERTS], h[0]) != h[0];
}

void
ingest_rejects(struct fleet *f, struct str agent, const Hg__UsageBatch *b,
    const struct usage_result *r)
{
	for (int i = 0; i < USAGE_REJECTS && r->rejects[i].reason; i++) {
		struct str labels[2] = {agent, str_of(r->rejects[i].reason)};

		if (f->o.metrics != NULL)
			metric_add(metric_series(f->o.metrics,
				       CM_USAGE_REJECTED, labels, 2),
			    (int64_t)r->rejects[i].n);
		if (alert_once(f, agent, r->rejects[i].reason))
			log_error("usage records quarantined",
			    LFS("agent", agent),
			    LF("reason", r->rejects[i].reason),
			    LFI("epoch", b->boot_epoch), LFI("shard", b->shard),
			    LFI("first_seq", r->rejects[i].first_seq),
			    LFI("records", r->rejects[i].n));
	}
}
