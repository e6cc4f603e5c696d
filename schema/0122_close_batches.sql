-- SPDX-License-Identifier: Apache-2.0
--
-- Periods are closed in small transactions, each of which takes its locks in
-- the order of (budget, period) like all who book usage: the end of a month of
-- many budgets neither keeps grants waiting nor meets ingest crosswise.
--
-- And: who writes a lease locks the row of the period that it writes, whatever
-- the caller locked (a bucket may have followed meanwhile). A calendar that
-- gets longer begins after the last closed period also while a later one is
-- still closing. Money is moved only between budgets that both still are.

-- Periods that ended skew_ns ago are closing. It waits for nobody: who has a
-- row does it, others pass.
CREATE FUNCTION hg_budget_end(now_ns bigint, skew_ns bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	WITH due AS (SELECT b.budget_uid, b.period_start FROM budget_period b
		WHERE b.state = 'open' AND b.period_end < now_ns - skew_ns
		ORDER BY 1, 2 LIMIT 10000 FOR UPDATE SKIP LOCKED)
	UPDATE budget_period b SET state = 'closing', updated_at = now()
		FROM due d WHERE b.budget_uid = d.budget_uid
		AND b.period_start = d.period_start;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;

-- Close up to `most` periods of those that are settled, or that ended wait_ns
-- ago. seen: how many were due; done, when fewer than most.
CREATE FUNCTION hg_budget_close_some(now_ns bigint, skew_ns bigint,
	wait_ns bigint, most bigint, OUT seen bigint, OUT closed bigint,
	OUT carried bigint)
LANGUAGE plpgsql AS $$
DECLARE
	x record;
	p budget_period;
BEGIN
	seen := 0;
	closed := 0;
	carried := 0;
	FOR x IN SELECT b.budget_uid, b.period_start, b.period_end
			< now_ns - e.after - wait_ns AS late
		FROM budget_period b
		LEFT JOIN config_item i ON i.kind = 9 AND i.uid = b.budget_uid
		CROSS JOIN LATERAL (SELECT skew_ns
			+ coalesce((i.spec->>'rolling_hours')::bigint, 0)
				* 3600000000000 AS after) e
		WHERE (b.state = 'closing' AND b.period_end < now_ns - e.after
				OR b.state = 'orphan'
				AND b.period_end < now_ns - e.after - wait_ns)
			AND (b.period_end < now_ns - e.after - wait_ns
			OR hg_period_settled(
				b.budget_uid, b.period_start, b.held))
		ORDER BY 1, 2 LIMIT most
	LOOP
		seen := seen + 1;
		SELECT * INTO p FROM budget_period b
			WHERE b.budget_uid = x.budget_uid
			AND b.period_start = x.period_start
			AND b.state IN ('closing', 'orphan')
			FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		CONTINUE WHEN NOT x.late AND NOT hg_period_settled(
			p.budget_uid, p.period_start, p.held);
		UPDATE budget_period b SET state = 'closed', closed_at = now(),
			updated_at = now()
			WHERE b.budget_uid = p.budget_uid
			AND b.period_start = p.period_start;
		carried := carried + hg_carry(p, now_ns);
		-- a bucket of a window every few minutes is no news
		INSERT INTO budget_event (budget_uid, period_start, kind,
			percent, limit_nano, spent_nano)
		SELECT p.budget_uid, p.period_start, 'closed', 0, p.limit_nano,
			p.settled
		WHERE EXISTS (SELECT 1 FROM config_item i WHERE i.kind = 9
			AND i.uid = p.budget_uid
			AND i.spec->>'period' <> 'rolling')
		ON CONFLICT DO NOTHING;
		closed := closed + 1;
	END LOOP;
END $$;

-- Of older replicas.
CREATE OR REPLACE FUNCTION hg_budget_close(now_ns bigint, skew_ns bigint,
	wait_ns bigint, OUT n_closing bigint, OUT n_closed bigint,
	OUT carried bigint)
LANGUAGE plpgsql AS $$
BEGIN
	n_closing := 0;
	SELECT s.closed, s.carried INTO n_closed, carried
		FROM hg_budget_close_some(now_ns, skew_ns, wait_ns, 100) s;
END $$;

-- As before, but of what ended only what is closed is looked at.
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
	WHERE b.budget_uid = i.uid AND b.period_end <= at_ns
		AND b.state = 'closed'
		AND q.period_start IS NULL AND i.spec->>'period' <> 'rolling'
	ORDER BY b.period_end DESC LIMIT 1) o
	ON o.period_start >= n.period_start
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

-- As before, with the row locked.
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
	PERFORM 1 FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = start_ns FOR UPDATE;
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
			AND state NOT IN ('closing', 'closed')));
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

-- As before, and 'gone' when one of the budgets was deleted meanwhile.
CREATE OR REPLACE FUNCTION hg_budget_transfer(from_ bigint, to_ bigint,
	amount_ bigint, now_ns bigint, author_ text, reason_ text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a budget_period;
	b budget_period;
BEGIN
	PERFORM 1 FROM config_item i WHERE i.kind = 9
		AND i.uid IN (from_, to_) AND i.spec->>'period' = 'unlimited';
	IF FOUND THEN
		RETURN 'period';
	END IF;
	-- always in the same order
	IF from_ < to_ THEN
		SELECT * INTO a FROM hg_budget_period(from_, now_ns);
		SELECT * INTO b FROM hg_budget_period(to_, now_ns);
	ELSE
		SELECT * INTO b FROM hg_budget_period(to_, now_ns);
		SELECT * INTO a FROM hg_budget_period(from_, now_ns);
	END IF;
	IF a.budget_uid IS NULL OR b.budget_uid IS NULL THEN
		RETURN 'gone';
	END IF;
	IF a.free < amount_ THEN
		RETURN 'short';
	END IF;
	INSERT INTO budget_adjustment (budget_uid, period_start, until_ns,
		amount, kind, other_uid, author, reason)
	SELECT i.uid, CASE WHEN w.span = 0 THEN CASE i.uid WHEN from_
			THEN a.period_start ELSE b.period_start END END,
		CASE WHEN w.span > 0 THEN now_ns + w.span END,
		CASE i.uid WHEN from_ THEN -amount_ ELSE amount_ END,
		'transfer', CASE i.uid WHEN from_ THEN to_ ELSE from_ END,
		author_, reason_
	FROM config_item i CROSS JOIN LATERAL (SELECT coalesce(
		(i.spec->>'rolling_hours')::bigint, 0) * 3600000000000
		AS span) w
	WHERE i.kind = 9 AND i.uid IN (from_, to_);
	PERFORM hg_budget_period(from_, now_ns);
	PERFORM hg_budget_period(to_, now_ns);
	RETURN 'ok';
END $$;
