/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small JSON writer over a buffer: puts the commas where they belong. The
 * buffer's error is sticky, so nothing here is checked one by one. "esc" text
 * is content of a JSON string already (ir.h) and is copied as it is.
 */
#ifndef AGENT_DIALECT_JW_H
#define AGENT_DIALECT_JW_H

#include <stdbool.h>

#include "common/buf.h"

struct jw {
	struct buf *b;
	bool comma; /* something stands before on this level */
};

static inline void
jw_sep(struct jw *w)
{
	if (w->comma)
		(void)buf_addc(w->b, ',');
	w->comma = true;
}

/* c: '{' or '['. */
static inline void
jw_open(struct jw *w, char c)
{
	jw_sep(w);
	(void)buf_addc(w->b, c);
	w->comma = false;
}

/* c: '}' or ']'. */
static inline void
jw_close(struct jw *w, char c)
{
	(void)buf_addc(w->b, c);
	w->comma = true;
}

/* name: a plain name that needs no escapes. */
static inline void
jw_name(struct jw *w, const char *name)
{
	jw_sep(w);
	(void)buf_addc(w->b, '"');
	(void)buf_addz(w->b, name);
	(void)buf_add(w->b, "\":", 2);
	w->comma = false;
}

static inline void
jw_raw(struct jw *w, struct str json)
{
	jw_sep(w);
	(void)buf_add_str(w->b, json);
}

static inline void
jw_esc(struct jw *w, struct str esc)
{
	jw_sep(w);
	(void)buf_addc(w->b, '"');
	(void)buf_add_str(w->b, esc);
	(void)buf_addc(w->b, '"');
}

static inline void
jw_plain(struct jw *w, struct str plain)
{
	jw_sep(w);
	(void)buf_add_json(w->b, plain);
}

static inline void
jw_i64(struct jw *w, int64_t v)
{
	jw_sep(w);
	(void)buf_add_i64(w->b, v);
}

static inline void
jw_name_open(struct jw *w, const char *name, char c)
{
	jw_name(w, name);
	jw_open(w, c);
}

static inline void
jw_name_esc(struct jw *w, const char *name, struct str esc)
{
	jw_name(w, name);
	jw_esc(w, esc);
}

static inline void
jw_name_raw(struct jw *w, const char *name, struct str json)
{
	jw_name(w, name);
	jw_raw(w, json);
}

/* value: constant text without anything to escape. */
static inline void
jw_name_z(struct jw *w, const char *name, const char *value)
{
	jw_name_esc(w, name, str_of(value));
}

static inline void
jw_name_i64(struct jw *w, const char *name, int64_t v)
{
	jw_name(w, name);
	jw_i64(w, v);
}

static inline void
jw_name_bool(struct jw *w, const char *name, bool v)
{
	jw_name_raw(w, name, v ? STR("true") : STR("false"));
}

/* Left out when empty. */
static inline void
jw_opt_esc(struct jw *w, const char *name, struct str esc)
{
	if (esc.len > 0)
		jw_name_esc(w, name, esc);
}

static inline void
jw_opt_raw(struct jw *w, const char *name, struct str json)
{
	if (json.len > 0)
		jw_name_raw(w, name, json);
}

/* {"name":"esc"} */
static inline void
jw_one_esc(struct jw *w, const char *name, struct str esc)
{
	jw_open(w, '{');
	jw_name_esc(w, name, esc);
	jw_close(w, '}');
}

#endif
