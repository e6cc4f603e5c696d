/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the Anthropic dialect: every field, and the fields that errors
 * name.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/client_kit.h"
#include "tests/unit/agent/request_kit.h"
#include "tests/unit/support/oom.h"

/* HEAD members */
#define HEAD "{\"model\":\"m\",\"max_tokens\":8"
#define USER ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

/* One message's content. */
static struct ir_part *
content(const char *role, const char *blocks)
{
	static char body[4096]; /* what was read points into it */

	snprintf(body, sizeof(body),
	    HEAD ",\"messages\":[{\"role\":\"%s\",\"content\":%s}]}", role,
	    blocks);
	good(body);
	return req.messages->parts;
}

static void
bad_content(const char *role, const char *blocks, const char *field)
{
	static char body[4096]; /* what was read points into it */

	snprintf(body, sizeof(body),
	    HEAD ",\"messages\":[{\"role\":\"%s\",\"content\":%s}]}", role,
	    blocks);
	bad(body, field);
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
	     "\"eager_input_streaming\":true,\"cache_control\":{\"type\":"
	     "\"ephemeral\"}},"
	     "{\"type\":\"custom\",\"name\":\"g\",\"input_schema\":{}}],"
	     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\","
	     "\"disable_parallel_tool_use\":true}");
	ck_assert_uint_eq(req.n_tools, 2);
	ck_assert_slice_eq(req.tools->name, "f");
	ck_assert_slice_eq(req.tools->description, "d");
	ck_assert_slice_eq(req.tools->schema, "{\"type\":\"object\"}");
	ck_assert_int_eq(req.tools->strict, 1);
	ck_assert(req.tools->eager && !req.tools->next->eager);
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
	/* nothing else in the message: not empty all the same */
	(void)content("user", "[{\"type\":\"container_upload\","
			      "\"file_id\":\"f\"}]");
	ck_assert_uint_eq(req.n_others, 1);
	ck_assert_str_eq(
	    req.others[0], "messages.0.content.0.container_upload");
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

/* A bit of everything. */
static const char everything[] =
    "{\"model\":\"m\",\"max_tokens\":64,\"stream\":true,\"system"
    "\":[{\"type\":\"text\",\"text\":\"be\",\"cache_control\":{\""
    "type\":\"ephemeral\",\"ttl\":\"1h\"}}],\"messages\":[{\"role"
    "\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\\u0"
    "0e9\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\","
    "\"media_type\":\"image/png\",\"data\":\"aGk=\"}},{\"type\":"
    "\"document\",\"title\":\"t\",\"context\":\"c\",\"source\":{"
    "\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"p"
    "\"}},{\"type\":\"document\",\"source\":{\"type\":\"content\""
    ",\"content\":[{\"type\":\"text\",\"text\":\"i\"}]}}]},{\"rol"
    "e\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thin"
    "king\":\"hm\",\"signature\":\"sig\"},{\"type\":\"redacted_th"
    "inking\",\"data\":\"e\"},{\"type\":\"tool_use\",\"id\":\"c1"
    "\",\"name\":\"f\",\"input\":{\"a\":1}},{\"type\":\"server_to"
    "ol_use\",\"id\":\"x\"}]},{\"role\":\"user\",\"content\":[{\""
    "type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":[{"
    "\"type\":\"text\",\"text\":\"r\"}],\"is_error\":true}]}],\"t"
    "ools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object"
    "\"},\"strict\":true},{\"type\":\"web_search_20250305\",\"nam"
    "e\":\"web_search\"}],\"tool_choice\":{\"type\":\"tool\",\"na"
    "me\":\"f\",\"disable_parallel_tool_use\":true},\"thinking\":"
    "{\"type\":\"enabled\",\"budget_tokens\":2048},\"output_confi"
    "g\":{\"effort\":\"high\",\"format\":{\"type\":\"json_schema"
    "\",\"schema\":{}}},\"metadata\":{\"user_id\":\"u\"},\"servic"
    "e_tier\":\"auto\",\"top_k\":5,\"temperature\":0.5,\"stop_seq"
    "uences\":[\"x\"],\"cache_control\":{\"type\":\"ephemeral\"}}";

START_TEST(test_out_of_memory)
{
	struct arena a;
	int rc;

	EACH_OOM
	{
		arena_init(&a, 256, (size_t)1 << 20);
		ir_request_init(&req, &a);
		rc = codec_anthropic_client.read(
		    str_of(everything), STR("gemini-x"), false, &req, &err);
		/* without its table of calls the form does its work */
		if (oom_hit() && req.calls != NULL)
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_int_eq(rc, 0);
		arena_release(&a);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("anthropic_client");
	int rc;

	kit.codec = &codec_anthropic_client;
	kit.model = "";
	kit.body = HEAD USER;
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
	UNIT_ADD(s, test_out_of_memory);
	rc = unit_run(s);
	arena_release(&arena);
	return rc;
}
