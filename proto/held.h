/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is held back behind an estimate. A request whose cost was estimated
 * may have cost more, at most what was reserved for it; until the provider's
 * bill is known the difference stays taken from its hard budgets, or a
 * correction upwards could exceed them. Agent and control plane must agree on
 * it, so it is here.
 *
 * An answer that never began (estimated at nothing) is taken as not billed.
 */
#ifndef PROTO_HELD_H
#define PROTO_HELD_H

#include <stdint.h>

#include "proto/headgate.pb-c.h"

/* nano-USD beside cost that stay taken; source: Hg__UsageSource. */
static inline int64_t
usage_held(uint32_t source, int64_t reserved, int64_t cost)
{
	if (source != HG__USAGE_SOURCE__SOURCE_ESTIMATED &&
	    source != HG__USAGE_SOURCE__SOURCE_PROVIDER_PARTIAL)
		return 0;
	return cost > 0 && reserved > cost ? reserved - cost : 0;
}

#endif
