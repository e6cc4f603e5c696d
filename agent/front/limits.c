/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a request's key: taken before a deployment is looked for, held
 * until the request is over. Where the agent's share of a fleet's limit is not
 * known yet, the request waits for it as others wait for rights.
 */
#include "agent/front/count.h"
#include "agent/front/front.h"
#include "agent/front/places.h"
#include "agent/front/waiting.h"

static int
limits_take(struct request *r, struct limit_verdict *v)
{
	int rc = limit_take(r->key->limits, r->key->n_limits, r->limit_tokens,
	    r->f->loop.mono, v);

	r->limits_held = rc == 0;
	return rc;
}

void
limits_begin(struct request *r)
{
	if (places_enter(r))
		admit_attempt(r, false);
}

void
limits_retry(struct request *r, bool late)
{
	struct limit_cell *cell = r->short_limit;
	struct limit_verdict v;
	int rc;

	for (;;) {
		if (late)
			limit_assume(cell, r->f->loop.mono);
		rc = limits_take(r, &v);
		if (!late || rc != ERR_AGAIN || v.cell == cell)
			break;
		cell = v.cell; /* another one of the key's */
	}
	if (rc == ERR_AGAIN && !late) {
		r->short_limit = v.cell;
		return;
	}
	waiting_leave(r);
	waiting_over(r);
	request_move(r, REQ_ADMIT);
	meter_count(&r->f->meter, AM_LIMIT_WAITS,
	    rc == 0 ? "granted" : (late ? "timeout" : "refused"));
	if (rc == 0)
		limits_begin(r);
	else
		refuse_limit(r, &v);
}

bool
limits_admit(struct request *r)
{
	struct limit_verdict v;
	int rc;

	r->limit_tokens = count_for_limits(r);
	rc = limits_take(r, &v);
	if (rc == ERR_AGAIN) {
		r->short_limit = v.cell;
		admit_wait(r);
	} else if (rc != 0) {
		refuse_limit(r, &v);
	}
	return rc == 0;
}
