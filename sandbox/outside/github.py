"""A small GitHub: the REST calls by which a release is judged, with the forms, status codes and pages of the public documents.

It knows: a repository, a tag's reference, an annotated tag, check runs and the combined status of a commit, a branch and its rules, comparing a branch
with a commit, open code scanning alerts, the release of a tag, a workflow's runs, deployments with their statuses, and attestations. Every version of the registry has a tag; all of them are fine at first.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from sandbox.outside.registry import SERVICES, VERSIONS, commit_of, digest_of
from sandbox.outside.serving import serving

Json = dict[str, Any]
Answer = Callable[[web.Request], web.StreamResponse]

OWNER, NAME, BRANCH = "omnicare", "emr", "main"
CHECKS = ("CI", "Snyk", "CodeQL", "HIPAA compliance", "Performance")
STATUSES = ("npm audit", "Base images")
COVERAGE = "Coverage"
UNBUILT = "v2.2.0"
"""A tag whose images are not built yet."""
WORKFLOW = "images.yml"
CONFIG = "devops/kubernetes/production-config.yaml"


@dataclass
class Version:
    """What GitHub knows about one version."""

    commit: str
    checks: dict[str, str] = field(default_factory=lambda: dict.fromkeys((*CHECKS, COVERAGE), "success"))
    """Check run → its conclusion; `in_progress` where it has none yet."""
    statuses: dict[str, str] = field(default_factory=lambda: dict.fromkeys(STATUSES, "success"))
    coverage: str = "91.4 % of lines are covered"
    merged: bool = True
    notes: str | None = "Multi-region deployment."
    """None: no release is published."""
    annotated: bool = True
    attested: Json = field(default_factory=dict)
    """What its images' provenance states otherwise: `{"repository": "https://github.com/somebody/else"}`."""
    attests: bool = True
    """False: nobody has attested its images."""
    files: dict[str, str] = field(default_factory=dict)
    """Path → what stands there at its commit."""


@dataclass
class BuildRun:
    """A run of the workflow that builds images."""

    version: str
    request: str
    since: float
    published: bool = False


@dataclass
class Deployment:
    """A deployment, and the states that it had, the newest last."""

    number: int
    asked: Json
    states: list[Json] = field(default_factory=list)


class Github:
    """`fault` answers every request instead; `page_size` is the longest page, whatever is asked for."""

    def __init__(self) -> None:
        self.versions = _versions()
        self.alerts: list[str] = []
        """Rules with an open critical alert."""
        self.protected = True
        self.reviews = 1
        """Approving reviews that a pull request needs, by the branch's ruleset."""
        self.stale = True
        """An approval does not count for what is pushed after it."""
        self.classic: Json | None = None
        """The branch's classic protection."""
        self.fault: Answer | None = None
        self.token: str | None = None
        """If given, only who shows it sees the repository."""
        self.attestations: Answer | None = None
        """Answers what is asked about attestations, instead."""
        self.denies = ""
        """What the token has no right to, as a part of its path: `/deployments`."""
        self.page_size = 100
        self.asked: list[str] = []
        self.builds: list[BuildRun] = []
        self.deployments: list[Deployment] = []
        self.loses_deployments = 0
        """So many new deployments are taken and not answered."""
        self.build_seconds = 1.0
        self.build_ends = "success"
        self.hides_builds = 0
        """So many lists of the workflow's runs have none of them yet."""
        self.loses_dispatches = 0
        """So many starts are taken and not answered."""
        self.names_builds = True
        """False: the workflow's `run-name` does not show who asked."""
        self.publish: Callable[[str], None] = lambda _: None
        """Called with a version when its build has succeeded."""
        self.url = ""

    def reset(self) -> None:
        """Everything is fine again."""
        self.versions = _versions()
        self.alerts, self.protected, self.fault = [], True, None

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until the block ends; gives the address."""
        app = web.Application(middlewares=[self._guard])
        base = "/repos/{owner}/{name}"
        app.router.add_get(base, self._repository)
        app.router.add_get(f"{base}/git/ref/tags/{{tag}}", self._ref)
        app.router.add_get(f"{base}/git/tags/{{sha}}", self._tag)
        app.router.add_get(f"{base}/commits/{{sha}}/check-runs", self._check_runs)
        app.router.add_get(f"{base}/commits/{{sha}}/status", self._status)
        app.router.add_get(f"{base}/branches/{{branch}}", self._branch)
        app.router.add_get(f"{base}/branches/{{branch}}/protection", self._protection)
        app.router.add_get(f"{base}/rules/branches/{{branch}}", self._rules)
        app.router.add_get(f"{base}/compare/{{basehead}}", self._compare)
        app.router.add_get(f"{base}/code-scanning/alerts", self._alerts)
        app.router.add_get(f"{base}/releases/tags/{{tag}}", self._release)
        app.router.add_post(f"{base}/actions/workflows/{{workflow}}/dispatches", self._dispatch)
        app.router.add_get(f"{base}/actions/workflows/{{workflow}}/runs", self._builds)
        app.router.add_get(f"{base}/contents/{{path:.+}}", self._contents)
        app.router.add_get(f"{base}/attestations/{{digest}}", self._attestations)
        app.router.add_get(f"{base}/deployments", self._deployments)
        app.router.add_post(f"{base}/deployments", self._deploy)
        app.router.add_get(f"{base}/deployments/{{number}}/statuses", self._states)
        app.router.add_post(f"{base}/deployments/{{number}}/statuses", self._set_state)
        async with serving(app, host, port) as self.url:
            yield self.url

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.fault is not None:
            return self.fault(request)
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ").removeprefix("token ")
        if self.token is not None and shown not in ("", self.token):
            return error(401, "Bad credentials")
        there = (request.match_info.get("owner"), request.match_info.get("name")) == (OWNER, NAME)
        if not there or (self.token is not None and not shown):
            return error(404, "Not Found")
        if self.denies and self.denies in request.path:
            return error(403, "Resource not accessible by personal access token")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _repository(self, _: web.Request) -> web.Response:
        return web.json_response({"full_name": f"{OWNER}/{NAME}", "private": True, "default_branch": BRANCH})

    async def _ref(self, request: web.Request) -> web.Response:
        tag = request.match_info["tag"]
        found = self.versions.get(tag)
        if found is None:
            return error(404, "Not Found")
        kind, sha = ("tag", _annotation(tag, found)) if found.annotated else ("commit", found.commit)
        return web.json_response({"ref": f"refs/tags/{tag}", "object": {"type": kind, "sha": sha}})

    async def _tag(self, request: web.Request) -> web.Response:
        sha = request.match_info["sha"]
        for tag, found in self.versions.items():
            if _annotation(tag, found) == sha:
                return web.json_response({"tag": tag, "sha": sha, "object": {"type": "commit", "sha": found.commit}})
        return error(404, "Not Found")

    def _of(self, sha: str) -> Version | None:
        return next((found for found in self.versions.values() if found.commit == sha), None)

    async def _check_runs(self, request: web.Request) -> web.Response:
        found = self._of(request.match_info["sha"])
        if found is None:
            return error(422, f"No commit found for SHA: {request.match_info['sha']}")
        runs = [self._run(number, name, said, found) for number, (name, said) in enumerate(found.checks.items())]
        page, headers = self._page(request, runs)
        return web.json_response({"total_count": len(runs), "check_runs": page}, headers=headers)

    def _run(self, number: int, name: str, said: str, of: Version) -> Json:
        ended = said != "in_progress"
        coverage = {"title": of.coverage, "summary": ""} if name == COVERAGE else {"title": None, "summary": None}
        return {
            "id": number,
            "name": name,
            "status": "completed" if ended else "in_progress",
            "conclusion": said if ended else None,
            "started_at": _ago(minutes=130),
            "completed_at": _ago(minutes=124) if ended else None,
            "html_url": f"https://github.com/{OWNER}/{NAME}/runs/{number}",
            "output": coverage,
        }

    async def _status(self, request: web.Request) -> web.Response:
        found = self._of(request.match_info["sha"])
        if found is None:
            return error(422, f"No commit found for SHA: {request.match_info['sha']}")
        statuses = [
            {
                "context": name,
                "state": said,
                "description": "",
                "target_url": f"https://ci.example/{number}",
                "updated_at": _ago(minutes=120),
            }
            for number, (name, said) in enumerate(found.statuses.items())
        ]
        page, headers = self._page(request, statuses)
        combined = "success" if all(said == "success" for said in found.statuses.values()) else "failure"
        answer = {"state": combined, "sha": found.commit, "total_count": len(statuses), "statuses": page}
        return web.json_response(answer, headers=headers)

    async def _branch(self, request: web.Request) -> web.Response:
        if request.match_info["branch"] != BRANCH:
            return error(404, "Branch not found")
        return web.json_response({"name": BRANCH, "protected": self.protected, "commit": {"sha": commit_of("head")}})

    async def _protection(self, _: web.Request) -> web.Response:
        return error(404, "Branch not protected") if self.classic is None else web.json_response(self.classic)

    async def _rules(self, request: web.Request) -> web.Response:
        """For a branch without rules, and for one that does not exist, GitHub's answer is an empty list."""
        rules: list[Json] = [{"type": "deletion"}]
        if self.reviews:
            parameters = {"required_approving_review_count": self.reviews, "dismiss_stale_reviews_on_push": self.stale}
            rules.append({"type": "pull_request", "parameters": parameters})
        page, headers = self._page(request, rules if request.match_info["branch"] == BRANCH else [])
        return web.json_response(page, headers=headers)

    async def _compare(self, request: web.Request) -> web.Response:
        base, _, head = request.match_info["basehead"].partition("...")
        found = self._of(head)
        if base != BRANCH or found is None:
            return error(404, "Not Found")
        status = "behind" if found.merged else "diverged"
        url = f"https://github.com/{OWNER}/{NAME}/compare/{base}...{head}"
        return web.json_response(
            {"status": status, "ahead_by": 0 if found.merged else 3, "behind_by": 2, "html_url": url}
        )

    async def _alerts(self, request: web.Request) -> web.Response:
        if request.query.get("state") != "open" or request.query.get("severity") != "critical":
            return error(422, "the sandbox knows open critical alerts only")
        alerts = [
            {
                "number": number,
                "state": "open",
                "rule": {"id": rule, "description": rule, "security_severity_level": "critical"},
                "html_url": f"https://github.com/{OWNER}/{NAME}/security/code-scanning/{number}",
            }
            for number, rule in enumerate(self.alerts, 1)
        ]
        page, headers = self._page(request, alerts)
        return web.json_response(page, headers=headers)

    async def _release(self, request: web.Request) -> web.Response:
        tag = request.match_info["tag"]
        found = self.versions.get(tag)
        if found is None or found.notes is None:
            return error(404, "Not Found")
        return web.json_response(
            {
                "tag_name": tag,
                "draft": False,
                "prerelease": False,
                "immutable": True,
                "body": found.notes,
                "published_at": _ago(minutes=110),
                "html_url": f"https://github.com/{OWNER}/{NAME}/releases/tag/{tag}",
            }
        )

    async def _dispatch(self, request: web.Request) -> web.Response:
        body = await request.json()
        if request.match_info["workflow"] != WORKFLOW:
            return error(404, "Not Found")
        if body.get("ref") not in self.versions:
            return error(422, f"No ref found for: {body.get('ref')}")
        inputs = body.get("inputs") or {}
        if set(inputs) != {"version", "request"}:
            return error(422, "Unexpected inputs provided")
        self.builds.insert(0, BuildRun(inputs["version"], inputs["request"], time.monotonic()))
        if self.loses_dispatches:
            self.loses_dispatches -= 1
            return error(504, "Gateway Timeout")
        return web.Response(status=204)

    async def _builds(self, request: web.Request) -> web.Response:
        if request.match_info["workflow"] != WORKFLOW:
            return error(404, "Not Found")
        if self.builds and self.hides_builds:
            self.hides_builds -= 1
            return web.json_response({"total_count": 0, "workflow_runs": []})
        runs = [self._build(number, each) for number, each in enumerate(self.builds)]
        return web.json_response({"total_count": len(runs), "workflow_runs": runs})

    def _build(self, number: int, run: BuildRun) -> Json:
        ended = time.monotonic() - run.since >= self.build_seconds
        if ended and not run.published and self.build_ends == "success":
            run.published = True
            self.publish(run.version)
        return {
            "id": number,
            "display_title": f"Images of {run.version} for {run.request}" if self.names_builds else "Images",
            "event": "workflow_dispatch",
            "status": "completed" if ended else "in_progress",
            "conclusion": self.build_ends if ended else None,
            "html_url": f"https://github.com/{OWNER}/{NAME}/actions/runs/{number}",
        }

    async def _contents(self, request: web.Request) -> web.Response:
        found, path = self._of(request.query.get("ref", "")), request.match_info["path"]
        if found is None or path not in found.files:
            return error(404, "Not Found")
        data = found.files[path].encode()
        return web.json_response(
            {
                "type": "file",
                "encoding": "base64",
                "size": len(data),
                "name": path.rpartition("/")[2],
                "path": path,
                "content": base64.encodebytes(data).decode(),
            }
        )

    async def _attestations(self, request: web.Request) -> web.StreamResponse:
        if self.attestations is not None:
            return self.attestations(request)
        digest = request.match_info["digest"]
        images = (
            (found, name)
            for version, found in self.versions.items()
            for name in SERVICES
            if digest_of(name, version) == digest
        )
        found = next(((found, name) for found, name in images if found.attests), None)
        if found is None:
            return error(404, "Not Found")
        page, headers = self._page(request, [_attestation(digest, *found)])
        return web.json_response({"attestations": page}, headers=headers)

    async def _deployments(self, request: web.Request) -> web.Response:
        wanted = request.query.get("environment")
        found = [each for each in reversed(self.deployments) if wanted in (None, each.asked["environment"])]
        page, headers = self._page(request, [self._deployment(each) for each in found])
        return web.json_response(page, headers=headers)

    def _deployment(self, found: Deployment) -> Json:
        commit = self.versions[found.asked["ref"]].commit
        keys = ("ref", "task", "payload", "environment", "description", "production_environment")
        return {"id": found.number, "sha": commit, **{key: found.asked.get(key) for key in keys}}

    async def _deploy(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked.get("ref") not in self.versions:
            return error(422, f"No ref found for: {asked.get('ref')}")
        if asked.get("auto_merge", True) or asked.get("required_contexts") != []:
            return error(409, "Conflict: the sandbox deploys only what is not merged and checked first")
        if len(asked.get("description") or "") > 140:  # noqa: PLR2004 - GitHub's bound
            return error(422, "description is too long (maximum is 140 characters)")
        made = Deployment(len(self.deployments) + 1, asked)
        self.deployments.append(made)
        if self.loses_deployments:
            self.loses_deployments -= 1
            return error(504, "Gateway Timeout")
        return web.json_response(self._deployment(made), status=201)

    def _numbered(self, request: web.Request) -> Deployment | None:
        wanted = request.match_info["number"]
        return next((each for each in self.deployments if str(each.number) == wanted), None)

    async def _states(self, request: web.Request) -> web.Response:
        found = self._numbered(request)
        if found is None:
            return error(404, "Not Found")
        page, headers = self._page(request, found.states[::-1])
        return web.json_response(page, headers=headers)

    async def _set_state(self, request: web.Request) -> web.Response:
        found, asked = self._numbered(request), await request.json()
        if found is None:
            return error(404, "Not Found")
        states = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
        if asked.get("state") not in states:
            return error(422, "state is not included in the list")
        found.states.append({"id": 10 * found.number + len(found.states), **asked})
        return web.json_response(found.states[-1], status=201)

    def _page(self, request: web.Request, items: list[Json]) -> tuple[list[Json], dict[str, str]]:
        size = min(int(request.query.get("per_page", "30")), self.page_size)
        number = int(request.query.get("page", "1"))
        page = items[(number - 1) * size : number * size]
        if number * size >= len(items):
            return page, {}
        after = request.url.update_query({"page": str(number + 1)})
        return page, {"Link": f'<{self.url}{after.raw_path_qs}>; rel="next"'}


def _versions() -> dict[str, Version]:
    tags = (*VERSIONS, UNBUILT)
    return {version: Version(commit_of(version), files={CONFIG: _config(version)}) for version in tags}


def _attestation(digest: str, of: Version, name: str) -> Json:
    """As `actions/attest-build-provenance` writes it; its signature is none."""
    workflow = {
        "repository": f"https://github.com/{OWNER}/{NAME}",
        "path": f".github/workflows/{WORKFLOW}",
        **of.attested,
    }
    commit = workflow.pop("commit", of.commit)
    build = {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {"workflow": workflow},
        "resolvedDependencies": [{"uri": f"git+{workflow['repository']}", "digest": {"gitCommit": commit}}],
    }
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": f"ghcr.io/omnicare/{name}", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": build},
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": ""}]}
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope}
    return {"bundle": bundle, "repository_id": 1}


def _config(version: str) -> str:
    """v2 writes more of an offline device's work at once; the Service beside it is not for the bot to apply."""
    more = '  OFFLINE_SYNC_BATCH: "50"\n' if version.startswith("v2") else ""
    return (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: backend-config\n"
        f"data:\n  LOG_LEVEL: info\n  FHIR: R4\n{more}---\napiVersion: v1\nkind: Service\nmetadata:\n  name: backend\n"
    )


def error(status: int, message: str, **headers: str) -> web.Response:
    """Return a refusal in GitHub's form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(
        {"message": message, "documentation_url": "https://docs.github.com/rest"}, status=status, headers=named
    )


def _annotation(tag: str, version: Version) -> str:
    return hashlib.sha1(f"tag {tag} {version.commit}".encode()).hexdigest()  # noqa: S324 - git's own


def _ago(*, minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
