"""What can be wrong with the database."""

from sandbox.scenarios.scenario import Scenario
from sandbox.scenarios.world_acts import BreakDatabase, BreakMetrics

DATABASE: tuple[Scenario, ...] = (
    Scenario(
        "slow-db",
        "For 15 minutes the search in the audit trail, which has no index, has made the database and every request slow.",
        "diagnose",
        "The database has become slower",
        (
            BreakDatabase("heavy"),
            BreakMetrics("db_query_duration_seconds", 15, 310),
            BreakMetrics("http_request_duration_seconds", 14, 520),
        ),
    ),
    Scenario(
        "database-lock",
        "A migration that nobody ended holds a lock on the table of encounters, and the application waits behind it.",
        "slow-queries",
        "4 sessions wait for a lock now",
        (BreakDatabase("lock"), BreakMetrics("pg_locks_waiting", 10, 4)),
    ),
    Scenario(
        "blocked-db",
        "The backend left a transaction open, a migration waits for it, and the rest of the backend waits behind the migration.",
        "db activity",
        "4 sessions wait for pid",
        (BreakDatabase("blocked"), BreakMetrics("pg_locks_waiting", 10, 4)),
    ),
    Scenario(
        "pool-exhausted",
        "The backend has used all connections that its role may have; most of them do nothing, in an open transaction.",
        "db pool",
        "omnicare uses 12 of 12 connections that it may have: none is left",
        (BreakDatabase("full"), BreakMetrics("db_pool_connections", 10, 96)),
        mended_by="backend",
    ),
    Scenario(
        "replica-lag",
        "Somebody paused the replica and forgot it, and the application goes on writing.",
        "db replication",
        "The replica does not replay what it receives",
        (BreakDatabase("lag"), BreakMetrics("pg_replication_lag_seconds", 10, 660)),
    ),
    Scenario(
        "database-slow",
        "Every answer of the database takes 0.15 s, also to what does nothing.",
        "db connect",
        "It answers slowly",
        (BreakDatabase("slow"), BreakMetrics("db_query_duration_seconds", 10, 430)),
    ),
    Scenario(
        "database-gone",
        "Neither the primary nor the replica answers: a security group lost its rule.",
        "db connect",
        "did not answer within",
        (BreakDatabase("gone"), BreakMetrics("http_requests_total", 6, 22)),
    ),
)
"""The page offers them where the sandbox has a database."""
