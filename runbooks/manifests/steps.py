"""The step that applies one ConfigMap of the release, and how its change is shown."""

import hashlib
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar, Literal

from pydantic import JsonValue, TypeAdapter, ValidationError

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import ConfigMapView
from runbooks.fleet.configurations import LARGEST, sha256_of
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.holding import while_held
from runbooks.fleet.records import KnownConfiguration
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import BestEffort, Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.manifests.reading import WantedConfigMap, fault_of
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted, listed, shortened

_WIDEST = 60
"""Characters of a value that are shown in the plan's table."""
_ROWS = 30
_CONFIG_MAPS: TypeAdapter[tuple[WantedConfigMap, ...]] = TypeAdapter(tuple[WantedConfigMap, ...])


class KeyChange(Frozen):
    """One key of a ConfigMap, before and after as people are shown it: around the first difference. None where it is not there."""

    key: str
    before: str | None
    after: str | None


class Applied(BestEffort):
    """What was applied; a rollback goes on without it."""

    name: str
    resource_version: str


class ApplyConfigMap(Step):
    """A ConfigMap gets the values of the release's file, by server-side apply; those of other owners only where that was asked for."""

    kind: Literal["apply-config-map"] = "apply-config-map"
    namespace: str
    wanted: WantedConfigMap
    differences: tuple[KeyChange, ...]
    """Empty where there is no such ConfigMap yet and the file has no keys for it."""
    commit: str
    """The commit that the file is read at."""
    version: str = ""
    """The release whose commit it is, where the run is for it alone."""
    kubectl: str = "kubectl"
    """As a person types it for the region."""
    alone: bool = False
    """It is what the run is for, not a part of a deploy."""
    take_over: bool = False
    """Values that another field manager owns are changed too."""
    owned: str = ""
    """The server's own words about who owns which value. Redacted."""
    seen: str = ""
    """A hash of the values that are taken over, as they were when this was planned: nothing else is overwritten by force."""
    back: bool = False
    """It is part of a rollback, which does not fail by it, nor ask again because of it."""
    again: str = ""
    """The command that applies it after such a rollback."""
    decides: ClassVar[bool] = True

    @property
    def target(self) -> str:
        return self.wanted.name

    @property
    def title(self) -> str:
        return f"ConfigMap {self.wanted.name}{self.place}"

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
            **({"take_over": True} if self.take_over else {}),
            **({"over": self.seen} if self.seen else {}),
        }

    def shown(self) -> Shown:
        rows = tuple(
            (
                Cell(text=f"{self.wanted.name} · {each.key}{self.place}"),
                _cell(each.before),
                _cell(each.after, strong=True),
            )
            for each in self.differences[:_ROWS]
        )
        if not rows:
            rows = ((Cell(text=f"{self.wanted.name}{self.place}"), _cell(None), Cell(text=self.amount, strong=True)),)
        more = len(self.differences) - _ROWS
        caption = f"and {counted(more, 'more key')}" if more > 0 else ""
        return Shown(columns=("Configuration", "Now", "Next"), rows=rows, caption=caption)

    @property
    def may_do_nothing(self) -> bool:
        return self.back

    @property
    def left_out(self) -> str:
        return f"`{self.again}` applies it." if self.back and self.again else ""

    def ends_as(self, confirmed: Step) -> bool:
        """The release's values are what was confirmed, whichever of them a deploy that is overtaken changed meanwhile."""
        if not self.back:
            return super().ends_as(confirmed)
        return isinstance(confirmed, ApplyConfigMap) and (self.namespace, self.wanted) == (
            confirmed.namespace,
            confirmed.wanted,
        )

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(act=f"{self.amount} of", subject=self.title),) if self.alone else ()

    @property
    def amount(self) -> str:
        """`1 key`."""
        return counted(len(self.differences), "key") if self.differences else "created without keys"

    def by_hand(self) -> tuple[str, ...]:
        file = shlex.quote(f"{self.commit}:{self.wanted.source}")
        force = " --force-conflicts" if self.take_over else ""
        return (f"git show {file} | {self.kubectl} apply --server-side{force} -n {self.namespace} -f -",)

    async def apply(self, context: StepContext) -> Applied:
        wanted, cluster = self.wanted, context.use(ClusterClient)
        try:
            applied = await while_held(context, partial(self._write, cluster))
        except RunbookError as error:
            if not self.back or error.code is ReasonCode.OVERTAKEN:
                raise
            return Applied(
                name=wanted.name, resource_version="", problem=f"{self.title} was not taken back: {error.message}"
            )
        return Applied(name=wanted.name, resource_version=applied.resource_version)

    async def _write(self, cluster: ClusterClient) -> ConfigMapView:
        """Apply it. By force it replaces only what the plan saw: no other owner's later value would stop it."""
        wanted = self.wanted
        apply = partial(
            cluster.apply_config_map,
            self.namespace,
            wanted.name,
            wanted.data,
            wanted.labels,
            take_over=self.take_over,
        )
        if not self.seen:
            return await apply()
        now = await cluster.config_map_if_any(self.namespace, wanted.name)
        data = now.data if now is not None else {}
        over = taken_over(data, (await apply(dry_run=True)).data)
        if over not in (self.seen, taken_over({}, {})):  # the second: a killed step runs again
            raise PermanentError(
                f"Somebody changed ConfigMap {wanted.name}{self.place} after this was planned, so it was not applied.",
                code=ReasonCode.CHANGED_MEANWHILE,
                advice=("Type the command again: its plan shows what is there now.",),
            )
        return await apply(over=now.resource_version if now is not None else "")


async def require_applied(context: StepContext, region: str) -> None:
    """Raise PermanentError where a ConfigMap that the run applied in that region has other values by now."""
    for step, _ in context.results.each(ApplyConfigMap, Applied):
        if step.region != region:
            continue
        wanted = step.wanted
        found = await context.use(ClusterClient).config_map_if_any(step.namespace, wanted.name)
        there = found.data if found is not None else {}
        keys = {*wanted.data, *(each.key for each in step.differences)}
        if changed := sorted(key for key in keys if there.get(key) != wanted.data.get(key)):
            raise PermanentError(
                f"Somebody changed {listed(changed, most=3)} in {step.title} after this run applied it, so new pods don't read what was approved.",
                code=ReasonCode.CHANGED_MEANWHILE,
                advice=(
                    "`diagnose` says which program wrote it. Type the command again once it is clear which value is right.",
                ),
            )


class Kept(Frozen):
    """Which configuration the release has."""

    configuration: KnownConfiguration
    """None where a part of it could not be applied."""


class KeepConfiguration(Step):
    """The content of the release's ConfigMaps is kept in the fleet's record, for a rollback to this release."""

    kind: Literal["keep-configuration"] = "keep-configuration"
    commit: str
    sha256: str
    text: str = ""
    """Empty where it is not kept: it is too large, or the bot would have to hide a part of it."""
    parts: tuple[str, ...] = ()
    """Keys of the steps without which the release does not have it: a rollback may leave some out."""
    hidden: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Keep the configuration"

    async def apply(self, context: StepContext) -> Kept:
        if any(result.problem for _, result in context.results.each(ApplyConfigMap, Applied)):
            return Kept(configuration=None)
        if not {*self.parts} <= {*context.results.stored()}:
            return Kept(configuration=None)
        if self.text:
            with suppress(RunbookError):  # the repository has it, too
                await context.use(Fleet).keep_configuration(context.environment, self.text)
        return Kept.model_validate({"configuration": {"commit": self.commit, "sha256": self.sha256}})


def keep(commit: str, config_maps: Sequence[WantedConfigMap], steps: Sequence[Step] = ()) -> KeepConfiguration:
    """Return the step that keeps them."""
    text = _CONFIG_MAPS.dump_json(tuple(config_maps), indent=1).decode()
    plain = len(text) <= LARGEST and default_redactor().text(text) == text
    parts = tuple(step.key for step in steps)
    return KeepConfiguration(commit=commit, sha256=sha256_of(text), text=text if plain else "", parts=parts)


def kept_config_maps(text: str, paths: Collection[str]) -> tuple[WantedConfigMap, ...] | None:
    """Return what was kept of the files; None where it can't be read, or they can't have had it: others may write the record."""
    try:
        found = _CONFIG_MAPS.validate_json(text)
    except ValidationError:
        return None
    distinct = len({each.name for each in found}) == len(found)
    return found if distinct and all(each.source in paths and not fault_of(each) for each in found) else None


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[KeyChange, ...]:
    """Return the keys that change, in their order, each as it is shown."""
    return tuple(
        _changed(key, before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    )


def taken_over(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a hash of the values that change, with their keys, as they are before."""
    return _hash({key: before.get(key) for key in {*before, *after} if before.get(key) != after.get(key)})


def _changed(key: str, before: str | None, after: str | None) -> KeyChange:
    # redacted as a whole: of a secret that was cut not everything is known any more
    redact = default_redactor().text
    now, then = (redact(value) if value is not None else None for value in (before, after))
    if now is None or then is None:
        return KeyChange(key=key, before=_beginning(now), after=_beginning(then))
    if now == then:
        return KeyChange(key=key, before=_beginning(now), after=f"{_beginning(then)} (changed where it is hidden)")
    shown = _around(now, then), _around(then, now)
    if shown[0].split() == shown[1].split():  # blanks, for example: nobody would see them
        shown = f"{shown[0]} ({_measure(now)})", f"{shown[1]} ({_measure(then)})"
    return KeyChange(key=key, before=shown[0], after=shown[1])


def _beginning(value: str | None) -> str | None:
    lines = (value or "").splitlines()
    if value is None or len(lines) < 2:  # noqa: PLR2004 - one line is shown as it is
        return value and shortened(value, _WIDEST)
    return f"{shortened(lines[0], _WIDEST)} … ({len(lines)} lines)"


def _around(value: str, other: str) -> str:
    """Return the part of a value around the first difference from the other, with the numbers of the lines that differ."""
    lines, others = value.splitlines(), other.splitlines()
    if len(lines) < 2 and len(others) < 2:  # noqa: PLR2004 - one line needs no number
        return _window(value, _alike(value, other))
    same = _alike(lines, others)
    ends = min(_alike(lines[::-1], others[::-1]), min(len(lines), len(others)) - same)
    last = len(lines) - ends
    if last <= same:  # the other has more lines there
        return f"nothing between lines {same} and {same + 1}" if ends else f"nothing after line {same}"
    numbers = f"line {last}" if last == same + 1 else f"lines {same + 1} to {last}"
    beside = others[same] if same < len(others) else ""
    return f"{numbers}: {_window(lines[same], _alike(lines[same], beside))}"


def _window(line: str, first: int) -> str:
    if len(line) <= _WIDEST:
        return line
    begins = max(0, min(first - _WIDEST // 3, len(line) - _WIDEST))
    ends = begins + _WIDEST
    return f"{'… ' if begins else ''}{line[begins:ends]}{' …' if ends < len(line) else ''}"


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many characters, or lines, both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (first, second) in pairs if first != second), min(len(one), len(other)))


def _measure(value: str) -> str:
    return f"{counted(len(value), 'character')}, sha256 {hashlib.sha256(value.encode()).hexdigest()[:6]}"


def _cell(value: str | None, *, strong: bool = False) -> Cell:
    return Cell(text="not there" if value is None else value or "empty", strong=strong)


def _hash(data: Mapping[str, str | None]) -> str:
    return hashlib.sha256(json.dumps(dict(data), sort_keys=True).encode()).hexdigest()
