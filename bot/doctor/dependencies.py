"""Checks of what services depend on: each node of the cache can be queried, and each target group of the load balancer can be seen."""

from collections.abc import AsyncGenerator

from bot.config import Settings
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from runbooks.cache.caches import Cache
from runbooks.clients.aws.elasticache import ElastiCacheGroups
from runbooks.clients.aws.target_groups import TargetGroups
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted, listed


async def cache(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check whether the bot can ask every node, and its slow log. What is wrong with the cache itself is for `cache` to say."""
    configured = settings.environments[name].cache
    if configured is None:
        return
    regions = await Cache(configured, default_redactor(), home=settings.environments[name].home_region).look()
    for region, reading in regions.items():
        about = f"{name}: the cache{f' in {region}' if region else ''}"
        for each in reading.nodes:
            if each.error is not None:
                yield failed(f"{about}: {each.error.message}", " ".join(each.error.advice) or "Check that it runs.")
        if unknown := next((each.slow_unknown for each in reading.nodes if each.slow_unknown), ""):
            yield warning(f"{about}: {unknown}", "The other answers of `cache` do not need it.")
        if reading.answered:
            versions = listed(sorted({each.facts.version for each in reading.answered if each.facts is not None}))
            yield fine(f"{about}: {counted(len(reading.answered), 'node')} can be queried ({versions}).")


async def elasticache(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check whether each replication group can be seen. What is wrong with it is for `cache` to say."""
    configured = settings.environments[name].elasticache
    if configured is None:
        return
    for each in await ElastiCacheGroups(configured, throw_away=settings.bot.sandbox).look():
        about = f"{name}: the replication group {each.name}"
        if each.why:
            yield failed(f"{about}: {each.why}.", f"Check `[environments.{name}.elasticache]`.")
            continue
        for why in each.unknown:
            yield warning(f"{about}: {why}.", "The other answers of `cache` do not need it.")
        yield fine(f"{about} has {counted(len(each.nodes), 'node')}.")


async def targets(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check whether each target group can be seen. Unhealthy targets are no fault of the set-up."""
    configured = settings.environments[name].load_balancer
    if configured is None:
        return
    for each in await TargetGroups(configured, throw_away=settings.bot.sandbox).look():
        about = f"{name}: the target group {each.name} of {each.service}"
        if each.why:
            yield failed(f"{about}: {each.why}.", f"Check `[environments.{name}.load_balancer]`.")
        else:
            yield fine(f"{about} has {counted(len(each.targets), 'target')}.")
