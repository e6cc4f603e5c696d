/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of requests: what is let in, that nothing else is. */
#include "common/tags.h"

#include <string.h>

#include "common/rng.h"
#include "tests/unit/support/unit.h"

START_TEST(test_field)
{
	struct tags t;
	struct str v;
	char big[TAGS_FIELD_MAX + 2];

	tags_clear(&t);
	ck_assert_ptr_null(
	    tags_read(&t, STR("a=b, feature = search x ,c=d=e")));
	ck_assert_uint_eq(t.n, 3);
	ck_assert(tags_get(&t, STR("a"), &v) && str_eqz(v, "b"));
	ck_assert(tags_get(&t, STR("feature"), &v) && str_eqz(v, "search x"));
	ck_assert(tags_get(&t, STR("c"), &v) && str_eqz(v, "d=e"));
	ck_assert(!tags_get(&t, STR("user"), &v));
	tags_clear(&t);
	ck_assert_ptr_null(tags_read(&t, STR("")));
	ck_assert_ptr_null(tags_read(&t, STR("  ")));
	ck_assert_uint_eq(t.n, 0);
	memset(big, 'a', sizeof(big));
	ck_assert_ptr_nonnull(tags_read(&t, str_make(big, sizeof(big))));
}
END_TEST

START_TEST(test_refused)
{
	static const char *const bad[] = {"a", "a=", "=b", "A=b", "a=b,a=c",
	    "user=x", "a=b,", ",a=b", "a b=c", "a=\x01", "a=\x7f", "a=\xff",
	    "a=\xc2\x85", "-a=b", "a=b,,c=d",
	    "a=b,b=b,c=b,d=b,e=b,f=b,g=b,h=b,i=b",
	    "123456789012345678901234567890123=x",
	    "a="
	    "1234567890123456789012345678901234567890123456789012345678901234"
	    "5"};
	struct tags t;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		tags_clear(&t);
		ck_assert_msg(
		    tags_read(&t, str_of(bad[i])) != NULL, "%s", bad[i]);
	}
}
END_TEST

/* A user that is not let in as it stands is still one and the same. */
START_TEST(test_user)
{
	struct tags t, u;
	struct str a, b;
	char big[3000];

	memset(big, 'u', sizeof(big));
	tags_clear(&t);
	tags_add_user(&t, STR("alice \xc3\xa4"));
	ck_assert(tags_get(&t, STR(TAGS_USER), &a));
	ck_assert(str_eqz(a, "alice \xc3\xa4"));
	tags_add_user(&t, STR("bob"));
	ck_assert(tags_get(&t, STR(TAGS_USER), &a));
	ck_assert(str_eqz(a, "alice \xc3\xa4"));
	tags_clear(&t);
	tags_clear(&u);
	tags_add_user(&t, str_make(big, sizeof(big)));
	tags_add_user(&u, str_make(big, sizeof(big) - 1));
	ck_assert(tags_get(&t, STR(TAGS_USER), &a));
	ck_assert(tags_get(&u, STR(TAGS_USER), &b));
	ck_assert(str_starts(a, STR("sha256:")) && a.len == 71);
	ck_assert(!str_eq(a, b));
	tags_clear(&u);
	tags_add_user(&u, STR("a\nb"));
	ck_assert(tags_get(&u, STR(TAGS_USER), &b));
	ck_assert(str_starts(b, STR("sha256:")));
	tags_clear(&u);
	tags_add_user(&u, STR(""));
	ck_assert_uint_eq(u.n, 0);
}
END_TEST

/* The longest field and the longest user have room together. */
START_TEST(test_room)
{
	char field[TAGS_FIELD_MAX + 1], user[TAGS_USER_MAX];
	size_t n = 0;
	struct tags t, again;

	for (int i = 0; i < 3; i++) {
		field[n++] = (char)('a' + i);
		memset(field + n, 'n', 31);
		n += 31;
		field[n++] = '=';
		memset(field + n, 'v', i == 2 ? 27 : 64);
		n += i == 2 ? 27 : 64;
		if (i < 2)
			field[n++] = ',';
	}
	ck_assert_uint_eq(n, TAGS_FIELD_MAX);
	memset(user, 'u', sizeof(user));
	tags_clear(&t);
	ck_assert_ptr_null(tags_read(&t, str_make(field, n)));
	tags_add_user(&t, str_make(user, sizeof(user)));
	ck_assert_uint_eq(t.n, 4);
	ck_assert_int_eq(tags_decode(&again, str_make(t.bytes, t.len)), 0);
	ck_assert_uint_eq(again.n, 4);
	ck_assert_mem_eq(again.bytes, t.bytes, t.len);
	for (size_t i = 1; i < t.len; i++) { /* cut off */
		struct str part = str_make(t.bytes, i);
		int rc = tags_decode(&again, part);

		ck_assert(rc == 0 || rc == ERR_CORRUPT);
		ck_assert(rc != 0 || again.len == i);
	}
}
END_TEST

START_TEST(test_have)
{
	struct tags t, w;

	tags_clear(&t);
	tags_clear(&w);
	ck_assert(tags_have(&t, &w)); /* nothing is wanted */
	ck_assert_ptr_null(tags_read(&w, STR("a=1,b=2")));
	ck_assert(!tags_have(&t, &w));
	ck_assert_ptr_null(tags_read(&t, STR("b=2,c=3")));
	ck_assert(!tags_have(&t, &w));
	ck_assert_ptr_null(tags_read(&t, STR("a=1")));
	ck_assert(tags_have(&t, &w));
	tags_clear(&t);
	ck_assert_ptr_null(tags_read(&t, STR("b=2,a=11")));
	ck_assert(!tags_have(&t, &w));
}
END_TEST

/* Any bytes: refused, or they come out as they went in. */
START_TEST(test_decode_hostile)
{
	struct rng_seeded seeded;
	char b[64];
	struct tags t;

	rng_seeded_init(&seeded, 7);
	for (int i = 0; i < 200000; i++) {
		size_t n = (size_t)(rng_u64(&seeded.rng) % sizeof(b));

		for (size_t k = 0; k < n; k++)
			b[k] = (char)(rng_u64(&seeded.rng) % 4 == 0
					  ? rng_u64(&seeded.rng) % 8
					  : 'a' + rng_u64(&seeded.rng) % 3);
		if (tags_decode(&t, str_make(b, n)) == 0) {
			ck_assert_uint_eq(t.len, n);
			ck_assert_mem_eq(t.bytes, b, n);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/tags");

	UNIT_ADD(s, test_field);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_user);
	UNIT_ADD(s, test_room);
	UNIT_ADD(s, test_have);
	UNIT_ADD(s, test_decode_hostile);
	return unit_run(s);
}
