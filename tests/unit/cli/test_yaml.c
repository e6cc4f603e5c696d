/* SPDX-License-Identifier: Apache-2.0 */
/* YAML to JSON: values, places of errors, limits. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/yaml.h"

static struct yaml_set set;
static struct error err;

static void
setup(void)
{
	yaml_set_init(&set);
	memset(&err, 0, sizeof(err));
}

static void
teardown(void)
{
	yaml_set_release(&set);
}

static int
load(const char *text)
{
	return yaml_load(&set, "a.yaml", str_of(text), &err);
}

static json_t *
spec_of(size_t i, const char *field)
{
	json_t *item = json_array_get(set.items, i);

	return json_object_get(json_object_get(item, "spec"), field);
}

START_TEST(types)
{
	ck_assert_int_eq(load("spec:\n  n: 12\n  neg: -3\n  t: true\n  s: yes\n"
			      "  z: ~\n  e:\n  q: \"12\"\n  d: 0.050\n"
			      "  lead: 007\n  list: [a, 2]\n"),
	    0);
	ck_assert_int_eq(json_integer_value(spec_of(0, "n")), 12);
	ck_assert_int_eq(json_integer_value(spec_of(0, "neg")), -3);
	ck_assert(json_is_true(spec_of(0, "t")));
	ck_assert_str_eq(json_string_value(spec_of(0, "s")), "yes");
	ck_assert(json_is_null(spec_of(0, "z")));
	ck_assert(json_is_null(spec_of(0, "e")));
	ck_assert_str_eq(json_string_value(spec_of(0, "q")), "12");
	/* money keeps its digits: never a float */
	ck_assert_str_eq(json_string_value(spec_of(0, "d")), "0.050");
	ck_assert_str_eq(json_string_value(spec_of(0, "lead")), "007");
	ck_assert_uint_eq(json_array_size(spec_of(0, "list")), 2);
}
END_TEST

START_TEST(documents_and_places)
{
	const struct yaml_place *at;

	ck_assert_int_eq(
	    load("---\nkind: tenant\nname: a\n---\n---\n"
		 "kind: team\nspec:\n  list:\n    - x\n    - y: 1\n"),
	    0);
	ck_assert_uint_eq(json_array_size(set.items), 2);
	at = yaml_find(&set, "/items/1/spec/list/1/y");
	ck_assert_ptr_nonnull(at);
	ck_assert_uint_eq(at->line, 10);
	at = yaml_find(&set, "/items/1/spec/list/1/unknown/deeper");
	ck_assert_uint_eq(at->line, 10);
	at = yaml_find(&set, "/items/1/spec/missing");
	ck_assert_uint_eq(at->line, 7);
	at = yaml_find(&set, "/items/1");
	ck_assert_uint_eq(at->line, 6);
	ck_assert_ptr_null(yaml_find(&set, "/items/10"));
}
END_TEST

static const struct {
	const char *text, *want;
} bad[] = {
    {"a: 1\nb: 2\na: 3\n", "a.yaml:3: duplicate key 'a'"},
    {"a: [1, 2\nb: 3\n", "a.yaml:2: "},
    {"a: &x 1\nb: *x\n", "a.yaml:2: anchors"},
    {"- a\n- b\n", "a.yaml:1: a document must be a mapping"},
    {"? [a, b]\n: c\n", "a.yaml:1: a key must be"},
    {"a: \"unterminated\nb: 1\n", "a.yaml:3: "},
    {"\ta: 1\n", "a.yaml:1: "},
};

START_TEST(errors_name_the_line)
{
	int rc = load(bad[_i].text);

	ck_assert_int_lt(rc, 0);
	ck_assert_msg(
	    strncmp(err.text, bad[_i].want, strlen(bad[_i].want)) == 0,
	    "got '%s', want '%s'", err.text, bad[_i].want);
}
END_TEST

START_TEST(depth_is_limited)
{
	char deep[256];

	memset(deep, '[', 100);
	deep[100] = '\0';
	ck_assert_int_eq(load(deep), ERR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(err.text, "nested too deeply"));
}
END_TEST

START_TEST(values_are_limited)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_addz(&b, "a: [");
	for (int i = 0; i < 100001; i++)
		buf_addz(&b, "1,");
	buf_addz(&b, "1]\n");
	ck_assert_int_eq(
	    yaml_load(&set, "a.yaml", buf_str(&b), &err), ERR_TOO_LARGE);
	buf_release(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cli/yaml");
	TCase *tc = tcase_create("yaml");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, types);
	tcase_add_test(tc, documents_and_places);
	tcase_add_loop_test(
	    tc, errors_name_the_line, 0, (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(tc, depth_is_limited);
	tcase_add_test(tc, values_are_limited);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
