/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: embeddings between dialects. The first byte names the client's
 * form, the second the provider; then come a request and, behind a newline, an
 * answer. What is written is valid JSON and means what was read; an answer in
 * floats and the same one in base64 hold the same numbers, as many as asked
 * for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/embed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_OUT ((size_t)16 << 20)

static void
check_same(const struct embed *q, enum provider_dialect to, struct str body)
{
	struct embed back;
	struct error e = {0};
	int rc;

	if (to == PROVIDER_OPENAI) {
		rc = embed_read(OP_EMBEDDINGS, false, body, &back, &e);
		MUST(rc == 0 && back.n == q->n);
		MUST(back.dimensions == q->dimensions && !back.base64);
	} else if (to == PROVIDER_GEMINI) {
		rc = embed_read(OP_GEMINI_EMBED, true, body, &back, &e);
		MUST(rc == 0 && back.n == q->n && back.task == q->task);
		MUST(back.dimensions == q->dimensions);
		MUST(str_eq(back.title, q->title));
	}
}

static void
check_request(const struct embed *q, bool lenient)
{
	static const struct str names[] = {{"m\"\\x", 4},
	    {"amazon.titan-embed-text-v1", 26}, {"cohere.embed-v4:0", 17}};
	struct carry_lost lost;
	struct error e;
	struct buf b;
	int rc;

	buf_init(&b, MAX_OUT);
	for (int to = 0; to < PROVIDER_N_DIALECTS; to++) {
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			struct embed_opts o = {.to = (enum provider_dialect)to,
			    .model = names[i],
			    .lenient = lenient,
			    .lost = &lost};

			memset(&lost, 0, sizeof(lost));
			memset(&e, 0, sizeof(e));
			buf_clear(&b);
			rc = embed_write(q, &o, &b, &e);
			MUST(rc == 0 || e.text[0] != '\0' ||
			     rc == ERR_UNSUPPORTED || rc == ERR_TOO_LARGE);
			if (rc != 0)
				continue;
			MUST(json_validate(buf_str(&b), NULL, NULL) == 0);
			if (!lenient)
				check_same(q, o.to, buf_str(&b));
		}
	}
	buf_release(&b);
}

/* Bytes that the numbers of a vector in base64 take. */
static size_t
packed_len(size_t n)
{
	return (4 * n + 2) / 3 * 4;
}

static void
check_vectors(struct json plain, struct json packed, int64_t n)
{
	struct json_iter a = json_iter(plain), b = json_iter(packed), it;
	struct json x, y, v;
	int64_t count = 0;
	size_t numbers;

	while (json_next_element(&a, &x)) {
		MUST(json_next_element(&b, &y));
		MUST(json_getz(x, "embedding", &x) && x.type == JSON_ARRAY);
		MUST(json_getz(y, "embedding", &y) && y.type == JSON_STRING);
		it = json_iter(x);
		for (numbers = 0; json_next_element(&it, &v); numbers++)
			MUST(v.type == JSON_NUMBER);
		MUST(json_raw_string(y).len == packed_len(numbers));
		count++;
	}
	MUST(count == n && !json_next_element(&b, &y));
}

static void
check_answer(const struct embed *q, enum provider_dialect from, struct str body)
{
	struct embed_reply r = {
	    .from = from, .op = OP_EMBEDDINGS, .n = q->n, .base64 = false};
	struct usage_state u[2];
	struct json plain, packed;
	struct buf a, b;
	int rc[2];

	memset(u, 0, sizeof(u));
	buf_init(&a, MAX_OUT);
	buf_init(&b, MAX_OUT);
	rc[0] = embed_answer(&r, STR("m"), body, NULL, &u[0], &a);
	r.base64 = true;
	rc[1] = embed_answer(&r, STR("m"), body, NULL, &u[1], &b);
	MUST(u[0].known == u[1].known);
	if (rc[0] == 0 && rc[1] == 0) { /* floats may be out of range */
		MUST(json_validate(buf_str(&a), NULL, NULL) == 0);
		MUST(json_validate(buf_str(&b), NULL, NULL) == 0);
		MUST(json_getz(json_root(buf_str(&a)), "data", &plain));
		MUST(json_getz(json_root(buf_str(&b)), "data", &packed));
		check_vectors(plain, packed, q->n);
	}
	r.op = OP_GEMINI_EMBED;
	r.base64 = false;
	r.batch = q->batch || q->n != 1;
	buf_clear(&a);
	if (embed_answer(&r, STR("m"), body, NULL, &u[0], &a) == 0) {
		MUST(rc[0] == 0);
		MUST(json_validate(buf_str(&a), NULL, NULL) == 0);
	}
	buf_release(&a);
	buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str request, answer;
	struct error e = {0};
	struct embed q;
	char *copy;
	enum op op;

	if (size < 3)
		return 0;
	copy = malloc(size);
	MUST(copy != NULL);
	memcpy(copy, data, size);
	op = data[0] & 1 ? OP_GEMINI_EMBED : OP_EMBEDDINGS;
	(void)str_cut(str_make(copy + 2, size - 2), '\n', &request, &answer);
	if (json_validate(request, NULL, NULL) == 0 &&
	    embed_read(op, (data[0] & 2) != 0, request, &q, &e) == 0) {
		MUST(q.n > 0);
		check_request(&q, (data[0] & 4) != 0);
	} else {
		memset(&q, 0, sizeof(q));
		q.op = op;
		q.n = 1 + data[0] % 4;
	}
	if (answer.p != NULL)
		check_answer(&q, data[1] % PROVIDER_N_DIALECTS, answer);
	free(copy);
	return 0;
}
