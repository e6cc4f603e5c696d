/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows into the day partitions by COPY in binary format: the cheapest way
 * into PostgreSQL. Straight into the partition, which saves the routing.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "controlplane/store/usage_internal.h"

#define COPY_FIELDS 47
#define COPY_FIXED  (2 + COPY_FIELDS * 20) /* more than all fixed fields */
#define COPY_FLUSH  (256 << 10)
/* PostgreSQL counts microseconds from 2000-01-01. */
#define PG_EPOCH_US (INT64_C(946684800) * 1000000)

static const char copy_columns[] =
    "batch_id, seq, agent_id, boot_epoch, shard, kind, attempt, request_id, "
    "started_at, duration_us, first_byte_us, tenant_uid, team_uid, "
    "project_uid, key_uid, route_uid, deployment_uid, provider_uid, "
    "model_uid, config_version, price_version, cost, source, http_status, "
    "streamed, " USAGE_TOKEN_COLUMNS
    ", finish_reason, upstream_request_id, error_code, charges, tags, "
    "tier";

static inline uint8_t *
copy_16(uint8_t *p, int v)
{
	uint16_t be = htobe16((uint16_t)v);

	memcpy(p, &be, 2);
	return p + 2;
}

static inline uint8_t *
copy_32(uint8_t *p, int64_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	memcpy(p, &be, 4);
	return p + 4;
}

static inline uint8_t *
copy_64(uint8_t *p, int64_t v)
{
	uint64_t be = htobe64((uint64_t)v);

	memcpy(p, &be, 8);
	return p + 8;
}

/* Fields: a length, then the value. */
static inline uint8_t *
copy_int2(uint8_t *p, int v)
{
	return copy_16(copy_32(p, 2), v);
}

static inline uint8_t *
copy_int4(uint8_t *p, int64_t v)
{
	return copy_32(copy_32(p, 4), v);
}

static inline uint8_t *
copy_int8(uint8_t *p, int64_t v)
{
	return copy_64(copy_32(p, 8), v);
}

static inline uint8_t *
copy_bytes(uint8_t *p, const void *data, size_t n)
{
	p = copy_32(p, (int64_t)n);
	if (n > 0)
		memcpy(p, data, n);
	return p + n;
}

/* Empty texts are NULL. */
static inline uint8_t *
copy_text(uint8_t *p, struct str s)
{
	return s.len == 0 ? copy_32(p, -1) : copy_bytes(p, s.p, s.len);
}

static uint8_t *
copy_charges(uint8_t *p, const struct usage_entry *en)
{
	size_t n = en->n_charges * USAGE_CHARGE_INTS;

	if (n == 0)
		return copy_32(p, -1);
	p = copy_32(p, (int64_t)(20 + n * 12));
	p = copy_32(p, 1);  /* dimensions */
	p = copy_32(p, 0);  /* no NULLs */
	p = copy_32(p, 20); /* int8 */
	p = copy_32(p, (int64_t)n);
	p = copy_32(p, 1); /* lower bound */
	for (size_t i = 0; i < n; i++)
		p = copy_int8(p, en->charges[i]);
	return p;
}

static size_t
copy_size(const struct usage_entry *en)
{
	return COPY_FIXED + en->finish_reason.len +
	       en->upstream_request_id.len + en->error_code.len + en->tags.len +
	       en->tier.len + en->n_charges * USAGE_CHARGE_INTS * 12;
}

static int64_t
copy_time(int64_t ns)
{
	int64_t us = ns / 1000;

	if (ns % 1000 < 0)
		us--;
	return us - PG_EPOCH_US;
}

static uint8_t *
copy_row(uint8_t *p, int64_t batch_id, const struct usage_entry *en)
{
	uint8_t flag = en->streamed;

	p = copy_16(p, COPY_FIELDS);
	p = copy_int8(p, batch_id);
	p = copy_int8(p, en->seq);
	p = copy_bytes(p, en->agent_id, 16);
	p = copy_int8(p, en->boot_epoch);
	p = copy_int4(p, en->shard);
	p = copy_int2(p, en->kind);
	p = copy_int4(p, en->attempt);
	p = copy_bytes(p, en->request_id, 16);
	p = copy_int8(p, copy_time(en->started_at));
	p = copy_int8(p, en->duration_us);
	p = copy_int8(p, en->first_byte_us);
	for (int i = 0; i < U_COUNT; i++)
		p = copy_int8(p, en->uid[i]);
	p = copy_int8(p, en->config_version);
	p = copy_int8(p, en->price_version);
	p = copy_int8(p, en->cost);
	p = copy_int2(p, en->source);
	p = copy_int2(p, en->http_status);
	p = copy_bytes(p, &flag, 1);
	for (int i = 0; i < TC_COUNT; i++)
		p = en->tokens.n[i] == 0 ? copy_32(p, -1)
					 : copy_int8(p, en->tokens.n[i]);
	p = copy_text(p, en->finish_reason);
	p = copy_text(p, en->upstream_request_id);
	p = copy_text(p, en->error_code);
	p = copy_charges(p, en);
	p = copy_text(p, en->tags);
	return copy_text(p, en->tier);
}

static int
copy_rows(struct db *db, struct buf *b, int64_t batch_id, int64_t day,
    const struct usage_entry *entries, size_t n, struct error *e)
{
	static const char head[19] = "PGCOPY\n\377\r\n";
	int rc;

	buf_clear(b);
	rc = buf_add(b, head, sizeof(head));
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (entries[i].key[K_DAY] != day)
			continue;
		rc = buf_reserve(b, copy_size(&entries[i]));
		if (rc != 0)
			break;
		b->len = (size_t)(copy_row((uint8_t *)b->data + b->len,
				      batch_id, &entries[i]) -
				  (uint8_t *)b->data);
		if (b->len >= COPY_FLUSH) {
			rc = db_copy_data(db, b->data, b->len, e);
			if (rc != 0)
				return rc;
			buf_clear(b);
		}
	}
	if (rc == 0)
		rc = buf_add(b, "\xff\xff", 2);
	if (rc != 0)
		return err_set(e, rc, "no memory");
	return db_copy_data(db, b->data, b->len, e);
}

static int
copy_day(struct db *db, struct buf *b, int64_t batch_id, int64_t day,
    const struct usage_entry *entries, size_t n, struct error *e)
{
	char sql[1024], name[USAGE_PARTITION_NAME];
	int rc, rc2;

	usage_partition_name(day, name);
	snprintf(sql, sizeof(sql), "COPY %s (%s) FROM STDIN (FORMAT binary)",
	    name, copy_columns);
	rc = db_copy_begin(db, sql, e);
	if (rc != 0)
		return rc;
	rc = copy_rows(db, b, batch_id, day, entries, n, e);
	rc2 = db_copy_end(db, rc == 0, NULL, rc == 0 ? e : NULL);
	return rc != 0 ? rc : rc2;
}

int
usage_copy(struct db *db, int64_t batch_id, const struct usage_entry *entries,
    size_t n, struct error *e)
{
	int64_t day = 0, next;
	struct buf b;
	int rc = 0;

	buf_init(&b, 64 << 20);
	/* Days in ascending order; a batch rarely has more than one. */
	for (bool first = true; rc == 0; first = false) {
		next = INT64_MAX;
		for (size_t i = 0; i < n; i++)
			if ((first || entries[i].key[K_DAY] > day) &&
			    entries[i].key[K_DAY] < next)
				next = entries[i].key[K_DAY];
		if (next == INT64_MAX)
			break;
		day = next;
		rc = copy_day(db, &b, batch_id, day, entries, n, e);
	}
	buf_release(&b);
	return rc;
}
