/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log to stderr: JSON lines or text. Each line has a time, a
 * level, a message and typed fields. Values of type secret print as
 * "[secret]" whatever is done to them; there is no way to log a struct secret
 * otherwise. Thread-safe (one write(2) a line). common/ and proto/ never log.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* A secret value; the bytes are reached only through secret_expose(). */
struct secret {
	char *hidden; /* malloc'ed, NUL-terminated, mlock'ed if possible */
	size_t len;
};
int secret_set(struct secret *s, struct str value) MUST_CHECK; /* copies */
void secret_release(struct secret *s);			       /* zeroes */
struct str secret_expose(const struct secret *s);

struct log_field {
	const char *key;
	enum { LF_STR, LF_SLICE, LF_I64, LF_BOOL, LF_SECRET } type;
	union {
		const char *z;
		struct str s;
		int64_t i;
		bool b;
	} v;
};
#define LF(k, val)  ((struct log_field){k, LF_STR, {.z = (val)}})
#define LFS(k, val) ((struct log_field){k, LF_SLICE, {.s = (val)}})
#define LFI(k, val) ((struct log_field){k, LF_I64, {.i = (int64_t)(val)}})
#define LFB(k, val) ((struct log_field){k, LF_BOOL, {.b = (val)}})
#define LFX(k, sec) ((struct log_field){k, LF_SECRET, {.z = NULL}})

void log_init(const char *program, enum log_level min, enum log_format fmt);
/* log_event(LOG_INFO, "agent enrolled", LF("agent", id), LFI("n", 3)); */
#define log_event(level, msg, ...)                                   \
	log_write((level), (msg),                                    \
	    (const struct log_field[]){{0}, ##__VA_ARGS__},          \
	    sizeof((const struct log_field[]){{0}, ##__VA_ARGS__}) / \
		sizeof(struct log_field))
#define log_debug(msg, ...) log_event(LOG_DEBUG, msg, ##__VA_ARGS__)
#define log_info(msg, ...)  log_event(LOG_INFO, msg, ##__VA_ARGS__)
#define log_warn(msg, ...)  log_event(LOG_WARN, msg, ##__VA_ARGS__)
#define log_error(msg, ...) log_event(LOG_ERROR, msg, ##__VA_ARGS__)
/* fields[0] is a dummy (see log_event). */
void log_write(enum log_level level, const char *msg,
    const struct log_field *fields, size_t n);
bool log_enabled(enum log_level level);
int log_level_parse(const char *s, enum log_level *ret) MUST_CHECK;
int log_format_parse(const char *s, enum log_format *ret) MUST_CHECK;
/* For tests: send lines to a callback instead of stderr (NULL restores). */
void log_capture(
    void (*fn)(void *ctx, const char *line, size_t len), void *ctx);

#endif
