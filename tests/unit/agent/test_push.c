/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/ctl: what the control plane publishes, packed by its own code: changes
 * of the configuration and recalls of leases.
 */
#include "tests/unit/agent/ctl_scene.h"

/* What the control plane publishes when the key is switched, from the version
 * before, packed by its own code. */
static void
publish(uint64_t version, const uint8_t group_key[GROUP_KEY_LEN],
    const uint8_t secret[SIGN_SECRET_LEN])
{
	struct item_state *base = world_state(&r.world);
	Hg__Key *k = world_find(&r.world, HG__ITEM_KIND__ITEM_KEY, W_KEY)->key;
	struct delta_publication p = {
	    .group = "default", .key = group_key, .version = version};
	struct buf delta, sgn, wire;
	Hg__ItemRef ref;

	hg__item_ref__init(&ref);
	ref.kind = HG__ITEM_KIND__ITEM_KEY;
	ref.uid = W_KEY;
	r.world.version = version;
	k->disabled = !k->disabled;
	buf_init(&delta, (size_t)1 << 20);
	buf_init(&sgn, (size_t)1 << 20);
	buf_init(&wire, ENVELOPE_MAX);
	world_delta(&r.world, base, &ref, 1, &delta);
	ck_assert_int_eq(bundle_sign(buf_str(&delta), r.plane.secret, &sgn), 0);
	p.signed_bundle = buf_str(&sgn);
	ck_assert_int_eq(delta_publish(&p, secret, rng_system(), &wire), 0);
	for (unsigned i = 0; i < n_planes; i++)
		ctl_pushed(r.ctl, buf_str(&wire));
	items_unref(base);
	buf_release(&delta);
	buf_release(&sgn);
	buf_release(&wire);
}

static void
push(uint64_t version)
{
	publish(version, r.plane.group_key, r.plane.secret);
}

static bool
key_disabled(void)
{
	const struct bundle *b = atomic_load(&r.agent.links[0].mailbox);
	uint8_t digest[32];

	world_digest(W_KEY, digest);
	return bundle_find_key(b, digest)->disabled;
}

static void
start_pushed(void)
{
	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	ck_assert_uint_eq(active(), 5);
	r.plane.pulls = r.plane.beats = 0;
}

/* A push is applied and acknowledged at once, without a pull. */
START_TEST(test_push)
{
	start_pushed();
	push(6);
	ck_assert_uint_eq(active(), 5); /* the control thread applies */
	r.plane.version = 6;
	(void)ctl_step(r.ctl);
	ck_assert_uint_eq(active(), 6);
	ck_assert(key_disabled());
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_ACTIVE], 6);
	ck_assert_uint_eq(view().latest_version, 6);
	run(1100);
	ck_assert_uint_eq(r.plane.pulls, 0);
	/* Several before it gets to them, in their order. */
	push(7);
	push(8);
	push(9);
	r.plane.version = 9;
	(void)ctl_step(r.ctl);
	ck_assert_uint_eq(active(), 9);
	ck_assert(!key_disabled());
	run(1100);
	ck_assert_uint_eq(r.plane.pulls, 0);
}
END_TEST

/* What was published under a group key that this agent does not have, or does
 * not follow what it has, is pulled. */
START_TEST(test_push_is_pulled)
{
	uint8_t other[GROUP_KEY_LEN] = {1};

	start_pushed();
	publish(6, other, r.plane.secret);
	plane_commit(&r.plane, &r.world, 6);
	ck_assert_uint_eq(active(), 5);
	(void)ctl_step(r.ctl);
	run(20);
	ck_assert_uint_eq(active(), 6);
	ck_assert_uint_ge(r.plane.pulls, 1);
	/* 7 is lost on its way, 8 comes. */
	r.world.version = 7;
	push(8);
	plane_commit(&r.plane, &r.world, 8);
	run(20);
	ck_assert_uint_eq(active(), 8);
	/* 9 is lost, nothing comes after it. */
	r.plane.pulls = 0;
	plane_commit(&r.plane, &r.world, 9);
	run(1100);
	ck_assert_uint_eq(active(), 9);
	ck_assert_uint_ge(r.plane.pulls, 1);
}
END_TEST

/* To the instant after the next heartbeat. */
static void
until_beat(void)
{
	int wait;

	for (r.plane.beats = 0; r.plane.beats == 0;) {
		wait = ctl_step(r.ctl);
		if (r.plane.beats == 0)
			clock_fake_advance(
			    &r.clock, (wait > 0 ? wait : 1) * NS_PER_MS);
	}
}

/* A heartbeat tells of a version before it is pushed: no pull for a moment,
 * but for no longer, and not where pushes are not heard. */
START_TEST(test_push_is_awaited)
{
	start_pushed();
	push(6);
	r.plane.version = 6;
	(void)ctl_step(r.ctl);
	ck_assert_uint_eq(active(), 6);
	r.plane.version = 7;
	until_beat();
	ck_assert_uint_eq(view().latest_version, 7);
	clock_fake_advance(&r.clock, 90 * NS_PER_MS);
	ck_assert_int_le(ctl_step(r.ctl), 10);
	push(7);
	(void)ctl_step(r.ctl);
	ck_assert_uint_eq(active(), 7);
	ck_assert_uint_eq(r.plane.pulls, 0);
	plane_commit(&r.plane, &r.world, 8);
	until_beat();
	clock_fake_advance(&r.clock, 99 * NS_PER_MS);
	(void)ctl_step(r.ctl);
	ck_assert_uint_eq(r.plane.pulls, 0);
	clock_fake_advance(&r.clock, NS_PER_MS);
	run(10); /* part by part */
	ck_assert_uint_eq(active(), 8);
	plane_commit(&r.plane, &r.world, 9);
	until_beat();
	run(10);
	ck_assert_uint_eq(active(), 9);
}
END_TEST

/* More than the queue holds: asked for. */
START_TEST(test_push_crowd)
{
	start_pushed();
	for (uint64_t v = 6; v < 40; v++)
		push(v);
	plane_commit(&r.plane, &r.world, 39);
	run(20);
	ck_assert_uint_eq(active(), 39);
	ck_assert_uint_ge(r.plane.pulls, 1);
}
END_TEST

/* Not of the control plane: neither applied nor asked about; older ones change
 * nothing. */
START_TEST(test_push_forged)
{
	uint8_t public_key[SIGN_PUBLIC_LEN], secret[SIGN_SECRET_LEN];

	start_pushed();
	sign_keypair(public_key, secret);
	publish(6, r.plane.group_key, secret);
	ctl_pushed(r.ctl, STR("garbage"));
	ctl_pushed(r.ctl, STR(""));
	run(500);
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_eq(r.plane.pulls, 0);
	r.world.version = 5;
	push(4);
	run(1100);
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_eq(r.plane.pulls, 0);
}
END_TEST

/* Without contact a push still takes effect (a key that is revoked), unless the
 * control plane refuses this agent. */
START_TEST(test_push_without_contact)
{
	start_pushed();
	r.plane.away = true;
	run(1200);
	ck_assert(!view().connected);
	push(6);
	(void)ctl_step(r.ctl);
	ck_assert_uint_eq(active(), 6);
	ck_assert(key_disabled());
	r.plane.away = false;
	r.plane.refuse = ERR_FORBIDDEN;
	run(10000);
	ck_assert_int_eq(view().state, CTL_FENCED);
	push(7);
	run(100);
	ck_assert_uint_eq(active(), 6);
	r.plane.refuse = 0;
	plane_commit(&r.plane, &r.world, 7);
	run(15000);
	ck_assert_uint_eq(active(), 7);
}
END_TEST

/* Two replicas publish the same change, a heartbeat tells of it, too. */
START_TEST(test_push_twice)
{
	start_pushed();
	n_planes = 2;
	push(6);
	plane_commit(&r.plane, &r.world, 6);
	run(1100);
	ck_assert_uint_eq(active(), 6);
	ck_assert_int_eq(view().state, CTL_RUN);
	push(7);
	r.plane.version = 7;
	run(20);
	ck_assert_uint_eq(active(), 7);
	ck_assert(!key_disabled());
	ck_assert_uint_eq(r.plane.pulls, 0);
}
END_TEST

static void
push_recall(uint64_t uid, bool right_key)
{
	struct envelope env = {.type = HG__MESSAGE_TYPE__MSG_RECALL,
	    .sender = STR(ENVELOPE_CONTROL)};
	uint8_t pk[SIGN_PUBLIC_LEN], other[SIGN_SECRET_LEN];
	Hg__LeaseRecall m = HG__LEASE_RECALL__INIT;
	struct buf wire;

	sign_keypair(pk, other);
	m.n_budget_uid = 1;
	m.budget_uid = &uid;
	buf_init(&wire, 4096);
	ck_assert_int_eq(envelope_pack_message(&env, &m.base,
			     right_key ? r.plane.secret : other, &wire),
	    0);
	ctl_pushed(r.ctl, buf_str(&wire));
	buf_release(&wire);
}

/* A lease that rests is reported on when its rights are recalled, soon, by who
 * may say so. */
START_TEST(test_recall)
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
	r.plane.grant = 500;
	r.plane.horizon_ms = 300000;
	(void)lease_wait(c, 100);
	(void)ctl_step(r.ctl);
	ck_assert_int_eq(
	    lease_reserve(&k, 100, r.clock.mono, &res, &short_of), 0);
	lease_wait_done(c, 100);
	run(1500);
	r.plane.reports = r.plane.beats = r.plane.pulls = 0;
	run(3000);
	ck_assert_uint_ge(r.plane.beats, 2);
	ck_assert_uint_eq(r.plane.reports, 0);
	push_recall(W_BUDGET, false);
	push_recall(W_BUDGET + 1000, true);
	run(300);
	ck_assert_uint_eq(r.plane.reports, 0);
	push_recall(W_BUDGET, true);
	push_recall(W_BUDGET, true);
	run(100);
	ck_assert_uint_eq(r.plane.reports, 1);
	ck_assert_uint_eq(r.plane.pulls, 0);
	lease_settle(&res, 60);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/push");
	TCase *t = tcase_create("push");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_push);
	tcase_add_test(t, test_push_is_pulled);
	tcase_add_test(t, test_push_is_awaited);
	tcase_add_test(t, test_push_crowd);
	tcase_add_test(t, test_push_forged);
	tcase_add_test(t, test_push_without_contact);
	tcase_add_test(t, test_push_twice);
	tcase_add_test(t, test_recall);
	suite_add_tcase(s, t);
	return unit_run(s);
}
