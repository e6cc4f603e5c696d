/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing codecs. Same dialect on both sides: bytes pass. Everything else
 * goes through the neutral form.
 */
#include "agent/dialect/codecs.h"

#include "agent/dialect/embed.h"

const struct codec_client *
codec_client_of(enum op op)
{
	switch (op) {
	case OP_CHAT:
		return &codec_openai_chat_client;
	case OP_RESPONSES:
		return &codec_responses_client;
	case OP_MESSAGES:
	case OP_COUNT_TOKENS:
		return &codec_anthropic_client;
	case OP_GENERATE:
	case OP_GEMINI_COUNT_TOKENS:
		return &codec_gemini_client;
	default:
		return NULL;
	}
}

enum carry_client
codec_carry_of(enum op op)
{
	switch (op) {
	case OP_RESPONSES:
		return CARRY_C_RESPONSES;
	case OP_MESSAGES:
		return CARRY_C_ANTHROPIC;
	case OP_GENERATE:
		return CARRY_C_GEMINI;
	default:
		return CARRY_C_CHAT;
	}
}

const struct codec_provider *
codec_provider_of(enum provider_dialect d)
{
	switch (d) {
	case PROVIDER_OPENAI:
	case PROVIDER_AZURE:
	case PROVIDER_MISTRAL:
		return &codec_openai_chat_provider;
	case PROVIDER_ANTHROPIC:
		return &codec_anthropic_provider;
	case PROVIDER_GEMINI:
	case PROVIDER_VERTEX:
		return &codec_gemini_provider;
	case PROVIDER_BEDROCK:
		return &codec_bedrock_provider;
	case PROVIDER_COHERE:
		return &codec_cohere_provider;
	case PROVIDER_OLLAMA:
		return &codec_ollama_provider;
	case PROVIDER_N_DIALECTS:
		break;
	}
	return NULL;
}

/* The operation by which a provider's own dialect generates. */
static enum op
codec_own_op(enum provider_dialect d)
{
	switch (d) {
	case PROVIDER_ANTHROPIC:
		return OP_MESSAGES;
	case PROVIDER_GEMINI:
	case PROVIDER_VERTEX:
		return OP_GENERATE;
	default:
		return OP_CHAT;
	}
}

static bool
codec_is_openai(enum provider_dialect d)
{
	return d == PROVIDER_OPENAI || d == PROVIDER_AZURE ||
	       d == PROVIDER_MISTRAL;
}

static bool
codec_passes(const struct b_provider *p, enum op op, bool quirky)
{
	switch (op) {
	case OP_CHAT:
		return codec_is_openai(p->dialect) && !quirky;
	case OP_RESPONSES:
		return (p->dialect == PROVIDER_OPENAI ||
			   p->dialect == PROVIDER_AZURE) &&
		       (p->quirks & QUIRK_NO_RESPONSES) == 0;
	case OP_MESSAGES:
		return p->dialect == PROVIDER_ANTHROPIC;
	case OP_GENERATE:
		return p->dialect == PROVIDER_GEMINI ||
		       p->dialect == PROVIDER_VERTEX;
	default:
		return false;
	}
}

static int
codec_plan_embed(const struct b_provider *p, struct codec_plan *ret)
{
	ret->mode = RELAY_EMBED;
	ret->op = OP_EMBEDDINGS;
	return embed_can(p->dialect) ? 0 : ERR_UNSUPPORTED;
}

static int
codec_plan_other(
    const struct b_provider *p, enum op op, bool quirky, struct codec_plan *ret)
{
	ret->mode = RELAY_JSON;
	switch (op) {
	case OP_GEMINI_EMBED:
		return p->dialect == PROVIDER_GEMINI ? 0
						     : codec_plan_embed(p, ret);
	case OP_RERANK:
		return codec_is_openai(p->dialect) ||
			       p->dialect == PROVIDER_COHERE
			   ? 0
			   : ERR_UNSUPPORTED;
	case OP_RESPONSE_GET:
	case OP_RESPONSE_DELETE:
	case OP_RESPONSE_CANCEL:
	case OP_RESPONSE_ITEMS:
		return codec_passes(p, OP_RESPONSES, false) ? 0
							    : ERR_UNSUPPORTED;
	case OP_COMPLETIONS:
		ret->mode = RELAY_CHAT;
		break;
	case OP_SPEECH:
		ret->mode = RELAY_RAW;
		break;
	case OP_EMBEDDINGS:
		return codec_is_openai(p->dialect) && !quirky
			   ? 0
			   : codec_plan_embed(p, ret);
	default:
		break;
	}
	return codec_is_openai(p->dialect) ? 0 : ERR_UNSUPPORTED;
}

int
codec_plan(
    const struct b_provider *p, enum op op, bool quirky, struct codec_plan *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->op = op;
	if (!op_is_generation(op))
		return codec_plan_other(p, op, quirky, ret);
	ret->from = codec_provider_of(p->dialect);
	if (codec_passes(p, op, quirky)) {
		ret->mode = op == OP_CHAT ? RELAY_CHAT : RELAY_PASS;
		if (op == OP_RESPONSES)
			ret->from = &codec_responses_provider;
		return 0;
	}
	ret->mode = RELAY_TRANSLATE;
	ret->op = codec_own_op(p->dialect);
	ret->to = codec_client_of(op);
	return ret->from != NULL && ret->to != NULL ? 0 : ERR_UNSUPPORTED;
}

static bool
codec_has_developer(struct json messages)
{
	struct json_iter it = json_iter(messages);
	struct json m, role;

	if (messages.type != JSON_ARRAY)
		return false;
	while (json_next_element(&it, &m)) {
		if (m.type == JSON_OBJECT && json_getz(m, "role", &role) &&
		    role.type == JSON_STRING &&
		    json_key_eq(json_raw_string(role), STR("developer")))
			return true;
	}
	return false;
}

static bool
codec_has_strict(struct json tools)
{
	struct json_iter it = json_iter(tools);
	struct json t, v;

	if (tools.type != JSON_ARRAY)
		return false;
	while (json_next_element(&it, &t)) {
		if (t.type == JSON_OBJECT &&
		    json_path(t, "function.strict", &v))
			return true;
	}
	return false;
}

static bool
codec_wants_schema(struct json format)
{
	struct json type;

	return format.type == JSON_OBJECT && json_getz(format, "type", &type) &&
	       type.type == JSON_STRING &&
	       json_key_eq(json_raw_string(type), STR("json_schema"));
}

bool
codec_uses_quirk(struct str body, uint64_t quirks)
{
	static const struct {
		const char *field;
		uint64_t quirks;
	} plain[] = {
	    {"max_completion_tokens", QUIRK_MAX_TOKENS},
	    {"parallel_tool_calls", QUIRK_NO_PARALLEL},
	    {"seed", QUIRK_NO_SEED | QUIRK_RANDOM_SEED},
	    {"stream_options", QUIRK_NO_STREAM_OPTIONS},
	    {"logprobs", QUIRK_NO_LOGPROBS},
	    {"top_logprobs", QUIRK_NO_LOGPROBS},
	    {"reasoning_effort", QUIRK_NO_REASONING_EFFORT},
	    {"service_tier", QUIRK_NO_SERVICE_TIER},
	    {"user", QUIRK_NO_USER},
	    {"safety_identifier", QUIRK_NO_USER},
	};
	struct json root = json_root(body), v;
	size_t i;

	quirks &= ~QUIRK_NO_RESPONSES;
	if (quirks == 0)
		return false;
	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if ((quirks & plain[i].quirks) != 0 &&
		    json_getz(root, plain[i].field, &v) && v.type != JSON_NULL)
			return true;
	}
	if ((quirks & QUIRK_NO_DEVELOPER) != 0 &&
	    json_getz(root, "messages", &v) && codec_has_developer(v))
		return true;
	if ((quirks & QUIRK_NO_STRICT) != 0 && json_getz(root, "tools", &v) &&
	    codec_has_strict(v))
		return true;
	return (quirks & QUIRK_NO_JSON_SCHEMA) != 0 &&
	       json_getz(root, "response_format", &v) && codec_wants_schema(v);
}
