/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What request writers of several providers have in common, and the writers
 * themselves, which are files of their own beside the readers.
 */
#ifndef AGENT_DIALECT_PROVIDER_WRITE_H
#define AGENT_DIALECT_PROVIDER_WRITE_H

#include "agent/dialect/codec.h"
#include "agent/dialect/jw.h"

/* One request being written. */
struct pw {
	const struct ir_request *r;
	const struct write_opts *o;
	enum carry_provider provider;
	struct jw w;
	struct error *e;
	/* Calls and results without an id so far: the first result belongs to
	 * the first call. */
	unsigned n_calls, n_results;
	unsigned n_documents;
};

/* Check the request against the carry table. */
int pw_begin(struct pw *pw, const struct ir_request *r,
    const struct write_opts *o, enum carry_provider p, struct buf *out,
    struct error *e) MUST_CHECK;
/* The output cap to send: the smaller one of what the client wants and what
 * was reserved for; -1 = none. */
int64_t pw_cap(const struct pw *pw);
/* The message's next part (p or one behind it) that can be carried, or NULL.
 */
const struct ir_part *pw_part(
    const struct pw *pw, const struct ir_part *p, bool in_result);
/* Something in a part that this provider does not take: left out and listed,
 * or ERR_INVALID. */
int pw_refuse_part(
    struct pw *pw, const struct ir_part *p, const char *what) MUST_CHECK;
/* The same of a field of the request, by its row in the carry table. */
int pw_refuse(struct pw *pw, const char *feature, const char *what) MUST_CHECK;
/* The id of a call or of a result; made up where the dialect had none, and
 * where it holds anything but [a-zA-Z0-9_-]{1,64} if plain_only. p NULL
 * without memory. */
struct str pw_call_id(struct pw *pw, const struct ir_part *p,
    const char *prefix, bool plain_only);
/* The name of the tool that a result belongs to, or "". */
struct str pw_result_name(const struct pw *pw, const struct ir_part *p);
/* A result's text parts as one string's content: jw_open'ed by the caller. */
void pw_result_text(struct pw *pw, const struct ir_part *result);
/* {"type":"function","function":{...}} with a schema in any case. */
void pw_function_tool(struct pw *pw, const struct ir_tool *t);
/* [ "stop", ... ] as member name, if there are any. */
void pw_stops(struct pw *pw, const char *name);
/* Writes one part of a turn that ctx describes. */
typedef int pw_turn_part_fn(struct pw *pw, const struct ir_part *p, void *ctx);
/* How a dialect whose messages take turns writes them. */
struct pw_turns {
	const char *name;      /* of the member with all turns */
	const char *assistant; /* that role's word; the other is "user" */
	const char *parts;     /* member of a turn */
	pw_turn_part_fn *part;
	void (*begin)(void *ctx); /* of a turn, or NULL */
	void *ctx;
};
/* "name":[{"role":...,"parts":[...]},...] of all but system messages: those
 * of one role in a row as one, none without parts. */
int pw_write_turns(struct pw *pw, const struct pw_turns *how) MUST_CHECK;
/* True for system and developer messages. */
static inline bool
pw_is_system(const struct ir_message *m)
{
	return m->role == IR_SYSTEM || m->role == IR_DEVELOPER;
}
/* The model's name holds z. */
bool pw_model_has(const struct pw *pw, const char *z);

int bedrock_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e);
int gemini_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e);
int cohere_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e);
int ollama_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e);

#endif
