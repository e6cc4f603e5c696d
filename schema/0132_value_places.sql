-- SPDX-License-Identifier: Apache-2.0
--
-- Places of values. A budget for each value has max_values places. A cell takes
-- one when its value is new, and gives it up (retired_at) when it was not used
-- for long, so that those who left do not keep those who come out:
--
--   n of budget_each = its cells that are not retired <= max_values as of the
--   last one that took a place
--   a retired cell has no rights anywhere and is granted none; so, since who
--   spent or holds something in the current period or window does not retire,
--   at most max_values values spend in any period
--
-- A retired cell stays what it is: its uid, periods, adjustments and all that
-- is kept by them. When its value comes back it takes a place again, if one is
-- free, and goes on from there. What was spent before and is booked late is
-- booked as ever.
--
-- Who changes places holds the row lock of budget_each. Who retires a cell
-- holds the row of its value and of all its periods that are not closed; who
-- makes one of those holds that of the value, too. He passes what is locked.

ALTER TABLE budget_value
	-- when it took its place, for who has not used it yet
	ADD COLUMN taken_at timestamptz NOT NULL DEFAULT now(),
	ADD COLUMN retired_at timestamptz;
CREATE INDEX budget_value_places ON budget_value (budget_uid, taken_at)
	WHERE retired_at IS NULL;
CREATE INDEX budget_value_retired ON budget_value (cell_uid)
	WHERE retired_at IS NOT NULL;

-- When its cells were looked at last, wall ns.
ALTER TABLE budget_each ADD COLUMN swept_ns bigint NOT NULL DEFAULT 0;

CREATE FUNCTION hg_value_retired(cell_ bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT 1 FROM budget_value v
		WHERE v.cell_uid = cell_ AND v.retired_at IS NOT NULL)
$$;

-- From here to the end of the transaction nobody else changes its places.
CREATE FUNCTION hg_each_lock(of_ bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO budget_each (budget_uid) VALUES (of_)
		ON CONFLICT DO NOTHING;
	PERFORM 1 FROM budget_each e WHERE e.budget_uid = of_ FOR UPDATE;
END $$;

-- Take a place, under hg_each_lock(). False: there is none, said once a day by
-- an event.
CREATE FUNCTION hg_each_take(of_ bigint, spec json, lim_ bigint, now_ns bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	UPDATE budget_each e SET n = e.n + 1 WHERE e.budget_uid = of_
		AND e.n < coalesce((spec->>'max_values')::bigint, 10000);
	IF FOUND THEN
		RETURN true;
	END IF;
	INSERT INTO budget_event (budget_uid, period_start, kind, percent,
		limit_nano, spent_nano)
	VALUES (of_, now_ns - now_ns % 86400000000000, 'values', 100, lim_, 0)
	ON CONFLICT DO NOTHING;
	RETURN false;
END $$;

-- A cell takes a place again, if it is retired. why: as of hg_budget_value().
CREATE FUNCTION hg_value_place(cell_ bigint, least_ bigint, now_ns bigint,
	OUT why text, OUT lim bigint, OUT ends bigint)
LANGUAGE plpgsql AS $$
DECLARE
	of_ bigint;
	spec json;
BEGIN
	why := 'ok';
	SELECT v.budget_uid INTO of_ FROM budget_value v
		WHERE v.cell_uid = cell_ AND v.retired_at IS NOT NULL;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	SELECT d.spec, c.whole, c.period_end INTO spec, lim, ends
		FROM budget_def d
		CROSS JOIN LATERAL hg_budget_now(d.uid, now_ns) c
		WHERE d.uid = cell_;
	IF NOT FOUND THEN
		why := 'gone';
		RETURN;
	END IF;
	IF least_ > lim THEN
		why := 'short';
		RETURN;
	END IF;
	PERFORM hg_each_lock(of_);
	IF NOT hg_value_retired(cell_) THEN
		RETURN; -- somebody was faster
	END IF;
	IF NOT hg_each_take(of_, spec, lim, now_ns) THEN
		why := 'full';
		RETURN;
	END IF;
	UPDATE budget_value v SET retired_at = NULL,
		taken_at = hg_instant(now_ns) WHERE v.cell_uid = cell_;
END $$;

-- As before, with the cell's place.
CREATE OR REPLACE FUNCTION hg_budget_value(of_ bigint, value_ text,
	least_ bigint, now_ns bigint, OUT cell bigint, OUT why text,
	OUT lim bigint, OUT ends bigint)
LANGUAGE plpgsql AS $$
DECLARE
	item record;
	retired boolean;
BEGIN
	why := 'ok';
	FOR try IN 1..2 LOOP
		SELECT v.cell_uid, v.retired_at IS NOT NULL INTO cell, retired
			FROM budget_value v
			WHERE v.budget_uid = of_ AND v.value = value_;
		IF NOT FOUND THEN
			NULL;
		ELSIF NOT retired THEN
			RETURN;
		ELSE
			SELECT p.why, p.lim, p.ends INTO why, lim, ends
				FROM hg_value_place(cell, least_, now_ns) p;
			IF why <> 'ok' THEN
				cell := NULL;
			END IF;
			RETURN;
		END IF;
		EXIT WHEN try = 2; -- nobody was faster
		SELECT i.name, i.spec INTO item FROM config_item i
			WHERE i.kind = 9 AND i.uid = of_
			AND i.spec->>'each' IS NOT NULL;
		IF NOT FOUND THEN
			why := 'gone';
			RETURN;
		END IF;
		SELECT w.lim, w.period_end INTO lim, ends
			FROM hg_window(0, item.spec, now_ns) w;
		IF least_ > lim THEN
			why := 'short';
			RETURN;
		END IF;
		PERFORM hg_each_lock(of_);
	END LOOP;
	IF NOT hg_each_take(of_, item.spec, lim, now_ns) THEN
		why := 'full';
		RETURN;
	END IF;
	cell := nextval('item_uid_seq');
	INSERT INTO budget_value (cell_uid, budget_uid, value, taken_at)
		VALUES (cell, of_, value_, hg_instant(now_ns));
	INSERT INTO item_name (uid, kind, name)
		VALUES (cell, 9, item.name || '[' || value_ || ']');
END $$;

-- When money of the cell was moved last: granted, given back or booked. NULL:
-- never, or what is known of it is no longer kept.
CREATE FUNCTION hg_value_used(cell_ bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
	SELECT greatest((SELECT max(x.updated_at) FROM lease x
			WHERE x.budget_uid = cell_ AND x.granted > 0),
		(SELECT max(least(p.updated_at, hg_instant(p.period_end)))
			FROM budget_period p WHERE p.budget_uid = cell_
			AND (p.settled <> 0 OR p.held <> 0)))
$$;

-- Nothing was spent in the period or window now, nothing is held or out in any,
-- and nothing was moved since the instant. The newest periods say no at once of
-- who is about.
CREATE FUNCTION hg_value_idle(cell_ bigint, now_ns bigint, span_ bigint,
	since timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN EXISTS (SELECT 1 FROM budget_period p
			WHERE p.budget_uid = cell_ AND p.settled <> 0
			AND p.period_end > now_ns - span_) THEN false
		ELSE NOT EXISTS (SELECT 1 FROM budget_period p
			WHERE p.budget_uid = cell_ AND p.held <> 0)
		AND NOT EXISTS (SELECT 1 FROM lease x
			WHERE x.budget_uid = cell_ AND (x.doubtful
				OR x.granted <> x.settled + x.returned
				OR ((x.r_settled > x.settled OR x.r_in_use > 0)
				AND NOT hg_epoch_complete(
					x.agent_id, x.boot_epoch))))
		AND coalesce(hg_value_used(cell_) < since, true)
	END
$$;

-- Retire cells of one budget, of which none was looked at within the hour, that
-- were not used for idle_ns: a thousand at most, and the same budget again when
-- there may be more. budget: NULL when there is none to look at. What is once,
-- or without an end, is spent for ever: such values stay.
CREATE FUNCTION hg_values_retire(now_ns bigint, idle_ns bigint,
	OUT budget bigint, OUT retired bigint)
LANGUAGE plpgsql AS $$
DECLARE
	since timestamptz := hg_instant(now_ns - idle_ns);
	span bigint;
	cells bigint[];
	more boolean;
BEGIN
	retired := 0;
	SELECT e.budget_uid, coalesce((i.spec->>'rolling_hours')::bigint, 0)
			* 3600000000000 INTO budget, span
		FROM budget_each e
		JOIN config_item i ON i.kind = 9 AND i.uid = e.budget_uid
			AND i.spec->>'each' IS NOT NULL
			AND i.spec->>'period' NOT IN ('once', 'unlimited')
		WHERE e.swept_ns < now_ns - 3600000000000
		ORDER BY e.swept_ns LIMIT 1 FOR UPDATE OF e SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	cells := ARRAY(SELECT v.cell_uid FROM budget_value v
		WHERE v.budget_uid = budget AND v.retired_at IS NULL
			AND v.taken_at < since
			AND hg_value_idle(v.cell_uid, now_ns, span, since)
		ORDER BY 1 LIMIT 1000 FOR UPDATE OF v SKIP LOCKED);
	more := cardinality(cells) = 1000;
	-- Those whose periods are in use just now are not among them.
	WITH p AS MATERIALIZED (SELECT b.budget_uid FROM budget_period b
		WHERE b.budget_uid = ANY (cells) AND b.state <> 'closed'
		ORDER BY b.budget_uid, b.period_start FOR UPDATE SKIP LOCKED),
	had AS (SELECT p.budget_uid, count(*) AS n FROM p GROUP BY 1),
	all_ AS (SELECT b.budget_uid, count(*) AS n FROM budget_period b
		WHERE b.budget_uid = ANY (cells) AND b.state <> 'closed'
		GROUP BY 1)
	SELECT array_agg(c) INTO cells FROM unnest(cells) c
		LEFT JOIN had ON had.budget_uid = c
		LEFT JOIN all_ ON all_.budget_uid = c
		WHERE had.n IS NOT DISTINCT FROM all_.n;
	-- From here on nothing of them changes, but what is given back.
	UPDATE budget_value v SET retired_at = hg_instant(now_ns)
		WHERE v.cell_uid = ANY (cells)
		AND hg_value_idle(v.cell_uid, now_ns, span, since);
	GET DIAGNOSTICS retired = ROW_COUNT;
	UPDATE budget_each e SET n = e.n - retired, swept_ns = CASE
		WHEN more AND retired > 0 THEN e.swept_ns ELSE now_ns END
		WHERE e.budget_uid = budget;
END $$;

-- As before; no grant for a cell without a place, and no period of a cell is
-- made while it retires. Events are of those that have one.
DO $$
DECLARE
	fix text[];
	was text;
BEGIN
	FOREACH fix SLICE 1 IN ARRAY ARRAY[
		['hg_lease_write(bigint,bigint,text,bigint,bigint,bigint,'
		|| 'bigint,bigint,bigint,bigint,bigint,boolean,boolean)',
		'AND state NOT IN (''closing'', ''closed'')',
		'AND NOT hg_value_retired(uid_) '],
		['hg_lease_write_some(text,bigint,bigint,bigint[],bigint[],'
		|| 'bigint[],bigint[],bigint[],bigint[],bigint[],bigint[],'
		|| 'bigint[],bigint[],bigint[],bigint[],bigint[])',
		'AND b.config_version = k.version',
		'AND NOT hg_value_retired(k.uid) '],
		['hg_budget_period(bigint,bigint)',
		'INSERT INTO budget_period (budget_uid',
		'PERFORM 1 FROM budget_value v WHERE v.cell_uid = uid_
			FOR SHARE;
		'],
		['hg_budget_events(bigint)', 'AND EXISTS (SELECT 1 FROM '
		|| 'budget_period p', 'AND v.retired_at IS NULL ']]
	LOOP
		was := pg_get_functiondef(fix[1]::regprocedure);
		IF position(fix[2] IN was) = 0 THEN
			RAISE EXCEPTION '% is not what it was', fix[1];
		END IF;
		EXECUTE replace(was, fix[2], fix[3] || fix[2]);
	END LOOP;
END $$;
