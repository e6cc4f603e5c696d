/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue for places: order between classes and tenants, hand-over, leaving,
 * refusals, and threads that fight for places.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "agent/policy/queue.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

#define N     2000
#define NOW   (1000 * NS_PER_S)
#define NEVER INT64_MAX

static struct queue_gate *gate;
static struct limit_cell cell, other;
static struct limit_cell *const one[] = {&cell};
static struct limit_cell *const both[] = {&cell, &other};
static struct queue_ticket tickets[N];
static _Atomic unsigned woken;

static void
on_wake(void *ctx, unsigned worker)
{
	(void)ctx;
	(void)worker;
	atomic_fetch_add(&woken, 1);
}

static void
cell_start(struct limit_cell *c, int64_t places)
{
	struct limit_values v = {.max_conc = places};

	memset(c, 0, sizeof(*c));
	limit_set(c, &v);
	ck_assert_int_eq(queue_attach(c), 0);
}

static void
begin(unsigned max, int64_t places)
{
	memset(tickets, 0, sizeof(tickets));
	atomic_store(&woken, 0);
	gate = queue_gate_new(max, on_wake, NULL);
	ck_assert_ptr_nonnull(gate);
	cell_start(&cell, places);
	cell_start(&other, places);
	while (queue_take(&cell))
		continue;
	while (queue_take(&other))
		continue;
}

static void
end(void)
{
	queue_detach(&cell);
	queue_detach(&other);
	queue_gate_free(gate);
}

static int
enter(unsigned i, enum queue_class class, uint64_t tenant, int64_t now,
    int64_t deadline)
{
	int64_t retry;

	tickets[i].class = class;
	tickets[i].tenant = tenant;
	return queue_enter(gate, &tickets[i], one, 1, now, deadline, &retry);
}

/* A place comes free; who got it? */
static struct queue_ticket *
next(int64_t now)
{
	struct queue_ticket *t;

	queue_give(gate, &cell, now);
	t = queue_inbox(gate, 0);
	if (t != NULL) {
		ck_assert_int_eq(t->state, TICKET_GRANTED);
		t->state = TICKET_NONE;
	}
	return t;
}

START_TEST(test_classes)
{
	unsigned i, n[QUEUE_CLASSES] = {0}, first_batch = 0;
	struct queue_ticket *t;

	begin(N, 1);
	for (i = 0; i < 300; i++) /* batch was there first */
		ck_assert_int_eq(enter(i, QUEUE_BATCH, 1, NOW, NEVER), 0);
	for (; i < 600; i++)
		ck_assert_int_eq(enter(i, QUEUE_STANDARD, 2, NOW, NEVER), 0);
	for (; i < 900; i++)
		ck_assert_int_eq(enter(i, QUEUE_CRITICAL, 3, NOW, NEVER), 0);
	for (i = 1; i <= 210; i++) {
		t = next(NOW);
		ck_assert_ptr_nonnull(t);
		n[t->class]++;
		if (t->class == QUEUE_BATCH && first_batch == 0)
			first_batch = i;
	}
	/* 16 : 4 : 1 */
	ck_assert_uint_ge(n[QUEUE_CRITICAL], 158);
	ck_assert_uint_le(n[QUEUE_CRITICAL], 162);
	ck_assert_uint_ge(n[QUEUE_STANDARD], 38);
	ck_assert_uint_le(n[QUEUE_STANDARD], 42);
	ck_assert_uint_ge(n[QUEUE_BATCH], 9);
	ck_assert_uint_gt(first_batch, 15);
	ck_assert_int_eq(atomic_load(&cell.conc), 1);
	/* Alone, batch has everything; a critical one then goes next. */
	for (i = 210; i < 900; i++)
		ck_assert_ptr_nonnull(next(NOW));
	ck_assert_ptr_null(next(NOW));
	while (queue_take(&cell))
		continue;
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(enter(i, QUEUE_BATCH, 1, NOW, NEVER), 0);
	for (i = 0; i < 5; i++)
		ck_assert_ptr_eq(next(NOW), &tickets[i]);
	ck_assert_int_eq(enter(100, QUEUE_CRITICAL, 1, NOW, NEVER), 0);
	ck_assert_ptr_eq(next(NOW), &tickets[100]);
	end();
}
END_TEST

/* One tenant has a hundred waiting, two have a few: they take turns. */
START_TEST(test_tenants)
{
	unsigned i, n[4] = {0};

	begin(N, 1);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(enter(i, QUEUE_STANDARD, 1, NOW, NEVER), 0);
	for (; i < 110; i++)
		ck_assert_int_eq(enter(i, QUEUE_STANDARD, 2, NOW, NEVER), 0);
	for (; i < 120; i++)
		ck_assert_int_eq(enter(i, QUEUE_STANDARD, 3, NOW, NEVER), 0);
	for (i = 0; i < 30; i++)
		n[next(NOW)->tenant]++;
	ck_assert_uint_eq(n[1], 10);
	ck_assert_uint_eq(n[2], 10);
	ck_assert_uint_eq(n[3], 10);
	for (i = 0; i < 90; i++) /* each in the order it came */
		ck_assert_ptr_eq(next(NOW), &tickets[10 + i]);
	end();
}
END_TEST

/* A ticket at two deployments gets one place; nobody overtakes it. */
START_TEST(test_hand_over)
{
	struct queue_ticket *t = &tickets[0];
	int64_t retry;

	begin(N, 2);
	ck_assert_int_eq(queue_enter(gate, t, both, 2, NOW, NEVER, &retry), 0);
	ck_assert(!queue_take(&cell));
	queue_give(gate, &other, NOW);
	ck_assert(!queue_take(&other)); /* it was handed over */
	ck_assert_uint_eq(atomic_load(&woken), 1);
	ck_assert_ptr_eq(queue_inbox(gate, 0), t);
	ck_assert_int_eq(t->state, TICKET_GRANTED);
	ck_assert_uint_eq(t->granted, 1);
	t->state = TICKET_NONE;
	queue_give(gate, &cell, NOW); /* nobody waits any more */
	ck_assert_ptr_null(queue_inbox(gate, 0));
	ck_assert(queue_take(&cell));
	/* A place that came free unseen is had at once. */
	atomic_fetch_sub(&cell.conc, 1);
	ck_assert_int_eq(queue_enter(gate, t, both, 2, NOW, NEVER, &retry), 0);
	ck_assert_int_eq(queue_leave(gate, t), TICKET_GRANTED);
	ck_assert_ptr_null(queue_inbox(gate, 0));
	ck_assert_int_eq(atomic_load(&cell.conc), 2);
	end();
}
END_TEST

START_TEST(test_leave)
{
	unsigned lengths[QUEUE_CLASSES], i;

	begin(N, 1);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(
		    enter(i, QUEUE_STANDARD, i % 2, NOW, NEVER), 0);
	ck_assert_int_eq(queue_leave(gate, &tickets[0]), TICKET_WAITING);
	ck_assert_int_eq(queue_leave(gate, &tickets[0]), TICKET_NONE);
	ck_assert_int_eq(queue_leave(gate, &tickets[3]), TICKET_WAITING);
	queue_lengths(gate, lengths);
	ck_assert_uint_eq(lengths[QUEUE_STANDARD], 3);
	ck_assert_ptr_eq(next(NOW), &tickets[2]);
	ck_assert_ptr_eq(next(NOW), &tickets[1]);
	ck_assert_ptr_eq(next(NOW), &tickets[4]);
	ck_assert_ptr_null(next(NOW));
	ck_assert_int_eq(atomic_load(&cell.conc), 0);
	end();
}
END_TEST

/* Whose turn would come too late is refused at once, with a time. */
START_TEST(test_deadline)
{
	int64_t now = NOW, retry;
	struct queue_ticket *t = &tickets[50];
	unsigned i;

	begin(N, 1);
	for (i = 0; i < 30; i++)
		ck_assert_int_eq(enter(i, QUEUE_STANDARD, 1, now, NEVER), 0);
	for (i = 0; i < 20; i++) { /* a place each 100 ms */
		now += 100 * NS_PER_MS;
		ck_assert_ptr_nonnull(next(now));
	}
	/* 10 wait: a standard one has 1.1 s before it, a critical one less. */
	t->class = QUEUE_STANDARD;
	t->tenant = 1;
	ck_assert_int_eq(
	    queue_enter(gate, t, one, 1, now, now + NS_PER_S, &retry),
	    ERR_OVERLOADED);
	ck_assert_int_ge(retry, 1000);
	ck_assert_int_le(retry, 1200);
	ck_assert_int_eq(
	    queue_enter(gate, t, one, 1, now, now + 1200 * NS_PER_MS, &retry),
	    0);
	ck_assert_int_eq(
	    enter(51, QUEUE_CRITICAL, 1, now, now + 200 * NS_PER_MS), 0);
	/* Another tenant's turn comes soon. */
	ck_assert_int_eq(
	    enter(52, QUEUE_STANDARD, 2, now, now + 300 * NS_PER_MS), 0);
	/* Before one of batch go all critical and four standard ones. */
	ck_assert_int_eq(enter(53, QUEUE_BATCH, 2, now, now + 500 * NS_PER_MS),
	    ERR_OVERLOADED);
	ck_assert_int_eq(
	    enter(53, QUEUE_BATCH, 2, now, now + 600 * NS_PER_MS), 0);
	end();
}
END_TEST

/* After a standstill the pace is measured anew: the first of a class waits in
 * any case, so that what was slow once does not refuse for ever. */
START_TEST(test_recovers)
{
	const int64_t patience = 2 * NS_PER_S;
	int64_t now = NOW;
	unsigned i, rounds = 0;

	begin(N, 1);
	ck_assert_int_eq(enter(0, QUEUE_STANDARD, 1, now, NEVER), 0);
	now += 60 * NS_PER_S;
	ck_assert_ptr_eq(next(now), &tickets[0]);
	for (i = 1;; i += 2) {
		now += NS_PER_S;
		ck_assert_int_eq(
		    enter(i, QUEUE_STANDARD, 1, now, now + patience), 0);
		if (enter(i + 1, QUEUE_STANDARD, 1, now, now + patience) == 0)
			break;
		/* A higher one waits too, a lower one does not. */
		if (rounds++ == 0) {
			ck_assert_int_eq(
			    enter(1000, QUEUE_BATCH, 1, now, now + patience),
			    ERR_OVERLOADED);
			ck_assert_int_eq(
			    enter(1000, QUEUE_CRITICAL, 1, now, now + patience),
			    0);
			ck_assert_ptr_eq(next(now), &tickets[1000]);
		}
		now += 50 * NS_PER_MS;
		ck_assert_ptr_eq(next(now), &tickets[i]);
	}
	ck_assert_uint_gt(rounds, 3);
	ck_assert_uint_lt(rounds, 40);
	end();
}
END_TEST

/* The queue is full: a higher class takes the place of the newest below. */
START_TEST(test_displace)
{
	struct queue_ticket *t;

	begin(3, 1);
	ck_assert_int_eq(enter(0, QUEUE_BATCH, 1, NOW, NEVER), 0);
	ck_assert_int_eq(enter(1, QUEUE_BATCH, 1, NOW, NEVER), 0);
	ck_assert_int_eq(enter(2, QUEUE_CRITICAL, 1, NOW, NEVER), 0);
	ck_assert_int_eq(enter(3, QUEUE_BATCH, 1, NOW, NEVER), ERR_OVERLOADED);
	ck_assert_int_eq(enter(4, QUEUE_STANDARD, 1, NOW, NEVER), 0);
	t = queue_inbox(gate, 0);
	ck_assert_ptr_eq(t, &tickets[1]);
	ck_assert_int_eq(t->state, TICKET_SHED);
	t->state = TICKET_NONE;
	ck_assert_int_eq(enter(5, QUEUE_CRITICAL, 1, NOW, NEVER), 0);
	ck_assert_ptr_eq(queue_inbox(gate, 0), &tickets[0]);
	ck_assert_int_eq(
	    enter(6, QUEUE_STANDARD, 1, NOW, NEVER), ERR_OVERLOADED);
	end();
}
END_TEST

static _Atomic int inside, served, gone;

/* One worker: its requests take, wait, leave, hold and give. */
static void *
worker(void *arg)
{
	unsigned w = *(unsigned *)arg, i, left = N / 4;
	struct rng_seeded rng;
	int64_t retry;

	rng_seeded_init(&rng, w + 1);
	for (i = w * (N / 4); left > 0;) {
		struct queue_ticket *t = queue_inbox(gate, w);
		bool have = false;

		if (t != NULL) {
			ck_assert_int_eq(t->state, TICKET_GRANTED);
			t->state = TICKET_NONE;
			have = true;
		} else if (i < (w + 1) * (N / 4)) {
			t = &tickets[i++];
			have = queue_take(&cell);
			t->worker = w;
			t->class = (enum queue_class)(i % 3);
			t->tenant = i % 7;
			if (!have) {
				ck_assert_int_eq(queue_enter(gate, t, one, 1,
						     NOW, NEVER, &retry),
				    0);
				if (rng_below(&rng.rng, 8) != 0)
					continue;
				have = queue_leave(gate, t) == TICKET_GRANTED;
				if (!have) {
					atomic_fetch_add(&gone, 1);
					left--;
				}
			}
		} else {
			(void)sched_yield();
		}
		if (!have)
			continue;
		ck_assert_int_le(atomic_fetch_add(&inside, 1) + 1, 3);
		atomic_fetch_add(&served, 1);
		(void)sched_yield();
		atomic_fetch_sub(&inside, 1);
		queue_give(gate, &cell, NOW);
		left--;
	}
	return NULL;
}

START_TEST(test_threads)
{
	unsigned id[4] = {0, 1, 2, 3}, i;
	pthread_t t[4];

	begin(N, 3);
	for (i = 0; i < 3; i++)
		queue_give(gate, &cell, NOW);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(
		    pthread_create(&t[i], NULL, worker, &id[i]), 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(atomic_load(&served) + atomic_load(&gone), N);
	ck_assert_int_gt(atomic_load(&served), N / 2);
	ck_assert_int_eq(atomic_load(&cell.conc), 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/queue");

	UNIT_ADD(s, test_classes);
	UNIT_ADD(s, test_tenants);
	UNIT_ADD(s, test_hand_over);
	UNIT_ADD(s, test_leave);
	UNIT_ADD(s, test_deadline);
	UNIT_ADD(s, test_recovers);
	UNIT_ADD(s, test_displace);
	UNIT_ADD(s, test_threads);
	return unit_run(s);
}
