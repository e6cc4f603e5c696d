/* SPDX-License-Identifier: Apache-2.0 */
/* Log probabilities of a text, a token a word; made up, but the same in each
 * dialect. */
#include "tests/provider/openai.h"
#include "tests/provider/text.h"

/* "token":" word" */
static void
logprobs_token(const struct exchange *x, uint64_t salt, int64_t at,
    const char *value, struct buf *out)
{
	buf_addz(out, "\"token\":\"");
	text_add(out, x->seed + salt, at, 1);
	buf_addf(out, "\",\"%s\":-%lld.%02lld", value, (long long)(salt % 100),
	    (long long)(at % 50));
}

static void
logprobs_bytes(
    const struct exchange *x, uint64_t salt, int64_t at, struct buf *out)
{
	struct buf word;

	buf_init(&word, 64);
	text_add(&word, x->seed + salt, at, 1);
	buf_addz(out, ",\"bytes\":[");
	for (size_t i = 0; i < word.len; i++)
		buf_addf(out, "%s%d", i > 0 ? "," : "", word.data[i]);
	buf_addc(out, ']');
	buf_release(&word);
}

bool
logprobs_range(const struct exchange *x, const struct block *b, int64_t i,
    int64_t *from, int64_t *n)
{
	int64_t parts = i < 0 ? 1 : b->n_ev, at = i < 0 ? 0 : i;

	if (x->top_logprobs < 0 || b->type != BLOCK_TEXT || x->plan.json)
		return false;
	*from = b->from + b->tokens * at / parts;
	*n = b->from + b->tokens * (at + 1) / parts - *from;
	return true;
}

void
logprobs_openai(const struct exchange *x, int64_t choice, int64_t from,
    int64_t n, struct buf *out)
{
	buf_addz(out, "{\"content\":[");
	for (int64_t i = 0; i < n; i++) {
		buf_addz(out, i > 0 ? ",{" : "{");
		logprobs_token(x, (uint64_t)choice, from + i, "logprob", out);
		logprobs_bytes(x, (uint64_t)choice, from + i, out);
		buf_addz(out, ",\"top_logprobs\":[");
		for (int64_t t = 0; t < x->top_logprobs; t++) {
			buf_addz(out, t > 0 ? ",{" : "{");
			logprobs_token(x, (uint64_t)(choice + t), from + i,
			    "logprob", out);
			logprobs_bytes(
			    x, (uint64_t)(choice + t), from + i, out);
			buf_addc(out, '}');
		}
		buf_addz(out, "]}");
	}
	buf_addz(out, "],\"refusal\":null}");
}

void
logprobs_gemini(const struct exchange *x, int64_t choice, int64_t from,
    int64_t n, struct buf *out)
{
	buf_addz(out, ",\"avgLogprobs\":-0.25,\"logprobsResult\":{"
		      "\"topCandidates\":[");
	for (int64_t i = 0; i < n; i++) {
		buf_addz(
		    out, i > 0 ? ",{\"candidates\":[" : "{\"candidates\":[");
		for (int64_t t = 0; t < x->top_logprobs; t++) {
			buf_addz(out, t > 0 ? ",{" : "{");
			logprobs_token(x, (uint64_t)(choice + t), from + i,
			    "logProbability", out);
			buf_addc(out, '}');
		}
		buf_addz(out, "]}");
	}
	buf_addz(out, "],\"chosenCandidates\":[");
	for (int64_t i = 0; i < n; i++) {
		buf_addz(out, i > 0 ? ",{" : "{");
		logprobs_token(
		    x, (uint64_t)choice, from + i, "logProbability", out);
		buf_addc(out, '}');
	}
	buf_addz(out, "]}");
}

void
logprobs_cohere(
    const struct exchange *x, int64_t from, int64_t n, struct buf *out)
{
	buf_addz(out, "{\"token_ids\":[");
	for (int64_t i = 0; i < n; i++)
		buf_addf(
		    out, "%s%lld", i > 0 ? "," : "", (long long)(from + i));
	buf_addz(out, "],\"text\":\"");
	text_add(out, x->seed, from, n);
	buf_addz(out, "\",\"logprobs\":[");
	for (int64_t i = 0; i < n; i++)
		buf_addf(out, "%s-0.%02lld", i > 0 ? "," : "",
		    (long long)((from + i) % 50));
	buf_addz(out, "]}");
}
