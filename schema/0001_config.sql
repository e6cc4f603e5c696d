-- SPDX-License-Identifier: Apache-2.0
--
-- Configuration: items as they are, every change that made them so, and the
-- versions that group changes. Names sort by bytes whatever the database's
-- locale is. spec, old and new keep the text as committed (json, not jsonb).

CREATE SEQUENCE item_uid_seq;

CREATE TABLE config_version (
	version bigint PRIMARY KEY CHECK (version > 0),
	author text NOT NULL,
	message text NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	rollback_of bigint REFERENCES config_version,
	n_changes integer NOT NULL
);

CREATE TABLE config_item (
	uid bigint PRIMARY KEY,
	kind smallint NOT NULL,
	name text COLLATE "C" NOT NULL,
	version bigint NOT NULL REFERENCES config_version,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL,
	spec json NOT NULL,
	UNIQUE (kind, name)
);

CREATE TABLE config_change (
	version bigint NOT NULL REFERENCES config_version,
	ord integer NOT NULL,
	op smallint NOT NULL CHECK (op IN (1, 2, 3)),
	kind smallint NOT NULL,
	uid bigint NOT NULL,
	name text COLLATE "C" NOT NULL,
	old json,
	new json,
	PRIMARY KEY (version, ord),
	CHECK ((op = 1) = (old IS NULL)),
	CHECK ((op = 3) = (new IS NULL))
);
CREATE INDEX config_change_uid ON config_change (uid, version);

-- What a uid is called, also after the item was deleted.
CREATE TABLE item_name (
	uid bigint PRIMARY KEY,
	kind smallint NOT NULL,
	name text COLLATE "C" NOT NULL
);
CREATE INDEX item_name_name ON item_name (kind, name);

-- Provider credentials, sealed with a key derived from the master key.
CREATE TABLE secret (
	provider_uid bigint NOT NULL,
	version bigint NOT NULL CHECK (version > 0),
	sealed bytea NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (provider_uid, version)
);

-- The control plane's own keys, sealed likewise; shared by all replicas.
CREATE TABLE cp_secret (
	name text COLLATE "C" PRIMARY KEY,
	sealed bytea NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);

-- For tables that only grow: statement triggers that refuse the rest.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME
		USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER config_version_append_only
	BEFORE UPDATE OR DELETE OR TRUNCATE ON config_version
	FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER config_change_append_only
	BEFORE UPDATE OR DELETE OR TRUNCATE ON config_change
	FOR EACH STATEMENT EXECUTE FUNCTION append_only();
