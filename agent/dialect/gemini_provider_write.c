/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing Gemini requests (AI Studio and Vertex AI). The model and whether to
 * stream are in the path.
 *
 * What is odd: results name their tool and come all together in the turn
 * behind the calls, so neighbours of one role become one; models from
 * Gemini 3 on refuse a turn whose first call lacks a thought signature, and
 * take a word in its place for calls that another provider's model made.
 */
#include "agent/dialect/media.h"
#include "agent/dialect/provider_write.h"

#define GEMINI_MAX_STOPS 5
#define GEMINI_NO_PROOF	 "skip_thought_signature_validator"

/* What of one turn is still to say. */
struct gemini_turn {
	bool signs; /* the model wants a signature on its first call */
	bool called;
};

static bool
gemini_has_levels(const struct pw *pw)
{
	return pw_model_has(pw, "gemini-3");
}

static void
gemini_text(struct pw *pw, const struct ir_part *p, bool thought)
{
	jw_open(&pw->w, '{');
	jw_name_esc(&pw->w, "text", p->text);
	if (thought)
		jw_name_bool(&pw->w, "thought", true);
	jw_opt_esc(&pw->w, "thoughtSignature", p->signature);
	jw_close(&pw->w, '}');
}

static int
gemini_media(struct pw *pw, const struct ir_part *p)
{
	struct str mime = media_mime(pw->r->arena, p);

	if (p->data.len == 0 && p->url.len == 0) {
		if (p->text.len > 0) { /* a document that is text */
			jw_one_esc(&pw->w, "text", p->text);
			return 0;
		}
		return pw_refuse_part(
		    pw, p, "Gemini takes base64 and URLs only");
	}
	if (p->data.len > 0 && mime.len == 0)
		return pw_refuse_part(pw, p, "its media type is not told");
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, p->data.len > 0 ? "inlineData" : "fileData", '{');
	jw_opt_esc(&pw->w, "mimeType", mime);
	if (p->data.len > 0)
		jw_name_esc(&pw->w, "data", p->data);
	else
		jw_name_esc(&pw->w, "fileUri", p->url);
	jw_close(&pw->w, '}');
	jw_opt_esc(&pw->w, "thoughtSignature", p->signature);
	jw_close(&pw->w, '}');
	return 0;
}

static void
gemini_call(struct pw *pw, const struct ir_part *p, struct gemini_turn *turn)
{
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "functionCall", '{');
	jw_opt_esc(&pw->w, "id", p->id);
	jw_name_esc(&pw->w, "name", p->name);
	jw_name_raw(&pw->w, "args", p->args.len > 0 ? p->args : STR("{}"));
	jw_close(&pw->w, '}');
	if (p->signature.len > 0)
		jw_name_esc(&pw->w, "thoughtSignature", p->signature);
	else if (turn->signs && !turn->called)
		jw_name_z(&pw->w, "thoughtSignature", GEMINI_NO_PROOF);
	turn->called = true;
	jw_close(&pw->w, '}');
}

static int
gemini_result(struct pw *pw, const struct ir_part *p)
{
	struct str name = pw_result_name(pw, p);
	const struct ir_part *q;
	int rc = 0;

	if (name.len == 0)
		return err_set_field(pw->e, ERR_INVALID,
		    p->field != NULL ? p->field : "messages",
		    "the result belongs to no tool call of the conversation");
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "functionResponse", '{');
	jw_opt_esc(&pw->w, "id", p->id);
	jw_name_esc(&pw->w, "name", name);
	jw_name(&pw->w, "response");
	if (p->result_json.len > 0) {
		jw_raw(&pw->w, p->result_json);
	} else {
		jw_open(&pw->w, '{');
		jw_name(&pw->w, p->is_error ? "error" : "result");
		jw_sep(&pw->w);
		(void)buf_addc(pw->w.b, '"');
		pw_result_text(pw, p);
		(void)buf_addc(pw->w.b, '"');
		jw_close(&pw->w, '}');
	}
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	for (q = pw_part(pw, p->parts, true); q != NULL && rc == 0;
	     q = pw_part(pw, q->next, true))
		if (q->type != IR_TEXT)
			rc = gemini_media(pw, q);
	return rc;
}

static int
gemini_part(struct pw *pw, const struct ir_part *p, struct gemini_turn *turn)
{
	switch (p->type) {
	case IR_TEXT:
	case IR_REFUSAL:
		if (p->text.len > 0 || p->signature.len > 0)
			gemini_text(pw, p, false);
		return 0;
	case IR_THINKING:
		if (p->signature.len > 0)
			gemini_text(pw, p, true);
		return 0;
	case IR_REDACTED:
		return 0; /* only its maker can read it */
	case IR_TOOL_CALL:
		gemini_call(pw, p, turn);
		return 0;
	case IR_TOOL_RESULT:
		return gemini_result(pw, p);
	default:
		return gemini_media(pw, p);
	}
}

/* ---- messages ---- */

static int
gemini_turn_part(struct pw *pw, const struct ir_part *p, void *ctx)
{
	return gemini_part(pw, p, ctx);
}

static void
gemini_turn_begin(void *ctx)
{
	struct gemini_turn *turn = ctx;

	*turn = (struct gemini_turn){.signs = turn->signs};
}

static int
gemini_contents(struct pw *pw)
{
	struct gemini_turn turn = {.signs = gemini_has_levels(pw)};
	struct pw_turns how = {.name = "contents",
	    .assistant = "model",
	    .parts = "parts",
	    .part = gemini_turn_part,
	    .begin = gemini_turn_begin,
	    .ctx = &turn};

	return pw_write_turns(pw, &how);
}

static void
gemini_system(struct pw *pw)
{
	const struct ir_message *m;
	const struct ir_part *p;
	bool open = false;

	for (m = pw->r->messages; m != NULL; m = m->next) {
		if (!pw_is_system(m))
			continue;
		for (p = m->parts; p != NULL; p = p->next) {
			if (p->type != IR_TEXT || p->text.len == 0)
				continue;
			if (!open) {
				jw_name_open(&pw->w, "systemInstruction", '{');
				jw_name_open(&pw->w, "parts", '[');
			}
			open = true;
			jw_one_esc(&pw->w, "text", p->text);
		}
	}
	if (open) {
		jw_close(&pw->w, ']');
		jw_close(&pw->w, '}');
	}
}

/* ---- tools ---- */

static void
gemini_tools(struct pw *pw)
{
	const struct ir_tool *t;

	if (pw->r->n_tools == 0)
		return;
	jw_name_open(&pw->w, "tools", '[');
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "functionDeclarations", '[');
	for (t = pw->r->tools; t != NULL; t = t->next) {
		jw_open(&pw->w, '{');
		jw_name_esc(&pw->w, "name", t->name);
		jw_opt_esc(&pw->w, "description", t->description);
		jw_opt_raw(&pw->w, "parametersJsonSchema", t->schema);
		jw_close(&pw->w, '}');
	}
	jw_close(&pw->w, ']');
	jw_close(&pw->w, '}');
	jw_close(&pw->w, ']');
}

static void
gemini_choice(struct pw *pw)
{
	static const char *const modes[] = {[IR_CHOICE_AUTO] = "AUTO",
	    [IR_CHOICE_NONE] = "NONE",
	    [IR_CHOICE_ANY] = "ANY",
	    [IR_CHOICE_TOOL] = "ANY"};
	const struct ir_request *r = pw->r;

	if (r->n_tools == 0 || r->choice == IR_CHOICE_UNSET)
		return;
	jw_name_open(&pw->w, "toolConfig", '{');
	jw_name_open(&pw->w, "functionCallingConfig", '{');
	jw_name_z(&pw->w, "mode", modes[r->choice]);
	if (r->choice == IR_CHOICE_TOOL) {
		jw_name_open(&pw->w, "allowedFunctionNames", '[');
		jw_esc(&pw->w, r->choice_name);
		jw_close(&pw->w, ']');
	}
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
}

/* ---- generationConfig ---- */

static const char *
gemini_level(const struct pw *pw, enum ir_effort e)
{
	bool flash = pw_model_has(pw, "flash");

	if (e <= IR_EFFORT_MINIMAL)
		return flash ? "minimal" : "low";
	if (e == IR_EFFORT_LOW)
		return "low";
	if (e == IR_EFFORT_MEDIUM && !pw_model_has(pw, "gemini-3-pro"))
		return "medium";
	return "high";
}

static void
gemini_thinking(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	bool off = r->thinking_budget == 0 ||
		   (r->thinking_budget < 0 && r->effort == IR_EFFORT_NONE);

	if (!r->show_thinking && r->effort == IR_EFFORT_UNSET &&
	    r->thinking_budget < 0)
		return;
	jw_name_open(&pw->w, "thinkingConfig", '{');
	if (r->show_thinking && !off) /* refused when thinking is off */
		jw_name_bool(&pw->w, "includeThoughts", true);
	if (r->thinking_budget >= 0)
		jw_name_i64(&pw->w, "thinkingBudget", r->thinking_budget);
	else if (r->effort != IR_EFFORT_UNSET && gemini_has_levels(pw))
		jw_name_z(&pw->w, "thinkingLevel", gemini_level(pw, r->effort));
	else if (r->effort != IR_EFFORT_UNSET)
		jw_name_i64(&pw->w, "thinkingBudget",
		    r->effort >= IR_EFFORT_HIGH
			? ir_effort_budget(IR_EFFORT_HIGH)
			: ir_effort_budget(r->effort));
	jw_close(&pw->w, '}');
}

static void
gemini_format(struct pw *pw)
{
	const struct ir_request *r = pw->r;

	if (r->format != IR_FORMAT_JSON && r->format != IR_FORMAT_SCHEMA)
		return;
	jw_name_z(&pw->w, "responseMimeType", "application/json");
	if (r->format == IR_FORMAT_SCHEMA)
		jw_opt_raw(&pw->w, "responseJsonSchema", r->format_schema);
}

static int
gemini_config(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	size_t start = pw->w.b->len, filled;
	bool comma = pw->w.comma;
	int64_t cap = pw_cap(pw);
	int rc = 0;

	jw_name_open(&pw->w, "generationConfig", '{');
	filled = pw->w.b->len;
	jw_opt_raw(&pw->w, "temperature", r->temperature);
	jw_opt_raw(&pw->w, "topP", r->top_p);
	jw_opt_raw(&pw->w, "topK", r->top_k);
	if (r->n > 1)
		jw_name_i64(&pw->w, "candidateCount", r->n);
	if (cap >= 0)
		jw_name_i64(&pw->w, "maxOutputTokens", cap);
	if (r->n_stops > GEMINI_MAX_STOPS)
		rc = pw_refuse(
		    pw, "stop sequences", "Gemini takes at most 5 of them");
	else
		pw_stops(pw, "stopSequences");
	gemini_format(pw);
	jw_opt_raw(&pw->w, "seed", r->seed);
	jw_opt_raw(&pw->w, "presencePenalty", r->presence_penalty);
	jw_opt_raw(&pw->w, "frequencyPenalty", r->frequency_penalty);
	if (r->logprobs) {
		jw_name_bool(&pw->w, "responseLogprobs", true);
		if (r->top_logprobs > 0)
			jw_name_i64(&pw->w, "logprobs", r->top_logprobs);
	}
	gemini_thinking(pw);
	if (buf_error(pw->w.b) == 0 && pw->w.b->len == filled) {
		pw->w.b->len = start;
		pw->w.comma = comma;
	} else {
		jw_close(&pw->w, '}');
	}
	return rc;
}

static int
gemini_tier(struct pw *pw)
{
	struct str word = pw->r->service_tier;
	const char *tier = NULL;

	if (word.len == 0 || str_eqz(word, "auto") ||
	    str_eqz(word, "default") || str_eqz(word, "standard") ||
	    str_eqz(word, "standard_only"))
		return 0;
	if (str_eqz(word, "priority") || str_eqz(word, "fast"))
		tier = "priority";
	else if (str_eqz(word, "flex"))
		tier = "flex";
	if (tier == NULL)
		return pw_refuse(pw, "service tier other than the default",
		    "Gemini has no such tier");
	jw_name_z(&pw->w, "serviceTier", tier);
	return 0;
}

int
gemini_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e)
{
	struct pw pw;
	int rc;

	rc = pw_begin(&pw, r, o, CARRY_P_GEMINI, out, e);
	if (rc != 0)
		return rc;
	jw_open(&pw.w, '{');
	rc = gemini_contents(&pw);
	if (rc != 0)
		return rc;
	gemini_system(&pw);
	gemini_tools(&pw);
	gemini_choice(&pw);
	rc = gemini_config(&pw);
	if (rc == 0)
		rc = gemini_tier(&pw);
	jw_opt_raw(&pw.w, "safetySettings", r->safety);
	jw_close(&pw.w, '}');
	return rc != 0 ? rc : buf_error(out);
}
