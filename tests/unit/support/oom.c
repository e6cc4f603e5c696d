/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wrapped allocation functions. Between oom_begin() and the last round
 * the blocks of the round are remembered in a table, to find leaks; outside
 * of it the wrappers only count.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/oom.h"

#define OOM_MAX_LIVE 65536 /* a power of two */
/* Beyond it sanitizers abort where the C library returns NULL. */
#define OOM_MAX_SIZE ((size_t)1 << 38)

/* The names are the linker's. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *z);
char *__wrap_strndup(const char *z, size_t n);
void __wrap_free(void *p);

static struct {
	pthread_mutex_t lock;
	bool tracking;		/* inside EACH_OOM */
	unsigned long fail_at;	/* fails when count gets here; 0 = never */
	unsigned long count;	/* allocations of this round */
	unsigned long failures; /* rounds with a failure */
	unsigned long total;
	const char *prefix; /* of threads, NULL = all */
	bool hit;
	size_t live;
	void *blocks[OOM_MAX_LIVE];
} oom = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool oom_paused;

static size_t
oom_slot(const void *p)
{
	return (size_t)(((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >>
			40) %
	       OOM_MAX_LIVE;
}

static void
oom_die(const char *what)
{
	fprintf(stderr, "oom: %s (round %lu, %zu blocks live)\n", what,
	    oom.fail_at, oom.live);
	abort();
}

/* May an allocation of this thread fail? */
static bool
oom_thread(void)
{
	char name[16];

	if (oom_paused || oom.fail_at == 0)
		return false;
	return oom.prefix == NULL ||
	       (pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
		   strncmp(name, oom.prefix, strlen(oom.prefix)) == 0);
}

/* Counts an allocation that is about to happen; false if it must fail. */
static bool
oom_allow(void)
{
	bool ok = true;

	pthread_mutex_lock(&oom.lock);
	oom.total++;
	if (oom_thread() && ++oom.count == oom.fail_at) {
		oom.hit = true;
		ok = false;
	}
	pthread_mutex_unlock(&oom.lock);
	return ok;
}

static void
oom_remember(void *p)
{
	size_t i;

	pthread_mutex_lock(&oom.lock);
	if (oom.tracking && p != NULL) {
		if (oom.live >= OOM_MAX_LIVE / 2)
			oom_die("too many blocks to follow");
		i = oom_slot(p);
		while (oom.blocks[i] != NULL)
			i = (i + 1) % OOM_MAX_LIVE;
		oom.blocks[i] = p;
		oom.live++;
	}
	pthread_mutex_unlock(&oom.lock);
}

/* Closes the gap that a removal leaves in a chain of probes. */
static void
oom_close_gap(size_t gap)
{
	size_t i = gap;

	for (;;) {
		size_t home;

		i = (i + 1) % OOM_MAX_LIVE;
		if (oom.blocks[i] == NULL)
			break;
		home = oom_slot(oom.blocks[i]);
		if ((i - home) % OOM_MAX_LIVE >= (i - gap) % OOM_MAX_LIVE) {
			oom.blocks[gap] = oom.blocks[i];
			gap = i;
		}
	}
	oom.blocks[gap] = NULL;
}

/* A block of before the round, or of a library, is not in the table. */
static void
oom_forget(void *p)
{
	size_t i;

	pthread_mutex_lock(&oom.lock);
	if (oom.tracking && p != NULL) {
		for (i = oom_slot(p); oom.blocks[i] != NULL;
		     i = (i + 1) % OOM_MAX_LIVE) {
			if (oom.blocks[i] == p) {
				oom_close_gap(i);
				oom.live--;
				break;
			}
		}
	}
	pthread_mutex_unlock(&oom.lock);
}

void *
__wrap_malloc(size_t n)
{
	void *p = oom_allow() && n <= OOM_MAX_SIZE ? __real_malloc(n) : NULL;

	oom_remember(p);
	return p;
}

void *
__wrap_calloc(size_t n, size_t size)
{
	void *p = oom_allow() ? __real_calloc(n, size) : NULL;

	oom_remember(p);
	return p;
}

void *
__wrap_realloc(void *old, size_t n)
{
	void *p;

	if (!oom_allow() || n > OOM_MAX_SIZE)
		return NULL;
	oom_forget(old);
	p = __real_realloc(old, n);
	oom_remember(p != NULL || n == 0 ? p : old);
	return p;
}

char *
__wrap_strdup(const char *z)
{
	return __wrap_strndup(z, SIZE_MAX);
}

char *
__wrap_strndup(const char *z, size_t n)
{
	size_t len = strnlen(z, n);
	char *p = __wrap_malloc(len + 1);

	if (p != NULL) {
		memcpy(p, z, len);
		p[len] = '\0';
	}
	return p;
}

void
__wrap_free(void *p)
{
	oom_forget(p);
	__real_free(p);
}

void
oom_pause(bool pause)
{
	oom_paused = pause;
}

void
oom_arm(unsigned long n, const char *prefix)
{
	pthread_mutex_lock(&oom.lock);
	oom.tracking = false;
	oom.prefix = prefix;
	oom.fail_at = n;
	oom.count = 0;
	oom.hit = false;
	pthread_mutex_unlock(&oom.lock);
}

void
oom_begin(void)
{
	pthread_mutex_lock(&oom.lock);
	oom.prefix = NULL;
	memset(oom.blocks, 0, sizeof(oom.blocks));
	oom.tracking = true;
	oom.fail_at = 0;
	oom.count = 0;
	oom.failures = 0;
	oom.hit = true; /* so that the first oom_round() arms */
	oom.live = 0;
	pthread_mutex_unlock(&oom.lock);
}

bool
oom_round(void)
{
	bool again;

	pthread_mutex_lock(&oom.lock);
	if (oom.live != 0)
		oom_die("leak");
	again = oom.hit;
	if (again)
		oom.failures++;
	oom.fail_at = again ? oom.failures : 0;
	oom.count = 0;
	oom.hit = false;
	oom.tracking = again;
	pthread_mutex_unlock(&oom.lock);
	return again;
}

bool
oom_hit(void)
{
	bool hit;

	pthread_mutex_lock(&oom.lock);
	hit = oom.hit;
	oom.count = oom.fail_at; /* past it: nothing fails any more */
	pthread_mutex_unlock(&oom.lock);
	return hit;
}

unsigned long
oom_failures(void)
{
	return oom.failures > 0 ? oom.failures - 1 : 0;
}

size_t
oom_live(void)
{
	return oom.live;
}

unsigned long
oom_allocations(void)
{
	return oom.total;
}
