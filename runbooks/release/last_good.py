"""What to go back to: the newest recorded good release that does not run completely now.

While v2.0.0 hangs at 1 of 3 that is v1.2.0; once v2.0.0 runs everywhere it is whatever was good before it. For a Deployment that
the bot never deployed it is the previous revision, as `kubectl rollout undo` would take it, pinned where its digest is known.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import DeploymentView, ReplicaSetView
from runbooks.deployments import images
from runbooks.deployments.service_state import ServiceState, pinned
from runbooks.fleet.fleet import Release
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Service


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
    """Return the newest good release to go back to; with `to`, the newest record of that version, good or bad."""
    recorded = [release for release in releases if release.services]
    if to is not None:
        return next((release for release in recorded if release.version == to), None)
    bad = bad_versions(releases)
    left = [release for release in recorded if release.version not in bad and not runs_completely(release, states)]
    # one that nobody called good did run here, all of it: better than what stands in an old ReplicaSet
    return next((release for release in left if release.verdict == "good"), next(iter(left), None))


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
            if service is not None and (why := images.trouble(service, image) or _disagrees(service, image, releases)):
                left_out.setdefault(image.reference, f"An earlier revision was skipped. {why}.")
                if image.tag:
                    tags.setdefault(state.service, image.tag)
                continue
            found[state.service] = await _pinned(registry, image)
            break
    return Earlier(found, tuple(left_out.values()), tags)


def _disagrees(service: Service, image: Image, releases: Sequence[Release]) -> str:
    """Return why the record contradicts the image: its tag is recorded with other digests."""
    known = [own for each in releases if (own := each.image(service.name)) is not None and own.tag == image.tag]
    digests = {own.digest for own in known if own.digest}
    if image.digest is None or not digests or image.digest in digests:
        return ""
    return f"{service.name}: {image.named} has a different digest from the one recorded for {image.tag}"


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
