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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = {(const char *)data, size};
	struct scan r;
	struct oai_answer a;
	struct error e;
	char code[32];
	int i;

	if (oai_request_scan(OP_CHAT, body, &json_default_limits, &r, &e) ==
	    0) {
		MUST(r.n >= 1 && r.n <= OAI_MAX_N && r.text_bytes >= 0);
		check_rewritten(&r, body);
	}
	if (oai_request_scan(
		OP_EMBEDDINGS, body, &json_default_limits, &r, &e) == 0)
		check_rewritten(&r, body);
	if (oai_answer_scan(OP_CHAT, body, &json_default_limits, &a) == 0) {
		for (i = 0; i < TC_COUNT; i++)
			MUST(a.usage.usage.tokens.n[i] >= 0 &&
			     a.usage.usage.tokens.n[i] <= OAI_MAX_TOKENS);
	}
	if (oai_is_error(body, &json_default_limits))
		oai_error_code(body, code, sizeof(code));
	return 0;
}
