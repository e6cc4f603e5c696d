/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request may ask for and which provider dialect can carry it: the one
 * table behind refusals, the x-headgate-dropped header and docs/API.md.
 */
#ifndef AGENT_DIALECT_CARRY_H
#define AGENT_DIALECT_CARRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

struct ir_request;

enum carry_client {
	CARRY_C_CHAT,
	CARRY_C_RESPONSES,
	CARRY_C_ANTHROPIC,
	CARRY_C_GEMINI,
	CARRY_N_CLIENTS
};
enum carry_provider {
	CARRY_P_OPENAI,
	CARRY_P_ANTHROPIC,
	CARRY_P_GEMINI,
	CARRY_P_BEDROCK,
	CARRY_P_COHERE,
	CARRY_P_OLLAMA,
	CARRY_N_PROVIDERS
};

enum carry_how {
	CARRY_YES,
	CARRY_NEAR, /* carried with a nearest meaning; note says which */
	CARRY_DROP, /* a hint that changes nothing in the answer: left out and
		     * listed, never refused */
	CARRY_NO    /* refused, or dropped where the route is lenient */
};

struct carry_cell {
	enum carry_how how;
	const char *note; /* or NULL */
};

/* One feature: how each client dialect names it (NULL = it has no such thing)
 * and what each provider does with it. */
struct carry_row {
	const char *feature; /* "stop sequences" */
	const char *names[CARRY_N_CLIENTS];
	struct carry_cell cells[CARRY_N_PROVIDERS];
	/* Does the request ask for it? *field is set to a more exact place
	 * when one is known. NULL: found in messages and tools, see
	 * carry_of_part(), or nothing that could be refused. */
	bool (*asks)(const struct ir_request *r, const char **field);
};
/* Features that are found in messages; the first rows of the table. */
enum carry_feature {
	CARRY_SYSTEM,
	CARRY_DEVELOPER,
	CARRY_NAME,
	CARRY_IMAGE_DATA,
	CARRY_IMAGE_URL,
	CARRY_IMAGE_FILE,
	CARRY_IMAGE_DETAIL,
	CARRY_DOCUMENT_DATA,
	CARRY_DOCUMENT_URL,
	CARRY_DOCUMENT_FILE,
	CARRY_AUDIO,
	CARRY_VIDEO,
	CARRY_TOOL_CALL,
	CARRY_TOOL_RESULT,
	CARRY_RESULT_IMAGE,
	CARRY_RESULT_DOCUMENT,
	CARRY_RESULT_ERROR,
	CARRY_RESULT_JSON,
	CARRY_THINKING,
	CARRY_REDACTED,
	CARRY_SIGNATURE,
	CARRY_REFUSAL,
	CARRY_CACHE,
	CARRY_N_PART_FEATURES
};
extern const struct carry_row carry_rows[];
extern const unsigned carry_n_rows;
struct ir_part;
/* The features of one part as bits (1u << CARRY_*); in_result: of a tool
 * result's parts. */
unsigned carry_of_part(const struct ir_part *p, bool in_result);
/* False: this part cannot be carried to p, a lenient writer leaves it out
 * (strict ones never see it, as carry_check() refused). */
bool carry_takes_part(
    const struct ir_part *part, bool in_result, enum carry_provider p);

/* Names of fields that were dropped, for the response header. */
#define CARRY_LOST_MAX 512
struct carry_lost {
	char text[CARRY_LOST_MAX]; /* "logit_bias, seed", NUL-ended */
	unsigned n;
};
void carry_lost_add(struct carry_lost *l, const char *field);

/* Everything that the table can tell beforehand, and r->others. Writers call
 * it first, then leave out what is CARRY_NO. 0; ERR_INVALID with e->field when
 * something cannot be carried and lenient is false. */
int carry_check(const struct ir_request *r, enum carry_client c,
    enum carry_provider p, bool lenient, struct carry_lost *lost,
    struct error *e) MUST_CHECK;
/* One feature found by a writer in a part: dropped or refused alike. */
int carry_refuse(const char *field, const char *what, bool lenient,
    struct carry_lost *lost, struct error *e) MUST_CHECK;
/* What a client calls a feature (carry_row.feature): for writers that find out
 * themselves that a provider does not take it. */
const char *carry_field(const char *feature, enum carry_client c);
/* The table as Markdown, for docs/API.md. */
struct buf;
int carry_write_markdown(struct buf *out); /* 0 or buf_error(out) */

#endif
