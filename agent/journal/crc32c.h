/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli), as in iSCSI and ext4: guards journal records against
 * torn writes and rot. Uses the processor's instruction where there is one.
 */
#ifndef AGENT_JOURNAL_CRC32C_H
#define AGENT_JOURNAL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to begin) over n bytes. Any thread. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The portable way, for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
