/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays: whatever the split of the input, the client gets the same bytes and
 * the books the same counts; the end is held back; errors are seen.
 */
#include <stdio.h>

#include "agent/dialect/relay.h"
#include "tests/unit/support/unit.h"

#define OPENAI_STREAM                                                       \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\","        \
	"\"created\":1,\"model\":\"up\",\"choices\":[{\"index\":0,"         \
	"\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"              \
	"\"finish_reason\":null}],\"usage\":null}\n\n"                      \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\","        \
	"\"created\":1,\"model\":\"up\",\"choices\":[{\"index\":0,"         \
	"\"delta\":{\"content\":\"Hi \\u00e9\"},\"finish_reason\":null}],"  \
	"\"usage\":null}\n\n"                                               \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\","        \
	"\"created\":1,\"model\":\"up\",\"choices\":[{\"index\":0,"         \
	"\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"     \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\","        \
	"\"created\":1,\"model\":\"up\",\"choices\":[],\"usage\":{"         \
	"\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}" \
	"\n\ndata: [DONE]\n\n"

#define ANTHROPIC_STREAM                                                     \
	"event: message_start\ndata: {\"type\":\"message_start\","           \
	"\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":"       \
	"\"assistant\",\"model\":\"up\",\"content\":[],\"stop_reason\":null" \
	",\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,"             \
	"\"output_tokens\":1}}}\n\n"                                         \
	"event: ping\ndata: {\"type\": \"ping\"}\n\n"                        \
	"event: content_block_start\ndata: {\"type\":"                       \
	"\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"   \
	"\"text\",\"text\":\"\"}}\n\n"                                       \
	"event: content_block_delta\ndata: {\"type\":"                       \
	"\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"           \
	"\"text_delta\",\"text\":\"Hi \\u00e9\"}}\n\n"                       \
	"event: content_block_stop\ndata: {\"type\":\"content_block_stop\"," \
	"\"index\":0}\n\n"                                                   \
	"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":" \
	"{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{"  \
	"\"output_tokens\":4}}\n\n"                                          \
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

#define GEMINI_STREAM                                                         \
	"data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":"  \
	"[{\"text\":\"Hi \"}]},\"index\":0}],\"usageMetadata\":{"             \
	"\"promptTokenCount\":9,\"totalTokenCount\":9},\"modelVersion\":"     \
	"\"up\",\"responseId\":\"g1\"}\n\n"                                   \
	"data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":"  \
	"[{\"text\":\"\\u00e9\"}]},\"finishReason\":\"STOP\",\"index\":0}],"  \
	"\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":" \
	"4,\"totalTokenCount\":13},\"modelVersion\":\"up\",\"responseId\":"   \
	"\"g1\"}\n\n"

struct rig {
	struct relay relay;
	struct buf out, held;
	struct arena arena;
	struct ir_request ir;
	struct codec_plan plan;
	int rc;
};

static void
start(struct rig *g, enum provider_dialect d, enum op op, bool array)
{
	static const char ask[] =
	    "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}";
	struct b_provider p = {.dialect = d};
	struct relay_opts o = {0};
	struct error e;

	buf_init(&g->out, 1 << 20);
	buf_init(&g->held, 1 << 20);
	arena_init(&g->arena, 4096, 1 << 20);
	relay_init(&g->relay, 65536);
	ck_assert_int_eq(codec_plan(&p, op, false, &g->plan), 0);
	ir_request_init(&g->ir, &g->arena);
	if (op == OP_RESPONSES)
		ck_assert_int_eq(codec_client_of(op)->read(
				     str_of(ask), STR_NULL, false, &g->ir, &e),
		    0);
	o.mode = g->plan.mode;
	o.op = op;
	o.stream = true;
	o.array = array;
	o.n_choices = 1;
	o.from = g->plan.from;
	o.to = g->plan.to;
	o.answer.model = STR("m");
	o.answer.id = STR("req-1");
	o.answer.created_s = 1;
	o.answer.include_usage = true;
	o.answer.request = &g->ir;
	o.out = &g->out;
	o.held = &g->held;
	o.max_event = o.max_plain = 65536;
	o.event_json = o.plain_json = &json_default_limits;
	ck_assert_int_eq(relay_begin(&g->relay, &o), 0);
	g->rc = 0;
}

static void
feed(struct rig *g, const char *p, size_t n)
{
	if (g->rc == 0 && n > 0)
		g->rc = relay_feed(&g->relay, p, n);
}

static void
finish(struct rig *g)
{
	if (g->rc == 0)
		g->rc = relay_finish(&g->relay);
	else if (g->rc == 1)
		g->rc = 0;
}

static void
stop(struct rig *g)
{
	relay_release(&g->relay);
	buf_release(&g->out);
	buf_release(&g->held);
	arena_release(&g->arena);
}

static struct {
	enum provider_dialect d;
	const char *stream;
} providers[] = {{PROVIDER_OPENAI, OPENAI_STREAM},
    {PROVIDER_ANTHROPIC, ANTHROPIC_STREAM}, {PROVIDER_GEMINI, GEMINI_STREAM}};
static const struct {
	enum op op;
	bool array;
	const char *text, *end;
} clients[] = {{OP_CHAT, false, "Hi ", "[DONE]"},
    {OP_MESSAGES, false, "Hi ", "message_stop"},
    {OP_GENERATE, false, "Hi ", "usageMetadata"},
    {OP_GENERATE, true, "Hi ", "]"},
    {OP_RESPONSES, false, "Hi ", "response.completed"}};

/* Whole, in two parts at every place, byte by byte. */
static void
run(struct rig *g, size_t p, size_t c, size_t cut)
{
	const char *s = providers[p].stream;
	size_t i, len = strlen(s);

	start(g, providers[p].d, clients[c].op, clients[c].array);
	if (cut == SIZE_MAX) {
		for (i = 0; i < len; i++)
			feed(g, s + i, 1);
	} else {
		feed(g, s, cut);
		feed(g, s + cut, len - cut);
	}
	finish(g);
}

static void
check(size_t p, size_t c, size_t cut, const struct rig *whole)
{
	struct rig g;

	run(&g, p, c, cut);
	ck_assert_msg(
	    g.rc == 0 && g.out.len == whole->out.len &&
		memcmp(g.out.data, whole->out.data, g.out.len) == 0 &&
		g.held.len == whole->held.len &&
		memcmp(g.held.data, whole->held.data, g.held.len) == 0,
	    "provider %zu client %zu cut %zu rc %d\n%s\n--\n%s", p, c, cut,
	    g.rc, buf_cstr(&g.out), buf_cstr(&g.held));
	ck_assert(relay_usage(&g.relay)->known);
	ck_assert_int_eq(g.relay.text_bytes, whole->relay.text_bytes);
	stop(&g);
}

START_TEST(test_every_split)
{
	size_t p = (size_t)_i / 5, c = (size_t)_i % 5, cut;
	struct rig g;
	const struct ir_usage *u;

	if (providers[p].d == PROVIDER_OPENAI && clients[c].op == OP_RESPONSES)
		return; /* passes: the stream would be another one */
	run(&g, p, c, 0);
	ck_assert_msg(g.rc == 0, "provider %zu client %zu: %d", p, c, g.rc);
	ck_assert_msg(strstr(buf_cstr(&g.out), clients[c].text) != NULL,
	    "provider %zu client %zu: %s", p, c, buf_cstr(&g.out));
	ck_assert_msg(strstr(buf_cstr(&g.held), clients[c].end) != NULL,
	    "provider %zu client %zu: %s | %s", p, c, buf_cstr(&g.out),
	    buf_cstr(&g.held));
	u = &relay_usage(&g.relay)->usage;
	ck_assert(relay_usage(&g.relay)->known);
	ck_assert_int_eq(u->input_total, 9);
	ck_assert_int_eq(u->output_total, 4);
	ck_assert_str_ne(g.relay.finish, "");
	for (cut = 1; cut < strlen(providers[p].stream); cut++)
		check(p, c, cut, &g);
	check(p, c, SIZE_MAX, &g);
	stop(&g);
}
END_TEST

START_TEST(test_passes_unchanged)
{
	struct rig g;
	struct buf all;

	run(&g, 1, 1, 0);
	ck_assert_int_eq(g.plan.mode, RELAY_PASS);
	buf_init(&all, 1 << 20);
	(void)buf_add_str(&all, buf_str(&g.out));
	(void)buf_add_str(&all, buf_str(&g.held));
	ck_assert_str_eq(buf_cstr(&all), ANTHROPIC_STREAM);
	stop(&g);
	buf_clear(&all);
	run(&g, 2, 3, 0); /* an array */
	(void)buf_add_str(&all, buf_str(&g.out));
	(void)buf_add_str(&all, buf_str(&g.held));
	ck_assert_int_eq(json_validate(buf_str(&all), NULL, NULL), 0);
	ck_assert_int_eq(json_root(buf_str(&all)).type, JSON_ARRAY);
	stop(&g);
	buf_release(&all);
}
END_TEST

/* Cut off anywhere: never taken for whole, and the error event fits. */
START_TEST(test_broken)
{
	size_t p = (size_t)_i / 5, c = (size_t)_i % 5, cut;
	const char *s = providers[p].stream, *last;
	struct dialect_error e;
	struct rig g;

	if (providers[p].d == PROVIDER_OPENAI && clients[c].op == OP_RESPONSES)
		return;
	last = strstr(s, p == 0	  ? "\"stop\""
			 : p == 1 ? "message_delta"
				  : "\"STOP\"");
	for (cut = 1; cut < (size_t)(last - s); cut += 7) {
		start(&g, providers[p].d, clients[c].op, clients[c].array);
		feed(&g, s, cut);
		ck_assert_int_eq(g.rc, 0);
		finish(&g);
		ck_assert_msg(
		    g.rc != 0, "provider %zu client %zu cut %zu", p, c, cut);
		errors_of_code(ERR_UPSTREAM, NULL, STR("broke"), &e);
		relay_break(&g.relay, &e, "req-1");
		ck_assert(strstr(buf_cstr(&g.held), "broke") != NULL);
		stop(&g);
	}
}
END_TEST

START_TEST(test_error_first)
{
	static const char bad[] =
	    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
	    "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
	size_t c = (size_t)_i;
	struct rig g;

	start(&g, PROVIDER_ANTHROPIC, clients[c].op, clients[c].array);
	feed(&g, bad, sizeof(bad) - 1);
	ck_assert(g.rc < 0);
	ck_assert(g.relay.error);
	ck_assert_str_eq(g.relay.error_type, "overloaded_error");
	ck_assert_uint_eq(g.out.len, 0);
	stop(&g);
}
END_TEST

static void
add(Suite *s, const char *name, const TTest *test, int n)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test, 0, n);
	suite_add_tcase(s, tc);
}

int
main(void)
{
	Suite *s = suite_create("relay");

	add(s, "test_every_split", test_every_split, 15);
	add(s, "test_passes_unchanged", test_passes_unchanged, 1);
	add(s, "test_broken", test_broken, 15);
	add(s, "test_error_first", test_error_first, 5);
	return unit_run(s);
}
