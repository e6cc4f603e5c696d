/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings: vectors that depend on nothing but the seed and the index. */
#include "tests/provider/exchange.h"
#include "tests/provider/openai.h"
#include "tests/provider/text.h"

static float
embed_value(uint64_t *state)
{
	int64_t v = (int64_t)(text_next(state) % 20001) - 10000;

	return (float)v / 100000.0F;
}

static void
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

void
embed_vector(const struct exchange *x, int64_t index, struct buf *out)
{
	uint64_t state = x->seed + (uint64_t)index * 7919;
	size_t n = (size_t)x->dimensions;
	float *v = calloc(n, sizeof(*v));

	MUST(v != NULL);
	for (size_t i = 0; i < n; i++)
		v[i] = embed_value(&state);
	if (x->base64) {
		buf_addc(out, '"');
		embed_base64(out, (const unsigned char *)v, n * sizeof(*v));
		buf_addc(out, '"');
	} else {
		buf_addc(out, '[');
		for (size_t i = 0; i < n; i++)
			buf_addf(out, "%s%.9g", i > 0 ? "," : "", (double)v[i]);
		buf_addc(out, ']');
	}
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
		embed_vector(x, i, out);
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
