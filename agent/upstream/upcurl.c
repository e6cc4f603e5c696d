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
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/upstream/upcurl_priv.h"

static struct upcurl_call *
upcurl_call_of(struct up_call *base)
{
	return (struct upcurl_call *)(void *)base;
}

static void
upcurl_kick(struct upcurl_pool *p, curl_socket_t fd, int mask)
{
	struct upcurl *g = p->engine;
	int running;

	g->depth++;
	(void)curl_multi_socket_action(p->multi, fd, mask, &running);
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
	upcurl_kick(k->pool, s->fd, mask);
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

int
upcurl_on_close(void *ctx, curl_socket_t fd)
{
	(void)ctx;
	return close(fd);
}

/* libcurl tells which events it wants of a socket. */
static int
upcurl_on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *sock)
{
	struct upcurl_pool *p = ctx;
	struct upcurl *g = p->engine;
	struct upcurl_socket *k = sock;
	uint32_t events = 0;
	struct epoll_event ev;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		/* Level-triggered: unwatched while nobody wants it. */
		if (k != NULL) {
			loop_del(g->loop, &k->src);
			curl_multi_assign(p->multi, fd, NULL);
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
		k->pool = p;
		k->src.fd = fd;
		k->src.ready = upcurl_socket_ready;
		if (loop_add(g->loop, &k->src, events) != 0) {
			pool_put(&g->sockets, k);
			return -1;
		}
		curl_multi_assign(p->multi, fd, k);
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
	struct upcurl_pool *p =
	    (struct upcurl_pool *)(void *)((char *)t -
					   offsetof(struct upcurl_pool, timer));

	(void)now;
	upcurl_kick(p, CURL_SOCKET_TIMEOUT, 0);
}

static int
upcurl_on_timer(CURLM *multi, long ms, void *ctx)
{
	struct upcurl_pool *p = ctx;
	struct loop *l = p->engine->loop;

	(void)multi;
	if (ms < 0)
		timer_cancel(&l->timers, &p->timer);
	else
		timer_set(&l->timers, &p->timer, l->mono + ms * NS_PER_MS,
		    upcurl_timer_fire);
	return 0;
}

void
upcurl_deadline(struct upcurl_call *c, uint32_t ms)
{
	c->deadline = c->engine->loop->mono + ms * NS_PER_MS;
}

size_t
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

size_t
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

int
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
	return g;
}

static void
upcurl_pool_free(struct upcurl_pool *p)
{
	MUST(p->n_calls == 0);
	while (p->n_spare > 0)
		curl_easy_cleanup(p->spare[--p->n_spare]);
	curl_multi_cleanup(p->multi);
	timer_cancel(&p->engine->loop->timers, &p->timer);
	free(p);
}

static struct upcurl_pool *
upcurl_pool_new(struct upcurl *g, const struct b_provider *b)
{
	struct upcurl_pool *p = calloc(1, sizeof(*p));
	size_t max =
	    b->max_connections > 0 ? b->max_connections : g->lim.max_idle;

	if (p == NULL)
		return NULL;
	p->multi = curl_multi_init();
	if (p->multi == NULL) {
		free(p);
		return NULL;
	}
	p->engine = g;
	memcpy(p->id, b->pool_id, sizeof(p->id));
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, upcurl_on_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, upcurl_on_timer);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)max);
	p->next = g->pools;
	g->pools = p;
	return p;
}

/* Configurations come and go: drop the pools that nobody used for long. */
static void
upcurl_sweep(struct upcurl *g)
{
	struct upcurl_pool **at = &g->pools, *p;

	if (g->depth > 0 || g->loop->mono < g->next_sweep)
		return;
	g->next_sweep = g->loop->mono + 60 * NS_PER_S;
	while ((p = *at) != NULL) {
		if (p->n_calls > 0 ||
		    g->loop->mono - p->used_at < UPCURL_POOL_AGE) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		upcurl_pool_free(p);
	}
}

static struct upcurl_pool *
upcurl_pool_find(struct upcurl *g, const struct b_provider *b)
{
	struct upcurl_pool *p;

	upcurl_sweep(g);
	for (p = g->pools; p != NULL; p = p->next)
		if (memcmp(p->id, b->pool_id, sizeof(p->id)) == 0)
			break;
	if (p == NULL)
		p = upcurl_pool_new(g, b);
	if (p != NULL)
		p->used_at = g->loop->mono;
	return p;
}

void
upcurl_free(struct upcurl *g)
{
	struct upcurl_pool *p;

	if (g == NULL)
		return;
	MUST(g->in_flight == NULL);
	loop_end_turn(g->loop);
	while ((p = g->pools) != NULL) {
		g->pools = p->next;
		upcurl_pool_free(p);
	}
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
	struct upcurl_pool *p = c->pool;

	curl_slist_free_all(c->fields);
	if (c->easy != NULL && p->n_spare < UPCURL_MAX_SPARE) {
		curl_easy_reset(c->easy);
		p->spare[p->n_spare++] = c->easy;
	} else {
		curl_easy_cleanup(c->easy);
	}
	p->n_calls--;
	pool_put(&c->engine->calls, c);
}

/* Take the call out of libcurl. Not from inside its callbacks. */
static void
upcurl_remove(struct upcurl_call *c)
{
	struct upcurl *g = c->engine;

	g->depth++;
	curl_multi_remove_handle(c->pool->multi, c->easy);
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

/* Let the body go on; the answer stays paused when it is. */
static void
upcurl_resume(struct upcurl_call *c)
{
	struct upcurl *g = c->engine;

	c->resume = g->depth > 0;
	g->look = true;
	if (c->resume)
		return;
	g->depth++;
	curl_easy_pause(
	    c->easy, c->base.paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
	g->depth--;
}

static void
upcurl_body_ready(struct up_call *base)
{
	struct upcurl_call *c = upcurl_call_of(base);

	if (!base->over && c->file_left > 0)
		upcurl_resume(c);
}

static const struct up_engine_ops upcurl_ops = {
    upcurl_cancel, upcurl_pause, upcurl_body_ready};

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

static void
upcurl_take(struct upcurl_call *c, const struct up_request *rq)
{
	unsigned i;

	c->n_parts = rq->n_parts;
	for (i = 0; i < rq->n_parts; i++) {
		c->parts[i] = rq->parts[i];
		c->body_len += rq->parts[i].len;
	}
	if (rq->body_fd_len > 0) {
		c->file = rq->body_fd;
		c->file_at = rq->body_fd_offset;
		c->file_left = rq->body_fd_len;
		c->body_len += (uint64_t)rq->body_fd_len;
	}
	c->connect_ms = rq->connect_timeout_ms;
	c->first_byte_ms = rq->first_byte_timeout_ms;
	c->idle_ms = rq->idle_timeout_ms;
}

static void
upcurl_watch(struct upcurl *g, struct upcurl_call *c)
{
	c->next = g->in_flight;
	if (c->next != NULL)
		c->next->prev = c;
	g->in_flight = c;
	g->n_in_flight++;
	upcurl_deadline(c, c->connect_ms + c->first_byte_ms);
	timer_set(&g->loop->timers, &c->timer, g->loop->mono + NS_PER_S,
	    upcurl_call_timer);
}

int
upcurl_start(struct upcurl *g, const struct up_request *rq,
    const struct up_events *ev, void *ctx, struct up_call **ret)
{
	struct upcurl_pool *p = upcurl_pool_find(g, rq->provider);
	struct upcurl_call *c;
	int rc;

	if (p == NULL)
		return ERR_NOMEM;
	c = pool_get(&g->calls);
	if (c == NULL)
		return ERR_OVERLOADED;
	c->engine = g;
	c->pool = p;
	p->n_calls++;
	c->base.ops = &upcurl_ops;
	c->base.ev = ev;
	c->base.ctx = ctx;
	upcurl_take(c, rq);
	c->easy = p->n_spare > 0 ? p->spare[--p->n_spare] : curl_easy_init();
	rc = c->easy != NULL ? upcurl_easy_set(c, rq) : ERR_NOMEM;
	if (rc == 0) {
		g->depth++;
		if (curl_multi_add_handle(p->multi, c->easy) != CURLM_OK)
			rc = ERR_NOMEM;
		g->depth--;
	}
	if (rc != 0) {
		upcurl_call_free(&c->deferred);
		return rc;
	}
	upcurl_watch(g, c);
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
upcurl_error_text(struct upcurl_call *c, CURLcode code)
{
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	if (status != 0 && status / 100 != 2)
		(void)snprintf(c->res.text, sizeof(c->res.text),
		    "the proxy answered %ld", status);
	else
		(void)snprintf(c->res.text, sizeof(c->res.text), "%s",
		    curl_easy_strerror(code));
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
		upcurl_error_text(c, code);
	if (c->res.error == 0)
		upcurl_report_head(c);
	upcurl_remove(c);
	if (c->base.over)
		return;
	c->base.over = true;
	c->base.ev->done(c->base.ctx, &c->res);
}

static void
upcurl_messages(struct upcurl_pool *p)
{
	CURLMsg *m;
	void *private;
	int left;

	while ((m = curl_multi_info_read(p->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		private = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
		upcurl_report_done(private, m->data.result);
	}
}

bool
upcurl_turn(struct upcurl *g)
{
	struct upcurl_call *c, *next;
	struct upcurl_pool *p;

	if (!g->look)
		return false;
	g->look = false;
	for (p = g->pools; p != NULL; p = p->next)
		upcurl_messages(p);
	for (c = g->in_flight; c != NULL; c = next) {
		next = c->next;
		if (c->cancelled) {
			upcurl_remove(c);
		} else if (c->timed_out) {
			upcurl_report_done(c, CURLE_OPERATION_TIMEDOUT);
			next = g->in_flight; /* the list may have changed */
		} else if (c->resume) {
			upcurl_resume(c);
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
