-- SPDX-License-Identifier: Apache-2.0
--
-- The limit that a period began with is the one of the configuration: else
-- money could be made by changing both and what is free. What a 'once' goes on
-- with may have been more before the periods of another calendar were closed:
-- never more than is configured.

CREATE FUNCTION hg_audit_base(run bigint, prefix text) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		measure, expected, found, detail)
	SELECT run, 'budget_limit', p.budget_uid, p.period_start, 'base',
		w.lim, p.base_nano, format('budget %s, period from %s: its '
			'limit is %s, the configuration of version %s says %s',
			hg_name(p.budget_uid), hg_instant(p.period_start),
			p.base_nano, p.config_version, w.lim)
	FROM budget_def i JOIN budget_period p ON p.budget_uid = i.uid
		AND p.config_version = i.version AND p.state = 'open'
	CROSS JOIN LATERAL hg_window(i.uid, i.spec, p.period_start) w
	WHERE i.kind = 9 AND p.base_nano <> w.lim
		AND (i.spec->>'period' <> 'once' OR p.base_nano
			> (i.spec->>'limit_usd')::numeric * 1000000000)
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;
$$;

DO $$
DECLARE
	was text := pg_get_functiondef('hg_audit_budgets'::regproc);
	look text := 'PERFORM hg_audit_limits(run, prefix);';
BEGIN
	IF position(look IN was) = 0 THEN
		RAISE EXCEPTION 'hg_audit_budgets looks at no limits';
	END IF;
	EXECUTE replace(was, look, look || '
	PERFORM hg_audit_base(run, prefix);');
END $$;
