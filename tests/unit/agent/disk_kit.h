/* SPDX-License-Identifier: Apache-2.0 */
/* A journal with metrics on a disk that is watched: what it was asked for, and
 * the room and the failures that a test wants of it. */
#ifndef TESTS_UNIT_AGENT_DISK_KIT_H
#define TESTS_UNIT_AGENT_DISK_KIT_H

#include "tests/unit/agent/journal_kit.h"

/* What the disk says and does. */
struct disk {
	int64_t room; /* free_bytes */
	unsigned asked, opened, closed, synced, dirs, written;
	unsigned fail_dirs;  /* the next so many fsync_dir fail */
	const char *as_zero; /* a file of this name becomes descriptor 0 */
};
extern struct kit dk;
extern struct disk disk;

void disk_begin(void); /* folder, metrics, watched; no journal yet */
void disk_end(void);
/* All of disk is zero again, with room; a crash of dk stops the watching. Dies
 * when a file is made durable that somebody may remove meanwhile. */
void disk_watch(void);

#endif
