-- SPDX-License-Identifier: Apache-2.0
-- Shares of limits that all agents keep together: who has what part of a
-- limit's rates and places until when. Kept here and not in a replica's memory
-- because agents may ask any replica, and a new one must know what is lent.
-- controlplane/fleet/share.h says what holds. Rates are micro-units a minute,
-- levels micro-units, instants nanoseconds since 1970 UTC.
--
-- Who changes a share holds the row lock of its rate_pool.

CREATE TABLE rate_pool (
	limit_uid bigint PRIMARY KEY,
	at bigint NOT NULL,		-- of the last decision
	requests_level bigint NOT NULL,
	tokens_level bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE rate_share (
	limit_uid bigint NOT NULL,
	agent_id text COLLATE "C" NOT NULL,
	boot_epoch bigint NOT NULL,
	session bigint NOT NULL,
	share_id bigint NOT NULL,
	until_at bigint NOT NULL,
	requests bigint NOT NULL,
	tokens bigint NOT NULL,
	places bigint NOT NULL,
	-- the larger share before, until the agent confirms this one
	old_until bigint NOT NULL,
	old_requests bigint NOT NULL,
	old_tokens bigint NOT NULL,
	old_places bigint NOT NULL,
	requests_wanted bigint NOT NULL,
	tokens_wanted bigint NOT NULL,
	places_wanted bigint NOT NULL,
	-- of the session, cumulative
	requests_given bigint NOT NULL,
	tokens_given bigint NOT NULL,
	requests_returned bigint NOT NULL,
	tokens_returned bigint NOT NULL,
	in_flight bigint NOT NULL,
	PRIMARY KEY (limit_uid, agent_id)
) WITH (fillfactor = 50);
