/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of paths. "{d}", "{m}" and "{id}" stand for one segment of
 * harmless bytes; a Gemini model ends at the colon before its action, and
 * holds none itself.
 */
#include "agent/dialect/surface.h"

static const char *const op_names[OP_N] = {
    [OP_CHAT] = "chat",
    [OP_RESPONSES] = "responses",
    [OP_MESSAGES] = "messages",
    [OP_GENERATE] = "generate",
    [OP_COMPLETIONS] = "completions",
    [OP_EMBEDDINGS] = "embeddings",
    [OP_GEMINI_EMBED] = "embed_content",
    [OP_MODERATIONS] = "moderations",
    [OP_IMAGES] = "images",
    [OP_IMAGE_EDITS] = "image_edits",
    [OP_TRANSCRIPTIONS] = "transcriptions",
    [OP_TRANSLATIONS] = "translations",
    [OP_SPEECH] = "speech",
    [OP_RERANK] = "rerank",
    [OP_COUNT_TOKENS] = "count_tokens",
    [OP_GEMINI_COUNT_TOKENS] = "gemini_count_tokens",
    [OP_MODELS] = "models",
    [OP_MODEL] = "model",
    [OP_RESPONSE_GET] = "response_get",
    [OP_RESPONSE_DELETE] = "response_delete",
    [OP_RESPONSE_CANCEL] = "response_cancel",
    [OP_RESPONSE_ITEMS] = "response_items",
};

const char *
op_name(enum op op)
{
	return (unsigned)op < OP_N ? op_names[op] : "unknown";
}

/* Most used first: the table is searched from its top. */
static const struct surface_doc surface_rows[] = {
    {"POST", "/v1/chat/completions", CLIENT_OPENAI, OP_CHAT},
    {"POST", "/v1/messages", CLIENT_ANTHROPIC, OP_MESSAGES},
    {"POST", "/v1/responses", CLIENT_OPENAI, OP_RESPONSES},
    {"POST", "/v1beta/models/{m}:generateContent", CLIENT_GEMINI, OP_GENERATE},
    {"POST", "/v1beta/models/{m}:streamGenerateContent", CLIENT_GEMINI,
	OP_GENERATE},
    {"POST", "/v1/embeddings", CLIENT_OPENAI, OP_EMBEDDINGS},
    {"POST", "/v1/completions", CLIENT_OPENAI, OP_COMPLETIONS},
    {"POST", "/v1/messages/count_tokens", CLIENT_ANTHROPIC, OP_COUNT_TOKENS},
    {"POST", "/v1/moderations", CLIENT_OPENAI, OP_MODERATIONS},
    {"POST", "/v1/images/generations", CLIENT_OPENAI, OP_IMAGES},
    {"POST", "/v1/images/edits", CLIENT_OPENAI, OP_IMAGE_EDITS},
    {"POST", "/v1/audio/transcriptions", CLIENT_OPENAI, OP_TRANSCRIPTIONS},
    {"POST", "/v1/audio/translations", CLIENT_OPENAI, OP_TRANSLATIONS},
    {"POST", "/v1/audio/speech", CLIENT_OPENAI, OP_SPEECH},
    {"POST", "/v1/rerank", CLIENT_OPENAI, OP_RERANK},
    {"GET", "/v1/models", CLIENT_OPENAI, OP_MODELS},
    {"POST", "/v1/models/{m}:generateContent", CLIENT_GEMINI, OP_GENERATE},
    {"POST", "/v1/models/{m}:streamGenerateContent", CLIENT_GEMINI,
	OP_GENERATE},
    {"POST", "/v1/models/{m}:countTokens", CLIENT_GEMINI,
	OP_GEMINI_COUNT_TOKENS},
    {"POST", "/v1/models/{m}:embedContent", CLIENT_GEMINI, OP_GEMINI_EMBED},
    {"POST", "/v1/models/{m}:batchEmbedContents", CLIENT_GEMINI,
	OP_GEMINI_EMBED},
    {"GET", "/v1/models/{id}", CLIENT_OPENAI, OP_MODEL},
    {"GET, DELETE", "/v1/responses/{id}", CLIENT_OPENAI, OP_RESPONSE_GET},
    {"POST", "/v1/responses/{id}/cancel", CLIENT_OPENAI, OP_RESPONSE_CANCEL},
    {"GET", "/v1/responses/{id}/input_items", CLIENT_OPENAI, OP_RESPONSE_ITEMS},
    {"POST", "/v1beta/models/{m}:countTokens", CLIENT_GEMINI,
	OP_GEMINI_COUNT_TOKENS},
    {"POST", "/v1beta/models/{m}:embedContent", CLIENT_GEMINI, OP_GEMINI_EMBED},
    {"POST", "/v1beta/models/{m}:batchEmbedContents", CLIENT_GEMINI,
	OP_GEMINI_EMBED},
    {"GET", "/v1beta/models", CLIENT_GEMINI, OP_MODELS},
    {"GET", "/v1beta/models/{m}", CLIENT_GEMINI, OP_MODEL},
    {"POST", "/openai/deployments/{d}/chat/completions", CLIENT_OPENAI,
	OP_CHAT},
    {"POST", "/openai/deployments/{d}/completions", CLIENT_OPENAI,
	OP_COMPLETIONS},
    {"POST", "/openai/deployments/{d}/embeddings", CLIENT_OPENAI,
	OP_EMBEDDINGS},
    {"POST", "/openai/deployments/{d}/images/generations", CLIENT_OPENAI,
	OP_IMAGES},
    {"POST", "/openai/deployments/{d}/images/edits", CLIENT_OPENAI,
	OP_IMAGE_EDITS},
    {"POST", "/openai/deployments/{d}/audio/transcriptions", CLIENT_OPENAI,
	OP_TRANSCRIPTIONS},
    {"POST", "/openai/deployments/{d}/audio/translations", CLIENT_OPENAI,
	OP_TRANSLATIONS},
    {"POST", "/openai/deployments/{d}/audio/speech", CLIENT_OPENAI, OP_SPEECH},
};
#define SURFACE_N_ROWS (sizeof(surface_rows) / sizeof(surface_rows[0]))

bool
surface_row(unsigned i, struct surface_doc *ret)
{
	if (i >= SURFACE_N_ROWS)
		return false;
	*ret = surface_rows[i];
	return true;
}

static bool
surface_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* Take a segment's harmless bytes off *path into dst. colon: may it hold ':'?
 * False when there is none, or when it is too long or only dots. */
static bool
surface_segment(struct str *path, bool colon, char *dst, size_t cap)
{
	size_t n = 0, dots = 0;
	char c;

	while (n < path->len) {
		c = path->p[n];
		if (!surface_is_alnum(c) && c != '.' && c != '_' && c != '-' &&
		    c != '@' && (c != ':' || !colon))
			break;
		dots += c == '.';
		n++;
	}
	if (n == 0 || n == dots || n >= cap)
		return false;
	memcpy(dst, path->p, n);
	dst[n] = '\0';
	path->p += n;
	path->len -= n;
	return true;
}

static bool
surface_literal(struct str *path, const char **at, const char *stop)
{
	size_t n = (size_t)(stop - *at);

	if (path->len < n || memcmp(path->p, *at, n) != 0)
		return false;
	path->p += n;
	path->len -= n;
	*at = stop;
	return true;
}

/* Does the whole path fit the pattern? */
static bool
surface_matches(const char *pattern, struct str path, struct surface *s)
{
	const char *at = pattern, *end = pattern + strlen(pattern), *hole;
	bool id;

	while (at < end) {
		hole = strchr(at, '{');
		if (hole == NULL)
			return surface_literal(&path, &at, end) &&
			       path.len == 0;
		if (!surface_literal(&path, &at, hole))
			return false;
		id = hole[1] == 'i';
		if (id && !surface_segment(&path, true, s->id, sizeof(s->id)))
			return false;
		if (!id &&
		    !surface_segment(&path, false, s->model, sizeof(s->model)))
			return false;
		at = strchr(hole, '}') + 1;
	}
	return path.len == 0;
}

/* "/openai/v1/..." and "/openai/responses" are the same as "/v1/...". */
static const char *
surface_alias(struct str path, struct str *rest)
{
	static const struct str v1 = {"/openai/v1/", 11};
	static const struct str classic[] = {
	    {"/openai/responses", 17}, {"/openai/models", 14}};
	size_t i;

	if (str_starts(path, v1)) {
		*rest = str_make(path.p + 7, path.len - 7);
		return "";
	}
	for (i = 0; i < sizeof(classic) / sizeof(classic[0]); i++) {
		if (str_starts(path, classic[i])) {
			*rest = str_make(path.p + 7, path.len - 7);
			return "/v1";
		}
	}
	*rest = path;
	return NULL;
}

static bool
surface_row_fits(const struct surface_doc *row, struct str path,
    const char *alias, struct surface *s)
{
	size_t skip = alias != NULL ? strlen(alias) : 0;

	s->model[0] = s->id[0] = '\0';
	if (alias != NULL && (row->client != CLIENT_OPENAI ||
				 strncmp(row->path, "/v1/", 4) != 0))
		return false;
	return surface_matches(row->path + skip, path, s);
}

static void
surface_query(struct str query, struct surface *s)
{
	struct str field, name, value;
	bool more = query.len > 0;

	while (more) {
		more = str_cut(query, '&', &field, &query);
		(void)str_cut(field, '=', &name, &value);
		if (str_eq(name, STR("key"))) {
			s->n_key++;
			s->key = value;
		} else if (str_eq(name, STR("alt"))) {
			s->sse = str_eq(value, STR("sse"));
		}
	}
}

static enum client_dialect
surface_guess(struct str path)
{
	if (str_starts(path, STR("/v1beta/")))
		return CLIENT_GEMINI;
	if (str_starts(path, STR("/v1/messages")))
		return CLIENT_ANTHROPIC;
	return CLIENT_OPENAI;
}

int
surface_find(struct str target, struct surface *s)
{
	struct str path, query, rest;
	const struct surface_doc *row;
	const char *alias;
	size_t i;

	memset(s, 0, sizeof(*s));
	(void)str_cut(target, '?', &path, &query);
	surface_query(query, s);
	alias = surface_alias(path, &rest);
	for (i = 0; i < SURFACE_N_ROWS; i++) {
		row = &surface_rows[i];
		if (!surface_row_fits(row, rest, alias, s))
			continue;
		s->client = row->client;
		s->op = row->op;
		s->path_stream = strstr(row->path, ":stream") != NULL;
		s->batch = strstr(row->path, ":batch") != NULL;
		if (s->op == OP_MODEL && s->model[0] == '\0') {
			if (str_copy(
				str_of(s->id), s->model, sizeof(s->model)) != 0)
				break;
			s->id[0] = '\0';
		}
		return 0;
	}
	s->client = surface_guess(path);
	s->model[0] = s->id[0] = '\0';
	return ERR_NOT_FOUND;
}

bool
surface_takes(struct surface *s, struct str method)
{
	if (s->op == OP_RESPONSE_GET && str_eq(method, STR("DELETE"))) {
		s->op = OP_RESPONSE_DELETE;
		return true;
	}
	if (s->op == OP_RESPONSE_CANCEL)
		return str_eq(method, STR("POST"));
	return str_eq(method, op_has_no_body(s->op) ? STR("GET") : STR("POST"));
}

const char *
surface_allow(const struct surface *s)
{
	if (s->op == OP_RESPONSE_GET || s->op == OP_RESPONSE_DELETE)
		return "GET, DELETE";
	return op_has_no_body(s->op) && s->op != OP_RESPONSE_CANCEL ? "GET"
								    : "POST";
}
