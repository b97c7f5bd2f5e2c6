"""The vigil's workflow: a failure that nobody answers is told again, to those who may go back, with growing gaps.

It begins where a run ended without success, and ends when somebody has decided (gone back, tried again with success, or left it as
it is) or when it was told often enough. A request that somebody has open is an answer for as long as it is open. It keeps the
thread open meanwhile, and closes it.
"""

from typing import Any

from bot.audit import EventName
from bot.runs import cards
from bot.runs.house import House
from bot.runs.model import Close, Request, Show, thread_id
from commands.kit.context import Outcome
from runbooks.kit.errors import RunbookError


class Vigils:
    """The workflow `vigil`."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def workflow(self, raw: Any) -> None:
        """Input: the request and how its run ended."""
        request, outcome = Request.model_validate(raw["request"]), Outcome.model_validate(raw["outcome"])
        times = self._house.settings.times
        gap = times.escalate_after
        for number in range(1, times.escalate_times + 1):
            message = await self._house.engine.receive(timeout=gap)
            if message is not None:
                break
            gap *= 2
            looked = await self._house.engine.step(f"look {number}", lambda: self._look(request))
            if looked["decided"]:
                break
            if looked["people"]:
                await self._tell(request, outcome, number, looked["people"])
        await self._house.engine.send(thread_id(request.id), Close().model_dump(mode="json"))

    async def _look(self, request: Request) -> Any:
        """Whether it is decided; if not, whom to tell: nobody while somebody has a request open there."""
        context = self._house.context(request.requester, request.environment)
        try:
            undecided = (await context.fleet.read(context.where)).undecided
        except RunbookError:
            pass  # a cluster that can't be asked has decided nothing
        else:
            if undecided is None or undecided.run != request.id:
                return {"decided": True}
        if await self._house.engine.list(name="request", prefix=f"{request.environment}.", active=True):
            return {"decided": False, "people": []}
        people = await self._house.permissions.holders("rollout:back", request.environment)
        return {"decided": False, "people": list(people)}

    async def _tell(self, request: Request, outcome: Outcome, number: int, people: list[str]) -> None:
        async def noted() -> Any:
            return await self._house.note(
                request, EventName.RUN_UNANSWERED, about=str(number), actor="bot", details={"told": people}
            )

        await self._house.engine.step(f"note {number}", noted)
        card = cards.unanswered_card(request, outcome, tuple(people))
        show = Show(slot=f"unanswered-{number}", card=card, broadcast=True)
        await self._house.engine.send(thread_id(request.id), show.model_dump(mode="json"))
