/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What arrives on the channel, before and after its signature was checked:
 * envelopes, every message, signed bundles, sealed deltas, join tokens. The
 * first byte chooses which.
 */
#include <stdlib.h>

#include "proto/bundle.h"
#include "proto/headgate.pb-c.h"
#include "proto/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const messages[] = {
    &hg__envelope__descriptor, &hg__error_reply__descriptor,
    &hg__enrol_request__descriptor, &hg__enrol_reply__descriptor,
    &hg__hello__descriptor, &hg__hello_reply__descriptor,
    &hg__join_token__descriptor, &hg__item__descriptor, &hg__bundle__descriptor,
    &hg__pull_request__descriptor, &hg__pull_reply__descriptor,
    &hg__heartbeat__descriptor, &hg__heartbeat_reply__descriptor,
    &hg__usage_batch__descriptor, &hg__usage_ack__descriptor};
#define N_MESSAGES (sizeof(messages) / sizeof(messages[0]))

static void
fuzz_envelope(struct str in)
{
	static const uint8_t key[SIGN_PUBLIC_LEN] = {1};
	struct envelope env;
	struct error e;

	if (envelope_open(in, &env, &e) != 0)
		return;
	MUST(env.signature.len == SIGN_LEN);
	MUST(env.sender.len <= ENVELOPE_SENDER_MAX);
	MUST(env.payload.len <= in.len);
	MUST(envelope_verify(&env, key) != 0);
}

/* Unpacked, packed again and unpacked: nothing may be lost, and memory stays
 * inside the arena. */
static void
fuzz_message(const ProtobufCMessageDescriptor *type, struct str in)
{
	ProtobufCMessage *m;
	struct buf once, twice;
	struct arena a;

	arena_init(&a, 4096, 4 << 20);
	buf_init(&once, 64 << 20);
	buf_init(&twice, 64 << 20);
	m = proto_unpack(type, in, &a);
	if (m != NULL && proto_pack(m, &once) == 0) {
		arena_clear(&a);
		m = proto_unpack(type, buf_str(&once), &a);
		MUST(m == NULL || proto_pack(m, &twice) == 0);
		MUST(m == NULL || str_eq(buf_str(&once), buf_str(&twice)));
	}
	MUST(a.used <= 4 << 20);
	buf_release(&once);
	buf_release(&twice);
	arena_release(&a);
}

static void
fuzz_sealed(struct str in)
{
	static const uint8_t key[GROUP_KEY_LEN] = {1};
	struct error e;
	struct str inner;
	struct buf out;

	MUST(bundle_verify(in, key, &inner, &e) != 0);
	buf_init(&out, 4 << 20);
	MUST(delta_open(in, "eu", key, &out, &e) != 0);
	MUST(out.len == 0);
	buf_release(&out);
}

/* What parses says the same when it is formatted and parsed again. */
static void
fuzz_join(struct str in)
{
	struct join_token t, again;
	struct error e;
	struct buf text;

	if (join_token_parse(in, &t, &e) != 0)
		return;
	buf_init(&text, JOIN_TEXT_MAX);
	if (join_token_format(&t, &text) == 0) {
		MUST(join_token_parse(buf_str(&text), &again, &e) == 0);
		MUST(str_eqz(str_of(t.token_id), again.token_id));
		MUST(t.n_addresses == again.n_addresses);
		join_token_release(&again);
	}
	buf_release(&text);
	join_token_release(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in;

	if (size == 0)
		return 0;
	in = str_make((const char *)data + 1, size - 1);
	if (data[0] < N_MESSAGES)
		fuzz_message(messages[data[0]], in);
	else if (data[0] == 'e')
		fuzz_envelope(in);
	else if (data[0] == 's')
		fuzz_sealed(in);
	else if (data[0] == 'j')
		fuzz_join(in);
	return 0;
}
