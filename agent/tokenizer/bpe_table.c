/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a table: everything that bpe_rank() relies on is checked here, so
 * that a file that passes cannot lead it astray.
 */
#include "agent/tokenizer/bpe_table.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A section of n elements of size at off lies in the file. */
static bool
bpe_fits(const struct bpe_header *h, uint64_t off, uint64_t n, uint64_t size)
{
	uint64_t total = le64toh(h->file_size);

	return off % 8 == 0 && off >= sizeof(*h) && off <= total &&
	       n <= (total - off) / size;
}

static int
bpe_check_sum(const struct bpe_header *h, size_t len)
{
	static const uint8_t zeros[sizeof(h->sum)];
	const uint8_t *p = (const uint8_t *)h;
	crypto_generichash_state st;
	uint8_t sum[sizeof(h->sum)];

	if (crypto_generichash_init(&st, NULL, 0, sizeof(sum)) != 0)
		return ERR_INTERNAL;
	crypto_generichash_update(&st, p, offsetof(struct bpe_header, sum));
	crypto_generichash_update(&st, zeros, sizeof(zeros));
	crypto_generichash_update(&st, p + sizeof(*h), len - sizeof(*h));
	crypto_generichash_final(&st, sum, sizeof(sum));
	return memcmp(sum, h->sum, sizeof(sum)) == 0 ? 0 : ERR_CORRUPT;
}

static int
bpe_check_header(
    const struct bpe_header *h, size_t len, const char *name, struct error *e)
{
	uint64_t n, n_slots;

	if (len < sizeof(*h) || memcmp(h->magic, BPE_MAGIC, 8) != 0)
		return err_set(e, ERR_CORRUPT, "not a tokenizer table");
	if (le32toh(h->version) != BPE_VERSION)
		return err_set(e, ERR_VERSION, "version %u, not %u",
		    (unsigned)le32toh(h->version), (unsigned)BPE_VERSION);
	if (le64toh(h->file_size) != len || len > BPE_FILE_MAX)
		return err_set(e, ERR_CORRUPT, "%zu bytes, not %llu", len,
		    (unsigned long long)le64toh(h->file_size));
	if (bpe_check_sum(h, len) != 0)
		return err_set(e, ERR_CORRUPT, "wrong check sum");
	n = le32toh(h->n_tokens);
	n_slots = le32toh(h->n_slots);
	if (h->name[sizeof(h->name) - 1] != '\0' || n == 0 ||
	    n > BPE_MAX_TOKENS || (n_slots & (n_slots - 1)) != 0 ||
	    n_slots < 2 * n || !bpe_fits(h, le64toh(h->slots), n_slots, 16) ||
	    !bpe_fits(h, le64toh(h->offsets), n + 1, 4) ||
	    !bpe_fits(h, le64toh(h->pairs), 65536, 4) ||
	    !bpe_fits(h, le64toh(h->singles), 256, 4) ||
	    !bpe_fits(h, le64toh(h->bytes), 0, 1))
		return err_set(e, ERR_CORRUPT, "sections are out of place");
	if (strcmp(h->name, name) != 0)
		return err_set(
		    e, ERR_CORRUPT, "is for %s, not %s", h->name, name);
	return 0;
}

/* Ranks and lengths lie within bounds, and free slots end every search. */
static bool
bpe_check_body(const struct bpe_table *t, uint64_t n_bytes)
{
	uint32_t i, rank, used = 0;

	if (le32toh(t->offsets[0]) != 0 ||
	    le32toh(t->offsets[t->n_tokens]) > n_bytes)
		return false;
	for (i = 0; i < t->n_tokens; i++) {
		if (le32toh(t->offsets[i]) >= le32toh(t->offsets[i + 1]) ||
		    le32toh(t->offsets[i + 1]) - le32toh(t->offsets[i]) >
			t->max_len)
			return false;
	}
	for (i = 0; i <= t->mask; i++) {
		if (t->slots[i].len == 0)
			continue;
		rank = le32toh(t->slots[i].rank);
		if (rank >= t->n_tokens ||
		    le32toh(t->offsets[rank + 1]) - le32toh(t->offsets[rank]) !=
			le32toh(t->slots[i].len))
			return false;
		used++;
	}
	for (i = 0; i < 65536; i++) {
		if (le32toh(t->pairs[i]) >= t->n_tokens &&
		    t->pairs[i] != BPE_NONE)
			return false;
	}
	for (i = 0; i < 256; i++) {
		if (le32toh(t->singles[i]) >= t->n_tokens)
			return false;
	}
	return used <= t->n_tokens;
}

int
bpe_table_load(const void *p, size_t len, const char *name,
    struct bpe_table *ret, struct error *e)
{
	const struct bpe_header *h = p;
	const uint8_t *base = p;
	struct bpe_table t = {0};
	int rc;

	rc = bpe_check_header(h, len, name, e);
	if (rc != 0)
		return rc;
	t.slots = (const void *)(base + le64toh(h->slots));
	t.offsets = (const void *)(base + le64toh(h->offsets));
	t.pairs = (const void *)(base + le64toh(h->pairs));
	t.singles = (const void *)(base + le64toh(h->singles));
	t.bytes = base + le64toh(h->bytes);
	t.n_tokens = le32toh(h->n_tokens);
	t.mask = le32toh(h->n_slots) - 1;
	t.max_len = le32toh(h->max_len);
	if (!bpe_check_body(&t, len - le64toh(h->bytes)))
		return err_set(e, ERR_CORRUPT, "content out of bounds");
	*ret = t;
	return 0;
}

int
bpe_table_open(
    const char *path, const char *name, struct bpe_table *ret, struct error *e)
{
	struct stat st;
	void *map = MAP_FAILED;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
		    "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0) {
		rc = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < 1 ||
	    st.st_size > (off_t)BPE_FILE_MAX) {
		rc = err_set(e, ERR_CORRUPT, "%s: not a tokenizer table", path);
		goto out;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		rc = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
		goto out;
	}
	rc = bpe_table_load(map, (size_t)st.st_size, name, ret, e);
	if (rc != 0) {
		(void)err_wrap(e, "%s", path);
		goto out;
	}
	ret->map = map;
	ret->map_len = (size_t)st.st_size;
	map = MAP_FAILED;
out:
	if (map != MAP_FAILED)
		(void)munmap(map, (size_t)st.st_size);
	(void)close(fd);
	return rc;
}

void
bpe_table_close(struct bpe_table *t)
{
	union {
		const void *in;
		void *out;
	} map = {t->map};

	if (t->map != NULL)
		(void)munmap(map.out, t->map_len);
	memset(t, 0, sizeof(*t));
}
