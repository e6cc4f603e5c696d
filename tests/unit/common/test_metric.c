/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/metric: exact text output, escaping, bounds, threads. What the
 * exposition format allows is checked line by line.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>

#include "common/metric.h"
#include "common/rng.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

enum { M_REQUESTS, M_ACTIVE, M_LATENCY, M_PLAIN, M_WAIT, N_METRICS };

static const double buckets[] = {0.005, 0.1, 1, 2.5, 1e6};
static const struct metric_def defs[N_METRICS] = {
    {"headgate_requests_total", METRIC_COUNTER, "Requests \\ by\nroute.",
	"route,code", 3, NULL, 0},
    {"headgate_active", METRIC_GAUGE, "Active requests.", "", 0, NULL, 0},
    {"headgate_latency_seconds", METRIC_HISTOGRAM, "Latency.", "", 0, buckets,
	5},
    {"headgate_plain_total", METRIC_COUNTER, "No | labels.", NULL, 0, NULL, 0},
    {"headgate_wait_seconds", METRIC_HISTOGRAM, "Wait.", "route", 2, buckets,
	2},
};

static struct metric_series *
route(struct metric_set *s, struct str name, struct str code)
{
	struct str v[2] = {name, code};

	return metric_series(s, M_REQUESTS, v, 2);
}

/* name{label="value",...} value */
static void
check_sample(struct str row)
{
	size_t i = 0;

	while (i < row.len && (isalnum((unsigned char)row.p[i]) ||
				  row.p[i] == '_' || row.p[i] == ':'))
		i++;
	ck_assert_uint_gt(i, 0);
	if (row.p[i] == '{') {
		do {
			size_t start = ++i;

			while (
			    isalnum((unsigned char)row.p[i]) || row.p[i] == '_')
				i++;
			ck_assert_uint_gt(i, start);
			ck_assert_int_eq(row.p[i++], '=');
			ck_assert_int_eq(row.p[i++], '"');
			while (row.p[i] != '"') {
				ck_assert_uint_lt(i, row.len);
				if (row.p[i] == '\\')
					ck_assert_ptr_nonnull(
					    strchr("\\\"n", row.p[++i]));
				i++;
			}
			i++;
		} while (row.p[i] == ',');
		ck_assert_int_eq(row.p[i++], '}');
	}
	ck_assert_int_eq(row.p[i++], ' ');
	ck_assert_uint_lt(i, row.len);
	for (; i < row.len; i++)
		ck_assert_ptr_nonnull(strchr("0123456789+-.eInfNa", row.p[i]));
}

static const char *
render(struct metric_set *s)
{
	static char text[200000];
	struct str rest, row;
	struct buf b;

	buf_init(&b, sizeof(text) - 1);
	ck_assert_int_eq(metric_render(s, &b), 0);
	memcpy(text, buf_cstr(&b), b.len + 1);
	buf_release(&b);
	rest = str_of(text);
	ck_assert(str_is_utf8(rest));
	ck_assert(str_ends(rest, STR("\n")));
	while (str_cut(rest, '\n', &row, &rest)) {
		if (str_starts(row, STR("# HELP ")) ||
		    str_starts(row, STR("# TYPE ")))
			continue;
		check_sample(row);
	}
	return text;
}

START_TEST(test_exact)
{
	struct metric_set *s = metric_set_new(defs, N_METRICS);
	struct str r = STR("a\"\\\n");

	metric_add(route(s, STR("gpt"), STR("200")), 5);
	metric_add(route(s, STR("gpt"), STR("200")), 2);
	metric_add(route(s, r, STR("500")), 1);
	metric_set_gauge(s, M_ACTIVE, 9);
	metric_add(metric_series(s, M_ACTIVE, NULL, 0), -12);
	metric_observe(metric_series(s, M_LATENCY, NULL, 0), 0.005);
	metric_observe(metric_series(s, M_LATENCY, NULL, 0), 0.25);
	metric_observe(metric_series(s, M_LATENCY, NULL, 0), 1e9);
	metric_inc(s, M_PLAIN, 3);
	ck_assert_str_eq(render(s),
	    "# HELP headgate_requests_total Requests \\\\ by\\nroute.\n"
	    "# TYPE headgate_requests_total counter\n"
	    "headgate_requests_total{route=\"gpt\",code=\"200\"} 7\n"
	    "headgate_requests_total{route=\"a\\\"\\\\\\n\",code=\"500\"} 1\n"
	    "# HELP headgate_active Active requests.\n"
	    "# TYPE headgate_active gauge\n"
	    "headgate_active -3\n"
	    "# HELP headgate_latency_seconds Latency.\n"
	    "# TYPE headgate_latency_seconds histogram\n"
	    "headgate_latency_seconds_bucket{le=\"0.005\"} 1\n"
	    "headgate_latency_seconds_bucket{le=\"0.1\"} 1\n"
	    "headgate_latency_seconds_bucket{le=\"1\"} 2\n"
	    "headgate_latency_seconds_bucket{le=\"2.5\"} 2\n"
	    "headgate_latency_seconds_bucket{le=\"1e+06\"} 2\n"
	    "headgate_latency_seconds_bucket{le=\"+Inf\"} 3\n"
	    "headgate_latency_seconds_sum 1000000000.255\n"
	    "headgate_latency_seconds_count 3\n"
	    "# HELP headgate_plain_total No | labels.\n"
	    "# TYPE headgate_plain_total counter\n"
	    "headgate_plain_total 3\n"
	    "# HELP headgate_wait_seconds Wait.\n"
	    "# TYPE headgate_wait_seconds histogram\n");
	ck_assert_int_eq(metric_value(metric_series(s, M_LATENCY, NULL, 0)), 3);
	ck_assert_int_eq(metric_sum(s, M_REQUESTS), 8);
	ck_assert_int_eq(metric_sum(s, M_PLAIN), 3);
	metric_set_free(s);
}
END_TEST

START_TEST(test_bounds)
{
	struct metric_set *s = metric_set_new(defs, N_METRICS);
	struct metric_series *other, *m[3];
	struct str w = STR("w");
	char name[16];
	int i;

	other = route(s, STR("other"), STR("other"));
	for (i = 0; i < 100; i++) {
		struct metric_series *got;

		(void)snprintf(name, sizeof(name), "r%d", i);
		got = route(s, str_of(name), STR("200"));
		metric_add(got, 1);
		if (i < 3)
			m[i] = got;
		else
			ck_assert_ptr_eq(got, other);
	}
	ck_assert_int_eq(metric_value(other), 97);
	ck_assert_ptr_eq(route(s, STR("r1"), STR("200")), m[1]);
	ck_assert_int_eq(metric_value(m[1]), 1);
	ck_assert_ptr_nonnull(
	    strstr(render(s), "{route=\"other\",code=\"other\"} 97\n"));
	/* A histogram with labels. */
	metric_observe(metric_series(s, M_WAIT, &w, 1), 0.05);
	ck_assert_ptr_nonnull(strstr(render(s),
	    "headgate_wait_seconds_bucket{route=\"w\",le=\"0.1\"} 1\n"));
	ck_assert_ptr_nonnull(
	    strstr(render(s), "headgate_wait_seconds_count{route=\"w\"} 1\n"));
	metric_set_free(s);
	metric_set_free(NULL);
}
END_TEST

/* Any bytes as label value: the output stays well-formed. */
START_TEST(test_hostile_labels)
{
	static struct metric_def many = {
	    "m_total", METRIC_COUNTER, "Many.", "a,b", 5000, NULL, 0};
	struct metric_set *s = metric_set_new(&many, 1);
	struct rng_seeded r;
	char big[1000];
	struct str v[2];
	int i;

	rng_seeded_init(&r, 12);
	for (i = 0; i < 1000; i++) {
		char raw[40];

		r.rng.fill(&r.rng, raw, sizeof(raw));
		v[0] = str_make(raw, rng_below(&r.rng, sizeof(raw)));
		v[1] = STR("x\"} 1\nforged_total 9\n\x1b[2J\x7f");
		metric_add(metric_series(s, 0, v, 2), 1);
	}
	memset(big, '"', sizeof(big));
	v[0] = v[1] = str_make(big, sizeof(big));
	metric_add(metric_series(s, 0, v, 2), 1);
	memset(big, 'y', sizeof(big));
	memcpy(big + 127, "\xe6\xbc\xa2", 3);
	metric_add(metric_series(s, 0, v, 2), 1);
	v[0] = v[1] = STR_NULL;
	metric_add(metric_series(s, 0, v, 2), 1);
	ck_assert_ptr_null(strstr(render(s), "\nforged"));
	ck_assert_ptr_null(strpbrk(render(s), "\x1b\x7f\r"));
	metric_set_free(s);
}
END_TEST

static void *
count(void *arg)
{
	struct metric_set *s = arg;
	int i;

	for (i = 0; i < 5000; i++) {
		struct str w = i % 2 ? STR("a") : STR("b");

		metric_inc(s, M_PLAIN, 1);
		metric_observe(metric_series(s, M_WAIT, &w, 1), 0.5);
		if (i % 1000 == 0) {
			struct buf b;

			buf_init(&b, 100000);
			(void)metric_render(s, &b);
			buf_release(&b);
		}
	}
	return NULL;
}

START_TEST(test_threads)
{
	struct metric_set *s = metric_set_new(defs, N_METRICS);
	struct str w = STR("a");
	pthread_t th[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, count, s);
	for (i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	ck_assert_int_eq(
	    metric_value(metric_series(s, M_PLAIN, NULL, 0)), 20000);
	ck_assert_int_eq(metric_value(metric_series(s, M_WAIT, &w, 1)), 10000);
	ck_assert_ptr_nonnull(
	    strstr(render(s), "headgate_wait_seconds_sum{route=\"a\"} 5000\n"));
	metric_set_free(s);
}
END_TEST

START_TEST(test_markdown)
{
	struct buf b;

	buf_init(&b, 10000);
	ck_assert_int_eq(metric_markdown(defs, N_METRICS, &b), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b),
	    "| `headgate_plain_total` | counter |  | No \\| labels. |\n"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "| `route,code` |"));
	buf_release(&b);
	buf_init(&b, 10);
	ck_assert_int_eq(metric_markdown(defs, 1, &b), ERR_TOO_LARGE);
	buf_release(&b);
}
END_TEST

START_TEST(test_oom)
{
	EACH_OOM
	{
		struct metric_set *s = metric_set_new(defs, N_METRICS);
		struct metric_series *m = NULL;
		struct buf b;
		int rc = 0;

		buf_init(&b, 100000);
		if (s != NULL) {
			/* Never NULL: at worst the count goes to "other". */
			m = route(s, STR("r"), STR("200"));
			metric_add(m, 1);
			rc = metric_render(s, &b);
		}
		if (oom_hit()) {
			ck_assert(s == NULL || m != NULL);
			ck_assert(rc == 0 || rc == ERR_NOMEM);
		} else {
			ck_assert_ptr_nonnull(s);
			ck_assert_int_eq(rc, 0);
		}
		buf_release(&b);
		metric_set_free(s);
	}
	ck_assert_uint_ge(oom_failures(), 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/metric");

	UNIT_ADD(s, test_exact);
	UNIT_ADD(s, test_bounds);
	UNIT_ADD(s, test_hostile_labels);
	UNIT_ADD(s, test_threads);
	UNIT_ADD(s, test_markdown);
	UNIT_ADD(s, test_oom);
	return unit_run(s);
}
