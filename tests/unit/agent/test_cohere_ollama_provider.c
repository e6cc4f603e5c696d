/* SPDX-License-Identifier: Apache-2.0 */
/* Cohere and Ollama as providers: requests that are written, answers that are
 * read however they are cut. */
#include <stdio.h>
#include <string.h>

#include "agent/dialect/ndjson.h"
#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/support/unit.h"

static const struct codec_kit cohere = {
    .provider = &codec_cohere_provider, .opts = {.stream = true}};
static const struct codec_kit cohere_plain = {
    .provider = &codec_cohere_provider};
static const struct codec_kit ollama = {
    .provider = &codec_ollama_provider, .opts = {.stream = true}};
static const struct codec_kit ollama_plain = {
    .provider = &codec_ollama_provider};

static void
expect(const struct codec_kit *k, const char *body, int rc, const char *want)
{
	codec_kit_expect(k, str_of(body), rc, want);
}

static void
writes(const struct codec_provider *p, const char *model, const char *body,
    const char *want, const char *field)
{
	struct write_opts o = {.client = CARRY_C_CHAT, .model = str_of(model)};
	struct ir_request r;
	struct arena a;

	codec_kit_read(&codec_openai_chat_client, str_of(body), &a, &r);
	codec_kit_write(p, &r, &o, want, field);
	arena_release(&a);
}

#define USER "{\"role\":\"user\",\"content\":\"hi\"}"
#define TOOLS                                                               \
	"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","   \
	"\"description\":\"d\",\"strict\":true,\"parameters\":{\"type\":"   \
	"\"object\"}}},{\"type\":\"function\",\"function\":{\"name\":\"g\"" \
	"}}]"
#define CALLS                                                           \
	"{\"role\":\"assistant\",\"content\":\"ok\",\"tool_calls\":[{"  \
	"\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"   \
	"\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]},{\"role\":\"tool\"," \
	"\"tool_call_id\":\"c1\",\"content\":\"one\"}"
#define SETTINGS                                                         \
	"\"temperature\":0.20,\"top_p\":0.9,\"stop\":\"a\","             \
	"\"max_completion_tokens\":512,\"seed\":7,\"presence_penalty\":" \
	"0.5,\"frequency_penalty\":0.1"
#define IMAGE                                                          \
	"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":" \
	"\"a\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"       \
	"\"data:image/png;base64,iVBOR\",\"detail\":\"low\"}}]}"

/* ---- Cohere ---- */

#define D(type, json) \
	"event: " type "\ndata: {\"type\":\"" type "\"" json "}\n\n"
#define START D("message-start", ",\"id\":\"i1\",\"delta\":{\"message\":{}}")
#define CSTART(i, kind)                                  \
	D("content-start",                               \
	    ",\"index\":" #i ",\"delta\":{\"message\":{" \
	    "\"content\":{\"type\":\"" kind "\",\"" kind "\":\"\"}}}")
#define CDELTA(i, kind, text)                                           \
	D("content-delta", ",\"index\":" #i ",\"delta\":{\"message\":{" \
			   "\"content\":{\"" kind "\":\"" text "\"}}}")
#define CEND(i) D("content-end", ",\"index\":" #i)
#define PLAN(text)           \
	D("tool-plan-delta", \
	    ",\"delta\":{\"message\":{\"tool_plan\":\"" text "\"}}")
#define TSTART(i, id, name)                                              \
	D("tool-call-start", ",\"index\":" #i ",\"delta\":{\"message\":" \
			     "{\"tool_calls\":{\"id\":\"" id             \
			     "\",\"type\":\"function\",\"function\":{"   \
			     "\"name\":\"" name "\",\"arguments\":\"\"}}}}")
#define TDELTA(i, text)                                                  \
	D("tool-call-delta", ",\"index\":" #i ",\"delta\":{\"message\":" \
			     "{\"tool_calls\":{\"function\":{"           \
			     "\"arguments\":\"" text "\"}}}}")
#define TEND(i) D("tool-call-end", ",\"index\":" #i)
#define END(reason)                                                 \
	D("message-end", ",\"delta\":{\"finish_reason\":\"" reason  \
			 "\",\"usage\":{\"billed_units\":{"         \
			 "\"input_tokens\":3,\"output_tokens\":9}," \
			 "\"tokens\":{\"input_tokens\":70,"         \
			 "\"output_tokens\":10}}}")

START_TEST(cohere_text)
{
	struct codec_seen seen;

	codec_kit_cuts(&cohere,
	    STR(START CSTART(0, "thinking") CDELTA(0, "thinking", "Hm") CEND(0)
		    CSTART(1, "text") CDELTA(1, "text", "Hi \\\"you\\\"")
			D("citation-start", ",\"index\":0,\"delta\":{}")
			    CDELTA(1, "text", "!") CEND(1) END("COMPLETE")),
	    &seen);
	ck_assert_int_eq(seen.rc, 0);
	ck_assert_int_eq(seen.usage_known, 1);
	(void)buf_addc(&seen.events, '\0');
	ck_assert_msg(strstr(seen.events.data,
			  "start i1 \nblock 0.0 thinking\ndelta 0.0 Hm\n"
			  "stop 0.0\nblock 0.1 text\ndelta 0.1 Hi \\\"you\\\""
			  "\ndelta 0.1 !\nstop 0.1\nfinish 0 stop COMPLETE\n"
			  "usage ") == seen.events.data,
	    "%s", seen.events.data);
	codec_seen_release(&seen);
}
END_TEST

START_TEST(cohere_calls)
{
	struct codec_seen seen;

	codec_kit_cuts(&cohere,
	    STR(START PLAN("I ") PLAN("look.") TSTART(0, "c0", "f")
		    TDELTA(0, "{\\\"x\\\":") TDELTA(0, "1}") TEND(0)
			TSTART(1, "c1", "g") TEND(1) END("TOOL_CALL")),
	    &seen);
	ck_assert_int_eq(seen.rc, 0);
	(void)buf_addc(&seen.events, '\0');
	ck_assert_msg(
	    strstr(seen.events.data,
		"start i1 \nblock 0.0 text\ndelta 0.0 I \n"
		"delta 0.0 look.\nstop 0.0\nblock 0.1 call c0 f\n"
		"delta 0.1 {\\\"x\\\":\ndelta 0.1 1}\nstop 0.1\n"
		"block 0.2 call c1 g\ndelta 0.2 {}\nstop 0.2\n"
		"finish 0 tool_calls TOOL_CALL\nusage ") == seen.events.data,
	    "%s", seen.events.data);
	codec_seen_release(&seen);
}
END_TEST

START_TEST(cohere_broken)
{
	expect(&cohere,
	    START CSTART(0, "text") D("message-end",
		",\"delta\":{\"finish_reason\":\"ERROR\","
		"\"error\":\"out of \\\"luck\\\"\"}") "data: x",
	    0,
	    "start i1 \nblock 0.0 text\nstop 0.0\n"
	    "error 500 ERROR out of \\\"luck\\\"\n");
	/* without a text */
	expect(&cohere,
	    START D("message-end", ",\"delta\":{\"finish_reason\":\"ERROR\"}"),
	    0, "start i1 \nerror 500 ERROR The provider failed\n");
	expect(&cohere_plain,
	    "{\"id\":\"i1\",\"finish_reason\":\"TIMEOUT\",\"message\":{}}", 0,
	    "start i1 \nerror 504 TIMEOUT The provider took too long\n");
	expect(&cohere, START CSTART(0, "text"), ERR_INVALID,
	    "start i1 \nblock 0.0 text\n");
	expect(&cohere, START TDELTA(0, "{"), ERR_INVALID, "start i1 \n");
	expect(&cohere, START "data: {\n\n", ERR_INVALID, "start i1 \n");
	expect(
	    &cohere, START CDELTA(-1, "text", "x"), ERR_INVALID, "start i1 \n");
}
END_TEST

START_TEST(cohere_plain_answers)
{
	expect(&cohere_plain,
	    "{\"id\":\"i1\",\"finish_reason\":\"TOOL_CALL\",\"message\":{"
	    "\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
	    "\"thinking\":\"Hm\"}],\"tool_plan\":\"I look.\",\"tool_calls\":[{"
	    "\"id\":\"c0\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"arguments\":\"{\\\"x\\\":1}\"}}]}}",
	    0,
	    "start i1 \nblock 0.0 thinking\ndelta 0.0 Hm\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 I look.\nstop 0.1\n"
	    "block 0.2 call c0 f\ndelta 0.2 {\\\"x\\\":1}\nstop 0.2\n"
	    "finish 0 tool_calls TOOL_CALL\nend\n");
	expect(&cohere_plain,
	    "{\"id\":\"i1\",\"finish_reason\":\"MAX_TOKENS\",\"message\":{"
	    "\"content\":[{\"type\":\"text\",\"text\":\"A\"}]}}",
	    0,
	    "start i1 \nblock 0.0 text\ndelta 0.0 A\nstop 0.0\n"
	    "finish 0 length MAX_TOKENS\nend\n");
	expect(&cohere_plain, "{\"message\":\"invalid\"}", ERR_INVALID, "");
}
END_TEST

#define ENTRY(token, p)                                              \
	"{\"token\":\"" token "\",\"logprob\":" p ",\"bytes\":null," \
	"\"top_logprobs\":[]}"

/* A chunk has several tokens and says not whose text is whose. */
START_TEST(cohere_log_probabilities)
{
	static const char thought[] =
	    "{\"id\":\"i1\",\"finish_reason\":\"COMPLETE\",\"message\":{"
	    "\"content\":[{\"type\":\"thinking\",\"thinking\":\"Hm\"},{"
	    "\"type\":\"text\",\"text\":\"A\\nb\"}]},\"logprobs\":[{"
	    "\"text\":\"%s\",\"token_ids\":[1],\"logprobs\":[-9]},{\"text\":"
	    "\"A\\n\",\"token_ids\":[2,3],\"logprobs\":[-0.50,-1e-3]},{"
	    "\"text\":\"b\",\"token_ids\":[4],\"logprobs\":[0]}]}";
	struct codec_seen seen;
	char body[1024];

	codec_kit_cuts(&cohere,
	    STR(START CSTART(0, "thinking") D("content-delta",
		",\"index\":0,\"delta\":{\"message\":{\"content\":{"
		"\"thinking\":\"Hm\"}}},\"logprobs\":{\"text\":\"Hm\","
		"\"token_ids\":[1],\"logprobs\":[-9]}") CEND(0)
		    CSTART(1, "text") D("content-delta",
			",\"index\":1,\"delta\":{\"message\":{\"content\":{"
			"\"text\":\"a b\"}}},\"logprobs\":{\"text\":\"a b\","
			"\"token_ids\":[2,3],\"logprobs\":[-0.25,-1.5]}")
			CEND(1) END("COMPLETE")),
	    &seen);
	ck_assert_int_eq(seen.rc, 0);
	(void)buf_addc(&seen.events, '\0');
	ck_assert_msg(
	    strstr(seen.events.data,
		"start i1 \nblock 0.0 thinking\ndelta 0.0 Hm\nstop 0.0\n"
		"block 0.1 text\ndelta 0.1 a b\nlogprobs 0.1 [" ENTRY(
		    "a b", "-0.25") "," ENTRY("", "-1.5") "]\nstop 0.1\n") ==
		seen.events.data,
	    "%s", seen.events.data);
	codec_seen_release(&seen);
	(void)snprintf(body, sizeof(body), thought, "Hm");
	expect(&cohere_plain, body, 0,
	    "start i1 \nblock 0.0 thinking\ndelta 0.0 Hm\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 A\\nb\nlogprobs 0.1 [" ENTRY(
		"A\\n", "-0.50") "," ENTRY("", "-1e-3") "," ENTRY("b",
		"0") "]\n"
		     "stop 0.1\nfinish 0 stop COMPLETE\nend\n");
	/* No chunk begins with the text: nothing is better than wrong ones. */
	expect(&cohere_plain,
	    "{\"id\":\"i1\",\"finish_reason\":\"COMPLETE\",\"message\":{"
	    "\"content\":[{\"thinking\":\"Hm\"},{\"text\":\"Ab\"}]},"
	    "\"logprobs\":[{\"text\":\"HmA\",\"logprobs\":[-1]},{"
	    "\"text\":\"b\",\"logprobs\":[-2]},null,{\"logprobs\":[\"x\"]},7]"
	    "}",
	    0,
	    "start i1 \nblock 0.0 thinking\ndelta 0.0 Hm\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 Ab\nstop 0.1\n"
	    "finish 0 stop COMPLETE\nend\n");
	writes(&codec_cohere_provider, "c",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"logprobs\":true}",
	    "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":"
	    "\"hi\"}],\"logprobs\":true,\"stream\":false}",
	    NULL);
	writes(&codec_cohere_provider, "c",
	    "{\"model\":\"m\",\"messages\":[" USER
	    "],\"logprobs\":true,\"top_logprobs\":2}",
	    NULL, "top_logprobs");
}
END_TEST

START_TEST(cohere_requests)
{
	const struct codec_provider *p = &codec_cohere_provider;

	writes(p, "command-a",
	    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
	    "\"developer\",\"content\":\"S\"}," USER "," CALLS "]," TOOLS
	    ",\"tool_choice\":\"required\"," SETTINGS
	    ",\"reasoning_effort\":\"low\"}",
	    "{\"model\":\"command-a\",\"messages\":[{\"role\":\"system\","
	    "\"content\":\"S\"},{\"role\":\"user\",\"content\":\"hi\"},{"
	    "\"role\":\"assistant\",\"tool_plan\":\"ok\",\"tool_calls\":[{"
	    "\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"arguments\":\"{\\\"x\\\":1}\"}}]},{\"role\":\"tool\","
	    "\"tool_call_id\":\"c1\",\"content\":\"one\"}],\"tools\":[{"
	    "\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}},{"
	    "\"type\":\"function\",\"function\":{\"name\":\"g\","
	    "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],"
	    "\"strict_tools\":true,\"tool_choice\":\"REQUIRED\","
	    "\"max_tokens\":512,\"temperature\":0.20,\"p\":0.9,\"seed\":7,"
	    "\"frequency_penalty\":0.1,\"presence_penalty\":0.5,"
	    "\"stop_sequences\":[\"a\"],\"thinking\":{\"type\":\"enabled\","
	    "\"token_budget\":511},\"stream\":true}",
	    NULL);
	writes(p, "c",
	    "{\"model\":\"m\",\"messages\":[" IMAGE "]," TOOLS
	    ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
	    "\"g\"}},\"response_format\":{\"type\":\"json_schema\","
	    "\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\"}}"
	    "}}",
	    "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":[{"
	    "\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\","
	    "\"image_url\":{\"url\":\"data:image/png;base64,iVBOR\","
	    "\"detail\":\"low\"}}]}],\"tools\":[{\"type\":\"function\","
	    "\"function\":{\"name\":\"g\",\"parameters\":{\"type\":\"object\","
	    "\"properties\":{}}}}],\"tool_choice\":\"REQUIRED\","
	    "\"response_format\":{\"type\":\"json_object\",\"json_schema\":{"
	    "\"type\":\"object\"}},\"stream\":false}",
	    NULL);
	writes(p, "c", "{\"model\":\"m\",\"n\":2,\"messages\":[" USER "]}",
	    NULL, "n");
}
END_TEST

/* ---- Ollama ---- */

#define LINE(more) "{\"model\":\"llama\",\"created_at\":\"t1\"," more "}\n"
#define MSG(m)                                                     \
	LINE("\"message\":{\"role\":\"assistant\"," m "},\"done\"" \
	     ":false")
#define DONE(reason)                                                  \
	LINE("\"message\":{\"role\":\"assistant\",\"content\":\"\"}," \
	     "\"done\":true,\"done_reason\":\"" reason                \
	     "\",\"prompt_eval_count\":26,\"eval_count\":282,"        \
	     "\"total_duration\":1")

START_TEST(ollama_text)
{
	expect(&ollama,
	    MSG("\"content\":\"\",\"thinking\":\"Hm\"")
		MSG("\"content\":\"Hi\"") "\r\n" MSG("\"content\":\" you\"")
		    DONE("stop") "junk",
	    0,
	    "start  llama\nblock 0.0 thinking\ndelta 0.0 Hm\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 Hi\ndelta 0.1  you\nstop 0.1\n"
	    "finish 0 stop stop\nusage 26 282\nend\n");
	expect(&ollama, MSG("\"content\":\"Hi\"") "{\"done\":true}", 0,
	    "start  llama\nblock 0.0 text\ndelta 0.0 Hi\nstop 0.0\n"
	    "finish 0 stop stop\nend\n");
}
END_TEST

START_TEST(ollama_calls)
{
	char want[512];
	struct arena a;
	struct str id;
	uint32_t h = 2166136261u;

	h = (h ^ 't') * 16777619u;
	h = (h ^ '1') * 16777619u;
	arena_init(&a, 256, 4096);
	id = ir_make_call_id(&a, "call_", h + 1, STR("f"));
	(void)snprintf(want, sizeof(want),
	    "start  llama\nblock 0.0 text\ndelta 0.0 Hi\nstop 0.0\n"
	    "block 0.1 call %.*s f\ndelta 0.1 {\\\"x\\\":1}\nstop 0.1\n"
	    "block 0.2 call own g\ndelta 0.2 {}\nstop 0.2\n"
	    "finish 0 tool_calls stop\nusage 26 282\nend\n",
	    STR_ARG(id));
	arena_release(&a);
	expect(&ollama,
	    MSG("\"content\":\"Hi\"")
		MSG("\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":"
		    "\"f\",\"arguments\":{\"x\":1}}},{\"id\":\"own\","
		    "\"function\":{\"name\":\"g\"}}]") DONE("stop"),
	    0, want);
}
END_TEST

START_TEST(ollama_errors)
{
	expect(&ollama,
	    MSG("\"content\":\"Hi\"") "{\"error\":\"gone \\\"x\\\"\"}\njunk\n",
	    0,
	    "start  llama\nblock 0.0 text\ndelta 0.0 Hi\n"
	    "error 500 error gone \\\"x\\\"\n");
	expect(&ollama, MSG("\"content\":\"Hi\""), ERR_INVALID,
	    "start  llama\nblock 0.0 text\ndelta 0.0 Hi\n");
	expect(&ollama, "{\"done\":", ERR_INVALID, "");
	expect(&ollama_plain, DONE("length"), 0,
	    "start  llama\nfinish 0 length length\nusage 26 282\nend\n");
	expect(&ollama_plain, "", ERR_INVALID, "");
}
END_TEST

START_TEST(ollama_requests)
{
	const struct codec_provider *p = &codec_ollama_provider;

	writes(p, "llama",
	    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
	    "\"developer\",\"content\":\"S\"}," IMAGE "," CALLS "]," TOOLS
	    "," SETTINGS ",\"reasoning_effort\":\"low\",\"response_format\":{"
	    "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
	    "\"schema\":{\"type\":\"object\"}}}}",
	    "{\"model\":\"llama\",\"messages\":[{\"role\":\"system\","
	    "\"content\":\"S\"},{\"role\":\"user\",\"content\":\"a\","
	    "\"images\":[\"iVBOR\"]},{\"role\":\"assistant\",\"content\":"
	    "\"ok\",\"tool_calls\":[{\"id\":\"c1\",\"function\":{\"name\":"
	    "\"f\",\"arguments\":{\"x\":1}}}]},{\"role\":\"tool\","
	    "\"tool_name\":\"f\",\"tool_call_id\":\"c1\",\"content\":\"one\"}]"
	    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}},{"
	    "\"type\":\"function\",\"function\":{\"name\":\"g\","
	    "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],"
	    "\"format\":{\"type\":\"object\"},\"think\":true,\"options\":{"
	    "\"num_predict\":512,\"temperature\":0.20,\"top_p\":0.9,\"seed\":"
	    "7,\"frequency_penalty\":0.1,\"presence_penalty\":0.5,\"stop\":["
	    "\"a\"]},\"stream\":true}",
	    NULL);
	writes(p, "gpt-oss:20b",
	    "{\"model\":\"m\",\"messages\":[" USER "]," TOOLS
	    ",\"tool_choice\":\"none\",\"reasoning_effort\":\"xhigh\"}",
	    "{\"model\":\"gpt-oss:20b\",\"messages\":[{\"role\":\"user\","
	    "\"content\":\"hi\"}],\"think\":\"high\",\"stream\":false}",
	    NULL);
	writes(p, "m",
	    "{\"model\":\"m\",\"messages\":[" USER "]," TOOLS
	    ",\"tool_choice\":\"required\"}",
	    NULL, "tool_choice");
}
END_TEST

static int
line(void *ctx, struct str s)
{
	(void)buf_addf(ctx, "%.*s|", STR_ARG(s));
	return 0;
}

START_TEST(ndjson_lines)
{
	static const char text[] = "a\r\n\n \t\nbcd\r\n\r\nefgh";
	struct ndjson s;
	struct buf got;
	size_t cut;

	buf_init(&got, 4096);
	for (cut = 0; cut < sizeof(text); cut++) {
		ndjson_init(&s, 4);
		buf_clear(&got);
		ck_assert_int_eq(ndjson_feed(&s, text, cut, line, &got), 0);
		ck_assert_int_eq(ndjson_feed(&s, text + cut,
				     sizeof(text) - 1 - cut, line, &got),
		    0);
		ck_assert_int_eq(ndjson_finish(&s, line, &got), 0);
		ck_assert_str_eq(buf_cstr(&got), "a|bcd|efgh|");
		ck_assert_int_eq(
		    ndjson_feed(&s, "12345\n", 6, line, &got), ERR_TOO_LARGE);
		ndjson_release(&s);
	}
	buf_release(&got);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cohere_ollama_provider");

	UNIT_ADD(s, cohere_text);
	UNIT_ADD(s, cohere_calls);
	UNIT_ADD(s, cohere_broken);
	UNIT_ADD(s, cohere_plain_answers);
	UNIT_ADD(s, cohere_log_probabilities);
	UNIT_ADD(s, cohere_requests);
	UNIT_ADD(s, ollama_text);
	UNIT_ADD(s, ollama_calls);
	UNIT_ADD(s, ollama_errors);
	UNIT_ADD(s, ollama_requests);
	UNIT_ADD(s, ndjson_lines);
	return unit_run(s);
}
