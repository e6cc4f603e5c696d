/* SPDX-License-Identifier: Apache-2.0 */
/* Command look-up, arguments, and tables. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/show.h"

static struct cli c;

static void
setup(void)
{
	memset(&c, 0, sizeof(c));
	c.out = stdout;
}

static void
teardown(void)
{
	free(c.server);
	free(c.token);
	free(c.context);
}

static const struct cli_cmd *
find(const char *a, const char *b, int *used)
{
	char *argv[2] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b};

	return cmd_find(b ? 2 : 1, argv, used);
}

START_TEST(longest_words_win)
{
	int used;

	ck_assert_str_eq(find("version", "diff", &used)->words, "version diff");
	ck_assert_int_eq(used, 2);
	ck_assert_str_eq(find("get", "tenants", &used)->words, "get");
	ck_assert_int_eq(used, 1);
	ck_assert_ptr_null(find("version", NULL, &used));
	ck_assert_ptr_null(find("frob", "x", &used));
}
END_TEST

START_TEST(flags_and_positions)
{
	static char words[7][32] = {
	    "tenant", "--message=why not", "acme", "-o", "json", "--", "-x=1"};
	char *argv[7];
	struct cli_args a;
	int used;
	const struct cli_cmd *cmd = find("create", NULL, &used);

	for (int i = 0; i < 7; i++)
		argv[i] = words[i];
	ck_assert_int_eq(args_parse(&c, cmd, 7, argv, &a), 0);
	ck_assert_uint_eq(a.n_pos, 3);
	ck_assert_str_eq(a.pos[2], "-x=1");
	ck_assert_str_eq(args_get(&a, "message"), "why not");
	ck_assert_int_eq(c.output, OUT_JSON);
	ck_assert_ptr_null(args_get(&a, "nothing"));
}
END_TEST

static const struct {
	const char *argv[3], *want;
} wrong[] = {
    {{"a", "b", "c"}, "too many arguments"},
    {{"tenants", "--frob", "x"}, "unknown option --frob"},
    {{"tenants", "-o", "xml"}, "not one of table, json"},
    {{"tenants", "--help=1", "x"}, "takes no value"},
    {{"tenants", "x", "--tenant"}, "needs a value"},
};

START_TEST(wrong_usage_says_what)
{
	char *argv[3];
	struct cli_args a;
	int used;

	for (int i = 0; i < 3; i++)
		argv[i] = (char *)(uintptr_t)wrong[_i].argv[i];
	ck_assert_int_eq(
	    args_parse(&c, find("get", NULL, &used), 3, argv, &a), ERR_USAGE);
	ck_assert_msg(
	    strstr(c.err.text, wrong[_i].want) != NULL, "%s", c.err.text);
}
END_TEST

START_TEST(every_command_is_complete)
{
	for (size_t i = 0; i < n_cli_commands; i++) {
		const struct cli_cmd *cmd = &cli_commands[i];

		ck_assert_ptr_nonnull(cmd->run);
		ck_assert_ptr_nonnull(cmd->flags);
		ck_assert_int_gt((int)strlen(cmd->summary), 10);
		ck_assert(cmd->min_pos <= cmd->max_pos);
	}
}
END_TEST

START_TEST(encoding)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_addz(&b, "/v1/keys/");
	client_encode(&b, "a/b?c=d e%");
	ck_assert_str_eq(buf_cstr(&b), "/v1/keys/a%2Fb%3Fc%3Dd%20e%25");
	client_query(&b, "x", "1&2");
	client_query(&b, "skipped", NULL);
	client_query(&b, "y", "z");
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "?x=1%262&y=z"));
	buf_release(&b);
}
END_TEST

START_TEST(tables_align)
{
	static const char want[] = "NAME    COST\n"
				   "a      $1.50\n"
				   "b\xc3\xa4?   $12.00\n"
				   "-      1,234\n";
	char *text = NULL;
	size_t len;
	struct table t;
	FILE *f = open_memstream(&text, &len);

	table_init(&t, "NAME,COST>");
	table_cell(&t, "a");
	table_usd(&t, INT64_C(1500000000));
	table_cell(&t, "b\xc3\xa4\x1b");
	table_usd(&t, INT64_C(12000000000));
	table_cell(&t, NULL);
	table_int(&t, 1234);
	table_print(&t, f);
	table_release(&t);
	fclose(f);
	ck_assert_str_eq(text, want);
	free(text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cli/args");
	TCase *tc = tcase_create("args");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, longest_words_win);
	tcase_add_test(tc, flags_and_positions);
	tcase_add_loop_test(tc, wrong_usage_says_what, 0,
	    (int)(sizeof(wrong) / sizeof(wrong[0])));
	tcase_add_test(tc, every_command_is_complete);
	tcase_add_test(tc, encoding);
	tcase_add_test(tc, tables_align);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
