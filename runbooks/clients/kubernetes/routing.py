"""What leads requests to pods or keeps them away, Ingresses and NetworkPolicies: the views and how they are read from Kubernetes' JSON."""

from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, count, fields, listed, text, texts
from runbooks.clients.kubernetes.listed_kinds import ListedKind
from runbooks.clients.kubernetes.selecting import LabelSelector, label_selector

_DNS = 53


@dataclass(frozen=True, slots=True)
class IngressBackend:
    """A Service to which an Ingress sends requests."""

    service: str
    port: str
    """A number, or the name of one of the Service's ports; empty where it is not told."""
    host: str = ""
    """Of the requests; empty: of all."""


@dataclass(frozen=True, slots=True)
class IngressView:
    """An Ingress."""

    name: str
    backends: tuple[IngressBackend, ...]
    secrets: tuple[str, ...]
    """The TLS Secrets that it names."""


@dataclass(frozen=True, slots=True)
class NetworkPolicyView:
    """A NetworkPolicy."""

    name: str
    selector: LabelSelector
    """Of the pods that it is about."""
    limits_in: bool
    limits_out: bool
    lets_in: bool
    """It has a rule that allows some traffic in."""
    lets_out: bool
    lets_dns: bool
    """One of the rules for traffic out covers port 53, wherever it leads."""


def ingress(item: Json) -> IngressView:
    """Return the Ingress from Kubernetes' JSON."""
    spec = fields(item, "spec")
    names = (text(each, "secretName") for each in listed(spec, "tls"))
    return IngressView(
        name=text(fields(item, "metadata"), "name"),
        backends=tuple(dict.fromkeys(_backends(spec))),
        secrets=tuple(dict.fromkeys(filter(None, names))),
    )


def _backends(spec: Json) -> Iterator[IngressBackend]:
    yield from _backend(fields(spec, "defaultBackend"), "")
    for rule in listed(spec, "rules"):
        for path in listed(fields(rule, "http"), "paths"):
            yield from _backend(fields(path, "backend"), text(rule, "host"))


def _backend(item: Json, host: str) -> Iterator[IngressBackend]:
    """Yield the Service; a backend may also be another kind of object."""
    service = fields(item, "service")
    port = fields(service, "port")
    if name := text(service, "name"):
        yield IngressBackend(name, text(port, "name") or str(count(port, "number") or ""), host)


def network_policy(item: Json) -> NetworkPolicyView:
    """Return the policy from Kubernetes' JSON. Without `policyTypes` it is about traffic in, and out where it has such rules."""
    spec = fields(item, "spec")
    types = texts(spec, "policyTypes") or (("Ingress", "Egress") if listed(spec, "egress") else ("Ingress",))
    return NetworkPolicyView(
        name=text(fields(item, "metadata"), "name"),
        selector=label_selector(spec, "podSelector"),
        limits_in="Ingress" in types,
        limits_out="Egress" in types,
        lets_in=bool(listed(spec, "ingress")),
        lets_out=bool(listed(spec, "egress")),
        lets_dns=any(_has_dns(rule) for rule in listed(spec, "egress")),
    )


def _has_dns(rule: Json) -> bool:
    """Return whether it covers port 53; a rule without ports covers all, and a port by its name may be any."""
    ports = listed(rule, "ports")
    numbers = ((each.get("port"), count(each, "endPort")) for each in ports)
    return not ports or any(type(first) is not int or first <= _DNS <= max(first, last) for first, last in numbers)


_NETWORKING = ("/apis/networking.k8s.io/v1",)
INGRESSES = ListedKind(_NETWORKING, "ingresses", "Ingresses", ingress)
NETWORK_POLICIES = ListedKind(_NETWORKING, "networkpolicies", "NetworkPolicies", network_policy)
