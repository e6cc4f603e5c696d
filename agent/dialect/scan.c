/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans of generations in neutral form, and of Gemini's embeddings.
 */
#include "agent/dialect/scan.h"

bool
scan_bills_output(enum op op)
{
	return op_is_generation(op) || op == OP_COMPLETIONS ||
	       op == OP_IMAGES || op == OP_IMAGE_EDITS ||
	       op == OP_TRANSCRIPTIONS || op == OP_TRANSLATIONS ||
	       op == OP_SPEECH;
}

/* Media below a part; *image_bytes grows by base64 that is no text. */
static int64_t
scan_media(const struct ir_part *p, int64_t *image_bytes)
{
	int64_t n = 0;

	for (; p != NULL; p = p->next) {
		switch (p->type) {
		case IR_IMAGE:
			*image_bytes += (int64_t)json_raw_len(p->data);
			n++;
			break;
		case IR_DOCUMENT:
		case IR_AUDIO:
		case IR_VIDEO:
			n++;
			break;
		case IR_TOOL_RESULT:
			n += scan_media(p->parts, image_bytes);
			break;
		case IR_TEXT:
		case IR_TOOL_CALL:
		case IR_THINKING:
		case IR_REDACTED:
		case IR_REFUSAL:
			break;
		}
	}
	return n;
}

static void
scan_take_model(struct scan *s, struct str esc)
{
	struct buf b;

	/* Names need no escapes; one that has them is unescaped all the same.
	 */
	buf_init(&b, SURFACE_MODEL_MAX + 8);
	(void)buf_addc(&b, '"');
	(void)buf_add_str(&b, esc);
	(void)buf_addc(&b, '"');
	s->model[0] = '\0';
	if (buf_error(&b) == 0 && json_copy_string(json_root(buf_str(&b)),
				      s->model, sizeof(s->model)) != 0)
		s->model[0] = '\0'; /* too long: no route has such a name */
	s->model_len = strlen(s->model);
	buf_release(&b);
}

static void
scan_places(struct str body, bool model, struct scan *s)
{
	struct json root = json_root(body), v;

	if (root.type != JSON_OBJECT)
		return;
	s->body_start = str_make(root.p, 1);
	s->body_end = str_make(root.end - 1, 1);
	if (model && json_getz(root, "model", &v))
		s->model_span = str_make(v.p, (size_t)(v.end - v.p));
}

void
scan_generation(
    enum op op, struct str body, const struct ir_request *ir, struct scan *ret)
{
	const struct ir_message *m;
	int64_t image_bytes = 0;

	memset(ret, 0, sizeof(*ret));
	ret->op = op;
	ret->stream = ir->stream;
	ret->include_usage = ir->include_usage;
	ret->max_output = ir->max_output > 0 ? ir->max_output : -1;
	ret->n = ir->n > 0 ? ir->n : 1;
	ret->n_messages = ir->n_messages;
	ret->user = ir->user;
	for (m = ir->messages; m != NULL; m = m->next)
		ret->n_media += scan_media(m->parts, &image_bytes);
	ret->text_bytes = (int64_t)json_text_bytes(json_root(body));
	if (image_bytes < ret->text_bytes)
		ret->text_bytes -= image_bytes;
	scan_take_model(ret, ir->model);
	scan_places(body, op != OP_GENERATE, ret);
}

int
scan_gemini_embed(
    struct str body, struct str model, struct scan *ret, struct error *e)
{
	struct json root = json_root(body), v, item;
	struct json_iter it;

	memset(ret, 0, sizeof(*ret));
	ret->op = OP_GEMINI_EMBED;
	ret->n = 1;
	ret->max_output = -1;
	if (root.type != JSON_OBJECT)
		return err_set(
		    e, ERR_INVALID, "the body must be a JSON object");
	if (str_copy(model, ret->model, sizeof(ret->model)) != 0)
		ret->model[0] = '\0';
	ret->model_len = strlen(ret->model);
	ret->body_start = str_make(root.p, 1);
	ret->body_end = str_make(root.end - 1, 1);
	ret->text_bytes = (int64_t)json_text_bytes(root);
	if (json_getz(root, "requests", &v) && v.type == JSON_ARRAY) {
		it = json_iter(v);
		while (json_next_element(&it, &item))
			ret->n_messages++;
	} else if (json_getz(root, "content", &v) && v.type == JSON_OBJECT) {
		ret->n_messages = 1;
	}
	if (ret->n_messages == 0)
		return err_set_field(
		    e, ERR_INVALID, "content", "content is required");
	return 0;
}

/* Copy the object from *at on up to the value of its own "model", name that
 * and go on behind it. */
static void
scan_rename_in(
    struct json obj, struct str name, const char **at, struct buf *out)
{
	struct json v;

	if (obj.type != JSON_OBJECT || !json_getz(obj, "model", &v))
		return;
	(void)buf_add(out, *at, (size_t)(v.p - *at));
	(void)buf_addz(out, "\"models/");
	(void)buf_add_escaped(out, name);
	(void)buf_addc(out, '"');
	*at = v.end;
}

int
scan_embed_rename(struct str body, struct str name, struct buf *out)
{
	struct json root = json_root(body), v, item;
	struct json_iter it = json_iter(root), list;
	const char *at = body.p;
	struct str key;
	bool renamed = false;

	if (str_starts(name, STR("models/")))
		name = str_make(name.p + 7, name.len - 7);
	while (json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("model")) && !renamed) {
			scan_rename_in(root, name, &at, out);
			renamed = true;
		} else if (json_key_eq(key, STR("requests")) &&
			   v.type == JSON_ARRAY) {
			list = json_iter(v);
			while (json_next_element(&list, &item))
				scan_rename_in(item, name, &at, out);
		}
	}
	return buf_add(out, at, (size_t)(body.p + body.len - at));
}
