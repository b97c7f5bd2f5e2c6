"""The node: what becomes of a pod once it is placed, from pulling its image to its end.

Each pod has one step that is due next, kept as a timer; between steps nothing runs. What the steps are follows from
the image's tag (`images.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.cluster.api import Api
from sandbox.cluster.clock import Timer
from sandbox.cluster.controllers.owners import condition, is_leaving, owner_of
from sandbox.cluster.errors import ApiError
from sandbox.cluster.events import Events
from sandbox.cluster.fields import Writer
from sandbox.cluster.images import Behaviour, behaviour, image_id, tag_of
from sandbox.cluster.resources import NODE, POD, Json
from sandbox.cluster.settings import Settings
from sandbox.cluster.store import Change

_COMPONENT = "kubelet"
_STATUS = Writer(_COMPONENT, subresource="status")
_UNHEALTHY_SECONDS, _UNHEALTHY_TOLD = 5.0, 6


@dataclass
class _Life:
    """What the node knows of one pod beyond its status."""

    timer: Timer | None = None
    ended: Json | None = None
    started: str = ""
    ip: str = ""
    restarts: int = 0
    told: dict[str, int] = field(default_factory=dict)


class Kubelet:
    def __init__(self, api: Api, events: Events, settings: Settings) -> None:
        self._api, self._events, self._settings = api, events, settings
        self._lives: dict[str, _Life] = {}
        self._addresses = 1

    def clear(self) -> None:
        self._lives.clear()

    def register(self) -> None:
        """Make the node known to the cluster."""
        settings, now = self._settings, self._api.clock.stamp()
        room = {"cpu": settings.cpu, "memory": settings.memory, "pods": str(settings.pods)}
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
        }
        labels = {"kubernetes.io/hostname": settings.node, "kubernetes.io/os": "linux"}
        body = {
            "apiVersion": NODE.api_version,
            "kind": NODE.name,
            "metadata": {"name": settings.node, "labels": labels},
            "spec": {},
        }
        self._api.create(NODE, "", body, Writer(_COMPONENT))
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": settings.node},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.37.1",
                "kubeProxyVersion": "v1.37.1",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "osImage": "sandbox",
                "kernelVersion": "0",
                "containerRuntimeVersion": "sandbox://0",
                "architecture": "amd64",
                "operatingSystem": "linux",
            },
        }
        self._api.modify(NODE, "", settings.node, lambda draft: {**draft, "status": status}, _STATUS)

    def see(self, change: Change) -> None:
        if change.kind != POD:
            return
        uid = change.obj["metadata"]["uid"]
        if change.type == "DELETED":
            self._forget(uid)
            return
        if not change.obj["spec"].get("nodeName"):
            return
        if is_leaving(change.obj):
            if "leaving" not in (life := self._lives.setdefault(uid, _Life())).told:
                life.told["leaving"] = 1
                self._stop(change.obj)
        elif uid not in self._lives:
            self._lives[uid] = _Life()
            self._next(change.obj, 0, self._create)

    def _forget(self, uid: str) -> None:
        life = self._lives.pop(uid, None)
        if life and life.timer:
            life.timer.cancel()

    def _next(self, pod: Json, seconds: float, step: Callable[[Json], None]) -> None:
        """The one thing that happens to this pod next, unless it goes before."""
        metadata = pod["metadata"]
        life = self._lives[metadata["uid"]]
        if life.timer:
            life.timer.cancel()

        def act() -> None:
            current = self._api.store.get(POD, metadata["namespace"], metadata["name"])
            if current is not None and current["metadata"]["uid"] == metadata["uid"]:
                step(current)

        life.timer = self._api.clock.call_later(seconds, act)

    def _create(self, pod: Json) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        self._addresses += 1
        life.ip = f"10.0.{self._addresses // 250 % 250}.{self._addresses % 250 + 1}"
        image = _image(pod)
        self._write(pod, "Pending", {"waiting": {"reason": "ContainerCreating"}})
        self._events.normal(_COMPONENT, pod, "Pulling", f'Pulling image "{image}"')
        low, high = self._settings.start_seconds
        seconds = self._api.rng.uniform(low, high)
        if behaviour(image).pulls:
            self._next(pod, seconds * 0.4, lambda current: self._start(current, seconds * 0.6))
        else:
            self._next(pod, min(0.4, low), self._fail_pull)

    def _fail_pull(self, pod: Json) -> None:
        image = _image(pod)
        message = f'failed to pull image "{image}": manifest unknown'
        self._write(pod, "Pending", {"waiting": {"reason": "ErrImagePull", "message": message}})
        self._events.warning(_COMPONENT, pod, "Failed", f'Failed to pull image "{image}": {message}')
        self._events.warning(_COMPONENT, pod, "Failed", "Error: ErrImagePull")
        self._next(pod, self._settings.pull_retry_seconds, self._wait_for_pull)

    def _wait_for_pull(self, pod: Json) -> None:
        image = _image(pod)
        message = f'failed to pull image "{image}": manifest unknown'
        self._write(pod, "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": message}})
        self._events.normal(_COMPONENT, pod, "BackOff", f'Back-off pulling image "{image}"')
        self._events.warning(_COMPONENT, pod, "Failed", "Error: ImagePullBackOff")

    def _start(self, pod: Json, until_ready: float) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        image, what = _image(pod), behaviour(_image(pod))
        if not life.restarts:
            self._events.normal(_COMPONENT, pod, "Pulled", f'Successfully pulled image "{image}"')
        for container in pod["spec"]["containers"]:
            self._events.normal(_COMPONENT, pod, "Created", f"Created container {container['name']}")
            self._events.normal(_COMPONENT, pod, "Started", f"Started container {container['name']}")
        life.started = self._api.clock.stamp()
        self._write(pod, "Running", {"running": {"startedAt": life.started}})
        if _runs_once(pod):
            self._next(pod, self._settings.job_seconds, self._finish)
        elif what.crashes:
            self._next(pod, self._settings.crash_seconds, lambda current: self._crash(current, what))
        elif not what.ready:
            self._next(pod, 1.0, self._unhealthy)
        else:
            self._next(pod, self._settings.slow_seconds if what.slow else until_ready, self._become_ready)

    def _become_ready(self, pod: Json) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        self._write(pod, "Running", {"running": {"startedAt": life.started}}, ready=True)

    def _unhealthy(self, pod: Json) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
        self._events.warning(_COMPONENT, pod, "Unhealthy", message)
        life.told["unhealthy"] = life.told.get("unhealthy", 0) + 1
        if life.told["unhealthy"] < _UNHEALTHY_TOLD:
            self._next(pod, _UNHEALTHY_SECONDS, self._unhealthy)

    def _crash(self, pod: Json, what: Behaviour) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        end = {"exitCode": what.exit_code, "reason": what.exit_reason}
        ended = {**end, "startedAt": life.started, "finishedAt": self._api.clock.stamp()}
        self._write(pod, "Running", {"terminated": ended})
        life.ended = ended
        self._next(pod, self._settings.crash_seconds, self._back_off)

    def _back_off(self, pod: Json) -> None:
        """The first restart is at once, as a real kubelet does it; after that the waits get longer."""
        life = self._lives[pod["metadata"]["uid"]]
        life.restarts += 1
        name = pod["spec"]["containers"][0]["name"]
        message = f"back-off restarting failed container={name} pod={pod['metadata']['name']}"
        self._write(pod, "Running", {"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        self._events.warning(_COMPONENT, pod, "BackOff", "Back-off restarting failed container")
        settings = self._settings
        wait = min(settings.restart_seconds * 2 ** (life.restarts - 1), settings.longest_restart_seconds)
        self._next(pod, wait, lambda current: self._start(current, 0))

    def _finish(self, pod: Json) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        words = " ".join(word for container in pod["spec"]["containers"] for word in _command(container))
        failed = "fail" in words or "fail" in tag_of(_image(pod)) or behaviour(_image(pod)).crashes
        ended = {
            "exitCode": 1 if failed else 0,
            "reason": "Error" if failed else "Completed",
            "startedAt": life.started,
            "finishedAt": self._api.clock.stamp(),
        }
        if failed and pod["spec"]["restartPolicy"] == "OnFailure":
            life.ended = ended
            self._back_off(pod)
            return
        self._write(pod, "Failed" if failed else "Succeeded", {"terminated": ended})

    def _stop(self, pod: Json) -> None:
        statuses = pod["status"].get("containerStatuses") or []
        for entry in statuses:
            if "running" in entry["state"]:
                self._events.normal(_COMPONENT, pod, "Killing", f"Stopping container {entry['name']}")
        running = any("running" in entry["state"] for entry in statuses)
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        seconds = min(self._settings.stop_seconds, grace) if running else 0
        self._next(pod, seconds, self._remove)

    def _remove(self, pod: Json) -> None:
        metadata = pod["metadata"]
        if metadata.get("finalizers"):
            return
        self._api.store.remove(POD, pod)

    def _write(self, pod: Json, phase: str, state: Json, *, ready: bool = False) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        now = self._api.clock.stamp()
        before = pod["status"]
        pulled = "running" in state or "terminated" in state or life.restarts > 0
        status = {
            **before,
            "phase": phase,
            "startTime": before.get("startTime") or now,
            "hostIP": "127.0.0.1",
            "conditions": self._conditions(pod, phase, now, ready=ready),
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": image_id(container["image"]) if pulled else "",
                    "ready": ready,
                    "started": "running" in state,
                    "restartCount": life.restarts,
                    "state": state,
                    "lastState": {"terminated": life.ended} if life.ended else {},
                }
                for container in pod["spec"]["containers"]
            ],
        }
        if pulled:
            status["podIP"], status["podIPs"] = life.ip, [{"ip": life.ip}]
        metadata = pod["metadata"]
        try:
            self._api.update(POD, metadata["namespace"], metadata["name"], {**pod, "status": status}, _STATUS)
        except ApiError:
            current = self._api.get(POD, metadata["namespace"], metadata["name"])
            self._api.update(POD, metadata["namespace"], metadata["name"], {**current, "status": status}, _STATUS)

    @staticmethod
    def _conditions(pod: Json, phase: str, now: str, *, ready: bool) -> list[Json]:
        over = phase == "Succeeded"
        words = {"Initialized": True, "Ready": ready, "ContainersReady": ready, "PodScheduled": True}
        conditions = []
        for name, true in words.items():
            entry: Json = {"type": name, "status": "True" if true else "False", "lastProbeTime": None}
            if not true:
                unready = ", ".join(container["name"] for container in pod["spec"]["containers"])
                entry["reason"] = "PodCompleted" if over else "ContainersNotReady"
                if not over:
                    entry["message"] = f"containers with unready status: [{unready}]"
            have = condition(pod, name)
            same = have is not None and have["status"] == entry["status"]
            entry["lastTransitionTime"] = have["lastTransitionTime"] if have and same else now
            conditions.append(entry)
        return conditions


def _image(pod: Json) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def _command(container: Json) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _runs_once(pod: Json) -> bool:
    owner = owner_of(pod)
    return pod["spec"]["restartPolicy"] != "Always" or bool(owner and owner["kind"] == "Job")
