/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks on a request's head.
 */
#include "agent/front/head.h"

#include <sodium.h>
#include <string.h>

/* Pass upstreams that are gateways themselves, but not for ever. */
#define HEAD_MAX_HOPS 4

static const struct {
	const char *name;
	int code;
	const char *text;
} head_reasons[HEAD_N_REASONS] = {
    [HEAD_OK] = {"ok", 0, ""},
    [HEAD_BAD_FIELD] = {"bad_field", ERR_INVALID, "malformed header field"},
    [HEAD_BAD_HOST] = {"bad_host", ERR_INVALID,
	"exactly one valid Host is required"},
    [HEAD_BAD_LENGTH] = {"bad_length", ERR_INVALID,
	"duplicate or malformed Content-Length"},
    [HEAD_BAD_CODING] = {"bad_coding", ERR_INVALID,
	"unsupported Transfer-Encoding"},
    [HEAD_SMUGGLING] = {"smuggling", ERR_INVALID,
	"Content-Length and Transfer-Encoding exclude each other"},
    [HEAD_BAD_VERSION] = {"bad_version", ERR_INVALID,
	"unsupported HTTP version"},
    [HEAD_BAD_TARGET] = {"bad_target", ERR_INVALID, "malformed request target"},
    [HEAD_NOT_FOUND] = {"not_found", ERR_NOT_FOUND, "unknown path"},
    [HEAD_BAD_METHOD] = {"bad_method", ERR_METHOD,
	"method not allowed for this path"},
    [HEAD_ENCODED_BODY] = {"encoded_body", ERR_UNSUPPORTED,
	"encoded request bodies are not accepted"},
    [HEAD_TOO_LARGE] = {"too_large", ERR_TOO_LARGE,
	"the request body is too large"},
    [HEAD_TWO_CREDENTIALS] = {"two_credentials", ERR_INVALID,
	"more than one credential was sent"},
    [HEAD_LOOP] = {"loop", ERR_INVALID,
	"the request went through too many gateways"},
    [HEAD_FIELDS_TOO_LARGE] = {"fields_too_large", ERR_TOO_LARGE,
	"the request's header fields are too large"},
};

const char *
head_reason_name(enum head_reason r)
{
	return head_reasons[r].name;
}

int
head_reason_code(enum head_reason r)
{
	return head_reasons[r].code;
}

const char *
head_reason_text(enum head_reason r)
{
	return head_reasons[r].text;
}

static bool
head_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

static bool
head_all(struct str s, const char *extra)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (!head_is_alnum(s.p[i]) &&
		    (s.p[i] == '\0' || strchr(extra, s.p[i]) == NULL))
			return false;
	}
	return true;
}

void
head_target_parse(struct str target, struct head_target *t)
{
	const char *raw = target.p;
	size_t i;

	t->reason = HEAD_OK;
	memset(&t->s, 0, sizeof(t->s));
	for (i = 0; i < target.len; i++) {
		if (raw[i] <= ' ' || raw[i] == 0x7f || raw[i] == '#') {
			t->reason = HEAD_BAD_TARGET;
			return;
		}
	}
	if (target.len == 0 || raw[0] != '/') /* absolute form, '*' */
		t->reason = HEAD_BAD_TARGET;
	else if (surface_find(target, &t->s) != 0)
		t->reason = HEAD_NOT_FOUND;
}

static void
head_host_fields(struct head *h, struct str name, struct str value)
{
	if (str_ieq(name, STR("host"))) {
		h->n_host++;
		h->host = value;
	}
}

static void
head_framing_fields(struct head *h, struct str name, struct str value)
{
	if (str_ieq(name, STR("content-length"))) {
		h->n_length++;
		h->length = value;
	} else if (str_ieq(name, STR("transfer-encoding"))) {
		h->n_coding++;
		h->coding = value;
	} else if (str_ieq(name, STR("content-encoding"))) {
		h->content_encoding = value;
	}
}

static void
head_connection_fields(struct head *h, struct str name, struct str value)
{
	struct str item;
	bool more = true;

	if (str_ieq(name, STR("expect")))
		h->expects_continue = str_ieq(value, STR("100-continue"));
	if (!str_ieq(name, STR("connection")))
		return;
	while (more) {
		more = str_cut(value, ',', &item, &value);
		if (str_ieq(str_trim(item), STR("close")))
			h->wants_close = true;
	}
}

static void
head_credential_fields(struct head *h, struct str name, struct str value)
{
	if (str_ieq(name, STR("authorization"))) {
		h->n_authorization++;
		h->authorization = value;
	} else if (str_ieq(name, STR("api-key"))) {
		h->n_api_key++;
		h->api_key = value;
	} else if (str_ieq(name, STR("x-api-key"))) {
		h->n_x_api_key++;
		h->x_api_key = value;
	} else if (str_ieq(name, STR("x-goog-api-key"))) {
		h->n_goog_key++;
		h->goog_key = value;
	}
}

/* Fields that belong to a dialect. */
static void
head_dialect_fields(struct head *h, struct str name, struct str value)
{
	if (str_ieq(name, STR("content-type")))
		h->content_type = value;
	else if (str_ieq(name, STR("accept")))
		h->accept = value;
	else if (str_ieq(name, STR("anthropic-version")))
		h->anthropic_version = value;
	else if (str_ieq(name, STR("anthropic-beta")))
		h->anthropic_beta = value;
	else if (str_ieq(name, STR("openai-beta")))
		h->openai_beta = value;
}

static void
head_other_fields(struct head *h, struct str name, struct str value)
{
	if (str_ieq(name, STR("user-agent"))) {
		h->user_agent = value;
	} else if (str_ieq(name, STR("x-headgate-hops"))) {
		if (str_to_u64(value, &h->hops) != 0 ||
		    h->hops >= HEAD_MAX_HOPS)
			h->loop = true;
	} else if (str_ieq(name, STR("x-headgate-user"))) {
		h->n_user++;
		h->user = value;
	} else if (str_ieq(name, STR("x-headgate-tags"))) {
		h->n_tags++;
		h->tags = value;
	} else if (name.len > 6 &&
		   str_ieq(str_make(name.p, 6), STR("x-sim-")) &&
		   h->n_sim < HEAD_MAX_SIM) {
		h->sim[h->n_sim][0] = name;
		h->sim[h->n_sim++][1] = value;
	}
}

void
head_field(struct head *h, struct str name, struct str value)
{
	size_t i;

	h->n_fields++;
	h->bytes += name.len + value.len + 4;
	if (name.len == 0 || !head_all(name, "!#$%&'*+-.^_`|~"))
		h->n_bad++;
	for (i = 0; i < value.len; i++) {
		if ((value.p[i] >= 0 && value.p[i] < ' ' &&
			value.p[i] != '\t') ||
		    value.p[i] == 0x7f)
			h->n_bad++;
	}
	if (name.len == 0)
		return;
	switch (name.p[0] | 0x20) {
	case 'h':
		head_host_fields(h, name, value);
		break;
	case 'e':
		head_connection_fields(h, name, value);
		break;
	case 'c':
		head_connection_fields(h, name, value);
		head_framing_fields(h, name, value);
		head_dialect_fields(h, name, value);
		break;
	case 't':
		head_framing_fields(h, name, value);
		break;
	case 'a':
		head_credential_fields(h, name, value);
		head_dialect_fields(h, name, value);
		break;
	case 'o':
		head_dialect_fields(h, name, value);
		break;
	case 'x':
		head_credential_fields(h, name, value);
		head_other_fields(h, name, value);
		break;
	case 'u':
		head_other_fields(h, name, value);
		break;
	default:
		break;
	}
}

static bool
head_host_is_good(const struct head *h, bool required)
{
	if (h->n_host == 0)
		return !required;
	return h->n_host == 1 && h->host.len > 0 && h->host.len <= 255 &&
	       head_all(h->host, ".-:_[]");
}

static enum head_reason
head_framing(struct head *h, bool old, size_t max_body)
{
	uint64_t n;

	h->content_length = -1;
	if (h->n_coding > 0 && h->n_length > 0)
		return HEAD_SMUGGLING;
	if (h->n_length > 1)
		return HEAD_BAD_LENGTH;
	if (h->n_coding > 1 || (h->n_coding == 1 && old))
		return HEAD_BAD_CODING;
	if (h->n_coding == 1 && !str_ieq(h->coding, STR("chunked")))
		return HEAD_BAD_CODING;
	if (h->n_length == 1) {
		if (h->length.len > 18 || str_to_u64(h->length, &n) != 0)
			return HEAD_BAD_LENGTH;
		if (n > max_body)
			return HEAD_TOO_LARGE;
		h->content_length = (int64_t)n;
	}
	h->has_body = h->n_coding == 1 || h->content_length > 0;
	if (h->content_encoding.len > 0 &&
	    !str_ieq(h->content_encoding, STR("identity")))
		return HEAD_ENCODED_BODY;
	return HEAD_OK;
}

/* Paths that dialects share: models, and what is not found at all. */
static void
head_tell_client(const struct head *h, struct head_target *t)
{
	if (t->s.client != CLIENT_OPENAI ||
	    (t->reason == HEAD_OK && t->s.op != OP_MODELS &&
		t->s.op != OP_MODEL))
		return;
	if (h->anthropic_version.len > 0)
		t->s.client = CLIENT_ANTHROPIC;
	else if (h->goog_key.len > 0 || t->s.n_key > 0)
		t->s.client = CLIENT_GEMINI;
}

enum head_reason
head_check(struct head *h, struct head_target *t, struct str method,
    struct str version, size_t max_body)
{
	enum head_reason r;
	bool old = str_eq(version, STR("HTTP/1.0"));

	head_tell_client(h, t);
	if (!old && !str_eq(version, STR("HTTP/1.1")))
		return HEAD_BAD_VERSION;
	if (h->n_bad > 0)
		return HEAD_BAD_FIELD;
	if (!head_host_is_good(h, !old))
		return HEAD_BAD_HOST;
	r = head_framing(h, old, max_body);
	if (r != HEAD_OK)
		return r;
	if (t->reason != HEAD_OK)
		return t->reason;
	if (!surface_takes(&t->s, method))
		return HEAD_BAD_METHOD;
	if (op_has_no_body(t->s.op) && h->has_body)
		return HEAD_BAD_LENGTH;
	return h->loop ? HEAD_LOOP : HEAD_OK;
}

const char *
head_tags(const struct head *h, struct tags *t)
{
	const char *why;

	tags_clear(t);
	if (h->n_user > 1)
		return "x-headgate-user was sent more than once";
	if (h->n_tags > 1)
		return "x-headgate-tags was sent more than once";
	why = tags_read(t, h->tags);
	if (why == NULL && h->user.len > 0 && !tags_user_is_valid(h->user))
		why = "x-headgate-user must have at most 128 bytes of UTF-8";
	if (why == NULL)
		tags_add_user(t, h->user);
	return why;
}

void
head_digest(struct str secret, uint8_t digest[32])
{
	crypto_hash_sha256(digest,
	    (const unsigned char *)(secret.len > 0 ? secret.p : ""),
	    secret.len);
}

enum head_reason
head_credential(
    const struct head *h, const struct surface *s, struct str *secret)
{
	struct str found[5], scheme, rest;
	unsigned n = 0, i;

	*secret = STR_NULL;
	if (h->n_authorization > 1 || h->n_api_key > 1 || h->n_x_api_key > 1 ||
	    h->n_goog_key > 1 || s->n_key > 1)
		return HEAD_TWO_CREDENTIALS;
	if (h->n_authorization == 1) {
		found[n] = STR("-"); /* another scheme is a wrong credential */
		if (str_cut(h->authorization, ' ', &scheme, &rest) &&
		    str_ieq(scheme, STR("bearer")))
			found[n] = str_trim(rest);
		n++;
	}
	if (h->n_api_key == 1)
		found[n++] = h->api_key;
	if (h->n_x_api_key == 1)
		found[n++] = h->x_api_key;
	if (h->n_goog_key == 1)
		found[n++] = h->goog_key;
	if (s->n_key == 1)
		found[n++] = s->key;
	for (i = 1; i < n; i++) {
		if (!str_eq(found[i], found[0]))
			return HEAD_TWO_CREDENTIALS;
	}
	if (n > 0)
		*secret = found[0];
	return HEAD_OK;
}
