"""Causes that a kubelet says, with a node of the test's own on both clusters; what the sandbox's own node says is in tests/sandbox."""

from collections.abc import Awaitable, Callable

import pytest

from runbooks.kit.reasons import ReasonCode as Code
from runbooks.release import rollouts
from tests.runbooks.release.test_rollouts import only_backend, overdue, refused, stamped
from tests.support.real import Place, image
from tests.support.stand_in_node import Json, StandInNode, Told, send_there, stamp, stand_in

SECRET = "postgres://omnicare:hunter2@db:5432/emr"


def container(state: Json, *, restarts: int = 0, last: Json | None = None, name: str = "backend") -> Json:
    return {
        "name": name, "image": "x", "imageID": "", "ready": False, "restartCount": restarts, "state": state,
        **({"lastState": {"terminated": last}} if last else {}),
    }  # fmt: skip


def waits(reason: str, message: str, *events: tuple[str, str]) -> Told:
    return Told([container({"waiting": {"reason": reason, "message": message}})], events=events)


def ended(code: int, reason: str = "Error", message: str = "") -> Json:
    return {"exitCode": code, "reason": reason, "message": message, "startedAt": stamp(), "finishedAt": stamp()}


CONTAINERD = 'rpc error: code = Unknown desc = failed to pull and unpack image "ghcr.io/omnicare/backend:v2.0.0": '
LOOP: Json = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
PROBE = (
    ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"),
    ("Killing", "Container backend failed liveness probe, will be restarted"),
)

sandbox_only = pytest.mark.parametrize("kubeconfig", ["sandbox"], indirect=True)
real_only = pytest.mark.parametrize("kubeconfig", [pytest.param("real", marks=pytest.mark.real_cluster)], indirect=True)

STORIES: list[tuple[str, Told, Code, str]] = [
    ("unauthorised", waits("ErrImagePull", f"{CONTAINERD}failed to authorize: unexpected status: 401 Unauthorized"), Code.IMAGE_UNAUTHORIZED, "the image can't be pulled: the registry rejects the nodes' credentials"),
    ("rate-limited", waits("ErrImagePull", f"{CONTAINERD}unexpected status code: 429 Too Many Requests"), Code.IMAGE_RATE_LIMITED, "the image can't be pulled: the registry limits"),
    ("architecture", waits("ErrImagePull", f"{CONTAINERD}no match for platform in manifest: not found"), Code.IMAGE_PLATFORM, "the image can't be pulled: it is not built for the nodes' processor architecture"),
    ("name", waits("InvalidImageName", "couldn't parse image reference: invalid reference format"), Code.IMAGE_NAME, "the image can't be pulled: its name is not valid"),
    ("config", waits("CreateContainerConfigError", 'configmap "backend-config" not found'), Code.CONFIG_MISSING, "ConfigMap backend-config does not exist"),
    ("secret-key", waits("CreateContainerConfigError", "couldn't find key DATABASE_URL in Secret x/omnicare-database"), Code.CONFIG_MISSING, "Secret omnicare-database has no key DATABASE_URL"),
    ("mount", waits("ContainerCreating", "", ("FailedMount", 'MountVolume.SetUp failed for volume "keys" : secret "signing" not found')), Code.CONFIG_MISSING, "Secret signing does not exist"),
    ("init", Told([container({"waiting": {"reason": "PodInitializing"}})], [container(LOOP, restarts=3, last=ended(1, message=f"ERROR {SECRET} refused"), name="wait")]), Code.INIT_FAILED, "init container wait fails (exit code 1), 3 times"),
    ("liveness", Told([container(LOOP, restarts=3, last=ended(137))], phase="Running", events=PROBE), Code.PROBE_KILLS, "the liveness probe fails: HTTP 500"),
    ("segfault", Told([container(LOOP, restarts=3, last=ended(139))], phase="Running"), Code.CRASH_LOOP, "the container keeps starting and exiting (exit code 139"),
    ("readiness", Told([container({"running": {"startedAt": stamp()}})], phase="Running", events=(("Unhealthy", "Readiness probe failed: dial tcp 10.0.0.7:3001: connect: connection refused"),)), Code.NEVER_READY, "the readiness probe fails: connection refused"),
]  # fmt: skip


GATE = "example.com/target-health"
MIGRATE: Json = {"name": "migrate", "image": "x"}
PROXY: Json = {**MIGRATE, "name": "proxy", "startupProbe": {"httpGet": {"path": "/up", "port": 15021}}}
RUNS: Json = {"running": {"startedAt": stamp()}}
INITIALIZING = container({"waiting": {"reason": "PodInitializing"}})
UNSANDBOXED = (
    'Failed to create pod sandbox: plugin type="aws-cni" failed (add): failed to assign an IP address to container'
)

HANGING: list[tuple[str, Told, dict[str, object], Code, str]] = [
    ("readiness-gate", Told([container(RUNS) | {"ready": True}], phase="Running", conditions=(("ContainersReady", "True", "", ""), (GATE, "False", "Draining", "the target answers 502"))), {"readinessGates": [{"conditionType": GATE}]}, Code.READINESS_GATE, f"all containers are ready, but readiness gate {GATE} is False: Draining"),
    ("init-waits", Told([INITIALIZING], [container(RUNS, name="migrate")], conditions=(("Initialized", "False", "ContainersNotInitialized", "containers with incomplete status: [migrate]"),)), {"initContainers": [MIGRATE]}, Code.INIT_WAITS, "init container migrate has been running for"),
    ("pod-sandbox", Told([container({"waiting": {"reason": "ContainerCreating"}})], events=(("FailedCreatePodSandBox", UNSANDBOXED),)), {}, Code.POD_SANDBOX, "the node"),
    ("evicted", Told([], phase="Failed", reason="Evicted"), {}, Code.POD_ENDED, "a new pod was terminated: Evicted"),
    ("startup-probe", Told([container(RUNS) | {"ready": True}, container(RUNS, name="proxy") | {"started": False}], phase="Running", conditions=(("ContainersReady", "False", "ContainersNotReady", "containers with unready status: [proxy]"),)), {"containers/-": PROXY}, Code.NEVER_READY, "the container proxy runs, but its startup probe has not passed (GET /up on port 15021)"),
]  # fmt: skip


def said_by(node: StandInNode) -> Callable[[], Awaitable[bool]]:
    """Whether the node has said what it says of the new pod."""

    async def said() -> bool:
        return image("backend", "v2.0.0").reference in node.told_of

    return said


@pytest.mark.parametrize(
    ("told", "template", "code", "cause"), [story[1:] for story in HANGING], ids=[story[0] for story in HANGING]
)
async def test_what_keeps_a_new_pod_from_being_ready_is_named(
    here: Place, told: Told, template: dict[str, object], code: Code, cause: str
):
    await only_backend(here)
    async with stand_in(here, lambda _pod, _looks: told) as node:
        await send_there(here, node, **template)
        error = await overdue(here, await stamped(here), "v2.0.0", said_by(node))
    found = error.diagnosis
    assert (error.code, found.cause.startswith(cause)) == (code, True), found
    assert found.said, found
    assert not any("no event names" in each.cause for each in found.causes)


@pytest.mark.parametrize(
    ("told", "code", "cause"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES]
)
async def test_what_a_kubelet_says_is_named_first(here: Place, told: Told, code: Code, cause: str):
    await only_backend(here)
    pulse = await stamped(here)
    async with stand_in(here, lambda _pod, _looks: told) as node:
        await send_there(here, node)
        error = await overdue(here, pulse, "v2.0.0", said_by(node))
    found = error.diagnosis
    assert (error.code, found.cause.startswith(cause)) == (code, True), found
    assert found.said, found
    assert found.causes
    assert "hunter2" not in found.model_dump_json()


@real_only
async def test_a_node_that_falls_silent_is_named_by_the_real_node_controller(here: Place):
    """The controller waits 40 s before it says so."""
    await only_backend(here, progressDeadlineSeconds=300)
    pulse = await stamped(here)
    running = Told([container({"running": {"startedAt": stamp()}})], phase="Running", ready=False)
    async with stand_in(here, lambda _pod, _looks: running) as node:
        await send_there(here, node)

        def fall_silent(said: str) -> None:
            node.silent = node.silent or "not ready" in said

        pulse.say = fall_silent  # type: ignore[method-assign] # a test's own ears
        error = await refused(here, pulse, "v2.0.0", explain_seconds=1, tick_seconds=1, deadline_seconds=150)
    assert error.code is Code.NODE_LOST, error.diagnosis
    assert error.diagnosis.cause == f"node {here.namespace} was lost while the new pod ran on it"
    assert "Kubelet stopped posting node status" in error.diagnosis.said[0], error.diagnosis


@pytest.mark.parametrize(
    "image_id", ["sha256:" + "c" * 64, "docker-pullable://mirror.local/backend@sha256:" + "d" * 64, ""]
)
async def test_a_rollout_is_complete_whatever_the_runtime_names_the_image(here: Place, image_id: str):
    await only_backend(here, progressDeadlineSeconds=120)
    pulse = await stamped(here)
    running = container({"running": {"startedAt": stamp()}}) | {"imageID": image_id, "ready": True}
    async with stand_in(here, lambda _pod, _looks: Told([running], phase="Running", ready=True)) as node:
        await send_there(here, node)
        result = await rollouts.roll_out(pulse, here.cluster, here.change(), cause="deploy v2.0.0")
        checked = await rollouts.check(pulse, here.cluster, [here.change()])
    assert (result.ready, checked.warnings) == (2, ())


@real_only
async def test_a_pod_disruption_budget_holds_up_no_rollout(here: Place):
    """It limits evictions; the Deployment's controllers delete."""
    await only_backend(here)
    spec = {"minAvailable": "100%", "selector": {"matchLabels": {"app": "backend"}}}
    body = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "all"}, "spec": spec}
    await here.create(f"/apis/policy/v1beta1/namespaces/{here.namespace}/poddisruptionbudgets", body)
    result = await rollouts.roll_out(await stamped(here), here.cluster, here.change(), cause="deploy v2.0.0")
    assert (result.ready, result.desired) == (2, 2)


@sandbox_only
async def test_a_native_sidecar_that_is_not_started_is_named(here: Place):
    """Kubernetes 1.20 knows none."""
    await only_backend(here, progressDeadlineSeconds=5)
    unready = ("ContainersReady", "False", "ContainersNotReady", "containers with incomplete status: [proxy]")
    told = Told([INITIALIZING], [container(RUNS, name="proxy") | {"started": False}], conditions=(unready,))
    async with stand_in(here, lambda _pod, _looks: told) as node:
        await send_there(here, node, initContainers=[{**PROXY, "restartPolicy": "Always"}])
        error = await refused(here, await stamped(here), "v2.0.0", deadline_seconds=20)
    assert error.diagnosis.cause.startswith("the sidecar proxy runs, but its startup probe has not passed")


@sandbox_only
async def test_a_scheduling_gate_is_named(here: Place):
    """Kubernetes 1.20 knows none."""
    await only_backend(here, progressDeadlineSeconds=5)
    gates = [{"name": "example.com/quota"}]
    await here.patch("backend", {"op": "add", "path": "/spec/template/spec/schedulingGates", "value": gates})
    error = await refused(here, await stamped(here), "v2.0.0", deadline_seconds=20)
    assert error.code is Code.SCHEDULING_GATED
    assert error.diagnosis.cause == "the new pod is not scheduled because of scheduling gate example.com/quota"
    assert error.diagnosis.said == ("Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated")
