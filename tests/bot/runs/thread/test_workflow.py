"""A thread's workflow alone: a refusal of Slack's that nobody foresaw costs one message, and not what comes after it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bot.boundary.outbound import Posted
from bot.runs.display import Display
from bot.runs.model import Close, InterruptedMessage, Request, Show
from bot.runs.request.running import interruption
from bot.runs.thread.workflow import Threads
from commands.kit.card import Card, words
from commands.kit.context import Actor
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from tests.support.thresholds import DEPLOYS, NOON

REFUSED = PermanentError("Slack rejects conversations.open: a word of its own.", code=ReasonCode.TIMED_OUT)


def card(text: str) -> Card:
    return Card(title=words(text), summary=text)


class Slack:
    """Refuses direct messages, and to be looked through."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def post(self, _run: str, slot: str, card: Card, *, search: bool, **_: Any) -> Posted:
        if search:
            raise REFUSED
        self.said.append(f"{slot}: {card.summary}")
        return Posted(channel=DEPLOYS, ts="1.1")

    async def direct(self, *_: Any, **__: Any) -> Posted | None:
        raise REFUSED


class Engine:
    """Hands out messages, and does steps at once."""

    def __init__(self, *messages: Any) -> None:
        self._messages = [each.model_dump(mode="json") for each in messages]

    async def step(self, _name: str, function: Callable[[], Awaitable[Any]]) -> Any:
        return await function()

    async def receive(self, *, timeout: float) -> Any:  # noqa: ASYNC109 - the engine's own
        del timeout
        return self._messages.pop(0)

    async def recovered(self, _id: str) -> bool:
        return True


async def test_a_refusal_that_nobody_foresaw_costs_one_message_at_most() -> None:
    request = Request(
        id="production.deploy.0a1b2c3d4e5f6", command="deploy", arguments={}, environment="production", text="deploy v2",
        title="Deploy v2", requester=Actor(key="requester", name="Requester"), channel=DEPLOYS, at=NOON,
    )  # fmt: skip
    slack = Slack()
    engine = Engine(
        Show(slot="invitation-1-approver", card=card("please"), direct="approver"),
        Show(slot="result", card=card("v2 runs")),
        Close(),
    )
    first = {"request": request.model_dump(mode="json"), "head": card("making the plan").model_dump(mode="json")}
    threads = Threads(
        engine=cast("Any", engine),
        messenger=cast("Any", slack),
        display=Display(None),
        channels={"production": DEPLOYS},
    )
    await threads.workflow(first)
    assert slack.said == ["head: making the plan", "result: v2 runs"]


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (9.0, "9 s"), (130.0, "2 min 10 s")])
def test_an_interruption_says_how_long_it_was(seconds: float, words: str):
    at = datetime(2026, 11, 24, 14, 5, 31, tzinfo=UTC)
    told = InterruptedMessage(at=at, on=at + timedelta(seconds=seconds))
    first, moment, rest = interruption(told).spans
    assert (first.text, moment.at, rest.text) == ("Interrupted at ", at, f" for {words}")  # type: ignore[union-attr]
