/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ingest and corrections share: one booked row (struct usage_entry), the
 * day partitions, the COPY of rows, and the sums kept beside them.
 */
#ifndef CONTROLPLANE_STORE_USAGE_INTERNAL_H
#define CONTROLPLANE_STORE_USAGE_INTERNAL_H

#include "common/arena.h"
#include "controlplane/store/store_usage.h"

#define USAGE_MAX_COST \
	(INT64_C(1000000) * 1000000000) /* of a record: 1e6 USD */

/* Columns t_... of usage and the rollups, in the order of token classes. */
#define USAGE_TOKEN_COLUMNS                                            \
	"t_input, t_cache_read, t_cache_write_5m, t_cache_write_1h, "  \
	"t_output, t_reasoning, t_audio_in, t_audio_out, t_image_in, " \
	"t_image_out, t_web_search, t_audio_seconds, t_characters, "   \
	"t_images, t_search_units, t_audio_cache_read"
_Static_assert(TC_COUNT == 16, "a token class needs its columns");

/* Order of struct usage_entry.uid and of the columns of usage. */
enum usage_uid {
	U_TENANT,
	U_TEAM,
	U_PROJECT,
	U_KEY,
	U_ROUTE,
	U_DEPLOYMENT,
	U_PROVIDER,
	U_MODEL,
	U_COUNT
};

/* Sort key of the sums: equal prefixes are one row of a rollup. */
enum usage_key {
	K_DAY, /* days since 1970 */
	K_TENANT,
	K_TEAM,
	K_PROJECT,
	K_KEY,
	K_MODEL,
	K_ROUTE,
	K_DEPLOYMENT, /* ... to here: usage_daily */
	K_HOUR,	      /* hours since 1970; to here: usage_hourly */
	K_PROVIDER,
	K_PRICE, /* to here: ledger */
	K_COUNT
};

#define USAGE_CHARGE_INTS 4 /* budget, period_start, reserved, boot_epoch */

/* One row of usage to be written. */
struct usage_entry {
	int64_t key[K_COUNT];
	int64_t uid[U_COUNT];
	int64_t seq, boot_epoch;
	int64_t started_at; /* ns */
	int64_t duration_us, first_byte_us;
	int64_t config_version, price_version;
	struct tokens tokens; /* a difference in corrections */
	int64_t cost;
	int64_t held;	   /* proto/held.h; negative: a correction lets go */
	int64_t booked_at; /* then: when the estimate was booked, ns */
	int32_t shard, attempt;
	int16_t kind, source, http_status;
	bool streamed;
	uint8_t agent_id[16], request_id[16];
	struct str finish_reason, upstream_request_id, error_code, tags, tier;
	const int64_t *charges; /* USAGE_CHARGE_INTS each */
	size_t n_charges;
};

/* Fill e->key from the rest. */
void usage_entry_key(struct usage_entry *e);
int64_t usage_day(int64_t ns); /* days since 1970, rounded down */

/* ---- usage_record.c ---- */

/* Why the record cannot be right; NULL = fine. */
const char *usage_record_reject(const Hg__UsageRecord *r, int64_t now);
/* Is what a rejected record says of money believable? Then it is charged. */
bool usage_record_charges(const Hg__UsageRecord *r);
/* What it holds beside its cost, nano-USD, 0 to USAGE_MAX_COST; the cost is
 * not negative. */
int64_t usage_record_held(const Hg__UsageRecord *r);
/* Fill *en from an accepted record; texts are cleaned (UTF-8, length) into
 * the arena. */
int usage_record_entry(const Hg__UsageRecord *r, const uint8_t agent_id[16],
    const Hg__UsageBatch *b, struct arena *a, struct usage_entry *en,
    struct error *e) MUST_CHECK;

/* ---- usage_values.c ---- */

struct each;
struct value_ask;
/* The cells that a batch's charges of soft budgets for each value mean. */
struct usage_values {
	struct arena arena;
	struct each *each; /* the budgets */
	size_t n_each;
	struct value_ask *asks; /* (budget, value), sorted, with answers */
	size_t n;
};
/* Own transactions, before that of the batch: the cells of the records that
 * will be booked, made for new values. Nothing is asked when no charge may be
 * one of them. usage_values_free() in any case. */
int usage_values_find(struct usage_values *v, struct store *s,
    const Hg__UsageBatch *b, int64_t now, struct error *e) MUST_CHECK;
/* en is the record's: its charges get the cells, or lose those of values that
 * the budget has no place for. */
void usage_values_apply(const struct usage_values *v, const Hg__UsageRecord *r,
    struct usage_entry *en);
void usage_values_free(struct usage_values *v);

/* ---- usage_partition.c ---- */

/* Make the partitions of these days (may repeat) that do not exist. */
int usage_make_days(
    struct store *s, const int64_t *days, size_t n, struct error *e) MUST_CHECK;
/* "usage_20260708" */
#define USAGE_PARTITION_NAME 64
void usage_partition_name(int64_t day, char dst[USAGE_PARTITION_NAME]);

/* ---- usage_copy.c ---- */

/* COPY the rows into their days' partitions. */
int usage_copy(struct db *db, int64_t batch_id,
    const struct usage_entry *entries, size_t n, struct error *e) MUST_CHECK;

/* ---- usage_sums.c ---- */

/* Ledger rows, hourly and daily sums of the rows; memory from the arena. */
int usage_sums(struct db *db, int64_t batch_id,
    const struct usage_entry *entries, size_t n, struct arena *a,
    struct error *e) MUST_CHECK;
/* Book the costs on the budgets that reserved. correction: the differences go
 * to the period alone. */
int usage_charge(struct db *db, struct str agent_id, bool correction,
    const struct usage_entry *entries, size_t n, struct arena *a,
    struct error *e) MUST_CHECK;

/* ---- usage_price.c ---- */

/* What a model's spec (JSON) says that an answer of this tier and input costs
 * at `at` (ns): price_at(). */
int usage_price(struct str spec, int64_t at, struct str tier, int64_t input,
    struct price *ret, struct error *e) MUST_CHECK;

#endif
