"""One cluster: its objects, the loops that tend them, and the server that shows them.

Made without any I/O; `serve()` opens it on 127.0.0.1. It knows nothing of the bot and goes on when the bot dies.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import logging
import random
import ssl
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import yaml
from aiohttp import web

from sandbox.cluster import view
from sandbox.cluster.api import Api
from sandbox.cluster.certificates import Certificate, self_signed
from sandbox.cluster.clock import Clock, stamp
from sandbox.cluster.controllers.claims import VolumeClaims
from sandbox.cluster.controllers.deployments import Deployments
from sandbox.cluster.controllers.endpoints import ServiceEndpoints
from sandbox.cluster.controllers.garbage import Garbage
from sandbox.cluster.controllers.jobs import Jobs
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.controllers.quotas import Quotas
from sandbox.cluster.controllers.replicasets import ReplicaSets
from sandbox.cluster.controllers.scheduler import Scheduler
from sandbox.cluster.events import Events
from sandbox.cluster.faults import Faults
from sandbox.cluster.fields import Writer
from sandbox.cluster.kubelet import Kubelet
from sandbox.cluster.programs import Scripts
from sandbox.cluster.resources import DEPLOYMENT, NAMESPACE, POD, Json, Kind, by_kind
from sandbox.cluster.routes import Routes
from sandbox.cluster.settings import Settings, User
from sandbox.cluster.store import Change, Store

_log = logging.getLogger(__name__)
_SYSTEM = ("default", "kube-system", "kube-public")
_STOP_SECONDS = 0.5
_SYSTEM_AGE = timedelta(days=90)
_EVENT_LIFE = timedelta(hours=1)


class _Controller(Protocol):
    @property
    def queue(self) -> Queue: ...

    def see(self, change: Change) -> None: ...


class Cluster:
    """A Kubernetes in memory."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.clock = Clock()
        self.store = Store(self.settings.log_length)
        self.url = ""
        self._rng = random.Random(self.settings.random_seed)  # noqa: S311
        self.api = Api(self.store, self.clock, self._rng)
        self._events = Events(self.api, self.settings.events_kept)
        self._kubelet = Kubelet(self.api, self._events, self.settings)
        self._controllers: tuple[_Controller, ...] = (
            Deployments(self.api, self._events, self._kubelet.faults, self.settings.observe_seconds),
            ReplicaSets(self.api, self._events),
            Jobs(self.api, self._events),
            Scheduler(self.api, self._events),
            ServiceEndpoints(self.api),
            VolumeClaims(self.api, self._events),
            Quotas(self.api),
            Garbage(self.api),
        )
        self.store.listen(self._see)
        self._routes = Routes(self.api, self.settings.users, self.settings.exec_protocols)
        self._certificate: Certificate | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._furnish()

    def _see(self, change: Change) -> None:
        self._kubelet.see(change)
        for controller in self._controllers:
            controller.see(change)

    def _furnish(self) -> None:
        """The node and the namespaces that every cluster has."""
        with _held(self, datetime.now(UTC) - _SYSTEM_AGE):
            self._kubelet.register()
            for name in _SYSTEM:
                self.api.create(NAMESPACE, "", {"metadata": {"name": name}}, Writer("kube-apiserver"))

    def seed(self, *steps: tuple[timedelta, Callable[[], None]]) -> None:
        """Make a past: each step is done as long ago as it says, oldest first, and has until the next to settle."""
        now = datetime.now(UTC)
        ordered = sorted(steps, key=lambda step: step[0], reverse=True)
        for (ago, step), after in zip(ordered, [*(ago for ago, _ in ordered[1:]), timedelta(0)], strict=True):
            with _held(self, now - ago, until=now - after):
                step()
        self._events.forget_before(stamp(now - _EVENT_LIFE))

    @contextmanager
    def past(self, ago: timedelta) -> Iterator[None]:
        """What is done in the block is done so long ago, and everything that follows from it has happened at its end.

        A container that crashes is started again at a real cluster's pace meanwhile, and not at a sandbox's.
        """
        now = datetime.now(UTC)
        with _held(self, now):
            pass  # what waits to be done is not of the past
        self._kubelet.patient = True
        try:
            with _held(self, now - ago, until=now):
                yield
        finally:
            self._kubelet.patient = False
        self._events.forget_before(stamp(now - _EVENT_LIFE))

    def create(self, manifest: Json, manager: str = "kubectl-create") -> Json:
        """Create one object of a manifest, as `kubectl create` would."""
        kind = by_kind(manifest["apiVersion"], manifest["kind"])
        if kind is None:
            message = f"this cluster has no {manifest['kind']} of {manifest['apiVersion']}"
            raise ValueError(message)
        namespace = manifest["metadata"].get("namespace", "default") if kind.namespaced else ""
        return self.api.create(kind, namespace, manifest, Writer(manager))

    def set_image(self, namespace: str, deployment: str, image: str, manager: str = "kubectl-set") -> None:
        """Change an image by hand, behind the bot's back."""

        def change(draft: Json) -> None:
            draft["spec"]["template"]["spec"]["containers"][0]["image"] = image

        self.api.modify(DEPLOYMENT, namespace, deployment, change, Writer(manager))

    def annotate_pod(self, namespace: str, name: str, key: str, value: str | None) -> None:
        """Write an annotation on a pod, or take it away; nothing where the pod is gone."""

        def change(draft: Json) -> None:
            annotations = draft["metadata"].setdefault("annotations", {})
            annotations.pop(key, None)
            if value is not None:
                annotations[key] = value

        if self.api.store.get(POD, namespace, name) is not None:
            self.api.modify(POD, namespace, name, change, Writer("kubectl-annotate"))

    def add_ephemeral(self, namespace: str, name: str, container: str, image: str) -> None:
        """Put a container into a running pod, as `kubectl debug` does where the cluster allows it; it runs at once."""
        pod = copy.deepcopy(self.api.get(POD, namespace, name))
        entry = {"name": container, "image": image}
        state = {"running": {"startedAt": stamp(self.api.clock.now())}}
        told = {**entry, "imageID": "", "ready": False, "restartCount": 0, "state": state, "lastState": {}}
        pod["spec"].setdefault("ephemeralContainers", []).append(entry)
        pod["status"].setdefault("ephemeralContainerStatuses", []).append(told)
        self.api.store.put(POD, pod)  # a subresource of its own, which may change what an update may not

    def add_scripts(self, scripts: Scripts) -> None:
        """What `npm run` knows in this cluster's pods, besides what every image has."""
        self.api.scripts.update(scripts)

    @property
    def faults(self) -> Faults:
        """What is wrong beyond the objects."""
        return self._kubelet.faults

    def let_ready(self, image: str) -> None:
        """Pods that `faults.unready` kept by this name get ready."""
        self._kubelet.let_ready(image)

    def lose_node(self, name: str) -> None:
        """The node falls silent."""
        self._kubelet.lose(name)

    def find_nodes(self) -> None:
        """Nodes that fell silent speak again."""
        self._kubelet.find()

    def replace(self, kind: Kind, namespace: str, name: str, obj: Json | None) -> None:
        """The object is this one now, as it stands, or none: by force, whatever its finalizers say."""
        found = self.store.get(kind, namespace, name)
        if found is not None:
            self.store.remove(kind, found)
        if obj is not None:
            self.store.put(kind, obj)

    def delete_pod(self, namespace: str, name: str) -> None:
        self.api.delete(POD, namespace, name)

    def reset(self) -> None:
        """Back to an empty cluster; who watches sees everything go."""
        now = self.clock.now()
        self.clock.hold(now)
        self.store.clear()
        self.clock.forget_timers()
        self._kubelet.clear()
        self._events.clear()
        for controller in self._controllers:
            controller.queue.clear()
        self._furnish()

    def pods(self, namespace: str = "") -> tuple[view.PodView, ...]:
        return view.pods(self.store, namespace)

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        return view.on_change(self.store, callback)

    def changes(self, namespace: str = "") -> AsyncGenerator[tuple[view.PodView, ...]]:
        return view.changes(self.store, namespace)

    def user(self, name: str) -> User:
        found = next((user for user in self.settings.users if user.name == name), None)
        if found is None:
            known = ", ".join(user.name for user in self.settings.users)
            message = f"this cluster has no user {name}; it has {known}"
            raise ValueError(message)
        return found

    def issue_token(self, user: str, lives: timedelta) -> str:
        """A token that is good for so long, as `kubectl create token` makes one."""
        return self._routes.tokens.issue(self.user(user), self.clock.now() + lives)

    def revoke_tokens(self) -> None:
        """None of those that were issued is good any more."""
        self._routes.tokens.revoke()

    def kubeconfig(self, user: str = "admin", namespace: str = "omnicare-prod") -> str:
        """A kubeconfig for one user, as YAML; only while the cluster is served."""
        if not self.url or self._certificate is None:
            message = "the cluster is not served, so there is no address to put into a kubeconfig"
            raise RuntimeError(message)
        authority = base64.b64encode(self._certificate.certificate.encode()).decode()
        name = "sandbox"
        context = {"cluster": name, "user": user, "namespace": namespace}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": self.url, "certificate-authority-data": authority}}],
                "users": [{"name": user, "user": {"token": self.user(user).token}}],
                "contexts": [{"name": name, "context": context}],
                "current-context": name,
            },
            sort_keys=False,
        )

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve until the block ends; gives the address."""
        return self._serve(host, port)

    @asynccontextmanager
    async def _serve(self, host: str, port: int) -> AsyncIterator[str]:
        self._certificate = self._certificate or self_signed("omnicare-sandbox")
        # A client that goes (a bot that is killed) ends its watches at once: no state changes across an await here.
        runner = web.AppRunner(
            self._routes.application(), access_log=None, shutdown_timeout=_STOP_SECONDS, handler_cancellation=True
        )
        await runner.setup()
        self._routes.down = False
        try:
            site = web.TCPSite(runner, host, port, ssl_context=_tls(self._certificate), reuse_address=True)
            await site.start()
            bound = runner.addresses[0][1]
            self.url = f"https://{host}:{bound}"
            self._loop = asyncio.get_running_loop()
            self.clock.go_live(self._loop)
            yield self.url
        finally:
            self._routes.down = True
            for watch in tuple(self._routes.watches):
                watch.close()
            self.clock.stop()
            self._loop = None
            await runner.cleanup()
            self.url = ""

    def resume(self) -> None:
        """Let time pass by itself again, if the cluster is being served."""
        if self._loop is not None:
            self.clock.go_live(self._loop)


class _held:  # noqa: N801
    """A block that happens at another time; at its end everything due until `until` has happened."""

    def __init__(self, cluster: Cluster, at: datetime, until: datetime | None = None) -> None:
        self._cluster, self._at, self._until = cluster, at, until

    def __enter__(self) -> None:
        self._cluster.clock.hold(self._at)

    def __exit__(self, *_: object) -> None:
        self._cluster.clock.advance(self._until or datetime.now(UTC))
        self._cluster.resume()


def _tls(certificate: Certificate) -> ssl.SSLContext:
    """The module `ssl` reads certificates from files only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        chain.write_text(certificate.certificate)
        key.write_text(certificate.key)
        context.load_cert_chain(chain, key)
    return context
