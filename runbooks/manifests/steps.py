"""The step that applies one ConfigMap of the release, and how its change is shown."""

import hashlib
import json
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.manifests.reading import WantedConfigMap
from runbooks.wording import counted, shortened

_WIDEST = 60
"""Characters of a value in the plan's table."""
_ROWS = 30


class KeyChange(Frozen):
    """One key of a ConfigMap, before and after; None where it is not there."""

    key: str
    before: str | None
    after: str | None


class Applied(Frozen):
    """What was applied."""

    name: str
    resource_version: str


class ApplyConfigMap(Step):
    """A ConfigMap gets the values of the release's file, by server-side apply, never by force."""

    kind: Literal["apply-config-map"] = "apply-config-map"
    namespace: str
    wanted: WantedConfigMap
    differences: tuple[KeyChange, ...]
    commit: str
    """The commit that the file is read at."""
    alone: bool = False
    """It is what the run is for, not a part of a deploy."""
    decides: ClassVar[bool] = True

    @property
    def target(self) -> str:
        return self.wanted.name

    @property
    def title(self) -> str:
        return f"ConfigMap {self.wanted.name}"

    @property
    def word(self) -> str:
        return self.title

    def changes(self) -> dict[str, JsonValue]:
        """The values themselves stay out of the audit log; what is approved is known by their hash."""
        return {
            "target": f"{self.namespace}/configmap/{self.wanted.name}",
            "keys": [each.key for each in self.differences],
            "sha256": _hash(self.wanted.data),
            "labels": {**self.wanted.labels},
        }

    def shown(self) -> Shown:
        rows = tuple(
            (Cell(text=f"{self.wanted.name} · {each.key}"), _cell(each.before), _cell(each.after, strong=True))
            for each in self.differences[:_ROWS]
        )
        more = len(self.differences) - _ROWS
        caption = f"and {counted(more, 'more key')}" if more > 0 else ""
        return Shown(columns=("Configuration", "Now", "Next"), rows=rows, caption=caption)

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=self.title, change=self.amount),) if self.alone else ()

    @property
    def amount(self) -> str:
        """`1 key`."""
        return counted(len(self.differences), "key")

    def by_hand(self) -> tuple[str, ...]:
        return (f"git show {self.commit}:{self.wanted.source} | kubectl apply --server-side -n {self.namespace} -f -",)

    async def apply(self, context: StepContext) -> Applied:
        wanted = self.wanted
        applied = await context.use(ClusterClient).apply_config_map(
            self.namespace, wanted.name, wanted.data, wanted.labels
        )
        return Applied(name=wanted.name, resource_version=applied.resource_version)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[KeyChange, ...]:
    """Return the keys that change, in their order."""
    return tuple(
        KeyChange(key=key, before=before.get(key), after=after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    )


def _cell(value: str | None, *, strong: bool = False) -> Cell:
    if value is None:
        return Cell(text="not there")
    lines = value.splitlines()
    text = value if len(lines) < 2 else f"{lines[0]} … ({len(lines)} lines, sha256 {_hash({'': value})[:6]})"  # noqa: PLR2004
    return Cell(text=shortened(text, _WIDEST) if text else "empty", strong=strong)


def _hash(data: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(data), sort_keys=True).encode()).hexdigest()
