-- SPDX-License-Identifier: Apache-2.0
--
-- As before; what was spent in a rolling window is noticed also while its
-- newest bucket has no row yet: nobody asks for rights when the last usage of
-- the bucket before is booked.
DO $$
DECLARE
	was text := pg_get_functiondef('hg_budget_events'::regproc);
	rows text := 'JOIN budget_period p ON p.budget_uid = i.uid';
	spent text := 'p.settled + c.past_settled';
BEGIN
	IF position(rows IN was) = 0 OR position(spent IN was) = 0 THEN
		RAISE EXCEPTION 'hg_budget_events knows no spending';
	END IF;
	was := replace(replace(was, rows, 'LEFT ' || rows), spent,
		'coalesce(p.settled, 0) + c.past_settled');
	EXECUTE replace(was, 'p.settled::numeric',
		'coalesce(p.settled, 0)::numeric');
END $$;
