"""What runs now: each service of an environment, for plans, `status` and the choice of what to go back to.

Also the names of the annotations by which the bot's own changes are known again.
"""

import asyncio
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Literal

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import FIELD_MANAGER
from runbooks.clients.kubernetes.views import DEFAULT_SURGE, DeploymentView, FieldOwner, PodView, ReplicaSetView
from runbooks.deployments import images
from runbooks.deployments.owners import image_written_by_bot
from runbooks.deployments.owners import owner as owner_of
from runbooks.fleet.records import Release
from runbooks.kit.answers import read_stamp, read_time
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Beside, Image, ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.kit.versions import TAG

RUN = "omnicare.dev/run"
"""The run that may change the environment now: the fence."""
DEPLOYED_RUN = "omnicare.dev/deployed-run"
DEPLOYED_BY = "omnicare.dev/deployed-by"
DEPLOYED_AT = "omnicare.dev/deployed-at"
DEPLOYED_IMAGE = "omnicare.dev/deployed-image"
"""What the bot set; where the container says something else, somebody changed it by hand since."""
RESTARTED = "omnicare.dev/restarted-by-run"
"""In the pod template: makes new pods where the image stays the same."""
SURGE = "omnicare.dev/max-surge"
"""The Deployment's own `maxSurge` while a run has raised it: whoever finds it puts it back (`max_surge`)."""
CHANGE_CAUSE = "kubernetes.io/change-cause"

_LATELY = timedelta(hours=1)
_SKEW = timedelta(minutes=1)
"""By how much the bot's clock and the cluster's may differ."""
_BY_HAND = ("kubectl-set", "kubectl-edit", "kubectl-patch", "kubectl-rollout")


Condition = Literal["complete", "rolling", "degraded", "stuck", "paused", "missing"]
"""`degraded`: it rolled out once, and since then not all of its pods are ready any more."""
WORDS: dict[Condition, str] = {
    "complete": "runs",
    "rolling": "rolling out",
    "degraded": "not all ready",
    "stuck": "stuck",
    "paused": "paused",
    "missing": "missing",
}
"""For people."""


class ServiceState(Frozen):
    """One service as it is now."""

    service: str
    namespace: str
    deployment: str
    container: str
    region: str = ""
    """Where the environment has several."""
    kubectl: str = "kubectl"
    """As a person types it for that region."""
    state: Condition
    detail: str = ""
    """Kubernetes' own words where it is stuck or missing."""
    repository: str = ""
    """The configured one."""
    image: Image | None = None
    """What the Deployment asks for."""
    mirror: str = ""
    """The name that stands in the Deployment, where admission rewrote the image to a configured mirror."""
    beside: tuple[Beside, ...] = ()
    """Its other containers and init containers of the same repository, which are released with it."""
    kept: tuple[str, ...] = ()
    """Those that the configuration leaves as they are."""
    digests: tuple[str, ...] = ()
    """What the nodes report of all ready pods; more than one while it rolls, or where they name one image in several ways."""
    desired: int = 0
    ready: int = 0
    """Of all its pods, old and new."""
    new_ready: int = 0
    """Of the pods that run what the Deployment asks for now."""
    updated: int = 0
    restarts: int = 0
    restarts_lately: int = 0
    """Within the last hour: at least so many, since Kubernetes keeps the time of a container's last end alone."""
    revision: int = 0
    since: str | None = None
    """When the present image was set (ISO 8601, UTC), where that is known."""
    by: str | None = None
    """A person's name where the release record has it, else the field manager. Never what the object says of itself."""
    run: str | None = None
    """The run that set it, by the release record."""
    cause: str | None = None
    by_hand: bool = False
    """Set with kubectl, since the bot or without it."""
    drifted: bool = False
    """The bot set another image last: somebody changed it past the bot."""
    stamp: str | None = None
    """The run that may change it now."""
    paused: bool = False
    """Nothing would roll out, though what runs may be complete."""
    unknown: tuple[str, ...] = ()
    """What somebody wrote on the Deployment and can't be read, each a sentence."""
    owned: str | None = None
    """A sentence, where a controller owns the Deployment and would put back what the bot changes."""

    @property
    def named(self) -> str:
        """`backend`, or `backend in us` where there are regions."""
        return f"{self.service} in {self.region}" if self.region else self.service

    @property
    def set_by(self) -> str:
        """Who set the image: `by Maya`, `by hand, with kubectl-set`; empty where nobody is known."""
        if self.by_hand or self.by in _BY_HAND:
            return f"by hand, with {self.by}" if self.by else "by hand"
        return f"by {self.by}" if self.by else ""

    @property
    def foreign(self) -> str:
        """A sentence where it asks for an image of another repository than the configured one; else empty."""
        if self.image is None or not self.repository or self.image.is_of(self.repository):
            return ""
        return f"{images.named(self.service, self.image, self.repository)}."

    @property
    def shown(self) -> str:
        """The image for the eye, with host and repository where they are not the configured ones."""
        return self.image.shown(self.repository) if self.image is not None else "none"

    @property
    def readiness(self) -> str:
        """`3/3`; while it rolls out, old pods serve and say nothing of the new version: `0/3 new, 3 old`."""
        if self.state in ("complete", "degraded") or self.new_ready == self.ready:
            return f"{self.ready}/{self.desired}"
        return f"{self.new_ready}/{self.desired} new, {self.ready - self.new_ready} old"

    @property
    def mixed(self) -> tuple[Beside, ...]:
        """The containers beside that ask for another image than the service does."""
        return tuple(each for each in self.beside if self.image is not None and each.image != self.image)

    @property
    def idle(self) -> bool:
        """It is scaled to 0: nothing of what the Deployment asks for runs."""
        return self.state != "missing" and self.desired == 0

    @property
    def runs_completely(self) -> bool:
        """All of it: complete, and where the Deployment asks by tag alone, the pods agree on one digest."""
        pinned_by_digest = self.image is not None and self.image.digest is not None
        return self.state == "complete" and (pinned_by_digest or len(self.digests) <= 1)

    @property
    def digest(self) -> str | None:
        """The digest that runs: as it was asked for, else as the pods say if they agree."""
        if self.image is not None and self.image.digest is not None:
            return self.image.digest
        return self.digests[0] if len(self.digests) == 1 else None


@dataclass(frozen=True, slots=True)
class Listed:
    """What the cluster lists of an environment, at one moment."""

    deployments: Sequence[DeploymentView]
    replica_sets: Sequence[ReplicaSetView]
    pods: Sequence[PodView]

    def deployment(self, service: Service) -> DeploymentView | None:
        return next((view for view in self.deployments if view.name == service.deployment), None)


async def listed(cluster: ClusterClient, environment: Environment) -> Listed:
    """Deployments, ReplicaSets and pods of the environment, asked for side by side."""
    return Listed(
        *await asyncio.gather(
            cluster.deployments(environment.namespace),
            cluster.replica_sets(environment.namespace),
            cluster.pods(environment.namespace),
        )
    )


async def current(
    cluster: ClusterClient, environment: Environment, releases: Sequence[Release] = ()
) -> list[ServiceState]:
    """Every service of the environment, in its order; a Deployment that is not there is a state, not an error.

    Who set what runs is known by the recorded releases alone.
    """
    return read(environment, await listed(cluster, environment), releases)


def read(environment: Environment, found: Listed, releases: Sequence[Release] = ()) -> list[ServiceState]:
    """The same, of what was listed."""
    return [
        _state(service, environment, found.deployment(service), found.replica_sets, found.pods, releases)
        for service in environment.services
    ]


def with_record(states: Sequence[ServiceState], releases: Sequence[Release]) -> list[ServiceState]:
    """The same states, with who set what runs by the recorded releases; for who asks for both side by side."""
    return [_with_record(state, releases) for state in states]


def newest_of(deployment: DeploymentView, replica_sets: Sequence[ReplicaSetView]) -> ReplicaSetView | None:
    """The ReplicaSet of the Deployment's present pod template, whether or not the controller has seen its latest change.

    None while there is none yet. Not the one of its present revision: that is written later, and while `Recreate` waits for old pods
    it is the old one's.
    """
    own = (r for r in replica_sets if r.owner == deployment.uid and r.template_hash == deployment.template_hash)
    return min(own, key=lambda r: r.created, default=None)


def asked_image(deployment: DeploymentView, container: str) -> str:
    """Return the image as the bot asked for it where admission only renamed it; else as it stands; empty for no such container.

    Only where the digest is the same, and nobody else has written the image since: what somebody else moved to another registry is
    another image, since whoever has that registry says whether it can still be pulled.
    """
    image = deployment.images.get(container, "")
    asked = deployment.annotations.get(DEPLOYED_IMAGE, "")
    renamed = same_digest(image, asked) and image_written_by_bot(deployment, container)
    return asked if renamed else image


def same_digest(one: str, other: str) -> bool:
    """Whether both references are pinned, to the same content."""
    return one == other or (Image.parse(one).digest or "none") == Image.parse(other).digest


def pinned(state: ServiceState) -> Image | None:
    """What runs, with the digest that the pods report where the Deployment asks by tag alone."""
    if state.image is None or state.image.digest is not None:
        return state.image
    return state.image.model_copy(update={"digest": state.digest})


def image_for_job(state: ServiceState) -> Image:
    """Return what runs, for a Job made from it. Raises PermanentError where that is unknown, or of another repository: the Job gets Secrets."""
    image = pinned(state)
    if image is not None and not state.foreign:
        return image
    raise PermanentError(
        state.foreign or f"It is unknown which image {state.named} runs.",
        code=ReasonCode.NOT_FOUND if image is None else ReasonCode.FOREIGN_IMAGE,
        advice=(f"`describe {state.service}` shows its pods.",),
    )


def running_version(states: Iterable[ServiceState], releases: Sequence[Release]) -> str:
    """Return the version that all services run; empty where they run different ones, or an image of another repository or digest than the recorded one.

    Anybody who can change a Deployment can write a tag beside a digest, which alone says what runs. The version is typed in commands: what no registry takes
    as a tag, such as `v1 --env staging`, is none.
    """
    versions = {_version(each, releases) for each in states}
    return versions.pop() if len(versions) == 1 else ""


def _version(state: ServiceState, releases: Sequence[Release]) -> str:
    image = pinned(state)
    if image is None or image.tag is None or not TAG.fullmatch(image.tag) or state.foreign:
        return ""
    return "" if disagrees(state.service, image, releases) else image.tag


def disagrees(service: str, image: Image, releases: Sequence[Release]) -> str:
    """Return why the record contradicts the image: its tag is recorded with other digests."""
    known = [own for each in releases if (own := each.image(service)) is not None and own.tag == image.tag]
    digests = {own.digest for own in known if own.digest}
    if image.digest is None or not digests or image.digest in digests:
        return ""
    return f"{service}: {image.named} has a different digest from the one recorded for {image.tag}"


def kubectl_lines(changes: Sequence[ImageChange], *, minutes: int = 10) -> list[str]:
    """The commands by which a person makes these changes by hand, digests included."""
    setting = [
        f"{c.kubectl} set image deployment/{c.deployment} {shlex.join(f'{name}={c.after.reference}' for name in c.references_before)} -n {c.namespace}"
        for c in changes
    ]
    waiting = [
        f"{c.kubectl} rollout status deployment/{c.deployment} -n {c.namespace} --timeout={minutes}m" for c in changes
    ]
    return setting + waiting


def annotation_path(key: str) -> str:
    """Where an annotation of an object stands, as a JSON Pointer."""
    return f"/metadata/annotations/{escaped(key)}"


def escaped(key: str) -> str:
    """A key inside a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _state(
    service: Service,
    environment: Environment,
    deployment: DeploymentView | None,
    replica_sets: Sequence[ReplicaSetView],
    pods: Sequence[PodView],
    releases: Sequence[Release],
) -> ServiceState:
    place = {
        "repository": service.repository,
        "service": service.name,
        "region": environment.region,
        "kubectl": environment.kubectl,
        "namespace": environment.namespace,
        "deployment": service.deployment,
        "container": service.container,
    }
    container = deployment.container(service.container) if deployment is not None else None
    if deployment is None or container is None:
        what = (
            "The Deployment does not exist"
            if deployment is None
            else f"The Deployment has no container {service.container}"
        )
        return ServiceState(**place, state="missing", detail=f"{what} in {environment.namespace}.")
    sets = [r for r in replica_sets if r.owner == deployment.uid]
    owners = {r.uid for r in sets}
    newest = newest_of(deployment, sets)
    own = [pod for pod in pods if pod.owner in owners and not pod.deleting and not pod.over]
    state, detail = _condition(deployment, newest, sets)
    image = asked_image(deployment, service.container)
    alike = _beside(deployment, service, {service.repository, Image.parse(image).repository})
    by_bot = deployment.annotations.get(DEPLOYED_IMAGE) == image
    owner = max((o for o in deployment.owners if service.container in o.containers), key=lambda o: o.time, default=None)
    hand = owner is not None and owner.name != FIELD_MANAGER and (
        owner.name in _BY_HAND or DEPLOYED_IMAGE in deployment.annotations
    )  # fmt: skip
    running = [pod.container(service.container) for pod in own if pod.ready]
    found_state = ServiceState(
        **place,
        state=state,
        detail=detail,
        image=Image.parse(image),
        mirror=Image.parse(container[1].written).repository if container[1].written else "",
        beside=tuple(each for each in alike if each.container not in service.keeps),
        kept=tuple(each.container for each in alike if each.container in service.keeps),
        digests=tuple(sorted({c.digest for c in running if c is not None and c.digest is not None})),
        desired=deployment.desired,
        ready=deployment.ready,
        new_ready=sum(pod.ready for pod in own if newest is not None and pod.owner == newest.uid),
        updated=deployment.updated,
        restarts=sum(pod.restarts for pod in own),
        restarts_lately=sum(_restarts_since(pod, datetime.now(UTC) - _LATELY) for pod in own),
        revision=deployment.revision,
        since=_since(deployment, _began(deployment, service.container, sets), owner, by_bot=by_bot),
        by=owner.name if owner is not None else None,
        cause=deployment.annotations.get(CHANGE_CAUSE)
        if by_bot or DEPLOYED_IMAGE not in deployment.annotations
        else None,
        by_hand=hand and not by_bot,
        drifted=DEPLOYED_IMAGE in deployment.annotations and not by_bot,
        stamp=deployment.annotations.get(RUN),
        paused=deployment.paused,
        unknown=_unknown(deployment),
        owned=found.sentence if (found := owner_of(deployment)) is not None else None,
    )
    return _with_record(found_state, releases)


def _with_record(state: ServiceState, releases: Sequence[Release]) -> ServiceState:
    """Whose field manager it is may be claimed by anybody, and so may an annotation: a person is named only where the record has it."""
    release = images.recorded(releases, state.service, pinned(state))
    if release is None or state.by_hand or state.drifted or state.by not in (None, FIELD_MANAGER):
        return state
    return state.model_copy(update={"by": release.by or state.by, "run": release.run})


def _unknown(deployment: DeploymentView) -> tuple[str, ...]:
    said = []
    if (at := deployment.annotations.get(DEPLOYED_AT)) is not None and not read_stamp(at):
        said.append(f"Annotation {DEPLOYED_AT} is not a valid time and is ignored.")
    if (kept := deployment.annotations.get(SURGE)) is not None and deployment.read_surge(kept) is None:
        said.append(f"Annotation {SURGE} is not a valid value, so {DEFAULT_SURGE} is used.")
    return tuple(said)


def _beside(deployment: DeploymentView, service: Service, repositories: set[str]) -> list[Beside]:
    """Every other container and init container that runs the service's own image."""
    init = {each.name for each in deployment.init}
    found = [
        Beside(container=name, init=name in init, image=Image.parse(asked_image(deployment, name)))
        for name in deployment.images
        if name != service.container
    ]
    return [each for each in found if each.image.repository in repositories]


def _restarts_since(pod: PodView, since: datetime) -> int:
    """All of a pod that is younger; of an older one's containers one each, where the last end was later."""
    if _later(pod.created, since):
        return pod.restarts
    return sum(bool(c.restarts) and _later(c.ended_at, since) for c in pod.containers)


def _later(stamp: str, than: datetime) -> bool:
    try:
        return datetime.fromisoformat(stamp) >= than
    except ValueError:
        return False


def _condition(
    deployment: DeploymentView, newest: ReplicaSetView | None, sets: Sequence[ReplicaSetView]
) -> tuple[Condition, str]:
    """Never by whether the controller has observed the newest generation: the bot's own stamp raises that, and is no rollout."""
    if newest is not None and _complete(deployment, newest, sets):
        return "complete", ""
    refused = (
        next((c for c in newest.conditions if c.type == "ReplicaFailure" and c.status == "True"), None)
        if newest
        else None
    )
    if refused is not None:
        return "stuck", refused.message
    if deployment.past_deadline and deployment.observed_generation >= deployment.generation:
        progressing = deployment.condition("Progressing")
        return "stuck", progressing.message if progressing is not None else ""
    if deployment.paused:
        return "paused", "The Deployment is paused."
    return ("degraded" if newest is not None and _was_complete(deployment, newest, sets) else "rolling"), ""


def _complete(deployment: DeploymentView, newest: ReplicaSetView, sets: Sequence[ReplicaSetView]) -> bool:
    """All pods are of the present template and available: as the ReplicaSets count them, since they know their template."""
    counts = (newest.desired, newest.total, newest.available)
    return counts == (deployment.desired,) * 3 and _alone(newest, sets)


def _was_complete(deployment: DeploymentView, newest: ReplicaSetView, sets: Sequence[ReplicaSetView]) -> bool:
    """Kubernetes saw this rollout to its end before."""
    progressing = deployment.condition("Progressing")
    return progressing is not None and progressing.reason == "NewReplicaSetAvailable" and _alone(newest, sets)


def _alone(newest: ReplicaSetView, sets: Sequence[ReplicaSetView]) -> bool:
    return not any(each.desired or each.total for each in sets if each is not newest)


def _since(deployment: DeploymentView, began: str, owner: FieldOwner | None, *, by_bot: bool) -> str | None:
    """Return when the present image was set. `began`: when its first ReplicaSet was made."""
    others = owner is not None and owner.name != FIELD_MANAGER  # the bot restarted what somebody else had set
    at = read_time(read_stamp(deployment.annotations.get(DEPLOYED_AT))) if by_bot and not others else None
    if at is None:
        return (owner.time if owner is not None else "") or began or None
    last = read_time(owner.time) if owner is not None and owner.name == FIELD_MANAGER else None
    return _within(at, read_time(began), last).isoformat()


def _within(at: datetime, began: datetime | None, last: datetime | None) -> datetime:
    """Return the annotated time; where it can't be true, since anybody may write it, when the image's first ReplicaSet was made.

    `last`: the bot's own last write.
    """
    latest = last or datetime.now(UTC)
    if began is None:
        return min(at, latest)
    return at if began - _SKEW <= at <= max(latest, began) + _SKEW else began


def _began(deployment: DeploymentView, container: str, sets: Sequence[ReplicaSetView]) -> str:
    """Return when the first of the newest ReplicaSets with the present image was made; a restart makes another one with it."""
    newest = newest_of(deployment, sets)
    own = sorted(sets, key=lambda each: each.revision, reverse=True)
    alike = takewhile(lambda each: newest is not None and each.image(container) == newest.image(container), own)
    return min((each.created for each in (*alike, *([newest] if newest is not None else ()))), default="")
