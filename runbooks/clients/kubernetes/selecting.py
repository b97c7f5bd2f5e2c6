"""Label selectors as Kubernetes' own objects have them: which pods a policy is about."""

from collections.abc import Mapping
from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, fields, listed, mapped, text, texts


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One of a selector's `matchExpressions`."""

    key: str
    operator: str
    values: tuple[str, ...]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels fit it; an operator that Kubernetes does not have fits nothing."""
        there = self.key in labels
        if self.operator == "In":
            return there and labels[self.key] in self.values
        if self.operator == "NotIn":
            return not there or labels[self.key] not in self.values
        return there if self.operator == "Exists" else not there and self.operator == "DoesNotExist"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """An empty one selects everything."""

    labels: Mapping[str, str]
    rules: tuple[LabelRule, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Return whether it selects what has these labels."""
        return all(labels.get(key) == value for key, value in self.labels.items()) and all(
            rule.holds(labels) for rule in self.rules
        )

    @property
    def keys(self) -> frozenset[str]:
        """The labels that it asks about."""
        return frozenset((*self.labels, *(rule.key for rule in self.rules)))


def label_selector(item: Json, *path: str) -> LabelSelector:
    """Return the selector at that path of Kubernetes' JSON."""
    found = fields(item, *path)
    rules = (
        LabelRule(text(each, "key"), text(each, "operator"), texts(each, "values"))
        for each in listed(found, "matchExpressions")
    )
    return LabelSelector(mapped(found, "matchLabels"), tuple(rules))
