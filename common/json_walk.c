/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor over validated documents. Bounds are still respected everywhere
 * (a caller's mistake must not read outside the span), but nothing that the
 * validator has checked is checked again.
 */
#include "common/json.h"
#include "common/json_scan.h"
#include "common/utf8.h"

unsigned
json_decode_escape(const char **p, char dst[4])
{
	static const char from[] = "bfnrt";
	static const char to[] = "\b\f\n\r\t";
	const char *at = *p;
	const char *hit;
	uint32_t cp;

	if (at[1] != 'u') {
		hit = strchr(from, at[1]);
		dst[0] = hit && *hit ? to[hit - from] : at[1];
		*p = at + 2;
		return 1;
	}
	cp = (uint32_t)json_hex4(at + 2);
	*p = at + 6;
	if (cp >= 0xd800 && cp <= 0xdbff) {
		cp = 0x10000 + ((cp - 0xd800) << 10) +
		     ((uint32_t)json_hex4(at + 8) - 0xdc00);
		*p = at + 12;
	}
	return utf8_encode(cp, dst);
}

/* p is at an opening bracket; one past the closing one. */
static const char *
json_skip_container(const char *p, const char *end)
{
	unsigned depth = 0;

	while (p < end) {
		switch (*p++) {
		case '"':
			p = json_string_end(p, end) + 1;
			break;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return p;
			break;
		default:
			break;
		}
	}
	return end;
}

static const char *
json_skip_scalar(const char *p, const char *end)
{
	while (p < end && *p != ',' && *p != ']' && *p != '}' &&
	       !json_is_space(*p))
		p++;
	return p;
}

/* The value at p, which is not a space. */
static struct json
json_value_at(const char *p, const char *end)
{
	struct json v = {p, end, JSON_NULL};

	if (p >= end)
		return v;
	switch (*p) {
	case '{':
		v.type = JSON_OBJECT;
		v.end = json_skip_container(p, end);
		break;
	case '[':
		v.type = JSON_ARRAY;
		v.end = json_skip_container(p, end);
		break;
	case '"':
		v.type = JSON_STRING;
		v.end = json_string_end(p + 1, end) + 1;
		break;
	default:
		v.type = *p == 'n'		  ? JSON_NULL
			 : *p == 't' || *p == 'f' ? JSON_BOOL
						  : JSON_NUMBER;
		v.end = json_skip_scalar(p, end);
		break;
	}
	if (v.end > end)
		v.end = end;
	return v;
}

struct json
json_root(struct str valid)
{
	const char *p = valid.p;
	const char *end = valid.len ? valid.p + valid.len : valid.p;
	struct json v = {p, end, JSON_NULL};

	p = json_skip_space(p, end);
	while (end > p && json_is_space(end[-1]))
		end--;
	if (p < end && (*p == '{' || *p == '[')) {
		/* Nothing follows the root: its end needs no search. */
		v.type = *p == '{' ? JSON_OBJECT : JSON_ARRAY;
		v.p = p;
		v.end = end;
		return v;
	}
	return json_value_at(p, end);
}

struct json_iter
json_iter(struct json container)
{
	struct json_iter it = {container.p, container.end};

	if (container.type != JSON_OBJECT && container.type != JSON_ARRAY)
		it.p = it.end;
	return it;
}

/* Move behind '{', '[' or ',' to the next item; false behind the last. */
static bool
json_iter_item(struct json_iter *it)
{
	const char *p = json_skip_space(it->p, it->end);

	if (p < it->end && (*p == '{' || *p == '[' || *p == ',')) {
		p = json_skip_space(p + 1, it->end);
		if (p < it->end && *p != '}' && *p != ']') {
			it->p = p;
			return true;
		}
	}
	it->p = it->end;
	return false;
}

bool
json_next_member(struct json_iter *it, struct str *key, struct json *val)
{
	const char *p, *quote;

	if (!json_iter_item(it))
		return false;
	p = it->p;
	if (*p != '"') { /* not an object */
		it->p = it->end;
		return false;
	}
	quote = json_string_end(p + 1, it->end);
	*key = str_make(p + 1, (size_t)(quote - p - 1));
	p = json_skip_space(quote + 1, it->end);
	p = json_skip_space(p + 1, it->end); /* the colon */
	*val = json_value_at(p, it->end);
	it->p = val->end;
	return true;
}

bool
json_next_element(struct json_iter *it, struct json *val)
{
	if (!json_iter_item(it))
		return false;
	*val = json_value_at(it->p, it->end);
	it->p = val->end;
	return true;
}

bool
json_key_eq_slow(struct str raw_key, struct str name)
{
	const char *p = raw_key.p;
	const char *end = raw_key.p + raw_key.len;
	size_t at = 0;

	while (p < end) {
		char tmp[4];
		unsigned n = 1;

		if (*p == '\\')
			n = json_decode_escape(&p, tmp);
		else
			tmp[0] = *p++;
		if (n > name.len - at || memcmp(name.p + at, tmp, n) != 0)
			return false;
		at += n;
	}
	return at == name.len;
}

bool
json_get(struct json obj, struct str name, struct json *ret)
{
	struct json_iter it = json_iter(obj);
	struct json val;
	struct str key;

	if (obj.type != JSON_OBJECT)
		return false;
	while (json_next_member(&it, &key, &val)) {
		if (json_key_eq(key, name)) {
			*ret = val;
			return true;
		}
	}
	return false;
}

bool
json_path(struct json obj, const char *path, struct json *ret)
{
	struct str rest = str_of(path);
	bool more = true;

	while (more) {
		struct str name;

		more = str_cut(rest, '.', &name, &rest);
		if (!json_get(obj, name, &obj))
			return false;
	}
	*ret = obj;
	return true;
}

struct str
json_raw_string(struct json v)
{
	if (v.type != JSON_STRING || v.end - v.p < 2)
		return STR_NULL;
	return str_make(v.p + 1, (size_t)(v.end - v.p) - 2);
}

int
json_unescape(struct json v, struct buf *out)
{
	struct str raw = json_raw_string(v);
	const char *p = raw.p;
	const char *end = raw.len ? raw.p + raw.len : raw.p;

	if (v.type != JSON_STRING)
		return ERR_INVALID;
	(void)buf_reserve(out, 0);
	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		char tmp[4];
		unsigned n;

		if (slash == NULL)
			return buf_add(out, p, (size_t)(end - p));
		(void)buf_add(out, p, (size_t)(slash - p));
		n = json_decode_escape(&slash, tmp);
		(void)buf_add(out, tmp, n);
		p = slash;
	}
	return buf_error(out);
}

int
json_copy_string(struct json v, char *dst, size_t cap)
{
	struct str raw = json_raw_string(v);
	const char *p = raw.p;
	const char *end = raw.len ? raw.p + raw.len : raw.p;
	size_t len = 0;

	if (cap > 0)
		dst[0] = '\0';
	if (v.type != JSON_STRING)
		return ERR_INVALID;
	if (cap == 0)
		return ERR_TOO_LARGE;
	while (p < end) {
		char tmp[4];
		unsigned n = 1;

		if (*p == '\\')
			n = json_decode_escape(&p, tmp);
		else
			tmp[0] = *p++;
		if (tmp[0] == '\0' || n >= cap - len) {
			dst[0] = '\0';
			return tmp[0] == '\0' ? ERR_INVALID : ERR_TOO_LARGE;
		}
		memcpy(dst + len, tmp, n);
		len += n;
	}
	dst[len] = '\0';
	return 0;
}

int
json_to_i64(struct json v, int64_t *ret)
{
	if (v.type != JSON_NUMBER)
		return ERR_INVALID;
	return str_to_i64(str_make(v.p, (size_t)(v.end - v.p)), ret);
}

bool
json_is_true(struct json v)
{
	return v.type == JSON_BOOL && *v.p == 't';
}

size_t
json_raw_len(struct str raw)
{
	const char *p = raw.p, *end = p + raw.len, *slash;
	size_t n = raw.len;

	while (
	    p < end && (slash = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		char tmp[4];
		unsigned k;

		p = slash;
		k = json_decode_escape(&p, tmp);
		n -= (size_t)(p - slash) - k;
	}
	return n;
}

size_t
json_text_bytes(struct json v)
{
	const char *p = v.p;
	size_t n = 0;

	while (p < v.end && (p = memchr(p, '"', (size_t)(v.end - p)))) {
		const char *quote = json_string_end(p + 1, v.end);

		n += json_raw_len(str_make(p + 1, (size_t)(quote - p - 1)));
		p = quote + 1;
	}
	return n;
}
