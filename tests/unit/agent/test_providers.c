/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/config: compiling providers of every dialect and routes, and what is
 * refused of them.
 */
#include "agent/config/compile.h"
#include "agent/dialect/codec.h"
#include "agent/provider/quirk.h"
#include "tests/unit/agent/config_kit.h"
#include "tests/unit/support/unit.h"

/* What a provider of each dialect is given to present itself. */
static const struct {
	const char *dialect, *auth, *credential, *header;
	uint64_t quirk; /* one that it has, 0 = none */
} auths[] = {
    {"openai", "", "sk-1", "Authorization: Bearer sk-1", 0},
    {"azure", "", "az-1", "api-key: az-1", 0},
    {"azure", "bearer", "az-1", "Authorization: Bearer az-1", 0},
    {"anthropic", "", "ant-1", "x-api-key: ant-1", QUIRK_NO_RESPONSES},
    {"gemini", "", "g-1", "x-goog-api-key: g-1", 0},
    {"vertex", "bearer", "t-1", "Authorization: Bearer t-1", 0},
    {"bedrock", "bearer", "b-1", "Authorization: Bearer b-1", 0},
    {"bedrock", "", "{\"access_key_id\":\"AKID\",\"secret_access_key\":\"s\"}",
	"", 0},
    {"mistral", "", "m-1", "Authorization: Bearer m-1", QUIRK_RANDOM_SEED},
    {"cohere", "", "c-1", "Authorization: Bearer c-1", 0},
    {"ollama", "", "", "", 0},
};

START_TEST(test_dialects)
{
	for (unsigned i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		const struct b_provider *p;
		Hg__Provider *body;
		char *rejects[2];
		struct bench x;
		struct world w;

		world_init(&w);
		bench_init(&x);
		body = world_find(&w, KIND(PROVIDER), W_PROVIDER)->provider;
		body->dialect = world_text(&w, auths[i].dialect);
		body->auth = world_text(&w, auths[i].auth);
		body->credential = world_text(&w, auths[i].credential);
		body->region = world_text(&w, "eu-west-1");
		body->project = world_text(&w, "acme");
		rejects[0] = world_text(&w, "strict");
		rejects[1] = world_text(&w, "of-tomorrow");
		body->rejects = rejects;
		body->n_rejects = 2;
		ck_assert_msg(
		    bench_compile(&x, &w) == 0, "%u: %s", i, x.e.text);
		p = x.b->deployments[0].provider;
		ck_assert_str_eq(
		    provider_dialect_name(p->dialect), auths[i].dialect);
		ck_assert(str_eqz(p->auth_header, auths[i].header));
		ck_assert_uint_eq(p->quirks & auths[i].quirk, auths[i].quirk);
		ck_assert(p->quirks & QUIRK_NO_STRICT);
		ck_assert(str_eqz(p->region, "eu-west-1"));
		if (auths[i].credential[0] == '{')
			ck_assert(str_eqz(p->aws.access_key_id, "AKID"));
		bench_release(&x);
		world_release(&w);
	}
}
END_TEST

START_TEST(test_routes)
{
	const struct b_route *r;
	char *caps[2];
	Hg__Route *body;
	Hg__Model *m;
	struct bench x;
	struct world w;

	world_init(&w);
	bench_init(&x);
	body = world_find(&w, KIND(ROUTE), W_ROUTE)->route;
	body->lenient = true;
	body->on_disconnect = world_text(&w, "drain");
	body->drain_max_ms = 1;
	body->drain_max_tokens = 2;
	body->drain_max_concurrent = 3;
	m = world_find(&w, KIND(MODEL), W_MODEL)->model;
	caps[0] = world_text(&w, "chat");
	caps[1] = world_text(&w, "audio_input");
	m->capabilities = caps;
	m->n_capabilities = 2;
	ck_assert_msg(bench_compile(&x, &w) == 0, "%s", x.e.text);
	r = bundle_find_route(x.b, STR("gpt"));
	ck_assert(r->lenient && r->drain);
	ck_assert_uint_eq(r->drain_max_ms, 1);
	ck_assert_uint_eq(r->drain_max_tokens, 2);
	ck_assert_uint_eq(r->drain_max_concurrent, 3);
	ck_assert_uint_eq(x.b->deployments[0].model->can,
	    1u << CAP_CHAT | 1u << CAP_AUDIO_INPUT);
	r = bundle_find_route(x.b, STR("another"));
	ck_assert(!r->lenient && !r->drain);
	bench_release(&x);
	world_release(&w);
}
END_TEST

static void
break_keys(struct world *w)
{
	Hg__Provider *p = world_find(w, KIND(PROVIDER), W_PROVIDER)->provider;

	p->dialect = world_text(w, "bedrock");
	p->region = world_text(w, "r");
	p->credential = world_text(w, "{\"access_key_id\":\"canary\"}");
}
static void
break_account(struct world *w)
{
	Hg__Provider *p = world_find(w, KIND(PROVIDER), W_PROVIDER)->provider;

	p->dialect = world_text(w, "vertex");
	p->credential =
	    world_text(w, "{\"client_email\":\"a\",\"private_key\":\"canary\","
			  "\"token_uri\":\"https://t\"}");
}
static void
break_auth(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->auth =
	    world_text(w, "telepathy");
}
static void
break_region(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->region =
	    world_text(w, "a/../b");
}
static void
break_proxy(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->proxy_url =
	    world_text(w, "socks5://h");
}
static void
break_ca(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->ca_pem =
	    world_text(w, "-----BEGIN CERTIFICATE-----\nMIIBszCC\n"
			  "-----END CERTIFICATE-----\n");
}
static void
break_client_key(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->client_key =
	    world_text(w, "canary");
}
static const struct {
	void (*make)(struct world *w);
	const char *text;
} rejects[] = {
    {break_keys, "secret_access_key"},
    {break_account, "private_key cannot be read"},
    {break_auth, "auth telepathy"},
    {break_region, "region"},
    {break_proxy, "proxy_url"},
    {break_ca, "ca_pem"},
    {break_client_key, "client_cert_pem"},
};

START_TEST(test_rejects)
{
	struct bench x;
	struct world w;

	world_init(&w);
	bench_init(&x);
	rejects[_i].make(&w);
	ck_assert_int_eq(bench_compile(&x, &w), ERR_INVALID);
	ck_assert_ptr_null(x.b);
	ck_assert_str_eq(x.why.item, "sim");
	ck_assert_msg(
	    strstr(x.e.text, rejects[_i].text) != NULL, "%s", x.e.text);
	ck_assert_ptr_null(strstr(x.e.text, "canary"));
	bench_release(&x);
	world_release(&w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/providers");
	TCase *tc = tcase_create("rejects");

	UNIT_ADD(s, test_dialects);
	UNIT_ADD(s, test_routes);
	tcase_add_loop_test(
	    tc, test_rejects, 0, sizeof(rejects) / sizeof(rejects[0]));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
