/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing byte buffer with a limit that is given when it is made. Errors are
 * sticky: after a failed append (limit or memory) every later append fails
 * and buf_error() says why, so that a series of appends is checked once.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdint.h>

#include "common/str.h"

struct buf {
	char *data; /* NULL while empty; not terminated unless buf_cstr */
	size_t len;
	size_t cap;
	size_t max; /* limit for len in bytes */
	int error;  /* sticky ERR_TOO_LARGE or ERR_NOMEM */
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b); /* frees; b may be used again */
void buf_clear(struct buf *b);	 /* len and error to 0, keeps memory */
int buf_reserve(struct buf *b, size_t extra); /* room for extra bytes */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_add_str(struct buf *b, struct str s);
/* Inline, so that the length of a literal is known. */
static inline int
buf_addz(struct buf *b, const char *z)
{
	return buf_add(b, z, strlen(z));
}
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
int buf_add_i64(struct buf *b, int64_t v);
/* JSON string literal with quotes; invalid UTF-8 becomes U+FFFD. */
int buf_add_json(struct buf *b, struct str s);
/* The same without the quotes. */
int buf_add_escaped(struct buf *b, struct str s);
void buf_consume(struct buf *b, size_t n); /* drop n bytes from the front */
static inline int
buf_error(const struct buf *b)
{
	return b->error;
}
static inline struct str
buf_str(const struct buf *b)
{
	return (struct str){b->data, b->len};
}
/* NUL-terminated view, valid until the next change; "" on error. */
const char *buf_cstr(struct buf *b);
/* Ownership of the memory moves to the caller (free()); terminated by NUL; b
 * is empty afterwards. NULL, with the contents freed, after an error. */
char *buf_take(struct buf *b, size_t *len);

#endif
