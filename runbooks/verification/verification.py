"""The verification of one environment: measuring before the services change, and making all checks side by side afterwards."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.exec import Program
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerClient, AlertmanagerServer
from runbooks.clients.prometheus.metrics import PrometheusClient
from runbooks.deployments.places import Place
from runbooks.deployments.pod_scripts import PodScripts
from runbooks.kit.errors import RunbookError
from runbooks.kit.retry import retried
from runbooks.kit.targets import Environment
from runbooks.kit.waiting import side_by_side
from runbooks.sync.queue import SyncQueue
from runbooks.verification.checks import (
    AlertRules,
    Check,
    CheckInput,
    DatabaseTest,
    HealthUrl,
    MeasuredValue,
    NewAlerts,
    NotYet,
    OfflineSync,
    Receivers,
    RegionPods,
)
from runbooks.verification.findings import Before, Verdict, VerificationFinding, Verified, unknown
from runbooks.verification.settings import VerificationSettings
from runbooks.wording import counted

T = TypeVar("T")

_log = logging.getLogger(__name__)

_GRACE = 1.5
"""A check is tried again until its deadline; the last try may end a little later."""


class Verification:
    """What an environment has configured to be checked."""

    def __init__(
        self,
        environment: Environment,
        settings: VerificationSettings,
        cluster: ClusterClient,
        queue: SyncQueue | None = None,
    ) -> None:
        self.settings = settings
        self.checks = _configured(environment, settings, cluster, queue)

    def checks_in(self, places: Sequence[Place]) -> tuple[Check, ...]:
        """Return all checks: those that are made once, and those of each of these regions. What answers at once comes first."""
        found = [*self.checks, *(check for place in places if place.name for check in _of_region(place, self.settings))]
        return tuple(sorted(found, key=lambda check: check.bakes))

    async def measured(self, places: Sequence[Place] = ()) -> Before:
        """Return how it is now, in these regions too. Never raises: what can't be had is left out."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        over = self.settings.bake_seconds
        values = {each.name: partial(each.value, over) for each in self._those(MeasuredValue, places)}
        found = await side_by_side(*map(self._in_time, values.values()))
        metrics = {name: value for name, value in zip(values, found, strict=True) if value is not None}
        asked = self._those(NewAlerts, places)
        firing = await side_by_side(*(self._in_time(each.firing) for each in asked))
        fired = {
            each.region: tuple(alert.fingerprint for alert in alerts)
            for each, alerts in zip(asked, firing, strict=True)
            if alerts is not None
        }
        counts = [await self._in_time(each.counts) for each in self._those(OfflineSync)]
        alerts = fired.pop("", None)
        return Before(at=at, metrics=metrics, alerts=alerts, region_alerts=fired, sync=counts[0] if counts else None)

    def _those(self, kind: type[T], places: Sequence[Place] = ()) -> list[T]:
        return [each for each in self.checks_in(places) if isinstance(each, kind)]

    async def _in_time(self, look: Callable[[], Awaitable[T]]) -> T | None:
        seconds = self.settings.deadline_seconds
        try:
            async with asyncio.timeout(seconds):
                return await retried(look, seconds=seconds)
        except (RunbookError, TimeoutError):
            return None
        except Exception:  # noqa: BLE001 - whatever it is, it is not compared
            _log.exception("a value could not be measured before the change")
            return None

    async def look(
        self,
        asked: CheckInput,
        *,
        bake: Callable[[], Awaitable[object]] | None = None,
        said: Callable[[str], None] = lambda _: None,
        places: Sequence[Place] = (),
        left_out: Collection[str] = (),
        within: float | None = None,
    ) -> Verified:
        """Return what the checks found. Where one that needs no bake time has failed, the others are not waited for.

        `bake` waits for the bake time; without one nothing is waited for. `places`: the regions that are looked at. `left_out`: names of checks that are not made; `within`: a
        shorter time limit than the configured one.
        """
        checks = [each for each in self.checks_in(places) if each.name not in left_out]
        done: list[VerificationFinding] = []

        async def one(check: Check) -> VerificationFinding:
            finding = await _within(check, asked, within or self.settings.deadline_seconds)
            done.append(finding)
            said(_progress(done, len(checks)))
            return finding

        later = [check for check in checks if check.bakes]
        findings = await side_by_side(*(one(check) for check in checks if not check.bakes))
        if bake is not None and any(each.verdict is Verdict.FAILED and each.required for each in findings):
            skipped = "not checked, because another check failed"
            return Verified(
                findings=(*findings, *(unknown(each.name, skipped, required=each.required) for each in later))
            )
        if bake is not None and later:
            await bake()
        return Verified(findings=(*findings, *await side_by_side(*map(one, later))))


async def _within(check: Check, asked: CheckInput, seconds: float) -> VerificationFinding:
    try:
        async with asyncio.timeout(seconds * _GRACE):
            return await retried(lambda: check.look(asked), seconds=seconds)
    except NotYet as error:
        return error.finding
    except RunbookError as error:
        return unknown(check.name, error.message.rstrip("."), required=check.required)
    except TimeoutError:
        return unknown(check.name, f"no answer within {seconds * _GRACE:g} s", required=check.required)
    except Exception:  # noqa: BLE001 - whatever it is, the check has no result
        _log.exception("a check could not be made", extra={"check": check.name})
        return unknown(check.name, "an error in the bot; its log has more", required=check.required)


def _progress(done: Sequence[VerificationFinding], total: int) -> str:
    passed = sum(each.verdict is Verdict.PASSED for each in done)
    others = [f"{each.name} {each.verdict}" for each in done if each.verdict is not Verdict.PASSED]
    return ", ".join((f"{passed}/{counted(total, 'check')} passed", *others))


def _of_region(place: Place, settings: VerificationSettings) -> tuple[Check, ...]:
    """Return what is checked in one of several regions; what is checked once is checked in the home region."""
    found: list[Check] = [RegionPods(place)]
    if place.name == place.environment.home:
        return tuple(found)
    if settings.db_test:
        found.append(_database_test(place.cluster, place.environment, settings, f" in {place.name}"))
    own = settings.regions.get(place.name)
    server = own.prometheus if own is not None else None
    return (*found, *_monitored(place.environment, settings, server, settings.alertmanager_in(place.name), place.name))


def _monitored(
    environment: Environment,
    settings: VerificationSettings,
    metrics: MonitoringServer | None,
    alerts: AlertmanagerServer | None,
    region: str = "",
) -> Iterator[Check]:
    """Return what these servers are asked. `region`: the region whose own they are; empty for the environment's."""
    alertmanager = AlertmanagerClient(alerts) if alerts is not None else None
    prometheus = PrometheusClient(metrics) if metrics is not None else None
    if alertmanager is not None:
        yield Receivers(alertmanager, region)
    if prometheus is not None and alertmanager is not None:
        yield AlertRules(prometheus, region)
    if prometheus is not None:
        for metric in settings.metrics:
            yield MeasuredValue(prometheus, metric, environment, settings.bake_seconds, region)
    if alertmanager is not None:
        yield NewAlerts(alertmanager, region)


def _database_test(
    cluster: ClusterClient, environment: Environment, settings: VerificationSettings, where: str = ""
) -> DatabaseTest:
    words = settings.db_test
    scripts = PodScripts(cluster, environment, settings.service, (Program(words),), table="verification")
    return DatabaseTest(scripts, words, settings.db_test_seconds, where)


def _configured(
    environment: Environment, settings: VerificationSettings, cluster: ClusterClient, queue: SyncQueue | None
) -> tuple[Check, ...]:
    """What answers at once stands before what is measured."""
    found: list[Check] = []
    if settings.health:
        found += [HealthUrl(service) for service in environment.services if service.health_url]
    if settings.db_test:
        found.append(_database_test(cluster, environment, settings))
    found += _monitored(environment, settings, settings.prometheus, settings.alertmanager)
    if queue is not None:
        found.append(OfflineSync(queue, settings.new_failed_items))
    return tuple(found)
