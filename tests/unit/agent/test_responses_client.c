/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses: requests of clients, and answers to them. Streams are compared
 * without the response objects that repeat the request, which have a test of
 * their own; and they are read back by our own reader.
 */
#include <stdio.h>

#include "tests/unit/agent/answer_script.h"
#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/agent/ir_text.h"
#include "tests/unit/support/oom.h"

#define C	(&codec_responses_client)
#define B(rest) "{\"model\":\"m\",\"input\":\"hi\"," rest "}"
#define M(list) "{\"model\":\"m\",\"input\":[" list "]}"
#define UL	"user [text text=hi @input]\n"

START_TEST(fields)
{
	ir_text_expect(C,
	    B("\"instructions\":\"be\",\"stream\":true,\"stream_options\":"
	      "{\"include_obfuscation\":false},\"max_output_tokens\":9,"
	      "\"temperature\":0.2,\"top_p\":0.9,\"top_logprobs\":2,"
	      "\"parallel_tool_calls\":true,\"tool_choice\":{\"type\":"
	      "\"function\",\"name\":\"f\"},\"tools\":[{\"type\":\"function\","
	      "\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":"
	      "\"object\"},\"strict\":true}],\"text\":{\"format\":{\"type\":"
	      "\"json_schema\",\"name\":\"n\",\"schema\":{\"a\":1},"
	      "\"strict\":true},\"verbosity\":\"high\"},\"reasoning\":"
	      "{\"effort\":\"low\",\"summary\":\"detailed\"},\"include\":["
	      "\"reasoning.encrypted_content\","
	      "\"message.output_text.logprobs\"],\"store\":false,"
	      "\"truncation\":\"disabled\",\"service_tier\":\"priority\","
	      "\"metadata\":{\"k\":\"v\"},\"user\":\"u\","
	      "\"background\":false,\"previous_response_id\":null"),
	    " model=m stream=1 include_usage=1 choice=tool choice_name=f"
	    " parallel=1 max_output=9 temperature=0.2 top_p=0.9 format=schema"
	    " format_name=n format_schema={\"a\":1} format_strict=1 effort=low"
	    " show_thinking=1 summary=detailed logprobs=1 top_logprobs=2"
	    " user=u metadata={\"k\":\"v\"} tier=priority verbosity=high\n"
	    "system [text text=be @instructions]\n" UL
	    "tool name=f description=d schema={\"type\":\"object\"}"
	    " strict=1\n");
}
END_TEST

START_TEST(others)
{
	ir_text_expect(C,
	    B("\"previous_response_id\":\"r\",\"conversation\":\"c\","
	      "\"background\":true,\"store\":true,\"truncation\":\"auto\","
	      "\"max_tool_calls\":3,\"include\":[\"file_search_call.results\"]"
	      ",\"tools\":[{\"type\":\"web_search\"}],\"tool_choice\":"
	      "{\"type\":\"web_search\"},\"reasoning\":{\"mode\":\"x\"},"
	      "\"prompt\":{\"id\":\"p\"}"),
	    " model=m include_usage=1\n" UL
	    "other previous_response_id\nother conversation\n"
	    "other background\nother store\nother truncation\n"
	    "other max_tool_calls\nother include[0]\nother tools[0]\n"
	    "other tool_choice\nother reasoning.mode\nother prompt\n");
	ir_text_expect(C,
	    M("{\"type\":\"item_reference\",\"id\":\"i\"},"
	      "{\"role\":\"user\",\"content\":\"a\"}"),
	    " model=m include_usage=1\n"
	    "user [text text=a @input[1].content]\nother input[0]\n");
}
END_TEST

START_TEST(items)
{
	ir_text_expect(C,
	    M("{\"role\":\"developer\",\"content\":\"d\"},"
	      "{\"type\":\"message\",\"role\":\"user\",\"content\":["
	      "{\"type\":\"input_text\",\"text\":\"a\"},"
	      "{\"type\":\"input_image\",\"image_url\":"
	      "\"data:image/png;base64,AAAA\",\"detail\":\"high\"},"
	      "{\"type\":\"input_image\",\"file_id\":\"f\",\"detail\":"
	      "\"auto\"},{\"type\":\"input_file\",\"filename\":\"x.pdf\","
	      "\"file_data\":\"data:application/pdf;base64,JVBE\"},"
	      "{\"type\":\"input_file\",\"file_url\":\"https://a/b.pdf\"}]},"
	      "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":["
	      "{\"type\":\"summary_text\",\"text\":\"t\"}],"
	      "\"encrypted_content\":\"S\"},"
	      "{\"type\":\"reasoning\",\"id\":\"rs_redacted_x\",\"summary\":[]"
	      ",\"encrypted_content\":\"D\"},"
	      "{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\","
	      "\"status\":\"completed\",\"content\":[{\"type\":\"output_text\""
	      ",\"text\":\"b\",\"annotations\":[],\"logprobs\":[]},"
	      "{\"type\":\"refusal\",\"refusal\":\"no\"}]},"
	      "{\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"c1\","
	      "\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\",\"extra_content\""
	      ":{\"google\":{\"thought_signature\":\"G\"}}},"
	      "{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"g\","
	      "\"arguments\":\"\"},"
	      "{\"type\":\"function_call_output\",\"call_id\":\"c1\","
	      "\"output\":\"r1\"},"
	      "{\"type\":\"function_call_output\",\"call_id\":\"c2\","
	      "\"output\":[{\"type\":\"input_text\",\"text\":\"r2\"}]},"
	      "{\"role\":\"user\",\"content\":\"z\"},"
	      "{\"type\":\"reasoning\",\"id\":\"q\",\"summary\":["
	      "{\"text\":\"p1\"},{\"text\":\"p2\"}]},"
	      "{\"type\":\"reasoning\",\"id\":\"q\",\"summary\":[],"
	      "\"content\":[{\"type\":\"reasoning_text\",\"text\":\"c\"}]}"),
	    " model=m include_usage=1\n"
	    "developer [text text=d @input[0].content]\n"
	    "user [text text=a @input[1].content[0]]"
	    " [image mime=image/png data=AAAA detail=high"
	    " @input[1].content[1]]"
	    " [image file=f detail=auto @input[1].content[2]]"
	    " [document mime=application/pdf data=JVBE filename=x.pdf"
	    " @input[1].content[3]]"
	    " [document url=https://a/b.pdf @input[1].content[4]]\n"
	    "assistant [thinking text=t sig=S @input[2]]"
	    " [redacted sig=D @input[3]]"
	    " [text text=b @input[4].content[0]]"
	    " [refusal text=no @input[4].content[1]]"
	    " [call id=c1 name=f args={\"x\":1} sig=G @input[5]]"
	    " [call id=c2 name=g args={} @input[6]]\n"
	    "user [result id=c1 name=f [text text=r1 @input[7].output]"
	    " @input[7].output]"
	    " [result id=c2 name=g [text text=r2 @input[8].output[0]]"
	    " @input[8].output]\n"
	    "user [text text=z @input[9].content]\n"
	    "assistant [thinking text=p1\\n\\np2 @input[10]]"
	    " [thinking text=c @input[11]]\n");
}
END_TEST

#define REFUSE(rest, field)   ir_text_refuse(C, B(rest), ERR_INVALID, field)
#define REFUSE_M(list, field) ir_text_refuse(C, M(list), ERR_INVALID, field)
#define REFUSE_P(part, field)                                  \
	REFUSE_M("{\"role\":\"user\",\"content\":[" part "]}", \
	    "input[0].content[0]" field)

START_TEST(refused_fields)
{
	ir_text_refuse(C, "1", ERR_INVALID, "");
	ir_text_refuse(C, "{\"input\":\"a\"}", ERR_INVALID, "model");
	ir_text_refuse(C, "{\"model\":\"m\"}", ERR_INVALID, "input");
	ir_text_refuse(
	    C, "{\"model\":\"m\",\"input\":null}", ERR_INVALID, "input");
	ir_text_refuse(
	    C, "{\"model\":\"m\",\"input\":1}", ERR_INVALID, "input");
	REFUSE("\"instructions\":[]", "instructions");
	REFUSE("\"stream\":1", "stream");
	REFUSE("\"stream_options\":1", "stream_options");
	REFUSE("\"max_output_tokens\":0", "max_output_tokens");
	REFUSE("\"temperature\":\"\"", "temperature");
	REFUSE("\"top_p\":\"\"", "top_p");
	REFUSE("\"top_logprobs\":-1", "top_logprobs");
	REFUSE("\"parallel_tool_calls\":1", "parallel_tool_calls");
	REFUSE("\"metadata\":1", "metadata");
	REFUSE("\"user\":1", "user");
	REFUSE("\"service_tier\":1", "service_tier");
	REFUSE("\"include\":1", "include");
	REFUSE("\"reasoning\":1", "reasoning");
	REFUSE("\"reasoning\":{\"effort\":\"x\"}", "reasoning.effort");
	REFUSE("\"reasoning\":{\"summary\":1}", "reasoning.summary");
	REFUSE("\"text\":1", "text");
	REFUSE("\"text\":{\"verbosity\":1}", "text.verbosity");
	REFUSE("\"text\":{\"format\":{}}", "text.format.type");
	REFUSE("\"text\":{\"format\":{\"type\":\"x\"}}", "text.format.type");
	REFUSE("\"text\":{\"format\":{\"type\":\"json_schema\"}}",
	    "text.format.schema");
	REFUSE("\"tools\":1", "tools");
	REFUSE("\"tools\":[{}]", "tools[0].type");
	REFUSE("\"tools\":[{\"type\":\"function\"}]", "tools[0].name");
	REFUSE("\"tool_choice\":\"x\"", "tool_choice");
	REFUSE("\"tool_choice\":{}", "tool_choice.type");
	REFUSE("\"tool_choice\":{\"type\":\"function\"}", "tool_choice.name");
}
END_TEST

START_TEST(refused_items)
{
	REFUSE_M("", "input");
	REFUSE_M("1", "input[0]");
	REFUSE_M("{}", "input[0].role");
	REFUSE_M("{\"role\":\"tool\",\"content\":\"\"}", "input[0].role");
	REFUSE_M("{\"type\":1}", "input[0].type");
	REFUSE_M("{\"role\":\"user\"}", "input[0].content");
	REFUSE_M("{\"role\":\"user\",\"content\":1}", "input[0].content");
	REFUSE_M("{\"type\":\"function_call\"}", "input[0].call_id");
	REFUSE_M(
	    "{\"type\":\"function_call\",\"call_id\":\"c\"}", "input[0].name");
	REFUSE_M("{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":"
		 "\"f\",\"arguments\":\"x\"}",
	    "input[0].arguments");
	REFUSE_M("{\"type\":\"function_call_output\",\"output\":\"\"}",
	    "input[0].call_id");
	REFUSE_M("{\"type\":\"function_call_output\",\"call_id\":\"c\"}",
	    "input[0].output");
	REFUSE_P("{}", ".type");
	REFUSE_P("{\"type\":\"odd\"}", ".type");
	REFUSE_P("{\"type\":\"input_text\"}", ".text");
	REFUSE_P("{\"type\":\"refusal\",\"refusal\":1}", ".refusal");
	REFUSE_P("{\"type\":\"input_image\"}", ".image_url");
	REFUSE_P("{\"type\":\"input_image\",\"image_url\":\"data:,x\"}",
	    ".image_url");
	REFUSE_P("{\"type\":\"input_file\"}", "");
	REFUSE_P("{\"type\":\"input_file\",\"file_data\":\"?\"}", ".file_data");
	REFUSE_P("{\"type\":\"input_audio\",\"input_audio\":{}}",
	    ".input_audio.format");
}
END_TEST

/* ---- answers ---- */

static const struct answer_opts streamed = {.model = {"gpt", 3},
    .id = {"r1", 2},
    .created_s = 17,
    .stream = true,
    .show_thinking = true};

static void
say_all(struct script *s, enum ir_finish finish)
{
	START(s);
	OPEN(s, 0, IR_THINKING);
	DELTA(s, 0, IR_THINKING, "t");
	SIGN(s, 0, "S");
	STOP(s, 0);
	OPEN(s, 1, IR_TEXT);
	DELTA(s, 1, IR_TEXT, "a");
	SAY(s, .type = IR_EV_LOGPROBS, .block = 1, .json = STR("[{\"x\":1}]"));
	DELTA(s, 1, IR_TEXT, "\\u00e9");
	STOP(s, 1);
	CALL(s, 2, "c1", "f");
	CALL(s, 3, "", "g");
	DELTA(s, 2, IR_TOOL_CALL, "{\\\"a\\\":1}");
	SIGN(s, 3, "G");
	STOP(s, 2);
	STOP(s, 3);
	OPEN(s, 4, IR_REDACTED);
	SIGN(s, 4, "D");
	STOP(s, 4);
	OPEN(s, 5, IR_REFUSAL);
	DELTA(s, 5, IR_REFUSAL, "no");
	STOP(s, 5);
	FINISH(s, finish);
}

/* Cut the value of "response" out of every frame. */
static void
cut_responses(struct buf *b)
{
	struct buf kept;
	struct str rest = buf_str(b), line;
	const char *at;

	buf_init(&kept, (size_t)1 << 24);
	while (rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		at = memmem(line.p, line.len, ",\"response\":", 12);
		if (at != NULL)
			line.len = (size_t)(at - line.p);
		(void)buf_add_str(&kept, line);
		(void)buf_addc(&kept, '\n');
	}
	buf_release(b);
	*b = kept;
}

#define F(type, seq, rest)                                           \
	"event: response." type "\ndata: {\"type\":\"response." type \
	"\",\"sequence_number\":" seq rest "\n\n"
#define AT(id, index) ",\"item_id\":\"" id "\",\"output_index\":" index
#define PART(text, logprobs)                                                   \
	"{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[" logprobs \
	"],\"text\":\"" text "\"}"
#define ITEM(index, id, type, status)                        \
	",\"output_index\":" index ",\"item\":{\"id\":\"" id \
	"\",\"type\":\"" type "\",\"status\":\"" status "\""

static const char streamed_all[] = F("created", "0", "") F(
    "in_progress", "1", "") F("output_item.added", "2",
    ITEM("0", "rs_r1_0", "reasoning",
	"in_progress") ",\"summary\":[]}}") F("reasoning_summary_"
					      "part.added",
    "3",
    AT("rs_r1_0", "0") ",\"summary_index\":0,\"part\":{\"type\":"
		       "\"summary_text\",\"text\":\"\"}}") F("reasoning_"
							     "summary_text."
							     "delta",
    "4",
    AT("rs_r1_0", "0") ",\"summary_index\":0,\"delta\":\"t\"}") F("reasoning_"
								  "summary_"
								  "text.done",
    "5", AT("rs_r1_0", "0") ",\"summary_index\":0,\"text\":\"t\"}")
    F("reasoning_summary_part.done", "6",
	AT("rs_r1_0", "0") ",\"summary_index\":0,\"part\":{\"type\":"
			   "\"summary_text\",\"text\":\"t\"}}") F("output_"
								  "item.done",
	"7",
	ITEM("0", "rs_r1_0", "reasoning",
	    "completed") ",\"summary\":[{\"type\":\"summary_text\","
			 "\"text\":\"t\"}],"
			 "\"encrypted_content\":\"S\"}}") F("output"
							    "_item."
							    "added",
	"8",
	ITEM("1", "msg_r1_1", "message",
	    "in_progress") ",\"role\":\"assistant\",\"content\":[]}"
			   "}") F("content_part.added", "9",
	AT("msg_r1_1", "1") ",\"content_index\":0,\"part\":" PART(
	    "", "") "}") F("output_text.delta", "10",
	AT("msg_r1_1", "1") ",\"content_index\":0,\"logprobs\":[],"
			    "\"delta\":\"a\"}") F("output_text.delta", "11",
	AT("msg_r1_1", "1") ",\"content_index\":0,\"delta\":\"\","
			    "\"logprobs\":[{\"x\":1}]}") F("output_text.delta",
	"12",
	AT("msg_r1_1", "1") ",\"content_index\":0,\"logprobs\":[],"
			    "\"delta\":\"\\u00e9\"}") F("output_text.done",
	"13",
	AT("msg_r1_1", "1") ",\"content_index\":0,\"logprobs\":["
			    "{\"x\":1}],\"text\":\"a\\u00e9\"}") F("content_"
								   "part.done",
	"14",
	AT("msg_r1_1", "1") ",\"content_index\":0,\"part\":" PART(
	    "a\\u00e9", "{\"x\":1}") "}") F("output_item.done", "15",
	ITEM("1", "msg_r1_1", "message",
	    "completed") ",\"role\":\"assistant\",\"content\":"
			 "[" PART("a\\u00e9", "{\"x\":1}") "]}}")
	F("output_item."
	  "added",
	    "16",
	    ITEM("2", "fc_r1_2", "function_call",
		"in_progress") ",\"arguments\":\"\",\"call_id\":\"c1\","
			       "\"name\":\"f\"}}") F("output_item."
						     "added",
	    "17",
	    ITEM("3", "fc_r1_3", "function_call",
		"in_progress") ",\"arguments\":\"\",\"call_id\":\"call_"
			       "r1_3\",\"name\":"
			       "\"g\"}}") F("function_call_arguments."
					    "delta",
	    "18", AT("fc_r1_2", "2") ",\"delta\":\"{\\\"a\\\":1}\"}")
	    F("function_call_arguments.done", "19",
		AT("fc_r1_2", "2") ",\"arguments\":\"{\\\"a\\\":1}\","
				   "\"name\":\"f\"}") F("output_item."
							"done",
		"20",
		ITEM("2", "fc_r1_2", "function_call",
		    "completed") ",\"arguments\":\"{\\\"a\\\":1}\","
				 "\"call_id\":\"c1\","
				 "\"name\":\"f\"}}")
		F("function_call_arguments.delta", "21",
		    AT("fc_r1_3", "3") ",\"delta\":\"{}\"}") F("function_call_"
							       "arguments.done",
		    "22",
		    AT("fc_r1_3", "3") ",\"arguments\":\"{}\",\"name\":"
				       "\"g\"}") F("output_item.done", "23",
		    ITEM("3", "fc_r1_3", "function_call",
			"completed") ",\"arguments\":\"{}\",\"call_"
				     "id\":\"call_r1_3\",\"name\":"
				     "\"g\",\"extra_content\":{"
				     "\"google\":{\"thought_"
				     "signature\":"
				     "\"G\"}}}}") F("output_item.added", "24",
		    ITEM("4", "rs_redacted_r1_4", "reasoning",
			"in_progress") ",\"summary\":[]}}")
		    F("output_item.done", "25",
			ITEM("4", "rs_redacted_r1_4", "reasoning",
			    "completed") ",\"summary\":[],\"encrypted_"
					 "content\":\"D\"}}") F("output"
								"_item."
								"added",
			"26",
			ITEM("5", "msg_r1_5", "message",
			    "in_progress") ",\"role\":\"assistant\","
					   "\"content\":[]}}") F("conte"
								 "nt_"
								 "part."
								 "adde"
								 "d",
			"27",
			AT("msg_r1_5", "5") ",\"content_index\":0,"
					    "\"part\":{\"type\":"
					    "\"refusal\",\"refusal\":"
					    "\"\"}}") F("refusal.delta", "28",
			AT("msg_r1_5", "5") ",\"content_index\":0,\"delta\":"
					    "\"no\"}") F("refusal.done", "29",
			AT("msg_r1_5", "5") ",\"content_index\":0,\"refusal\":"
					    "\"no\"}") F("content_part.done",
			"30",
			AT("msg_r1_5", "5") ",\"content_index\":0,\"part\":{"
					    "\"type\":"
					    "\"refusal\",\"refusal\":\"no\"}}")
			F("output_item.done", "31",
			    ITEM("5", "msg_r1_5", "message",
				"completed") ",\"role\":\"assistant\","
					     "\"content\":[{\"type\":"
					     "\"refusal\","
					     "\"refusal\":\"no\"}]}}")
			    F("completed", "32", "");

START_TEST(stream)
{
	struct script s;

	script_begin(&s, C, &streamed);
	say_all(&s, IR_FINISH_TOOL_CALLS);
	cut_responses(&s.out);
	script_end(&s, streamed_all);
}
END_TEST

/* What is written is read back as what was said. */
START_TEST(round_trip)
{
	static const char *const want[] = {
	    "start resp_r1 m-1\n"
	    "block 0.0 thinking\ndelta 0.0 t\nsig 0.0 S\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 a\nlogprobs 0.1 [{\"x\":1}]\n"
	    "delta 0.1 \\u00e9\nstop 0.1\n"
	    "block 0.2 call c1 f\nblock 0.3 call call_r1_3 g\n"
	    "delta 0.2 {\\\"a\\\":1}\nstop 0.2\n"
	    "delta 0.3 {}\nsig 0.3 G\nstop 0.3\n"
	    "block 0.4 thinking\nsig 0.4 D\nstop 0.4\n"
	    "block 0.5 refusal\ndelta 0.5 no\nstop 0.5\n"
	    "finish 0 tool_calls completed\nusage 20 10\nend\n",
	    "start resp_r1 m-1\n"
	    "block 0.0 thinking\ndelta 0.0 t\nsig 0.0 S\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 a\\u00e9\nlogprobs 0.1 [{\"x\":1}]\n"
	    "stop 0.1\n"
	    "block 0.2 call c1 f\ndelta 0.2 {\\\"a\\\":1}\nstop 0.2\n"
	    "block 0.3 call call_r1_3 g\ndelta 0.3 {}\nsig 0.3 G\nstop 0.3\n"
	    "block 0.4 thinking\nsig 0.4 D\nstop 0.4\n"
	    "block 0.5 refusal\ndelta 0.5 no\nstop 0.5\n"
	    "finish 0 tool_calls completed\nusage 20 10\nend\n"};
	struct codec_kit k = {.provider = &codec_responses_provider};
	struct answer_opts o = streamed;
	struct codec_seen seen;
	struct script s;
	int i;

	for (i = 0; i < 2; i++) {
		o.stream = i == 0;
		script_begin(&s, C, &o);
		say_all(&s, IR_FINISH_TOOL_CALLS);
		if (i == 1)
			script_is_json(&s);
		codec_kit_cuts(&k, buf_str(&s.out), &seen);
		ck_assert_int_eq(seen.rc, 0);
		ck_assert_msg(str_eqz(buf_str(&seen.events), want[i]),
		    "read\n%s\nnot\n%s", buf_cstr(&seen.events), want[i]);
		codec_seen_release(&seen);
		script_end(&s, buf_cstr(&s.out));
	}
}
END_TEST

#define ECHO                                                                  \
	"\"instructions\":\"be\",\"max_output_tokens\":9,\"max_tool_calls\":" \
	"null,\"metadata\":{\"k\":\"v\"},\"parallel_tool_calls\":false,"      \
	"\"previous_response_id\":null,\"prompt_cache_key\":null,"            \
	"\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},"            \
	"\"safety_identifier\":null,\"store\":false,\"temperature\":0.2,"     \
	"\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\","      \
	"\"description\":null,\"schema\":{\"a\":1},\"strict\":true},"         \
	"\"verbosity\":\"medium\"},\"tool_choice\":{\"type\":\"function\","   \
	"\"name\":\"f\"},\"tools\":[{\"type\":\"function\",\"name\":\"f\","   \
	"\"description\":null,\"parameters\":{\"type\":\"object\"},"          \
	"\"strict\":false}],\"top_logprobs\":0,\"top_p\":1.0,"                \
	"\"truncation\":\"disabled\",\"user\":null,\"service_tier\":\"flex\""

START_TEST(object)
{
	struct answer_opts o = {
	    .model = STR("gpt"), .id = STR("r1"), .created_s = 17};
	struct ir_request r;
	struct script s;
	struct arena a;

	codec_kit_read(C,
	    STR(B("\"instructions\":\"be\",\"max_output_tokens\":9,"
		  "\"metadata\":{\"k\":\"v\"},\"parallel_tool_calls\":false,"
		  "\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},"
		  "\"temperature\":0.2,\"text\":{\"format\":{\"type\":"
		  "\"json_schema\",\"name\":\"n\",\"schema\":{\"a\":1},"
		  "\"strict\":true}},\"tool_choice\":{\"type\":\"function\","
		  "\"name\":\"f\"},\"tools\":[{\"type\":\"function\",\"name\":"
		  "\"f\",\"parameters\":{\"type\":\"object\"}}],"
		  "\"service_tier\":\"flex\"")),
	    &a, &r);
	o.request = &r;
	script_begin(&s, C, &o);
	START(&s);
	OPEN(&s, 0, IR_TEXT);
	DELTA(&s, 0, IR_TEXT, "x");
	STOP(&s, 0);
	FINISH(&s, IR_FINISH_LENGTH);
	script_is_json(&s);
	script_end(&s,
	    "{\"id\":\"resp_r1\",\"object\":\"response\",\"created_at\":17,"
	    "\"status\":\"incomplete\",\"background\":false,\"error\":null,"
	    "\"incomplete_details\":{\"reason\":\"max_output_tokens\"},"
	    "\"model\":\"m-1\",\"output\":[{\"id\":\"msg_r1_0\",\"type\":"
	    "\"message\",\"status\":\"completed\",\"role\":\"assistant\","
	    "\"content\":[{\"type\":\"output_text\",\"annotations\":[],"
	    "\"logprobs\":[],\"text\":\"x\"}]}]," ECHO
	    ",\"usage\":{\"input_tokens\":20,\"input_tokens_details\":"
	    "{\"cached_tokens\":0},"
	    "\"output_tokens\":10,\"output_tokens_details\":"
	    "{\"reasoning_tokens\":0},\"total_tokens\":30}}");
	arena_release(&a);
}
END_TEST

START_TEST(error)
{
	struct codec_kit k = {.provider = &codec_responses_provider};
	struct answer_opts o = streamed;
	struct script s;

	script_begin(&s, C, &o);
	START(&s);
	OPEN(&s, 0, IR_TEXT);
	SAY(&s, .type = IR_EV_ERROR, .status = 429, .text = STR("s\\\"w"),
	    .native = STR("throttled"));
	codec_kit_expect(&k, buf_str(&s.out), 0,
	    "start resp_r1 m-1\nblock 0.0 text\n"
	    "error 429 rate_limit_exceeded s\\\"w\n");
	cut_responses(&s.out);
	script_end(&s,
	    F("created", "0", "") F("in_progress", "1", "") F(
		"output_item.added", "2",
		ITEM("0", "msg_r1_0", "message",
		    "in_progress") ",\"role\":\"assistant\",\"content\":[]}}")
		F("content_part.added", "3",
		    AT("msg_r1_0", "0") ",\"content_index\":0,\"part\":" PART(
			"",
			"") "}") "event: error\ndata: "
				 "{\"type\":\"error\",\"sequence_number\":4,"
				 "\"code\":\"rate_limit_exceeded\",\"message\":"
				 "\"s\\\"w\","
				 "\"param\":null}\n\n" F("failed", "5", ""));
	o.stream = false;
	script_begin(&s, C, &o);
	SAY(&s, .type = IR_EV_ERROR, .status = 400, .text = STR("bad"));
	script_is_json(&s);
	script_end(&s,
	    "{\"error\":{\"code\":\"invalid_prompt\",\"message\":\"bad\","
	    "\"param\":null,\"type\":\"invalid_request_error\"}}");
}
END_TEST

START_TEST(hidden)
{
	struct answer_opts o = streamed;
	struct script s;

	o.stream = false;
	o.show_thinking = false;
	script_begin(&s, C, &o);
	say_all(&s, IR_FINISH_STOP);
	script_is_json(&s);
	ck_assert_ptr_null(strstr(buf_cstr(&s.out), "\"reasoning\",\"status"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&s.out), "msg_r1_0"));
	script_end(&s, buf_cstr(&s.out));
	script_begin(&s, C, &streamed);
	SAY(&s, .type = IR_EV_END);
	ck_assert_ptr_nonnull(
	    strstr(buf_cstr(&s.out), "event: response.completed"));
	script_end(&s, buf_cstr(&s.out));
}
END_TEST

/* ---- without memory ---- */

static int
on_event(void *ctx, const struct ir_event *ev)
{
	struct answer_writer **w = ctx;
	int i, rc = 0;

	for (i = 0; rc == 0 && i < 4; i++)
		rc = (i < 2 ? C : &codec_openai_chat_client)->event(w[i], ev);
	return rc;
}

/* Read a stream and write it for both clients, streamed and plain. */
static int
relay(struct str body)
{
	const struct codec_provider *p = &codec_responses_provider;
	struct answer_opts o = streamed;
	struct answer_writer *w[4] = {NULL};
	struct answer_reader *rd = p->begin(true, 1 << 16, 1 << 16);
	struct buf out[4];
	int i, rc = rd != NULL ? 0 : ERR_NOMEM;

	for (i = 0; i < 4; i++) {
		buf_init(&out[i], 1 << 20);
		o.stream = i % 2 == 0;
		w[i] =
		    (i < 2 ? C : &codec_openai_chat_client)->begin(&o, &out[i]);
		if (w[i] == NULL)
			rc = ERR_NOMEM;
	}
	if (rc == 0)
		rc = p->feed(rd, body.p, body.len / 2, on_event, w);
	if (rc == 0)
		rc = p->feed(rd, body.p + body.len / 2, body.len - body.len / 2,
		    on_event, w);
	if (rc == 0)
		rc = p->finish(rd, on_event, w);
	p->free(rd);
	for (i = 0; i < 4; i++) {
		(i < 2 ? C : &codec_openai_chat_client)->free(w[i]);
		buf_release(&out[i]);
	}
	return rc;
}

START_TEST(no_memory)
{
	struct script s;
	struct str body;

	script_begin(&s, C, &streamed);
	say_all(&s, IR_FINISH_TOOL_CALLS);
	body = buf_str(&s.out);
	EACH_OOM
	{
		int rc = relay(body);

		if (oom_hit())
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_int_eq(rc, 0);
	}
	ck_assert_uint_gt(oom_failures(), 20);
	script_end(&s, buf_cstr(&s.out));
}
END_TEST

static int
read_once(const struct codec_client *c, struct str body)
{
	struct ir_request r;
	struct error e;
	struct arena a;
	int rc;

	/* small blocks: many allocations */
	arena_init(&a, 64, (size_t)1 << 20);
	ir_request_init(&r, &a);
	rc = c->read(body, STR_NULL, false, &r, &e);
	arena_release(&a);
	return rc;
}

#define ARGS "{\\\"a\\\":1}"

START_TEST(no_memory_to_read)
{
	static const char responses[] =
	    M("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
	      "\"image_url\":\"data:image\\/png;base64,AAAA\"}]},"
	      "{\"type\":\"reasoning\",\"summary\":[{\"text\":\"a\"},"
	      "{\"text\":\"b\"}]},{\"type\":\"function_call\",\"call_id\":"
	      "\"c\",\"name\":\"f\",\"arguments\":\"" ARGS "\"},"
	      "{\"type\":\"function_call_output\",\"call_id\":\"c\","
	      "\"output\":\"x\"},{\"type\":\"item_reference\",\"id\":\"i\"}");
	static const char chat[] =
	    "{\"model\":\"m\",\"odd\":1,\"messages\":[{\"role\":"
	    "\"assistant\",\"reasoning_content\":\"t\",\"content\":\"x\","
	    "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","
	    "\"arguments\":\"" ARGS "\"}}],\"function_call\":{\"name\":"
	    "\"g\"}},{\"role\":\"tool\",\"tool_call_id\":\"c\","
	    "\"content\":\"r\"},{\"role\":\"user\",\"content\":["
	    "{\"type\":\"input_audio\",\"input_audio\":{\"format\":\"wav\","
	    "\"data\":\"AAAA\"}}]}]}";

	EACH_OOM
	{
		int rc = read_once(C, str_of(responses));
		int rc2 = read_once(&codec_openai_chat_client, str_of(chat));

		/* Some can be done without: the table of calls. */
		if (oom_hit()) {
			ck_assert(rc == 0 || rc == ERR_NOMEM);
			ck_assert(rc2 == 0 || rc2 == ERR_NOMEM);
		} else {
			ck_assert(rc == 0 && rc2 == 0);
		}
	}
	ck_assert_uint_gt(oom_failures(), 20);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("responses_client");

	UNIT_ADD(s, fields);
	UNIT_ADD(s, others);
	UNIT_ADD(s, items);
	UNIT_ADD(s, refused_fields);
	UNIT_ADD(s, refused_items);
	UNIT_ADD(s, stream);
	UNIT_ADD(s, round_trip);
	UNIT_ADD(s, object);
	UNIT_ADD(s, error);
	UNIT_ADD(s, hidden);
	UNIT_ADD(s, no_memory);
	UNIT_ADD(s, no_memory_to_read);
	return unit_run(s);
}
