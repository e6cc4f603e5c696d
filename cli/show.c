/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void
show_json(struct cli *c, const json_t *v)
{
	json_dumpf(v, c->out, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', c->out);
}

void
show_value(struct buf *b, const json_t *v)
{
	size_t i;
	json_t *e;
	const char *key;

	switch (v == NULL ? JSON_NULL : json_typeof(v)) {
	case JSON_STRING:
		buf_addz(b, json_string_value(v));
		break;
	case JSON_INTEGER:
		buf_addf(b, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_addz(b, json_is_true(v) ? "yes" : "no");
		break;
	case JSON_REAL:
		buf_addf(b, "%g", json_real_value(v));
		break;
	case JSON_ARRAY:
		json_array_foreach (v, i, e) {
			if (i > 0)
				buf_addz(b, ", ");
			show_value(b, e);
		}
		break;
	case JSON_OBJECT:
		i = 0;
		json_object_foreach ((json_t *)(uintptr_t)v, key, e) {
			buf_addf(b, "%s%s=", i++ > 0 ? " " : "", key);
			show_value(b, e);
		}
		break;
	default:
		buf_addz(b, "-");
	}
}

struct show_column {
	char head[32], field[48];
	char type; /* 0, '$' or '#' */
};

static size_t
show_columns(const char *spec, struct show_column *cols, struct buf *heads)
{
	size_t n = 0;

	while (*spec != '\0' && n < TABLE_MAX_COLS) {
		size_t len = strcspn(spec, ",");
		const char *colon = memchr(spec, ':', len);
		struct show_column *col = &cols[n++];
		const char *field = colon != NULL ? colon + 1 : spec;
		size_t flen = (size_t)(spec + len - field);
		size_t hlen = colon != NULL ? (size_t)(colon - spec) : 0;

		col->type = 0;
		if (flen > 0 && strchr("$#", field[flen - 1]) != NULL)
			col->type = field[--flen];
		snprintf(
		    col->field, sizeof(col->field), "%.*s", (int)flen, field);
		snprintf(col->head, sizeof(col->head), "%.*s",
		    (int)(hlen ? hlen : flen), hlen ? spec : field);
		for (char *p = col->head; *p != '\0'; p++)
			*p = *p == '_' ? ' ' : (char)toupper((unsigned char)*p);
		buf_addf(heads, "%s%s%s", n > 1 ? "," : "", col->head,
		    col->type != 0 ? ">" : "");
		spec += len + (spec[len] == ',' ? 1 : 0);
	}
	return n;
}

/* A list of objects in one cell: what each is called, the rest is for
 * `describe`. */
static void
show_first_members(struct buf *b, const json_t *list)
{
	json_t *one;
	size_t i;

	json_array_foreach (list, i, one) {
		void *first = json_object_iter(one);

		if (i > 0)
			buf_addz(b, ", ");
		show_value(b, json_object_iter_value(first));
	}
}

static void
show_cell(struct table *t, const struct show_column *col, const json_t *v)
{
	struct buf b;

	if (v == NULL || json_is_null(v)) {
		table_cell(t, "-");
		return;
	}
	if (json_is_integer(v) && col->type == '$') {
		table_usd(t, json_integer_value(v));
		return;
	}
	if (json_is_integer(v) && col->type == '#') {
		table_int(t, json_integer_value(v));
		return;
	}
	buf_init(&b, 1 << 20);
	if (json_is_object(json_array_get(v, 0)))
		show_first_members(&b, v);
	else
		show_value(&b, v);
	table_cell(t, buf_cstr(&b));
	buf_release(&b);
}

void
show_list(struct cli *c, const json_t *items, const char *columns)
{
	struct show_column cols[TABLE_MAX_COLS];
	struct table t;
	struct buf heads;
	json_t *item;
	size_t i, n;

	if (c->output == OUT_JSON) {
		show_json(c, items);
		return;
	}
	if (c->output == OUT_NAME) {
		json_array_foreach (items, i, item) {
			json_t *name = json_object_get(item, "name");

			if (name == NULL)
				name = json_object_get(item, "id");
			fprintf(c->out, "%s\n",
			    name ? json_string_value(name) : "-");
		}
		return;
	}
	buf_init(&heads, 4096);
	n = show_columns(columns, cols, &heads);
	table_init(&t, buf_cstr(&heads));
	json_array_foreach (items, i, item)
		for (size_t k = 0; k < n; k++)
			show_cell(
			    &t, &cols[k], json_object_get(item, cols[k].field));
	table_print(&t, c->out);
	table_release(&t);
	buf_release(&heads);
}

void
show_fields(struct cli *c, const json_t *obj)
{
	const char *key;
	json_t *v;

	if (c->output == OUT_JSON) {
		show_json(c, obj);
		return;
	}
	json_object_foreach ((json_t *)(uintptr_t)obj, key, v) {
		struct buf b;
		size_t i;
		json_t *e;

		if (json_is_array(v) && json_is_object(json_array_get(v, 0))) {
			fprintf(c->out, "%s:\n", key);
			json_array_foreach (v, i, e) {
				buf_init(&b, 1 << 20);
				show_value(&b, e);
				fprintf(c->out, "  - %s\n", buf_cstr(&b));
				buf_release(&b);
			}
			continue;
		}
		buf_init(&b, 1 << 20);
		show_value(&b, v);
		fprintf(c->out, "%-24s %s\n", key, buf_cstr(&b));
		buf_release(&b);
	}
}
