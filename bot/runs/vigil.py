"""The vigil's workflow: a failure that nobody answers is told again, to those who may go back, with growing gaps.

It begins where a run ended without success, and ends when somebody has decided (gone back, tried again with success, or left it as
it is) or when it was told often enough. What somebody asked for since then is an answer for as long as it is open. It keeps the
thread open meanwhile, and closes it.
"""

from typing import Any

from bot import crash_points
from bot.audit import EventName
from bot.runs import cards
from bot.runs.house import House
from bot.runs.model import Close, Request, Show, Vigil, thread_id
from runbooks.kit.errors import RunbookError


class Vigils:
    """The workflow `vigil`."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def workflow(self, raw: Any) -> None:
        """Input: the request, how its run ended, and how patient to be."""
        vigil = Vigil.model_validate(raw)
        gap = vigil.after
        for number in range(1, vigil.times + 1):
            message = await self._house.engine.receive(timeout=gap)
            if message is not None:
                break
            gap *= 2
            looked = await self._house.engine.step(f"look {number}", lambda: self._look(vigil))
            if looked["decided"]:
                break
            if looked["people"]:
                await self._tell(vigil, number, looked["people"])
        await self._house.engine.send(thread_id(vigil.request.id), Close().model_dump(mode="json"))

    async def _look(self, vigil: Vigil) -> Any:
        """Whether it is decided; if not, whom to tell: nobody while somebody is about it."""
        request = vigil.request
        context = self._house.context(request.requester, request.environment)
        try:
            undecided = (await context.fleet.read(context.where)).undecided
        except RunbookError:
            pass  # a cluster that can't be asked has decided nothing
        else:
            if undecided is None or undecided.run != request.id:
                return {"decided": True}
        if await self._answered(vigil):
            return {"decided": False, "people": []}
        people = await self._house.permissions.holders("rollout:back", request.environment)
        return {"decided": False, "people": list(people)}

    async def _answered(self, vigil: Vigil) -> bool:
        """Whether a way back, or what was asked for since it failed, is still open; what waited before that answers nothing."""
        environment = vigil.request.environment
        views = await self._house.engine.list(name="request", prefix=f"{environment}.", active=True)
        open_now = [Request.model_validate(view.input) for view in views]
        return any(each.at >= vigil.ended or getattr(self._house.make(each), "goes_back", False) for each in open_now)

    async def _tell(self, vigil: Vigil, number: int, people: list[str]) -> None:
        request = vigil.request

        async def noted() -> Any:
            written = await self._house.note(
                request, EventName.RUN_UNANSWERED, about=str(number), actor="bot", details={"told": people}
            )
            crash_points.reached("unanswered-noted")
            return written

        await self._house.engine.step(f"note {number}", noted)
        card = cards.unanswered_card(request, vigil.outcome, tuple(people))
        show = Show(slot=f"unanswered-{number}", card=card, broadcast=True)
        await self._house.engine.send(thread_id(request.id), show.model_dump(mode="json"))
