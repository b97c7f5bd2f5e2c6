"""What `status` says of the database's servers: connections, and how far a replica is behind; what is not known is unknown."""

from dataclasses import replace

import pytest

from commands.kit.database_facts import database_facts, database_looks, database_trouble
from runbooks.clients.postgres.database import QueryResult
from runbooks.clients.postgres.usage import DatabaseUsage
from runbooks.kit.reasons import ReasonCode

PRIMARY = QueryResult("primary", "db:5432", 0.003, connections=DatabaseUsage("", 34, 97))
REPLICA = QueryResult(
    "replica", "db2:5432", 0.004, in_recovery=True, connections=DatabaseUsage("", 3, 97), replayed=0.0, streaming=True
)


def said(*answers: QueryResult) -> dict[str, str]:
    return {
        fact.label: "".join(span.text for span in fact.value.spans if span.kind in ("plain", "code"))
        for fact in database_facts(answers, "production")
    }


def test_two_servers_that_are_well_are_three_short_facts() -> None:
    assert said(PRIMARY, REPLICA) == {
        "Database": "primary 3 ms, replica 4 ms",
        "Connections": "primary 34 of 97, replica 3 of 97",
        "Replica": "0 s behind",
    }
    assert database_trouble((PRIMARY, REPLICA)) == ""
    assert list(database_looks((PRIMARY, REPLICA))) == []
    assert said() == {}
    assert "Replica" not in said(PRIMARY)


@pytest.mark.parametrize(
    ("answer", "trouble", "look"),
    [
        (
            replace(PRIMARY, connections=DatabaseUsage("", 96, 97)),
            ", 96 of 97 connections to the primary are in use",
            "db pool --on primary",
        ),
        (
            replace(PRIMARY, tightest=DatabaseUsage("app", 12, 12)),
            ", role app uses 12 of its 12 connections to the primary",
            "db pool --on primary",
        ),
        (replace(REPLICA, paused=True, replayed=None), ", the replica replays nothing", "db replication"),
        (replace(REPLICA, replayed=400.0), ", the replica is 6 min 40 s behind", "db replication"),
        (replace(REPLICA, streaming=False), ", the replica receives nothing from the primary", "db replication"),
    ],
)
def test_what_runs_out_or_is_behind_is_in_the_answer_and_has_a_button(
    answer: QueryResult, trouble: str, look: str
) -> None:
    assert database_trouble((answer,)) == trouble
    assert [command for _, command in database_looks((answer,))] == [look]


def test_what_a_server_does_not_tell_is_unknown_and_no_trouble_of_its_own() -> None:
    silent = QueryResult("replica", "db2:5432", 1.2, why="no answer", code=ReasonCode.DATABASE_UNREACHABLE)
    blind = replace(PRIMARY, connections=None)
    told = said(blind, silent)
    assert told["Connections"] == "primary unknown, replica unknown"
    assert told["Replica"] == "unknown"
    assert database_trouble((blind, silent)) == ", the database does not answer"
