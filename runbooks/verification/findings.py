"""What a verification finds: a verdict for each check, and what was measured before, to compare with."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from runbooks.kit.targets import Frozen


class Verdict(StrEnum):
    """How a check ended. What has no result is inconclusive, never passed."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class VerificationFinding(Frozen):
    """One check with its result."""

    name: str
    verdict: Verdict
    value: str = ""
    """What was found: `112 ms`."""
    limit: str = ""
    """What it had to be: `< 200 ms`."""
    before: str = ""
    """What it was before the deploy, where that is known."""
    detail: str = ""
    """Why there is no result, with the query where there was one."""
    required: bool = True

    @property
    def sentence(self) -> str:
        """Return the check in one line: `error rate 2.4 % (must be < 0.1 %, before 0.02 %)`."""
        beside = [
            f"must be {self.limit}" if self.limit else "",
            f"before {self.before}" if self.before else "",
            self.detail,
        ]
        inside = ", ".join(filter(None, beside))
        nothing = "has no result" if self.verdict is Verdict.INCONCLUSIVE else self.verdict
        said = f"{self.name} {self.value or nothing}"
        return f"{said} ({inside})" if inside else said


class SyncCounts(Frozen):
    """The offline queue."""

    pending: int
    failed: int
    stuck: bool = False

    @property
    def shown(self) -> str:
        """Return it as people read it."""
        return f"{self.pending:,} waiting, {self.failed:,} failed{', stuck' if self.stuck else ''}"


class Before(Frozen):
    """What was so before the services changed; what could not be found out is left out."""

    at: str = ""
    metrics: dict[str, float] = {}
    alerts: tuple[str, ...] | None = None
    """Fingerprints of the critical alerts that fired."""
    region_alerts: dict[str, tuple[str, ...]] = {}
    """The same of each region that has an Alertmanager of its own and whose alerts could be read."""
    sync: SyncCounts | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing could be found out."""
        return not self.metrics and self.alerts is None and not self.region_alerts and self.sync is None

    def alerts_in(self, region: str) -> tuple[str, ...] | None:
        """Return the fingerprints of a region with an Alertmanager of its own, or of the environment's (``""``); None if unknown."""
        return self.region_alerts.get(region) if region else self.alerts


class Verified(Frozen):
    """All findings of a verification."""

    findings: tuple[VerificationFinding, ...]

    def having(self, verdict: Verdict, *, required: bool | None = None) -> tuple[VerificationFinding, ...]:
        """Return those that ended so; `required`: only the required ones, or only the others."""
        return tuple(
            each
            for each in self.findings
            if each.verdict is verdict and (required is None or each.required is required)
        )


def worst(found: Sequence[Verified]) -> Literal["passed", "failed", "inconclusive"] | None:
    """Return how the required checks ended, all together; None where none was made."""
    if not any(each.findings for each in found):
        return None
    if any(each.having(Verdict.FAILED, required=True) for each in found):
        return "failed"
    return "inconclusive" if any(each.having(Verdict.INCONCLUSIVE, required=True) for each in found) else "passed"


def unknown(name: str, why: str, *, required: bool = True) -> VerificationFinding:
    """Return a finding without a result."""
    return VerificationFinding(name=name, verdict=Verdict.INCONCLUSIVE, detail=why, required=required)
