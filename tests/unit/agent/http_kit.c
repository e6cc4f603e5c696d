/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/agent/http_kit.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX ((size_t)4 << 20)

/* False when the test ended, or when the connection rests and another one
 * comes. */
static bool
kit_wait(struct http_kit *k, int fd, bool rests)
{
	struct pollfd p[3] = {{fd, POLLIN, 0}, {k->wake[0], POLLIN, 0},
	    {rests ? k->fd : -1, POLLIN, 0}};

	while (poll(p, 3, -1) < 0)
		;
	return p[1].revents == 0 && (p[0].revents != 0 || p[2].revents == 0);
}

static bool
kit_whole(const char *raw, size_t n)
{
	const char *end = memmem(raw, n, "\r\n\r\n", 4), *len;
	size_t body = 0;

	if (end == NULL)
		return false;
	len = strcasestr(raw, "\r\ncontent-length:");
	if (len != NULL && len < end)
		body = (size_t)strtoull(len + 17, NULL, 10);
	return n >= (size_t)(end - raw) + 4 + body;
}

static char *
kit_read(struct http_kit *k, int fd)
{
	char *raw = malloc(REQUEST_MAX);
	size_t n = 0;
	ssize_t r;

	raw[0] = '\0';
	while (!kit_whole(raw, n)) {
		r = kit_wait(k, fd, n == 0)
			? recv(fd, raw + n, REQUEST_MAX - n - 1, 0)
			: 0;
		if (r <= 0) {
			free(raw);
			return NULL;
		}
		n += (size_t)r;
		raw[n] = '\0';
	}
	return raw;
}

static void
kit_serve(struct http_kit *k, int fd)
{
	const char *answer;
	unsigned n;
	char *raw;

	while ((raw = kit_read(k, fd)) != NULL) {
		n = atomic_load(&k->n_requests);
		answer = k->answer(k->ctx, n, raw);
		if (n < HTTP_KIT_MAX)
			k->requests[n] = raw;
		else
			free(raw);
		atomic_store(&k->n_requests, n + 1);
		if (answer == NULL ||
		    send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			return;
	}
}

static void *
kit_main(void *ctx)
{
	struct http_kit *k = ctx;
	int fd;

	while (kit_wait(k, k->fd, false)) {
		fd = accept(k->fd, NULL, NULL);
		if (fd < 0)
			continue;
		atomic_fetch_add(&k->n_connections, 1);
		kit_serve(k, fd);
		close(fd);
	}
	return NULL;
}

void
http_kit_start(struct http_kit *k,
    const char *(*answer)(void *ctx, unsigned n, const char *request),
    void *ctx)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	memset(k, 0, sizeof(*k));
	k->answer = answer;
	k->ctx = ctx;
	k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(k->fd, 0);
	ck_assert_int_eq(bind(k->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(k->fd, 16), 0);
	ck_assert_int_eq(getsockname(k->fd, (struct sockaddr *)&a, &len), 0);
	k->port = ntohs(a.sin_port);
	ck_assert_int_eq(pipe(k->wake), 0);
	ck_assert_int_eq(pthread_create(&k->thread, NULL, kit_main, k), 0);
}

void
http_kit_stop(struct http_kit *k)
{
	ck_assert_int_eq(write(k->wake[1], "x", 1), 1);
	pthread_join(k->thread, NULL);
	close(k->fd);
	close(k->wake[0]);
	close(k->wake[1]);
}

void
http_kit_release(struct http_kit *k)
{
	for (unsigned i = 0; i < HTTP_KIT_MAX; i++)
		free(k->requests[i]);
}
