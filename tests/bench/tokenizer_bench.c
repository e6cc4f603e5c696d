/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the agent counts tokens: megabytes a second and nanoseconds a token
 * by kind of text, also of the worst that a client may send (a run of one
 * character is one piece, merged from its bytes). Prints JSON lines {name,
 * value, unit, ...}. Argument: the folder of the tables; default:
 * share/headgate beside the folder of this program.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/tokenizer/tokenizer.h"
#include "common/io.h"

#define BENCH_TEXT ((size_t)1 << 20)

static const char prose[] =
    "The committee met on the 14th of March, although three of its members "
    "had not yet arrived; they discussed whether the old bridge (built in "
    "1887) could carry the weight of modern traffic. \"It can't,\" said the "
    "engineer, who'd spent years measuring it.\n\nNobody answered for a while. "
    "Outside, rain fell on the river, and the lamps along the quay were lit "
    "one after another. We'll need a different plan, she thought.\n";
static const char code[] =
    "static int\nbpe_reserve(struct bpe_scratch *s, size_t len)\n{\n"
    "\tsize_t cap = s->cap > 0 ? s->cap : 1024;\n\n\tif (len <= s->cap)\n"
    "\t\treturn 0;\n\twhile (cap < len)\n\t\tcap *= 2;\n"
    "    for (const [name, value] of Object.entries(config ?? {})) {\n"
    "        if (typeof value !== 'string') continue;\n"
    "        results.push({ name, value: value.trim(), ok: true });\n    }\n";
static const char chinese[] =
    "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u51b3\u5b9a\u53bb"
    "\u516c\u56ed\u6563\u6b65\u3002\u8def\u4e0a\u9047\u5230\u4e86\u51e0\u4f4d"
    "\u8001\u670b\u53cb\uff0c\u5927\u5bb6\u4e00\u8d77\u804a\u4e86\u5f88\u4e45"
    "\u3002\u56de\u5bb6\u4ee5\u540e\uff0c\u5988\u5988\u5df2\u7ecf\u505a\u597d"
    "\u4e86\u665a\u996d\u3002\n";
static const char russian[] =
    "\u0412\u0441\u0435 \u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u044b"
    "\u0435 \u0441\u0435\u043c\u044c\u0438 \u043f\u043e\u0445\u043e\u0436\u0438"
    " \u0434\u0440\u0443\u0433 \u043d\u0430 \u0434\u0440\u0443\u0433\u0430, "
    "\u043a\u0430\u0436\u0434\u0430\u044f \u043d\u0435\u0441\u0447\u0430\u0441"
    "\u0442\u043b\u0438\u0432\u0430 \u043f\u043e-\u0441\u0432\u043e\u0435\u043c"
    "\u0443.\n";
static const char base64[] =
    "iVBORw0KGgoAAAANSUhEUgAAAZAAAAEsCAMAAADNS4U5AAAABGdBTUEAALGPC/xhBQAAAAFzU"
    "kdCAK7OHOkAAAMAUExURUdwTP7+/v39/fz8/Pv7+/r6+vn5+fj4+Pf39/b29vX19fT09PPz8/";

static const struct {
	const char *name, *unit; /* the unit is repeated */
	size_t size;		 /* of the text */
} kinds[] = {
    {"prose", prose, BENCH_TEXT},
    {"code", code, BENCH_TEXT},
    {"chinese", chinese, BENCH_TEXT},
    {"russian", russian, BENCH_TEXT},
    {"base64", base64, BENCH_TEXT},
    {"letter_run", "a", 100000},
    {"dna_run", "ACGTTGCATTAGCCA", 100000},
    {"space_run", " ", 100000},
    {"emoji_run", "\U0001f600", 100000},
    {"mark_run", "\u0301", 100000},
};

static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
bench_text(const struct tokenizer *t, const char *encoding, const char *name,
    struct tokenizer_scratch *s, struct str text)
{
	double start, took, best = 1e9, all = now();
	size_t rounds = 0;
	int64_t n = 0;

	while (rounds < 3 || now() - all < 0.4) {
		start = now();
		if (tokenizer_count(t, s, text, &n) != 0)
			exit(1);
		took = now() - start;
		best = took < best ? took : best;
		rounds++;
	}
	printf("{\"name\":\"tokenizer_%s_%s\",\"value\":%.1f,"
	       "\"unit\":\"MB/s\",\"tokens\":%lld,\"bytes\":%zu,"
	       "\"ns_per_token\":%.0f,\"bytes_per_token\":%.2f,\"ms\":%.2f}\n",
	    encoding, name, (double)text.len / best / 1e6, (long long)n,
	    text.len, best * 1e9 / (double)n, (double)text.len / (double)n,
	    best * 1e3);
}

static void
bench_all(const struct tokenizer *t, const char *encoding,
    struct tokenizer_scratch *s, struct buf *text, char **files)
{
	struct error e;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		buf_clear(text);
		while (text->len < kinds[i].size &&
		       buf_addz(text, kinds[i].unit) == 0)
			;
		bench_text(t, encoding, kinds[i].name, s, buf_str(text));
	}
	for (; *files != NULL; files++) {
		buf_clear(text);
		if (io_read_file(io_system(), *files, text, &e) != 0) {
			fprintf(stderr, "tokenizer_bench: %s\n", e.text);
			exit(1);
		}
		bench_text(t, encoding, *files, s, buf_str(text));
	}
}

int
main(int argc, char **argv)
{
	struct tokenizer_scratch *s = tokenizer_scratch_new();
	static const char *const names[] = {"o200k", "cl100k"};
	struct tokenizer_set set;
	struct error e = {0};
	struct buf text;
	char dir[4096];
	const char *slash = strrchr(argv[0], '/');
	char *none[] = {NULL};
	size_t i;

	(void)snprintf(dir, sizeof(dir), "%.*s/../share/headgate",
	    slash != NULL ? (int)(slash - argv[0]) : 1,
	    slash != NULL ? argv[0] : ".");
	buf_init(&text, 64 * BENCH_TEXT);
	if (s == NULL || sodium_init() < 0 ||
	    tokenizer_set_open(&set, argc > 1 ? argv[1] : dir, &e) != 0) {
		fprintf(stderr, "tokenizer_bench: %s\n", e.text);
		return 1;
	}
	for (i = 0; i < 2; i++)
		bench_all(
		    set.of[i], names[i], s, &text, argc > 2 ? argv + 2 : none);
	tokenizer_set_close(&set);
	tokenizer_scratch_free(s);
	buf_release(&text);
	return 0;
}
