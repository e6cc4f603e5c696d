-- SPDX-License-Identifier: Apache-2.0
--
-- Leases that rest: while plenty is free an agent is told that it need not
-- report for a while (grant.c), and its exchange is written as one set.
--
-- quiet_until: the agent of the lease may be silent until then, wall ns. Until
-- then it counts as one that is active and whose idle rights can be recalled.
-- It never falls: an older message that comes late does not shorten it.

ALTER TABLE lease ADD COLUMN quiet_until bigint NOT NULL DEFAULT 0;
-- When the agents were last told that rights on it are asked back, wall ns.
ALTER TABLE budget_period ADD COLUMN recall_told bigint NOT NULL DEFAULT 0;
-- When somebody last asked for rights on the period that others hold, wall ns:
-- for a moment after that only who waits is granted anything (grant.c), or what
-- was given back for him would be taken by who asks next.
ALTER TABLE budget_period ADD COLUMN recall_at bigint NOT NULL DEFAULT 0;

-- Write what was decided about leases of one agent, many at once, where what
-- the decision was made of still holds: the lease holds what was seen (granted
-- and returned; -1: it did not exist), the period is open, its configuration
-- the one seen, and at least `floor` is free, more than any number of agents
-- could make a difference at. Reports that move no money (floor NULL) need
-- none of that. Returns the numbers, from 1, of what was written; the caller
-- decides anew about the others, one by one under the row lock.
--
-- Rows are locked in the order (budget, period), leases after the periods.
CREATE FUNCTION hg_lease_write_some(agent text, boot bigint, now_ns bigint,
	uids bigint[], starts bigint[], grants bigint[], returneds bigint[],
	high_waters bigint[], settleds bigint[], in_uses bigint[],
	fences bigint[], quiets bigint[], floors bigint[], versions bigint[],
	seen_granteds bigint[], seen_returneds bigint[])
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT 1 FROM agent a
		WHERE a.id = agent AND a.boot_epoch > boot)
	THEN
		RETURN; -- what it is granted is refused under the lock
	END IF;
	PERFORM 1 FROM unnest(uids, starts, floors) AS k(uid, start, floor)
		JOIN budget_period b ON b.budget_uid = k.uid
			AND b.period_start = k.start
		WHERE k.floor IS NOT NULL
		ORDER BY b.budget_uid, b.period_start FOR UPDATE OF b;
	-- From here on nobody else changes free or what a lease is granted.
	IF -1 = ANY (seen_granteds) THEN
		INSERT INTO lease (budget_uid, period_start, agent_id,
			boot_epoch)
		SELECT k.uid, k.start, agent, boot
		FROM unnest(uids, starts, floors, versions, seen_granteds)
			AS k(uid, start, floor, version, seen)
		JOIN budget_period b ON b.budget_uid = k.uid
			AND b.period_start = k.start
		WHERE k.seen = -1 AND b.free >= k.floor
			AND b.config_version = k.version AND b.state = 'open'
			AND b.period_end > now_ns
		ON CONFLICT DO NOTHING;
	END IF;
	RETURN QUERY WITH k AS MATERIALIZED (
		SELECT k.*, CASE WHEN k.floor IS NULL THEN 0
			ELSE greatest(0, least(k.returned,
				x.granted - x.settled) - x.returned) END AS back
		FROM unnest(uids, starts, grants, returneds, high_waters,
			settleds, in_uses, fences, quiets, floors, versions,
			seen_granteds, seen_returneds) WITH ORDINALITY
			AS k(uid, start, given, returned, high, used, in_use,
				fence, quiet, floor, version, seen_granted,
				seen_returned, ord)
		JOIN lease x ON x.budget_uid = k.uid
			AND x.period_start = k.start
			AND x.agent_id = agent AND x.boot_epoch = boot
		LEFT JOIN budget_period b ON k.floor IS NOT NULL
			AND b.budget_uid = k.uid AND b.period_start = k.start
		WHERE k.floor IS NULL OR (b.free >= k.floor
			AND b.config_version = k.version AND b.state = 'open'
			AND b.period_end > now_ns
			AND x.granted = greatest(k.seen_granted, 0)
			AND x.returned = k.seen_returned AND NOT x.recall)
		ORDER BY k.uid, k.start FOR UPDATE OF x
	), u AS (
		UPDATE lease x SET granted = x.granted + k.given,
			returned = x.returned + k.back,
			high_water = greatest(x.high_water, k.high),
			r_settled = greatest(x.r_settled, k.used),
			r_in_use = k.in_use,
			report_at = greatest(x.report_at, now_ns),
			fence_at = greatest(x.fence_at, k.fence),
			quiet_until = greatest(x.quiet_until, k.quiet),
			updated_at = CASE WHEN k.floor IS NULL
				THEN x.updated_at ELSE now() END
		FROM k WHERE x.budget_uid = k.uid
			AND x.period_start = k.start AND x.agent_id = agent
			AND x.boot_epoch = boot
		RETURNING k.uid, k.start, k.back - k.given AS more, k.ord
	), p AS (
		UPDATE budget_period b SET free = b.free + u.more,
			updated_at = now()
		FROM u WHERE u.more <> 0 AND b.budget_uid = u.uid
			AND b.period_start = u.start
	)
	SELECT u.ord FROM u;
END $$;

-- As before, with quiet_until; and agents that may be silent are told that
-- rights are asked back (payload: the budget), once a second while somebody
-- waits.
CREATE FUNCTION hg_lease_write(uid_ bigint, start_ns bigint,
	agent text, boot bigint, grant_ bigint, returned_ bigint,
	high_water_ bigint, r_settled_ bigint, r_in_use_ bigint,
	report_at_ bigint, fence_at_ bigint, recall_ boolean,
	recall_others boolean, quiet_until_ bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	tell boolean;
BEGIN
	IF NOT hg_lease_write(uid_, start_ns, agent, boot, grant_, returned_,
		high_water_, r_settled_, r_in_use_, report_at_, fence_at_,
		recall_, recall_others)
	THEN
		RETURN false;
	END IF;
	IF quiet_until_ > 0 THEN
		UPDATE lease x SET
			quiet_until = greatest(x.quiet_until, quiet_until_)
		WHERE x.budget_uid = uid_ AND x.period_start = start_ns
			AND x.agent_id = agent AND x.boot_epoch = boot;
	END IF;
	IF NOT recall_others THEN
		RETURN true;
	END IF;
	SELECT NOT b.recall_told BETWEEN report_at_ - 1000000000 AND report_at_
			AND EXISTS (SELECT 1 FROM lease x
			WHERE x.budget_uid = uid_ AND x.period_start = start_ns
				AND x.recall AND NOT x.doubtful
				AND x.quiet_until >= report_at_)
		INTO tell FROM budget_period b
		WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
	UPDATE budget_period b SET
		recall_at = greatest(b.recall_at, report_at_),
		recall_told = CASE WHEN tell THEN report_at_
			ELSE b.recall_told END
	WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
	IF tell THEN
		PERFORM pg_notify('headgate_recall', uid_::text);
	END IF;
	RETURN true;
END $$;
