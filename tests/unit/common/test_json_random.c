/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/json against jansson: random documents, which both must accept and
 * read alike, and the same documents damaged a little, on which both must
 * give the same verdict.
 */
#include "common/rng.h"
#include "tests/fuzz/json_oracle.h"
#include "tests/unit/support/unit.h"

static struct rng_seeded rng;

static uint64_t
below(uint64_t n)
{
	return rng_below(&rng.rng, n);
}

static void
add_space(struct buf *b)
{
	while (below(6) == 0)
		(void)buf_addc(b, " \t\r\n"[below(4)]);
}

static void
add_string(struct buf *b)
{
	static const char *const parts[] = {"a", "model", "\\u0061", "\\n",
	    "\\\"", "\\\\", "\\/", "\xc3\xa9", "\xe6\xbc\xa2",
	    "\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\\u00e9", "{", "]", ",", ":",
	    "0123456789abcdef", " "};
	uint64_t n = below(5) ? below(4) : below(30);

	(void)buf_addc(b, '"');
	while (n-- > 0)
		(void)buf_addz(
		    b, parts[below(sizeof(parts) / sizeof(parts[0]))]);
	(void)buf_addc(b, '"');
}

static void
add_number(struct buf *b)
{
	switch (below(4)) {
	case 0:
		(void)buf_add_i64(b, (int64_t)(rng_u64(&rng.rng) >> below(64)));
		break;
	case 1:
		(void)buf_add_i64(b, -(int64_t)below(1000));
		break;
	case 2:
		(void)buf_addf(b, "%d.%03d", (int)below(100), (int)below(1000));
		break;
	default:
		(void)buf_addf(b, "-%de%s%d", (int)below(100),
		    below(2) ? "-" : "+", (int)below(100));
		break;
	}
}

static void
add_value(struct buf *b, int depth)
{
	static const char *const words[] = {"null", "true", "false"};
	uint64_t kind = below(depth > 0 ? 7 : 4);
	uint64_t n = below(8) ? below(4) : below(40);
	uint64_t i;

	add_space(b);
	if (kind == 0) {
		(void)buf_addz(b, words[below(3)]);
	} else if (kind == 1) {
		add_number(b);
	} else if (kind < 4) {
		add_string(b);
	} else {
		(void)buf_addc(b, kind == 4 ? '[' : '{');
		add_space(b);
		for (i = 0; i < n; i++) {
			if (i > 0)
				(void)buf_addc(b, ',');
			add_space(b);
			if (kind != 4) {
				/* Mostly different, sometimes not. */
				if (below(20) == 0)
					add_string(b);
				else
					(void)buf_addf(b, "\"k%d\"", (int)i);
				add_space(b);
				(void)buf_addc(b, ':');
			}
			add_value(b, depth - 1);
		}
		(void)buf_addc(b, kind == 4 ? ']' : '}');
	}
	add_space(b);
}

/* Change, drop, repeat or cut something. */
static void
damage(struct buf *b)
{
	static const char pick[] = "\"\\{}[],:01eE+-.u \n\x00\x1f\x80\xc3\xed";
	size_t at = below(b->len);
	size_t n;

	switch (below(5)) {
	case 0:
		b->data[at] = pick[below(sizeof(pick) - 1)];
		break;
	case 1:
		b->data[at] = (char)below(256);
		break;
	case 2:
		memmove(b->data + at, b->data + at + 1, b->len - at - 1);
		b->len--;
		break;
	case 3:
		b->len = at;
		break;
	default:
		n = below(8) < b->len - at ? below(b->len - at) % 8 : 0;
		if (at + 2 * n <= b->len)
			memmove(b->data + at + n, b->data + at, n);
		break;
	}
}

/* A copy of the exact size lets a sanitizer see any read beyond the end. */
static bool
check(const struct buf *b)
{
	char *copy = malloc(b->len + 1);
	bool ok;

	ck_assert_ptr_nonnull(copy);
	if (b->len > 0)
		memcpy(copy + 1, b->data, b->len);
	ok = oracle_check(str_make(copy + 1, b->len));
	free(copy);
	return ok;
}

START_TEST(test_random_documents)
{
	int n, accepted = 0, damaged = 0;
	struct buf b;

	rng_seeded_init(&rng, (uint64_t)_i);
	buf_init(&b, 1 << 24);
	for (n = 0; n < 4000; n++) {
		int k;

		buf_clear(&b);
		add_value(&b, 5);
		ck_assert_int_eq(buf_error(&b), 0);
		accepted += check(&b);
		for (k = 0; k < 4 && b.len > 0; k++) {
			damage(&b);
			damaged += check(&b);
		}
	}
	buf_release(&b);
	/* The generator reaches both verdicts. */
	ck_assert_int_gt(accepted, 3000);
	ck_assert_int_gt(damaged, 1000);
	ck_assert_int_lt(damaged, 15000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/json_random");
	TCase *t = tcase_create("random_documents");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, test_random_documents, 1, 5);
	suite_add_tcase(s, t);
	return unit_run(s);
}
