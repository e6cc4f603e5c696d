-- SPDX-License-Identifier: Apache-2.0
--
-- The checks of the reconciliation; each leaves its findings in money_finding.
-- controlplane/store/money_audit.c calls hg_audit_begin(), hg_audit_day() for
-- each of hg_audit_days(), and hg_audit_end(), in one transaction that sees
-- one snapshot.

CREATE FUNCTION hg_name(uid_ bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce((SELECT name FROM item_name WHERE uid = uid_),
		'#' || uid_)
$$;

-- The period that a charge without one went to.
CREATE FUNCTION hg_audit_period(uid_ bigint, start_ns bigint, at timestamptz)
RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN start_ns <> 0 THEN start_ns ELSE (
		SELECT max(p.period_start) FROM budget_period p
		WHERE p.budget_uid = uid_ AND p.period_start <= hg_ns(at)
			AND p.period_end > hg_ns(at)) END
$$;

-- Usage against the ledger: by batch and all that a ledger row names.
CREATE FUNCTION hg_audit_ledger(run bigint, d date, lo timestamptz,
	hi timestamptz, ten bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO money_finding (run_id, kind, day, tenant_uid, batch_id,
		agent_id, boot_epoch, shard, measure, expected, found, detail)
	WITH u AS (
		SELECT batch_id, date_trunc('hour', started_at, 'UTC') AS hour,
			kind, tenant_uid, project_uid, key_uid, route_uid,
			deployment_uid, provider_uid, model_uid, price_version,
			count(*) AS records, sum(cost)::bigint AS amount
		FROM usage WHERE started_at >= lo AND started_at < hi
			AND (ten = 0 OR tenant_uid = ten)
		GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	), l AS (
		SELECT batch_id, hour, kind, tenant_uid, project_uid, key_uid,
			route_uid, deployment_uid, provider_uid, model_uid,
			price_version, sum(records)::bigint AS records,
			sum(amount)::bigint AS amount, min(ord) AS ord
		FROM ledger WHERE hour >= lo AND hour < hi
			AND (ten = 0 OR tenant_uid = ten)
		GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	), x AS (
		SELECT batch_id, hour, kind, tenant_uid, project_uid, key_uid,
			route_uid, deployment_uid, provider_uid, model_uid,
			price_version, coalesce(u.records, 0) AS u_records,
			coalesce(u.amount, 0) AS u_amount,
			coalesce(l.records, 0) AS l_records,
			coalesce(l.amount, 0) AS l_amount, l.ord
		FROM u FULL JOIN l USING (batch_id, hour, kind, tenant_uid,
			project_uid, key_uid, route_uid, deployment_uid,
			provider_uid, model_uid, price_version)
		WHERE u.amount IS DISTINCT FROM l.amount
			OR u.records IS DISTINCT FROM l.records
		ORDER BY 1, 2, 4, 6 LIMIT 200
	)
	SELECT run, 'usage_ledger', d, x.tenant_uid, x.batch_id,
		b.agent_id::text, b.boot_epoch, b.shard,
		CASE WHEN x.u_amount = x.l_amount THEN 'records' ELSE 'cost' END,
		CASE WHEN x.u_amount = x.l_amount THEN x.u_records
			ELSE x.u_amount END,
		CASE WHEN x.u_amount = x.l_amount THEN x.l_records
			ELSE x.l_amount END,
		CASE WHEN x.ord IS NULL THEN 'no ledger row'
			ELSE 'ledger row ' || x.ord END
		|| format(' of batch %s for key %s, model %s, deployment %s, '
			'hour %s, price version %s: %s records of %s in usage, '
			'%s of %s in the ledger', x.batch_id,
			hg_name(x.key_uid), hg_name(x.model_uid),
			hg_name(x.deployment_uid),
			to_char(x.hour AT TIME ZONE 'UTC',
				'YYYY-MM-DD"T"HH24:MI"Z"'), x.price_version,
			x.u_records, x.u_amount, x.l_records, x.l_amount)
		|| coalesce((SELECT '; in usage: ' || string_agg(format(
				'seq %s request %s attempt %s cost %s', r.seq,
				r.request_id, r.attempt, r.cost), ', '
				ORDER BY r.seq)
			FROM (SELECT * FROM usage v WHERE v.batch_id = x.batch_id
				AND v.started_at >= x.hour
				AND v.started_at < x.hour + interval '1 hour'
				AND v.kind = x.kind
				AND v.tenant_uid = x.tenant_uid
				AND v.project_uid = x.project_uid
				AND v.key_uid = x.key_uid
				AND v.route_uid = x.route_uid
				AND v.deployment_uid = x.deployment_uid
				AND v.provider_uid = x.provider_uid
				AND v.model_uid = x.model_uid
				AND v.price_version = x.price_version
				ORDER BY v.seq LIMIT 20) r), '')
	FROM x LEFT JOIN usage_batch b ON b.id = x.batch_id;
END $$;

-- Usage against the hourly sums, those against the daily ones: every row,
-- every measure.
CREATE FUNCTION hg_audit_rollups(run bigint, d date, lo timestamptz,
	hi timestamptz, ten bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO money_finding (run_id, kind, day, tenant_uid, measure,
		expected, found, detail)
	WITH u AS (
		SELECT date_trunc('hour', started_at, 'UTC') AS hour,
			tenant_uid, team_uid, project_uid, key_uid,
			model_uid, route_uid, deployment_uid,
			count(*) FILTER (WHERE kind = 0) AS requests,
			sum(cost)::bigint AS cost,
			sum(coalesce(t_input, 0))::bigint AS t_input,
			sum(coalesce(t_cache_read, 0))::bigint AS t_cache_read,
			sum(coalesce(t_cache_write_5m, 0))::bigint AS t_cache_write_5m,
			sum(coalesce(t_cache_write_1h, 0))::bigint AS t_cache_write_1h,
			sum(coalesce(t_output, 0))::bigint AS t_output,
			sum(coalesce(t_reasoning, 0))::bigint AS t_reasoning,
			sum(coalesce(t_audio_in, 0))::bigint AS t_audio_in,
			sum(coalesce(t_audio_out, 0))::bigint AS t_audio_out,
			sum(coalesce(t_image_in, 0))::bigint AS t_image_in,
			sum(coalesce(t_image_out, 0))::bigint AS t_image_out,
			sum(coalesce(t_web_search, 0))::bigint AS t_web_search,
			sum(coalesce(t_audio_seconds, 0))::bigint AS t_audio_seconds,
			sum(coalesce(t_characters, 0))::bigint AS t_characters,
			sum(coalesce(t_images, 0))::bigint AS t_images,
			sum(coalesce(t_search_units, 0))::bigint AS t_search_units,
			sum(coalesce(t_audio_cache_read, 0))::bigint AS t_audio_cache_read
		FROM usage WHERE started_at >= lo AND started_at < hi
			AND (ten = 0 OR tenant_uid = ten)
		GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
	), h AS (
		SELECT hour,
			tenant_uid, team_uid, project_uid, key_uid,
			model_uid, route_uid, deployment_uid,
			requests, cost,
			coalesce(t_input, 0) AS t_input,
			coalesce(t_cache_read, 0) AS t_cache_read,
			coalesce(t_cache_write_5m, 0) AS t_cache_write_5m,
			coalesce(t_cache_write_1h, 0) AS t_cache_write_1h,
			coalesce(t_output, 0) AS t_output,
			coalesce(t_reasoning, 0) AS t_reasoning,
			coalesce(t_audio_in, 0) AS t_audio_in,
			coalesce(t_audio_out, 0) AS t_audio_out,
			coalesce(t_image_in, 0) AS t_image_in,
			coalesce(t_image_out, 0) AS t_image_out,
			coalesce(t_web_search, 0) AS t_web_search,
			coalesce(t_audio_seconds, 0) AS t_audio_seconds,
			coalesce(t_characters, 0) AS t_characters,
			coalesce(t_images, 0) AS t_images,
			coalesce(t_search_units, 0) AS t_search_units,
			coalesce(t_audio_cache_read, 0) AS t_audio_cache_read
		FROM usage_hourly WHERE hour >= lo AND hour < hi
			AND (ten = 0 OR tenant_uid = ten)
	)
	SELECT run, 'usage_hourly', d, tenant_uid, m.measure, m.expected,
		m.found,
		CASE WHEN h.cost IS NULL THEN 'no hourly row'
			WHEN u.cost IS NULL THEN 'hourly row without usage'
			ELSE 'hourly row' END
		|| format(': hour %s, key %s, model %s, route %s, deployment %s',
			to_char(hour AT TIME ZONE 'UTC',
				'YYYY-MM-DD"T"HH24:MI"Z"'),
			hg_name(key_uid), hg_name(model_uid),
			hg_name(route_uid), hg_name(deployment_uid))
	FROM u FULL JOIN h USING (hour,
			tenant_uid, team_uid, project_uid, key_uid,
			model_uid, route_uid, deployment_uid)
	CROSS JOIN LATERAL (VALUES
		('requests', coalesce(u.requests, 0), coalesce(h.requests, 0)),
		('cost', coalesce(u.cost, 0), coalesce(h.cost, 0)),
		('input', coalesce(u.t_input, 0), coalesce(h.t_input, 0)),
		('cache_read', coalesce(u.t_cache_read, 0), coalesce(h.t_cache_read, 0)),
		('cache_write_5m', coalesce(u.t_cache_write_5m, 0), coalesce(h.t_cache_write_5m, 0)),
		('cache_write_1h', coalesce(u.t_cache_write_1h, 0), coalesce(h.t_cache_write_1h, 0)),
		('output', coalesce(u.t_output, 0), coalesce(h.t_output, 0)),
		('reasoning', coalesce(u.t_reasoning, 0), coalesce(h.t_reasoning, 0)),
		('audio_in', coalesce(u.t_audio_in, 0), coalesce(h.t_audio_in, 0)),
		('audio_out', coalesce(u.t_audio_out, 0), coalesce(h.t_audio_out, 0)),
		('image_in', coalesce(u.t_image_in, 0), coalesce(h.t_image_in, 0)),
		('image_out', coalesce(u.t_image_out, 0), coalesce(h.t_image_out, 0)),
		('web_search', coalesce(u.t_web_search, 0), coalesce(h.t_web_search, 0)),
		('audio_seconds', coalesce(u.t_audio_seconds, 0), coalesce(h.t_audio_seconds, 0)),
		('characters', coalesce(u.t_characters, 0), coalesce(h.t_characters, 0)),
		('images', coalesce(u.t_images, 0), coalesce(h.t_images, 0)),
		('search_units', coalesce(u.t_search_units, 0), coalesce(h.t_search_units, 0)),
		('audio_cache_read', coalesce(u.t_audio_cache_read, 0), coalesce(h.t_audio_cache_read, 0))
	) m(measure, expected, found)
	WHERE m.expected <> m.found
	ORDER BY hour, key_uid LIMIT 200;

	INSERT INTO money_finding (run_id, kind, day, tenant_uid, measure,
		expected, found, detail)
	WITH u AS (
		SELECT
			tenant_uid, team_uid, project_uid, key_uid,
			model_uid, route_uid, deployment_uid,
			sum(requests)::bigint AS requests,
			sum(cost)::bigint AS cost,
			sum(coalesce(t_input, 0))::bigint AS t_input,
			sum(coalesce(t_cache_read, 0))::bigint AS t_cache_read,
			sum(coalesce(t_cache_write_5m, 0))::bigint AS t_cache_write_5m,
			sum(coalesce(t_cache_write_1h, 0))::bigint AS t_cache_write_1h,
			sum(coalesce(t_output, 0))::bigint AS t_output,
			sum(coalesce(t_reasoning, 0))::bigint AS t_reasoning,
			sum(coalesce(t_audio_in, 0))::bigint AS t_audio_in,
			sum(coalesce(t_audio_out, 0))::bigint AS t_audio_out,
			sum(coalesce(t_image_in, 0))::bigint AS t_image_in,
			sum(coalesce(t_image_out, 0))::bigint AS t_image_out,
			sum(coalesce(t_web_search, 0))::bigint AS t_web_search,
			sum(coalesce(t_audio_seconds, 0))::bigint AS t_audio_seconds,
			sum(coalesce(t_characters, 0))::bigint AS t_characters,
			sum(coalesce(t_images, 0))::bigint AS t_images,
			sum(coalesce(t_search_units, 0))::bigint AS t_search_units,
			sum(coalesce(t_audio_cache_read, 0))::bigint AS t_audio_cache_read
		FROM usage_hourly WHERE hour >= lo AND hour < hi
			AND (ten = 0 OR tenant_uid = ten)
		GROUP BY 1, 2, 3, 4, 5, 6, 7
	), h AS (
		SELECT
			tenant_uid, team_uid, project_uid, key_uid,
			model_uid, route_uid, deployment_uid,
			requests, cost,
			coalesce(t_input, 0) AS t_input,
			coalesce(t_cache_read, 0) AS t_cache_read,
			coalesce(t_cache_write_5m, 0) AS t_cache_write_5m,
			coalesce(t_cache_write_1h, 0) AS t_cache_write_1h,
			coalesce(t_output, 0) AS t_output,
			coalesce(t_reasoning, 0) AS t_reasoning,
			coalesce(t_audio_in, 0) AS t_audio_in,
			coalesce(t_audio_out, 0) AS t_audio_out,
			coalesce(t_image_in, 0) AS t_image_in,
			coalesce(t_image_out, 0) AS t_image_out,
			coalesce(t_web_search, 0) AS t_web_search,
			coalesce(t_audio_seconds, 0) AS t_audio_seconds,
			coalesce(t_characters, 0) AS t_characters,
			coalesce(t_images, 0) AS t_images,
			coalesce(t_search_units, 0) AS t_search_units,
			coalesce(t_audio_cache_read, 0) AS t_audio_cache_read
		FROM usage_daily WHERE day >= lo AND day < hi
			AND (ten = 0 OR tenant_uid = ten)
	)
	SELECT run, 'hourly_daily', d, tenant_uid, m.measure, m.expected,
		m.found,
		CASE WHEN h.cost IS NULL THEN 'no daily row'
			WHEN u.cost IS NULL THEN 'daily row without hourly rows'
			ELSE 'daily row' END
		|| format(': key %s, model %s, route %s, deployment %s',
			hg_name(key_uid), hg_name(model_uid),
			hg_name(route_uid), hg_name(deployment_uid))
	FROM u FULL JOIN h USING (
			tenant_uid, team_uid, project_uid, key_uid,
			model_uid, route_uid, deployment_uid)
	CROSS JOIN LATERAL (VALUES
		('requests', coalesce(u.requests, 0), coalesce(h.requests, 0)),
		('cost', coalesce(u.cost, 0), coalesce(h.cost, 0)),
		('input', coalesce(u.t_input, 0), coalesce(h.t_input, 0)),
		('cache_read', coalesce(u.t_cache_read, 0), coalesce(h.t_cache_read, 0)),
		('cache_write_5m', coalesce(u.t_cache_write_5m, 0), coalesce(h.t_cache_write_5m, 0)),
		('cache_write_1h', coalesce(u.t_cache_write_1h, 0), coalesce(h.t_cache_write_1h, 0)),
		('output', coalesce(u.t_output, 0), coalesce(h.t_output, 0)),
		('reasoning', coalesce(u.t_reasoning, 0), coalesce(h.t_reasoning, 0)),
		('audio_in', coalesce(u.t_audio_in, 0), coalesce(h.t_audio_in, 0)),
		('audio_out', coalesce(u.t_audio_out, 0), coalesce(h.t_audio_out, 0)),
		('image_in', coalesce(u.t_image_in, 0), coalesce(h.t_image_in, 0)),
		('image_out', coalesce(u.t_image_out, 0), coalesce(h.t_image_out, 0)),
		('web_search', coalesce(u.t_web_search, 0), coalesce(h.t_web_search, 0)),
		('audio_seconds', coalesce(u.t_audio_seconds, 0), coalesce(h.t_audio_seconds, 0)),
		('characters', coalesce(u.t_characters, 0), coalesce(h.t_characters, 0)),
		('images', coalesce(u.t_images, 0), coalesce(h.t_images, 0)),
		('search_units', coalesce(u.t_search_units, 0), coalesce(h.t_search_units, 0)),
		('audio_cache_read', coalesce(u.t_audio_cache_read, 0), coalesce(h.t_audio_cache_read, 0))
	) m(measure, expected, found)
	WHERE m.expected <> m.found
	ORDER BY key_uid LIMIT 200;
END $$;

-- The batches that have ledger rows in the day: complete, and each record
-- once.
CREATE FUNCTION hg_audit_batches(run bigint, d date, lo timestamptz,
	hi timestamptz, ten bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	-- the batch's own figures against its ledger rows
	INSERT INTO money_finding (run_id, kind, day, batch_id, agent_id,
		boot_epoch, shard, measure, expected, found, detail)
	SELECT run, 'batch_ledger', d, x.batch_id, b.agent_id::text,
		b.boot_epoch, b.shard,
		CASE WHEN b.cost = x.amount THEN 'records' ELSE 'cost' END,
		CASE WHEN b.cost = x.amount THEN b.records ELSE b.cost END,
		CASE WHEN b.cost = x.amount THEN x.records ELSE x.amount END,
		format('batch %s holds %s records of %s, its ledger rows %s '
			'of %s', x.batch_id, b.records, b.cost, x.records,
			x.amount)
	FROM (SELECT l.batch_id, sum(l.records)::bigint AS records,
			sum(l.amount)::bigint AS amount
		FROM ledger l WHERE l.batch_id IN (SELECT batch_id FROM ledger
			WHERE hour >= lo AND hour < hi) GROUP BY 1) x
	LEFT JOIN usage_batch b ON b.id = x.batch_id
	WHERE ten = 0 AND (b.records IS DISTINCT FROM x.records
		OR b.cost IS DISTINCT FROM x.amount)
	ORDER BY x.batch_id LIMIT 200;

	-- records that a damaged batch should have
	INSERT INTO money_finding (run_id, kind, day, batch_id, agent_id,
		boot_epoch, shard, seq, measure, expected, found, detail)
	SELECT run, 'usage_missing', d, b.id, b.agent_id::text, b.boot_epoch,
		b.shard, s.seq, 'records', 1, 0,
		format('record %s of agent %s, epoch %s, shard %s was booked '
			'by batch %s and is in neither usage nor quarantine',
			s.seq, b.agent_id, b.boot_epoch, b.shard, b.id)
	FROM (SELECT DISTINCT f.batch_id FROM money_finding f
		WHERE f.run_id = run AND f.day = d
			AND f.kind IN ('usage_ledger', 'batch_ledger')) x
	JOIN usage_batch b ON b.id = x.batch_id AND b.agent_id IS NOT NULL
	JOIN LATERAL (SELECT min(hour) AS a,
			max(hour) + interval '1 hour' AS z
		FROM ledger WHERE batch_id = b.id) h ON true
	CROSS JOIN LATERAL generate_series(b.first_seq, b.last_seq) AS s(seq)
	WHERE NOT EXISTS (SELECT 1 FROM usage u
			WHERE u.batch_id = b.id AND u.seq = s.seq
			AND u.started_at >= least(h.a, lo)
			AND u.started_at < greatest(h.z, hi))
		AND NOT EXISTS (SELECT 1 FROM usage_quarantine q
			WHERE q.agent_id = b.agent_id
			AND q.boot_epoch = b.boot_epoch AND q.shard = b.shard
			AND q.seq = s.seq)
	ORDER BY b.id, s.seq LIMIT 200;

	INSERT INTO money_finding (run_id, kind, day, tenant_uid, agent_id,
		boot_epoch, shard, seq, request_id, attempt, measure, expected,
		found, detail)
	SELECT run, 'usage_duplicate', d, min(tenant_uid), agent_id::text,
		boot_epoch, shard, seq, min(request_id::text)::uuid,
		min(attempt), 'records', 1, count(*),
		format('record %s of agent %s, epoch %s, shard %s is there %s '
			'times, in batches %s', seq, agent_id, boot_epoch,
			shard, count(*), string_agg(batch_id::text, ', '
				ORDER BY batch_id))
	FROM usage WHERE started_at >= lo AND started_at < hi AND kind = 0
		AND (ten = 0 OR tenant_uid = ten)
	GROUP BY agent_id, boot_epoch, shard, seq HAVING count(*) > 1
	LIMIT 200;

	INSERT INTO money_finding (run_id, kind, day, tenant_uid, request_id,
		attempt, measure, expected, found, detail)
	SELECT run, 'request_duplicate', d, min(tenant_uid), request_id,
		attempt, 'records', 1, count(*),
		format('request %s attempt %s is billed %s times: %s',
			request_id, attempt, count(*), string_agg(format(
				'agent %s epoch %s shard %s seq %s batch %s',
				agent_id, boot_epoch, shard, seq, batch_id),
				', ' ORDER BY batch_id, seq))
	FROM usage WHERE started_at >= lo AND started_at < hi AND kind = 0
		AND (ten = 0 OR tenant_uid = ten)
	GROUP BY request_id, attempt
	HAVING count(*) > 1
		AND count(DISTINCT (agent_id, boot_epoch, shard, seq)) > 1
	LIMIT 200;
END $$;

-- As usage_held() of proto/held.h.
CREATE FUNCTION hg_audit_held(u usage) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN u.kind = 0 AND u.source IN (2, 3) AND u.cost > 0
		THEN coalesce(greatest(0, least(u.charges[3],
			1000000000000000) - u.cost), 0) ELSE 0 END
$$;

-- What the day charged to budgets.
CREATE FUNCTION hg_audit_charges(d date, lo timestamptz, hi timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM money_audit_charge WHERE day = d;
	INSERT INTO money_audit_charge
	WITH c AS (
		SELECT u.batch_id, u.charges[i] AS uid, u.charges[i + 1] AS start,
			CASE WHEN u.kind = 0 THEN u.agent_id::text ELSE '' END
				AS agent,
			CASE WHEN u.kind = 0 THEN u.charges[i + 3] ELSE 0 END
				AS boot,
			sum(u.cost) AS cost,
			sum(hg_audit_held(u)) AS held,
			sum(CASE WHEN hg_audit_held(u) = 0 OR EXISTS (SELECT 1
				FROM usage v WHERE v.request_id = u.request_id
				AND v.attempt = u.attempt AND v.kind = 1
				AND v.started_at = u.started_at)
				THEN 0 ELSE hg_audit_held(u) END) AS uncorrected,
			max(u.started_at) AS last_at
		FROM usage u CROSS JOIN LATERAL generate_series(1,
			coalesce(array_length(u.charges, 1), 0), 4) i
		WHERE u.started_at >= lo AND u.started_at < hi
		GROUP BY 1, 2, 3, 4, 5
	), p AS (
		SELECT c.*, b.at, hg_audit_period(c.uid, c.start, greatest(
			c.last_at, CASE WHEN c.start = 0 THEN (SELECT max(hour)
			FROM ledger l WHERE l.batch_id = c.batch_id) END))
			AS period
		FROM c LEFT JOIN usage_batch b ON b.id = c.batch_id
	)
	SELECT d, p.uid, p.period, p.agent, p.boot, sum(p.cost), sum(p.held),
		sum(p.uncorrected),
		coalesce(sum(p.cost + p.held) FILTER (
			WHERE p.at < x.created_at - interval '1 minute'
			OR x.created_at IS NULL), 0),
		coalesce(sum(p.cost + p.held) FILTER (
			WHERE p.at >= x.created_at - interval '1 minute'
			AND p.at < x.created_at), 0)
	FROM p LEFT JOIN lease x ON x.budget_uid = p.uid
		AND x.period_start = p.period AND x.agent_id = p.agent
		AND x.boot_epoch = p.boot
	WHERE p.period IS NOT NULL
	GROUP BY 2, 3, 4, 5;
END $$;

-- One day of usage; returns its number of differences.
CREATE FUNCTION hg_audit_day(run bigint, d date, ten bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	lo timestamptz := d::timestamp AT TIME ZONE 'UTC';
	hi timestamptz := (d + 1)::timestamp AT TIME ZONE 'UTC';
	n bigint;
	u record;
BEGIN
	PERFORM hg_audit_ledger(run, d, lo, hi, ten);
	PERFORM hg_audit_rollups(run, d, lo, hi, ten);
	PERFORM hg_audit_batches(run, d, lo, hi, ten);
	SELECT count(*) INTO n FROM money_finding
		WHERE run_id = run AND day = d AND NOT notice;
	SELECT count(*) AS n, coalesce(sum(cost), 0)::bigint AS cost INTO u
		FROM usage WHERE started_at >= lo AND started_at < hi
		AND (ten = 0 OR tenant_uid = ten);
	UPDATE money_audit SET days = days + 1, usage_rows = usage_rows + u.n,
		usage_cost = usage_cost + u.cost,
		ledger_cost = ledger_cost + coalesce((SELECT sum(amount)
			FROM ledger WHERE hour >= lo AND hour < hi
			AND (ten = 0 OR tenant_uid = ten)), 0),
		hourly_cost = hourly_cost + coalesce((SELECT sum(cost)
			FROM usage_hourly WHERE hour >= lo AND hour < hi
			AND (ten = 0 OR tenant_uid = ten)), 0),
		daily_cost = daily_cost + coalesce((SELECT sum(cost)
			FROM usage_daily WHERE day >= lo AND day < hi
			AND (ten = 0 OR tenant_uid = ten)), 0)
		WHERE id = run;
	IF ten = 0 THEN
		PERFORM hg_audit_charges(d, lo, hi);
		INSERT INTO money_audit_day (day, audited_at, differences,
			usage_rows, usage_cost)
		VALUES (d, clock_timestamp(), n, u.n, u.cost)
		ON CONFLICT (day) DO UPDATE SET
			audited_at = excluded.audited_at,
			differences = excluded.differences,
			usage_rows = excluded.usage_rows,
			usage_cost = excluded.usage_cost;
	END IF;
	RETURN n;
END $$;

-- Begin a run; the days to look at are those of hg_audit_days().
CREATE FUNCTION hg_audit_begin(actor_ text, scope_ text, from_ timestamptz,
	to_ timestamptz, ten bigint)
RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO money_audit (actor, scope, first_day, last_day, tenant_uid,
		mark)
	SELECT actor_, scope_, (from_ AT TIME ZONE 'UTC')::date,
		((to_ - interval '1 microsecond') AT TIME ZONE 'UTC')::date,
		ten, CASE WHEN scope_ = 'range' OR ten <> 0 THEN 0 ELSE
		-- a batch whose transaction is still open is younger than this
		coalesce((SELECT max(id) FROM usage_batch
			WHERE at < now() - interval '10 minutes'), 0) END
	RETURNING id
$$;

CREATE FUNCTION hg_audit_days(run bigint) RETURNS TABLE (d date)
LANGUAGE sql AS $$
	WITH r AS (SELECT * FROM money_audit WHERE id = run),
	old AS (SELECT coalesce(max(m.mark), 0) AS mark FROM money_audit m
		WHERE m.id <> run),
	days AS (
		SELECT (l.hour AT TIME ZONE 'UTC')::date AS d
			FROM ledger l, old, r
			WHERE r.scope <> 'changed' OR l.batch_id > old.mark
			GROUP BY 1
		UNION SELECT (h.day AT TIME ZONE 'UTC')::date
			FROM usage_daily h, r
			WHERE r.scope <> 'changed' GROUP BY 1
		UNION SELECT to_date(substr(c.relname, 7), 'YYYYMMDD')
			FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
			r WHERE i.inhparent = 'usage'::regclass
			AND r.scope <> 'changed'
		UNION SELECT m.day FROM money_audit_day m
			WHERE m.differences > 0
		UNION (SELECT m.day FROM money_audit_day m WHERE NOT m.dropped
			ORDER BY m.audited_at LIMIT 1)
	)
	SELECT s.d FROM days s, r
	WHERE (r.scope <> 'range' OR (s.d >= coalesce(r.first_day, s.d)
			AND s.d <= coalesce(r.last_day, s.d)))
		AND NOT EXISTS (SELECT 1 FROM money_audit_day m
			WHERE m.day = s.d AND m.dropped)
	ORDER BY 1
$$;

-- Did every batch arrive, and is the watermark where they end?
CREATE FUNCTION hg_audit_watermarks(run bigint, after bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO money_finding (run_id, kind, batch_id, agent_id,
		boot_epoch, shard, seq, measure, expected, found, detail)
	SELECT run, 'watermark_gap', b.id, b.agent_id::text, b.boot_epoch,
		b.shard, b.first_seq, 'seq', coalesce(p.last_seq, 0) + 1,
		b.first_seq, format('agent %s, epoch %s, shard %s: batch %s '
			'begins at record %s, the one before ends at %s',
			b.agent_id, b.boot_epoch, b.shard, b.id, b.first_seq,
			coalesce(p.last_seq, 0))
	FROM usage_batch b LEFT JOIN LATERAL (
		SELECT o.last_seq FROM usage_batch o
		WHERE o.agent_id = b.agent_id AND o.boot_epoch = b.boot_epoch
			AND o.shard = b.shard AND o.first_seq < b.first_seq
		ORDER BY o.first_seq DESC LIMIT 1) p ON true
	WHERE b.agent_id IS NOT NULL AND b.id > after
		AND b.first_seq <> coalesce(p.last_seq, 0) + 1
	ORDER BY b.id LIMIT 200;

	INSERT INTO money_finding (run_id, kind, batch_id, agent_id,
		boot_epoch, shard, seq, measure, expected, found, detail)
	SELECT run, 'batch_records', b.id, b.agent_id::text, b.boot_epoch,
		b.shard, b.first_seq, 'records', b.last_seq - b.first_seq + 1,
		b.records + q.n, format('batch %s covers records %s to %s; %s '
			'were booked and %s are in quarantine', b.id,
			b.first_seq, b.last_seq, b.records, q.n)
	FROM usage_batch b CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM usage_quarantine q
		WHERE q.agent_id = b.agent_id AND q.boot_epoch = b.boot_epoch
			AND q.shard = b.shard AND q.seq >= b.first_seq
			AND q.seq <= b.last_seq) q
	WHERE b.agent_id IS NOT NULL AND b.id > after
		AND b.last_seq - b.first_seq + 1 <> b.records + q.n
	ORDER BY b.id LIMIT 200;

	INSERT INTO money_finding (run_id, kind, agent_id, boot_epoch, shard,
		seq, measure, expected, found, detail)
	SELECT run, 'watermark', w.agent_id::text, w.boot_epoch, w.shard,
		w.seq, 'seq', coalesce(p.last_seq, 0), w.seq,
		format('agent %s, epoch %s, shard %s: the watermark says %s, '
			'the last batch ends at %s', w.agent_id, w.boot_epoch,
			w.shard, w.seq, coalesce(p.last_seq, 0))
	FROM usage_watermark w LEFT JOIN LATERAL (
		SELECT o.last_seq FROM usage_batch o
		WHERE o.agent_id = w.agent_id AND o.boot_epoch = w.boot_epoch
			AND o.shard = w.shard
		ORDER BY o.first_seq DESC LIMIT 1) p ON true
	WHERE w.seq <> coalesce(p.last_seq, 0)
	ORDER BY 2, 3, 4 LIMIT 200;
END $$;

-- Budgets and leases, against each other and against usage.
CREATE FUNCTION hg_audit_budgets(run bigint, ten bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	prefix text := CASE WHEN ten = 0 THEN '' ELSE hg_name(ten) || '.' END;
BEGIN
	CREATE TEMP TABLE IF NOT EXISTS audit_booked (
		budget_uid bigint, period_start bigint, agent_id text,
		boot_epoch bigint, cost bigint, held bigint,
		uncorrected bigint, early bigint,
		unsure bigint)
		ON COMMIT DROP;
	TRUNCATE audit_booked;
	INSERT INTO audit_booked
	SELECT budget_uid, period_start, agent_id, boot_epoch,
		sum(cost), sum(held), sum(uncorrected), sum(early), sum(unsure)
	FROM (
		SELECT budget_uid, period_start, agent_id, boot_epoch, cost,
			held, uncorrected, early, unsure FROM money_audit_charge
		UNION ALL
		SELECT q.charges[i], hg_audit_period(q.charges[i],
				q.charges[i + 1], q.at), q.agent_id::text,
			q.charges[i + 3], q.cost, q.held, q.held, 0, 0
		FROM usage_quarantine q CROSS JOIN LATERAL generate_series(1,
			coalesce(array_length(q.charges, 1), 0), 4) i
	) c WHERE period_start IS NOT NULL GROUP BY 1, 2, 3, 4;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_conservation', p.budget_uid, p.period_start,
		p.limit_nano, p.free + x.live + p.settled + p.held,
		format('budget %s, period from %s: limit %s is not free %s + '
			'on leases %s + spent %s + held %s',
			hg_name(p.budget_uid), hg_instant(p.period_start),
			p.limit_nano, p.free, x.live, p.settled, p.held)
	FROM budget_period p CROSS JOIN LATERAL (
		SELECT coalesce(sum(granted - returned - settled), 0)::bigint
			AS live FROM lease l
		WHERE l.budget_uid = p.budget_uid
			AND l.period_start = p.period_start) x
	WHERE p.limit_nano <> p.free + x.live + p.settled + p.held
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		agent_id, boot_epoch, expected, found, detail)
	SELECT run, 'lease_bounds', budget_uid, period_start, agent_id,
		boot_epoch, granted, settled + returned,
		format('lease of agent %s, epoch %s on budget %s: granted %s, '
			'spent %s, returned %s', agent_id, boot_epoch,
			hg_name(budget_uid), granted, settled, returned)
	FROM lease WHERE (granted < 0 OR returned < 0 OR settled < 0
			OR settled + returned > granted)
		AND starts_with(hg_name(budget_uid), prefix)
	ORDER BY 3, 4, 5, 6 LIMIT 200;

	-- spent on the lease = charges of its usage; what was booked before
	-- the lease existed is on the period alone
	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		agent_id, boot_epoch, expected, found, detail)
	SELECT run, 'lease_usage', l.budget_uid, l.period_start, l.agent_id,
		l.boot_epoch, coalesce(b.cost + b.held - b.early, 0)
			+ l.written_off,
		l.settled, format('lease of agent %s, epoch %s on budget %s, '
			'period from %s: spent %s, but its usage cost %s, '
			'holds %s (%s of both before the lease was made), and '
			'%s was booked by decision', l.agent_id, l.boot_epoch,
			hg_name(l.budget_uid), hg_instant(l.period_start),
			l.settled, coalesce(b.cost, 0), coalesce(b.held, 0),
			coalesce(b.early, 0), l.written_off)
	FROM lease l LEFT JOIN audit_booked b ON b.budget_uid = l.budget_uid
		AND b.period_start = l.period_start
		AND b.agent_id = l.agent_id AND b.boot_epoch = l.boot_epoch
	WHERE (l.settled - l.written_off
			> coalesce(b.cost + b.held - b.early, 0)
		OR l.settled - l.written_off
			< coalesce(b.cost + b.held - b.early - b.unsure, 0))
		AND starts_with(hg_name(l.budget_uid), prefix)
	ORDER BY 3, 4, 5, 6 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_usage', budget_uid, period_start,
		coalesce(b.cost, 0) + coalesce(w.amount, 0),
		coalesce(p.settled, 0),
		format('budget %s, period from %s: spent %s, but usage cost '
			'%s and %s was booked by decision',
			hg_name(budget_uid), hg_instant(period_start),
			coalesce(p.settled, 0), coalesce(b.cost, 0),
			coalesce(w.amount, 0))
	FROM budget_period p FULL JOIN (SELECT budget_uid, period_start,
			sum(cost)::bigint AS cost FROM audit_booked
			GROUP BY 1, 2) b USING (budget_uid, period_start)
	LEFT JOIN (SELECT budget_uid, period_start,
			sum(amount)::bigint AS amount FROM doubt_decision
			WHERE action = 'book' GROUP BY 1, 2) w
		USING (budget_uid, period_start)
	WHERE coalesce(p.settled, 0)
			<> coalesce(b.cost, 0) + coalesce(w.amount, 0)
		AND starts_with(hg_name(budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, budget_uid, period_start,
		expected, found, detail)
	SELECT run, 'budget_held', p.budget_uid, p.period_start,
		coalesce(b.held, 0), p.held, format('budget %s, period from '
			'%s: %s is held, its uncorrected estimates hold %s',
			hg_name(p.budget_uid), hg_instant(p.period_start),
			p.held, coalesce(b.held, 0))
	FROM budget_period p LEFT JOIN (SELECT budget_uid, period_start,
			sum(uncorrected)::bigint AS held FROM audit_booked
			GROUP BY 1, 2) b USING (budget_uid, period_start)
	-- after a decision about all that was held, less may be
	WHERE (p.held < 0 OR p.held > coalesce(b.held, 0)
			OR (p.held < coalesce(b.held, 0) AND NOT EXISTS (
			SELECT 1 FROM doubt_decision w
			WHERE w.budget_uid = p.budget_uid AND w.agent_id = ''
			AND w.period_start = p.period_start)))
		AND starts_with(hg_name(p.budget_uid), prefix)
	ORDER BY 3, 4 LIMIT 200;
END $$;

-- What is not wrong, but somebody should know.
CREATE FUNCTION hg_audit_notices(run bigint, ten bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	prefix text := CASE WHEN ten = 0 THEN '' ELSE hg_name(ten) || '.' END;
	ns bigint := hg_ns(now());
BEGIN
	INSERT INTO money_finding (run_id, kind, notice, budget_uid,
		period_start, agent_id, boot_epoch, expected, found, detail)
	SELECT run, 'doubtful', true, budget_uid, period_start, agent_id,
		boot_epoch, 0, granted - settled - returned,
		format('agent %s, epoch %s may have spent %s more of budget %s',
			agent_id, boot_epoch, granted - settled - returned,
			hg_name(budget_uid))
	FROM lease WHERE (doubtful OR fence_at < ns)
		AND granted - settled - returned <> 0
		AND starts_with(hg_name(budget_uid), prefix)
	ORDER BY 3, 4, 5, 6 LIMIT 200;

	INSERT INTO money_finding (run_id, kind, notice, agent_id, measure,
		expected, found, detail)
	SELECT run, 'quarantined', true, agent_id::text, 'records', 0,
		count(*), format('%s records of agent %s are in quarantine '
			'since %s: %s; their cost %s counts on budgets only',
			count(*), agent_id, min(at), reason, sum(cost))
	FROM usage_quarantine WHERE ten = 0 GROUP BY agent_id, reason
	ORDER BY agent_id, reason LIMIT 200;
END $$;

-- What only a look at everything finds.
CREATE FUNCTION hg_audit_whole(run bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO money_finding (run_id, kind, expected, found, detail)
	SELECT run, 'ledger_unbalanced', 0, sum(amount)::bigint,
		'the postings of the ledger do not sum to zero'
	FROM ledger_posting HAVING sum(amount) <> 0;

	INSERT INTO money_finding (run_id, kind, tenant_uid, request_id,
		attempt, measure, expected, found, detail)
	SELECT run, 'request_duplicate', min(tenant_uid), request_id, attempt,
		'records', 1, count(*),
		format('request %s attempt %s is billed on several days: %s',
			request_id, attempt, string_agg(format(
				'%s agent %s epoch %s shard %s seq %s batch %s',
				(started_at AT TIME ZONE 'UTC')::date,
				agent_id, boot_epoch, shard, seq, batch_id),
				', ' ORDER BY started_at))
	FROM usage WHERE kind = 0 GROUP BY request_id, attempt
	HAVING count(*) > 1
		AND count(DISTINCT (started_at AT TIME ZONE 'UTC')::date) > 1
	LIMIT 200;
END $$;

CREATE FUNCTION hg_audit_end(run bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	ten bigint;
	after bigint;
	ns bigint := hg_ns(now());
BEGIN
	SELECT tenant_uid, CASE WHEN scope = 'changed' THEN (
		SELECT coalesce(max(m.mark), 0) FROM money_audit m
			WHERE m.id <> run) ELSE 0 END
		INTO ten, after FROM money_audit WHERE id = run;
	IF ten = 0 THEN
		PERFORM hg_audit_watermarks(run, after);
	END IF;
	IF ten = 0 AND EXISTS (SELECT 1 FROM money_audit
		WHERE id = run AND scope = 'full')
	THEN
		PERFORM hg_audit_whole(run);
	END IF;
	PERFORM hg_audit_budgets(run, ten);
	PERFORM hg_audit_notices(run, ten);
	UPDATE money_audit SET
		duration_ms = extract(epoch FROM clock_timestamp() - at) * 1000,
		budget_periods = (SELECT count(*) FROM budget_period),
		leases = (SELECT count(*) FROM lease),
		doubtful = coalesce((SELECT sum(granted - settled - returned)
			FROM lease WHERE doubtful OR fence_at < ns), 0),
		held = coalesce((SELECT sum(p.held) FROM budget_period p), 0),
		quarantined = (SELECT count(*) FROM usage_quarantine),
		differences = (SELECT count(*) FROM money_finding
			WHERE run_id = run AND NOT notice),
		notices = (SELECT count(*) FROM money_finding
			WHERE run_id = run AND notice)
		WHERE id = run;
	-- runs without a difference are of no interest for long
	DELETE FROM money_audit m WHERE m.id < run - 20
		AND m.at < now() - CASE WHEN m.differences = 0
			THEN interval '7 days' ELSE interval '400 days' END
		AND m.mark < (SELECT max(mark) FROM money_audit);
END $$;
