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

/* Every compile_reject() of agent/config, and the commit that would bring it;
 * too many budgets or limits on a path are test_config.c's, too many headers
 * are below. */
#define BAD_CERT                                    \
	"-----BEGIN CERTIFICATE-----\\nMIIBszCC\\n" \
	"-----END CERTIFICATE-----\\n"
#define BAD_KEY                                     \
	"-----BEGIN PRIVATE KEY-----\\nMIGHAgEA\\n" \
	"-----END PRIVATE KEY-----\\n"
#define RSA	 "k"
#define KEY_TEXT "hg-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"

static const struct {
	const char *agent, *commit; /* the agent's reason */
	int code;
	const char *field, *detail;
} breaches[] = {
    {"dialect is not known",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"morse\"}]]",
	ERR_INVALID, "/spec/dialect", "must be one of"},
    {"auth is not known",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"auth\":"
	"\"morse\"}]]",
	ERR_INVALID, "/spec/auth", "must be one of"},
    {"base_url is not plain",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"base_url\":"
	"\"https://u@h/\"}]]",
	ERR_INVALID, "/spec/base_url", "must not hold"},
    {"base_url: port",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"base_url\":"
	"\"https://h:0/\"}]]",
	ERR_INVALID, "/spec/base_url", "valid port"},
    {"proxy_url is not plain",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"proxy_url\":"
	"\"https://h\"}]]",
	ERR_INVALID, "/spec/proxy_url", "http://"},
    {"region is malformed",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"bedrock\",\"region\":"
	"\"a/b\"}]]",
	ERR_INVALID, "/spec/region", "letters"},
    {"api_version is malformed",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"gemini\",\"api_"
	"version\":\"/v1\"}]]",
	ERR_INVALID, "/spec/api_version", "letters"},
    {"header is malformed",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"headers\":{"
	"\"a b\":\"c\"}}]]",
	ERR_INVALID, "/spec/headers/a b", "not a header"},
    {"header is malformed",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"headers\":{"
	"\"a\":\"b\\nc\"}}]]",
	ERR_INVALID, "/spec/headers/a", "printable"},
    {"credential is malformed",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\","
	"\"credential\":\"a\\nb\"}]]",
	ERR_INVALID, "/spec/credential", "printable"},
    {"credential is malformed",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\","
	"\"credential\":{\"a\":\"\\u007f\"}}]]",
	ERR_INVALID, "/spec/credential", "printable"},
    {"bedrock: no region",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"bedrock\"}]]",
	ERR_INVALID, "/spec/region", "required"},
    {"bedrock: no JSON",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"bedrock\",\"region\":"
	"\"r\",\"credential\":\"k\"}]]",
	ERR_INVALID, "/spec/credential", "must be JSON"},
    {"bedrock: no secret",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"bedrock\",\"region\":"
	"\"r\",\"credential\":{\"access_key_id\":\"a\",\"x\":1}}]]",
	ERR_INVALID, "/spec/credential", "must be JSON"},
    {"bedrock: control character",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"bedrock\",\"region\":"
	"\"r\",\"credential\":{\"access_key_id\":\"a\",\"secret_access_key\":"
	"\"b\\u0001\"}}]]",
	ERR_INVALID, "/spec/credential", "secret_access_key is malformed"},
    {"bedrock: too deep",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"bedrock\",\"region\":"
	"\"r\",\"credential\":{\"access_key_id\":\"a\",\"secret_access_key\":"
	"\"b\",\"x\":[[[[[1]]]]]}}]]",
	ERR_INVALID, "/spec/credential", "is not JSON"},
    {"vertex: no account",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"vertex\",\"region\":"
	"\"r\",\"project\":\"p\",\"credential\":{\"client_email\":\"a@b\"}}]]",
	ERR_INVALID, "/spec/credential", "service account"},
    {"vertex: not ASCII",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"vertex\",\"region\":"
	"\"r\",\"project\":\"p\",\"credential\":{\"client_email\":\"\\u00e9@"
	"b\",\"private_key\":\"" RSA "\",\"token_uri\":\"https://t\"}}]]",
	ERR_INVALID, "/spec/credential", "client_email is malformed"},
    {"vertex: private_key with CR",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"vertex\",\"region\":"
	"\"r\",\"project\":\"p\",\"credential\":{\"client_email\":\"a@b\","
	"\"private_key\":\"a\\r\\nb\",\"token_uri\":\"https://t\"}}]]",
	ERR_INVALID, "/spec/credential", "private_key is malformed"},
    {"vertex: private_key cannot be read",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"vertex\",\"region\":"
	"\"r\",\"project\":\"p\",\"credential\":{\"client_email\":\"a@b\","
	"\"private_key\":\"k\",\"token_uri\":\"https://t\"}}]]",
	ERR_INVALID, "/spec/credential", "cannot be read"},
    {"vertex: private_key is not RSA",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"vertex\",\"region\":"
	"\"r\",\"project\":\"p\",\"credential\":{\"client_email\":\"a@b\","
	"\"private_key\":\"" KEY_A "\",\"token_uri\":\"https://t\"}}]]",
	ERR_INVALID, "/spec/credential", "not RSA"},
    {"vertex: token_uri is not https",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"vertex\",\"region\":"
	"\"r\",\"project\":\"p\",\"credential\":{\"client_email\":\"a@b\","
	"\"private_key\":\"k\",\"token_uri\":\"http://t\"}}]]",
	ERR_INVALID, "/spec/credential", "not https"},
    {"ca_pem is no certificate",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"ca_pem\":"
	"\"" BAD_CERT "\"}]]",
	ERR_INVALID, "/spec/ca_pem", "valid certificates"},
    {"ca_pem: the second is none",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"ca_pem\":"
	"\"" CERT_A "" BAD_CERT "\"}]]",
	ERR_INVALID, "/spec/ca_pem", "valid certificates"},
    {"certificate without key",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"client_cert_"
	"pem\":\"" CERT_A "\"}]]",
	ERR_INVALID, "/spec/client_key", "is required"},
    {"key without certificate",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"client_"
	"key\":\"" KEY_A "\"}]]",
	ERR_INVALID, "/spec/client_cert_pem", "is required"},
    {"no certificate",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"client_cert_"
	"pem\":\"" BAD_CERT "\",\"client_key\":\"" KEY_A "\"}]]",
	ERR_INVALID, "/spec/client_cert_pem", "valid certificates"},
    {"key of another certificate",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"client_cert_"
	"pem\":\"" CERT_A "\",\"client_key\":\"" KEY_B "\"}]]",
	ERR_INVALID, "/spec/client_key", "does not belong"},
    {"key cannot be read",
	"[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\",\"client_cert_"
	"pem\":\"" CERT_A "\",\"client_key\":\"" BAD_KEY "\"}]]",
	ERR_INVALID, "/spec/client_key", "cannot be read"},
    {"price line: class",
	"[[\"create\",\"model\",\"x\",{\"prices\":[{\"class\":\"smell\",\"usd_"
	"per_mtok\":\"1\"}]}]]",
	ERR_INVALID, "/spec/prices/0/class", "must be one of"},
    {"price line: price",
	"[[\"create\",\"model\",\"x\",{\"prices\":[{\"class\":\"input\",\"usd_"
	"per_mtok\":\"-1\"}]}]]",
	ERR_INVALID, "/spec/prices/0/usd_per_mtok", "without sign"},
    {"price line: above_tokens",
	"[[\"create\",\"model\",\"x\",{\"prices\":[{\"class\":\"input\",\"usd_"
	"per_mtok\":\"1\",\"above_tokens\":-1}]}]]",
	ERR_INVALID, "/spec/prices/0/above_tokens", "between"},
    {"price line: to",
	"[[\"create\",\"model\",\"x\",{\"prices\":[{\"class\":\"input\",\"usd_"
	"per_mtok\":\"1\",\"from\":\"2026-01-02\",\"to\":\"2026-01-01\"}]}]]",
	ERR_INVALID, "/spec/prices/0", "end after"},
    {"its model does not exist",
	"[[\"create\",\"deployment\",\"x\",{\"model\":\"zz\",\"provider\":"
	"\"sim\",\"upstream_model\":\"u\"}]]",
	ERR_INVALID, "/spec/model", "does not exist"},
    {"its provider does not exist",
	"[[\"create\",\"deployment\",\"x\",{\"model\":\"m\",\"provider\":"
	"\"zz\",\"upstream_model\":\"u\"}]]",
	ERR_INVALID, "/spec/provider", "does not exist"},
    {"gone: model", "[[\"delete\",\"model\",\"m\",null]]", ERR_CONFLICT,
	"/name", "in use by"},
    {"gone: provider", "[[\"delete\",\"provider\",\"sim\",null]]", ERR_CONFLICT,
	"/name", "in use by"},
    {"gone: deployment", "[[\"delete\",\"deployment\",\"d\",null]]",
	ERR_CONFLICT, "/name", "in use by"},
    {"gone: project", "[[\"delete\",\"project\",\"acme.a.b\",null]]",
	ERR_CONFLICT, "/name", "in use by"},
    {"gone: team", "[[\"delete\",\"team\",\"acme.a\",null]]", ERR_CONFLICT,
	"/name", "in use by"},
    {"gone: tenant", "[[\"delete\",\"tenant\",\"acme\",null]]", ERR_CONFLICT,
	"/name", "in use by"},
    {"target does not exist",
	"[[\"create\",\"route\",\"x\",{\"targets\":[{\"deployment\":\"zz\"}]}]"
	"]",
	ERR_INVALID, "/spec/targets/0/deployment", "does not exist"},
    {"parent does not exist", "[[\"create\",\"team\",\"zz.a\",{}]]",
	ERR_INVALID, "/name", "tenant zz does not exist"},
    {"its project does not exist", "[[\"create\",\"key\",\"acme.a.zz.k\",{}]]",
	ERR_INVALID, "/name", "project acme.a.zz does not exist"},
    {"the same digest",
	"[[\"create\",\"key\",\"acme.a.b.x\",{\"value\":\"" KEY_TEXT
	"\"}],[\"create\",\"key\",\"acme.a.b.y\",{\"value\":\"" KEY_TEXT
	"\"}]]",
	ERR_CONFLICT, "/spec/value", "another key"},
    {"budget: no limit",
	"[[\"create\",\"budget\",\"acme.x\",{\"scope\":\"acme\",\"period\":"
	"\"day\",\"mode\":\"hard\"}]]",
	ERR_INVALID, "/spec/limit_usd", "is required"},
    {"budget: negative",
	"[[\"create\",\"budget\",\"acme.x\",{\"scope\":\"acme\",\"period\":"
	"\"day\",\"limit_usd\":\"-1\"}]]",
	ERR_INVALID, "/spec/limit_usd", "without sign"},
    {"budget: too many tags",
	"[[\"create\",\"budget\",\"acme.x\",{\"scope\":\"acme\",\"period\":"
	"\"day\",\"limit_usd\":\"1\",\"tags\":{\"aaaaaaaaaaaaaaaaaaaa\":"
	"\"vvvvvvvvvvvvvvvvvvvv\",\"bbbbbbbbbbbbbbbbbbbb\":"
	"\"vvvvvvvvvvvvvvvvvvvv\",\"cccccccccccccccccccc\":"
	"\"vvvvvvvvvvvvvvvvvvvv\",\"dddddddddddddddddddd\":"
	"\"vvvvvvvvvvvvvvvvvvvv\",\"eeeeeeeeeeeeeeeeeeee\":"
	"\"vvvvvvvvvvvvvvvvvvvv\",\"ffffffffffffffffffff\":"
	"\"vvvvvvvvvvvvvvvvvvvv\",\"gggggggggggggggggggg\":"
	"\"vvvvvvvvvvvvvvvvvvvv\",\"hhhhhhhhhhhhhhhhhhhh\":"
	"\"vvvvvvvvvvvvvvvvvvvv\"}}]]",
	ERR_INVALID, "/spec/tags/ggg", "longer than the 256"},
    {"limit: requests_per_minute",
	"[[\"create\",\"limit\",\"acme.x\",{\"scope\":\"acme\",\"requests_per_"
	"minute\":-1}]]",
	ERR_INVALID, "/spec/requests_per_minute", "between"},
    {"limit: tokens_per_minute",
	"[[\"create\",\"limit\",\"acme.x\",{\"scope\":\"acme\",\"tokens_per_"
	"minute\":-1}]]",
	ERR_INVALID, "/spec/tokens_per_minute", "between"},
    {"limit: concurrency",
	"[[\"create\",\"limit\",\"acme.x\",{\"scope\":\"acme\",\"concurrency\":"
	"-1}]]",
	ERR_INVALID, "/spec/concurrency", "between"},
    {"limit: requests_burst",
	"[[\"create\",\"limit\",\"acme.x\",{\"scope\":\"acme\",\"requests_"
	"burst\":-1}]]",
	ERR_INVALID, "/spec/requests_burst", "between"},
    {"limit: tokens_burst",
	"[[\"create\",\"limit\",\"acme.x\",{\"scope\":\"acme\",\"tokens_"
	"burst\":-1}]]",
	ERR_INVALID, "/spec/tokens_burst", "between"},
};

START_TEST(test_breaches)
{
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[" ACME "]");
	for (size_t i = 0; i < sizeof(breaches) / sizeof(breaches[0]); i++) {
		const char *z = breaches[i].commit;

		ck_assert_msg(commit_as(&f, z, false, 0) == breaches[i].code,
		    "%s: %s", breaches[i].agent, z);
		ck_assert_uint_ge(f.p.n, 1);
		ck_assert_msg(strncmp(f.p.v[0].field, breaches[i].field,
				  strlen(breaches[i].field)) == 0,
		    "%s: %s", breaches[i].agent, f.p.v[0].field);
		ck_assert_msg(
		    strstr(f.p.v[0].detail, breaches[i].detail) != NULL,
		    "%s: %s", breaches[i].agent, f.p.v[0].detail);
		ck_assert_int_eq(commit_as(&f, z, true, 0), breaches[i].code);
	}
	ck_assert_int_eq(
	    pgtest_number(f.s, "SELECT max(version) FROM config_version"), 1);
	close_fixture(&f);
}
END_TEST

START_TEST(test_headers)
{
	struct fixture f;
	struct buf b;

	open_fixture(&f);
	buf_init(&b, 8192);
	buf_addz(&b, "[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\","
		     "\"headers\":{\"a\":\"b\"");
	for (int i = 0; i < 32; i++)
		buf_addf(&b, ",\"x-%d\":\"b\"", i);
	buf_addz(&b, "}}]]");
	refused(&f, buf_cstr(&b), ERR_INVALID, "/spec/headers", "at most 32");
	buf_release(&b);
	close_fixture(&f);
}
END_TEST

/* Agents use the first 64 targets of a route. */
START_TEST(test_targets)
{
	struct fixture f;
	struct buf b;

	open_fixture(&f);
	buf_init(&b, 8192);
	buf_addz(&b, "[[\"create\",\"route\",\"r\",{\"targets\":[");
	for (int i = 0; i < 65; i++)
		buf_addf(&b, "%s{\"deployment\":\"d-%d\"}", i ? "," : "", i);
	buf_addz(&b, "]}]]");
	refused(&f, buf_cstr(&b), ERR_INVALID, "/spec/targets", "at most 64");
	buf_release(&b);
	close_fixture(&f);
}
END_TEST

/* The key in the vault is held against a new certificate. */
START_TEST(test_stored_key)
{
	struct fixture f;

	open_fixture(&f);
	commit(&f, "[[\"create\",\"provider\",\"x\",{\"dialect\":\"openai\","
		   "\"client_cert_pem\":\"" CERT_A "\",\"client_key\":\"" KEY_A
		   "\"}]]");
	refused(&f,
	    "[[\"patch\",\"provider\",\"x\",{\"client_cert_pem\":\"" CERT_B
	    "\"}]]",
	    ERR_INVALID, "/spec/client_key", "does not belong");
	refused(&f,
	    "[[\"patch\",\"provider\",\"x\",{\"client_key\":\"" KEY_B "\"}]]",
	    ERR_INVALID, "/spec/client_key", "does not belong");
	commit(&f,
	    "[[\"patch\",\"provider\",\"x\",{\"client_cert_pem\":\"" CERT_A
		CERT_B "\"}]]");
	commit(&f,
	    "[[\"patch\",\"provider\",\"x\",{\"client_cert_pem\":\"" CERT_B
	    "\",\"client_key\":\"" KEY_B "\"}]]");
	close_fixture(&f);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rules");

	UNIT_ADD(s, test_unpriced);
	UNIT_ADD(s, test_unpriced_in_store);
	UNIT_ADD(s, test_breaches);
	UNIT_ADD(s, test_headers);
	UNIT_ADD(s, test_targets);
	UNIT_ADD(s, test_stored_key);
	return pgtest_run(s);
}
