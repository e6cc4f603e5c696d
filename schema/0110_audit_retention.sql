-- SPDX-License-Identifier: Apache-2.0
--
-- Retention of the audit log. Rows are never changed; those from before an
-- announced instant may be deleted, by hg_audit_expire() only, which leaves a
-- row that says how many.

CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.at < nullif(current_setting('headgate.audit_before', true),
		'')::timestamptz
	THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'table audit is append-only';
END $$;

DROP TRIGGER audit_append_only ON audit;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit
	FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER audit_keep BEFORE DELETE ON audit
	FOR EACH ROW EXECUTE FUNCTION audit_keep();

-- Delete at most 10000 rows from before the instant. Returns how many.
CREATE FUNCTION hg_audit_expire(before_ timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	PERFORM set_config('headgate.audit_before', before_::text, true);
	DELETE FROM audit WHERE id IN (SELECT id FROM audit
		WHERE at < before_ ORDER BY at LIMIT 10000);
	GET DIAGNOSTICS n = ROW_COUNT;
	PERFORM set_config('headgate.audit_before', '', true);
	IF n > 0 THEN
		INSERT INTO audit (actor, role, action, target, request_id,
			remote, status, detail)
		VALUES ('headgate', 'owner', 'expire', 'audit', '', '', 200,
			json_build_object('rows', n, 'before', before_));
	END IF;
	RETURN n;
END $$;
