"""Admission webhooks: the view and how it is read from Kubernetes' JSON."""

from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, fields, listed, text, texts
from runbooks.clients.kubernetes.listed_kinds import ListedKind
from runbooks.clients.kubernetes.selecting import LabelSelector, label_selector


@dataclass(frozen=True, slots=True)
class WebhookView:
    """One webhook of a configuration: who is asked before an object is created or changed."""

    name: str
    namespace: str
    """Of the Service that is asked; empty where an address is."""
    service: str
    required: bool
    """Without an answer the change is refused (`failurePolicy: Fail`)."""
    resources: frozenset[str]
    """`pods`, `*`; of every API group."""
    selector: LabelSelector
    """Of the namespaces that it is about."""


def webhooks(item: Json) -> tuple[WebhookView, ...]:
    """Return the webhooks of a configuration from Kubernetes' JSON."""
    return tuple(map(_webhook, listed(item, "webhooks")))


def _webhook(item: Json) -> WebhookView:
    service = fields(item, "clientConfig", "service")
    return WebhookView(
        name=text(item, "name"),
        namespace=text(service, "namespace"),
        service=text(service, "name"),
        required=text(item, "failurePolicy", "Fail") == "Fail",
        resources=frozenset(_resources(item)),
        selector=label_selector(item, "namespaceSelector"),
    )


def _resources(item: Json) -> Iterator[str]:
    for rule in listed(item, "rules"):
        if text(rule, "scope", "*") != "Cluster":
            yield from texts(rule, "resources")


_ADMISSION = ("/apis/admissionregistration.k8s.io/v1",)
VALIDATING = ListedKind(_ADMISSION, "validatingwebhookconfigurations", "validating webhooks", webhooks)
MUTATING = ListedKind(_ADMISSION, "mutatingwebhookconfigurations", "mutating webhooks", webhooks)
