"""What to go back to: the newest recorded good release that does not run completely now.

While v2.0.0 hangs at 1 of 3 that is v1.2.0; once v2.0.0 runs everywhere it is whatever was good before it. For a Deployment that
the bot never deployed it is the previous revision, as `kubectl rollout undo` would take it, pinned where its digest is known.
"""

import asyncio
from collections.abc import Sequence

from runbooks.clients.cluster import ClusterClient
from runbooks.clients.cluster_views import DeploymentView, ReplicaSetView
from runbooks.clients.registry import RegistryClient
from runbooks.fleet import Release
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment
from runbooks.states import ServiceState, pinned


def same_image(one: Image | None, other: Image | None) -> bool:
    """By digest where both have one, else by what is written."""
    if one is None or other is None:
        return False
    if one.digest and other.digest:
        return one.repository == other.repository and one.digest == other.digest
    return one.reference == other.reference


def runs_all(state: ServiceState, image: Image) -> bool:
    """The service runs just that, everywhere, and so do the containers that are released with it."""
    same = state.runs_completely and same_image(pinned(state), image)
    return same and all(same_image(each.image, image) for each in state.beside)


def runs_completely(release: Release, states: Sequence[ServiceState]) -> bool:
    """Every service of the release that is looked at runs exactly its image, everywhere."""
    pairs = [(state, release.image(state.service)) for state in states]
    return all(image is None or runs_all(state, image) for state, image in pairs)


def bad_versions(releases: Sequence[Release]) -> frozenset[str]:
    """What nobody wants to go back to."""
    return frozenset(release.version for release in releases if release.verdict == "bad")


def good_release(releases: Sequence[Release], states: Sequence[ServiceState], to: str | None = None) -> Release | None:
    """The release to go back to, newest first; with `to`, the newest record of that version, good or bad."""
    recorded = [release for release in releases if release.services]
    if to is not None:
        return next((release for release in recorded if release.version == to), None)
    bad = bad_versions(releases)
    return next((r for r in recorded if r.version not in bad and not runs_completely(r, states)), None)


def left_behind(states: Sequence[ServiceState]) -> list[ServiceState]:
    """The services that an unrecorded rollback takes back.

    Where something hangs: all that run the version that hangs, and nothing else (a deploy that stopped at the backend left the
    frontend where it was; `kubectl rollout undo` of both would take the frontend back too far). Where all is complete: those
    that run the version that was set last.
    """
    known = [state for state in states if state.image is not None]
    hanging = [state for state in known if not state.runs_completely]
    if not hanging:
        hanging = sorted((state for state in known if state.since), key=lambda state: state.since or "")[-1:] or known
    versions = {_version(state.image) for state in hanging if state.image is not None}
    return [state for state in known if state.image is not None and _version(state.image) in versions]


async def undone(
    cluster: ClusterClient,
    registry: RegistryClient,
    environment: Environment,
    states: Sequence[ServiceState],
    bad: frozenset[str],
) -> dict[str, Image]:
    """Where an unrecorded rollback of all services leads.

    A service that still runs what was left as bad is one that the rollback before this did not get to: it follows the others to where
    they went, and they stay there.
    """
    marked = [state for state in states if state.image is not None and _version(state.image) in bad]
    if not marked:
        return await previous_images(cluster, registry, environment, left_behind(states), bad=bad)
    followed = await previous_images(cluster, registry, environment, marked, bad=bad)
    arrived = {_version(image) for image in followed.values()} | bad
    hanging = [
        state
        for state in states
        if state.image is not None and not state.runs_completely and _version(state.image) not in arrived
    ]
    return followed | await previous_images(cluster, registry, environment, hanging, bad=bad)


async def previous_images(
    cluster: ClusterClient,
    registry: RegistryClient,
    environment: Environment,
    states: Sequence[ServiceState],
    *,
    bad: frozenset[str] = frozenset(),
    to: str | None = None,
) -> dict[str, Image]:
    """Of each service, the image of the newest older revision that is another one, and not bad; or that has the tag `to`.

    A service without one is left out.
    """
    replica_sets, deployments = await asyncio.gather(
        cluster.replica_sets(environment.namespace), cluster.deployments(environment.namespace)
    )
    by_name = {deployment.name: deployment for deployment in deployments}
    found: dict[str, Image] = {}
    for state in states:
        image = _previous(state, by_name.get(state.deployment), replica_sets, bad, to)
        if image is not None:
            found[state.service] = await _pinned(registry, image)
    return found


def _previous(
    state: ServiceState,
    deployment: DeploymentView | None,
    replica_sets: Sequence[ReplicaSetView],
    bad: frozenset[str],
    to: str | None,
) -> Image | None:
    if deployment is None:
        return None
    own = sorted((r for r in replica_sets if r.owner == deployment.uid), key=lambda r: r.revision, reverse=True)
    for replica_set in own:
        reference = replica_set.image(state.container)
        image = Image.parse(reference) if reference else None
        if image is None or same_image(image, state.image) or replica_set.template_hash == deployment.template_hash:
            continue
        if image.tag == to if to is not None else image.tag not in bad:
            return image
    return None


def _version(image: Image) -> str:
    return image.tag or image.reference


async def _pinned(registry: RegistryClient, image: Image) -> Image:
    """With the digest that its tag stands for; as it is where the registry does not say."""
    if image.digest is not None or image.tag is None:
        return image
    try:
        return image.model_copy(update={"digest": await registry.resolve(image.repository, image.tag)})
    except RunbookError:
        return image


def change_of(state: ServiceState, after: Image) -> ImageChange:
    """One service's change, with what people want to know of the present one."""
    if state.image is None:
        raise PermanentError(state.detail or f"{state.service} is not there.", code=ReasonCode.NOT_FOUND)
    return ImageChange(
        service=state.service,
        namespace=state.namespace,
        deployment=state.deployment,
        container=state.container,
        before=state.image,
        after=after,
        beside=state.beside,
        replicas=state.desired,
        since=state.since,
        by=state.by,
        run=state.run,
    )
