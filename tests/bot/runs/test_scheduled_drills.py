"""When a scheduled restore drill is due: the last time that passed, or the next one."""

from datetime import UTC, datetime

import pytest

from bot.runs.scheduled_drills import first_due
from runbooks.kit.minutes import Minutes


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "before", "after"),
    [
        ("2026-05-04T03:00:00", "2026-05-04T03:00:00", "2026-05-11T03:00:00"),
        ("2026-05-04T03:00:59.5", "2026-05-04T03:00:00", "2026-05-11T03:00:00"),
        ("2026-05-04T02:59:59", "2026-04-27T03:00:00", "2026-05-04T03:00:00"),
    ],
)
def test_a_time_of_this_minute_has_passed(now: str, before: str, after: str) -> None:
    mondays = Minutes("0 3 * * 1")
    assert (mondays.before(_at(now)), mondays.after(_at(now))) == (_at(before), _at(after))


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-05-04T14:59:00", "2026-05-04T03:00:00"),
        ("2026-05-04T15:01:00", "2026-05-11T03:00:00"),
        ("2026-05-05T02:00:00", "2026-05-11T03:00:00"),
    ],
)
def test_of_the_times_that_passed_only_the_last_is_due_and_only_if_it_is_not_long_ago(now: str, due: str) -> None:
    assert first_due(Minutes("0 3 * * 1"), _at(now)) == _at(due)
