-- SPDX-License-Identifier: Apache-2.0
--
-- As before; a bucket of a rolling window that became longer begins behind the
-- closed ones that lie in it, too. It had begun with one of them, where nothing
-- is granted, until the next bucket. A row without a length (usage of a period
-- that nobody knew) is no period to begin behind.
CREATE OR REPLACE FUNCTION hg_budget_now(uid_ bigint, at_ns bigint)
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
LEFT JOIN LATERAL (SELECT w.* FROM hg_window(i.uid, i.spec, at_ns) w
	WHERE q.period_start IS NULL OFFSET 0) n ON true
LEFT JOIN LATERAL (SELECT b.period_start, b.period_end
	FROM budget_period b
	WHERE b.budget_uid = i.uid AND b.period_end > n.period_start
		AND b.period_end <= at_ns AND b.state = 'closed'
		AND q.period_start IS NULL
		AND b.period_start >= n.period_start
		AND b.period_start < b.period_end
	ORDER BY b.period_end DESC LIMIT 1) o
	ON true
CROSS JOIN LATERAL (SELECT coalesce(q.period_start,
			greatest(n.period_start, o.period_end))
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
