/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto/channel_door: a listener that nng gave up is replaced, one that works
 * is not, whoever waits there. This program's sendmsg(2) says EPIPE to the
 * server when it is told to, which is what nng 1.5.2 takes for the listener's
 * end.
 */
#include "proto/channel_door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/channel.h"
#include "tests/unit/proto/channel_kit.h"
#include "tests/unit/proto/nng_leaks.h"
#include "tests/unit/support/unit.h"

static atomic_uint broken_port; /* 0 = none */
static atomic_uint n_broken;

static struct error e;
static struct channel_server *server;
static atomic_uint n_heard;

static uint16_t
local_port(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0 ||
	    a.sin_family != AF_INET)
		return 0;
	return ntohs(a.sin_port);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	unsigned port = atomic_load(&broken_port);

	if (port != 0 && local_port(fd) == port) {
		atomic_fetch_add(&n_broken, 1);
		errno = EPIPE;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, m, flags);
}

static void
start(void)
{
	struct channel_server_options opt = {.listen = "127.0.0.1:0",
	    .listen_publish = "0.0.0.0:0",
	    .cert_pem = tls_cert,
	    .key_pem = tls_key,
	    .n_workers = 2,
	    .handle = kit_on_request};
	int rc = channel_server_new(&opt, &server, &e);

	atomic_store(&n_broken, 0);
	atomic_store(&n_heard, 0);

	ck_assert_msg(rc == 0, "%s", e.text);
}

static int
echo(struct channel_client *c)
{
	struct buf reply;
	int rc;

	buf_init(&reply, 100);
	rc = channel_call(c, STR("hello"), 30000, &reply, &e);
	ck_assert(rc != 0 || str_eq(buf_str(&reply), STR("hello")));
	buf_release(&reply);
	return rc;
}

/* The caller believes that it is connected; the call is not heard and ends with
 * the connection when the listener is replaced. Then all are served. */
START_TEST(test_callers_are_served)
{
	struct channel_client *old, *fresh;
	int64_t since;

	start();
	old = kit_client(channel_server_port(server), 0);
	ck_assert_int_eq(channel_client_wait(old, 10000), 0);
	ck_assert_int_eq(echo(old), 0);

	atomic_store(&broken_port, channel_server_port(server));
	fresh = kit_client(channel_server_port(server), 0);
	while (atomic_load(&n_broken) < 2) /* the first is dealt with */
		poll(NULL, 0, 1);
	atomic_store(&broken_port, 0);
	channel_client_free(fresh);

	fresh = kit_client(channel_server_port(server), 0);
	since = channel_now_ms();
	do {
		ck_assert_int_eq(channel_client_wait(fresh, 10000), 0);
	} while (echo(fresh) != 0);
	ck_assert_int_lt(channel_now_ms() - since, CHANNEL_DIAL_MAX_MS);
	ck_assert_uint_eq(channel_server_reopened(server), 1);
	ck_assert_int_eq(channel_client_wait(old, 10000), 0);
	ck_assert_int_eq(echo(old), 0);
	channel_client_free(fresh);
	channel_client_free(old);
	ck_assert(channel_server_free(server));
}
END_TEST

static void
on_message(void *ctx, struct str message)
{
	(void)ctx;
	(void)message;
	atomic_fetch_add(&n_heard, 1);
}

static struct channel_sub *
subscriber(void)
{
	char address[64];
	const char *const addresses[] = {address};
	struct channel_sub_options opt = {.addresses = addresses,
	    .n_addresses = 1,
	    .ca_pem = tls_ca,
	    .server_name = "control.test",
	    .topic = "t",
	    .on_message = on_message};
	struct channel_sub *s = NULL;
	int rc;

	snprintf(address, sizeof(address), "tls+tcp://127.0.0.1:%u",
	    channel_server_publish_port(server));
	rc = channel_sub_new(&opt, &s, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return s;
}

START_TEST(test_subscribers_are_served)
{
	struct channel_sub *s;

	start();
	atomic_store(&broken_port, channel_server_publish_port(server));
	s = subscriber();
	while (atomic_load(&n_broken) < 2) /* the first is dealt with */
		poll(NULL, 0, 1);
	atomic_store(&broken_port, 0);
	channel_sub_free(s);
	s = subscriber();
	while (atomic_load(&n_heard) == 0) {
		ck_assert_int_eq(channel_publish(server, "t", STR("x")), 0);
		poll(NULL, 0, 10);
	}
	ck_assert_uint_eq(channel_server_reopened(server), 1);
	channel_sub_free(s);
	ck_assert(channel_server_free(server));
}
END_TEST

/* Somebody who says nothing at all is no reason: the probe comes through. */
START_TEST(test_a_silent_caller)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct channel_client *c;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	start();
	c = kit_client(channel_server_port(server), 0);
	ck_assert_int_eq(channel_client_wait(c, 10000), 0);
	a.sin_port = htons(channel_server_port(server));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	while (channel_server_peers(server) < 2) /* the probe */
		poll(NULL, 0, 1);
	while (channel_server_peers(server) > 1)
		poll(NULL, 0, 1);
	ck_assert_uint_eq(channel_server_reopened(server), 0);
	ck_assert_int_eq(echo(c), 0);
	close(fd);
	channel_client_free(c);
	ck_assert(channel_server_free(server));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/channel_door");

	signal(SIGPIPE, SIG_IGN);
	UNIT_ADD(s, test_callers_are_served);
	UNIT_ADD(s, test_subscribers_are_served);
	UNIT_ADD(s, test_a_silent_caller);
	return unit_run(s);
}
