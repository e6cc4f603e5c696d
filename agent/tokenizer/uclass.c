/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two-stage table of character classes: most blocks of 128 characters equal
 * another one (Han, Hangul, unassigned), so that all fit into 256.
 */
#include "agent/tokenizer/uclass.h"

#include <pthread.h>
#include <string.h>

#include "common/err.h"

static struct uclass_table the_table;
static pthread_once_t the_once = PTHREAD_ONCE_INIT;

static void
uclass_make(void)
{
	struct uclass_table *t = &the_table;
	uint8_t block[UCLASS_BLOCK];
	size_t run = 0, i, j, n = 0;
	uint32_t cp = 0;

	for (i = 0; i < sizeof(t->block); i++) {
		for (j = 0; j < UCLASS_BLOCK; j++, cp++) {
			while (run + 1 < uclass_n_runs &&
			       uclass_runs[run + 1] >> 3 <= cp)
				run++;
			block[j] = uclass_runs[run] & 7;
		}
		/* From the newest: equal blocks are neighbours. */
		for (j = n; j > 0; j--) {
			if (memcmp(t->class_of[j - 1], block, sizeof(block)) ==
			    0)
				break;
		}
		if (j == 0) {
			MUST(n < 256);
			memcpy(t->class_of[n], block, sizeof(block));
			j = ++n;
		}
		t->block[i] = (uint8_t)(j - 1);
	}
}

const struct uclass_table *
uclass_table(void)
{
	(void)pthread_once(&the_once, uclass_make);
	return &the_table;
}
