/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: mkbpe NAME RANKS OUTPUT
 *
 * Makes the table of the encoding NAME from its rank file (lines of "base64
 * rank", ranks ascending from 0), whose SHA-256 is pinned here. Part of the
 * build, not of the agent.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tokenizer/bpe_table.h"
#include "common/io.h"

#define MKBPE_MAX ((size_t)64 << 20)

static const struct {
	const char *name, *sha256;
} pins[] = {
    {"o200k_base", "446a9538cb6c348e3516120d7c08b09f"
		   "57c36495e2acfffe59a5bf8b0cfb1a2d"},
    {"cl100k_base", "223921b76ee99bde995b7ff738513eef"
		    "100fb51d18c93597a113bcffe865b2a7"},
};

static int
mkbpe_check(const char *name, struct str file, struct error *e)
{
	unsigned char sum[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(sum) + 1];
	size_t i;

	(void)crypto_hash_sha256(sum, (const unsigned char *)file.p, file.len);
	hex_encode(sum, sizeof(sum), hex);
	for (i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
		if (strcmp(pins[i].name, name) != 0)
			continue;
		if (strcmp(pins[i].sha256, hex) == 0)
			return 0;
		return err_set(e, ERR_CORRUPT, "SHA-256 is %s, not %s", hex,
		    pins[i].sha256);
	}
	return err_set(e, ERR_UNSUPPORTED, "no encoding is named %s", name);
}

/* One line: the token goes to *at, which moves behind it. */
static int
mkbpe_line(struct str line, size_t want, char **at, size_t room,
    struct str *token, struct error *e)
{
	struct str text, number;
	uint64_t rank;
	size_t len;

	if (!str_cut(line, ' ', &text, &number) ||
	    str_to_u64(number, &rank) != 0 || rank != want ||
	    base64_decode(text, sodium_base64_VARIANT_ORIGINAL, NULL, *at, room,
		&len) != 0)
		return err_set(e, ERR_INVALID, "line %zu", want + 1);
	*token = str_make(*at, len);
	*at += len;
	return 0;
}

static int
mkbpe_run(
    const char *name, struct str file, const char *output, struct error *e)
{
	size_t room = file.len + 1; /* base64 is longer than what it means */
	char *mem = malloc(room), *at = mem;
	struct str *tokens = calloc(BPE_MAX_TOKENS, sizeof(*tokens));
	struct str line;
	struct buf out;
	size_t n = 0;
	int rc = 0;

	buf_init(&out, MKBPE_MAX);
	if (mem == NULL || tokens == NULL) {
		rc = err_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
		goto out;
	}
	while (file.len > 0 && n < BPE_MAX_TOKENS) {
		(void)str_cut(file, '\n', &line, &file);
		rc = mkbpe_line(
		    line, n, &at, (size_t)(mem + room - at), &tokens[n], e);
		if (rc != 0)
			goto out;
		n++;
	}
	rc = bpe_table_write(name, tokens, n, &out, e);
	if (rc == 0)
		rc = io_write_file_atomic(
		    io_system(), output, out.data, out.len, 0644, e);
out:
	buf_release(&out);
	free(tokens);
	free(mem);
	return rc;
}

int
main(int argc, char **argv)
{
	struct error e = {0};
	struct buf file;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: mkbpe NAME RANKS OUTPUT\n");
		return 2;
	}
	buf_init(&file, MKBPE_MAX);
	rc = sodium_init() < 0 ? ERR_INTERNAL : 0;
	if (rc == 0)
		rc = io_read_file(io_system(), argv[2], &file, &e);
	if (rc == 0)
		rc = mkbpe_check(argv[1], buf_str(&file), &e);
	if (rc == 0)
		rc = mkbpe_run(argv[1], buf_str(&file), argv[3], &e);
	if (rc != 0)
		fprintf(stderr, "mkbpe: %s: %s\n", argv[2], e.text);
	buf_release(&file);
	return rc == 0 ? 0 : 1;
}
