"""The steps of `deploy`, `rollback` and `restart`: taking the Deployments, rolling out, going back, checking, recording."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.service_state import kubectl_lines
from runbooks.fleet.fleet import Fleet, Release
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange, Plan, Wave, reads_before, versions
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext, Undo
from runbooks.kit.timeouts import RolloutSettings
from runbooks.manifests.steps import KeepConfiguration, Kept
from runbooks.release import max_surge, recording, rollback, rollouts
from runbooks.release.rollback import GoneBack
from runbooks.release.rollouts import CheckResult, RolloutResult, Stamped
from runbooks.verification.findings import Verified
from runbooks.verification.steps import Smoke, Verify
from runbooks.wording import listed, short_id


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
        return "Take the Deployments"

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
        return self.change.service

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
            f"Kubernetes continues to roll out {self.change.service} {after.tag or after.short}; `rollback` reverts it.",
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


class Rollout(ServiceStep):
    """One service gets another image."""

    kind: Literal["rollout"] = "rollout"

    @property
    def title(self) -> str:
        return f"{self.change.service.capitalize()} rollout"

    def in_short(self) -> tuple[Brief, ...]:
        return (_brief(self.change),)

    def undo_by_hand(self) -> Undo | None:
        return _undo([self.change])


class RestartService(ServiceStep):
    """One service gets new pods of the image that it has."""

    kind: Literal["restart"] = "restart"

    @property
    def title(self) -> str:
        return f"{self.change.service.capitalize()} restart"

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=self.change.service, change=f"{self.change.after.tag or '?'}, new pods"),)

    def by_hand(self) -> tuple[str, ...]:
        where = f"deployment/{self.change.deployment} -n {self.change.namespace}"
        return (f"kubectl rollout restart {where} && kubectl rollout status {where} --timeout=10m",)

    def goes_on(self) -> tuple[str, ...]:
        return (f"Kubernetes continues to restart {self.change.service}, on the same image.",)


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

    @property
    def title(self) -> str:
        return "Roll back all services"

    @property
    def word(self) -> str:
        return "all at once"

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

    def ends_as(self, confirmed: Step) -> bool:
        """A deploy that is overtaken may reach one more service between the plan and the yes: going back from that is what was confirmed."""
        if not isinstance(confirmed, RollBack) or not self.ends:
            return False
        left = {change.before.tag for change in confirmed.images}
        from_there = all(change.before.tag in left for change in self.images)
        alike = (self.ends, self.leaves, self.unproven) == (confirmed.ends, confirmed.leaves, confirmed.unproven)
        return from_there and alike

    async def apply(self, context: StepContext) -> GoneBack:
        went = await rollback.go_back(
            context.pulse,
            context.use(ClusterClient),
            context.environment,
            self.images,
            self.waves,
            cause=cause(context, self.cause),
            by=context.asked_by,
            settings=context.use(RolloutSettings),
        )
        with suppress(RunbookError):  # worth a line, and nobody waits for it
            freeze = (await context.use(Fleet).read(context.environment)).freeze
            if freeze is not None and freeze.holds(datetime.now(UTC)):
                return went.model_copy(update={"lock": freeze.name})
        return went

    async def put_back(self, context: StepContext) -> str:
        for change in self.images:
            with suppress(PermanentError):  # the Deployment is gone, or the bot may not change it any more
                await max_surge.put_back(
                    context.use(ClusterClient), change.namespace, change.deployment, run=context.run
                )
        return ""


class CheckRollout(Step):
    """Every service is looked at once more: the same digests everywhere, all ready."""

    kind: Literal["check"] = "check"
    images: tuple[ImageChange, ...]
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Check"

    @property
    def word(self) -> str:
        return "a check"

    async def apply(self, context: StepContext) -> CheckResult:
        return await rollouts.check(
            context.pulse,
            context.use(ClusterClient),
            self.images,
            registry=context.use(RegistryClient),
            settings=context.use(RolloutSettings),
        )


class Record(Step):
    """What runs is written into the fleet's record as a release. Returns how many releases were marked bad."""

    kind: Literal["record"] = "record"
    images: tuple[ImageChange, ...] = ()
    standing: bool = False
    """Nothing is rolled out: the images are there already."""
    unproven: bool = False
    left: str | None = None
    """The version that is marked bad with it."""
    unusual: tuple[str, ...] = ()
    """The options that made the run riskier than usual, kept with the release."""
    release: Release | None = None
    """Where it was made before; else it is made of what the steps before have found."""
    hidden: ClassVar[bool] = True
    finishes: ClassVar[bool] = True

    @property
    def title(self) -> str:
        return "Record the release"

    def changes(self) -> dict[str, JsonValue]:
        images: dict[str, JsonValue] = {change.service: change.after.reference for change in self.images}
        return {"records": images, "unproven": self.unproven, "bad": self.left, "standing": self.standing}

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

    async def apply(self, context: StepContext) -> int:
        cluster, fleet = context.use(ClusterClient), context.use(Fleet)
        release = self.release or self._made(context)
        leaving = [change.service for change in self.images]
        return await recording.record(cluster, fleet, context.environment, release, self.left, leaving)

    def _made(self, context: StepContext) -> Release:
        return recording.release_of(
            self.images,
            context.results.only(CheckRollout, CheckResult).services,
            run=context.run,
            by=context.asked_by,
            approved_by=context.approved_by,
            unproven=self.unproven,
            unusual=self.unusual,
            configuration=next((kept.configuration for _, kept in context.results.each(KeepConfiguration, Kept)), None),
            seconds=_seconds(context),
            verified=[found for kind in (Smoke, Verify) for _, found in context.results.each(kind, Verified)],
        )


def _seconds(context: StepContext) -> float | None:
    """Return how long the rollouts took, for the next plan's estimate; None where nothing was rolled out."""
    in_turn = [result.seconds for _, result in context.results.each(ServiceStep, RolloutResult)]
    at_once = [each.seconds for _, gone in context.results.each(RollBack, GoneBack) for each in gone.services]
    return round(sum(in_turn) + max(at_once, default=0.0), 1) if in_turn or at_once else None


def deployed(images: Sequence[ImageChange], cause: str) -> tuple[Step, ...]:
    """Return the steps that roll these images out, one service after the other, and record them."""
    rolled = (Rollout(change=change, cause=cause) for change in images)
    return (Take(), *rolled, CheckRollout(images=tuple(images)), Record(images=tuple(images)))


def images_of(plan: Plan) -> tuple[ImageChange, ...]:
    """Return every image that the plan changes, checks or records."""
    return next((step.images for step in plan.steps if isinstance(step, CheckRollout)), ())


def cause(context: StepContext, what: str) -> str:
    """Return the text for `kubernetes.io/change-cause`: who, what, which run."""
    by = f", approved by {listed(context.approved_by)}" if context.approved_by else ""
    return f"omnicare run {context.run}: {what}, requested by {context.asked_by}{by}"


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
            Cell(text=change.service),
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


@reads_before
def _of_the_version_before(stored: Mapping[str, Any]) -> tuple[Step, ...]:
    images = tuple(ImageChange.model_validate(each) for each in stored.get("changes", ()))
    if not images:
        return ()
    if stored.get("confirms"):
        return (Take(), CheckRollout(images=images), Record(images=images, standing=True))
    if str(stored.get("title", "")).startswith("Restart ") and all(change.restarts for change in images):
        return (Take(), *(RestartService(change=each, cause="restart") for each in images), CheckRollout(images=images))
    what = versions(change.after for change in images)
    if not stored.get("together"):
        return deployed(images, f"deploy {what}")
    leaves, unproven = stored.get("leaves"), bool(stored.get("unproven"))
    fields = {name: stored[name] for name in ("waves", "ends", "leaves", "unproven") if name in stored}
    back = RollBack.model_validate({"images": images, "cause": f"roll back to {what}", **fields})
    return (
        Take(leaves=leaves),
        back,
        CheckRollout(images=images),
        Record(images=images, unproven=unproven, left=leaves),
    )
