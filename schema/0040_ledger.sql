-- SPDX-License-Identifier: Apache-2.0
--
-- The ledger: double entry, append-only. A row moves `amount` from the
-- provider's account (credit provider:UID) to the tenant's (debit
-- usage:UID); both sides stand in one row, so it balances by construction.
-- Corrections are new rows with a negative amount. Rows are aggregated per
-- batch and hour.

CREATE TABLE ledger (
	batch_id bigint NOT NULL, -- usage_batch
	ord integer NOT NULL,	   -- within the batch
	hour timestamptz NOT NULL, -- when the usage happened
	kind smallint NOT NULL,	   -- 0 usage, 1 correction
	tenant_uid bigint NOT NULL,
	project_uid bigint NOT NULL,
	key_uid bigint NOT NULL,
	route_uid bigint NOT NULL,
	deployment_uid bigint NOT NULL,
	provider_uid bigint NOT NULL,
	model_uid bigint NOT NULL,
	price_version bigint NOT NULL,
	records integer NOT NULL,
	amount bigint NOT NULL,
	PRIMARY KEY (batch_id, ord)
);
CREATE INDEX ledger_tenant ON ledger (tenant_uid, hour);
CREATE TRIGGER ledger_append_only
	BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
	FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- The same as postings to accounts, debit positive; sums to zero.
CREATE VIEW ledger_posting AS
	SELECT batch_id, ord, hour, kind, 'usage:' || tenant_uid AS account,
		amount
	FROM ledger
	UNION ALL
	SELECT batch_id, ord, hour, kind, 'provider:' || provider_uid, -amount
	FROM ledger;
