"""Every state in which a pod can hang, read as Kubernetes says it: the table in docs/pod-states.md and the code say the same."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks import diagnosis
from runbooks.clients.kubernetes import reading
from runbooks.diagnosis import Snapshot
from tests.runbooks.diagnosis.test_causes import ended, waiting
from tests.support.snapshots import OLD, POD, Json, event, pod, snapshot, stamp, status_of, unplaced

PAGE = Path(__file__).parents[3] / "docs/pod-states.md"
ROWS = {
    cells[0]: (cells[1], cells[2], cells[3].strip("`"))
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| State"))
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}
KUBERNETES = [
    "ContainersNotInitialized",
    "ContainersNotReady",
    "ReadinessGatesNotReady",
    "SchedulingGated",
    "SchedulerError",
    "Unschedulable",
    "PodScheduled",
    "PodReadyToStartContainers",
    "Initialized",
    "ContainersReady",
    "Ready",
    "DisruptionTarget",
    "ReplicaFailure",
    "CrashLoopBackOff",
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PostStartHookError",
    "PreCreateHookError",
    "PreStartHookError",
    "FailedCreate",
    "FailedScheduling",
    "FailedCreatePodSandBox",
    "NetworkNotReady",
    "FailedMount",
    "FailedAttachVolume",
    "FailedMapVolume",
    "FailedPrepareDynamicResources",
    "Unhealthy",
    "Killing",
    "NodeNotReady",
    "TaintManagerEviction",
    "OutOfcpu",
    "NodeAffinity",
    "UnexpectedAdmissionError",
    "Evicted",
    "Preempting",
    "Terminated",
    "OOMKilled",
]
"""Reasons and conditions by which Kubernetes (1.20 to 1.35) says that a pod is not created, placed, started or ready."""
ALWAYS: Json = {"name": "proxy", "image": "x", "restartPolicy": "Always"}
RUNNING: Json = {"running": {"startedAt": stamp(70)}}
LOOP: Json = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
INITIALIZING = waiting("PodInitializing")


def condition(kind: str, reason: str = "", message: str = "", status: str = "False") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp(60)}


INCOMPLETE = condition("Initialized", "ContainersNotInitialized", "containers with incomplete status: [migrate]")
UNREADY = condition("ContainersReady", "ContainersNotReady", "containers with unready status: [proxy]")
GATES = condition(
    "Ready", "ReadinessGatesNotReady", 'the status of pod readiness gate "example.com/target-health" is not "True"'
)


def runs(*, ready: bool = False, started: bool = True, name: str = "backend", **more: object) -> Json:
    return status_of(RUNNING, name=name) | {"ready": ready, "started": started, **more}


def sidecar(*states: Json) -> Json:
    return pod(
        INITIALIZING,
        init=states,
        conditions=[UNREADY],
        initContainers=[ALWAYS | {"startupProbe": {"httpGet": {"path": "/up", "port": 1}}}],
    )


def failed(reason: str) -> Json:
    made = pod(phase="Failed")
    made["status"] |= {"reason": reason, "message": "The node was low on resource: memory."}
    return made


def gated(*conditions: Json) -> Json:
    gate = [{"conditionType": "example.com/target-health"}]
    return pod(runs(ready=True), phase="Running", readinessGates=gate, conditions=conditions)


def recreated() -> Snapshot:
    found = snapshot()
    old = pod(runs(ready=True), phase="Running", owner=OLD)
    old["metadata"] |= {"deletionTimestamp": stamp(60), "finalizers": ["example.com/drain"]}
    other = pod(runs(ready=True), phase="Running", owner=OLD, uid="uid-other")
    other["metadata"] |= {"deletionTimestamp": stamp(60)}
    leaving = [reading.pod(old), reading.pod(other)]
    return replace(found, new=None, leaving=leaving, deployment=replace(found.deployment, strategy="Recreate"))


def left_over() -> Snapshot:
    found, evicted = snapshot(), failed("Evicted")
    evicted["metadata"]["ownerReferences"][0]["uid"] = OLD
    leaving = [reading.pod(evicted)]
    return replace(found, new=None, leaving=leaving, deployment=replace(found.deployment, strategy="Recreate"))


FORBIDDEN = 'pods "backend-7c9f-x" is forbidden: '
CREATING = waiting("ContainerCreating")
STATES: dict[str, Snapshot] = {
    "Not created: quota": snapshot(refused=f"{FORBIDDEN}exceeded quota: pods, requested: pods=1, used: pods=6, limited: pods=6"),
    "Not created: refused": snapshot(refused='admission webhook "policy.example.com" denied the request: no'),
    "Not created: old pods stay": recreated(),
    "Not created: an ended pod is left": left_over(),
    "Scheduling gate": snapshot(
        pod(nodeName="", schedulingGates=[{"name": "example.com/quota"}], conditions=[condition("PodScheduled", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")])
    ),
    "No room": snapshot(unplaced("0/3 nodes are available: 3 Insufficient cpu.")),
    "Scheduler's own error": snapshot(pod(nodeName="", conditions=[condition("PodScheduled", "SchedulerError", "timeout in a plugin")])),
    "Claim not bound": snapshot(unplaced("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.", volumes=[{"persistentVolumeClaim": {"claimName": "uploads"}}])),
    "Node lost": snapshot(pod(CREATING), events=[event("NodeNotReady", "Node is not ready")]),
    "Refused by the node": snapshot(failed("OutOfcpu")),
    "Evicted or preempted": snapshot(failed("Evicted")),
    "No sandbox": snapshot(pod(CREATING, conditions=[condition("PodReadyToStartContainers")]), events=[event("FailedCreatePodSandBox", 'Failed to create pod sandbox: plugin type="aws-cni" failed (add): failed to assign an IP address to container')]),
    "No network on the node": snapshot(pod(CREATING), events=[event("NetworkNotReady", "network is not ready: cni plugin not initialized")]),
    "Volume not mounted": snapshot(pod(CREATING), events=[event("FailedAttachVolume", "rpc error: deadline exceeded")]),
    "Devices not prepared": snapshot(pod(CREATING), events=[event("FailedPrepareDynamicResources", "Failed to prepare dynamic resources: no driver")]),
    "Mounted source missing": snapshot(pod(CREATING), events=[event("FailedMount", 'MountVolume.SetUp failed for volume "keys" : secret "signing" not found')]),
    "Image not pulled": snapshot(pod(waiting("ImagePullBackOff", "Back-off pulling image"))),
    "Image's name": snapshot(pod(waiting("InvalidImageName", "couldn't parse image reference: invalid reference format"))),
    "Environment missing": snapshot(pod(waiting("CreateContainerConfigError", 'configmap "backend-config" not found'))),
    "Configuration refused": snapshot(pod(waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"))),
    "Not started": snapshot(pod(waiting("CreateContainerError", "context deadline exceeded"))),
    "Hook before the start": snapshot(pod(waiting("PreStartHookError", "the hook said no"))),
    "Init container fails": snapshot(pod(INITIALIZING, init=[status_of(LOOP, restarts=3, last=ended(1), name="migrate")])),
    "Init container still running": snapshot(pod(INITIALIZING, init=[runs(name="migrate")], conditions=[INCOMPLETE])),
    "Sidecar not started": snapshot(sidecar(runs(name="proxy", started=False))),
    "Sidecar not ready": snapshot(pod(runs(ready=True), init=[runs(name="proxy")], phase="Running", conditions=[UNREADY], initContainers=[ALWAYS])),
    "Sidecar crashes": snapshot(sidecar(status_of(LOOP, restarts=3, last=ended(0), name="proxy"))),
    "Crashes": snapshot(pod(status_of(LOOP, restarts=3, last=ended(1)), phase="Running")),
    "Out of memory": snapshot(pod(status_of(LOOP, restarts=3, last=ended(137, "OOMKilled")), phase="Running", container={"resources": {"limits": {"memory": "512Mi"}}})),
    "Killed by a probe": snapshot(pod(status_of(LOOP, restarts=3, last=ended(137)), phase="Running"), events=[event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"), event("Killing", "Container backend failed liveness probe, will be restarted")]),
    "Startup probe": snapshot(pod(runs(started=False), phase="Running", container={"startupProbe": {"httpGet": {"port": 1}}}), events=[event("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503")]),
    "Readiness probe": snapshot(pod(runs(), phase="Running", conditions=[condition("ContainersReady", "ContainersNotReady")]), events=[event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")]),
    "Readiness gate is false": snapshot(gated(condition("example.com/target-health", "Unhealthy", "the target answers 502"), GATES)),
    "Readiness gate never set": snapshot(gated(GATES)),
    "Another digest asked for": snapshot(pod(runs(ready=True), container={"image": "x@sha256:" + "4" * 64})),
}  # fmt: skip


def test_the_table_and_the_code_know_the_same_states():
    assert list(ROWS) == list(STATES)


@pytest.mark.parametrize("state", STATES)
def test_what_the_card_says_is_what_the_table_says(state: str):
    cause = diagnosis.at_deadline(STATES[state], 600)
    _, says, code = ROWS[state]
    pattern = ".*".join(re.escape(part) for part in says.split("…"))
    assert re.match(pattern, cause.what), cause.what
    assert cause.code.value == code
    assert cause.said
    assert not any("no event names" in each.cause for each in cause.usual)
    if STATES[state].pods:
        assert diagnosis.pending(STATES[state], after=30)


@pytest.mark.parametrize("word", KUBERNETES)
def test_every_word_of_kubernetes_own_list_is_in_the_table(word: str):
    assert any(f"`{word}`" in where or (word == "OOMKilled" and word in where) for where, _, _ in ROWS.values()), word


@pytest.mark.parametrize(
    ("hanging", "said"),
    [
        (snapshot(pod(CREATING), events=[event("SomethingNew", "the node says why")]), "the node says why"),
        (snapshot(pod(waiting("SomethingNew", "the runtime says why"))), "the runtime says why"),
        (snapshot(pod(CREATING, conditions=[condition("SomethingNew", "Broken", "a controller says why")])), "a controller says why"),
    ],
    ids=["event", "container", "condition"],
)  # fmt: skip
def test_what_nobody_foresaw_is_told_in_kubernetes_own_words(hanging: Snapshot, said: str):
    cause = diagnosis.at_deadline(hanging, 600)
    assert cause.code.value == "pod-waits"
    assert said in cause.said


def test_only_what_nothing_names_is_said_to_be_unnamed():
    cause = diagnosis.at_deadline(snapshot(pod(CREATING, uid=POD)), 600)
    assert any("no event names" in each.cause for each in cause.usual)
