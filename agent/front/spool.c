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

#include "agent/dialect/sound.h"

#define SPOOL_HEAD_MAX		8192 /* of one part */
#define SPOOL_VALUE_MAX		128
#define SPOOL_USER_MAX		4096
#define SPOOL_PARTS_MAX		256
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
	unsigned n_parts, n_files, n_models, n_users;
	bool drops;    /* the part at hand is the model */
	bool is_user;  /* ... the end user's name */
	char name[64]; /* of the part at hand */
	bool is_file;
	bool has_stream, has_n;
	char value[SPOOL_VALUE_MAX + 1]; /* of a field that is read */
	size_t value_len;
	bool value_long;
	char model[SPOOL_VALUE_MAX + 1];
	struct buf user;
	bool stream;
	int64_t n, text_bytes, file_bytes;
	struct sound sound; /* the file, where it is one */
};

/* A token of HTTP: means the same to everybody, quoted or not. */
static bool
spool_is_token(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') &&
		    (c == '\0' || strchr("!#$&'*+-.^_`|~", c) == NULL))
			return false;
	}
	return s.len > 0;
}

/* boundary=..., quoted or not; one, and only of bytes that nobody reads in
 * another way. */
static bool
spool_find_boundary(struct str type, char *dst, size_t cap)
{
	struct str field, name, value;
	bool more = str_cut(type, ';', &field, &type), found = false;

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
		if (found || !spool_is_token(value) || value.len > 70 ||
		    str_copy(value, dst, cap) != 0)
			return false;
		found = true;
	}
	return found;
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
	buf_init(&s->user, SPOOL_USER_MAX);
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
	buf_release(&s->user);
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

/* The value of a parameter off *rest: a token, or quoted with nothing that
 * readers disagree about: for some a backslash escapes, for others it is one
 * of a path. (Browsers and SDKs write %22 for a quote in a file's name.) */
static bool
spool_value(struct str *rest, bool path, struct str *value)
{
	size_t i = 1;
	long at;

	if (rest->len == 0 || rest->p[0] != '"') {
		at = str_find(*rest, ';');
		*value = str_make(rest->p, at < 0 ? rest->len : (size_t)at);
		rest->p += value->len;
		rest->len -= value->len;
		*value = str_trim(*value);
		return spool_is_token(*value);
	}
	for (; i < rest->len && rest->p[i] != '"'; i++) {
		if (rest->p[i] == '\\' && !path)
			return false;
	}
	if (i == rest->len || rest->p[i - 1] == '\\')
		return false;
	*value = str_make(rest->p + 1, i - 1);
	*rest = str_trim(str_make(rest->p + i + 1, rest->len - i - 1));
	return true;
}

/* form-data; name="..."; filename makes it a file. Read as strictly as can
 * be: what the provider takes for a field must be what was read here. */
static int
spool_read_disposition(struct spool *s, struct str rest)
{
	struct str type, name, value;
	bool more = str_cut(rest, ';', &type, &rest), named = false, file;

	if (!str_ieq(str_trim(type), STR("form-data")))
		return ERR_INVALID;
	while (more) {
		if (!str_cut(rest, '=', &name, &rest))
			return ERR_INVALID;
		name = str_trim(name);
		rest = str_trim(rest);
		file = str_ieq(name, STR("filename"));
		if (str_ieq(name, STR("filename*"))) {
			more = str_cut(rest, ';', &value, &rest);
			s->is_file = true;
			continue;
		}
		if ((!file && !str_ieq(name, STR("name"))) ||
		    (file ? s->is_file : named) ||
		    !spool_value(&rest, file, &value))
			return ERR_INVALID;
		if (file)
			s->is_file = true;
		else if (str_copy(value, s->name, sizeof(s->name)) != 0)
			s->name[0] = '\0';
		named = named || !file;
		more = rest.len > 0;
		if (more && rest.p[0] != ';')
			return ERR_INVALID;
		rest = str_make(rest.p + more, rest.len - more);
	}
	return named ? 0 : ERR_INVALID;
}

/* Lines of a part's head: no folding, no line ends but CRLF, and exactly one
 * disposition. */
static int
spool_head_lines(struct spool *s, struct str rest)
{
	struct str line, name, value;
	unsigned n = 0;
	size_t i;
	bool more;

	do {
		more = str_cut(rest, '\r', &line, &rest);
		if (more && (rest.len == 0 || rest.p[0] != '\n'))
			return ERR_INVALID;
		if (more)
			rest = str_make(rest.p + 1, rest.len - 1);
		for (i = 0; i < line.len; i++) {
			if (((unsigned char)line.p[i] < ' ' &&
				line.p[i] != '\t') ||
			    line.p[i] == 0x7f)
				return ERR_INVALID;
		}
		if (!str_cut(line, ':', &name, &value) || !spool_is_token(name))
			return ERR_INVALID;
		if (!str_ieq(name, STR("content-disposition")))
			continue;
		if (++n > 1 || spool_read_disposition(s, value) != 0)
			return ERR_INVALID;
	} while (more);
	return n == 1 ? 0 : ERR_INVALID;
}

/* A complete part head, without its empty line. */
static int
spool_part_head(struct spool *s, struct str head)
{
	int rc;

	s->name[0] = '\0';
	s->is_file = s->drops = s->value_long = false;
	s->value_len = 0;
	if (spool_head_lines(s, head) != 0)
		return ERR_INVALID;
	if (++s->n_parts > SPOOL_PARTS_MAX)
		return ERR_TOO_LARGE;
	s->n_files += s->is_file;
	/* Of what is read there is one, and it is no file. */
	if (strcmp(s->name, "model") == 0 && (s->is_file || ++s->n_models > 1))
		return ERR_INVALID;
	s->drops = strcmp(s->name, "model") == 0;
	s->is_user = strcmp(s->name, "user") == 0;
	if (s->is_user && (s->is_file || ++s->n_users > 1))
		return ERR_INVALID;
	if (s->drops)
		return 0;
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
	int rc;

	if (s->is_file) {
		s->file_bytes += (int64_t)n;
		sound_add(&s->sound, p, n);
	} else {
		s->text_bytes += (int64_t)n;
		s->value_long = s->value_long || n > room;
		memcpy(s->value + s->value_len, p, n < room ? n : room);
		s->value_len += n < room ? n : room;
	}
	rc = s->is_user ? buf_add(&s->user, p, n) : 0;
	return rc != 0 || s->drops ? rc : spool_keep(s, p, n);
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
	if (strcmp(s->name, "stream") == 0) {
		if (s->is_file || s->has_stream || s->value_long)
			return ERR_INVALID;
		s->has_stream = true;
		s->stream = strcmp(s->value, "true") == 0;
	}
	if (strcmp(s->name, "n") == 0) {
		if (s->is_file || s->has_n || s->value_long)
			return ERR_INVALID;
		s->has_n = true;
	}
	if (strcmp(s->name, "n") == 0 && s->value_len > 0) {
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
	ret->user = buf_str(&s->user);
	ret->text_bytes = s->text_bytes;
	if (op == OP_IMAGE_EDITS) {
		ret->n_media = s->n_files;
	} else {
		ret->n_seconds = s->file_bytes / SOUND_MIN_RATE + 1;
		ret->endless = s->n_files != 1 || !sound_is_bounded(&s->sound);
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
