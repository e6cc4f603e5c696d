/* SPDX-License-Identifier: Apache-2.0 */
/* See tags.h. */
#include "common/tags.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static bool
tags_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
tags_name_is_valid(struct str s)
{
	if (s.len == 0 || s.len > TAGS_NAME_MAX || !tags_is_alnum(s.p[0]))
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!tags_is_alnum(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' &&
		    s.p[i] != '-')
			return false;
	return true;
}

/* C0, DEL, and C1 as UTF-8 has it (C2 80 to C2 9F). */
static bool
tags_has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < s.len &&
		    (unsigned char)s.p[i + 1] < 0xa0)
			return true;
	}
	return false;
}

static bool
tags_is_text(struct str s, size_t max)
{
	return s.len > 0 && s.len <= max && !tags_has_control(s) &&
	       str_is_utf8(s);
}

bool
tags_value_is_valid(struct str s)
{
	return tags_is_text(s, TAGS_VALUE_MAX) && str_find(s, ',') < 0;
}

bool
tags_user_is_valid(struct str s)
{
	return tags_is_text(s, TAGS_USER_MAX);
}

bool
tags_next(const struct tags *t, size_t *at, struct str *name, struct str *value)
{
	const char *p = t->bytes + *at;
	size_t n;

	if (*at >= t->len)
		return false;
	n = (unsigned char)*p++;
	*name = str_make(p, n);
	p += n;
	n = (unsigned char)*p++;
	*value = str_make(p, n);
	*at = (size_t)(p + n - t->bytes);
	return true;
}

bool
tags_get(const struct tags *t, struct str name, struct str *value)
{
	struct str other;
	size_t at = 0;

	while (tags_next(t, &at, &other, value))
		if (str_eq(other, name))
			return true;
	return false;
}

bool
tags_have(const struct tags *t, const struct tags *wanted)
{
	struct str name, value, mine;
	size_t at = 0;

	while (tags_next(wanted, &at, &name, &value))
		if (!tags_get(t, name, &mine) || !str_eq(mine, value))
			return false;
	return true;
}

int
tags_add(struct tags *t, struct str name, struct str value)
{
	struct str old;
	char *p = t->bytes + t->len;

	if (name.len > UINT8_MAX || value.len > UINT8_MAX ||
	    t->len + 2 + name.len + value.len > sizeof(t->bytes))
		return ERR_TOO_LARGE;
	if (tags_get(t, name, &old))
		return ERR_EXISTS;
	*p++ = (char)name.len;
	memcpy(p, name.p, name.len);
	p += name.len;
	*p++ = (char)value.len;
	memcpy(p, value.p, value.len);
	t->len = (uint16_t)(t->len + 2 + name.len + value.len);
	t->n++;
	return 0;
}

static const char *
tags_read_one(struct tags *t, struct str item)
{
	struct str name, value;

	if (!str_cut(item, '=', &name, &value))
		return "x-headgate-tags must be name=value pairs";
	name = str_trim(name);
	value = str_trim(value);
	if (!tags_name_is_valid(name))
		return "a name in x-headgate-tags must have 1 to 32 of a-z "
		       "0-9 . _ -";
	if (str_eqz(name, TAGS_USER))
		return "x-headgate-tags must not name the user: "
		       "x-headgate-user does";
	if (!tags_value_is_valid(value))
		return "a value in x-headgate-tags must have 1 to 64 bytes of "
		       "text";
	return tags_add(t, name, value) == 0
		   ? NULL
		   : "x-headgate-tags names a tag twice";
}

const char *
tags_read(struct tags *t, struct str field)
{
	const char *why = NULL;
	struct str item;
	bool more = true;
	unsigned n = 0;

	if (field.len > TAGS_FIELD_MAX)
		return "x-headgate-tags must have at most 256 bytes";
	if (str_trim(field).len == 0)
		return NULL;
	while (why == NULL && more) {
		more = str_cut(field, ',', &item, &field);
		if (++n > TAGS_MAX)
			return "x-headgate-tags must have at most 8 tags";
		why = tags_read_one(t, item);
	}
	return why;
}

void
tags_add_user(struct tags *t, struct str user)
{
	unsigned char digest[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(digest) + 1], text[sizeof(hex) + 8];

	if (user.len == 0)
		return;
	if (!tags_user_is_valid(user)) {
		crypto_hash_sha256(
		    digest, (const unsigned char *)user.p, user.len);
		sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
		(void)snprintf(text, sizeof(text), "sha256:%s", hex);
		user = str_of(text);
	}
	/* There is room for one: TAGS_BYTES. */
	(void)!tags_add(t, STR(TAGS_USER), user);
}

static bool
tags_decode_part(struct str *bytes, size_t max, struct str *part)
{
	size_t n;

	if (bytes->len == 0)
		return false;
	n = (unsigned char)bytes->p[0];
	if (n == 0 || n > max || n > bytes->len - 1)
		return false;
	*part = str_make(bytes->p + 1, n);
	*bytes = str_make(bytes->p + 1 + n, bytes->len - 1 - n);
	return true;
}

int
tags_decode(struct tags *t, struct str bytes)
{
	struct str name, value;

	tags_clear(t);
	while (bytes.len > 0) {
		if (t->n > TAGS_MAX ||
		    !tags_decode_part(&bytes, TAGS_NAME_MAX, &name) ||
		    !tags_decode_part(&bytes, TAGS_USER_MAX, &value) ||
		    !tags_name_is_valid(name) || !tags_user_is_valid(value) ||
		    tags_add(t, name, value) != 0)
			return ERR_CORRUPT;
	}
	return 0;
}
