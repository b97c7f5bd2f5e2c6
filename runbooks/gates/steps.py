"""The step that looks at the gates again, right before anything is changed."""

from collections import Counter
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.gates.checklist import gates_of, settings_of
from runbooks.gates.gate import GateResult, GateState, GateSubject
from runbooks.gates.looking import look_at
from runbooks.gates.settings import GateSettings
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.kit.waiting import unless_stopped
from runbooks.wording import counted

_SIGNS: dict[GateState, str] = {
    "passed": "✓ passed",
    "failed": "✗ failed",
    "unknown": "? unknown",
    "waiting": "… waiting",
}
_COUNTED: dict[GateState, str] = {
    "failed": "failed",
    "unknown": "unknown",
    "waiting": "waiting for a person",
    "passed": "passed",
}


class GatesChecked(Frozen):
    """How each gate stood when it was looked at again."""

    states: dict[str, GateState]


class CheckGates(Step):
    """Every gate is looked at again; a required one that has not passed ends the run before anything is changed."""

    kind: Literal["gates"] = "gates"
    version: str
    images: tuple[ImageChange, ...]
    results: tuple[GateResult, ...]
    """What was seen when the plan was made."""
    schema_only: bool = False
    """The plan changes the database's schema alone."""
    migrates: bool = True
    """It applies what is pending; False where that is skipped."""
    decides: ClassVar[bool] = False
    comes_first: ClassVar[bool] = True

    @property
    def title(self) -> str:
        return "Check the gates"

    @property
    def word(self) -> str:
        return "the gates"

    def changes(self) -> dict[str, JsonValue]:
        """Nothing is changed, but an approval is bound to how the gates stood: their evidence moves by itself, their state does not.

        What is overridden is bound to why it has not passed, too.
        """
        states: dict[str, JsonValue] = {each.gate: _state(each) for each in self.results}
        bound: dict[str, JsonValue] = {name: value for each in self.results for name, value in each.bound.items()}
        return {"gates": states, **bound}

    def shown(self) -> Shown:
        """What stops the release comes first, then what was overridden or has not passed; each in the order of the checklist.

        What has passed is small print: it is proved there, and hides nothing that people decide about.
        """
        open_gates = [each for each in self.results if each.state != "passed"]
        passed = [each for each in self.results if each.state == "passed"]
        rows = tuple(
            (Cell(text=each.name, strong=each.stops or each.overridden), Cell(text=_sign(each)), _evidence(each))
            for each in sorted(open_gates, key=lambda each: (not each.stops, not each.overridden))
        )
        proved = Shown(
            columns=("Passed gate", "Evidence"),
            rows=tuple((Cell(text=each.name), _evidence(each)) for each in passed),
        )
        counts = Counter(each.state for each in self.results)
        return Shown(
            columns=("Gate", "State", "Evidence"),
            rows=rows,
            label="Gates",
            summary=", ".join(f"{counts[state]} {word}" for state, word in _COUNTED.items() if counts[state]),
            settled=proved if passed else None,
        )

    def in_short(self) -> tuple[Brief, ...]:
        return ()

    async def apply(self, context: StepContext) -> GatesChecked:
        settings = settings_of(context.services, migrates=self.migrates) or context.use(GateSettings)
        subject = GateSubject(
            environment=context.environment,
            version=self.version,
            images=self.images,
            at=datetime.now(UTC),
            clients=context.services,
            schema_only=self.schema_only,
            migrates=self.migrates,
            planned={each.gate: each for each in self.results},
        )
        context.pulse.say("looking at them again")
        looked = look_at(gates_of(settings, subject), subject, settings.seconds)
        found = await unless_stopped(context.pulse, looked)
        for each in found:
            before = subject.planned.get(each.gate)
            if before is not None and before.overridden:
                if each.state != "passed" and each.finding != before.finding:
                    raise _failed(each, "It is not what was overridden. Request the deploy again to see it and decide.")
            elif each.stops or (before is not None and before.bound != each.bound):
                raise _failed(each)
        context.pulse.say(f"{counted(sum(each.state == 'passed' for each in found), 'gate')} passed")
        return GatesChecked(states={each.gate: each.state for each in found})


def _failed(found: GateResult, *advice: str) -> PermanentError:
    state = {
        "passed": "has changed",
        "failed": "failed",
        "unknown": "is now unknown",
        "waiting": "is waiting for a person",
    }
    return PermanentError(
        f"The gate {found.name} {state[found.state]}: {found.evidence}.",
        code=ReasonCode.GATE_FAILED,
        advice=(*advice, *((found.advice,) if found.advice else ()), "Nothing was changed."),
    )


def _state(found: GateResult) -> str:
    if found.overridden:
        return f"{found.state}, overridden ({found.finding})"
    return f"{found.state}{'' if found.required else ', advisory'}"


def _sign(found: GateResult) -> str:
    return f"{_SIGNS[found.state]}{' (overridden)' if found.overridden else '' if found.required else ' (advisory)'}"


def _evidence(found: GateResult) -> Cell:
    return Cell(text=found.evidence, url=found.url, since=found.at)
