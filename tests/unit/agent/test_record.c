/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as bytes: what one version of the agent wrote is what another reads,
 * and what nobody wrote is refused without looking beyond its end.
 */
#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/journal/crc32c.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/unit.h"

/* Everything in it is different and not 0. */
static void
full_intent(struct journal_intent *i)
{
	memset(i, 0, sizeof(*i));
	for (unsigned b = 0; b < 16; b++)
		i->request_id[b] = (uint8_t)(0xa0 + b);
	*i = (struct journal_intent){.attempt = 0x01020304,
	    .started_at = 101,
	    .tenant_uid = 102,
	    .team_uid = 103,
	    .project_uid = 104,
	    .key_uid = 105,
	    .route_uid = 106,
	    .deployment_uid = 107,
	    .provider_uid = 108,
	    .model_uid = 109,
	    .config_version = 110,
	    .price_version = 111,
	    .reserved = 112,
	    .streamed = true,
	    .n_charges = 2,
	    .charges = {{113, 114}, {115, -116}}};
	for (unsigned b = 0; b < 16; b++)
		i->request_id[b] = (uint8_t)(0xa0 + b);
}

static void
ck_words(const uint8_t *p, const int64_t *want, unsigned n)
{
	for (unsigned w = 0; w < n; w++)
		ck_assert_int_eq((int64_t)get_u64(p + 8 * w), want[w]);
}

/* The layout on disk is that of record.h: journals outlive the agent that
 * wrote them. */
START_TEST(test_layout)
{
	static const int64_t head[] = {101, 102, 103, 104, 105, 106, 107, 108,
	    109, 110, 111, 112, 113, 114, 115, -116};
	static const int64_t usage[] = {7, 0, 0, 0, 9, 900};
	uint8_t b[RECORD_USAGE_MAX];
	struct journal_usage u = {.cost = 900,
	    .tokens.n = {[TC_INPUT] = 7, [TC_OUTPUT] = 9},
	    .source = 3,
	    .http_status = 499,
	    .duration_us = 901,
	    .first_byte_us = 902,
	    .finish_reason = "stop",
	    .error_code = "e",
	    .upstream_request_id = "req"};
	const uint8_t *p = b + RECORD_HEADER;
	struct journal_intent i;
	size_t n;

	full_intent(&i);
	i.worst.n[TC_CACHE_READ] = 5;
	n = record_encode_intent(b, &i);
	ck_assert_uint_eq(n, 20 + 120 + 2 * 16 + 2 * 8);
	ck_assert_uint_eq(get_u32(b), n - 20);
	ck_assert_uint_eq(get_u32(b + 4), RECORD_INTENT);
	ck_assert_uint_eq(get_u64(b + 8), 0);
	ck_assert_mem_eq(p, i.request_id, 16);
	ck_assert_uint_eq(get_u32(p + 16), 0x01020304);
	ck_assert_mem_eq(p + 16, "\x04\x03\x02\x01\x01\x02\x02\x00", 8);
	ck_words(p + 24, head, 16);
	ck_words(p + 152, (const int64_t[]){0, 5}, 2);

	u.head = i;
	n = record_encode_usage(b, &u, 0x1122334455667788);
	ck_assert_uint_eq(
	    n, 20 + 120 + 2 * 16 + 5 * 8 + 8 + 8 + 16 + 5 + 2 + 4);
	ck_assert_uint_eq(get_u32(b + 4), RECORD_USAGE);
	ck_assert_uint_eq(get_u64(b + 8), 0x1122334455667788);
	ck_assert_mem_eq(
	    p + 16, "\x04\x03\x02\x01\x01\x02\x05\x00", 8); /* 5 classes */
	ck_words(p + 24, head, 16);
	ck_words(p + 152, usage, 6);
	ck_assert_uint_eq(get_u32(p + 200), 3);
	ck_assert_uint_eq(get_u32(p + 204), 499);
	ck_words(p + 208, (const int64_t[]){901, 902}, 2);
	ck_assert_mem_eq(p + 224, "\4stop\1e\3req", 11);
}
END_TEST

/* Records in a row are those that the length says, though others follow. */
START_TEST(test_in_a_row)
{
	static uint8_t b[3 * RECORD_INTENT_MAX];
	size_t at = 0, two = 0;
	struct journal_intent i;
	struct record rec;
	struct str rest;

	for (unsigned n = 1; n <= 3; n++) {
		kit_intent_of(&i, n);
		at += record_encode_intent(b + at, &i);
		if (n == 2)
			two = at;
	}
	rest = str_make((char *)b, two);
	for (unsigned n = 1; n <= 2; n++) {
		ck_assert(record_next(&rest, &rec));
		kit_intent_of(&i, n);
		ck_assert_mem_eq(rec.payload.p, i.request_id, 16);
	}
	ck_assert(!record_next(&rest, &rec));
	ck_assert_uint_eq(rest.len, 0);
	ck_assert_ptr_eq(rest.p, (char *)b + two);
}
END_TEST

/* The payload of the longest kind, all counts 0. */
static int
decode_intent(const uint8_t *payload, size_t n)
{
	struct journal_intent i;

	return record_decode_intent(str_make((const char *)payload, n), &i);
}

/* Counts and flags that nobody wrote are refused though their bytes are there:
 * a newer agent's record is not read for something else. */
START_TEST(test_counts)
{
	static uint8_t p[RECORD_PAYLOAD_MAX];
	const size_t head = RECORD_HEAD;

	ck_assert_int_eq(decode_intent(p, head), 0);
	ck_assert_int_eq(decode_intent(p, head - 1), ERR_CORRUPT);
	ck_assert_int_eq(decode_intent(p, 23), ERR_CORRUPT);
	ck_assert_int_eq(decode_intent(p, 0), ERR_CORRUPT);
	p[20] = 1;
	ck_assert_int_eq(decode_intent(p, head), 0);
	p[20] = 2;
	ck_assert_int_eq(decode_intent(p, head), ERR_CORRUPT);
	p[20] = 0;
	p[21] = BUNDLE_MAX_BUDGETS;
	ck_assert_int_eq(decode_intent(p, head + 16 * p[21]), 0);
	ck_assert_int_eq(decode_intent(p, head + 16 * p[21] - 1), ERR_CORRUPT);
	p[21]++;
	ck_assert_int_eq(decode_intent(p, head + 16 * p[21]), ERR_CORRUPT);
	p[21] = 0;
	p[22] = TC_COUNT;
	ck_assert_int_eq(decode_intent(p, head + 8 * TC_COUNT), 0);
	p[22]++;
	ck_assert_int_eq(
	    decode_intent(p, head + 8 * TC_COUNT + 8), ERR_CORRUPT);
	p[22] = 0;
	p[23] = 1;
	ck_assert_int_eq(decode_intent(p, head), ERR_CORRUPT);
}
END_TEST

/* Texts of a usage record are as long as they say, and fit where they go. */
START_TEST(test_texts)
{
	static uint8_t p[RECORD_PAYLOAD_MAX];
	const size_t at = RECORD_HEAD + 8 + 8 + 16;
	struct journal_usage u;
	size_t n = at + 3;

	ck_assert_int_eq(record_decode_usage(str_make((char *)p, n), &u), 0);
	ck_assert_int_eq(
	    record_decode_usage(str_make((char *)p, n - 1), &u), ERR_CORRUPT);
	/* Neither a tier nor tags: those are left out then. */
	ck_assert_int_eq(
	    record_decode_usage(str_make((char *)p, n + 1), &u), ERR_CORRUPT);
	memset(p + at + 1, 'x', sizeof(u.finish_reason));
	p[at] = sizeof(u.finish_reason) - 1;
	p[at + sizeof(u.finish_reason)] = 0;
	n += p[at];
	ck_assert_int_eq(record_decode_usage(str_make((char *)p, n), &u), 0);
	ck_assert_uint_eq(strlen(u.finish_reason), p[at]);
	ck_assert_str_eq(u.error_code, "");
	p[at + sizeof(u.finish_reason)] = 'x';
	p[at]++; /* one more than there is room for */
	ck_assert_int_eq(
	    record_decode_usage(str_make((char *)p, n + 1), &u), ERR_CORRUPT);
}
END_TEST

/* What is a record is told by its header, before its payload is there. */
START_TEST(test_header_bounds)
{
	static const struct {
		uint32_t len, type;
		int rc; /* with the header only */
	} t[] = {{RECORD_HEAD, RECORD_INTENT, ERR_END},
	    {RECORD_HEAD - 1, RECORD_INTENT, ERR_CORRUPT},
	    {RECORD_HEAD - 1, RECORD_USAGE, ERR_CORRUPT},
	    {RECORD_LOWER_HEAD, RECORD_LOWER, ERR_END},
	    {RECORD_LOWER_HEAD - 1, RECORD_LOWER, ERR_CORRUPT},
	    {RECORD_PAYLOAD_MAX, RECORD_USAGE, ERR_END},
	    {RECORD_PAYLOAD_MAX + 1, RECORD_USAGE, ERR_CORRUPT},
	    {RECORD_HEAD, 0, ERR_CORRUPT}, {RECORD_HEAD, 4, ERR_CORRUPT}};
	static uint8_t b[RECORD_HEADER + RECORD_PAYLOAD_MAX + 1];
	struct record rec;
	size_t size;

	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t *at = b + RECORD_HEADER;

		put_u32(b, t[i].len);
		put_u32(b + 4, t[i].type);
		put_u32(b + 16, crc32c(crc32c(0, b, 16), at, t[i].len));
		ck_assert_int_eq(
		    record_parse(b, RECORD_HEADER, &rec, &size), t[i].rc);
		ck_assert_int_eq(
		    record_parse(b, RECORD_HEADER + t[i].len - 1, &rec, &size),
		    t[i].rc);
		ck_assert_int_eq(
		    record_parse(b, RECORD_HEADER + t[i].len, &rec, &size),
		    t[i].rc == ERR_END ? 0 : ERR_CORRUPT);
		if (t[i].rc != ERR_END)
			continue;
		ck_assert_uint_eq(size, RECORD_HEADER + t[i].len);
		ck_assert_uint_eq(rec.payload.len, t[i].len);
		ck_assert_ptr_eq(rec.payload.p, (char *)at);
	}
}
END_TEST

static int
decode_lower(const uint8_t *p, size_t n, struct journal_intent *ret)
{
	return record_decode_lower(str_make((const char *)p, n), ret);
}

START_TEST(test_lower_counts)
{
	static uint8_t p[RECORD_PAYLOAD_MAX];
	const size_t head = RECORD_LOWER_HEAD;
	struct journal_intent i;

	ck_assert_int_eq(decode_lower(p, head, &i), 0);
	ck_assert_int_eq(decode_lower(p, head - 1, &i), ERR_CORRUPT);
	ck_assert_int_eq(decode_lower(p, head + 1, &i), ERR_CORRUPT);
	ck_assert_int_eq(decode_lower(p, RECORD_ID - 1, &i), ERR_CORRUPT);
	for (unsigned n = 0; n < TC_COUNT; n++)
		put_u64(p + head + 8 * (size_t)n, n + 1);
	put_u32(p + 20, TC_COUNT);
	ck_assert_int_eq(decode_lower(p, head + 8 * TC_COUNT, &i), 0);
	for (unsigned n = 0; n < TC_COUNT; n++)
		ck_assert_int_eq(i.worst.n[n], n + 1);
	put_u32(p + 20, TC_COUNT + 1);
	ck_assert_int_eq(
	    decode_lower(p, head + 8 * TC_COUNT + 8, &i), ERR_CORRUPT);
	ck_assert_int_eq(decode_lower(p, head + 8 * TC_COUNT, &i), ERR_CORRUPT);
	put_u32(p + 20, 0);
	put_u64(p + 24, (uint64_t)-1);
	ck_assert_int_eq(decode_lower(p, head, &i), ERR_CORRUPT);
}
END_TEST

/* A payload that ends where memory does: nothing behind it is looked at,
 * wherever it is cut. */
START_TEST(test_not_beyond)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t b[RECORD_USAGE_MAX];
	struct journal_usage got = {0}, u = {.tokens.n = {[TC_COUNT - 1] = 1},
					    .tier = "t",
					    .cost = 5};
	struct journal_intent i;
	struct record rec;
	uint8_t *end;
	size_t size;

	end = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(end, MAP_FAILED);
	end += page;
	ck_assert_int_eq(mprotect(end, page, PROT_NONE), 0);
	full_intent(&u.head);
	u.head.worst = u.tokens;
	memset(u.error_code, 'e', sizeof(u.error_code)); /* without an end */
	ck_assert_ptr_null(tags_read(&u.head.tags, STR("a=b")));
	for (unsigned type = RECORD_INTENT; type <= RECORD_LOWER; type++) {
		if (type == RECORD_INTENT)
			size = record_encode_intent(b, &u.head);
		else if (type == RECORD_USAGE)
			size = record_encode_usage(b, &u, 1);
		else
			size = record_encode_lower(b, &u.head);
		memcpy(end - size, b, size);
		ck_assert_int_eq(
		    record_parse(end - size, size, &rec, &size), 0);
		for (size_t n = 0; n <= rec.payload.len; n++) {
			uint8_t *at = end - n;
			struct str p = str_make((char *)at, n);
			int rc;

			memcpy(at, b + RECORD_HEADER, n);
			rc = type == RECORD_INTENT ? record_decode_intent(p, &i)
			     : type == RECORD_USAGE
				 ? record_decode_usage(p, &got)
				 : record_decode_lower(p, &i);
			/* Without its tags it is whole as well. */
			if (n < rec.payload.len &&
			    (type == RECORD_LOWER ||
				n + u.head.tags.len + 2 < rec.payload.len))
				ck_assert_int_eq(rc, ERR_CORRUPT);
			else if (n == rec.payload.len)
				ck_assert_int_eq(rc, 0);
		}
		for (size_t n = 0; n < size; n++) {
			memcpy(end - n, b, n);
			ck_assert_int_eq(
			    record_parse(end - n, n, &rec, &size), ERR_END);
		}
	}
	ck_assert_uint_eq(strlen(got.error_code), sizeof(got.error_code) - 1);
	ck_assert_int_eq(munmap(end - page, 2 * page), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/record");

	UNIT_ADD(s, test_layout);
	UNIT_ADD(s, test_in_a_row);
	UNIT_ADD(s, test_counts);
	UNIT_ADD(s, test_texts);
	UNIT_ADD(s, test_header_bounds);
	UNIT_ADD(s, test_lower_counts);
	UNIT_ADD(s, test_not_beyond);
	return unit_run(s);
}
