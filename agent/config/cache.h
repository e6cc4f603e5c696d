/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last configurations on disk, so that the agent starts with the control
 * plane away: DATA/bundle-<version>.enc, the newest CACHE_KEEP of them.
 *
 *   "HGBC1\n\0\0" | version u64 LE | nonce[24] | XChaCha20-Poly1305 of a
 *   packed snapshot hg.Bundle, associated data: the 16 bytes before the nonce
 *
 * The file is encrypted because it holds provider credentials, and
 * authenticated because nobody else vouches for it.
 */
#ifndef AGENT_CONFIG_CACHE_H
#define AGENT_CONFIG_CACHE_H

#include "agent/config/items.h"
#include "common/io.h"
#include "common/rng.h"

#define CACHE_KEEP	  3
#define DISK_KEY_LEN	  32
#define CACHE_VERSION_MAX 64 /* files looked at when starting */

/* The key: derived from the option's text when that is not "", else read from
 * DATA/disk.key, made there (mode 0600) when it does not exist. */
int disk_key_get(struct io *io, const char *data_dir, const char *option,
    struct rng *rng, uint8_t key[DISK_KEY_LEN], struct error *e) MUST_CHECK;

/* Write (fsync, rename) and drop all but the newest CACHE_KEEP. */
int cache_save(struct io *io, const char *data_dir,
    const uint8_t key[DISK_KEY_LEN], struct rng *rng,
    const struct item_state *s, struct error *e) MUST_CHECK;
/* The newest state with a version below `below` (UINT64_MAX = newest of all)
 * that can be read. Damaged files are skipped: *n_bad counts them.
 * ERR_NOT_FOUND. */
int cache_load(struct io *io, const char *data_dir,
    const uint8_t key[DISK_KEY_LEN], uint64_t below, struct item_state **ret,
    unsigned *n_bad) MUST_CHECK;

/* One file's bytes, for the fuzz target and tests. */
int cache_seal(const uint8_t key[DISK_KEY_LEN], struct rng *rng,
    const struct item_state *s, struct buf *out) MUST_CHECK;
int cache_open(const uint8_t key[DISK_KEY_LEN], struct str file,
    struct item_state **ret, struct error *e) MUST_CHECK;

#endif
