/* SPDX-License-Identifier: Apache-2.0 */
/* See gemini_partial.h. */
#include "agent/dialect/gemini_partial.h"

#include <string.h>

#include "agent/dialect/emit.h"

/* A step of a path: a member's name (content of a JSON string), or the place
 * in an array. */
struct partial_step {
	struct str name; /* p NULL: a place */
	uint64_t place;
};

struct partial_path {
	struct partial_step at[GEMINI_PARTIAL_DEPTH];
	unsigned n;
};

void
gemini_partial_release(struct gemini_partial *p)
{
	buf_release(&p->paths);
}

void
gemini_partial_begin(struct gemini_partial *p)
{
	buf_release(&p->paths);
	memset(p, 0, sizeof(*p));
	buf_init(&p->paths, GEMINI_PARTIAL_PATHS);
	p->open = true;
}

/* ---- paths ---- */

/* What is in brackets: 'name', \"name\" (escaped as it comes), or a number. */
static int
partial_bracket(struct str in, struct partial_step *step)
{
	size_t quote = 0;

	if (in.len >= 2 && in.p[0] == '\'' && in.p[in.len - 1] == '\'')
		quote = 1;
	else if (in.len >= 4 && str_starts(in, STR("\\\"")) &&
		 str_ends(in, STR("\\\"")))
		quote = 2;
	if (quote > 0) {
		step->name = str_make(in.p + quote, in.len - 2 * quote);
		return 0;
	}
	step->name = STR_NULL;
	return str_to_u64(in, &step->place);
}

/* "$.a.b[0]['c']" into steps. */
static int
partial_parse(struct str text, struct partial_path *path)
{
	size_t i = 1, from;

	path->n = 0;
	if (text.len < 2 || text.p[0] != '$')
		return ERR_INVALID;
	while (i < text.len) {
		struct partial_step *step = &path->at[path->n];
		char open = text.p[i++];

		if (path->n == GEMINI_PARTIAL_DEPTH)
			return ERR_TOO_LARGE;
		path->n++;
		from = i;
		if (open == '[') {
			while (i < text.len && text.p[i] != ']')
				i++;
			if (i == text.len ||
			    partial_bracket(
				str_make(text.p + from, i - from), step) != 0)
				return ERR_INVALID;
			i++;
			continue;
		}
		while (i < text.len && text.p[i] != '.' && text.p[i] != '[')
			i++;
		step->name = str_make(text.p + from, i - from);
		if (open != '.' || i == from)
			return ERR_INVALID;
	}
	return path->at[0].name.p != NULL ? 0 : ERR_INVALID;
}

static int
partial_keep_step(struct buf *out, const struct partial_step *step)
{
	if (step->name.p != NULL) {
		buf_addc(out, 'k');
		buf_add_str(out, step->name);
	} else {
		buf_addf(out, "i%llu", (unsigned long long)step->place);
	}
	buf_addc(out, '\1');
	return buf_error(out);
}

/* Step number n of a kept path; its end in *end. */
static struct str
partial_kept(struct str path, unsigned n)
{
	struct str step = STR_NULL;

	for (unsigned i = 0; i <= n; i++)
		(void)str_cut(path, '\1', &step, &path);
	return step;
}

/* ---- JSON ---- */

/* Close what the last path opened below `depth`. */
static void
partial_close(struct gemini_partial *p, unsigned depth, struct buf *out)
{
	struct str path =
	    str_make(p->paths.data + p->last, p->paths.len - p->last);

	if (p->in_string)
		buf_addc(out, '"');
	p->in_string = false;
	for (unsigned d = p->n_last; d > depth; d--)
		buf_addc(
		    out, partial_kept(path, d - 1).p[0] == 'k' ? '}' : ']');
}

/* Was this beginning of a path told before? */
static bool
partial_seen(const struct gemini_partial *p, struct str beginning)
{
	struct str all = buf_str(&p->paths), one;

	while (all.len > 0) {
		(void)str_cut(all, '\n', &one, &all);
		if (str_starts(one, beginning))
			return true;
	}
	return false;
}

/* How many steps the new path (kept in `text`) has in common with the last
 * one. */
static unsigned
partial_common(const struct gemini_partial *p, struct str text, unsigned n)
{
	struct str last =
	    str_make(p->paths.data + p->last, p->paths.len - p->last);
	unsigned k = 0;

	while (k < n && k < p->n_last &&
	       str_eq(partial_kept(text, k), partial_kept(last, k)))
		k++;
	return k;
}

/* A member's name or nothing, and a container where another step follows. */
static int
partial_step_write(
    const struct partial_step *step, uint64_t place, struct buf *out)
{
	if (step->name.p == NULL)
		return step->place == place ? 0 : ERR_INVALID;
	buf_addc(out, '"');
	buf_add_str(out, step->name);
	buf_addz(out, "\":");
	return 0;
}

/* From the last leaf to a new one. */
static int
partial_move(struct gemini_partial *p, const struct partial_path *path,
    struct str text, unsigned k, struct buf *out)
{
	struct str last =
	    str_make(p->paths.data + p->last, p->paths.len - p->last);
	const struct partial_step *step = &path->at[k];
	uint64_t place = 0;
	size_t upto = 0;
	int rc;

	if (p->n_last > 0 && (k == path->n || k == p->n_last))
		return ERR_INVALID; /* below a value, or that value again */
	for (unsigned i = 0; i <= k; i++)
		upto += partial_kept(text, i).len + 1;
	if (partial_seen(p, str_make(text.p, upto)))
		return ERR_INVALID;
	if (p->n_last > 0) {
		struct str before = partial_kept(last, k);

		if ((before.p[0] == 'k') != (step->name.p != NULL))
			return ERR_INVALID;
		if (before.p[0] == 'i') {
			(void)!str_to_u64(
			    str_make(before.p + 1, before.len - 1), &place);
			place++;
		}
		partial_close(p, k + 1, out);
		buf_addc(out, ',');
	} else {
		buf_addc(out, '{');
	}
	rc = partial_step_write(step, place, out);
	for (unsigned d = k + 1; d < path->n && rc == 0; d++) {
		buf_addc(out, path->at[d].name.p != NULL ? '{' : '[');
		rc = partial_step_write(&path->at[d], 0, out);
	}
	return rc;
}

/* The value of a leaf; a string stays open. */
static void
partial_value(struct gemini_partial *p, struct json v[3], struct buf *out)
{
	if (v[0].p != NULL && v[0].type == JSON_STRING) {
		buf_addc(out, '"');
		buf_add_str(out, emit_text(v[0]));
		p->in_string = true;
	} else if (v[1].p != NULL && v[1].type == JSON_NUMBER) {
		buf_add(out, v[1].p, (size_t)(v[1].end - v[1].p));
	} else if (v[2].p != NULL && v[2].type == JSON_BOOL) {
		buf_addz(out, json_is_true(v[2]) ? "true" : "false");
	} else {
		buf_addz(out, "null");
	}
}

int
gemini_partial_add(struct gemini_partial *p, struct json leaf, struct buf *out)
{
	static const struct str names[] = {STR("stringValue"),
	    STR("numberValue"), STR("boolValue"), STR("jsonPath"),
	    STR("willContinue")};
	struct partial_path path;
	struct json v[5];
	size_t before = p->paths.len;
	struct str text;
	unsigned k;
	int rc;

	emit_pick(leaf, names, v, 5);
	rc = partial_parse(emit_text(v[3]), &path);
	for (unsigned i = 0; i < path.n && rc == 0; i++)
		rc = partial_keep_step(&p->paths, &path.at[i]);
	if (rc != 0)
		return rc;
	text = str_make(p->paths.data + before, p->paths.len - before);
	p->paths.len = before; /* looked at first, kept then */
	k = partial_common(p, text, path.n);
	if (p->in_string && k == path.n && k == p->n_last) {
		buf_add_str(out, emit_text(v[0]));
	} else {
		rc = partial_move(p, &path, text, k, out);
		if (rc != 0)
			return rc;
		p->last = before;
		p->paths.len = before + text.len;
		p->n_last = path.n;
		buf_addc(&p->paths, '\n');
		partial_value(p, v, out);
	}
	if (p->in_string && !(v[4].p != NULL && json_is_true(v[4]))) {
		buf_addc(out, '"');
		p->in_string = false;
	}
	return buf_error(&p->paths) != 0 ? buf_error(&p->paths)
					 : buf_error(out);
}

int
gemini_partial_end(struct gemini_partial *p, struct buf *out)
{
	if (p->n_last == 0)
		buf_addz(out, "{}");
	else
		partial_close(p, 0, out);
	gemini_partial_release(p);
	memset(p, 0, sizeof(*p));
	return buf_error(out);
}
