/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation, differences and answers when memory runs out: an error, no
 * crash, no leak, and never a wrong result. jansson allocates through ours.
 */
#include <stdlib.h>
#include <string.h>

#include "controlplane/config/history.h"
#include "controlplane/config/validate.h"
#include "controlplane/config/world.h"
#include "controlplane/rest/call.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static void *
counted_malloc(size_t n)
{
	return malloc(n);
}

static void
counted_free(void *p)
{
	free(p);
}

static const struct {
	const char *kind, *spec;
} specs[] = {{"tenant", "{\"display_name\":\"x\",\"routes\":[\"a\",\"b\"]}"},
    {"key", "{\"value\":\"hg-0123456789012345678901234567890123456789\","
	    "\"expires_at\":\"2030-01-01\"}"},
    {"provider", "{\"dialect\":\"openai\",\"base_url\":\"https://h/v1\","
		 "\"credential\":\"s\",\"headers\":{\"X-A\":\"b\"}}"},
    {"model", "{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\","
	      "\"from\":\"2026-01-01\"}],\"capabilities\":[\"chat\"]}"},
    {"route", "{\"targets\":[{\"deployment\":\"a\"}]}"},
    {"budget", "{\"scope\":\"a\",\"limit_usd\":\"5\",\"period\":\"day\"}"}};
#define N_SPECS (sizeof(specs) / sizeof(specs[0]))

START_TEST(test_normalise)
{
	for (size_t i = 0; i < N_SPECS; i++) {
		const struct kind_def *k = kind_find(str_of(specs[i].kind));
		json_t *in = json_loads(specs[i].spec, 0, NULL);

		EACH_OOM
		{
			json_t *spec = NULL, *secrets = NULL;
			struct problems p;
			size_t n;
			int rc;

			problems_init(&p);
			rc = spec_normalise(k, in, "", &spec, &secrets, &p);
			n = p.total;
			if (oom_hit())
				ck_assert_int_eq(rc, ERR_NOMEM);
			else
				ck_assert_int_eq(rc, 0);
			ck_assert_uint_eq(n, 0);
			problems_release(&p);
			json_decref(spec);
			json_decref(secrets);
		}
		ck_assert_uint_gt(oom_failures(), 2);
		json_decref(in);
	}
}
END_TEST

START_TEST(test_refusals)
{
	json_t *in = json_loads("{\"a\":1,\"b\":2,\"disabled\":3}", 0, NULL);

	EACH_OOM
	{
		json_t *spec = NULL;
		struct problems p;
		struct error e;
		int rc, again;

		problems_init(&p);
		rc = spec_normalise(
		    kind_get(KIND_TENANT), in, "", &spec, NULL, &p);
		again = problems_error(&p, &e);
		(void)oom_hit();
		ck_assert(rc == ERR_INVALID || rc == ERR_NOMEM);
		ck_assert(again == ERR_INVALID || again == 0);
		ck_assert_ptr_null(spec);
		problems_release(&p);
	}
	json_decref(in);
}
END_TEST

START_TEST(test_diff)
{
	json_t *a = json_loads(specs[2].spec, 0, NULL);
	json_t *b = json_loads("{\"dialect\":\"openai\",\"base_url\":\"x\","
			       "\"headers\":{\"X-B\":\"c\"}}",
	    0, NULL);

	EACH_OOM
	{
		json_t *d = config_diff(kind_get(KIND_PROVIDER), a, b);

		if (oom_hit())
			ck_assert_ptr_null(d);
		else
			ck_assert_uint_eq(json_array_size(d), 3);
		json_decref(d);
	}
	EACH_OOM
	{
		json_t *m = config_merge_patch(a, b);

		if (oom_hit())
			ck_assert_ptr_null(m);
		else
			ck_assert_uint_eq(json_object_size(m), 4);
		json_decref(m);
	}
	EACH_OOM
	{
		json_t *s = spec_public(kind_get(KIND_PROVIDER), a);

		if (oom_hit())
			ck_assert_ptr_null(s);
		else
			ck_assert_uint_eq(json_object_size(s), 3);
		json_decref(s);
	}
	json_decref(a);
	json_decref(b);
}
END_TEST

START_TEST(test_world)
{
	json_t *spec = json_loads("{\"routes\":[\"r\"]}", 0, NULL);

	EACH_OOM
	{
		struct world w;
		struct problems p;
		struct error e = {.code = 0};
		int rc = world_init(&w, NULL);

		problems_init(&p);
		if (rc == 0)
			rc = world_put(&w, KIND_ROUTE, STR("r"), spec);
		if (rc == 0)
			rc = world_put(&w, KIND_TENANT, STR("a"), spec);
		if (rc == 0)
			rc = world_check(&w, kind_get(KIND_TEAM), STR("a.b"),
			    spec, "", "/name", &p, &e);
		if (oom_hit())
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_int_eq(rc, 0);
		problems_release(&p);
		world_release(&w);
	}
	json_decref(spec);
}
END_TEST

/* An answer is whole or an error. */
START_TEST(test_answers)
{
	EACH_OOM
	{
		struct http_response res = {.status = 0};
		struct rest_call c = {.res = &res};
		int rc;

		buf_init(&res.body, 1 << 20);
		rc = rest_json(&c, 200, json_pack("{s:s}", "a", "b"));
		if (oom_hit())
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_slice_eq(
			    buf_str(&res.body), "{\"a\":\"b\"}\n");
		buf_release(&res.body);
	}
	EACH_OOM
	{
		struct buf b;
		int rc;

		buf_init(&b, 1 << 20);
		rc = routes_render(&b);
		if (oom_hit())
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_int_eq(rc, 0);
		buf_release(&b);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("config_oom");

	json_set_alloc_funcs(counted_malloc, counted_free);
	UNIT_ADD(s, test_normalise);
	UNIT_ADD(s, test_refusals);
	UNIT_ADD(s, test_diff);
	UNIT_ADD(s, test_world);
	UNIT_ADD(s, test_answers);
	return unit_run(s);
}
