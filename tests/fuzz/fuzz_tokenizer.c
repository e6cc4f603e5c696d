/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: tokenizing any bytes with a small vocabulary. Pieces and tokens
 * cover the text without gaps, merging is as its definition says, all ways of
 * counting agree; and a table with any damage that its sum does not show is
 * refused or harmless. The first byte chooses.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/tokenizer/tokenizer_priv.h"
#include "tests/fuzz/tokenizer_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buf table;
static struct tokenizer *toks[2];
static struct tokenizer_scratch *scratch;

static void
fuzz_start(void)
{
	static const char *const names[] = {"o200k_base", "cl100k_base"};
	static struct buf other;

	MUST(sodium_init() >= 0);
	buf_init(&table, BPE_FILE_MAX);
	buf_init(&other, BPE_FILE_MAX);
	MUST(kit_table(names[0], &table) && kit_table(names[1], &other));
	MUST(tokenizer_load(table.data, table.len, names[0], &toks[0], NULL) ==
	     0);
	MUST(tokenizer_load(other.data, other.len, names[1], &toks[1], NULL) ==
	     0);
	scratch = tokenizer_scratch_new();
	MUST(scratch != NULL);
}

/* Each token's bytes follow one another; pieces are merged by the book. Gives
 * the longest piece. */
static size_t
fuzz_encode(const struct tokenizer *t, struct str text, size_t *n)
{
	uint32_t *ids = malloc((text.len + 1) * sizeof(*ids));
	size_t *ends = malloc((text.len + 1) * sizeof(*ends));
	size_t at, len, i, k = 0, longest = 0;
	bool open;

	MUST(ids != NULL && ends != NULL);
	MUST(tokenizer_encode(t, scratch, text, ids, text.len, n) == 0);
	for (i = 0, at = 0; i < *n; i++) {
		uint32_t from = le32toh(t->table.offsets[ids[i]]);

		len = le32toh(t->table.offsets[ids[i] + 1]) - from;
		MUST(len <= text.len - at &&
		     memcmp(t->table.bytes + from, text.p + at, len) == 0);
		at += len;
	}
	MUST(at == text.len);
	for (at = 0; at < text.len; at += len) {
		len = split_piece(t->classes, t->rule,
		    str_make(text.p + at, text.len - at), &open);
		MUST(len > 0 && len <= text.len - at);
		longest = len > longest ? len : longest;
		if (len < 600)
			k += kit_merge(
			    &t->table, (const uint8_t *)text.p + at, len, ends);
	}
	MUST(longest >= 600 || k == *n);
	free(ids);
	free(ends);
	return longest;
}

static void
fuzz_counts(const struct tokenizer *t, struct str text, size_t step)
{
	struct token_counter c = {t, 3600};
	struct token_stream st = {0};
	struct token_walk w;
	struct buf json;
	int64_t some = 0;
	size_t pos, len, n, longest = fuzz_encode(t, text, &n);

	for (pos = 0; pos < text.len;)
		MUST(tokenizer_count_some(
			 t, scratch, text, step, &pos, &some) == 0);
	MUST(some == (int64_t)n);
	if (!str_is_utf8(text))
		return;
	for (pos = 0; pos < text.len; pos += len) {
		for (len = step;
		     pos + len < text.len &&
		     ((unsigned char)text.p[pos + len] & 0xc0) == 0x80;
		     len++)
			;
		len = len < text.len - pos ? len : text.len - pos;
		token_stream_add(&st, &c, scratch, str_make(text.p + pos, len));
	}
	MUST(longest > 200 ||
	     token_stream_total(&st, &c, scratch) == (int64_t)n);
	buf_init(&json, 1 << 22);
	MUST(buf_add_json(&json, text) == 0);
	token_walk_init(&w, json_root(buf_str(&json)));
	while (!token_walk_step(&w, &c, scratch, step))
		;
	MUST(w.n == (int64_t)n && w.bytes == (int64_t)text.len);
	buf_release(&json);
}

/* Changes to the table, 5 bytes each: where, and (the last) what. */
static void
fuzz_damage(const uint8_t *data, size_t size)
{
	struct tokenizer *t = NULL;
	struct bpe_header *h;
	struct buf copy;
	size_t at;
	int64_t n;

	buf_init(&copy, BPE_FILE_MAX);
	MUST(buf_add(&copy, table.data, table.len) == 0);
	for (; size >= 5; data += 5, size -= 5) {
		at = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
		copy.data[at % copy.len] = (char)data[4];
	}
	h = (void *)copy.data;
	memset(h->sum, 0, sizeof(h->sum));
	(void)crypto_generichash(h->sum, sizeof(h->sum),
	    (const uint8_t *)copy.data, copy.len, NULL, 0);
	if (tokenizer_load(copy.data, copy.len, "o200k_base", &t, NULL) == 0)
		MUST(tokenizer_count(t, scratch,
			 STR("aabAB aab'a\n\nBBA/ ababababababababababababab"
			     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
			 &n) == 0);
	tokenizer_close(t);
	buf_release(&copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t choice;

	if (toks[0] == NULL)
		fuzz_start();
	if (size == 0)
		return 0;
	choice = data[0];
	if (choice % 8 == 7)
		fuzz_damage(data + 1, size - 1);
	else
		fuzz_counts(toks[choice % 2],
		    str_make((const char *)data + 1, size - 1),
		    1U + choice / 8);
	return 0;
}
