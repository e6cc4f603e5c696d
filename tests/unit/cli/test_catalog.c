/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shipped catalogue reads and its prices make sense; faults are told with
 * file and line; fingerprints see changes of meaning, not of spelling.
 */
#include <stdio.h>
#include <string.h>

#include "cli/catalog.h"
#include "common/money.h"
#include "tests/unit/support/unit.h"

#define SHIPPED "schema/catalog" /* unit tests run in the source tree */

static struct cli cli;

static json_t *
load(const char *from, const char *provider)
{
	json_t *models = NULL;

	memset(&cli, 0, sizeof(cli));
	if (catalog_load(&cli, from, provider, &models) != 0)
		ck_abort_msg("%s", cli.err.text);
	return models;
}

static const char *
text(const json_t *o, const char *name)
{
	const char *z = json_string_value(json_object_get(o, name));

	return z != NULL ? z : "";
}

/* The standard price of a class from the first token on; -1 = none. */
static int64_t
price(const json_t *spec, enum token_class cls)
{
	json_t *line;
	int64_t nano = -1;
	size_t i;

	json_array_foreach (json_object_get(spec, "prices"), i, line)
		if (strcmp(text(line, "class"), token_class_name(cls)) == 0 &&
		    text(line, "tier")[0] == '\0' && nano < 0 &&
		    json_object_get(line, "above_tokens") == NULL)
			ck_assert_int_eq(
			    money_parse(
				str_of(text(line, "usd_per_mtok")), &nano),
			    0);
	return nano;
}

static bool
can(const json_t *spec, const char *what)
{
	json_t *one;
	size_t i;

	json_array_foreach (json_object_get(spec, "capabilities"), i, one)
		if (strcmp(json_string_value(one), what) == 0)
			return true;
	return false;
}

START_TEST(test_shipped)
{
	json_t *models = load(SHIPPED, NULL), *m, *line;
	size_t i, k;

	ck_assert_uint_gt(json_array_size(models), 100);
	json_array_foreach (models, i, m) {
		const json_t *spec = json_object_get(m, "spec");
		int64_t in = price(spec, TC_INPUT);
		int64_t read = price(spec, TC_CACHE_READ);
		int64_t write = price(spec, TC_CACHE_WRITE_5M);

		ck_assert_msg(in >= 0, "%s: no input", text(m, "name"));
		ck_assert_msg(
		    !can(spec, "chat") || in > 0, "%s: free", text(m, "name"));
		ck_assert_msg(
		    !can(spec, "chat") || price(spec, TC_OUTPUT) >= in,
		    "%s: output", text(m, "name"));
		ck_assert_msg(read <= in, "%s: cache", text(m, "name"));
		ck_assert_msg(write < 0 || write >= in, "%s: cache write",
		    text(m, "name"));
		ck_assert_msg(
		    !can(spec, "chat") || json_integer_value(json_object_get(
					      spec, "max_output_tokens")) > 0,
		    "%s: no output cap", text(m, "name"));
		json_array_foreach (json_object_get(spec, "prices"), k, line) {
			enum token_class cls;
			int64_t nano;

			ck_assert_int_eq(token_class_parse(
					     str_of(text(line, "class")), &cls),
			    0);
			ck_assert_int_eq(
			    money_parse(
				str_of(text(line, "usd_per_mtok")), &nano),
			    0);
			ck_assert_msg(token_class_is_unit(cls) ||
					  nano <= INT64_C(1000000000000),
			    "%s: dear", text(m, "name"));
			ck_assert(json_object_get(line, "source") == NULL);
		}
		ck_assert(strncmp(text(spec, "catalog"), text(m, "provider"),
			      strlen(text(m, "provider"))) == 0);
	}
	json_decref(models);
	models = load(SHIPPED, "anthropic");
	ck_assert_uint_gt(json_array_size(models), 5);
	json_decref(models);
}
END_TEST

static const char head[] = "provider: p\nretrieved: 2026-11-22\nmodels:\n"
			   "  - name: m\n    capabilities: [images]\n"
			   "    prices:\n";
#define LINE "      - {class: input, usd_per_mtok: \"1\", "

START_TEST(test_faults)
{
	static const struct {
		const char *tail, *want;
	} t[] = {{LINE "source: https://x, date: \"2026-11-22\"}\n", ""},
	    {LINE "date: \"2026-11-22\"}\n", ":7: source"},
	    {LINE "source: http://x, date: \"2026-11-22\"}\n", ":7: source"},
	    {LINE "source: https://x}\n", ":7: date"},
	    {LINE "source: https://x, date: today}\n", ":7: date"},
	    {LINE "source: https://x, date: \"2026-11-22\", teir: x}\n",
		":7: teir"},
	    {"      - {class: smell, usd_per_mtok: \"1\"}\n", ":7: class"},
	    {"      - {class: input, usd_per_mtok: 1e3}\n", ":7: usd"},
	    {"      []\n", "m: no prices"},
	    {LINE "source: https://x, date: \"2026-11-22\", tier: flex}\n",
		":4: m: no standard price for input"},
	    {LINE "source: https://x, date: \"2026-11-22\"}\n"
		  "  - name: n\n    capabilities: [chat]\n    prices:\n" LINE
		  "source: https://x, date: \"2026-11-22\"}\n",
		":8: n: no standard price for output"},
	    {LINE "source: https://x, date: \"2026-11-22\"}\n"
		  "  - name: m\n    capabilities: [images]\n    prices:\n" LINE
		  "source: https://x, date: \"2026-11-22\"}\n",
		"twice"}};
	char path[] = "/tmp/hg-catalog-XXXXXX";
	int fd = mkstemp(path);
	FILE *f;

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		json_t *models = NULL;
		int rc;

		f = fopen(path, "we");
		ck_assert_ptr_nonnull(f);
		fputs(head, f);
		fputs(t[i].tail, f);
		fclose(f);
		memset(&cli, 0, sizeof(cli));
		rc = catalog_load(&cli, path, NULL, &models);
		if (t[i].want[0] == '\0')
			ck_assert_int_eq(rc, 0);
		else if (rc == 0 || strstr(cli.err.text, t[i].want) == NULL)
			ck_abort_msg("%s\n%s", t[i].tail, cli.err.text);
		json_decref(models);
	}
	fclose(fdopen(fd, "r"));
	remove(path);
}
END_TEST

static void
print_of(const char *json, char dst[CATALOG_PRINT])
{
	json_t *o = json_loads(json, 0, NULL);

	ck_assert_ptr_nonnull(o);
	catalog_print(o, dst);
	json_decref(o);
}

START_TEST(test_fingerprint)
{
	/* The first two say the same. */
	static const char *const specs[] = {
	    "{\"capabilities\":[\"chat\",\"tools\"],\"context_tokens\":5,"
	    "\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\"},"
	    "{\"class\":\"output\",\"usd_per_mtok\":\"2.5\",\"from\":"
	    "\"2026-12-01\"}]}",
	    "{\"prices\":[{\"usd_per_mtok\":\"2.50\",\"class\":\"output\","
	    "\"from\":\"2026-12-01T00:00:00Z\",\"above_tokens\":0},"
	    "{\"class\":\"input\",\"usd_per_mtok\":\"1.00\"}],"
	    "\"context_tokens\":5,\"max_output_tokens\":0,\"catalog\":\"x\","
	    "\"capabilities\":[\"tools\",\"chat\"],\"version\":9}",
	    "{\"capabilities\":[\"chat\"],\"context_tokens\":5}",
	    "{\"capabilities\":[\"chat\"],\"context_tokens\":6}",
	    "{\"capabilities\":[\"chat\"],\"max_output_tokens\":5}",
	    "{\"capabilities\":[\"chat\"],\"context_tokens\":5,"
	    "\"tokenizer\":\"o200k\"}",
	    "{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\"}]}",
	    "{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\","
	    "\"tier\":\"flex\"}]}",
	    "{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\","
	    "\"above_tokens\":7}]}",
	    "{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\","
	    "\"to\":\"2027-01-01\"}]}",
	    "{\"capabilities\":[\"chat\"],\"context_tokens\":5,"
	    "\"max_request_usd\":\"2.5\"}"};
	char v[sizeof(specs) / sizeof(*specs)][CATALOG_PRINT];
	char again[CATALOG_PRINT];

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		print_of(specs[i], v[i]);
		for (size_t k = 0; k < i; k++)
			if (i == 1)
				ck_assert_str_eq(v[i], v[k]);
			else
				ck_assert_str_ne(v[i], v[k]);
	}
	print_of("{\"capabilities\":[\"chat\"],\"context_tokens\":5,"
		 "\"max_request_usd\":\"2.500\"}",
	    again);
	ck_assert_str_eq(again, v[sizeof(v) / sizeof(*v) - 1]);
	ck_assert_str_eq(catalog_mark_print("p 2026-11-22 0123456789abcdef"),
	    "0123456789abcdef");
	ck_assert_str_eq(catalog_mark_print("p 2026"), "");
	ck_assert_str_eq(catalog_mark_print(NULL), "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cli/catalog");

	UNIT_ADD(s, test_shipped);
	UNIT_ADD(s, test_faults);
	UNIT_ADD(s, test_fingerprint);
	return unit_run(s);
}
