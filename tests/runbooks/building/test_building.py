"""Building images by the repository's workflow: started once, followed to its end, and what does not end well is said."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from runbooks.building.settings import BuildSettings
from runbooks.building.steps import BuildImages, Built, NoteBuildStart, StartBuild, plan_build
from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped, applied, done
from runbooks.redaction.redactor import default_redactor
from sandbox.outside.github import NAME, OWNER, UNBUILT, Answer, Github, commit_of, error
from sandbox.outside.registry import SERVICES, Registry, digest_of
from tests.support.cases import BOTH_SERVICES as WHERE

SETTINGS = BuildSettings(look_seconds=0.02)


@dataclass
class Servers:
    github: Github
    client: GithubClient
    images: Registry
    registry: RegistryClient

    async def steps(self, settings: BuildSettings = SETTINGS) -> tuple[NoteBuildStart, StartBuild, BuildImages]:
        plan = await plan_build(self.client, self.registry, WHERE, settings, UNBUILT)
        note, start, follow = plan.steps
        assert isinstance(note, NoteBuildStart)
        assert isinstance(start, StartBuild)
        assert isinstance(follow, BuildImages)
        return note, start, follow

    def context(self, pulse: PlainPulse, *, noted: float | None = None) -> StepContext:
        """`noted`: so many seconds ago the start began."""
        services = {GithubClient: self.client, RegistryClient: self.registry}
        made = StepContext(pulse=pulse, environment=WHERE, services=services)
        if noted is not None:
            made.results.keep(NoteBuildStart(), (datetime.now(UTC) - timedelta(seconds=noted)).isoformat())
        return made


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    github, images = Github(), Registry()
    github.build_seconds = 0.1

    def publish(version: str) -> None:
        for name in SERVICES:
            images.publish(name, version, datetime.now(UTC))

    github.publish = publish
    async with github.serve() as address, images.serve() as registry:
        token = GithubToken(default_redactor(), throw_away=True)
        client = GithubClient(GithubSettings(repository=f"{OWNER}/{NAME}", api_url=address), token, default_redactor())
        async with RegistryClient({"ghcr.io": registry}, plain_http=True) as found:
            yield Servers(github, client, images, found)


async def test_it_is_started_and_followed_to_its_images(servers: Servers) -> None:
    results = await done(await servers.steps(), servers.context(PlainPulse("production.build.1")))
    built = results.only(BuildImages, Built)
    assert built.digests == {f"ghcr.io/omnicare/{name}": digest_of(name, UNBUILT) for name in SERVICES}
    assert len(servers.github.builds) == 1


async def test_it_is_started_once_though_the_bot_is_killed_before_github_lists_it(servers: Servers) -> None:
    (_, start, _), pulse = await servers.steps(), PlainPulse("production.build.1")
    servers.github.hides_builds = 5
    await applied(start, servers.context(pulse, noted=0))
    await applied(start, servers.context(pulse, noted=20))
    assert len(servers.github.builds) == 1


async def test_it_is_started_once_though_the_answer_is_lost_before_github_lists_it(servers: Servers) -> None:
    (_, start, _), pulse = await servers.steps(), PlainPulse("production.build.1")
    servers.github.hides_builds, servers.github.loses_dispatches = 5, 1
    await applied(start, servers.context(pulse, noted=0))
    assert len(servers.github.builds) == 1


async def test_a_start_that_did_not_arrive_is_tried_again_after_a_time_of_grace(servers: Servers) -> None:
    (_, start, _), pulse = await servers.steps(BuildSettings(look_seconds=0.02, grace_seconds=0.1)), PlainPulse("b.b.1")
    await applied(start, servers.context(pulse, noted=20))
    assert len(servers.github.builds) == 1
    assert pulse.said == ["looking for a run that GitHub may have started"]


async def test_a_tag_that_was_moved_since_the_plan_is_not_built(servers: Servers) -> None:
    _, start, _ = await servers.steps()
    servers.github.versions[UNBUILT].commit = commit_of("another")
    with pytest.raises(PermanentError, match=f"The tag {UNBUILT} was moved since the plan") as moved:
        await applied(start, servers.context(PlainPulse("production.build.1"), noted=0))
    assert moved.value.code is ReasonCode.CHANGED_MEANWHILE
    assert servers.github.builds == []


async def test_what_is_in_the_registry_is_not_built_again_and_half_of_it_is_said(servers: Servers) -> None:
    servers.images.publish("backend", UNBUILT, datetime.now(UTC))
    plan = await plan_build(servers.client, servers.registry, WHERE, SETTINGS, UNBUILT)
    assert "exist already and are built again: ghcr.io/omnicare/backend" in plan.warnings[0]
    servers.images.publish("frontend", UNBUILT, datetime.now(UTC))
    plan = await plan_build(servers.client, servers.registry, WHERE, SETTINGS, UNBUILT)
    assert plan.empty
    assert "in the registry already" in plan.title


async def test_a_workflow_that_fails_is_told_with_its_run(servers: Servers) -> None:
    servers.github.build_ends = "failure"
    with pytest.raises(PermanentError, match=r"The workflow images\.yml ended with failure") as failed:
        await done(await servers.steps(), servers.context(PlainPulse("production.build.2")))
    assert failed.value.code is ReasonCode.BUILD_FAILED
    assert failed.value.evidence == (f"https://github.com/{OWNER}/{NAME}/actions/runs/0",)


async def test_a_run_that_can_not_be_found_by_its_name_ends_with_what_the_workflow_needs(servers: Servers) -> None:
    servers.github.names_builds = False
    steps = await servers.steps(BuildSettings(look_seconds=0.02, minutes=0.005))
    with pytest.raises(PermanentError, match="GitHub shows no run") as failed:
        await done(steps, servers.context(PlainPulse("production.build.3")))
    assert "run-name" in failed.value.advice[0]
    assert len(servers.github.builds) == 1


async def test_a_build_that_takes_too_long_or_is_stopped_goes_on_without_the_bot(servers: Servers) -> None:
    servers.github.build_seconds = 60.0
    steps = await servers.steps(BuildSettings(look_seconds=0.02, minutes=0.1))
    with pytest.raises(PermanentError, match="still in progress") as late:
        await done(steps, servers.context(PlainPulse("production.build.4")))
    assert late.value.code is ReasonCode.TIMED_OUT
    pulse = PlainPulse("production.build.5")
    pulse.ask_to_stop(Stop(kind="cancelled", by="Maya"))
    with pytest.raises(Stopped):
        await done(await servers.steps(), servers.context(pulse))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lambda _: error(401, "Bad credentials"), ReasonCode.GITHUB_REFUSED),
        (lambda _: error(403, "Resource not accessible"), ReasonCode.GITHUB_REFUSED),
        (lambda _: error(409, "Conflict"), ReasonCode.GITHUB_REFUSED),
        (lambda _: error(429, "slow down"), ReasonCode.GITHUB_UNREACHABLE),
        (lambda _: error(500, "oops"), ReasonCode.GITHUB_UNREACHABLE),
        (lambda _: web.Response(text="<html>"), ReasonCode.GITHUB_UNREACHABLE),
        (lambda _: web.json_response({"workflow_runs": "none"}), ReasonCode.GITHUB_UNREACHABLE),
    ],
)
async def test_a_github_that_does_not_answer_as_it_should_starts_nothing(
    servers: Servers, fault: Answer, code: ReasonCode
) -> None:
    servers.github.fault = fault
    with pytest.raises(RunbookError) as refused:
        await plan_build(servers.client, servers.registry, WHERE, SETTINGS, UNBUILT)
    assert refused.value.code is code
    with pytest.raises(RunbookError) as refused:
        await servers.client.workflow_run("images.yml", "production.build.6")
    assert refused.value.code is code
    assert servers.github.builds == []


async def test_a_version_without_a_tag_is_named(servers: Servers) -> None:
    with pytest.raises(PermanentError, match=r"has no tag v9\.9\.9"):
        await plan_build(servers.client, servers.registry, WHERE, SETTINGS, "v9.9.9")
