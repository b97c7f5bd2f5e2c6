"""The gate on promotion: the same digests became a good release in another environment before."""

from dataclasses import dataclass
from typing import Literal

from runbooks.fleet.fleet import Fleet, Release
from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.kit.targets import Environment
from runbooks.wording import listed

_ENDED = {"failed": "failed", "inconclusive": "was inconclusive"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedFrom:
    """The environment that a release comes from, and the record of it."""

    environment: Environment
    fleet: Fleet
    verifies: bool = False
    """Whether deploys there end with a verification."""


@dataclass(frozen=True, kw_only=True)
class Promoted(Gate):
    """The release is recorded as good in the other environment, with the same digests, and was verified there."""

    key: str = "promotion"
    name: str = "Promotion"
    unverified: Literal["warn", "refuse"] = "warn"
    """What follows where the other environment verifies nothing."""

    async def look(self, subject: GateSubject) -> GateResult:
        source = subject.use(PromotedFrom)
        there = source.environment.name
        known = await source.fleet.known_releases(source.environment)
        releases = [release for release in known.releases if release.version == subject.version]
        first = f"deploy {subject.version} --env {there}"
        button = (f"Deploy {subject.version} to {there}", first)
        if not releases:
            unread = f" ({known.unreadable} of its entries can't be read)" if known.unreadable else ""
            evidence = f"{subject.version} has no record in {there}{unread}"
            return self.not_passed("failed", evidence, f"Deploy the version there first: `{first}`.", button=button)
        newest = releases[0]
        if newest.verdict != "good":
            why = f": {newest.why}" if newest.why else ""
            evidence = f"{subject.version} is recorded as {newest.verdict} in {there}{why}"
            advice = f"Find out why, then deploy the version there again: `{first}`."
            return self.not_passed("failed", evidence, advice, at=newest.at or None, button=button, reason=evidence)
        if others := _others(newest, subject):
            evidence = f"{there} ran {subject.version} with a different image of {listed(others)}"
            return self.not_passed(
                "failed",
                evidence,
                f"The tag was moved. Deploy the version there again: `{first}`.",
                at=newest.at or None,
                button=button,
                reason=evidence,
            )
        same = [each for each in releases if each.verdict == "good" and not _others(each, subject)]
        verified = next((each for each in same if each.verification is not None), newest)
        return self._as_verified(verified, source, first, button)

    def _as_verified(self, release: Release, source: PromotedFrom, first: str, button: tuple[str, str]) -> GateResult:
        there, at = source.environment.name, release.at or None
        if release.verification == "passed":
            return self.passed(f"the same digests are good in {there}, verified there", at=at)
        if release.verification is not None:
            evidence = f"the verification of {release.version} in {there} {_ENDED[release.verification]}"
            state: Literal["failed", "unknown"] = "failed" if release.verification == "failed" else "unknown"
            return self.not_passed(state, evidence, f"Deploy it there again: `{first}`.", at=at, button=button)
        evidence = f"the same digests are good in {there}, not verified there"
        if source.verifies:
            return self.not_passed("unknown", evidence, f"Deploy it there: `{first}`.", at=at, button=button)
        if self.unverified == "refuse":
            advice = f"Add `[environments.{there}.verification]` to `omnicare.toml`, then deploy it there: `{first}`."
            return self.not_passed("unknown", evidence, advice, at=at, button=button)
        return self.passed(evidence, at=at, warning=f"{release.version} was not verified in {there}.")


def _others(release: Release, subject: GateSubject) -> list[str]:
    """Return the services of which another image ran there, or none."""

    def ran(service: str) -> str | None:
        image = release.image(service)
        return image.digest if image is not None else None

    return [
        change.service
        for change in subject.images
        if change.after.digest is None or ran(change.service) != change.after.digest
    ]
