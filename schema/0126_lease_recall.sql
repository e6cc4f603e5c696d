-- SPDX-License-Identifier: Apache-2.0
--
-- When somebody last asked for rights on the period that others hold, wall ns:
-- for a moment after that only who waits is granted anything (grant.c), or what
-- was given back for him would be taken by who asks next.
ALTER TABLE budget_period ADD COLUMN recall_at bigint NOT NULL DEFAULT 0;

-- As before, with recall_at; and told are also agents that reported a moment
-- ago: they may be silent from then on.
CREATE OR REPLACE FUNCTION hg_lease_write(uid_ bigint, start_ns bigint,
	agent text, boot bigint, grant_ bigint, returned_ bigint,
	high_water_ bigint, r_settled_ bigint, r_in_use_ bigint,
	report_at_ bigint, fence_at_ bigint, recall_ boolean,
	recall_others boolean, quiet_until_ bigint, recent_ bigint)
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
