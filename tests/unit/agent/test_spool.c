/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forms with files: any split gives the same parts; the model is cut out; what
 * is large goes to a file; what is no form is refused.
 */
#include <stdlib.h>
#include <unistd.h>

#include "agent/front/spool.h"
#include "tests/unit/support/unit.h"

#define TYPE "multipart/form-data; charset=x; boundary=\"xYz\""
#define FORM                                                                \
	"preamble\r\n--xYz\r\nContent-Disposition: form-data; "             \
	"name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n" \
	"\r\nbytes\r\n--xY\r\n-\r\n--xYz\r\ncontent-disposition: "          \
	"form-data; name=\"model\"\r\n\r\nwhisper\r\n--xYz\r\n"             \
	"Content-Disposition: form-data; name=prompt\r\n\r\n\r\n--xYz--\r\n"
#define KEPT                                                                \
	"--xYz\r\nContent-Disposition: form-data; name=\"file\"; "          \
	"filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nbytes\r\n"   \
	"--xY\r\n-\r\n--xYz\r\nContent-Disposition: form-data; name=prompt" \
	"\r\n\r\n\r\n--xYz--\r\n"

static struct spool *
begin(void)
{
	const char *dir = getenv("TMPDIR");
	struct spool *s;

	ck_assert_int_eq(
	    spool_new(STR(TYPE), dir != NULL ? dir : "/tmp", 4 << 20, &s), 0);
	return s;
}

/* Whose request it is: any bytes, once, of any split; not without an end. */
START_TEST(test_user)
{
	const char *head = "--xYz\r\nContent-Disposition: form-data; "
			   "name=\"user\"\r\n\r\n";
	char name[5000];
	struct scan sc;
	struct error e;
	struct spool *s = begin();

	ck_assert_int_eq(spool_add(s, head, strlen(head)), 0);
	ck_assert_int_eq(spool_add(s, "a\\u0041 \"", 9), 0);
	ck_assert_int_eq(spool_add(s, "e\r\n", 3), 0);
	ck_assert_int_eq(
	    spool_add(s, FORM + 10, sizeof(FORM) - 1 - 10), 0); /* its rest */
	ck_assert_int_eq(
	    spool_scan(s, OP_TRANSCRIPTIONS, STR_NULL, &sc, &e), 0);
	ck_assert_slice_eq(sc.user, "a\\u0041 \"e");
	ck_assert(str_find(spool_memory(s), 'A') < 0);
	spool_free(s);
	s = begin(); /* nobody */
	ck_assert_int_eq(spool_add(s, FORM, sizeof(FORM) - 1), 0);
	ck_assert_int_eq(
	    spool_scan(s, OP_TRANSCRIPTIONS, STR_NULL, &sc, &e), 0);
	ck_assert_uint_eq(sc.user.len, 0);
	spool_free(s);
	s = begin(); /* twice */
	ck_assert_int_eq(spool_add(s, head, strlen(head)), 0);
	ck_assert_int_eq(spool_add(s, "a\r\n", 3), 0);
	ck_assert_int_eq(spool_add(s, head, strlen(head)), ERR_INVALID);
	spool_free(s);
	memset(name, 'x', sizeof(name));
	for (size_t n = 4096; n <= 4097; n++) {
		s = begin();
		ck_assert_int_eq(spool_add(s, head, strlen(head)), 0);
		ck_assert_int_eq(spool_add(s, name, n), 0);
		ck_assert_int_eq(spool_add(s, "\r\n--xYz--", 10),
		    n > 4096 ? ERR_TOO_LARGE : 0);
		spool_free(s);
	}
}
END_TEST

START_TEST(test_every_split)
{
	size_t len = sizeof(FORM) - 1, cut, i;
	struct scan sc;
	struct error e;
	struct spool *s;
	struct buf b;

	for (cut = 0; cut <= len; cut++) {
		s = begin();
		if (cut == len) {
			for (i = 0; i < len; i++)
				ck_assert_int_eq(spool_add(s, FORM + i, 1), 0);
		} else {
			ck_assert_int_eq(spool_add(s, FORM, cut), 0);
			ck_assert_int_eq(
			    spool_add(s, FORM + cut, len - cut), 0);
		}
		ck_assert_int_eq(
		    spool_scan(s, OP_TRANSCRIPTIONS, STR_NULL, &sc, &e), 0);
		ck_assert_str_eq(sc.model, "whisper");
		ck_assert_slice_eq(spool_memory(s), KEPT);
		spool_free(s);
	}
	s = begin();
	buf_init(&b, 1024);
	spool_model_part(s, STR("up"), &b);
	ck_assert_str_eq(buf_cstr(&b),
	    "--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nup"
	    "\r\n");
	buf_release(&b);
	spool_free(s);
}
END_TEST

START_TEST(test_large)
{
	static const char head[] =
	    "--xYz\r\nContent-Disposition: form-data; name=\"file\"; "
	    "filename=\"a\"\r\n\r\n";
	static const char tail[] =
	    "\r\n--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n"
	    "\r\nm\r\n--xYz--";
	static char data[1000], seen[1000];
	struct spool *s = begin();
	struct scan sc;
	struct error e;
	int64_t len;
	int i, fd;

	memset(data, '-', sizeof(data));
	ck_assert_int_eq(spool_add(s, head, sizeof(head) - 1), 0);
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(spool_add(s, data, sizeof(data)), 0);
	ck_assert_int_eq(spool_add(s, tail, sizeof(tail) - 1), 0);
	ck_assert_int_eq(spool_scan(s, OP_TRANSLATIONS, STR_NULL, &sc, &e), 0);
	ck_assert_str_eq(sc.model, "m");
	ck_assert_int_eq(sc.n_seconds, 2001);
	fd = spool_file(s, &len);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(len, (int64_t)sizeof(head) - 1 + 1000000 + 2 + 9);
	ck_assert_int_eq(pread(fd, seen, sizeof(seen), 5000), 1000);
	ck_assert_mem_eq(seen, data, sizeof(seen));
	ck_assert_uint_eq(spool_memory(s).len, 0);
	for (i = 0; i < 4000; i++) {
		if (spool_add(s, data, sizeof(data)) == ERR_TOO_LARGE)
			break;
	}
	ck_assert_int_lt(i, 4000);
	spool_free(s);
}
END_TEST

START_TEST(test_bad)
{
	static const char *const types[] = {"application/json", "",
	    "multipart/form-data", "multipart/form-data; boundary=",
	    "multipart/form-data; boundary=a b", "multipart/mixed; boundary=x"};
	static const char *const forms[] = {
	    "--xYzjunk\r\n", /* behind a delimiter */
	    "--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na"
	    "\r\n--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n"
	    "\r\nb\r\n--xYz--"};
	struct spool *s;
	struct scan sc;
	struct error e;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		ck_assert_msg(spool_new(str_of(types[i]), "/tmp", 100, &s) ==
				  ERR_UNSUPPORTED,
		    "%s", types[i]);
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		s = begin();
		ck_assert_int_eq(
		    spool_add(s, forms[i], strlen(forms[i])), ERR_INVALID);
		spool_free(s);
	}
	s = begin(); /* cut off */
	ck_assert_int_eq(spool_add(s, FORM, 100), 0);
	ck_assert_int_eq(
	    spool_scan(s, OP_TRANSCRIPTIONS, STR_NULL, &sc, &e), ERR_INVALID);
	spool_free(s);
}
END_TEST

#define PART(head) "--xYz\r\n" head "\r\n\r\nx\r\n--xYz--"
#define DISP	   "Content-Disposition: form-data; "

/* What readers disagree about, so that a second model (or n) might be seen by
 * the provider and not by us. */
START_TEST(test_ambiguous)
{
	static const char *const types[] = {"a=b", "a/b", "a(b", "a:b", "a,b",
	    "x; boundary=y", "\"x\"; Boundary=\"y\"", "\"x;y\"", "a?b"};
	static const char *const heads[] = {
	    PART(DISP "name=\"model\"; foo=\"; name=zzz\""),
	    PART(DISP "foo=\"; name=zzz; \"; name=\"model\""),
	    PART(DISP "name=\"x\"; name*=UTF-8''model"),
	    PART(DISP "name=\"x\"; name=\"model\""),
	    PART(DISP "name=\"mo\\del\""), PART(DISP "name=\"model"),
	    PART(DISP "name=model\""), PART(DISP "name=\"model\"x"),
	    PART(DISP "name=\"x\"; filename=\"a\\\"; name=model; b=\""),
	    PART(DISP "name=\"model\"; filename=\"a\""),
	    PART(DISP "name=\"n\"; filename=\"a\""),
	    PART(DISP "filename=\"a\""), PART(DISP),
	    PART("Content-Disposition: form-data;\r\n name=\"model\""),
	    PART("Content-Disposition : form-data; name=\"model\""),
	    PART("Content-Disposition: attachment; name=\"model\""),
	    PART("X: y\n" DISP "name=\"model\""),
	    PART("X: y\r" DISP "name=\"model\""),
	    PART(DISP "name=\"x\"\r\n" DISP "name=\"model\""),
	    PART("Content-Type: text/plain"), PART("no field"),
	    "--xYz\r\n" DISP "name=\"n\"\r\n\r\n1\r\n--xYz\r\n" DISP
	    "name=\"n\"\r\n\r\n9\r\n--xYz--"};
	char text[120];
	struct spool *s;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		(void)snprintf(text, sizeof(text),
		    "multipart/form-data; boundary=%s", types[i]);
		ck_assert_msg(
		    spool_new(str_of(text), "/tmp", 100, &s) == ERR_UNSUPPORTED,
		    "%s", text);
	}
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		s = begin();
		ck_assert_msg(
		    spool_add(s, heads[i], strlen(heads[i])) == ERR_INVALID,
		    "%s", heads[i]);
		spool_free(s);
	}
}
END_TEST

/* What SDKs and browsers send. */
START_TEST(test_usual)
{
	static const char *const heads[] = {
	    PART(DISP "name=\"file\"; filename=\"a b; c=%22d%22.mp3\""),
	    PART(DISP "name=\"file\"; filename=\"C:\\dir\\\xc3\xa9.mp3\""),
	    PART(DISP "name=file;filename=a.mp3"),
	    PART(DISP "name=\"file\"; filename=\"a\"; filename*=UTF-8''%c3"),
	    PART("content-disposition: form-data; name=\"image[]\"\r\n"
		 "Content-Type: image/png; x=\"y\"")};
	struct spool *s;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		s = begin();
		ck_assert_msg(spool_add(s, heads[i], strlen(heads[i])) == 0,
		    "%s", heads[i]);
		spool_free(s);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("spool");

	UNIT_ADD(s, test_every_split);
	UNIT_ADD(s, test_user);
	UNIT_ADD(s, test_large);
	UNIT_ADD(s, test_bad);
	UNIT_ADD(s, test_ambiguous);
	UNIT_ADD(s, test_usual);
	return unit_run(s);
}
