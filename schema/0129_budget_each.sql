-- SPDX-License-Identifier: Apache-2.0
--
-- Budgets for each value ("each user may spend 5 USD a month"): every value
-- that was seen is a cell, a budget of its own with the definition of its
-- parent. A cell has a uid like an item, and all that is kept by budget (the
-- periods, leases, charges, adjustments, events, corrections, decisions) is
-- kept by that uid. What is defined once stays so: budget_def gives a cell the
-- definition of the item as it is now, so that a commit holds for all cells
-- from its next look on.
--
-- A pair (budget, value) has one cell for ever, and the item itself has no
-- periods: it is not in budget_def. Cells are never more than max_values.

CREATE TABLE budget_value (
	cell_uid bigint PRIMARY KEY,
	budget_uid bigint NOT NULL,
	value text COLLATE "C" NOT NULL,	-- '' = requests without one
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (budget_uid, value)
);

-- How many cells there are. Who makes one holds the row lock.
CREATE TABLE budget_each (
	budget_uid bigint PRIMARY KEY,
	n bigint NOT NULL DEFAULT 0
);

CREATE VIEW budget_def AS
	SELECT i.uid, i.kind, i.version, i.spec, i.uid AS item_uid
	FROM config_item i
	WHERE i.kind = 9 AND i.spec->>'each' IS NULL
	UNION ALL
	SELECT v.cell_uid, i.kind, i.version, i.spec, i.uid
	FROM budget_value v
	JOIN config_item i ON i.uid = v.budget_uid AND i.kind = 9;

-- As before, with the definitions of budget_def in place of the items.
DO $$
DECLARE
	f text;
	was text;
BEGIN
	FOREACH f IN ARRAY ARRAY['hg_budget_now', 'hg_carry', 'hg_doubt_timer',
		'hg_audit_limits', 'hg_budget_increase', 'hg_budget_transfer']
	LOOP
		was := pg_get_functiondef(f::regproc);
		IF position('config_item' IN was) = 0 THEN
			RAISE EXCEPTION '% reads no items', f;
		END IF;
		EXECUTE replace(was, 'config_item', 'budget_def');
	END LOOP;
	-- That a period was closed is an event of budgets, not of each value.
	was := pg_get_functiondef('hg_budget_close_some'::regproc);
	IF position('LEFT JOIN config_item i' IN was) = 0 THEN
		RAISE EXCEPTION 'hg_budget_close_some joins no items';
	END IF;
	EXECUTE replace(was, 'LEFT JOIN config_item i', 'LEFT JOIN budget_def i');
END $$;

ALTER TABLE budget_event
	DROP CONSTRAINT budget_event_kind_check,
	ADD CONSTRAINT budget_event_kind_check CHECK (kind IN ('threshold',
		'forecast', 'closed', 'carry', 'values'));

-- The cell of a value, made when it is new. why: 'ok'; 'gone': no budget for
-- each value has this uid; 'full': it has max_values already, said once a day
-- by an event; 'short': the value is new and its whole limit is less than the
-- least amount that somebody waits for, so that nothing is kept for it.
CREATE FUNCTION hg_budget_value(of_ bigint, value_ text, least_ bigint,
	now_ns bigint, OUT cell bigint, OUT why text, OUT lim bigint,
	OUT ends bigint)
LANGUAGE plpgsql AS $$
DECLARE
	item record;
	had bigint;
	most bigint;
BEGIN
	why := 'ok';
	SELECT v.cell_uid INTO cell FROM budget_value v
		WHERE v.budget_uid = of_ AND v.value = value_;
	IF FOUND THEN
		RETURN;
	END IF;
	SELECT i.name, i.spec INTO item FROM config_item i WHERE i.kind = 9
		AND i.uid = of_ AND i.spec->>'each' IS NOT NULL;
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
	INSERT INTO budget_each (budget_uid) VALUES (of_)
		ON CONFLICT DO NOTHING;
	SELECT e.n INTO had FROM budget_each e WHERE e.budget_uid = of_
		FOR UPDATE;
	-- Somebody may have been faster.
	SELECT v.cell_uid INTO cell FROM budget_value v
		WHERE v.budget_uid = of_ AND v.value = value_;
	IF FOUND THEN
		RETURN;
	END IF;
	most := coalesce((item.spec->>'max_values')::bigint, 10000);
	IF had >= most THEN
		why := 'full';
		INSERT INTO budget_event (budget_uid, period_start, kind,
			percent, limit_nano, spent_nano)
		VALUES (of_, now_ns - now_ns % 86400000000000, 'values', 100,
			lim, 0) ON CONFLICT DO NOTHING;
		RETURN;
	END IF;
	cell := nextval('item_uid_seq');
	UPDATE budget_each e SET n = had + 1 WHERE e.budget_uid = of_;
	INSERT INTO budget_value (cell_uid, budget_uid, value)
		VALUES (cell, of_, value_);
	INSERT INTO item_name (uid, kind, name)
		VALUES (cell, 9, item.name || '[' || value_ || ']');
END $$;

-- As before, and of cells: those that were used within the hour, since there
-- may be many. What was spent in a rolling window is noticed also while its
-- newest bucket has no row yet: nobody asks for rights when the last usage of
-- the bucket before is booked.
CREATE OR REPLACE FUNCTION hg_budget_events(now_ns bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	WITH i AS MATERIALIZED (SELECT c.uid, c.spec FROM config_item c
		WHERE c.kind = 9 AND c.spec->>'each' IS NULL
			AND (c.spec->'thresholds' IS NOT NULL
				OR c.spec->>'forecast' = 'true')
		UNION ALL
		SELECT v.cell_uid, c.spec FROM config_item c
		JOIN budget_value v ON v.budget_uid = c.uid
		WHERE c.kind = 9 AND c.spec->>'each' IS NOT NULL
			AND (c.spec->'thresholds' IS NOT NULL
				OR c.spec->>'forecast' = 'true')
			AND EXISTS (SELECT 1 FROM budget_period p
				WHERE p.budget_uid = v.cell_uid
				AND p.state = 'open' AND p.updated_at
					> now() - interval '1 hour')),
	b AS (SELECT i.uid, i.spec, c.period_start, c.whole, c.span,
			coalesce(p.settled, 0) + c.past_settled AS spent,
			CASE WHEN c.span = 0 AND c.period_start > 1
				AND c.period_end < 9223372036854775807
				AND (now_ns - c.period_start)::numeric * 10
				>= (c.period_end - c.period_start)::numeric
			THEN least(9223372036854775807,
				(coalesce(p.settled, 0)::numeric
				* (c.period_end - c.period_start)
				/ (now_ns - c.period_start)))::bigint
			END AS forecast
		FROM i CROSS JOIN LATERAL hg_budget_now(i.uid, now_ns) c
		LEFT JOIN budget_period p ON p.budget_uid = i.uid
			AND p.period_start = c.period_start
		WHERE c.whole > 0),
	due AS (SELECT b.uid, b.period_start, 'threshold' AS kind,
			t.percent::integer AS percent, b.whole, b.spent,
			NULL::bigint AS forecast, b.span
		FROM b, json_array_elements_text(b.spec->'thresholds')
			AS t(percent)
		WHERE b.spent::numeric * 100
			>= b.whole::numeric * t.percent::integer
		UNION ALL
		SELECT b.uid, b.period_start, 'forecast', 100, b.whole,
			b.spent, b.forecast, b.span
		FROM b WHERE b.spec->>'forecast' = 'true'
			AND b.forecast > b.whole)
	INSERT INTO budget_event (budget_uid, period_start, kind, percent,
		limit_nano, spent_nano, forecast_nano)
	SELECT d.uid, d.period_start, d.kind, d.percent, d.whole, d.spent,
		d.forecast
	FROM due d WHERE NOT EXISTS (SELECT 1 FROM budget_event e
		WHERE e.budget_uid = d.uid AND e.kind = d.kind
		AND e.percent = d.percent
		AND (e.period_start = d.period_start
			OR e.period_start > d.period_start - d.span))
	ORDER BY d.uid, d.percent
	ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;
