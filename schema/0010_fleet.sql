-- SPDX-License-Identifier: Apache-2.0
-- Agents: who enrolled, which process of each is current, what it runs.

CREATE TABLE join_token (
	id text PRIMARY KEY,
	digest bytea NOT NULL,		-- SHA-256 of the 32-byte secret
	agent_group text NOT NULL,
	region text NOT NULL,
	labels jsonb NOT NULL DEFAULT '{}',
	created_by text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,		-- NULL: never
	max_uses bigint NOT NULL,	-- 0: any number
	uses bigint NOT NULL DEFAULT 0,
	revoked_at timestamptz
);

CREATE TABLE agent (
	id text PRIMARY KEY,		-- UUIDv7
	hostname text NOT NULL,
	agent_group text NOT NULL,
	region text NOT NULL,
	labels jsonb NOT NULL DEFAULT '{}',
	public_key bytea NOT NULL UNIQUE, -- Ed25519
	join_token text NOT NULL,
	enrolled_at timestamptz NOT NULL DEFAULT now(),
	revoked_at timestamptz,
	-- the process that said hello last
	boot_epoch bigint NOT NULL DEFAULT 0,
	instance_id text NOT NULL DEFAULT '',
	software_version text NOT NULL DEFAULT '',
	hello_at timestamptz,
	-- another process with this identity was turned away
	refused_at timestamptz,
	refused_reason text NOT NULL DEFAULT '',
	-- from heartbeats, written about once a second
	last_seen timestamptz,
	state text NOT NULL DEFAULT '',
	active_version bigint NOT NULL DEFAULT 0,
	unshipped bigint NOT NULL DEFAULT 0,
	oldest_unshipped timestamptz,
	requests_total bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE INDEX agent_by_group ON agent (agent_group);

-- Every process an agent ever was: its usage may arrive much later.
CREATE TABLE agent_boot (
	agent_id text NOT NULL REFERENCES agent,
	boot_epoch bigint NOT NULL,
	instance_id text NOT NULL,
	n_shards integer NOT NULL,	-- journal shards; 0: not told
	hello_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (agent_id, boot_epoch)
);

CREATE TABLE config_ack (
	version bigint NOT NULL,
	agent_id text NOT NULL REFERENCES agent,
	received_at timestamptz,
	validated_at timestamptz,
	rejected_at timestamptz,
	active_at timestamptz,
	item_kind integer NOT NULL DEFAULT 0,
	item text NOT NULL DEFAULT '',
	reason text NOT NULL DEFAULT '',
	PRIMARY KEY (version, agent_id)
) WITH (fillfactor = 70);
CREATE INDEX config_ack_by_agent ON config_ack (agent_id);
