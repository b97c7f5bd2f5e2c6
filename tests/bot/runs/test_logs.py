"""`logs`, as people see it: which time was read, why there is nothing, and how long it goes on."""

import re
from datetime import UTC, datetime, timedelta

from runbooks.wording import short_id
from tests.support.worlds import ON_CALL, Story


async def logs(here: Story, typed: str, words: str) -> str:
    return await here.answer(ON_CALL, f"logs backend {typed}", words)


async def test_an_empty_answer_says_of_which_time_it_is(here: Story) -> None:
    said = await logs(here, "--until 30d", "No lines were written up to ")
    month_ago = datetime.now(UTC) - timedelta(days=30)
    assert f"{month_ago:%Y-%m-%d}" in said or f"<!date^{int(month_ago.timestamp())}"[:16] in said
    assert "since" not in said


async def test_a_summary_alone_is_of_all_that_there_is(here: Story) -> None:
    said = await logs(here, "--tail 0", "Summary only")
    assert (count := re.search(r"([\d,]+) lines of 3 pods", said)) is not None
    assert int(count[1].replace(",", "")) > 100
    assert "older line" not in said
    assert "Read were" not in said


async def test_what_was_read_up_to_a_time_has_its_day(here: Story) -> None:
    assert "3 pods" in await logs(here, "--until 1s --tail 5", "Read up to ")


async def test_what_a_container_said_days_ago_is_not_shown_as_this_mornings(here: Story) -> None:
    await logs(here, "--all-containers --tail 5", "wait-for-database")
    tables = [block for message in here.messages() for block in message.blocks if block["type"] == "table"]
    row = next(row for row in tables[-1]["rows"] if "schema version" in str(row))
    assert "{date" in str(row[3]), row[3]


async def test_who_has_no_life_before_is_not_said_to_have_written_nothing(here: Story) -> None:
    said = await logs(here, "--previous", "has not restarted")
    assert "No line" not in said


async def test_the_time_of_a_run_is_more_than_one_minute_twice(here: Story) -> None:
    run = await here.deployed("v2.0.0")
    said = await logs(here, f"--run {short_id(run)} --tail 5", "During run ")
    assert re.search(r" for \d+ s, and 15 s before and after\.", said)
    await here.answered("Deploy v2.0.0 to production")


async def test_following_for_longer_than_it_goes_on_is_said_at_once(here: Story) -> None:
    assert "A log can be followed for at most 10 min" in await logs(here, "--follow 20m", "Following backend")
    assert "at most" not in await here.answer(ON_CALL, "logs frontend --follow 2m", "Following frontend")
