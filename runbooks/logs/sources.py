"""The streams for an answer: the containers of a service's pods, or of one pod, with notes about each."""

from datetime import datetime
from typing import NamedTuple

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import ContainerView, PodView
from runbooks.kit.answers import read_time
from runbooks.kit.targets import Environment
from runbooks.observe.pods import named
from runbooks.wording import by_count, counted


class LogSource(NamedTuple):
    """One container's log."""

    namespace: str
    pod: str
    container: str
    label: str
    """The end of the pod's name, long enough to distinguish the service's pods; with the container if several are read."""


class LogSources(NamedTuple):
    """The streams to read, and notes about them."""

    title: str
    """The service or the pod."""
    found: tuple[LogSource, ...]
    notes: tuple[str, ...]
    selector: str
    """The pods' selector, for watching for new pods; empty for one pod."""


async def sources(
    cluster: ClusterClient,
    environment: Environment,
    target: str,
    *,
    every_container: bool = False,
    previous: bool = False,
    before: datetime | None = None,
) -> LogSources:
    """Of a service by its name, or of a pod by its name or the end of it. `before`: only pods that were there by then."""
    service = environment.service(target)
    if service is not None:
        deployment = await cluster.deployment(environment.namespace, service.deployment)
        pods, selector, container = await cluster.pods_of(deployment), deployment.selector, service.container
    else:
        pods = [named(await cluster.pods(environment.namespace), target, environment)]
        selector, container = "", next((s.container for s in environment.services if _is_of(pods[0], s.deployment)), "")
    young = [pod for pod in pods if before is not None and (at := read_time(pod.created)) is not None and at > before]
    pods = sorted((pod for pod in pods if pod not in young), key=lambda pod: pod.name)
    labels = _labels(pods)
    found: list[LogSource] = []
    notes: list[str] = []
    for pod in pods:
        names = [each.name for each in pod.containers] or [each.name for each in pod.asked]
        names += [each.name for each in pod.ephemeral]
        if not every_container:
            names = [container if container in names or not names else _main(pod)]
        if pod.deleting:
            notes.append(f"{labels[pod.name]} is terminating.")
        for name in names:
            label = f"{labels[pod.name]}/{name}" if every_container else labels[pod.name]
            view = pod.container(name)
            notes += _told(label, view, previous=previous)
            if not (previous and view is not None and not view.restarts):
                found.append(LogSource(pod.namespace, pod.name, name, label))
    if young:
        notes.append(
            f"{counted(len(young), 'pod')} {by_count(len(young), 'is', 'are')} newer than that run and omitted; the logs of the pods they replaced are gone."
        )
    return LogSources(target if service else pods[0].name, tuple(found), tuple(notes), selector)


def _is_of(pod: PodView, deployment: str) -> bool:
    return pod.name.startswith(f"{deployment}-") and pod.name.count("-") - deployment.count("-") == 2  # noqa: PLR2004


def _main(pod: PodView) -> str:
    """The first container that serves: those that prepare the pod come before it in its status, not in its specification."""
    return (pod.asked or pod.containers)[0].name


def _labels(pods: list[PodView]) -> dict[str, str]:
    """Return the ends of the names, as long as necessary."""
    for parts in range(1, 9):
        labels = {pod.name: "-".join(pod.name.rsplit("-", parts)[-parts:]) for pod in pods}
        if len(set(labels.values())) == len(labels):
            return labels
    return {pod.name: pod.name for pod in pods}


def _told(label: str, view: ContainerView | None, *, previous: bool) -> list[str]:
    """Return notes about a container that is not simply running."""
    if view is None:
        return []
    if previous:
        if not view.restarts:
            return [f"{label} has not restarted, so there is no previous log."]
        ended = (
            f"{view.ended_reason or 'ended'}, exit code {view.ended_code}" if view.ended_code is not None else "ended"
        )
        return [f"{label} before its last restart: {ended}; {_times(view.restarts)} in total."]
    if view.phase == "terminated":
        return [f"{label} has ended: {view.reason or 'terminated'}, exit code {view.exit_code}."]
    if view.restarts and view.phase == "waiting":
        ended = f" after {view.ended_reason}, exit code {view.ended_code}" if view.ended_code is not None else ""
        return [
            f"{label} is not running: {view.reason}{ended}; {_times(view.restarts)}. --previous shows the log before that."
        ]
    if view.restarts:
        return (
            [f"{label} has restarted {counted(view.restarts, 'time')}; --previous shows the log before the last one."]
            if view.restarts > 1
            else [f"{label} has restarted once; --previous shows the log before that."]
        )
    return []


def _times(restarts: int) -> str:
    return counted(restarts, "restart")
