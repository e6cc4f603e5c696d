/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the configuration file parser. What it accepts must be within
 * the bounds of the table; what it refuses must say why in one line.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cfg.h"

struct fuzz_conf {
	const char *listen, *name, *secret;
	int64_t n, bytes, ms;
	bool flag;
};

#define OPT(name, type, field, def, min, max)                                 \
	{                                                                     \
		name, type, offsetof(struct fuzz_conf, field), def, min, max, \
		    "X", "Help."                                              \
	}

static const struct cfg_option options[] = {
    OPT("listen", CFG_LISTEN, listen, "", 0, 0),
    OPT("name", CFG_STRING, name, "", 0, 0),
    OPT("secret", CFG_SECRET, secret, "", 0, 0),
    OPT("n", CFG_INT, n, "1", -5, 100),
    OPT("bytes", CFG_BYTES, bytes, "1", 0, 1 << 20),
    OPT("ms", CFG_DURATION, ms, "1s", 0, 60000),
    OPT("flag", CFG_BOOL, flag, "", 0, 0),
};

static const struct cfg_table table = {
    "fuzz", "Fuzz.", "fuzz", options, sizeof(options) / sizeof(options[0])};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_cfg: %s\n", what);
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	struct fuzz_conf c = {.n = 1};
	struct error e = {0};
	struct str host;
	uint16_t port;
	int rc;

	/* Do not read the files that the input names. */
	if (size > 0 && memmem(data, size, "-file", 5) != NULL)
		return 0;
	rc = cfg_parse_text(&table, &c, text, "f", &e);
	require(rc == 0 || rc == ERR_INVALID, "unexpected code");
	require(e.code == rc, "code and error differ");
	require(rc == 0 || e.text[0] != '\0', "no text");
	require(strpbrk(e.text, "\n\r\x1b") == NULL, "control characters");
	require(c.n >= -5 && c.n <= 100, "n out of bounds");
	require(c.bytes >= 0 && c.bytes <= 1 << 20, "bytes out of bounds");
	require(c.ms >= 0 && c.ms <= 60000, "ms out of bounds");
	require(c.listen == NULL || c.listen[0] == '\0' ||
		    cfg_listen_split(str_of(c.listen), &host, &port),
	    "listen is no address");
	require(c.name == NULL || str_is_utf8(str_of(c.name)), "name UTF-8");
	cfg_release(&table, &c);
	return 0;
}
