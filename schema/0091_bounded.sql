-- SPDX-License-Identifier: Apache-2.0
-- Bounded budgets: rights of an agent that was not heard of since its fence
-- are given back by time, up to the budget's overspend_usd in a period (or
-- rolling window). If they were spent all the same, the limit is exceeded by
-- at most as much.

ALTER TABLE budget_period
	ADD COLUMN doubt_released bigint NOT NULL DEFAULT 0;

-- Release what is due at now_ns: leases of bounded budgets whose fence is
-- grace_ns ago. The agent keeps what it reported; should it come back, it is
-- asked for what was released (see grant.c). Each release is kept as a
-- decision of the program. Returns the sum.
CREATE FUNCTION hg_doubt_timer(now_ns bigint, grace_ns bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	x record;
	l lease;
	room bigint;
	part bigint;
	total bigint := 0;
BEGIN
	FOR x IN SELECT y.budget_uid, y.period_start, y.agent_id, y.boot_epoch,
			i.delta, i.span
		FROM (SELECT c.uid, ((c.spec->>'overspend_usd')::numeric
				* 1000000000)::bigint AS delta,
				coalesce((c.spec->>'rolling_hours')::bigint, 0)
				* 3600000000000 AS span
			FROM config_item c WHERE c.kind = 9
			AND c.spec->>'mode' = 'bounded'
			AND c.spec->>'period' <> 'unlimited') i
		JOIN budget_period p ON p.budget_uid = i.uid
			AND p.period_end > now_ns - i.span
		JOIN lease y ON y.budget_uid = p.budget_uid
			AND y.period_start = p.period_start
		WHERE y.fence_at < now_ns - grace_ns
			AND y.granted > y.settled + y.returned
		ORDER BY 1, 2, 3, 4
	LOOP
		PERFORM 1 FROM budget_period b
			WHERE b.budget_uid = x.budget_uid
			AND b.period_end > now_ns - x.span
			ORDER BY b.period_start FOR UPDATE;
		SELECT x.delta - sum(b.doubt_released) INTO room
			FROM budget_period b WHERE b.budget_uid = x.budget_uid
			AND b.period_end > now_ns - x.span;
		SELECT * INTO l FROM lease y WHERE y.budget_uid = x.budget_uid
			AND y.period_start = x.period_start
			AND y.agent_id = x.agent_id
			AND y.boot_epoch = x.boot_epoch;
		part := least(room, l.granted - l.settled - l.returned);
		CONTINUE WHEN part <= 0 OR l.fence_at >= now_ns - grace_ns;
		UPDATE lease y SET returned = y.returned + part,
			updated_at = now()
			WHERE y.budget_uid = x.budget_uid
			AND y.period_start = x.period_start
			AND y.agent_id = x.agent_id
			AND y.boot_epoch = x.boot_epoch;
		UPDATE budget_period b SET free = free + part,
			doubt_released = doubt_released + part,
			updated_at = now()
			WHERE b.budget_uid = x.budget_uid
			AND b.period_start = x.period_start;
		INSERT INTO doubt_decision (budget_uid, period_start, agent_id,
			boot_epoch, amount, action, author, reason)
		VALUES (x.budget_uid, x.period_start, x.agent_id, x.boot_epoch,
			part, 'release', 'headgate',
			'bounded: not heard of since its fence');
		total := total + part;
	END LOOP;
	RETURN total;
END $$;
