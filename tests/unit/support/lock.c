/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wrapped mutex functions: in unit tests every mutex knows its owner, so
 * that unlocking what one does not hold, or locking twice, ends the test
 * instead of going unnoticed or hanging.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The names are the linker's. */
int __real_pthread_mutex_init(
    pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_init(
    pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);

int
__wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	pthread_mutexattr_t checked;
	int rc;

	if (attr != NULL)
		return __real_pthread_mutex_init(m, attr);
	(void)pthread_mutexattr_init(&checked);
	(void)pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
	rc = __real_pthread_mutex_init(m, &checked);
	(void)pthread_mutexattr_destroy(&checked);
	return rc;
}

static int
lock_check(const char *what, int rc)
{
	if (rc != 0) {
		fprintf(stderr, "mutex: %s: %s\n", what, strerror(rc));
		abort();
	}
	return rc;
}

int
__wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	return lock_check("lock", __real_pthread_mutex_lock(m));
}

int
__wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	return lock_check("unlock", __real_pthread_mutex_unlock(m));
}
