/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in OpenAI's dialect: chat completions and embeddings. */
#include "tests/provider/tree.h"

/* Trees for the parts of a chat request that need one; kept until the answer
 * has begun. */
struct chat_trees {
	json_t *tools, *format, *choice;
};

static json_t *
chat_tree(struct str raw)
{
	return raw.len == 0 ? NULL
			    : json_loadb(raw.p, raw.len, JSON_DECODE_ANY, NULL);
}

static void
chat_read_trees(struct scan *s, struct chat_trees *t)
{
	const json_t *v, *schema;
	const char *word;
	size_t i;

	t->tools = chat_tree(s->raw_tools);
	t->format = chat_tree(s->raw_format);
	t->choice = chat_tree(s->raw_choice);
	json_array_foreach (t->tools, i, v) {
		const json_t *f = json_object_get(v, "function");

		tree_add_tool(
		    s, tree_str(f, "name"), json_object_get(f, "parameters"));
	}
	word = tree_str(t->format, "type");
	s->json = word != NULL && strncmp(word, "json", 4) == 0;
	schema = json_object_get(t->format, "json_schema");
	s->format = json_object_get(schema, "schema");
	word = json_string_value(t->choice);
	if (word != NULL)
		s->choice = strcmp(word, "none") == 0	    ? CHOICE_NONE
			    : strcmp(word, "required") == 0 ? CHOICE_ANY
							    : CHOICE_AUTO;
	else if (t->choice != NULL)
		s->choice = CHOICE_TOOL;
	s->choice_name =
	    tree_str(json_object_get(t->choice, "function"), "name");
	if (s->has_tool_result && s->choice != CHOICE_NONE)
		s->choice = CHOICE_AUTO;
}

/* No seed, stream_options or max_completion_tokens there. */
#define MISTRAL_FIELDS                                                    \
	"model temperature top_p max_tokens stream stop random_seed "     \
	"messages response_format tools tool_choice presence_penalty "    \
	"frequency_penalty n prediction parallel_tool_calls prompt_mode " \
	"reasoning_effort safe_prompt metadata guardrails input "         \
	"encoding_format output_dimension output_dtype"

/* Members that the provider does not know. */
static bool
chat_unknown(struct call *q)
{
	struct str name = q->s.unknown;
	char text[128];

	if (q->c->speaker == SPEAK_MISTRAL) {
		q->root = json_loadb(q->r->body.p, q->r->body.len, 0, NULL);
		return !tree_fields(q, q->root, "", MISTRAL_FIELDS);
	}
	if (name.len == 0 || q->c->speaker == SPEAK_VLLM ||
	    q->c->speaker == SPEAK_DEEPSEEK)
		return false;
	(void)snprintf(text, sizeof(text), "%.*s",
	    (int)(name.len < 100 ? name.len : 100), name.p);
	problem_replyf(q->c, PROBLEM_UNKNOWN_FIELD, text,
	    "Unknown parameter: '%s'.", text);
	return true;
}

static void
chat_call(struct call *q, bool embeddings)
{
	const struct sim_model *m;
	struct chat_trees t = {0};

	if (!scan_body(q->r->body, &q->s) || q->s.bad != NULL) {
		problem_reply(q->c, PROBLEM_INVALID, NULL, q->s.bad);
		return;
	}
	if (!call_model(q, embeddings, &m))
		return;
	if (m->knobs.flavor >= 0)
		q->c->speaker = (enum speaker)m->knobs.flavor;
	if (chat_unknown(q))
		return;
	if (embeddings ? !q->s.has_input : !q->s.has_messages) {
		problem_reply(q->c, PROBLEM_MISSING,
		    embeddings ? "input" : "messages",
		    embeddings ? "Missing required parameter: 'input'."
			       : "Missing required parameter: 'messages'.");
		return;
	}
	if (!embeddings &&
	    (q->s.has_arrays || q->s.has_tool_result ||
		q->s.raw_tools.len > 0) &&
	    !chat_check(q))
		return;
	if (embeddings && !call_dimensions(q, m))
		return;
	chat_read_trees(&q->s, &t);
	q->s.show_thinking =
	    q->c->speaker == SPEAK_DEEPSEEK || q->c->speaker == SPEAK_VLLM;
	call_start(q, m, false);
	json_decref(t.tools);
	json_decref(t.format);
	json_decref(t.choice);
}

void
call_chat(struct call *q)
{
	chat_call(q, false);
}

void
call_embeddings(struct call *q)
{
	chat_call(q, true);
}
