/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto/pack: the bytes are those of protobuf-c for every message of the
 * contract, whatever its fields hold.
 */
#include "common/arena.h"
#include "common/rng.h"
#include "proto/envelope.h"
#include "proto/headgate.pb-c.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

#define ROUNDS 400

static const ProtobufCMessageDescriptor *const messages[] = {
    &hg__error_reply__descriptor, &hg__enrol_request__descriptor,
    &hg__hello__descriptor, &hg__hello_reply__descriptor, &hg__item__descriptor,
    &hg__bundle__descriptor, &hg__sealed_delta__descriptor,
    &hg__heartbeat__descriptor, &hg__heartbeat_reply__descriptor,
    &hg__usage_batch__descriptor, &hg__usage_ack__descriptor,
    &hg__envelope__descriptor};

#define N_MESSAGES (sizeof(messages) / sizeof(messages[0]))

static const uint64_t edges[] = {0, 1, 127, 128, 16383, 16384, INT32_MAX,
    UINT32_MAX, UINT32_MAX + UINT64_C(1), INT64_MAX, (uint64_t)INT64_MIN,
    UINT64_MAX};

static ProtobufCMessage *message_any(const ProtobufCMessageDescriptor *d,
    struct rng *rng, struct arena *a, unsigned depth);

static size_t
width(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_SINT64:
		return 8;
	default:
		return 4;
	}
}

static void
value_any(const ProtobufCFieldDescriptor *f, struct rng *rng, void *p,
    struct arena *a, unsigned depth)
{
	uint64_t v = rng_below(rng, 3) == 0 ? rng_below(rng, INT64_MAX)
					    : edges[rng_below(rng, 12)];
	size_t n = rng_below(rng, 4) == 0 ? 0 : rng_below(rng, 300);
	ProtobufCBinaryData bin = {n, arena_zalloc(a, n + 1)};
	ProtobufCMessage *m;
	uint32_t w = (uint32_t)v;

	if (n > 0)
		memset(bin.data, 'a' + (int)(n % 26), n);
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		memcpy(p, &bin.data, sizeof(bin.data));
		break;
	case PROTOBUF_C_TYPE_BYTES:
		memcpy(p, &bin, sizeof(bin));
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		m = message_any(f->descriptor, rng, a, depth + 1);
		memcpy(p, &m, sizeof(m));
		break;
	case PROTOBUF_C_TYPE_BOOL:
		w &= 1;
		memcpy(p, &w, 4);
		break;
	default:
		memcpy(p, width(f) == 8 ? (void *)&v : (void *)&w, width(f));
	}
}

static ProtobufCMessage *
message_any(const ProtobufCMessageDescriptor *d, struct rng *rng,
    struct arena *a, unsigned depth)
{
	char *m = arena_zalloc(a, d->sizeof_message);

	d->message_init((ProtobufCMessage *)(void *)m);
	for (unsigned i = 0; i < d->n_fields && depth < 5; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		size_t n = rng_below(rng, 4);
		char *list;

		if (rng_below(rng, 4) == 0)
			continue; /* as it is by itself */
		if (f->label != PROTOBUF_C_LABEL_REPEATED) {
			value_any(f, rng, m + f->offset, a, depth);
			continue;
		}
		list = arena_zalloc(a, n * width(f) + 1);
		for (size_t k = 0; k < n; k++)
			value_any(f, rng, list + k * width(f), a, depth);
		memcpy(m + f->offset, &list, sizeof(list));
		memcpy(m + f->quantifier_offset, &n, sizeof(n));
	}
	return (ProtobufCMessage *)(void *)m;
}

START_TEST(test_same_bytes)
{
	struct rng_seeded rng;
	struct buf ours;
	struct arena a;

	rng_seeded_init(&rng, 3 + (uint64_t)_i);
	arena_init(&a, 1 << 16, (size_t)64 << 20);
	buf_init(&ours, (size_t)32 << 20);
	for (unsigned round = 0; round < ROUNDS; round++) {
		ProtobufCMessage *m =
		    message_any(messages[_i], &rng.rng, &a, 0);
		size_t n = protobuf_c_message_get_packed_size(m);
		uint8_t *theirs = malloc(n + 1);

		ck_assert_uint_eq(protobuf_c_message_pack(m, theirs), n);
		buf_clear(&ours);
		(void)buf_addz(&ours, "before");
		ck_assert_int_eq(proto_pack(m, &ours), 0);
		ck_assert_uint_eq(ours.len, n + 6);
		ck_assert_mem_eq(ours.data, "before", 6);
		ck_assert_int_eq(memcmp(ours.data + 6, theirs, n), 0);
		free(theirs);
		arena_clear(&a);
	}
	buf_release(&ours);
	arena_release(&a);
}
END_TEST

START_TEST(test_limits)
{
	char text[3000];
	Hg__ErrorReply m;
	struct buf b;
	size_t n;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	hg__error_reply__init(&m);
	m.text = text;
	n = hg__error_reply__get_packed_size(&m);
	buf_init(&b, n);
	ck_assert_int_eq(proto_pack(&m.base, &b), 0);
	ck_assert_uint_eq(b.len, n);
	ck_assert_int_eq(proto_pack(&m.base, &b), ERR_TOO_LARGE);
	ck_assert_int_eq(buf_error(&b), ERR_TOO_LARGE); /* sticky */
	buf_release(&b);
	buf_init(&b, n - 1);
	ck_assert_int_eq(proto_pack(&m.base, &b), ERR_TOO_LARGE);
	ck_assert_uint_eq(b.len, 0);
	buf_release(&b);
}
END_TEST

START_TEST(test_no_memory)
{
	char text[3000];
	Hg__ErrorReply m;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	hg__error_reply__init(&m);
	m.text = text;
	EACH_OOM
	{
		struct buf b;
		int rc;

		buf_init(&b, 1 << 20);
		rc = proto_pack(&m.base, &b);
		if (oom_hit()) {
			ck_assert_int_eq(rc, ERR_NOMEM);
			ck_assert_uint_eq(b.len, 0);
		} else {
			ck_assert_int_eq(rc, 0);
		}
		buf_release(&b);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/pack");
	TCase *tc = tcase_create("pack");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_same_bytes, 0, N_MESSAGES);
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_no_memory);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
