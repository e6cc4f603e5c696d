/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of dialects and of what they reject, see quirk.h. */
#include "agent/provider/quirk.h"

#include "agent/dialect/codec.h"

static const struct {
	const char *word;
	uint64_t bit;
} quirks[] = {
    {"stream_options", QUIRK_NO_STREAM_OPTIONS},
    {"max_completion_tokens", QUIRK_MAX_TOKENS},
    {"developer", QUIRK_NO_DEVELOPER},
    {"parallel_tool_calls", QUIRK_NO_PARALLEL},
    {"json_schema", QUIRK_NO_JSON_SCHEMA},
    {"seed", QUIRK_NO_SEED},
    {"logprobs", QUIRK_NO_LOGPROBS},
    {"reasoning_effort", QUIRK_NO_REASONING_EFFORT},
    {"service_tier", QUIRK_NO_SERVICE_TIER},
    {"strict", QUIRK_NO_STRICT},
    {"user", QUIRK_NO_USER},
    {"responses", QUIRK_NO_RESPONSES},
};

/* Mistral's schemas allow no unknown fields (422). */
#define MISTRAL                                                           \
	(QUIRK_RANDOM_SEED | QUIRK_NO_STREAM_OPTIONS | QUIRK_MAX_TOKENS | \
	    QUIRK_NO_DEVELOPER | QUIRK_NO_LOGPROBS |                      \
	    QUIRK_NO_REASONING_EFFORT | QUIRK_NO_SERVICE_TIER |           \
	    QUIRK_NO_USER | QUIRK_NO_RESPONSES)

static const struct {
	const char *word;
	uint64_t quirks;
} dialects[PROVIDER_N_DIALECTS] = {
    [PROVIDER_OPENAI] = {"openai", 0},
    [PROVIDER_AZURE] = {"azure", 0},
    [PROVIDER_ANTHROPIC] = {"anthropic", QUIRK_NO_RESPONSES},
    [PROVIDER_GEMINI] = {"gemini", QUIRK_NO_RESPONSES},
    [PROVIDER_VERTEX] = {"vertex", QUIRK_NO_RESPONSES},
    [PROVIDER_BEDROCK] = {"bedrock", QUIRK_NO_RESPONSES},
    [PROVIDER_MISTRAL] = {"mistral", MISTRAL},
    [PROVIDER_COHERE] = {"cohere", QUIRK_NO_RESPONSES},
    [PROVIDER_OLLAMA] = {"ollama", QUIRK_NO_RESPONSES},
};

uint64_t
quirk_of(struct str word)
{
	for (size_t i = 0; i < sizeof(quirks) / sizeof(quirks[0]); i++)
		if (str_eqz(word, quirks[i].word))
			return quirks[i].bit;
	return 0;
}

uint64_t
quirk_defaults(enum provider_dialect d)
{
	return dialects[d].quirks;
}

bool
provider_dialect_parse(struct str word, enum provider_dialect *ret)
{
	for (unsigned i = 0; i < PROVIDER_N_DIALECTS; i++) {
		if (!str_eqz(word, dialects[i].word))
			continue;
		*ret = (enum provider_dialect)i;
		return true;
	}
	return false;
}

const char *
provider_dialect_name(enum provider_dialect d)
{
	return d < PROVIDER_N_DIALECTS ? dialects[d].word : "unknown";
}
