"""Going back while the home region's cluster, which has the record, does not answer: in the other regions, by their own history.

Only a person's explicit word leads here, and only going back: without the record nobody knows which release is good, and no run
can take the lease. What the record is to know is written by the run's end once it can be (`bot.runs.execution.closing`).
"""

import asyncio
from collections.abc import Mapping, Sequence

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.deployments.places import Place, named
from runbooks.deployments.service_state import kubectl_lines
from runbooks.fleet.absent import AbsentRecord
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import is_temporary, retried
from runbooks.kit.targets import Environment
from runbooks.release.plans import plan_rollback
from runbooks.release.steps import Record, images_of
from runbooks.wording import listed

_PATIENCE = 3.0
"""Seconds within which the record has to be read, or it counts as away."""
_NAMED = 3
"""So many of the versions that runs went back from are named; the rest are counted."""
_LEFT_OUT = ("configuration", "verification of metrics and user flows")


async def plan_without_record(
    registry: RegistryClient,
    fleet: Fleet,
    absent: AbsentRecord,
    environment: Environment,
    *,
    services: Sequence[str],
    to: str | None,
    places: Sequence[Place],
    regions: Sequence[str],
) -> Plan:
    """Return the plan of going back in the regions that answer, or in those of them that are named.

    Raises PermanentError where the record can be read after all, where it is read and strange, and where there is nothing to go back to.
    """
    others = _away_from_home(environment, places, regions)
    await _is_away(fleet, environment)
    try:
        plan = await plan_rollback(
            fleet.cluster,
            registry,
            absent,
            environment.model_copy(update={"lock_after_rollback": False}),  # it is locked with the end, by the end
            services=services,
            to=to,
            places=others,
            regions=regions,
        )
    except PermanentError as error:
        raise (
            _nowhere(error, environment, others, to, absent.left) if error.code is ReasonCode.NO_RELEASE else error
        ) from error
    if plan.empty:
        return plan
    changes, home = images_of(plan), environment.home
    return plan.model_copy(
        update={
            "steps": tuple(
                step.model_copy(update={"later": True}) if isinstance(step, Record) else step for step in plan.steps
            ),
            "warnings": (
                f"The cluster of {home} has the record of {environment.name} and does not answer, so the bot does not know which release is good. {_target(to)}",
                f"No run holds the lease, and a lock of {environment.name} can't be seen. A run of this bot is asked to stop first; nothing stops other tools or people.",
                f"{home} stays as it is. When it answers again: `rollback --regions {home}`. By hand there: {_set_at_home(environment, changes)}",
                *(_skipped(absent.left) if to is None else ()),
                *plan.warnings,
            ),
            "notes": (
                *plan.notes,
                f"When {home} answers again, the bot records what was done here and locks {environment.name}.",
            ),
            "not_done": (*_LEFT_OUT, *plan.not_done),
        }
    )


def lines_at_home(environment: Environment, changes: Sequence[ImageChange]) -> tuple[str, ...]:
    """Return the lines by which a person sets in the home region what one other region goes back to."""
    home = environment.within(environment.home)
    once = {change.service: change for change in reversed(changes)}
    there = [
        change.model_copy(update={"region": environment.home, "kubectl": home.kubectl})
        for change in changes
        if once[change.service] is change
    ]
    return tuple(kubectl_lines(there))


def _set_at_home(environment: Environment, changes: Sequence[ImageChange]) -> str:
    """Return those of the lines that set an image, in one sentence; the result has all of them to copy."""
    lines = lines_at_home(environment, changes)
    return "; ".join(f"`{line}`" for line in lines[: len(lines) // 2])


def _target(to: str | None) -> str:
    if to is not None:
        return f"The other regions go to {to}, because you named it; check that it ran well."
    return "Each service goes back to the newest earlier revision in its region's own history that no run of this bot went back from; check that it ran well."


def _skipped(left: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line that names the newest versions that no rollback goes back to by itself; nothing where there is none."""
    if not left:
        return ()
    named = [f"{version} ({why})" for version, why in left.items()]
    more = [f"{len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return (f"Skipped: {listed([*named[:_NAMED], *more])}. `--to VERSION` goes there all the same.",)


def _away_from_home(environment: Environment, places: Sequence[Place], regions: Sequence[str]) -> tuple[Place, ...]:
    """Return all regions but home's. Raises PermanentError where there is none, or where the home region is named."""
    if not environment.regions:
        raise PermanentError(
            f"{environment.name} has one cluster, which has the record too: there is no other region to roll back.",
            code=ReasonCode.USAGE,
        )
    if environment.home in {place.name for place in named(places, regions)} and regions:
        raise PermanentError(
            f"{environment.home} has the record, so it can only be rolled back with it.",
            code=ReasonCode.USAGE,
            advice=(f"Leave {environment.home} out of `--regions`.",),
        )
    return tuple(place for place in places if place.name != environment.home)


async def _is_away(fleet: Fleet, environment: Environment) -> None:
    """Return where the record can't be read for now. Raises PermanentError where it can, or where it is strange or forbidden."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await retried(lambda: fleet.read(environment), may_help=is_temporary)
    except TimeoutError:
        return
    raise PermanentError(
        f"The record of {environment.name} can be read, so a rollback goes by it.",
        code=ReasonCode.CHANGED_MEANWHILE,
        advice=(f"Use `rollback --env {environment.name}`.",),
    )


def _nowhere(
    error: PermanentError,
    environment: Environment,
    places: Sequence[Place],
    to: str | None,
    left: Mapping[str, str],
) -> PermanentError:
    """Return the refusal where the history leads nowhere, with the lines that show a person what there is."""
    known = listed(place.name for place in places)
    what = (
        f"{to} is not in the revision history of {known}"
        if to is not None
        else f"The revision history of {known} has no earlier revision to go back to"
    )
    lines = tuple(
        f"{place.environment.kubectl} rollout history deployment/{service.deployment} -n {place.environment.namespace}"
        for place in places
        for service in environment.services
    )
    return PermanentError(
        f"{what}, and the record can't be read.",
        code=error.code,
        evidence=lines,
        advice=(
            *(_skipped(left) if to is None else ()),
            "By hand, these lines show what there is; `kubectl rollout undo … --to-revision=N` goes to one.",
        ),
    )
