/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical forms of PEM texts and of secrets, see provider.h. Here they
 * must have the form; whether a certificate is one is asked when it is new
 * (provider_check_change()).
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "controlplane/config/provider.h"

#define PEM_BEGIN "-----BEGIN "
#define PEM_END	  "-----END "
#define PEM_DASH  "-----"
#define PEM_MAX	  ((size_t)128 << 10)

/* The label of "-----BEGIN label-----"; empty when the line is no such. */
static struct str
pem_label(struct str line, const char *prefix)
{
	size_t n = strlen(prefix);

	if (!str_starts(line, str_of(prefix)) ||
	    !str_ends(line, STR(PEM_DASH)) || line.len <= n + 5)
		return STR_NULL;
	return str_make(line.p + n, line.len - n - 5);
}

static bool
pem_base64(struct str s)
{
	unsigned char *bin = malloc(s.len + 1);
	size_t n = 0;
	bool ok;

	ok = bin != NULL && s.len > 0 &&
	     base64_decode(s, sodium_base64_VARIANT_ORIGINAL, "\n", bin,
		 s.len + 1, &n) == 0 &&
	     n > 0;
	if (bin != NULL)
		sodium_memzero(bin, s.len + 1);
	free(bin);
	return ok;
}

/* One block, its first line is label's. Takes lines from *rest. */
static bool
pem_block(struct buf *out, struct str label, struct str *rest)
{
	struct str line, end;
	bool more = true;
	size_t from;

	buf_addz(out, PEM_BEGIN);
	buf_add_str(out, label);
	buf_addz(out, PEM_DASH "\n");
	from = out->len;
	while (more) {
		more = str_cut(*rest, '\n', &line, rest);
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		line = str_trim(line);
		end = pem_label(line, PEM_END);
		if (end.len > 0) {
			if (buf_error(out) != 0 || !str_eq(end, label) ||
			    !pem_base64(
				str_make(out->data + from, out->len - from)))
				return false;
			return buf_addf(out, PEM_END "%.*s" PEM_DASH "\n",
				   STR_ARG(label)) == 0;
		}
		if (line.len == 0)
			continue;
		buf_add_str(out, line);
		buf_addc(out, '\n');
	}
	return false;
}

json_t *
pem_normalise(struct str text, bool *bad)
{
	struct str line, label;
	bool more = true, ok = true;
	json_t *v = NULL;
	struct buf out;

	buf_init(&out, PEM_MAX);
	while (more && ok) {
		more = str_cut(text, '\n', &line, &text);
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		label = pem_label(str_trim(line), PEM_BEGIN);
		/* Text between blocks is a comment. */
		if (label.len > 0)
			ok = pem_block(&out, label, &text);
	}
	*bad = buf_error(&out) != ERR_NOMEM && (!ok || out.len == 0);
	if (ok && out.len > 0 && buf_error(&out) == 0)
		v = json_stringn(out.data, out.len);
	if (out.data != NULL)
		sodium_memzero(out.data, out.cap);
	buf_release(&out);
	return v;
}

bool
pem_is_all(struct str text, const char *label)
{
	struct str line, got;

	while (text.len > 0) {
		(void)str_cut(text, '\n', &line, &text);
		got = pem_label(line, PEM_BEGIN);
		if (got.len > 0 && (!str_ends(got, str_of(label)) ||
				       str_starts(got, STR("ENCRYPTED"))))
			return false;
	}
	return true;
}

/* JSON leaves DEL as it is; agents take no control characters. */
static json_t *
secret_compact(const json_t *o, bool *bad)
{
	char *z = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_t *out;

	if (z == NULL)
		return NULL;
	*bad = strchr(z, 0x7f) != NULL;
	out = *bad ? NULL : json_string(z);
	sodium_memzero(z, strlen(z));
	free(z);
	return out;
}

json_t *
secret_normalise(const json_t *v, bool *bad)
{
	json_error_t why;
	json_t *o, *out;
	struct str s;
	size_t i;

	*bad = false;
	if (json_is_object(v))
		return secret_compact(v, bad);
	s = str_make(json_string_value(v), json_string_length(v));
	for (i = 0; i < s.len && strchr(" \t\r\n", s.p[i]) != NULL; i++)
		;
	if (i < s.len && s.p[i] == '{') {
		o = json_loadb(s.p, s.len, JSON_REJECT_DUPLICATES, &why);
		*bad = o == NULL &&
		       json_error_code(&why) != json_error_out_of_memory;
		out = o != NULL ? secret_compact(o, bad) : NULL;
		json_decref(o);
		return out;
	}
	for (i = 0; i < s.len; i++)
		*bad = *bad || s.p[i] < 0x20 || s.p[i] > 0x7e;
	*bad = *bad || !json_is_string(v);
	return *bad ? NULL : json_stringn(s.p, s.len);
}
