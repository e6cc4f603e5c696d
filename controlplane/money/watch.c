/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See watch.h.
 */
#include "controlplane/money/watch.h"

#include <string.h>

#include "controlplane/store/store_budget.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_value.h"

int
watch_budgets(struct store *s, int64_t now, int64_t value_idle_ns,
    struct watch_result *ret, struct error *e)
{
	struct budget_closing closing = {0};
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = store_doubt_timer(s, now, WATCH_DOUBT_GRACE_NS, &ret->released, e);
	if (rc == 0)
		rc = store_budget_close(s, now, &closing, e);
	ret->closed = closing.closed;
	ret->carried = closing.carried;
	if (rc == 0)
		rc = store_budget_raise(s, now, &ret->events, e);
	if (rc == 0 && value_idle_ns > 0)
		rc =
		    store_value_retire(s, now, value_idle_ns, &ret->retired, e);
	return rc;
}
