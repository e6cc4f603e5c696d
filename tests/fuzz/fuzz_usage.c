/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: usage objects. The first byte names the dialect; the input is
 * cut at newlines into updates of one state. Counts stay in their bounds, the
 * classes add up to the totals, and what is written is read back.
 */
#include <stdint.h>
#include <string.h>

#include "agent/dialect/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct usage_state *s, enum usage_shape shape)
{
	const int64_t *t = s->usage.tokens.n;
	int64_t out =
	    t[TC_OUTPUT] + t[TC_REASONING] + t[TC_AUDIO_OUT] + t[TC_IMAGE_OUT];
	int i;

	for (i = 0; i < TC_COUNT; i++)
		MUST(t[i] >= 0 && t[i] <= 8 * (int64_t)USAGE_MAX_TOKENS);
	MUST(s->usage.input_total >= 0 && s->usage.output_total >= 0);
	MUST(strlen(s->usage.tier) < IR_TIER_MAX);
	if (shape == USAGE_COHERE)
		return; /* counts more than it bills */
	MUST(tokens_input(&s->usage.tokens) == s->usage.input_total);
	MUST(out == s->usage.output_total);
}

static void
check_writers(const struct usage_state *s)
{
	struct usage_state back = {0};
	struct buf b;

	buf_init(&b, 4096);
	usage_write_openai(&b, &s->usage);
	MUST(json_validate(buf_str(&b), NULL, NULL) == 0);
	if (s->usage.input_total <= USAGE_MAX_TOKENS / 2 &&
	    s->usage.output_total <= USAGE_MAX_TOKENS / 2) {
		(void)usage_update(
		    &back, USAGE_OPENAI_CHAT, json_root(buf_str(&b)), true);
		MUST(back.known);
		MUST(back.usage.input_total == s->usage.input_total);
		MUST(back.usage.output_total == s->usage.output_total);
	}
	buf_clear(&b);
	usage_write_responses(&b, &s->usage);
	MUST(json_validate(buf_str(&b), NULL, NULL) == 0);
	buf_clear(&b);
	usage_write_anthropic(&b, &s->usage, false);
	MUST(json_validate(buf_str(&b), NULL, NULL) == 0);
	buf_clear(&b);
	usage_write_gemini(&b, &s->usage);
	MUST(json_validate(buf_str(&b), NULL, NULL) == 0);
	buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usage_state s = {0};
	struct str rest, one;
	struct json v;
	enum usage_shape shape;

	if (size < 1 || size > 65536)
		return 0;
	shape = (enum usage_shape)(data[0] % (USAGE_OLLAMA_EMBED + 1));
	rest = str_make((const char *)data + 1, size - 1);
	while (rest.len > 0) {
		(void)str_cut(rest, '\n', &one, &rest);
		if (json_validate(one, NULL, NULL) != 0)
			continue;
		v = json_root(one);
		if (usage_update(&s, shape, v, true))
			check(&s, shape);
		else
			usage_tier(&s, v);
		check_writers(&s);
	}
	return 0;
}
