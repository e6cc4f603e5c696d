/* SPDX-License-Identifier: Apache-2.0 */
/* Chained hash table by agent id; entries live as long as the registry. */
#include "controlplane/fleet/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REGISTRY_BUCKETS 4096

struct node {
	struct node *next;
	struct agent_entry a;
	bool loaded, dirty;
	struct window window;
	struct agent_beat beat;
};

struct registry {
	pthread_mutex_t lock;
	struct node *buckets[REGISTRY_BUCKETS];
};

bool
window_accept(struct window *w, uint64_t seq)
{
	uint64_t *word = &w->bits[seq % WINDOW_BITS / 64];
	uint64_t bit = UINT64_C(1) << (seq % 64), i, ahead;

	if (seq > w->top) {
		ahead = seq - w->top;
		if (ahead >= WINDOW_BITS)
			memset(w->bits, 0, sizeof(w->bits));
		for (i = 1; ahead < WINDOW_BITS && i <= ahead; i++) {
			uint64_t s = (w->top + i) % WINDOW_BITS;

			w->bits[s / 64] &= ~(UINT64_C(1) << (s % 64));
		}
		w->top = seq;
	} else if (w->top - seq >= WINDOW_BITS || (*word & bit) != 0) {
		return false;
	}
	*word |= bit;
	return true;
}

struct registry *
registry_new(void)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (r != NULL)
		pthread_mutex_init(&r->lock, NULL);
	return r;
}

void
registry_free(struct registry *r)
{
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < REGISTRY_BUCKETS; i++) {
		struct node *n;

		while ((n = r->buckets[i]) != NULL) {
			r->buckets[i] = n->next;
			free(n);
		}
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct node **
registry_slot(struct registry *r, struct str id)
{
	uint64_t h = UINT64_C(14695981039346656037);
	struct node **p;
	size_t i;

	for (i = 0; i < id.len; i++)
		h = (h ^ (uint8_t)id.p[i]) * UINT64_C(1099511628211);
	p = &r->buckets[h % REGISTRY_BUCKETS];
	while (*p != NULL && !str_eqz(id, (*p)->a.id))
		p = &(*p)->next;
	return p;
}

int
registry_get(struct registry *r, struct str id, struct agent_entry *ret)
{
	const struct node *n;
	int rc = ERR_NOT_FOUND;

	pthread_mutex_lock(&r->lock);
	n = *registry_slot(r, id);
	if (n != NULL && n->loaded) {
		*ret = n->a;
		rc = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

int
registry_put(struct registry *r, const struct agent_entry *a)
{
	struct node **slot;
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	slot = registry_slot(r, str_of(a->id));
	if (*slot == NULL)
		*slot = calloc(1, sizeof(**slot));
	if (*slot == NULL) {
		rc = ERR_NOMEM;
	} else {
		if ((*slot)->a.boot_epoch != a->boot_epoch)
			memset(&(*slot)->window, 0, sizeof((*slot)->window));
		(*slot)->a = *a;
		(*slot)->loaded = true;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

void
registry_forget(struct registry *r, struct str id)
{
	struct node *n;

	pthread_mutex_lock(&r->lock);
	n = *registry_slot(r, id);
	if (n != NULL)
		n->loaded = false;
	pthread_mutex_unlock(&r->lock);
}

void
registry_forget_all(struct registry *r)
{
	struct node *n;
	size_t i;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < REGISTRY_BUCKETS; i++)
		for (n = r->buckets[i]; n != NULL; n = n->next)
			n->loaded = false;
	pthread_mutex_unlock(&r->lock);
}

bool
registry_accept(
    struct registry *r, struct str id, uint64_t boot_epoch, uint64_t seq)
{
	struct node *n;
	bool ok = true;

	pthread_mutex_lock(&r->lock);
	n = *registry_slot(r, id);
	if (n != NULL && n->a.boot_epoch == boot_epoch)
		ok = window_accept(&n->window, seq);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

void
registry_beat(struct registry *r, struct str id, const struct agent_beat *b)
{
	struct node *n;

	pthread_mutex_lock(&r->lock);
	n = *registry_slot(r, id);
	if (n != NULL) {
		n->beat = *b;
		n->dirty = true;
	}
	pthread_mutex_unlock(&r->lock);
}

size_t
registry_take_dirty(struct registry *r, char (*ids)[AGENT_ID_CAP],
    struct agent_beat *beats, size_t cap)
{
	struct node *n;
	size_t i, k = 0;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < REGISTRY_BUCKETS; i++)
		for (n = r->buckets[i]; n != NULL && k < cap; n = n->next) {
			if (!n->dirty)
				continue;
			n->dirty = false;
			memcpy(ids[k], n->a.id, AGENT_ID_CAP);
			beats[k++] = n->beat;
		}
	pthread_mutex_unlock(&r->lock);
	return k;
}

unsigned
registry_count(
    struct registry *r, int64_t since, uint64_t version, unsigned *lagging)
{
	const struct node *n;
	unsigned count = 0;
	size_t i;

	*lagging = 0;
	pthread_mutex_lock(&r->lock);
	for (i = 0; i < REGISTRY_BUCKETS; i++)
		for (n = r->buckets[i]; n != NULL; n = n->next) {
			if (n->beat.at == 0 || n->beat.at < since)
				continue;
			count++;
			*lagging += n->beat.active_version != version;
		}
	pthread_mutex_unlock(&r->lock);
	return count;
}
