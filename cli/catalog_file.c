/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and checking catalogue files, and fingerprints of models.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/apply.h"
#include "cli/catalog.h"
#include "common/clock.h"
#include "common/money.h"

#define CATALOG_MAX_PRICE (INT64_C(1000000) * 1000000000) /* 1e6 USD */

/* ---- where it is ---- */

static bool
catalog_is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int
catalog_dir(struct buf *path, struct error *e)
{
	/* installed; built in the source tree */
	static const char *const beside[] = {
	    "../share/headgate/catalog", "../../../schema/catalog"};
	const char *env = getenv("HEADGATE_CATALOG");
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	buf_clear(path);
	if (env != NULL && env[0] != '\0') {
		(void)buf_addz(path, env);
		return buf_error(path);
	}
	for (exe[n > 0 ? n : 0] = '\0'; n > 0 && exe[n - 1] != '/'; n--)
		exe[n - 1] = '\0';
	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
		buf_clear(path);
		(void)buf_addf(path, "%s%s", exe, beside[i]);
		if (catalog_is_dir(buf_cstr(path)))
			return 0;
	}
	buf_clear(path);
	(void)buf_addz(path, "/usr/share/headgate/catalog");
	if (catalog_is_dir(buf_cstr(path)))
		return 0;
	return err_set(e, ERR_NOT_FOUND,
	    "no catalogue beside the program: name it with --catalog-dir");
}

/* ---- reading ---- */

struct catalog_read {
	struct cli *c;
	const struct yaml_set *set;
	const char *provider, *date; /* of the file */
	json_t *models;
};

static int bad(struct catalog_read *r, const char *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* An error at a place like "/items/0/models/3". */
static int
bad(struct catalog_read *r, const char *at, const char *fmt, ...)
{
	const struct yaml_place *p = yaml_find(r->set, at);
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (p == NULL)
		return err_set(&r->c->err, ERR_INVALID, "%s: %s", at, text);
	return err_set(
	    &r->c->err, ERR_INVALID, "%s:%zu: %s", p->file, p->line, text);
}

/* Only these members; "a b c". */
static int
only(struct catalog_read *r, const char *at, json_t *obj, const char *names)
{
	const char *key;
	json_t *v;

	if (!json_is_object(obj))
		return bad(r, at, "must be a mapping");
	json_object_foreach (obj, key, v) {
		struct str rest = str_of(names), one;
		bool known = false;

		while (!known && rest.len > 0) {
			(void)str_cut(rest, ' ', &one, &rest);
			known = str_eqz(one, key);
		}
		if (!known)
			return bad(r, at, "%.64s is not a known field", key);
	}
	return 0;
}

static const char *
text_of(const json_t *obj, const char *name)
{
	const char *z = json_string_value(json_object_get(obj, name));

	return z != NULL ? z : "";
}

/* RFC 3339, or a date alone. */
static int
instant(const char *text, int64_t *ret)
{
	char full[40];

	if (strlen(text) != 10)
		return time_parse(str_of(text), ret);
	(void)snprintf(full, sizeof(full), "%sT00:00:00Z", text);
	return time_parse(str_of(full), ret);
}

static int
read_price(struct catalog_read *r, const char *at, json_t *line)
{
	enum token_class cls;
	int64_t nano, t;
	int rc;

	rc = only(r, at, line,
	    "class usd_per_mtok tier above_tokens from to source date");
	if (rc != 0)
		return rc;
	if (token_class_parse(str_of(text_of(line, "class")), &cls) != 0)
		return bad(r, at, "class: not a token class");
	if (money_parse(str_of(text_of(line, "usd_per_mtok")), &nano) != 0 ||
	    nano > CATALOG_MAX_PRICE)
		return bad(r, at, "usd_per_mtok: not a price in USD");
	if (strncmp(text_of(line, "source"), "https://", 8) != 0)
		return bad(r, at, "source: every price has the URL it is from");
	if (strlen(text_of(line, "date")) != 10 ||
	    instant(text_of(line, "date"), &t) != 0)
		return bad(r, at, "date: every price has the day it was read");
	/* The control plane keeps prices, not where they came from. */
	(void)json_object_del(line, "source");
	(void)json_object_del(line, "date");
	return 0;
}

/* Is there a line of the class without tier and size? */
static bool
has_standard(const json_t *prices, const char *class)
{
	size_t i;

	for (i = 0; i < json_array_size(prices); i++) {
		const json_t *l = json_array_get(prices, i);

		if (strcmp(text_of(l, "class"), class) == 0 &&
		    text_of(l, "tier")[0] == '\0' &&
		    json_integer_value(json_object_get(l, "above_tokens")) == 0)
			return true;
	}
	return false;
}

/* The control plane would refuse the model without them. */
static int
check_standard(struct catalog_read *r, const char *at, const json_t *m)
{
	const json_t *prices = json_object_get(m, "prices");
	const json_t *can = json_object_get(m, "capabilities");
	const char *lacks = NULL;
	size_t i;

	for (i = 0; i < json_array_size(can); i++)
		if (str_eqz(str_of(json_string_value(json_array_get(can, i))),
			"chat") &&
		    !has_standard(prices, "output"))
			lacks = "output";
	if (!has_standard(prices, "input"))
		lacks = "input";
	return lacks == NULL ? 0
			     : bad(r, at, "%s: no standard price for %s",
				   text_of(m, "name"), lacks);
}

static int
read_model(struct catalog_read *r, const char *at, json_t *m)
{
	json_t *prices = json_object_get(m, "prices"), *line, *spec;
	char place[256], mark[128], print[CATALOG_PRINT];
	size_t i;
	int rc;

	rc = only(r, at, m,
	    "name context_tokens max_output_tokens max_request_usd "
	    "capabilities tokenizer confidence prices");
	if (rc != 0)
		return rc;
	if (text_of(m, "name")[0] == '\0')
		return bad(r, at, "a model needs a name");
	if (json_array_size(prices) == 0)
		return bad(r, at, "%s: no prices", text_of(m, "name"));
	if (json_array_size(json_object_get(m, "capabilities")) == 0)
		return bad(r, at, "%s: no capabilities", text_of(m, "name"));
	json_array_foreach (prices, i, line) {
		(void)snprintf(place, sizeof(place), "%s/prices/%zu", at, i);
		rc = read_price(r, place, line);
		if (rc != 0)
			return rc;
	}
	rc = check_standard(r, at, m);
	if (rc != 0)
		return rc;
	spec = json_copy(m);
	(void)json_object_del(spec, "name");
	(void)json_object_del(spec, "confidence");
	catalog_print(spec, print);
	(void)snprintf(
	    mark, sizeof(mark), "%.40s %.10s %s", r->provider, r->date, print);
	(void)json_object_set_new(spec, "catalog", json_string(mark));
	if (json_array_append_new(r->models,
		json_pack("{s:s,s:s,s:s,s:s,s:o}", "provider", r->provider,
		    "name", text_of(m, "name"), "confidence",
		    text_of(m, "confidence"), "date", r->date, "spec", spec)) !=
	    0)
		return err_set(&r->c->err, ERR_NOMEM, "out of memory");
	return 0;
}

static int
read_document(
    struct catalog_read *r, size_t i, json_t *doc, const char *provider)
{
	json_t *models = json_object_get(doc, "models"), *m;
	char at[64], place[128];
	int64_t t;
	size_t k;
	int rc;

	(void)snprintf(at, sizeof(at), "/items/%zu", i);
	rc = only(r, at, doc, "provider retrieved pages models");
	if (rc != 0)
		return rc;
	r->provider = text_of(doc, "provider");
	r->date = text_of(doc, "retrieved");
	if (r->provider[0] == '\0' || strlen(r->date) != 10 ||
	    instant(r->date, &t) != 0)
		return bad(r, at, "a catalogue needs provider and retrieved");
	if (provider != NULL && strcmp(provider, r->provider) != 0)
		return 0;
	json_array_foreach (models, k, m) {
		(void)snprintf(place, sizeof(place), "%s/models/%zu", at, k);
		rc = read_model(r, place, m);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* The same name twice would be one model. */
static int
read_unique(struct catalog_read *r)
{
	json_t *seen = json_object(), *m;
	int rc = 0;
	size_t i;

	json_array_foreach (r->models, i, m) {
		const char *name = text_of(m, "name");

		if (rc == 0 && json_object_get(seen, name) != NULL)
			rc = err_set(&r->c->err, ERR_INVALID,
			    "the catalogue has the model %.128s twice", name);
		(void)json_object_set_new(seen, name, json_true());
	}
	json_decref(seen);
	return rc;
}

int
catalog_load(
    struct cli *c, const char *from, const char *provider, json_t **models)
{
	struct yaml_set set;
	struct catalog_read r = {.c = c, .set = &set, .models = json_array()};
	json_t *doc;
	size_t i;
	int rc;

	yaml_set_init(&set);
	rc = apply_load(c, &set, from);
	json_array_foreach (set.items, i, doc)
		if (rc == 0)
			rc = read_document(&r, i, doc, provider);
	if (rc == 0)
		rc = read_unique(&r);
	if (rc == 0 && json_array_size(r.models) == 0)
		rc = err_set(&c->err, ERR_NOT_FOUND, "%s has no models%s%s",
		    from, provider ? " of " : "", provider ? provider : "");
	yaml_set_release(&set);
	if (rc != 0)
		json_decref(r.models);
	else
		*models = r.models;
	return rc;
}

/* ---- fingerprints ---- */

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *
print_price(const json_t *line)
{
	const char *times[] = {text_of(line, "from"), text_of(line, "to")};
	int64_t nano = -1, at[2] = {INT64_MIN, INT64_MAX};
	char text[256];

	if (money_parse(str_of(text_of(line, "usd_per_mtok")), &nano) != 0)
		nano = -1;
	for (int i = 0; i < 2; i++)
		if (times[i][0] != '\0')
			(void)instant(times[i], &at[i]);
	(void)snprintf(text, sizeof(text), "p %.32s %.32s %lld %lld %lld %lld",
	    text_of(line, "class"), text_of(line, "tier"),
	    (long long)json_integer_value(
		json_object_get(line, "above_tokens")),
	    (long long)at[0], (long long)at[1], (long long)nano);
	return strdup(text);
}

/* The declared cap in one spelling, "" when there is none. */
static void
print_request(const json_t *obj, char *text, size_t cap)
{
	const json_t *v = json_object_get(obj, "max_request_usd");
	char usd[32] = "";
	int64_t nano;

	if (json_is_integer(v))
		(void)snprintf(
		    usd, sizeof(usd), "%lld", (long long)json_integer_value(v));
	text[0] = '\0';
	if (v != NULL)
		(void)snprintf(text, cap, "r %lld",
		    money_parse(
			str_of(usd[0] != '\0' ? usd : json_string_value(v)),
			&nano) == 0
			? (long long)nano
			: -1LL);
}

static uint64_t
print_add(uint64_t h, const char *text)
{
	do {
		h ^= (unsigned char)*text;
		h *= UINT64_C(0x100000001b3); /* FNV-1a */
	} while (*text++ != '\0');
	return h;
}

void
catalog_print(const json_t *obj, char dst[CATALOG_PRINT])
{
	json_t *caps = json_object_get(obj, "capabilities");
	json_t *prices = json_object_get(obj, "prices"), *one;
	size_t cap = json_array_size(caps) + json_array_size(prices) + 1;
	char **v = calloc(cap, sizeof(*v));
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	char text[128];
	size_t i, n = 0;

	if (v != NULL) {
		json_array_foreach (caps, i, one)
			v[n++] = strdup(
			    json_is_string(one) ? json_string_value(one) : "");
		json_array_foreach (prices, i, one)
			v[n++] = print_price(one);
		qsort(v, n, sizeof(*v), by_text);
	}
	(void)snprintf(text, sizeof(text), "%lld %lld %.40s",
	    (long long)json_integer_value(
		json_object_get(obj, "context_tokens")),
	    (long long)json_integer_value(
		json_object_get(obj, "max_output_tokens")),
	    text_of(obj, "tokenizer"));
	h = print_add(h, text);
	print_request(obj, text, sizeof(text));
	if (text[0] != '\0') /* others keep their fingerprint */
		h = print_add(h, text);
	for (i = 0; i < n; i++) {
		h = print_add(h, v[i]);
		free(v[i]);
	}
	free(v);
	(void)snprintf(dst, CATALOG_PRINT, "%016" PRIx64, h);
}

const char *
catalog_mark_print(const char *mark)
{
	const char *last = mark != NULL ? strrchr(mark, ' ') : NULL;

	return last != NULL && strlen(last) == CATALOG_PRINT ? last + 1 : "";
}
