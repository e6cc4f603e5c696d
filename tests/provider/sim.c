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

/* As sim_contains over the header lines, except the asserting one. */
static bool
sim_head_contains(const struct http_request *r, struct str needle)
{
	struct str rest = r->headers, name, value;
	struct str line = r->head;

	line.len -= r->headers.len;
	if (sim_contains(line, needle))
		return true;
	while (http_next_header(&rest, &name, &value)) {
		if (!str_ieq(name, STR("x-sim-forbid")) &&
		    (sim_contains(value, needle) || sim_contains(name, needle)))
			return true;
	}
	return false;
}

bool
sim_forbidden(struct sim *s, const struct http_request *r)
{
	struct str found = STR_NULL;
	bool in_head = false;

	for (int i = -1; i < s->n_canaries && found.len == 0; i++) {
		struct str one = i < 0 ? r->forbid : str_of(s->canaries[i]);

		in_head = sim_head_contains(r, one);
		if (in_head || sim_contains(r->body, one))
			found = one;
	}
	if (found.len == 0)
		return false;
	atomic_fetch_add(&s->n.forbidden, 1);
	pthread_mutex_lock(&s->seen_lock);
	if (s->forbidden_sample[0] == '\0')
		(void)snprintf(s->forbidden_sample, sizeof(s->forbidden_sample),
		    "%.*s in the %s of %.*s",
		    (int)(found.len < 12 ? found.len : 12), found.p,
		    in_head ? "head" : "body",
		    (int)(r->path.len < 64 ? r->path.len : 64), r->path.p);
	pthread_mutex_unlock(&s->seen_lock);
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
