/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which earlier boot epochs may have lost their last records? A killed process
 * loses nothing that it wrote: the kernel still has it. A machine that lost
 * power loses what was not synced (the group-commit window). The two are told
 * apart by the kernel's boot id, kept in DIR/machine next to the segments:
 *
 *	boot ID		the machine that wrote last
 *	clean EPOCH	this epoch ended in order, with everything synced
 *	lost EPOCH	this one may lack records; kept while it has files
 *
 * The control plane frees the rest of a lease only when the journal proves
 * that it was not spent; an epoch that may lack records proves nothing.
 */
#ifndef AGENT_JOURNAL_MACHINE_H
#define AGENT_JOURNAL_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/io.h"

#define MACHINE_FILE_MAX 65536

struct machine {
	struct buf text; /* of the file, "\n" in front; empty when absent */
};

/* Read DIR/machine; an unreadable or damaged file counts as absent. */
void machine_load(struct machine *m, struct io *io, const char *dir);
void machine_release(struct machine *m);
/* May the epoch lack records, now that the machine is boot_id? */
bool machine_may_lack(
    const struct machine *m, const char *boot_id, uint64_t epoch);
/* Begin a file for this machine; then machine_lost() for every epoch; then
 * machine_save(), durable when it returns 0. */
void machine_begin(struct machine *m, const char *boot_id);
void machine_lost(struct machine *m, uint64_t epoch);
void machine_clean(struct machine *m, uint64_t epoch);
int machine_save(
    const struct machine *m, struct io *io, const char *dir) MUST_CHECK;

#endif
