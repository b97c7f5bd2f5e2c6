"""`rollback`: back to the newest good release that does not run completely now, all services at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Denied, Outcome, RunRecord
from commands.kit.orphaned_run import as_it_is
from commands.kit.policy import ApprovalPolicy, Policies, Risk
from commands.kit.regions import RegionNames, names_of
from commands.kit.rolling import released, result_card, version_before, version_of
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.typed_again import typed_again
from commands.kit.types import EnvironmentName, RunId, ServiceName, Version
from runbooks.fleet.absent import AbsentRecord
from runbooks.fleet.fleet import EnvironmentRecord
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.kit.targets import Environment
from runbooks.kit.versions import is_older
from runbooks.manifests.planning import ALONE
from runbooks.migrations.undoing import AGAIN, ANYWAY
from runbooks.release import rollback
from runbooks.release.locking import Locked, LockEnvironment
from runbooks.release.plans import plan_rollback
from runbooks.release.steps import RollBack, images_of, left_regions
from runbooks.release.train import PARTS, with_parts
from runbooks.release.without_record import lines_at_home, plan_without_record
from runbooks.wording import duration, listed, short_id

_JUST_NOW = timedelta(minutes=15)
_WITHOUT_RECORD = ("migrations", "CDN invalidation")
"""The parts of the train that go with a rollback without the record."""
_LOOKED_AT = 50
"""So many of the newest runs are looked at for versions that one went back from."""
_BUDGET_MINUTES = 5
"""The guide's budget for an immediate rollback ("Immediate Rollback (< 5 minutes)")."""


class Rollback(Operation):
    """Go back to the last known good release, all services at once.

    A rollback has priority: a current run is asked to stop and is replaced, a lock is bypassed and named, and one person with
    the permission confirms. Any other target (`--to`) is approved like a deploy. The replaced release is marked bad, so that a second
    rollback goes further back instead of forward again.

    The release's ConfigMaps go back with the images, if the bot applies them and knows which they were. If the configuration says so, the
    environment is locked afterwards until somebody unlocks it; that does not stop another rollback.
    """

    meta = OperationMeta(
        permission="rollout:back",
        risk=Risk.DISRUPTIVE,
        examples=["", "backend", "--to v1.1.0"],
        budget_minutes=_BUDGET_MINUTES,
    )

    services: tuple[ServiceName, ...] = argument("services to roll back; default: all", default=())
    to: Version | None = option("a recorded release instead of the last known good one")
    anyway: bool = option(
        "go back though the older release can't run on the database's schema; needs a reason", default=False
    )
    without_record: bool = option(
        "go back in the other regions while the home region's cluster, which has the record, does not answer",
        default=False,
    )
    after: RunId | None = option("the failed run whose approval covers this rollback")
    regions: RegionNames | None = option("only these regions; default: those of `--after`, else all at the same time")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    @property
    def permission(self) -> str:
        # going to a version that is named is asked for like a deploy
        return "rollout:back" if self.to is None else "rollout:write"

    @property
    def goes_back(self) -> bool:
        # only to what ran well before, never by way of a version that is named
        return self.to is None

    @property
    def after_rollback(self) -> bool:
        """Who goes back a second time, to a release of their choice, does not unlock first."""
        return True

    def title(self, environment: str) -> str:
        target = f" to {self.to}" if self.to else ""
        how = " without the record" if self.without_record else ""
        return f"Roll back {environment}{target}{how}"

    def approval(self, policies: Policies, plan: Plan) -> ApprovalPolicy | None:
        if self.to is not None:
            return policies.of(Risk.DISRUPTIVE)
        going_back = policies.going_back
        if going_back is not None and plan.covered_by and not plan.unusual:
            return going_back.model_copy(update={"count": 0})
        return going_back

    def instead_of_record(self, where: Environment) -> str:
        if not where.regions or self.without_record or names_of(self.regions) == (where.home,):
            return ""
        return typed_again(replace(self, without_record=True, after=None, regions=self._away_from(where.home)))

    def _away_from(self, home: str) -> str | None:
        return ",".join(name for name in names_of(self.regions) if name != home) or None

    async def _left_before(self, context: Context) -> dict[str, str]:
        """Return the versions that runs of this bot went back from, the newest first, and why; what a later run went to again is not one."""
        stands: dict[str, str] = {}
        for each in await context.runs.recent(environment=context.where.name, limit=_LOOKED_AT):
            if each.untouched or not each.steps or each.id == context.run_id:
                continue
            if each.state == "succeeded":
                for _, after in each.moved:
                    stands.setdefault(after, "")
            if each.command == "rollback":
                for before, after in each.moved:
                    if before != after and not is_older(before, after):  # `--to` may lead forward
                        stands.setdefault(before, rollback.left_by(each.id))
        return {version: why for version, why in stands.items() if version and why}

    async def plan(self, context: Context) -> Plan:
        options = {ANYWAY: context.reason or ""} if self.anyway else {}
        if self.without_record:
            absent = context.without_record(await self._left_before(context))
            assert isinstance(absent.fleet, AbsentRecord), "that is what it was made with"
            services, parts = absent.services, [part for part in PARTS if part[0] in _WITHOUT_RECORD]
            plan = await self._by_history(context, absent.fleet)
        else:
            services, parts = context.services, [*PARTS]
            plan, more = await self._by_record(context)
            options = {**more, **options}
        whole = await with_parts(
            plan,
            context.where,
            services,
            now=context.now,
            regions=context.regions,
            going_back=True,
            options=options,
            parts=parts,
        )
        # who approved the deploy did not approve what is insisted on
        return whole.model_copy(update={"covered_by": ()}) if whole.unusual else whole

    async def _by_history(self, context: Context, absent: AbsentRecord) -> Plan:
        """Return the plan for the services by the regions' own history."""
        return await plan_without_record(
            context.registry,
            context.fleet,
            absent,
            context.where,
            services=self.services,
            to=self.to,
            places=context.places,
            regions=names_of(self.regions),
        )

    async def _by_record(self, context: Context) -> tuple[Plan, dict[str, str]]:
        """Return the plan for the services by the record, and the options of the parts that go with it."""
        failed = await self._failed(context)
        regions = names_of(self.regions)
        if not regions and failed is not None and failed.command == "deploy":
            regions = tuple(each.name for each in context.where.regions if each.name in failed.regions)
        plan = await plan_rollback(
            context.cluster,
            context.registry,
            context.fleet,
            context.where,
            services=self.services,
            to=self.to,
            places=context.places,
            regions=regions,
        )
        record = await context.fleet.read(context.where)
        warnings = (*record.warnings, *plan.warnings)
        if self.goes_back and record.freeze is not None and not record.freeze.run and record.freeze.holds(context.now):
            warnings = (
                f"This bypasses {record.freeze.name}'s lock ({record.freeze.reason}), which stays in place.",
                *warnings,
            )
        if record.freeze is not None and record.freeze.run and record.freeze.holds(context.now):
            lock = (
                f"{context.where.name} has been locked since {record.freeze.name}'s rollback ({record.freeze.reason})"
            )
            warnings = (f"{lock}. It does not stop a rollback.", *warnings)
        going = (await as_it_is(context, record)).run
        if self.goes_back and going is not None and going.run != context.run_id:
            warnings = (f"This replaces {going.by}'s run: {going.title}.", *warnings)
        warnings = (
            *await self._just_gone_back(context, plan),
            *await self._gone_unheard(context, record, plan),
            *warnings,
        )
        covered = await self._covered_by(context, failed, plan) if failed is not None and self.to is None else ()
        plan = plan.model_copy(update={"warnings": warnings, "covered_by": covered})
        options = {AGAIN: self._typed(context.where.name, regions)}
        if self.services:
            options[ALONE] = listed(self.services)
        return plan, options

    def _typed(self, environment: str, regions: Sequence[str]) -> str:
        """Return it as it is typed again; going on from a failed run is confirmed anew."""
        to = f" --to {self.to}" if self.to else ""
        named = f" --regions {','.join(regions)}" if regions else ""
        return f"{' '.join(('rollback', *self.services))}{to}{named} --env {environment}"

    async def _failed(self, context: Context) -> RunRecord | None:
        """Return the run to go back from, where one is named; going back from one that something else followed would start from where nothing is any more."""
        if self.after is None:
            return None
        try:
            failed = await context.runs.find(self.after)
        except Denied:
            return None
        if failed.untouched:
            raise PermanentError(
                f"Run {failed.short} ended before it changed a service, so there is nothing to roll back.",
                code=ReasonCode.NOTHING_TO_GO_BACK_FROM,
                advice=(
                    f"`retry {failed.short}` tries it again. `rollback --env {context.where.name}` leaves the release that runs now.",
                ),
            )
        later = await context.runs.recent(environment=context.where.name)
        since = [
            each
            for each in later
            if failed.ended is not None and each.at > failed.ended and each.state == "succeeded" and each.rolled
        ]
        if since:
            raise PermanentError(
                f"Run {failed.short} was followed by {since[-1].title} (run {since[-1].short}).",
                code=ReasonCode.ALREADY_DECIDED,
                advice=(f"Use `rollback --env {context.where.name}` to go back from what runs now.",),
            )
        return failed

    async def _just_gone_back(self, context: Context, plan: Plan) -> tuple[str, ...]:
        """Two people go back from the same thing; the second would go further back than either meant."""
        recent = await context.runs.recent(environment=context.where.name, limit=5) if self.goes_back else ()
        return tuple(
            f"{each.ending} {duration((context.now - each.ended).total_seconds())} ago (run {each.short}). This goes further back."
            for each in recent
            if each.command == "rollback"
            and each.state == "succeeded"
            and each.ended is not None
            and context.now - each.ended < _JUST_NOW
            and _was_about(each, plan)
        )[:1]

    async def _gone_unheard(self, context: Context, record: EnvironmentRecord, plan: Plan) -> tuple[str, ...]:
        """The holder may have gone back already, and nothing says so but what it left: its bot was lost, or it is at its last steps."""
        if not self.goes_back or record.run is None or record.run.run == context.run_id:
            return ()
        why = rollback.left_by(record.run.run)
        left = {each.version for each in await context.fleet.releases(context.where) if each.why == why}
        now = {change.before.tag for change in images_of(plan)}
        if not left or not now or left & now:
            return ()
        whose = f"{record.run.by}'s rollback (run {short_id(record.run.run)})"
        what = f"{whose} has already rolled back {listed(sorted(left))}: {version_before(plan)} runs."
        return (f"{what} This goes further back.",)

    async def _covered_by(self, context: Context, failed: RunRecord, plan: Plan) -> tuple[str, ...]:
        """Who approved the failed run; nobody where it was not one, another one ended since, or a region changes that it was not about."""
        undecided = (await as_it_is(context, await context.fleet.read(context.where))).undecided
        open_still = undecided is not None and undecided.run == failed.id
        fits = (
            failed.state in ("failed", "cancelled")
            and failed.environment == context.where.name
            and failed.command == "deploy"
        )
        beyond = {change.region for change in images_of(plan)}.difference(failed.regions) if failed.regions else ()
        return failed.approved_by if fits and open_still and not beyond else ()

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        went, outcome = results.each(RollBack, rollback.GoneBack), released(context, plan, results)
        locks = dict.fromkeys(each.lock for _, each in went if each.lock)
        lock = tuple(f"{name}'s lock is still in place." for name in locks)
        kept = [(step.region, each.evidence) for step, each in went if not each.unreachable]
        said = "; ".join(f"{region}: {found}" if region else found for region, found in kept)
        away = [*left_regions(results), *([context.where.home] if self.without_record else [])]
        left = f", but not in {listed(away)}" if away else ""
        locked = next((each for _, each in results.each(LockEnvironment, Locked)), None)
        if locked is not None:
            where = context.where.name
            stands = (
                f"{where} is locked ({locked.name}: {locked.reason}). `unlock --env {where}` lets deploys start again."
            )
            lock = () if locked.problem else (stands,)
        if self.without_record:
            where, home = context.where.name, context.where.home
            lock = (
                f"{home} has the record, which does not know of this yet. When {home} answers again, the bot writes it there, locks {where}, and says so here.",
            )
            by_hand = lines_at_home(context.where, images_of(plan))
            outcome = outcome.model_copy(
                update={"kubectl": (*outcome.kubectl, *by_hand), "remains": (*outcome.remains, home)}
            )
        return outcome.model_copy(
            update={
                "title": f"Back on {version_of(plan)} in {context.where.name}{left}",
                "lines": (*outcome.lines, *lock),
                "data": {
                    **outcome.data,
                    "budget_minutes": _BUDGET_MINUTES,
                    "evidence": said,
                    "locked": locked is not None and not locked.problem,
                },
            }
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        if outcome.ok:
            spent = f"{outcome.seconds:.0f} s of the guide's {_BUDGET_MINUTES} min budget"
            outcome = outcome.model_copy(update={"lines": (spent, *outcome.lines)})
        return result_card(
            outcome,
            went_back=True,
            succeeded=(
                *(
                    (Button(label="Unlock", does=Typed(text=f"unlock --env {where}")),)
                    if outcome.data.get("locked")
                    else ()
                ),
                Button(label="Evidence", does=Typed(text=f"evidence {outcome.run}")),
                Button(label="Status", does=Typed(text=f"status --env {where}")),
            ),
        )


def _was_about(record: RunRecord, plan: Plan) -> bool:
    """Return whether the run was about a region that the plan changes."""
    return not record.regions or any(change.region in record.regions for change in images_of(plan))
