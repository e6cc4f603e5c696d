/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading providers' errors. The shapes:
 *
 *   OpenAI, Azure, vLLM   {"error":{"message","type","param","code"}}
 *   Anthropic             {"type":"error","error":{"type","message"}}
 *   Gemini, Vertex        {"error":{"code","message","status","details"}},
 *                         also as the only element of an array
 *   Bedrock               {"message"} or {"Message"}, type in a header field
 *                         or in "__type"
 *   Mistral               {"message"|"detail","type","code"}, or, as vLLM
 *                         too, {"detail":[{"loc":["body","x"],"msg"}]}
 *   Cohere                {"message"}
 *   Ollama                {"error":"text"}
 */
#include <ctype.h>
#include <stdio.h>

#include "agent/dialect/errors.h"

struct errors_word {
	const char *word; /* lower case, without '_' */
	enum error_kind kind;
	int status;
};

/* Types, codes, status words and exception names of all providers. */
static const struct errors_word errors_words[] = {
    /* codes come before types: the first match decides */
    {"contentfilter", ERROR_FILTERED, 400},
    {"contentpolicyviolation", ERROR_FILTERED, 400},
    {"responsibleaipolicyviolation", ERROR_FILTERED, 400},
    {"insufficientquota", ERROR_QUOTA, 429},
    {"billingerror", ERROR_QUOTA, 402},
    {"ratelimitexceeded", ERROR_RATE, 429},
    {"ratelimiterror", ERROR_RATE, 429},
    {"resourceexhausted", ERROR_RATE, 429},
    {"throttlingexception", ERROR_RATE, 429},
    {"servicequotaexceededexception", ERROR_RATE, 429},
    {"modelnotreadyexception", ERROR_OVERLOADED, 503},
    {"serviceunavailableexception", ERROR_OVERLOADED, 503},
    {"overloadederror", ERROR_OVERLOADED, 529},
    {"overloaded", ERROR_OVERLOADED, 503},
    {"unavailable", ERROR_OVERLOADED, 503},
    {"engineoverloaded", ERROR_OVERLOADED, 503},
    {"invalidapikey", ERROR_AUTH, 401},
    {"apikeyinvalid", ERROR_AUTH, 401},
    {"authenticationerror", ERROR_AUTH, 401},
    {"unauthenticated", ERROR_AUTH, 401},
    {"unrecognizedclientexception", ERROR_AUTH, 401},
    {"invalidsignatureexception", ERROR_AUTH, 401},
    {"expiredtokenexception", ERROR_AUTH, 401},
    {"permissionerror", ERROR_PERMISSION, 403},
    {"permissiondenied", ERROR_PERMISSION, 403},
    {"accessdeniedexception", ERROR_PERMISSION, 403},
    {"notfounderror", ERROR_NOT_FOUND, 404},
    {"modelnotfound", ERROR_NOT_FOUND, 404},
    {"deploymentnotfound", ERROR_NOT_FOUND, 404},
    {"notfound", ERROR_NOT_FOUND, 404},
    {"resourcenotfoundexception", ERROR_NOT_FOUND, 404},
    {"requesttoolarge", ERROR_TOO_LARGE, 413},
    {"modeltimeoutexception", ERROR_TIMEOUT, 504},
    {"timeouterror", ERROR_TIMEOUT, 504},
    {"deadlineexceeded", ERROR_TIMEOUT, 504},
    {"modelerrorexception", ERROR_SERVER, 502},
    {"modelstreamerrorexception", ERROR_SERVER, 502},
    {"internalserverexception", ERROR_SERVER, 500},
    {"internal", ERROR_SERVER, 500},
    {"apierror", ERROR_SERVER, 500},
    {"servererror", ERROR_SERVER, 500},
    {"validationexception", ERROR_INVALID, 400},
    {"invalidrequesterror", ERROR_INVALID, 400},
    {"invalidargument", ERROR_INVALID, 400},
    {"failedprecondition", ERROR_INVALID, 400},
    {"outofrange", ERROR_INVALID, 400},
};

/* Compare without case, '_', '-' and spaces; "x:y" and "a#x" mean x. */
static const struct errors_word *
errors_find(const char *word)
{
	char plain[64];
	const char *p = strrchr(word, '#');
	size_t i, n = 0;

	for (p = p != NULL ? p + 1 : word; *p != '\0' && *p != ':'; p++) {
		if (isalnum((unsigned char)*p) && n + 1 < sizeof(plain))
			plain[n++] = (char)tolower((unsigned char)*p);
	}
	plain[n] = '\0';
	for (i = 0; i < sizeof(errors_words) / sizeof(errors_words[0]); i++) {
		if (strcmp(plain, errors_words[i].word) == 0)
			return &errors_words[i];
	}
	return NULL;
}

static void
errors_by_status(int status, struct dialect_error *e)
{
	e->status = status >= 400 && status < 600 ? status : 502;
	switch (status) {
	case 401:
		e->kind = ERROR_AUTH;
		break;
	case 402:
		e->kind = ERROR_QUOTA;
		break;
	case 403:
		e->kind = ERROR_PERMISSION;
		break;
	case 404:
		e->kind = ERROR_NOT_FOUND;
		break;
	case 413:
		e->kind = ERROR_TOO_LARGE;
		break;
	case 429:
		e->kind = ERROR_RATE;
		break;
	case 503:
	case 529:
		e->kind = ERROR_OVERLOADED;
		break;
	case 408:
	case 504:
		e->kind = ERROR_TIMEOUT;
		break;
	default:
		e->kind = status >= 400 && status < 500 ? ERROR_INVALID
							: ERROR_SERVER;
		break;
	}
}

static void
errors_begin(int status, struct dialect_error *e)
{
	memset(e, 0, sizeof(*e));
	e->retry_ms = -1;
	errors_by_status(status, e);
}

/* The words decide; the status stays where it agrees with the kind. */
static void
errors_by_words(int status, struct dialect_error *e)
{
	const struct errors_word *w = errors_find(e->code);
	int family = status / 100;

	if (w == NULL)
		w = errors_find(e->type);
	if (w == NULL || (w->kind == ERROR_INVALID && status != 200 &&
			     e->kind != ERROR_SERVER))
		return;
	if (w->kind == ERROR_SERVER &&
	    (e->kind == ERROR_OVERLOADED || e->kind == ERROR_TIMEOUT))
		return; /* the status says more */
	e->kind = w->kind;
	if (family != w->status / 100 || w->kind == ERROR_RATE ||
	    w->kind == ERROR_TIMEOUT || w->kind == ERROR_AUTH)
		e->status = w->status;
}

/* The text of a string or number. */
static bool
errors_text(struct json v, char *dst, size_t cap)
{
	struct buf b;

	if (v.type == JSON_NUMBER) {
		(void)snprintf(dst, cap, "%.*s", (int)(v.end - v.p), v.p);
		return true;
	}
	if (v.type != JSON_STRING)
		return false;
	buf_init(&b, (size_t)1 << 20);
	(void)json_unescape(v, &b);
	(void)snprintf(dst, cap, "%s", buf_cstr(&b));
	buf_release(&b);
	return true;
}

static bool
errors_take(struct json obj, const char *name, char *dst, size_t cap)
{
	struct json v;

	return obj.type == JSON_OBJECT && json_getz(obj, name, &v) &&
	       errors_text(v, dst, cap);
}

/* "37s", "1.5s" */
static int64_t
errors_delay(const char *z)
{
	int64_t ms = 0, scale = 100;

	while (*z >= '0' && *z <= '9' && ms < 1000000)
		ms = ms * 10 + (*z++ - '0');
	ms *= 1000;
	if (*z == '.') {
		for (z++; *z >= '0' && *z <= '9'; z++) {
			ms += scale * (*z - '0');
			scale /= 10;
		}
	}
	return *z == 's' ? ms : -1;
}

/* Gemini's details: RetryInfo, ErrorInfo, and a quota of the day. */
static void
errors_details(struct json err, struct dialect_error *e)
{
	struct json details, d, v, item;
	struct json_iter it, quotas;
	char text[96];

	if (!json_getz(err, "details", &details) || details.type != JSON_ARRAY)
		return;
	it = json_iter(details);
	while (json_next_element(&it, &d)) {
		if (errors_take(d, "retryDelay", text, sizeof(text)))
			e->retry_ms = errors_delay(text);
		if (errors_take(d, "reason", text, sizeof(text)) &&
		    errors_find(text) != NULL)
			(void)snprintf(e->code, sizeof(e->code), "%.63s", text);
		if (d.type != JSON_OBJECT || !json_getz(d, "violations", &v) ||
		    v.type != JSON_ARRAY)
			continue;
		quotas = json_iter(v);
		while (json_next_element(&quotas, &item)) {
			if (errors_take(item, "quotaId", text, sizeof(text)) &&
			    strstr(text, "PerDay") != NULL)
				(void)snprintf(e->code, sizeof(e->code),
				    "insufficient_quota");
		}
	}
}

/* What validation says about a field: its name and the fault. */
static bool
errors_detail(struct json err, struct dialect_error *e)
{
	struct json list, first, loc, item;
	struct json_iter it;
	char name[96] = "", msg[sizeof(e->message)];

	if (errors_take(err, "detail", e->message, sizeof(e->message)))
		return true;
	if (!json_getz(err, "detail", &list) || list.type != JSON_ARRAY)
		return false;
	it = json_iter(list);
	if (!json_next_element(&it, &first) ||
	    !errors_take(first, "msg", msg, sizeof(msg)))
		return false;
	if (json_getz(first, "loc", &loc) && loc.type == JSON_ARRAY) {
		it = json_iter(loc);
		while (json_next_element(&it, &item))
			errors_text(item, name, sizeof(name));
	}
	(void)snprintf(e->message, sizeof(e->message), "%.80s%s%.380s", name,
	    name[0] != '\0' ? ": " : "", msg);
	return true;
}

/* The members of an error object. */
static bool
errors_object(struct json err, struct dialect_error *e)
{
	struct json inner;
	bool any;

	any = errors_take(err, "message", e->message, sizeof(e->message)) ||
	      errors_take(err, "Message", e->message, sizeof(e->message)) ||
	      errors_detail(err, e);
	any = errors_take(err, "type", e->type, sizeof(e->type)) || any;
	if (errors_take(err, "status", e->type, sizeof(e->type)) &&
	    isdigit((unsigned char)e->type[0]))
		(void)errors_take(err, "type", e->type, sizeof(e->type));
	if (errors_take(err, "__type", e->type, sizeof(e->type)))
		any = true;
	any = errors_take(err, "code", e->code, sizeof(e->code)) || any;
	if (isdigit((unsigned char)e->code[0]))
		e->code[0] = '\0'; /* the status once more */
	if (isdigit((unsigned char)e->type[0]))
		e->type[0] = '\0';
	(void)errors_take(err, "param", e->param, sizeof(e->param));
	errors_details(err, e);
	if (json_getz(err, "innererror", &inner) && inner.type == JSON_OBJECT &&
	    e->code[0] == '\0')
		(void)errors_take(inner, "code", e->code, sizeof(e->code));
	return any;
}

static bool
errors_body(struct str body, struct dialect_error *e)
{
	struct json root = json_root(body), v;
	struct json_iter it;

	if (root.type == JSON_ARRAY) { /* Gemini without alt=sse */
		it = json_iter(root);
		if (!json_next_element(&it, &root))
			return false;
	}
	if (root.type != JSON_OBJECT)
		return false;
	if (!json_getz(root, "error", &v))
		return errors_object(root, e);
	if (v.type == JSON_STRING) { /* Ollama */
		(void)errors_take(
		    root, "error", e->message, sizeof(e->message));
		return true;
	}
	return v.type == JSON_OBJECT && errors_object(v, e);
}

bool
errors_parse(enum provider_dialect d, int status, struct str amzn_type,
    struct str body, const struct json_limits *lim, struct dialect_error *ret)
{
	bool known;

	errors_begin(status, ret);
	known = json_validate(body, lim, NULL) == 0 && errors_body(body, ret);
	if (d == PROVIDER_BEDROCK && amzn_type.len > 0)
		(void)snprintf(
		    ret->type, sizeof(ret->type), "%.*s", STR_ARG(amzn_type));
	errors_by_words(status, ret);
	ret->billed =
	    d == PROVIDER_AZURE && status == 400 && ret->kind == ERROR_FILTERED;
	return known;
}

void
errors_of_event(struct str type, int status, struct str message_esc,
    struct dialect_error *ret)
{
	struct buf b, text;

	errors_begin(status >= 400 ? status : 502, ret);
	(void)snprintf(ret->type, sizeof(ret->type), "%.*s", STR_ARG(type));
	buf_init(&b, message_esc.len + 2);
	buf_init(&text, message_esc.len + 1);
	(void)buf_addc(&b, '"');
	(void)buf_add_str(&b, message_esc);
	(void)buf_addc(&b, '"');
	if (buf_error(&b) == 0 && json_validate(buf_str(&b), NULL, NULL) == 0)
		(void)json_unescape(json_root(buf_str(&b)), &text);
	(void)snprintf(
	    ret->message, sizeof(ret->message), "%s", buf_cstr(&text));
	buf_release(&b);
	buf_release(&text);
	errors_by_words(200, ret);
}
