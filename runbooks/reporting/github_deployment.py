"""A deploy or a rollback as a deployment on GitHub, so that developers see it where they look. Nothing of it ever stops a run.

The deployment carries the run's id in its payload: a step that was killed finds it again and makes no second one. How the run ended is read from
the fleet's record once the run is over, whatever became of it: what was recorded as a release was a success.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar, Literal

from runbooks.clients.github.access import DeploymentSettings
from runbooks.clients.github.answers import DeploymentFound
from runbooks.clients.github.client import GithubClient
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError
from runbooks.kit.retry import Pause, hearing, retried
from runbooks.kit.steps import BestEffort, Step, StepContext
from runbooks.kit.train import Part, Train

_EARLIER = 5
"""So many earlier deployments are looked at for the one that is replaced."""
_ENDED = frozenset({"success", "failure", "error", "inactive"})


class Reported(BestEffort):
    """What became of the report."""


class ReportToGithub(Step):
    """GitHub shows the run as a deployment in progress; when the run is over, whether it succeeded."""

    kind: Literal["github-deployment"] = "github-deployment"
    version: str
    going_back: bool = False
    hidden: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Show the run on GitHub"

    async def apply(self, context: StepContext) -> Reported:
        problem = await _told(context, self._begin, hearing(context.pulse))
        return Reported(problem=f"GitHub does not show this run as a deployment. {problem}" if problem else "")

    async def _begin(self, context: StepContext) -> None:
        github = context.use(GithubClient)
        there = _settings(github).environment or context.environment.name
        made = _of_run(context.run, await github.deployments(there))
        if made is None:
            task = "rollback" if self.going_back else "deploy"
            made = await github.create_deployment(self.version, there, task=task, run=context.run)
        if await github.deployment_state(made) is None:
            await github.set_deployment_state(made, "in_progress", "The run has begun.", run=context.run)

    async def put_back(self, context: StepContext) -> str:
        problem = await _told(context, self._end, asyncio.sleep)
        return f"GitHub does not show how this run ended. {problem}" if problem else ""

    async def _end(self, context: StepContext) -> None:
        github = context.use(GithubClient)
        known = await github.deployments(_settings(github).environment or context.environment.name)
        made = _of_run(context.run, known)
        if made is None:
            return  # it was never begun, and where that failed the result says so
        state = await github.deployment_state(made)
        if state not in _ENDED:
            releases = await context.use(Fleet).releases(context.environment)
            good = any(each.run == context.run for each in releases)
            state, said = ("success", f"{self.version} runs.") if good else ("failure", "The run did not end well.")
            await github.set_deployment_state(made, state, said, run=context.run)
        if state == "success":
            await self._replace(github, known[known.index(made) + 1 :], made)

    async def _replace(self, github: GithubClient, earlier: tuple[DeploymentFound, ...], made: DeploymentFound) -> None:
        """The deployment before is not active any more; GitHub does that by itself only outside of production."""
        for each in [found for found in earlier if found.run][:_EARLIER]:
            state = await github.deployment_state(each)
            if state == "success":
                await github.set_deployment_state(each, "inactive", f"Replaced by {made.ref}.", run=each.run)
            if state in ("success", "inactive"):
                return


def _settings(github: GithubClient) -> DeploymentSettings:
    return github.settings.deployments or DeploymentSettings()


def _of_run(run: str, found: tuple[DeploymentFound, ...]) -> DeploymentFound | None:
    return next((each for each in found if each.run == run), None)


async def _told(context: StepContext, tell: Callable[[StepContext], Awaitable[None]], pause: Pause) -> str:
    """Tell GitHub; return why it could not be told, in sentences. Nobody waits for it longer than is configured."""
    seconds = DeploymentSettings().seconds
    try:
        seconds = _settings(context.use(GithubClient)).seconds
        async with asyncio.timeout(seconds):
            await retried(lambda: tell(context), seconds=seconds / 2, pause=pause)
    except RunbookError as error:
        return " ".join((error.message, *error.advice))
    except TimeoutError:
        return f"It did not answer within {seconds:g} s."
    return ""


async def plan_part(train: Train) -> Part:
    """The step before the services change. Going back waits for nothing that is only told, so there it comes after them."""
    github = train.find(GithubClient)
    if github is None or github.settings.deployments is None:
        return Part()
    step = ReportToGithub(version=train.version, going_back=train.going_back)
    there = github.settings.deployments.environment or train.environment.name
    note = f"GitHub shows this run as a deployment to {there}."
    if train.going_back or train.standing:
        return Part(after=(step,), notes=(note,))
    return Part(before=(step,), notes=(note,))
