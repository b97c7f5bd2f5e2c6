"""The steps of a verification: measuring before the services change, and checking once all of them run."""

import asyncio
from typing import ClassVar, Literal

from runbooks.clients.health import HealthClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Step, StepContext
from runbooks.kit.train import Part, Train
from runbooks.kit.waiting import unless_stopped
from runbooks.verification.checks import Asked
from runbooks.verification.findings import Before, Finding, Verdict, Verified
from runbooks.verification.verification import Verification
from runbooks.wording import counted, duration, listed

_LONGEST_BAKE_BACK = 30.0
"""Seconds: going back has five minutes in all."""


class MeasureBefore(Step):
    """What is compared with later is measured; what can't be measured is not compared."""

    kind: Literal["measure-before"] = "measure-before"
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Measure before the change"

    async def apply(self, context: StepContext) -> Before:
        return await unless_stopped(context.pulse, context.use(Verification).measured())


class Verify(Step):
    """All configured checks, side by side."""

    kind: Literal["verify"] = "verify"
    going_back: bool = False
    """After a rollback nothing is stopped by a check: what it found is told."""

    @property
    def title(self) -> str:
        return "Verification"

    async def apply(self, context: StepContext) -> Verified:
        verification = context.use(Verification)
        settings = verification.settings
        bake_seconds = min(settings.bake_seconds, _LONGEST_BAKE_BACK) if self.going_back else settings.bake_seconds
        before = next((found for _, found in context.results.each(MeasureBefore, Before)), None)

        async def bake() -> None:
            context.pulse.say(f"measuring over {duration(bake_seconds)}")
            await asyncio.sleep(bake_seconds)

        asked = Asked(health=context.use(HealthClient), before=before or Before(), seconds=bake_seconds)
        found = await unless_stopped(context.pulse, verification.look(asked, bake=bake, said=context.pulse.say))
        if not self.going_back:
            _stop_where_it_is_not_good(found, passes_unknown=settings.inconclusive == "pass-with-warning")
        return found


def _stop_where_it_is_not_good(found: Verified, *, passes_unknown: bool) -> None:
    failed = found.having(Verdict.FAILED, required=True)
    unknown = found.having(Verdict.INCONCLUSIVE, required=True)
    evidence = tuple(f"{each.verdict}: {each.sentence}" for each in found.findings)
    if failed:
        raise PermanentError(
            f"{listed((each.sentence for each in failed), most=3)}.",
            code=ReasonCode.VERIFICATION_FAILED,
            evidence=evidence,
            advice=("All pods run the new version. Roll back, or retry, which checks again.",),
        )
    if unknown and not passes_unknown:
        raise PermanentError(
            f"{listed((each.name for each in unknown), most=3)} can't be judged: {unknown[0].detail}.",
            code=ReasonCode.VERIFICATION_INCONCLUSIVE,
            evidence=evidence,
            advice=(
                (
                    "Nothing is known to be wrong, but nothing is known to be right either. `retry` checks again, `resolve` keeps the release "
                    "as it is, `rollback` goes back."
                ),
            ),
        )


def told(found: Verified) -> tuple[str, ...]:
    """Return the lines for the card of a run."""
    passed = found.having(Verdict.PASSED)
    values = [each.name + f" {each.value}" for each in passed if each.value]
    lines = [f"Verification: {len(passed)} of {counted(len(found.findings), 'check')} passed: {listed(values)}."]
    lines += [f"⚠ {_described(each)}." for each in found.findings if each.verdict is not Verdict.PASSED]
    return tuple(lines)


def _described(finding: Finding) -> str:
    needed = "" if finding.required else ", not required"
    return f"{finding.verdict.capitalize()}{needed}: {finding.sentence}"


async def plan_part(train: Train) -> Part:
    """Return the steps before and after the services."""
    verification = train.find(Verification)
    if verification is None:
        return Part(not_done=("verification (not configured)",))
    names = [check.name for check in verification.checks]
    if not names:
        return Part(not_done=("verification (nothing to check is configured)",))
    bake = verification.settings.bake_seconds
    note = f"Verification: {listed(names)}{f', measured over {duration(bake)}' if bake else ''}."
    before = () if train.going_back else (MeasureBefore(),)
    return Part(before=before, after=(Verify(going_back=train.going_back),), notes=(note,))
