/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lowering the output cap of a body: in the right member, nowhere else, and
 * only where an answer that is cut short is of use.
 */
#include <stdio.h>
#include <string.h>

#include "agent/dialect/cap.h"
#include "tests/unit/support/unit.h"

static void
check(enum op op, bool old_name, const char *body, const char *want)
{
	struct buf b;

	buf_init(&b, 4096);
	ck_assert_int_eq(
	    cap_write(op, json_root(str_of(body)), old_name, 100, &b), 0);
	ck_assert_str_eq(buf_cstr(&b), want);
	buf_release(&b);
}

START_TEST(test_chat)
{
	check(OP_CHAT, false, "{}", "{\"max_completion_tokens\":100}");
	check(OP_CHAT, true, "{\"a\":1}", "{\"a\":1,\"max_tokens\":100}");
	check(OP_CHAT, false, "{\"max_tokens\":4096,\"a\":[{}]}",
	    "{\"max_tokens\":100,\"a\":[{}]}");
	check(OP_CHAT, false,
	    "{\"max_tokens\":50,\"max_completion_tokens\":900}",
	    "{\"max_tokens\":50,\"max_completion_tokens\":100}");
	check(OP_CHAT, false, "{\"max_completion_tokens\" : null }",
	    "{\"max_completion_tokens\" : 100 }");
	check(OP_CHAT, false, "{\"max_tokens\":null,\"a\":0}",
	    "{\"max_tokens\":null,\"a\":0,\"max_completion_tokens\":100}");
	/* not that of another object */
	check(OP_CHAT, false, "{\"x\":{\"max_tokens\":7},\"max_tokens\":900}",
	    "{\"x\":{\"max_tokens\":7},\"max_tokens\":100}");
	/* low already, in another spelling: never raised */
	check(OP_CHAT, true, "{\"max_tokens\":1e1}", "{\"max_tokens\":1e1}");
	check(OP_COMPLETIONS, false, "{\"prompt\":\"x\"}",
	    "{\"prompt\":\"x\",\"max_tokens\":100}");
}
END_TEST

START_TEST(test_others)
{
	struct buf b;

	check(
	    OP_MESSAGES, false, "{\"max_tokens\":1e3}", "{\"max_tokens\":100}");
	check(OP_RESPONSES, false, "{\"input\":\"x\"}",
	    "{\"input\":\"x\",\"max_output_tokens\":100}");
	check(OP_GENERATE, false, "{}",
	    "{\"generationConfig\":{\"maxOutputTokens\":100}}");
	check(OP_GENERATE, false, "{\"contents\":[],\"generationConfig\":{}}",
	    "{\"contents\":[],\"generationConfig\":{\"maxOutputTokens\":100}}");
	check(OP_GENERATE, false,
	    "{\"generation_config\":{\"max_output_tokens\":900,\"topK\":1}}",
	    "{\"generation_config\":{\"max_output_tokens\":100,\"topK\":1}}");
	check(OP_GENERATE, false, "{\"contents\":[{\"maxOutputTokens\":9}]}",
	    "{\"contents\":[{\"maxOutputTokens\":9}],"
	    "\"generationConfig\":{\"maxOutputTokens\":100}}");
	/* null has the place of an object */
	check(OP_GENERATE, false, "{\"generationConfig\": null,\"a\":1}",
	    "{\"generationConfig\": {\"maxOutputTokens\":100},\"a\":1}");
	check(OP_GENERATE, false,
	    "{\"generationConfig\":null,\"generation_config\":{}}",
	    "{\"generationConfig\":null,"
	    "\"generation_config\":{\"maxOutputTokens\":100}}");
	buf_init(&b, 4096);
	ck_assert_int_eq(
	    cap_write(OP_EMBEDDINGS, json_root(STR("{}")), false, 1, &b),
	    ERR_UNSUPPORTED);
	buf_release(&b);
	buf_init(&b, 8);
	ck_assert_int_eq(cap_write(OP_CHAT, json_root(STR("{}")), false, 1, &b),
	    ERR_TOO_LARGE);
	buf_release(&b);
}
END_TEST

START_TEST(test_may)
{
	static const struct {
		const char *body;
		bool may;
	} cases[] = {
	    {"{}", true},
	    {"{\"tools\":[],\"response_format\":null}", true},
	    {"{\"response_format\":{\"type\":\"text\"}}", true},
	    {"{\"tools\":[{\"type\":\"function\"}]}", false},
	    {"{\"functions\":[{}]}", false},
	    {"{\"response_format\":{\"type\":\"json_object\"}}", false},
	    {"{\"response_format\":{\"type\":\"json_schema\"}}", false},
	    {"{\"reasoning_effort\":\"high\"}", false},
	    {"{\"prediction\":{\"type\":\"content\"}}", false},
	};
	struct ir_request ir;
	struct ir_tool tool;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(
		    cap_may_shrink(OP_CHAT, json_root(str_of(cases[i].body)),
			NULL) == cases[i].may,
		    "%s", cases[i].body);
	ck_assert(cap_may_shrink(
	    OP_COMPLETIONS, json_root(STR("{\"prompt\":\"x\"}")), NULL));
	ck_assert(!cap_may_shrink(OP_MESSAGES, json_root(STR("{}")), NULL));
	memset(&ir, 0, sizeof(ir));
	memset(&tool, 0, sizeof(tool));
	ck_assert(cap_may_shrink(OP_MESSAGES, json_root(STR("{}")), &ir));
	ir.thinking_budget = 2000;
	ck_assert(!cap_may_shrink(OP_MESSAGES, json_root(STR("{}")), &ir));
	ir.thinking_budget = -1;
	ir.format = IR_FORMAT_SCHEMA;
	ck_assert(!cap_may_shrink(OP_GENERATE, json_root(STR("{}")), &ir));
	ir.format = IR_FORMAT_TEXT;
	ir.tools = &tool;
	ir.n_tools = 1;
	ck_assert(!cap_may_shrink(OP_GENERATE, json_root(STR("{}")), &ir));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cap");

	UNIT_ADD(s, test_chat);
	UNIT_ADD(s, test_others);
	UNIT_ADD(s, test_may);
	return unit_run(s);
}
