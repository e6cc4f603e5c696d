-- SPDX-License-Identifier: Apache-2.0
--
-- Units beside tokens that are paid for (searches, seconds of audio,
-- characters, images, units of reranking) and cached audio, as columns like
-- those of the token classes; and the price tier that an answer named
-- (NULL = standard). Adding columns without a value rewrites no table.

ALTER TABLE usage
	ADD COLUMN t_web_search bigint,
	ADD COLUMN t_audio_seconds bigint,
	ADD COLUMN t_characters bigint,
	ADD COLUMN t_images bigint,
	ADD COLUMN t_search_units bigint,
	ADD COLUMN t_audio_cache_read bigint,
	ADD COLUMN tier text;

ALTER TABLE usage_hourly
	ADD COLUMN t_web_search bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_audio_seconds bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_characters bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_images bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_search_units bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_audio_cache_read bigint NOT NULL DEFAULT 0;

ALTER TABLE usage_daily
	ADD COLUMN t_web_search bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_audio_seconds bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_characters bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_images bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_search_units bigint NOT NULL DEFAULT 0,
	ADD COLUMN t_audio_cache_read bigint NOT NULL DEFAULT 0;
