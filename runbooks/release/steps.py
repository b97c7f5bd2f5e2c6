"""The steps of `deploy`, `rollback` and `restart`: taking the Deployments, rolling out, going back, checking, recording."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place
from runbooks.deployments.service_state import kubectl_lines
from runbooks.fleet.fleet import Fleet, Release
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange, Plan, Wave, versions
from runbooks.kit.steps import Brief, Cell, Results, Shown, Step, StepContext, Undo
from runbooks.kit.timeouts import RolloutSettings
from runbooks.manifests.steps import KeepConfiguration, Kept
from runbooks.release import max_surge, recording, rollback, rollouts
from runbooks.release.recording import Recorded
from runbooks.release.rollback import GoneBack
from runbooks.release.rollouts import CheckResult, RolloutResult, Stamped
from runbooks.verification.findings import Verified
from runbooks.verification.steps import Smoke, VerifyRelease
from runbooks.wording import capital, listed, short_id

_AWAY = 3.0
"""Seconds that the end of a run waits for a region away from home."""


class Take(Step):
    """The run's id is put on every Deployment, so that no other run can change one."""

    kind: Literal["take"] = "take"
    leaves: str | None = None
    """A version that is marked bad at once: where this run leads away from."""
    services: tuple[str, ...] = ()
    """The services that leave it."""
    hidden: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Take the Deployments{self.place}"

    async def apply(self, context: StepContext) -> Stamped:
        cluster, fleet = context.use(ClusterClient), context.use(Fleet)
        return await rollback.begin(context.pulse, cluster, fleet, context.environment, self.leaves, self.services)


class ServiceStep(Step):
    """One service gets new pods, watched until they are ready."""

    change: ImageChange
    cause: str
    """What is done, for `kubernetes.io/change-cause`: `deploy v2.0.0`."""

    @property
    def target(self) -> str:
        return self.change.service

    @property
    def word(self) -> str:
        return self.change.named

    def changes(self) -> dict[str, JsonValue]:
        return {**self.change.substance()}

    def shown(self) -> Shown:
        return _table([self.change])

    def by_hand(self) -> tuple[str, ...]:
        return (" && ".join(kubectl_lines([self.change])),)

    def replaces(self) -> dict[str, str | None]:
        return {self.change.service: self.change.before.tag}

    def goes_on(self) -> tuple[str, ...]:
        after = self.change.after
        return (
            f"Kubernetes continues to roll out {self.change.named} {after.tag or after.short}; `rollback` reverts it.",
        )

    def completes(self, approved: Step) -> bool:
        return isinstance(approved, ServiceStep) and _completes(self.change, approved.change)

    async def apply(self, context: StepContext) -> RolloutResult:
        return await rollouts.roll_out(
            context.pulse,
            context.use(ClusterClient),
            self.change,
            cause=cause(context, self.cause),
            by=context.asked_by,
            settings=context.use(RolloutSettings),
        )


class NewImage(ServiceStep):
    """One service gets another image."""

    @property
    def title(self) -> str:
        return f"{capital(self.change.service)} rollout{self.place}"

    def in_short(self) -> tuple[Brief, ...]:
        return (_brief(self.change),)

    def undo_by_hand(self) -> Undo | None:
        return _undo([self.change])


class Rollout(NewImage):
    """The new pods come as the Deployment's own strategy has it."""

    kind: Literal["rollout"] = "rollout"


class RolloutAfterFirst(NewImage):
    """A first new pod comes, and once that is ready all others at once, where there is room."""

    kind: Literal["rollout-after-first"] = "rollout-after-first"

    async def apply(self, context: StepContext) -> RolloutResult:
        return await rollouts.roll_out_after_first(
            context.pulse,
            context.use(ClusterClient),
            context.environment,
            self.change,
            cause=cause(context, self.cause),
            by=context.asked_by,
            settings=context.use(RolloutSettings),
        )

    async def put_back(self, context: StepContext) -> str:
        return await _put_surge_back(context, [self.change])


class RollBack(Step):
    """All services go back at the same time, in one wave where there is room."""

    kind: Literal["rollback"] = "rollback"
    images: tuple[ImageChange, ...]
    cause: str
    waves: tuple[Wave, ...] = ()
    """How pods are replaced, as there is room now; looked at again when it is done."""
    ends: tuple[tuple[str, str], ...] = ()
    """Each service that it is about, and the image that it has afterwards, whether or not that is a change."""
    leaves: str | None = None
    """The release that it leaves as bad."""
    unproven: bool = False
    """It goes back to an image that no record knows as good."""
    may_be_left: bool = False
    """A region without which the others go back, where its cluster can't be reached."""

    @property
    def title(self) -> str:
        return f"Roll back all services{self.place}"

    @property
    def word(self) -> str:
        return f"all services in {self.region}" if self.region else "all at once"

    def changes(self) -> dict[str, JsonValue]:
        return {"images": [{**change.substance()} for change in self.images]}

    def shown(self) -> Shown:
        return _table(self.images)

    def in_short(self) -> tuple[Brief, ...]:
        return tuple(_brief(change) for change in self.images)

    def by_hand(self) -> tuple[str, ...]:
        return tuple(kubectl_lines(self.images))

    def undo_by_hand(self) -> Undo | None:
        return _undo(self.images)

    def replaces(self) -> dict[str, str | None]:
        return {change.service: change.before.tag for change in self.images}

    def completes(self, approved: Step) -> bool:
        return isinstance(approved, RollBack) and _all_complete(self.images, approved.images)

    @property
    def may_do_nothing(self) -> bool:
        return self.may_be_left

    def ends_as(self, confirmed: Step) -> bool:
        """A deploy that is overtaken may reach one more service between the plan and the yes: going back from that is what was confirmed."""
        if not isinstance(confirmed, RollBack) or not self.ends:
            return False
        left = {change.before.tag for change in confirmed.images}
        from_there = all(change.before.tag in left for change in self.images)
        # a plan that a version before stored has no image in `ends` of a region that goes back
        led = {change.substance()["target"]: change.after for change in confirmed.images}
        to_there = all(led.get(change.substance()["target"], change.after) == change.after for change in self.images)
        alike = (self.ends, self.leaves, self.unproven) == (confirmed.ends, confirmed.leaves, confirmed.unproven)
        return from_there and to_there and alike

    async def apply(self, context: StepContext) -> GoneBack:
        if self.may_be_left:
            went = await rollback.unless_unreachable(
                context.pulse, lambda: self._gone_back(context), context.use(RolloutSettings).region_seconds
            )
        else:
            went = await self._gone_back(context)
        with suppress(RunbookError):  # worth a line, and nobody waits for it
            freeze = (await context.use(Fleet).read(context.environment)).freeze
            if freeze is not None and freeze.holds(datetime.now(UTC)):
                return went.model_copy(update={"lock": freeze.name})
        return went

    async def _gone_back(self, context: StepContext) -> GoneBack:
        cluster, environment = context.use(ClusterClient), context.environment
        if self.region:  # each takes its own Deployments, so that no region waits for another
            await rollback.begin(
                context.pulse,
                cluster,
                context.use(Fleet),
                environment,
                self.leaves,
                [change.service for change in self.images],
            )
        return await rollback.go_back(
            context.pulse,
            cluster,
            environment,
            self.images,
            self.waves,
            cause=cause(context, self.cause),
            by=context.asked_by,
            settings=context.use(RolloutSettings),
            home=context.use(Fleet).cluster,
        )

    async def put_back(self, context: StepContext) -> str:
        if not self.may_be_left:
            return await _put_surge_back(context, self.images)
        # the next request, or the next start of the bot, puts back what a region away from home still has
        with suppress(RunbookError, TimeoutError):
            async with asyncio.timeout(_AWAY):
                await _put_surge_back(context, self.images)
        return ""


class CheckRollout(Step):
    """Every service is looked at once more: the same digests everywhere, all ready."""

    kind: Literal["check"] = "check"
    images: tuple[ImageChange, ...]
    baked: bool = False
    """Looked at again, after the bake time."""
    decides: ClassVar[bool] = False

    @property
    def target(self) -> str:
        return "baked" if self.baked else ""

    @property
    def title(self) -> str:
        return f"Check after the bake time{self.place}" if self.baked else f"Check{self.place}"

    @property
    def word(self) -> str:
        return f"a check{self.place}"

    async def apply(self, context: StepContext) -> CheckResult:
        if self.region in left_regions(context.results):
            context.pulse.say("not reached")
            return CheckResult(services=(), seconds=0.0)
        return await rollouts.check(
            context.pulse,
            context.use(ClusterClient),
            self.images,
            registry=context.use(RegistryClient),
            settings=context.use(RolloutSettings),
        )


class Record(Step):
    """What runs is written into the fleet's record as a release."""

    kind: Literal["record"] = "record"
    images: tuple[ImageChange, ...] = ()
    standing: bool = False
    """Nothing is rolled out: the images are there already."""
    unproven: bool = False
    left: str | None = None
    """The version that is marked bad with it."""
    unusual: tuple[str, ...] = ()
    """The options that made the run riskier than usual, kept with the release."""
    regions: tuple[str, ...] = ()
    """Where it runs then, where that is not in all regions."""
    release: Release | None = None
    """Where it was made before; else it is made of what the steps before have found."""
    hidden: ClassVar[bool] = True
    finishes: ClassVar[bool] = True

    @property
    def title(self) -> str:
        return "Record the release"

    def changes(self) -> dict[str, JsonValue]:
        images: dict[str, JsonValue] = {change.service: change.after.reference for change in self.images}
        where: dict[str, JsonValue] = {"regions": list(self.regions)} if self.regions else {}
        return {"records": images, "unproven": self.unproven, "bad": self.left, "standing": self.standing, **where}

    def shown(self) -> Shown | None:
        return _table(self.images, stays=True) if self.standing else None

    def in_short(self) -> tuple[Brief, ...]:
        if not self.standing:
            return ()
        return tuple(
            Brief(subject=change.service, change=f"{change.after.tag or '?'}, as it runs") for change in self.images
        )

    def completes(self, approved: Step) -> bool:
        alike = isinstance(approved, Record) and (self.unproven, self.left) == (approved.unproven, approved.left)
        return alike and isinstance(approved, Record) and _all_complete(self.images, approved.images)

    def ends_as(self, confirmed: Step) -> bool:
        if not isinstance(confirmed, Record) or self.standing or confirmed.standing:
            return False  # what stands is recorded by its very images: where they changed, people are asked again
        return (self.unproven, self.left) == (confirmed.unproven, confirmed.left)

    def done_late(self) -> str:
        version = self.release.version if self.release else versions(change.after for change in self.images)
        return f"{version} is now recorded as good"

    async def apply(self, context: StepContext) -> Recorded:
        release = self.release or self._made(context)
        leaving = [change.service for change in self.images]
        # what this run did not change belongs to the release as it stands where the run changed something
        there = context.within(self.images[0].region if self.images else "")
        fleet = context.use(Fleet)
        written = await recording.record(
            there.use(ClusterClient), fleet, there.environment, release, self.left, leaving
        )
        hanging = await recording.hanging_in(fleet, context.environment, self._elsewhere(context))
        return written.model_copy(update={"elsewhere": hanging})

    def _elsewhere(self, context: StepContext) -> list[Place]:
        """Return the regions that the run was not about; one in maintenance is left alone on purpose."""
        others = (each for each in context.environment.regions if self.regions and each.name not in self.regions)
        there = [context.within(each.name) for each in others if not each.maintenance]
        return [Place(each.environment, each.use(ClusterClient)) for each in there]

    def _made(self, context: StepContext) -> Release:
        checked = {
            (step.region, result.service): result
            for step, found in context.results.each(CheckRollout, CheckResult)
            for result in found.services
        }
        images = [change for change in self.images if (change.region, change.service) in checked]
        once = {change.service: change for change in reversed(images)}  # the first region's: the same image in all
        chosen = [change for change in images if once[change.service] is change]
        left = left_regions(context.results)
        reached = self.regions or (tuple(each.name for each in context.environment.regions) if left else ())
        return recording.release_of(
            chosen,
            [checked[change.region, change.service] for change in chosen],
            run=context.run,
            by=context.asked_by,
            approved_by=context.approved_by,
            unproven=self.unproven,
            unusual=self.unusual,
            configuration=next((kept.configuration for _, kept in context.results.each(KeepConfiguration, Kept)), None),
            seconds=_seconds(context),
            verified=[found for kind in (Smoke, VerifyRelease) for _, found in context.results.each(kind, Verified)],
            regions=tuple(name for name in reached if name not in left),
        )


def _seconds(context: StepContext) -> float | None:
    """Return how long the rollouts took, for the next plan's estimate; None where nothing was rolled out."""
    in_turn = [result.seconds for _, result in context.results.each(ServiceStep, RolloutResult)]
    at_once = [each.seconds for _, gone in context.results.each(RollBack, GoneBack) for each in gone.services]
    return round(sum(in_turn) + max(at_once, default=0.0), 1) if in_turn or at_once else None


def left_regions(results: Results) -> dict[str, RollBack]:
    """Return the regions that could not be reached to go back, each with what is left to do there."""
    return {step.region: step for step, went in results.each(RollBack, GoneBack) if went.unreachable}


def images_of(plan: Plan) -> tuple[ImageChange, ...]:
    """Return every image that the plan changes, checks or records."""
    checks = [step for step in plan.steps if isinstance(step, CheckRollout) and not step.baked]
    return tuple(change for step in checks for change in step.images)


def moves_of(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the versions that the plan goes from and to, each pair once."""
    return tuple(dict.fromkeys((change.before.tag or "", change.after.tag or "") for change in images_of(plan)))


def limited_to(plan: Plan) -> tuple[str, ...]:
    """Return the regions that the plan is about; nothing where it is about all of them."""
    return next((step.regions for step in plan.steps if isinstance(step, Record)), ())


def cause(context: StepContext, what: str) -> str:
    """Return the text for `kubernetes.io/change-cause`: who, what, which run."""
    by = f", approved by {listed(context.approved_by)}" if context.approved_by else ""
    return f"omnicare run {context.run}: {what}, requested by {context.asked_by}{by}"


async def _put_surge_back(context: StepContext, images: Sequence[ImageChange]) -> str:
    for change in images:
        with suppress(PermanentError):  # the Deployment is gone, or the bot may not change it any more
            await max_surge.put_back(context.use(ClusterClient), change.namespace, change.deployment, run=context.run)
    return ""


def _all_complete(images: Sequence[ImageChange], approved: Sequence[ImageChange]) -> bool:
    known = {change.substance()["target"]: change for change in approved}
    return all(
        (before := known.get(change.substance()["target"])) is not None and _completes(change, before)
        for change in images
    )


def _completes(change: ImageChange, approved: ImageChange) -> bool:
    """Return whether the change leads where the approved one led, from its beginning or from its end, and changes nothing else."""
    return (
        change.substance()["target"] == approved.substance()["target"]
        and change.after == approved.after
        and change.before in (approved.before, approved.after)
        and set(change.references_before) <= set(approved.references_before)
    )


def _undo(images: Sequence[ImageChange]) -> Undo | None:
    """Return how a person takes these back; None where nothing was changed: the same image leads nowhere."""
    changed = [each for each in images if not each.restarts]
    if not changed:
        return None
    undone = [each.model_copy(update={"before": each.after, "after": each.before}) for each in changed]
    leads_to = versions(change.after for change in undone)
    return Undo(leads_to=leads_to, lines=tuple(kubectl_lines(undone)))


def _brief(change: ImageChange) -> Brief:
    return Brief(subject=change.service, change=f"{change.before.tag or '?'} → {change.after.tag or '?'}")


def _table(images: Sequence[ImageChange], *, stays: bool = False) -> Shown:
    rows = tuple(
        (
            Cell(text=change.named),
            Cell(text=change.before.shown(change.repository)),
            _next(change, stays=stays),
            Cell(text=str(change.replicas)),
            _since(change),
        )
        for change in images
    )
    return Shown(columns=("Service", "Now", "Next", "Pods", "Running since"), rows=rows)


def _next(change: ImageChange, *, stays: bool) -> Cell:
    if stays:
        return Cell(text="no change")
    if change.restarts:
        return Cell(text="the same, new pods")
    return Cell(text=change.after.shown(change.repository), strong=True)


def _since(change: ImageChange) -> Cell:
    by = f"by {change.by}" if change.by else ""
    run = f" (run {short_id(change.run)})" if change.run else ""
    text = f"{', ' if change.since and by else ''}{by}{run}"
    return Cell(at=change.since, text=text) if change.since or text else Cell(text="unknown")
