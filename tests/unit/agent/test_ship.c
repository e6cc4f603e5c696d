/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shipper, batch by batch: what the control plane is told of each record,
 * where a batch ends, what an answer moves, and when it asks again.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/metrics.h"
#include "tests/unit/agent/ship_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

/* ---- what is told -------------------------------------------------------- */

static void
put_usage(const struct journal_usage *u)
{
	struct journal_shard *s = &sk.j->shards[0];

	ck_assert_int_eq(journal_intent(s, &u->head), 0);
	ck_assert_int_eq(journal_flush(s), 0);
	journal_usage(s, u);
	ck_assert_int_eq(journal_flush(s), 0);
	journal_sync_turn(sk.j);
}

static void
whole_usage(struct journal_usage *u)
{
	*u = (struct journal_usage){.head = {.attempt = 2,
					.started_at = 101,
					.tenant_uid = 102,
					.team_uid = 103,
					.project_uid = 104,
					.key_uid = 105,
					.route_uid = 106,
					.deployment_uid = 107,
					.provider_uid = 108,
					.model_uid = 109,
					.config_version = 110,
					.price_version = 111,
					.reserved = 112,
					.streamed = true,
					.n_charges = 2,
					.charges = {{113, 114}, {115, 116}}},
	    .tokens.n = {[TC_CACHE_READ] = 5, [TC_OUTPUT] = 7},
	    .cost = 117,
	    .source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL,
	    .http_status = 499,
	    .duration_us = 118,
	    .first_byte_us = 119,
	    .finish_reason = "stop",
	    .error_code = "left",
	    .upstream_request_id = "req-1",
	    .tier = "flex"};
	memset(u->head.request_id, 0xab, 16);
	ck_assert_ptr_null(tags_read(&u->head.tags, STR("a=b,feature=x")));
}

static void
ck_whole(const Hg__UsageRecord *r)
{
	ck_assert_uint_eq(r->request_id.len, 16);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_uint_eq(r->request_id.data[i], 0xab);
	ck_assert_uint_eq(r->attempt, 2);
	ck_assert_int_eq(r->started_at, 101);
	ck_assert_uint_eq(r->tenant_uid, 102);
	ck_assert_uint_eq(r->team_uid, 103);
	ck_assert_uint_eq(r->project_uid, 104);
	ck_assert_uint_eq(r->key_uid, 105);
	ck_assert_uint_eq(r->route_uid, 106);
	ck_assert_uint_eq(r->deployment_uid, 107);
	ck_assert_uint_eq(r->provider_uid, 108);
	ck_assert_uint_eq(r->model_uid, 109);
	ck_assert_uint_eq(r->config_version, 110);
	ck_assert_uint_eq(r->price_version, 111);
	ck_assert(r->streamed);
	ck_assert_uint_eq(r->n_charges, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(r->charges[i]->budget_uid, 113 + 2 * i);
		ck_assert_int_eq(r->charges[i]->period_start, 114 + 2 * i);
		ck_assert_int_eq(r->charges[i]->reserved, 112);
		ck_assert_uint_eq(r->charges[i]->boot_epoch, 1);
	}
	ck_assert_uint_eq(r->n_tokens, TC_OUTPUT + 1);
	for (unsigned i = 0; i < r->n_tokens; i++)
		ck_assert_int_eq(r->tokens[i], i == TC_CACHE_READ ? 5
					       : i == TC_OUTPUT	  ? 7
								  : 0);
	ck_assert_int_eq(r->cost, 117);
	ck_assert_int_eq(r->source, HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL);
	ck_assert_uint_eq(r->http_status, 499);
	ck_assert_int_eq(r->duration_us, 118);
	ck_assert_int_eq(r->first_byte_us, 119);
	ck_assert_str_eq(r->finish_reason, "stop");
	ck_assert_str_eq(r->error_code, "left");
	ck_assert_str_eq(r->upstream_request_id, "req-1");
	ck_assert_str_eq(r->tier, "flex");
	ck_assert_uint_eq(r->n_tags, 2);
	ck_assert_str_eq(r->tags[0]->key, "a");
	ck_assert_str_eq(r->tags[0]->value, "b");
	ck_assert_str_eq(r->tags[1]->key, "feature");
	ck_assert_str_eq(r->tags[1]->value, "x");
}

/* All that a record says arrives, from a later boot as well; of one that says
 * nothing, nothing does. */
START_TEST(test_whole_record)
{
	struct journal_usage u;

	ship_begin();
	ship_boot();
	whole_usage(&u);
	put_usage(&u);
	memset(&u, 0, sizeof(u));
	u.head.request_id[3] = 1;
	put_usage(&u);
	for (int again = 0; again < 2; again++) {
		const Hg__UsageRecord *r;

		line.rc = again == 0 ? ERR_UNAVAILABLE : 0;
		ck_assert(again == 0 ? shipper_turn(sk.s) > 0
				     : shipper_turn(sk.s) == -1);
		ck_assert_uint_eq(line.got->boot_epoch, 1);
		ck_assert_uint_eq(line.got->shard, 0);
		ck_assert_uint_eq(line.got->first_seq, 1);
		ck_assert_uint_eq(line.got->n_records, 2);
		ck_assert(line.got->last == (again == 1));
		ck_assert(!line.got->may_lack);
		ck_whole(line.got->records[0]);
		r = line.got->records[1];
		ck_assert_uint_eq(r->n_charges + r->n_tags + r->n_tokens, 0);
		ck_assert_str_eq(r->finish_reason, "");
		ck_assert_str_eq(r->error_code, "");
		ck_assert_str_eq(r->upstream_request_id, "");
		ck_assert_str_eq(r->tier, "");
		ck_assert(!r->streamed);
		ck_assert_int_eq(r->cost, 0);
		if (again == 0) {
			kit_crash(&sk);
			ship_boot();
		}
	}
	ship_end();
}
END_TEST

/* Without memory nothing goes out, rather than a record of which a part is
 * missing; it goes when there is memory again. */
START_TEST(test_no_memory_for_batch)
{
	enum { MANY = 120, STARTS = 60 };
	struct journal_usage u;
	unsigned failed = 0;
	uint32_t random = 1;

	ship_begin();
	ship_boot();
	whole_usage(&u);
	for (unsigned i = 0; i < MANY; i++) {
		/* Blocks of memory end in another part of each. */
		random = random * 1103515245 + 12345;
		memset(u.upstream_request_id, 0, 64);
		memset(u.upstream_request_id, 'x', 1 + (random >> 16) % 63);
		memset(u.finish_reason, 0, 24);
		memset(u.finish_reason, 'x', 1 + (random >> 24) % 23);
		memcpy(u.head.request_id, &i, sizeof(i));
		put_usage(&u);
	}
	line.rc = ERR_UNAVAILABLE;
	for (unsigned at = 1; at <= STARTS; at++) {
		const Hg__UsageRecord *r;
		unsigned before;
		bool hit;
		int wait;

		atomic_store(&sk.j->shards[0].stream.watermark, at);
		ship_connect(); /* its memory is empty */
		for (unsigned n = 1; n < 8; n++) {
			before = line.n;
			oom_arm(n, NULL);
			wait = shipper_turn(sk.s);
			hit = oom_hit();
			ck_assert_int_gt(wait, 0);
			ck_assert_uint_eq(line.n, before + !hit);
			failed += hit;
			if (hit && at % 8 == 0) { /* there is memory again */
				(void)shipper_turn(sk.s);
				ck_assert_uint_eq(line.n, before + 1);
			}
			ship_connect();
		}
		ck_assert_uint_eq(line.got->n_records, MANY - at);
		r = line.got->records[MANY - at - 1];
		ck_assert_uint_eq(r->seq, MANY);
		ck_assert_uint_eq(r->n_charges, 2);
	}
	ck_assert_uint_ge(failed, STARTS);
	ship_end();
}
END_TEST

/* Without memory or descriptors there is no shipper, and nothing stays. */
START_TEST(test_no_memory_for_shipper)
{
	const struct ship_link link = {ship_line_send, NULL};
	struct error e;
	struct shipper *s;
	int zero;

	ship_begin();
	sk.n_shards = 2;
	ck_assert_int_eq(kit_boot(&sk), 0);
	kit_crash(&sk);
	ck_assert_int_eq(kit_boot(&sk), 0); /* old streams too */
	EACH_OOM
	{
		int rc;

		s = NULL;
		rc = shipper_new(sk.j, &link, &sk.rng.rng, &s, &e);
		if (oom_hit()) {
			ck_assert_int_eq(rc, ERR_NOMEM);
		} else {
			ck_assert_int_eq(rc, 0);
			shipper_free(s);
		}
	}
	/* Itself, the marks, a cursor for each stream. */
	ck_assert_uint_ge(oom_failures(), 2 + 4);
	/* Descriptor 0 is one like any other. */
	zero = dup(0);
	close(0);
	ck_assert_int_eq(shipper_new(sk.j, &link, &sk.rng.rng, &s, &e), 0);
	ck_assert_int_ge(fcntl(0, F_GETFD), 0);
	shipper_free(s);
	ck_assert_int_lt(fcntl(0, F_GETFD), 0);
	ck_assert_int_eq(dup2(zero, 0), 0);
	close(zero);
	ship_end();
}
END_TEST

/* ---- where a batch ends -------------------------------------------------- */

/* A batch goes on into the next segments, and ends at what is durable, though
 * more is in the file. */
START_TEST(test_batch_over_segments)
{
	ship_begin();
	sk.segment_size = 600;
	ship_boot();
	for (unsigned n = 1; n <= 12; n++)
		kit_request(&sk, 0, n, n);
	ck_assert_uint_gt(kit_files(&sk, ".seg"), 5);
	kit_usage(&sk, 0, 13, 13);
	ck_assert_int_eq(kit_flush(&sk, 0), 0); /* not durable */
	line.next_seq = 1;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.n, 1);
	ck_assert_uint_eq(line.got->n_records, 12);
	line.next_seq = 13;
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	ck_assert_uint_eq(line.n, 1);
	journal_sync_turn(sk.j);
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.n, 2);
	ck_assert_uint_eq(line.got->n_records, 1);
	ship_end();
}
END_TEST

/* A segment whose end is not durable yet, or that may still grow, is not left
 * for the next one: its last records would be passed over. */
START_TEST(test_end_of_segment)
{
	struct segment *first;

	ship_begin();
	ship_boot();
	kit_request(&sk, 0, 1, 1);
	kit_usage(&sk, 0, 2, 2);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	first = sk.j->shards[0].cur;
	sk.j->opt.segment_size = 100; /* the next begins a segment */
	kit_usage(&sk, 0, 3, 3);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	ck_assert_ptr_ne(sk.j->shards[0].cur, first);
	ck_assert(atomic_load(&first->sealed));
	line.mark = 1;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->n_records, 1);
	/* As if the worker had not let go of it yet. */
	journal_sync_turn(sk.j);
	atomic_store(&first->sealed, false);
	line.mark = 2;
	line.next_seq = 2;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->n_records, 1);
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	ck_assert_uint_eq(kit_files(&sk, ".seg"), 2);
	atomic_store(&first->sealed, true);
	line.mark = 3;
	line.next_seq = 3;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(kit_files(&sk, ".seg"), 1);
	ship_end();
}
END_TEST

/* Large records: a batch is full when it has its bytes. */
START_TEST(test_batch_bytes)
{
	enum { MANY = 2 * 1500 };
	struct journal_shard *s;
	struct journal_usage u;
	size_t each = 0, most;
	char user[TAGS_USER_MAX];

	ship_begin();
	sk.segment_size = (int64_t)64 << 20;
	ship_boot();
	s = &sk.j->shards[0];
	whole_usage(&u);
	u.head.n_charges = BUNDLE_MAX_BUDGETS;
	memset(user, 'u', sizeof(user));
	tags_add_user(&u.head.tags, str_make(user, 100));
	for (size_t n = 0; n < 4; n++)
		ck_assert_int_eq(tags_add(&u.head.tags, str_make("wxyz" + n, 1),
				     str_make(user, 60)),
		    0);
	/* A record that counts for 1 KiB, with its charges. */
	for (size_t n = 1; n < 64 && each != 1024; n++) {
		u.upstream_request_id[n - 1] = 'x';
		journal_usage(s, &u);
		each = s->usage.len - RECORD_HEADER + 32 * u.head.n_charges;
		s->usage.len = 0;
		s->next_seq = 1;
	}
	ck_assert_uint_eq(each, 1024);
	for (unsigned i = 0; i < MANY; i++)
		journal_usage(s, &u);
	ck_assert_int_eq(journal_flush(s), 0);
	journal_sync_turn(sk.j);
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	most = SHIP_MAX_BYTES / each;
	ck_assert_uint_lt(most, SHIP_MAX_RECORDS);
	ck_assert_uint_eq(line.got->n_records, most);
	line.next_seq = most + 1;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->n_records, most);
	ship_end();
}
END_TEST

/* An old stream says `last` with the last of it and not before, empty or not;
 * what it may lack is told then. A stream of this boot never ends. */
START_TEST(test_last)
{
	const unsigned n = SHIP_MAX_RECORDS;

	ship_begin();
	sk.segment_size = (int64_t)8 << 20;
	sk.n_shards = 2;
	ship_boot();
	for (unsigned i = 1; i <= n; i++)
		kit_usage(&sk, 0, i, i);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	journal_sync_turn(sk.j);
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert(!line.got->last);
	kit_usage(&sk, 0, n + 1, 1);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	kit_crash(&sk);
	ship_boot();
	sk.j->old->may_lack = true;
	line.fail_shard = 1;
	line.rc = ERR_UNAVAILABLE;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->shard, 1);
	ck_assert(line.got->last); /* of shard 1: empty */
	ck_assert(!line.got->may_lack);
	ck_assert_uint_eq(line.got->n_records, 0);
	ck_assert_uint_eq(line.got->first_seq, 1);
	ck_assert_ptr_nonnull(sk.j->old); /* shard 0 went */
	ck_assert_uint_eq(sk.j->old->shard, 1);
	ship_end();
}
END_TEST

START_TEST(test_last_twice)
{
	ship_begin();
	ship_boot();
	for (unsigned i = 1; i <= SHIP_MAX_RECORDS; i++)
		kit_usage(&sk, 0, i, i);
	ck_assert_int_eq(kit_flush(&sk, 0), 0);
	kit_crash(&sk);
	ship_boot();
	sk.j->old->may_lack = true;
	ck_assert_int_eq(shipper_turn(sk.s), 0); /* full: is there more? */
	ck_assert_uint_eq(line.got->n_records, SHIP_MAX_RECORDS);
	ck_assert(!line.got->last);
	ck_assert(!line.got->may_lack);
	ck_assert_ptr_nonnull(sk.j->old);
	line.rc = ERR_UNAVAILABLE;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->n_records, 0);
	ck_assert_uint_eq(line.got->first_seq, SHIP_MAX_RECORDS + 1);
	ck_assert(line.got->last);
	ck_assert(line.got->may_lack);
	ck_assert_ptr_nonnull(sk.j->old);
	line.rc = 0;
	/* An answer that lacks the last record ends nothing. */
	line.mark = SHIP_MAX_RECORDS - 1;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_ptr_nonnull(sk.j->old);
	line.mark = SHIP_MAX_RECORDS;
	ck_assert_int_ge(shipper_turn(sk.s), -1);
	ck_assert_int_ge(shipper_turn(sk.s), -1);
	ck_assert_ptr_null(sk.j->old);
	ck_assert_uint_eq(kit_files(&sk, ".seg"), 1);
	ship_end();
}
END_TEST

/* ---- answers ------------------------------------------------------------- */

/* What the answer says is committed is not sent again, all else is. */
START_TEST(test_part_of_batch)
{
	struct ship_stats s;

	ship_begin();
	ship_boot();
	for (unsigned n = 1; n <= 10; n++)
		kit_request(&sk, 0, n, n);
	s = ship_now();
	ck_assert_uint_eq(s.unshipped, 10);
	ck_assert_int_eq(s.oldest_at, 0);
	ck_assert(!s.connected);
	line.mark = 4;
	line.next_seq = 1;
	ck_assert_int_eq(shipper_turn(sk.s), 50 + 37); /* slow down */
	s = ship_now();
	ck_assert_uint_eq(s.batches, 1);
	ck_assert_uint_eq(s.records, 4);
	ck_assert_uint_eq(s.unshipped, 6);
	ck_assert_uint_eq(s.errors, 1);
	line.mark = 0;
	line.next_seq = 5;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.got->n_records, 6);
	s = ship_now();
	ck_assert_uint_eq(s.batches, 2);
	ck_assert_uint_eq(s.records, 10);
	ck_assert_uint_eq(s.unshipped, 0);
	ck_assert_uint_eq(s.errors, 1);
	ck_assert(s.connected);
	ck_assert_int_eq(metric_sum(sk.metrics, AM_USAGE_SHIPPED), 10);
	/* An old answer takes nothing back. */
	kit_request(&sk, 0, 11, 11);
	line.next_seq = 11;
	line.mark = 3;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(ship_now().records, 10);
	ck_assert_uint_eq(ship_now().unshipped, 1);
	line.mark = 11;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	ck_assert_uint_eq(ship_now().records, 11);
	ck_assert_int_eq(metric_sum(sk.metrics, AM_USAGE_SHIPPED), 11);
	ship_end();
}
END_TEST

/* The oldest record that waits is known, from the first try until it is
 * acknowledged. */
START_TEST(test_oldest)
{
	ship_begin();
	ship_boot();
	kit_request(&sk, 0, 1, 1);
	kit_request(&sk, 0, 2, 2);
	line.rc = ERR_UNAVAILABLE;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_int_eq(ship_now().oldest_at, 1700000000 * NS_PER_S + 1);
	ck_assert(!ship_now().connected);
	line.rc = 0;
	line.mark = 1;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert(!ship_now().connected); /* it did not take all */
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_int_eq(ship_now().oldest_at, 1700000000 * NS_PER_S + 2);
	line.mark = 2;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert(ship_now().connected);
	ck_assert_int_eq(ship_now().oldest_at, 0);
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	line.mark = 0;
	kit_request(&sk, 0, 3, 3);
	ck_assert_int_eq(ship_now().oldest_at, 0); /* not tried yet */
	line.rc = ERR_UNAVAILABLE;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_int_eq(ship_now().oldest_at, 1700000000 * NS_PER_S + 3);
	ship_end();
}
END_TEST

/* Twice as long after each failure, within bounds; anew after a success; as
 * long as the control plane says, if that is less than a minute. */
START_TEST(test_back_off)
{
	static const int waits[] = {50, 100, 200, 400, 800, 1600, 2500, 2500};

	ship_begin();
	ship_boot();
	for (unsigned again = 0; again < 2; again++) {
		kit_request(&sk, 0, 1 + again, 1);
		line.rc = ERR_UNAVAILABLE;
		for (unsigned i = 0; i < 8; i++) {
			ck_assert_int_eq(shipper_turn(sk.s), waits[i] + 37);
			ck_assert_uint_eq(ship_now().errors, 8 * again + i + 1);
		}
		line.rc = 0;
		ck_assert_int_eq(shipper_turn(sk.s), 0);
		ck_assert_int_eq(shipper_turn(sk.s), -1);
	}
	kit_request(&sk, 0, 3, 1);
	line.rc = ERR_UNAVAILABLE;
	line.retry_ms = 86;
	ck_assert_int_eq(shipper_turn(sk.s), 87);
	line.retry_ms = 139;
	ck_assert_int_eq(shipper_turn(sk.s), 139);
	line.retry_ms = 59999;
	ck_assert_int_eq(shipper_turn(sk.s), 59999);
	line.retry_ms = 60000;
	ck_assert_int_eq(shipper_turn(sk.s), 437);
	ship_end();
}
END_TEST

/* A dead line is dead for all streams; an error of one stream is not. */
START_TEST(test_other_streams)
{
	static const int codes[] = {
	    ERR_CORRUPT, ERR_IO, ERR_NOT_FOUND, ERR_AGAIN};

	ship_begin();
	sk.n_shards = 2;
	ship_boot();
	kit_request(&sk, 0, 1, 1);
	kit_request(&sk, 1, 2, 2);
	line.rc = ERR_UNAVAILABLE;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.of_shard[0], 1);
	ck_assert_uint_eq(line.of_shard[1], 0);
	line.rc = 0;
	line.code = ERR_VERSION;
	ck_assert_int_gt(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(line.of_shard[0], 2);
	ck_assert_uint_eq(line.of_shard[1], 0);
	line.fail_shard = 0;
	for (unsigned i = 0; i < 4; i++) {
		line.code = codes[i];
		ck_assert_int_gt(shipper_turn(sk.s), 0);
		ck_assert_uint_eq(line.of_shard[0], 3 + i);
		ck_assert_uint_eq(line.of_shard[1], 1 + i);
		ck_assert_uint_eq(ship_now().unshipped, 1);
		kit_request(&sk, 1, 3 + i, 1);
	}
	line.code = 0;
	ck_assert_int_eq(shipper_turn(sk.s), 0);
	ck_assert_uint_eq(ship_now().unshipped, 0);
	ck_assert_int_eq(shipper_turn(sk.s), -1);
	ship_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/ship");

	UNIT_ADD(s, test_whole_record);
	UNIT_ADD(s, test_no_memory_for_batch);
	UNIT_ADD(s, test_no_memory_for_shipper);
	UNIT_ADD(s, test_batch_over_segments);
	UNIT_ADD(s, test_end_of_segment);
	UNIT_ADD(s, test_batch_bytes);
	UNIT_ADD(s, test_last);
	UNIT_ADD(s, test_last_twice);
	UNIT_ADD(s, test_part_of_batch);
	UNIT_ADD(s, test_oldest);
	UNIT_ADD(s, test_back_off);
	UNIT_ADD(s, test_other_streams);
	return unit_run(s);
}
