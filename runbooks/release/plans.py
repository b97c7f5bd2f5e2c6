"""The plans of `deploy` and `rollback`: what will be changed, and what people should know before they say yes."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import median

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.images import usable
from runbooks.deployments.places import Place, Reached, for_deploy, for_rollback
from runbooks.deployments.service_state import ServiceState, kubectl_lines, pinned, running_version, with_record
from runbooks.fleet.fleet import Fleet, Release
from runbooks.fleet.records import unknown_holder
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange, Plan, Wave, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Step
from runbooks.kit.targets import Environment, Service
from runbooks.kit.versions import is_older, spellings
from runbooks.kit.waiting import side_by_side
from runbooks.release import rollout_capacity
from runbooks.release.last_good import (
    Earlier,
    alike,
    by_region,
    change_of,
    going_back,
    good_release,
    previous_images,
    proven,
    runs_all,
    undone,
)
from runbooks.release.locking import LockEnvironment
from runbooks.release.plan_warnings import (
    alone,
    as_recorded,
    from_history,
    idle,
    marked_bad,
    not_trusted,
    older_version,
    owned,
    paced,
    paused,
    set_by_hand,
    staying,
    together,
    undecided,
    unsettled,
)
from runbooks.release.region_by_region import looked_at, regions_of, rolled_out
from runbooks.release.steps import CheckRollout, Record, RollBack, Take
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
    places: Sequence[Place] = (),
    regions: Sequence[str] = (),
) -> Plan:
    """Every service, or the one that is named, to `version`, each pinned by the digest that its tag stands for now.

    Where all of it is there, but the last run was not seen through (it failed at its check, or somebody finished it by hand), that is
    checked and recorded, so that the environment is decided and a rollback knows this release. `places`: its regions, where it has some;
    `regions`: those that are named, else all.
    """
    services = [service for service in environment.services if only in (None, service.name)]
    chosen = await for_deploy(places or (Place(environment, cluster),), regions, version)
    (found, resolved), (record, known) = await asyncio.gather(
        asyncio.gather(
            side_by_side(*(place.states() for place in chosen.places)), _resolved(registry, services, version)
        ),
        asyncio.gather(fleet.read(environment), fleet.known_releases(environment)),
    )
    wanted = [*resolved] * len(found)
    if (unknown := unknown_holder(record)) is not None:
        raise unknown
    releases, left_out = usable(known, environment.services)
    everything = with_record([state for each in found for state in each], releases)
    states = [state for state in everything if only in (None, state.service)]
    asked, version = version, wanted[0].tag or version
    others = [state for state in everything if state not in states]
    unusual = alone(version, only, others)
    what = f"{only} {version}" if only else version
    changes = [
        change_of(state, image) for state, image in zip(states, wanted, strict=True) if not runs_all(state, image)
    ]
    older = [change for change in changes if _goes_back(change)]
    warnings = [
        *undecided(record),
        *chosen.left,
        *not_trusted(states),
        *record.warnings,
        *known.warnings,
        *left_out,
        *marked_bad(known.releases, version),
        *older_version(older, version),
        *set_by_hand(states),
        *owned(states),
        *paused(states),
        *idle(states),
        *unsettled(states),
    ]
    where = environment.name + (f" ({listed(chosen.regions)} only)" if chosen.regions else "")
    title = f"Deploy {what} to {where}"
    if not changes and record.undecided is not None:
        _no_release(what, others)
        # as the Deployments have it: by its tag alone where somebody set it so
        standing = [change_of(state, state.image or image) for state, image in zip(states, wanted, strict=True)]
        return Plan(
            title=f"Check {what} in {where}, and record it",
            steps=(*looked_at(standing), Record(images=tuple(standing), standing=True, regions=chosen.regions)),
            warnings=tuple(warnings),
            notes=(
                f"{what} already runs. Nothing is rolled out: the running version is checked and recorded as good.",
            ),
            unusual=unusual,
            on_failure=environment.on_failure,
        )
    if not changes:
        title = f"{where} already runs {what} ({_all(len(services))}). Nothing to do."
    changed = {change.named for change in changes}
    return Plan(
        title=title,
        steps=rolled_out(changes, states, f"deploy {asked}{f' --only {only}' if only else ''}", chosen, releases)
        if changes
        else (),
        unchanged=tuple(state.named for state in states if state.named not in changed) if changes else (),
        warnings=tuple(warnings),
        notes=(
            "Old pods serve until new ones are ready.",
            *paced(chosen.places, changes),
            *together([state for state in states if state.named in changed]),
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
    places: Sequence[Place] = (),
    regions: Sequence[str] = (),
) -> Plan:
    """The services (all where none is named) back to the last known good release, or to the recorded release `to`.

    `places`: its regions, where it has some; `regions`: those that are named, else all. One whose cluster does not answer is left as it
    is, and named, but the home region, which has the record.
    """
    reached, known = await asyncio.gather(
        for_rollback(places or (Place(environment, cluster),), regions), fleet.known_releases(environment)
    )
    there, states = reached.places, [state for each in reached.states for state in each]
    releases, left_out = usable(known, environment.services)
    chosen = [state for state in with_record(states, releases) if not services or state.service in services]
    to = _as_recorded(to, releases, chosen) if to is not None else None
    going = by_region(chosen) if to is not None else going_back(releases, chosen)
    found = {region: good_release(releases, own, to) for region, own in going.items()}
    released = {region: release for region, release in found.items() if release is not None}
    targets: dict[str, Image] = {
        state.named: image
        for region, release in released.items()
        for state in going[region]
        if (image := release.image(state.service)) is not None
    }
    notes = list(dict.fromkeys(as_recorded(release) for release in released.values()))
    unproven = any(release.verdict == "unproven" for release in released.values())
    rest = [state for region, own in going.items() if region not in released for state in own]
    earlier = Earlier({})
    if rest:
        judged = [*releases, *(each for each in known.releases if each.verdict == "bad" and each not in releases)]
        history = partial(_previous, there, registry, judged)
        if to is not None:
            for tag in spellings(to):
                earlier |= await history(rest, to=tag)
                if earlier.images:
                    to = tag
                    break
        elif services:
            earlier = await history(rest)
        else:
            earlier = await undone(history, rest, judged)
        targets |= earlier.images
        known_good = (proven(releases, state.service, targets[state.named]) for state in rest if state.named in targets)
        unproven = unproven or not all(known_good)
    if rest and (earlier.images or not released):
        notes.append(from_history(known, releases, to))
    left_out = (*left_out, *earlier.left_out)
    if (
        not released
        and not targets
        and not (to is not None and all(s.image is not None and s.image.tag == to for s in chosen))
    ):
        if left_out:
            raise await _not_one_of_ours(registry, environment, chosen, earlier, left_out, to)
        raise _nothing_to_go_back_to(releases, to)
    changes = [
        change_of(state, targets[state.named])
        for state in chosen
        if state.named in targets and not runs_all(state, targets[state.named])
    ]
    changed = {change.named for change in changes}
    waves = {place.name: await _waves(place, changes) for place in there}
    version = versions(change.after for change in changes)
    # a tag that somebody wrote beside another image must not make a good release bad
    left = running_version([each for each in chosen if each.named in changed], releases) or None if to is None else None
    where = environment.name + (f" ({listed(reached.regions)} only)" if reached.regions else "")
    return Plan(
        title=f"Roll back {where} to {version}" if changes else f"{where} already runs {to or 'it'}. Nothing to do.",
        steps=_back(
            changes,
            waves,
            [(state, _end(state, targets)) for state in chosen],
            left,
            unproven,
            reached,
            alike(states, targets, regions_of(changes), environment.home),
            locks=environment.lock_after_rollback,
        )
        if changes
        else (),
        unchanged=tuple(state.named for state in chosen if state.named not in changed) if changes else (),
        warnings=(
            *reached.left,
            *staying(by_region(rest), targets, to),
            *not_trusted(chosen),
            *known.warnings,
            *left_out,
            *((_UNPROVEN,) if unproven and changes else ()),
            *paused(chosen),
            *idle(chosen),
            *set_by_hand(chosen),
            *owned(chosen),
            *(marked_bad(known.releases, to) if to is not None else ()),
        ),
        notes=(
            *notes,
            *together(chosen),
            *(sentence for place in there for sentence in _told(place, waves[place.name])),
            *((f"{left} is marked bad.",) if left else ()),
            *((_LOCKED_AFTERWARDS.format(environment.name),) if changes and environment.lock_after_rollback else ()),
        ),
        not_done=("database schema",) if changes else (),
        links=_compare(environment, changes),
        usual_seconds=None,
    )


def _no_release(what: str, others: Sequence[ServiceState]) -> None:
    """Raise PermanentError where one of the others does not run completely: what runs is no release, and decides nothing."""
    if hanging := [state.named for state in others if not state.runs_completely]:
        raise PermanentError(
            f"{what} already runs, but {listed(hanging)} {by_count(len(hanging), 'does', 'do')} not run completely, so nothing is recorded.",
            code=ReasonCode.NOT_A_RELEASE,
            advice=("`deploy VERSION` rolls out all services, `rollback` goes back.",),
        )


def _back(
    images: Sequence[ImageChange],
    waves: Mapping[str, tuple[Wave, ...]],
    ends: Sequence[tuple[ServiceState, str]],
    leaves: str | None,
    unproven: bool,
    reached: Reached,
    same: tuple[str, ...],
    *,
    locks: bool,
) -> tuple[Step, ...]:
    """Return the steps: all regions at the same time. Each takes its own Deployments there, so that none waits for another.

    `same`: the regions that run one release afterwards, which is recorded for them. What another region goes back to is recorded already.
    """
    regions, home = regions_of(images), reached.places[0].environment.home
    leaving = tuple(change.service for change in images) if leaves else ()
    back, checks = [], []
    for at, region in enumerate(regions):
        own = tuple(change for change in images if change.region == region)
        back.append(
            RollBack(
                images=own,
                cause=f"roll back to {versions(change.after for change in own)}",
                waves=waves[region],
                ends=tuple((state.service, end) for state, end in ends if state.region == region),
                leaves=leaves,
                unproven=unproven,
                region=region,
                beside=at > 0,
                may_be_left=len(reached.places) > 1 and region != home,
            )
        )
        checks.append(CheckRollout(images=own, region=region, beside=at > 0))
    return (
        *((Take(leaves=leaves, services=leaving),) if regions == [""] else ()),
        *back,
        *((LockEnvironment(left=versions(change.before for change in images)),) if locks else ()),
        *checks,
        Record(
            images=tuple(change for change in images if change.region in same),
            unproven=unproven,
            left=leaves,
            regions=same if len(same) < len(reached.places) else reached.regions,
        ),
    )


async def _previous(
    places: Sequence[Place],
    registry: RegistryClient,
    releases: Sequence[Release],
    states: Sequence[ServiceState],
    *,
    to: str | None = None,
) -> Earlier:
    """Return where the revision history of these services leads in their regions, by their names with the region."""
    found = Earlier({})
    for place in places:
        names = {state.service: state.named for state in states if state.region == place.name}
        own = [state for state in states if state.region == place.name]
        one = await previous_images(place.cluster, registry, place.environment, own, releases, to=to)
        images = {names[service]: image for service, image in one.images.items()}
        found |= Earlier(images, one.left_out, {names[service]: tag for service, tag in one.tags.items()})
    return found


def _told(place: Place, waves: Sequence[Wave]) -> Iterator[str]:
    for sentence in rollout_capacity.told(waves):
        yield f"{place.name}: {sentence}" if place.name else sentence


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
        service, tag = environment.service(state.service), to or earlier.tags.get(state.named)
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


async def _waves(place: Place, changes: Sequence[ImageChange]) -> tuple[Wave, ...]:
    """A forecast: a plan is made without it, too."""
    own = [change for change in changes if change.region == place.name]
    try:
        return tuple(await rollout_capacity.waves(place.cluster, place.environment, own)) if own else ()
    except RunbookError:
        return ()


def _all(count: int) -> str:
    return {1: "its digest", 2: "both digests"}.get(count, f"all {count} digests")


def _goes_back(change: ImageChange) -> bool:
    return is_older(change.after.tag or "", change.before.tag or "")


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
    after = targets.get(state.named) or pinned(state)
    return after.reference if after is not None else ""
