/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/agent/journal_kit.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/metrics.h"
#include "proto/headgate.pb-c.h"

void
kit_remove_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *ent;
	char path[PATH_MAX];

	if (d == NULL)
		return;
	while ((ent = readdir(d)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0)
			continue;
		ck_assert_int_lt(
		    snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name),
		    (int)sizeof(path));
		if (unlink(path) != 0)
			kit_remove_dir(path);
	}
	closedir(d);
	(void)rmdir(dir);
}

void
kit_copy_dir(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *ent;
	char path[PATH_MAX];
	struct buf b;

	ck_assert_ptr_nonnull(d);
	(void)mkdir(to, 0700);
	buf_init(&b, (size_t)256 << 20);
	while ((ent = readdir(d)) != NULL) {
		int fd;

		if (ent->d_type != DT_REG)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", from, ent->d_name);
		buf_clear(&b);
		ck_assert_int_eq(io_read_file(io_system(), path, &b, NULL), 0);
		(void)snprintf(path, sizeof(path), "%s/%s", to, ent->d_name);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, b.data, b.len), (ssize_t)b.len);
		close(fd);
	}
	buf_release(&b);
	closedir(d);
}

/* The system's files without waiting for the disk: a crash of the process is
 * what is tested, the power stays on. */
static int
quick_fsync(struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

static int
quick_fsync_dir(struct io *io, const char *path)
{
	(void)io;
	(void)path;
	return 0;
}

static struct io *
quick_io(void)
{
	static struct io io;

	io = *io_system();
	io.fsync = quick_fsync;
	io.fsync_dir = quick_fsync_dir;
	return &io;
}

void
kit_open(struct kit *k)
{
	memset(k, 0, sizeof(*k));
	(void)snprintf(k->dir, sizeof(k->dir), "%s/journal-XXXXXX",
	    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(k->dir));
	clock_fake_init(&k->clock, NS_PER_S, 1700000000 * NS_PER_S);
	rng_seeded_init(&k->rng, 7);
	io_fault_init(&k->io, quick_io());
	k->segment_size = (int64_t)1 << 20;
	k->n_shards = 1;
}

void
kit_open_counted(struct kit *k)
{
	kit_open(k);
	k->metrics = metric_set_new(agent_metric_defs, AM_COUNT);
	ck_assert_ptr_nonnull(k->metrics);
}

struct journal_shard *
kit_start(struct kit *k)
{
	kit_open_counted(k);
	ck_assert_int_eq(kit_boot(k), 0);
	return &k->j->shards[0];
}

void
kit_fault(struct kit *k, enum io_op op, int errnum)
{
	k->io.op = op;
	k->io.countdown = 1;
	k->io.errnum = errnum;
}

void
kit_crash(struct kit *k)
{
	shipper_free(k->s);
	journal_close(k->j);
	k->s = NULL;
	k->j = NULL;
	io_fault_init(&k->io, quick_io());
}

void
kit_close(struct kit *k)
{
	kit_crash(k);
	kit_remove_dir(k->dir);
	metric_set_free(k->metrics);
	k->metrics = NULL;
}

static int
kit_stream(struct kit_sink *s, uint64_t epoch, uint32_t shard)
{
	unsigned i;

	for (i = 0; i < s->n_streams; i++)
		if (s->streams[i].epoch == epoch &&
		    s->streams[i].shard == shard)
			return (int)i;
	ck_assert_uint_lt(i, 64);
	s->streams[i].epoch = epoch;
	s->streams[i].shard = shard;
	s->n_streams++;
	return (int)i;
}

static int
kit_send(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	struct kit_sink *s = ctx;
	int at = kit_stream(s, b->boot_epoch, b->shard);

	if (b->n_records > 0)
		ck_assert_uint_eq(b->first_seq, b->records[0]->seq);
	else /* only a stream's end is sent without records */
		ck_assert(b->last &&
			  (b->first_seq > 0 || s->streams[at].watermark == 0));
	s->batches++;
	s->n_records += (unsigned)b->n_records;
	if (b->n_records > s->largest)
		s->largest = (unsigned)b->n_records;
	for (size_t i = 0; i < b->n_records; i++) {
		const Hg__UsageRecord *r = b->records[i];

		if (r->seq <= s->streams[at].watermark)
			continue;
		if (r->seq != s->streams[at].watermark + 1)
			break; /* a gap is never acknowledged past */
		ck_assert_uint_lt(s->n_rows, KIT_MAX);
		memcpy(s->rows[s->n_rows].request_id, r->request_id.data, 16);
		s->rows[s->n_rows].attempt = r->attempt;
		s->rows[s->n_rows].cost = r->cost;
		s->rows[s->n_rows].source = (uint32_t)r->source;
		s->rows[s->n_rows].epoch = b->boot_epoch;
		s->rows[s->n_rows].seq = r->seq;
		s->n_rows++;
		s->streams[at].watermark = r->seq;
	}
	if (s->fail_next > 0) {
		s->fail_next--;
		return ERR_UNAVAILABLE;
	}
	if (b->last && b->may_lack && !s->streams[at].ended)
		s->n_lacking++;
	if (b->last)
		s->streams[at].ended = true;
	ack->boot_epoch = b->boot_epoch;
	ack->shard = b->shard;
	ack->watermark = s->streams[at].watermark;
	return 0;
}

int
kit_boot(struct kit *k)
{
	struct journal_options opt = {.dir = k->dir,
	    .epoch = ++k->epoch,
	    .n_shards = k->n_shards,
	    .segment_size = k->segment_size,
	    .reserve = 4096,
	    .boot_id = k->boot_id,
	    .io = k->threads ? quick_io() : &k->io.io,
	    .clock = &k->clock.clock,
	    .metrics = k->metrics};
	struct ship_link link = {kit_send, &k->sink};
	struct error e;
	int rc;

	memset(opt.agent_id, 0xa9, 16);
	rc = journal_open(&opt, &k->j, &k->found, &e);
	if (rc != 0)
		return rc;
	return shipper_new(k->j, &link, &k->rng.rng, &k->s, &e);
}

int
kit_ship(struct kit *k)
{
	int wait = 0;

	for (int i = 0; i < 1000 && wait >= 0; i++) {
		wait = shipper_turn(k->s);
		clock_fake_advance(&k->clock, NS_PER_S);
	}
	return wait;
}

void
kit_intent_of(struct journal_intent *i, unsigned n)
{
	memset(i, 0, sizeof(*i));
	memcpy(i->request_id, &n, sizeof(n));
	memset(i->request_id + 8, (int)(n * 31 + 7), 8);
	memcpy(i->request_id + 12, &n, sizeof(n));
	i->attempt = 1;
	i->started_at = 1700000000 * NS_PER_S + n;
	i->tenant_uid = 1;
	i->key_uid = 4;
	i->reserved = 1000 + n;
	i->worst.n[TC_INPUT] = 100;
	i->worst.n[TC_OUTPUT] = 200;
	i->n_charges = n % 3;
	for (unsigned c = 0; c < i->n_charges; c++)
		i->charges[c] = (struct journal_charge){c + 70, 1234};
}

int
kit_intent(struct kit *k, unsigned shard, unsigned n)
{
	struct journal_intent i;

	kit_intent_of(&i, n);
	return journal_intent(&k->j->shards[shard], &i);
}

void
kit_usage(struct kit *k, unsigned shard, unsigned n, int64_t cost)
{
	struct journal_usage u;

	memset(&u, 0, sizeof(u));
	kit_intent_of(&u.head, n);
	u.tokens.n[TC_INPUT] = 10;
	u.tokens.n[TC_OUTPUT] = n;
	u.cost = cost;
	u.source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
	u.http_status = 200;
	(void)snprintf(u.finish_reason, sizeof(u.finish_reason), "stop");
	journal_usage(&k->j->shards[shard], &u);
}

int
kit_flush(struct kit *k, unsigned shard)
{
	return journal_flush(&k->j->shards[shard]);
}

void
kit_request(struct kit *k, unsigned shard, unsigned n, int64_t cost)
{
	ck_assert_int_eq(kit_intent(k, shard, n), 0);
	ck_assert_int_eq(kit_flush(k, shard), 0);
	kit_usage(k, shard, n, cost);
	ck_assert_int_eq(kit_flush(k, shard), 0);
	journal_sync_turn(k->j);
}

int
kit_row(const struct kit *k, unsigned n)
{
	struct journal_intent i;
	int at = -1;

	kit_intent_of(&i, n);
	for (unsigned r = 0; r < k->sink.n_rows; r++) {
		if (memcmp(k->sink.rows[r].request_id, i.request_id, 16) != 0)
			continue;
		ck_assert_msg(at < 0, "request %u came twice", n);
		at = (int)r;
	}
	return at;
}

unsigned
kit_files(const struct kit *k, const char *suffix)
{
	DIR *d = opendir(k->dir);
	struct dirent *ent;
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while ((ent = readdir(d)) != NULL)
		if (str_ends(str_of(ent->d_name), str_of(suffix)))
			n++;
	closedir(d);
	return n;
}

int64_t
kit_size(const struct kit *k, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

unsigned
kit_threads(const char *name)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *ent;
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while ((ent = readdir(d)) != NULL) {
		char path[300], comm[32] = "";
		FILE *f;

		(void)snprintf(
		    path, sizeof(path), "/proc/self/task/%s/comm", ent->d_name);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		if (fgets(comm, sizeof(comm), f) != NULL)
			n += strncmp(comm, name, strlen(name)) == 0;
		(void)fclose(f);
	}
	closedir(d);
	return n;
}
