/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See channel_guard.h. nng keeps its descriptors to itself, so they are found
 * among the process's own by the port they were accepted at. A number read
 * there may mean another socket a moment later: what is shut is a duplicate
 * that was looked at, never a number. All descriptors needed for that are held
 * from the start, since none may be left when it matters.
 */
#define _GNU_SOURCE /* dup3 */
#include "proto/channel_guard.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/str.h"

#define GUARD_PORTS    2
#define GUARD_IDLE_S   30 /* then the kernel asks whether the peer is there */
#define GUARD_PROBE_S  10
#define GUARD_N_PROBES 3

/* A socket that is no connection (yet). */
struct pending {
	ino_t inode;
	uint16_t port; /* ours */
	int64_t since_ms;
};

struct channel_guard {
	int64_t handshake_ms;
	uint16_t ports[GUARD_PORTS];
	unsigned n_ports;
	DIR *fds;	 /* of this process */
	int null, spare; /* spare: for duplicates */
	struct pending *pending, *next;
	size_t n_pending, n_next, room;
	struct channel_roll *roll;
};

int
channel_guard_new(int handshake_ms, struct channel_roll *roll,
    struct channel_guard **ret, struct error *e)
{
	struct channel_guard *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	g->handshake_ms = handshake_ms > 0 ? handshake_ms : GUARD_HANDSHAKE_MS;
	g->roll = roll;
	g->fds = opendir("/proc/self/fd");
	g->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	g->spare = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (g->fds == NULL || g->null < 0 || g->spare < 0) {
		channel_guard_free(g);
		return err_set(e, ERR_IO, "no descriptors for the channel");
	}
	*ret = g;
	return 0;
}

void
channel_guard_free(struct channel_guard *g)
{
	if (g == NULL)
		return;
	if (g->fds != NULL)
		closedir(g->fds);
	if (g->null >= 0)
		close(g->null);
	if (g->spare >= 0)
		close(g->spare);
	free(g->pending);
	free(g->next);
	free(g);
}

/* ---- sockets --------------------------------------------------------------
 */

/* The port of an address, the address into *ret. */
static uint16_t
peer_of(const struct sockaddr_storage *a, struct roll_peer *ret)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	memset(ret, 0, sizeof(*ret));
	if (a->ss_family == AF_INET) {
		memcpy(ret->address, &v4->sin_addr, 4);
		ret->port = v4->sin_port;
	} else if (a->ss_family == AF_INET6) {
		memcpy(ret->address, &v6->sin6_addr, 16);
		ret->port = v6->sin6_port;
	}
	return ntohs(ret->port);
}

/* The one of the ports at which it was accepted, or listens; 0 = none. */
static uint16_t
guard_port_of(const struct channel_guard *g, int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct roll_peer here;
	uint16_t port;

	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		return 0;
	port = peer_of(&a, &here);
	for (unsigned i = 0; i < g->n_ports; i++)
		if (g->ports[i] == port)
			return port;
	return 0;
}

/* The socket's other end; false: it has none (any more), or is not ours. */
static bool
guard_look(const struct channel_guard *g, int fd, struct roll_peer *p)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	uint16_t port = guard_port_of(g, fd);

	if (port == 0 || getpeername(fd, (struct sockaddr *)&a, &len) != 0)
		return false;
	(void)peer_of(&a, p);
	p->here = port;
	return true;
}

static bool
guard_inode(int fd, ino_t *inode)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	*inode = st.st_ino;
	return true;
}

/* The next descriptor of this process, -1 at the end. */
static int
guard_next_fd(struct channel_guard *g)
{
	const struct dirent *d;
	uint64_t fd;

	while ((d = readdir(g->fds)) != NULL)
		if (str_to_u64(str_of(d->d_name), &fd) == 0 && fd <= INT32_MAX)
			return (int)fd;
	return -1;
}

void
channel_guard_port(struct channel_guard *g, uint16_t port)
{
	int fd, on, idle = GUARD_IDLE_S, probe = GUARD_PROBE_S,
		    n = GUARD_N_PROBES;
	bool known = false;
	socklen_t len;

	for (unsigned i = 0; i < g->n_ports; i++)
		known |= g->ports[i] == port;
	MUST(known || g->n_ports < GUARD_PORTS);
	if (!known)
		g->ports[g->n_ports++] = port;
	rewinddir(g->fds);
	while ((fd = guard_next_fd(g)) >= 0) {
		len = sizeof(on);
		if (guard_port_of(g, fd) == 0 ||
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) != 0 ||
		    !on)
			continue;
		(void)setsockopt(
		    fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
		(void)setsockopt(
		    fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe, sizeof(probe));
		(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n, sizeof(n));
	}
}

static int64_t
guard_since(const struct channel_guard *g, ino_t inode, int64_t now)
{
	for (size_t i = 0; i < g->n_pending; i++)
		if (g->pending[i].inode == inode)
			return g->pending[i].since_ms;
	return now;
}

static bool
guard_note(struct channel_guard *g, const struct pending *p)
{
	if (g->n_next == g->room) {
		size_t room = g->room == 0 ? 64 : 2 * g->room;
		struct pending *a, *b;

		a = realloc(g->next, room * sizeof(*a));
		if (a == NULL)
			return false;
		g->next = a;
		b = realloc(g->pending, room * sizeof(*b));
		if (b == NULL)
			return false;
		g->pending = b;
		g->room = room;
	}
	g->next[g->n_next++] = *p;
	return true;
}

/* Shut it if it still is the socket with this inode. */
static bool
guard_shut(struct channel_guard *g, int fd, ino_t inode)
{
	bool done = false;
	struct roll_peer p;
	ino_t same;

	if (dup3(fd, g->spare, O_CLOEXEC) < 0)
		return false;
	if (guard_look(g, g->spare, &p) && guard_inode(g->spare, &same) &&
	    same == inode && !channel_roll_has(g->roll, &p))
		done = shutdown(g->spare, SHUT_RDWR) == 0;
	(void)!dup3(g->null, g->spare, O_CLOEXEC);
	return done;
}

/* A socket that is no connection; false: no memory. */
static bool
guard_pending(struct channel_guard *g, int fd, const struct roll_peer *p,
    int64_t now, unsigned *n_shut)
{
	int64_t limit = g->handshake_ms;
	struct pending at = {.port = p->here};

	if (!guard_inode(fd, &at.inode))
		return true;
	if (g->n_pending >= GUARD_CROWD)
		limit /= 3;
	at.since_ms = guard_since(g, at.inode, now);
	if (now - at.since_ms < limit || !guard_shut(g, fd, at.inode))
		return guard_note(g, &at);
	++*n_shut;
	return true;
}

unsigned
channel_guard_sweep(struct channel_guard *g)
{
	int64_t now = channel_now_ms();
	struct pending *swap;
	unsigned n_shut = 0;
	struct roll_peer p;
	int fd;

	g->n_next = 0;
	rewinddir(g->fds);
	channel_roll_call(g->roll);
	while ((fd = guard_next_fd(g)) >= 0)
		if (guard_look(g, fd, &p) && !channel_roll_see(g->roll, &p) &&
		    !guard_pending(g, fd, &p, now, &n_shut))
			break;
	if (fd < 0) /* all of them were seen */
		(void)channel_roll_end(g->roll);
	swap = g->pending;
	g->pending = g->next;
	g->next = swap;
	g->n_pending = g->n_next;
	return n_shut;
}

bool
channel_guard_waits(const struct channel_guard *g, uint16_t port, int64_t *ms)
{
	int64_t now = channel_now_ms();
	bool waits = false;

	*ms = 0;
	for (size_t i = 0; i < g->n_pending; i++) {
		const struct pending *p = &g->pending[i];

		if (p->port != port)
			continue;
		waits = true;
		if (now - p->since_ms > *ms)
			*ms = now - p->since_ms;
	}
	return waits;
}
