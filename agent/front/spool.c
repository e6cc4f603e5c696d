/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form as a state machine over a small window: any split of the input
 * gives the same parts. Part heads and the values of fields that are read are
 * bounded; file data only passes.
 */
#include "agent/front/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SPOOL_HEAD_MAX	8192 /* of one part */
#define SPOOL_VALUE_MAX 128
#define SPOOL_PARTS_MAX 256
/* No sound has fewer bytes a second. */
#define SPOOL_BYTES_PER_SECOND	500
#define SPOOL_TOKENS_PER_SECOND 25

enum spool_state {
	SPOOL_PREAMBLE,
	SPOOL_DELIMITER, /* behind "--boundary" */
	SPOOL_PART_HEAD,
	SPOOL_DATA,
	SPOOL_END
};

struct spool {
	enum spool_state state;
	char boundary[80], delimiter[88]; /* CRLF, "--", boundary */
	const char *dir;
	struct buf window, kept;
	int fd; /* -1 = all is in kept */
	int64_t file_len, total, max;
	unsigned n_parts, n_files, n_models;
	bool drops;    /* the part at hand is the model */
	char name[64]; /* of the part at hand */
	bool is_file;
	char value[SPOOL_VALUE_MAX + 1]; /* of a field that is read */
	size_t value_len;
	bool value_long;
	char model[SPOOL_VALUE_MAX + 1];
	bool stream;
	int64_t n, text_bytes, file_bytes;
};

/* boundary=..., quoted or not; only bytes that need no escapes. */
static bool
spool_find_boundary(struct str type, char *dst, size_t cap)
{
	struct str field, name, value;
	bool more = str_cut(type, ';', &field, &type);
	size_t i;

	if (!str_ieq(str_trim(field), STR("multipart/form-data")))
		return false;
	while (more) {
		more = str_cut(type, ';', &field, &type);
		if (!str_cut(field, '=', &name, &value) ||
		    !str_ieq(str_trim(name), STR("boundary")))
			continue;
		value = str_trim(value);
		if (value.len > 2 && value.p[0] == '"' &&
		    value.p[value.len - 1] == '"') {
			value.p++;
			value.len -= 2;
		}
		for (i = 0; i < value.len; i++) {
			if (value.p[i] <= ' ' || value.p[i] >= 0x7f ||
			    strchr("\"\\;,", value.p[i]) != NULL)
				return false;
		}
		return value.len > 0 && value.len <= 70 &&
		       str_copy(value, dst, cap) == 0;
	}
	return false;
}

int
spool_new(
    struct str content_type, const char *dir, size_t max, struct spool **ret)
{
	struct spool *s = calloc(1, sizeof(*s));

	*ret = NULL;
	if (s == NULL)
		return ERR_NOMEM;
	s->fd = -1;
	if (!spool_find_boundary(
		content_type, s->boundary, sizeof(s->boundary))) {
		free(s);
		return ERR_UNSUPPORTED;
	}
	(void)snprintf(
	    s->delimiter, sizeof(s->delimiter), "\r\n--%s", s->boundary);
	s->dir = dir;
	s->max = (int64_t)max;
	s->n = 1;
	buf_init(&s->window, 1 << 20);
	buf_init(&s->kept, 2 * SPOOL_MEMORY + 65536);
	(void)buf_addz(&s->window, "\r\n"); /* the first may lack it */
	*ret = s;
	return 0;
}

void
spool_free(struct spool *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	buf_release(&s->window);
	buf_release(&s->kept);
	free(s);
}

static int
spool_write(struct spool *s, const char *p, size_t n)
{
	ssize_t k;

	while (n > 0) {
		k = write(s->fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return ERR_IO;
		p += k;
		n -= (size_t)k;
		s->file_len += k;
	}
	return 0;
}

static int
spool_keep(struct spool *s, const char *p, size_t n)
{
	int rc;

	if (s->fd >= 0)
		return spool_write(s, p, n);
	if (s->kept.len + n <= SPOOL_MEMORY)
		return buf_add(&s->kept, p, n);
	s->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return ERR_IO;
	rc = spool_write(s, s->kept.data, s->kept.len);
	buf_release(&s->kept);
	return rc != 0 ? rc : spool_write(s, p, n);
}

static int
spool_keepz(struct spool *s, const char *z)
{
	return spool_keep(s, z, strlen(z));
}

/* name="..." of Content-Disposition; filename makes it a file. */
static void
spool_read_disposition(struct spool *s, struct str value)
{
	struct str field, name, v;
	bool more = true;

	while (more) {
		more = str_cut(value, ';', &field, &value);
		if (!str_cut(field, '=', &name, &v))
			continue;
		name = str_trim(name);
		v = str_trim(v);
		if (str_ieq(name, STR("filename")) ||
		    str_ieq(name, STR("filename*")))
			s->is_file = true;
		if (!str_ieq(name, STR("name")))
			continue;
		if (v.len >= 2 && v.p[0] == '"') {
			v.p++;
			v.len -= 2;
		}
		if (str_copy(v, s->name, sizeof(s->name)) != 0)
			s->name[0] = '\0';
	}
}

/* A complete part head, without its empty line. */
static int
spool_part_head(struct spool *s, struct str head)
{
	struct str line, rest = head, name, value;
	bool more = true;
	int rc;

	s->name[0] = '\0';
	s->is_file = s->drops = s->value_long = false;
	s->value_len = 0;
	while (more) {
		more = str_cut(rest, '\n', &line, &rest);
		if (str_cut(line, ':', &name, &value) &&
		    str_ieq(str_trim(name), STR("content-disposition"))) {
			if (value.len > 0 && value.p[value.len - 1] == '\r')
				value.len--;
			spool_read_disposition(s, value);
		}
	}
	if (++s->n_parts > SPOOL_PARTS_MAX)
		return ERR_TOO_LARGE;
	s->n_files += s->is_file;
	s->drops = !s->is_file && strcmp(s->name, "model") == 0;
	if (s->drops)
		return ++s->n_models > 1 ? ERR_INVALID : 0;
	rc = spool_keepz(s, s->delimiter + 2);
	if (rc == 0)
		rc = spool_keepz(s, "\r\n");
	if (rc == 0)
		rc = spool_keep(s, head.p, head.len);
	return rc != 0 ? rc : spool_keepz(s, "\r\n\r\n");
}

static int
spool_part_data(struct spool *s, const char *p, size_t n)
{
	size_t room = SPOOL_VALUE_MAX - s->value_len;

	if (s->is_file) {
		s->file_bytes += (int64_t)n;
	} else {
		s->text_bytes += (int64_t)n;
		s->value_long = s->value_long || n > room;
		memcpy(s->value + s->value_len, p, n < room ? n : room);
		s->value_len += n < room ? n : room;
	}
	return s->drops ? 0 : spool_keep(s, p, n);
}

static int
spool_part_end(struct spool *s)
{
	uint64_t n;

	s->value[s->value_len] = '\0';
	if (s->drops) {
		if (!s->value_long)
			memcpy(s->model, s->value, sizeof(s->model));
		return 0;
	}
	if (!s->is_file && strcmp(s->name, "stream") == 0)
		s->stream = strcmp(s->value, "true") == 0;
	if (!s->is_file && strcmp(s->name, "n") == 0 && s->value_len > 0) {
		if (str_to_u64(str_of(s->value), &n) != 0 || n < 1 || n > 128)
			return ERR_INVALID;
		s->n = (int64_t)n;
	}
	return spool_keepz(s, "\r\n");
}

/* Take what can be taken off the window; ERR_AGAIN: more is needed. */
static int
spool_step(struct spool *s)
{
	struct buf *w = &s->window;
	size_t len = strlen(s->delimiter), n;
	const char *at;
	int rc = 0;

	switch (s->state) {
	case SPOOL_PREAMBLE:
	case SPOOL_DATA:
		at = memmem(w->data, w->len, s->delimiter, len);
		n = at != NULL ? (size_t)(at - w->data)
			       : (w->len >= len ? w->len - len + 1 : 0);
		if (s->state == SPOOL_DATA && n > 0)
			rc = spool_part_data(s, w->data, n);
		if (rc == 0 && at != NULL && s->state == SPOOL_DATA)
			rc = spool_part_end(s);
		buf_consume(w, at != NULL ? n + len : n);
		if (rc == 0 && at == NULL)
			return ERR_AGAIN;
		s->state = SPOOL_DELIMITER;
		return rc;
	case SPOOL_DELIMITER:
		if (w->len < 2)
			return ERR_AGAIN;
		if (memcmp(w->data, "--", 2) == 0)
			s->state = SPOOL_END;
		else if (memcmp(w->data, "\r\n", 2) == 0)
			s->state = SPOOL_PART_HEAD;
		else
			return ERR_INVALID;
		buf_consume(w, 2);
		return 0;
	case SPOOL_PART_HEAD:
		at = memmem(w->data, w->len, "\r\n\r\n", 4);
		if (at == NULL)
			return w->len > SPOOL_HEAD_MAX ? ERR_INVALID
						       : ERR_AGAIN;
		n = (size_t)(at - w->data);
		rc = spool_part_head(s, str_make(w->data, n));
		buf_consume(w, n + 4);
		s->state = SPOOL_DATA;
		return rc;
	case SPOOL_END:
		buf_clear(w);
		return ERR_AGAIN;
	}
	return ERR_INTERNAL;
}

int
spool_add(struct spool *s, const char *p, size_t n)
{
	int rc;

	s->total += (int64_t)n;
	if (s->total > s->max)
		return ERR_TOO_LARGE;
	rc = buf_add(&s->window, p, n);
	while (rc == 0)
		rc = spool_step(s);
	return rc == ERR_AGAIN ? 0 : rc;
}

int
spool_scan(struct spool *s, enum op op, struct str path_model, struct scan *ret,
    struct error *e)
{
	struct str model = path_model.len > 0 ? path_model : str_of(s->model);
	int rc;

	memset(ret, 0, sizeof(*ret));
	ret->op = op;
	ret->max_output = -1;
	if (s->state != SPOOL_END)
		return err_set(e, ERR_INVALID, "the form is not complete");
	if (model.len == 0)
		return err_set_field(
		    e, ERR_INVALID, "model", "you must provide a model");
	if (s->n_files == 0)
		return err_set_field(e, ERR_INVALID,
		    op == OP_IMAGE_EDITS ? "image" : "file", "is required");
	rc = spool_keepz(s, s->delimiter + 2);
	if (rc == 0)
		rc = spool_keepz(s, "--\r\n");
	if (rc != 0)
		return rc;
	if (str_copy(model, ret->model, sizeof(ret->model)) != 0)
		ret->model[0] = '\0';
	ret->model_len = strlen(ret->model);
	ret->stream = s->stream;
	ret->n = s->n;
	ret->n_messages = 1;
	ret->text_bytes = s->text_bytes;
	if (op == OP_IMAGE_EDITS) {
		ret->n_media = s->n_files;
	} else {
		ret->n_seconds = s->file_bytes / SPOOL_BYTES_PER_SECOND + 1;
		ret->text_bytes += ret->n_seconds * SPOOL_TOKENS_PER_SECOND;
	}
	return 0;
}

void
spool_model_part(const struct spool *s, struct str model, struct buf *out)
{
	(void)buf_addz(out, s->delimiter + 2);
	(void)buf_addz(
	    out, "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n");
	(void)buf_add_str(out, model);
	(void)buf_addz(out, "\r\n");
}

struct str
spool_memory(const struct spool *s)
{
	return s->fd >= 0 ? STR_NULL : buf_str(&s->kept);
}

int
spool_file(const struct spool *s, int64_t *len)
{
	*len = s->file_len;
	return s->fd;
}

const char *
spool_boundary(const struct spool *s)
{
	return s->boundary;
}
