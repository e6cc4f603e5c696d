/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system's clocks, a clock that is moved by hand, and RFC 3339. Calendar
 * arithmetic is our own (days from civil, proleptic Gregorian), because the
 * C library's depends on the process's time zone.
 */
#include <stdio.h>
#include <time.h>

#include "common/clock.h"

#define S_PER_DAY 86400

static int64_t
clock_read(clockid_t id)
{
	struct timespec ts;

	MUST(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t
clock_system_mono(struct clock *c)
{
	(void)c;
	return clock_read(CLOCK_MONOTONIC);
}

static int64_t
clock_system_wall(struct clock *c)
{
	(void)c;
	return clock_read(CLOCK_REALTIME);
}

struct clock *
clock_system(void)
{
	static struct clock c = {clock_system_mono, clock_system_wall};

	return &c;
}

static int64_t
clock_fake_mono(struct clock *c)
{
	return ((struct clock_fake *)c)->mono;
}

static int64_t
clock_fake_wall(struct clock *c)
{
	return ((struct clock_fake *)c)->wall;
}

void
clock_fake_init(struct clock_fake *f, int64_t mono, int64_t wall)
{
	f->clock.mono_ns = clock_fake_mono;
	f->clock.wall_ns = clock_fake_wall;
	f->mono = mono;
	f->wall = wall;
}

void
clock_fake_advance(struct clock_fake *f, int64_t ns)
{
	f->mono += ns;
	f->wall += ns;
}

/* Days since 1970-01-01; m 1..12. March-based years put the leap day last. */
static int64_t
time_days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
time_civil(int64_t days, int *y, int *m, int *d)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

void
time_format(int64_t wall_ns, int millis, char *dst)
{
	int64_t ns = wall_ns % NS_PER_S;
	int64_t s = wall_ns / NS_PER_S;
	int64_t days, tod;
	int y, m, d, n;

	if (ns < 0) {
		ns += NS_PER_S;
		s--;
	}
	days = s / S_PER_DAY;
	tod = s % S_PER_DAY;
	if (tod < 0) {
		tod += S_PER_DAY;
		days--;
	}
	time_civil(days, &y, &m, &d);
	n = snprintf(dst, 32, "%04d-%02d-%02dT%02d:%02d:%02d", y, m, d,
	    (int)(tod / 3600), (int)(tod / 60 % 60), (int)(tod % 60));
	if (millis)
		n += snprintf(
		    dst + n, 32 - (size_t)n, ".%03d", (int)(ns / NS_PER_MS));
	(void)snprintf(dst + n, 32 - (size_t)n, "Z");
}

/* Sticky-error reader of fixed-width fields. */
struct time_cursor {
	struct str s;
	bool bad;
};

static int
time_digits(struct time_cursor *c, size_t n)
{
	int v = 0;
	size_t i;

	if (c->bad || c->s.len < n) {
		c->bad = true;
		return 0;
	}
	for (i = 0; i < n; i++) {
		unsigned d = (unsigned)(unsigned char)c->s.p[i] - '0';

		if (d > 9) {
			c->bad = true;
			return 0;
		}
		v = v * 10 + (int)d;
	}
	c->s = str_make(c->s.p + n, c->s.len - n);
	return v;
}

static char
time_char(struct time_cursor *c)
{
	char ch;

	if (c->bad || c->s.len == 0) {
		c->bad = true;
		return '\0';
	}
	ch = *c->s.p;
	c->s = str_make(c->s.p + 1, c->s.len - 1);
	return ch;
}

static void
time_expect(struct time_cursor *c, char want)
{
	char got = time_char(c);

	if (got != want && !(want == 'T' && got == 't'))
		c->bad = true;
}

/* ".123" in nanoseconds; digits beyond the ninth are dropped. */
static int64_t
time_fraction(struct time_cursor *c)
{
	int64_t unit = NS_PER_S / 10;
	int64_t ns = 0;

	if (c->bad || c->s.len == 0 || *c->s.p != '.')
		return 0;
	(void)time_char(c);
	do {
		ns += time_digits(c, 1) * unit;
		unit /= 10;
	} while (!c->bad && c->s.len > 0 && *c->s.p >= '0' && *c->s.p <= '9');
	return ns;
}

/* "Z" or "+hh:mm" in seconds. */
static int
time_offset(struct time_cursor *c)
{
	char sign = time_char(c);
	int h, m;

	if (sign == 'Z' || sign == 'z')
		return 0;
	h = time_digits(c, 2);
	time_expect(c, ':');
	m = time_digits(c, 2);
	if ((sign != '+' && sign != '-') || h > 23 || m > 59)
		c->bad = true;
	return (sign == '-' ? -1 : 1) * (h * 3600 + m * 60);
}

static int
time_month_days(int y, int m)
{
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	if (m == 2)
		return leap ? 29 : 28;
	return m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31;
}

int
time_parse(struct str s, int64_t *wall_ns)
{
	struct time_cursor c = {s, false};
	int y, mo, d, h, mi, sec, off;
	int64_t frac, t;

	y = time_digits(&c, 4);
	time_expect(&c, '-');
	mo = time_digits(&c, 2);
	time_expect(&c, '-');
	d = time_digits(&c, 2);
	time_expect(&c, 'T');
	h = time_digits(&c, 2);
	time_expect(&c, ':');
	mi = time_digits(&c, 2);
	time_expect(&c, ':');
	sec = time_digits(&c, 2);
	frac = time_fraction(&c);
	off = time_offset(&c);
	if (c.bad || c.s.len != 0 || mo < 1 || mo > 12 || d < 1 ||
	    d > time_month_days(y, mo) || h > 23 || mi > 59)
		return ERR_INVALID;
	/* A leap second is the first one of the next minute. */
	if (sec > 60 || (sec == 60 && mi != 59))
		return ERR_INVALID;
	t = time_days(y, mo, d) * S_PER_DAY + h * 3600 + mi * 60 + sec - off;
	if (t < 0 && frac > 0) { /* so that the earliest instant fits */
		t++;
		frac -= NS_PER_S;
	}
	if (__builtin_mul_overflow(t, NS_PER_S, &t) ||
	    __builtin_add_overflow(t, frac, &t))
		return ERR_INVALID;
	*wall_ns = t;
	return 0;
}
