"""Two hundred healthy worlds in which nothing may be found, and the same worlds broken in one way, which must be named first and alone."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.kit.targets import Region, Service
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import MetricsSettings
from runbooks.metrics.standing import MetricHistory
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.case import ReadOnce
from runbooks.troubleshooting.findings import ToDo, Trouble
from runbooks.troubleshooting.terminal_lines import terminal_lines
from tests.runbooks.troubleshooting.broken_capacity import CAPACITY, cordoned
from tests.runbooks.troubleshooting.broken_surroundings import SURROUNDINGS
from tests.runbooks.troubleshooting.generated_world import (
    BREAKAGES,
    Breakage,
    Served,
    World,
    bad_release,
)
from tests.runbooks.troubleshooting.new_version import new_image
from tests.runbooks.troubleshooting.surroundings import surrounded
from tests.support.cases import PRODUCTION, case

WORLDS = 200
SERVICES = tuple(
    Service(name=name, deployment=name, container=name, repository=f"ghcr.io/omnicare/{name}")
    for name in ("backend", "frontend", "worker")
)
WHERE = PRODUCTION.model_copy(update={"services": SERVICES})


@pytest.fixture
async def served() -> AsyncIterator[tuple[Served, str]]:
    server = Served()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    yield server, f"http://{host}:{port}"
    await runner.cleanup()


@pytest.fixture
async def client(served: tuple[Served, str], tmp_path: Path) -> AsyncIterator[ClusterClient]:
    path = tmp_path / "kubeconfig"
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [context],
                "clusters": [{"name": "c", "cluster": {"server": served[1]}}], "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )  # fmt: skip
    async with ClusterClient(kubeconfig=str(path)) as made:
        yield made


async def asked(server: Served, cluster: ClusterClient, world: World) -> Diagnosed:
    """Return what all rules say of the world."""
    server.world = world

    async def histories() -> tuple[MetricHistory, ...]:
        return world.histories()

    metrics = Metrics(WHERE, MetricsSettings(prometheus=MonitoringServer(url="http://127.0.0.1:1")))
    async with case({Metrics: metrics}, cluster=cluster, environment=WHERE, now=world.now, runs=world.runs) as made:
        return await diagnose(replace(made, histories=ReadOnce(histories, [])))


async def test_nothing_is_found_in_two_hundred_healthy_worlds(served: tuple[Served, str], client: ClusterClient):
    false_alarms = {}
    for seed in range(WORLDS):
        said = await asked(served[0], client, surrounded(seed))
        assert not said.unknown, said.unknown
        if said.findings:
            false_alarms[seed] = [each.cause for each in said.findings]
    assert false_alarms == {}


@pytest.mark.parametrize("breakage", [*BREAKAGES, *CAPACITY, *SURROUNDINGS], ids=lambda each: each.__name__)
async def test_what_is_broken_is_named_and_nothing_beside_it(
    breakage: Breakage, served: tuple[Served, str], client: ClusterClient
):
    for seed in range(4):
        world = surrounded(seed)
        words = breakage(world)
        said = await asked(served[0], client, world)
        assert said.findings, f"{seed}: nothing was found"
        causes = [each.cause for each, cause in zip(said.findings, said.caused_by, strict=True) if cause is None]
        assert words in causes[0], [seed, *causes]
        assert len(causes) == 1, [seed, *causes]


async def test_a_metric_beyond_its_limit_names_its_value_then_the_limit(
    served: tuple[Served, str], client: ClusterClient
):
    world = surrounded(1)
    bad_release(world)
    said = await asked(served[0], client, world)
    (errors,) = (each for each in said.findings if each.kind is Trouble.ERRORS)
    assert re.fullmatch(r"Error rate: [\d.]+ %, the limit is 0.1 %", errors.cause)


@pytest.mark.parametrize(
    ("end", "kind"), [("Error", Trouble.CRASHES), ("OOMKilled", Trouble.OUT_OF_MEMORY), ("", Trouble.IMAGE)]
)
async def test_after_a_change_of_the_image_going_back_is_first_and_what_still_serves_is_named(
    end: str, kind: Trouble, served: tuple[Served, str], client: ClusterClient
):
    world = surrounded(1)
    old = len([each for each in world.pods_of("backend") if each["status"]["phase"] == "Running"])
    new_image(world, end)
    said = await asked(served[0], client, world)
    first = said.findings[0]
    assert first.kind is kind
    assert f"(1 new pod; {old} old pods still serve)" in first.cause
    assert first.to_do[0] == ToDo(text="Roll backend back to v1.2.0", command="rollback backend", label="Roll back")
    assert [each.command for each in first.to_do].count("rollback backend") == 1
    assert "Possible cause" in first.to_do[1].text
    assert not any("retry" in each.text for each in first.to_do)
    logs = [each.command for each in first.to_do if each.label == "Logs"]
    assert [each.startswith("logs backend-") and each.endswith(" --previous") for each in logs] == [True] * bool(end)


async def test_a_cordoned_node_is_opened_with_the_context_of_its_region(
    served: tuple[Served, str], client: ClusterClient
):
    world = served[0].world = surrounded(1)
    cordoned(world)
    regions = (Region(name="us", kubectl="kubectl --context us"),)
    where = WHERE.model_copy(update={"regions": regions, "home": "us"})
    async with case(
        cluster=client, environment=where, now=world.now, runs=world.runs, regions={"us": {ClusterClient: client}}
    ) as made:
        said = await diagnose(made)
        typed = terminal_lines(made, said.findings)
    assert any(line.startswith("kubectl --context us describe node ") for line in typed)
    assert len(typed) == len(set(typed))
    lines = [each.text for found in said.findings for each in found.to_do if "If the work on them is over" in each.text]
    assert lines
    assert all("kubectl --context us uncordon " in each for each in lines)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("nodes", "nodes"),
        ("horizontalpodautoscalers", "autoscalers"),
        ("cronjobs", "Jobs and CronJobs"),
        ("resourcequotas", "quotas"),
        ("poddisruptionbudgets", "disruption budgets"),
        ("persistentvolumeclaims", "volume claims"),
        ("ingresses", "Ingresses"),
        ("networkpolicies", "network policies"),
        ("mutatingwebhookconfigurations", "admission webhooks"),
        ("services", "services' endpoints"),
    ],
)
async def test_what_can_not_be_listed_was_not_looked_at(
    kind: str, rule: str, served: tuple[Served, str], client: ClusterClient
):
    world = surrounded(1)
    del world.kinds[kind]
    said = await asked(served[0], client, world)
    assert rule in [name for name, _ in said.unknown]
    assert said.findings == ()
