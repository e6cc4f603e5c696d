/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection and the loop that serves it. Each thread has one loop with a
 * listening socket of its own (SO_REUSEPORT), an edge-triggered epoll and a
 * heap of timers; a connection never leaves its thread. All functions here
 * belong to that thread.
 */
#ifndef TESTS_PROVIDER_CONN_H
#define TESTS_PROVIDER_CONN_H

#include "tests/provider/exchange.h"
#include "tests/provider/http.h"
#include "tests/provider/sim.h"
#include "tests/provider/tls.h"

struct loop;

struct conn {
	struct loop *loop;
	struct sim *sim;
	int fd;
	struct buf in;
	size_t in_used; /* bytes of `in` already consumed */
	struct buf out;
	size_t out_sent;
	struct exchange x;
	int64_t due_ns;	      /* timer, valid while heap_at is not 0 */
	size_t heap_at;	      /* 1-based position in the heap, 0 = no timer */
	int64_t answered;     /* bytes of this answer that were sent */
	int64_t reset_at;     /* reset after so many bytes; -1 = no */
	size_t split;	      /* bytes a send, 0 = all */
	int64_t drip_ns;      /* pause between sends, 0 = none */
	bool close_after;     /* close when `out` is empty */
	bool half_close;      /* ... for writing only, and wait */
	enum conn_end ending; /* ... and how */
	struct tls *tls;      /* NULL: plain */
	enum speaker speaker; /* in whose words it is answered */
	bool writable;	      /* no EAGAIN since the last EPOLLOUT */
	bool peer_gone;
	struct conn *next_dead;
	struct conn *prev, *next; /* all open ones of the loop */
};

/* Start the timer of a connection, or move it. */
void conn_schedule(struct conn *c, int64_t due_ns);
/* Close without sending what is left; reset: by RST instead of FIN. The
 * struct is freed at the end of the loop turn. */
void conn_close(struct conn *c, bool reset);
int64_t conn_now_ns(const struct conn *c); /* monotonic, of this turn */

/* Where to listen; a port of 0 is replaced by the one that was bound. */
struct loop_place {
	char host[64];
	uint16_t port;
};

/* Run `n_threads` loops until *stop is set, on a place and, when the simulator
 * has a certificate (sim->tls), on another one with TLS. on_ready is called
 * once all sockets listen. */
int loops_run(struct sim *sim, struct loop_place *plain, struct loop_place *tls,
    int n_threads,
    void (*on_ready)(const struct loop_place *, const struct loop_place *),
    struct error *e) MUST_CHECK;

#endif
