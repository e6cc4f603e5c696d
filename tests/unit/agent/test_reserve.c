/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is reserved covers what an answer can cost, whatever tier and size it
 * turns out to be; and no more than what was asked for can cost.
 */
#include "agent/dialect/ir.h"
#include "agent/front/reserve.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct price_line lines[] = {
    {TC_INPUT, 3000000000, 0, INT64_MAX, STR(""), 0},
    {TC_INPUT, 6000000000, 0, INT64_MAX, STR(""), 200000},
    {TC_CACHE_READ, 300000000, 0, INT64_MAX, STR(""), 0},
    {TC_CACHE_WRITE_1H, 6000000000, 0, INT64_MAX, STR(""), 0},
    {TC_CACHE_WRITE_1H, 12000000000, 0, INT64_MAX, STR(""), 200000},
    {TC_OUTPUT, 15000000000, 0, INT64_MAX, STR(""), 0},
    {TC_OUTPUT, 22500000000, 0, INT64_MAX, STR(""), 200000},
    {TC_INPUT, 4000000000, 0, INT64_MAX, STR("priority"), 0},
    {TC_OUTPUT, 20000000000, 0, INT64_MAX, STR("priority"), 0},
    {TC_INPUT, 1500000000, 0, INT64_MAX, STR("flex"), 0},
    {TC_OUTPUT, 7500000000, 0, INT64_MAX, STR("flex"), 0},
    {TC_INPUT, 30000000000, 0, INT64_MAX, STR("fast"), 0},
    {TC_OUTPUT, 150000000000, 0, INT64_MAX, STR("fast"), 0},
    {TC_WEB_SEARCH, 10000000000000, 0, INT64_MAX, STR(""), 0},
};

static const struct b_model model = {
    .n_prices = N(lines), .prices = lines, .can_chat = true};

/* A body and the tiers of answers to it. */
static const struct {
	const char *body, *answers[6];
} asks[] = {
    {"{}", {"", "priority", "default", "provisioned"}},
    {"{\"service_tier\":\"auto\"}", {"", "priority"}},
    {"{\"service_tier\":\"flex\"}", {"", "flex", "priority"}},
    {"{\"service_tier\":\"priority\"}", {"", "priority"}},
    {"{\"serviceTier\":\"FLEX\"}", {"", "flex"}},
    {"{\"speed\":\"fast\"}", {"", "fast", "fast+us", "priority"}},
};

static int64_t
reserved(const char *body, const struct scan *q, const struct tokens *worst)
{
	struct json root = {NULL, NULL, JSON_NULL};
	struct price p;
	int64_t amount;

	if (body != NULL)
		root = json_root(str_of(body));
	ck_assert(reserve_price(&model, 1, q, root, worst, &p));
	ck_assert(reserve_amount(worst, &p, &amount));
	return amount;
}

static int64_t
part(struct rng_seeded *g, int64_t *rest)
{
	int64_t n = (int64_t)rng_below(&g->rng, (uint64_t)*rest + 1);

	*rest -= n;
	return n;
}

/* Some answer within the worst case. */
static int64_t
real(struct rng_seeded *g, const struct tokens *worst, const char *tier)
{
	struct tokens t = {0};
	struct price p;
	int64_t in = worst->n[TC_INPUT], out = worst->n[TC_OUTPUT], cost;

	t.n[TC_CACHE_WRITE_1H] = part(g, &in);
	t.n[TC_CACHE_READ] = part(g, &in);
	t.n[TC_AUDIO_IN] = part(g, &in);
	t.n[TC_INPUT] = rng_below(&g->rng, 2) != 0 ? in : part(g, &in);
	t.n[TC_REASONING] = part(g, &out);
	t.n[TC_OUTPUT] = rng_below(&g->rng, 2) != 0 ? out : part(g, &out);
	t.n[TC_WEB_SEARCH] = worst->n[TC_WEB_SEARCH];
	ck_assert(
	    b_model_price_for(&model, 1, str_of(tier), tokens_input(&t), &p));
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	return cost;
}

START_TEST(test_covers)
{
	static const int64_t sizes[] = {
	    0, 1, 1000, 199999, 200000, 200001, 1000000};
	struct rng_seeded g;
	struct scan q = {0};
	int i;

	rng_seeded_init(&g, 11);
	for (size_t a = 0; a < N(asks); a++) {
		for (size_t s = 0; s < N(sizes); s++) {
			struct tokens w = {0};
			int64_t most;

			w.n[TC_INPUT] = sizes[s];
			w.n[TC_OUTPUT] = (int64_t)rng_below(&g.rng, 100000);
			w.n[TC_WEB_SEARCH] = (int64_t)rng_below(&g.rng, 3);
			most = reserved(asks[a].body, &q, &w);
			ck_assert_int_le(most, reserved(NULL, &q, &w));
			for (i = 0; i < 4000; i++) {
				const char *tier =
				    asks[a].answers[rng_below(&g.rng, 6)];

				if (tier != NULL)
					ck_assert_int_le(
					    real(&g, &w, tier), most);
			}
		}
	}
}
END_TEST

/* What is not asked for is not reserved for. */
START_TEST(test_no_more)
{
	struct scan q = {0};
	struct tokens w = {0};

	w.n[TC_INPUT] = 1000;
	ck_assert_int_eq(reserved("{}", &q, &w), 6000000);
	ck_assert_int_eq(reserved("{\"speed\":\"fast\"}", &q, &w), 30000000);
	ck_assert_int_eq(reserved(NULL, &q, &w), 30000000); /* a form */
	q.n_media = 1; /* may make the input large */
	ck_assert_int_eq(reserved("{}", &q, &w), 12000000);
	q.n_media = 0;
	w.n[TC_INPUT] = 0;
	w.n[TC_OUTPUT] = 1000;
	ck_assert_int_eq(reserved("{}", &q, &w), 20000000);
}
END_TEST

START_TEST(test_fit)
{
	struct rng_seeded g;
	struct scan q = {0};
	struct price p;
	int64_t amount, n;
	int i;

	rng_seeded_init(&g, 12);
	for (i = 0; i < 100000; i++) {
		struct tokens w = {0};
		int64_t have = (int64_t)rng_below(&g.rng, 3000000000);

		w.n[TC_INPUT] = (int64_t)rng_below(&g.rng, 300000);
		w.n[TC_WEB_SEARCH] = (int64_t)rng_below(&g.rng, 3);
		ck_assert(
		    reserve_price(&model, 1, &q, json_root(STR("{}")), &w, &p));
		n = reserve_fit(&w, &p, have);
		w.n[TC_OUTPUT] = n < 0 ? 0 : n;
		ck_assert(reserve_amount(&w, &p, &amount));
		ck_assert_int_eq(amount <= have, n >= 0);
		w.n[TC_OUTPUT]++;
		ck_assert(reserve_amount(&w, &p, &amount));
		ck_assert_int_gt(amount, have);
	}
}
END_TEST

/* Amounts beyond what can be counted are no amounts. */
START_TEST(test_huge)
{
	struct tokens w = {0};
	struct price p;
	int64_t amount;

	for (int c = 0; c < TC_COUNT; c++)
		p.per_mtok[c] = INT64_MAX / 2;
	w.n[TC_INPUT] = INT64_C(1) << 40;
	ck_assert(!reserve_amount(&w, &p, &amount));
	ck_assert_int_eq(reserve_fit(&w, &p, INT64_MAX), -1);
	for (int c = 0; c < TC_COUNT; c++)
		p.per_mtok[c] = 0;
	ck_assert(reserve_amount(&w, &p, &amount));
	ck_assert_int_eq(amount, 0);
	ck_assert(reserve_fit(&w, &p, 0) == INT64_MAX);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("reserve");

	UNIT_ADD(s, test_covers);
	UNIT_ADD(s, test_no_more);
	UNIT_ADD(s, test_fit);
	UNIT_ADD(s, test_huge);
	return unit_run(s);
}
