/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden bytes: every message of the contract, with every field set to a
 * value that depends on its number, must pack to the bytes in golden/NAME.hex
 * for ever (proto/COMPAT.md). A new field appends bytes; UPDATE_GOLDEN=1
 * writes the files anew. Old bytes must still unpack: golden/v1.0/ keeps
 * those of the first release.
 */
#include <dirent.h>
#include <stdio.h>
#include <sodium.h>

#include "common/arena.h"
#include "proto/envelope.h"
#include "proto/headgate.pb-c.h"
#include "tests/unit/support/unit.h"

#define GOLDEN "tests/unit/proto/golden/"

static const ProtobufCMessageDescriptor *const messages[] = {
    &hg__error_reply__descriptor, &hg__enrol_request__descriptor,
    &hg__enrol_reply__descriptor, &hg__hello__descriptor,
    &hg__hello_reply__descriptor, &hg__join_token__descriptor,
    &hg__owner__descriptor, &hg__key__descriptor, &hg__provider__descriptor,
    &hg__model__descriptor, &hg__deployment__descriptor, &hg__route__descriptor,
    &hg__budget__descriptor, &hg__limit__descriptor, &hg__item__descriptor,
    &hg__bundle__descriptor, &hg__signed_bundle__descriptor,
    &hg__sealed_delta__descriptor, &hg__pull_request__descriptor,
    &hg__pull_reply__descriptor, &hg__heartbeat__descriptor,
    &hg__heartbeat_reply__descriptor, &hg__usage_record__descriptor,
    &hg__usage_batch__descriptor, &hg__usage_ack__descriptor,
    &hg__envelope__descriptor,
    /* not in the first release */
    &hg__lease_recall__descriptor};

#define N_MESSAGES (sizeof(messages) / sizeof(messages[0]))
#define N_FIRST	   (N_MESSAGES - 1) /* of the first release */

static void *golden_message(
    const ProtobufCMessageDescriptor *d, struct arena *a);

/* One value of the field into p; i counts the elements of a repeated one. */
static void
golden_value(
    const ProtobufCFieldDescriptor *f, unsigned i, void *p, struct arena *a)
{
	uint64_t v = f->id * 1000 + i + 1;
	ProtobufCBinaryData bin;
	char *text;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		text = arena_printf(a, "%s-%u", f->name, i);
		memcpy(p, &text, sizeof(text));
		break;
	case PROTOBUF_C_TYPE_BYTES:
		bin.data = (uint8_t *)arena_printf(a, "%s%c%u", f->name, 1, i);
		bin.len = strlen((const char *)bin.data);
		memcpy(p, &bin, sizeof(bin));
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		text = golden_message(f->descriptor, a);
		memcpy(p, &text, sizeof(text));
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		v = v * UINT64_C(1000000007);
		memcpy(p, &v, 8);
		break;
	case PROTOBUF_C_TYPE_BOOL:
	case PROTOBUF_C_TYPE_ENUM: {
		uint32_t one = 1;

		memcpy(p, &one, 4);
		break;
	}
	default: {
		uint32_t w = (uint32_t)v;

		memcpy(p, &w, 4);
	}
	}
}

static size_t
golden_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		return 8;
	default:
		return 4;
	}
}

static void *
golden_message(const ProtobufCMessageDescriptor *d, struct arena *a)
{
	char *m = arena_zalloc(a, d->sizeof_message);
	unsigned i, j;

	d->message_init((ProtobufCMessage *)(void *)m);
	for (i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		size_t n = 2;
		char *list;

		if (f->label != PROTOBUF_C_LABEL_REPEATED) {
			golden_value(f, 0, m + f->offset, a);
			continue;
		}
		list = arena_zalloc(a, n * golden_size(f));
		for (j = 0; j < n; j++)
			golden_value(f, j, list + j * golden_size(f), a);
		memcpy(m + f->offset, &list, sizeof(list));
		memcpy(m + f->quantifier_offset, &n, sizeof(n));
	}
	return m;
}

static size_t
golden_read(const char *path, char *hex, size_t cap)
{
	FILE *f = fopen(path, "r");
	size_t n = 0;
	int c;

	ck_assert_msg(f != NULL, "%s is missing", path);
	while ((c = fgetc(f)) != EOF && n + 1 < cap)
		if (c != '\n')
			hex[n++] = (char)c;
	hex[n] = '\0';
	fclose(f);
	return n;
}

static void
golden_write(const char *path, const char *hex)
{
	FILE *f = fopen(path, "w");
	size_t i, n = strlen(hex);

	ck_assert_ptr_nonnull(f);
	for (i = 0; i < n; i += 78)
		fprintf(f, "%.78s\n", hex + i);
	fclose(f);
}

static char hex_now[1 << 20], hex_old[1 << 20], path[300];
static uint8_t bytes[1 << 19];

START_TEST(test_golden)
{
	const ProtobufCMessageDescriptor *d = messages[_i];
	struct buf packed, again;
	ProtobufCMessage *m;
	struct arena a;

	arena_init(&a, 1 << 16, 16 << 20);
	buf_init(&packed, 1 << 20);
	buf_init(&again, 1 << 20);
	m = golden_message(d, &a);
	ck_assert_int_eq(proto_pack(m, &packed), 0);
	hex_encode(packed.data, packed.len, hex_now);
	snprintf(path, sizeof(path), GOLDEN "%s.hex", d->short_name);
	if (getenv("UPDATE_GOLDEN") != NULL)
		golden_write(path, hex_now);
	golden_read(path, hex_old, sizeof(hex_old));
	ck_assert_msg(strcmp(hex_now, hex_old) == 0,
	    "%s packs to other bytes than %s", d->short_name, path);
	m = proto_unpack(d, buf_str(&packed), &a);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(proto_pack(m, &again), 0);
	ck_assert_uint_eq(again.len, packed.len);
	ck_assert_mem_eq(again.data, packed.data, packed.len);
	buf_release(&packed);
	buf_release(&again);
	arena_release(&a);
}
END_TEST

/* Bytes of the first release unpack, and lose nothing when packed again. */
START_TEST(test_first_release)
{
	const ProtobufCMessageDescriptor *d = messages[_i];
	ProtobufCMessage *m;
	struct buf again;
	struct arena a;
	size_t n;

	snprintf(path, sizeof(path), GOLDEN "v1.0/%s.hex", d->short_name);
	if (getenv("UPDATE_GOLDEN_V1") != NULL) {
		snprintf(path, sizeof(path), GOLDEN "%s.hex", d->short_name);
		golden_read(path, hex_old, sizeof(hex_old));
		snprintf(
		    path, sizeof(path), GOLDEN "v1.0/%s.hex", d->short_name);
		golden_write(path, hex_old);
	}
	n = golden_read(path, hex_old, sizeof(hex_old));
	ck_assert_int_eq(hex_decode(str_of(hex_old), bytes, n / 2), 0);
	arena_init(&a, 1 << 16, 16 << 20);
	buf_init(&again, 1 << 20);
	m = proto_unpack(d, str_make((char *)bytes, n / 2), &a);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(proto_pack(m, &again), 0);
	ck_assert_uint_eq(again.len, n / 2);
	ck_assert_mem_eq(again.data, bytes, again.len);
	buf_release(&again);
	arena_release(&a);
}
END_TEST

/* Every prefix of every message is refused or read, never a crash; and no
 * arena limit is passed. */
START_TEST(test_truncated)
{
	const ProtobufCMessageDescriptor *d = messages[_i];
	struct buf packed;
	struct arena a;
	size_t i;

	arena_init(&a, 1 << 16, 16 << 20);
	buf_init(&packed, 1 << 20);
	ck_assert_int_eq(proto_pack(golden_message(d, &a), &packed), 0);
	for (i = 0; i < packed.len; i += 1 + packed.len / 2000) {
		struct arena small;

		arena_init(&small, 1024, 1 << 20);
		(void)proto_unpack(d, str_make(packed.data, i), &small);
		arena_release(&small);
		arena_init(&small, 64, 256);
		(void)proto_unpack(d, buf_str(&packed), &small);
		ck_assert_uint_le(small.used, 256);
		arena_release(&small);
	}
	buf_release(&packed);
	arena_release(&a);
}
END_TEST

/* A field that this side does not know survives re-packing of an item. */
START_TEST(test_unknown_fields_stay)
{
	static const char item[] = {0x08, 4, 0x10, 7, 0x1a, 1, 'k', 0x5a, 4,
	    0x08, 3, (char)0xf8, 0x01, (char)0x92, 0x03, 2, 'n', 'w'};
	ProtobufCMessage *m;
	struct buf again;
	struct arena a;

	/* the inner field 31 is malformed on purpose: its value is missing */
	arena_init(&a, 1024, 65536);
	buf_init(&again, 1024);
	ck_assert_ptr_null(proto_unpack(
	    &hg__item__descriptor, str_make(item, sizeof(item)), &a));
	arena_clear(&a);
	{
		static const char good[] = {0x08, 4, 0x10, 7, 0x1a, 1, 'k',
		    0x5a, 5, 0x08, 3, (char)0xf8, 0x01, 9, (char)0x92, 0x03, 2,
		    'n', 'w'};

		m = proto_unpack(
		    &hg__item__descriptor, str_make(good, sizeof(good)), &a);
		ck_assert_ptr_nonnull(m);
		ck_assert_int_eq(proto_pack(m, &again), 0);
		ck_assert_uint_eq(again.len, sizeof(good));
		ck_assert_mem_eq(again.data, good, sizeof(good));
	}
	buf_release(&again);
	arena_release(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/golden");
	TCase *tc = tcase_create("golden");

	tcase_add_loop_test(tc, test_golden, 0, N_MESSAGES);
	tcase_add_loop_test(tc, test_first_release, 0, N_FIRST);
	tcase_add_loop_test(tc, test_truncated, 0, N_MESSAGES);
	tcase_add_test(tc, test_unknown_fields_stay);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
