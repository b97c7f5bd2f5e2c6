"""What a request's workflow says and hears: its state for lists and the dispatcher, its thread's messages, its inbox. The base of `request`."""

from collections.abc import Awaitable, Callable
from typing import Any

from bot.runs import cards
from bot.runs.house import House
from bot.runs.model import Request, RequestState, Show, thread_id
from commands.kit.card import Card, State
from commands.kit.context import Actor


class Telling:
    """One request and where it stands."""

    def __init__(self, house: House, request: Request) -> None:
        self.request = request
        self._house = house
        self._command = house.make(request)
        self._state = RequestState(phase="planning", word="")
        self._asked = 0
        self._going_back = self._command.goes_back
        self._back_by: Actor | None = None
        """Who stopped the run so that it goes back."""

    async def _publish(self, **changes: Any) -> None:
        self._state = self._state.model_copy(update=changes)
        await self._house.engine.publish("state", self._state.model_dump(mode="json"))

    async def _show(
        self, slot: str, card: Card, *, direct: str | None = None, absent_only: bool = False, broadcast: bool = False
    ) -> None:
        if direct is None:
            self._house.live.tell(self.request.id, slot, card)
        if self.request.threaded:
            show = Show(slot=slot, card=card, direct=direct, absent_only=absent_only, broadcast=broadcast)
            await self._house.engine.send(thread_id(self.request.id), show.model_dump(mode="json"))

    async def _head(self, state: State, what: str, **more: Any) -> Card:
        card = cards.head_card(self.request, state, what, **more)
        await self._show("head", card)
        return card

    async def _begin(self) -> None:
        card = cards.head_card(self.request, State.WAITING, "making the plan")
        await self._publish(head=card)
        if self.request.threaded:
            first = {"request": self.request.model_dump(mode="json"), "head": card.model_dump(mode="json")}
            await self._house.engine.start("thread", thread_id(self.request.id), first)

    async def _step(self, name: str, function: Callable[[], Awaitable[Any]]) -> Any:
        return await self._house.engine.step(name, function)

    async def _message(self, seconds: float) -> Any:
        return await self._house.engine.receive(timeout=seconds)
