/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the journal, group commit, free space. See store.h.
 */
#include "agent/journal/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/metrics.h"

#define PENDING_MAX    ((size_t)1 << 30)
#define IDLE_WAIT_MS   100
#define SPACE_CHECK_NS (100 * NS_PER_MS)
#define BALLAST_CHUNK  ((int64_t)1 << 20)

void
journal_count(struct journal *j, size_t metric, int64_t v)
{
	if (j->opt.metrics != NULL)
		metric_inc(j->opt.metrics, metric, v);
}

void
journal_count_error(struct journal *j, const char *op)
{
	struct str v = str_of(op);

	if (j->opt.metrics != NULL)
		metric_add(
		    metric_series(j->opt.metrics, AM_JOURNAL_ERRORS, &v, 1), 1);
}

int
segment_create(struct journal *j, struct journal_stream *s, uint64_t n,
    uint64_t first_seq, uint32_t flags, struct segment **ret)
{
	struct io *io = j->opt.io;
	struct segment *seg = calloc(1, sizeof(*seg));
	uint8_t head[SEGMENT_HEADER];
	char path[PATH_MAX];
	size_t done;

	if (seg == NULL)
		return ERR_NOMEM;
	seg->head = (struct segment_head){.epoch = s->epoch,
	    .shard = s->shard,
	    .n = n,
	    .first_seq = first_seq,
	    .flags = flags};
	memcpy(seg->head.agent_id, j->opt.agent_id, 16);
	if (segment_path(j->dir, &seg->head, path) != 0) {
		free(seg);
		return ERR_TOO_LARGE;
	}
	/* O_EXCL: a segment is never written by two. */
	seg->fd = io->open(
	    io, path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (seg->fd < 0) {
		int rc = seg->fd == -EEXIST ? ERR_EXISTS : ERR_IO;

		journal_count_error(j, "open");
		free(seg);
		return rc;
	}
	segment_head_encode(head, &seg->head);
	if (io_write_all(io, seg->fd, head, sizeof(head), &done) != 0) {
		journal_count_error(j, "write");
		io->close(io, seg->fd);
		io->unlink(io, path);
		free(seg);
		return ERR_IO;
	}
	seg->created = true;
	atomic_store(&seg->flushed, SEGMENT_HEADER);
	*ret = seg;
	return 0;
}

/* ---- free space --------------------------------------------------------- */

static int
ballast_path(const struct journal *j, char *dst)
{
	int n = snprintf(dst, PATH_MAX, "%s/ballast", j->dir);

	return (size_t)n < PATH_MAX ? 0 : ERR_TOO_LARGE;
}

void
journal_drop_ballast(struct journal *j)
{
	char path[PATH_MAX];

	if (!atomic_exchange(&j->ballast, false))
		return;
	if (ballast_path(j, path) == 0)
		(void)j->opt.io->unlink(j->opt.io, path);
}

static int
journal_make_ballast(struct journal *j)
{
	struct io *io = j->opt.io;
	char path[PATH_MAX];
	char *zero;
	int64_t left = j->opt.reserve, was;
	int fd, rc;
	size_t done;

	rc = ballast_path(j, path);
	if (rc != 0)
		return rc;
	zero = calloc(1, (size_t)BALLAST_CHUNK);
	if (zero == NULL)
		return ERR_NOMEM;
	fd = io->open(io, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	rc = fd < 0 ? fd : 0;
	was = rc == 0 ? io->size(io, fd) : 0;
	if (was > left) /* of a run with a larger reserve */
		rc = io->ftruncate(io, fd, left);
	if (was >= left)
		left = 0;
	while (rc == 0 && left > 0) {
		int64_t n = left > BALLAST_CHUNK ? BALLAST_CHUNK : left;

		rc = io_write_all(io, fd, zero, (size_t)n, &done);
		left -= n;
	}
	if (fd >= 0)
		io->close(io, fd);
	free(zero);
	atomic_store(&j->ballast, true);
	if (rc != 0)
		journal_drop_ballast(j);
	return rc == 0 ? 0 : ERR_IO;
}

void
journal_check_space(struct journal *j)
{
	int64_t room = j->opt.io->free_bytes(j->opt.io, j->dir);

	if (room < 0)
		return;
	if (atomic_load(&j->ballast)) {
		/* The ballast is not counted as free: it is room to come. */
		atomic_store(&j->full, room < j->opt.reserve / 8);
		return;
	}
	if (room >= j->opt.reserve + j->opt.reserve / 4 &&
	    journal_make_ballast(j) == 0)
		atomic_store(&j->full, false);
	else
		atomic_store(&j->full, true);
}

/* ---- group commit ------------------------------------------------------- */

/* The segment may lose what is not durable, so its worker repeats that in a new
 * segment. Later segments hold what comes after it and are repeated too, for
 * the order; nothing of them was shipped, for the shipper is not past `bad`. */
static void
stream_poison(struct journal_stream *s, struct segment *bad)
{
	pthread_mutex_lock(&s->lock);
	for (struct segment *seg = bad->next; seg != NULL; seg = seg->next) {
		atomic_store(&seg->synced, 0);
		atomic_store(&seg->poisoned, true);
	}
	atomic_store(&bad->poisoned, true);
	pthread_mutex_unlock(&s->lock);
}

static void
journal_sync_segment(
    struct journal *j, struct journal_stream *s, struct segment *seg)
{
	struct io *io = j->opt.io;
	uint64_t to = atomic_load_explicit(&seg->flushed, memory_order_acquire);
	int rc;

	rc = io->fsync(io, seg->fd);
	if (rc == 0 && seg->created) {
		rc = io->fsync_dir(io, j->dir);
		seg->created = rc != 0;
	}
	if (rc != 0) {
		/* The kernel may have dropped the pages: never ask again. */
		journal_count_error(j, "fsync");
		stream_poison(s, seg);
		return;
	}
	journal_count(j, AM_JOURNAL_FSYNCS, 1);
	atomic_store_explicit(&seg->synced, to, memory_order_release);
}

/* Nobody writes to it, reads it through its descriptor or syncs it any more:
 * a long backlog must not hold a descriptor for each segment. */
static void
segment_rest(struct segment *seg, struct io *io)
{
	/* sealed first: what was flushed before is seen with it */
	if (seg->fd < 0 || seg->busy || !atomic_load(&seg->sealed) ||
	    atomic_load(&seg->flushed) != atomic_load(&seg->synced))
		return;
	io->close(io, seg->fd);
	seg->fd = -1;
}

/* The first segment with something to sync, marked busy so that the shipper
 * leaves it alone. */
static struct segment *
stream_take_dirty(struct journal_stream *s, struct io *io)
{
	struct segment *seg;

	pthread_mutex_lock(&s->lock);
	seg = s->first;
	while (seg != NULL &&
	       (atomic_load(&seg->poisoned) ||
		   atomic_load(&seg->flushed) == atomic_load(&seg->synced))) {
		if (!atomic_load(&seg->poisoned))
			segment_rest(seg, io);
		seg = seg->next;
	}
	if (seg != NULL)
		seg->busy = true;
	pthread_mutex_unlock(&s->lock);
	return seg;
}

static void
stream_put(struct journal_stream *s, struct segment *seg)
{
	pthread_mutex_lock(&s->lock);
	seg->busy = false;
	pthread_mutex_unlock(&s->lock);
}

/* Did no sync of what is still there fail? What a poisoned segment lost is
 * repeated in a later one, which may not be in the list yet. */
static bool
stream_is_sound(struct journal_stream *s)
{
	bool sound = true;

	pthread_mutex_lock(&s->lock);
	for (const struct segment *seg = s->first; seg != NULL; seg = seg->next)
		sound = sound && !atomic_load(&seg->poisoned);
	pthread_mutex_unlock(&s->lock);
	return sound;
}

/* Make all that the shard wrote so far durable. */
static bool
journal_sync_shard(struct journal *j, struct journal_shard *shard)
{
	/* Read first: what is written meanwhile may not be synced. */
	uint64_t lowers =
	    atomic_load_explicit(&shard->lowers_flushed, memory_order_acquire);
	struct journal_stream *s = &shard->stream;
	struct segment *seg;
	bool synced = false;

	while ((seg = stream_take_dirty(s, j->opt.io)) != NULL) {
		journal_sync_segment(j, s, seg);
		stream_put(s, seg);
		synced = true;
	}
	if (lowers != atomic_load(&shard->lowers_durable) && stream_is_sound(s))
		atomic_store_explicit(
		    &shard->lowers_durable, lowers, memory_order_release);
	return synced;
}

void
journal_sync_turn(struct journal *j)
{
	int64_t now = clock_mono(j->opt.clock);
	bool synced = false;

	if (atomic_exchange(&j->dirty, false)) {
		for (unsigned i = 0; i < j->n_shards; i++)
			if (journal_sync_shard(j, &j->shards[i]))
				synced = true;
	}
	if (synced && j->on_synced != NULL)
		j->on_synced(j->on_synced_ctx);
	if (now >= j->next_space_check) {
		journal_check_space(j);
		j->next_space_check = now + SPACE_CHECK_NS;
	}
}

static void *
journal_thread(void *arg)
{
	struct journal *j = arg;

	pthread_setname_np(pthread_self(), "hg-journal");
	while (!atomic_load(&j->stop)) {
		struct pollfd p = {j->wake_fd, POLLIN, 0};
		uint64_t v;

		journal_sync_turn(j);
		if (atomic_load(&j->dirty)) {
			(void)poll(NULL, 0, (int)j->opt.group_commit_ms);
			continue;
		}
		atomic_store_explicit(&j->sleeping, true, memory_order_seq_cst);
		if (!atomic_load_explicit(&j->dirty, memory_order_seq_cst))
			(void)poll(&p, 1, IDLE_WAIT_MS);
		atomic_store(&j->sleeping, false);
		if (read(j->wake_fd, &v, sizeof(v)) == (ssize_t)sizeof(v))
			/* First of a group: let others join. */
			(void)poll(NULL, 0, (int)j->opt.group_commit_ms);
	}
	journal_sync_turn(j);
	return NULL;
}

/* Everything of this boot is on disk: a later power cut takes nothing. */
static void
journal_note_clean(struct journal *j)
{
	struct journal_stream *s;

	if (j->opt.boot_id == NULL)
		return;
	for (unsigned i = 0; i < j->n_shards; i++) {
		s = &j->shards[i].stream;
		for (struct segment *seg = s->first; seg != NULL;
		     seg = seg->next)
			if (atomic_load(&seg->poisoned) ||
			    atomic_load(&seg->synced) !=
				atomic_load(&seg->flushed))
				return;
	}
	machine_clean(&j->machine, j->opt.epoch);
	if (machine_save(&j->machine, j->opt.io, j->dir) != 0)
		journal_count_error(j, "machine");
}

int
journal_start(struct journal *j, struct error *e)
{
	if (pthread_create(&j->thread, NULL, journal_thread, j) != 0)
		return err_set(e, ERR_NOMEM, "cannot start the journal thread");
	j->started = true;
	return 0;
}

void
journal_stop(struct journal *j)
{
	const uint64_t one = 1;

	if (j == NULL || !j->started)
		return;
	atomic_store(&j->stop, true);
	if (write(j->wake_fd, &one, sizeof(one)) < 0)
		(void)0; /* it wakes by itself within IDLE_WAIT_MS */
	pthread_join(j->thread, NULL);
	j->started = false;
	journal_note_clean(j);
}

/* ---- open and close ------------------------------------------------------ */

static int
journal_open_shard(struct journal *j, unsigned i, struct error *e)
{
	struct journal_shard *s = &j->shards[i];
	int rc;

	s->j = j;
	stream_init(&s->stream, j->opt.epoch, i);
	intents_init(&s->open);
	buf_init(&s->usage, PENDING_MAX);
	buf_init(&s->intents, PENDING_MAX);
	s->next_seq = 1;
	s->next_n = 2;
	j->n_shards = i + 1;
	rc = segment_create(j, &s->stream, 1, 1, 0, &s->cur);
	if (rc != 0)
		return err_set(
		    e, rc, "cannot create a journal segment in %s", j->dir);
	stream_push(&s->stream, s->cur);
	return 0;
}

/* Note durably which old epochs may lack records, before anything of this
 * boot is written. */
static int
journal_note_machine(
    struct journal *j, struct journal_replay *found, struct error *e)
{
	struct machine was;
	uint64_t noted = 0;
	int rc;

	if (j->opt.boot_id == NULL)
		return 0;
	machine_load(&was, j->opt.io, j->dir);
	buf_init(&j->machine.text, MACHINE_FILE_MAX);
	machine_begin(&j->machine, j->opt.boot_id);
	for (struct journal_stream *s = j->old; s != NULL; s = s->next) {
		if (machine_may_lack(&was, j->opt.boot_id, s->epoch))
			s->may_lack = true;
		found->may_lack += s->may_lack;
		if (s->may_lack && s->epoch != noted)
			machine_lost(&j->machine, s->epoch);
		if (s->may_lack)
			noted = s->epoch;
	}
	machine_release(&was);
	rc = machine_save(&j->machine, j->opt.io, j->dir);
	j->opt.boot_id = ""; /* on; the caller's text may go */
	return rc == 0 ? 0 : err_set(e, rc, "cannot write %s/machine", j->dir);
}

int
journal_open(const struct journal_options *opt, struct journal **ret,
    struct journal_replay *found, struct error *e)
{
	struct journal *j = calloc(1, sizeof(*j));
	int rc = 0;

	MUST(opt->n_shards > 0 && opt->n_shards <= JOURNAL_MAX_SHARDS);
	memset(found, 0, sizeof(*found));
	if (j == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	j->opt = *opt;
	pthread_mutex_init(&j->old_lock, NULL);
	j->dir = str_dup(str_of(opt->dir));
	j->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (j->dir == NULL || j->wake_fd < 0)
		rc = err_set(e, ERR_NOMEM, "out of memory or descriptors");
	if (rc == 0)
		rc = journal_replay_dir(j, found, e);
	if (rc == 0)
		rc = journal_note_machine(j, found, e);
	for (unsigned i = 0; rc == 0 && i < opt->n_shards; i++)
		rc = journal_open_shard(j, i, e);
	if (rc == 0) {
		atomic_store(&j->dirty, true);
		journal_sync_turn(j);
		for (unsigned i = 0; i < j->n_shards; i++)
			if (atomic_load(&j->shards[i].cur->poisoned))
				rc = err_set(e, ERR_IO,
				    "cannot make %s durable", j->dir);
	}
	if (rc != 0) {
		journal_close(j);
		return rc;
	}
	*ret = j;
	return 0;
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	journal_stop(j);
	for (unsigned i = 0; i < j->n_shards; i++) {
		stream_release(&j->shards[i].stream, j->opt.io);
		intents_release(&j->shards[i].open);
		buf_release(&j->shards[i].usage);
		buf_release(&j->shards[i].intents);
	}
	while (j->old != NULL) {
		struct journal_stream *s = j->old;

		j->old = s->next;
		stream_release(s, j->opt.io);
		free(s);
	}
	if (j->wake_fd >= 0)
		close(j->wake_fd);
	machine_release(&j->machine);
	pthread_mutex_destroy(&j->old_lock);
	free(j->dir);
	free(j);
}

static void
stream_backlog(struct journal_stream *s, struct journal_backlog *ret)
{
	uint64_t last = atomic_load(&s->last_seq);
	uint64_t mark = atomic_load(&s->watermark);

	ret->records += last > mark ? last - mark : 0;
	pthread_mutex_lock(&s->lock);
	for (struct segment *seg = s->first; seg != NULL; seg = seg->next) {
		ret->bytes += atomic_load(&seg->flushed);
		ret->segments++;
	}
	pthread_mutex_unlock(&s->lock);
}

void
journal_backlog(struct journal *j, struct journal_backlog *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < j->n_shards; i++)
		stream_backlog(&j->shards[i].stream, ret);
	pthread_mutex_lock(&j->old_lock);
	for (struct journal_stream *s = j->old; s != NULL; s = s->next)
		stream_backlog(s, ret);
	pthread_mutex_unlock(&j->old_lock);
	ret->writable = !atomic_load(&j->full);
	for (unsigned i = 0; i < j->n_shards; i++)
		if (atomic_load(&j->shards[i].stuck))
			ret->writable = false;
}
