/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: heads of requests and answers, and the chunked coding, whose
 * result must not depend on how the input is split.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/front/head.h"
#include "agent/front/http.h"
#include "agent/upstream/h1_parse.h"
#include "tests/fuzz/splits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decode in pieces; the body's length, -1 = refused, *end: consumed bytes. */
static long
unchunk(const char *p, size_t n, const struct split *s, char *out, size_t *end)
{
	struct h1_chunked c;
	const char *body;
	size_t at = 0, part, used, len, o = 0;

	memset(&c, 0, sizeof(c));
	while (at < n && c.state != H1_CHUNK_DONE) {
		part = split_piece(s, at, n);
		if (h1_chunked_next(&c, p + at, part, &used, &body, &len) != 0)
			return -1;
		MUST(used > 0 && used <= part && body >= p + at &&
		     body + len <= p + at + part);
		memcpy(out + o, body, len);
		o += len;
		at += used;
	}
	*end = at;
	return (long)o;
}

static void
fuzz_chunks(const char *p, size_t n, size_t step)
{
	char *a = malloc(n + 1), *b = malloc(n + 1);
	struct split split = SPLIT_WHOLE;
	size_t end_a = 0, end_b = 0;
	struct splits it;
	long len_a, len_b;

	MUST(a != NULL && b != NULL);
	len_a = unchunk(p, n, &split, a, &end_a);
	it = splits_begin(n, step, &split);
	do {
		len_b = unchunk(p, n, &split, b, &end_b);
		MUST(len_a == len_b && (len_a < 0 || end_a == end_b));
		MUST(len_a <= 0 || memcmp(a, b, (size_t)len_a) == 0);
	} while (splits_next(&it, &split));
	free(a);
	free(b);
}

/* A head that is complete stays the same in every split. */
static void
fuzz_head_scan(const char *p, size_t n)
{
	struct http_line line;
	struct head h;
	size_t scanned = 0, len = 0, len2 = 0, at;
	int whole, rc = ERR_AGAIN;

	whole = http_head_scan(p, n, &scanned, &len);
	for (at = 0, scanned = 0; at <= n && rc == ERR_AGAIN; at++)
		rc = http_head_scan(p, at, &scanned, &len2);
	MUST(rc == whole && len == len2 && len <= n);
	memset(&h, 0, sizeof(h));
	if (whole == 0 && http_head_parse(str_make(p, len), &line, &h) == 0) {
		MUST(line.method.len > 0 && line.target.len > 0);
		MUST(line.target.p >= p && line.version.p <= p + len);
	}
}

static void
fuzz_request_head(const char *p, size_t n)
{
	struct head_target t;
	struct head h;
	struct str rest = {p, n}, line, name, value, secret, target;
	bool more = true;

	memset(&h, 0, sizeof(h));
	memset(&t, 0, sizeof(t));
	(void)str_cut(rest, '\n', &line, &rest);
	head_target_parse(line, &t);
	target = line;
	while (more) {
		more = str_cut(rest, '\n', &line, &rest);
		if (str_cut(line, ':', &name, &value))
			head_field(&h, name, str_trim(value));
	}
	if (head_check(&h, &t, STR("POST"), STR("HTTP/1.1"), 1000) == HEAD_OK) {
		MUST(h.n_host == 1 && h.n_bad == 0);
		MUST(h.n_length == 0 || h.n_coding == 0);
		MUST(h.content_length <= 1000);
		MUST(target.p[0] == '/');
	}
	(void)head_credential(&h, &t.s, &secret);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct h1_head h;
	size_t len;

	if (size < 1 || size > 65536)
		return 0;
	fuzz_chunks(p + 1, size - 1, 1 + (data[0] & 0x1f));
	fuzz_request_head(p + 1, size - 1);
	if (size < 4096)
		fuzz_head_scan(p + 1, size - 1);
	len = h1_head_len(p + 1, size - 1);
	MUST(len <= size - 1);
	if (len > 0 && h1_head_parse(str_make(p + 1, len), &h) == 0) {
		MUST(h.up.status >= 100 && h.up.status <= 999);
		MUST(h.framing != H1_LENGTH || h.up.content_length > 0);
	}
	return 0;
}
