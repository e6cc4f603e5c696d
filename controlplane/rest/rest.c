/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a parsed head to an answer: path, route, token, role, body, handler.
 * Token and role are checked before the body is read, so nobody unknown makes
 * us hold megabytes.
 */
#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "controlplane/metrics.h"
#include "controlplane/rest/rest_internal.h"

#define REST_WAIT_S 10 /* for a place in the database */

/* ---- places in the database
 * -------------------------------------------------- */

int
rest_enter(struct rest *r, struct error *e)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += REST_WAIT_S;
	(void)pthread_mutex_lock(&r->lock);
	while (r->n_busy >= r->max_busy && rc == 0)
		rc = pthread_cond_timedwait(&r->left, &r->lock, &until);
	if (r->n_busy < r->max_busy) {
		r->n_busy++;
		rc = 0;
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (rc != 0)
		return err_set(e, ERR_AGAIN, "too many requests at once");
	if (r->o.metrics != NULL)
		metric_inc(r->o.metrics, CM_REST_IN_FLIGHT, 1);
	return 0;
}

void
rest_leave(struct rest *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->n_busy--;
	(void)pthread_cond_signal(&r->left);
	(void)pthread_mutex_unlock(&r->lock);
	if (r->o.metrics != NULL)
		metric_inc(r->o.metrics, CM_REST_IN_FLIGHT, -1);
}

/* ---- head
 * ---------------------------------------------------------------------- */

static struct rest_call *
rest_call_new(struct rest *r, struct exchange *x)
{
	struct rest_call *c = calloc(1, sizeof(*c));
	struct uuid id;

	if (c == NULL)
		return NULL;
	uuid_v7(&id, r->o.rng, clock_wall(r->o.clock));
	uuid_format(&id, c->request_id);
	c->rest = r;
	c->o = &r->o;
	c->req = &x->req;
	c->res = &x->res;
	problems_init(&c->problems);
	x->user = c;
	return c;
}

static void
rest_count_refusal(struct rest *r, const char *reason)
{
	struct str v = str_of(reason);

	if (r->o.metrics != NULL)
		metric_add(
		    metric_series(r->o.metrics, CM_REST_AUTH_FAILURES, &v, 1),
		    1);
}

static int
rest_check_params(struct rest_call *c)
{
	size_t i;

	for (i = 0; i < c->req->n_params; i++)
		if (!router_has_param(c->route, c->req->params[i].name))
			return err_set_field(&c->e, ERR_INVALID,
			    c->req->params[i].name.p,
			    "query parameter %.60s is not known here",
			    c->req->params[i].name.p);
	return 0;
}

static int
rest_authorise(struct rest_call *c)
{
	struct rest *r = c->rest;
	int rc;

	if (c->route->flags & RR_PUBLIC)
		return 0;
	rc = rest_enter(r, &c->e);
	if (rc != 0)
		return rc;
	rc = auth_check(r->auth, r->o.store, c->req, clock_mono(r->o.clock),
	    clock_wall(r->o.clock), &c->who, &c->e);
	if (rc == ERR_UNAUTHENTICATED)
		rest_count_refusal(r, "token");
	if (rc == 0 && c->who.role < c->route->role) {
		rest_count_refusal(r, "role");
		rc = err_set(&c->e, ERR_FORBIDDEN,
		    "this needs role %s; the token has role %s",
		    admin_role_name(c->route->role),
		    admin_role_name(c->who.role));
		rest_audit_refused(c);
	}
	rest_leave(r);
	return rc;
}

static int
rest_begin(struct rest_call *c)
{
	char allow[80];
	int rc;

	rc = http_parse_target(c->req, &c->e);
	if (rc == 0)
		rc = router_match(
		    c->req, &c->route, c->params, allow, sizeof(allow), &c->e);
	if (rc == 0)
		rc = rest_authorise(c);
	if (rc == 0)
		rc = rest_check_params(c);
	if (rc != 0)
		rest_problem(c, rc);
	if (rc == ERR_METHOD)
		http_set_header(c->res, "Allow", "%s", allow);
	return rc;
}

static void
rest_common_headers(struct exchange *x)
{
	const struct rest_call *c = x->user;

	if (c != NULL)
		http_set_header(&x->res, "X-Request-Id", "%s", c->request_id);
	http_set_header(&x->res, "Cache-Control", "no-store");
	http_set_header(&x->res, "X-Content-Type-Options", "nosniff");
}

static void
rest_refuse(void *ctx, struct exchange *x, const struct error *e)
{
	const struct rest_call *c = x->user;

	(void)ctx;
	problem_write(&x->res, e, NULL, c ? c->request_id : NULL);
	rest_common_headers(x);
}

static bool
rest_head(void *ctx, struct exchange *x)
{
	struct rest *r = ctx;
	struct rest_call *c = rest_call_new(r, x);
	struct error e;

	if (c == NULL) {
		(void)err_set(&e, ERR_NOMEM, "out of memory");
		rest_refuse(ctx, x, &e);
		return true;
	}
	if (rest_begin(c) == 0)
		return false;
	rest_common_headers(x);
	return true;
}

/* ---- answer
 * ----------------------------------------------------------------------- */

static int
rest_read(struct rest_call *c)
{
	int rc = store_take(c->o->store, &c->db, &c->e);

	if (rc == 0)
		rc = c->route->fn(c);
	store_give(c->db);
	c->db = NULL;
	return rc;
}

static int
rest_run(struct rest_call *c)
{
	int rc = 0;

	if (c->route->flags & (RR_BODY | RR_BODY_OPT))
		rc = rest_read_body(c);
	if (rc != 0)
		return rc;
	if (c->route->flags & RR_NO_DB)
		return c->route->fn(c);
	rc = rest_enter(c->rest, &c->e);
	if (rc != 0)
		return rc;
	rc = c->route->flags & RR_WRITE ? rest_write(c) : rest_read(c);
	rest_leave(c->rest);
	return rc;
}

static void
rest_answer(void *ctx, struct exchange *x)
{
	struct rest_call *c = x->user;
	int rc = rest_run(c);

	(void)ctx;
	if (rc != 0)
		rest_problem(c, rc);
	rest_common_headers(x);
}

static void
rest_count(struct rest *r, const struct rest_call *c, const struct exchange *x)
{
	struct str v[2];
	char status[16];
	int64_t took = clock_mono(r->o.clock) - x->started;

	(void)snprintf(status, sizeof(status), "%d", x->res.status);
	v[0] = str_of(c && c->route ? c->route->id : "none");
	v[1] = str_of(status);
	metric_add(metric_series(r->o.metrics, CM_REST_REQUESTS, v, 2), 1);
	metric_observe(metric_series(r->o.metrics, CM_REST_DURATION, NULL, 0),
	    (double)took / (double)NS_PER_S);
	if (c != NULL && c->version != 0 && x->res.status < 300) {
		metric_inc(r->o.metrics, CM_CONFIG_COMMITS, 1);
		metric_set_gauge(
		    r->o.metrics, CM_CONFIG_VERSION, (int64_t)c->version);
	}
}

static void
rest_done(void *ctx, struct exchange *x)
{
	struct rest *r = ctx;
	struct rest_call *c = x->user;

	if (r->o.metrics != NULL)
		rest_count(r, c, x);
	if (c == NULL)
		return;
	if (c->route != NULL && (c->route->flags & RR_WRITE))
		log_info("request", LF("request_id", c->request_id),
		    LF("operation", c->route->id), LF("actor", c->who.name),
		    LF("target", c->target), LFI("status", x->res.status),
		    LFI("version", c->version));
	json_decref(c->body);
	json_decref(c->audit);
	problems_release(&c->problems);
	free(c);
	x->user = NULL;
}

/* ---- start and stop
 * ----------------------------------------------------------------- */

static void
rest_free(struct rest *r)
{
	store_unlisten(r->listener);
	auth_free(r->auth);
	buf_release(&r->openapi);
	(void)pthread_mutex_destroy(&r->lock);
	(void)pthread_cond_destroy(&r->left);
	free(r);
}

/* A token was revoked, perhaps by another replica. */
static void
rest_notified(void *ctx, const char *channel, const char *payload)
{
	struct rest *r = ctx;

	(void)channel;
	(void)payload;
	auth_forget(r->auth);
}

static int
rest_listen(struct rest *r, struct error *e)
{
	static const char *const channels[] = {STORE_CHANNEL_TOKEN};

	return store_listen(
	    r->o.store, channels, 1, rest_notified, r, &r->listener, e);
}

int
rest_start(const struct rest_options *o, struct rest **ret, struct error *e)
{
	struct rest *r = calloc(1, sizeof(*r));
	struct server_options so = {
	    .listen = o->listen, .max_body = o->max_body};
	struct server_app app = {.ctx = r,
	    .head = rest_head,
	    .answer = rest_answer,
	    .done = rest_done,
	    .refuse = rest_refuse};
	int rc;

	if (r == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	r->o = *o;
	if (r->o.clock == NULL)
		r->o.clock = clock_system();
	if (r->o.rng == NULL)
		r->o.rng = rng_system();
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->left, NULL);
	r->max_busy = o->threads ? o->threads : 12;
	buf_init(&r->openapi, (size_t)4 << 20);
	r->auth = auth_new();
	rc = r->auth ? openapi_render(&r->openapi) : ERR_NOMEM;
	if (rc != 0)
		(void)err_set(e, rc, "cannot prepare the REST server");
	if (rc == 0)
		rc = rest_listen(r, e);
	if (rc == 0)
		rc = server_start(&so, &app, &r->server, e);
	if (rc != 0) {
		rest_free(r);
		return rc;
	}
	*ret = r;
	return 0;
}

unsigned
rest_port(const struct rest *r)
{
	return server_port(r->server);
}

void
rest_drain(struct rest *r)
{
	atomic_store(&r->draining, true);
}

void
rest_stop(struct rest *r)
{
	if (r == NULL)
		return;
	server_stop(r->server);
	rest_free(r);
}
