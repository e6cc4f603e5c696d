-- SPDX-License-Identifier: Apache-2.0
--
-- Units beside tokens that are paid for (searches, seconds of audio,
-- characters, images, units of reranking) and cached audio, as columns like
-- those of the token classes; and the price tier that an answer named
-- (NULL = standard). Adding columns without a value rewrites no table. In the
-- sums, too, NULL means 0 here: most rows have none of these units, and a
-- report passes over NULL at no cost.

ALTER TABLE usage
	ADD COLUMN t_web_search bigint,
	ADD COLUMN t_audio_seconds bigint,
	ADD COLUMN t_characters bigint,
	ADD COLUMN t_images bigint,
	ADD COLUMN t_search_units bigint,
	ADD COLUMN t_audio_cache_read bigint,
	ADD COLUMN tier text;

ALTER TABLE usage_hourly
	ADD COLUMN t_web_search bigint,
	ADD COLUMN t_audio_seconds bigint,
	ADD COLUMN t_characters bigint,
	ADD COLUMN t_images bigint,
	ADD COLUMN t_search_units bigint,
	ADD COLUMN t_audio_cache_read bigint;

ALTER TABLE usage_daily
	ADD COLUMN t_web_search bigint,
	ADD COLUMN t_audio_seconds bigint,
	ADD COLUMN t_characters bigint,
	ADD COLUMN t_images bigint,
	ADD COLUMN t_search_units bigint,
	ADD COLUMN t_audio_cache_read bigint;
