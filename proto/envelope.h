/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope around every message of the channel: who sent it (agent id,
 * boot epoch, sequence), what it is, and an Ed25519 signature over exactly
 * these bytes (little endian):
 *
 *   "headgate-envelope-v1\0" | version u32 | type u32 | boot_epoch u64 |
 *   seq u64 | sender length u32 + bytes | payload length u32 + bytes
 *
 * The wire form is the protobuf message hg.Envelope. Requests are signed with
 * the agent's key, replies and published messages with the control plane's.
 * A reply repeats boot_epoch and seq of its request, so that a recorded reply
 * cannot answer another request; "sender" of a reply is CHANNEL_CONTROL.
 *
 * All functions are pure; any thread may call them on its own objects.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "common/arena.h"
#include "common/buf.h"

#define ENVELOPE_VERSION     1u
#define ENVELOPE_MAX	     ((size_t)4 << 20) /* wire bytes of one message */
#define ENVELOPE_PAYLOAD_MAX (ENVELOPE_MAX - 4096)
#define ENVELOPE_SENDER_MAX  64
#define ENVELOPE_CONTROL     "control" /* sender of the control plane */

/* Minor 1: price lines by tier and size of input, budgets that count a part of
 * the requests. Minor 2: budgets for each value (item_schema_minor()). */
#define PROTO_SCHEMA_MAJOR 1u
#define PROTO_SCHEMA_MINOR 2u

/* Lease reports in one heartbeat: one with more is refused as a whole. */
#define PROTO_LEASE_REPORTS_MAX 4096

#define SIGN_PUBLIC_LEN 32 /* Ed25519 */
#define SIGN_SECRET_LEN 64
#define SIGN_LEN	64

/* An opened envelope; all slices point into the bytes given to open. */
struct envelope {
	uint32_t version, type; /* type: Hg__MessageType */
	uint64_t boot_epoch, seq;
	struct str sender;
	struct str payload;
	struct str signature; /* SIGN_LEN bytes */
};

/* Fresh Ed25519 key pair (libsodium's generator). */
void sign_keypair(
    uint8_t public_key[SIGN_PUBLIC_LEN], uint8_t secret[SIGN_SECRET_LEN]);

/* Sign head and payload with `secret` and append the wire bytes to `out`.
 * env->signature is ignored. ERR_TOO_LARGE beyond the limits above,
 * ERR_NOMEM or ERR_TOO_LARGE from `out`. */
int envelope_pack(const struct envelope *env,
    const uint8_t secret[SIGN_SECRET_LEN], struct buf *out) MUST_CHECK;

/* As envelope_pack, with a protobuf message as the payload. */
int envelope_pack_message(const struct envelope *env,
    const ProtobufCMessage *message, const uint8_t secret[SIGN_SECRET_LEN],
    struct buf *out) MUST_CHECK;

/* Split wire bytes without allocating. The signature is NOT checked: look up
 * the sender's key, then envelope_verify(). ERR_TOO_LARGE, ERR_CORRUPT, or
 * ERR_VERSION for an envelope version other than ENVELOPE_VERSION. */
int envelope_open(
    struct str bytes, struct envelope *ret, struct error *e) MUST_CHECK;

/* 0 or ERR_SIGNATURE. */
int envelope_verify(const struct envelope *env,
    const uint8_t public_key[SIGN_PUBLIC_LEN]) MUST_CHECK;

/* Agent side: open a reply, verify it with the control plane's key and check
 * that it answers the request (boot_epoch, seq). An ErrorReply becomes its
 * code and text in e (never 0). ERR_SIGNATURE, ERR_CORRUPT, ERR_VERSION;
 * ERR_INVALID when the type is not want_type. */
int envelope_open_reply(struct str bytes,
    const uint8_t control_key[SIGN_PUBLIC_LEN], uint64_t boot_epoch,
    uint64_t seq, uint32_t want_type, struct envelope *ret,
    struct error *e) MUST_CHECK;

/* Unpack a protobuf message into the arena: it lives until the arena is
 * cleared, is never freed by itself, and cannot use more memory than the
 * arena allows. NULL when malformed or too large. */
void *proto_unpack(
    const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *a);

/* Append the packed message to `out`. ERR_NOMEM or ERR_TOO_LARGE. */
int proto_pack(const ProtobufCMessage *message, struct buf *out) MUST_CHECK;

#endif
