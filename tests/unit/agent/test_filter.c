/* SPDX-License-Identifier: Apache-2.0 */
/* agent/config: which budgets of a key count a request. */
#include "agent/config/compile.h"
#include "common/tags.h"
#include "tests/unit/agent/config_kit.h"
#include "tests/unit/support/unit.h"

/* A budget for one model only, on a key that has another one. */
START_TEST(test_filters)
{
	struct b_filter what = {.route_uid = W_ROUTE,
	    .provider_uid = W_PROVIDER,
	    .model_uid = W_MODEL};
	struct budget_cell *path[BUNDLE_MAX_BUDGETS];
	struct tags tags = {.len = 0};
	const struct b_key *k;
	uint8_t digest[32];
	struct bench x;
	struct world w;
	Hg__Item *b;

	world_init(&w);
	bench_init(&x);
	b = world_find(&w, KIND(BUDGET), W_BUDGET);
	b->budget->model_uid = W_MODEL;
	ck_assert_msg(bench_compile(&x, &w) == 0, "%s", x.e.text);
	world_digest(W_KEY, digest);
	k = bundle_find_key(x.b, digest);
	ck_assert_uint_eq(lease_path(k, &what, path), 2);
	what.model_uid++;
	ck_assert_uint_eq(lease_path(k, &what, path), 1);
	ck_assert_ptr_eq(path[0], k->budgets[1]);
	b->budget->model_uid = 0;
	b->budget->provider_uid = W_PROVIDER;
	b->budget->route_uid = W_ROUTE2;
	ck_assert_msg(bench_compile(&x, &w) == 0, "%s", x.e.text);
	k = bundle_find_key(x.b, digest);
	ck_assert_uint_eq(lease_path(k, &what, path), 1);
	what.route_uid = W_ROUTE2; /* the tenant's, no filter now */
	ck_assert_uint_eq(lease_path(k, &what, path), 2);
	b->budget->provider_uid = b->budget->route_uid = 0;
	world_tag(&w, b, "user", "alice");
	world_tag(&w, b, "feature", "search");
	ck_assert_msg(bench_compile(&x, &w) == 0, "%s", x.e.text);
	k = bundle_find_key(x.b, digest);
	ck_assert_uint_eq(lease_path(k, &what, path), 1);
	ck_assert_ptr_null(tags_read(&tags, STR("feature=search,a=b")));
	what.tags = &tags;
	ck_assert_uint_eq(lease_path(k, &what, path), 1);
	tags_add_user(&tags, STR("alice"));
	ck_assert_uint_eq(lease_path(k, &what, path), 2);
	tags_clear(&tags);
	tags_add_user(&tags, STR("alice"));
	ck_assert_uint_eq(lease_path(k, &what, path), 1);
	bench_release(&x);
	world_release(&w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/filter");

	UNIT_ADD(s, test_filters);
	return unit_run(s);
}
