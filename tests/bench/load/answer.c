/* SPDX-License-Identifier: Apache-2.0 */
/* Reads answers as they come, without keeping them. */
#include "tests/bench/load/load.h"

void
answer_init(struct answer *a)
{
	a->state = ANSWER_HEAD;
	a->status = 0;
	a->close = false;
	a->left = a->bytes = a->events = 0;
	a->line = 0;
	a->last = '\0';
	a->tail_len = 0;
	a->head_len = 0;
}

bool
answer_is_done(const struct answer *a)
{
	return a->state == ANSWER_DONE;
}

bool
answer_saw_done_event(const struct answer *a)
{
	return a->tail_len >= 6 &&
	       (memmem(a->tail, a->tail_len, "[DONE]", 6) != NULL ||
		   memmem(a->tail, a->tail_len, "_stop\"", 6) != NULL);
}

static void
answer_body(struct answer *a, const char *p, size_t n)
{
	const char *at = p, *end = p + n;
	size_t keep = n < sizeof(a->tail) ? n : sizeof(a->tail);

	a->bytes += n;
	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		char before = at == p ? a->last : at[-1];

		a->events += before == '\n';
		at++;
	}
	a->last = end[-1];
	if (keep < sizeof(a->tail)) {
		size_t old = sizeof(a->tail) - keep;

		if (old > a->tail_len)
			old = a->tail_len;
		memmove(a->tail, a->tail + a->tail_len - old, old);
		a->tail_len = old;
	} else {
		a->tail_len = 0;
	}
	memcpy(a->tail + a->tail_len, end - keep, keep);
	a->tail_len += keep;
}

/* The head is complete: what follows? */
static int
answer_headers(struct answer *a)
{
	struct str rest = str_make(a->head, a->head_len), line, name, value;
	bool chunked = false, has_length = false;
	uint64_t status;

	(void)str_cut(rest, '\n', &line, &rest);
	if (line.len < 12 || !str_starts(line, STR("HTTP/1.1 ")) ||
	    str_to_u64(str_make(line.p + 9, 3), &status) != 0 || status > 599)
		return ERR_INVALID;
	a->status = (int)status;
	while (rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		if (!str_cut(line, ':', &name, &value))
			continue;
		value = str_trim(value);
		if (str_ieq(name, STR("content-length"))) {
			has_length = str_to_u64(value, &a->left) == 0;
		} else if (str_ieq(name, STR("transfer-encoding"))) {
			chunked = true;
		} else if (str_ieq(name, STR("connection"))) {
			a->close = str_ieq(value, STR("close"));
		}
	}
	if (chunked)
		a->state = ANSWER_CHUNK_SIZE;
	else if (has_length)
		a->state = a->left > 0 ? ANSWER_BODY : ANSWER_DONE;
	else
		a->state = ANSWER_UNTIL_CLOSE;
	a->left = chunked ? 0 : a->left;
	return 0;
}

static long
answer_feed_head(struct answer *a, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		if (a->head_len == sizeof(a->head))
			return ERR_TOO_LARGE;
		a->head[a->head_len++] = p[i++];
		if (a->head_len >= 4 &&
		    memcmp(a->head + a->head_len - 4, "\r\n\r\n", 4) == 0) {
			int rc = answer_headers(a);

			return rc < 0 ? rc : (long)i;
		}
	}
	return (long)i;
}

static int
answer_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of what stands around the chunks. */
static int
answer_feed_line(struct answer *a, char c)
{
	if (a->state == ANSWER_CHUNK_SIZE) {
		if (c == '\n')
			a->state =
			    a->left > 0 ? ANSWER_CHUNK_DATA : ANSWER_TRAILER;
		else if (c != '\r' && answer_hex(c) < 0)
			return ERR_INVALID;
		else if (c != '\r')
			a->left = a->left * 16 + (uint64_t)answer_hex(c);
		a->line = 0;
	} else if (a->state == ANSWER_CHUNK_END) {
		if (c == '\n')
			a->state = ANSWER_CHUNK_SIZE;
	} else if (c == '\n') {
		if (a->line == 0)
			a->state = ANSWER_DONE;
		a->line = 0;
	} else if (c != '\r') {
		a->line++;
	}
	return 0;
}

long
answer_feed(struct answer *a, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && a->state != ANSWER_DONE) {
		size_t take = n - i;
		long rc;

		switch (a->state) {
		case ANSWER_HEAD:
			rc = answer_feed_head(a, p + i, n - i);
			if (rc < 0)
				return rc;
			i += (size_t)rc;
			break;
		case ANSWER_BODY:
		case ANSWER_CHUNK_DATA:
			if (take > a->left)
				take = (size_t)a->left;
			answer_body(a, p + i, take);
			a->left -= take;
			i += take;
			if (a->left == 0)
				a->state = a->state == ANSWER_BODY
					       ? ANSWER_DONE
					       : ANSWER_CHUNK_END;
			break;
		case ANSWER_UNTIL_CLOSE:
			answer_body(a, p + i, take);
			i += take;
			break;
		default:
			if (answer_feed_line(a, p[i]) != 0)
				return ERR_INVALID;
			i++;
			break;
		}
	}
	return (long)i;
}
