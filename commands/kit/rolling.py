"""What the ends of `deploy` and `rollback` have in common: what runs now, in words, and what to do next."""

from collections.abc import Iterator, Sequence

from commands.kit.card import Button, Card, Confirm, OpenForm, Typed
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from runbooks.backups.steps import BackUp, SnapshotTaken
from runbooks.cdn.invalidating import InvalidateCdn, Invalidated
from runbooks.kit.plan import Plan, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results, Step
from runbooks.manifests.steps import Applied, ApplyConfigMap
from runbooks.migrations.migrating import ApplyMigrations, Migrated
from runbooks.release.recording import UNPROVEN, Recorded
from runbooks.release.rollouts import CheckResult
from runbooks.release.sheet_making import MakeSheet, SheetMade
from runbooks.release.steps import CheckRollout, Record, RollBack, images_of, left_regions
from runbooks.verification.findings import Verified
from runbooks.verification.steps import Smoke, VerifyRelease, told
from runbooks.wording import listed


def version_of(plan: Plan) -> str:
    """The version that the plan leads to; several where the services differ."""
    return versions(change.after for change in images_of(plan))


def version_before(plan: Plan) -> str:
    """The version that the plan leads away from; several where the services differ."""
    return versions(change.before for change in images_of(plan))


def released(context: Context, plan: Plan, results: Results) -> Outcome:
    """Say what runs now, of a plan that was checked and recorded."""
    checks = {step.region: found for step, found in results.each(CheckRollout, CheckResult)}
    record = next(step for step in plan.steps if isinstance(step, Record))
    version = version_of(plan)
    pods = "; ".join(_pods(region, found) for region, found in checks.items() if found.services)
    before = "" if record.standing else version_before(plan)
    wrote = [written for _, written in results.each(Record, Recorded)]
    hanging = [name for written in wrote for name in written.hanging]
    elsewhere = [name for written in wrote for name in written.elsewhere]
    kept = f"{before} marked bad" if record.left else _back(before, wrote, results) if before else ""
    kept = kept or ("not recorded as good" if hanging else "recorded as good")
    kept = "not recorded yet" if record.later else kept
    idle = list(
        dict.fromkeys(result.service for found in checks.values() for result in found.services if result.desired == 0)
    )
    cdn = [step for step, result in results.each(InvalidateCdn, Invalidated) if result.problem and result.id is None]
    problems = results.problems()
    applied = results.each(ApplyConfigMap, Applied)
    sheets = [found for _, found in results.each(MakeSheet, SheetMade)]
    title = f"{version} {'is set' if idle else 'runs'} in {context.where.name}"
    return Outcome(
        code=ReasonCode.SUCCEEDED,
        title=f"{title}; {listed(idle)} {'have' if len(idle) > 1 else 'has'} 0 replicas" if idle else title,
        lines=(
            f"{pods} · {_approval(context, plan)} · {kept}",  # the channel shows this one alone
            *(each.what for each in plan.unusual),
            *(f"The snapshot {taken.id} was taken first." for _, taken in results.each(BackUp, SnapshotTaken)),
            *(line for _, result in results.each(ApplyMigrations, Migrated) for line in result.lines()),
            *(f"{step.title}: {step.amount} changed." for step, done in applied if not done.problem),
            *((f"Not recorded as good: {UNPROVEN}. `releases adopt` records it.",) if record.unproven else ()),
            *(
                f"{name} does not run completely, so this is not recorded as good and {context.where.name} is undecided."
                for name in hanging
            ),
            *(f"{name} does not run completely, so {context.where.name} stays undecided." for name in elsewhere),
            *(warning for found in checks.values() for warning in found.warnings),
            *_elsewhere(context, plan, record, results, version),
            *(each.problem for each in problems),
            *(line for step, found in _verified(results) for line in told(step, found)),
        ),
        advice=tuple(line for each in problems for line in each.to_do),
        kubectl=(
            *(line for step, done in applied if done.problem for line in step.by_hand()),
            *(line for step in cdn for line in step.by_hand()),
            *(line for step in left_regions(results).values() for line in step.by_hand()),
        ),
        remains=(*left_regions(results), *hanging, *elsewhere),
        data={
            "version": version,
            "before": before,
            "requester": context.actor.key,
            "services": [change.service for change in record.images],
            **({"sheet": sheets[0].text} if sheets and sheets[0].text else {}),
        },
    )


def _back(before: str, wrote: Sequence[Recorded], results: Results) -> str:
    """Say what the next rollback leads to, as its plan will; nothing where that was not looked at."""
    if any(step.going_back == "impossible" for step, _ in results.each(ApplyMigrations, Migrated)):
        return f"{before} can't run on the new schema"
    back_to = next((written.back_to for written in wrote), None)
    if back_to is None:
        return ""
    return f"{back_to} kept as last known good" if back_to else f"{before} is not recorded as good"


def _pods(region: str, checked: CheckResult) -> str:
    pods = " · ".join(f"{result.service} {result.ready}/{result.desired}" for result in checked.services)
    return f"{region}: {pods}" if region else pods


def _elsewhere(context: Context, plan: Plan, record: Record, results: Results, version: str) -> Iterator[str]:
    """Say what is left in the other regions, and what to type for them."""
    where, back = context.where, any(isinstance(step, RollBack) for step in plan.steps)
    for region in left_regions(results):
        yield (
            f"Region {region} stopped answering, so what runs there is not known. When it answers again: "
            f"`rollback --regions {region} --env {where.name}`."
        )
    changed = {change.region for change in images_of(plan)}
    for each in where.regions:
        if not record.regions or each.name in record.regions or each.name in changed:
            continue
        line = f"rollback --regions {each.name}" if back else f"deploy {version} --regions {each.name}"
        # a rollback leaves a region that runs what it should, too: going back there would lead further back than anybody meant
        remains = not back or any(f"`{line}`" in warning for warning in plan.warnings)
        does = f" `{line} --env {where.name}` does it there." if remains else ""
        yield f"Region {each.name} was left as it is.{does}"


def _verified(results: Results) -> list[tuple[Step, Verified]]:
    return [*results.each(Smoke, Verified), *results.each(VerifyRelease, Verified)]


def _approval(context: Context, plan: Plan) -> str:
    """Who said yes, and to what: an approval that covers going back was given to the deploy."""
    names = listed(context.approved_by)
    if plan.covered_by:
        return f"covered by {names}'s approval of the deploy"
    return f"approved by {names}" if names else "no approval was needed"


def result_card(outcome: Outcome, *, succeeded: tuple[Button, ...], went_back: bool = False) -> Card:
    """The end of a deploy or a rollback: what to do next stands on it.

    `went_back`: it was a rollback. One that failed is tried again, looked at, done by hand: going back from it leads to the same.
    """
    if outcome.ok:
        return ending_card(outcome, buttons=succeeded)
    if outcome.code is ReasonCode.OVERTAKEN:
        return ending_card(outcome)
    where, run = outcome.environment, outcome.run
    back = Button(
        label="Roll back",
        style="danger",
        does=Typed(text=f"rollback --env {where} --after {run}"),
        confirm=Confirm(
            title=f"Roll back {where}?",
            text="This goes back to the last known good release right away; the deploy's approval covers it.",
            yes="Roll back",
        ),
    )
    retry = Button(label="Retry", does=Typed(text=f"retry {run}"))
    if outcome.undone:
        return ending_card(outcome, buttons=(retry,))
    leave = Button(label="Leave as is…", does=OpenForm(command="resolve", filled={"run": run}))
    seen = (Button(label="Evidence", does=Typed(text=f"evidence {run}")),) if outcome.data.get("evidence") else ()
    if went_back:
        status = Button(label="Status", does=Typed(text=f"status --env {where}"))
        return ending_card(outcome, buttons=(retry, status, *seen, leave))
    if outcome.untouched:
        return ending_card(outcome, buttons=(retry, *seen, leave))
    return ending_card(outcome, buttons=(back, retry, *seen, leave))
