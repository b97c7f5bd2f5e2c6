"""A time is meant where it is typed: in the zone that Slack knows of the person, and in a terminal in that machine's own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.support.terminals import ended, started
from tests.support.worlds import ON_CALL, Story

AUCKLAND = ZoneInfo("Pacific/Auckland")


def until(here: Story) -> datetime:
    freeze = here.environment().freeze
    assert freeze is not None
    assert freeze.until is not None
    return datetime.fromisoformat(freeze.until)


async def test_until_is_meant_in_the_persons_own_zone(here: Story):
    here.slack.add_person(replace(here.slack.person(ON_CALL), tz="Pacific/Auckland"))
    wanted = (datetime.now(AUCKLAND) + timedelta(hours=3)).replace(second=0, microsecond=0)
    await here.type(ON_CALL, f'/omnicare lock --until {wanted:%H:%M} --reason "go-live"')
    await here.until(lambda: here.environment().freeze, "it is locked")
    assert until(here).astimezone(UTC) == wanted.astimezone(UTC)


async def test_in_a_terminal_it_is_that_machines(here: Story):
    wanted = (datetime.now(AUCKLAND) + timedelta(hours=3)).replace(second=0, microsecond=0)
    words = ("--as", "ines", "lock", "--until", f"{wanted:%H:%M}", "--reason", "go-live")
    status, told = await ended(await started(here.config, *words, extra={"TZ": "Pacific/Auckland"}))
    assert status == 0, told
    assert until(here).astimezone(UTC) == wanted.astimezone(UTC)
