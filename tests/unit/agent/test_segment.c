/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments as bytes: what one version of the agent wrote is what another
 * reads, every byte that is wrong is seen, and reading finds each whole record
 * once, at its place.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/journal/crc32c.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct kit k;

static void
ck_words(const uint8_t *p, const int64_t *want, unsigned n)
{
	for (unsigned w = 0; w < n; w++)
		ck_assert_int_eq((int64_t)get_u64(p + 8 * w), want[w]);
}

/* ---- headers and names --------------------------------------------------- */

static const struct segment_head a_head = {.agent_id = "0123456789abcde",
    .epoch = 0x1112131415161718,
    .n = 0x2122232425262728,
    .first_seq = 0x3132333435363738,
    .shard = 0x41424344,
    .flags = 0x51525354};

static void
reseal(uint8_t b[SEGMENT_HEADER])
{
	put_u32(b + 60, crc32c(0, b, 60));
}

START_TEST(test_head)
{
	uint8_t b[SEGMENT_HEADER];
	struct segment_head h;

	segment_head_encode(b, &a_head);
	ck_assert_mem_eq(b, "HGJSEG1\n\2\0\0\0\x44\x43\x42\x41", 16);
	ck_words(b + 16, (const int64_t[]){0x1112131415161718}, 1);
	ck_assert_mem_eq(b + 24, "0123456789abcde", 16);
	ck_words(b + 40,
	    (const int64_t[]){0x2122232425262728, 0x3132333435363738}, 2);
	ck_assert_uint_eq(get_u32(b + 56), 0x51525354);
	memset(&h, 0, sizeof(h));
	ck_assert_int_eq(segment_head_decode(b, sizeof(b), &h), 0);
	ck_assert_mem_eq(&h, &a_head, sizeof(h));
	ck_assert_int_eq(
	    segment_head_decode(b, sizeof(b) - 1, &h), ERR_CORRUPT);
	for (unsigned at = 0; at < sizeof(b); at++) {
		b[at] ^= 1;
		ck_assert_int_eq(
		    segment_head_decode(b, sizeof(b), &h), ERR_CORRUPT);
		b[at] ^= 1;
	}
	for (unsigned v = 0; v < 5; v++) {
		put_u32(b + 8, v);
		reseal(b);
		ck_assert_int_eq(segment_head_decode(b, sizeof(b), &h),
		    v == 1 || v == 2 ? 0 : ERR_VERSION);
	}
	put_u32(b + 8, 2);
	b[0] = 'h'; /* something else, sealed */
	reseal(b);
	ck_assert_int_eq(segment_head_decode(b, sizeof(b), &h), ERR_CORRUPT);
	b[0] = 'H';
	put_u64(b + 48, 0); /* numbers begin at 1 */
	reseal(b);
	ck_assert_int_eq(segment_head_decode(b, sizeof(b), &h), ERR_CORRUPT);
}
END_TEST

START_TEST(test_names)
{
	static const char *const bad[] = {"1-2-3", ".seg", "1-2.seg",
	    "1-2-3-4.seg", "1-4294967296-3.seg", "x-2-3.seg", "1-x-3.seg",
	    "1-2-x.seg", "-1-2-3.seg", "1-2-.seg", "1--3.seg", "1-2-3.seg.tmp",
	    "12.seg", "1-2-3seg"};
	static char dir[PATH_MAX + 8];
	struct segment_head h;
	char path[PATH_MAX];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!segment_name_parse(bad[i], &h), "%s", bad[i]);
	ck_assert(segment_name_parse("7-4294967295-9.seg", &h));
	ck_assert_uint_eq(h.epoch, 7);
	ck_assert_uint_eq(h.shard, UINT32_MAX);
	ck_assert_uint_eq(h.n, 9);
	ck_assert_uint_eq(h.first_seq, 0);
	ck_assert_int_eq(segment_path("d", &h, path), 0);
	ck_assert_str_eq(path, "d/7-4294967295-9.seg");
	/* A name that fits to the last byte, and one that does not. */
	memset(dir, 'd', PATH_MAX - 1 - strlen("/7-4294967295-9.seg"));
	ck_assert_int_eq(segment_path(dir, &h, path), 0);
	ck_assert_uint_eq(strlen(path), PATH_MAX - 1);
	dir[strlen(dir)] = 'd';
	ck_assert_int_eq(segment_path(dir, &h, path), ERR_TOO_LARGE);
}
END_TEST

/* ---- reading ------------------------------------------------------------- */

#define MANY 4000

static struct {
	struct io io;
	struct segment_reader *r;
	uint64_t next;	/* where the last read ended */
	uint64_t bytes; /* read in all */
	unsigned calls, opened, closed;
	int fail; /* errno of the next call; 0 = none */
	bool once;
} disk;

static uint64_t at_of[MANY + 1]; /* of record n, and the end */
static char seg_path[PATH_MAX + 16];

/* Every byte is read once, into the buffer, and none beyond the limit. */
static ssize_t
disk_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	ssize_t got;

	(void)io;
	disk.calls++;
	if (disk.fail != 0) {
		int e = disk.fail;

		disk.fail = 0;
		return -e;
	}
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_le((uint64_t)off + n, disk.r->limit);
	ck_assert((uint8_t *)p >= disk.r->buf &&
		  (uint8_t *)p + n <= disk.r->buf + disk.r->cap);
	if (disk.once)
		ck_assert_uint_eq((uint64_t)off, disk.next);
	got = io_system()->pread(io_system(), fd, p, n, off);
	disk.next = (uint64_t)off + (uint64_t)(got > 0 ? got : 0);
	disk.bytes += (uint64_t)(got > 0 ? got : 0);
	return got;
}

static int
disk_open(struct io *io, const char *path, int flags, mode_t mode)
{
	(void)io;
	if (disk.fail != 0)
		return -disk.fail;
	disk.opened++;
	return io_system()->open(io_system(), path, flags, mode);
}

static int
disk_close(struct io *io, int fd)
{
	(void)io;
	disk.closed++;
	return io_system()->close(io_system(), fd);
}

/* A segment of MANY records, each third one a lower record. */
static void
write_segment(void)
{
	struct journal_usage u = {.cost = 1};
	uint8_t b[RECORD_USAGE_MAX];
	struct segment_head h = a_head;
	FILE *f;

	kit_open(&k);
	memset(&disk, 0, sizeof(disk));
	disk.io = *io_system();
	disk.io.pread = disk_pread;
	disk.io.open = disk_open;
	disk.io.close = disk_close;
	disk.once = true;
	(void)snprintf(seg_path, sizeof(seg_path), "%s/x.seg", k.dir);
	f = fopen(seg_path, "w");
	ck_assert_ptr_nonnull(f);
	segment_head_encode(b, &h);
	at_of[0] = fwrite(b, 1, SEGMENT_HEADER, f);
	for (unsigned n = 0; n < MANY; n++) {
		size_t size;

		kit_intent_of(&u.head, n);
		size = n % 3 == 2 ? record_encode_lower(b, &u.head)
				  : record_encode_usage(b, &u, n + 1);
		at_of[n + 1] = at_of[n] + fwrite(b, 1, size, f);
	}
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_uint_gt(at_of[MANY], (2 * 256 + 20) << 10);
}

static void
open_segment(struct segment_reader *r)
{
	struct segment_head h;

	disk.r = r;
	disk.next = disk.bytes = 0;
	disk.calls = 0;
	ck_assert_int_eq(segment_reader_open(r, &disk.io, seg_path, NULL), 0);
	ck_assert_uint_eq(r->limit, at_of[MANY]);
	ck_assert_uint_eq(r->off, 0);
	ck_assert_int_eq(segment_reader_head(r, &h), 0);
	ck_assert_mem_eq(&h, &a_head, sizeof(h));
	ck_assert_uint_eq(r->off, SEGMENT_HEADER);
}

static void
ck_next(struct segment_reader *r, unsigned n)
{
	struct record rec;

	ck_assert_uint_eq(r->off, at_of[n]);
	ck_assert_int_eq(segment_reader_next(r, &rec), 0);
	ck_assert_uint_eq(rec.seq, n % 3 == 2 ? 0 : n + 1);
	ck_assert_uint_eq(rec.type, n % 3 == 2 ? RECORD_LOWER : RECORD_USAGE);
	ck_assert_uint_eq(r->off, at_of[n + 1]);
}

START_TEST(test_reading)
{
	struct segment_reader r;
	struct record rec;

	write_segment();
	open_segment(&r);
	for (unsigned n = 0; n < MANY; n++)
		ck_next(&r, n);
	ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_END);
	ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_END);
	ck_assert_uint_eq(disk.bytes, at_of[MANY]);
	ck_assert_uint_le(disk.calls, 2 + at_of[MANY] / (250 << 10));
	disk.once = false;
	for (unsigned n = MANY; n-- > 0;) {
		segment_reader_seek(&r, at_of[n]);
		ck_next(&r, n);
		n -= n > 400 ? 400 : 0;
	}
	segment_reader_close(&r);
	segment_reader_close(&r);
	ck_assert_uint_eq(disk.opened, 1);
	ck_assert_uint_eq(disk.closed, 1);
	kit_close(&k);
}
END_TEST

/* Bytes beyond the limit do not exist (they may not be durable); when it
 * rises, reading goes on where it stood. */
START_TEST(test_limit)
{
	struct segment_reader r;
	struct record rec;

	write_segment();
	disk.r = &r;
	disk.next = SEGMENT_HEADER;
	ck_assert_int_eq(segment_reader_open(&r, &disk.io, seg_path, NULL), 0);
	segment_reader_seek(&r, SEGMENT_HEADER);
	for (unsigned n = 0; n < 40; n++) {
		r.limit = at_of[n];
		ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_END);
		r.limit = at_of[n] + 1;
		ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_CORRUPT);
		r.limit = at_of[n + 1] - 1;
		ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_CORRUPT);
		r.limit = at_of[n + 1];
		ck_next(&r, n);
	}
	/* A file that is shorter than was said has no end: it is cut. */
	ck_assert_int_eq(truncate(seg_path, (off_t)at_of[50]), 0);
	r.limit = at_of[MANY];
	for (unsigned n = 40; n < 50; n++)
		ck_next(&r, n);
	ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_CORRUPT);
	ck_assert_int_eq(segment_reader_salvage(&r), ERR_END);
	segment_reader_close(&r);
	kit_close(&k);
}
END_TEST

START_TEST(test_reading_fails)
{
	struct segment_reader r;
	struct segment_head h;
	struct record rec;

	write_segment();
	open_segment(&r);
	segment_reader_seek(&r, at_of[5]);
	disk.once = false;
	disk.fail = EINTR;
	ck_next(&r, 5);
	segment_reader_seek(&r, at_of[5]);
	disk.fail = EIO;
	ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_IO);
	ck_next(&r, 5);
	segment_reader_seek(&r, at_of[5]);
	disk.fail = EIO;
	ck_assert_int_eq(segment_reader_salvage(&r), ERR_IO);
	segment_reader_seek(&r, 0);
	disk.fail = EIO;
	ck_assert_int_eq(segment_reader_head(&r, &h), ERR_IO);
	segment_reader_seek(&r, 1);
	ck_assert_int_eq(segment_reader_head(&r, &h), ERR_CORRUPT);
	ck_assert_uint_eq(r.off, 1);
	segment_reader_close(&r);
	kit_close(&k);
}
END_TEST

static int64_t
size_unknown(struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return -EIO;
}

static int
open_as_zero(struct io *io, const char *path, int flags, mode_t mode)
{
	int fd = io_system()->open(io_system(), path, flags, mode);

	(void)io;
	ck_assert_int_eq(dup2(fd, 0), 0);
	close(fd);
	return 0;
}

/* Descriptor 0 is one like any other. */
START_TEST(test_reading_zero)
{
	struct segment_reader r;
	int zero = dup(0);

	write_segment();
	disk.io.open = open_as_zero;
	open_segment(&r);
	ck_next(&r, 0);
	segment_reader_close(&r);
	ck_assert_uint_eq(disk.closed, 1);
	ck_assert_int_lt(fcntl(0, F_GETFD), 0);
	ck_assert_int_eq(dup2(zero, 0), 0);
	close(zero);
	kit_close(&k);
}
END_TEST

/* What cannot be opened is told apart from what is not there; nothing stays
 * open. */
START_TEST(test_opening_fails)
{
	struct segment_reader r;
	int rc;

	write_segment();
	disk.fail = ENOENT;
	ck_assert_int_eq(
	    segment_reader_open(&r, &disk.io, seg_path, NULL), ERR_NOT_FOUND);
	segment_reader_close(&r);
	disk.fail = EACCES;
	ck_assert_int_eq(
	    segment_reader_open(&r, &disk.io, seg_path, NULL), ERR_IO);
	segment_reader_close(&r);
	ck_assert_uint_eq(disk.closed, 0);
	disk.fail = 0;
	oom_arm(1, NULL);
	rc = segment_reader_open(&r, &disk.io, seg_path, NULL);
	ck_assert(oom_hit());
	ck_assert_int_eq(rc, ERR_NOMEM);
	disk.io.size = size_unknown;
	ck_assert_int_eq(
	    segment_reader_open(&r, &disk.io, seg_path, NULL), ERR_IO);
	segment_reader_close(&r);
	ck_assert_uint_eq(disk.opened, 2);
	ck_assert_uint_eq(disk.closed, 2);
	/* Empty is not unknown. */
	disk.io.size = io_system()->size;
	ck_assert_int_eq(truncate(seg_path, 0), 0);
	ck_assert_int_eq(segment_reader_open(&r, &disk.io, seg_path, NULL), 0);
	segment_reader_close(&r);
	kit_close(&k);
}
END_TEST

static void
spoil(uint64_t from, uint64_t to)
{
	int fd = open(seg_path, O_WRONLY);

	ck_assert_int_ge(fd, 0);
	for (; from < to; from++)
		ck_assert_int_eq(pwrite(fd, "\xee", 1, (off_t)from), 1);
	close(fd);
}

/* Behind damage of any kind the next whole record is found, also the shortest
 * as the last of the file; behind the last one there is none. */
START_TEST(test_salvage)
{
	static const struct {
		unsigned from, to;
	} bad[] = {{3, 4}, {10, 13}, {1200, 1201}, {MANY - 5, MANY - 2}};
	struct segment_reader r;
	struct record rec;

	write_segment();
	ck_assert_int_eq(truncate(seg_path, (off_t)at_of[MANY - 1]), 0);
	at_of[MANY] = at_of[MANY - 1];
	for (unsigned i = 0; i < 4; i++)
		spoil(at_of[bad[i].from] + 5, at_of[bad[i].to] - 3);
	open_segment(&r);
	for (unsigned n = 0, i = 0; n < MANY - 1; n++) {
		if (i < 4 && n == bad[i].from) {
			ck_assert_int_eq(
			    segment_reader_next(&r, &rec), ERR_CORRUPT);
			ck_assert_uint_eq(r.off, at_of[n]);
			ck_assert_int_eq(segment_reader_salvage(&r), 0);
			n = bad[i++].to;
		}
		ck_next(&r, n);
	}
	ck_assert_uint_eq((MANY - 2) % 3, 2); /* the last is a lower one */
	ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_END);
	ck_assert_uint_eq(disk.bytes, at_of[MANY]);
	segment_reader_close(&r);
	spoil(at_of[MANY - 2], at_of[MANY - 2] + 1);
	open_segment(&r);
	disk.once = false;
	segment_reader_seek(&r, at_of[MANY - 2]);
	ck_assert_int_eq(segment_reader_next(&r, &rec), ERR_CORRUPT);
	ck_assert_int_eq(segment_reader_salvage(&r), ERR_END);
	segment_reader_close(&r);
	kit_close(&k);
}
END_TEST

/* ---- writing ------------------------------------------------------------- */

static ssize_t answers[8];
static unsigned n_answers;
static const char *written[8];
static size_t asked[8];

static ssize_t
scripted_write(struct io *io, int fd, const void *p, size_t n)
{
	(void)io;
	ck_assert_int_eq(fd, 77);
	written[n_answers] = p;
	asked[n_answers] = n;
	ck_assert(answers[n_answers] <= (ssize_t)n);
	return answers[n_answers++];
}

/* All bytes, each once, whatever the kernel takes at a time. */
START_TEST(test_write_all)
{
	static const char text[] = "0123456789";
	struct io io = *io_system();
	size_t done = 99;

	io.write = scripted_write;
	memcpy(answers, (ssize_t[]){4, -EINTR, 1, 5, -EIO, 0, 3},
	    7 * sizeof(ssize_t));
	n_answers = 0;
	ck_assert_int_eq(io_write_all(&io, 77, text, 10, &done), 0);
	ck_assert_uint_eq(done, 10);
	ck_assert_uint_eq(n_answers, 4);
	ck_assert_ptr_eq(written[0], text);
	ck_assert_ptr_eq(written[1], text + 4);
	ck_assert_ptr_eq(written[2], text + 4);
	ck_assert_ptr_eq(written[3], text + 5);
	ck_assert_mem_eq(
	    asked, ((size_t[]){10, 6, 6, 5}), 4 * sizeof(asked[0]));
	ck_assert_int_eq(io_write_all(&io, 77, text, 10, &done), -EIO);
	ck_assert_uint_eq(done, 0);
	ck_assert_int_eq(io_write_all(&io, 77, text, 10, &done), -ENOSPC);
	ck_assert_int_eq(io_write_all(&io, 77, text, 3, &done), 0);
	ck_assert_uint_eq(done, 3);
	ck_assert_uint_eq(n_answers, 7);
	ck_assert_int_eq(io_write_all(&io, 77, text, 0, &done), 0);
	ck_assert_uint_eq(n_answers, 7);
}
END_TEST

/* A stream keeps its segments in order and closes what is open of them. */
START_TEST(test_stream)
{
	struct journal_stream s;
	struct segment *seg[3];
	struct io io = *io_system();

	memset(&disk, 0, sizeof(disk));
	io.close = disk_close;
	memset(&s, 0xff, sizeof(s));
	stream_init(&s, 5, 6);
	ck_assert_uint_eq(s.epoch, 5);
	ck_assert_uint_eq(s.shard, 6);
	ck_assert_uint_eq(atomic_load(&s.watermark), 0);
	for (unsigned i = 0; i < 3; i++) {
		seg[i] = calloc(1, sizeof(*seg[i]));
		ck_assert_ptr_nonnull(seg[i]);
		seg[i]->next = seg[0];
		seg[i]->fd = i == 1 ? -1 : dup(0);
		stream_push(&s, seg[i]);
		ck_assert_ptr_eq(s.first, seg[0]);
		ck_assert_ptr_eq(s.last, seg[i]);
		ck_assert_ptr_null(seg[i]->next);
	}
	ck_assert_ptr_eq(seg[0]->next, seg[1]);
	ck_assert_ptr_eq(seg[1]->next, seg[2]);
	stream_release(&s, &io);
	ck_assert_uint_eq(disk.closed, 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/segment");

	UNIT_ADD(s, test_head);
	UNIT_ADD(s, test_names);
	UNIT_ADD(s, test_reading);
	UNIT_ADD(s, test_limit);
	UNIT_ADD(s, test_reading_fails);
	UNIT_ADD(s, test_reading_zero);
	UNIT_ADD(s, test_opening_fails);
	UNIT_ADD(s, test_salvage);
	UNIT_ADD(s, test_write_all);
	UNIT_ADD(s, test_stream);
	return unit_run(s);
}
