/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of kinds and the validation of specs, without a database.
 */
#include <stdio.h>
#include <string.h>

#include "controlplane/config/history.h"
#include "controlplane/config/validate.h"
#include "controlplane/config/world.h"
#include "tests/unit/support/unit.h"

/* Normalise text as a spec of the kind; what is wrong as "/field;/field" into
 * faults. Returns the spec or NULL. */
static json_t *
normalise(const char *kind, const char *text, char faults[512])
{
	json_t *in = json_loads(text, JSON_DECODE_ANY, NULL), *spec = NULL;
	struct problems p;
	size_t i, n = 0;
	int rc;

	ck_assert_msg(in != NULL, "bad test: %s", text);
	problems_init(&p);
	rc = spec_normalise(kind_find(str_of(kind)), in, "/s", &spec, NULL, &p);
	ck_assert_int_eq(rc, p.total ? ERR_INVALID : 0);
	faults[0] = '\0';
	for (i = 0; i < p.n; i++)
		n += (size_t)snprintf(
		    faults + n, 512 - n, "%s%s", i ? ";" : "", p.v[i].field);
	problems_release(&p);
	json_decref(in);
	return spec;
}

static void
expect(const char *kind, const char *text, const char *want)
{
	char faults[512];
	json_t *spec = normalise(kind, text, faults);
	char *got = spec ? json_dumps(spec, JSON_COMPACT) : NULL;

	ck_assert_msg(got != NULL, "%s %s: faults %s", kind, text, faults);
	ck_assert_str_eq(got, want);
	free(got);
	json_decref(spec);
}

static void
refuse(const char *kind, const char *text, const char *want)
{
	char faults[512];
	json_t *spec = normalise(kind, text, faults);

	ck_assert_msg(spec == NULL, "%s %s passed", kind, text);
	ck_assert_str_eq(faults, want);
}

START_TEST(test_table)
{
	for (int n = KIND_TENANT; n < KIND_END; n++) {
		const struct kind_def *k = kind_get((enum kind)n);
		struct error e;

		ck_assert_ptr_nonnull(k->fields);
		ck_assert_int_eq(k->kind, n);
		ck_assert_ptr_eq(kind_find(str_of(k->name)), k);
		ck_assert_ptr_eq(kind_find_plural(str_of(k->plural)), k);
		ck_assert_int_eq(
		    kind_check_name(k, str_of(k->example_name), &e), 0);
		for (size_t i = 0; i < k->n_fields; i++) {
			const struct field_def *f = &k->fields[i];
			json_t *v;

			ck_assert_ptr_eq(kind_field(k, str_of(f->name)), f);
			ck_assert_ptr_nonnull(f->help);
			ck_assert_int_eq(f->help[strlen(f->help) - 1], '.');
			v = f->example
				? json_loads(f->example, JSON_DECODE_ANY, NULL)
				: json_null();
			ck_assert_msg(v != NULL, "%s.%s", k->name, f->name);
			json_decref(v);
		}
	}
	ck_assert_ptr_null(kind_get(KIND_NONE));
	ck_assert_ptr_null(kind_get(KIND_END));
	ck_assert_ptr_null(kind_find(STR("nothing")));
}
END_TEST

/* Every kind's own examples make a valid spec. */
START_TEST(test_examples)
{
	for (int n = KIND_TENANT; n < KIND_END; n++) {
		const struct kind_def *k = kind_get((enum kind)n);
		json_t *in = json_object(), *spec = NULL;
		struct problems p;

		problems_init(&p);
		for (size_t i = 0; i < k->n_fields; i++)
			if (k->fields[i].example &&
			    !(k->fields[i].flags & FF_INTERNAL))
				json_object_set_new(in, k->fields[i].name,
				    json_loads(k->fields[i].example,
					JSON_DECODE_ANY, NULL));
		ck_assert_msg(spec_normalise(k, in, "", &spec, NULL, &p) == 0,
		    "%s: %s", k->name, p.n ? p.v[0].detail : "");
		json_decref(spec);
		json_decref(in);
		problems_release(&p);
	}
}
END_TEST

START_TEST(test_names)
{
	const struct kind_def *t = kind_get(KIND_TENANT);
	const struct kind_def *m = kind_get(KIND_MODEL);
	const struct kind_def *b = kind_get(KIND_BUDGET);
	struct error e;

	ck_assert_int_eq(kind_check_name(t, STR("acme"), &e), 0);
	ck_assert_int_ne(kind_check_name(t, STR("acme.x"), &e), 0);
	ck_assert_int_ne(kind_check_name(t, STR("Acme"), &e), 0);
	ck_assert_int_ne(kind_check_name(t, STR(""), &e), 0);
	ck_assert_int_ne(kind_check_name(t, STR("a b"), &e), 0);
	ck_assert_int_ne(kind_check_name(t, STR("-a"), &e), 0);
	ck_assert_int_eq(kind_check_name(m, STR("gpt-4o:2024@x_Y.z"), &e), 0);
	ck_assert_int_ne(kind_check_name(m, STR("a/b"), &e), 0);
	ck_assert_int_ne(kind_check_name(m, STR(".a"), &e), 0);
	ck_assert_int_ne(kind_check_name(m, STR("a\0b"), &e), 0);
	ck_assert_int_ne(kind_check_name(m, STR("a%62"), &e), 0);
	ck_assert_int_eq(kind_check_name(b, STR("acme.monthly"), &e), 0);
	ck_assert_int_ne(kind_check_name(b, STR("acme"), &e), 0);
	ck_assert_int_ne(kind_check_name(b, STR("acme.a.b"), &e), 0);
	ck_assert_int_eq(kind_of_scope(STR("a.b.c.d")), KIND_KEY);
	ck_assert_int_eq(kind_of_scope(STR("a")), KIND_TENANT);
	ck_assert_int_eq(kind_of_scope(STR("")), KIND_NONE);
}
END_TEST

START_TEST(test_canonical)
{
	expect("tenant", "{}", "{\"disabled\":false}");
	expect("tenant", "{\"display_name\":null,\"disabled\":true}",
	    "{\"disabled\":true}");
	expect("key", "{\"expires_at\":\"2027-01-01T02:00:00+02:00\"}",
	    "{\"disabled\":false,\"expires_at\":\"2027-01-01T00:00:00Z\"}");
	expect("key", "{\"expires_at\":\"2027-01-01\",\"prefix\":\"x\"}",
	    "{\"disabled\":false,\"expires_at\":\"2027-01-01T00:00:00Z\"}");
	expect("budget",
	    "{\"scope\":\"acme\",\"limit_usd\":\"500\",\"period\":\"month\"}",
	    "{\"scope\":\"acme\",\"limit_usd\":\"500.00\",\"mode\":\"hard\","
	    "\"period\":\"month\",\"time_zone\":\"UTC\"}");
	expect("budget",
	    "{\"scope\":\"acme\",\"limit_usd\":500,\"period\":\"month\"}",
	    "{\"scope\":\"acme\",\"limit_usd\":\"500.00\",\"mode\":\"hard\","
	    "\"period\":\"month\",\"time_zone\":\"UTC\"}");
	expect("provider",
	    "{\"dialect\":\"openai\",\"base_url\":\"HTTPS://API.x.com/v1//\","
	    "\"credential\":\"sk\",\"headers\":{\"X-A\":\"b\"}}",
	    "{\"dialect\":\"openai\",\"base_url\":\"https://api.x.com/v1\","
	    "\"headers\":{\"x-a\":\"b\"}}");
	expect("model", "{\"tokenizer\":\"bytes:3.6\"}",
	    "{\"context_tokens\":0,\"max_output_tokens\":0,"
	    "\"tokenizer\":\"bytes:3.6\",\"capabilities\":[\"chat\"],"
	    "\"prices\":[]}");
	expect("model", "{\"max_request_usd\":\"2.5\"}",
	    "{\"context_tokens\":0,\"max_output_tokens\":0,"
	    "\"max_request_usd\":\"2.50\",\"capabilities\":[\"chat\"],"
	    "\"prices\":[]}");
	expect("limit", "{\"scope\":\"a.b.c.d\",\"concurrency\":3}",
	    "{\"scope\":\"a.b.c.d\",\"requests_per_minute\":0,"
	    "\"tokens_per_minute\":0,\"concurrency\":3}");
}
END_TEST

START_TEST(test_refused_budgets)
{
	refuse("budget", "{}", "/s/scope;/s/period");
	refuse("budget",
	    "{\"scope\":\"a\",\"period\":\"day\",\"limit_usd\":\"5\","
	    "\"mode\":\"bounded\"}",
	    "/s/overspend_usd");
	refuse("budget",
	    "{\"scope\":\"a\",\"period\":\"day\",\"limit_usd\":\"5\","
	    "\"overspend_usd\":\"1\"}",
	    "/s/overspend_usd");
	refuse("budget", "{\"scope\":\"acme\",\"period\":\"day\"}",
	    "/s/limit_usd");
	refuse("budget",
	    "{\"scope\":\"a\",\"period\":\"unlimited\",\"limit_usd\":\"5\"}",
	    "/s/limit_usd");
	refuse("budget",
	    "{\"scope\":\"a\",\"period\":\"rolling\",\"limit_usd\":\"5\","
	    "\"anchor_day\":1,\"anchor_time\":\"06:00\"}",
	    "/s/anchor_day;/s/anchor_time;/s/rolling_hours");
	refuse("budget",
	    "{\"scope\":\"a\",\"period\":\"week\",\"limit_usd\":\"5\","
	    "\"anchor_day\":8,\"anchor_month\":2}",
	    "/s/anchor_month;/s/anchor_day");
	refuse("budget",
	    "{\"scope\":\"a\",\"period\":\"once\",\"limit_usd\":\"5\","
	    "\"from\":\"2026-02-01\",\"to\":\"2026-02-01\"}",
	    "/s/to");
	refuse("budget",
	    "{\"scope\":\"a\",\"period\":\"day\",\"limit_usd\":\"5\","
	    "\"anchor_time\":\"24:00\"}",
	    "/s/anchor_time");
	refuse("budget",
	    "{\"scope\":\"acme\",\"limit_usd\":5.5,\"period\":\"month\"}",
	    "/s/limit_usd");
	refuse("budget",
	    "{\"scope\":\"acme\",\"limit_usd\":\"-5\",\"period\":\"eon\","
	    "\"time_zone\":\"'; DROP\"}",
	    "/s/limit_usd;/s/period;/s/time_zone");
	refuse("budget",
	    "{\"scope\":\"acme\",\"limit_usd\":\"1e3\",\"period\":\"day\"}",
	    "/s/limit_usd");
}
END_TEST

START_TEST(test_refused)
{
	static const char *const ratios[] = {"", "o200", "bytes:", "bytes:0",
	    "bytes:0.09", "bytes:1001", "bytes:3.", "bytes:.5", "bytes:3.6001",
	    "bytes:-1", "bytes:3,6", "bytes:99999"};
	char spec[64];

	for (size_t i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
		(void)snprintf(
		    spec, sizeof(spec), "{\"tokenizer\":\"%s\"}", ratios[i]);
		refuse("model", spec, "/s/tokenizer");
	}
	refuse("tenant", "{\"nope\":1,\"disabled\":0}", "/s/nope;/s/disabled");
	refuse("tenant", "{\"a/b~c\":1}", "/s/a~1b~0c");
	refuse("tenant", "[]", "/s");
	refuse("tenant", "{\"routes\":[]}", "/s/routes");
	refuse("tenant", "{\"routes\":[\"a\",\"a\"]}", "/s/routes/1");
	refuse("tenant", "{\"routes\":[\"a/b\",7]}", "/s/routes/0;/s/routes/1");
	refuse("tenant", "{\"display_name\":\"a\\nb\"}", "/s/display_name");
	refuse("key", "{\"digest\":\"00\"}", "/s/digest");
	refuse("key", "{\"value\":\"hg-short\"}", "/s/value");
	refuse("key",
	    "{\"value\":\"xx-0123456789012345678901234567890123456789\"}",
	    "/s/value");
	refuse("key",
	    "{\"value\":\"hg-0123456789012345678901234567890123456 89\"}",
	    "/s/value");
	refuse("key", "{\"expires_at\":\"tomorrow\"}", "/s/expires_at");
	refuse("key", "{\"expires_at\":\"2027-02-30\"}", "/s/expires_at");
	refuse("limit", "{\"scope\":\"Acme\",\"concurrency\":-1}",
	    "/s/scope;/s/concurrency");
	refuse(
	    "limit", "{\"scope\":\"a\",\"concurrency\":1.5}", "/s/concurrency");
	refuse("route", "{\"targets\":[]}", "/s/targets");
	refuse("route",
	    "{\"targets\":[{\"deployment\":\"a\"},{\"deployment\":\"a\"}]}",
	    "/s/targets/1");
	refuse("route", "{\"targets\":[{\"weight\":0,\"x\":1}]}",
	    "/s/targets/0/x;/s/targets/0/deployment;/s/targets/0/weight");
	refuse("model", "{\"capabilities\":[\"chat\",\"fly\"]}",
	    "/s/capabilities/1");
	refuse("provider",
	    "{\"dialect\":\"x\",\"base_url\":\"ftp://a\",\"headers\":"
	    "{\"Authorization\":\"a\",\"X-B\":\"c\\u0001\"}}",
	    "/s/dialect;/s/base_url;/s/headers/Authorization;"
	    "/s/headers/X-B");
}
END_TEST

#define CERT                                        \
	"-----BEGIN CERTIFICATE-----\\nMIIBszCC\\n" \
	"-----END CERTIFICATE-----\\n"
#define PKEY                                        \
	"-----BEGIN PRIVATE KEY-----\\nMIGHAgEA\\n" \
	"-----END PRIVATE KEY-----\\n"
#define ACCOUNT(uri)                                                           \
	"{\\n \\\"type\\\":\\\"service_account\\\",\\n\\\"client_email\\\":"   \
	"\\\"a@b\\\",\\\"private_key\\\":\\\"k\\\",\\\"token_uri\\\":\\\"" uri \
	"\\\"}"

START_TEST(test_provider_defaults)
{
	expect("provider", "{\"dialect\":\"openai\"}",
	    "{\"dialect\":\"openai\",\"base_url\":"
	    "\"https://api.openai.com/v1\"}");
	expect("provider", "{\"dialect\":\"bedrock\",\"region\":\"us-east-1\"}",
	    "{\"dialect\":\"bedrock\",\"region\":\"us-east-1\",\"base_url\":"
	    "\"https://bedrock-runtime.us-east-1.amazonaws.com\"}");
	expect("provider",
	    "{\"dialect\":\"bedrock\",\"region\":\"cn-north-1\"}",
	    "{\"dialect\":\"bedrock\",\"region\":\"cn-north-1\",\"base_url\":"
	    "\"https://bedrock-runtime.cn-north-1.amazonaws.com.cn\"}");
	expect("provider",
	    "{\"dialect\":\"vertex\",\"region\":\"europe-west1\","
	    "\"project\":\"p\"}",
	    "{\"dialect\":\"vertex\",\"region\":\"europe-west1\","
	    "\"project\":\"p\",\"base_url\":"
	    "\"https://europe-west1-aiplatform.googleapis.com\"}");
	expect("provider",
	    "{\"dialect\":\"vertex\",\"region\":\"global\",\"project\":\"p\"}",
	    "{\"dialect\":\"vertex\",\"region\":\"global\",\"project\":\"p\","
	    "\"base_url\":\"https://aiplatform.googleapis.com\"}");
	expect("provider",
	    "{\"dialect\":\"openai\",\"base_url\":\"https://h\","
	    "\"rejects\":[\"seed\",\"user\"],\"ca_pem\":\"x\\r\\n"
	    "-----BEGIN CERTIFICATE-----\\r\\nMIIBszCC\\r\\n"
	    "-----END CERTIFICATE-----\",\"proxy_url\":\"http://p:3128/\","
	    "\"max_connections\":5}",
	    "{\"dialect\":\"openai\",\"base_url\":\"https://h\","
	    "\"rejects\":[\"seed\",\"user\"],\"ca_pem\":\"" CERT
	    "\",\"proxy_url\":\"http://p:3128\",\"max_connections\":5}");
	expect("provider",
	    "{\"dialect\":\"bedrock\",\"base_url\":\"http://h\",\"region\":"
	    "\"r\",\"credential\":{\"access_key_id\":\"a\","
	    "\"secret_access_key\":\"b\"}}",
	    "{\"dialect\":\"bedrock\",\"base_url\":\"http://h\","
	    "\"region\":\"r\"}");
	expect("provider",
	    "{\"dialect\":\"vertex\",\"base_url\":\"https://h\",\"region\":"
	    "\"r\",\"project\":\"p\",\"credential\":\"" ACCOUNT(
		"https://t") "\"}",
	    "{\"dialect\":\"vertex\",\"base_url\":\"https://h\","
	    "\"region\":\"r\",\"project\":\"p\"}");
}
END_TEST

START_TEST(test_provider_rules)
{
	refuse("provider", "{\"dialect\":\"vertex\"}", "/s/region;/s/project");
	refuse("provider", "{\"dialect\":\"bedrock\"}", "/s/region");
	refuse("provider", "{\"dialect\":\"azure\"}", "/s/base_url");
	refuse("provider", "{\"dialect\":\"ollama\"}", "/s/base_url");
	refuse("provider", "{\"dialect\":\"bedrock\",\"region\":\"a/b\"}",
	    "/s/region");
	refuse("provider", "{\"dialect\":\"cohere\",\"auth\":\"sigv4\"}",
	    "/s/auth");
	refuse("provider",
	    "{\"dialect\":\"azure\",\"base_url\":\"https://h/openai/v1\","
	    "\"api_version\":\"2024-10-21\"}",
	    "/s/api_version");
	refuse("provider",
	    "{\"dialect\":\"openai\",\"api_version\":\"?x=1\",\"proxy_url\":"
	    "\"https://p\"}",
	    "/s/api_version;/s/proxy_url");
	refuse("provider",
	    "{\"dialect\":\"openai\",\"proxy_url\":\"http://p/x\"}",
	    "/s/proxy_url");
	refuse("provider", "{\"dialect\":\"openai\",\"ca_pem\":\"x\"}",
	    "/s/ca_pem");
	refuse("provider", "{\"dialect\":\"openai\",\"ca_pem\":\"" PKEY "\"}",
	    "/s/ca_pem");
	refuse("provider",
	    "{\"dialect\":\"openai\",\"client_key\":\"" PKEY "\"}",
	    "/s/client_cert_pem");
	refuse("provider",
	    "{\"dialect\":\"openai\",\"client_cert_pem\":\"" CERT
	    "\",\"client_key\":\"" CERT "\"}",
	    "/s/client_key");
	refuse("provider",
	    "{\"dialect\":\"openai\",\"ca_pem\":\"-----BEGIN CERTIFICATE-----"
	    "\\nMIIB!\\n-----END CERTIFICATE-----\"}",
	    "/s/ca_pem");
	refuse("provider",
	    "{\"dialect\":\"openai\",\"rejects\":[\"seed\",\"fun\"]}",
	    "/s/rejects/1");
	refuse("provider", "{\"dialect\":\"openai\",\"credential\":\"a\\nb\"}",
	    "/s/credential");
	refuse("provider",
	    "{\"dialect\":\"bedrock\",\"region\":\"r\",\"credential\":\"k\"}",
	    "/s/credential");
	refuse("provider",
	    "{\"dialect\":\"vertex\",\"region\":\"r\",\"project\":\"p\","
	    "\"credential\":\"" ACCOUNT("http://t") "\"}",
	    "/s/credential");
	refuse("route",
	    "{\"targets\":[{\"deployment\":\"a\"}],\"on_disconnect\":\"x\","
	    "\"drain_max_ms\":0}",
	    "/s/on_disconnect;/s/drain_max_ms");
}
END_TEST

#define LINE(c, from, to) \
	"{\"class\":\"" c "\",\"usd_per_mtok\":\"1\"" from to "}"
#define FROM(d)	    ",\"from\":\"" d "\""
#define TO(d)	    ",\"to\":\"" d "\""
#define PRIORITY    ",\"tier\":\"priority\""
#define ABOVE	    ",\"above_tokens\":200000"
#define PRICES(...) "{\"prices\":[" __VA_ARGS__ "]}"

START_TEST(test_prices)
{
	char faults[512];
	json_t *m = normalise("model",
	    PRICES(LINE("input", , TO("2026-01-01")) "," LINE(
		"input", FROM("2026-01-01"), ) "," LINE("output", , )),
	    faults);

	ck_assert_msg(m != NULL, "%s", faults);
	json_decref(m);
	refuse("model", PRICES(LINE("input", , ) "," LINE("input", , )),
	    "/s/prices/1");
	refuse("model",
	    PRICES(LINE("input", FROM("2026-01-01"), TO("2026-03-01")) "," LINE(
		"input", FROM("2026-02-01"), )),
	    "/s/prices/1");
	refuse("model",
	    PRICES(LINE("input", FROM("2026-01-01"), TO("2026-01-01"))),
	    "/s/prices/0");
	refuse("model",
	    PRICES("{\"class\":\"smell\",\"usd_per_mtok\":\"0.0000000001\"}"),
	    "/s/prices/0/class;/s/prices/0/usd_per_mtok");
	/* Lines for another tier or size do not overlap. */
	m = normalise("model",
	    PRICES(LINE("input", , ) "," LINE("input", PRIORITY, ) "," LINE(
		"input", ABOVE, ) "," LINE("input", PRIORITY,
		ABOVE) "," LINE("web_search", , )),
	    faults);
	ck_assert_msg(m != NULL, "%s", faults);
	json_decref(m);
	refuse("model",
	    PRICES(LINE("input", PRIORITY, ABOVE) "," LINE(
		"input", PRIORITY, ABOVE)),
	    "/s/prices/1");
	refuse("model", PRICES(LINE("input", ",\"tier\":\"\"", )),
	    "/s/prices/0/tier");
	refuse("model", PRICES(LINE("input", ",\"above_tokens\":-1", )),
	    "/s/prices/0/above_tokens");
}
END_TEST

START_TEST(test_urls)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} rows[] = {{"https://api.openai.com/v1", "https://api.openai.com/v1"},
	    {"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
	    {"http://[::1]:8080/x/", "http://[::1]:8080/x"},
	    {"https://h/a.b/~c", "https://h/a.b/~c"},
	    {"http://sim_1.internal", "http://sim_1.internal"},
	    {"https://user@h/", NULL}, {"https://user:p@h/", NULL},
	    {"https://h?x", NULL}, {"https://h/#f", NULL},
	    {"https://h/../x", NULL}, {"https://h/%2e", NULL},
	    {"https://h\\@evil", NULL}, {"https:///x", NULL},
	    {"https://h:0", NULL}, {"https://h:99999", NULL},
	    {"https://h:", NULL}, {"https://h:80:80", NULL},
	    {"https://a..b", NULL}, {"https://-a", NULL},
	    {"file:///etc/passwd", NULL}, {"h", NULL}, {"", NULL},
	    {"https://h/a b", NULL}, {"https://[zz]", NULL},
	    {"https://[::1", NULL}, {"https://[::1]x", NULL}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char z[256];
		struct error e;
		int rc = base_url_parse(str_of(rows[i].in), z, sizeof(z), &e);

		ck_assert_msg((rc == 0) == (rows[i].out != NULL), "%s: %d",
		    rows[i].in, rc);
		if (rc == 0)
			ck_assert_str_eq(z, rows[i].out);
	}
}
END_TEST

/* A spec of every kind, cut and twisted at each place, never crashes and
 * what passes normalises to itself. */
START_TEST(test_twisted)
{
	static const char *const values[] = {"null", "0", "-1", "1.5", "\"\"",
	    "\"x\"", "[]", "[null]", "[[]]", "{}", "{\"\":{}}", "true",
	    "9223372036854775807", "\"\\uffff\"", "[{}]", "[{\"class\":1}]"};

	for (int n = KIND_TENANT; n < KIND_END; n++) {
		const struct kind_def *k = kind_get((enum kind)n);

		for (size_t i = 0; i < k->n_fields; i++)
			for (size_t v = 0;
			     v < sizeof(values) / sizeof(values[0]); v++) {
				char text[200], faults[512];
				json_t *a, *b;
				char *again;

				(void)snprintf(text, sizeof(text),
				    "{\"%s\":%s}", k->fields[i].name,
				    values[v]);
				a = normalise(k->name, text, faults);
				if (a == NULL)
					continue;
				again = json_dumps(a, JSON_COMPACT);
				b = normalise(k->name, again, faults);
				ck_assert_msg(
				    b && json_equal(a, b), "%s", again);
				free(again);
				json_decref(a);
				json_decref(b);
			}
	}
}
END_TEST

START_TEST(test_merge_patch)
{
	static const struct {
		const char *target, *patch, *want;
	} rows[] = {/* RFC 7396, appendix A */
	    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
	    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
	    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
	    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
	    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		"{\"a\":{\"b\":\"d\"}}"},
	    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
	    {"{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}"},
	    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *t = json_loads(rows[i].target, 0, NULL);
		json_t *p = json_loads(rows[i].patch, 0, NULL);
		json_t *before = json_deep_copy(t);
		json_t *m = config_merge_patch(t, p);
		char *got = json_dumps(m, JSON_COMPACT | JSON_SORT_KEYS);

		ck_assert_str_eq(got, rows[i].want);
		ck_assert_msg(json_equal(t, before), "target changed");
		free(got);
		json_decref(t);
		json_decref(p);
		json_decref(m);
		json_decref(before);
	}
}
END_TEST

START_TEST(test_diff)
{
	const struct kind_def *k = kind_get(KIND_KEY);
	json_t *a = json_pack(
	    "{s:b, s:s, s:s}", "disabled", 0, "digest", "aaaa", "prefix", "p1");
	json_t *b = json_pack("{s:b, s:s, s:s, s:[s]}", "disabled", 0, "digest",
	    "bbbb", "prefix", "p2", "routes", "r");
	json_t *d = config_diff(k, a, b);
	char *z = json_dumps(d, JSON_COMPACT);

	ck_assert_str_eq(z,
	    "[{\"path\":\"/routes\",\"old\":null,\"new\":[\"r\"]},"
	    "{\"path\":\"/prefix\",\"old\":\"p1\",\"new\":\"p2\"},"
	    "{\"path\":\"/value\",\"old\":\"(secret)\","
	    "\"new\":\"(secret)\"}]");
	free(z);
	json_decref(d);
	d = config_diff(k, a, a);
	ck_assert_uint_eq(json_array_size(d), 0);
	json_decref(d);
	json_decref(a);
	json_decref(b);
}
END_TEST

/* References against a world without a database. */
START_TEST(test_world)
{
	struct world w;
	struct problems p;
	struct error e = {.code = 0};
	json_t *acme = json_pack("{s:[s]}", "routes", "cheap");
	json_t *none = json_object();
	json_t *team = json_pack("{s:[s,s]}", "routes", "cheap", "dear");
	json_t *budget = json_pack("{s:s}", "scope", "other");

	ck_assert_int_eq(world_init(&w, NULL), 0);
	problems_init(&p);
	ck_assert_int_eq(world_put(&w, KIND_TENANT, STR("acme"), acme), 0);
	ck_assert_int_eq(world_put(&w, KIND_TENANT, STR("other"), none), 0);
	ck_assert_int_eq(world_put(&w, KIND_ROUTE, STR("cheap"), none), 0);
	ck_assert_int_eq(world_check(&w, kind_get(KIND_TEAM), STR("acme.a"),
			     team, "/spec", "/name", &p, &e),
	    0);
	ck_assert_uint_eq(p.n, 2);
	ck_assert_str_eq(p.v[0].field, "/spec/routes/1");
	ck_assert_str_eq(p.v[0].detail, "route dear does not exist");
	ck_assert_str_eq(p.v[1].detail, "route dear is not allowed to acme");
	problems_release(&p);
	ck_assert_int_eq(world_check(&w, kind_get(KIND_BUDGET), STR("acme.m"),
			     budget, "/spec", "/name", &p, &e),
	    0);
	ck_assert_uint_eq(p.n, 1);
	ck_assert_str_eq(p.v[0].field, "/spec/scope");
	problems_release(&p);
	ck_assert_int_eq(world_check(&w, kind_get(KIND_PROJECT),
			     STR("acme.a.b"), none, "/spec", "/name", &p, &e),
	    0);
	ck_assert_uint_eq(p.n, 1);
	ck_assert_str_eq(p.v[0].field, "/name");
	ck_assert_str_eq(p.v[0].detail, "team acme.a does not exist");
	problems_release(&p);
	world_release(&w);
	json_decref(acme);
	json_decref(none);
	json_decref(team);
	json_decref(budget);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("kinds");

	UNIT_ADD(s, test_table);
	UNIT_ADD(s, test_examples);
	UNIT_ADD(s, test_names);
	UNIT_ADD(s, test_canonical);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_refused_budgets);
	UNIT_ADD(s, test_provider_defaults);
	UNIT_ADD(s, test_provider_rules);
	UNIT_ADD(s, test_prices);
	UNIT_ADD(s, test_urls);
	UNIT_ADD(s, test_twisted);
	UNIT_ADD(s, test_merge_patch);
	UNIT_ADD(s, test_diff);
	UNIT_ADD(s, test_world);
	return unit_run(s);
}
