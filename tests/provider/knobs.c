/* SPDX-License-Identifier: Apache-2.0 */
/* Knobs by name: one table for headers, request bodies and the models file. */
#include <stdbool.h>
#include <stddef.h>

#include "tests/provider/knobs.h"

static const struct {
	const char *name;
	size_t offset;
} knob_names[] = {
#define X(member, name) {name, offsetof(struct knobs, member)},
    KNOB_TABLE(X)
#undef X
};

static const char *const fault_names[FAULT_COUNT] = {
#define X(e, name) [e] = name,
    FAULT_TABLE(X)
#undef X
};

/* Knobs that take a word, in the order of their enums. */
static const struct {
	const char *name;
	size_t offset;
	const char *words[9];
} knob_words[] = {
    {"framing", offsetof(struct knobs, framing), {"lf", "crlf", "cr", "mixed"}},
    {"usage", offsetof(struct knobs, usage),
	{"default", "running", "sparse", "inside", "bare", "duration",
	    "delta"}},
    {"tier", offsetof(struct knobs, tier),
	{"standard", "priority", "flex", "batch", "scale", "provisioned"}},
    {"flavor", offsetof(struct knobs, flavor),
	{"openai", "azure", "mistral", "vllm", "deepseek"}},
    {"retry", offsetof(struct knobs, retry),
	{"both", "ms", "seconds", "date", "none", "never"}},
    {"rejects", offsetof(struct knobs, rejects),
	{"nothing", "max_tokens", "stream_options", "temperature", "tools",
	    "parallel_tool_calls", "response_format", "developer"}},
};

const char *
knobs_rejected(int64_t rejects)
{
	size_t last = sizeof(knob_words) / sizeof(*knob_words) - 1;

	return rejects > 0 ? knob_words[last].words[rejects] : NULL;
}

const char *
knobs_tier_name(enum tier t)
{
	return t < TIER_COUNT ? knob_words[2].words[t] : "?";
}

const char *
fault_name(enum fault f)
{
	return f < FAULT_COUNT ? fault_names[f] : "?";
}

void
knobs_init(struct knobs *k)
{
	int64_t *all = (int64_t *)(void *)k;

	for (size_t i = 0; i < sizeof(*k) / sizeof(*all); i++)
		all[i] = -1;
}

static bool
knobs_name_is(struct str given, const char *name)
{
	if (given.len != strlen(name))
		return false;
	for (size_t i = 0; i < given.len; i++) {
		char c = given.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 'a' - 'A');
		if (c == '-')
			c = '_';
		if (c != name[i])
			return false;
	}
	return true;
}

static int
knobs_set_fault(struct knobs *k, struct str value)
{
	struct str name, count;
	uint64_t n;

	if (str_cut(value, '=', &name, &count)) {
		if (str_to_u64(count, &n) != 0 || n > INT64_MAX)
			return ERR_INVALID;
		k->after = (int64_t)n;
	}
	for (int64_t f = 0; f < FAULT_COUNT; f++) {
		if (str_eqz(name, fault_names[f])) {
			k->fault = f;
			return 0;
		}
	}
	return ERR_INVALID;
}

static int
knobs_set_word(struct knobs *k, size_t which, struct str value)
{
	for (int w = 0; w < 9 && knob_words[which].words[w] != NULL; w++) {
		if (!str_eqz(value, knob_words[which].words[w]))
			continue;
		*(int64_t *)(void *)((char *)k + knob_words[which].offset) = w;
		return 0;
	}
	return ERR_INVALID;
}

int
knobs_set(struct knobs *k, struct str name, struct str value)
{
	uint64_t n;

	if (knobs_name_is(name, "fault"))
		return knobs_set_fault(k, value);
	for (size_t i = 0; i < sizeof(knob_words) / sizeof(*knob_words); i++) {
		if (knobs_name_is(name, knob_words[i].name))
			return knobs_set_word(k, i, value);
	}
	for (size_t i = 0; i < sizeof(knob_names) / sizeof(*knob_names); i++) {
		if (!knobs_name_is(name, knob_names[i].name))
			continue;
		if (str_to_u64(value, &n) != 0 || n > INT64_MAX)
			return ERR_INVALID;
		*(int64_t *)(void *)((char *)k + knob_names[i].offset) =
		    (int64_t)n;
		return 0;
	}
	return ERR_NOT_FOUND;
}
