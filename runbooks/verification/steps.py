"""The steps of a verification: measuring before the services change, and checking once all of them run."""

import asyncio
import logging
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar, Literal, TypeVar

from pydantic import JsonValue, ValidationError

from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place
from runbooks.fleet.fleet import Fleet, Measured
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Environment
from runbooks.kit.train import Part, Train
from runbooks.kit.waiting import unless_stopped
from runbooks.verification.checks import CheckInput
from runbooks.verification.findings import Before, Verdict, VerificationFinding, Verified, unknown
from runbooks.verification.scripts import ReleaseScript, judged_job
from runbooks.verification.settings import VerificationSettings
from runbooks.verification.verification import Verification
from runbooks.wording import by_count, capital, counted, duration, listed

J = TypeVar("J", bound="ScriptJob")

_log = logging.getLogger(__name__)

_LONGEST_BAKE_BACK = 30.0
"""Seconds: going back has five minutes in all."""


class MeasureBefore(Step):
    """What is compared with later is measured; what can't be measured is not known then.

    A retry takes what the run before it has measured: now the new version may run already.
    """

    kind: Literal["measure-before"] = "measure-before"
    version: str = ""
    """The release that is deployed."""
    standing: bool = False
    """It runs already."""
    regions: tuple[str, ...] = ()
    """The regions that the run is about, where there are several."""
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Measure before the change"

    @property
    def word(self) -> str:
        return "a measurement"

    async def apply(self, context: StepContext) -> Before:
        return await unless_stopped(context.pulse, self._found(context))

    async def _found(self, context: StepContext) -> Before:
        fleet, verification = context.use(Fleet), context.use(Verification)
        try:
            kept = await fleet.measured(context.environment, self.version)
            if kept is not None:
                return Before.model_validate(kept.values)
        except (RunbookError, ValidationError) as error:
            _log.warning("what was measured before can't be read: %s", type(error).__name__)
        if self.standing:
            return Before()
        now, found = datetime.now(UTC), await verification.measured(_places(context, self.regions))
        if found.empty:  # a retry may be able to measure
            return found
        measured = Measured(version=self.version, at=now, values=found.model_dump(mode="json"))
        try:
            await fleet.keep_measured(context.environment, measured)
        except RunbookError as error:
            _log.warning("what was measured can't be kept for a retry: %s", error.code)
        return found


class VerifyRelease(Step):
    """All configured checks, side by side."""

    kind: Literal["verify"] = "verify"
    going_back: bool = False
    """After a rollback nothing is stopped by a check: what it found is told."""
    lines: tuple[str, ...] = ()
    """By hand; addresses are variables, because they may be internal."""
    regions: tuple[str, ...] = ()
    """The regions that the run is about, where there are several: their pods are looked at."""

    @property
    def title(self) -> str:
        return "Verification"

    def by_hand(self) -> tuple[str, ...]:
        return self.lines

    async def apply(self, context: StepContext) -> Verified:
        try:
            verification, health = context.use(Verification), context.use(HealthClient)
        except PermanentError as error:  # the configuration has changed meanwhile
            if not self.going_back:
                raise
            return Verified(findings=(unknown("verification", error.message.rstrip(".")),))
        settings = verification.settings
        bake_seconds = min(settings.bake_seconds, _LONGEST_BAKE_BACK) if self.going_back else settings.bake_seconds
        measured = [found for _, found in context.results.each(MeasureBefore, Before)]

        async def bake() -> None:
            if bake_seconds >= 1:
                context.pulse.say(f"measuring over {duration(bake_seconds)}")
            await asyncio.sleep(bake_seconds)

        # without a measurement what has to be compared has no result
        before = None if self.going_back else measured[0] if measured else Before()
        asked = CheckInput(health=health, before=before, seconds=bake_seconds)
        places = _places(context, self.regions)
        looking = verification.look(asked, bake=bake, said=context.pulse.say, places=places)
        found = await unless_stopped(context.pulse, looking)
        if not self.going_back:
            _stop_where_it_is_not_good(found, passes_unknown=settings.inconclusive == "pass-with-warning")
        return found


def _places(context: StepContext, regions: Sequence[str]) -> list[Place]:
    """Return those regions; one that is no longer configured is left out."""
    there = [context.within(name) for name in regions if name in context.regions]
    return [Place(each.environment, each.use(ClusterClient)) for each in there]


class ScriptJob(Step):
    """A script of the release, as a Job from the image that runs. It changes no service."""

    service: str
    deployment: str
    container: str = ""
    """Empty in a plan of the version before."""
    namespace: str
    words: tuple[str, ...]
    kubectl: str = "kubectl"
    """As a person types it for the region where it runs."""
    decides: ClassVar[bool] = False
    table: ClassVar[str]
    """In the configuration of `verification`."""
    counted: ClassVar[str] = "check"
    """What its findings are counted as."""
    afterwards: ClassVar[str] = ""
    """What a bad result is followed by, where no release was changed before it."""

    def changes(self) -> dict[str, JsonValue]:
        return {"job": list(self.words), "service": self.service, "namespace": self.namespace}

    def in_short(self) -> tuple[Brief, ...]:
        return ()

    def by_hand(self) -> tuple[str, ...]:
        where = f"deployment/{self.deployment}" + (f" -c {self.container}" if self.container else "")
        return (f"{self.kubectl} exec -n {self.namespace} {where} -- {shlex.join(self.words)}",)

    @classmethod
    def script_of(cls, settings: VerificationSettings) -> ReleaseScript | None:
        """Return the script as it is configured; None where it is not."""
        raise NotImplementedError

    async def apply(self, context: StepContext) -> Verified:
        settings = context.use(Verification).settings
        script = self.script_of(settings)
        if script is None or script.program(context.environment.name) != self.words:
            raise PermanentError(
                f"The configured program of {self.word} changed after the plan was made. Request it again.",
                code=ReasonCode.CHANGED_MEANWHILE,
            )
        cluster = context.use(ClusterClient)
        found = await judged_job(context.pulse, cluster, context.environment, self.service, script)
        context.pulse.say(f"{len(found.having(Verdict.PASSED))}/{counted(len(found.findings), self.counted)} passed")
        _stop_where_it_is_not_good(
            found, passes_unknown=settings.inconclusive == "pass-with-warning", alone=self.afterwards
        )
        return found


class Smoke(ScriptJob):
    """The release's smoke tests."""

    kind: Literal["smoke-tests"] = "smoke-tests"
    table: ClassVar[str] = "smoke"
    counted: ClassVar[str] = "flow"

    @property
    def title(self) -> str:
        return "Smoke tests"

    @classmethod
    def script_of(cls, settings: VerificationSettings) -> ReleaseScript | None:
        return settings.smoke


class RunBenchmark(ScriptJob):
    """The release's benchmark: a required value outside of its limit fails the run."""

    kind: Literal["benchmark"] = "benchmark"
    table: ClassVar[str] = "benchmark"
    afterwards: ClassVar[str] = "No service was changed. `verify` shows the same values without the benchmark's load."

    @property
    def title(self) -> str:
        return "Benchmark"

    @property
    def word(self) -> str:
        return "the benchmark"

    @classmethod
    def script_of(cls, settings: VerificationSettings) -> ReleaseScript | None:
        return settings.benchmark

    def shown(self) -> Shown:
        rows = ((Cell(text=self.service), Cell(text=" ".join(self.words))),)
        return Shown(columns=("Image of", "Program"), rows=rows)


def script_step(kind: type[J], verification: Verification, environment: Environment) -> J | None:
    """Return the step; None where its script is not configured."""
    script, service = kind.script_of(verification.settings), environment.service(verification.settings.service)
    if script is None or service is None:
        return None
    return kind.model_validate(
        {
            "service": service.name,
            "deployment": service.deployment,
            "container": service.container,
            "namespace": environment.namespace,
            "words": script.program(environment.name),
            "kubectl": environment.kubectl,
        }
    )


def plan_script(
    kind: type[ScriptJob], verification: Verification, environment: Environment, title: str, *, warning: str = ""
) -> Plan:
    """Return the plan that runs the script alone; PermanentError where its table is not in the configuration."""
    step = script_step(kind, verification, environment)
    if step is None:
        raise PermanentError(
            f"{environment.name} has no `verification.{kind.table}` configured.",
            code=ReasonCode.NOT_CONFIGURED,
            advice=(f"Add `[environments.{environment.name}.verification.{kind.table}]` to `omnicare.toml`.",),
        )
    note = "It runs as a Job from the running image. No service changes."
    return Plan(title=title, steps=(step,), warnings=(warning,) if warning else (), notes=(note,))


def _stop_where_it_is_not_good(found: Verified, *, passes_unknown: bool, alone: str = "") -> None:
    """`alone`: what to do next where no release was changed."""
    failed = found.having(Verdict.FAILED, required=True)
    unknown = found.having(Verdict.INCONCLUSIVE, required=True)
    worst_first = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)
    evidence = tuple(f"{verdict}: {each.sentence}" for verdict in worst_first for each in found.having(verdict))
    if failed:
        raise PermanentError(
            f"{listed((each.sentence for each in failed), most=3)}.",
            code=ReasonCode.VERIFICATION_FAILED,
            evidence=evidence,
            advice=(alone or "All pods run the new version. Roll back, or retry to check again.",),
        )
    if unknown and not passes_unknown:
        raise PermanentError(
            f"{listed((each.name for each in unknown), most=3)} {by_count(len(unknown), 'has', 'have')} no result: {unknown[0].detail}.",
            code=ReasonCode.VERIFICATION_INCONCLUSIVE,
            evidence=evidence,
            advice=(
                alone
                or (
                    "No required check failed, but at least one has no result. `retry` checks again, `resolve` keeps the release "
                    "as it is, `rollback` goes back."
                ),
            ),
        )


def told(step: Step, found: Verified) -> tuple[str, ...]:
    """Return the lines for the card of a run."""
    what = step.counted if isinstance(step, ScriptJob) else "check"
    passed = found.having(Verdict.PASSED)
    values = [f"{each.name} {each.value}".strip() for each in passed]
    these = f": {listed(values)}" if values else ""
    lines = [f"{step.title}: {len(passed)} of {counted(len(found.findings), what)} passed{these}."]
    lines += [f"⚠ {_described(each)}." for each in found.findings if each.verdict is not Verdict.PASSED]
    return tuple(lines)


def _described(finding: VerificationFinding) -> str:
    needed = "" if finding.required else ", not required"
    return f"{capital(finding.verdict)}{needed}: {finding.sentence}"


async def plan_part(train: Train) -> Part:
    """Return the steps before and after the services."""
    verification = train.find(Verification)
    if verification is None:
        return Part(not_done=("verification (not configured)",))
    clusters = [(there.environment, there.find(ClusterClient)) for there in train.by_region]
    checks = verification.checks_in([Place(where, cluster) for where, cluster in clusters if cluster is not None])
    names = [check.name for check in checks]
    if not names:
        return Part(not_done=("verification (nothing to check is configured)",))
    bake = verification.settings.bake_seconds
    smoke_tests = script_step(Smoke, verification, train.environment)
    left_out = "smoke tests (not after a rollback)" if train.going_back else "smoke tests (not configured)"
    first = (smoke_tests,) if smoke_tests is not None and not train.going_back else ()
    over = f" Values are measured over {duration(bake)}." if bake >= 1 else ""
    note = f"Verification: {listed(names)}.{over}"
    regions = tuple(train.regions)
    before = MeasureBefore(version=train.version, standing=train.standing, regions=regions)
    measure = () if train.going_back else (before,)
    lines = tuple(line for check in checks for line in check.by_hand)
    after = (*first, VerifyRelease(going_back=train.going_back, lines=lines, regions=regions))
    return Part(first=measure, after=after, notes=(note,), not_done=() if first else (left_out,))
