-- SPDX-License-Identifier: Apache-2.0
-- Windows of budgets: calendar periods with an anchor, a window of so many
-- hours that rolls on, once with a beginning and an end, and no limit at all;
-- and what is added to the limit of a period or taken from it.
--
-- In every row of budget_period since then:
--   limit_nano = base_nano + adjust_nano - past_nano
-- base: what the configuration says; adjust: see budget_adjustment; past: of
-- rolling windows, what the earlier buckets of the window have granted.

ALTER TABLE budget_period
	ADD COLUMN base_nano bigint NOT NULL DEFAULT 0,
	ADD COLUMN adjust_nano bigint NOT NULL DEFAULT 0,
	ADD COLUMN past_nano bigint NOT NULL DEFAULT 0;
UPDATE budget_period SET base_nano = limit_nano;
CREATE INDEX budget_period_by_end ON budget_period (budget_uid, period_end);

-- Changes of the limit of one period (transfer, carry) or, with period_start
-- NULL, of every period until an instant (increase). Rows are never changed.
CREATE TABLE budget_adjustment (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	budget_uid bigint NOT NULL,
	period_start bigint,
	until_ns bigint,		-- first instant without it
	amount bigint NOT NULL,
	kind text NOT NULL CHECK (kind IN ('increase', 'transfer', 'carry')),
	other_uid bigint,		-- transfer: the other budget
	author text NOT NULL,
	reason text NOT NULL
);
CREATE INDEX budget_adjustment_by_budget
	ON budget_adjustment (budget_uid, period_start);

-- Beginning of the k-th period (any whole number) of a calendar in a zone.
CREATE FUNCTION hg_boundary(period text, zone text, k integer, day_ integer,
	month_ integer, tod interval)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	first date;
	n integer;
BEGIN
	IF period = 'day' THEN
		first := date '1970-01-01' + k;
	ELSIF period = 'week' THEN
		first := date '1970-01-05' + 7 * k + day_ - 1;
	ELSE
		n := CASE period WHEN 'month' THEN 1 WHEN 'quarter' THEN 3
			ELSE 12 END;
		first := (date '1970-01-01' + make_interval(
			months => k * n + month_ - 1))::date;
		first := first - 1 + least(day_, extract(day FROM first
			+ interval '1 month' - interval '1 day')::integer);
	END IF;
	RETURN hg_ns((first + tod) AT TIME ZONE zone);
END $$;

-- The period of a calendar that holds the instant. day_: ISO day of a week, or
-- day of a month (its last one when it is shorter); month_: of the year, in
-- which a year or a quarter begins; tod: time of day. Instants are compared,
-- not local times, so a clock that is set back makes no difference.
CREATE FUNCTION hg_calendar(period text, zone text, day_ integer,
	month_ integer, tod interval, at_ns bigint,
	OUT period_start bigint, OUT period_end bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	here date;
	k integer;
BEGIN
	here := (hg_instant(at_ns) AT TIME ZONE zone)::date;
	IF period = 'day' THEN
		k := here - date '1970-01-01';
	ELSIF period = 'week' THEN
		k := floor((here - date '1970-01-05') / 7.0);
	ELSE
		k := (extract(year FROM here) - 1970) * 12
			+ extract(month FROM here) - month_;
		k := floor(k / CASE period WHEN 'month' THEN 1.0
			WHEN 'quarter' THEN 3.0 WHEN 'year' THEN 12.0 END);
		IF k IS NULL THEN
			RAISE invalid_parameter_value
				USING MESSAGE = 'unknown period ' || period;
		END IF;
	END IF;
	period_start := hg_boundary(period, zone, k, day_, month_, tod);
	WHILE period_start > at_ns LOOP
		k := k - 1;
		period_start :=
			hg_boundary(period, zone, k, day_, month_, tod);
	END LOOP;
	LOOP
		period_end :=
			hg_boundary(period, zone, k + 1, day_, month_, tod);
		EXIT WHEN period_end > at_ns;
		period_start := period_end;
		k := k + 1;
	END LOOP;
END $$;

-- Without anchors; 'once' is one period for ever that starts at 1 (0 means
-- "the current one" on the wire).
CREATE OR REPLACE FUNCTION hg_period(period text, zone text, at_ns bigint,
	OUT period_start bigint, OUT period_end bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF period = 'once' THEN
		period_start := 1;
		period_end := 9223372036854775807;
	ELSE
		SELECT c.period_start, c.period_end
			INTO period_start, period_end
			FROM hg_calendar(period, zone, 1, 1, interval '0',
				at_ns) c;
	END IF;
END $$;

-- The window of a budget's configuration that holds the instant. lim: its
-- limit by the configuration. span: length of a rolling window, else 0.
--
-- A rolling window of N hours is kept in buckets of N/24 hours. What was
-- granted in a bucket counts until N hours after its end, so that the limit
-- holds for every window of N hours; money comes back up to N/24 hours late.
-- A bucket in which somebody was already is not gone back behind: grants are
-- made in the newest one only (clocks of replicas may differ).
--
-- Outside of its beginning and end the limit of a 'once' is 0.
CREATE FUNCTION hg_window(uid_ bigint, spec json, at_ns bigint,
	OUT period_start bigint, OUT period_end bigint, OUT lim bigint,
	OUT span bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	period text := spec->>'period';
	width bigint;
	newest bigint;
	from_ns bigint := coalesce(hg_ns((spec->>'from')::timestamptz), 1);
	to_ns bigint := coalesce(hg_ns((spec->>'to')::timestamptz),
		9223372036854775807);
BEGIN
	span := 0;
	lim := coalesce((spec->>'limit_usd')::numeric * 1000000000, 0)::bigint;
	IF period = 'once' OR period = 'unlimited' THEN
		period_start := from_ns;
		period_end := to_ns;
		IF at_ns < from_ns THEN
			period_start := 1;
			period_end := from_ns;
			lim := 0;
		ELSIF at_ns >= to_ns THEN
			period_start := to_ns;
			period_end := 9223372036854775807;
			lim := 0;
		END IF;
	ELSIF period = 'rolling' THEN
		width := (spec->>'rolling_hours')::bigint * 150000000000;
		span := 24 * width;
		SELECT b.period_start INTO newest FROM budget_period b
			WHERE b.budget_uid = uid_ AND b.state = 'open'
			AND b.period_start < at_ns + width
			ORDER BY b.period_start DESC LIMIT 1;
		period_start := greatest(at_ns, newest);
		period_start := period_start - period_start % width;
		period_end := period_start + width;
	ELSE
		SELECT c.period_start, c.period_end
			INTO period_start, period_end
			FROM hg_calendar(period,
				coalesce(spec->>'time_zone', 'UTC'),
				coalesce((spec->>'anchor_day')::integer, 1),
				coalesce((spec->>'anchor_month')::integer, 1),
				coalesce((spec->>'anchor_time')::interval,
					interval '0'), at_ns) c;
	END IF;
END $$;

-- A budget as it is at the instant; no row when it does not exist. lim is what
-- limit_nano of its period should be, whole what people call the limit. past:
-- of the earlier buckets of a rolling window.
CREATE FUNCTION hg_budget_now(uid_ bigint, at_ns bigint)
RETURNS TABLE (version bigint, soft boolean, period_start bigint,
	period_end bigint, span bigint, lim bigint, whole bigint, base bigint,
	adjust bigint, past bigint, past_settled bigint, past_held bigint)
LANGUAGE sql STABLE AS $$
SELECT i.version, coalesce(i.spec->>'mode', 'hard') = 'soft'
		OR i.spec->>'period' = 'unlimited',
	c.period_start, c.period_end, c.span,
	c.lim + a.amount - coalesce(w.past, 0), c.lim + a.amount, c.lim,
	a.amount, coalesce(w.past, 0), coalesce(w.settled, 0),
	coalesce(w.held, 0)
FROM config_item i
LEFT JOIN LATERAL (SELECT b.period_start, b.period_end, b.base_nano,
		b.config_version
	FROM budget_period b
	WHERE b.budget_uid = i.uid AND b.period_start <= at_ns
	ORDER BY b.period_start DESC LIMIT 1) q
	ON q.period_end > at_ns AND q.config_version = i.version
	AND i.spec->>'period' <> 'rolling'
LEFT JOIN LATERAL hg_window(i.uid, i.spec, at_ns) n
	ON q.period_start IS NULL
CROSS JOIN LATERAL (SELECT coalesce(q.period_start, n.period_start)
		AS period_start, coalesce(q.period_end, n.period_end)
		AS period_end, coalesce(q.base_nano, n.lim) AS lim,
		coalesce(n.span, 0) AS span) c
CROSS JOIN LATERAL (SELECT coalesce(sum(x.amount), 0)::bigint AS amount
	FROM budget_adjustment x WHERE x.budget_uid = i.uid
	AND (x.period_start IS NULL OR x.period_start = c.period_start)
	AND (x.until_ns IS NULL OR x.until_ns > at_ns)) a
LEFT JOIN LATERAL (SELECT sum(x.limit_nano - x.free)::bigint AS past,
		sum(x.settled)::bigint AS settled, sum(x.held)::bigint AS held
	FROM budget_period x WHERE x.budget_uid = i.uid
	AND x.period_end > c.period_start - c.span
	AND x.period_start < c.period_end
	AND x.period_start <> c.period_start) w ON c.span > 0
WHERE i.kind = 9 AND i.uid = uid_
$$;

-- The budget's period at the instant; creates the row, follows a changed
-- limit, and leaves the row locked. No row when the budget does not exist.
CREATE OR REPLACE FUNCTION hg_budget_period(uid_ bigint, at_ns bigint)
RETURNS SETOF budget_period LANGUAGE plpgsql AS $$
DECLARE
	n record;
	r budget_period;
BEGIN
	SELECT * INTO n FROM hg_budget_now(uid_, at_ns);
	IF NOT FOUND THEN
		RETURN;
	END IF;
	SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = n.period_start FOR UPDATE;
	IF NOT FOUND THEN
		IF n.span > 0 THEN
			-- Nothing is granted in the buckets before this one
			-- from here on; who was about to is waited for.
			PERFORM 1 FROM budget_period b
				WHERE b.budget_uid = uid_ AND b.state = 'open'
				AND b.period_start < n.period_end
				ORDER BY b.period_start FOR UPDATE;
			UPDATE budget_period b SET state = 'closed',
				period_end = least(b.period_end, n.period_end)
			WHERE b.budget_uid = uid_ AND b.state = 'open'
				AND (b.period_start < n.period_start
				OR (b.period_start < n.period_end
					AND b.config_version < n.version));
			SELECT * INTO n FROM hg_budget_now(uid_, at_ns);
		END IF;
		INSERT INTO budget_period (budget_uid, period_start, period_end,
			limit_nano, free, config_version, base_nano,
			adjust_nano, past_nano)
		VALUES (uid_, n.period_start, n.period_end, n.lim, n.lim,
			n.version, n.base, n.adjust, n.past)
		ON CONFLICT DO NOTHING;
		SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = n.period_start FOR UPDATE;
	END IF;
	IF r.config_version < n.version OR r.limit_nano <> n.lim THEN
		-- with the row locked, what is added to the limit is too
		SELECT * INTO n FROM hg_budget_now(uid_, at_ns);
		UPDATE budget_period b SET free = free + n.lim - limit_nano,
			limit_nano = n.lim, config_version = n.version,
			period_end = n.period_end, base_nano = n.base,
			adjust_nano = n.adjust, past_nano = n.past,
			state = CASE state WHEN 'closed' THEN 'open'
				ELSE state END,
			updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = n.period_start
			AND b.period_start = r.period_start
			AND b.config_version <= n.version;
		SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = r.period_start;
	END IF;
	RETURN NEXT r;
END $$;

-- As before, and no grant in a closed bucket.
CREATE OR REPLACE FUNCTION hg_lease_write(uid_ bigint, start_ns bigint,
	agent text, boot bigint, grant_ bigint, returned_ bigint,
	high_water_ bigint, r_settled_ bigint, r_in_use_ bigint,
	report_at_ bigint, fence_at_ bigint, recall_ boolean,
	recall_others boolean)
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
		AND (grant_ = 0 OR (free + back >= grant_
			AND state <> 'closed'));
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
