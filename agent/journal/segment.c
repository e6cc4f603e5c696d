/* SPDX-License-Identifier: Apache-2.0 */
/* Segment files: header, names, reading. See segment.h. */
#include "agent/journal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/journal/crc32c.h"

#define READER_CHUNK ((size_t)256 << 10)

static const char segment_magic[8] = {'H', 'G', 'J', 'S', 'E', 'G', '1', '\n'};

void
segment_head_encode(uint8_t dst[SEGMENT_HEADER], const struct segment_head *h)
{
	memcpy(dst, segment_magic, 8);
	put_u32(dst + 8, SEGMENT_VERSION);
	put_u32(dst + 12, h->shard);
	put_u64(dst + 16, h->epoch);
	memcpy(dst + 24, h->agent_id, 16);
	put_u64(dst + 40, h->n);
	put_u64(dst + 48, h->first_seq);
	put_u32(dst + 56, h->flags);
	put_u32(dst + 60, crc32c(0, dst, 60));
}

int
segment_head_decode(const uint8_t *p, size_t n, struct segment_head *ret)
{
	if (n < SEGMENT_HEADER || memcmp(p, segment_magic, 8) != 0 ||
	    get_u32(p + 60) != crc32c(0, p, 60))
		return ERR_CORRUPT;
	if (get_u32(p + 8) < SEGMENT_VERSION_MIN ||
	    get_u32(p + 8) > SEGMENT_VERSION)
		return ERR_VERSION;
	ret->shard = get_u32(p + 12);
	ret->epoch = get_u64(p + 16);
	memcpy(ret->agent_id, p + 24, 16);
	ret->n = get_u64(p + 40);
	ret->first_seq = get_u64(p + 48);
	ret->flags = get_u32(p + 56);
	return ret->first_seq == 0 ? ERR_CORRUPT : 0;
}

int
segment_path(const char *dir, const struct segment_head *h, char *dst)
{
	int n = snprintf(dst, PATH_MAX,
	    "%s/%" PRIu64 "-%" PRIu32 "-%" PRIu64 ".seg", dir, h->epoch,
	    h->shard, h->n);

	return (size_t)n < PATH_MAX ? 0 : ERR_TOO_LARGE;
}

bool
segment_name_parse(const char *name, struct segment_head *ret)
{
	struct str s = str_of(name), epoch, shard;
	uint64_t v;

	if (!str_ends(s, STR(".seg")))
		return false;
	s.len -= 4;
	memset(ret, 0, sizeof(*ret));
	if (!str_cut(s, '-', &epoch, &s) || !str_cut(s, '-', &shard, &s) ||
	    str_to_u64(epoch, &ret->epoch) != 0 || str_to_u64(shard, &v) != 0 ||
	    v > UINT32_MAX || str_to_u64(s, &ret->n) != 0)
		return false;
	ret->shard = (uint32_t)v;
	return true;
}

int
segment_reader_open(
    struct segment_reader *r, struct io *io, const char *path, struct error *e)
{
	int64_t size;

	memset(r, 0, sizeof(*r));
	r->fd = io->open(io, path, O_RDONLY | O_CLOEXEC, 0);
	if (r->fd < 0)
		return err_set(e, r->fd == -ENOENT ? ERR_NOT_FOUND : ERR_IO,
		    "cannot open %s", path);
	r->io = io;
	size = io->size(io, r->fd);
	if (size < 0) { /* not "empty": that would forget what is in it */
		segment_reader_close(r);
		return err_set(e, ERR_IO, "cannot tell the size of %s", path);
	}
	r->limit = (uint64_t)size;
	r->cap = READER_CHUNK;
	r->buf = malloc(r->cap);
	if (r->buf == NULL) {
		segment_reader_close(r);
		return err_set(e, ERR_NOMEM, "no memory to read %s", path);
	}
	return 0;
}

void
segment_reader_close(struct segment_reader *r)
{
	if (r->io != NULL)
		r->io->close(r->io, r->fd);
	free(r->buf);
	memset(r, 0, sizeof(*r));
}

void
segment_reader_seek(struct segment_reader *r, uint64_t off)
{
	r->off = off;
	r->start = r->len = 0;
}

/* Have `want` unread bytes in the buffer if the limit allows. */
static int
reader_fill(struct segment_reader *r, size_t want)
{
	while (r->len < want && r->off + r->len < r->limit) {
		uint64_t at = r->off + r->len;
		size_t room;
		ssize_t n;

		if (r->start > 0 && r->start + want > r->cap) {
			memmove(r->buf, r->buf + r->start, r->len);
			r->start = 0;
		}
		room = r->cap - r->start - r->len;
		if (room > r->limit - at)
			room = (size_t)(r->limit - at);
		n = r->io->pread(
		    r->io, r->fd, r->buf + r->start + r->len, room, (off_t)at);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			break; /* the file is shorter than the limit */
		r->len += (size_t)n;
	}
	return 0;
}

int
segment_reader_head(struct segment_reader *r, struct segment_head *ret)
{
	int rc = reader_fill(r, SEGMENT_HEADER);

	if (rc == 0)
		rc = segment_head_decode(r->buf + r->start, r->len, ret);
	if (rc != 0)
		return rc;
	r->off += SEGMENT_HEADER;
	r->start += SEGMENT_HEADER;
	r->len -= SEGMENT_HEADER;
	return 0;
}

int
segment_reader_next(struct segment_reader *r, struct record *ret)
{
	size_t size = 0;
	int rc = reader_fill(r, RECORD_HEADER + RECORD_PAYLOAD_MAX);

	if (rc != 0)
		return rc;
	if (r->len == 0)
		return r->off >= r->limit ? ERR_END : ERR_CORRUPT;
	rc = record_parse(r->buf + r->start, r->len, ret, &size);
	if (rc != 0)
		return ERR_CORRUPT; /* also when more bytes would be needed */
	r->off += size;
	r->start += size;
	r->len -= size;
	return 0;
}

int
segment_reader_salvage(struct segment_reader *r)
{
	struct record rec;
	size_t size;
	int rc;

	for (;;) {
		rc = reader_fill(r, RECORD_HEADER + RECORD_PAYLOAD_MAX);
		if (rc != 0)
			return rc;
		if (r->len == 0)
			return ERR_END;
		r->off++;
		r->start++;
		r->len--;
		if (record_parse(r->buf + r->start, r->len, &rec, &size) == 0)
			return 0;
	}
}

int
io_write_all(struct io *io, int fd, const void *p, size_t n, size_t *done)
{
	*done = 0;
	while (*done < n) {
		ssize_t w =
		    io->write(io, fd, (const char *)p + *done, n - *done);

		if (w == -EINTR)
			continue;
		if (w < 0)
			return (int)w;
		if (w == 0)
			return -ENOSPC;
		*done += (size_t)w;
	}
	return 0;
}

void
stream_init(struct journal_stream *s, uint64_t epoch, uint32_t shard)
{
	memset(s, 0, sizeof(*s));
	s->epoch = epoch;
	s->shard = shard;
	pthread_mutex_init(&s->lock, NULL);
}

void
stream_release(struct journal_stream *s, struct io *io)
{
	struct segment *seg = s->first;

	while (seg != NULL) {
		struct segment *next = seg->next;

		if (seg->fd >= 0)
			io->close(io, seg->fd);
		free(seg);
		seg = next;
	}
	pthread_mutex_destroy(&s->lock);
}

void
stream_push_locked(struct journal_stream *s, struct segment *seg)
{
	seg->next = NULL;
	if (s->last != NULL)
		s->last->next = seg;
	else
		s->first = seg;
	s->last = seg;
}

void
stream_push(struct journal_stream *s, struct segment *seg)
{
	pthread_mutex_lock(&s->lock);
	stream_push_locked(s, seg);
	pthread_mutex_unlock(&s->lock);
}
