/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The splitting rules as scans over classes of characters. Where an expression
 * would backtrack, the place that it falls back to is remembered instead.
 */
#include "agent/tokenizer/split.h"

#include <stdint.h>

#include "common/utf8.h"

typedef unsigned char byte;

#define BIT(c)	(1U << (c))
#define LETTERS (BIT(UC_UPPER) | BIT(UC_LOWER) | BIT(UC_LETTER)) /* \p{L} */
#define UPPERS	(BIT(UC_UPPER) | BIT(UC_LETTER) | BIT(UC_MARK))	 /* A */
#define LOWERS	(BIT(UC_LOWER) | BIT(UC_LETTER) | BIT(UC_MARK))	 /* B */
#define BLANKS	(BIT(UC_SPACE) | BIT(UC_NEWLINE))		 /* \s */
#define SYMBOLS (BIT(UC_OTHER) | BIT(UC_MARK)) /* [^\s\p{L}\p{N}] */

struct scan {
	const byte *end;
	const struct uclass_table *table;
	bool open; /* the end was looked at */
};

/* Class of a character beyond ASCII; *len is its length. */
static enum uclass
scan_wide(const struct scan *s, const byte *p, unsigned *len)
{
	uint32_t cp;

	*len = utf8_char_len((const char *)p, (const char *)s->end);
	switch (*len) {
	case 2:
		cp = (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
		break;
	case 3:
		cp =
		    (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
		break;
	case 4:
		cp = (p[0] & 0x07U) << 18 | (p[1] & 0x3fU) << 12 |
		     (p[2] & 0x3fU) << 6 | (p[3] & 0x3fU);
		break;
	default:
		*len = 1;
		return UC_OTHER;
	}
	return uclass_of(s->table, cp);
}

static inline enum uclass
scan_class(struct scan *s, const byte *p, unsigned *len)
{
	if (p >= s->end) {
		s->open = true;
		*len = 0;
		return UC_END;
	}
	if (*p < 0x80) {
		*len = 1;
		return (enum uclass)s->table->class_of[0][*p];
	}
	return scan_wide(s, p, len);
}

/* First character at or after p that is in none of the classes. */
static inline const byte *
scan_run(struct scan *s, const byte *p, unsigned classes)
{
	unsigned len;

	while (BIT(scan_class(s, p, &len)) & classes)
		p += len;
	return p;
}

/* Length of (?i:'s|'t|'re|'ve|'m|'ll|'d) at p, 0 if it is not there. */
static size_t
scan_contraction(struct scan *s, const byte *p)
{
	ptrdiff_t left = s->end - p;
	byte a, b;

	if (left < 3 && (left == 0 || p[0] == '\''))
		s->open = true;
	if (left < 2 || p[0] != '\'')
		return 0;
	a = p[1] | 0x20;
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	if (left < 3)
		return 0;
	b = p[2] | 0x20;
	if ((a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e'))
		return 3;
	return p[1] == 0xc5 && p[2] == 0xbf ? 3 : 0; /* U+017F */
}

/* White space at p, of at least one character. */
static const byte *
scan_blank(struct scan *s, enum split_rule rule, const byte *p)
{
	const byte *start = p, *last = p, *newline = NULL;
	enum uclass c;
	unsigned len;

	for (;;) {
		c = scan_class(s, p, &len);
		if (!(BIT(c) & BLANKS))
			break;
		last = p;
		p += len;
		if (c == UC_NEWLINE)
			newline = p;
	}
	if (c == UC_END && rule == SPLIT_CL100K)
		return p;
	if (newline != NULL)
		return newline;
	/* The last one before a word goes with the word. */
	return c == UC_END || last == start ? p : last;
}

/* \p{N}{1,3} */
static const byte *
scan_number(struct scan *s, const byte *p)
{
	unsigned len, n;

	for (n = 0; n < 3 && scan_class(s, p, &len) == UC_NUMBER; n++)
		p += len;
	return p;
}

/* [^\s\p{L}\p{N}]+ and then new lines, and with o200k slashes. */
static const byte *
scan_symbols(struct scan *s, enum split_rule rule, const byte *p)
{
	p = scan_run(s, p, SYMBOLS);
	while (p < s->end &&
	       (*p == '\r' || *p == '\n' || (*p == '/' && rule == SPLIT_O200K)))
		p++;
	if (p >= s->end)
		s->open = true;
	return p;
}

/* A*B+, or else A+B*, at p; NULL if neither is there. With after_mark, p
 * follows a mark, which is a match of its own when A*B+ is not there. */
static const byte *
scan_word(struct scan *s, const byte *p, bool after_mark)
{
	const byte *start = p, *after_both = NULL;
	enum uclass c;
	unsigned len;

	for (;;) {
		c = scan_class(s, p, &len);
		if (!(BIT(c) & UPPERS))
			break;
		p += len;
		if (BIT(c) & LOWERS)
			after_both = p;
	}
	if (c == UC_LOWER)
		return scan_run(s, p, LOWERS);
	/* A* gives back up to the last character that B has too. */
	if (after_both != NULL)
		return after_both;
	if (after_mark)
		return start;
	return p > start ? p : NULL;
}

static const byte *
split_o200k(struct scan *s, const byte *p)
{
	const byte *word = NULL;
	enum uclass c, next;
	unsigned len, next_len;

	c = scan_class(s, p, &len);
	if (c == UC_NUMBER)
		return scan_number(s, p);
	if (BIT(c) & LETTERS)
		word = scan_word(s, p, false);
	else if (c != UC_NEWLINE)
		word = scan_word(s, p + len, c == UC_MARK);
	if (word != NULL)
		return word + scan_contraction(s, word);
	if (c == UC_OTHER)
		return scan_symbols(s, SPLIT_O200K, p);
	next = scan_class(s, p + len, &next_len);
	if (*p == ' ' && next == UC_OTHER)
		return scan_symbols(s, SPLIT_O200K, p + 1);
	return scan_blank(s, SPLIT_O200K, p);
}

static const byte *
split_cl100k(struct scan *s, const byte *p)
{
	enum uclass c, next;
	unsigned len, next_len;
	size_t contraction = scan_contraction(s, p);

	if (contraction > 0)
		return p + contraction;
	c = scan_class(s, p, &len);
	if (c == UC_NUMBER)
		return scan_number(s, p);
	if (BIT(c) & LETTERS)
		return scan_run(s, p + len, LETTERS);
	next = scan_class(s, p + len, &next_len);
	if (c != UC_NEWLINE && (BIT(next) & LETTERS))
		return scan_run(s, p + len + next_len, LETTERS);
	if (BIT(c) & SYMBOLS)
		return scan_symbols(s, SPLIT_CL100K, p);
	if (*p == ' ' && (BIT(next) & SYMBOLS))
		return scan_symbols(s, SPLIT_CL100K, p + 1);
	return scan_blank(s, SPLIT_CL100K, p);
}

size_t
split_piece(const struct uclass_table *table, enum split_rule rule,
    struct str text, bool *open)
{
	const byte *p = (const byte *)text.p;
	struct scan s = {p + text.len, table, false};
	const byte *end;

	end = rule == SPLIT_O200K ? split_o200k(&s, p) : split_cl100k(&s, p);
	*open = s.open;
	return (size_t)(end - p);
}
