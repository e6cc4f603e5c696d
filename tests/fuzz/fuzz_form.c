/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: forms with files. First byte: how the input is cut, 0x20 a
 * large file in front (so that the form goes to disk), 0x40 the operation; then
 * a content type up to a line end, then the form. The answer does not depend
 * on the cuts nor on where the form is kept; and what goes upstream, read
 * again, names our model, once and first, and says the rest as before.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/front/spool.h"
#include "tests/fuzz/splits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FORM_MAX ((size_t)1 << 20)
#define MODEL	 "up"

struct seen {
	int rc; /* of whatever failed first */
	struct scan scan;
	struct buf kept;
	struct buf model; /* the part that goes in front */
	char boundary[128];
};

static void
seen_release(struct seen *s)
{
	buf_release(&s->kept);
	buf_release(&s->model);
}

static void
collect(const struct spool *s, struct seen *ret)
{
	static char chunk[65536];
	int64_t len, at = 0;
	int fd = spool_file(s, &len);
	ssize_t n;

	spool_model_part(s, STR(MODEL), &ret->model);
	(void)!str_copy(
	    str_of(spool_boundary(s)), ret->boundary, sizeof(ret->boundary));
	if (fd < 0) {
		(void)buf_add_str(&ret->kept, spool_memory(s));
		return;
	}
	for (; at < len; at += n) {
		n = pread(fd, chunk, sizeof(chunk), at);
		MUST(n > 0 && n <= len - at);
		(void)buf_add(&ret->kept, chunk, (size_t)n);
	}
}

static void
run(struct str type, struct str form, const struct split *split, enum op op,
    struct seen *ret)
{
	struct spool *s;
	struct error e = {0};
	size_t at, n;

	memset(ret, 0, sizeof(*ret));
	buf_init(&ret->kept, 4 * FORM_MAX);
	buf_init(&ret->model, 4096);
	ret->rc = spool_new(type, "/tmp", FORM_MAX, &s);
	MUST((ret->rc == 0) == (s != NULL));
	if (s == NULL)
		return;
	for (at = 0; at < form.len && ret->rc == 0; at += n) {
		n = split_piece(split, at, form.len);
		ret->rc = spool_add(s, form.p + at, n);
	}
	if (ret->rc == 0)
		ret->rc = spool_scan(s, op, STR_NULL, &ret->scan, &e);
	if (ret->rc == 0)
		collect(s, ret);
	MUST(
	    ret->rc == 0 || ret->rc == ERR_INVALID || ret->rc == ERR_TOO_LARGE);
	spool_free(s);
}

static void
same(const struct seen *a, const struct seen *b)
{
	MUST(a->rc == b->rc);
	if (a->rc != 0)
		return;
	MUST(str_eq(buf_str(&a->kept), buf_str(&b->kept)));
	MUST(strcmp(a->scan.model, b->scan.model) == 0);
	MUST(a->scan.stream == b->scan.stream && a->scan.n == b->scan.n);
	MUST(a->scan.n_media == b->scan.n_media);
	MUST(a->scan.n_seconds == b->scan.n_seconds);
}

/* Parts whose disposition says that they are the model, as a reader that
 * only looks for the words sees them. */
static unsigned
count_models(struct str form, const char *boundary)
{
	static const char word[] = "name=\"model\"";
	const char *p = form.p, *end = form.p + form.len, *head, *line;
	char mark[160];
	unsigned n = 0;
	int len = snprintf(mark, sizeof(mark), "--%s\r\n", boundary);

	while ((p = memmem(p, (size_t)(end - p), mark, (size_t)len)) != NULL) {
		p += len;
		head = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
		if (head == NULL)
			break;
		line = memmem(p, (size_t)(head - p), word, sizeof(word) - 1);
		n += line != NULL && line > p && strchr(" ;\t", line[-1]);
	}
	return n;
}

/* What the provider gets. */
static void
upstream(const struct seen *first, enum op op)
{
	struct split split = SPLIT_WHOLE;
	struct buf form, type;
	struct seen again;

	buf_init(&form, 4 * FORM_MAX);
	buf_init(&type, 4096);
	(void)buf_add_str(&form, buf_str(&first->model));
	(void)buf_add_str(&form, buf_str(&first->kept));
	(void)buf_addf(
	    &type, "multipart/form-data; boundary=%s", first->boundary);
	if (form.len <= FORM_MAX) {
		run(buf_str(&type), buf_str(&form), &split, op, &again);
		MUST(again.rc == 0);
		MUST(strcmp(again.scan.model, MODEL) == 0);
		MUST(again.scan.stream == first->scan.stream);
		MUST(again.scan.n == first->scan.n);
		MUST(again.scan.n_media == first->scan.n_media);
		MUST(again.scan.n_seconds == first->scan.n_seconds);
		MUST(str_eq(buf_str(&again.kept), buf_str(&first->kept)));
		seen_release(&again);
	}
	MUST(count_models(buf_str(&first->model), first->boundary) == 1);
	MUST(count_models(buf_str(&first->kept), first->boundary) == 0);
	buf_release(&form);
	buf_release(&type);
}

/* A part of 300 kB before all others; the boundary is the fuzzer's. */
static void
enlarge(struct str type, struct str form, struct buf *out)
{
	static char filler[4096];
	struct str rest, value;
	int i;

	(void)str_cut(type, '=', &rest, &value);
	memset(filler, 'f', sizeof(filler));
	(void)buf_addf(out,
	    "--%.*s\r\nContent-Disposition: form-data; name=\"big\"; "
	    "filename=\"b\"\r\n\r\n",
	    STR_ARG(value));
	for (i = 0; i < 75; i++)
		(void)buf_add(out, filler, sizeof(filler));
	(void)buf_addz(out, "\r\n");
	(void)buf_add_str(out, form);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct split split = SPLIT_WHOLE;
	struct str all, type, form;
	struct seen whole, cut;
	struct splits it;
	struct buf large;
	enum op op;

	if (size < 1 || size > 65536)
		return 0;
	all = str_make((const char *)data + 1, size - 1);
	(void)str_cut(all, '\n', &type, &form);
	op = data[0] & 0x40 ? OP_IMAGE_EDITS : OP_TRANSCRIPTIONS;
	buf_init(&large, FORM_MAX);
	if ((data[0] & 0xe0) == 0x20)
		enlarge(type, form, &large);
	run(type, large.len > 0 ? buf_str(&large) : form, &split, op, &whole);
	if (whole.rc == 0)
		upstream(&whole, op);
	it = splits_begin(
	    large.len > 0 ? 0 : form.len, 1 + (data[0] & 0x1f), &split);
	do {
		run(type, large.len > 0 ? buf_str(&large) : form, &split, op,
		    &cut);
		same(&whole, &cut);
		seen_release(&cut);
	} while (splits_next(&it, &split));
	seen_release(&whole);
	buf_release(&large);
	return 0;
}
