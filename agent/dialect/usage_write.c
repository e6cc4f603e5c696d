/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage in the words of the client's dialect. Totals are the provider's;
 * sub-counts come from the classes. What a dialect has no word for is inside
 * its totals.
 */
#include "agent/dialect/usage.h"

static void
add_count(struct buf *b, const char *head, int64_t n)
{
	(void)buf_addz(b, head);
	(void)buf_add_i64(b, n);
}

static int64_t
cache_read(const struct ir_usage *u)
{
	return u->tokens.n[TC_CACHE_READ] + u->tokens.n[TC_AUDIO_CACHE_READ];
}

static int64_t
cache_write(const struct ir_usage *u)
{
	return u->tokens.n[TC_CACHE_WRITE_5M] + u->tokens.n[TC_CACHE_WRITE_1H];
}

static int64_t
audio_in(const struct ir_usage *u)
{
	return u->tokens.n[TC_AUDIO_IN] + u->tokens.n[TC_AUDIO_CACHE_READ];
}

void
usage_write_openai(struct buf *out, const struct ir_usage *u)
{
	add_count(out, "{\"prompt_tokens\":", u->input_total);
	add_count(out, ",\"completion_tokens\":", u->output_total);
	add_count(out, ",\"total_tokens\":", u->input_total + u->output_total);
	add_count(out,
	    ",\"prompt_tokens_details\":{\"cached_tokens\":", cache_read(u));
	if (cache_write(u) > 0)
		add_count(out, ",\"cache_write_tokens\":", cache_write(u));
	add_count(out, ",\"audio_tokens\":", audio_in(u));
	add_count(out, "},\"completion_tokens_details\":{\"reasoning_tokens\":",
	    u->tokens.n[TC_REASONING]);
	add_count(out, ",\"audio_tokens\":", u->tokens.n[TC_AUDIO_OUT]);
	(void)buf_addz(out, ",\"accepted_prediction_tokens\":0,"
			    "\"rejected_prediction_tokens\":0}}");
}

void
usage_write_responses(struct buf *out, const struct ir_usage *u)
{
	add_count(out, "{\"input_tokens\":", u->input_total);
	add_count(out,
	    ",\"input_tokens_details\":{\"cached_tokens\":", cache_read(u));
	if (cache_write(u) > 0)
		add_count(out, ",\"cache_write_tokens\":", cache_write(u));
	add_count(out, "},\"output_tokens\":", u->output_total);
	add_count(out, ",\"output_tokens_details\":{\"reasoning_tokens\":",
	    u->tokens.n[TC_REASONING]);
	add_count(out, "},\"total_tokens\":", u->input_total + u->output_total);
	(void)buf_addc(out, '}');
}

void
usage_write_anthropic(struct buf *out, const struct ir_usage *u, bool start)
{
	int64_t in = u->input_total - cache_read(u) - cache_write(u);
	int64_t done = u->output_total;

	if (start && done == 0)
		done = 1; /* as Anthropic does before it knows */
	add_count(out, "{\"input_tokens\":", in < 0 ? 0 : in);
	add_count(out, ",\"cache_creation_input_tokens\":", cache_write(u));
	add_count(out, ",\"cache_read_input_tokens\":", cache_read(u));
	add_count(out, ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":",
	    u->tokens.n[TC_CACHE_WRITE_5M]);
	add_count(out,
	    ",\"ephemeral_1h_input_tokens\":", u->tokens.n[TC_CACHE_WRITE_1H]);
	add_count(out, "},\"output_tokens\":", done);
	if (u->tokens.n[TC_REASONING] > 0)
		add_count(out,
		    ",\"output_tokens_details\":{\"thinking_tokens\":",
		    u->tokens.n[TC_REASONING]);
	if (u->tokens.n[TC_REASONING] > 0)
		(void)buf_addc(out, '}');
	if (u->tokens.n[TC_WEB_SEARCH] > 0) {
		add_count(out, ",\"server_tool_use\":{\"web_search_requests\":",
		    u->tokens.n[TC_WEB_SEARCH]);
		(void)buf_addc(out, '}');
	}
	(void)buf_addz(out, ",\"service_tier\":\"");
	if (str_eqz(str_of(u->tier), "priority") ||
	    str_eqz(str_of(u->tier), "batch"))
		(void)buf_addz(out, u->tier);
	else
		(void)buf_addz(out, "standard");
	(void)buf_addz(out, "\"}");
}

static void
add_modality(struct buf *b, bool *any, const char *name, int64_t n)
{
	if (n <= 0)
		return;
	(void)buf_addf(b, "%s{\"modality\":\"%s\",\"tokenCount\":%lld}",
	    *any ? "," : "", name, (long long)n);
	*any = true;
}

/* [{"modality","tokenCount"}] after key; nothing when there is nothing. */
static void
add_details(
    struct buf *b, const char *key, int64_t total, int64_t audio, int64_t image)
{
	bool any = false;

	if (total <= 0)
		return;
	(void)buf_addf(b, ",\"%s\":[", key);
	add_modality(b, &any, "TEXT", total - audio - image);
	add_modality(b, &any, "IMAGE", image);
	add_modality(b, &any, "AUDIO", audio);
	(void)buf_addc(b, ']');
}

void
usage_write_gemini(struct buf *out, const struct ir_usage *u)
{
	const int64_t *t = u->tokens.n;
	int64_t shown = u->output_total - t[TC_REASONING];

	add_count(out, "{\"promptTokenCount\":", u->input_total);
	add_count(out, ",\"candidatesTokenCount\":", shown < 0 ? 0 : shown);
	add_count(
	    out, ",\"totalTokenCount\":", u->input_total + u->output_total);
	if (cache_read(u) > 0)
		add_count(out, ",\"cachedContentTokenCount\":", cache_read(u));
	if (t[TC_REASONING] > 0)
		add_count(out, ",\"thoughtsTokenCount\":", t[TC_REASONING]);
	add_details(out, "promptTokensDetails", u->input_total, audio_in(u),
	    t[TC_IMAGE_IN]);
	if (t[TC_AUDIO_CACHE_READ] > 0)
		add_details(out, "cacheTokensDetails", cache_read(u),
		    t[TC_AUDIO_CACHE_READ], 0);
	add_details(out, "candidatesTokensDetails", shown, t[TC_AUDIO_OUT],
	    t[TC_IMAGE_OUT]);
	(void)buf_addc(out, '}');
}
