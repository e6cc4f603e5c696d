-- SPDX-License-Identifier: Apache-2.0
-- Escrow leases. Money is nano-USD, instants are nanoseconds since 1970 UTC.
--
-- After every transaction, for each (budget, period):
--   limit_nano = free + sum over leases of (granted - returned - settled)
--                + settled
-- Who changes a lease or free holds the row lock of its budget_period.

CREATE TABLE budget_period (
	budget_uid bigint NOT NULL,
	period_start bigint NOT NULL,
	period_end bigint NOT NULL,
	limit_nano bigint NOT NULL,
	free bigint NOT NULL,		-- below 0: overspend or a lowered limit
	settled bigint NOT NULL DEFAULT 0,
	epoch bigint NOT NULL DEFAULT 1,
	state text NOT NULL DEFAULT 'open',
	config_version bigint NOT NULL,	-- of the item that limit_nano is from
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (budget_uid, period_start)
) WITH (fillfactor = 50);

CREATE TABLE lease (
	budget_uid bigint NOT NULL,
	period_start bigint NOT NULL,
	agent_id text NOT NULL,
	boot_epoch bigint NOT NULL,
	-- cumulative, never fall
	granted bigint NOT NULL DEFAULT 0,
	settled bigint NOT NULL DEFAULT 0,	-- from ingested usage only
	returned bigint NOT NULL DEFAULT 0,
	high_water bigint NOT NULL DEFAULT 0,
	-- superseded process: the rest waits for evidence
	doubtful boolean NOT NULL DEFAULT false,
	fence_at bigint NOT NULL DEFAULT 0,
	recall boolean NOT NULL DEFAULT false,
	-- the agent's last report
	r_settled bigint NOT NULL DEFAULT 0,
	r_in_use bigint NOT NULL DEFAULT 0,
	report_at bigint NOT NULL DEFAULT 0,
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (budget_uid, period_start, agent_id, boot_epoch),
	FOREIGN KEY (budget_uid, period_start) REFERENCES budget_period
) WITH (fillfactor = 50);
CREATE INDEX lease_by_agent ON lease (agent_id, boot_epoch);

CREATE FUNCTION hg_ns(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (extract(epoch FROM at) * 1000000000)::bigint $$;

CREATE FUNCTION hg_instant(ns bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT 'epoch'::timestamptz + (ns / 1000) * interval '1 microsecond' $$;

-- The calendar period of the zone that holds the instant; 'once' is one
-- period for ever that starts at 1 (0 means "the current one" on the wire).
CREATE FUNCTION hg_period(period text, zone text, at_ns bigint,
	OUT period_start bigint, OUT period_end bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	step interval;
	first timestamp;
BEGIN
	IF period = 'once' THEN
		period_start := 1;
		period_end := 9223372036854775807;
		RETURN;
	END IF;
	step := CASE period WHEN 'quarter' THEN interval '3 months'
		ELSE ('1 ' || period)::interval END;
	first := date_trunc(period, hg_instant(at_ns) AT TIME ZONE zone);
	period_start := hg_ns(first AT TIME ZONE zone);
	period_end := hg_ns((first + step) AT TIME ZONE zone);
END $$;

-- The budget's period at the instant, from its configuration item; creates
-- the row, follows a changed limit, and leaves the row locked. No row when
-- the budget does not exist.
CREATE FUNCTION hg_budget_period(uid_ bigint, at_ns bigint)
RETURNS SETOF budget_period LANGUAGE plpgsql AS $$
DECLARE
	item record;
	bounds record;
	r budget_period;
	new_limit bigint;
BEGIN
	SELECT spec::text::jsonb AS spec, version INTO item
		FROM config_item WHERE kind = 9 AND uid = uid_;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	new_limit := ((item.spec->>'limit_usd')::numeric * 1000000000)::bigint;
	SELECT * INTO bounds FROM hg_period(item.spec->>'period',
		coalesce(item.spec->>'time_zone', 'UTC'), at_ns);
	SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = bounds.period_start FOR UPDATE;
	IF NOT FOUND THEN
		INSERT INTO budget_period (budget_uid, period_start, period_end,
			limit_nano, free, config_version)
		VALUES (uid_, bounds.period_start, bounds.period_end,
			new_limit, new_limit, item.version)
		ON CONFLICT DO NOTHING;
		SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = bounds.period_start FOR UPDATE;
	END IF;
	IF r.config_version < item.version THEN
		UPDATE budget_period b SET free = free + new_limit - limit_nano,
			limit_nano = new_limit, config_version = item.version,
			period_end = bounds.period_end, updated_at = now()
		WHERE b.budget_uid = uid_
			AND b.period_start = bounds.period_start
		RETURNING * INTO r;
	END IF;
	RETURN NEXT r;
END $$;

-- Book the cost of ingested usage on a budget (see store_lease_charge).
-- start_ns 0: the period that holds last_at. What exceeds the lease's rights
-- comes out of free. False when the budget was never known.
CREATE FUNCTION hg_charge(uid_ bigint, start_ns bigint, agent text,
	boot bigint, cost bigint, last_at bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	p budget_period;
	l lease;
	over bigint;
BEGIN
	IF start_ns <> 0 THEN
		SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = start_ns FOR UPDATE;
	END IF;
	IF p.budget_uid IS NULL THEN
		SELECT * INTO p FROM hg_budget_period(uid_,
			CASE WHEN start_ns > 1 THEN start_ns ELSE last_at END);
	END IF;
	IF p.budget_uid IS NULL OR (start_ns <> 0 AND p.period_start <> start_ns)
	THEN
		IF start_ns = 0 THEN
			RETURN false;
		END IF;
		INSERT INTO budget_period (budget_uid, period_start, period_end,
			limit_nano, free, state, config_version)
		VALUES (uid_, start_ns, start_ns, 0, 0, 'orphan', 0)
		ON CONFLICT DO NOTHING;
		SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = start_ns FOR UPDATE;
	END IF;
	SELECT * INTO l FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = p.period_start AND x.agent_id = agent
		AND x.boot_epoch = boot;
	IF NOT FOUND THEN
		UPDATE budget_period b SET settled = settled + cost,
			free = free - cost, updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = p.period_start;
		RETURN true;
	END IF;
	-- over < 0 cannot be: rights that remain stay with the lease
	over := greatest(0, l.settled + cost - (l.granted - l.returned));
	UPDATE lease x SET settled = x.settled + cost,
		granted = x.granted + over, updated_at = now()
	WHERE x.budget_uid = uid_ AND x.period_start = p.period_start
		AND x.agent_id = agent AND x.boot_epoch = boot;
	UPDATE budget_period b SET settled = settled + cost,
		free = free - over, updated_at = now()
	WHERE b.budget_uid = uid_ AND b.period_start = p.period_start;
	RETURN true;
END $$;

-- Write what was decided about one lease. The caller holds the row lock of
-- the budget_period. False, and nothing done, when free is too small.
CREATE FUNCTION hg_lease_write(uid_ bigint, start_ns bigint, agent text,
	boot bigint, grant_ bigint, returned_ bigint, high_water_ bigint,
	r_settled_ bigint, r_in_use_ bigint, report_at_ bigint,
	fence_at_ bigint, recall_ boolean, recall_others boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	l lease;
	back bigint;
BEGIN
	SELECT * INTO l FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = start_ns AND x.agent_id = agent
		AND x.boot_epoch = boot;
	-- nobody gives back more than it holds
	back := greatest(0, least(returned_, coalesce(l.granted, 0)
		- coalesce(l.settled, 0)) - coalesce(l.returned, 0));
	UPDATE budget_period b SET free = free - grant_ + back,
		updated_at = now()
	WHERE b.budget_uid = uid_ AND b.period_start = start_ns
		AND (grant_ = 0 OR free + back >= grant_);
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO lease AS x (budget_uid, period_start, agent_id, boot_epoch,
		granted, returned, high_water, r_settled, r_in_use, report_at,
		fence_at, recall)
	VALUES (uid_, start_ns, agent, boot, grant_, 0, high_water_,
		r_settled_, r_in_use_, report_at_, fence_at_, recall_)
	ON CONFLICT (budget_uid, period_start, agent_id, boot_epoch)
	DO UPDATE SET granted = x.granted + grant_,
		returned = x.returned + back,
		high_water = greatest(x.high_water, high_water_),
		r_settled = greatest(x.r_settled, r_settled_),
		r_in_use = r_in_use_,
		report_at = greatest(x.report_at, report_at_),
		fence_at = greatest(x.fence_at, fence_at_),
		recall = recall_, updated_at = now();
	IF recall_others THEN
		UPDATE lease x SET recall = true
		WHERE x.budget_uid = uid_ AND x.period_start = start_ns
			AND NOT (x.agent_id = agent AND x.boot_epoch = boot)
			AND NOT x.doubtful AND NOT x.recall
			AND x.granted - x.returned
				- greatest(x.settled, x.r_settled) > x.r_in_use;
	END IF;
	RETURN true;
END $$;

-- Is the journal of this boot epoch here completely?
CREATE FUNCTION hg_epoch_complete(agent text, boot bigint)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN coalesce(b.n, 0) > 0 THEN w.closed >= b.n
		ELSE w.shards > 0 AND w.closed = w.shards END
	FROM (SELECT count(*) AS shards,
			count(*) FILTER (WHERE closed) AS closed
		FROM usage_watermark
		WHERE agent_id = agent::uuid AND boot_epoch = boot) w
	LEFT JOIN (SELECT n_shards AS n FROM agent_boot
		WHERE agent_id = agent AND boot_epoch = boot) b ON true
$$;

-- Free what is left of the leases of complete epochs below `boot`: their
-- journal proves that it was not spent.
CREATE FUNCTION hg_release(agent text, boot bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	l record;
	rest bigint;
	total bigint := 0;
BEGIN
	FOR l IN SELECT x.budget_uid, x.period_start, x.boot_epoch FROM lease x
		WHERE x.agent_id = agent AND x.boot_epoch < boot
			AND (x.doubtful OR x.granted > x.settled + x.returned)
			AND hg_epoch_complete(agent, x.boot_epoch)
		ORDER BY 1, 2, 3
	LOOP
		PERFORM 1 FROM budget_period b
			WHERE b.budget_uid = l.budget_uid
			AND b.period_start = l.period_start FOR UPDATE;
		SELECT greatest(0, x.granted - x.settled - x.returned)
			INTO rest FROM lease x
			WHERE x.budget_uid = l.budget_uid
			AND x.period_start = l.period_start
			AND x.agent_id = agent AND x.boot_epoch = l.boot_epoch;
		UPDATE lease x SET returned = x.returned + rest,
			doubtful = false, updated_at = now()
			WHERE x.budget_uid = l.budget_uid
			AND x.period_start = l.period_start
			AND x.agent_id = agent AND x.boot_epoch = l.boot_epoch;
		UPDATE budget_period b SET free = free + rest,
			updated_at = now()
			WHERE b.budget_uid = l.budget_uid
			AND b.period_start = l.period_start;
		total := total + rest;
	END LOOP;
	RETURN total;
END $$;
