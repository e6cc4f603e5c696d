/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/log: both formats, levels, injection, secrets, lines that are too
 * long, whole lines from many threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "common/rng.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static char line[20000];
static size_t line_len;
static int n_lines;

static void
capture(void *ctx, const char *p, size_t len)
{
	(void)ctx;
	ck_assert_uint_lt(len, sizeof(line));
	memcpy(line, p, len);
	line[len] = '\0';
	line_len = len;
	n_lines++;
}

/* The line captured last, without its time, as it must start. */
static const char *
tail(void)
{
	ck_assert_uint_gt(line_len, 25);
	ck_assert_int_eq(line[line_len - 1], '\n');
	ck_assert_uint_eq(strcspn(line, "\n"), line_len - 1);
	line[line_len - 1] = '\0';
	return line + 25;
}

static json_t *
parsed(void)
{
	json_error_t e;
	json_t *j = json_loadb(
	    line, line_len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);

	ck_assert_msg(j != NULL, "%s: %s", e.text, line);
	ck_assert_uint_eq(strcspn(line, "\n"), line_len - 1);
	return j;
}

static void
setup(enum log_format fmt)
{
	n_lines = 0;
	log_init("prog", LOG_INFO, fmt);
	log_capture(capture, NULL);
}

START_TEST(test_text)
{
	setup(LOG_TEXT);
	log_info("agent enrolled", LF("agent", "a1"), LFI("n", -3),
	    LFB("ok", true), LFS("slice", STR("x y")), LF("none", NULL));
	ck_assert_str_eq(tail(),
	    "info  prog: agent enrolled agent=a1 n=-3 ok=true slice=\"x y\" "
	    "none=\"\"");
	ck_assert_int_eq(line[4], '-');
	ck_assert_int_eq(line[23], 'Z');
	log_error("bare");
	ck_assert_str_eq(tail(), "error prog: bare");
}
END_TEST

START_TEST(test_json)
{
	json_t *j;

	setup(LOG_JSON);
	log_warn("msg \"quoted\"", LF("z", "v"), LFI("i", INT64_MIN),
	    LFB("b", false), LF("null", NULL), LFS("s", STR("a\0b")));
	j = parsed();
	ck_assert_str_eq(
	    json_string_value(json_object_get(j, "level")), "warn");
	ck_assert_str_eq(
	    json_string_value(json_object_get(j, "msg")), "msg \"quoted\"");
	ck_assert_str_eq(
	    json_string_value(json_object_get(j, "program")), "prog");
	ck_assert(json_integer_value(json_object_get(j, "i")) == INT64_MIN);
	ck_assert(json_is_false(json_object_get(j, "b")));
	ck_assert(json_is_null(json_object_get(j, "null")));
	ck_assert_uint_eq(
	    strlen(json_string_value(json_object_get(j, "time"))), 24);
	json_decref(j);
}
END_TEST

START_TEST(test_levels)
{
	enum log_format f;
	enum log_level l;

	setup(LOG_TEXT);
	log_debug("no");
	ck_assert_int_eq(n_lines, 0);
	ck_assert(!log_enabled(LOG_DEBUG));
	log_init("prog", LOG_DEBUG, LOG_TEXT);
	log_debug("yes");
	ck_assert_int_eq(n_lines, 1);
	log_init("prog", LOG_ERROR, LOG_TEXT);
	log_warn("no");
	ck_assert_int_eq(n_lines, 1);
	ck_assert_int_eq(log_level_parse("warn", &l), 0);
	ck_assert_int_eq(l, LOG_WARN);
	ck_assert_int_eq(log_level_parse("WARN", &l), ERR_INVALID);
	ck_assert_int_eq(log_level_parse("", &l), ERR_INVALID);
	ck_assert_int_eq(log_format_parse("json", &f), 0);
	ck_assert_int_eq(f, LOG_JSON);
	ck_assert_int_eq(log_format_parse("xml", &f), ERR_INVALID);
}
END_TEST

START_TEST(test_injection)
{
	static const char evil[] =
	    "x\r\n2026-01-01T00:00:00.000Z error prog: forged a=b\x1b[2J"
	    "\x7f\xc2\x9b"
	    "2J\xe2\x80\xa8 \xff";
	const char *p;
	json_t *j;

	setup(LOG_TEXT);
	log_info(evil, LF("agent", evil), LF("e", "a=b"), LF("q", "\""),
	    LF(evil, "key"));
	p = tail();
	ck_assert_ptr_null(strpbrk(p, "\r\n\x1b\x7f"));
	ck_assert_ptr_null(strstr(p, "\xc2\x9b"));
	ck_assert_ptr_null(strstr(p, "\xe2\x80\xa8"));
	ck_assert_ptr_nonnull(strstr(p, "e=\"a=b\""));
	ck_assert_ptr_nonnull(strstr(p, "q=\"\\\"\""));
	setup(LOG_JSON);
	log_info(evil, LF("agent", evil), LF("close", "\",\"level\":\"x"));
	ck_assert_ptr_null(strpbrk(line, "\r\x1b\x7f"));
	j = parsed();
	ck_assert_str_eq(
	    json_string_value(json_object_get(j, "level")), "info");
	json_decref(j);
}
END_TEST

START_TEST(test_secret)
{
	static const char canary[] = "hg-canary-7f3a9c";
	struct secret s = {0};
	int fmt;

	ck_assert_int_eq(secret_set(&s, str_of(canary)), 0);
	ck_assert_slice_eq(secret_expose(&s), canary);
	for (fmt = LOG_TEXT; fmt <= LOG_JSON; fmt++) {
		setup((enum log_format)fmt);
		log_info("key", LFX("key", s), LFX("pointer", &s));
		ck_assert_ptr_null(strstr(line, "canary"));
		ck_assert_ptr_nonnull(strstr(line, "[secret]"));
	}
	ck_assert_int_eq(secret_set(&s, STR("new")), 0);
	ck_assert_slice_eq(secret_expose(&s), "new");
	ck_assert_int_eq(secret_set(&s, secret_expose(&s)), 0);
	ck_assert_slice_eq(secret_expose(&s), "new");
	secret_release(&s);
	ck_assert_ptr_null(s.hidden);
	ck_assert_uint_eq(secret_expose(&s).len, 0);
	secret_release(&s);
	EACH_OOM
	{
		struct secret t = {0};
		int rc = secret_set(&t, STR("abc"));

		ck_assert_int_eq(rc, oom_hit() ? ERR_NOMEM : 0);
		secret_release(&t);
	}
}
END_TEST

START_TEST(test_long_lines)
{
	static char big[100000];
	int fmt;
	json_t *j;

	/* Every byte of it grows six-fold when escaped. */
	memset(big, '\x01', sizeof(big) - 1);
	for (fmt = LOG_TEXT; fmt <= LOG_JSON; fmt++) {
		setup((enum log_format)fmt);
		log_info(big, LF("a", big), LF("b", "x"));
		ck_assert_uint_le(line_len, 8192);
		ck_assert_ptr_nonnull(strstr(line, "truncated"));
		if (fmt == LOG_JSON)
			json_decref(parsed());
	}
	memset(big, 'y', sizeof(big) - 1);
	memcpy(big + 2046, "\xe6\xbc\xa2", 3);
	setup(LOG_JSON);
	log_info("m", LF("a", big), LF("b", "x"));
	j = parsed();
	ck_assert_uint_eq(
	    json_string_length(json_object_get(j, "a")), 2046 + 3);
	ck_assert_str_eq(json_string_value(json_object_get(j, "b")), "x");
	json_decref(j);
	setup(LOG_TEXT);
	log_info("m", LF("a", big), LF("b", "x"));
	ck_assert_ptr_nonnull(strstr(tail(), "... b=x"));
	setup(LOG_JSON);
	log_info("m", LF("a", big), LF("b", big), LF("c", big), LF("d", big),
	    LF("e", "last"));
	j = parsed();
	ck_assert(json_is_true(json_object_get(j, "truncated")));
	json_decref(j);
}
END_TEST

/* Random bytes everywhere: each line is one line and JSON. */
START_TEST(test_random)
{
	struct rng_seeded r;
	int n;

	rng_seeded_init(&r, 11);
	setup(LOG_JSON);
	for (n = 0; n < 3000; n++) {
		char raw[64];
		size_t len = rng_below(&r.rng, sizeof(raw));
		char z[65];

		r.rng.fill(&r.rng, raw, sizeof(raw));
		memcpy(z, raw, sizeof(raw));
		z[64] = '\0';
		log_info(z, LFS("v", str_make(raw, len)), LF("z", z));
		json_decref(parsed());
	}
}
END_TEST

/* A line needs no memory and leaves errno alone. */
START_TEST(test_no_allocation)
{
	unsigned long before = oom_allocations();
	int fmt, saved;

	for (fmt = LOG_TEXT; fmt <= LOG_JSON; fmt++) {
		log_init("prog", LOG_INFO, (enum log_format)fmt);
		log_capture(NULL, NULL);
		errno = E2BIG;
		log_info("msg", LF("a", "b\n"), LFI("n", 5));
	}
	saved = errno;
	before = oom_allocations() - before;
	ck_assert_uint_eq(before, 0);
	ck_assert_int_eq(saved, E2BIG);
}
END_TEST

static void *
shout(void *arg)
{
	int i;

	for (i = 0; i < 500; i++)
		log_info("from a thread", LF("name", (const char *)arg),
		    LFI("i", i));
	return NULL;
}

/* To a real descriptor: no line is torn. */
START_TEST(test_threads)
{
	char names[4][2] = {"a", "b", "c", "d"};
	pthread_t th[4];
	char path[4096];
	char text[1024];
	int fd, i, n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/log-%d",
	    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
	ck_assert_int_ge(fd, 0);
	fflush(stderr);
	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	log_init("prog", LOG_INFO, LOG_JSON);
	log_capture(NULL, NULL);
	for (i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, shout, names[i]);
	for (i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	f = fdopen(fd, "r");
	rewind(f);
	while (fgets(text, sizeof(text), f) != NULL) {
		json_t *j = json_loads(text, 0, NULL);

		ck_assert_msg(j != NULL, "%s", text);
		json_decref(j);
		n++;
	}
	fclose(f);
	unlink(path);
	ck_assert_int_eq(n, 2000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/log");

	UNIT_ADD(s, test_text);
	UNIT_ADD(s, test_json);
	UNIT_ADD(s, test_levels);
	UNIT_ADD(s, test_injection);
	UNIT_ADD(s, test_secret);
	UNIT_ADD(s, test_long_lines);
	UNIT_ADD(s, test_random);
	UNIT_ADD(s, test_no_allocation);
	UNIT_ADD(s, test_threads);
	return unit_run(s);
}
