/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal records on disk, little endian, encoded by hand (the hot path has no
 * time for a schema):
 *
 *   record   len u32 | type u32 | seq u64 | crc32c u32 | payload[len]
 *            (the CRC covers the 16 bytes before it and the payload)
 *   head     request_id[16] | attempt u32 | streamed u8 | n_charges u8 |
 *            n_tokens u8 | 0 u8 | started_at i64 | uids and versions 10 x u64
 *            | reserved i64 | n_charges x (budget u64, period_start i64)
 *   intent   head | n_tokens x i64 (worst case) | tags
 *   usage    head | n_tokens x i64 | cost i64 | source u32 | http_status u32
 *            | duration_us i64 | first_byte_us i64 | 3 x (len u8, bytes)
 *            | tier (len u8, bytes) | tags; both left out when both are
 *            empty
 *   lower    request_id[16] | attempt u32 | n_tokens u32 | reserved i64 |
 *            n_tokens x i64 (worst case)
 *   tags     as common/tags.h holds them, to the end of the payload
 *
 * Decoding is strict: a payload is exactly as long as its counts say. Fields
 * at the end may be missing as a whole (records of older agents); others need
 * a new record type.
 */
#ifndef AGENT_JOURNAL_RECORD_H
#define AGENT_JOURNAL_RECORD_H

#include "agent/journal/journal.h"
#include "common/str.h"

enum record_type { RECORD_INTENT = 1, RECORD_USAGE = 2, RECORD_LOWER = 3 };

#define RECORD_HEADER	20u
#define RECORD_HEAD	120u
#define RECORD_RESERVED 112u /* place of it in a head */
#define RECORD_INTENT_MAX                                         \
	(RECORD_HEADER + RECORD_HEAD + 16u * BUNDLE_MAX_BUDGETS + \
	    8u * TC_COUNT + TAGS_BYTES)
#define RECORD_USAGE_MAX   (RECORD_INTENT_MAX + 32u + 3u + 23u + 23u + 63u + 24u)
#define RECORD_LOWER_HEAD  32u
#define RECORD_LOWER_MAX   (RECORD_HEADER + RECORD_LOWER_HEAD + 8u * TC_COUNT)
#define RECORD_PAYLOAD_MAX 4096u
#define RECORD_ID	   20u /* request id and attempt: first bytes of all */

/* One record as read: slices into the caller's buffer. */
struct record {
	uint32_t type; /* enum record_type */
	uint64_t seq;  /* 0 unless it is usage */
	struct str payload;
};

/* Write a whole record at dst, which has room for RECORD_*_MAX bytes; returns
 * its length. Strings of the usage are cut at their NUL. */
size_t record_encode_intent(uint8_t *dst, const struct journal_intent *i);
size_t record_encode_usage(
    uint8_t *dst, const struct journal_usage *u, uint64_t seq);
/* Of the intent: its id, reserved and worst. */
size_t record_encode_lower(uint8_t *dst, const struct journal_intent *i);

/* Look at the bytes: 0 and the record with *size bytes in all, ERR_END when
 * more bytes are needed, ERR_CORRUPT. */
int record_parse(
    const uint8_t *p, size_t n, struct record *ret, size_t *size) MUST_CHECK;

/* The first record of *rest, which then begins behind it; false when there is
 * none. */
bool record_next(struct str *rest, struct record *ret);

/* The payload of an intent / of a usage record. ERR_CORRUPT: *ret is of no
 * use. */
int record_decode_intent(
    struct str payload, struct journal_intent *ret) MUST_CHECK;
int record_decode_usage(
    struct str payload, struct journal_usage *ret) MUST_CHECK;
/* Fills id, reserved and worst; all else is 0. */
int record_decode_lower(
    struct str payload, struct journal_intent *ret) MUST_CHECK;

/* Little-endian helpers, also for segment headers. */
void put_u32(uint8_t *p, uint32_t v);
void put_u64(uint8_t *p, uint64_t v);
uint32_t get_u32(const uint8_t *p);
uint64_t get_u64(const uint8_t *p);

#endif
