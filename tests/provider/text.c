/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulated models say, and the hash behind their choices. */
#include "tests/provider/text.h"

#define TEXT_TOKENS 4096

static const char *const words[] = {" the", " a", " of", " to", " and", " in",
    " is", " it", " you", " that", " he", " was", " for", " on", " are",
    " with", " as", " his", " they", " be", " at", " one", " have", " this",
    " from", " or", " had", " by", " but", " some", " what", " there", " we",
    " can", " out", " other", " were", " all", " your", " when", " up", " use",
    " word", " how", " said", " an", " each", " she", " which", " do", " their",
    " time", " if", " will", " way", " about", " many", " then", " them",
    " would", " like", " so", " these", " her"};

static char text[TEXT_TOKENS * 8];
static uint32_t offsets[TEXT_TOKENS + 1];

uint64_t
text_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t
text_hash(struct str s, uint64_t seed)
{
	uint64_t h = seed ^ 0xcbf29ce484222325ULL;

	while (s.len >= 8) {
		uint64_t w;

		memcpy(&w, s.p, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
		s.p += 8;
		s.len -= 8;
	}
	for (; s.len > 0; s.p++, s.len--)
		h = (h ^ (unsigned char)*s.p) * 0x100000001b3ULL;
	return text_next(&h);
}

void
text_init(void)
{
	uint64_t state = 1;
	uint32_t at = 0;

	for (int i = 0; i < TEXT_TOKENS; i++) {
		const char *w = words[text_next(&state) % 64];
		size_t n = strlen(w);

		offsets[i] = at;
		memcpy(text + at, w, n);
		at += (uint32_t)n;
	}
	offsets[TEXT_TOKENS] = at;
}

void
text_add(struct buf *out, uint64_t seed, int64_t from, int64_t n)
{
	uint64_t at = (seed + (uint64_t)from) % TEXT_TOKENS;

	while (n > 0) {
		int64_t take = (int64_t)(TEXT_TOKENS - at);

		if (take > n)
			take = n;
		buf_add(out, text + offsets[at],
		    offsets[at + (uint64_t)take] - offsets[at]);
		n -= take;
		at = 0;
	}
}
