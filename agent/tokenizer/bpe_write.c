/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a table: the build does it once for each encoding; tests make small
 * ones of their own.
 */
#include <sodium.h>
#include <stdlib.h>

#include "agent/tokenizer/bpe_table.h"

struct bpe_sizes {
	uint32_t n_slots;
	size_t slots, offsets, pairs, singles, bytes, total;
	size_t max_len;
};

static int
bpe_measure(
    const struct str *tokens, size_t n, struct bpe_sizes *z, struct error *e)
{
	size_t i, n_bytes = 0;

	memset(z, 0, sizeof(*z));
	if (n < 256 || n > BPE_MAX_TOKENS)
		return err_set(e, ERR_INVALID, "%zu tokens", n);
	for (i = 0; i < n; i++) {
		if (tokens[i].len == 0 || tokens[i].len > 1024)
			return err_set(e, ERR_INVALID,
			    "token %zu has %zu bytes", i, tokens[i].len);
		n_bytes += tokens[i].len;
		if (tokens[i].len > z->max_len)
			z->max_len = tokens[i].len;
	}
	for (z->n_slots = 512; z->n_slots < 2 * n; z->n_slots *= 2)
		;
	z->slots = sizeof(struct bpe_header);
	z->offsets = z->slots + z->n_slots * sizeof(struct bpe_slot);
	z->pairs = z->offsets + ((n + 1) * 4 + 7) / 8 * 8;
	z->singles = z->pairs + 65536 * 4;
	z->bytes = z->singles + 256 * 4;
	z->total = z->bytes + n_bytes;
	if (z->total > BPE_FILE_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu bytes", z->total);
	return 0;
}

static void
bpe_write_header(
    const char *name, size_t n, const struct bpe_sizes *z, struct bpe_header *h)
{
	memcpy(h->magic, BPE_MAGIC, sizeof(h->magic));
	h->version = htole32(BPE_VERSION);
	h->n_tokens = htole32((uint32_t)n);
	h->n_slots = htole32(z->n_slots);
	h->max_len = htole32((uint32_t)z->max_len);
	h->file_size = htole64(z->total);
	h->slots = htole64(z->slots);
	h->offsets = htole64(z->offsets);
	h->pairs = htole64(z->pairs);
	h->singles = htole64(z->singles);
	h->bytes = htole64(z->bytes);
	memcpy(h->name, name, strlen(name));
}

/* False: the same token is there already. */
static bool
bpe_insert(struct bpe_slot *slots, uint32_t mask, const struct str *tokens,
    uint32_t rank)
{
	const uint8_t *p = (const uint8_t *)tokens[rank].p;
	size_t n = tokens[rank].len;
	uint64_t key = bpe_key(p, n);
	uint32_t at = bpe_slot_of(key, n) & mask;

	while (slots[at].len != 0) {
		if (str_eq(tokens[le32toh(slots[at].rank)], tokens[rank]))
			return false;
		at = (at + 1) & mask;
	}
	slots[at] = (struct bpe_slot){
	    htole64(key), htole32(rank), htole32((uint32_t)n)};
	return true;
}

static int
bpe_write_body(uint8_t *base, const struct bpe_sizes *z,
    const struct str *tokens, size_t n, struct error *e)
{
	struct bpe_slot *slots = (void *)(base + z->slots);
	uint32_t *offsets = (void *)(base + z->offsets);
	uint32_t *pairs = (void *)(base + z->pairs);
	uint32_t *singles = (void *)(base + z->singles);
	uint32_t i, at = 0;
	const uint8_t *p;

	memset(pairs, 0xff, 65536 * 4);
	memset(singles, 0xff, 256 * 4);
	for (i = 0; i < n; i++) {
		p = (const uint8_t *)tokens[i].p;
		offsets[i] = htole32(at);
		memcpy(base + z->bytes + at, p, tokens[i].len);
		at += (uint32_t)tokens[i].len;
		if (!bpe_insert(slots, z->n_slots - 1, tokens, i))
			return err_set(
			    e, ERR_INVALID, "token %u is there twice", i);
		if (tokens[i].len == 1)
			singles[p[0]] = htole32(i);
		if (tokens[i].len == 2)
			pairs[p[0] << 8 | p[1]] = htole32(i);
	}
	offsets[n] = htole32(at);
	for (i = 0; i < 256; i++) {
		if (singles[i] == BPE_NONE)
			return err_set(
			    e, ERR_INVALID, "no token for byte %u", i);
	}
	return 0;
}

int
bpe_table_write(const char *name, const struct str *tokens, size_t n,
    struct buf *out, struct error *e)
{
	struct bpe_sizes z;
	struct bpe_header *h;
	uint8_t *base;
	int rc;

	if (strlen(name) >= sizeof(h->name))
		return err_set(e, ERR_INVALID, "name is too long");
	rc = bpe_measure(tokens, n, &z, e);
	if (rc != 0)
		return rc;
	base = calloc(1, z.total);
	if (base == NULL)
		return err_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	h = (void *)base;
	bpe_write_header(name, n, &z, h);
	rc = bpe_write_body(base, &z, tokens, n, e);
	if (rc != 0)
		goto out;
	(void)crypto_generichash(
	    h->sum, sizeof(h->sum), base, z.total, NULL, 0);
	rc = buf_add(out, base, z.total);
	if (rc != 0)
		(void)err_set(e, rc, "%s", err_text(rc));
out:
	free(base);
	return rc;
}
