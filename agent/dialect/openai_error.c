/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors in the shape that OpenAI's SDKs read, and entries of the model list.
 */
#include "agent/dialect/openai.h"

static const char *
oai_error_type(int code)
{
	switch (code) {
	case ERR_BUDGET_EXHAUSTED:
		return "insufficient_quota";
	case ERR_BUDGET_BUSY:
	case ERR_RATE_LIMITED:
	case ERR_LIMIT:
		return "rate_limit_error";
	case ERR_UPSTREAM:
	case ERR_UPSTREAM_TIMEOUT:
		return "upstream_error";
	default:
		return err_http_status(code) >= 500 ? "server_error"
						    : "invalid_request_error";
	}
}

void
oai_error_body(struct buf *out, int code, struct str message, const char *type,
    const char *param, const char *extra)
{
	(void)buf_addz(out, "{\"error\":{\"message\":");
	(void)buf_add_json(out, message);
	(void)buf_addz(out, ",\"type\":");
	(void)buf_add_json(
	    out, str_of(type != NULL ? type : oai_error_type(code)));
	(void)buf_addz(out, ",\"param\":");
	if (param != NULL && param[0] != '\0')
		(void)buf_add_json(out, str_of(param));
	else
		(void)buf_addz(out, "null");
	(void)buf_addz(out, ",\"code\":");
	(void)buf_add_json(out, str_of(err_name(code)));
	if (extra != NULL)
		(void)buf_addz(out, extra);
	(void)buf_addz(out, "}}");
}

bool
oai_is_error(struct str body, const struct json_limits *lim)
{
	struct json v;

	if (json_validate(body, lim, NULL) != 0)
		return false;
	return json_getz(json_root(body), "error", &v) && v.type == JSON_OBJECT;
}

void
oai_error_code(struct str body, char *dst, size_t cap)
{
	struct json err, v;

	dst[0] = '\0';
	if (!json_getz(json_root(body), "error", &err))
		return;
	if ((json_getz(err, "code", &v) && v.type == JSON_STRING) ||
	    (json_getz(err, "type", &v) && v.type == JSON_STRING)) {
		if (json_copy_string(v, dst, cap) != 0)
			dst[0] = '\0';
	}
}

void
oai_model_json(
    struct buf *out, struct str name, struct str owner, int64_t created_s)
{
	(void)buf_addz(out, "{\"id\":");
	(void)buf_add_json(out, name);
	(void)buf_addz(out, ",\"object\":\"model\",\"created\":");
	(void)buf_add_i64(out, created_s);
	(void)buf_addz(out, ",\"owned_by\":");
	(void)buf_add_json(out, owner.len > 0 ? owner : STR("headgate"));
	(void)buf_addz(out, "}");
}
