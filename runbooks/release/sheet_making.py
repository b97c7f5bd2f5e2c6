"""Making the sheet for a bad night of what runs now: for `sheet`, and at the end of a deploy, where that is configured."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar, Literal

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place, for_rollback, places_of
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.steps import BestEffort, Step, StepContext
from runbooks.kit.targets import Environment
from runbooks.kit.train import Part, Train
from runbooks.release.plans import plan_rollback
from runbooks.release.sheet import RunningService, Sheet
from runbooks.release.steps import images_of

_SECONDS = 10.0
"""The deploy is done by then, and nobody waits longer for a page."""


async def sheet_of(
    places: Sequence[Place], registry: RegistryClient, fleet: Fleet, environment: Environment, now: datetime
) -> Sheet:
    """Return the sheet. Without a rollback the page is worth printing all the same, and says why there is none.

    `places`: the environment's regions with their clusters; its one cluster where it has none.
    """
    home = next(place for place in places if place.name == environment.home)

    async def back() -> tuple[Plan | None, str]:
        try:
            return await plan_rollback(home.cluster, registry, fleet, environment, places=places), ""
        except RunbookError as error:
            return None, f"There is no rollback: {error.message}"

    reached, (plan, why_not) = await asyncio.gather(for_rollback(places, ()), back())
    states = [state for each in reached.states for state in each]
    return Sheet(
        environment=environment,
        at=now,
        running=tuple(RunningService(service=each.named, image=each.image, pods=each.ready) for each in states),
        back=images_of(plan) if plan is not None else (),
        back_lines=tuple(line for step in plan.steps for line in step.by_hand()) if plan is not None else (),
        why_not=why_not,
        contacts=environment.contacts,
    )


class SheetMade(BestEffort):
    """The page, or why there is none."""

    text: str = ""


class MakeSheet(Step):
    """The sheet is made once the release is recorded: it says what to go back to from there. What fails here is told, and ends nothing."""

    kind: Literal["sheet"] = "sheet"
    hidden: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Make the sheet"

    async def apply(self, context: StepContext) -> SheetMade:
        places = places_of(context.environment, context.use(ClusterClient), context.regions)
        registry, fleet = context.use(RegistryClient), context.use(Fleet)
        try:
            async with asyncio.timeout(_SECONDS):
                sheet = await sheet_of(places, registry, fleet, context.environment, datetime.now(UTC))
        except RunbookError as error:
            return SheetMade(problem=f"The sheet could not be made. {error.message}")
        except TimeoutError:
            return SheetMade(problem=f"The sheet could not be made within {_SECONDS:g} s.")
        return SheetMade(text=sheet.text)


async def plan_part(train: Train) -> Part:
    """The step at the end of a deploy. A rollback has none: its minutes are counted, and its card has the button."""
    if train.going_back or not train.changes or not train.environment.sheet_in_thread:
        return Part()
    return Part(last=(MakeSheet(),))
