/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small direct-mapped cache by digest. Entries hold digests, never tokens,
 * and are compared in constant time. A look-up that began before a change may
 * not be cached after it: the generation says so.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "common/clock.h"
#include "controlplane/rest/auth.h"

#define AUTH_SLOTS 64

struct auth_slot {
	unsigned char digest[32];
	int64_t until; /* monotonic ns; 0 = empty */
	struct admin_token token;
};

struct auth {
	pthread_mutex_t lock;
	uint64_t generation;
	struct auth_slot slots[AUTH_SLOTS];
};

struct auth *
auth_new(void)
{
	struct auth *a = calloc(1, sizeof(*a));

	if (a != NULL)
		(void)pthread_mutex_init(&a->lock, NULL);
	return a;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

void
auth_forget(struct auth *a)
{
	size_t i;

	(void)pthread_mutex_lock(&a->lock);
	a->generation++;
	for (i = 0; i < AUTH_SLOTS; i++)
		a->slots[i].until = 0;
	(void)pthread_mutex_unlock(&a->lock);
}

static int
auth_refuse(struct error *e)
{
	return err_set(
	    e, ERR_UNAUTHENTICATED, "the admin token is missing or not valid");
}

static bool
auth_cached(struct auth *a, const unsigned char digest[32], int64_t now,
    struct admin_token *ret, uint64_t *generation)
{
	struct auth_slot *s = &a->slots[digest[0] % AUTH_SLOTS];
	bool hit;

	(void)pthread_mutex_lock(&a->lock);
	*generation = a->generation;
	hit = s->until > now && sodium_memcmp(s->digest, digest, 32) == 0;
	if (hit)
		*ret = s->token;
	(void)pthread_mutex_unlock(&a->lock);
	return hit;
}

static void
auth_keep(struct auth *a, const unsigned char digest[32], int64_t now,
    const struct admin_token *t, uint64_t generation)
{
	struct auth_slot *s = &a->slots[digest[0] % AUTH_SLOTS];

	(void)pthread_mutex_lock(&a->lock);
	if (a->generation == generation) {
		memcpy(s->digest, digest, 32);
		s->until = now + AUTH_CACHE_MS * NS_PER_MS;
		s->token = *t;
	}
	(void)pthread_mutex_unlock(&a->lock);
}

int
auth_check(struct auth *a, struct store *s, const struct http_request *r,
    int64_t now, int64_t wall, struct admin_token *ret, struct error *e)
{
	struct str h = http_header(r, "authorization"), token;
	unsigned char digest[32];
	struct db *db = NULL;
	uint64_t generation;
	int rc;

	if (h.len < 7 || h.len > 300 ||
	    !str_ieq(str_make(h.p, 7), STR("Bearer ")))
		return auth_refuse(e);
	token = str_trim(str_make(h.p + 7, h.len - 7));
	if (!str_starts(token, STR("hga-")) || token.len < 20 ||
	    !str_is_utf8(token))
		return auth_refuse(e);
	(void)crypto_hash_sha256(
	    digest, (const unsigned char *)token.p, token.len);
	if (!auth_cached(a, digest, now, ret, &generation)) {
		rc = store_take(s, &db, e);
		if (rc == 0)
			rc = admin_token_check(db, token, ret, e);
		store_give(db);
		if (rc == ERR_UNAUTHENTICATED || rc == ERR_NOT_FOUND)
			return auth_refuse(e);
		if (rc != 0)
			return rc;
		auth_keep(a, digest, now, ret, generation);
	}
	if (ret->expires_at != 0 && ret->expires_at <= wall)
		return auth_refuse(e);
	return 0;
}
