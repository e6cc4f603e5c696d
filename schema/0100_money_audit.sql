-- SPDX-License-Identifier: Apache-2.0
--
-- Reconciliation: do usage rows, ledger and sums tell the same money, did
-- every record arrive, is the money of every budget conserved? Each run leaves
-- a row and its findings. The unit of work is a UTC day of usage; a run looks
-- at the days that got rows since the last one, at those that differed, and
-- at the one that was not looked at for longest.

CREATE TABLE money_audit (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	duration_ms bigint NOT NULL DEFAULT 0,
	actor text NOT NULL,		-- '' = the periodic job
	scope text NOT NULL CHECK (scope IN ('changed', 'full', 'range')),
	first_day date,
	last_day date,
	tenant_uid bigint NOT NULL DEFAULT 0, -- 0 = all
	mark bigint NOT NULL DEFAULT 0, -- all batches up to here were audited
	days integer NOT NULL DEFAULT 0,
	usage_rows bigint NOT NULL DEFAULT 0,
	-- of the days looked at
	usage_cost bigint NOT NULL DEFAULT 0,
	ledger_cost bigint NOT NULL DEFAULT 0,
	hourly_cost bigint NOT NULL DEFAULT 0,
	daily_cost bigint NOT NULL DEFAULT 0,
	-- in the whole store
	budget_periods bigint NOT NULL DEFAULT 0,
	leases bigint NOT NULL DEFAULT 0,
	doubtful bigint NOT NULL DEFAULT 0,	-- nano-USD
	held bigint NOT NULL DEFAULT 0,		-- nano-USD
	quarantined bigint NOT NULL DEFAULT 0,	-- records
	differences bigint NOT NULL DEFAULT 0,
	notices bigint NOT NULL DEFAULT 0
);

-- expected is what the more original side says, found what the other has.
CREATE TABLE money_finding (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id bigint NOT NULL REFERENCES money_audit ON DELETE CASCADE,
	kind text NOT NULL,
	notice boolean NOT NULL DEFAULT false, -- to know, not wrong
	day date,
	tenant_uid bigint,
	batch_id bigint,
	agent_id text,
	boot_epoch bigint,
	shard integer,
	seq bigint,
	request_id uuid,
	attempt integer,
	budget_uid bigint,
	period_start bigint,
	measure text NOT NULL DEFAULT 'cost',
	expected bigint NOT NULL,
	found bigint NOT NULL,
	detail text NOT NULL
);
CREATE INDEX money_finding_run ON money_finding (run_id, id);

-- What is known of each day of usage.
CREATE TABLE money_audit_day (
	day date PRIMARY KEY,
	audited_at timestamptz NOT NULL,
	differences bigint NOT NULL,
	usage_rows bigint NOT NULL,
	usage_cost bigint NOT NULL,
	dropped boolean NOT NULL DEFAULT false -- by retention; sums stay
);

-- What each day's usage charged to budgets, so that leases can be compared
-- with all days by reading one. early: booked before the lease existed, hence
-- on the period alone; unsure: less than a minute before, where the order of
-- the two transactions cannot be told. held: what its estimates held at
-- first; of it not corrected yet: uncorrected.
CREATE TABLE money_audit_charge (
	day date NOT NULL,
	budget_uid bigint NOT NULL,
	period_start bigint NOT NULL,
	agent_id text NOT NULL, -- '' = corrections
	boot_epoch bigint NOT NULL,
	cost bigint NOT NULL,
	held bigint NOT NULL,
	uncorrected bigint NOT NULL,
	early bigint NOT NULL,
	unsure bigint NOT NULL,
	PRIMARY KEY (day, budget_uid, period_start, agent_id, boot_epoch)
);

-- When a lease was made: what was booked before is not on it.
ALTER TABLE lease ADD COLUMN created_at timestamptz NOT NULL
	DEFAULT now();
ALTER TABLE lease ALTER COLUMN created_at SET DEFAULT clock_timestamp();

-- What a quarantined record charged to budgets all the same.
ALTER TABLE usage_quarantine
	ADD COLUMN cost bigint NOT NULL DEFAULT 0,
	ADD COLUMN held bigint NOT NULL DEFAULT 0,
	ADD COLUMN charges bigint[];

-- A record is in one batch only.
CREATE UNIQUE INDEX usage_batch_once
	ON usage_batch (agent_id, boot_epoch, shard, first_seq);
CREATE INDEX usage_batch_at ON usage_batch USING brin (at);
CREATE INDEX ledger_hour ON ledger USING brin (hour);
