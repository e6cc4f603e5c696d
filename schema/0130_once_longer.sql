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
