/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of thinking: a nonce, and a keyed hash of it and the text. */
#include <sodium.h>

#include "tests/provider/exchange.h"
#include "tests/provider/text.h"

#define SIGN_NONCE 16
#define SIGN_HASH  32
#define SIGN_LEN   (SIGN_NONCE + SIGN_HASH)
#define SIGN_TEXT  (sodium_base64_ENCODED_LEN(SIGN_LEN, SIGN_VARIANT))

#define SIGN_VARIANT sodium_base64_VARIANT_ORIGINAL

static const unsigned char sign_key[] = "headgate-provider-signing-key-01";

static void
sign_hash(unsigned char *raw, char kind, struct str text)
{
	crypto_generichash_state st;

	(void)crypto_generichash_init(
	    &st, sign_key, sizeof(sign_key) - 1, SIGN_HASH);
	(void)crypto_generichash_update(&st, raw, SIGN_NONCE);
	(void)crypto_generichash_update(&st, (const unsigned char *)&kind, 1);
	if (text.len > 0)
		(void)crypto_generichash_update(
		    &st, (const unsigned char *)text.p, text.len);
	(void)crypto_generichash_final(&st, raw + SIGN_NONCE, SIGN_HASH);
}

void
sign_add(struct buf *out, uint64_t seed, char kind, struct str text)
{
	unsigned char raw[SIGN_LEN];
	char base64[sodium_base64_ENCODED_LEN(SIGN_LEN, SIGN_VARIANT)];

	for (int i = 0; i < 2; i++) {
		uint64_t v = text_next(&seed);

		memcpy(raw + i * 8, &v, 8);
	}
	sign_hash(raw, kind, text);
	(void)sodium_bin2base64(
	    base64, sizeof(base64), raw, sizeof(raw), SIGN_VARIANT);
	buf_addz(out, base64);
}

bool
sign_check(struct str sig, char kind, struct str text)
{
	unsigned char raw[SIGN_LEN], want[SIGN_LEN];
	size_t len = 0;
	const char *end = NULL;

	if (sig.len == 0 ||
	    sodium_base642bin(raw, sizeof(raw), sig.p, sig.len, NULL, &len,
		&end, SIGN_VARIANT) != 0 ||
	    len != SIGN_LEN || end != sig.p + sig.len)
		return false;
	memcpy(want, raw, SIGN_LEN);
	sign_hash(want, kind, text);
	return memcmp(raw, want, SIGN_LEN) == 0;
}

void
sign_add_block(
    const struct exchange *x, const struct block *b, char kind, struct buf *out)
{
	struct buf text;

	buf_init(&text, 16 * 1024 * 1024);
	plan_text(x, 0, b, -1, &text);
	sign_add(out, x->seed + (uint64_t)b->from, kind, buf_str(&text));
	buf_release(&text);
}
