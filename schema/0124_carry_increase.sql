-- SPDX-License-Identifier: Apache-2.0
--
-- As before; an increase that was over before the end of the period is not
-- carried, though nobody asked after it was, so that the row still has it.
CREATE OR REPLACE FUNCTION hg_carry_amount(p budget_period, spec json)
RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT greatest(0, least(
		p.free - p.doubt_released - greatest(0,
			coalesce((SELECT sum(a.amount) FROM budget_adjustment a
				WHERE a.budget_uid = p.budget_uid
				AND a.period_start = p.period_start
				AND a.kind = 'carry'), 0)
			- (p.limit_nano - p.free))
		- greatest(0, p.adjust_nano - coalesce((SELECT sum(a.amount)
			FROM budget_adjustment a
			WHERE a.budget_uid = p.budget_uid
			AND (a.period_start IS NULL
				OR a.period_start = p.period_start)
			AND (a.until_ns IS NULL
				OR a.until_ns >= p.period_end)), 0)),
		((spec->>'carry_over_usd')::numeric * 1000000000)::bigint,
		(p.base_nano::numeric * (spec->>'carry_over_percent')::integer
			/ 100)::bigint))::bigint
	WHERE spec->>'carry_over_usd' IS NOT NULL
		OR spec->>'carry_over_percent' IS NOT NULL
$$;
