"""A dispatcher and a follower for tests of the terminal: the real ones' Protocols, with answers that a test chooses."""

# ruff: noqa: ARG002 - the Protocols' arguments

import asyncio
from collections.abc import AsyncIterator

from bot.boundary.inbound import Answer, Exit, Form, Inbound, ParsedInbound
from commands.kit.card import Card, OpenForm, State, words
from commands.kit.spec import Kind


def card(title: str, *, state: State | None = None, **data: object) -> Card:
    return Card(title=words(title), summary=title, state=state, data=data)


class Dispatcher:
    """Answers each command by its first word; counts what it took."""

    def __init__(self) -> None:
        self.taken: list[Inbound] = []
        self.answers: dict[str, Answer] = {}
        self.kinds: dict[str, Kind] = {}
        self.release = asyncio.Event()
        self.release.set()
        self.entered = asyncio.Event()
        self.finished = asyncio.Event()

    def parse(self, inbound: Inbound) -> ParsedInbound:
        return ParsedInbound(inbound=inbound, kind=self.kinds.get((inbound.tokens or ("",))[0]))

    async def take(self, came: Inbound | ParsedInbound) -> Answer:
        inbound = came.inbound if isinstance(came, ParsedInbound) else came
        self.taken.append(inbound)
        self.entered.set()
        await self.release.wait()
        self.finished.set()
        first = (inbound.tokens or ("",))[0]
        return self.answers.get(first, Answer(card=card(f"You typed {first}", typed=first)))

    async def form(self, inbound: Inbound, asked: OpenForm) -> Form | Answer:
        return Answer(card=card("No form here"), exit=Exit.USAGE)


class Runs:
    """A follower that says what a test tells it to, then waits until the test lets the run end."""

    def __init__(self, *news: tuple[str, Card]) -> None:
        self.news = list(news)
        self.end = asyncio.Event()
        self.end.set()
        self.watching = asyncio.Event()
        self.left = asyncio.Event()

    async def follow(self, run: str) -> AsyncIterator[tuple[str, Card]]:
        try:
            for each in self.news:
                yield each
            self.watching.set()
            await self.end.wait()
        finally:
            self.left.set()
