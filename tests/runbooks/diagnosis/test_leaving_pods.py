"""Pods that are on their way out, have ended or are not there at all, on both clusters: what is told of them is what is so."""

import asyncio

from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse
from runbooks.observe import pods, service_health
from runbooks.observe.descriptions import describe
from runbooks.release import rollouts
from runbooks.release.restarting import plan_restart
from tests.runbooks.release.test_rollouts import CAUSE, only_backend, refused, stamped
from tests.support.real import Place

MERGE = "application/merge-patch+json"
RECREATE = {"type": "Recreate"}


class Listening(PlainPulse):
    """Notices when a text is said."""

    def __init__(self, run: str, text: str) -> None:
        super().__init__(run)
        self._text = text
        self.heard = asyncio.Event()

    def say(self, detail: str) -> None:
        super().say(detail)
        if self._text in detail:
            self.heard.set()


async def change_pod(here: Place, name: str, body: dict[str, object], part: str = "") -> None:
    path = f"/api/v1/namespaces/{here.namespace}/pods/{name}{part}"
    await here.connection.call("PATCH", path, doing="change a test's pod", body=body, content_type=MERGE)


async def held(here: Place, finalizers: list[str] | None) -> None:
    for pod in await here.cluster.pods(here.namespace):
        await change_pod(here, pod.name, {"metadata": {"finalizers": finalizers}})


async def replaced(here: Place, name: str) -> None:
    """Waits until two other pods are ready, and the Deployment says so."""
    async with asyncio.timeout(60):
        while sum(each.ready and each.name != name for each in await here.cluster.pods(here.namespace)) < 2:  # noqa: ASYNC110 - a test's own
            await asyncio.sleep(0.1)
    await here.until("backend", lambda d: d.rolled_out and d.available == 2)


async def test_old_pods_that_a_finalizer_holds_are_named_as_what_holds_up_the_rollout(here: Place):
    await only_backend(here, strategy=RECREATE)
    pulse = await stamped(here)
    await held(here, ["example.com/drain"])
    try:
        # Kubernetes' own progress deadline does not count here: it begins with the first new pod
        error = await refused(here, pulse, "v2.0.0", deadline_seconds=20, explain_seconds=1, tick_seconds=0.5)
        (state,) = await rollouts.current(here.cluster, here.environment)
        described = await describe(here.cluster, here.environment, "backend")
    finally:
        await held(here, None)
    cause = "2 old pods are still terminating, held by finalizer example.com/drain; strategy Recreate starts no new pod until they are gone"
    assert (error.code, error.diagnosis.cause) == (ReasonCode.OLD_PODS_STAY, cause)
    assert "0/2 new pods ready; 2 old pods are still terminating, held by finalizer example.com/drain" in pulse.said
    assert (state.state, state.new_ready, state.readiness) == ("rolling", 0, "0/2")
    assert described.summary == "is rolling out v2.0.0, 0/2"
    assert [(each.ready, each.detail) for each in described.pods] == [(False, "Terminating")] * 2
    assert cause in described.trouble


async def test_an_evicted_pod_is_counted_neither_as_ready_nor_as_missing(here: Place):
    await only_backend(here)
    first = (await here.cluster.pods(here.namespace))[0]
    evicted = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
        "conditions": [],
    }
    await change_pod(here, first.name, {"status": evicted}, "/status")
    await replaced(here, first.name)
    lines = await pods.list_pods(here.cluster, here.environment)
    assert sorted((each.detail, each.ready, each.over) for each in lines if each.over) == [("Evicted", False, True)]
    assert await pods.by_version(here.cluster, here.environment) == "backend v1.2.0 2 ready"
    pulse = await stamped(here)
    result = await rollouts.roll_out(pulse, here.cluster, here.change(), cause=CAUSE)
    assert (result.ready, result.desired) == (2, 2)


async def test_an_evicted_pod_holds_up_a_recreation_until_it_is_deleted(here: Place):
    """The controller looks again when the last pod of the Deployment is deleted, of whatever phase.

    It also looks when a ReplicaSet's status changes, and goes on if no living pod is left by then. So the living pods
    stay, here by a finalizer, until the rollout has seen them wait and the controller, late when busy, has looked.
    """
    await only_backend(here, strategy=RECREATE)
    first = (await here.cluster.pods(here.namespace))[0]
    await change_pod(
        here, first.name, {"status": {"phase": "Failed", "reason": "Evicted", "conditions": []}}, "/status"
    )
    await replaced(here, first.name)
    pulse = Listening((await stamped(here)).run, "held by finalizer")
    await held(here, ["example.com/drain"])
    settings = {"deadline_seconds": 30, "explain_seconds": 1, "tick_seconds": 0.5}
    async with asyncio.TaskGroup() as group:
        refusal = group.create_task(refused(here, pulse, "v2.0.0", **settings))
        async with asyncio.timeout(60):
            await pulse.heard.wait()
        await here.until("backend", lambda d: d.observed_generation == d.generation and d.total == 0)
        await here.looked()
        await held(here, None)
    error = refusal.result()
    found = error.diagnosis
    cause = "1 finished old pod is still listed (Evicted); strategy Recreate starts no new pod until it is gone"
    assert (error.code, found.cause) == (ReasonCode.OLD_PODS_STAY, cause)
    assert found.causes[0].to_do.startswith(f"run `kubectl delete pod {first.name} -n {here.namespace}`")
    path = f"/api/v1/namespaces/{here.namespace}/pods/{first.name}"
    await here.connection.call("DELETE", path, doing="delete a test's pod", body={"gracePeriodSeconds": 0})
    result = await rollouts.roll_out(pulse, here.cluster, here.change(), cause=CAUSE)
    assert (result.ready, result.desired) == (2, 2)


async def test_a_service_without_replicas_is_a_warning(here: Place):
    await only_backend(here, replicas=0)
    plan = await plan_restart(here.cluster, here.fleet, here.environment, "backend")
    (stands,) = await service_health.look(here.cluster, here.environment)
    told = await describe(here.cluster, here.environment, "backend")
    result = await rollouts.roll_out(await stamped(here), here.cluster, here.change(), cause=CAUSE)
    assert "backend is scaled to 0 replicas: none of its pods will run." in plan.warnings
    assert (stands.well, stands.broken, stands.trouble) == (False, False, "it is scaled to 0 replicas, so no pods run")
    assert told.summary == "is set to v1.2.0 and scaled to 0 replicas: no pods run"
    assert (result.ready, result.desired) == (0, 0)
