/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the Gemini dialect: every field in both spellings, the fields
 * that errors name, schemas, history in pieces.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/client_kit.h"
#include "tests/unit/agent/request_kit.h"
#include "tests/unit/support/oom.h"

#define USER "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]"

/* One content of the role. */
static struct ir_part *
content(const char *role, const char *parts)
{
	static char body[4096]; /* what was read points into it */

	snprintf(body, sizeof(body),
	    "{\"contents\":[{\"role\":\"%s\",\"parts\":[%s]}]}", role, parts);
	good(body);
	return req.messages->parts;
}

static void
bad_part(const char *role, const char *part, const char *field)
{
	static char body[4096]; /* what was read points into it */

	snprintf(body, sizeof(body),
	    "{\"contents\":[{\"role\":\"%s\",\"parts\":[%s]}]}", role, part);
	bad(body, field);
}

START_TEST(test_read_config)
{
	with("\"model\":\"models/gemini-x\",\"generationConfig\":{"
	     "\"temperature\":0.1,\"topP\":0.9,\"topK\":40,"
	     "\"candidateCount\":2,\"maxOutputTokens\":100,"
	     "\"stopSequences\":[\"a\"],\"seed\":-7,"
	     "\"presencePenalty\":0.5,\"frequencyPenalty\":0.25,"
	     "\"responseLogprobs\":true,\"logprobs\":3,"
	     "\"responseModalities\":[\"TEXT\"],"
	     "\"mediaResolution\":\"MEDIA_RESOLUTION_UNSPECIFIED\","
	     "\"thinkingConfig\":{\"includeThoughts\":true,"
	     "\"thinkingBudget\":512}},\"labels\":{\"team\":\"x\"},"
	     "\"safetySettings\":[{\"category\":\"c\"}],"
	     "\"serviceTier\":\"flex\"");
	ck_assert_slice_eq(req.model, "gemini-x");
	ck_assert(req.stream && req.include_usage);
	ck_assert_slice_eq(req.temperature, "0.1");
	ck_assert_slice_eq(req.top_p, "0.9");
	ck_assert_slice_eq(req.top_k, "40");
	ck_assert_int_eq(req.n, 2);
	ck_assert_int_eq(req.max_output, 100);
	ck_assert_uint_eq(req.n_stops, 1);
	ck_assert_slice_eq(req.seed, "-7");
	ck_assert_slice_eq(req.presence_penalty, "0.5");
	ck_assert_slice_eq(req.frequency_penalty, "0.25");
	ck_assert(req.logprobs);
	ck_assert_int_eq(req.top_logprobs, 3);
	ck_assert(req.show_thinking);
	ck_assert_int_eq(req.thinking_budget, 512);
	ck_assert_slice_eq(req.metadata, "{\"team\":\"x\"}");
	ck_assert_slice_eq(req.safety, "[{\"category\":\"c\"}]");
	ck_assert_slice_eq(req.service_tier, "flex");
	ck_assert_uint_eq(req.n_others, 0);
}
END_TEST

START_TEST(test_read_snake)
{
	good("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"inline_data\":"
	     "{\"mime_type\":\"image/png\",\"data\":\"aGk\"}}]}],"
	     "\"system_instruction\":{\"parts\":[{\"text\":\"be\"}]},"
	     "\"generation_config\":{\"max_output_tokens\":\"5\","
	     "\"top_p\":1,\"candidate_count\":1.0,\"thinking_config\":"
	     "{\"include_thoughts\":true,\"thinking_level\":\"low\"}},"
	     "\"tool_config\":{\"function_calling_config\":{\"mode\":"
	     "\"ANY\",\"allowed_function_names\":[\"f\"]}},"
	     "\"tools\":[{\"function_declarations\":[{\"name\":\"f\","
	     "\"parameters_json_schema\":{\"type\":\"object\"}}]}],"
	     "\"safety_settings\":[]}");
	ck_assert_int_eq(req.max_output, 5);
	ck_assert_int_eq(req.n, 1);
	ck_assert_int_eq(req.effort, IR_EFFORT_LOW);
	ck_assert(req.show_thinking);
	ck_assert_int_eq(req.choice, IR_CHOICE_TOOL);
	ck_assert_slice_eq(req.choice_name, "f");
	ck_assert_slice_eq(req.tools->schema, "{\"type\":\"object\"}");
	ck_assert_uint_eq(req.safety.len, 0);
	ck_assert_int_eq(req.messages->role, IR_SYSTEM);
	ck_assert_slice_eq(req.messages->next->parts->mime, "image/png");
	/* the padding that base64 must have elsewhere */
	ck_assert_slice_eq(req.messages->next->parts->data, "aGk=");
	ck_assert_uint_eq(req.n_others, 0);
	bad_with("\"topP\":1,\"generationConfig\":{\"topP\":1,\"top_p\":1}",
	    "generationConfig.topP");
}
END_TEST

START_TEST(test_read_system)
{
	with("\"systemInstruction\":\"be\"");
	ck_assert_slice_eq(req.messages->parts->text, "be");
	with("\"systemInstruction\":{\"text\":\"be\"}");
	ck_assert_slice_eq(req.messages->parts->text, "be");
	with("\"systemInstruction\":{\"role\":\"x\",\"parts\":"
	     "[{\"text\":\"a\"},{\"text\":\"b\"}]}");
	ck_assert_slice_eq(req.messages->parts->next->text, "b");
	ck_assert_str_eq(
	    req.messages->parts->next->field, "systemInstruction.parts[1]");
	bad_with("\"systemInstruction\":{\"parts\":[{\"inlineData\":"
		 "{\"mimeType\":\"a/b\",\"data\":\"aGk=\"}}]}",
	    "systemInstruction.parts[0].inlineData");
}
END_TEST

START_TEST(test_read_media)
{
	struct ir_part *p;

	p = content("user",
	    "{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":"
	    "\"-_8\\/\"}},"
	    "{\"fileData\":{\"mimeType\":\"video/mp4\",\"fileUri\":"
	    "\"gs://x\",\"displayName\":\"n\"}},"
	    "{\"fileData\":{\"fileUri\":\"u\"}},"
	    "{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":"
	    "\"aGk=\"}}");
	ck_assert_int_eq(p->type, IR_AUDIO);
	ck_assert_slice_eq(p->data, "+/8/");
	ck_assert_str_eq(p->field, "contents[0].parts[0]");
	p = p->next;
	ck_assert_int_eq(p->type, IR_VIDEO);
	ck_assert_slice_eq(p->url, "gs://x");
	ck_assert_slice_eq(p->filename, "n");
	p = p->next;
	ck_assert_int_eq(p->type, IR_DOCUMENT);
	ck_assert_uint_eq(p->mime.len, 0);
	ck_assert_int_eq(p->next->type, IR_DOCUMENT);
}
END_TEST

START_TEST(test_read_calls)
{
	struct ir_part *call, *res;

	good("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]},"
	     "{\"role\":\"model\",\"parts\":["
	     "{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},"
	     "\"thoughtSignature\":\"c2ln\"},"
	     "{\"functionCall\":{\"name\":\"f\"}},"
	     "{\"functionCall\":{\"id\":\"own\",\"name\":\"g\"}},"
	     "{\"functionCall\":{\"name\":\"h\"}}]},"
	     "{\"role\":\"function\",\"parts\":["
	     "{\"functionResponse\":{\"name\":\"h\",\"response\":{\"r\":3}}},"
	     "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"r\":1}}},"
	     "{\"functionResponse\":{\"name\":\"f\",\"response\":"
	     "{\"error\":\"e\"},\"parts\":[{\"inlineData\":{\"mimeType\":"
	     "\"image/png\",\"data\":\"aGk=\"}}]}},"
	     "{\"functionResponse\":{\"id\":\"own\",\"name\":\"g\"}},"
	     "{\"functionResponse\":{\"name\":\"f\"}}]}]}");
	call = req.messages->next->parts;
	ck_assert_int_eq(call->type, IR_TOOL_CALL);
	ck_assert_slice_eq(call->args, "{\"a\":1}");
	ck_assert_slice_eq(call->signature, "c2ln");
	ck_assert(!call->is_error);
	ck_assert_slice_eq(call->next->args, "{}");
	ck_assert(!str_eq(call->id, call->next->id));
	ck_assert_slice_eq(call->next->next->id, "own");
	res = req.messages->next->next->parts;
	ck_assert_int_eq(req.messages->next->next->role, IR_USER);
	ck_assert(str_eq(res->id, call->next->next->next->id));
	ck_assert_slice_eq(res->result_json, "{\"r\":3}");
	res = res->next;
	ck_assert(str_eq(res->id, call->id));
	ck_assert(!res->is_error);
	res = res->next;
	ck_assert(str_eq(res->id, call->next->id));
	ck_assert(res->is_error);
	ck_assert_int_eq(res->parts->type, IR_IMAGE);
	ck_assert_str_eq(res->parts->field,
	    "contents[2].parts[2].functionResponse.parts[0]");
	ck_assert_slice_eq(res->next->id, "own");
	/* one too many: an id of its own */
	ck_assert_uint_gt(res->next->next->id.len, 5);
	ck_assert(!str_eq(res->next->next->id, call->id));
}
END_TEST

START_TEST(test_read_many_calls)
{
	struct buf b;
	int i;

	buf_init(&b, (size_t)16 << 20);
	(void)buf_addz(&b, "{\"contents\":[{\"role\":\"model\",\"parts\":[");
	for (i = 0; i < 3000; i++)
		(void)buf_addf(&b, "%s{\"functionCall\":{\"name\":\"f%d\"}}",
		    i > 0 ? "," : "", i);
	(void)buf_addz(&b, "]}]}");
	ck_assert_int_eq(try_read(buf_cstr(&b)), ERR_TOO_LARGE);
	ck_assert_str_eq(err.field, "contents[0].parts[1024].functionCall");
	buf_release(&b);
}
END_TEST

/* What the SDK sends back after a stream: one content a chunk. */
START_TEST(test_read_history_in_pieces)
{
	struct ir_part *p;

	good("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]},"
	     "{\"role\":\"model\",\"parts\":[{\"text\":\"le\",\"thought\":"
	     "true}]},"
	     "{\"role\":\"model\",\"parts\":[{\"text\":\"t me\",\"thought\":"
	     "true}]},"
	     "{\"role\":\"model\",\"parts\":[{\"text\":\"\",\"thought\":true,"
	     "\"thoughtSignature\":\"c2l-\"}]},"
	     "{\"role\":\"model\",\"parts\":[{\"text\":\"\",\"thought\":true,"
	     "\"thoughtSignature\":\"aGctcmVkYWN0ZW5j\"}]},"
	     "{\"role\":\"model\",\"parts\":[{\"text\":\"Hel\"}]},"
	     "{\"role\":\"model\",\"parts\":[{\"text\":\"lo\"}]},"
	     "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":"
	     "\"f\"}}]},"
	     "{\"role\":\"model\",\"parts\":[{\"text\":\"\"}]},"
	     "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":"
	     "\"f\"}}]}]}");
	ck_assert_uint_eq(req.n_messages, 3);
	p = req.messages->next->parts;
	ck_assert_int_eq(p->type, IR_THINKING);
	ck_assert_slice_eq(p->text, "let me");
	ck_assert_slice_eq(p->signature, "c2l+");
	p = p->next;
	ck_assert_int_eq(p->type, IR_REDACTED);
	ck_assert_slice_eq(p->signature, "ZW5j");
	p = p->next;
	ck_assert_slice_eq(p->text, "Hello");
	p = p->next;
	ck_assert_int_eq(p->type, IR_TOOL_CALL);
	ck_assert_ptr_null(p->next);
	ck_assert(str_eq(p->id, req.messages->next->next->parts->id));
	/* texts of a user stay apart */
	p = content("user", "{\"text\":\"a\"},{\"text\":\"b\"}");
	ck_assert_slice_eq(p->text, "a");
	ck_assert_slice_eq(p->next->text, "b");
}
END_TEST

/* Signatures come back byte by byte, also from SDKs that encode them anew. */
START_TEST(test_read_signatures)
{
	static const struct {
		const char *sent, *want;
	} rows[] = {
	    {"c2l-", "c2l+"},
	    {"c2l+", "c2l+"},
	    {"c_g=", "c/g="},
	    {"sig_x", "sig_x"},
	    {"aGctb3BhcXVlc2lnX3g=", "sig_x"},
	    {"aGctb3BhcXVl", ""},
	};
	char part[256];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(part, sizeof(part),
		    "{\"text\":\"t\",\"thought\":true,"
		    "\"thoughtSignature\":\"%s\"}",
		    rows[i].sent);
		ck_assert_slice_eq(
		    content("model", part)->signature, rows[i].want);
	}
	/* wrapped encrypted thinking */
	ck_assert_slice_eq(
	    content("model", "{\"text\":\"\",\"thought\":true,"
			     "\"thoughtSignature\":"
			     "\"aGctcmVkYWN0aGctb3BhcXVlc2lnX3g=\"}")
		->signature,
	    "sig_x");
	ck_assert_int_eq(req.messages->parts->type, IR_REDACTED);
	/* joined by an SDK with thinking whose own signature it dropped */
	(void)content("model", "{\"text\":\"t\",\"thought\":true,"
			       "\"thoughtSignature\":\"aGctcmVkYWN0ZW5j\"}");
	ck_assert_int_eq(req.messages->parts->type, IR_REDACTED);
	ck_assert_slice_eq(req.messages->parts->signature, "ZW5j");
	ck_assert_uint_eq(req.messages->parts->text.len, 0);
	/* `a"b` would break out of its string */
	bad_part("model",
	    "{\"text\":\"t\",\"thoughtSignature\":\"aGctb3BhcXVlYSJi\"}",
	    "contents[0].parts[0].thoughtSignature");
	bad_part("model",
	    "{\"text\":\"t\",\"thoughtSignature\":\"aGctb3BhcXVl!\"}",
	    "contents[0].parts[0].thoughtSignature");
}
END_TEST

/* The schema of one function. */
static void
schema(const char *parameters, const char *want)
{
	char members[2048];

	snprintf(members, sizeof(members),
	    "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","
	    "\"parameters\":%s}]}]",
	    parameters);
	with(members);
	ck_assert_slice_eq(req.tools->schema, want);
	ck_assert_int_eq(json_validate(req.tools->schema, NULL, &err), 0);
}

START_TEST(test_read_schema)
{
	schema("{\"type\":\"OBJECT\",\"properties\":{\"type\":{\"type\":"
	       "\"STRING\",\"nullable\":true,\"format\":\"enum\",\"enum\":"
	       "[\"A\"]},\"n\":{\"type\":\"INTEGER\",\"format\":\"int32\","
	       "\"minimum\":1},\"l\":{\"type\":\"ARRAY\",\"items\":{\"type\":"
	       "\"NUMBER\"},\"minItems\":\"2\",\"max_items\":3}},"
	       "\"required\":[\"n\"],\"propertyOrdering\":[\"n\",\"l\"],"
	       "\"description\":\"STRING\"}",
	    "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":"
	    "[\"string\",\"null\"],\"enum\":[\"A\",null]},\"n\":{\"type\":"
	    "\"integer\",\"format\":\"int32\",\"minimum\":1},\"l\":{\"type\":"
	    "\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2,"
	    "\"maxItems\":3}},\"required\":[\"n\"],\"description\":"
	    "\"STRING\"}");
	schema("{\"any_of\":[{\"type\":\"BOOLEAN\"},{\"type\":"
	       "\"TYPE_UNSPECIFIED\"}],\"nullable\":true,\"example\":{}}",
	    "{\"anyOf\":[{\"type\":\"boolean\"},{},{\"type\":\"null\"}],"
	    "\"examples\":[{}]}");
	/* JSON schema already */
	schema("{\"type\":[\"string\",\"null\"],\"nullable\":true,"
	       "\"additionalProperties\":false,\"$defs\":{\"a\":{\"type\":"
	       "\"STRING\"}},\"x\":null,\"title\":null,\"items\":null}",
	    "{\"type\":[\"string\",\"null\"],\"additionalProperties\":false,"
	    "\"$defs\":{\"a\":{\"type\":\"string\"}},\"x\":null,"
	    "\"title\":null}");
	schema("{}", "{}");
	with("\"generationConfig\":{\"responseMimeType\":"
	     "\"application/json\",\"responseSchema\":{\"type\":\"STRING\"}}");
	ck_assert_int_eq(req.format, IR_FORMAT_SCHEMA);
	ck_assert_slice_eq(req.format_schema, "{\"type\":\"string\"}");
	with("\"generationConfig\":{\"responseJsonSchema\":{\"type\":"
	     "\"STRING\"}}");
	ck_assert_slice_eq(req.format_schema, "{\"type\":\"STRING\"}");
	with("\"generationConfig\":{\"responseMimeType\":"
	     "\"application/json\"}");
	ck_assert_int_eq(req.format, IR_FORMAT_JSON);
	with("\"generationConfig\":{\"responseMimeType\":\"text/plain\"}");
	ck_assert_int_eq(req.format, IR_FORMAT_TEXT);
}
END_TEST

#define TOOLS                                                          \
	"\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","       \
	"\"description\":\"d\"},{\"name\":\"g\"},{\"name\":\"h\"}]}]," \
	"\"toolConfig\":{\"functionCallingConfig\":"

START_TEST(test_read_tools)
{
	with(TOOLS "{\"mode\":\"AUTO\"}}");
	ck_assert_uint_eq(req.n_tools, 3);
	ck_assert_slice_eq(req.tools->description, "d");
	ck_assert_uint_eq(req.tools->schema.len, 0);
	ck_assert_int_eq(req.choice, IR_CHOICE_AUTO);
	with(TOOLS "{\"mode\":\"NONE\"}}");
	ck_assert_int_eq(req.choice, IR_CHOICE_NONE);
	with(TOOLS "{\"mode\":\"ANY\"}}");
	ck_assert_int_eq(req.choice, IR_CHOICE_ANY);
	with(TOOLS "{\"mode\":\"ANY\",\"allowedFunctionNames\":"
		   "[\"h\",\"f\"]}}");
	ck_assert_int_eq(req.choice, IR_CHOICE_ANY);
	ck_assert_uint_eq(req.n_tools, 2);
	ck_assert_slice_eq(req.tools->name, "f");
	ck_assert_slice_eq(req.tools->next->name, "h");
	ck_assert_ptr_null(req.tools->next->next);
	with(TOOLS "{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"g\"]}}");
	ck_assert_int_eq(req.choice, IR_CHOICE_TOOL);
	ck_assert_slice_eq(req.choice_name, "g");
	with(TOOLS "{\"mode\":\"VALIDATED\"}}");
	ck_assert_int_eq(req.choice, IR_CHOICE_AUTO);
	ck_assert_str_eq(
	    req.others[0], "toolConfig.functionCallingConfig.mode");
	bad_with(
	    TOOLS "{\"mode\":\"x\"}}", "toolConfig.functionCallingConfig.mode");
	bad_with(TOOLS "{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"x\"]}}",
	    "toolConfig.functionCallingConfig.allowedFunctionNames");
	bad_with(TOOLS "{\"mode\":\"NONE\",\"allowedFunctionNames\":[\"f\"]}}",
	    "toolConfig.functionCallingConfig.allowedFunctionNames");
}
END_TEST

START_TEST(test_read_thinking)
{
	with("\"generationConfig\":{\"thinkingConfig\":"
	     "{\"thinkingBudget\":-1}}");
	ck_assert_int_eq(req.thinking_budget, -1);
	with("\"generationConfig\":{\"thinkingConfig\":"
	     "{\"thinkingBudget\":0}}");
	ck_assert_int_eq(req.thinking_budget, 0);
	ck_assert(!req.show_thinking);
	with("\"generationConfig\":{\"thinkingConfig\":"
	     "{\"thinkingLevel\":\"MINIMAL\"}}");
	ck_assert_int_eq(req.effort, IR_EFFORT_MINIMAL);
	bad_with("\"generationConfig\":{\"thinkingConfig\":"
		 "{\"thinkingLevel\":\"x\"}}",
	    "generationConfig.thinkingConfig.thinkingLevel");
}
END_TEST

START_TEST(test_read_others)
{
	other("\"cachedContent\":\"c\"", "cachedContent");
	other("\"tools\":[{\"googleSearch\":{}}]", "tools[0].googleSearch");
	other("\"tools\":[{\"functionDeclarations\":[]},"
	      "{\"code_execution\":{}}]",
	    "tools[1].code_execution");
	other("\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","
	      "\"behavior\":\"NON_BLOCKING\"}]}]",
	    "tools[0].functionDeclarations[0].behavior");
	other("\"toolConfig\":{\"retrievalConfig\":{\"x\":1}}",
	    "toolConfig.retrievalConfig");
	other("\"generationConfig\":{\"speechConfig\":{\"x\":1}}",
	    "generationConfig.speechConfig");
	other("\"generationConfig\":{\"responseModalities\":"
	      "[\"TEXT\",\"IMAGE\"]}",
	    "generationConfig.responseModalities");
	other("\"generationConfig\":{\"responseMimeType\":\"text/x.enum\"}",
	    "generationConfig.responseMimeType");
	other("\"generationConfig\":{\"mediaResolution\":"
	      "\"MEDIA_RESOLUTION_LOW\"}",
	    "generationConfig.mediaResolution");
	(void)content("model",
	    "{\"executableCode\":{\"code\":\"x\"}},{\"text\":\"t\","
	    "\"videoMetadata\":{\"fps\":1}}");
	ck_assert_uint_eq(req.n_others, 2);
	ck_assert_str_eq(req.others[0], "contents[0].parts[0].executableCode");
	ck_assert_str_eq(req.others[1], "contents[0].parts[1].videoMetadata");
	with("\"generationConfig\":{\"enableEnhancedCivicAnswers\":false,"
	     "\"speechConfig\":null},\"cachedContent\":\"\"");
	ck_assert_uint_eq(req.n_others, 0);
}
END_TEST

START_TEST(test_read_errors)
{
	bad("[]", "");
	bad("{}", "contents");
	bad("{\"contents\":{}}", "contents");
	bad("{\"contents\":[]}", "contents");
	bad("{\"contents\":[7]}", "contents[0]");
	bad("{\"contents\":[{}]}", "contents[0].parts");
	bad("{\"contents\":[{\"role\":\"system\",\"parts\":[]}]}",
	    "contents[0].role");
	bad("{\"contents\":[{\"parts\":{}}]}", "contents[0].parts");
	bad_with("\"model\":\"models/other\"", "model");
	bad_part("user", "{}", "contents[0].parts[0]");
	bad_part("user", "{\"text\":1}", "contents[0].parts[0].text");
	bad_part("user", "{\"text\":\"x\",\"fileData\":{}}",
	    "contents[0].parts[0].fileData");
	bad_part("user", "{\"inlineData\":{\"data\":\"x\"}}",
	    "contents[0].parts[0].inlineData.mimeType");
	bad_part("user", "{\"inlineData\":{\"mimeType\":\"a/b\"}}",
	    "contents[0].parts[0].inlineData.data");
	bad_part("user",
	    "{\"inlineData\":{\"mimeType\":\"a/b\",\"data\":\"\\n\"}}",
	    "contents[0].parts[0].inlineData.data");
	bad_part("user", "{\"fileData\":{}}",
	    "contents[0].parts[0].fileData.fileUri");
	bad_part("user", "{\"functionCall\":{\"name\":\"f\"}}",
	    "contents[0].parts[0].functionCall");
	bad_part("model", "{\"functionResponse\":{\"name\":\"f\"}}",
	    "contents[0].parts[0].functionResponse");
	bad_part("model", "{\"functionCall\":{}}",
	    "contents[0].parts[0].functionCall.name");
	bad_part("model", "{\"functionCall\":{\"name\":\"f\",\"args\":[]}}",
	    "contents[0].parts[0].functionCall.args");
	bad_part("user", "{\"functionResponse\":{\"response\":{}}}",
	    "contents[0].parts[0].functionResponse.name");
	bad_part("model", "{\"text\":\"x\",\"thought\":1}",
	    "contents[0].parts[0].thought");
	bad_with("\"generationConfig\":{\"maxOutputTokens\":0}",
	    "generationConfig.maxOutputTokens");
	bad_with("\"generationConfig\":{\"maxOutputTokens\":\"x\"}",
	    "generationConfig.maxOutputTokens");
	bad_with("\"generationConfig\":{\"maxOutputTokens\":1e300}",
	    "generationConfig.maxOutputTokens");
	bad_with("\"generationConfig\":{\"candidateCount\":9}",
	    "generationConfig.candidateCount");
	bad_with("\"generationConfig\":{\"temperature\":\"x\"}",
	    "generationConfig.temperature");
	bad_with("\"generationConfig\":{\"responseSchema\":7}",
	    "generationConfig.responseSchema");
	bad_with("\"generationConfig\":{\"responseSchema\":{},"
		 "\"responseJsonSchema\":{}}",
	    "generationConfig.responseJsonSchema");
	bad_with("\"generationConfig\":{\"responseMimeType\":\"text/plain\","
		 "\"responseSchema\":{}}",
	    "generationConfig.responseMimeType");
	bad_with("\"tools\":{}", "tools");
	bad_with("\"tools\":[7]", "tools[0]");
	bad_with("\"tools\":[{\"functionDeclarations\":[{}]}]",
	    "tools[0].functionDeclarations[0].name");
	bad_with("\"safetySettings\":{}", "safetySettings");
	bad_with("\"labels\":[]", "labels");
}
END_TEST

/* A bit of everything. */
static const char everything[] =
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\""
    "},{\"inline_data\":{\"mime_type\":\"image/png\",\"data\":\"a"
    "G-_\"}},{\"fileData\":{\"fileUri\":\"u\"}}]},{\"role\":\"mod"
    "el\",\"parts\":[{\"text\":\"a\",\"thought\":true}]},{\"role"
    "\":\"model\",\"parts\":[{\"text\":\"\",\"thought\":true,\"th"
    "oughtSignature\":\"c2ln\"},{\"text\":\"\",\"thought\":true,"
    "\"thoughtSignature\":\"aGctcmVkYWN0ZW5j\"},{\"functionCall\""
    ":{\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\""
    "x\"},{\"executableCode\":{\"code\":\"c\"}}]},{\"role\":\"fun"
    "ction\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"r"
    "esponse\":{\"error\":\"e\"},\"parts\":[{\"inlineData\":{\"mi"
    "meType\":\"image/png\",\"data\":\"aGk\"}}]}}]}],\"systemInst"
    "ruction\":{\"parts\":[{\"text\":\"be\"}]},\"tools\":[{\"func"
    "tionDeclarations\":[{\"name\":\"f\",\"description\":\"d\",\""
    "parameters\":{\"type\":\"OBJECT\",\"nullable\":true,\"proper"
    "ties\":{\"a\":{\"type\":\"STRING\",\"enum\":[\"A\"],\"nullab"
    "le\":true},\"b\":{\"anyOf\":[{\"type\":\"ARRAY\",\"items\":{"
    "\"type\":\"INTEGER\"},\"minItems\":\"2\"}],\"nullable\":true"
    "}},\"example\":{}}},{\"name\":\"g\",\"parametersJsonSchema\""
    ":{\"type\":\"object\"}}]},{\"googleSearch\":{}}],\"tool_conf"
    "ig\":{\"function_calling_config\":{\"mode\":\"ANY\",\"allowe"
    "d_function_names\":[\"f\"]}},\"generationConfig\":{\"tempera"
    "ture\":0.1,\"maxOutputTokens\":\"5\",\"candidateCount\":2.0,"
    "\"stopSequences\":[\"s\"],\"responseSchema\":{\"type\":\"STR"
    "ING\"},\"thinkingConfig\":{\"includeThoughts\":true,\"thinki"
    "ngLevel\":\"LOW\"},\"responseModalities\":[\"AUDIO\"],\"seed"
    "\":1},\"safetySettings\":[{\"a\":1}],\"labels\":{\"a\":\"b\""
    "},\"cachedContent\":\"c\"}";

START_TEST(test_out_of_memory)
{
	struct arena a;
	int rc;

	EACH_OOM
	{
		arena_init(&a, 256, (size_t)1 << 20);
		ir_request_init(&req, &a);
		rc = codec_gemini_client.read(
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
	Suite *s = suite_create("gemini_client");
	int rc;

	kit.codec = &codec_gemini_client;
	kit.model = "gemini-x";
	kit.stream = true;
	kit.body = USER;
	UNIT_ADD(s, test_read_config);
	UNIT_ADD(s, test_read_snake);
	UNIT_ADD(s, test_read_system);
	UNIT_ADD(s, test_read_media);
	UNIT_ADD(s, test_read_calls);
	UNIT_ADD(s, test_read_many_calls);
	UNIT_ADD(s, test_read_history_in_pieces);
	UNIT_ADD(s, test_read_signatures);
	UNIT_ADD(s, test_read_schema);
	UNIT_ADD(s, test_read_tools);
	UNIT_ADD(s, test_read_thinking);
	UNIT_ADD(s, test_read_others);
	UNIT_ADD(s, test_read_errors);
	UNIT_ADD(s, test_out_of_memory);
	rc = unit_run(s);
	arena_release(&arena);
	return rc;
}
