/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to JSON on libyaml's event parser. Plain scalars become null, true,
 * false or integers by the core schema; a plain number with a fraction stays
 * a string, so that money never passes through floating point.
 */
#include "cli/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define YAML_DEPTH_MAX	32
#define YAML_VALUES_MAX 100000

struct yaml_load {
	struct yaml_set *set;
	const char *file;
	yaml_parser_t parser;
	struct error *e;
	struct buf path; /* JSON pointer of the value being read */
	unsigned depth;
};

void
yaml_set_init(struct yaml_set *s)
{
	memset(s, 0, sizeof(*s));
	s->items = json_array();
}

void
yaml_set_release(struct yaml_set *s)
{
	for (size_t i = 0; i < s->n_places; i++)
		free(s->places[i].path);
	for (size_t i = 0; i < s->n_files; i++)
		free(s->files[i]);
	free(s->places);
	free(s->files);
	json_decref(s->items);
	memset(s, 0, sizeof(*s));
}

static int
yaml_fail(struct yaml_load *l, const yaml_mark_t *at, int code,
    const char *what, struct str about)
{
	return err_set(l->e, code, "%s:%zu: %s%s%.*s%s", l->file, at->line + 1,
	    what, about.len ? " '" : "", STR_ARG(about), about.len ? "'" : "");
}

static int
yaml_remember(struct yaml_load *l, size_t line)
{
	struct yaml_set *s = l->set;

	if (s->n_places >= YAML_VALUES_MAX)
		return err_set(l->e, ERR_TOO_LARGE,
		    "%s:%zu: more than %d values", l->file, line,
		    YAML_VALUES_MAX);
	if (s->n_places == s->cap_places) {
		size_t cap = s->cap_places ? s->cap_places * 2 : 256;
		void *p = realloc(s->places, cap * sizeof(*s->places));

		if (p == NULL)
			return err_set(l->e, ERR_NOMEM, "out of memory");
		s->places = p;
		s->cap_places = cap;
	}
	s->places[s->n_places].path = strdup(buf_cstr(&l->path));
	s->places[s->n_places].file = l->file;
	s->places[s->n_places].line = line;
	if (s->places[s->n_places].path == NULL)
		return err_set(l->e, ERR_NOMEM, "out of memory");
	s->n_places++;
	return 0;
}

static bool
plain_is_integer(struct str s)
{
	int64_t v;

	if (s.len > 1 && s.p[s.p[0] == '-' ? 1 : 0] == '0')
		return false;
	return str_to_i64(s, &v) == 0;
}

/* jansson did not take the text: is it the text, or memory? */
static int
yaml_no_text(struct yaml_load *l, const yaml_mark_t *at, struct str text,
    const char *problem)
{
	if (str_is_utf8(text))
		return err_set(l->e, ERR_NOMEM, "out of memory");
	return yaml_fail(l, at, ERR_INVALID, problem, STR_NULL);
}

static json_t *
yaml_scalar(const yaml_event_t *ev)
{
	struct str s = str_make(
	    (const char *)ev->data.scalar.value, ev->data.scalar.length);
	int64_t v;

	if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return json_stringn(s.p, s.len);
	if (s.len == 0 || str_eqz(s, "~") || str_eqz(s, "null"))
		return json_null();
	if (str_eqz(s, "true"))
		return json_true();
	if (str_eqz(s, "false"))
		return json_false();
	if (plain_is_integer(s) && str_to_i64(s, &v) == 0)
		return json_integer(v);
	return json_stringn(s.p, s.len);
}

static int yaml_value(struct yaml_load *l, yaml_event_t *ev, json_t **ret);

static int
yaml_next(struct yaml_load *l, yaml_event_t *ev)
{
	yaml_parser_t *p = &l->parser;

	if (yaml_parser_parse(p, ev))
		return 0;
	return err_set(l->e, ERR_INVALID, "%s:%zu: %s%s%s", l->file,
	    p->problem_mark.line + 1,
	    p->problem ? p->problem : "not valid YAML", p->context ? " " : "",
	    p->context ? p->context : "");
}

/* Step the path down by one segment; returns the length to cut back to. */
static size_t
yaml_enter(struct yaml_load *l, struct str key)
{
	size_t len = l->path.len;

	buf_addc(&l->path, '/');
	for (size_t i = 0; i < key.len; i++) {
		if (key.p[i] == '~')
			buf_addz(&l->path, "~0");
		else if (key.p[i] == '/')
			buf_addz(&l->path, "~1");
		else
			buf_addc(&l->path, key.p[i]);
	}
	return len;
}

static int
yaml_mapping(struct yaml_load *l, json_t *obj)
{
	int rc = 0;

	while (rc == 0) {
		yaml_event_t kev, vev;
		json_t *v = NULL;
		struct str key;
		size_t cut;

		rc = yaml_next(l, &kev);
		if (rc != 0)
			return rc;
		if (kev.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&kev);
			return 0;
		}
		key = str_make((const char *)kev.data.scalar.value,
		    kev.data.scalar.length);
		if (kev.type != YAML_SCALAR_EVENT)
			rc = yaml_fail(l, &kev.start_mark, ERR_INVALID,
			    "a key must be a plain word", STR_NULL);
		else if (json_object_get(obj, key.p) != NULL)
			rc = yaml_fail(l, &kev.start_mark, ERR_INVALID,
			    "duplicate key", key);
		if (rc == 0) {
			cut = yaml_enter(l, key);
			rc = yaml_remember(l, kev.start_mark.line + 1);
			if (rc == 0)
				rc = yaml_next(l, &vev);
			if (rc == 0)
				rc = yaml_value(l, &vev, &v);
			if (rc == 0 &&
			    json_object_setn_new(obj, key.p, key.len, v) != 0)
				rc = yaml_no_text(l, &kev.start_mark, key,
				    "key is not UTF-8");
			l->path.len = cut;
		}
		yaml_event_delete(&kev);
	}
	return rc;
}

static int
yaml_sequence(struct yaml_load *l, json_t *arr)
{
	for (;;) {
		char index[24];
		json_t *v = NULL;
		yaml_event_t ev;
		size_t cut;
		int rc = yaml_next(l, &ev);

		if (rc != 0)
			return rc;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return 0;
		}
		snprintf(index, sizeof(index), "%zu", json_array_size(arr));
		cut = yaml_enter(l, str_of(index));
		rc = yaml_remember(l, ev.start_mark.line + 1);
		if (rc == 0)
			rc = yaml_value(l, &ev, &v);
		else
			yaml_event_delete(&ev);
		l->path.len = cut;
		if (rc != 0)
			return rc;
		if (json_array_append_new(arr, v) != 0)
			return err_set(l->e, ERR_NOMEM, "out of memory");
	}
}

/* Consumes ev. *ret is a new reference on success. */
static int
yaml_value(struct yaml_load *l, yaml_event_t *ev, json_t **ret)
{
	json_t *v = NULL;
	int rc = 0;

	if (++l->depth > YAML_DEPTH_MAX)
		rc = yaml_fail(l, &ev->start_mark, ERR_TOO_LARGE,
		    "nested too deeply", STR_NULL);
	else if (ev->type == YAML_SCALAR_EVENT) {
		v = yaml_scalar(ev);
		if (v == NULL)
			rc = yaml_no_text(l, &ev->start_mark,
			    str_make((const char *)ev->data.scalar.value,
				ev->data.scalar.length),
			    "text is not UTF-8");
	} else if (ev->type == YAML_MAPPING_START_EVENT) {
		v = json_object();
		rc = v == NULL ? err_set(l->e, ERR_NOMEM, "out of memory")
			       : yaml_mapping(l, v);
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		v = json_array();
		rc = v == NULL ? err_set(l->e, ERR_NOMEM, "out of memory")
			       : yaml_sequence(l, v);
	} else {
		rc = yaml_fail(l, &ev->start_mark, ERR_INVALID,
		    "anchors and aliases are not supported", STR_NULL);
	}
	l->depth--;
	yaml_event_delete(ev);
	if (rc != 0) {
		json_decref(v);
		return rc;
	}
	*ret = v;
	return 0;
}

/* One document: must be a mapping; empty documents are skipped. */
static int
yaml_document(struct yaml_load *l)
{
	size_t index = json_array_size(l->set->items);
	json_t *v = NULL;
	yaml_event_t ev;
	size_t line;
	int rc = yaml_next(l, &ev);

	if (rc != 0)
		return rc;
	line = ev.start_mark.line + 1;
	buf_clear(&l->path);
	buf_addf(&l->path, "/items/%zu", index);
	rc = yaml_remember(l, line);
	if (rc != 0) {
		yaml_event_delete(&ev);
		return rc;
	}
	rc = yaml_value(l, &ev, &v);
	if (rc != 0)
		return rc;
	if (json_is_null(v)) {
		json_decref(v);
		return 0;
	}
	if (!json_is_object(v)) {
		json_decref(v);
		return err_set(l->e, ERR_INVALID,
		    "%s:%zu: a document must be a mapping with "
		    "kind, name and spec",
		    l->file, line);
	}
	if (json_array_append_new(l->set->items, v) != 0)
		return err_set(l->e, ERR_NOMEM, "out of memory");
	return 0;
}

static int
yaml_stream(struct yaml_load *l)
{
	for (;;) {
		yaml_event_t ev;
		yaml_event_type_t type;
		int rc = yaml_next(l, &ev);

		if (rc != 0)
			return rc;
		type = ev.type;
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type == YAML_DOCUMENT_START_EVENT) {
			rc = yaml_document(l);
			if (rc != 0)
				return rc;
		}
	}
}

int
yaml_load(
    struct yaml_set *s, const char *name, struct str text, struct error *e)
{
	struct yaml_load l = {.set = s, .e = e};
	char **files = realloc(s->files, (s->n_files + 1) * sizeof(*files));
	int rc;

	if (files == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->files = files;
	s->files[s->n_files] = strdup(name);
	if (s->files[s->n_files] == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	l.file = s->files[s->n_files++];
	if (!yaml_parser_initialize(&l.parser))
		return err_set(e, ERR_NOMEM, "out of memory");
	buf_init(&l.path, 65536);
	yaml_parser_set_input_string(
	    &l.parser, (const unsigned char *)(text.p ? text.p : ""), text.len);
	rc = yaml_stream(&l);
	yaml_parser_delete(&l.parser);
	buf_release(&l.path);
	return rc;
}

const struct yaml_place *
yaml_find(const struct yaml_set *s, const char *path)
{
	const struct yaml_place *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; i < s->n_places; i++) {
		size_t len = strlen(s->places[i].path);

		if (strncmp(s->places[i].path, path, len) != 0 ||
		    (path[len] != '\0' && path[len] != '/'))
			continue;
		if (best == NULL || len >= best_len) {
			best = &s->places[i];
			best_len = len;
		}
	}
	return best;
}
