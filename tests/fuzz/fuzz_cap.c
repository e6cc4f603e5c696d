/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: lowering the cap of a body, and what makes a body's cost
 * unbounded. First byte: the operation, 0x80 the old name; second: the cap;
 * the rest is the body. The body that is written is valid, has a cap, no cap
 * above the wanted one, none raised, and is the same otherwise; and what is
 * said of a body is said of its equal in another spelling (jansson's).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/jansson_beside.h"

#include "agent/dialect/bound.h"
#include "agent/dialect/cap.h"
#include "agent/dialect/codecs.h"
#include "agent/dialect/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Members that cap the output of an operation. */
static const char *const caps[][2] = {
    [OP_CHAT] = {"max_completion_tokens", "max_tokens"},
    [OP_RESPONSES] = {"max_output_tokens", NULL},
    [OP_MESSAGES] = {"max_tokens", NULL},
    [OP_GENERATE] = {"maxOutputTokens", "max_output_tokens"},
    [OP_COMPLETIONS] = {"max_tokens", NULL},
};

static bool
is_number(const json_t *v)
{
	return tree_is_integer(v) || tree_is_real(v);
}

/* Take the caps of one object out of both trees; how many are left after. */
static unsigned
take_caps(enum op op, json_t *before, json_t *after, int64_t n)
{
	unsigned i, found = 0;

	for (i = 0; i < 2 && caps[op][i] != NULL; i++) {
		json_t *b = json_object_get(before, caps[op][i]);
		json_t *a = json_object_get(after, caps[op][i]);

		if (is_number(a)) {
			MUST(json_number_value(a) <= (double)n);
			MUST(!is_number(b) ||
			     json_number_value(a) <= json_number_value(b));
			found++;
		} else { /* nothing was asked for */
			MUST(a == NULL || tree_is_null(a));
		}
		(void)json_object_del(before, caps[op][i]);
		(void)json_object_del(after, caps[op][i]);
	}
	return found;
}

static void
check_written(enum op op, struct str body, struct str got, int64_t n)
{
	static const char *const places[] = {
	    "generationConfig", "generation_config"};
	json_t *before = json_loadb(body.p, body.len, 0, NULL);
	json_t *after =
	    json_loadb(got.p, got.len, JSON_REJECT_DUPLICATES, NULL);
	unsigned found = 0, i;

	MUST(json_validate(got, NULL, NULL) == 0);
	if (before != NULL && after != NULL) {
		for (i = 0; op == OP_GENERATE && i < 2; i++) {
			json_t *b = json_object_get(before, places[i]);
			json_t *a = json_object_get(after, places[i]);

			if (tree_is_object(a))
				found += take_caps(op, b, a, n);
			/* an object of ours in the place of none or null,
			 * or of what the codec refuses */
			if (tree_is_object(a) && json_object_size(a) == 0 &&
			    !tree_is_object(b)) {
				(void)json_object_del(before, places[i]);
				(void)json_object_del(after, places[i]);
			}
		}
		if (op != OP_GENERATE)
			found = take_caps(op, before, after, n);
		MUST(found > 0);
		MUST(json_equal(before, after));
	}
	MUST(before == NULL || after != NULL);
	json_decref(before);
	json_decref(after);
}

struct said {
	bool read, may;
	struct bound bound;
	struct scan scan;
};

static void
say(enum op op, struct str body, struct said *ret)
{
	const struct codec_client *c = codec_client_of(op);
	struct ir_request r;
	struct error e = {0};
	struct arena a;

	memset(ret, 0, sizeof(*ret));
	arena_init(&a, 4096, (size_t)16 << 20);
	ir_request_init(&r, &a);
	if (op == OP_CHAT || op == OP_COMPLETIONS) {
		ret->may = cap_may_shrink(op, json_root(body), NULL);
		if (op == OP_CHAT)
			bound_read(op, json_root(body), NULL, &ret->bound);
		ret->read = oai_request_scan(op, body, &json_default_limits,
				&ret->scan, &e) == 0;
	} else if (c->read(body, STR("m"), false, &r, &e) == 0) {
		ret->read = true;
		ret->may = cap_may_shrink(op, json_root(body), &r);
		bound_read(op, json_root(body), &r, &ret->bound);
		scan_generation(op, body, &r, &ret->scan);
	}
	arena_release(&a);
	MUST(ret->bound.calls >= 0 && ret->bound.calls <= BOUND_MAX_CALLS);
	MUST(memchr(ret->bound.input, '\0', BOUND_FIELD) != NULL);
	MUST(memchr(ret->bound.tool, '\0', BOUND_FIELD) != NULL);
}

/* A list with something in it. */
static bool
asks(const json_t *root, const char *name)
{
	const json_t *v = json_object_get(root, name);

	return json_array_size(v) > 0 || json_object_size(v) > 0;
}

/* Numbers that jansson writes in another way. */
static bool
has_real(const json_t *v)
{
	const char *key;
	json_t *x;
	size_t i;

	if (tree_is_object(v))
		json_object_foreach ((json_t *)(uintptr_t)v, key, x)
			if (has_real(x))
				return true;
	if (tree_is_array(v))
		json_array_foreach (v, i, x)
			if (has_real(x))
				return true;
	return tree_is_real(v);
}

static void
same_scan(const struct scan *a, const struct scan *b)
{
	MUST(strcmp(a->model, b->model) == 0 && a->stream == b->stream);
	MUST(a->max_output == b->max_output && a->n == b->n);
	MUST(a->n_messages == b->n_messages && a->n_media == b->n_media);
	MUST(a->text_bytes == b->text_bytes && a->text_bytes >= 0);
	MUST(a->n_numbers == b->n_numbers && a->n_chars == b->n_chars);
}

static void
check_said(enum op op, struct str body)
{
	json_t *root = json_loadb(body.p, body.len, 0, NULL);
	struct said one, two;
	char *text = NULL;

	say(op, body, &one);
	if (one.may && root != NULL) {
		MUST(!asks(root, "tools") && !asks(root, "functions"));
		MUST(
		    !tree_is_string(json_object_get(root, "reasoning_effort")));
	}
	if (root != NULL && !has_real(root))
		text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (text != NULL) {
		say(op, str_of(text), &two);
		MUST(one.read == two.read && one.may == two.may);
		MUST(one.bound.calls == two.bound.calls);
		MUST(strcmp(one.bound.input, two.bound.input) == 0);
		MUST(strcmp(one.bound.tool, two.bound.tool) == 0);
		if (one.read)
			same_scan(&one.scan, &two.scan);
	}
	free(text);
	json_decref(root);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body;
	struct buf out;
	enum op op;
	int64_t n;

	if (size < 2 || size > 65536)
		return 0;
	op = (enum op)(data[0] % (OP_COMPLETIONS + 1));
	n = 1 + (int64_t)data[1] * 17;
	body = str_make((const char *)data + 2, size - 2);
	if (json_validate(body, NULL, NULL) != 0 ||
	    json_root(body).type != JSON_OBJECT)
		return 0;
	buf_init(&out, (size_t)1 << 20);
	if (cap_write(op, json_root(body), (data[0] & 0x80) != 0, n, &out) == 0)
		check_written(op, body, buf_str(&out), n);
	buf_release(&out);
	check_said(op, body);
	return 0;
}
