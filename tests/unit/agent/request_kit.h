/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of client codecs: read a request, and say what must come of it.
 * main() says in `kit` which codec it is.
 */
#ifndef TESTS_UNIT_AGENT_REQUEST_KIT_H
#define TESTS_UNIT_AGENT_REQUEST_KIT_H

#include <stdio.h>
#include <string.h>

#include "agent/dialect/codec.h"
#include "tests/unit/support/unit.h"

static struct {
	const struct codec_client *codec;
	const char *model; /* of the path, and whether that asks for a stream */
	bool stream;
	const char *body; /* a good one without its end */
} kit;
static struct arena arena;
static struct ir_request req;
static struct error err;

static inline int
try_read(const char *body)
{
	arena_release(&arena);
	arena_init(&arena, 4096, (size_t)64 << 20);
	ir_request_init(&req, &arena);
	memset(&err, 0, sizeof(err));
	ck_assert_msg(json_validate(str_of(body), NULL, &err) == 0, "%s: %s",
	    err.text, body);
	return kit.codec->read(
	    str_of(body), str_of(kit.model), kit.stream, &req, &err);
}

static inline void
good(const char *body)
{
	int rc = try_read(body);

	ck_assert_msg(rc == 0, "%d %s: %s", rc, err.field, err.text);
}

static inline void
bad(const char *body, const char *field)
{
	int rc = try_read(body);

	ck_assert_msg(rc == ERR_INVALID, "%d: %s", rc, body);
	ck_assert_str_eq(err.field, field);
	ck_assert(err.text[0] != '\0');
}

/* A good body with nothing but the members at its end. */
static inline void
with(const char *members)
{
	static char body[4096]; /* what was read points into it */

	snprintf(body, sizeof(body), "%s,%s}", kit.body, members);
	good(body);
}

static inline void
bad_with(const char *members, const char *field)
{
	static char body[4096]; /* what was read points into it */

	snprintf(body, sizeof(body), "%s,%s}", kit.body, members);
	bad(body, field);
}

/* One thing that the neutral form does not know, by its name. */
static inline void
other(const char *members, const char *name)
{
	with(members);
	ck_assert_msg(req.n_others == 1, "%s", members);
	ck_assert_str_eq(req.others[0], name);
}

#endif
