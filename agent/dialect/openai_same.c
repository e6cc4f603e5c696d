/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing chunks of a stream with the one before, see openai_same.h.
 */
#include "agent/dialect/openai_same.h"

#include <string.h>

#define SAME_MAX_CHUNK	8192
#define SAME_MAX_MISSES 16 /* then it is not worth trying */

void
oai_same_init(struct oai_same *s)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->text, 2 * SAME_MAX_CHUNK);
}

void
oai_same_release(struct oai_same *s)
{
	buf_release(&s->text);
}

void
oai_same_clear(struct oai_same *s)
{
	s->n = s->misses = 0;
}

static bool
same_compare(
    const struct oai_same *s, struct str data, struct oai_same_chunk *ret)
{
	const char *p = data.p, *end = data.p + data.len, *begin, *quote;
	size_t from = 0, len;
	unsigned i;

	ret->from = ret->to = NULL;
	for (i = 0; i < s->n; i++) {
		len = s->end[i] - from;
		if ((size_t)(end - p) < len ||
		    memcmp(p, s->text.data + from, len) != 0)
			return false;
		if (s->cut_to > 0 && i == s->cut) {
			ret->from = p + (s->cut_from - from);
			ret->to = p + (s->cut_to - from);
		}
		from = s->end[i];
		p += len;
		if (i + 1 == s->n)
			break;
		begin = p;
		quote = json_check_string(p, end);
		if (quote == NULL)
			return false;
		if (i == s->delta)
			ret->text =
			    (struct json){begin - 1, quote + 1, JSON_STRING};
		p = quote;
	}
	ret->key = str_make(s->text.data + from, s->key_len);
	return p == end;
}

bool
oai_same_match(struct oai_same *s, struct str data, struct oai_same_chunk *ret)
{
	if (s->n == 0 || data.len > SAME_MAX_CHUNK)
		return false;
	if (same_compare(s, data, ret)) {
		s->misses = 0;
		return true;
	}
	s->n = 0; /* what came before is this one now */
	return false;
}

/* The one string of a delta that has nothing else but its role. */
static bool
same_delta(struct json delta, struct str *key, struct json *text)
{
	struct json_iter it = json_iter(delta);
	struct json v;
	struct str k;
	unsigned n = 0;

	if (delta.type != JSON_OBJECT)
		return false;
	while (json_next_member(&it, &k, &v)) {
		if (v.type == JSON_NULL || json_key_eq(k, STR("role")))
			continue;
		if (v.type != JSON_STRING || ++n > 1)
			return false;
		*key = k;
		*text = v;
	}
	return n == 1;
}

/* The text of the only choice of a chunk that ends nothing. */
static bool
same_choice(struct json choices, struct str *key, struct json *text)
{
	struct json_iter it = json_iter(choices);
	struct json c, other, v;

	if (choices.type != JSON_ARRAY || !json_next_element(&it, &c) ||
	    c.type != JSON_OBJECT || json_next_element(&it, &other))
		return false;
	if (json_getz(c, "finish_reason", &v) && v.type != JSON_NULL)
		return false;
	return json_getz(c, "delta", &v) && same_delta(v, key, text);
}

static bool
same_look(
    struct str data, struct str *key, struct json *text, struct json *padding)
{
	struct json_iter it = json_iter(json_root(data));
	struct json v;
	struct str k;
	bool found = false;

	while (json_next_member(&it, &k, &v)) {
		if (json_key_eq(k, STR("choices")))
			found = same_choice(v, key, text);
		else if (json_key_eq(k, STR("obfuscation")) &&
			 v.type == JSON_STRING)
			*padding = v;
		else if ((json_key_eq(k, STR("usage")) ||
			     json_key_eq(k, STR("error"))) &&
			 v.type != JSON_NULL)
			return false;
	}
	return found;
}

/* Add data from *at up to a place as a piece. */
static void
same_piece(
    struct oai_same *s, const char **at, const char *to, struct str usage)
{
	size_t begin = s->text.len;

	if (usage.len > 0 && usage.p >= *at && usage.p + usage.len <= to) {
		s->cut = s->n;
		s->cut_from = (uint32_t)(begin + (size_t)(usage.p - *at));
		s->cut_to = s->cut_from + (uint32_t)usage.len;
	}
	(void)buf_add(&s->text, *at, (size_t)(to - *at));
	s->end[s->n++] = (uint32_t)s->text.len;
	*at = to;
}

void
oai_same_learn(struct oai_same *s, struct str data, struct str usage)
{
	struct json text = {NULL, NULL, JSON_NULL}, padding = text;
	const struct json *strings[OAI_SAME_STRINGS] = {&text, &padding};
	const char *at = data.p;
	struct str key = STR_NULL;
	unsigned i;

	s->n = 0;
	if (s->misses >= SAME_MAX_MISSES || data.len > SAME_MAX_CHUNK)
		return;
	s->misses++;
	if (!same_look(data, &key, &text, &padding))
		return;
	buf_clear(&s->text);
	s->cut_from = s->cut_to = 0;
	s->delta = 0;
	if (padding.p != NULL && padding.p < text.p) {
		strings[0] = &padding;
		strings[1] = &text;
		s->delta = 1;
	}
	(void)buf_reserve(&s->text, data.len + key.len);
	for (i = 0; i < OAI_SAME_STRINGS; i++) {
		if (strings[i]->p == NULL)
			continue;
		same_piece(s, &at, strings[i]->p + 1, usage);
		at = strings[i]->end - 1;
	}
	same_piece(s, &at, data.p + data.len, usage);
	(void)buf_add_str(&s->text, key);
	s->key_len = (uint32_t)key.len;
	if (buf_error(&s->text) != 0 || (usage.len > 0 && s->cut_to == 0))
		s->n = 0;
}
