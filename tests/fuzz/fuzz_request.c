/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: request bodies. What is accepted is rewritten into a valid
 * document that says the same, but for the model and the usage switch; and a
 * second reading of it finds the switch on.
 */
#include <stdint.h>
#include <string.h>

#include "agent/dialect/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_rewritten(const struct scan *r, struct str body)
{
	struct scan again;
	struct str parts[OAI_MAX_PARTS];
	struct error e;
	struct buf out;
	unsigned i, n;

	buf_init(&out, body.len + 256);
	n = oai_request_rewrite(r, body, STR("\"up\""), true, parts);
	MUST(n <= OAI_MAX_PARTS);
	for (i = 0; i < n; i++)
		(void)buf_add_str(&out, parts[i]);
	MUST(buf_error(&out) == 0);
	MUST(oai_request_scan(
		 r->op, buf_str(&out), &json_default_limits, &again, &e) == 0);
	MUST(strcmp(again.model, "up") == 0);
	MUST(again.stream == r->stream && again.n == r->n);
	MUST(again.max_output == r->max_output);
	MUST(again.n_messages == r->n_messages);
	MUST(!again.stream || again.include_usage);
	MUST(r->stream || again.include_usage == r->include_usage);
	buf_release(&out);
}

/* Gemini's embeddings name our model wherever they name one. */
static void
check_embed(struct str body)
{
	struct json v, again;
	struct scan r;
	struct error e = {0};
	struct buf out;

	if (json_validate(body, NULL, NULL) != 0)
		return;
	if (scan_gemini_embed(body, STR("m"), &r, &e) != 0) {
		MUST(e.text[0] != '\0');
		return;
	}
	buf_init(&out, 2 * body.len + (1 << 20));
	MUST(scan_embed_rename(body, STR("up"), &out) == 0);
	MUST(json_validate(buf_str(&out), NULL, NULL) == 0);
	MUST(json_getz(json_root(body), "model", &v) ==
	     json_getz(json_root(buf_str(&out)), "model", &again));
	if (json_getz(json_root(buf_str(&out)), "model", &again))
		MUST(str_eqz(json_raw_string(again), "models/up"));
	MUST(scan_gemini_embed(buf_str(&out), STR("m"), &r, &e) == 0);
	buf_release(&out);
}

static void
check_answer(enum op op, struct str body)
{
	struct oai_answer a;
	int i;

	if (oai_answer_scan(op, body, &json_default_limits, &a) != 0)
		return;
	for (i = 0; i < TC_COUNT; i++)
		MUST(a.usage.usage.tokens.n[i] >= 0 &&
		     a.usage.usage.tokens.n[i] <= OAI_MAX_TOKENS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = {(const char *)data, size};
	static const enum op others[] = {OP_COMPLETIONS, OP_EMBEDDINGS,
	    OP_MODERATIONS, OP_IMAGES, OP_SPEECH, OP_RERANK};
	struct scan r;
	struct error e;
	char code[32];
	int i;

	if (oai_request_scan(OP_CHAT, body, &json_default_limits, &r, &e) ==
	    0) {
		MUST(r.n >= 1 && r.n <= OAI_MAX_N && r.text_bytes >= 0);
		check_rewritten(&r, body);
	}
	for (i = 0; i < (int)(sizeof(others) / sizeof(others[0])); i++) {
		if (oai_request_scan(
			others[i], body, &json_default_limits, &r, &e) != 0)
			continue;
		MUST(r.text_bytes >= 0 && r.n_messages >= 0 && r.n >= 1);
		check_rewritten(&r, body);
	}
	check_embed(body);
	check_answer(OP_CHAT, body);
	check_answer(OP_EMBEDDINGS, body);
	check_answer(OP_RERANK, body);
	if (oai_is_error(body, &json_default_limits))
		oai_error_code(body, code, sizeof(code));
	return 0;
}
