"""A run as a deployment on GitHub: once, with how it ended, and whatever GitHub answers the run goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet, Release, utc_now
from runbooks.kit.steps import PlainPulse, StepContext
from runbooks.redaction.redactor import default_redactor
from runbooks.reporting.github_deployment import ReportToGithub
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.github import NAME, OWNER, Answer, Github, error
from tests.support.gates import environment

WHERE = environment()


class Place:
    def __init__(self, github: Github, client: GithubClient, fleet: Fleet) -> None:
        self.github, self.fleet, self.client = github, fleet, client

    def context(self, run: str) -> StepContext:
        services = {GithubClient: self.client, Fleet: self.fleet}
        return StepContext(pulse=PlainPulse(run), environment=WHERE, services=services)

    async def ran(self, run: str, version: str = "v2.0.0", *, well: bool = True) -> list[str]:
        """Do what a run does; return what the steps complained about."""
        step, context = ReportToGithub(version=version), self.context(run)
        begun = await step.apply(context)
        if well:
            release = Release(version=version, services=(), run=run, by="Maya", at=utc_now())
            await self.fleet.record_release(WHERE, release)
        return [each for each in (begun.problem, await step.put_back(context)) if each]

    def states(self) -> list[list[str]]:
        return [[state["state"] for state in each.states] for each in self.github.deployments]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    cluster, github = Cluster(), Github()
    seed_omnicare(cluster)
    async with cluster.serve(), github.serve() as address:
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        deployments = {
            "seconds": 0.6,
            "production": True,
            "log_url": "https://ci.example/{run}",
            "url": "https://emr.example",
        }
        settings = {"repository": f"{OWNER}/{NAME}", "api_url": address, "deployments": deployments, "seconds": 2}
        token = GithubToken(default_redactor(), throw_away=True)
        client = GithubClient(GithubSettings.model_validate(settings), token, default_redactor())
        async with ClusterClient(kubeconfig=str(path)) as fleet:
            yield Place(github, client, Fleet(fleet))


async def test_a_run_is_shown_from_its_beginning_to_its_end_and_replaces_the_one_before(here: Place) -> None:
    assert await here.ran("production.deploy.1", "v1.2.0") == []
    assert await here.ran("production.deploy.2", well=False) == []
    assert await here.ran("production.deploy.3") == []
    assert here.states() == [
        ["in_progress", "success", "inactive"],
        ["in_progress", "failure"],
        ["in_progress", "success"],
    ]
    newest = here.github.deployments[-1]
    assert (newest.asked["ref"], newest.asked["environment"], newest.asked["task"]) == (
        "v2.0.0",
        "production",
        "deploy",
    )
    assert newest.asked["production_environment"] is True
    assert newest.states[0]["log_url"] == "https://ci.example/production.deploy.3"
    assert newest.states[0]["environment_url"] == "https://emr.example"


async def test_what_was_killed_at_any_point_is_done_once(here: Place) -> None:
    step, context = ReportToGithub(version="v2.0.0", going_back=True), here.context("production.rollback.1")
    await here.client.create_deployment("v2.0.0", "production", task="rollback", run=context.run)
    for _ in range(2):
        assert (await step.apply(context)).problem == ""
    for _ in range(2):
        assert await step.put_back(context) == ""
    assert here.states() == [["in_progress", "failure"]]
    here.github.loses_deployments = 1
    assert await here.ran("production.deploy.2") == []
    assert here.states()[1:] == [["in_progress", "success"]], "an answer that is lost makes no second one"


async def test_what_others_deployed_there_is_left_alone(here: Place) -> None:
    for run in ("production.deploy.1", ""):
        made = await here.client.create_deployment("v1.2.0", "production", task="deploy", run=run)
        await here.client.set_deployment_state(made, "success", "", run=run)
    here.github.deployments[1].asked["payload"] = "made by hand"
    assert await here.ran("production.deploy.2") == []
    assert here.states() == [["success", "inactive"], ["success"], ["in_progress", "success"]]


async def test_a_run_that_never_began_is_not_shown(here: Place) -> None:
    assert await ReportToGithub(version="v2.0.0").put_back(here.context("production.deploy.1")) == ""
    assert here.states() == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda _: error(401, "Bad credentials"), "rejects the bot's token"),
        (lambda _: error(403, "Resource not accessible"), "Deployments (write)"),
        (lambda _: error(404, "Not Found"), "does not show the bot deployments"),
        (lambda _: error(409, "Conflict"), "status 409"),
        (lambda _: error(422, "No ref found"), "status 422"),
        (lambda _: error(429, "Slow down", retry_after="120"), "limits the bot's requests"),
        (lambda _: error(500, "Server Error"), "status 500"),
        (lambda _: web.Response(text="<html>"), "can't be read"),
        (lambda _: web.json_response([{"id": "one", "ref": "v2.0.0"}]), "can't be read"),
        (lambda _: web.json_response({"deployments": []}), "can't be read"),
    ],
)
async def test_whatever_github_answers_is_a_sentence_and_stops_nothing(here: Place, fault: Answer, words: str) -> None:
    step, context = ReportToGithub(version="v2.0.0"), here.context("production.deploy.1")
    here.github.fault = fault
    begun, ended = (await step.apply(context)).problem, await step.put_back(context)
    assert begun.startswith("GitHub does not show this run as a deployment. ")
    assert ended.startswith("GitHub does not show how this run ended. ")
    assert words in begun
    assert words in ended


async def test_a_github_that_does_not_answer_is_not_waited_for(here: Place, unanswered: str) -> None:
    settings = {"repository": f"{OWNER}/{NAME}", "api_url": unanswered, "deployments": {"seconds": 0.2}}
    token = GithubToken(default_redactor(), throw_away=True)
    here.client = GithubClient(GithubSettings.model_validate(settings), token, default_redactor())
    step, context = ReportToGithub(version="v2.0.0"), here.context("production.deploy.1")
    assert (await step.apply(context)).problem.endswith("It did not answer within 0.2 s.")


@pytest.fixture
async def unanswered() -> AsyncIterator[str]:
    """An address that takes connections and never answers."""
    server = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(0), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
