"""The gates on the release's code: its tag and commit, its checks, code scanning, and the notes, all as GitHub has them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from runbooks.clients.github.answers import CheckFound
from runbooks.clients.github.client import GithubClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.gates.gate import Gate, GateResult, GateSubject, Once
from runbooks.gates.settings import CodeSettings
from runbooks.kit.patterns import compiled
from runbooks.kit.plan import ImageChange
from runbooks.kit.waiting import side_by_side
from runbooks.wording import by_count, counted, listed

_DIGITS = 7
"""Of a commit that people are shown."""
_PERCENT = re.compile(r"(?<![\w.,+\u2212-])(\d{1,3}(?:\.\d{1,6})?)\s?%", re.ASCII)
"""Without a sign: `+0.2 %` is a difference."""
_NUMBER = re.compile(rb"\d{1,3}(?:\.\d{1,6})?", re.ASCII)
_SHOWN = 3


class CodeFacts:
    """What several gates ask GitHub for in one look, fetched once."""

    def __init__(self, subject: GateSubject) -> None:
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
        return await self.github.release_commit(self._subject.version)

    async def _fetch_checks(self) -> tuple[CheckFound, ...]:
        return await self.github.checks(await self.commit())


@dataclass(frozen=True, kw_only=True)
class CodeGate(Gate):
    """One that asks GitHub."""

    code: CodeFacts = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TagStays(CodeGate):
    """The tag exists, and stands for the commit that the plan saw."""

    key: str = "tag"
    name: str = "Tag"

    async def look(self, subject: GateSubject) -> GateResult:
        commit = await self.code.commit()
        before = subject.planned.get(self.key)
        planned = before.bound.get("commit") if before is not None else None
        if planned is not None and planned != commit:
            evidence = (
                f"{subject.version} pointed to {planned[:_DIGITS]} in the plan and points to {commit[:_DIGITS]} now"
            )
            return self.not_passed("failed", evidence, "Somebody moved the tag. Find out who, then deploy again.")
        return self.passed(f"{subject.version} points to {commit[:_DIGITS]}", bound={"commit": commit})


@dataclass(frozen=True, kw_only=True)
class OnBranch(CodeGate):
    """The release's commit is on the protected branch."""

    key: str = "branch"
    name: str = "Protected branch"

    async def look(self, subject: GateSubject) -> GateResult:  # noqa: ARG002 - a gate's form
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

    async def look(self, subject: GateSubject) -> GateResult:  # noqa: ARG002 - a gate's form
        checks = await self.code.checks()
        if not any(each.state == "passed" for each in checks) and not any(each.state == "failed" for each in checks):
            return self.not_passed("unknown", "no check of the commit has finished", "Wait for CI, then deploy again.")
        return judged(self, [each for each in checks if each.state != "skipped"])


@dataclass(frozen=True, kw_only=True)
class NamedCheck(CodeGate):
    """One check of the release's commit has passed."""

    check: str

    async def look(self, subject: GateSubject) -> GateResult:  # noqa: ARG002 - a gate's form
        found = called(self.check, await self.code.checks())
        if not found:
            return self.not_passed(
                "unknown", f"the commit has no check {self.check}", "Run the check for the release's commit."
            )
        return judged(self, found)


@dataclass(frozen=True, kw_only=True)
class CoverageGate(CodeGate):
    """Test coverage, as its check tells it once it has passed, is above the limit."""

    key: str = "coverage"
    name: str = "Test coverage"
    settings: CodeSettings

    async def look(self, subject: GateSubject) -> GateResult:  # noqa: ARG002 - a gate's form
        check, limit = self.settings.coverage or "", self.settings.coverage_percent
        found = called(check, await self.code.checks())
        if not found:
            return self.not_passed(
                "unknown", f"the commit has no check {check}", "Run the check for the release's commit."
            )
        result = judged(self, found)
        if result.state != "passed":
            return result
        newest, figures = found[0], {each for one in found for each in self._figures(one.text)}
        covered = figures.pop() if len(figures) == 1 else None
        if covered is None or not 0 <= covered <= 100:  # noqa: PLR2004 - per cent
            evidence = f"{check} does not report exactly one percentage"
            advice = "The check's title or summary must contain one, such as `91.4 %`. If it contains several, set `coverage_pattern`."
            return self.not_passed("unknown", evidence, advice, url=newest.url)
        if covered <= limit:
            evidence = f"coverage is {covered:g} %, and must be above {limit:g} %"
            return self.not_passed(
                "failed", evidence, "Add tests and tag a new version.", url=newest.url, at=newest.at, number=covered
            )
        return self.passed(f"coverage is {covered:g} %", url=newest.url, at=newest.at, number=covered)

    def _figures(self, text: str) -> set[float | None]:
        """Return the percentages that the text names; None for what is none, such as a difference."""
        if self.settings.coverage_pattern is None:
            unread = text.count("%") != len(found := _PERCENT.findall(text))
            return {*map(float, found), *((None,) if unread or not found else ())}
        groups = [each[1] or b"" for each in compiled(self.settings.coverage_pattern).finditer(text.encode())]
        return {float(each) if _NUMBER.fullmatch(each) else None for each in groups} or {None}


@dataclass(frozen=True, kw_only=True)
class NoCriticalAlerts(CodeGate):
    """Code scanning has no open alert of severity critical on the branch."""

    key: str = "code-scanning"
    name: str = "Code scanning"

    async def look(self, subject: GateSubject) -> GateResult:  # noqa: ARG002 - a gate's form
        alerts = await self.code.github.critical_alerts()
        if not alerts:
            return self.passed("no open critical alert", number=0)
        rules = listed([f"#{each.number} {each.rule}".strip() for each in alerts[:_SHOWN]])
        evidence = f"{counted(len(alerts), 'open critical alert')}: {rules}"
        return self.not_passed(
            "failed",
            evidence,
            f"Fix or dismiss {by_count(len(alerts), 'it', 'them')} on GitHub.",
            url=alerts[0].url,
            number=len(alerts),
            reason=listed(sorted(f"#{each.number} {each.rule}" for each in alerts)),
        )


@dataclass(frozen=True, kw_only=True)
class ReleaseNotes(CodeGate):
    """The release is published on GitHub and has notes."""

    key: str = "release"
    name: str = "Release notes"
    of_services: ClassVar[bool] = True

    async def look(self, subject: GateSubject) -> GateResult:
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
    name: str = "Image commit"

    async def look(self, subject: GateSubject) -> GateResult:
        commit, registry = await self.code.commit(), subject.use(RegistryClient)
        wrong = list(filter(None, await side_by_side(*(_other(registry, each, commit) for each in subject.images))))
        if wrong:
            return self.not_passed(
                "failed",
                "; ".join(wrong),
                f"Build the images from {commit[:_DIGITS]} and push a new version.",
                reason="; ".join(wrong),
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
    return f"{change.service} was built from {others or 'an unknown commit'}, but the tag points to {commit[:_DIGITS]}"


def called(name: str, checks: Sequence[CheckFound]) -> list[CheckFound]:
    """Return the checks of that name."""
    return [each for each in checks if each.name.casefold() == name.casefold()]


def _all(checks: Sequence[CheckFound]) -> str:
    """Return the full names of all of them, also of those that are not shown: one more, or another one, is another reason."""
    return json.dumps(sorted((each.name, each.said) for each in checks))


def judged(gate: Gate, checks: Sequence[CheckFound]) -> GateResult:
    """Return whether all of them have passed, or which have not."""
    failed = [each for each in checks if each.state == "failed"]
    if failed:
        names = listed([f"{each.name} ({each.said})" for each in failed[:_SHOWN]])
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        return gate.not_passed(
            "failed",
            f"{names}{more}",
            "Fix the cause and tag a new version, or run CI again.",
            url=failed[0].url,
            at=failed[0].at,
            reason=_all(failed),
        )
    if open_ones := [each for each in checks if each.state != "passed"]:
        names = listed([f"{each.name} ({each.said})" for each in open_ones[:_SHOWN]])
        return gate.not_passed(
            "unknown", names, "Wait for CI, then deploy again.", url=open_ones[0].url, reason=_all(open_ones)
        )
    if len(checks) == 1:
        return gate.passed(checks[0].said, url=checks[0].url, at=checks[0].at)
    return gate.passed(f"all {len(checks)} checks passed", url=checks[0].url if checks else None, number=len(checks))
