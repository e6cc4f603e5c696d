/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table: defaults parse, wrong stores are refused by name.
 */
#include <stdlib.h>

#include "controlplane/options.h"
#include "tests/unit/support/unit.h"

static int
parse(const char *a, const char *b, struct control_options *o, struct error *e)
{
	char name[] = "headgate-control", x[128], y[128];
	char *argv[4] = {name, x, y, NULL};
	char *envp[] = {NULL}, *rest[4];
	size_t n = 0;
	int argc = 1 + (a != NULL) + (b != NULL), rc;

	if (a != NULL)
		ck_assert_int_eq(str_copy(str_of(a), x, sizeof(x)), 0);
	if (b != NULL)
		ck_assert_int_eq(str_copy(str_of(b), y, sizeof(y)), 0);
	*e = (struct error){0};
	*o = (struct control_options){0};
	rc = cfg_parse(control_table(true), o, argc, argv, envp, rest, &n, e);
	if (rc == 0)
		rc = control_options_check(o, e);
	return rc;
}

START_TEST(test_defaults)
{
	struct control_options o;
	struct error e;

	ck_assert_int_eq(parse(NULL, NULL, &o, &e), 0);
	ck_assert_str_eq(control_embedded_dir(&o), "headgate-data");
	ck_assert_str_eq(o.listen, "127.0.0.1:7400");
	ck_assert_int_eq(o.heartbeat_ms, 1000);
	ck_assert_int_eq(o.max_body, 8 << 20);
	ck_assert_str_eq(o.role, "owner");
	cfg_release(control_table(true), &o);
	ck_assert_int_eq(parse("--store=postgresql://h/db", NULL, &o, &e), 0);
	ck_assert_ptr_null(control_embedded_dir(&o));
	cfg_release(control_table(true), &o);
}
END_TEST

START_TEST(test_refused)
{
	static const struct {
		const char *a, *b, *field;
	} t[] = {
	    {"--store=embedded:", NULL, "store"},
	    {"--store=mysql://x", NULL, "store"},
	    {"--store=postgres://x", "--postgres-user=p", "postgres-user"},
	    {"--user=a", "--postgres-user=b", "postgres-user"},
	    {"--rest-threads=1", NULL, "rest-threads"},
	    {"--listen=nowhere", NULL, "listen"},
	};
	struct control_options o;
	struct error e;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		ck_assert_int_ne(parse(t[i].a, t[i].b, &o, &e), 0);
		ck_assert_str_eq(e.field, t[i].field);
		cfg_release(control_table(true), &o);
	}
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("options");

	UNIT_ADD(s, test_defaults);
	UNIT_ADD(s, test_refused);
	return s;
}

int
main(void)
{
	return unit_run(suite());
}
