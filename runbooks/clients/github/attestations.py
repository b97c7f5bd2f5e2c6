"""Attestations that GitHub stores for an image: what each one states. Their signatures are not verified here."""

import base64
import json
from typing import Any

from runbooks.clients.github.answers import fields, text
from runbooks.kit.targets import Frozen

PROVENANCE = "https://slsa.dev/provenance/"
"""How the predicate types of all versions of SLSA's provenance begin."""
_HOST = "https://github.com/"


class Attestation(Frozen):
    """What one attestation states; empty where it does not say so."""

    predicate: str
    """What kind of statement it is; empty where the statement can't be read."""
    subjects: tuple[str, ...] = ()
    """Digests that it is about: `sha256:…`."""
    repository: str = ""
    """Where the workflow that built it is from: `owner/name`."""
    workflow: str = ""
    """Its file: `.github/workflows/images.yml`."""
    commit: str = ""


def attestation(raw: object) -> Attestation:
    """Return one of `attestations`."""
    bundle = fields(raw).get("bundle")
    envelope = bundle.get("dsseEnvelope") if isinstance(bundle, dict) else None
    payload = envelope.get("payload") if isinstance(envelope, dict) else None
    statement = _statement(payload) if isinstance(payload, str) else None
    if statement is None:
        return Attestation(predicate="")
    build = _inside(statement, "predicate", "buildDefinition")
    workflow = _inside(build, "externalParameters", "workflow")
    repository = text(workflow.get("repository")).removesuffix(".git").rstrip("/")
    commits = {text(_inside(each, "digest").get("gitCommit")) for each in _items(build.get("resolvedDependencies"))}
    commits -= {""}
    return Attestation(
        predicate=text(statement.get("predicateType")),
        subjects=tuple(
            f"sha256:{digest}"
            for each in _items(statement.get("subject"))
            if (digest := text(_inside(each, "digest").get("sha256")))
        ),
        repository=repository.removeprefix(_HOST) if repository.startswith(_HOST) else repository,
        workflow=text(workflow.get("path")),
        commit=commits.pop() if len(commits) == 1 else "",
    )


def _statement(payload: str) -> dict[str, Any] | None:
    try:
        found = json.loads(base64.b64decode(payload, validate=True))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _inside(found: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the object at that path; an empty one where there is none."""
    at: object = found
    for key in keys:
        at = at.get(key) if isinstance(at, dict) else None
    return at if isinstance(at, dict) else {}


def _items(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
