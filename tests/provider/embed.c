/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings: vectors that depend on nothing but the seed and the index. */
#include "tests/provider/exchange.h"
#include "tests/provider/openai.h"
#include "tests/provider/text.h"

const char *const embed_form_names[EMBED_FORMS] = {
    "float", "int8", "uint8", "binary", "ubinary", "base64"};

void
embed_base64(struct buf *out, const unsigned char *p, size_t n)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; n > 0; p += 3, n -= n < 3 ? n : 3) {
		unsigned v = (unsigned)p[0] << 16;

		if (n > 1)
			v |= (unsigned)p[1] << 8;
		if (n > 2)
			v |= p[2];
		buf_addc(out, set[v >> 18]);
		buf_addc(out, set[v >> 12 & 63]);
		buf_addc(out, n > 1 ? set[v >> 6 & 63] : '=');
		buf_addc(out, n > 2 ? set[v & 63] : '=');
	}
}

/* Eight signs a number, the first dimension in the highest bit. */
static void
embed_bits(const int64_t *v, size_t n, int64_t minus, struct buf *out)
{
	for (size_t i = 0; i < n; i += 8) {
		int64_t byte = 0;

		for (size_t k = 0; k < 8; k++)
			byte = byte * 2 + (i + k < n && v[i + k] > 0);
		buf_addf(
		    out, "%s%lld", i > 0 ? "," : "", (long long)(byte - minus));
	}
}

static void
embed_floats(const int64_t *v, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%.9g", i > 0 ? "," : "",
		    (double)((float)v[i] / 100000.0F));
}

static void
embed_packed(const int64_t *v, size_t n, struct buf *out)
{
	float *all = calloc(n, sizeof(*all));

	MUST(all != NULL);
	for (size_t i = 0; i < n; i++)
		all[i] = (float)v[i] / 100000.0F;
	buf_addc(out, '"');
	embed_base64(out, (const unsigned char *)all, n * sizeof(*all));
	buf_addc(out, '"');
	free(all);
}

void
embed_vector(
    const struct exchange *x, int64_t index, enum embed_form f, struct buf *out)
{
	uint64_t state = x->seed + (uint64_t)index * 7919;
	size_t n = (size_t)x->dimensions;
	int64_t *v = calloc(n, sizeof(*v));

	MUST(v != NULL);
	for (size_t i = 0; i < n; i++)
		v[i] = (int64_t)(text_next(&state) % 20001) - 10000;
	if (f == EMBED_BASE64) {
		embed_packed(v, n, out);
		free(v);
		return;
	}
	buf_addc(out, '[');
	if (f == EMBED_FLOAT)
		embed_floats(v, n, out);
	else if (f == EMBED_BINARY || f == EMBED_UBINARY)
		embed_bits(v, n, f == EMBED_BINARY ? 128 : 0, out);
	else
		for (size_t i = 0; i < n; i++)
			buf_addf(out, "%s%lld", i > 0 ? "," : "",
			    (long long)(v[i] * 127 / 10000 +
					(f == EMBED_UINT8 ? 128 : 0)));
	buf_addc(out, ']');
	free(v);
}

static void
embed_plain(const struct exchange *x, struct buf *out)
{
	buf_addz(out, "{\"object\":\"list\",\"data\":[");
	for (int64_t i = 0; i < x->n_inputs; i++) {
		buf_addf(out,
		    "%s{\"object\":\"embedding\",\"index\":%lld,\"embedding\":",
		    i > 0 ? "," : "", (long long)i);
		embed_vector(x, i, x->base64 ? EMBED_BASE64 : EMBED_FLOAT, out);
		buf_addc(out, '}');
	}
	buf_addf(out, "],\"model\":\"%s\"", x->row.model->id);
	if (x->k.fault != FAULT_MISSING_USAGE)
		buf_addf(out,
		    ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}",
		    (long long)exchange_usage(x).prompt,
		    (long long)exchange_usage(x).prompt);
	buf_addc(out, '}');
}

const struct dialect embed_dialect = {
    .op = "embeddings",
    .stream_type = "application/json",
    .plain = embed_plain,
    .error = chat_error,
};
