/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the Anthropic dialect, streamed and plain.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/client_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct error err;
static struct buf out;
static struct answer_opts opts;

static void
play(const char *script, bool stream)
{
	buf_release(&out);
	buf_init(&out, (size_t)64 << 20);
	opts.model = STR("mine");
	opts.id = STR("r1");
	opts.stream = stream;
	ck_assert_int_eq(client_kit_play(&codec_anthropic_client, &opts,
			     str_of(script), &out),
	    0);
}

static bool
has(const char *text)
{
	return strstr(buf_cstr(&out), text) != NULL;
}

/* The text is there n times. */
static void
count(const char *text, int n)
{
	const char *p = buf_cstr(&out);
	int seen = 0;

	while ((p = strstr(p, text)) != NULL) {
		p++;
		seen++;
	}
	ck_assert_msg(seen == n, "%d of %s in %s", seen, text, buf_cstr(&out));
}

/* Where the text is; it must be. */
static size_t
at(const char *text)
{
	const char *p = strstr(buf_cstr(&out), text);

	ck_assert_msg(p != NULL, "no %s in %s", text, buf_cstr(&out));
	return (size_t)(p - out.data);
}

#define DELTA(i, d)                                                      \
	"event: content_block_delta\ndata: {\"type\":"                   \
	"\"content_block_delta\",\"index\":" i ",\"delta\":{\"type\":" d \
	"}}\n\n"
#define START(i, b)                                    \
	"event: content_block_start\ndata: {\"type\":" \
	"\"content_block_start\",\"index\":" i         \
	",\"content_block\":{\"type\":" b "}}\n\n"
#define STOP(i)                                       \
	"event: content_block_stop\ndata: {\"type\":" \
	"\"content_block_stop\",\"index\":" i "}\n\n"

START_TEST(test_stream_text)
{
	size_t end;

	play("start x gpt\nblock 0.0 text\ndelta 0.0 a\\n\ndelta 0.0 b\n"
	     "stop 0.0\nfinish 0 stop stop\nusage 3 4\nend\n",
	    true);
	ck_assert(str_starts(buf_str(&out),
	    STR("event: message_start\ndata: {\"type\":\"message_start\","
		"\"message\":{\"id\":\"msg_r1\",\"type\":\"message\","
		"\"role\":\"assistant\",\"model\":\"mine\",\"content\":[],"
		"\"stop_reason\":null,\"stop_sequence\":null,")));
	end = at(START("0", "\"text\",\"text\":\"\"")
		DELTA("0", "\"text_delta\",\"text\":\"a\\n\"")
		    DELTA("0", "\"text_delta\",\"text\":\"b\"") STOP(
			"0") "event: message_delta\ndata: {\"type\":"
			     "\"message_delta\",\"delta\":{\"stop_reason\":"
			     "\"end_turn\",\"stop_sequence\":null,"
			     "\"stop_details\":null},\"usage\":"
			     "{\"input_tokens\":3,");
	ck_assert_uint_gt(end, 0);
	ck_assert(has("\"output_tokens\":4,"));
	ck_assert(str_ends(buf_str(&out),
	    STR("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")));
}
END_TEST

START_TEST(test_stream_start_usage)
{
	play("start x y\nusage 9 2\nblock 0.0 text\n", true);
	ck_assert(has("\"usage\":{\"input_tokens\":9,"));
	ck_assert(has("\"output_tokens\":2,"));
	count("message_start\n", 1);
	/* nothing is known yet: nothing is written */
	play("start x y\nusage 9 2\n", true);
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(test_stream_interleaved)
{
	play("start x y\nblock 0.0 call c1 f\nblock 0.1 call c2 g\n"
	     "delta 0.1 {\\\"b\\\":\ndelta 0.0 {\\\"a\\\":1\n"
	     "delta 0.1 2}\ndelta 0.0 }\nstop 0.1\nblock 0.2 text\n"
	     "delta 0.2 after\nstop 0.0\nstop 0.2\nfinish 0 tool_calls t\n"
	     "end\n",
	    true);
	(void)at(START("0", "\"tool_use\",\"id\":\"c1\",\"name\":\"f\","
			    "\"input\":{}") DELTA("0",
	    "\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1\"") DELTA("0",
	    "\"input_json_delta\",\"partial_json\":\"}\"") STOP("0") START("1",
	    "\"tool_use\",\"id\":\"c2\",\"name\":\"g\","
	    "\"input\":{}") DELTA("1", "\"input_json_delta\",\"partial_json\":"
				       "\"{\\\"b\\\":2}\"") STOP("1")
		START("2", "\"text\",\"text\":\"\"")
		    DELTA("2", "\"text_delta\",\"text\":\"after\"") STOP("2"));
	ck_assert(has("\"stop_reason\":\"tool_use\""));
}
END_TEST

START_TEST(test_stream_ids_and_signatures)
{
	play("start x y\nblock 0.0 call - f\nsig 0.0 c2ln\ndelta 0.0 {}\n"
	     "stop 0.0\nblock 0.1 call - g\ndelta 0.1 {}\nsig 0.1 bGF0\n"
	     "stop 0.1\nblock 0.2 text\ndelta 0.2 t\nsig 0.2 dHh0\nstop 0.2\n"
	     "finish 0 stop stop\nend\n",
	    true);
	ck_assert(has("\"id\":\"toolu_r1_0\",\"name\":\"f\",\"input\":{},"
		      "\"signature\":\"c2ln\"}"));
	ck_assert(has("\"id\":\"toolu_r1_1\",\"name\":\"g\",\"input\":{}}"));
	ck_assert(has("\"index\":1,\"delta\":{\"type\":\"signature_delta\","
		      "\"signature\":\"bGF0\"}"));
	ck_assert(has("\"index\":2,\"delta\":{\"type\":\"signature_delta\","
		      "\"signature\":\"dHh0\"}"));
	count("signature_delta", 2);
	/* "stop" with calls is tool_use here */
	ck_assert(has("\"stop_reason\":\"tool_use\""));
}
END_TEST

#define THOUGHT                                                            \
	"start x y\nblock 0.0 thinking\ndelta 0.0 hm\ndelta 0.0 m\n"       \
	"sig 0.0 c2ln\nstop 0.0\nblock 0.1 thinking\ndelta 0.1 unsigned\n" \
	"stop 0.1\nblock 0.2 redacted\nsig 0.2 ZW5j\nstop 0.2\n"           \
	"block 0.3 text\ndelta 0.3 t\nstop 0.3\nfinish 0 stop stop\nend\n"

START_TEST(test_thinking)
{
	opts.show_thinking = true;
	play(THOUGHT, true);
	(void)at(START("0", "\"thinking\",\"thinking\":\"\",\"signature\":\"\"")
		DELTA("0", "\"thinking_delta\",\"thinking\":\"hm\"")
		    DELTA("0", "\"thinking_delta\",\"thinking\":\"m\"")
			DELTA("0", "\"signature_delta\",\"signature\":\"c2ln\"")
			    STOP("0"));
	ck_assert(has("unsigned"));
	(void)at(
	    START("2", "\"redacted_thinking\",\"data\":\"ZW5j\"") STOP("2"));
	play(THOUGHT, false);
	ck_assert(has("\"content\":[{\"type\":\"thinking\",\"thinking\":"
		      "\"hmm\",\"signature\":\"c2ln\"},{\"type\":"
		      "\"thinking\",\"thinking\":\"unsigned\",\"signature\":"
		      "\"\"},{\"type\":\"redacted_thinking\",\"data\":"
		      "\"ZW5j\"},{\"type\":\"text\",\"text\":\"t\"}]"));
	/* not asked for: only what is signed */
	opts.show_thinking = false;
	play(THOUGHT, true);
	ck_assert(!has("unsigned"));
	(void)at(DELTA("0", "\"thinking_delta\",\"thinking\":\"hmm\"")
		DELTA("0", "\"signature_delta\",\"signature\":\"c2ln\""));
	(void)at(START("2", "\"text\",\"text\":\"\""));
	play(THOUGHT, false);
	ck_assert(!has("unsigned"));
}
END_TEST

START_TEST(test_plain)
{
	opts.show_thinking = true;
	play("start x y\nblock 0.0 call c1 f\nblock 0.1 text\ndelta 0.1 t\n"
	     "delta 0.0 {\\\"a\\\":\\n \\\"\\\\n\\\"}\nstop 0.1\nstop 0.0\n"
	     "block 0.2 text\nstop 0.2\nblock 0.3 call c2 g\nstop 0.3\n"
	     "usage 5 6\nfinish 0 stop_sequence s END\nend\n",
	    false);
	ck_assert_int_eq(json_validate(buf_str(&out), NULL, &err), 0);
	ck_assert(str_starts(buf_str(&out),
	    STR("{\"id\":\"msg_r1\",\"type\":\"message\",\"role\":"
		"\"assistant\",\"model\":\"mine\",\"content\":[{\"type\":"
		"\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":"
		"{\"a\":  \"\\n\"}},{\"type\":\"text\",\"text\":\"t\"},"
		"{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"g\","
		"\"input\":{}}],\"stop_reason\":\"stop_sequence\","
		"\"stop_sequence\":\"END\",\"stop_details\":null,\"usage\":"
		"{\"input_tokens\":5,")));
}
END_TEST

START_TEST(test_plain_bad_arguments)
{
	static const char *const args[] = {"{\\\"a\\\":", "[1]", "\\\"x\\\"",
	    "{\\\"a\\\":1,\\\"a\\\":2}", "\\ud83d\\ude00"};
	char script[256], want[256];
	size_t i;

	for (i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		snprintf(script, sizeof(script),
		    "start x y\nblock 0.0 call c f\ndelta 0.0 %s\nstop 0.0\n"
		    "end\n",
		    args[i]);
		snprintf(want, sizeof(want),
		    "\"input\":{\"_raw_arguments\":\"%s\"}", args[i]);
		play(script, false);
		(void)at(want);
		ck_assert_int_eq(json_validate(buf_str(&out), NULL, &err), 0);
	}
	play("start x y\nblock 0.0 call c f\ndelta 0.0 \\n \nstop 0.0\nend\n",
	    false);
	ck_assert(has("\"input\":{}"));
}
END_TEST

START_TEST(test_finish)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
	    {"stop stop", "\"end_turn\""},
	    {"length length", "\"max_tokens\""},
	    {"length model_context_window_exceeded",
		"\"model_context_window_exceeded\""},
	    {"content_filter SAFETY", "\"refusal\""},
	    {"pause pause_turn", "\"pause_turn\""},
	    {"other x", "\"end_turn\""},
	};
	char script[128], want[128];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(script, sizeof(script),
		    "start x y\nfinish 0 %s\nend\n", rows[i].line);
		snprintf(
		    want, sizeof(want), "\"stop_reason\":%s", rows[i].want);
		play(script, i % 2 == 0);
		(void)at(want);
	}
	play("start x y\nblock 0.0 refusal\ndelta 0.0 no\nstop 0.0\n"
	     "finish 0 stop stop\nend\n",
	    true);
	ck_assert(has("\"text_delta\",\"text\":\"no\""));
	ck_assert(has("\"stop_reason\":\"refusal\""));
}
END_TEST

START_TEST(test_errors)
{
	play("start x y\nblock 0.0 text\ndelta 0.0 t\n"
	     "error 503 x Slow \\\"down\\\"\ndelta 0.0 u\nend\n",
	    true);
	ck_assert(str_ends(buf_str(&out),
	    STR("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
		"\"overloaded_error\",\"message\":\"Slow "
		"\\\"down\\\"\"}}\n\n")));
	play("error 429 x\n", true);
	ck_assert(str_starts(buf_str(&out), STR("event: error\n")));
	ck_assert(has("\"rate_limit_error\",\"message\":\"The provider"));
	play("start x y\nerror 500 x m\n", false);
	ck_assert_str_eq(buf_cstr(&out),
	    "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
	    "\"message\":\"m\"}}");
}
END_TEST

START_TEST(test_odd_streams)
{
	/* choices other than the first, media, log probabilities */
	play("start x y\nblock 1.0 text\ndelta 1.0 second\nstop 1.0\n"
	     "block 0.0 image - image/png\ndelta 0.0 aGk\ndelta 0.0 =\n"
	     "logprobs 0.0 [{\"token\":\"a\"}]\nstop 0.0\nfinish 1 length l\n"
	     "finish 0 stop stop\nend\n",
	    true);
	ck_assert(!has("second"));
	(void)at(START("0",
	    "\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
	    "\"image/png\",\"data\":\"aGk=\"}") STOP("0"));
	ck_assert(has("end_turn"));
	/* empty blocks leave no trace; blocks left open are closed */
	play("start x y\nblock 0.0 text\nstop 0.0\nblock 0.1 text\n"
	     "delta 0.1 t\nend\n",
	    true);
	count("event: content_block_start", 1);
	(void)at(STOP("0"));
	/* unknown blocks are ignored */
	play("start x y\ndelta 0.7 t\nsig 0.7 s\nstop 0.7\nend\n", true);
	count("event: content", 0);
}
END_TEST

START_TEST(test_bounds)
{
	struct answer_writer *w;
	struct ir_event ev = {.type = IR_EV_BLOCK_START, .part = IR_TEXT};
	int rc = 0;

	buf_release(&out);
	buf_init(&out, (size_t)64 << 20);
	opts.stream = true;
	w = codec_anthropic_client.begin(&opts, &out);
	for (ev.block = 0; ev.block < 100000 && rc == 0; ev.block++)
		rc = codec_anthropic_client.event(w, &ev);
	ck_assert_int_eq(rc, ERR_TOO_LARGE);
	codec_anthropic_client.free(w);
	/* the caller's buffer is full */
	buf_release(&out);
	buf_init(&out, 100);
	ck_assert_int_eq(client_kit_play(&codec_anthropic_client, &opts,
			     STR("start x y\nend\n"), &out),
	    ERR_TOO_LARGE);
	codec_anthropic_client.free(NULL);
}
END_TEST

#define OOM_SCRIPT                                                        \
	THOUGHT_OPEN "block 0.4 call c f\ndelta 0.4 {\\\"a\\\":1}\n"      \
		     "block 0.5 call - g\nsig 0.5 c2ln\ndelta 0.5 oops\n" \
		     "stop 0.5\nstop 0.4\nusage 1 2\n"                    \
		     "finish 0 stop_sequence s END\nend\n"
#define THOUGHT_OPEN                                                  \
	"start x y\nblock 0.0 thinking\ndelta 0.0 hm\nsig 0.0 c2ln\n" \
	"stop 0.0\nblock 0.1 redacted\nsig 0.1 ZW5j\nstop 0.1\n"      \
	"block 0.2 text\ndelta 0.2 t\nstop 0.2\n"

START_TEST(test_out_of_memory)
{
	int i, rc;

	buf_release(&out);
	opts.model = STR("mine");
	opts.id = STR("r1");
	for (i = 0; i < 3; i++) {
		opts.stream = i < 2;
		opts.json_array = i == 1;
		EACH_OOM
		{
			buf_init(&out, (size_t)1 << 20);
			rc = client_kit_play_good(&codec_anthropic_client,
			    &opts, STR(OOM_SCRIPT), &out);
			if (oom_hit())
				ck_assert_int_eq(rc, ERR_NOMEM);
			else
				ck_assert_int_eq(rc, 0);
			buf_release(&out);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("anthropic_client_write");
	int rc;

	UNIT_ADD(s, test_stream_text);
	UNIT_ADD(s, test_stream_start_usage);
	UNIT_ADD(s, test_stream_interleaved);
	UNIT_ADD(s, test_stream_ids_and_signatures);
	UNIT_ADD(s, test_thinking);
	UNIT_ADD(s, test_plain);
	UNIT_ADD(s, test_plain_bad_arguments);
	UNIT_ADD(s, test_finish);
	UNIT_ADD(s, test_errors);
	UNIT_ADD(s, test_odd_streams);
	UNIT_ADD(s, test_bounds);
	UNIT_ADD(s, test_out_of_memory);
	rc = unit_run(s);
	buf_release(&out);
	return rc;
}
