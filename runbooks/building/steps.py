"""The step that has a release's images built, and the plan of `build`."""

import time
from collections.abc import Sequence
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


class Built(Frozen):
    """What was built."""

    digests: dict[str, str]
    """Image → its digest in the registry."""
    url: str | None
    """The workflow's run."""
    seconds: float


class BuildImages(Step):
    """The repository's workflow builds and pushes the images of a version; the bot starts it once and follows it."""

    kind: Literal["build-images"] = "build-images"
    repository: str
    workflow: str
    version: str
    commit: str
    images: tuple[str, ...]
    """Repositories in the registry that have the version afterwards."""
    seconds: float
    look_seconds: float
    decides: ClassVar[bool] = False

    @property
    def target(self) -> str:
        return self.version

    @property
    def title(self) -> str:
        return f"Build {self.version}"

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
            columns=("Image to build", "Commit"), rows=rows, caption=f"by {self.workflow} of {self.repository}"
        )

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=f"images of {self.version}"),)

    def by_hand(self) -> tuple[str, ...]:
        return (
            f"gh workflow run {self.workflow} -R {self.repository} --ref {self.version} -f version={self.version} -f request=by-hand",
        )

    def goes_on(self) -> tuple[str, ...]:
        return (f"GitHub continues to build {self.version}; a later `build {self.version}` finds its images.",)

    async def apply(self, context: StepContext) -> Built:
        github, pause, began = context.use(GithubClient), hearing(context.pulse), time.monotonic()
        # the run's id, which the workflow shows in its name: after a kill the run that was started before is found by it
        request = context.run
        look = partial(github.workflow_run, self.workflow, request)
        found = await retried(look, seconds=_RETRIES_SECONDS, pause=pause)
        if found is None:
            inputs = {"version": self.version, "request": request}
            await github.dispatch(self.workflow, self.version, inputs)
        while found is None or not found.ended:
            waited = time.monotonic() - began
            if waited >= self.seconds:
                raise self._late(found)
            state = "waiting for GitHub to start it" if found is None else found.state.replace("_", " ")
            context.pulse.say(f"{self.workflow}: {state} for {duration(waited)}")
            await pause(min(self.look_seconds, self.seconds - waited))
            found = await retried(look, seconds=_RETRIES_SECONDS, pause=pause)
        if found.conclusion != "success":
            raise PermanentError(
                f"The workflow {self.workflow} ended with {found.conclusion or 'no conclusion'}.",
                code=ReasonCode.BUILD_FAILED,
                evidence=tuple(filter(None, (found.url,))),
                advice=("Its log says why; mend it in the repository, then `build` again.",),
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

    def _late(self, found: WorkflowRun | None) -> TemporaryError | PermanentError:
        if found is None:
            return PermanentError(
                f"GitHub shows no run of {self.workflow} for this request.",
                code=ReasonCode.TIMED_OUT,
                advice=("Its `run-name` must contain `${{ inputs.request }}`: that is how the bot finds it.",),
            )
        return PermanentError(
            f"{self.workflow} is still {found.state.replace('_', ' ')} after {duration(self.seconds)}.",
            code=ReasonCode.TIMED_OUT,
            evidence=tuple(filter(None, (found.url,))),
            advice=(f"It goes on by itself. `build {self.version}` again finds its images.",),
        )


async def plan_build(
    github: GithubClient, registry: RegistryClient, environment: Environment, settings: BuildSettings, version: str
) -> Plan:
    """Return the plan of `build VERSION`; nothing to do where every image is there."""
    commit = await github.commit_of(version)
    if commit is None:
        raise PermanentError(
            f"{github.settings.repository} has no tag {version}.",
            code=ReasonCode.NO_SUCH_VERSION,
            advice=("Tag the commit first; the images are built from the tag.",),
        )
    images = tuple(dict.fromkeys(service.repository for service in environment.services))
    there = await side_by_side(*(_digest(registry, image, version) for image in images))
    missing = tuple(image for image, digest in zip(images, there, strict=True) if digest is None)
    if not missing:
        digests = listed(short_digest(digest, 6) for digest in there if digest)
        return Plan(title=f"The images of {version} are in the registry already ({digests}). Nothing to do.")
    step = BuildImages(
        repository=github.settings.repository,
        workflow=settings.workflow,
        version=version,
        commit=commit,
        images=images,
        seconds=settings.minutes * 60,
        look_seconds=settings.look_seconds,
    )
    return Plan(title=f"Build the images of {version}", steps=(step,), warnings=_half(images, missing))


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
        f"Some images of this version exist already, and are built again: {listed(sorted({*images} - {*missing}))}.",
    )
