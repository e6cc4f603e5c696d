-- SPDX-License-Identifier: Apache-2.0
-- People change what a period may spend without changing its configuration:
-- an increase until an instant, a transfer to another budget.

-- Add to the limit of every period until until_ns, or to the end of a 'once'.
-- False when there is no such budget, it has no limit or has not begun. Leaves the current period locked.
CREATE FUNCTION hg_budget_increase(uid_ bigint, amount_ bigint,
	until_ bigint, now_ns bigint, author_ text, reason_ text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	end_ns bigint;
BEGIN
	SELECT least(until_, hg_ns((i.spec->>'to')::timestamptz)) INTO end_ns
		FROM config_item i WHERE i.kind = 9 AND i.uid = uid_
		AND i.spec->>'period' <> 'unlimited' AND coalesce(
			hg_ns((i.spec->>'from')::timestamptz), 0) <= now_ns;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM hg_budget_period(uid_, now_ns);
	INSERT INTO budget_adjustment (budget_uid, until_ns, amount, kind,
		author, reason)
	VALUES (uid_, end_ns, amount_, 'increase', author_, reason_);
	PERFORM hg_budget_period(uid_, now_ns);
	RETURN true;
END $$;

-- Move part of the limit of one current period to another. 'ok'; 'short' when
-- the giver has less free; 'period' when one has no period of its own: a
-- rolling window, no limit.
CREATE FUNCTION hg_budget_transfer(from_ bigint, to_ bigint, amount_ bigint,
	now_ns bigint, author_ text, reason_ text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a budget_period;
	b budget_period;
BEGIN
	PERFORM 1 FROM config_item i WHERE i.kind = 9
		AND i.uid IN (from_, to_)
		AND i.spec->>'period' IN ('rolling', 'unlimited');
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
	IF a.free < amount_ THEN
		RETURN 'short';
	END IF;
	INSERT INTO budget_adjustment (budget_uid, period_start, amount, kind,
		other_uid, author, reason)
	VALUES (from_, a.period_start, -amount_, 'transfer', to_, author_,
			reason_),
		(to_, b.period_start, amount_, 'transfer', from_, author_,
			reason_);
	PERFORM hg_budget_period(from_, now_ns);
	PERFORM hg_budget_period(to_, now_ns);
	RETURN 'ok';
END $$;
