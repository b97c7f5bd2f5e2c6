"""What every story ends with finds what has leaked, and does not repeat it."""

from pathlib import Path

import pytest

from sandbox.people import DEPLOYS
from sandbox.sync_queue import PATIENT_DATA
from tests.support.worlds import story


async def test_a_value_of_a_patient_in_a_message_fails_the_story(tmp_path: Path) -> None:
    private = max(PATIENT_DATA, key=len)
    with pytest.raises(AssertionError, match="of a patient is in messages") as raised:
        async with story(tmp_path / "world") as here:
            here.slack.post(DEPLOYS, here.slack.app.user_id, f"seen: {private}")
    assert private not in str(raised.value)


async def test_a_token_in_the_log_fails_the_story(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"the bot.s token is in bot\.log"):
        async with story(tmp_path / "world") as here:
            (here.world.folder / "bot.log").write_text(
                f"connecting with {here.world.slack.bot_token}\n", encoding="utf-8"
            )
