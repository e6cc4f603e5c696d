/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of which the client was shown nothing before their error: another
 * provider is asked. What the first one is owed depends on whether it began:
 * too busy to begin is free, an answer that broke later is estimated.
 */
#include "tests/unit/agent/scene.h"

#define MESSAGES                                                  \
	"{\"model\":\"chat\",\"max_tokens\":100,\"stream\":true," \
	"\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}]}"
#define BUSY                                                    \
	"data: {\"error\":{\"message\":\"Try later\",\"type\":" \
	"\"server_error\",\"param\":null,\"code\":\"overloaded\"}}\n\n"
#define CHUNK(delta)                                                       \
	"data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":" delta \
	",\"finish_reason\":null}]}\n\n"

static struct fake second;
static const char *const *script; /* of the first provider, NULL at the end */

static bool
serve_script(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	fake_send(fd, EVENT_HEAD);
	for (const char *const *p = script; *p != NULL; p++)
		send_chunk(fd, *p);
	fake_send(fd, "0\r\n\r\n");
	return true;
}

/* A client of Anthropic's, who is shown nothing of an empty text. */
static const struct journal_usage *
play(const char *const *frames)
{
	struct rig_config c = {.budget = 1000000000};
	const struct journal_usage *u;
	int fd;

	script = frames;
	fake_start(&second, serve_stream);
	c.url[1] = second.url;
	begin_with(0, serve_script, &c);
	fd = http_connect(rig.port);
	http_post(fd, "/v1/messages", RIG_KEY, "", MESSAGES);
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	ck_assert_int_eq(http_status(answer), 200);
	ck_assert_ptr_nonnull(strstr(answer, "message_stop"));
	ck_assert_ptr_null(strstr(answer, "Try later"));
	u = usage(2);
	ck_assert_uint_eq(u[0].head.attempt, 1);
	ck_assert_uint_eq(u[1].head.attempt, 2);
	ck_assert_uint_eq(u[1].source, HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL);
	end();
	fake_stop(&second);
	return u;
}

START_TEST(test_too_busy_to_begin)
{
	static const char *const frames[] = {BUSY, NULL};
	const struct journal_usage *u = play(frames);

	ck_assert_uint_eq(u->source, HG__USAGE_SOURCE__SOURCE_NONE);
	ck_assert_int_eq(u->cost, 0);
}
END_TEST

/* It may have thought before the first word. */
START_TEST(test_broke_before_a_word)
{
	static const char *const frames[] = {
	    CHUNK("{\"role\":\"assistant\",\"content\":\"\"}"),
	    CHUNK("{\"content\":\"\"}"), CHUNK("{\"content\":\"\"}"), BUSY,
	    NULL};
	const struct journal_usage *u = play(frames);

	ck_assert_uint_eq(u->source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_gt(u->tokens.n[TC_INPUT], 0);
	ck_assert_int_gt(u->cost, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/only_error");

	UNIT_ADD(s, test_too_busy_to_begin);
	UNIT_ADD(s, test_broke_before_a_word);
	return unit_run(s);
}
