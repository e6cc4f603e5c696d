/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own places on the data path: streams and requests wait for them
 * by class, are refused in time, leave, and give everything back (rig_stop()
 * checks the books). Room for large bodies by class.
 */
#include "agent/front/places.h"
#include "tests/unit/agent/scene.h"

static const struct rig_config two_streams = {
    .budget = 10000000000, .places = {2, 0}, .queue_wait = 20000};

/* Streams hang after their first event, other requests are answered. */
static bool
serve(struct fake *f, int fd, const char *request, int n)
{
	if (strstr(request, "\"stream\":true") != NULL)
		return serve_stall(f, fd, request, n);
	return serve_plain(f, fd, request, n);
}

static int
send_to(const char *key, const char *body)
{
	int fd = http_connect(rig.port);

	http_post(fd, CHAT, key, "Connection: close\r\n", body);
	return fd;
}

/* Bytes of its answer come. */
static void
served(int fd)
{
	ssize_t n = recv(fd, answer, sizeof(answer) - 1, 0);

	ck_assert_int_gt(n, 0);
	answer[n] = '\0';
	ck_assert_int_eq(http_status(answer), 200);
}

static bool
is_quiet(int fd)
{
	return recv(fd, answer, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static unsigned
waiting(enum agent_place p, enum queue_class class)
{
	unsigned n[QUEUE_CLASSES];

	queue_lengths_at(rig.agent.places_gate, &rig.agent.places[p], n);
	return n[class];
}

static void
until_waiting(enum agent_place p, enum queue_class class, unsigned want)
{
	UNTIL(waiting(p, class) == want);
}

static int64_t
counted(const char *class, const char *at, const char *outcome)
{
	struct str labels[3] = {str_of(class), str_of(at), str_of(outcome)};

	return metric_value(
	    metric_series(rig.agent.metrics, AM_QUEUED, labels, 3));
}

START_TEST(test_streams)
{
	struct rig_config c = two_streams;
	int first, second, batch, urgent;

	begin(serve, &c);
	served(first = send_to(RIG_BATCH, STREAM));
	served(second = send_to(RIG_BATCH, STREAM));
	batch = send_to(RIG_BATCH, STREAM);
	until_waiting(AGENT_STREAMS, QUEUE_BATCH, 1);
	urgent = send_to(RIG_URGENT, STREAM);
	until_waiting(AGENT_STREAMS, QUEUE_CRITICAL, 1);
	/* What is not streamed needs no such place. */
	ck_assert_int_eq(ask(RIG_BATCH, "", BODY), 200);
	ck_assert_int_eq(atomic_load(&rig.agent.places[0].conc), 2);
	close(first);
	served(urgent);
	ck_assert(is_quiet(batch));
	until_waiting(AGENT_STREAMS, QUEUE_BATCH, 1);
	ck_assert_int_eq(atomic_load(&rig.agent.places[0].conc), 2);
	close(urgent);
	served(batch);
	ck_assert_int_eq(counted("critical", "streams", "served"), 1);
	ck_assert_int_eq(counted("batch", "streams", "served"), 1);
	close(second);
	close(batch);
	end();
}
END_TEST

START_TEST(test_refused)
{
	struct rig_config c = two_streams;
	int first, second;

	c.queue_wait = 100;
	begin(serve, &c);
	served(first = send_to(RIG_KEY, STREAM));
	served(second = send_to(RIG_KEY, STREAM));
	ck_assert_int_eq(ask(RIG_URGENT, "", STREAM), 503);
	ck_assert_ptr_nonnull(strcasestr(answer, "\r\nretry-after-ms: 1000"));
	ck_assert_ptr_nonnull(strstr(answer, "as many streams as it can"));
	ck_assert_int_eq(counted("critical", "streams", "timeout"), 1);
	close(first);
	close(second);
	end();
}
END_TEST

/* The queue has one seat: batch cannot have it when it is taken, a critical
 * one displaces. */
START_TEST(test_displaced)
{
	struct rig_config c = two_streams;
	int first, second, batch, urgent;

	c.queue_max = 1;
	begin(serve, &c);
	served(first = send_to(RIG_KEY, STREAM));
	served(second = send_to(RIG_KEY, STREAM));
	batch = send_to(RIG_BATCH, STREAM);
	until_waiting(AGENT_STREAMS, QUEUE_BATCH, 1);
	ck_assert_int_eq(ask(RIG_BATCH, "", STREAM), 503);
	ck_assert_int_eq(counted("batch", "streams", "refused"), 1);
	urgent = send_to(RIG_URGENT, STREAM);
	ck_assert_int_gt(http_recv(batch, answer, sizeof(answer), &clean), 0);
	ck_assert_int_eq(http_status(answer), 503);
	ck_assert_int_eq(counted("batch", "streams", "displaced"), 1);
	close(second);
	served(urgent);
	close(first);
	close(batch);
	close(urgent);
	end();
}
END_TEST

START_TEST(test_left)
{
	struct rig_config c = two_streams;
	int first, second, third;

	begin(serve, &c);
	served(first = send_to(RIG_KEY, STREAM));
	served(second = send_to(RIG_KEY, STREAM));
	third = send_to(RIG_KEY, STREAM);
	until_waiting(AGENT_STREAMS, QUEUE_STANDARD, 1);
	close(third);
	until_waiting(AGENT_STREAMS, QUEUE_STANDARD, 0);
	close(first);
	served(third = send_to(RIG_BATCH, STREAM));
	ck_assert_int_eq(counted("standard", "streams", "left"), 1);
	close(second);
	close(third);
	end();
}
END_TEST

/* A stream needs two places here; while it waits for the second it keeps the
 * first, and the key's limit. */
START_TEST(test_both)
{
	struct rig_config c = two_streams;
	int first, second, plain;

	c.places[AGENT_REQUESTS] = 1;
	c.conc = 3;
	begin(serve, &c);
	served(first = send_to(RIG_KEY, STREAM));
	second = send_to(RIG_KEY, STREAM);
	until_waiting(AGENT_REQUESTS, QUEUE_STANDARD, 1);
	ck_assert_int_eq(atomic_load(&rig.agent.places[AGENT_STREAMS].conc), 2);
	plain = send_to(RIG_URGENT, BODY);
	until_waiting(AGENT_REQUESTS, QUEUE_CRITICAL, 1);
	close(first);
	served(plain);
	served(second);
	ck_assert_int_eq(counted("standard", "requests", "served"), 1);
	ck_assert_int_eq(counted("critical", "requests", "served"), 1);
	close(second);
	close(plain);
	end();
}
END_TEST

static bool
serve_quick(struct fake *f, int fd, const char *request, int n)
{
	if (strstr(request, "\"stream\":true") != NULL)
		return serve_stream(f, fd, request, n);
	return serve_plain(f, fd, request, n);
}

/* Three workers share the places: all are served, whoever gives them back. */
START_TEST(test_workers)
{
	static const char *const keys[] = {RIG_BATCH, RIG_KEY, RIG_URGENT};
	struct rig_config c = two_streams;
	int fds[48];

	c.n_workers = 3;
	c.places[AGENT_REQUESTS] = 3;
	begin(serve_quick, &c);
	for (int i = 0; i < 48; i++)
		fds[i] = send_to(keys[i % 3], i % 4 == 0 ? BODY : STREAM);
	for (int i = 0; i < 48; i++) {
		ck_assert_int_gt(
		    http_recv(fds[i], answer, sizeof(answer), &clean), 0);
		ck_assert_int_eq(http_status(answer), 200);
		close(fds[i]);
	}
	end();
}
END_TEST

#define BIG  1000000
#define HELD 200 /* more than batch may have of the room, see front.c */

/* A large body, whole or without its last byte. */
static int
send_big(const char *key, bool whole)
{
	static char block[BIG];
	int fd = http_connect(rig.port);
	char head[256];

	memset(block, ' ', sizeof(block));
	(void)snprintf(head, sizeof(head),
	    "POST " CHAT " HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n"
	    "Connection: close\r\nContent-Length: %d\r\n\r\n",
	    key, BIG);
	(void)send(fd, head, strlen(head), MSG_NOSIGNAL);
	for (int i = whole ? 0 : 1; i < BIG;) {
		ssize_t n =
		    send(fd, block + i, (size_t)(BIG - i), MSG_NOSIGNAL);

		if (n <= 0) /* refused */
			break;
		i += (int)n;
	}
	return fd;
}

static int
ask_big(const char *key)
{
	int fd = send_big(key, true);

	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	return http_status(answer);
}

START_TEST(test_bodies)
{
	struct rig_config c = two_streams;
	int fds[HELD], n = 0, status = 400;

	begin(serve, &c);
	while (status == 400 && n < HELD) { /* 400: read, and no JSON */
		fds[n++] = send_big(RIG_BATCH, false);
		status = ask_big(RIG_BATCH);
	}
	ck_assert_int_eq(status, 503);
	ck_assert_int_ge(n, 48);
	ck_assert_int_ge(counted("batch", "bodies", "refused"), 1);
	/* What is left is not for batch; small ones are served all the same. */
	ck_assert_int_eq(ask_big(RIG_KEY), 400);
	ck_assert_int_eq(ask_big(RIG_URGENT), 400);
	ck_assert_int_eq(ask(RIG_BATCH, "", BODY), 200);
	while (n > 0)
		close(fds[--n]);
	end();
}
END_TEST

/* How far each class may fill the room. */
START_TEST(test_room)
{
	static struct front f;
	static struct agent a;
	static struct request r;
	static struct b_key k;

	a.metrics = metric_set_new(agent_metric_defs, AM_COUNT);
	ck_assert_ptr_nonnull(a.metrics);
	f.agent = &a;
	f.lim.max_bodies = 8000;
	f.bodies = 5000;
	r.f = &f;
	r.key = &k;
	k.class = QUEUE_BATCH;
	ck_assert(places_body(&r, 1000));
	ck_assert(!places_body(&r, 1001));
	k.class = QUEUE_STANDARD;
	ck_assert(places_body(&r, 2000));
	ck_assert(!places_body(&r, 2001));
	k.class = QUEUE_CRITICAL;
	ck_assert(places_body(&r, 3000));
	ck_assert(!places_body(&r, 3001));
	metric_set_free(a.metrics);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/places");

	ADD(s, test_streams);
	ADD(s, test_refused);
	ADD(s, test_displaced);
	ADD(s, test_left);
	ADD(s, test_both);
	ADD(s, test_workers);
	UNIT_ADD(s, test_bodies);
	UNIT_ADD(s, test_room);
	return unit_run(s);
}
