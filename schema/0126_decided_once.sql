-- SPDX-License-Identifier: Apache-2.0
--
-- What was decided or carried once is not moved a second time.

-- As before; nothing is moved out of a closed period or into one (a replica
-- whose clock is behind may take it for the current one): what it had left may
-- have been carried over. 'closed' when one of them is.
DO $$
DECLARE
	was text := pg_get_functiondef('hg_budget_transfer'::regproc);
	look text := 'IF a.free < amount_ THEN';
BEGIN
	IF position(look IN was) = 0 THEN
		RAISE EXCEPTION 'hg_budget_transfer looks at nothing free';
	END IF;
	EXECUTE replace(was, look, 'IF ''closed'' IN (a.state, b.state) THEN
		RETURN ''closed'';
	END IF;
	' || look);
END $$;

-- As before; but what the last report of a process said is of no interest once
-- its journal is here completely: it died with requests in flight, and nobody
-- reports on that lease again.
CREATE OR REPLACE FUNCTION hg_period_settled(uid_ bigint, start_ns bigint,
	held bigint)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT held = 0 AND NOT EXISTS (SELECT 1 FROM lease x
		WHERE x.budget_uid = uid_ AND x.period_start = start_ns
		AND (x.doubtful OR x.granted <> x.settled + x.returned
			OR ((x.r_settled > x.settled OR x.r_in_use > 0)
			AND NOT hg_epoch_complete(x.agent_id, x.boot_epoch))))
$$;

-- Nor once somebody decided about it.
DO $$
DECLARE
	was text := pg_get_functiondef('hg_doubt_decide'::regproc);
	done text := 'doubtful = false, ';
BEGIN
	IF position(done IN was) = 0 THEN
		RAISE EXCEPTION 'hg_doubt_decide leaves leases in doubt';
	END IF;
	EXECUTE replace(was, done, done || 'r_in_use = 0,
		r_settled = least(x.r_settled, x.settled), ');
END $$;

-- As before; the instant of the decision is later than the transaction of each
-- batch whose estimates it was about (they waited for each other).
CREATE OR REPLACE FUNCTION hg_held_decide(uid_ bigint, start_ns bigint,
	action_ text, author_ text, reason_ text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	p budget_period;
	freed bigint;
BEGIN
	SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = start_ns FOR UPDATE;
	IF NOT FOUND OR p.held = 0 THEN
		RETURN NULL;
	END IF;
	freed := CASE WHEN action_ = 'release' THEN p.held ELSE 0 END;
	IF p.state = 'closed' AND freed < p.held THEN
		PERFORM hg_charge_late(uid_, start_ns, '', 0, p.held, -p.held);
	ELSE
		UPDATE budget_period b SET free = free + freed,
			settled = settled + p.held - freed, held = 0,
			updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
	END IF;
	INSERT INTO doubt_decision (at, budget_uid, period_start, agent_id,
		boot_epoch, amount, action, author, reason)
	VALUES (clock_timestamp(), uid_, start_ns, '', 0, p.held, action_,
		author_, reason_);
	RETURN p.held;
END $$;

-- What a correction lets go of, of what an estimate that was booked at the
-- instant held: nothing when somebody decided about it in the meantime. What
-- is held by then belongs to other estimates.
CREATE FUNCTION hg_held_left(uid_ bigint, start_ns bigint, held_ bigint,
	booked_ns bigint)
RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN held_ < 0 AND booked_ns > 0 AND EXISTS (
		SELECT 1 FROM doubt_decision d WHERE d.budget_uid = uid_
			AND d.period_start = start_ns AND d.agent_id = ''
			AND d.at >= hg_instant(booked_ns))
		THEN 0 ELSE held_ END
$$;
