"""Which release runs: only what the record or the registry has with the digest that runs is one."""

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.deployments.running_release import contradiction
from runbooks.deployments.service_state import ServiceState
from runbooks.fleet.records import Release, ReleasedService
from runbooks.kit.plan import Image
from tests.support.two_regions import TwoRegions

RUNS = "eu runs one thing"


def tagged(states: list[ServiceState], tag: str) -> list[ServiceState]:
    """The digests that run, with another tag beside them."""
    return [each.model_copy(update={"image": image.model_copy(update={"tag": tag})}) for each, image in images(states)]


def images(states: list[ServiceState]) -> list[tuple[ServiceState, Image]]:
    found = [(each, each.image.model_copy(update={"digest": each.digest})) for each in states if each.image is not None]
    assert len(found) == len(states)
    return found


async def test_a_tag_counts_only_with_the_digest_that_the_record_or_the_registry_has_for_it(both: TwoRegions) -> None:
    states = [each for place in both.places for each in await place.states()]
    assert await contradiction(states, (), both.registry, RUNS) == ""
    moved = await contradiction(tagged(states, "v2.0.0"), (), both.registry, RUNS)
    assert moved.startswith("backend in eu: the record does not know ghcr.io/omnicare/backend:v2.0.0@sha256:")
    assert moved.endswith(", and the registry has another image as v2.0.0")
    invented = await contradiction(tagged(states, "v9.9.9"), (), both.registry, RUNS)
    assert ", and the registry does not confirm it (" in invented
    differ = [*tagged(states[:1], "v2.0.0"), *states[1:]]
    assert await contradiction(differ, (), both.registry, RUNS) == RUNS
    services = tuple(ReleasedService(service=each.service, image=image) for each, image in images(states[:2]))
    release = Release(
        version="v1.2.0", run="r", by="Maya", at="2026-01-01T00:00:00+00:00", verdict="good", services=services
    )
    async with RegistryClient({"ghcr.io": "127.0.0.1:9"}, plain_http=True) as away:
        assert await contradiction(states, (release,), away, RUNS) == ""
        assert "does not confirm it (" in await contradiction(states, (), away, RUNS)
