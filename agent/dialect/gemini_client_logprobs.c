/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log probabilities of OpenAI's shape as Gemini's logprobsResult.
 */
#include "agent/dialect/client_read.h"
#include "agent/dialect/gemini_client_write.h"
#include "agent/dialect/jw.h"

static void
gemc_logprob(struct jw *j, struct json entry)
{
	struct json v;

	jw_open(j, '{');
	if (json_getz(entry, "token", &v) && v.type == JSON_STRING)
		jw_name_raw(j, "token", crd_span(v));
	if (json_getz(entry, "logprob", &v) && v.type == JSON_NUMBER)
		jw_name_raw(j, "logProbability", crd_span(v));
	jw_close(j, '}');
}

static void
gemc_logprob_top(struct jw *j, struct json entry)
{
	struct json_iter it;
	struct json top, item;

	jw_open(j, '{');
	jw_name_open(j, "candidates", '[');
	if (json_getz(entry, "top_logprobs", &top) && top.type == JSON_ARRAY) {
		it = json_iter(top);
		while (json_next_element(&it, &item))
			gemc_logprob(j, item);
	}
	jw_close(j, ']');
	jw_close(j, '}');
}

void
gemc_logprobs_write(struct buf *out, struct str entries)
{
	struct json_iter it;
	struct jw j = {out, false};
	struct json list, entry;
	struct buf b;

	buf_init(&b, entries.len + 2);
	(void)buf_addc(&b, '[');
	(void)buf_add_str(&b, entries);
	(void)buf_addc(&b, ']');
	if (buf_error(&b) != 0)
		out->error = ERR_NOMEM;
	list = json_root(buf_error(&b) == 0 ? buf_str(&b) : STR("[]"));
	jw_open(&j, '{');
	jw_name_open(&j, "topCandidates", '[');
	it = json_iter(list);
	while (json_next_element(&it, &entry))
		gemc_logprob_top(&j, entry);
	jw_close(&j, ']');
	jw_name_open(&j, "chosenCandidates", '[');
	it = json_iter(list);
	while (json_next_element(&it, &entry))
		gemc_logprob(&j, entry);
	jw_close(&j, ']');
	jw_close(&j, '}');
	buf_release(&b);
}
