/* SPDX-License-Identifier: Apache-2.0 */
/* Bundle derivation: what each group gets, and nothing else. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/fleet/derive.h"
#include "proto/headgate.pb-c.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static const struct {
	int kind;
	const char *name, *spec;
} rows[] = {
    {1, "acme", "{\"routes\":[\"gpt\"]}"},
    {2, "acme.res", "{}"},
    {3, "acme.res.chat", "{\"disabled\":true}"},
    {4, "acme.res.chat.ci",
	"{\"digest\":\"00112233445566778899aabbccddeeff"
	"00112233445566778899aabbccddeeff\",\"expires_at\":"
	"\"2030-01-01T00:00:00Z\",\"prefix\":\"abc\"}"},
    {5, "sim",
	"{\"dialect\":\"openai\",\"base_url\":\"http://h:1\","
	"\"region\":\"r\",\"project\":\"p\",\"api_version\":\"v\","
	"\"auth\":\"bearer\",\"rejects\":[\"seed\"],\"ca_pem\":\"CA\","
	"\"client_cert_pem\":\"CC\",\"client_key_version\":4,"
	"\"proxy_url\":\"http://x\",\"max_connections\":9,"
	"\"credential_version\":3,\"headers\":{\"x-org\":\"o\"}}"},
    {5, "only-us",
	"{\"dialect\":\"openai\",\"base_url\":\"http://u:1\","
	"\"credential_version\":1}"},
    {6, "m",
	"{\"max_output_tokens\":100,\"max_request_usd\":\"2.50\","
	"\"tokenizer\":\"o200k\",\"capabilities\":["
	"\"chat\"],\"prices\":"
	"[{\"class\":\"output\",\"usd_per_mtok\":\"2.50\",\"from\":"
	"\"2026-01-01T00:00:00Z\",\"tier\":\"flex\",\"above_tokens\":5}]}"},
    {7, "m-all",
	"{\"model\":\"m\",\"provider\":\"sim\",\"upstream_model\":\"x\"}"},
    {7, "m-us",
	"{\"model\":\"m\",\"provider\":\"only-us\",\"upstream_model\":\"x\","
	"\"agent_groups\":[\"us\"]}"},
    {8, "gpt",
	"{\"targets\":[{\"deployment\":\"m-us\",\"priority\":1,\"weight\":2},"
	"{\"deployment\":\"m-all\"}],\"lenient\":true,\"on_disconnect\":"
	"\"drain\",\"drain_max_tokens\":7}"},
    {9, "acme.month",
	"{\"scope\":\"acme.res\",\"limit_usd\":\"12.50\",\"mode\":\"hard\","
	"\"period\":\"month\",\"model\":\"m\",\"route\":\"gpt\"}"},
    {10, "acme.rate",
	"{\"scope\":\"acme.res.chat.ci\",\"requests_per_minute\":60}"},
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static int
credential(void *ctx, uint64_t provider_uid, enum credential which,
    uint64_t version, struct buf *out, struct error *e)
{
	(void)ctx;
	(void)e;
	return buf_addf(out, "%s-%llu-v%llu",
	    which == CREDENTIAL_CLIENT_KEY ? "key" : "sk",
	    (unsigned long long)provider_uid, (unsigned long long)version);
}

static struct derive_world *
world(void)
{
	struct derive_world *w = derive_world_new();
	struct error e = {0};

	ck_assert_ptr_nonnull(w);
	for (size_t i = 0; i < N_ROWS; i++) {
		struct store_item it = {.kind = rows[i].kind,
		    .uid = i + 1,
		    .name = str_of(rows[i].name),
		    .version = 7,
		    .spec = str_of(rows[i].spec)};

		ck_assert_int_eq(derive_world_add(w, &it, &e), 0);
	}
	ck_assert_int_eq(derive_world_credentials(w, credential, NULL, &e), 0);
	return w;
}

static Hg__Item *
item(const struct derived *d, uint32_t kind, uint64_t uid)
{
	const struct derived_item *it = derived_find(d, kind, uid);

	return it == NULL ? NULL
			  : hg__item__unpack(NULL, it->packed.len,
				(const uint8_t *)it->packed.p);
}

static void
free_item(Hg__Item *m)
{
	hg__item__free_unpacked(m, NULL);
}

START_TEST(groups_get_their_part)
{
	struct derive_world *w = world();
	struct derived eu, us;
	struct error e = {0};
	Hg__Item *m;

	ck_assert_int_eq(derive_group(w, "eu", &eu, &e), 0);
	ck_assert_int_eq(derive_group(w, "us", &us, &e), 0);
	ck_assert_uint_eq(us.n, N_ROWS);
	ck_assert_uint_eq(eu.n, N_ROWS - 1);
	ck_assert_ptr_null(derived_find(&eu, 7, 9));
	ck_assert_int_ne(memcmp(eu.state_hash, us.state_hash, 32), 0);

	m = item(&eu, 8, 10); /* the route lost its us target */
	ck_assert_uint_eq(m->route->n_targets, 1);
	ck_assert_uint_eq(m->route->targets[0]->deployment_uid, 8);
	free_item(m);
	m = item(&us, 8, 10);
	ck_assert_uint_eq(m->route->n_targets, 2);
	ck_assert_uint_eq(m->route->targets[0]->weight, 2);
	free_item(m);

	m = item(&eu, 5, 6); /* no deployment of eu needs this credential */
	ck_assert_str_eq(m->provider->credential, "");
	free_item(m);
	m = item(&us, 5, 6);
	ck_assert_str_eq(m->provider->credential, "sk-6-v1");
	free_item(m);
	derive_free(&eu);
	derive_free(&us);
	derive_world_free(w);
}
END_TEST

START_TEST(fields_arrive)
{
	struct derive_world *w = world();
	struct derived d;
	struct error e = {0};
	Hg__Item *m;

	ck_assert_int_eq(derive_group(w, "us", &d, &e), 0);
	ck_assert_uint_eq(d.min_minor, 1); /* a tier, a filter */
	m = item(&d, 4, 4);
	ck_assert_str_eq(m->name, "acme.res.chat.ci");
	ck_assert_uint_eq(m->version, 7);
	ck_assert_uint_eq(m->key->project_uid, 3);
	ck_assert_uint_eq(m->key->digest.len, 32);
	ck_assert_uint_eq(m->key->digest.data[1], 0x11);
	ck_assert_int_eq(m->key->expires_at, INT64_C(1893456000000000000));
	free_item(m);
	m = item(&d, 3, 3);
	ck_assert_uint_eq(m->owner->parent_uid, 2);
	ck_assert(m->owner->disabled);
	free_item(m);
	m = item(&d, 5, 5);
	ck_assert_str_eq(m->provider->credential, "sk-5-v3");
	ck_assert_str_eq(m->provider->headers[0]->name, "x-org");
	ck_assert_str_eq(m->provider->client_key, "key-5-v4");
	ck_assert_str_eq(m->provider->region, "r");
	ck_assert_str_eq(m->provider->project, "p");
	ck_assert_str_eq(m->provider->api_version, "v");
	ck_assert_str_eq(m->provider->auth, "bearer");
	ck_assert_uint_eq(m->provider->n_rejects, 1);
	ck_assert_str_eq(m->provider->rejects[0], "seed");
	ck_assert_str_eq(m->provider->ca_pem, "CA");
	ck_assert_str_eq(m->provider->client_cert_pem, "CC");
	ck_assert_str_eq(m->provider->proxy_url, "http://x");
	ck_assert_uint_eq(m->provider->max_connections, 9);
	free_item(m);
	m = item(&d, 8, 10);
	ck_assert(m->route->lenient);
	ck_assert_str_eq(m->route->on_disconnect, "drain");
	ck_assert_uint_eq(m->route->drain_max_ms, 30000);
	ck_assert_uint_eq(m->route->drain_max_tokens, 7);
	ck_assert_uint_eq(m->route->drain_max_concurrent, 64);
	free_item(m);
	m = item(&d, 6, 7);
	ck_assert_int_eq(m->model->prices[0]->per_mtok, INT64_C(2500000000));
	ck_assert_uint_eq(m->model->prices[0]->token_class, 4);
	ck_assert_str_eq(m->model->prices[0]->tier, "flex");
	ck_assert_int_eq(m->model->prices[0]->above_tokens, 5);
	ck_assert_str_eq(m->model->tokenizer, "o200k");
	ck_assert_int_eq(m->model->max_request, INT64_C(2500000000));
	free_item(m);
	m = item(&d, 9, 11);
	ck_assert_int_eq(m->budget->limit, INT64_C(12500000000));
	ck_assert_uint_eq(m->budget->scope_kind, 2);
	ck_assert_uint_eq(m->budget->scope_uid, 2);
	ck_assert_uint_eq(m->budget->model_uid, 7);
	ck_assert_uint_eq(m->budget->provider_uid, 0);
	ck_assert_uint_eq(m->budget->route_uid, 10);
	free_item(m);
	m = item(&d, 10, 12);
	ck_assert_int_eq(m->limit->requests_per_minute, 60);
	ck_assert_uint_eq(m->limit->scope_kind, 4);
	free_item(m);
	derive_free(&d);
	derive_world_free(w);
}
END_TEST

START_TEST(same_world_same_bytes)
{
	struct derive_world *a = world(), *b = world();
	struct derived da, db;
	struct error e = {0};

	ck_assert_int_eq(derive_group(a, "us", &da, &e), 0);
	ck_assert_int_eq(derive_group(b, "us", &db, &e), 0);
	ck_assert_mem_eq(da.state_hash, db.state_hash, 32);
	for (size_t i = 0; i < da.n; i++)
		ck_assert(str_eq(da.items[i].packed, db.items[i].packed));
	derive_free(&da);
	derive_free(&db);
	derive_world_free(a);
	derive_world_free(b);
}
END_TEST

static const struct {
	int kind;
	const char *name, *spec, *want;
} corrupt[] = {
    {2, "acme.res", "{}", "parent"},
    {4, "a.b.c.d", "{\"digest\":\"00\"}", "project"},
    {7, "d", "{\"model\":\"none\",\"provider\":\"none\"}", "model"},
    {8, "r", "{\"targets\":[{\"deployment\":\"none\"}]}", "targets"},
    {9, "a.b", "{\"scope\":\"none\",\"limit_usd\":\"1\"}", "scope"},
    {9, "a.b", "{\"scope\":\"none\",\"limit_usd\":\"x\"}", "limit_usd"},
    {6, "m", "{\"prices\":[{\"class\":\"x\"}]}", "class"},
    {11, "x", "{}", "kind"},
};

START_TEST(corruption_is_named)
{
	struct derive_world *w = derive_world_new();
	struct store_item it = {.kind = corrupt[_i].kind,
	    .uid = 1,
	    .name = str_of(corrupt[_i].name),
	    .spec = str_of(corrupt[_i].spec)};
	struct derived d;
	struct error e = {0};

	ck_assert_int_eq(derive_world_add(w, &it, &e), 0);
	ck_assert_int_eq(derive_group(w, "g", &d, &e), ERR_CORRUPT);
	ck_assert_msg(strstr(e.text, corrupt[_i].want) != NULL, "%s", e.text);
	ck_assert_msg(strstr(e.text, corrupt[_i].name) != NULL, "%s", e.text);
	it.spec = STR("{");
	ck_assert_int_eq(derive_world_add(w, &it, &e), ERR_CORRUPT);
	derive_world_free(w);
}
END_TEST

START_TEST(out_of_memory)
{
	struct derive_world *w = world();

	EACH_OOM
	{
		struct derived d;
		struct error e = {0};
		int rc = derive_group(w, "us", &d, &e);
		bool hit = oom_hit();

		if (hit)
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_int_eq(rc, 0);
		if (rc == 0)
			derive_free(&d);
	}
	derive_world_free(w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/derive");
	TCase *tc = tcase_create("derive");

	tcase_add_test(tc, groups_get_their_part);
	tcase_add_test(tc, fields_arrive);
	tcase_add_test(tc, same_world_same_bytes);
	tcase_add_loop_test(tc, corruption_is_named, 0,
	    (int)(sizeof(corrupt) / sizeof(corrupt[0])));
	tcase_add_test(tc, out_of_memory);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
