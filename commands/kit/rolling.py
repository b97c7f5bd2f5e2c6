"""What `deploy` and `rollback` have in common: an image change for each service, rolled out, checked, recorded, told."""

from collections.abc import Callable, Sequence

from commands.kit.card import Button, Card, Confirm, OpenForm, Typed
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from runbooks.deployments.service_state import ServiceState, current, pinned
from runbooks.fleet.fleet import Release, ReleasedService, utc_now
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange, Plan, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse, StepName, Steps
from runbooks.release import rollouts
from runbooks.release.rollback import left_by
from runbooks.wording import listed

TAKE = StepName(key="take", title="Take the Deployments")
CHECK = StepName(key="check", title="Check")
RECORD = StepName(key="record", title="Record the release")


_UNPROVEN = "no record lists this image as good"


class Unrecorded(PermanentError):
    """All of it runs and was checked, and the fleet's record does not have it: whoever ends the run writes it there."""

    def __init__(self, error: RunbookError, release: Release, left: str | None) -> None:
        super().__init__(
            error.message,
            code=error.code,
            evidence=error.evidence,
            advice=error.advice,
            diagnosis=error.diagnosis,
        )
        self.release = release
        self.left = left


def rollout_step(change: ImageChange) -> StepName:
    """Return the step that rolls this change out: `Backend rollout`."""
    return StepName(
        key=f"rollout:{change.service}", title=f"{change.service.capitalize()} rollout", targets=(change.service,)
    )


def outline(plan: Plan) -> tuple[StepName, ...]:
    """The steps that people see ahead."""
    return (*(rollout_step(change) for change in plan.changes if not plan.confirms), CHECK)


def version_of(plan: Plan) -> str:
    """The version that the plan leads to; several where the services differ."""
    return versions(change.after for change in plan.changes)


def version_before(plan: Plan) -> str:
    """The version that the plan leads away from; several where the services differ."""
    return versions(change.before for change in plan.changes)


def cause(context: Context, what: str) -> str:
    """`kubernetes.io/change-cause`: who, what, which run."""
    by = f", approved by {listed(context.approved_by)}" if context.approved_by else ""
    return f"omnicare run {context.run_id}: {what}, requested by {context.actor.name}{by}"


async def record(_pulse: Pulse, context: Context, release: Release, left: str | None) -> int:
    """Writes the release into the fleet's record, and marks what was left as bad. Returns how many were marked.

    A release is what runs in the whole environment: a service that this run did not change (a retry of what was half done, one
    service that went back alone) belongs to it as it stands, or going back to it later would leave that service where it is then.
    """
    if any(release.image(service.name) is None for service in context.where.services):
        release = whole(release, await current(context.cluster, context.where))
    marked = await context.fleet.mark_bad(context.where, left, left_by(release.run)) if left else 0
    await context.fleet.record_release(context.where, release)
    return marked


def whole(release: Release, standing: Sequence[ServiceState]) -> Release:
    """The release with the services that it did not change, in the environment's order."""
    changed = {each.service: each for each in release.services}
    services = []
    for state in standing:
        if (own := changed.get(state.service)) is not None:
            services.append(own)
        elif (image := pinned(state)) is not None and not state.foreign:
            services.append(ReleasedService(service=state.service, image=image, revision=state.revision))
    version = versions(each.image for each in services)
    return release.model_copy(update={"services": tuple(services), "version": version})


def release_of(context: Context, plan: Plan, results: Sequence[rollouts.RolloutResult]) -> Release:
    """What was rolled out, as the fleet remembers it."""
    return Release(
        version=version_of(plan),
        services=tuple(
            ReleasedService(service=change.service, image=_by_digest(change, result), revision=result.revision)
            for change, result in zip(plan.changes, results, strict=True)
        ),
        run=context.run_id or "",
        by=context.actor.name,
        approved_by=context.approved_by,
        at=utc_now(),
        verdict="unproven" if plan.unproven else "good",
        why=_UNPROVEN if plan.unproven else "",
        seconds=None if plan.confirms else _took(plan, results),
    )


def _by_digest(change: ImageChange, result: rollouts.RolloutResult) -> Image:
    """What runs, by digest also where the Deployment asks for it by its tag alone, which may mean something else tomorrow."""
    return change.after if change.after.digest else change.after.model_copy(update={"digest": result.digest})


def _took(plan: Plan, results: Sequence[rollouts.RolloutResult]) -> float:
    """Seconds of the rollouts: how long it usually takes, for the next plan."""
    each = [result.seconds for result in results]
    return round(max(each, default=0.0) if plan.together else sum(each), 1)


async def roll_out_in_turn(
    context: Context, plan: Plan, steps: Steps, *, step: Callable[[ImageChange], StepName], cause: str
) -> list[rollouts.RolloutResult]:
    """One service after the other, each as a step of its own; between two of them people may hold the run."""
    results: list[rollouts.RolloutResult] = []
    for change in plan.changes:
        if results:
            await steps.hold_point(step(change))
        results.append(
            await steps.run(
                step(change),
                rollouts.roll_out,
                context.cluster,
                change,
                cause=cause,
                by=context.actor.name,
                settings=context.patience,
            )
        )
    return results


async def finish(
    context: Context, plan: Plan, steps: Steps, results: Sequence[rollouts.RolloutResult], *, left: str | None
) -> Outcome:
    """Check, record, and say what runs now. `results`: of the rollouts; none where the plan only confirms."""
    checked = await steps.run(
        CHECK,
        rollouts.check,
        context.cluster,
        plan.changes,
        registry=context.registry,
        settings=context.patience,
    )
    results = checked.services if plan.confirms else results
    release = release_of(context, plan, results)
    try:
        await steps.run(RECORD, record, context, release, left)
    except RunbookError as error:
        raise Unrecorded(error, release, left) from error
    pods = " · ".join(f"{result.service} {result.ready}/{result.desired}" for result in results)
    by = _approval(context, plan)
    before = "" if plan.confirms else version_before(plan)
    kept = f"{before} marked bad" if left else f"{before} kept as last known good" if before else "recorded as good"
    idle = [result.service for result in results if result.desired == 0]
    title = f"{release.version} {'is set' if idle else 'runs'} in {context.where.name}"
    return Outcome(
        code=ReasonCode.SUCCEEDED,
        title=f"{title}; {listed(idle)} {'have' if len(idle) > 1 else 'has'} 0 replicas" if idle else title,
        lines=(
            f"{pods} · {by} · {kept}",
            *((f"Not recorded as good: {_UNPROVEN}. `releases adopt` records it.",) if plan.unproven else ()),
            *checked.warnings,
        ),
        data={
            "version": release.version,
            "before": before,
            "requester": context.actor.key,
            "services": [change.service for change in plan.changes],
        },
    )


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
    leave = Button(label="Leave as is…", does=OpenForm(command="resolve", filled={"run": run}))
    seen = (Button(label="Evidence", does=Typed(text=f"evidence {run}")),) if outcome.data.get("evidence") else ()
    if went_back:
        status = Button(label="Status", does=Typed(text=f"status --env {where}"))
        return ending_card(outcome, buttons=(retry, status, *seen, leave))
    return ending_card(outcome, buttons=(back, retry, *seen, leave))
