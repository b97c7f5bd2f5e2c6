"""The nodes: what becomes of a pod once it is placed, from its volumes and init containers to its end.

Each pod has one step that is due next, kept as a timer; between steps nothing runs. What the steps are follows from
the image's tag (`images.py`) and from what the pod needs (`needs.py`); a node that is silent (`lose`) takes none any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbox.cluster import needs
from sandbox.cluster.api import Api
from sandbox.cluster.controllers.nodes import NodeLifecycle
from sandbox.cluster.controllers.owners import active_pods, is_leaving, is_ready, owner_of
from sandbox.cluster.errors import ApiError
from sandbox.cluster.events import Events
from sandbox.cluster.faults import Faults
from sandbox.cluster.fields import Writer
from sandbox.cluster.images import Behaviour, behaviour, tag_of
from sandbox.cluster.lives import Container, Life, status_of
from sandbox.cluster.printed import Printed
from sandbox.cluster.programs import Execution, knows, run
from sandbox.cluster.resources import NODE, POD, REPLICA_SET, Json
from sandbox.cluster.settings import Settings
from sandbox.cluster.store import Change

_COMPONENT = "kubelet"
_STATUS = Writer(_COMPONENT, subresource="status")
_UNHEALTHY_SECONDS, _UNHEALTHY_TOLD = 5.0, 6
_RESTART_SECONDS = (10.0, 300.0)
"""A real kubelet's first and longest wait before it starts a container again."""
_CREATING: Json = {"waiting": {"reason": "ContainerCreating"}}


_NO_PRESSURE: tuple[Json, ...] = tuple(
    {"type": f"{what}Pressure", "status": "False", "reason": f"KubeletHas{has}", "message": f"kubelet has {said}"}
    for what, has, said in (
        ("Memory", "SufficientMemory", "sufficient memory available"),
        ("Disk", "NoDiskPressure", "no disk pressure"),
        ("PID", "SufficientPID", "sufficient PID available"),
    )
)


class Kubelet:
    def __init__(self, api: Api, events: Events, settings: Settings) -> None:
        self._api, self._events, self._settings = api, events, settings
        self.faults = Faults()
        self._lifecycle = NodeLifecycle(api, events, settings)
        self.patient = False
        """Whether it waits as long as a real one before it starts a container again."""
        self._lives: dict[str, Life] = {}
        self._kept: dict[str, Json] = {}
        """Pods that would be ready, were they let, by uid."""
        self._silent: set[str] = set()
        self._nodes: frozenset[str] = frozenset()
        """Its own: a node that somebody else registered has a kubelet of its own."""
        self._addresses = 1

    def clear(self) -> None:
        for life in self._lives.values():
            if life.program is not None:
                life.program.cancel()
        self._lives.clear()
        self._kept.clear()
        self._api.printed.clear()
        self._silent.clear()
        self.faults.clear()

    def lose(self, node: str) -> None:
        """The node falls silent: nothing changes on it any more, and the cluster notices after a while."""
        if node not in self._silent:
            self._silent.add(node)
            self._lifecycle.silent(node)

    def find(self) -> None:
        """Nodes that were silent speak again, without the pods that they had: those ended meanwhile, and are made anew elsewhere."""
        silent, self._silent = self._silent, set()
        for node in silent:
            self._lifecycle.found(node)

    def let_ready(self, image: str) -> None:
        """What `faults.unready` keeps from getting ready by this name is kept no longer."""
        self.faults.unready.discard(image)
        for pod in list(self._kept.values()):
            self._next(pod, 0, self._become_ready)

    def register(self) -> None:
        """Make the nodes known to the cluster."""
        self._nodes = frozenset(f"node-{number + 1}" for number in range(self._settings.nodes))
        for node in sorted(self._nodes):
            self._register(node)

    def _register(self, node: str) -> None:
        settings, now = self._settings, self._api.clock.stamp()
        room = {"cpu": settings.cpu, "memory": settings.memory, "pods": str(settings.pods)}
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
        }
        labels = {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux"}
        body = {
            "apiVersion": NODE.api_version,
            "kind": NODE.name,
            "metadata": {"name": node, "labels": labels},
            "spec": {},
        }
        self._api.create(NODE, "", body, Writer(_COMPONENT))
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [
                {**each, "lastHeartbeatTime": now, "lastTransitionTime": now} for each in (*_NO_PRESSURE, ready)
            ],
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": node},
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
        self._api.modify(NODE, "", node, lambda draft: {**draft, "status": status}, _STATUS)

    def see(self, change: Change) -> None:
        if change.kind != POD:
            return
        uid = change.obj["metadata"]["uid"]
        if change.type == "DELETED":
            self._forget(uid)
            return
        if change.obj["spec"].get("nodeName") not in self._nodes:
            return
        if is_leaving(change.obj):
            if "leaving" not in (life := self._lives.setdefault(uid, Life())).told:
                life.told["leaving"] = 1
                self._stop(change.obj)
            elif "held" in life.told and not change.obj["metadata"].get("finalizers"):
                del life.told["held"]
                self._next(change.obj, 0, self._remove)
        elif uid not in self._lives:
            self._lives[uid] = Life()
            self._next(change.obj, 0, self._create)

    def _forget(self, uid: str) -> None:
        life = self._lives.pop(uid, None)
        self._kept.pop(uid, None)
        if life and life.timer:
            life.timer.cancel()
        if life and life.program:
            life.program.cancel()
        self._api.printed.pop(uid, None)

    def _next(self, pod: Json, seconds: float, step: Callable[[Json], None]) -> None:
        """The one thing that happens to this pod next, unless it goes before."""
        metadata = pod["metadata"]
        life = self._lives[metadata["uid"]]
        self._kept.pop(metadata["uid"], None)
        if life.timer:
            life.timer.cancel()

        def act() -> None:
            current = self._api.store.get(POD, metadata["namespace"], metadata["name"])
            if current is None or current["metadata"]["uid"] != metadata["uid"]:
                return
            if current["spec"].get("nodeName") not in self._silent:
                step(current)

        life.timer = self._api.clock.call_later(seconds, act)

    def _create(self, pod: Json) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        self._addresses += 1
        life.ip = f"10.0.{self._addresses // 250 % 250}.{self._addresses % 250 + 1}"
        life.inits = {each["name"]: Container() for each in pod["spec"].get("initContainers") or []}
        if not life.inits:
            life.main.state = _CREATING
        self._mount(pod)

    def _mount(self, pod: Json) -> None:
        """Nothing of a pod starts before its volumes are there."""
        message = needs.mounts(self._api.store, pod)
        self._write(pod, "Pending")
        if message:
            self._events.warning(_COMPONENT, pod, "FailedMount", message)
            self._next(pod, self._settings.pull_retry_seconds, self._mount)
        else:
            self._initialize(pod)

    def _initialize(self, pod: Json) -> None:
        """The next init container that has not ended well, a sidecar that has not started; after the last, the others."""
        life = self._lives[pod["metadata"]["uid"]]
        name = next((name for name, each in life.inits.items() if not each.done), None)
        if name is None:
            self._pull(pod)
            return
        spec = next(spec for spec in pod["spec"]["initContainers"] if spec["name"] == name)
        each = life.inits[name]
        each.sidecar = spec.get("restartPolicy") == "Always"
        each.started = self._api.clock.stamp()
        each.state = {"running": {"startedAt": each.started}}
        self._write(pod, "Pending")
        self._told_of(pod, name)
        if each.sidecar:
            self._next(pod, 0, self._initialize)
        elif knows(_command(spec)):
            life.program = asyncio.create_task(self._run(pod, spec, lambda now, code: self._end_init(now, name, code)))
        else:
            code = 1 if self.faults.init_fails else 0
            self._next(pod, self._settings.init_seconds, lambda current: self._end_init(current, name, code))

    def _end_init(self, pod: Json, name: str, code: int) -> None:
        each = self._lives[pod["metadata"]["uid"]].inits[name]
        end = {"exitCode": code, "reason": "Error" if code else "Completed"}
        each.state = {"terminated": {**end, "startedAt": each.started, "finishedAt": self._api.clock.stamp()}}
        if code and pod["spec"]["restartPolicy"] == "Never":
            self._end_sidecars(pod)
            self._write(pod, "Failed")
            return
        self._write(pod, "Pending")
        if code:
            self._again(pod, each, name, "Pending", self._initialize)
        else:
            self._initialize(pod)

    def _pull(self, pod: Json) -> None:
        image = _image(pod)
        self._lives[pod["metadata"]["uid"]].main.state = _CREATING
        self._write(pod, "Pending")
        self._events.normal(_COMPONENT, pod, "Pulling", f'Pulling image "{image}"')
        low, high = self._settings.start_seconds
        seconds = self._api.rng.uniform(low, high)
        if behaviour(image).pulls:
            self._next(pod, seconds * 0.4, lambda current: self._configure(current, seconds * 0.6))
        else:
            self._next(pod, min(0.4, low), self._fail_pull)

    def _fail_pull(self, pod: Json) -> None:
        image = _image(pod)
        message = behaviour(image).unpulled.replace("{image}", image)
        self._write(pod, "Pending", {"waiting": {"reason": "ErrImagePull", "message": message}})
        self._warn(pod, "Failed", f'Failed to pull image "{image}": {message}')
        self._warn(pod, "Failed", "Error: ErrImagePull")
        self._next(pod, self._settings.pull_retry_seconds, self._wait_for_pull)

    def _wait_for_pull(self, pod: Json) -> None:
        image = _image(pod)
        message = f'Back-off pulling image "{image}"'
        self._write(pod, "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": message}})
        self._events.normal(_COMPONENT, pod, "BackOff", message)
        self._warn(pod, "Failed", "Error: ImagePullBackOff")

    def _configure(self, pod: Json, until_ready: float) -> None:
        """The environment is made when the container is: what it names has to be there by then."""
        for container in pod["spec"]["containers"]:
            message = needs.environment(self._api.store, pod, container)
            if message:
                self._write(pod, "Pending", {"waiting": {"reason": "CreateContainerConfigError", "message": message}})
                self._warn(pod, "Failed", f"Error: {message}", container["name"])
                retry = self._settings.pull_retry_seconds
                self._next(pod, retry, lambda current: self._configure(current, until_ready))
                return
        self._start(pod, until_ready)

    def _start(self, pod: Json, until_ready: float) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        image, what = _image(pod), behaviour(_image(pod))
        if not life.main.restarts:
            self._events.normal(_COMPONENT, pod, "Pulled", f'Successfully pulled image "{image}"')
        for container in pod["spec"]["containers"]:
            self._told_of(pod, container["name"])
        life.main.started = self._api.clock.stamp()
        self._write(pod, "Running", {"running": {"startedAt": life.main.started}})
        self._maybe_lose(pod)
        if _runs_once(pod) and knows(_command(pod["spec"]["containers"][0])):
            life.program = asyncio.create_task(self._run(pod, pod["spec"]["containers"][0], self._end))
        elif _runs_once(pod):
            self._next(pod, self._settings.job_seconds, self._finish)
        elif what.crashes:
            self._next(pod, self._settings.crash_seconds, lambda current: self._crash(current, what))
        elif what.ready == "never":
            self._next(pod, 1.0, self._unhealthy)
        else:
            slow = self._settings.slow_seconds if self.faults.slow_seconds is None else self.faults.slow_seconds
            self._next(pod, slow if what.slow else until_ready, self._become_ready)

    def _maybe_lose(self, pod: Json) -> None:
        """A scenario's node falls silent with the new pod on it."""
        wanted = self.faults.lose_node_of
        if wanted and wanted in tag_of(_image(pod)):
            self.faults.lose_node_of = ""
            self.lose(pod["spec"]["nodeName"])

    def _become_ready(self, pod: Json) -> None:
        if any(each in _image(pod) for each in self.faults.unready):
            self._kept[pod["metadata"]["uid"]] = pod
        elif behaviour(_image(pod)).ready == "first" and self._another_is_ready(pod):
            self._unhealthy(pod)
        else:
            self._write(pod, "Running", ready=True)

    def _another_is_ready(self, pod: Json) -> bool:
        owner = owner_of(pod)
        holder = self._api.store.get(REPLICA_SET, pod["metadata"]["namespace"], owner["name"]) if owner else None
        return holder is not None and any(is_ready(other) for other in active_pods(self._api.store, holder))

    def _unhealthy(self, pod: Json) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        probe = behaviour(_image(pod)).probe
        self._warn(pod, "Unhealthy", f"Readiness probe failed: {probe}")
        life.told["unhealthy"] = life.told.get("unhealthy", 0) + 1
        if life.told["unhealthy"] < _UNHEALTHY_TOLD:
            self._next(pod, _UNHEALTHY_SECONDS, self._unhealthy)

    def _crash(self, pod: Json, what: Behaviour) -> None:
        main = self._lives[pod["metadata"]["uid"]].main
        name = pod["spec"]["containers"][0]["name"]
        if what.killed_by:
            self._warn(pod, "Unhealthy", f"{what.killed_by} probe failed: {what.probe}")
            word = f"Container {name} failed {what.killed_by.lower()} probe, will be restarted"
            self._events.normal(_COMPONENT, pod, "Killing", word, container=name)
        end = {"exitCode": what.exit_code, "reason": what.exit_reason}
        ended = {**end, "startedAt": main.started, "finishedAt": self._api.clock.stamp()}
        self._write(pod, "Running", {"terminated": ended})
        self._again(pod, main, name, "Running", lambda current: self._start(current, 0))

    def _again(self, pod: Json, container: Container, name: str, phase: str, start: Callable[[Json], None]) -> None:
        """The first restart is at once, as a real kubelet does it; after that the waits get longer."""
        settings, before, ended = self._settings, container.restarts, container.state["terminated"]

        def restart(current: Json) -> None:
            container.restarts += 1
            container.ended = ended
            start(current)

        def back_off(current: Json) -> None:
            first, longest = settings.restart_seconds, settings.longest_restart_seconds
            if self.patient:
                first, longest = _RESTART_SECONDS
            wait = min(first * 2 ** (before - 1), longest)
            container.ended = ended
            message = f"back-off {wait:.0f}s restarting failed container={name} pod={current['metadata']['name']}"
            container.state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
            self._write(current, phase)
            self._warn(current, "BackOff", "Back-off restarting failed container", name)
            self._next(current, wait, restart)

        self._next(pod, settings.crash_seconds, back_off if before else restart)

    async def _run(self, pod: Json, container: Json, end: Callable[[Json, int], None]) -> None:
        """A container's own process, to its end."""
        printed = Printed(self._api.clock)
        self._api.printed.setdefault(pod["metadata"]["uid"], {})[container["name"]] = printed
        try:
            execution = Execution(pod, container["name"], tuple(_command(container)), printed.write, printed.write)
            execution.stdin.feed_eof()
            code = await run(execution, self._api.scripts)
        finally:
            printed.end()
        self._next(pod, 0, lambda current: end(current, code))

    def _finish(self, pod: Json) -> None:
        words = " ".join(word for container in pod["spec"]["containers"] for word in _command(container))
        failed = "fail" in words or "fail" in tag_of(_image(pod)) or behaviour(_image(pod)).crashes
        self._end(pod, 1 if failed else 0)

    def _end(self, pod: Json, code: int) -> None:
        main = self._lives[pod["metadata"]["uid"]].main
        ended = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "startedAt": main.started,
            "finishedAt": self._api.clock.stamp(),
        }
        if code and pod["spec"]["restartPolicy"] == "OnFailure":
            main.state = {"terminated": ended}
            name = pod["spec"]["containers"][0]["name"]
            self._again(pod, main, name, "Running", lambda current: self._start(current, 0))
            return
        self._end_sidecars(pod)
        self._write(pod, "Failed" if code else "Succeeded", {"terminated": ended})

    def _end_sidecars(self, pod: Json) -> None:
        """What ran beside the pod's program ends with it."""
        for each in self._lives[pod["metadata"]["uid"]].inits.values():
            if each.sidecar:
                times = {"startedAt": each.started, "finishedAt": self._api.clock.stamp()}
                each.state = {"terminated": {"exitCode": 0, "reason": "Completed", **times}}

    def _warn(self, pod: Json, reason: str, message: str, container: str = "") -> None:
        name = container or pod["spec"]["containers"][0]["name"]
        self._events.warning(_COMPONENT, pod, reason, message, container=name)

    def _told_of(self, pod: Json, container: str) -> None:
        self._events.normal(_COMPONENT, pod, "Created", f"Created container {container}", container=container)
        self._events.normal(_COMPONENT, pod, "Started", f"Started container {container}", container=container)

    def _stop(self, pod: Json) -> None:
        statuses = pod["status"].get("containerStatuses") or []
        for entry in statuses:
            if "running" in entry["state"]:
                self._events.normal(_COMPONENT, pod, "Killing", f"Stopping container {entry['name']}")
        running = any("running" in entry["state"] for entry in statuses)
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        program = self._lives[pod["metadata"]["uid"]].program
        if program is not None:
            program.cancel()
        seconds = min(self._settings.stop_seconds, grace) if running else 0
        self._next(pod, seconds, self._remove)

    def _remove(self, pod: Json) -> None:
        metadata = pod["metadata"]
        if metadata.get("finalizers"):
            self._lives[metadata["uid"]].told["held"] = 1
            return
        self._api.store.remove(POD, pod)

    def _write(self, pod: Json, phase: str, state: Json | None = None, *, ready: bool = False) -> None:
        life = self._lives[pod["metadata"]["uid"]]
        if state is not None:
            life.main.state = state
        metadata, now = pod["metadata"], self._api.clock.stamp()
        status = status_of(pod, life, phase, now, "127.0.0.1", ready=ready)
        try:
            self._api.update(POD, metadata["namespace"], metadata["name"], {**pod, "status": status}, _STATUS)
        except ApiError:
            current = self._api.get(POD, metadata["namespace"], metadata["name"])
            self._api.update(POD, metadata["namespace"], metadata["name"], {**current, "status": status}, _STATUS)


def _image(pod: Json) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def _command(container: Json) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _runs_once(pod: Json) -> bool:
    owner = owner_of(pod)
    return pod["spec"]["restartPolicy"] != "Always" or bool(owner and owner["kind"] == "Job")
