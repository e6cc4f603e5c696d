-- SPDX-License-Identifier: Apache-2.0
-- An epoch whose journal may lack records (its machine lost power, or the
-- files were damaged) proves nothing: what is left of its leases stays in
-- doubt until a person decides, on evidence from outside.

ALTER TABLE usage_watermark
	ADD COLUMN may_lack boolean NOT NULL DEFAULT false;

-- What was decided about doubtful rights, for good.
CREATE TABLE doubt_decision (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	budget_uid bigint NOT NULL,
	period_start bigint NOT NULL,
	agent_id text NOT NULL,
	boot_epoch bigint NOT NULL,
	amount bigint NOT NULL,
	action text NOT NULL CHECK (action IN ('release', 'book')),
	author text NOT NULL,
	reason text NOT NULL
);
CREATE INDEX doubt_decision_by_budget
	ON doubt_decision (budget_uid, period_start);

-- Booked by decision: spent for the budget, no usage behind it.
ALTER TABLE lease ADD COLUMN written_off bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION hg_release(agent text, boot bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	l record;
	rest bigint;
	total bigint := 0;
BEGIN
	FOR l IN SELECT x.budget_uid, x.period_start, x.boot_epoch FROM lease x
		WHERE x.agent_id = agent AND x.boot_epoch < boot
			AND (x.doubtful OR x.granted > x.settled + x.returned)
			AND hg_epoch_complete(agent, x.boot_epoch)
			AND NOT EXISTS (SELECT 1 FROM usage_watermark w
				WHERE w.agent_id = agent::uuid
				AND w.boot_epoch = x.boot_epoch
				AND w.may_lack)
		ORDER BY 1, 2, 3
	LOOP
		PERFORM 1 FROM budget_period b
			WHERE b.budget_uid = l.budget_uid
			AND b.period_start = l.period_start FOR UPDATE;
		SELECT greatest(0, x.granted - x.settled - x.returned)
			INTO rest FROM lease x
			WHERE x.budget_uid = l.budget_uid
			AND x.period_start = l.period_start
			AND x.agent_id = agent AND x.boot_epoch = l.boot_epoch;
		UPDATE lease x SET returned = x.returned + rest,
			doubtful = false, updated_at = now()
			WHERE x.budget_uid = l.budget_uid
			AND x.period_start = l.period_start
			AND x.agent_id = agent AND x.boot_epoch = l.boot_epoch;
		UPDATE budget_period b SET free = free + rest,
			updated_at = now()
			WHERE b.budget_uid = l.budget_uid
			AND b.period_start = l.period_start;
		total := total + rest;
	END LOOP;
	RETURN total;
END $$;

-- Decide about the rest of one doubtful lease: 'release' gives it back,
-- 'book' counts it as spent. Returns the amount; NULL when there is no such
-- lease or it is not in doubt.
CREATE FUNCTION hg_doubt_decide(uid_ bigint, start_ns bigint, agent text,
	boot bigint, action_ text, author_ text, reason_ text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	l lease;
	rest bigint;
	freed bigint;
BEGIN
	PERFORM 1 FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = start_ns FOR UPDATE;
	SELECT * INTO l FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = start_ns AND x.agent_id = agent
		AND x.boot_epoch = boot AND x.doubtful;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	rest := greatest(0, l.granted - l.settled - l.returned);
	freed := CASE WHEN action_ = 'release' THEN rest ELSE 0 END;
	UPDATE lease x SET returned = x.returned + freed,
		settled = x.settled + rest - freed,
		written_off = x.written_off + rest - freed,
		doubtful = false, updated_at = now()
		WHERE x.budget_uid = uid_ AND x.period_start = start_ns
		AND x.agent_id = agent AND x.boot_epoch = boot;
	UPDATE budget_period b SET free = free + freed,
		settled = settled + rest - freed, updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
	INSERT INTO doubt_decision (budget_uid, period_start, agent_id,
		boot_epoch, amount, action, author, reason)
	VALUES (uid_, start_ns, agent, boot, rest, action_, author_, reason_);
	RETURN rest;
END $$;
