"""Kinds that are only listed, on every cluster that there is: by the version of their API that it serves, as typed values."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runbooks.clients.kubernetes.claims import CLAIMS, ClaimView
from runbooks.clients.kubernetes.disruption_budgets import (
    DISRUPTION_BUDGETS,
    DisruptionBudgetView,
    disruption_budget,
)
from runbooks.clients.kubernetes.listed_kinds import ListedKind
from runbooks.clients.kubernetes.routing import (
    INGRESSES,
    NETWORK_POLICIES,
    IngressBackend,
    IngressView,
    NetworkPolicyView,
    ingress,
    network_policy,
)
from runbooks.clients.kubernetes.schedules import CRON_JOBS, CronJobView, cron_job
from runbooks.clients.kubernetes.selecting import LabelRule, LabelSelector
from runbooks.clients.kubernetes.webhooks import MUTATING, VALIDATING, WebhookView, webhooks
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from tests.support.real import Place

_POD = {"containers": [{"name": "a", "image": "ghcr.io/omnicare/a:v1"}], "restartPolicy": "Never"}
_HOOK = {
    "name": "pods.example.com",
    "clientConfig": {"service": {"namespace": "policies", "name": "kyverno"}},
    "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
    "namespaceSelector": {"matchLabels": {"omnicare.dev/none": "none"}},  # so that it is never asked
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}


async def _create(here: Place, kind: ListedKind[Any], name: str, namespace: str = "", **body: Any) -> None:
    """By the newest version that the control plane has."""
    for version in kind.versions:
        try:
            await here.create(kind.path(version, namespace), {"metadata": {"name": name}, **body})
        except PermanentError as error:
            if version == kind.versions[-1] or error.code is not ReasonCode.NOT_FOUND:
                raise
        else:
            return


def _claim(view: ClaimView) -> bool:
    return (view.phase, view.storage_class, view.volume) == ("Pending", "nothing-makes-it", "")


def _schedule(view: CronJobView) -> bool:
    return (view.schedule, view.suspended, view.forbids, view.active, view.last_started) == (
        "30 2 * * *", True, True, 0, "",
    )  # fmt: skip


def _budget(view: DisruptionBudgetView) -> bool:
    return view.rule == "maxUnavailable 0" and view.selector.selects({"app": "a"}) and not view.selector.selects({})


def _ingress(view: IngressView) -> bool:
    sent = (IngressBackend("everything", "http"), IngressBackend("backend", "80", "emr.example.com"))
    return (view.backends, view.secrets) == (sent, ("emr-tls",))


def _policy(view: NetworkPolicyView) -> bool:
    here = (view.limits_in, view.lets_in, view.limits_out, view.lets_out)
    rule = LabelRule("app", "In", ("a", "b"))
    return here == (True, True, True, False) and view.selector == LabelSelector({}, (rule,))


_KINDS: Mapping[str, tuple[ListedKind[Any], dict[str, Any], Callable[[Any], bool]]] = {
    "claims": (
        CLAIMS,
        {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "nothing-makes-it", "resources": {"requests": {"storage": "1Gi"}}}},
        _claim,
    ),
    "cron jobs": (
        CRON_JOBS,
        {"spec": {"schedule": "30 2 * * *", "suspend": True, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"template": {"spec": _POD}}}}},
        _schedule,
    ),
    "budgets": (
        DISRUPTION_BUDGETS,
        {"spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "a"}}}},
        _budget,
    ),
    "ingresses": (
        INGRESSES,
        {
            "spec": {
                "defaultBackend": {"service": {"name": "everything", "port": {"name": "http"}}},
                "tls": [{"hosts": ["emr.example.com"], "secretName": "emr-tls"}],
                "rules": [{"host": "emr.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "backend", "port": {"number": 80}}}}]}}],
            }
        },
        _ingress,
    ),
    "policies": (
        NETWORK_POLICIES,
        {"spec": {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}]}},
        _policy,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", _KINDS)
async def test_a_kind_is_listed_by_the_version_that_the_cluster_has(here: Place, name: str):
    kind, body, holds = _KINDS[name]
    assert await here.cluster.every(kind, here.namespace) == []
    await _create(here, kind, "one", here.namespace, **body)
    (view,) = await here.cluster.every(kind, here.namespace)
    assert holds(view), view


@pytest.mark.parametrize("kind", [VALIDATING, MUTATING], ids=["validating", "mutating"])
async def test_webhooks_are_the_whole_clusters(here: Place, kind: ListedKind[tuple[WebhookView, ...]]):
    name = f"test-{secrets.token_hex(4)}"
    await _create(here, kind, name, webhooks=[{**_HOOK, "name": f"{name}.example.com"}])
    try:
        found = [each for every in await here.cluster.every(kind) for each in every]
        (view,) = (each for each in found if each.name == f"{name}.example.com")
    finally:
        await here.connection.call(
            "DELETE", f"{kind.path(kind.versions[0], '')}/{name}", doing="remove a test's object"
        )
    assert (view.namespace, view.service, view.required) == ("policies", "kyverno", True)
    assert view.resources == {"pods"}
    assert view.selector.keys == {"omnicare.dev/none"}


@pytest.mark.parametrize(
    "broken", [None, "text", 7, [], {}, {"spec": "text"}, {"spec": {"rules": 7, "tls": [None], "podSelector": []}}]
)
def test_what_is_not_as_kubernetes_writes_it_is_read_as_empty(broken: Any):
    item = (
        broken
        if isinstance(broken, dict)
        else {"metadata": broken, "spec": broken, "status": broken, "webhooks": broken}
    )
    assert cron_job(item).schedule == ""
    assert not disruption_budget(item).current
    assert ingress(item).backends == ()
    assert not network_policy(item).lets_in
    assert webhooks(item) == ()


@pytest.mark.parametrize(
    ("rule", "covered"),
    [
        ({}, True),
        ({"ports": [{"port": 53, "protocol": "UDP"}]}, True),
        ({"ports": [{"port": 1, "endPort": 65535}]}, True),
        ({"ports": [{"port": "dns"}]}, True),
        ({"ports": [{"port": 5432}, {"port": 54, "endPort": 60}]}, False),
    ],
)
def test_a_rule_covers_dns_by_its_ports(rule: dict[str, Any], covered: bool):
    assert network_policy({"spec": {"egress": [rule]}}).lets_dns is covered


@pytest.mark.parametrize(
    ("operator", "values", "there", "absent"),
    [("In", ("a",), True, False), ("NotIn", ("a",), False, True), ("Exists", (), True, False), ("DoesNotExist", (), False, True), ("Near", (), False, False)],
)  # fmt: skip
def test_a_selector_selects_as_kubernetes_does(operator: str, values: tuple[str, ...], there: bool, absent: bool):
    selector = LabelSelector({"tier": "web"}, (LabelRule("app", operator, values),))
    assert selector.selects({"tier": "web", "app": "a"}) is there
    assert selector.selects({"tier": "web"}) is absent
    assert not selector.selects({"app": "a"})
