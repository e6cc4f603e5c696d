/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call: each provider's way of telling its key. */
#include "tests/provider/auth.h"
#include "tests/provider/route.h"

static struct str
auth_bearer(const struct http_request *r)
{
	struct str given = r->authorization;

	if (given.len > 7 && str_ieq(str_make(given.p, 7), STR("bearer ")))
		return str_trim(str_make(given.p + 7, given.len - 7));
	return STR_NULL;
}

static bool
auth_known(const struct sim *s, struct str key)
{
	for (int i = 0; i < s->n_api_keys; i++) {
		if (str_eqz(key, s->api_keys[i]))
			return true;
	}
	return s->n_api_keys == 0;
}

static bool
auth_openai(struct conn *c, const struct http_request *r)
{
	struct str given = auth_bearer(r);

	if (c->sim->n_api_keys == 0)
		return true;
	if (given.len > 0 && auth_known(c->sim, given))
		return true;
	if (given.len == 0)
		problem_reply(c, PROBLEM_NO_KEY, NULL,
		    "You didn't provide an API key. You need to provide your "
		    "API key in an Authorization header using Bearer auth "
		    "(i.e. Authorization: Bearer YOUR_KEY).");
	else
		problem_replyf(c, PROBLEM_BAD_KEY, NULL,
		    "Incorrect API key provided: %.*s***. You can find your "
		    "API key at https://platform.openai.com/account/api-keys.",
		    (int)(given.len < 6 ? given.len : 6), given.p);
	return false;
}

static bool
auth_azure(struct conn *c, const struct http_request *r)
{
	struct str key = http_header(r, "api-key"), bearer = auth_bearer(r);

	if (key.len > 0 && bearer.len > 0) {
		problem_reply(c, PROBLEM_INVALID, NULL,
		    "Both an api-key and an Authorization header were sent.");
		return false;
	}
	if (c->sim->n_api_keys > 0 &&
	    !auth_known(c->sim, key.len > 0 ? key : bearer)) {
		problem_reply(c, PROBLEM_BAD_KEY, NULL,
		    "Access denied due to invalid subscription key or wrong "
		    "API endpoint. Make sure to provide a valid key for an "
		    "active subscription and use a correct regional API "
		    "endpoint for your resource.");
		return false;
	}
	if (str_starts(r->path, STR("/openai/v1/")) ||
	    http_query(r, "api-version").len > 0)
		return true;
	problem_reply(c, PROBLEM_NOT_FOUND, NULL, "Resource not found");
	return false;
}

static bool
auth_is_date(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (i == 4 || i == 7 ? s.p[i] != '-'
				     : s.p[i] < '0' || s.p[i] > '9')
			return false;
	}
	return s.len == 10;
}

static bool
auth_anthropic(struct conn *c, const struct http_request *r)
{
	struct str key = http_header(r, "x-api-key");

	if (key.len == 0)
		key = auth_bearer(r);
	if (key.len == 0) {
		problem_reply(
		    c, PROBLEM_NO_KEY, NULL, "x-api-key header is required");
		return false;
	}
	if (!auth_known(c->sim, key)) {
		problem_reply(c, PROBLEM_BAD_KEY, NULL, "invalid x-api-key");
		return false;
	}
	if (http_header(r, "anthropic-version").len == 0) {
		problem_reply(c, PROBLEM_INVALID, NULL,
		    "anthropic-version: header is required");
		return false;
	}
	if (!auth_is_date(http_header(r, "anthropic-version"))) {
		problem_replyf(c, PROBLEM_INVALID, NULL,
		    "anthropic-version: \"%.*s\" is not a valid version",
		    STR_ARG(http_header(r, "anthropic-version")));
		return false;
	}
	return true;
}

static bool
auth_gemini(struct conn *c, const struct http_request *r)
{
	struct str key = http_header(r, "x-goog-api-key");

	if (key.len == 0)
		key = http_query(r, "key");
	if (key.len == 0 && c->sim->n_api_keys > 0) {
		problem_reply(c, PROBLEM_NO_KEY, NULL,
		    "Method doesn't allow unregistered callers (callers "
		    "without established identity). Please use API Key or "
		    "other form of API consumer identity to call this API.");
		return false;
	}
	if (auth_known(c->sim, key))
		return true;
	problem_reply(c, PROBLEM_BAD_KEY, NULL,
	    "API key not valid. Please pass a valid API key.");
	return false;
}

static bool
auth_vertex(struct conn *c, const struct http_request *r)
{
	struct str token = auth_bearer(r);

	if (token.len > 0 &&
	    (c->sim->options.google_key[0] != '\0' ? token_check(c->sim, token)
						   : auth_known(c->sim, token)))
		return true;
	problem_reply(c, PROBLEM_BAD_KEY, NULL,
	    "Request had invalid authentication credentials. Expected OAuth 2 "
	    "access token, login cookie or other valid authentication "
	    "credential.");
	return false;
}

static bool
auth_bedrock(struct conn *c, const struct http_request *r)
{
	const struct options *o = &c->sim->options;
	struct str bearer = auth_bearer(r);
	const char *type = NULL, *why;
	char headers[128];
	struct buf body;

	if (bearer.len > 0) {
		if (o->aws_bearer[0] != '\0' ? str_eqz(bearer, o->aws_bearer)
					     : auth_known(c->sim, bearer))
			return true;
		problem_reply(c, PROBLEM_FORBIDDEN, NULL,
		    "Authentication failed: Please make sure your API Key is "
		    "valid.");
		return false;
	}
	if (o->aws_access_key[0] == '\0' && r->authorization.len > 0)
		return true;
	why = sigv4_check(o, r, sim_wall_ms() / 1000, &type);
	if (why == NULL)
		return true;
	atomic_fetch_add(&c->sim->n.auth_failures, 1);
	(void)snprintf(headers, sizeof(headers),
	    "x-amzn-errortype: %s:http://internal.amazon.com/coral/"
	    "com.amazon.coral.service/\r\n",
	    type);
	buf_init(&body, 8192);
	buf_addz(&body, "{\"message\":");
	buf_add_json(&body, str_of(why));
	buf_addc(&body, '}');
	reply_full(c, 403, "application/json", headers, buf_str(&body));
	buf_release(&body);
	return false;
}

bool
auth_check(struct conn *c, const struct http_request *r)
{
	switch (c->speaker) {
	case SPEAK_AZURE:
		return auth_azure(c, r);
	case SPEAK_ANTHROPIC:
		return auth_anthropic(c, r);
	case SPEAK_GEMINI:
		return auth_gemini(c, r);
	case SPEAK_VERTEX:
		return auth_vertex(c, r);
	case SPEAK_BEDROCK:
		return auth_bedrock(c, r);
	case SPEAK_OLLAMA:
		return true;
	default:
		return auth_openai(c, r);
	}
}
