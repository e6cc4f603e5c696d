/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of the load generator. */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/load/load.h"

#define RUN_WAITING 65536 /* due requests without a connection */

struct run {
	const struct load_options *o;
	struct load_target *targets;
	int epoll_fd;
	int64_t now, start, measure_from, end;
	int64_t next_due; /* open loop */
	uint64_t issued;
	unsigned turn; /* which target is next */
	int n_busy;
	char in[256 * 1024];
};

static int64_t
run_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool
run_measures(const struct run *r)
{
	return r->now >= r->measure_from && r->now < r->end;
}

static bool
run_may_issue(const struct run *r)
{
	return r->now < r->end &&
	       (r->o->max_requests == 0 || r->issued < r->o->max_requests);
}

static int
conn_connect(struct run *r, struct load_conn *c)
{
	struct epoll_event ev = {
	    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
	    .data = {.ptr = c}};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return ERR_IO;
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->connecting = true;
	if (connect(c->fd, (struct sockaddr *)&c->target->addr,
		sizeof(c->target->addr)) != 0 &&
	    errno != EINPROGRESS) {
		(void)close(c->fd);
		c->fd = -1;
		return ERR_IO;
	}
	return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) == 0 ? 0
								      : ERR_IO;
}

static void
conn_send(struct load_conn *c)
{
	const struct buf *q = &c->target->request;

	while (c->sent < q->len) {
		ssize_t n = send(
		    c->fd, q->data + c->sent, q->len - c->sent, MSG_NOSIGNAL);

		if (n < 0)
			return; /* full, or an error that recv will report */
		c->sent += (size_t)n;
	}
}

/* Begin a request that was due at due_ns. */
static void
conn_begin(struct run *r, struct load_conn *c, int64_t due_ns)
{
	answer_init(&c->answer);
	c->busy = true;
	c->sent = 0;
	c->due_ns = due_ns;
	c->first_ns = 0;
	c->last_event_ns = 0;
	c->deadline_ns = r->now + r->o->timeout_ns;
	r->n_busy++;
	if (c->fd < 0 && conn_connect(r, c) != 0) {
		c->target->connect_errors++;
		return; /* stays busy until its deadline */
	}
	if (!c->connecting)
		conn_send(c);
}

/* The connection is free: next request, or wait for one. */
static void
conn_next(struct run *r, struct load_conn *c)
{
	struct load_target *t = c->target;

	if (r->o->rate <= 0) {
		if (!run_may_issue(r))
			return;
		r->issued++;
		conn_begin(r, c, r->now);
		return;
	}
	if (t->wait_n > 0) {
		int64_t due = t->waiting[t->wait_head];

		t->wait_head = (t->wait_head + 1) % RUN_WAITING;
		t->wait_n--;
		conn_begin(r, c, due);
		return;
	}
	c->next_idle = t->idle;
	t->idle = c;
}

static void
conn_end(struct run *r, struct load_conn *c, bool complete)
{
	struct load_target *t = c->target;
	const struct answer *a = &c->answer;
	bool ok = complete && a->status >= 200 && a->status < 300;

	if (run_measures(r)) {
		t->requests++;
		t->by_status[complete ? a->status : 0]++;
		t->errors += !ok;
		if (ok)
			hist_add(&t->latency, r->now - c->due_ns);
		if (ok && r->o->sse && !answer_saw_done_event(a))
			t->incomplete++;
	}
	c->busy = false;
	r->n_busy--;
	if (!complete || a->close) {
		if (c->fd >= 0)
			(void)close(c->fd);
		c->fd = -1;
	}
	conn_next(r, c);
}

static void
conn_on_data(struct run *r, struct load_conn *c, const char *p, size_t n)
{
	struct load_target *t = c->target;
	uint64_t events = c->answer.events;
	long used;

	if (c->first_ns == 0) {
		c->first_ns = r->now;
		if (run_measures(r))
			hist_add(&t->first_byte, r->now - c->due_ns);
	}
	used = answer_feed(&c->answer, p, n);
	if (used < 0 || (size_t)used != n) {
		t->bad_answers++;
		conn_end(r, c, false);
		return;
	}
	if (run_measures(r)) {
		t->bytes += n;
		events = c->answer.events - events;
		t->events += events;
		if (events > 0 && r->o->sse && c->last_event_ns > 0)
			hist_add(&t->gap, r->now - c->last_event_ns);
	}
	if (c->answer.events > 0)
		c->last_event_ns = r->now;
	if (answer_is_done(&c->answer))
		conn_end(r, c, true);
}

static void
conn_on_event(struct run *r, struct load_conn *c, uint32_t events)
{
	int fd = c->fd;

	if (fd < 0)
		return;
	if (events & EPOLLOUT && c->connecting) {
		c->connecting = false;
		if (c->busy)
			conn_send(c);
	} else if (events & EPOLLOUT && c->busy) {
		conn_send(c);
	}
	while (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		ssize_t n = recv(c->fd, r->in, sizeof(r->in), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			bool complete =
			    c->busy && c->answer.state == ANSWER_UNTIL_CLOSE;

			if (c->busy && !complete)
				c->target->closed_early++;
			(void)close(c->fd);
			c->fd = -1;
			c->connecting = false;
			if (c->busy)
				conn_end(r, c, complete);
			return;
		}
		if (!c->busy) {
			c->target->bad_answers++;
			return;
		}
		conn_on_data(r, c, r->in, (size_t)n);
		if (c->fd != fd || (size_t)n < sizeof(r->in))
			return;
	}
}

/* Open loop: issue everything that is due. */
static void
run_issue_due(struct run *r)
{
	double step = 1e9 / r->o->rate;

	while (r->next_due <= r->now && run_may_issue(r)) {
		struct load_target *t =
		    &r->targets[r->turn++ % (unsigned)r->o->n_targets];
		struct load_conn *c = t->idle;

		r->issued++;
		if (c != NULL) {
			t->idle = c->next_idle;
			conn_begin(r, c, r->next_due);
		} else if (t->wait_n < RUN_WAITING) {
			t->waiting[(t->wait_head + t->wait_n) % RUN_WAITING] =
			    r->next_due;
			t->wait_n++;
		} else {
			t->errors++;
		}
		r->next_due = r->start + (int64_t)(step * (double)r->issued);
	}
}

static void
run_expire(struct run *r)
{
	for (int t = 0; t < r->o->n_targets; t++) {
		for (int i = 0; i < r->o->connections; i++) {
			struct load_conn *c = &r->targets[t].conns[i];

			if (c->busy && r->now > c->deadline_ns)
				conn_end(r, c, false);
		}
	}
}

static int
run_setup(struct run *r, struct error *e)
{
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd < 0)
		return err_set(e, ERR_IO, "epoll: %s", strerror(errno));
	for (int t = 0; t < r->o->n_targets; t++) {
		struct load_target *target = &r->targets[t];

		target->conns =
		    calloc((size_t)r->o->connections, sizeof(*target->conns));
		target->waiting = calloc(RUN_WAITING, sizeof(*target->waiting));
		if (target->conns == NULL || target->waiting == NULL)
			return err_set(e, ERR_NOMEM, "no memory");
		for (int i = 0; i < r->o->connections; i++) {
			target->conns[i].target = target;
			target->conns[i].fd = -1;
			conn_next(r, &target->conns[i]);
		}
	}
	return 0;
}

static void
run_release(struct run *r)
{
	for (int t = 0; t < r->o->n_targets; t++) {
		for (int i = 0; i < r->o->connections; i++) {
			if (r->targets[t].conns != NULL &&
			    r->targets[t].conns[i].fd >= 0)
				(void)close(r->targets[t].conns[i].fd);
		}
		free(r->targets[t].conns);
		free(r->targets[t].waiting);
	}
	if (r->epoll_fd >= 0)
		(void)close(r->epoll_fd);
	free(r);
}

static void
run_turns(struct run *r)
{
	struct epoll_event events[512];
	int64_t grace = r->o->sse ? 0 : 5000000000LL, next_expire = 0;

	while (r->now < r->end || (r->n_busy > 0 && r->now < r->end + grace)) {
		int64_t until = r->now + 100000000;
		struct timespec ts;
		int n;

		if (r->o->rate > 0 && r->next_due < until)
			until = r->next_due;
		if (until > r->end && r->now < r->end)
			until = r->end;
		until = until > r->now ? until - r->now : 0;
		ts.tv_sec = 0;
		ts.tv_nsec = until;
		n = epoll_pwait2(r->epoll_fd, events, 512, &ts, NULL);
		r->now = run_clock();
		for (int i = 0; i < n; i++) {
			conn_on_event(r, events[i].data.ptr, events[i].events);
			if (i % 16 == 15)
				r->now = run_clock();
		}
		if (r->o->rate > 0)
			run_issue_due(r);
		if (r->now > next_expire) {
			run_expire(r);
			next_expire = r->now + 200000000;
		}
		if (r->o->max_requests > 0 && r->n_busy == 0 &&
		    r->issued >= r->o->max_requests)
			break;
	}
}

int
load_run(struct load_target *targets, const struct load_options *o,
    double *seconds, struct error *e)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	r->o = o;
	r->targets = targets;
	r->now = r->start = r->next_due = run_clock();
	r->measure_from = r->start + (int64_t)(o->warmup * 1e9);
	r->end = r->measure_from + (int64_t)(o->duration * 1e9);
	rc = run_setup(r, e);
	if (rc == 0)
		run_turns(r);
	*seconds =
	    (double)((r->now < r->end ? r->now : r->end) - r->measure_from) /
	    1e9;
	run_release(r);
	return rc;
}
