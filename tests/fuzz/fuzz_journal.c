/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A journal segment with any contents: reading never fails otherwise than by
 * a code, salvage moves forward, and a record that decodes encodes to the
 * same bytes again.
 */
#include <stdlib.h>

#include "agent/journal/segment.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_record(const struct record *rec)
{
	uint8_t copy[RECORD_USAGE_MAX];
	struct journal_intent i;
	struct journal_usage u;
	size_t n = 0;

	if (rec->type == RECORD_INTENT &&
	    record_decode_intent(rec->payload, &i) == 0)
		n = record_encode_intent(copy, &i);
	else if (rec->type == RECORD_USAGE &&
		 record_decode_usage(rec->payload, &u) == 0)
		n = record_encode_usage(copy, &u, rec->seq);
	else if (rec->type == RECORD_LOWER &&
		 record_decode_lower(rec->payload, &i) == 0)
		n = record_encode_lower(copy, &i);
	/* Shorter only by token classes that are 0, or text after a NUL. */
	if (n > RECORD_HEADER + rec->payload.len)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_file file;
	struct segment_reader r;
	struct segment_head h;
	struct record rec;
	uint64_t before;
	int rc;

	memory_file_init(&file, str_make((const char *)data, size));
	MUST(segment_reader_open(&r, &file.io, "x", NULL) == 0);
	if (segment_reader_head(&r, &h) != 0)
		segment_reader_seek(&r, 0);
	do {
		before = r.off;
		rc = segment_reader_next(&r, &rec);
		if (rc == 0)
			check_record(&rec);
		if (rc == ERR_CORRUPT)
			rc = segment_reader_salvage(&r);
		if (rc == 0 && r.off <= before)
			abort();
	} while (rc == 0);
	segment_reader_close(&r);
	memory_file_release(&file);
	return 0;
}
