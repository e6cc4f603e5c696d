/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit test program needs: running a suite, and small checks.
 */
#ifndef TESTS_UNIT_SUPPORT_UNIT_H
#define TESTS_UNIT_SUPPORT_UNIT_H

#include <check.h>
#include <stdlib.h>

#include "common/str.h"

/* Run the suite and make the exit status; takes the suite. */
static inline int
unit_run(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Add a case of one test to the suite, named as the test. */
#define UNIT_ADD(suite, test)                         \
	do {                                          \
		TCase *unit_tc = tcase_create(#test); \
                                                      \
		tcase_set_timeout(unit_tc, 120);      \
		tcase_add_test(unit_tc, test);        \
		suite_add_tcase(suite, unit_tc);      \
	} while (0)

/* The slice is exactly the text. */
#define ck_assert_slice_eq(got, want)                                      \
	do {                                                               \
		struct str unit_got = (got);                               \
		const char *unit_want = (want);                            \
                                                                           \
		ck_assert_msg(str_eqz(unit_got, unit_want),                \
		    "%s is \"%.*s\", not \"%s\"", #got, STR_ARG(unit_got), \
		    unit_want);                                            \
	} while (0)

#endif
