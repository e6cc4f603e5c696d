/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of Gemini whose arguments come in pieces: the name, then each leaf
 * with its JSON path (texts in two halves), then an empty call as the end.
 */
#include <jansson.h>

#include "tests/provider/gemini_call.h"

struct pieces {
	gemini_piece_fn *fn;
	void *ctx;
	struct buf path, piece;
};

static void
pieces_leaf(struct pieces *p, const char *member, struct str value, bool more)
{
	struct buf *b = &p->piece;

	buf_clear(b);
	buf_addz(b, "{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":");
	buf_add_json(b, buf_str(&p->path));
	buf_addf(b, ",\"%s\":", member);
	buf_add_str(b, value);
	if (more)
		buf_addz(b, ",\"willContinue\":true");
	buf_addz(b, "}],\"willContinue\":true}}");
	p->fn(p->ctx, buf_str(b));
}

/* A text in two halves, cut between characters. */
static void
pieces_text(struct pieces *p, const json_t *v)
{
	struct str all = str_make(json_string_value(v), json_string_length(v));
	size_t half = all.len / 2;
	struct buf quoted;

	while (half > 0 && ((unsigned char)all.p[half] & 0xc0) == 0x80)
		half--;
	buf_init(&quoted, SIZE_MAX / 2);
	if (half > 0) {
		buf_add_json(&quoted, str_make(all.p, half));
		pieces_leaf(p, "stringValue", buf_str(&quoted), true);
		buf_clear(&quoted);
	}
	buf_add_json(&quoted, str_make(all.p + half, all.len - half));
	pieces_leaf(p, "stringValue", buf_str(&quoted), false);
	buf_release(&quoted);
}

static void
pieces_value(struct pieces *p, const json_t *v)
{
	size_t before = p->path.len, i;
	const char *name;
	char *text;
	json_t *one;

	if (json_is_object(v)) {
		json_object_foreach ((json_t *)(uintptr_t)v, name, one) {
			buf_addf(&p->path,
			    strpbrk(name, ".[]' ") != NULL ? "[\"%s\"]" : ".%s",
			    name);
			pieces_value(p, one);
			p->path.len = before;
		}
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, one) {
			buf_addf(&p->path, "[%zu]", i);
			pieces_value(p, one);
			p->path.len = before;
		}
	} else if (json_is_string(v)) {
		pieces_text(p, v);
	} else if (json_is_boolean(v) || json_is_null(v)) {
		pieces_leaf(p, json_is_null(v) ? "nullValue" : "boolValue",
		    json_is_true(v)    ? STR("true")
		    : json_is_false(v) ? STR("false")
				       : STR("\"NULL_VALUE\""),
		    false);
	} else {
		text = json_dumps(v, JSON_ENCODE_ANY);
		MUST(text != NULL);
		pieces_leaf(p, "numberValue", str_of(text), false);
		free(text);
	}
}

void
gemini_call_pieces(struct str args, gemini_piece_fn *fn, void *ctx)
{
	struct pieces p = {.fn = fn, .ctx = ctx};
	json_t *root = json_loadb(args.p, args.len, 0, NULL);

	buf_init(&p.path, 65536);
	buf_init(&p.piece, SIZE_MAX / 2);
	buf_addc(&p.path, '$');
	pieces_value(&p, root);
	fn(ctx, STR("{\"functionCall\":{}}"));
	json_decref(root);
	buf_release(&p.path);
	buf_release(&p.piece);
}
