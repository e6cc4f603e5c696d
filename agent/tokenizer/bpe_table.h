/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary of one encoding as a file that is mapped, not read: all
 * agents and workers of a machine share its pages, and opening it allocates
 * nothing. All numbers are little-endian. After the header come, each at an
 * offset that is a multiple of 8 and named in the header:
 *	slots	 open-addressing hash table, linear probing, at most half full
 *	offsets	 n_tokens + 1 numbers of 32 bits: where each token's bytes are
 *	pairs	 65536 ranks of the tokens of two bytes, BPE_NONE = none
 *	singles	 256 ranks of the tokens of one byte; each byte has one
 *	bytes	 the bytes of all tokens by rank
 * A rank is the token's id and its place in the order of merges.
 */
#ifndef AGENT_TOKENIZER_BPE_TABLE_H
#define AGENT_TOKENIZER_BPE_TABLE_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define BPE_NONE       UINT32_MAX
#define BPE_MAGIC      "HGBPE\r\n\032"
#define BPE_VERSION    1
#define BPE_MAX_TOKENS (1U << 20)
#define BPE_FILE_MAX   ((size_t)64 << 20)

struct bpe_header {
	char magic[8];
	uint32_t version;
	uint32_t n_tokens;
	uint32_t n_slots; /* a power of two */
	uint32_t max_len; /* bytes of the longest token */
	uint64_t file_size;
	uint64_t slots, offsets, pairs, singles, bytes;
	char name[32];	 /* "o200k_base", rest NUL */
	uint8_t sum[32]; /* BLAKE2b of the file, this field as zeros */
};

/* A token of up to 8 bytes is its key; of a longer one it is a hash. */
struct bpe_slot {
	uint64_t key;
	uint32_t rank;
	uint32_t len; /* 0 = free */
};

/* A mapped file; the pointers go into it. */
struct bpe_table {
	const struct bpe_slot *slots;
	const uint32_t *offsets, *pairs, *singles;
	const uint8_t *bytes;
	uint32_t n_tokens, mask, max_len;
	const void *map; /* NULL: the caller's memory */
	size_t map_len;
};

/* Map a file and check it in full: sums, sizes, every offset and slot.
 * ERR_NOT_FOUND: no such file; ERR_CORRUPT, ERR_VERSION. Boot only. */
int bpe_table_open(const char *path, const char *name, struct bpe_table *ret,
    struct error *e) MUST_CHECK;
/* The same on memory that the caller keeps, aligned to 8 bytes. */
int bpe_table_load(const void *p, size_t len, const char *name,
    struct bpe_table *ret, struct error *e) MUST_CHECK;
void bpe_table_close(struct bpe_table *t);

/* tokens[i] is the token of rank i; appends a file to an empty out. Fails
 * with ERR_INVALID on empty or repeated tokens or when a byte has none. */
int bpe_table_write(const char *name, const struct str *tokens, size_t n,
    struct buf *out, struct error *e) MUST_CHECK;

static inline uint64_t
bpe_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline uint64_t
bpe_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
bpe_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 x = (unsigned __int128)a * b;

	return (uint64_t)x ^ (uint64_t)(x >> 64);
}

/* Key of a token of n bytes, n >= 1. Reads only those bytes. */
static inline uint64_t
bpe_key(const uint8_t *p, size_t n)
{
	uint64_t h;
	size_t i;

	if (n < 4)
		return p[0] | (uint64_t)p[n / 2] << (n / 2 * 8) |
		       (uint64_t)p[n - 1] << ((n - 1) * 8);
	if (n <= 8)
		return bpe_load32(p) | bpe_load32(p + n - 4) << ((n - 4) * 8);
	h = UINT64_C(0x9e3779b97f4a7c15) * n;
	for (i = 0; i + 8 < n; i += 8)
		h = bpe_mix(
		    h ^ bpe_load64(p + i), UINT64_C(0xd6e8feb86659fd93));
	return bpe_mix(h ^ bpe_load64(p + n - 8), UINT64_C(0xa0761d6478bd642f));
}

static inline uint32_t
bpe_slot_of(uint64_t key, size_t n)
{
	return (uint32_t)bpe_mix(
	    key ^ (uint64_t)n << 56, UINT64_C(0xe7037ed1a0b428db));
}

/* Rank of the token of these n bytes, BPE_NONE if there is none. n >= 1. */
static inline uint32_t
bpe_rank(const struct bpe_table *t, const uint8_t *p, size_t n)
{
	const struct bpe_slot *s;
	uint64_t key;
	uint32_t at, rank;

	if (n == 1)
		return le32toh(t->singles[p[0]]);
	if (n == 2)
		return le32toh(t->pairs[p[0] << 8 | p[1]]);
	if (n > t->max_len)
		return BPE_NONE;
	key = bpe_key(p, n);
	for (at = bpe_slot_of(key, n);; at++) {
		s = &t->slots[at & t->mask];
		if (s->len == 0)
			return BPE_NONE;
		if (le64toh(s->key) != key || le32toh(s->len) != n)
			continue;
		rank = le32toh(s->rank);
		if (n <= 8 ||
		    memcmp(t->bytes + le32toh(t->offsets[rank]), p, n) == 0)
			return rank;
	}
}

#endif
