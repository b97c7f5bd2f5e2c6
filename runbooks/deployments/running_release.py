"""Which release runs, for a command that takes it without being told: by the digests that run, not by what a Deployment says of itself."""

from collections.abc import Sequence

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.deployments.service_state import ServiceState, disagrees, pinned, running_version
from runbooks.fleet.records import Release
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image
from runbooks.kit.waiting import side_by_side


async def contradiction(
    states: Sequence[ServiceState], releases: Sequence[Release], registry: RegistryClient, runs: str
) -> str:
    """Return why it is not certain which release runs, without its point; empty where all services run `running_version` of `states`.

    That is certain where each image is of the configured repository, and the record or the registry has its tag with the digest that runs.
    Anybody who can change a Deployment can write a tag there. `runs`: what the services run, for people.
    """
    images = [(state, image) for state in states if (image := pinned(state)) is not None]
    known = (disagrees(state.service, image, releases) for state, image in images)
    if why := next(filter(None, known), ""):
        return why
    if not running_version(states, releases):
        return runs
    unknown = [(state, image) for state, image in images if not _recorded(state.service, image, releases)]
    found = await side_by_side(*(_not_in_registry(state, image, registry) for state, image in unknown))
    return next(filter(None, found), "")


def _recorded(service: str, image: Image, releases: Sequence[Release]) -> bool:
    own = (release.image(service) for release in releases)
    return any(
        each is not None and image.digest is not None and (each.tag, each.digest) == (image.tag, image.digest)
        for each in own
    )


async def _not_in_registry(state: ServiceState, image: Image, registry: RegistryClient) -> str:
    what = f"{state.named}: the record does not know {image.named}"
    if image.digest is None or image.tag is None:
        return f"{what}, and its pods do not report one digest"
    try:
        has = await registry.resolve(state.repository, image.tag)
        if image.digest == has or image.digest in await registry.digests_within(state.repository, has):
            return ""
    except RunbookError as error:
        return f"{what}, and the registry does not confirm it ({error.message.rstrip('.')})"
    return f"{what}, and the registry has another image as {image.tag}"
