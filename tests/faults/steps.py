"""The steps of a deploy and of a rollback, as the requests by which they are known on the wire to the cluster and to Slack."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tests.support.interference import BODY

PODS = "/api/v1/namespaces/omnicare-prod"
APPS = "/apis/apps/v1/namespaces/omnicare-prod"
RECORDS = "/api/v1/namespaces/omnicare-bot/configmaps"

READ, WRITE, WATCH, POST, EDIT = "read", "write", "watch", "post", "edit"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, what kind of request it makes, and how that is known."""

    name: str
    kind: str
    matches: Callable[[web.Request], bool]

    @property
    def slack(self) -> bool:
        return self.kind in (POST, EDIT)


def said(request: web.Request) -> str:
    """What it sends."""
    return str(request[BODY].decode(errors="replace"))


def reading(path: str, **query: str) -> Callable[[web.Request], bool]:
    """Asks for that, with just this query."""
    return lambda r: r.method == "GET" and r.path == path and dict(r.query) == query


def following(kind: str, service: str = "") -> Callable[[web.Request], bool]:
    """Watches the service's objects of that kind; of events, those of the whole namespace."""

    def matches(r: web.Request) -> bool:
        about = f"app={service}" if kind in ("pods", "replicasets") else f"metadata.name={service}"
        asked = r.query.get("labelSelector" if kind in ("pods", "replicasets") else "fieldSelector", about)
        return r.query.get("watch") == "true" and r.path.endswith(f"omnicare-prod/{kind}") and asked == about

    return matches


def patching(service: str, *words: str, without: str = "\0") -> Callable[[web.Request], bool]:
    """Changes a Deployment, with these words in the change."""

    def matches(r: web.Request) -> bool:
        if r.method != "PATCH" or r.path != f"{APPS}/deployments/{service}":
            return False
        return all(word in said(r) for word in words) and without not in said(r)

    return matches


def recording(name: str, *words: str, without: str = "\0") -> Callable[[web.Request], bool]:
    """Writes that record of the fleet's."""

    def matches(r: web.Request) -> bool:
        if r.method not in ("POST", "PUT") or not r.path.startswith(RECORDS):
            return False
        body = json.loads(said(r))
        data = body.get("data", {})
        return body["metadata"]["name"].startswith(name) and all(word in data for word in words) and without not in data

    return matches


def slack(method: str, slot: str) -> Callable[[web.Request], bool]:
    """Posts or edits that message of a run."""

    def matches(r: web.Request) -> bool:
        if r.path != f"/api/{method}":
            return False
        metadata = json.loads(said(r)).get("metadata") or {}
        return bool(metadata.get("event_payload", {}).get("slot") == slot)

    return matches


def _changing(service: str) -> list[Step]:
    return [
        Step(f"{service}: before the change", READ, reading(f"{APPS}/deployments/{service}")),
        Step(f"{service}: the change", WRITE, patching(service, "/image")),
        Step(f"{service}: list of its pods", READ, reading(f"{PODS}/pods", labelSelector=f"app={service}")),
    ]


def _watching(service: str) -> list[Step]:
    """Of the other service: what delays a change lets its rollout be over before it is watched."""
    return [
        Step(f"{service}: watching the Deployment", WATCH, following("deployments", service)),
        Step(f"{service}: watching ReplicaSets", WATCH, following("replicasets", service)),
        Step(f"{service}: watching pods", WATCH, following("pods", service)),
        Step(f"{service}: watching events", WATCH, following("events")),
    ]


_PLAN = [
    Step("plan: the place", READ, reading(f"{RECORDS}/environment-production")),
    Step("plan: the Deployments", READ, reading(f"{APPS}/deployments")),
    Step("plan: the releases", READ, reading(f"{RECORDS}/releases-production")),
    Step("taking the place", WRITE, recording("environment-production", "run")),
    Step("taking the Deployments", WRITE, patching("backend", "omnicare.dev~1run", without="/image")),
]
_END = [
    Step("check", READ, reading(f"{APPS}/replicasets")),
    Step("recording the release", WRITE, recording("releases-production")),
    Step("giving the place back", WRITE, recording("environment-production", without="run")),
    Step("writing the audit log's head", WRITE, recording("book-heads")),
]

DEPLOY = [*_PLAN, *_changing("backend"), *_watching("frontend"), *_END]
ROLLBACK = [
    *_PLAN,
    Step("evidence: looking", READ, reading(f"{PODS}/events")),
    Step("evidence: a pod's log", READ, lambda r: r.path.endswith("/log")),
    Step("evidence: writing", WRITE, recording("evidence-")),
    Step("room: the nodes", READ, reading("/api/v1/nodes")),
    *_changing("backend"),
    *_watching("frontend"),
    Step("backend: putting maxSurge back", WRITE, patching("backend", "/maxSurge", without="/image")),
    *_END,
]
POSTS = [Step(f"posting: {slot}", POST, slack("chat.postMessage", slot))
         for slot in ("head", "plan", "approval", "progress", "result")]  # fmt: skip
EDITS = [Step(f"editing: {slot}", EDIT, slack("chat.update", slot)) for slot in ("head", "approval", "progress")]

MARKS = {
    "taken": patching("backend", "omnicare.dev~1run", without="/image"),
    "frontend": patching("frontend", "/image"),
    "recorded": recording("releases-production"),
}
LATE = {
    "evidence: looking": "taken",
    "room: the nodes": "taken",
    "backend: before the change": "taken",
    "frontend: watching events": "frontend",
    "check": "frontend",
    "giving the place back": "recorded",
}
"""Steps that ask what an earlier one asks, too: told apart by what came before them."""
