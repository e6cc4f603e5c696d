/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open intents of a shard, and the watermarks on disk: an intent that is
 * lost is a request that a crash makes free, one that stays is billed twice; a
 * watermark that is too high loses usage, one that is lost only repeats it.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/journal/acks.h"
#include "agent/journal/crc32c.h"
#include "agent/journal/intents.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct kit k;

static int
add(struct intent_set *s, unsigned n, int64_t reserved)
{
	uint8_t record[RECORD_INTENT_MAX];
	struct journal_intent i;

	kit_intent_of(&i, n);
	i.reserved = reserved;
	return intents_add(s, record, record_encode_intent(record, &i));
}

/* Where the id of request n stands, with nothing of the record around it. */
static const uint8_t *
id_of(unsigned n)
{
	static uint8_t b[64];
	struct journal_intent i;

	memset(b, 0x5a, sizeof(b));
	kit_intent_of(&i, n);
	memcpy(b + 20, i.request_id, 16);
	put_u32(b + 36, i.attempt);
	return b + 20;
}

/* What the slot says, whole. */
static void
content(const struct intent_slot *slot, struct journal_intent *ret)
{
	ck_assert_ptr_nonnull(slot);
	ck_assert_int_eq(
	    record_decode_intent(
		str_make((const char *)slot->record + RECORD_HEADER,
		    (size_t)slot->len - RECORD_HEADER),
		ret),
	    0);
}

/* Every open intent is in exactly one chain, its own, and chains are short. */
static void
check_set(const struct intent_set *s)
{
	uint32_t n = 0, at = 0, seen = 0;

	ck_assert_uint_le(s->n_slots, s->cap);
	for (uint32_t h = 0; h < s->n_heads; h++) {
		unsigned chain = 0;

		for (at = s->heads[h]; at != 0; at = s->slots[at - 1].next) {
			const struct intent_slot *slot = &s->slots[at - 1];

			ck_assert_uint_le(at, s->n_slots);
			ck_assert_uint_gt(slot->len, 0);
			ck_assert_ptr_eq(
			    intents_find(s, slot->record + RECORD_HEADER),
			    slot);
			ck_assert_uint_le(++chain, 8);
			n++;
		}
	}
	ck_assert_uint_eq(n, s->count);
	at = 0;
	while (intents_next(s, &at) != NULL)
		seen++;
	ck_assert_uint_eq(seen, s->count);
	ck_assert_uint_le(at, s->n_slots);
}

/* Many requests at once; places of those that ended are used again. */
START_TEST(test_many)
{
	enum { MANY = 1000 };
	struct intent_set s;
	uint32_t cap;

	intents_init(&s);
	ck_assert(!intents_remove(&s, id_of(1)));
	ck_assert_ptr_null(intents_find(&s, id_of(1)));
	for (unsigned n = 0; n < MANY; n++) {
		s.turn = n / 10;
		ck_assert_int_eq(add(&s, n, 100 + n), 0);
		ck_assert_uint_eq(s.count, n + 1);
		if ((n & (n + 1)) == 0 || n == 64 || n == 100)
			check_set(&s);
		ck_assert_uint_eq(s.cap, n < 64	   ? 64
					 : n < 128 ? 128
					 : n < 256 ? 256
					 : n < 512 ? 512
						   : 1024);
	}
	check_set(&s);
	for (unsigned n = 0; n < MANY; n++)
		ck_assert_int_eq(
		    intents_reserved(intents_find(&s, id_of(n))), 100 + n);
	for (unsigned n = 0; n < MANY; n += 3) {
		ck_assert(intents_remove(&s, id_of(n)));
		ck_assert_uint_eq(s.removed_turn, n / 10);
		ck_assert(!intents_remove(&s, id_of(n)));
	}
	check_set(&s);
	for (unsigned n = 0; n < MANY; n++)
		ck_assert((intents_find(&s, id_of(n)) == NULL) == (n % 3 == 0));
	cap = s.n_slots;
	for (unsigned n = 0; n < MANY; n += 3)
		ck_assert_int_eq(add(&s, n + MANY, 7), 0);
	ck_assert_uint_eq(s.n_slots, cap);
	ck_assert_uint_eq(s.count, MANY);
	check_set(&s);
	intents_release(&s);
}
END_TEST

/* Ids that differ in their first bytes only share a chain and nothing else. */
START_TEST(test_one_chain)
{
	uint8_t record[RECORD_INTENT_MAX], id[RECORD_ID];
	struct journal_intent i;
	struct intent_set s;

	intents_init(&s);
	kit_intent_of(&i, 1);
	for (unsigned n = 0; n < 6; n++) {
		i.request_id[0] = (uint8_t)n;
		i.reserved = 10 + n;
		ck_assert_int_eq(
		    intents_add(&s, record, record_encode_intent(record, &i)),
		    0);
	}
	check_set(&s);
	memcpy(id, i.request_id, 16);
	put_u32(id + 16, i.attempt);
	for (unsigned round = 0; round < 6; round++) {
		/* from the middle, the ends, and the only one */
		static const uint8_t order[6] = {3, 5, 0, 1, 4, 2};

		id[0] = order[round];
		ck_assert_int_eq(
		    intents_reserved(intents_find(&s, id)), 10 + id[0]);
		ck_assert(intents_remove(&s, id));
		ck_assert_ptr_null(intents_find(&s, id));
		check_set(&s);
	}
	id[0] = 1;
	ck_assert_ptr_null(intents_find(&s, id));
	/* The attempts of one request are requests of their own. */
	for (i.attempt = 1; i.attempt <= 3; i.attempt++)
		ck_assert_int_eq(
		    intents_add(&s, record, record_encode_intent(record, &i)),
		    0);
	ck_assert_uint_eq(s.count, 3);
	check_set(&s);
	intents_release(&s);
}
END_TEST

/* Of two intents of one request the lower counts, wherever it comes. */
START_TEST(test_lower_one_counts)
{
	struct journal_intent i, got;
	struct intent_set s;

	intents_init(&s);
	ck_assert_int_eq(add(&s, 5, 100), 0);
	ck_assert_int_eq(add(&s, 5, 101), 0);
	ck_assert_int_eq(intents_reserved(intents_find(&s, id_of(5))), 100);
	ck_assert_int_eq(add(&s, 5, 99), 0);
	ck_assert_int_eq(intents_reserved(intents_find(&s, id_of(5))), 99);
	ck_assert_uint_eq(s.count, 1);
	kit_intent_of(&i, 5);
	i.reserved = 99;
	ck_assert(!intents_lower(&s, &i)); /* no less */
	i.reserved = 100;
	ck_assert(!intents_lower(&s, &i));
	i.reserved = 98;
	i.worst.n[TC_OUTPUT] = 3;
	i.tenant_uid = 77; /* an amount falls, nothing else */
	ck_assert(intents_lower(&s, &i));
	content(intents_find(&s, id_of(5)), &got);
	i.tenant_uid = 1;
	ck_assert_mem_eq(&got, &i, sizeof(i));
	kit_intent_of(&i, 6);
	i.reserved = 1;
	ck_assert(!intents_lower(&s, &i));
	i.attempt = 2;
	memcpy(i.request_id, id_of(5), 16);
	ck_assert(!intents_lower(&s, &i));
	check_set(&s);
	intents_release(&s);
}
END_TEST

/* Of records with one amount the first stays: what follows it by mistake does
 * not change the tokens of what is billed. */
START_TEST(test_first_of_equals)
{
	uint8_t record[RECORD_INTENT_MAX];
	struct journal_intent i, got;
	struct intent_set s;

	intents_init(&s);
	ck_assert_int_eq(add(&s, 5, 100), 0);
	kit_intent_of(&i, 5);
	i.reserved = 100;
	i.worst.n[TC_INPUT]++;
	ck_assert_int_eq(
	    intents_add(&s, record, record_encode_intent(record, &i)), 0);
	content(intents_find(&s, id_of(5)), &got);
	i.worst.n[TC_INPUT]--;
	ck_assert_mem_eq(&got, &i, sizeof(i));
	intents_release(&s);
}
END_TEST

/* A full table has room where one ended, and for who is there already. */
START_TEST(test_full_table)
{
	unsigned long before;
	struct intent_set s;
	int rc[2];

	intents_init(&s);
	for (unsigned n = 0; n < 64; n++)
		ck_assert_int_eq(add(&s, n, 100), 0);
	ck_assert(intents_remove(&s, id_of(10)));
	before = oom_allocations();
	rc[0] = add(&s, 64, 100);
	rc[1] = add(&s, 20, 50);
	ck_assert_uint_eq(oom_allocations(), before);
	ck_assert(rc[0] == 0 && rc[1] == 0);
	ck_assert_uint_eq(s.cap, 64);
	ck_assert_int_eq(intents_reserved(intents_find(&s, id_of(20))), 50);
	check_set(&s);
	for (unsigned n = 1; n <= 2; n++) { /* slots, chains */
		oom_arm(n, NULL);
		rc[0] = add(&s, 100, 100);
		ck_assert(oom_hit());
		ck_assert_int_eq(rc[0], ERR_NOMEM);
		ck_assert_ptr_null(intents_find(&s, id_of(100)));
		ck_assert_uint_eq(s.count, 64);
		check_set(&s);
	}
	ck_assert_int_eq(add(&s, 100, 100), 0);
	ck_assert_uint_eq(s.count, 65);
	ck_assert_uint_eq(s.cap, 128);
	check_set(&s);
	intents_release(&s);
}
END_TEST

/* Slot numbers are 32 bits: a larger table is refused, not wrapped. */
START_TEST(test_largest_table)
{
	struct intent_set s;
	uint32_t head = 0;

	intents_init(&s);
	s.heads = &head;
	s.n_heads = 1;
	s.n_slots = s.cap = UINT32_C(1) << 29;
	ck_assert_int_eq(add(&s, 1, 1), ERR_LIMIT);
	ck_assert_uint_eq(s.cap, UINT32_C(1) << 29);
}
END_TEST

/* ---- watermarks ---------------------------------------------------------- */

static struct acks *
load(void)
{
	struct acks *a = acks_load(&k.io.io, k.dir);

	ck_assert_ptr_nonnull(a);
	return a;
}

/* The file, with the checksum that belongs to the body, plus `more`. */
static void
write_acks(const char *body, uint32_t more)
{
	char path[PATH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/acks", k.dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	(void)fprintf(
	    f, "%scrc %u\n", body, crc32c(0, body, strlen(body)) + more);
	ck_assert_int_eq(fclose(f), 0);
}

/* Each stream has its own mark, which only rises; one that ended leaves the
 * others alone. */
START_TEST(test_marks)
{
	struct acks *a;

	kit_open(&k);
	a = load();
	for (uint32_t n = 0; n < 100; n++)
		acks_put(a, 1 + n / 10, n % 10, 1000 + n);
	for (int again = 0; again < 2; again++) {
		for (uint32_t n = 0; n < 100; n++)
			ck_assert_uint_eq(
			    acks_get(a, 1 + n / 10, n % 10), 1000 + n);
		ck_assert_uint_eq(acks_get(a, 11, 0), 0);
		ck_assert_uint_eq(acks_get(a, 1, 10), 0);
		ck_assert_int_eq(acks_save(a, &k.io.io, k.dir), 0);
		acks_free(a);
		a = load();
	}
	acks_put(a, 1, 1, 5);
	ck_assert_uint_eq(acks_get(a, 1, 1), 1001);
	acks_put(a, 1, 1, 1002);
	ck_assert_uint_eq(acks_get(a, 1, 1), 1002);
	acks_drop(a, 12, 0); /* not there */
	acks_drop(a, 1, 1);
	acks_drop(a, 10, 9); /* the last */
	ck_assert_uint_eq(acks_get(a, 1, 1), 0);
	ck_assert_uint_eq(acks_get(a, 10, 9), 0);
	for (uint32_t n = 0; n < 99; n++)
		if (n != 1)
			ck_assert_uint_eq(
			    acks_get(a, 1 + n / 10, n % 10), 1000 + n);
	acks_drop(a, 1, 0);
	ck_assert_uint_eq(acks_get(a, 1, 0), 0);
	acks_free(a);
	kit_close(&k);
}
END_TEST

/* A mark that is known rises without memory; a new one that finds none is only
 * forgotten. */
START_TEST(test_marks_without_memory)
{
	struct acks *a;
	bool hit;

	kit_open(&k);
	a = load();
	for (uint32_t n = 0; n < 16; n++) {
		acks_put(a, 1, n, 5);
		if (n == 0)
			oom_arm(1, NULL); /* the first made room for 16 */
	}
	acks_put(a, 1, 3, 6);
	hit = oom_hit();
	ck_assert(!hit);
	ck_assert_uint_eq(acks_get(a, 1, 3), 6);
	oom_arm(1, NULL);
	acks_put(a, 1, 16, 5);
	hit = oom_hit();
	ck_assert(hit);
	ck_assert_uint_eq(acks_get(a, 1, 16), 0);
	ck_assert_uint_eq(acks_get(a, 1, 15), 5);
	acks_put(a, 1, 16, 7);
	oom_arm(1, NULL); /* twice as many, not one more */
	acks_put(a, 1, 17, 8);
	hit = oom_hit();
	ck_assert(!hit);
	ck_assert_uint_eq(acks_get(a, 1, 16), 7);
	ck_assert_uint_eq(acks_get(a, 1, 17), 8);
	acks_free(a);
	kit_close(&k);
}
END_TEST

/* A damaged file is no file: a mark that nobody gave would lose usage. */
START_TEST(test_marks_damaged)
{
	static const char *const good[] = {
	    "", "1 0 7\n", "1 0 7\n1 1 8\n", "9 4294967295 7\n1 0 7\n"};
	static const char *const bad[] = {"1 0 7\n\n", "1 0\n", "1\n", "\n",
	    "1 0 7\nx 0 7\n", "1 0 7\n1 x 7\n", "1 0 7\n1 1 x\n",
	    "1 0 7\n1 4294967296 7\n", "1 0 7", "1 0 7\n1 0 8 9\n", "1 0 -7\n"};
	struct acks *a;

	kit_open(&k);
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		write_acks(good[i], 0);
		a = load();
		ck_assert_uint_eq(acks_get(a, 1, 0), i == 0 ? 0 : 7);
		ck_assert_uint_eq(acks_get(a, 1, 1), i == 2 ? 8 : 0);
		ck_assert_uint_eq(acks_get(a, 9, UINT32_MAX), i == 3 ? 7 : 0);
		acks_free(a);
		write_acks(good[i], 1);
		a = load();
		ck_assert_uint_eq(acks_get(a, 1, 0), 0);
		acks_free(a);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_acks(bad[i], 0);
		a = load();
		ck_assert_msg(acks_get(a, 1, 0) == 0, "%s", bad[i]);
		acks_free(a);
	}
	kit_close(&k);
}
END_TEST

static uint64_t
mark_in(const char *text, size_t n)
{
	char path[PATH_MAX];
	struct acks *a;
	uint64_t mark;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/acks", k.dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, n, f), n);
	ck_assert_int_eq(fclose(f), 0);
	a = load();
	mark = acks_get(a, 1, 0);
	acks_free(a);
	return mark;
}

/* Cut anywhere, or with another byte at its end, it counts as none. */
START_TEST(test_marks_torn)
{
	char text[64] = "1 0 7\n1 1 8\n";
	size_t n = strlen(text);

	n += (size_t)snprintf(
	    text + n, sizeof(text) - n, "crc %u\n", crc32c(0, text, n));
	kit_open(&k);
	ck_assert_uint_eq(mark_in(text, n), 7);
	for (size_t cut = 0; cut < n; cut++)
		ck_assert_uint_eq(mark_in(text, cut), 0);
	text[n] = '\n';
	ck_assert_uint_eq(mark_in(text, n + 1), 0);
	text[n - 1] = '\r';
	ck_assert_uint_eq(mark_in(text, n), 0);
	kit_close(&k);
}
END_TEST

/* What cannot be written is told, and what was there stays. */
START_TEST(test_marks_not_written)
{
	static char dir[PATH_MAX + 8];
	struct acks *a;
	int rc;

	kit_open(&k);
	a = load();
	acks_put(a, 1, 0, 7);
	ck_assert_int_eq(acks_save(a, &k.io.io, k.dir), 0);
	acks_put(a, 1, 0, 8);
	kit_fault(&k, IO_WRITE, ENOSPC);
	ck_assert_int_ne(acks_save(a, &k.io.io, k.dir), 0);
	oom_arm(1, NULL);
	rc = acks_save(a, &k.io.io, k.dir);
	ck_assert(oom_hit());
	ck_assert_int_eq(rc, ERR_NOMEM);
	memset(dir, 'd', sizeof(dir) - 1);
	ck_assert_int_eq(acks_save(a, &k.io.io, dir), ERR_TOO_LARGE);
	acks_free(a);
	a = load();
	ck_assert_uint_eq(acks_get(a, 1, 0), 7);
	acks_free(a);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/intents");

	UNIT_ADD(s, test_many);
	UNIT_ADD(s, test_one_chain);
	UNIT_ADD(s, test_lower_one_counts);
	UNIT_ADD(s, test_first_of_equals);
	UNIT_ADD(s, test_full_table);
	UNIT_ADD(s, test_largest_table);
	UNIT_ADD(s, test_marks);
	UNIT_ADD(s, test_marks_without_memory);
	UNIT_ADD(s, test_marks_damaged);
	UNIT_ADD(s, test_marks_torn);
	UNIT_ADD(s, test_marks_not_written);
	return unit_run(s);
}
