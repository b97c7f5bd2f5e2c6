"""Hostile values in whatever of the cluster and of its record anybody may edit: status and deploy end as values, and rollback goes back.

What reads a single object is in `test_hostile_values.py`; here the whole of it is planned over.
"""

import copy
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments import service_state
from runbooks.fleet.fleet import Fleet, Release, ReleasedService, utc_now
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image
from runbooks.observe import service_health
from runbooks.release import plans
from runbooks.release.steps import images_of
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT, POD, REPLICA_SET, Json, Kind
from sandbox.outside.registry import Registry, digest_of
from tests.runbooks.fleet.test_hostile_values import FOREIGN, LOCK, PLACE, UNDECIDED
from tests.support.cases import BOTH_SERVICES as WHERE

SERVICES = ("backend", "frontend")
ROUNDS = 60
RECORD = ("releases-production", "environment-production")
ANNOTATIONS = (
    service_state.RUN, service_state.DEPLOYED_RUN, service_state.DEPLOYED_BY, service_state.DEPLOYED_AT,
    service_state.DEPLOYED_IMAGE, service_state.CHANGE_CAUSE, service_state.SURGE,
)  # fmt: skip
TEXTS = (
    "", " ", "never", "yesterday", "banana", "5000", "٣", "²", "-1", "1e999", "NaN", "null", "{}", "[]", "true", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00", "2026-05-04T18:00:00", "2026-13-40T99:99:99Z", "101%", "9" * 5000, "x" * 20_000, "[" * 50_000, "\x00",
    "\u202e", "<!channel>", "@", ":", "/", "@sha256:", "sha256:zz", FOREIGN, "$(reboot)", 'k:{"name":"', "\ufeff",
)  # fmt: skip


@dataclass
class World:
    """v1.2.0 runs, and v1.1.0 before it is recorded as good."""

    cluster: Cluster
    client: ClusterClient
    registry: RegistryClient
    rng: random.Random
    values: int = 0
    _before: list[tuple[Json, Json]] = field(default_factory=list)

    @contextmanager
    def spoilt(self, *, status: bool) -> Iterator[None]:
        """The objects with other values at some of their places; `status`: of what the controllers say, too."""
        for found in self._taken(DEPLOYMENT, WHERE.namespace):
            annotations = found["metadata"].setdefault("annotations", {})
            for name in self.rng.sample(ANNOTATIONS, self.rng.randint(1, 4)):
                annotations[name] = self._value(texts=True)
            self._spoil(found["metadata"].get("managedFields"))
        for found in self._taken(REPLICA_SET, WHERE.namespace):
            found["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = self._value(
                texts=True
            )
        for found in self._taken(CONFIG_MAP, WHERE.record_namespace):
            for key in found["data"] if found["metadata"]["name"] in RECORD else ():
                self._spoil_text(found["data"], key)
        for kind in (DEPLOYMENT, REPLICA_SET, POD) if status else ():
            for found in self._taken(kind, WHERE.namespace):
                self._spoil(found.get("status"))
        try:
            yield
        finally:
            for found, whole in reversed(self._before):
                found.clear()
                found.update(whole)
            self._before.clear()

    def _taken(self, kind: Kind, namespace: str) -> Iterator[Json]:
        for found in list(self.cluster.store.all(kind, namespace)):
            self._before.append((found, copy.deepcopy(found)))
            yield found

    def _value(self, *, texts: bool = False, depth: int = 0) -> Any:
        self.values += 1
        choice = 0 if texts or depth > 2 else self.rng.randrange(8)
        if choice < 5:
            return self.rng.choice(TEXTS)
        if choice == 5:
            return self.rng.choice((None, True, False, 0, -1, 3, 10**30, 1.5))
        inner = [self._value(depth=depth + 1) for _ in range(self.rng.randrange(3))]
        return inner if choice == 6 else {self.rng.choice(TEXTS)[:50]: each for each in inner}

    def _spoil(self, whole: Any) -> None:
        for _ in range(self.rng.randrange(3)):
            if places := list(_places(whole)):
                inside, key = self.rng.choice(places)
                inside[key] = self._value()

    def _spoil_text(self, data: Json, key: str) -> None:
        chance = self.rng.random()
        if chance < 0.2:
            data[key] = self._value(texts=True)
        elif chance < 0.8:
            whole = json.loads(data[key])
            self._spoil(whole)
            data[key] = json.dumps(whole)


def _places(whole: Any) -> Iterator[tuple[Any, Any]]:
    inner = whole.items() if isinstance(whole, dict) else enumerate(whole) if isinstance(whole, list) else ()
    for key, part in list(inner):
        yield whole, key
        yield from _places(part)


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with (
        cluster.serve(),
        Registry().serve() as url,
        RegistryClient({"ghcr.io": url}, plain_http=True) as registry,
    ):
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(kubeconfig)) as client:
            for version in ("v1.1.0", "v1.2.0"):
                await Fleet(client).record_release(WHERE, _release(version))
            standing = {"run": PLACE, "freeze": LOCK, "undecided": UNDECIDED}
            texts = {key: json.dumps(value) for key, value in standing.items()}
            await client.create_config_map(WHERE.record_namespace, RECORD[1], texts, {})
            yield World(cluster, client, registry, random.Random(request.node.name))


def _release(version: str) -> Release:
    services = tuple(
        ReleasedService(
            service=name,
            image=Image(repository=f"ghcr.io/omnicare/{name}", tag=version, digest=digest_of(name, version)),
        )
        for name in SERVICES
    )
    return Release(version=version, services=services, run=f"run {version}", by="Maya", at=utc_now())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("status", [False, True], ids=["what people edit", "what controllers say too"])
async def test_whatever_stands_there_no_command_ends_by_a_bug_and_rollback_goes_back(
    world: World, seed: int, *, status: bool
) -> None:
    """`seed`: other values for each. Where only people's texts are spoilt, both services are looked at and at least one goes to v1.1.0."""
    fleet, client, registry = Fleet(world.client), world.client, world.registry
    for _ in range(ROUNDS):
        with world.spoilt(status=status):
            await fleet.read(WHERE)
            found = await service_health.look(client, WHERE, partial(fleet.known_releases, WHERE))
            assert [each.state.service for each in found] == list(SERVICES)
            with suppress(RunbookError):  # who holds the environment or its lock, or that it can't be read
                assert (await plans.plan_deploy(client, registry, fleet, WHERE, "v2.0.0")).changing
            back = images_of(await plans.plan_rollback(client, registry, fleet, WHERE))
            assert back
            assert all(each.after.is_of(f"ghcr.io/omnicare/{each.service}") for each in back)
            assert status or {digest_of(each.service, "v1.1.0") for each in back} == {
                each.after.digest for each in back
            }
    assert world.values > 5 * ROUNDS
