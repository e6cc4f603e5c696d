/* SPDX-License-Identifier: Apache-2.0 */
/* See sound.h. */
#include "agent/dialect/sound.h"

#include <string.h>

#define ID3_HEAD 10

static uint32_t
sound_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

/* An ID3v2 tag stands before the first frame. */
static void
sound_skip_tag(struct sound *s)
{
	const uint8_t *h = s->head;

	if (s->len != ID3_HEAD || memcmp(h, "ID3", 3) != 0 ||
	    ((h[6] | h[7] | h[8] | h[9]) & 0x80) != 0)
		return;
	s->skip = (uint64_t)h[6] << 21 | (uint64_t)h[7] << 14 |
		  (uint64_t)h[8] << 7 | h[9];
	if ((h[5] & 0x10) != 0) /* a footer */
		s->skip += ID3_HEAD;
	s->len = 0;
}

void
sound_add(struct sound *s, const char *p, size_t n)
{
	while (n > 0 && s->len < sizeof(s->head)) {
		size_t k = s->skip < n ? (size_t)s->skip : n;

		s->skip -= k;
		p += k;
		n -= k;
		if (n == 0)
			return;
		s->head[s->len++] = (uint8_t)*p++;
		n--;
		sound_skip_tag(s);
	}
}

/* A frame of layer III with a bit rate from the tables. */
static bool
sound_is_mpeg(const uint8_t *h)
{
	unsigned version = (h[1] >> 3) & 3, rate = h[2] >> 4;

	return h[0] == 0xff && (h[1] & 0xe0) == 0xe0 && version != 1 &&
	       ((h[1] >> 1) & 3) == 1 && rate != 0 && rate != 15 &&
	       ((h[2] >> 2) & 3) != 3;
}

/* RIFF with a format of samples of one size, not compressed. */
static bool
sound_is_pcm(const uint8_t *h)
{
	unsigned format = h[20] | (unsigned)h[21] << 8;
	unsigned frame = h[32] | (unsigned)h[33] << 8;

	return memcmp(h, "RIFF", 4) == 0 && memcmp(h + 8, "WAVEfmt ", 8) == 0 &&
	       (format == 1 || format == 3) &&
	       (uint64_t)sound_u32(h + 24) * frame >= SOUND_MIN_RATE;
}

bool
sound_is_bounded(const struct sound *s)
{
	return (s->len >= 4 && sound_is_mpeg(s->head)) ||
	       (s->len == sizeof(s->head) && sound_is_pcm(s->head));
}
