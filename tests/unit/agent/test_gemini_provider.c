/* SPDX-License-Identifier: Apache-2.0 */
/* Gemini as a provider: requests that are written, answers that are read
 * however they are cut and framed. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/support/unit.h"

static const struct codec_kit kit = {
    .provider = &codec_gemini_provider, .opts = {.stream = true}};
static const struct codec_kit plain = {.provider = &codec_gemini_provider};

static void
expect(const char *body, int rc, const char *want)
{
	codec_kit_expect(&kit, str_of(body), rc, want);
}

/* ---- answers ---- */

#define HEAD "\"responseId\":\"r1\",\"modelVersion\":\"gemini-2.5-flash\""
/* A chunk of one candidate: its parts, what else it has, usage. */
#define CHUNK(parts, more, usage)                                             \
	"{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" parts \
	"]}" more ",\"index\":0}]" usage "," HEAD "}"
#define USE(in, out, total)                             \
	",\"usageMetadata\":{\"promptTokenCount\":" #in \
	",\"candidatesTokenCount\":" #out ",\"totalTokenCount\":" #total "}"
#define FIN(word) ",\"finishReason\":\"" word "\""

#define ONE   CHUNK("{\"text\":\"Hi \\ud83d\\ude00\"}", "", USE(4, 1, 5))
#define TWO   CHUNK("{\"text\":\"\\\"you\\\"\"}", "", "")
#define THREE CHUNK("{\"text\":\"\"}", FIN("STOP"), USE(4, 9, 13))
#define TEXT_EVENTS                                                    \
	"start r1 gemini-2.5-flash\nusage 4 1\nblock 0.0 text\n"       \
	"delta 0.0 Hi \\ud83d\\ude00\ndelta 0.0 \\\"you\\\"\nstop 0.0" \
	"\nfinish 0 stop STOP\nusage 4 9\nend\n"

START_TEST(text_framings)
{
	expect("data: " ONE "\n\ndata: " TWO "\n\ndata: " THREE "\n\n", 0,
	    TEXT_EVENTS);
	expect("data: " ONE "\r\n\r\ndata: " TWO "\r\n\r\ndata: " THREE
	       "\r\n\r\n",
	    0, TEXT_EVENTS);
	expect(
	    "data: " ONE "\r\rdata: " TWO "\r\rdata: " THREE, 0, TEXT_EVENTS);
	expect("[" ONE "\n,\r\n" TWO ",\n" THREE "\n]\n", 0, TEXT_EVENTS);
	expect(" \n" CHUNK("{\"text\":\"Hi\"}", FIN("STOP"), USE(4, 9, 13)), 0,
	    "start r1 gemini-2.5-flash\nusage 4 9\nblock 0.0 text\n"
	    "delta 0.0 Hi\nstop 0.0\nfinish 0 stop STOP\nusage 4 9\nend\n");
}
END_TEST

START_TEST(plain_answers)
{
	codec_kit_expect(&plain,
	    STR(CHUNK("{\"text\":\"Hm\",\"thought\":true},{\"text\":\"A\"},"
		      "{\"text\":\"B\",\"thoughtSignature\":\"c2ln\"},"
		      "{\"text\":\"C\"}",
		FIN("MAX_TOKENS"), "")),
	    0,
	    "start r1 gemini-2.5-flash\nblock 0.0 thinking\ndelta 0.0 Hm\n"
	    "stop 0.0\nblock 0.1 text\ndelta 0.1 A\ndelta 0.1 B\n"
	    "sig 0.1 c2ln\nstop 0.1\nblock 0.2 text\ndelta 0.2 C\nstop 0.2\n"
	    "finish 0 length MAX_TOKENS\nend\n");
	codec_kit_expect(&plain, STR("{}"), ERR_INVALID, "start  \n");
	codec_kit_expect(&plain, STR("<html>"), ERR_INVALID, "");
	codec_kit_expect(&plain, STR(""), ERR_INVALID, "");
}
END_TEST

START_TEST(calls)
{
	struct str id, id2;
	char want[1024];
	struct arena a;
	uint32_t h = 2166136261u;

	h = (h ^ 'r') * 16777619u;
	h = (h ^ '1') * 16777619u;
	arena_init(&a, 256, 4096);
	id = ir_make_call_id(&a, "call_", h + 1, STR("f"));
	id2 = ir_make_call_id(&a, "call_", h + 2, STR("f"));
	(void)snprintf(want, sizeof(want),
	    "start r1 gemini-2.5-flash\nblock 0.0 text\ndelta 0.0 I\n"
	    "stop 0.0\nblock 0.1 call %.*s f\nsig 0.1 c2ln\n"
	    "delta 0.1 {\\\"x\\\": [1, \\\"a\\\\\\\"b\\\"]}\nstop 0.1\n"
	    "block 0.2 call %.*s f\ndelta 0.2 {}\nstop 0.2\n"
	    "block 0.3 call own g\ndelta 0.3 {}\nstop 0.3\n"
	    "finish 0 tool_calls STOP\nend\n",
	    STR_ARG(id), STR_ARG(id2));
	arena_release(&a);
	expect(
	    "data: " CHUNK(
		"{\"text\":\"I\"},{\"functionCall\":{\"name\":\"f\",\"args\":{"
		"\"x\": [1, \"a\\\"b\"]}},\"thoughtSignature\":\"c2ln\"}",
		"", "") "\n\ndata: " CHUNK("{\"functionCall\":{\"name\":\"f\"}}"
					   ",{\"functionCall\":{"
					   "\"id\":\"own\",\"name\":\"g\","
					   "\"args\":{}}}",
		FIN("STOP"), "") "\n\n",
	    0, want);
}
END_TEST

#define PIECE(call) CHUNK("{\"functionCall\":{" call "}}", "", "")
#define BEGUN	    "\"id\":\"c1\",\"name\":\"f\",\"willContinue\":true"
#define LEAF(path, value)                                                \
	PIECE("\"partialArgs\":[{\"jsonPath\":\"" path "\"," value "}]," \
	      "\"willContinue\":true")

/* A call in pieces, then the end of the answer. */
static void
expect_pieces(const char *pieces, int rc, const char *events)
{
	char body[8192], want[2048];

	(void)snprintf(body, sizeof(body),
	    "[" PIECE(BEGUN) "%s," CHUNK(
		"{\"text\":\"\"}", FIN("STOP"), "") "]",
	    pieces);
	(void)snprintf(want, sizeof(want),
	    "start r1 gemini-2.5-flash\nblock 0.0 call c1 f\n%s%s", events,
	    rc == 0 ? "stop 0.0\nfinish 0 tool_calls STOP\nend\n" : "");
	expect(body, rc, want);
}

/* Arguments that come leaf by leaf are one object, as it grows. */
START_TEST(partial_calls)
{
	expect_pieces(
	    "," LEAF("$.city", "\"stringValue\":\"New \","
			       "\"willContinue\":true") "," LEAF("$.city",
		"\"stringValue\":\"Delhi \\\"\"") "," LEAF("$.days[0].n",
		"\"numberValue\":1.5e3") "," LEAF("$.days[0]['a b']",
		"\"boolValue\":true") "," LEAF("$.days[1]",
		"\"nullValue\":null") "," LEAF("$[\\\"z\\\"]",
		"\"boolValue\":false") "," PIECE(""),
	    0,
	    "delta 0.0 {\\\"city\\\":\\\"New \n"
	    "delta 0.0 Delhi \\\\\\\"\\\"\n"
	    "delta 0.0 ,\\\"days\\\":[{\\\"n\\\":1.5e3\n"
	    "delta 0.0 ,\\\"a b\\\":true\ndelta 0.0 },null\n"
	    "delta 0.0 ],\\\"z\\\":false\ndelta 0.0 }\n");
	/* Without arguments; with a string that nobody closed. */
	expect_pieces("," PIECE(""), 0, "delta 0.0 {}\n");
	expect_pieces("," LEAF("$.a", "\"stringValue\":\"x\","
				      "\"willContinue\":true") "," PIECE(""),
	    0, "delta 0.0 {\\\"a\\\":\\\"x\ndelta 0.0 \\\"}\n");
	/* The answer ends within the call: so do its arguments. */
	expect_pieces("," LEAF("$.a", "\"numberValue\":1"), 0,
	    "delta 0.0 {\\\"a\\\":1\n");
}
END_TEST

/* What makes no JSON of the same meaning is refused. */
START_TEST(partial_calls_broken)
{
#define ONE_LEAF LEAF("$.a.b", "\"numberValue\":1")
#define ONE_SAID "delta 0.0 {\\\"a\\\":{\\\"b\\\":1\n"
	static const char *const bad[] = {
	    LEAF("$.a.b", "\"numberValue\":2"),	  /* told twice */
	    LEAF("$.a.b.c", "\"numberValue\":2"), /* below a value */
	    LEAF("$.a", "\"numberValue\":2"),	  /* above one */
	    LEAF("$.a[0]", "\"numberValue\":2"),  /* no array */
	    LEAF("$.c[1]", "\"numberValue\":2"),  /* a gap */
	    LEAF("$[0]", "\"numberValue\":2"),
	    LEAF("", "\"numberValue\":2"),
	    LEAF("$", "\"numberValue\":2"),
	    LEAF("$.", "\"numberValue\":2"),
	    LEAF("$..a", "\"numberValue\":2"),
	    LEAF("$.a[", "\"numberValue\":2"),
	    LEAF("$.a[x]", "\"numberValue\":2"),
	    LEAF("$.a[-1]", "\"numberValue\":2"),
	    LEAF("$x", "\"numberValue\":2"),
	};
	char pieces[1024];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(
		    pieces, sizeof(pieces), "," ONE_LEAF ",%s", bad[i]);
		expect_pieces(pieces, ERR_INVALID, ONE_SAID);
	}
	/* A member that was left and is told of again. */
	expect_pieces("," ONE_LEAF
		      "," LEAF("$.d", "\"numberValue\":1") "," LEAF(
			  "$.a.c", "\"numberValue\":1"),
	    ERR_INVALID, ONE_SAID "delta 0.0 },\\\"d\\\":1\n");
}
END_TEST

START_TEST(signatures)
{
	/* In a part without text, behind the text that it belongs to. */
	expect("data: " CHUNK("{\"text\":\"A\"}", "", "") "\n\ndata: " CHUNK(
		   "{\"text\":\"\",\"thoughtSignature\":\"c2ln\"}", FIN("STOP"),
		   "") "\n\n",
	    0,
	    "start r1 gemini-2.5-flash\nblock 0.0 text\ndelta 0.0 A\n"
	    "sig 0.0 c2ln\nstop 0.0\nfinish 0 stop STOP\nend\n");
	expect("data: " CHUNK("{\"thoughtSignature\":\"c2ln\",\"text\":\"\"}",
		   FIN("STOP"), "") "\n\n",
	    0,
	    "start r1 gemini-2.5-flash\nblock 0.0 text\nsig 0.0 c2ln\n"
	    "stop 0.0\nfinish 0 stop STOP\nend\n");
}
END_TEST

START_TEST(choices)
{
	expect("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
	       "\"A\"}]}},{\"index\":1,\"content\":{\"parts\":[{\"text\":"
	       "\"B\"}]},\"finishReason\":\"SAFETY\"}]}\n\n"
	       "data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{"
	       "\"text\":\"a\"}]},\"finishReason\":\"MALFORMED_FUNCTION_CALL\""
	       "}]}\n\n",
	    0,
	    "start  \nblock 0.0 text\ndelta 0.0 A\nblock 1.0 text\n"
	    "delta 1.0 B\ndelta 0.0 a\nstop 0.0\n"
	    "finish 0 stop MALFORMED_FUNCTION_CALL\nstop 1.0\n"
	    "finish 1 content_filter SAFETY\nend\n");
	expect("data: {\"candidates\":[{\"index\":99}]}\n\n", ERR_INVALID,
	    "start  \n");
	/* Finished before the last content. */
	expect(
	    "data: " CHUNK("{\"text\":\"A\"}", FIN("STOP"),
		"") "\n\n"
		    "data: " CHUNK("{\"text\":\"B\"}", "", USE(1, 2, 3)) "\n\n",
	    0,
	    "start r1 gemini-2.5-flash\nblock 0.0 text\ndelta 0.0 A\n"
	    "usage 1 2\ndelta 0.0 B\nstop 0.0\nfinish 0 stop STOP\n"
	    "usage 1 2\nend\n");
}
END_TEST

START_TEST(blocked_and_errors)
{
	expect("data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},"
	       "\"usageMetadata\":{\"promptTokenCount\":7,"
	       "\"totalTokenCount\":7}}\n\n",
	    0,
	    "start  \nusage 7 0\nfinish 0 content_filter SAFETY\n"
	    "usage 7 0\nend\n");
	expect("data: " ONE "\n\ndata: {\"error\":{\"code\":429,\"message\":"
	       "\"Resource \\\"x\\\" exhausted\",\"status\":"
	       "\"RESOURCE_EXHAUSTED\"}}\n\ndata: junk\n\n",
	    0,
	    "start r1 gemini-2.5-flash\nusage 4 1\nblock 0.0 text\n"
	    "delta 0.0 Hi \\ud83d\\ude00\n"
	    "error 429 RESOURCE_EXHAUSTED Resource \\\"x\\\" exhausted\n");
	expect("[{\"error\":{\"code\":7,\"message\":\"m\"}}]", 0,
	    "error 500  m\n");
}
END_TEST

START_TEST(broken)
{
	expect("data: " ONE "\n\n", ERR_INVALID,
	    "start r1 gemini-2.5-flash\nusage 4 1\nblock 0.0 text\n"
	    "delta 0.0 Hi \\ud83d\\ude00\n");
	expect("data: {\"candidates\":\n\n", ERR_INVALID, "");
	expect("data: []\n\n", ERR_INVALID, "");
	expect(
	    "[" THREE, ERR_INVALID, "start r1 gemini-2.5-flash\nusage 4 9\n");
	expect("[" THREE "]]", ERR_INVALID,
	    "start r1 gemini-2.5-flash\nusage 4 9\n");
	expect("[\"x\"]", ERR_INVALID, "");
	expect("[[]]", ERR_INVALID, "");
	expect("[}", ERR_INVALID, "");
	expect("", ERR_INVALID, "");
}
END_TEST

START_TEST(limits)
{
	struct codec_kit k = kit;

	k.max_event = 64;
	codec_kit_expect(&k, STR("data: " ONE "\n\n"), ERR_TOO_LARGE, "");
	codec_kit_expect(&k, STR("[" ONE "]"), ERR_TOO_LARGE, "");
	codec_kit_expect(&k, STR(ONE), ERR_TOO_LARGE, "");
	k = plain;
	k.max_plain = 64;
	codec_kit_expect(&k, STR(ONE), ERR_TOO_LARGE, "");
}
END_TEST

START_TEST(media_and_logprobs)
{
	expect("data: " CHUNK("{\"inlineData\":{\"mimeType\":\"image/png\","
			      "\"data\":\"iVBORw==\"}},{\"inlineData\":{"
			      "\"mimeType\":\"audio/wav\",\"data\":\"AAAA\"}}",
		   "", "") "\n\ndata: " CHUNK("{\"text\":\"A\"}",
		   FIN("STOP") ",\"logprobsResult\":{\"chosenCandidates\":[{"
			       "\"token\":\"A\",\"tokenId\":5,"
			       "\"logProbability\":-0.25}],\"topCandidates\":[{"
			       "\"candidates\":[{\"token\":\"A\","
			       "\"logProbability\":-0.25},{\"token\":\"\\n\","
			       "\"logProbability\":-3}]}]}",
		   "") "\n\n",
	    0,
	    "start r1 gemini-2.5-flash\nblock 0.0 image image/png\n"
	    "delta 0.0 iVBORw==\nstop 0.0\nblock 0.1 audio audio/wav\n"
	    "delta 0.1 AAAA\nstop 0.1\nblock 0.2 text\ndelta 0.2 A\n"
	    "logprobs 0.2 [{\"token\":\"A\",\"logprob\":-0.25,\"bytes\":null,"
	    "\"top_logprobs\":[{\"token\":\"A\",\"logprob\":-0.25,\"bytes\":"
	    "null},{\"token\":\"\\n\",\"logprob\":-3,\"bytes\":null}]}]\n"
	    "stop 0.2\nfinish 0 stop STOP\nend\n");
}
END_TEST

/* ---- requests ---- */

static void
writes(const struct codec_client *c, enum carry_client words, const char *model,
    const char *body, const char *want, const char *field)
{
	struct write_opts o = {.client = words, .model = str_of(model)};
	struct ir_request r;
	struct arena a;

	codec_kit_read(c, str_of(body), &a, &r);
	codec_kit_write(&codec_gemini_provider, &r, &o, want, field);
	arena_release(&a);
}

static void
chat(const char *model, const char *body, const char *want, const char *field)
{
	writes(
	    &codec_openai_chat_client, CARRY_C_CHAT, model, body, want, field);
}

static void
anthropic(const char *body, const char *want, const char *field)
{
	writes(&codec_anthropic_client, CARRY_C_ANTHROPIC, "gemini-2.5-pro",
	    body, want, field);
}

#define M    "gemini-2.5-flash"
#define USER "{\"role\":\"user\",\"content\":\"hi\"}"
#define HI   "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]"

START_TEST(write_chat)
{
	chat(M,
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
	    "\"S\"}," USER ",{\"role\":\"assistant\",\"content\":\"yo\"}," USER
	    "],\"temperature\":0.20,\"top_p\":0.9,\"stop\":\"a\",\"n\":2,"
	    "\"max_completion_tokens\":512,\"seed\":7,\"presence_penalty\":"
	    "0.5,\"frequency_penalty\":-0.5,\"logprobs\":true,"
	    "\"top_logprobs\":3,\"service_tier\":\"flex\"}",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},"
	    "{\"role\":\"model\",\"parts\":[{\"text\":\"yo\"}]},{\"role\":"
	    "\"user\",\"parts\":[{\"text\":\"hi\"}]}],\"systemInstruction\":{"
	    "\"parts\":[{\"text\":\"S\"}]},\"generationConfig\":{"
	    "\"temperature\":0.20,\"topP\":0.9,\"candidateCount\":2,"
	    "\"maxOutputTokens\":512,\"stopSequences\":[\"a\"],\"seed\":7,"
	    "\"presencePenalty\":0.5,\"frequencyPenalty\":-0.5,"
	    "\"responseLogprobs\":true,\"logprobs\":3},\"serviceTier\":"
	    "\"flex\"}",
	    NULL);
	chat(M,
	    "{\"model\":\"m\",\"messages\":[" USER "],\"logit_bias\":{"
	    "\"5\":1}}",
	    NULL, "logit_bias");
	chat(M, "{\"model\":\"m\",\"messages\":[" USER "]}", "{" HI "}", NULL);
}
END_TEST

#define TOOL_F                                                           \
	"{\"type\":\"function\",\"function\":{\"name\":\"f\","           \
	"\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}},{" \
	"\"type\":\"function\",\"function\":{\"name\":\"g\"}}"
#define DECLARED                                                              \
	"\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","              \
	"\"description\":\"d\",\"parametersJsonSchema\":{\"type\":\"object\"" \
	"}},{\"name\":\"g\"}]}]"
#define CALLS                                                                \
	"{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"  \
	"\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","         \
	"\"arguments\":\"{\\\"x\\\":1}\"}" SIGNED "},{\"id\":\"c2\","        \
	"\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":"  \
	"\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":" \
	"\"two\"},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":"   \
	"\"one\"}"
#define CALLED(sig)                                                          \
	"{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c1\","   \
	"\"name\":\"f\",\"args\":{\"x\":1}}" sig "},{\"functionCall\":{"     \
	"\"id\":\"c2\",\"name\":\"g\",\"args\":{}}}]},{\"role\":\"user\","   \
	"\"parts\":[{\"functionResponse\":{\"id\":\"c2\",\"name\":\"g\","    \
	"\"response\":{\"result\":\"two\"}}},{\"functionResponse\":{\"id\":" \
	"\"c1\",\"name\":\"f\",\"response\":{\"result\":\"one\"}}}]}"

START_TEST(write_tools)
{
#define SIGNED ""
	chat(M,
	    "{\"model\":\"m\",\"messages\":[" CALLS "],\"tools\":[" TOOL_F
	    "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
	    "\"f\"}}}",
	    "{\"contents\":[" CALLED(
		"") "]," DECLARED ",\"toolConfig\":{\"functionCallingConfig\":{"
		    "\"mode\":\"ANY\","
		    "\"allowedFunctionNames\":[\"f\"]}}}",
	    NULL);
	/* Gemini 3 wants a signature on the first call of a turn. */
	chat("gemini-3-pro-preview",
	    "{\"model\":\"m\",\"messages\":[" CALLS "],\"tools\":[" TOOL_F
	    "],\"tool_choice\":\"none\"}",
	    "{\"contents\":[" CALLED(
		",\"thoughtSignature\":"
		"\"skip_thought_signature_validator\"") "]," DECLARED
							",\"toolConfig\":{"
							"\"functionCallingConfi"
							"g\":{\"mode\":"
							"\"NONE\"}}}",
	    NULL);
#undef SIGNED
#define SIGNED \
	",\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}}"
	chat("gemini-3-pro-preview",
	    "{\"model\":\"m\",\"messages\":[" CALLS "]}",
	    "{\"contents\":[" CALLED(",\"thoughtSignature\":\"c2ln\"") "]}",
	    NULL);
#undef SIGNED
	chat(M,
	    "{\"model\":\"m\",\"messages\":[" USER ",{\"role\":\"tool\","
	    "\"tool_call_id\":\"c9\",\"content\":\"two\"}]}",
	    NULL, "messages[1].content");
}
END_TEST

START_TEST(write_media)
{
	chat(M,
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
	    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png"
	    ";base64,iVBORw0KGgo=\"}},{\"type\":\"image_url\",\"image_url\":{"
	    "\"url\":\"https://e.org/a.webp?x=1\"}},{\"type\":\"file\","
	    "\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
	    "\"data:application/pdf;base64,JVBERi0=\"}}]}]}",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"inlineData\":{"
	    "\"mimeType\":\"image/png\",\"data\":\"iVBORw0KGgo=\"}},{"
	    "\"fileData\":{\"mimeType\":\"image/webp\",\"fileUri\":"
	    "\"https://e.org/a.webp?x=1\"}},{\"inlineData\":{\"mimeType\":"
	    "\"application/pdf\",\"data\":\"JVBERi0=\"}}]}]}",
	    NULL);
}
END_TEST

START_TEST(write_anthropic)
{
	anthropic(
	    "{\"model\":\"m\",\"max_tokens\":4000,\"system\":\"S\","
	    "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048},"
	    "\"top_k\":5,\"messages\":[" USER
	    ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
	    "\"thinking\":\"Hm\",\"signature\":\"c2ln\"},{\"type\":"
	    "\"redacted_thinking\",\"data\":\"AAEC\"},{\"type\":\"tool_use\","
	    "\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
	    "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
	    "\"toolu_1\",\"is_error\":true,\"content\":[{\"type\":\"text\","
	    "\"text\":\"no\"},{\"type\":\"image\",\"source\":{\"type\":"
	    "\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAA\"}}]}]}],"
	    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}"
	    "}]}",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},"
	    "{\"role\":\"model\",\"parts\":[{\"text\":\"Hm\",\"thought\":true,"
	    "\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"id\":"
	    "\"toolu_1\",\"name\":\"f\",\"args\":{}}}]},{\"role\":\"user\","
	    "\"parts\":[{\"functionResponse\":{\"id\":\"toolu_1\",\"name\":"
	    "\"f\",\"response\":{\"error\":\"no\"}}},{\"inlineData\":{"
	    "\"mimeType\":\"image/png\",\"data\":\"AAAA\"}}]}],"
	    "\"systemInstruction\":{\"parts\":[{\"text\":\"S\"}]},\"tools\":[{"
	    "\"functionDeclarations\":[{\"name\":\"f\","
	    "\"parametersJsonSchema\":{\"type\":\"object\"}}]}],"
	    "\"generationConfig\":{\"topK\":5,\"maxOutputTokens\":4000,"
	    "\"thinkingConfig\":{\"includeThoughts\":true,\"thinkingBudget\":"
	    "2048}}}",
	    NULL);
}
END_TEST

START_TEST(write_config)
{
#define EFFORT(word)                                                    \
	"{\"model\":\"m\",\"messages\":[" USER "],\"reasoning_effort\"" \
	":\"" word "\"}"
#define SHOW	 "\"includeThoughts\":true,"
#define THINK(t) "{" HI ",\"generationConfig\":{\"thinkingConfig\":{" t "}}}"
	chat(M, EFFORT("low"), THINK(SHOW "\"thinkingBudget\":2048"), NULL);
	chat(M, EFFORT("none"), THINK("\"thinkingBudget\":0"), NULL);
	chat(M, EFFORT("xhigh"), THINK(SHOW "\"thinkingBudget\":24576"), NULL);
	chat("gemini-3-pro-preview", EFFORT("minimal"),
	    THINK(SHOW "\"thinkingLevel\":\"low\""), NULL);
	chat("gemini-3-flash", EFFORT("medium"),
	    THINK(SHOW "\"thinkingLevel\":\"medium\""), NULL);
	chat("gemini-3-pro", EFFORT("medium"),
	    THINK(SHOW "\"thinkingLevel\":\"high\""), NULL);
	chat(M,
	    "{\"model\":\"m\",\"messages\":[" USER "],\"response_format\":{"
	    "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
	    "\"schema\":{\"type\":\"object\"}}}}",
	    "{" HI ",\"generationConfig\":{\"responseMimeType\":"
	    "\"application/json\",\"responseJsonSchema\":{\"type\":\"object\"}"
	    "}}",
	    NULL);
	anthropic("{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" USER
		  "],\"stop_sequences\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]}",
	    NULL, "stop_sequences");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("gemini_provider");

	UNIT_ADD(s, text_framings);
	UNIT_ADD(s, plain_answers);
	UNIT_ADD(s, calls);
	UNIT_ADD(s, partial_calls);
	UNIT_ADD(s, partial_calls_broken);
	UNIT_ADD(s, signatures);
	UNIT_ADD(s, choices);
	UNIT_ADD(s, blocked_and_errors);
	UNIT_ADD(s, broken);
	UNIT_ADD(s, limits);
	UNIT_ADD(s, media_and_logprobs);
	UNIT_ADD(s, write_chat);
	UNIT_ADD(s, write_tools);
	UNIT_ADD(s, write_media);
	UNIT_ADD(s, write_anthropic);
	UNIT_ADD(s, write_config);
	return unit_run(s);
}
