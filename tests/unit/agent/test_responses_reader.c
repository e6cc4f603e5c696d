/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of /responses: streams as OpenAI sends them and as others do, plain
 * answers, errors; each whole, cut in two everywhere, and byte by byte.
 */
#include <stdio.h>

#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/support/unit.h"

static const struct codec_kit kit = {.provider = &codec_responses_provider};

#define EXPECT(body, rc, want) codec_kit_expect(&kit, str_of(body), rc, want)
#define D(type, rest)	       "data: {\"type\":\"response." type "\"" rest "}\n\n"
#define CREATED                                                                \
	D("created", ",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\"," \
		     "\"model\":\"gpt-5\",\"status\":\"in_progress\"}")
#define USAGE                                                      \
	"\"usage\":{\"input_tokens\":37,\"input_tokens_details\":" \
	"{\"cached_tokens\":7},\"output_tokens\":11,"              \
	"\"output_tokens_details\":{\"reasoning_tokens\":4},"      \
	"\"total_tokens\":48}"
#define DONE(status, rest)                                                \
	D(status, ",\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-5\"," \
		  "\"status\":\"" status "\"," rest USAGE "}")

START_TEST(stream_text)
{
	/* with event lines, as OpenAI; other line ends; a comment */
	EXPECT(
	    "event: response.created\n" CREATED ": ping\r\n\r\n" D(
		"in_progress", ",\"response\":{}") D("output_item.added",
		",\"output_index\":0,\"item\":"
		"{\"type\":\"message\",\"id\":\"m\"}") D("content_part.added",
		",\"output_index\":0,\"content_index\":"
		"0,\"part\":"
		"{\"type\":\"output_text\",\"text\":"
		"\"\"}") "event: "
			 "response.output_text."
			 "delta\r\ndata: "
			 "{\"delta\":\"H\\u0069"
			 "\",\r\ndata: "
			 "\"type\":\"response.output_"
			 "text.delta\","
			 "\"logprobs\":[{\"token\":"
			 "\"Hi\"}],\"output_index\":0,"
			 "\"content_index\":0}"
			 "\r\n\r\n" D("output_text.delta",
			     ",\"output_index\":0,"
			     "\"content_index\":"
			     "0,\"delta\":\" "
			     "\\\"you\",\"logprobs\":"
			     "[]")
			     D("output_text.done", ",\"output_index\":0,"
						   "\"content_index\":0,"
						   "\"text\":\"Hi \\\"you\"")
				 D("content_part.done", ",\"output_index\":0,"
							"\"content_index\":0,"
							"\"part\":"
							"{\"type\":\"output_"
							"text\",\"text\":\"Hi "
							"\\\"you\"}") D("outpu"
									"t_"
									"item."
									"done",
				     ",\"output_index\":0,"
				     "\"item\":{\"type\":"
				     "\"message\","
				     "\"content\":[{"
				     "\"type\":\"output_"
				     "text\",\"text\":"
				     "\"x\"}]}") D("web_"
						   "search_"
						   "call."
						   "searchi"
						   "ng",
				     ",\"output_index\":1")
				     DONE("completed", "\"output\":[{"
						       "\"type\":"
						       "\"message\","
						       "\"content\":[{"
						       "\"type\":"
						       "\"output_text\","
						       "\"text\":\"x\"}]}"
						       "],") "data: "
							     "{\"after\":"
							     "\"the "
							     "end\"\n\n",
	    0,
	    "start resp_1 gpt-5\nblock 0.0 text\ndelta 0.0 H\\u0069\n"
	    "logprobs 0.0 [{\"token\":\"Hi\"}]\ndelta 0.0  \\\"you\n"
	    "stop 0.0\nfinish 0 stop completed\nusage 37 11\nend\n");
}
END_TEST

START_TEST(stream_calls)
{
	EXPECT(CREATED D("output_item.added",
		   ",\"output_index\":1,\"item\":{\"type\":"
		   "\"function_call\",\"call_id\":\"c1\","
		   "\"name\":\"f\",\"arguments\":\"\"}") D("output_item.added",
		   ",\"output_index\":2,\"item\":{\"type\":"
		   "\"function_call\",\"call_id\":\"c2\","
		   "\"name\":\"g\"}") D("function_call_arguments.delta",
		   ",\"output_index\":2,\"delta\":\"{\\\"b\\\"\"")
		   D("function_call_arguments.delta",
		       ",\"output_index\":1,\"delta\":\"{}\"")
		       D("function_call_arguments.delta",
			   ",\"output_index\":2,\"delta\":\":2}\"")
			   D("function_call_arguments.done",
			       ",\"output_index\":1,\"arguments\":\"{}\"")
			       D("output_item.done",
				   ",\"output_index\":1,\"item\":{\"type\":"
				   "\"function_call\",\"call_id\":\"c1\","
				   "\"name\":\"f\",\"arguments\":\"{}\"}")
				   D("output_item.done",
				       ",\"output_index\":2,\"item\":{\"type\":"
				       "\"function_call\",\"arguments\":\"x\"}")
				       DONE("completed", ""),
	    0,
	    "start resp_1 gpt-5\nblock 0.0 call c1 f\nblock 0.1 call c2 g\n"
	    "delta 0.1 {\\\"b\\\"\ndelta 0.0 {}\ndelta 0.1 :2}\n"
	    "stop 0.0\nstop 0.1\nfinish 0 tool_calls completed\n"
	    "usage 37 11\nend\n");
}
END_TEST

START_TEST(stream_thinking)
{
	EXPECT(CREATED D("output_item.added",
		   ",\"output_index\":0,\"item\":{\"type\":"
		   "\"reasoning\",\"summary\":[]}")
		   D("reasoning_summary_part.added",
		       ",\"output_index\":0,"
		       "\"summary_index\":0") D("reasoning_summary_text.delta",
		       ",\"output_index\":0,"
		       "\"summary_index\":0,"
		       "\"delta\":\"one\"") D("reasoning_summary_text.done",
		       ",\"output_index\":0,"
		       "\"text\":\"one\"") D("reasoning_summary_part.added",
		       ",\"output_index\":0,"
		       "\"summary_index\":1") D("reasoning_summary_text.delta",
		       ",\"output_index\":0,"
		       "\"summary_index\":1,"
		       "\"delta\":\"two\"") D("output_item.done",
		       ",\"output_index\":0,\"item\":{\"type\":"
		       "\"reasoning\",\"encrypted_content\":\"E\","
		       "\"summary\":[{\"text\":\"one\"}]}")
		       D("output_item.done",
			   ",\"output_index\":1,\"item\":{\"type\":"
			   "\"reasoning\",\"encrypted_content\":\"F\","
			   "\"summary\":[]}") D("reasoning_text.delta",
			   ",\"output_index\":2,\"content_index\":"
			   "0,\"delta\":\"raw\"") DONE("completed", ""),
	    0,
	    "start resp_1 gpt-5\nblock 0.0 thinking\ndelta 0.0 one\n"
	    "delta 0.0 \\n\\n\ndelta 0.0 two\nsig 0.0 E\nstop 0.0\n"
	    "block 0.1 thinking\nsig 0.1 F\nstop 0.1\n"
	    "block 0.2 thinking\ndelta 0.2 raw\nstop 0.2\n"
	    "finish 0 stop completed\nusage 37 11\nend\n");
}
END_TEST

/* Servers that leave out deltas, parts, or all but the last frame. */
START_TEST(stream_sparse)
{
	EXPECT(D("output_text.done", ",\"output_index\":0,\"text\":\"t\"")
		   D("refusal.done", ",\"output_index\":1,\"refusal\":\"no\"")
		       D("output_item.done",
			   ",\"output_index\":1,\"item\":{\"type\":"
			   "\"message\",\"content\":[]}")
			   D("function_call_arguments.delta",
			       ",\"output_index\":2,"
			       "\"delta\":\"{\"") D("output_item.done",
			       ",\"output_index\":2,\"item\":{\"type\":"
			       "\"function_call\",\"name\":\"f\","
			       "\"call_id\":\"c\",\"arguments\":"
			       "\"{}\"}") DONE("completed", ""),
	    0,
	    "start  \nblock 0.0 text\ndelta 0.0 t\nblock 0.1 refusal\n"
	    "delta 0.1 no\nstop 0.1\nblock 0.2 call c f\ndelta 0.2 {}\n"
	    "stop 0.2\nstop 0.0\nfinish 0 tool_calls completed\n"
	    "usage 37 11\nend\n");
	EXPECT(DONE("completed",
		   "\"output\":[{\"type\":\"message\",\"content\":[{\"type\":"
		   "\"output_text\",\"text\":\"all\"}]}],") "data: [DONE]\n\n",
	    0,
	    "start resp_1 gpt-5\nblock 0.0 text\ndelta 0.0 all\nstop 0.0\n"
	    "finish 0 stop completed\nusage 37 11\nend\n");
}
END_TEST

START_TEST(stream_ends)
{
	EXPECT(CREATED D("output_text.delta", ",\"delta\":\"x\"")
		   DONE("incomplete", "\"incomplete_details\":{\"reason\":"
				      "\"max_output_tokens\"},"),
	    0,
	    "start resp_1 gpt-5\nblock 0.0 text\ndelta 0.0 x\nstop 0.0\n"
	    "finish 0 length max_output_tokens\nusage 37 11\nend\n");
	EXPECT(CREATED DONE("incomplete", "\"incomplete_details\":{\"reason\":"
					  "\"content_filter\"},"),
	    0,
	    "start resp_1 gpt-5\nfinish 0 content_filter content_filter\n"
	    "usage 37 11\nend\n");
	EXPECT(CREATED DONE("cancelled", ""), 0,
	    "start resp_1 gpt-5\nfinish 0 stop cancelled\nusage 37 11\n"
	    "end\n");
	EXPECT(CREATED DONE("failed", "\"error\":{\"code\":\"server_error\","
				      "\"message\":\"oh \\\"no\"},"),
	    0,
	    "start resp_1 gpt-5\nusage 37 11\n"
	    "error 500 server_error oh \\\"no\n");
	EXPECT(CREATED D("failed", ",\"response\":{\"status\":\"failed\","
				   "\"error\":null,\"usage\":null}"),
	    0, "start resp_1 gpt-5\nerror 500  the provider failed\n");
	EXPECT(CREATED "event: error\ndata: {\"type\":\"error\",\"code\":"
		       "\"rate_limit_exceeded\",\"message\":\"slow\"}\n\n"
		       "data: {\"type\":\"response.completed\"}\n\n",
	    0, "start resp_1 gpt-5\nerror 429 rate_limit_exceeded slow\n");
	/* An error that comes first is all there is: nothing began. */
	EXPECT("event: error\ndata: {\"type\":\"error\",\"code\":"
	       "\"server_error\",\"message\":\"busy\",\"param\":null}\n\n",
	    0, "error 500 server_error busy\n");
	EXPECT("data: {\"error\":{\"type\":\"invalid_request_error\","
	       "\"message\":\"m\",\"code\":null}}\n\n",
	    0, "error 400 invalid_request_error m\n");
	/* the last frame without its blank line */
	EXPECT(CREATED "data: {\"type\":\"response.completed\",\"response\":"
		       "{\"status\":\"completed\"}}",
	    0, "start resp_1 gpt-5\nfinish 0 stop completed\nend\n");
}
END_TEST

START_TEST(broken)
{
	EXPECT("", ERR_INVALID, "");
	EXPECT("hello", ERR_INVALID, "");
	EXPECT(CREATED, ERR_INVALID, "start resp_1 gpt-5\n");
	EXPECT(CREATED D("output_text.delta", ",\"delta\":\"x\""), ERR_INVALID,
	    "start resp_1 gpt-5\nblock 0.0 text\ndelta 0.0 x\n");
	EXPECT(CREATED "data: {\"type\":\n\n", ERR_INVALID,
	    "start resp_1 gpt-5\n");
	EXPECT("data: []\n\n", ERR_INVALID, "");
	EXPECT(D("output_text.delta", ",\"output_index\":-1,\"delta\":\"x\""),
	    ERR_INVALID, "");
	EXPECT(D("output_text.delta", ",\"output_index\":4096,\"delta\":\"\""),
	    ERR_INVALID, "");
	EXPECT(D("output_text.delta", ",\"content_index\":65534,\"delta\":"
				      "\"x\""),
	    ERR_INVALID, "");
	EXPECT("{\"status\":", ERR_INVALID, "");
	EXPECT("{\"status\":\"completed\"} x", ERR_INVALID, "");
}
END_TEST

START_TEST(plain)
{
	EXPECT("\n {\"id\":\"resp_2\",\"model\":\"gpt-5\",\"status\":"
	       "\"completed\",\"error\":null,\"output\":["
	       "{\"type\":\"reasoning\",\"summary\":[{\"text\":\"a\"},"
	       "{\"text\":\"b\"}],\"encrypted_content\":\"E\"},"
	       "{\"type\":\"web_search_call\",\"id\":\"ws\"},"
	       "{\"type\":\"message\",\"content\":[{\"type\":\"output_text\","
	       "\"text\":\"t\",\"logprobs\":[1]},{\"type\":\"refusal\","
	       "\"refusal\":\"n\"}]},"
	       "{\"type\":\"image_generation_call\",\"result\":\"iVBO\"},"
	       "{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":"
	       "\"\"}]," USAGE "} \n",
	    0,
	    "start resp_2 gpt-5\n"
	    "block 0.0 thinking\ndelta 0.0 a\ndelta 0.0 \\n\\n\ndelta 0.0 b\n"
	    "sig 0.0 E\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 t\nlogprobs 0.1 [1]\nstop 0.1\n"
	    "block 0.2 refusal\ndelta 0.2 n\nstop 0.2\n"
	    "block 0.3 image image/png\ndelta 0.3 iVBO\nstop 0.3\n"
	    "block 0.4 call call_9b6082225ada1ac898bcc5b7 f\ndelta 0.4 {}\n"
	    "stop 0.4\nfinish 0 tool_calls completed\nusage 37 11\nend\n");
	/* background: accepted, nothing generated yet */
	EXPECT("{\"id\":\"r\",\"model\":\"m\",\"status\":\"queued\","
	       "\"output\":[],\"usage\":null}",
	    0, "start r m\nfinish 0 stop queued\nend\n");
	EXPECT("{\"id\":\"r\",\"model\":\"m\",\"status\":\"failed\","
	       "\"output\":[],\"error\":{\"code\":\"invalid_prompt\","
	       "\"message\":\"bad\"}}",
	    0, "start r m\nerror 400 invalid_prompt bad\n");
	EXPECT("{\"error\":{\"code\":\"x\",\"message\":\"bad\"}}", 0,
	    "error 500 x bad\n");
}
END_TEST

START_TEST(usage)
{
	struct codec_seen seen;

	codec_kit_cuts(&kit,
	    str_of(CREATED DONE("completed", "\"service_tier\":\"priority\",")),
	    &seen);
	ck_assert(seen.usage_known);
	ck_assert_int_eq(seen.usage.tokens.n[TC_INPUT], 30);
	ck_assert_int_eq(seen.usage.tokens.n[TC_CACHE_READ], 7);
	ck_assert_int_eq(seen.usage.tokens.n[TC_OUTPUT], 7);
	ck_assert_int_eq(seen.usage.tokens.n[TC_REASONING], 4);
	ck_assert_str_eq(seen.usage.tier, "priority");
	codec_seen_release(&seen);
}
END_TEST

START_TEST(limits)
{
	struct codec_kit small = kit;
	struct buf b;
	unsigned i;

	small.max_event = 200;
	small.max_plain = 100;
	buf_init(&b, 1 << 20);
	(void)buf_addz(&b, CREATED "data: {\"type\":\"response.output_text."
				   "delta\",\"delta\":\"");
	for (i = 0; i < 200; i++)
		(void)buf_addc(&b, 'x');
	(void)buf_addz(&b, "\"}\n\n");
	codec_kit_expect(
	    &small, buf_str(&b), ERR_TOO_LARGE, "start resp_1 gpt-5\n");
	buf_clear(&b);
	(void)buf_addz(&b, "{\"a\":\"");
	for (i = 0; i < 200; i++)
		(void)buf_addc(&b, 'x');
	codec_kit_expect(&small, buf_str(&b), ERR_TOO_LARGE, "");
	/* more items than a response may have */
	buf_clear(&b);
	(void)buf_addz(&b, "{\"status\":\"completed\",\"output\":[{}");
	for (i = 0; i < 4096; i++)
		(void)buf_addz(&b, ",{}");
	(void)buf_addz(&b, "]}");
	{
		struct codec_seen seen;

		codec_kit_run(&kit, buf_str(&b), 0, 0, &seen);
		ck_assert_int_eq(seen.rc, ERR_INVALID);
		codec_seen_release(&seen);
	}
	buf_release(&b);
}
END_TEST

/* To a chat client. */
START_TEST(to_chat)
{
	struct codec_kit k = kit;

	k.client = &codec_openai_chat_client;
	k.opts = (struct answer_opts){.model = STR("m"), .id = STR("i")};
	codec_kit_expect_out(&k,
	    STR(CREATED D("output_text.delta", ",\"delta\":\"x\\n\"")
		    D("completed", ",\"response\":{\"status\":\"completed\"}")),
	    "{\"id\":\"chatcmpl-i\",\"object\":\"chat.completion\","
	    "\"created\":0,\"model\":\"gpt-5\",\"choices\":[{\"index\":0,"
	    "\"message\":{\"role\":\"assistant\",\"content\":\"x\\n\","
	    "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
	    "\"finish_reason\":\"stop\"}]}");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("responses_reader");

	UNIT_ADD(s, stream_text);
	UNIT_ADD(s, stream_calls);
	UNIT_ADD(s, stream_thinking);
	UNIT_ADD(s, stream_sparse);
	UNIT_ADD(s, stream_ends);
	UNIT_ADD(s, broken);
	UNIT_ADD(s, plain);
	UNIT_ADD(s, usage);
	UNIT_ADD(s, limits);
	UNIT_ADD(s, to_chat);
	return unit_run(s);
}
