-- The role that the bot logs in with: it reads what PostgreSQL counts about statements, and no row of any
-- table but that with the applied migrations.
-- For the DBA, once on the primary, in the application's database (roles reach the replicas by themselves):
--
--   psql -h HOST -U postgres -d omnicare_emr_prod -f deploy/database/reader.sql
--   psql -h HOST -U postgres -d omnicare_emr_prod -c '\password omnicare_reader'
--
-- It can be run again. PostgreSQL 10 and later; on RDS as the master user, with pg_stat_statements in the parameter group's
-- shared_preload_libraries (it is there by default).
\set ON_ERROR_STOP on
BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'omnicare_reader') AS new_reader \gset
\if :new_reader
CREATE ROLE omnicare_reader;
\endif
-- Two connections for each bot; a few more for a bot that is being replaced by the next.
ALTER ROLE omnicare_reader LOGIN NOCREATEDB NOCREATEROLE CONNECTION LIMIT 6;
-- The bot asks for the same by itself; this holds for whoever else has the password.
ALTER ROLE omnicare_reader SET default_transaction_read_only = on;
ALTER ROLE omnicare_reader SET statement_timeout = '10s';
ALTER ROLE omnicare_reader SET lock_timeout = '1s';
ALTER ROLE omnicare_reader SET idle_in_transaction_session_timeout = '30s';

SELECT format('GRANT CONNECT ON DATABASE %I TO omnicare_reader', current_database()) \gexec
-- Statistics of all roles' statements and what runs now. Not pg_monitor: that may read settings and lock tables besides.
GRANT pg_read_all_stats TO omnicare_reader;

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
-- Where it stands in a schema of its own, or PUBLIC's right to read it was taken away.
SELECT format('GRANT USAGE ON SCHEMA %I TO omnicare_reader', n.nspname)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements' \gexec
SELECT format('GRANT SELECT ON %I.%I TO omnicare_reader', n.nspname, c.relname)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace JOIN pg_class c ON c.relnamespace = n.oid
 WHERE e.extname = 'pg_stat_statements' AND c.relname IN ('pg_stat_statements', 'pg_stat_statements_info') \gexec

-- Which migrations are applied, for the plan of a deploy: names alone.
SELECT 'GRANT SELECT ON public.schema_migrations TO omnicare_reader' WHERE to_regclass('public.schema_migrations') IS NOT NULL \gexec

COMMIT;
