/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server of one worker: libmicrohttpd without threads, its epoll
 * descriptor nested in ours. What this file knows of the library and nobody
 * else needs to:
 *
 * - A suspended connection does not notice that its client left. So every
 *   connection's descriptor is also in our own epoll, for EPOLLRDHUP only.
 * - Content-Length together with Transfer-Encoding is accepted by it; the
 *   checks of head.c run in the first call of the handler, before the body.
 * - Suspending needs MHD_ALLOW_SUSPEND_RESUME, which also asks for a wake-up
 *   pipe that costs two system calls a resume. One thread needs no pipe: only
 *   the bit of suspending itself is given.
 * - The path is matched on its raw bytes in the URI callback, before the
 *   library decodes anything.
 */
#include <microhttpd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/front/front.h"
#include "common/pool.h"

#define SERVER_SUSPEND	 8192 /* MHD_ALLOW_SUSPEND_RESUME without MHD_USE_ITC */
#define SERVER_BLOCK	 8192 /* bytes asked of a stream at a time */
#define SERVER_MIN_POOL	 8192
#define SERVER_BODY_STEP (256 * 1024)

struct conn {
	struct loop_source src; /* first */
	struct loop_deferred deferred;
	struct server *s;
	struct MHD_Connection *mhd;
	struct request *req;
	struct conn *next, *prev;
	int64_t since; /* mono ns: accepted, or the last answer ended */
	bool suspended, hup, killed;
};

struct server {
	struct front *f;
	struct MHD_Daemon *daemon;
	struct loop_source src; /* the daemon's epoll descriptor */
	struct pool conns;
	struct conn *list;
	int listen_fd;
	bool due, quiet;
	time_t date_second;
	char date[40];
};

/* ---- connections ---- */

static void
conn_ready(struct loop_source *src, uint32_t events)
{
	struct conn *c = (struct conn *)(void *)src;

	(void)events; /* only hang-ups are watched */
	c->hup = true;
	if (c->req != NULL)
		call_client_gone(c->req);
	c->s->due = true;
}

static void
conn_release(struct loop_deferred *d)
{
	struct conn *c =
	    (struct conn *)(void *)((char *)d -
				    offsetof(struct conn, deferred));

	pool_put(&c->s->conns, c);
}

static void
conn_opened(struct server *s, struct MHD_Connection *mhd, void **ctx)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *c = pool_get(&s->conns);

	*ctx = c;
	if (c == NULL)
		return;
	c->s = s;
	c->mhd = mhd;
	c->since = s->f->loop.mono;
	c->src.fd = info->connect_fd;
	c->src.ready = conn_ready;
	if (loop_add(&s->f->loop, &c->src, EPOLLRDHUP | EPOLLET) != 0)
		c->src.ready = NULL;
	c->next = s->list;
	if (s->list != NULL)
		s->list->prev = c;
	s->list = c;
}

static void
conn_closed(struct conn *c)
{
	struct server *s = c->s;

	/* The library closes the descriptor right after this. */
	loop_forget(&c->src);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->list = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->mhd = NULL;
	loop_defer(&s->f->loop, &c->deferred, conn_release);
}

static void
server_on_connection(void *cls, struct MHD_Connection *mhd, void **ctx,
    enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		conn_opened(cls, mhd, ctx);
	else if (*ctx != NULL)
		conn_closed(*ctx);
}

static struct conn *
server_conn(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

void
server_resume(struct request *r)
{
	struct conn *c = r->conn;

	if (c == NULL || !c->suspended)
		return;
	c->suspended = false;
	c->s->due = true;
	MHD_resume_connection(c->mhd);
}

static void
server_suspend(struct conn *c)
{
	MUST(!c->suspended);
	c->suspended = true;
	MHD_suspend_connection(c->mhd);
}

/* ---- answers ---- */

static ssize_t
server_read(void *cls, uint64_t pos, char *dst, size_t max)
{
	struct request *r = cls;
	size_t n = r->out.len - r->out_pos;

	(void)pos;
	if (r->gone || r->conn == NULL)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n > 0) {
		if (n > max)
			n = max;
		memcpy(dst, r->out.data + r->out_pos, n);
		r->out_pos += n;
		if (r->out_pos == r->out.len) {
			buf_clear(&r->out);
			r->out_pos = 0;
		} else if (r->out_pos > r->out.len / 2) {
			buf_consume(&r->out, r->out_pos);
			r->out_pos = 0;
		}
		r->last_io = r->f->loop.mono;
		call_drained(r);
		return (ssize_t)n;
	}
	if (r->stream_end)
		return r->stream_abort ? MHD_CONTENT_READER_END_WITH_ERROR
				       : MHD_CONTENT_READER_END_OF_STREAM;
	server_suspend(r->conn);
	return 0;
}

static void
server_duration(int64_t ms, char *dst, size_t cap)
{
	int64_t s = (ms + 999) / 1000;

	if (ms < 1000)
		(void)snprintf(dst, cap, "%lldms", (long long)ms);
	else if (s < 60)
		(void)snprintf(dst, cap, "%llds", (long long)s);
	else
		(void)snprintf(dst, cap, "%lldm%llds", (long long)(s / 60),
		    (long long)(s % 60));
}

struct server_quota {
	int64_t limit, left, reset_ms;
};

static void
server_add_quota(struct MHD_Response *resp, const struct server_quota *q,
    const char *limit, const char *left, const char *reset)
{
	char text[32];

	if (q->limit <= 0)
		return;
	(void)snprintf(text, sizeof(text), "%lld", (long long)q->limit);
	MHD_add_response_header(resp, limit, text);
	(void)snprintf(text, sizeof(text), "%lld", (long long)q->left);
	MHD_add_response_header(resp, left, text);
	server_duration(q->reset_ms, text, sizeof(text));
	MHD_add_response_header(resp, reset, text);
}

static void
server_tighter(
    struct server_quota *q, int64_t limit, int64_t left, int64_t reset_ms)
{
	if (limit <= 0 || (q->limit > 0 && q->left <= left))
		return;
	q->limit = limit;
	q->left = left;
	q->reset_ms = reset_ms;
}

/* The tightest of the key's limits, in OpenAI's header family. */
static void
server_add_limits(struct MHD_Response *resp, const struct request *r)
{
	struct server_quota req = {0}, tok = {0};
	int64_t rl, tl, rr, tr;
	unsigned i;

	if (r->key == NULL || r->key->n_limits == 0)
		return;
	for (i = 0; i < r->key->n_limits; i++) {
		struct limit_cell *c = r->key->limits[i];

		limit_remaining(c, r->f->loop.mono, &rl, &tl, &rr, &tr);
		server_tighter(&req,
		    atomic_load_explicit(&c->rpm, memory_order_relaxed), rl,
		    rr);
		server_tighter(&tok,
		    atomic_load_explicit(&c->tpm, memory_order_relaxed), tl,
		    tr);
	}
	server_add_quota(resp, &req, "x-ratelimit-limit-requests",
	    "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
	server_add_quota(resp, &tok, "x-ratelimit-limit-tokens",
	    "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens");
}

static void
server_add_advice(struct MHD_Response *resp, const struct answer *a)
{
	char text[32];

	if (a->retry_ms >= 0) {
		(void)snprintf(
		    text, sizeof(text), "%lld", (long long)a->retry_ms);
		MHD_add_response_header(resp, "retry-after-ms", text);
	}
	if (a->retry_after[0] != '\0') {
		MHD_add_response_header(resp, "retry-after", a->retry_after);
	} else if (a->retry_ms >= 0) {
		(void)snprintf(text, sizeof(text), "%lld",
		    (long long)((a->retry_ms + 999) / 1000));
		MHD_add_response_header(resp, "retry-after", text);
	}
	if (a->should_retry >= 0)
		MHD_add_response_header(resp, "x-should-retry",
		    a->should_retry != 0 ? "true" : "false");
}

static void
server_add_fields(struct MHD_Response *resp, const struct request *r)
{
	const struct answer *a = &r->answer;
	char text[32];

	MHD_add_response_header(resp, "date", server_date(r->conn->s));
	MHD_add_response_header(resp, "x-request-id", r->id_text);
	if (a->is_json)
		MHD_add_response_header(
		    resp, "content-type", "application/json");
	if (a->cost >= 0) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)a->cost);
		MHD_add_response_header(resp, "x-headgate-cost-nanousd", text);
	}
	if (a->processing_ms[0] != '\0')
		MHD_add_response_header(
		    resp, "openai-processing-ms", a->processing_ms);
	if (a->status == 401)
		MHD_add_response_header(resp, "www-authenticate", "Bearer");
	if (a->status == 405)
		MHD_add_response_header(resp, "allow",
		    r->target.endpoint == OAI_CHAT ||
			    r->target.endpoint == OAI_EMBEDDINGS
			? "POST"
			: "GET");
	if (a->close)
		MHD_add_response_header(resp, "connection", "close");
	server_add_advice(resp, a);
	server_add_limits(resp, r);
}

static enum MHD_Result
server_queue(struct request *r)
{
	struct MHD_Response *resp;
	enum MHD_Result ok;

	if (r->stream_started)
		resp = MHD_create_response_from_callback(
		    MHD_SIZE_UNKNOWN, SERVER_BLOCK, server_read, r, NULL);
	else
		resp = MHD_create_response_from_buffer(r->out.len,
		    r->out.len > 0 ? r->out.data : r->id_text,
		    MHD_RESPMEM_PERSISTENT);
	if (resp == NULL)
		return MHD_NO;
	if (r->stream_started) {
		MHD_add_response_header(
		    resp, "content-type", "text/event-stream; charset=utf-8");
		MHD_add_response_header(resp, "cache-control", "no-cache");
	}
	server_add_fields(resp, r);
	ok = MHD_queue_response(r->conn->mhd, (unsigned)r->answer.status, resp);
	MHD_destroy_response(resp);
	return ok;
}

/* When there is not even room for a request. */
static enum MHD_Result
server_queue_overloaded(struct MHD_Connection *mhd)
{
	static char body[] =
	    "{\"error\":{\"message\":\"the agent is overloaded\",\"type\":"
	    "\"server_error\",\"param\":null,\"code\":\"overloaded\"}}";
	struct MHD_Response *resp = MHD_create_response_from_buffer(
	    sizeof(body) - 1, body, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result ok;

	if (resp == NULL)
		return MHD_NO;
	MHD_add_response_header(resp, "content-type", "application/json");
	MHD_add_response_header(resp, "retry-after", "1");
	MHD_add_response_header(resp, "connection", "close");
	ok = MHD_queue_response(mhd, 503, resp);
	MHD_destroy_response(resp);
	return ok;
}

/* ---- requests ---- */

/* First look at a request, with the raw target. The result becomes the
 * request's context. */
static void *
server_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct server *s = cls;
	struct conn *c = server_conn(mhd);
	struct request *r;

	if (c == NULL)
		return NULL;
	r = request_new(s->f, c);
	if (r == NULL)
		return NULL;
	c->req = r;
	head_target_parse(uri, &r->target);
	return r;
}

static enum MHD_Result
server_on_field(void *cls, enum MHD_ValueKind kind, const char *name,
    size_t name_len, const char *value, size_t value_len)
{
	(void)kind;
	head_field(cls, str_make(name, name_len),
	    value != NULL ? str_make(value, value_len) : STR_NULL);
	return MHD_YES;
}

/* Find the key; unknown, revoked and expired look the same. */
static bool
server_authenticate(struct request *r)
{
	struct str secret;
	uint8_t digest[32];
	enum head_reason reason = head_credential(&r->head, &secret);
	const struct b_key *k;

	if (reason != HEAD_OK) {
		refuse_head(r, reason);
		return false;
	}
	crypto_hash_sha256(digest,
	    (const unsigned char *)(secret.len > 0 ? secret.p : ""),
	    secret.len);
	k = bundle_find_key(r->bundle, digest);
	if (k == NULL || k->disabled ||
	    (k->expires_at != 0 && k->expires_at <= r->f->loop.wall)) {
		refuse(r, ERR_UNAUTHENTICATED, "Incorrect API key provided.");
		return false;
	}
	r->key = k;
	return true;
}

static void
server_head(struct request *r, const char *method, const char *version)
{
	struct front *f = r->f;
	enum head_reason reason;

	(void)MHD_get_connection_values_n(
	    r->conn->mhd, MHD_HEADER_KIND, server_on_field, &r->head);
	reason = head_check(&r->head, &r->target, str_of(method),
	    str_of(version), f->lim.max_body);
	if (reason != HEAD_OK) {
		refuse_head(r, reason);
		return;
	}
	if (f->bundle == NULL) {
		refuse(r, ERR_NOT_READY, NULL);
		return;
	}
	if (atomic_load_explicit(&f->agent->draining, memory_order_relaxed)) {
		r->answer.close = true;
		refuse(r, ERR_UNAVAILABLE, "the agent is shutting down");
		return;
	}
	r->bundle = f->bundle;
	bundle_ref(r->bundle);
	if (!server_authenticate(r))
		return;
	if (r->head.content_length > 0 &&
	    buf_reserve(&r->body, r->head.content_length < SERVER_BODY_STEP
				      ? (size_t)r->head.content_length
				      : SERVER_BODY_STEP) != 0) {
		refuse(r, ERR_NOMEM, NULL);
		return;
	}
	request_move(r, REQ_BODY);
}

/* The body is complete, or the connection was resumed. */
static enum MHD_Result
server_proceed(struct request *r)
{
	struct conn *c = r->conn;

	if (r->state == REQ_BODY) {
		if (c->hup) {
			r->gone = true;
			request_move(r, REQ_END);
			return MHD_NO;
		}
		if (r->too_large || buf_error(&r->body) != 0) {
			r->answer.close = true;
			refuse(
			    r, r->too_large ? ERR_TOO_LARGE : ERR_NOMEM, NULL);
		} else {
			admit_request(r);
		}
	}
	if (r->gone)
		return MHD_NO;
	if (r->stream_started || r->state == REQ_ANSWER)
		return server_queue(r);
	server_suspend(c);
	return MHD_YES;
}

static enum MHD_Result
server_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *len,
    void **ctx)
{
	struct request *r = *ctx;

	(void)cls;
	(void)url;
	if (r == NULL)
		return server_queue_overloaded(mhd);
	if (r->state == REQ_HEAD) {
		server_head(r, method, version);
		return r->state == REQ_ANSWER ? server_queue(r) : MHD_YES;
	}
	if (*len > 0) {
		if (r->state != REQ_BODY)
			return MHD_NO;
		if (!r->too_large && buf_add(&r->body, data, *len) != 0 &&
		    buf_error(&r->body) == ERR_TOO_LARGE) {
			r->too_large = true;
			buf_release(&r->body);
		}
		*len = 0;
		return MHD_YES;
	}
	return server_proceed(r);
}

static void
server_on_completed(void *cls, struct MHD_Connection *mhd, void **ctx,
    enum MHD_RequestTerminationCode code)
{
	struct request *r = *ctx;
	struct conn *c;

	(void)cls;
	(void)mhd;
	*ctx = NULL;
	if (r == NULL)
		return;
	c = r->conn;
	c->req = NULL;
	c->suspended = false;
	c->since = r->f->loop.mono;
	r->conn = NULL;
	if (r->state == REQ_ANSWER &&
	    code != MHD_REQUEST_TERMINATED_COMPLETED_OK && !r->stream_abort)
		meter_count(&r->f->meter, AM_DISCONNECTS, "answering");
	call_client_gone(r);
	if (r->state == REQ_HEAD || r->state == REQ_BODY ||
	    r->state == REQ_ANSWER)
		request_move(r, REQ_END);
	request_try_end(r);
}

/* ---- the daemon ---- */

static void
server_ready(struct loop_source *src, uint32_t events)
{
	struct server *s =
	    (struct server *)(void *)((char *)src -
				      offsetof(struct server, src));

	(void)events;
	s->due = true;
}

/* The library must not decode anything. */
static size_t
server_no_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
	(void)cls;
	(void)mhd;
	return strlen(text);
}

static struct MHD_Daemon *
server_daemon(struct server *s, int listen_fd)
{
	const struct front_limits *lim = &s->f->lim;
	size_t pool =
	    lim->max_head > SERVER_MIN_POOL ? lim->max_head : SERVER_MIN_POOL;

	return MHD_start_daemon(
	    MHD_USE_EPOLL | SERVER_SUSPEND | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0,
	    NULL, NULL, server_on_request, s, MHD_OPTION_LISTEN_SOCKET,
	    (MHD_socket)listen_fd, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)lim->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    pool, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
	    MHD_OPTION_NOTIFY_COMPLETED, server_on_completed, s,
	    MHD_OPTION_NOTIFY_CONNECTION, server_on_connection, s,
	    MHD_OPTION_URI_LOG_CALLBACK, server_on_uri, s,
	    MHD_OPTION_UNESCAPE_CALLBACK, server_no_unescape, NULL,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

int
server_new(struct front *f, int listen_fd, struct server **ret, struct error *e)
{
	const union MHD_DaemonInfo *info;
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "server: out of memory");
	s->f = f;
	s->listen_fd = listen_fd;
	pool_init(&s->conns, sizeof(struct conn), f->lim.max_connections + 64);
	s->daemon = server_daemon(s, listen_fd);
	if (s->daemon == NULL) {
		free(s);
		return err_set(e, ERR_IO, "the HTTP server did not start");
	}
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	s->src.fd = info->epoll_fd;
	s->src.ready = server_ready;
	if (loop_add(&f->loop, &s->src, EPOLLIN) != 0) {
		MHD_stop_daemon(s->daemon);
		pool_release(&s->conns);
		free(s);
		return err_set(e, ERR_IO, "epoll of the HTTP server");
	}
	*ret = s;
	return 0;
}

void
server_free(struct server *s)
{
	struct conn *c;

	if (s == NULL)
		return;
	/* The library must not be stopped with suspended connections. */
	for (c = s->list; c != NULL; c = c->next) {
		if (c->suspended && c->req != NULL)
			server_resume(c->req);
	}
	server_run(s);
	loop_del(&s->f->loop, &s->src);
	MHD_stop_daemon(s->daemon);
	loop_end_turn(&s->f->loop);
	pool_release(&s->conns);
	free(s);
}

void
server_run(struct server *s)
{
	s->due = false;
	(void)MHD_run(s->daemon);
}

bool
server_is_due(const struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (s->due)
		return true;
	return MHD_get_timeout(s->daemon, &ms) == MHD_YES && ms == 0;
}

int64_t
server_max_wait(const struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (s->due)
		return 0;
	if (MHD_get_timeout(s->daemon, &ms) != MHD_YES || ms > 1000)
		return NS_PER_S;
	return (int64_t)ms * NS_PER_MS;
}

void
server_quiesce(struct server *s)
{
	MHD_socket fd;

	if (s->quiet)
		return;
	s->quiet = true;
	fd = MHD_quiesce_daemon(s->daemon);
	if (fd != MHD_INVALID_SOCKET)
		close(fd);
}

unsigned
server_n_connections(const struct server *s)
{
	return (unsigned)s->conns.live;
}

/* Closing is the library's business; this makes it notice. */
static void
server_kill(struct conn *c)
{
	if (!c->killed)
		(void)shutdown(c->src.fd, SHUT_RDWR);
	c->killed = true;
}

/* Has the connection run out of its time? */
static bool
server_is_late(const struct conn *c, int64_t now)
{
	const struct front_limits *lim = &c->s->f->lim;
	const struct request *r = c->req;
	int64_t send = lim->send_timeout;

	if (r == NULL)
		return now - c->since > lim->idle_timeout;
	switch (r->state) {
	case REQ_HEAD:
		return now - r->started > lim->idle_timeout;
	case REQ_BODY:
		return now - r->started > lim->body_timeout;
	case REQ_RELAY:
		return !c->suspended && now - r->last_io > send;
	case REQ_ANSWER:
		if (!r->stream_started) /* at least 16 KiB a second */
			send += (int64_t)(r->out.len / 16384) * NS_PER_S;
		return now - r->last_io > send;
	case REQ_ADMIT:
	case REQ_WAIT:
	case REQ_INTENT:
	case REQ_CALL:
	case REQ_USAGE:
	case REQ_END:
	case REQ_N_STATES:
		break;
	}
	return false;
}

void
server_second(struct server *s)
{
	int64_t now = s->f->loop.mono;
	struct conn *c;

	for (c = s->list; c != NULL; c = c->next) {
		if (server_is_late(c, now) || (s->quiet && c->req == NULL))
			server_kill(c);
	}
}

void
server_abort_all(struct server *s)
{
	struct conn *c;

	for (c = s->list; c != NULL; c = c->next) {
		if (c->req != NULL)
			call_client_gone(c->req);
		server_kill(c);
	}
}

const char *
server_date(const struct server *s)
{
	struct server *w = s->f->server;
	time_t now = (time_t)(s->f->loop.wall / NS_PER_S);
	struct tm tm;

	if (now != w->date_second) {
		w->date_second = now;
		if (gmtime_r(&now, &tm) == NULL ||
		    strftime(w->date, sizeof(w->date),
			"%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
			w->date[0] = '\0';
	}
	return w->date;
}
