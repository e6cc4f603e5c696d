/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Increases with an end, and transfers between budgets of a tenant.
 */
#include <string.h>

#include "common/money.h"
#include "common/tags.h"
#include "controlplane/rest/budget_find.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/store/store_budget.h"
#include "controlplane/store/store_config.h"

#define MOVE_EACH UINT64_MAX /* instead of a uid: it is for each value */

/* The budget that gets money, which all requests share. */
static int
move_on_item(void *ctx, const struct store_item *it)
{
	json_t *spec = json_text(it->spec);

	*(uint64_t *)ctx =
	    json_object_get(spec, "each") != NULL ? MOVE_EACH : it->uid;
	json_decref(spec);
	return 0;
}

/* The parts that both have. */
static int
move_read(struct rest_call *c, struct budget_move *m, struct str value)
{
	struct budget_found b;
	struct str usd;
	int rc;

	memset(m, 0, sizeof(*m));
	rc = body_string(c, "amount_usd", 32, true, &usd);
	if (rc == 0 && (money_parse(usd, &m->amount) != 0 || m->amount <= 0 ||
			   m->amount > INT64_C(1000000000000000000)))
		rc = err_set_field(&c->e, ERR_INVALID, "/amount_usd",
		    "amount_usd must be a positive decimal number");
	if (rc == 0)
		rc = body_string(c, "reason", 1000, true, &m->reason);
	if (rc == 0) {
		rc = budget_find_one(c, value, "/value", &b);
		m->budget_uid = b.cell;
		json_decref(b.spec);
	}
	m->now = clock_wall(c->o->clock);
	m->author = str_of(c->who.name);
	return rc;
}

int
budget_increase(struct rest_call *c)
{
	struct budget_move m;
	struct str at, value = STR_NULL;
	int64_t until = 0;
	int rc = body_only(c, "amount_usd until reason value");

	if (rc == 0)
		rc = body_string(c, "value", TAGS_USER_MAX, false, &value);
	if (rc == 0)
		rc = body_string(c, "until", 40, true, &at);
	if (rc == 0 && parse_time(at, &until) != 0)
		rc = err_set_field(
		    &c->e, ERR_INVALID, "/until", "until must be an instant");
	if (rc == 0)
		rc = move_read(c, &m, value);
	if (rc == 0 && until <= m.now)
		rc = err_set_field(
		    &c->e, ERR_INVALID, "/until", "until must be to come");
	if (rc == 0)
		rc = store_budget_increase(c->db, &m, until, &c->e);
	if (rc != 0)
		return rc;
	rest_audit(c, "increase budget",
	    json_pack("{s:I, s:o, s:o, s:o*}", "amount_nanousd",
		(json_int_t)m.amount, "until", json_instant(until), "reason",
		json_strn(m.reason), "value",
		value.p != NULL ? json_strn(value) : NULL),
	    "budgets/%.*s", STR_ARG(c->params[0]));
	return budget_answer(c, value);
}

int
budget_transfer(struct rest_call *c)
{
	struct budget_move m;
	uint64_t to_uid = 0;
	struct str to;
	int rc = body_only(c, "to amount_usd reason");

	if (rc == 0)
		rc = body_string(c, "to", 255, true, &to);
	if (rc == 0)
		rc = move_read(c, &m, STR_NULL);
	if (rc == ERR_INVALID && str_eqz(str_of(c->e.field), "/value"))
		rc = err_set(&c->e, ERR_INVALID,
		    "the budget is for each value: money is not transferred "
		    "from it");
	if (rc == 0 && !str_eq(name_root(to), name_root(c->params[0])))
		rc = err_set_field(&c->e, ERR_INVALID, "/to",
		    "to must be a budget of the same tenant");
	if (rc == 0)
		rc = store_config_get(
		    c->db, KIND_BUDGET, to, move_on_item, &to_uid, &c->e);
	if (rc == ERR_NOT_FOUND && to_uid == 0 && m.budget_uid != 0)
		rc = err_set_field(
		    &c->e, ERR_INVALID, "/to", "there is no such budget");
	if (rc == 0 && to_uid == MOVE_EACH)
		rc = err_set_field(&c->e, ERR_INVALID, "/to",
		    "to is a budget for each value: money is not transferred "
		    "to it");
	if (rc == 0 && to_uid == m.budget_uid)
		rc = err_set_field(
		    &c->e, ERR_INVALID, "/to", "to must be another budget");
	if (rc == 0)
		rc = store_budget_transfer(c->db, &m, to_uid, &c->e);
	if (rc != 0)
		return rc;
	rest_audit(c, "transfer budget",
	    json_pack("{s:I, s:o, s:o}", "amount_nanousd", (json_int_t)m.amount,
		"to", json_strn(to), "reason", json_strn(m.reason)),
	    "budgets/%.*s", STR_ARG(c->params[0]));
	return budget_answer(c, STR_NULL);
}
