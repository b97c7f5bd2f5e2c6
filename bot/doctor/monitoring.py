"""Checks of what an environment's verification asks: each query has data, Alertmanager answers and has its receivers."""

from collections.abc import AsyncGenerator

from bot.config import Settings
from bot.doctor.findings import Finding, failed, fine, warning
from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import RunbookError
from runbooks.verification.checks import AlertRules, Asked, MeasuredValue, Receivers
from runbooks.verification.findings import Verdict
from runbooks.verification.verification import Verification


async def monitoring(settings: Settings, name: str) -> AsyncGenerator[Finding]:
    """Make those checks of the verification that ask Prometheus and Alertmanager. A value over its limit is no fault of the set-up."""
    wanted = settings.environments[name].verification
    if wanted is None:
        return
    verification = Verification(settings.environment(name), wanted, ClusterClient())
    asked = Asked(health=HealthClient(), seconds=wanted.bake_seconds)
    place = f"environments.{name}.verification"
    for check in verification.checks:
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
