/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error table's look-ups, struct error and the failure of an invariant.
 * Text that goes into a struct error may come from outside, so it is cleaned
 * here once: whoever prints it need not think of forged lines.
 */
#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/utf8.h"

struct err_row {
	int code;
	const char *name;
	int http;
	int exit_code;
	const char *text;
};

static const struct err_row err_rows[] = {
#define X(e, num, name, http, exit_code, text) \
	{num, name, http, exit_code, text},
    ERR_TABLE(X)
#undef X
};
#define ERR_N_ROWS (sizeof(err_rows) / sizeof(err_rows[0]))

static const struct err_row *
err_find(int code)
{
	size_t i;

	for (i = 0; i < ERR_N_ROWS; i++)
		if (err_rows[i].code == code)
			return &err_rows[i];
	return NULL;
}

/* Control characters (C0, DEL, C1, line and paragraph separator) and bytes
 * that are no UTF-8, also a character cut by truncation, become '?'. */
static void
err_clean(char *z)
{
	const char *end = z + strlen(z);
	char *p = z;

	while (p < end) {
		unsigned n = utf8_char_len(p, end);
		unsigned char c = (unsigned char)*p;

		if (n == 0 || c < 0x20 || c == 0x7f) {
			*p++ = '?';
			continue;
		}
		if ((n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0) ||
		    (n == 3 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 ||
				   memcmp(p, "\xe2\x80\xa9", 3) == 0)))
			memset(p, '?', n);
		p += n;
	}
}

static void err_vset(struct error *e, int code, const char *field,
    const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

static void
err_vset(
    struct error *e, int code, const char *field, const char *fmt, va_list ap)
{
	char text[sizeof(e->text)];
	char name[sizeof(e->field)];

	/* The arguments may point into e: format first, then write. */
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)snprintf(name, sizeof(name), "%s", field ? field : "");
	err_clean(text);
	err_clean(name);
	e->code = code;
	memcpy(e->text, text, sizeof(text));
	memcpy(e->field, name, sizeof(name));
}

int
err_set(struct error *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	va_start(ap, fmt);
	err_vset(e, code, NULL, fmt, ap);
	va_end(ap);
	return code;
}

int
err_set_field(
    struct error *e, int code, const char *field, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	va_start(ap, fmt);
	err_vset(e, code, field, fmt, ap);
	va_end(ap);
	return code;
}

int
err_wrap(struct error *e, const char *fmt, ...)
{
	char text[2 * sizeof(e->text) + 2];
	va_list ap;
	int n;

	if (e == NULL)
		return ERR_OK;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(e->text))
		n = sizeof(e->text) - 1;
	(void)snprintf(text + n, sizeof(text) - (size_t)n, ": %s", e->text);
	text[sizeof(e->text) - 1] = '\0';
	err_clean(text);
	memcpy(e->text, text, sizeof(e->text));
	return e->code;
}

const char *
err_name(int code)
{
	const struct err_row *r = err_find(code);

	if (code == ERR_OK)
		return "ok";
	return r ? r->name : "unknown";
}

const char *
err_text(int code)
{
	const struct err_row *r = err_find(code);

	if (code == ERR_OK)
		return "no error";
	return r ? r->text : "unknown error";
}

int
err_http_status(int code)
{
	const struct err_row *r = err_find(code);

	if (code == ERR_OK)
		return 200;
	return r ? r->http : 500;
}

int
err_exit_code(int code)
{
	const struct err_row *r = err_find(code);

	if (code == ERR_OK)
		return 0;
	return r ? r->exit_code : 1;
}

int
err_from_name(const char *name)
{
	size_t i;

	for (i = 0; name != NULL && i < ERR_N_ROWS; i++)
		if (strcmp(err_rows[i].name, name) == 0)
			return err_rows[i].code;
	return ERR_OK;
}

int
err_from_errno(int errnum)
{
	switch (errnum < 0 ? -errnum : errnum) {
	case 0:
		return ERR_OK;
	case ENOMEM:
		return ERR_NOMEM;
	case EINVAL:
	case ENAMETOOLONG:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
		return ERR_INVALID;
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
	case EADDRINUSE:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_FORBIDDEN;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
		return ERR_LIMIT;
	case E2BIG:
	case EFBIG:
	case EMSGSIZE:
	case EOVERFLOW:
		return ERR_TOO_LARGE;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case EAGAIN:
	case EINTR:
	case EBUSY:
		return ERR_AGAIN;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ENOTCONN:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EADDRNOTAVAIL:
		return ERR_UNAVAILABLE;
	case ENOSYS:
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		return ERR_UNSUPPORTED;
	default:
		return ERR_IO;
	}
}

void
must_fail(const char *cond, const char *file, int line, const char *func)
{
	void *frames[64];
	int n;

	(void)fprintf(stderr, "%s:%d: %s: invariant broken: %s\n", file, line,
	    func, cond);
	n = backtrace(frames, (int)(sizeof(frames) / sizeof(frames[0])));
	backtrace_symbols_fd(frames, n, STDERR_FILENO);
	abort();
}
