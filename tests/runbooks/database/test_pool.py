"""What the application's script prints about its pool: one clear answer, or not understood, and never healthy by mistake."""

import pytest

from runbooks.clients.postgres.connections import Connections
from runbooks.clients.postgres.usage import DatabaseUsage
from runbooks.database import pool
from runbooks.database.pool import read_status


@pytest.mark.parametrize(
    ("printed", "counts"),
    [
        ('{"max": 10, "total": 4, "active": 3, "idle": 1, "waiting": 0}', (10, 4, 3, 1, 0)),
        (
            '> backend@2.0.0 db:pool:status\n\n{"poolSize": 10, "in_use": 10, "waitingCount": 7}',
            (10, None, 10, None, 7),
        ),
        ('{"waiting": 0}', (None, None, None, None, 0)),
        ('{"active": "3", "waiting": "0"}', (None, None, 3, None, 0)),
    ],
)
def test_counts_are_read_under_the_names_of_several_libraries(printed: str, counts: tuple[int | None, ...]) -> None:
    found = read_status("backend-1", printed.encode())
    assert (found.most, found.total, found.used, found.idle, found.waiting) == counts
    assert found.not_understood == ""
    assert found.exhausted == (counts[4] == 7)


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "pool is fine",
        "[]",
        '{"max": 10, "idle": 4}',
        '{"active": 3, "idle": 4}',
        '{"active": -1, "waiting": 0}',
        '{"active": "three", "waiting": 0}',
        '{"active": 3, "waiting": 0, "error": "no connection"}',
        '{"active": 3, "waiting": 0, "ok": false}',
        'checking the pool: {"active": 10, "max": 10}\n{"level": 30, "active": 0, "waiting": 0}',
        '{"active": true, "waiting": 0}',
        '{"active": 3.5, "waiting": 0}',
        '{"active": 3, "used": 4, "waiting": 0}',
        '{"active": 11, "max": 10, "waiting": 0}',
        '{"active": 3, "waiting": 0}\n{"active": 9, "waiting": 5}',
        '{"active": 3, "waiting": ',
    ],
)
def test_anything_else_is_not_understood(printed: str) -> None:
    found = read_status("backend-1", printed.encode())
    assert found.not_understood
    assert (found.used, found.waiting, found.exhausted) == (None, None, False)


def connections(used: int, *limits: DatabaseUsage) -> Connections:
    return Connections(server=DatabaseUsage("", used, 97), limits=limits, groups=())


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (connections(12), "12 of 97 connections are in use"),
        (connections(90), "90 of 97 connections are in use: 7 left"),
        (connections(99), "99 of 97 connections are in use: none is left"),
        (
            connections(20, DatabaseUsage("app", 12, 12)),
            "role app uses 12 of 12 connections that it may have: none is left",
        ),
        (connections(20, DatabaseUsage("app", 3, 12)), "20 of 97 connections are in use"),
        (connections(20, DatabaseUsage("nobody", 0, 0)), "20 of 97 connections are in use"),
    ],
)
def test_the_tightest_limit_is_the_answer(found: Connections, says: str) -> None:
    assert pool.answer(found) == says
