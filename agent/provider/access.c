/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function per dialect writes the path below the provider's base URL;
 * credentials that change from call to call become header lines. Everything
 * from outside that gets into a path is percent-encoded strictly.
 */
#include "agent/provider/access.h"

#include <stdio.h>

#include "agent/provider/sigv4.h"
#include "agent/provider/text.h"
#include "agent/upstream/token.h"

#define ANTHROPIC_VERSION "2023-06-01"

/* Paths of OpenAI and those that follow it, below ".../v1". */
static const char *const openai_paths[OP_N] = {
    [OP_CHAT] = "/chat/completions",
    [OP_MESSAGES] = "/chat/completions",
    [OP_GENERATE] = "/chat/completions",
    [OP_RESPONSES] = "/responses",
    [OP_COMPLETIONS] = "/completions",
    [OP_EMBEDDINGS] = "/embeddings",
    [OP_MODERATIONS] = "/moderations",
    [OP_IMAGES] = "/images/generations",
    [OP_IMAGE_EDITS] = "/images/edits",
    [OP_TRANSCRIPTIONS] = "/audio/transcriptions",
    [OP_TRANSLATIONS] = "/audio/translations",
    [OP_SPEECH] = "/audio/speech",
    [OP_RERANK] = "/rerank",
    [OP_RESPONSE_GET] = "/responses/",
    [OP_RESPONSE_DELETE] = "/responses/",
    [OP_RESPONSE_CANCEL] = "/responses/",
    [OP_RESPONSE_ITEMS] = "/responses/",
};

static const char *
access_method(enum op op)
{
	switch (op) {
	case OP_RESPONSE_GET:
	case OP_RESPONSE_ITEMS:
		return "GET";
	case OP_RESPONSE_DELETE:
		return "DELETE";
	default:
		return "POST";
	}
}

static bool
access_has_id(enum op op)
{
	return op == OP_RESPONSE_GET || op == OP_RESPONSE_DELETE ||
	       op == OP_RESPONSE_CANCEL || op == OP_RESPONSE_ITEMS;
}

/* The version's segment, unless the base URL ends in it already. */
static void
access_version(struct text *t, const struct b_provider *p, const char *version)
{
	if (!str_ends(p->path_prefix, str_of(version)))
		text_addz(t, version);
}

static int
openai_path(const struct access_call *c, struct text *t)
{
	const char *path = openai_paths[c->op];

	if (path == NULL || ((c->op == OP_RESPONSES || access_has_id(c->op)) &&
				c->provider->dialect == PROVIDER_MISTRAL))
		return ERR_UNSUPPORTED;
	text_addz(t, path);
	if (!access_has_id(c->op))
		return 0;
	text_segment(t, c->id);
	if (c->op == OP_RESPONSE_CANCEL)
		text_addz(t, "/cancel");
	else if (c->op == OP_RESPONSE_ITEMS)
		text_addz(t, "/input_items");
	return 0;
}

static int
mistral_path(const struct access_call *c, struct text *t)
{
	if (!op_is_generation(c->op) && c->op != OP_EMBEDDINGS &&
	    c->op != OP_MODERATIONS && c->op != OP_TRANSCRIPTIONS)
		return ERR_UNSUPPORTED;
	access_version(t, c->provider, "/v1");
	if (c->op == OP_RESPONSES) {
		text_addz(t, openai_paths[OP_CHAT]);
		return 0;
	}
	return openai_path(c, t);
}

/* Does the API version ask for /openai/deployments/...? */
static bool
azure_is_classic(const struct b_provider *p)
{
	return p->api_version.len > 0 && p->api_version.p[0] >= '0' &&
	       p->api_version.p[0] <= '9';
}

static int
azure_path(const struct access_call *c, struct text *t)
{
	const struct b_provider *p = c->provider;
	int rc;

	if (c->op == OP_RERANK)
		return ERR_UNSUPPORTED;
	if (!azure_is_classic(p)) {
		if (!str_ends(p->path_prefix, STR("/openai/v1"))) {
			access_version(t, p, "/openai");
			text_addz(t, "/v1");
		}
	} else {
		access_version(t, p, "/openai");
		if (c->op != OP_RESPONSES && !access_has_id(c->op)) {
			text_addz(t, "/deployments/");
			text_segment(t, c->model);
		}
	}
	rc = openai_path(c, t);
	if (p->api_version.len > 0) {
		text_addz(t, "?api-version=");
		text_add(t, p->api_version);
	}
	return rc;
}

static int
anthropic_path(const struct access_call *c, struct text *t)
{
	if (!op_is_generation(c->op) && c->op != OP_COUNT_TOKENS &&
	    c->op != OP_GEMINI_COUNT_TOKENS)
		return ERR_UNSUPPORTED;
	access_version(t, c->provider, "/v1");
	text_addz(t, "/messages");
	if (!op_is_generation(c->op))
		text_addz(t, "/count_tokens");
	return 0;
}

/* ":verb" of Google's services. */
static int
google_verb(const struct access_call *c, struct text *t, bool vertex)
{
	if (op_is_generation(c->op))
		text_addz(t, c->stream ? ":streamGenerateContent?alt=sse"
				       : ":generateContent");
	else if (c->op == OP_COUNT_TOKENS || c->op == OP_GEMINI_COUNT_TOKENS)
		text_addz(t, ":countTokens");
	else if (c->op == OP_EMBEDDINGS)
		text_addz(t, vertex ? ":predict" : ":batchEmbedContents");
	else if (c->op == OP_GEMINI_EMBED)
		text_addz(t, vertex ? ":predict" : ":embedContent");
	else
		return ERR_UNSUPPORTED;
	return 0;
}

static void
google_version(const struct access_call *c, struct text *t, const char *version)
{
	const struct b_provider *p = c->provider;

	if (p->api_version.len > 0) {
		if (str_ends(p->path_prefix, p->api_version))
			return;
		text_addz(t, "/");
		text_add(t, p->api_version);
	} else if (!str_ends(p->path_prefix, STR("/v1")) &&
		   !str_ends(p->path_prefix, STR("/v1beta")) &&
		   !str_ends(p->path_prefix, STR("/v1beta1")) &&
		   !str_ends(p->path_prefix, STR("/v1alpha"))) {
		text_addz(t, version);
	}
}

/* "models/gemini-x" and "gemini-x" mean the same. */
static struct str
google_model(struct str m)
{
	if (str_starts(m, STR("models/")))
		return str_make(m.p + 7, m.len - 7);
	return m;
}

static int
gemini_path(const struct access_call *c, struct text *t)
{
	google_version(c, t, "/v1beta");
	text_addz(t, "/models/");
	text_segment(t, google_model(c->model));
	return google_verb(c, t, false);
}

static int
vertex_path(const struct access_call *c, struct text *t)
{
	google_version(c, t, "/v1");
	text_addz(t, "/projects/");
	text_segment(t, c->provider->project);
	text_addz(t, "/locations/");
	text_segment(t, c->provider->region);
	text_addz(t, "/publishers/google/models/");
	text_segment(t, google_model(c->model));
	return google_verb(c, t, true);
}

static int
bedrock_path(const struct access_call *c, struct text *t)
{
	text_addz(t, "/model/");
	text_segment(t, c->model);
	if (op_is_generation(c->op))
		text_addz(t, c->stream ? "/converse-stream" : "/converse");
	else if (c->op == OP_EMBEDDINGS)
		text_addz(t, "/invoke");
	else if (c->op == OP_COUNT_TOKENS || c->op == OP_GEMINI_COUNT_TOKENS)
		text_addz(t, "/count-tokens");
	else
		return ERR_UNSUPPORTED;
	return 0;
}

static int
cohere_path(const struct access_call *c, struct text *t)
{
	access_version(t, c->provider, "/v2");
	if (op_is_generation(c->op))
		text_addz(t, "/chat");
	else if (c->op == OP_EMBEDDINGS)
		text_addz(t, "/embed");
	else if (c->op == OP_RERANK)
		text_addz(t, "/rerank");
	else
		return ERR_UNSUPPORTED;
	return 0;
}

static int
ollama_path(const struct access_call *c, struct text *t)
{
	access_version(t, c->provider, "/api");
	if (op_is_generation(c->op))
		text_addz(t, "/chat");
	else if (c->op == OP_EMBEDDINGS)
		text_addz(t, "/embed");
	else
		return ERR_UNSUPPORTED;
	return 0;
}

static int (*const access_paths[PROVIDER_N_DIALECTS])(
    const struct access_call *, struct text *) = {
    [PROVIDER_OPENAI] = openai_path,
    [PROVIDER_AZURE] = azure_path,
    [PROVIDER_ANTHROPIC] = anthropic_path,
    [PROVIDER_GEMINI] = gemini_path,
    [PROVIDER_VERTEX] = vertex_path,
    [PROVIDER_BEDROCK] = bedrock_path,
    [PROVIDER_MISTRAL] = mistral_path,
    [PROVIDER_COHERE] = cohere_path,
    [PROVIDER_OLLAMA] = ollama_path,
};

/* ---- credentials ----------------------------------------------------------
 */

static bool
access_has_header(const struct b_provider *p, struct str name)
{
	struct str head, rest;

	for (unsigned i = 0; i < p->n_headers; i++)
		if (str_cut(p->headers[i], ':', &head, &rest) &&
		    str_ieq(head, name))
			return true;
	return false;
}

static int
anthropic_headers(const struct access_call *c, struct text *t)
{
	struct str version = c->version;

	if (version.len == 0)
		version = c->provider->api_version;
	if (version.len == 0)
		version = STR(ANTHROPIC_VERSION);
	if (!access_has_header(c->provider, STR("anthropic-version")))
		text_header(t, "anthropic-version", version);
	return 0;
}

static int
vertex_headers(const struct access_call *c, struct text *t, struct error *e)
{
	char token[TOKEN_MAX];
	int rc;

	if (c->provider->token == NULL)
		return c->provider->auth_header.len > 0
			   ? 0
			   : err_set(e, ERR_UPSTREAM,
				 "the provider has no credential");
	rc = token_read(c->provider->token, token, e);
	if (rc != 0)
		return rc;
	text_addz(t, "Authorization: Bearer ");
	text_addz(t, token);
	text_addz(t, "\r\n");
	return 0;
}

/* As the engines write it: without the port that the scheme implies. */
static void
access_authority(const struct b_provider *p, struct text *t)
{
	bool v6 = str_find(p->host, ':') >= 0;
	bool plain = str_eqz(p->scheme, "http");
	char port[8];

	text_addz(t, v6 ? "[" : "");
	text_add(t, p->host);
	text_addz(t, v6 ? "]" : "");
	if (p->port == (plain ? 80 : 443))
		return;
	(void)snprintf(port, sizeof(port), ":%u", (unsigned)p->port);
	text_addz(t, port);
}

static int
bedrock_headers(const struct access_call *c, struct access *a, struct text *t,
    struct error *e)
{
	const struct b_provider *p = c->provider;
	char host[300], path[ACCESS_PATH_MAX + 1024];
	struct text h = {host, 0, sizeof(host), false};
	struct text u = {path, 0, sizeof(path), false};
	struct sigv4_request r = {.method = a->method,
	    .query = STR(""),
	    .region = p->region,
	    .service = STR("bedrock"),
	    .keys = &p->aws,
	    .parts = c->parts,
	    .n_parts = c->n_parts,
	    .unsigned_body = c->unsigned_body,
	    .wall_ns = c->wall_ns};

	if (p->aws.access_key_id.len == 0)
		return p->auth_header.len > 0
			   ? 0
			   : err_set(e, ERR_UPSTREAM,
				 "the provider has no credential");
	access_authority(p, &h);
	text_add(&u, p->path_prefix);
	text_add(&u, str_make(a->path, a->path_len));
	if (text_end(&h, &r.host.len) != 0 || text_end(&u, &r.path.len) != 0)
		return ERR_TOO_LARGE;
	r.host.p = host;
	r.path.p = path;
	return sigv4_sign(&r, t->p, t->cap, &t->len);
}

bool
access_can(const struct b_provider *p, enum op op)
{
	char path[ACCESS_PATH_MAX];
	struct text t = {path, 0, sizeof(path), false};
	const struct access_call c = {
	    .provider = p, .op = op, .model = STR("m"), .id = STR("i")};

	return access_paths[p->dialect](&c, &t) != ERR_UNSUPPORTED;
}

int
access_prepare(const struct access_call *c, struct access *ret, struct error *e)
{
	struct text path = {ret->path, 0, sizeof(ret->path), false};
	struct text head = {ret->headers, 0, sizeof(ret->headers), false};
	int rc;

	ret->method = access_method(c->op);
	rc = access_paths[c->provider->dialect](c, &path);
	if (rc == ERR_UNSUPPORTED)
		return err_set(e, rc, "the provider %.*s has no such operation",
		    STR_ARG(c->provider->name));
	rc = text_end(&path, &ret->path_len);
	if (rc != 0)
		return err_set(e, rc, "the model's name cannot be in a path");
	if (c->provider->dialect == PROVIDER_ANTHROPIC)
		rc = anthropic_headers(c, &head);
	else if (c->provider->dialect == PROVIDER_VERTEX)
		rc = vertex_headers(c, &head, e);
	else if (c->provider->dialect == PROVIDER_BEDROCK)
		rc = bedrock_headers(c, ret, &head, e);
	if (rc == 0)
		rc = text_end(&head, &ret->headers_len);
	return rc == ERR_TOO_LARGE
		   ? err_set(e, rc, "the provider's headers are too large")
		   : rc;
}
