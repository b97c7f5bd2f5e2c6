"""The plan of `releases adopt`: what runs is checked and recorded as a good release, and nothing is changed."""

import asyncio
from collections.abc import Sequence

from runbooks.deployments import service_state
from runbooks.deployments.places import Place
from runbooks.deployments.service_state import ServiceState
from runbooks.fleet.fleet import Fleet, Release
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, Plan, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment
from runbooks.kit.waiting import side_by_side
from runbooks.release import last_good
from runbooks.release.region_by_region import looked_at
from runbooks.release.steps import Record
from runbooks.wording import by_count, counted, listed


async def plan_adopt(fleet: Fleet, environment: Environment, places: Sequence[Place]) -> Plan:
    """Return the check and the record of what runs in all regions; `PermanentError` where it could not be gone back to."""
    found, known = await asyncio.gather(
        side_by_side(*(place.states() for place in places)), fleet.releases(environment)
    )
    states = [state for each in found for state in each]
    images = _images(states, environment.name)
    version = versions(images)
    if version in last_good.bad_versions(known):
        raise PermanentError(
            f"{version} was marked bad in {environment.name}, so a rollback would never use it.",
            code=ReasonCode.NOT_A_RELEASE,
        )
    newest = known[0] if known else None
    if newest is not None and _is(newest, version) and last_good.runs_completely(newest, states):
        raise PermanentError(
            f"{version} is already the newest recorded release in {environment.name}.", code=ReasonCode.NOTHING_TO_DO
        )
    changes = tuple(last_good.change_of(state, image) for state, image in zip(states, images, strict=True))
    return Plan(
        title=f"Record {version} as a good release of {environment.name}",
        steps=(*looked_at(changes), Record(images=changes, standing=True)),
        notes=("No pod is changed. `rollback` can go back to this release afterwards.",),
    )


def _is(release: Release, version: str) -> bool:
    return release.verdict == "good" and release.version == version


def _images(states: Sequence[ServiceState], where: str) -> list[Image]:
    """Return what each service runs, by its digest."""
    for state in states:
        if state.foreign:
            raise PermanentError(
                f"{state.foreign[:-1]}, so it is not a release.",
                code=ReasonCode.FOREIGN_IMAGE,
                advice=("`deploy VERSION` rolls out an image from the configured repository.",),
            )
        if not state.runs_completely or state.ready < state.desired or state.desired == 0:
            of_them = f"{state.ready} of {counted(state.desired, 'pod')} {by_count(state.ready, 'is', 'are')} ready"
            raise PermanentError(
                f"{state.named} does not run completely in {where} ({state.detail or of_them}), so this is not a good release yet.",
                code=ReasonCode.NOT_A_RELEASE,
            )
    running = {state.named: service_state.pinned(state) for state in states}
    pinned = {name: image for name, image in running.items() if image is not None and image.digest is not None}
    if missing := [name for name in running if name not in pinned]:
        raise PermanentError(
            f"The digest of {listed(missing)} in {where} is unknown, so a rollback could not restore it exactly.",
            code=ReasonCode.NOT_A_RELEASE,
        )
    for service in dict.fromkeys(state.service for state in states):
        runs = {pinned[state.named].digest: state for state in states if state.service == service}
        if len(runs) > 1:
            raise PermanentError(
                f"{listed(f'{state.named} runs {pinned[state.named].short}' for state in runs.values())}, so {where} runs no one release.",
                code=ReasonCode.NOT_A_RELEASE,
                advice=("`deploy VERSION` brings all regions to one release.",),
            )
    return [pinned[state.named] for state in states]
