/* SPDX-License-Identifier: Apache-2.0 */
/* See lower.h. */
#include "agent/front/lower.h"

#include "agent/front/front.h"
#include "agent/front/reserve.h"

/* Does a ceiling of the attempt run short: of money that nobody has, or of
 * rights that somebody waits for? */
static bool
lower_is_tight(const struct attempt *att)
{
	for (unsigned i = 0; i < att->rights.n; i++) {
		const struct budget_cell *c = att->rights.cells[i];

		if (atomic_load_explicit(&c->soft, memory_order_relaxed))
			continue;
		if (atomic_load_explicit(&c->want_total, memory_order_relaxed) >
			0 ||
		    atomic_load_explicit(&c->free, memory_order_relaxed) <
			atomic_load_explicit(&c->limit, memory_order_relaxed) /
			    LOWER_FREE)
			return true;
	}
	return false;
}

/* Is the bound of the input its own bytes', and is there one attempt left? */
static bool
lower_may(const struct request *r)
{
	const struct attempt *att = &r->att;

	if (!r->stream_started && !r->gone)
		return false;
	for (int c = 0; c < TC_COUNT; c++)
		if (token_class_is_unit((enum token_class)c) &&
		    r->worst.n[c] > 0)
			return false;
	return att->state == ATT_CALLED && att->rights.n > 0 && !r->declared &&
	       !r->unbound && op_is_generation(r->scan.op);
}

/* What the attempt costs at most with the input that was told. */
static bool
lower_amount(const struct request *r, struct tokens *worst, int64_t *amount)
{
	const struct ir_usage *told = &relay_usage(&r->relay)->usage;
	const struct attempt *att = &r->att;
	struct tokens input = told->tokens;
	int64_t unknown = 0;

	input.n[TC_OUTPUT] = input.n[TC_REASONING] = input.n[TC_AUDIO_OUT] =
	    input.n[TC_IMAGE_OUT] = 0;
	*worst = input;
	if (att->dep->provider->dialect != PROVIDER_ANTHROPIC) {
		/* What came from a cache may be told at the end only. */
		unknown = told->input_total;
		memset(&input, 0, sizeof(input));
	}
	worst->n[TC_OUTPUT] = r->worst.n[TC_OUTPUT];
	return reserve_told(
	    &input, unknown, r->worst.n[TC_OUTPUT], &att->price, amount);
}

/* Take it into the list of those that wait for their record. */
static void
lower_wait(struct request *r, uint64_t ticket)
{
	struct front *f = r->f;

	r->att.lower_ticket = ticket;
	r->lower_prev = NULL;
	r->lower_next = f->lowering;
	if (f->lowering != NULL)
		f->lowering->lower_prev = r;
	f->lowering = r;
	f->lowered = f->loop.mono;
}

static void
lower_leave(struct request *r)
{
	struct front *f = r->f;

	if (r->att.lower_ticket == 0)
		return;
	r->att.lower_ticket = 0;
	if (r->lower_prev != NULL)
		r->lower_prev->lower_next = r->lower_next;
	else
		f->lowering = r->lower_next;
	if (r->lower_next != NULL)
		r->lower_next->lower_prev = r->lower_prev;
	r->lower_next = r->lower_prev = NULL;
}

void
lower_look(struct request *r)
{
	const struct usage_state *u = relay_usage(&r->relay);
	struct attempt *att = &r->att;
	struct journal_intent to;
	uint64_t ticket;

	if (att->looked || !u->known || u->usage.input_total <= 0 ||
	    (!r->stream_started && !r->gone) || r->f->loop.mono < att->look_at)
		return;
	if (!lower_is_tight(att)) {
		att->look_at = r->f->loop.mono + LOWER_AGAIN;
		return;
	}
	att->looked = true;
	to = att->intent;
	if (u->final || u->usage.inconsistent || !lower_may(r) ||
	    !lower_amount(r, &to.worst, &to.reserved) ||
	    r->amount - to.reserved < LOWER_MIN ||
	    r->amount - to.reserved <= r->amount / 10 ||
	    journal_lower(r->f->shard, &to, &ticket) != 0)
		return;
	r->amount = to.reserved;
	att->intent = to;
	lower_wait(r, ticket);
	metric_inc(r->f->agent->metrics, AM_LOWERED, 1);
}

int64_t
lower_max_wait(const struct front *f)
{
	int64_t age = f->loop.mono - f->lowered;

	return age < LOWER_POLL ? LOWER_POLL : age;
}

static void
lower_rights(struct request *r)
{
	struct attempt *att = &r->att;
	int64_t fall = att->rights.amount - att->intent.reserved;

	lower_leave(r);
	lease_lower(&att->rights, att->intent.reserved);
	att->released = fall;
	r->released += fall;
	metric_inc(r->f->agent->metrics, AM_LOWERED_COST, fall);
}

void
lower_release(struct front *f)
{
	uint64_t durable = journal_lowered(f->shard);
	struct request *r, *next;

	for (r = f->lowering; r != NULL; r = next) {
		next = r->lower_next;
		if (r->att.lower_ticket > durable)
			continue;
		lower_rights(r);
		if (f->waiting != NULL)
			f->woken = true; /* they may have it */
	}
}

void
lower_settle(struct request *r)
{
	struct attempt *att = &r->att;
	struct tokens worst;
	int64_t amount;

	if (att->intent.reserved == att->rights.amount && att->released == 0)
		return;
	lower_leave(r);
	if (!relay_usage(&r->relay)->known ||
	    !lower_amount(r, &worst, &amount) || amount <= att->intent.reserved)
		return;
	metric_inc(r->f->agent->metrics, AM_LOWER_WRONG, 1);
	att->intent.reserved = amount;
	att->intent.worst = worst;
}
