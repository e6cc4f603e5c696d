/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache of metric series. A full cache is not an error: the series is then
 * looked up each time.
 */
#include "agent/front/meter.h"

#include <stdio.h>
#include <string.h>

void
meter_init(struct meter *m, struct metric_set *set)
{
	memset(m, 0, sizeof(*m));
	m->set = set;
}

static struct metric_series *
meter_find(struct meter *m, enum agent_metric metric, const struct str *values,
    size_t n)
{
	return metric_series(m->set, (size_t)metric, values, n);
}

static void
meter_fill(struct meter *m, const struct meter_names *n, struct meter_row *row)
{
	struct str v[4] = {n->tenant, n->provider, n->model, STR_NULL};
	int i;

	row->tenant = n->tenant_uid;
	row->route = n->route_uid;
	row->deployment = n->deployment_uid;
	row->duration = meter_find(m, AM_DURATION, &n->route, 1);
	row->first_byte = meter_find(m, AM_FIRST_BYTE, &n->route, 1);
	row->cost = meter_find(m, AM_COST, v, 3);
	for (i = 0; i < TC_COUNT; i++) {
		v[3] = str_of(token_class_name((enum token_class)i));
		row->tokens[i] = meter_find(m, AM_TOKENS, v, 4);
	}
}

/* Row of the names; spare is filled and returned when the cache is full. */
static struct meter_row *
meter_row(struct meter *m, const struct meter_names *n, struct meter_row *spare)
{
	uint64_t h = n->tenant_uid * UINT64_C(0x9e3779b97f4a7c15) ^
		     n->route_uid * UINT64_C(0xc2b2ae3d27d4eb4f) ^
		     n->deployment_uid * UINT64_C(0x165667b19e3779f9);
	struct meter_row *row;
	unsigned i;

	h ^= h >> 29;
	for (i = 0; i < 8; i++) {
		row = &m->rows[(h + i) % METER_ROWS];
		if (row->tenant == n->tenant_uid &&
		    row->route == n->route_uid &&
		    row->deployment == n->deployment_uid &&
		    row->duration != NULL)
			return row;
		if (row->duration == NULL) {
			meter_fill(m, n, row);
			return row;
		}
	}
	memset(spare, 0, sizeof(*spare));
	meter_fill(m, n, spare);
	return spare;
}

static struct meter_code *
meter_code(struct meter *m, const struct meter_names *n, struct meter_row *row,
    int code)
{
	struct meter_code *c = &row->codes[METER_CODES - 1];
	struct str v[4] = {n->route, n->provider, n->model, STR_NULL};
	char text[12];
	unsigned i;

	for (i = 0; i < METER_CODES; i++) {
		if (row->codes[i].code == code &&
		    row->codes[i].requests != NULL)
			return &row->codes[i];
		if (row->codes[i].requests == NULL) {
			c = &row->codes[i];
			break;
		}
	}
	(void)snprintf(text, sizeof(text), "%d", code);
	v[3] = str_of(text);
	c->code = code;
	c->requests = meter_find(m, AM_REQUESTS, v, 4);
	v[0] = n->deployment;
	v[1] = v[3];
	c->attempts = meter_find(m, AM_UP_ATTEMPTS, v, 2);
	return c;
}

void
meter_request(struct meter *m, const struct meter_names *n, int code,
    double duration, double first_byte)
{
	struct meter_row spare, *row = meter_row(m, n, &spare);

	metric_add(meter_code(m, n, row, code)->requests, 1);
	metric_observe(row->duration, duration);
	if (first_byte >= 0)
		metric_observe(row->first_byte, first_byte);
}

void
meter_attempt(struct meter *m, const struct meter_names *n, int code)
{
	struct meter_row spare, *row = meter_row(m, n, &spare);

	metric_add(meter_code(m, n, row, code)->attempts, 1);
}

static struct metric_series *
meter_source(struct meter *m, uint32_t source)
{
	static const char *const names[] = {"none", "provider_final",
	    "provider_partial", "estimated", "crash_estimated"};
	struct str v;

	if (source >= sizeof(names) / sizeof(names[0]))
		source = 0;
	if (m->sources[source] == NULL) {
		v = str_of(names[source]);
		m->sources[source] = meter_find(m, AM_USAGE_SOURCE, &v, 1);
	}
	return m->sources[source];
}

void
meter_usage(struct meter *m, const struct meter_names *n,
    const struct tokens *t, int64_t cost, uint32_t source)
{
	struct meter_row spare, *row = meter_row(m, n, &spare);
	int i;

	for (i = 0; i < TC_COUNT; i++) {
		if (t->n[i] > 0)
			metric_add(row->tokens[i], t->n[i]);
	}
	if (cost > 0)
		metric_add(row->cost, cost);
	metric_add(meter_source(m, source), 1);
}

void
meter_count(struct meter *m, enum agent_metric metric, const char *label)
{
	struct str v = str_of(label);

	metric_add(meter_find(m, metric, &v, 1), 1);
}

void
meter_reserved(struct meter *m, int64_t cost, int64_t reserved)
{
	if (m->share == NULL)
		m->share = metric_series(m->set, AM_SHARE, NULL, 0);
	if (reserved > 0)
		metric_observe(m->share, (double)cost / (double)reserved);
}
