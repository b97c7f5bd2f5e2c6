"""The card of `logs`: its table of messages is there where it says more than the lines themselves."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from commands.kit.card import Table
from commands.observe.logs import LogCard, Logs
from runbooks.logs import Asked
from runbooks.logs.grouping import Groups, Shape
from runbooks.logs.model import LogCounts, LogLine, LogReading
from runbooks.logs.parsing import LogLevel


def tables(count: int, *, lines: int = 2) -> int:
    at = "2026-03-01T02:00:00.000000000Z"
    shape = Shape(text="starting", level=LogLevel.INFO, count=count, first=at, last=at, sources=(0,))
    found = LogReading(
        title="backend",
        counts=LogCounts(streams=1, read=lines, matching=lines, shown=2),
        lines=tuple(LogLine(at=at, pod="x", text=f"line {number}") for number in range(2)),
        groups=Groups(levels={LogLevel.INFO: lines}, shapes=(shape, shape), rarer=0),
        labels=("x",),
    )
    where = SimpleNamespace(name="production", shown="production")
    context = cast("Any", SimpleNamespace(where=where, now=datetime(2026, 3, 1, 3, 0, tzinfo=UTC)))
    card = LogCard(Logs(target="backend", env="production"), context, found, None, Asked(target="backend")).card()
    return sum(isinstance(each, Table) for each in card.body)


def test_messages_that_were_written_once_each_have_no_table_beside_their_lines() -> None:
    assert tables(1) == 0
    assert tables(2) == 1
    assert tables(1, lines=300) == 1
