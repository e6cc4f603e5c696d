-- SPDX-License-Identifier: Apache-2.0
--
-- What the reconciliation says about periods that close, carried money and
-- effective limits; and retention of closed periods.

-- Notices about the promise of a limit, as it is effective: the configured one
-- with its adjustments, for a rolling window over all of its buckets, of a
-- bounded budget with what it may be exceeded by. A provider that billed more
-- than was reserved, corrections and lowered limits can break it; all else
-- cannot.
CREATE FUNCTION hg_audit_limits(run bigint, prefix text) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO money_finding (run_id, kind, notice, budget_uid,
		period_start, expected, found, detail)
	SELECT run, 'limit_exceeded', true, p.budget_uid, p.period_start,
		x.may, x.spent, format('budget %s, %s from %s: spent and held '
			'%s, its limit is %s, adjusted by %s%s',
			hg_name(p.budget_uid), CASE WHEN i.span > 0 THEN
			'window to the period' ELSE 'period' END,
			hg_instant(p.period_start), x.spent, p.base_nano,
			p.adjust_nano, CASE WHEN i.over > 0 THEN
			', and may be exceeded by ' || i.over ELSE '' END)
	FROM (SELECT c.uid, coalesce((c.spec->>'rolling_hours')::bigint, 0)
			* 3600000000000 AS span,
			coalesce((c.spec->>'overspend_usd')::numeric
				* 1000000000, 0)::bigint AS over
		FROM config_item c WHERE c.kind = 9
		AND coalesce(c.spec->>'mode', 'hard') <> 'soft'
		AND c.spec->>'period' <> 'unlimited') i
	JOIN budget_period p ON p.budget_uid = i.uid AND p.state <> 'orphan'
	CROSS JOIN LATERAL (SELECT p.base_nano + p.adjust_nano + i.over AS may,
		p.settled + p.held + coalesce((SELECT sum(o.settled + o.held)
			FROM budget_period o WHERE i.span > 0
			AND o.budget_uid = i.uid
			AND o.period_start < p.period_start
			AND o.period_end > p.period_start - i.span), 0)::bigint
			AS spent) x
	WHERE x.spent > x.may AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 4, 5 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, notice, budget_uid,
		period_start, expected, found, detail)
	SELECT run, 'bounded_released', true, p.budget_uid, p.period_start,
		i.over, x.released, format('bounded budget %s, period from %s: '
			'%s of doubtful rights were released by time, now it '
			'may be exceeded by %s only', hg_name(p.budget_uid),
			hg_instant(p.period_start), x.released, i.over)
	FROM (SELECT c.uid, coalesce((c.spec->>'rolling_hours')::bigint, 0)
			* 3600000000000 AS span,
			((c.spec->>'overspend_usd')::numeric
				* 1000000000)::bigint AS over
		FROM config_item c WHERE c.kind = 9
		AND c.spec->>'mode' = 'bounded') i
	JOIN budget_period p ON p.budget_uid = i.uid
	CROSS JOIN LATERAL (SELECT sum(o.doubt_released)::bigint AS released
		FROM budget_period o WHERE o.budget_uid = i.uid
		AND o.period_start <= p.period_start
		AND (o.period_start = p.period_start
			OR o.period_end > p.period_start - i.span)) x
	WHERE x.released > i.over
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 4, 5 LIMIT 200;
$$;

-- As before; what came for a closed period counts where it was booked.
CREATE OR REPLACE FUNCTION hg_audit_budgets(run bigint, ten bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	prefix text := CASE WHEN ten = 0 THEN '' ELSE hg_name(ten) || '.' END;
BEGIN
	CREATE TEMP TABLE IF NOT EXISTS audit_booked (
		budget_uid bigint, period_start bigint, agent_id text,
		boot_epoch bigint, cost bigint, held bigint,
		uncorrected bigint, early bigint,
		unsure bigint)
		ON COMMIT DROP;
	TRUNCATE audit_booked;
	INSERT INTO audit_booked
	SELECT budget_uid, period_start, agent_id, boot_epoch,
		sum(cost), sum(held), sum(uncorrected), sum(early), sum(unsure)
	FROM (
		SELECT budget_uid, period_start, agent_id, boot_epoch, cost,
			held, uncorrected, early, unsure FROM money_audit_charge
		UNION ALL
		SELECT q.charges[i], hg_audit_period(q.charges[i],
				q.charges[i + 1], q.at), q.agent_id::text,
			q.charges[i + 3], q.cost, q.held, q.held, 0, 0
		FROM usage_quarantine q CROSS JOIN LATERAL generate_series(1,
			coalesce(array_length(q.charges, 1), 0), 4) i
		UNION ALL -- what came too late for its period
		SELECT budget_uid, from_period, agent_id, boot_epoch, -cost,
			-held, 0, 0, 0 FROM budget_correction
		UNION ALL
		SELECT budget_uid, to_period, '', 0, cost, 0, 0, 0, 0
			FROM budget_correction
	) c WHERE period_start IS NOT NULL AND NOT EXISTS (
		SELECT 1 FROM budget_pruned g
		WHERE g.budget_uid = c.budget_uid
			AND g.until_start >= c.period_start)
	GROUP BY 1, 2, 3, 4;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_conservation', p.budget_uid, p.period_start,
		p.limit_nano, p.free + x.live + p.settled + p.held,
		format('budget %s, period from %s: limit %s is not free %s + '
			'on leases %s + spent %s + held %s',
			hg_name(p.budget_uid), hg_instant(p.period_start),
			p.limit_nano, p.free, x.live, p.settled, p.held)
	FROM budget_period p CROSS JOIN LATERAL (
		SELECT coalesce(sum(granted - returned - settled), 0)::bigint
			AS live FROM lease l
		WHERE l.budget_uid = p.budget_uid
			AND l.period_start = p.period_start) x
	WHERE p.limit_nano <> p.free + x.live + p.settled + p.held
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		agent_id, boot_epoch, expected, found, detail)
	SELECT run, 'lease_bounds', budget_uid, period_start, agent_id,
		boot_epoch, granted, settled + returned,
		format('lease of agent %s, epoch %s on budget %s: granted %s, '
			'spent %s, returned %s', agent_id, boot_epoch,
			hg_name(budget_uid), granted, settled, returned)
	FROM lease WHERE (granted < 0 OR returned < 0 OR settled < 0
			OR settled + returned > granted)
		AND starts_with(hg_name(budget_uid), prefix)
	ORDER BY 3, 4, 5, 6 LIMIT 200;

	-- spent on the lease = charges of its usage; what was booked before
	-- the lease existed is on the period alone
	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		agent_id, boot_epoch, expected, found, detail)
	SELECT run, 'lease_usage', l.budget_uid, l.period_start, l.agent_id,
		l.boot_epoch, coalesce(b.cost + b.held - b.early, 0)
			+ l.written_off,
		l.settled, format('lease of agent %s, epoch %s on budget %s, '
			'period from %s: spent %s, but its usage cost %s, '
			'holds %s (%s of both before the lease was made), and '
			'%s was booked by decision', l.agent_id, l.boot_epoch,
			hg_name(l.budget_uid), hg_instant(l.period_start),
			l.settled, coalesce(b.cost, 0), coalesce(b.held, 0),
			coalesce(b.early, 0), l.written_off)
	FROM lease l LEFT JOIN audit_booked b ON b.budget_uid = l.budget_uid
		AND b.period_start = l.period_start
		AND b.agent_id = l.agent_id AND b.boot_epoch = l.boot_epoch
	WHERE (l.settled - l.written_off
			> coalesce(b.cost + b.held - b.early, 0)
		OR l.settled - l.written_off
			< coalesce(b.cost + b.held - b.early - b.unsure, 0))
		AND starts_with(hg_name(l.budget_uid), prefix)
	ORDER BY 3, 4, 5, 6 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_usage', budget_uid, period_start,
		coalesce(b.cost, 0) + coalesce(w.amount, 0),
		coalesce(p.settled, 0),
		format('budget %s, period from %s: spent %s, but usage cost '
			'%s and %s was booked by decision',
			hg_name(budget_uid), hg_instant(period_start),
			coalesce(p.settled, 0), coalesce(b.cost, 0),
			coalesce(w.amount, 0))
	FROM budget_period p FULL JOIN (SELECT budget_uid, period_start,
			sum(cost)::bigint AS cost FROM audit_booked
			GROUP BY 1, 2) b USING (budget_uid, period_start)
	LEFT JOIN (SELECT budget_uid, period_start,
			sum(amount)::bigint AS amount FROM doubt_decision
			WHERE action = 'book' GROUP BY 1, 2) w
		USING (budget_uid, period_start)
	WHERE coalesce(p.settled, 0)
			<> coalesce(b.cost, 0) + coalesce(w.amount, 0)
		AND starts_with(hg_name(budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_held', p.budget_uid, p.period_start,
		coalesce(b.held, 0), p.held, format('budget %s, period from '
			'%s: %s is held, its uncorrected estimates hold %s',
			hg_name(p.budget_uid), hg_instant(p.period_start),
			p.held, coalesce(b.held, 0))
	FROM budget_period p LEFT JOIN (SELECT budget_uid, period_start,
			sum(uncorrected)::bigint AS held FROM audit_booked
			GROUP BY 1, 2) b USING (budget_uid, period_start)
	-- after a decision about all that was held, less may be
	WHERE (p.held < 0 OR p.held > coalesce(b.held, 0)
			OR (p.held < coalesce(b.held, 0) AND NOT EXISTS (
			SELECT 1 FROM doubt_decision w
			WHERE w.budget_uid = p.budget_uid AND w.agent_id = ''
			AND w.period_start = p.period_start)
			AND NOT EXISTS (SELECT 1 FROM budget_correction w
			WHERE w.budget_uid = p.budget_uid AND w.held > 0
			AND w.from_period = p.period_start)))
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	-- the effective limit: of the configuration, with what was added
	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_limit', p.budget_uid, p.period_start,
		p.base_nano + p.adjust_nano - p.past_nano, p.limit_nano,
		format('budget %s, period from %s: limit %s is not configured '
			'%s + adjusted %s - earlier in the window %s',
			hg_name(p.budget_uid), hg_instant(p.period_start),
			p.limit_nano, p.base_nano, p.adjust_nano, p.past_nano)
	FROM budget_period p
	WHERE p.limit_nano <> p.base_nano + p.adjust_nano - p.past_nano
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	-- transfers and carries of a period are in its adjustment; increases
	-- come and go with time
	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_adjusted', p.budget_uid, p.period_start,
		x.own, p.adjust_nano, format('budget %s, period from %s: '
			'adjusted by %s, but its own adjustments are %s and '
			'those of all periods %s to %s', hg_name(p.budget_uid),
			hg_instant(p.period_start), p.adjust_nano, x.own,
			x.least, x.most)
	FROM budget_period p CROSS JOIN LATERAL (
		SELECT coalesce(sum(a.amount) FILTER (WHERE a.period_start
				IS NOT NULL), 0)::bigint AS own,
			coalesce(sum(least(a.amount, 0)) FILTER (WHERE
				a.period_start IS NULL), 0)::bigint AS least,
			coalesce(sum(greatest(a.amount, 0)) FILTER (WHERE
				a.period_start IS NULL), 0)::bigint AS most
		FROM budget_adjustment a WHERE a.budget_uid = p.budget_uid
			AND (a.period_start IS NULL
			OR a.period_start = p.period_start)) x
	WHERE p.state <> 'orphan' AND p.closed_at IS NULL
		AND p.adjust_nano NOT BETWEEN x.own + x.least AND x.own + x.most
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	-- carried at most once, and not more than was left
	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_carry', a.budget_uid, a.from_period,
		p.limit_nano - p.settled, a.amount, format('budget %s: %s was '
			'carried over from the period from %s, whose limit %s '
			'and spending %s left less', hg_name(a.budget_uid),
			a.amount, hg_instant(a.from_period), p.limit_nano,
			p.settled)
	FROM budget_adjustment a JOIN budget_period p
		ON p.budget_uid = a.budget_uid AND p.period_start = a.from_period
	WHERE a.kind = 'carry' AND a.amount > 0
		AND (a.amount > p.limit_nano - p.settled
			OR p.state <> 'closed')
		AND starts_with(hg_name(a.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	PERFORM hg_audit_limits(run, prefix);
END $$;

-- Delete periods of budgets that were closed and ended before the instant,
-- oldest first, when nothing refers to them any more: no lease, nothing held,
-- what was charged to them is known from dropped days only, and agrees.
-- Returns how many.
CREATE FUNCTION hg_period_prune(before_ns bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	p budget_period;
	last bigint := NULL;
	charged bigint;
	n bigint := 0;
BEGIN
	PERFORM set_config('headgate.prune', 'on', true);
	FOR p IN SELECT b.* FROM budget_period b
		WHERE b.period_end < before_ns AND NOT EXISTS (
			SELECT 1 FROM budget_period o
			WHERE o.budget_uid = b.budget_uid
			AND o.period_start < b.period_start
			AND (o.state <> 'closed' OR o.held <> 0
				OR o.period_end >= before_ns))
		ORDER BY b.budget_uid, b.period_start LIMIT 10000
	LOOP
		CONTINUE WHEN p.budget_uid = last; -- one before it stays
		SELECT coalesce(sum(c.cost), 0) INTO charged FROM (
			SELECT m.cost FROM money_audit_charge m
				WHERE m.budget_uid = p.budget_uid
				AND m.period_start = p.period_start
				AND m.day = '-infinity'
			UNION ALL SELECT q.cost FROM usage_quarantine q
				CROSS JOIN LATERAL generate_series(1, coalesce(
					array_length(q.charges, 1), 0), 4) i
				WHERE q.charges[i] = p.budget_uid
				AND hg_audit_period(q.charges[i],
					q.charges[i + 1], q.at) = p.period_start
			UNION ALL SELECT w.amount FROM doubt_decision w
				WHERE w.budget_uid = p.budget_uid
				AND w.period_start = p.period_start
				AND w.action = 'book'
			UNION ALL SELECT -k.cost FROM budget_correction k
				WHERE k.budget_uid = p.budget_uid
				AND k.from_period = p.period_start
			UNION ALL SELECT k.cost FROM budget_correction k
				WHERE k.budget_uid = p.budget_uid
				AND k.to_period = p.period_start) c;
		IF p.state <> 'closed' OR p.held <> 0 OR charged <> p.settled
			OR EXISTS (SELECT 1 FROM lease x
				WHERE x.budget_uid = p.budget_uid
				AND x.period_start = p.period_start)
			OR EXISTS (SELECT 1 FROM money_audit_charge m
				WHERE m.budget_uid = p.budget_uid
				AND m.period_start = p.period_start
				AND m.day <> '-infinity')
		THEN
			last := p.budget_uid;
			CONTINUE;
		END IF;
		DELETE FROM budget_period b WHERE b.budget_uid = p.budget_uid
			AND b.period_start = p.period_start;
		DELETE FROM money_audit_charge m
			WHERE m.budget_uid = p.budget_uid
			AND m.period_start = p.period_start;
		INSERT INTO budget_pruned AS g VALUES (p.budget_uid,
			p.period_start, p.period_end, 1, p.settled)
		ON CONFLICT (budget_uid) DO UPDATE SET
			until_start = excluded.until_start,
			until_end = excluded.until_end,
			periods = g.periods + 1,
			settled = g.settled + excluded.settled;
		n := n + 1;
	END LOOP;
	PERFORM set_config('headgate.prune', '', true);
	RETURN n;
END $$;
