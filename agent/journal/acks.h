/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file DIR/acks: watermark per (boot epoch, shard), lines of text with a
 * checksum line at the end. Losing it costs only repeated shipping, which the
 * control plane ignores; so a damaged file counts as an empty one.
 */
#ifndef AGENT_JOURNAL_ACKS_H
#define AGENT_JOURNAL_ACKS_H

#include "common/io.h"

struct acks;

struct acks *acks_load(struct io *io, const char *dir); /* NULL: no memory */
void acks_free(struct acks *a);
uint64_t acks_get(const struct acks *a, uint64_t epoch, uint32_t shard);
void acks_put(struct acks *a, uint64_t epoch, uint32_t shard, uint64_t mark);
void acks_drop(struct acks *a, uint64_t epoch, uint32_t shard);
int acks_save(const struct acks *a, struct io *io, const char *dir) MUST_CHECK;

#endif
