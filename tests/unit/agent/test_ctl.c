/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/ctl: identity on disk, and the control thread's state machine against
 * a control plane that answers by hand, step by step under a fake clock.
 */
#include "tests/unit/agent/ctl_scene.h"

START_TEST(test_start)
{
	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	ck_assert_int_eq(view().state, CTL_RUN);
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_gt(r.plane.pulls, 2); /* in parts */
	ck_assert_uint_eq(r.plane.hellos, 1);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_RECEIVED], 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_VALIDATED], 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_ACTIVE], 5);
	ck_assert_str_eq(r.plane.state, "ready");
	/* About one heartbeat a second from now on. */
	r.plane.beats = 0;
	run(10000);
	ck_assert_uint_ge(r.plane.beats, 9);
	ck_assert_uint_le(r.plane.beats, 13);
	/* A later version is found by the heartbeat. */
	plane_commit(&r.plane, &r.world, 6);
	run(1100);
	ck_assert_uint_eq(active(), 6);
}
END_TEST

START_TEST(test_away_and_back)
{
	r.plane.away = true;
	plane_commit(&r.plane, &r.world, 5);
	run(20000);
	ck_assert_int_eq(view().state, CTL_HELLO);
	ck_assert(!view().connected);
	r.plane.away = false;
	run(8000);
	ck_assert_int_eq(view().state, CTL_RUN);
	ck_assert_uint_eq(active(), 5);
	/* Stale after a minute without contact; contact heals. */
	r.plane.away = true;
	run(50000);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 1);
	run(15000);
	ck_assert(view().stale);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 0);
	r.plane.away = false;
	run(8000);
	ck_assert(!view().stale);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 1);
}
END_TEST

/* A line that swallows is given up after seconds; where answers are that slow,
 * the patience grows, and falls back when they come. */
START_TEST(test_patience)
{
	struct plane *p = &r.plane;
	int waits[4] = {5000, 10000, 20000, 30000};

	run(3000);
	ck_assert_int_eq(p->waited_ms, 5000);
	p->silent = true;
	for (int i = 0; i < 4; i++) {
		p->waited_ms = 0;
		while (p->waited_ms == 0)
			run(1);
		ck_assert_int_eq(p->waited_ms, waits[i]);
		ck_assert(!view().connected);
	}
	p->silent = false;
	run(10000); /* the longest pause of a HELLO */
	ck_assert(view().connected);
	ck_assert_int_lt(p->waited_ms, 30000);
	ck_assert_int_gt(p->waited_ms, 5000);
	run(30000);
	ck_assert_int_eq(p->waited_ms, 5000);
}
END_TEST

START_TEST(test_lost_replies)
{
	plane_commit(&r.plane, &r.world, 5);
	for (int i = 0; i < 40; i++) {
		r.plane.lose = i % 2 == 0;
		run(700);
	}
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_ACTIVE], 5);
}
END_TEST

START_TEST(test_forged)
{
	plane_commit(&r.plane, &r.world, 5);
	r.plane.forge = true;
	run(5000);
	ck_assert_int_eq(view().state, CTL_HELLO);
	ck_assert_uint_eq(active(), 0);
}
END_TEST

START_TEST(test_reject_and_recover)
{
	Hg__PriceLine *line;
	int64_t good;

	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	line = world_find(&r.world, HG__ITEM_KIND__ITEM_MODEL, W_MODEL)
		   ->model->prices[0];
	good = line->per_mtok;
	line->per_mtok = -1;
	plane_commit(&r.plane, &r.world, 6);
	run(5000);
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_REJECTED], 6);
	ck_assert_str_eq(r.plane.rejected_item, "gpt-m");
	/* It is not asked for again. */
	r.plane.pulls = 0;
	run(5000);
	ck_assert_uint_eq(r.plane.pulls, 0);
	line->per_mtok = good;
	plane_commit(&r.plane, &r.world, 7);
	run(1500);
	ck_assert_uint_eq(active(), 7);
}
END_TEST

START_TEST(test_fenced)
{
	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	r.plane.refuse = ERR_VERSION;
	run(3000);
	ck_assert_int_eq(view().state, CTL_FENCED);
	ck_assert(view().fenced);
	r.plane.hellos = 0;
	run(20000);
	ck_assert(view().fenced);
	r.plane.refuse = 0;
	run(15000);
	ck_assert_int_eq(view().state, CTL_RUN);
	ck_assert(!view().fenced);
}
END_TEST

START_TEST(test_leases)
{
	struct budget_cell *c, *short_of;
	struct reservation res;
	struct b_key k = {.n_budgets = 1};

	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	leases_set_kick(ctl_kick, r.ctl);
	c = lease_table_find(r.leases, W_BUDGET);
	ck_assert_ptr_nonnull(c);
	k.budgets[0] = c;
	ck_assert_int_eq(
	    lease_reserve(&k, 100, r.clock.mono, &res, &short_of), ERR_AGAIN);
	r.plane.grant = 500;
	(void)lease_wait(c, 100);
	r.plane.beats = 0;
	(void)ctl_step(r.ctl); /* at once */
	ck_assert_uint_eq(r.plane.beats, 1);
	ck_assert_int_eq(
	    lease_reserve(&k, 100, r.clock.mono, &res, &short_of), 0);
	lease_wait_done(c, 100);
	/* Refused as a double: no rights any more, until it is let in. */
	r.plane.refuse = ERR_FORBIDDEN;
	run(1500);
	{
		struct reservation more;

		ck_assert_int_eq(
		    lease_reserve(&k, 1, r.clock.mono, &more, &short_of),
		    ERR_AGAIN);
	}
	r.plane.refuse = 0;
	run(12000);
	lease_settle(&res, 60);
	/* Drain: everything but what was spent goes back. */
	lease_table_drain(r.leases);
	run(3000);
	ck_assert(lease_table_done(r.leases));
	ck_assert_int_eq(r.plane.returned, 440);
	ck_assert_int_eq(r.plane.in_use, 0);
}
END_TEST

START_TEST(test_ship_gate)
{
	Hg__UsageBatch b = HG__USAGE_BATCH__INIT;
	Hg__UsageAck ack = HG__USAGE_ACK__INIT;

	b.boot_epoch = 2;
	b.first_seq = 8;
	ck_assert_int_eq(ctl_ship(r.ctl, &b, &ack), ERR_UNAVAILABLE);
	run(1200);
	ck_assert_int_eq(ctl_ship(r.ctl, &b, &ack), 0);
	ck_assert_uint_eq(ack.watermark, 7);
	ck_assert_uint_eq(ack.boot_epoch, 2);
}
END_TEST

/* ---- identity
 * ---------------------------------------------------------------------- */

START_TEST(test_identity)
{
	struct join_token t = {.n_addresses = 2,
	    .addresses = {(char *)(uintptr_t) "tls+tcp://a:1",
		(char *)(uintptr_t) "tls+tcp://b:2"},
	    .n_publish = 1,
	    .publish = {(char *)(uintptr_t) "tls+tcp://a:3"},
	    .server_name = (char *)(uintptr_t) "control",
	    .ca_pem = (char *)(uintptr_t) "-----BEGIN\nx\n",
	    .group = (char *)(uintptr_t) "eu",
	    .region = (char *)(uintptr_t) "eu-1"};
	struct identity id, again;
	struct error e;
	struct stat st;
	char path[PATH_MAX];
	struct buf b;

	memset(t.control_key, 5, sizeof(t.control_key));
	ck_assert_int_eq(
	    identity_load(io_system(), r.dir, &again, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(identity_from_token(&t, &id, &e), 0);
	ck_assert_int_ne(identity_enrolled(&id, "junk", "g", "r", &e), 0);
	ck_assert_int_eq(
	    identity_enrolled(&id, AGENT_ID, "eu-2", "eu-1", &e), 0);
	ck_assert_int_eq(identity_save(io_system(), r.dir, &id, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/identity", r.dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(identity_load(io_system(), r.dir, &again, &e), 0);
	ck_assert_str_eq(again.agent_id, AGENT_ID);
	ck_assert_str_eq(again.group, "eu-2");
	ck_assert_str_eq(again.ca_pem, t.ca_pem);
	ck_assert_str_eq(again.addresses[1], "tls+tcp://b:2");
	ck_assert_uint_eq(again.n_publish, 1);
	ck_assert_mem_eq(again.public_key, id.public_key, SIGN_PUBLIC_LEN);
	ck_assert_mem_eq(again.secret, id.secret, SIGN_SECRET_LEN);
	identity_release(&again);
	identity_release(&id);
	/* Cut anywhere it is damaged, never half an identity. */
	buf_init(&b, 65536);
	ck_assert_int_eq(io_read_file(io_system(), path, &b, &e), 0);
	for (size_t n = 0; n + 2 < b.len; n += 3) {
		ck_assert_int_eq(io_write_file_atomic(
				     io_system(), path, b.data, n, 0600, &e),
		    0);
		if (identity_load(io_system(), r.dir, &again, &e) == 0) {
			ck_assert_str_eq(again.agent_id, AGENT_ID);
			identity_release(&again);
		}
	}
	/* A text that would end early is none. */
	*strchr(strstr(buf_cstr(&b), "address = "), '\n') = '\0';
	ck_assert_int_eq(
	    io_write_file_atomic(io_system(), path, b.data, b.len, 0600, &e),
	    0);
	ck_assert_int_eq(
	    identity_load(io_system(), r.dir, &again, &e), ERR_CORRUPT);
	buf_release(&b);
}
END_TEST

START_TEST(test_epoch)
{
	uint64_t epoch = 0;
	char path[PATH_MAX];
	struct error e;

	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(epoch_next(io_system(), r.dir, &epoch, &e), 0);
		ck_assert_uint_eq(epoch, i);
	}
	(void)snprintf(path, sizeof(path), "%s/epoch", r.dir);
	ck_assert_int_eq(
	    io_write_file_atomic(io_system(), path, "", 0, 0600, &e), 0);
	ck_assert_int_eq(
	    epoch_next(io_system(), r.dir, &epoch, &e), ERR_CORRUPT);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/ctl");
	TCase *t = tcase_create("ctl");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_start);
	tcase_add_test(t, test_away_and_back);
	tcase_add_test(t, test_patience);
	tcase_add_test(t, test_lost_replies);
	tcase_add_test(t, test_forged);
	tcase_add_test(t, test_reject_and_recover);
	tcase_add_test(t, test_fenced);
	tcase_add_test(t, test_leases);
	tcase_add_test(t, test_ship_gate);
	tcase_add_test(t, test_identity);
	tcase_add_test(t, test_epoch);
	suite_add_tcase(s, t);
	return unit_run(s);
}
