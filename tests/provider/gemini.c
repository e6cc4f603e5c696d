/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of Gemini. */
#include "tests/provider/gemini_call.h"
#include "tests/provider/openai.h"

static const char *
gemini_finish_reason(const struct exchange *x)
{
	static const char *const words[] = {"STOP", "MAX_TOKENS", "STOP",
	    "PROHIBITED_CONTENT", "SAFETY", "STOP"};

	return words[exchange_finish_reason(x)];
}

static const char *
gemini_traffic(const struct exchange *x)
{
	static const char *const words[TIER_COUNT] = {"ON_DEMAND",
	    "ON_DEMAND_PRIORITY", "ON_DEMAND_FLEX", "BATCH", "SCALE",
	    "PROVISIONED_THROUGHPUT"};

	return words[knob_or(x->k.tier, TIER_STANDARD)];
}

static void
gemini_modality(const char *name, int64_t n, bool *first, struct buf *out)
{
	if (n <= 0)
		return;
	buf_addf(out, "%s{\"modality\":\"%s\",\"tokenCount\":%lld}",
	    *first ? "" : ",", name, (long long)n);
	*first = false;
}

static void
gemini_details(const struct usage *u, int64_t candidates, struct buf *out)
{
	bool first = true;

	buf_addz(out, ",\"promptTokensDetails\":[");
	gemini_modality(
	    "TEXT", u->prompt - u->audio_in - u->image_in, &first, out);
	gemini_modality("AUDIO", u->audio_in, &first, out);
	gemini_modality("IMAGE", u->image_in, &first, out);
	buf_addc(out, ']');
	if (u->cached > 0)
		buf_addf(out,
		    ",\"cacheTokensDetails\":[{\"modality\":\"TEXT\","
		    "\"tokenCount\":%lld}]",
		    (long long)u->cached);
	if (u->audio_out + u->image_out <= 0)
		return;
	first = true;
	buf_addz(out, ",\"candidatesTokensDetails\":[");
	gemini_modality(
	    "TEXT", candidates - u->audio_out - u->image_out, &first, out);
	gemini_modality("AUDIO", u->audio_out, &first, out);
	gemini_modality("IMAGE", u->image_out, &first, out);
	buf_addc(out, ']');
}

/* ,"usageMetadata":{...}; a count of 0 is left out, as Google does. */
static void
gemini_usage(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);
	bool zero = exchange_fault_is(x, FAULT_ZERO_USAGE);
	int64_t candidates = x->k.usage == USAGE_INSIDE
				 ? u.completion
				 : u.completion - u.reasoning;

	if (exchange_fault_is(x, FAULT_USAGE_NULL)) {
		buf_addz(out, ",\"usageMetadata\":null");
		return;
	}
	buf_addz(out, ",\"usageMetadata\":{");
	if (u.prompt > 0 || zero)
		buf_addf(
		    out, "\"promptTokenCount\":%lld,", (long long)u.prompt);
	if (candidates > 0 || zero)
		buf_addf(out, "\"candidatesTokenCount\":%lld,",
		    (long long)candidates);
	if (u.cached > 0)
		buf_addf(out, "\"cachedContentTokenCount\":%lld,",
		    (long long)u.cached);
	if (u.reasoning > 0)
		buf_addf(out, "\"thoughtsTokenCount\":%lld,",
		    (long long)u.reasoning);
	if (u.tool_use > 0)
		buf_addf(out, "\"toolUsePromptTokenCount\":%lld,",
		    (long long)u.tool_use);
	buf_addf(out, "\"totalTokenCount\":%lld",
	    (long long)(u.prompt + u.tool_use + u.completion));
	if (x->speaker == SPEAK_VERTEX || x->k.tier > TIER_STANDARD)
		buf_addf(out, ",\"trafficType\":\"%s\"", gemini_traffic(x));
	if (x->k.usage != USAGE_BARE && !zero)
		gemini_details(&u, candidates, out);
	buf_addc(out, '}');
}

static void
gemini_signature(const struct exchange *x, struct str name, struct buf *out)
{
	buf_addz(out, ",\"thoughtSignature\":\"");
	sign_add(out, x->seed, 'g', name);
	buf_addc(out, '"');
}

/* A block, or piece i of one, as a part; i -1: whole. */
static void
gemini_part(const struct exchange *x, int64_t choice, const struct block *b,
    int64_t i, struct buf *out)
{
	if (b->type == BLOCK_CALL) {
		buf_addz(out, "{\"functionCall\":{\"name\":");
		buf_add_json(out, plan_name(x, b->call));
		buf_addz(out, ",\"args\":");
		buf_add_str(out, plan_args(x, b->call));
		buf_addc(out, '}');
		if (b->call == 0 && x->reasoning_tokens > 0)
			gemini_signature(x, plan_name(x, 0), out);
		buf_addc(out, '}');
		return;
	}
	buf_addz(out, "{\"text\":\"");
	plan_text(x, choice, b, i, out);
	buf_addc(out, '"');
	if (b->type == BLOCK_THINKING)
		buf_addz(out, ",\"thought\":true");
	else if (x->reasoning_tokens > 0 && i < 0 && x->plan.n_calls == 0)
		gemini_signature(x, STR(""), out);
	buf_addc(out, '}');
}

static void
gemini_close(const struct exchange *x, bool usage, struct buf *out)
{
	if (usage)
		gemini_usage(x, out);
	buf_addf(out, ",\"modelVersion\":\"%s\"", x->row.model->id);
	if (x->speaker == SPEAK_VERTEX)
		buf_addz(out, ",\"createTime\":\"2026-01-01T00:00:00.0Z\"");
	buf_addf(out, ",\"responseId\":\"%.20s\"}", x->id + 9);
}

static void
gemini_blocked(const struct exchange *x, struct buf *out)
{
	buf_addz(out, "{\"promptFeedback\":{\"blockReason\":\"SAFETY\","
		      "\"safetyRatings\":[{\"category\":"
		      "\"HARM_CATEGORY_DANGEROUS_CONTENT\",\"probability\":"
		      "\"HIGH\",\"blocked\":true}]}");
	gemini_close(x, exchange_usage_times(x) > 0, out);
}

static void
gemini_plain(const struct exchange *x, struct buf *out)
{
	int64_t from, n;

	if (x->blocked) {
		gemini_blocked(x, out);
		return;
	}
	buf_addz(out, "{\"candidates\":[");
	for (int64_t c = 0; c < x->n_choices; c++) {
		bool first = true;

		buf_addz(out, c > 0 ? ",{\"content\":{\"parts\":["
				    : "{\"content\":{\"parts\":[");
		for (int i = 0; i < x->plan.n_blocks; i++) {
			if (x->plan.blocks[i].type == BLOCK_REDACTED)
				continue;
			if (!first)
				buf_addc(out, ',');
			first = false;
			gemini_part(x, c, &x->plan.blocks[i], -1, out);
		}
		buf_addf(out,
		    "],\"role\":\"model\"},\"finishReason\":\"%s\","
		    "\"index\":%lld",
		    gemini_finish_reason(x), (long long)c);
		for (int i = 0; i < x->plan.n_blocks; i++) {
			if (logprobs_range(
				x, &x->plan.blocks[i], -1, &from, &n))
				logprobs_gemini(x, c, from, n, out);
		}
		buf_addc(out, '}');
	}
	buf_addc(out, ']');
	gemini_close(x, exchange_usage_times(x) > 0, out);
}

static void
gemini_open(const struct exchange *x, struct buf *out)
{
	if (x->d->wire == WIRE_SSE)
		buf_addz(out, "data: ");
}

static void
gemini_end(const struct exchange *x, struct buf *out)
{
	buf_addz(out, x->d->wire == WIRE_SSE ? "\n\n" : "\n");
}

static void
gemini_start(struct exchange *x, struct buf *out)
{
	(void)x;
	(void)out;
}

/* Running totals come with every chunk, unless a knob says less. */
static bool
gemini_usage_now(const struct exchange *x, int64_t at)
{
	if (exchange_usage_times(x) == 0 || x->k.usage == USAGE_BARE)
		return false;
	return x->k.usage != USAGE_SPARSE || at % 3 == 0;
}

/* The chunk around one part. */
struct gemini_chunk {
	struct exchange *x;
	int64_t at, choice;
	struct buf *out;
};

static void
gemini_chunk_open(const struct gemini_chunk *k)
{
	gemini_open(k->x, k->out);
	buf_addz(k->out, "{\"candidates\":[{\"content\":{\"parts\":[");
}

static void
gemini_chunk_parts(const struct gemini_chunk *k)
{
	buf_addf(k->out, "],\"role\":\"model\"},\"index\":%lld",
	    (long long)k->choice);
}

static void
gemini_chunk_close(const struct gemini_chunk *k)
{
	buf_addz(k->out, "}]");
	gemini_close(k->x, gemini_usage_now(k->x, k->at), k->out);
	gemini_end(k->x, k->out);
}

static void
gemini_chunk_piece(void *ctx, struct str part)
{
	const struct gemini_chunk *k = ctx;

	gemini_chunk_open(k);
	buf_add_str(k->out, part);
	gemini_chunk_parts(k);
	gemini_chunk_close(k);
}

/* A call in pieces: its name, its leaves, its end. */
static void
gemini_call_in_pieces(struct gemini_chunk *k, const struct block *b)
{
	struct exchange *x = k->x;

	gemini_chunk_open(k);
	buf_addz(k->out, "{\"functionCall\":{\"name\":");
	buf_add_json(k->out, plan_name(x, b->call));
	buf_addz(k->out, ",\"willContinue\":true}");
	if (b->call == 0 && x->reasoning_tokens > 0)
		gemini_signature(x, plan_name(x, 0), k->out);
	buf_addc(k->out, '}');
	gemini_chunk_parts(k);
	gemini_chunk_close(k);
	gemini_call_pieces(plan_args(x, b->call), gemini_chunk_piece, k);
}

static void
gemini_content(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i, from, n;
	struct gemini_chunk k = {x, at, at % x->n_choices, out};
	const struct block *b = plan_find(x, at / x->n_choices, &i);

	/* a call comes with its last event */
	if (b->type == BLOCK_REDACTED ||
	    (b->type == BLOCK_CALL && i < b->n_ev - 1))
		return;
	if (b->type == BLOCK_CALL && x->partial_args) {
		gemini_call_in_pieces(&k, b);
		return;
	}
	gemini_chunk_open(&k);
	gemini_part(x, k.choice, b, i, out);
	gemini_chunk_parts(&k);
	if (logprobs_range(x, b, i, &from, &n))
		logprobs_gemini(x, k.choice, from, n, out);
	gemini_chunk_close(&k);
}

static void
gemini_finish(struct exchange *x, struct buf *out)
{
	int times = exchange_usage_times(x);

	if (x->blocked) {
		gemini_open(x, out);
		gemini_blocked(x, out);
		gemini_end(x, out);
		return;
	}
	if (exchange_fault_is(x, FAULT_NO_DONE))
		return;
	for (int t = 0; t < (times > 1 ? times : 1); t++) {
		gemini_open(x, out);
		buf_addz(out, "{\"candidates\":[");
		for (int64_t c = 0; c < x->n_choices; c++) {
			buf_addz(out, c > 0 ? ",{" : "{");
			buf_addz(out, "\"content\":{\"parts\":[{\"text\":\"\"");
			if (x->reasoning_tokens > 0 && x->plan.n_calls == 0)
				gemini_signature(x, STR(""), out);
			buf_addf(out,
			    "}],\"role\":\"model\"},\"finishReason\":\"%s\","
			    "\"index\":%lld}",
			    gemini_finish_reason(x), (long long)c);
		}
		buf_addc(out, ']');
		gemini_close(x, times > 0, out);
		gemini_end(x, out);
	}
}

static void
gemini_error(const struct exchange *x, int status, struct buf *out)
{
	gemini_open(x, out);
	buf_addf(out,
	    "{\"error\":{\"code\":%d,\"message\":\"%s\",\"status\":\"%s\"}}",
	    status == 529 ? 503 : status,
	    status == 529   ? "The model is overloaded. Please try again later."
	    : status == 429 ? "Resource has been exhausted (e.g. check quota)."
			    : "An internal error has occurred. Please retry.",
	    status == 529   ? "UNAVAILABLE"
	    : status == 429 ? "RESOURCE_EXHAUSTED"
			    : "INTERNAL");
	gemini_end(x, out);
}

/* base64 says that the answer is a list. */
static void
gemini_embed_plain(const struct exchange *x, struct buf *out)
{
	buf_addz(out, x->base64 ? "{\"embeddings\":[" : "{\"embedding\":");
	for (int64_t i = 0; i < x->n_inputs; i++) {
		buf_addz(out, i > 0 ? ",{\"values\":" : "{\"values\":");
		embed_vector(x, i, EMBED_FLOAT, out);
		buf_addc(out, '}');
	}
	if (x->base64)
		buf_addc(out, ']');
	if (x->k.usage == USAGE_RUNNING && exchange_usage_times(x) > 0)
		gemini_usage(x, out);
	buf_addc(out, '}');
}

static void
vertex_predict_plain(const struct exchange *x, struct buf *out)
{
	int64_t n = exchange_usage(x).prompt, share = n / x->n_inputs;

	buf_addz(out, "{\"predictions\":[");
	for (int64_t i = 0; i < x->n_inputs; i++) {
		buf_addz(out, i > 0 ? ",{\"embeddings\":{\"values\":"
				    : "{\"embeddings\":{\"values\":");
		embed_vector(x, i, EMBED_FLOAT, out);
		if (exchange_usage_times(x) > 0)
			buf_addf(out,
			    ",\"statistics\":{\"token_count\":%lld,"
			    "\"truncated\":false}",
			    (long long)(i == 0 ? n - share * (x->n_inputs - 1)
					       : share));
		buf_addz(out, "}}");
	}
	buf_addz(out, "]}");
}

const struct dialect generate_dialect = {
    .tells = TELLS_CACHED | TELLS_AUDIO | TELLS_IMAGE | TELLS_REASONING |
	     TELLS_TOOL_USE,
    .tiered = true,
    .op = "generate",
    .stream_type = "text/event-stream",
    .plain_type = "application/json; charset=UTF-8",
    .plain = gemini_plain,
    .start = gemini_start,
    .content = gemini_content,
    .finish = gemini_finish,
    .error = gemini_error,
};

const struct dialect generate_array_dialect = {
    .tells = TELLS_CACHED | TELLS_AUDIO | TELLS_IMAGE | TELLS_REASONING |
	     TELLS_TOOL_USE,
    .tiered = true,
    .op = "generate",
    .stream_type = "application/json; charset=UTF-8",
    .plain_type = "application/json; charset=UTF-8",
    .wire = WIRE_ARRAY,
    .plain = gemini_plain,
    .start = gemini_start,
    .content = gemini_content,
    .finish = gemini_finish,
    .error = gemini_error,
};

const struct dialect gemini_embed_dialect = {
    .op = "embeddings",
    .stream_type = "application/json",
    .plain = gemini_embed_plain,
    .error = gemini_error,
};

const struct dialect vertex_predict_dialect = {
    .op = "embeddings",
    .stream_type = "application/json",
    .plain = vertex_predict_plain,
    .error = gemini_error,
};
