/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent asks of the operating system at start: limits, hardening,
 * its folder, the user it runs as. Main thread, before other threads. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "common/io.h"

/* No core dumps, not dumpable (keys are in memory), as many descriptors as
 * are permitted, SIGPIPE ignored. */
void process_harden(void);
/* Make the folder (0700), and DIR/journal in it. When running as root with a
 * user named: give both to the user and become it for good. ERR_*. */
int process_enter(
    const char *data_dir, const char *user, struct error *e) MUST_CHECK;
/* Take DIR/lock for the life of the process; ERR_CONFLICT when another
 * process has it. */
int process_lock(const char *data_dir, struct error *e) MUST_CHECK;
/* Ask process_wait_signal() to return PROCESS_RESTART. Any thread. */
#define PROCESS_RESTART SIGUSR2
void process_ask_restart(void *unused);
/* Block SIGTERM, SIGINT and SIGUSR2 in this thread and all that it starts. */
void process_block_signals(void);
/* Wait up to ms for one of them (-1 = for ever): its number or 0. */
int process_wait_signal(int ms);
/* ../share/headgate beside the folder of the running program; relative to the
 * working folder when the system does not say where that is. */
void process_share_dir(char *dst, size_t cap);
/* "data=PORT\nstatus=PORT\n", written atomically; "" = no file. */
int process_write_ports(struct io *io, const char *path, int data, int status,
    struct error *e) MUST_CHECK;

#endif
