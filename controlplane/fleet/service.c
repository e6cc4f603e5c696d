/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From request bytes to reply bytes: open the envelope, find the sender, check
 * its signature, its boot epoch and that the request is no repetition; then
 * the message's own handler. Every request gets a signed reply, refusals too.
 */
#include "common/log.h"
#include "controlplane/fleet/fleet_internal.h"

void *
request_unpack(struct request *rq, const ProtobufCMessageDescriptor *type)
{
	void *m = proto_unpack(type, rq->env.payload, rq->a);

	if (m == NULL)
		(void)err_set(
		    &rq->e, ERR_INVALID, "malformed %s", type->short_name);
	return m;
}

static int
request_reply(struct request *rq, uint32_t type, const ProtobufCMessage *m)
{
	struct envelope env = {.type = type,
	    .boot_epoch = rq->env.boot_epoch,
	    .seq = rq->env.seq,
	    .sender = STR(ENVELOPE_CONTROL)};
	int rc;

	buf_clear(rq->reply);
	rc = envelope_pack_message(&env, m, rq->f->o.pki->sign_sk, rq->reply);
	if (rc != 0)
		return err_set(&rq->e, rc, "reply: %s", err_text(rc));
	return 0;
}

int
request_answer(struct request *rq, const ProtobufCMessage *m)
{
	return request_reply(rq, rq->env.type, m);
}

static void
request_refuse(struct request *rq, int rc)
{
	Hg__ErrorReply m;

	hg__error_reply__init(&m);
	m.code = rc;
	m.text = rq->e.text[0] != '\0' ? rq->e.text : fleet_text(err_text(rc));
	atomic_fetch_add(&rq->f->refused, 1);
	if (request_reply(rq, HG__MESSAGE_TYPE__MSG_ERROR, &m.base) != 0)
		buf_clear(rq->reply);
}

/* ---- who is it? -----------------------------------------------------------
 */

static int
load_row(void *ctx, const struct agent_row *row)
{
	struct agent_entry *a = ctx;

	memset(a, 0, sizeof(*a));
	memcpy(a->id, row->id, sizeof(a->id));
	memcpy(a->public_key, row->public_key, sizeof(a->public_key));
	a->boot_epoch = row->boot_epoch;
	a->revoked = row->revoked_at != 0;
	if (str_copy(row->group, a->group, sizeof(a->group)) != 0 ||
	    str_copy(
		row->instance_id, a->instance_id, sizeof(a->instance_id)) != 0)
		return ERR_CORRUPT;
	return 0;
}

int
fleet_load_agent(
    struct fleet *f, struct str id, struct agent_entry *ret, struct error *e)
{
	struct db *db = NULL;
	int rc;

	rc = store_take(f->o.store, &db, e);
	if (rc == 0)
		rc = store_agent_get(
		    db, id, clock_wall(f->clock), load_row, ret, e);
	store_give(db);
	if (rc == 0)
		rc = registry_put(f->registry, ret);
	return rc;
}

/* A database that is away is no reason for an agent to stop serving. */
static bool
is_transient(int rc)
{
	return rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT || rc == ERR_AGAIN;
}

static int
request_sender(struct request *rq)
{
	struct uuid id;
	int rc;

	if (uuid_parse(rq->env.sender.p, rq->env.sender.len, &id) != 0)
		return err_set(
		    &rq->e, ERR_UNAUTHENTICATED, "the sender is no agent id");
	rc = registry_get(rq->f->registry, rq->env.sender, &rq->agent);
	if (rc == ERR_NOT_FOUND)
		rc =
		    fleet_load_agent(rq->f, rq->env.sender, &rq->agent, &rq->e);
	if (rc == ERR_NOT_FOUND)
		return err_set(&rq->e, ERR_UNAUTHENTICATED, "unknown agent");
	if (rc != 0)
		return is_transient(rc)
			   ? err_set(&rq->e, ERR_AGAIN,
				 "the control plane's database is away")
			   : rc;
	rc = envelope_verify(&rq->env, rq->agent.public_key);
	if (rc != 0)
		return err_set(&rq->e, rc, "the signature is not the agent's");
	if (rq->agent.revoked)
		return err_set(&rq->e, ERR_FORBIDDEN, "this agent was revoked");
	return 0;
}

int
request_once(struct request *rq)
{
	if (registry_accept(rq->f->registry, rq->env.sender, rq->env.boot_epoch,
		rq->env.seq))
		return 0;
	return err_set(&rq->e, ERR_CONFLICT,
	    "request %llu of this boot epoch came before",
	    (unsigned long long)rq->env.seq);
}

/* Usage of an older process that said hello is still welcome. */
static int
request_old_epoch(struct request *rq)
{
	struct db *db = NULL;
	bool known = false;
	int rc;

	if (rq->env.type == HG__MESSAGE_TYPE__MSG_USAGE) {
		rc = store_take(rq->f->o.store, &db, &rq->e);
		if (rc == 0)
			rc = store_agent_boot_known(db, rq->env.sender,
			    rq->env.boot_epoch, &known, &rq->e);
		store_give(db);
		if (rc != 0 || known)
			return rc;
	}
	return err_set(&rq->e, ERR_VERSION,
	    "boot epoch %llu is older than %llu: another process runs with "
	    "this identity",
	    (unsigned long long)rq->env.boot_epoch,
	    (unsigned long long)rq->agent.boot_epoch);
}

static int
request_epoch(struct request *rq)
{
	int rc;

	if (rq->env.type == HG__MESSAGE_TYPE__MSG_HELLO ||
	    rq->env.boot_epoch == rq->agent.boot_epoch)
		return 0;
	/* another replica may have heard the hello */
	rc = fleet_load_agent(rq->f, rq->env.sender, &rq->agent, &rq->e);
	if (rc != 0)
		return is_transient(rc) ? ERR_AGAIN : rc;
	if (rq->env.boot_epoch < rq->agent.boot_epoch)
		return request_old_epoch(rq);
	if (rq->env.boot_epoch > rq->agent.boot_epoch)
		return err_set(&rq->e, ERR_PRECONDITION,
		    "say hello in this boot epoch first");
	return 0;
}

/* ---- dispatch --------------------------------------------------------------
 */

static int
request_run(struct request *rq)
{
	int rc;

	if (rq->env.type == HG__MESSAGE_TYPE__MSG_ENROL)
		return msg_enrol(rq);
	rc = request_sender(rq);
	if (rc == 0)
		rc = request_epoch(rq);
	/* Hello and heartbeat look at the instance first: a second process
	 * must not use up the sequence numbers of the first. */
	if (rc == 0 && rq->env.type != HG__MESSAGE_TYPE__MSG_HELLO &&
	    rq->env.type != HG__MESSAGE_TYPE__MSG_HEARTBEAT)
		rc = request_once(rq);
	if (rc != 0)
		return rc;
	switch (rq->env.type) {
	case HG__MESSAGE_TYPE__MSG_HELLO:
		return msg_hello(rq);
	case HG__MESSAGE_TYPE__MSG_PULL:
		return msg_pull(rq);
	case HG__MESSAGE_TYPE__MSG_HEARTBEAT:
		return msg_heartbeat(rq);
	case HG__MESSAGE_TYPE__MSG_USAGE:
		return msg_usage(rq);
	default:
		return err_set(&rq->e, ERR_UNSUPPORTED,
		    "message type %u is unknown here", rq->env.type);
	}
}

static void
request_log(const struct request *rq, int rc)
{
	/* The agent tries again: no news for the operator. */
	if (rc == ERR_AGAIN || is_transient(rc))
		log_debug("agent request deferred",
		    LFS("agent", rq->env.sender), LFI("type", rq->env.type),
		    LF("reason", rq->e.text));
	else
		log_warn("agent request refused", LFS("agent", rq->env.sender),
		    LFI("type", rq->env.type), LFI("epoch", rq->env.boot_epoch),
		    LF("code", err_name(rc)), LF("reason", rq->e.text));
}

void
fleet_handle(void *fleet, unsigned worker, struct str bytes, struct buf *reply)
{
	struct fleet *f = fleet;
	struct request rq = {.f = f, .a = &f->arenas[worker], .reply = reply};
	int rc;

	atomic_fetch_add(&f->requests, 1);
	rc = envelope_open(bytes, &rq.env, &rq.e);
	if (rc != 0) {
		/* answered with what was readable: nothing */
		rq.env = (struct envelope){0};
		log_debug("unreadable request", LF("reason", rq.e.text));
		request_refuse(&rq, rc);
		return;
	}
	rc = request_run(&rq);
	if (rc != 0) {
		request_log(&rq, rc);
		request_refuse(&rq, rc);
	}
	arena_clear(rq.a);
}
