/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto/channel_roll: callers are killed while they send, which nng 1.5.2 does
 * not always notice. Their connections are freed all the same, or told to be
 * stuck where nng frees none any more. Server and callers are processes of
 * their own, as they are in life.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/channel.h"
#include "proto/channel_priv.h"
#include "tests/unit/proto/channel_kit.h"
#include "tests/unit/proto/nng_leaks.h"
#include "tests/unit/support/unit.h"

#define N_CALLERS    60
#define LARGE	     ((size_t)300000)
#define FREED_WITHIN 60000

static struct error e;

static void
on_request(void *ctx, unsigned worker, struct str request, struct buf *reply)
{
	(void)ctx;
	(void)worker;
	(void)request;
	buf_add_str(reply, STR("ok"));
}

/* Tells its port; then, when asked, whether all connections are gone. */
static void
serve(int in, int out)
{
	struct channel_server_options opt = {.listen = "127.0.0.1:0",
	    .listen_publish = "127.0.0.1:0",
	    .cert_pem = tls_cert,
	    .key_pem = tls_key,
	    .n_workers = 3,
	    .handle = on_request};
	struct channel_server *s;
	int64_t end;
	uint16_t port;
	char gone;

	if (channel_server_new(&opt, &s, &e) != 0)
		_exit(1);
	port = channel_server_port(s);
	if (write(out, &port, sizeof(port)) != sizeof(port) ||
	    read(in, &gone, 1) != 1)
		_exit(1);
	end = channel_now_ms() + FREED_WITHIN;
	while (channel_server_peers(s) > channel_server_stuck(s) &&
	       channel_now_ms() < end)
		poll(NULL, 0, 5);
	gone = channel_server_peers(s) <= channel_server_stuck(s);
	_exit(write(out, &gone, 1) != 1);
}

/* Sends until it is killed; says when it is connected. */
static void
call(uint16_t port, int out)
{
	static char large[LARGE];
	struct channel_client *c = kit_client(port, 0);
	struct buf reply;

	if (channel_client_wait(c, 30000) != 0 || write(out, "", 1) != 1)
		_exit(1);
	for (;;) {
		buf_init(&reply, 100);
		(void)!channel_call(
		    c, str_make(large, LARGE), 5000, &reply, &e);
		buf_release(&reply);
	}
}

static void
call_and_die(uint16_t port, unsigned us)
{
	int tells[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(tells), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		call(port, tells[1]);
	close(tells[1]);
	ck_assert_int_eq(read(tells[0], &byte, 1), 1);
	usleep(us); /* somewhere in its message */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(tells[0]);
}

START_TEST(test_callers_are_killed)
{
	int asks[2], tells[2];
	uint16_t port;
	char gone = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(asks), 0);
	ck_assert_int_eq(pipe(tells), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		serve(asks[0], tells[1]);
	close(tells[1]);
	ck_assert_int_eq(read(tells[0], &port, sizeof(port)), sizeof(port));
	for (unsigned i = 0; i < N_CALLERS; i++)
		call_and_die(port, i * 100);
	ck_assert_int_eq(write(asks[1], "", 1), 1);
	ck_assert_int_eq(read(tells[0], &gone, 1), 1);
	ck_assert(gone);
	waitpid(pid, NULL, 0);
	close(asks[0]);
	close(asks[1]);
	close(tells[0]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/channel_roll");

	signal(SIGPIPE, SIG_IGN);
	UNIT_ADD(s, test_callers_are_killed);
	return unit_run(s);
}
