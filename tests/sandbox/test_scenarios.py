"""Each scenario breaks what it says: the card's first words name the cause, Kubernetes' own message and advice stand beside it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.service_state import RUN
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.steps import PlainPulse
from runbooks.redaction.redactor import default_redactor
from runbooks.release import rollouts
from runbooks.release.rollouts import RolloutSettings
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import DEPLOYMENT, Json
from sandbox.cluster.seed import image
from sandbox.cluster.settings import Settings
from sandbox.outside.registry import VERSIONS
from sandbox.scenarios import SCENARIOS
from sandbox.scenarios.cluster_acts import SlowStart
from sandbox.scenarios.playing import Playing
from sandbox.scenarios.scenario import PRODUCTION, ClusterAlone, Scenario

QUICK = Settings(
    nodes=3,
    start_seconds=(0.1, 0.2),
    pull_retry_seconds=0.3,
    init_seconds=0.02,
    crash_seconds=0.05,
    restart_seconds=0.1,
    stop_seconds=0.05,
    node_grace_seconds=0.3,
)
FAILING = [scenario for scenario in SCENARIOS if scenario.cause]
RUN_ID = "production.deploy.test"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Cluster, ClusterClient]]:
    cluster = Cluster(QUICK)
    seed_omnicare(cluster, (PRODUCTION,))
    async with cluster.serve():
        written = folder / "kubeconfig"
        written.write_text(cluster.kubeconfig("admin"))
        async with ClusterClient(kubeconfig=str(written)) as client:
            stamp = [{"op": "add", "path": "/metadata/annotations/omnicare.dev~1run", "value": RUN_ID}]
            seen = await client.patch_deployment(PRODUCTION, "backend", stamp)
            assert seen.annotations[RUN] == RUN_ID
            yield cluster, client


def play(cluster: Cluster, scenario: Scenario) -> None:
    Playing(ClusterAlone(cluster)).start(scenario)


def change(tag: str) -> ImageChange:
    return ImageChange(
        service="backend",
        namespace=PRODUCTION,
        deployment="backend",
        container="backend",
        before=Image.parse(image("backend", "v1.2.0")),
        after=Image.parse(image("backend", tag)),
    )


async def rolled(client: ClusterClient, scenario: Scenario, **settings: float) -> tuple[PlainPulse, PermanentError]:
    pulse = PlainPulse(RUN_ID)
    with pytest.raises(PermanentError) as caught:
        await rollouts.roll_out(
            pulse,
            client,
            change(scenario.tag),
            cause="a test",
            settings=RolloutSettings.model_validate({"deadline_seconds": 60, **settings}),
        )
    return pulse, caught.value


@pytest.mark.parametrize("scenario", FAILING, ids=lambda scenario: scenario.name)
async def test_the_cause_comes_first_with_its_message_and_what_to_do(scenario: Scenario, tmp_path: Path):
    async with opened(tmp_path) as (cluster, client):
        play(cluster, replace(scenario, deadline=3 if scenario.deadline else None))
        settings = {"deadline_seconds": 4} if scenario.name == "hang-1-of-3" else {}
        pulse, error = await rolled(client, scenario, explain_seconds=0.5, tick_seconds=0.2, **settings)
    found = error.diagnosis
    assert found.cause.startswith(scenario.cause), found
    assert found.said, found
    assert found.causes, found
    assert all(each.cause and each.to_do for each in found.causes)
    if scenario.deadline:
        assert any(re.search(r", [1-9] s", said) for said in pulse.said), pulse.said
    told = "\n".join((*found.said, *found.seen, *found.log))
    assert default_redactor().text(told) == told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "name", ["crash", "out-of-memory", "unready-probe", "liveness-probe", "startup-probe", "init-crash"]
)
async def test_what_ran_shows_its_last_log_lines(name: str, tmp_path: Path):
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
    async with opened(tmp_path) as (cluster, client):
        play(cluster, replace(scenario, deadline=3 if scenario.deadline else None))
        _, error = await rolled(client, scenario)
    found = error.diagnosis
    assert found.log
    assert "hunter2" not in "\n".join(found.log)
    assert found.before_exit == (name != "unready-probe")
    if name in ("crash", "out-of-memory", "init-crash"):
        assert found.seen[0].startswith("Last error: ")


async def test_what_only_takes_long_is_explained_and_ends_well(tmp_path: Path):
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "slow")
    async with opened(tmp_path) as (cluster, client):
        play(cluster, replace(scenario, acts=(SlowStart(4.5),)))
        pulse = PlainPulse(RUN_ID)
        settings = RolloutSettings(explain_seconds=1, tick_seconds=0.3)
        result = await rollouts.roll_out(pulse, client, change(scenario.tag), cause="a test", settings=settings)
    assert result.ready == 3
    late = re.compile(r"; 1 pod not ready: it runs, but is not ready, [1-4] s")
    assert any(late.search(said) for said in pulse.said), pulse.said


async def test_the_missing_amount_is_counted(tmp_path: Path):
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "unschedulable")
    async with opened(tmp_path) as (cluster, client):
        play(cluster, replace(scenario, deadline=3))
        _, error = await rolled(client, scenario)
    assert "at least 0.1 cpu is missing" in error.diagnosis.cause
    assert any(line.startswith("The pod requests 0.1 cpu; node-") for line in error.diagnosis.seen)
    assert not any(
        "large enough" in each.cause or "more than any node" in each.cause for each in error.diagnosis.causes
    )


async def test_a_pod_that_no_empty_node_could_take_is_told_so_and_not_that_the_nodes_are_full(tmp_path: Path):
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "unschedulable")

    def enlarge(draft: Json) -> None:
        draft["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "900"}}

    async with opened(tmp_path) as (cluster, client):
        play(cluster, replace(scenario, acts=(), deadline=3))
        cluster.api.modify(DEPLOYMENT, PRODUCTION, "backend", enlarge, Writer("kubectl-edit"))
        _, error = await rolled(client, scenario)
    causes = [each.cause for each in error.diagnosis.causes]
    assert causes[0] == "no node that the pod may run on is large enough, even empty"
    assert "the nodes are full" not in causes
    assert not any(line.startswith("Most is requested by ") for line in error.diagnosis.seen)


async def test_a_reset_takes_everything_back(tmp_path: Path):
    async with opened(tmp_path) as (cluster, client):
        for scenario in SCENARIOS:
            play(cluster, scenario)
            cluster.reset()
            seed_omnicare(cluster, (PRODUCTION,))
        stamp = [{"op": "add", "path": "/metadata/annotations/omnicare.dev~1run", "value": RUN_ID}]
        await client.patch_deployment(PRODUCTION, "backend", stamp)
        async with asyncio.timeout(60):
            result = await rollouts.roll_out(PlainPulse(RUN_ID), client, change("v2.0.0"), cause="a test")
        assert result.ready == 3
        assert not any(node.taints for node in await client.nodes())


def test_every_scenario_can_be_typed():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    for scenario in SCENARIOS:
        assert scenario.command.split()[0] == "deploy"
        assert scenario.tag in VERSIONS
        assert scenario.sentence.endswith(".")
