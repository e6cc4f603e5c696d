/* SPDX-License-Identifier: Apache-2.0 */
/* proto/bundle and proto/join: hashes, signatures, sealing, token text. */
#include "proto/bundle.h"
#include "proto/headgate.pb-c.h"
#include "proto/join.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static uint8_t pk[SIGN_PUBLIC_LEN], sk[SIGN_SECRET_LEN];
static struct error e;

START_TEST(test_state_hash)
{
	uint8_t h[STATE_HASH_LEN], one[STATE_HASH_LEN], want[STATE_HASH_LEN],
	    bytes[2 * (12 + STATE_HASH_LEN)];
	struct state_hasher s;
	char hex[65];

	state_hash_init(&s);
	state_hash_final(&s, h);
	hex_encode(h, sizeof(h), hex);
	ck_assert_str_eq(hex, "0e5751c026e543b2e8ab2eb06099daa1"
			      "d1e5df47778f7787faab45cdf12fe3a8");
	item_hash(STR("abc"), one);
	state_hash_init(&s);
	state_hash_add(&s, 4, 7, one);
	state_hash_add(&s, 5, 2, h);
	memset(bytes, 0, sizeof(bytes));
	bytes[0] = 4;
	bytes[4] = 7;
	memcpy(bytes + 12, one, 32);
	bytes[44] = 5;
	bytes[48] = 2;
	memcpy(bytes + 56, h, 32);
	state_hash_final(&s, h);
	crypto_generichash(want, 32, bytes, sizeof(bytes), NULL, 0);
	ck_assert_mem_eq(h, want, 32);
}
END_TEST

/* What an older agent would take for something else. */
START_TEST(test_schema_minor)
{
	Hg__Item m = HG__ITEM__INIT;
	Hg__Model model = HG__MODEL__INIT;
	Hg__Budget budget = HG__BUDGET__INIT;
	Hg__PriceLine line[2] = {HG__PRICE_LINE__INIT, HG__PRICE_LINE__INIT};
	Hg__PriceLine *lines[] = {&line[0], &line[1]};
	Hg__Label tag = HG__LABEL__INIT, *tags[] = {&tag};
	char flex[] = "flex", *none = line[1].tier;
	uint64_t *const only[] = {
	    &budget.model_uid, &budget.provider_uid, &budget.route_uid};

	ck_assert_uint_eq(item_schema_minor(&m), 0);
	m.model = &model;
	model.n_prices = 2;
	model.prices = lines;
	ck_assert_uint_eq(item_schema_minor(&m), 0);
	line[1].tier = flex;
	ck_assert_uint_eq(item_schema_minor(&m), 1);
	line[1].tier = none;
	line[1].above_tokens = 200000;
	ck_assert_uint_eq(item_schema_minor(&m), 1);
	m.model = NULL;
	m.budget = &budget;
	budget.mode = HG__BUDGET_MODE__BUDGET_BOUNDED; /* hard for all */
	ck_assert_uint_eq(item_schema_minor(&m), 0);
	for (size_t i = 0; i < 3; i++) {
		*only[i] = 7;
		ck_assert_uint_eq(item_schema_minor(&m), 1);
		*only[i] = 0;
	}
	budget.n_tags = 1;
	budget.tags = tags;
	ck_assert_uint_eq(item_schema_minor(&m), 1);
	ck_assert_uint_le(1, PROTO_SCHEMA_MINOR);
}
END_TEST

START_TEST(test_sign)
{
	struct str inner;
	struct buf b;
	size_t i;

	buf_init(&b, BUNDLE_MAX);
	ck_assert_int_eq(bundle_sign(STR("some bundle"), sk, &b), 0);
	ck_assert_int_eq(bundle_verify(buf_str(&b), pk, &inner, &e), 0);
	ck_assert_slice_eq(inner, "some bundle");
	for (i = 0; i < b.len * 8; i++) {
		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << i % 8));
		ck_assert_int_ne(bundle_verify(buf_str(&b), pk, &inner, &e), 0);
		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << i % 8));
	}
	buf_clear(&b);
	/* an envelope signature is no bundle signature: other label */
	ck_assert_int_eq(bundle_sign(STR(""), sk, &b), 0);
	ck_assert_int_eq(bundle_verify(buf_str(&b), pk, &inner, &e), 0);
	ck_assert_uint_eq(inner.len, 0);
	buf_release(&b);
}
END_TEST

START_TEST(test_seal)
{
	uint8_t key[GROUP_KEY_LEN] = {1}, other[GROUP_KEY_LEN] = {2};
	Hg__SealedDelta *m;
	struct rng_seeded rng;
	struct buf b, out;
	struct arena a;
	size_t i;

	rng_seeded_init(&rng, 1);
	buf_init(&b, 1 << 20);
	buf_init(&out, 1 << 20);
	arena_init(&a, 1024, 65536);
	ck_assert_int_eq(
	    delta_seal("eu", 3, key, &rng.rng, STR("signed"), &b), 0);
	ck_assert_int_eq(delta_open(buf_str(&b), "eu", key, &out, &e), 0);
	ck_assert_slice_eq(buf_str(&out), "signed");
	m = proto_unpack(&hg__sealed_delta__descriptor, buf_str(&b), &a);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->key_id, 3);
	ck_assert_int_eq(
	    delta_open(buf_str(&b), "us", key, &out, &e), ERR_SIGNATURE);
	ck_assert_int_eq(
	    delta_open(buf_str(&b), "eu", other, &out, &e), ERR_SIGNATURE);
	/* the last two bytes are key_id, which is only a hint */
	for (i = 0; i < b.len - 2; i++)
		ck_assert_int_ne(
		    delta_open(str_make(b.data, i), "eu", key, &out, &e), 0);
	arena_release(&a);
	buf_release(&b);
	buf_release(&out);
}
END_TEST

static struct join_token
token(void)
{
	static char a0[] = "tls+tcp://a:7401", a1[] = "tls+tcp://b:7401",
		    p0[] = "tls+tcp://a:7402", name[] = "control",
		    ca[] = "-----BEGIN\n", id[] = "id-1", group[] = "eu",
		    region[] = "eu-west-1";
	struct join_token t = {.n_addresses = 2,
	    .n_publish = 1,
	    .addresses = {a0, a1},
	    .publish = {p0},
	    .server_name = name,
	    .ca_pem = ca,
	    .token_id = id,
	    .group = group,
	    .region = region};

	memset(t.control_key, 7, sizeof(t.control_key));
	memset(t.secret, 9, sizeof(t.secret));
	return t;
}

START_TEST(test_join)
{
	struct join_token t = token(), r;
	struct buf b;
	char *text;
	size_t i;

	buf_init(&b, JOIN_TEXT_MAX);
	buf_addz(&b, " \n");
	ck_assert_int_eq(join_token_format(&t, &b), 0);
	buf_addz(&b, "\r\n");
	ck_assert_int_eq(join_token_parse(buf_str(&b), &r, &e), 0);
	ck_assert_uint_eq(r.n_addresses, 2);
	ck_assert_str_eq(r.addresses[1], "tls+tcp://b:7401");
	ck_assert_uint_eq(r.n_publish, 1);
	ck_assert_str_eq(r.publish[0], "tls+tcp://a:7402");
	ck_assert_str_eq(r.server_name, "control");
	ck_assert_str_eq(r.ca_pem, t.ca_pem);
	ck_assert_str_eq(r.token_id, "id-1");
	ck_assert_str_eq(r.group, "eu");
	ck_assert_str_eq(r.region, "eu-west-1");
	ck_assert_mem_eq(r.secret, t.secret, 32);
	ck_assert_mem_eq(r.control_key, t.control_key, 32);
	join_token_release(&r);
	text = b.data;
	for (i = 0; i + 3 < b.len; i++)
		if (join_token_parse(str_make(text, i), &r, &e) == 0)
			join_token_release(&r); /* only trailing fields cut */
	ck_assert_int_eq(join_token_parse(STR("hgj1."), &r, &e), ERR_INVALID);
	ck_assert_int_eq(join_token_parse(STR("hgj1.!!"), &r, &e), ERR_INVALID);
	ck_assert_int_eq(join_token_parse(STR("hgj2.AA"), &r, &e), ERR_INVALID);
	ck_assert_int_eq(join_token_parse(STR(""), &r, &e), ERR_INVALID);
	buf_release(&b);
}
END_TEST

START_TEST(test_oom)
{
	uint8_t key[GROUP_KEY_LEN] = {1};
	struct join_token t = token(), r;
	struct rng_seeded rng;
	struct str inner;
	struct buf b, c;
	int rc;

	rng_seeded_init(&rng, 1);
	EACH_OOM
	{
		buf_init(&b, 1 << 20);
		buf_init(&c, 1 << 20);
		rc = bundle_sign(STR("x"), sk, &b);
		if (rc == 0)
			rc = bundle_verify(buf_str(&b), pk, &inner, &e);
		if (rc == 0)
			rc = delta_seal("g", 0, key, &rng.rng, inner, &c);
		buf_clear(&b);
		if (rc == 0)
			rc = delta_open(buf_str(&c), "g", key, &b, &e);
		buf_clear(&b);
		if (rc == 0)
			rc = join_token_format(&t, &b);
		if (rc == 0) {
			rc = join_token_parse(buf_str(&b), &r, &e);
			if (rc == 0)
				join_token_release(&r);
		}
		if (oom_hit())
			ck_assert_int_ne(rc, 0);
		else
			ck_assert_int_eq(rc, 0);
		buf_release(&b);
		buf_release(&c);
	}
	ck_assert_uint_ge(oom_failures(), 8);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/bundle");

	sign_keypair(pk, sk);
	UNIT_ADD(s, test_state_hash);
	UNIT_ADD(s, test_schema_minor);
	UNIT_ADD(s, test_sign);
	UNIT_ADD(s, test_seal);
	UNIT_ADD(s, test_join);
	UNIT_ADD(s, test_oom);
	return unit_run(s);
}
