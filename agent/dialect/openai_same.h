/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of one stream are the same but for a string or two: the text of the
 * delta and, at OpenAI, the padding called obfuscation. A chunk that differs
 * from the one before in nothing else is valid JSON if these strings are, and
 * says the same apart from its text: it need not be read again.
 */
#ifndef AGENT_DIALECT_OPENAI_SAME_H
#define AGENT_DIALECT_OPENAI_SAME_H

#include "common/json.h"

#define OAI_SAME_STRINGS 2

/* What a chunk looked like. Zeroed but for text: nothing known. */
struct oai_same {
	struct buf text; /* the chunk without these strings, then the key */
	uint32_t end[OAI_SAME_STRINGS + 1]; /* of the pieces, in text */
	unsigned n;			    /* pieces; 0 = nothing known */
	unsigned delta;			    /* which string is the delta's */
	uint32_t key_len;		    /* of its name */
	uint32_t cut_from, cut_to; /* the usage member to be left out, of
				    * piece cut, in text; or both 0 */
	unsigned cut;
	unsigned misses; /* in a row */
};

/* A chunk that looks like the one before. */
struct oai_same_chunk {
	struct str key;	       /* of the delta's member */
	struct json text;      /* its value */
	const char *from, *to; /* to be left out; both NULL: nothing */
};

/* Uses no memory yet. */
void oai_same_init(struct oai_same *s);
void oai_same_release(struct oai_same *s);
/* Another stream begins; keeps memory. */
void oai_same_clear(struct oai_same *s);
/* Is data the same as the chunk before but for its strings? If not, that one
 * is forgotten. */
bool oai_same_match(
    struct oai_same *s, struct str data, struct oai_same_chunk *ret);
/* Remember a chunk that was read, if it is of the kind that repeats. usage:
 * its member of that name with all that has to be left out, or empty. */
void oai_same_learn(struct oai_same *s, struct str data, struct str usage);

#endif
