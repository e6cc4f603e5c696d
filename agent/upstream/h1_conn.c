/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection pool of the HTTP/1.1 engine.
 */
#include "agent/upstream/h1_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define H1_ORIGIN_AGE (600 * NS_PER_S) /* without a connection */
#define H1_EVENTS     (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void
h1_conn_ready(struct loop_source *s, uint32_t events)
{
	struct h1_conn *c = (struct h1_conn *)s;

	c->pool->ready(c, events);
}

void
h1_conns_init(struct h1_conns *p, struct loop *l, const struct up_limits *lim,
    void (*ready)(struct h1_conn *c, uint32_t events))
{
	memset(p, 0, sizeof(*p));
	p->loop = l;
	p->lim = *lim;
	p->ready = ready;
	pool_init(&p->pool, sizeof(struct h1_conn),
	    lim->max_calls * 2 + lim->max_idle);
}

void
h1_conns_release(struct h1_conns *p)
{
	struct h1_origin *o;

	for (o = p->origins; o != NULL; o = o->next)
		while (o->idle != NULL)
			h1_conn_close(h1_conn_reuse(p, o));
	loop_end_turn(p->loop); /* closed ones still name their origin */
	while ((o = p->origins) != NULL) {
		p->origins = o->next;
		free(o);
	}
	pool_release(&p->pool);
}

static bool
h1_address(
    struct str host, uint16_t port, struct sockaddr_storage *sa, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)sa;
	char text[64];

	memset(sa, 0, sizeof(*sa));
	if (str_eq(host, STR("localhost")))
		host = STR("127.0.0.1");
	if (str_copy(host, text, sizeof(text)) != 0)
		return false;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*len = sizeof(*v6);
		return true;
	}
	return false;
}

bool
h1_host_is_numeric(struct str host)
{
	struct sockaddr_storage sa;
	socklen_t len;

	return h1_address(host, 0, &sa, &len);
}

struct h1_origin *
h1_origin_find(struct h1_conns *p, const struct b_provider *provider)
{
	struct h1_origin *o;

	for (o = p->origins; o != NULL; o = o->next) {
		if (o->port == provider->port &&
		    memcmp(o->pool_id, provider->pool_id, sizeof(o->pool_id)) ==
			0 &&
		    str_eqz(provider->host, o->host)) {
			o->used_at = p->loop->mono;
			return o;
		}
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return NULL;
	if (str_copy(provider->host, o->host, sizeof(o->host)) != 0 ||
	    !h1_address(
		provider->host, provider->port, &o->addr, &o->addr_len)) {
		free(o);
		return NULL;
	}
	o->port = provider->port;
	memcpy(o->pool_id, provider->pool_id, sizeof(o->pool_id));
	o->max_idle = provider->max_connections > 0 ? provider->max_connections
						    : p->lim.max_idle;
	(void)snprintf(o->authority, sizeof(o->authority),
	    o->addr.ss_family == AF_INET6 ? "[%s]" : "%s", o->host);
	if (o->port != 80) {
		size_t n = strlen(o->authority);

		(void)snprintf(o->authority + n, sizeof(o->authority) - n,
		    ":%u", (unsigned)o->port);
	}
	o->used_at = p->loop->mono;
	o->next = p->origins;
	p->origins = o;
	return o;
}

static void
h1_idle_unlink(struct h1_conn *c)
{
	struct h1_origin *o = c->origin;

	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		o->idle = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->next = c->prev = NULL;
	o->n_idle--;
	c->idle_since = 0;
}

struct h1_conn *
h1_conn_reuse(struct h1_conns *p, struct h1_origin *o)
{
	struct h1_conn *c = o->idle;

	(void)p;
	if (c != NULL)
		h1_idle_unlink(c);
	return c;
}

int
h1_conn_open(struct h1_conns *p, struct h1_origin *o, struct h1_conn **ret)
{
	struct h1_conn *c;
	int fd, on = 1;

	fd = socket(
	    o->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_OVERLOADED;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&o->addr, o->addr_len) != 0 &&
	    errno != EINPROGRESS) {
		close(fd);
		return ERR_UPSTREAM;
	}
	c = pool_get(&p->pool);
	if (c == NULL) {
		close(fd);
		return ERR_OVERLOADED;
	}
	c->src.fd = fd;
	c->src.ready = h1_conn_ready;
	c->pool = p;
	c->origin = o;
	c->connecting = true;
	buf_init(&c->head, p->lim.max_head);
	if (loop_add(p->loop, &c->src, H1_EVENTS) != 0) {
		close(fd);
		pool_put(&p->pool, c);
		return ERR_OVERLOADED;
	}
	p->n_connects++;
	o->n_conns++;
	*ret = c;
	return 0;
}

void
h1_conn_rest(struct h1_conn *c)
{
	struct h1_origin *o = c->origin;

	c->call = NULL;
	if (o->n_idle >= o->max_idle) {
		h1_conn_close(c);
		return;
	}
	if (c->head.cap > 0)
		buf_release(&c->head);
	c->idle_since = c->pool->loop->mono;
	c->prev = NULL;
	c->next = o->idle;
	if (o->idle != NULL)
		o->idle->prev = c;
	o->idle = c;
	o->n_idle++;
}

static void
h1_conn_free(struct loop_deferred *d)
{
	struct h1_conn *c =
	    (struct h1_conn *)(void *)((char *)d -
				       offsetof(struct h1_conn, deferred));

	buf_release(&c->head);
	c->origin->n_conns--;
	pool_put(&c->pool->pool, c);
}

static void
h1_more_unlink(struct h1_conn *c)
{
	struct h1_conn **at = &c->pool->more;

	while (*at != NULL && *at != c)
		at = &(*at)->more_next;
	if (*at == c)
		*at = c->more_next;
	c->in_more = false;
}

void
h1_conn_close(struct h1_conn *c)
{
	if (c->closed)
		return;
	if (c->idle_since != 0)
		h1_idle_unlink(c);
	if (c->in_more)
		h1_more_unlink(c);
	c->closed = true;
	c->call = NULL;
	loop_forget(&c->src);
	close(c->src.fd);
	loop_defer(c->pool->loop, &c->deferred, h1_conn_free);
}

void
h1_conn_more(struct h1_conn *c)
{
	if (c->in_more || c->closed)
		return;
	c->in_more = true;
	c->more_next = c->pool->more;
	c->pool->more = c;
}

/* Credentials change, so origins come and go. */
static void
h1_origins_sweep(struct h1_conns *p)
{
	struct h1_origin **at = &p->origins, *o;

	while ((o = *at) != NULL) {
		if (o->n_conns > 0 ||
		    p->loop->mono - o->used_at < H1_ORIGIN_AGE) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		free(o);
	}
}

void
h1_conns_sweep(struct h1_conns *p)
{
	int64_t now = p->loop->mono;
	struct h1_origin *o;
	struct h1_conn *c, *next;

	if (now < p->next_sweep)
		return;
	p->next_sweep = now + NS_PER_S;
	for (o = p->origins; o != NULL; o = o->next) {
		for (c = o->idle; c != NULL; c = next) {
			next = c->next;
			if (now - c->idle_since >= p->lim.max_idle_age)
				h1_conn_close(c);
		}
	}
	h1_origins_sweep(p);
}
