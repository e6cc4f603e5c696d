/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large backlog: copies of a real usage record of an agent's journal, under
 * new request ids and the next numbers of its stream, in new segments.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/reliability/torture.h"

#define FILL_SEGMENT ((size_t)64 << 20)

struct fill {
	const char *dir;
	struct segment_head head; /* of the last segment of the stream */
	struct journal_usage usage;
	uint64_t last_seq;
	bool found;
};

/* Take the last usage record of a segment, when it is the newest so far. */
static void
fill_look(struct fill *f, const char *name)
{
	struct segment_reader in = {0};
	struct journal_usage u;
	struct segment_head h;
	struct record rec;
	char path[PATH_MAX];

	if (!segment_name_parse(name, &h) ||
	    snprintf(path, sizeof(path), "%s/%s", f->dir, name) < 0 ||
	    segment_reader_open(&in, io_system(), path, NULL) != 0)
		return;
	in.limit = UINT64_MAX;
	if (segment_reader_head(&in, &h) == 0)
		while (segment_reader_next(&in, &rec) == 0)
			if (rec.type == RECORD_USAGE &&
			    record_decode_usage(rec.payload, &u) == 0 &&
			    u.cost > 0) {
				f->usage = u;
				f->head = h;
				f->last_seq = rec.seq;
				f->found = true;
			}
	segment_reader_close(&in);
}

static int
fill_segment(struct fill *f, size_t bytes)
{
	struct rng *rng = rng_system();
	char path[PATH_MAX];
	uint8_t *p = malloc(bytes + RECORD_USAGE_MAX + SEGMENT_HEADER);
	size_t len = SEGMENT_HEADER;
	int fd, rc;

	if (p == NULL)
		return -1;
	f->head.n++;
	f->head.first_seq = f->last_seq + 1;
	segment_head_encode(p, &f->head);
	while (len < bytes) {
		rng->fill(rng, f->usage.head.request_id + 8, 8);
		len += record_encode_usage(p + len, &f->usage, ++f->last_seq);
	}
	if (segment_path(f->dir, &f->head, path) != 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	rc = fd >= 0 && write(fd, p, len) == (ssize_t)len && fsync(fd) == 0
		 ? 0
		 : -1;
	if (fd >= 0)
		close(fd);
	free(p);
	return rc;
}

int
torture_fill(const char *dir, int64_t bytes)
{
	struct fill f = {.dir = dir};
	struct dirent *ent;
	DIR *d = opendir(dir);
	uint64_t first;

	while (d != NULL && (ent = readdir(d)) != NULL)
		fill_look(&f, ent->d_name);
	if (d != NULL)
		closedir(d);
	if (!f.found) {
		fprintf(stderr, "no usage record in %s\n", dir);
		return 1;
	}
	/* Late segments of the stream may hold no usage: go well past them. */
	f.head.n += 1000;
	first = f.last_seq;
	for (; bytes > 0; bytes -= (int64_t)FILL_SEGMENT)
		if (fill_segment(&f, bytes < (int64_t)FILL_SEGMENT
					 ? (size_t)bytes
					 : FILL_SEGMENT) != 0) {
			perror(dir);
			return 1;
		}
	printf("{\"records\":%" PRIu64 "}\n", f.last_seq - first);
	return 0;
}
