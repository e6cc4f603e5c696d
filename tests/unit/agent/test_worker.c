/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data path end to end in one process: real workers, configuration,
 * leases and journal between a bare client and a scripted provider.
 */
#include <poll.h>

#include "tests/unit/agent/scene.h"

#include "proto/headgate.pb-c.h"

static struct fake second;

START_TEST(test_plain)
{
	struct rig_config c = {.budget = 1000000000, .rpm = 100};
	struct explain_entry e;
	struct journal_usage *u;
	char id[40] = "";
	const char *p;

	begin(serve_plain, &c);
	ck_assert_int_eq(ask(RIG_KEY, "Cookie: secret-cookie\r\n", BODY), 200);
	ck_assert(clean);
	ck_assert_ptr_nonnull(strstr(answer, ANSWER));
	/* 6 x 1 + 4 x 0.5 + 5 x 2 micro-USD */
	ck_assert_ptr_nonnull(
	    strstr(answer, "x-headgate-cost-nanousd: 18000\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(answer, "x-ratelimit-remaining-requests: 99\r\n"));
	ck_assert_ptr_null(strstr(answer, "set-cookie"));
	ck_assert_ptr_null(strstr(answer, "up-1"));
	/* what the provider saw */
	ck_assert_ptr_nonnull(strstr(fake.last,
	    "\r\nAuthorization: Bearer sk-provider-canary-0001\r\n"));
	ck_assert_ptr_nonnull(strstr(fake.last, "\"model\":\"gpt-sim\""));
	ck_assert_ptr_null(strstr(fake.last, "hg-rig"));
	ck_assert_ptr_null(strstr(fake.last, "secret-cookie"));
	ck_assert_ptr_null(strstr(fake.last, "stream_options"));
	p = strstr(answer, "x-request-id: ");
	ck_assert_ptr_nonnull(p);
	memcpy(id, p + 14, 36);
	ck_assert_ptr_nonnull(strstr(fake.last, id));
	u = usage(1);
	ck_assert_int_eq(u->cost, 18000);
	ck_assert_int_eq(u->tokens.n[TC_INPUT], 6);
	ck_assert_int_eq(u->tokens.n[TC_CACHE_READ], 4);
	ck_assert_int_eq(u->tokens.n[TC_OUTPUT], 5);
	ck_assert_uint_eq(u->source, HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL);
	ck_assert_uint_eq(u->http_status, 200);
	ck_assert_str_eq(u->finish_reason, "stop");
	ck_assert_str_eq(u->upstream_request_id, "up-1");
	ck_assert_uint_eq(u->head.n_charges, 1);
	ck_assert_uint_eq(u->head.config_version, 7);
	/* It is written when the server is through with the request. */
	UNTIL(explain_find(rig.agent.explain, id, &e));
	ck_assert_int_eq(e.cost, 18000);
	ck_assert_str_eq(e.key, "acme.rd.bot.k1");
	ck_assert_uint_eq(e.n_budgets, 1);
	end();
}
END_TEST

START_TEST(test_stream)
{
	struct rig_config c = {.budget = 1000000000};
	struct journal_usage *u;
	int i;

	begin(serve_stream, &c);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(ask(RIG_KEY, "", STREAM), 200);
	ck_assert(clean);
	ck_assert_ptr_nonnull(strstr(answer, "data: [DONE]\n\n"));
	ck_assert_ptr_nonnull(strstr(answer, "12345678"));
	ck_assert_ptr_null(strstr(answer, "usage"));
	ck_assert_ptr_nonnull(
	    strstr(fake.last, ",\"stream_options\":{\"include_usage\":true}}"));
	u = usage(3);
	ck_assert_int_eq(u->cost, 20000);
	ck_assert(u->head.streamed);
	ck_assert_uint_eq(u->source, HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL);
	ck_assert_int_eq(fake.n_conns, 1);
	end();
}
END_TEST

static bool
serve_no_usage(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)n;
	if (strstr(request, "\"stream\":true") != NULL) {
		fake_send(fd, EVENT_HEAD);
		send_chunk(fd, EVENT);
		send_chunk(fd, EVENT_END EVENT_DONE);
		fake_send(fd, "0\r\n\r\n");
	} else {
		send_answer(fd, "200 OK", "",
		    "{\"choices\":[{\"message\":{\"content\":\"123456789\"},"
		    "\"finish_reason\":\"stop\"}]}");
	}
	return true;
}

START_TEST(test_missing_usage_is_estimated)
{
	struct rig_config c = {.budget = 1000000000};
	struct journal_usage *u;

	begin(serve_no_usage, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_eq(ask(RIG_KEY, "", STREAM), 200);
	u = usage(2);
	ck_assert_uint_eq(u[0].source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_eq(u[0].tokens.n[TC_OUTPUT], 3);
	ck_assert_int_gt(u[0].tokens.n[TC_INPUT], 2);
	ck_assert_uint_eq(u[1].source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_eq(u[1].tokens.n[TC_OUTPUT], 3); /* 8 bytes by 3.6 */
	ck_assert_int_gt(u[1].cost, 0);
	end();
}
END_TEST

static void
check_estimates(int engine, const char *tokenizer, const char *dir, int64_t in,
    int64_t plain, int64_t streamed)
{
	struct rig_config c = {
	    .budget = 1000000000, .tokenizer = tokenizer, .tokenizer_dir = dir};
	struct journal_usage *u;

	begin_with(engine, serve_no_usage, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_eq(ask(RIG_KEY, "", STREAM), 200);
	u = usage(2);
	ck_assert_uint_eq(u[0].source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_uint_eq(u[1].source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_eq(u[0].tokens.n[TC_INPUT], in);
	ck_assert_int_eq(u[1].tokens.n[TC_INPUT], in);
	ck_assert_int_eq(u[0].tokens.n[TC_OUTPUT], plain);
	ck_assert_int_eq(u[1].tokens.n[TC_OUTPUT], streamed);
	end();
}

START_TEST(test_estimates)
{
	const char *bin = getenv("HG_BIN");
	struct tokenizer_set set = {0};
	struct error e = {0};
	char dir[4096];

	/* 3 a message and 3; "hello there", "123456789", "12345678" */
	check_estimates(_i, NULL, NULL, 6 + 4, 3, 3);
	check_estimates(_i, "o200k", NULL, 6 + 4, 3, 3);
	check_estimates(_i, "unheard-of", NULL, 6 + 4, 3, 3);
	check_estimates(_i, "bytes:1", NULL, 6 + 11, 9, 8);
	(void)snprintf(dir, sizeof(dir), "%s/../share/headgate",
	    bin != NULL ? bin : "build/dev/bin");
	if (tokenizer_set_open(&set, dir, &e) == 0)
		check_estimates(_i, "o200k", dir, 6 + 2, 3, 3);
	else
		printf("# not tested with real tables: %s\n", e.text);
	tokenizer_set_close(&set);
}
END_TEST

/* ---- the client leaves ---- */

static atomic_int gone_after;

static bool
serve_wait_gone(struct fake *f, int fd, const char *request, int n)
{
	(void)n;
	if (strstr(request, "\"stream\":true") != NULL) {
		fake_send(fd, EVENT_HEAD);
		send_chunk(fd, EVENT);
	}
	atomic_store(&gone_after, fake_wait_gone(fd, 5000));
	atomic_fetch_add(&f->n_gone, 1);
	return false;
}

static void
leave(const char *body, bool read_first)
{
	int fd = http_connect(rig.port), before = fake.n_gone;

	atomic_store(&gone_after, -2);
	http_post(fd, CHAT, RIG_KEY, "", body);
	if (read_first)
		ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
	UNTIL(fake.n_requests != before);
	close(fd);
	UNTIL(fake.n_gone != before);
	ck_assert_int_eq(fake.n_gone, before + 1);
	ck_assert_int_ge(atomic_load(&gone_after), 0);
	ck_assert_int_lt(atomic_load(&gone_after), 200);
}

START_TEST(test_client_leaves)
{
	struct rig_config c = {.budget = 1000000000, .conc = 5};
	struct journal_usage *u;

	begin(serve_wait_gone, &c);
	leave(BODY, false);
	leave(STREAM, true);
	u = usage(2);
	ck_assert_uint_eq(u[0].http_status, 499);
	ck_assert_uint_eq(u[0].source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_gt(u[0].tokens.n[TC_INPUT], 0);
	ck_assert_int_eq(u[0].tokens.n[TC_OUTPUT], 0);
	ck_assert_uint_eq(u[1].http_status, 499);
	ck_assert_uint_eq(u[1].source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_eq(u[1].tokens.n[TC_OUTPUT], 3);
	ck_assert_str_eq(u[1].error_code, "client_gone");
	end();
}
END_TEST

/* ---- the provider fails ---- */

static bool
serve_cut(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)n;
	if (strstr(request, "\"stream\":true") != NULL) {
		fake_send(fd, EVENT_HEAD);
		send_chunk(fd, EVENT);
	} else {
		fake_send(
		    fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{");
	}
	return false;
}

START_TEST(test_cut)
{
	struct rig_config c = {.budget = 1000000000};
	struct journal_usage *u;

	begin(serve_cut, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", STREAM), 200);
	ck_assert(!clean);
	ck_assert_ptr_nonnull(strstr(answer, "12345678"));
	ck_assert_ptr_nonnull(strstr(answer, "data: {\"error\":{"));
	ck_assert_ptr_null(strstr(answer, "[DONE]"));
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 502);
	ck_assert(clean);
	u = usage(2);
	ck_assert_uint_eq(u[0].source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_eq(u[0].tokens.n[TC_OUTPUT], 3);
	end();
}
END_TEST

START_TEST(test_timeouts)
{
	struct rig_config c = {
	    .budget = 1000000000, .first_byte_ms = 60, .idle_ms = 60};
	struct journal_usage *u;

	begin(serve_stall, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 504);
	ck_assert_ptr_nonnull(strstr(answer, "\"code\":\"upstream_timeout\""));
	ck_assert_int_eq(ask(RIG_KEY, "", STREAM), 200);
	ck_assert_ptr_nonnull(strstr(answer, "\"code\":\"upstream_timeout\""));
	u = usage(2);
	ck_assert_int_gt(u[0].cost, 0);
	ck_assert_uint_eq(u[0].http_status, 504);
	end();
}
END_TEST

static bool
serve_500(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(fd, "500 Oops", "",
	    "{\"error\":{\"message\":\"boom\",\"type\":\"server_error\","
	    "\"param\":null,\"code\":null}}");
	return true;
}

START_TEST(test_failover)
{
	struct rig_config c = {.budget = 1000000000, .max_concurrency = 3};
	struct journal_usage *u;

	fake_start(&second, serve_plain);
	c.url[1] = second.url;
	begin(serve_500, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	u = usage(2);
	ck_assert_uint_eq(u[0].head.attempt, 1);
	ck_assert_uint_eq(u[0].http_status, 500);
	ck_assert_int_eq(u[0].cost, 0);
	ck_assert_uint_eq(u[1].head.attempt, 2);
	ck_assert_int_eq(u[1].cost, 18000);
	ck_assert_mem_eq(u[0].head.request_id, u[1].head.request_id, 16);
	ck_assert_ptr_nonnull(
	    strstr(second.last, "\r\nx-headgate-attempt: 2\r\n"));
	end();
	fake_stop(&second);
}
END_TEST

START_TEST(test_all_fail)
{
	struct rig_config c = {.budget = 1000000000};

	fake_start(&second, serve_500);
	c.url[1] = "http://127.0.0.1:1/v1"; /* refuses */
	begin(serve_500, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 502);
	ck_assert_ptr_nonnull(strstr(answer, "connection refused"));
	(void)usage(2);
	end();
	fake_stop(&second);
}
END_TEST

/* The provider closes kept-alive connections when their next request comes. */
static bool
serve_once(struct fake *f, int fd, const char *request, int n)
{
	if (n > 0)
		return false;
	return serve_plain(f, fd, request, n);
}

START_TEST(test_stale_connection)
{
	struct rig_config c = {.budget = 1000000000};
	struct journal_usage *u;

	begin(serve_once, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	u = usage(3);
	ck_assert_int_eq(u[1].cost, 0);
	ck_assert_uint_eq(u[2].head.attempt, 2);
	/* libcurl opens one of its own before it gives up */
	ck_assert_int_le(fake.n_conns, _i == 0 ? 2 : 3);
	end();
}
END_TEST

static bool
serve_poison(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(fd, "200 OK", "",
	    ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
	return true;
}

/* Bytes behind an answer never become the next one. */
static bool
serve_extra(struct fake *f, int fd, const char *request, int n)
{
	char text[2048];

	(void)f;
	(void)request;
	(void)n;
	(void)snprintf(text, sizeof(text),
	    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s"
	    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
	    strlen(ANSWER), ANSWER);
	fake_send(fd, text);
	return true;
}

START_TEST(test_poison)
{
	struct rig_config c = {.budget = 1000000000};
	int i;

	begin(serve_extra, &c);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
		ck_assert_ptr_null(strstr(answer, "poison"));
	}
	ck_assert_int_eq(fake.n_conns, 4);
	end();
}
END_TEST

START_TEST(test_answer_is_not_json)
{
	struct rig_config c = {.budget = 1000000000};

	begin(serve_poison, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 502);
	end();
}
END_TEST

static bool
serve_refusal(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)n;
	if (strstr(request, "x-sim-case: 429") != NULL)
		send_answer(fd, "429 Slow", "retry-after: 7\r\n",
		    "{\"error\":{\"message\":\"slow down\",\"type\":"
		    "\"tokens\",\"param\":null,"
		    "\"code\":\"rate_limit_exceeded\"}}");
	else if (strstr(request, "x-sim-case: echo") != NULL)
		send_answer(fd, "400 Bad", "",
		    "{\"error\":{\"message\":\"bad key sk-p***0001\"}}");
	else if (strstr(request, "x-sim-case: 302") != NULL)
		send_answer(fd, "302 Found",
		    "Location: http://127.0.0.1:1/steal\r\n", "{}");
	else
		send_answer(fd, "401 No", "",
		    "{\"error\":{\"message\":\"Incorrect API key "
		    "sk-provider-canary-0001\"}}");
	return true;
}

START_TEST(test_provider_refuses)
{
	struct rig_config c = {.budget = 1000000000};

	begin(serve_refusal, &c);
	ck_assert_int_eq(ask(RIG_KEY, "x-sim-case: 429\r\n", BODY), 429);
	ck_assert_ptr_nonnull(strstr(answer, "\r\nretry-after: 7\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "slow down"));
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 502);
	ck_assert_ptr_null(strstr(answer, "canary"));
	ck_assert_int_eq(ask(RIG_KEY, "x-sim-case: echo\r\n", BODY), 400);
	ck_assert_ptr_null(strstr(answer, "0001"));
	ck_assert_int_eq(ask(RIG_KEY, "x-sim-case: 302\r\n", BODY), 502);
	ck_assert_ptr_null(strstr(answer, "steal"));
	(void)usage(4);
	end();
}
END_TEST

/* ---- budgets and limits ---- */

START_TEST(test_budget)
{
	/* worst case of one: about 0.3 milli-USD */
	struct rig_config c = {.budget = 1000000};
	int64_t spent = 0;
	int i, status = 200;

	begin(serve_plain, &c);
	for (i = 0; i < 100 && status == 200; i++) {
		status = ask(RIG_KEY, "", BODY);
		if (status == 200)
			spent += 18000;
	}
	ck_assert_int_eq(status, 402);
	ck_assert_int_gt(spent, 0);
	ck_assert_int_le(spent, 1000000);
	ck_assert_ptr_nonnull(strstr(answer, "x-should-retry: false\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "\"code\":\"budget_exhausted\""));
	ck_assert_ptr_nonnull(strstr(answer, "\"budget\":\"acme.monthly\""));
	ck_assert_ptr_nonnull(strstr(answer, "\"limit_usd\":"));
	/* money comes back: the next one waits and is served */
	atomic_fetch_add(&rig.purse, 1000000);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	end();
}
END_TEST

/* What the last request sent upstream under this name, -1 = nothing. */
static long
sent_number(const char *name)
{
	const char *p;
	long n = -1;

	pthread_mutex_lock(&fake.lock);
	p = strstr(fake.last, name);
	if (p != NULL)
		n = strtol(p + strlen(name), NULL, 10);
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* The rest of a budget is too small for all that was asked for. */
START_TEST(test_shrink)
{
	static const char head[] = "x-headgate-max-output-tokens: ";
	/* the input's bound: about 0.14 milli-USD; 100 tokens out: 0.2 */
	struct rig_config c = {.budget = 300000};
	const struct journal_usage *u;
	const char *p;
	long n;

	begin(serve_plain, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	p = strstr(answer, head);
	ck_assert_ptr_nonnull(p);
	n = strtol(p + sizeof(head) - 1, NULL, 10);
	ck_assert_int_ge(n, 64);
	ck_assert_int_lt(n, 100);
	ck_assert_int_eq(sent_number("\"max_tokens\":"), n);
	ck_assert_ptr_nonnull(
	    strstr(answer, "x-headgate-max-output-reason: budget\r\n"));
	ck_assert_int_eq(rig_metric(&rig, AM_SHRUNK, NULL), 1);
	u = usage(1);
	ck_assert_int_le(u->head.reserved, 300000);
	/* what is no use when it is cut short is refused */
	atomic_store(&rig.purse, 0);
	ck_assert_int_eq(
	    ask(RIG_KEY, "",
		"{\"model\":\"chat\",\"messages\":[{\"role\":\"user\","
		"\"content\":\"hello there\"}],\"max_tokens\":100,"
		"\"response_format\":{\"type\":\"json_object\"}}"),
	    402);
	ck_assert_int_eq(rig_metric(&rig, AM_SHRUNK, NULL), 1);
	end();
}
END_TEST

/* Nobody says that the budget is exhausted, others may give rights back; they
 * do not. What is free is with the control plane until somebody asks for no
 * more than that: the request gets it within its time. */
START_TEST(test_shrink_late)
{
	struct rig_config c = {.budget = 300000};

	begin(serve_plain, &c);
	atomic_store(&rig.busy, true);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_ptr_nonnull(
	    strstr(answer, "x-headgate-max-output-reason: budget\r\n"));
	ck_assert_int_eq(rig_metric(&rig, AM_SHRUNK, NULL), 1);
	ck_assert_int_eq(rig_metric(&rig, AM_LEASE_WAITS, "granted"), 1);
	ck_assert_int_eq(rig_metric(&rig, AM_LEASE_WAITS, "timeout"), 0);
	/* what is no use when it is cut short waits to the end */
	ck_assert_int_eq(
	    ask(RIG_KEY, "",
		"{\"model\":\"chat\",\"messages\":[{\"role\":\"user\","
		"\"content\":\"hello there\"}],\"max_tokens\":100,"
		"\"response_format\":{\"type\":\"json_object\"}}"),
	    429);
	ck_assert_int_eq(rig_metric(&rig, AM_LEASE_WAITS, "timeout"), 1);
	end();
}
END_TEST

/* Fees of the provider's tools have no bound but a declared one. */
START_TEST(test_declared)
{
	static const char body[] =
	    "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\","
	    "\"content\":\"hello there\"}],\"max_tokens\":100,"
	    "\"web_search_options\":{}}";
	struct rig_config c = {.budget = 1000000000};

	begin(serve_plain, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", body), 400);
	ck_assert_ptr_nonnull(strstr(answer, "\"web_search_options\""));
	ck_assert_ptr_nonnull(strstr(answer, "max_request_usd"));
	end();
	c.max_request = 5000000;
	begin(serve_plain, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", body), 200);
	ck_assert_int_eq(usage(1)->head.reserved, 5000000);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_lt(usage(2)[1].head.reserved, 1000000);
	end();
}
END_TEST

START_TEST(test_client_leaves_while_waiting)
{
	struct rig_config c = {.budget = 1000000000, .conc = 1};
	const struct budget_cell *cell;
	int fd;

	c.lease_wait = 60000;
	c.deaf = true;
	begin(serve_plain, &c);
	cell = lease_table_find(rig.leases, 50);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", BODY);
	UNTIL(atomic_load(&cell->want_total) > 0);
	close(fd);
	UNTIL(atomic_load(&cell->want_total) == 0);
	atomic_store(&rig.deaf, false);
	/* its place is free again */
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_eq(rig_metric(&rig, AM_REFUSED, "budget_busy"), 0);
	end();
}
END_TEST

START_TEST(test_limits)
{
	struct rig_config c = {.rpm = 2};

	begin(serve_plain, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 429);
	ck_assert_ptr_nonnull(strstr(answer, "\r\nretry-after-ms: "));
	ck_assert_ptr_nonnull(strstr(answer, "\r\nretry-after: 30\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(answer, "\r\nx-ratelimit-limit-requests: 2\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "\"code\":\"rate_limited\""));
	end();
}
END_TEST

/* ---- back-pressure, draining ---- */

static atomic_long flooded;

static bool
serve_flood(struct fake *f, int fd, const char *request, int n)
{
	static char text[65536];
	int i;

	(void)f;
	(void)request;
	(void)n;
	fake_send(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		      "Connection: close\r\n\r\n");
	(void)snprintf(text, sizeof(text),
	    "data: {\"choices\":[{\"delta\":{\"content\":\"%060000d\"}}]}\n\n",
	    0);
	for (i = 0; i < 1000; i++) {
		if (send(fd, text, strlen(text), MSG_NOSIGNAL) <= 0)
			return false;
		atomic_fetch_add(&flooded, (long)strlen(text));
	}
	return false;
}

START_TEST(test_slow_client_holds_provider_back)
{
	struct rig_config c = {.budget = 1000000000};
	long seen = -1, now = 0;
	int fd, i;

	begin(serve_flood, &c);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", STREAM);
	/* until it is held back and nothing moves any more */
	for (i = 0; i < 600 && (now != seen || now == 0 ||
				   rig_metric(&rig, AM_UP_PAUSES, NULL) == 0);
	     i++) {
		seen = now;
		usleep(100000);
		now = atomic_load(&flooded);
	}
	ck_assert_int_gt(rig_metric(&rig, AM_UP_PAUSES, NULL), 0);
	ck_assert_int_gt(now, 0);
	ck_assert_int_lt(now, 40000000); /* of 60 MB: socket buffers */
	/* and on, to the end */
	for (;;) {
		ssize_t k = recv(fd, answer, sizeof(answer), 0);

		if (k <= 0)
			break;
	}
	ck_assert_int_gt(atomic_load(&flooded), 59000000);
	close(fd);
	(void)usage(1);
	end();
}
END_TEST

static bool
serve_slow(struct fake *f, int fd, const char *request, int n)
{
	usleep(200000);
	return serve_plain(f, fd, request, n);
}

START_TEST(test_drain_finishes_what_runs)
{
	struct rig_config c = {.budget = 1000000000, .n_workers = 2};
	int fd;

	begin(serve_slow, &c);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", BODY);
	UNTIL(fake.n_requests > 0);
	end();
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	ck_assert_int_eq(http_status(answer), 200);
	close(fd);
}
END_TEST

START_TEST(test_stop_cancels_what_runs)
{
	struct rig_config c = {.budget = 1000000000};
	int fd;

	begin(serve_wait_gone, &c);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", STREAM);
	UNTIL(fake.n_requests > 0);
	atomic_store(&rig.agent.draining, 2);
	(void)usage(1);
	end();
	close(fd);
}
END_TEST

/* Half-sent large bodies use up the room for large ones, not for others. */
START_TEST(test_bodies_in_flight)
{
	struct rig_config c = {.budget = 1000000000, .n_workers = 1};
	static char body[1 << 20];
	struct pollfd p[66];
	char head[300];
	int fd[66], i, n = 66;

	memset(body, ' ', sizeof(body) - 1);
	(void)snprintf(head, sizeof(head),
	    "POST " CHAT " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
	    "%s\r\nContent-Length: %zu\r\n\r\n",
	    RIG_KEY, sizeof(body));
	begin(serve_plain, &c);
	for (i = 0; i < n; i++) {
		fd[i] = http_connect(rig.port);
		p[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
		http_send(fd[i], head);
		http_send(fd[i], body);
	}
	ck_assert_int_gt(poll(p, (nfds_t)n, 10000), 0);
	for (i = 0; p[i].revents == 0;)
		i++;
	ck_assert_int_gt(http_recv(fd[i], answer, sizeof(answer), &clean), 0);
	ck_assert_int_eq(http_status(answer), 503);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	for (i = 0; i < n; i++)
		close(fd[i]);
	/* Their room is free again (the provider here reads no such body). */
	memcpy(body, BODY, sizeof(BODY) - 1);
	UNTIL(ask(RIG_KEY, "", body) != 503);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/worker");

	ADD(s, test_plain);
	ADD(s, test_stream);
	ADD(s, test_missing_usage_is_estimated);
	ADD(s, test_estimates);
	ADD(s, test_client_leaves);
	ADD(s, test_cut);
	ADD(s, test_timeouts);
	ADD(s, test_failover);
	ADD(s, test_all_fail);
	ADD(s, test_stale_connection);
	ADD(s, test_poison);
	ADD(s, test_answer_is_not_json);
	ADD(s, test_provider_refuses);
	ADD(s, test_budget);
	ADD(s, test_shrink);
	ADD(s, test_shrink_late);
	ADD(s, test_declared);
	ADD(s, test_client_leaves_while_waiting);
	ADD(s, test_limits);
	ADD(s, test_slow_client_holds_provider_back);
	ADD(s, test_drain_finishes_what_runs);
	ADD(s, test_stop_cancels_what_runs);
	ADD(s, test_bodies_in_flight);
	return unit_run(s);
}
