"""The release train: a deploy or a rollback of the services, with the parts that go before and after them.

`with_parts` puts what each domain plans into the plan of the services: gates and migrations before them, CDN and verification after
them, the record last. A new part is a line in `PARTS`.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from runbooks.backups import plans as backup_plans
from runbooks.cdn import invalidating
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.service_state import current
from runbooks.gates import planning as gates
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Plan, Unusual, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Step
from runbooks.kit.targets import Environment
from runbooks.kit.train import Part, PlansPart, Train
from runbooks.kit.waiting import side_by_side
from runbooks.manifests import changed_outside
from runbooks.manifests import planning as manifests
from runbooks.migrations import planning as migrations
from runbooks.migrations.migrating import ALONE, ApplyMigrations, image_of
from runbooks.migrations.settings import MigrationSettings
from runbooks.release import sheet_making
from runbooks.release.last_good import change_of
from runbooks.release.steps import CheckRollout, Record, Take, images_of, limited_to
from runbooks.reporting import github_deployment
from runbooks.verification import steps as verification
from runbooks.wording import listed

_log = logging.getLogger(__name__)
_PATIENCE = 3.0
"""Seconds that planning a rollback waits for its parts."""

PARTS: tuple[tuple[str, PlansPart], ...] = (
    ("gates", gates.plan_part),
    ("the deployment on GitHub", github_deployment.plan_part),
    ("the backup", backup_plans.plan_part),
    ("migrations", migrations.plan_part),
    ("CDN invalidation", invalidating.plan_part),
    ("configuration", manifests.plan_part),
    ("what others changed of the configuration", changed_outside.plan_part),
    ("verification", verification.plan_part),
    ("the sheet", sheet_making.plan_part),
)
"""Each part's name for people, and its planner, in the order in which their steps go."""


async def with_parts(
    plan: Plan,
    environment: Environment,
    clients: Mapping[type, object],
    *,
    now: datetime,
    regions: Mapping[str, Mapping[type, object]] | None = None,
    going_back: bool = False,
    options: Mapping[str, str] | None = None,
    parts: Sequence[tuple[str, PlansPart]] | None = None,
    patience: float = _PATIENCE,
) -> Plan:
    """Return the plan with the steps and sentences of all parts; as it is where no service changes.

    Where what runs is only checked and recorded, such as by a retry, the gates are looked at, and what goes after the services is done again;
    a step that belongs before them is refused.
    `clients`: clients and settings of the environment, each by its class; `regions`: those that are others in each region. Raises RunbookError where a part can't be planned, but
    going back is not stopped by that, nor by a part that takes longer than `patience` seconds: the part is named instead.
    """
    changes = images_of(plan)
    if not changes:
        return plan
    standing = any(isinstance(step, Record) and step.standing for step in plan.steps)
    before = {change.before.tag for change in changes}
    limited = limited_to(plan)
    train = Train(
        environment=environment,
        version=versions(change.after for change in changes),
        before=before.pop() if len(before) == 1 else None,
        changes=tuple({change.service: change for change in reversed(changes)}.values())[::-1],
        going_back=going_back,
        standing=standing,
        clients=clients,
        regions={name: found for name, found in (regions or {}).items() if not limited or name in limited},
        options=options or {},
        now=now,
    )
    found = await _parts(train, PARTS if parts is None else parts, patience)
    if standing and (left := [step for part in found for step in part.before]):
        raise _left_to_do(train.version, left)
    return _joined(plan, found)


async def _parts(train: Train, chosen: Sequence[tuple[str, PlansPart]], patience: float) -> list[Part]:
    """Return the parts; steps that are for those of another part are left out where that has none."""
    found = await side_by_side(*(_planned(name, plans, train, patience) for name, plans in chosen))
    kinds = {step.kind for part in found for step in part.before}
    return [
        part if not part.only_with or part.only_with in kinds else part.model_copy(update={"before": ()})
        for part in found
    ]


def _joined(plan: Plan, found: Sequence[Part]) -> Plan:
    unusual = (*plan.unusual, *(each for part in found for each in part.unusual))
    return plan.model_copy(
        update={
            "unusual": unusual,
            "needs_reason": plan.needs_reason or any(each.needs_reason for each in unusual),
            "steps": _noted(_placed(plan.steps, found), unusual),
            "warnings": (*plan.warnings, *(each for part in found for each in part.warnings)),
            "refused_by": (*plan.refused_by, *(each for part in found for each in part.refused_by)),
            "notes": (*plan.notes, *(each for part in found for each in part.notes)),
            "not_done": (*(each for part in found for each in part.not_done), *plan.not_done),
        }
    )


async def plan_migrate(
    cluster: ClusterClient,
    registry: RegistryClient,
    settings: MigrationSettings,
    environment: Environment,
    clients: Mapping[type, object],
    version: str | None,
    *,
    now: datetime,
) -> Plan:
    """Return the plan of a release's migrations alone: with the gates that concern them and the backup, as a deploy has them."""
    image, states = await asyncio.gather(
        image_of(cluster, registry, environment, settings, version), current(cluster, environment)
    )
    change = change_of(next(each for each in states if each.service == settings.service), image)
    train = Train(
        environment=environment,
        version=image.tag or image.short,
        before=change.before.tag,
        changes=(change,),
        clients=clients,
        options={ALONE: "yes"},
        now=now,
    )
    chosen = (
        ("gates", gates.plan_part),
        ("the backup", backup_plans.plan_part),
        ("migrations", migrations.plan_part),
    )
    found = await _parts(train, chosen, _PATIENCE)
    if not any(isinstance(step, ApplyMigrations) for part in found for step in part.before):
        title = f"No migration of {train.version} is pending in {environment.name}. Nothing to do."
        return Plan(title=title, warnings=tuple(each for part in found for each in part.warnings))
    plan = Plan(
        title=f"Migrate {environment.name}'s database to {train.version}", notes=("The services are not changed.",)
    )
    return _joined(plan, found)


async def _planned(name: str, plans: PlansPart, train: Train, patience: float) -> Part:
    """Return the part; one that can't be planned is named where the services matter more: going back waits for none and ends by none."""
    try:
        async with asyncio.timeout(patience if train.going_back else None):
            return await plans(train)
    except RunbookError as error:
        if not train.going_back:
            raise
        why = error.message
    except TimeoutError:
        if not train.going_back:
            raise
        why = f"no answer within {patience:g} s."
    except Exception:
        if not train.going_back:
            raise
        _log.exception("planning %s failed, and the rollback goes on without it", name)
        why = "a bug in the bot; its log has more."
    return Part(warnings=(f"This plan leaves out {name}: {why}",), not_done=(name,))


def _noted(steps: Sequence[Step], unusual: Sequence[Unusual]) -> tuple[Step, ...]:
    """Return the steps; the one that records the release keeps what was unusual with it."""
    kept = {"unusual": tuple(each.option for each in unusual)}
    return tuple(step.model_copy(update=kept) if isinstance(step, Record) else step for step in steps)


def _left_to_do(version: str, left: Sequence[Step]) -> PermanentError:
    return PermanentError(
        f"{version} already runs, but what belongs before it is not done: {listed(step.title for step in left)}.",
        code=ReasonCode.PLAN_FAILED,
        advice=(
            f"`rollback` goes back. Or run `migrate`, then `verify`, and record {version} with `releases adopt`.",
            f"If every migration is applied, `deploy {version} --skip-migrations` with a reason checks and records {version}.",
        ),
    )


def _placed(steps: Sequence[Step], parts: Sequence[Part]) -> tuple[Step, ...]:
    """After the Deployments are taken, and after the check of what runs."""
    begun = min((at for at, step in enumerate(steps) if isinstance(step, Take)), default=-1) + 1
    checked = max((at for at, step in enumerate(steps) if isinstance(step, CheckRollout)), default=begun - 1) + 1
    first = (step for part in parts for step in part.first)
    before = (step for part in parts for step in part.before)
    after = (step for part in parts for step in part.after)
    last = (step for part in parts for step in part.last)
    return (*steps[:begun], *first, *before, *steps[begun:checked], *after, *steps[checked:], *last)
