-- SPDX-License-Identifier: Apache-2.0
--
-- The limit of a 'once' holds from its beginning to its end, also when the end
-- is put off after what was until then is closed: it goes on with what is left.
-- Late usage of the closed period is booked in the one that goes on.

-- What closed periods of a 'once' that began at the instant took of its limit:
-- what was spent in them, but for money that was moved to them or from them.
CREATE FUNCTION hg_once_spent(uid_ bigint, from_ns bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT coalesce(sum(b.settled - coalesce((SELECT sum(a.amount)
			FROM budget_adjustment a
			WHERE a.budget_uid = b.budget_uid
			AND a.period_start = b.period_start), 0)), 0)::bigint
	FROM budget_period b WHERE b.budget_uid = uid_
		AND b.state = 'closed' AND b.period_start >= from_ns
		AND EXISTS (SELECT 1 FROM budget_period f
			WHERE f.budget_uid = uid_ AND f.period_start = from_ns)
$$;

DO $$
DECLARE
	was text := pg_get_functiondef('hg_window'::regproc);
	look text := 'ELSIF at_ns >= to_ns THEN';
BEGIN
	IF position(look IN was) = 0 THEN
		RAISE EXCEPTION 'hg_window has no end';
	END IF;
	EXECUTE replace(was, look, 'ELSIF at_ns < to_ns THEN
			IF period = ''once'' THEN
				lim := lim - hg_once_spent(uid_, from_ns);
			END IF;
		ELSE');
END $$;

-- As before; but what a 'once' goes on with may have been more before the
-- periods of another calendar were closed: never more than is configured.
CREATE OR REPLACE FUNCTION hg_audit_base(run bigint, prefix text) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		measure, expected, found, detail)
	SELECT run, 'budget_limit', p.budget_uid, p.period_start, 'base',
		w.lim, p.base_nano, format('budget %s, period from %s: its '
			'limit is %s, the configuration of version %s says %s',
			hg_name(p.budget_uid), hg_instant(p.period_start),
			p.base_nano, p.config_version, w.lim)
	FROM config_item i JOIN budget_period p ON p.budget_uid = i.uid
		AND p.config_version = i.version AND p.state = 'open'
	CROSS JOIN LATERAL hg_window(i.uid, i.spec, p.period_start) w
	WHERE i.kind = 9 AND p.base_nano <> w.lim
		AND (i.spec->>'period' <> 'once' OR p.base_nano
			> (i.spec->>'limit_usd')::numeric * 1000000000)
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;
$$;
