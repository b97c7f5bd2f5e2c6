"""What GitHub knows about a release: its commit, checks, alerts, branch and notes."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

import gidgethub

from runbooks.clients.github import answers
from runbooks.clients.github.access import FILE_VARIABLE, VARIABLE, GithubSettings, GithubToken
from runbooks.clients.github.answers import (
    AlertFound,
    BranchFound,
    CheckFound,
    DeploymentFound,
    ReleaseFound,
    ReviewRules,
    WorkflowRun,
)
from runbooks.clients.github.api import Api, opened, unreadable
from runbooks.clients.github.attestations import Attestation, attestation
from runbooks.kit.answers import read_wait
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor
from runbooks.wording import cited

T = TypeVar("T")

_MOST = 1000
"""Entries of a list that are read."""
_TAGS = 5
"""So many annotated tags may point to each other."""
_DEPLOYMENTS = 30
"""So many are looked at: a run finds its own among the newest."""
_DEPLOY = "Deployments (write)"
_LONGEST_DESCRIPTION = 140
_PAUSE = 1.0
_LONGEST_PAUSE = 300.0


class GithubClient:
    """One repository."""

    def __init__(self, settings: GithubSettings, token: GithubToken, redactor: Redactor) -> None:
        self.settings = settings
        self._token = token
        self._redactor = redactor
        owner, _, name = settings.repository.partition("/")
        self._repository = {"owner": owner, "name": name}

    async def commit_of(self, tag: str) -> str | None:
        """Return the commit that a tag stands for, through annotated tags; None where there is no such tag."""
        async with self._api("the tag", "Contents (read)") as api:
            found = await self._or_none(api, "/git/ref/tags/{tag}", tag=tag)
            if found is None:
                return None
            at = answers.fields(answers.fields(found).get("object"))
            for _ in range(_TAGS):
                if at.get("type") != "tag":
                    break
                annotated = await self._get(api, "/git/tags/{sha}", sha=answers.commit(at.get("sha")))
                at = answers.fields(answers.fields(annotated).get("object"))
            return answers.commit(at.get("sha")) if at.get("type") == "commit" else None

    async def release_commit(self, tag: str) -> str:
        """Return the commit that a version's tag stands for. Raises PermanentError where there is no such tag."""
        commit = await self.commit_of(tag)
        if commit is None:
            repository = self.settings.repository
            raise PermanentError(
                f"{repository} has no tag {tag}.",
                code=ReasonCode.NO_SUCH_VERSION,
                advice=(f"Push the tag to {repository}, or name a version that has one.",),
            )
        return commit

    async def checks(self, commit: str) -> tuple[CheckFound, ...]:
        """Return the newest check runs and statuses of a commit, each name as often as there are apps that use it."""
        async with self._api("checks", "Checks and Commit statuses (read)") as api:
            runs = await self._listed(
                api, "/commits/{sha}/check-runs?filter=latest&per_page=100", "check_runs", answers.check_run, sha=commit
            )
            statuses = await self._listed(
                api, "/commits/{sha}/status?per_page=100", "statuses", answers.status, sha=commit
            )
            return (*runs, *statuses)

    async def branch(self, commit: str) -> BranchFound:
        """Return the configured branch, and whether the commit is on it."""
        branch = self.settings.branch
        async with self._api("the branch", "Contents (read)") as api:
            protected = await self._protected(api)
            compared = answers.fields(
                await self._get(api, "/compare/{branch}...{sha}?per_page=1", branch=branch, sha=commit)
            )
            return BranchFound(
                protected=protected,
                contains=answers.named(compared.get("status")) in ("identical", "behind"),
                url=answers.address(compared.get("html_url")),
            )

    async def protected(self) -> bool:
        """Return whether the configured branch is protected."""
        async with self._api("the branch", "Contents (read)") as api:
            return await self._protected(api)

    async def review_rules(self) -> ReviewRules:
        """Return which reviews a commit needs to get into the branch: the strictest of its rulesets' rules, and of its classic protection."""
        branch = self.settings.branch
        async with self._api("the branch's rules", "Metadata (read)") as api:
            path = "/rules/branches/{branch}?per_page=100"
            found = await self._listed(api, path, None, answers.review_rules, branch=branch)
            rules = answers.strictest(each for each in found if each is not None)
            if rules.approvals and rules.after_push:
                return rules
            try:
                classic = answers.classic_protection(
                    await self._get(api, "/branches/{branch}/protection", branch=branch)
                )
            except gidgethub.BadRequest as error:
                if error.status_code == HTTPStatus.NOT_FOUND and "not protected" in str(error):
                    return rules
                if error.status_code not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                    raise
                return rules.model_copy(update={"whole": False})
            return answers.strictest((rules, classic))

    async def critical_alerts(self) -> tuple[AlertFound, ...]:
        """Return the open alerts of code scanning with the severity critical, on the branch."""
        path = "/code-scanning/alerts?state=open&severity=critical&per_page=100&ref={ref}"
        async with self._api("code scanning alerts", "Code scanning alerts (read)") as api:
            return await self._listed(api, path, None, answers.alert, ref=f"refs/heads/{self.settings.branch}")

    async def release(self, tag: str) -> ReleaseFound | None:
        """Return the release of a tag; None where there is none that is published."""
        async with self._api("the release", "Contents (read)") as api:
            found = await self._or_none(api, "/releases/tags/{tag}", tag=tag)
            return answers.release(found) if found is not None else None

    async def attestations(self, digest: str) -> tuple[Attestation, ...]:
        """Return what the attestations state that are stored in the repository for an image's digest. Their signatures are not verified."""
        path = "/attestations/{digest}?per_page=30"
        async with self._api("attestations", "Attestations (read)") as api:
            first = await self._or_none(api, path, digest=digest)
            if first is None:
                return ()
            return await self._listed(api, path, "attestations", attestation, digest=digest)

    async def file(self, path: str, commit: str, *, largest: int) -> bytes:
        """Return a file as it is at a commit. Raises PermanentError where it is not there or larger than `largest` bytes."""
        async with self._api("the file", "Contents (read)") as api:
            found = await self._or_none(api, "/contents/{+file}?ref={sha}", file=path, sha=commit)
        where = f"{path} at {commit[:7]} in {self.settings.repository}"
        if found is None:
            raise PermanentError(f"There is no {where}.", code=ReasonCode.NOT_FOUND)
        return answers.content(found, where, largest=largest)

    async def workflow_run(self, workflow: str, request: str) -> WorkflowRun | None:
        """Return the newest run of a workflow whose name contains `request`; None where there is none yet."""
        path = "/actions/workflows/{workflow}/runs?event=workflow_dispatch&per_page=100"
        async with self._api("the workflow", "Actions (write)") as api:
            page = answers.fields(await self._get(api, path, workflow=workflow))
        listed = page.get("workflow_runs")
        if not isinstance(listed, list):
            raise unreadable()
        found = (answers.workflow_run(each) for each in listed)
        return next((run for name, run in found if request in name.split()), None)

    async def dispatch(self, workflow: str, tag: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow at a tag."""
        path, wanted = "/actions/workflows/{workflow}/dispatches", {"ref": tag, "inputs": dict(inputs)}
        async with self._api("the workflow", "Actions (write)") as api:
            await self._post(api, path, wanted, workflow=workflow)

    async def deployments(self, environment: str) -> tuple[DeploymentFound, ...]:
        """Return the newest deployments to an environment, the newest first."""
        path = f"/deployments?environment={{environment}}&per_page={_DEPLOYMENTS}"
        async with self._api("deployments", _DEPLOY) as api:
            found = await self._get(api, path, environment=environment)
            if not isinstance(found, list):
                raise unreadable()
            listed = [answers.deployment(each) for each in found]
            return tuple(sorted(listed, key=lambda each: each.number, reverse=True))

    async def create_deployment(self, tag: str, environment: str, *, task: str, run: str) -> DeploymentFound:
        """Create a deployment of a tag. What it has to pass is for the bot's gates, so GitHub checks nothing of it."""
        shown = self.settings.deployments
        wanted = {
            "ref": tag,
            "task": task,
            "auto_merge": False,
            "required_contexts": [],
            "payload": {answers.RUN: run},
            "environment": environment,
            "description": f"OmniCare, run {run}"[:_LONGEST_DESCRIPTION],
            "transient_environment": False,
            "production_environment": shown is not None and shown.production,
        }
        async with self._api("deployments", _DEPLOY) as api:
            return answers.deployment(await self._post(api, "/deployments", wanted))

    async def deployment_state(self, deployment: DeploymentFound) -> str | None:
        """Return a deployment's newest state; None where it has none."""
        path = "/deployments/{number}/statuses?per_page=100"
        async with self._api("deployments", _DEPLOY) as api:
            found = await self._listed(api, path, None, answers.deployment_state, number=str(deployment.number))
            return max(found)[1] if found else None

    async def set_deployment_state(self, deployment: DeploymentFound, state: str, said: str, *, run: str) -> None:
        """Add a state to a deployment. GitHub keeps all of them."""
        shown = self.settings.deployments
        wanted: dict[str, object] = {"state": state, "description": said[:_LONGEST_DESCRIPTION]}
        if shown is not None and shown.log_url is not None:
            wanted["log_url"] = shown.log_url.replace("{run}", run)
        if shown is not None and shown.url is not None:
            wanted["environment_url"] = shown.url
        async with self._api("deployments", _DEPLOY) as api:
            await self._post(api, "/deployments/{number}/statuses", wanted, number=str(deployment.number))

    # one way to ask

    @asynccontextmanager
    async def _api(self, what: str, right: str) -> AsyncIterator[Api]:
        """`what` is asked for, in words; `right`: what a token needs for it."""
        import aiohttp  # importing this takes a fifth of a second, so it happens on first use

        try:
            async with opened(self._token.read(), self.settings.api_url, self.settings.seconds) as api:
                yield api
        except gidgethub.HTTPException as error:
            # not chained, because it keeps headers
            raise self._refused(error, what, right) from None
        except (gidgethub.GitHubException, ValueError):
            raise unreadable() from None
        except TimeoutError:
            raise _unreachable(f"did not answer within {self.settings.seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(f"can't be reached ({type(error).__name__})") from None

    async def _get(self, api: Api, path: str, **values: str) -> Any:
        found = await api.getitem(f"/repos/{{owner}}/{{name}}{path}", {**self._repository, **values})
        if found is None:  # JSON's null, not the absence of what was asked for
            raise unreadable()
        return found

    async def _post(self, api: Api, path: str, body: Mapping[str, object], **values: str) -> Any:
        return await api.post(f"/repos/{{owner}}/{{name}}{path}", {**self._repository, **values}, data=body)

    async def _or_none(self, api: Api, path: str, **values: str) -> Any:
        """None where there is no such thing in a repository that the bot may see."""
        try:
            return await self._get(api, path, **values)
        except gidgethub.BadRequest as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
        await self._get(api, "")  # without the right to see the repository everything in it is not found
        return None

    async def _protected(self, api: Api) -> bool:
        branch = self.settings.branch
        found = await self._or_none(api, "/branches/{branch}", branch=branch)
        if found is None:
            raise PermanentError(
                f"{self.settings.repository} has no branch {branch}.",
                code=ReasonCode.GITHUB_REFUSED,
                advice=("Set `github.branch` to the protected branch that releases are made from.",),
            )
        return answers.truth(answers.fields(found).get("protected"))

    async def _listed(
        self, api: Api, path: str, key: str | None, read: Callable[[object], T], **values: str
    ) -> tuple[T, ...]:
        found: list[T] = []
        variables: Mapping[str, str] = {**self._repository, **values}
        async for each in api.pages(f"/repos/{{owner}}/{{name}}{path}", variables, key):
            if len(found) >= _MOST:
                raise unreadable()
            found.append(read(each))
        return tuple(found)

    def _refused(self, error: gidgethub.HTTPException, what: str, right: str) -> RunbookError:
        status, headers = error.status_code, error.headers
        limited = isinstance(error, gidgethub.RateLimitExceeded) or status == HTTPStatus.TOO_MANY_REQUESTS
        if limited or (status == HTTPStatus.FORBIDDEN and "retry-after" in headers):
            return TemporaryError(
                "GitHub limits the bot's requests.",
                code=ReasonCode.GITHUB_UNREACHABLE,
                retry_after=_wait(headers),
                advice=("A token raises the limit, which resets within an hour.",),
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _unreachable(f"answers with status {status:d}")
        repository = self.settings.repository
        said = cited(self._redactor.text(str(error)))
        if status == HTTPStatus.UNAUTHORIZED:
            sentence = "GitHub rejects the bot's token."
            advice = (
                f"It has expired or was revoked: set {VARIABLE}, or the file that {FILE_VARIABLE} names, to a new one."
            )
        elif status == HTTPStatus.FORBIDDEN:
            sentence = f"GitHub denies the bot access to {what} of {repository}: {said}"
            advice = f"The token needs the repository permission {right}."
        elif status == HTTPStatus.NOT_FOUND:
            sentence = f"GitHub does not show the bot {what} of {repository}: {said}"
            advice = f"The token can't see the repository or lacks {right}, or the feature is off there."
        elif status < HTTPStatus.BAD_REQUEST:
            sentence = f"GitHub redirects the request for {what} of {repository}."
            advice = "The repository was renamed or moved: set `github.repository` to its new name."
        else:
            sentence = f"GitHub answers with status {status:d} for {what} of {repository}: {said}"
            advice = "Check the table `github` of `omnicare.toml`."
        return PermanentError(f"{sentence.rstrip('.')}.", code=ReasonCode.GITHUB_REFUSED, advice=(advice,))


def _wait(headers: Mapping[str, str]) -> float:
    """Return how long GitHub asks to wait: in seconds, or until its limit is reset."""
    asked = read_wait(headers.get("retry-after"))
    if asked is not None:
        return asked
    reset = headers.get("x-ratelimit-reset", "")
    if not (reset.isascii() and reset.isdigit() and len(reset) < 12):  # noqa: PLR2004 - seconds of this millennium
        return _PAUSE
    return min(max(_PAUSE, int(reset) - datetime.now(UTC).timestamp()), _LONGEST_PAUSE)


def _unreachable(why: str) -> TemporaryError:
    return TemporaryError(f"GitHub {why}.", code=ReasonCode.GITHUB_UNREACHABLE, retry_after=_PAUSE)
