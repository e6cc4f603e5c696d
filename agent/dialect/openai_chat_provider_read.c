/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks and plain answers of OpenAI's chat dialect to events. A plain answer
 * is read as one chunk whose deltas are called "message".
 *
 * What is odd, and seen in the field:
 * - Azure: a first frame without id and choices, choices without a delta,
 *   annotation frames behind the finish reason.
 * - Google: parallel calls that all have index 0 and differ by id.
 * - vLLM: running usage on every chunk. Groq: usage in x_groq.
 * - Mistral: content as a list of parts, thinking among them.
 * - A forced function call ends with "stop" at OpenAI itself.
 */
#include "agent/dialect/openai_chat_provider.h"

#include <stdlib.h>
#include <string.h>

#define IS(key, lit)                     \
	((key).len == sizeof(lit) - 1 && \
	    memcmp((key).p, lit, sizeof(lit) - 1) == 0)

static struct oacp_choice *
oacp_choice(struct answer_reader *rd, int64_t index)
{
	struct oacp_choice *grown;
	unsigned n, i;

	if (index < 0 || index >= OACP_MAX_CHOICES)
		return NULL;
	if (index >= rd->n_choices) {
		n = index == 0 ? 1 : OACP_MAX_CHOICES;
		grown = realloc(rd->choices, n * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		for (i = rd->n_choices; i < n; i++) {
			memset(&grown[i], 0, sizeof(grown[i]));
			grown[i].lane.choice = i;
		}
		rd->choices = grown;
		rd->n_choices = n;
	}
	rd->choices[index].seen = true;
	return &rd->choices[index];
}

bool
oacp_all_finished(const struct answer_reader *rd)
{
	bool any = false;
	unsigned i;

	for (i = 0; i < rd->n_choices; i++) {
		if (rd->choices[i].seen && !rd->choices[i].finished)
			return false;
		any = any || rd->choices[i].seen;
	}
	return any;
}

/* ---- calls ---- */

static uint64_t
oacp_hash(struct str s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return s.len > 0 ? h | 1 : 0;
}

static int
oacp_send(struct answer_reader *rd, const struct oacp_choice *c,
    enum ir_event_type type, unsigned block, enum ir_part_type part,
    struct str text)
{
	struct ir_event ev = {.type = type,
	    .choice = c->lane.choice,
	    .block = block,
	    .part = part,
	    .text = text};

	return rd->em.fn(rd->em.ctx, &ev);
}

static enum ir_part_type
oacp_part(const struct oacp_call *call)
{
	return call->index == OACP_AUDIO ? IR_AUDIO : IR_TOOL_CALL;
}

static int
oacp_call_stop(
    struct answer_reader *rd, struct oacp_choice *c, struct oacp_call *call)
{
	enum ir_part_type part = oacp_part(call);
	int rc = 0;

	if (!call->open)
		return 0;
	call->open = false;
	if (call->empty && part == IR_TOOL_CALL)
		rc =
		    oacp_send(rd, c, IR_EV_DELTA, call->block, part, STR("{}"));
	if (rc == 0)
		rc = oacp_send(
		    rd, c, IR_EV_BLOCK_STOP, call->block, part, STR_NULL);
	return rc;
}

/* The open call with this index and, if it has one, this id; or NULL. */
static struct oacp_call *
oacp_call_find(struct oacp_choice *c, int64_t index, uint64_t id)
{
	unsigned i;

	for (i = c->n_calls; i > 0; i--) {
		if (c->calls[i - 1].index == index && c->calls[i - 1].open)
			return id == 0 || id == c->calls[i - 1].id ||
				       c->calls[i - 1].id == 0
				   ? &c->calls[i - 1]
				   : NULL;
	}
	return NULL;
}

/* A new call, not announced yet. ERR_INVALID: too many. */
static int
oacp_call_add(struct answer_reader *rd, struct oacp_choice *c, int64_t index,
    uint64_t id, struct oacp_call **ret)
{
	struct oacp_call *grown;
	unsigned cap;
	int rc = emit_lane_stop(&rd->em, &c->lane);

	if (rc != 0)
		return rc;
	if (c->n_calls == c->cap_calls) {
		cap = c->cap_calls ? 2 * c->cap_calls : 4;
		if (cap > OACP_MAX_CALLS)
			return ERR_INVALID;
		grown = realloc(c->calls, cap * sizeof(*grown));
		if (grown == NULL)
			return ERR_NOMEM;
		c->calls = grown;
		c->cap_calls = cap;
	}
	*ret = &c->calls[c->n_calls++];
	**ret = (struct oacp_call){.index = index,
	    .id = id,
	    .block = c->lane.next++,
	    .open = true,
	    .empty = true};
	return 0;
}

static int
oacp_call_start(struct answer_reader *rd, struct oacp_choice *c, int64_t index,
    struct str id, struct str name, struct oacp_call **ret)
{
	struct ir_event ev = {.type = IR_EV_BLOCK_START,
	    .choice = c->lane.choice,
	    .part = IR_TOOL_CALL,
	    .id = id,
	    .name = name};
	struct oacp_call *old = oacp_call_find(c, index, 0);
	int rc = old != NULL ? oacp_call_stop(rd, c, old) : 0;

	if (rc == 0)
		rc = oacp_call_add(rd, c, index, oacp_hash(id), ret);
	if (rc != 0)
		return rc;
	c->has_calls = true;
	if (id.len == 0) {
		arena_clear(&rd->em.arena);
		ev.id = ir_make_call_id(
		    &rd->em.arena, "call_", (*ret)->block, name);
		if (ev.id.p == NULL)
			return ERR_NOMEM;
	}
	ev.block = (*ret)->block;
	return rd->em.fn(rd->em.ctx, &ev);
}

/* Arguments: text of JSON in a string; from some an object. */
static int
oacp_call_args(struct answer_reader *rd, const struct oacp_choice *c,
    struct oacp_call *call, struct json args)
{
	struct str text = emit_text(args);
	int rc;

	if (args.p != NULL && args.type == JSON_OBJECT) {
		buf_clear(&rd->em.scratch);
		rc = buf_add_escaped(&rd->em.scratch,
		    str_make(args.p, (size_t)(args.end - args.p)));
		if (rc != 0)
			return rc;
		text = buf_str(&rd->em.scratch);
	}
	if (text.len == 0)
		return 0;
	call->empty = false;
	return oacp_send(rd, c, IR_EV_DELTA, call->block, IR_TOOL_CALL, text);
}

static int
oacp_call_read(struct answer_reader *rd, struct oacp_choice *c,
    struct json call, int64_t index)
{
	static const struct str names[] = {
	    {"index", 5}, {"id", 2}, {"function", 8}, {"extra_content", 13}};
	static const struct str fn_names[] = {{"name", 4}, {"arguments", 9}};
	struct json v[4], fn[2], sig;
	struct oacp_call *open;
	struct str id;
	int rc = 0;

	emit_pick(call, names, v, 4);
	emit_pick(v[2], fn_names, fn, 2);
	if (v[0].p != NULL && (json_to_i64(v[0], &index) != 0 || index < 0))
		return ERR_INVALID;
	id = emit_text(v[1]);
	open = oacp_call_find(c, index, oacp_hash(id));
	if (open == NULL)
		rc = oacp_call_start(rd, c, index, id, emit_text(fn[0]), &open);
	if (rc == 0 && v[3].p != NULL &&
	    json_path(v[3], "google.thought_signature", &sig) &&
	    emit_text(sig).len > 0)
		rc = oacp_send(rd, c, IR_EV_SIGNATURE, open->block,
		    IR_TOOL_CALL, emit_text(sig));
	return rc != 0 ? rc : oacp_call_args(rd, c, open, fn[1]);
}

static int
oacp_calls(struct answer_reader *rd, struct oacp_choice *c, struct json list)
{
	struct json_iter it;
	struct json call;
	int64_t i = 0;
	int rc = 0;

	if (list.type != JSON_ARRAY)
		return 0;
	it = json_iter(list);
	while (rc == 0 && json_next_element(&it, &call))
		rc = oacp_call_read(rd, c, call, i++);
	return rc;
}

/* The deprecated function_call: a call without index and id. */
static int
oacp_function_call(
    struct answer_reader *rd, struct oacp_choice *c, struct json fn)
{
	static const struct str names[] = {{"name", 4}, {"arguments", 9}};
	struct oacp_call *open = oacp_call_find(c, 0, 0);
	struct json v[2];
	int rc = 0;

	if (fn.type != JSON_OBJECT)
		return 0;
	emit_pick(fn, names, v, 2);
	if (open == NULL)
		rc =
		    oacp_call_start(rd, c, 0, STR_NULL, emit_text(v[0]), &open);
	return rc != 0 ? rc : oacp_call_args(rd, c, open, v[1]);
}

static int
oacp_audio(struct answer_reader *rd, struct oacp_choice *c, struct json audio)
{
	static const struct str names[] = {{"data", 4}, {"transcript", 10}};
	struct ir_event ev = {.type = IR_EV_BLOCK_START,
	    .choice = c->lane.choice,
	    .part = IR_AUDIO};
	struct oacp_call *open;
	struct json v[2];
	int rc = 0;

	emit_pick(audio, names, v, 2);
	if (emit_text(v[0]).len > 0) {
		open = oacp_call_find(c, OACP_AUDIO, 0);
		if (open == NULL) {
			rc = oacp_call_add(rd, c, OACP_AUDIO, 0, &open);
			if (rc != 0)
				return rc;
			ev.block = open->block;
			rc = rd->em.fn(rd->em.ctx, &ev);
		}
		if (rc == 0)
			rc = oacp_send(rd, c, IR_EV_DELTA, open->block,
			    IR_AUDIO, emit_text(v[0]));
	}
	if (rc != 0)
		return rc;
	return emit_lane_delta(&rd->em, &c->lane, IR_TEXT, emit_text(v[1]));
}

/* ---- text ---- */

/* Mistral's list of parts: text, and thinking as a list of texts. */
static int
oacp_content_list(struct answer_reader *rd, struct oacp_choice *c,
    struct json list, enum ir_part_type part)
{
	static const struct str names[] = {{"text", 4}, {"thinking", 8}};
	struct json_iter it = json_iter(list);
	struct json el, v[2];
	int rc = 0;

	while (rc == 0 && json_next_element(&it, &el)) {
		emit_pick(el, names, v, 2);
		rc = emit_lane_delta(&rd->em, &c->lane, part, emit_text(v[0]));
		if (rc != 0 || v[1].p == NULL)
			continue;
		if (v[1].type == JSON_ARRAY && part == IR_TEXT)
			rc = oacp_content_list(rd, c, v[1], IR_THINKING);
		else
			rc = emit_lane_delta(
			    &rd->em, &c->lane, IR_THINKING, emit_text(v[1]));
	}
	return rc;
}

/* What a delta or message may hold, in the order in which it is sent on. */
struct oacp_delta {
	struct json reasoning, signature, content, refusal, audio, calls, fn;
};

static void
oacp_delta_pick(struct json obj, struct oacp_delta *d)
{
	struct json_iter it = json_iter(obj);
	struct json v;
	struct str key;

	memset(d, 0, sizeof(*d));
	while (json_next_member(&it, &key, &v)) {
		if (v.type == JSON_NULL)
			continue;
		if (IS(key, "content"))
			d->content = v;
		else if (IS(key, "tool_calls"))
			d->calls = v;
		else if (IS(key, "reasoning_content"))
			d->reasoning = v;
		else if (IS(key, "reasoning") && d->reasoning.p == NULL)
			d->reasoning = v;
		else if (IS(key, "reasoning_signature"))
			d->signature = v;
		else if (IS(key, "refusal"))
			d->refusal = v;
		else if (IS(key, "audio"))
			d->audio = v;
		else if (IS(key, "function_call"))
			d->fn = v;
	}
}

static int
oacp_delta(struct answer_reader *rd, struct oacp_choice *c, struct json obj)
{
	struct emit_lane *l = &c->lane;
	struct oacp_delta d;
	int rc;

	oacp_delta_pick(obj, &d);
	rc = emit_lane_delta(&rd->em, l, IR_THINKING, emit_text(d.reasoning));
	if (rc == 0 && d.signature.p != NULL && l->open &&
	    l->part == IR_THINKING)
		rc = emit_lane_signature(&rd->em, l, emit_text(d.signature));
	if (rc == 0)
		rc = d.content.type == JSON_ARRAY && d.content.p != NULL
			 ? oacp_content_list(rd, c, d.content, IR_TEXT)
			 : emit_lane_delta(
			       &rd->em, l, IR_TEXT, emit_text(d.content));
	if (rc == 0)
		rc = emit_lane_delta(
		    &rd->em, l, IR_REFUSAL, emit_text(d.refusal));
	if (rc == 0 && d.audio.p != NULL)
		rc = oacp_audio(rd, c, d.audio);
	if (rc == 0 && d.fn.p != NULL)
		rc = oacp_function_call(rd, c, d.fn);
	return rc != 0 || d.calls.p == NULL ? rc : oacp_calls(rd, c, d.calls);
}

static int
oacp_logprobs(struct answer_reader *rd, struct oacp_choice *c, struct json v)
{
	static const struct str names[] = {{"content", 7}, {"refusal", 7}};
	struct ir_event ev = {.type = IR_EV_LOGPROBS};
	struct json list[2], el;
	struct json_iter it;
	unsigned i;
	int rc = 0;

	emit_pick(v, names, list, 2);
	for (i = 0; i < 2 && rc == 0; i++) {
		if (list[i].p == NULL || list[i].type != JSON_ARRAY)
			continue;
		it = json_iter(list[i]);
		if (!json_next_element(&it, &el))
			continue;
		if (!c->lane.open)
			rc = emit_lane_open(&rd->em, &c->lane,
			    i == 0 ? IR_TEXT : IR_REFUSAL, STR_NULL, STR_NULL);
		ev.choice = c->lane.choice;
		ev.block = c->lane.next;
		ev.part = c->lane.part;
		ev.json =
		    str_make(list[i].p, (size_t)(list[i].end - list[i].p));
		if (rc == 0)
			rc = rd->em.fn(rd->em.ctx, &ev);
	}
	return rc;
}

/* ---- finishing ---- */

static enum ir_finish
oacp_finish_word(const struct oacp_choice *c, struct str w, bool stop)
{
	if (IS(w, "stop") || IS(w, "end_turn") || IS(w, "eos"))
		return c->has_calls ? IR_FINISH_TOOL_CALLS
		       : stop	    ? IR_FINISH_STOP_SEQUENCE
				    : IR_FINISH_STOP;
	if (IS(w, "length") || IS(w, "max_tokens") || IS(w, "model_length"))
		return IR_FINISH_LENGTH;
	if (IS(w, "tool_calls") || IS(w, "function_call"))
		return IR_FINISH_TOOL_CALLS;
	return IS(w, "content_filter") ? IR_FINISH_CONTENT_FILTER
				       : IR_FINISH_OTHER;
}

static int
oacp_choice_finish(struct answer_reader *rd, struct oacp_choice *c,
    struct str word, struct str stop)
{
	unsigned i;
	int rc = emit_lane_stop(&rd->em, &c->lane);

	for (i = 0; i < c->n_calls && rc == 0; i++)
		rc = oacp_call_stop(rd, c, &c->calls[i]);
	if (rc != 0)
		return rc;
	c->finished = true;
	return emit_finish(&rd->em, c->lane.choice,
	    word.len > 0   ? oacp_finish_word(c, word, stop.len > 0)
	    : c->has_calls ? IR_FINISH_TOOL_CALLS
			   : IR_FINISH_STOP,
	    word, stop);
}

int
oacp_finish_rest(struct answer_reader *rd)
{
	unsigned i;
	int rc = 0;

	for (i = 0; i < rd->n_choices && rc == 0; i++) {
		if (rd->choices[i].seen && !rd->choices[i].finished)
			rc = oacp_choice_finish(
			    rd, &rd->choices[i], STR_NULL, STR_NULL);
	}
	return rc;
}

static int
oacp_choice_read(struct answer_reader *rd, struct json choice, int64_t index)
{
	static const struct str names[] = {{"index", 5}, {"delta", 5},
	    {"message", 7}, {"logprobs", 8}, {"finish_reason", 13},
	    {"stop_reason", 11}};
	struct oacp_choice *c;
	struct json v[6];
	int rc = 0;

	if (choice.type != JSON_OBJECT)
		return ERR_INVALID;
	emit_pick(choice, names, v, 6);
	if (v[0].p != NULL && json_to_i64(v[0], &index) != 0)
		return ERR_INVALID;
	c = oacp_choice(rd, index);
	if (c == NULL)
		return index >= 0 && index < OACP_MAX_CHOICES ? ERR_NOMEM
							      : ERR_INVALID;
	if (c->finished)
		return 0;
	if (v[1].p != NULL && v[1].type == JSON_OBJECT)
		rc = oacp_delta(rd, c, v[1]);
	else if (v[2].p != NULL && v[2].type == JSON_OBJECT)
		rc = oacp_delta(rd, c, v[2]);
	if (rc == 0 && v[3].p != NULL)
		rc = oacp_logprobs(rd, c, v[3]);
	if (rc == 0 && emit_text(v[4]).len > 0)
		rc =
		    oacp_choice_finish(rd, c, emit_text(v[4]), emit_text(v[5]));
	return rc;
}

/* ---- chunks ---- */

static int
oacp_status(struct str type, struct json code)
{
	static const struct {
		const char *word;
		int status;
	} words[] = {{"invalid_request_error", 400}, {"BadRequestError", 400},
	    {"context_length_exceeded", 400}, {"content_filter", 400},
	    {"invalid_api_key", 401}, {"authentication_error", 401},
	    {"permission_error", 403}, {"model_not_found", 404},
	    {"not_found_error", 404}, {"rate_limit_exceeded", 429},
	    {"rate_limit_error", 429}, {"insufficient_quota", 429},
	    {"tokens", 429}, {"requests", 429}, {"overloaded_error", 503},
	    {"overloaded", 503}, {"service_unavailable", 503},
	    {"server_error", 500}, {"timeout", 504}};
	int64_t n = 0;
	size_t i;

	if (code.p != NULL && code.type == JSON_NUMBER &&
	    json_to_i64(code, &n) == 0 && n >= 400 && n <= 599)
		return (int)n;
	if (emit_text(code).len == 3 && str_to_i64(emit_text(code), &n) == 0 &&
	    n >= 400 && n <= 599)
		return (int)n;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eqz(type, words[i].word) ||
		    str_eqz(emit_text(code), words[i].word))
			return words[i].status;
	}
	return 500;
}

/* An error instead of a chunk: {"error":{...}}, {"error":"text"} or vLLM's
 * {"object":"error","message":...}. */
static int
oacp_error(struct answer_reader *rd, struct json err)
{
	static const struct str names[] = {
	    {"message", 7}, {"type", 4}, {"code", 4}};
	struct str native, text;
	struct json v[3];

	emit_pick(err, names, v, 3);
	text = err.type == JSON_STRING ? emit_text(err) : emit_text(v[0]);
	native = emit_text(v[1]);
	if (native.len == 0)
		native = emit_text(v[2]);
	return emit_error(&rd->em, native, oacp_status(native, v[2]),
	    text.len > 0 ? text : STR("the provider reported an error"));
}

struct oacp_root {
	struct json id, model, choices, usage, error, object, tier, groq;
};

static void
oacp_root_pick(struct json root, struct oacp_root *t)
{
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;

	memset(t, 0, sizeof(*t));
	while (json_next_member(&it, &key, &v)) {
		if (v.type == JSON_NULL)
			continue;
		if (IS(key, "id"))
			t->id = v;
		else if (IS(key, "model"))
			t->model = v;
		else if (IS(key, "choices"))
			t->choices = v;
		else if (IS(key, "usage"))
			t->usage = v;
		else if (IS(key, "error"))
			t->error = v;
		else if (IS(key, "object"))
			t->object = v;
		else if (IS(key, "service_tier"))
			t->tier = v;
		else if (IS(key, "x_groq"))
			t->groq = v;
	}
}

static int
oacp_usage_read(struct answer_reader *rd, const struct oacp_root *t, unsigned n)
{
	struct json usage = t->usage;

	if (t->tier.p != NULL)
		usage_tier(&rd->em.usage, t->tier);
	if (usage.p == NULL && t->groq.p != NULL)
		(void)json_getz(t->groq, "usage", &usage);
	if (usage.p == NULL || usage.type != JSON_OBJECT)
		return 0;
	if (n == 0)
		rd->usage_last = true;
	if (!usage_update(&rd->em.usage, USAGE_OPENAI_CHAT, usage,
		n == 0 || oacp_all_finished(rd)))
		return 0;
	return emit_usage(&rd->em);
}

int
oacp_chunk(struct answer_reader *rd, struct json root)
{
	struct json_iter it;
	struct oacp_root t;
	struct json choice;
	unsigned n = 0;
	int rc = 0;

	oacp_root_pick(root, &t);
	if (t.error.p != NULL)
		return oacp_error(rd, t.error);
	if (IS(emit_text(t.object), "error"))
		return oacp_error(rd, root);
	if (t.choices.p != NULL && t.choices.type == JSON_ARRAY) {
		it = json_iter(t.choices);
		while (rc == 0 && json_next_element(&it, &choice)) {
			if (n == 0)
				rc = emit_start(&rd->em, emit_text(t.id),
				    emit_text(t.model));
			if (rc == 0)
				rc = oacp_choice_read(rd, choice, n);
			n++;
		}
	}
	/* A frame with neither id nor choices is an annotation. */
	if (rc == 0 && n == 0 && (emit_text(t.id).len > 0 || t.usage.p != NULL))
		rc = emit_start(&rd->em, emit_text(t.id), emit_text(t.model));
	return rc != 0 ? rc : oacp_usage_read(rd, &t, n);
}
