"""One request while its workflow runs: where it stands, its thread's messages, its inbox, its durable steps.

What the other modules of this package do outside of a step goes through an `OpenRequest`. What they do inside of one returns a
`DurableResult`, and gets values only.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bot.runs import cards
from bot.runs.display import Display
from bot.runs.engine import DurableResult, Engine
from bot.runs.model import (
    Phase,
    Request,
    RequestMessage,
    RequestState,
    Show,
    digest_of,
    read_request_message,
    thread_id,
)
from commands.kit.card import Button, Card, RunAct, State
from commands.kit.command import Operation
from commands.kit.context import Actor
from runbooks.kit.targets import Frozen

R = TypeVar("R", bound=DurableResult)


class OpenRequest:
    """Made anew by each pass of the workflow, and the same after each pass."""

    def __init__(self, engine: Engine, display: Display, request: Request, command: Operation) -> None:
        self._engine = engine
        self._display = display
        self.request = request
        self.command = command
        self.goes_back = command.goes_back
        self.state = RequestState(phase="planning", word="")
        self.asked = 0
        """How often people were asked to approve it."""
        self.back_by: Actor | None = None
        """Who stopped its run so that it goes back."""
        self.stopped_by = ""
        """Who asked its run to stop; empty where an older version of the bot heard it."""

    async def begin(self, stood: RequestState | None) -> None:
        """Publish the first state and start the thread. `stood`: what an older version of the bot left, which then stands."""
        if stood is None:
            await self.publish(head=cards.head_card(self.request, State.WAITING, "making the plan"))
        else:
            self.state = _taken_over(self.request, stood)
        if self.request.threaded and self.state.head is not None:
            first = {"request": self.request.model_dump(mode="json"), "head": self.state.head.model_dump(mode="json")}
            await self._engine.start("thread", thread_id(self.request.id), first)

    async def publish(self, **changes: Any) -> None:
        """Say where it stands: to lists, to the dispatcher, to terminals."""
        self.state = self.state.model_copy(update=changes)
        await self._engine.publish("state", self.state.model_dump(mode="json"))

    async def show(
        self, slot: str, card: Card, *, direct: str | None = None, absent_only: bool = False, broadcast: bool = False
    ) -> None:
        """Post or edit that message of its thread; `direct`: a person's key, who gets a direct message instead."""
        if direct is None:
            self._display.tell(self.request.id, slot, card)
        if self.request.threaded:
            show = Show(slot=slot, card=card, direct=direct, absent_only=absent_only, broadcast=broadcast)
            await self._engine.send(thread_id(self.request.id), show.model_dump(mode="json"))

    async def head(self, state: State, what: str, *, phase: Phase | None = None, **more: Any) -> None:
        """Show and publish the head message, and the phase that it tells of."""
        card = cards.head_card(self.request, state, what, **more)
        await self.show("head", card)
        await self.publish(head=card, **({"phase": phase} if phase else {}))

    async def tell_run(self, key: str, value: Frozen | None) -> None:
        """Say something that its run looks at."""
        await self._engine.publish(key, value.model_dump(mode="json") if value is not None else None)

    async def step(self, name: str, result: type[R], function: Callable[[], Awaitable[R]]) -> R:
        """Return what `function` returned, now or on an earlier pass."""
        return await self._engine.recorded_step(name, result, function)

    async def receive(self, seconds: float) -> RequestMessage | None:
        """Return the next message, or None after so long."""
        message = await self._engine.receive(timeout=seconds)
        return read_request_message(message) if message is not None else None

    def withdraw_button(self, word: str) -> Button:
        """Return the button for the head message, while it waits."""
        return Button(label="Withdraw", does=RunAct(command="withdraw", run=self.request.id, word=word))


def _taken_over(request: Request, stood: RequestState) -> RequestState:
    """Return what stood, as this version has it: an approval counts for the same plan with steps, and a go is asked for again."""
    if stood.phase == "scheduled":  # nothing may start before its time, so people are asked for a go again
        stood = stood.model_copy(update={"go": None})
    if stood.plan is None or stood.plan.substance_before is None:
        return stood
    plan = stood.plan.model_copy(update={"substance_before": None})
    digest = digest_of(request, plan)
    pending = stood.pending.model_copy(update={"digest": digest}) if stood.pending is not None else None
    return stood.model_copy(update={"plan": plan, "digest": digest, "pending": pending})
