/* SPDX-License-Identifier: Apache-2.0 */
/*
 * application/vnd.amazon.eventstream, read incrementally: messages of binary
 * headers and a payload, each with two CRC-32. Any split of the byte stream
 * gives the same messages; a message that came whole in one feed is not
 * copied. Limits: headers 128 KiB (and 64 of them), payload as given.
 *
 *   total_len u32 | headers_len u32 | crc32(first 8 bytes) u32
 *   headers: name_len u8 | name | type u8 | value ...
 *   payload | crc32(all before) u32                    (big-endian)
 */
#ifndef AGENT_DIALECT_EVENTSTREAM_H
#define AGENT_DIALECT_EVENTSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define EVENTSTREAM_OVERHEAD	     16 /* prelude and both CRCs */
#define EVENTSTREAM_MAX_HEADERS	     64
#define EVENTSTREAM_MAX_HEADER_BYTES ((size_t)128 << 10)

enum eventstream_type {
	EVENTSTREAM_TRUE,
	EVENTSTREAM_FALSE,
	EVENTSTREAM_I8,
	EVENTSTREAM_I16,
	EVENTSTREAM_I32,
	EVENTSTREAM_I64,
	EVENTSTREAM_BYTES,
	EVENTSTREAM_STRING,
	EVENTSTREAM_TIMESTAMP, /* i64, milliseconds since 1970 */
	EVENTSTREAM_UUID
};

struct eventstream_header {
	struct str name;
	enum eventstream_type type;
	struct str value; /* its bytes; BYTES, STRING without the length */
	int64_t number;	  /* of I8 to I64, TIMESTAMP, TRUE and FALSE */
};

struct eventstream_message {
	struct str payload;
	unsigned n_headers;
	struct eventstream_header headers[EVENTSTREAM_MAX_HEADERS];
};

/* Non-zero stops the reader; eventstream_feed() returns it. The slices live
 * until the callback returns. */
typedef int eventstream_fn(void *ctx, const struct eventstream_message *m);

struct eventstream {
	struct buf raw; /* the beginning of an unfinished message */
	size_t max_payload;
	struct eventstream_message message; /* being delivered */
};

/* max_payload: bytes of one message's payload. */
void eventstream_init(struct eventstream *s, size_t max_payload);
void eventstream_release(struct eventstream *s);
/* Feed bytes. 0, the callback's value, ERR_CORRUPT (lengths, CRC, headers),
 * ERR_TOO_LARGE (a limit) or ERR_NOMEM; after an error nothing more may be
 * fed. */
int eventstream_feed(struct eventstream *s, const char *p, size_t n,
    eventstream_fn *fn, void *ctx) MUST_CHECK;
/* The stream ended: ERR_CORRUPT in the middle of a message. */
int eventstream_finish(const struct eventstream *s) MUST_CHECK;
/* The value of a STRING header, "" when there is none. */
struct str eventstream_string(
    const struct eventstream_message *m, struct str name);
/* CRC-32 (IEEE 802.3): continue `crc` (0 to begin) over n bytes. */
uint32_t eventstream_crc32(uint32_t crc, const void *p, size_t n);

#endif
