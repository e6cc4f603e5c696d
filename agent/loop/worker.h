/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker: a thread with its own event loop, its own HTTP server socket
 * (SO_REUSEPORT), its own upstream connections and its own journal shard. All
 * requests that it accepts live and die on that thread.
 *
 * Stopping is by agent.draining, then agent_wake_all():
 *   0 serve
 *   1 drain: the listening socket is closed, new requests on kept-alive
 *     connections are refused, and the thread ends when its last request did
 *   2 stop: requests in flight are cancelled and settled, then the thread ends
 */
#ifndef AGENT_LOOP_WORKER_H
#define AGENT_LOOP_WORKER_H

#include <stdint.h>

#include "agent/agent.h"

struct worker;

/* Bind the data port and start the thread. index counts from 0 and is also
 * the journal shard and the place in agent.links. With port 0 in
 * opt->data_listen worker 0 picks the port and stores it in a->data_port; so
 * start worker 0 first. Creates links[index].wake_fd unless it was made by the
 * caller (> 0). Errors: ERR_INVALID (address), ERR_IO, ERR_NOMEM. Main thread.
 */
int worker_start(struct agent *a, unsigned index, struct worker **ret,
    struct error *e) MUST_CHECK;
/* Wait until the thread has ended, then free the worker. NULL is fine. Main
 * thread, after draining was raised. */
void worker_join(struct worker *w);
/* Requests in flight on this worker. Any thread; a moment's picture. */
unsigned worker_in_flight(const struct worker *w);

#endif
