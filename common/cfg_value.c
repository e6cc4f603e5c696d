/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing, checking and printing option values.
 */
#include <stdlib.h>

#include <sodium.h>

#include "common/cfg_value.h"
#include "common/io.h"

#define CFG_SECRET_FILE_MAX 65536

struct cfg_unit {
	const char *suffix;
	int64_t factor;
};

static const struct cfg_unit cfg_bytes[] = {
    {"TiB", INT64_C(1) << 40},
    {"GiB", INT64_C(1) << 30},
    {"MiB", INT64_C(1) << 20},
    {"KiB", INT64_C(1) << 10},
    {"B", 1},
    {"", 1},
    {NULL, 0},
};

static const struct cfg_unit cfg_durations[] = {
    {"d", INT64_C(86400000)},
    {"h", INT64_C(3600000)},
    {"m", INT64_C(60000)},
    {"s", INT64_C(1000)},
    {"ms", 1},
    {NULL, 0},
};

bool
cfg_value_is_text(enum cfg_type type)
{
	return type == CFG_STRING || type == CFG_LISTEN || type == CFG_SECRET;
}

const char *
cfg_value_kind(enum cfg_type type)
{
	static const char *const kinds[] = {
	    [CFG_STRING] = "string",
	    [CFG_INT] = "integer",
	    [CFG_BOOL] = "boolean",
	    [CFG_BYTES] = "bytes",
	    [CFG_DURATION] = "duration",
	    [CFG_LISTEN] = "host:port",
	    [CFG_SECRET] = "secret",
	};

	return kinds[type];
}

static const char *
cfg_value_expected(enum cfg_type type)
{
	switch (type) {
	case CFG_INT:
		return "a whole number";
	case CFG_BOOL:
		return "true or false";
	case CFG_BYTES:
		return "a size such as 16384, 16KiB or 8MiB";
	case CFG_DURATION:
		return "a duration such as 250ms, 5s, 2m or 1h";
	case CFG_LISTEN:
		return "HOST:PORT or [IPV6]:PORT";
	case CFG_STRING:
	case CFG_SECRET:
	default:
		return "text without control characters";
	}
}

static int
cfg_with_unit(struct str s, const struct cfg_unit *u, int64_t *ret)
{
	struct str number = s;
	struct str unit;
	size_t n = 0;
	int64_t v;

	while (n < s.len && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	number.len = n;
	unit = str_make(s.p + n, s.len - n);
	if (str_to_i64(number, &v) != 0)
		return ERR_INVALID;
	if (v == 0 && unit.len == 0) { /* zero needs no unit */
		*ret = 0;
		return 0;
	}
	for (; u->suffix != NULL; u++)
		if (str_eqz(unit, u->suffix)) {
			if (__builtin_mul_overflow(v, u->factor, ret))
				return ERR_INVALID;
			return 0;
		}
	return ERR_INVALID;
}

static int
cfg_bool(struct str s, bool *ret)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};
	size_t i;

	for (i = 0; i < 4; i++) {
		if (str_ieq(s, str_of(yes[i])) || str_ieq(s, str_of(no[i]))) {
			*ret = str_ieq(s, str_of(yes[i]));
			return 0;
		}
	}
	return ERR_INVALID;
}

static bool
cfg_host_char(char c, bool v6)
{
	if ((c >= '0' && c <= '9') || c == '.')
		return true;
	if (v6)
		return c == ':' || c == '%' || (c >= 'a' && c <= 'z') ||
		       (c >= 'A' && c <= 'F');
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
	       c == '_';
}

bool
cfg_listen_split(struct str s, struct str *host, uint16_t *port)
{
	bool v6 = s.len > 0 && s.p[0] == '[';
	size_t colon = s.len;
	uint64_t n;
	size_t i;

	while (colon > 0 && s.p[colon - 1] != ':')
		colon--;
	if (colon < 2)
		return false;
	*host = str_make(s.p, colon - 1);
	if (v6) {
		if (host->len < 4 || host->p[host->len - 1] != ']')
			return false;
		*host = str_make(host->p + 1, host->len - 2);
	}
	for (i = 0; i < host->len; i++)
		if (!cfg_host_char(host->p[i], v6))
			return false;
	if (v6 && str_find(*host, ':') < 0)
		return false;
	if (host->len > 253 || s.len - colon > 5 ||
	    str_to_u64(str_make(s.p + colon, s.len - colon), &n) != 0 ||
	    n > 65535)
		return false;
	*port = (uint16_t)n;
	return true;
}

static bool
cfg_text_ok(const struct cfg_option *o, struct str s)
{
	struct str host;
	uint16_t port;
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	if (!str_is_utf8(s))
		return false;
	if (o->type == CFG_LISTEN)
		return s.len == 0 || cfg_listen_split(s, &host, &port);
	return true;
}

static void *
cfg_target(const struct cfg_option *o, void *config)
{
	return (char *)config + o->offset;
}

static void
cfg_text_free(const struct cfg_option *o, char *z)
{
	if (z != NULL && o->type == CFG_SECRET)
		sodium_memzero(z, strlen(z));
	free(z);
}

void
cfg_value_release(const struct cfg_option *o, void *config)
{
	char *old;

	if (!cfg_value_is_text(o->type))
		return;
	memcpy(&old, cfg_target(o, config), sizeof(old));
	cfg_text_free(o, old);
	old = NULL;
	memcpy(cfg_target(o, config), &old, sizeof(old));
}

static int
cfg_set_text(const struct cfg_option *o, void *config, struct str text,
    const char *where, struct error *e)
{
	char *z = str_dup(text);

	if (z == NULL)
		return err_set_field(e, ERR_NOMEM, o->name,
		    "%s: %s: out of memory", where, o->name);
	cfg_value_release(o, config);
	memcpy(cfg_target(o, config), &z, sizeof(z));
	return 0;
}

static int
cfg_check_bounds(
    const struct cfg_option *o, int64_t v, const char *where, struct error *e)
{
	struct buf lo, hi;
	int rc = 0;

	if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
		return 0;
	buf_init(&lo, 64);
	buf_init(&hi, 64);
	cfg_value_print(&lo, o->type, o->min);
	cfg_value_print(&hi, o->type, o->max);
	rc = err_set_field(e, ERR_INVALID, o->name,
	    "%s: %s must be between %s and %s", where, o->name, buf_cstr(&lo),
	    buf_cstr(&hi));
	buf_release(&lo);
	buf_release(&hi);
	return rc;
}

/* The message for a value that is not of the option's type. */
static int
cfg_bad(const struct cfg_option *o, struct str text, const char *where,
    struct error *e)
{
	if (o->type == CFG_SECRET)
		return err_set_field(e, ERR_INVALID, o->name,
		    "%s: %s: expected %s", where, o->name,
		    cfg_value_expected(o->type));
	if (text.len > 80)
		text.len = 80;
	return err_set_field(e, ERR_INVALID, o->name,
	    "%s: %s: expected %s, got \"%.*s\"", where, o->name,
	    cfg_value_expected(o->type), STR_ARG(text));
}

int
cfg_value_set(const struct cfg_option *o, void *config, struct str text,
    const char *where, struct error *e)
{
	int64_t v = 0;
	bool flag;
	int rc;

	switch (o->type) {
	case CFG_STRING:
	case CFG_LISTEN:
	case CFG_SECRET:
		if (!cfg_text_ok(o, text))
			return cfg_bad(o, text, where, e);
		return cfg_set_text(o, config, text, where, e);
	case CFG_BOOL:
		if (cfg_bool(text, &flag) != 0)
			return cfg_bad(o, text, where, e);
		memcpy(cfg_target(o, config), &flag, sizeof(flag));
		return 0;
	case CFG_INT:
		rc = str_to_i64(text, &v);
		break;
	case CFG_BYTES:
		rc = cfg_with_unit(text, cfg_bytes, &v);
		break;
	case CFG_DURATION:
	default:
		rc = cfg_with_unit(text, cfg_durations, &v);
		break;
	}
	if (rc != 0)
		return cfg_bad(o, text, where, e);
	rc = cfg_check_bounds(o, v, where, e);
	if (rc != 0)
		return rc;
	memcpy(cfg_target(o, config), &v, sizeof(v));
	return 0;
}

int
cfg_value_set_file(const struct cfg_option *o, void *config, struct str path,
    const char *where, struct error *e)
{
	struct buf raw;
	struct str text;
	char *z;
	int rc;

	buf_init(&raw, CFG_SECRET_FILE_MAX);
	z = str_dup(path);
	if (z == NULL) {
		rc = err_set(e, ERR_NOMEM, "out of memory");
		goto out;
	}
	/* Room at once: a moved buffer would leave a copy of the secret. */
	rc = buf_reserve(&raw, CFG_SECRET_FILE_MAX);
	if (rc != 0) {
		err_set(e, rc, "out of memory");
		goto out;
	}
	rc = io_read_file(io_system(), z, &raw, e);
	if (rc != 0)
		goto out;
	text = buf_str(&raw);
	while (text.len > 0 &&
	       (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r'))
		text.len--;
	rc = cfg_value_set(o, config, text, where, e);
out:
	if (rc != 0 && (e == NULL || e->field[0] == '\0'))
		err_set_field(e, rc, o->name, "%s: %s-file: %s", where, o->name,
		    e ? e->text : "");
	if (raw.data != NULL)
		sodium_memzero(raw.data, raw.cap);
	buf_release(&raw);
	free(z);
	return rc;
}

void
cfg_value_print(struct buf *out, enum cfg_type type, int64_t v)
{
	const struct cfg_unit *u = type == CFG_BYTES	  ? cfg_bytes
				   : type == CFG_DURATION ? cfg_durations
							  : NULL;

	if (u == NULL || v <= 0) {
		(void)buf_add_i64(out, v);
		return;
	}
	/* The largest unit that leaves no remainder; plain bytes at last. */
	while (u[1].suffix != NULL && v % u->factor != 0)
		u++;
	(void)buf_add_i64(out, v / u->factor);
	(void)buf_addz(out, strcmp(u->suffix, "B") == 0 ? "" : u->suffix);
}
