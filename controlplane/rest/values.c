/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets for each value: which cell is meant, what all of them have spent, and
 * the list of them.
 */
#include <stdio.h>
#include <string.h>

#include "common/tags.h"
#include "controlplane/rest/budget_find.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/store/store_config.h"
#include "controlplane/store/store_value.h"

static int
find_on_item(void *ctx, const struct store_item *it)
{
	struct budget_found *b = ctx;

	b->uid = it->uid;
	b->spec = json_text(it->spec);
	return 0;
}

int
budget_find(struct rest_call *c, struct str value, const char *field,
    struct budget_found *b)
{
	int rc;

	*b = (struct budget_found){.value = value};
	rc = store_config_get(
	    c->db, KIND_BUDGET, c->params[0], find_on_item, b, &c->e);
	if (rc != 0)
		return rc;
	b->each = json_object_get(b->spec, "each") != NULL;
	if (!b->each && value.p != NULL)
		return err_set_field(&c->e, ERR_INVALID, field,
		    "value has no meaning: the budget is not for each value");
	if (!b->each)
		b->cell = b->uid;
	else if (value.p != NULL)
		return store_value_find(c->db, b->uid, value, &b->cell, &c->e);
	return 0;
}

int
budget_find_one(struct rest_call *c, struct str value, const char *field,
    struct budget_found *b)
{
	int rc = budget_find(c, value, field, b);

	if (rc == 0 && b->cell == 0)
		rc = err_set_field(&c->e, ERR_INVALID, field,
		    "value is required: the budget is for each value");
	return rc;
}

struct value_page {
	json_t *list;
	size_t n, limit;
	bool more;
	int64_t used;
	uint64_t uid;
};

static int
value_on_row(void *ctx, const struct value_row *v)
{
	struct value_page *p = ctx;
	json_t *row;

	if (p->n == p->limit) {
		p->more = true;
		return 0;
	}
	p->n++;
	p->used = v->used;
	p->uid = v->cell_uid;
	row = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
	    "value", json_strn(v->value), "uid", json_u64(v->cell_uid),
	    "limit_nanousd", (json_int_t)v->limit, "spent_nanousd",
	    (json_int_t)v->spent, "free_nanousd", (json_int_t)v->free,
	    "leased_nanousd", (json_int_t)v->leased, "held_nanousd",
	    (json_int_t)v->held, "first_seen", json_instant(v->created_at),
	    "last_used",
	    v->last_used > 0 ? json_instant(v->last_used) : json_null(),
	    "retired_at",
	    v->retired_at > 0 ? json_instant(v->retired_at) : json_null());
	return json_array_append_new(p->list, row) ? ERR_NOMEM : 0;
}

/* "USED UID" of the last row of the page before. */
static int
value_cursor(struct rest_call *c, int64_t *used, uint64_t *uid)
{
	char cursor[48];
	long long a;
	unsigned long long b;
	int rc = cursor_read(c, 'v', cursor, sizeof(cursor));

	*used = -1;
	*uid = 0;
	if (rc != 0 || cursor[0] == '\0')
		return rc;
	if (sscanf(cursor, "%lld %llu", &a, &b) != 2 || a < 0)
		return err_set_field(
		    &c->e, ERR_INVALID, "cursor", "cursor is malformed");
	*used = a;
	*uid = b;
	return 0;
}

int
budget_values(struct rest_call *c)
{
	struct value_page p = {.list = json_array()};
	struct budget_found b;
	char next[48] = "";
	uint64_t uid = 0;
	int64_t used = -1;
	int limit = 0, rc;

	rc = budget_find(c, STR_NULL, "value", &b);
	if (rc == 0 && !b.each)
		rc = err_set(&c->e, ERR_INVALID,
		    "the budget is not for each value: it has no list of them");
	if (rc == 0)
		rc = query_limit(c, &limit);
	if (rc == 0)
		rc = value_cursor(c, &used, &uid);
	p.limit = (size_t)limit;
	if (rc == 0)
		rc = store_value_list(c->db, b.uid, clock_wall(c->o->clock),
		    used, uid, limit + 1, value_on_row, &p, &c->e);
	json_decref(b.spec);
	if (rc != 0) {
		json_decref(p.list);
		return rc;
	}
	if (p.more)
		(void)snprintf(next, sizeof(next), "%lld %llu",
		    (long long)p.used, (unsigned long long)p.uid);
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", p.list, "next_cursor",
		cursor_json('v', str_of(next))));
}
