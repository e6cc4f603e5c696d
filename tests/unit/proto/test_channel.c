/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto/channel over real sockets: TLS with the CA pinned and the name
 * checked, calls from several threads, large messages, a server that goes
 * away and comes back, calls that time out, PUB/SUB with topics.
 */
#include "proto/channel.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/channel_priv.h"
#include "tests/unit/proto/nng_leaks.h"
#include "tests/unit/proto/tls_fixture.h"
#include "tests/unit/support/unit.h"

static struct error e;
static atomic_int n_handled, hold;
static unsigned max_calls = 8;

/* Echo, with the worker's number left out: "?" asks to wait for `hold`. */
static void
on_request(void *ctx, unsigned worker, struct str request, struct buf *reply)
{
	(void)ctx;
	MUST(worker < 3);
	atomic_fetch_add(&n_handled, 1);
	while (str_eqz(request, "?") && atomic_load(&hold))
		poll(NULL, 0, 1);
	buf_add_str(reply, request);
}

static struct channel_server *
server_at(const char *listen, const char *cert)
{
	struct channel_server_options opt = {.listen = listen,
	    .listen_publish = "127.0.0.1:0",
	    .cert_pem = cert,
	    .key_pem = tls_key,
	    .n_workers = 3,
	    .handle = on_request};
	struct channel_server *s = NULL;
	int rc = channel_server_new(&opt, &s, &e);

	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_uint_ne(channel_server_port(s), 0);
	ck_assert_uint_ne(channel_server_publish_port(s), 0);
	return s;
}

static struct channel_client *
client_to(uint16_t port, const char *ca, const char *name)
{
	char address[64];
	const char *const addresses[] = {address};
	struct channel_client_options opt = {.addresses = addresses,
	    .n_addresses = 1,
	    .ca_pem = ca,
	    .server_name = name,
	    .max_calls = max_calls};
	struct channel_client *c = NULL;
	int rc;

	snprintf(address, sizeof(address), "%s://127.0.0.1:%u",
	    ca ? "tls+tcp" : "tcp", port);
	rc = channel_client_new(&opt, &c, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return c;
}

static void
echo(struct channel_client *c, struct str text)
{
	struct buf reply;
	int rc;

	buf_init(&reply, CHANNEL_MESSAGE_MAX);
	rc = channel_call(c, text, 10000, &reply, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_uint_eq(reply.len, text.len);
	ck_assert(str_eq(buf_str(&reply), text));
	buf_release(&reply);
}

static void *
caller_main(void *arg)
{
	char text[40];
	int i;

	for (i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "%p %d", (void *)&text, i);
		echo(arg, str_of(text));
	}
	return NULL;
}

START_TEST(test_tls_calls)
{
	struct channel_server *s = server_at("127.0.0.1:0", tls_cert);
	struct channel_client *c;
	pthread_t threads[6];
	char *big;
	int i;

	c = client_to(channel_server_port(s), tls_ca, "control.test");
	ck_assert_int_eq(channel_client_wait(c, 10000), 0);
	ck_assert(channel_client_connected(c));
	for (i = 0; i < 5000 && channel_server_peers(s) == 0; i++)
		poll(NULL, 0, 1);
	ck_assert_uint_eq(channel_server_peers(s), 1);
	echo(c, STR("hello"));
	echo(c, STR(""));
	for (i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, caller_main, c);
	for (i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	big = malloc(CHANNEL_MESSAGE_MAX + 1);
	memset(big, 'x', CHANNEL_MESSAGE_MAX);
	echo(c, str_make(big, CHANNEL_MESSAGE_MAX));
	ck_assert_int_eq(channel_call(c, str_make(big, CHANNEL_MESSAGE_MAX + 1),
			     1000, NULL, &e),
	    ERR_TOO_LARGE);
	free(big);
	channel_client_free(c);
	channel_server_free(s);
}
END_TEST

/* The peer is refused: the client never becomes connected. */
static void
refused(const char *ca, const char *name)
{
	struct channel_server *s = server_at("127.0.0.1:0", tls_cert);
	struct channel_client *c = client_to(channel_server_port(s), ca, name);
	struct buf reply;

	ck_assert_int_eq(channel_client_wait(c, 700), ERR_TIMEOUT);
	buf_init(&reply, 100);
	ck_assert_int_eq(
	    channel_call(c, STR("x"), 1000, &reply, &e), ERR_UNAVAILABLE);
	channel_client_free(c);
	channel_server_free(s);
}

START_TEST(test_wrong_ca)
{
	refused(tls_other_ca, "control.test");
}
END_TEST

START_TEST(test_wrong_name)
{
	refused(tls_ca, "other.test");
}
END_TEST

START_TEST(test_plain_client_of_tls_server)
{
	refused(NULL, NULL);
}
END_TEST

START_TEST(test_bad_pem)
{
	static const char bad[] =
	    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	struct channel_server_options opt = {.listen = "127.0.0.1:0",
	    .listen_publish = "127.0.0.1:0",
	    .cert_pem = bad,
	    .key_pem = tls_key,
	    .n_workers = 1,
	    .handle = on_request};
	const char *const addresses[] = {"tls+tcp://127.0.0.1:1"};
	struct channel_client_options copt = {.addresses = addresses,
	    .n_addresses = 1,
	    .ca_pem = bad,
	    .server_name = "x",
	    .max_calls = 1};
	struct channel_server *s = NULL;
	struct channel_client *c = NULL;

	ck_assert_int_ne(channel_server_new(&opt, &s, &e), 0);
	ck_assert_int_ne(channel_client_new(&copt, &c, &e), 0);
	copt.ca_pem = NULL;
	ck_assert_int_eq(channel_client_new(&copt, &c, &e), ERR_INVALID);
	opt.cert_pem = tls_cert;
	opt.listen = "127.0.0.1:99999";
	ck_assert_int_ne(channel_server_new(&opt, &s, &e), 0);
}
END_TEST

START_TEST(test_port_in_use)
{
	struct channel_server *s = server_at("127.0.0.1:0", NULL), *s2 = NULL;
	struct channel_server_options opt = {.listen_publish = "127.0.0.1:0",
	    .n_workers = 1,
	    .handle = on_request};
	char listen[40];

	snprintf(
	    listen, sizeof(listen), "127.0.0.1:%u", channel_server_port(s));
	opt.listen = listen;
	ck_assert_int_eq(channel_server_new(&opt, &s2, &e), ERR_IO);
	ck_assert_ptr_nonnull(strstr(e.text, listen));
	channel_server_free(s);
}
END_TEST

static void *
waiting_call(void *arg)
{
	struct buf reply;
	long rc;

	buf_init(&reply, 100);
	rc = channel_call(arg, STR("?"), 30000, &reply, NULL);
	buf_release(&reply);
	return (void *)rc;
}

/* A server in a process of its own, so that it can be killed. Port 0: any;
 * *port gets the one. */
static pid_t
spawn_server(uint16_t *port)
{
	char listen[40], out[16];
	ssize_t n;
	int fds[2];
	pid_t pid;

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", *port);
	ck_assert_int_eq(pipe(fds), 0);
	snprintf(out, sizeof(out), "%d", fds[1]);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/proc/self/exe", "server", "--serve", listen, out,
		    (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], port, sizeof(*port));
	ck_assert_int_eq(n, sizeof(*port));
	close(fds[0]);
	return pid;
}

static int
serve(const char *listen, const char *out)
{
	struct channel_server_options opt = {.listen = listen,
	    .listen_publish = "127.0.0.1:0",
	    .cert_pem = tls_cert,
	    .key_pem = tls_key,
	    .n_workers = 3,
	    .handle = on_request};
	struct channel_server *s = NULL;
	uint16_t port;
	uint64_t fd;
	int i;

	atomic_store(&hold, 1);
	for (i = 0; channel_server_new(&opt, &s, &e) != 0; i++) {
		if (i > 1000)
			return 1; /* the old one's port is not free yet */
		poll(NULL, 0, 10);
	}
	port = channel_server_port(s);
	if (str_to_u64(str_of(out), &fd) != 0 ||
	    write((int)fd, &port, sizeof(port)) != sizeof(port))
		return 1;
	close((int)fd);
	for (;;)
		pause();
}

/* The control plane is killed: calls fail soon, also the one that waits for
 * its answer; it comes back on its port: calls work again. Many times, since
 * nng 1.5.2 does not always notice or dial again by itself. */
START_TEST(test_server_restarts)
{
	uint16_t port = 0;
	pid_t pid = spawn_server(&port);
	struct channel_client *c = client_to(port, tls_ca, "control.test");
	struct buf reply;
	pthread_t t;
	void *rc;
	int i;

	buf_init(&reply, 100);
	for (i = 0; i < 12; i++) {
		ck_assert_int_eq(channel_client_wait(c, 30000), 0);
		while (channel_call(c, STR("x"), 10000, &reply, &e) != 0)
			ck_assert_int_eq(channel_client_wait(c, 30000), 0);
		pthread_create(&t, NULL, waiting_call, c);
		poll(NULL, 0, i % 4); /* before, while or after it is sent */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pthread_join(t, &rc);
		ck_assert_msg(
		    (long)rc == ERR_UNAVAILABLE || (long)rc == ERR_TIMEOUT,
		    "%ld", (long)rc);
		while (channel_client_connected(c))
			poll(NULL, 0, 1);
		ck_assert_int_eq(channel_call(c, STR("x"), 1000, &reply, &e),
		    ERR_UNAVAILABLE);
		pid = spawn_server(&port);
	}
	ck_assert_int_eq(channel_client_wait(c, 30000), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	buf_release(&reply);
	/* c is left: nng may hang when it is closed now */
}
END_TEST

/* A call without an answer ends at its timeout and takes the connection with
 * it; the next one works. */
START_TEST(test_timeout)
{
	struct channel_server *s = server_at("127.0.0.1:0", NULL);
	struct channel_client *c = client_to(channel_server_port(s), NULL, "");
	struct buf reply;
	int i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(channel_client_wait(c, 10000), 0);
		atomic_store(&hold, 1);
		buf_init(&reply, 100);
		ck_assert_int_eq(
		    channel_call(c, STR("?"), 100, &reply, &e), ERR_TIMEOUT);
		ck_assert_uint_eq(reply.len, 0);
		atomic_store(&hold, 0);
		ck_assert_int_eq(channel_client_wait(c, 10000), 0);
		while (channel_call(c, STR("again"), 10000, &reply, &e) ==
		       ERR_UNAVAILABLE)
			ck_assert_int_eq(channel_client_wait(c, 10000), 0);
		ck_assert_slice_eq(buf_str(&reply), "again");
		buf_release(&reply);
	}
	channel_client_free(c);
	channel_server_free(s);
}
END_TEST

START_TEST(test_too_many_calls)
{
	struct channel_server *s = server_at("127.0.0.1:0", NULL);
	struct channel_client *c;
	pthread_t threads[3];
	struct buf reply;
	void *rc;
	int i;

	max_calls = 3;
	c = client_to(channel_server_port(s), NULL, "");
	ck_assert_int_eq(channel_client_wait(c, 10000), 0);
	atomic_store(&n_handled, 0);
	atomic_store(&hold, 1);
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, waiting_call, c);
	while (atomic_load(&n_handled) < 3)
		poll(NULL, 0, 1);
	buf_init(&reply, 100);
	ck_assert_int_eq(
	    channel_call(c, STR("x"), 1000, &reply, &e), ERR_LIMIT);
	atomic_store(&hold, 0);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &rc);
		ck_assert_int_eq((long)rc, 0);
	}
	ck_assert_int_eq(channel_call(c, STR("x"), 9000, &reply, &e), 0);
	buf_release(&reply);
	channel_client_free(c);
	channel_server_free(s);
}
END_TEST

static void *
until_it_breaks(void *arg)
{
	struct buf reply;

	buf_init(&reply, 100);
	do
		buf_clear(&reply);
	while (channel_call(arg, STR("x"), 5000, &reply, NULL) == 0);
	buf_release(&reply);
	return NULL;
}

/* In a process of its own: closing may leave nng hanging there. */
static void
free_while_it_answers(int after, bool server_first)
{
	struct channel_server *s = server_at("127.0.0.1:0", NULL);
	struct channel_client *c = client_to(channel_server_port(s), NULL, "");
	pthread_t threads[4];

	ck_assert_int_eq(channel_client_wait(c, 60000), 0);
	atomic_store(&n_handled, 0);
	for (int k = 0; k < 4; k++)
		pthread_create(&threads[k], NULL, until_it_breaks, c);
	while (atomic_load(&n_handled) < after)
		sched_yield();
	if (server_first)
		(void)channel_server_free(s);
	else
		channel_client_shutdown(c);
	for (int k = 0; k < 4; k++)
		pthread_join(threads[k], NULL);
	_exit(0);
}

/* nng aborts the process when a socket is gone before the last call into one
 * of its contexts returned. */
START_TEST(test_freed_while_it_answers)
{
	for (int i = 0; i < 12; i++) {
		pid_t pid = fork();
		int status;

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			free_while_it_answers(4 + i, i % 4 != 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		    "round %d: %#x", i, (unsigned)status);
	}
}
END_TEST

START_TEST(test_gate)
{
	struct channel_gate g = {0};

	ck_assert(channel_gate_enter(&g));
	ck_assert(channel_gate_enter(&g));
	channel_gate_leave(&g);
	ck_assert(!channel_gate_shut(&g, 0)); /* one is inside */
	ck_assert(!channel_gate_enter(&g));
	channel_gate_leave(&g);
	ck_assert(channel_gate_shut(&g, 0));
	ck_assert(channel_gate_shut(&g, 0));
	ck_assert(!channel_gate_enter(&g));
	ck_assert_uint_eq(atomic_load(&g.inside), 0);
}
END_TEST

static struct {
	pthread_mutex_t lock;
	char text[1000];
} got = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
on_message(void *ctx, struct str message)
{
	size_t n;

	(void)ctx;
	pthread_mutex_lock(&got.lock);
	n = strlen(got.text);
	snprintf(got.text + n, sizeof(got.text) - n, "%.*s;", STR_ARG(message));
	pthread_mutex_unlock(&got.lock);
}

static bool
got_is(const char *text)
{
	bool yes;

	pthread_mutex_lock(&got.lock);
	yes = strcmp(got.text, text) == 0;
	pthread_mutex_unlock(&got.lock);
	return yes;
}

START_TEST(test_publish)
{
	struct channel_server *s = server_at("127.0.0.1:0", tls_cert);
	char address[64];
	const char *const addresses[] = {address};
	struct channel_sub_options opt = {.addresses = addresses,
	    .n_addresses = 1,
	    .ca_pem = tls_ca,
	    .server_name = "localhost",
	    .topic = "eu",
	    .on_message = on_message};
	struct channel_sub *sub = NULL;
	int i;

	snprintf(address, sizeof(address), "tls+tcp://127.0.0.1:%u",
	    channel_server_publish_port(s));
	ck_assert_int_eq(channel_sub_new(&opt, &sub, &e), 0);
	for (i = 0; i < 10000 && !channel_sub_connected(sub); i++)
		poll(NULL, 0, 1);
	ck_assert(channel_sub_connected(sub));
	/* the server's side of the connection may be a moment later */
	for (i = 0; i < 10000 && !got_is("first;"); i++) {
		if (i % 100 == 0 && got_is(""))
			ck_assert_int_eq(
			    channel_publish(s, "eu", STR("first")), 0);
		poll(NULL, 0, 1);
	}
	ck_assert_int_eq(channel_publish(s, "us", STR("other")), 0);
	ck_assert_int_eq(channel_publish(s, "eu-west", STR("longer")), 0);
	ck_assert_int_eq(channel_publish(s, "eu", STR("")), 0);
	ck_assert_int_eq(channel_publish(s, "eu", STR("second")), 0);
	for (i = 0; i < 10000 && !got_is("first;;second;"); i++)
		poll(NULL, 0, 1);
	ck_assert_msg(got_is("first;;second;"), "got %s", got.text);
	channel_sub_free(sub);
	channel_server_free(s);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *s;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && strcmp(argv[1], "--serve") == 0)
		return serve(argv[2], argv[3]);
	s = suite_create("proto/channel");
	UNIT_ADD(s, test_tls_calls);
	UNIT_ADD(s, test_wrong_ca);
	UNIT_ADD(s, test_wrong_name);
	UNIT_ADD(s, test_plain_client_of_tls_server);
	UNIT_ADD(s, test_bad_pem);
	UNIT_ADD(s, test_port_in_use);
	UNIT_ADD(s, test_server_restarts);
	UNIT_ADD(s, test_timeout);
	UNIT_ADD(s, test_too_many_calls);
	UNIT_ADD(s, test_freed_while_it_answers);
	UNIT_ADD(s, test_gate);
	UNIT_ADD(s, test_publish);
	return unit_run(s);
}
