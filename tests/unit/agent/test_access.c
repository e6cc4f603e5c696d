/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/provider: paths and headers of every dialect, AWS signatures against
 * the vectors that AWS publishes, credentials that are JSON.
 *
 * As "test_access --sign" it signs what it is told on standard input, one call
 * a line, for a comparison with another implementation: tab-separated
 * base URL, region, access key, secret, token, model, stream (0 or 1), seconds
 * since 1970, body in hexadecimal; prints path and header lines, then an
 * empty line. As "test_access --events N" it reads an event stream, N bytes
 * at a time, and prints each message: payload, then name, type and value of
 * each header, all in hexadecimal but the type; "bad" when it is damaged.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/config/compile.h"
#include "agent/dialect/eventstream.h"
#include "agent/provider/access.h"
#include "agent/provider/sigv4.h"
#include "common/clock.h"
#include "tests/unit/support/unit.h"

/* ---- signatures -----------------------------------------------------------
 */

#define STS_TOKEN                                                              \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQW"  \
	"LWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"               \
	"qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0w" \
	"q5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkU" \
	"L64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2I" \
	"CCR/oLxBA=="

/* The AWS Signature Version 4 test suite: names are its. */
static const struct {
	const char *name, *method, *path, *query, *token, *signature;
} vectors[] = {
    {"get-vanilla", "GET", "/", "", "",
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla", "POST", "/", "", "",
	"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-vanilla-query-order-key-case", "GET", "/",
	"Param1=value1&Param2=value2", "",
	"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-unreserved", "GET",
	"/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	"", "",
	"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"post-sts-header-before", "POST", "/", "", STS_TOKEN,
	"85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

START_TEST(test_vectors)
{
	struct aws_keys keys = {.access_key_id = STR("AKIDEXAMPLE"),
	    .secret_access_key =
		STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
	    .session_token = str_of(vectors[_i].token)};
	struct sigv4_request r = {.method = vectors[_i].method,
	    .host = STR("example.amazonaws.com"),
	    .path = str_of(vectors[_i].path),
	    .query = str_of(vectors[_i].query),
	    .region = STR("us-east-1"),
	    .service = STR("service"),
	    .keys = &keys,
	    .no_body_field = true};
	char got[4096], want[128];
	size_t n = 0;

	ck_assert_int_eq(
	    time_parse(STR("2015-08-30T12:36:00Z"), &r.wall_ns), 0);
	ck_assert_int_eq(sigv4_sign(&r, got, sizeof(got), &n), 0);
	ck_assert_uint_eq(n, strlen(got));
	(void)snprintf(
	    want, sizeof(want), "Signature=%s\r\n", vectors[_i].signature);
	ck_assert_msg(
	    strstr(got, want) != NULL, "%s: %s", vectors[_i].name, got);
	ck_assert_ptr_nonnull(strstr(got, "x-amz-date: 20150830T123600Z\r\n"));
	ck_assert_ptr_nonnull(strstr(got,
	    "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"));
	/* Every smaller array is refused, none is overrun. */
	for (size_t cap = 1; cap <= strlen(got); cap++) {
		char *tight = malloc(cap);

		n = 0;
		ck_assert_int_eq(sigv4_sign(&r, tight, cap, &n), ERR_TOO_LARGE);
		free(tight);
	}
}
END_TEST

/* The path is encoded a second time; the body's parts are one body. */
START_TEST(test_signed_body)
{
	struct aws_keys keys = {.access_key_id = STR("AK"),
	    .secret_access_key = STR("SK"),
	    .session_token = STR("")};
	struct str one[] = {STR("{\"a\":1}")};
	struct str two[] = {STR("{\"a\""), STR(""), STR(":1}")};
	struct sigv4_request r = {.method = "POST",
	    .host = STR("h"),
	    .path = STR("/model/a%3Ab%2Fc/converse"),
	    .query = STR(""),
	    .region = STR("eu-west-1"),
	    .service = STR("bedrock"),
	    .keys = &keys,
	    .parts = one,
	    .n_parts = 1};
	char a[2048], b[2048];
	size_t n = 0;

	ck_assert_int_eq(sigv4_sign(&r, a, sizeof(a), &n), 0);
	ck_assert_ptr_nonnull(strstr(a,
	    "x-amz-content-sha256: 015abd7f5cc57a2dd94b7590f04ad8084273905ee33"
	    "ec5cebeae62276a97f862\r\n"));
	r.parts = two;
	r.n_parts = 3;
	n = 0;
	ck_assert_int_eq(sigv4_sign(&r, b, sizeof(b), &n), 0);
	ck_assert_str_eq(a, b);
	r.unsigned_body = true;
	n = 0;
	ck_assert_int_eq(sigv4_sign(&r, b, sizeof(b), &n), 0);
	ck_assert_ptr_nonnull(
	    strstr(b, "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
	keys.session_token = STR("a\r\nX: y");
	n = 0;
	ck_assert_int_eq(sigv4_sign(&r, b, sizeof(b), &n), ERR_TOO_LARGE);
}
END_TEST

/* ---- paths ----------------------------------------------------------------
 */

static struct b_provider
provider(enum provider_dialect d, const char *base, const char *api_version)
{
	struct b_provider p = {.dialect = d,
	    .name = STR("p"),
	    .base_url = str_of(base),
	    .region = STR("eu-west1"),
	    .project = STR("acme:x"),
	    .api_version = str_of(api_version),
	    .auth_header = STR("Authorization: Bearer t")};

	ck_assert_int_eq(base_url_parse(p.base_url, &p.scheme, &p.host, &p.port,
			     &p.path_prefix),
	    0);
	return p;
}

static const struct {
	enum provider_dialect dialect;
	const char *base, *api_version;
	enum op op;
	bool stream;
	const char *model;
	const char *path; /* NULL: there is no such operation */
} paths[] = {
    {PROVIDER_OPENAI, "https://h/v1", "", OP_CHAT, 0, "m",
	"/v1/chat/completions"},
    {PROVIDER_OPENAI, "https://h/v1", "", OP_MESSAGES, 1, "m",
	"/v1/chat/completions"},
    {PROVIDER_OPENAI, "https://h/api/v3", "", OP_EMBEDDINGS, 0, "m",
	"/api/v3/embeddings"},
    {PROVIDER_OPENAI, "https://h/v1", "", OP_RESPONSES, 0, "m",
	"/v1/responses"},
    {PROVIDER_OPENAI, "https://h/v1", "", OP_RESPONSE_GET, 0, "m",
	"/v1/responses/resp_%2F.."},
    {PROVIDER_OPENAI, "https://h/v1", "", OP_RESPONSE_ITEMS, 0, "m",
	"/v1/responses/resp_%2F../input_items"},
    {PROVIDER_OPENAI, "https://h/v1", "", OP_RESPONSE_CANCEL, 0, "m",
	"/v1/responses/resp_%2F../cancel"},
    {PROVIDER_OPENAI, "https://h/v1", "", OP_SPEECH, 0, "m",
	"/v1/audio/speech"},
    {PROVIDER_OPENAI, "https://h/v1", "", OP_COUNT_TOKENS, 0, "m", NULL},
    {PROVIDER_AZURE, "https://h", "2024-10-21", OP_CHAT, 0, "gpt 4/o",
	"/openai/deployments/gpt%204%2Fo/chat/completions"
	"?api-version=2024-10-21"},
    {PROVIDER_AZURE, "https://h/openai", "2024-10-21", OP_EMBEDDINGS, 0, "d",
	"/openai/deployments/d/embeddings?api-version=2024-10-21"},
    {PROVIDER_AZURE, "https://h", "2025-03-01-preview", OP_RESPONSES, 0, "d",
	"/openai/responses?api-version=2025-03-01-preview"},
    {PROVIDER_AZURE, "https://h", "", OP_CHAT, 0, "d",
	"/openai/v1/chat/completions"},
    {PROVIDER_AZURE, "https://h/openai/v1", "", OP_CHAT, 0, "d",
	"/openai/v1/chat/completions"},
    {PROVIDER_AZURE, "https://h/openai", "preview", OP_CHAT, 0, "d",
	"/openai/v1/chat/completions?api-version=preview"},
    {PROVIDER_AZURE, "https://h", "", OP_RERANK, 0, "d", NULL},
    {PROVIDER_ANTHROPIC, "https://h", "", OP_MESSAGES, 1, "c", "/v1/messages"},
    {PROVIDER_ANTHROPIC, "https://h/v1", "", OP_CHAT, 0, "c", "/v1/messages"},
    {PROVIDER_ANTHROPIC, "https://h", "", OP_COUNT_TOKENS, 0, "c",
	"/v1/messages/count_tokens"},
    {PROVIDER_ANTHROPIC, "https://h", "", OP_EMBEDDINGS, 0, "c", NULL},
    {PROVIDER_GEMINI, "https://h", "", OP_GENERATE, 0, "gemini-x",
	"/v1beta/models/gemini-x:generateContent"},
    {PROVIDER_GEMINI, "https://h/v1", "", OP_CHAT, 1, "models/gemini-x",
	"/v1/models/gemini-x:streamGenerateContent?alt=sse"},
    {PROVIDER_GEMINI, "https://h", "v1alpha", OP_GENERATE, 0, "a:b/../c?d#e",
	"/v1alpha/models/a%3Ab%2F..%2Fc%3Fd%23e:generateContent"},
    {PROVIDER_GEMINI, "https://h/v1alpha", "v1alpha", OP_GEMINI_EMBED, 0, "e",
	"/v1alpha/models/e:embedContent"},
    {PROVIDER_GEMINI, "https://h", "", OP_EMBEDDINGS, 0, "e",
	"/v1beta/models/e:batchEmbedContents"},
    {PROVIDER_GEMINI, "https://h", "", OP_GEMINI_COUNT_TOKENS, 0, "e",
	"/v1beta/models/e:countTokens"},
    {PROVIDER_GEMINI, "https://h", "", OP_IMAGES, 0, "e", NULL},
    {PROVIDER_VERTEX, "https://h", "", OP_GENERATE, 1, "gemini-x",
	"/v1/projects/acme%3Ax/locations/eu-west1/publishers/google/models/"
	"gemini-x:streamGenerateContent?alt=sse"},
    {PROVIDER_VERTEX, "https://h", "v1beta1", OP_EMBEDDINGS, 0, "e",
	"/v1beta1/projects/acme%3Ax/locations/eu-west1/publishers/google/"
	"models/e:predict"},
    {PROVIDER_BEDROCK, "https://h", "", OP_CHAT, 0,
	"arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.x-v1:0",
	"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2F"
	"eu.anthropic.x-v1%3A0/converse"},
    {PROVIDER_BEDROCK, "https://h/p", "", OP_MESSAGES, 1, "m",
	"/p/model/m/converse-stream"},
    {PROVIDER_BEDROCK, "https://h", "", OP_EMBEDDINGS, 0, "m",
	"/model/m/invoke"},
    {PROVIDER_BEDROCK, "https://h", "", OP_RERANK, 0, "m", NULL},
    {PROVIDER_MISTRAL, "https://h", "", OP_CHAT, 0, "m",
	"/v1/chat/completions"},
    {PROVIDER_MISTRAL, "https://h/v1", "", OP_RESPONSES, 0, "m",
	"/v1/chat/completions"},
    {PROVIDER_MISTRAL, "https://h/v1", "", OP_SPEECH, 0, "m", NULL},
    {PROVIDER_COHERE, "https://h", "", OP_CHAT, 1, "m", "/v2/chat"},
    {PROVIDER_COHERE, "https://h/v2", "", OP_EMBEDDINGS, 0, "m", "/v2/embed"},
    {PROVIDER_COHERE, "https://h", "", OP_RERANK, 0, "m", "/v2/rerank"},
    {PROVIDER_OLLAMA, "http://h:11434", "", OP_CHAT, 1, "m", "/api/chat"},
    {PROVIDER_OLLAMA, "http://h/api", "", OP_EMBEDDINGS, 0, "m", "/api/embed"},
};

START_TEST(test_paths)
{
	struct b_provider p =
	    provider(paths[_i].dialect, paths[_i].base, paths[_i].api_version);
	struct access_call c = {.provider = &p,
	    .op = paths[_i].op,
	    .model = str_of(paths[_i].model),
	    .id = STR("resp_/.."),
	    .stream = paths[_i].stream};
	static struct access a;
	struct error e = {0};
	char whole[ACCESS_PATH_MAX + 100];
	int rc = access_prepare(&c, &a, &e);

	ck_assert(access_can(&p, c.op) == (paths[_i].path != NULL));
	if (paths[_i].path == NULL) {
		ck_assert_int_eq(rc, ERR_UNSUPPORTED);
		return;
	}
	ck_assert_msg(rc == 0, "%d: %s", _i, e.text);
	(void)snprintf(
	    whole, sizeof(whole), "%.*s%s", STR_ARG(p.path_prefix), a.path);
	ck_assert_str_eq(whole, paths[_i].path);
	ck_assert_uint_eq(a.path_len, strlen(a.path));
	ck_assert_uint_eq(a.headers_len, strlen(a.headers));
	ck_assert_str_eq(a.method,
	    c.op == OP_RESPONSE_GET || c.op == OP_RESPONSE_ITEMS ? "GET"
								 : "POST");
}
END_TEST

START_TEST(test_bad_models)
{
	static const char *const bad[] = {"", ".", ".."};
	struct b_provider p = provider(PROVIDER_BEDROCK, "https://h", "");
	char long_model[ACCESS_PATH_MAX];
	static struct access a;
	struct error e;

	memset(long_model, 'm', sizeof(long_model));
	for (size_t i = 0; i <= 3; i++) {
		struct access_call c = {.provider = &p,
		    .op = OP_CHAT,
		    .model = i < 3 ? str_of(bad[i])
				   : str_make(long_model, sizeof(long_model))};

		ck_assert_int_eq(access_prepare(&c, &a, &e), ERR_TOO_LARGE);
	}
}
END_TEST

START_TEST(test_headers)
{
	struct b_provider p = provider(PROVIDER_ANTHROPIC, "https://h", "");
	struct str own = STR("Anthropic-Version: x");
	struct access_call c = {
	    .provider = &p, .op = OP_MESSAGES, .model = STR("m")};
	static struct access a;
	struct error e = {0};

	ck_assert_int_eq(access_prepare(&c, &a, &e), 0);
	ck_assert_str_eq(a.headers, "anthropic-version: 2023-06-01\r\n");
	c.version = STR("2023-01-01");
	ck_assert_int_eq(access_prepare(&c, &a, &e), 0);
	ck_assert_str_eq(a.headers, "anthropic-version: 2023-01-01\r\n");
	c.version = STR("x\r\ny: z");
	ck_assert_int_eq(access_prepare(&c, &a, &e), ERR_TOO_LARGE);
	c.version = STR("");
	p.headers = &own;
	p.n_headers = 1;
	ck_assert_int_eq(access_prepare(&c, &a, &e), 0);
	ck_assert_str_eq(a.headers, "");
	/* Signed calls name the host as it is sent. */
	p = provider(PROVIDER_BEDROCK, "https://h:444", "");
	p.auth_header = STR("");
	ck_assert_int_eq(access_prepare(&c, &a, &e), ERR_UPSTREAM);
	p.aws.access_key_id = STR("AK");
	p.aws.secret_access_key = STR("SK");
	c.wall_ns = NS_PER_S;
	ck_assert_int_eq(access_prepare(&c, &a, &e), 0);
	ck_assert_ptr_nonnull(
	    strstr(a.headers, "Authorization: AWS4-HMAC-SHA256 Credential=AK/"
			      "19700101/eu-west1/bedrock/aws4_request, "));
	p = provider(PROVIDER_VERTEX, "https://h", "");
	p.auth_header = STR("");
	ck_assert_int_eq(access_prepare(&c, &a, &e), ERR_UPSTREAM);
}
END_TEST

/* ---- credentials ----------------------------------------------------------
 */

START_TEST(test_aws_keys)
{
	static const char *const bad[] = {"", "x", "[]", "{}", "\"a\"",
	    "{\"access_key_id\":\"a\"}",
	    "{\"access_key_id\":\"a\",\"secret_access_key\":\"\"}",
	    "{\"access_key_id\":\"a\",\"secret_access_key\":\"b\\n\"}",
	    "{\"access_key_id\":1,\"secret_access_key\":\"b\"}",
	    "{\"access_key_id\":\"a\",\"secret_access_key\":\"\\u0000\"}",
	    "{\"access_key_id\":\"a\",\"secret_access_key\":\"b\","
	    "\"session_token\":[]}"};
	struct aws_keys k;
	struct arena a;
	struct error e;

	arena_init(&a, 4096, 1 << 20);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(
		    aws_keys_parse(str_of(bad[i]), &a, &k, &e) == ERR_INVALID,
		    "%s", bad[i]);
	ck_assert_int_eq(
	    aws_keys_parse(STR("{\"access_key_id\":\"a\",\"secret_access_key\":"
			       "\"b\",\"session_token\":\"c\",\"x\":1}"),
		&a, &k, &e),
	    0);
	ck_assert_str_eq(k.access_key_id.p, "a");
	ck_assert_str_eq(k.secret_access_key.p, "b");
	ck_assert_str_eq(k.session_token.p, "c");
	arena_release(&a);
}
END_TEST

START_TEST(test_account)
{
	struct service_account s;
	struct arena a;
	struct error e;
#define ACCOUNT(uri)                                                       \
	STR("{\"client_email\":\"a@b\",\"private_key\":\"x\\ny\",\"token_" \
	    "uri\":\"" uri "\"}")

	arena_init(&a, 4096, 1 << 20);
	ck_assert_int_eq(
	    service_account_parse(ACCOUNT("https://t"), false, &a, &s, &e), 0);
	ck_assert_str_eq(s.private_key.p, "x\ny");
	ck_assert_str_eq(s.private_key_id.p, "");
	ck_assert_int_eq(
	    service_account_parse(ACCOUNT("http://t"), false, &a, &s, &e),
	    ERR_INVALID);
	ck_assert_int_eq(
	    service_account_parse(ACCOUNT("http://t"), true, &a, &s, &e), 0);
	ck_assert_int_eq(
	    service_account_parse(ACCOUNT("file:///x"), true, &a, &s, &e),
	    ERR_INVALID);
	arena_release(&a);
}
END_TEST

/* ---- for comparisons ------------------------------------------------------
 */

static int
sign_line(char *line)
{
	static char body[1 << 16];
	static struct access a;
	struct b_provider p = {.dialect = PROVIDER_BEDROCK, .name = STR("p")};
	struct str f[9], rest = str_of(line), part;
	struct access_call c = {
	    .provider = &p, .op = OP_CHAT, .parts = &part, .n_parts = 1};
	uint64_t seconds;
	struct error e = {0};

	line[strcspn(line, "\n")] = '\0';
	rest = str_of(line);
	for (size_t i = 0; i < 9; i++)
		(void)str_cut(rest, '\t', &f[i], &rest);
	p.region = f[1];
	p.aws = (struct aws_keys){f[2], f[3], f[4]};
	c.model = f[5];
	c.stream = str_eqz(f[6], "1");
	part = str_make(body, f[8].len / 2);
	if (base_url_parse(f[0], &p.scheme, &p.host, &p.port, &p.path_prefix) !=
		0 ||
	    str_to_u64(f[7], &seconds) != 0 || part.len > sizeof(body) ||
	    hex_decode(f[8], body, part.len) != 0)
		return 2;
	c.wall_ns = (int64_t)seconds * NS_PER_S;
	if (access_prepare(&c, &a, &e) != 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	printf("%.*s%s\n%s\n", STR_ARG(p.path_prefix), a.path, a.headers);
	return 0;
}

static int
sign_all(void)
{
	static char line[1 << 18];
	int rc = 0;

	while (rc == 0 && fgets(line, sizeof(line), stdin) != NULL)
		rc = sign_line(line);
	return rc;
}

static void
print_hex(struct str s, const char *end)
{
	for (size_t i = 0; i < s.len; i++)
		printf("%02x", (unsigned)(unsigned char)s.p[i]);
	printf("%s", end);
}

static int
print_message(void *ctx, const struct eventstream_message *m)
{
	(void)ctx;
	print_hex(m->payload, "");
	for (unsigned i = 0; i < m->n_headers; i++) {
		const struct eventstream_header *h = &m->headers[i];

		printf(" ");
		print_hex(h->name, "");
		printf(":%d:", (int)h->type);
		if (h->type == EVENTSTREAM_BYTES ||
		    h->type == EVENTSTREAM_STRING ||
		    h->type == EVENTSTREAM_UUID)
			print_hex(h->value, "");
		else
			printf("%lld", (long long)h->number);
	}
	printf("\n");
	return 0;
}

static int
print_events(size_t step)
{
	static char piece[1 << 16];
	struct eventstream s;
	size_t n;
	int rc = 0;

	if (step == 0 || step > sizeof(piece))
		return 2;
	eventstream_init(&s, (size_t)24 << 20);
	while (rc == 0 && (n = fread(piece, 1, step, stdin)) > 0)
		rc = eventstream_feed(&s, piece, n, print_message, NULL);
	if (rc == 0)
		rc = eventstream_finish(&s);
	eventstream_release(&s);
	if (rc != 0)
		printf("bad\n");
	return 0;
}

int
main(int argc, char **argv)
{
	Suite *s;
	TCase *tc;

	if (argc == 3 && strcmp(argv[1], "--events") == 0)
		return print_events(strtoul(argv[2], NULL, 10));

	if (argc == 2 && strcmp(argv[1], "--sign") == 0)
		return sign_all();
	s = suite_create("agent/access");
	tc = tcase_create("access");
	tcase_add_loop_test(
	    tc, test_vectors, 0, sizeof(vectors) / sizeof(vectors[0]));
	tcase_add_test(tc, test_signed_body);
	tcase_add_loop_test(
	    tc, test_paths, 0, sizeof(paths) / sizeof(paths[0]));
	tcase_add_test(tc, test_bad_models);
	tcase_add_test(tc, test_headers);
	tcase_add_test(tc, test_aws_keys);
	tcase_add_test(tc, test_account);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
