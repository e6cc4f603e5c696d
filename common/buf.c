/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing byte buffer. Growth doubles, starting at 64 bytes, and one byte
 * beyond len is always kept for buf_cstr(), so that a full buffer can still
 * be terminated.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/utf8.h"

#define BUF_MIN 64

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void
buf_release(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

static int
buf_grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : BUF_MIN;
	char *p;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	p = realloc(b->data, cap);
	if (p == NULL) {
		b->error = ERR_NOMEM;
		return b->error;
	}
	b->data = p;
	b->cap = cap;
	return 0;
}

int
buf_reserve(struct buf *b, size_t extra)
{
	if (b->error != 0)
		return b->error;
	if (extra > b->max - b->len) {
		b->error = ERR_TOO_LARGE;
		return b->error;
	}
	if (b->len + extra + 1 <= b->cap)
		return 0;
	return buf_grow(b, b->len + extra + 1);
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	int rc = buf_reserve(b, n);

	if (rc != 0 || n == 0)
		return rc;
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

int
buf_add_str(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.len);
}

int
buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	size_t room;
	int n;

	if (b->error != 0)
		return b->error;
	/* First try in what is there: most texts are short. */
	room = b->cap - b->len;
	va_start(ap, fmt);
	n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->error = ERR_NOMEM;
		return b->error;
	}
	if (buf_reserve(b, (size_t)n) != 0)
		return b->error;
	if ((size_t)n >= room) {
		va_start(ap, fmt);
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
	return 0;
}

int
buf_add_i64(struct buf *b, int64_t v)
{
	char tmp[24];
	char *p = tmp + sizeof(tmp);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	if (v < 0)
		*--p = '-';
	return buf_add(b, p, (size_t)(tmp + sizeof(tmp) - p));
}

/* Does the character of n bytes at p go into a JSON string as it is? Beyond
 * what JSON demands, DEL, C1 controls and the Unicode line separators are
 * escaped, so that a log or a terminal that shows the text is safe. */
static bool
buf_is_plain(const char *p, unsigned n)
{
	unsigned char c = (unsigned char)*p;

	if (n == 1)
		return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
	if (n == 2)
		return c != 0xc2 || (unsigned char)p[1] >= 0xa0;
	if (n == 3)
		return memcmp(p, "\xe2\x80\xa8", 3) != 0 &&
		       memcmp(p, "\xe2\x80\xa9", 3) != 0;
	return n == 4;
}

static void
buf_add_escape(struct buf *b, const char *p, unsigned n)
{
	unsigned cp = (unsigned char)*p;

	if (n == 0)
		cp = 0xfffd;
	else if (n == 2)
		cp = (unsigned char)p[1];
	else if (n == 3)
		cp = p[2] == '\xa8' ? 0x2028 : 0x2029;
	switch (cp) {
	case '"':
		(void)buf_add(b, "\\\"", 2);
		break;
	case '\\':
		(void)buf_add(b, "\\\\", 2);
		break;
	case '\n':
		(void)buf_add(b, "\\n", 2);
		break;
	case '\r':
		(void)buf_add(b, "\\r", 2);
		break;
	case '\t':
		(void)buf_add(b, "\\t", 2);
		break;
	case 0xfffd:
		(void)buf_add(b, "\xef\xbf\xbd", 3);
		break;
	default:
		(void)buf_addf(b, "\\u%04x", cp);
		break;
	}
}

int
buf_add_escaped(struct buf *b, struct str s)
{
	const char *p = s.p;
	const char *run = s.p;
	const char *end = s.len ? s.p + s.len : s.p;

	while (p < end) {
		unsigned n = utf8_char_len(p, end);

		if (n != 0 && buf_is_plain(p, n)) {
			p += n;
			continue;
		}
		(void)buf_add(b, run, (size_t)(p - run));
		buf_add_escape(b, p, n);
		p += n ? n : 1;
		run = p;
	}
	return buf_add(b, run, (size_t)(p - run));
}

int
buf_add_json(struct buf *b, struct str s)
{
	(void)buf_addc(b, '"');
	(void)buf_add_escaped(b, s);
	return buf_addc(b, '"');
}

void
buf_consume(struct buf *b, size_t n)
{
	MUST(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
}

const char *
buf_cstr(struct buf *b)
{
	if (b->error != 0)
		return "";
	if (b->len == 0 && b->cap == 0)
		return "";
	b->data[b->len] = '\0'; /* the spare byte of buf_reserve() */
	return b->data;
}

char *
buf_take(struct buf *b, size_t *len)
{
	char *p = NULL;

	if (len != NULL)
		*len = b->error ? 0 : b->len;
	if (b->error == 0) {
		if (b->data == NULL && buf_reserve(b, 0) != 0)
			goto out;
		p = b->data;
		p[b->len] = '\0';
		b->data = NULL;
	}
out:
	buf_release(b);
	return p;
}
