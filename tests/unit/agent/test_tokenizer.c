/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokenizers: where text is cut, how pieces are merged, damaged tables,
 * counting in steps and from streams, names and ratios. The tests of the
 * real encodings need their tables (`make tokenizers`) and do nothing
 * without.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/io.h"
#include "tests/fuzz/tokenizer_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct buf table;
static struct tokenizer *tok;
static struct tokenizer_scratch *scratch;

static void
setup(void)
{
	if (tok != NULL)
		return;
	ck_assert_int_ge(sodium_init(), 0);
	buf_init(&table, BPE_FILE_MAX);
	ck_assert(kit_table("o200k_base", &table));
	ck_assert_int_eq(
	    tokenizer_load(table.data, table.len, "o200k_base", &tok, NULL), 0);
	scratch = tokenizer_scratch_new();
	ck_assert_ptr_nonnull(scratch);
}

/* Pieces of text, with '|' between them. */
static const char *
pieces(enum split_rule rule, const char *text)
{
	static char out[512];
	struct str rest = str_of(text);
	size_t n = 0, len;
	bool open;

	while (rest.len > 0) {
		len = split_piece(uclass_table(), rule, rest, &open);
		ck_assert(len > 0 && len <= rest.len);
		if (n > 0)
			out[n++] = '|';
		memcpy(out + n, rest.p, len);
		n += len;
		rest.p += len;
		rest.len -= len;
	}
	out[n] = '\0';
	return out;
}

START_TEST(test_split)
{
	/* clang-format off */
	static const struct {
		const char *text, *o200k, *cl100k;
	} cases[] = {
		{"", "", ""},
		{"Hello world", "Hello| world", "Hello| world"},
		{"HTTPServer", "HTTPServer", "HTTPServer"},
		{"camelCase", "camel|Case", "camelCase"},
		{"ABC", "ABC", "ABC"},
		{"it's I'LL we've", "it's| I'LL| we've", "it|'s| I|'LL| we|'ve"},
		{"x'\xc5\xbfy", "x'\xc5\xbf|y", "x|'\xc5\xbf|y"},
		{"'test", "'test", "'t|est"},
		{"a'b", "a|'b", "a|'b"},
		{"12345", "123|45", "123|45"},
		{"a1b", "a|1|b", "a|1|b"},
		{"(foo) bar", "(foo|)| bar", "(foo|)| bar"},
		{"!!foo", "!!|foo", "!!|foo"},
		{"a.\n\nb", "a|.\n\n|b", "a|.\n\n|b"},
		{"//\n/x", "//\n/|x", "//\n|/x"},
		{" //", " //", " //"},
		{"a  b", "a| | b", "a| | b"},
		{"a \n  b", "a| \n| | b", "a| \n| | b"},
		{"a\n\n\n", "a|\n\n\n", "a|\n\n\n"},
		{"a\n  ", "a|\n|  ", "a|\n  "},
		{"\tx", "\tx", "\tx"},
		{"\nx", "\n|x", "\n|x"},
		{"a\xc2\xa0" "b", "a|\xc2\xa0" "b", "a|\xc2\xa0" "b"},
		{"a\xe2\x80\x83\xe2\x80\x83 b", "a|\xe2\x80\x83\xe2\x80\x83| b",
		    "a|\xe2\x80\x83\xe2\x80\x83| b"},
		/* U+0085 is white space, U+FEFF is none. */
		{"a\xc2\x85\xc2\x85.", "a|\xc2\x85|\xc2\x85|.",
		    "a|\xc2\x85|\xc2\x85|."},
		{" \xef\xbb\xbf.", " \xef\xbb\xbf.", " \xef\xbb\xbf."},
		/* Marks: with o200k part of words, with cl100k symbols. */
		{"e\xcc\x81" "a", "e\xcc\x81" "a", "e|\xcc\x81" "a"},
		{"\xcc\x81" "AB", "\xcc\x81|AB", "\xcc\x81" "AB"},
		{" \xcc\x81", " \xcc\x81", " \xcc\x81"},
		/* Lm gives back: A* stops at the last that B has too. */
		{"\xca\xb0" "AB", "\xca\xb0|AB", "\xca\xb0" "AB"},
		{"AB\xca\xb0" "CD", "AB\xca\xb0|CD", "AB\xca\xb0" "CD"},
		{"AB\xca\xb0" "Cd", "AB\xca\xb0" "Cd", "AB\xca\xb0" "Cd"},
		{"\xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82" "a",
		    "\xe4\xb8\xad\xe6\x96\x87|\xe3\x80\x82" "a",
		    "\xe4\xb8\xad\xe6\x96\x87|\xe3\x80\x82" "a"},
		/* Bytes that are no character are symbols. */
		{"a\xff\xe4\xb8z", "a|\xff\xe4\xb8|z", "a|\xff\xe4\xb8|z"},
	};
	/* clang-format on */
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_str_eq(
		    pieces(SPLIT_O200K, cases[i].text), cases[i].o200k);
		ck_assert_str_eq(
		    pieces(SPLIT_CL100K, cases[i].text), cases[i].cl100k);
	}
}
END_TEST

/* Text of the characters that the small vocabulary knows, and some others. */
static size_t
random_text(uint32_t *state, char *out, size_t max)
{
	static const char *const units[] = {"a", "b", "A", "B", " ", "1", "'s",
	    "/", ".", "\n", "\xc3\xa9", "\xcc\x81", "ab", "aa", "\xe4\xb8\xad",
	    "\"", "\\", "\x01"};
	size_t n = 0, len, k;
	uint32_t times;

	max = kit_random(state, (uint32_t)max);
	for (;;) {
		k = kit_random(state, sizeof(units) / sizeof(units[0]));
		times = kit_random(state, 5) > 0 ? 1 : kit_random(state, 40);
		len = strlen(units[k]);
		for (; times > 0; times--) {
			if (n + len > max)
				return n;
			memcpy(out + n, units[k], len);
			n += len;
		}
	}
}

START_TEST(test_merge)
{
	static size_t ends[600];
	static uint32_t ids[600];
	char text[600];
	uint32_t state = 7;
	size_t len, n, i, at;
	int round;

	setup();
	for (round = 0; round < 3000; round++) {
		len = random_text(&state, text, sizeof(text));
		if (len == 0)
			continue;
		ck_assert_int_eq(bpe_piece(&tok->table, &scratch->bpe,
				     (const uint8_t *)text, len, ids, &n),
		    0);
		ck_assert_uint_eq(n,
		    kit_merge(&tok->table, (const uint8_t *)text, len, ends));
		for (i = 0, at = 0; i < n; at = ends[i++])
			ck_assert_uint_eq(ids[i],
			    bpe_rank(&tok->table, (const uint8_t *)text + at,
				ends[i] - at));
		ck_assert_int_eq(bpe_piece(&tok->table, &scratch->bpe,
				     (const uint8_t *)text, len, NULL, &i),
		    0);
		ck_assert_uint_eq(i, n);
	}
}
END_TEST

START_TEST(test_ways_of_counting)
{
	struct token_counter c = {NULL, 3600};
	char text[2000];
	uint32_t ids[2000], state = 11;
	struct token_walk w;
	struct token_stream st;
	struct buf json;
	size_t len, pos, n;
	int64_t sum, some;
	int round;

	setup();
	c.exact = tok;
	buf_init(&json, 1 << 20);
	for (round = 0; round < 2000; round++) {
		len = random_text(&state, text, sizeof(text));
		ck_assert_int_eq(tokenizer_encode(tok, scratch,
				     str_make(text, len), ids, len, &n),
		    0);
		ck_assert_int_eq(
		    tokenizer_count(tok, scratch, str_make(text, len), &sum),
		    0);
		ck_assert_int_eq(sum, (int64_t)n);
		for (pos = 0, some = 0; pos < len;)
			ck_assert_int_eq(
			    tokenizer_count_some(tok, scratch,
				str_make(text, len), 50, &pos, &some),
			    0);
		ck_assert_int_eq(some, sum);

		buf_clear(&json);
		(void)buf_addz(&json, "{\"a\":[");
		(void)buf_add_json(&json, str_make(text, len));
		(void)buf_addz(&json, ",1,\"\"],\"b\":null}");
		ck_assert_int_eq(json_validate(buf_str(&json), NULL, NULL), 0);
		token_walk_init(&w, json_root(buf_str(&json)));
		while (!token_walk_step(&w, &c, scratch, 64))
			;
		/* The names of the two members are tokens too. */
		ck_assert_int_eq(w.n, sum + 2);
		ck_assert_int_eq(w.bytes, (int64_t)len + 2);

		memset(&st, 0, sizeof(st));
		for (pos = 0; pos < len; pos += n) {
			n = 1 + kit_random(&state, 9);
			while (pos + n < len &&
			       ((unsigned char)text[pos + n] & 0xc0) == 0x80)
				n++;
			n = n < len - pos ? n : len - pos;
			token_stream_add(
			    &st, &c, scratch, str_make(text + pos, n));
			/* A look at the sum changes nothing. */
			(void)token_stream_total(&st, &c, scratch);
		}
		ck_assert_int_eq(token_stream_total(&st, &c, scratch), sum);
		ck_assert_int_eq(st.bytes, (int64_t)len);
	}
	buf_release(&json);
}
END_TEST

START_TEST(test_walk_long_pieces)
{
	struct token_counter c = {NULL, 3600};
	struct token_walk w;
	struct buf json, text;
	int64_t want;
	size_t i;

	setup();
	c.exact = tok;
	buf_init(&json, 8 << 20);
	buf_init(&text, 8 << 20);
	for (i = 0; i < 100000; i++)
		(void)buf_addz(&text, i % 5000 == 0 ? "\n.\xc3\xa9" : "ab");
	(void)buf_add_json(&json, buf_str(&text));
	ck_assert_int_eq(json_validate(buf_str(&json), NULL, NULL), 0);
	ck_assert_int_eq(
	    tokenizer_count(tok, scratch, buf_str(&text), &want), 0);
	token_walk_init(&w, json_root(buf_str(&json)));
	while (!token_walk_step(&w, &c, scratch, 1000))
		;
	ck_assert_int_eq(w.n, want);

	/* Longer than the limit of a piece: cut, and done in good time. */
	buf_clear(&text);
	for (i = 0; i < 3 * TOKENIZER_PIECE_MAX; i++)
		(void)buf_addc(&text, 'a');
	buf_clear(&json);
	(void)buf_add_json(&json, buf_str(&text));
	ck_assert_int_eq(
	    tokenizer_count(tok, scratch, buf_str(&text), &want), 0);
	token_walk_init(&w, json_root(buf_str(&json)));
	while (!token_walk_step(&w, &c, scratch, 1 << 30))
		;
	ck_assert_int_eq(w.n, want);
	ck_assert_uint_le(scratch->bpe.cap, TOKENIZER_PIECE_MAX);
	buf_release(&text);
	buf_release(&json);
}
END_TEST

START_TEST(test_ratio)
{
	struct token_counter c = {NULL, 3600};
	struct token_stream st = {0};
	struct token_walk w;
	struct str doc = STR("[\"abc\\n\\u00e9\",{\"k\":\"0123456789\"}]");

	ck_assert_int_eq(token_counter_bytes(&c, 0), 0);
	ck_assert_int_eq(token_counter_bytes(&c, -5), 0);
	ck_assert_int_eq(token_counter_bytes(&c, 1), 1);
	ck_assert_int_eq(token_counter_bytes(&c, 36), 10);
	ck_assert_int_eq(token_counter_bytes(&c, 37), 11);
	ck_assert_int_gt(token_counter_bytes(&c, INT64_MAX), 0);
	ck_assert_int_eq(token_counter_count(&c, NULL, STR("0123456789")), 3);
	token_stream_add(&st, &c, NULL, STR("0123"));
	token_stream_add_json(&st, &c, NULL, json_root(STR("\"45\\u0036\"")));
	token_stream_add_json(&st, &c, NULL, json_root(STR("17")));
	ck_assert_int_eq(token_stream_total(&st, &c, NULL), 2);
	token_walk_init(&w, json_root(doc));
	ck_assert(token_walk_step(&w, &c, NULL, 1 << 20));
	ck_assert_int_eq(w.bytes, 17);
	ck_assert_int_eq(w.n, 5);
}
END_TEST

START_TEST(test_names)
{
	struct tokenizer_set set = {0};
	struct token_counter c;

	setup();
	set.of[TOKENIZER_O200K] = tok;
	ck_assert_int_eq(tokenizer_for_model(&set, STR("o200k"), &c), 0);
	ck_assert_ptr_eq(c.exact, tok);
	ck_assert_int_eq(tokenizer_for_model(&set, STR("o200k_base"), &c), 0);
	ck_assert_ptr_eq(c.exact, tok);
	ck_assert_int_eq(tokenizer_for_model(&set, STR("cl100k"), &c), 0);
	ck_assert_ptr_null(c.exact);
	ck_assert_int_eq(c.milli, TOKENIZER_DEFAULT_MILLI);
	ck_assert_int_eq(tokenizer_for_model(NULL, STR("o200k"), &c), 0);
	ck_assert_ptr_null(c.exact);
	ck_assert_int_eq(tokenizer_for_model(NULL, STR_NULL, &c), 0);
	ck_assert_int_eq(c.milli, TOKENIZER_DEFAULT_MILLI);
	ck_assert_int_eq(tokenizer_for_model(&set, STR("bytes:2.25"), &c), 0);
	ck_assert_int_eq(c.milli, 2250);
	ck_assert_int_eq(
	    tokenizer_for_model(&set, STR("nonsense"), &c), ERR_UNSUPPORTED);
	ck_assert_int_eq(c.milli, TOKENIZER_DEFAULT_MILLI);
	ck_assert(tokenizer_name_is_valid(STR("bytes:4")));
	ck_assert(tokenizer_name_is_valid(STR("bytes:1000")));
	ck_assert(!tokenizer_name_is_valid(STR("")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:0")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:0.09")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:1000.1")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:3.1415")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:3.")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:.5")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:-1")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes:")));
	ck_assert(!tokenizer_name_is_valid(STR("bytes")));
}
END_TEST

START_TEST(test_damage)
{
	struct bpe_table t;
	struct error e = {0};
	struct buf copy;
	size_t i;

	setup();
	buf_init(&copy, BPE_FILE_MAX);
	(void)buf_add(&copy, table.data, table.len);
	for (i = 0; i < copy.len; i += i < 200 ? 1 : 997) {
		copy.data[i] = (char)(copy.data[i] ^ 1);
		ck_assert_int_ne(
		    bpe_table_load(copy.data, copy.len, "o200k_base", &t, &e),
		    0);
		ck_assert_int_ne(e.text[0], 0);
		copy.data[i] = (char)(copy.data[i] ^ 1);
	}
	for (i = 0; i < copy.len; i += i < 200 ? 1 : 997)
		ck_assert_int_eq(
		    bpe_table_load(copy.data, i, "o200k_base", &t, &e),
		    ERR_CORRUPT);
	ck_assert_int_eq(
	    bpe_table_load(copy.data, copy.len, "cl100k_base", &t, &e),
	    ERR_CORRUPT);
	copy.data[8] = 2;
	ck_assert_int_eq(
	    bpe_table_load(copy.data, copy.len, "o200k_base", &t, &e),
	    ERR_VERSION);
	buf_release(&copy);
}
END_TEST

START_TEST(test_files)
{
	const char *tmp = getenv("TMPDIR");
	char path[512], dir[400];
	struct tokenizer_set set;
	struct tokenizer *t = NULL;
	struct error e = {0};

	setup();
	(void)snprintf(
	    dir, sizeof(dir), "%s", tmp != NULL && *tmp != 0 ? tmp : "/tmp");
	(void)snprintf(path, sizeof(path), "%s/o200k_base.bpe", dir);
	ck_assert_int_eq(
	    tokenizer_open(dir, "p50k_base", &t, &e), ERR_UNSUPPORTED);
	ck_assert_int_eq(
	    tokenizer_open("/nowhere", "o200k_base", &t, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    tokenizer_set_open(&set, "/nowhere", &e), ERR_NOT_FOUND);
	tokenizer_set_close(&set);
	ck_assert_int_eq(io_write_file_atomic(io_system(), path, table.data,
			     table.len, 0600, &e),
	    0);
	/* One is there, the other is not: the set says so and works. */
	ck_assert_int_eq(tokenizer_set_open(&set, dir, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "cl100k_base"));
	ck_assert_ptr_nonnull(set.of[TOKENIZER_O200K]);
	ck_assert_ptr_null(set.of[TOKENIZER_CL100K]);
	tokenizer_set_close(&set);
	/* Damage is told even when another one is missing. */
	ck_assert_int_eq(io_write_file_atomic(io_system(), path, table.data,
			     table.len - 1, 0600, &e),
	    0);
	ck_assert_int_eq(tokenizer_set_open(&set, dir, &e), ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "o200k_base"));
	tokenizer_set_close(&set);
	(void)remove(path);
}
END_TEST

START_TEST(test_vocabulary_refused)
{
	static struct str tokens[300];
	static char mem[300];
	struct buf out;
	size_t i;

	for (i = 0; i < 300; i++) {
		mem[i] = (char)i;
		tokens[i] =
		    str_make(mem + (i < 256 ? i : i - 256), i < 256 ? 1 : 2);
	}
	buf_init(&out, BPE_FILE_MAX);
	ck_assert_int_eq(
	    bpe_table_write("x", tokens, 100, &out, NULL), ERR_INVALID);
	tokens[299] = tokens[298];
	ck_assert_int_eq(
	    bpe_table_write("x", tokens, 300, &out, NULL), ERR_INVALID);
	tokens[299] = STR_NULL;
	ck_assert_int_eq(
	    bpe_table_write("x", tokens, 300, &out, NULL), ERR_INVALID);
	tokens[7] = STR("abc");
	ck_assert_int_eq(
	    bpe_table_write("x", tokens, 299, &out, NULL), ERR_INVALID);
	ck_assert_int_eq(bpe_table_write("12345678901234567890123456789012",
			     tokens, 298, &out, NULL),
	    ERR_INVALID);
	ck_assert_uint_eq(out.len, 0);
	buf_release(&out);
}
END_TEST

START_TEST(test_out_of_memory)
{
	struct tokenizer_scratch *s;
	struct tokenizer *t;
	char text[500];
	int64_t n;
	int rc;

	setup();
	memset(text, 'a', sizeof(text));
	EACH_OOM
	{
		t = NULL;
		n = -1;
		rc = tokenizer_load(
		    table.data, table.len, "o200k_base", &t, NULL);
		s = tokenizer_scratch_new();
		if (rc == 0 && s != NULL) {
			rc = tokenizer_count(
			    t, s, str_make(text, sizeof(text)), &n);
			if (oom_hit()) {
				ck_assert_int_eq(rc, ERR_NOMEM);
				ck_assert_int_eq(n, -1);
			}
		}
		if (oom_hit())
			ck_assert(rc == ERR_NOMEM || s == NULL);
		else
			ck_assert_int_gt(n, 0);
		tokenizer_scratch_free(s);
		tokenizer_close(t);
	}
	ck_assert_uint_eq(oom_failures(), 3);
}
END_TEST

static void *
count_thread(void *arg)
{
	struct tokenizer_scratch *s = tokenizer_scratch_new();
	int64_t *sum = arg, n = 0;
	char text[3000];
	uint32_t state = 5;
	int i;

	for (i = 0; s != NULL && i < 300; i++) {
		if (tokenizer_count(tok, s,
			str_make(text, random_text(&state, text, sizeof(text))),
			&n) == 0)
			*sum += n;
	}
	tokenizer_scratch_free(s);
	return NULL;
}

START_TEST(test_threads)
{
	pthread_t threads[4];
	int64_t sums[4] = {0};
	size_t i;

	setup();
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, count_thread, &sums[i]),
		    0);
	for (i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	ck_assert_int_gt(sums[0], 0);
	for (i = 1; i < 4; i++)
		ck_assert_int_eq(sums[i], sums[0]);
}
END_TEST

/* The real tables, or false. */
static bool
real_tables(struct tokenizer_set *set)
{
	const char *bin = getenv("HG_BIN");
	char dir[4096];
	struct error e = {0};

	(void)snprintf(dir, sizeof(dir), "%s/../share/headgate",
	    bin != NULL ? bin : "build/dev/bin");
	if (tokenizer_set_open(set, dir, &e) == 0)
		return true;
	printf("# not tested with real tables: %s\n", e.text);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	tokenizer_set_close(set);
	return false;
}

static void
check_ids(const struct tokenizer *t, struct str text, const char *want)
{
	static uint32_t ids[1 << 16];
	struct buf got;
	size_t n, i;

	ck_assert_int_eq(
	    tokenizer_encode(t, scratch, text, ids, 1 << 16, &n), 0);
	buf_init(&got, 1 << 20);
	for (i = 0; i < n; i++)
		(void)buf_addf(
		    &got, "%s%u", i > 0 ? ", " : "", (unsigned)ids[i]);
	ck_assert_msg(str_eqz(buf_str(&got), want),
	    "\"%.*s\" is [%s], not [%s]", STR_ARG(text), buf_cstr(&got), want);
	buf_release(&got);
}

START_TEST(test_real_ids)
{
	struct tokenizer_set set;
	const struct tokenizer *o200k, *cl100k;

	setup();
	if (!real_tables(&set))
		return;
	o200k = set.of[TOKENIZER_O200K];
	cl100k = set.of[TOKENIZER_CL100K];
	check_ids(o200k, STR("hello world"), "24912, 2375");
	check_ids(cl100k, STR("hello world"), "15339, 1917");
	/* A special token is text like any other. */
	check_ids(
	    cl100k, STR("<|endoftext|>"), "27, 91, 8862, 728, 428, 91, 29");
	check_ids(o200k, STR(""), "");
	tokenizer_set_close(&set);
}
END_TEST

/* Cut s in front of mark; what follows mark goes to rest. */
static bool
cut_at(struct str s, const char *mark, struct str *head, struct str *rest)
{
	const char *p =
	    s.len > 0 ? memmem(s.p, s.len, mark, strlen(mark)) : NULL;

	if (p == NULL)
		return false;
	*head = str_make(s.p, (size_t)(p - s.p));
	*rest = str_make(p + strlen(mark), s.len - head->len - strlen(mark));
	return true;
}

START_TEST(test_real_vectors)
{
	static const char path[] = "agent/tokenizer/data/node_modules/"
				   "gpt-tokenizer/data/TestPlans.txt";
	struct tokenizer_set set;
	struct token_counter c;
	struct error e = {0};
	struct str rest, name, text, ids;
	struct buf file;
	char want[8192];
	int n = 0;

	setup();
	if (!real_tables(&set))
		return;
	buf_init(&file, 1 << 20);
	if (io_read_file(io_system(), path, &file, &e) == 0) {
		rest = buf_str(&file);
		while (cut_at(rest, "EncodingName: ", &name, &rest)) {
			ck_assert(cut_at(rest, "\nSample: ", &name, &rest));
			ck_assert(cut_at(rest, "\nEncoded: [", &text, &rest));
			ck_assert(cut_at(rest, "]", &ids, &rest));
			if (tokenizer_for_model(&set, name, &c) != 0)
				continue;
			ck_assert_int_eq(str_copy(ids, want, sizeof(want)), 0);
			check_ids(c.exact, text, want);
			n++;
		}
		ck_assert_int_gt(n, 100);
	}
	buf_release(&file);
	tokenizer_set_close(&set);
}
END_TEST

START_TEST(test_real_runs)
{
	static const char *const units[] = {"a", " ", "\n", "=",
	    "\xf0\x9f\x98\x80", "\xe4\xb8\xad", "\xcc\x81", "ACGT", "\xff"};
	struct tokenizer_set set;
	struct buf text;
	int64_t n;
	size_t i, t;

	setup();
	if (!real_tables(&set))
		return;
	buf_init(&text, 1 << 20);
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		buf_clear(&text);
		while (text.len < 100000)
			(void)buf_addz(&text, units[i]);
		for (t = 0; t < TOKENIZER_N; t++) {
			ck_assert_int_eq(tokenizer_count(set.of[t], scratch,
					     buf_str(&text), &n),
			    0);
			ck_assert_int_gt(n, 700);
			ck_assert_int_le(n, 100000);
		}
	}
	buf_release(&text);
	tokenizer_set_close(&set);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tokenizer");

	UNIT_ADD(s, test_split);
	UNIT_ADD(s, test_merge);
	UNIT_ADD(s, test_ways_of_counting);
	UNIT_ADD(s, test_walk_long_pieces);
	UNIT_ADD(s, test_ratio);
	UNIT_ADD(s, test_names);
	UNIT_ADD(s, test_damage);
	UNIT_ADD(s, test_files);
	UNIT_ADD(s, test_vocabulary_refused);
	UNIT_ADD(s, test_out_of_memory);
	UNIT_ADD(s, test_threads);
	UNIT_ADD(s, test_real_ids);
	UNIT_ADD(s, test_real_vectors);
	UNIT_ADD(s, test_real_runs);
	return unit_run(s);
}
