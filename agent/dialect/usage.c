/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading usage objects: one table of members per provider dialect, which
 * fills raw counters; then one rule per way of counting, which derives the
 * disjoint classes from them. Raw counters are kept between updates, because
 * streams tell their usage piece by piece (running totals, never sums).
 *
 * What is odd:
 * - OpenAI, Responses, Gemini count cached input inside the input; Anthropic
 *   and Bedrock beside it.
 * - Whether reasoning is inside the output (OpenAI, Gemini on some paths) or
 *   beside it (xAI, Gemini on others) is told by the provider's total only.
 * - Counts are clamped to their totals: a sub-count never makes a request
 *   dearer than its totals say.
 */
#include "agent/dialect/usage.h"

#include <string.h>

enum raw {
	R_IN,
	R_OUT,
	R_TOTAL,
	R_CACHE_READ,
	R_CACHE_WRITE,
	R_WRITE_5M,
	R_WRITE_1H,
	R_REASONING,
	R_AUDIO_IN,
	R_IMAGE_IN,
	R_AUDIO_OUT,
	R_IMAGE_OUT,
	R_AUDIO_CACHED,
	R_TOOL_USE,  /* Gemini: input made by tools, beside the prompt */
	R_BILLED_IN, /* Cohere: what is paid for */
	R_BILLED_OUT,
	R_EXTRA_IN, /* Anthropic: iterations that the totals leave out */
	R_EXTRA_OUT,
	R_EXTRA_READ,
	R_EXTRA_WRITE,
	R_SEARCHES, /* units, in the order of their classes */
	R_SECONDS,
	R_CHARACTERS,
	R_IMAGES,
	R_SEARCH_UNITS,
	R_ADDED, /* units of usage_add(), five of them */
	R_BAD = R_ADDED + 5,
	R_N
};
_Static_assert(R_N <= USAGE_N_RAW, "raw counters");
_Static_assert(R_SEARCH_UNITS - R_SEARCHES == TC_SEARCH_UNITS - TC_WEB_SEARCH,
    "units in the order of their classes");

enum kind {
	F_COUNT,   /* a count */
	F_ALT,	   /* a count, unless its counter was told by F_COUNT */
	F_SECONDS, /* a count that may have a fraction: rounded up */
	F_OBJECT,  /* members in sub */
	F_MODAL,   /* [{modality, tokenCount}]: raw audio, raw + 1 image */
	F_CACHED,  /* the same of cached input: raw audio */
	F_TTL,	   /* [{ttl, inputTokens}] */
	F_ROUNDS,  /* Anthropic's iterations */
	F_TIER,
	F_SPEED,
	F_GEO
};

struct field {
	struct str name; /* NULL: the end */
	enum kind kind;
	enum raw raw;
	const struct field *sub;
};

#define NAME(z)                  \
	{                        \
		z, sizeof(z) - 1 \
	}
#define COUNT(name, raw)                       \
	{                                      \
		NAME(name), F_COUNT, raw, NULL \
	}
#define ALT(name, raw)                       \
	{                                    \
		NAME(name), F_ALT, raw, NULL \
	}
#define OBJECT(name, sub)                      \
	{                                      \
		NAME(name), F_OBJECT, R_N, sub \
	}
#define OTHER(name, kind)                   \
	{                                   \
		NAME(name), kind, R_N, NULL \
	}
#define END                                   \
	{                                     \
		{NULL, 0}, F_COUNT, R_N, NULL \
	}

static const struct field openai_cached[] = {
    COUNT("audio_tokens", R_AUDIO_CACHED), END};
static const struct field openai_in[] = {COUNT("cached_tokens", R_CACHE_READ),
    COUNT("cache_write_tokens", R_CACHE_WRITE),
    ALT("cache_creation_tokens", R_CACHE_WRITE),
    COUNT("audio_tokens", R_AUDIO_IN), COUNT("image_tokens", R_IMAGE_IN),
    OBJECT("cached_tokens_details", openai_cached), END};
static const struct field openai_out[] = {
    COUNT("reasoning_tokens", R_REASONING), COUNT("audio_tokens", R_AUDIO_OUT),
    COUNT("image_tokens", R_IMAGE_OUT), END};
static const struct field openai_fields[] = {COUNT("prompt_tokens", R_IN),
    COUNT("completion_tokens", R_OUT), COUNT("total_tokens", R_TOTAL),
    OBJECT("prompt_tokens_details", openai_in),
    OBJECT("completion_tokens_details", openai_out),
    ALT("prompt_cache_hit_tokens", R_CACHE_READ), /* DeepSeek */
    ALT("cached_tokens", R_CACHE_READ),		  /* Moonshot */
    ALT("reasoning_tokens", R_REASONING),	  /* Perplexity, older xAI */
    ALT("input_tokens", R_IN), ALT("output_tokens", R_OUT),
    COUNT("num_search_queries", R_SEARCHES),			/* Perplexity */
    ALT("num_sources_used", R_SEARCHES),			/* xAI */
    {NAME("prompt_audio_seconds"), F_SECONDS, R_SECONDS, NULL}, /* Mistral */
    OTHER("service_tier", F_TIER), END};
static const struct field responses_fields[] = {COUNT("input_tokens", R_IN),
    COUNT("output_tokens", R_OUT), COUNT("total_tokens", R_TOTAL),
    OBJECT("input_tokens_details", openai_in),
    OBJECT("input_token_details", openai_in), /* transcriptions */
    OBJECT("output_tokens_details", openai_out),
    OBJECT("output_token_details", openai_out), ALT("prompt_tokens", R_IN),
    ALT("completion_tokens", R_OUT), ALT("num_sources_used", R_SEARCHES),
    {NAME("seconds"), F_SECONDS, R_SECONDS, NULL}, /* transcriptions */
    OTHER("service_tier", F_TIER), END};

static const struct field anthropic_writes[] = {
    COUNT("ephemeral_5m_input_tokens", R_WRITE_5M),
    COUNT("ephemeral_1h_input_tokens", R_WRITE_1H), END};
static const struct field anthropic_out[] = {
    COUNT("thinking_tokens", R_REASONING), END};
static const struct field anthropic_tools[] = {
    COUNT("web_search_requests", R_SEARCHES), END}; /* fetches are free */
static const struct field anthropic_fields[] = {COUNT("input_tokens", R_IN),
    COUNT("output_tokens", R_OUT),
    COUNT("cache_creation_input_tokens", R_CACHE_WRITE),
    COUNT("cache_read_input_tokens", R_CACHE_READ),
    OBJECT("cache_creation", anthropic_writes),
    OBJECT("output_tokens_details", anthropic_out),
    OBJECT("server_tool_use", anthropic_tools), OTHER("iterations", F_ROUNDS),
    OTHER("service_tier", F_TIER), OTHER("speed", F_SPEED),
    OTHER("inference_geo", F_GEO), END};

static const struct field gemini_fields[] = {COUNT("promptTokenCount", R_IN),
    COUNT("candidatesTokenCount", R_OUT), COUNT("totalTokenCount", R_TOTAL),
    COUNT("thoughtsTokenCount", R_REASONING),
    COUNT("cachedContentTokenCount", R_CACHE_READ),
    COUNT("toolUsePromptTokenCount", R_TOOL_USE),
    {NAME("promptTokensDetails"), F_MODAL, R_AUDIO_IN, NULL},
    {NAME("candidatesTokensDetails"), F_MODAL, R_AUDIO_OUT, NULL},
    {NAME("cacheTokensDetails"), F_CACHED, R_AUDIO_CACHED, NULL},
    ALT("responseTokenCount", R_OUT), OTHER("trafficType", F_TIER),
    OTHER("serviceTier", F_TIER), END};

static const struct field bedrock_fields[] = {COUNT("inputTokens", R_IN),
    COUNT("outputTokens", R_OUT), COUNT("totalTokens", R_TOTAL),
    COUNT("cacheReadInputTokens", R_CACHE_READ),
    COUNT("cacheWriteInputTokens", R_CACHE_WRITE), OTHER("cacheDetails", F_TTL),
    /* metrics of InvokeModel */
    ALT("inputTokenCount", R_IN), ALT("outputTokenCount", R_OUT),
    ALT("cacheReadInputTokenCount", R_CACHE_READ),
    ALT("cacheWriteInputTokenCount", R_CACHE_WRITE),
    OTHER("serviceTier", F_TIER), END};

static const struct field cohere_tokens[] = {COUNT("input_tokens", R_IN),
    COUNT("output_tokens", R_OUT), ALT("image_tokens", R_IMAGE_IN), END};
static const struct field cohere_billed[] = {COUNT("input_tokens", R_BILLED_IN),
    COUNT("output_tokens", R_BILLED_OUT), COUNT("search_units", R_SEARCH_UNITS),
    COUNT("images", R_IMAGES), END};
static const struct field cohere_fields[] = {OBJECT("tokens", cohere_tokens),
    OBJECT("billed_units", cohere_billed), END};

static const struct field ollama_fields[] = {
    COUNT("prompt_eval_count", R_IN), COUNT("eval_count", R_OUT), END};

static const struct field *const shape_fields[] = {
    [USAGE_OPENAI_CHAT] = openai_fields,
    [USAGE_OPENAI_EMBED] = openai_fields,
    [USAGE_OPENAI_RESPONSES] = responses_fields,
    [USAGE_ANTHROPIC] = anthropic_fields,
    [USAGE_GEMINI] = gemini_fields,
    [USAGE_BEDROCK] = bedrock_fields,
    [USAGE_COHERE] = cohere_fields,
    [USAGE_OLLAMA] = ollama_fields,
    [USAGE_GEMINI_EMBED] = gemini_fields,
    [USAGE_OLLAMA_EMBED] = ollama_fields,
};

/* ---- reading ---- */

struct reading {
	struct usage_state *s;
	uint64_t told; /* counters that a F_COUNT of this object set */
	bool any;
};

static void
raw_bad(struct usage_state *s)
{
	s->raw[R_BAD] = 1;
}

/* "12" or, with fraction, "12.5" as 13. False: nothing to be believed. */
static bool
read_number(struct json v, bool fraction, int64_t *ret)
{
	struct str whole, frac, s = {v.p, (size_t)(v.end - v.p)};
	int64_t n;

	if (v.type != JSON_NUMBER)
		return false;
	if (json_to_i64(v, &n) != 0) {
		if (!fraction || !str_cut(s, '.', &whole, &frac) ||
		    str_to_i64(whole, &n) != 0)
			return false;
		for (size_t i = 0; i < frac.len; i++)
			if (frac.p[i] < '0' || frac.p[i] > '9')
				return false;
		for (size_t i = 0; i < frac.len; i++)
			if (frac.p[i] != '0') {
				n++;
				break;
			}
	}
	if (n < 0 || n > USAGE_MAX_TOKENS)
		return false;
	*ret = n;
	return true;
}

static void
read_count(struct reading *r, const struct field *f, struct json v)
{
	uint64_t bit = UINT64_C(1) << f->raw;
	int64_t n;

	if (v.type == JSON_NULL || (f->kind == F_ALT && (r->told & bit) != 0))
		return;
	if (!read_number(v, f->kind == F_SECONDS, &n)) {
		raw_bad(r->s);
		return;
	}
	if (f->kind != F_ALT)
		r->told |= bit;
	r->s->raw[f->raw] = n + 1;
	r->any = true;
}

/* Add the count called name of an element to a sum. */
static void
read_sum(struct reading *r, struct json element, const char *name, int64_t *sum)
{
	struct json v;
	int64_t n;

	if (!json_getz(element, name, &v) || v.type == JSON_NULL)
		return;
	if (!read_number(v, false, &n) || n > USAGE_MAX_TOKENS - *sum)
		raw_bad(r->s);
	else
		*sum += n;
}

static bool
member_is(struct json obj, const char *name, const char *value)
{
	struct json v;

	return json_getz(obj, name, &v) && v.type == JSON_STRING &&
	       str_eqz(json_raw_string(v), value);
}

static void
read_modal(struct reading *r, const struct field *f, struct json list)
{
	struct json_iter it = json_iter(list);
	int64_t audio = 0, image = 0;
	struct json el;

	while (json_next_element(&it, &el)) {
		if (el.type != JSON_OBJECT)
			continue;
		if (member_is(el, "modality", "AUDIO"))
			read_sum(r, el, "tokenCount", &audio);
		else if (member_is(el, "modality", "IMAGE"))
			read_sum(r, el, "tokenCount", &image);
	}
	r->s->raw[f->raw] = audio + 1;
	if (f->kind == F_MODAL)
		r->s->raw[f->raw + 1] = image + 1;
}

static void
read_ttl(struct reading *r, struct json list)
{
	struct json_iter it = json_iter(list);
	int64_t short_lived = 0, hour = 0;
	struct json el;

	while (json_next_element(&it, &el)) {
		if (el.type != JSON_OBJECT)
			continue;
		read_sum(r, el, "inputTokens",
		    member_is(el, "ttl", "1h") ? &hour : &short_lived);
	}
	r->s->raw[R_WRITE_5M] = short_lived + 1;
	r->s->raw[R_WRITE_1H] = hour + 1;
}

/* The totals are sums of all rounds but those that compact the conversation,
 * and those of an adviser. The latter is another model, whose price is not
 * known here: its tokens are counted as the model's own, and flagged. */
static void
read_rounds(struct reading *r, struct json list)
{
	struct json_iter it = json_iter(list);
	int64_t in = 0, out = 0, read = 0, write = 0;
	struct json el;

	while (json_next_element(&it, &el)) {
		if (el.type != JSON_OBJECT)
			continue;
		if (member_is(el, "type", "advisor_message"))
			raw_bad(r->s);
		else if (!member_is(el, "type", "compaction"))
			continue;
		read_sum(r, el, "input_tokens", &in);
		read_sum(r, el, "output_tokens", &out);
		read_sum(r, el, "cache_read_input_tokens", &read);
		read_sum(r, el, "cache_creation_input_tokens", &write);
	}
	r->s->raw[R_EXTRA_IN] = in + 1;
	r->s->raw[R_EXTRA_OUT] = out + 1;
	r->s->raw[R_EXTRA_READ] = read + 1;
	r->s->raw[R_EXTRA_WRITE] = write + 1;
}

static void read_word(struct usage_state *s, enum kind kind, struct json v);

/* One level of members; deeper ones only where a table says so. */
static void
read_members(struct reading *r, const struct field *fields, struct json obj)
{
	struct json_iter it = json_iter(obj);
	const struct field *f;
	struct json v;
	struct str key;

	while (json_next_member(&it, &key, &v)) {
		for (f = fields; f->name.p != NULL; f++)
			if (json_key_eq(key, f->name))
				break;
		if (f->name.p == NULL)
			continue;
		if (f->kind <= F_SECONDS)
			read_count(r, f, v);
		else if (f->kind == F_OBJECT && v.type == JSON_OBJECT)
			read_members(r, f->sub, v);
		else if (f->kind >= F_TIER)
			read_word(r->s, f->kind, v);
		else if (v.type != JSON_ARRAY)
			continue;
		else if (f->kind == F_TTL)
			read_ttl(r, v);
		else if (f->kind == F_ROUNDS)
			read_rounds(r, v);
		else
			read_modal(r, f, v);
	}
}

/* ---- tiers ---- */

static const struct {
	const char *word, *tier;
} tier_words[] = {
    {"default", ""},
    {"standard", ""},
    {"standard_only", ""},
    {"auto", ""},
    {"on_demand", ""},
    {"unspecified", ""},
    {"service_tier_unspecified", ""},
    {"traffic_type_unspecified", ""},
    {"fast", "priority"},
    {"on_demand_priority", "priority"},
    {"on_demand_flex", "flex"},
    {"provisioned_throughput", "provisioned"},
    {"reserved", "provisioned"},
};

/* A word in lower case; false unless it is a string of a name's characters. */
static bool
word_read(struct json v, char *dst, size_t cap)
{
	if (v.type != JSON_STRING || json_copy_string(v, dst, cap) != 0)
		return false;
	for (char *p = dst; *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
		else if ((*p < 'a' || *p > 'z') && (*p < '0' || *p > '9') &&
			 *p != '_' && *p != '-' && *p != '.')
			return false;
	}
	return true;
}

/* usage.tier: the tier, and a place that has prices of its own. */
static void
tier_join(struct usage_state *s)
{
	char *dst = s->usage.tier;
	size_t n = strlen(s->tier), g = strlen(s->geo);

	memcpy(dst, s->tier, n + 1);
	if (g == 0 || n + 1 + g >= sizeof(s->usage.tier))
		return;
	if (n > 0)
		dst[n++] = '+';
	memcpy(dst + n, s->geo, g + 1);
}

static void
read_word(struct usage_state *s, enum kind kind, struct json v)
{
	char word[32];

	if (kind == F_TIER) {
		usage_tier(s, v);
		return;
	}
	if (!word_read(v, word, sizeof(word)))
		return;
	if (kind == F_SPEED) {
		/* Anthropic's fast mode has prices of its own. */
		if (strcmp(word, "fast") == 0)
			memcpy(s->tier, "fast", 5);
	} else if (strcmp(word, "global") == 0 ||
		   strcmp(word, "not_available") == 0) {
		s->geo[0] = '\0';
	} else if (strlen(word) < sizeof(s->geo)) {
		memcpy(s->geo, word, strlen(word) + 1);
	}
	tier_join(s);
}

/* A provider's word as the name of a price tier; false when it is none. */
static bool
tier_normal(struct json word, char dst[IR_TIER_MAX])
{
	char text[32];
	const char *tier = text;
	struct json v;

	if (word.type == JSON_OBJECT && json_getz(word, "type", &v))
		word = v;
	if (!word_read(word, text, sizeof(text)))
		return false;
	for (size_t i = 0; i < sizeof(tier_words) / sizeof(*tier_words); i++)
		if (strcmp(text, tier_words[i].word) == 0) {
			tier = tier_words[i].tier;
			break;
		}
	if (strlen(tier) >= IR_TIER_MAX)
		return false;
	memcpy(dst, tier, strlen(tier) + 1);
	return true;
}

void
usage_tier(struct usage_state *s, struct json word)
{
	char tier[IR_TIER_MAX];

	if (!tier_normal(word, tier))
		return;
	/* An explicit standard does not undo Anthropic's fast mode. */
	if (*tier == '\0' && strcmp(s->tier, "fast") == 0)
		return;
	memcpy(s->tier, tier, strlen(tier) + 1);
	tier_join(s);
}

void
usage_tier_asked(struct json body, char dst[IR_TIER_MAX])
{
	struct json_iter it = json_iter(body);
	char tier[IR_TIER_MAX];
	struct json v;
	struct str key;
	bool fast = false;
	unsigned n = 0;

	dst[0] = '\0';
	if (body.type != JSON_OBJECT)
		return;
	while (json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("speed")))
			fast = v.type == JSON_STRING &&
			       json_key_eq(json_raw_string(v), STR("fast"));
		else if (json_key_eq(key, STR("service_tier")) ||
			 json_key_eq(key, STR("serviceTier"))) {
			n++;
			if (tier_normal(v, tier))
				memcpy(dst, tier, sizeof(tier));
		}
	}
	if (fast)
		memcpy(dst, "fast", 5);
	if (n > 1) /* nobody knows which one counts */
		memcpy(dst, "*", 2);
}

/* ---- deriving ---- */

static bool
told(const struct usage_state *s, enum raw r)
{
	return s->raw[r] > 0;
}

static int64_t
value(const struct usage_state *s, enum raw r)
{
	return s->raw[r] > 0 ? s->raw[r] - 1 : 0;
}

/* Move a sub-count out of *rest; it cannot be more than what is left. */
static int64_t
split(struct ir_usage *u, int64_t n, int64_t *rest)
{
	if (n > *rest) {
		u->inconsistent = true;
		n = *rest;
	}
	*rest -= n;
	return n;
}

/* Divide writes to a cache between its lifetimes. */
static void
split_writes(const struct usage_state *s, struct ir_usage *u, int64_t writes)
{
	struct tokens *t = &u->tokens;
	int64_t rest = writes;

	t->n[TC_CACHE_WRITE_1H] = split(u, value(s, R_WRITE_1H), &rest);
	t->n[TC_CACHE_WRITE_5M] = rest;
	if (told(s, R_WRITE_5M) && value(s, R_WRITE_5M) != rest)
		u->inconsistent = true;
}

/* Classes of an input of `in` tokens that holds its cached ones. */
static void
split_input(const struct usage_state *s, struct ir_usage *u, int64_t in)
{
	struct tokens *t = &u->tokens;
	int64_t read, audio = value(s, R_AUDIO_IN);
	int64_t cached_audio = value(s, R_AUDIO_CACHED);

	read = split(u, value(s, R_CACHE_READ), &in);
	t->n[TC_AUDIO_CACHE_READ] = split(u, cached_audio, &read);
	t->n[TC_CACHE_READ] = read;
	split_writes(s, u, split(u, value(s, R_CACHE_WRITE), &in));
	audio -= t->n[TC_AUDIO_CACHE_READ] < audio ? t->n[TC_AUDIO_CACHE_READ]
						   : audio;
	t->n[TC_AUDIO_IN] = split(u, audio, &in);
	t->n[TC_IMAGE_IN] = split(u, value(s, R_IMAGE_IN), &in);
	t->n[TC_INPUT] = in;
}

static void
split_output(const struct usage_state *s, struct ir_usage *u, int64_t out)
{
	struct tokens *t = &u->tokens;

	t->n[TC_REASONING] = split(u, value(s, R_REASONING), &out);
	t->n[TC_AUDIO_OUT] = split(u, value(s, R_AUDIO_OUT), &out);
	t->n[TC_IMAGE_OUT] = split(u, value(s, R_IMAGE_OUT), &out);
	t->n[TC_OUTPUT] = out;
}

/* Totals that include everything: what is missing of three is the rest. */
static void
derive_inclusive(struct usage_state *s, struct ir_usage *u, bool has_output)
{
	int64_t in = value(s, R_IN), out = value(s, R_OUT);
	int64_t total = value(s, R_TOTAL), reasoning = value(s, R_REASONING);
	bool has_in = told(s, R_IN), has_out = told(s, R_OUT);

	if (!has_in && told(s, R_TOTAL) && total >= out &&
	    (has_out || !has_output)) {
		in = total - out;
		has_in = true;
	}
	if (!has_out && has_in && told(s, R_TOTAL) && total >= in) {
		out = total - in;
		has_out = true;
	}
	if (told(s, R_TOTAL) && has_in && has_out && total != in + out) {
		/* xAI counts reasoning beside the output. */
		if (reasoning > 0 && total == in + out + reasoning)
			out += reasoning;
		else
			u->inconsistent = true;
	}
	s->known = has_in && (has_out || !has_output);
	u->input_total = in;
	u->output_total = out;
	split_input(s, u, in);
	split_output(s, u, out);
}

/* Anthropic and Bedrock: input leaves out what was read from or written to
 * the cache. */
static void
derive_exclusive(struct usage_state *s, struct ir_usage *u)
{
	struct tokens *t = &u->tokens;
	int64_t in = value(s, R_IN) + value(s, R_EXTRA_IN);
	int64_t read = value(s, R_CACHE_READ) + value(s, R_EXTRA_READ);
	int64_t write = value(s, R_CACHE_WRITE);
	int64_t out = value(s, R_OUT), total = value(s, R_TOTAL);

	if (!told(s, R_CACHE_WRITE))
		write = value(s, R_WRITE_5M) + value(s, R_WRITE_1H);
	if (told(s, R_TOTAL) && total != in + out &&
	    total != in + read + write + out)
		u->inconsistent = true;
	split_writes(s, u, write);
	t->n[TC_CACHE_WRITE_5M] += value(s, R_EXTRA_WRITE);
	write += value(s, R_EXTRA_WRITE);
	out += value(s, R_EXTRA_OUT);
	t->n[TC_INPUT] = in;
	t->n[TC_CACHE_READ] = read;
	u->input_total = in + read + write;
	u->output_total = out;
	split_output(s, u, out);
	s->known = told(s, R_IN) && told(s, R_OUT);
}

/* Thoughts are inside or beside the candidates: the total tells. Zeros are
 * left out of the object, so an absent count is zero once a total came. */
static void
derive_gemini(struct usage_state *s, struct ir_usage *u)
{
	int64_t in = value(s, R_IN), tool = value(s, R_TOOL_USE);
	int64_t out = value(s, R_OUT), thoughts = value(s, R_REASONING);
	int64_t total = value(s, R_TOTAL);
	bool has_in = told(s, R_IN), has_total = told(s, R_TOTAL);

	if (!has_in && has_total && (told(s, R_OUT) || thoughts > 0) &&
	    total >= tool + out + thoughts) {
		in = total - tool - out - thoughts;
		has_in = true;
	}
	if (!has_total || total == in + tool + out + thoughts) {
		out += thoughts; /* beside */
	} else if (total == in + tool + out) {
		; /* inside */
	} else if (tool > 0 && total == in + out + thoughts) {
		u->inconsistent = true; /* tools inside the prompt */
		out += thoughts;
		tool = 0;
	} else {
		u->inconsistent = true;
		out = total >= in + tool ? total - in - tool : out + thoughts;
	}
	s->known = has_in && (has_total || told(s, R_OUT) || thoughts > 0);
	u->input_total = in + tool;
	u->output_total = out;
	split_input(s, u, in);
	u->tokens.n[TC_INPUT] += tool;
	split_output(s, u, out);
}

/* Cohere tells what it counted and, which is less, what it bills. */
static void
derive_cohere(struct usage_state *s, struct ir_usage *u)
{
	bool billed = told(s, R_BILLED_IN) || told(s, R_BILLED_OUT);
	int64_t in = value(s, billed ? R_BILLED_IN : R_IN);
	int64_t out = value(s, billed ? R_BILLED_OUT : R_OUT);

	s->known = told(s, R_BILLED_IN) || told(s, R_IN);
	u->input_total = told(s, R_IN) ? value(s, R_IN) : in;
	u->output_total = told(s, R_OUT) ? value(s, R_OUT) : out;
	u->tokens.n[TC_IMAGE_IN] = split(u, value(s, R_IMAGE_IN), &in);
	u->tokens.n[TC_INPUT] = in;
	u->tokens.n[TC_OUTPUT] = out;
}

static void
derive_units(struct usage_state *s, struct ir_usage *u)
{
	for (unsigned i = 0; i < 5; i++) {
		int64_t n = value(s, R_SEARCHES + i) + s->raw[R_ADDED + i];

		u->tokens.n[TC_WEB_SEARCH + i] =
		    n > USAGE_MAX_TOKENS ? USAGE_MAX_TOKENS : n;
	}
	/* A rerank and a transcription by time have no tokens at all. */
	if (told(s, R_SECONDS) || told(s, R_SEARCH_UNITS))
		s->known = true;
}

bool
usage_update(struct usage_state *s, enum usage_shape shape, struct json usage,
    bool final)
{
	struct reading r = {.s = s};
	struct ir_usage *u = &s->usage;

	if (usage.type != JSON_OBJECT)
		return false;
	read_members(&r, shape_fields[shape], usage);
	u->inconsistent = s->raw[R_BAD] != 0;
	if (!r.any)
		return false;
	memset(&u->tokens, 0, sizeof(u->tokens));
	switch (shape) {
	case USAGE_ANTHROPIC:
	case USAGE_BEDROCK:
		derive_exclusive(s, u);
		break;
	case USAGE_GEMINI:
		derive_gemini(s, u);
		break;
	case USAGE_COHERE:
		derive_cohere(s, u);
		break;
	default:
		derive_inclusive(s, u,
		    shape != USAGE_OPENAI_EMBED &&
			shape != USAGE_GEMINI_EMBED &&
			shape != USAGE_OLLAMA_EMBED);
		break;
	}
	derive_units(s, u);
	s->final = s->final || (final && s->known);
	return true;
}

void
usage_add(struct usage_state *s, enum token_class cls, int64_t n)
{
	struct ir_usage *u = &s->usage;
	int64_t *added;

	if (!token_class_is_unit(cls) || n <= 0)
		return;
	added = &s->raw[R_ADDED + (cls - TC_WEB_SEARCH)];
	*added = n > USAGE_MAX_TOKENS - *added ? USAGE_MAX_TOKENS : *added + n;
	u->tokens.n[cls] =
	    value(s, R_SEARCHES + (cls - TC_WEB_SEARCH)) + *added;
	if (u->tokens.n[cls] > USAGE_MAX_TOKENS)
		u->tokens.n[cls] = USAGE_MAX_TOKENS;
}
