-- Lets the bot end a session that others wait for (`db kill`): one function, and no right to signal anything by itself.
-- Optional. For the DBA, once on the primary, after reader.sql (functions reach the replicas by themselves):
--
--   psql -h HOST -U postgres -d omnicare_emr_prod -f deploy/database/kill.sql
--
-- pg_signal_backend lets a role end every session but a superuser's. It belongs to omnicare_signaller, as whom nobody can log in; the
-- bot's role may call the one function that this role owns, and that function
--
--   * ends a client's session of this database alone: no replication, no autovacuum, no superuser's session, none of the bot's own,
--   * only if it is still the session and the transaction that somebody looked at before: process ids are used again,
--   * cancels the statement, or ends the session, and does nothing else.
--
-- It can be run again. PostgreSQL 10 and later.
\set ON_ERROR_STOP on
BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'omnicare_signaller') AS new_signaller \gset
\if :new_signaller
CREATE ROLE omnicare_signaller;
\endif
ALTER ROLE omnicare_signaller NOLOGIN NOCREATEDB NOCREATEROLE;
-- To see whose session it is, and to signal it.
GRANT pg_read_all_stats, pg_signal_backend TO omnicare_signaller;

-- Who is no superuser (RDS) has to be a member of the function's owner while installing it.
SELECT NOT rolsuper AS not_super, current_user AS installer FROM pg_roles WHERE rolname = current_user \gset
\if :not_super
GRANT omnicare_signaller TO :"installer";
\endif

CREATE SCHEMA IF NOT EXISTS omnicare_bot;
REVOKE ALL ON SCHEMA omnicare_bot FROM PUBLIC;
GRANT USAGE ON SCHEMA omnicare_bot TO omnicare_reader, omnicare_signaller;

-- Returns what became of it: sent, gone, changed, refused.
CREATE OR REPLACE FUNCTION omnicare_bot.end_session(process int, session_began timestamptz, transaction_began timestamptz, terminate boolean)
  RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  seen record;
  sent boolean;
BEGIN
  PERFORM pg_stat_clear_snapshot();
  SELECT a.backend_type, a.backend_start, a.xact_start, a.datname, r.rolsuper, r.rolname INTO seen
    FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid WHERE a.pid = process;
  IF NOT FOUND OR seen.backend_start IS DISTINCT FROM session_began THEN
    RETURN 'gone';
  END IF;
  IF seen.backend_type IS DISTINCT FROM 'client backend' OR seen.rolsuper IS DISTINCT FROM false
     OR seen.datname IS DISTINCT FROM current_database() OR seen.rolname = session_user THEN
    RETURN 'refused';
  END IF;
  IF seen.xact_start IS DISTINCT FROM transaction_began THEN
    RETURN 'changed';
  END IF;
  IF terminate THEN
    sent := pg_terminate_backend(process);
  ELSE
    sent := pg_cancel_backend(process);
  END IF;
  RETURN CASE WHEN sent THEN 'sent' ELSE 'gone' END;
END
$function$;

REVOKE ALL ON FUNCTION omnicare_bot.end_session(int, timestamptz, timestamptz, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION omnicare_bot.end_session(int, timestamptz, timestamptz, boolean) TO omnicare_reader;

-- The function acts with its owner's rights, so it must not belong to who installs it. The owner needs CREATE for this one moment.
GRANT CREATE ON SCHEMA omnicare_bot TO omnicare_signaller;
ALTER FUNCTION omnicare_bot.end_session(int, timestamptz, timestamptz, boolean) OWNER TO omnicare_signaller;
REVOKE CREATE ON SCHEMA omnicare_bot FROM omnicare_signaller;
\if :not_super
REVOKE omnicare_signaller FROM :"installer";
\endif

COMMIT;
