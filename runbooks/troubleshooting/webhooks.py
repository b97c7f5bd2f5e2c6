"""Admission webhooks that do not answer: if one is required, the cluster refuses every change that it is asked about."""

import asyncio
from collections.abc import Iterable

from runbooks.clients.kubernetes.webhooks import MUTATING, VALIDATING, WebhookView
from runbooks.diagnosis import clean
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.observe import by_hand
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import counted, listed

_CHANGED = ("pods", "deployments", "replicasets", "deployments/scale", "jobs", "configmaps", "secrets")
"""What a deploy changes or makes."""
_ALL = frozenset({"*", "*/*"})
_NAME = "kubernetes.io/metadata.name"
"""The label that every namespace has, with its own name."""
_EXPLAINS = (Trouble.QUOTA, Trouble.AUTOSCALER, Trouble.ROLLOUT_STUCK, Trouble.NOT_READY, Trouble.NOT_SERVED, Trouble.ERRORS, Trouble.METRIC, Trouble.ALERT)  # fmt: skip


class Webhooks(RegionRule):
    """Looks at the admission webhooks that are asked about this namespace's pods, Deployments and configuration."""

    name = "admission webhooks"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:  # noqa: ARG002 - they are the cluster's
        """Return the required ones whose Service has no ready endpoint. Without the rights for it, it could not look."""
        cluster, namespace = place.place.cluster, place.environment.namespace
        both = await asyncio.gather(cluster.every(VALIDATING), cluster.every(MUTATING))
        every = [each for kind in both for configuration in kind for each in configuration]
        required = [each for each in every if each.required and each.service and _is_about(each, namespace)]
        services: dict[tuple[str, str], list[WebhookView]] = {}
        for each in required:
            services.setdefault((each.namespace, each.service), []).append(each)
        missing = await asyncio.gather(*(_nobody(place, *service) for service in services))
        return RuleAnswer(
            found=tuple(
                _finding(place, *service, why, services[service])
                for service, why in zip(services, missing, strict=True)
                if why
            ),
            details=counted(len(every), "webhook") if every else "",
        )


def _is_about(each: WebhookView, namespace: str) -> bool:
    """Return whether it may be asked about the namespace, of whose labels only the name is known."""
    rules = [rule.holds({_NAME: namespace}) for rule in each.selector.rules if rule.key == _NAME]
    named = each.selector.labels.get(_NAME, namespace) == namespace
    return named and all(rules) and bool(each.resources & (_ALL | frozenset(_CHANGED)))


async def _nobody(place: PlaceFacts, namespace: str, service: str) -> str:
    """Return why that Service can't answer; empty where it can."""
    try:
        behind = await place.place.cluster.endpoints(namespace, service)
    except PermanentError as error:
        if error.code is not ReasonCode.NOT_FOUND:
            raise
        return "does not exist"
    return "" if behind.ready else "has no ready pod"


def _finding(place: PlaceFacts, namespace: str, service: str, why: str, asked: Iterable[WebhookView]) -> Finding:
    webhooks = list(asked)
    sure = all(not each.selector.keys - {_NAME} for each in webhooks)
    what = listed(sorted({name for each in webhooks for name in each.resources if name in _CHANGED or name in _ALL}))
    said = "everything" if any(each.resources & _ALL for each in webhooks) else what
    there = place.environment.model_copy(update={"namespace": namespace})
    names = listed((each.name for each in webhooks), most=2)
    return Finding(
        kind=Trouble.WEBHOOK,
        cause=clean(
            f"The cluster refuses changes to {said}: Service {service} in {namespace} {why}, and admission webhook {names} needs it"
        ),
        evidence=("Its failurePolicy is Fail: without an answer, no pod of a rollout or a restart is created.",),
        confidence=Confidence.CERTAIN if sure else Confidence.LIKELY,
        explains=_EXPLAINS,
        to_do=(
            ToDo(
                text=f"Bring back the pods of Service {service}, or, if it was uninstalled, delete the webhook's configuration. See what is there: `{by_hand.kubectl(there, 'get', 'pods,endpoints')}`"
            ),
            ToDo(text="If that takes long, its owner can set `failurePolicy` to Ignore until then"),
        ),
    )
