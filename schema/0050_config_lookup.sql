-- SPDX-License-Identifier: Apache-2.0
--
-- Look-ups that a commit makes while it holds the writers' lock: who refers
-- to an item, and which key has a digest.

CREATE INDEX config_item_model ON config_item ((spec->>'model'))
	WHERE kind = 7;
CREATE INDEX config_item_provider ON config_item ((spec->>'provider'))
	WHERE kind = 7;
CREATE INDEX config_item_scope ON config_item ((spec->>'scope'))
	WHERE kind IN (9, 10);
CREATE UNIQUE INDEX config_item_digest ON config_item ((spec->>'digest'))
	WHERE kind = 4;
