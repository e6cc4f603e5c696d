/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto/envelope: the canonical bytes, every single-bit change is noticed,
 * limits, replies that answer another request.
 */
#include "proto/envelope.h"

#include <sodium.h>
#include <stdio.h>

#include "common/rng.h"
#include "proto/headgate.pb-c.h"
#include "proto/wire.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static uint8_t pk[SIGN_PUBLIC_LEN], sk[SIGN_SECRET_LEN];
static struct error e;

static struct envelope
sample(void)
{
	return (struct envelope){.type = HG__MESSAGE_TYPE__MSG_HELLO,
	    .boot_epoch = UINT64_C(0x1122334455667788),
	    .seq = 42,
	    .sender = STR("01890000-0000-7000-8000-000000000001"),
	    .payload = STR("payload bytes")};
}

START_TEST(test_round_trip)
{
	struct envelope in = sample(), out;
	struct buf b;

	buf_init(&b, ENVELOPE_MAX);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), 0);
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), 0);
	ck_assert_int_eq(envelope_verify(&out, pk), 0);
	ck_assert_uint_eq(out.version, ENVELOPE_VERSION);
	ck_assert_uint_eq(out.type, in.type);
	ck_assert_uint_eq(out.boot_epoch, in.boot_epoch);
	ck_assert_uint_eq(out.seq, in.seq);
	ck_assert(str_eq(out.sender, in.sender));
	ck_assert(str_eq(out.payload, in.payload));
	buf_release(&b);
}
END_TEST

/* The signature covers exactly the bytes that the header describes. */
START_TEST(test_canonical)
{
	uint8_t bytes[300], *p = bytes;
	struct envelope in = sample(), out;
	struct buf b;

	memcpy(p, "headgate-envelope-v1", 21);
	p += 21;
	memcpy(p, "\1\0\0\0\3\0\0\0\x88\x77\x66\x55\x44\x33\x22\x11", 16);
	p += 16;
	memcpy(p, "\x2a\0\0\0\0\0\0\0\x24\0\0\0", 12);
	p += 12;
	memcpy(p, in.sender.p, 36);
	p += 36;
	memcpy(p, "\x0d\0\0\0payload bytes", 17);
	p += 17;
	buf_init(&b, ENVELOPE_MAX);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), 0);
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), 0);
	ck_assert_int_eq(
	    crypto_sign_verify_detached((const uint8_t *)out.signature.p, bytes,
		(size_t)(p - bytes), pk),
	    0);
	buf_release(&b);
}
END_TEST

START_TEST(test_every_bit)
{
	struct envelope in = sample(), out;
	struct buf b;
	size_t i;

	buf_init(&b, ENVELOPE_MAX);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), 0);
	for (i = 0; i < b.len * 8; i++) {
		int rc;

		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << i % 8));
		rc = envelope_open(buf_str(&b), &out, &e);
		if (rc == 0)
			rc = envelope_verify(&out, pk);
		ck_assert_msg(rc != 0, "bit %zu may change", i);
		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << i % 8));
	}
	for (i = 0; i < b.len; i++)
		ck_assert_int_ne(
		    envelope_open(str_make(b.data, i), &out, &e), 0);
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), 0);
	ck_assert_int_eq(envelope_verify(&out, pk), 0);
	buf_release(&b);
}
END_TEST

START_TEST(test_other_key)
{
	uint8_t pk2[SIGN_PUBLIC_LEN], sk2[SIGN_SECRET_LEN];
	struct envelope in = sample(), out;
	struct buf b;

	sign_keypair(pk2, sk2);
	buf_init(&b, ENVELOPE_MAX);
	ck_assert_int_eq(envelope_pack(&in, sk2, &b), 0);
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), 0);
	ck_assert_int_eq(envelope_verify(&out, pk), ERR_SIGNATURE);
	ck_assert_int_eq(envelope_verify(&out, pk2), 0);
	buf_release(&b);
}
END_TEST

START_TEST(test_limits)
{
	static char big[ENVELOPE_MAX + 1];
	struct envelope in = sample(), out;
	char sender[80];
	struct buf b;

	buf_init(&b, ENVELOPE_MAX);
	in.payload = str_make(big, ENVELOPE_PAYLOAD_MAX);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), 0);
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), 0);
	ck_assert_int_eq(envelope_verify(&out, pk), 0);
	buf_clear(&b);
	in.payload.len++;
	ck_assert_int_eq(envelope_pack(&in, sk, &b), ERR_TOO_LARGE);
	ck_assert_int_eq(
	    envelope_open(str_make(big, sizeof(big)), &out, &e), ERR_TOO_LARGE);
	memset(sender, 'a', sizeof(sender));
	in = sample();
	in.sender = str_make(sender, ENVELOPE_SENDER_MAX + 1);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), ERR_TOO_LARGE);
	in.sender.len--;
	ck_assert_int_eq(envelope_pack(&in, sk, &b), 0);
	buf_release(&b);
	buf_init(&b, 20);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), ERR_TOO_LARGE);
	buf_release(&b);
}
END_TEST

START_TEST(test_strict_fields)
{
	struct envelope in = sample(), out;
	struct buf b;
	size_t n;

	buf_init(&b, ENVELOPE_MAX);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), 0);
	n = b.len;
	/* a field of a newer peer is ignored */
	buf_add(&b, "\x7a\x02zz", 4);
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), 0);
	ck_assert_int_eq(envelope_verify(&out, pk), 0);
	/* a field that comes twice is not */
	b.len = n;
	buf_add(&b, "\x20\x01", 2);
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), ERR_CORRUPT);
	b.len = n;
	buf_add(&b, "\x10\x01", 2); /* sender as a number */
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), ERR_CORRUPT);
	b.len = n;
	b.data[1] = 2; /* envelope version 2 */
	ck_assert_int_eq(envelope_open(buf_str(&b), &out, &e), ERR_VERSION);
	buf_release(&b);
}
END_TEST

START_TEST(test_reply)
{
	struct envelope in = sample(), out;
	Hg__ErrorReply err;
	struct buf b;
	char text[] = "no\nsuch";

	buf_init(&b, ENVELOPE_MAX);
	in.sender = STR(ENVELOPE_CONTROL);
	ck_assert_int_eq(envelope_pack(&in, sk, &b), 0);
	ck_assert_int_eq(envelope_open_reply(buf_str(&b), pk, in.boot_epoch, 42,
			     in.type, &out, &e),
	    0);
	ck_assert_int_eq(envelope_open_reply(buf_str(&b), pk, in.boot_epoch, 43,
			     in.type, &out, &e),
	    ERR_SIGNATURE);
	ck_assert_int_eq(
	    envelope_open_reply(buf_str(&b), pk, 1, 42, in.type, &out, &e),
	    ERR_SIGNATURE);
	ck_assert_int_eq(envelope_open_reply(buf_str(&b), pk, in.boot_epoch, 42,
			     in.type + 1, &out, &e),
	    ERR_INVALID);
	buf_clear(&b);
	hg__error_reply__init(&err);
	err.code = ERR_FORBIDDEN;
	err.text = text;
	in.type = HG__MESSAGE_TYPE__MSG_ERROR;
	ck_assert_int_eq(envelope_pack_message(&in, &err.base, sk, &b), 0);
	ck_assert_int_eq(envelope_open_reply(buf_str(&b), pk, in.boot_epoch, 42,
			     HG__MESSAGE_TYPE__MSG_HELLO, &out, &e),
	    ERR_FORBIDDEN);
	ck_assert_str_eq(e.text, "control plane: no?such");
	buf_release(&b);
}
END_TEST

START_TEST(test_wire)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool bad;
	} cases[] = {
	    {"", 0, false},
	    {"\x08", 1, true},
	    {"\x08\x80", 2, true},
	    {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, false},
	    {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, true},
	    {"\x0b", 1, true},	     /* group */
	    {"\x00\x01", 2, true},   /* field 0 */
	    {"\x0a\x05zz", 4, true}, /* longer than the rest */
	    {"\x0d\1\2\3\4", 5, false},
	    {"\x09\1\2\3\4", 5, true},
	};
	struct wire_field f;
	struct wire w;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wire_init(&w, str_make(cases[i].bytes, cases[i].n));
		while (wire_next(&w, &f))
			;
		ck_assert_msg(w.bad == cases[i].bad, "case %zu", i);
	}
}
END_TEST

START_TEST(test_oom)
{
	struct envelope in = sample(), out;
	Hg__ErrorReply m;
	struct buf b;
	int rc;

	hg__error_reply__init(&m);
	EACH_OOM
	{
		buf_init(&b, ENVELOPE_MAX);
		rc = envelope_pack_message(&in, &m.base, sk, &b);
		if (rc == 0)
			rc = envelope_open(buf_str(&b), &out, &e);
		if (rc == 0)
			rc = envelope_verify(&out, pk);
		ck_assert_int_eq(rc, oom_hit() ? ERR_NOMEM : 0);
		buf_release(&b);
	}
	ck_assert_uint_ge(oom_failures(), 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto/envelope");

	sign_keypair(pk, sk);
	UNIT_ADD(s, test_round_trip);
	UNIT_ADD(s, test_canonical);
	UNIT_ADD(s, test_every_bit);
	UNIT_ADD(s, test_other_key);
	UNIT_ADD(s, test_limits);
	UNIT_ADD(s, test_strict_fields);
	UNIT_ADD(s, test_reply);
	UNIT_ADD(s, test_wire);
	UNIT_ADD(s, test_oom);
	return unit_run(s);
}
