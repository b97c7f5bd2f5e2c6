"""A log whose lines have no time, or one that no clock shows: it is shown all the same, and nothing is said of a time."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.kit.log_lines import line_of, moment_of
from commands.observe.logs import LogCard, Logs
from runbooks import logs
from runbooks.logs.grouping import Groups

ODD = (
    "",
    "yesterday",
    "0001-01-01T00:00:00.000000000Z",
    "9999-12-31T23:59:59.999999999Z",
    "2026-13-45T99:99:99.000000000Z",
)
ZONES = (UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)))


@pytest.mark.parametrize("stamp", ODD)
@pytest.mark.parametrize("zone", ZONES)
def test_a_line_without_a_time_has_dashes_in_its_place(stamp: str, zone: timezone) -> None:
    assert moment_of(stamp) is None
    assert line_of(logs.LogLine(at=stamp, pod="x2lqp", text="hello"), zone) == "x2lqp --:--:-- hello"


def test_a_line_has_the_readers_time() -> None:
    line = logs.LogLine(at="2026-11-29T10:00:01.123456789Z", pod="x2lqp", text="hello")
    assert line_of(line, ZONES[1]) == "x2lqp 00:00:01 hello"


@pytest.mark.parametrize("stamp", ODD)
def test_earlier_lines_of_a_log_without_times_are_not_offered_by_time(stamp: str) -> None:
    line = logs.LogLine(at=stamp, pod="x2lqp", text="hello")
    shape = logs.Shape(text="hello", level=logs.LogLevel.NONE, count=7, first=stamp, last=stamp, sources=(0,))
    groups = Groups(levels={}, shapes=(shape,), rarer=0)
    counts = logs.LogCounts(streams=1, read=7, matching=7, shown=1)
    found = logs.LogReading(
        title="backend", counts=counts, lines=(line,), groups=groups, labels=("x2lqp",), oldest=stamp
    )
    request = cast("Any", Logs)(target="backend", tail=logs.MOST, env="production")
    context = cast(
        "Any", SimpleNamespace(where=SimpleNamespace(name="production", shown="production"), now=datetime.now(UTC))
    )
    card = LogCard(request, context, found, None, logs.Asked(target="backend", tail=logs.MOST)).card()
    assert "6 older lines omitted here" in card.model_dump_json()
    assert "--until" not in card.model_dump_json()
