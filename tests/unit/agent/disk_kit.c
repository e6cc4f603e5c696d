/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/agent/disk_kit.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct kit dk;
struct disk disk;
static struct io real; /* beneath */

static int64_t
disk_free(struct io *io, const char *path)
{
	(void)io;
	disk.asked++;
	return strcmp(path, dk.dir) == 0 ? disk.room : 0;
}

static int
disk_open(struct io *io, const char *path, int flags, mode_t mode)
{
	int fd = real.open(io, path, flags, mode);

	disk.opened += fd >= 0;
	if (fd > 0 && disk.as_zero != NULL &&
	    str_ends(str_of(path), str_of(disk.as_zero))) {
		ck_assert_int_eq(dup2(fd, 0), 0);
		close(fd);
		fd = 0;
	}
	return fd;
}

static int
disk_close(struct io *io, int fd)
{
	disk.closed++;
	return real.close(io, fd);
}

static int
disk_fsync(struct io *io, int fd)
{
	disk.synced++;
	/* Meanwhile nobody removes it. */
	for (unsigned i = 0; dk.j != NULL && i < dk.n_shards; i++)
		for (struct segment *seg = dk.j->shards[i].stream.first;
		     seg != NULL; seg = seg->next)
			ck_assert(seg->fd != fd || seg->busy);
	return real.fsync(io, fd);
}

static int
disk_fsync_dir(struct io *io, const char *path)
{
	disk.dirs++;
	if (disk.fail_dirs > 0) {
		disk.fail_dirs--;
		return -EIO;
	}
	return real.fsync_dir(io, path);
}

static ssize_t
disk_write(struct io *io, int fd, const void *p, size_t n)
{
	disk.written++;
	return real.write(io, fd, p, n);
}

void
disk_watch(void)
{
	memset(&disk, 0, sizeof(disk));
	disk.room = (int64_t)1 << 40;
	real = dk.io.io;
	dk.io.io.free_bytes = disk_free;
	dk.io.io.open = disk_open;
	dk.io.io.close = disk_close;
	dk.io.io.fsync = disk_fsync;
	dk.io.io.fsync_dir = disk_fsync_dir;
	dk.io.io.write = disk_write;
}

void
disk_begin(void)
{
	kit_open_counted(&dk);
	disk_watch();
}

void
disk_end(void)
{
	kit_close(&dk);
}
