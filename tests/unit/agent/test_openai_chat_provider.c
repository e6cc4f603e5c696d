/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI chat as a provider: requests that are written, answers that are read
 * however they are cut. */
#include "tests/unit/agent/codec_kit.h"
#include "tests/unit/support/unit.h"

static const struct codec_kit kit = {
    .provider = &codec_openai_chat_provider, .opts = {.stream = true}};

#define D(json) "data: " json "\n\n"
#define CH(delta)                                                     \
	D("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0," \
	  "\"delta\":" delta ",\"finish_reason\":null}],\"usage\":null}")
#define FIN(word)                                                     \
	D("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0," \
	  "\"delta\":{},"                                             \
	  "\"finish_reason\":\"" word "\"}],\"usage\":null}")
#define USE(i, o)                                                     \
	D("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[],\"usage\":{" \
	  "\"prompt_tokens\":" #i ",\"completion_tokens\":" #o        \
	  ",\"total_tokens\":" #i "}}")
#define DONE D("[DONE]")

static void
expect(const char *body, int rc, const char *want)
{
	codec_kit_expect(&kit, str_of(body), rc, want);
}

START_TEST(text_stream)
{
	expect(CH("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}")
		   CH("{\"content\":\"Hi \\ud83d\\ude00\"}")
		       CH("{\"content\":\"\xe2\x80\xa8\\\"you\\\"\"}")
			   FIN("stop") USE(5, 7) DONE D("{\"junk\":"),
	    0,
	    "start c1 m\nblock 0.0 text\n"
	    "delta 0.0 Hi \\ud83d\\ude00\ndelta 0.0 \xe2\x80\xa8\\\"you\\\"\n"
	    "stop 0.0\nfinish 0 stop stop\nusage 5 7\nend\n");
	/* Comments, CR and CRLF, no [DONE], no last line end. */
	expect(": OPENROUTER PROCESSING\r\n\r\n\n\ndata:{\"id\":\"c1\",\r\n"
	       "data:\"model\":\"m\",\"choices\":[{\"index\":0,\r\n"
	       "data: \"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
	       "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,"
	       "\"finish_reason\":\"length\"}]}",
	    0,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 a\nstop 0.0\n"
	    "finish 0 length length\nend\n");
}
END_TEST

START_TEST(tools_stream)
{
	expect(CH("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
		  "\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":"
		  "{\"name\":\"f\",\"arguments\":\"\"}}]}")
		   CH("{\"tool_calls\":[{\"index\":0,\"function\":{"
		      "\"arguments\":\"{\\\"x\\\":\"}}]}")
		       CH("{\"tool_calls\":[{\"index\":1,\"id\":\"b\","
			  "\"function\":{"
			  "\"name\":\"g\",\"arguments\":\"\"}}]}")
			   CH("{\"tool_calls\":[{\"index\":0,\"function\":{"
			      "\"arguments\":\"1}\"}}]}") FIN("tool_calls")
			       DONE,
	    0,
	    "start c1 m\nblock 0.0 call a f\ndelta 0.0 {\\\"x\\\":\n"
	    "block 0.1 call b g\ndelta 0.0 1}\nstop 0.0\n"
	    "delta 0.1 {}\nstop 0.1\nfinish 0 tool_calls tool_calls\nend\n");
	/* Text, then calls that share an index; "stop" behind calls; the
	 * signature of Google's endpoint. */
	expect(
	    CH("{\"content\":\"t\"}") CH(
		"{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"extra_content\":"
		"{\"google\":{\"thought_signature\":\"sig\"}},\"function\":"
		"{\"name\":\"f\",\"arguments\":\"{}\"}},{\"index\":0,"
		"\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":"
		"{\"k\":\"v\"}}}]}") FIN("stop"),
	    0,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 t\nstop 0.0\n"
	    "block 0.1 call a f\nsig 0.1 sig\ndelta 0.1 {}\nstop 0.1\n"
	    "block 0.2 call b g\ndelta 0.2 {\\\"k\\\":\\\"v\\\"}\nstop 0.2\n"
	    "finish 0 tool_calls stop\nend\n");
	/* A call without an id; the deprecated form. */
	expect(CH("{\"tool_calls\":[{\"function\":{\"name\":\"f\","
		  "\"arguments\":\"{}\"}}]}") FIN("tool_calls"),
	    0,
	    "start c1 m\nblock 0.0 call call_071c55a94b4b0bc9134128e6 f\n"
	    "delta 0.0 {}\nstop 0.0\nfinish 0 tool_calls tool_calls\nend\n");
	expect(CH("{\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}}")
		   CH("{\"function_call\":{\"arguments\":\"}\"}}")
		       FIN("function_call"),
	    0,
	    "start c1 m\nblock 0.0 call call_071c55a94b4b0bc9134128e6 f\n"
	    "delta 0.0 {\ndelta 0.0 }\nstop 0.0\n"
	    "finish 0 tool_calls function_call\nend\n");
}
END_TEST

START_TEST(thinking_stream)
{
	expect(CH("{\"reasoning_content\":\"a\"}")
		   CH("{\"reasoning\":\"b\",\"reasoning_signature\":\"s\"}")
		       CH("{\"content\":\"c\"}") CH("{\"refusal\":\"d\"}")
			   FIN("stop") DONE,
	    0,
	    "start c1 m\nblock 0.0 thinking\ndelta 0.0 a\ndelta 0.0 b\n"
	    "sig 0.0 s\nstop 0.0\nblock 0.1 text\ndelta 0.1 c\nstop 0.1\n"
	    "block 0.2 refusal\ndelta 0.2 d\nstop 0.2\n"
	    "finish 0 stop stop\nend\n");
	/* Mistral's parts. */
	expect(CH("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{"
		  "\"type\":\"text\",\"text\":\"hm\"}]},{\"type\":\"text\","
		  "\"text\":\"ok\"}]}") FIN("stop"),
	    0,
	    "start c1 m\nblock 0.0 thinking\ndelta 0.0 hm\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 ok\nstop 0.1\nfinish 0 stop stop\n"
	    "end\n");
}
END_TEST

START_TEST(traps)
{
	/* Azure: empty first frame, no delta, frames behind the finish. */
	expect(
	    D("{\"id\":\"\",\"model\":\"\",\"prompt_filter_results\":[],"
	      "\"choices\":[],\"usage\":null}") CH("{\"content\":\"x\"}")
		D("{\"id\":\"\",\"model\":\"\",\"choices\":[{\"index\":0,"
		  "\"finish_reason\":null,\"content_filter_results\":{}}]}")
		    FIN("stop")
			D("{\"id\":\"\",\"choices\":[{\"index\":0,\"finish_"
			  "reason\":"
			  "\"content_filter\",\"content_filter_results\":{}}]}")
			    DONE,
	    0,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 x\nstop 0.0\n"
	    "finish 0 stop stop\nend\n");
	/* Running usage, two choices, a stop sequence. */
	expect(
	    D("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":1,"
	      "\"delta\":{\"content\":\"q\"}},{\"index\":0,\"delta\":{"
	      "\"content\":\"p\"}}],\"usage\":{\"prompt_tokens\":3,"
	      "\"completion_tokens\":1}}")
		D("{\"id\":\"c1\",\"choices\":[{\"index\":1,\"delta\":{},"
		  "\"finish_reason\":\"stop\",\"stop_reason\":\"END\"},{"
		  "\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
		  "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}"),
	    0,
	    "start c1 m\nblock 1.0 text\ndelta 1.0 q\nblock 0.0 text\n"
	    "delta 0.0 p\nusage 3 1\nstop 1.0\nfinish 1 stop stop END\n"
	    "stop 0.0\nfinish 0 stop stop\nusage 3 2\nend\n");
	/* Log probabilities. */
	expect(D("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,"
		 "\"delta\":{\"content\":\"x\"},\"logprobs\":{\"content\":[{"
		 "\"token\":\"x\",\"logprob\":-0.5}],\"refusal\":null}}]}")
		   FIN("stop"),
	    0,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 x\n"
	    "logprobs 0.0 [{\"token\":\"x\",\"logprob\":-0.5}]\nstop 0.0\n"
	    "finish 0 stop stop\nend\n");
	/* Usage of Groq; [DONE] without a finish reason. */
	expect(CH("{\"content\":\"x\"}")
		   D("{\"id\":\"c1\",\"choices\":[],\"x_groq\":{\"usage\":{"
		     "\"prompt_tokens\":1,\"completion_tokens\":2}}}") DONE,
	    0,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 x\nusage 1 2\nstop 0.0\n"
	    "finish 0 stop \nend\n");
}
END_TEST

START_TEST(cut_off)
{
	expect("", ERR_INVALID, "");
	expect("<html>busy</html>", ERR_INVALID, "");
	expect(DONE, ERR_INVALID, "");
	expect(CH("{\"content\":\"x\"}"), ERR_INVALID,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 x\n");
	expect(CH("{\"content\":\"x\"}") "data: {\"id", ERR_INVALID,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 x\n");
	expect(CH("{\"content\":\"x\"}") FIN("stop") "data: {\"id", 0,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 x\nstop 0.0\n"
	    "finish 0 stop stop\nend\n");
	expect(D("[1]"), ERR_INVALID, "");
	expect(D("{\"choices\":[{\"index\":128}]}"), ERR_INVALID, "start  \n");
}
END_TEST

START_TEST(errors)
{
	expect(CH("{\"content\":\"x\"}")
		   D("{\"error\":{\"message\":\"slow \\\"down\\\"\",\"type\":"
		     "\"rate_limit_error\",\"code\":null}}") FIN("stop") DONE,
	    0,
	    "start c1 m\nblock 0.0 text\ndelta 0.0 x\n"
	    "error 429 rate_limit_error slow \\\"down\\\"\n");
	expect(D("{\"object\":\"error\",\"message\":\"too long\",\"type\":"
		 "\"BadRequestError\",\"param\":null,\"code\":400}"),
	    0, "error 400 BadRequestError too long\n");
	expect(D("{\"error\":\"gone\"}"), 0, "error 500  gone\n");
	expect(D("{\"error\":{\"code\":\"502\",\"message\":\"\"}}"), 0,
	    "error 502 502 the provider reported an error\n");
	expect("{\"error\":{\"code\":529,\"message\":\"x\"}}", 0,
	    "error 529  x\n");
}
END_TEST

START_TEST(plain)
{
	/* Blank lines before the body; a plain answer where a stream was
	 * asked for. */
	expect(
	    "\n\r\n \n{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":"
	    "\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	    "\"assistant\",\"reasoning_content\":\"h\",\"content\":\"ab\","
	    "\"refusal\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":"
	    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},"
	    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\","
	    "\"arguments\":\"{\\\"x\\\":1}\"}}]},\"logprobs\":null,"
	    "\"finish_reason\":\"tool_calls\"},{\"index\":1,\"message\":{"
	    "\"content\":\"\"},\"finish_reason\":\"content_filter\"}],"
	    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,"
	    "\"total_tokens\":13},\"service_tier\":\"default\"}",
	    0,
	    "start c1 m\nblock 0.0 thinking\ndelta 0.0 h\nstop 0.0\n"
	    "block 0.1 text\ndelta 0.1 ab\nstop 0.1\nblock 0.2 call a f\n"
	    "block 0.3 call b g\ndelta 0.3 {\\\"x\\\":1}\n"
	    "delta 0.2 {}\nstop 0.2\nstop 0.3\nfinish 0 tool_calls "
	    "tool_calls\nfinish 1 content_filter content_filter\nusage 9 4\n"
	    "end\n");
	expect("{\"id\":\"c1\",\"choices\":[]}", ERR_INVALID, "start c1 \n");
	expect("{\"id\":\"c1\"", ERR_INVALID, "");
	/* Sound, in one answer with its transcript. */
	expect("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"message\":{"
	       "\"content\":null,\"audio\":{\"id\":\"au\",\"data\":\"AAAA\","
	       "\"transcript\":\"hi\"}},\"finish_reason\":\"stop\"}]}",
	    0,
	    "start c1 m\nblock 0.0 audio\ndelta 0.0 AAAA\nblock 0.1 text\n"
	    "delta 0.1 hi\nstop 0.1\nstop 0.0\nfinish 0 stop stop\nend\n");
}
END_TEST

START_TEST(limits)
{
	struct codec_kit k = kit;
	struct codec_seen seen;

	k.max_event = 40;
	codec_kit_run(&k, STR(CH("{\"content\":\"x\"}")), 1, 1, &seen);
	ck_assert_int_eq(seen.rc, ERR_TOO_LARGE);
	codec_seen_release(&seen);
	k.max_plain = 40;
	codec_kit_expect(&k,
	    STR("{\"id\":\"12345678901234567890123456789012345\"}"),
	    ERR_TOO_LARGE, "");
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
asked_init(struct asked *q)
{
	memset(q, 0, sizeof(*q));
	arena_init(&q->a, 4096, 1 << 20);
	ir_request_init(&q->r, &q->a);
	q->o = (struct write_opts){
	    .client = CARRY_C_ANTHROPIC, .model = STR("gpt"), .lost = &q->lost};
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
	codec_kit_write(&codec_openai_chat_provider, &q->r, &q->o, want, field);
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

	asked_init(&q);
	(void)add(&q, IR_SYSTEM, IR_TEXT, "s1");
	(void)add(&q, IR_SYSTEM, IR_TEXT, "s2");
	(void)add(&q, IR_DEVELOPER, IR_TEXT, "d");
	(void)add(&q, IR_USER, IR_TEXT, "a\\n\\\"b\\\"");
	p = add(&q, IR_USER, IR_IMAGE, "");
	p->data = STR("iVBORw0KGgo=");
	p->detail = STR("low");
	p = add(&q, IR_USER, IR_DOCUMENT, "");
	p->data = STR("JVBERi0=");
	p->filename = STR("x.pdf");
	p = add(&q, IR_USER, IR_AUDIO, "");
	p->mime = STR("audio/wav");
	p->data = STR("UklG");
	(void)add(&q, IR_ASSISTANT, IR_THINKING, "hm");
	(void)add(&q, IR_ASSISTANT, IR_TEXT, "ok");
	p = add(&q, IR_ASSISTANT, IR_TOOL_CALL, "");
	p->id = STR("c1");
	p->name = STR("f");
	p->args = STR("{\"x\": \"\\n\"}");
	p = add(&q, IR_ASSISTANT, IR_TOOL_CALL, "");
	p->name = STR("g");
	p = add(&q, IR_USER, IR_TOOL_RESULT, "");
	p->id = STR("c1");
	ir_add_result_part(&q.r, p, IR_TEXT)->text = STR("r1");
	ir_add_result_part(&q.r, p, IR_IMAGE)->url = STR("https://i/");
	(void)add(&q, IR_USER, IR_TEXT, "and");
	(void)ir_add_message(&q.r, IR_USER);
	p = add(&q, IR_USER, IR_TOOL_RESULT, "");
	p->name = STR("g");
	p->result_json = STR("{\"y\":1}");
	writes(&q,
	    "{\"model\":\"gpt\",\"messages\":[{\"role\":\"system\",\"content\":"
	    "[{\"type\":\"text\",\"text\":\"s1\"},{\"type\":\"text\",\"text\":"
	    "\"s2\"}]},{\"role\":\"developer\",\"content\":\"d\"},{\"role\":"
	    "\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	    "\"a\\n\\\"b\\\"\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
	    "\"data:image/png;base64,iVBORw0KGgo=\",\"detail\":\"low\"}},"
	    "{\"type\":\"file\",\"file\":{\"filename\":\"x.pdf\",\"file_data\":"
	    "\"data:application/pdf;base64,JVBERi0=\"}},{\"type\":"
	    "\"input_audio\",\"input_audio\":{\"data\":\"UklG\",\"format\":"
	    "\"wav\"}}]},{\"role\":\"assistant\",\"content\":\"ok\","
	    "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":"
	    "{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": \\\"\\\\n\\\"}\"}},"
	    "{\"id\":\"call_436c3a3609d9f579188bdc50\",\"type\":\"function\","
	    "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},{\"role\":"
	    "\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r1\"},{\"role\":"
	    "\"tool\",\"tool_call_id\":\"call_436c3a3609d9f579188bdc50\","
	    "\"content\":\"{\\\"y\\\":1}\"},{\"role\":\"user\",\"content\":[{"
	    "\"type\":\"image_url\",\"image_url\":{\"url\":\"https://i/\"}},"
	    "{\"type\":\"text\",\"text\":\"and\"}]}]}",
	    NULL);
	q.o.quirks = QUIRK_REASONING_CONTENT | QUIRK_NO_DEVELOPER;
	q.r.messages = q.r.messages->next;
	q.r.messages->next = q.r.messages->next->next;
	q.r.messages->next->next = NULL;
	writes(&q,
	    "{\"model\":\"gpt\",\"messages\":[{\"role\":\"system\",\"content\":"
	    "\"d\"},{\"role\":\"assistant\",\"content\":\"ok\","
	    "\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"c1\","
	    "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
	    "\"{\\\"x\\\": \\\"\\\\n\\\"}\"}},{\"id\":"
	    "\"call_436c3a3609d9f579188bdc50\",\"type\":\"function\","
	    "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}]}",
	    NULL);
	done(&q);
}
END_TEST

static void
ask_all(struct asked *q)
{
	struct ir_tool *t;

	asked_init(q);
	q->o.client = CARRY_C_CHAT;
	(void)add(q, IR_USER, IR_TEXT, "x");
	t = ir_add_tool(&q->r);
	t->name = STR("f");
	t->description = STR("d");
	t->schema = STR("{\"type\":\"object\"}");
	t->strict = 1;
	q->r.stream = true;
	q->r.choice = IR_CHOICE_TOOL;
	q->r.choice_name = STR("f");
	q->r.parallel = 0;
	q->r.max_output = 10;
	q->r.n = 2;
	q->r.temperature = STR("0.1");
	q->r.top_p = STR("1");
	q->r.frequency_penalty = STR("0.5");
	q->r.presence_penalty = STR("-1");
	q->r.seed = STR("7");
	q->r.n_stops = 1;
	q->r.stops[0] = STR("\\n");
	q->r.format = IR_FORMAT_SCHEMA;
	q->r.format_schema = STR("{}");
	q->r.format_strict = 1;
	q->r.effort = IR_EFFORT_LOW;
	q->r.logprobs = true;
	q->r.top_logprobs = 3;
	q->r.user = STR("u");
	q->r.metadata = STR("{\"a\":\"b\"}");
	q->r.service_tier = STR("flex");
	q->r.verbosity = STR("low");
	q->r.logit_bias = STR("{\"1\":5}");
}

START_TEST(write_all)
{
	struct asked q;

	ask_all(&q);
	writes(&q,
	    "{\"model\":\"gpt\",\"max_completion_tokens\":10,\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true},\"messages\":[{"
	    "\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":"
	    "\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
	    "\"parameters\":{\"type\":\"object\"},\"strict\":true}}],"
	    "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
	    "\"f\"}},\"parallel_tool_calls\":false,\"response_format\":{"
	    "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\","
	    "\"schema\":{},\"strict\":true}},\"temperature\":0.1,\"top_p\":1,"
	    "\"frequency_penalty\":0.5,\"presence_penalty\":-1,\"n\":2,"
	    "\"seed\":7,\"logprobs\":true,\"top_logprobs\":3,\"logit_bias\":{"
	    "\"1\":5},\"stop\":[\"\\n\"],\"reasoning_effort\":\"low\","
	    "\"service_tier\":\"flex\",\"user\":\"u\",\"metadata\":{\"a\":"
	    "\"b\"},\"verbosity\":\"low\"}",
	    NULL);
	q.o.quirks = QUIRK_NO_SEED;
	writes(&q, NULL, "seed");
	q.o.quirks = QUIRK_NO_STRICT;
	writes(&q, NULL, "tools[].function.strict");
	q.o.quirks = QUIRK_NO_PARALLEL;
	writes(&q, NULL, "parallel_tool_calls");
	q.o.quirks = QUIRK_NO_SERVICE_TIER;
	writes(&q, NULL, "service_tier");
	q.o.quirks = ~(uint64_t)0;
	q.o.lenient = true;
	q.o.max_output = 5;
	writes(&q,
	    "{\"model\":\"gpt\",\"max_tokens\":5,\"stream\":true,\"messages\":"
	    "[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":"
	    "\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
	    "\"parameters\":{\"type\":\"object\"}}}],\"tool_choice\":{\"type\":"
	    "\"function\",\"function\":{\"name\":\"f\"}},\"temperature\":0.1,"
	    "\"top_p\":1,\"frequency_penalty\":0.5,\"presence_penalty\":-1,"
	    "\"n\":2,\"logit_bias\":{\"1\":5},\"stop\":[\"\\n\"],\"metadata\":{"
	    "\"a\":\"b\"},\"verbosity\":\"low\"}",
	    NULL);
	ck_assert_str_eq(q.lost.text,
	    "tools[].function.strict, parallel_tool_calls, response_format, "
	    "seed, logprobs, reasoning_effort, service_tier, user");
	done(&q);
}
END_TEST

START_TEST(write_refused)
{
	struct ir_part *p;
	struct asked q;

	asked_init(&q);
	p = add(&q, IR_USER, IR_AUDIO, "");
	p->mime = STR("audio/flac");
	p->data = STR("AAAA");
	writes(&q, NULL, "messages[0].content[0]");
	p->type = IR_VIDEO;
	writes(&q, NULL, "messages[0].content[0]");
	p->type = IR_IMAGE;
	p->mime = STR("");
	writes(&q, NULL, "messages[0].content[0]");
	p->mime = STR("image/png");
	q.r.top_k = STR("4");
	writes(&q, NULL, "top_k");
	q.r.top_k = STR("");
	q.r.n_stops = 5;
	writes(&q, NULL, "stop_sequences");
	q.r.n_stops = 0;
	ck_assert_int_eq(ir_note_other(&q.r, "container"), 0);
	writes(&q, NULL, "container");
	q.r.n_others = 0;
	q.r.thinking_budget = 60000;
	q.r.service_tier = STR("standard_only");
	writes(&q,
	    "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":"
	    "[{\"type\":\"image_url\",\"image_url\":{\"url\":"
	    "\"data:image/png;base64,AAAA\"}}]}],\"reasoning_effort\":\"high\","
	    "\"service_tier\":\"default\"}",
	    NULL);
	done(&q);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("openai_chat_provider");

	UNIT_ADD(s, text_stream);
	UNIT_ADD(s, tools_stream);
	UNIT_ADD(s, thinking_stream);
	UNIT_ADD(s, traps);
	UNIT_ADD(s, cut_off);
	UNIT_ADD(s, errors);
	UNIT_ADD(s, plain);
	UNIT_ADD(s, limits);
	UNIT_ADD(s, write_messages);
	UNIT_ADD(s, write_all);
	UNIT_ADD(s, write_refused);
	return unit_run(s);
}
