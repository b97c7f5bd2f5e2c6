"""A verification where an environment has two regions: each is looked at, and one that does not answer is named."""

from datetime import UTC, datetime

import pytest
from aiohttp import web
from pydantic import ValidationError

from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place
from runbooks.fleet.fleet import Fleet
from runbooks.kit.steps import PlainPulse, StepContext
from runbooks.kit.train import Train
from runbooks.verification.checks import CheckInput
from runbooks.verification.findings import Before, Verdict, VerificationFinding
from runbooks.verification.settings import MetricCheck, RegionMonitoring, VerificationSettings
from runbooks.verification.steps import MeasureBefore, VerifyRelease, plan_part
from runbooks.verification.verification import Verification
from runbooks.wording import listed
from sandbox.cluster import Cluster
from sandbox.outside.alertmanager import AlertmanagerServer
from sandbox.outside.prometheus import PrometheusServer
from sandbox.outside.registry import digest_of
from tests.support.two_regions import NAMESPACE, TwoRegions

PLAIN = VerificationSettings(metrics=(), bake_seconds=0, deadline_seconds=5)
NAMES = ["database connection", "database connection in us", "pods in eu", "pods in us"]


def verification(both: TwoRegions, settings: VerificationSettings = PLAIN) -> Verification:
    return Verification(both.environment, settings, both.clusters["eu"])


def places(both: TwoRegions) -> list[Place]:
    return [Place(both.environment.within(name), cluster) for name, cluster in both.clusters.items()]


def context(both: TwoRegions, settings: VerificationSettings = PLAIN) -> StepContext:
    services = {Verification: verification(both, settings), HealthClient: HealthClient(), Fleet: both.fleet}
    return StepContext(
        pulse=PlainPulse("production.rollback.1111"), environment=both.environment, services=services,
        regions={name: {ClusterClient: cluster} for name, cluster in both.clusters.items()},
    )  # fmt: skip


async def found(
    both: TwoRegions, *regions: str, settings: VerificationSettings = PLAIN
) -> dict[str, VerificationFinding]:
    """What the step finds after a rollback, which stops at nothing."""
    verified = await VerifyRelease(going_back=True, regions=regions).apply(context(both, settings))
    return {each.name: each for each in verified.findings}


async def test_the_pods_and_the_database_connection_of_each_region_are_checked(both: TwoRegions) -> None:
    everywhere = await found(both, "eu", "us")
    assert list(everywhere) == NAMES
    assert {each.verdict for each in everywhere.values()} == {Verdict.PASSED}
    assert everywhere["pods in us"].value == "backend 3/3, frontend 3/3"
    assert list(await found(both, "eu")) == ["database connection", "pods in eu"]
    assert list(await found(both)) == ["database connection"], "a plan of the version before names no region"


async def test_a_region_that_does_not_answer_is_inconclusive_and_named(both: TwoRegions) -> None:
    await both.servers["us"].go_down()
    answers = await found(both, "eu", "us")
    assert [name for name, each in answers.items() if each.verdict is Verdict.INCONCLUSIVE] == [NAMES[1], NAMES[3]]
    assert answers["pods in us"].sentence.startswith("pods in us has no result (us: ")


async def test_pods_that_are_not_ready_fail_the_region_that_they_are_in(both: TwoRegions) -> None:
    path = "/spec/template/spec/containers/0/image"
    patch = [
        {
            "op": "replace",
            "path": path,
            "value": f"ghcr.io/omnicare/backend:v2.1.0-bad@{digest_of('backend', 'v2.1.0-bad')}",
        }
    ]
    await both.clusters["us"].patch_deployment(NAMESPACE, "backend", patch)
    answers = await found(both, "eu", "us")
    assert (answers["pods in eu"].verdict, answers["pods in us"].verdict) == (Verdict.PASSED, Verdict.FAILED)
    assert "must be all pods ready" in answers["pods in us"].sentence


async def test_a_region_with_a_prometheus_of_its_own_is_asked_there_before_and_after(both: TwoRegions) -> None:
    server = PrometheusServer(Cluster())
    server.fault = lambda _: web.json_response(
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "250"]}]}}
    )
    async with server.serve():
        us = {"prometheus": {"url": server.url}}
        slow = {"name": "API p95", "query": "sum(up)", "limit": 200, "unit": "ms"}
        settings = PLAIN.model_copy(
            update={
                "regions": {"us": RegionMonitoring.model_validate(us)},
                "metrics": (MetricCheck.model_validate(slow),),
            }
        )
        measure = MeasureBefore(version="v2.0.0", regions=("eu", "us"))
        assert (await measure.apply(context(both, settings))).metrics == {"API p95 in us": 250.0}
        answers = await found(both, "eu", "us", settings=settings)
    assert answers["API p95 in us"].sentence == "API p95 in us 250 ms (must be < 200 ms)"
    assert answers["API p95 in us"].verdict is Verdict.FAILED
    assert "API p95" not in answers, "home has none"


async def test_a_region_with_an_alertmanager_of_its_own_is_compared_with_its_own_alerts(both: TwoRegions) -> None:
    home, us = AlertmanagerServer(Cluster()), AlertmanagerServer(Cluster())
    names = ["alert receivers", "new critical alerts", "alert receivers in us", "new critical alerts in us"]
    async with home.serve() as home_url, us.serve() as us_url:
        settings = VerificationSettings.model_validate(
            {
                **PLAIN.model_dump(),
                "alertmanager": {"url": home_url, "receivers": ["pagerduty"]},
                "regions": {"us": {"alertmanager": {"url": us_url}}},
            }
        )
        home.firing = us.firing = [{"alertname": "DiskFull", "severity": "critical"}]
        measure = MeasureBefore(version="v2.0.0", regions=("eu", "us"))
        before = await measure.apply(context(both, settings))
        assert before.alerts_in("us") == before.alerts_in("")
        us.firing = [*us.firing, {"alertname": "HighErrorRate", "severity": "critical"}]
        us.receivers = ["slack"]
        looked = verification(both, settings)

        async def sentences(compared: Before) -> list[str]:
            asked = CheckInput(health=HealthClient(), before=compared)
            there = {each.name: each for each in (await looked.look(asked, places=places(both))).findings}
            return [there[name].sentence for name in names]

        told = await sentences(before)
        assert told[:2] == ["alert receivers pagerduty", "new critical alerts none (1 alert already fired before)"]
        assert told[2] == "alert receivers in us pagerduty missing (must be pagerduty)"
        assert told[3].startswith("new critical alerts in us HighErrorRate (")
        assert "unknown" in (await sentences(before.model_copy(update={"region_alerts": {}})))[3]
        us.fault = lambda _: web.Response(status=403)
        away = await sentences(before)
        assert away[:2] == told[:2]
        assert [sentence.split(" has no result")[0] for sentence in away[2:]] == names[2:]
    assert settings.servers()[-1][0] == "regions.us.alertmanager"
    with pytest.raises(ValidationError, match="set `prometheus`, `alertmanager` or both"):
        RegionMonitoring()


async def test_the_plan_names_the_checks_of_the_regions_that_the_release_reaches(both: TwoRegions) -> None:
    train = Train(
        environment=both.environment, version="v2.0.0", changes=(), now=datetime.now(UTC),
        clients={Verification: verification(both), ClusterClient: both.clusters["eu"]},
        regions={name: {ClusterClient: cluster} for name, cluster in both.clusters.items()},
    )  # fmt: skip
    part = await plan_part(train)
    assert part.notes == (f"Verification: {listed(NAMES)}.",)
    assert part.not_done == ("smoke tests (not configured)",)
    (step,) = part.after
    assert isinstance(step, VerifyRelease)
    assert step.regions == ("eu", "us")
    script = "exec -n omnicare-prod deployment/backend -c backend -- npm run db:test"
    assert step.by_hand() == (
        f"kubectl --context eu {script}",
        f"kubectl --context us {script}",
        f"kubectl --context eu get pods -n {NAMESPACE}",
        f"kubectl --context us get pods -n {NAMESPACE}",
    )
