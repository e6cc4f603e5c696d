/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Day partitions of usage. A partition is made as a plain table and attached,
 * which does not block readers and writers of the others.
 */
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "controlplane/store/store_internal.h"
#include "controlplane/store/usage_internal.h"

/* "2026-07-08", with sep "-". */
static void
usage_date(int64_t day, const char *sep, char dst[48])
{
	time_t t = (time_t)(day * 86400);
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(dst, 48, "%04d%s%02d%s%02d", tm.tm_year + 1900, sep,
	    tm.tm_mon + 1, sep, tm.tm_mday);
}

void
usage_partition_name(int64_t day, char dst[USAGE_PARTITION_NAME])
{
	char date[48];

	usage_date(day, "", date);
	snprintf(dst, USAGE_PARTITION_NAME, "usage_%s", date);
}

/* Days seen to exist: a direct-mapped cache in the pool. */
static _Atomic int64_t *
usage_day_slot(struct store *s, int64_t day)
{
	return &s->days[(uint64_t)day % STORE_DAY_SLOTS];
}

static int
usage_make_day(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt exists = {
	    "SELECT to_regclass($1) IS NOT NULL"};
	int64_t day = *(const int64_t *)ctx;
	char name[USAGE_PARTITION_NAME], from[48], to[48], sql[640];
	struct db_rows *r = NULL;
	bool found;
	int rc;

	usage_partition_name(day, name);
	usage_date(day, "-", from);
	usage_date(day + 1, "-", to);
	rc = db_lock(db, STORE_LOCK_PARTITION, e);
	if (rc == 0)
		rc = db_query_one(db, &exists, DB_ARGS(DBZ(name)), &r, e);
	if (rc != 0)
		return rc;
	found = db_bool(r, 0, 0);
	db_rows_free(r);
	if (found)
		return 0;
	snprintf(sql, sizeof(sql),
	    "CREATE TABLE %s (LIKE usage INCLUDING ALL); "
	    "ALTER TABLE usage ATTACH PARTITION %s FOR VALUES "
	    "FROM ('%s 00:00+00') TO ('%s 00:00+00')",
	    name, name, from, to);
	return db_script(db, sql, e);
}

int
usage_make_days(struct store *s, const int64_t *days, size_t n, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		int64_t day = days[i];

		/* Slot value day + 1, so that 0 is empty. */
		if (*usage_day_slot(s, day) == day + 1)
			continue;
		rc = store_tx(s, 0, usage_make_day, &day, e);
		if (rc == 0)
			*usage_day_slot(s, day) = day + 1;
	}
	return rc;
}

int
store_usage_maintain(struct store *s, int64_t wall_now, struct error *e)
{
	int64_t today = usage_day(wall_now);
	const int64_t days[] = {
	    today - 1, today, today + 1, today + 2, today + 3};

	return usage_make_days(s, days, sizeof(days) / sizeof(*days), e);
}
