"""A node of a test's own on either cluster: a kubelet that says what the test wants, and nothing runs.

It registers, keeps its node ready (until it falls silent), and tells of each pod that the scheduler gives it what the test's story
says: a status and the events that a kubelet writes with it. Scheduler, controllers, endpoints and progress deadlines are the
cluster's own. Logs are not served: a missing log hides no failure.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runbooks.kit.errors import RunbookError
from tests.support.real import Place

Json = dict[str, Any]
LABEL = "omnicare.dev/test-node"
_MERGE = "application/merge-patch+json"
_LOOK, _BEAT = 0.2, 5.0


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Told:
    """What the node says of a pod at once."""

    containers: list[Json] = field(default_factory=list)
    inits: list[Json] = field(default_factory=list)
    phase: str = "Pending"
    reason: str = ""
    """Of the pod as a whole."""
    ready: bool = False
    events: tuple[tuple[str, str], ...] = ()
    """(reason, message), about the first container."""
    conditions: tuple[tuple[str, str, str, str], ...] = ()
    """(type, status, reason, message), in place of those that follow from `ready`."""


Story = Callable[[Json, int], Told]
"""(the pod, how often it was looked at) → what is said of it."""


class StandInNode:
    """One node, selected by its label alone: nothing else is scheduled there."""

    def __init__(self, here: Place, story: Story) -> None:
        self.name = here.namespace
        self._here, self._story = here, story
        self._looks: dict[str, int] = {}
        self._said: dict[str, Told] = {}
        self.told_of: set[str] = set()
        """The images of whose pods something was said, events included."""
        self.silent = False

    async def register(self) -> None:
        taint = {"key": LABEL, "value": self.name, "effect": "NoSchedule"}
        meta = {"name": self.name, "labels": {LABEL: self.name, "kubernetes.io/hostname": self.name}}
        await self._here.create(
            "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"taints": [taint]}}
        )
        await self._beat()
        await schedulable(self._here, self.name)

    async def remove(self) -> None:
        with contextlib.suppress(RunbookError):
            await self._here.connection.call("DELETE", f"/api/v1/nodes/{self.name}", doing="remove a test's node")

    async def live(self) -> None:
        """Until it is cancelled."""
        beaten = 0.0
        while True:
            now = asyncio.get_running_loop().time()
            with contextlib.suppress(RunbookError):
                if not self.silent:
                    if now - beaten > _BEAT:
                        beaten = now
                        await self._beat()
                    await self._look()
            await asyncio.sleep(_LOOK)

    async def _beat(self) -> None:
        room = {"cpu": "4", "memory": "8Gi", "pods": "50"}
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "it is",
            "lastHeartbeatTime": stamp(),
        }
        status = {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
        await self._patch(f"/api/v1/nodes/{self.name}/status", status)

    async def _look(self) -> None:
        path = f"/api/v1/namespaces/{self._here.namespace}/pods"
        query = {"fieldSelector": f"spec.nodeName={self.name}"}
        found = await self._here.connection.call("GET", path, doing="look at a test's pods", query=query)
        for pod in found["items"]:
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            if pod["metadata"].get("deletionTimestamp"):
                now = {"gracePeriodSeconds": 0}
                await self._here.connection.call("DELETE", f"{path}/{name}", doing="end a test's pod", body=now)
                continue
            looks = self._looks[uid] = self._looks.get(uid, 0) + 1
            told = self._story(pod, looks)
            if self._said.get(uid) != told:
                self._said[uid] = told
                for reason, message in told.events:
                    await self._event(pod, reason, message)
                await self._patch(f"{path}/{name}/status", {"status": _status(told)})
                self.told_of.add(pod["spec"]["containers"][0]["image"])

    async def _event(self, pod: Json, reason: str, message: str) -> None:
        meta, container = pod["metadata"], pod["spec"]["containers"][0]["name"]
        about = {"kind": "Pod", "apiVersion": "v1", "fieldPath": f"spec.containers{{{container}}}"}
        about |= {key: meta[key] for key in ("name", "namespace", "uid")}
        body = {
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": message, "count": 1,
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]}, "involvedObject": about,
            "source": {"component": "kubelet", "host": self.name}, "firstTimestamp": stamp(), "lastTimestamp": stamp(),
        }  # fmt: skip
        await self._here.create(f"/api/v1/namespaces/{meta['namespace']}/events", body)

    async def _patch(self, path: str, body: Json) -> None:
        await self._here.connection.call("PATCH", path, doing="say it", body=body, content_type=_MERGE)


def _status(told: Told) -> Json:
    word = "True" if told.ready else "False"
    kinds = {"Initialized": "True", "Ready": word, "ContainersReady": word, "PodScheduled": "True"}
    conditions = {kind: (kind, value, "", "") for kind, value in kinds.items()}
    conditions |= {each[0]: each for each in told.conditions}
    fields = ("type", "status", "reason", "message")
    return {
        "phase": told.phase,
        **({"reason": told.reason, "message": f"it was {told.reason.lower()}"} if told.reason else {}),
        "conditions": [
            {**dict(zip(fields, each, strict=True)), "lastTransitionTime": stamp()} for each in conditions.values()
        ],
        "containerStatuses": told.containers,
        **({"initContainerStatuses": told.inits} if told.inits else {}),
    }


async def schedulable(here: Place, name: str) -> None:
    """Waits until the cluster has seen that a new node is ready: until then it has a taint that says so."""
    async with asyncio.timeout(60):
        while True:
            node = await here.connection.call("GET", f"/api/v1/nodes/{name}", doing="look at a test's node")
            if not any(each["key"].startswith("node.kubernetes.io/") for each in node["spec"].get("taints", ())):
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def stand_in(here: Place, story: Story) -> AsyncIterator[StandInNode]:
    """The node lives as long as the block."""
    node = StandInNode(here, story)
    await node.register()
    living = asyncio.create_task(node.live())
    try:
        yield node
    finally:
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await living
        await node.remove()


async def send_there(here: Place, node: StandInNode, **template: object) -> None:
    """The backend's next pods go to that node."""
    tolerate = [{"key": LABEL, "operator": "Equal", "value": node.name, "effect": "NoSchedule"}]
    await here.patch(
        "backend",
        {"op": "add", "path": "/spec/template/spec/nodeSelector", "value": {LABEL: node.name}},
        {"op": "add", "path": "/spec/template/spec/tolerations", "value": tolerate},
        *({"op": "add", "path": f"/spec/template/spec/{field}", "value": value} for field, value in template.items()),
    )
