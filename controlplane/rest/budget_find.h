/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which budget a request is about: an item, or one value's cell of a budget
 * for each value.
 */
#ifndef CONTROLPLANE_REST_BUDGET_FIND_H
#define CONTROLPLANE_REST_BUDGET_FIND_H

#include "controlplane/rest/call.h"

struct budget_found {
	uint64_t uid;  /* of the item */
	uint64_t cell; /* whose money it is: the item's uid or the value's; 0:
			* the budget is for each value and none was named */
	bool each;     /* it is for each value */
	json_t *spec;  /* owned by the caller, also on failure */
	struct str value; /* as named; .p NULL = none */
};
/* The budget of the path, and the value if one is named (.p not NULL).
 * ERR_NOT_FOUND: no such budget, or it never counted the value; ERR_INVALID
 * naming `field`: a value of a budget that all requests share. */
int budget_find(struct rest_call *c, struct str value, const char *field,
    struct budget_found *b) MUST_CHECK;
/* The same, and it must be clear whose money it is. */
int budget_find_one(struct rest_call *c, struct str value, const char *field,
    struct budget_found *b) MUST_CHECK;
/* Answer with what it has, of a budget for each value without one: with the
 * sums of all. */
int budget_answer(struct rest_call *c, struct str value) MUST_CHECK;

#endif
