-- SPDX-License-Identifier: Apache-2.0
--
-- A day of usage may be dropped when it was audited with all that is in it. By
-- the youngest batch that could not be told: two batches for the day may be
-- under way, and the one that began first may be committed last. The ledger
-- only grows, so its rows of the day are counted.
ALTER TABLE money_audit_day ADD COLUMN ledger_rows bigint;

CREATE FUNCTION hg_ledger_rows(d date) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT count(*) FROM ledger
	WHERE hour >= d::timestamp AT TIME ZONE 'UTC'
		AND hour < (d + 1)::timestamp AT TIME ZONE 'UTC'
$$;

UPDATE money_audit_day m SET ledger_rows = l.n
	FROM (SELECT (hour AT TIME ZONE 'UTC')::date AS day, count(*) AS n,
			max(batch_id) AS last
		FROM ledger GROUP BY 1) l
	WHERE l.day = m.day AND l.last = m.last_batch;

DO $$
DECLARE
	was text := pg_get_functiondef('hg_audit_day'::regproc);
	sets text := 'SET last_batch = hg_last_batch(d)';
BEGIN
	IF position(sets IN was) = 0 THEN
		RAISE EXCEPTION 'hg_audit_day keeps no batch';
	END IF;
	EXECUTE replace(was, sets,
		sets || ', ledger_rows = hg_ledger_rows(d)');
END $$;

CREATE OR REPLACE FUNCTION hg_usage_may_drop(d date, name text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	m money_audit_day;
	filled boolean;
BEGIN
	SELECT * INTO m FROM money_audit_day WHERE day = d;
	IF FOUND THEN
		RETURN coalesce(m.differences = 0
			AND m.ledger_rows = hg_ledger_rows(d), false);
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO filled;
	RETURN NOT filled AND hg_ledger_rows(d) = 0;
END $$;
