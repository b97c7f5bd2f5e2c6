"""What GitHub answers, as values: each field is read with distrust, and what is missing makes the answer unreadable."""

import base64
from collections.abc import Iterable
from typing import Any, Literal

from runbooks.clients.github.api import unreadable
from runbooks.kit.answers import read_stamp
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

_LONGEST = 2000
_SHA = frozenset("0123456789abcdef")

RUN = "omnicare_run"
"""In a deployment's payload: the run that made it."""

CheckState = Literal["passed", "failed", "skipped", "running"]
_CONCLUSIONS: dict[str, CheckState] = {"success": "passed", "neutral": "skipped", "skipped": "skipped"}
_STATUSES: dict[str, CheckState] = {"success": "passed", "pending": "running"}


class CheckFound(Frozen):
    """A check run or a commit status of a commit, as it stands."""

    name: str
    state: CheckState
    said: str
    """GitHub's own word: `failure`, `timed_out`."""
    text: str = ""
    """Title and summary, which may name a figure."""
    url: str | None = None
    at: str | None = None


class AlertFound(Frozen):
    """An open alert of code scanning."""

    number: int
    rule: str
    url: str | None


class ReleaseFound(Frozen):
    """A published release."""

    notes: str
    draft: bool
    immutable: bool | None
    """None where the server does not say so."""
    url: str | None
    at: str | None


class BranchFound(Frozen):
    """A branch, and whether a commit is on it."""

    protected: bool
    contains: bool
    url: str | None


def fields(value: object) -> dict[str, Any]:
    """Return the object; raises for everything else."""
    if not isinstance(value, dict):
        raise unreadable()
    return value


def text(value: object) -> str:
    """Return the text, cut; empty where there is none."""
    return value[:_LONGEST] if isinstance(value, str) else ""


def named(value: object) -> str:
    """Return the text; raises where there is none."""
    if not (found := text(value)):
        raise unreadable()
    return found


def address(value: object) -> str | None:
    """Return a web address; None where it is none."""
    found = text(value)
    return found if found.startswith(("https://", "http://")) and found.isprintable() and " " not in found else None


def commit(value: object) -> str:
    """Return a commit's id: forty hexadecimal digits."""
    found = text(value)
    if len(found) != 40 or not _SHA.issuperset(found):  # noqa: PLR2004 - SHA-1's length
        raise unreadable()
    return found


def truth(value: object) -> bool:
    """Return true or false; raises for everything else."""
    if not isinstance(value, bool):
        raise unreadable()
    return value


def check_run(raw: object) -> CheckFound:
    """Return one of `check_runs`."""
    run = fields(raw)
    output = run.get("output") if isinstance(run.get("output"), dict) else {}
    ended = run.get("status") == "completed"
    said = named(run.get("conclusion")) if ended else named(run.get("status"))
    return CheckFound(
        name=named(run.get("name")),
        state=_CONCLUSIONS.get(said, "failed") if ended else "running",
        said=said,
        text="\n".join(filter(None, (text(fields(output).get("title")), text(fields(output).get("summary"))))),
        url=address(run.get("html_url")),
        at=read_stamp(run.get("completed_at") or run.get("started_at")) or None,
    )


def status(raw: object) -> CheckFound:
    """Return one of a combined status' `statuses`."""
    found = fields(raw)
    said = named(found.get("state"))
    return CheckFound(
        name=named(found.get("context")),
        state=_STATUSES.get(said, "failed"),
        said=said,
        text=text(found.get("description")),
        url=address(found.get("target_url")),
        at=read_stamp(found.get("updated_at")) or None,
    )


def alert(raw: object) -> AlertFound:
    """Return one open alert."""
    found = fields(raw)
    number = found.get("number")
    if type(number) is not int:
        raise unreadable()
    rule = fields(found.get("rule"))
    name = text(rule.get("description")) or text(rule.get("id"))
    return AlertFound(number=number, rule=name, url=address(found.get("html_url")))


class ReviewRules(Frozen):
    """Which reviews a commit needs to get into a branch."""

    approvals: int = 0
    """Approving reviews of its pull request."""
    after_push: bool = False
    """What is pushed after an approval needs another one."""
    for_all: bool = True
    """False: administrators need none."""
    whole: bool = True
    """False: there may be more rules, which the token may not read."""


def review_rules(raw: object) -> ReviewRules | None:
    """Return what one rule of a ruleset asks for; None where it is about something else."""
    rule = fields(raw)
    if rule.get("type") != "pull_request":
        return None
    found = fields(rule.get("parameters"))
    return ReviewRules(
        approvals=_count(found),
        after_push=found.get("dismiss_stale_reviews_on_push") is True
        or found.get("require_last_push_approval") is True,
    )


def classic_protection(raw: object) -> ReviewRules:
    """Return what a branch's classic protection asks for."""
    found = fields(raw)
    if found.get("required_pull_request_reviews") is None:
        return ReviewRules()
    reviews = fields(found.get("required_pull_request_reviews"))
    admins = found.get("enforce_admins")
    return ReviewRules(
        approvals=_count(reviews),
        after_push=reviews.get("dismiss_stale_reviews") is True or reviews.get("require_last_push_approval") is True,
        for_all=isinstance(admins, dict) and admins.get("enabled") is True,
    )


def strictest(found: Iterable[ReviewRules]) -> ReviewRules:
    """Return what all of them together ask for."""
    asking = [each for each in found if each.approvals]
    return ReviewRules(
        approvals=max((each.approvals for each in asking), default=0),
        after_push=any(each.after_push for each in asking),
        for_all=not asking or any(each.for_all for each in asking),
    )


def _count(found: dict[str, Any]) -> int:
    count = found.get("required_approving_review_count", 0)
    if type(count) is not int:
        raise unreadable()
    return count


def release(raw: object) -> ReleaseFound:
    """Return a release."""
    found = fields(raw)
    immutable = found.get("immutable")
    return ReleaseFound(
        notes=text(found.get("body")).strip(),
        draft=truth(found.get("draft")),
        immutable=immutable if isinstance(immutable, bool) else None,
        url=address(found.get("html_url")),
        at=read_stamp(found.get("published_at")) or None,
    )


def content(found: object, where: str, *, largest: int) -> bytes:
    """Return the bytes of a file. Raises PermanentError where it is none, or too large."""
    said = fields(found)
    size = said.get("size")
    if said.get("type") != "file" or said.get("encoding") != "base64" or not isinstance(size, int) or size > largest:
        raise PermanentError(f"{where} is not a file of at most {largest >> 10} KiB.", code=ReasonCode.MANIFEST_INVALID)
    encoded = said.get("content")
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True) if isinstance(encoded, str) else b""
    except ValueError:
        raise unreadable() from None
    if len(data) != size:  # cut on its way, or too large for this API
        raise unreadable()
    return data


class WorkflowRun(Frozen):
    """A run of a workflow, as it stands."""

    state: str
    """`queued`, `in_progress`, `completed`, …"""
    conclusion: str | None
    url: str | None

    @property
    def ended(self) -> bool:
        """Whether it has a conclusion."""
        return self.state == "completed"


def workflow_run(raw: object) -> tuple[str, WorkflowRun]:
    """Return one of `workflow_runs`: the name that it shows, and how it stands."""
    found = fields(raw)
    run = WorkflowRun(
        state=named(found.get("status")),
        conclusion=text(found.get("conclusion")) or None,
        url=address(found.get("html_url")),
    )
    return text(found.get("display_title")), run


class DeploymentFound(Frozen):
    """A deployment that GitHub shows."""

    number: int
    ref: str
    run: str
    """The run that made it; empty where it was not the bot."""


def deployment(raw: object) -> DeploymentFound:
    """Return a deployment. Its payload is whatever its maker wrote."""
    found = fields(raw)
    payload = found.get("payload")
    run = text(payload.get(RUN)) if isinstance(payload, dict) else ""
    return DeploymentFound(number=identifier(found), ref=named(found.get("ref")), run=run)


def deployment_state(raw: object) -> tuple[int, str]:
    """Return a deployment's status: its number, which grows, and its state."""
    found = fields(raw)
    return identifier(found), named(found.get("state"))


def identifier(found: dict[str, Any]) -> int:
    """Return the `id`; raises where there is none."""
    number = found.get("id")
    if type(number) is not int or number < 0:
        raise unreadable()
    return number
