"""The fence: a change is sent on the condition that everything is as the plan saw it, and that the run still holds its place.

`stamp_one` puts a run's id on a Deployment, `set_image` changes its image under that condition, `still_ours` notices during a
rollout that somebody else changed it. Only `rollouts` uses this.
"""

from typing import Any

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import Conflict, Unprocessable
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.deployments import owners
from runbooks.deployments.service_state import (
    CHANGE_CAUSE,
    DEPLOYED_AT,
    DEPLOYED_BY,
    DEPLOYED_IMAGE,
    DEPLOYED_RUN,
    RESTARTED,
    RUN,
    annotation_path,
    asked_image,
    escaped,
)
from runbooks.diagnosis import Snapshot
from runbooks.fleet.fleet import Fleet, utc_now
from runbooks.fleet.holding import require_lease
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse
from runbooks.kit.targets import Environment
from runbooks.release import max_surge

_TRIES = 20


async def stamp_one(pulse: Pulse, cluster: ClusterClient, fleet: Fleet, environment: Environment, name: str) -> None:
    """Stamp one Deployment: read it, ask for the lease, then write only over what was read, so that an older run can't win.

    Who takes a place over writes the record first and stamps afterwards. So if the record still names this run, the newer
    stamp comes after our read, and our write meets it as a conflict.
    """
    for _ in range(_TRIES):
        seen = await cluster.deployment(environment.namespace, name)
        await require_lease(fleet, environment, pulse.run)
        if seen.annotations.get(RUN) == pulse.run:
            return
        try:
            await cluster.patch_deployment(environment.namespace, name, _stamping(seen, pulse.run))
        except (Unprocessable, Conflict):
            continue
        return
    raise Conflict(
        f"Deployment {name} keeps changing, so it could not be marked as this run's.", code=ReasonCode.CHANGED_MEANWHILE
    )


def _stamping(seen: DeploymentView, run: str) -> list[dict[str, Any]]:
    """Return the patch that stamps the Deployment, and that also puts back what an earlier run raised for a while."""
    path = annotation_path(RUN)
    if RUN in seen.annotations:
        return [
            seen.unchanged(path, seen.annotations[RUN]),
            {"op": "replace", "path": path, "value": run},
            *max_surge.lowering(seen),
        ]
    missing = [] if seen.has_annotations else [{"op": "add", "path": "/metadata/annotations", "value": {}}]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": seen.resource_version},
        *missing,
        {"op": "add", "path": path, "value": run},
        *max_surge.lowering(seen),
    ]


async def set_image(
    pulse: Pulse,
    cluster: ClusterClient,
    seen: DeploymentView,
    change: ImageChange,
    cause: str,
    by: str,
    *,
    at_once: bool = False,
) -> DeploymentView:
    """Set the image on the condition that everything is as the plan saw it and the run still holds the lease; return the Deployment.

    `at_once`: with it `maxSurge` is raised, so that all new pods start together.
    """
    for _ in range(_TRIES):
        patch = _setting(pulse, seen, change, cause, by, at_once=at_once)
        try:
            return await cluster.patch_deployment(change.namespace, change.deployment, patch)
        except Unprocessable as error:
            now = await cluster.deployment(change.namespace, change.deployment)
            if is_ours(now, change, pulse.run):
                return now
            _refuse_at_once(now, change, pulse.run)
            if (now.max_surge, now.annotations) == (seen.max_surge, seen.annotations):
                raise _does_not_fit(change, error) from error
            seen = now
    raise Conflict(f"Deployment {change.deployment} keeps changing.", code=ReasonCode.CHANGED_MEANWHILE)


def _setting(
    pulse: Pulse, seen: DeploymentView, change: ImageChange, cause: str, by: str, *, at_once: bool
) -> list[dict[str, Any]]:
    _refuse_at_once(seen, change, pulse.run)
    patch: list[dict[str, Any]] = [{"op": "test", "path": annotation_path(RUN), "value": pulse.run}]
    for name in change.references_before:
        path = seen.image_path(name)
        patch += [
            {"op": "test", "path": f"{path}/name", "value": name},
            seen.unchanged(f"{path}/image", seen.written[name]),
            {"op": "replace", "path": f"{path}/image", "value": change.after.reference},
        ]
    facts = {
        CHANGE_CAUSE: cause,
        DEPLOYED_RUN: pulse.run,
        DEPLOYED_BY: by,
        DEPLOYED_AT: utc_now(),
        DEPLOYED_IMAGE: change.after.reference,
    }
    patch += [{"op": "add", "path": annotation_path(key), "value": value} for key, value in facts.items()]
    if change.restarts:
        # A rollout of the same image that hangs: new pods, since the old ones may wait minutes before they pull again.
        restart = {
            "op": "add",
            "path": f"/spec/template/metadata/annotations/{escaped(RESTARTED)}",
            "value": pulse.run,
        }
        patch += (
            []
            if seen.template_annotated
            else [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {}}]
        )
        patch.append(restart)
    return patch + (max_surge.raising(seen) if at_once else max_surge.lowering(seen))


def _refuse_at_once(seen: DeploymentView, change: ImageChange, run: str) -> None:
    """Raise where the Deployment is no longer what the plan saw, or the run no longer holds the lease."""
    holder = seen.annotations.get(RUN)
    if holder != run:
        raise PermanentError(
            f"{change.service}: another run ({holder}) replaced this run, so nothing was changed"
            if holder
            else f"{change.service}: the Deployment is not marked as this run's, so nothing was changed",
            code=ReasonCode.OVERTAKEN,
        )
    for name, before in change.references_before.items():
        image = asked_image(seen, name)
        if not image:
            raise PermanentError(
                f"{change.service}: deployment {change.deployment} has no container {name}", code=ReasonCode.NOT_FOUND
            )
        if image != before:
            raise _changed(change, image, by=owners.last_writer(seen))
    if seen.paused:
        raise _paused(change)


def still_ours(
    snapshot: Snapshot,
    change: ImageChange,
    run: str,
    *,
    since: DeploymentView | None = None,
    answer: DeploymentView | None = None,
) -> None:
    """Raise where somebody else took the lease, or changed what rolls out. `since`: the Deployment as the run left it.

    `answer`: what the API server answered to the run's own write.

    How many replicas there are is nobody's secret plan: people and autoscalers may change that meanwhile.
    """
    holder = snapshot.deployment.annotations.get(RUN)
    if holder != run:
        raise PermanentError(
            f"{change.service}: another run ({holder}) replaced this run during the rollout",
            code=ReasonCode.OVERTAKEN,
        )
    for name in change.references_before:
        now = snapshot.deployment.images.get(name, "no such container")
        # what the API server answered to the bot's own write is what the bot wrote, whatever admission made of it
        if answer is not None and now == answer.images.get(name):
            continue
        if asked_image(snapshot.deployment, name) != change.after.reference:
            if snapshot.deployment.annotations.get(DEPLOYED_IMAGE) == change.after.reference and (
                owners.image_written_by_bot(snapshot.deployment, name)
            ):
                raise _rewritten(change, now)
            raise _changed(change, now, by=owners.last_writer(snapshot.deployment))
    if snapshot.deployment.paused:
        raise _paused(change)
    if since is not None and (fields := owners.changed_fields(since, snapshot.deployment)):
        by = owners.last_writer(snapshot.deployment)
        raise PermanentError(
            f"{change.service}: somebody else changed the pod template during the rollout{f' ({by})' if by else ''}",
            code=ReasonCode.CHANGED_MEANWHILE,
            evidence=(f"changed: {', '.join(fields)}",),
            advice=("The run does not overwrite their change. Find out who made it, then plan again.",),
        )


def is_ours(seen: DeploymentView, change: ImageChange, run: str) -> bool:
    """Return whether this very run set the image before: the step was killed, or the answer was lost."""
    return (
        all(asked_image(seen, name) == change.after.reference for name in change.references_before)
        and seen.annotations.get(DEPLOYED_RUN) == run
        and seen.annotations.get(DEPLOYED_IMAGE) == change.after.reference
        and seen.annotations.get(RUN) == run
    )


def _paused(change: ImageChange) -> PermanentError:
    return PermanentError(
        f"{change.service}: deployment {change.deployment} is paused",
        code=ReasonCode.PAUSED,
        advice=(f"{change.kubectl} rollout resume deployment/{change.deployment} -n {change.namespace}",),
    )


def _changed(change: ImageChange, now: str, *, by: str = "") -> PermanentError:
    return PermanentError(
        f"{change.service}: somebody else changed the image after the plan was made{f' ({by})' if by else ''}",
        code=ReasonCode.CHANGED_MEANWHILE,
        evidence=(f"planned from {change.before.reference} to {change.after.reference}", f"now {now}"),
        advice=("Plan again.",),
    )


def _rewritten(change: ImageChange, now: str) -> PermanentError:
    return PermanentError(
        f"{change.service}: admission rewrote the image, and the bot can't tell whether it is still the same one",
        code=ReasonCode.CHANGED_MEANWHILE,
        evidence=(f"requested {change.after.reference}", f"now {now}"),
        advice=("A mirror that keeps the digest counts as the same image.",),
    )


def _does_not_fit(change: ImageChange, error: RunbookError) -> PermanentError:
    return PermanentError(
        f"{change.service}: the cluster rejects the change",
        code=ReasonCode.CLUSTER_REFUSED,
        evidence=error.evidence,
    )
