/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed envelopes. The signature covers a canonical byte string of our own
 * and not the protobuf encoding, so that it does not depend on how a library
 * encodes.
 */
#include "proto/envelope.h"

#include <sodium.h>
#include <stdlib.h>

#include "proto/headgate.pb-c.h"
#include "proto/wire.h"

static const char envelope_label[] = "headgate-envelope-v1";

void
sign_keypair(
    uint8_t public_key[SIGN_PUBLIC_LEN], uint8_t secret[SIGN_SECRET_LEN])
{
	MUST(sodium_init() >= 0);
	MUST(crypto_sign_keypair(public_key, secret) == 0);
}

static uint8_t *
put_le(uint8_t *p, uint64_t v, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		*p++ = (uint8_t)(v >> (8 * i));
	return p;
}

static uint8_t *
put_str(uint8_t *p, struct str s)
{
	p = put_le(p, s.len, 4);
	if (s.len != 0)
		memcpy(p, s.p, s.len);
	return p + s.len;
}

/* malloc'ed canonical bytes; NULL without memory. */
static uint8_t *
envelope_canonical(const struct envelope *env, size_t *len)
{
	size_t n =
	    sizeof(envelope_label) + 32 + env->sender.len + env->payload.len;
	uint8_t *bytes = malloc(n), *p = bytes;

	if (bytes == NULL)
		return NULL;
	memcpy(p, envelope_label, sizeof(envelope_label)); /* with its NUL */
	p = put_le(p + sizeof(envelope_label), env->version, 4);
	p = put_le(p, env->type, 4);
	p = put_le(p, env->boot_epoch, 8);
	p = put_le(p, env->seq, 8);
	p = put_str(p, env->sender);
	p = put_str(p, env->payload);
	MUST(p == bytes + n);
	*len = n;
	return bytes;
}

int
envelope_pack(const struct envelope *env, const uint8_t secret[SIGN_SECRET_LEN],
    struct buf *out)
{
	Hg__Envelope m;
	char sender[ENVELOPE_SENDER_MAX + 1];
	struct envelope head = *env;
	uint8_t sig[SIGN_LEN], *bytes;
	size_t len;
	int rc;

	if (env->payload.len > ENVELOPE_PAYLOAD_MAX)
		return ERR_TOO_LARGE;
	rc = str_copy(env->sender, sender, sizeof(sender));
	if (rc != 0)
		return rc;
	hg__envelope__init(&m);
	head.version = ENVELOPE_VERSION;
	bytes = envelope_canonical(&head, &len);
	if (bytes == NULL)
		return ERR_NOMEM;
	rc = crypto_sign_detached(sig, NULL, bytes, len, secret);
	free(bytes);
	MUST(rc == 0);
	m.version = head.version;
	m.sender = sender;
	m.boot_epoch = env->boot_epoch;
	m.seq = env->seq;
	m.type = env->type;
	m.payload.len = env->payload.len;
	m.payload.data = (uint8_t *)(uintptr_t)env->payload.p;
	m.signature.len = sizeof(sig);
	m.signature.data = sig;
	return proto_pack(&m.base, out);
}

int
envelope_pack_message(const struct envelope *env,
    const ProtobufCMessage *message, const uint8_t secret[SIGN_SECRET_LEN],
    struct buf *out)
{
	struct envelope full = *env;
	struct buf payload;
	int rc;

	buf_init(&payload, ENVELOPE_PAYLOAD_MAX);
	rc = proto_pack(message, &payload);
	if (rc == 0) {
		full.payload = buf_str(&payload);
		rc = envelope_pack(&full, secret, out);
	}
	buf_release(&payload);
	return rc;
}

/* Stores one field; false when it has the wrong form or came twice. */
static bool
envelope_field(struct envelope *env, const struct wire_field *f, unsigned *seen)
{
	static const bool is_bytes[] = {
	    false, false, true, false, false, false, true, true};

	if (f->number >= sizeof(is_bytes) / sizeof(is_bytes[0]))
		return true; /* from a newer peer */
	if (f->is_bytes != is_bytes[f->number] || (*seen >> f->number & 1))
		return false;
	*seen |= 1u << f->number;
	if (!f->is_bytes && f->number != 3 && f->number != 4 &&
	    f->value > UINT32_MAX)
		return false;
	switch (f->number) {
	case 1:
		env->version = (uint32_t)f->value;
		break;
	case 2:
		env->sender = f->bytes;
		break;
	case 3:
		env->boot_epoch = f->value;
		break;
	case 4:
		env->seq = f->value;
		break;
	case 5:
		env->type = (uint32_t)f->value;
		break;
	case 6:
		env->payload = f->bytes;
		break;
	default:
		env->signature = f->bytes;
		break;
	}
	return true;
}

int
envelope_open(struct str bytes, struct envelope *ret, struct error *e)
{
	struct envelope env = {0};
	struct wire_field f;
	struct wire w;
	unsigned seen = 0;

	if (bytes.len > ENVELOPE_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "envelope of %zu bytes, limit %zu", bytes.len,
		    ENVELOPE_MAX);
	wire_init(&w, bytes);
	while (wire_next(&w, &f))
		if (!envelope_field(&env, &f, &seen))
			return err_set(
			    e, ERR_CORRUPT, "envelope: bad field %u", f.number);
	if (w.bad)
		return err_set(e, ERR_CORRUPT, "envelope: malformed");
	if (env.version != ENVELOPE_VERSION)
		return err_set(e, ERR_VERSION,
		    "envelope version %u, this side speaks %u", env.version,
		    ENVELOPE_VERSION);
	if (env.signature.len != SIGN_LEN)
		return err_set(e, ERR_CORRUPT, "envelope: no signature");
	if (env.sender.len > ENVELOPE_SENDER_MAX ||
	    memchr(env.sender.len ? env.sender.p : "", 0, env.sender.len))
		return err_set(e, ERR_CORRUPT, "envelope: bad sender");
	*ret = env;
	return 0;
}

int
envelope_verify(
    const struct envelope *env, const uint8_t public_key[SIGN_PUBLIC_LEN])
{
	uint8_t *bytes;
	size_t len;
	int rc;

	if (env->signature.len != SIGN_LEN || env->payload.len > ENVELOPE_MAX ||
	    env->sender.len > ENVELOPE_SENDER_MAX)
		return ERR_SIGNATURE;
	bytes = envelope_canonical(env, &len);
	if (bytes == NULL)
		return ERR_NOMEM;
	rc = crypto_sign_verify_detached(
	    (const uint8_t *)env->signature.p, bytes, len, public_key);
	free(bytes);
	return rc == 0 ? 0 : ERR_SIGNATURE;
}

/* The code and text of an ErrorReply, as this function's own failure. */
static int
envelope_error_reply(struct str payload, struct error *e)
{
	Hg__ErrorReply *m;
	struct arena a;
	int rc;

	arena_init(&a, 1024, 64 << 10);
	m = proto_unpack(&hg__error_reply__descriptor, payload, &a);
	if (m == NULL)
		rc = err_set(e, ERR_CORRUPT, "malformed error reply");
	else
		rc = err_set(e, m->code < 0 ? m->code : ERR_INTERNAL,
		    "control plane: %s", m->text);
	arena_release(&a);
	return rc;
}

int
envelope_open_reply(struct str bytes,
    const uint8_t control_key[SIGN_PUBLIC_LEN], uint64_t boot_epoch,
    uint64_t seq, uint32_t want_type, struct envelope *ret, struct error *e)
{
	struct envelope env;
	int rc = envelope_open(bytes, &env, e);

	if (rc != 0)
		return rc;
	rc = envelope_verify(&env, control_key);
	if (rc != 0)
		return err_set(
		    e, rc, "reply is not signed by the control plane");
	if (!str_eqz(env.sender, ENVELOPE_CONTROL) || env.seq != seq ||
	    env.boot_epoch != boot_epoch)
		return err_set(
		    e, ERR_SIGNATURE, "reply does not answer this request");
	if (env.type == HG__MESSAGE_TYPE__MSG_ERROR)
		return envelope_error_reply(env.payload, e);
	if (env.type != want_type)
		return err_set(e, ERR_INVALID, "reply of type %u instead of %u",
		    env.type, want_type);
	*ret = env;
	return 0;
}

static void *
unpack_alloc(void *arena, size_t n)
{
	return arena_alloc(arena, n != 0 ? n : 1);
}

static void
unpack_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

void *
proto_unpack(
    const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *a)
{
	ProtobufCAllocator alloc = {unpack_alloc, unpack_free, a};
	static const uint8_t empty[1];

	return protobuf_c_message_unpack(type, &alloc, bytes.len,
	    bytes.len != 0 ? (const uint8_t *)bytes.p : empty);
}
