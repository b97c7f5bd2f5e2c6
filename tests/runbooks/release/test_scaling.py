"""Scaling a service: the number is set under the run's stamp and watched, and minimum, autoscalers and room are looked at first."""

import asyncio
from typing import Any

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, applied
from runbooks.kit.timeouts import RolloutSettings
from runbooks.release import rollouts
from runbooks.release.scaling import ScaleService, plan_scale
from tests.support.real import Place, image


async def placed(here: Place, replicas: int = 3, **update: Any) -> None:
    services = tuple(each.model_copy(update=update) for each in here.environment.services[:1])
    here.environment = here.environment.model_copy(update={"services": services})
    await here.deploy("backend", replicas=replicas)


async def autoscaler(here: Place, least: int, most: int) -> None:
    """By the API's first version where the control plane is too old for the second."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"}
    manifest = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "backend"},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most},
    }
    for version in ("v2", "v1"):
        path = f"/apis/autoscaling/{version}/namespaces/{here.namespace}/horizontalpodautoscalers"
        try:
            await here.create(path, {"apiVersion": f"autoscaling/{version}", **manifest})
        except PermanentError as error:
            if version == "v1" or error.code is not ReasonCode.NOT_FOUND:
                raise
        else:
            return


async def few(here: Place) -> None:
    """A quota of four pods, once the cluster has counted them and keeps to it, which is seen at the claims."""
    hard = {"pods": "4", "persistentvolumeclaims": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard}}
    path = f"/api/v1/namespaces/{here.namespace}/resourcequotas"
    await here.create(path, quota)
    async with asyncio.timeout(60):
        while not ((await here.connection.call("GET", f"{path}/few", doing="look")).get("status") or {}).get("used"):  # noqa: ASYNC110 - a test's own
            await asyncio.sleep(0.05)
    await here.until_refused("exceeded quota", kind="persistentvolumeclaims")


async def plan(here: Place, number: int) -> Plan:
    return await plan_scale(here.cluster, here.fleet, here.environment, "backend", number)


async def done(here: Place, found: Plan, run: str = "run-1", **settings: float) -> Any:
    """Do the plan's steps as a run does."""
    pulse = PlainPulse(run)
    services = {ClusterClient: here.cluster, Fleet: here.fleet, RolloutSettings: RolloutSettings(**settings)}
    context = StepContext(pulse=pulse, environment=here.environment, asked_by="maya", services=services)
    result: Any = None
    for step in found.steps:
        result = await applied(step, context)
    return result


async def test_a_service_gets_more_pods_and_fewer_again_of_the_same_image(here: Place):
    await placed(here)
    found = await plan(here, 5)
    assert found.title == "Scale backend to 5 pods in production"
    assert found.in_short == "backend 3 → 5 pods"
    (step,) = (each for each in found.steps if isinstance(each, ScaleService))
    where = f"deployment/backend -n {here.namespace}"
    assert step.by_hand() == (
        f"kubectl scale --current-replicas=3 --replicas=5 {where} && kubectl rollout status {where} --timeout=10m",
    )
    await here.take("run-1")
    result = await done(here, found)
    assert (result["ready"], result["desired"], result["already"]) == (5, 5, False)
    again = await done(here, found)
    assert (again["ready"], again["already"]) == (5, True), "a killed step runs again"
    assert (await plan(here, 5)).empty
    fewer = await done(here, await plan(here, 3))
    assert (fewer["before"], fewer["ready"]) == (5, 3)
    assert (await here.cluster.deployment(here.namespace, "backend")).revision == 1, "nothing was rolled out"


@pytest.mark.parametrize(("number", "least"), [(0, 3), (2, 3), (1, 2)])
async def test_it_is_never_scaled_below_its_minimum(here: Place, number: int, least: int):
    await placed(here, min_replicas=least)
    with pytest.raises(PermanentError, match=f"needs at least {least} pods") as refused:
        await plan(here, number)
    assert refused.value.code is ReasonCode.BELOW_MINIMUM


@pytest.mark.parametrize(
    ("number", "values"),
    [(5, '"minReplicas":5'), (12, '"minReplicas":12,"maxReplicas":12'), (3, '"maxReplicas":3,"minReplicas":3')],
)
async def test_an_autoscaler_is_named_with_the_line_that_changes_it(here: Place, number: int, values: str):
    await placed(here, replicas=4)
    await autoscaler(here, 4, 10)
    with pytest.raises(
        PermanentError, match="Autoscaler backend sets the number of backend's pods, from 4 to 10"
    ) as seen:
        await plan(here, number)
    assert seen.value.code is ReasonCode.AUTOSCALED
    assert f"kubectl patch hpa backend -n {here.namespace} --patch '{{\"spec\":{{{values}}}}}'" in seen.value.advice[0]


async def test_room_and_connections_are_looked_at_and_said(here: Place):
    await placed(here, surge_limit=4)
    await few(here)
    warnings = "\n".join((await plan(here, 6)).warnings)
    assert (
        "There may be no room for 3 more pods of backend: quota few has room for 1 more (pods), and this needs 3."
        in warnings
    )
    assert "backend's limit is 4 pods at once" in warnings
    assert not (await plan(here, 3)).warnings


async def test_what_does_not_get_ready_ends_with_the_cause_and_what_is_left(here: Place):
    await placed(here)
    found = await plan(here, 5)
    await few(here)
    await here.take("run-1")
    with pytest.raises(PermanentError) as failed:
        await done(here, found, deadline_seconds=20)
    assert failed.value.code is ReasonCode.QUOTA_EXCEEDED
    assert "Backend stays at 5 pods" in failed.value.advice[-1]
    assert "`scale backend 3 --env production` undoes it." in failed.value.advice[-1]
    assert (await here.cluster.deployment(here.namespace, "backend")).ready >= 3


async def test_a_number_that_somebody_else_set_meanwhile_is_not_overwritten(here: Place):
    await placed(here)
    found = await plan(here, 5)
    await here.patch("backend", {"op": "replace", "path": "/spec/replicas", "value": 4})
    await here.take("run-1")
    with pytest.raises(PermanentError, match="somebody else set the number of pods after the plan was made") as failed:
        await done(here, found)
    assert failed.value.code is ReasonCode.CHANGED_MEANWHILE
    assert (await here.cluster.deployment(here.namespace, "backend")).desired == 4


async def test_a_run_that_lost_its_lease_scales_nothing(here: Place):
    await placed(here)
    found = await plan(here, 5)
    await here.take("run-1")
    await rollouts.stamp(PlainPulse("run-1"), here.cluster, here.fleet, here.environment)
    await here.take("run-2", over=True)
    await rollouts.stamp(PlainPulse("run-2"), here.cluster, here.fleet, here.environment)
    with pytest.raises(PermanentError) as failed:
        await done(here, Plan(title="the rest", steps=found.steps[1:]))
    assert failed.value.code is ReasonCode.OVERTAKEN
    assert (await here.cluster.deployment(here.namespace, "backend")).desired == 3


def test_a_yes_covers_only_what_is_left_of_the_same_change(step: ScaleService):
    assert step.completes(step)
    assert step.model_copy(update={"before": 5}).completes(step)
    assert not step.model_copy(update={"after": 6}).completes(step)
    assert not step.model_copy(update={"before": 4}).completes(step)


@pytest.fixture
def step() -> ScaleService:
    change = ImageChange(
        service="backend",
        namespace="emr",
        deployment="backend",
        container="backend",
        before=image("backend", "v1.2.0"),
        after=image("backend", "v1.2.0"),
    )
    return ScaleService(change=change, before=3, after=5)
