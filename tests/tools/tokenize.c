/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: headgate-tokenize DIR ENCODING encode|walk|stream
 *
 * The agent's tokenizer for the end-to-end tests: reads JSON values, one a
 * line, and prints for each a JSON array of the ids of a string (encode), or
 * the number of tokens in all its strings, counted in small steps (walk), or
 * of a string that comes in small parts (stream).
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tokenizer/tokenizer.h"

#define TOKENIZE_MAX ((size_t)64 << 20)

static struct tokenizer_set set;
static struct token_counter counter;
static struct tokenizer_scratch *scratch;

static int
tokenize_encode(struct json v)
{
	struct buf text;
	uint32_t *ids = NULL;
	size_t i, n = 0;
	int rc;

	buf_init(&text, TOKENIZE_MAX);
	rc = json_unescape(v, &text);
	if (rc != 0)
		goto out;
	ids = malloc((text.len + 1) * sizeof(*ids));
	if (ids == NULL) {
		rc = ERR_NOMEM;
		goto out;
	}
	rc = tokenizer_encode(
	    counter.exact, scratch, buf_str(&text), ids, text.len, &n);
	if (rc != 0)
		goto out;
	(void)putchar('[');
	for (i = 0; i < n; i++)
		printf("%s%u", i > 0 ? "," : "", (unsigned)ids[i]);
	puts("]");
out:
	free(ids);
	buf_release(&text);
	return rc;
}

static int
tokenize_walk(struct json v)
{
	struct token_walk w;

	token_walk_init(&w, v);
	while (!token_walk_step(&w, &counter, scratch, 100))
		;
	printf("%lld\n", (long long)w.n);
	return 0;
}

static int
tokenize_stream(struct json v)
{
	struct token_stream st = {0};
	struct buf text;
	size_t at, len, n = 0;
	int rc;

	buf_init(&text, TOKENIZE_MAX);
	rc = json_unescape(v, &text);
	for (at = 0; rc == 0 && at < text.len; at += len) {
		/* 1 to 7 bytes and then whole characters */
		len = 1 + n++ % 7;
		while (at + len < text.len &&
		       ((unsigned char)text.data[at + len] & 0xc0) == 0x80)
			len++;
		if (at + len > text.len)
			len = text.len - at;
		token_stream_add(
		    &st, &counter, scratch, str_make(text.data + at, len));
	}
	if (rc == 0)
		printf("%lld\n",
		    (long long)token_stream_total(&st, &counter, scratch));
	buf_release(&text);
	return rc;
}

static int
tokenize_line(const char *mode, struct str line, struct error *e)
{
	struct json v;
	int rc = json_validate(line, NULL, e);

	if (rc != 0)
		return rc;
	v = json_root(line);
	if (strcmp(mode, "walk") == 0)
		return tokenize_walk(v);
	return strcmp(mode, "stream") == 0 ? tokenize_stream(v)
					   : tokenize_encode(v);
}

int
main(int argc, char **argv)
{
	struct error e = {0};
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: headgate-tokenize DIR ENCODING MODE\n");
		return 2;
	}
	rc = sodium_init() < 0 ? ERR_INTERNAL : 0;
	if (rc == 0)
		rc = tokenizer_set_open(&set, argv[1], &e);
	if (rc == 0)
		rc = tokenizer_for_model(&set, str_of(argv[2]), &counter);
	scratch = tokenizer_scratch_new();
	if (scratch == NULL)
		rc = ERR_NOMEM;
	while (rc == 0 && (n = getline(&line, &cap, stdin)) > 0)
		rc = tokenize_line(
		    argv[3], str_trim(str_make(line, (size_t)n - 1)), &e);
	if (rc != 0)
		fprintf(
		    stderr, "headgate-tokenize: %s %s\n", err_name(rc), e.text);
	free(line);
	tokenizer_scratch_free(scratch);
	tokenizer_set_close(&set);
	return rc == 0 ? 0 : 1;
}
