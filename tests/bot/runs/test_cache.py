"""`cache`, as people see it, and what the audit log keeps of it."""

from pathlib import Path

from sandbox.scenarios import BY_NAME
from tests.bot.runs.test_status import status
from tests.support.caches import PRIVATE
from tests.support.worlds import ON_CALL, story


async def test_the_answer_comes_first_and_nothing_of_a_patient_is_in_it(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("cache",)) as here:
        await here.inside()
        await here.world.play(BY_NAME["cache-full"])
        said = await here.answer(ON_CALL, "cache", "The primary of shard 2 is full")
        assert "🔴" in said
        assert "evicts nothing (noeviction), so writes fail, about" in said
        assert "23.9 ms " in said
        assert "HGETALL patient/*/chart" in said
        assert " on primary of shard 2" in said
        assert PRIVATE.lower() not in said.lower()
        assert "(OOM)" in said
        said = await status(here, "production runs v1.2.0, the cache is full")
        assert "🟡" in said
        assert "*Cache*" in said
        await here.type(ON_CALL, "/omnicare cache --env staging")
        await here.whispered(ON_CALL, "staging has no cache configured")
        asked = [each for each in here.events() if each.command == "cache"]
        assert {each.environment for each in asked if each.name == "command:answered"} >= {"production"}
