/* SPDX-License-Identifier: Apache-2.0 */
/* Signed exchanges with the control plane, see line.h. */
#include "agent/ctl/line.h"

#include "agent/metrics.h"

static void
line_count(struct line *l, Hg__MessageType type, int rc)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
	    &hg__message_type__descriptor, (int)type);
	struct str labels[2] = {str_of(v == NULL ? "?" : v->name),
	    str_of(rc == 0 ? "ok" : err_name(rc))};

	if (l->metrics == NULL)
		return;
	metric_add(metric_series(l->metrics, AM_CTL_REQUESTS, labels, 2), 1);
	metric_set_gauge(l->metrics, AM_CTL_CONNECTED,
	    rc != ERR_UNAVAILABLE && rc != ERR_TIMEOUT);
}

/* Is its answer a matter of milliseconds? */
static bool
line_is_short(Hg__MessageType type)
{
	return type == HG__MESSAGE_TYPE__MSG_HELLO ||
	       type == HG__MESSAGE_TYPE__MSG_HEARTBEAT ||
	       type == HG__MESSAGE_TYPE__MSG_PULL;
}

static int
line_patience(struct line *l)
{
	int ms = atomic_load(&l->patience_ms);

	return ms < LINE_PATIENCE_MIN_MS ? LINE_PATIENCE_MIN_MS : ms;
}

static void
line_learn(struct line *l, int waited_ms, int rc)
{
	int ms = waited_ms;

	if (rc == ERR_TIMEOUT)
		ms *= 2;
	else if (rc == 0)
		ms -= ms / 8;
	if (ms > CHANNEL_CALL_TIMEOUT_MS)
		ms = CHANNEL_CALL_TIMEOUT_MS;
	atomic_store(&l->patience_ms, ms);
}

static int
line_exchange(struct line *l, Hg__MessageType type,
    const ProtobufCMessage *request, struct buf *out, struct buf *in,
    struct envelope *env, struct error *e)
{
	struct envelope ask = {.version = ENVELOPE_VERSION,
	    .type = (uint32_t)type,
	    .boot_epoch = l->boot_epoch,
	    .seq = atomic_fetch_add(&l->seq, 1) + 1,
	    .sender = str_of(l->identity->agent_id)};
	bool is_short = line_is_short(type);
	int rc, wait = is_short ? line_patience(l) : CHANNEL_CALL_TIMEOUT_MS;

	rc = envelope_pack_message(&ask, request, l->identity->secret, out);
	if (rc != 0)
		return err_set(
		    e, rc, "cannot pack a message: %s", err_text(rc));
	rc = l->transport.call(l->transport.ctx, buf_str(out), wait, in, e);
	if (is_short)
		line_learn(l, wait, rc);
	if (rc != 0)
		return rc;
	return envelope_open_reply(buf_str(in), l->identity->control_key,
	    ask.boot_epoch, ask.seq, ask.type, env, e);
}

int
line_call(struct line *l, Hg__MessageType type, const ProtobufCMessage *request,
    const ProtobufCMessageDescriptor *reply_type, struct arena *a, void **reply,
    struct error *e)
{
	struct buf out, in;
	struct envelope env;
	int rc;

	buf_init(&out, ENVELOPE_MAX);
	buf_init(&in, ENVELOPE_MAX);
	rc = line_exchange(l, type, request, &out, &in, &env, e);
	if (rc == 0) {
		*reply = proto_unpack(reply_type, env.payload, a);
		if (*reply == NULL)
			rc = err_set(e, ERR_CORRUPT, "malformed reply");
	}
	buf_release(&out);
	buf_release(&in);
	line_count(l, type, rc);
	return rc;
}

static int
line_channel_call(void *ctx, struct str request, int timeout_ms,
    struct buf *reply, struct error *e)
{
	return channel_call(ctx, request, timeout_ms, reply, e);
}

static bool
line_channel_connected(void *ctx)
{
	return channel_client_connected(ctx);
}

struct line_transport
line_over_channel(struct channel_client *c)
{
	return (struct line_transport){
	    line_channel_call, line_channel_connected, c};
}
