"""What will leave no room: quotas that are nearly used up, and disruption budgets that keep a node from being drained."""

from collections.abc import Iterator, Sequence

from runbooks.clients.kubernetes.disruption_budgets import DISRUPTION_BUDGETS, DisruptionBudgetView
from runbooks.clients.kubernetes.views import QuotaView
from runbooks.deployments.service_state import Listed
from runbooks.diagnosis import clean
from runbooks.diagnosis.quantities import amount
from runbooks.kit.targets import Service
from runbooks.observe import by_hand
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, found, not_configured
from runbooks.troubleshooting.lately import pods_of
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import counted, listed

_NEARLY = 0.9
_NAMED = 3


class Quotas(RegionRule):
    """Looks at how much of the namespace's quotas is used."""

    name = "quotas"
    permission = "fleet:read"
    contradicted_by = (Trouble.QUOTA,)

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:  # noqa: ARG002 - a quota is not of one service
        """Return those of which little is left. What is refused already is told with the pods that are missing."""
        quotas = await place.quotas()
        if not quotas:
            return not_configured()
        return found(*(each for quota in quotas for each in _quota(place, quota)))


def _quota(place: PlaceFacts, quota: QuotaView) -> Iterator[Finding]:
    shares = {
        name: amount(quota.used.get(name, 0)) / most for name, hard in quota.hard.items() if (most := amount(hard))
    }
    full = sorted((name for name, share in shares.items() if share >= _NEARLY), key=lambda name: -shares[name])
    if not full:
        return
    used = listed((f"{name} {quota.used[name]} of {quota.hard[name]}" for name in full), most=_NAMED)
    state = "used up" if shares[full[0]] >= 1 else "nearly used up"
    yield Finding(
        kind=Trouble.QUOTA,
        cause=clean(f"ResourceQuota {quota.name} is {state}: {used}"),
        evidence=("A rollout, a `scale` or an autoscaler that needs more gets no more pods.",),
        confidence=Confidence.CERTAIN,
        ahead=True,
        measured=True,
        to_do=(
            ToDo(
                text=f"Raise it before the next deploy: `{by_hand.kubectl(place.environment, 'edit', 'resourcequota', quota.name)}`"
            ),
            ToDo(text="See what is there", command="resources", label="Resources"),
        ),
    )


class DisruptionBudgets(RegionRule):
    """Looks at the PodDisruptionBudgets: whether a node with these pods can be drained."""

    name = "disruption budgets"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return those that allow no eviction although all of their pods are well. Where pods are not well, that is the trouble."""
        budgets = await place.place.cluster.every(DISRUPTION_BUDGETS, place.environment.namespace)
        if not budgets:
            return not_configured()
        here, findings = await place.listed(), []
        for budget in budgets:
            service = _service_of(budget, place.environment.services, here)
            if (case.service is None or service == case.service) and _forbids(budget):
                findings.append(_forbidding(place, budget, service))
        return RuleAnswer(found=tuple(findings), details=counted(len(budgets), "budget"))


def _forbids(budget: DisruptionBudgetView) -> bool:
    return budget.current and budget.pods > 0 and budget.allowed == 0 and budget.healthy >= budget.pods


def _service_of(budget: DisruptionBudgetView, services: Sequence[Service], here: Listed) -> Service | None:
    return next(
        (each for each in services if any(budget.selector.selects(pod.labels) for pod in pods_of(here, each))), None
    )


def _forbidding(place: PlaceFacts, budget: DisruptionBudgetView, service: Service | None) -> Finding:
    named = f"{service.name}: its" if service is not None else "The"
    rule = f" ({budget.rule})" if budget.rule else ""
    ready = "its pod is" if budget.pods == 1 else f"all {counted(budget.pods, 'pod')} are"
    line = by_hand.kubectl(place.environment, "edit", "poddisruptionbudget", budget.name)
    return Finding(
        kind=Trouble.DISRUPTION_BUDGET,
        cause=f"{named} PodDisruptionBudget {budget.name}{rule} allows no eviction, though {ready} ready",
        evidence=("Draining a node that runs such a pod never finishes, and neither does an upgrade of the nodes.",),
        confidence=Confidence.CERTAIN,
        ahead=True,
        service=service.name if service is not None else "",
        to_do=(
            ToDo(text=f"Before nodes are drained, add a pod, or make the budget allow one eviction: `{line}`"),
            *([ToDo(text="See its pods", command=f"pods {service.name}", label="Pods")] if service is not None else []),
        ),
    )
