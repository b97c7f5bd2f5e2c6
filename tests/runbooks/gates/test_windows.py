"""The gate on time: windows by the wall clock, deny before allow, holidays, and the hours of a clock change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from runbooks.gates.looking import look_at
from runbooks.gates.settings import WindowSettings
from runbooks.gates.windows import OpenWindow, Windows
from tests.support.gates import MakesSubject

NEW_YORK = ZoneInfo("America/New_York")


def why_not(at: datetime, **settings: object) -> str:
    return Windows(WindowSettings.model_validate({"zone": "America/New_York", **settings})).why_not(at)


@pytest.mark.parametrize(
    ("at", "settings", "expected"),
    [
        ("2026-05-04T06:59:00", {"frozen": ["* 7-18 * * MON-FRI"]}, ""),
        ("2026-05-04T07:00:59", {"frozen": ["* 7-18 * * MON-FRI"]}, "frozen by"),
        ("2026-05-04T18:59:00", {"frozen": ["* 7-18 * * MON-FRI"]}, "frozen by"),
        ("2026-05-04T19:00:00", {"frozen": ["* 7-18 * * MON-FRI"]}, ""),
        ("2026-05-03T12:00:00", {"frozen": ["* 7-18 * * MON-FRI"]}, ""),
        ("2026-05-04T02:00:00", {"allowed": ["* 1-3 * * *"]}, ""),
        ("2026-05-04T04:00:00", {"allowed": ["* 1-3 * * *"]}, "outside the allowed times"),
        ("2026-05-04T02:00:00", {"allowed": ["* 1-3 * * *"], "frozen": ["* * 4 5 *"]}, "frozen by"),
        ("2026-07-03T12:00:00", {"holidays": "US"}, "Independence Day"),
        ("2026-07-06T12:00:00", {"holidays": "US"}, ""),
    ],
)
def test_a_minute_is_open_or_says_why_not(at: str, settings: dict[str, object], expected: str) -> None:
    found = why_not(datetime.fromisoformat(at).replace(tzinfo=NEW_YORK), **settings)
    assert (expected in found) if expected else not found


@pytest.mark.parametrize(
    ("begins", "frozen"),
    [
        # 02:00 becomes 03:00: the hour that is left out would be 03:00 to 04:00
        (datetime(2026, 3, 8, 6, 0, tzinfo=UTC), ["03:00", "03:30"]),
        # 02:00 becomes 01:00: the hour comes twice
        (datetime(2026, 11, 1, 4, 0, tzinfo=UTC), ["01:00", "01:30", "01:00", "01:30"]),
    ],
)
def test_the_hours_of_a_clock_change_are_frozen_by_themselves(begins: datetime, frozen: list[str]) -> None:
    times = [(begins + each * timedelta(minutes=30)).astimezone(NEW_YORK) for each in range(10)]
    assert [f"{at:%H:%M}" for at in times if why_not(at)] == frozen


def test_a_window_ends_by_the_wall_clock_across_a_clock_change() -> None:
    windows = Windows(WindowSettings(zone="America/New_York", frozen=("* * 7 3 *", "* 0-5 8 3 *")))
    opens = windows.opens(datetime(2026, 3, 8, 1, 0, tzinfo=UTC))
    assert opens is not None
    assert f"{opens.astimezone(NEW_YORK):%d %H:%M %Z}" == "08 06:00 EDT"


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": "Mars/Olympus"},
        {"frozen": ["* *"]},
        {"frozen": ["61 * * * *"]},
        {"allowed": ["* * 30 2 *"]},
        {"holidays": "XX"},
    ],
)
def test_what_is_no_window_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WindowSettings.model_validate(wrong)


async def test_a_frozen_time_says_when_it_ends_and_how_to_ask_for_then(subject: MakesSubject) -> None:
    gate = OpenWindow(settings=WindowSettings(frozen=("* 2-4 * * *",)))
    (found,) = await look_at([gate], subject(), 5.0)
    assert (found.state, found.evidence) == ("failed", "Mon 03:00 UTC: frozen by `* 2-4 * * *`")
    assert "Mon 05:00 UTC" in found.advice
    assert "--at TIME" in found.advice
    (found,) = await look_at([gate], subject(at=datetime(2026, 5, 4, 5, 0, tzinfo=UTC)), 5.0)
    assert found.state == "passed"
