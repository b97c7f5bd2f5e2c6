"""How a release is rolled out: one service after the other, and region by region where there are several.

Each region is rolled out and checked. Then it runs the release for its bake time and is checked again before the next one is touched.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from runbooks.deployments.images import recorded
from runbooks.deployments.places import Chosen, rest_at_once
from runbooks.deployments.service_state import ServiceState, pinned
from runbooks.fleet.records import Release
from runbooks.kit.answers import read_time
from runbooks.kit.plan import ImageChange, reads_before, versions
from runbooks.kit.steps import Step, StepContext
from runbooks.kit.targets import Region
from runbooks.kit.waiting import unless_stopped
from runbooks.release.last_good import change_of
from runbooks.release.restarting import RestartService
from runbooks.release.rollouts import CheckResult
from runbooks.release.steps import CheckRollout, Record, RollBack, Rollout, RolloutAfterFirst, Take
from runbooks.wording import duration

_TICK = 10.0
"""Seconds between two words on how much of the bake time is left."""


class Bake(Step):
    """A region runs the release for a while before the next one gets it. Returns the seconds that were waited for."""

    kind: Literal["bake"] = "bake"
    seconds: float
    since: str = ""
    """When it was recorded as released there (ISO 8601), where this run did not roll it out; empty: the bake time begins anew."""
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Bake time{self.place}"

    @property
    def word(self) -> str:
        return f"{duration(self.seconds)} of bake time"

    async def apply(self, context: StepContext) -> float:
        checked = [
            found.at for step, found in context.results.each(CheckRollout, CheckResult) if step.region == self.region
        ]
        # counted from a recorded time, so that a bot which starts again does not begin anew
        now = datetime.now(UTC)
        # a time to come would hold the environment until then
        began = min(read_time(next(iter(checked), "")) or read_time(self.since) or now, now)
        while (left := self.seconds - (datetime.now(UTC) - began).total_seconds()) > 0:
            context.pulse.say(f"{duration(left)} left")
            await unless_stopped(context.pulse, asyncio.sleep(min(left, _TICK)))
        context.pulse.say(f"ran for {duration(self.seconds)}")
        return self.seconds


def rolled_out(
    changes: Sequence[ImageChange],
    states: Sequence[ServiceState],
    cause: str,
    chosen: Chosen,
    releases: Sequence[Release],
) -> tuple[Step, ...]:
    """Return the steps of a deploy to the chosen regions, whose services stand as `states` says."""
    changed = {change.region for change in changes}
    standing = [
        change_of(state, state.image)
        for state in states
        if state.region and state.region not in changed and state.image is not None
    ]
    regions = [place.region for place in chosen.places]
    since, quick = recorded_since(releases, states), rest_at_once(chosen.places)
    return deployed(changes, cause, regions, standing, chosen.regions, since, quick)


def deployed(
    images: Sequence[ImageChange],
    cause: str,
    regions: Sequence[Region] = (),
    standing: Sequence[ImageChange] = (),
    limited: tuple[str, ...] = (),
    since: Mapping[str, str] | None = None,
    quick: Collection[str] = (),
) -> tuple[Step, ...]:
    """Return the steps that roll these images out, region by region and there one service after the other, and record them.

    `standing`: what runs the release already, region by region; such a region may still have to run it for its bake time. `limited`: the
    regions that it is released to, where these are not all. `since`: when what stands was recorded, by region (`recorded_since`).
    `quick`: the services whose other pods come at once when a first one is ready.
    """
    steps: list[Step] = []
    places = list(regions or (Region(name=""),))
    for place, later in zip(places, _later(places, images), strict=True):
        name, own = place.name, [change for change in images if change.region == place.name]
        found = own or [change for change in standing if change.region == name]
        if own:
            kinds = (RolloutAfterFirst if change.service in quick else Rollout for change in own)
            rolled = (kind(change=change, cause=cause, region=name) for kind, change in zip(kinds, own, strict=True))
            steps += [Take(region=name), *rolled, CheckRollout(images=tuple(own), region=name)]
        if later and found:
            steps += baked(place, found, "" if own else (since or {}).get(name, ""))
    return (*steps, Record(images=tuple(images), regions=limited))


def baked(place: Region, images: Sequence[ImageChange], since: str = "") -> tuple[Step, ...]:
    """Return the steps before the next region: the bake time of this one, where it has one, and another check."""
    if not place.bake_seconds:
        return ()
    again = CheckRollout(images=tuple(images), region=place.name, baked=True)
    return Bake(seconds=place.bake_seconds, since=since, region=place.name), again


def recorded_since(releases: Sequence[Release], states: Sequence[ServiceState]) -> dict[str, str]:
    """Return since when each region runs what it runs, where the record has all of it as good.

    Anybody may edit the annotation that says when an image was set, so that may only make it later.
    """
    found = {}
    for region in dict.fromkeys(state.region for state in states):
        own = [state for state in states if state.region == region]
        there = [release for release in releases if release.verdict == "good" and release.reached(region)]
        known = [(state, release) for state in own if (release := recorded(there, state.service, pinned(state)))]
        if len(known) == len(own):
            found[region] = max(max(release.at, state.since or "") for state, release in known)
    return found


def looked_at(images: Sequence[ImageChange]) -> list[Step]:
    """Return the steps that check what runs, region by region."""
    found = ((region, tuple(each for each in images if each.region == region)) for region in regions_of(images))
    return [step for region, own in found for step in (Take(region=region), CheckRollout(images=own, region=region))]


def regions_of(images: Sequence[ImageChange]) -> list[str]:
    """Return the names of the regions of these images, in their order."""
    return list(dict.fromkeys(change.region for change in images))


def _later(places: Sequence[Region], images: Sequence[ImageChange]) -> list[bool]:
    """Return for each region whether one after it gets something."""
    changed = [any(change.region == place.name for change in images) for place in places]
    return [any(changed[at + 1 :]) for at in range(len(places))]


@reads_before
def _of_the_version_before(stored: Mapping[str, Any]) -> tuple[Step, ...]:
    images = tuple(ImageChange.model_validate(each) for each in stored.get("changes", ()))
    if not images:
        return ()
    if stored.get("confirms"):
        return (Take(), CheckRollout(images=images), Record(images=images, standing=True))
    if str(stored.get("title", "")).startswith("Restart ") and all(change.restarts for change in images):
        return (Take(), *(RestartService(change=each, cause="restart") for each in images), CheckRollout(images=images))
    what = versions(change.after for change in images)
    if not stored.get("together"):
        return deployed(images, f"deploy {what}")
    leaves, unproven = stored.get("leaves"), bool(stored.get("unproven"))
    fields = {name: stored[name] for name in ("waves", "ends", "leaves", "unproven") if name in stored}
    back = RollBack.model_validate({"images": images, "cause": f"roll back to {what}", **fields})
    return (
        Take(leaves=leaves),
        back,
        CheckRollout(images=images),
        Record(images=images, unproven=unproven, left=leaves),
    )
