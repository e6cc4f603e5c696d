/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of the Anthropic dialect: every field of their requests, the fields
 * that errors name, answers streamed and plain.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/client_kit.h"
#include "tests/unit/support/unit.h"

static struct arena arena;
static struct ir_request req;
static struct error err;

static int
try_read(const char *body)
{
	arena_release(&arena);
	arena_init(&arena, 4096, (size_t)64 << 20);
	ir_request_init(&req, &arena);
	memset(&err, 0, sizeof(err));
	ck_assert_msg(json_validate(str_of(body), NULL, &err) == 0, "%s: %s",
	    err.text, body);
	return codec_anthropic_client.read(
	    str_of(body), STR(""), false, &req, &err);
}

static void
good(const char *body)
{
	int rc = try_read(body);

	ck_assert_msg(rc == 0, "%d %s: %s", rc, err.field, err.text);
}

/* HEAD members */
#define HEAD "{\"model\":\"m\",\"max_tokens\":8"
#define USER ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void
with(const char *members)
{
	char body[4096];

	snprintf(body, sizeof(body), HEAD USER ",%s}", members);
	good(body);
}

/* One message's content. */
static struct ir_part *
content(const char *role, const char *blocks)
{
	char body[4096];

	snprintf(body, sizeof(body),
	    HEAD ",\"messages\":[{\"role\":\"%s\",\"content\":%s}]}", role,
	    blocks);
	good(body);
	return req.messages->parts;
}

static void
bad(const char *body, const char *field)
{
	int rc = try_read(body);

	ck_assert_msg(rc == ERR_INVALID, "%d: %s", rc, body);
	ck_assert_str_eq(err.field, field);
	ck_assert(err.text[0] != '\0');
}

static void
bad_with(const char *members, const char *field)
{
	char body[4096];

	snprintf(body, sizeof(body), HEAD USER ",%s}", members);
	bad(body, field);
}

static void
bad_content(const char *role, const char *blocks, const char *field)
{
	char body[4096];

	snprintf(body, sizeof(body),
	    HEAD ",\"messages\":[{\"role\":\"%s\",\"content\":%s}]}", role,
	    blocks);
	bad(body, field);
}

static void
other(const char *members, const char *name)
{
	with(members);
	ck_assert_msg(req.n_others == 1, "%s", members);
	ck_assert_str_eq(req.others[0], name);
}

START_TEST(test_read_head)
{
	good("{\"max_tokens\":1024,\"stream\":true,\"model\":\"cl\\u0061\","
	     "\"temperature\":0.1,\"top_p\":9e-1,\"top_k\":5,"
	     "\"stop_sequences\":[\"a\\n\",\"b\"],"
	     "\"metadata\":{\"user_id\":\"u-1\"},"
	     "\"service_tier\":\"standard_only\",\"system\":null,"
	     "\"anthropic_version\":\"x\",\"container\":null,"
	     "\"mcp_servers\":[],\"messages\":"
	     "[{\"role\":\"user\",\"content\":\"h\\u00e9\"}]}");
	ck_assert_slice_eq(req.model, "cl\\u0061");
	ck_assert_int_eq(req.max_output, 1024);
	ck_assert(req.stream && req.include_usage);
	ck_assert_slice_eq(req.temperature, "0.1");
	ck_assert_slice_eq(req.top_p, "9e-1");
	ck_assert_slice_eq(req.top_k, "5");
	ck_assert_uint_eq(req.n_stops, 2);
	ck_assert_slice_eq(req.stops[0], "a\\n");
	ck_assert_slice_eq(req.user, "u-1");
	ck_assert_slice_eq(req.service_tier, "standard_only");
	ck_assert_uint_eq(req.n_others, 0);
	ck_assert_uint_eq(req.n_messages, 1);
	ck_assert_int_eq(req.messages->role, IR_USER);
	ck_assert_slice_eq(req.messages->parts->text, "h\\u00e9");
	ck_assert_str_eq(req.messages->parts->field, "messages.0.content");
	ck_assert_int_eq(req.thinking_budget, -1);
	ck_assert_int_eq(req.parallel, -1);
	with("\"service_tier\":\"auto\"");
	ck_assert_uint_eq(req.service_tier.len, 0);
}
END_TEST

START_TEST(test_read_system)
{
	with("\"system\":\"be\"");
	ck_assert_uint_eq(req.n_messages, 2);
	ck_assert_int_eq(req.messages->role, IR_SYSTEM);
	ck_assert_slice_eq(req.messages->parts->text, "be");
	with("\"system\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
	     "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"text\","
	     "\"text\":\"b\",\"cache_control\":{\"type\":\"ephemeral\"}}]");
	ck_assert_int_eq(req.messages->parts->cache, IR_CACHE_1H);
	ck_assert_int_eq(req.messages->parts->next->cache, IR_CACHE_5M);
	ck_assert_str_eq(req.messages->parts->next->field, "system.1");
	good(HEAD ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
		  "{\"role\":\"system\",\"content\":\"y\"},"
		  "{\"role\":\"assistant\",\"content\":\"\"}]}");
	ck_assert_int_eq(req.messages->next->role, IR_SYSTEM);
	bad_with(
	    "\"system\":[{\"type\":\"image\",\"source\":{}}]", "system.0.type");
	bad_with("\"system\":7", "system");
}
END_TEST

START_TEST(test_read_media)
{
	struct ir_part *p;

	p = content("user",
	    "[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
	    "\"media_type\":\"image/png\",\"data\":\"aGk=\"}},"
	    "{\"type\":\"image\",\"source\":{\"type\":\"url\","
	    "\"url\":\"https://e/x\"},\"cache_control\":"
	    "{\"type\":\"ephemeral\"}},"
	    "{\"type\":\"image\",\"source\":{\"type\":\"file\","
	    "\"file_id\":\"f\"}}]");
	ck_assert_int_eq(p->type, IR_IMAGE);
	ck_assert_slice_eq(p->mime, "image/png");
	ck_assert_slice_eq(p->data, "aGk=");
	ck_assert_str_eq(p->field, "messages.0.content.0");
	ck_assert_slice_eq(p->next->url, "https://e/x");
	ck_assert_int_eq(p->next->cache, IR_CACHE_5M);
	ck_assert_slice_eq(p->next->next->file_id, "f");
	p = content("user",
	    "[{\"type\":\"document\",\"title\":\"t\",\"context\":\"c\","
	    "\"citations\":{\"enabled\":false},"
	    "\"source\":{\"type\":\"base64\",\"media_type\":"
	    "\"application/pdf\",\"data\":\"aGk=\"}},"
	    "{\"type\":\"document\",\"title\":\"t2\",\"source\":"
	    "{\"type\":\"text\",\"media_type\":\"text/plain\","
	    "\"data\":\"plain\"},\"cache_control\":"
	    "{\"type\":\"ephemeral\"}},"
	    "{\"type\":\"document\",\"source\":{\"type\":\"content\","
	    "\"content\":[{\"type\":\"text\",\"text\":\"i\"}]}},"
	    "{\"type\":\"document\",\"source\":{\"type\":\"content\","
	    "\"content\":\"s\"}}]");
	ck_assert_slice_eq(p->text, "c");
	p = p->next;
	ck_assert_int_eq(p->type, IR_DOCUMENT);
	ck_assert_slice_eq(p->filename, "t");
	ck_assert_slice_eq(p->mime, "application/pdf");
	p = p->next;
	ck_assert_slice_eq(p->text, "t2");
	ck_assert_int_eq(p->cache, IR_CACHE_NONE);
	p = p->next;
	ck_assert_slice_eq(p->text, "plain");
	ck_assert_int_eq(p->cache, IR_CACHE_5M);
	ck_assert_slice_eq(p->next->text, "i");
	ck_assert_slice_eq(p->next->next->text, "s");
	ck_assert_ptr_null(p->next->next->next);
	ck_assert_uint_eq(req.n_others, 0);
}
END_TEST

START_TEST(test_read_tools_used)
{
	struct ir_part *p;

	p = content("assistant",
	    "[{\"type\":\"thinking\",\"thinking\":\"hm\","
	    "\"signature\":\"sig==\"},"
	    "{\"type\":\"redacted_thinking\",\"data\":\"enc\"},"
	    "{\"type\":\"text\",\"text\":\"t\",\"citations\":null},"
	    "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\","
	    "\"input\":{\"a\":[1]},\"signature\":\"g\","
	    "\"caller\":{\"type\":\"direct\"}}]");
	ck_assert_int_eq(p->type, IR_THINKING);
	ck_assert_slice_eq(p->text, "hm");
	ck_assert_slice_eq(p->signature, "sig==");
	p = p->next;
	ck_assert_int_eq(p->type, IR_REDACTED);
	ck_assert_slice_eq(p->signature, "enc");
	p = p->next->next;
	ck_assert_int_eq(p->type, IR_TOOL_CALL);
	ck_assert_slice_eq(p->id, "c1");
	ck_assert_slice_eq(p->name, "f");
	ck_assert_slice_eq(p->args, "{\"a\":[1]}");
	ck_assert_slice_eq(p->signature, "g");
	ck_assert_uint_eq(req.n_others, 0);
	p = content("user",
	    "[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\","
	    "\"content\":\"r\",\"is_error\":true},"
	    "{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":"
	    "[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image\","
	    "\"source\":{\"type\":\"url\",\"url\":\"u\"}}],"
	    "\"cache_control\":{\"type\":\"ephemeral\"}},"
	    "{\"type\":\"tool_result\",\"tool_use_id\":\"c3\"}]");
	ck_assert_int_eq(p->type, IR_TOOL_RESULT);
	ck_assert(p->is_error);
	ck_assert_slice_eq(p->parts->text, "r");
	p = p->next;
	ck_assert_int_eq(p->cache, IR_CACHE_5M);
	ck_assert_int_eq(p->parts->next->type, IR_IMAGE);
	ck_assert_str_eq(
	    p->parts->next->field, "messages.0.content.1.content.1");
	ck_assert_ptr_null(p->next->parts);
}
END_TEST

START_TEST(test_read_tools)
{
	with("\"tools\":[{\"name\":\"f\",\"description\":\"d\","
	     "\"input_schema\":{\"type\":\"object\"},\"strict\":true,"
	     "\"cache_control\":{\"type\":\"ephemeral\"}},"
	     "{\"type\":\"custom\",\"name\":\"g\",\"input_schema\":{}}],"
	     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\","
	     "\"disable_parallel_tool_use\":true}");
	ck_assert_uint_eq(req.n_tools, 2);
	ck_assert_slice_eq(req.tools->name, "f");
	ck_assert_slice_eq(req.tools->description, "d");
	ck_assert_slice_eq(req.tools->schema, "{\"type\":\"object\"}");
	ck_assert_int_eq(req.tools->strict, 1);
	ck_assert_int_eq(req.tools->cache, IR_CACHE_5M);
	ck_assert_int_eq(req.tools->next->strict, -1);
	ck_assert_int_eq(req.choice, IR_CHOICE_TOOL);
	ck_assert_slice_eq(req.choice_name, "f");
	ck_assert_int_eq(req.parallel, 0);
	with("\"tool_choice\":{\"type\":\"any\","
	     "\"disable_parallel_tool_use\":false}");
	ck_assert_int_eq(req.choice, IR_CHOICE_ANY);
	ck_assert_int_eq(req.parallel, -1);
	with("\"tool_choice\":{\"type\":\"none\"}");
	ck_assert_int_eq(req.choice, IR_CHOICE_NONE);
	with("\"tool_choice\":{\"type\":\"auto\"}");
	ck_assert_int_eq(req.choice, IR_CHOICE_AUTO);
}
END_TEST

START_TEST(test_read_thinking)
{
	with("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}");
	ck_assert_int_eq(req.thinking_budget, 2048);
	ck_assert(req.show_thinking);
	with("\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}");
	ck_assert_int_eq(req.effort, IR_EFFORT_HIGH);
	ck_assert(!req.show_thinking);
	with("\"thinking\":{\"type\":\"adaptive\",\"display\":"
	     "\"summarized\"},\"output_config\":{\"effort\":\"low\"}");
	ck_assert_int_eq(req.effort, IR_EFFORT_LOW);
	ck_assert(req.show_thinking);
	with("\"thinking\":{\"type\":\"disabled\"}");
	ck_assert_int_eq(req.thinking_budget, 0);
	ck_assert(!req.show_thinking);
	with("\"output_config\":{\"effort\":\"max\",\"format\":{\"type\":"
	     "\"json_schema\",\"schema\":{\"type\":\"object\"}}}");
	ck_assert_int_eq(req.effort, IR_EFFORT_MAX);
	ck_assert_int_eq(req.format, IR_FORMAT_SCHEMA);
	ck_assert_slice_eq(req.format_schema, "{\"type\":\"object\"}");
	with("\"output_format\":{\"type\":\"json_schema\",\"schema\":{}}");
	ck_assert_int_eq(req.format, IR_FORMAT_SCHEMA);
}
END_TEST

START_TEST(test_read_auto_cache)
{
	with("\"cache_control\":{\"type\":\"ephemeral\"}");
	ck_assert_int_eq(req.messages->parts->cache, IR_CACHE_5M);
	bad_with("\"cache_control\":{\"type\":\"x\"}", "cache_control.type");
}
END_TEST

START_TEST(test_read_others)
{
	other("\"inference_geo\":\"us\"", "inference_geo");
	other("\"container\":\"c\"", "container");
	other("\"mcp_servers\":[{}]", "mcp_servers");
	other("\"context_management\":{\"edits\":[1]}", "context_management");
	other("\"metadata\":{\"x\":1}", "metadata.x");
	other("\"output_config\":{\"task_budget\":1}",
	    "output_config.task_budget");
	other("\"tools\":[{\"type\":\"web_search_20250305\","
	      "\"name\":\"web_search\"}]",
	    "tools.0.web_search_20250305");
	other("\"tools\":[{\"name\":\"f\",\"input_schema\":{},"
	      "\"defer_loading\":true}]",
	    "tools.0.defer_loading");
	(void)content("assistant",
	    "[{\"type\":\"server_tool_use\",\"id\":\"x\"},{\"type\":\"text\","
	    "\"text\":\"t\",\"citations\":[{}]}]");
	ck_assert_uint_eq(req.n_others, 2);
	ck_assert_str_eq(req.others[0], "messages.0.content.0.server_tool_use");
	ck_assert_str_eq(req.others[1], "messages.0.content.1.citations");
	(void)content("user",
	    "[{\"type\":\"document\",\"citations\":{\"enabled\":true},"
	    "\"source\":{\"type\":\"text\",\"data\":\"x\"}}]");
	ck_assert_str_eq(req.others[0], "messages.0.content.0.citations");
}
END_TEST

START_TEST(test_read_errors)
{
	bad("[]", "");
	bad("{}", "model");
	bad("{\"model\":\"\"}", "model");
	bad("{\"model\":\"m\"}", "max_tokens");
	bad("{\"model\":\"m\",\"max_tokens\":0}", "max_tokens");
	bad("{\"model\":\"m\",\"max_tokens\":1.5}", "max_tokens");
	bad("{\"model\":\"m\",\"max_tokens\":\"5\"}", "max_tokens");
	bad(HEAD "}", "messages");
	bad(HEAD ",\"messages\":{}}", "messages");
	bad(HEAD ",\"messages\":[]}", "messages");
	bad(HEAD ",\"messages\":[1]}", "messages.0");
	bad(HEAD ",\"messages\":[{\"content\":\"x\"}]}", "messages.0.role");
	bad(HEAD ",\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}",
	    "messages.0.role");
	bad(HEAD ",\"messages\":[{\"role\":\"user\"}]}", "messages.0.content");
	bad(HEAD ",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}",
	    "messages.0.content");
	bad(HEAD ",\"messages\":[{\"role\":\"assistant\",\"content\":[]},"
		 "{\"role\":\"user\",\"content\":\"x\"}]}",
	    "messages.0.content");
	bad_with("\"stream\":1", "stream");
	bad_with("\"temperature\":\"0\"", "temperature");
	bad_with("\"top_k\":0.5", "top_k");
	bad_with("\"stop_sequences\":\"x\"", "stop_sequences");
	bad_with("\"stop_sequences\":[1]", "stop_sequences");
	bad_with("\"metadata\":{\"user_id\":1}", "metadata.user_id");
	bad_with(
	    "\"thinking\":{\"type\":\"enabled\"}", "thinking.budget_tokens");
	bad_with("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9}",
	    "thinking.budget_tokens");
	bad_with("\"thinking\":{}", "thinking.type");
	bad_with("\"thinking\":{\"type\":\"adaptive\",\"display\":\"x\"}",
	    "thinking.display");
	bad_with("\"output_config\":{\"effort\":\"minimal\"}",
	    "output_config.effort");
	bad_with("\"output_config\":{\"format\":{\"type\":\"x\"}}",
	    "output_config.format.type");
	bad_with("\"output_config\":{\"format\":{\"type\":\"json_schema\"}}",
	    "output_config.format.schema");
	bad_with("\"tools\":[{\"name\":\"f\"}]", "tools.0.input_schema");
	bad_with("\"tools\":[{\"input_schema\":{}}]", "tools.0.name");
	bad_with("\"tools\":[7]", "tools.0");
	bad_with("\"tool_choice\":{\"type\":\"tool\"}", "tool_choice.name");
	bad_with("\"tool_choice\":{\"type\":\"x\"}", "tool_choice.type");
}
END_TEST

START_TEST(test_read_block_errors)
{
	bad_content("user", "[{}]", "messages.0.content.0.type");
	bad_content("user", "[\"x\"]", "messages.0.content.0");
	bad_content("user", "7", "messages.0.content");
	bad_content(
	    "user", "[{\"type\":\"text\"}]", "messages.0.content.0.text");
	bad_content("user", "[{\"type\":\"text\",\"text\":1}]",
	    "messages.0.content.0.text");
	bad_content("user",
	    "[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image\"}]",
	    "messages.0.content.1.source");
	bad_content("user",
	    "[{\"type\":\"image\",\"source\":{\"type\":\"base64\"}}]",
	    "messages.0.content.0.source.media_type");
	bad_content("user",
	    "[{\"type\":\"image\",\"source\":{\"type\":\"text\"}}]",
	    "messages.0.content.0.source.type");
	bad_content("user",
	    "[{\"type\":\"image\",\"source\":{\"type\":\"url\","
	    "\"url\":\"\"}}]",
	    "messages.0.content.0.source.url");
	bad_content("user",
	    "[{\"type\":\"document\",\"source\":{\"type\":\"text\"}}]",
	    "messages.0.content.0.source.data");
	bad_content("user",
	    "[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":"
	    "{\"type\":\"ephemeral\",\"ttl\":\"2h\"}}]",
	    "messages.0.content.0.cache_control.ttl");
	bad_content("user",
	    "[{\"type\":\"tool_use\",\"id\":\"x\",\"name\":\"f\","
	    "\"input\":{}}]",
	    "messages.0.content.0.type");
	bad_content("assistant",
	    "[{\"type\":\"tool_use\",\"id\":\"x\",\"name\":\"f\","
	    "\"input\":\"{}\"}]",
	    "messages.0.content.0.input");
	bad_content("assistant", "[{\"type\":\"tool_use\"}]",
	    "messages.0.content.0.id");
	bad_content("assistant", "[{\"type\":\"image\",\"source\":{}}]",
	    "messages.0.content.0.type");
	bad_content("assistant", "[{\"type\":\"thinking\"}]",
	    "messages.0.content.0.thinking");
	bad_content("user", "[{\"type\":\"tool_result\"}]",
	    "messages.0.content.0.tool_use_id");
	bad_content("user",
	    "[{\"type\":\"tool_result\",\"tool_use_id\":\"x\","
	    "\"content\":[{\"type\":\"tool_result\"}]}]",
	    "messages.0.content.0.content.0.type");
}
END_TEST

START_TEST(test_read_many)
{
	struct buf b;
	int i;

	buf_init(&b, (size_t)16 << 20);
	(void)buf_addz(&b, HEAD ",\"messages\":[{\"role\":\"user\","
				"\"content\":[");
	for (i = 0; i <= IR_MAX_PARTS; i++)
		(void)buf_addf(&b, "%s{\"type\":\"text\",\"text\":\"x\"}",
		    i > 0 ? "," : "");
	(void)buf_addz(&b, "]}]}");
	ck_assert_int_eq(try_read(buf_cstr(&b)), ERR_TOO_LARGE);
	buf_release(&b);
}
END_TEST

/* ---- answers ---- */

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

int
main(void)
{
	Suite *s = suite_create("anthropic_client");
	int rc;

	UNIT_ADD(s, test_read_head);
	UNIT_ADD(s, test_read_system);
	UNIT_ADD(s, test_read_media);
	UNIT_ADD(s, test_read_tools_used);
	UNIT_ADD(s, test_read_tools);
	UNIT_ADD(s, test_read_thinking);
	UNIT_ADD(s, test_read_auto_cache);
	UNIT_ADD(s, test_read_others);
	UNIT_ADD(s, test_read_errors);
	UNIT_ADD(s, test_read_block_errors);
	UNIT_ADD(s, test_read_many);
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
	rc = unit_run(s);
	arena_release(&arena);
	buf_release(&out);
	return rc;
}
