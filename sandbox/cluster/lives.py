"""What the node knows of one pod beyond its status, and the status that it makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sandbox.cluster.clock import Timer
from sandbox.cluster.controllers.owners import condition
from sandbox.cluster.images import image_id
from sandbox.cluster.resources import Json

_INITIALIZING: Json = {"waiting": {"reason": "PodInitializing"}}


@dataclass
class Container:
    """One container's state over its restarts."""

    state: Json = field(default_factory=lambda: dict(_INITIALIZING))
    ended: Json | None = None
    """How its last life ended."""
    restarts: int = 0
    started: str = ""
    sidecar: bool = False
    """Listed with the init containers, and runs as long as the pod."""

    @property
    def done(self) -> bool:
        """Whether the next container may start: an init container has ended well, or a sidecar has started."""
        if self.sidecar and "running" in self.state:
            return True
        return bool((self.state.get("terminated") or {}).get("exitCode") == 0)


@dataclass
class Life:
    """One pod's."""

    timer: Timer | None = None
    ip: str = ""
    main: Container = field(default_factory=Container)
    """All that are not init containers go together."""
    inits: dict[str, Container] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    program: asyncio.Task[None] | None = None
    """What runs in it, where it is a Job's and its program is one that containers here have."""

    @property
    def initialized(self) -> bool:
        return all(each.done for each in self.inits.values())


def status_of(pod: Json, life: Life, phase: str, now: str, host: str, *, ready: bool) -> Json:
    """The pod's status as the kubelet writes it."""
    before = pod["status"]
    pulled = _ran(life.main)
    status = {
        **before,
        "phase": phase,
        "startTime": before.get("startTime") or now,
        "hostIP": host,
        "conditions": _conditions(pod, life, phase, now, ready=ready),
        "containerStatuses": [_entry(each, life.main, ready=ready) for each in pod["spec"]["containers"]],
    }
    if life.inits:
        inits = pod["spec"]["initContainers"]
        status["initContainerStatuses"] = [
            _entry(each, life.inits[each["name"]], ready=life.inits[each["name"]].done) for each in inits
        ]
    if pulled or any(_ran(each) for each in life.inits.values()):
        status["podIP"], status["podIPs"] = life.ip, [{"ip": life.ip}]
    return status


def _ran(container: Container) -> bool:
    return "running" in container.state or "terminated" in container.state or container.ended is not None


def _entry(spec: Json, container: Container, *, ready: bool) -> Json:
    return {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": image_id(spec["image"]) if _ran(container) else "",
        "ready": ready,
        "started": "running" in container.state,
        "restartCount": container.restarts,
        "state": container.state,
        "lastState": {"terminated": container.ended} if container.ended else {},
    }


def _conditions(pod: Json, life: Life, phase: str, now: str, *, ready: bool) -> list[Json]:
    over = phase == "Succeeded"
    words = {"Initialized": life.initialized, "Ready": ready, "ContainersReady": ready, "PodScheduled": True}
    conditions = []
    for name, true in words.items():
        entry: Json = {"type": name, "status": "True" if true else "False", "lastProbeTime": None}
        if not true:
            entry |= _why(pod, life, name, over=over)
        have = condition(pod, name)
        same = have is not None and have["status"] == entry["status"]
        entry["lastTransitionTime"] = have["lastTransitionTime"] if have and same else now
        conditions.append(entry)
    return conditions


def _why(pod: Json, life: Life, name: str, *, over: bool) -> Json:
    if name == "Initialized":
        open_still = [key for key, each in life.inits.items() if "terminated" not in each.state and not each.done]
        message = f"containers with incomplete status: [{' '.join(open_still)}]"
        return {"reason": "ContainersNotInitialized", "message": message}
    if over:
        return {"reason": "PodCompleted"}
    unready = ", ".join(container["name"] for container in pod["spec"]["containers"])
    return {"reason": "ContainersNotReady", "message": f"containers with unready status: [{unready}]"}
