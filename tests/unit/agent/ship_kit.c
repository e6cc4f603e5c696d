/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/agent/ship_kit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/oom.h"

struct kit sk;
struct ship_line line;

static void
line_clear(void)
{
	if (line.got != NULL)
		hg__usage_batch__free_unpacked(line.got, NULL);
	memset(&line, 0, sizeof(line));
	line.fail_shard = -1;
}

int
ship_line_send(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	size_t n = hg__usage_batch__get_packed_size(b);
	uint8_t *p;

	(void)ctx;
	oom_pause(true);
	p = malloc(n + 1);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(hg__usage_batch__pack(b, p), n);
	if (line.got != NULL)
		hg__usage_batch__free_unpacked(line.got, NULL);
	line.got = hg__usage_batch__unpack(NULL, n, p);
	ck_assert_ptr_nonnull(line.got);
	free(p);
	line.n++;
	line.of_shard[b->shard % 4]++;
	if (line.next_seq != 0)
		ck_assert_uint_eq(b->first_seq, line.next_seq);
	for (size_t i = 0; i < b->n_records; i++)
		ck_assert_uint_eq(b->records[i]->seq, b->first_seq + i);
	oom_pause(false);
	ack->boot_epoch = b->boot_epoch;
	ack->shard = b->shard;
	ack->retry_ms = line.retry_ms;
	if (line.fail_shard >= 0 && (uint32_t)line.fail_shard != b->shard) {
		ack->watermark = b->first_seq + b->n_records - 1;
		return 0;
	}
	ack->error_code = line.code;
	ack->watermark =
	    line.mark != 0 ? line.mark : b->first_seq + b->n_records - 1;
	return line.rc;
}

/* A number that leaves 37 in every back-off. */
static void
fill_37(struct rng *r, void *dst, size_t n)
{
	const uint64_t v = UINT64_C(80000) * 100000000000000 + 37;

	(void)r;
	memcpy(dst, &v, n < sizeof(v) ? n : sizeof(v));
}

void
ship_connect(void)
{
	static struct rng rng = {fill_37};
	const struct ship_link link = {ship_line_send, NULL};
	struct error e;

	shipper_free(sk.s);
	sk.s = NULL;
	ck_assert_int_eq(shipper_new(sk.j, &link, &rng, &sk.s, &e), 0);
}

void
ship_boot(void)
{
	ck_assert_int_eq(kit_boot(&sk), 0);
	ship_connect();
}

void
ship_begin(void)
{
	kit_open_counted(&sk);
	line_clear();
}

void
ship_end(void)
{
	kit_close(&sk);
	line_clear();
}

struct ship_stats
ship_now(void)
{
	struct ship_stats s;

	shipper_stats(sk.s, &s);
	return s;
}
