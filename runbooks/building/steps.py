"""The steps that have a release's images built, and the plan of `build`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.building.settings import BuildSettings
from runbooks.clients.github.answers import WorkflowRun
from runbooks.clients.github.client import GithubClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import hearing, retried
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.waiting import side_by_side
from runbooks.wording import duration, listed, short_digest

_RETRIES_SECONDS = 120.0
"""For so long a GitHub or a registry that does not answer is tried again."""
_AT_ONCE_SECONDS = 1.0
"""A first try comes at most so long after the step before it; a bot that was killed needs longer to be back."""


class Built(Frozen):
    """What was built."""

    digests: dict[str, str]
    """Image → its digest in the registry."""
    url: str | None
    """The workflow's run."""
    seconds: float


class StartedBuild(Frozen):
    """What was started."""

    commit: str


class NoteBuildStart(Step):
    """The time is kept at which the start begins: a start that comes later is not the first try."""

    kind: Literal["note-build-start"] = "note-build-start"
    hidden: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Note when the build is started"

    async def apply(self, context: StepContext) -> str:  # noqa: ARG002 - the time is the same for all
        """Return it."""
        return datetime.now(UTC).isoformat()


class BuildStep(Step):
    """A step about one run of the repository's workflow, which shows the request's id in its name."""

    repository: str
    workflow: str
    version: str
    look_seconds: float
    decides: ClassVar[bool] = False

    @property
    def target(self) -> str:
        return self.version

    async def _look(self, context: StepContext) -> WorkflowRun | None:
        look = partial(context.use(GithubClient).workflow_run, self.workflow, context.run)
        return await retried(look, seconds=_RETRIES_SECONDS, pause=hearing(context.pulse))


class StartBuild(BuildStep):
    """The workflow is started, once: where GitHub may have taken a start already, its run is looked for first."""

    kind: Literal["start-build"] = "start-build"
    commit: str
    images: tuple[str, ...]
    """Repositories in the registry that have the version afterwards."""
    grace_seconds: float

    @property
    def title(self) -> str:
        return f"Start the build of {self.version}"

    def changes(self) -> dict[str, JsonValue]:
        return {
            "workflow": f"{self.repository}/{self.workflow}",
            "tag": self.version,
            "commit": self.commit,
            "images": list(self.images),
        }

    def shown(self) -> Shown:
        rows = tuple((Cell(text=f"{image}:{self.version}"), Cell(text=self.commit[:7])) for image in self.images)
        return Shown(
            columns=("Image to build", "Commit"), rows=rows, caption=f"built by {self.workflow} of {self.repository}"
        )

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=f"images of {self.version}"),)

    def by_hand(self) -> tuple[str, ...]:
        return (
            f"gh workflow run {self.workflow} -R {self.repository} --ref {self.version} -f version={self.version} -f request=by-hand",
        )

    async def apply(self, context: StepContext) -> StartedBuild:
        found = await self._look(context)
        if found is None and self._tried_before(context):
            found = await self._appears(context)
        if found is None:
            github = context.use(GithubClient)
            now = await retried(partial(github.commit_of, self.version), seconds=_RETRIES_SECONDS)
            if now != self.commit:
                raise PermanentError(
                    f"The tag {self.version} was moved since the plan: from {self.commit[:7]} to {now[:7] if now else 'nothing'}.",
                    code=ReasonCode.CHANGED_MEANWHILE,
                    advice=(f"Find out who moved it; then `build {self.version}` again shows the new commit.",),
                )
            try:
                await github.dispatch(self.workflow, self.version, {"version": self.version, "request": context.run})
            except TemporaryError:
                if await self._appears(context) is None:
                    raise
        return StartedBuild(commit=self.commit)

    def _tried_before(self, context: StepContext) -> bool:
        """Whether a try before this one, in this process or in one that was killed, may have started it."""
        noted = datetime.fromisoformat(context.results.only(NoteBuildStart, str))
        return (datetime.now(UTC) - noted).total_seconds() > _AT_ONCE_SECONDS

    async def _appears(self, context: StepContext) -> WorkflowRun | None:
        """Return the run as soon as GitHub lists it; None where it does not within the time of grace."""
        context.pulse.say("looking for a run that GitHub may have started")
        ends, pause = time.monotonic() + self.grace_seconds, hearing(context.pulse)
        while (found := await self._look(context)) is None and (left := ends - time.monotonic()) > 0:
            await pause(min(self.look_seconds, left))
        return found


class BuildImages(BuildStep):
    """The workflow's run builds and pushes the images of a version, and is followed to its end."""

    kind: Literal["build-images"] = "build-images"
    images: tuple[str, ...]
    seconds: float

    @property
    def title(self) -> str:
        return f"Build {self.version}"

    def goes_on(self) -> tuple[str, ...]:
        return (f"GitHub continues to build {self.version}; a later `build {self.version}` finds its images.",)

    async def apply(self, context: StepContext) -> Built:
        pause, began = hearing(context.pulse), time.monotonic()
        while (found := await self._look(context)) is None or not found.ended:
            waited = time.monotonic() - began
            if waited >= self.seconds:
                raise self._late(found)
            state = "waiting for GitHub to start it" if found is None else found.state.replace("_", " ")
            context.pulse.say(f"{self.workflow}: {state} for {duration(waited)}")
            await pause(min(self.look_seconds, self.seconds - waited))
        if found.conclusion != "success":
            raise PermanentError(
                f"The workflow {self.workflow} ended with {found.conclusion or 'no conclusion'}.",
                code=ReasonCode.BUILD_FAILED,
                evidence=tuple(filter(None, (found.url,))),
                advice=("Its log says why. Fix it in the repository, then run `build` again.",),
            )
        digests = await self._pushed(context)
        return Built(digests=digests, url=found.url, seconds=round(time.monotonic() - began, 1))

    async def _pushed(self, context: StepContext) -> dict[str, str]:
        registry = context.use(RegistryClient)
        found = await side_by_side(
            *(
                retried(partial(registry.resolve, image, self.version), seconds=_RETRIES_SECONDS)
                for image in self.images
            )
        )
        return dict(zip(self.images, found, strict=True))

    def _late(self, found: WorkflowRun | None) -> PermanentError:
        if found is None:
            return PermanentError(
                f"GitHub shows no run of {self.workflow} for this request.",
                code=ReasonCode.TIMED_OUT,
                advice=(
                    "The workflow's `run-name` must contain `${{ inputs.request }}`, because the bot looks for it.",
                ),
            )
        return PermanentError(
            f"{self.workflow} is still {found.state.replace('_', ' ')} after {duration(self.seconds)}.",
            code=ReasonCode.TIMED_OUT,
            evidence=tuple(filter(None, (found.url,))),
            advice=(f"GitHub continues to build it. Run `build {self.version}` again later: it finds the images.",),
        )


async def plan_build(
    github: GithubClient, registry: RegistryClient, environment: Environment, settings: BuildSettings, version: str
) -> Plan:
    """Return the plan of `build VERSION`; nothing to do where every image is there."""
    commit = await github.release_commit(version)
    images = tuple(dict.fromkeys(service.repository for service in environment.services))
    there = await side_by_side(*(_digest(registry, image, version) for image in images))
    missing = tuple(image for image, digest in zip(images, there, strict=True) if digest is None)
    if not missing:
        digests = listed(short_digest(digest, 6) for digest in there if digest)
        return Plan(title=f"The images of {version} are in the registry already ({digests}). Nothing to do.")
    same = {"repository": github.settings.repository, "workflow": settings.workflow, "version": version}
    start = StartBuild(
        **same, commit=commit, images=images, look_seconds=settings.look_seconds, grace_seconds=settings.grace_seconds
    )
    follow = BuildImages(**same, images=images, look_seconds=settings.look_seconds, seconds=settings.minutes * 60)
    return Plan(
        title=f"Build the images of {version}", steps=(NoteBuildStart(), start, follow), warnings=_half(images, missing)
    )


async def _digest(registry: RegistryClient, image: str, version: str) -> str | None:
    try:
        return await registry.resolve(image, version)
    except PermanentError as error:
        if error.code is not ReasonCode.NO_SUCH_VERSION:
            raise
        return None


def _half(images: Sequence[str], missing: Sequence[str]) -> tuple[str, ...]:
    if len(missing) == len(images):
        return ()
    return (
        f"Some images of this version exist already and are built again: {listed(sorted({*images} - {*missing}))}.",
    )
