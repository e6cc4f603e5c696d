/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of the journal: files <epoch>-<shard>-<n>.seg with a header, then
 * records. A stream is the row of segments of one (epoch, shard): the worker
 * appends to the last one, the sync thread makes written bytes durable, the
 * shipper reads durable bytes and removes segments from the front.
 *
 *   header   magic[8] | version u32 | shard u32 | epoch u64 | agent id[16] |
 *            n u64 | first_seq u64 | flags u32 | crc32c u32   (64 bytes)
 */
#ifndef AGENT_JOURNAL_SEGMENT_H
#define AGENT_JOURNAL_SEGMENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/journal/record.h"
#include "common/io.h"

#define SEGMENT_HEADER 64u
/* 2: there may be lower records. Version 1 is read as well; an agent that knows
 * 1 only does not start on 2, it would bill more than was held. */
#define SEGMENT_VERSION	    2u
#define SEGMENT_VERSION_MIN 1u
/* Replay wrote it from older, damaged segments: it replaces all with lower n
 * of its stream. */
#define SEGMENT_REWRITTEN 1u

struct segment_head {
	uint8_t agent_id[16];
	uint64_t epoch, n, first_seq;
	uint32_t shard, flags;
};

struct segment {
	struct segment *next;
	struct segment_head head;
	int fd;	      /* for appending and fsync; -1 = closed */
	bool busy;    /* the sync thread works on it (stream lock) */
	bool created; /* its folder entry is not durable yet (sync thread) */
	_Atomic uint64_t flushed;  /* bytes in the file, whole records */
	_Atomic uint64_t synced;   /* of them durable */
	_Atomic uint64_t last_seq; /* last usage record flushed */
	_Atomic bool sealed;	   /* nothing more is appended */
	_Atomic bool poisoned;	   /* fsync or truncate failed: leave it */
	bool rescued; /* poisoned, and repeated in a later one (stream lock) */
};

struct journal_stream {
	struct journal_stream *next;
	uint64_t epoch;
	uint32_t shard;
	bool old;      /* of an earlier boot: ends, is told so and goes */
	bool may_lack; /* and may lack records: power cut or damage */
	pthread_mutex_t lock; /* guards the list and busy */
	struct segment *first, *last;
	/* any thread */
	_Atomic uint64_t watermark; /* acknowledged by the control plane */
	_Atomic uint64_t last_seq;  /* written */
};

void segment_head_encode(
    uint8_t dst[SEGMENT_HEADER], const struct segment_head *h);
int segment_head_decode(
    const uint8_t *p, size_t n, struct segment_head *ret) MUST_CHECK;
/* "dir/<epoch>-<shard>-<n>.seg" into a buffer of PATH_MAX bytes;
 * ERR_TOO_LARGE. */
int segment_path(
    const char *dir, const struct segment_head *h, char *dst) MUST_CHECK;
/* Parse such a file name (without folder) into epoch, shard, n; false when it
 * is something else. */
bool segment_name_parse(const char *name, struct segment_head *ret);

/* Sequential reader of the records of one file up to a limit. */
struct segment_reader {
	struct io *io;
	int fd;
	uint64_t off;	/* of the next record in the file */
	uint64_t limit; /* bytes beyond are not looked at */
	uint8_t *buf;
	size_t cap, start, len; /* unread: buf[start .. start+len) */
};

/* Opens the file read-only, checks nothing; off is 0. ERR_NOT_FOUND, ERR_IO,
 * ERR_NOMEM. */
int segment_reader_open(struct segment_reader *r, struct io *io,
    const char *path, struct error *e) MUST_CHECK;
void segment_reader_close(struct segment_reader *r); /* zeroed is fine */
/* Read and check the header; the reader then stands at the first record. */
int segment_reader_head(
    struct segment_reader *r, struct segment_head *ret) MUST_CHECK;
/* Go to a file offset. */
void segment_reader_seek(struct segment_reader *r, uint64_t off);
/* Next record (valid until the next call). ERR_END at the limit on a record
 * boundary; ERR_CORRUPT when what follows is no whole valid record (off stays
 * there); ERR_IO. */
int segment_reader_next(
    struct segment_reader *r, struct record *ret) MUST_CHECK;
/* After ERR_CORRUPT: find the next valid record at any later offset and stand
 * there. ERR_END when there is none: the tail was torn. */
int segment_reader_salvage(struct segment_reader *r) MUST_CHECK;

/* Write all bytes, repeating after EINTR and short writes. 0 or a negative
 * errno; *done bytes were written. */
int io_write_all(
    struct io *io, int fd, const void *p, size_t n, size_t *done) MUST_CHECK;

void stream_init(struct journal_stream *s, uint64_t epoch, uint32_t shard);
/* Frees the segment structs and closes their files. */
void stream_release(struct journal_stream *s, struct io *io);
void stream_push(struct journal_stream *s, struct segment *seg);
/* The caller holds s->lock. */
void stream_push_locked(struct journal_stream *s, struct segment *seg);

#endif
