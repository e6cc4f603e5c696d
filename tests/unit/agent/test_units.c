/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models that have a price for units alone: what the provider has done, or may
 * be doing, is charged as far as the request tells it, also when nobody says
 * how it ended. Or a hard budget would never hear of requests whose clients
 * leave before the end.
 */
#include "tests/unit/agent/scene.h"
#include "proto/headgate.pb-c.h"

#define SPEECH_PATH "/v1/audio/speech"
#define IMAGES_PATH "/v1/images/generations"
#define SOUND_PATH  "/v1/audio/transcriptions"
#define SPEECH                                                        \
	"{\"model\":\"chat\",\"voice\":\"alloy\",\"input\":\"twenty " \
	"characters.\"}"
#define IMAGES "{\"model\":\"chat\",\"n\":3,\"prompt\":\"a horse\"}"
#define PRICE  10000 /* nano-USD of a unit */

static bool
serve_part(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	fake_send(fd, "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n"
		      "Content-Length: 100000\r\n\r\nsound");
	(void)fake_wait_gone(fd, 5000);
	return false;
}

static bool
serve_never(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	(void)fake_wait_gone(fd, 5000);
	return false;
}

static bool
serve_text(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(fd, "200 OK", "", "{\"text\":\"hello\"}");
	return true;
}

/* The client leaves when the provider has the request. */
static const struct journal_usage *
leave(const char *path, const char *body)
{
	int fd = http_connect(rig.port);

	http_post(fd, path, RIG_KEY, "", body);
	UNTIL(atomic_load(&fake.n_requests) == 1);
	close(fd);
	return usage(1);
}

static void
check(const struct journal_usage *u, int64_t units)
{
	ck_assert_uint_eq(u->source, HG__USAGE_SOURCE__SOURCE_ESTIMATED);
	ck_assert_int_eq(u->cost, units * PRICE);
	ck_assert_int_ge(u->head.reserved, u->cost);
}

START_TEST(test_speech_cut)
{
	struct rig_config c = {.budget = 1000000000, .unit = TC_CHARACTERS};
	int fd;

	begin(serve_part, &c);
	fd = http_connect(rig.port);
	http_post(fd, SPEECH_PATH, RIG_KEY, "", SPEECH);
	ck_assert_int_gt(read(fd, answer, sizeof(answer)), 0);
	close(fd);
	check(usage(1), 18);
	end();
}
END_TEST

START_TEST(test_speech_left)
{
	struct rig_config c = {.budget = 1000000000, .unit = TC_CHARACTERS};

	begin(serve_never, &c);
	check(leave(SPEECH_PATH, SPEECH), 18);
	end();
}
END_TEST

START_TEST(test_images_left)
{
	struct rig_config c = {
	    .budget = 1000000000, .unit = TC_IMAGES, .max_request = 1000000};
	const struct journal_usage *u;

	begin(serve_never, &c);
	u = leave(IMAGES_PATH, IMAGES);
	check(u, 3);
	end();
}
END_TEST

/* A model whose input is free: what its answer may have cost is held. */
START_TEST(test_free_input_left)
{
	static const char *const bodies[] = {BODY, STREAM};
	struct rig_config c = {.budget = 1000000000, .unit = TC_OUTPUT};
	const struct lease *l;
	const struct journal_usage *u;

	for (size_t i = 0; i < 2; i++) {
		begin(serve_never, &c);
		u = leave(CHAT, bodies[i]);
		check(u, 1);
		ck_assert_int_eq(u->head.reserved, 100 * PRICE);
		l = atomic_load(&lease_table_find(rig.leases, 50)->current);
		UNTIL(atomic_load(&l->settled) == 100 * PRICE);
		end();
	}
}
END_TEST

/* Of sound only the bytes are known: a second for 16,000, and what it may have
 * been more stays taken. */
START_TEST(test_sound_without_usage)
{
	static const char head[] =
	    "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
	    "chat\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; "
	    "filename=\"a.mp3\"\r\n\r\n";
	static const char tail[] = "\r\n--x--\r\n";
	struct rig_config c = {.budget = 1000000000, .unit = TC_AUDIO_SECONDS};
	char form[16000], text[1024];
	size_t n = sizeof(head) - 1;
	int fd;

	memcpy(form, head, n);
	memset(form + n, 0, 14000);
	memcpy(form + n, "\xff\xfb\x90\x64", 4);
	n += 14000;
	memcpy(form + n, tail, sizeof(tail) - 1);
	n += sizeof(tail) - 1;
	begin(serve_text, &c);
	fd = http_connect(rig.port);
	(void)snprintf(text, sizeof(text),
	    "POST " SOUND_PATH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
	    "%s\r\nContent-Type: multipart/form-data; boundary=x\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    RIG_KEY, n);
	http_send(fd, text);
	for (size_t at = 0; at < n;) {
		ssize_t w = write(fd, form + at, n - at);

		ck_assert_int_gt(w, 0);
		at += (size_t)w;
	}
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	ck_assert_msg(http_status(answer) == 200, "%s", answer);
	close(fd);
	check(usage(1), 1);
	ck_assert_int_eq(usage(1)->head.reserved, 29 * PRICE);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/units");

	ADD(s, test_speech_cut);
	ADD(s, test_speech_left);
	ADD(s, test_images_left);
	ADD(s, test_free_input_left);
	ADD(s, test_sound_without_usage);
	return unit_run(s);
}
