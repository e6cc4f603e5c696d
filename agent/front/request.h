/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request from its head to its settlement. The state only moves through
 * request_move(), which knows the legal moves; every path out of a state in
 * which a provider was called goes through REQ_USAGE, so each attempt is
 * settled exactly once.
 */
#ifndef AGENT_FRONT_REQUEST_H
#define AGENT_FRONT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config/bundle.h"
#include "agent/dialect/carry.h"
#include "agent/dialect/relay.h"
#include "agent/front/explain.h"
#include "agent/front/head.h"
#include "agent/journal/journal.h"
#include "agent/loop/loop.h"
#include "agent/money/lease_claim.h"
#include "agent/policy/queue.h"
#include "agent/upstream/upstream.h"
#include "common/rng.h"
#include "common/tags.h"

struct front;
struct conn;

enum req_state {
	REQ_HEAD,   /* the head is being read */
	REQ_BODY,   /* the body is being read */
	REQ_ADMIT,  /* being decided, within one call */
	REQ_WAIT,   /* parked until budget rights come */
	REQ_QUEUE,  /* waits for a place of the agent or at a deployment */
	REQ_INTENT, /* intent collected, waits for the turn's flush */
	REQ_CALL,   /* the provider was called; the client got nothing yet */
	REQ_RELAY,  /* a streamed answer is being relayed */
	REQ_USAGE,  /* usage collected, waits for the turn's flush */
	REQ_ANSWER, /* all of the answer is known, the server sends it */
	REQ_END,    /* nothing is owed to anybody */
	REQ_N_STATES
};

/* What an attempt holds and owes. */
enum att_state {
	ATT_NONE,
	ATT_RESERVED, /* rights and a concurrency place are held */
	ATT_INTENT,   /* and an intent was collected */
	ATT_CALLED    /* and the provider was called */
};

struct attempt {
	enum att_state state;
	unsigned number; /* from 1 */
	unsigned target; /* index in the route */
	const struct b_deployment *dep;
	struct price price;
	int64_t priced_at; /* wall ns: its price is the one in force then */
	struct reservation rights;
	struct limit_cell *place; /* deployment concurrency held, or NULL */
	struct journal_intent intent;
	struct up_call *call;
	struct up_head head;
	bool have_head, streamed;
	bool refused; /* a 2xx answer held nothing but an error */
	bool billed;  /* a refusal that is, or may be, charged all the same */
	bool looked;  /* lower_look() decided */
	int64_t look_at;       /* mono ns: not sooner */
	uint64_t lower_ticket; /* of its lower record, while not durable */
	int64_t released;      /* nano-USD let go of since then */
	bool retry; /* repeats the previous one on a fresh connection */
	int64_t started, first_byte; /* mono ns; first_byte 0 = none */
};

/* How the answer looks that the server sends. */
struct answer {
	int status;
	bool close;	      /* the connection, afterwards */
	bool is_json;	      /* body in request.out */
	bool estimated;	      /* counts in it are estimates */
	int64_t retry_ms;     /* < 0 = no retry headers */
	int should_retry;     /* -1 = say nothing */
	int64_t cost;	      /* < 0 = no header */
	char retry_after[64]; /* of the provider, passed on */
	char processing_ms[24];
};

struct request {
	struct front *f;
	struct conn *conn;    /* NULL when the server let go of it */
	struct request *next; /* free list */
	struct request *start_next, *finish_next; /* the turn's lists */
	struct request *wait_next, *wait_prev;
	struct request *lower_next, *lower_prev; /* lower.h */
	struct loop_deferred deferred;
	enum req_state state;
	bool in_start, in_finish;
	bool gone; /* the client left */
	bool limits_held;
	bool too_large;
	bool stream_started; /* the client got a stream's head */
	bool stream_end;     /* out holds all there will be */
	bool stream_abort;   /* then close uncleanly */
	bool paused;	     /* the provider is held back */
	bool fallback;	/* answer and out hold the last provider's failure */
	bool accounted; /* settle_request() was called */
	bool counted_stream; /* in front.n_streams */
	uint8_t own_places;  /* bits: places of the agent, enum agent_place */
	bool at_capacity;    /* a target was passed over for its concurrency */
	bool draining; /* its client left, the provider is read to its end */

	struct uuid id;
	char id_text[37];
	int64_t started, started_wall, wait_since, parked, waited;
	int64_t wait_end; /* no rights after that: refused */
	int64_t last_io;  /* mono ns of the last progress towards the client */

	struct head_target target;
	struct head head;
	struct bundle *bundle;
	const struct b_key *key;
	const struct b_route *route;

	size_t body_bytes;   /* counted in front.bodies */
	struct spool *spool; /* a form with files instead, or NULL */
	struct scan scan;
	struct arena arena;	  /* of ir */
	struct ir_request *ir;	  /* the request in neutral form, or NULL */
	struct codec_plan plan;	  /* of the current attempt */
	struct embed_reply embed; /* of it, where it translates embeddings */
	/* Stored responses (stored.h): where this one must go, or NULL; the
	 * provider's id of the other response behind a quote, and its length
	 * with the quote; what the client called it. */
	const struct b_deployment *pin;
	bool keeps_id; /* ids of the answer are sealed */
	size_t stored_len;
	int cannot; /* why the first target could not carry the request */
	struct attempt att;
	uint64_t tried; /* targets */
	uint64_t full;	/* of them: those without a free place */
	struct queue_ticket ticket;
	/* Where it waits: at targets of its route, or, queued_own not 0, for
	 * the agent's place queued_own - 1. */
	unsigned queued[QUEUE_TARGETS], queued_own;
	int64_t queue_spent; /* ns of its time to wait, for own places */
	unsigned n_calls;
	bool retried_fresh;
	struct tokens worst;
	int64_t amount;	  /* nano-USD reserved for the current attempt */
	int64_t released; /* of what all attempts reserved, while they ran */
	int64_t limit_tokens, real_tokens, cost;
	/* The prompt as it was counted (count.h): for which model, 0 = it was
	 * not. */
	uint64_t prompt_model;
	int64_t prompt_tokens;
	struct tokens tokens;
	uint32_t source;

	struct budget_cell *short_of;	/* while parked, or: */
	struct limit_cell *short_limit; /* its share of a limit is awaited */
	/* The output cap was lowered to this for want of rights, by choice; 0 =
	 * it was not. How often for this request. */
	int64_t shrunk;
	unsigned n_shrinks;
	bool declared; /* the amount is the model's max_request */
	bool unbound;  /* its input is bounded by the model's context only */
	bool counted;  /* its text was counted, as far as it can be (exact.h) */
	uint64_t reply_gen;
	uint64_t turn; /* among those who wait for rights; 0 = none yet */
	struct lease_claims claims;
	struct timer timer; /* lease wait, lingering call */

	int relay_error; /* 0, or why it cannot go on */
	size_t out_pos;	 /* sent part of out */
	struct answer answer;
	char version[24]; /* its anthropic-version, or "" */
	int error;	  /* ERR_* that ended it */
	unsigned n_attempts;

	/* What follows is not zeroed between lives: buffers keep small memory,
	 * of texts the first byte is cleared. request_wipe() must know it. */
	struct tags tags; /* of the caller: user, cost allocation */
	struct relay relay;
	struct buf body;    /* as received */
	struct buf out;	    /* body of the answer, or what the stream owes */
	struct buf held;    /* end of a stream, until its usage is on disk */
	struct buf up_body; /* of the attempt, when it is translated */
	struct buf up_head; /* its path and header lines */
	struct buf fields;  /* of the client's, passed on: ready lines */
	struct carry_lost lost; /* what a translation dropped */
	char stored[200], stored_own[200];
	char cannot_field[96], cannot_text[200];
	char model_json[2 * SURFACE_MODEL_MAX];
	char sim[512]; /* tests: x-sim-* lines, NUL-ended */
	char error_code[32], reason[160], refused_by[EXPLAIN_NAME];
	struct explain_attempt attempts[EXPLAIN_MAX_ATTEMPTS];
};

/* Move to the next state; MUST be a legal move. */
void request_move(struct request *r, enum req_state to);
bool request_may_move(enum req_state from, enum req_state to);

/* A request from the front's free list, in REQ_HEAD; NULL at the limit. */
struct request *request_new(struct front *f, struct conn *c);
/* Give it back when the turn ends. MUST be in REQ_END, without a call. */
void request_free(struct request *r);
/* Release all memory of the free list. */
void request_drain(struct front *f);

#endif
