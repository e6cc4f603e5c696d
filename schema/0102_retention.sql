-- SPDX-License-Identifier: Apache-2.0
--
-- Retention: days of usage whose money was found to agree are dropped, the
-- ledger and the sums stay. What they charged to budgets is kept on the day
-- '-infinity'. Records that come for such a day later make it anew; of it only
-- the charges are audited. Leases of periods that ended long ago and have
-- nothing out are deleted.

-- Youngest batch of the day when it was audited.
ALTER TABLE money_audit_day ADD COLUMN last_batch bigint;

-- As before; when no period holds the instant (any more), the last one that
-- began until then.
CREATE OR REPLACE FUNCTION hg_audit_period(uid_ bigint, start_ns bigint,
	at timestamptz)
RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN start_ns <> 0 THEN start_ns ELSE (
		SELECT p.period_start FROM budget_period p
		WHERE p.budget_uid = uid_ AND p.period_start <= hg_ns(at)
		ORDER BY p.period_end > hg_ns(at) DESC, p.period_start DESC
		LIMIT 1) END
$$;

CREATE FUNCTION hg_last_batch(d date) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT coalesce(max(batch_id), 0) FROM ledger
	WHERE hour >= d::timestamp AT TIME ZONE 'UTC'
		AND hour < (d + 1)::timestamp AT TIME ZONE 'UTC'
$$;

ALTER FUNCTION hg_audit_day(bigint, date, bigint) RENAME TO hg_audit_whole_day;

CREATE FUNCTION hg_audit_day(run bigint, d date, ten bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	IF EXISTS (SELECT 1 FROM money_audit_day WHERE day = d AND dropped) THEN
		IF ten = 0 THEN
			PERFORM hg_audit_charges(d,
				d::timestamp AT TIME ZONE 'UTC',
				(d + 1)::timestamp AT TIME ZONE 'UTC');
			UPDATE money_audit_day SET last_batch = hg_last_batch(d)
				WHERE day = d;
		END IF;
		RETURN 0;
	END IF;
	n := hg_audit_whole_day(run, d, ten);
	IF ten = 0 THEN
		UPDATE money_audit_day SET last_batch = hg_last_batch(d)
			WHERE day = d;
	END IF;
	RETURN n;
END $$;

CREATE OR REPLACE FUNCTION hg_audit_days(run bigint) RETURNS TABLE (d date)
LANGUAGE sql AS $$
	WITH r AS (SELECT * FROM money_audit WHERE id = run),
	old AS (SELECT coalesce(max(m.mark), 0) AS mark FROM money_audit m
		WHERE m.id <> run),
	parts AS (
		SELECT to_date(substr(c.relname, 7), 'YYYYMMDD') AS d
			FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = 'usage'::regclass
	),
	days AS (
		SELECT (l.hour AT TIME ZONE 'UTC')::date AS d
			FROM ledger l, old, r
			WHERE r.scope <> 'changed' OR l.batch_id > old.mark
			GROUP BY 1
		UNION SELECT (h.day AT TIME ZONE 'UTC')::date
			FROM usage_daily h, r
			WHERE r.scope <> 'changed' GROUP BY 1
		UNION SELECT p.d FROM parts p, r WHERE r.scope <> 'changed'
		UNION SELECT m.day FROM money_audit_day m
			WHERE m.differences > 0
		UNION (SELECT m.day FROM money_audit_day m WHERE NOT m.dropped
			ORDER BY m.audited_at LIMIT 1)
	)
	SELECT s.d FROM days s, r
	WHERE (r.scope <> 'range' OR (s.d >= coalesce(r.first_day, s.d)
			AND s.d <= coalesce(r.last_day, s.d)))
		AND (s.d IN (SELECT p.d FROM parts p)
			OR NOT EXISTS (SELECT 1 FROM money_audit_day m
			WHERE m.day = s.d AND m.dropped))
	ORDER BY 1
$$;

-- May the day go? It was audited since its last batch, and nothing differs.
CREATE FUNCTION hg_usage_may_drop(d date, name text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	m money_audit_day;
	filled boolean;
BEGIN
	SELECT * INTO m FROM money_audit_day WHERE day = d;
	IF FOUND THEN
		RETURN m.differences = 0 AND m.last_batch = hg_last_batch(d);
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO filled;
	RETURN NOT filled AND hg_last_batch(d) = 0;
END $$;

-- Drop the oldest day of usage before that date that may go; NULL: none.
CREATE FUNCTION hg_usage_drop(before date) RETURNS date
LANGUAGE plpgsql AS $$
DECLARE
	p record;
BEGIN
	FOR p IN SELECT c.relname::text AS name,
			to_date(substr(c.relname, 7), 'YYYYMMDD') AS day
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'usage'::regclass ORDER BY 2
	LOOP
		EXIT WHEN p.day >= before;
		CONTINUE WHEN NOT hg_usage_may_drop(p.day, p.name);
		-- who is writing is waited for, and seen
		LOCK TABLE usage IN ACCESS EXCLUSIVE MODE;
		CONTINUE WHEN NOT hg_usage_may_drop(p.day, p.name);
		INSERT INTO money_audit_charge AS c
		SELECT '-infinity', budget_uid, period_start, agent_id,
			boot_epoch, cost, held, uncorrected, early, unsure
		FROM money_audit_charge WHERE day = p.day
		ON CONFLICT (day, budget_uid, period_start, agent_id,
			boot_epoch)
		DO UPDATE SET cost = c.cost + excluded.cost,
			held = c.held + excluded.held,
			uncorrected = c.uncorrected + excluded.uncorrected,
			early = c.early + excluded.early,
			unsure = c.unsure + excluded.unsure;
		DELETE FROM money_audit_charge WHERE day = p.day;
		UPDATE money_audit_day SET dropped = true WHERE day = p.day;
		EXECUTE format('DROP TABLE %I', p.name);
		RETURN p.day;
	END LOOP;
	RETURN NULL;
END $$;

-- Delete leases of periods that ended before the instant and have nothing
-- out: a charge that comes later is taken from free, as it would be with
-- them. Returns how many.
CREATE FUNCTION hg_lease_expire(before_ns bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	p record;
	n bigint;
	total bigint := 0;
BEGIN
	FOR p IN SELECT DISTINCT x.budget_uid, x.period_start
		FROM lease x JOIN budget_period b USING (budget_uid, period_start)
		WHERE b.period_end < before_ns AND NOT x.doubtful
			AND x.granted = x.settled + x.returned
		ORDER BY 1, 2 LIMIT 1000
	LOOP
		PERFORM 1 FROM budget_period b
			WHERE b.budget_uid = p.budget_uid
			AND b.period_start = p.period_start FOR UPDATE;
		WITH gone AS (
			DELETE FROM lease x WHERE x.budget_uid = p.budget_uid
				AND x.period_start = p.period_start
				AND NOT x.doubtful
				AND x.granted = x.settled + x.returned
			RETURNING agent_id, boot_epoch
		), told AS (
			UPDATE money_audit_charge c SET unsure = 0,
				early = c.cost + c.held
			FROM gone g WHERE c.budget_uid = p.budget_uid
				AND c.period_start = p.period_start
				AND c.agent_id = g.agent_id
				AND c.boot_epoch = g.boot_epoch
		)
		SELECT count(*) INTO n FROM gone;
		total := total + n;
	END LOOP;
	RETURN total;
END $$;
