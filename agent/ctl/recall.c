/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published recalls: somebody waits for rights that agents which rest may hold
 * (proto LeaseRecall). They are obeyed by the control thread, a moment later
 * and each agent at another, since all hear of it at once. A recall that is
 * lost, forged or repeated costs at most a report: what is given back is said
 * by the answer to it.
 */
#include "agent/ctl/ctl_priv.h"

#define RECALL_SPREAD_NS (50 * NS_PER_MS)

static void
recall_add(struct ctl *c, uint64_t uid)
{
	unsigned i = 0;

	while (i < c->n_hints && c->hints[i] != uid)
		i++;
	/* Full: the oldest goes; it is told again while somebody waits. */
	if (i == CTL_HINTS)
		i = 0;
	c->hints[i] = uid;
	if (i == c->n_hints)
		c->n_hints++;
}

void
ctl_recall_heard(struct ctl *c, struct str payload)
{
	const Hg__LeaseRecall *m;
	struct arena a;
	int64_t none = 0, at;

	arena_init(&a, 1024, (size_t)64 << 10);
	m = proto_unpack(&hg__lease_recall__descriptor, payload, &a);
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; m != NULL && i < m->n_budget_uid; i++)
		recall_add(c, m->budget_uid[i]);
	pthread_mutex_unlock(&c->lock);
	arena_release(&a);
	if (m == NULL)
		return;
	at = clock_mono(c->opt.agent->clock) +
	     (int64_t)rng_below(c->opt.agent->rng, RECALL_SPREAD_NS) + 1;
	if (atomic_compare_exchange_strong(&c->hint_at, &none, at))
		ctl_kick(c); /* to look when that is */
}

void
ctl_recall_obey(struct ctl *c, int64_t now)
{
	int64_t at = atomic_load(&c->hint_at);
	bool some = false;

	if (at == 0 || now < at)
		return;
	atomic_store(&c->hint_at, 0);
	pthread_mutex_lock(&c->lock);
	while (c->n_hints > 0)
		some |= lease_table_hint(c->opt.leases, c->hints[--c->n_hints]);
	pthread_mutex_unlock(&c->lock);
	if (some)
		atomic_store(&c->kicked, true);
}
