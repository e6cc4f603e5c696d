/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the request readers of the Anthropic and Gemini dialects share: members
 * of a type, errors in the words of the dialect, notes of fields without a
 * place; and the arguments of calls for answers. Each reads one value of a
 * validated document; null is the same as absence. base and name make the
 * field that an error names: "base.name", or the one that is not empty. All
 * return 0, ERR_INVALID, ERR_TOO_LARGE or ERR_NOMEM.
 */
#ifndef AGENT_DIALECT_CLIENT_READ_H
#define AGENT_DIALECT_CLIENT_READ_H

#include "agent/dialect/ir.h"
#include "common/json.h"

/* How a dialect says what is wrong with a value. */
struct crd_words {
	const char *required, *string, *boolean, *integer, *number, *array,
	    *object, *range;
};

struct crd {
	struct ir_request *r;
	struct error *e;
	const struct crd_words *words;
	bool camel;	  /* keys are read in camelCase and in snake_case */
	unsigned n_calls; /* calls without an id so far */
};

/* Refuse "base.name". Returns ERR_INVALID. */
int crd_bad(struct crd *rd, const char *base, const char *name,
    const char *what) MUST_CHECK;
/* ERR_NOMEM, or ERR_TOO_LARGE when the neutral form is full. */
int crd_full(struct crd *rd) MUST_CHECK;
/* Note a field without a place, unless it asks for nothing: null, false, "",
 * [] and {}. key is raw. */
int crd_other(
    struct crd *rd, const char *base, struct str key, struct json v) MUST_CHECK;
/* The members of an object by their names: vals[i] is that of names[i], with
 * type JSON_NULL when absent. Others are noted. */
int crd_pick(struct crd *rd, const char *base, struct json obj,
    const char *const *names, struct json *vals, unsigned n) MUST_CHECK;

int crd_string(struct crd *rd, struct json v, const char *base,
    const char *name, struct str *ret) MUST_CHECK;
int crd_bool(struct crd *rd, struct json v, const char *base, const char *name,
    bool *ret) MUST_CHECK;
int crd_int(struct crd *rd, struct json v, const char *base, const char *name,
    int64_t min, int64_t max, int64_t *ret) MUST_CHECK;
/* The JSON text of a number. */
int crd_number(struct crd *rd, struct json v, const char *base,
    const char *name, struct str *ret) MUST_CHECK;
/* The JSON text of an object. */
int crd_object(struct crd *rd, struct json v, const char *base,
    const char *name, struct str *ret) MUST_CHECK;
/* The value is an array (or null). */
int crd_array(struct crd *rd, struct json v, const char *base,
    const char *name) MUST_CHECK;
/* Stop sequences. */
int crd_stops(struct crd *rd, struct json v, const char *base,
    const char *name) MUST_CHECK;

/* Does the string mean the word? False for other types. */
bool crd_is(struct json v, const char *word);
static inline struct str
crd_span(struct json v)
{
	return str_make(v.p, (size_t)(v.end - v.p));
}

/* Arguments of a call, as they are in answers (JSON text as content of a JSON
 * string), to a JSON object without line ends, appended. Nothing is {}. A
 * model can fail to write JSON: what is no object becomes
 * {"_raw_arguments":"<the text>"}, so that nothing is lost and the tool, or
 * the model after it, sees what happened. */
void client_args_write(struct buf *out, struct str esc);

#endif
