-- SPDX-License-Identifier: Apache-2.0
--
-- Periods end: open (grants) -> closing (the end is over: no grants, usage
-- still comes) -> closed, when nothing is out on leases, in doubt or held, or
-- 72 hours after the end. What a closed period spent never changes; usage that
-- comes later is booked in the period that is open then, as a correction. So
-- for each budget
--   sum of settled over its periods = cost of its usage + booked doubt
-- and for each period
--   settled = cost of its usage + booked doubt - corrections from it
--             + corrections to it
-- Buckets of rolling windows are closing once a newer one is there, and closed
-- when they have left the window.
--
-- What a closed period did not spend may be carried over to the open one; what
-- is in doubt, held or on leases is not.

ALTER TABLE budget_period ADD COLUMN closed_at timestamptz;
UPDATE budget_period SET state = 'closing' WHERE state = 'closed';
CREATE INDEX budget_period_live ON budget_period (period_end)
	WHERE state <> 'closed';

-- from_period: of a carry, the period that it is from. expires_ns: when what is
-- left of it is taken away (one more row, with a negative amount, at most once).
ALTER TABLE budget_adjustment
	ADD COLUMN from_period bigint,
	ADD COLUMN expires_ns bigint;
CREATE UNIQUE INDEX budget_carry_once
	ON budget_adjustment (budget_uid, from_period, (amount > 0))
	WHERE kind = 'carry';

ALTER TABLE budget_event
	ADD COLUMN amount_nano bigint,	-- carried
	DROP CONSTRAINT budget_event_kind_check,
	ADD CONSTRAINT budget_event_kind_check
		CHECK (kind IN ('threshold', 'forecast', 'closed', 'carry'));

-- Usage of a closed period, booked in another one. held: what an estimate
-- would have held and does not.
CREATE TABLE budget_correction (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	budget_uid bigint NOT NULL,
	from_period bigint NOT NULL,
	to_period bigint NOT NULL,
	agent_id text NOT NULL,		-- '' = a correction from a bill
	boot_epoch bigint NOT NULL,
	cost bigint NOT NULL,
	held bigint NOT NULL,
	charge_class text NOT NULL DEFAULT 'Correction'
);
CREATE INDEX budget_correction_from
	ON budget_correction (budget_uid, from_period);
CREATE INDEX budget_correction_to
	ON budget_correction (budget_uid, to_period);
CREATE TRIGGER budget_correction_append_only
	BEFORE UPDATE OR TRUNCATE ON budget_correction
	FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Periods of a budget up to here are gone: they were closed and agreed.
CREATE TABLE budget_pruned (
	budget_uid bigint PRIMARY KEY,
	until_start bigint NOT NULL,	-- of the last one
	until_end bigint NOT NULL,
	periods bigint NOT NULL,
	settled bigint NOT NULL
);

CREATE FUNCTION budget_period_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		IF current_setting('headgate.prune', true) = 'on' THEN
			RETURN OLD;
		END IF;
	ELSIF NEW.settled = OLD.settled AND NEW.state = OLD.state
		AND NEW.limit_nano = OLD.limit_nano
		AND NEW.budget_uid = OLD.budget_uid
		AND NEW.period_start = OLD.period_start
		AND NEW.period_end = OLD.period_end AND NEW.held <= OLD.held
	THEN
		RETURN NEW;
	END IF;
	RAISE EXCEPTION 'the period from % of budget % is closed',
		hg_instant(OLD.period_start), OLD.budget_uid;
END $$;
CREATE TRIGGER budget_period_frozen BEFORE UPDATE OR DELETE ON budget_period
	FOR EACH ROW WHEN (OLD.state = 'closed')
	EXECUTE FUNCTION budget_period_frozen();

-- As before; but a period begins where a closed one ended, if the budget's
-- calendar was changed so that they would overlap.
CREATE OR REPLACE FUNCTION hg_budget_now(uid_ bigint, at_ns bigint)
RETURNS TABLE (version bigint, soft boolean, period_start bigint,
	period_end bigint, span bigint, lim bigint, whole bigint, base bigint,
	adjust bigint, past bigint, past_settled bigint, past_held bigint)
LANGUAGE sql STABLE AS $$
SELECT i.version, coalesce(i.spec->>'mode', 'hard') = 'soft'
		OR i.spec->>'period' = 'unlimited',
	c.period_start, c.period_end, c.span,
	c.lim + a.amount - coalesce(w.past, 0), c.lim + a.amount, c.lim,
	a.amount, coalesce(w.past, 0), coalesce(w.settled, 0),
	coalesce(w.held, 0)
FROM config_item i
LEFT JOIN LATERAL (SELECT b.period_start, b.period_end, b.base_nano,
		b.config_version
	FROM budget_period b
	WHERE b.budget_uid = i.uid AND b.period_start <= at_ns
	ORDER BY b.period_start DESC LIMIT 1) q
	ON q.period_end > at_ns AND q.config_version = i.version
	AND i.spec->>'period' <> 'rolling'
LEFT JOIN LATERAL (SELECT w.* FROM hg_window(i.uid, i.spec, at_ns) w
	WHERE q.period_start IS NULL OFFSET 0) n ON true
LEFT JOIN LATERAL (SELECT b.period_start, b.period_end, b.state
	FROM budget_period b
	WHERE b.budget_uid = i.uid AND b.period_end <= at_ns
		AND q.period_start IS NULL AND i.spec->>'period' <> 'rolling'
	ORDER BY b.period_end DESC LIMIT 1) o
	ON o.state = 'closed' AND o.period_start >= n.period_start
CROSS JOIN LATERAL (SELECT coalesce(q.period_start,
			greatest(n.period_start, o.period_end))
		AS period_start, coalesce(q.period_end, n.period_end)
		AS period_end, coalesce(q.base_nano, n.lim) AS lim,
		coalesce(n.span, 0) AS span) c
CROSS JOIN LATERAL (SELECT coalesce(sum(x.amount), 0)::bigint AS amount
	FROM budget_adjustment x WHERE x.budget_uid = i.uid
	AND (x.period_start IS NULL OR x.period_start = c.period_start)
	AND (x.until_ns IS NULL OR x.until_ns > at_ns)) a
LEFT JOIN LATERAL (SELECT sum(x.limit_nano - x.free)::bigint AS past,
		sum(x.settled)::bigint AS settled, sum(x.held)::bigint AS held
	FROM budget_period x WHERE x.budget_uid = i.uid
	AND x.period_end > c.period_start - c.span
	AND x.period_start < c.period_end
	AND x.period_start <> c.period_start) w ON c.span > 0
WHERE i.kind = 9 AND i.uid = uid_
$$;

-- As before; a bucket that was followed by another is closing, and closed
-- periods stay as they are.
CREATE OR REPLACE FUNCTION hg_budget_period(uid_ bigint, at_ns bigint)
RETURNS SETOF budget_period LANGUAGE plpgsql AS $$
DECLARE
	n record;
	r budget_period;
BEGIN
	SELECT * INTO n FROM hg_budget_now(uid_, at_ns);
	IF NOT FOUND THEN
		RETURN;
	END IF;
	SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = n.period_start FOR UPDATE;
	IF NOT FOUND THEN
		IF n.span > 0 THEN
			-- Nothing is granted in the buckets before this one
			-- from here on; who was about to is waited for.
			PERFORM 1 FROM budget_period b
				WHERE b.budget_uid = uid_ AND b.state = 'open'
				AND b.period_start < n.period_end
				ORDER BY b.period_start FOR UPDATE;
			UPDATE budget_period b SET state = 'closing',
				period_end = least(b.period_end, n.period_end)
			WHERE b.budget_uid = uid_ AND b.state = 'open'
				AND (b.period_start < n.period_start
				OR (b.period_start < n.period_end
					AND b.config_version < n.version));
			SELECT * INTO n FROM hg_budget_now(uid_, at_ns);
		END IF;
		INSERT INTO budget_period (budget_uid, period_start, period_end,
			limit_nano, free, config_version, base_nano,
			adjust_nano, past_nano)
		VALUES (uid_, n.period_start, n.period_end, n.lim, n.lim,
			n.version, n.base, n.adjust, n.past)
		ON CONFLICT DO NOTHING;
		SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = n.period_start FOR UPDATE;
	END IF;
	IF r.state <> 'closed'
		AND (r.config_version < n.version OR r.limit_nano <> n.lim)
	THEN
		-- with the row locked, what is added to the limit is too
		SELECT * INTO n FROM hg_budget_now(uid_, at_ns);
		UPDATE budget_period b SET free = free + n.lim - limit_nano,
			limit_nano = n.lim, config_version = n.version,
			period_end = n.period_end, base_nano = n.base,
			adjust_nano = n.adjust, past_nano = n.past,
			state = CASE state WHEN 'closing' THEN 'open'
				ELSE state END,
			updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = n.period_start
			AND b.period_start = r.period_start
			AND b.config_version <= n.version;
		SELECT * INTO r FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = r.period_start;
	END IF;
	RETURN NEXT r;
END $$;

-- As before, and no grant in a period that is not open.
CREATE OR REPLACE FUNCTION hg_lease_write(uid_ bigint, start_ns bigint,
	agent text, boot bigint, grant_ bigint, returned_ bigint,
	high_water_ bigint, r_settled_ bigint, r_in_use_ bigint,
	report_at_ bigint, fence_at_ bigint, recall_ boolean,
	recall_others boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	l lease;
	back bigint;
BEGIN
	SELECT * INTO l FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = start_ns AND x.agent_id = agent
		AND x.boot_epoch = boot;
	-- nobody gives back more than it holds
	back := greatest(0, least(returned_, coalesce(l.granted, 0)
		- coalesce(l.settled, 0)) - coalesce(l.returned, 0));
	UPDATE budget_period b SET free = free - grant_ + back,
		updated_at = now()
	WHERE b.budget_uid = uid_ AND b.period_start = start_ns
		AND (grant_ = 0 OR (free + back >= grant_
			AND state NOT IN ('closing', 'closed')));
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO lease AS x (budget_uid, period_start, agent_id, boot_epoch,
		granted, returned, high_water, r_settled, r_in_use, report_at,
		fence_at, recall)
	VALUES (uid_, start_ns, agent, boot, grant_, 0, high_water_,
		r_settled_, r_in_use_, report_at_, fence_at_, recall_)
	ON CONFLICT (budget_uid, period_start, agent_id, boot_epoch)
	DO UPDATE SET granted = x.granted + grant_,
		returned = x.returned + back,
		high_water = greatest(x.high_water, high_water_),
		r_settled = greatest(x.r_settled, r_settled_),
		r_in_use = r_in_use_,
		report_at = greatest(x.report_at, report_at_),
		fence_at = greatest(x.fence_at, fence_at_),
		recall = recall_, updated_at = now();
	IF recall_others THEN
		UPDATE lease x SET recall = true
		WHERE x.budget_uid = uid_ AND x.period_start = start_ns
			AND NOT (x.agent_id = agent AND x.boot_epoch = boot)
			AND NOT x.doubtful AND NOT x.recall
			AND x.granted - x.returned
				- greatest(x.settled, x.r_settled) > x.r_in_use;
	END IF;
	RETURN true;
END $$;

-- The period, locked, in which late money of a budget is booked: the open one,
-- of deleted budgets the last that is not closed, or a new one for that.
CREATE FUNCTION hg_late_period(uid_ bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	start bigint;
	now_ns bigint := hg_ns(clock_timestamp());
BEGIN
	SELECT b.period_start INTO start FROM budget_period b
		WHERE b.budget_uid = uid_ AND b.state = 'open'
			AND b.period_end > now_ns
		ORDER BY b.period_start DESC LIMIT 1 FOR UPDATE;
	IF start IS NULL THEN
		SELECT p.period_start INTO start
			FROM hg_budget_period(uid_, now_ns) p
			WHERE p.state <> 'closed';
	END IF;
	IF start IS NULL THEN
		SELECT b.period_start INTO start FROM budget_period b
			WHERE b.budget_uid = uid_ AND b.state <> 'closed'
			ORDER BY b.period_start DESC LIMIT 1 FOR UPDATE;
	END IF;
	IF start IS NULL THEN
		start := now_ns;
		INSERT INTO budget_period (budget_uid, period_start, period_end,
			limit_nano, free, state, config_version)
		VALUES (uid_, start, start, 0, 0, 'orphan', 0);
	END IF;
	RETURN start;
END $$;

-- Book money of a closed (or pruned) period, whose row the caller has locked,
-- in the open one. Rights that it was spent from come back to the old period.
-- A hold that ends is let go of there; none begins.
CREATE FUNCTION hg_charge_late(uid_ bigint, from_ bigint, agent text,
	boot bigint, cost bigint, hold bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	rest bigint := 0;
	gone bigint := 0;
	target bigint;
BEGIN
	SELECT greatest(0, least(x.granted - x.settled - x.returned,
			cost + greatest(hold, 0))) INTO rest
		FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = from_ AND x.agent_id = agent
		AND x.boot_epoch = boot;
	rest := coalesce(rest, 0);
	IF rest > 0 THEN
		UPDATE lease x SET returned = x.returned + rest,
			updated_at = now()
		WHERE x.budget_uid = uid_ AND x.period_start = from_
			AND x.agent_id = agent AND x.boot_epoch = boot;
	END IF;
	IF hold < 0 THEN
		SELECT least(b.held, -hold) INTO gone FROM budget_period b
			WHERE b.budget_uid = uid_ AND b.period_start = from_;
		gone := coalesce(gone, 0);
	END IF;
	IF rest > 0 OR gone > 0 THEN
		UPDATE budget_period b SET held = b.held - gone,
			free = b.free + rest + gone, updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = from_;
	END IF;
	IF cost = 0 AND hold <= 0 THEN
		RETURN;
	END IF;
	target := hg_late_period(uid_);
	UPDATE budget_period b SET settled = settled + cost,
		free = free - cost, updated_at = now()
	WHERE b.budget_uid = uid_ AND b.period_start = target;
	INSERT INTO budget_correction (budget_uid, from_period, to_period,
		agent_id, boot_epoch, cost, held)
	VALUES (uid_, from_, target, agent, boot, cost, greatest(hold, 0));
END $$;

-- As before; what comes for a period that is closed goes to the open one.
CREATE OR REPLACE FUNCTION hg_charge(uid_ bigint, start_ns bigint, agent text,
	boot bigint, cost bigint, last_at bigint, held_ bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	p budget_period;
	l lease;
	gone budget_pruned;
	over bigint;
	hold bigint := held_;
BEGIN
	IF start_ns <> 0 THEN
		SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = start_ns FOR UPDATE;
	END IF;
	IF p.budget_uid IS NULL THEN
		SELECT * INTO gone FROM budget_pruned x WHERE x.budget_uid = uid_
			AND CASE WHEN start_ns <> 0
				THEN start_ns <= x.until_start
				ELSE last_at < x.until_end END;
		IF FOUND THEN
			PERFORM hg_charge_late(uid_, CASE WHEN start_ns <> 0
				THEN start_ns ELSE gone.until_start END,
				agent, boot, cost, hold);
			RETURN true;
		END IF;
		SELECT * INTO p FROM hg_budget_period(uid_,
			CASE WHEN start_ns > 1 THEN start_ns ELSE last_at END);
	END IF;
	IF p.budget_uid IS NULL OR (start_ns <> 0 AND p.period_start <> start_ns)
	THEN
		IF start_ns = 0 THEN
			RETURN false;
		END IF;
		INSERT INTO budget_period (budget_uid, period_start, period_end,
			limit_nano, free, state, config_version)
		VALUES (uid_, start_ns, start_ns, 0, 0, 'orphan', 0)
		ON CONFLICT DO NOTHING;
		SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
			AND b.period_start = start_ns FOR UPDATE;
	END IF;
	IF p.state = 'closed' THEN
		PERFORM hg_charge_late(
			uid_, p.period_start, agent, boot, cost, hold);
		RETURN true;
	END IF;
	IF hold < 0 THEN
		hold := greatest(hold, -p.held);
	END IF;
	SELECT * INTO l FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = p.period_start AND x.agent_id = agent
		AND x.boot_epoch = boot;
	IF NOT FOUND THEN
		UPDATE budget_period b SET settled = settled + cost,
			held = held + hold, free = free - cost - hold,
			updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = p.period_start;
		RETURN true;
	END IF;
	-- over < 0 cannot be: rights that remain stay with the lease
	over := greatest(0, l.settled + cost + hold - (l.granted - l.returned));
	UPDATE lease x SET settled = x.settled + cost + hold,
		granted = x.granted + over, updated_at = now()
	WHERE x.budget_uid = uid_ AND x.period_start = p.period_start
		AND x.agent_id = agent AND x.boot_epoch = boot;
	UPDATE budget_period b SET settled = settled + cost,
		held = held + hold, free = free - over, updated_at = now()
	WHERE b.budget_uid = uid_ AND b.period_start = p.period_start;
	RETURN true;
END $$;

-- Of older replicas.
CREATE OR REPLACE FUNCTION hg_charge(uid_ bigint, start_ns bigint, agent text,
	boot bigint, cost bigint, last_at bigint)
RETURNS boolean LANGUAGE sql AS $$
	SELECT hg_charge(uid_, start_ns, agent, boot, cost, last_at, 0)
$$;

-- As before; in a closed period what is booked goes to the open one.
CREATE OR REPLACE FUNCTION hg_doubt_decide(uid_ bigint, start_ns bigint,
	agent text, boot bigint, action_ text, author_ text, reason_ text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	p budget_period;
	l lease;
	rest bigint;
	freed bigint;
BEGIN
	SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = start_ns FOR UPDATE;
	SELECT * INTO l FROM lease x WHERE x.budget_uid = uid_
		AND x.period_start = start_ns AND x.agent_id = agent
		AND x.boot_epoch = boot AND x.doubtful;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	rest := greatest(0, l.granted - l.settled - l.returned);
	freed := CASE WHEN action_ = 'release' THEN rest ELSE 0 END;
	IF p.state = 'closed' AND freed < rest THEN
		UPDATE lease x SET returned = x.returned + rest,
			doubtful = false, updated_at = now()
			WHERE x.budget_uid = uid_ AND x.period_start = start_ns
			AND x.agent_id = agent AND x.boot_epoch = boot;
		UPDATE budget_period b SET free = free + rest,
			updated_at = now()
			WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
		PERFORM hg_charge_late(uid_, start_ns, '', 0, rest, 0);
	ELSE
		UPDATE lease x SET returned = x.returned + freed,
			settled = x.settled + rest - freed,
			written_off = x.written_off + rest - freed,
			doubtful = false, updated_at = now()
			WHERE x.budget_uid = uid_ AND x.period_start = start_ns
			AND x.agent_id = agent AND x.boot_epoch = boot;
		UPDATE budget_period b SET free = free + freed,
			settled = settled + rest - freed, updated_at = now()
			WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
	END IF;
	INSERT INTO doubt_decision (budget_uid, period_start, agent_id,
		boot_epoch, amount, action, author, reason)
	VALUES (uid_, start_ns, agent, boot, rest, action_, author_, reason_);
	RETURN rest;
END $$;

CREATE OR REPLACE FUNCTION hg_held_decide(uid_ bigint, start_ns bigint,
	action_ text, author_ text, reason_ text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	p budget_period;
	freed bigint;
BEGIN
	SELECT * INTO p FROM budget_period b WHERE b.budget_uid = uid_
		AND b.period_start = start_ns FOR UPDATE;
	IF NOT FOUND OR p.held = 0 THEN
		RETURN NULL;
	END IF;
	freed := CASE WHEN action_ = 'release' THEN p.held ELSE 0 END;
	IF p.state = 'closed' AND freed < p.held THEN
		PERFORM hg_charge_late(uid_, start_ns, '', 0, p.held, -p.held);
	ELSE
		UPDATE budget_period b SET free = free + freed,
			settled = settled + p.held - freed, held = 0,
			updated_at = now()
		WHERE b.budget_uid = uid_ AND b.period_start = start_ns;
	END IF;
	INSERT INTO doubt_decision (budget_uid, period_start, agent_id,
		boot_epoch, amount, action, author, reason)
	VALUES (uid_, start_ns, '', 0, p.held, action_, author_, reason_);
	RETURN p.held;
END $$;

-- What of a period that is closed now goes on to the next: what is free, but
-- what time released of doubtful rights and what is left of money that was
-- itself carried into it (which is spent first); at most the cap. NULL: the
-- budget carries nothing.
CREATE FUNCTION hg_carry_amount(p budget_period, spec json)
RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT greatest(0, least(
		p.free - p.doubt_released - greatest(0,
			coalesce((SELECT sum(a.amount) FROM budget_adjustment a
				WHERE a.budget_uid = p.budget_uid
				AND a.period_start = p.period_start
				AND a.kind = 'carry'), 0)
			- (p.limit_nano - p.free)),
		((spec->>'carry_over_usd')::numeric * 1000000000)::bigint,
		(p.base_nano::numeric * (spec->>'carry_over_percent')::integer
			/ 100)::bigint))::bigint
	WHERE spec->>'carry_over_usd' IS NOT NULL
		OR spec->>'carry_over_percent' IS NOT NULL
$$;

-- Carry over, once for each closed period. The row of p is locked.
CREATE FUNCTION hg_carry(p budget_period, now_ns bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	item record;
	amount_ bigint;
	t budget_period;
BEGIN
	SELECT i.spec, i.version INTO item FROM config_item i
		WHERE i.kind = 9 AND i.uid = p.budget_uid;
	amount_ := hg_carry_amount(p, item.spec);
	IF amount_ IS NULL OR amount_ = 0 OR item.spec->>'period' NOT IN
		('day', 'week', 'month', 'quarter', 'year')
	THEN
		RETURN 0;
	END IF;
	SELECT * INTO t FROM hg_budget_period(p.budget_uid, now_ns);
	IF t.state IS DISTINCT FROM 'open' OR t.period_start < p.period_end THEN
		RETURN 0;
	END IF;
	INSERT INTO budget_adjustment (budget_uid, period_start, amount, kind,
		author, reason, from_period, expires_ns)
	VALUES (p.budget_uid, t.period_start, amount_, 'carry', 'headgate',
		'not spent in the period from '
			|| hg_instant(p.period_start)::text, p.period_start,
		t.period_start + (item.spec->>'carry_over_days')::bigint
			* 86400000000000)
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	SELECT * INTO t FROM hg_budget_period(p.budget_uid, now_ns);
	INSERT INTO budget_event (budget_uid, period_start, kind, percent,
		limit_nano, spent_nano, amount_nano)
	VALUES (p.budget_uid, t.period_start, 'carry', 0, t.limit_nano,
		t.settled, amount_) ON CONFLICT DO NOTHING;
	RETURN amount_;
END $$;

-- What is left of carried money whose time is over is taken away, once.
CREATE FUNCTION hg_carry_expire(now_ns bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	a record;
	p budget_period;
	n bigint := 0;
BEGIN
	FOR a IN SELECT x.* FROM budget_adjustment x
		JOIN budget_period b USING (budget_uid, period_start)
		WHERE x.kind = 'carry' AND x.amount > 0
			AND x.expires_ns <= now_ns AND b.state = 'open'
			AND b.period_end > now_ns
			AND NOT EXISTS (SELECT 1 FROM budget_adjustment y
				WHERE y.budget_uid = x.budget_uid
				AND y.from_period = x.from_period
				AND y.kind = 'carry' AND y.amount <= 0)
		ORDER BY x.budget_uid
	LOOP
		SELECT * INTO p FROM hg_budget_period(a.budget_uid, now_ns);
		CONTINUE WHEN p.period_start IS DISTINCT FROM a.period_start;
		INSERT INTO budget_adjustment (budget_uid, period_start, amount,
			kind, author, reason, from_period)
		VALUES (a.budget_uid, a.period_start, -greatest(0,
			least(p.free, a.amount - (p.limit_nano - p.free))),
			'carry', 'headgate', 'what was carried over expired',
			a.from_period)
		ON CONFLICT DO NOTHING;
		PERFORM hg_budget_period(a.budget_uid, now_ns);
		n := n + 1;
	END LOOP;
	RETURN n;
END $$;

-- Is nothing out any more that may become spent?
CREATE FUNCTION hg_period_settled(uid_ bigint, start_ns bigint, held bigint)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT held = 0 AND NOT EXISTS (SELECT 1 FROM lease x
		WHERE x.budget_uid = uid_ AND x.period_start = start_ns
		AND (x.doubtful OR x.granted <> x.settled + x.returned
			OR x.r_settled > x.settled OR x.r_in_use > 0))
$$;

-- Close what is due: periods that ended skew_ns ago are closing, of those the
-- settled ones, or that ended wait_ns ago, closed. By any number of replicas
-- at the same time: who has a row does it, others pass. Returns the numbers of
-- periods and what was carried.
CREATE FUNCTION hg_budget_close(now_ns bigint, skew_ns bigint, wait_ns bigint,
	OUT n_closing bigint, OUT n_closed bigint, OUT carried bigint)
LANGUAGE plpgsql AS $$
DECLARE
	x record;
	p budget_period;
BEGIN
	n_closed := 0;
	carried := 0;
	WITH due AS (SELECT b.budget_uid, b.period_start FROM budget_period b
		WHERE b.state = 'open' AND b.period_end < now_ns - skew_ns
		ORDER BY 1, 2 LIMIT 10000 FOR UPDATE SKIP LOCKED)
	UPDATE budget_period b SET state = 'closing', updated_at = now()
		FROM due d WHERE b.budget_uid = d.budget_uid
		AND b.period_start = d.period_start;
	GET DIAGNOSTICS n_closing = ROW_COUNT;
	FOR x IN SELECT b.budget_uid, b.period_start, b.period_end
			< now_ns - e.after - wait_ns AS late
		FROM budget_period b
		LEFT JOIN config_item i ON i.kind = 9 AND i.uid = b.budget_uid
		CROSS JOIN LATERAL (SELECT skew_ns
			+ coalesce((i.spec->>'rolling_hours')::bigint, 0)
				* 3600000000000 AS after) e
		WHERE (b.state = 'closing' AND b.period_end < now_ns - e.after
				OR b.state = 'orphan'
				AND b.period_end < now_ns - e.after - wait_ns)
			AND (b.period_end < now_ns - e.after - wait_ns
			OR hg_period_settled(
				b.budget_uid, b.period_start, b.held))
		ORDER BY 1, 2 LIMIT 1000
	LOOP
		SELECT * INTO p FROM budget_period b
			WHERE b.budget_uid = x.budget_uid
			AND b.period_start = x.period_start
			AND b.state IN ('closing', 'orphan')
			FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		CONTINUE WHEN NOT x.late AND NOT hg_period_settled(
			p.budget_uid, p.period_start, p.held);
		UPDATE budget_period b SET state = 'closed', closed_at = now(),
			updated_at = now()
			WHERE b.budget_uid = p.budget_uid
			AND b.period_start = p.period_start;
		carried := carried + hg_carry(p, now_ns);
		-- a bucket of a window every few minutes is no news
		INSERT INTO budget_event (budget_uid, period_start, kind,
			percent, limit_nano, spent_nano)
		SELECT p.budget_uid, p.period_start, 'closed', 0, p.limit_nano,
			p.settled
		WHERE EXISTS (SELECT 1 FROM config_item i WHERE i.kind = 9
			AND i.uid = p.budget_uid
			AND i.spec->>'period' <> 'rolling')
		ON CONFLICT DO NOTHING;
		n_closed := n_closed + 1;
	END LOOP;
	PERFORM hg_carry_expire(now_ns);
END $$;

-- As before, and money is moved between rolling windows, too: there what is
-- taken or added holds for the length of the window from now on, so that every
-- window has it. 'period' when one has no limit.
CREATE OR REPLACE FUNCTION hg_budget_transfer(from_ bigint, to_ bigint,
	amount_ bigint, now_ns bigint, author_ text, reason_ text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a budget_period;
	b budget_period;
BEGIN
	PERFORM 1 FROM config_item i WHERE i.kind = 9
		AND i.uid IN (from_, to_) AND i.spec->>'period' = 'unlimited';
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
	INSERT INTO budget_adjustment (budget_uid, period_start, until_ns,
		amount, kind, other_uid, author, reason)
	SELECT i.uid, CASE WHEN w.span = 0 THEN CASE i.uid WHEN from_
			THEN a.period_start ELSE b.period_start END END,
		CASE WHEN w.span > 0 THEN now_ns + w.span END,
		CASE i.uid WHEN from_ THEN -amount_ ELSE amount_ END,
		'transfer', CASE i.uid WHEN from_ THEN to_ ELSE from_ END,
		author_, reason_
	FROM config_item i CROSS JOIN LATERAL (SELECT coalesce(
		(i.spec->>'rolling_hours')::bigint, 0) * 3600000000000
		AS span) w
	WHERE i.kind = 9 AND i.uid IN (from_, to_);
	PERFORM hg_budget_period(from_, now_ns);
	PERFORM hg_budget_period(to_, now_ns);
	RETURN 'ok';
END $$;
