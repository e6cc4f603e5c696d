/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics. Each metric has a table of series found by hash under the set's
 * lock; a series never moves and is never freed before the set, so counting
 * is a relaxed atomic without the lock. Each metric with labels owns from the
 * start the series "other", which takes what max_series or memory refuses.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/metric.h"
#include "common/metric_def.h"

#define METRIC_BUCKETS	 64  /* hash chains of one metric */
#define METRIC_VALUE_MAX 128 /* bytes of a label value */
#define METRIC_LABEL_MAX 4096

struct metric_series {
	struct metric_series *chain; /* same hash bucket */
	struct metric_series *next;  /* order of creation */
	const struct metric_def *def;
	uint32_t hash;
	char *labels;		  /* `a="x",b="y"`, NULL without labels */
	_Atomic int64_t value;	  /* counter, gauge */
	_Atomic uint64_t sum;	  /* histogram: bits of a double */
	_Atomic int64_t counts[]; /* histogram: one a bucket and +Inf */
};

struct metric {
	struct metric_series *chains[METRIC_BUCKETS];
	struct metric_series *first, **last;
	struct metric_series *other; /* for no labels: the only series */
	unsigned n_series;	     /* without other */
};

struct metric_set {
	const struct metric_def *defs;
	size_t n;
	pthread_mutex_t lock;
	struct metric metrics[];
};

static struct metric_series *
metric_series_new(const struct metric_def *def, const char *labels)
{
	size_t extra = def->type == METRIC_HISTOGRAM
			   ? (def->n_buckets + 1) * sizeof(_Atomic int64_t)
			   : 0;
	struct metric_series *m = calloc(1, sizeof(*m) + extra);

	if (m == NULL)
		return NULL;
	m->def = def;
	if (labels != NULL) {
		m->labels = str_dup(str_of(labels));
		if (m->labels == NULL) {
			free(m);
			return NULL;
		}
	}
	return m;
}

/* The exposition format knows three escapes; other control characters and
 * bytes that are no UTF-8 become '?'. */
static void
metric_add_value(struct buf *b, struct str v)
{
	size_t i;

	if (v.len > METRIC_VALUE_MAX) {
		v.len = METRIC_VALUE_MAX;
		while (v.len > 0 && (v.p[v.len] & 0xc0) == 0x80)
			v.len--;
	}
	if (!str_is_utf8(v)) {
		for (i = 0; i < v.len; i++)
			(void)buf_addc(b, v.p[i] >= 0x20 && v.p[i] < 0x7f &&
						  v.p[i] != '"' &&
						  v.p[i] != '\\'
					      ? v.p[i]
					      : '?');
		return;
	}
	for (i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (c == '"' || c == '\\')
			(void)buf_addc(b, '\\');
		if (c == '\n')
			(void)buf_addz(b, "\\n");
		else
			(void)buf_addc(
			    b, c < 0x20 || c == 0x7f ? '?' : (char)c);
	}
}

static unsigned
metric_n_labels(const struct metric_def *def)
{
	const char *p = def->labels;
	unsigned n = p != NULL && *p != '\0';

	for (; p != NULL && *p != '\0'; p++)
		n += *p == ',';
	return n;
}

/* The label text of a series; values NULL means "other" for each. */
static int
metric_labels(
    const struct metric_def *def, const struct str *values, struct buf *b)
{
	struct str rest = str_of(def->labels);
	bool more = true;
	unsigned i;

	for (i = 0; more; i++) {
		struct str name;

		more = str_cut(rest, ',', &name, &rest);
		if (i > 0)
			(void)buf_addc(b, ',');
		(void)buf_add_str(b, name);
		(void)buf_addz(b, "=\"");
		metric_add_value(b, values ? values[i] : STR("other"));
		(void)buf_addc(b, '"');
	}
	return buf_error(b);
}

static int
metric_init(struct metric *m, const struct metric_def *def)
{
	struct buf b;
	int rc = 0;

	m->last = &m->first;
	buf_init(&b, METRIC_LABEL_MAX);
	if (metric_n_labels(def) > 0)
		rc = metric_labels(def, NULL, &b);
	if (rc == 0) {
		m->other = metric_series_new(
		    def, metric_n_labels(def) > 0 ? buf_cstr(&b) : NULL);
		rc = m->other == NULL ? ERR_NOMEM : 0;
	}
	buf_release(&b);
	return rc;
}

struct metric_set *
metric_set_new(const struct metric_def *defs, size_t n)
{
	struct metric_set *s;
	size_t i;

	s = calloc(1, sizeof(*s) + n * sizeof(s->metrics[0]));
	if (s == NULL)
		return NULL;
	s->defs = defs;
	s->n = n;
	(void)pthread_mutex_init(&s->lock, NULL);
	for (i = 0; i < n; i++) {
		if (metric_init(&s->metrics[i], &defs[i]) != 0) {
			metric_set_free(s);
			return NULL;
		}
	}
	return s;
}

static void
metric_series_free(struct metric_series *m)
{
	if (m != NULL)
		free(m->labels);
	free(m);
}

void
metric_set_free(struct metric_set *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++) {
		struct metric_series *m = s->metrics[i].first;

		while (m != NULL) {
			struct metric_series *next = m->next;

			metric_series_free(m);
			m = next;
		}
		metric_series_free(s->metrics[i].other);
	}
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static uint32_t
metric_hash(struct str s)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

/* Under the lock. */
static struct metric_series *
metric_find_or_add(struct metric_set *s, size_t index, const char *labels)
{
	struct metric *metric = &s->metrics[index];
	uint32_t hash = metric_hash(str_of(labels));
	struct metric_series **chain = &metric->chains[hash % METRIC_BUCKETS];
	struct metric_series *m;

	for (m = *chain; m != NULL; m = m->chain)
		if (m->hash == hash && strcmp(m->labels, labels) == 0)
			return m;
	if (metric->n_series >= s->defs[index].max_series)
		return metric->other;
	m = metric_series_new(&s->defs[index], labels);
	if (m == NULL)
		return metric->other;
	m->hash = hash;
	m->chain = *chain;
	*chain = m;
	*metric->last = m;
	metric->last = &m->next;
	metric->n_series++;
	return m;
}

struct metric_series *
metric_series(struct metric_set *s, size_t index, const struct str *values,
    size_t n_values)
{
	struct metric_series *m;
	struct metric *metric;
	struct buf b;

	MUST(index < s->n);
	MUST(n_values == metric_n_labels(&s->defs[index]));
	metric = &s->metrics[index];
	if (n_values == 0)
		return metric->other;
	buf_init(&b, METRIC_LABEL_MAX);
	if (metric_labels(&s->defs[index], values, &b) != 0) {
		m = metric->other;
		goto out;
	}
	if (strcmp(buf_cstr(&b), metric->other->labels) == 0) {
		m = metric->other;
		goto out;
	}
	(void)pthread_mutex_lock(&s->lock);
	m = metric_find_or_add(s, index, buf_cstr(&b));
	(void)pthread_mutex_unlock(&s->lock);
out:
	buf_release(&b);
	return m;
}

void
metric_add(struct metric_series *m, int64_t v)
{
	MUST(m->def->type == METRIC_GAUGE ||
	     (m->def->type == METRIC_COUNTER && v >= 0));
	atomic_fetch_add_explicit(&m->value, v, memory_order_relaxed);
}

void
metric_gauge_set(struct metric_series *m, int64_t v)
{
	MUST(m->def->type == METRIC_GAUGE);
	atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

static double
metric_bits_double(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

void
metric_observe(struct metric_series *m, double v)
{
	const struct metric_def *def = m->def;
	uint64_t old, now;
	unsigned i = 0;

	MUST(def->type == METRIC_HISTOGRAM);
	while (i < def->n_buckets && !(v <= def->buckets[i]))
		i++;
	atomic_fetch_add_explicit(&m->counts[i], 1, memory_order_relaxed);
	old = atomic_load_explicit(&m->sum, memory_order_relaxed);
	do {
		double sum = metric_bits_double(old) + v;

		memcpy(&now, &sum, sizeof(now));
	} while (!atomic_compare_exchange_weak_explicit(
	    &m->sum, &old, now, memory_order_relaxed, memory_order_relaxed));
}

int64_t
metric_value(struct metric_series *m)
{
	int64_t n = 0;
	unsigned i;

	if (m->def->type != METRIC_HISTOGRAM)
		return atomic_load_explicit(&m->value, memory_order_relaxed);
	for (i = 0; i <= m->def->n_buckets; i++)
		n += atomic_load_explicit(&m->counts[i], memory_order_relaxed);
	return n;
}

void
metric_inc(struct metric_set *s, size_t index, int64_t v)
{
	metric_add(metric_series(s, index, NULL, 0), v);
}

void
metric_set_gauge(struct metric_set *s, size_t index, int64_t v)
{
	metric_gauge_set(metric_series(s, index, NULL, 0), v);
}

static void
metric_render_histogram(struct metric_series *m, struct buf *out)
{
	const struct metric_def *def = m->def;
	const char *labels = m->labels ? m->labels : "";
	const char *open = m->labels ? "{" : "";
	const char *comma = m->labels ? "," : "";
	const char *close = m->labels ? "}" : "";
	int64_t n = 0;
	unsigned i;

	for (i = 0; i <= def->n_buckets; i++) {
		n += atomic_load_explicit(&m->counts[i], memory_order_relaxed);
		(void)buf_addf(
		    out, "%s_bucket{%s%sle=\"", def->name, labels, comma);
		if (i < def->n_buckets)
			metric_add_double(out, def->buckets[i]);
		else
			(void)buf_addz(out, "+Inf");
		(void)buf_addz(out, "\"} ");
		(void)buf_add_i64(out, n);
		(void)buf_addc(out, '\n');
	}
	(void)buf_addf(out, "%s_sum%s%s%s ", def->name, open, labels, close);
	metric_add_double(out, metric_bits_double(atomic_load_explicit(
				   &m->sum, memory_order_relaxed)));
	(void)buf_addf(
	    out, "\n%s_count%s%s%s ", def->name, open, labels, close);
	(void)buf_add_i64(out, n);
	(void)buf_addc(out, '\n');
}

int64_t
metric_sum(struct metric_set *s, size_t index)
{
	struct metric_series *m;
	int64_t sum = 0;

	if (s == NULL)
		return 0;
	MUST(index < s->n);
	(void)pthread_mutex_lock(&s->lock);
	for (m = s->metrics[index].first; m != NULL; m = m->next)
		sum += metric_value(m);
	if (s->metrics[index].other != NULL)
		sum += metric_value(s->metrics[index].other);
	(void)pthread_mutex_unlock(&s->lock);
	return sum;
}

static void
metric_render_series(struct metric_series *m, struct buf *out)
{
	if (m->def->type == METRIC_HISTOGRAM) {
		metric_render_histogram(m, out);
		return;
	}
	(void)buf_addz(out, m->def->name);
	if (m->labels != NULL)
		(void)buf_addf(out, "{%s}", m->labels);
	(void)buf_addc(out, ' ');
	(void)buf_add_i64(out, metric_value(m));
	(void)buf_addc(out, '\n');
}

int
metric_render(struct metric_set *s, struct buf *out)
{
	size_t i;

	/* Scraping is rare and short; new series wait for it. */
	(void)pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n && buf_error(out) == 0; i++) {
		struct metric_series *other = s->metrics[i].other;
		struct metric_series *m;

		metric_render_head(&s->defs[i], out);
		for (m = s->metrics[i].first; m != NULL; m = m->next)
			metric_render_series(m, out);
		if (other->labels == NULL || metric_value(other) != 0)
			metric_render_series(other, out);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return buf_error(out);
}
