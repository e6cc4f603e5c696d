-- SPDX-License-Identifier: Apache-2.0
--
-- Usage: what agents' journals reported, exactly once. Money is nano-USD.
-- Token classes have a column each, in the order of enum token_class
-- (common/money.h); in usage NULL means 0 and keeps rows short.

-- Every record up to seq of this agent's journal shard is booked.
CREATE TABLE usage_watermark (
	agent_id uuid NOT NULL,
	boot_epoch bigint NOT NULL,
	shard integer NOT NULL,
	seq bigint NOT NULL,
	closed boolean NOT NULL DEFAULT false,
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (agent_id, boot_epoch, shard)
) WITH (fillfactor = 50);

-- One ingest transaction (agent_id set) or one set of corrections.
CREATE TABLE usage_batch (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	agent_id uuid,
	boot_epoch bigint,
	shard integer,
	first_seq bigint,
	last_seq bigint,
	records integer NOT NULL,
	cost bigint NOT NULL,
	actor text -- who corrected
);

-- Partitioned by UTC day of started_at; usage_YYYYMMDD, made ahead and on
-- demand. There is no default partition: a row always has its day.
CREATE TABLE usage (
	batch_id bigint NOT NULL,
	seq bigint NOT NULL,
	agent_id uuid NOT NULL,
	boot_epoch bigint NOT NULL,
	shard integer NOT NULL,
	kind smallint NOT NULL, -- 0 record, 1 correction
	attempt integer NOT NULL,
	request_id uuid NOT NULL,
	started_at timestamptz NOT NULL,
	duration_us bigint NOT NULL,
	first_byte_us bigint NOT NULL,
	tenant_uid bigint NOT NULL,
	team_uid bigint NOT NULL,
	project_uid bigint NOT NULL,
	key_uid bigint NOT NULL,
	route_uid bigint NOT NULL,
	deployment_uid bigint NOT NULL,
	provider_uid bigint NOT NULL,
	model_uid bigint NOT NULL,
	config_version bigint NOT NULL,
	price_version bigint NOT NULL,
	cost bigint NOT NULL,
	source smallint NOT NULL,
	http_status smallint NOT NULL,
	streamed boolean NOT NULL,
	t_input bigint,
	t_cache_read bigint,
	t_cache_write_5m bigint,
	t_cache_write_1h bigint,
	t_output bigint,
	t_reasoning bigint,
	t_audio_in bigint,
	t_audio_out bigint,
	t_image_in bigint,
	t_image_out bigint,
	finish_reason text,
	upstream_request_id text,
	error_code text,
	charges bigint[], -- budget_uid, period_start (ns), reserved, boot_epoch
	tags json
) PARTITION BY RANGE (started_at);
-- Request ids are UUIDv7 and arrive nearly in order: both indexes mostly
-- append.
CREATE INDEX usage_request ON usage (request_id);
CREATE INDEX usage_at ON usage (started_at, batch_id, seq);

-- Records that cannot be right; they count as consumed.
CREATE TABLE usage_quarantine (
	agent_id uuid NOT NULL,
	boot_epoch bigint NOT NULL,
	shard integer NOT NULL,
	seq bigint NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	reason text NOT NULL,
	record bytea NOT NULL, -- UsageRecord of proto/headgate.proto
	PRIMARY KEY (agent_id, boot_epoch, shard, seq)
);

-- Sums, kept in the ingest transaction. Rows are updated often: room on the
-- page keeps updates off the index.
CREATE TABLE usage_hourly (
	hour timestamptz NOT NULL,
	tenant_uid bigint NOT NULL,
	team_uid bigint NOT NULL,
	project_uid bigint NOT NULL,
	key_uid bigint NOT NULL,
	model_uid bigint NOT NULL,
	route_uid bigint NOT NULL,
	deployment_uid bigint NOT NULL,
	requests bigint NOT NULL,
	cost bigint NOT NULL,
	t_input bigint NOT NULL,
	t_cache_read bigint NOT NULL,
	t_cache_write_5m bigint NOT NULL,
	t_cache_write_1h bigint NOT NULL,
	t_output bigint NOT NULL,
	t_reasoning bigint NOT NULL,
	t_audio_in bigint NOT NULL,
	t_audio_out bigint NOT NULL,
	t_image_in bigint NOT NULL,
	t_image_out bigint NOT NULL,
	PRIMARY KEY (hour, tenant_uid, team_uid, project_uid, key_uid,
		model_uid, route_uid, deployment_uid)
) WITH (fillfactor = 60);

CREATE TABLE usage_daily (
	day timestamptz NOT NULL, -- 00:00 UTC
	tenant_uid bigint NOT NULL,
	team_uid bigint NOT NULL,
	project_uid bigint NOT NULL,
	key_uid bigint NOT NULL,
	model_uid bigint NOT NULL,
	route_uid bigint NOT NULL,
	deployment_uid bigint NOT NULL,
	requests bigint NOT NULL,
	cost bigint NOT NULL,
	t_input bigint NOT NULL,
	t_cache_read bigint NOT NULL,
	t_cache_write_5m bigint NOT NULL,
	t_cache_write_1h bigint NOT NULL,
	t_output bigint NOT NULL,
	t_reasoning bigint NOT NULL,
	t_audio_in bigint NOT NULL,
	t_audio_out bigint NOT NULL,
	t_image_in bigint NOT NULL,
	t_image_out bigint NOT NULL,
	PRIMARY KEY (day, tenant_uid, team_uid, project_uid, key_uid,
		model_uid, route_uid, deployment_uid)
) WITH (fillfactor = 60);
