"""The checks of a verification, each with a verdict of its own: passed, failed, or inconclusive, which is never taken for passed.

`Verification` is what an environment has configured. It measures before the services change (`Before`) and looks afterwards (`Finding`s):
what answers at once first, then, after the bake time, what is measured over it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from runbooks.clients.health import HealthClient
from runbooks.clients.prometheus.metrics import MetricReading, PrometheusClient
from runbooks.clients.prometheus.promql import written_out
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.kit.waiting import side_by_side
from runbooks.verification.settings import MetricCheck, VerificationSettings
from runbooks.wording import counted


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Finding(Frozen):
    """One check with its result."""

    name: str
    verdict: Verdict
    value: str = ""
    """What was found: `112 ms`."""
    limit: str = ""
    """What it had to be: `< 200 ms`."""
    before: str = ""
    """What it was before the deploy, where that is known."""
    detail: str = ""
    """Why there is no result, with the query where there was one."""
    required: bool = True

    @property
    def sentence(self) -> str:
        """Return the check in one line: `error rate 2.4 % (must be < 0.1 %, before 0.02 %)`."""
        beside = [
            f"must be {self.limit}" if self.limit else "",
            f"before {self.before}" if self.before else "",
            self.detail,
        ]
        inside = ", ".join(filter(None, beside))
        said = (
            f"{self.name} {self.value or ('has no result' if self.verdict is Verdict.INCONCLUSIVE else self.verdict)}"
        )
        return f"{said} ({inside})" if inside else said


class Before(Frozen):
    """What was so before the services changed; what could not be found out is left out."""

    at: str = ""
    metrics: dict[str, float] = {}


class Verified(Frozen):
    """All findings of a verification."""

    findings: tuple[Finding, ...]

    def having(self, verdict: Verdict, *, required: bool | None = None) -> tuple[Finding, ...]:
        """Return those that ended so; `required`: only the required ones, or only the others."""
        return tuple(
            each
            for each in self.findings
            if each.verdict is verdict and (required is None or each.required is required)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check that has not been made yet."""

    name: str
    look: Callable[[], Awaitable[Finding]]
    """Makes it; what it raises as `RunbookError` is no result."""
    required: bool = True
    bakes: bool = False
    """It is made after the bake time."""


class _NotYet(TemporaryError):
    """A finding that may be another one in a moment."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.sentence, code=ReasonCode.VERIFICATION_FAILED, retry_after=0.2)
        self.finding = finding


class Verification:
    """The verification of one environment."""

    def __init__(self, environment: Environment, settings: VerificationSettings) -> None:
        self.environment = environment
        self.settings = settings
        self._prometheus = PrometheusClient(settings.prometheus) if settings.prometheus is not None else None

    def names(self) -> tuple[str, ...]:
        """Return the names of the checks, in order."""
        health = [f"{service.name} health" for service in self._with_health()]
        return (*health, *(metric.name for metric in self._metrics()))

    def checks(self, health: HealthClient, before: Before | None, *, seconds: float) -> tuple[Check, ...]:
        """Return the checks that are configured. `before`: what was measured before the services changed; `seconds`: the bake time."""
        return (*self._health_checks(health), *self._metric_checks(before or Before(), seconds))

    async def measured(self) -> Before:
        """Return how it is now. Never raises: a value that can't be had is left out."""
        values = await side_by_side(*(self._measured(metric) for metric in self._metrics()))
        return Before(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            metrics={
                metric.name: value for metric, value in zip(self._metrics(), values, strict=True) if value is not None
            },
        )

    async def look(
        self, checks: Sequence[Check], *, bake: Callable[[], Awaitable[object]], said: Callable[[str], None]
    ) -> Verified:
        """Return what the checks found, side by side. Where one that needs no bake time has failed, the others are not waited for."""
        done: list[Finding] = []

        async def one(check: Check) -> Finding:
            finding = await self._within_its_time(check)
            done.append(finding)
            said(self._progress(done, len(checks)))
            return finding

        at_once = [check for check in checks if not check.bakes]
        later = [check for check in checks if check.bakes]
        findings = await side_by_side(*map(one, at_once))
        if any(each.verdict is Verdict.FAILED and each.required for each in findings):
            skipped = "not looked at, since another check had failed"
            left = [_unknown(check.name, skipped, required=check.required) for check in later]
            return Verified(findings=(*findings, *left))
        if later:
            await bake()
        return Verified(findings=(*findings, *await side_by_side(*map(one, later))))

    @staticmethod
    def _progress(done: Sequence[Finding], total: int) -> str:
        passed = sum(each.verdict is Verdict.PASSED for each in done)
        others = [f"{each.name} {each.verdict}" for each in done if each.verdict is not Verdict.PASSED]
        return ", ".join((f"{passed}/{counted(total, 'check')} passed", *others))

    async def _within_its_time(self, check: Check) -> Finding:
        limit = self.settings.deadline_seconds
        try:
            async with asyncio.timeout(limit * 1.5):  # what is tried again ends by itself at the limit
                return await retried(check.look, seconds=limit)
        except _NotYet as error:
            return error.finding
        except RunbookError as error:
            return _unknown(check.name, error.message.rstrip("."), required=check.required)
        except TimeoutError:
            return _unknown(check.name, f"no answer within {limit * 1.5:g} s", required=check.required)

    # health

    def _with_health(self) -> tuple[Service, ...]:
        return tuple(each for each in self.environment.services if each.health_url) if self.settings.health else ()

    def _health_checks(self, client: HealthClient) -> tuple[Check, ...]:
        def of(service: Service) -> Check:
            async def look() -> Finding:
                return await self._health(client, service)

            return Check(name=f"{service.name} health", look=look)

        return tuple(map(of, self._with_health()))

    async def _health(self, client: HealthClient, service: Service) -> Finding:
        found = await client.ask(service.health_url or "")
        value = found.why if found.status is None else f"{found.status} in {found.seconds * 1000:.0f} ms"
        finding = Finding(
            name=f"{service.name} health",
            verdict=Verdict.PASSED if found.well else Verdict.FAILED,
            value=value,
            limit="a status 2xx",
        )
        if not found.well:
            raise _NotYet(finding)
        return finding

    # metrics

    def _metrics(self) -> tuple[MetricCheck, ...]:
        return self.settings.metrics if self._prometheus is not None else ()

    def _metric_checks(self, before: Before, seconds: float) -> tuple[Check, ...]:
        def of(metric: MetricCheck) -> Check:
            async def look() -> Finding:
                return await self._metric(metric, before.metrics.get(metric.name), seconds)

            return Check(name=metric.name, look=look, required=metric.required, bakes=True)

        return tuple(map(of, self._metrics()))

    async def _metric(self, metric: MetricCheck, before: float | None, seconds: float) -> Finding:
        query = self._query(metric, seconds)
        reading = await self._reading(query)
        shown_before = metric.shown(before) if before is not None else ""
        if reading.value is None:
            why = f"{reading.unknown}, asked {query}"
            return _unknown(metric.name, why, required=metric.required).model_copy(
                update={"limit": metric.limit_shown, "before": shown_before}
            )
        return Finding(
            name=metric.name,
            verdict=Verdict.PASSED if metric.holds(reading.value, before) else Verdict.FAILED,
            value=metric.shown(reading.value),
            limit=metric.limit_shown,
            before=shown_before,
            detail=", ".join(reading.warnings),
            required=metric.required,
        )

    async def _measured(self, metric: MetricCheck) -> float | None:
        try:
            async with asyncio.timeout(self.settings.deadline_seconds):
                return (await self._reading(self._query(metric, self.settings.bake_seconds))).value
        except (RunbookError, TimeoutError):
            return None

    async def _reading(self, query: str) -> MetricReading:
        if self._prometheus is None:
            raise PermanentError("No Prometheus is configured.", code=ReasonCode.NOT_CONFIGURED)
        return await self._prometheus.instant(query)

    def _query(self, metric: MetricCheck, seconds: float) -> str:
        where, window = self.environment, f"{max(1, round(seconds))}s"
        values = {"window": window, "namespace": where.namespace, "environment": where.name}
        return written_out(metric.query, values)


def _unknown(name: str, why: str, *, required: bool) -> Finding:
    return Finding(name=name, verdict=Verdict.INCONCLUSIVE, detail=why, required=required)
