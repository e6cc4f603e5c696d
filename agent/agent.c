/* SPDX-License-Identifier: Apache-2.0 */
/* Handing things to the workers, and the agent's own places; see agent.h. */
#include "agent/agent.h"

#include <unistd.h>

#include "common/err.h"

void
agent_wake(void *ctx, unsigned worker)
{
	struct worker_link *l = &((struct agent *)ctx)->links[worker];
	const uint64_t one = 1;

	if (l->wake_fd > 0 && write(l->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

int
agent_places_init(
    struct agent *a, const int64_t max[AGENT_PLACES], unsigned queue_max)
{
	int p;

	a->places_gate = queue_gate_new(queue_max, agent_wake, a);
	if (a->places_gate == NULL)
		return ERR_NOMEM;
	for (p = 0; p < AGENT_PLACES; p++) {
		struct limit_values v = {.max_conc = max[p]};

		limit_set(&a->places[p], &v);
		if (queue_attach(&a->places[p]) != 0)
			return ERR_NOMEM;
	}
	return 0;
}

void
agent_places_free(struct agent *a)
{
	for (int p = 0; p < AGENT_PLACES; p++)
		queue_detach(&a->places[p]);
	queue_gate_free(a->places_gate);
	a->places_gate = NULL;
}

const char *
agent_place_name(enum agent_place p)
{
	static const char *const names[] = {"streams", "requests"};

	return p < AGENT_PLACES ? names[p] : "?";
}

void
agent_publish(struct agent *a, struct bundle *b)
{
	for (unsigned i = 0; i < a->n_workers; i++) {
		struct bundle *old;

		bundle_ref(b);
		old = atomic_exchange_explicit(
		    &a->links[i].mailbox, b, memory_order_acq_rel);
		bundle_unref(old); /* the worker never saw it */
		agent_wake(a, i);
	}
	atomic_store(&a->ready, 1);
}

void
agent_wake_all(struct agent *a)
{
	for (unsigned i = 0; i < a->n_workers; i++)
		agent_wake(a, i);
}
