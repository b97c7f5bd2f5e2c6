"""The escalation's workflow, stored as `vigil`: a failure that nobody answers is told again, to those who may go back, with growing gaps.

It begins where a run left its environment undecided, and ends when somebody has decided (gone back, tried again with success, or
left it as it is); then it takes the buttons off the failure's cards, which would lead from where nothing is any more. What somebody
asked for since then is an answer for as long as it is open. It keeps the thread open meanwhile, and closes it.
"""

from functools import partial
from typing import Any

from bot.audit import EventName
from bot.policy.permissions import Permissions
from bot.process import crash_points
from bot.runs import cards
from bot.runs.model import Escalation, Show, thread_id
from bot.runs.notes import AuditNotes
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit.card import Button, Card, Typed
from commands.kit.orphaned_run import as_it_is
from commands.kit.registry import Registry
from commands.kit.spec import Kind
from runbooks.kit.errors import RunbookError

_QUIET = 6 * 3600.0
"""Seconds between two looks, once it was told often enough: who decides sends word, so this is only for a word that was lost."""
_WORD = 30.0
"""Seconds that the word of a decision may come after the record shows it: both are written by the same run, one after the other."""
_LOOKS = 120
"""A month of them; then the thread is closed as it is."""


class Escalations:
    """The workflow `vigil`."""

    def __init__(
        self,
        *,
        store: RunStore,
        context: MakesContext,
        registry: Registry,
        permissions: Permissions,
        notes: AuditNotes,
    ) -> None:
        self._store = store
        self._engine = store.engine
        self._context = context
        self._registry = registry
        self._permissions = permissions
        self._notes = notes

    async def workflow(self, raw: Any) -> None:
        """Input: the request, how its run ended, and how patient to be."""
        escalation = Escalation.model_validate(raw)
        told: list[tuple[str, Card]] = []
        gap, said, decided, settled = escalation.after, "", False, False
        for number in range(1, escalation.times + _LOOKS + 1):
            telling = len(told) < escalation.times
            message = await self._engine.receive(timeout=_WORD if settled else gap if telling else _QUIET)
            look = partial(self._look, escalation, first=not told, no_word=message is None and not settled)
            looked = await self._engine.step(f"look {number}", look)
            settled = looked.get("settled", False)  # not in those of the version before
            said = message["text"] if message is not None else said
            if decided := looked["decided"]:
                break
            if message is None and telling:
                gap *= 2
                if looked["people"]:
                    told.append(await self._tell(escalation, len(told) + 1, looked["people"]))
        if decided:
            await self._disarm(escalation, told, said)
        await self._store.close_thread(escalation.request.id)

    async def _look(self, escalation: Escalation, *, first: bool, no_word: bool) -> Any:
        """Return whether it is decided; if not, whom to tell: nobody while somebody works on it, and those on shift first.

        `no_word`: nobody has said anything yet. What the record shows as decided then is `settled`, and looked at once more.
        """
        request = escalation.request
        context = self._context(request.requester, request.environment)
        try:
            undecided = (await as_it_is(context, await context.fleet.read(context.where))).undecided
        except RunbookError:
            pass  # a cluster that can't be asked has decided nothing
        else:
            if undecided is None or undecided.run != request.id:
                return {"decided": False, "people": [], "settled": True} if no_word else {"decided": True}
        if await self._answered(escalation):
            return {"decided": False, "people": []}
        people = await self._permissions.holders("rollout:back", request.environment)
        shift = await self._permissions.on_shift(people, request.environment) if first else ()
        return {"decided": False, "people": [key for key in people if key in shift] or list(people)}

    async def _answered(self, escalation: Escalation) -> bool:
        """Return whether a rollback, or a request made since the failure, is still open; an older request is no answer to it."""
        open_now = await self._store.open_requests(escalation.request.environment)
        return any(
            (each.at >= escalation.ended and each.appointment is None)  # what waits for its time answers nothing today
            or self._registry.operation(each.command, each.arguments).goes_back
            for each in open_now
        )

    async def _tell(self, escalation: Escalation, number: int, people: list[str]) -> tuple[str, Card]:
        """Tell people of the failure again; return the slot and the card."""
        request = escalation.request

        async def noted() -> Any:
            written = await self._notes.write(
                request, EventName.RUN_UNANSWERED, about=str(number), actor="bot", details={"told": people}
            )
            crash_points.reached("unanswered-noted")
            return written

        await self._engine.step(f"note {number}", noted)
        slot, card = f"unanswered-{number}", cards.unanswered_card(request, escalation.outcome, tuple(people))
        show = Show(slot=slot, card=card, broadcast=True)
        await self._engine.send(thread_id(request.id), show.model_dump(mode="json"))
        return slot, card

    async def _disarm(self, escalation: Escalation, told: list[tuple[str, Card]], said: str) -> None:
        """Let the cards that asked for a decision say that there is one, and keep only the buttons that look."""
        for slot, card in (("result", escalation.card), *told):
            looking = tuple(button for button in card.buttons if self._looks(button))
            show = Show(slot=slot, card=cards.answered_card(card, said, looking))
            await self._engine.send(thread_id(escalation.request.id), show.model_dump(mode="json"))

    def _looks(self, button: Button) -> bool:
        """Return whether the button starts and decides nothing."""
        does = button.does
        return isinstance(does, Typed) and self._registry.get(does.text.split()[0]).kind is Kind.QUERY
