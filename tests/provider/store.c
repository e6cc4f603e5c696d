/* SPDX-License-Identifier: Apache-2.0 */
/* Stored responses: a ring that is searched from its end. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/provider/store.h"

struct store_entry {
	char *id, *response, *items;
};

struct store {
	pthread_mutex_t lock; /* all below */
	struct store_entry ring[STORE_MAX];
	size_t n;
};

struct store *
store_new(void)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s != NULL)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

static void
store_drop(struct store_entry *e)
{
	free(e->id);
	free(e->response);
	free(e->items);
	memset(e, 0, sizeof(*e));
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	store_clear(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
store_clear(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < STORE_MAX; i++)
		store_drop(&s->ring[i]);
	s->n = 0;
	pthread_mutex_unlock(&s->lock);
}

/* Under the lock; the latest of that id. */
static struct store_entry *
store_find(struct store *s, struct str id)
{
	for (size_t i = s->n; i > 0 && i + STORE_MAX > s->n; i--) {
		struct store_entry *e = &s->ring[(i - 1) % STORE_MAX];

		if (e->id != NULL && str_eqz(id, e->id))
			return e;
	}
	return NULL;
}

void
store_put(struct store *s, struct str id, struct str response, struct str items)
{
	struct store_entry *e;

	pthread_mutex_lock(&s->lock);
	e = store_find(s, id);
	if (e == NULL)
		e = &s->ring[s->n++ % STORE_MAX];
	store_drop(e);
	e->id = str_dup(id);
	e->response = str_dup(response);
	e->items = str_dup(items);
	MUST(e->id != NULL && e->response != NULL && e->items != NULL);
	pthread_mutex_unlock(&s->lock);
}

bool
store_get(struct store *s, struct str id, bool items, struct buf *out)
{
	struct store_entry *e;

	pthread_mutex_lock(&s->lock);
	e = store_find(s, id);
	if (e != NULL && out != NULL)
		buf_addz(out, items ? e->items : e->response);
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}

bool
store_delete(struct store *s, struct str id)
{
	struct store_entry *e;

	pthread_mutex_lock(&s->lock);
	e = store_find(s, id);
	if (e != NULL)
		store_drop(e);
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}
