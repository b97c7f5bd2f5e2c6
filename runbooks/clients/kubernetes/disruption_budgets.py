"""PodDisruptionBudgets: the view and how it is read from Kubernetes' JSON."""

from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, count, fields, generation, text
from runbooks.clients.kubernetes.listed_kinds import ListedKind
from runbooks.clients.kubernetes.selecting import LabelSelector, label_selector


@dataclass(frozen=True, slots=True)
class DisruptionBudgetView:
    """A PodDisruptionBudget, which says how many pods may be evicted at once."""

    name: str
    selector: LabelSelector
    rule: str
    """What it asks for: `minAvailable 2`, `maxUnavailable 0`."""
    pods: int
    """That it is about."""
    healthy: int
    allowed: int
    """Evictions that it would allow now."""
    current: bool
    """The controller has seen it as it is."""


def disruption_budget(item: Json) -> DisruptionBudgetView:
    """Return the budget from Kubernetes' JSON."""
    meta, spec, status = fields(item, "metadata"), fields(item, "spec"), fields(item, "status")
    rule = next((f"{key} {spec[key]}" for key in ("minAvailable", "maxUnavailable") if _amount(spec.get(key))), "")
    return DisruptionBudgetView(
        name=text(meta, "name"),
        selector=label_selector(spec, "selector"),
        rule=rule,
        pods=count(status, "expectedPods"),
        healthy=count(status, "currentHealthy"),
        allowed=count(status, "disruptionsAllowed"),
        current=bool(status) and generation(status, "observedGeneration") >= generation(meta, "generation"),
    )


def _amount(value: object) -> bool:
    return type(value) is int or (isinstance(value, str) and value.removesuffix("%").isdigit())


DISRUPTION_BUDGETS = ListedKind(
    ("/apis/policy/v1", "/apis/policy/v1beta1"),
    "poddisruptionbudgets",
    "PodDisruptionBudgets",
    disruption_budget,
)
