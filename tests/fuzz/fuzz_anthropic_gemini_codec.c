/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: clients of the Anthropic and Gemini dialects. The first byte
 * says which, and whether a request body or a script of answer events
 * (client_kit.h) follows. What a request is read into holds only text that is
 * content of JSON strings, and JSON that is valid; an answer that came to its
 * end is valid JSON, frame by frame, however it is framed.
 */
#include <stdint.h>
#include <string.h>

#include "agent/dialect/sse.h"
#include "tests/unit/agent/client_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_json(struct str s, enum json_type type)
{
	if (s.len == 0)
		return;
	MUST(json_validate(s, NULL, NULL) == 0);
	MUST(json_root(s).type == type);
}

static void
check_part(const struct ir_part *p)
{
	const struct ir_part *in;
	int n;

	MUST(codec_order_is_esc(p->text) && codec_order_is_esc(p->signature));
	MUST(codec_order_is_esc(p->id) && codec_order_is_esc(p->name));
	MUST(codec_order_is_esc(p->mime) && codec_order_is_esc(p->filename));
	MUST(codec_order_is_esc(p->data) && codec_order_is_esc(p->url));
	MUST(codec_order_is_esc(p->file_id));
	check_json(p->args, JSON_OBJECT);
	check_json(p->result_json, JSON_OBJECT);
	MUST(p->field != NULL);
	if (p->type >= IR_IMAGE && p->type <= IR_VIDEO) {
		n = (p->data.len > 0) + (p->url.len > 0) + (p->file_id.len > 0);
		MUST(n == 1);
	}
	if (p->type == IR_TOOL_CALL)
		MUST(p->args.len > 0);
	for (in = p->parts; in != NULL; in = in->next) {
		MUST(in->type != IR_TOOL_RESULT && in->type != IR_TOOL_CALL);
		check_part(in);
	}
}

static void
check_request(const struct ir_request *r)
{
	const struct ir_message *m;
	const struct ir_tool *t;
	const struct ir_part *p;
	unsigned i, n = 0;

	MUST(codec_order_is_esc(r->model));
	for (m = r->messages; m != NULL; m = m->next) {
		for (p = m->parts; p != NULL; p = p->next)
			check_part(p);
	}
	for (t = r->tools; t != NULL; t = t->next, n++) {
		MUST(codec_order_is_esc(t->name));
		MUST(codec_order_is_esc(t->description));
		check_json(t->schema, JSON_OBJECT);
		MUST(t->next != NULL || r->last_tool == t);
	}
	MUST(n == r->n_tools);
	for (i = 0; i < r->n_stops; i++)
		MUST(codec_order_is_esc(r->stops[i]));
	for (i = 0; i < r->n_others; i++)
		MUST(r->others[i][0] != '\0');
	check_json(r->format_schema, JSON_OBJECT);
	check_json(r->safety, JSON_ARRAY);
	check_json(r->metadata, JSON_OBJECT);
	check_json(r->temperature, JSON_NUMBER);
	check_json(r->seed, JSON_NUMBER);
	MUST(r->n >= 1 && r->n <= 8);
	MUST(r->max_output == -1 || r->max_output >= 1);
}

static void
read_request(const struct codec_client *c, struct str body)
{
	struct ir_request r;
	struct arena a;
	struct error e = {0};
	int rc;

	if (json_validate(body, NULL, NULL) != 0)
		return;
	arena_init(&a, 4096, (size_t)32 << 20);
	ir_request_init(&r, &a);
	rc = c->read(body, STR("gemini-x"), true, &r, &e);
	if (rc == 0)
		check_request(&r);
	else
		MUST(e.text[0] != '\0' &&
		     (rc == ERR_INVALID || rc == ERR_TOO_LARGE));
	arena_release(&a);
}

static int
on_frame(void *ctx, const struct sse_event *ev)
{
	(void)ctx;
	MUST(ev->has_data);
	check_json(ev->data, JSON_OBJECT);
	return 0;
}

static void
play(const struct codec_client *c, struct str script, bool stream, bool array,
    bool thinking)
{
	struct answer_opts o = {.model = STR("m\"x"),
	    .id = STR("id"),
	    .stream = stream,
	    .json_array = array,
	    .show_thinking = thinking};
	struct sse sse;
	struct buf out;
	int rc;

	buf_init(&out, (size_t)64 << 20);
	rc = client_kit_play(c, &o, script, &out);
	MUST(rc == 0 || rc == ERR_TOO_LARGE);
	if (rc == 0 && stream && !array) {
		sse_init(&sse, (size_t)16 << 20);
		MUST(sse_feed(&sse, out.data, out.len, on_frame, NULL) == 0);
		MUST(sse_finish(&sse, on_frame, NULL) == 0);
		sse_release(&sse);
	} else if (rc == 0 &&
		   (!stream || str_ends(buf_str(&out), STR("]\r\n")))) {
		check_json(buf_str(&out), stream ? JSON_ARRAY : JSON_OBJECT);
	}
	buf_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct codec_client *c;
	struct str s;

	if (size < 1 || size > 65536)
		return 0;
	s = str_make((const char *)data + 1, size - 1);
	c = data[0] & 1 ? &codec_gemini_client : &codec_anthropic_client;
	if (data[0] & 2) {
		play(c, s, true, false, (data[0] & 4) != 0);
		play(c, s, false, false, (data[0] & 4) != 0);
		if (c == &codec_gemini_client)
			play(c, s, true, true, (data[0] & 4) != 0);
	} else {
		read_request(c, s);
	}
	return 0;
}
