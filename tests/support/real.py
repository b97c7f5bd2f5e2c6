"""A cluster for a test: the real control plane that REAL_CLUSTER_KUBECONFIG names, or the sandbox's.

Each test gets namespaces of its own, labelled as throw-away, and leaves none behind.
"""

import asyncio
import hashlib
import json
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Connection, Timing
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.fleet.fleet import Fleet, Lease, utc_now
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Service

T = TypeVar("T")

VARIABLE = "REAL_CLUSTER_KUBECONFIG"
THROW_AWAY = {"omnicare.dev/throw-away": "true"}
QUICK = Timing(connect=5, call=10, watch=5, watch_grace=2, outage=20)


def real_kubeconfig() -> str | None:
    """The admin kubeconfig of the real control plane, if there is one."""
    path = os.environ.get(VARIABLE)
    return path if path and Path(path).exists() else None


def digest_of(repository: str, tag: str) -> str:
    """The digest that the stand-in nodes give to an image which is asked for by its tag."""
    return "sha256:" + hashlib.sha256(f"{repository}:{tag}".encode()).hexdigest()


def image(service: str, tag: str) -> Image:
    """An image of a seeded service, pinned."""
    repository = f"ghcr.io/omnicare/{service}"
    asked = f"{tag} before it was moved" if "moved" in tag else tag
    return Image(repository=repository, tag=tag, digest=digest_of(repository, asked))


@dataclass
class Place:
    """An environment of a test's own in a cluster."""

    cluster: ClusterClient
    connection: Connection
    environment: Environment
    kubeconfig: str
    fleet: Fleet = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.cluster)

    @property
    def namespace(self) -> str:
        return self.environment.namespace

    async def create(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self.connection.call("POST", path, doing="make a test's object", body=body)

    async def deploy(
        self, name: str = "backend", tag: str = "v1.2.0", *, replicas: int = 2, pinned: bool = True, **spec: Any
    ) -> None:
        """A Deployment as somebody made it long ago, complete."""
        reference = image(name, tag).reference if pinned else f"ghcr.io/omnicare/{name}:{tag}"
        await self.create(
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments", deployment(name, reference, replicas, **spec)
        )
        await self.until(name, lambda d: d.rolled_out and d.available == replicas)

    async def patch(self, name: str, *operations: Mapping[str, Any]) -> DeploymentView:
        """What a person does past the bot."""
        return await self.cluster.patch_deployment(self.namespace, name, operations, manager="kubectl-edit")

    async def set_image(self, name: str, reference: str) -> DeploymentView:
        """What `kubectl set image` does."""
        path = "/spec/template/spec/containers/0/image"
        operation = {"op": "replace", "path": path, "value": reference}
        return await self.cluster.patch_deployment(self.namespace, name, [operation], manager="kubectl-set")

    async def until_refused(self, words: str, *, kind: str = "pods", **container: Any) -> None:
        """Waits until a pod (or a volume claim) would be refused with these words: admission hears late of what was just made.

        Only the real control plane's does: the sandbox's looks at what is stored.
        """
        if self.kubeconfig != real_kubeconfig():
            return
        path = f"/api/v1/namespaces/{self.namespace}/{kind}"
        spec: dict[str, Any] = {
            "pods": {"containers": [{"name": "asked", "image": "ghcr.io/omnicare/asked:v1", **container}]},
            "persistentvolumeclaims": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        body = {"metadata": {"generateName": "asked-"}, "spec": spec[kind]}
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.connection.call("POST", path, doing="ask", query={"dryRun": "All"}, body=body)
                except RunbookError as error:
                    if words in " ".join(error.evidence):
                        return
                await asyncio.sleep(0.05)

    async def until(self, name: str, holds: Callable[[DeploymentView], bool]) -> DeploymentView:
        """Waits for the Deployment to be so."""
        async with asyncio.timeout(60), aclosing(self.cluster.watch_deployments(self.namespace, name)) as changes:
            async for seen in changes:
                if seen.view is not None and holds(seen.view):
                    return seen.view
        raise AssertionError("unreachable")

    async def looked(self) -> None:
        """Waits until the Deployment controller has looked at what was written so far: it takes changes in their order."""
        await self.deploy(f"last-{secrets.token_hex(4)}", replicas=0)

    def change(self, service: str = "backend", before: str = "v1.2.0", after: str = "v2.0.0") -> ImageChange:
        return ImageChange(
            service=service,
            namespace=self.namespace,
            deployment=service,
            container=service,
            before=image(service, before),
            after=image(service, after),
        )

    async def take(self, run: str, *, over: bool = False) -> None:
        """The run takes the environment, as the bot does before it stamps."""
        place = Lease(run=run, title="Deploy v2.0.0 to production", by="requester", since=utc_now())
        if over:
            holder = (await self.fleet.read(self.environment)).run
            assert await self.fleet.take_over(self.environment, place, of=holder)
        else:
            assert (await self.fleet.take(self.environment, place)).taken


def deployment(name: str, reference: str, replicas: int, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": name, "image": reference, **spec.pop("container", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "labels": labels,
            **({"annotations": spec.pop("annotations")} if "annotations" in spec else {}),
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **spec.pop("pod", {})}},
            **spec,
        },
    }


@asynccontextmanager
async def place(
    kubeconfig: str, *, timing: Timing = QUICK, services: tuple[str, ...] = ("backend", "frontend")
) -> AsyncIterator[Place]:
    """Two throw-away namespaces: the services' and the bot's own."""
    word = secrets.token_hex(4)
    environment = Environment(
        name="production",
        namespace=f"test-{word}",
        record_namespace=f"test-{word}-bot",
        services=tuple(
            Service(name=name, deployment=name, container=name, repository=f"ghcr.io/omnicare/{name}")
            for name in services
        ),
        compare_url="https://forge.example/omnicare/compare/{before}...{after}",
    )
    connection = Connection(kubeconfig, None, timing)
    await connection.open()
    try:
        async with ClusterClient(kubeconfig=kubeconfig, timing=timing) as cluster:
            made = Place(cluster, connection, environment, kubeconfig)
            names = (environment.namespace, environment.record_namespace)
            try:
                for name in names:
                    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": THROW_AWAY}}
                    await made.create("/api/v1/namespaces", body)
                await _account(made)
                yield made
            finally:
                for name in names:
                    await connection.call("DELETE", f"/api/v1/namespaces/{name}", doing="remove a test's namespace")
    finally:
        await connection.close()


async def _account(made: Place) -> None:
    """Waits for the namespace's service account, without which no pod is admitted there."""
    path = f"/api/v1/namespaces/{made.namespace}/serviceaccounts"
    query = {"watch": "true", "timeoutSeconds": "60"}
    try:
        async with made.connection.stream(path, doing="wait", query=query, silence=60) as lines:
            while line := await lines.readline():
                if json.loads(line)["object"]["metadata"]["name"] == "default":
                    return
    except PermanentError as error:
        if error.code is not ReasonCode.NOT_FOUND:  # the sandbox's cluster has no service accounts, and needs none
            raise


async def first(stream: AsyncGenerator[T, None], holds: Callable[[T], bool], *, seconds: float = 60) -> T:
    """The first thing in a stream that is so."""
    async with asyncio.timeout(seconds), aclosing(stream) as things:
        async for thing in things:
            if holds(thing):
                return thing
    raise AssertionError("the stream ended before")
