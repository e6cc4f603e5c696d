/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent that asks for rights on one budget straight at the exchange, at
 * instants of the test's own.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_SUPPORT_ASKER_H
#define TESTS_UNIT_CONTROLPLANE_SUPPORT_ASKER_H

#include "controlplane/store/store_lease.h"
#include "tests/unit/controlplane/support/fleetlab.h"

struct asker {
	struct lab l;
	struct db *db;
	struct arena arena;
	uint64_t uid; /* of budget acme.b */
	const char *id;
	uint64_t boot_epoch;
	int64_t now; /* set by the test */
	/* its lease of the period, as it knows it */
	int64_t period, granted, returned, spent;
};

/* A fresh store with tenant acme and budget acme.b. Aborts. */
void asker_open(struct asker *a, const char *spec);
/* The books must be right. */
void asker_close(struct asker *a);
/* Report and ask for `want`; the last grant, valid until the next call. */
Hg__LeaseGrant *asker_ask(struct asker *a, int64_t want);
/* Book usage of this agent. */
void asker_charge(struct asker *a, int64_t period, int64_t cost);
struct budget_status asker_status(struct asker *a);
/* Periods in which conservation does not hold. */
int64_t asker_books_wrong(struct asker *a);

#endif
