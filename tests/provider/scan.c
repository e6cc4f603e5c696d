/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a request body; see scan.h. */
#include <stdlib.h>

#include "tests/provider/scan.h"
#include "tests/provider/text.h"

#define SCAN_DEPTH 128

struct cursor {
	const char *p, *end;
	int depth;
	bool bad;
	int64_t text;	      /* bytes of text met in string values */
	struct scan *hashing; /* "content" and "text" go into its hash */
};

static void
scan_space(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' ||
				    *c->p == '\r' || *c->p == '\t'))
		c->p++;
}

static bool
scan_char(struct cursor *c, char want)
{
	scan_space(c);
	if (c->p < c->end && *c->p == want) {
		c->p++;
		return true;
	}
	return false;
}

/* Bytes in UTF-8 of the escape at p ("\n", "A"), its length in *len. */
static int
scan_escape(const char *p, const char *end, size_t *len)
{
	unsigned code = 0;

	if (end - p < 2)
		return -1;
	*len = 2;
	if (strchr("\"\\/bfnrt", p[1]) != NULL && p[1] != '\0')
		return 1;
	if (p[1] != 'u' || end - p < 6)
		return -1;
	for (int i = 2; i < 6; i++) {
		char x = p[i];
		unsigned d;

		if (x >= '0' && x <= '9')
			d = (unsigned)(x - '0');
		else if ((x | 32) >= 'a' && (x | 32) <= 'f')
			d = (unsigned)((x | 32) - 'a' + 10);
		else
			return -1;
		code = code * 16 + d;
	}
	*len = 6;
	if (code >= 0xd800 && code < 0xe000)
		return 2; /* half of a pair */
	return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

/* A string; *raw is between the quotes. Returns its unescaped length. */
static int64_t
scan_string(struct cursor *c, struct str *raw)
{
	int64_t n = 0;
	const char *start;

	*raw = STR_NULL;
	if (!scan_char(c, '"')) {
		c->bad = true;
		return 0;
	}
	start = c->p;
	while (c->p < c->end && *c->p != '"') {
		size_t len = 1;
		int bytes = 1;

		if ((unsigned char)*c->p < 0x20)
			break;
		if (*c->p == '\\') {
			bytes = scan_escape(c->p, c->end, &len);
			if (bytes < 0)
				break;
		}
		c->p += len;
		n += bytes;
	}
	if (c->p >= c->end || *c->p != '"') {
		c->bad = true;
		return 0;
	}
	*raw = str_make(start, (size_t)(c->p - start));
	c->p++;
	return n;
}

static void scan_value(struct cursor *c);

/* Next key of an object: true with the cursor at the value. */
static bool
scan_member(struct cursor *c, bool *first, struct str *key)
{
	if (c->bad || (*first && scan_char(c, '}')))
		return false;
	if (!*first && !scan_char(c, ',')) {
		c->bad = !scan_char(c, '}');
		return false;
	}
	*first = false;
	(void)scan_string(c, key);
	if (!scan_char(c, ':'))
		c->bad = true;
	return !c->bad;
}

static bool
scan_element(struct cursor *c, bool *first)
{
	if (c->bad || (*first && scan_char(c, ']')))
		return false;
	if (!*first && !scan_char(c, ',')) {
		c->bad = !scan_char(c, ']');
		return false;
	}
	*first = false;
	return true;
}

/* One UTF-16 unit of an escape, "u" and four digits checked before. */
static unsigned
scan_unit(const char *p)
{
	char hex[5] = {p[2], p[3], p[4], p[5], 0};

	return (unsigned)strtoul(hex, NULL, 16);
}

static char *
scan_utf8(char *to, unsigned code)
{
	if (code < 0x80) {
		*to++ = (char)code;
		return to;
	}
	if (code >= 0x10000) {
		*to++ = (char)(0xf0 | code >> 18);
		*to++ = (char)(0x80 | (code >> 12 & 63));
	} else if (code >= 0x800) {
		*to++ = (char)(0xe0 | code >> 12);
	} else {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 63));
		return to;
	}
	*to++ = (char)(0x80 | (code >> 6 & 63));
	*to++ = (char)(0x80 | (code & 63));
	return to;
}

/* Hash what a raw string means. */
static void
scan_hash_raw(struct scan *s, struct str raw)
{
	static const char from[] = "nrtbf", into[] = "\n\r\t\b\f";
	const char *p = raw.p, *end = raw.p + raw.len;
	char *copy, *to;

	if (raw.len == 0 || memchr(raw.p, '\\', raw.len) == NULL) {
		scan_hash(s, raw);
		return;
	}
	copy = to = malloc(raw.len);
	MUST(copy != NULL);
	while (p < end) {
		if (*p != '\\') {
			*to++ = *p++;
		} else if (p[1] == 'u') {
			unsigned code = scan_unit(p);

			p += 6;
			if (code >= 0xd800 && code < 0xdc00 && end - p >= 6 &&
			    p[0] == '\\' && p[1] == 'u') {
				code = 0x10000 + ((code - 0xd800) << 10) +
				       (scan_unit(p) - 0xdc00);
				p += 6;
			}
			to = scan_utf8(to, code);
		} else {
			const char *at = strchr(from, p[1]);

			*to++ = at == NULL ? p[1] : into[at - from];
			p += 2;
		}
	}
	scan_hash(s, str_make(copy, (size_t)(to - copy)));
	free(copy);
}

void
scan_hash(struct scan *s, struct str text)
{
	if (text.len > 0)
		s->hash = text_hash(text, s->hash);
}

static void
scan_object(struct cursor *c)
{
	bool first = true;
	struct str key;

	while (scan_member(c, &first, &key)) {
		int64_t before = c->text;

		scan_space(c);
		if (c->hashing != NULL && c->p < c->end &&
		    (str_eqz(key, "content") || str_eqz(key, "text"))) {
			struct str raw;

			if (*c->p == '"') {
				c->text += scan_string(c, &raw);
				if (!c->bad)
					scan_hash_raw(c->hashing, raw);
				continue;
			}
			c->hashing->has_arrays |= *c->p == '[';
		}

		scan_value(c);
		if (str_eqz(key, "role") || str_eqz(key, "type"))
			c->text = before;
	}
}

static void
scan_scalar(struct cursor *c)
{
	const char *start = c->p;

	while (
	    c->p < c->end && *c->p != '\0' &&
	    strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *c->p) != NULL)
		c->p++;
	if (c->p == start)
		c->bad = true;
}

static void
scan_value(struct cursor *c)
{
	struct str raw;
	bool first = true;

	scan_space(c);
	if (c->p >= c->end || ++c->depth > SCAN_DEPTH) {
		c->bad = true;
		return;
	}
	switch (*c->p) {
	case '{':
		c->p++;
		scan_object(c);
		break;
	case '[':
		c->p++;
		while (scan_element(c, &first))
			scan_value(c);
		break;
	case '"':
		c->text += scan_string(c, &raw);
		break;
	default:
		scan_scalar(c);
		break;
	}
	c->depth--;
}

static struct str
scan_raw(struct cursor *c)
{
	const char *start;

	scan_space(c);
	start = c->p;
	scan_value(c);
	return str_make(start, (size_t)(c->p - start));
}

static int64_t
scan_tokens(int64_t text)
{
	return 4 + (text + 3) / 4;
}

/* Messages or tools: an array of values, each counted. */
static void
scan_counted(struct cursor *c, struct scan *s)
{
	bool first = true;

	if (!scan_char(c, '[')) {
		s->bad = "expected an array";
		scan_value(c);
		return;
	}
	while (scan_element(c, &first)) {
		c->text = 0;
		scan_value(c);
		s->prompt_tokens += scan_tokens(c->text);
	}
}

/* A text as other dialects hash it; token ids as they are written. */
static void
scan_hash_input(const struct cursor *c, struct scan *s, struct str raw)
{
	if (c->bad)
		return;
	if (raw.len >= 2 && raw.p[0] == '"')
		scan_hash_raw(s, str_make(raw.p + 1, raw.len - 2));
	else
		scan_hash(s, raw);
}

static void
scan_input(struct cursor *c, struct scan *s)
{
	bool first = true;
	int64_t numbers = 0;
	struct str raw;

	s->has_input = true;
	scan_space(c);
	if (c->p < c->end && *c->p == '"') {
		c->text = 0;
		raw = scan_raw(c);
		scan_hash_input(c, s, raw);
		s->prompt_tokens += (c->text + 3) / 4;
		s->n_inputs = 1;
		return;
	}
	if (!scan_char(c, '[')) {
		s->bad = "'$.input' is invalid";
		scan_value(c);
		return;
	}
	while (scan_element(c, &first)) {
		c->text = 0;
		raw = scan_raw(c);
		if (raw.len == 0)
			break;
		scan_hash_input(c, s, raw);
		if (raw.p[0] == '"') {
			s->prompt_tokens += (c->text + 3) / 4;
			s->n_inputs++;
		} else if (raw.p[0] == '[') {
			int64_t n = raw.len > 2 ? 1 : 0;

			for (size_t i = 0; i < raw.len; i++)
				n += raw.p[i] == ',';
			s->prompt_tokens += n;
			s->n_inputs++;
		} else {
			numbers++;
		}
	}
	if (numbers > 0) {
		s->prompt_tokens += numbers;
		s->n_inputs++;
	}
}

static void
scan_knobs(struct cursor *c, struct scan *s)
{
	bool first = true;
	struct str key;

	if (!scan_char(c, '{')) {
		s->bad = "x_sim must be an object";
		scan_value(c);
		return;
	}
	while (scan_member(c, &first, &key)) {
		struct str raw = scan_raw(c);

		if (raw.len >= 2 && raw.p[0] == '"')
			raw = str_make(raw.p + 1, raw.len - 2);
		if (knobs_set(&s->knobs, key, raw) != 0)
			s->bad = "unknown member or bad value in x_sim";
	}
}

static void
scan_stream_options(struct cursor *c, struct scan *s)
{
	bool first = true;
	struct str key;

	if (!scan_char(c, '{')) {
		scan_value(c);
		return;
	}
	while (scan_member(c, &first, &key)) {
		struct str raw = scan_raw(c);

		if (str_eqz(key, "include_usage"))
			s->include_usage = str_eqz(raw, "true");
		else if (str_eqz(key, "include_obfuscation"))
			s->include_obfuscation = str_eqz(raw, "true");
		else if (str_eqz(key, "continuous_usage_stats"))
			s->continuous_usage = str_eqz(raw, "true");
	}
}

static void
scan_tools(struct cursor *c, struct scan *s)
{
	const char *start = c->p;
	int64_t before = s->prompt_tokens;

	scan_counted(c, s);
	s->has_tools = s->prompt_tokens > before;
	s->raw_tools = str_make(start, (size_t)(c->p - start));
}

static void
scan_number(struct cursor *c, int64_t *ret)
{
	int64_t v;

	if (str_to_i64(scan_raw(c), &v) == 0)
		*ret = v;
}

static void
scan_cap(struct cursor *c, struct scan *s)
{
	int64_t v = -1;

	scan_number(c, &v);
	if (v >= 0 && (s->max_tokens < 0 || v < s->max_tokens))
		s->max_tokens = v;
}

/* Members of OpenAI's requests that steer nothing here. */
static bool
scan_is_known(struct str key)
{
	static const char *const known[] = {"audio", "frequency_penalty",
	    "function_call", "functions", "logit_bias", "logprobs", "metadata",
	    "modalities", "moderation", "parallel_tool_calls", "prediction",
	    "presence_penalty", "prompt_cache_key", "prompt_cache_options",
	    "prompt_cache_retention", "reasoning_effort", "safety_identifier",
	    "seed", "stop", "store", "temperature", "top_logprobs", "top_p",
	    "user", "verbosity", "web_search_options"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (str_eqz(key, known[i]))
			return true;
	}
	return false;
}

static void
scan_messages(struct cursor *c, struct scan *s)
{
	const char *start = c->p;

	s->has_messages = true;
	c->hashing = s;
	scan_counted(c, s);
	c->hashing = NULL;
	s->has_tool_result = memmem(start, (size_t)(c->p - start),
				 "\"tool_call_id\"", 14) != NULL;
}

static void
scan_string_member(struct cursor *c, struct str *ret)
{
	scan_space(c);
	if (c->p < c->end && *c->p == '"')
		(void)scan_string(c, ret);
	else
		scan_value(c);
}

/* The first stop sequence of a string or a list, not unescaped. */
static void
scan_stop(struct cursor *c, struct scan *s)
{
	struct str raw = scan_raw(c), head;

	while (raw.len > 0 && raw.p[0] != '"')
		raw = str_make(raw.p + 1, raw.len - 1);
	if (raw.len == 0)
		return;
	(void)str_cut(str_make(raw.p + 1, raw.len - 1), '"', &head, &raw);
	s->stop = head;
}

/* Members that are kept as they are, for a tree. */
static bool
scan_raw_member(struct cursor *c, struct str key, struct scan *s)
{
	if (str_eqz(key, "response_format"))
		s->raw_format = scan_raw(c);
	else if (str_eqz(key, "tool_choice"))
		s->raw_choice = scan_raw(c);
	else if (str_eqz(key, "service_tier"))
		scan_string_member(c, &s->tier);
	else if (str_eqz(key, "logprobs"))
		s->logprobs = str_eqz(scan_raw(c), "true");
	else if (str_eqz(key, "top_logprobs"))
		scan_number(c, &s->top_logprobs);
	else if (str_eqz(key, "stop"))
		scan_stop(c, s);
	else if (str_eqz(key, "reasoning_effort"))
		s->thinking = !str_eqz(scan_raw(c), "\"none\"");
	else if (str_eqz(key, "parallel_tool_calls"))
		s->serial = str_eqz(scan_raw(c), "false");
	else
		return false;
	return true;
}

static void
scan_top_member(struct cursor *c, struct str key, struct scan *s)
{
	if (str_eqz(key, "model")) {
		scan_string_member(c, &s->model);
	} else if (str_eqz(key, "messages")) {
		scan_messages(c, s);
	} else if (str_eqz(key, "tools")) {
		scan_tools(c, s);
	} else if (str_eqz(key, "input")) {
		scan_input(c, s);
	} else if (str_eqz(key, "stream")) {
		s->stream = str_eqz(scan_raw(c), "true");
	} else if (str_eqz(key, "stream_options")) {
		scan_stream_options(c, s);
	} else if (str_eqz(key, "max_tokens") ||
		   str_eqz(key, "max_completion_tokens")) {
		scan_cap(c, s);
	} else if (str_eqz(key, "n")) {
		scan_number(c, &s->n);
	} else if (str_eqz(key, "dimensions") ||
		   str_eqz(key, "output_dimension")) { /* Mistral */
		scan_number(c, &s->dimensions);
	} else if (str_eqz(key, "encoding_format")) {
		s->base64 = str_eqz(scan_raw(c), "\"base64\"");
	} else if (str_eqz(key, "x_sim")) {
		scan_knobs(c, s);
	} else if (!scan_raw_member(c, key, s)) {
		if (s->unknown.len == 0 && !scan_is_known(key) &&
		    !str_starts(key, STR("x_")))
			s->unknown = key;
		scan_value(c);
	}
}

void
scan_init(struct scan *s)
{
	memset(s, 0, sizeof(*s));
	knobs_init(&s->knobs);
	s->max_tokens = -1;
	s->dimensions = -1;
	s->n = 1;
	s->top_logprobs = -1;
	s->prompt_tokens = 3;
}

bool
scan_body(struct str body, struct scan *s)
{
	struct cursor c = {
	    .p = body.p, .end = body.p == NULL ? NULL : body.p + body.len};
	bool first = true;
	struct str key;

	scan_init(s);
	if (!scan_char(&c, '{')) {
		s->bad = "We could not parse the JSON body of your request.";
		return false;
	}
	while (scan_member(&c, &first, &key))
		scan_top_member(&c, key, s);
	scan_space(&c);
	if (c.bad || c.p != c.end) {
		s->bad = "We could not parse the JSON body of your request.";
		return false;
	}
	return true;
}
