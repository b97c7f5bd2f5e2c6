"""What can be wrong with the database."""

from sandbox.scenarios.scenario import Scenario
from sandbox.scenarios.world_acts import BreakDatabase

DATABASE: tuple[Scenario, ...] = (
    Scenario(
        "database-lock",
        "A migration that nobody ended holds a lock on the table of encounters, and the application waits behind it.",
        "slow-queries",
        "4 sessions wait for a lock now",
        (BreakDatabase("lock"),),
    ),
    Scenario(
        "blocked-db",
        "The backend left a transaction open, a migration waits for it, and the rest of the backend waits behind the migration.",
        "db activity",
        "4 sessions wait for pid",
        (BreakDatabase("blocked"),),
    ),
    Scenario(
        "pool-exhausted",
        "The backend has used all connections that its role may have; most of them do nothing, in an open transaction.",
        "db pool",
        "omnicare uses 12 of 12 connections that it may have: none is left",
        (BreakDatabase("full"),),
    ),
    Scenario(
        "replica-lag",
        "Somebody paused the replica and forgot it, and the application goes on writing.",
        "db replication",
        "The replica does not replay what it receives",
        (BreakDatabase("lag"),),
    ),
    Scenario(
        "database-slow",
        "Every answer of the database takes 0.4 s, also to what does nothing.",
        "db connect",
        "It answers slowly",
        (BreakDatabase("slow"),),
    ),
    Scenario(
        "database-gone",
        "Neither the primary nor the replica answers: a security group lost its rule.",
        "db connect",
        "did not answer within",
        (BreakDatabase("gone"),),
    ),
)
"""Bad nights of the database; the page offers them where the sandbox has one."""
