"""`logs --raw` in the whole world: on one person's terminal, and in no other place that anything could be kept or said in."""

import json
import re

import pytest

from bot.audit import EventName, verify
from sandbox.cluster.logs import LOG_SECRETS
from tests.support.leaks import nothing_shown, private_of
from tests.support.terminals import omnicare, unredacted
from tests.support.worlds import AUDITOR, ON_CALL, REQUESTER, Story

ASKED = ("logs", "backend", "--tail", "5000", "--since", "1h", "--raw", "--reason", "which patient it fails for")
SOCIAL = re.compile(r"SSN (\d{3}-\d\d-\d{4})")


async def read(here: Story) -> tuple[list[str], str]:
    """The lines and what is beside them, once there is something private in them."""
    while True:
        status, out, err = await unredacted(here.config, "--as", ON_CALL, *ASKED)
        assert status == 0, (out, err)
        if SOCIAL.search(out) and any(value in out for value in LOG_SECRETS):
            return out.splitlines(), err


async def test_who_may_sees_the_lines_and_nothing_of_them_is_anywhere_else(here: Story) -> None:
    lines, err = await read(here)
    assert "unredacted" in err
    private = [hit[1] for line in lines if (hit := SOCIAL.search(line))]
    await here.answer(ON_CALL, "logs backend --since 1h --tail 5000", "lines of 3 pods")
    kept = [here.world.folder / "bot.log", *(here.world.folder / "state").rglob("*")]
    everywhere = [path.read_bytes().decode(errors="replace") for path in kept if path.is_file()]
    everywhere += [json.dumps([message.text, message.blocks]) for message in here.messages()]
    everywhere += [(file.content or b"").decode() for file in here.slack.files.values()]
    assert not [value for value in private for text in everywhere if value in text]
    status, told = await omnicare(here.config, "--as", AUDITOR, "audit", "--command", "logs")
    assert status == 0
    assert re.search(r"disclosure:allowed +logs +Ines", told)
    assert verify(here.bot.audit_log.path) == []


async def test_the_look_for_leaks_knows_no_other_exception(here: Story) -> None:
    lines, _ = await read(here)
    with pytest.raises(AssertionError, match="a secret of the logs"):
        await omnicare(here.config, "--as", ON_CALL, *ASKED)
    with pytest.raises(AssertionError, match="a secret of the logs"):
        nothing_shown("\n".join(lines))
    with pytest.raises(AssertionError):
        await unredacted(here.config, "--as", ON_CALL, "logs", "backend")


async def test_in_slack_it_is_refused_to_who_may_and_to_who_may_not(here: Story) -> None:
    for who in (ON_CALL, REQUESTER):
        await here.type(who, '/omnicare logs backend --raw --reason "which patient it fails for"')
        told = await here.whispered(who, "works in a terminal only")
        assert "is redacted" in told.text
    assert not [event for event in here.events() if event.name == EventName.DISCLOSURE_ALLOWED]
    assert [file.name for file in here.slack.files.values()] == []


async def test_who_may_not_is_told_who_can(here: Story) -> None:
    status, told = await omnicare(here.config, "--as", REQUESTER, *ASKED)
    assert status == 3
    assert "permission logs:raw" in told
    assert "Ines can." in told
    assert [event.name for event in here.events()][-1] == EventName.PERMISSION_DENIED


async def test_without_it_the_same_person_is_shown_marks(here: Story) -> None:
    await read(here)
    status, told = await omnicare(here.config, "--as", ON_CALL, "logs", "backend", "--tail", "5000", "--since", "1h")
    assert status == 0
    nothing_shown(told)
    assert not [value for value in private_of(here.world) if value in told]
    assert "[ssn 1]" in told
    assert "unredacted" not in told
