/* SPDX-License-Identifier: Apache-2.0 */
/* Bedrock as a provider: requests that are written, answers that are read
 * however they are cut. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/agent/eventstream_kit.h"
#include "tests/unit/support/unit.h"

static const struct codec_kit kit = {
    .provider = &codec_bedrock_provider, .opts = {.stream = true}};
static const struct codec_kit plain = {.provider = &codec_bedrock_provider};

#define CLAUDE "anthropic.claude-sonnet-4-5-20250929-v1:0"

/* ---- answers ---- */

static struct buf doc;

static void
ev(const char *type, const char *payload)
{
	es_bedrock(&doc, "event", type, str_of(payload));
}

static void
begin(void)
{
	buf_init(&doc, 1 << 20);
	ev("messageStart", "{\"p\":\"abcd\",\"role\":\"assistant\"}");
}

static void
delta(const char *d)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	    "{\"contentBlockIndex\":%s,\"p\":\"abcdefgh\"}", d);
	ev("contentBlockDelta", text);
}

static void
expect(int rc, const char *want)
{
	codec_kit_expect(&kit, buf_str(&doc), rc, want);
	buf_release(&doc);
}

#define USAGE                                                             \
	"{\"metrics\":{\"latencyMs\":1},\"usage\":{\"inputTokens\":41,"   \
	"\"outputTokens\":36,\"totalTokens\":87,\"cacheReadInputTokens\"" \
	":10,\"cacheWriteInputTokens\":0}}"

START_TEST(text_stream)
{
	begin();
	delta("0,\"delta\":{\"text\":\"Hi \\ud83d\\ude00\"}");
	delta("0,\"delta\":{\"text\":\"\"}");
	delta("0,\"delta\":{\"text\":\"\\\"you\\\"\"}");
	ev("contentBlockStop", "{\"contentBlockIndex\":0}");
	ev("somethingNew", "no JSON");
	ev("messageStop", "{\"stopReason\":\"end_turn\"}");
	ev("metadata", USAGE);
	expect(0, "start  \nblock 0.0 text\ndelta 0.0 Hi \\ud83d\\ude00\n"
		  "delta 0.0 \\\"you\\\"\nstop 0.0\n"
		  "finish 0 stop end_turn\nusage 51 36\nend\n");
}
END_TEST

START_TEST(calls_stream)
{
	begin();
	delta("0,\"delta\":{\"text\":\"Don\"}");
	ev("contentBlockStop", "{\"contentBlockIndex\":0}");
	ev("contentBlockStart",
	    "{\"contentBlockIndex\":1,\"start\":{\"toolUse\":{\"name\":"
	    "\"cosine\",\"toolUseId\":\"tooluse_1\"}}}");
	delta("1,\"delta\":{\"toolUse\":{\"input\":\"\"}}");
	delta("1,\"delta\":{\"toolUse\":{\"input\":\"{\\\"x\\\": \"}}");
	delta("1,\"delta\":{\"toolUse\":{\"input\":\"17}\"}}");
	ev("contentBlockStop", "{\"contentBlockIndex\":1}");
	ev("contentBlockStart",
	    "{\"contentBlockIndex\":2,\"start\":{\"toolUse\":{\"name\":"
	    "\"now\",\"toolUseId\":\"tooluse_2\"}}}");
	ev("contentBlockStop", "{\"contentBlockIndex\":2}");
	ev("messageStop", "{\"stopReason\":\"tool_use\"}");
	ev("metadata", USAGE);
	expect(0, "start  \nblock 0.0 text\ndelta 0.0 Don\nstop 0.0\n"
		  "block 0.1 call tooluse_1 cosine\n"
		  "delta 0.1 {\\\"x\\\": \ndelta 0.1 17}\nstop 0.1\n"
		  "block 0.2 call tooluse_2 now\ndelta 0.2 {}\nstop 0.2\n"
		  "finish 0 tool_calls tool_use\nusage 51 36\nend\n");
}
END_TEST

START_TEST(reasoning_stream)
{
	begin();
	delta("0,\"delta\":{\"reasoningContent\":{\"text\":\"Hmm\"}}");
	delta("0,\"delta\":{\"reasoningContent\":{\"signature\":\"c2ln\"}}");
	ev("contentBlockStop", "{\"contentBlockIndex\":0}");
	delta("1,\"delta\":{\"reasoningContent\":{\"redactedContent\":"
	      "\"AAEC\"}}");
	/* No stops: the next index, another type at one index. */
	delta("2,\"delta\":{\"reasoningContent\":{\"text\":\"then\"}}");
	delta("2,\"delta\":{\"text\":\"Ok\"}");
	ev("messageStop", "{\"stopReason\":\"max_tokens\"}");
	delta("2,\"delta\":{\"text\":\"late\"}");
	expect(0, "start  \nblock 0.0 thinking\ndelta 0.0 Hmm\n"
		  "sig 0.0 c2ln\nstop 0.0\nblock 0.1 redacted\n"
		  "sig 0.1 AAEC\nblock 0.2 thinking\ndelta 0.2 then\n"
		  "stop 0.2\nblock 0.3 text\ndelta 0.3 Ok\n"
		  "stop 0.1\nstop 0.3\nfinish 0 length max_tokens\nend\n");
}
END_TEST

START_TEST(exceptions)
{
	begin();
	delta("0,\"delta\":{\"text\":\"Hi\"}");
	es_bedrock(&doc, "exception", "throttlingException",
	    STR("{\"message\":\"Too many \\\"requests\\\"\"}"));
	(void)buf_addz(&doc, "what follows is not looked at");
	expect(0, "start  \nblock 0.0 text\ndelta 0.0 Hi\n"
		  "error 429 throttlingException Too many \\\"requests\\\"\n");

	buf_init(&doc, 1 << 20);
	es_bedrock(&doc, "exception", "modelStreamErrorException",
	    STR("{\"originalStatusCode\":500,\"originalMessage\":\"x\"}"));
	expect(0, "error 424 modelStreamErrorException x\n");

	buf_init(&doc, 1 << 20);
	es_message(&doc,
	    STR("\xb:error-code\7\0\4oops\xe:error-message\7\0\2\"\n"
		"\xd:message-type\7\0\5error"),
	    STR(""));
	expect(0, "error 500 oops \\\"\\n\n");
}
END_TEST

START_TEST(broken_streams)
{
	/* Without messageStop; half a message; not JSON; a nameless call. */
	begin();
	delta("0,\"delta\":{\"text\":\"Hi\"}");
	expect(ERR_INVALID, "start  \nblock 0.0 text\ndelta 0.0 Hi\n");
	begin();
	ev("messageStop", "{\"stopReason\":\"end_turn\"}");
	(void)buf_add(&doc, "\0\0", 2);
	expect(ERR_INVALID, "start  \nfinish 0 stop end_turn\n");
	begin();
	ev("contentBlockDelta", "{\"contentBlockIndex\":0,");
	expect(ERR_INVALID, "start  \n");
	begin();
	delta("0,\"delta\":{\"toolUse\":{\"input\":\"{\"}}");
	expect(ERR_INVALID, "start  \n");
	begin();
	doc.data[30] = (char)(doc.data[30] ^ 1);
	expect(ERR_INVALID, "");
	buf_init(&doc, 16);
	expect(ERR_INVALID, "");
}
END_TEST

START_TEST(plain_answer)
{
	codec_kit_expect(&plain,
	    STR("{\"metrics\":{\"latencyMs\":551},\"output\":{\"message\":{"
		"\"content\":[{\"reasoningContent\":{\"reasoningText\":{"
		"\"text\":\"Hmm\",\"signature\":\"c2ln\"}}},"
		"{\"reasoningContent\":{\"redactedContent\":\"AAEC\"}},"
		"{\"text\":\"A\"},{\"text\":\"B\"},{\"toolUse\":{\"input\":{"
		"\"q\": \"a\\\"b\"},\"name\":\"f\",\"toolUseId\":\"t1\"}}],"
		"\"role\":\"assistant\"}},\"stopReason\":\"tool_use\","
		"\"usage\":{\"inputTokens\":10,\"outputTokens\":20,"
		"\"totalTokens\":30},\"serviceTier\":{\"type\":\"flex\"}}"),
	    0,
	    "start  \nblock 0.0 thinking\ndelta 0.0 Hmm\nsig 0.0 c2ln\n"
	    "stop 0.0\nblock 0.1 redacted\nsig 0.1 AAEC\nstop 0.1\n"
	    "block 0.2 text\ndelta 0.2 A\nstop 0.2\n"
	    "block 0.3 text\ndelta 0.3 B\nstop 0.3\n"
	    "block 0.4 call t1 f\n"
	    "delta 0.4 {\\\"q\\\": \\\"a\\\\\\\"b\\\"}\nstop 0.4\n"
	    "finish 0 tool_calls tool_use\nusage 10 20\nend\n");
	codec_kit_expect(&plain, STR("{\"output\":{}}"), ERR_INVALID, "");
	codec_kit_expect(&plain, STR("{\"output\":"), ERR_INVALID, "");
	codec_kit_expect(&plain,
	    STR("{\"output\":{\"message\":{\"content\":[]}},\"stopReason\":"
		"\"guardrail_intervened\"}"),
	    0, "start  \nfinish 0 content_filter guardrail_intervened\nend\n");
}
END_TEST

START_TEST(limits)
{
	struct codec_kit k = kit;

	k.max_event = 60;
	begin();
	delta("0,\"delta\":{\"text\":\"0123456789\"}");
	codec_kit_expect(&k, buf_str(&doc), ERR_TOO_LARGE, "start  \n");
	buf_release(&doc);
	k = plain;
	k.max_plain = 8;
	codec_kit_expect(&k, STR("{\"output\":{}}"), ERR_TOO_LARGE, "");
}
END_TEST

/* ---- requests ---- */

static void
writes(const struct codec_client *c, enum carry_client words,
    const struct write_opts *opts, const char *body, const char *want,
    const char *field)
{
	struct write_opts o = *opts;
	struct ir_request r;
	struct arena a;

	o.client = words;
	codec_kit_read(c, str_of(body), &a, &r);
	codec_kit_write(&codec_bedrock_provider, &r, &o, want, field);
	arena_release(&a);
}

static void
chat(const char *model, const char *body, const char *want, const char *field)
{
	struct write_opts o = {.model = str_of(model)};

	writes(&codec_openai_chat_client, CARRY_C_CHAT, &o, body, want, field);
}

static void
anthropic(const char *body, const char *want, const char *field)
{
	struct write_opts o = {.model = STR(CLAUDE)};

	writes(
	    &codec_anthropic_client, CARRY_C_ANTHROPIC, &o, body, want, field);
}

#define USER "{\"role\":\"user\",\"content\":\"hi\"}"
#define HI   "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}]"

START_TEST(write_chat)
{
	chat(CLAUDE,
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
	    "\"Be "
	    "\\\"kind\\\"\"},{\"role\":\"developer\",\"content\":\"x\"}," USER
	    "," USER "],\"temperature\":0.20,\"top_p\":0.9,\"stop\":"
	    "[\"a\",\"b\"],\"max_completion_tokens\":512,\"stream\":true}",
	    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"},"
	    "{\"text\":\"hi\"}]}],\"system\":[{\"text\":\"Be \\\"kind\\\"\"},"
	    "{\"text\":\"x\"}],\"inferenceConfig\":{\"maxTokens\":512,"
	    "\"temperature\":0.20,\"topP\":0.9,\"stopSequences\":[\"a\","
	    "\"b\"]}}",
	    NULL);
	chat("m", "{\"model\":\"m\",\"messages\":[" USER "],\"seed\":1}", NULL,
	    "seed");
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"service_tier\":"
	    "\"flex\",\"user\":\"u1\",\"metadata\":{\"k\":\"v\"}}",
	    "{" HI ",\"requestMetadata\":{\"k\":\"v\",\"user\":\"u1\"},"
	    "\"serviceTier\":{\"type\":\"flex\"}}",
	    NULL);
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"service_tier\":"
	    "\"scale\"}",
	    NULL, "service_tier");
}
END_TEST

#define CALLS                                                                 \
	"{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"   \
	"\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","          \
	"\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"c.2\",\"type\":"         \
	"\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}," \
	"{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"one\"},"    \
	"{\"role\":\"tool\",\"tool_call_id\":\"c.2\",\"content\":\"two\"}"
#define CALLED(id)                                                          \
	"{\"role\":\"assistant\",\"content\":[{\"toolUse\":{\"toolUseId\":" \
	"\"c1\",\"name\":\"f\",\"input\":{\"x\":1}}},{\"toolUse\":{"        \
	"\"toolUseId\":\"" id "\",\"name\":\"g\",\"input\":{}}}]},"         \
	"{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":"   \
	"\"c1\",\"content\":[{\"text\":\"one\"}]}},{\"toolResult\":{"       \
	"\"toolUseId\":\"" id "\",\"content\":[{\"text\":\"two\"}]}}]}"
#define TOOL_F                                                           \
	"{\"type\":\"function\",\"function\":{\"name\":\"f\","           \
	"\"description\":\"d\",\"strict\":true,\"parameters\":{\"type\"" \
	":\"object\",\"properties\":{}}}}"
#define SPEC_F                                                        \
	"{\"toolSpec\":{\"name\":\"f\",\"description\":\"d\","        \
	"\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties" \
	"\":{}}},\"strict\":true}}"

START_TEST(write_tools)
{
	struct str name = STR("c.2");
	char want[2048];
	struct arena a;
	struct str id;

	arena_init(&a, 256, 4096);
	id = ir_make_call_id(&a, "tooluse_", 0, name);
	(void)snprintf(want, sizeof(want),
	    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]"
	    "}," CALLED("%.*s") "],\"toolConfig\":{\"tools\":[" SPEC_F
				"],\"toolChoice\":{\"any\":{}}}}",
	    STR_ARG(id), STR_ARG(id));
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "," CALLS
	    "],\"tools\":[" TOOL_F "],\"tool_choice\":\"required\"}",
	    want, NULL);
	/* No tools declared, but called: Bedrock wants them declared. */
	(void)snprintf(want, sizeof(want),
	    "{\"messages\":[" CALLED(
		"%.*s") "],\"toolConfig\":{\"tools\":["
			"{\"toolSpec\":{\"name\":\"f\",\"inputSchema\":{"
			"\"json\":{"
			"\"type\":\"object\",\"properties\":{}}}}},{"
			"\"toolSpec\":{"
			"\"name\":\"g\",\"inputSchema\":{\"json\":{\"type\":"
			"\"object\","
			"\"properties\":{}}}}}]}}",
	    STR_ARG(id), STR_ARG(id));
	chat("m", "{\"model\":\"m\",\"messages\":[" CALLS "]}", want, NULL);
	arena_release(&a);
	/* None: left out, unless the history calls them. */
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[" TOOL_F
	    "],\"tool_choice\":\"none\"}",
	    "{" HI "}", NULL);
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[" TOOL_F
	    "],\"tool_choice\":{\"type\":\"function\",\"function\":{"
	    "\"name\":\"f\"}}}",
	    "{" HI ",\"toolConfig\":{\"tools\":[" SPEC_F
	    "],\"toolChoice\":{\"tool\":{\"name\":\"f\"}}}}",
	    NULL);
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[" TOOL_F
	    "],\"parallel_tool_calls\":false}",
	    NULL, "parallel_tool_calls");
}
END_TEST

START_TEST(write_media)
{
	chat("m",
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
	    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image\\/png"
	    ";base64,iVBORw0KGgo=\"}},{\"type\":\"file\",\"file\":{"
	    "\"filename\":\"My  r\xc3\xa9p\\\"ort_(1).v2.pdf\",\"file_data\":"
	    "\"data:application/pdf;base64,JVBERi0=\"}},{\"type\":\"file\","
	    "\"file\":{\"filename\":\"a.txt\",\"file_data\":\"data:text/plain;"
	    "base64,YQ==\"}}]}]}",
	    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":{"
	    "\"format\":\"png\",\"source\":{\"bytes\":\"iVBORw0KGgo=\"}}},"
	    "{\"document\":{\"format\":\"pdf\",\"name\":"
	    "\"My r--p-ort-(1)-v2\",\"source\":{\"bytes\":\"JVBERi0=\"}}},"
	    "{\"document\":{\"format\":\"txt\",\"name\":\"a-2\",\"source\":{"
	    "\"bytes\":\"YQ==\"}}}]}]}",
	    NULL);
	chat("m",
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
	    "{\"type\":\"image_url\",\"image_url\":{\"url\":"
	    "\"https://example.org/a.png\"}}]}]}",
	    NULL, "messages[0].content[0]");
}
END_TEST

START_TEST(write_anthropic)
{
	anthropic(
	    "{\"model\":\"m\",\"max_tokens\":4000,\"system\":[{\"type\":"
	    "\"text\",\"text\":\"S\",\"cache_control\":{\"type\":\"ephemeral\""
	    ",\"ttl\":\"1h\"}}],\"thinking\":{\"type\":\"enabled\","
	    "\"budget_tokens\":2048},\"messages\":[" USER
	    ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
	    "\"thinking\":\"Hm\",\"signature\":\"c2ln\"},{\"type\":"
	    "\"redacted_thinking\",\"data\":\"AAEC\"},{\"type\":\"tool_use\","
	    "\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
	    "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
	    "\"toolu_1\",\"is_error\":true,\"content\":\"no\",\"cache_control"
	    "\":{\"type\":\"ephemeral\"}}]}],\"tools\":[{\"name\":\"f\","
	    "\"input_schema\":{\"type\":\"object\"},\"cache_control\":{"
	    "\"type\":\"ephemeral\"}}]}",
	    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]"
	    "},{\"role\":\"assistant\",\"content\":[{\"reasoningContent\":{"
	    "\"reasoningText\":{\"text\":\"Hm\",\"signature\":\"c2ln\"}}},"
	    "{\"reasoningContent\":{\"redactedContent\":\"AAEC\"}},"
	    "{\"toolUse\":{\"toolUseId\":\"toolu_1\",\"name\":\"f\","
	    "\"input\":{}}}]},{\"role\":\"user\",\"content\":[{\"toolResult\":"
	    "{\"toolUseId\":\"toolu_1\",\"content\":[{\"text\":\"no\"}],"
	    "\"status\":\"error\"}},{\"cachePoint\":{\"type\":\"default\"}}]}]"
	    ",\"system\":[{\"text\":\"S\"},{\"cachePoint\":{\"type\":"
	    "\"default\",\"ttl\":\"1h\"}}],\"inferenceConfig\":{\"maxTokens\":"
	    "4000},\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\","
	    "\"inputSchema\":{\"json\":{\"type\":\"object\"}}}},"
	    "{\"cachePoint\":{\"type\":\"default\"}}]},"
	    "\"additionalModelRequestFields\":{\"thinking\":{"
	    "\"type\":\"enabled\",\"budget_tokens\":2048}}}",
	    NULL);
}
END_TEST

START_TEST(write_thinking)
{
#define EFFORT(more)                                                    \
	"{\"model\":\"m\",\"messages\":[" USER "],\"reasoning_effort\"" \
	":\"medium\"" more "}"
	chat(CLAUDE, EFFORT(""),
	    "{" HI ",\"additionalModelRequestFields\":{\"thinking\":{\"type\":"
	    "\"enabled\",\"budget_tokens\":8192}}}",
	    NULL);
	/* Below the cap; left out where there is no room for it. */
	chat(CLAUDE, EFFORT(",\"max_tokens\":3000"),
	    "{" HI ",\"inferenceConfig\":{\"maxTokens\":3000},"
	    "\"additionalModelRequestFields\":{\"thinking\":{\"type\":"
	    "\"enabled\",\"budget_tokens\":1500}}}",
	    NULL);
	chat(CLAUDE, EFFORT(",\"max_tokens\":1000"),
	    "{" HI ",\"inferenceConfig\":{\"maxTokens\":1000}}", NULL);
	/* Newer ones take efforts; none takes other sampling with it. */
	chat("us.anthropic.claude-opus-4-8-v1", EFFORT(",\"temperature\":1"),
	    "{" HI ",\"inferenceConfig\":{\"temperature\":1},"
	    "\"additionalModelRequestFields\":{\"thinking\":{\"type\":"
	    "\"adaptive\",\"display\":\"summarized\"},\"output_config\":{"
	    "\"effort\":\"medium\"}}}",
	    NULL);
	chat(CLAUDE, EFFORT(",\"temperature\":0.5"), NULL, "temperature");
	chat("openai.gpt-oss-120b-1:0", EFFORT(""),
	    "{" HI ",\"additionalModelRequestFields\":{\"reasoning_effort\":"
	    "\"medium\"}}",
	    NULL);
	chat("us.amazon.nova-2-lite-v1:0", EFFORT(""),
	    "{" HI ",\"additionalModelRequestFields\":{\"reasoningConfig\":{"
	    "\"type\":\"enabled\",\"maxReasoningEffort\":\"medium\"}}}",
	    NULL);
	chat("meta.llama3", EFFORT(""), NULL, "reasoning_effort");
	chat("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1",
	    EFFORT(""),
	    "{" HI ",\"additionalModelRequestFields\":{\"thinking\":{\"type\":"
	    "\"enabled\",\"budget_tokens\":8192}}}",
	    NULL);
}
END_TEST

START_TEST(write_formats)
{
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"response_format\":{"
	    "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
	    "\"schema\":{\"type\":\"object\"},\"strict\":true}}}",
	    "{" HI ",\"outputConfig\":{\"textFormat\":{\"type\":"
	    "\"json_schema\",\"structure\":{\"jsonSchema\":{\"schema\":"
	    "\"{\\\"type\\\":\\\"object\\\"}\",\"name\":\"n\"}}}}}",
	    NULL);
	chat("m",
	    "{\"model\":\"m\",\"messages\":[" USER "],\"response_format\":{"
	    "\"type\":\"json_object\"}}",
	    "{" HI ",\"system\":[{\"text\":\"Answer with one valid JSON "
	    "object and nothing else: no other text, no code fence.\"}]}",
	    NULL);
}
END_TEST

START_TEST(write_lenient)
{
	struct carry_lost lost = {0};
	struct write_opts o = {.model = STR("m"),
	    .lenient = true,
	    .lost = &lost,
	    .max_output = 100};

	writes(&codec_openai_chat_client, CARRY_C_CHAT, &o,
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
	    "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\","
	    "\"image_url\":{\"url\":\"https://e.org/a.png\"}}]}],\"seed\":1,"
	    "\"max_tokens\":1000}",
	    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}"
	    "],\"inferenceConfig\":{\"maxTokens\":100}}",
	    NULL);
	ck_assert_msg(strstr(lost.text, "seed") != NULL, "%s", lost.text);
	ck_assert_msg(strstr(lost.text, "content[1]") != NULL, "%s", lost.text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bedrock_provider");

	UNIT_ADD(s, text_stream);
	UNIT_ADD(s, calls_stream);
	UNIT_ADD(s, reasoning_stream);
	UNIT_ADD(s, exceptions);
	UNIT_ADD(s, broken_streams);
	UNIT_ADD(s, plain_answer);
	UNIT_ADD(s, limits);
	UNIT_ADD(s, write_chat);
	UNIT_ADD(s, write_tools);
	UNIT_ADD(s, write_media);
	UNIT_ADD(s, write_anthropic);
	UNIT_ADD(s, write_thinking);
	UNIT_ADD(s, write_formats);
	UNIT_ADD(s, write_lenient);
	return unit_run(s);
}
