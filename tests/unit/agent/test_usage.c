/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usage normaliser: a row for every provider surface and edge case, random
 * counts against an oracle, tiers, and what the writers say of it.
 */
#include <stdio.h>
#include <string.h>

#include "agent/dialect/usage.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

static struct json
doc(const char *text)
{
	struct error e = {0};

	if (json_validate(str_of(text), &json_default_limits, &e) != 0)
		ck_abort_msg("%s: %s", text, e.text);
	return json_root(str_of(text));
}

/* "input 5, output 3 of 5/3": classes that are not zero, then the totals as
 * the provider counted; then what is to be noted. */
static const char *
show(const struct usage_state *s, char *dst, size_t cap)
{
	size_t n = 0;

	dst[0] = '\0';
	for (int i = 0; i < TC_COUNT; i++)
		if (s->usage.tokens.n[i] != 0)
			n += (size_t)snprintf(dst + n, cap - n, "%s%s %lld",
			    n > 0 ? ", " : "",
			    token_class_name((enum token_class)i),
			    (long long)s->usage.tokens.n[i]);
	n += (size_t)snprintf(dst + n, cap - n, " of %lld/%lld",
	    (long long)s->usage.input_total, (long long)s->usage.output_total);
	snprintf(dst + n, cap - n, "%s%s%s%s", s->known ? "" : " unknown",
	    s->usage.inconsistent ? " bad" : "",
	    s->usage.tier[0] != '\0' ? " " : "", s->usage.tier);
	return dst;
}

static const struct row {
	const char *name;
	enum usage_shape shape;
	const char *updates[4];
	const char *want;
} rows[] = {
    {"openai: every class", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":100,\"completion_tokens\":50,"
	 "\"total_tokens\":150,\"prompt_tokens_details\":{"
	 "\"cached_tokens\":30,\"cache_write_tokens\":20,"
	 "\"audio_tokens\":5},\"completion_tokens_details\":{"
	 "\"reasoning_tokens\":40,\"audio_tokens\":2,"
	 "\"accepted_prediction_tokens\":1,"
	 "\"rejected_prediction_tokens\":3}}"},
	"input 45, cache_read 30, cache_write_5m 20, output 8, reasoning 40, "
	"audio_in 5, audio_out 2 of 100/50"},
    {"openai: reasoning without text", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":12,\"completion_tokens\":100,"
	 "\"total_tokens\":112,\"completion_tokens_details\":{"
	 "\"reasoning_tokens\":100}}"},
	"input 12, reasoning 100 of 12/100"},
    {"openai: zero is a value", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}"},
	" of 0/0"},
    {"openai: no total", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":3,\"completion_tokens\":4,"
	 "\"prompt_tokens_details\":null}"},
	"input 3, output 4 of 3/4"},
    {"openai: no output", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":3,\"total_tokens\":10}"},
	"input 3, output 7 of 3/7"},
    {"openai: no input", USAGE_OPENAI_CHAT,
	{"{\"completion_tokens\":3,\"total_tokens\":10}"},
	"input 7, output 3 of 7/3"},
    {"openai: one count alone", USAGE_OPENAI_CHAT, {"{\"prompt_tokens\":3}"},
	"input 3 of 3/0 unknown"},
    {"openai: sub-counts too large", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":10,\"completion_tokens\":5,"
	 "\"prompt_tokens_details\":{\"cached_tokens\":11,"
	 "\"audio_tokens\":4}}"},
	"cache_read 10, output 5 of 10/5 bad"},
    {"openai: wrong total", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":10,\"completion_tokens\":5,"
	 "\"total_tokens\":99}"},
	"input 10, output 5 of 10/5 bad"},
    {"openai: negative", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":-1,\"completion_tokens\":5}"},
	"output 5 of 0/5 unknown bad"},
    {"openai: no integer", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":1.5,\"completion_tokens\":5,"
	 "\"total_tokens\":7}"},
	"input 2, output 5 of 2/5 bad"},
    {"openai: null keeps, last wins", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}",
	    "null",
	    "{\"prompt_tokens\":3,\"completion_tokens\":9,"
	    "\"total_tokens\":12}"},
	"input 3, output 9 of 3/9"},
    {"azure: tier in the object", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4,"
	 "\"service_tier\":\"priority\"}"},
	"input 3, output 1 of 3/1 priority"},
    {"deepseek: hits and misses", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":30,\"completion_tokens\":1,"
	 "\"total_tokens\":31,\"prompt_cache_hit_tokens\":20,"
	 "\"prompt_cache_miss_tokens\":10}"},
	"input 10, cache_read 20, output 1 of 30/1"},
    {"deepseek: both words", USAGE_OPENAI_CHAT,
	{"{\"prompt_cache_hit_tokens\":20,\"prompt_tokens\":30,"
	 "\"completion_tokens\":1,\"prompt_tokens_details\":{"
	 "\"cached_tokens\":19},\"prompt_cache_miss_tokens\":10}"},
	"input 11, cache_read 19, output 1 of 30/1"},
    {"xai: reasoning beside the output", USAGE_OPENAI_CHAT,
	{"{\"prompt_tokens\":32,\"completion_tokens\":9,"
	 "\"total_tokens\":141,\"completion_tokens_details\":{"
	 "\"reasoning_tokens\":100},\"num_sources_used\":2}"},
	"input 32, output 9, reasoning 100, web_search 2 of 32/109"},
    {"mistral: seconds of audio", USAGE_OPENAI_CHAT,
	{"{\"prompt_audio_seconds\":17,\"prompt_tokens\":4,"
	 "\"completion_tokens\":5,\"total_tokens\":9}"},
	"input 4, output 5, audio_seconds 17 of 4/5"},
    {"embeddings", USAGE_OPENAI_EMBED,
	{"{\"prompt_tokens\":8,\"total_tokens\":8}"}, "input 8 of 8/0"},
    {"embeddings: total alone", USAGE_OPENAI_EMBED, {"{\"total_tokens\":8}"},
	"input 8 of 8/0"},
    {"embeddings: prompt alone", USAGE_OPENAI_EMBED, {"{\"prompt_tokens\":8}"},
	"input 8 of 8/0"},

    {"responses", USAGE_OPENAI_RESPONSES,
	{"{\"input_tokens\":37,\"input_tokens_details\":{"
	 "\"cached_tokens\":30,\"cache_write_tokens\":4},"
	 "\"output_tokens\":11,\"output_tokens_details\":{"
	 "\"reasoning_tokens\":6},\"total_tokens\":48}"},
	"input 3, cache_read 30, cache_write_5m 4, output 5, reasoning 6 "
	"of 37/11"},
    {"responses: no usage", USAGE_OPENAI_RESPONSES, {"null"},
	" of 0/0 unknown"},
    {"images", USAGE_OPENAI_RESPONSES,
	{"{\"input_tokens\":50,\"input_tokens_details\":{"
	 "\"text_tokens\":10,\"image_tokens\":40},\"output_tokens\":4160,"
	 "\"total_tokens\":4210}"},
	"input 10, output 4160, image_in 40 of 50/4160"},
    {"images: output told apart", USAGE_OPENAI_RESPONSES,
	{"{\"input_tokens\":50,\"output_tokens\":100,\"total_tokens\":150,"
	 "\"output_tokens_details\":{\"image_tokens\":90,"
	 "\"text_tokens\":10}}"},
	"input 50, output 10, image_out 90 of 50/100"},
    {"transcription by tokens", USAGE_OPENAI_RESPONSES,
	{"{\"type\":\"tokens\",\"input_tokens\":14,"
	 "\"input_token_details\":{\"text_tokens\":4,"
	 "\"audio_tokens\":10},\"output_tokens\":5,\"total_tokens\":19}"},
	"input 4, output 5, audio_in 10 of 14/5"},
    {"transcription by time", USAGE_OPENAI_RESPONSES,
	{"{\"type\":\"duration\",\"seconds\":9.2}"}, "audio_seconds 10 of 0/0"},
    {"transcription of whole seconds", USAGE_OPENAI_RESPONSES,
	{"{\"type\":\"duration\",\"seconds\":9.00}"}, "audio_seconds 9 of 0/0"},
    {"cached audio", USAGE_OPENAI_RESPONSES,
	{"{\"input_tokens\":100,\"output_tokens\":1,"
	 "\"input_token_details\":{\"cached_tokens\":60,"
	 "\"audio_tokens\":50,\"cached_tokens_details\":{"
	 "\"text_tokens\":40,\"audio_tokens\":20}}}"},
	"input 10, cache_read 40, output 1, audio_in 30, "
	"audio_cache_read 20 of 100/1"},

    {"anthropic: plain", USAGE_ANTHROPIC,
	{"{\"input_tokens\":377,\"cache_creation_input_tokens\":100,"
	 "\"cache_read_input_tokens\":1000,\"cache_creation\":{"
	 "\"ephemeral_5m_input_tokens\":60,"
	 "\"ephemeral_1h_input_tokens\":40},\"output_tokens\":65,"
	 "\"output_tokens_details\":{\"thinking_tokens\":15},"
	 "\"server_tool_use\":{\"web_search_requests\":2,"
	 "\"web_fetch_requests\":9},\"service_tier\":\"standard\","
	 "\"inference_geo\":null}"},
	"input 377, cache_read 1000, cache_write_5m 60, cache_write_1h 40, "
	"output 50, reasoning 15, web_search 2 of 1477/65"},
    {"anthropic: start and deltas", USAGE_ANTHROPIC,
	{"{\"input_tokens\":10,\"cache_creation_input_tokens\":0,"
	 "\"cache_read_input_tokens\":5,\"output_tokens\":1,"
	 "\"service_tier\":\"batch\"}",
	    "{\"output_tokens\":20}",
	    "{\"input_tokens\":null,\"output_tokens\":65,"
	    "\"cache_read_input_tokens\":7}"},
	"input 10, cache_read 7, output 65 of 17/65 batch"},
    {"anthropic: writes not told apart", USAGE_ANTHROPIC,
	{"{\"input_tokens\":1,\"cache_creation_input_tokens\":9,"
	 "\"output_tokens\":2,\"cache_creation\":null}"},
	"input 1, cache_write_5m 9, output 2 of 10/2"},
    {"anthropic: only the split", USAGE_ANTHROPIC,
	{"{\"input_tokens\":1,\"output_tokens\":2,\"cache_creation\":{"
	 "\"ephemeral_5m_input_tokens\":3,"
	 "\"ephemeral_1h_input_tokens\":4}}"},
	"input 1, cache_write_5m 3, cache_write_1h 4, output 2 of 8/2"},
    {"anthropic: split does not fit", USAGE_ANTHROPIC,
	{"{\"input_tokens\":1,\"cache_creation_input_tokens\":9,"
	 "\"output_tokens\":2,\"cache_creation\":{"
	 "\"ephemeral_5m_input_tokens\":3,"
	 "\"ephemeral_1h_input_tokens\":14}}"},
	"input 1, cache_write_1h 9, output 2 of 10/2 bad"},
    {"anthropic: compaction", USAGE_ANTHROPIC,
	{"{\"input_tokens\":23000,\"output_tokens\":1000,\"iterations\":["
	 "{\"type\":\"compaction\",\"input_tokens\":180000,"
	 "\"output_tokens\":3500,\"cache_read_input_tokens\":7},"
	 "{\"type\":\"message\",\"input_tokens\":23000,"
	 "\"output_tokens\":1000}]}"},
	"input 203000, cache_read 7, output 4500 of 203007/4500"},
    {"anthropic: rounds inside the totals", USAGE_ANTHROPIC,
	{"{\"input_tokens\":30,\"output_tokens\":9,\"iterations\":["
	 "{\"type\":\"message\",\"input_tokens\":10,\"output_tokens\":4},"
	 "{\"type\":\"fallback_message\",\"input_tokens\":20,"
	 "\"output_tokens\":5}]}"},
	"input 30, output 9 of 30/9"},
    {"anthropic: an adviser", USAGE_ANTHROPIC,
	{"{\"input_tokens\":30,\"output_tokens\":9,\"iterations\":["
	 "{\"type\":\"advisor_message\",\"model\":\"x\",\"input_tokens\":2,"
	 "\"output_tokens\":5}]}"},
	"input 32, output 14 of 32/14 bad"},
    {"anthropic: fast and a place", USAGE_ANTHROPIC,
	{"{\"input_tokens\":1,\"output_tokens\":2,\"speed\":\"fast\","
	 "\"service_tier\":\"standard\",\"inference_geo\":\"us\"}"},
	"input 1, output 2 of 1/2 fast+us"},
    {"anthropic: everywhere", USAGE_ANTHROPIC,
	{"{\"input_tokens\":1,\"output_tokens\":2,\"speed\":\"standard\","
	 "\"inference_geo\":\"global\"}"},
	"input 1, output 2 of 1/2"},
    {"anthropic: thinking too large", USAGE_ANTHROPIC,
	{"{\"input_tokens\":1,\"output_tokens\":2,"
	 "\"output_tokens_details\":{\"thinking_tokens\":3}}"},
	"input 1, reasoning 2 of 1/2 bad"},

    {"bedrock", USAGE_BEDROCK,
	{"{\"inputTokens\":10,\"outputTokens\":20,\"totalTokens\":30,"
	 "\"cacheReadInputTokens\":0,\"cacheWriteInputTokens\":0}"},
	"input 10, output 20 of 10/20"},
    {"bedrock: cache", USAGE_BEDROCK,
	{"{\"inputTokens\":10,\"outputTokens\":20,\"totalTokens\":137,"
	 "\"cacheReadInputTokens\":100,\"cacheWriteInputTokens\":7,"
	 "\"cacheDetails\":[{\"ttl\":\"5m\",\"inputTokens\":4},"
	 "{\"ttl\":\"1h\",\"inputTokens\":3}]}"},
	"input 10, cache_read 100, cache_write_5m 4, cache_write_1h 3, "
	"output 20 of 117/20"},
    {"bedrock: wrong total", USAGE_BEDROCK,
	{"{\"inputTokens\":10,\"outputTokens\":20,\"totalTokens\":31}"},
	"input 10, output 20 of 10/20 bad"},
    {"bedrock: invoke metrics", USAGE_BEDROCK,
	{"{\"inputTokenCount\":10,\"outputTokenCount\":20,"
	 "\"invocationLatency\":1,\"cacheReadInputTokenCount\":3}"},
	"input 10, cache_read 3, output 20 of 13/20"},

    {"gemini: thoughts beside", USAGE_GEMINI,
	{"{\"promptTokenCount\":50,\"candidatesTokenCount\":11,"
	 "\"thoughtsTokenCount\":30,\"totalTokenCount\":91}"},
	"input 50, output 11, reasoning 30 of 50/41"},
    {"gemini: thoughts inside", USAGE_GEMINI,
	{"{\"promptTokenCount\":50,\"candidatesTokenCount\":41,"
	 "\"thoughtsTokenCount\":30,\"totalTokenCount\":91}"},
	"input 50, output 11, reasoning 30 of 50/41"},
    {"gemini: neither", USAGE_GEMINI,
	{"{\"promptTokenCount\":50,\"candidatesTokenCount\":41,"
	 "\"thoughtsTokenCount\":30,\"totalTokenCount\":100}"},
	"input 50, output 20, reasoning 30 of 50/50 bad"},
    {"gemini: no total", USAGE_GEMINI,
	{"{\"promptTokenCount\":50,\"candidatesTokenCount\":11,"
	 "\"thoughtsTokenCount\":30}"},
	"input 50, output 11, reasoning 30 of 50/41"},
    {"gemini: total below the prompt", USAGE_GEMINI,
	{"{\"promptTokenCount\":50,\"candidatesTokenCount\":11,"
	 "\"totalTokenCount\":3}"},
	"input 50, output 11 of 50/11 bad"},
    {"gemini: only thoughts so far", USAGE_GEMINI,
	{"{\"promptTokenCount\":50,\"thoughtsTokenCount\":30,"
	 "\"totalTokenCount\":80}"},
	"input 50, reasoning 30 of 50/30"},
    {"gemini: blocked prompt", USAGE_GEMINI,
	{"{\"promptTokenCount\":7,\"totalTokenCount\":7}"}, "input 7 of 7/0"},
    {"gemini: running totals, a chunk without", USAGE_GEMINI,
	{"{\"promptTokenCount\":50,\"totalTokenCount\":50}",
	    "{\"trafficType\":\"ON_DEMAND_PRIORITY\"}",
	    "{\"promptTokenCount\":50,\"candidatesTokenCount\":4,"
	    "\"totalTokenCount\":54}",
	    "null"},
	"input 50, output 4 of 50/4 priority"},
    {"gemini: cache, tools, modalities", USAGE_GEMINI,
	{"{\"promptTokenCount\":100,\"cachedContentTokenCount\":60,"
	 "\"toolUsePromptTokenCount\":20,\"candidatesTokenCount\":30,"
	 "\"thoughtsTokenCount\":5,\"totalTokenCount\":155,"
	 "\"promptTokensDetails\":[{\"modality\":\"TEXT\","
	 "\"tokenCount\":40},{\"modality\":\"AUDIO\",\"tokenCount\":50},"
	 "{\"modality\":\"IMAGE\",\"tokenCount\":10}],"
	 "\"cacheTokensDetails\":[{\"modality\":\"AUDIO\","
	 "\"tokenCount\":35},{\"modality\":\"TEXT\",\"tokenCount\":25}],"
	 "\"candidatesTokensDetails\":[{\"modality\":\"IMAGE\","
	 "\"tokenCount\":25}],\"trafficType\":\"PROVISIONED_THROUGHPUT\"}"},
	"input 35, cache_read 25, output 5, reasoning 5, audio_in 15, "
	"image_in 10, image_out 25, audio_cache_read 35 of 120/35 "
	"provisioned"},

    {"cohere: billed", USAGE_COHERE,
	{"{\"billed_units\":{\"input_tokens\":5,\"output_tokens\":418},"
	 "\"tokens\":{\"input_tokens\":71,\"output_tokens\":420}}"},
	"input 5, output 418 of 71/420"},
    {"cohere: tokens alone", USAGE_COHERE,
	{"{\"tokens\":{\"input_tokens\":71,\"output_tokens\":420}}"},
	"input 71, output 420 of 71/420"},
    {"cohere: rerank", USAGE_COHERE,
	{"{\"api_version\":{\"version\":\"2\"},\"billed_units\":{"
	 "\"search_units\":3}}"},
	"search_units 3 of 0/0"},
    {"cohere: nothing", USAGE_COHERE, {"{\"billed_units\":null}"},
	" of 0/0 unknown"},

    {"ollama", USAGE_OLLAMA,
	{"{\"done\":true,\"total_duration\":1234567890123,"
	 "\"prompt_eval_count\":26,\"eval_count\":282}"},
	"input 26, output 282 of 26/282"},
    {"ollama: cached prompt", USAGE_OLLAMA,
	{"{\"done\":true,\"eval_count\":282}"}, "output 282 of 0/282 unknown"},
};

static const char *
row_named(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].updates[0];
	ck_abort_msg("no row %s", name);
	return NULL;
}

START_TEST(test_rows)
{
	char got[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct usage_state s = {0};

		for (int k = 0; k < 4 && rows[i].updates[k] != NULL; k++)
			(void)usage_update(
			    &s, rows[i].shape, doc(rows[i].updates[k]), k == 3);
		show(&s, got, sizeof(got));
		if (strcmp(got, rows[i].want) != 0)
			ck_abort_msg("%s:\n got  %s\n want %s", rows[i].name,
			    got, rows[i].want);
	}
}
END_TEST

/* What OpenAI's rules say of random counts, written down another way. */
struct oracle {
	int64_t in, out, cached, written, audio, reasoning, image;
	bool bad;
};

static int64_t
oracle_take(struct oracle *o, int64_t want, int64_t left)
{
	o->bad |= want > left;
	return want > left ? left : want;
}

static void
oracle_read(struct oracle *o, const int64_t v[8], bool out, bool total)
{
	*o = (struct oracle){.in = v[0], .out = out ? v[1] : v[2] - v[0]};
	if (out && total && v[2] != v[0] + v[1]) {
		o->bad = v[2] != v[0] + v[1] + v[6];
		o->out += o->bad ? 0 : v[6];
	}
	o->cached = oracle_take(o, v[3], o->in);
	o->written = oracle_take(o, v[4], o->in - o->cached);
	o->audio = oracle_take(o, v[5], o->in - o->cached - o->written);
	o->reasoning = oracle_take(o, v[6], o->out);
	o->image = oracle_take(o, v[7], o->out - o->reasoning);
}

START_TEST(test_random)
{
	struct rng_seeded r;
	char text[512];

	rng_seeded_init(&r, 31);
	for (int n = 0; n < 20000; n++) {
		struct usage_state s = {0};
		const int64_t *t = s.usage.tokens.n;
		bool out = rng_below(&r.rng, 9) > 0;
		bool total = !out || rng_below(&r.rng, 9) > 0;
		struct oracle o;
		int64_t v[8];

		for (int i = 0; i < 8; i++)
			v[i] = (int64_t)rng_below(&r.rng, 40);
		if (!out || rng_below(&r.rng, 3) > 0)
			v[2] = v[0] + v[1];
		snprintf(text, sizeof(text),
		    "{\"prompt_tokens\":%lld,\"%s\":%lld,\"%s\":%lld,"
		    "\"prompt_tokens_details\":{\"cached_tokens\":%lld,"
		    "\"cache_write_tokens\":%lld,\"audio_tokens\":%lld},"
		    "\"completion_tokens_details\":{\"reasoning_tokens\":%lld,"
		    "\"image_tokens\":%lld}}",
		    (long long)v[0], out ? "completion_tokens" : "x",
		    (long long)v[1], total ? "total_tokens" : "y",
		    (long long)v[2], (long long)v[3], (long long)v[4],
		    (long long)v[5], (long long)v[6], (long long)v[7]);
		oracle_read(&o, v, out, total);
		ck_assert(usage_update(&s, USAGE_OPENAI_CHAT, doc(text), true));
		ck_assert(s.known && s.final);
		ck_assert(s.usage.inconsistent == o.bad);
		if (t[TC_CACHE_READ] != o.cached ||
		    t[TC_CACHE_WRITE_5M] != o.written ||
		    t[TC_AUDIO_IN] != o.audio ||
		    t[TC_INPUT] != o.in - o.cached - o.written - o.audio ||
		    t[TC_REASONING] != o.reasoning ||
		    t[TC_IMAGE_OUT] != o.image ||
		    t[TC_OUTPUT] != o.out - o.reasoning - o.image)
			ck_abort_msg("differs: %s", text);
	}
}
END_TEST

START_TEST(test_tiers)
{
	static const char *const words[][2] = {{"\"default\"", ""},
	    {"\"standard\"", ""}, {"\"STANDARD\"", ""}, {"\"ON_DEMAND\"", ""},
	    {"\"priority\"", "priority"}, {"\"fast\"", "priority"},
	    {"\"ON_DEMAND_PRIORITY\"", "priority"}, {"\"flex\"", "flex"},
	    {"\"ON_DEMAND_FLEX\"", "flex"}, {"\"batch\"", "batch"},
	    {"\"PROVISIONED_THROUGHPUT\"", "provisioned"},
	    {"{\"type\":\"reserved\"}", "provisioned"},
	    {"{\"type\":\"default\"}", ""}, {"\"scale\"", "scale"},
	    {"\"Turbo-2\"", "turbo-2"}};
	/* These change nothing. */
	static const char *const odd[] = {"null", "7", "\"\\u0000\"", "\"a b\"",
	    "\"a\\\"b\"", "{}", "[]", "\"abcdefghijklmnopqrstuvwxyz\"",
	    "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\""};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct usage_state s = {.tier = "x", .usage = {.tier = "x"}};

		usage_tier(&s, doc(words[i][0]));
		ck_assert_str_eq(s.usage.tier, words[i][1]);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		struct usage_state s = {.tier = "x", .usage = {.tier = "x"}};

		usage_tier(&s, doc(odd[i]));
		ck_assert_str_eq(s.usage.tier, "x");
	}
}
END_TEST

START_TEST(test_asked)
{
	static const char *const t[][2] = {{"{}", ""}, {"[1]", ""},
	    {"{\"service_tier\":\"auto\"}", ""},
	    {"{\"service_tier\":null}", ""},
	    {"{\"messages\":[{\"service_tier\":\"flex\"}]}", ""},
	    {"{\"service_tier\":\"fast\"}", "priority"},
	    {"{\"service_tier\":\"ultrafast\",\"n\":1}", "ultrafast"},
	    {"{\"serviceTier\":\"FLEX\"}", "flex"},
	    {"{\"speed\":\"fast\",\"service_tier\":\"auto\"}", "fast"},
	    {"{\"speed\":\"standard\"}", ""},
	    {"{\"speed\":\"\\u0066ast\"}", "fast"},
	    {"{\"service_tier\":\"ultrafast\",\"serviceTier\":\"default\"}",
		"*"}};
	char got[IR_TIER_MAX];

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		usage_tier_asked(doc(t[i][0]), got);
		ck_assert_str_eq(got, t[i][1]);
	}
}
END_TEST

START_TEST(test_units)
{
	struct usage_state s = {0};

	usage_add(&s, TC_WEB_SEARCH, 2);
	usage_add(&s, TC_WEB_SEARCH, 1);
	usage_add(&s, TC_INPUT, 5);   /* not a unit */
	usage_add(&s, TC_IMAGES, -5); /* not a count */
	ck_assert_int_eq(s.usage.tokens.n[TC_WEB_SEARCH], 3);
	ck_assert(usage_update(&s, USAGE_ANTHROPIC,
	    doc("{\"input_tokens\":1,\"output_tokens\":2,"
		"\"server_tool_use\":{\"web_search_requests\":4}}"),
	    true));
	ck_assert_int_eq(s.usage.tokens.n[TC_WEB_SEARCH], 7);
	ck_assert_int_eq(s.usage.tokens.n[TC_INPUT], 1);
	ck_assert_int_eq(s.usage.tokens.n[TC_IMAGES], 0);
	usage_add(&s, TC_CHARACTERS, INT64_MAX);
	usage_add(&s, TC_CHARACTERS, INT64_MAX);
	ck_assert_int_eq(s.usage.tokens.n[TC_CHARACTERS], USAGE_MAX_TOKENS);
	ck_assert(!usage_update(&s, USAGE_ANTHROPIC, doc("{}"), true));
}
END_TEST

/* What a dialect can say comes back as it was. */
START_TEST(test_writers)
{
	static const struct {
		const char *name;
		enum usage_shape shape;
		void (*write)(struct buf *, const struct ir_usage *);
	} w[] = {{"openai", USAGE_OPENAI_CHAT, usage_write_openai},
	    {"responses", USAGE_OPENAI_RESPONSES, usage_write_responses},
	    {"gemini", USAGE_GEMINI, usage_write_gemini}};
	struct usage_state s = {0}, back;
	char got[512], want[512];
	struct buf b;

	buf_init(&b, 4096);
	ck_assert(usage_update(&s, USAGE_OPENAI_CHAT,
	    doc("{\"prompt_tokens\":100,\"completion_tokens\":50,"
		"\"prompt_tokens_details\":{\"cached_tokens\":30},"
		"\"completion_tokens_details\":{\"reasoning_tokens\":20}}"),
	    true));
	show(&s, want, sizeof(want));
	for (size_t i = 0; i < sizeof(w) / sizeof(*w); i++) {
		buf_clear(&b);
		w[i].write(&b, &s.usage);
		back = (struct usage_state){0};
		ck_assert(
		    usage_update(&back, w[i].shape, doc(buf_cstr(&b)), true));
		ck_assert_str_eq(show(&back, got, sizeof(got)), want);
	}
	buf_clear(&b);
	s = (struct usage_state){0};
	(void)usage_update(
	    &s, USAGE_ANTHROPIC, doc(row_named("anthropic: plain")), true);
	show(&s, want, sizeof(want));
	usage_write_anthropic(&b, &s.usage, false);
	back = (struct usage_state){0};
	ck_assert(
	    usage_update(&back, USAGE_ANTHROPIC, doc(buf_cstr(&b)), true));
	ck_assert_str_eq(show(&back, got, sizeof(got)), want);
	buf_clear(&b);
	s = (struct usage_state){0};
	usage_write_anthropic(&b, &s.usage, true);
	ck_assert(strstr(buf_cstr(&b), "\"output_tokens\":1,") != NULL);
	buf_release(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/usage");

	UNIT_ADD(s, test_rows);
	UNIT_ADD(s, test_random);
	UNIT_ADD(s, test_tiers);
	UNIT_ADD(s, test_asked);
	UNIT_ADD(s, test_units);
	UNIT_ADD(s, test_writers);
	return unit_run(s);
}
