"""Every cause is recognised by Kubernetes' own words, as 1.20 and 1.28 and later (and the runtimes below) say them."""

import pytest

from runbooks import diagnosis
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.diagnosis.crashes import last_error
from runbooks.kit.reasons import ReasonCode as Code
from tests.support.real import image
from tests.support.snapshots import OLD, Json, event, pod, snapshot, stamp, status_of, unplaced

IMAGE = "ghcr.io/omnicare/backend:v2.0.0@sha256:4293"


def waiting(reason: str, message: str = "") -> Json:
    return status_of({"waiting": {"reason": reason, **({"message": message} if message else {})}})


def ended(code: int, reason: str = "Error", **more: object) -> Json:
    return {"exitCode": code, "reason": reason, "startedAt": stamp(9), "finishedAt": stamp(8), **more}


DOCKER = "rpc error: code = Unknown desc = Error response from daemon: "
CONTAINERD = f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": '
RESOLVE = f'failed to resolve reference "{IMAGE}": '

PULLS = [
    (Code.IMAGE_UNKNOWN, True, f"{DOCKER}manifest for {IMAGE} not found: manifest unknown: manifest unknown"),
    (Code.IMAGE_UNKNOWN, True, f"{CONTAINERD}{RESOLVE}{IMAGE}: not found"),
    (Code.IMAGE_UNKNOWN, True, "reading manifest v2.0.0 in ghcr.io/omnicare/backend: manifest unknown"),
    (Code.IMAGE_UNAUTHORIZED, True, f"{DOCKER}pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"),
    (Code.IMAGE_UNAUTHORIZED, True, f"{CONTAINERD}{RESOLVE}failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=x: 401 Unauthorized"),
    (Code.IMAGE_UNAUTHORIZED, True, f"{CONTAINERD}{RESOLVE}unexpected status from HEAD request to https://ghcr.io/v2/omnicare/backend/manifests/v2.0.0: 403 Forbidden"),
    (Code.IMAGE_UNAUTHORIZED, True, "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"),
    (Code.IMAGE_RATE_LIMITED, False, f"{DOCKER}toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating"),
    (Code.IMAGE_RATE_LIMITED, False, f"{CONTAINERD}failed to copy: httpReadSeeker: failed open: unexpected status code https://ghcr.io/v2/x: 429 Too Many Requests - Server message: toomanyrequests"),
    (Code.IMAGE_PLATFORM, True, f"{CONTAINERD}no match for platform in manifest: not found"),
    (Code.IMAGE_PLATFORM, True, f"{DOCKER}no matching manifest for linux/arm64/v8 in the manifest list entries"),
    (Code.IMAGE_PLATFORM, True, 'choosing image instance: no image found in manifest list for architecture "arm64", variant "v8", OS "linux"'),
    (Code.IMAGE_NAME, True, f"{DOCKER}invalid reference format: repository name must be lowercase"),
    (Code.IMAGE_PULL, False, f"{DOCKER}Get https://ghcr.io/v2/: net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"),
    (Code.IMAGE_PULL, False, f"{CONTAINERD}{RESOLVE}failed to do request: Head https://ghcr.io/v2/x: dial tcp: lookup ghcr.io: no such host"),
    (Code.IMAGE_PULL, False, f"{CONTAINERD}failed to copy: unexpected status code: 503 Service Unavailable"),
    (Code.IMAGE_PULL, False, "write /var/lib/containerd/x: no space left on device"),
    (Code.IMAGE_PULL, False, "something that nobody foresaw"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "certain", "message"), PULLS)
@pytest.mark.parametrize("how", ["first try", "backing off, said in an event", "backing off, said again"])
def test_why_an_image_can_not_be_pulled(code: Code, certain: bool, message: str, how: str):
    failed = event("Failed", f'Failed to pull image "{IMAGE}": {message}', path="spec.containers{backend}")
    status, events = {
        "first try": (waiting("ErrImagePull", message), [failed]),
        "backing off, said in an event": (
            waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'),
            [event("Failed", "Error: ErrImagePull"), failed, event("BackOff", f'Back-off pulling image "{IMAGE}"')],
        ),
        "backing off, said again": (
            waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {message}'),
            [failed],
        ),
    }[how]
    seen = snapshot(pod(status), events=events)
    found = diagnosis.at_deadline(seen, 600)
    assert (found.code, found.certain) == (code, certain)
    assert found.what.startswith("the image can't be pulled")
    assert message in found.said[0]
    assert found.usual
    assert (diagnosis.certain(seen) is not None) == certain


def test_a_tag_that_looks_like_a_status_is_not_taken_for_one():
    message = "failed to resolve reference ghcr.io/omnicare/backend:v1.429.503: not found"
    assert diagnosis.at_deadline(snapshot(pod(waiting("ErrImagePull", message))), 600).code is Code.IMAGE_UNKNOWN


def test_only_a_pod_that_asks_for_another_digest_runs_another_image():
    mirrored = image("backend", "v2.0.0").reference.replace("ghcr.io", "mirror.local")
    reported = status_of({"running": {}}) | {"ready": True, "imageID": "x@sha256:" + "4" * 64}
    assert diagnosis.certain(snapshot(pod(reported, phase="Running", container={"image": mirrored}))) is None
    other = pod(reported, phase="Running", container={"image": "mirror.local/backend@sha256:" + "4" * 64})
    found = diagnosis.certain(snapshot(other))
    assert found is not None
    assert (found.code, found.said[1]) == (Code.WRONG_DIGEST, "the pod has sha256:" + "4" * 64)


def test_an_invalid_name_is_certain():
    message = 'Failed to apply default image tag "GHCR.io/X": couldn\'t parse image reference "GHCR.io/X": invalid reference format'
    found = diagnosis.certain(snapshot(pod(waiting("InvalidImageName", message))))
    assert found is not None
    assert (found.code, found.what) == (Code.IMAGE_NAME, "the image can't be pulled: its name is not valid")


def crashing(*ends: Json, restarts: int, state: Json | None = None, **more: object) -> Json:
    loop = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=backend"}}
    return pod(status_of(state or loop, restarts=restarts, last=ends[-1]), phase="Running", **more)


def test_a_crash_loop_names_its_exit_code_and_is_certain_after_three():
    twice = crashing(ended(1), restarts=1)
    assert diagnosis.certain(snapshot(twice)) is None
    assert diagnosis.at_deadline(snapshot(twice), 600).code is Code.CRASH_LOOP
    found = diagnosis.certain(snapshot(crashing(ended(139), restarts=3)))
    assert found is not None
    assert found.code is Code.CRASH_LOOP
    assert found.what == ("the container keeps starting and exiting (exit code 139: segmentation fault), 3 times")
    assert found.said[0] == "Error, exit code 139"
    assert found.crashed


def test_memory_names_the_limit():
    limited = {"resources": {"limits": {"memory": "512Mi"}}}
    found = diagnosis.certain(snapshot(crashing(ended(137, "OOMKilled"), restarts=3, container=limited)))
    assert found is not None
    assert found.code is Code.OUT_OF_MEMORY
    assert found.what == "the container is killed for using more memory than its limit of 512Mi, 3 times"


def test_an_init_container_is_named():
    status = status_of({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=3, last=ended(1), name="wait-for-database")
    found = diagnosis.certain(snapshot(pod(waiting("PodInitializing"), init=[status])))
    assert found is not None
    assert found.code is Code.INIT_FAILED
    assert found.what == "init container wait-for-database fails (exit code 1), 3 times"


def test_an_init_container_that_is_done_is_no_failure():
    done = {**status_of({"terminated": ended(0, "Completed")}, name="wait-for-database"), "ready": True}
    assert diagnosis.pending(snapshot(pod(waiting("PodInitializing"), init=[done])), after=30) == "1 pod pending, 80 s"


@pytest.mark.parametrize(
    ("state", "last"),
    [
        ({"waiting": {"reason": "RunContainerError", "message": 'exec: "npmm": executable file not found in $PATH'}}, None),
        (
            {"waiting": {"reason": "CrashLoopBackOff"}},
            ended(128, "StartError", message='exec: "npmm": executable file not found in $PATH: unknown'),
        ),
        ({"terminated": ended(127, "ContainerCannotRun", message='exec: "npmm": executable file not found')}, None),
    ],
)  # fmt: skip
def test_a_command_that_is_not_in_the_image(state: Json, last: Json | None):
    found = diagnosis.certain(snapshot(pod(status_of(state, last=last))))
    assert found is not None
    assert (found.code, found.what) == (
        Code.CONTAINER_CONFIG,
        "the container can't start: its command is not in the image",
    )


HTTP_PROBE = {"readinessProbe": {"httpGet": {"path": "/health?full=1", "port": 3001}}}


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("Readiness probe failed: HTTP probe failed with statuscode: 503", "the readiness probe fails: HTTP 503 (GET /health on port 3001)"),
        ('Readiness probe failed: Get "http://10.0.0.7:3001/health": dial tcp 10.0.0.7:3001: connect: connection refused', "the readiness probe fails: connection refused (GET /health on port 3001)"),
        ('Readiness probe failed: Get "http://10.0.0.7:3001/health": context deadline exceeded (Client.Timeout exceeded while awaiting headers)', "the readiness probe fails: no answer in time (GET /health on port 3001)"),
        ("Readiness probe failed: Get http://10.0.0.7:3001/health: net/http: request canceled (Client.Timeout exceeded while awaiting headers)", "the readiness probe fails: no answer in time (GET /health on port 3001)"),
        ("Readiness probe failed: cat: /tmp/ready: No such file or directory", "the readiness probe fails: its command fails (GET /health on port 3001)"),
        ('Readiness probe failed: service unhealthy (responded with "NOT_SERVING")', "the readiness probe fails: it reports that it is not serving (GET /health on port 3001)"),
        ("Startup probe failed: HTTP probe failed with statuscode: 404", "the startup probe fails: HTTP 404"),
    ],
)  # fmt: skip
def test_which_probe_fails_and_how(message: str, what: str):
    running = status_of({"running": {"startedAt": stamp(9)}})
    told = event("Unhealthy", message, path="spec.containers{backend}")
    seen = snapshot(pod(running, phase="Running", container=HTTP_PROBE), events=[told])
    assert diagnosis.certain(seen) is None
    found = diagnosis.at_deadline(seen, 600)
    assert (found.code, found.what, found.said) == (Code.NEVER_READY, what, (message,))


@pytest.mark.parametrize(
    ("probe", "message", "how"),
    [
        ("liveness", "Liveness probe failed: HTTP probe failed with statuscode: 500", "HTTP 500"),
        ("startup", "Startup probe failed: dial tcp 10.0.0.7:3001: connect: connection refused", "connection refused"),
    ],
)
def test_a_probe_that_ends_the_container_is_told_apart_from_a_crash(probe: str, message: str, how: str):
    events = [
        event("Unhealthy", message, path="spec.containers{backend}"),
        event("Killing", f"Container backend failed {probe} probe, will be restarted", path="spec.containers{backend}"),
    ]
    found = diagnosis.certain(snapshot(crashing(ended(137), restarts=3), events=events))
    assert found is not None
    assert found.code is Code.PROBE_KILLS
    assert found.what == f"the {probe} probe fails: {how}, so the container is restarted, 3 times"
    assert found.said == (message, f"Container backend failed {probe} probe, will be restarted")


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ('configmap "backend-config" not found', "ConfigMap backend-config does not exist"),
        ('secret "omnicare-database" not found', "Secret omnicare-database does not exist"),
        ("couldn't find key DATABASE_URL in Secret omnicare-prod/omnicare-database", "Secret omnicare-database has no key DATABASE_URL"),
        ("couldn't find key LOG_LEVEL in ConfigMap omnicare-prod/backend-config", "ConfigMap backend-config has no key LOG_LEVEL"),
    ],
)  # fmt: skip
def test_which_configuration_is_missing(message: str, what: str):
    found = diagnosis.certain(snapshot(pod(waiting("CreateContainerConfigError", message))))
    assert found is not None
    assert (found.code, found.what, found.said) == (Code.CONFIG_MISSING, what, (message,))


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ('MountVolume.SetUp failed for volume "config" : configmap "backend-config" not found', "ConfigMap backend-config does not exist"),
        ('MountVolume.SetUp failed for volume "keys" : secret "signing" not found', "Secret signing does not exist"),
        ('MountVolume.SetUp failed for volume "config" : references non-existent config key: app.yaml', "ConfigMap of volume config has no key app.yaml"),
        ('MountVolume.SetUp failed for volume "keys" : references non-existent secret key: tls.key', "Secret of volume keys has no key tls.key"),
    ],
)  # fmt: skip
def test_which_mounted_configuration_is_missing(message: str, what: str):
    told = event("FailedMount", message)
    found = diagnosis.certain(snapshot(pod(waiting("ContainerCreating")), events=[told]))
    assert found is not None
    assert (found.code, found.what) == (Code.CONFIG_MISSING, what)


CLAIM = {"volumes": [{"name": "uploads", "persistentVolumeClaim": {"claimName": "uploads"}}]}


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ('persistentvolumeclaim "uploads" not found', "volume claim uploads does not exist"),
        ('0/3 nodes are available: 3 persistentvolumeclaim "uploads" not found.', "volume claim uploads does not exist"),
        ('0/3 nodes are available: persistentvolumeclaim "uploads" not found. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.', "volume claim uploads does not exist"),
        ('0/1 nodes are available: persistentvolumeclaim "uploads" is being deleted.', "volume claim uploads is being deleted"),
        ("0/3 nodes are available: 3 pod has unbound immediate PersistentVolumeClaims.", "volume claim uploads is not bound to a volume"),
        ("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.", "volume claim uploads is not bound to a volume"),
        ("0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.", "volume claim uploads is not bound to a volume"),
        ("0/3 nodes are available: 3 node(s) had volume node affinity conflict.", "volume uploads is in a different zone from the nodes with free capacity"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_volume_claim(message: str, what: str):
    why = "no persistent volumes available for this claim and no storage class is set"
    told = event("FailedBinding", why, about="uid-claim", kind="PersistentVolumeClaim", name="uploads")
    seen = snapshot(unplaced(message, **CLAIM), events=[told])
    assert diagnosis.certain(seen) is None
    found = diagnosis.at_deadline(seen, 600)
    assert (found.code, found.what, found.said[0]) == (Code.VOLUME_UNAVAILABLE, what, message)
    if "bound" in what:
        assert why in found.said


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ('Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) backend-1', "volume uploads is still attached elsewhere"),
        ("Unable to attach or mount volumes: unmounted volumes=[uploads], unattached volumes=[uploads]: timed out waiting for the condition", "volume uploads can't be mounted"),
    ],
)  # fmt: skip
def test_a_volume_that_can_not_be_mounted(message: str, what: str):
    seen = snapshot(pod(waiting("ContainerCreating"), **CLAIM), events=[event("FailedAttachVolume", message)])
    found = diagnosis.at_deadline(seen, 600)
    assert (found.code, found.what) == (Code.VOLUME_UNAVAILABLE, what)


PREEMPTION = " preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.."


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu.", "no node has room for the new pod: insufficient cpu"),
        (f"0/3 nodes are available: 3 Insufficient memory.{PREEMPTION}", "no node has room for the new pod: insufficient memory"),
        ("0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.", "no node has room for the new pod: insufficient cpu and insufficient memory"),
        ("0/3 nodes are available: 3 Too many pods.", "no node has room for the new pod: the node's maximum number of pods"),
        ("0/3 nodes are available: 3 node(s) had taint {dedicated: batch}, that the pod didn't tolerate.", "no node accepts the new pod: an untolerated taint (dedicated=batch)"),
        (f"0/3 nodes are available: 3 node(s) had untolerated taint {{dedicated: batch}}.{PREEMPTION}", "no node accepts the new pod: an untolerated taint (dedicated=batch)"),
        ("0/3 nodes are available: 1 node(s) had taint {node-role.kubernetes.io/master: }, that the pod didn't tolerate, 2 Insufficient cpu.", "no node accepts the new pod: insufficient cpu on 2, an untolerated taint (node-role.kubernetes.io/master) on 1"),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", "no node accepts the new pod: a label mismatch"),
        ("0/3 nodes are available: 3 node(s) didn't match node selector.", "no node accepts the new pod: a label mismatch"),
        ("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", "no node accepts the new pod: its anti-affinity rule"),
        ("0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.", "no node accepts the new pod: its topology spread rule"),
        ("0/3 nodes are available: 3 node(s) were unschedulable.", "no node accepts the new pod: cordoned"),
        ("no nodes available to schedule pods", "no node accepts the new pod: there is no node"),
    ],
)  # fmt: skip
def test_why_no_node_takes_the_pod(message: str, what: str):
    seen = snapshot(unplaced(message))
    assert diagnosis.certain(seen) is None
    found = diagnosis.at_deadline(seen, 600)
    assert (found.code, found.what, found.said) == (Code.UNSCHEDULABLE, what, (message,))
    assert found.usual


FORBIDDEN = 'pods "backend-7c9f-" is forbidden: '


@pytest.mark.parametrize(
    ("code", "message", "what"),
    [
        (Code.QUOTA_EXCEEDED, "exceeded quota: pods, requested: pods=1, used: pods=6, limited: pods=6", "quota pods in omnicare-prod has no room for the new pod: pods 6 of 6 used, 1 more requested"),
        (Code.QUOTA_EXCEEDED, "exceeded quota: compute, requested: limits.cpu=1,pods=1, used: limits.cpu=3,pods=3, limited: limits.cpu=3,pods=3", "quota compute in omnicare-prod has no room for the new pod: limits.cpu 3 of 3 used, 1 more requested; pods 3 of 3 used, 1 more requested"),
        (Code.QUOTA_EXCEEDED, "failed quota: compute: must specify limits.cpu for: backend", "quota compute in omnicare-prod requires pods to set limits.cpu for: backend"),
        (Code.ADMISSION_REFUSED, "minimum cpu usage per Container is 500m, but request is 100m", "the limit range of omnicare-prod rejects the new pods: minimum cpu usage per Container is 500m, but request is 100m"),
        (Code.ADMISSION_REFUSED, "[maximum memory usage per Container is 1Gi, but limit is 2Gi, maximum cpu usage per Container is 1, but limit is 2]", "the limit range of omnicare-prod rejects the new pods: maximum memory usage per Container is 1Gi, but limit is 2Gi, maximum cpu usage per Container is 1, but limit is 2"),
        (Code.ADMISSION_REFUSED, 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false', "the pod security level of omnicare-prod (restricted) rejects the new pods"),
        (Code.ADMISSION_REFUSED, 'error looking up service account omnicare-prod/backend: serviceaccount "backend" not found', "service account backend does not exist, so no pod can be created"),
    ],
)  # fmt: skip
def test_why_the_cluster_refuses_new_pods(code: Code, message: str, what: str):
    found = diagnosis.certain(snapshot(refused=FORBIDDEN + message))
    assert found is not None
    assert (found.code, found.what, found.said) == (code, what, (FORBIDDEN + message,))


def test_a_policy_is_named_with_its_own_reason():
    message = 'admission webhook "images.policy.example" denied the request: backend:v2.0.0 is not signed'
    found = diagnosis.certain(snapshot(refused=message))
    assert found is not None
    assert (found.what, found.said) == ("admission policy images.policy.example rejects the new pods", (message,))


def test_a_webhook_that_does_not_answer_may_come_back():
    message = (
        'Internal error occurred: failed calling webhook "x.example": Post "https://x.svc:443/": connection refused'
    )
    seen = snapshot(refused=message)
    assert diagnosis.certain(seen) is None
    assert diagnosis.pending(seen, after=30) == "no new pod: admission webhook x.example does not answer, 80 s"


EXCEEDED = FORBIDDEN + "exceeded quota: pods, requested: pods=1, used: pods=3, limited: pods=3"


def old_pod(number: int, *, leaving: bool = False) -> Json:
    made = pod(uid=f"uid-old-{number}", owner=OLD, conditions=[{"type": "Ready", "status": "True"}], phase="Running")
    if leaving:
        made["metadata"]["deletionTimestamp"] = stamp()
    return made


def test_a_quota_is_certain_where_no_old_pod_will_make_room():
    olds = [old_pod(number) for number in range(3)]
    found = diagnosis.certain(snapshot(*olds, refused=EXCEEDED))
    assert found is not None
    assert found.code is Code.QUOTA_EXCEEDED


def test_a_quota_is_not_certain_while_old_pods_go():
    olds = [old_pod(number, leaving=number == 0) for number in range(3)]
    assert diagnosis.certain(snapshot(*olds, refused=EXCEEDED)) is None


def test_a_quota_is_not_certain_where_an_old_pod_may_go_first():
    olds = [old_pod(number) for number in range(3)]
    assert diagnosis.certain(snapshot(*olds, refused=EXCEEDED, unavailable=1)) is None


def test_a_lost_node_is_named_before_all_that_follows_from_it():
    running = status_of({"running": {"startedAt": stamp(60)}})
    events = [
        event("Unhealthy", "Readiness probe failed: context deadline exceeded"),
        event("NodeNotReady", "Node is not ready"),
    ]
    seen = snapshot(pod(running, phase="Running"), events=events)
    assert diagnosis.certain(seen) is None
    found = diagnosis.at_deadline(seen, 600)
    assert (found.code, found.what) == (Code.NODE_LOST, "node node-1 was lost while the new pod ran on it")
    assert diagnosis.pending(seen, after=30) == "1 pod not ready: its node node-1 is lost, 80 s"


@pytest.mark.parametrize(
    ("reason", "condition"),
    [
        ("NodeLost", {}),
        ("", {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "Taint manager: deleting due to NoExecute taint"}),
        ("", {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": "PodGC: node no longer exists"}),
    ],
)  # fmt: skip
def test_a_pod_that_is_deleted_with_its_node_tells_it(reason: str, condition: Json):
    gone = pod(status_of({"running": {}}), phase="Running", conditions=[condition] if condition else [])
    gone["metadata"]["deletionTimestamp"] = stamp()
    gone["status"]["reason"] = reason
    assert diagnosis.at_deadline(snapshot(gone), 600).code is Code.NODE_LOST


def test_what_takes_long_is_told_with_its_cause_and_its_age():
    seen = snapshot(
        unplaced("0/3 nodes are available: 3 Insufficient cpu."),
        pod(waiting("ContainerCreating"), uid="uid-other"),
    )
    assert diagnosis.pending(seen, after=30) == "1 pod pending: insufficient cpu, 80 s; 1 pod pending, 80 s"
    assert diagnosis.pending(seen, after=100) == ""


def test_an_evicted_pod_is_not_counted():
    evicted = pod(phase="Failed")
    evicted["status"]["reason"] = "Evicted"
    seen = snapshot(evicted)
    assert (list(seen.pods), len(seen.leaving)) == ([], 1)


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (["INFO starting", "ERROR refused", "FATAL can't connect", "at main.js:3"], "FATAL can't connect"),
        (["INFO starting", "bye"], ""),
        ([], ""),
    ],
)
def test_the_last_line_that_names_an_error(lines: list[str], last: str):
    assert last_error(lines) == last


SECRETS = "postgres://omnicare:hunter2@db:5432/emr and Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U of SSN 219-09-9999"


@pytest.mark.parametrize(
    "shown",
    [
        pod(waiting("ErrImagePull", f"manifest unknown: {SECRETS}")),
        pod(waiting("CreateContainerConfigError", f'configmap "x" not found {SECRETS}')),
        pod(status_of({"waiting": {"reason": "RunContainerError", "message": f"executable file not found {SECRETS}"}})),
    ],
)
async def test_what_the_cluster_says_is_redacted_before_it_is_an_error(shown: Json):
    seen = snapshot(shown, events=[event("Unhealthy", f"Readiness probe failed: {SECRETS}")])
    cause = diagnosis.certain(seen)
    assert cause is not None
    error = await diagnosis.explained(ClusterClient(), seen, cause, log_lines=5)
    told = error.diagnosis.model_dump_json() + str(error)
    assert error.diagnosis.said
    for secret in ("hunter2", "eyJhbGci", "219-09-9999"):
        assert secret not in told
