/* SPDX-License-Identifier: Apache-2.0 */
/* What a ceiling must know of a request beyond its bytes and caps. */
#include "agent/dialect/bound.h"
#include "agent/dialect/codecs.h"
#include "tests/unit/support/unit.h"

static struct bound
bound_of(enum op op, const char *json)
{
	const struct codec_client *c = codec_client_of(op);
	struct str body = str_of(json);
	struct ir_request *ir;
	struct error e = {0};
	struct arena a;
	struct bound b;

	ck_assert_msg(json_validate(body, NULL, &e) == 0, "%s", json);
	arena_init(&a, 4096, 1 << 20);
	ir = arena_zalloc(&a, sizeof(*ir));
	ir_request_init(ir, &a);
	if (op == OP_CHAT) { /* is not read for this */
		bound_read(op, json_root(body), NULL, &b);
		arena_release(&a);
		return b;
	}
	ck_assert_msg(c->read(body, STR("m"), false, ir, &e) == 0, "%s: %s",
	    json, e.text);
	bound_read(op, json_root(body), ir, &b);
	arena_release(&a);
	return b;
}

#define CHAT(x)                                                           \
	"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[" \
	"{\"type\":\"text\",\"text\":\"file\"}]}]," x "}"
#define RESPONSES(x) "{\"model\":\"m\",\"input\":\"x\"," x "}"
#define MESSAGES(x)                                                  \
	"{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":" \
	"\"user\",\"content\":\"x\"}]," x "}"
#define GEMINI(x) "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]," x "}"

START_TEST(test_closed)
{
	static const struct {
		enum op op;
		const char *body;
	} cases[] = {
	    {OP_CHAT, CHAT("\"tools\":[{\"type\":\"function\",\"function\":"
			   "{\"name\":\"f\"}}],\"web_search_options\":null")},
	    {OP_RESPONSES,
		RESPONSES("\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],"
			  "\"previous_response_id\":null")},
	    {OP_MESSAGES,
		MESSAGES("\"tools\":[{\"name\":\"f\",\"input_schema\":{}},"
			 "{\"type\":\"bash_20250124\",\"name\":\"bash\"}],"
			 "\"mcp_servers\":[]")},
	    {OP_GENERATE,
		GEMINI("\"tools\":[{\"functionDeclarations\":[{\"name\":"
		       "\"f\"}]},{\"function_declarations\":[]}]")}};
	struct bound b;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b = bound_of(cases[i].op, cases[i].body);
		ck_assert_str_eq(b.input, "");
		ck_assert_str_eq(b.tool, "");
		ck_assert_int_eq(b.calls, 0);
	}
}
END_TEST

START_TEST(test_tools)
{
	static const struct {
		enum op op;
		const char *body, *tool;
		int calls;
	} cases[] = {{OP_CHAT, CHAT("\"web_search_options\":{}"),
			 "web_search_options", 0},
	    {OP_CHAT, CHAT("\"plugins\":[{\"id\":\"web\"}]"), "plugins", 0},
	    {OP_CHAT, CHAT("\"tools\":[{\"type\":\"web_search\"}]"), "tools[0]",
		0},
	    {OP_RESPONSES, RESPONSES("\"tools\":[{\"type\":\"web_search\"}]"),
		"max_tool_calls", 0},
	    {OP_RESPONSES,
		RESPONSES("\"tools\":[{\"type\":\"web_search\"},{\"type\":"
			  "\"mcp\"}],\"max_tool_calls\":4"),
		"", 4},
	    {OP_RESPONSES,
		RESPONSES("\"tools\":[{\"type\":\"web_search\"}],"
			  "\"max_tool_calls\":100000"),
		"max_tool_calls", 0},
	    {OP_RESPONSES,
		RESPONSES("\"tools\":[{\"type\":\"image_generation\"}],"
			  "\"max_tool_calls\":1"),
		"tools[0]", 0},
	    {OP_MESSAGES,
		MESSAGES("\"tools\":[{\"type\":\"web_search_20250305\","
			 "\"name\":\"a\",\"max_uses\":3},{\"type\":"
			 "\"web_fetch_20250910\",\"name\":\"b\",\"max_uses\":"
			 "4}]"),
		"", 7},
	    {OP_MESSAGES,
		MESSAGES("\"tools\":[{\"type\":\"web_search_20250305\","
			 "\"name\":\"a\",\"max_uses\":-3}]"),
		"tools[0]", 0},
	    {OP_MESSAGES,
		MESSAGES("\"tools\":[{\"type\":\"code_execution_20250825\","
			 "\"name\":\"a\",\"max_uses\":3}]"),
		"tools[0]", 0},
	    {OP_GENERATE, GEMINI("\"tools\":[{\"google_search\":{}}]"),
		"tools[0]", 0},
	    {OP_GENERATE,
		GEMINI("\"tools\":[{\"functionDeclarations\":[],"
		       "\"\\u0075rlContext\":{}}]"),
		"tools[0]", 0}};
	struct bound b;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b = bound_of(cases[i].op, cases[i].body);
		ck_assert_str_eq(b.tool, cases[i].tool);
		ck_assert_int_eq(b.calls, cases[i].calls);
	}
}
END_TEST

START_TEST(test_input)
{
	static const struct {
		enum op op;
		const char *body;
	} cases[] = {
	    {OP_CHAT,
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
		"[{\"type\":\"\\u0066ile\",\"file\":{\"file_id\":\"f\"}}]}]}"},
	    {OP_CHAT, "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\","
		      "\"content\":\"x\",\"audio\":{\"id\":\"a\"}}]}"},
	    {OP_RESPONSES, RESPONSES("\"prompt\":{\"id\":\"p\"}")},
	    {OP_RESPONSES, RESPONSES("\"previous_response_id\":\"r\"")},
	    {OP_RESPONSES,
		"{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":"
		"[{\"type\":\"input_image\",\"file_id\":\"f\"}]}]}"},
	    {OP_RESPONSES,
		"{\"model\":\"m\",\"input\":[{\"type\":\"web_search_call\","
		"\"id\":\"w\"}]}"},
	    {OP_MESSAGES,
		"{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":"
		"\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{"
		"\"type\":\"container_upload\","
		"\"file_id\":\"f\"}]}]}"},
	    {OP_MESSAGES, MESSAGES("\"container\":\"c\"")},
	    {OP_GENERATE, GEMINI("\"cached_content\":\"c\"")},
	    {OP_GENERATE,
		"{\"contents\":[{\"parts\":[{\"file_data\":{\"mime_type\":"
		"\"application/pdf\",\"file_uri\":\"u\"}}]}]}"}};
	struct bound b;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b = bound_of(cases[i].op, cases[i].body);
		ck_assert_msg(b.input[0] != '\0', "%s", cases[i].body);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/bound");

	UNIT_ADD(s, test_closed);
	UNIT_ADD(s, test_tools);
	UNIT_ADD(s, test_input);
	return unit_run(s);
}
