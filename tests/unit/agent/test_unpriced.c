/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model whose price is not known is refused for that reason, in the form of
 * the client's dialect; other models of the same configuration are served.
 * And a price that changes while a request waits.
 */
#include "tests/unit/agent/scene.h"

#define WHY "the model has no price now"

static int
post(const char *path, const char *body)
{
	int fd = http_connect(rig.port);

	http_post(fd, path, RIG_KEY, "", body);
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	return http_status(answer);
}

static bool
serve_embedding(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(fd, "200 OK", "",
	    "{\"object\":\"list\",\"model\":\"e\",\"data\":[{\"object\":"
	    "\"embedding\",\"index\":0,\"embedding\":[0.5]}],\"usage\":"
	    "{\"prompt_tokens\":3,\"total_tokens\":3}}");
	return true;
}

START_TEST(test_refused)
{
	static const struct {
		const char *path, *body, *text;
	} rows[] = {
	    {CHAT, BODY, "\"code\":\"unsupported\""},
	    {CHAT, STREAM, "\"param\":\"model\""},
	    {"/v1/responses", "{\"model\":\"chat\",\"input\":\"hello\"}",
		"\"param\":\"model\""},
	    {"/v1/messages",
		"{\"model\":\"chat\",\"max_tokens\":9,\"messages\":"
		"[{\"role\":\"user\",\"content\":\"hello\"}]}",
		"\"type\":\"invalid_request_error\""},
	    {"/v1beta/models/chat:generateContent",
		"{\"contents\":[{\"parts\":[{\"text\":\"hello\"}]}]}",
		"\"status\":\"INVALID_ARGUMENT\""},
	};
	struct rig_config c = {.no_output_price = true};

	begin(serve_embedding, &c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(post(rows[i].path, rows[i].body) == 400, "%zu %s",
		    i, answer);
		ck_assert_msg(
		    strstr(answer, WHY) != NULL, "%zu: %s", i, answer);
		ck_assert_msg(
		    strstr(answer, rows[i].text) != NULL, "%zu: %s", i, answer);
	}
	ck_assert_int_eq(rig_metric(&rig, AM_REFUSED, "unsupported"), 5);
	ck_assert_int_eq(atomic_load(&fake.n_requests), 0);
	ck_assert_int_eq(
	    post("/v1/embeddings", "{\"model\":\"embed\",\"input\":\"hello\"}"),
	    200);
	ck_assert_int_eq(usage(1)->http_status, 200);
	end();
}
END_TEST

static bool
serve_chat(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(fd, "200 OK", "", ANSWER);
	return true;
}

/* Rights come after the price rose: it pays the price that it reserved. */
START_TEST(test_dearer_while_waiting)
{
	/* more than a start or a wait ever takes */
	const int64_t hour = 3600 * NS_PER_S;
	struct rig_config c = {
	    .budget = 1000000000, .lease_wait = 60000, .deaf = true};
	const struct budget_cell *cell;
	const struct journal_usage *u;
	int fd;

	c.dearer_at = clock_wall(clock_system()) + hour;
	begin(serve_chat, &c);
	cell = lease_table_find(rig.leases, 50);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", BODY);
	while (atomic_load(&cell->want_total) == 0)
		usleep(1000);
	atomic_store(&rig.clock.ahead, 2 * hour);
	atomic_store(&rig.deaf, false);
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	ck_assert_int_eq(http_status(answer), 200);
	u = usage(1);
	ck_assert_int_eq(u->cost, 6 * 1000 + 4 * 500 + 5 * 2000);
	/* who comes now pays what holds now */
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_eq(
	    usage(2)[1].cost, 10 * (6 * 1000 + 4 * 500 + 5 * 2000));
	ck_assert_int_eq(rig_metric(&rig, AM_OVERRUN, NULL), 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/unpriced");

	ADD(s, test_refused);
	ADD(s, test_dearer_while_waiting);
	return unit_run(s);
}
