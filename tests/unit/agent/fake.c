/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fake.h. No checks of libcheck here: the fake's threads are not the
 * test's.
 */
#include "tests/unit/agent/fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define FAKE_TIMEOUT 10000 /* ms; a test that waits longer has failed */

struct fake_conn {
	struct fake *f;
	int fd;
};

static long
fake_body_len(const char *head)
{
	const char *p = strcasestr(head, "\r\ncontent-length:");

	return p != NULL ? strtol(p + 17, NULL, 10) : 0;
}

/* Read one request; its length, 0 at the end. */
static size_t
fake_read(int fd, char *dst, size_t cap)
{
	size_t n = 0;
	char *end;
	ssize_t k;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		dst[n] = '\0';
		end = strstr(dst, "\r\n\r\n");
		if (end != NULL &&
		    n >= (size_t)(end + 4 - dst) + (size_t)fake_body_len(dst))
			return n;
		if (n + 1 >= cap || poll(&p, 1, FAKE_TIMEOUT) <= 0)
			return 0;
		k = recv(fd, dst + n, cap - 1 - n, 0);
		if (k <= 0)
			return 0;
		n += (size_t)k;
	}
}

static void *
fake_conn_main(void *arg)
{
	struct fake_conn *c = arg;
	struct fake *f = c->f;
	static const size_t cap = sizeof(f->last);
	char *request = malloc(cap);
	int n = 0;

	while (request != NULL && fake_read(c->fd, request, cap) > 0) {
		pthread_mutex_lock(&f->lock);
		memcpy(f->last, request, cap);
		pthread_mutex_unlock(&f->lock);
		atomic_fetch_add(&f->n_requests, 1);
		if (!f->serve(f, c->fd, request, n++))
			break;
	}
	free(request);
	close(c->fd);
	free(c);
	return NULL;
}

static void *
fake_main(void *arg)
{
	struct fake *f = arg;
	struct fake_conn *c;
	int fd;

	while ((fd = accept(f->listen_fd, NULL, NULL)) >= 0) {
		c = malloc(sizeof(*c));
		if (c == NULL || atomic_load(&f->stopping) ||
		    f->n_conns == FAKE_MAX_CONNS) {
			close(fd);
			free(c);
			continue;
		}
		c->f = f;
		c->fd = fd;
		if (pthread_create(
			&f->conns[f->n_conns], NULL, fake_conn_main, c) == 0)
			f->n_conns++;
	}
	return NULL;
}

static int
fake_die(const char *what)
{
	perror(what);
	abort();
}

void
fake_start(struct fake *f, fake_fn *serve)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	f->serve = serve;
	f->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (f->listen_fd < 0 ||
	    bind(f->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    listen(f->listen_fd, 64) != 0 ||
	    getsockname(f->listen_fd, (struct sockaddr *)&sa, &len) != 0)
		fake_die("fake_start");
	f->port = ntohs(sa.sin_port);
	(void)snprintf(
	    f->url, sizeof(f->url), "http://127.0.0.1:%d/v1", f->port);
	if (pthread_create(&f->acceptor, NULL, fake_main, f) != 0)
		fake_die("pthread_create");
}

void
fake_stop(struct fake *f)
{
	int i;

	atomic_store(&f->stopping, 1);
	(void)shutdown(f->listen_fd, SHUT_RDWR);
	pthread_join(f->acceptor, NULL);
	close(f->listen_fd);
	for (i = 0; i < f->n_conns; i++)
		pthread_join(f->conns[i], NULL);
	pthread_mutex_destroy(&f->lock);
}

void
fake_send(int fd, const char *text)
{
	size_t n = strlen(text), at = 0;
	ssize_t k;

	while (at < n) {
		k = send(fd, text + at, n - at, MSG_NOSIGNAL);
		if (k <= 0)
			return;
		at += (size_t)k;
	}
}

static int64_t
fake_now_ms(void)
{
	return clock_mono(clock_system()) / NS_PER_MS;
}

int
fake_wait_gone(int fd, int timeout_ms)
{
	int64_t start = fake_now_ms();
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	if (poll(&p, 1, timeout_ms) <= 0)
		return -1;
	return (int)(fake_now_ms() - start);
}

int
http_connect(int port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sa.sin_port = htons((uint16_t)port);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		fake_die("http_connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

void
http_send(int fd, const char *text)
{
	fake_send(fd, text);
}

void
http_post(int fd, const char *path, const char *key, const char *extra,
    const char *body)
{
	size_t cap = strlen(body) + strlen(extra) + 1024;
	char *text = malloc(cap);

	if (text == NULL)
		fake_die("http_post");
	(void)snprintf(text, cap,
	    "POST %s HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
	    path, key, strlen(body), extra, body);
	http_send(fd, text);
	free(text);
}

/* Is the answer complete by its own framing? */
static bool
http_complete(const char *dst, size_t n)
{
	const char *end = strstr(dst, "\r\n\r\n");
	size_t body;

	if (end == NULL)
		return false;
	body = n - (size_t)(end + 4 - dst);
	if (strcasestr(dst, "\r\ntransfer-encoding: chunked") != NULL)
		return n >= 7 && memcmp(dst + n - 5, "0\r\n\r\n", 5) == 0;
	return strcasestr(dst, "\r\ncontent-length:") != NULL &&
	       body >= (size_t)fake_body_len(dst);
}

long
http_recv(int fd, char *dst, size_t cap, bool *clean)
{
	size_t n = 0;
	ssize_t k;

	*clean = false;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		dst[n] = '\0';
		if (http_complete(dst, n)) {
			*clean = true;
			return (long)n;
		}
		if (n + 1 >= cap || poll(&p, 1, FAKE_TIMEOUT) <= 0)
			return -1;
		k = recv(fd, dst + n, cap - 1 - n, 0);
		if (k <= 0)
			return (long)n;
		n += (size_t)k;
	}
}

int
http_status(const char *answer)
{
	return strncmp(answer, "HTTP/1.1 ", 9) == 0
		   ? (int)strtol(answer + 9, NULL, 10)
		   : 0;
}
