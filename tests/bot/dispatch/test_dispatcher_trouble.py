"""The dispatcher when somebody floods it, when a command has a bug, and whatever comes in."""

import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from bot.boundary import logs
from bot.boundary.inbound import Exit
from runbooks.kit.reasons import ReasonCode
from tests.support.thresholds import (
    KIOSK,
    OUTSIDER,
    REQUESTER,
    Threshold,
    code,
    said,
    threshold,
)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Threshold]:
    async with threshold(tmp_path) as made:
        yield made


# floods and bugs


async def test_a_flood_of_refusals_is_bounded_in_the_audit_log_and_counted(here: Threshold) -> None:
    for _ in range(200):
        await here.type(OUTSIDER, "deploy v2.0.0")
    names = await here.names()
    assert names.count("permission:denied") == 10
    assert names.count("refusals:suppressed") == 1
    assert here.accounts.asked == []
    assert (await here.type(REQUESTER, "deploy v2.0.0")).exit is Exit.OK


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    kept = (root.handlers, root.level)
    stream = io.StringIO()
    logs.set_up(lambda text: text.replace("hunter2", "[hidden]"), stream=stream)
    yield stream
    root.handlers, _ = kept
    root.setLevel(kept[1])
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


async def test_a_bug_is_an_id_for_the_person_and_a_redacted_line_in_the_log(here: Threshold, log: io.StringIO) -> None:
    here.engine.broken = True
    answer = await here.type(REQUESTER, "deploy v2.0.0")
    assert (answer.exit, code(answer)) == (Exit.FAILED, ReasonCode.BUG)
    assert "disk" not in answer.card.model_dump_json()  # type: ignore[union-attr]
    found = re.search(r"under ([0-9a-f]{8})\. Nothing was started", said(answer))
    assert found is not None
    (line,) = [json.loads(line) for line in log.getvalue().splitlines() if found[1] in line]
    assert line["bug"] == found[1]
    assert "the engine's disk is full of [hidden]" in line["exception"]
    assert "hunter2" not in log.getvalue()


async def test_two_bugs_have_two_ids(here: Threshold, log: io.StringIO) -> None:
    here.engine.broken = True
    assert len({said(await here.type(REQUESTER, f"deploy v2.0.{n}")) for n in range(5)}) == 5


async def test_nothing_that_comes_in_makes_the_dispatcher_raise(here: Threshold) -> None:
    odd = [
        "\ud800",
        "\x00",
        "deploy \ud800",
        "approve " + "a" * 99,
        "'",
        "--",
        "deploy v2.0.0 --reason \ud800",
        "&" * 4000,
    ]
    for text in odd:
        for who in (REQUESTER, OUTSIDER, KIOSK, "", "\ud800"):
            answer = await here.type(who, text)
            assert answer.exit in (Exit.USAGE, Exit.DENIED)
    assert here.engine.started == []
