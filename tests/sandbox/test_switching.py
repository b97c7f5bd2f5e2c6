"""Scenarios are switched on and off beside each other, and each takes back only what it changed."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from sandbox.cluster.clock import parse
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import (
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    EVENT,
    JOB,
    LIMIT_RANGE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE,
    VALIDATING_WEBHOOKS,
    Json,
)
from sandbox.cluster.seed import image
from sandbox.cluster.settings import Settings
from sandbox.cluster.view import PodView
from sandbox.scenarios import BY_NAME, EVERY
from sandbox.scenarios.scenario import PRODUCTION
from sandbox.world import SandboxWorld, opened

KINDS = (
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    LIMIT_RANGE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    REPLICA_SET,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE,
    VALIDATING_WEBHOOKS,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SandboxWorld]:
    async with opened(tmp_path, cluster=Settings(nodes=3), parts=("gates", "verification")) as made:
        yield made


def objects(cluster: Cluster) -> dict[str, object]:
    return {
        f"{kind.name} {each['metadata'].get('namespace')}/{each['metadata']['name']}": each.get(
            "spec", each.get("data")
        )
        for kind in KINDS
        for each in cluster.store.all(kind)
    }


def seen(world: SandboxWorld) -> dict[str, object]:
    """Everything that a scenario may change."""
    assert world.github is not None
    assert world.prometheus is not None
    assert world.alertmanager is not None
    return {
        **objects(world.cluster),
        "pods": Counter(
            (pod.namespace, pod.deployment, pod.version) for pod in world.cluster.pods() if not pod.leaving
        ),
        "logs": {
            each["metadata"].get("annotations", {}).get("sandbox.omnicare.dev/log")
            for each in world.cluster.store.all(POD)
        },
        "configuration": (world.folder / "omnicare.toml").read_text(),
        "nodes": [
            {each["type"]: each["status"] for each in node["status"]["conditions"]}
            for node in world.cluster.store.all(NODE)
        ],
        "faults": str(world.cluster.faults),
        "github": str(sorted(world.github.versions.items())) + str(world.github.alerts) + str(world.github.fault),
        "metrics": str({name: each.value for name, each in world.prometheus.raised.items()})
        + str(world.alertmanager.firing),
        "sync": [queue.broken for queue in world.sync.values()],
    }


async def test_every_scenario_can_be_switched_on_and_off_and_leaves_nothing(world: SandboxWorld) -> None:
    before = seen(world)
    offered = world.scenarios
    for scenario in offered:
        await world.play(scenario)
        assert [each.name for each in world.played] == [scenario.name]
        changed = seen(world) != before
        assert changed is bool(scenario.acts or scenario.deadline not in (None, 600)), scenario.name
        await world.end(scenario)
        assert seen(world) == before, scenario.name
    assert {each.name for each in EVERY} >= {each.name for each in offered}


async def test_what_is_wrong_already_began_when_its_sentence_says(world: SandboxWorld) -> None:
    began = time.time() - 20 * 60
    await world.play(BY_NAME["crash-loop"])
    ended = time.time() - 20 * 60
    (pod,) = [each for each in world.cluster.pods(PRODUCTION) if each.version == "v2.1.0-crash"]
    assert began - 60 < pod.created <= ended, "its controllers take some of that time"
    assert 6 <= pod.restarts <= 10, "as often as a real kubelet starts it again in that time"
    told = [each for each in world.cluster.store.all(EVENT, PRODUCTION) if each["involvedObject"]["name"] == pod.name]
    first = min(each["eventTime"] or each["firstTimestamp"] for each in told)
    assert began - 1 <= parse(first).timestamp() <= ended + 60, "Kubernetes writes whole seconds"
    await world.end(BY_NAME["crash-loop"])
    assert not [
        each for each in world.cluster.store.all(EVENT, PRODUCTION) if each["involvedObject"]["name"] == pod.name
    ]


async def test_what_somebody_has_mended_stays_mended(world: SandboxWorld) -> None:
    await world.play(BY_NAME["image-pull"])
    world.cluster.set_image(PRODUCTION, "frontend", image("frontend", "v2.0.0"))
    await world.end(BY_NAME["image-pull"])
    deployment = world.cluster.api.get(DEPLOYMENT, PRODUCTION, "frontend")
    assert "v2.0.0" in deployment["spec"]["template"]["spec"]["containers"][0]["image"]


async def test_new_pods_end_what_they_mend_once_the_configuration_is_put_back(world: SandboxWorld) -> None:
    assert world.prometheus is not None
    await world.play(BY_NAME["bad-config"])
    assert world.prometheus.raised
    await replaced(world, "1")
    assert [each.name for each in world.played] == ["bad-config"]

    def put_back(draft: Json) -> None:
        draft["data"]["FHIR"] = "R4"

    world.cluster.api.modify(CONFIG_MAP, PRODUCTION, "backend-config", put_back, Writer("omnicare"))
    assert [each.name for each in world.played] == ["bad-config"], "the pods have read the old one"
    await replaced(world, "2")
    assert not world.played
    assert not world.prometheus.raised
    restarted = world.cluster.api.get(DEPLOYMENT, PRODUCTION, "backend")["spec"]["template"]["metadata"]
    assert restarted["annotations"]["restarted"] == "2"


async def replaced(world: SandboxWorld, mark: str) -> None:
    """Restart the backend and wait until all of its pods are new."""

    def restart(draft: Json) -> None:
        draft["spec"]["template"]["metadata"].setdefault("annotations", {})["restarted"] = mark

    def ready(pods: tuple[PodView, ...]) -> set[str]:
        return {each.name for each in pods if each.deployment == "backend" and each.ready}

    before = ready(world.cluster.pods(PRODUCTION))
    world.cluster.api.modify(DEPLOYMENT, PRODUCTION, "backend", restart, Writer("omnicare"))
    async with asyncio.timeout(60):
        async for pods in world.cluster.changes(PRODUCTION):
            if len(ready(pods)) >= 3 and not ready(pods) & before:
                return


PAIRS = (
    ("volume-claim", "volume-unbound"),
    ("config-missing", "secret-missing"),
    ("unschedulable", "taint"),
    ("sync-stuck", "sync-silent"),
    ("gate-tag", "gate-notes"),
    ("gate-sync", "sync-stuck"),
    ("log-flood", "log-patients"),
    ("slow", "node-lost"),
)


async def test_two_at_once_are_taken_back_in_any_order(world: SandboxWorld) -> None:
    before = seen(world)
    for pair in PAIRS:
        scenarios = [BY_NAME[name] for name in pair]
        alone = {}
        for scenario in scenarios:
            await world.play(scenario)
            alone[scenario.name] = seen(world)
            await world.end(scenario)
        for first, second in permutations(scenarios):
            for ended, stays in permutations((first, second)):
                order = f"{first.name}, {second.name}, without {ended.name}"
                await world.play(first)
                await world.play(second)
                await world.end(ended)
                assert seen(world) == alone[stays.name], order
                await world.end(stays)
                assert seen(world) == before, order
