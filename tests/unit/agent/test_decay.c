/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request in flight holds falls when its provider tells the input: on
 * the data path, with a budget that has room for one bound only.
 */
#include "proto/headgate.pb-c.h"
#include "tests/unit/agent/scene.h"

/* 1 USD a million in, 2 USD out: at worst about 2.3 milli-USD. */
#define PROMPT_BYTES 2000
#define BOUND	     INT64_C(2000000)
#define BUDGET	     INT64_C(2900000) /* tight from the start */
#define ROOM	     INT64_C(3120000) /* tight, with room for two then */
#define EVENT_EARLY                                                \
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":" \
	"\"12\"},\"finish_reason\":null}],\"usage\":"              \
	"{\"prompt_tokens\":500,\"completion_tokens\":1,"          \
	"\"total_tokens\":501}}\n\n"
#define LOWERED (500 * INT64_C(1000) + 100 * INT64_C(2000))

enum ending { END_WELL, END_MORE_INPUT, END_BROKEN, END_HANG };

static atomic_int go, ending;

static const char *
prompt(bool stream)
{
	static char body[2][PROMPT_BYTES + 256];
	char text[PROMPT_BYTES + 1];

	memset(text, 'x', PROMPT_BYTES);
	text[PROMPT_BYTES] = '\0';
	(void)snprintf(body[stream], sizeof(body[0]),
	    "{\"model\":\"chat\",%s\"messages\":[{\"role\":\"user\","
	    "\"content\":\"%s\"}],\"max_tokens\":100,"
	    "\"response_format\":{\"type\":\"json_object\"}}",
	    stream ? "\"stream\":true," : "", text);
	return body[stream];
}

static bool
serve(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)n;
	if (strstr(request, "\"stream\":true") == NULL) {
		send_answer(fd, "200 OK", "", ANSWER);
		return true;
	}
	fake_send(fd, EVENT_HEAD);
	for (int i = 0; i < 1000 && atomic_load(&go) == 0; i++) {
		send_chunk(fd, EVENT_EARLY);
		usleep(10000);
	}
	if (ending == END_BROKEN)
		return false;
	if (ending == END_HANG) {
		(void)fake_wait_gone(fd, 5000);
		return false;
	}
	send_chunk(fd, EVENT_END);
	send_chunk(
	    fd, ending == END_WELL
		    ? "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":500,"
		      "\"completion_tokens\":7,\"total_tokens\":507}}\n\n"
		    : "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":900,"
		      "\"completion_tokens\":7,\"total_tokens\":907}}\n\n");
	send_chunk(fd, EVENT_DONE);
	fake_send(fd, "0\r\n\r\n");
	return true;
}

/* A stream whose first event was relayed. */
static int
stream_begins(void)
{
	int fd = http_connect(rig.port);

	atomic_store(&go, 0);
	http_post(fd, CHAT, RIG_KEY, "Connection: close\r\n", prompt(true));
	ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
	return fd;
}

static void
read_on(int fd)
{
	while (recv(fd, answer, sizeof(answer), 0) > 0)
		;
	close(fd);
}

static void
wait_metric(enum agent_metric m, int64_t want)
{
	UNTIL(rig_metric(&rig, m, NULL) >= want);
}

static const struct journal_usage *
record_of_stream(size_t n)
{
	const struct journal_usage *u = usage(n);

	for (size_t i = 0; i < n; i++)
		if (u[i].head.streamed)
			return &u[i];
	ck_abort_msg("no record of the stream");
	return NULL;
}

/* A second request fits into what the first one let go of. */
START_TEST(test_makes_room)
{
	struct rig_config c = {.budget = ROOM};
	const struct journal_usage *u;
	int fd;

	atomic_store(&ending, END_WELL);
	begin(serve, &c);
	fd = stream_begins();
	wait_metric(AM_LOWERED_COST, 1);
	ck_assert_int_eq(ask(RIG_KEY, "", prompt(false)), 200);
	ck_assert_int_eq(rig_metric(&rig, AM_LOWERED, NULL), 1);
	ck_assert_int_gt(
	    rig_metric(&rig, AM_LOWERED_COST, NULL), BOUND - LOWERED);
	atomic_store(&go, 1);
	read_on(fd);
	u = record_of_stream(2);
	ck_assert_int_eq(u->head.reserved, LOWERED);
	ck_assert_int_eq(u->cost, 500 * 1000 + 7 * 2000);
	ck_assert_uint_eq(u->source, HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL);
	ck_assert_int_eq(rig_metric(&rig, AM_LOWER_WRONG, NULL), 0);
	ck_assert_int_eq(rig_metric(&rig, AM_OVERRUN, NULL), 0);
	end(); /* checks the books */
}
END_TEST

/* While plenty is left nothing is written for it. */
START_TEST(test_not_needed)
{
	struct rig_config c = {.budget = 1000 * BUDGET};
	int fd;

	atomic_store(&ending, END_WELL);
	begin(serve, &c);
	fd = stream_begins();
	atomic_store(&go, 1);
	read_on(fd);
	ck_assert_int_gt(usage(1)->head.reserved, BOUND);
	ck_assert_int_eq(rig_metric(&rig, AM_LOWERED, NULL), 0);
	end();
}
END_TEST

/* The end tells more than the beginning: counted, and paid for. */
START_TEST(test_told_more)
{
	struct rig_config c = {.budget = BUDGET};
	const struct journal_usage *u;
	int fd;

	atomic_store(&ending, END_MORE_INPUT);
	begin(serve, &c);
	fd = stream_begins();
	wait_metric(AM_LOWERED_COST, 1);
	atomic_store(&go, 1);
	read_on(fd);
	u = usage(1);
	ck_assert_int_eq(u->cost, 900 * 1000 + 7 * 2000);
	ck_assert_int_eq(u->head.reserved, 900 * 1000 + 100 * 2000);
	ck_assert_int_eq(rig_metric(&rig, AM_LOWER_WRONG, NULL), 1);
	ck_assert_int_eq(rig_metric(&rig, AM_OVERRUN, NULL), 1);
	end();
}
END_TEST

/* It breaks, or its client leaves: what may have been made is held, no more. */
START_TEST(test_cut_short)
{
	struct rig_config c = {.budget = BUDGET};
	const struct journal_usage *u;
	int fd;

	for (int gone = 0; gone < 2; gone++) {
		atomic_store(&ending, gone ? END_HANG : END_BROKEN);
		begin(serve, &c);
		fd = stream_begins();
		wait_metric(AM_LOWERED_COST, 1);
		atomic_store(&go, 1);
		if (!gone)
			read_on(fd);
		else
			close(fd);
		u = usage(1);
		ck_assert_uint_eq(
		    u->source, HG__USAGE_SOURCE__SOURCE_PROVIDER_PARTIAL);
		ck_assert_int_eq(u->head.reserved, LOWERED);
		ck_assert_int_lt(u->cost, LOWERED);
		end();
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/decay");

	ADD(s, test_makes_room);
	ADD(s, test_not_needed);
	ADD(s, test_told_more);
	ADD(s, test_cut_short);
	return unit_run(s);
}
