/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting for callers that cannot fail and must not stall: whole texts, JSON
 * values in steps, and streams of deltas.
 */
#include "agent/tokenizer/tokenizer_priv.h"

#include "common/json_scan.h"
#include "common/utf8.h"

int64_t
token_counter_bytes(const struct token_counter *c, int64_t n)
{
	int64_t milli = c->milli > 0 ? c->milli : TOKENIZER_DEFAULT_MILLI;

	if (n <= 0)
		return 0;
	if (n > INT64_MAX / 1000 - milli)
		return INT64_MAX / 1000;
	return (n * 1000 + milli - 1) / milli;
}

int64_t
token_counter_count(
    const struct token_counter *c, struct tokenizer_scratch *s, struct str text)
{
	int64_t n;

	if (c->exact == NULL || tokenizer_count(c->exact, s, text, &n) != 0)
		n = token_counter_bytes(c, (int64_t)text.len);
	return n;
}

size_t
token_unescape(const char **p, const char *end, char *dst, size_t cap)
{
	const char *at = *p, *stop;
	char utf8[4];
	size_t n = 0, room;
	unsigned k;

	while (at < end && n < cap) {
		if (*at == '\\') {
			stop = at;
			k = json_decode_escape(&at, utf8);
			if (k > cap - n) {
				at = stop;
				break;
			}
			memcpy(dst + n, utf8, k);
			n += k;
			continue;
		}
		room =
		    (size_t)(end - at) < cap - n ? (size_t)(end - at) : cap - n;
		stop = memchr(at, '\\', room);
		if (stop == NULL) {
			stop = at + room;
			/* Do not part a character. */
			while (stop > at && stop < end &&
			       utf8_is_tail((unsigned char)*stop))
				stop--;
			if (stop == at)
				break;
		}
		memcpy(dst + n, at, (size_t)(stop - at));
		n += (size_t)(stop - at);
		at = stop;
	}
	*p = at;
	return n;
}

/* Count the pieces at the start of text that are sure (all of them if it is
 * the last of the text, or the first when it fills everything); the bytes
 * counted. */
static size_t
counter_sure(const struct token_counter *c, struct tokenizer_scratch *s,
    struct str text, bool last, bool full, int64_t *n)
{
	const struct tokenizer *t = c->exact;
	size_t at = 0, len, k;
	bool open;

	while (at < text.len) {
		len = split_piece(t->classes, t->rule,
		    str_make(text.p + at, text.len - at), &open);
		if (open && !last && !(full && at == 0))
			break;
		if (bpe_piece(&t->table, &s->bpe, (const uint8_t *)text.p + at,
			len, NULL, &k) != 0)
			k = (size_t)token_counter_bytes(c, (int64_t)len);
		*n += (int64_t)k;
		at += len;
	}
	return at;
}

void
token_walk_init(struct token_walk *w, struct json v)
{
	*w = (struct token_walk){v.p, v.end, NULL, 0, 0};
}

/* Skip what is left of the string at hand; its bytes. */
static size_t
walk_measure(struct token_walk *w, const char *end)
{
	char text[4096];
	size_t len, n = 0;

	while (w->text < end) {
		len = token_unescape(&w->text, end, text, sizeof(text));
		if (len == 0)
			w->text = end;
		n += len;
	}
	return n;
}

/* Some of the string at hand, whose closing quote is at end; its bytes. */
static size_t
walk_text(struct token_walk *w, const struct token_counter *c,
    struct tokenizer_scratch *s, const char *end, size_t max)
{
	const char *p = w->text;
	size_t len, used;

	if (c->exact == NULL)
		return walk_measure(w, end);
	len = token_unescape(&p, end, s->text, max);
	used =
	    counter_sure(c, s, str_make(s->text, len), p >= end, false, &w->n);
	if (used == 0 && p < end) {
		/* A piece that is longer than max. */
		p = w->text;
		len = token_unescape(&p, end, s->text, sizeof(s->text));
		used = counter_sure(
		    c, s, str_make(s->text, len), p >= end, true, &w->n);
	}
	/* Where in the document the part that was counted ends. */
	if (used == 0 || token_unescape(&w->text, end, s->text, used) != used)
		w->text = end;
	return used;
}

/* Set w->text to the next string, or to NULL; w->p to its closing quote. */
static void
walk_next(struct token_walk *w)
{
	const char *quote = NULL;

	if (w->p < w->end)
		quote = memchr(w->p, '"', (size_t)(w->end - w->p));
	w->text = quote != NULL ? quote + 1 : NULL;
	w->p = quote != NULL ? json_string_end(w->text, w->end) : w->end;
}

bool
token_walk_step(struct token_walk *w, const struct token_counter *c,
    struct tokenizer_scratch *s, size_t max)
{
	size_t done = 0, len;

	if (max > TOKENIZER_PIECE_MAX)
		max = TOKENIZER_PIECE_MAX;
	if (max < 64)
		max = 64;
	for (; done < max; done += 8) {
		if (w->text == NULL)
			walk_next(w);
		if (w->text == NULL)
			break;
		len = w->text < w->p ? walk_text(w, c, s, w->p, max) : 0;
		w->bytes += (int64_t)len;
		done += len;
		if (w->text >= w->p) {
			w->text = NULL;
			w->p = w->p < w->end ? w->p + 1 : w->end;
		}
	}
	if (c->exact == NULL)
		w->n = token_counter_bytes(c, w->bytes);
	return w->text == NULL && w->p >= w->end;
}

/* Count what is sure of the n bytes at text, keep the rest as the tail. */
static void
stream_count(struct token_stream *st, const struct token_counter *c,
    struct tokenizer_scratch *s, const char *text, size_t n)
{
	size_t used;

	used = counter_sure(c, s, str_make(text, n), false, false, &st->n);
	if (n - used > sizeof(st->tail))
		used += counter_sure(
		    c, s, str_make(text + used, n - used), true, true, &st->n);
	st->len = (uint32_t)(n - used);
	memcpy(st->tail, text + used, n - used);
}

/* As many bytes of the text as fit into cap, no character parted if one is
 * whole. */
static size_t
stream_fit(struct str text, size_t cap)
{
	size_t n = cap;

	if (text.len <= cap)
		return text.len;
	while (n > cap - 3 && utf8_is_tail((unsigned char)text.p[n]))
		n--;
	return n;
}

void
token_stream_add(struct token_stream *st, const struct token_counter *c,
    struct tokenizer_scratch *s, struct str text)
{
	char buf[1024];
	size_t k;

	st->bytes += (int64_t)text.len;
	while (c->exact != NULL && text.len > 0) {
		memcpy(buf, st->tail, st->len);
		k = stream_fit(text, sizeof(buf) - st->len);
		memcpy(buf + st->len, text.p, k);
		text.p += k;
		text.len -= k;
		stream_count(st, c, s, buf, st->len + k);
	}
}

void
token_stream_add_json(struct token_stream *st, const struct token_counter *c,
    struct tokenizer_scratch *s, struct json v)
{
	const char *p = v.p + 1, *end = v.end - 1;
	char buf[1024];
	size_t k;

	if (v.type != JSON_STRING)
		return;
	while (p < end) {
		k = token_unescape(&p, end, buf, sizeof(buf));
		if (k == 0)
			break;
		token_stream_add(st, c, s, str_make(buf, k));
	}
}

int64_t
token_stream_total(const struct token_stream *st, const struct token_counter *c,
    struct tokenizer_scratch *s)
{
	if (c->exact == NULL)
		return token_counter_bytes(c, st->bytes);
	return st->n + token_counter_count(c, s, str_make(st->tail, st->len));
}
