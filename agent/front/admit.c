/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: from a complete body to a collected intent. Order: what the
 * request asks for, may the key ask for it, rates and concurrency, then a
 * deployment and the money for it.
 */
#include <stdio.h>
#include <string.h>

#include "agent/front/admit.h"
#include "agent/front/exact.h"
#include "agent/front/forward.h"
#include "agent/front/front.h"
#include "agent/front/places.h"
#include "agent/front/reserve.h"
#include "agent/front/shrink.h"
#include "agent/front/spool.h"
#include "agent/front/stored.h"
#include "agent/front/waiting.h"

#define ADMIT_BUSY_PART 100 /* per mille of requests that cost less */
#define ADMIT_MAX_CALLS 6   /* providers called for one request */

void
admit_give_up(struct request *r, int code, const char *text)
{
	if (r->fallback) {
		request_move(r, REQ_USAGE);
		front_want_finish(r);
		return;
	}
	refuse(r, code, text);
}

static bool
admit_capable(enum op op, const struct b_model *m)
{
	if (op_is_generation(op) || op == OP_COMPLETIONS)
		return m->can_chat;
	if (op == OP_EMBEDDINGS || op == OP_GEMINI_EMBED)
		return m->can_embed;
	return true;
}

/* Is it the one that must be, and does it do what is asked? */
static bool
admit_does(const struct request *r, const struct b_deployment *d)
{
	return (r->pin == NULL || d == r->pin) &&
	       admit_capable(r->scan.op, d->model) && forward_can(r, d);
}

static bool
admit_fit(void *ctx, const struct b_deployment *d)
{
	const struct request *r = ctx;
	struct price p;

	return admit_does(r, d) && b_model_price(d->model, r->f->loop.wall, &p);
}

/* Take the best target that has a free place. -1 when there is none. */
static int
admit_target(struct request *r)
{
	int i;

	for (;;) {
		i = route_pick(r->route, r->tried, r->f->health, &r->f->rng.rng,
		    r->f->loop.mono, admit_fit, r);
		if (i < 0)
			return -1;
		if (places_take(r, (unsigned)i))
			return i;
		r->tried |= UINT64_C(1) << i;
		r->at_capacity = true;
	}
}

static void
admit_fill_intent(struct request *r)
{
	struct journal_intent *in = &r->att.intent;
	const struct b_key *k = r->key;
	const struct b_deployment *d = r->att.dep;
	unsigned i;

	memcpy(in->request_id, r->id.b, sizeof(in->request_id));
	in->attempt = r->att.number;
	in->started_at = r->att.priced_at; /* and settled by that price */
	in->tenant_uid = k->tenant_uid;
	in->team_uid = k->team_uid;
	in->project_uid = k->project_uid;
	in->key_uid = k->uid;
	in->route_uid = r->route->uid;
	in->deployment_uid = d->uid;
	in->provider_uid = d->provider->uid;
	in->model_uid = d->model->uid;
	in->config_version = r->bundle->version;
	in->price_version = d->model->version;
	in->reserved = r->amount;
	in->worst = r->worst;
	in->streamed = r->scan.stream;
	in->tags = r->tags;
	in->n_charges = r->att.rights.n;
	for (i = 0; i < r->att.rights.n; i++) {
		const struct lease *l = r->att.rights.leases[i];

		in->charges[i].budget_uid = r->att.rights.cells[i]->uid;
		in->charges[i].period_start = l != NULL ? l->period_start : 0;
	}
}

/* The money is reserved: collect the intent. */
static void
admit_intent(struct request *r)
{
	r->att.state = ATT_RESERVED;
	admit_fill_intent(r);
	if (journal_intent(r->f->shard, &r->att.intent) != 0) {
		settle_attempt(r, NULL, false);
		admit_give_up(r, ERR_JOURNAL_FULL, NULL);
		return;
	}
	r->att.state = ATT_INTENT;
	request_move(r, REQ_INTENT);
	front_want_start(r);
}

static void admit_wait_over(struct timer *t, int64_t now);
static bool admit_smaller(struct request *r, struct budget_cell *cell);

/* Until its time is over; before, look whether anybody answers, and when it
 * may or must not claim any more. */
static void
admit_wait_timer(struct request *r)
{
	struct front *f = r->f;
	int64_t at = f->loop.mono + LEASE_SILENT_NS / 4;
	int64_t turn = waiting_next(r);

	if (at > turn)
		at = turn;
	timer_set(&f->loop.timers, &r->timer,
	    at < r->wait_end ? at : r->wait_end, admit_wait_over);
}

/* Whom no rights will reach in time; it is in REQ_ADMIT. */
static void
admit_busy(struct request *r, struct budget_cell *cell, const char *outcome)
{
	places_give(r);
	meter_count(&r->f->meter, AM_LEASE_WAITS, outcome);
	if (r->fallback)
		admit_give_up(r, 0, NULL);
	else
		refuse_budget(r, ERR_BUDGET_BUSY, cell);
}

/* The end of the wait, for less than was asked for: the control plane has what
 * it takes to grant it. */
static int64_t
admit_last_part(const struct request *r)
{
	return r->f->lim.lease_wait / 2;
}

/* It asks for less now. Its rights may be with the control plane: it has the
 * last part of the wait from now on, or it would be refused as busy though it
 * fits. As often as it gets smaller, so it ends. */
static void
admit_less(struct request *r)
{
	int64_t end = r->f->loop.mono + admit_last_part(r);

	if (r->state == REQ_WAIT) {
		waiting_leave(r); /* it waited for the old amount */
		request_move(r, REQ_ADMIT);
	}
	if (r->wait_end < end)
		r->wait_end = end;
}

static void
admit_wait_over(struct timer *t, int64_t now)
{
	struct request *r =
	    (struct request *)(void *)((char *)t -
				       offsetof(struct request, timer));
	struct budget_cell *cell = r->short_of;
	bool over = now >= r->wait_end;
	bool silent = cell != NULL && lease_silent(cell, now);

	if (r->short_limit != NULL && over) {
		limits_retry(r, true);
		return;
	}
	if (cell != NULL &&
	    (silent || now >= r->wait_end - admit_last_part(r)) &&
	    admit_smaller(r, cell))
		return;
	if (!silent && !over) {
		admit_retry(r);
		if (r->state == REQ_WAIT)
			admit_wait_timer(r);
		return;
	}
	waiting_leave(r);
	request_move(r, REQ_ADMIT);
	admit_busy(r, cell, silent ? "silent" : "timeout");
}

void
admit_wait(struct request *r)
{
	waiting_enter(r);
	admit_wait_timer(r);
	request_move(r, REQ_WAIT);
}

/* Park until rights come. The control thread is asked for them. */
static void
admit_park(struct request *r, struct budget_cell *cell)
{
	if (atomic_load_explicit(&cell->each, memory_order_relaxed)) {
		admit_busy(r, cell, "full"); /* no room for its value */
		return;
	}
	if (lease_silent(cell, r->f->loop.mono)) {
		if (!admit_smaller(r, cell))
			admit_busy(r, cell, "silent");
		return;
	}
	r->short_of = cell;
	r->reply_gen = lease_wait(cell, r->amount);
	if (r->turn == 0)
		r->turn = lease_turn();
	admit_wait(r);
}

/* What the attempt is, for budgets that count a part of the requests. */
static struct b_filter
admit_what(const struct request *r)
{
	const struct b_deployment *d = r->att.dep;

	return (struct b_filter){.route_uid = r->route->uid,
	    .provider_uid = d->provider->uid,
	    .model_uid = d->model->uid,
	    .tags = &r->tags};
}

bool
admit_is_free(const struct request *r)
{
	for (int c = 0; c < TC_COUNT; c++)
		if (r->att.price.per_mtok[c] > 0)
			return false;
	return r->amount == 0;
}

static int
admit_rights(struct request *r, struct budget_cell **short_of)
{
	struct budget_cell *path[BUNDLE_MAX_BUDGETS] = {NULL};
	struct b_filter what = admit_what(r);
	bool free = admit_is_free(r);

	for (;;) {
		unsigned n = free ? 0 : lease_path(r->key, &what, path);
		int rc = lease_reserve_as(path, n, r->amount, r->f->loop.mono,
		    waiting_key(r), &r->att.rights, short_of);

		if (rc != 0 || n == 0 ||
		    lease_path_holds(r->key, &what, path, n))
			return rc;
		lease_cancel(&r->att.rights);
	}
}

bool
admit_is_hard(const struct request *r)
{
	struct budget_cell *path[BUNDLE_MAX_BUDGETS];
	struct b_filter what;
	unsigned n;

	if (!r->key->has_hard_budget || r->key->filters == NULL)
		return r->key->has_hard_budget;
	what = admit_what(r);
	for (n = lease_path(r->key, &what, path); n > 0; n--)
		if (!atomic_load_explicit(
			&path[n - 1]->soft, memory_order_relaxed))
			return true;
	return false;
}

/* Reserve, then go on, park or refuse. The request is in REQ_ADMIT. */
static void
admit_reserve(struct request *r)
{
	struct budget_cell *cell = NULL;
	struct exact x;
	int rc = admit_rights(r, &cell);

	if (rc == ERR_AGAIN && cell != NULL && exact_is_near(r, cell) &&
	    exact_count(r, cell, &x)) {
		exact_apply(r, &x);
		rc = admit_rights(r, &cell);
	}
	if (rc == 0) {
		if (r->wait_since != 0)
			meter_count(&r->f->meter, AM_LEASE_WAITS, "granted");
		waiting_over(r);
		admit_intent(r);
		return;
	}
	if (rc == ERR_AGAIN && cell != NULL) {
		admit_park(r, cell);
		return;
	}
	places_give(r);
	if (cell != NULL && !r->fallback)
		refuse_budget(r, rc, cell);
	else
		admit_give_up(r, rc, NULL);
}

/* The rest of a budget is too small for the bound by bytes: once more with its
 * text counted. True: it goes on, or was answered. */
static bool
admit_counted(struct request *r, const struct budget_cell *cell)
{
	struct exact x;

	if (!exact_count(r, cell, &x))
		return false;
	admit_less(r);
	exact_apply(r, &x);
	admit_reserve(r);
	return true;
}

/* The rest of a budget is too small for the request as it is: lower its output
 * cap to what the rest pays for, if that is of use. True: it goes on with the
 * lower cap, or was answered. */
static bool
admit_shrink(struct request *r, struct budget_cell *cell)
{
	int64_t n = shrink_to(r, cell);

	if (n <= 0)
		return false;
	admit_less(r);
	if (shrink_apply(r, n) != 0) {
		places_give(r);
		refuse_budget(r, ERR_BUDGET_EXHAUSTED, cell);
		return true;
	}
	admit_reserve(r);
	return true;
}

/* Waiting did not help: does less than its worst case do? True: it goes on or
 * was answered. */
static bool
admit_smaller(struct request *r, struct budget_cell *cell)
{
	return admit_counted(r, cell) || admit_shrink(r, cell);
}

/* What requests like it cost at least, nine times of ten, as a share of what
 * is reserved: the others that are in flight are taken to be of its kind. */
static int
admit_usual_share(const struct request *r)
{
	int share = learn_share(&r->f->learn, r->att.dep->model->uid,
	    r->key->uid, ADMIT_BUSY_PART, 1);

	return share < 0 ? 0 : share;
}

void
admit_retry(struct request *r)
{
	struct budget_cell *cell = r->short_of, *other = NULL;
	enum lease_verdict verdict;
	int rc, share;

	if (r->short_limit != NULL) {
		limits_retry(r, false);
		return;
	}
	share = admit_usual_share(r);
	rc = admit_rights(r, &other);
	if (rc == 0) {
		waiting_leave(r);
		request_move(r, REQ_ADMIT);
		meter_count(&r->f->meter, AM_LEASE_WAITS, "granted");
		waiting_over(r);
		admit_intent(r);
		return;
	}
	verdict = lease_verdict(cell, r->amount, r->reply_gen, share);
	if (verdict == LEASE_BUSY && !admit_smaller(r, cell)) {
		waiting_leave(r);
		request_move(r, REQ_ADMIT);
		admit_busy(r, cell, "busy");
		return;
	}
	if (verdict == LEASE_BUSY)
		return;
	if (verdict == LEASE_EXHAUSTED && admit_smaller(r, cell))
		return;
	if (verdict == LEASE_EXHAUSTED)
		verdict = lease_verdict(cell, shrink_least(r), r->reply_gen, 0);
	if (verdict == LEASE_EXHAUSTED) {
		waiting_leave(r);
		request_move(r, REQ_ADMIT);
		places_give(r);
		meter_count(&r->f->meter, AM_LEASE_WAITS, "exhausted");
		if (r->fallback)
			admit_give_up(r, 0, NULL);
		else
			refuse_budget(r, ERR_BUDGET_EXHAUSTED, cell);
		return;
	}
	if (other != NULL && other != cell) { /* now short of another one */
		waiting_move(r);
		request_move(r, REQ_ADMIT);
		admit_park(r, other);
	}
	if (r->state == REQ_WAIT)
		waiting_claim(r, share);
	else
		waiting_drop(r);
}

/* Can any deployment of the route do what is asked, in better times? */
static bool
admit_is_offered(const struct request *r)
{
	unsigned i;

	for (i = 0; i < r->route->n_targets; i++) {
		const struct b_deployment *d = r->route->targets[i].deployment;

		if (admit_capable(r->scan.op, d->model) && forward_can(r, d))
			return true;
	}
	return false;
}

/* Do deployments do what is asked, and none has a price now? */
static bool
admit_is_unpriced(const struct request *r)
{
	bool does = false;
	struct price p;
	unsigned i;

	for (i = 0; i < r->route->n_targets; i++) {
		const struct b_deployment *d = r->route->targets[i].deployment;

		if (!admit_does(r, d))
			continue;
		if (b_model_price(d->model, r->f->loop.wall, &p))
			return false;
		does = true;
	}
	return does;
}

static void
admit_no_target(struct request *r)
{
	if (!r->fallback && r->pin == NULL && !admit_is_offered(r))
		refuse_field(r, ERR_UNSUPPORTED, "model",
		    "the model does not offer this operation");
	else if (!r->fallback && admit_is_unpriced(r))
		refuse_field(r, ERR_UNSUPPORTED, "model",
		    "the model has no price now, so that requests to it are "
		    "refused");
	else if (r->cannot != 0 && !r->fallback)
		refuse_field(r, r->cannot, r->cannot_field, r->cannot_text);
	else if (r->at_capacity)
		admit_give_up(r, ERR_OVERLOADED,
		    "all deployments of the model are at capacity");
	else
		admit_give_up(
		    r, ERR_UNAVAILABLE, "no deployment can serve the model");
}

/* The same target once more, if it has a free place. */
static int
admit_same_target(struct request *r, unsigned target)
{
	if (!places_take(r, target)) {
		r->at_capacity = true;
		return -1;
	}
	r->att.retry = true;
	return (int)target;
}

/* Remember why the first deployment could not carry the request. */
static void
admit_cannot(struct request *r, int rc, const struct error *e)
{
	if (r->cannot != 0)
		return;
	r->cannot = rc == ERR_TOO_LARGE || rc == ERR_NOMEM ? rc : ERR_INVALID;
	(void)snprintf(
	    r->cannot_field, sizeof(r->cannot_field), "%.95s", e->field);
	(void)snprintf(r->cannot_text, sizeof(r->cannot_text), "%.199s",
	    e->text[0] != '\0' ? e->text : err_text(r->cannot));
}

/* Choose the deployment and make the body for it; others are tried while one
 * cannot carry the request. i >= 0: begin with that target, its place is held.
 * False: answered, or in the queue. */
static bool
admit_choose(struct request *r, int i)
{
	struct attempt *att = &r->att;
	struct error e;
	int rc;

	for (;; i = -1) {
		if (i < 0)
			i = admit_target(r);
		if (i < 0 && places_wait(r))
			return false;
		if (i < 0) {
			admit_no_target(r);
			return false;
		}
		att->target = (unsigned)i;
		att->dep = r->route->targets[i].deployment;
		admit_worst(r);
		memset(&e, 0, sizeof(e));
		rc = forward_prepare(r, &e);
		if (rc == 0)
			return true;
		admit_cannot(r, rc, &e);
		places_give(r);
		r->tried |= UINT64_C(1) << i;
	}
}

/* The body where it is JSON. */
static struct json
admit_body(const struct request *r)
{
	if (r->spool != NULL || r->body.len == 0 || op_has_no_body(r->scan.op))
		return (struct json){NULL, NULL, JSON_NULL};
	return json_root(buf_str(&r->body));
}

/* Choose, price and reserve; i as in admit_choose(). */
static void
admit_at(struct request *r, int i)
{
	struct attempt *att = &r->att;

	if (!admit_choose(r, i))
		return;
	if (!admit_bound(r)) {
		places_give(r);
		return;
	}
	att->priced_at = r->f->loop.wall;
	if (!reserve_price(att->dep->model, att->priced_at, &r->scan,
		admit_body(r), &r->worst, &att->price) ||
	    !reserve_amount(&r->worst, &att->price, &r->amount)) {
		places_give(r);
		admit_give_up(r, ERR_INVALID, "the request is too large");
		return;
	}
	if (!admit_has_cap(r) || !admit_sound(r)) {
		places_give(r);
		return;
	}
	if (r->declared && r->amount < att->dep->model->max_request)
		r->amount = att->dep->model->max_request;
	admit_reserve(r);
}

void
admit_attempt(struct request *r, bool keep)
{
	struct attempt *att = &r->att;
	unsigned number = att->number + 1, target = att->target;
	int i = -1;

	MUST(att->state == ATT_NONE && att->call == NULL);
	memset(att, 0, sizeof(*att));
	att->number = number;
	if (number > ADMIT_MAX_CALLS) {
		admit_give_up(r, ERR_UPSTREAM, NULL);
		return;
	}
	r->shrunk = 0;
	r->declared = r->unbound = r->counted = false;
	r->full = 0;
	if (keep)
		i = admit_same_target(r, target);
	if (!keep || i >= 0 || !places_wait(r))
		admit_at(r, i);
}

void
admit_granted(struct request *r, unsigned target)
{
	admit_at(r, (int)target);
}

/* Read what the request asks for into r->scan. */
static int
admit_scan(struct request *r, struct error *e)
{
	const struct surface *s = &r->target.s;
	struct str body = buf_str(&r->body);
	int rc;

	switch (s->op) {
	case OP_RESPONSES:
	case OP_MESSAGES:
	case OP_GENERATE:
		rc = json_validate(body, &r->f->json, e);
		if (rc == 0)
			rc = forward_read(r, e);
		if (rc == 0)
			scan_generation(s->op, body, r->ir, &r->scan);
		return rc;
	case OP_GEMINI_EMBED:
		rc = json_validate(body, &r->f->json, e);
		return rc != 0 ? rc
			       : scan_gemini_embed(
				     body, str_of(s->model), &r->scan, e);
	case OP_CHAT:
	case OP_COMPLETIONS:
	case OP_EMBEDDINGS:
	case OP_MODERATIONS:
	case OP_IMAGES:
	case OP_RERANK:
	case OP_SPEECH:
		return oai_request_scan_path(
		    s->op, str_of(s->model), body, &r->f->json, &r->scan, e);
	case OP_IMAGE_EDITS:
	case OP_TRANSCRIPTIONS:
	case OP_TRANSLATIONS:
		return spool_scan(
		    r->spool, s->op, str_of(s->model), &r->scan, e);
	default:
		return err_set(
		    e, ERR_UNSUPPORTED, "this operation is not served here");
	}
}

/* The end user that the body names, unless a header did. */
static void
admit_user(struct request *r)
{
	struct str esc = r->scan.user, none;
	struct buf text, b;

	if (esc.len == 0 || tags_get(&r->tags, STR(TAGS_USER), &none))
		return;
	if (r->spool != NULL || str_find(esc, '\\') < 0) {
		tags_add_user(&r->tags, esc);
		return;
	}
	buf_init(&text, esc.len + 8);
	buf_init(&b, esc.len + 8);
	(void)buf_addf(&text, "\"%.*s\"", STR_ARG(esc));
	if (buf_error(&text) == 0 &&
	    json_unescape(json_root(buf_str(&text)), &b) == 0)
		tags_add_user(&r->tags, buf_str(&b));
	else /* without memory: by what stands there, never nobody */
		tags_add_user(&r->tags, esc);
	buf_release(&text);
	buf_release(&b);
}

bool
admit_route(struct request *r)
{
	r->route = bundle_find_route(
	    r->bundle, str_make(r->scan.model, r->scan.model_len));
	if (r->route != NULL && bundle_key_may(r->key, r->route))
		return true;
	r->route = NULL;
	refuse_field(r, ERR_MODEL_NOT_FOUND, "model",
	    "The model does not exist or you do not have access to it.");
	return false;
}

/* What is answered without a provider. */
static bool
admit_local(struct request *r)
{
	switch (r->target.s.op) {
	case OP_MODELS:
	case OP_MODEL:
		models_answer(r);
		return true;
	case OP_COUNT_TOKENS:
	case OP_GEMINI_COUNT_TOKENS:
		tokens_answer(r);
		return true;
	default:
		return false;
	}
}

void
admit_request(struct request *r)
{
	struct front *f = r->f;
	struct error e = {0};
	int rc;

	request_move(r, REQ_ADMIT);
	if (admit_local(r))
		return;
	if (r->target.s.op >= OP_RESPONSE_GET) {
		if (stored_find(r) && limits_admit(r))
			limits_begin(r);
		return;
	}
	rc = admit_scan(r, &e);
	if (rc != 0) {
		refuse_field(r,
		    rc == ERR_TOO_LARGE || rc == ERR_NOMEM ||
			    rc == ERR_UNSUPPORTED
			? rc
			: ERR_INVALID,
		    e.field, e.text[0] != '\0' ? e.text : err_text(rc));
		return;
	}
	admit_user(r);
	if (!admit_route(r))
		return;
	if (r->scan.op == OP_RESPONSES && !stored_read(r))
		return;
	if (!journal_writable(f->shard)) {
		refuse(r, ERR_JOURNAL_FULL, NULL);
		return;
	}
	if (limits_admit(r))
		limits_begin(r);
}
