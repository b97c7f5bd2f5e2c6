"""A rule: something that may be wrong, and how to look for it."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from runbooks.kit.errors import RunbookError
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import RuleAnswer, Trouble, could_not_look, no_answer, together


@dataclass(frozen=True)
class Rule(ABC):
    """Looks at one thing. It holds nothing: what it needs is in the case."""

    name: ClassVar[str]
    """What it looks at, as it stands in "No problem found in: pods, image pulls, certificates"."""
    permission: ClassVar[str]
    """The permission of the command that shows the same: who lacks it gets nothing of what the rule reads. There is no default."""
    contradicted_by: ClassVar[tuple[Trouble, ...]] = ()
    """Where another rule has found such trouble, "no problem found" in this one's name would contradict it."""
    seconds: ClassVar[float] = 5.0
    """Its time limit; the runner says when it is over."""

    def within(self, case: Case) -> float:
        """Return its time limit in this case, in seconds."""
        return self.seconds * case.patience

    @abstractmethod
    async def look(self, case: Case) -> RuleAnswer:
        """Return what it found. A `RunbookError` that it raises is told as the reason why it could not look."""


class RegionRule(Rule):
    """A rule that looks at each region by itself: one that does not answer hides nothing of the others."""

    @abstractmethod
    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return what it found in that region. Its findings get the region's name."""

    async def look(self, case: Case) -> RuleAnswer:
        """Look at all regions side by side."""
        return together(await asyncio.gather(*(self._there(case, place) for place in case.places)))

    async def _there(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        try:
            async with asyncio.timeout(self.within(case) * 0.9):
                answer = await self.look_at(case, place)
        except TimeoutError:
            answer = no_answer(self.within(case))
        except RunbookError as error:
            answer = could_not_look(error.message)
        where = f"{place.region}: " if place.region else ""
        return answer.model_copy(
            update={
                "found": tuple(
                    each if each.region else each.model_copy(update={"region": place.region}) for each in answer.found
                ),
                "unknown": tuple(f"{where}{why}" for why in answer.unknown),
            }
        )
