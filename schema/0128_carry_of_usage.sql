-- SPDX-License-Identifier: Apache-2.0
--
-- A period that was over when the first was heard of it, by usage that says it
-- was in it (rightly or not), has a row to book that in. Its limit was never
-- there to be spent, so nothing of it is carried over.

-- by_usage: the row is such a one.
ALTER TABLE budget_period
	ADD COLUMN by_usage boolean NOT NULL DEFAULT false;

-- hg_budget_period() for usage, at an instant of its own.
CREATE FUNCTION hg_usage_period(uid_ bigint, at_ns bigint)
RETURNS SETOF budget_period LANGUAGE plpgsql AS $$
DECLARE
	known boolean;
	r budget_period;
BEGIN
	known := EXISTS (SELECT 1 FROM hg_budget_now(uid_, at_ns) n
		JOIN budget_period b ON b.budget_uid = uid_
			AND b.period_start = n.period_start);
	SELECT * INTO r FROM hg_budget_period(uid_, at_ns);
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF NOT known AND r.period_end <= hg_ns(clock_timestamp()) THEN
		UPDATE budget_period b SET by_usage = true
			WHERE b.budget_uid = uid_
			AND b.period_start = r.period_start
			RETURNING * INTO r;
	END IF;
	RETURN NEXT r;
END $$;

DO $$
DECLARE
	was text := pg_get_functiondef(
		'hg_charge(bigint,bigint,text,bigint,bigint,bigint,bigint)'
			::regprocedure);
	at text := 'SELECT * INTO p FROM hg_budget_period(';
BEGIN
	IF position(at IN was) = 0 THEN
		RAISE EXCEPTION 'hg_charge makes no period';
	END IF;
	EXECUTE replace(was, at, 'SELECT * INTO p FROM hg_usage_period(');
	was := pg_get_functiondef('hg_carry'::regproc);
	at := 'IF amount_ IS NULL OR ';
	IF position(at IN was) = 0 THEN
		RAISE EXCEPTION 'hg_carry carries everything';
	END IF;
	EXECUTE replace(was, at, at || 'p.by_usage OR ');
END $$;
