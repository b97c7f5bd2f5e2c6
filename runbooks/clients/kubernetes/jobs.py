"""Kubernetes Jobs: one program from a release's image, run once in a pod of its own.

`JobSpec` says what runs. `runbooks.jobs.running.run_job` does it: it creates or adopts the Job, watches it to its end and reads its
log. `Jobs` (as `ClusterClient.jobs`) is the plain API below that.
"""

import hashlib
import json
import re
import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from runbooks.clients.kubernetes.connection import FIELD_MANAGER, Connection
from runbooks.clients.kubernetes.errors import Unprocessable
from runbooks.clients.kubernetes.fields import Json, count, fields, listed, mapped, stamp, text
from runbooks.clients.kubernetes.views import Seen
from runbooks.clients.kubernetes.watch import Watch
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.targets import Frozen

RUN = "omnicare.dev/run"
"""The annotation with the run that made the Job."""
WHAT = "omnicare.dev/job"
"""The label that says what the Job is for: `migrate`."""
_MANAGED = {"app.kubernetes.io/managed-by": FIELD_MANAGER}
_BY_HAND_PAUSE = 3
"""Seconds between two tries to read the log by hand."""
_SCRATCH = "/scratch"
"""Where the data of a scratch database is."""
_OF_CONTAINER = (
    "name",
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "volumeMounts",
    "volumeDevices",
    "lifecycle",
)
_OF_POD = ("volumes", "hostAliases", "hostNetwork", "hostPID", "shareProcessNamespace", "dnsConfig", "runtimeClassName")
"""What decides what a Job's programs do, beside their images. The API server fills in none of it."""
_PLAIN = re.compile(r"[a-z0-9]{4,24}")

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9@%+=:,./_-]{1,200}$")]
"""One word of a program: plain characters only, since no shell reads it."""
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""The name of a Kubernetes object."""
SecretKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]


class SecretVariable(Frozen):
    """An environment variable whose value the node takes from a Secret: the bot never reads it."""

    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
    """The variable's name."""
    secret: ObjectName
    """The Secret, in the environment's namespace."""
    key: SecretKey
    """The key in it."""


class Likeness(Frozen):
    """What a Job's pod gets of a Deployment's pods: none of their environment, and no volume."""

    pod: dict[str, JsonValue] = {}
    container: dict[str, JsonValue] = {}

    @classmethod
    def of(cls, deployment: Json) -> Self:
        """Return what is taken from this Deployment."""
        pod = fields(deployment, "spec", "template", "spec")
        main = next(iter(listed(pod, "containers")), {})
        alike = ("imagePullSecrets", "serviceAccountName", "securityContext", "nodeSelector", "tolerations")
        return cls(
            pod={key: pod[key] for key in alike if pod.get(key)},
            container={key: main[key] for key in ("resources", "securityContext") if main.get(key)},
        )


class Stage(Frozen):
    """A program that runs to its end before the Job's own, in the same pod; where it fails, nothing after it runs."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}[a-z0-9]$")]
    """Of its container."""
    image: str
    """By its digest."""
    words: Annotated[tuple[Word, ...], Field(min_length=1, max_length=20)]


class ScratchDatabase(Frozen):
    """An empty PostgreSQL that is in the Job's pod and ends with it; only the pod reaches it, and nothing of it is kept."""

    image: Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9@:./_-]{0,250}$")]
    """PostgreSQL's official image, or one that is used like it."""
    user: Annotated[int, Field(gt=0, lt=1 << 31)]
    """The number of its user `postgres`."""

    URL: ClassVar[str] = "postgresql://postgres@127.0.0.1:5432/postgres"
    """Its address in the pod. It has no password, because nobody else can reach it."""
    NAME: ClassVar[str] = "scratch-database"
    """Its container."""

    def container(self) -> dict[str, Any]:
        """Return the container: a sidecar, which is up before any program starts."""
        probe = ["pg_isready", "-h", "127.0.0.1", "-U", "postgres"]
        return {
            "name": self.NAME,
            "image": self.image,
            "restartPolicy": "Always",
            "args": ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            "env": [
                {"name": "POSTGRES_HOST_AUTH_METHOD", "value": "trust"},
                {"name": "PGDATA", "value": f"{_SCRATCH}/data"},
            ],
            "startupProbe": {"exec": {"command": probe}, "periodSeconds": 1, "failureThreshold": 120},
            "securityContext": {
                "runAsUser": self.user,
                "runAsNonRoot": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
            "volumeMounts": [{"name": "scratch", "mountPath": _SCRATCH}],
        }


class JobSpec(Frozen):
    """What a Job runs. It is JSON, so a step can keep it and show it in its plan."""

    namespace: ObjectName
    what: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,20}[a-z0-9]$")]
    """A word for its name and label: `migrate`. Two Jobs of one run need different words."""
    image: str
    """By its digest, as the plan has it."""
    words: Annotated[tuple[Word, ...], Field(min_length=1, max_length=20)]
    """The program and its arguments, as the container's command."""
    stages: tuple[Stage, ...] = ()
    """Programs that run before it, one after the other."""
    scratch: ScratchDatabase | None = None
    environment: tuple[SecretVariable, ...] = ()
    values: dict[str, str] = {}
    """Environment variables that are no secret, for each of its programs."""
    annotations: dict[str, str] = {}
    """Kept on the Job, for whoever looks at it later; people can edit them."""
    kubectl: str = "kubectl"
    """As a person types it for the cluster that it runs in."""
    like: ObjectName | None = None
    """A Deployment: the pod gets its pull secrets, service account, security context, node selection and resources."""
    likeness: Likeness | None = None
    """What that Deployment had of it when this was planned: for the lines by hand, which can't look."""
    service_account: ObjectName | None = None
    """Another service account than that of `like`."""
    approved: bool = True
    """False for a program that nobody has approved yet: it gets no Secret and no service account token, and not the account of `like`,
    for which a cloud's admission webhook may hand out credentials of its own."""
    deadline: Annotated[int, Field(gt=0, le=86_400)] = 600
    """Seconds after which Kubernetes ends it (`activeDeadlineSeconds`), waiting for a node and for the image included."""
    keep: Annotated[int, Field(ge=0, le=30 * 86_400)] = 86_400
    """Seconds that the ended Job and its log stay in the cluster."""
    log_lines: Annotated[int, Field(gt=0, le=200)] = 20
    """So many of the last lines of its log are kept, redacted."""
    output_bytes: Annotated[int, Field(gt=0, le=4 << 20)] = 256 * 1024
    """So much of the end of its output is handed to the caller, unredacted."""
    ends_on_stop: bool = True
    """Whether it is deleted when somebody stops the run. False for what must not break off in the middle, such as a migration."""

    @model_validator(mode="after")
    def _gets_nothing_unapproved(self) -> Self:
        if not self.approved and (self.environment or self.service_account is not None):
            raise ValueError("a program that nobody has approved gets no Secret and no service account")
        return self

    def name(self, run: str) -> str:
        """Return the Job's name, the same whenever that run asks."""
        last = run.rpartition(".")[2]
        return (
            f"omnicare-{self.what}-{last if _PLAIN.fullmatch(last) else hashlib.sha256(run.encode()).hexdigest()[:12]}"
        )

    def body(self, run: str, likeness: Likeness | None = None) -> dict[str, Any]:
        """Return the manifest."""
        return self._made({"name": self.name(run)}, {**self.annotations, RUN: run}, likeness)

    @property
    def program(self) -> str:
        """Return what its pod runs, to compare with a Job that is there."""
        return _program(self._made({}, {}, None)["spec"])

    def by_hand(self) -> tuple[str, ...]:
        """Return the lines by which a person runs it, in one shell; the Secret's value is in none of them.

        The log is tried until the program runs, and each try says why it does not; whether it succeeded is in the Job's conditions.
        """
        name = {"generateName": f"omnicare-{self.what}-by-hand-"}
        manifest = json.dumps(self._made(name, self.annotations, self.likeness), separators=(",", ":"))
        kubectl, where = self.kubectl, f"-n {self.namespace}"
        conditions = """'{range .status.conditions[*]}{.type}{": "}{.message}{"\\n"}{end}'"""
        tries = max(1, self.deadline // _BY_HAND_PAUSE)
        follow = f'{kubectl} logs {where} -f "$job" && break; sleep {_BY_HAND_PAUSE}'
        ended = f'sleep {_BY_HAND_PAUSE}; {kubectl} get {where} "$job" -o jsonpath={conditions}'
        return (
            f"job=$(printf %s {shlex.quote(manifest)} | {kubectl} create {where} -o name -f -)",
            f'test -n "$job" && for try in $(seq {tries}); do {follow}; done && {ended}',
        )

    def _made(
        self, metadata: Mapping[str, str], annotations: Mapping[str, str], likeness: Likeness | None
    ) -> dict[str, Any]:
        labels, likeness = {**_MANAGED, WHAT: self.what}, likeness or Likeness()
        secrets = [
            {"name": each.variable, "valueFrom": {"secretKeyRef": {"name": each.secret, "key": each.key}}}
            for each in self.environment
        ]
        env = [*secrets, *({"name": name, "value": value} for name, value in self.values.items())]

        def program(name: str, image: str, words: tuple[str, ...]) -> dict[str, Any]:
            return {"name": name, "image": image, "command": list(words), "env": env, **likeness.container}

        before = [self.scratch.container()] if self.scratch is not None else []
        before += [program(each.name, each.image, each.words) for each in self.stages]
        pod: dict[str, Any] = {
            **likeness.pod,
            "restartPolicy": "Never",
            "containers": [program("main", self.image, self.words)],
            **({"initContainers": before} if before else {}),
            **({"volumes": [{"name": "scratch", "emptyDir": {}}]} if self.scratch is not None else {}),
        }
        if self.service_account is not None:
            pod["serviceAccountName"] = self.service_account
        if not self.approved:
            pod.pop("serviceAccountName", None)
            pod |= {"automountServiceAccountToken": False, "enableServiceLinks": False}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {**metadata, "labels": labels, "annotations": dict(annotations)},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": self.deadline,
                "ttlSecondsAfterFinished": self.keep,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job as it is."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    created: str
    run: str
    """The run that made it; empty where it is not the bot's."""
    what: str
    image: str
    active: int
    ended: Literal["complete", "failed"] | None
    reason: str
    """Of a failed one: `BackoffLimitExceeded`, `DeadlineExceeded`."""
    message: str
    suspended: bool
    deleting: bool
    annotations: Mapping[str, str]
    program: str = ""
    """What its pod runs: anybody may make a Job with the name and the annotation of a run."""
    owner: str = ""
    """The uid of the CronJob that made it, or an empty text."""
    ended_at: str = ""

    @property
    def selector(self) -> str:
        """The label selector of its pods."""
        return f"job-name={self.name}"


def job_view(item: Json) -> JobView:
    """Return the Job from Kubernetes' JSON."""
    meta, spec, status = fields(item, "metadata"), fields(item, "spec"), fields(item, "status")
    true = {text(each, "type"): each for each in listed(status, "conditions") if each.get("status") == "True"}
    failed, annotations = true.get("Failed", {}), mapped(meta, "annotations")
    image = next((text(each, "image") for each in listed(fields(spec, "template", "spec"), "containers")), "")
    return JobView(
        namespace=text(meta, "namespace"),
        name=text(meta, "name"),
        uid=text(meta, "uid"),
        resource_version=text(meta, "resourceVersion"),
        created=stamp(meta, "creationTimestamp"),
        run=annotations.get(RUN, ""),
        what=mapped(meta, "labels").get(WHAT, ""),
        image=image,
        active=count(status, "active"),
        ended="complete" if "Complete" in true else "failed" if failed else None,
        reason=text(failed, "reason"),
        message=text(failed, "message"),
        suspended=spec.get("suspend") is True,
        deleting=bool(meta.get("deletionTimestamp")),
        annotations=annotations,
        program=_program(spec),
        owner=next((text(each, "uid") for each in listed(meta, "ownerReferences") if each.get("controller")), ""),
        ended_at=stamp(true.get("Complete") or failed, "lastTransitionTime"),
    )


def _program(spec: Json) -> str:
    """Return what the pods of a Job run; an image is known by its digest, where it has one."""
    pod = fields(spec, "template", "spec")

    def only(found: Json, names: Sequence[str]) -> dict[str, Any]:
        return {name: found[name] for name in names if found.get(name)}

    def program(container: Json) -> dict[str, Any]:
        return {**only(container, _OF_CONTAINER), "image": text(container, "image").rpartition("@")[2]}

    before, beside = ([program(each) for each in listed(pod, name)] for name in ("initContainers", "containers"))
    return json.dumps([only(pod, _OF_POD), before, beside], sort_keys=True)


class Jobs:
    """The Jobs of a cluster. Created by `ClusterClient.jobs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, spec: JobSpec, run: str) -> JobView:
        """Create it. Raises `AlreadyThere` where a Job has its name."""
        likeness = await self._likeness(spec)
        try:
            answer = await self._connection.call(
                "POST",
                _path(spec.namespace),
                doing=f"create Job {spec.namespace}/{spec.name(run)}",
                query={"fieldManager": FIELD_MANAGER},
                body=spec.body(run, likeness),
            )
        except Unprocessable as error:
            if spec.scratch is None:
                raise
            raise PermanentError(
                error.message,
                code=error.code,
                evidence=error.evidence,
                advice=("A scratch database is a sidecar: that needs Kubernetes 1.29 or newer.",),
            ) from error
        return job_view(answer)

    async def _likeness(self, spec: JobSpec) -> Likeness | None:
        if spec.like is None:
            return None
        path = f"/apis/apps/v1/namespaces/{spec.namespace}/deployments/{spec.like}"
        return Likeness.of(
            await self._connection.call("GET", path, doing=f"read deployment {spec.namespace}/{spec.like}")
        )

    async def planned(self, spec: JobSpec) -> JobSpec:
        """Return it with what its lines by hand need of the Deployment; as it is where that can't be read, since they are only shown."""
        try:
            return spec.model_copy(update={"likeness": await self._likeness(spec)})
        except RunbookError:
            return spec

    async def get(self, namespace: str, name: str) -> JobView:
        """Return the Job of that name. Raises PermanentError(NOT_FOUND)."""
        return job_view(
            await self._connection.call("GET", _path(namespace, name), doing=f"read Job {namespace}/{name}")
        )

    async def every(self, namespace: str) -> list[JobView]:
        """Return the namespace's Jobs, whoever made them."""
        answer = await self._connection.call("GET", _path(namespace), doing=f"list Jobs in {namespace}")
        return [job_view(item) for item in listed(answer, "items")]

    async def of_kind(self, namespace: str, *what: str) -> list[JobView]:
        """Return the bot's Jobs that are for one of these: `migrate`."""
        query = {"labelSelector": f"{WHAT} in ({','.join(what)})"}
        answer = await self._connection.call("GET", _path(namespace), doing=f"list Jobs in {namespace}", query=query)
        return [job_view(item) for item in listed(answer, "items")]

    def watch(self, namespace: str, name: str) -> AsyncGenerator[Seen[JobView]]:
        """Yield the Job of that name as it is now and with every change."""
        query = {"fieldSelector": f"metadata.name={name}"}
        return Watch(self._connection, _path(namespace), query, job_view, f"watch Jobs in {namespace}").seen()

    async def delete(self, job: JobView) -> None:
        """Delete exactly this Job and its pods."""
        await self._connection.call(
            "DELETE",
            _path(job.namespace, job.name),
            doing=f"delete Job {job.namespace}/{job.name}",
            body={"propagationPolicy": "Background", "preconditions": {"uid": job.uid}},
        )


def _path(namespace: str, name: str = "") -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs" + (f"/{name}" if name else "")
