-- SPDX-License-Identifier: Apache-2.0
-- Money held behind estimates: a request whose cost was estimated may have
-- cost up to what was reserved for it. The difference is neither free nor
-- spent until a correction brings the provider's bill.
--
-- After every transaction, for each (budget, period):
--   limit_nano = free + sum over leases of (granted - returned - settled)
--                + settled + held
-- A lease's settled includes what its requests hold.

ALTER TABLE budget_period ADD COLUMN held bigint NOT NULL DEFAULT 0;

-- As hg_charge() of six arguments, which stays for older replicas. held_ is
-- negative when a correction lets go of it; never more than is held.
CREATE FUNCTION hg_charge(uid_ bigint, start_ns bigint, agent text,
	boot bigint, cost bigint, last_at bigint, held_ bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	p budget_period;
	l lease;
	over bigint;
	hold bigint := held_;
BEGIN
	IF start_ns <> 0 THEN
		SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = start_ns FOR UPDATE;
	END IF;
	IF p.budget_uid IS NULL THEN
		SELECT * INTO p FROM hg_budget_period(uid_,
			CASE WHEN start_ns > 1 THEN start_ns ELSE last_at END);
	END IF;
	IF p.budget_uid IS NULL OR (start_ns <> 0 AND p.period_start <> start_ns)
	THEN
		IF start_ns = 0 THEN
			RETURN false;
		END IF;
		INSERT INTO budget_period (budget_uid, period_start, period_end,
			limit_nano, free, state, config_version)
		VALUES (uid_, start_ns, start_ns, 0, 0, 'orphan', 0)
		ON CONFLICT DO NOTHING;
		SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = start_ns FOR UPDATE;
	END IF;
	IF hold < 0 THEN
		hold := greatest(hold, -p.held);
	END IF;
	SELECT * INTO l FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = p.period_start AND x.agent_id = agent
		AND x.boot_epoch = boot;
	IF NOT FOUND THEN
		UPDATE budget_period b SET settled = settled + cost,
			held = held + hold, free = free - cost - hold,
			updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = p.period_start;
		RETURN true;
	END IF;
	-- over < 0 cannot be: rights that remain stay with the lease
	over := greatest(0, l.settled + cost + hold - (l.granted - l.returned));
	UPDATE lease x SET settled = x.settled + cost + hold,
		granted = x.granted + over, updated_at = now()
	WHERE x.budget_uid = uid_ AND x.period_start = p.period_start
		AND x.agent_id = agent AND x.boot_epoch = boot;
	UPDATE budget_period b SET settled = settled + cost,
		held = held + hold, free = free - over, updated_at = now()
	WHERE b.budget_uid = uid_ AND b.period_start = p.period_start;
	RETURN true;
END $$;

-- A person decides about all that is held in the period, without a bill.
CREATE FUNCTION hg_held_decide(uid_ bigint, start_ns bigint, action_ text,
	author_ text, reason_ text)
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
	UPDATE budget_period b SET free = free + freed,
		settled = settled + p.held - freed, held = 0,
		updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
	INSERT INTO doubt_decision (budget_uid, period_start, agent_id,
		boot_epoch, amount, action, author, reason)
	VALUES (uid_, start_ns, '', 0, p.held, action_, author_, reason_);
	RETURN p.held;
END $$;
