/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libcurl engine: https, and http to host names. HTTP/1.1 only, because
 * pausing stalls HTTP/2 in the libcurl of Debian 12. Easy handles are pooled.
 * CURL_POLL_REMOVE does not mean that the socket was closed; it is unwatched
 * then, since a level-triggered end of file would be reported for ever.
 *
 * libcurl calls back from inside upcurl_multi_*; a call must not be removed
 * there. So a cancel inside a callback only marks the call, and ends of calls
 * are reported from upcurl_turn().
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/upstream/engine.h"
#include "common/pool.h"

#define UPCURL_MAX_SPARE 64 /* easy handles kept for reuse */

struct upcurl_socket {
	struct loop_source src; /* first */
	struct loop_deferred deferred;
	struct upcurl *engine;
	uint32_t events;
};

struct upcurl_call {
	struct up_call base; /* first */
	struct loop_deferred deferred;
	struct upcurl *engine;
	struct upcurl_call *next, *prev; /* of those in flight */
	CURL *easy;
	struct curl_slist *fields;
	struct str parts[UP_MAX_PARTS];
	unsigned n_parts, part;
	size_t part_at, body_len, sent;
	struct timer timer;
	int64_t deadline;
	uint32_t connect_ms, first_byte_ms, idle_ms;
	struct up_head head;
	bool head_ready, head_done, timed_out, cancelled, bad;
	struct up_result res;
};

struct upcurl {
	struct loop *loop;
	struct up_limits lim;
	CURLM *multi;
	struct pool calls, sockets;
	struct timer timer;
	struct upcurl_call *in_flight;
	CURL *spare[UPCURL_MAX_SPARE];
	unsigned n_spare, n_in_flight;
	uint64_t n_connects;
	int depth; /* inside upcurl_multi_* */
	bool look; /* messages may wait */
};

static struct upcurl_call *
upcurl_call_of(struct up_call *base)
{
	return (struct upcurl_call *)(void *)base;
}

static void
upcurl_kick(struct upcurl *g, curl_socket_t fd, int mask)
{
	int running;

	g->depth++;
	(void)curl_multi_socket_action(g->multi, fd, mask, &running);
	g->depth--;
	g->look = true;
}

static void
upcurl_socket_ready(struct loop_source *s, uint32_t events)
{
	struct upcurl_socket *k = (struct upcurl_socket *)(void *)s;
	int mask = 0;

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) != 0)
		mask |= CURL_CSELECT_IN;
	if ((events & EPOLLOUT) != 0)
		mask |= CURL_CSELECT_OUT;
	if ((events & EPOLLERR) != 0)
		mask |= CURL_CSELECT_ERR;
	upcurl_kick(k->engine, s->fd, mask);
}

static void
upcurl_socket_free(struct loop_deferred *d)
{
	struct upcurl_socket *k =
	    (struct upcurl_socket *)(void *)((char *)d -
					     offsetof(struct upcurl_socket,
						 deferred));

	pool_put(&k->engine->sockets, k);
}

static int
upcurl_on_close(void *ctx, curl_socket_t fd)
{
	(void)ctx;
	return close(fd);
}

/* libcurl tells which events it wants of a socket. */
static int
upcurl_on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *sock)
{
	struct upcurl *g = ctx;
	struct upcurl_socket *k = sock;
	uint32_t events = 0;
	struct epoll_event ev;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		/* Level-triggered: unwatched while nobody wants it. */
		if (k != NULL) {
			loop_del(g->loop, &k->src);
			curl_multi_assign(g->multi, fd, NULL);
			loop_defer(g->loop, &k->deferred, upcurl_socket_free);
		}
		return 0;
	}
	if ((what & CURL_POLL_IN) != 0)
		events |= EPOLLIN;
	if ((what & CURL_POLL_OUT) != 0)
		events |= EPOLLOUT;
	if (k == NULL) {
		k = pool_get(&g->sockets);
		if (k == NULL)
			return -1;
		k->engine = g;
		k->src.fd = fd;
		k->src.ready = upcurl_socket_ready;
		if (loop_add(g->loop, &k->src, events) != 0) {
			pool_put(&g->sockets, k);
			return -1;
		}
		curl_multi_assign(g->multi, fd, k);
	} else if (k->events != events) {
		ev.events = events;
		ev.data.ptr = &k->src;
		(void)epoll_ctl(g->loop->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
	}
	k->events = events;
	return 0;
}

static void
upcurl_timer_fire(struct timer *t, int64_t now)
{
	struct upcurl *g =
	    (struct upcurl *)(void *)((char *)t -
				      offsetof(struct upcurl, timer));

	(void)now;
	upcurl_kick(g, CURL_SOCKET_TIMEOUT, 0);
}

static int
upcurl_on_timer(CURLM *multi, long ms, void *ctx)
{
	struct upcurl *g = ctx;

	(void)multi;
	if (ms < 0)
		timer_cancel(&g->loop->timers, &g->timer);
	else
		timer_set(&g->loop->timers, &g->timer,
		    g->loop->mono + ms * NS_PER_MS, upcurl_timer_fire);
	return 0;
}

static void
upcurl_deadline(struct upcurl_call *c, uint32_t ms)
{
	c->deadline = c->engine->loop->mono + ms * NS_PER_MS;
}

static size_t
upcurl_on_field(char *p, size_t size, size_t n, void *ctx)
{
	struct upcurl_call *c = ctx;
	struct str line = str_make(p, size * n), name, value;

	while (line.len > 0 &&
	       (line.p[line.len - 1] == '\n' || line.p[line.len - 1] == '\r'))
		line.len--;
	if (!c->res.got_any)
		upcurl_deadline(c, c->first_byte_ms);
	c->res.got_any = true;
	if (str_starts(line, STR("HTTP/"))) {
		memset(&c->head, 0, sizeof(c->head));
		c->head.content_length = -1;
	} else if (line.len == 0) {
		long status = 0;

		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
		c->head.status = (int)status;
		if (status >= 200)
			c->head_ready = true;
	} else if (str_cut(line, ':', &name, &value)) {
		up_head_field(&c->head, name, str_trim(value));
	}
	return size * n;
}

/* Report the head before the first byte of the body, or at the end. */
static void
upcurl_report_head(struct upcurl_call *c)
{
	if (c->head_done || !c->head_ready || c->base.over)
		return;
	c->head_done = true;
	c->base.ev->head(c->base.ctx, &c->head);
}

static size_t
upcurl_on_data(char *p, size_t size, size_t n, void *ctx)
{
	struct upcurl_call *c = ctx;

	if (c->base.paused)
		return CURL_WRITEFUNC_PAUSE;
	upcurl_deadline(c, c->idle_ms);
	upcurl_report_head(c);
	if (!c->base.over)
		c->base.ev->data(c->base.ctx, p, size * n);
	return c->base.over ? 0 : size * n;
}

static size_t
upcurl_on_read(char *dst, size_t size, size_t n, void *ctx)
{
	struct upcurl_call *c = ctx;
	size_t cap = size * n, len, total = 0;
	struct str *s;

	while (total < cap && c->part < c->n_parts) {
		s = &c->parts[c->part];
		len = s->len - c->part_at;
		if (len > cap - total)
			len = cap - total;
		memcpy(dst + total, s->p + c->part_at, len);
		total += len;
		c->part_at += len;
		if (c->part_at == s->len) {
			c->part++;
			c->part_at = 0;
		}
	}
	c->sent += total;
	upcurl_deadline(c, c->first_byte_ms);
	return total;
}

static int
upcurl_on_prereq(void *ctx, char *peer, char *local, int pport, int lport)
{
	struct upcurl_call *c = ctx;
	long fresh = 0;

	(void)peer;
	(void)local;
	(void)pport;
	(void)lport;
	curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &fresh);
	c->res.connected = true;
	c->res.reused = fresh == 0;
	c->engine->n_connects += fresh > 0 ? 1 : 0;
	upcurl_deadline(c, c->first_byte_ms);
	return CURL_PREREQFUNC_OK;
}

struct upcurl *
upcurl_new(struct loop *l, const struct up_limits *lim)
{
	struct upcurl *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->loop = l;
	g->lim = *lim;
	pool_init(&g->calls, sizeof(struct upcurl_call), lim->max_calls);
	pool_init(
	    &g->sockets, sizeof(struct upcurl_socket), lim->max_calls * 4 + 64);
	g->multi = curl_multi_init();
	if (g->multi == NULL) {
		free(g);
		return NULL;
	}
	curl_multi_setopt(g->multi, CURLMOPT_SOCKETFUNCTION, upcurl_on_socket);
	curl_multi_setopt(g->multi, CURLMOPT_SOCKETDATA, g);
	curl_multi_setopt(g->multi, CURLMOPT_TIMERFUNCTION, upcurl_on_timer);
	curl_multi_setopt(g->multi, CURLMOPT_TIMERDATA, g);
	curl_multi_setopt(g->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(g->multi, CURLMOPT_MAXCONNECTS, (long)lim->max_idle);
	return g;
}

void
upcurl_free(struct upcurl *g)
{
	if (g == NULL)
		return;
	MUST(g->in_flight == NULL);
	while (g->n_spare > 0)
		curl_easy_cleanup(g->spare[--g->n_spare]);
	curl_multi_cleanup(g->multi);
	timer_cancel(&g->loop->timers, &g->timer);
	loop_end_turn(g->loop);
	pool_release(&g->calls);
	pool_release(&g->sockets);
	free(g);
}

static void
upcurl_call_free(struct loop_deferred *d)
{
	struct upcurl_call *c =
	    (struct upcurl_call *)(void *)((char *)d -
					   offsetof(
					       struct upcurl_call, deferred));
	struct upcurl *g = c->engine;

	curl_slist_free_all(c->fields);
	if (c->easy != NULL && g->n_spare < UPCURL_MAX_SPARE) {
		curl_easy_reset(c->easy);
		g->spare[g->n_spare++] = c->easy;
	} else {
		curl_easy_cleanup(c->easy);
	}
	pool_put(&g->calls, c);
}

/* Take the call out of libcurl. Not from inside its callbacks. */
static void
upcurl_remove(struct upcurl_call *c)
{
	struct upcurl *g = c->engine;

	g->depth++;
	curl_multi_remove_handle(g->multi, c->easy);
	g->depth--;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		g->in_flight = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	g->n_in_flight--;
	timer_cancel(&g->loop->timers, &c->timer);
	loop_defer(g->loop, &c->deferred, upcurl_call_free);
}

static void
upcurl_cancel(struct up_call *base)
{
	struct upcurl_call *c = upcurl_call_of(base);

	if (base->over)
		return;
	base->over = true;
	c->cancelled = true;
	if (c->engine->depth == 0)
		upcurl_remove(c);
	else
		c->engine->look = true;
}

static void
upcurl_pause(struct up_call *base, bool paused)
{
	struct upcurl_call *c = upcurl_call_of(base);

	if (base->over || base->paused == paused)
		return;
	base->paused = paused;
	upcurl_deadline(c, c->idle_ms);
	/* Pausing happens when data is offered; going on may deliver data at
	 * once, so it waits for the timer when we are inside libcurl. */
	if (!paused && c->engine->depth == 0) {
		c->engine->depth++;
		curl_easy_pause(c->easy, CURLPAUSE_CONT);
		c->engine->depth--;
		c->engine->look = true;
	}
}

static const struct up_engine_ops upcurl_ops = {upcurl_cancel, upcurl_pause};

static void
upcurl_call_timer(struct timer *t, int64_t now)
{
	struct upcurl_call *c =
	    (struct upcurl_call *)(void *)((char *)t -
					   offsetof(struct upcurl_call, timer));

	if (c->base.paused)
		upcurl_deadline(c, c->idle_ms);
	if (c->deadline <= now) {
		c->timed_out = true;
		c->engine->look = true;
		return;
	}
	timer_set(&c->engine->loop->timers, t,
	    c->deadline < now + NS_PER_S ? c->deadline : now + NS_PER_S,
	    upcurl_call_timer);
}

/* "Name: value\r\n" lines and one "Name: value" into the list. */
static int
upcurl_add_field(struct upcurl_call *c, struct str line)
{
	char text[4096];
	struct curl_slist *l;

	if (line.len == 0)
		return 0;
	if (str_copy(line, text, sizeof(text)) != 0)
		return ERR_TOO_LARGE;
	l = curl_slist_append(c->fields, text);
	if (l == NULL)
		return ERR_NOMEM;
	c->fields = l;
	return 0;
}

static int
upcurl_fields(struct upcurl_call *c, const struct up_request *rq)
{
	const struct b_provider *p = rq->provider;
	struct str rest = rq->headers, line;
	unsigned i;
	int rc;

	rc = upcurl_add_field(c, p->auth_header);
	for (i = 0; rc == 0 && i < p->n_headers; i++)
		rc = upcurl_add_field(c, p->headers[i]);
	while (rc == 0 && rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		rc = upcurl_add_field(c, line);
	}
	if (rc == 0)
		rc = upcurl_add_field(c, STR("Expect:"));
	if (rc == 0)
		rc = upcurl_add_field(c, STR("Accept-Encoding: identity"));
	return rc;
}

static void
upcurl_options(
    struct upcurl_call *c, const struct up_request *rq, const char *url)
{
	CURL *k = c->easy;

	curl_easy_setopt(k, CURLOPT_URL, url);
	curl_easy_setopt(k, CURLOPT_PRIVATE, c);
	curl_easy_setopt(k, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(k, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(k, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(k, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(k, CURLOPT_PROXY, "");
	curl_easy_setopt(k, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	curl_easy_setopt(k, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(k, CURLOPT_POST, 1L);
	curl_easy_setopt(
	    k, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
	curl_easy_setopt(k, CURLOPT_READFUNCTION, upcurl_on_read);
	curl_easy_setopt(k, CURLOPT_READDATA, c);
	curl_easy_setopt(k, CURLOPT_WRITEFUNCTION, upcurl_on_data);
	curl_easy_setopt(k, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(k, CURLOPT_HEADERFUNCTION, upcurl_on_field);
	curl_easy_setopt(k, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(k, CURLOPT_PREREQFUNCTION, upcurl_on_prereq);
	curl_easy_setopt(k, CURLOPT_PREREQDATA, c);
	curl_easy_setopt(k, CURLOPT_CLOSESOCKETFUNCTION, upcurl_on_close);
	curl_easy_setopt(k, CURLOPT_HTTPHEADER, c->fields);
	curl_easy_setopt(k, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(
	    k, CURLOPT_CONNECTTIMEOUT_MS, (long)rq->connect_timeout_ms);
	curl_easy_setopt(k, CURLOPT_BUFFERSIZE, 16384L);
	curl_easy_setopt(k, CURLOPT_MAXAGE_CONN,
	    (long)(c->engine->lim.max_idle_age / NS_PER_S));
	if (c->engine->lim.ca_file != NULL && c->engine->lim.ca_file[0] != '\0')
		curl_easy_setopt(k, CURLOPT_CAINFO, c->engine->lim.ca_file);
	curl_easy_setopt(k, CURLOPT_FRESH_CONNECT, rq->fresh ? 1L : 0L);
	curl_easy_setopt(k, CURLOPT_HTTP_CONTENT_DECODING, 0L);
}

static int
upcurl_url(const struct up_request *rq, char *dst, size_t cap)
{
	const struct b_provider *p = rq->provider;
	bool v6 = str_find(p->host, ':') >= 0;
	int n = snprintf(dst, cap, "%.*s://%s%.*s%s:%u%.*s%.*s",
	    STR_ARG(p->scheme), v6 ? "[" : "", STR_ARG(p->host), v6 ? "]" : "",
	    (unsigned)p->port, STR_ARG(p->path_prefix), STR_ARG(rq->path));

	return n > 0 && (size_t)n < cap ? 0 : ERR_TOO_LARGE;
}

int
upcurl_start(struct upcurl *g, const struct up_request *rq,
    const struct up_events *ev, void *ctx, struct up_call **ret)
{
	struct upcurl_call *c;
	char url[2048];
	unsigned i;
	int rc = upcurl_url(rq, url, sizeof(url));

	if (rc != 0)
		return rc;
	c = pool_get(&g->calls);
	if (c == NULL)
		return ERR_OVERLOADED;
	c->engine = g;
	c->base.ops = &upcurl_ops;
	c->base.ev = ev;
	c->base.ctx = ctx;
	c->n_parts = rq->n_parts;
	for (i = 0; i < rq->n_parts; i++) {
		c->parts[i] = rq->parts[i];
		c->body_len += rq->parts[i].len;
	}
	c->connect_ms = rq->connect_timeout_ms;
	c->first_byte_ms = rq->first_byte_timeout_ms;
	c->idle_ms = rq->idle_timeout_ms;
	c->easy = g->n_spare > 0 ? g->spare[--g->n_spare] : curl_easy_init();
	rc = c->easy != NULL ? upcurl_fields(c, rq) : ERR_NOMEM;
	if (rc == 0) {
		upcurl_options(c, rq, url);
		g->depth++;
		if (curl_multi_add_handle(g->multi, c->easy) != CURLM_OK)
			rc = ERR_NOMEM;
		g->depth--;
	}
	if (rc != 0) {
		upcurl_call_free(&c->deferred);
		return rc;
	}
	c->next = g->in_flight;
	if (c->next != NULL)
		c->next->prev = c;
	g->in_flight = c;
	g->n_in_flight++;
	upcurl_deadline(c, c->connect_ms + c->first_byte_ms);
	timer_set(&g->loop->timers, &c->timer, g->loop->mono + NS_PER_S,
	    upcurl_call_timer);
	*ret = &c->base;
	return 0;
}

static int
upcurl_error_of(struct upcurl_call *c, CURLcode code)
{
	if (c->timed_out || code == CURLE_OPERATION_TIMEDOUT)
		return ERR_UPSTREAM_TIMEOUT;
	return code == CURLE_OK ? 0 : ERR_UPSTREAM;
}

static void
upcurl_report_done(struct upcurl_call *c, CURLcode code)
{
	c->res.sent_all = c->sent == c->body_len && c->res.connected;
	c->res.error = upcurl_error_of(c, code);
	if (c->timed_out)
		(void)snprintf(c->res.text, sizeof(c->res.text), "%s",
		    c->head_ready ? "the answer stalled" : "no answer in time");
	else if (code != CURLE_OK)
		(void)snprintf(c->res.text, sizeof(c->res.text), "%s",
		    curl_easy_strerror(code));
	if (c->res.error == 0)
		upcurl_report_head(c);
	upcurl_remove(c);
	if (c->base.over)
		return;
	c->base.over = true;
	c->base.ev->done(c->base.ctx, &c->res);
}

bool
upcurl_turn(struct upcurl *g)
{
	struct upcurl_call *c, *next;
	CURLMsg *m;
	void *private;
	int left;

	if (!g->look)
		return false;
	g->look = false;
	while ((m = curl_multi_info_read(g->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		private = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
		upcurl_report_done(private, m->data.result);
	}
	for (c = g->in_flight; c != NULL; c = next) {
		next = c->next;
		if (c->cancelled) {
			upcurl_remove(c);
		} else if (c->timed_out) {
			upcurl_report_done(c, CURLE_OPERATION_TIMEDOUT);
			next = g->in_flight; /* the list may have changed */
		}
	}
	return g->look;
}

uint64_t
upcurl_connects(const struct upcurl *g)
{
	return g->n_connects;
}

unsigned
upcurl_in_flight(const struct upcurl *g)
{
	return g->n_in_flight;
}
