/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of OpenAI's two request dialects (chat completions and
 * responses) share: members of a type, media, tool arguments, schemas. Each
 * reads one value of a validated document; null is the same as absence. base
 * and name make the field that an error names: "base.name", or name alone when
 * base is empty. All return 0, ERR_INVALID, ERR_TOO_LARGE or ERR_NOMEM.
 */
#ifndef AGENT_DIALECT_OPENAI_READ_H
#define AGENT_DIALECT_OPENAI_READ_H

#include "agent/dialect/ir.h"
#include "common/json.h"

struct oaird {
	struct ir_request *r;
	struct error *e;
	/* Deprecated function calls have no id: the last one that was made. */
	struct str call_id;
	unsigned n_calls;
};

/* Refuse "base.name". Returns ERR_INVALID. */
int oaird_bad(struct oaird *rd, const char *base, const char *name,
    const char *what) MUST_CHECK;
/* ERR_NOMEM, or ERR_TOO_LARGE when the neutral form is full. */
int oaird_full(struct oaird *rd) MUST_CHECK;
/* Note a field without a place, unless it asks for nothing: null, false, "",
 * [] and {}. */
int oaird_other(struct oaird *rd, const char *base, struct str key,
    struct json v) MUST_CHECK;

int oaird_string(struct oaird *rd, struct json v, const char *base,
    const char *name, struct str *ret) MUST_CHECK;
int oaird_bool(struct oaird *rd, struct json v, const char *base,
    const char *name, bool *ret) MUST_CHECK;
/* To 1 or 0. */
int oaird_switch(struct oaird *rd, struct json v, const char *base,
    const char *name, int *ret) MUST_CHECK;
int oaird_int(struct oaird *rd, struct json v, const char *base,
    const char *name, int64_t min, int64_t max, int64_t *ret) MUST_CHECK;
/* The JSON text of a number. */
int oaird_number(struct oaird *rd, struct json v, const char *base,
    const char *name, struct str *ret) MUST_CHECK;
/* The JSON text of an object; {} is absence. */
int oaird_object(struct oaird *rd, struct json v, const char *base,
    const char *name, struct str *ret) MUST_CHECK;
int oaird_effort(struct oaird *rd, struct json v, const char *base,
    const char *name) MUST_CHECK;
/* "none", "auto", "required"; anything else is ERR_INVALID. */
int oaird_choice(struct oaird *rd, struct json v, const char *name) MUST_CHECK;

/* Does the raw string mean the word? */
bool oaird_is(struct json v, const char *word);
/* The raw string of a member, "" when absent or no string. */
struct str oaird_member(struct json obj, const char *name);

/* Arguments of a call: a string that holds a JSON object, "" = {}. */
int oaird_args(struct oaird *rd, struct json v, const char *base,
    const char *name, struct str *ret) MUST_CHECK;
/* A data: URL (into mime and data) or any other URL (into url); sets the type
 * of the part by the media type when there is one. */
int oaird_url(struct oaird *rd, struct str url, const char *base,
    const char *name, struct ir_part *p) MUST_CHECK;
/* Base64 without its head; what is no base64 is ERR_INVALID. */
int oaird_base64(struct oaird *rd, struct str data, const char *base,
    const char *name, struct ir_part *p) MUST_CHECK;
/* A document without a media type has that of its name's ending. */
void oaird_guess_mime(struct ir_part *p);
/* prompt_cache_breakpoint and cache_control of a part or tool. */
int oaird_cache(struct oaird *rd, struct json obj, const char *base,
    enum ir_cache *ret) MUST_CHECK;
bool oaird_is_cache_key(struct str key);
/* extra_content.google.thought_signature, "" when absent. */
struct str oaird_signature(struct json obj);
/* The members of a function definition: name, description, parameters,
 * strict. Others are noted. */
int oaird_tool(struct oaird *rd, struct json fn, const char *base,
    struct ir_tool *t) MUST_CHECK;
/* The members of a json_schema format: name, description, schema, strict. */
int oaird_schema(
    struct oaird *rd, struct json obj, const char *base) MUST_CHECK;
/* A part of a message, with its field. NULL: see oaird_full(). */
struct ir_part *oaird_part(struct oaird *rd, struct ir_message *m,
    enum ir_part_type t, const char *field);
/* The same, within a result when there is one. */
struct ir_part *oaird_add(struct oaird *rd, struct ir_message *m,
    struct ir_part *result, enum ir_part_type t, const char *field);
/* The user, which has two names: the newer one wins. */
int oaird_user(
    struct oaird *rd, struct json v, const char *name, bool newer) MUST_CHECK;
/* service_tier; "auto" is none. */
int oaird_tier(struct oaird *rd, struct json v) MUST_CHECK;

#endif
