/* SPDX-License-Identifier: Apache-2.0 */
/* Shared state of the simulator: counters, recent requests, canaries. */
#include <time.h>

#include "tests/provider/sim.h"

int64_t
sim_wall_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static char *
sim_dup(struct str s)
{
	char *p = malloc(s.len + 1);

	MUST(p != NULL);
	if (s.len > 0)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return p;
}

void
sim_keep(struct sim *s, const struct http_request *r)
{
	struct sim_seen *slot;

	if (s->keep_last == 0)
		return;
	pthread_mutex_lock(&s->seen_lock);
	slot = &s->seen[s->n_seen++ % (uint64_t)s->keep_last];
	free(slot->head);
	free(slot->body);
	slot->head = sim_dup(r->head);
	slot->body = sim_dup(r->body);
	slot->head_len = r->head.len;
	slot->body_len = r->body.len;
	pthread_mutex_unlock(&s->seen_lock);
}

void
sim_render_last(struct sim *s, struct buf *out)
{
	uint64_t n, first;

	pthread_mutex_lock(&s->seen_lock);
	n = s->n_seen;
	first = n > (uint64_t)s->keep_last ? n - (uint64_t)s->keep_last : 0;
	buf_addz(out, "{\"requests\":[");
	for (uint64_t i = first; i < n; i++) {
		struct sim_seen *one = &s->seen[i % (uint64_t)s->keep_last];

		buf_addz(out, i > first ? ",\n{\"head\":" : "{\"head\":");
		buf_add_json(out, str_make(one->head, one->head_len));
		buf_addz(out, ",\"body\":");
		buf_add_json(out, str_make(one->body, one->body_len));
		buf_addc(out, '}');
	}
	buf_addz(out, "]}\n");
	pthread_mutex_unlock(&s->seen_lock);
}

void
sim_render_stats(struct sim *s, struct buf *out)
{
	bool first = true;

	buf_addc(out, '{');
#define X(member, help)                                           \
	buf_addf(out, "%s\"" #member "\":%lld", first ? "" : ",", \
	    (long long)atomic_load(&s->n.member));                \
	first = false;
	SIM_COUNTER_TABLE(X)
#undef X
	pthread_mutex_lock(&s->seen_lock);
	buf_addz(out, ",\"forbidden_sample\":");
	buf_add_json(out, str_of(s->forbidden_sample));
	pthread_mutex_unlock(&s->seen_lock);
	buf_addz(out, "}\n");
}

static bool
sim_contains(struct str hay, struct str needle)
{
	return needle.len > 0 && hay.len >= needle.len &&
	       memmem(hay.p, hay.len, needle.p, needle.len) != NULL;
}

static bool
sim_is_assert(struct str name)
{
	return str_ieq(name, STR("x-sim-forbid")) ||
	       str_ieq(name, STR("x-sim-require"));
}

/* As sim_contains over the header lines, except the asserting ones. */
static bool
sim_head_contains(const struct http_request *r, struct str needle)
{
	struct str rest = r->headers, name, value;
	struct str line = r->head;

	line.len -= r->headers.len;
	if (sim_contains(line, needle))
		return true;
	while (http_next_header(&rest, &name, &value)) {
		if (!sim_is_assert(name) &&
		    (sim_contains(value, needle) || sim_contains(name, needle)))
			return true;
	}
	return false;
}

/* Is there what the value of an asserting header names? */
static bool
sim_holds(const struct http_request *r, struct str what)
{
	struct str rest = r->headers, name, value, want, text;

	if (str_starts(what, STR("body:")))
		return sim_contains(
		    r->body, str_make(what.p + 5, what.len - 5));
	if (!str_starts(what, STR("header:")))
		return sim_head_contains(r, what) ||
		       sim_contains(r->body, what);
	(void)str_cut(str_make(what.p + 7, what.len - 7), '=', &want, &text);
	while (http_next_header(&rest, &name, &value)) {
		if (!sim_is_assert(name) && str_ieq(name, want) &&
		    (text.len == 0 || sim_contains(value, text)))
			return true;
	}
	return false;
}

static bool
sim_wrong(struct sim *s, const struct http_request *r, bool forbidden,
    struct str what, char *why, size_t cap)
{
	atomic_fetch_add(forbidden ? &s->n.forbidden : &s->n.missing, 1);
	(void)snprintf(why, cap, "%s: %.*s at %.*s",
	    forbidden ? "forbidden" : "missing",
	    (int)(what.len < 48 ? what.len : 48), what.p,
	    (int)(r->path.len < 64 ? r->path.len : 64), r->path.p);
	pthread_mutex_lock(&s->seen_lock);
	if (s->forbidden_sample[0] == '\0')
		(void)snprintf(s->forbidden_sample, sizeof(s->forbidden_sample),
		    "%s", why);
	pthread_mutex_unlock(&s->seen_lock);
	return false;
}

bool
sim_asserts(struct sim *s, const struct http_request *r, char *why, size_t cap)
{
	struct str rest = r->headers, name, value;

	for (int i = 0; i < s->n_canaries; i++) {
		if (sim_holds(r, str_of(s->canaries[i])))
			return sim_wrong(s, r, true, STR("a canary"), why, cap);
	}
	while (r->has_asserts && http_next_header(&rest, &name, &value)) {
		bool forbid = str_ieq(name, STR("x-sim-forbid"));

		if (sim_is_assert(name) && sim_holds(r, value) == forbid)
			return sim_wrong(s, r, forbid, value, why, cap);
	}
	return true;
}

void
sim_reset(struct sim *s)
{
	int64_t open = atomic_load(&s->n.open_connections);
	int64_t active = atomic_load(&s->n.active);

	bill_reset(s->bill);
#define X(member, help) atomic_store(&s->n.member, 0);
	SIM_COUNTER_TABLE(X)
#undef X
	atomic_store(&s->n.open_connections, open);
	atomic_store(&s->n.active, active);
	pthread_mutex_lock(&s->seen_lock);
	s->forbidden_sample[0] = '\0';
	s->n_seen = 0;
	pthread_mutex_unlock(&s->seen_lock);
}
