/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever would make agents refuse a whole configuration version is refused
 * at the commit, by field. And what an older store holds does not stand in the
 * way of what has nothing to do with it.
 */
#include <stdio.h>

#include "tests/unit/controlplane/support/commits.h"
#include "tests/unit/support/unit.h"

#define LINE(class, more) \
	"{\"class\":\"" class "\",\"usd_per_mtok\":\"0\"" more "}"
#define PRICES(lines) "\"prices\":[" lines "]"
#define TIER	      ",\"tier\":\"flex\""
#define ABOVE	      ",\"above_tokens\":1000"

/* A model of these fields is refused, by commit and by dry run. */
static void
model_refused(struct fixture *f, const char *spec, size_t n, const char *detail)
{
	char text[1024];

	(void)snprintf(
	    text, sizeof(text), "[[\"create\",\"model\",\"x\",{%s}]]", spec);
	refused(f, text, ERR_INVALID, "/spec/prices", detail);
	ck_assert_msg(f->p.n == n, "%s: %zu problems", text, f->p.n);
	ck_assert_int_eq(commit_as(f, text, true, 0), ERR_INVALID);
}

START_TEST(test_unpriced)
{
	static const char input[] = "no standard price for input";
	static const char output[] = "no standard price for output";
	static const struct {
		const char *spec;
		size_t n; /* problems */
		const char *detail;
	} bad[] = {
	    {"", 2, input},
	    {PRICES(LINE("input", "")), 1, output},
	    {PRICES(LINE("output", "")), 1, input},
	    {PRICES(LINE("input", "") "," LINE("output", TIER)), 1, output},
	    {PRICES(LINE("input", ABOVE) "," LINE("output", "")), 1, input},
	    {PRICES(LINE("input", "")) ",\"capabilities\":[]", 1, output},
	    {PRICES(LINE("input", "")) ",\"capabilities\":[\"tools\",\"chat\"]",
		1, output},
	    {"\"capabilities\":[\"embeddings\"]", 1, input},
	};
	static const char *const good[] = {
	    PRICES(LINE("input", "") "," LINE("output", "")),
	    PRICES(LINE("input", "") "," LINE(
		"output", ",\"from\":\"2099-01-01\"")),
	    PRICES(LINE("input", "")) ",\"capabilities\":[\"embeddings\"]",
	    PRICES(LINE("input", TIER) "," LINE("output", ABOVE) "," LINE(
		"input", "") "," LINE("output", "")),
	};
	struct fixture f;
	char text[1024];

	open_fixture(&f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		model_refused(&f, bad[i].spec, bad[i].n, bad[i].detail);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		(void)snprintf(text, sizeof(text),
		    "[[\"put\",\"model\",\"x\",{%s}]]", good[i]);
		commit(&f, text);
	}
	refused(&f, "[[\"patch\",\"model\",\"x\",{\"prices\":[]}]]",
	    ERR_INVALID, "/spec/prices", input);
	close_fixture(&f);
}
END_TEST

/* A store of an older version holds a model without prices. */
START_TEST(test_unpriced_in_store)
{
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[" ACME ",[\"create\",\"model\",\"old\"," PRICED "]]");
	pgtest_sql(f.s,
	    "UPDATE config_item SET spec = "
	    "'{\"context_tokens\":0,\"max_output_tokens\":0,"
	    "\"capabilities\":[\"chat\"],\"prices\":[]}' WHERE name = 'old'");
	/* Others may change, and it may stay as it is. */
	commit(&f, "[[\"patch\",\"tenant\",\"acme\",{\"disabled\":true}]]");
	commit(&f, "[[\"put\",\"model\",\"old\",{}],"
		   "[\"create\",\"deployment\",\"d9\",{\"model\":\"old\","
		   "\"provider\":\"sim\",\"upstream_model\":\"x\"}]]");
	ck_assert_uint_eq(f.r.unchanged, 1);
	ck_assert_uint_eq(f.r.n, 1);
	refused(&f, "[[\"patch\",\"model\",\"old\",{\"context_tokens\":5}]]",
	    ERR_INVALID, "/spec/prices", "no standard price");
	commit(&f, "[[\"patch\",\"model\",\"old\"," PRICED "]]");
	close_fixture(&f);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rules");

	UNIT_ADD(s, test_unpriced);
	UNIT_ADD(s, test_unpriced_in_store);
	return pgtest_run(s);
}
