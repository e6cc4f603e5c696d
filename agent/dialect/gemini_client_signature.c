/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of other providers as thoughtSignature and back, byte-exact.
 *
 * The field is bytes in base64: SDKs decode it, and some encode it again in
 * the URL-safe alphabet. So what is no standard base64 is wrapped (base64 of
 * it behind a mark), and what comes back is brought to the standard alphabet
 * first. Encrypted thinking has a mark of its own.
 */
#include <sodium.h>
#include <string.h>

#include "agent/dialect/gemini_client.h"

/* Marks: 9 bytes in base64. */
#define GEMC_REDACTED STR("aGctcmVkYWN0")
#define GEMC_OPAQUE   STR("aGctb3BhcXVl")

/* Whole groups of the alphabet whose last two characters are given, padding
 * at the end. */
static bool
gemc_is_base64(struct str s, char c62, char c63)
{
	size_t i, n = s.len;

	if (s.len == 0 || s.len % 4 != 0)
		return false;
	if (s.p[n - 1] == '=')
		n -= s.p[n - 2] == '=' ? 2 : 1;
	for (i = 0; i < n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == c62 || c == c63))
			return false;
	}
	return true;
}

static void
gemc_wrap(struct buf *out, struct str s)
{
	size_t cap =
	    sodium_base64_encoded_len(s.len, sodium_base64_VARIANT_ORIGINAL);

	(void)buf_add_str(out, GEMC_OPAQUE);
	if (buf_reserve(out, cap) != 0)
		return;
	(void)sodium_bin2base64(out->data + out->len, cap,
	    (const unsigned char *)s.p, s.len, sodium_base64_VARIANT_ORIGINAL);
	out->len += cap - 1; /* without the NUL */
}

void
gemc_signature_write(struct buf *out, struct str sig, bool redacted)
{
	if (sig.len == 0)
		return;
	(void)buf_addz(out, ",\"thoughtSignature\":\"");
	if (redacted)
		(void)buf_add_str(out, GEMC_REDACTED);
	if (gemc_is_base64(sig, '+', '/') && !str_starts(sig, GEMC_REDACTED) &&
	    !str_starts(sig, GEMC_OPAQUE))
		(void)buf_add_str(out, sig);
	else
		gemc_wrap(out, sig);
	(void)buf_addc(out, '"');
}

static bool
gemc_is_esc(struct str s)
{
	struct json_limits lim = {s.len + 2, 1, 1};
	struct buf b;
	bool ok;

	buf_init(&b, s.len + 2);
	(void)buf_addc(&b, '"');
	(void)buf_add_str(&b, s);
	(void)buf_addc(&b, '"');
	ok = buf_error(&b) == 0 && json_validate(buf_str(&b), &lim, NULL) == 0;
	buf_release(&b);
	return ok;
}

/* What was wrapped. It went through the client's hands: it must be content of
 * a JSON string again. */
static int
gemc_unwrap(struct arena *a, struct str *sig)
{
	struct str in = {sig->p + GEMC_OPAQUE.len, sig->len - GEMC_OPAQUE.len};
	unsigned char *to = arena_alloc(a, in.len + 1);
	size_t n = 0;

	if (to == NULL)
		return ERR_NOMEM;
	if (base64_decode(in, sodium_base64_VARIANT_ORIGINAL, NULL, to,
		in.len + 1, &n) != 0)
		return ERR_INVALID;
	*sig = str_make((const char *)to, n);
	return gemc_is_esc(*sig) ? 0 : ERR_INVALID;
}

int
gemc_signature_read(struct arena *a, struct str *sig, bool *redacted)
{
	struct str s = *sig;
	size_t i;
	char *to;

	*redacted = false;
	if (!gemc_is_base64(s, '+', '/') && gemc_is_base64(s, '-', '_')) {
		to = arena_strdup(a, s);
		if (to == NULL)
			return ERR_NOMEM;
		for (i = 0; i < s.len; i++) {
			if (to[i] == '-')
				to[i] = '+';
			else if (to[i] == '_')
				to[i] = '/';
		}
		s.p = to;
	}
	if (str_starts(s, GEMC_REDACTED)) {
		*redacted = true;
		s.p += GEMC_REDACTED.len;
		s.len -= GEMC_REDACTED.len;
	}
	*sig = s;
	return str_starts(s, GEMC_OPAQUE) ? gemc_unwrap(a, sig) : 0;
}
