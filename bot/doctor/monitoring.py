"""Checks of what an environment's verification and metrics ask: each query has data, Alertmanager answers and has its receivers."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from bot.config import Settings
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place
from runbooks.kit.errors import RunbookError
from runbooks.metrics.reading import SHORTEST, Metrics
from runbooks.metrics.standing import where
from runbooks.verification.checks import AlertRules, CheckInput, MeasuredValue, Receivers
from runbooks.verification.findings import Verdict
from runbooks.verification.verification import Verification
from runbooks.wording import counted


async def monitoring(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Make those checks of the verification that ask Prometheus and Alertmanager. A value over its limit is no fault of the set-up."""
    async for finding in _metrics(settings, name):
        yield finding
    wanted = settings.environments[name].verification
    if wanted is None:
        return
    environment, cluster = settings.environment(name), ClusterClient()
    verification = Verification(environment, wanted, cluster)
    places = [Place(environment.within(region.name), cluster) for region in environment.regions]
    asked = CheckInput(health=HealthClient(), seconds=wanted.bake_seconds)
    place = f"environments.{name}.verification"
    for check in verification.checks_in(places):
        if not isinstance(check, MeasuredValue | Receivers | AlertRules):
            continue
        try:
            found = await check.look(asked)
        except RunbookError as error:
            yield failed(f"{name}: {check.name}: {error.message}", f"Correct {place}, or check the server.")
            continue
        if found.verdict is Verdict.INCONCLUSIVE:
            yield failed(
                f"{name}: {found.sentence}. A deploy would stop because of that.",
                f"Correct the query in {place}.metrics, or remove it there.",
            )
        elif found.verdict is Verdict.FAILED and not isinstance(check, MeasuredValue):
            yield warning(f"{name}: {found.sentence}.", f"Configure it there, or correct {place}.")
        else:
            yield fine(f"{name}: {found.sentence}.")


async def _metrics(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Say which metrics have no value now: people read them as unknown in an incident."""
    wanted = settings.monitoring(name)
    if wanted is None:
        return
    metrics = Metrics(settings.environment(name), wanted.metrics, wanted.own)
    histories = await metrics.histories(wanted.metrics.queries, datetime.now(UTC), SHORTEST)
    for regions in dict.fromkeys(each.regions for each in histories):
        found = [each for each in histories if each.regions == regions]
        unknown = [each for each in found if each.unknown]
        if unknown:
            said = ", ".join(f"{each.query.name} ({each.unknown})" for each in unknown)
            yield warning(
                f"{name}: {counted(len(unknown), 'metric')} of {len(found)} can't be read{where(regions)}: {said}.",
                f"Set environments.{name}.metrics.queries to the names that your exporters use, or leave these out.",
            )
        else:
            yield fine(f"{name}: {counted(len(found), 'metric')} can be read{where(regions)}.")
