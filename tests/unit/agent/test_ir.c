/* SPDX-License-Identifier: Apache-2.0 */
/* The neutral form's helpers: lists, fields, escapes, ids, words. */
#include <stdio.h>

#include "agent/dialect/ir.h"
#include "tests/unit/support/unit.h"

START_TEST(lists)
{
	struct ir_message *m, *m2;
	struct ir_part *p, *res;
	struct ir_request r;
	struct arena a;
	unsigned i;

	arena_init(&a, 4096, 16 << 20);
	ir_request_init(&r, &a);
	ck_assert_int_eq((int)r.n, 1);
	ck_assert_int_eq(r.parallel, -1);
	ck_assert_int_eq((int)r.max_output, -1);
	m = ir_add_message(&r, IR_USER);
	m2 = ir_add_message(&r, IR_ASSISTANT);
	ck_assert_ptr_eq(r.messages, m);
	ck_assert_ptr_eq(m->next, m2);
	p = ir_add_part(&r, m, IR_TEXT);
	res = ir_add_part(&r, m, IR_TOOL_RESULT);
	ck_assert_ptr_eq(m->parts, p);
	ck_assert_ptr_eq(p->next, res);
	ck_assert_ptr_nonnull(ir_add_result_part(&r, res, IR_TEXT));
	ck_assert_ptr_nonnull(ir_add_result_part(&r, res, IR_IMAGE));
	ck_assert_int_eq((int)res->parts->next->type, IR_IMAGE);
	ck_assert_uint_eq(r.n_parts, 4);
	for (i = 4; i < IR_MAX_PARTS; i++)
		ck_assert_ptr_nonnull(ir_add_part(&r, m, IR_TEXT));
	ck_assert_ptr_null(ir_add_part(&r, m, IR_TEXT));
	for (i = 2; i < IR_MAX_MESSAGES; i++)
		ck_assert_ptr_nonnull(ir_add_message(&r, IR_USER));
	ck_assert_ptr_null(ir_add_message(&r, IR_USER));
	for (i = 0; i < IR_MAX_TOOLS; i++)
		ck_assert_int_eq(ir_add_tool(&r)->strict, -1);
	ck_assert_ptr_null(ir_add_tool(&r));
	arena_release(&a);
}
END_TEST

START_TEST(fields)
{
	struct ir_request r;
	struct arena a;
	char want[32];
	unsigned i;

	arena_init(&a, 4096, 1 << 20);
	ir_request_init(&r, &a);
	for (i = 0; i < 40; i++)
		ck_assert_int_eq(ir_note_other(&r, "field_%u", i), 0);
	ck_assert_uint_eq(r.n_others, 40);
	for (i = 0; i < 40; i++) {
		(void)snprintf(want, sizeof(want), "field_%u", i);
		ck_assert_str_eq(r.others[i], want);
	}
	ck_assert_str_eq(
	    ir_field(&r, "messages[%d].content", 3), "messages[3].content");
	ck_assert_uint_eq(strlen(ir_field(&r, "%01000d", 3)), 255);
	for (i = 0; i < 5000; i++)
		ck_assert_int_eq(ir_note_other(&r, "x"), 0);
	arena_release(&a);
	arena_init(&a, 64, 64);
	ir_request_init(&r, &a);
	ck_assert_int_eq(ir_note_other(&r, "%0200d", 1), ERR_NOMEM);
	ck_assert_ptr_null(ir_add_message(&r, IR_USER));
	arena_release(&a);
}
END_TEST

START_TEST(escapes)
{
	struct arena a;
	struct str s;

	arena_init(&a, 4096, 1 << 20);
	ck_assert_slice_eq(
	    ir_escape(&a, STR("a\"b\\\n\x01")), "a\\\"b\\\\\\n\\u0001");
	ck_assert_slice_eq(
	    ir_plain(&a, STR("a\\\"b\\\\\\n\\u0041")), "a\"b\\\nA");
	ck_assert_slice_eq(
	    ir_plain(&a, STR("\\ud83d\\ude00")), "\xf0\x9f\x98\x80");
	s = ir_plain(&a, STR_NULL);
	ck_assert_ptr_nonnull(s.p);
	ck_assert_uint_eq(s.len, 0);
	ck_assert_ptr_null(ir_plain(&a, STR("a\\u0000")).p);
	ck_assert_ptr_null(ir_plain(&a, STR("\\x")).p);
	ck_assert_ptr_null(ir_plain(&a, STR("\\ud83d")).p);
	arena_release(&a);
}
END_TEST

static void
add_call(struct ir_request *r, struct ir_message *m, unsigned i)
{
	struct ir_part *p = ir_add_part(r, m, IR_TOOL_CALL);

	ck_assert_ptr_nonnull(p);
	p->id = str_of(arena_printf(r->arena, "id%u", i));
	p->name = str_of(arena_printf(r->arena, "name%u", i));
}

static void
check_calls(size_t memory, unsigned n)
{
	struct ir_message *m = NULL;
	struct ir_request r;
	struct arena a;
	char id[32], want[32];
	unsigned i, k;

	arena_init(&a, 4096, memory);
	ir_request_init(&r, &a);
	ck_assert_uint_eq(ir_tool_of_call(&r, STR("id0")).len, 0);
	for (i = 0; i < n; i++) {
		if (i % 3 == 0)
			m = ir_add_message(&r, IR_ASSISTANT);
		add_call(&r, m, i);
		k = i / 2;
		(void)snprintf(id, sizeof(id), "id%u", k);
		(void)snprintf(want, sizeof(want), "name%u", k);
		ck_assert_slice_eq(ir_tool_of_call(&r, str_of(id)), want);
	}
	ck_assert_uint_eq(ir_tool_of_call(&r, STR("idx")).len, 0);
	ck_assert_uint_eq(ir_tool_of_call(&r, STR("")).len, 0);
	add_call(&r, m, 7);
	r.last_message->last_part->name = STR("later");
	ck_assert_slice_eq(ir_tool_of_call(&r, STR("id7")), "later");
	arena_release(&a);
}

START_TEST(calls)
{
	check_calls(64 << 20, 9000);
	/* Too little memory for the table: the lists are searched. */
	check_calls(30000, 80);
}
END_TEST

START_TEST(ids)
{
	struct str x, y;
	struct arena a;
	size_t i;

	arena_init(&a, 4096, 1 << 20);
	x = ir_make_call_id(&a, "call_", 3, STR("f"));
	y = ir_make_call_id(&a, "call_", 3, STR("f"));
	ck_assert(str_eq(x, y));
	ck_assert_uint_eq(x.len, 29);
	for (i = 5; i < x.len; i++)
		ck_assert_ptr_nonnull(strchr("0123456789abcdef", x.p[i]));
	ck_assert(!str_eq(x, ir_make_call_id(&a, "call_", 4, STR("f"))));
	ck_assert(!str_eq(x, ir_make_call_id(&a, "call_", 3, STR("g"))));
	arena_release(&a);
}
END_TEST

START_TEST(words)
{
	enum ir_effort back;
	int e;

	for (e = IR_EFFORT_NONE; e <= IR_EFFORT_MAX; e++) {
		ck_assert(ir_effort_parse(
		    str_of(ir_effort_name((enum ir_effort)e)), &back));
		ck_assert_int_eq((int)back, e);
		ck_assert_int_eq(
		    (int)ir_budget_effort(ir_effort_budget((enum ir_effort)e)),
		    e);
	}
	ck_assert_int_eq((int)ir_budget_effort(-1), IR_EFFORT_UNSET);
	ck_assert_int_eq((int)ir_budget_effort(31999), IR_EFFORT_HIGH);
	ck_assert_int_eq((int)ir_budget_effort(INT64_MAX), IR_EFFORT_MAX);
	ck_assert(!ir_effort_parse(STR(""), &back));
	ck_assert(!ir_effort_parse(STR("huge"), &back));
	ck_assert_str_eq(ir_finish_openai(IR_FINISH_LENGTH), "length");
	ck_assert_str_eq(ir_finish_anthropic(IR_FINISH_PAUSE), "pause_turn");
	ck_assert_str_eq(ir_finish_gemini(IR_FINISH_CONTENT_FILTER), "SAFETY");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ir");

	UNIT_ADD(s, lists);
	UNIT_ADD(s, fields);
	UNIT_ADD(s, escapes);
	UNIT_ADD(s, calls);
	UNIT_ADD(s, ids);
	UNIT_ADD(s, words);
	return unit_run(s);
}
