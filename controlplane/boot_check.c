/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sub-command check: do rows, ledger and sums tell the same money, and is the
 * money of every budget conserved?
 */
#include <stdio.h>

#include "controlplane/boot.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_usage.h"

int
boot_check_books(struct store *s, struct error *e)
{
	struct usage_check c = {0};
	int64_t leases = 0;
	struct db *db = NULL;
	int rc;

	rc = store_take(s, &db, e);
	if (rc == 0)
		rc = db_begin_snapshot(db, e);
	if (rc == 0)
		rc = db_script(db, "SET LOCAL statement_timeout = 0", e);
	if (rc == 0)
		rc = store_usage_check(db, &c, e);
	if (rc == 0)
		rc = store_lease_check(db, &leases, e);
	store_give(db);
	if (rc != 0)
		return rc;
	printf("usage_rows=%lld ledger_rows=%lld quarantined=%lld "
	       "duplicates=%lld\nusage_nanousd=%lld ledger_nanousd=%lld "
	       "hourly_nanousd=%lld daily_nanousd=%lld\n"
	       "tenants_wrong=%lld budget_periods_wrong=%lld\n",
	    (long long)c.usage_rows, (long long)c.ledger_rows,
	    (long long)c.quarantined, (long long)c.duplicates,
	    (long long)c.usage_cost, (long long)c.ledger_debit,
	    (long long)c.hourly_cost, (long long)c.daily_cost,
	    (long long)c.tenants_wrong, (long long)leases);
	if (c.tenants_wrong != 0 || c.duplicates != 0 || leases != 0)
		return err_set(e, ERR_CORRUPT, "the books do not agree");
	return 0;
}
