/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media and tool arguments in requests of OpenAI's dialects. Base64 is checked
 * here, because it goes on as the content of a JSON string of a stranger.
 */
#include "agent/dialect/openai_read.h"

/* Some clients escape slashes: to the shortest form, in which media types and
 * base64 have no escapes. */
static int
oaird_canonical(struct oaird *rd, struct str *s)
{
	struct str plain;

	if (s->len == 0 || memchr(s->p, '\\', s->len) == NULL)
		return 0;
	if (memmem(s->p, s->len, "\\u0000", 6) != NULL)
		return ERR_INVALID;
	plain = ir_plain(rd->r->arena, *s);
	if (plain.p == NULL)
		return ERR_NOMEM;
	*s = ir_escape(rd->r->arena, plain);
	return s->p != NULL ? 0 : ERR_NOMEM;
}

static bool
oaird_is_base64(struct str s)
{
	static const unsigned char kind[256] = {['A' ... 'Z'] = 1,
	    ['a' ... 'z'] = 1,
	    ['0' ... '9'] = 1,
	    ['+'] = 1,
	    ['/'] = 1};
	size_t i, n = s.len;

	while (n > 0 && s.len - n < 2 && s.p[n - 1] == '=')
		n--;
	if (n == 0)
		return false;
	for (i = 0; i < n; i++) {
		if (!kind[(unsigned char)s.p[i]])
			return false;
	}
	return true;
}

int
oaird_base64(struct oaird *rd, struct str data, const char *base,
    const char *name, struct ir_part *p)
{
	int rc = oaird_canonical(rd, &data);

	if (rc == ERR_NOMEM)
		return oaird_full(rd);
	if (rc != 0 || !oaird_is_base64(data))
		return oaird_bad(rd, base, name, "must hold base64");
	p->data = data;
	return 0;
}

static void
oaird_type_of_mime(struct ir_part *p)
{
	if (str_starts(p->mime, STR("image/")))
		p->type = IR_IMAGE;
	else if (str_starts(p->mime, STR("audio/")))
		p->type = IR_AUDIO;
	else if (str_starts(p->mime, STR("video/")))
		p->type = IR_VIDEO;
	else if (p->mime.len > 0)
		p->type = IR_DOCUMENT;
}

int
oaird_url(struct oaird *rd, struct str url, const char *base, const char *name,
    struct ir_part *p)
{
	struct str head, data, params;
	int rc = oaird_canonical(rd, &url);

	if (rc == ERR_NOMEM)
		return oaird_full(rd);
	if (rc != 0 || url.len == 0)
		return oaird_bad(rd, base, name, "must be a URL");
	if (url.len < 5 || !str_ieq(str_make(url.p, 5), STR("data:"))) {
		p->url = url;
		return 0;
	}
	url = str_make(url.p + 5, url.len - 5);
	if (!str_cut(url, ',', &head, &data) || !str_ends(head, STR(";base64")))
		return oaird_bad(
		    rd, base, name, "must be a data URL that holds base64");
	head.len -= sizeof(";base64") - 1;
	(void)str_cut(head, ';', &p->mime, &params);
	oaird_type_of_mime(p);
	return oaird_base64(rd, data, base, name, p);
}

void
oaird_guess_mime(struct ir_part *p)
{
	static const struct {
		const char *end, *mime;
	} known[] = {{".pdf", "application/pdf"}, {".txt", "text/plain"},
	    {".md", "text/markdown"}, {".csv", "text/csv"},
	    {".html", "text/html"}, {".json", "application/json"}};
	unsigned i;

	for (i = 0; p->mime.len == 0 && i < sizeof(known) / sizeof(known[0]);
	     i++) {
		if (str_ends(p->filename, str_of(known[i].end)))
			p->mime = str_of(known[i].mime);
	}
}

int
oaird_args(struct oaird *rd, struct json v, const char *base, const char *name,
    struct str *ret)
{
	struct str raw = json_raw_string(v);
	struct buf plain;
	struct str text = raw;
	int rc = 0;

	if (v.type == JSON_NULL || (v.type == JSON_STRING && raw.len == 0)) {
		*ret = STR("{}");
		return 0;
	}
	if (v.type != JSON_STRING)
		return oaird_bad(rd, base, name, "must be a string");
	buf_init(&plain, raw.len + 1);
	if (memchr(raw.p, '\\', raw.len) != NULL) {
		rc = json_unescape(v, &plain);
		text = buf_str(&plain);
	}
	if (rc == 0)
		rc = json_validate(text, &json_default_limits, NULL);
	if (rc == 0 && json_root(text).type != JSON_OBJECT)
		rc = ERR_INVALID;
	if (rc == 0) {
		struct json root = json_root(text);

		text = str_make(root.p, (size_t)(root.end - root.p));
		ret->p = arena_strdup(rd->r->arena, text);
		ret->len = text.len;
		rc = ret->p != NULL ? 0 : ERR_NOMEM;
	}
	buf_release(&plain);
	if (rc == ERR_NOMEM)
		return oaird_full(rd);
	if (rc != 0)
		return oaird_bad(rd, base, name,
		    "must be a string that holds a JSON object");
	return 0;
}
