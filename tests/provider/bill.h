/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle bill: every request that the provider would have billed, with
 * its tokens and cost. Kept in memory (served by /sim/bill) and, when a
 * record file was given, appended to it row by row (JSON lines, one write
 * each), so that a restart loses nothing. A row is taken down before the
 * last byte of the answer leaves. Any thread may call.
 */
#ifndef TESTS_PROVIDER_BILL_H
#define TESTS_PROVIDER_BILL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "tests/provider/catalog.h"

struct bill_row {
	char request_id[64]; /* x-request-id of the caller, else our own */
	uint32_t attempt;    /* x-headgate-attempt, 1 when absent */
	uint16_t status;     /* HTTP status that was sent; 0 = none yet */
	bool streamed, disconnected;
	const struct sim_model *model;
	const char *dialect; /* a constant: "openai", "anthropic" ... */
	const char *op;	     /* a constant: "chat", "embeddings" ... */
	char tier[24];	     /* as price lines name it; "" = standard */
	int64_t tokens[SIM_CLASSES];
	int64_t cost;	       /* nano-USD */
	int64_t started_at_ms; /* wall clock */
	int64_t ended_at_ms;
	uint32_t events; /* content events sent */
	uint8_t fault;	 /* enum fault */
};

struct bill;

/* record may be NULL or "": memory only. Rows of an existing record file are
 * read back; a torn last line is cut off. keep_rows false: totals only. */
int bill_new(const struct catalog *c, const char *record, bool keep_rows,
    struct bill **ret, struct error *e) MUST_CHECK;
void bill_free(struct bill *b);
/* Prices the row and takes it down. */
void bill_add(struct bill *b, struct bill_row *row);
/* {"rows":[...],"next":N,"totals":{...}} of the rows from index `after`, at
 * most `limit` of them; limit 0 gives totals only. */
void bill_render(struct bill *b, size_t after, size_t limit, struct buf *out);
/* Forget all rows, and cut the record file to nothing. */
void bill_reset(struct bill *b);

#endif
