/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of token cells and the thread that fetches. The lock guards
 * the registry and the fetching state of cells; what workers read (the token,
 * when it ends, when to renew) is published through a sequence lock of atomic
 * words.
 */
#include "agent/upstream/token.h"

#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/upstream/jwt.h"
#include "agent/upstream/token_fetch.h"
#include "common/clock.h"

#define TOKEN_WORDS	  (TOKEN_MAX / 8)
#define TOKEN_EARLY_S	  600
#define TOKEN_SPARE_S	  10 /* not used so near its end */
#define TOKEN_BACKOFF	  NS_PER_S
#define TOKEN_BACKOFF_MAX (60 * NS_PER_S)

struct token_cell {
	struct token_cell *next;
	unsigned refs;
	uint8_t id[32];
	struct token_fetch fetch; /* constant; texts are ours */
	/* under the lock */
	bool wanted, busy;
	int64_t retry_at, backoff;
	char why[160]; /* of the last failure, "" = none */
	/* published */
	_Atomic uint64_t seq; /* odd while it is written */
	_Atomic int64_t ends_at, renew_at;
	_Atomic uint64_t words[TOKEN_WORDS];
};

static pthread_mutex_t token_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t token_work = PTHREAD_COND_INITIALIZER;
static struct token_cell *token_cells;
static pthread_t token_thread;
static bool token_running;
static atomic_bool token_stopping;
static char token_ca_file[4096];

static int64_t
token_now(void)
{
	return clock_mono(clock_system());
}

/* ---- cells ----------------------------------------------------------------
 */

static void
token_text_free(char *z)
{
	if (z == NULL)
		return;
	sodium_memzero(z, strlen(z));
	free(z);
}

static void
token_cell_free(struct token_cell *c)
{
	jwt_key_free(c->fetch.key);
	token_text_free(c->fetch.email);
	token_text_free(c->fetch.key_id);
	token_text_free(c->fetch.uri);
	token_text_free(c->fetch.ca_pem);
	token_text_free(c->fetch.proxy);
	sodium_memzero(c, sizeof(*c));
	free(c);
}

static void
token_id(const struct token_source *s, uint8_t id[32])
{
	const struct str parts[] = {s->client_email, s->private_key,
	    s->private_key_id, s->token_uri, s->ca_pem, s->proxy_url};
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, 32);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t len = parts[i].len;

		crypto_generichash_update(
		    &st, (const uint8_t *)&len, sizeof(len));
		crypto_generichash_update(
		    &st, (const uint8_t *)parts[i].p, parts[i].len);
	}
	crypto_generichash_final(&st, id, 32);
	sodium_memzero(&st, sizeof(st));
}

static struct token_cell *
token_find(const uint8_t id[32])
{
	struct token_cell *c;

	for (c = token_cells; c != NULL; c = c->next)
		if (memcmp(c->id, id, 32) == 0)
			return c;
	return NULL;
}

static struct token_cell *
token_cell_new(const struct token_source *s, const uint8_t id[32])
{
	struct token_cell *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	memcpy(c->id, id, 32);
	c->refs = 1;
	c->fetch.email = str_dup(s->client_email);
	c->fetch.key_id = str_dup(s->private_key_id);
	c->fetch.uri = str_dup(s->token_uri);
	c->fetch.ca_pem = str_dup(s->ca_pem);
	c->fetch.proxy = str_dup(s->proxy_url);
	if (c->fetch.email && c->fetch.key_id && c->fetch.uri &&
	    c->fetch.ca_pem && c->fetch.proxy)
		return c;
	token_cell_free(c);
	return NULL;
}

int
token_cell_ref(
    const struct token_source *src, struct token_cell **ret, struct error *e)
{
	struct token_cell *c;
	uint8_t id[32];
	int rc = 0;

	token_id(src, id);
	pthread_mutex_lock(&token_lock);
	c = token_find(id);
	if (c != NULL) {
		c->refs++;
		goto out;
	}
	c = token_cell_new(src, id);
	if (c == NULL) {
		rc = err_set(e, ERR_NOMEM, "out of memory");
		goto out;
	}
	rc = jwt_key_read(src->private_key, &c->fetch.key, e);
	if (rc != 0) {
		token_cell_free(c);
		goto out;
	}
	c->next = token_cells;
	token_cells = c;
out:
	pthread_mutex_unlock(&token_lock);
	if (rc == 0)
		*ret = c;
	return rc;
}

/* The lock is held. */
static void
token_drop(struct token_cell *c)
{
	struct token_cell **at = &token_cells;

	if (--c->refs > 0)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	token_cell_free(c);
}

void
token_cell_unref(struct token_cell *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&token_lock);
	token_drop(c);
	pthread_mutex_unlock(&token_lock);
}

/* ---- publishing -----------------------------------------------------------
 */

static void
token_publish(
    struct token_cell *c, const char *text, int64_t ends_at, int64_t renew_at)
{
	uint64_t seq = atomic_load_explicit(&c->seq, memory_order_relaxed);
	uint64_t words[TOKEN_WORDS] = {0};

	memcpy(words, text, strlen(text));
	atomic_store_explicit(&c->seq, seq + 1, memory_order_relaxed);
	for (size_t i = 0; i < TOKEN_WORDS; i++)
		atomic_store_explicit(
		    &c->words[i], words[i], memory_order_release);
	atomic_store_explicit(&c->ends_at, ends_at, memory_order_release);
	atomic_store_explicit(&c->renew_at, renew_at, memory_order_release);
	atomic_store_explicit(&c->seq, seq + 2, memory_order_release);
	sodium_memzero(words, sizeof(words));
}

/* False when it is being written. */
static bool
token_copy(struct token_cell *c, char dst[TOKEN_MAX], int64_t *ends_at)
{
	uint64_t seq, w;

	seq = atomic_load_explicit(&c->seq, memory_order_acquire);
	if (seq & 1)
		return false;
	*ends_at = atomic_load_explicit(&c->ends_at, memory_order_acquire);
	for (size_t i = 0; i < TOKEN_WORDS; i++) {
		w = atomic_load_explicit(&c->words[i], memory_order_acquire);
		memcpy(dst + 8 * i, &w, 8);
		if (memchr(&w, 0, 8) != NULL)
			break;
	}
	return atomic_load_explicit(&c->seq, memory_order_relaxed) == seq;
}

/* ---- the thread -----------------------------------------------------------
 */

static void
token_fetched(struct token_cell *c, struct token_answer *a)
{
	int64_t early = TOKEN_EARLY_S, life = a->lifetime_s;
	int64_t spare = life < 2 * TOKEN_SPARE_S ? life / 2 : TOKEN_SPARE_S;

	if (early > life / 2)
		early = life / 2;
	if (early >= 4)
		early += randombytes_uniform((uint32_t)early / 4);
	token_publish(c, a->token, a->asked_at + (life - spare) * NS_PER_S,
	    a->asked_at + (life - early) * NS_PER_S);
	c->backoff = c->retry_at = 0;
	c->why[0] = '\0';
}

static void
token_failed(struct token_cell *c, const char *why)
{
	c->backoff = c->backoff == 0 ? TOKEN_BACKOFF : 2 * c->backoff;
	if (c->backoff > TOKEN_BACKOFF_MAX)
		c->backoff = TOKEN_BACKOFF_MAX;
	c->retry_at =
	    token_now() + c->backoff +
	    (int64_t)randombytes_uniform((uint32_t)(TOKEN_BACKOFF / 4));
	(void)snprintf(c->why, sizeof(c->why), "%.150s", why);
}

static struct token_cell *
token_due(void)
{
	struct token_cell *c;
	int64_t now = token_now();

	for (c = token_cells; c != NULL; c = c->next)
		if (c->wanted && now >= c->retry_at)
			return c;
	return NULL;
}

static void *
token_main(void *unused)
{
	struct token_answer a;
	struct token_cell *c;
	struct error e;
	int rc;

	(void)unused;
	pthread_mutex_lock(&token_lock);
	while (!atomic_load(&token_stopping)) {
		c = token_due();
		if (c == NULL) {
			pthread_cond_wait(&token_work, &token_lock);
			continue;
		}
		c->wanted = false;
		c->busy = true;
		c->refs++;
		pthread_mutex_unlock(&token_lock);
		memset(&e, 0, sizeof(e));
		a.asked_at = token_now();
		rc = token_fetch(
		    &c->fetch, token_ca_file, &token_stopping, &a, &e);
		pthread_mutex_lock(&token_lock);
		c->busy = false;
		if (rc == 0)
			token_fetched(c, &a);
		else
			token_failed(c, e.text);
		sodium_memzero(&a, sizeof(a));
		token_drop(c);
	}
	pthread_mutex_unlock(&token_lock);
	return NULL;
}

/* The lock is held. */
static int
token_start(void)
{
	sigset_t all, old;
	int rc;

	if (token_running)
		return 0;
	atomic_store(&token_stopping, false);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&token_thread, NULL, token_main, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	token_running = rc == 0;
	return rc == 0 ? 0 : ERR_NOMEM;
}

void
token_stop(void)
{
	bool running;

	pthread_mutex_lock(&token_lock);
	running = token_running;
	token_running = false;
	atomic_store(&token_stopping, true);
	pthread_cond_broadcast(&token_work);
	pthread_mutex_unlock(&token_lock);
	if (running)
		(void)pthread_join(token_thread, NULL);
}

void
token_set_ca_file(const char *path)
{
	pthread_mutex_lock(&token_lock);
	/* Every worker tells the same; the thread reads it without the lock. */
	if (!token_running)
		(void)snprintf(token_ca_file, sizeof(token_ca_file), "%s",
		    path != NULL ? path : "");
	pthread_mutex_unlock(&token_lock);
}

/* ---- reading --------------------------------------------------------------
 */

/* Ask for a fetch. 0, or ERR_UPSTREAM while a failure is fresh. */
static int
token_want(struct token_cell *c, struct error *e)
{
	int rc = 0;

	pthread_mutex_lock(&token_lock);
	if (c->why[0] != '\0' && token_now() < c->retry_at) {
		rc = err_set(e, ERR_UPSTREAM, "%s", c->why);
	} else if (!c->busy) {
		c->wanted = true;
		if (token_start() != 0)
			rc = err_set(
			    e, ERR_UPSTREAM, "no thread to fetch tokens");
		pthread_cond_signal(&token_work);
	}
	pthread_mutex_unlock(&token_lock);
	return rc;
}

int
token_read(struct token_cell *c, char dst[TOKEN_MAX], struct error *e)
{
	int64_t now = token_now(), ends_at = 0;
	int rc;

	if (token_copy(c, dst, &ends_at) && ends_at > now) {
		if (now >=
		    atomic_load_explicit(&c->renew_at, memory_order_relaxed))
			(void)token_want(c, NULL);
		return 0;
	}
	rc = token_want(c, e);
	return rc != 0 ? rc
		       : err_set(e, ERR_AGAIN, "the token is being fetched");
}
