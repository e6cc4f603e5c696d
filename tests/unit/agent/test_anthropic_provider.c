/* SPDX-License-Identifier: Apache-2.0 */
/* Anthropic messages as a provider: requests that are written, answers that
 * are read however they are cut. */
#include "agent/dialect/anthropic_provider.h"
#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/support/unit.h"

static const struct codec_kit kit = {
    .provider = &codec_anthropic_provider, .opts = {.stream = true}};

#define E(type, rest) \
	"event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define START                                                               \
	E("message_start",                                                  \
	    ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":" \
	    "\"assistant\",\"model\":\"claude\",\"content\":[],"            \
	    "\"stop_reason\":null,\"usage\":{\"input_tokens\":10,"          \
	    "\"cache_read_input_tokens\":4,\"output_tokens\":1}}")
#define BLOCK(i, block) \
	E("content_block_start", ",\"index\":" #i ",\"content_block\":" block)
#define DELTA(i, delta) \
	E("content_block_delta", ",\"index\":" #i ",\"delta\":" delta)
#define STOP(i)	  E("content_block_stop", ",\"index\":" #i "      ")
#define TEXT(i)	  BLOCK(i, "{\"type\":\"text\",\"text\":\"\"}")
#define SAY(i, t) DELTA(i, "{\"type\":\"text_delta\",\"text\":\"" t "\"}")
#define FIN(reason, out)                                            \
	E("message_delta", ",\"delta\":{\"stop_reason\":\"" reason  \
			   "\",\"stop_sequence\":null},\"usage\":{" \
			   "\"output_tokens\":" #out "}")
#define END  E("message_stop", "")
#define PING E("ping", "")

static void
expect(const char *body, int rc, const char *want)
{
	codec_kit_expect(&kit, str_of(body), rc, want);
}

START_TEST(text_stream)
{
	expect(START TEXT(0) PING SAY(0, "Hi \\u00e9") SAY(0, "")
		   SAY(0, " \\\"x\\\"") STOP(0) FIN("end_turn", 7) END,
	    0,
	    "start msg_1 claude\nusage 14 1\nblock 0.0 text\n"
	    "delta 0.0 Hi \\u00e9\ndelta 0.0  \\\"x\\\"\nstop 0.0\n"
	    "finish 0 stop end_turn\nusage 14 7\nend\n");
	/* No message_stop, an unknown event, an unknown delta, a block that
	 * was not stopped. */
	expect(START E("hello", ",\"x\":1") TEXT(0) SAY(0, "a")
		   DELTA(0, "{\"type\":\"citations_delta\",\"citation\":{}}")
		       E("message_delta",
			   ",\"delta\":{\"stop_reason\":\"stop_sequence\","
			   "\"stop_sequence\":\"END\"},\"usage\":{"
			   "\"output_tokens\":2}"),
	    0,
	    "start msg_1 claude\nusage 14 1\nblock 0.0 text\ndelta 0.0 a\n"
	    "stop 0.0\nfinish 0 stop stop_sequence END\nusage 14 2\nend\n");
	expect("data: {\"type\":\"message_start\",\"message\":{\"id\":\"a\","
	       "\"model\":\"m\"}}\r\n\r\ndata: {\"type\":\"message_delta\","
	       "\"delta\":{\"stop_reason\":\"max_tokens\"}}\r\n\r\n",
	    0, "start a m\nfinish 0 length max_tokens\nend\n");
}
END_TEST

START_TEST(blocks)
{
	expect(START BLOCK(0,
		   "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":"
		   "\"\"}") DELTA(0,
		   "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}") DELTA(0,
		   "{\"type\":\"signature_delta\",\"signature\":"
		   "\"s+/=\"}") STOP(0) BLOCK(1,
		   "{\"type\":\"redacted_thinking\",\"data\":"
		   "\"zz\"}") STOP(1) BLOCK(2,
		   "{\"type\":\"tool_use\",\"id\":\"t1\","
		   "\"name\":\"f\",\"input\":{}}") DELTA(2,
		   "{\"type\":\"input_json_delta\","
		   "\"partial_json\":\"\"}") DELTA(2,
		   "{\"type\":\"input_json_delta\","
		   "\"partial_json\":\"{\\\"a\\\"\"}")
		   DELTA(2, "{\"type\":"
			    "\"input_json_delta\","
			    "\"partial_json\":\":1}\"}") STOP(2) BLOCK(3,
		       "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\","
		       "\"input\":{}}") STOP(3) FIN("tool_use", 9) END,
	    0,
	    "start msg_1 claude\nusage 14 1\nblock 0.0 thinking\n"
	    "delta 0.0 hm\nsig 0.0 s+/=\nstop 0.0\nblock 0.1 redacted\n"
	    "sig 0.1 zz\nstop 0.1\nblock 0.2 call t1 f\n"
	    "delta 0.2 {\\\"a\\\"\ndelta 0.2 :1}\nstop 0.2\n"
	    "block 0.3 call t2 g\ndelta 0.3 {}\nstop 0.3\n"
	    "finish 0 tool_calls tool_use\nusage 14 9\nend\n");
	/* What a server tool does is not shown. */
	expect(START BLOCK(0,
		   "{\"type\":\"server_tool_use\",\"id\":\"x\",\"name\":"
		   "\"web_search\",\"input\":{}}")
		   DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":"
			    "\"{}\"}") STOP(0)
		       BLOCK(1, "{\"type\":\"web_search_tool_result\","
				"\"content\":[]}") STOP(1) TEXT(2) SAY(2, "ok")
			   STOP(2) FIN("pause_turn", 3) END,
	    0,
	    "start msg_1 claude\nusage 14 1\nblock 0.0 text\ndelta 0.0 ok\n"
	    "stop 0.0\nfinish 0 stop pause_turn\nusage 14 3\nend\n");
}
END_TEST

START_TEST(errors)
{
	expect(START TEXT(0) SAY(0, "a") E("error",
		   ",\"error\":{\"type\":\"overloaded_error\","
		   "\"message\":\"Overloaded\"}") FIN("end_turn", 1) END,
	    0,
	    "start msg_1 claude\nusage 14 1\nblock 0.0 text\ndelta 0.0 a\n"
	    "error 529 overloaded_error Overloaded\n");
	expect("{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
	       "\"message\":\"x\"},\"request_id\":\"r\"}",
	    0, "error 500 api_error x\n");
	expect("", ERR_INVALID, "");
	expect(PING, ERR_INVALID, "");
	expect(SAY(0, "a"), ERR_INVALID, "");
	expect("data: nonsense\n\n", ERR_INVALID, "");
	expect(START TEXT(0) SAY(0, "a"), ERR_INVALID,
	    "start msg_1 claude\nusage 14 1\nblock 0.0 text\ndelta 0.0 a\n");
	expect(START FIN("end_turn", 1) "data: {\"ty", 0,
	    "start msg_1 claude\nusage 14 1\nfinish 0 stop end_turn\n"
	    "usage 14 1\nend\n");
	expect(START END, 0,
	    "start msg_1 claude\nusage 14 1\nfinish 0 stop \nend\n");
}
END_TEST

START_TEST(plain)
{
	expect("{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"claude\","
	       "\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
	       "\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"a\\nb\"},{"
	       "\"type\":\"server_tool_use\",\"id\":\"x\"},{\"type\":"
	       "\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"k\": "
	       "\"v\"}},{\"type\":\"tool_use\",\"id\":\"u\",\"name\":\"g\","
	       "\"input\":{}}],\"stop_reason\":\"tool_use\","
	       "\"stop_sequence\":null,\"usage\":{\"input_tokens\":2,"
	       "\"output_tokens\":3}}",
	    0,
	    "start msg_1 claude\nblock 0.0 thinking\ndelta 0.0 hm\n"
	    "sig 0.0 s\nstop 0.0\nblock 0.1 text\ndelta 0.1 a\\nb\nstop 0.1\n"
	    "block 0.2 call t f\ndelta 0.2 {\\\"k\\\": \\\"v\\\"}\nstop 0.2\n"
	    "block 0.3 call u g\ndelta 0.3 {}\nstop 0.3\n"
	    "finish 0 tool_calls tool_use\nusage 2 3\nend\n");
	expect("{\"id\":\"x\"}", ERR_INVALID, "");
}
END_TEST

/* ---- requests ---- */

struct asked {
	struct arena a;
	struct ir_request r;
	struct carry_lost lost;
	struct write_opts o;
};

static void
asked_init(struct asked *q, const char *model)
{
	memset(q, 0, sizeof(*q));
	arena_init(&q->a, 4096, 1 << 20);
	ir_request_init(&q->r, &q->a);
	q->o = (struct write_opts){.client = CARRY_C_CHAT,
	    .model = str_of(model),
	    .max_output = 10000,
	    .lost = &q->lost};
}

static struct ir_part *
add(struct asked *q, enum ir_role role, enum ir_part_type t, const char *text)
{
	struct ir_message *m = q->r.last_message;
	struct ir_part *p;

	if (m == NULL || m->role != role)
		m = ir_add_message(&q->r, role);
	ck_assert_ptr_nonnull(m);
	p = ir_add_part(&q->r, m, t);
	ck_assert_ptr_nonnull(p);
	p->text = str_of(text);
	p->field = "messages[0].content[0]";
	return p;
}

static void
writes(struct asked *q, const char *want, const char *field)
{
	codec_kit_write(&codec_anthropic_provider, &q->r, &q->o, want, field);
}

static void
done(struct asked *q)
{
	arena_release(&q->a);
}

START_TEST(write_messages)
{
	struct ir_part *p;
	struct asked q;

	asked_init(&q, "claude-3-5-haiku");
	(void)add(&q, IR_SYSTEM, IR_TEXT, "s1");
	(void)add(&q, IR_USER, IR_TEXT, "a");
	(void)add(&q, IR_DEVELOPER, IR_TEXT, "d");
	p = add(&q, IR_USER, IR_IMAGE, "");
	p->data = STR("iVBORw0KGgo=");
	p = add(&q, IR_USER, IR_DOCUMENT, "");
	p->mime = STR("text/plain");
	p->data = STR("aMOp\\/w==");
	p->filename = STR("n");
	p = add(&q, IR_USER, IR_DOCUMENT, "");
	p->url = STR("https://d/");
	p = add(&q, IR_ASSISTANT, IR_THINKING, "hm");
	p->signature = STR("s");
	(void)add(&q, IR_ASSISTANT, IR_THINKING, "unsigned");
	(void)add(&q, IR_ASSISTANT, IR_TEXT, " \\n");
	add(&q, IR_ASSISTANT, IR_REDACTED, "")->signature = STR("zz");
	p = add(&q, IR_ASSISTANT, IR_TOOL_CALL, "");
	p->id = STR("call.1");
	p->name = STR("f");
	p->args = STR("{\"x\":1}");
	(void)add(&q, IR_USER, IR_TEXT, "and");
	(void)ir_add_message(&q.r, IR_ASSISTANT);
	p = add(&q, IR_USER, IR_TOOL_RESULT, "");
	p->id = STR("call.1");
	p->is_error = true;
	p->cache = IR_CACHE_1H;
	ir_add_result_part(&q.r, p, IR_TEXT)->text = STR("r");
	ir_add_result_part(&q.r, p, IR_IMAGE)->url = STR("https://i/");
	writes(&q,
	    "{\"model\":\"claude-3-5-haiku\",\"max_tokens\":10000,\"system\":"
	    "[{\"type\":\"text\",\"text\":\"s1\"},{\"type\":\"text\",\"text\":"
	    "\"d\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
	    "\"text\",\"text\":\"a\"},{\"type\":\"image\",\"source\":{\"type\":"
	    "\"base64\",\"media_type\":\"image/png\",\"data\":"
	    "\"iVBORw0KGgo=\"}},{\"type\":\"document\",\"source\":{\"type\":"
	    "\"text\",\"media_type\":\"text/plain\",\"data\":"
	    "\"h\xc3\xa9\xef\xbf\xbd\"},\"title\":\"n\"},{\"type\":"
	    "\"document\",\"source\":{\"type\":\"url\",\"url\":"
	    "\"https://d/\"}}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
	    "\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},{\"type\":"
	    "\"redacted_thinking\",\"data\":\"zz\"},{\"type\":\"tool_use\","
	    "\"id\":\"toolu_1ea4dda8d0f0a21c03b847ea\",\"name\":\"f\","
	    "\"input\":{\"x\":1}}]},{"
	    "\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	    "\"tool_use_id\":\"toolu_1ea4dda8d0f0a21c03b847ea\",\"content\":[{"
	    "\"type\":"
	    "\"text\",\"text\":\"r\"},{\"type\":\"image\",\"source\":{\"type\":"
	    "\"url\",\"url\":\"https://i/\"}}],\"is_error\":true,"
	    "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{"
	    "\"type\":\"text\",\"text\":\"and\"}]}]}",
	    NULL);
	done(&q);
}
END_TEST

START_TEST(write_options)
{
	struct ir_tool *t;
	struct asked q;

	asked_init(&q, "claude-opus-4-7");
	(void)add(&q, IR_USER, IR_TEXT, "x");
	t = ir_add_tool(&q.r);
	t->name = STR("f");
	t->strict = 1;
	t->cache = IR_CACHE_5M;
	q.r.stream = true;
	q.r.max_output = 50;
	q.r.parallel = 0;
	q.r.temperature = STR("0.5");
	q.r.top_p = STR("1.0");
	q.r.n_stops = 1;
	q.r.stops[0] = STR("E");
	q.r.user = STR("u");
	q.r.format = IR_FORMAT_SCHEMA;
	q.r.format_schema = STR("{\"type\":\"object\"}");
	writes(&q,
	    "{\"model\":\"claude-opus-4-7\",\"max_tokens\":50,\"stream\":true,"
	    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	    "\"text\":\"x\"}]}],\"temperature\":0.5,\"stop_sequences\":[\"E\"],"
	    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\","
	    "\"properties\":{}},\"strict\":true,\"cache_control\":{\"type\":"
	    "\"ephemeral\"}}],\"tool_choice\":{\"type\":\"auto\","
	    "\"disable_parallel_tool_use\":true},\"output_config\":{\"format\":"
	    "{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}},"
	    "\"metadata\":{\"user_id\":\"u\"}}",
	    NULL);
	q.r.temperature = STR("1.5");
	writes(&q, NULL, "temperature");
	q.r.temperature = STR("0.5");
	q.r.effort = IR_EFFORT_LOW;
	writes(&q, NULL, "temperature");
	q.r.temperature = STR("1");
	q.r.choice = IR_CHOICE_ANY;
	writes(&q, NULL, "reasoning_effort");
	q.r.choice = IR_CHOICE_NONE;
	q.r.format = IR_FORMAT_JSON;
	q.r.tools->strict = 0;
	q.r.show_thinking = true;
	writes(&q,
	    "{\"model\":\"claude-opus-4-7\",\"max_tokens\":50,\"stream\":true,"
	    "\"system\":\"Answer with a single valid JSON object and nothing "
	    "else: no text before or after it, no code fence.\","
	    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	    "\"text\":\"x\"}]}],\"temperature\":1,\"stop_sequences\":[\"E\"],"
	    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\","
	    "\"properties\":{}},\"cache_control\":{\"type\":\"ephemeral\"}}],"
	    "\"tool_choice\":{\"type\":\"none\"},\"thinking\":{\"type\":"
	    "\"adaptive\",\"display\":\"summarized\"},\"output_config\":{"
	    "\"effort\":\"low\"},\"metadata\":{\"user_id\":\"u\"}}",
	    NULL);
	q.r.seed = STR("1");
	writes(&q, NULL, "seed");
	done(&q);
}
END_TEST

#define HEAD(model, cap)                                                   \
	"{\"model\":\"" model "\",\"max_tokens\":" #cap ",\"messages\":[{" \
	"\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]"
#define BUDGET(n) \
	",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" #n "}}"

START_TEST(write_thinking)
{
	struct ir_part *p;
	struct asked q;

	asked_init(&q, "claude-3-7-sonnet");
	(void)add(&q, IR_USER, IR_TEXT, "x");
	q.r.effort = IR_EFFORT_MEDIUM;
	writes(&q, HEAD("claude-3-7-sonnet", 10000) BUDGET(8192), NULL);
	q.o.max_output = 3000;
	writes(&q, HEAD("claude-3-7-sonnet", 3000) BUDGET(1500), NULL);
	q.o.max_output = 1025;
	writes(&q, HEAD("claude-3-7-sonnet", 1025) BUDGET(1024), NULL);
	q.o.max_output = 1024;
	writes(&q, HEAD("claude-3-7-sonnet", 1024) "}", NULL);
	ck_assert_str_eq(q.lost.text, "reasoning_effort");
	q.o.max_output = 10000;
	q.r.effort = IR_EFFORT_UNSET;
	q.r.thinking_budget = 100;
	writes(&q, HEAD("claude-3-7-sonnet", 10000) BUDGET(1024), NULL);
	q.r.thinking_budget = 0;
	writes(&q, HEAD("claude-3-7-sonnet", 10000) "}", NULL);
	q.r.thinking_budget = 2048;
	q.o.model = STR("claude-opus-4-6");
	writes(&q, HEAD("claude-opus-4-6", 10000) BUDGET(2048), NULL);
	q.o.model = STR("claude-opus-4-7");
	writes(&q,
	    HEAD("claude-opus-4-7",
		10000) ",\"thinking\":{\"type\":"
		       "\"adaptive\"},\"output_config\":{\"effort\":\"low\"}}",
	    NULL);
	/* A loop without the thinking that led to the call. */
	q.o.model = STR("claude-3-7-sonnet");
	p = add(&q, IR_ASSISTANT, IR_TOOL_CALL, "");
	p->id = STR("i");
	p->name = STR("f");
	add(&q, IR_USER, IR_TOOL_RESULT, "")->id = STR("i");
	q.lost.n = 0;
	q.lost.text[0] = '\0';
	writes(&q,
	    "{\"model\":\"claude-3-7-sonnet\",\"max_tokens\":10000,"
	    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	    "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
	    "\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{}}]},{"
	    "\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	    "\"tool_use_id\":\"i\"}]}]}",
	    NULL);
	done(&q);
}
END_TEST

START_TEST(ways)
{
	ck_assert_int_eq(antp_way_of(STR("claude-3-5-haiku")), ANTP_BUDGET);
	ck_assert_int_eq(
	    antp_way_of(STR("claude-sonnet-4-20250514")), ANTP_BUDGET);
	ck_assert_int_eq(
	    antp_way_of(STR("claude-opus-4-5@20251101")), ANTP_BUDGET);
	ck_assert_int_eq(antp_way_of(STR("claude-opus-4-6")), ANTP_BOTH);
	ck_assert_int_eq(
	    antp_way_of(STR("anthropic.claude-opus-4-8-v1:0")), ANTP_EFFORT);
	ck_assert_int_eq(antp_way_of(STR("claude-opus-5")), ANTP_EFFORT);
	ck_assert_int_eq(antp_way_of(STR("claude-opus-4.7")), ANTP_EFFORT);
	ck_assert_int_eq(antp_way_of(STR("claude-new")), ANTP_EFFORT);
	ck_assert_int_eq(antp_way_of(STR("kimi-k2")), ANTP_BUDGET);
	ck_assert_int_eq(antp_way_of(STR("")), ANTP_BUDGET);
}
END_TEST

START_TEST(write_refused)
{
	struct ir_part *p;
	struct asked q;

	asked_init(&q, "claude-opus-4-7");
	p = add(&q, IR_USER, IR_AUDIO, "");
	p->data = STR("AAAA");
	writes(&q, NULL, "messages[0].content[0]");
	p->type = IR_DOCUMENT;
	p->mime = STR("application/msword");
	writes(&q, NULL, "messages[0].content[0]");
	p->mime = STR("text/csv");
	p->data = STR("!!!");
	writes(&q, NULL, "messages[0].content[0]");
	p->type = IR_AUDIO;
	q.r.n = 2;
	writes(&q, NULL, "n");
	q.o.lenient = true;
	q.o.max_output = 0;
	q.r.logit_bias = STR("{\"1\":1}");
	(void)add(&q, IR_USER, IR_TEXT, "x");
	writes(&q, HEAD("claude-opus-4-7", 4096) "}", NULL);
	ck_assert_str_eq(q.lost.text, "n, logit_bias, messages[0].content[0]");
	done(&q);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("anthropic_provider");

	UNIT_ADD(s, text_stream);
	UNIT_ADD(s, blocks);
	UNIT_ADD(s, errors);
	UNIT_ADD(s, plain);
	UNIT_ADD(s, write_messages);
	UNIT_ADD(s, write_options);
	UNIT_ADD(s, write_thinking);
	UNIT_ADD(s, ways);
	UNIT_ADD(s, write_refused);
	return unit_run(s);
}
