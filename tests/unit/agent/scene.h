/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the data path share: a rig, a scripted provider, bodies
 * and answers, asking one question.
 */
#ifndef TESTS_UNIT_AGENT_SCENE_H
#define TESTS_UNIT_AGENT_SCENE_H

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/agent/fake.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/support/unit.h"

#define CHAT "/v1/chat/completions"
#define BODY                                                                \
	"{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":" \
	"\"hello there\"}],\"max_tokens\":100}"
#define STREAM                                                         \
	"{\"model\":\"chat\",\"stream\":true,\"messages\":[{\"role\":" \
	"\"user\",\"content\":\"hello there\"}],\"max_tokens\":100}"
#define ANSWER                                                            \
	"{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":"  \
	"\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]," \
	"\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"        \
	"\"total_tokens\":15,\"prompt_tokens_details\":"                  \
	"{\"cached_tokens\":4}}}"
#define EVENT_HEAD                                               \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n"
#define EVENT                                                      \
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":" \
	"\"12345678\"},\"finish_reason\":null}],\"usage\":null}\n\n"
#define EVENT_END                                        \
	"data: {\"choices\":[{\"index\":0,\"delta\":{}," \
	"\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"
#define EVENT_USAGE                                              \
	"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10," \
	"\"completion_tokens\":5,\"total_tokens\":15}}\n\n"
#define EVENT_DONE "data: [DONE]\n\n"

/* Fails after a minute or so, which no machine is slow enough for. */
#define UNTIL(condition)                                                       \
	do {                                                                   \
		int until_i = 0;                                               \
                                                                               \
		while (!(condition)) {                                         \
			ck_assert_msg(until_i++ < 60000, "never " #condition); \
			usleep(1000);                                          \
		}                                                              \
	} while (0)

static struct fake fake;
static struct rig rig;
static char answer[65536];
static bool clean;

static inline void
send_answer(int fd, const char *status, const char *fields, const char *body)
{
	char text[4096];

	(void)snprintf(text, sizeof(text),
	    "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n%s\r\n%s",
	    status, strlen(body), fields, body);
	fake_send(fd, text);
}

static inline void
send_chunk(int fd, const char *data)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "%zx\r\n%s\r\n", strlen(data), data);
	fake_send(fd, text);
}

/* Every test runs with both engines: a host name goes to libcurl. */
static inline void
begin_with(int engine, fake_fn *serve, struct rig_config *c)
{
	fake_start(&fake, serve);
	if (engine == 1)
		(void)snprintf(fake.url, sizeof(fake.url),
		    "http://LOCALHOST:%d/v1", fake.port);
	c->url[0] = fake.url;
	rig_start(&rig, c);
}
#define begin(serve, c) begin_with(_i, serve, c)

static inline void
end(void)
{
	rig_stop(&rig);
	fake_stop(&fake);
}

/* One request on a connection of its own. */
static inline int
ask(const char *key, const char *extra, const char *body)
{
	int fd = http_connect(rig.port);

	http_post(fd, CHAT, key, extra, body);
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	return http_status(answer);
}

static inline struct journal_usage *
usage(size_t want)
{
	static struct journal_usage u[64];

	/* A record may be written a turn after its client was served. */
	UNTIL(rig_usage(&rig, u, 64) >= want);
	ck_assert_uint_eq(rig_usage(&rig, u, 64), want);
	return u;
}

static inline bool
serve_plain(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(
	    fd, "200 OK", "x-request-id: up-1\r\nset-cookie: a=b\r\n", ANSWER);
	return true;
}

static inline bool
serve_stream(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	fake_send(fd, EVENT_HEAD);
	send_chunk(fd, EVENT);
	send_chunk(fd, EVENT);
	send_chunk(fd, EVENT_END);
	send_chunk(fd, EVENT_USAGE);
	send_chunk(fd, EVENT_DONE);
	fake_send(fd, "0\r\n\r\n");
	return true;
}

static inline bool
serve_stall(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)n;
	if (strstr(request, "\"stream\":true") != NULL) {
		fake_send(fd, EVENT_HEAD);
		send_chunk(fd, EVENT);
	}
	(void)fake_wait_gone(fd, 5000);
	return false;
}

static inline void
add(Suite *s, const char *name, const TTest *test)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test, 0, 2);
	suite_add_tcase(s, tc);
}
#define ADD(s, test) add(s, #test, test)

#endif
