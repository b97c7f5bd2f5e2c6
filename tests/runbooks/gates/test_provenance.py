"""The gate on provenance: what GitHub's attestations of the images' digests state, or the check that verified it."""

import base64
import json
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from pydantic import ValidationError

from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.attestations import Attestation, attestation
from runbooks.clients.github.client import GithubClient
from runbooks.gates.checklist import gates_of
from runbooks.gates.gate import GateResult, GateSubject
from runbooks.gates.looking import look_at
from runbooks.gates.settings import CodeSettings, GateSettings, ProvenanceSettings
from runbooks.redaction.redactor import default_redactor
from sandbox.outside.github import NAME, OWNER, Github, error
from tests.support.gates import MakesSubject

WORKFLOW = ".github/workflows/images.yml"


@pytest.fixture
async def github() -> AsyncIterator[Github]:
    made = Github()
    async with made.serve():
        yield made


@pytest.fixture
def deploy(github: Github, subject: MakesSubject) -> GateSubject:
    settings = GithubSettings(repository=f"{OWNER}/{NAME}", api_url=github.url, seconds=30)
    return subject(GithubClient(settings, GithubToken(default_redactor(), throw_away=True), default_redactor()))


async def look(subject: GateSubject, **provenance: str) -> GateResult:
    code = CodeSettings(
        branch=False, code_scanning=False, release=False, revision=False, provenance=ProvenanceSettings(**provenance)
    )
    gates = [each for each in gates_of(GateSettings(code=code, images=False), subject) if each.key == "provenance"]
    (found,) = await look_at(gates, subject, 60.0)
    return found


def attested(**other: str) -> Callable[[Github], None]:
    return lambda github: github.versions["v2.0.0"].attested.update(other)


async def test_images_that_the_repositorys_workflow_built_from_the_commit_pass_and_no_signature_is_claimed(
    deploy: GateSubject,
) -> None:
    found = await look(deploy, workflow=WORKFLOW)
    assert found.state == "passed"
    assert found.evidence.startswith("2 images are attested as built by omnicare/emr from ")
    assert found.evidence.endswith("signatures not verified here")


@pytest.mark.parametrize(
    ("wrong", "state", "evidence"),
    [
        (lambda github: setattr(github.versions["v2.0.0"], "attests", False), "failed", "no provenance of backend"),
        (attested(repository="https://github.com/somebody/else"), "failed", "by somebody/else, not by omnicare/emr"),
        (attested(repository="https://evil.example/omnicare/emr"), "failed", "by https://evil.example/omnicare/emr"),
        (attested(path=".github/workflows/other.yml"), "failed", "by .github/workflows/other.yml"),
        (attested(commit="e" * 40), "failed", "from eeeeeee, but the tag points to"),
        (attested(commit=""), "failed", "from an unknown commit"),
    ],
)
async def test_what_was_built_elsewhere_or_from_another_commit_fails(
    wrong: Callable[[Github], object], state: str, evidence: str, github: Github, deploy: GateSubject
) -> None:
    wrong(github)
    found = await look(deploy, workflow=WORKFLOW)
    assert (found.state, evidence in found.evidence, bool(found.advice)) == (state, True, True), found


@pytest.mark.parametrize(
    "answer",
    [
        lambda: error(403, "Resource not accessible by personal access token"),
        lambda: error(409, "Conflict"),
        lambda: error(429, "Too many", retry_after="7"),
        lambda: error(500, "Server Error"),
        lambda: web.Response(text="<html>"),
        lambda: web.json_response({"attestations": [1]}),
        lambda: web.json_response({"attestations": [{"bundle": None, "bundle_url": "https://blob.example"}]}),
        lambda: web.json_response({"attestations": [{"bundle": {"dsseEnvelope": {"payload": "%%%"}}}]}),
    ],
)
async def test_what_can_not_be_read_is_unknown_and_never_passed(
    answer: Callable[[], web.Response], github: Github, deploy: GateSubject
) -> None:
    github.attestations = lambda _: answer()
    assert (await look(deploy)).state == "unknown"


@pytest.mark.parametrize(
    ("said", "state", "evidence"),
    [
        ("success", "passed", "verified by the check CodeQL"),
        ("failure", "failed", "CodeQL (failure)"),
        ("skipped", "unknown", "skipped"),
    ],
)
async def test_a_check_that_verified_it_counts_instead(
    said: str, state: str, evidence: str, github: Github, deploy: GateSubject
) -> None:
    github.versions["v2.0.0"].checks["CodeQL"] = said
    github.versions["v2.0.0"].attests = False
    found = await look(deploy, check="CodeQL")
    assert (found.state, evidence in found.evidence) == (state, True), found


@pytest.mark.parametrize(
    "statement", [[], {"subject": "x"}, {"predicate": {"buildDefinition": []}}, {"subject": [{"digest": "x"}, 3]}]
)
def test_a_statement_of_another_form_states_nothing(statement: object) -> None:
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    found = attestation({"bundle": {"dsseEnvelope": {"payload": payload}}})
    assert found == Attestation(predicate="")


def test_a_workflow_can_not_stand_beside_a_check() -> None:
    with pytest.raises(ValidationError, match="can't stand beside"):
        ProvenanceSettings(check="Provenance", workflow=WORKFLOW)
