/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/err: the table is consistent, texts are cleaned and bounded, a
 * broken invariant aborts.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/err.h"
#include "tests/unit/support/unit.h"

static const int all_codes[] = {
#define X(e, num, name, http, exit_code, text) e,
    ERR_TABLE(X)
#undef X
};
#define N_CODES (sizeof(all_codes) / sizeof(all_codes[0]))

START_TEST(test_table)
{
	size_t i, j;

	for (i = 0; i < N_CODES; i++) {
		const char *name = err_name(all_codes[i]);

		ck_assert_int_lt(all_codes[i], 0);
		ck_assert_int_eq(err_from_name(name), all_codes[i]);
		ck_assert_uint_eq(
		    strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		ck_assert_int_ge(err_http_status(all_codes[i]), 400);
		ck_assert_int_le(err_http_status(all_codes[i]), 599);
		ck_assert_int_ge(err_exit_code(all_codes[i]), 1);
		ck_assert_int_le(err_exit_code(all_codes[i]), 7);
		ck_assert_uint_gt(strlen(err_text(all_codes[i])), 0);
		for (j = 0; j < i; j++) {
			ck_assert_int_ne(all_codes[i], all_codes[j]);
			ck_assert_str_ne(name, err_name(all_codes[j]));
		}
	}
}
END_TEST

/* Agents and control planes of other versions know these numbers. */
START_TEST(test_numbers_are_fixed)
{
	ck_assert_int_eq(ERR_INTERNAL, -1);
	ck_assert_int_eq(ERR_NOMEM, -2);
	ck_assert_int_eq(ERR_FORBIDDEN, -10);
	ck_assert_int_eq(ERR_METHOD, -22);
	ck_assert_int_eq(ERR_MODEL_NOT_FOUND, -40);
	ck_assert_int_eq(ERR_CLIENT_GONE, -49);
}
END_TEST

START_TEST(test_unknown)
{
	ck_assert_str_eq(err_name(-999), "unknown");
	ck_assert_str_eq(err_text(12345), "unknown error");
	ck_assert_int_eq(err_http_status(-999), 500);
	ck_assert_int_eq(err_exit_code(-999), 1);
	ck_assert_int_eq(err_exit_code(0), 0);
	ck_assert_int_eq(err_http_status(0), 200);
	ck_assert_str_eq(err_name(0), "ok");
	ck_assert_int_eq(err_from_name("nope"), 0);
	ck_assert_int_eq(err_from_name(NULL), 0);
	ck_assert_int_eq(err_from_name(""), 0);
}
END_TEST

START_TEST(test_set)
{
	struct error e = {0};

	ck_assert_int_eq(
	    err_set(&e, ERR_INVALID, "route %s: %d", "a", 7), ERR_INVALID);
	ck_assert_int_eq(e.code, ERR_INVALID);
	ck_assert_str_eq(e.text, "route a: 7");
	ck_assert_str_eq(e.field, "");
	ck_assert_int_eq(
	    err_set_field(&e, ERR_EXISTS, "/spec/name", "taken"), ERR_EXISTS);
	ck_assert_str_eq(e.field, "/spec/name");
	ck_assert_str_eq(e.text, "taken");
	ck_assert_int_eq(err_wrap(&e, "team %s", "x"), ERR_EXISTS);
	ck_assert_str_eq(e.text, "team x: taken");
	ck_assert_str_eq(e.field, "/spec/name");
	err_set(&e, ERR_IO, "plain");
	ck_assert_str_eq(e.field, "");
	ck_assert_int_eq(err_set(NULL, ERR_IO, "%s", "x"), ERR_IO);
	ck_assert_int_eq(err_set_field(NULL, ERR_IO, "f", "%s", "x"), ERR_IO);
	ck_assert_int_eq(err_wrap(NULL, "x"), 0);
}
END_TEST

/* Arguments may be parts of the same error. */
START_TEST(test_set_overlapping)
{
	struct error e = {0};

	err_set_field(&e, ERR_INVALID, "f", "inner");
	err_set_field(&e, ERR_CONFLICT, e.field, "outer: %s", e.text);
	ck_assert_str_eq(e.text, "outer: inner");
	ck_assert_str_eq(e.field, "f");
	err_wrap(&e, "again %s", e.text);
	ck_assert_str_eq(e.text, "again outer: inner: outer: inner");
}
END_TEST

START_TEST(test_cleaned)
{
	struct error e = {0};

	err_set_field(&e, ERR_INVALID, "a\nb", "x\r\ny\t\x1b[31m\x7f");
	ck_assert_str_eq(e.text, "x??y??[31m?");
	ck_assert_str_eq(e.field, "a?b");
	err_set(&e, ERR_INVALID, "caf\xc3\xa9 \xff \xc3");
	ck_assert_str_eq(e.text, "caf\xc3\xa9 ? ?");
	err_set(&e, ERR_INVALID,
	    "\xc2\x9b"
	    "1m \xe2\x80\xa8.");
	ck_assert_str_eq(e.text, "??1m ???.");
	err_set(&e, ERR_INVALID, "ok");
	err_wrap(&e, "%s", "evil\nline");
	ck_assert_str_eq(e.text, "evil?line: ok");
}
END_TEST

START_TEST(test_bounded)
{
	struct error e = {0};
	char big[2000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set_field(&e, ERR_INVALID, big, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	ck_assert_uint_eq(strlen(e.field), sizeof(e.field) - 1);
	err_wrap(&e, "%s", "head");
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	ck_assert_int_eq(strncmp(e.text, "head: xxx", 9), 0);
	err_wrap(&e, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	/* A character that the end cuts in two leaves no half behind. */
	memcpy(big + 509, "\xe6\xbc\xa2", 3);
	err_set(&e, ERR_INVALID, "%s", big);
	ck_assert(str_is_utf8(str_of(e.text)));
	ck_assert_str_eq(e.text + 509, "??");
}
END_TEST

START_TEST(test_from_errno)
{
	ck_assert_int_eq(err_from_errno(0), 0);
	ck_assert_int_eq(err_from_errno(ENOENT), ERR_NOT_FOUND);
	ck_assert_int_eq(err_from_errno(-ENOENT), ERR_NOT_FOUND);
	ck_assert_int_eq(err_from_errno(ENOMEM), ERR_NOMEM);
	ck_assert_int_eq(err_from_errno(EACCES), ERR_FORBIDDEN);
	ck_assert_int_eq(err_from_errno(ENOSPC), ERR_IO);
	ck_assert_int_eq(err_from_errno(EMFILE), ERR_LIMIT);
	ck_assert_int_eq(err_from_errno(ECONNREFUSED), ERR_UNAVAILABLE);
	ck_assert_int_eq(err_from_errno(ETIMEDOUT), ERR_TIMEOUT);
	ck_assert_int_eq(err_from_errno(99999), ERR_IO);
}
END_TEST

START_TEST(test_must_aborts)
{
	int one = 1;

	MUST(one == 1);
	MUST(one == 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/err");
	TCase *t = tcase_create("test_must_aborts");

	UNIT_ADD(s, test_table);
	UNIT_ADD(s, test_numbers_are_fixed);
	UNIT_ADD(s, test_unknown);
	UNIT_ADD(s, test_set);
	UNIT_ADD(s, test_set_overlapping);
	UNIT_ADD(s, test_cleaned);
	UNIT_ADD(s, test_bounded);
	UNIT_ADD(s, test_from_errno);
	tcase_add_test_raise_signal(t, test_must_aborts, SIGABRT);
	suite_add_tcase(s, t);
	return unit_run(s);
}
