"""The tables of a medical record, their rows (all invented, by arithmetic), and what an application does with them all day.

Some of it is slow, as it is in life: a search in the audit trail without an index, a list that asks once for each of its lines, a
report that does not fit into memory, a name searched by its middle.
"""

from collections.abc import Sequence

NAME = "omnicare_emr"
APPLICATION = "omnicare"
"""The role that the backend logs in with."""
REPORTS = "omnicare_reports"
READER = "omnicare_reader"
DRILL_TABLES = {"encounters": "started_at", "audit_events": "at"}
"""What a restore drill counts, each with its column with a time."""
BOOKKEEPING = (
    "CREATE TABLE schema_migrations (version text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());"
)
FIRST_MIGRATIONS = {
    "20240311_first_schema": """
CREATE TABLE patients (
  id bigint PRIMARY KEY, mrn text NOT NULL UNIQUE, family_name text NOT NULL, given_name text NOT NULL,
  birth_date date NOT NULL, ward text NOT NULL, active boolean NOT NULL DEFAULT true);
CREATE TABLE encounters (
  id bigint PRIMARY KEY, patient_id bigint NOT NULL REFERENCES patients, status text NOT NULL,
  started_at timestamptz NOT NULL, ended_at timestamptz);
CREATE TABLE observations (
  id bigint PRIMARY KEY, encounter_id bigint NOT NULL, code text NOT NULL, value numeric, taken_at timestamptz NOT NULL);
CREATE TABLE audit_events (
  id bigint PRIMARY KEY, actor text NOT NULL, action text NOT NULL, subject jsonb NOT NULL, at timestamptz NOT NULL);
CREATE TABLE sync_items (
  id bigint PRIMARY KEY, device text NOT NULL, state text NOT NULL, queued_at timestamptz NOT NULL);
""",
    "20250602_encounters_by_patient": "CREATE INDEX encounters_by_patient ON encounters (patient_id);",
}
"""What has been applied since long ago: name and SQL, oldest first."""

TABLES = "\n".join(
    (
        BOOKKEEPING,
        *FIRST_MIGRATIONS.values(),
        *(f"INSERT INTO schema_migrations VALUES ('{name}');" for name in FIRST_MIGRATIONS),  # noqa: S608 - the sandbox's own
    )
)

ROWS = """
INSERT INTO patients SELECT n, 'MRN' || (700000 + n), 'Family' || n % 911, 'Given' || n % 127,
       date '1940-01-01' + (n * 37 % 28000), (ARRAY['A1', 'A2', 'B1', 'ICU'])[1 + n % 4], n % 9 <> 0 FROM generate_series(1, 8000) n;
INSERT INTO encounters SELECT n, 1 + n * 7 % 8000, (ARRAY['planned', 'in-progress', 'finished'])[1 + n % 3],
       now() - n * interval '7 minutes', now() - n * interval '6 minutes' FROM generate_series(1, 16000) n;
INSERT INTO observations SELECT n, 1 + n * 13 % 16000, (ARRAY['8867-4', '8480-6', '8310-5', '2708-6', '718-7'])[1 + n % 5],
       60 + n % 80, now() - n * interval '1 minute' FROM generate_series(1, 40000) n;
INSERT INTO audit_events SELECT n, 'user' || n % 200, (ARRAY['read', 'update', 'print'])[1 + n % 3],
       jsonb_build_object('patient', 1 + n % 8000, 'form', 'f' || n % 40), now() - n * interval '20 seconds' FROM generate_series(1, 50000) n;
INSERT INTO sync_items SELECT n, 'tablet-' || n % 25, (ARRAY['pending', 'done', 'failed'])[1 + n % 3], now() - n * interval '11 seconds'
  FROM generate_series(1, 3000) n;
"""

DAY: Sequence[tuple[str, str, int]] = (
    (
        APPLICATION,
        "SELECT id, actor, action, at FROM audit_events WHERE subject ->> 'patient' = '{n}' ORDER BY at DESC LIMIT 50",
        14,
    ),
    (APPLICATION, "SELECT code, value, taken_at FROM observations WHERE encounter_id = {n} ORDER BY taken_at", 120),
    (
        APPLICATION,
        "SELECT id, mrn, family_name, given_name FROM patients WHERE lower(family_name) LIKE '%' || lower('ily{n}') || '%' LIMIT 20",
        25,
    ),
    (
        APPLICATION,
        "SELECT p.id, p.mrn, e.status FROM patients p JOIN encounters e ON e.patient_id = p.id WHERE p.id = {n}",
        200,
    ),
    (APPLICATION, "SELECT id, mrn, family_name, given_name, ward FROM patients WHERE mrn = 'MRN{n}'", 250),
    (
        APPLICATION,
        "SELECT count(*) FROM encounters WHERE status = 'in-progress' AND started_at > now() - interval '{n} hours'",
        12,
    ),
    (APPLICATION, "UPDATE sync_items SET state = 'done' WHERE state = 'pending' AND device = 'tablet-{n}'", 12),
    (
        APPLICATION,
        "INSERT INTO sync_items VALUES (100000 + {n}, 'tablet-1', 'pending', now()) ON CONFLICT DO NOTHING",
        40,
    ),
    (
        REPORTS,
        "SELECT o.code, date_trunc('hour', taken_at) AS hour, avg(value), count(DISTINCT patient_id) FROM observations o "  # noqa: ISC004
        "JOIN encounters e ON e.id = o.encounter_id WHERE value > {n} GROUP BY 1, 2 ORDER BY 2 DESC",
        3,
    ),
)
"""Role, statement with `{n}` for something that differs each time, how often."""

ON_REPLICA: Sequence[tuple[str, str, int]] = (DAY[8], DAY[0], DAY[4])


def statements(day: Sequence[tuple[str, str, int]], role: str) -> list[str]:
    """What that role runs, in turn; the same each time."""
    return [
        sql.replace("{n}", str(60 + (turn * 17) % 37))
        for who, sql, times in day
        if who == role
        for turn in range(times)
    ]
