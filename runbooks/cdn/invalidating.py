"""The step that invalidates the CDN's cache, and the plans that it is in: a deploy's, a rollback's, and `cdn invalidate`'s own."""

import asyncio
import shlex
import time
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.aws.cloudfront import TAG, Cdn, Invalidation
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import hearing, retried
from runbooks.kit.steps import BestEffort, Brief, Cell, Shown, Step, StepContext
from runbooks.kit.train import Part, Train
from runbooks.wording import counted, duration, listed

_RETRIES_SECONDS = 60.0
"""For so long a CDN that does not answer is tried again."""


class Invalidated(BestEffort):
    """What became of an invalidation."""

    id: str | None = None
    seconds: float = 0.0


class InvalidateCdn(Step):
    """The CDN fetches the paths, and what has the cache tags, anew. In a deploy or a rollback a failure here is told and ends nothing, since the services run."""

    kind: Literal["invalidate-cdn"] = "invalidate-cdn"
    distribution: str
    paths: tuple[str, ...]
    patience_seconds: float
    required: bool = False
    """It is what the run is for: a failure fails the run."""
    decides: ClassVar[bool] = False

    @property
    def target(self) -> str:
        return self.distribution

    @property
    def title(self) -> str:
        return "Invalidate the CDN"

    @property
    def word(self) -> str:
        return "the CDN"

    def changes(self) -> dict[str, JsonValue]:
        return {"distribution": self.distribution, "paths": list(self.paths)}

    def shown(self) -> Shown:
        rows = ((Cell(text=self.distribution), Cell(text=" ".join(self.paths))),)
        return Shown(columns=("CDN", "To invalidate"), rows=rows)

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject="the CDN", change=" ".join(self.paths)),) if self.required else ()

    def by_hand(self) -> tuple[str, ...]:
        paths = shlex.join(self.paths)
        return (f"aws cloudfront create-invalidation --distribution-id {self.distribution} --paths {paths}",)

    def goes_on(self) -> tuple[str, ...]:
        return ("CloudFront completes an invalidation that has begun.",)

    async def apply(self, context: StepContext) -> Invalidated:
        try:
            return await self._invalidate(context)
        except RunbookError as error:
            if self.required:
                raise
            return Invalidated(problem=f"The CDN was not invalidated: {error.message}", to_do=error.advice)

    async def _invalidate(self, context: StepContext) -> Invalidated:
        cdn, pulse, began = context.use(Cdn), context.pulse, time.monotonic()
        seconds = min(self.patience_seconds, _RETRIES_SECONDS)
        failures: list[RunbookError] = []
        patiently = partial(retried, seconds=seconds, pause=hearing(pulse), noticed=failures.append)
        found: Invalidation | None = None
        try:
            # beside other steps nothing waits longer than the patience, however many calls and pauses it takes
            async with asyncio.timeout(None if self.required else self.patience_seconds):
                # the run's id: after a kill CloudFront returns the one that was created before
                reference = f"{context.run}:{self.key}"
                found = await patiently(lambda: cdn.invalidate(self.distribution, self.paths, reference))
                while not found.completed:
                    waited = time.monotonic() - began
                    if waited >= self.patience_seconds:
                        return self._unfinished(found)
                    pulse.say(f"{amount(self.paths)}, {found.id}: in progress for {duration(waited)}")
                    await hearing(pulse)(min(cdn.settings.look_seconds, self.patience_seconds - waited))
                    found = await patiently(partial(cdn.look, self.distribution, found.id))
        except TimeoutError:
            if found is not None:
                return self._unfinished(found)
            raise (failures or [self._silent()])[-1] from None
        pulse.say(f"{counted(len(self.paths), 'path')}, {found.id}: completed")
        return Invalidated(id=found.id, seconds=round(time.monotonic() - began, 1))

    def _silent(self) -> TemporaryError:
        return TemporaryError(
            f"CloudFront did not answer within {duration(self.patience_seconds)}.",
            code=ReasonCode.AWS_UNREACHABLE,
            advice=(f"Once it answers: `{self.by_hand()[0]}`.",),
        )

    def _unfinished(self, found: Invalidation) -> Invalidated:
        problem = f"The CDN's invalidation {found.id} is still in progress after {duration(self.patience_seconds)}."
        to_do = (
            f"CloudFront completes it by itself: `aws cloudfront wait invalidation-completed --distribution-id {self.distribution} --id {found.id}`.",
        )
        if self.required:
            raise PermanentError(problem, code=ReasonCode.TIMED_OUT, advice=to_do)
        return Invalidated(id=found.id, seconds=self.patience_seconds, problem=problem, to_do=to_do)


async def plan_part(train: Train) -> Part:
    """What a deploy or a rollback does about the CDN."""
    cdn = train.find(Cdn)
    if cdn is None:
        return Part(not_done=("CDN invalidation (not configured)",))
    settings = cdn.settings
    patience = settings.rollback_patience_seconds if train.going_back else settings.patience_seconds
    step = InvalidateCdn(distribution=settings.distribution, paths=settings.paths, patience_seconds=patience)
    return Part(after=(step,))


async def plan_invalidate(cdn: Cdn, where: str, paths: tuple[str, ...]) -> Plan:
    """Return the plan of an invalidation alone: of these paths and cache tags, or of the configured ones where none is named.

    A tag on a distribution that reads none would be paid for and do nothing: PermanentError.
    """
    settings = cdn.settings
    wanted = tuple(dict.fromkeys(paths)) or settings.paths
    step = InvalidateCdn(
        distribution=settings.distribution, paths=wanted, patience_seconds=settings.patience_seconds, required=True
    )
    return Plan(
        title=f"Invalidate {amount(wanted)} of {where}'s CDN",
        steps=(step,),
        warnings=await _about_tags(cdn, [each for each in wanted if each.startswith(TAG)]),
        notes=("What is invalidated loads more slowly until the CDN has fetched it again.",),
    )


async def _about_tags(cdn: Cdn, tags: Sequence[str]) -> tuple[str, ...]:
    if not tags:
        return ()
    try:
        found = await cdn.distribution()
    except RunbookError as error:
        return (f"Whether the distribution has cache tags is unknown. {error.message}",)
    if found.tag_header is None:
        raise PermanentError(
            f"The distribution {cdn.settings.distribution} reads no cache tags, so invalidating {listed(tags)} would do nothing.",
            code=ReasonCode.NOT_CONFIGURED,
            advice=("Set `CacheTagConfig` of the distribution to the origin's header with the tags, or name paths.",),
        )
    return ()


def amount(wanted: Sequence[str]) -> str:
    """Return how many paths and cache tags these are: `2 paths and 1 cache tag`."""
    tags = sum(each.startswith(TAG) for each in wanted)
    said = [counted(len(wanted) - tags, "path")] if len(wanted) > tags else []
    return listed([*said, *([counted(tags, "cache tag")] if tags else [])])
