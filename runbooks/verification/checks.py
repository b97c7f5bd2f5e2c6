"""The checks, one small class each: what is asked, and which verdict the answer is."""

import shlex
from dataclasses import dataclass

from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.exec import ExecLimits
from runbooks.clients.prometheus.alerts import Alert, AlertmanagerClient
from runbooks.clients.prometheus.metrics import PrometheusClient
from runbooks.clients.prometheus.promql import written_out
from runbooks.deployments.places import Place
from runbooks.deployments.pod_scripts import PodScripts
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Service
from runbooks.redaction.redactor import default_redactor
from runbooks.sync.queue import SyncQueue
from runbooks.verification.findings import Before, SyncCounts, Verdict, VerificationFinding, unknown
from runbooks.verification.settings import MetricCheck
from runbooks.wording import counted, listed


class NotYet(TemporaryError):
    """A finding that may be another one in a moment."""

    def __init__(self, finding: VerificationFinding) -> None:
        super().__init__(finding.sentence, code=ReasonCode.VERIFICATION_FAILED, retry_after=0.2)
        self.finding = finding


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInput:
    """What a check is given."""

    health: HealthClient
    before: Before | None = None
    """None: nothing is compared (after a rollback, or a look at what runs). What a `Before` lacks is not known."""
    seconds: float = 1.0
    """The time over which is measured."""


class Check:
    """A check. What its `look` raises as `RunbookError` is no result."""

    name: str
    required: bool = True
    bakes: bool = False
    """It is made after the bake time."""
    by_hand: tuple[str, ...] = ()
    """The lines by which a person makes it."""
    permission: str = ""
    """What people need, beside the one to verify, since it runs a script in a pod."""

    async def look(self, asked: CheckInput) -> VerificationFinding:
        """Return what is so now."""
        raise NotImplementedError


class HealthUrl(Check):
    """A service's health URL answers with a status 2xx."""

    def __init__(self, service: Service) -> None:
        self.name = f"{service.name} health"
        self._url = service.health_url or ""
        self.by_hand = (f'curl -fsS -o /dev/null "${service.name.upper().replace("-", "_")}_HEALTH_URL"',)

    async def look(self, asked: CheckInput) -> VerificationFinding:
        found = await asked.health.ask(self._url)
        value = found.why if found.status is None else f"{found.status} in {found.seconds * 1000:.0f} ms"
        if found.well:
            return VerificationFinding(name=self.name, verdict=Verdict.PASSED, value=value)
        raise NotYet(VerificationFinding(name=self.name, verdict=Verdict.FAILED, value=value, limit="a status 2xx"))


class DatabaseTest(Check):
    """The release's own script connects to the database, in a ready pod."""

    permission = "database:read"

    def __init__(self, scripts: PodScripts, words: tuple[str, ...], seconds: float, where: str = "") -> None:
        """`where`: ` in us`, where there are several regions and it is not home."""
        self.name = f"database connection{where}"
        self.by_hand = (scripts.by_hand(words),)
        self._scripts, self._words, self._limits = scripts, words, ExecLimits(seconds=seconds)

    async def look(self, asked: CheckInput) -> VerificationFinding:  # noqa: ARG002 - needs nothing
        try:
            await self._scripts.ran(self._words, limits=self._limits, says=True)
        except PermanentError as error:
            if error.code not in (ReasonCode.SCRIPT_FAILED, ReasonCode.SCRIPT_UNANSWERED):
                raise
            said = ": ".join([error.message.rstrip("."), *error.evidence[-1:]])
            return VerificationFinding(name=self.name, verdict=Verdict.FAILED, value="fails", detail=said)
        return VerificationFinding(name=self.name, verdict=Verdict.PASSED)


class RegionPods(Check):
    """All pods of the services are ready in one region. Whether they restarted is told, and stops nothing."""

    bakes = True

    def __init__(self, place: Place) -> None:
        self.name = f"pods in {place.name}"
        self._place = place
        self.by_hand = (f"{place.environment.kubectl} get pods -n {place.environment.namespace}",)

    async def look(self, asked: CheckInput) -> VerificationFinding:  # noqa: ARG002 - needs nothing
        states = await self._place.states()
        value = ", ".join(f"{each.service} {each.readiness}" for each in states)
        late = [each for each in states if each.state != "complete"]
        if late:
            detail = "; ".join(filter(None, (default_redactor().text(each.detail) for each in late)))
            wanted = "all pods ready"
            raise NotYet(
                VerificationFinding(name=self.name, verdict=Verdict.FAILED, value=value, limit=wanted, detail=detail)
            )
        restarted = [each for each in states if each.restarts_lately]
        if restarted:
            said = "; ".join(f"{each.service} {counted(each.restarts_lately, 'restart')}" for each in restarted)
            return VerificationFinding(
                name=self.name, verdict=Verdict.FAILED, value=value, limit="no restart",
                detail=f"{said} within the last hour", required=False,
            )  # fmt: skip
        return VerificationFinding(name=self.name, verdict=Verdict.PASSED, value=value)


class MeasuredValue(Check):
    """A query of Prometheus is within its limit."""

    bakes = True

    def __init__(
        self,
        prometheus: PrometheusClient,
        metric: MetricCheck,
        environment: Environment,
        seconds: float,
        region: str = "",
    ) -> None:
        """`region`: where the server is another region's."""
        self.name, self.required = _named(metric.name, region), metric.required
        self._prometheus, self._metric, self._environment = prometheus, metric, environment
        server = _variable("PROMETHEUS_URL", region)
        self.by_hand = (f'promtool query instant "{server}" {shlex.quote(self._query(seconds))}',)

    async def value(self, seconds: float) -> float | None:
        """Return the value over the last seconds; None where there is none. Raises `RunbookError`."""
        return (await self._prometheus.instant(self._query(seconds))).value

    async def look(self, asked: CheckInput) -> VerificationFinding:
        metric, query = self._metric, self._query(asked.seconds)
        before = asked.before.metrics.get(self.name) if asked.before is not None else None
        reading = await self._prometheus.instant(query)
        if reading.value is None:
            finding = unknown(self.name, f"{reading.unknown}; query: {query}", required=self.required)
        else:
            verdict = Verdict.PASSED if metric.holds(reading.value, before) else Verdict.FAILED
            uncompared = metric.compared and asked.before is not None and before is None
            if verdict is Verdict.PASSED and uncompared:
                verdict = Verdict.INCONCLUSIVE
            finding = VerificationFinding(
                name=self.name,
                verdict=verdict,
                value=metric.shown(reading.value),
                detail=", ".join((*reading.warnings, *(("unknown before the deploy",) if uncompared else ()))),
                required=self.required,
            )
        shown = metric.shown(before) if before is not None else ""
        return finding.model_copy(update={"limit": metric.limit_shown, "before": shown})

    def _query(self, seconds: float) -> str:
        where, window = self._environment, f"{max(1, round(seconds))}s"
        values = {"window": window, "namespace": where.namespace, "environment": where.name}
        return written_out(self._metric.query, values)


class Receivers(Check):
    """Alertmanager answers and has the receivers that are expected."""

    def __init__(self, alertmanager: AlertmanagerClient, region: str = "") -> None:
        """`region`: where the server is another region's."""
        self.name = _named("alert receivers", region)
        self.by_hand = (f'amtool config show --alertmanager.url="{_variable("ALERTMANAGER_URL", region)}"',)
        self._alertmanager = alertmanager

    async def look(self, asked: CheckInput) -> VerificationFinding:  # noqa: ARG002 - needs nothing
        wanted, there = self._alertmanager.settings.receivers, await self._alertmanager.receivers()
        missing = [each for each in wanted if each not in there]
        if missing:
            value, limit = f"{listed(missing)} missing", listed(wanted)
            return VerificationFinding(name=self.name, verdict=Verdict.FAILED, value=value, limit=limit)
        return VerificationFinding(name=self.name, verdict=Verdict.PASSED, value=listed(wanted or there, most=5))


class AlertRules(Check):
    """Prometheus has rules for critical alerts; without them no alert is no news."""

    required = False

    def __init__(self, prometheus: PrometheusClient, region: str = "") -> None:
        """`region`: where the server is another region's."""
        self.name = _named("critical alert rules", region)
        self._prometheus = prometheus

    async def look(self, asked: CheckInput) -> VerificationFinding:  # noqa: ARG002 - needs nothing
        count = await self._prometheus.critical_rules()
        verdict = Verdict.PASSED if count else Verdict.FAILED
        return VerificationFinding(
            name=self.name, verdict=verdict, value=f"{count:,}", limit="" if count else "at least 1", required=False
        )


class NewAlerts(Check):
    """No alert fires that did not fire before the services changed. Where that is not known, none may fire."""

    bakes = True

    def __init__(self, alertmanager: AlertmanagerClient, region: str = "") -> None:
        """`region`: where the server is another region's."""
        self.name, self.region = _named("new critical alerts", region), region
        self._alertmanager = alertmanager
        matchers = shlex.join(alertmanager.settings.matchers)
        server = _variable("ALERTMANAGER_URL", region)
        self.by_hand = (f'amtool alert query {matchers} --alertmanager.url="{server}"',)

    async def firing(self) -> tuple[Alert, ...]:
        """Return the alerts that fire now. Raises `RunbookError`."""
        return await self._alertmanager.firing()

    async def look(self, asked: CheckInput) -> VerificationFinding:
        before = asked.before.alerts_in(self.region) if asked.before is not None else None
        firing = await self.firing()
        new = [each.name for each in firing if each.fingerprint not in (before or ())]
        if new:
            detail = "" if before is not None else "it is unknown which of them fired before"
            names = listed(dict.fromkeys(new), most=5)
            return VerificationFinding(name=self.name, verdict=Verdict.FAILED, value=names, limit="none", detail=detail)
        detail = f"{counted(len(firing), 'alert')} already fired before" if firing else ""
        return VerificationFinding(name=self.name, verdict=Verdict.PASSED, value="none", detail=detail)


class OfflineSync(Check):
    """The queue has not got stuck, and hardly more of its items have failed than before, where that was looked at."""

    name = "offline sync"
    bakes = True
    permission = "sync:read"

    def __init__(self, queue: SyncQueue, more: int) -> None:
        self._queue, self._more = queue, more

    async def counts(self) -> SyncCounts | None:
        """Return how the queue stands; None where the script does not say. Raises `RunbookError`."""
        status = await self._queue.status()
        if status.pending is None or status.failed is None:
            return None
        return SyncCounts(pending=status.pending, failed=status.failed, stuck=self._queue.is_stuck(status))

    async def look(self, asked: CheckInput) -> VerificationFinding:
        before, now = asked.before.sync if asked.before is not None else None, await self.counts()
        if now is None:
            return unknown(self.name, "the script does not say how many items are waiting or have failed")
        shown = before.shown if before is not None else ""
        if now.stuck and not (before is not None and before.stuck):
            return VerificationFinding(name=self.name, verdict=Verdict.FAILED, value=now.shown, before=shown)
        if before is None:
            if asked.before is not None:
                return unknown(self.name, f"now {now.shown}; unknown before the deploy")
            return VerificationFinding(name=self.name, verdict=Verdict.PASSED, value=now.shown)
        if now.failed - before.failed > self._more:
            limit = f"at most {self._more:,} more failed"
            return VerificationFinding(
                name=self.name, verdict=Verdict.FAILED, value=now.shown, before=shown, limit=limit
            )
        return VerificationFinding(name=self.name, verdict=Verdict.PASSED, value=now.shown, before=shown)


def _named(name: str, region: str) -> str:
    return f"{name} in {region}" if region else name


def _variable(name: str, region: str) -> str:
    """Return the shell variable that stands for a server's address in the lines by hand."""
    return "$" + "_".join(filter(None, (name, region.upper().replace("-", "_"))))
