"""The plans of `deploy` and `rollback`: what will be changed, and what people should know before they say yes."""

import asyncio
from collections.abc import Mapping, Sequence
from statistics import median

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.images import usable
from runbooks.deployments.service_state import ServiceState, current, kubectl_lines, pinned, with_record
from runbooks.fleet.fleet import EnvironmentRecord, Fleet, Release
from runbooks.fleet.records import unknown_holder
from runbooks.kit.answers import read_time
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange, Plan, Unusual, Wave, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Step
from runbooks.kit.targets import Environment, Service
from runbooks.kit.versions import is_older, spellings
from runbooks.kit.waiting import side_by_side
from runbooks.release import rollout_capacity
from runbooks.release.last_good import (
    Earlier,
    bad_versions,
    change_of,
    good_release,
    previous_images,
    proven,
    runs_all,
    undone,
)
from runbooks.release.locking import LockEnvironment
from runbooks.release.steps import CheckRollout, Record, RestartService, RollBack, Take, deployed
from runbooks.wording import age_since, by_count, listed

_UNPROVEN = "No record lists this image as good; somebody may have set it. It is not recorded as good after the rollout; use `releases adopt` for that."
_BACK_BY_ITSELF = "If it fails, it rolls back automatically to the last known good release. The approval covers that."
_LOCKED_AFTERWARDS = "{} is locked afterwards until somebody unlocks it; going back again is not stopped by that."
_OFFERED = 5
"""So many of the newest versions are offered when one does not exist."""


class NoSuchVersion(PermanentError):
    """No image has that version; `newest` are those that exist."""

    def __init__(self, message: str, newest: tuple[str, ...]) -> None:
        super().__init__(message, code=ReasonCode.NO_SUCH_VERSION)
        self.newest = newest


async def plan_deploy(
    cluster: ClusterClient,
    registry: RegistryClient,
    fleet: Fleet,
    environment: Environment,
    version: str,
    *,
    only: str | None = None,
) -> Plan:
    """Every service, or the one that is named, to `version`, each pinned by the digest that its tag stands for now.

    Where all of it is there, but the last run was not seen through (it failed at its check, or somebody finished it by hand), that is
    checked and recorded, so that the environment is decided and a rollback knows this release.
    """
    services = [service for service in environment.services if only in (None, service.name)]
    (everything, wanted), (record, known) = await asyncio.gather(
        asyncio.gather(current(cluster, environment), _resolved(registry, services, version)),
        asyncio.gather(fleet.read(environment), fleet.known_releases(environment)),
    )
    if (unknown := unknown_holder(record)) is not None:
        raise unknown
    releases, left_out = usable(known, environment.services)
    everything = with_record(everything, releases)
    states = [state for state in everything if only in (None, state.service)]
    asked, version = version, wanted[0].tag or version
    unusual = _alone(version, only, [state for state in everything if state not in states])
    what = f"{only} {version}" if only else version
    changes = [
        change_of(state, image) for state, image in zip(states, wanted, strict=True) if not runs_all(state, image)
    ]
    older = [change for change in changes if _goes_back(change)]
    warnings = [
        *_undecided(record),
        *_not_trusted(states),
        *record.warnings,
        *known.warnings,
        *left_out,
        *_bad(known.releases, version),
        *_older(older, version),
        *_by_hand(states),
        *_owned(states),
        *_paused(states),
        *_idle(states),
        *_unsettled(states),
    ]
    title = f"Deploy {what} to {environment.name}"
    if not changes and record.undecided is not None:
        # as the Deployments have it: by its tag alone where somebody set it so
        standing = [change_of(state, state.image or image) for state, image in zip(states, wanted, strict=True)]
        return Plan(
            title=f"Check {what} in {environment.name}, and record it",
            steps=(Take(), CheckRollout(images=tuple(standing)), Record(images=tuple(standing), standing=True)),
            warnings=tuple(warnings),
            notes=(
                f"{what} already runs. Nothing is rolled out: the running version is checked and recorded as good.",
            ),
            unusual=unusual,
            on_failure=environment.on_failure,
        )
    if not changes:
        title = f"{environment.name} already runs {what} ({_all(len(states))}). Nothing to do."
    return Plan(
        title=title,
        steps=deployed(changes, f"deploy {asked}{f' --only {only}' if only else ''}") if changes else (),
        unchanged=tuple(
            state.service for state in states if state.service not in {change.service for change in changes}
        )
        if changes
        else (),
        warnings=tuple(warnings),
        notes=(
            "Old pods serve until new ones are ready.",
            *_together([state for state in states if state.service in {change.service for change in changes}]),
            *((_BACK_BY_ITSELF,) if environment.on_failure == "rollback" else ()),
        )
        if changes
        else (),
        on_failure=environment.on_failure if changes else "ask",
        links=_compare(environment, changes),
        unusual=unusual if changes else (),
        needs_reason=bool(older),
        usual_seconds=_usual(releases),
    )


async def plan_rollback(
    cluster: ClusterClient,
    registry: RegistryClient,
    fleet: Fleet,
    environment: Environment,
    *,
    services: Sequence[str] = (),
    to: str | None = None,
) -> Plan:
    """The services (all where none is named) back to the last known good release, or to the recorded release `to`."""
    states, known = await asyncio.gather(current(cluster, environment), fleet.known_releases(environment))
    releases, left_out = usable(known, environment.services)
    chosen = [state for state in with_record(states, releases) if not services or state.service in services]
    to = _as_recorded(to, releases, chosen) if to is not None else None
    release = good_release(releases, chosen, to)
    earlier = Earlier({})
    unproven = False
    targets: Mapping[str, Image]
    if release is not None:
        targets = {service.service: service.image for service in release.services}
        notes = [_recorded(release)]
        unproven = release.verdict == "unproven"
    else:
        judged = [*releases, *(each for each in known.releases if each.verdict == "bad" and each not in releases)]
        if to is not None:
            for tag in spellings(to):
                earlier |= await previous_images(cluster, registry, environment, chosen, judged, to=tag)
                if earlier.images:
                    to = tag
                    break
        elif services:
            earlier = await previous_images(cluster, registry, environment, chosen, judged)
        else:
            earlier = await undone(cluster, registry, environment, chosen, judged)
        targets = earlier.images
        unproven = not all(proven(releases, service, image) for service, image in targets.items())
        bad = bad_versions(known.releases)
        notes = [
            f"{to} was never recorded as a release; it comes from the Deployments' revision history."
            if to is not None
            else f"No {'other ' if any(each.version not in bad for each in releases) else ''}good release is recorded, so each service goes back to its previous revision, as with `kubectl rollout undo`."
        ]
    left_out = (*left_out, *earlier.left_out)
    if not targets and not (to is not None and all(s.image is not None and s.image.tag == to for s in chosen)):
        if left_out:
            raise await _not_one_of_ours(registry, environment, chosen, earlier, left_out, to)
        raise _nothing_to_go_back_to(releases, to)
    changes = [
        change_of(state, targets[state.service])
        for state in chosen
        if state.service in targets and not runs_all(state, targets[state.service])
    ]
    waves = await _waves(cluster, environment, changes)
    version = versions(change.after for change in changes)
    left = _left(changes) if to is None else None
    return Plan(
        title=f"Roll back {environment.name} to {version}"
        if changes
        else f"{environment.name} already runs {to or 'it'}. Nothing to do.",
        steps=_back(
            changes,
            waves,
            tuple((state.service, _end(state, targets)) for state in chosen),
            left,
            unproven,
            locks=environment.lock_after_rollback,
        )
        if changes
        else (),
        unchanged=tuple(
            state.service for state in chosen if state.service not in {change.service for change in changes}
        )
        if changes
        else (),
        warnings=(
            *_not_trusted(chosen),
            *known.warnings,
            *left_out,
            *((_UNPROVEN,) if unproven and changes else ()),
            *_paused(chosen),
            *_idle(chosen),
            *_by_hand(chosen),
            *_owned(chosen),
            *(_bad(known.releases, to) if to is not None else ()),
        ),
        notes=(
            *notes,
            *_together(chosen),
            *rollout_capacity.told(waves),
            *((f"{left} is marked bad.",) if left else ()),
            *((_LOCKED_AFTERWARDS.format(environment.name),) if changes and environment.lock_after_rollback else ()),
        ),
        not_done=("database schema",) if changes else (),
        links=_compare(environment, changes),
        usual_seconds=None,
    )


def _alone(version: str, only: str | None, others: Sequence[ServiceState]) -> tuple[Unusual, ...]:
    """Return what is unusual about a deploy of one service: that the others run something else."""
    other = [state for state in others if state.image is None or state.image.tag != version]
    if only is None or not other:
        return ()
    stays = listed(f"{each.service} ({each.shown})" for each in other)
    verb = by_count(len(other), "stays as it is", "stay as they are")
    return (Unusual(option=f"--only {only}", what=f"Only {only} is deployed: {stays} {verb}.", needs_reason=False),)


def _back(
    images: Sequence[ImageChange],
    waves: tuple[Wave, ...],
    ends: tuple[tuple[str, str], ...],
    leaves: str | None,
    unproven: bool,
    *,
    locks: bool,
) -> tuple[Step, ...]:
    changed = tuple(images)
    what = f"roll back to {versions(change.after for change in images)}"
    return (
        Take(leaves=leaves, services=tuple(change.service for change in images) if leaves else ()),
        RollBack(images=changed, cause=what, waves=waves, ends=ends, leaves=leaves, unproven=unproven),
        *((LockEnvironment(left=versions(change.before for change in images)),) if locks else ()),
        CheckRollout(images=changed),
        Record(images=changed, unproven=unproven, left=leaves),
    )


async def _not_one_of_ours(
    registry: RegistryClient,
    environment: Environment,
    states: Sequence[ServiceState],
    earlier: Earlier,
    left_out: Sequence[str],
    to: str | None,
) -> PermanentError:
    """The refusal, with the lines for a person: the same version as the configured repository has it."""
    changes = []
    for state in states:
        service, tag = environment.service(state.service), to or earlier.tags.get(state.service)
        if service is None or tag is None or state.image is None:
            continue
        try:
            digest = await registry.resolve(service.repository, tag)
        except RunbookError:
            continue
        changes.append(change_of(state, Image(repository=service.repository, tag=tag, digest=digest)))
    by_hand = ("By hand, with images from the configured repository:", *kubectl_lines(changes)) if changes else ()
    return PermanentError(
        "The only images to roll back to are not from the configured repositories or differ from the record, so none is rolled out.",
        code=ReasonCode.FOREIGN_IMAGE,
        evidence=tuple(left_out),
        advice=(*by_hand, "`deploy VERSION` rolls out any version in the configured repositories."),
    )


def _as_recorded(to: str, releases: Sequence[Release], states: Sequence[ServiceState]) -> str:
    """As it was typed, or with or without its `v` where only that is recorded or runs."""
    known = {release.version for release in releases} | {state.image.tag for state in states if state.image is not None}
    return next((each for each in spellings(to) if each in known), to)


async def _waves(cluster: ClusterClient, environment: Environment, changes: Sequence[ImageChange]) -> tuple[Wave, ...]:
    """A forecast: a plan is made without it, too."""
    try:
        return tuple(await rollout_capacity.waves(cluster, environment, changes)) if changes else ()
    except RunbookError:
        return ()


async def plan_restart(cluster: ClusterClient, fleet: Fleet, environment: Environment, service: str) -> Plan:
    """New pods of the image that the service asks for now."""
    states, record, known = await asyncio.gather(
        current(cluster, environment), fleet.read(environment), fleet.known_releases(environment)
    )
    states = with_record(states, usable(known, environment.services)[0])
    chosen = next(state for state in states if state.service == service)
    if chosen.image is None:
        raise PermanentError(chosen.detail or f"{service} does not exist.", code=ReasonCode.NOT_FOUND)
    change = change_of(chosen, chosen.image)
    return Plan(
        title=f"Restart {service} in {environment.name}",
        steps=(Take(), RestartService(change=change, cause=f"restart {service}"), CheckRollout(images=(change,))),
        warnings=(
            *_undecided(record),
            *_not_trusted([chosen]),
            *record.warnings,
            *_by_hand([chosen]),
            *_owned([chosen]),
            *_idle([chosen]),
            *_unsettled([chosen]),
        ),
        notes=("The image does not change. Old pods serve until new ones are ready.",),
    )


def _all(count: int) -> str:
    return {1: "its digest", 2: "both digests"}.get(count, f"all {count} digests")


def _together(states: Sequence[ServiceState]) -> list[str]:
    """By which mirror it is pulled, which containers go with their service, and which of the same repository do not."""
    said = [
        f"{state.service}: the cluster pulls it from {state.mirror} (`mirrors`)." for state in states if state.mirror
    ]
    for state in states:
        if state.beside:
            names = ", ".join(each.named for each in state.beside)
            verb = by_count(len(state.beside), "goes", "go")
            said.append(f"{state.service}: {names} {verb} with it, because of the same repository.")
        if state.kept:
            verb = by_count(len(state.kept), "is not changed", "are not changed")
            said.append(
                f"{state.service}: {', '.join(state.kept)} {verb} (`keeps`), although the repository is the same."
            )
    return said


def _goes_back(change: ImageChange) -> bool:
    return is_older(change.after.tag or "", change.before.tag or "")


def _recorded(release: Release) -> str:
    by = f" by {release.by}" if release.by else ""
    found = read_time(release.at)
    at = f"{age_since(found)} ago" if found is not None else "at an unknown time"
    good = "the last known good release" if release.verdict == "good" else "a recorded release"
    did = "rolled out" if release.run else "recorded while running"  # what was adopted may have run for weeks before
    return f"{release.version} is {good}, {did} {at}{by}."


def _not_trusted(states: Sequence[ServiceState]) -> list[str]:
    """What runs and is not ours, and what was written on the Deployments and can't be read."""
    foreign = [state.foreign for state in states if state.foreign]
    return [*foreign, *(f"{state.service}: {each}" for state in states for each in state.unknown)]


def _nothing_to_go_back_to(releases: Sequence[Release], to: str | None) -> PermanentError:
    known = ", ".join(dict.fromkeys(release.version for release in releases if release.services)) or "none yet"
    what = f"{to} was never released here" if to is not None else "There is no earlier good release to roll back to"
    return PermanentError(
        f"{what}. Recorded: {known}.",
        code=ReasonCode.NO_RELEASE,
        advice=(
            "Use `rollback --to VERSION` for any recorded release, `deploy VERSION` for any version with an image.",
        ),
    )


async def _resolved(registry: RegistryClient, services: Sequence[Service], version: str) -> list[Image]:
    """The image of each service, by the tag that was typed or, where there is none, with or without its `v`.

    `NoSuchVersion` names those that exist.
    """
    missing: PermanentError | None = None
    for tag in spellings(version):
        try:
            digests = await side_by_side(*(registry.resolve(service.repository, tag) for service in services))
        except PermanentError as error:
            if error.code is not ReasonCode.NO_SUCH_VERSION:
                raise
            missing = missing or error
            continue
        return [
            Image(repository=service.repository, tag=tag, digest=digest)
            for service, digest in zip(services, digests, strict=True)
        ]
    assert missing is not None
    try:
        newest = await registry.newest(services[0].repository, _OFFERED)
    except RunbookError:  # a list that can't be read changes nothing: the version is not there
        newest = []
    ages = ", ".join(f"{each.tag} ({age_since(each.created)} old)" if each.created else each.tag for each in newest)
    newest_words = f" Newest: {ages}." if ages else ""
    raise NoSuchVersion(f"{missing.message}{newest_words}", tuple(each.tag for each in newest)) from missing


def _undecided(record: EnvironmentRecord) -> list[str]:
    return [f"The environment is undecided since: {record.undecided.title}"] if record.undecided is not None else []


def _bad(releases: Sequence[Release], version: str) -> list[str]:
    found = next((release for release in releases if release.version == version and release.verdict == "bad"), None)
    return [f"{version} was marked bad ({found.why})."] if found is not None else []


def _older(older: Sequence[ImageChange], version: str) -> list[str]:
    if not older:
        return []
    running = ", ".join(dict.fromkeys(change.before.tag or "untagged" for change in older))
    return [
        f"{version} is older than the running version ({running}). Use `rollback` to go back; to deploy it, give a reason."
    ]


def _by_hand(states: Sequence[ServiceState]) -> list[str]:
    return [
        f"{state.service}'s image was set by hand since the last deploy ({state.by}{f', {age_since(at)} ago' if (at := read_time(state.since)) is not None else ''})."
        for state in states
        if state.drifted
    ]


def _owned(states: Sequence[ServiceState]) -> list[str]:
    return [f"{state.service}: {state.owned}." for state in states if state.owned is not None]


def _paused(states: Sequence[ServiceState]) -> list[str]:
    return [
        f"{state.service} is paused, so nothing would roll out. First run `kubectl rollout resume deployment/{state.deployment} -n {state.namespace}`."
        for state in states
        if state.paused
    ]


def _idle(states: Sequence[ServiceState]) -> list[str]:
    return [f"{state.service} is scaled to 0 replicas: none of its pods will run." for state in states if state.idle]


def _unsettled(states: Sequence[ServiceState]) -> list[str]:
    return [
        f"{state.service} is {state.state} now{f': {state.detail}' if state.detail else ''}."
        for state in states
        if state.state not in ("complete", "paused")
    ]


def _compare(environment: Environment, changes: Sequence[ImageChange]) -> tuple[tuple[str, str], ...]:
    """The page that compares the two versions, where there are just two."""
    moves = {(change.before.tag, change.after.tag) for change in changes}
    if environment.compare_url is None or len(moves) != 1:
        return ()
    before, after = moves.pop()
    if before is None or after is None or before == after:
        return ()
    return ((f"Compare {before} with {after}", environment.compare_url.format(before=before, after=after)),)


def _usual(releases: Sequence[Release]) -> float | None:
    took = [release.seconds for release in releases if release.seconds is not None][:5]
    return float(median(took)) if took else None


def _end(state: ServiceState, targets: Mapping[str, Image]) -> str:
    after = targets.get(state.service) or pinned(state)
    return after.reference if after is not None else ""


def _left(changes: Sequence[ImageChange]) -> str | None:
    """The version that is left, where all services leave the same one."""
    tags = {change.before.tag for change in changes}
    return tags.pop() if len(tags) == 1 else None
