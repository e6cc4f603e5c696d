-- SPDX-License-Identifier: Apache-2.0
--
-- As before, also of the cells of budgets for each value: definitions of
-- budgets are read from budget_def.
DO $$
DECLARE
	was text := pg_get_functiondef('hg_audit_base'::regproc);
BEGIN
	IF position('config_item' IN was) = 0 THEN
		RAISE EXCEPTION 'hg_audit_base reads no items';
	END IF;
	EXECUTE replace(was, 'config_item', 'budget_def');
END $$;
