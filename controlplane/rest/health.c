/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health, metrics and the API description. Nothing here shows configuration
 * or errors of the database to whoever asks.
 */
#include "controlplane/metrics.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/rest/rest_internal.h"

static int
health_text(struct rest_call *c, int status)
{
	c->res->status = status;
	c->res->content_type = "text/plain; charset=utf-8";
	return 0;
}

static bool
health_is_verbose(const struct rest_call *c)
{
	return http_param(c->req, "verbose").p != NULL;
}

int
health_live(struct rest_call *c)
{
	if (health_is_verbose(c))
		(void)buf_addz(&c->res->body, "[+]ping ok\n");
	(void)buf_addz(&c->res->body, "ok\n");
	return health_text(c, 200);
}

int
health_ready(struct rest_call *c)
{
	bool draining = atomic_load(&c->rest->draining);
	struct error e;
	bool store = false;

	if (!draining && rest_enter(c->rest, &e) == 0) {
		store = store_ping(c->o->store, &e) == 0;
		rest_leave(c->rest);
	}

	if (health_is_verbose(c))
		(void)buf_addf(&c->res->body, "[%c]serving %s\n[%c]store %s\n",
		    draining ? '-' : '+', draining ? "draining" : "ok",
		    store ? '+' : '-', store ? "ok" : "not reachable");
	(void)buf_addz(
	    &c->res->body, store && !draining ? "ok\n" : "not ready\n");
	return health_text(c, store && !draining ? 200 : 503);
}

int
health_metrics(struct rest_call *c)
{
	struct metric_set *m = c->o->metrics;
	struct metric_series *failures;
	struct store_stats st;
	int rc;

	if (m == NULL)
		return err_set(
		    &c->e, ERR_NOT_FOUND, "metrics are switched off");
	store_stats(c->o->store, &st);
	metric_set_gauge(m, CM_STORE_CONNECTIONS, st.open);
	metric_set_gauge(m, CM_STORE_WAITING, st.waiting);
	failures = metric_series(m, CM_STORE_FAILURES, NULL, 0);
	metric_add(failures, (int64_t)st.failures - metric_value(failures));
	rc = metric_render(m, &c->res->body);
	if (rc != 0)
		return err_set(&c->e, rc, "cannot render metrics");
	c->res->status = 200;
	c->res->content_type = "text/plain; version=0.0.4; charset=utf-8";
	return 0;
}

int
openapi_get(struct rest_call *c)
{
	if (buf_add_str(&c->res->body, buf_str(&c->rest->openapi)) != 0)
		return err_set(&c->e, ERR_NOMEM, "out of memory");
	c->res->status = 200;
	c->res->content_type = "application/json";
	return 0;
}
