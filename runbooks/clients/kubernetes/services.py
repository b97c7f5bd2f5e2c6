"""Services and the endpoints behind them: the views and how they are read from Kubernetes' JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runbooks.clients.kubernetes.fields import Json, count, fields, listed, mapped, stamp, text


@dataclass(frozen=True, slots=True)
class EndpointsView:
    """The pods that a Service sends requests to."""

    name: str
    ready: tuple[str, ...]
    """Pod names, or addresses without a pod."""
    not_ready: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service."""

    port: int
    target: str
    """The pods' port: a number, or the name of one."""
    name: str = ""
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A Service: a name and ports for the pods that it selects."""

    name: str
    type: str
    ports: tuple[ServicePort, ...]
    created: str = ""
    selector: Mapping[str, str] = field(default_factory=dict)
    """The labels of its pods; none where somebody else writes its endpoints."""


def endpoints(item: Json) -> EndpointsView:
    """Return the endpoints from Kubernetes' JSON."""

    def names(key: str) -> tuple[str, ...]:
        found = [each for subset in listed(item, "subsets") for each in listed(subset, key)]
        return tuple(sorted(text(fields(each, "targetRef"), "name") or text(each, "ip") for each in found))

    return EndpointsView(text(fields(item, "metadata"), "name"), names("addresses"), names("notReadyAddresses"))


def service(item: Json) -> ServiceView:
    """Return the Service from Kubernetes' JSON."""
    meta, spec = fields(item, "metadata"), fields(item, "spec")
    ports = tuple(
        ServicePort(
            port=count(each, "port"),
            target=str(each.get("targetPort") or count(each, "port")),
            name=text(each, "name"),
            protocol=text(each, "protocol", "TCP"),
        )
        for each in listed(spec, "ports")
    )
    return ServiceView(
        name=text(meta, "name"),
        type=text(spec, "type", "ClusterIP"),
        ports=ports,
        created=stamp(meta, "creationTimestamp"),
        selector=mapped(spec, "selector"),
    )
