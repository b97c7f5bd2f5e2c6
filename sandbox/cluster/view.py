"""A small look at the cluster for the sandbox's page: which pods there are, of what version, and how they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from sandbox.cluster.clock import parse
from sandbox.cluster.controllers.owners import is_leaving, is_ready, owner_of
from sandbox.cluster.images import tag_of
from sandbox.cluster.resources import JOB, POD, REPLICA_SET, Json
from sandbox.cluster.store import Change, Store
from sandbox.cluster.tables import pod_status


@dataclass(frozen=True)
class PodView:
    """One pod as a small square shows it; `status` is the word that `kubectl get pods` prints."""

    namespace: str
    name: str
    deployment: str
    version: str
    phase: str
    status: str
    ready: bool
    leaving: bool
    restarts: int
    created: float


def _view(store: Store, pod: Json) -> PodView:
    metadata, status = pod["metadata"], pod["status"]
    owner = owner_of(pod)
    deployment = owner["name"] if owner else ""
    if owner and owner["kind"] == REPLICA_SET.name:
        replica_set = store.get(REPLICA_SET, metadata["namespace"], owner["name"])
        top = owner_of(replica_set) if replica_set else None
        deployment = top["name"] if top else owner["name"].rpartition("-")[0]
    return PodView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        deployment=deployment,
        version=tag_of(str(pod["spec"]["containers"][0]["image"])).partition(":")[2],
        phase=status.get("phase", "Pending"),
        status=pod_status(pod),
        ready=is_ready(pod) and not is_leaving(pod),
        leaving=is_leaving(pod),
        restarts=sum(int(entry.get("restartCount", 0)) for entry in status.get("containerStatuses") or []),
        created=parse(metadata["creationTimestamp"]).timestamp(),
    )


def pods(store: Store, namespace: str = "") -> tuple[PodView, ...]:
    """Those that serve: a Job's pods are none of them."""
    found = store.all(POD, namespace)
    return tuple(_view(store, pod) for pod in found if (owner_of(pod) or {}).get("kind") != JOB.name)


def on_change(store: Store, callback: Callable[[], None]) -> Callable[[], None]:
    """Call back whenever a pod comes, changes or goes; what is returned ends it."""

    def see(change: Change) -> None:
        if change.kind == POD:
            callback()

    return store.listen(see)


async def changes(store: Store, namespace: str = "") -> AsyncGenerator[tuple[PodView, ...]]:
    """The pods now, and again after each change; changes of one moment come together."""
    changed = asyncio.Event()
    changed.set()
    stop = on_change(store, changed.set)
    try:
        while True:
            await changed.wait()
            changed.clear()
            yield pods(store, namespace)
    finally:
        stop()
