/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data path end to end in one process: real workers, configuration,
 * leases and journal between a bare client and a scripted provider.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/headgate.pb-c.h"
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

static struct fake fake, second;
static struct rig rig;
static char answer[65536];
static bool clean;

static void
send_answer(int fd, const char *status, const char *fields, const char *body)
{
	char text[4096];

	(void)snprintf(text, sizeof(text),
	    "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n%s\r\n%s",
	    status, strlen(body), fields, body);
	fake_send(fd, text);
}

static void
send_chunk(int fd, const char *data)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "%zx\r\n%s\r\n", strlen(data), data);
	fake_send(fd, text);
}

/* Every test runs with both engines: a host name goes to libcurl. */
static void
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

static void
end(void)
{
	rig_stop(&rig);
	fake_stop(&fake);
}

/* One request on a connection of its own. */
static int
ask(const char *key, const char *extra, const char *body)
{
	int fd = http_connect(rig.port);

	http_post(fd, CHAT, key, extra, body);
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	return http_status(answer);
}

static struct journal_usage *
usage(size_t want)
{
	static struct journal_usage u[64];
	int i;

	/* A record may be written a turn after its client was served. */
	for (i = 0; i < 2000 && rig_usage(&rig, u, 64) < want; i++)
		usleep(1000);
	ck_assert_uint_eq(rig_usage(&rig, u, 64), want);
	return u;
}

static bool
serve_plain(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(
	    fd, "200 OK", "x-request-id: up-1\r\nset-cookie: a=b\r\n", ANSWER);
	return true;
}

START_TEST(test_plain)
{
	struct rig_config c = {.budget = 1000000000, .rpm = 100};
	struct explain_entry e;
	struct journal_usage *u;
	char id[40] = "";
	const char *p;
	int i;

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
	for (i = 0; i < 2000 && !explain_find(rig.agent.explain, id, &e); i++)
		usleep(1000);
	ck_assert(explain_find(rig.agent.explain, id, &e));
	ck_assert_int_eq(e.cost, 18000);
	ck_assert_str_eq(e.key, "acme.rd.bot.k1");
	ck_assert_uint_eq(e.n_budgets, 1);
	end();
}
END_TEST

/* Several requests on one connection. */
START_TEST(test_keep_alive)
{
	struct rig_config c = {.budget = 1000000000};
	int fd, i;

	begin(serve_plain, &c);
	fd = http_connect(rig.port);
	for (i = 0; i < 5; i++) {
		http_post(fd, CHAT, RIG_KEY, "", BODY);
		ck_assert_int_gt(
		    http_recv(fd, answer, sizeof(answer), &clean), 0);
		ck_assert(clean);
		ck_assert_int_eq(http_status(answer), 200);
	}
	close(fd);
	ck_assert_int_eq(fake.n_conns, 1); /* the provider's was kept too */
	(void)usage(5);
	end();
}
END_TEST

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Read to the end of the connection. */
static void
slurp(int fd)
{
	size_t n = 0;
	ssize_t k;

	while (n < sizeof(answer) - 1) {
		k = recv(fd, answer + n, sizeof(answer) - 1 - n, 0);
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	answer[n] = '\0';
}

START_TEST(test_pipelined)
{
	struct rig_config c = {.budget = 1000000000};
	char text[4096];
	int fd, i, len;
	size_t n = 0;

	begin(serve_plain, &c);
	for (i = 0; i < 4; i++) {
		len = snprintf(text + n, sizeof(text) - n,
		    "POST " CHAT " HTTP/1.1\r\nHost: t\r\n"
		    "Authorization: Bearer " RIG_KEY "\r\n%s"
		    "Content-Length: %zu\r\n\r\n" BODY,
		    i == 3 ? "Connection: close\r\n" : "", strlen(BODY));
		n += (size_t)len;
	}
	fd = http_connect(rig.port);
	http_send(fd, text);
	slurp(fd);
	ck_assert_uint_eq(count(answer, "HTTP/1.1 200 OK\r\n"), 4);
	close(fd);
	/* byte by byte */
	fd = http_connect(rig.port);
	for (i = 0; i < (int)n; i++) {
		char one[2] = {text[i], 0};

		http_send(fd, one);
	}
	slurp(fd);
	ck_assert_uint_eq(count(answer, "HTTP/1.1 200 OK\r\n"), 4);
	close(fd);
	(void)usage(8);
	end();
}
END_TEST

static bool
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

START_TEST(test_old_clients)
{
	struct rig_config c = {.budget = 1000000000};
	char text[1024];
	int fd;

	begin(serve_stream, &c);
	(void)snprintf(text, sizeof(text),
	    "POST " CHAT " HTTP/1.0\r\nAuthorization: Bearer " RIG_KEY
	    "\r\nContent-Length: %zu\r\n\r\n" STREAM,
	    strlen(STREAM));
	fd = http_connect(rig.port);
	http_send(fd, text);
	slurp(fd);
	close(fd);
	ck_assert_ptr_null(strstr(answer, "chunked"));
	ck_assert_ptr_nonnull(strstr(answer, "\r\nconnection: close\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\ndata: {"));
	ck_assert_str_eq(answer + strlen(answer) - 14, "data: [DONE]\n\n");
	/* Expect: 100-continue */
	(void)snprintf(text, sizeof(text),
	    "POST " CHAT
	    " HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer " RIG_KEY
	    "\r\nExpect: 100-continue\r\nConnection: close\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    strlen(STREAM));
	fd = http_connect(rig.port);
	http_send(fd, text);
	ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
	ck_assert_int_eq(
	    strncmp(answer, "HTTP/1.1 100 Continue\r\n\r\n", 25), 0);
	http_send(fd, STREAM);
	slurp(fd);
	close(fd);
	ck_assert_int_eq(http_status(answer), 200);
	(void)usage(2);
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
	ck_assert_int_eq(u[1].tokens.n[TC_OUTPUT], 2);
	ck_assert_int_gt(u[1].cost, 0);
	end();
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
	int fd = http_connect(rig.port), i, before = fake.n_gone;

	atomic_store(&gone_after, -2);
	http_post(fd, CHAT, RIG_KEY, "", body);
	if (read_first)
		ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
	for (i = 0; i < 5000 && fake.n_requests == before; i++)
		usleep(1000);
	close(fd);
	for (i = 0; i < 5000 && fake.n_gone == before; i++)
		usleep(1000);
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
	ck_assert_int_eq(u[1].tokens.n[TC_OUTPUT], 2);
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
	ck_assert_int_eq(u[0].tokens.n[TC_OUTPUT], 2);
	end();
}
END_TEST

static bool
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

START_TEST(test_client_leaves_while_waiting)
{
	struct rig_config c = {.budget = 1000000000, .conc = 1};
	int fd, i;

	begin(serve_plain, &c);
	atomic_store(&rig.purse, 0);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", BODY);
	usleep(3000);
	close(fd);
	atomic_store(&rig.purse, 1000000000);
	/* its place is free again */
	for (i = 0; i < 2000 && ask(RIG_KEY, "", BODY) != 200; i++)
		usleep(1000);
	ck_assert_int_eq(http_status(answer), 200);
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

/* ---- hostile clients ---- */

static int
raw(const char *text)
{
	int fd = http_connect(rig.port);

	http_send(fd, text);
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	return http_status(answer);
}

#define AUTH "Authorization: Bearer " RIG_KEY "\r\n"

START_TEST(test_smuggling)
{
	struct rig_config c = {.budget = 1000000000};
	int fd;
	long n;

	begin(serve_plain, &c);
	fd = http_connect(rig.port);
	http_send(fd,
	    "POST " CHAT " HTTP/1.1\r\nHost: t\r\n" AUTH
	    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: t\r\n" AUTH "\r\n");
	n = 0;
	for (;;) {
		ssize_t k =
		    recv(fd, answer + n, sizeof(answer) - 1 - (size_t)n, 0);

		if (k <= 0)
			break;
		n += k;
	}
	answer[n] = '\0';
	close(fd);
	ck_assert_int_eq(http_status(answer), 400);
	ck_assert_ptr_null(strstr(answer + 10, "HTTP/1.1"));
	ck_assert_ptr_null(strstr(answer, "\"list\""));
	ck_assert_int_eq(raw("POST " CHAT " HTTP/1.1\r\nHost: t\r\n" AUTH
			     "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	    400);
	ck_assert_int_eq(
	    raw("POST " CHAT " HTTP/1.1\r\nHost: a\r\nHost: b\r\n" AUTH
		"Content-Length: 0\r\n\r\n"),
	    400);
	ck_assert_int_eq(
	    raw("GET http://t/v1/models HTTP/1.1\r\nHost: t\r\n" AUTH "\r\n"),
	    400);
	ck_assert_int_eq(
	    raw("GET //v1/models HTTP/1.1\r\nHost: t\r\n" AUTH "\r\n"), 404);
	ck_assert_int_eq(
	    raw("GET /v1/%6dodels HTTP/1.1\r\nHost: t\r\n" AUTH "\r\n"), 404);
	ck_assert_int_eq(
	    raw("GET /v1/models HTTP/1.1\r\nHost: t\r\n" AUTH "\r\n"), 200);
	ck_assert_int_eq(fake.n_requests, 0);
	end();
}
END_TEST

START_TEST(test_too_large)
{
	struct rig_config c = {.budget = 1000000000};
	static char text[20000];
	size_t n;

	begin(serve_plain, &c);
	/* 413 comes although not one byte of the body does */
	ck_assert_int_eq(raw("POST " CHAT " HTTP/1.1\r\nHost: t\r\n" AUTH
			     "Content-Length: 1048577\r\n\r\n"),
	    413);
	n = (size_t)snprintf(text, sizeof(text),
	    "GET /v1/models HTTP/1.1\r\nHost: t\r\nX-Long: ");
	memset(text + n, 'a', sizeof(text) - n - 5);
	memcpy(text + sizeof(text) - 5, "\r\n\r\n", 5);
	ck_assert_int_eq(raw(text), 431);
	end();
}
END_TEST

START_TEST(test_large_bodies)
{
	struct rig_config c = {.budget = 10000000000};
	static char chunk[65536 + 1], body[400000];
	size_t n;
	int fd, i;

	begin(serve_stall, &c);
	/* chunked and above the limit */
	fd = http_connect(rig.port);
	http_send(fd, "POST " CHAT " HTTP/1.1\r\nHost: t\r\n" AUTH
		      "Transfer-Encoding: chunked\r\n\r\n");
	memset(chunk, 'x', 65536);
	for (i = 0; i < 17; i++) {
		http_send(fd, "10000\r\n");
		http_send(fd, chunk);
		http_send(fd, "\r\n");
	}
	http_send(fd, "0\r\n\r\n");
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	ck_assert_int_eq(http_status(answer), 413);
	close(fd);
	end();
	/* large and fine */
	begin(serve_plain, &c);
	n = (size_t)snprintf(body, sizeof(body),
	    "{\"model\":\"chat\",\"max_tokens\":5,\"messages\":[{\"role\":"
	    "\"user\",\"content\":\"");
	memset(body + n, 'y', 15000 - n);
	memcpy(body + 15000, "\"}]}", 5);
	ck_assert_int_eq(ask(RIG_KEY, "", body), 200);
	ck_assert_ptr_nonnull(strstr(fake.last, "yyy\"}]}"));
	end();
}
END_TEST

START_TEST(test_bad_input)
{
	struct rig_config c = {.budget = 1000000000};

	begin(serve_plain, &c);
	ck_assert_int_eq(ask(RIG_KEY, "", "{\"model\":"), 400);
	ck_assert_int_eq(ask(RIG_KEY, "", "{}"), 400);
	ck_assert_ptr_nonnull(strstr(answer, "\"param\":\"model\""));
	ck_assert_int_eq(
	    ask(RIG_KEY, "",
		"{\"model\":\"nope\",\"messages\":[{\"role\":\"user\"}]}"),
	    404);
	ck_assert_ptr_nonnull(strstr(answer, "\"model_not_found\""));
	ck_assert_int_eq(
	    ask(RIG_KEY, "",
		"{\"model\":\"secret\",\"messages\":[{\"role\":\"user\"}]}"),
	    404);
	ck_assert_int_eq(
	    ask(RIG_KEY, "",
		"{\"model\":\"embed\",\"messages\":[{\"role\":\"user\"}]}"),
	    503);
	ck_assert_int_eq(ask(RIG_KEY, "Content-Encoding: gzip\r\n", BODY), 415);
	ck_assert_int_eq(ask(RIG_KEY, "x-api-key: hg-other\r\n", BODY), 400);
	ck_assert_int_eq(fake.n_requests, 0);
	end();
}
END_TEST

/* Everything of the answer but what differs by nature. */
static void
mask(char *text)
{
	char *p = strstr(text, "x-request-id: ");

	ck_assert_ptr_nonnull(p);
	memset(p + 14, '-', 36);
	p = strstr(text, "date: ");
	ck_assert_ptr_nonnull(p);
	memset(p + 6, '-', 29);
}

START_TEST(test_unknown_keys_look_alike)
{
	static char first[65536];
	struct rig_config c = {.budget = 1000000000};

	begin(serve_plain, &c);
	ck_assert_int_eq(ask("hg-unknown", "", BODY), 401);
	mask(answer);
	memcpy(first, answer, sizeof(first));
	ck_assert_int_eq(ask(RIG_OTHER, "", BODY), 401);
	mask(answer);
	ck_assert_str_eq(answer, first);
	ck_assert_int_eq(
	    ask("' OR (SELECT pg_sleep(8)) IS NOT NULL --", "", BODY), 401);
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
	/* until nothing moves any more */
	for (i = 0; i < 100 && now != seen; i++) {
		seen = now;
		usleep(100000);
		now = atomic_load(&flooded);
	}
	ck_assert_int_gt(now, 0);
	ck_assert_int_lt(now, 40000000); /* of 60 MB: socket buffers */
	ck_assert_int_gt(rig_metric(&rig, AM_UP_PAUSES, NULL), 0);
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
	int fd, i;

	begin(serve_slow, &c);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", BODY);
	for (i = 0; i < 5000 && fake.n_requests == 0; i++)
		usleep(1000);
	end();
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	ck_assert_int_eq(http_status(answer), 200);
	close(fd);
}
END_TEST

START_TEST(test_stop_cancels_what_runs)
{
	struct rig_config c = {.budget = 1000000000};
	int fd, i;

	begin(serve_wait_gone, &c);
	fd = http_connect(rig.port);
	http_post(fd, CHAT, RIG_KEY, "", STREAM);
	for (i = 0; i < 5000 && fake.n_requests == 0; i++)
		usleep(1000);
	atomic_store(&rig.agent.draining, 2);
	(void)usage(1);
	end();
	close(fd);
}
END_TEST

static void
add(Suite *s, const char *name, const TTest *test)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test, 0, 2);
	suite_add_tcase(s, tc);
}

#define ADD(s, test) add(s, #test, test)

int
main(void)
{
	Suite *s = suite_create("agent/worker");

	ADD(s, test_plain);
	ADD(s, test_keep_alive);
	ADD(s, test_pipelined);
	ADD(s, test_stream);
	ADD(s, test_old_clients);
	ADD(s, test_missing_usage_is_estimated);
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
	ADD(s, test_client_leaves_while_waiting);
	ADD(s, test_limits);
	ADD(s, test_smuggling);
	ADD(s, test_too_large);
	ADD(s, test_large_bodies);
	ADD(s, test_bad_input);
	ADD(s, test_unknown_keys_look_alike);
	ADD(s, test_slow_client_holds_provider_back);
	ADD(s, test_drain_finishes_what_runs);
	ADD(s, test_stop_cancels_what_runs);
	return unit_run(s);
}
