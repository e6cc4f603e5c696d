/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The response object: it repeats what was asked for, and holds the items that
 * the blocks of the answer are. store is false, because nothing is kept.
 */
#include "agent/dialect/responses_writer.h"

/* ---- items ---- */

void
rspc_write_id(
    struct answer_writer *w, struct buf *out, const struct acc_block *b)
{
	switch (b->part) {
	case IR_TOOL_CALL:
		(void)buf_addz(out, "fc_");
		break;
	case IR_THINKING:
		(void)buf_addz(out, "rs_");
		break;
	case IR_REDACTED:
		(void)buf_addz(out, RSPC_OPAQUE);
		break;
	case IR_IMAGE:
		(void)buf_addz(out, "ig_");
		break;
	default:
		(void)buf_addz(out, "msg_");
		break;
	}
	(void)buf_add_escaped(out, w->o.id);
	(void)buf_addc(out, '_');
	(void)buf_add_i64(out, b->index);
}

void
rspc_write_logprobs(struct buf *out, struct str elements)
{
	(void)buf_addc(out, '[');
	(void)buf_add_str(out, elements);
	(void)buf_addc(out, ']');
}

void
rspc_write_part(struct buf *out, const struct acc_block *b, bool done)
{
	struct str text = done ? buf_str(&b->text) : STR_NULL;

	if (b->part == IR_REFUSAL) {
		(void)buf_addz(out, "{\"type\":\"refusal\",\"refusal\":\"");
		(void)buf_add_str(out, text);
		(void)buf_addz(out, "\"}");
		return;
	}
	(void)buf_addz(
	    out, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":");
	rspc_write_logprobs(out, done ? buf_str(&b->logprobs) : STR_NULL);
	(void)buf_addz(out, ",\"text\":\"");
	(void)buf_add_str(out, text);
	(void)buf_addz(out, "\"}");
}

static void
rspc_item_extra(struct buf *out, const struct acc_block *b)
{
	if (b->signature.len == 0)
		return;
	(void)buf_addz(out, ",\"extra_content\":{\"google\":"
			    "{\"thought_signature\":\"");
	(void)buf_add_str(out, buf_str(&b->signature));
	(void)buf_addz(out, "\"}}");
}

static void
rspc_item_call(struct answer_writer *w, struct buf *out,
    const struct acc_block *b, bool done)
{
	(void)buf_addz(out, ",\"arguments\":\"");
	if (done)
		(void)buf_add_str(out, buf_str(&b->text));
	(void)buf_addz(out, "\",\"call_id\":\"");
	if (b->id.len > 0) {
		(void)buf_add_str(out, buf_str(&b->id));
	} else {
		(void)buf_addz(out, "call_");
		(void)buf_add_escaped(out, w->o.id);
		(void)buf_addf(out, "_%u", b->index);
	}
	(void)buf_addz(out, "\",\"name\":\"");
	(void)buf_add_str(out, buf_str(&b->name));
	(void)buf_addc(out, '"');
	if (done)
		rspc_item_extra(out, b);
}

static void
rspc_item_thinking(struct buf *out, const struct acc_block *b, bool done)
{
	(void)buf_addz(out, ",\"summary\":[");
	if (done && b->text.len > 0) {
		(void)buf_addz(out, "{\"type\":\"summary_text\",\"text\":\"");
		(void)buf_add_str(out, buf_str(&b->text));
		(void)buf_addz(out, "\"}");
	}
	(void)buf_addc(out, ']');
	if (done && b->signature.len > 0) {
		(void)buf_addz(out, ",\"encrypted_content\":\"");
		(void)buf_add_str(out, buf_str(&b->signature));
		(void)buf_addc(out, '"');
	}
}

static void
rspc_item_message(struct buf *out, const struct acc_block *b, bool done)
{
	(void)buf_addz(out, ",\"role\":\"assistant\",\"content\":[");
	if (done)
		rspc_write_part(out, b, true);
	(void)buf_addc(out, ']');
	if (done)
		rspc_item_extra(out, b);
}

void
rspc_write_item(struct answer_writer *w, struct buf *out,
    const struct acc_block *b, bool done)
{
	const char *type = "message";

	if (b->part == IR_TOOL_CALL)
		type = "function_call";
	else if (b->part == IR_THINKING || b->part == IR_REDACTED)
		type = "reasoning";
	else if (b->part == IR_IMAGE)
		type = "image_generation_call";
	(void)buf_addz(out, "{\"id\":\"");
	rspc_write_id(w, out, b);
	(void)buf_addf(out, "\",\"type\":\"%s\",\"status\":\"%s\"", type,
	    done ? "completed" : "in_progress");
	switch (b->part) {
	case IR_TOOL_CALL:
		rspc_item_call(w, out, b, done);
		break;
	case IR_THINKING:
	case IR_REDACTED:
		rspc_item_thinking(out, b, done);
		break;
	case IR_IMAGE:
		(void)buf_addz(out, done ? ",\"result\":\"" : ",\"result\":");
		if (done)
			(void)buf_add_str(out, buf_str(&b->text));
		(void)buf_addz(out, done ? "\"" : "null");
		break;
	default:
		rspc_item_message(out, b, done);
		break;
	}
	(void)buf_addc(out, '}');
}

/* ---- what was asked for ---- */

static void
rspc_echo_raw(
    struct buf *out, const char *name, struct str json, const char *otherwise)
{
	(void)buf_addf(out, ",\"%s\":", name);
	(void)buf_add_str(out, json.len > 0 ? json : str_of(otherwise));
}

/* esc; "" = otherwise */
static void
rspc_echo_text(
    struct buf *out, const char *name, struct str esc, const char *otherwise)
{
	(void)buf_addf(out, ",\"%s\":", name);
	if (esc.len == 0) {
		(void)buf_addz(out, otherwise);
		return;
	}
	(void)buf_addc(out, '"');
	(void)buf_add_str(out, esc);
	(void)buf_addc(out, '"');
}

static void
rspc_echo_int(struct buf *out, const char *name, int64_t v)
{
	(void)buf_addf(out, ",\"%s\":", name);
	if (v < 0)
		(void)buf_addz(out, "null");
	else
		(void)buf_add_i64(out, v);
}

static void
rspc_echo_tools(struct buf *out, const struct ir_request *r)
{
	const struct ir_tool *t;

	(void)buf_addz(out, ",\"tools\":[");
	for (t = r->tools; t != NULL; t = t->next) {
		if (t != r->tools)
			(void)buf_addc(out, ',');
		(void)buf_addz(out, "{\"type\":\"function\",\"name\":\"");
		(void)buf_add_str(out, t->name);
		(void)buf_addc(out, '"');
		rspc_echo_text(out, "description", t->description, "null");
		rspc_echo_raw(out, "parameters", t->schema, "{}");
		(void)buf_addz(out, t->strict == 1 ? ",\"strict\":true}"
						   : ",\"strict\":false}");
	}
	(void)buf_addc(out, ']');
}

static void
rspc_echo_choice(struct buf *out, const struct ir_request *r)
{
	static const char *const words[] = {[IR_CHOICE_UNSET] = "auto",
	    [IR_CHOICE_AUTO] = "auto",
	    [IR_CHOICE_NONE] = "none",
	    [IR_CHOICE_ANY] = "required",
	    [IR_CHOICE_TOOL] = ""};

	(void)buf_addz(out, ",\"tool_choice\":");
	if (r->choice == IR_CHOICE_TOOL) {
		(void)buf_addz(out, "{\"type\":\"function\",\"name\":\"");
		(void)buf_add_str(out, r->choice_name);
		(void)buf_addz(out, "\"}");
	} else {
		(void)buf_addf(out, "\"%s\"", words[r->choice]);
	}
}

static void
rspc_echo_format(struct buf *out, const struct ir_request *r)
{
	(void)buf_addz(out, ",\"text\":{\"format\":{\"type\":\"");
	if (r->format == IR_FORMAT_SCHEMA) {
		(void)buf_addz(out, "json_schema\"");
		rspc_echo_text(out, "name", r->format_name, "\"\"");
		rspc_echo_text(
		    out, "description", r->format_description, "null");
		rspc_echo_raw(out, "schema", r->format_schema, "{}");
		(void)buf_addz(out, r->format_strict == 1
					? ",\"strict\":true"
					: ",\"strict\":false");
	} else {
		(void)buf_addz(out,
		    r->format == IR_FORMAT_JSON ? "json_object\"" : "text\"");
	}
	(void)buf_addc(out, '}');
	rspc_echo_text(out, "verbosity", r->verbosity, "\"medium\"");
	(void)buf_addc(out, '}');
}

static struct str
rspc_instructions(const struct ir_request *r)
{
	const struct ir_message *m = r->messages;

	if (m != NULL && m->role == IR_SYSTEM && m->parts != NULL &&
	    m->parts->field != NULL &&
	    strcmp(m->parts->field, RSPC_INSTRUCTIONS) == 0)
		return m->parts->text;
	return STR_NULL;
}

static void
rspc_echo(struct buf *out, const struct ir_request *r)
{
	rspc_echo_text(out, "instructions", rspc_instructions(r), "null");
	rspc_echo_int(out, "max_output_tokens", r->max_output);
	(void)buf_addz(out, ",\"max_tool_calls\":null");
	rspc_echo_raw(out, "metadata", r->metadata, "{}");
	(void)buf_addz(out, r->parallel == 0 ? ",\"parallel_tool_calls\":false"
					     : ",\"parallel_tool_calls\":true");
	(void)buf_addz(out, ",\"previous_response_id\":null"
			    ",\"prompt_cache_key\":null,\"reasoning\":{"
			    "\"effort\":");
	if (r->effort == IR_EFFORT_UNSET)
		(void)buf_addz(out, "null");
	else
		(void)buf_addf(out, "\"%s\"", ir_effort_name(r->effort));
	rspc_echo_text(out, "summary", r->summary, "null");
	(void)buf_addc(out, '}');
	rspc_echo_text(out, "safety_identifier", r->user, "null");
	(void)buf_addz(out, ",\"store\":false");
	rspc_echo_raw(out, "temperature", r->temperature, "1.0");
	rspc_echo_format(out, r);
	rspc_echo_choice(out, r);
	rspc_echo_tools(out, r);
	rspc_echo_int(
	    out, "top_logprobs", r->top_logprobs < 0 ? 0 : r->top_logprobs);
	rspc_echo_raw(out, "top_p", r->top_p, "1.0");
	(void)buf_addz(out, ",\"truncation\":\"disabled\"");
	rspc_echo_text(out, "user", r->user, "null");
}

/* ---- the object ---- */

const char *
rspc_error_code(const struct ir_event *ev)
{
	if (ev->status == 429)
		return "rate_limit_exceeded";
	if (ev->status >= 400 && ev->status < 500)
		return "invalid_prompt";
	return "server_error";
}

static void
rspc_write_error(struct answer_writer *w, struct buf *out)
{
	(void)buf_addz(out, ",\"error\":");
	if (w->error == NULL) {
		(void)buf_addz(out, "null");
		return;
	}
	(void)buf_addf(
	    out, "{\"code\":\"%s\",\"message\":\"", rspc_error_code(w->error));
	(void)buf_add_str(out, w->error->text);
	(void)buf_addz(out, "\"}");
}

static void
rspc_write_output(struct answer_writer *w, struct buf *out)
{
	bool first = true;
	unsigned i;

	(void)buf_addz(out, ",\"output\":[");
	for (i = 0; i < w->acc.n_blocks; i++) {
		const struct acc_block *b = w->acc.blocks[i];

		if (b->hidden)
			continue;
		if (!first)
			(void)buf_addc(out, ',');
		first = false;
		rspc_write_item(w, out, b, true);
	}
	(void)buf_addc(out, ']');
}

static void
rspc_write_tail(struct answer_writer *w, struct buf *out)
{
	struct str tier = acc_openai_tier(w->has_usage ? &w->usage : NULL);

	if (tier.len == 0 && w->o.request != NULL)
		tier = w->o.request->service_tier;
	rspc_echo_text(out, "service_tier", tier, "\"default\"");
	(void)buf_addz(out, ",\"usage\":");
	if (w->has_usage)
		usage_write_responses(out, &w->usage);
	else
		(void)buf_addz(out, "null");
	(void)buf_addc(out, '}');
}

void
rspc_write_response(
    struct answer_writer *w, struct buf *out, enum rspc_status status)
{
	static const char *const words[] = {[RSPC_IN_PROGRESS] = "in_progress",
	    [RSPC_COMPLETED] = "completed",
	    [RSPC_INCOMPLETE] = "incomplete",
	    [RSPC_FAILED] = "failed"};
	static const struct ir_request nothing = {.parallel = -1,
	    .max_output = -1,
	    .top_logprobs = -1,
	    .format_strict = -1};

	(void)buf_addz(out, "{\"id\":\"resp_");
	(void)buf_add_escaped(out, w->o.id);
	(void)buf_addz(out, "\",\"object\":\"response\",\"created_at\":");
	(void)buf_add_i64(out, w->o.created_s);
	(void)buf_addf(
	    out, ",\"status\":\"%s\",\"background\":false", words[status]);
	rspc_write_error(w, out);
	(void)buf_addz(out, ",\"incomplete_details\":");
	if (status == RSPC_INCOMPLETE)
		(void)buf_addz(out, w->finish == IR_FINISH_LENGTH
					? "{\"reason\":\"max_output_tokens\"}"
					: "{\"reason\":\"content_filter\"}");
	else
		(void)buf_addz(out, "null");
	(void)buf_addz(out, ",\"model\":\"");
	(void)buf_add_str(out, buf_str(&w->model));
	(void)buf_addc(out, '"');
	rspc_write_output(w, out);
	rspc_echo(out, w->o.request != NULL ? w->o.request : &nothing);
	rspc_write_tail(w, out);
}
