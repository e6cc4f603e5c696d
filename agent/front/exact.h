/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input's bound, closer: a prompt is reserved for at one token a byte of
 * its text, about four times too much. That is free to compute and does no
 * harm while plenty is left; near the end of a budget it would refuse what can
 * be paid for. Then the text is counted, where that is exact: a model with an
 * exact tokenizer (o200k, cl100k) behind a provider that bills by it.
 *
 *	input <= bytes of all strings - bytes of the texts
 *	       + tokens of the texts * (1 + 1/EXACT_MARGIN)
 *	       + EXACT_PER_TEXT * texts + raw bytes of the root's other members
 *	       + the framing of messages, as before
 *
 * and never more than the bound by bytes. Texts are what the provider
 * tokenizes as it stands: content of messages, instructions, prompts. Names,
 * roles, calls, definitions of tools and schemas keep one token a byte, and
 * what the provider renders them to (braces, numbers) is bounded by their raw
 * bytes. The margin covers texts that are joined, the constant their seams.
 * Requests with media, kept context or tools of the provider are not counted:
 * their bound does not come from their bytes.
 */
#ifndef AGENT_FRONT_EXACT_H
#define AGENT_FRONT_EXACT_H

#include "agent/front/request.h"

#define EXACT_MARGIN	8
#define EXACT_PER_TEXT	8
#define EXACT_NEAR_FREE 4 /* near exhaustion: so many requests are left */

/* What the attempt reserves once its text is counted. */
struct exact {
	struct tokens worst;
	struct price price;
	int64_t amount; /* nano-USD, less than before */
};

/* Is the budget that is short near its end, by the control plane's last word?
 * Otherwise rights come sooner than a count. */
bool exact_is_near(const struct request *r, const struct budget_cell *cell);
/* Count the text of the attempt. False: it may not be, was already, would be
 * of no use for what is left of cell, or the turn's share of counting is used
 * up (then it may be asked again). Worker of r; changes nothing but
 * r->counted and the share. */
bool exact_count(
    struct request *r, const struct budget_cell *cell, struct exact *ret);
/* The attempt reserves that from now on. Nothing is reserved at this time. */
void exact_apply(struct request *r, const struct exact *x);

#endif
