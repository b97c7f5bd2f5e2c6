-- Plans for the bot, without the right to read a table: a function that plans a statement and does nothing else.
-- For the DBA, once on the primary, after reader.sql. `application` is the role whose statements may be explained:
--
--   psql -h HOST -U postgres -d omnicare_emr_prod -v application=omnicare_prod_user -f deploy/database/explain.sql
--
-- EXPLAIN wants the rights that executing would. They belong to omnicare_planner, as whom nobody can log in; the bot's role may call
-- the one function that this role owns, and that function
--
--   * takes no SQL, but the number of a statement that pg_stat_statements has counted, and only one that a member of
--     omnicare_explained ran: what somebody with the bot's password makes up is never planned,
--   * plans exactly one SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or TABLE, with its `$1` unknown, and never executes it,
--   * first makes the transaction read-only, for good, and looks names up along a path of its own.
--
-- It can be run again. PostgreSQL 11 and later; another schema than public: change it in the five places below.
\set ON_ERROR_STOP on
\if :{?application}
\else
\warn 'Say whose statements may be explained: -v application=ROLE'
SELECT 1 / 0 AS "application is missing";
\endif
BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'omnicare_planner') AS new_planner,
       NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'omnicare_explained') AS new_explained \gset
\if :new_planner
CREATE ROLE omnicare_planner;
\endif
\if :new_explained
CREATE ROLE omnicare_explained;
\endif
ALTER ROLE omnicare_planner NOLOGIN NOCREATEDB NOCREATEROLE;
ALTER ROLE omnicare_explained NOLOGIN NOCREATEDB NOCREATEROLE;
-- A mark, which gives the application nothing.
GRANT omnicare_explained TO :"application";

-- Only who may read a table may plan a SELECT on it.
GRANT pg_read_all_stats TO omnicare_planner;
GRANT USAGE ON SCHEMA public TO omnicare_planner;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO omnicare_planner;
ALTER DEFAULT PRIVILEGES FOR ROLE :"application" IN SCHEMA public GRANT SELECT ON TABLES TO omnicare_planner;
-- For plans of UPDATE, INSERT and DELETE too, run it with -v writes=yes. In the function's read-only transaction nothing can be written
-- with these rights, and outside of it nobody has them.
\if :{?writes}
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO omnicare_planner;
ALTER DEFAULT PRIVILEGES FOR ROLE :"application" IN SCHEMA public GRANT INSERT, UPDATE, DELETE ON TABLES TO omnicare_planner;
\endif

-- Who is no superuser (RDS) has to be a member of the function's owner while installing it.
SELECT NOT rolsuper AS not_super, current_user AS installer FROM pg_roles WHERE rolname = current_user \gset
\if :not_super
GRANT omnicare_planner TO :"installer";
\endif

CREATE SCHEMA IF NOT EXISTS omnicare_bot;
REVOKE ALL ON SCHEMA omnicare_bot FROM PUBLIC;
GRANT USAGE ON SCHEMA omnicare_bot TO omnicare_reader, omnicare_planner;

CREATE OR REPLACE FUNCTION omnicare_bot.explain_query(queryid bigint) RETURNS json
  LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER PARALLEL UNSAFE
  -- pg_temp is named so that it comes last: a temporary table of the caller's stands for no table.
  SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan
  SET lock_timeout = '1s'
AS $function$
DECLARE
  counted text;
  statement text;
  line record;
  plan json;
  parameters int;
  prepared constant text := 'omnicare_bot_plan';
BEGIN
  -- Until the transaction ends, and it can't be taken back.
  PERFORM set_config('transaction_read_only', 'on', true);

  SELECT n.nspname INTO STRICT statement
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements';
  EXECUTE format(
    'SELECT min(s.query) FROM %I.pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid '
    'WHERE s.queryid = $1 AND s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) '
    'AND pg_has_role(r.oid, ''omnicare_explained'', ''MEMBER'')', statement)
    INTO counted USING queryid;
  IF counted IS NULL THEN
    RAISE EXCEPTION 'no member of omnicare_explained ran a statement of that number' USING ERRCODE = 'OB001';
  END IF;

  statement := regexp_replace(counted, '[\s;]+$', '');
  -- Any semicolon ends it, also one in a literal or a comment: a statement too many would be executed.
  IF position(';' IN statement) > 0
     OR statement !~* '^(\s|--[^\n]*\n|/\*([^*]|\*+[^*/])*\*+/|\()*(select|insert|update|delete|merge|with|values|table)\M' THEN
    RAISE EXCEPTION 'that is not exactly one statement that has a plan' USING ERRCODE = 'OB002';
  END IF;

  IF current_setting('server_version_num')::int >= 160000 THEN
    -- FOR … IN EXECUTE opens a cursor, and a cursor takes one statement: the server's own parser is the second wall.
    FOR line IN EXECUTE 'EXPLAIN (GENERIC_PLAN, FORMAT JSON) ' || statement LOOP
      plan := line."QUERY PLAN";
    END LOOP;
  ELSE
    BEGIN
      EXECUTE 'PREPARE ' || prepared || ' AS ' || statement;
      SELECT coalesce(array_length(p.parameter_types, 1), 0) INTO STRICT parameters
        FROM pg_prepared_statements p WHERE p.name = prepared;
      FOR line IN EXECUTE 'EXPLAIN (FORMAT JSON) EXECUTE ' || prepared
                          || CASE WHEN parameters > 0 THEN '(' || rtrim(repeat('NULL,', parameters), ',') || ')' ELSE '' END LOOP
        plan := line."QUERY PLAN";
      END LOOP;
      EXECUTE 'DEALLOCATE ' || prepared;
    EXCEPTION WHEN OTHERS THEN
      -- It outlives what is rolled back.
      IF EXISTS (SELECT FROM pg_prepared_statements p WHERE p.name = prepared) THEN
        EXECUTE 'DEALLOCATE ' || prepared;
      END IF;
      RAISE;
    END;
  END IF;
  RETURN plan;
END
$function$;

REVOKE ALL ON FUNCTION omnicare_bot.explain_query(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION omnicare_bot.explain_query(bigint) TO omnicare_reader;

-- The function acts with its owner's rights, so it must not belong to who installs it. The owner needs CREATE for this one moment.
GRANT CREATE ON SCHEMA omnicare_bot TO omnicare_planner;
ALTER FUNCTION omnicare_bot.explain_query(bigint) OWNER TO omnicare_planner;
REVOKE CREATE ON SCHEMA omnicare_bot FROM omnicare_planner;
\if :not_super
REVOKE omnicare_planner FROM :"installer";
\endif

COMMIT;
