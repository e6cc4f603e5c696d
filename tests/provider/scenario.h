/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios: knobs for requests in order, from a file.
 *
 *   [{"match": {"path": "/v1/messages", "model": "sim-small",
 *               "header": "x-case: a", "body": "text"},
 *     "times": 2, "knobs": {"fault": "429"}}, ...]
 *
 * A request takes the first step that matches and has times left (1 unless
 * told; 0 = for ever). All members of match must fit ("path": a prefix,
 * "body", "header": a text that occurs); no match fits every request. Any
 * thread may call.
 */
#ifndef TESTS_PROVIDER_SCENARIO_H
#define TESTS_PROVIDER_SCENARIO_H

#include "tests/provider/http.h"
#include "tests/provider/knobs.h"

struct scenario;

struct scenario *scenario_new(void); /* empty; NULL without memory */
void scenario_free(struct scenario *s);
/* Replace the steps by those of a JSON text; on an error they stay. */
int scenario_load(
    struct scenario *s, struct str json, struct error *e) MUST_CHECK;
int scenario_load_file(
    struct scenario *s, const char *path, struct error *e) MUST_CHECK;
/* The knobs for a request; false: no step matches. */
bool scenario_next(struct scenario *s, const struct http_request *r,
    struct str model, struct knobs *ret);

#endif
