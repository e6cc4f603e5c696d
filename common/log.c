/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log. A line is built in an array on the stack (so that running
 * out of memory can be logged) and written with one write(2). What comes from
 * outside is escaped in both formats: no value can end a line, start an
 * escape sequence of a terminal or forge a field. A line that would be too
 * long loses its last fields and says so.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

#define LOG_LINE_MAX  8192 /* bytes of a line, newline included */
#define LOG_VALUE_MAX 2048 /* bytes of one value before escaping */
#define LOG_MSG_MAX   1024 /* the same for a message: always fits escaped */
#define LOG_TAIL      64   /* kept free for the mark of a cut line */

static char log_program[64] = "";
static _Atomic int log_min = LOG_INFO;
static _Atomic int log_fmt = LOG_TEXT;
static void (*log_capture_fn)(void *ctx, const char *line, size_t len);
static void *log_capture_ctx;

static const char *const log_level_names[] = {"debug", "info", "warn", "error"};
static const char *const log_format_names[] = {"text", "json"};

void
log_init(const char *program, enum log_level min, enum log_format fmt)
{
	(void)snprintf(log_program, sizeof(log_program), "%s", program);
	atomic_store(&log_min, (int)min);
	atomic_store(&log_fmt, (int)fmt);
}

bool
log_enabled(enum log_level level)
{
	return (int)level >=
	       atomic_load_explicit(&log_min, memory_order_relaxed);
}

int
log_level_parse(const char *s, enum log_level *ret)
{
	int i;

	for (i = LOG_DEBUG; i <= LOG_ERROR; i++)
		if (strcmp(s, log_level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	return ERR_INVALID;
}

int
log_format_parse(const char *s, enum log_format *ret)
{
	int i;

	for (i = LOG_TEXT; i <= LOG_JSON; i++)
		if (strcmp(s, log_format_names[i]) == 0) {
			*ret = (enum log_format)i;
			return 0;
		}
	return ERR_INVALID;
}

void
log_capture(void (*fn)(void *ctx, const char *line, size_t len), void *ctx)
{
	log_capture_fn = fn;
	log_capture_ctx = ctx;
}

/* At most max bytes, not cutting a character. */
static struct str
log_clip(struct str s, size_t max)
{
	if (s.len <= max)
		return s;
	s.len = max;
	while (s.len > max - 4 && (s.p[s.len] & 0xc0) == 0x80)
		s.len--;
	return s;
}

/* Text format: bare where that is unambiguous, else as a JSON string. */
static void
log_text_value(struct buf *b, struct str s)
{
	bool bare = s.len > 0;
	size_t i;

	for (i = 0; i < s.len && bare; i++) {
		unsigned char c = (unsigned char)s.p[i];

		bare =
		    c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
	}
	if (bare)
		(void)buf_add_str(b, s);
	else
		(void)buf_add_json(b, s);
}

static void
log_string(struct buf *b, struct str s, enum log_format fmt)
{
	bool cut = s.len > LOG_VALUE_MAX;

	s = log_clip(s, LOG_VALUE_MAX);
	if (s.p == NULL && fmt == LOG_JSON)
		(void)buf_addz(b, "null");
	else if (fmt == LOG_JSON)
		(void)buf_add_json(b, s);
	else
		log_text_value(b, s);
	if (!cut)
		return;
	if (b->len > 0 && b->error == 0 && b->data[b->len - 1] == '"') {
		b->len--;
		(void)buf_addz(b, "...\"");
	} else {
		(void)buf_addz(b, "...");
	}
}

static void
log_value(struct buf *b, const struct log_field *f, enum log_format fmt)
{
	switch (f->type) {
	case LF_STR:
		log_string(b, str_of(f->v.z), fmt);
		break;
	case LF_SLICE:
		log_string(b, f->v.s, fmt);
		break;
	case LF_I64:
		(void)buf_add_i64(b, f->v.i);
		break;
	case LF_BOOL:
		(void)buf_addz(b, f->v.b ? "true" : "false");
		break;
	case LF_SECRET:
	default:
		(void)buf_addz(
		    b, fmt == LOG_JSON ? "\"[secret]\"" : "[secret]");
		break;
	}
}

static void
log_field(struct buf *b, const struct log_field *f, enum log_format fmt)
{
	struct str key = str_of(f->key ? f->key : "");

	if (fmt == LOG_JSON) {
		(void)buf_addc(b, ',');
		(void)buf_add_json(b, key);
		(void)buf_addc(b, ':');
	} else {
		(void)buf_addc(b, ' ');
		log_text_value(b, key);
		(void)buf_addc(b, '=');
	}
	log_value(b, f, fmt);
}

static void
log_head(
    struct buf *b, enum log_level level, const char *msg, enum log_format fmt)
{
	struct str m = log_clip(str_of(msg), LOG_MSG_MAX);
	char now[32];

	time_format(clock_wall(clock_system()), 1, now);
	if (fmt == LOG_JSON) {
		(void)buf_addf(b, "{\"time\":\"%s\",\"level\":\"%s\"", now,
		    log_level_names[level]);
		(void)buf_addz(b, ",\"program\":");
		(void)buf_add_json(b, str_of(log_program));
		(void)buf_addz(b, ",\"msg\":");
		(void)buf_add_json(b, m);
	} else {
		(void)buf_addf(b, "%s %-5s %s: ", now, log_level_names[level],
		    log_program);
		(void)buf_add_escaped(b, m);
	}
}

static void
log_emit(const char *p, size_t n)
{
	if (log_capture_fn != NULL) {
		log_capture_fn(log_capture_ctx, p, n);
		return;
	}
	while (n > 0) {
		ssize_t k = write(STDERR_FILENO, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return; /* nowhere to complain */
		p += k;
		n -= (size_t)k;
	}
}

void
log_write(enum log_level level, const char *msg, const struct log_field *fields,
    size_t n)
{
	enum log_format fmt = (enum log_format)atomic_load(&log_fmt);
	char line[LOG_LINE_MAX];
	struct buf b = {.data = line, .cap = sizeof(line)};
	int saved = errno;
	size_t i;

	if (!log_enabled(level))
		return;
	/* The limit is below cap: the buffer never grows, so never allocates.
	 */
	b.max = sizeof(line) - LOG_TAIL;
	log_head(&b, level, msg, fmt);
	for (i = 1; i < n && b.error == 0; i++) {
		size_t before = b.len;

		log_field(&b, &fields[i], fmt);
		if (b.error != 0)
			b.len = before;
	}
	b.max = sizeof(line) - 1;
	if (b.error != 0) {
		b.error = 0;
		(void)buf_addz(&b, fmt == LOG_JSON ? ",\"truncated\":true"
						   : " truncated=true");
	}
	(void)buf_addz(&b, fmt == LOG_JSON ? "}\n" : "\n");
	log_emit(b.data, b.len);
	errno = saved;
}
