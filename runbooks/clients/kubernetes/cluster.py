"""A client for the Kubernetes API that returns small values, raises this project's errors, and has a deadline on every call.

    async with ClusterClient(kubeconfig="…") as cluster:
        deployment = await cluster.deployment("omnicare-prod", "backend")

One object with one connection pool, for the life of the process. Watch, never poll: `watch_*` survive broken connections.
The SDK is imported when the client is entered, so importing this module is cheap.
"""

import base64
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from runbooks.clients.kubernetes import cluster_events, reading
from runbooks.clients.kubernetes.autoscalers import AUTOSCALERS, AutoscalerView
from runbooks.clients.kubernetes.cert_manager import ManagedCertificateView, managed_certificate
from runbooks.clients.kubernetes.connection import FIELD_MANAGER, ClusterOutage, Connection, Timing
from runbooks.clients.kubernetes.errors import Conflict, OwnedByAnother
from runbooks.clients.kubernetes.exec import Exec, Program
from runbooks.clients.kubernetes.fields import fields, listed, text
from runbooks.clients.kubernetes.jobs import Jobs
from runbooks.clients.kubernetes.listed_kinds import ListedKind
from runbooks.clients.kubernetes.mirrors import Mirrors
from runbooks.clients.kubernetes.services import EndpointsView, ServiceView, endpoints, service
from runbooks.clients.kubernetes.views import (
    AccessReview,
    ConfigMapView,
    DeploymentView,
    EventView,
    NodeView,
    PodView,
    QuotaView,
    ReplicaSetView,
    SecretView,
    Seen,
    UsageView,
)
from runbooks.clients.kubernetes.watch import Watch
from runbooks.clients.kubernetes.written import METADATA, METADATA_LIST, WrittenView, scaled, written, written_by
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode

V = TypeVar("V")

_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
"""The body is JSON, which is YAML too."""
_CONFLICT = "Apply failed with "
"""How Kubernetes' message begins where other field managers' values stand against a server-side apply: `1 conflict: conflict with …`, `2 conflicts: conflicts with …`."""
_METRICS = "/apis/metrics.k8s.io/v1beta1"
_CHUNK = 256 * 1024


class ClusterClient:
    """A cluster: from a kubeconfig and one of its contexts, or (without a kubeconfig) the one that the bot runs in."""

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        timing: Timing | None = None,
        mirrors: Mapping[str, str] | None = None,
    ) -> None:
        self._mirrors = Mirrors(mirrors or {})
        self._connection = Connection(kubeconfig, context, timing or Timing())

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    @property
    def server(self) -> str:
        """The API's address."""
        return self._connection.server

    def unanswered(self) -> ClusterOutage:
        """Return how long the cluster has not answered repeated requests, and what it does instead; 0 s while it answers."""
        return self._connection.unanswered()

    # reading

    async def version(self) -> str:
        """The server's version, such as `v1.28.4`."""
        answer = await self._connection.call("GET", "/version", doing="report its version", of_kind=False)
        return str(answer["gitVersion"])

    async def namespace_labels(self, namespace: str) -> dict[str, str]:
        """Return a namespace's labels. Raises PermanentError(NOT_FOUND) if it does not exist."""
        found = await self._get(f"/api/v1/namespaces/{namespace}", f"read namespace {namespace}")
        return dict(found.get("metadata", {}).get("labels") or {})

    async def deployment(self, namespace: str, name: str) -> DeploymentView:
        doing = f"read deployment {namespace}/{name}"
        return self._mirrors.deployment(await self._get(_apps(namespace, "deployments", name), doing))

    async def deployments(self, namespace: str) -> list[DeploymentView]:
        items = await self._items(_apps(namespace, "deployments"), f"list deployments in {namespace}")
        return [self._mirrors.deployment(item) for item in items]

    async def replica_sets(self, namespace: str, selector: str = "") -> list[ReplicaSetView]:
        items = await self._items(_apps(namespace, "replicasets"), f"list replica sets in {namespace}", selector)
        return [self._mirrors.replica_set(item) for item in items]

    async def pods(self, namespace: str, selector: str = "") -> list[PodView]:
        items = await self._items(_core(namespace, "pods"), f"list pods in {namespace}", selector)
        return [self._mirrors.pod(item) for item in items]

    async def pods_of(self, deployment: DeploymentView) -> list[PodView]:
        """Return the pods that match the Deployment's selector."""
        return await self.pods(deployment.namespace, deployment.selector)

    async def events(self, namespace: str, *, about: str | None = None) -> list[EventView]:
        """Return the events of the namespace, or of one object by its uid, oldest first."""
        fields = f"involvedObject.uid={about}" if about else ""
        items = await self._items(_core(namespace, "events"), f"list events in {namespace}", fields=fields)
        return sorted((cluster_events.event(item) for item in items), key=lambda event: event.order)

    async def events_of_node(self, name: str) -> list[EventView]:
        """Return a node's events, oldest first. Kubernetes writes them into the namespace `default`, with the node's name as its uid or not."""
        about = f"involvedObject.kind=Node,involvedObject.name={name}"
        items = await self._items(_core("default", "events"), "list events of nodes", fields=about)
        return sorted((cluster_events.event(item) for item in items), key=lambda event: event.order)

    async def nodes(self) -> list[NodeView]:
        return [reading.node(item) for item in await self._items("/api/v1/nodes", "list nodes")]

    async def quotas(self, namespace: str) -> list[QuotaView]:
        items = await self._items(_core(namespace, "resourcequotas"), f"list resource quotas in {namespace}")
        return [reading.quota(item) for item in items]

    async def pods_everywhere(self) -> list[PodView]:
        """Return all pods in the cluster that have not ended: they use the nodes' capacity."""
        over = "status.phase!=Succeeded,status.phase!=Failed"
        return [self._mirrors.pod(item) for item in await self._items("/api/v1/pods", "list all pods", fields=over)]

    async def endpoints(self, namespace: str, service: str) -> EndpointsView:
        doing = f"read endpoints {namespace}/{service}"
        return endpoints(await self._get(_core(namespace, "endpoints", service), doing))

    async def service(self, namespace: str, name: str) -> ServiceView:
        """Return a Service with its ports."""
        return service(await self._get(_core(namespace, "services", name), f"read service {namespace}/{name}"))

    async def services(self, namespace: str) -> list[ServiceView]:
        items = await self._items(_core(namespace, "services"), f"list services in {namespace}")
        return [service(item) for item in items]

    async def every_endpoints(self, namespace: str) -> list[EndpointsView]:
        """Return the endpoints of each Service in the namespace."""
        items = await self._items(_core(namespace, "endpoints"), f"list endpoints in {namespace}")
        return [endpoints(item) for item in items]

    async def autoscalers(self, namespace: str) -> list[AutoscalerView]:
        return await self.every(AUTOSCALERS, namespace)

    async def every(self, kind: ListedKind[V], namespace: str = "") -> list[V]:
        """Return the objects of that kind, by the newest version of its API that is served; without a namespace, those of the whole cluster."""
        doing = f"list {kind.shown}" + (f" in {namespace}" if namespace else "")
        for version in kind.versions[:-1]:
            try:
                return [kind.read(item) for item in await self._items(kind.path(version, namespace), doing)]
            except PermanentError as error:
                if error.code is not ReasonCode.NOT_FOUND:
                    raise
        return [kind.read(item) for item in await self._items(kind.path(kind.versions[-1], namespace), doing)]

    async def api_groups(self) -> frozenset[str]:
        """Return the names of the API groups that the cluster serves, the core group apart."""
        answer = await self._get("/apis", "list the API groups")
        return frozenset(text(each, "name") for each in listed(answer, "groups"))

    async def usage_of_pods(self, namespace: str) -> list[UsageView]:
        """Return what the metrics API measured of each running pod; a pod that has just started is not there yet."""
        items = await self._items(f"{_METRICS}/namespaces/{namespace}/pods", f"read the usage of pods in {namespace}")
        return [reading.usage(item) for item in items]

    async def usage_of_nodes(self) -> list[UsageView]:
        """Return what the metrics API measured of each node."""
        return [reading.usage(item) for item in await self._items(f"{_METRICS}/nodes", "read the usage of nodes")]

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        tail: int | None = None,
        since: datetime | None = None,
        previous: bool = False,
        timestamps: bool = False,
        follow: bool = False,
        silence: float | None = None,
    ) -> AsyncGenerator[bytes]:
        """Yield a container's log in chunks of at most 256 KB, cut anywhere; `previous` is the log before the last restart.

        A stream without data for `silence` seconds ends with an error. `since` is in whole seconds.
        """
        query = {"container": container}
        if tail is not None:
            query["tailLines"] = str(tail)
        if since is not None:
            query["sinceTime"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if follow:
            query["follow"] = "true"
        if previous:
            query["previous"] = "true"
        if timestamps:
            query["timestamps"] = "true"
        path = _core(namespace, "pods", pod) + "/log"
        silence = silence or self._connection.timing.silence
        async with self._connection.stream(path, doing=f"read the log of {pod}", query=query, silence=silence) as log:
            while chunk := await log.read(_CHUNK):
                yield chunk

    async def secret(self, namespace: str, name: str) -> SecretView:
        """Return a Secret that the bot may read by its name: the database reader's."""
        return reading.secret(await self._get(_core(namespace, "secrets", name), f"read Secret {namespace}/{name}"))

    async def public_certificate(self, namespace: str, name: str) -> bytes:
        """Return `tls.crt` of a TLS Secret, as PEM; empty where it has none. Its private key comes along and is dropped unread."""
        found = await self._get(_core(namespace, "secrets", name), f"read Secret {namespace}/{name}")
        with suppress(ValueError):
            return base64.b64decode(text(fields(found, "data"), "tls.crt"))
        return b""

    async def managed_certificates(self, namespace: str) -> list[ManagedCertificateView]:
        """Return cert-manager's Certificates."""
        path = f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificates"
        return [managed_certificate(item) for item in await self._items(path, f"list Certificates in {namespace}")]

    async def may(
        self, verb: str, group: str, resource: str, namespace: str = "", subresource: str = "", name: str = ""
    ) -> AccessReview:
        """Return whether the bot's account may do it (SelfSubjectAccessReview)."""
        wanted = {
            "verb": verb, "group": group, "resource": resource, "namespace": namespace, "subresource": subresource,
            "name": name,
        }  # fmt: skip
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await self._connection.call("POST", path, doing="list the bot's permissions", body=body)
        return AccessReview(bool(answer["status"].get("allowed")), answer["status"].get("reason") or "")

    def programs(self, closed: Iterable[Program]) -> Exec:
        """Return a runner for the only programs that may run in this cluster's pods."""
        return Exec(self._connection, closed)

    @property
    def jobs(self) -> Jobs:
        """The Jobs of this cluster: creating, watching and deleting them."""
        return Jobs(self._connection)

    # changing

    async def patch_deployment(
        self, namespace: str, name: str, patch: Sequence[Mapping[str, Any]], *, manager: str = FIELD_MANAGER
    ) -> DeploymentView:
        """Apply a JSON Patch completely or not at all. Raises `Unprocessable` if one of its tests fails."""
        answer = await self._connection.call(
            "PATCH",
            _apps(namespace, "deployments", name),
            doing=f"change deployment {namespace}/{name}",
            query={"fieldManager": manager},
            body=[dict(operation) for operation in patch],
            content_type=_JSON_PATCH,
        )
        return self._mirrors.deployment(answer)

    async def patch_secret(
        self, seen: SecretView, values: Mapping[str, bytes], annotations: Mapping[str, str]
    ) -> SecretView:
        """Set these values and annotations, all in one change, and return it as it is then. Raises `Conflict` if somebody else has changed it since it was read."""
        encoded = {key: base64.b64encode(value).decode() for key, value in values.items()}
        answer = await self._connection.call(
            "PATCH",
            _core(seen.namespace, "secrets", seen.name),
            doing=f"change secret {seen.namespace}/{seen.name}",
            query={"fieldManager": FIELD_MANAGER},
            body={
                "metadata": {"resourceVersion": seen.resource_version, "annotations": dict(annotations)},
                "data": encoded,
            },
            content_type=_MERGE_PATCH,
        )
        return reading.secret(answer)

    # ConfigMaps: the fleet's record

    async def config_map(self, namespace: str, name: str) -> ConfigMapView:
        doing = f"read ConfigMap {namespace}/{name}"
        return reading.config_map(await self._get(_core(namespace, "configmaps", name), doing))

    async def config_map_if_any(self, namespace: str, name: str) -> ConfigMapView | None:
        """Return it; None where there is none."""
        try:
            return await self.config_map(namespace, name)
        except PermanentError as error:
            if error.code is not ReasonCode.NOT_FOUND:
                raise
            return None

    async def config_maps(self, namespace: str, selector: str = "") -> list[ConfigMapView]:
        items = await self._items(_core(namespace, "configmaps"), f"list ConfigMaps in {namespace}", selector)
        return [reading.config_map(item) for item in items]

    async def config_maps_written(self, namespace: str) -> list[WrittenView]:
        """Return when each was last written and by whom, without its contents."""
        return [found for item in await self._config_maps_alone(namespace) if (found := written(item)) is not None]

    async def config_maps_written_by_bot(self, namespace: str) -> list[WrittenView]:
        """Return when the bot wrote each last, whoever wrote it later."""
        items = await self._config_maps_alone(namespace)
        return [found for item in items if (found := written_by(item, FIELD_MANAGER)) is not None]

    async def _config_maps_alone(self, namespace: str) -> list[Mapping[str, Any]]:
        path, doing = _core(namespace, "configmaps"), f"list ConfigMaps in {namespace}"
        return listed(await self._connection.call("GET", path, doing=doing, accept=METADATA_LIST), "items")

    async def deployments_scaled(self, namespace: str) -> list[WrittenView]:
        """Return who set the number of pods of each Deployment last, and when, where Kubernetes says so."""
        path, doing = _apps(namespace, "deployments"), f"list deployments in {namespace}"
        answer = await self._connection.call("GET", path, doing=doing, accept=METADATA_LIST)
        return [found for item in listed(answer, "items") if (found := scaled(item)) is not None]

    async def secret_written(self, namespace: str, name: str) -> WrittenView | None:
        """Return when a Secret was last written and by whom: its contents are not asked for."""
        path, doing = _core(namespace, "secrets", name), f"read Secret {namespace}/{name}"
        return written(await self._connection.call("GET", path, doing=doing, accept=METADATA))

    async def create_config_map(
        self, namespace: str, name: str, data: Mapping[str, str], labels: Mapping[str, str]
    ) -> ConfigMapView:
        """Create it. Raises `AlreadyThere` if it exists."""
        answer = await self._connection.call(
            "POST",
            _core(namespace, "configmaps"),
            doing=f"create ConfigMap {namespace}/{name}",
            query={"fieldManager": FIELD_MANAGER},
            body=_config_map(name, data, labels),
        )
        return reading.config_map(answer)

    async def replace_config_map(self, seen: ConfigMapView, data: Mapping[str, str]) -> ConfigMapView:
        """Replace the version that was read. Raises `Conflict` if somebody else has changed it since."""
        answer = await self._connection.call(
            "PUT",
            _core(seen.namespace, "configmaps", seen.name),
            doing=f"replace ConfigMap {seen.namespace}/{seen.name}",
            query={"fieldManager": FIELD_MANAGER},
            body=_config_map(seen.name, data, seen.labels, seen.resource_version),
        )
        return reading.config_map(answer)

    async def apply_config_map(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        labels: Mapping[str, str],
        *,
        dry_run: bool = False,
        take_over: bool = False,
        over: str = "",
    ) -> ConfigMapView:
        """Apply it on the server's side, and return it as it is then.

        `dry_run`: the server says what would be, and keeps nothing. `over`: the resource version that it replaces. Raises `OwnedByAnother`
        where another field manager has a value that would change, unless it is to be taken over, and `Conflict` for another version.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if take_over else "false"}
        try:
            answer = await self._connection.call(
                "PATCH",
                _core(namespace, "configmaps", name),
                doing=f"apply ConfigMap {namespace}/{name}",
                query=query | ({"dryRun": "All"} if dry_run else {}),
                body=_config_map(name, data, labels, over or None),
                content_type=_APPLY_PATCH,
            )
        except Conflict as error:
            if not any(each.startswith(_CONFLICT) for each in error.evidence):
                raise
            raise OwnedByAnother(
                f"ConfigMap {namespace}/{name} has values that another field manager owns; they are not overwritten.",
                code=ReasonCode.FIELD_CONFLICT,
                evidence=error.evidence,
                advice=(
                    "Decide who owns the value: take it out of the file, have its owner take the file's value, or, if somebody set it by hand, type the command again with `--take-over`.",
                ),
            ) from error
        return reading.config_map(answer)

    async def delete_config_map(self, namespace: str, name: str) -> None:
        path = _core(namespace, "configmaps", name)
        await self._connection.call("DELETE", path, doing=f"delete ConfigMap {namespace}/{name}")

    # watching

    def watch_deployments(self, namespace: str, name: str | None = None) -> AsyncGenerator[Seen[DeploymentView]]:
        query = {"fieldSelector": f"metadata.name={name}"} if name else {}
        path = _apps(namespace, "deployments")
        return Watch(
            self._connection, path, query, self._mirrors.deployment, f"watch deployments in {namespace}"
        ).seen()

    def watch_replica_sets(self, namespace: str, selector: str = "") -> AsyncGenerator[Seen[ReplicaSetView]]:
        query = {"labelSelector": selector} if selector else {}
        path = _apps(namespace, "replicasets")
        return Watch(
            self._connection, path, query, self._mirrors.replica_set, f"watch replica sets in {namespace}"
        ).seen()

    def watch_pods(self, namespace: str, selector: str = "") -> AsyncGenerator[Seen[PodView]]:
        query = {"labelSelector": selector} if selector else {}
        path = _core(namespace, "pods")
        return Watch(self._connection, path, query, self._mirrors.pod, f"watch pods in {namespace}").seen()

    def watch_events(self, namespace: str) -> AsyncGenerator[Seen[EventView]]:
        """Yield the namespace's events, and `LISTED` once they are listed: that may come late, or fail where the rest answers."""
        path, doing = _core(namespace, "events"), f"watch events in {namespace}"
        return Watch(self._connection, path, {}, cluster_events.event, doing, listed_as=cluster_events.LISTED).seen()

    def watch_config_maps(self, namespace: str, name: str | None = None) -> AsyncGenerator[Seen[ConfigMapView]]:
        query = {"fieldSelector": f"metadata.name={name}"} if name else {}
        path = _core(namespace, "configmaps")
        return Watch(self._connection, path, query, reading.config_map, f"watch ConfigMaps in {namespace}").seen()

    async def _get(self, path: str, doing: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await self._connection.call("GET", path, doing=doing)
        return answer

    async def _items(self, path: str, doing: str, selector: str = "", fields: str = "") -> list[Mapping[str, Any]]:
        query = {"labelSelector": selector} if selector else {}
        if fields:
            query["fieldSelector"] = fields
        answer = await self._connection.call("GET", path, doing=doing, query=query)
        return list(answer.get("items") or [])


def _core(namespace: str, kind: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")


def _apps(namespace: str, kind: str, name: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")


def _config_map(
    name: str, data: Mapping[str, str], labels: Mapping[str, str], version: str | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": dict(labels)}
    if version is not None:
        metadata["resourceVersion"] = version
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
