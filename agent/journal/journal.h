/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's journal: what must survive kill -9. Each worker ("shard")
 * appends to its own segments; records are collected in memory and written
 * with ONE write(2) a loop turn by journal_flush(): intents before the turn's
 * upstream calls start, usage before the turn's answers complete. The journal
 * thread fsyncs, ships and deletes; it only reads what was flushed.
 *
 * A request's worst case may fall while it runs: a lower record says so.
 *
 *	reserved W --journal_lower(w)--> collected --flush--> written
 *	    --sync--> durable: journal_lowered() >= ticket
 *
 * After a crash the request is billed at the least amount that the journal
 * still proves: W or w. The caller holds rights for W until w is durable, so
 * replay never bills more than was held. Amounts only fall; a request that
 * ends on the way needs no more of this: its usage record tells everything.
 * A lower record that could not be written is kept and written later, in the
 * order of the request's records; behind its usage, or without its intent, it
 * means nothing.
 *
 * Record identity: (agent id, boot epoch, shard, seq). seq starts at 1 and
 * counts USAGE records only (intents are local).
 */
#ifndef AGENT_JOURNAL_JOURNAL_H
#define AGENT_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config/bundle.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/money.h"
#include "common/tags.h"

struct journal_shard; /* one per worker, used by that worker only */

struct journal_charge {
	uint64_t budget_uid;
	int64_t period_start;
};

/* "This request may cost up to `reserved`": enough to bill it after a crash. */
struct journal_intent {
	uint8_t request_id[16];
	uint32_t attempt;
	int64_t started_at; /* wall ns */
	uint64_t tenant_uid, team_uid, project_uid, key_uid, route_uid,
	    deployment_uid, provider_uid, model_uid, config_version,
	    price_version;
	int64_t reserved;    /* worst-case cost, nano-USD */
	struct tokens worst; /* worst-case tokens behind `reserved` */
	bool streamed;
	unsigned n_charges;
	struct journal_charge charges[BUNDLE_MAX_BUDGETS];
	struct tags tags; /* the caller's */
};

struct journal_usage {
	struct journal_intent head; /* same identity as the intent */
	struct tokens tokens;
	int64_t cost;
	uint32_t source; /* Hg__UsageSource */
	uint32_t http_status;
	int64_t duration_us, first_byte_us;
	char finish_reason[24];
	char error_code[24];
	char upstream_request_id[64];
	char tier[24]; /* price tier that the answer named, "" = standard */
};

/* Worker. Collect; ERR_JOURNAL_FULL when the journal is out of space (or
 * poisoned by an fsync error): the caller refuses budgeted requests. */
int journal_intent(
    struct journal_shard *s, const struct journal_intent *i) MUST_CHECK;
/* Never fails for lack of room in memory: space was kept by the intent. */
void journal_usage(struct journal_shard *s, const struct journal_usage *u);
/* The request of a flushed intent with i's identity can cost no more than
 * i->reserved, i->worst any more. *ticket: see journal_lowered(). Nothing is
 * collected after an error: ERR_JOURNAL_FULL, ERR_NOMEM, ERR_NOT_FOUND (no such
 * intent, or of this turn), ERR_INVALID (it reserves no more already). */
int journal_lower(struct journal_shard *s, const struct journal_intent *i,
    uint64_t *ticket) MUST_CHECK;
/* All lower records with a ticket up to this one are durable: their difference
 * may be released. One atomic; after an fsync error it may lag for long. */
uint64_t journal_lowered(const struct journal_shard *s);
/* Worker, once a loop turn when something was collected: one write. On
 * failure (disk full) returns ERR_JOURNAL_FULL: intents of this turn are NOT
 * durable and their requests must be refused (journal_drop_intents was
 * implied); usage records are kept in memory (bounded by requests in flight)
 * and retried on every later flush. */
int journal_flush(struct journal_shard *s) MUST_CHECK;
bool journal_pending(const struct journal_shard *s);
/* Worker. Is all usage that was collected in the file? What its requests do not
 * need may be given back then. */
bool journal_is_written(const struct journal_shard *s);
/* May new requests be admitted? Cheap: one atomic. */
bool journal_writable(const struct journal_shard *s);

#endif
