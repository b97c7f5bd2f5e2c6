"""What to go back to: the newest recorded good release that does not run completely now.

While v2.0.0 hangs at 1 of 3 that is v1.2.0; once v2.0.0 runs everywhere it is whatever was good before it. For a Deployment that
the bot never deployed it is the previous revision, as `kubectl rollout undo` would take it, pinned where its digest is known.
"""

from collections.abc import Sequence

from runbooks.clients.cluster import ClusterClient
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


def runs_completely(release: Release, states: Sequence[ServiceState]) -> bool:
    """Every service of the release that is looked at runs exactly its image, everywhere."""
    pairs = [(state, release.image(state.service)) for state in states]
    return all(image is None or (state.runs_completely and same_image(pinned(state), image)) for state, image in pairs)


def good_release(releases: Sequence[Release], states: Sequence[ServiceState], to: str | None = None) -> Release | None:
    """The release to go back to, newest first; with `to`, the newest record of that version, good or bad."""
    if to is not None:
        found = next((release for release in releases if release.version == to), None)
        if found is None:
            known = ", ".join(dict.fromkeys(release.version for release in releases)) or "none yet"
            raise PermanentError(
                f"{to} was never recorded as a release here. Recorded: {known}.", code=ReasonCode.NO_RELEASE
            )
        return found
    bad = {release.version for release in releases if release.verdict == "bad"}
    return next(
        (
            release
            for release in releases
            if release.verdict == "good" and release.version not in bad and not runs_completely(release, states)
        ),
        None,
    )


async def previous_images(
    cluster: ClusterClient, registry: RegistryClient, environment: Environment, states: Sequence[ServiceState]
) -> dict[str, Image]:
    """Of each service, the image of the newest older revision with another image; a service without one is left out."""
    replica_sets = await cluster.replica_sets(environment.namespace)
    found: dict[str, Image] = {}
    for state in states:
        deployment = await cluster.deployment(environment.namespace, state.deployment)
        own = sorted((r for r in replica_sets if r.owner == deployment.uid), key=lambda r: r.revision, reverse=True)
        for replica_set in own:
            reference = replica_set.image(state.container)
            image = Image.parse(reference) if reference else None
            if replica_set.revision < state.revision and image is not None and not same_image(image, state.image):
                found[state.service] = await _pinned(registry, image)
                break
    return found


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
        replicas=state.desired,
        since=state.since,
        by=state.by,
        run=state.run,
    )
