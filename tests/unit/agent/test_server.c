/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server of the data port: connections that stay, pipelining, old
 * and hostile clients, bad input, keys that do not hold.
 */
#include "tests/unit/agent/scene.h"

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
	    400);
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

int
main(void)
{
	Suite *s = suite_create("agent/server");

	ADD(s, test_keep_alive);
	ADD(s, test_pipelined);
	ADD(s, test_old_clients);
	ADD(s, test_smuggling);
	ADD(s, test_too_large);
	ADD(s, test_large_bodies);
	ADD(s, test_bad_input);
	ADD(s, test_unknown_keys_look_alike);
	return unit_run(s);
}
