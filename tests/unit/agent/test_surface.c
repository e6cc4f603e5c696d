/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of paths: what each means, and that nothing near it means
 * anything.
 */
#include "agent/dialect/surface.h"
#include "tests/unit/support/unit.h"

static struct surface
found(const char *target)
{
	struct surface s;

	ck_assert_msg(surface_find(str_of(target), &s) == 0, "%s", target);
	return s;
}

START_TEST(test_paths)
{
	static const struct {
		const char *target;
		enum client_dialect client;
		enum op op;
		const char *model, *id;
	} rows[] = {
	    {"/v1/chat/completions", CLIENT_OPENAI, OP_CHAT, "", ""},
	    {"/openai/v1/chat/completions", CLIENT_OPENAI, OP_CHAT, "", ""},
	    {"/openai/deployments/gpt-4.1/chat/completions?api-version=1",
		CLIENT_OPENAI, OP_CHAT, "gpt-4.1", ""},
	    {"/openai/deployments/tts_1/audio/speech", CLIENT_OPENAI, OP_SPEECH,
		"tts_1", ""},
	    {"/openai/responses?api-version=1", CLIENT_OPENAI, OP_RESPONSES, "",
		""},
	    {"/openai/models", CLIENT_OPENAI, OP_MODELS, "", ""},
	    {"/v1/responses/resp_1/input_items", CLIENT_OPENAI,
		OP_RESPONSE_ITEMS, "", "resp_1"},
	    {"/openai/v1/responses/resp_1/cancel", CLIENT_OPENAI,
		OP_RESPONSE_CANCEL, "", "resp_1"},
	    {"/v1/responses/resp_1", CLIENT_OPENAI, OP_RESPONSE_GET, "",
		"resp_1"},
	    {"/v1/messages", CLIENT_ANTHROPIC, OP_MESSAGES, "", ""},
	    {"/v1/messages/count_tokens?beta=true", CLIENT_ANTHROPIC,
		OP_COUNT_TOKENS, "", ""},
	    {"/v1beta/models/gemini-2.5-pro:generateContent", CLIENT_GEMINI,
		OP_GENERATE, "gemini-2.5-pro", ""},
	    {"/v1/models/m:countTokens", CLIENT_GEMINI, OP_GEMINI_COUNT_TOKENS,
		"m", ""},
	    {"/v1beta/models/m", CLIENT_GEMINI, OP_MODEL, "m", ""},
	    {"/v1/models/a:b", CLIENT_OPENAI, OP_MODEL, "a:b", ""},
	    {"/v1/rerank", CLIENT_OPENAI, OP_RERANK, "", ""},
	};
	struct surface s;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s = found(rows[i].target);
		ck_assert_msg(s.client == rows[i].client && s.op == rows[i].op,
		    "%s", rows[i].target);
		ck_assert_str_eq(s.model, rows[i].model);
		ck_assert_str_eq(s.id, rows[i].id);
	}
}
END_TEST

START_TEST(test_near)
{
	static const char *const near[] = {"/v1/chat/completions/",
	    "/v1/chat%2fcompletions", "/V1/messages", "/v1/messages/",
	    "/v1/messages/count_tokens/x", "/openai/deployments//embeddings",
	    "/openai/deployments/a/b/embeddings",
	    "/openai/deployments/../embeddings",
	    "/openai/deployments/%2e%2e/embeddings",
	    "/openai/deployments/a:b/embeddings", "/openai/deployments/a",
	    "/openai/v1/messages", "/openai/v1beta/models",
	    "/openai/chat/completions", "/openai/responsesx",
	    "/v1beta/models/a:b:generateContent",
	    "/v1beta/models/:generateContent",
	    "/v1beta/models/a:generateContent:generateContent",
	    "/v1beta/models/a:generatecontent", "/v1beta/models/a/b",
	    "/v1beta/models/..:generateContent",
	    "/v1beta/models/a%2f..:generateContent", "/v1beta/models/",
	    "/v1/responses/", "/v1/responses/..", "/v1/responses/a/b",
	    "/v1/responses/../cancel", "/v1beta/chat/completions", "/", ""};
	struct surface s;
	size_t i;

	for (i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		ck_assert_msg(
		    surface_find(str_of(near[i]), &s) == ERR_NOT_FOUND &&
			s.model[0] == '\0' && s.id[0] == '\0',
		    "%s", near[i]);
	ck_assert_int_eq(surface_find(STR("/v1beta/x"), &s), ERR_NOT_FOUND);
	ck_assert_int_eq(s.client, CLIENT_GEMINI);
}
END_TEST

START_TEST(test_query)
{
	struct surface s =
	    found("/v1beta/models/m:streamGenerateContent?alt=sse&key=k1");

	ck_assert(s.path_stream && s.sse && s.n_key == 1);
	ck_assert_slice_eq(s.key, "k1");
	s = found("/v1beta/models/m:streamGenerateContent");
	ck_assert(s.path_stream && !s.sse && s.n_key == 0);
	s = found("/v1beta/models/m:generateContent?alt=json&&key=&key=x");
	ck_assert(!s.path_stream && !s.sse && s.n_key == 2);
	s = found("/v1beta/models/m:batchEmbedContents");
	ck_assert(s.batch && s.op == OP_GEMINI_EMBED);
}
END_TEST

START_TEST(test_methods)
{
	struct surface s = found("/v1/responses/x");

	ck_assert(surface_takes(&s, STR("GET")));
	ck_assert(!surface_takes(&s, STR("POST")));
	ck_assert_str_eq(surface_allow(&s), "GET, DELETE");
	ck_assert(surface_takes(&s, STR("DELETE")));
	ck_assert_int_eq(s.op, OP_RESPONSE_DELETE);
	s = found("/v1/responses/x/cancel");
	ck_assert(surface_takes(&s, STR("POST")));
	ck_assert(!surface_takes(&s, STR("GET")));
	s = found("/v1/models");
	ck_assert(surface_takes(&s, STR("GET")));
	ck_assert(!surface_takes(&s, STR("DELETE")));
	s = found("/v1/messages");
	ck_assert(surface_takes(&s, STR("POST")));
	ck_assert(!surface_takes(&s, STR("PUT")));
	ck_assert_str_eq(surface_allow(&s), "POST");
}
END_TEST

/* Every row of the table finds itself. */
START_TEST(test_table)
{
	struct surface_doc row;
	struct surface s;
	char path[200], *hole, *end;
	unsigned i, seen = 0;

	for (i = 0; surface_row(i, &row); i++) {
		(void)snprintf(path, sizeof(path), "%s", row.path);
		while ((hole = strchr(path, '{')) != NULL) {
			end = strchr(hole, '}');
			*hole = 'x';
			memmove(hole + 1, end + 1, strlen(end + 1) + 1);
		}
		s = found(path);
		ck_assert_msg(
		    s.op == row.op && s.client == row.client, "%s", row.path);
		seen |= 1U << row.op;
	}
	for (i = 0; i < OP_N; i++) {
		ck_assert_str_ne(op_name((enum op)i), "unknown");
		ck_assert_msg(i == OP_RESPONSE_DELETE || (seen >> i & 1) != 0,
		    "%s", op_name((enum op)i));
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("surface");

	UNIT_ADD(s, test_paths);
	UNIT_ADD(s, test_near);
	UNIT_ADD(s, test_query);
	UNIT_ADD(s, test_methods);
	UNIT_ADD(s, test_table);
	return unit_run(s);
}
