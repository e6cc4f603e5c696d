/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of requests in the Anthropic and Gemini dialects, and arguments of
 * calls in their answers.
 */
#include "agent/dialect/client_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer names are in no table. */
#define CRD_MAX_KEY 64

int
crd_bad(struct crd *rd, const char *base, const char *name, const char *what)
{
	char field[sizeof(rd->e->field)];

	(void)snprintf(field, sizeof(field), "%s%s%s", base,
	    base[0] != '\0' && name[0] != '\0' ? "." : "", name);
	return err_set_field(rd->e, ERR_INVALID, field, "%s", what);
}

int
crd_full(struct crd *rd)
{
	const struct ir_request *r = rd->r;

	if (r->n_messages >= IR_MAX_MESSAGES)
		return err_set(rd->e, ERR_TOO_LARGE, "too many messages");
	if (r->n_parts >= IR_MAX_PARTS)
		return err_set(
		    rd->e, ERR_TOO_LARGE, "too many parts of messages");
	if (r->n_tools >= IR_MAX_TOOLS)
		return err_set(rd->e, ERR_TOO_LARGE, "too many tools");
	return err_set(rd->e, ERR_NOMEM, "out of memory");
}

static bool
crd_asks_nothing(struct json v)
{
	struct json_iter it;
	struct json item;
	struct str key;

	switch (v.type) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return !json_is_true(v);
	case JSON_STRING:
		return json_raw_string(v).len == 0;
	case JSON_ARRAY:
		it = json_iter(v);
		return !json_next_element(&it, &item);
	case JSON_OBJECT:
		it = json_iter(v);
		return !json_next_member(&it, &key, &item);
	default:
		return false;
	}
}

int
crd_other(struct crd *rd, const char *base, struct str key, struct json v)
{
	if (crd_asks_nothing(v))
		return 0;
	if (key.len > CRD_MAX_KEY)
		key.len = CRD_MAX_KEY;
	return ir_note_other(
	    rd->r, "%s%s%.*s", base, base[0] != '\0' ? "." : "", STR_ARG(key));
}

/* The plain name of a key, in camelCase when the dialect takes both; false for
 * what can be in no table. */
static bool
crd_key(const struct crd *rd, struct str raw, char *dst, size_t cap)
{
	struct json v = {raw.p - 1, raw.p + raw.len + 1, JSON_STRING};
	char *to = dst;
	const char *p;

	if (json_copy_string(v, dst, cap) != 0)
		return false;
	if (!rd->camel)
		return true;
	for (p = dst; *p != '\0'; p++) {
		if (*p == '_' && p > dst && p[1] >= 'a' && p[1] <= 'z') {
			p++;
			*to++ = (char)(*p - 'a' + 'A');
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
	return true;
}

int
crd_pick(struct crd *rd, const char *base, struct json obj,
    const char *const *names, struct json *vals, unsigned n)
{
	char name[CRD_MAX_KEY];
	struct json_iter it;
	struct json v;
	struct str key;
	unsigned i;
	int rc;

	for (i = 0; i < n; i++)
		vals[i] = (struct json){NULL, NULL, JSON_NULL};
	if (obj.type != JSON_OBJECT)
		return crd_bad(rd, base, "", rd->words->object);
	it = json_iter(obj);
	while (json_next_member(&it, &key, &v)) {
		i = n;
		if (crd_key(rd, key, name, sizeof(name))) {
			for (i = 0; i < n && strcmp(name, names[i]) != 0;)
				i++;
		}
		if (i == n) {
			rc = crd_other(rd, base, key, v);
			if (rc != 0)
				return rc;
		} else if (vals[i].p != NULL) {
			return crd_bad(
			    rd, base, names[i], "is there in two spellings");
		} else {
			vals[i] = v;
		}
	}
	return 0;
}

int
crd_string(struct crd *rd, struct json v, const char *base, const char *name,
    struct str *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_STRING)
		return crd_bad(rd, base, name, rd->words->string);
	*ret = json_raw_string(v);
	return 0;
}

int
crd_bool(struct crd *rd, struct json v, const char *base, const char *name,
    bool *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_BOOL)
		return crd_bad(rd, base, name, rd->words->boolean);
	*ret = json_is_true(v);
	return 0;
}

/* Protocol buffers in JSON also take 5.0, 5e0 and "5". */
static bool
crd_loose_int(struct json v, int64_t *ret)
{
	char text[40], *end;
	double d;

	if (v.type == JSON_STRING) {
		if (json_copy_string(v, text, sizeof(text)) != 0 ||
		    text[0] == '\0')
			return false;
	} else if (v.type == JSON_NUMBER && v.end - v.p < 40) {
		memcpy(text, v.p, (size_t)(v.end - v.p));
		text[v.end - v.p] = '\0';
	} else {
		return false;
	}
	if (strspn(text, "0123456789+-.eE") != strlen(text))
		return false;
	d = strtod(text, &end);
	if (*end != '\0' || !(d > -9e15 && d < 9e15) || (double)(int64_t)d != d)
		return false;
	*ret = (int64_t)d;
	return true;
}

int
crd_int(struct crd *rd, struct json v, const char *base, const char *name,
    int64_t min, int64_t max, int64_t *ret)
{
	int64_t i;

	if (v.type == JSON_NULL)
		return 0;
	if ((v.type != JSON_NUMBER || json_to_i64(v, &i) != 0) &&
	    !(rd->camel && crd_loose_int(v, &i)))
		return crd_bad(rd, base, name, rd->words->integer);
	if (i < min || i > max)
		return crd_bad(rd, base, name, rd->words->range);
	*ret = i;
	return 0;
}

int
crd_number(struct crd *rd, struct json v, const char *base, const char *name,
    struct str *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_NUMBER)
		return crd_bad(rd, base, name, rd->words->number);
	*ret = crd_span(v);
	return 0;
}

int
crd_object(struct crd *rd, struct json v, const char *base, const char *name,
    struct str *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return crd_bad(rd, base, name, rd->words->object);
	*ret = crd_span(v);
	return 0;
}

int
crd_array(struct crd *rd, struct json v, const char *base, const char *name)
{
	if (v.type == JSON_NULL || v.type == JSON_ARRAY)
		return 0;
	return crd_bad(rd, base, name, rd->words->array);
}

int
crd_stops(struct crd *rd, struct json v, const char *base, const char *name)
{
	struct ir_request *r = rd->r;
	struct json_iter it;
	struct json item;
	int rc;

	rc = crd_array(rd, v, base, name);
	if (rc != 0 || v.type == JSON_NULL)
		return rc;
	it = json_iter(v);
	while (json_next_element(&it, &item)) {
		if (item.type != JSON_STRING)
			return crd_bad(rd, base, name, rd->words->string);
		if (r->n_stops == IR_MAX_STOPS)
			return crd_bad(
			    rd, base, name, "holds too many sequences");
		r->stops[r->n_stops++] = json_raw_string(item);
	}
	return 0;
}

bool
crd_is(struct json v, const char *word)
{
	return v.type == JSON_STRING &&
	       json_key_eq(json_raw_string(v), str_of(word));
}

/* ---- arguments of calls ---- */

void
client_args_write(struct buf *out, struct str esc)
{
	struct json quoted = {NULL, NULL, JSON_STRING};
	struct buf tmp, plain;
	int rc;
	size_t at;

	if (esc.len == 0) {
		(void)buf_addz(out, "{}");
		return;
	}
	buf_init(&tmp, esc.len + 2);
	buf_init(&plain, esc.len + 1);
	(void)buf_addc(&tmp, '"');
	(void)buf_add_str(&tmp, esc);
	(void)buf_addc(&tmp, '"');
	if (buf_error(&tmp) == 0) {
		quoted.p = tmp.data;
		quoted.end = tmp.data + tmp.len;
		(void)json_unescape(quoted, &plain);
	}
	if (buf_error(&tmp) != 0 || buf_error(&plain) != 0) {
		out->error = ERR_NOMEM;
		goto out;
	}
	if (strspn(buf_cstr(&plain), " \t\r\n") == plain.len) {
		(void)buf_addz(out, "{}");
		goto out;
	}
	rc = json_validate(buf_str(&plain), NULL, NULL);
	if (rc == ERR_NOMEM) {
		out->error = ERR_NOMEM;
		goto out;
	}
	if (rc != 0 || json_root(buf_str(&plain)).type != JSON_OBJECT) {
		(void)buf_addz(out, "{\"_raw_arguments\":\"");
		(void)buf_add_str(out, esc);
		(void)buf_addz(out, "\"}");
		goto out;
	}
	at = out->len;
	(void)buf_add_str(out, str_trim(buf_str(&plain)));
	for (; at < out->len; at++) {
		/* only between tokens: strings hold none */
		if (out->data[at] == '\n' || out->data[at] == '\r')
			out->data[at] = ' ';
	}
out:
	buf_release(&tmp);
	buf_release(&plain);
}
