"""The gates on the release's code: its tag and commit, its checks, code scanning, and the notes, all as GitHub has them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from runbooks.clients.github.answers import CheckFound
from runbooks.clients.github.client import GithubClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.gates.gate import Gate, GateResult, Once, Subject
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.waiting import side_by_side
from runbooks.wording import counted, listed

_DIGITS = 7
"""Of a commit that people are shown."""
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,6})?)\s?%", re.ASCII)
_SHOWN = 3


class Code:
    """What several gates ask GitHub for in one look, fetched once."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._commit = Once(self._fetch_commit)
        self._checks = Once(self._fetch_checks)

    @property
    def github(self) -> GithubClient:
        """The client."""
        return self._subject.use(GithubClient)

    async def commit(self) -> str:
        """Return the release's commit; raises PermanentError where the tag does not exist."""
        return await self._commit.get()

    async def checks(self) -> tuple[CheckFound, ...]:
        """Return the checks of the release's commit."""
        return await self._checks.get()

    async def _fetch_commit(self) -> str:
        commit = await self.github.commit_of(self._subject.version)
        if commit is None:
            raise _NoTag(self._subject.version, self.github.settings.repository)
        return commit

    async def _fetch_checks(self) -> tuple[CheckFound, ...]:
        return await self.github.checks(await self.commit())


class _NoTag(PermanentError):
    def __init__(self, version: str, repository: str) -> None:
        advice = (f"Push the tag to {repository}, or deploy a version that has one.",)
        super().__init__(f"{repository} has no tag {version}.", code=ReasonCode.NO_SUCH_VERSION, advice=advice)


@dataclass(frozen=True, kw_only=True)
class CodeGate(Gate):
    """One that asks GitHub."""

    code: Code = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TagStays(CodeGate):
    """The tag exists, and stands for the commit that the plan saw."""

    key: str = "tag"
    name: str = "Tag"

    async def look(self, subject: Subject) -> GateResult:
        commit = await self.code.commit()
        before = subject.planned.get(self.key)
        planned = before.bound.get("commit") if before is not None else None
        if planned is not None and planned != commit:
            evidence = f"{subject.version} was {planned[:_DIGITS]} in the plan and is {commit[:_DIGITS]} now"
            return self.not_passed("failed", evidence, "Somebody moved the tag. Find out who, then deploy again.")
        return self.passed(f"{subject.version} is {commit[:_DIGITS]}", bound={"commit": commit})


@dataclass(frozen=True, kw_only=True)
class OnBranch(CodeGate):
    """The release's commit is on the protected branch."""

    key: str = "branch"
    name: str = "Protected branch"

    async def look(self, subject: Subject) -> GateResult:  # noqa: ARG002 - a gate's form
        commit = await self.code.commit()
        branch, found = self.code.github.settings.branch, await self.code.github.branch(commit)
        if not found.contains:
            advice = f"Merge it to {branch} and tag the release there."
            return self.not_passed("failed", f"{commit[:_DIGITS]} is not on {branch}", advice, url=found.url)
        if not found.protected:
            return self.not_passed(
                "failed", f"{branch} is not a protected branch", "Protect the branch on GitHub.", url=found.url
            )
        return self.passed(f"{commit[:_DIGITS]} is on {branch}, which is protected", url=found.url)


@dataclass(frozen=True, kw_only=True)
class AllChecks(CodeGate):
    """Every check of the release's commit has passed; what was skipped proves nothing and is only counted."""

    key: str = "checks"
    name: str = "Checks"

    async def look(self, subject: Subject) -> GateResult:  # noqa: ARG002 - a gate's form
        checks = await self.code.checks()
        if not any(each.state == "passed" for each in checks) and not any(each.state == "failed" for each in checks):
            return self.not_passed(
                "unknown", "the commit has no check that has ended", "Wait for CI, then deploy again."
            )
        return _judged(self, [each for each in checks if each.state != "skipped"])


@dataclass(frozen=True, kw_only=True)
class NamedCheck(CodeGate):
    """One check of the release's commit has passed."""

    check: str

    async def look(self, subject: Subject) -> GateResult:  # noqa: ARG002 - a gate's form
        found = _called(self.check, await self.code.checks())
        if not found:
            return self.not_passed(
                "unknown", f"the commit has no check {self.check}", "Run it for the release's commit."
            )
        return _judged(self, found)


@dataclass(frozen=True, kw_only=True)
class Coverage(CodeGate):
    """Test coverage, as its check tells it, is above the limit."""

    key: str = "coverage"
    name: str = "Test coverage"
    check: str
    percent: float

    async def look(self, subject: Subject) -> GateResult:  # noqa: ARG002 - a gate's form
        found = _called(self.check, await self.code.checks())
        if not found:
            return self.not_passed(
                "unknown", f"the commit has no check {self.check}", "Run it for the release's commit."
            )
        newest = found[0]
        figure = _PERCENT.search(newest.text)
        if figure is None or float(figure[1]) > 100:  # noqa: PLR2004 - per cent
            evidence = f"{self.check} names no percentage"
            return self.not_passed(
                "unknown", evidence, "Its title or summary must name one, such as `91.4 %`.", url=newest.url
            )
        covered = float(figure[1])
        if covered <= self.percent:
            evidence = f"{covered:g} % are covered, and it must be more than {self.percent:g} %"
            return self.not_passed(
                "failed", evidence, "Add tests and tag a new version.", url=newest.url, at=newest.at, number=covered
            )
        return self.passed(f"{covered:g} % are covered", url=newest.url, at=newest.at, number=covered)


@dataclass(frozen=True, kw_only=True)
class NoCriticalAlerts(CodeGate):
    """Code scanning has no open alert of severity critical on the branch."""

    key: str = "code-scanning"
    name: str = "Code scanning"

    async def look(self, subject: Subject) -> GateResult:  # noqa: ARG002 - a gate's form
        alerts = await self.code.github.critical_alerts()
        if not alerts:
            return self.passed("no open critical alert", number=0)
        rules = listed([f"#{each.number} {each.rule}".strip() for each in alerts[:_SHOWN]])
        evidence = f"{counted(len(alerts), 'open critical alert')}: {rules}"
        return self.not_passed(
            "failed", evidence, "Fix or dismiss them on GitHub.", url=alerts[0].url, number=len(alerts)
        )


@dataclass(frozen=True, kw_only=True)
class ReleaseNotes(CodeGate):
    """The release is published on GitHub and has notes."""

    key: str = "release"
    name: str = "Release notes"

    async def look(self, subject: Subject) -> GateResult:
        found = await self.code.github.release(subject.version)
        if found is None or found.draft:
            evidence = f"there is no published release {subject.version}"
            return self.not_passed("failed", evidence, "Publish it on GitHub; a draft does not count.")
        if not found.notes:
            return self.not_passed(
                "failed", "the release has no notes", "Write them on GitHub.", url=found.url, at=found.at
            )
        kept = {True: ", immutable", False: ", not immutable", None: ""}[found.immutable]
        return self.passed(f"published with notes{kept}", url=found.url, at=found.at)


@dataclass(frozen=True, kw_only=True)
class Revision(CodeGate):
    """Every image says that it was built from the release's commit."""

    key: str = "revision"
    name: str = "Images' commit"

    async def look(self, subject: Subject) -> GateResult:
        commit, registry = await self.code.commit(), subject.use(RegistryClient)
        wrong = list(filter(None, await side_by_side(*(_other(registry, each, commit) for each in subject.images))))
        if wrong:
            return self.not_passed(
                "failed", "; ".join(wrong), f"Build the images from {commit[:_DIGITS]} and push a new version."
            )
        return self.passed(f"all images were built from {commit[:_DIGITS]}")


async def _other(registry: RegistryClient, change: ImageChange, commit: str) -> str:
    """Return from which other commits an image was built; empty where from this one."""
    if change.after.digest is None:
        return f"{change.service} has no digest"
    said = set(await registry.revisions(change.after.repository, change.after.digest))
    if said == {commit}:
        return ""
    others = listed(sorted("an unknown commit" if each is None else each[:_DIGITS] for each in said - {commit}))
    return f"{change.service} was built from {others or 'an unknown commit'}, and the tag is {commit[:_DIGITS]}"


def _called(name: str, checks: Sequence[CheckFound]) -> list[CheckFound]:
    return [each for each in checks if each.name.casefold() == name.casefold()]


def _judged(gate: Gate, checks: Sequence[CheckFound]) -> GateResult:
    """All have passed, or which have not."""
    failed = [each for each in checks if each.state == "failed"]
    if failed:
        names = listed([f"{each.name} ({each.said})" for each in failed[:_SHOWN]])
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        return gate.not_passed(
            "failed",
            f"{names}{more}",
            "Fix it and tag a new version, or run it again.",
            url=failed[0].url,
            at=failed[0].at,
        )
    if open_ones := [each for each in checks if each.state != "passed"]:
        names = listed([f"{each.name} ({each.said})" for each in open_ones[:_SHOWN]])
        return gate.not_passed("unknown", names, "Wait until it has ended, then deploy again.", url=open_ones[0].url)
    if len(checks) == 1:
        return gate.passed(checks[0].said, url=checks[0].url, at=checks[0].at)
    return gate.passed(f"all {len(checks)} have passed", url=checks[0].url if checks else None, number=len(checks))
