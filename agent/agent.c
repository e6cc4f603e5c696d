/* SPDX-License-Identifier: Apache-2.0 */
/* Handing things to the workers, see agent.h. */
#include "agent/agent.h"

#include <unistd.h>

void
agent_wake(void *ctx, unsigned worker)
{
	struct worker_link *l = &((struct agent *)ctx)->links[worker];
	const uint64_t one = 1;

	if (l->wake_fd > 0 && write(l->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
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
