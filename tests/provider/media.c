/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI's other surfaces: completions, moderations, images, sound. */
#include "tests/provider/openai.h"
#include "tests/provider/text.h"
#include "tests/provider/tree.h"

/* ---- completions ---- */

static void
completions_usage(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	buf_addf(out,
	    "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,"
	    "\"total_tokens\":%lld}",
	    (long long)u.prompt, (long long)u.completion,
	    (long long)(u.prompt + u.completion));
}

static void
completions_open(const struct exchange *x, struct buf *out)
{
	buf_addf(out,
	    "{\"id\":\"cmpl-%.29s\",\"object\":\"text_completion\","
	    "\"created\":%lld,\"model\":\"%s\",\"choices\":[",
	    x->id + 9, (long long)x->created, x->row.model->id);
}

static void
completions_choice(const struct exchange *x, int64_t choice,
    const struct block *b, int64_t i, const char *finish, struct buf *out)
{
	buf_addz(out, "{\"text\":\"");
	if (b != NULL)
		plan_text(x, choice, b, i, out);
	buf_addf(out, "\",\"index\":%lld,\"logprobs\":null,\"finish_reason\":",
	    (long long)choice);
	if (finish == NULL)
		buf_addz(out, "null}");
	else
		buf_addf(out, "\"%s\"}", finish);
}

static const char *
completions_finish_reason(const struct exchange *x)
{
	return x->capped ? "length" : "stop";
}

static void
completions_plain(const struct exchange *x, struct buf *out)
{
	completions_open(x, out);
	for (int64_t c = 0; c < x->n_choices; c++) {
		if (c > 0)
			buf_addc(out, ',');
		completions_choice(x, c,
		    x->plan.n_blocks > 0 ? x->plan.blocks : NULL, -1,
		    completions_finish_reason(x), out);
	}
	buf_addc(out, ']');
	if (exchange_usage_times(x) > 0) {
		buf_addz(out, ",\"usage\":");
		completions_usage(x, out);
	}
	buf_addc(out, '}');
}

static void
media_start(struct exchange *x, struct buf *out)
{
	(void)x;
	(void)out;
}

static void
completions_content(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i;
	const struct block *b = plan_find(x, at / x->n_choices, &i);

	buf_addz(out, "data: ");
	completions_open(x, out);
	completions_choice(x, at % x->n_choices, b, i, NULL, out);
	buf_addf(out, "]%s}\n\n", x->include_usage ? ",\"usage\":null" : "");
}

static void
completions_finish(struct exchange *x, struct buf *out)
{
	for (int64_t c = 0; c < x->n_choices; c++) {
		buf_addz(out, "data: ");
		completions_open(x, out);
		completions_choice(
		    x, c, NULL, -1, completions_finish_reason(x), out);
		buf_addf(
		    out, "]%s}\n\n", x->include_usage ? ",\"usage\":null" : "");
	}
	for (int t = exchange_usage_times(x); x->include_usage && t > 0; t--) {
		buf_addz(out, "data: ");
		completions_open(x, out);
		buf_addz(out, "],\"usage\":");
		completions_usage(x, out);
		buf_addz(out, "}\n\n");
	}
	if (!exchange_fault_is(x, FAULT_NO_DONE))
		buf_addz(out, "data: [DONE]\n\n");
}

const struct dialect completions_dialect = {
    .op = "completions",
    .stream_type = "text/event-stream; charset=utf-8",
    .plain = completions_plain,
    .start = media_start,
    .content = completions_content,
    .finish = completions_finish,
    .error = chat_error,
};

void
call_completions(struct call *q)
{
	const struct sim_model *m;
	const json_t *prompt, *options;

	if (!tree_parse(q) ||
	    !tree_fields(q, q->root, "",
		"model prompt best_of echo frequency_penalty logit_bias "
		"logprobs max_tokens n presence_penalty seed stop stream "
		"stream_options suffix temperature top_p user"))
		return;
	prompt = json_object_get(q->root, "prompt");
	if (prompt == NULL) {
		problem_reply(q->c, PROBLEM_MISSING, "prompt",
		    "Missing required parameter: 'prompt'.");
		return;
	}
	tree_hash(&q->s, prompt);
	tree_count(&q->s, prompt);
	options = json_object_get(q->root, "stream_options");
	q->s.include_usage = tree_true(options, "include_usage");
	q->s.stream = tree_true(q->root, "stream");
	q->s.n = tree_int(q->root, "n", 1);
	q->s.max_tokens = tree_int(q->root, "max_tokens", 16);
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (call_model(q, false, &m))
		call_start(q, m, false);
}

/* ---- moderations: free ---- */

static void
moderations_plain(const struct exchange *x, struct buf *out)
{
	static const char *const names[] = {"harassment",
	    "harassment/threatening", "hate", "hate/threatening", "illicit",
	    "illicit/violent", "self-harm", "self-harm/instructions",
	    "self-harm/intent", "sexual", "sexual/minors", "violence",
	    "violence/graphic"};
	size_t n = sizeof(names) / sizeof(*names);
	bool flagged = x->k.safety > 0;

	buf_addf(out, "{\"id\":\"modr-%.20s\",\"model\":\"%s\",\"results\":[",
	    x->id + 9, x->row.model->id);
	for (int64_t i = 0; i < x->n_inputs; i++) {
		buf_addf(out, "%s{\"flagged\":%s,\"categories\":{",
		    i > 0 ? "," : "", flagged ? "true" : "false");
		for (size_t k = 0; k < n; k++)
			buf_addf(out, "%s\"%s\":%s", k > 0 ? "," : "", names[k],
			    flagged && k == 11 ? "true" : "false");
		buf_addz(out, "},\"category_scores\":{");
		for (size_t k = 0; k < n; k++)
			buf_addf(out, "%s\"%s\":%s", k > 0 ? "," : "", names[k],
			    flagged && k == 11 ? "0.97" : "0.0001");
		buf_addz(out, "},\"category_applied_input_types\":{");
		for (size_t k = 0; k < n; k++)
			buf_addf(out, "%s\"%s\":[\"text\"]", k > 0 ? "," : "",
			    names[k]);
		buf_addz(out, "}}");
	}
	buf_addz(out, "]}");
}

const struct dialect moderations_dialect = {
    .op = "moderations",
    .stream_type = "application/json",
    .plain = moderations_plain,
    .error = chat_error,
};

void
call_moderations(struct call *q)
{
	const struct sim_model *m;
	const json_t *input;

	if (!tree_parse(q) || !tree_fields(q, q->root, "", "model input"))
		return;
	input = json_object_get(q->root, "input");
	if (input == NULL) {
		problem_reply(q->c, PROBLEM_MISSING, "input",
		    "Missing required parameter: 'input'.");
		return;
	}
	tree_hash(&q->s, input);
	q->s.n_inputs =
	    json_is_array(input) ? (int64_t)json_array_size(input) : 1;
	q->s.by_units = true;
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (call_model(q, false, &m))
		call_start(q, m, false);
}

/* ---- images ---- */

static void
images_plain(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	buf_addf(out, "{\"created\":%lld,\"data\":[", (long long)x->created);
	for (int64_t i = 0; i < x->n_choices; i++) {
		buf_addz(out, i > 0 ? ",{\"b64_json\":\"" : "{\"b64_json\":\"");
		/* the first bytes of a PNG, and a mark of its own */
		buf_addz(out, "iVBORw0KGgo");
		sign_add(out, x->seed + (uint64_t)i, 'i', STR(""));
		buf_addz(out, "\"}");
	}
	buf_addz(out, "],\"background\":\"opaque\",\"output_format\":\"png\","
		      "\"quality\":\"low\",\"size\":\"1024x1024\"");
	if (exchange_usage_times(x) > 0 && x->k.usage != USAGE_BARE)
		buf_addf(out,
		    ",\"usage\":{\"input_tokens\":%lld,"
		    "\"input_tokens_details\":{\"text_tokens\":%lld,"
		    "\"image_tokens\":%lld},\"output_tokens\":%lld,"
		    "\"output_tokens_details\":{\"image_tokens\":%lld,"
		    "\"text_tokens\":0},\"total_tokens\":%lld}",
		    (long long)u.prompt, (long long)(u.prompt - u.image_in),
		    (long long)u.image_in, (long long)u.completion,
		    (long long)u.completion,
		    (long long)(u.prompt + u.completion));
	buf_addc(out, '}');
}

/* Never called: it says that there is an output to count. */
static void
media_content(struct exchange *x, int64_t at, struct buf *out)
{
	(void)x;
	(void)at;
	(void)out;
}

const struct dialect images_dialect = {
    .tells = TELLS_IMAGE,
    .op = "images",
    .stream_type = "application/json",
    .plain = images_plain,
    .content = media_content,
    .error = chat_error,
};

const struct dialect edits_dialect = {
    .tells = TELLS_IMAGE,
    .op = "image_edits",
    .stream_type = "application/json",
    .plain = images_plain,
    .content = media_content,
    .error = chat_error,
};

static void
images_start(struct call *q, const struct sim_model *m)
{
	/* a bare answer has no usage: such models are paid by the image */
	q->s.by_units = q->s.knobs.usage == USAGE_BARE ||
			m->knobs.usage == USAGE_BARE ||
			str_eqz(http_header(q->r, "x-sim-usage"), "bare");
	q->s.images = q->s.by_units ? q->s.n : 0;
	q->s.knobs.image_out_tokens = INT64_MAX;
	call_start(q, m, false);
}

void
call_images(struct call *q)
{
	const struct sim_model *m;

	if (!tree_parse(q) ||
	    !tree_fields(q, q->root, "",
		"model prompt background moderation n output_compression "
		"output_format partial_images quality response_format size "
		"stream style user"))
		return;
	if (tree_str(q->root, "prompt") == NULL) {
		problem_reply(q->c, PROBLEM_MISSING, "prompt",
		    "Missing required parameter: 'prompt'.");
		return;
	}
	tree_hash(&q->s, json_object_get(q->root, "prompt"));
	tree_count(&q->s, json_object_get(q->root, "prompt"));
	q->s.n = tree_int(q->root, "n", 1);
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (call_model(q, false, &m))
		images_start(q, m);
}

/* ---- transcriptions and translations ---- */

static void
transcript_usage(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	if (x->by_units) {
		buf_addf(out, "{\"type\":\"duration\",\"seconds\":%lld}",
		    (long long)x->units[SIM_AUDIO_SECONDS]);
		return;
	}
	buf_addf(out,
	    "{\"type\":\"tokens\",\"input_tokens\":%lld,"
	    "\"input_token_details\":{\"text_tokens\":%lld,\"audio_tokens\":"
	    "%lld},\"output_tokens\":%lld,\"total_tokens\":%lld}",
	    (long long)u.prompt, (long long)(u.prompt - u.audio_in),
	    (long long)u.audio_in, (long long)u.completion,
	    (long long)(u.prompt + u.completion));
}

static void
transcript_text(const struct exchange *x, struct buf *out)
{
	for (int i = 0; i < x->plan.n_blocks; i++)
		plan_text(x, 0, &x->plan.blocks[i], -1, out);
}

static void
transcript_plain(const struct exchange *x, struct buf *out)
{
	if (x->type != NULL) { /* text/plain */
		transcript_text(x, out);
		buf_addc(out, '\n');
		return;
	}
	buf_addz(out, "{\"text\":\"");
	transcript_text(x, out);
	buf_addc(out, '"');
	if (exchange_usage_times(x) > 0) {
		buf_addz(out, ",\"usage\":");
		transcript_usage(x, out);
	}
	buf_addc(out, '}');
}

static void
transcript_content(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i;
	const struct block *b = plan_find(x, at, &i);

	buf_addz(out, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"");
	plan_text(x, 0, b, i, out);
	buf_addz(out, "\"}\n\n");
}

static void
transcript_finish(struct exchange *x, struct buf *out)
{
	buf_addz(out, "data: {\"type\":\"transcript.text.done\",\"text\":\"");
	transcript_text(x, out);
	buf_addc(out, '"');
	if (exchange_usage_times(x) > 0) {
		buf_addz(out, ",\"usage\":");
		transcript_usage(x, out);
	}
	buf_addz(out, "}\n\n");
}

const struct dialect transcriptions_dialect = {
    .tells = TELLS_AUDIO,
    .op = "transcriptions",
    .stream_type = "text/event-stream; charset=utf-8",
    .plain = transcript_plain,
    .start = media_start,
    .content = transcript_content,
    .finish = transcript_finish,
    .error = chat_error,
};

const struct dialect translations_dialect = {
    .tells = TELLS_AUDIO,
    .op = "translations",
    .stream_type = "text/event-stream; charset=utf-8",
    .plain = transcript_plain,
    .start = media_start,
    .content = transcript_content,
    .finish = transcript_finish,
    .error = chat_error,
};

/* One part of a form: its name and body; false at the end. */
static bool
form_next(
    struct str *rest, struct str boundary, struct str *name, struct str *body)
{
	const char *at = memmem(rest->p, rest->len, boundary.p, boundary.len);
	const char *end = rest->p + rest->len, *head, *quote, *next;
	struct str headers;

	if (at == NULL)
		return false;
	at += boundary.len;
	head = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
	next = memmem(at, (size_t)(end - at), boundary.p, boundary.len);
	if (head == NULL || next == NULL || head > next || next - head < 8)
		return false;
	headers = str_make(at, (size_t)(head - at));
	quote = memmem(headers.p, headers.len, " name=\"", 7);
	*name = STR_NULL;
	if (quote != NULL)
		(void)str_cut(str_make(quote + 7, (size_t)(head - quote - 7)),
		    '"', name, &headers);
	*body = str_make(head + 4, (size_t)(next - head - 8)); /* CRLF-- */
	*rest = str_make(next, (size_t)(end - next));
	return true;
}

static void
form_field(struct call *q, struct str name, struct str body, int64_t *files)
{
	struct scan *s = &q->s;

	if (str_eqz(name, "model")) {
		s->model = body;
	} else if (str_eqz(name, "prompt")) {
		scan_hash(s, body);
		s->prompt_tokens += ((int64_t)body.len + 3) / 4;
	} else if (str_eqz(name, "n")) {
		(void)!str_to_i64(body, &s->n);
	} else if (str_eqz(name, "stream")) {
		s->stream = str_eqz(body, "true");
	} else if (str_eqz(name, "response_format")) {
		if (!str_eqz(body, "json") && !str_eqz(body, "verbose_json") &&
		    !str_eqz(body, "b64_json"))
			s->type = "text/plain; charset=utf-8";
	} else if (str_eqz(name, "file") || str_starts(name, STR("image"))) {
		++*files;
		scan_hash(s, body);
		s->seconds += 1 + (int64_t)body.len / 16000;
	}
}

/* A multipart body. */
void
call_form(struct call *q)
{
	struct str type = http_header(q->r, "content-type"), rest = q->r->body;
	const char *at =
	    type.len == 0 ? NULL : memmem(type.p, type.len, "boundary=", 9);
	bool edits = q->d == &edits_dialect;
	struct str boundary, name, body;
	const struct sim_model *m;
	int64_t files = 0, seconds;

	scan_init(&q->s);
	if (at == NULL) {
		problem_reply(q->c, PROBLEM_INVALID, NULL,
		    "Could not parse multipart form");
		return;
	}
	boundary = str_make(at + 9, (size_t)(type.p + type.len - at - 9));
	if (boundary.len > 2 && boundary.p[0] == '"')
		boundary = str_make(boundary.p + 1, boundary.len - 2);
	while (form_next(&rest, boundary, &name, &body))
		form_field(q, name, body, &files);
	if (files == 0) {
		problem_reply(q->c, PROBLEM_MISSING, edits ? "image" : "file",
		    edits ? "Missing required parameter: 'image'."
			  : "Missing required parameter: 'file'.");
		return;
	}
	if (!call_model(q, false, &m))
		return;
	if (edits) {
		q->s.prompt_tokens += files * 64;
		q->s.knobs.image_in_tokens = files * 64;
		q->s.seconds = 0;
		images_start(q, m);
		return;
	}
	if (str_to_i64(http_header(q->r, "x-sim-seconds"), &seconds) == 0)
		q->s.seconds = seconds;
	q->s.by_units = m->knobs.usage == USAGE_DURATION ||
			str_eqz(http_header(q->r, "x-sim-usage"), "duration");
	q->s.prompt_tokens += q->s.seconds * 10;
	q->s.knobs.audio_in_tokens = q->s.seconds * 10;
	call_start(q, m, false);
}

/* ---- speech ---- */

static void
speech_plain(const struct exchange *x, struct buf *out)
{
	int64_t n =
	    knob_or(x->k.huge_bytes, 4096 + x->units[SIM_CHARACTERS] * 64);
	uint64_t state = x->seed;

	for (int64_t i = 0; i < n; i += 8) {
		uint64_t v = text_next(&state);

		buf_add(out, &v, sizeof(v));
	}
}

const struct dialect speech_dialect = {
    .op = "speech",
    .stream_type = "audio/mpeg",
    .plain_type = "audio/mpeg",
    .plain = speech_plain,
    .error = chat_error,
};

void
call_speech(struct call *q)
{
	const struct sim_model *m;
	struct str input;

	if (!tree_parse(q) ||
	    !tree_fields(q, q->root, "",
		"model input voice instructions response_format speed "
		"stream_format"))
		return;
	input = tree_slice(json_object_get(q->root, "input"));
	if (input.len == 0 || json_object_get(q->root, "voice") == NULL) {
		problem_reply(q->c, PROBLEM_MISSING,
		    input.len == 0 ? "input" : "voice",
		    input.len == 0 ? "Missing required parameter: 'input'."
				   : "Missing required parameter: 'voice'.");
		return;
	}
	scan_hash(&q->s, input);
	for (size_t i = 0; i < input.len; i++)
		q->s.characters += ((unsigned char)input.p[i] & 0xc0) != 0x80;
	q->s.by_units = true;
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (call_model(q, false, &m))
		call_start(q, m, false);
}
