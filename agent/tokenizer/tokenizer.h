/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting tokens: exactly with OpenAI's encodings o200k_base and cl100k_base,
 * by a ratio of bytes for every other model. Special tokens ("<|endoftext|>")
 * are plain text: what comes in a prompt is never more than that.
 *
 * A counter is a small value that says how the tokens of a model are counted;
 * it comes from the `tokenizer` of the model's item: "o200k" ("o200k_base"),
 * "cl100k" ("cl100k_base"), or "bytes:3.6" = one token per 3.6 bytes.
 */
#ifndef AGENT_TOKENIZER_TOKENIZER_H
#define AGENT_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"

/* A longer piece (a run without a space, digit or change between letters and
 * symbols) is cut here, which may cost a token at the cut. */
#define TOKENIZER_PIECE_MAX ((size_t)128 << 10)

/* Thousandths of a byte a token where nothing better is known: prose has 4.1
 * with both encodings, code 3.0 to 3.6, JSON 3.7. */
#define TOKENIZER_DEFAULT_MILLI 3600

/* One mapped encoding; constant, used by any number of threads. */
struct tokenizer;
/* Working memory of one thread: 128 KiB, and 28 bytes a byte of the longest
 * piece so far that is no token itself, so less than 4 MiB. */
struct tokenizer_scratch;

/* Open dir/name.bpe (made by `make tokenizers`); name is "o200k_base" or
 * "cl100k_base". ERR_NOT_FOUND: no such file; ERR_UNSUPPORTED: no such name;
 * ERR_CORRUPT. Reads and checks all of the file: boot only. */
int tokenizer_open(const char *dir, const char *name, struct tokenizer **ret,
    struct error *e) MUST_CHECK;
/* The same on a table in memory that stays the caller's (tests). */
int tokenizer_load(const void *table, size_t len, const char *name,
    struct tokenizer **ret, struct error *e) MUST_CHECK;
void tokenizer_close(struct tokenizer *t); /* NULL is fine */

struct tokenizer_scratch *tokenizer_scratch_new(void); /* NULL: no memory */
void tokenizer_scratch_free(struct tokenizer_scratch *s);

/* *n = number of tokens of text. ERR_NOMEM, with *n untouched. */
int tokenizer_count(const struct tokenizer *t, struct tokenizer_scratch *s,
    struct str text, int64_t *n) MUST_CHECK;
/* Part of the work, for threads that must not stall: goes on at *pos (0 at
 * first), adds to *n (0 at first), and stops after max bytes or few more
 * (the piece that crosses the mark). Done when *pos == text.len. */
int tokenizer_count_some(const struct tokenizer *t, struct tokenizer_scratch *s,
    struct str text, size_t max, size_t *pos, int64_t *n) MUST_CHECK;
/* The ids themselves; ERR_TOO_LARGE if they are more than cap. */
int tokenizer_encode(const struct tokenizer *t, struct tokenizer_scratch *s,
    struct str text, uint32_t *ids, size_t cap, size_t *n) MUST_CHECK;

enum tokenizer_encoding { TOKENIZER_O200K, TOKENIZER_CL100K, TOKENIZER_N };

/* What a program has opened; zeroed memory is a set without tables. */
struct tokenizer_set {
	struct tokenizer *of[TOKENIZER_N];
};

/* Open what there is in dir. ERR_NOT_FOUND: at least one table is missing
 * (e names it); others: it is damaged. The set may be used after any error:
 * what is not open is counted by ratio. The caller logs e->text, once. */
int tokenizer_set_open(
    struct tokenizer_set *set, const char *dir, struct error *e) MUST_CHECK;
void tokenizer_set_close(struct tokenizer_set *set);

/* How the tokens of a model are counted. Copied freely; lives as long as the
 * set that it came from. */
struct token_counter {
	const struct tokenizer *exact; /* NULL: by ratio */
	int64_t milli;		       /* thousandths of a byte a token */
};

/* set may be NULL. An empty name is the default ratio. ERR_UNSUPPORTED: the
 * name is not known. Then, and for an encoding that is not open, the default
 * ratio is set. Cheap: any thread, any time. */
int tokenizer_for_model(const struct tokenizer_set *set, struct str declared,
    struct token_counter *ret);
/* May the name stand in a model's item? Needs no table. */
bool tokenizer_name_is_valid(struct str declared);

/* Tokens of text, rounded up; never fails: without memory by ratio. s may be
 * NULL when c->exact is. */
int64_t token_counter_count(const struct token_counter *c,
    struct tokenizer_scratch *s, struct str text);
/* n bytes by the ratio alone, rounded up. */
int64_t token_counter_bytes(const struct token_counter *c, int64_t n);

/* Counting all strings below a JSON value, keys included, in steps for threads
 * that must not stall. Any number of walks may share a scratch. */
struct token_walk {
	const char *p, *end; /* not looked at yet */
	const char *text;    /* rest of the string at hand; NULL = none */
	int64_t n;	     /* tokens so far */
	int64_t bytes;	     /* bytes of text, unescaped, so far */
};

/* v is a value of a validated document that outlives the walk. */
void token_walk_init(struct token_walk *w, struct json v);
/* Goes on for about max bytes of text (but a piece's worth at least); true
 * when done. */
bool token_walk_step(struct token_walk *w, const struct token_counter *c,
    struct tokenizer_scratch *s, size_t max);

/* Counting text that comes bit by bit, as in the deltas of a stream: the same
 * number as for all of it at once, while no piece is longer than the tail; a
 * longer one (a run of the same symbol) may cost a few tokens at each cut. */
struct token_stream {
	int64_t n;     /* tokens so far, without those of the tail */
	int64_t bytes; /* bytes of text so far */
	uint32_t len;
	char tail[252]; /* text that what follows may belong to */
};

/* Zeroed memory is a new stream. */
void token_stream_add(struct token_stream *st, const struct token_counter *c,
    struct tokenizer_scratch *s, struct str text);
/* Adds a JSON string, unescaped; other values add nothing. */
void token_stream_add_json(struct token_stream *st,
    const struct token_counter *c, struct tokenizer_scratch *s, struct json v);
/* Tokens so far, those of the tail included; the stream may go on. */
int64_t token_stream_total(const struct token_stream *st,
    const struct token_counter *c, struct tokenizer_scratch *s);

#endif
