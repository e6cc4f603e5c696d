/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat completions towards clients: the plain body, made of collected blocks,
 * and the parts that streams write alike.
 */
#include "agent/dialect/openai_chat_writer.h"

void
oaichat_write_id(
    struct answer_writer *w, struct buf *out, const struct acc_block *b)
{
	if (b->id.len > 0) {
		(void)buf_add_str(out, buf_str(&b->id));
		return;
	}
	(void)buf_addz(out, "call_");
	(void)buf_add_escaped(out, w->o.id);
	(void)buf_addf(out, "_%u_%u", b->choice, b->index);
}

void
oaichat_write_extra(struct buf *out, struct str signature)
{
	(void)buf_addz(out, "\"extra_content\":{\"google\":"
			    "{\"thought_signature\":\"");
	(void)buf_add_str(out, signature);
	(void)buf_addz(out, "\"}}");
}

/* One element of thinking_blocks. */
static void
oaichat_write_block(struct buf *out, const struct acc_block *b)
{
	bool opaque = b->part == IR_REDACTED;

	(void)buf_addz(out, opaque
				? "{\"type\":\"redacted_thinking\",\"data\":\""
				: "{\"type\":\"thinking\",\"thinking\":\"");
	if (!opaque) {
		(void)buf_add_str(out, buf_str(&b->text));
		(void)buf_addz(out, "\",\"signature\":\"");
	}
	(void)buf_add_str(out, buf_str(&b->signature));
	(void)buf_addz(out, "\"}");
}

/* One element of images: as other gateways write them. */
static void
oaichat_write_image(struct buf *out, const struct acc_block *b)
{
	(void)buf_addf(out,
	    "{\"index\":%u,\"type\":\"image_url\","
	    "\"image_url\":{\"url\":\"data:",
	    b->index);
	(void)buf_add_str(out, buf_str(&b->name));
	(void)buf_addz(out, ";base64,");
	(void)buf_add_str(out, buf_str(&b->text));
	(void)buf_addz(out, "\"}}");
}

void
oaichat_write_media(
    struct answer_writer *w, struct buf *out, const struct acc_block *b)
{
	if (b->part == IR_IMAGE) {
		(void)buf_addz(out, "\"images\":[");
		oaichat_write_image(out, b);
		(void)buf_addc(out, ']');
	} else {
		(void)buf_addz(out, "\"audio\":{\"id\":\"audio_");
		(void)buf_add_escaped(out, w->o.id);
		(void)buf_addz(out, "\",\"data\":\"");
		(void)buf_add_str(out, buf_str(&b->text));
		(void)buf_addf(out,
		    "\",\"expires_at\":%lld,\"transcript\":"
		    "\"\"}",
		    (long long)w->o.created_s);
	}
}

void
oaichat_write_tier(struct answer_writer *w, struct buf *out)
{
	struct str tier = acc_openai_tier(w->has_usage ? &w->usage : NULL);

	if (tier.len > 0) {
		(void)buf_addz(out, ",\"service_tier\":\"");
		(void)buf_add_str(out, tier);
		(void)buf_addc(out, '"');
	}
}

const char *
oaichat_finish_word(const struct acc_choice *c)
{
	if (c->n_calls > 0 &&
	    (c->finish == IR_FINISH_STOP || c->finish == IR_FINISH_NONE))
		return "tool_calls";
	return ir_finish_openai(c->finish);
}

void
oaichat_write_error(struct answer_writer *w, const struct ir_event *ev)
{
	const char *type = "server_error";

	if (ev->status == 429)
		type = "rate_limit_error";
	else if (ev->status >= 400 && ev->status < 500)
		type = "invalid_request_error";
	if (w->o.stream)
		(void)buf_addz(w->out, "data: ");
	(void)buf_addz(w->out, "{\"error\":{\"message\":\"");
	(void)buf_add_str(w->out, ev->text);
	(void)buf_addf(
	    w->out, "\",\"type\":\"%s\",\"param\":null,\"code\":", type);
	if (ev->native.len > 0)
		(void)buf_add_json(w->out, ev->native);
	else
		(void)buf_addz(w->out, "null");
	(void)buf_addz(w->out, w->o.stream ? "}}\n\n" : "}}");
}

/* ---- the plain body ---- */

/* Texts of all blocks of this part, joined; false when there is none. */
static bool
oaichat_join(const struct answer_writer *w, unsigned choice,
    enum ir_part_type part, bool signature, struct buf *out)
{
	const struct acc_block *b;
	bool any = false;
	unsigned i;

	for (i = 0; i < w->acc.n_blocks; i++) {
		b = w->acc.blocks[i];
		if (b->choice != choice || b->part != part || b->hidden)
			continue;
		any = true;
		if (out != NULL)
			(void)buf_add_str(
			    out, buf_str(signature ? &b->signature : &b->text));
	}
	return any;
}

static void
oaichat_text_or_null(
    const struct answer_writer *w, unsigned choice, enum ir_part_type part)
{
	if (!oaichat_join(w, choice, part, false, NULL)) {
		(void)buf_addz(w->out, "null");
		return;
	}
	(void)buf_addc(w->out, '"');
	(void)oaichat_join(w, choice, part, false, w->out);
	(void)buf_addc(w->out, '"');
}

typedef void oaichat_element_fn(
    struct answer_writer *w, const struct acc_block *b);

static void
oaichat_element_call(struct answer_writer *w, const struct acc_block *b)
{
	(void)buf_addz(w->out, "{\"id\":\"");
	oaichat_write_id(w, w->out, b);
	(void)buf_addz(
	    w->out, "\",\"type\":\"function\",\"function\":{\"name\":\"");
	(void)buf_add_str(w->out, buf_str(&b->name));
	(void)buf_addz(w->out, "\",\"arguments\":\"");
	(void)buf_add_str(
	    w->out, b->text.len > 0 ? buf_str(&b->text) : STR("{}"));
	(void)buf_addz(w->out, "\"}");
	if (b->signature.len > 0) {
		(void)buf_addc(w->out, ',');
		oaichat_write_extra(w->out, buf_str(&b->signature));
	}
	(void)buf_addc(w->out, '}');
}

static void
oaichat_element_image(struct answer_writer *w, const struct acc_block *b)
{
	oaichat_write_image(w->out, b);
}

static void
oaichat_element_thinking(struct answer_writer *w, const struct acc_block *b)
{
	oaichat_write_block(w->out, b);
}

/* "name":[...] of the blocks of one or two parts; nothing without any. lead:
 * what goes before it. */
static void
oaichat_array(struct answer_writer *w, unsigned choice, const char *lead,
    enum ir_part_type p1, enum ir_part_type p2, oaichat_element_fn *fn)
{
	bool any = false;
	unsigned i;

	for (i = 0; i < w->acc.n_blocks; i++) {
		const struct acc_block *b = w->acc.blocks[i];

		if (b->choice != choice || b->hidden ||
		    (b->part != p1 && b->part != p2))
			continue;
		if (any)
			(void)buf_addc(w->out, ',');
		else
			(void)buf_addz(w->out, lead);
		any = true;
		fn(w, b);
	}
	if (any)
		(void)buf_addc(w->out, ']');
}

void
oaichat_write_thinking(struct answer_writer *w, unsigned choice)
{
	oaichat_array(w, choice, "\"thinking_blocks\":[", IR_THINKING,
	    IR_REDACTED, oaichat_element_thinking);
}

static void
oaichat_plain_thinking(struct answer_writer *w, unsigned choice)
{
	unsigned i, n = 0, n_opaque = 0;

	for (i = 0; i < w->acc.n_blocks; i++) {
		const struct acc_block *b = w->acc.blocks[i];

		if (b->choice != choice || b->hidden)
			continue;
		n += b->part == IR_THINKING;
		n_opaque += b->part == IR_REDACTED;
	}
	if (n > 0) {
		(void)buf_addz(w->out, ",\"reasoning_content\":\"");
		(void)oaichat_join(w, choice, IR_THINKING, false, w->out);
		(void)buf_addc(w->out, '"');
	}
	if (n == 1) {
		(void)buf_addz(w->out, ",\"reasoning_signature\":\"");
		(void)oaichat_join(w, choice, IR_THINKING, true, w->out);
		(void)buf_addc(w->out, '"');
	}
	/* What one text and one signature cannot say. */
	if (n > 1 || n_opaque > 0)
		oaichat_array(w, choice, ",\"thinking_blocks\":[", IR_THINKING,
		    IR_REDACTED, oaichat_element_thinking);
}

/* The other members of a message that single blocks bring. */
static void
oaichat_plain_extras(struct answer_writer *w, unsigned choice)
{
	const struct acc_block *b, *text = NULL, *audio = NULL;
	unsigned i;

	for (i = 0; i < w->acc.n_blocks; i++) {
		b = w->acc.blocks[i];
		if (b->choice != choice)
			continue;
		if (b->part == IR_TEXT && b->signature.len > 0)
			text = b;
		if (b->part == IR_AUDIO)
			audio = b;
	}
	if (text != NULL) {
		(void)buf_addc(w->out, ',');
		oaichat_write_extra(w->out, buf_str(&text->signature));
	}
	if (audio != NULL) {
		(void)buf_addc(w->out, ',');
		oaichat_write_media(w, w->out, audio);
	}
}

static void
oaichat_plain_logprobs_of(
    struct answer_writer *w, unsigned choice, enum ir_part_type part)
{
	bool any = false;
	unsigned i;

	for (i = 0; i < w->acc.n_blocks; i++) {
		const struct acc_block *b = w->acc.blocks[i];

		if (b->choice != choice || b->part != part ||
		    b->logprobs.len == 0)
			continue;
		(void)buf_addc(w->out, any ? ',' : '[');
		(void)buf_add_str(w->out, buf_str(&b->logprobs));
		any = true;
	}
	(void)buf_addz(w->out, any ? "]" : "null");
}

static void
oaichat_plain_logprobs(struct answer_writer *w, unsigned choice)
{
	unsigned i;

	for (i = 0; i < w->acc.n_blocks; i++) {
		if (w->acc.blocks[i]->choice == choice &&
		    w->acc.blocks[i]->logprobs.len > 0)
			break;
	}
	if (i == w->acc.n_blocks) {
		(void)buf_addz(w->out, "null");
		return;
	}
	(void)buf_addz(w->out, "{\"content\":");
	oaichat_plain_logprobs_of(w, choice, IR_TEXT);
	(void)buf_addz(w->out, ",\"refusal\":");
	oaichat_plain_logprobs_of(w, choice, IR_REFUSAL);
	(void)buf_addc(w->out, '}');
}

static void
oaichat_plain_choice(struct answer_writer *w, const struct acc_choice *c)
{
	unsigned n = c->choice;
	bool silent = !c->has_text && c->n_calls == 0 &&
		      !oaichat_join(w, n, IR_REFUSAL, false, NULL);

	(void)buf_addf(w->out,
	    "{\"index\":%u,\"message\":"
	    "{\"role\":\"assistant\",\"content\":",
	    n);
	if (silent)
		(void)buf_addz(w->out, "\"\"");
	else
		oaichat_text_or_null(w, n, IR_TEXT);
	(void)buf_addz(w->out, ",\"refusal\":");
	oaichat_text_or_null(w, n, IR_REFUSAL);
	(void)buf_addz(w->out, ",\"annotations\":[]");
	oaichat_plain_thinking(w, n);
	oaichat_array(w, n, ",\"tool_calls\":[", IR_TOOL_CALL, IR_TOOL_CALL,
	    oaichat_element_call);
	oaichat_array(
	    w, n, ",\"images\":[", IR_IMAGE, IR_IMAGE, oaichat_element_image);
	oaichat_plain_extras(w, n);
	(void)buf_addz(w->out, "},\"logprobs\":");
	oaichat_plain_logprobs(w, n);
	(void)buf_addf(
	    w->out, ",\"finish_reason\":\"%s\"}", oaichat_finish_word(c));
}

void
oaichat_write_plain(struct answer_writer *w)
{
	unsigned i;

	oaichat_write_head(w, w->out, "chat.completion");
	for (i = 0; i < w->acc.n_choices; i++) {
		if (i > 0)
			(void)buf_addc(w->out, ',');
		oaichat_plain_choice(w, &w->acc.choices[i]);
	}
	(void)buf_addc(w->out, ']');
	if (w->has_usage) {
		(void)buf_addz(w->out, ",\"usage\":");
		usage_write_openai(w->out, &w->usage);
	}
	oaichat_write_tier(w, w->out);
	(void)buf_addc(w->out, '}');
}
