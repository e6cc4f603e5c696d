/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside admission: admit.c decides in order, admit_bound.c knows what an
 * attempt can cost at most. The attempt's deployment is chosen; worker of r.
 */
#ifndef AGENT_FRONT_ADMIT_H
#define AGENT_FRONT_ADMIT_H

#include "agent/front/request.h"

/* No deployment can take it (any more): the last provider's failure when there
 * was one, otherwise an error of ours. */
void admit_give_up(struct request *r, int code, const char *text);
/* Is one of the budgets that count the attempt a ceiling? */
bool admit_is_hard(const struct request *r);
/* A model that costs nothing needs no rights: no budget can be short of it.
 * Price and amount are known. */
bool admit_is_free(const struct request *r);

/* What the settled units do not tell before the answer: long documents count
 * for several, some rerankers read the query with each; what is heard becomes
 * text at no more than its own rate. */
void admit_worst(struct request *r);
/* A ceiling also needs a bound on what does not stand in the request: without
 * one it is refused, with one the worst case grows. The provider's own tools
 * are run in rounds, each of which reads the conversation again.
 * False: answered. */
bool admit_bound(struct request *r);
/* A ceiling needs a cap on the output: the request's or the model's. The price
 * is known. False: answered. */
bool admit_has_cap(struct request *r);
/* And, for a sound whose length its size does not tell, the model's declared
 * cap. The amount is known. False: answered. */
bool admit_sound(struct request *r);

#endif
