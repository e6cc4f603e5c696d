/* SPDX-License-Identifier: Apache-2.0 */
/* Chat completions: requests of clients, and answers to them. */
#include "tests/unit/agent/answer_script.h"
#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/agent/ir_text.h"

#define C	(&codec_openai_chat_client)
#define U	"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define UL	"user [text text=hi @messages[0].content]\n"
#define B(rest) "{\"model\":\"m\"," U "," rest "}"
#define M(list) "{\"model\":\"m\",\"messages\":[" list "]}"

START_TEST(fields)
{
	ir_text_expect(C,
	    B("\"stream\":true,\"stream_options\":{\"include_usage\":true,"
	      "\"include_obfuscation\":true},\"max_tokens\":7,"
	      "\"max_completion_tokens\":5,\"temperature\":0.70,\"top_p\":1,"
	      "\"top_k\":4,\"n\":2,\"seed\":42,\"stop\":[\"a\",\"\",\"b\\n\"],"
	      "\"frequency_penalty\":0.5,\"presence_penalty\":0.0,"
	      "\"logit_bias\":{\"5\":-1},\"logprobs\":true,"
	      "\"top_logprobs\":3,\"reasoning_effort\":\"high\","
	      "\"verbosity\":\"low\",\"user\":\"old\","
	      "\"safety_identifier\":\"new\",\"service_tier\":\"flex\","
	      "\"metadata\":{\"a\":\"b\"},\"parallel_tool_calls\":false,"
	      "\"tool_choice\":\"required\",\"modalities\":[\"text\"],"
	      "\"store\":false,\"prediction\":null"),
	    " model=m stream=1 include_usage=1 choice=any parallel=0"
	    " max_output=7 n=2 temperature=0.70 top_p=1 top_k=4 frequency=0.5"
	    " seed=42 stop=a stop=b\\n effort=high show_thinking=1 logprobs=1"
	    " top_logprobs=3 user=new metadata={\"a\":\"b\"} tier=flex"
	    " verbosity=low logit_bias={\"5\":-1}\n" UL);
	ir_text_expect(C,
	    B("\"safety_identifier\":\"new\",\"user\":\"old\","
	      "\"stop\":\"x\",\"service_tier\":\"auto\",\"max_tokens\":null,"
	      "\"reasoning_effort\":\"none\",\"metadata\":{},"
	      "\"logit_bias\":{},\"tools\":null"),
	    " model=m stop=x effort=none user=new\n" UL);
}
END_TEST

START_TEST(others)
{
	ir_text_expect(C,
	    B("\"store\":true,\"modalities\":[\"text\",\"audio\"],"
	      "\"audio\":{\"voice\":\"a\"},\"prediction\":{\"type\":"
	      "\"content\"},\"web_search_options\":{},"
	      "\"prompt_cache_key\":\"k\",\"stream_options\":{\"odd\":1},"
	      "\"tools\":[{\"type\":\"custom\",\"custom\":{}}],"
	      "\"tool_choice\":{\"type\":\"allowed_tools\"},\"x\":0"),
	    " model=m\n" UL "other store\nother modalities\nother audio\n"
	    "other prediction\nother web_search_options\n"
	    "other prompt_cache_key\n"
	    "other stream_options.odd\nother tools[0]\nother tool_choice\n"
	    "other x\n");
	ir_text_expect(C,
	    M("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	      "\"a\",\"odd\":true}],\"weight\":1},{\"role\":\"assistant\","
	      "\"content\":\"b\",\"audio\":{\"id\":\"a\"},\"annotations\":"
	      "[1]}"),
	    " model=m\n"
	    "user [text text=a @messages[0].content[0]]\n"
	    "assistant [text text=b @messages[1].content]\n"
	    "other messages[0].content[0].odd\nother messages[0].weight\n"
	    "other messages[1].audio\n");
}
END_TEST

START_TEST(parts)
{
	ir_text_expect(C,
	    M("{\"role\":\"developer\",\"content\":\"d\"},"
	      "{\"role\":\"system\",\"name\":\"s\",\"content\":[{\"type\":"
	      "\"text\",\"text\":\"s1\",\"prompt_cache_breakpoint\":"
	      "{\"mode\":\"explicit\"}},{\"type\":\"text\",\"text\":\"s2\","
	      "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]},"
	      "{\"role\":\"user\",\"name\":\"bob\",\"content\":["
	      "{\"type\":\"image_url\",\"image_url\":{\"url\":"
	      "\"data:image\\/png;base64,iVB\\/\",\"detail\":\"low\"}},"
	      "{\"type\":\"image_url\",\"image_url\":{\"url\":"
	      "\"https://a/b.png\"}},"
	      "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklG\","
	      "\"format\":\"wav\"}},"
	      "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
	      "\"file_data\":\"data:application/pdf;base64,JVBE\"}},"
	      "{\"type\":\"file\",\"file\":{\"filename\":\"b.pdf\","
	      "\"file_data\":\"JVBE\"}},"
	      "{\"type\":\"file\",\"file\":{\"file_id\":\"f-1\"}},"
	      "{\"type\":\"image_url\",\"image_url\":{\"url\":"
	      "\"data:application/pdf;a=b;base64,JVBE\"}},"
	      "{\"type\":\"video_url\",\"video_url\":{\"url\":"
	      "\"gs://b/v\"}}]}"),
	    " model=m\n"
	    "developer [text text=d @messages[0].content]\n"
	    "system name=s [text text=s1 cache=1 @messages[1].content[0]]"
	    " [text text=s2 cache=2 @messages[1].content[1]]\n"
	    "user name=bob [image mime=image/png data=iVB/ detail=low"
	    " @messages[2].content[0]]"
	    " [image url=https://a/b.png @messages[2].content[1]]"
	    " [audio mime=audio/wav data=UklG @messages[2].content[2]]"
	    " [document mime=application/pdf data=JVBE filename=a.pdf"
	    " @messages[2].content[3]]"
	    " [document mime=application/pdf data=JVBE filename=b.pdf"
	    " @messages[2].content[4]]"
	    " [document file=f-1 @messages[2].content[5]]"
	    " [document mime=application/pdf data=JVBE"
	    " @messages[2].content[6]]"
	    " [video url=gs://b/v @messages[2].content[7]]\n");
}
END_TEST

START_TEST(tools)
{
	ir_text_expect(C,
	    B("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
	      "\"description\":\"d\",\"parameters\":{\"type\":\"object\"},"
	      "\"strict\":true},\"cache_control\":{\"type\":\"ephemeral\"}},"
	      "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}],"
	      "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
	      "\"g\"}}"),
	    " model=m choice=tool choice_name=g\n" UL
	    "tool name=f description=d schema={\"type\":\"object\"} strict=1"
	    " cache=1\ntool name=g\n");
	/* the forms before tools */
	ir_text_expect(C,
	    "{\"model\":\"m\",\"functions\":[{\"name\":\"f\",\"parameters\":"
	    "{}}],\"function_call\":{\"name\":\"f\"},\"messages\":["
	    "{\"role\":\"assistant\",\"content\":null,\"function_call\":"
	    "{\"name\":\"f\",\"arguments\":\"{}\"}},"
	    "{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}]}",
	    " model=m choice=tool choice_name=f\n"
	    "assistant [call id=call_071c55a94b4b0bc9134128e6 name=f args={}"
	    " @messages[0].function_call]\n"
	    "user [result id=call_071c55a94b4b0bc9134128e6 name=f [text text=r"
	    " @messages[1].content] @messages[1].content]\n"
	    "tool name=f\n");
}
END_TEST

START_TEST(turns)
{
	ir_text_expect(C,
	    M("{\"role\":\"user\",\"content\":\"q\"},"
	      "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":["
	      "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
	      "\"f\",\"arguments\":\" {\\\"a\\\":\\\"\\\\u00e9\\\"} \"}},"
	      "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":"
	      "\"g\",\"arguments\":\"\"},\"extra_content\":{\"google\":"
	      "{\"thought_signature\":\"S\"}}}],\"refusal\":null,"
	      "\"reasoning_content\":\"hm\",\"reasoning_signature\":\"R\"},"
	      "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"1\"},"
	      "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":["
	      "{\"type\":\"text\",\"text\":\"2\"}]},"
	      "{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
	      "\"refusal\":\"no\"}],\"refusal\":\"never\"},"
	      "{\"role\":\"assistant\",\"content\":\"x\",\"thinking_blocks\":["
	      "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},"
	      "{\"type\":\"redacted_thinking\",\"data\":\"d\"}],"
	      "\"reasoning_content\":\"lost\",\"extra_content\":{\"google\":"
	      "{\"thought_signature\":\"T\"}}}"),
	    " model=m\n"
	    "user [text text=q @messages[0].content]\n"
	    "assistant [thinking text=hm sig=R"
	    " @messages[1].reasoning_content]"
	    " [call id=c1 name=f args={\"a\":\"\\u00e9\"}"
	    " @messages[1].tool_calls[0].function]"
	    " [call id=c2 name=g args={} sig=S"
	    " @messages[1].tool_calls[1].function]\n"
	    "user [result id=c1 name=f [text text=1 @messages[2].content]"
	    " @messages[2].content]"
	    " [result id=c2 name=g [text text=2 @messages[3].content[0]]"
	    " @messages[3].content]\n"
	    "assistant [refusal text=no @messages[4].content[0]]"
	    " [refusal text=never @messages[4].refusal]\n"
	    "assistant [thinking text=t sig=s @messages[5].thinking_blocks[0]]"
	    " [redacted sig=d @messages[5].thinking_blocks[1]]"
	    " [text text=x sig=T @messages[5].content]\n");
}
END_TEST

START_TEST(formats)
{
	ir_text_expect(C, B("\"response_format\":{\"type\":\"text\"}"),
	    " model=m format=text\n" UL);
	ir_text_expect(C, B("\"response_format\":{\"type\":\"json_object\"}"),
	    " model=m format=json\n" UL);
	ir_text_expect(C,
	    B("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
	      "{\"name\":\"n\",\"description\":\"d\",\"strict\":false,"
	      "\"schema\":{\"type\":\"object\"}}}"),
	    " model=m format=schema format_name=n format_description=d"
	    " format_schema={\"type\":\"object\"} format_strict=0\n" UL);
}
END_TEST

#define REFUSE(rest, field)   ir_text_refuse(C, B(rest), ERR_INVALID, field)
#define REFUSE_M(list, field) ir_text_refuse(C, M(list), ERR_INVALID, field)
#define REFUSE_P(part, field)                                  \
	REFUSE_M("{\"role\":\"user\",\"content\":[" part "]}", \
	    "messages[0].content[0]" field)

START_TEST(refused_fields)
{
	ir_text_refuse(C, "[]", ERR_INVALID, "");
	ir_text_refuse(C, "{" U "}", ERR_INVALID, "model");
	ir_text_refuse(C, "{\"model\":\"m\"}", ERR_INVALID, "messages");
	ir_text_refuse(C, "{\"model\":3," U "}", ERR_INVALID, "model");
	REFUSE("\"stream\":1", "stream");
	REFUSE("\"stream_options\":1", "stream_options");
	REFUSE("\"stream_options\":{\"include_usage\":1}",
	    "stream_options.include_usage");
	REFUSE("\"max_tokens\":0", "max_tokens");
	REFUSE("\"max_completion_tokens\":1.5", "max_completion_tokens");
	REFUSE("\"temperature\":\"1\"", "temperature");
	REFUSE("\"top_p\":[]", "top_p");
	REFUSE("\"n\":129", "n");
	REFUSE("\"seed\":\"a\"", "seed");
	REFUSE("\"stop\":1", "stop");
	REFUSE("\"stop\":[1]", "stop");
	REFUSE("\"logit_bias\":[]", "logit_bias");
	REFUSE("\"logprobs\":1", "logprobs");
	REFUSE("\"top_logprobs\":21", "top_logprobs");
	REFUSE("\"frequency_penalty\":\"\"", "frequency_penalty");
	REFUSE("\"reasoning_effort\":\"huge\"", "reasoning_effort");
	REFUSE("\"verbosity\":1", "verbosity");
	REFUSE("\"metadata\":[]", "metadata");
	REFUSE("\"user\":1", "user");
	REFUSE("\"service_tier\":1", "service_tier");
	REFUSE("\"parallel_tool_calls\":\"\"", "parallel_tool_calls");
}
END_TEST

START_TEST(refused_tools)
{
	REFUSE("\"tools\":{}", "tools");
	REFUSE("\"tools\":[1]", "tools[0]");
	REFUSE("\"tools\":[{}]", "tools[0].type");
	REFUSE("\"tools\":[{\"type\":\"function\"}]", "tools[0].function");
	REFUSE("\"tools\":[{\"type\":\"function\",\"function\":{}}]",
	    "tools[0].function.name");
	REFUSE("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
	       "\"a\",\"parameters\":1}}]",
	    "tools[0].function.parameters");
	REFUSE("\"functions\":[{}]", "functions[0].name");
	REFUSE("\"tool_choice\":\"x\"", "tool_choice");
	REFUSE("\"tool_choice\":{}", "tool_choice.type");
	REFUSE("\"tool_choice\":{\"type\":\"function\"}",
	    "tool_choice.function.name");
	REFUSE("\"function_call\":{}", "function_call.name");
	REFUSE("\"response_format\":1", "response_format");
	REFUSE("\"response_format\":{}", "response_format.type");
	REFUSE("\"response_format\":{\"type\":\"x\"}", "response_format.type");
	REFUSE("\"response_format\":{\"type\":\"json_schema\"}",
	    "response_format.json_schema");
	REFUSE("\"response_format\":{\"type\":\"json_schema\","
	       "\"json_schema\":{}}",
	    "response_format.json_schema.schema");
}
END_TEST

START_TEST(refused_messages)
{
	ir_text_refuse(
	    C, "{\"model\":\"m\",\"messages\":{}}", ERR_INVALID, "messages");
	REFUSE_M("", "messages");
	REFUSE_M("1", "messages[0]");
	REFUSE_M("{}", "messages[0].role");
	REFUSE_M("{\"role\":\"king\"}", "messages[0].role");
	REFUSE_M("{\"role\":\"user\"}", "messages[0].content");
	REFUSE_M("{\"role\":\"user\",\"content\":1}", "messages[0].content");
	REFUSE_M(
	    "{\"role\":\"tool\",\"content\":\"\"}", "messages[0].tool_call_id");
	REFUSE_M("{\"role\":\"assistant\",\"tool_calls\":1}",
	    "messages[0].tool_calls");
	REFUSE_M("{\"role\":\"assistant\",\"tool_calls\":[{\"type\":"
		 "\"custom\"}]}",
	    "messages[0].tool_calls[0].type");
	REFUSE_M("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}",
	    "messages[0].tool_calls[0].function.name");
	REFUSE_M("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":"
		 "{\"name\":\"f\",\"arguments\":\"{\"}}]}",
	    "messages[0].tool_calls[0].function.arguments");
	REFUSE_M("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":"
		 "{\"name\":\"f\",\"arguments\":\"[]\"}}]}",
	    "messages[0].tool_calls[0].function.arguments");
	REFUSE_M("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":"
		 "{\"name\":\"f\",\"arguments\":{}}}]}",
	    "messages[0].tool_calls[0].function.arguments");
}
END_TEST

START_TEST(refused_parts)
{
	REFUSE_P("1", ".type");
	REFUSE_P("{}", ".type");
	REFUSE_P("{\"type\":\"odd\"}", ".type");
	REFUSE_P("{\"type\":\"text\"}", ".text");
	REFUSE_P("{\"type\":\"text\",\"text\":{}}", ".text");
	REFUSE_P("{\"type\":\"image_url\",\"image_url\":{}}", ".image_url");
	REFUSE_P("{\"type\":\"image_url\",\"image_url\":{\"url\":"
		 "\"data:image/png,abc\"}}",
	    ".image_url");
	REFUSE_P("{\"type\":\"image_url\",\"image_url\":{\"url\":"
		 "\"data:image/png;base64,a b\"}}",
	    ".image_url");
	REFUSE_P("{\"type\":\"input_audio\",\"input_audio\":{}}",
	    ".input_audio.format");
	REFUSE_P("{\"type\":\"input_audio\",\"input_audio\":{\"format\":"
		 "\"wav\"}}",
	    ".input_audio.data");
	REFUSE_P("{\"type\":\"file\",\"file\":{}}", ".file");
	REFUSE_P("{\"type\":\"text\",\"text\":\"\",\"cache_control\":1}",
	    ".cache_control");
}
END_TEST

START_TEST(too_many)
{
	struct buf b;
	unsigned i;

	buf_init(&b, 1 << 20);
	(void)buf_addz(&b, "{\"model\":\"m\",\"messages\":[");
	for (i = 0; i <= IR_MAX_MESSAGES; i++)
		(void)buf_addf(
		    &b, "%s{\"role\":\"user\",\"content\":\"\"}", i ? "," : "");
	(void)buf_addz(&b, "]}");
	ir_text_refuse(C, buf_cstr(&b), ERR_TOO_LARGE, "");
	buf_release(&b);
}
END_TEST

/* What is read, written for a provider of the same dialect and read again is
 * the same request. */
START_TEST(round_trip)
{
	static const char body[] =
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":"
	    "{\"include_usage\":true},\"max_completion_tokens\":9,"
	    "\"temperature\":0.5,\"stop\":[\"a\",\"b\"],\"seed\":3,"
	    "\"top_logprobs\":2,\"logprobs\":true,\"verbosity\":\"low\","
	    "\"reasoning_effort\":\"low\",\"parallel_tool_calls\":false,"
	    "\"metadata\":{\"a\":\"b\"},\"tool_choice\":\"required\","
	    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"description\":\"d\",\"parameters\":{\"type\":\"object\"},"
	    "\"strict\":true}}],\"messages\":["
	    "{\"role\":\"developer\",\"content\":\"d\"},"
	    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	    "\"a\\n\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
	    "\"data:image/png;base64,AAAA\",\"detail\":\"low\"}},"
	    "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\","
	    "\"format\":\"mp3\"}},{\"type\":\"file\",\"file\":{\"filename\":"
	    "\"a.pdf\",\"file_data\":\"data:application/pdf;base64,AAAA\"}}]},"
	    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":"
	    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
	    "\"{\\\"x\\\":\\\"\\\\u00e9\\\"}\"}}]},"
	    "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}]}";
	struct write_opts o = {.client = CARRY_C_CHAT, .model = STR("m")};
	struct ir_request r, again;
	struct buf out, want, got;
	struct error e = {0};
	struct arena a, a2;

	buf_init(&out, 1 << 20);
	buf_init(&want, 1 << 20);
	buf_init(&got, 1 << 20);
	codec_kit_read(C, str_of(body), &a, &r);
	ck_assert_msg(codec_openai_chat_provider.write(&r, &o, &out, &e) == 0,
	    "%s: %s", e.field, e.text);
	codec_kit_read(C, buf_str(&out), &a2, &again);
	ir_text(&want, &r);
	ir_text(&got, &again);
	ck_assert_str_eq(buf_cstr(&got), buf_cstr(&want));
	buf_release(&out);
	buf_release(&want);
	buf_release(&got);
	arena_release(&a);
	arena_release(&a2);
}
END_TEST

/* ---- answers ---- */

#define HEAD(object)                                                        \
	"{\"id\":\"chatcmpl-r1\",\"object\":\"" object "\",\"created\":17," \
	"\"model\":\"m-1\",\"choices\":["
#define CHUNK(delta)                                                          \
	"data: " HEAD(                                                        \
	    "chat.completion.chunk") "{\"index\":0,\"delta\":{" delta         \
				     "},\"logprobs\":null,\"finish_reason\":" \
				     "null}]}\n\n"
#define USAGE                                                                 \
	"{\"prompt_tokens\":20,\"completion_tokens\":10,\"total_tokens\":30," \
	"\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0}," \
	"\"completion_tokens_details\":{\"reasoning_tokens\":0,"              \
	"\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"                \
	"\"rejected_prediction_tokens\":0}}"
#define ROLE_TEXT "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"
#define ROLE_NULL "\"role\":\"assistant\",\"content\":null,\"refusal\":null"

static const struct answer_opts streamed = {.model = {"gpt", 3},
    .id = {"r1", 2},
    .created_s = 17,
    .stream = true,
    .show_thinking = true};
static const struct answer_opts plain = {.model = {"gpt", 3},
    .id = {"r1", 2},
    .created_s = 17,
    .show_thinking = true};

/* With usage asked for. */
#define UCHUNK(delta, logprobs, finish)                               \
	"data: " HEAD(                                                \
	    "chat.completion.chunk") "{\"index\":0,\"delta\":{" delta \
				     "},\"logprobs\":" logprobs       \
				     ",\"finish_reason\":" finish     \
				     "}],\"usage\":null}\n\n"
static const char streamed_text[] = UCHUNK(ROLE_TEXT, "null", "null")
    UCHUNK("\"content\":\"a\\n\"", "null", "null")
	UCHUNK("", "{\"content\":[{\"token\":\"a\"}],\"refusal\":null}", "null")
	    UCHUNK("", "null", "\"length\"") "data: " HEAD(
		"chat.completion.chunk") "],\"usage\":" USAGE
					 "}\n\ndata: [DONE]\n\n";

START_TEST(stream_text)
{
	struct answer_opts o = streamed;
	struct script s;

	o.include_usage = true;
	script_begin(&s, C, &o);
	START(&s);
	OPEN(&s, 0, IR_TEXT);
	DELTA(&s, 0, IR_TEXT, "a\\n");
	SAY(&s, .type = IR_EV_LOGPROBS, .json = STR("[{\"token\":\"a\"}]"));
	STOP(&s, 0);
	FINISH(&s, IR_FINISH_LENGTH);
	script_end(&s, streamed_text);
}
END_TEST

#define END_CHUNK(word)                                                       \
	"data: " HEAD("chat.completion.chunk") "{\"index\":0,\"delta\":{},"   \
					       "\"logprobs\":null,\"finish_"  \
					       "reason\":\"" word "\"}]}\n\n" \
					       "data: [DONE]\n\n"

START_TEST(stream_calls)
{
	struct script s;

	script_begin(&s, C, &streamed);
	START(&s);
	CALL(&s, 0, "c1", "f");
	CALL(&s, 1, "", "g");
	DELTA(&s, 0, IR_TOOL_CALL, "{\\\"a\\\":1}");
	SIGN(&s, 1, "S");
	STOP(&s, 0);
	STOP(&s, 1);
	FINISH(&s, IR_FINISH_STOP);
	script_end(&s,
	    CHUNK(ROLE_NULL
		",\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":"
		"\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
		"\"\"}}]")
		CHUNK("\"tool_calls\":[{\"index\":1,\"id\":\"call_r1_0_1\","
		      "\"type\":\"function\",\"function\":{\"name\":\"g\","
		      "\"arguments\":\"\"}}]")
		    CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{"
			  "\"arguments\":"
			  "\"{\\\"a\\\":1}\"}}]")
			CHUNK("\"tool_calls\":[{\"index\":1,\"extra_content\":{"
			      "\"google\":"
			      "{\"thought_signature\":\"S\"}},"
			      "\"function\":{\"arguments\":\"\"}}]")
			    CHUNK("\"tool_calls\":[{\"index\":1,\"function\":{"
				  "\"arguments\":"
				  "\"{}\"}}]") END_CHUNK("tool_calls"));
}
END_TEST

static void
say_thinking(struct script *s)
{
	START(s);
	OPEN(s, 0, IR_THINKING);
	DELTA(s, 0, IR_THINKING, "t1");
	DELTA(s, 0, IR_THINKING, "t2");
	SIGN(s, 0, "S");
	STOP(s, 0);
	OPEN(s, 1, IR_REDACTED);
	SIGN(s, 1, "D");
	STOP(s, 1);
	OPEN(s, 2, IR_REFUSAL);
	DELTA(s, 2, IR_REFUSAL, "no");
	STOP(s, 2);
	FINISH(s, IR_FINISH_CONTENT_FILTER);
}

#define BLOCK1 \
	"{\"type\":\"thinking\",\"thinking\":\"t1t2\",\"signature\":\"S\"}"
#define BLOCK2 "{\"type\":\"redacted_thinking\",\"data\":\"D\"}"

START_TEST(stream_thinking)
{
	struct answer_opts o = streamed;
	struct script s;

	script_begin(&s, C, &o);
	say_thinking(&s);
	script_end(&s,
	    CHUNK(ROLE_TEXT) CHUNK("\"reasoning_content\":\"t1\"")
		CHUNK("\"reasoning_content\":\"t2\"")
		    CHUNK("\"reasoning_signature\":\"S\"")
			CHUNK("\"thinking_blocks\":[" BLOCK1 "]")
			    CHUNK("\"thinking_blocks\":[" BLOCK1 "," BLOCK2 "]")
				CHUNK("\"refusal\":\"no\"")
				    END_CHUNK("content_filter"));
	o.show_thinking = false;
	script_begin(&s, C, &o);
	say_thinking(&s);
	script_end(&s, CHUNK(ROLE_TEXT) CHUNK("\"refusal\":\"no\"")
			   END_CHUNK("content_filter"));
}
END_TEST

START_TEST(stream_media)
{
	struct script s;

	script_begin(&s, C, &streamed);
	START(&s);
	SAY(&s, .type = IR_EV_BLOCK_START, .part = IR_IMAGE,
	    .name = STR("image/png"));
	DELTA(&s, 0, IR_IMAGE, "iV");
	DELTA(&s, 0, IR_IMAGE, "BO");
	STOP(&s, 0);
	FINISH(&s, IR_FINISH_STOP);
	script_end(&s,
	    CHUNK(ROLE_TEXT) CHUNK(
		"\"images\":[{\"index\":0,\"type\":\"image_url\","
		"\"image_url\":{\"url\":\"data:image/png;base64,iVBO\"}}]")
		END_CHUNK("stop"));
}
END_TEST

START_TEST(stream_error)
{
	struct script s;

	script_begin(&s, C, &streamed);
	START(&s);
	OPEN(&s, 0, IR_TEXT);
	SAY(&s, .type = IR_EV_ERROR, .status = 529, .text = STR("o\\\"h"),
	    .native = STR("overloaded_error"));
	SAY(&s, .type = IR_EV_USAGE, .usage = &s.usage);
	script_end(&s,
	    CHUNK(
		ROLE_TEXT) "data: {\"error\":{\"message\":\"o\\\"h\","
			   "\"type\":\"server_error\",\"param\":null,\"code\":"
			   "\"overloaded_error\"}}\n\n");
}
END_TEST

START_TEST(stream_nothing)
{
	struct script s;

	script_begin(&s, C, &streamed);
	START(&s);
	SAY(&s, .type = IR_EV_END);
	SAY(&s, .type = IR_EV_END);
	script_end(&s,
	    "data: " HEAD(
		"chat.completion.chunk") "{\"index\":0,\"delta\":{" ROLE_TEXT
					 "},\"logprobs\":null,\"finish_"
					 "reason\":\"stop\"}]}\n\n"
					 "data: [DONE]\n\n");
}
END_TEST

START_TEST(plain_all)
{
	struct script s;

	script_begin(&s, C, &plain);
	START(&s);
	OPEN(&s, 0, IR_THINKING);
	DELTA(&s, 0, IR_THINKING, "t");
	SIGN(&s, 0, "S");
	STOP(&s, 0);
	OPEN(&s, 1, IR_TEXT);
	DELTA(&s, 1, IR_TEXT, "a");
	SAY(&s, .type = IR_EV_LOGPROBS, .block = 1, .json = STR("[1]"));
	DELTA(&s, 1, IR_TEXT, "b");
	SAY(&s, .type = IR_EV_LOGPROBS, .block = 1, .json = STR("[2,3]"));
	STOP(&s, 1);
	CALL(&s, 2, "c1", "f");
	CALL(&s, 3, "c2", "g");
	DELTA(&s, 3, IR_TOOL_CALL, "{}");
	DELTA(&s, 2, IR_TOOL_CALL, "{\\\"a\\\":1}");
	STOP(&s, 2);
	STOP(&s, 3);
	memcpy(s.usage.tier, "priority+us", 12);
	FINISH(&s, IR_FINISH_TOOL_CALLS);
	script_is_json(&s);
	script_end(&s,
	    HEAD("chat.completion") "{\"index\":0,\"message\":{\"role\":"
				    "\"assistant\",\"content\":\"ab\","
				    "\"refusal\":null,"
				    "\"annotations\":[],\"reasoning_content\":"
				    "\"t\","
				    "\"reasoning_signature\":\"S\",\"tool_"
				    "calls\":[{\"id\":\"c1\","
				    "\"type\":\"function\",\"function\":{"
				    "\"name\":\"f\",\"arguments\":"
				    "\"{\\\"a\\\":1}\"}},{\"id\":\"c2\","
				    "\"type\":\"function\","
				    "\"function\":{\"name\":\"g\","
				    "\"arguments\":\"{}\"}}]},"
				    "\"logprobs\":{\"content\":[1,2,3],"
				    "\"refusal\":null},"
				    "\"finish_reason\":\"tool_calls\"}],"
				    "\"usage\":" USAGE
				    ",\"service_tier\":\"priority\"}");
}
END_TEST

START_TEST(plain_choices)
{
	struct script s;

	script_begin(&s, C, &plain);
	SAY(&s, .type = IR_EV_START, .id = STR("x"));
	SAY(&s, .type = IR_EV_BLOCK_START, .choice = 1, .part = IR_TEXT);
	SAY(&s, .type = IR_EV_DELTA, .choice = 1, .text = STR("one"));
	SAY(&s, .type = IR_EV_BLOCK_STOP, .choice = 1);
	SAY(&s, .type = IR_EV_FINISH, .choice = 1, .finish = IR_FINISH_STOP);
	SAY(&s, .type = IR_EV_FINISH, .choice = 0, .finish = IR_FINISH_LENGTH);
	SAY(&s, .type = IR_EV_END);
	script_is_json(&s);
	script_end(&s,
	    "{\"id\":\"chatcmpl-r1\",\"object\":\"chat.completion\","
	    "\"created\":17,\"model\":\"gpt\",\"choices\":["
	    "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"\","
	    "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
	    "\"finish_reason\":\"length\"},"
	    "{\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":"
	    "\"one\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
	    "\"finish_reason\":\"stop\"}]}");
}
END_TEST

START_TEST(plain_too_large)
{
	static char mib[1 << 20];
	struct ir_event ev = {.type = IR_EV_BLOCK_START, .part = IR_TEXT};
	struct script s;
	int i, rc = 0;

	memset(mib, 'x', sizeof(mib));
	script_begin(&s, C, &plain);
	START(&s);
	script_event(&s, ev);
	ev.type = IR_EV_DELTA;
	ev.text = str_make(mib, sizeof(mib));
	for (i = 0; i < 70 && rc == 0; i++)
		rc = C->event(s.w, &ev);
	ck_assert_int_eq(rc, ERR_TOO_LARGE);
	ck_assert_int_eq(i, 65);
	ev.block = 5; /* never started */
	ck_assert_int_eq(C->event(s.w, &ev), ERR_INTERNAL);
	script_end(&s, "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("openai_chat_client");

	UNIT_ADD(s, fields);
	UNIT_ADD(s, others);
	UNIT_ADD(s, parts);
	UNIT_ADD(s, tools);
	UNIT_ADD(s, turns);
	UNIT_ADD(s, formats);
	UNIT_ADD(s, refused_fields);
	UNIT_ADD(s, refused_tools);
	UNIT_ADD(s, refused_messages);
	UNIT_ADD(s, refused_parts);
	UNIT_ADD(s, too_many);
	UNIT_ADD(s, round_trip);
	UNIT_ADD(s, stream_text);
	UNIT_ADD(s, stream_calls);
	UNIT_ADD(s, stream_thinking);
	UNIT_ADD(s, stream_media);
	UNIT_ADD(s, stream_error);
	UNIT_ADD(s, stream_nothing);
	UNIT_ADD(s, plain_all);
	UNIT_ADD(s, plain_choices);
	UNIT_ADD(s, plain_too_large);
	return unit_run(s);
}
