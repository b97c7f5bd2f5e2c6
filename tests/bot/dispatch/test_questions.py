"""What a command needs and was not told is asked, with the values that this person may choose."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.boundary.inbound import Exit, Location
from commands.kit.card import Choices, OpenForm
from tests.support.thresholds import GENERAL, OUTSIDER, REQUESTER, STAGER, Threshold, threshold


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Threshold]:
    async with threshold(tmp_path) as made:
        yield made


async def asked(here: Threshold, who: str, text: str, place: Location | None = None) -> Choices | None:
    answer = await here.dispatcher.take(here.inbound(who, text, **({"place": place} if place else {})))
    assert answer.private
    assert answer.card is not None
    return answer.card.choices


async def test_a_missing_service_is_chosen_and_the_choice_is_the_whole_command(here: Threshold) -> None:
    answer = await here.dispatcher.take(here.inbound(REQUESTER, "logs --since 15m"))
    assert answer.exit is Exit.USAGE
    assert answer.card is not None
    assert answer.card.choices is not None
    texts = [each.text for each in answer.card.choices.options]
    assert texts[0].startswith("logs backend --since 15m --env production")
    assert "There are: backend" in answer.card.summary
    assert any(isinstance(each.does, OpenForm) for each in answer.card.buttons)


async def test_a_missing_environment_is_chosen_from_those_where_the_person_may(here: Threshold) -> None:
    choices = await asked(here, STAGER, "pods", Location(channel=GENERAL))
    assert choices is not None
    assert [each.text for each in choices.options] == ["pods --env staging"]


async def test_who_may_not_is_offered_nothing(here: Threshold) -> None:
    assert await asked(here, OUTSIDER, "logs") is None
    assert await asked(here, STAGER, "logs --env production") is None


async def test_what_has_no_few_values_is_asked_in_words(here: Threshold) -> None:
    assert await asked(here, REQUESTER, "approve") is None


async def test_a_choice_expires(here: Threshold) -> None:
    late = int(here.now.timestamp()) - 1
    answer = await here.dispatcher.take(here.inbound(REQUESTER, "restart backend", drawn=True, expires=late))
    assert answer.exit is Exit.USAGE
    assert answer.card is not None
    assert "expired" in answer.card.summary


async def test_a_rotation_is_chosen_from_those_of_the_environment(tmp_path: Path) -> None:
    def with_rotations(raw: dict[str, Any]) -> None:
        for name, rotation in (("production", "jwt"), ("staging", "database")):
            where = raw["environments"][name]
            where["rotations"] = {rotation: {"secret": "s", "keys": ["K"], "services": ["backend"]}}
            where["permissions"]["secret:write"] = where["permissions"]["rollout:write"]

    async with threshold(tmp_path, with_rotations) as here:
        choices = await asked(here, REQUESTER, "secret rotate --env production")
        assert choices is not None
        assert [each.text for each in choices.options] == ["secret rotate jwt --env production"]


async def test_a_script_s_argument_is_chosen_from_those_that_it_takes(tmp_path: Path) -> None:
    def with_scripts(raw: dict[str, Any]) -> None:
        here = raw["environments"]["production"]
        words = ["npm", "run", "cache:warm", "--", "$argument"]
        here["scripts"] = {
            "cache-warm": {"words": words, "choices": ["wards", "drugs"]},
            "sessions": {"words": ["who"]},
        }
        here["permissions"]["script:run"] = here["permissions"]["rollout:write"]

    async with threshold(tmp_path, with_scripts) as here:
        for text, said in (("run cache-warm", "needs an argument"), ("run cache-warm warts", "Did you mean `wards`?")):
            answer = await here.dispatcher.take(here.inbound(REQUESTER, f"{text} --reason slow"))
            assert answer.card is not None
            assert said in answer.card.summary
            assert answer.card.choices is not None
            assert [each.text for each in answer.card.choices.options] == [
                "run cache-warm wards --env production --reason slow",
                "run cache-warm drugs --env production --reason slow",
            ]
        for text in ("run cache-warm drugs", "run sessions", "run cache-warm drugs --dry-run"):
            assert here.dispatcher.parse(here.inbound(REQUESTER, text)).error is None
