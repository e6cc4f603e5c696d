/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the Gemini dialect from neutral events: a stream of SSE frames,
 * the same as elements of a JSON array, or one plain object.
 *
 * Text flows piece by piece; calls and media are whole parts and wait for the
 * end of their block. Every chunk holds a part, the last one an empty text,
 * because SDKs drop a turn from their history when a chunk holds none. Usage
 * comes with the first chunk after it changed and with the last one.
 *
 * Thinking that the client did not ask for is left out unless it is signed: a
 * provider that signs wants it back. Encrypted thinking is a thought without
 * text (gemini_client_signature.c).
 */
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/gemini_client.h"
#include "agent/dialect/gemini_client_write.h"
#include "agent/dialect/jw.h"

struct answer_writer *
gemc_begin(const struct answer_opts *o, struct buf *out)
{
	struct answer_writer *w = calloc(1, sizeof(*w));
	unsigned i;

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->out = out;
	buf_init(&w->tail, 8192);
	for (i = 0; i < GEMC_MAX_CHOICES; i++)
		buf_init(&w->choices[i].logprobs, GEMC_MAX_HELD);
	return w;
}

static void
gemc_block_free(struct gemc_block *b)
{
	buf_release(&b->id);
	buf_release(&b->name);
	buf_release(&b->text);
	buf_release(&b->sig);
	free(b);
}

void
gemc_free(struct answer_writer *w)
{
	struct gemc_block *b;
	unsigned i;

	if (w == NULL)
		return;
	while ((b = w->head) != NULL) {
		w->head = b->next;
		gemc_block_free(b);
	}
	for (i = 0; i < GEMC_MAX_CHOICES; i++)
		buf_release(&w->choices[i].logprobs);
	buf_release(&w->tail);
	free(w);
}

/* ---- chunks ---- */

static void
gemc_chunk_open(struct answer_writer *w)
{
	if (!w->o.stream)
		return;
	if (w->o.json_array)
		(void)buf_addz(w->out, w->n_chunks > 0 ? ",\r\n" : "[");
	else
		(void)buf_addz(w->out, "data: ");
	w->n_chunks++;
}

static void
gemc_chunk_close(struct answer_writer *w)
{
	if (w->o.stream && !w->o.json_array)
		(void)buf_add(w->out, "\r\n\r\n", 4);
}

/* Usage, model and id, and the end of the object. */
static void
gemc_chunk_tail(struct answer_writer *w, bool usage)
{
	if (usage) {
		(void)buf_addz(w->out, ",\"usageMetadata\":");
		usage_write_gemini(w->out, &w->usage);
		w->usage_new = false;
	}
	(void)buf_add_str(w->out, buf_str(&w->tail));
	(void)buf_addc(w->out, '}');
}

/* {"candidates":[{"content":{"parts":[ */
static void
gemc_part_open(struct answer_writer *w)
{
	gemc_chunk_open(w);
	(void)buf_addz(w->out, "{\"candidates\":[{\"content\":{\"parts\":[");
}

static void
gemc_part_close(struct answer_writer *w, unsigned choice)
{
	(void)buf_addz(w->out, "],\"role\":\"model\"},\"index\":");
	(void)buf_add_i64(w->out, choice);
	(void)buf_addz(w->out, "}]");
	gemc_chunk_tail(w, w->usage_new);
	gemc_chunk_close(w);
	w->choices[choice].n_parts++;
}

static void
gemc_text_chunk(struct answer_writer *w, unsigned choice, bool thought,
    struct str text, struct str sig)
{
	struct jw j = {w->out, false};

	gemc_part_open(w);
	jw_open(&j, '{');
	jw_name_esc(&j, "text", text);
	if (thought)
		jw_name_bool(&j, "thought", true);
	gemc_signature_write(w->out, sig, false);
	jw_close(&j, '}');
	gemc_part_close(w, choice);
}

/* ---- parts from blocks ---- */

static bool
gemc_is_text(const struct gemc_block *b)
{
	return b->part == IR_TEXT || b->part == IR_REFUSAL ||
	       b->part == IR_THINKING;
}

static bool
gemc_flows(const struct answer_writer *w, const struct gemc_block *b)
{
	return w->o.stream && gemc_is_text(b) &&
	       (b->part != IR_THINKING || w->o.show_thinking);
}

static bool
gemc_is_empty(const struct answer_writer *w, const struct gemc_block *b)
{
	if (b->part == IR_TOOL_CALL)
		return false;
	if (b->part == IR_THINKING && !w->o.show_thinking)
		return b->sig.len == 0;
	return b->text.len == 0 && b->sig.len == 0;
}

/* A whole block as a part. */
static void
gemc_part(struct buf *out, const struct gemc_block *b)
{
	struct jw j = {out, false};

	jw_open(&j, '{');
	switch (b->part) {
	case IR_TOOL_CALL:
		jw_name_open(&j, "functionCall", '{');
		jw_opt_esc(&j, "id", buf_str(&b->id));
		jw_name_esc(&j, "name", buf_str(&b->name));
		jw_name(&j, "args");
		jw_sep(&j);
		client_args_write(out, buf_str(&b->text));
		jw_close(&j, '}');
		break;
	case IR_REDACTED:
		jw_name_z(&j, "text", "");
		jw_name_bool(&j, "thought", true);
		break;
	case IR_TEXT:
	case IR_REFUSAL:
	case IR_THINKING:
		jw_name_esc(&j, "text", buf_str(&b->text));
		if (b->part == IR_THINKING)
			jw_name_bool(&j, "thought", true);
		break;
	default:
		jw_name_open(&j, "inlineData", '{');
		jw_name_esc(&j, "mimeType", buf_str(&b->name));
		jw_name_esc(&j, "data", buf_str(&b->text));
		jw_close(&j, '}');
		break;
	}
	gemc_signature_write(out, buf_str(&b->sig), b->part == IR_REDACTED);
	jw_close(&j, '}');
}

static struct gemc_block *
gemc_find(const struct answer_writer *w, const struct ir_event *ev)
{
	struct gemc_block *b = w->head;

	while (b != NULL &&
	       (b->choice != ev->choice || b->block != ev->block || b->stopped))
		b = b->next;
	return b;
}

static void
gemc_unlink(struct answer_writer *w, struct gemc_block *b)
{
	struct gemc_block **link = &w->head, *before = NULL;

	while (*link != b) {
		before = *link;
		link = &before->next;
	}
	*link = b->next;
	if (w->tail_block == b)
		w->tail_block = before;
	w->held -= b->text.len + b->sig.len;
	w->n_blocks--;
}

static int
gemc_on_block(struct answer_writer *w, const struct ir_event *ev)
{
	struct gemc_block *b;

	if (w->n_blocks >= GEMC_MAX_BLOCKS)
		return ERR_TOO_LARGE;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return ERR_NOMEM;
	b->choice = ev->choice;
	b->block = ev->block;
	b->part = ev->part;
	buf_init(&b->id, GEMC_MAX_HELD);
	buf_init(&b->name, GEMC_MAX_HELD);
	buf_init(&b->text, GEMC_MAX_HELD);
	buf_init(&b->sig, GEMC_MAX_HELD);
	if (w->tail_block != NULL)
		w->tail_block->next = b;
	else
		w->head = b;
	w->tail_block = b;
	w->n_blocks++;
	if (ev->part == IR_REFUSAL)
		w->choices[ev->choice].refused = true;
	(void)buf_add_str(&b->id, ev->id);
	(void)buf_add_str(&b->name, ev->name);
	return buf_error(&b->id) != 0 ? buf_error(&b->id) : buf_error(&b->name);
}

static int
gemc_hold(struct answer_writer *w, struct buf *b, struct str s)
{
	if (s.len > GEMC_MAX_HELD - w->held)
		return ERR_TOO_LARGE;
	w->held += s.len;
	return buf_add_str(b, s);
}

static int
gemc_on_delta(struct answer_writer *w, const struct ir_event *ev)
{
	struct gemc_block *b = gemc_find(w, ev);

	if (b == NULL || ev->text.len == 0)
		return 0;
	if (!gemc_flows(w, b))
		return gemc_hold(w, &b->text, ev->text);
	gemc_text_chunk(
	    w, b->choice, b->part == IR_THINKING, ev->text, STR_NULL);
	return 0;
}

static int
gemc_on_stop(struct answer_writer *w, const struct ir_event *ev)
{
	struct gemc_block *b = gemc_find(w, ev);

	if (b == NULL)
		return 0;
	b->stopped = true;
	if (!w->o.stream)
		return 0; /* parts keep the order of their starts */
	if (!gemc_is_empty(w, b)) {
		gemc_part_open(w);
		gemc_part(w->out, b);
		gemc_part_close(w, b->choice);
	}
	gemc_unlink(w, b);
	gemc_block_free(b);
	return 0;
}

/* ---- the end ---- */

static enum ir_finish
gemc_finish(const struct gemc_choice *c)
{
	if (c->refused &&
	    (c->finish == IR_FINISH_STOP || c->finish == IR_FINISH_NONE))
		return IR_FINISH_CONTENT_FILTER;
	return c->finish;
}

/* Was the prompt refused before anything was said? */
static bool
gemc_is_blocked(const struct answer_writer *w)
{
	unsigned i;
	bool any = false;

	for (i = 0; i < GEMC_MAX_CHOICES; i++) {
		if (!w->choices[i].seen)
			continue;
		any = true;
		if (w->choices[i].n_parts > 0 ||
		    w->choices[i].finish != IR_FINISH_CONTENT_FILTER)
			return false;
	}
	return any;
}

/* The reason as Gemini says it; another provider's is SAFETY. */
static const char *
gemc_block_reason(struct str native)
{
	static const char *const reasons[] = {"SAFETY", "OTHER", "BLOCKLIST",
	    "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK"};
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (str_eqz(native, reasons[i]))
			return reasons[i];
	}
	return "SAFETY";
}

static void
gemc_candidate(struct answer_writer *w, unsigned choice)
{
	struct gemc_choice *c = &w->choices[choice];
	struct jw j = {w->out, false};
	struct gemc_block *b;

	jw_open(&j, '{');
	jw_name_open(&j, "content", '{');
	jw_name_open(&j, "parts", '[');
	for (b = w->head; b != NULL; b = b->next) {
		if (b->choice != choice || gemc_is_empty(w, b))
			continue;
		jw_sep(&j);
		gemc_part(w->out, b);
	}
	if (w->o.stream || c->n_parts == 0) {
		jw_open(&j, '{');
		jw_name_z(&j, "text", "");
		jw_close(&j, '}');
	}
	jw_close(&j, ']');
	jw_name_z(&j, "role", "model");
	jw_close(&j, '}');
	jw_name_z(&j, "finishReason", ir_finish_gemini(gemc_finish(c)));
	jw_name_i64(&j, "index", choice);
	if (c->logprobs.len > 0) {
		jw_name(&j, "logprobsResult");
		jw_sep(&j);
		gemc_logprobs_write(w->out, buf_str(&c->logprobs));
	}
	jw_close(&j, '}');
}

static int
gemc_on_end(struct answer_writer *w)
{
	const struct gemc_block *b;
	unsigned i, n = 0;

	for (b = w->head; b != NULL; b = b->next)
		w->choices[b->choice].n_parts += !gemc_is_empty(w, b);
	gemc_chunk_open(w);
	(void)buf_addc(w->out, '{');
	if (gemc_is_blocked(w)) {
		(void)buf_addz(
		    w->out, "\"promptFeedback\":{\"blockReason\":\"");
		(void)buf_addz(w->out, w->block_reason);
		(void)buf_addz(w->out, "\"}");
	} else {
		(void)buf_addz(w->out, "\"candidates\":[");
		w->choices[0].seen = true;
		for (i = 0; i < GEMC_MAX_CHOICES; i++) {
			if (!w->choices[i].seen)
				continue;
			if (n++ > 0)
				(void)buf_addc(w->out, ',');
			gemc_candidate(w, i);
		}
		(void)buf_addc(w->out, ']');
	}
	gemc_chunk_tail(w, true);
	gemc_chunk_close(w);
	if (w->o.stream && w->o.json_array)
		(void)buf_addz(w->out, "]\r\n");
	return 0;
}

static const char *
gemc_status(int status)
{
	switch (status) {
	case 401:
		return "UNAUTHENTICATED";
	case 403:
		return "PERMISSION_DENIED";
	case 404:
		return "NOT_FOUND";
	case 402:
	case 429:
		return "RESOURCE_EXHAUSTED";
	case 499:
		return "CANCELLED";
	case 502:
	case 503:
	case 529:
		return "UNAVAILABLE";
	case 408:
	case 504:
		return "DEADLINE_EXCEEDED";
	default:
		return status >= 400 && status < 500 ? "INVALID_ARGUMENT"
						     : "INTERNAL";
	}
}

static void
gemc_on_error(struct answer_writer *w, const struct ir_event *ev)
{
	int status = ev->status >= 400 && ev->status < 600 ? ev->status : 500;
	struct jw j = {w->out, false};

	gemc_chunk_open(w);
	jw_open(&j, '{');
	jw_name_open(&j, "error", '{');
	jw_name_i64(&j, "code", status == 529 ? 503 : status);
	jw_name_esc(&j, "message",
	    ev->text.len > 0 ? ev->text : STR("The provider failed"));
	jw_name_z(&j, "status", gemc_status(status));
	jw_close(&j, '}');
	jw_close(&j, '}');
	gemc_chunk_close(w);
	if (w->o.stream && w->o.json_array)
		(void)buf_addz(w->out, "]\r\n");
}

/* ,"modelVersion":"...","responseId":"..." of all chunks */
static int
gemc_on_start(struct answer_writer *w, const struct ir_event *ev)
{
	struct jw j = {&w->tail, true};

	if (w->tail.len > 0)
		return 0;
	jw_name(&j, "modelVersion");
	if (w->o.model.len > 0)
		jw_plain(&j, w->o.model);
	else
		jw_esc(&j, ev->model);
	jw_name(&j, "responseId");
	jw_plain(&j, w->o.id);
	return buf_error(&w->tail);
}

/* Entries of an array, gathered without its brackets. */
static int
gemc_on_logprobs(
    struct answer_writer *w, struct gemc_choice *c, struct str json)
{
	struct str in =
	    json.len > 2 ? str_make(json.p + 1, json.len - 2) : STR_NULL;
	int rc = 0;

	if (str_trim(in).len == 0)
		return 0;
	if (c->logprobs.len > 0)
		rc = gemc_hold(w, &c->logprobs, STR(","));
	return rc != 0 ? rc : gemc_hold(w, &c->logprobs, in);
}

static int
gemc_dispatch(struct answer_writer *w, const struct ir_event *ev)
{
	struct gemc_choice *c = &w->choices[ev->choice];
	struct gemc_block *b;

	c->seen =
	    c->seen || (ev->type != IR_EV_START && ev->type != IR_EV_USAGE &&
			   ev->type != IR_EV_END);
	switch (ev->type) {
	case IR_EV_START:
		return gemc_on_start(w, ev);
	case IR_EV_BLOCK_START:
		return gemc_on_block(w, ev);
	case IR_EV_DELTA:
		return gemc_on_delta(w, ev);
	case IR_EV_SIGNATURE:
		b = gemc_find(w, ev);
		return b == NULL ? 0 : gemc_hold(w, &b->sig, ev->text);
	case IR_EV_BLOCK_STOP:
		return gemc_on_stop(w, ev);
	case IR_EV_LOGPROBS:
		return gemc_on_logprobs(w, c, ev->json);
	case IR_EV_FINISH:
		c->finish = ev->finish;
		w->block_reason = gemc_block_reason(ev->native);
		return 0;
	case IR_EV_USAGE:
		if (ev->usage != NULL) {
			w->usage = *ev->usage;
			w->usage_new = true;
		}
		return 0;
	case IR_EV_ERROR:
		w->done = true;
		gemc_on_error(w, ev);
		return 0;
	case IR_EV_END:
		w->done = true;
		return gemc_on_end(w);
	}
	return 0;
}

int
gemc_event(struct answer_writer *w, const struct ir_event *ev)
{
	int rc;

	/* More choices than the API knows were not asked for. */
	if (w->done || ev->choice >= GEMC_MAX_CHOICES)
		return 0;
	rc = gemc_dispatch(w, ev);
	return rc != 0 ? rc : buf_error(w->out);
}
