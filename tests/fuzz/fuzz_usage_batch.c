/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: batches of usage records from agents, up to the rows that are
 * written of them. A record that is not rejected gives a row that the database
 * takes: texts in UTF-8 and short, tags that are JSON, numbers in their range.
 */
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "controlplane/store/usage_internal.h"
#include "proto/envelope.h"
#include "proto/headgate.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (INT64_C(1790000000) * NS_PER_S)

static void
check_text(struct str s)
{
	MUST(s.len <= 256 && str_is_utf8(s));
	MUST(s.len == 0 || memchr(s.p, '\0', s.len) == NULL);
}

static void
check_entry(const struct usage_entry *en)
{
	size_t i;

	check_text(en->finish_reason);
	check_text(en->upstream_request_id);
	check_text(en->error_code);
	check_text(en->tier);
	if (en->tags.len > 0)
		MUST(en->tags.p[0] == '{' && str_is_utf8(en->tags));
	for (i = 0; i < TC_COUNT; i++)
		MUST(en->tokens.n[i] >= 0);
	for (i = 0; i < U_COUNT; i++)
		MUST(en->uid[i] >= 0);
	MUST(en->cost >= 0 && en->cost <= USAGE_MAX_COST);
	MUST(en->held >= 0);
	MUST(en->http_status >= 0 && en->source >= 0);
	MUST(en->duration_us >= 0 && en->first_byte_us >= 0);
	MUST(en->key[K_HOUR] / 24 == en->key[K_DAY] || en->key[K_HOUR] < 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t agent[16] = {1};
	struct usage_entry en;
	Hg__UsageBatch *b;
	struct arena a;
	struct error e;
	size_t i;

	if (size > 65536)
		return 0;
	arena_init(&a, 4096, (size_t)8 << 20);
	b = proto_unpack(&hg__usage_batch__descriptor,
	    str_make((const char *)data, size), &a);
	for (i = 0; b != NULL && i < b->n_records; i++) {
		/* a clock at which the record is neither old nor early */
		int64_t now = b->records[i]->started_at;

		if (now < -NOW || now > NOW * 4)
			now = NOW;
		(void)usage_record_charges(b->records[i]);
		if (usage_record_reject(b->records[i], now) != NULL)
			continue;
		if (usage_record_entry(b->records[i], agent, b, &a, &en, &e) ==
		    0)
			check_entry(&en);
		else
			MUST(e.code == ERR_NOMEM);
	}
	arena_release(&a);
	return 0;
}
