/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the Gemini dialect as SSE, as a JSON array and plain.
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
play(const char *script, bool stream, bool array)
{
	buf_release(&out);
	buf_init(&out, (size_t)64 << 20);
	opts.model = STR("mine");
	opts.id = STR("r1");
	opts.stream = stream;
	opts.json_array = array;
	ck_assert_int_eq(
	    client_kit_play(&codec_gemini_client, &opts, str_of(script), &out),
	    0);
	if (!stream || array)
		ck_assert_msg(json_validate(buf_str(&out), NULL, &err) == 0,
		    "%s: %s", err.text, buf_cstr(&out));
}

static void
starts(const char *want)
{
	ck_assert_msg(
	    str_starts(buf_str(&out), str_of(want)), "%s", buf_cstr(&out));
}

static void
has(const char *text)
{
	ck_assert_msg(strstr(buf_cstr(&out), text) != NULL, "no %s in %s", text,
	    buf_cstr(&out));
}

static void
has_not(const char *text)
{
	ck_assert_msg(
	    strstr(buf_cstr(&out), text) == NULL, "%s", buf_cstr(&out));
}

#define PART(p)                                                      \
	"{\"candidates\":[{\"content\":{\"parts\":[" p "],\"role\":" \
	"\"model\"},\"index\":0}]"
#define TAIL ",\"modelVersion\":\"mine\",\"responseId\":\"r1\"}"
#define LAST                                                                  \
	"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],"         \
	"\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"        \
	"\"usageMetadata\":{\"promptTokenCount\":3,"                          \
	"\"candidatesTokenCount\":4,\"totalTokenCount\":7,"                   \
	"\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":3}]," \
	"\"candidatesTokensDetails\":[{\"modality\":\"TEXT\","                \
	"\"tokenCount\":4}]}" TAIL
#define TEXT                                                       \
	"start x y\nblock 0.0 text\ndelta 0.0 a\\n\ndelta 0.0 b\n" \
	"stop 0.0\nfinish 0 stop stop\nusage 3 4\nend\n"

START_TEST(test_stream)
{
	play(TEXT, true, false);
	ck_assert_str_eq(buf_cstr(&out),
	    "data: " PART("{\"text\":\"a\\n\"}") TAIL "\r\n\r\ndata: " PART(
		"{\"text\":\"b\"}") TAIL "\r\n\r\ndata: " LAST "\r\n\r\n");
	play(TEXT, true, true);
	ck_assert_str_eq(buf_cstr(&out), "[" PART("{\"text\":\"a\\n\"}") TAIL
	    ",\r\n" PART("{\"text\":\"b\"}") TAIL ",\r\n" LAST "]\r\n");
	/* running usage */
	play("start x y\nusage 9 1\nblock 0.0 text\ndelta 0.0 a\n"
	     "delta 0.0 b\n",
	    true, false);
	has("\"promptTokenCount\":9");
	ck_assert_ptr_null(
	    strstr(strstr(buf_cstr(&out), "usageMetadata") + 1, "usageMeta"));
}
END_TEST

#define PARTS                                                              \
	"start x y\nblock 0.0 thinking\ndelta 0.0 h\ndelta 0.0 m\n"        \
	"sig 0.0 c2ln\nstop 0.0\nblock 0.1 thinking\ndelta 0.1 bare\n"     \
	"stop 0.1\nblock 0.2 redacted\nsig 0.2 ZW5j\nstop 0.2\n"           \
	"block 0.3 call c1 f\nblock 0.4 call - g\ndelta 0.4 {\\\"b\\\":\n" \
	"delta 0.3 {\\\"a\\\":\\n1}\nsig 0.3 Y2Fs\ndelta 0.4 2}\n"         \
	"stop 0.4\nstop 0.3\nblock 0.5 text\nsig 0.5 dHh0\nstop 0.5\n"     \
	"block 0.6 image - image/png\ndelta 0.6 aGk=\nstop 0.6\n"          \
	"block 0.7 call c f\ndelta 0.7 oops\nstop 0.7\n"                   \
	"finish 0 tool_calls x\nend\n"

START_TEST(test_stream_parts)
{
	opts.show_thinking = true;
	play(PARTS, true, false);
	starts("data: " PART("{\"text\":\"h\",\"thought\":true}") TAIL
	    "\r\n\r\ndata: " PART("{\"text\":\"m\",\"thought\":true}") TAIL
	    "\r\n\r\ndata: " PART("{\"text\":\"\",\"thought\":true,"
				  "\"thoughtSignature\":\"c2ln\"}") TAIL
	    "\r\n\r\ndata: " PART("{\"text\":\"bare\",\"thought\":true}") TAIL
	    "\r\n\r\ndata: " PART("{\"text\":\"\",\"thought\":true,"
				  "\"thoughtSignature\":"
				  "\"aGctcmVkYWN0ZW5j\"}") TAIL
	    "\r\n\r\ndata: " PART("{\"functionCall\":{\"name\":\"g\","
				  "\"args\":{\"b\":2}}}") TAIL
	    "\r\n\r\ndata: " PART("{\"functionCall\":{\"id\":\"c1\",\"name\":"
				  "\"f\",\"args\":{\"a\": 1}},"
				  "\"thoughtSignature\":\"Y2Fs\"}") TAIL
	    "\r\n\r\ndata: " PART("{\"text\":\"\",\"thoughtSignature\":"
				  "\"dHh0\"}") TAIL
	    "\r\n\r\ndata: " PART("{\"inlineData\":{\"mimeType\":"
				  "\"image/png\",\"data\":\"aGk=\"}}") TAIL
	    "\r\n\r\ndata: " PART("{\"functionCall\":{\"id\":\"c\",\"name\":"
				  "\"f\",\"args\":{\"_raw_arguments\":"
				  "\"oops\"}}}") TAIL);
	has("\"finishReason\":\"STOP\"");
	opts.show_thinking = false;
	play(PARTS, true, false);
	starts("data: " PART("{\"text\":\"hm\",\"thought\":true,"
			     "\"thoughtSignature\":\"c2ln\"}") TAIL
	    "\r\n\r\ndata: " PART("{\"text\":\"\",\"thought\":true,"
				  "\"thoughtSignature\":"
				  "\"aGctcmVkYWN0ZW5j\"}") TAIL);
	has_not("bare");
}
END_TEST

START_TEST(test_plain)
{
	opts.show_thinking = true;
	play(PARTS, false, false);
	starts("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\","
	       "\"thought\":true,\"thoughtSignature\":\"c2ln\"},"
	       "{\"text\":\"bare\",\"thought\":true},{\"text\":\"\","
	       "\"thought\":true,\"thoughtSignature\":"
	       "\"aGctcmVkYWN0ZW5j\"},{\"functionCall\":{\"id\":\"c1\","
	       "\"name\":\"f\",\"args\":{\"a\": 1}},\"thoughtSignature\":"
	       "\"Y2Fs\"},{\"functionCall\":{\"name\":\"g\",\"args\":"
	       "{\"b\":2}}},");
	has("],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
	    "\"usageMetadata\":{");
	ck_assert(str_ends(buf_str(&out), STR(TAIL)));
	opts.show_thinking = false;
	play(PARTS, false, false);
	has_not("bare");
	/* nothing said at all */
	play("start x y\nfinish 0 length length\nend\n", false, false);
	starts("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],"
	       "\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\","
	       "\"index\":0}],");
}
END_TEST

START_TEST(test_signatures)
{
	play("start x y\nblock 0.0 call c f\nsig 0.0 sig_x\nstop 0.0\n"
	     "block 0.1 redacted\nsig 0.1 sig_x\nstop 0.1\n"
	     "block 0.2 text\ndelta 0.2 t\nsig 0.2 aGctcmVkYWN0\nstop 0.2\n"
	     "finish 0 stop s\nend\n",
	    false, false);
	has("\"args\":{}},\"thoughtSignature\":\"aGctb3BhcXVlc2lnX3g=\"}");
	has("\"thoughtSignature\":\"aGctcmVkYWN0aGctb3BhcXVlc2lnX3g=\"}");
	has("\"thoughtSignature\":\"aGctb3BhcXVlYUdjdGNtVmtZV04w\"}");
}
END_TEST

START_TEST(test_candidates)
{
	static const char script[] =
	    "start x y\nblock 0.0 text\nblock 1.0 text\ndelta 1.0 one\n"
	    "delta 0.0 zero\nblock 9.0 text\ndelta 9.0 nine\nstop 0.0\n"
	    "stop 1.0\nfinish 0 stop s\nfinish 1 length l\nend\n";

	play(script, true, false);
	starts("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
	       "\"one\"}],\"role\":\"model\"},\"index\":1}]");
	has("\"finishReason\":\"STOP\",\"index\":0},{\"content\":");
	has("\"finishReason\":\"MAX_TOKENS\",\"index\":1}]");
	has_not("nine");
	play(script, false, false);
	has("\"parts\":[{\"text\":\"zero\"}],\"role\":\"model\"},"
	    "\"finishReason\":\"STOP\",\"index\":0},{\"content\":{\"parts\":"
	    "[{\"text\":\"one\"}]");
}
END_TEST

START_TEST(test_blocked)
{
	play("start x y\nfinish 0 content_filter BLOCKLIST\nusage 5 0\nend\n",
	    true, false);
	starts("data: {\"promptFeedback\":{\"blockReason\":\"BLOCKLIST\"},"
	       "\"usageMetadata\":{\"promptTokenCount\":5,");
	has_not("candidates\"");
	play("start x y\nfinish 0 content_filter content_filter\nend\n", false,
	    false);
	starts("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},");
	/* something was said: a candidate that was cut */
	play("start x y\nblock 0.0 text\ndelta 0.0 a\nstop 0.0\n"
	     "finish 0 content_filter SAFETY\nend\n",
	    false, false);
	has("\"finishReason\":\"SAFETY\"");
	has_not("promptFeedback");
	play("start x y\nblock 0.0 refusal\ndelta 0.0 no\nstop 0.0\n"
	     "finish 0 stop stop\nend\n",
	    true, false);
	has("{\"text\":\"no\"}");
	has("\"finishReason\":\"SAFETY\"");
}
END_TEST

START_TEST(test_logprobs)
{
	play("start x y\nblock 0.0 text\ndelta 0.0 a\n"
	     "logprobs 0.0 [{\"token\":\"a\",\"logprob\":-0.5,"
	     "\"top_logprobs\":[{\"token\":\"b\",\"logprob\":-1}]}]\n"
	     "logprobs 0.0 []\n"
	     "logprobs 0.0 [{\"token\":\"c\",\"logprob\":0}]\nstop 0.0\n"
	     "finish 0 stop s\nend\n",
	    false, false);
	has("\"logprobsResult\":{\"topCandidates\":[{\"candidates\":"
	    "[{\"token\":\"b\",\"logProbability\":-1}]},{\"candidates\":[]}],"
	    "\"chosenCandidates\":[{\"token\":\"a\",\"logProbability\":-0.5},"
	    "{\"token\":\"c\",\"logProbability\":0}]}");
}
END_TEST

START_TEST(test_errors)
{
	static const char script[] =
	    "start x y\nblock 0.0 text\ndelta 0.0 a\nerror 529 o Slow\nend\n";

	play(script, true, false);
	ck_assert(str_ends(buf_str(&out),
	    STR("data: {\"error\":{\"code\":503,\"message\":\"Slow\","
		"\"status\":\"UNAVAILABLE\"}}\r\n\r\n")));
	play(script, true, true);
	ck_assert(str_ends(buf_str(&out),
	    STR(",\r\n{\"error\":{\"code\":503,\"message\":\"Slow\","
		"\"status\":\"UNAVAILABLE\"}}]\r\n")));
	play("error 429 x\n", true, true);
	ck_assert_str_eq(buf_cstr(&out),
	    "[{\"error\":{\"code\":429,\"message\":\"The provider failed\","
	    "\"status\":\"RESOURCE_EXHAUSTED\"}}]\r\n");
	play("start x y\nerror 7 x m\n", false, false);
	starts("{\"error\":{\"code\":500,\"message\":\"m\",\"status\":"
	       "\"INTERNAL\"}}");
}
END_TEST

START_TEST(test_bounds)
{
	struct answer_writer *w;
	struct ir_event ev = {.type = IR_EV_BLOCK_START, .part = IR_TEXT};
	int rc = 0;

	buf_release(&out);
	buf_init(&out, (size_t)64 << 20);
	w = codec_gemini_client.begin(&opts, &out);
	for (ev.block = 0; ev.block < 100000 && rc == 0; ev.block++)
		rc = codec_gemini_client.event(w, &ev);
	ck_assert_int_eq(rc, ERR_TOO_LARGE);
	codec_gemini_client.free(w);
	buf_release(&out);
	buf_init(&out, 50);
	ck_assert_int_eq(client_kit_play(&codec_gemini_client, &opts,
			     STR("start x y\nend\n"), &out),
	    ERR_TOO_LARGE);
	codec_gemini_client.free(NULL);
}
END_TEST

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
			rc = client_kit_play_good(
			    &codec_gemini_client, &opts, STR(PARTS), &out);
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
	Suite *s = suite_create("gemini_client_write");
	int rc;

	UNIT_ADD(s, test_stream);
	UNIT_ADD(s, test_stream_parts);
	UNIT_ADD(s, test_plain);
	UNIT_ADD(s, test_signatures);
	UNIT_ADD(s, test_candidates);
	UNIT_ADD(s, test_blocked);
	UNIT_ADD(s, test_logprobs);
	UNIT_ADD(s, test_errors);
	UNIT_ADD(s, test_bounds);
	UNIT_ADD(s, test_out_of_memory);
	rc = unit_run(s);
	buf_release(&out);
	return rc;
}
