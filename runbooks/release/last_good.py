"""What to go back to: the newest recorded good release that does not run completely now.

While v2.0.0 hangs at 1 of 3 that is v1.2.0; once v2.0.0 runs everywhere it is whatever was good before it. For a Deployment that
the bot never deployed it is the previous revision, as `kubectl rollout undo` would take it, pinned where its digest is known.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import DeploymentView, ReplicaSetView
from runbooks.deployments import images
from runbooks.deployments.service_state import ServiceState, disagrees, pinned
from runbooks.fleet.fleet import Release
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment


def same_image(one: Image | None, other: Image | None) -> bool:
    """Return whether both are the same image: by digest where both have one, else by what is written."""
    if one is None or other is None:
        return False
    if one.digest and other.digest:
        return one.repository == other.repository and one.digest == other.digest
    return one.reference == other.reference


def runs_all(state: ServiceState, image: Image) -> bool:
    """Return whether the service runs exactly that image everywhere, and so do the containers that are released with it."""
    same = state.runs_completely and same_image(pinned(state), image)
    return same and all(same_image(each.image, image) for each in state.beside)


def runs_completely(release: Release, states: Sequence[ServiceState]) -> bool:
    """Return whether every service of the release that is looked at runs exactly its image, everywhere where it was released."""
    pairs = [(state, release.image(state.service)) for state in states if release.reached(state.region)]
    return all(image is None or runs_all(state, image) for state, image in pairs)


def bad_versions(releases: Sequence[Release]) -> frozenset[str]:
    """Return the versions that nobody wants to go back to."""
    return frozenset(release.version for release in releases if release.verdict == "bad")


def good_release(releases: Sequence[Release], states: Sequence[ServiceState], to: str | None = None) -> Release | None:
    """Return the newest good release of one region to go back to; with `to`, the newest record of that version there, good or bad."""
    recorded = [each for each in releases if each.services and all(each.reached(state.region) for state in states)]
    if to is not None:
        return next((release for release in recorded if release.version == to), None)
    bad = bad_versions(releases)
    left = [release for release in recorded if release.version not in bad and not runs_completely(release, states)]
    # one that nobody called good did run here, if it has all services: better than what stands in an old ReplicaSet
    ran = (each for each in left if all(each.image(state.service) is not None for state in states))
    return next((release for release in left if release.verdict == "good"), next(ran, None))


def by_region(states: Sequence[ServiceState]) -> dict[str, list[ServiceState]]:
    """Return the services of each region, in their order; all under an empty name where there is one cluster."""
    return {region: [each for each in states if each.region == region] for region in {s.region: None for s in states}}


def going_back(releases: Sequence[Release], states: Sequence[ServiceState]) -> dict[str, list[ServiceState]]:
    """Return the services of the regions that a rollback takes back, by region; the others run what they should.

    Where a region does not run completely what was released there last, only such regions go back. Where all do, those of the newest
    release go back. A region without any release goes with those whose version it runs.
    """
    regions, bad = by_region(states), bad_versions(releases)
    good = [release for release in releases if release.services and release.version not in bad]
    last = {region: next((each for each in good if each.reached(region)), None) for region in regions}
    unsettled = [state for state in states if not _settled(state, last[state.region], bad)]
    going = {state.region for state in unsettled}
    left = {_version(state.image) for state in unsettled if state.image is not None}
    if not unsettled:
        newest = next((release for release in good if release in last.values()), None)
        if newest is None:
            return regions
        going = {region for region, known in last.items() if known is not None and known.version == newest.version}
        left = {_version(each.image) for each in newest.services}
    going |= {s.region for s in states if last[s.region] is None and s.image is not None and _version(s.image) in left}
    return {region: own for region, own in regions.items() if region in going}


def _settled(state: ServiceState, last: Release | None, bad: Collection[str]) -> bool:
    """Return whether the service runs completely what was released last in its region; without a release, anything that is not bad."""
    image = last.image(state.service) if last is not None else None
    if image is None:
        return state.runs_completely and state.image is not None and _version(state.image) not in bad
    return runs_all(state, image)


def alike(
    states: Sequence[ServiceState], targets: Mapping[str, Image], changed: Sequence[str], home: str
) -> tuple[str, ...]:
    """Return the regions that run the same release after a rollback: the one of home if that changes, else of the first that does."""
    first = home if home in changed else changed[0]
    ends = {(state.region, state.service): targets.get(state.named) or pinned(state) for state in states}
    return tuple(
        region
        for region, own in by_region(states).items()
        if region == first or all(same_image(ends[region, s.service], ends.get((first, s.service))) for s in own)
    )


def proven(releases: Sequence[Release], service: str, image: Image) -> bool:
    """Return whether a record has that very image as good."""
    known = (release.image(service) for release in releases if release.verdict == "good")
    return any(image.digest is not None and same_image(each, image) for each in known)


def left_behind(states: Sequence[ServiceState]) -> list[ServiceState]:
    """Return the services that an unrecorded rollback takes back.

    Where something hangs: all that run the version that hangs, and nothing else (a deploy that stopped at the backend left the
    frontend where it was; `kubectl rollout undo` of both would take the frontend back too far). Where all is complete: those
    that run a version that was set last.
    """
    known = [state for state in states if state.image is not None]
    hanging = [state for state in known if not state.runs_completely]
    if not hanging:
        # times are in whole seconds, and who goes back sets all at once: those of the same second were set together
        newest = max((state.since for state in known if state.since), default=None)
        hanging = [state for state in known if state.since == newest]
    versions = {_version(state.image) for state in hanging if state.image is not None}
    return [state for state in known if state.image is not None and _version(state.image) in versions]


@dataclass(frozen=True, slots=True)
class Earlier:
    """Where the revision history leads."""

    images: Mapping[str, Image]
    """By service; one that the history says nothing of is left out."""
    left_out: tuple[str, ...] = ()
    """The revisions that were passed over since their image is not one of the service's own, in sentences."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of those, the newest one's tag by service."""

    def __or__(self, other: "Earlier") -> "Earlier":
        left_out = tuple(dict.fromkeys((*self.left_out, *other.left_out)))
        return Earlier({**self.images, **other.images}, left_out, {**other.tags, **self.tags})


async def undone(
    previous: Callable[[Sequence[ServiceState]], Awaitable[Earlier]],
    states: Sequence[ServiceState],
    releases: Sequence[Release],
) -> Earlier:
    """Return where an unrecorded rollback of all services leads, in all regions. `previous`: where the history of those services does.

    A service that still runs what was left as bad is one that the rollback before this did not get to: it follows the others to where
    they went, and they stay there.
    """
    bad = bad_versions(releases)
    marked = [state for state in states if state.image is not None and _version(state.image) in bad]
    if not marked:
        return await previous(left_behind(states))
    followed = await previous(marked)
    arrived = {_version(image) for image in followed.images.values()} | bad
    hanging = [
        state
        for state in states
        if state.image is not None and not state.runs_completely and _version(state.image) not in arrived
    ]
    return followed | await previous(hanging)


async def previous_images(
    cluster: ClusterClient,
    registry: RegistryClient,
    environment: Environment,
    states: Sequence[ServiceState],
    releases: Sequence[Release],
    *,
    to: str | None = None,
) -> Earlier:
    """Return for each service the newest older revision's image that is another one and not bad, or that has the tag `to`.

    Anybody may edit an old ReplicaSet: one whose image is not of the configured repository, or has another digest than the record knows
    for its tag, is passed over and named.
    """
    replica_sets, deployments = await asyncio.gather(
        cluster.replica_sets(environment.namespace), cluster.deployments(environment.namespace)
    )
    by_name = {deployment.name: deployment for deployment in deployments}
    found: dict[str, Image] = {}
    left_out: dict[str, str] = {}
    tags: dict[str, str] = {}
    bad = bad_versions(releases)
    for state in states:
        service = environment.service(state.service)
        for image in _previous(state, by_name.get(state.deployment), replica_sets):
            if (image.tag in bad) if to is None else image.tag != to:
                continue
            if service is not None and (
                why := images.trouble(service, image) or disagrees(service.name, image, releases)
            ):
                left_out.setdefault(image.reference, f"An earlier revision was skipped. {why}.")
                if image.tag:
                    tags.setdefault(state.service, image.tag)
                continue
            found[state.service] = await _pinned(registry, image)
            break
    return Earlier(found, tuple(left_out.values()), tags)


def _previous(
    state: ServiceState, deployment: DeploymentView | None, replica_sets: Sequence[ReplicaSetView]
) -> Iterator[Image]:
    """Yield the images of the service's older revisions, newest first."""
    if deployment is None:
        return
    own = sorted((r for r in replica_sets if r.owner == deployment.uid), key=lambda r: r.revision, reverse=True)
    for replica_set in own:
        reference = replica_set.image(state.container)
        image = Image.parse(reference) if reference else None
        if image is None or same_image(image, state.image) or replica_set.template_hash == deployment.template_hash:
            continue
        yield image


def _version(image: Image) -> str:
    return image.tag or image.reference


async def _pinned(registry: RegistryClient, image: Image) -> Image:
    """Return the image with the digest that its tag stands for; unchanged where the registry does not say."""
    if image.digest is not None or image.tag is None:
        return image
    try:
        return image.model_copy(update={"digest": await registry.resolve(image.repository, image.tag)})
    except RunbookError:
        return image


def change_of(state: ServiceState, after: Image) -> ImageChange:
    """Return one service's change, with what people want to know of the present image."""
    if state.image is None:
        raise PermanentError(state.detail or f"{state.service} does not exist.", code=ReasonCode.NOT_FOUND)
    return ImageChange(
        service=state.service,
        namespace=state.namespace,
        deployment=state.deployment,
        container=state.container,
        before=state.image,
        after=after,
        beside=state.beside,
        repository=state.repository,
        region=state.region,
        kubectl=state.kubectl,
        replicas=state.desired,
        since=state.since,
        by=state.by,
        run=state.run,
    )
