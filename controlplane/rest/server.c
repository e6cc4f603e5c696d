/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd with what it lacks: it accepts Content-Length together with
 * Transfer-Encoding and serves the smuggled bytes as a second request, so the
 * head is checked here before anything else; an answer that is queued before
 * the body was read makes it close the connection, which is what we want for
 * every refusal of that kind. Paths are taken raw (no unescaping below us).
 * One thread a connection: a pool of event loops would let a handler that
 * waits for the database hold up the other connections of its loop, /livez
 * among them.
 */
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "controlplane/rest/server.h"

#define SERVER_ARENA_MAX (64 << 20) /* of one request */
#define SERVER_STACK	 (1 << 20)
#define SERVER_DRAIN_MAX (64 << 20) /* bytes read and dropped after a 413 */

struct server {
	struct MHD_Daemon *daemon;
	struct server_app app;
	struct server_options o;
	unsigned port;
};

/* The exchange and what only this file needs. */
struct server_exchange {
	struct exchange x; /* first: callbacks get its address */
	char *target;	   /* as sent */
	struct buf body;
	size_t dropped;
	bool head_done;
	bool too_large;
	bool has_body;
};

static void
server_peer(struct MHD_Connection *c, char *dst, size_t cap)
{
	const union MHD_ConnectionInfo *ci =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	socklen_t len = sizeof(struct sockaddr_in6);

	dst[0] = '\0';
	if (ci == NULL || ci->client_addr == NULL)
		return;
	if (ci->client_addr->sa_family == AF_INET)
		len = sizeof(struct sockaddr_in);
	if (getnameinfo(ci->client_addr, len, dst, (socklen_t)cap, NULL, 0,
		NI_NUMERICHOST) != 0)
		dst[0] = '\0';
}

/* First call for a request: the raw target is only known here. */
static void *
server_on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
	struct server *s = cls;
	struct server_exchange *x = calloc(1, sizeof(*x));
	struct http_request *r;

	if (x == NULL)
		return NULL;
	r = &x->x.req;
	x->target = strdup(uri);
	if (x->target == NULL) {
		free(x);
		return NULL;
	}
	x->x.started = clock_mono(clock_system());
	buf_init(&x->body, s->o.max_body);
	buf_init(&x->x.res.body, s->o.max_response);
	arena_init(&r->arena, 4096, SERVER_ARENA_MAX);
	(void)str_cut(str_of(x->target), '?', &r->path, &r->query);
	server_peer(c, r->peer, sizeof(r->peer));
	return x;
}

static void
server_on_done(void *cls, struct MHD_Connection *c, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	struct server *s = cls;
	struct server_exchange *x = *con_cls;

	(void)c;
	(void)why;
	if (x == NULL)
		return;
	*con_cls = NULL;
	s->app.done(s->app.ctx, &x->x);
	arena_release(&x->x.req.arena);
	buf_release(&x->x.res.body);
	if (x->body.data != NULL) /* may hold a credential */
		explicit_bzero(x->body.data, x->body.len);
	buf_release(&x->body);
	free(x->target);
	free(x);
}

static size_t
server_no_unescape(void *cls, struct MHD_Connection *c, char *z)
{
	(void)cls;
	(void)c;
	return strlen(z);
}

static enum MHD_Result
server_on_header(void *cls, enum MHD_ValueKind kind, const char *key,
    size_t key_len, const char *value, size_t value_len)
{
	struct http_request *r = cls;

	(void)kind;
	if (r->n_headers == HTTP_HEADERS_MAX)
		return MHD_NO;
	r->headers[r->n_headers].name = str_make(key, key_len);
	r->headers[r->n_headers].value =
	    str_trim(str_make(value ? value : "", value ? value_len : 0));
	r->n_headers++;
	return MHD_YES;
}

static enum MHD_Result
server_send(struct MHD_Connection *c, struct exchange *x, bool close_it)
{
	struct http_response *r = &x->res;
	struct MHD_Response *m;
	enum MHD_Result ok;
	size_t len = 0, i;
	char *p;

	if (buf_error(&r->body) != 0) {
		/* Too large or no memory: the body is unusable. */
		buf_release(&r->body);
		r->status = 503;
	}
	p = buf_take(&r->body, &len);
	if (p != NULL)
		m = MHD_create_response_from_buffer(
		    len, p, MHD_RESPMEM_MUST_FREE);
	else
		m = MHD_create_response_from_buffer(
		    0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
	if (m == NULL) {
		free(p);
		return MHD_NO;
	}
	if (r->content_type != NULL)
		(void)MHD_add_response_header(
		    m, MHD_HTTP_HEADER_CONTENT_TYPE, r->content_type);
	for (i = 0; i < r->n_headers; i++)
		(void)MHD_add_response_header(
		    m, r->headers[i].name, r->headers[i].value);
	if (close_it)
		(void)MHD_add_response_header(
		    m, MHD_HTTP_HEADER_CONNECTION, "close");
	ok = MHD_queue_response(c, (unsigned)r->status, m);
	MHD_destroy_response(m);
	return ok;
}

static enum MHD_Result
server_refuse(struct server *s, struct MHD_Connection *c, struct exchange *x,
    const struct error *e)
{
	s->app.refuse(s->app.ctx, x, e);
	return server_send(c, x, true);
}

static enum MHD_Result
server_head(struct server *s, struct MHD_Connection *c,
    struct server_exchange *x, const char *method, const char *version)
{
	struct http_request *r = &x->x.req;
	uint64_t len = 0;
	struct str cl;
	struct error e;

	r->method = str_of(method);
	(void)MHD_get_connection_values_n(
	    c, MHD_HEADER_KIND, server_on_header, r);
	if (http_check_head(r, &e) != 0)
		return server_refuse(s, c, &x->x, &e);
	if (strcmp(version, MHD_HTTP_VERSION_1_1) == 0 &&
	    http_header_count(r, "host") == 0) {
		(void)err_set(&e, ERR_INVALID, "Host is missing");
		return server_refuse(s, c, &x->x, &e);
	}
	cl = http_header(r, "content-length");
	if (cl.p != NULL && str_to_u64(cl, &len) != 0)
		len = UINT64_MAX;
	if (len > s->o.max_body) {
		(void)err_set(&e, ERR_TOO_LARGE,
		    "the body may have at most %zu bytes", s->o.max_body);
		return server_refuse(s, c, &x->x, &e);
	}
	x->has_body = len > 0 || http_header(r, "transfer-encoding").p != NULL;
	if (s->app.head(s->app.ctx, &x->x))
		return server_send(c, &x->x, x->has_body);
	return MHD_YES;
}

static enum MHD_Result
server_body(
    struct server *s, struct server_exchange *x, const char *data, size_t *n)
{
	int64_t took = clock_mono(clock_system()) - x->x.started;

	if (took > (int64_t)s->o.request_timeout_s * NS_PER_S)
		return MHD_NO;
	if (!x->too_large && buf_add(&x->body, data, *n) != 0) {
		x->too_large = true;
		buf_release(&x->body);
	}
	if (x->too_large) {
		x->dropped += *n;
		if (x->dropped > SERVER_DRAIN_MAX)
			return MHD_NO;
	}
	*n = 0;
	return MHD_YES;
}

static enum MHD_Result
server_on_request(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *data, size_t *n,
    void **con_cls)
{
	struct server *s = cls;
	struct server_exchange *x = *con_cls;
	struct error e;

	(void)url;
	if (x == NULL)
		return MHD_NO;
	if (!x->head_done) {
		x->head_done = true;
		return server_head(s, c, x, method, version);
	}
	if (*n > 0)
		return server_body(s, x, data, n);
	if (x->too_large) {
		(void)err_set(&e, ERR_TOO_LARGE,
		    "the body may have at most %zu bytes", s->o.max_body);
		return server_refuse(s, c, &x->x, &e);
	}
	x->x.req.body = buf_str(&x->body);
	s->app.answer(s->app.ctx, &x->x);
	return server_send(c, &x->x, false);
}

static int
server_bind(const char *listen_on, int *fd, unsigned *port, struct error *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *ai = NULL;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[256], serv[8];
	const char *colon = strrchr(listen_on, ':'), *h = listen_on;
	size_t n = colon ? (size_t)(colon - listen_on) : 0;
	int one = 1, rc = ERR_INVALID;

	if (n >= 2 && h[0] == '[' && h[n - 1] == ']') {
		h++;
		n -= 2;
	}
	*fd = -1;
	if (colon == NULL || str_copy(str_make(h, n), host, sizeof(host)) ||
	    str_copy(str_of(colon + 1), serv, sizeof(serv)) ||
	    getaddrinfo(n ? host : NULL, serv, &hints, &ai) != 0)
		return err_set(e, ERR_INVALID, "%s: not host:port", listen_on);
	*fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd >= 0 &&
	    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    bind(*fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
	    listen(*fd, 512) == 0 &&
	    getsockname(*fd, (struct sockaddr *)&ss, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&ss, len, NULL, 0, serv,
		sizeof(serv), NI_NUMERICSERV) == 0) {
		*port = (unsigned)strtoul(serv, NULL, 10);
		rc = 0;
	} else {
		rc = err_set(
		    e, ERR_UNAVAILABLE, "cannot listen on %s: %m", listen_on);
		if (*fd >= 0)
			(void)close(*fd);
	}
	freeaddrinfo(ai);
	return rc;
}

static void
server_quiet(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)fmt;
	(void)ap;
}

int
server_start(const struct server_options *o, const struct server_app *app,
    struct server **ret, struct error *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int fd = -1, rc;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->app = *app;
	s->o = *o;
	s->o.max_connections = o->max_connections ? o->max_connections : 1000;
	s->o.idle_timeout_s = o->idle_timeout_s ? o->idle_timeout_s : 30;
	s->o.request_timeout_s =
	    o->request_timeout_s ? o->request_timeout_s : 120;
	s->o.max_body = o->max_body ? o->max_body : (size_t)8 << 20;
	s->o.max_response =
	    o->max_response ? o->max_response : (size_t)256 << 20;
	rc = server_bind(o->listen, &fd, &s->port, e);
	if (rc != 0) {
		free(s);
		return rc;
	}
	s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
					 MHD_USE_THREAD_PER_CONNECTION |
					 MHD_USE_POLL | MHD_USE_ERROR_LOG,
	    0, NULL, NULL, server_on_request, s, MHD_OPTION_EXTERNAL_LOGGER,
	    server_quiet, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_THREAD_STACK_SIZE, (size_t)SERVER_STACK,
	    MHD_OPTION_CONNECTION_LIMIT, s->o.max_connections,
	    MHD_OPTION_CONNECTION_TIMEOUT, s->o.idle_timeout_s,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32 << 10,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
	    server_no_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK,
	    server_on_uri, s, MHD_OPTION_NOTIFY_COMPLETED, server_on_done, s,
	    MHD_OPTION_END);
	if (s->daemon == NULL) {
		(void)close(fd);
		free(s);
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot start the HTTP server");
	}
	*ret = s;
	return 0;
}

unsigned
server_port(const struct server *s)
{
	return s->port;
}

void
server_stop(struct server *s)
{
	if (s == NULL)
		return;
	MHD_stop_daemon(s->daemon); /* closes the socket */
	free(s);
}
