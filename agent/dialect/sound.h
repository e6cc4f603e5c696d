/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a sound of so many bytes may be, by the beginning of its file. PCM
 * in RIFF says its rate; frames of MPEG layer III have 1000 bytes a second at
 * the least. Other formats have no bound: an hour of silence is a few
 * kilobytes of FLAC or Opus. Pure, fed bit by bit, any thread.
 */
#ifndef AGENT_DIALECT_SOUND_H
#define AGENT_DIALECT_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sound with fewer bytes a second has no bound that is worth reserving. */
#define SOUND_MIN_RATE 500

/* Zeroed memory has seen nothing. */
struct sound {
	uint8_t head[36];
	uint32_t len;
	uint64_t skip; /* bytes of a tag before the sound */
};

/* More of the file, from its beginning on. */
void sound_add(struct sound *s, const char *p, size_t n);
/* Are its bytes at least SOUND_MIN_RATE a second, whatever is heard? */
bool sound_is_bounded(const struct sound *s);

#endif
