"""What comes in is parsed once, whatever way it came, and carried on to the answer."""

import ast
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bot.boundary.inbound import Filled
from bot.dispatch.decision import ABOUT_RUNS
from commands.kit.command import RunDecision
from commands.kit.parsing import parse
from commands.kit.registry import load
from tests.support.thresholds import REQUESTER, Threshold, threshold

BOT = Path(__file__).parents[3] / "bot"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Threshold]:
    async with threshold(tmp_path) as made:
        yield made


@contextmanager
def counted_parses() -> Iterator[list[str]]:
    """Each call of the one parser while it is open, by its command."""
    calls: list[str] = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is parse.__code__:
            calls.append(frame.f_locals["tokens"][0])

    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("text", ["status", "deploy v2.0.0", "deploy v2.0.0 --dry-run", "approve zzzz", "statsu"])
async def test_a_typed_command_is_parsed_once_from_its_way_in_to_its_metric(here: Threshold, text: str) -> None:
    with counted_parses() as calls:
        parsed = here.dispatcher.parse(here.inbound(REQUESTER, text))
        await here.dispatcher.take(parsed)
    assert calls == [text.split(maxsplit=1)[0]]


async def test_a_form_is_parsed_once(here: Threshold) -> None:
    filled = Filled(command="deploy", values={"version": "v2.0.0", "env": "production"})
    with counted_parses() as calls:
        await here.dispatcher.take(here.dispatcher.parse(here.inbound(REQUESTER, filled=filled)))
    assert calls == ["deploy"]


def test_one_module_parses_and_every_other_carries_the_request_on() -> None:
    parsing = [
        path.relative_to(BOT).as_posix()
        for path in BOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "commands.kit.parsing"
        if "parse" in [each.name for each in node.names]
    ]
    assert parsing == ["dispatch/reading.py"]


def test_what_each_decision_about_a_run_does_stands_in_the_table() -> None:
    decisions = {spec.name for spec in load() if issubclass(load().command(spec.name), RunDecision)}
    assert set(ABOUT_RUNS) == decisions
