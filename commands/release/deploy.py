"""`deploy VERSION`: backend, then frontend, each watched until its pods run the asked digest and are ready."""

from dataclasses import replace
from datetime import datetime, timedelta

from commands.kit.card import Attachment, Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.parsing import UsageError
from commands.kit.policy import Risk
from commands.kit.regions import RegionNames, names_of
from commands.kit.rolling import released, result_card
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, GateNames, Invalid, ServiceName, Start, Version, start
from runbooks.gates.planning import OVERRIDE, START
from runbooks.kit.plan import Plan
from runbooks.kit.steps import Results
from runbooks.migrations.migrating import SKIP
from runbooks.release.plans import plan_deploy
from runbooks.release.train import with_parts

_FURTHEST = timedelta(days=7)


def _no_time(sentence: str) -> UsageError:
    return UsageError(sentence, usage="deploy VERSION --at TIME", example="deploy v2.0.0 --at 02:00")


class Deploy(Operation):
    """Deploy a release: backend, then frontend, each watched until it runs.

    Makes a plan, asks for approval in the thread, rolls out one service after the other, and checks that the pods run the
    approved digests. A failed rollout stops the run; old pods serve until new ones are ready.

    With `--at` it is planned and approved now and started at that time, at most 7 days ahead. Shortly before, the requester and people on call are asked
    for a final go or no-go. Without a go it expires; nothing starts unwatched.

    `--only`, `--skip-migrations` and `--override` make it riskier than usual: the cards name them, one more person than usual must approve, and they
    are recorded with the release. `--override` passes the named gates, but only for the findings that the approvers see: another finding, or another gate, still
    stops the deploy.
    """

    meta = OperationMeta(
        permission="rollout:write",
        risk=Risk.DISRUPTIVE,
        examples=["v2.0.0", 'v2.0.0 --env staging --reason "fixes sync"', "v2.0.0 --at 02:00"],
    )

    version: Version = argument("release to deploy, a git tag")
    env: EnvironmentName = option("environment", default=CHANNEL_DEFAULT)

    only: ServiceName | None = option(
        "the one service to deploy; the others stay as they are, and one more must approve"
    )
    skip_migrations: bool = option("skip the release's migrations; needs a reason and one more approval", default=False)
    override: GateNames | None = option(
        "gates to pass although they have not passed, separated by commas; needs a reason and one more approval",
        permission="gate:override",
    )
    regions: RegionNames | None = option("only these regions, such as `eu`; default: all, in their order")
    at: Start | None = option("a time such as 02:00: approved now, started then after a final go")

    def with_full_times(self, now: datetime) -> "Deploy":
        # in the person's own zone
        if self.at is None:
            return self
        try:
            at = start(self.at, now=now)
        except Invalid as error:
            raise _no_time(str(error)) from None
        if at <= now:
            raise _no_time(f"`--at {self.at}` is in the past.")
        if at - now > _FURTHEST:
            raise _no_time(
                f"`--at {self.at}` is more than {_FURTHEST.days} days ahead; approvals don't last that long."
            )
        return replace(self, at=at.isoformat(timespec="seconds" if at.second else "minutes"))

    @property
    def starts_at(self) -> datetime | None:
        return datetime.fromisoformat(self.at) if self.at else None

    def without_start_time(self) -> "Deploy":
        return replace(self, at=None)

    def title(self, environment: str) -> str:
        return f"Deploy {f'{self.only} ' if self.only else ''}{self.version} to {environment}"

    async def plan(self, context: Context) -> Plan:
        plan = await plan_deploy(
            context.cluster,
            context.registry,
            context.fleet,
            context.where,
            self.version,
            places=context.places,
            regions=names_of(self.regions),
            only=self.only,
        )
        options = {START: self.at} if self.at else {}
        if self.skip_migrations:
            options[SKIP] = ""
        if self.override:
            options[OVERRIDE] = self.override
        return await with_parts(
            plan, context.where, context.services, now=context.now, regions=context.regions, options=options
        )

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        outcome = released(context, plan, results)
        return outcome.model_copy(update={"title": f"{self.only} {outcome.title}"}) if self.only else outcome

    def card(self, outcome: Outcome) -> Card:
        where, before = outcome.environment, outcome.data.get("before")
        services = outcome.data.get("services")
        back = f"Roll back to {before}" if before else "Roll back"
        # a run that ended before its services were kept has no such button
        first = services[:1] if isinstance(services, list) else []
        card = result_card(
            outcome,
            succeeded=(
                Button(label=back, does=Typed(text=f"rollback --env {where}")),
                *(Button(label="Logs", does=Typed(text=f"logs {each} --env {where}")) for each in first),
                Button(label="Status", does=Typed(text=f"status --env {where}")),
                Button(label="Sheet", does=Typed(text=f"sheet --env {where}")),
            ),
        )
        page = outcome.data.get("sheet")
        if not isinstance(page, str):
            return card
        sheet = Attachment(filename=f"sheet-{where}.txt", content=page, summary="The sheet for a bad night, to print")
        return card.model_copy(update={"body": (*card.body, sheet)})
