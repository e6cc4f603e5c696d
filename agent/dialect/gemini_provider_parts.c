/* SPDX-License-Identifier: Apache-2.0 */
/* See gemini_provider.h. */
#include "agent/dialect/gemini_provider.h"

#include <string.h>

#include "agent/dialect/emit.h"
#include "agent/dialect/jw.h"

void
gemini_array_init(struct gemini_array *a, size_t max_element)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->element, max_element);
}

void
gemini_array_release(struct gemini_array *a)
{
	buf_release(&a->element);
}

/* One byte; *done is set when it closes an element. */
static int
gemini_array_byte(struct gemini_array *a, char c, bool *done)
{
	if (a->in_string) {
		if (a->escaped)
			a->escaped = false;
		else if (c == '\\')
			a->escaped = true;
		else if (c == '"')
			a->in_string = false;
		return 0;
	}
	switch (c) {
	case '"':
		a->in_string = true;
		return a->depth > 1 ? 0 : ERR_INVALID;
	case '[':
	case '{':
		if (a->depth == 0 && (c != '[' || a->closed))
			return ERR_INVALID;
		if (a->depth == 1 && c != '{')
			return ERR_INVALID;
		a->depth++;
		return 0;
	case ']':
	case '}':
		if (a->depth == 0 || (a->depth == 1 && c != ']'))
			return ERR_INVALID;
		a->depth--;
		a->closed = a->depth == 0;
		*done = a->depth == 1;
		return 0;
	default:
		if (a->depth <= 1 && c != ',' && c != ' ' && c != '\t' &&
		    c != '\r' && c != '\n')
			return ERR_INVALID;
		return 0;
	}
}

int
gemini_array_feed(struct gemini_array *a, const char *p, size_t n,
    gemini_array_fn *fn, void *ctx)
{
	size_t i, start = 0;
	unsigned before;
	bool done;
	int rc;

	for (i = 0; i < n; i++) {
		done = false;
		before = a->depth;
		rc = gemini_array_byte(a, p[i], &done);
		if (rc != 0)
			return rc;
		if (before == 1 && a->depth == 2)
			start = i;
		if (!done)
			continue;
		rc = buf_add(&a->element, p + start, i + 1 - start);
		if (rc == 0)
			rc = fn(ctx, buf_str(&a->element));
		buf_clear(&a->element);
		if (rc != 0)
			return rc;
	}
	return a->depth > 1 ? buf_add(&a->element, p + start, n - start) : 0;
}

int
gemini_array_finish(const struct gemini_array *a)
{
	return a->closed ? 0 : ERR_INVALID;
}

/* ---- log probabilities ---- */

static void
gemini_token(struct jw *w, struct json candidate)
{
	static const struct str names[] = {STR("token"), STR("logProbability")};
	struct json v[2];

	emit_pick(candidate, names, v, 2);
	jw_name_esc(w, "token", emit_text(v[0]));
	jw_name_raw(w, "logprob",
	    v[1].p != NULL && v[1].type == JSON_NUMBER
		? str_make(v[1].p, (size_t)(v[1].end - v[1].p))
		: STR("-9999.0"));
	jw_name_raw(w, "bytes", STR("null"));
}

/* The alternatives at one place. */
static void
gemini_top(struct jw *w, struct json top)
{
	struct json_iter it;
	struct json list, el;

	jw_name_open(w, "top_logprobs", '[');
	if (top.p != NULL && json_getz(top, "candidates", &list) &&
	    list.type == JSON_ARRAY) {
		it = json_iter(list);
		while (json_next_element(&it, &el)) {
			jw_open(w, '{');
			gemini_token(w, el);
			jw_close(w, '}');
		}
	}
	jw_close(w, ']');
}

int
gemini_logprobs_write(struct buf *out, struct json result)
{
	static const struct str names[] = {
	    STR("chosenCandidates"), STR("topCandidates")};
	struct jw w = {out, false};
	struct json_iter it, tops = {NULL, NULL};
	struct json v[2], el, top;

	emit_pick(result, names, v, 2);
	jw_open(&w, '[');
	if (v[1].p != NULL && v[1].type == JSON_ARRAY)
		tops = json_iter(v[1]);
	if (v[0].p != NULL && v[0].type == JSON_ARRAY) {
		it = json_iter(v[0]);
		while (json_next_element(&it, &el)) {
			if (tops.p == NULL || !json_next_element(&tops, &top))
				top.p = NULL;
			jw_open(&w, '{');
			gemini_token(&w, el);
			gemini_top(&w, top);
			jw_close(&w, '}');
		}
	}
	jw_close(&w, ']');
	return buf_error(out);
}
