/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashing, comparing and sorting of object keys by their unescaped text.
 */
#include <stdlib.h>

#include "common/json.h"
#include "common/json_keys.h"
#include "common/json_scan.h"

#define JSON_KEY_ESCAPED UINT32_C(0x80000000)
#define JSON_HASH_PREFIX 64 /* bytes of a key that go into its hash */

void
json_keys_init(struct json_keys *k, const char *doc)
{
	k->doc = doc;
	k->at = k->few;
	k->n = 0;
	k->cap = JSON_KEYS_ON_STACK;
}

void
json_keys_release(struct json_keys *k)
{
	if (k->at != k->few)
		free(k->at);
}

static uint32_t
json_mix(uint64_t h)
{
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32 ^ h);
}

/* Of up to JSON_HASH_PREFIX bytes and the whole length. */
static uint32_t
json_hash(const char *p, size_t n, size_t whole)
{
	uint64_t h = whole;

	while (n >= 8) {
		h = (h ^ json_load8(p)) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
		p += 8;
		n -= 8;
	}
	if (n >= 4) {
		uint32_t a, b;

		memcpy(&a, p, 4);
		memcpy(&b, p + n - 4, 4);
		h ^= (uint64_t)a << 32 | b;
	} else if (n > 0) {
		h ^= (uint64_t)(unsigned char)p[0] << 16 |
		     (uint64_t)(unsigned char)p[n / 2] << 8 |
		     (unsigned char)p[n - 1];
		h ^= (uint64_t)n << 24;
	}
	return json_mix(h);
}

static uint32_t
json_hash_escaped(struct str raw)
{
	char prefix[JSON_HASH_PREFIX];
	const char *p = raw.p;
	const char *end = raw.p + raw.len;
	size_t n = 0, whole = 0;

	while (p < end) {
		char tmp[4];
		unsigned k = 1, i;

		if (*p == '\\')
			k = json_decode_escape(&p, tmp);
		else
			tmp[0] = *p++;
		for (i = 0; i < k && n < sizeof(prefix); i++)
			prefix[n++] = tmp[i];
		whole += k;
	}
	return json_hash(prefix, n, whole);
}

/* Next unescaped byte of a raw key. */
struct json_reader {
	const char *p, *end;
	char tmp[4];
	unsigned n, i;
};

static int
json_read(struct json_reader *r)
{
	if (r->i < r->n)
		return (unsigned char)r->tmp[r->i++];
	if (r->p >= r->end)
		return -1;
	if (*r->p != '\\')
		return (unsigned char)*r->p++;
	r->n = json_decode_escape(&r->p, r->tmp);
	r->i = 1;
	return (unsigned char)r->tmp[0];
}

static struct str
json_key_raw(const struct json_keys *k, const struct json_key *a)
{
	return str_make(k->doc + a->off, a->len & ~JSON_KEY_ESCAPED);
}

static int
json_key_text_cmp(const struct json_keys *k, const struct json_key *a,
    const struct json_key *b)
{
	struct str x = json_key_raw(k, a);
	struct str y = json_key_raw(k, b);
	struct json_reader rx = {.p = x.p, .end = x.p + x.len};
	struct json_reader ry = {.p = y.p, .end = y.p + y.len};
	int cx, cy;

	if (!((a->len | b->len) & JSON_KEY_ESCAPED))
		return str_cmp(x, y);
	do {
		cx = json_read(&rx);
		cy = json_read(&ry);
	} while (cx == cy && cx >= 0);
	return cx - cy;
}

static int
json_key_cmp(const struct json_keys *k, const struct json_key *a,
    const struct json_key *b)
{
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return json_key_text_cmp(k, a, b);
}

static int
json_keys_grow(struct json_keys *k)
{
	uint32_t cap = k->cap < 4096 ? 4096 : k->cap * 2;
	struct json_key *at;

	at = realloc(k->at == k->few ? NULL : k->at, (size_t)cap * sizeof(*at));
	if (at == NULL)
		return ERR_NOMEM;
	if (k->at == k->few)
		memcpy(at, k->few, sizeof(k->few));
	k->at = at;
	k->cap = cap;
	return 0;
}

int
json_keys_add(struct json_keys *k, uint32_t first, struct str raw, bool escaped)
{
	struct json_key key = {
	    .off = (uint32_t)(raw.p - k->doc),
	    .len = (uint32_t)raw.len | (escaped ? JSON_KEY_ESCAPED : 0),
	};
	uint32_t i;

	if (escaped)
		key.hash = json_hash_escaped(raw);
	else
		key.hash = json_hash(raw.p,
		    raw.len < JSON_HASH_PREFIX ? raw.len : JSON_HASH_PREFIX,
		    raw.len);
	if (k->n - first < JSON_FEW) {
		for (i = first; i < k->n; i++)
			if (k->at[i].hash == key.hash &&
			    json_key_text_cmp(k, &k->at[i], &key) == 0)
				return ERR_INVALID;
	}
	if (k->n == k->cap && json_keys_grow(k) != 0)
		return ERR_NOMEM;
	k->at[k->n++] = key;
	return 0;
}

/* Heap sort: in place, no recursion, n log n whatever the input. */
static void
json_keys_sift(
    const struct json_keys *k, struct json_key *a, size_t root, size_t n)
{
	struct json_key x = a[root];
	size_t child;

	while ((child = 2 * root + 1) < n) {
		if (child + 1 < n &&
		    json_key_cmp(k, &a[child], &a[child + 1]) < 0)
			child++;
		if (json_key_cmp(k, &x, &a[child]) >= 0)
			break;
		a[root] = a[child];
		root = child;
	}
	a[root] = x;
}

static void
json_keys_sort(const struct json_keys *k, struct json_key *a, size_t n)
{
	size_t i;

	for (i = n / 2; i > 0; i--)
		json_keys_sift(k, a, i - 1, n);
	for (i = n - 1; i > 0; i--) {
		struct json_key x = a[0];

		a[0] = a[i];
		a[i] = x;
		json_keys_sift(k, a, 0, i);
	}
}

const char *
json_keys_close(struct json_keys *k, uint32_t first)
{
	struct json_key *a = k->at + first;
	size_t n = k->n - first;
	const char *dup = NULL;
	size_t i;

	k->n = first;
	if (n <= JSON_FEW) /* compared when they were added */
		return NULL;
	json_keys_sort(k, a, n);
	for (i = 1; i < n; i++) {
		uint32_t off;

		if (json_key_cmp(k, &a[i - 1], &a[i]) != 0)
			continue;
		off = a[i - 1].off > a[i].off ? a[i - 1].off : a[i].off;
		if (dup == NULL || k->doc + off < dup)
			dup = k->doc + off;
	}
	return dup;
}
