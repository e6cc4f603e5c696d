/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a turn of the worker promises: no provider is called before the intent
 * of just that attempt is written, whatever failed before it in the same turn;
 * and nothing of a reservation is given back before its usage is written.
 */
#include <errno.h>

#include "tests/unit/agent/scene.h"

static atomic_size_t seen; /* intents of second attempts, when asked last */

static bool
serve_looking(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	atomic_store(&seen, rig_intents(&rig, 2));
	send_answer(fd, "200 OK", "", ANSWER);
	return true;
}

/* The first target has no credential and fails within the turn. The second is
 * asked over a connection that is there already, so that nothing else happens
 * until it answers. */
START_TEST(test_fails_at_once)
{
	struct rig_config c = {.budget = 1000000000, .keyless = true};
	const struct journal_usage *u;

	c.url[1] = fake.url;
	begin(serve_looking, &c);
	for (size_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
		ck_assert_msg(atomic_load(&seen) == i,
		    "request %zu: called with %zu intents written", i,
		    atomic_load(&seen));
	}
	u = usage(6);
	for (size_t i = 0; i < 6; i += 2) {
		ck_assert_int_eq(u[i].cost, 0);
		ck_assert_uint_eq(u[i].head.attempt, 1);
		ck_assert_int_gt(u[i + 1].cost, 0);
		ck_assert_uint_eq(u[i + 1].head.attempt, 2);
	}
	end();
}
END_TEST

static struct io io;
static atomic_bool full; /* the disk */

static ssize_t
write_if_room(struct io *i, int fd, const void *p, size_t n)
{
	(void)i;
	return atomic_load(&full) ? -ENOSPC
				  : io_system()->write(io_system(), fd, p, n);
}

static bool
serve_when_full(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	atomic_store(&full, true);
	send_answer(fd, "200 OK", "", ANSWER);
	return true;
}

/* The disk fills up while a request runs. Its client gets the answer, but a
 * crash now would bill the worst case: so all of that stays taken. */
START_TEST(test_disk_full)
{
	struct rig_config c = {.budget = 1000000000, .io = &io};
	const struct budget_cell *cell;
	struct lease *l;
	struct journal_usage u;
	int64_t held;

	io = *io_system();
	io.write = write_if_room;
	begin(serve_when_full, &c);
	cell = lease_table_find(rig.leases, 50);
	ck_assert_int_eq(ask(RIG_KEY, "", BODY), 200);
	l = atomic_load(&cell->current);
	/* several turns, each of which tries to write */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(ask(RIG_KEY, "", BODY), 503);
	ck_assert_uint_eq(rig_usage(&rig, &u, 1), 0);
	held = atomic_load(&l->in_use);
	ck_assert_int_gt(held, 0);
	ck_assert_int_eq(atomic_load(&l->settled), 0);
	atomic_store(&full, false);
	UNTIL(rig_usage(&rig, &u, 1) == 1);
	UNTIL(atomic_load(&l->in_use) == 0);
	ck_assert_int_eq(held, u.head.reserved);
	ck_assert_int_eq(atomic_load(&l->settled), u.cost);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/turn");

	ADD(s, test_fails_at_once);
	ADD(s, test_disk_full);
	return unit_run(s);
}
