/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See asker.h.
 */
#include "tests/unit/controlplane/support/asker.h"

#include "controlplane/money/exchange.h"

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

int64_t
asker_books_wrong(struct asker *a)
{
	int64_t wrong = -1;

	IS(store_lease_check(a->db, &wrong, &e), 0);
	return wrong;
}

void
asker_open(struct asker *a, const char *spec)
{
	*a = (struct asker){.id = "01890000-0000-7000-8000-000000000001"};
	lab_open_store(&a->l);
	(void)lab_put(&a->l, 1, "acme", "{}");
	(void)lab_put(&a->l, 9, "acme.b", spec);
	a->uid = lab_uid(&a->l, 9, "acme.b");
	a->boot_epoch = 1;
	arena_init(&a->arena, 4096, 1 << 20);
	IS(store_take(a->l.store, &a->db, &e), 0);
}

void
asker_close(struct asker *a)
{
	ck_assert_int_eq(asker_books_wrong(a), 0);
	store_give(a->db);
	arena_release(&a->arena);
	lab_close(&a->l);
}

Hg__LeaseGrant *
asker_ask(struct asker *a, int64_t want)
{
	struct exchange x = {.agent_id = str_of(a->id),
	    .boot_epoch = a->boot_epoch,
	    .now = a->now,
	    .cfg = &grant_default};
	Hg__LeaseReport r, *list = &r;
	Hg__LeaseGrant *g;

	hg__lease_report__init(&r);
	r.budget_uid = a->uid;
	r.period_start = a->period;
	r.granted = a->granted;
	r.settled = a->spent;
	r.returned = a->returned;
	r.want_min = r.want_total = want;
	arena_clear(&a->arena);
	IS(exchange_run(&x, a->db, &list, 1, &a->arena, &e), 0);
	ck_assert(x.n_grants >= 1);
	g = x.grants[x.n_grants - 1];
	if (g->period_start > a->period) {
		a->period = g->period_start;
		a->granted = a->returned = a->spent = 0;
	}
	if (g->period_start == a->period)
		a->granted = g->granted;
	return g;
}

void
asker_charge(struct asker *a, int64_t period, int64_t cost)
{
	struct lease_charge c = {.budget_uid = a->uid,
	    .period_start = period,
	    .boot_epoch = a->boot_epoch,
	    .cost = cost,
	    .last_at = a->now};

	IS(db_begin(a->db, &e), 0);
	IS(store_lease_charge(a->db, str_of(a->id), &c, 1, &e), 0);
	IS(db_commit(a->db, &e), 0);
}

struct budget_status
asker_status(struct asker *a)
{
	struct budget_status s;

	IS(store_budget_status(a->db, a->uid, a->now, &s, NULL, NULL, &e), 0);
	return s;
}
