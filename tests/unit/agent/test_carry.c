/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The carry table: whole, in the documentation, and obeyed: what a provider
 * does not take is refused with the client's name of it, or listed.
 */
#include <stdio.h>

#include "agent/dialect/carry.h"
#include "agent/dialect/ir.h"
#include "tests/unit/support/unit.h"

struct asked {
	struct arena a;
	struct ir_request r;
	struct ir_part *part;
};

static void
asked_init(struct asked *q)
{
	arena_init(&q->a, 4096, 1 << 20);
	ir_request_init(&q->r, &q->a);
	q->part = ir_add_part(&q->r, ir_add_message(&q->r, IR_USER), IR_TEXT);
	ck_assert_ptr_nonnull(q->part);
}

/* Make the request ask for one feature of the table; false: unknown. */
static bool
ask_in_part(struct asked *q, unsigned f)
{
	struct ir_part *p = q->part;

	switch ((enum carry_feature)f) {
	case CARRY_SYSTEM:
	case CARRY_DEVELOPER:
		return true; /* always carried */
	case CARRY_NAME:
		q->r.messages->name = STR("bob");
		return true;
	case CARRY_IMAGE_DATA:
	case CARRY_IMAGE_URL:
	case CARRY_IMAGE_FILE:
	case CARRY_IMAGE_DETAIL:
		p->type = IR_IMAGE;
		p->url = f == CARRY_IMAGE_URL ? STR("https://x/") : STR("");
		p->file_id = f == CARRY_IMAGE_FILE ? STR("id") : STR("");
		p->detail = f == CARRY_IMAGE_DETAIL ? STR("low") : STR("");
		return true;
	case CARRY_DOCUMENT_DATA:
	case CARRY_DOCUMENT_URL:
	case CARRY_DOCUMENT_FILE:
		p->type = IR_DOCUMENT;
		p->url = f == CARRY_DOCUMENT_URL ? STR("https://x/") : STR("");
		p->file_id = f == CARRY_DOCUMENT_FILE ? STR("id") : STR("");
		return true;
	case CARRY_AUDIO:
		p->type = IR_AUDIO;
		return true;
	case CARRY_VIDEO:
		p->type = IR_VIDEO;
		return true;
	case CARRY_TOOL_CALL:
		p->type = IR_TOOL_CALL;
		return true;
	case CARRY_TOOL_RESULT:
		p->type = IR_TOOL_RESULT;
		return true;
	case CARRY_RESULT_IMAGE:
	case CARRY_RESULT_DOCUMENT:
		p->type = IR_TOOL_RESULT;
		return ir_add_result_part(&q->r, p,
			   f == CARRY_RESULT_IMAGE ? IR_IMAGE : IR_DOCUMENT) !=
		       NULL;
	case CARRY_RESULT_ERROR:
		p->type = IR_TOOL_RESULT;
		p->is_error = true;
		return true;
	case CARRY_RESULT_JSON:
		p->type = IR_TOOL_RESULT;
		p->result_json = STR("{}");
		return true;
	case CARRY_THINKING:
		p->type = IR_THINKING;
		return true;
	case CARRY_REDACTED:
		p->type = IR_REDACTED;
		return true;
	case CARRY_SIGNATURE:
		p->signature = STR("s");
		return true;
	case CARRY_REFUSAL:
		p->type = IR_REFUSAL;
		return true;
	case CARRY_CACHE:
		p->cache = IR_CACHE_5M;
		return true;
	case CARRY_N_PART_FEATURES:
		break;
	}
	return false;
}

static void
set_tool(struct ir_request *r, const char *what)
{
	struct ir_tool *t = ir_add_tool(r);

	ck_assert_ptr_nonnull(t);
	t->name = STR("f");
	t->strict = strcmp(what, "strict") == 0;
	t->eager = strcmp(what, "eager") == 0;
	t->cache = strcmp(what, "cache") == 0 ? IR_CACHE_5M : IR_CACHE_NONE;
	r->parallel = strcmp(what, "one") == 0 ? 0 : -1;
	r->choice = strcmp(what, "none") == 0	? IR_CHOICE_NONE
		    : strcmp(what, "any") == 0	? IR_CHOICE_ANY
		    : strcmp(what, "tool") == 0 ? IR_CHOICE_TOOL
						: IR_CHOICE_UNSET;
}

static void
set_top_logprobs(struct ir_request *r)
{
	r->logprobs = true;
	r->top_logprobs = 3;
}

/* The features that are found in the request itself. */
#define SETTERS(X)                                                 \
	X("cache break points in tools", set_tool(r, "cache"))     \
	X("streaming", r->stream = true)                           \
	X("output cap", r->max_output = 5)                         \
	X("temperature", r->temperature = STR("0"))                \
	X("top_p", r->top_p = STR("0.5"))                          \
	X("top_k", r->top_k = STR("5"))                            \
	X("frequency penalty", r->frequency_penalty = STR("-0.5")) \
	X("presence penalty", r->presence_penalty = STR("0.001"))  \
	X("seed", r->seed = STR("0"))                              \
	X("stop sequences", r->n_stops = 1)                        \
	X("several choices", r->n = 2)                             \
	X("log probabilities", r->logprobs = true)                 \
	X("top log probabilities", set_top_logprobs(r))            \
	X("JSON output", r->format = IR_FORMAT_JSON)               \
	X("JSON schema output", r->format = IR_FORMAT_SCHEMA)      \
	X("tools", set_tool(r, ""))                                \
	X("strict tools", set_tool(r, "strict"))                   \
	X("eager tool arguments", set_tool(r, "eager"))            \
	X("tool choice: none", set_tool(r, "none"))                \
	X("tool choice: any", set_tool(r, "any"))                  \
	X("tool choice: one tool", set_tool(r, "tool"))            \
	X("one tool call at a time", set_tool(r, "one"))           \
	X("reasoning effort", r->effort = IR_EFFORT_NONE)          \
	X("thinking budget", r->thinking_budget = 0)               \
	X("thinking in the answer", r->show_thinking = true)       \
	X("end user", r->user = STR("u"))                          \
	X("metadata", r->metadata = STR("{\"a\":1}"))              \
	X("service tier other than the default",                   \
	    r->service_tier = STR("flex"))                         \
	X("verbosity", r->verbosity = STR("low"))                  \
	X("safety settings", r->safety = STR("[{}]"))              \
	X("logit bias", r->logit_bias = STR("{\"1\":1}"))

static bool
ask(struct asked *q, unsigned row)
{
	const char *feature = carry_rows[row].feature;
	struct ir_request *r = &q->r;

	if (row < CARRY_N_PART_FEATURES)
		return ask_in_part(q, row);
#define X(name, set)                      \
	if (strcmp(feature, name) == 0) { \
		(void)(set, 0);           \
		return true;              \
	}
	SETTERS(X)
#undef X
	return false;
}

static void
check_cell(unsigned row, enum carry_client c, enum carry_provider p)
{
	const struct carry_row *cr = &carry_rows[row];
	enum carry_how how = cr->cells[p].how;
	const char *field = cr->names[c] ? cr->names[c] : cr->feature;
	struct carry_lost lost = {0};
	struct error e = {0};
	struct asked q;
	int rc;

	asked_init(&q);
	ck_assert_msg(ask(&q, row), "'%s' is not tested", cr->feature);
	rc = carry_check(&q.r, c, p, false, &lost, &e);
	/* Of parts in results and of details another cell may be asked too. */
	if (how == CARRY_NO) {
		ck_assert_msg(rc == ERR_INVALID, "'%s' to %u", cr->feature, p);
		ck_assert_str_ne(e.text, "");
		ck_assert_str_ne(e.field, "");
	} else if (row != CARRY_IMAGE_DETAIL &&
		   strcmp(cr->feature, "top log probabilities") != 0) {
		ck_assert_msg(
		    rc == 0, "'%s' to %u: %s", cr->feature, p, e.text);
	}
	memset(&lost, 0, sizeof(lost));
	ck_assert_int_eq(carry_check(&q.r, c, p, true, &lost, &e), 0);
	if (how == CARRY_NO && row >= CARRY_N_PART_FEATURES &&
	    strcmp(cr->feature, "top log probabilities") != 0)
		ck_assert_str_eq(e.field, field);
	ck_assert_msg((how >= CARRY_DROP) == (lost.n > 0), "'%s' to %u: \"%s\"",
	    cr->feature, p, lost.text);
	arena_release(&q.a);
}

START_TEST(every_cell)
{
	unsigned row;
	int c, p;

	for (row = 0; row < carry_n_rows; row++) {
		ck_assert_ptr_nonnull(carry_rows[row].feature);
		for (c = 0; c < CARRY_N_CLIENTS; c++) {
			for (p = 0; p < CARRY_N_PROVIDERS; p++)
				check_cell(row, (enum carry_client)c,
				    (enum carry_provider)p);
		}
	}
}
END_TEST

START_TEST(defaults_ask_for_nothing)
{
	struct carry_lost lost = {0};
	struct error e = {0};
	struct asked q;
	int c, p;

	asked_init(&q);
	q.r.frequency_penalty = STR("0.0");
	q.r.presence_penalty = STR("-0e5");
	q.r.service_tier = STR("auto");
	q.r.verbosity = STR("medium");
	q.r.metadata = STR("{}");
	q.r.logit_bias = STR("{}");
	q.r.safety = STR("[]");
	q.r.choice = IR_CHOICE_NONE;
	q.r.parallel = 0;
	q.part->type = IR_IMAGE;
	q.part->data = STR("AAAA");
	q.part->detail = STR("auto");
	for (c = 0; c < CARRY_N_CLIENTS; c++) {
		for (p = 0; p < CARRY_N_PROVIDERS; p++)
			ck_assert_msg(
			    carry_check(&q.r, (enum carry_client)c,
				(enum carry_provider)p, false, &lost, &e) == 0,
			    "%s: %s", e.field, e.text);
	}
	ck_assert_uint_eq(lost.n, 0);
	arena_release(&q.a);
}
END_TEST

START_TEST(others)
{
	struct carry_lost lost = {0};
	struct error e = {0};
	struct asked q;

	asked_init(&q);
	ck_assert_int_eq(ir_note_other(&q.r, "store"), 0);
	ck_assert_int_eq(ir_note_other(&q.r, "a,b\r\nx: y"), 0);
	ck_assert_int_eq(
	    carry_check(&q.r, CARRY_C_CHAT, CARRY_P_GEMINI, false, &lost, &e),
	    ERR_INVALID);
	ck_assert_str_eq(e.field, "store");
	ck_assert_int_eq(
	    carry_check(&q.r, CARRY_C_CHAT, CARRY_P_GEMINI, true, &lost, &e),
	    0);
	ck_assert_str_eq(lost.text, "store, a?b??x:?y");
	ck_assert_uint_eq(lost.n, 2);
	carry_lost_add(&lost, "store");
	ck_assert_uint_eq(lost.n, 2);
	carry_lost_add(&lost, "stor");
	ck_assert_uint_eq(lost.n, 3);
	carry_lost_add(NULL, "x");
	carry_lost_add(&lost, NULL);
	arena_release(&q.a);
}
END_TEST

START_TEST(full_list)
{
	struct carry_lost lost = {0};
	char name[32];
	unsigned i;

	for (i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "field_%u", i);
		carry_lost_add(&lost, name);
	}
	ck_assert_uint_ge(lost.n, 200);
	ck_assert_uint_lt(strlen(lost.text), CARRY_LOST_MAX);
	ck_assert_ptr_nonnull(strstr(lost.text, "field_0, field_1, "));
}
END_TEST

START_TEST(fields)
{
	struct error e = {0};
	struct asked q;

	ck_assert_str_eq(
	    carry_field("seed", CARRY_C_GEMINI), "generationConfig.seed");
	ck_assert_str_eq(carry_field("seed", CARRY_C_ANTHROPIC), "seed");
	/* A part's own place is more exact than the table's. */
	asked_init(&q);
	q.part->type = IR_VIDEO;
	q.part->field = "contents[0].parts[0]";
	ck_assert_int_eq(carry_check(&q.r, CARRY_C_GEMINI, CARRY_P_ANTHROPIC,
			     false, NULL, &e),
	    ERR_INVALID);
	ck_assert_str_eq(e.field, "contents[0].parts[0]");
	ck_assert(!carry_takes_part(q.part, false, CARRY_P_ANTHROPIC));
	ck_assert(carry_takes_part(q.part, false, CARRY_P_GEMINI));
	arena_release(&q.a);
}
END_TEST

/* docs/API.md holds exactly this table; tests run at the root of the tree. */
START_TEST(documentation)
{
	struct buf table, doc;
	char part[4096];
	size_t n;
	FILE *f;

	buf_init(&table, 1 << 20);
	buf_init(&doc, 4 << 20);
	ck_assert_int_eq(carry_write_markdown(&table), 0);
	f = fopen("docs/API.md", "r");
	ck_assert_ptr_nonnull(f);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		(void)buf_add(&doc, part, n);
	fclose(f);
	ck_assert_msg(strstr(buf_cstr(&doc), buf_cstr(&table)) != NULL,
	    "docs/API.md is not current (make docs)");
	buf_release(&table);
	buf_release(&doc);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("carry");

	UNIT_ADD(s, every_cell);
	UNIT_ADD(s, defaults_ask_for_nothing);
	UNIT_ADD(s, others);
	UNIT_ADD(s, full_list);
	UNIT_ADD(s, fields);
	UNIT_ADD(s, documentation);
	return unit_run(s);
}
