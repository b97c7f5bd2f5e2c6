"""A region of an environment with the client of its cluster: what plans and answers about several regions go through."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.service_state import ServiceState, current
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Region
from runbooks.wording import by_count, listed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """One region; or the whole environment, where it has one cluster."""

    environment: Environment
    cluster: ClusterClient
    patience: float = 3.0
    """Seconds that a plan waits for it, if it can do without it."""

    @property
    def name(self) -> str:
        """The region's name; empty where there is one cluster."""
        return self.environment.region

    @property
    def region(self) -> Region:
        """What is configured of the region; nothing where there is one cluster."""
        found = (each for each in self.environment.regions if each.name == self.name)
        return next(found, Region(name=""))

    async def states(self, *, patience: float | None = None) -> list[ServiceState]:
        """Return every service as it is there. Raises RunbookError, which names the region; `patience`: no answer within so many seconds is one too."""
        try:
            async with asyncio.timeout(patience):
                return await current(self.cluster, self.environment)
        except TimeoutError as error:
            raise self.unanswered(patience or 0.0) from error
        except RunbookError as error:
            if self.name:
                error.message = f"{self.name}: {error.message}"
                error.advice = (*error.advice, f"Name the other regions to leave the region {self.name} out.")
            raise

    def unanswered(self, seconds: float) -> PermanentError:
        """Return the error for no answer within so many seconds."""
        message = f"{self.name}: its cluster did not answer within {seconds:g} s."
        return PermanentError(message, code=ReasonCode.CLUSTER_UNREACHABLE)


def places_of(
    environment: Environment, cluster: ClusterClient, regions: Mapping[str, Mapping[type, object]]
) -> tuple[Place, ...]:
    """Return each region with its cluster, in the order in which a release reaches them; the one cluster where there are no regions."""
    if not environment.regions:
        return (Place(environment, cluster),)
    return tuple(
        Place(environment.within(each.name), cast("ClusterClient", regions[each.name][ClusterClient]))
        for each in environment.regions
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The regions that an operation is about, and what becomes of the others, in sentences."""

    places: tuple[Place, ...]
    left: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    """Their names, where they are not all."""


def named(places: Sequence[Place], regions: Sequence[str]) -> tuple[Place, ...]:
    """Return the places of those regions, in their own order; all where none is named. Raises PermanentError for one that there is not."""
    known = [place.name for place in places if place.name]
    if strange := [each for each in regions if each not in known]:
        where = places[0].environment.name
        there = f"Its regions: {listed(known)}." if known else "It has one cluster, so leave the region out."
        raise PermanentError(f"{where} has no region `{strange[0]}`. {there}", code=ReasonCode.USAGE)
    return tuple(place for place in places if not regions or place.name in regions)


def rest_at_once(places: Sequence[Place]) -> frozenset[str]:
    """Return the services whose other pods come at once when a first new one is ready."""
    return frozenset(each.name for place in places for each in place.environment.services if each.rest_at_once)


async def for_deploy(places: Sequence[Place], regions: Sequence[str], version: str) -> Chosen:
    """Return where a deploy goes: to the named regions, and to none in maintenance. Raises PermanentError where nothing is left."""
    chosen = _not_in_maintenance(places, regions)
    others = [place for place in places if place not in chosen]
    left = await asyncio.gather(*(_left_out(place, version) for place in others))
    return Chosen(chosen, tuple(left), tuple(place.name for place in chosen) if others else ())


def _not_in_maintenance(places: Sequence[Place], regions: Sequence[str]) -> tuple[Place, ...]:
    """Return the named regions, or all, without those in maintenance. Raises PermanentError where one of these is named, or nothing is left."""
    chosen = named(places, regions)
    if closed := [place for place in chosen if place.region.maintenance]:
        chosen = tuple(place for place in chosen if not place.region.maintenance)
        if not chosen or regions:
            told = "; ".join(f"Region {place.name} is in maintenance ({place.region.maintenance})" for place in closed)
            raise PermanentError(
                f"{told}.",
                code=ReasonCode.IN_MAINTENANCE,
                advice=("Remove `maintenance` from the region in `omnicare.toml` when it is over, then try again.",),
            )
    return chosen


async def _left_out(place: Place, version: str) -> str:
    """Return why a region is left out, what it runs, and how it catches up."""
    why = (
        f"is in maintenance ({place.region.maintenance})" if place.region.maintenance else "is not named by `--regions`"
    )
    try:
        states = await place.states(patience=place.patience)
        stays = f"stays on {versions_of(states)}"
    except RunbookError:
        stays = "does not say what it runs"
    after = "Afterwards, " if place.region.maintenance else ""
    return f"Region {place.name} {why} and {stays}. {after}`deploy {version} --regions {place.name}` lets it catch up."


def versions_of(states: Sequence[ServiceState]) -> str:
    """Return the versions that they ask for, for people: `v1.2.0`."""
    images: list[Image] = [state.image for state in states if state.image is not None]
    return versions(images) or "nothing"


@dataclass(frozen=True, slots=True)
class Reached:
    """The regions that an operation is about and whose clusters answer, and what is left, in sentences."""

    places: tuple[Place, ...]
    states: tuple[list[ServiceState], ...]
    left: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    """Their names, where they are not all."""


async def for_rollback(places: Sequence[Place], regions: Sequence[str]) -> Reached:
    """Return the regions that go back now: one away from home whose cluster does not answer in time is left, unless it is the only one."""
    return await _answering(places, named(places, regions), "rollback")


async def for_rotation(places: Sequence[Place], regions: Sequence[str], again: str) -> Reached:
    """Return the regions that get new values now, the home region first: none in maintenance, and none away from home whose cluster does not answer in time, unless it is the only one.

    `again`: the command that does it for the others later.
    """
    chosen = sorted(_not_in_maintenance(places, regions), key=lambda place: place.name != place.environment.home)
    closed = [place for place in places if place.region.maintenance]
    found = await _answering([place for place in places if place not in closed], chosen, again)
    told = (
        f"Region {each.name} is in maintenance ({each.region.maintenance}) and is left as it is." for each in closed
    )
    reached = tuple(place.name for place in found.places) if len(found.places) < len(places) else ()
    return replace(found, left=(*found.left, *told), regions=reached)


async def _answering(places: Sequence[Place], chosen: Sequence[Place], again: str) -> Reached:

    async def one(place: Place) -> list[ServiceState] | RunbookError:
        away = place.name != place.environment.home and len(chosen) > 1
        try:
            return await place.states(patience=place.patience if away else None)
        except RunbookError as error:
            if not away:
                raise
            return error

    found = list(zip(chosen, await asyncio.gather(*(one(place) for place in chosen)), strict=True))
    there = tuple(place for place, states in found if isinstance(states, list))
    if not there and (failed := [error for _, error in found if isinstance(error, RunbookError)]):
        raise failed[0]
    others = [place.name for place in places if place not in chosen]
    stay = f"{listed(others)} {by_count(len(others), 'is', 'are')} not named by `--regions`, so nothing changes there."
    return Reached(
        places=there,
        states=tuple(states for _, states in found if isinstance(states, list)),
        left=(
            *(
                f"{error.message} It is left as it is. When it answers again: `{again} --regions {place.name}`."
                for place, error in found
                if isinstance(error, RunbookError)
            ),
            *([stay] if others else []),
        ),
        regions=tuple(place.name for place in there) if len(there) < len(places[0].environment.regions) else (),
    )


async def asked(
    places: Sequence[Place], ask: Callable[[Place], Awaitable[Sequence[T]]]
) -> tuple[list[T], tuple[str, ...]]:
    """Return what all regions answer, and a sentence for each that does not. Raises RunbookError where none answers."""

    async def one(place: Place) -> Sequence[T] | RunbookError:
        try:
            async with asyncio.timeout(place.patience if len(places) > 1 else None):
                return await ask(place)
        except TimeoutError:
            return place.unanswered(place.patience)
        except RunbookError as error:
            if place.name:
                error.message = f"{place.name}: {error.message}"
            return error

    answers = await asyncio.gather(*(one(place) for place in places))
    errors = [answer for answer in answers if isinstance(answer, RunbookError)]
    if len(errors) == len(places):
        raise errors[0]
    found = [each for answer in answers if not isinstance(answer, RunbookError) for each in answer]
    return found, tuple(error.message for error in errors)
