-- SPDX-License-Identifier: Apache-2.0
--
-- Admin tokens (as digests), the audit log, idempotency keys of the REST API.

CREATE TABLE admin_token (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text COLLATE "C" NOT NULL,
	role smallint NOT NULL CHECK (role BETWEEN 1 AND 4),
	digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
	prefix text NOT NULL,
	created_by text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	last_used_at timestamptz,
	revoked_at timestamptz
);
CREATE UNIQUE INDEX admin_token_live_name ON admin_token (name)
	WHERE revoked_at IS NULL;

CREATE TABLE audit (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	actor text NOT NULL,
	role text NOT NULL,
	action text NOT NULL,
	target text COLLATE "C" NOT NULL,
	request_id text NOT NULL,
	remote text NOT NULL,
	version bigint,
	status integer NOT NULL,
	detail json
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_target ON audit (target, id);
CREATE TRIGGER audit_append_only
	BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
	FOR EACH STATEMENT EXECUTE FUNCTION append_only();

CREATE TABLE idempotency (
	token_id bigint NOT NULL,
	key text COLLATE "C" NOT NULL,
	request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
	created_at timestamptz NOT NULL DEFAULT now(),
	status integer, -- NULL: being worked on in an open transaction
	location text,
	etag text,
	body bytea,
	PRIMARY KEY (token_id, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);
