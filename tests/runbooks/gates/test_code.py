"""The gates on the release's code, against the sandbox's GitHub: what passes, what fails, and every way in which GitHub does not answer."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.gates.checklist import gates_of
from runbooks.gates.gate import GateResult, GateSubject
from runbooks.gates.looking import look_at
from runbooks.gates.settings import CodeSettings, GateSettings
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor, default_redactor
from sandbox.outside.github import CHECKS, COVERAGE, Answer, Github, error
from sandbox.outside.registry import Registry, commit_of
from tests.support.gates import MakesSubject

CODE = CodeSettings(checks=CHECKS, coverage=COVERAGE)
TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
async def github() -> AsyncIterator[Github]:
    made = Github()
    async with made.serve():
        yield made


def client(github: Github, *, repository: str = "omnicare/emr", seconds: float = 5.0) -> GithubClient:
    settings = GithubSettings(repository=repository, api_url=github.url, seconds=seconds)
    return GithubClient(settings, GithubToken(default_redactor()), default_redactor())


@pytest.fixture
async def deploy(github: Github, subject: MakesSubject) -> AsyncIterator[GateSubject]:
    async with Registry().serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as registry:
        yield subject(client(github), registry)


async def look(subject: GateSubject, code: CodeSettings = CODE, seconds: float = 8.0) -> dict[str, GateResult]:
    settings = GateSettings(code=code, images=False)
    gates = gates_of(settings, subject)
    assert tuple(gate.key for gate in gates) == settings.keys()
    return {each.gate: each for each in await look_at(gates, subject, seconds)}


async def test_a_release_that_has_everything_passes_with_evidence(github: Github, deploy: GateSubject) -> None:
    github.page_size = 2  # every list is read to its end
    found = await look(deploy)
    assert {each.state for each in found.values()} == {"passed"}, found
    assert found["tag"].bound == {"commit": commit_of("v2.0.0")}
    assert found["coverage"].number == 91.4
    assert found["check:Snyk"].url == "https://github.com/omnicare/emr/runs/1"
    assert found["release"].evidence == "published with notes, immutable"
    assert github.asked.count("/repos/omnicare/emr/git/ref/tags/v2.0.0") == 1  # once for all gates


async def test_without_names_all_checks_count(github: Github, deploy: GateSubject) -> None:
    assert (await look(deploy, CodeSettings()))["checks"].evidence == "all 8 checks passed"
    github.versions["v2.0.0"].statuses["npm audit"] = "failure"
    found = (await look(deploy, CodeSettings()))["checks"]
    assert (found.state, found.evidence) == ("failed", "npm audit (failure)")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["test (node 18)"], ["test (node 20)"]),
        (["a", "b", "c", "d"], ["a", "b", "c", "d", "e"]),
        (["a", "b", "c", "d"], ["a", "b", "c", "e"]),
    ],
)
async def test_another_failed_check_is_another_finding(
    before: list[str], after: list[str], github: Github, deploy: GateSubject
) -> None:
    async def finding(names: list[str]) -> str:
        github.versions["v2.0.0"].checks = dict.fromkeys(names, "failure")
        return (await look(deploy, CodeSettings()))["checks"].finding

    assert await finding(before) == await finding(before[::-1])
    assert await finding(before) != await finding(after)


def _version(name: str, value: object) -> Callable[[Github], None]:
    return lambda github: setattr(github.versions["v2.0.0"], name, value)


def _check(name: str, said: str) -> Callable[[Github], None]:
    return lambda github: github.versions["v2.0.0"].checks.update({name: said})


@pytest.mark.parametrize(
    ("wrong", "gate", "state", "evidence"),
    [
        (_check("Snyk", "failure"), "check:Snyk", "failed", "Snyk (failure)"),
        (_check("Snyk", "timed_out"), "check:Snyk", "failed", "Snyk (timed_out)"),
        (_check("Snyk", "skipped"), "check:Snyk", "unknown", "Snyk (skipped)"),
        (_check("Snyk", "in_progress"), "check:Snyk", "unknown", "Snyk (in_progress)"),
        (_version("checks", {}), "check:CodeQL", "unknown", "no check CodeQL"),
        (_version("coverage", "79.9 % of lines"), "coverage", "failed", "coverage is 79.9 %"),
        (_version("coverage", "80% of lines, 80 %"), "coverage", "failed", "coverage is 80 %"),
        (_version("coverage", "fine"), "coverage", "unknown", "does not report exactly one percentage"),
        (_version("coverage", "Patch 100 %, project 41.2 %"), "coverage", "unknown", "exactly one"),
        (_version("coverage", "fell by 85 % to 12 %"), "coverage", "unknown", "exactly one"),
        (_version("coverage", "95 % (-0.2 %)"), "coverage", "unknown", "exactly one"),
        (_version("coverage", "+85 %"), "coverage", "unknown", "exactly one"),
        (_version("coverage", "41,90 %"), "coverage", "unknown", "exactly one"),
        (_version("coverage", "850 %"), "coverage", "unknown", "exactly one"),
        (_check("Coverage", "failure"), "coverage", "failed", "Coverage (failure)"),
        (_check("Coverage", "in_progress"), "coverage", "unknown", "Coverage (in_progress)"),
        (_check("Coverage", "skipped"), "coverage", "unknown", "Coverage (skipped)"),
        (_check("coverage", "success"), "coverage", "unknown", "exactly one"),
        (_version("merged", value=False), "branch", "failed", "is not on main"),
        (lambda github: setattr(github, "protected", False), "branch", "failed", "main is not a protected branch"),
        (lambda github: github.alerts.append("SQL injection"), "code-scanning", "failed", "1 open critical alert: #1 SQL injection"),
        (_version("notes", None), "release", "failed", "no published release v2.0.0"),
        (_version("notes", " "), "release", "failed", "has no notes"),
        (_version("commit", "e" * 40), "revision", "failed", "but the tag points to eeeeeee"),
        (lambda github: github.versions.pop("v2.0.0"), "tag", "unknown", "omnicare/emr has no tag v2.0.0"),
    ],
)  # fmt: skip
async def test_each_gate_says_what_is_wrong_and_what_to_do(
    wrong: Callable[[Github], object], gate: str, state: str, evidence: str, github: Github, deploy: GateSubject
) -> None:
    wrong(github)
    found = (await look(deploy))[gate]
    assert (found.state, evidence in found.evidence, bool(found.advice)) == (state, True, True), found


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Patch 100 %, project 91.2 %", "passed"),
        ("Patch 100 %, project 41.2 %", "failed"),
        ("project 91 %, project 41 %", "unknown"),
        ("project 4100 %", "unknown"),
        ("91 %", "unknown"),
    ],
)
async def test_a_pattern_says_which_percentage_counts(
    text: str, state: str, github: Github, deploy: GateSubject
) -> None:
    _version("coverage", text)(github)
    code = CODE.model_copy(update={"coverage_pattern": r"project ([\d.]+) %"})
    assert (await look(deploy, code))["coverage"].state == state


@pytest.mark.parametrize("pattern", ["project", "(a)(b)", "(?=project) (.*)"])
def test_a_pattern_needs_one_group_that_re2_knows(pattern: str) -> None:
    with pytest.raises(ValidationError):
        CodeSettings(coverage="Coverage", coverage_pattern=pattern)


async def test_a_tag_that_moved_since_the_plan_fails(github: Github, deploy: GateSubject) -> None:
    planned = await look(deploy)
    _version("commit", "e" * 40)(github)
    again = GateSubject(
        environment=deploy.environment, version=deploy.version, images=deploy.images, at=deploy.at,
        clients=deploy.clients, planned=planned,
    )  # fmt: skip
    found = (await look(again))["tag"]
    assert (found.state, "points to eeeeeee now" in found.evidence) == ("failed", True)


async def _hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("fault", "code", "words", "temporary"),
    [
        (lambda _: error(401, "Bad credentials"), ReasonCode.GITHUB_REFUSED, "rejects the bot's token", False),
        (lambda _: error(403, "Resource not accessible by personal access token"), ReasonCode.GITHUB_REFUSED, "denies", False),
        (lambda _: error(404, "Not Found"), ReasonCode.GITHUB_REFUSED, "does not show the bot", False),
        (lambda _: error(409, "Git Repository is empty."), ReasonCode.GITHUB_REFUSED, "status 409", False),
        (lambda _: error(301, "Moved", Location="https://elsewhere.example/"), ReasonCode.GITHUB_REFUSED, "redirects", False),
        (lambda _: error(403, "rate limit", x_ratelimit_limit="60", x_ratelimit_remaining="0", x_ratelimit_reset="99999999999"), ReasonCode.GITHUB_UNREACHABLE, "limits", True),
        (lambda _: error(403, "secondary rate limit", retry_after="7"), ReasonCode.GITHUB_UNREACHABLE, "limits", True),
        (lambda _: error(429, "Too many", retry_after="7"), ReasonCode.GITHUB_UNREACHABLE, "limits", True),
        (lambda _: error(502, "Bad Gateway"), ReasonCode.GITHUB_UNREACHABLE, "status 502", True),
        (lambda _: web.Response(text="<html>", content_type="text/html"), ReasonCode.GITHUB_UNREACHABLE, "can't be read", True),
        (lambda _: web.Response(text="{", content_type="application/json"), ReasonCode.GITHUB_UNREACHABLE, "can't be read", True),
        (lambda _: web.json_response([1]), ReasonCode.GITHUB_UNREACHABLE, "can't be read", True),
        (lambda _: web.json_response({}), ReasonCode.GITHUB_UNREACHABLE, "can't be read", True),
        (lambda _: web.json_response(None), ReasonCode.GITHUB_UNREACHABLE, "can't be read", True),
        (lambda _: web.Response(text="", content_type="application/json"), ReasonCode.GITHUB_UNREACHABLE, "can't be read", True),
    ],
)  # fmt: skip
async def test_what_github_refuses_or_does_not_answer(
    fault: Answer, code: ReasonCode, words: str, temporary: bool, github: Github
) -> None:
    github.fault = fault
    there = client(github)
    calls = (
        there.commit_of("v2.0.0"), there.checks("a" * 40), there.branch("a" * 40),
        there.critical_alerts(), there.release("v2.0.0"),
    )  # fmt: skip
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, RunbookError), result
        assert (result.code, words in result.message) == (code, True), result.message
        assert isinstance(result, TemporaryError) == temporary
        assert not isinstance(result, TemporaryError) or 1.0 <= result.retry_after <= 300.0


async def test_a_server_that_hangs_or_is_away_is_unknown(github: Github, subject: MakesSubject) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", _hang)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    github.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with pytest.raises(TemporaryError, match=r"did not answer within 0.2 s"):
        await client(github, seconds=0.2).release("v2.0.0")
    await runner.cleanup()
    found = await look(subject(client(github)), CodeSettings(revision=False), seconds=60.0)
    assert {each.state for each in found.values()} == {"unknown"}
    assert all("can't be reached" in each.evidence for each in found.values())


async def test_a_token_is_sent_and_known_to_the_redactor_and_read_anew(
    github: Github, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    github.token = TOKEN
    redactor = Redactor()
    settings = GithubSettings(repository="omnicare/emr", api_url=github.url)
    there = GithubClient(settings, GithubToken(redactor), redactor)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(RunbookError, match="does not show the bot"):
        await there.commit_of("v2.0.0")
    monkeypatch.setenv("GITHUB_TOKEN", "wrong")
    with pytest.raises(RunbookError, match="rejects the bot's token"):
        await there.commit_of("v2.0.0")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("GITHUB_TOKEN_FILE", str(tmp_path / "token"))
    assert await there.commit_of("v2.0.0") == commit_of("v2.0.0")
    assert TOKEN not in redactor.text(f"it is {TOKEN}.")
    monkeypatch.setenv("GITHUB_TOKEN_FILE", str(tmp_path / "gone"))
    with pytest.raises(RunbookError, match="the file can't be read"):
        await there.commit_of("v2.0.0")


async def test_a_repository_that_the_bot_may_not_see_is_not_a_missing_tag(github: Github) -> None:
    with pytest.raises(RunbookError, match="does not show the bot the tag of omnicare/other"):
        await client(github, repository="omnicare/other").commit_of("v2.0.0")
    assert await client(github).commit_of("v9.9.9") is None


def _document(**fields: object) -> tuple[str, bytes]:
    body = json.dumps(fields).encode()
    return "sha256:" + hashlib.sha256(body).hexdigest(), body


@pytest.mark.parametrize(
    ("revisions", "expected"),
    [
        (["a" * 40, "a" * 40], ("a" * 40, "a" * 40)),
        (["a" * 40, "b" * 40], ("a" * 40, "b" * 40)),
        (["a" * 40, None], ("a" * 40, None)),
    ],
)
async def test_every_platform_of_an_index_names_its_commit_and_attestations_do_not_count(
    revisions: list[str | None], expected: tuple[str | None, ...]
) -> None:
    stored: dict[str, bytes] = {}

    def keep(**fields: object) -> str:
        digest, stored[digest] = _document(**fields)
        return digest

    entries = []
    for number, revision in enumerate(revisions):
        labels = {"org.opencontainers.image.revision": revision} if revision else None
        config = keep(architecture=f"arch{number}", config={"Labels": labels})
        platform = {"os": "linux", "architecture": f"arch{number}"}
        entries.append({"digest": keep(config={"digest": config}, number=number), "platform": platform})
    attestation = {
        "digest": keep(config={"digest": keep(config={})}, layers=[]),
        "platform": {"os": "unknown", "architecture": "unknown"},
    }
    index = keep(manifests=[*entries, attestation])

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=stored[request.path.rpartition("/")[2]])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with (
        TestServer(app) as server,
        RegistryClient({"ghcr.io": str(server.make_url("/"))}, plain_http=True) as registry,
    ):
        assert await registry.revisions("ghcr.io/omnicare/backend", index) == expected
        stored[index] = stored[index] + b" "
        with pytest.raises(RunbookError, match="does not match its digest"):
            await registry.revisions("ghcr.io/omnicare/backend", index)
