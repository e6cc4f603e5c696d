-- SPDX-License-Identifier: Apache-2.0
-- What is to be known about budgets: a threshold of the limit was reached, or
-- will be by the end of the period at the rate so far. Once for a budget,
-- period, kind and percentage; of a rolling window, once within its length.

CREATE TABLE budget_event (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	budget_uid bigint NOT NULL,
	period_start bigint NOT NULL,
	kind text NOT NULL CHECK (kind IN ('threshold', 'forecast')),
	percent integer NOT NULL,
	limit_nano bigint NOT NULL,
	spent_nano bigint NOT NULL,
	forecast_nano bigint,		-- by the end of the period
	UNIQUE (budget_uid, period_start, kind, percent)
);

-- Raise what is due; returns how many. A forecast wants a tenth of the period
-- behind it. Can be run by several at once.
CREATE FUNCTION hg_budget_events(now_ns bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	WITH b AS (SELECT i.uid, i.spec, c.period_start, c.whole, c.span,
			p.settled + c.past_settled AS spent,
			CASE WHEN c.span = 0 AND c.period_start > 1
				AND c.period_end < 9223372036854775807
				AND (now_ns - c.period_start)::numeric * 10
				>= (c.period_end - c.period_start)::numeric
			THEN least(9223372036854775807,
				(p.settled::numeric
				* (c.period_end - c.period_start)
				/ (now_ns - c.period_start)))::bigint
			END AS forecast
		FROM config_item i
		CROSS JOIN LATERAL hg_budget_now(i.uid, now_ns) c
		JOIN budget_period p ON p.budget_uid = i.uid
			AND p.period_start = c.period_start
		WHERE i.kind = 9 AND c.whole > 0
			AND (i.spec->'thresholds' IS NOT NULL
				OR i.spec->>'forecast' = 'true')),
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
