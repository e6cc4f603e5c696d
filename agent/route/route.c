/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Picking a deployment, and the circuit breaker that it looks at.
 */
#include "agent/route/route.h"

#include <string.h>

void
route_health_init(
    struct route_health *h, uint32_t max_failures, int64_t cooldown)
{
	memset(h, 0, sizeof(*h));
	h->max_failures = max_failures;
	h->cooldown = cooldown;
}

/* Slot of uid; when it has none: a free slot, or NULL when the probe sequence
 * is full (then the deployment simply has no circuit). */
static const struct route_circuit *
route_slot(const struct route_health *h, uint64_t uid)
{
	size_t i, at = (uid * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
	const struct route_circuit *c;

	for (i = 0; i < 16; i++) {
		c = &h->slots[(at + i) % ROUTE_CIRCUITS];
		if (c->uid == uid || c->uid == 0)
			return c;
	}
	return NULL;
}

static struct route_circuit *
route_slot_of(struct route_health *h, uint64_t uid)
{
	const struct route_circuit *c = route_slot(h, uid);

	return c != NULL ? &h->slots[c - h->slots] : NULL;
}

void
route_worked(struct route_health *h, uint64_t uid)
{
	struct route_circuit *c = route_slot_of(h, uid);

	if (c == NULL || c->uid == 0)
		return;
	c->failures = 0;
	c->open_until = 0;
	c->cooldown = 0;
}

bool
route_failed(struct route_health *h, uint64_t uid, int64_t mono_now)
{
	struct route_circuit *c = route_slot_of(h, uid);

	if (c == NULL)
		return false;
	c->uid = uid;
	if (++c->failures < h->max_failures || c->open_until > mono_now)
		return false;
	if (c->cooldown == 0)
		c->cooldown = h->cooldown;
	else if (c->cooldown < h->cooldown * 16)
		c->cooldown *= 2;
	c->open_until = mono_now + c->cooldown;
	return true;
}

bool
route_is_open(const struct route_health *h, uint64_t uid, int64_t now)
{
	const struct route_circuit *c = route_slot(h, uid);

	return c != NULL && c->uid == uid && c->open_until > now;
}

/* Targets of the best priority among those that qualify. */
static uint64_t
route_candidates(const struct b_route *r, uint64_t tried,
    const struct route_health *h, int64_t now, bool mind_health,
    route_fit_fn *fit, void *ctx)
{
	uint32_t best = UINT32_MAX;
	uint64_t set = 0;
	unsigned i;

	for (i = 0; i < r->n_targets && i < ROUTE_MAX_TARGETS; i++) {
		const struct b_target *t = &r->targets[i];

		if (((tried >> i) & 1) != 0 || t->priority > best)
			continue;
		if (mind_health && route_is_open(h, t->deployment->uid, now))
			continue;
		if (fit != NULL && !fit(ctx, t->deployment))
			continue;
		if (t->priority < best)
			set = 0;
		best = t->priority;
		set |= UINT64_C(1) << i;
	}
	return set;
}

static int
route_draw(const struct b_route *r, uint64_t set, struct rng *rng)
{
	uint64_t total = 0, at;
	unsigned i;

	if ((set & (set - 1)) == 0) /* one only */
		return __builtin_ctzll(set);
	for (i = 0; i < ROUTE_MAX_TARGETS; i++)
		if (((set >> i) & 1) != 0)
			total += r->targets[i].weight;
	at = total > 0 ? rng_below(rng, total) : 0;
	for (i = 0; i < ROUTE_MAX_TARGETS; i++) {
		if (((set >> i) & 1) == 0)
			continue;
		if (total == 0 || at < r->targets[i].weight)
			return (int)i;
		at -= r->targets[i].weight;
	}
	return __builtin_ctzll(set);
}

int
route_pick(const struct b_route *r, uint64_t tried,
    const struct route_health *h, struct rng *rng, int64_t mono_now,
    route_fit_fn *fit, void *ctx)
{
	uint64_t set = route_candidates(r, tried, h, mono_now, true, fit, ctx);

	if (set == 0)
		set = route_candidates(r, tried, h, mono_now, false, fit, ctx);
	return set != 0 ? route_draw(r, set, rng) : -1;
}
