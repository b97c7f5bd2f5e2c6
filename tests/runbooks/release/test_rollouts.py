"""Rolling out on a cluster: what is changed, what is watched, and how it ends."""

import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped, done
from runbooks.release import rollouts
from runbooks.release.rollout_watch import Standstill, glance
from runbooks.release.rollouts import RolloutResult, RolloutSettings
from runbooks.release.steps import Rollout
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.settings import Settings
from tests.support import snapshots
from tests.support.broken_wire import wired
from tests.support.real import QUICK, Place, image, place
from tests.support.registries import answering

CAUSE = "omnicare run 7KQ2: deploy v2.0.0, approved by approver"


async def stamped(here: Place, run: str = "run-1", *, over: bool = False) -> PlainPulse:
    pulse = PlainPulse(run)
    await here.take(run, over=over)
    await rollouts.stamp(pulse, here.cluster, here.fleet, here.environment)
    return pulse


async def only_backend(here: Place, tag: str = "v1.2.0", **spec: object) -> None:
    here.environment = here.environment.model_copy(update={"services": here.environment.services[:1]})
    await here.deploy("backend", tag, **spec)


async def refused(here: Place, pulse: PlainPulse, after: str, **settings: float) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        await rollouts.roll_out(
            pulse,
            here.cluster,
            here.change(after=after),
            cause=CAUSE,
            settings=RolloutSettings.model_validate(settings),
        )
    return caught.value


async def overdue(
    here: Place, pulse: PlainPulse, after: str, told: Callable[[], Awaitable[bool]], **settings: float
) -> PermanentError:
    """As `refused`, at the Deployment's progress deadline: over once the cluster has told why, since a busy one takes its time."""
    async with asyncio.TaskGroup() as group:
        refusal = group.create_task(refused(here, pulse, after, **settings))
        async with asyncio.timeout(60):
            while not refusal.done() and not await told():  # noqa: ASYNC110 - a test's own
                await asyncio.sleep(0.1)
        if not refusal.done():
            await here.patch("backend", {"op": "add", "path": "/spec/progressDeadlineSeconds", "value": 1})
    return refusal.result()


def explained(pulse: PlainPulse, *words: str) -> Callable[[], Awaitable[bool]]:
    """Whether people were told what keeps a new pod from being ready: the rollout has seen it by then, and its failure will name it."""

    async def told() -> bool:
        return any(word in said for said in pulse.said for word in words or ("pending: ", "no new pod: "))

    return told


async def test_a_rollout_ends_when_every_new_pod_is_ready_and_runs_the_asked_digest(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    result = await rollouts.roll_out(pulse, here.cluster, here.change(), cause=CAUSE, by="requester")
    assert (result.ready, result.desired, result.revision, result.already) == (2, 2, 2, False)
    assert result.digest == image("backend", "v2.0.0").digest
    assert pulse.said[-1] == "2/2 new pods ready"
    now = await here.cluster.deployment(here.namespace, "backend")
    assert now.annotations["kubernetes.io/change-cause"] == CAUSE
    assert now.rolled_out


@pytest.mark.parametrize("tag", ["v2.0.0-moved", "v2.0.0-bare"])
async def test_what_a_node_reports_as_image_id_neither_fails_nor_holds_up_a_rollout(here: Place, tag: str):
    await only_backend(here, progressDeadlineSeconds=300)
    pulse = await stamped(here)
    result = await rollouts.roll_out(pulse, here.cluster, here.change(after=tag), cause=CAUSE)
    checked = await rollouts.check(pulse, here.cluster, [here.change(after=tag)])
    (state,) = await rollouts.current(here.cluster, here.environment)
    assert (result.ready, result.digest) == (2, image("backend", tag).digest)
    assert (checked.services[0].reported, checked.warnings) == (result.reported, ())
    assert (state.runs_completely, state.digest) == (True, image("backend", tag).digest)


async def _manifest_of(request: web.Request) -> web.Response:
    """An index of two platforms, and their manifests."""
    reference = request.path.rpartition("/")[2]
    if reference.endswith(("1", "2")):
        return web.json_response({"config": {"digest": f"sha256:{reference[-1] * 63}c"}})
    return web.json_response({"manifests": [{"digest": f"sha256:{each * 64}"} for each in "12"]})


@pytest.mark.parametrize(
    ("reported", "warned"),
    [("1" * 64, False), ("2" * 63 + "c", False), ("3" * 64, True)],
    ids=["platform", "configuration", "foreign"],
)
async def test_a_digest_that_a_node_reports_is_compared_with_all_that_the_index_has(reported: str, warned: bool):
    change = snapshots.change()
    result = RolloutResult(
        service="backend", ready=3, desired=3, digest=change.after.digest, seconds=1, revision=2, already=True,
        reported=(f"sha256:{reported}",),
    )  # fmt: skip
    async with answering(_manifest_of) as registry:
        found = await rollouts.foreign_digests(registry, [change], [result])
    assert [f"backend: a node reports sha256:{reported[:12]}" in each for each in found] == [True] * warned


async def test_a_registry_that_does_not_answer_gives_no_warning_and_no_failure():
    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    result = RolloutResult(
        service="backend", ready=3, desired=3, digest=None, seconds=1, revision=2, already=True, reported=("sha256:1",)
    )
    async with answering(broken) as registry:
        assert await rollouts.foreign_digests(registry, [snapshots.change()], [result]) == ()


async def test_a_step_that_was_killed_and_runs_again_only_watches(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    killed = asyncio.create_task(rollouts.roll_out(pulse, here.cluster, here.change(), cause=CAUSE))
    await here.until("backend", lambda d: d.containers[0].image == image("backend", "v2.0.0").reference)
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    # the controller has written the new revision, which counts as a change, too
    changed = await here.until("backend", lambda d: d.revision == 2)
    services = {ClusterClient: here.cluster, RolloutSettings: RolloutSettings()}
    context = StepContext(pulse=pulse, environment=here.environment, services=services)
    results = await done([Rollout(change=here.change(), cause="deploy v2.0.0")], context)
    result = results.only(Rollout, RolloutResult)
    assert result.already
    assert (await here.cluster.deployment(here.namespace, "backend")).generation == changed.generation


async def test_a_run_that_was_overtaken_changes_nothing_more(here: Place):
    await only_backend(here)
    old = await stamped(here, "run-1")
    await stamped(here, "run-2", over=True)
    error = await refused(here, old, "v2.0.0")
    assert error.code is ReasonCode.OVERTAKEN
    now = await here.cluster.deployment(here.namespace, "backend")
    assert now.containers[0].image == image("backend", "v1.2.0").reference
    with pytest.raises(PermanentError) as again:
        await rollouts.stamp(old, here.cluster, here.fleet, here.environment)
    assert again.value.code is ReasonCode.OVERTAKEN
    assert (await here.cluster.deployment(here.namespace, "backend")).annotations["omnicare.dev/run"] == "run-2"


async def test_a_rollout_that_is_overtaken_while_it_watches_ends(here: Place):
    await only_backend(here)
    old = await stamped(here, "run-1")
    watching = asyncio.create_task(refused(here, old, "v2.0.0-unready"))
    await here.until("backend", lambda d: d.updated > 0 and "unready" in d.containers[0].image)
    await stamped(here, "run-2", over=True)
    assert (await watching).code is ReasonCode.OVERTAKEN


async def test_an_image_that_somebody_else_set_meanwhile_is_left_alone(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    theirs = image("backend", "v1.3.0").reference
    await here.set_image("backend", theirs)
    error = await refused(here, pulse, "v2.0.0")
    assert error.code is ReasonCode.CHANGED_MEANWHILE
    assert any(theirs in line for line in error.evidence)
    assert (await here.cluster.deployment(here.namespace, "backend")).containers[0].image == theirs


async def test_an_image_that_somebody_else_sets_during_the_rollout_ends_it(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    watching = asyncio.create_task(refused(here, pulse, "v2.0.0-unready"))
    await here.until("backend", lambda d: d.updated > 0 and "unready" in d.containers[0].image)
    await here.set_image("backend", image("backend", "v1.3.0").reference)
    assert (await watching).code is ReasonCode.CHANGED_MEANWHILE


async def test_a_request_to_stop_ends_it_early_and_leaves_what_was_changed(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    watching = asyncio.create_task(
        rollouts.roll_out(pulse, here.cluster, here.change(after="v2.0.0-unready"), cause=CAUSE)
    )
    await here.until("backend", lambda d: "unready" in d.containers[0].image)
    pulse.ask_to_stop(Stop(kind="cancelled", by="requester"))
    with pytest.raises(Stopped):
        await watching
    now = await here.cluster.deployment(here.namespace, "backend")
    assert now.containers[0].image == image("backend", "v2.0.0-unready").reference


@pytest.mark.parametrize(
    ("tag", "code", "said"),
    [
        ("v2.0.0-bad", ReasonCode.IMAGE_UNKNOWN, "manifest unknown"),
        ("v2.0.0-crash", ReasonCode.CRASH_LOOP, "exit code 1"),
        ("v2.0.0-oom", ReasonCode.OUT_OF_MEMORY, "OOMKilled"),
    ],
)
async def test_what_no_waiting_will_mend_fails_at_once(here: Place, tag: str, code: ReasonCode, said: str):
    await only_backend(here, progressDeadlineSeconds=300)
    pulse = await stamped(here)
    async with asyncio.timeout(60):
        error = await refused(here, pulse, tag)
    found = error.diagnosis
    assert error.code is code
    assert said in "\n".join(found.said)
    assert any("Pod backend-" in line for line in found.seen)
    assert found.causes


async def test_a_crash_shows_the_last_lines_of_the_run_that_crashed(here: Place):
    await only_backend(here)
    error = await refused(here, await stamped(here), "v2.0.0-crash")
    found = error.diagnosis
    assert found.before_exit
    assert "ECONNREFUSED" in "\n".join(found.log)
    assert len(found.log) <= 10
    assert all(len(line) <= 300 for line in (*found.said, *found.seen, *found.log))


async def test_a_pod_that_never_gets_ready_fails_at_the_progress_deadline(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    error = await overdue(
        here, pulse, "v2.0.0-unready", explained(pulse, "probe fails"), explain_seconds=1, tick_seconds=0.5
    )
    assert error.code is ReasonCode.NEVER_READY
    assert "Readiness probe failed" in "\n".join(error.diagnosis.said)


async def test_the_progress_deadline_counts_even_where_kubernetes_does_not_count(tmp_path: Path):
    cluster = Cluster(Settings(start_seconds=(0.05, 0.15), stop_seconds=0.1))
    cluster.faults.loses_progress = True
    async with cluster.serve():
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig())
        async with place(str(tmp_path / "kubeconfig")) as here:
            await only_backend(here)
            pulse = await stamped(here)
            settings = {"explain_seconds": 1, "tick_seconds": 0.2, "lag_seconds": 0.2}
            error = await overdue(here, pulse, "v2.0.0-unready", explained(pulse, "probe fails"), **settings)
            condition = (await here.cluster.deployment(here.namespace, "backend")).condition("Progressing")
    assert error.code is ReasonCode.NEVER_READY
    assert condition is not None
    assert condition.reason == "NewReplicaSetAvailable"


async def test_a_standstill_counts_only_if_a_fresh_look_shows_it(here: Place, tmp_path: Path):
    await only_backend(here)
    change = here.change(after="v2.0.0-unready")
    await here.set_image("backend", change.after.reference)
    await here.until("backend", lambda d: d.observed_generation >= d.generation and (d.updated, d.total) == (1, 3))
    times = iter((0.0, *(100_000.0,) * 20))
    standstill = Standstill(lambda: next(times))
    seen = await glance(here.cluster, change)
    assert not await standstill.confirmed(here.cluster, change, seen, lag=0)
    async with (
        wired(here.kubeconfig, tmp_path) as (wire, through),
        ClusterClient(kubeconfig=through, timing=QUICK) as away,
    ):
        wire.refuses = True
        assert not await standstill.confirmed(away, change, seen, lag=0), "nobody knows"
    assert await standstill.confirmed(here.cluster, change, seen, lag=0)
    await here.patch("backend", {"op": "replace", "path": "/spec/replicas", "value": 4})
    await here.until("backend", lambda d: d.total > seen.deployment.total)
    assert not await standstill.confirmed(here.cluster, change, seen, lag=0), "it gets on"


async def test_a_deadline_of_our_own_ends_it_too(here: Place):
    await only_backend(here)
    error = await refused(here, await stamped(here), "v2.0.0-unready", deadline_seconds=20)
    assert error.code is ReasonCode.NEVER_READY


async def test_a_pod_that_no_node_has_room_for_says_so(here: Place):
    await only_backend(here)
    resources = {"requests": {"cpu": "900"}}
    await here.patch("backend", {"op": "add", "path": "/spec/template/spec/containers/0/resources", "value": resources})
    pulse = await stamped(here)
    error = await overdue(here, pulse, "v2.0.0", explained(pulse), explain_seconds=1, tick_seconds=0.5)
    assert error.code is ReasonCode.UNSCHEDULABLE
    assert "Insufficient cpu" in "\n".join(error.diagnosis.said)


async def test_a_quota_that_refuses_new_pods_fails_at_once(here: Place, is_real: bool):
    if not is_real:
        pytest.skip("the sandbox's cluster has no quotas")
    await only_backend(here, progressDeadlineSeconds=300)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}, "spec": {"hard": {"pods": "2"}}}
    await here.create(f"/api/v1/namespaces/{here.namespace}/resourcequotas", quota)
    await here.until_refused("exceeded quota")
    error = await refused(here, await stamped(here), "v2.0.0")
    assert error.code is ReasonCode.QUOTA_EXCEEDED
    assert "exceeded quota" in "\n".join(error.diagnosis.said)


async def test_going_back_from_a_rollout_past_its_deadline_is_not_taken_for_a_failure(here: Place):
    await only_backend(here, progressDeadlineSeconds=6)
    pulse = await stamped(here)
    assert (await refused(here, pulse, "v2.0.0-unready")).code is ReasonCode.NEVER_READY
    back = here.change(before="v2.0.0-unready", after="v1.2.0")
    second = await stamped(here, "run-2", over=True)
    result = await rollouts.roll_out(second, here.cluster, back, cause="omnicare run 7KQ3: rollback")
    assert result.ready == 2
    assert (await here.cluster.deployment(here.namespace, "backend")).rolled_out


async def test_the_same_image_again_makes_new_pods(here: Place):
    await only_backend(here, progressDeadlineSeconds=300)
    pulse = await stamped(here)
    before = {pod.uid for pod in await here.cluster.pods(here.namespace)}
    result = await rollouts.roll_out(pulse, here.cluster, here.change(after="v1.2.0"), cause=CAUSE)
    after = {pod.uid for pod in await here.cluster.pods(here.namespace) if not pod.deleting}
    assert result.ready == 2
    assert not before & after


async def test_a_paused_deployment_is_refused_with_the_way_out(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    await here.patch("backend", {"op": "add", "path": "/spec/paused", "value": True})
    error = await refused(here, pulse, "v2.0.0")
    assert error.code is ReasonCode.PAUSED
    assert error.advice == (f"kubectl rollout resume deployment/backend -n {here.namespace}",)


async def test_both_services_roll_out_side_by_side_and_are_checked(here: Place):
    await asyncio.gather(here.deploy("backend"), here.deploy("frontend"))
    pulse = await stamped(here)
    changes = [here.change("backend"), here.change("frontend")]
    waves = await rollouts.waves_of(here.cluster, here.environment, changes, (), patience=60)
    results = await rollouts.roll_out_together(pulse, here.cluster, changes, waves, cause=CAUSE, by="requester")
    assert [result.service for result in results] == ["backend", "frontend"]
    assert any("backend" in said and "frontend" in said for said in pulse.said)
    checked = await rollouts.check(pulse, here.cluster, changes)
    assert {r.digest for r in checked.services} == {
        image("backend", "v2.0.0").digest,
        image("frontend", "v2.0.0").digest,
    }


async def test_the_check_fails_where_a_service_runs_something_else(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    await rollouts.roll_out(pulse, here.cluster, here.change(), cause=CAUSE)
    await here.set_image("backend", image("backend", "v1.3.0").reference)
    with pytest.raises(PermanentError) as caught:
        await rollouts.check(pulse, here.cluster, [here.change()])
    assert caught.value.code is ReasonCode.CHANGED_MEANWHILE


async def test_a_deployment_that_is_deleted_during_the_rollout_ends_it(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    watching = asyncio.create_task(refused(here, pulse, "v2.0.0-unready"))
    await here.until("backend", lambda d: d.updated > 0 and "unready" in d.containers[0].image)
    path = f"/apis/apps/v1/namespaces/{here.namespace}/deployments/backend"
    await here.connection.call("DELETE", path, doing="remove it")
    assert (await watching).code is ReasonCode.NOT_FOUND


@pytest.mark.parametrize("how", ["cut", "fall_silent"])
async def test_a_rollout_is_followed_to_its_end_though_the_connection_is_lost(here: Place, tmp_path: Path, how: str):
    await only_backend(here)
    pulse = await stamped(here)
    timing = Timing(connect=2, call=3, watch=2, watch_grace=0.5, outage=20)
    async with (
        wired(here.kubeconfig, tmp_path) as (wire, through),
        ClusterClient(kubeconfig=through, timing=timing) as cluster,
    ):
        rolling = asyncio.create_task(rollouts.roll_out(pulse, cluster, here.change(), cause=CAUSE))
        await here.until(
            "backend", lambda d: "v2.0.0" in d.containers[0].image and d.observed_generation >= d.generation
        )
        getattr(wire, how)()
        assert (await rolling).ready == 2


async def test_the_kubectl_lines_do_by_hand_what_the_plan_would_do(here: Place):
    await only_backend(here)
    kubectl = str(Path(sys.executable).parent / "kubectl")
    for line in rollouts.kubectl_lines([here.change()]):
        words = shlex.split(line)
        assert words[0] == "kubectl"
        process = await asyncio.create_subprocess_exec(
            kubectl, "--kubeconfig", here.kubeconfig, *words[1:], stdout=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0
    now = await here.cluster.deployment(here.namespace, "backend")
    assert (now.containers[0].image, now.rolled_out) == (image("backend", "v2.0.0").reference, True)
