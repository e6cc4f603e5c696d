/* SPDX-License-Identifier: Apache-2.0 */
/* See cohere_provider.h. */
#include "agent/dialect/cohere_provider.h"

#include "agent/dialect/emit.h"
#include "agent/dialect/jw.h"

static void
cohere_chunk(struct jw *w, struct json chunk)
{
	static const struct str names[] = {STR("text"), STR("logprobs")};
	struct str text;
	struct json v[2], p;
	struct json_iter it;

	emit_pick(chunk, names, v, 2);
	if (v[1].p == NULL || v[1].type != JSON_ARRAY)
		return;
	text = emit_text(v[0]);
	it = json_iter(v[1]);
	while (json_next_element(&it, &p)) {
		if (p.type != JSON_NUMBER)
			continue;
		jw_open(w, '{');
		jw_name_esc(w, "token", text);
		jw_name_raw(w, "logprob", str_make(p.p, (size_t)(p.end - p.p)));
		jw_name_raw(w, "bytes", STR("null"));
		jw_name_raw(w, "top_logprobs", STR("[]"));
		jw_close(w, '}');
		text = STR("");
	}
}

static size_t
cohere_chunk_bytes(struct json chunk)
{
	static const struct str names[] = {STR("text")};
	struct json v;

	emit_pick(chunk, names, &v, 1);
	return emit_text(v).len;
}

size_t
cohere_logprobs_bytes(struct json chunks)
{
	struct json_iter it;
	struct json chunk;
	size_t n = 0;

	if (chunks.p == NULL || chunks.type != JSON_ARRAY)
		return 0;
	it = json_iter(chunks);
	while (json_next_element(&it, &chunk))
		n += cohere_chunk_bytes(chunk);
	return n;
}

int
cohere_logprobs_write(struct buf *out, struct json chunks, size_t skip)
{
	struct jw w = {out, false};
	struct json_iter it;
	struct json chunk;
	size_t at = 0, n;

	jw_open(&w, '[');
	if (chunks.p != NULL && chunks.type == JSON_OBJECT) {
		cohere_chunk(&w, chunks);
	} else if (chunks.p != NULL && chunks.type == JSON_ARRAY) {
		it = json_iter(chunks);
		while (json_next_element(&it, &chunk)) {
			n = cohere_chunk_bytes(chunk);
			if (at >= skip)
				cohere_chunk(&w, chunk);
			else if (at + n > skip)
				break; /* no chunk begins there */
			at += n;
		}
	}
	jw_close(&w, ']');
	return buf_error(out);
}
