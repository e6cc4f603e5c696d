/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto/channel behind a relay that swallows bytes without a word: neither side
 * hears that the connection is dead, nor does it ever work again. Once the
 * relay lets fresh connections through, client and subscriber have one within
 * the time channel.h promises, and what was given up on the way is freed.
 */
#include "proto/channel.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/channel_priv.h"
#include "tests/unit/proto/channel_kit.h"
#include "tests/unit/proto/nng_leaks.h"
#include "tests/unit/support/unit.h"

#define MAX_PAIRS 1000

/* ---- the relay ----------------------------------------------------------- */

struct pair {
	int fd[2];
	bool dead; /* lost bytes: no byte passes any more */
};

static struct {
	int listen;
	uint16_t port, target;
	pthread_t thread;
	atomic_bool swallow, stop;
	atomic_uint n_taken, n_swallowed;
	struct pair pairs[MAX_PAIRS];
	unsigned n;
} relay;

static int
tcp(uint16_t port, bool listening)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	if (listening) {
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		ck_assert_int_eq(listen(fd, 128), 0);
	} else if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
relay_accept(void)
{
	struct pair *p = &relay.pairs[relay.n];
	int fd = accept(relay.listen, NULL, NULL);

	if (fd < 0)
		return;
	p->fd[0] = fd;
	p->fd[1] = relay.n < MAX_PAIRS ? tcp(relay.target, false) : -1;
	p->dead = false;
	atomic_fetch_add(&relay.n_taken, 1);
	if (p->fd[1] < 0)
		close(fd);
	else
		relay.n++;
}

static bool
relay_pass(struct pair *p, int from)
{
	char data[16384];
	ssize_t n = read(p->fd[from], data, sizeof(data));

	if (n <= 0)
		return false;
	if (p->dead || atomic_load(&relay.swallow)) {
		p->dead = true;
		atomic_fetch_add(&relay.n_swallowed, 1);
		return true;
	}
	for (ssize_t done = 0; done < n;) {
		ssize_t m =
		    write(p->fd[!from], data + done, (size_t)(n - done));

		if (m <= 0)
			return false;
		done += m;
	}
	return true;
}

static void
relay_end(struct pair *p)
{
	close(p->fd[0]);
	close(p->fd[1]);
	*p = relay.pairs[--relay.n];
}

static void *
relay_main(void *arg)
{
	static struct pollfd fds[1 + 2 * MAX_PAIRS];

	(void)arg;
	while (!atomic_load(&relay.stop)) {
		fds[0] = (struct pollfd){relay.listen, POLLIN, 0};
		for (unsigned i = 0; i < 2 * relay.n; i++)
			fds[1 + i] = (struct pollfd){
			    relay.pairs[i / 2].fd[i % 2], POLLIN, 0};
		if (poll(fds, 1 + 2 * relay.n, 5) <= 0)
			continue;
		for (unsigned i = relay.n; i-- > 0;)
			for (int k = 0; k < 2; k++)
				if (fds[1 + 2 * i + (unsigned)k].revents != 0 &&
				    !relay_pass(&relay.pairs[i], k)) {
					relay_end(&relay.pairs[i]);
					break;
				}
		if (fds[0].revents != 0)
			relay_accept();
	}
	while (relay.n > 0)
		relay_end(&relay.pairs[0]);
	return NULL;
}

static void
relay_start(uint16_t target)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	relay.listen = tcp(0, true);
	ck_assert_int_eq(
	    getsockname(relay.listen, (struct sockaddr *)&a, &len), 0);
	relay.port = ntohs(a.sin_port);
	relay.target = target;
	ck_assert_int_eq(
	    pthread_create(&relay.thread, NULL, relay_main, NULL), 0);
}

static void
relay_stop(void)
{
	atomic_store(&relay.stop, true);
	pthread_join(relay.thread, NULL);
	close(relay.listen);
}

/* ---- both ends ----------------------------------------------------------- */

static struct error e;
static struct channel_server *server;
static int handshake_ms;
static char address[64];
static const char *const addresses[] = {address};

static void
start(bool publishing)
{
	struct channel_server_options opt = {.listen = "127.0.0.1:0",
	    .listen_publish = "127.0.0.1:0",
	    .cert_pem = tls_cert,
	    .key_pem = tls_key,
	    .n_workers = 3,
	    .handle = kit_on_request};
	int rc;

	opt.handshake_ms = handshake_ms;
	rc = channel_server_new(&opt, &server, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	relay_start(publishing ? channel_server_publish_port(server)
			       : channel_server_port(server));
	snprintf(
	    address, sizeof(address), "tls+tcp://127.0.0.1:%u", relay.port);
}

static void
echo(struct channel_client *c)
{
	struct buf reply;
	int rc;

	buf_init(&reply, 100);
	rc = channel_call(c, STR("hello"), 10000, &reply, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_slice_eq(buf_str(&reply), "hello");
	buf_release(&reply);
}

static void
stop(struct channel_client *c)
{
	channel_client_free(c);
	relay_stop();
	(void)channel_server_free(server);
}

/* ---- tests --------------------------------------------------------------- */

/* The first handshake is swallowed. */
START_TEST(test_handshake_swallowed)
{
	struct channel_client *c;
	int64_t healed;

	start(false);
	atomic_store(&relay.swallow, true);
	c = kit_client(relay.port, 0);
	while (atomic_load(&relay.n_swallowed) == 0)
		poll(NULL, 0, 1);
	ck_assert(!channel_client_connected(c));
	atomic_store(&relay.swallow, false);
	healed = channel_now_ms();
	ck_assert_int_eq(channel_client_wait(c, 60000), 0);
	ck_assert_int_lt(channel_now_ms() - healed, CHANNEL_DIAL_MS + 2000);
	echo(c);
	stop(c);
}
END_TEST

/* Long enough for several links, each of which hangs in its handshake. */
START_TEST(test_long_outage)
{
	struct channel_client *c;
	int64_t healed;

	start(false);
	atomic_store(&relay.swallow, true);
	c = kit_client(relay.port, 0);
	while (atomic_load(&relay.n_taken) < 4) {
		ck_assert(!channel_client_connected(c));
		poll(NULL, 0, 10);
	}
	atomic_store(&relay.swallow, false);
	healed = channel_now_ms();
	ck_assert_int_eq(channel_client_wait(c, 60000), 0);
	ck_assert_int_lt(channel_now_ms() - healed, CHANNEL_DIAL_MAX_MS + 2000);
	echo(c);
	stop(c);
}
END_TEST

/* A request is swallowed: its connection looks alive for ever. The next one
 * goes over a fresh one, soon after the timeout. */
START_TEST(test_request_swallowed)
{
	struct channel_client *c;
	struct buf reply;
	int64_t healed;

	start(false);
	c = kit_client(relay.port, 0);
	buf_init(&reply, 100);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(channel_client_wait(c, 10000), 0);
		echo(c);
		atomic_store(&relay.swallow, true);
		ck_assert_int_eq(
		    channel_call(c, STR("x"), 300, &reply, &e), ERR_TIMEOUT);
		atomic_store(&relay.swallow, false);
		healed = channel_now_ms();
		ck_assert_int_eq(channel_client_wait(c, 60000), 0);
		ck_assert_int_lt(channel_now_ms() - healed, 2000);
		echo(c);
	}
	buf_release(&reply);
	stop(c);
}
END_TEST

static unsigned
entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static unsigned
held(void)
{
	return entries("/proc/self/fd") + entries("/proc/self/task");
}

/* Links that hang in their handshakes are freed: descriptors and threads. Each
 * of LOST links had some; what nng and the relay have of their own varies by a
 * few. */
#define LOST 40
START_TEST(test_nothing_is_left)
{
	struct channel_client *c;
	unsigned before, after;

	start(false);
	c = kit_client(relay.port, 20);
	ck_assert_int_eq(channel_client_wait(c, 10000), 0);
	before = held();
	atomic_store(&relay.swallow, true);
	for (unsigned n = 0; n < LOST; n++) {
		unsigned taken = atomic_load(&relay.n_taken);
		struct buf reply;

		buf_init(&reply, 100);
		(void)!channel_call(c, STR("x"), 10, &reply, &e);
		buf_release(&reply);
		while (atomic_load(&relay.n_taken) == taken) {
			(void)channel_client_connected(c);
			poll(NULL, 0, 1);
		}
	}
	atomic_store(&relay.swallow, false);
	ck_assert_int_eq(channel_client_wait(c, 60000), 0);
	echo(c);
	for (int i = 0; i < 10000; i++) {
		(void)channel_client_connected(c); /* sweeps */
		after = held();
		if (after < before + LOST / 4)
			break;
		poll(NULL, 0, 1);
	}
	ck_assert_uint_lt(after, before + LOST / 4);
	stop(c);
}
END_TEST

static atomic_uint n_heard;

static void
on_message(void *ctx, struct str message)
{
	(void)ctx;
	if (str_eqz(message, "news"))
		atomic_fetch_add(&n_heard, 1);
}

START_TEST(test_subscriber)
{
	struct channel_sub_options opt = {.addresses = addresses,
	    .n_addresses = 1,
	    .ca_pem = tls_ca,
	    .server_name = "control.test",
	    .topic = "eu",
	    .on_message = on_message};
	struct channel_sub *sub = NULL;
	int64_t healed;

	start(true);
	atomic_store(&relay.swallow, true);
	ck_assert_int_eq(channel_sub_new(&opt, &sub, &e), 0);
	while (atomic_load(&relay.n_swallowed) == 0)
		poll(NULL, 0, 1);
	atomic_store(&relay.swallow, false);
	healed = channel_now_ms();
	while (!channel_sub_connected(sub)) {
		ck_assert_int_lt(
		    channel_now_ms() - healed, CHANNEL_DIAL_MS + 3000);
		poll(NULL, 0, 1);
	}
	while (atomic_load(&n_heard) == 0) {
		ck_assert_int_eq(channel_publish(server, "eu", STR("news")), 0);
		poll(NULL, 0, 10);
	}
	channel_sub_free(sub);
	stop(NULL);
}
END_TEST

/* Sockets of this process at the port that have another end; how many of them
 * the kernel asks after half a minute. */
static unsigned
accepted(uint16_t port, unsigned *n_watched)
{
	unsigned n = 0;

	*n_watched = 0;
	for (int fd = 0; fd < 1024; fd++) {
		struct sockaddr_in a;
		socklen_t len = sizeof(a), size = sizeof(int);
		int idle = 0, on = 0;

		if (getsockname(fd, (struct sockaddr *)&a, &len) != 0 ||
		    a.sin_family != AF_INET || ntohs(a.sin_port) != port ||
		    getpeername(fd, (struct sockaddr *)&a, &len) != 0)
			continue;
		n++;
		ck_assert_int_eq(
		    getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size), 0);
		ck_assert_int_eq(
		    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
		*n_watched += on != 0 && idle == 30;
	}
	return n;
}

/* Callers that never say anything, or not all of their handshake, are shut; who
 * has a connection keeps it, however little it says. */
START_TEST(test_silent_callers)
{
	static const char some[] = "\x16\x03\x01\x02";
	struct channel_client *c;
	unsigned n_watched;
	uint16_t port;
	int fds[100];
	char byte;

	handshake_ms = 600;
	start(false);
	port = channel_server_port(server);
	c = kit_client(relay.port, 0);
	ck_assert_int_eq(channel_client_wait(c, 10000), 0);
	echo(c);
	for (int round = 0; round < 2; round++) {
		int n = round == 0 ? 10 : 100; /* the second is a crowd */

		for (int i = 0; i < n; i++) {
			fds[i] = tcp(port, false);
			ck_assert_int_ge(fds[i], 0);
			if (i % 2 == 1)
				ck_assert_int_eq(
				    write(fds[i], some, sizeof(some) - 1),
				    sizeof(some) - 1);
		}
		for (int i = 0; i < n; i++) {
			ck_assert_int_le(read(fds[i], &byte, 1), 0);
			close(fds[i]);
		}
		while (accepted(port, &n_watched) > 1)
			poll(NULL, 0, 1);
		ck_assert_uint_eq(n_watched, 1);
		ck_assert_uint_eq(channel_server_peers(server), 1);
		ck_assert_uint_eq(atomic_load(&relay.n_taken), 1);
		echo(c);
	}
	stop(c);
}
END_TEST

START_TEST(test_pace)
{
	struct channel_pipes p;

	channel_pipes_init(&p, 1000);
	ck_assert(!channel_pipes_is_lost(&p));
	ck_assert_int_eq(channel_pipes_next(&p, 1000), 2000);
	p.patience_ms = CHANNEL_DIAL_MS;
	ck_assert_int_eq(
	    channel_pipes_next(&p, CHANNEL_DIAL_MS), 2 * CHANNEL_DIAL_MS);
	p.patience_ms = CHANNEL_DIAL_MAX_MS - 1;
	ck_assert_int_eq(
	    channel_pipes_next(&p, CHANNEL_DIAL_MS), CHANNEL_DIAL_MAX_MS);
	p.had_one = true;
	ck_assert_int_eq(channel_pipes_next(&p, 1000), 1000);
	p.lost_ms -= 2 * CHANNEL_DIAL_MAX_MS;
	ck_assert(channel_pipes_is_lost(&p));
	ck_assert(channel_pipes_may_renew(&p, 3));
	ck_assert(!channel_pipes_may_renew(&p, 4));
	p.born_ms -= 5000;
	ck_assert(channel_pipes_may_renew(&p, 4));
	ck_assert(channel_pipes_may_renew(&p, 31));
	ck_assert(!channel_pipes_may_renew(&p, 32));
	p.born_ms -= 5000;
	ck_assert(channel_pipes_may_renew(&p, 39));
	ck_assert(!channel_pipes_may_renew(&p, 40));
	p.born_ms -= 310000;
	ck_assert(channel_pipes_may_renew(&p, 1000));
	channel_pipes_release(&p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/channel_lost");

	signal(SIGPIPE, SIG_IGN);
	UNIT_ADD(s, test_handshake_swallowed);
	UNIT_ADD(s, test_long_outage);
	UNIT_ADD(s, test_request_swallowed);
	UNIT_ADD(s, test_nothing_is_left);
	UNIT_ADD(s, test_subscriber);
	UNIT_ADD(s, test_silent_callers);
	UNIT_ADD(s, test_pace);
	return unit_run(s);
}
