/* SPDX-License-Identifier: Apache-2.0 */
/* The status port, see status.h. One libmicrohttpd daemon with an internal
 * thread; nothing here touches the workers but through atomics and locks of
 * the modules asked. */
#include "agent/front/status.h"

#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/front/explain.h"
#include "agent/front/status_json.h"
#include "agent/metrics.h"
#include "agent/policy/queue.h"
#include "common/cfg.h"

#define STATUS_ANSWER_MAX  ((size_t)64 << 20)
#define STATUS_STUCK_NS	   (10 * NS_PER_S)
#define STATUS_CONNECTIONS 64u
#define STATUS_TIMEOUT_S   10u

struct status {
	struct status_options opt;
	struct MHD_Daemon *daemon;
	/* of the status thread: when each worker was last seen turning */
	uint64_t turns[AGENT_MAX_WORKERS];
	int64_t turned_at[AGENT_MAX_WORKERS];
};

struct answer {
	unsigned status;
	const char *type;
	struct buf body;
};

#define TYPE_TEXT    "text/plain; charset=utf-8"
#define TYPE_JSON    "application/json"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

static void
status_livez(struct status *s, struct answer *a)
{
	struct agent *g = s->opt.agent;
	int64_t now = clock_mono(g->clock);

	for (unsigned i = 0; i < g->n_workers; i++) {
		uint64_t turns = atomic_load(&g->links[i].turns);

		if (turns != s->turns[i] || s->turned_at[i] == 0) {
			s->turns[i] = turns;
			s->turned_at[i] = now;
		} else if (now - s->turned_at[i] > STATUS_STUCK_NS) {
			a->status = 503;
			(void)buf_addf(&a->body, "worker %u is stuck\n", i);
		}
	}
	if (a->status == 200)
		(void)buf_addz(&a->body, "ok\n");
}

static void
ready_line(struct answer *a, const char *what, bool ok)
{
	if (!ok)
		a->status = 503;
	(void)buf_addf(&a->body, "[%c] %s\n", ok ? '+' : '-', what);
}

static void
status_readyz(struct status *s, struct answer *a, bool verbose)
{
	struct agent *g = s->opt.agent;
	struct journal_backlog backlog;
	struct config_view config;
	struct ctl_view ctl;

	journal_backlog(s->opt.journal, &backlog);
	config_view(s->opt.config, &config);
	ctl_view(s->opt.ctl, &ctl);
	ready_line(a, "configuration active", config.version > 0);
	ready_line(a, "configuration not stale", !ctl.stale);
	ready_line(a, "first contact tried", ctl.settled);
	ready_line(a, "journal writable", backlog.writable);
	ready_line(a, "not draining", atomic_load(&g->draining) == 0);
	ready_line(a, "not fenced", !ctl.fenced);
	if (verbose) {
		(void)buf_addf(&a->body, "[i] control plane %s\n",
		    ctl.connected ? "connected" : "away");
		return;
	}
	buf_clear(&a->body);
	(void)buf_addz(&a->body, a->status == 200 ? "ok\n" : "not ready\n");
}

static void
metrics_lease(void *ctx, const struct lease_shown *v)
{
	struct metric_series *s;

	if (v->old)
		return;
	s = metric_series(ctx, AM_LEASE_LEFT, &v->name, 1);
	if (v->of_value) /* the sum of all; their budget came before */
		metric_add(s, v->left);
	else
		metric_gauge_set(s, v->left);
}

static void
metrics_queue_at(const struct agent *a, const char *at, const unsigned *n)
{
	for (int c = 0; c < QUEUE_CLASSES; c++) {
		struct str labels[2] = {
		    str_of(queue_class_name((enum queue_class)c)), str_of(at)};

		metric_gauge_set(
		    metric_series(a->metrics, AM_QUEUE_LENGTH, labels, 2),
		    n[c]);
	}
}

static void
metrics_queue(const struct agent *a)
{
	unsigned n[QUEUE_CLASSES] = {0};

	if (a->gate == NULL || a->places_gate == NULL)
		return;
	queue_lengths(a->gate, n);
	metrics_queue_at(a, "deployment", n);
	for (int p = 0; p < AGENT_PLACES; p++) {
		queue_lengths_at(a->places_gate, &a->places[p], n);
		metrics_queue_at(a, agent_place_name((enum agent_place)p), n);
	}
}

static void
status_metrics(struct status *s, struct answer *a)
{
	struct metric_set *m = s->opt.agent->metrics;
	struct clock *clock = s->opt.agent->clock;
	struct str unshipped = STR("unshipped");
	struct journal_backlog backlog;
	struct ship_stats ship;

	journal_backlog(s->opt.journal, &backlog);
	shipper_stats(s->opt.shipper, &ship);
	metric_gauge_set(metric_series(m, AM_SPOOL_RECORDS, &unshipped, 1),
	    (int64_t)backlog.records);
	metric_set_gauge(m, AM_SPOOL_BYTES, (int64_t)backlog.bytes);
	metric_set_gauge(m, AM_SPOOL_OLDEST,
	    ship.oldest_at == 0
		? 0
		: (clock_wall(clock) - ship.oldest_at) / NS_PER_S);
	lease_table_each(s->opt.leases, clock_mono(clock), metrics_lease, m);
	metrics_queue(s->opt.agent);
	a->type = TYPE_METRICS;
	if (metric_render(m, &a->body) != 0)
		a->status = 500;
}

static void
status_explain(struct status *s, struct answer *a, const char *id)
{
	struct explain_entry *x = malloc(sizeof(*x));

	a->type = TYPE_JSON;
	if (x == NULL) {
		a->status = 503;
	} else if (explain_find(s->opt.agent->explain, id, x)) {
		status_json_explain(&a->body, x, &s->opt);
	} else {
		a->status = 404;
		(void)buf_addz(&a->body,
		    "{\"error\":{\"code\":\"not_found\",\"message\":\"no such "
		    "request among the last ones of this agent\"}}\n");
	}
	free(x);
}

static void
status_route(struct status *s, struct answer *a, const char *path,
    struct MHD_Connection *c)
{
	static const char explain[] = "/v1/explain/";

	if (strcmp(path, "/livez") == 0) {
		status_livez(s, a);
	} else if (strcmp(path, "/readyz") == 0) {
		status_readyz(s, a,
		    MHD_lookup_connection_value_n(c, MHD_GET_ARGUMENT_KIND,
			"verbose", 7, NULL, NULL) == MHD_YES);
	} else if (strcmp(path, "/metrics") == 0) {
		status_metrics(s, a);
	} else if (strncmp(path, explain, sizeof(explain) - 1) == 0) {
		status_explain(s, a, path + sizeof(explain) - 1);
	} else if (strcmp(path, "/v1/status") == 0) {
		a->type = TYPE_JSON;
		status_json_status(&a->body, &s->opt);
	} else {
		a->status = 404;
		(void)buf_addz(&a->body, "not found\n");
	}
}

static enum MHD_Result
status_send(struct MHD_Connection *c, struct answer *a)
{
	enum MHD_Result rc = MHD_NO;
	struct MHD_Response *r;
	size_t n = 0;
	char *body;

	body = buf_take(&a->body, &n);
	r = MHD_create_response_from_buffer(n, body,
	    body == NULL ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
	if (r == NULL) {
		free(body);
		return MHD_NO;
	}
	(void)MHD_add_response_header(r, "content-type", a->type);
	(void)MHD_add_response_header(r, "cache-control", "no-store");
	if (a->status == 405)
		(void)MHD_add_response_header(r, "allow", "GET, HEAD");
	rc = MHD_queue_response(c, a->status, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result
status_handle(void *cls, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *upload,
    size_t *upload_size, void **request)
{
	struct status *s = cls;
	struct answer a = {.status = 200, .type = TYPE_TEXT};

	(void)version;
	(void)upload;
	if (*request == NULL) {
		*request = s; /* the head is there; answer on the next call */
		return MHD_YES;
	}
	if (*upload_size > 0) {
		*upload_size = 0;
		return MHD_YES;
	}
	buf_init(&a.body, STATUS_ANSWER_MAX);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		a.status = 405;
		(void)buf_addz(&a.body, "method not allowed\n");
	} else {
		status_route(s, &a, path, c);
	}
	return status_send(c, &a);
}

/* ---- life
 * -------------------------------------------------------------------------- */

static int
status_bind(const char *listen_on, struct error *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *ai = NULL;
	char name[256] = "", service[8];
	struct str host;
	uint16_t port;
	int fd, on = 1;

	if (!cfg_listen_split(str_of(listen_on), &host, &port) ||
	    str_copy(host, name, sizeof(name)) != 0)
		return err_set_field(e, ERR_INVALID, "status-listen",
		    "%s is not HOST:PORT", listen_on);
	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(name, service, &hints, &ai) != 0 || ai == NULL)
		return err_set_field(
		    e, ERR_INVALID, "status-listen", "cannot resolve %s", name);
	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(fd, SOMAXCONN) != 0) {
		if (fd >= 0)
			close(fd);
		fd = err_set(e, ERR_IO, "cannot listen on %s", listen_on);
	}
	freeaddrinfo(ai);
	return fd;
}

static uint16_t
status_port(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char service[8] = "0";
	uint64_t port = 0;

	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&sa, len, NULL, 0, service,
		sizeof(service), NI_NUMERICSERV) != 0 ||
	    str_to_u64(str_of(service), &port) != 0)
		return 0;
	return (uint16_t)port;
}

int
status_start(const struct status_options *opt, struct status **ret,
    uint16_t *port, struct error *e)
{
	struct status *s = calloc(1, sizeof(*s));
	int fd;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->opt = *opt;
	fd = status_bind(opt->agent->opt->status_listen, e);
	if (fd < 0) {
		free(s);
		return fd;
	}
	*port = status_port(fd);
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL,
	    NULL, status_handle, s, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, STATUS_CONNECTIONS,
	    MHD_OPTION_CONNECTION_TIMEOUT, STATUS_TIMEOUT_S,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (s->daemon == NULL) {
		close(fd);
		free(s);
		return err_set(e, ERR_IO, "cannot start the status server");
	}
	*ret = s;
	return 0;
}

void
status_stop(struct status *s)
{
	if (s == NULL)
		return;
	MHD_stop_daemon(s->daemon);
	free(s);
}
