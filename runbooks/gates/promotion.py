"""The gate on promotion: the same digests became a good release in another environment before."""

from dataclasses import dataclass

from runbooks.fleet.fleet import Fleet, Release
from runbooks.gates.gate import Gate, GateResult, Subject
from runbooks.kit.targets import Environment
from runbooks.wording import listed


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedFrom:
    """The environment that a release comes from, and the record of it."""

    environment: Environment
    fleet: Fleet


@dataclass(frozen=True, kw_only=True)
class Promoted(Gate):
    """The release is recorded as good in the other environment, with the same digests."""

    key: str = "promotion"
    name: str = "Promotion"

    async def look(self, subject: Subject) -> GateResult:
        source = subject.use(PromotedFrom)
        there = source.environment.name
        known = await source.fleet.known_releases(source.environment)
        releases = [release for release in known.releases if release.version == subject.version]
        first = f"deploy {subject.version} --env {there}"
        button = (f"Deploy {subject.version} to {there}", first)
        if not releases:
            unread = f" ({known.unreadable} of its entries can't be read)" if known.unreadable else ""
            evidence = f"{subject.version} was never recorded in {there}{unread}"
            return self.not_passed("failed", evidence, f"Deploy it there first: `{first}`.", button=button)
        newest = releases[0]
        if newest.verdict != "good":
            why = f": {newest.why}" if newest.why else ""
            evidence = f"{subject.version} is recorded as {newest.verdict} in {there}{why}"
            advice = f"Find out why, then deploy it there again: `{first}`."
            return self.not_passed("failed", evidence, advice, at=newest.at or None, button=button)
        if others := _others(newest, subject):
            evidence = f"{there} ran {subject.version} with another image of {listed(others)}"
            return self.not_passed(
                "failed",
                evidence,
                f"The tag was moved. Deploy it there again: `{first}`.",
                at=newest.at or None,
                button=button,
            )
        return self.passed(f"the same digests are good in {there}", at=newest.at or None)


def _others(release: Release, subject: Subject) -> list[str]:
    """Return the services of which another image ran there, or none."""

    def ran(service: str) -> str | None:
        image = release.image(service)
        return image.digest if image is not None else None

    return [
        change.service
        for change in subject.images
        if change.after.digest is None or ran(change.service) != change.after.digest
    ]
