/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A provider that a test scripts byte by byte, and a bare HTTP client, for
 * faults that no well-behaved library would produce.
 */
#ifndef TESTS_UNIT_AGENT_FAKE_H
#define TESTS_UNIT_AGENT_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct fake;
/* Answer one request on the connection; false closes it. n counts the
 * connection's requests from 0. */
typedef bool fake_fn(struct fake *f, int fd, const char *request, int n);

#define FAKE_MAX_CONNS 64

struct fake {
	int listen_fd, port;
	char url[64];
	fake_fn *serve;
	pthread_t acceptor, conns[FAKE_MAX_CONNS];
	int n_conns;
	atomic_int n_requests, n_gone, stopping;
	char last[16384]; /* request, as read */
	pthread_mutex_t lock;
};

void fake_start(struct fake *f, fake_fn *serve);
void fake_stop(struct fake *f);
void fake_send(int fd, const char *text);
/* Wait until the peer closes; ms, -1 = it did not in time. */
int fake_wait_gone(int fd, int timeout_ms);

/* Client. */
int http_connect(int port);
void http_send(int fd, const char *text);
/* POST body to path with a key; extra: more header lines or "". */
void http_post(int fd, const char *path, const char *key, const char *extra,
    const char *body);
/* One whole answer (by its framing) or all until the end; NUL-terminated.
 * Returns its length, -1 when nothing came in time. *clean: it ended by its
 * framing. */
long http_recv(int fd, char *dst, size_t cap, bool *clean);
int http_status(const char *answer);

#endif
