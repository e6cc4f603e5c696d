/* SPDX-License-Identifier: Apache-2.0 */
/* See media.h. */
#include "agent/dialect/media.h"

#define OFFICE "application/vnd.openxmlformats-officedocument."

/* The first of several with one mime or extension wins. */
static const struct media_type media_types[] = {
    {"image/png", "png", "png", IR_IMAGE},
    {"image/jpeg", "jpeg", "jpg", IR_IMAGE},
    {"image/jpg", "jpeg", "jpeg", IR_IMAGE},
    {"image/gif", "gif", "gif", IR_IMAGE},
    {"image/webp", "webp", "webp", IR_IMAGE},
    {"application/pdf", "pdf", "pdf", IR_DOCUMENT},
    {"text/csv", "csv", "csv", IR_DOCUMENT},
    {"application/msword", "doc", "doc", IR_DOCUMENT},
    {OFFICE "wordprocessingml.document", "docx", "docx", IR_DOCUMENT},
    {"application/vnd.ms-excel", "xls", "xls", IR_DOCUMENT},
    {OFFICE "spreadsheetml.sheet", "xlsx", "xlsx", IR_DOCUMENT},
    {"text/html", "html", "html", IR_DOCUMENT},
    {"text/plain", "txt", "txt", IR_DOCUMENT},
    {"text/markdown", "md", "md", IR_DOCUMENT},
    {"audio/mpeg", "mp3", "mp3", IR_AUDIO},
    {"audio/mp3", "mp3", "mp3", IR_AUDIO},
    {"audio/wav", "wav", "wav", IR_AUDIO},
    {"audio/x-wav", "wav", "wav", IR_AUDIO},
    {"audio/flac", "flac", "flac", IR_AUDIO},
    {"audio/ogg", "ogg", "ogg", IR_AUDIO},
    {"audio/opus", "opus", "opus", IR_AUDIO},
    {"audio/aac", "aac", "aac", IR_AUDIO},
    {"audio/mp4", "m4a", "m4a", IR_AUDIO},
    {"video/mp4", "mp4", "mp4", IR_VIDEO},
    {"video/quicktime", "mov", "mov", IR_VIDEO},
    {"video/x-matroska", "mkv", "mkv", IR_VIDEO},
    {"video/webm", "webm", "webm", IR_VIDEO},
    {"video/x-flv", "flv", "flv", IR_VIDEO},
    {"video/mpeg", "mpeg", "mpeg", IR_VIDEO},
    {"video/x-ms-wmv", "wmv", "wmv", IR_VIDEO},
    {"video/3gpp", "three_gp", "3gp", IR_VIDEO},
};
#define MEDIA_N (sizeof(media_types) / sizeof(media_types[0]))

/* The first bytes of well-known formats, as base64. */
static const struct {
	const char *head;
	const char *mime;
} media_heads[] = {
    {"iVBORw0KGgo", "image/png"},
    {"/9j/", "image/jpeg"},
    {"R0lGOD", "image/gif"},
    {"JVBERi0", "application/pdf"},
};

struct str
media_plain(struct arena *a, struct str esc)
{
	struct str s;

	if (str_find(esc, '\\') < 0)
		return esc;
	s = ir_plain(a, esc);
	return s.p != NULL ? s : STR("");
}

static const struct media_type *
media_by_mime(struct str mime)
{
	struct str head, rest;
	size_t i;

	(void)str_cut(mime, ';', &head, &rest);
	head = str_trim(head);
	for (i = 0; i < MEDIA_N; i++)
		if (str_ieq(head, str_of(media_types[i].mime)))
			return &media_types[i];
	return NULL;
}

/* By the extension of a file name or of an URL's path. */
static const struct media_type *
media_by_name(struct str name)
{
	struct str ext, rest;
	size_t i;

	(void)str_cut(name, '?', &name, &rest);
	(void)str_cut(name, '#', &name, &rest);
	for (i = name.len; i > 0 && name.p[i - 1] != '.'; i--)
		if (name.p[i - 1] == '/')
			return NULL;
	if (i == 0)
		return NULL;
	ext = str_make(name.p + i, name.len - i);
	for (i = 0; i < MEDIA_N; i++)
		if (str_ieq(ext, str_of(media_types[i].ext)))
			return &media_types[i];
	return NULL;
}

static const struct media_type *
media_by_data(struct str data)
{
	char text[24];
	struct str head = {text, 0};
	size_t i;

	for (i = 0; i < data.len && head.len < sizeof(text); i++) {
		if (data.p[i] == '\\') {
			if (i + 1 == data.len || data.p[i + 1] != '/')
				break;
			i++;
		}
		text[head.len++] = data.p[i];
	}
	for (i = 0; i < sizeof(media_heads) / sizeof(media_heads[0]); i++)
		if (str_starts(head, str_of(media_heads[i].head)))
			return media_by_mime(str_of(media_heads[i].mime));
	/* "RIFF", four bytes of length, "WEBP": its last three. */
	if (str_starts(head, STR("UklGR")) && head.len >= 16 &&
	    memcmp(head.p + 12, "RUJQ", 4) == 0)
		return media_by_mime(STR("image/webp"));
	return NULL;
}

const struct media_type *
media_of(struct arena *a, const struct ir_part *p)
{
	const struct media_type *t = NULL;

	if (p->mime.len > 0)
		return media_by_mime(media_plain(a, p->mime));
	if (p->filename.len > 0)
		t = media_by_name(media_plain(a, p->filename));
	if (t == NULL && p->url.len > 0)
		t = media_by_name(media_plain(a, p->url));
	if (t == NULL && p->data.len > 0)
		t = media_by_data(p->data);
	return t;
}

struct str
media_mime(struct arena *a, const struct ir_part *p)
{
	const struct media_type *t;

	if (p->mime.len > 0)
		return p->mime;
	t = media_of(a, p);
	return t != NULL ? str_of(t->mime) : STR("");
}
