"""What the gates add to the plan of a deploy: their table, why it can't be approved where one has not passed, and what is overridden."""

import difflib
from collections.abc import Collection, Sequence
from datetime import datetime

from runbooks.gates.checklist import gates_of, settings_of
from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.gates.looking import look_at
from runbooks.gates.settings import GateSettings
from runbooks.gates.steps import CheckGates
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Refusal, Unusual
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.train import Part, Train
from runbooks.migrations.migrating import ALONE, SKIP
from runbooks.wording import by_count, cited, listed

START = "start"
"""The option with the time for which a deploy is planned (ISO 8601)."""
OVERRIDE = "override"
"""The option with the gates that are overridden, by keys or names, with commas between them."""


async def plan_part(train: Train) -> Part:
    """Return the gates as they stand, and why the plan can't be approved where a required one has not passed."""
    migrates = SKIP not in train.options
    settings = settings_of(train.clients, migrates=migrates)
    if train.going_back:
        return Part()
    if settings is None:
        none = Refusal(what=f"{train.environment.name} has no gates to override.", advice=f"Leave out `--{OVERRIDE}`.")
        return Part(not_done=("gates (not configured)",), refused_by=(none,) if OVERRIDE in train.options else ())
    start = datetime.fromisoformat(train.options[START]) if START in train.options else train.now
    subject = GateSubject(
        environment=train.environment,
        version=train.version,
        images=train.changes,
        at=max(start, train.now),
        schema_only=ALONE in train.options,
        migrates=migrates,
        clients=train.clients,
    )
    gates = gates_of(settings, subject)
    names = _named(gates, train.options.get(OVERRIDE, ""))
    results, warnings = _overridden(await look_at(gates, subject, settings.seconds), names)
    stopping = [each for each in results if each.stops]
    return Part(
        not_done=() if train.find(GateSettings) is not None else ("all other gates (not configured)",),
        first=(
            CheckGates(
                version=train.version,
                images=train.changes,
                results=results,
                schema_only=subject.schema_only,
                migrates=migrates,
            ),
        ),
        warnings=(*warnings, *_warnings(results)),
        refused_by=_refusals(stopping),
        notes=_way_past(stopping),
        unusual=_unusual([each for each in results if each.overridden], settings.override_role),
    )


def _named(gates: Sequence[Gate], typed: str) -> frozenset[str]:
    """Return the names that were typed, in lower case. Raises PermanentError for one that no gate has: nothing is looked at for it."""
    names = {each.strip().lower() for each in typed.split(",")} - {""}
    known = [name.lower() for each in gates for name in (each.key, each.name)]
    for name in sorted(names.difference(known)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean `{near[0]}`?" if near else f"There are {listed(f'`{each.key}`' for each in gates)}."
        raise PermanentError(f"There is no gate {cited(name)}. {hint}", code=ReasonCode.USAGE)
    return frozenset(names)


def _overridden(
    results: Sequence[GateResult], names: Collection[str]
) -> tuple[tuple[GateResult, ...], tuple[str, ...]]:
    """Return the results with those marked that are overridden, and a sentence for each that stops nothing."""
    chosen = [each for each in results if each.gate.lower() in names or each.name.lower() in names]
    marked = tuple(
        each.model_copy(update={"overridden": True}) if each in chosen and each.stops else each for each in results
    )
    return marked, tuple(
        f"Gate {each.name} ({each.state}) stops nothing now, so it is not overridden."
        for each in chosen
        if not each.stops
    )


def _unusual(overridden: Sequence[GateResult], role: str | None) -> tuple[Unusual, ...]:
    if not overridden:
        return ()
    said = "; ".join(f"{each.name} ({each.state}: {each.evidence})" for each in overridden)
    what = f"{by_count(len(overridden), 'Gate', 'Gates')} overridden: {said}."
    gates = {each.gate: f"{each.state}: {each.evidence}" for each in overridden}
    return (Unusual(option=f"--{OVERRIDE} {_typed(overridden)}", what=what, role=role, gates=gates),)


def _typed(results: Sequence[GateResult]) -> str:
    keys = ",".join(each.gate for each in results)
    return f'"{keys}"' if " " in keys else keys


def _way_past(stopping: Sequence[GateResult]) -> tuple[str, ...]:
    if not stopping:
        return ()
    return (
        f"In an emergency, `--{OVERRIDE} {_typed(stopping)}` with a reason overrides what has not passed, for people with the permission `gate:override`. It needs one more approval.",
    )


def _warnings(results: Sequence[GateResult]) -> tuple[str, ...]:
    said = [each.warning for each in results if each.warning]
    advisory = [each for each in results if not each.required and each.state != "passed"]
    return (*said, *(f"Advisory gate {each.name} ({each.state}): {each.evidence}." for each in advisory))


def _refusals(results: Sequence[GateResult]) -> tuple[Refusal, ...]:
    """One for each, but one for all gates that have the same to say: a server that does not answer."""
    alike: dict[tuple[str, str, str], list[GateResult]] = {}
    for each in results:
        alike.setdefault((each.state, each.evidence, each.advice), []).append(each)
    return tuple(
        Refusal(
            what=f"{by_count(len(each), 'Gate', 'Gates')} {listed(one.name for one in each)} ({state}): {evidence}.",
            advice=advice,
            button=each[0].button,
        )
        for (state, evidence, advice), each in alike.items()
    )
