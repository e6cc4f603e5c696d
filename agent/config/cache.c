/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted configuration cache, see cache.h. */
#include "agent/config/cache.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define CACHE_HEAD  16u
#define CACHE_NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define CACHE_TAG   crypto_aead_xchacha20poly1305_ietf_ABYTES

static const char cache_magic[8] = "HGBC1\n";
static const char cache_key_label[] = "headgate agent disk key v1";

static int
cache_path(const char *dir, uint64_t version, char dst[PATH_MAX])
{
	int n =
	    snprintf(dst, PATH_MAX, "%s/bundle-%" PRIu64 ".enc", dir, version);

	return n < 0 || n >= PATH_MAX ? ERR_TOO_LARGE : 0;
}

int
disk_key_get(struct io *io, const char *data_dir, const char *option,
    struct rng *rng, uint8_t key[DISK_KEY_LEN], struct error *e)
{
	char path[PATH_MAX];
	struct buf b;
	int n, rc;

	if (option[0] != '\0') {
		crypto_generichash(key, DISK_KEY_LEN, (const uint8_t *)option,
		    strlen(option), (const uint8_t *)cache_key_label,
		    sizeof(cache_key_label) - 1);
		return 0;
	}
	n = snprintf(path, sizeof(path), "%s/disk.key", data_dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ERR_TOO_LARGE, "data-dir is too long");
	buf_init(&b, 4096);
	rc = io_read_file(io, path, &b, e);
	if (rc == 0 && b.len != DISK_KEY_LEN)
		rc = err_set(e, ERR_CORRUPT, "%s is not a key of %d bytes",
		    path, DISK_KEY_LEN);
	if (rc == 0)
		memcpy(key, b.data, DISK_KEY_LEN);
	if (b.len > 0)
		sodium_memzero(b.data, b.len);
	buf_release(&b);
	if (rc != ERR_NOT_FOUND)
		return rc;
	rng->fill(rng, key, DISK_KEY_LEN);
	return io_write_file_atomic(io, path, key, DISK_KEY_LEN, 0600, e);
}

static void
put_version(uint8_t *p, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

int
cache_seal(const uint8_t key[DISK_KEY_LEN], struct rng *rng,
    const struct item_state *s, struct buf *out)
{
	uint8_t head[CACHE_HEAD + CACHE_NONCE];
	unsigned long long n = 0;
	struct buf plain;
	uint8_t *sealed = NULL;
	int rc;

	buf_init(&plain, BUNDLE_MAX);
	rc = items_pack(s, &plain);
	if (rc == 0)
		sealed = malloc(plain.len + CACHE_TAG);
	if (rc == 0 && sealed == NULL)
		rc = ERR_NOMEM;
	if (rc == 0) {
		memcpy(head, cache_magic, 8);
		put_version(head + 8, s->version);
		rng->fill(rng, head + CACHE_HEAD, CACHE_NONCE);
		crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, &n,
		    (const uint8_t *)plain.data, plain.len, head, CACHE_HEAD,
		    NULL, head + CACHE_HEAD, key);
		(void)buf_add(out, head, sizeof(head));
		rc = buf_add(out, sealed, (size_t)n);
	}
	if (plain.data != NULL) /* held credentials */
		sodium_memzero(plain.data, plain.len);
	buf_release(&plain);
	free(sealed);
	return rc;
}

int
cache_open(const uint8_t key[DISK_KEY_LEN], struct str file,
    struct item_state **ret, struct error *e)
{
	const uint8_t *p = (const uint8_t *)file.p;
	unsigned long long n = 0;
	uint8_t *plain;
	int rc;

	if (file.len < CACHE_HEAD + CACHE_NONCE + CACHE_TAG ||
	    memcmp(p, cache_magic, 8) != 0)
		return err_set(e, ERR_CORRUPT, "not a cached bundle");
	plain = malloc(file.len);
	if (plain == NULL)
		return err_set(e, ERR_NOMEM, "no memory for a cached bundle");
	rc = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &n, NULL,
	    p + CACHE_HEAD + CACHE_NONCE, file.len - CACHE_HEAD - CACHE_NONCE,
	    p, CACHE_HEAD, p + CACHE_HEAD, key);
	if (rc != 0)
		rc = err_set(e, ERR_SIGNATURE,
		    "cached bundle was changed or the disk key is another");
	else
		rc = items_apply(
		    NULL, str_make((const char *)plain, (size_t)n), ret, e);
	sodium_memzero(plain, (size_t)n);
	free(plain);
	return rc;
}

/* ---- files ------------------------------------------------------------------
 */

struct cache_list {
	uint64_t v[CACHE_VERSION_MAX]; /* newest first */
	size_t n;
};

static int
cache_list_add(void *ctx, const char *name)
{
	struct cache_list *l = ctx;
	struct str s = str_of(name);
	uint64_t v;
	size_t at;

	if (!str_starts(s, STR("bundle-")) || !str_ends(s, STR(".enc")) ||
	    str_to_u64(str_make(s.p + 7, s.len - 11), &v) != 0)
		return 0;
	for (at = 0; at < l->n && l->v[at] > v; at++)
		;
	if (at == CACHE_VERSION_MAX)
		return 0;
	if (l->n == CACHE_VERSION_MAX)
		l->n--;
	memmove(&l->v[at + 1], &l->v[at], (l->n - at) * sizeof(l->v[0]));
	l->v[at] = v;
	l->n++;
	return 0;
}

int
cache_save(struct io *io, const char *data_dir, const uint8_t key[DISK_KEY_LEN],
    struct rng *rng, const struct item_state *s, struct error *e)
{
	struct cache_list list = {.n = 0};
	char path[PATH_MAX];
	struct buf b;
	int rc;

	buf_init(&b, BUNDLE_MAX);
	rc = cache_path(data_dir, s->version, path);
	if (rc == 0)
		rc = cache_seal(key, rng, s, &b);
	if (rc != 0)
		(void)err_set(e, rc, "cannot be sealed");
	else
		rc = io_write_file_atomic(io, path, b.data, b.len, 0600, e);
	buf_release(&b);
	if (rc != 0) {
		(void)err_wrap(e, "cache of version %" PRIu64, s->version);
		return rc;
	}
	if (io->list(io, data_dir, cache_list_add, &list) != 0)
		return 0;
	for (size_t i = CACHE_KEEP; i < list.n; i++)
		if (cache_path(data_dir, list.v[i], path) == 0)
			(void)io->unlink(io, path);
	return 0;
}

int
cache_load(struct io *io, const char *data_dir, const uint8_t key[DISK_KEY_LEN],
    uint64_t below, struct item_state **ret, unsigned *n_bad)
{
	struct cache_list list = {.n = 0};
	char path[PATH_MAX];
	struct buf b;
	int rc = ERR_NOT_FOUND;

	if (io->list(io, data_dir, cache_list_add, &list) != 0)
		return ERR_NOT_FOUND;
	buf_init(&b, BUNDLE_MAX);
	for (size_t i = 0; rc != 0 && i < list.n; i++) {
		if (list.v[i] >= below)
			continue;
		buf_clear(&b);
		rc = cache_path(data_dir, list.v[i], path);
		if (rc == 0)
			rc = io_read_file(io, path, &b, NULL);
		if (rc == 0)
			rc = cache_open(key, buf_str(&b), ret, NULL);
		if (rc == 0 && (*ret)->version != list.v[i]) {
			items_unref(*ret); /* renamed by somebody */
			rc = ERR_CORRUPT;
		}
		if (rc != 0)
			(*n_bad)++;
	}
	buf_release(&b);
	return rc == 0 ? 0 : ERR_NOT_FOUND;
}
