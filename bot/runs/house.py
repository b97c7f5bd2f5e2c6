"""What the workflows work with: everything that is built once for the process, by `bot.app`."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bot.audit import Book, BookUnavailable, Event, EventName
from bot.config import Settings
from bot.inbound import Messenger, Posted
from bot.metrics import Metrics
from bot.policy.permissions import Permissions
from bot.runs.engine import Engine
from bot.runs.heads import KeptHeads
from bot.runs.manual_rollback import WaysBack
from bot.runs.model import Hold, Request
from bot.runs.pending import PendingRequests
from commands.kit.card import Card, StepLine
from commands.kit.command import Operation
from commands.kit.context import Actor, Context
from commands.kit.registry import Registry
from runbooks.kit.reasons import ReasonCode

_STARTS = frozenset({EventName.RUN_REQUESTED, EventName.RUN_STARTED, EventName.STEP_STARTED})
"""Behind each of these something is changed."""


class MakesContext(Protocol):
    """Builds what a command is given (`bot.app`)."""

    def __call__(
        self,
        actor: Actor,
        environment: str | None,
        *,
        run_id: str | None = None,
        approved_by: tuple[str, ...] = (),
        reason: str | None = None,
    ) -> Context: ...


class Live:
    """News of runs for who watches just now (terminals): in memory only, nothing rests on it."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Queue[tuple[str, Card] | None]]] = defaultdict(set)

    def tell(self, run: str, slot: str, card: Card) -> None:
        """A message of the run says something new."""
        for queue in self._watchers.get(run, ()):
            queue.put_nowait((slot, card))

    def end(self, run: str) -> None:
        """The request has ended; nothing more comes."""
        for queue in self._watchers.get(run, ()):
            queue.put_nowait(None)

    async def watch(self, run: str) -> AsyncIterator[tuple[str, Card]]:
        """(slot, card) as they come, until the request has ended."""
        queue: asyncio.Queue[tuple[str, Card] | None] = asyncio.Queue()
        self._watchers[run].add(queue)
        try:
            while (news := await queue.get()) is not None:
                yield news
        finally:
            self._watchers[run].discard(queue)
            if not self._watchers[run]:
                del self._watchers[run]


@dataclass(slots=True, kw_only=True)
class House:
    """One per process."""

    settings: Settings
    registry: Registry
    permissions: Permissions
    book: Book
    messenger: Messenger | None
    context: MakesContext
    clock: Callable[[], datetime]
    redact: Callable[[str], str]
    live: Live = field(default_factory=Live)
    pending: PendingRequests = field(default_factory=PendingRequests)
    metrics: Metrics | None = None
    steps: dict[str, tuple[StepLine, ...]] = field(default_factory=dict)
    """Request → its run's steps as they stand now; what ended is in the engine's memory."""
    ways_back: WaysBack = field(default_factory=WaysBack)
    """How people go back by hand, for refusals."""
    holds: dict[str, Hold] = field(default_factory=dict)
    """Request → who holds its run now, for the progress message; the request's own state has it too."""
    stopping: set[str] = field(default_factory=set)
    """Requests whose run was asked to stop: their head message says that, and not how long it takes."""
    redraw: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Request → draws its progress message anew, while its run is in this process."""
    posted: dict[tuple[str, str], Posted] = field(default_factory=dict)
    """(request, slot) → where that message stands; filled again by the replay after a restart."""
    beginning: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    """Requests that begin at once: the engine's SQLite has one writer, and who was not acknowledged yet goes first."""
    planning: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))
    """Plans that are made at once, for the same reason: everybody's first message comes before anybody's plan."""
    unwritten: deque[Event] = field(default_factory=lambda: deque(maxlen=1000))
    """What happened while the book could not be written, oldest first."""
    heads: KeptHeads = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.heads = KeptHeads(self.book)

    def may_start(self, request: Request) -> bool:
        """Whether the audit log is what the bot wrote, as far as its kept heads tell; who goes back may all the same."""
        return not self.heads.wrong or self.make(request).goes_back

    @property
    def book_trouble(self) -> str:
        """Why nothing starts, for people; without its full stop."""
        return self.heads.wrong or "The audit log can't be written"

    def draw(self, run: str, slot: str, card: Card) -> None:
        """What a message of the run says just now, to terminals and to Slack: newest wins, any of it may be dropped."""
        self.live.tell(run, slot, card)
        posted = self.posted.get((run, slot))
        if posted is not None and self.messenger is not None:
            self.messenger.progress(posted, run, slot, card)

    def make(self, request: Request) -> Operation:
        """Return the operation that was asked for."""
        made = self.registry.make(request.command, request.arguments)
        assert isinstance(made, Operation), "only operations are requested"
        return made

    async def note(
        self,
        request: Request,
        name: EventName,
        *,
        about: str = "",
        actor: str | None = None,
        surface: str = "bot",
        reason_code: ReasonCode | None = None,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
        later: bool = False,
    ) -> bool:
        """Writes an audit event of a request; its id is made from what it tells of, so a repetition writes nothing.

        False where the book can't be written: what has begun goes on, nothing new starts. `later`: it tells of what has happened all
        the same, so it is written as soon as the book can be.
        """
        event = Event(
            id="/".join(filter(None, (request.id, name, about))),
            name=name,
            at=self.clock(),
            actor=actor or request.requester.key,
            surface=surface,
            environment=request.environment,
            command=request.command,
            run=request.id,
            reason_code=reason_code,
            reason=reason,
            ticket=request.ticket,
            details=details or {},
        )
        if name in _STARTS and not self.may_start(request):
            return False
        try:
            while self.unwritten:
                await self.book.append(self.unwritten[0])
                self.unwritten.popleft()
            await self.book.append(event)
        except BookUnavailable:
            if later:
                self.unwritten.append(event)
            return False
        return True
