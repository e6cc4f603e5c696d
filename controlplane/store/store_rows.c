/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the columns of a result. Values come as text; what does not parse
 * means that the statement selects another type than its reader expects.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controlplane/store/store.h"
#include "controlplane/store/store_internal.h"

void
db_rows_free(struct db_rows *r)
{
	if (r == NULL)
		return;
	PQclear(r->res);
	free(r);
}

size_t
db_rows_count(const struct db_rows *r)
{
	return (size_t)PQntuples(r->res);
}

bool
db_is_null(const struct db_rows *r, size_t row, int col)
{
	return PQgetisnull(r->res, (int)row, col) != 0;
}

const char *
db_text(const struct db_rows *r, size_t row, int col)
{
	return PQgetvalue(r->res, (int)row, col);
}

struct str
db_str(const struct db_rows *r, size_t row, int col)
{
	return str_make(PQgetvalue(r->res, (int)row, col),
	    (size_t)PQgetlength(r->res, (int)row, col));
}

int64_t
db_i64(const struct db_rows *r, size_t row, int col)
{
	int64_t v = 0;
	int rc;

	if (db_is_null(r, row, col))
		return 0;
	rc = str_to_i64(db_str(r, row, col), &v);
	MUST(rc == 0);
	return v;
}

bool
db_bool(const struct db_rows *r, size_t row, int col)
{
	return db_text(r, row, col)[0] == 't';
}

static int64_t
db_digits(const char **p, int max)
{
	int64_t v = 0;

	for (; max-- > 0 && **p >= '0' && **p <= '9'; (*p)++)
		v = v * 10 + (**p - '0');
	return v;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar. */
static int64_t
db_days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* "2026-01-02 03:04:05[.123456]+00": the session's time zone is UTC. */
int64_t
db_time(const struct db_rows *r, size_t row, int col)
{
	const char *p = db_text(r, row, col);
	int64_t y, mon, d, h, min, s, ns = 0, unit = NS_PER_S;

	if (*p < '0' || *p > '9')
		return 0;
	y = db_digits(&p, 6);
	p += *p == '-';
	mon = db_digits(&p, 2);
	p += *p == '-';
	d = db_digits(&p, 2);
	p += *p == ' ';
	h = db_digits(&p, 2);
	p += *p == ':';
	min = db_digits(&p, 2);
	p += *p == ':';
	s = db_digits(&p, 2);
	if (*p == '.') {
		p++;
		while (*p >= '0' && *p <= '9') {
			unit /= 10;
			ns += (*p++ - '0') * unit;
		}
	}
	MUST(strcmp(p, "+00") == 0 || *p == '\0');
	return ((db_days(y, mon, d) * 24 + h) * 60 + min) * 60 * NS_PER_S +
	       s * NS_PER_S + ns;
}

long
db_bytes(const struct db_rows *r, size_t row, int col, void *dst, size_t cap)
{
	struct str s = db_str(r, row, col);
	int rc;

	if (s.len == 0)
		return 0;
	MUST(s.len >= 2 && s.p[0] == '\\' && s.p[1] == 'x');
	if (s.len / 2 - 1 > cap)
		return ERR_TOO_LARGE;
	rc = hex_decode(str_make(s.p + 2, s.len - 2), dst, s.len / 2 - 1);
	MUST(rc == 0);
	return (long)(s.len / 2 - 1);
}

long
db_i64_array(
    const struct db_rows *r, size_t row, int col, int64_t *dst, size_t cap)
{
	struct str s = db_str(r, row, col), one;
	size_t n = 0;
	int rc;

	if (s.len <= 2)
		return 0;
	MUST(s.p[0] == '{' && s.p[s.len - 1] == '}');
	s = str_make(s.p + 1, s.len - 2);
	while (s.len > 0) {
		str_cut(s, ',', &one, &s);
		if (n >= cap)
			return ERR_TOO_LARGE;
		rc = str_to_i64(one, &dst[n++]);
		MUST(rc == 0);
	}
	return (long)n;
}
