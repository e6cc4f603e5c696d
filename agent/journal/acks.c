/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledged watermarks on disk, see acks.h. */
#include "agent/journal/acks.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/journal/crc32c.h"

#define ACKS_FILE_MAX ((size_t)4 << 20)

struct ack {
	uint64_t epoch, mark;
	uint32_t shard;
};

struct acks {
	struct ack *v;
	size_t n, cap;
};

static struct ack *
acks_find(const struct acks *a, uint64_t epoch, uint32_t shard)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].epoch == epoch && a->v[i].shard == shard)
			return &a->v[i];
	return NULL;
}

static int
acks_parse_line(struct acks *a, struct str line)
{
	struct str epoch, shard;
	uint64_t e, s, m;

	if (!str_cut(line, ' ', &epoch, &line) ||
	    !str_cut(line, ' ', &shard, &line) || str_to_u64(epoch, &e) != 0 ||
	    str_to_u64(shard, &s) != 0 || s > UINT32_MAX ||
	    str_to_u64(line, &m) != 0)
		return ERR_CORRUPT;
	acks_put(a, e, (uint32_t)s, m);
	return 0;
}

static int
acks_parse(struct acks *a, struct str text)
{
	struct str body = text, line, rest;
	uint64_t want;

	if (text.len == 0 || text.p[text.len - 1] != '\n')
		return ERR_CORRUPT;
	body.len--;
	while (body.len > 0 && body.p[body.len - 1] != '\n')
		body.len--;
	line = str_make(text.p + body.len, text.len - body.len - 1);
	if (!str_starts(line, STR("crc ")))
		return ERR_CORRUPT;
	line = str_make(line.p + 4, line.len - 4);
	if (str_to_u64(line, &want) != 0 || want != crc32c(0, body.p, body.len))
		return ERR_CORRUPT;
	while (body.len > 0) {
		(void)str_cut(body, '\n', &line, &rest);
		body = rest;
		if (acks_parse_line(a, line) != 0)
			return ERR_CORRUPT;
	}
	return 0;
}

struct acks *
acks_load(struct io *io, const char *dir)
{
	struct acks *a = calloc(1, sizeof(*a));
	char path[PATH_MAX];
	struct buf b;
	int n;

	if (a == NULL)
		return NULL;
	buf_init(&b, ACKS_FILE_MAX);
	n = snprintf(path, sizeof(path), "%s/acks", dir);
	if (n > 0 && (size_t)n < sizeof(path) &&
	    io_read_file(io, path, &b, NULL) == 0 &&
	    acks_parse(a, buf_str(&b)) != 0)
		a->n = 0;
	buf_release(&b);
	return a;
}

void
acks_free(struct acks *a)
{
	if (a != NULL)
		free(a->v);
	free(a);
}

uint64_t
acks_get(const struct acks *a, uint64_t epoch, uint32_t shard)
{
	const struct ack *k = acks_find(a, epoch, shard);

	return k == NULL ? 0 : k->mark;
}

void
acks_put(struct acks *a, uint64_t epoch, uint32_t shard, uint64_t mark)
{
	struct ack *k = acks_find(a, epoch, shard);

	if (k == NULL && a->n == a->cap) {
		size_t cap = a->cap == 0 ? 16 : 2 * a->cap;
		struct ack *v = realloc(a->v, cap * sizeof(*v));

		if (v == NULL)
			return; /* shipped again after a restart */
		a->v = v;
		a->cap = cap;
	}
	if (k == NULL) {
		k = &a->v[a->n++];
		*k = (struct ack){.epoch = epoch, .shard = shard};
	}
	k->mark = mark > k->mark ? mark : k->mark;
}

void
acks_drop(struct acks *a, uint64_t epoch, uint32_t shard)
{
	struct ack *k = acks_find(a, epoch, shard);

	if (k != NULL)
		*k = a->v[--a->n];
}

int
acks_save(const struct acks *a, struct io *io, const char *dir)
{
	char path[PATH_MAX];
	struct buf b;
	int rc, n;

	buf_init(&b, ACKS_FILE_MAX);
	for (size_t i = 0; i < a->n; i++)
		(void)buf_addf(&b, "%" PRIu64 " %" PRIu32 " %" PRIu64 "\n",
		    a->v[i].epoch, a->v[i].shard, a->v[i].mark);
	(void)buf_addf(&b, "crc %" PRIu32 "\n", crc32c(0, b.data, b.len));
	rc = buf_error(&b);
	n = snprintf(path, sizeof(path), "%s/acks", dir);
	if (rc == 0 && (n < 0 || (size_t)n >= sizeof(path)))
		rc = ERR_TOO_LARGE;
	if (rc == 0)
		rc = io_write_file_atomic(io, path, b.data, b.len, 0600, NULL);
	buf_release(&b);
	return rc;
}
