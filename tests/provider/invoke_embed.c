/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon Bedrock's InvokeModel for embeddings: Titan, one text at a time with
 * its tokens told, and Cohere, whose answers tell none.
 */
#include "tests/provider/openai.h"
#include "tests/provider/tree.h"

static void
titan_plain(const struct exchange *x, struct buf *out)
{
	buf_addz(out, "{\"embedding\":");
	embed_vector(x, 0, EMBED_FLOAT, out);
	if (exchange_usage_times(x) > 0)
		buf_addf(out, ",\"inputTextTokenCount\":%lld",
		    (long long)exchange_usage(x).prompt);
	buf_addz(out, ",\"embeddingsByType\":{\"float\":");
	embed_vector(x, 0, EMBED_FLOAT, out);
	buf_addz(out, "}}");
}

static void
invoke_cohere_plain(const struct exchange *x, struct buf *out)
{
	buf_addf(
	    out, "{\"id\":\"%.29s\",\"embeddings\":{\"float\":[", x->id + 9);
	for (int64_t i = 0; i < x->n_inputs; i++) {
		if (i > 0)
			buf_addc(out, ',');
		embed_vector(x, i, EMBED_FLOAT, out);
	}
	buf_addz(
	    out, "]},\"texts\":[],\"response_type\":\"embeddings_by_type\"}");
}

/* What Cohere's answer does not tell, Bedrock's head does. */
static void
invoke_cohere_headers(const struct exchange *x, struct buf *out)
{
	if (exchange_usage_times(x) > 0)
		buf_addf(out, "x-amzn-bedrock-input-token-count: %lld\r\n",
		    (long long)exchange_usage(x).prompt);
}

static void
invoke_error(const struct exchange *x, int status, struct buf *out)
{
	(void)x;
	(void)status;
	buf_addz(out, "{\"message\":\"The system encountered an unexpected "
		      "error during processing.\"}");
}

const struct dialect titan_dialect = {
    .op = "embeddings",
    .stream_type = "application/json",
    .plain = titan_plain,
    .error = invoke_error,
};
const struct dialect invoke_cohere_dialect = {
    .op = "embeddings",
    .stream_type = "application/json",
    .plain = invoke_cohere_plain,
    .error = invoke_error,
    .headers = invoke_cohere_headers,
};

static bool
invoke_bad(struct call *q, const char *message)
{
	problem_reply(q->c, PROBLEM_INVALID, NULL, message);
	return false;
}

static bool
titan_read(struct call *q)
{
	const json_t *text = json_object_get(q->root, "inputText");

	if (!tree_fields(q, q->root, "",
		"inputText dimensions normalize embeddingTypes"))
		return false;
	if (!json_is_string(text))
		return invoke_bad(q,
		    "Malformed input request: #: required key [inputText] not "
		    "found, please reformat your input and try again.");
	tree_hash(&q->s, text);
	tree_count(&q->s, text);
	q->s.n_inputs = 1;
	q->s.dimensions = tree_int(q->root, "dimensions", -1);
	q->d = &titan_dialect;
	return true;
}

static bool
invoke_cohere_read(struct call *q)
{
	const json_t *texts = json_object_get(q->root, "texts"), *one;
	size_t i;

	if (!tree_fields(q, q->root, "",
		"texts input_type truncate embedding_types output_dimension"))
		return false;
	if (json_array_size(texts) == 0 ||
	    tree_str(q->root, "input_type") == NULL)
		return invoke_bad(q,
		    "Malformed input request: #: required key [input_type] not "
		    "found, please reformat your input and try again.");
	json_array_foreach (texts, i, one) {
		if (!json_is_string(one))
			return invoke_bad(q,
			    "Malformed input request: texts: expected type: "
			    "String, please reformat your input and try "
			    "again.");
		tree_hash(&q->s, one);
		tree_count(&q->s, one);
		q->s.n_inputs++;
	}
	q->s.dimensions = tree_int(q->root, "output_dimension", -1);
	q->d = &invoke_cohere_dialect;
	return true;
}

void
call_invoke_embed(struct call *q)
{
	const struct sim_model *m;
	bool cohere;

	if (!tree_parse(q))
		return;
	cohere = q->model.len > 0 &&
		 memmem(q->model.p, q->model.len, "cohere.embed", 12) != NULL;
	if (!(cohere ? invoke_cohere_read(q) : titan_read(q)))
		return;
	if (call_model(q, true, &m) && call_dimensions(q, m))
		call_start(q, m, false);
}
