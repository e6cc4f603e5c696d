/* SPDX-License-Identifier: Apache-2.0 */
/* Cohere's embeddings: several forms of the same vectors in one answer. */
#include "tests/provider/openai.h"
#include "tests/provider/tree.h"

#define COHERE_MAX_INPUTS 96

static void
cohere_embed_plain(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);
	bool first = true;
	size_t i;
	json_t *one;

	buf_addf(out, "{\"id\":\"%.29s\",\"embeddings\":{", x->id + 9);
	for (int f = 0; f < EMBED_FORMS; f++) {
		if ((x->forms & 1U << f) == 0)
			continue;
		buf_addf(
		    out, "%s\"%s\":[", first ? "" : ",", embed_form_names[f]);
		first = false;
		for (int64_t k = 0; k < x->n_inputs; k++) {
			if (k > 0)
				buf_addc(out, ',');
			embed_vector(x, k, (enum embed_form)f, out);
		}
		buf_addc(out, ']');
	}
	buf_addz(out, "},\"texts\":[");
	json_array_foreach (json_object_get(x->echo, "texts"), i, one) {
		if (i > 0)
			buf_addc(out, ',');
		buf_add_json(out, tree_slice(one));
	}
	buf_addz(out, "],\"meta\":{\"api_version\":{\"version\":\"2\"}");
	if (exchange_usage_times(x) > 0 &&
	    exchange_fault_is(x, FAULT_USAGE_NULL))
		buf_addz(out, ",\"billed_units\":null");
	else if (exchange_usage_times(x) > 0)
		buf_addf(out, ",\"billed_units\":{\"input_tokens\":%lld}",
		    (long long)u.prompt);
	buf_addz(out, "},\"response_type\":\"embeddings_by_type\"}");
}

const struct dialect cohere_embed_dialect = {
    .op = "embeddings",
    .stream_type = "application/json",
    .plain = cohere_embed_plain,
    .error = cohere_error,
};

static bool
cohere_is_one_of(const char *word, const char *list)
{
	struct str rest = str_of(list), one;

	while (word != NULL && rest.len > 0) {
		(void)str_cut(rest, ' ', &one, &rest);
		if (str_eqz(one, word))
			return true;
	}
	return false;
}

/* texts, or inputs of one text each. */
static bool
cohere_embed_inputs(struct call *q)
{
	const json_t *texts = json_object_get(q->root, "texts"), *one;
	const json_t *inputs = json_object_get(q->root, "inputs");
	size_t i;

	if ((texts != NULL) == (inputs != NULL))
		return cohere_bad(q, "texts",
		    "invalid request: exactly one of texts, images or inputs "
		    "must be provided.");
	if (texts == NULL)
		texts = inputs;
	if (json_array_size(texts) == 0 ||
	    json_array_size(texts) > COHERE_MAX_INPUTS)
		return cohere_bad(q, "texts",
		    "invalid request: total number of texts must be at least "
		    "1 and at most 96.");
	json_array_foreach (texts, i, one) {
		if (inputs == NULL && !json_is_string(one))
			return cohere_bad(q, "texts",
			    "invalid type: parameter texts is of type array "
			    "but should be of type []string.");
		if (inputs != NULL && !tree_fields(q, one, "inputs", "content"))
			return false;
		tree_hash(&q->s, json_is_string(one)
				     ? one
				     : json_object_get(one, "content"));
		tree_count(&q->s, one);
		q->s.n_inputs++;
	}
	return true;
}

static bool
cohere_embed_forms(struct call *q)
{
	const json_t *types = json_object_get(q->root, "embedding_types"), *one;
	size_t i;

	if (types != NULL && json_array_size(types) == 0)
		return cohere_bad(q, "embedding_types",
		    "invalid request: embedding_types must not be empty.");
	json_array_foreach (types, i, one) {
		int f = 0;

		while (f < EMBED_FORMS &&
		       !str_eqz(tree_slice(one), embed_form_names[f]))
			f++;
		if (f == EMBED_FORMS)
			return cohere_bad(q, "embedding_types",
			    "invalid request: embedding_types must be of "
			    "float, int8, uint8, binary, ubinary, base64.");
		q->s.forms |= 1U << f;
	}
	if (types == NULL)
		q->s.forms = 1U << EMBED_FLOAT;
	return true;
}

void
call_cohere_embed(struct call *q)
{
	const struct sim_model *m;
	const char *truncate;

	if (!tree_parse(q) ||
	    !tree_fields(q, q->root, "",
		"model texts images inputs input_type embedding_types "
		"output_dimension max_tokens truncate priority"))
		return;
	truncate = tree_str(q->root, "truncate");
	if (!cohere_is_one_of(tree_str(q->root, "input_type"),
		"search_document search_query classification clustering "
		"image")) {
		(void)cohere_bad(q, "input_type",
		    "invalid request: valid input_type must be provided with "
		    "the provided model.");
		return;
	}
	if (truncate != NULL && !cohere_is_one_of(truncate, "NONE START END")) {
		(void)cohere_bad(q, "truncate",
		    "invalid request: truncate must be one of NONE, START, "
		    "END.");
		return;
	}
	if (!cohere_embed_inputs(q) || !cohere_embed_forms(q))
		return;
	q->s.dimensions = tree_int(q->root, "output_dimension", -1);
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (call_model(q, true, &m) && call_dimensions(q, m))
		call_start(q, m, true);
}
