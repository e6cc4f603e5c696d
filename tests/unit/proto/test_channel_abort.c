/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers of proto/channel that leave in the middle of their handshake, in
 * every way TCP knows. nng 1.5.2 can take a reset for the end of its listener
 * (proto/channel_door.h); a fresh caller is served nevertheless, and who is
 * connected stays so.
 */
#include "proto/channel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/channel_errno.h"
#include "proto/channel_priv.h"
#include "tests/unit/proto/channel_kit.h"
#include "tests/unit/proto/nng_leaks.h"
#include "tests/unit/support/unit.h"

#define N_THREADS 4
#define N_CALLERS 400 /* of each thread */

static struct error e;
static struct channel_server *server;
static char hello[1024]; /* a client's first flight */
static size_t hello_len;

static struct sockaddr_in
at_port(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Served, if need be by a listener that took the place of another. */
static void
echo(struct channel_client *c)
{
	int64_t end = channel_now_ms() + CHANNEL_DIAL_MAX_MS;
	struct buf reply;
	int rc;

	do {
		buf_init(&reply, 100);
		rc = channel_client_wait(c, 10000);
		if (rc == 0)
			rc = channel_call(c, STR("hello"), 5000, &reply, &e);
		ck_assert(rc != 0 || str_eq(buf_str(&reply), STR("hello")));
		buf_release(&reply);
	} while (rc != 0 && channel_now_ms() < end);
	ck_assert_msg(rc == 0, "%s", e.text);
}

/* What a client says first. */
static void
learn_hello(void)
{
	struct sockaddr_in a = at_port(0);
	socklen_t len = sizeof(a);
	int fd, caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct channel_client *c;
	ssize_t n;

	ck_assert_int_eq(bind(caller, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(caller, 1), 0);
	ck_assert_int_eq(getsockname(caller, (struct sockaddr *)&a, &len), 0);
	c = kit_client(ntohs(a.sin_port), 0);
	fd = accept(caller, NULL, NULL);
	n = read(fd, hello, sizeof(hello));
	ck_assert_int_gt(n, 50);
	hello_len = (size_t)n;

	close(fd);
	close(caller);
	channel_client_free(c);
}

static void
leave(int fd, unsigned how)
{
	struct linger hard = {1, 0};
	char data[4096];

	if (how & 1)
		(void)!read(fd, data, sizeof(data));
	if (how & 2)
		shutdown(fd, SHUT_WR);
	if (how & 4)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (how & 8)
		(void)!write(fd, data, sizeof(data));
	close(fd);
}

static void *
abuse(void *arg)
{
	struct sockaddr_in a = at_port(channel_server_port(server));
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < N_CALLERS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		unsigned how = (unsigned)rand_r(&seed);
		size_t part =
		    how & 32 ? hello_len : (unsigned)rand_r(&seed) % hello_len;

		if (i % 2 == 0) { /* while the answer is computed */
			how = 4;
			part = hello_len;
		}
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		    write(fd, hello, part) == (ssize_t)part)
			leave(fd, part == hello_len ? how : how & ~1U);
		else
			close(fd);
	}
	return NULL;
}

START_TEST(test_callers_that_leave)
{
	struct channel_server_options opt = {.listen = "127.0.0.1:0",
	    .listen_publish = "127.0.0.1:0",
	    .cert_pem = tls_cert,
	    .key_pem = tls_key,
	    .n_workers = 3,
	    .handle = kit_on_request};
	struct channel_client *old, *fresh;
	pthread_t threads[N_THREADS];
	int rc = channel_server_new(&opt, &server, &e);

	ck_assert_msg(rc == 0, "%s", e.text);
	learn_hello();
	old = kit_client(channel_server_port(server), 0);
	echo(old);
	for (unsigned i = 0; i < N_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, abuse,
				     (void *)(uintptr_t)(i + 1)),
		    0);
	for (unsigned i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	echo(old);
	fresh = kit_client(channel_server_port(server), 0);
	echo(fresh);
	echo(old);
	channel_client_free(fresh);
	channel_client_free(old);
	(void)channel_server_free(server);
}
END_TEST

/* A connection that was reset is not one that nng closed itself. */
START_TEST(test_reset_is_no_end)
{
	struct sockaddr_in a = at_port(0);
	struct linger hard = {1, 0};
	struct iovec v = {hello, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	socklen_t len = sizeof(a);
	int here = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, peer;

	if (!channel_errno_mended()) {
		close(here);
		return;
	}
	ck_assert_int_eq(bind(here, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(here, 1), 0);
	ck_assert_int_eq(getsockname(here, (struct sockaddr *)&a, &len), 0);
	peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&a, sizeof(a)), 0);
	fd = accept(here, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0); /* makes it EPIPE */
	ck_assert_int_eq(
	    setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	close(peer);
	for (int i = 0; i < 2; i++) {
		errno = 0;
		ck_assert_int_lt(sendmsg(fd, &m, MSG_NOSIGNAL), 0);
		ck_assert_int_eq(errno, ECONNRESET);
	}
	close(fd);
	close(here);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/channel_abort");

	signal(SIGPIPE, SIG_IGN);
	UNIT_ADD(s, test_reset_is_no_end);
	UNIT_ADD(s, test_callers_that_leave);
	return unit_run(s);
}
