/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers with embeddings, see embed.h: where each provider has its vectors and
 * its tokens, and the client's form of them.
 */
#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/dialect/embed.h"

#define EMBED_MAX_NUMBER 127 /* bytes of a number's text */

/* ---- vectors ---- */

/* A JSON number as the nearest 32-bit float. */
static bool
embed_float(struct json v, float *ret)
{
	char text[EMBED_MAX_NUMBER + 1];
	size_t n = (size_t)(v.end - v.p);

	if (v.type != JSON_NUMBER || n > EMBED_MAX_NUMBER)
		return false;
	memcpy(text, v.p, n);
	text[n] = '\0';
	*ret = strtof(text, NULL);
	return isfinite(*ret);
}

static void
embed_base64_group(struct buf *out, const unsigned char b[3], size_t n)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned v = (unsigned)b[0] << 16 | (unsigned)b[1] << 8 | b[2];
	char c[4] = {set[v >> 18], set[v >> 12 & 63],
	    n > 1 ? set[v >> 6 & 63] : '=', n > 2 ? set[v & 63] : '='};

	(void)buf_add(out, c, sizeof(c));
}

static bool
embed_packed(struct json vector, struct buf *out)
{
	struct json_iter it = json_iter(vector);
	unsigned char b[3] = {0}, four[4];
	struct json v;
	uint32_t bits;
	size_t n = 0;
	float f;

	(void)buf_addc(out, '"');
	while (json_next_element(&it, &v)) {
		if (!embed_float(v, &f))
			return false;
		memcpy(&bits, &f, sizeof(bits));
		bits = htole32(bits);
		memcpy(four, &bits, sizeof(four));
		for (size_t i = 0; i < sizeof(four); i++) {
			b[n++] = four[i];
			if (n == sizeof(b)) {
				embed_base64_group(out, b, n);
				n = 0;
			}
		}
	}
	if (n > 0) {
		memset(b + n, 0, sizeof(b) - n);
		embed_base64_group(out, b, n);
	}
	(void)buf_addc(out, '"');
	return true;
}

/* The numbers as they are written. */
static bool
embed_plain(struct json vector, struct buf *out)
{
	struct json_iter it = json_iter(vector);
	struct json v;
	bool first = true;

	(void)buf_addc(out, '[');
	while (json_next_element(&it, &v)) {
		if (v.type != JSON_NUMBER)
			return false;
		if (!first)
			(void)buf_addc(out, ',');
		first = false;
		(void)buf_add(out, v.p, (size_t)(v.end - v.p));
	}
	(void)buf_addc(out, ']');
	return true;
}

/* ---- where they are ---- */

/* The list of vectors and the path in each of its elements, "" = none. An
 * object: the only one. */
static bool
embed_find(const struct embed_reply *q, struct json root, struct json *list,
    const char **path)
{
	*path = "";
	switch (q->from) {
	case PROVIDER_OPENAI:
	case PROVIDER_AZURE:
	case PROVIDER_MISTRAL:
		*path = "embedding";
		return json_getz(root, "data", list);
	case PROVIDER_GEMINI:
		*path = "values";
		return json_getz(root, "embeddings", list) ||
		       json_getz(root, "embedding", list);
	case PROVIDER_VERTEX:
		*path = "embeddings.values";
		return json_getz(root, "predictions", list);
	case PROVIDER_COHERE:
	case PROVIDER_BEDROCK:
		if (json_path(root, "embeddings.float", list) ||
		    json_getz(root, "embeddings", list))
			return true;
		*path = "embedding"; /* Titan's */
		*list = root;
		return q->from == PROVIDER_BEDROCK;
	case PROVIDER_OLLAMA:
		return json_getz(root, "embeddings", list);
	case PROVIDER_ANTHROPIC:
	case PROVIDER_N_DIALECTS:
		break;
	}
	return false;
}

static bool
embed_vector(
    const struct embed_reply *q, struct json vector, int64_t i, struct buf *out)
{
	bool ok;

	if (vector.type != JSON_ARRAY)
		return false;
	(void)buf_addz(out, i > 0 ? "," : "");
	if (q->op == OP_GEMINI_EMBED)
		(void)buf_addz(out, "{\"values\":");
	else
		(void)buf_addf(out,
		    "{\"object\":\"embedding\",\"index\":%lld,\"embedding\":",
		    (long long)i);
	ok = q->base64 ? embed_packed(vector, out) : embed_plain(vector, out);
	(void)buf_addc(out, '}');
	return ok;
}

/* OpenAI says which input a vector is of: no other order is read. */
static bool
embed_in_order(struct json element, int64_t i)
{
	struct json v;
	int64_t at;

	return element.type != JSON_OBJECT ||
	       !json_getz(element, "index", &v) ||
	       (json_to_i64(v, &at) == 0 && at == i);
}

static bool
embed_vectors(const struct embed_reply *q, struct json root, struct buf *out)
{
	struct json list, one, v;
	struct json_iter it;
	const char *path;
	int64_t n = 0;

	if (!embed_find(q, root, &list, &path))
		return false;
	it = json_iter(list);
	for (;; n++) {
		if (list.type == JSON_OBJECT && n == 0)
			one = list;
		else if (list.type != JSON_ARRAY ||
			 !json_next_element(&it, &one))
			break;
		v = one;
		if (*path != '\0' && !json_path(one, path, &v))
			return false;
		if (n >= q->n || !embed_in_order(one, n) ||
		    !embed_vector(q, v, n, out))
			return false;
	}
	return n == q->n;
}

/* ---- usage ---- */

static void
embed_told(struct usage_state *u, int64_t tokens)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "{\"prompt_eval_count\":%lld}",
	    (long long)tokens);
	(void)usage_update(
	    u, USAGE_OLLAMA_EMBED, json_root(str_of(text)), true);
}

/* Vertex tells the tokens of each text, as a number that may have a point. */
static void
embed_usage_vertex(struct json root, struct usage_state *u)
{
	struct json list, one, v;
	struct json_iter it;
	int64_t sum = 0;
	bool all = true;
	float f;

	if (!json_getz(root, "predictions", &list) || list.type != JSON_ARRAY)
		return;
	it = json_iter(list);
	while (json_next_element(&it, &one)) {
		if (!json_path(one, "embeddings.statistics.token_count", &v) ||
		    !embed_float(v, &f) || f < 0 || f > 1e7F) {
			all = false;
			break;
		}
		sum += (int64_t)ceilf(f);
	}
	if (all)
		embed_told(u, sum);
}

static void
embed_usage(
    const struct embed_reply *q, struct json root, struct usage_state *u)
{
	struct json v;
	int64_t n;

	switch (q->from) {
	case PROVIDER_GEMINI:
		if (json_getz(root, "usageMetadata", &v))
			(void)usage_update(u, USAGE_GEMINI_EMBED, v, true);
		break;
	case PROVIDER_VERTEX:
		embed_usage_vertex(root, u);
		break;
	case PROVIDER_COHERE:
		if (json_getz(root, "meta", &v))
			(void)usage_update(u, USAGE_COHERE, v, true);
		break;
	case PROVIDER_OLLAMA:
		(void)usage_update(u, USAGE_OLLAMA_EMBED, root, true);
		break;
	case PROVIDER_BEDROCK:
		if (json_getz(root, "inputTextTokenCount", &v) &&
		    json_to_i64(v, &n) == 0 && n >= 0)
			embed_told(u, n);
		else if (q->told > 0)
			embed_told(u, q->told - 1);
		break;
	default:
		if (json_getz(root, "usage", &v))
			(void)usage_update(u, USAGE_OPENAI_EMBED, v, true);
		break;
	}
}

/* ---- the client's form ---- */

static void
embed_end(const struct embed_reply *q, struct str model, int64_t tokens,
    struct buf *out)
{
	if (q->op == OP_GEMINI_EMBED) {
		(void)buf_addf(out,
		    "%s,\"usageMetadata\":{\"promptTokenCount\":%lld,"
		    "\"totalTokenCount\":%lld}}",
		    q->batch ? "]" : "", (long long)tokens, (long long)tokens);
		return;
	}
	(void)buf_addz(out, "],\"model\":");
	(void)buf_add_json(out, model);
	(void)buf_addf(out,
	    ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}",
	    (long long)tokens, (long long)tokens);
}

int
embed_answer(const struct embed_reply *q, struct str model, struct str body,
    const struct json_limits *lim, struct usage_state *u, struct buf *out)
{
	int rc = json_validate(body, lim, NULL);
	int64_t tokens = 0;
	struct json root;

	if (rc != 0)
		return rc;
	root = json_root(body);
	if (root.type != JSON_OBJECT)
		return ERR_INVALID;
	embed_usage(q, root, u);
	if (q->op != OP_GEMINI_EMBED)
		(void)buf_addz(out, "{\"object\":\"list\",\"data\":[");
	else
		(void)buf_addz(
		    out, q->batch ? "{\"embeddings\":[" : "{\"embedding\":");
	if (!embed_vectors(q, root, out))
		return buf_error(out) != 0 ? buf_error(out) : ERR_INVALID;
	if (u->known)
		tokens = u->usage.input_total;
	else if (q->estimate != NULL)
		tokens = q->estimate(q->ctx);
	embed_end(q, model, tokens, out);
	return buf_error(out);
}
